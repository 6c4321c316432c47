"""The generator makes what SystemRDL says, refuses the rest with file and line, and its files are current."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from penstock_hw.registers.__main__ import COMMAND, generate, main, stale
from penstock_hw.registers.constants import c_header, python
from penstock_hw.registers.model import Block, Kind
from penstock_hw.registers.rdl import RdlError, read_block
from penstock_hw.registers.systemverilog import module

ROOT = Path(__file__).resolve().parents[2]
RDL = ROOT / "rtl" / "regs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a repository with no block yet."""
    regs = tmp_path / "rtl" / "regs"
    regs.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (regs / "properties.rdl").write_text((RDL / "properties.rdl").read_text())
    return tmp_path


def block_with(folder: Path, body: str, head: str = "", name: str = "valve", block_id: str = "VALV") -> Path:
    """Write a block of that body; its registers begin in line 2 of the file."""
    path = folder / "rtl" / "regs" / f"{name}.rdl"
    path.write_text(
        f'addrmap {name} {head} {{ block_id = "{block_id}"; block_version = 3;\n{body}\n}};\n', encoding="utf-8"
    )
    return path


def loaded(path: Path) -> ModuleType:
    """Return the Python module in *path*."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def without_text(block: Block) -> Block:
    """Return the block as the made Python has it: what it does, not what is said of it."""
    registers = tuple(
        register._replace(text="", fields=tuple(field._replace(text="") for field in register.fields))
        for register in block.registers
    )
    return block._replace(text="", registers=registers)


def test_what_is_committed_is_what_the_rdl_says() -> None:
    files = generate(ROOT)
    assert [str(path) for path in stale(ROOT, files)] == [], f"run {COMMAND}"


def test_a_block_is_read_with_its_ports_widths_and_limits(folder: Path) -> None:
    body = """
    reg { desc = "Open  or\n shut."; field { sw = rw; hw = r; reset = 1; } open; } open @ 0x10;
    reg { field { sw = rw; hw = r; below = "ROWS"; } row[8]; field { sw = w; hw = r; singlepulse; } go = 0; } table;
    reg { regwidth = 64; accesswidth = 32; field { sw = r; hw = w; is_signed; bits = "48"; } value[64]; } flow;
    reg { field { sw = r; hw = na; constant = "ROWS"; } value[32]; } rows;
    """
    block = read_block(block_with(folder, body, "#(longint unsigned ROWS = 12)"))
    assert (block.name, block.id, block.id_text, block.version) == ("valve", 0x56414C56, "VALV", 3)
    assert block.parameters == {"ROWS": 12}
    assert [(r.name, r.offset, r.width) for r in block.registers] == [
        ("open", 0x10, 32), ("table", 0x14, 32), ("flow", 0x18, 64), ("rows", 0x20, 32),
    ]  # fmt: skip
    assert block.registers[0].text == "Open or shut."
    row, go = block.register("table").fields
    assert (row.port, row.lsb, row.width, row.bounds(block.parameters)) == ("cfg_table_row", 0, 8, (0, 11))
    assert (go.port, go.kind, go.readable, go.writable) == ("cfg_table_go", Kind.PULSE, False, True)
    assert block.register("table").write_mask == 0x1FF
    (flow,) = block.register("flow").fields
    assert (flow.port, flow.bounds({})) == ("sts_flow", (-(2**47), 2**47 - 1))
    (rows,) = block.register("rows").fields
    assert (rows.kind, rows.port) == (Kind.CONSTANT, "")


REFUSED = [
    ("reg { field { sw = rw; hw = r; } a; } a @ 0xC;", 2, "lies at 0xc, wanted 0x10 or more"),
    ("reg { field { sw = rw; hw = r; } a; } next @ 0x10;", 2, "none of the names id, version, layout_hash, next"),
    ("reg { field { sw = rw; hw = r; } a; } a[4] @ 0x10;", 2, "is an array, wanted single registers"),
    ("regfile { reg { field { sw = rw; hw = r; } a; } a; } f @ 0x10;", 2, "is regfile, wanted single registers"),
    ("reg { field { sw = rw; hw = r; } a; } a @ 0x1000;", 2, "lies at 0x1000, wanted a multiple of 4 below 0x1000"),
    ("reg { regwidth = 16; field { sw = rw; hw = r; } a; } a @ 0x10;", 2, "regwidth is 16, accesswidth 16"),
    ("reg { field { sw = rw; hw = rw; } a; } a @ 0x10;", 2, "met sw = rw, hw = rw, wanted rw/r"),
    ("reg { field { sw = rw; hw = r; onread = rclr; } a; } a @ 0x10;", 2, "onread"),
    (
        'reg { field { sw = rw; hw = r; below = "ROWS"; } a[8]; } a @ 0x10;',
        2,
        "below is 'ROWS', wanted a number or one",
    ),
    ('reg { field { sw = rw; hw = r; below = "300"; } a[8]; } a @ 0x10;', 2, "below = 300 is 300, wanted 1 .. 2**8"),
    ('reg { field { sw = rw; hw = r; bits = "9"; } a[8]; } a @ 0x10;', 2, "bits = 9 is 9, wanted 1 .. 8"),
    ('reg { field { sw = rw; hw = r; below = "4"; reset = 4; } a[8]; } a @ 0x10;', 2, "reset is 4, wanted 0 .. 3"),
    ('reg { field { sw = rw; hw = r; is_signed; below = "4"; } a[8]; } a @ 0x10;', 2, "below = 4 on a signed field"),
    ('reg { field { sw = r; hw = na; constant = "300"; } a[8]; } a @ 0x10;', 2, "constant is '300', wanted"),
    ("reg { settles; field { sw = rw; hw = r; } a; } a @ 0x10;", 2, "settles and can be written"),
    ("reg { field { sw = rw; hw = r; } a[40]; } a @ 0x10;", 2, ""),  # the compiler's own words
    ("reg { field { sw = rw; hw = r } a; } a @ 0x10;", 2, ""),
]


@pytest.mark.parametrize(("body", "line", "message"), REFUSED)
def test_what_cannot_be_made_is_refused_with_file_and_line(folder: Path, body: str, line: int, message: str) -> None:
    with pytest.raises(RdlError, match=rf"^{re.escape(str(folder))}.*valve\.rdl:{line}: .*{re.escape(message)}"):
        read_block(block_with(folder, body))


@pytest.mark.parametrize(
    ("head", "block_id", "message"),
    [
        ("", "VAL", "block_id is 'VAL', wanted four ASCII letters or digits"),
        ("#(longint unsigned rows = 1)", "VALV", "parameter rows = 1, wanted capitals"),
        ("#(longint unsigned NEXT = 1)", "VALV", "parameter NEXT = 1, wanted capitals, no name of the module's"),
    ],
)
def test_a_block_wants_an_id_and_parameters_in_capitals(folder: Path, head: str, block_id: str, message: str) -> None:
    path = block_with(folder, "reg { field { sw = rw; hw = r; } a; } a @ 0x10;", head, block_id=block_id)
    with pytest.raises(RdlError, match=rf"valve\.rdl:1: valve: {re.escape(message)}"):
        read_block(path)


def test_a_parameter_that_is_shown_fits_its_field(folder: Path) -> None:
    body = 'reg { field { sw = r; hw = na; constant = "ROWS"; } a[8]; } a @ 0x10;'
    assert "if (ROWS < 0 || ROWS > 255) $fatal" in module(
        read_block(block_with(folder, body, "#(longint unsigned ROWS = 255)")), ""
    )
    with pytest.raises(
        RdlError, match=r"valve\.rdl:2: valve\.a\.a: constant = ROWS does not fit 8 bits; widen the field"
    ):
        read_block(block_with(folder, body, "#(longint unsigned ROWS = 256)"))


def test_two_fields_with_one_port_are_refused(folder: Path) -> None:
    body = """reg { field { sw = rw; hw = r; } b; field { sw = rw; hw = r; } c; } a @ 0x10;
    reg { field { sw = rw; hw = r; } a_b; } a_b;"""
    with pytest.raises(RdlError, match=r"port cfg_a_b is made by a\.b and a_b\.a_b; rename one"):
        read_block(block_with(folder, body))


def test_two_blocks_with_one_id_are_refused(folder: Path) -> None:
    body = "reg { field { sw = rw; hw = r; } a; } a @ 0x10;"
    block_with(folder, body)
    block_with(folder, body, name="weir")
    with pytest.raises(RdlError, match=r"weir\.rdl: block_id is 'VALV', as that of valve; choose another"):
        generate(folder)


def test_the_command_writes_checks_and_removes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = block_with(folder, "reg { field { sw = rw; hw = r; } a; } a @ 0x10;")
    (folder / "hw/penstock_hw/registers/generated").mkdir(parents=True)
    assert main([str(folder), "--check"]) == 1
    assert f"docs/registers.md: is not what rtl/regs/*.rdl says; run {COMMAND}" in capsys.readouterr().err
    assert main([str(folder)]) == 0
    assert main([str(folder), "--check"]) == 0
    made = folder / "rtl/regs/generated/valve_regs.sv"
    assert "output      logic cfg_a" in made.read_text()
    path.rename(path.with_name("weir.rdl"))
    path.with_name("weir.rdl").write_text(path.with_name("weir.rdl").read_text().replace("valve", "weir"))
    assert main([str(folder), "--check"]) == 1
    assert "valve_regs.sv: is not what" in capsys.readouterr().err
    assert main([str(folder)]) == 0
    assert not made.exists()
    path.with_name("weir.rdl").write_text("addrmap weir {")
    assert main([str(folder)]) == 2


def test_the_hash_changes_with_all_that_software_relies_on_and_not_with_words(folder: Path) -> None:
    def layout_hash(body: str) -> int:
        return read_block(block_with(folder, body)).layout_hash

    first = layout_hash("reg { field { sw = rw; hw = r; } value[8]; } a @ 0x10;")
    assert layout_hash('reg { desc = "More."; field { sw = rw; hw = r; } value[8]; } a @ 0x10;') == first
    others = [
        "reg { field { sw = rw; hw = r; } value[8]; } a @ 0x14;",
        "reg { field { sw = rw; hw = r; } value[8]; } b @ 0x10;",
        "reg { field { sw = rw; hw = r; } value[9]; } a @ 0x10;",
        "reg { field { sw = rw; hw = r; } value[8:1]; } a @ 0x10;",
        "reg { field { sw = r; hw = w; } value[8]; } a @ 0x10;",
        "reg { field { sw = rw; hw = r; reset = 1; } value[8]; } a @ 0x10;",
        'reg { field { sw = rw; hw = r; below = "9"; } value[8]; } a @ 0x10;',
        'reg { field { sw = rw; hw = r; bits = "7"; } value[8]; } a @ 0x10;',
        "reg { field { sw = rw; hw = r; is_signed; } value[8]; } a @ 0x10;",
    ]
    assert len({first, *map(layout_hash, others)}) == 1 + len(others)


def test_the_made_python_needs_no_compiler_and_holds_the_whole_block(folder: Path) -> None:
    block = read_block(RDL / "example.rdl")
    path = folder / "example.py"
    path.write_text(python(block, "example.rdl"))
    made = loaded(path)
    assert without_text(block) == made.BLOCK
    assert (made.ID, made.LAYOUT_HASH) == (block.id, block.layout_hash) == (0x4558504C, made.BLOCK.layout_hash)
    assert (made.MODE, made.MODE_SHARE_MASK, made.MODE_SHARE_RESET) == (0x14, 0x3FF00, 1000)
    program = "import sys; import penstock_hw.blocks as b; b.known_blocks(); print('systemrdl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_made_c_header_compiles_and_its_macros_have_the_values(tmp_path: Path) -> None:
    headers = sorted((RDL / "generated").glob("penstock_*.h"))
    assert headers
    program = "".join(f'#include "{header.name}"\n' for header in [*headers, *headers]) + (
        "typedef char id_holds[PENSTOCK_EXAMPLE_ID == 0x4558504cu ? 1 : -1];\n"
        "typedef char offset_holds[PENSTOCK_EXAMPLE_OPENS_AT_NS_OFFSET == 0x38u ? 1 : -1];\n"
        "typedef char mask_holds[PENSTOCK_EXAMPLE_OPENS_AT_NS_MASK == UINT64_MAX ? 1 : -1];\n"
        "typedef char reset_holds[PENSTOCK_EXAMPLE_MODE_SHARE_RESET == 1000u ? 1 : -1];\n"
        "typedef char lsb_holds[PENSTOCK_EXAMPLE_MODE_SHARE_LSB == 8 ? 1 : -1];\n"
        "int main(void) { return 0; }\n"
    )
    (tmp_path / "use.c").write_text(program)
    command = ["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{RDL / 'generated'}", "-c", "use.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_words_cannot_end_a_comment_of_the_c_header(folder: Path) -> None:
    body = 'reg { desc = "a */ b"; field { sw = rw; hw = r; } a; } a @ 0x10;'
    header = c_header(read_block(block_with(folder, body)), "valve.rdl")
    assert all(line.count("*/") <= 1 for line in header.splitlines())


def test_the_made_verilog_names_every_word_once(folder: Path) -> None:
    block = read_block(RDL / "example.rdl")
    text = module(block, "example.rdl")
    names = re.findall(r"localparam logic \[11:0\] (\w+) += 12'h(\w+);", text)
    assert [int(offset, 16) for _, offset in names] == sorted({int(offset, 16) for _, offset in names})
    assert len(names) == 4 + sum(register.width // 32 for register in block.registers)


def test_a_block_of_status_alone_takes_no_write(folder: Path) -> None:
    block = read_block(block_with(folder, "reg { field { sw = r; hw = w; } a[8]; } a @ 0x10;"))
    text = module(block, "valve.rdl")
    assert "wire logic takes = 1'b0;" in text
    assert "cfg_a" not in text
