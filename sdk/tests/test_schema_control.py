"""A control record comes back from msgpack as it went, whatever its fields hold."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock_sdk.events
from penstock_sdk.events import ContractDefinition, Interned
from penstock_sdk.schema import ABSENT, Layout, layout_of, layouts
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, encoder

assert penstock_sdk.events  # registers the records

texts = st.text(max_size=20)
integers = st.sampled_from([ABSENT, -1, 0, 2**63 - 1, 2**64 - 1]) | st.integers(ABSENT, 2**64 - 1)
carried = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False) | texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: integers,
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    dict[str, str]: st.dictionaries(texts, texts, max_size=3),
    list[tuple[int, int]]: st.lists(st.tuples(integers, integers), max_size=3),
    list[tuple[int, int, int]]: st.lists(st.tuples(integers, integers, integers), max_size=3),
    list[str]: st.lists(texts, max_size=3),
    list[int]: st.lists(integers, max_size=3),
    dict[str, int]: st.dictionaries(texts, integers, max_size=3),
    dict[str, Any]: st.dictionaries(texts, carried, max_size=3),
    list[dict[str, Any]]: st.lists(st.dictionaries(texts, carried, max_size=3), max_size=3),
    Any: carried,
}


def strategy_for(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return st.sampled_from(kind)
    return STRATEGIES[kind]


def controls() -> list[Layout]:
    return [
        layout for layout in layouts() if not layout.packed and layout.cls.__module__.startswith("penstock_sdk.events.")
    ]


@pytest.mark.parametrize("layout", controls(), ids=lambda layout: layout.name)
@given(data=st.data())
def test_a_control_record_comes_back_as_it_went(layout: Layout, data: st.DataObject) -> None:
    hints = get_type_hints(layout.cls, include_extras=True)
    values = {name: data.draw(strategy_for(hints[name])) for name in layout.cls.__struct_fields__}
    event = layout.cls(**values)
    body = layout.pack(event)
    assert layout.unpack(body) == event
    frame = encoder(layout)(event, 1, 2, 3, 4, 5, 6)
    header = Header(*HEADER.unpack_from(frame))
    assert (header.body_bytes, header.count, header.stride) == (len(body), 1, 0)
    assert frame[HEADER_BYTES:] == body + bytes(-len(body) % 8)


def test_fields_go_by_name_so_that_readers_may_know_fewer_or_more() -> None:
    layout = layout_of(Interned)
    known = msgspec.msgpack.decode(layout.pack(Interned(kind=4, id=7, name="PH 12")))  # type: ignore[arg-type]
    assert known == {"kind": 4, "id": 7, "name": "PH 12"}
    assert layout.unpack(msgspec.msgpack.encode(known | {"appended": 1})).name == "PH 12"


def test_a_missing_field_is_named() -> None:
    layout = layout_of(ContractDefinition)
    with pytest.raises(msgspec.ValidationError, match="contract_id"):
        layout.unpack(msgspec.msgpack.encode({"name": "PH 12"}))
