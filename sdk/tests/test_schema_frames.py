"""A frame holds 1 … 4,096 records of one type, read-only, and its gaps are zeros whatever memory it was made from."""

from __future__ import annotations

import numpy as np
import pytest

from penstock_sdk.events import Limit, Pnl, Position, Quote, SessionState, Signal
from penstock_sdk.schema import FRAME_RECORDS_MAX, Frame, SchemaError, layout_of
from penstock_sdk.wire.frame import HEADER_BYTES, encode_frame
from penstock_sdk.wire.systemverilog import packed_layouts

QUOTE = layout_of(Quote)


@pytest.mark.parametrize("record", [SessionState, Signal, Limit])
def test_what_the_memory_held_before_does_not_travel(record: type) -> None:
    layout = layout_of(record)
    assert layout.gaps
    dirty = np.full(3 * layout.size, 0xAA, np.uint8).view(layout.dtype)
    for name in layout.dtype.names or ():
        dirty[name] = 1
    clean = np.zeros(3, layout.dtype)
    for name in layout.dtype.names or ():
        clean[name] = 1
    frame = Frame(record, dirty)
    assert encode_frame(frame, 1, 2, 0, 0, 3, 4)[HEADER_BYTES:] == clean.tobytes()
    assert b"".join(layout.pack(event) for event in frame.records()) == clean.tobytes()
    body = bytes(np.full(layout.size, 0xFF, np.uint8))
    assert Frame.from_body(layout, body).array.tobytes() == layout.pack(layout.unpack(body))


def test_the_records_that_have_gaps_are_known() -> None:
    # A new one is no error; it costs a look at its gaps per frame, which fields of the right width avoid.
    assert [layout.name for layout in packed_layouts() if layout.gaps] == ["SessionState", "Signal", "Limit", "Timer"]


def test_a_frame_is_read_only() -> None:
    frame = Frame.of([Quote(1), Quote(2)])
    with pytest.raises(ValueError, match="read-only"):
        frame.array["listing_id"][0] = 5
    kept = frame.array.copy()
    kept["listing_id"][0] = 5
    assert frame.array["listing_id"].tolist() == [1, 2]


def test_a_slice_with_a_step_is_taken_as_its_own_bytes() -> None:
    array = np.zeros(6, QUOTE.dtype)
    array["listing_id"] = range(6)
    assert [quote.listing_id for quote in Frame(Quote, array[::2]).records()] == [0, 2, 4]


@pytest.mark.parametrize("count", [0, FRAME_RECORDS_MAX + 1])
def test_a_frame_has_1_to_4096_records(count: int) -> None:
    with pytest.raises(SchemaError, match=rf"^frame of Quote met {count} records, wanted 1 … 4096"):
        Frame(Quote, np.zeros(count, QUOTE.dtype))
    assert len(Frame(Quote, np.zeros(FRAME_RECORDS_MAX, QUOTE.dtype))) == 4096


def test_an_array_of_another_record_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"^frame of Quote met an array of "):
        Frame(Quote, np.zeros(1, layout_of(Position).dtype))
    with pytest.raises(SchemaError, match=r"one axis$"):
        Frame(Quote, np.zeros((1, 1), QUOTE.dtype))


def test_records_of_two_types_make_no_frame() -> None:
    # These two have the same widths, so that the bytes alone would not tell.
    assert layout_of(Position).codes == layout_of(Pnl).codes
    with pytest.raises(SchemaError, match=r"^frame met records of Pnl, Position, wanted one or more of one type"):
        Frame.of([Position(1), Pnl(1)])
    with pytest.raises(SchemaError, match=r"^frame met records of no type"):
        Frame.of([])


@pytest.mark.parametrize(("length", "stride"), [(0, 0), (55, 0), (57, 56), (64 + 56, 64), (0, 64)])
def test_a_body_of_a_broken_length_is_refused(length: int, stride: int) -> None:
    with pytest.raises(SchemaError, match=rf"^frame of Quote met a body of {length} bytes, wanted a multiple of"):
        Frame.from_body(QUOTE, bytes(length), stride)


def test_a_cut_body_is_no_record() -> None:
    with pytest.raises(SchemaError, match=r"^Quote met a body of 55 bytes, wanted 56$"):
        QUOTE.unpack(bytes(55))
    with pytest.raises(SchemaError, match=r"^Quote met a body of 57 bytes, wanted a multiple of 56$"):
        list(QUOTE.unpack_many(bytes(57)))
