"""Fields lie where a C compiler puts them, none straddles a beat, and the layout's hash sees every change."""

from __future__ import annotations

import ctypes
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock_sdk import schema
from penstock_sdk.events import Quote, Severity, Side
from penstock_sdk.schema import (
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    USER_IDS,
    Control,
    Layout,
    Record,
    SchemaError,
    Wire,
    control,
    layout_of,
    layouts,
    record,
    schema_by_id,
)
from penstock_sdk.wire.systemverilog import packed_layouts

C_TYPES = {
    U8: ctypes.c_uint8, U16: ctypes.c_uint16, U32: ctypes.c_uint32, U64: ctypes.c_uint64,
    I8: ctypes.c_int8, I16: ctypes.c_int16, I32: ctypes.c_int32, I64: ctypes.c_int64, F64: ctypes.c_double,
}  # fmt: skip

Fields = list[tuple[str, Any]]
names = st.lists(
    st.from_regex(r"[a-z][a-z_]{0,8}[a-z]", fullmatch=True).map("f_{}".format), unique=True, min_size=1, max_size=12
)
declared = names.flatmap(
    lambda n: st.tuples(*[st.sampled_from(list(C_TYPES))] * len(n)).map(lambda types: list(zip(n, types, strict=True)))
)


def layout_for(fields: Fields, schema_id: int = 40_000, version: int = 1) -> Layout:
    """Return a layout that nobody registered."""
    cls = msgspec.defstruct("Some", fields, bases=(Record,), frozen=True, gc=False)
    return Layout(cls, schema_id, version, "test.some", None, False)


def check_places(layout: Layout) -> None:
    """Assert every invariant of a packed layout."""
    end = 0
    for field in layout.fields:
        assert field.offset % field.width == 0
        assert field.offset >= end
        assert field.offset // 8 == (field.offset + field.width - 1) // 8, "straddles a beat"
        end = field.offset + field.width
    assert layout.size % 8 == 0
    assert 0 <= layout.size - end < 8
    covered = [byte for f in layout.fields for byte in range(f.offset, f.offset + f.width)]
    covered += [byte for start, stop in layout.gaps for byte in range(start, stop)]
    assert sorted(covered) == list(range(layout.size))
    assert layout.dtype.itemsize == layout.size


@given(fields=declared)
def test_any_declaration_lies_as_c_would_place_it(fields: Fields) -> None:
    layout = layout_for(fields)
    check_places(layout)
    c_fields = [(name, C_TYPES[kind]) for name, kind in fields]
    placed = type("Placed", (ctypes.LittleEndianStructure,), {"_fields_": c_fields})
    assert [f.offset for f in layout.fields] == [getattr(placed, name).offset for name, _ in fields]
    assert layout.size == -(-ctypes.sizeof(placed) // 8) * 8


@pytest.mark.parametrize("layout", packed_layouts(), ids=lambda layout: layout.name)
def test_our_records_keep_every_invariant(layout: Layout) -> None:
    check_places(layout)
    assert [field.name for field in layout.fields][-2:] == ["source_ns", "recv_ns"]
    assert "clock" in [field.name for field in layout.fields]
    assert all(field.enum is None or max(field.enum) <= field.value_range()[1] for field in layout.fields)


def test_gaps_are_zero_on_the_wire() -> None:
    layout = layout_for([("a", U8), ("b", U32), ("c", U8), ("d", I64), ("e", U16)])
    assert layout.gaps == ((1, 4), (9, 16), (26, 32))
    assert layout.pack(layout.cls(0xFF, 0xFFFF_FFFF, 0xFF, -1, 0xFFFF)) == bytes.fromhex(
        "ff000000ffffffff ff00000000000000 ffffffffffffffff ffff000000000000"
    )


@given(fields=declared, data=st.data())
def test_the_hash_changes_with_any_field(fields: Fields, data: st.DataObject) -> None:
    before = layout_for(fields)
    assert layout_for(fields).hash == before.hash
    i = data.draw(st.integers(0, len(fields) - 1))
    name, kind = fields[i]
    other_kind = data.draw(st.sampled_from([t for t in C_TYPES if t != kind]))
    renamed = [*fields[:i], (name + "x", kind), *fields[i + 1 :]]
    assume(name + "x" not in dict(fields))
    retyped = [*fields[:i], (name, other_kind), *fields[i + 1 :]]
    appended = [*fields, ("appended", other_kind)]
    changed = [renamed, retyped, appended] + [fields[:i] + fields[i + 1 :]] * (len(fields) > 1)
    if len(fields) > 1:
        j = data.draw(st.integers(0, len(fields) - 1).filter(lambda j: j != i))
        swapped = list(fields)
        swapped[i], swapped[j] = fields[j], fields[i]
        changed.append(swapped)
    hashes = [layout_for(other).hash for other in changed] + [
        layout_for(fields, schema_id=40_001).hash, layout_for(fields, version=2).hash
    ]  # fmt: skip
    assert before.hash not in hashes
    assert all(0 <= value < 2**32 for value in hashes)


def test_ids_are_unique_and_ours_lie_below_those_of_plugins() -> None:
    ours = [layout for layout in layouts() if layout.cls.__module__.startswith("penstock_sdk.events.")]
    assert len({layout.id for layout in ours}) == len(ours) > 30
    assert all(0 < layout.id < USER_IDS.start for layout in ours)
    assert len({layout.topic for layout in ours}) == len(ours)
    assert len({layout.snake for layout in ours} | {layout.plural for layout in ours}) == 2 * len(ours)
    assert all(schema_by_id(layout.id) is layout and layout_of(layout.cls) is layout for layout in ours)
    assert list(layouts()) == sorted(layouts(), key=lambda layout: layout.id)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' own records are not there, and what a test declares is forgotten after it."""
    ours = {schema_id: layout for schema_id, layout in schema._BY_ID.items() if schema_id not in USER_IDS}
    monkeypatch.setattr(schema, "_BY_ID", ours)


@pytest.mark.usefixtures("registry")
def test_a_taken_id_is_refused_and_names_both() -> None:
    @record(id=40_000, topic="test.first")
    class First(Record, frozen=True, gc=False):
        a: U8

    message = r"^schema id 40000 of .*\.Second is taken by .*\.First; take a free one in 32768 … 65534$"
    with pytest.raises(SchemaError, match=message):

        @record(id=40_000, topic="test.second")
        class Second(Record, frozen=True, gc=False):
            a: U8

    assert schema_by_id(40_000).cls is First


@pytest.mark.usefixtures("registry")
def test_a_record_of_the_same_name_in_another_module_does_not_take_its_place() -> None:
    mine = msgspec.defstruct("Tick", [("a", U8)], bases=(Record,), frozen=True, gc=False, module="vendor_a")
    theirs = msgspec.defstruct("Tick", [("a", U16)], bases=(Record,), frozen=True, gc=False, module="vendor_b")
    record(id=40_000, topic="test.tick")(mine)
    with pytest.raises(SchemaError, match=r"^schema id 40000 of vendor_b\.Tick is taken by vendor_a\.Tick"):
        record(id=40_000, topic="test.tick")(theirs)
    assert schema_by_id(40_000).cls is mine


@pytest.mark.usefixtures("registry")
def test_a_plugin_cannot_take_one_of_our_ids() -> None:
    with pytest.raises(SchemaError, match=r"^Own met schema id 900, wanted one in 32768 … 65534$"):

        @record(id=900, topic="test.own")
        class Own(Record, frozen=True, gc=False):
            a: U8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_id": 0}, r"^Some met id 0, wanted 1 … 65534$"),
        ({"schema_id": 65_535}, r"^Some met id 65535, wanted 1 … 65534$"),
        ({"version": 0}, r"^Some met version 0, wanted 1 … 255$"),
        ({"version": 256}, r"^Some met version 256, wanted 1 … 255$"),
    ],
)
def test_what_the_header_cannot_carry_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        layout_for([("a", U8)], **changes)
    layout_for([("a", U8)], schema_id=65_534, version=255)


def test_a_field_without_a_fixed_width_is_refused_by_name() -> None:
    with pytest.raises(
        SchemaError, match=r"^Some\.name met <class 'str'>, wanted a fixed-width type such as I64 or U32"
    ):
        layout_for([("a", U8), ("name", str)])
    with pytest.raises(SchemaError, match=r"^Some has no fields"):
        layout_for([])


def test_what_was_never_declared_is_refused_by_name() -> None:
    class Loose(Record, frozen=True, gc=False):
        a: U8

    with pytest.raises(SchemaError, match=r"Loose.* is no declared record; decorate it"):
        layout_of(Loose)
    with pytest.raises(SchemaError, match=r"^schema id 65000 is not registered; import the plugin"):
        schema_by_id(65_000)


@pytest.mark.usefixtures("registry")
def test_handlers_are_named_after_the_record() -> None:
    @control(id=40_002, topic="test.gate", plural="gates_seen", diagnostic=True)
    class GateSeen(Control, frozen=True, kw_only=True):
        name: str

    layout = layout_of(GateSeen)
    assert (layout.snake, layout.plural, layout.packed, layout.diagnostic) == ("gate_seen", "gates_seen", False, True)
    assert (layout.fields, layout.size) == ((), 0)
    assert layout_of(Quote).plural == "quotes"


def test_people_see_enums_by_name_and_absence_as_none() -> None:
    layout = layout_for([("side", Annotated[int, Wire("B", Side)]), ("price_ticks", I64), ("flags", U8)])
    assert layout.describe(layout.cls(2, -5, 3)) == {"side": "SELL", "price_ticks": -5, "flags": 3}
    assert layout.describe(layout.cls(9, schema.ABSENT, 0)) == {"side": 9, "price_ticks": None, "flags": 0}


def test_enums_begin_with_unknown() -> None:
    enums = {field.enum for layout in packed_layouts() for field in layout.fields if field.enum} | {Severity}
    assert {enum(0).name for enum in enums} == {"UNKNOWN", "NONE"}
