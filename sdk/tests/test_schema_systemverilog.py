"""rtl/penstock_pkg.sv is what the records say, and its constants find every field in a record's beats."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.schema import ABSENT, I64, U8, FieldLayout, Layout, Record, SchemaError, Wire
from penstock_sdk.wire import systemverilog
from penstock_sdk.wire.frame import HEADER, Header, encoder
from penstock_sdk.wire.systemverilog import Localparam, header_fields, localparams, main, package, packed_layouts
from sdk.tests.record_values import bits, record_values

COMMITTED = Path(__file__).parents[2] / "rtl" / "penstock_pkg.sv"


def constants(text: str) -> dict[str, int]:
    """Return the localparams of a package's text, read as a simulator would read their literals."""
    found: dict[str, int] = {}
    for line in re.findall(r"^ *localparam [^=]*?(\w+ = .*?);", text, re.MULTILINE):
        for name, literal in re.findall(r"(\w+) = (\S+?)(?:, |$)", line):
            size, signed, base, digits = re.fullmatch(r"(?:(\d+)'(s?)([dh]))?(\w+)", literal).groups()
            value = int(digits, 16 if base == "h" else 10)
            assert not size or value < 2 ** int(size), name
            found[name] = value - 2 ** int(size) if signed and value >= 2 ** (int(size) - 1) else value
    return found


CONSTANTS = constants(package())
every_record = pytest.mark.parametrize("layout", packed_layouts(), ids=lambda layout: layout.name)


def fields_by_constants(prefix: str, names: list[str], body: bytes) -> list[int]:
    """Return the unsigned bits of each field, found in 64-bit beats by the package's constants alone."""
    beats = [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body), 8)]
    values = []
    for name in names:
        beat, lsb, width, offset = (
            CONSTANTS[f"{prefix}_{name.upper()}_{what}"] for what in ("BEAT", "LSB", "W", "OFFSET")
        )
        values.append(beats[beat] >> lsb & (1 << width) - 1)
        assert values[-1] == int.from_bytes(body[offset : offset + width // 8], "little")
    return values


def test_the_committed_package_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(COMMITTED)]) == 0, capsys.readouterr().err


@every_record
@given(data=st.data())
def test_constants_find_every_field(layout: Layout, data: st.DataObject) -> None:
    values = data.draw(record_values(layout))
    body = layout.pack(layout.cls(*values))
    names = [field.name for field in layout.fields]
    assert tuple(fields_by_constants(layout.snake.upper(), names, body)) == bits(layout, values)


@every_record
def test_a_record_s_constants_are_its_layout_s(layout: Layout) -> None:
    prefix = layout.snake.upper()
    met = {what: CONSTANTS[f"{prefix}_{what}"] for what in ("ID", "VERSION", "BYTES", "BEATS", "LAYOUT_HASH")}
    assert met == {
        "ID": layout.id, "VERSION": layout.version, "BYTES": layout.size, "BEATS": layout.size // 8,
        "LAYOUT_HASH": layout.hash,
    }  # fmt: skip


def test_constants_find_the_header_s_fields() -> None:
    layout = packed_layouts()[0]
    frame = encoder(layout)(layout.cls(7), 10, 20, ABSENT, -1, 3, 9)
    header = Header(*HEADER.unpack_from(frame))
    values = fields_by_constants("FRAME", list(Header.__struct_fields__), frame[:48])
    assert values == [value % 2**64 for value in msgspec.structs.astuple(header)]
    assert (CONSTANTS["FRAME_HEADER_BYTES"], CONSTANTS["FRAME_HEADER_BEATS"]) == (48, 6)
    assert (CONSTANTS["FRAME_RECORDS_MAX"], CONSTANTS["FRAME_DIAGNOSTIC"]) == (4096, 0x80)


def test_enum_values_and_absence_have_their_field_s_width() -> None:
    assert CONSTANTS["SIDE_BUY"] == 1 and CONSTANTS["REASON_MARKET_ABUSE"] == 40 and CONSTANTS["ORIGIN_KERNEL"] == 6
    assert CONSTANTS["ABSENT"] == ABSENT
    text = package()
    assert "localparam logic [7:0] SIDE_BUY = 8'd1;" in text
    assert "localparam logic [15:0] REASON_PAUSED = 16'd2;" in text
    assert "localparam logic signed [63:0] ABSENT = 64'sh8000000000000000;" in text
    enums = {field.enum for layout in packed_layouts() for field in layout.fields if field.enum}
    for enum in enums:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.__name__).upper()
        assert {m.name: CONSTANTS[f"{prefix}_{m.name}"] for m in enum} == {m.name: m.value for m in enum}


def test_nothing_but_localparams_stands_in_the_package() -> None:
    text = re.sub(r"//.*|/\*.*?\*/", "", COMMITTED.read_text(encoding="ascii"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[:2] == ["`default_nettype none", "package penstock_pkg;"]
    assert lines[-2:] == ["endpackage", "`default_nettype wire"]
    assert all(
        re.fullmatch(r"localparam (int|logic (signed )?\[\d+:0\]) [A-Z0-9_]+ = .*;", line) for line in lines[2:-2]
    )
    assert COMMITTED.read_text(encoding="ascii").startswith("// SPDX-License-Identifier: Apache-2.0\n")


def test_a_plugin_s_own_records_are_not_in_our_package() -> None:
    assert {layout.cls.__module__.rpartition(".")[0] for layout in packed_layouts()} == {"penstock_sdk.events"}


class Colour(IntEnum):
    UNKNOWN = 0
    W = 1


def layout_for(name: str, *fields: tuple[str, Any]) -> Layout:
    cls = msgspec.defstruct(name, list(fields), bases=(Record,), frozen=True, gc=False)
    return Layout(cls, 40_000, 1, "test.some", None, False)


def test_two_constants_of_one_name_are_refused() -> None:
    paint = layout_for("Paint", ("colour", Annotated[int, Wire("B", Colour)]))
    assert "PAINT_COLOUR_W = 8" in package([paint]) and "COLOUR_W = 8'd1;" in package([paint])
    # Field colour of record "Paint" gives PAINT_COLOUR_W; a record "PaintColour" with a field w_w... gives its own.
    clash = layout_for("PaintColour", ("w", U8), ("beat", U8))
    other = layout_for("Paint", ("colour_w", U8))
    with pytest.raises(SchemaError, match=r"^localparam PAINT_COLOUR_W_BEAT is made by Paint.* and by PaintColour"):
        package([other, clash])


def test_a_field_across_two_beats_is_refused() -> None:
    layout = layout_for("Wide", ("a", I64), ("b", I64))
    layout.fields = (layout.fields[0], FieldLayout("b", "q", 12, 8))
    with pytest.raises(SchemaError, match=r"^Wide\.b lies at bytes 12 … 19, wanted it within one beat of 8 bytes"):
        localparams([layout])


def test_literals_have_their_own_width() -> None:
    assert Localparam("A", -1, -64, "h").literal() == "64'shffffffffffffffff"
    assert Localparam("A", 10, 8, "h").literal() == "8'h0a"
    assert Localparam("A", 10).literal() == "10" and Localparam("A", 10).typed() == "int"
    assert Localparam("A", 10, 16).typed() == "logic [15:0]"


def test_header_fields_lie_as_the_header_is_packed() -> None:
    assert [(f.name, f.offset, f.width) for f in header_fields()][-3:] == [
        ("count", 40, 4), ("stride", 44, 2), ("producer", 46, 2)
    ]  # fmt: skip


def test_check_tells_a_stale_and_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pkg.sv"
    assert main(["--check", str(path)]) == 1
    assert f"{path} is missing; write it with" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    path.write_text(path.read_text().replace("QUOTE_BYTES = 16'd56", "QUOTE_BYTES = 16'd64"))
    assert main(["--check", str(path)]) == 1
    assert f"{path} differs from the records" in capsys.readouterr().err
    assert "64" in path.read_text()
    assert main([str(tmp_path / "none" / "pkg.sv")]) == 1
    assert "is no folder" in capsys.readouterr().err
    assert Path("rtl/penstock_pkg.sv") == systemverilog._DEFAULT_PATH
