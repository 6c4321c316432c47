"""A record is the same bytes as a Struct, as a numpy array, in a frame and by hand, both ways, extremes included."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.schema import Frame, Layout, SchemaError
from penstock_sdk.wire.frame import HEADER_BYTES, encode_frame, encoder
from penstock_sdk.wire.systemverilog import packed_layouts
from sdk.tests.record_values import bits, bytes_by_hand, extremes, misfits, record_values

STAMPS = (5, 10**18, 4, 1, 3, 7)
"""seq, at_ns, cause_seq, correlation_seq, origin, producer"""

FEWER = settings(max_examples=max(10, settings().max_examples // 4))
"""For laws on several records at a time: their examples cost several times as much."""

every_record = pytest.mark.parametrize("layout", packed_layouts(), ids=lambda layout: layout.name)


def as_array(layout: Layout, rows: list[tuple[Any, ...]]) -> Any:
    array = np.zeros(len(rows), layout.dtype)
    for i, values in enumerate(rows):
        for field, value in zip(layout.fields, values, strict=True):
            array[field.name][i] = value
    return array


def check_projections(layout: Layout, values: tuple[Any, ...]) -> None:
    """Assert that every way to write these values gives the bytes laid out by hand, and every way back the values."""
    event = layout.cls(*values)
    wanted = bytes_by_hand(layout, values)
    assert layout.pack(event) == wanted
    assert as_array(layout, [values]).tobytes() == wanted
    assert encoder(layout)(event, *STAMPS)[HEADER_BYTES:] == wanted
    assert encode_frame(Frame.of([event]), *STAMPS) == encoder(layout)(event, *STAMPS)

    assert bits(layout, msgspec.structs.astuple(layout.unpack(wanted))) == bits(layout, values)
    assert bits(layout, np.frombuffer(wanted, layout.dtype)[0].tolist()) == bits(layout, values)
    (again,) = Frame.from_body(layout, wanted).records()
    assert bits(layout, msgspec.structs.astuple(again)) == bits(layout, values)


@every_record
@given(data=st.data())
def test_random_values_give_the_same_bytes_every_way(layout: Layout, data: st.DataObject) -> None:
    check_projections(layout, data.draw(record_values(layout)))


@every_record
def test_each_extreme_of_each_field_gives_the_same_bytes_every_way(layout: Layout) -> None:
    middle = [0 if field.code != "d" else 0.0 for field in layout.fields]
    for i, field in enumerate(layout.fields):
        for value in extremes(field):
            check_projections(layout, (*middle[:i], value, *middle[i + 1 :]))


@every_record
@given(data=st.data())
def test_random_bytes_read_as_a_record_are_written_as_they_were(layout: Layout, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.binary(min_size=layout.size, max_size=layout.size)))
    for start, end in layout.gaps:
        body[start:end] = bytes(end - start)
    assert layout.pack(layout.unpack(bytes(body))) == body
    # Through numpy's values, not its bytes: field by field into a fresh array.
    values = np.frombuffer(bytes(body), layout.dtype)[0].tolist()
    assert as_array(layout, [values]).tobytes() == body


@every_record
@FEWER
@given(data=st.data())
def test_a_frame_is_its_records_one_after_another(layout: Layout, data: st.DataObject) -> None:
    rows = data.draw(st.lists(record_values(layout), min_size=1, max_size=5))
    events = [layout.cls(*values) for values in rows]
    frame, wanted = Frame.of(events), b"".join(bytes_by_hand(layout, values) for values in rows)
    assert len(frame) == len(rows)
    assert frame.array.tobytes() == wanted
    assert encode_frame(frame, *STAMPS)[HEADER_BYTES:] == wanted
    assert encode_frame(Frame(layout.cls, as_array(layout, rows)), *STAMPS)[HEADER_BYTES:] == wanted
    for again in (frame.records(), layout.unpack_many(wanted)):
        assert [bits(layout, msgspec.structs.astuple(event)) for event in again] == [bits(layout, v) for v in rows]


@every_record
@FEWER
@given(data=st.data())
def test_a_longer_stride_of_a_newer_sender_is_read(layout: Layout, data: st.DataObject) -> None:
    rows = data.draw(st.lists(record_values(layout), min_size=1, max_size=4))
    appended = data.draw(st.binary(min_size=1, max_size=40))
    body = b"".join(bytes_by_hand(layout, values) + appended for values in rows)
    frame = Frame.from_body(layout, body, stride=layout.size + len(appended))
    assert frame.array.tobytes() == b"".join(bytes_by_hand(layout, values) for values in rows)


@every_record
def test_a_shorter_stride_of_an_older_sender_is_refused(layout: Layout) -> None:
    stride = layout.size - 8
    with pytest.raises(
        SchemaError, match=f"^{layout.name} met a stride of {stride} bytes, wanted {layout.size} or more"
    ):
        Frame.from_body(layout, bytes(stride), stride=stride)


@every_record
def test_a_value_that_does_not_fit_is_named_with_its_record_field_and_range(layout: Layout) -> None:
    good = [0 if field.code != "d" else 0.0 for field in layout.fields]
    encode = encoder(layout)
    for i, field in enumerate(layout.fields):
        wanted = "a float" if field.code == "d" else "an int in {} … {}".format(*field.value_range())
        for value in misfits(field):
            event = layout.cls(*good[:i], value, *good[i + 1 :])
            message = f"^{re.escape(f'{layout.name}.{field.name} met {value!r}, wanted {wanted}')}$"
            with pytest.raises(SchemaError, match=message):
                layout.pack(event)
            with pytest.raises(SchemaError, match=message):
                encode(event, *STAMPS)
            with pytest.raises(SchemaError, match=message):
                Frame.of([event])


def test_the_extremes_hold_what_decides() -> None:
    price = next(field for field in packed_layouts()[0].fields if field.name == "bid_ticks")
    assert {-(2**63), 2**63 - 1, 0, -1} <= set(extremes(price))
    value = next(field for layout in packed_layouts() for field in layout.fields if field.code == "d")
    floats = extremes(value)
    assert any(map(math.isnan, floats)) and {math.inf, -math.inf} <= set(floats)
    assert any(x == 0 and math.copysign(1, x) < 0 for x in floats)
