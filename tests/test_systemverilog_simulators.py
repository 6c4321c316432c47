"""RTL that slices beats with penstock_pkg's constants reads, and writes, the bytes that Python writes and reads."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_sdk.schema import Layout
from penstock_sdk.wire.systemverilog import localparams, packed_layouts
from sdk.tests.record_values import bits, extremes, from_bytes
from sims.simulators import PACKAGES, need_icarus, need_verilator, run, verilator_on_path

RANDOM_VECTORS = 8


def vectors(layout: Layout) -> list[tuple[Any, ...]]:
    """Return values: each extreme of each field, the rest of the record random; and whole random records."""
    rng = random.Random(layout.id)
    draws = [from_bytes(layout, rng.randbytes(layout.size)) for _ in range(RANDOM_VECTORS)]
    for i, field in enumerate(layout.fields):
        for value in extremes(field):
            draw = from_bytes(layout, rng.randbytes(layout.size))
            draw[i] = value
            draws.append(draw)
    return [tuple(draw) for draw in draws]


def bench_text(layouts: tuple[Layout, ...], rows: list[list[tuple[Any, ...]]]) -> str:
    """Return a module that prints every field of the records in beats.hex, and the beats made of fields.hex."""
    beats = sum(layout.size // 8 * len(r) for layout, r in zip(layouts, rows, strict=True))
    fields = sum(len(layout.fields) * len(r) for layout, r in zip(layouts, rows, strict=True))
    most = max(layout.size // 8 for layout in layouts)
    text = [
        "`default_nettype none",
        "module vectors;",
        f"    logic [63:0] beats [0:{beats - 1}], fields [0:{fields - 1}], made [0:{most - 1}];",
        "    int b, f;",
        "    initial begin",
        '        $readmemh("beats.hex", beats);',
        '        $readmemh("fields.hex", fields);',
        "        b = 0;",
        "        f = 0;",
    ]
    for layout, r in zip(layouts, rows, strict=True):
        name = f"penstock_pkg::{layout.snake.upper()}"
        text += [f"        for (int i = 0; i < {len(r)}; i = i + 1) begin", f'            $display("{layout.name}");']
        for field in layout.fields:
            at = f"{name}_{field.name.upper()}"
            value = f"beats[b + {at}_BEAT][{at}_LSB +: {at}_W]"
            text.append(f'            $display("%0d", {f"$signed({value})" if field.signed else value});')
        text.append(f"            for (int j = 0; j < {name}_BEATS; j = j + 1) made[j] = 64'd0;")
        for k, field in enumerate(layout.fields):
            at = f"{name}_{field.name.upper()}"
            text.append(f"            made[{at}_BEAT][{at}_LSB +: {at}_W] = fields[f + {k}][0 +: {at}_W];")
        text += [
            f'            for (int j = 0; j < {name}_BEATS; j = j + 1) $display("%h", made[j]);',
            f"            b = b + {name}_BEATS;",
            f"            f = f + {len(layout.fields)};",
            "        end",
        ]
    return "\n".join([*text, "        $finish;", "    end", "endmodule", "`default_nettype wire", ""])


def write_vectors(folder: Path) -> tuple[Path, list[str]]:
    """Write the module and its memories into *folder*; return its path and the lines that it has to print."""
    layouts = packed_layouts()
    rows = [vectors(layout) for layout in layouts]
    beats, fields, wanted = [], [], []
    for layout, r in zip(layouts, rows, strict=True):
        for values in r:
            event = layout.cls(*values)
            body = layout.pack(event)
            words = [f"{int.from_bytes(body[i : i + 8], 'little'):016x}" for i in range(0, len(body), 8)]
            patterns = bits(layout, msgspec.structs.astuple(event))
            beats += words
            fields += [f"{pattern:x}" for pattern in patterns]
            shown = [p if f.code == "d" else v for f, p, v in zip(layout.fields, patterns, values, strict=True)]
            wanted += [layout.name, *map(str, shown), *words]
    (folder / "beats.hex").write_text("\n".join(beats) + "\n", encoding="ascii")
    (folder / "fields.hex").write_text("\n".join(fields) + "\n", encoding="ascii")
    path = folder / "vectors.sv"
    path.write_text(bench_text(layouts, rows), encoding="ascii")
    return path, wanted


def compare(printed: str, wanted: list[str]) -> None:
    met = [line for line in printed.split("\n") if line and not line.startswith(("- ", "VCD"))]
    for i, (one, other) in enumerate(zip(met, wanted, strict=False)):
        assert one == other, f"line {i + 1}: the simulator printed {one}, Python has {other}"
    assert len(met) == len(wanted)


def test_icarus_and_python_read_and_write_the_same_bytes(tmp_path: Path) -> None:
    need_icarus()
    source, wanted = write_vectors(tmp_path)
    run("iverilog", "-g2012", "-o", "vectors.vvp", PACKAGES[0], source, cwd=tmp_path)
    compare(run("vvp", "-n", "vectors.vvp", cwd=tmp_path), wanted)
    assert len(wanted) > 20_000


@pytest.mark.long
@pytest.mark.timeout(600)
def test_verilator_and_python_read_and_write_the_same_bytes(tmp_path: Path) -> None:
    source, wanted = write_vectors(tmp_path)
    options = ("--binary", "-Wall", "-Wno-DECLFILENAME", "-j", "2", "-o", "vectors")
    with verilator_on_path():
        run("verilator", *options, PACKAGES[0], source, cwd=tmp_path, timeout_s=500)
    compare(run(tmp_path / "obj_dir" / "vectors", cwd=tmp_path), wanted)


def test_icarus_gives_every_constant_its_value(tmp_path: Path) -> None:
    need_icarus()
    parameters = [p for section in localparams(packed_layouts()) for line, _ in section.lines for p in line]
    lines = [f'$display("{p.name} %0d", penstock_pkg::{p.name});' for p in parameters]
    source = tmp_path / "constants.sv"
    source.write_text(
        "\n".join(["module constants;", "initial begin", *lines, "end", "endmodule", ""]), encoding="ascii"
    )
    run("iverilog", "-g2012", "-Wall", "-o", "constants.vvp", PACKAGES[0], source, cwd=tmp_path)
    printed = run("vvp", "-n", "constants.vvp", cwd=tmp_path).split("\n")
    assert printed[:-1] == [f"{p.name} {p.value}" for p in parameters]


def test_verilator_finds_nothing_to_complain_of_in_a_user_of_every_constant(tmp_path: Path) -> None:
    verilator = need_verilator() / "verilator"
    source, _ = write_vectors(tmp_path)
    run(verilator, "--lint-only", "--timing", "-Wall", PACKAGES[0], source, cwd=tmp_path)
