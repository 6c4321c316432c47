"""feed_decoder gives what its golden model gives for frames that Hypothesis draws; what fails is made small."""

from __future__ import annotations

import json
import struct
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Record
from sims.feed_decoder import drawn_bench
from sims.feed_decoder.feed_traffic import INT64_MAX, LISTINGS, Sent, edges, itch_message, packed_frame
from sims.simulators import run_bench

SIZES = {
    "SLOTS": 5, "MAP_W": 3, "RECORDS_MAX": 3, "PRICE_W": 8, "BOOK_QTY_W": 7, "COUNT_W": 4, "TID_W": 1, "RESYNC_EN": 1,
}  # fmt: skip
PRICES = st.sampled_from(edges(8, True)) | st.integers(-128, 127)
LOTS = st.sampled_from(edges(7, False)) | st.integers(0, 127)
LISTING = st.sampled_from(LISTINGS)
CODE = st.integers(0, 4)
FEW = st.integers(0, 9)

QUOTES = st.builds(
    events.Quote, listing_id=LISTING, tradability=st.sampled_from([1, 1, 1, 0, 2]), bid_ticks=PRICES, bid_lots=LOTS,
    ask_ticks=PRICES, ask_lots=LOTS,
)  # fmt: skip
LEVELS = st.builds(
    events.BookPriceDelta, listing_id=LISTING, side=CODE, action=CODE, price_ticks=PRICES, qty_lots=LOTS
)  # fmt: skip
ORDERS = st.builds(
    events.BookOrderDelta, listing_id=LISTING, side=CODE, action=CODE, order_ref=st.integers(ABSENT, INT64_MAX),
    price_ticks=PRICES, qty_lots=LOTS,
)  # fmt: skip
TRADES = st.builds(events.Trade, listing_id=LISTING)
CHANGES = st.dictionaries(
    st.sampled_from(["body_bytes", "schema_id", "version", "count", "stride"]),
    st.sampled_from([0, 1, 2, 3, 4, 6, 8, 55, 56, 57, 112, 255]),
    max_size=1,
)  # fmt: skip


@st.composite
def packed(draw: st.DrawFn) -> Sent:
    """A frame of records of one kind, whose seq may fall back, whose header may contradict it."""
    kind = draw(st.sampled_from([QUOTES, LEVELS, ORDERS, QUOTES, LEVELS, ORDERS, TRADES]))
    records: list[Record] = draw(st.lists(kind, min_size=1, max_size=SIZES["RECORDS_MAX"] + 1))
    changes = draw(st.just({}) | CHANGES)
    return packed_frame(records, draw(FEW | st.sampled_from([ABSENT, -1, INT64_MAX])), draw(FEW), **changes)


@st.composite
def itch(draw: st.DrawFn) -> Sent:
    """A message of one of the types that are taken or of another, whose length may not be the type's."""
    letter = draw(st.sampled_from("AFECXDUP"))
    head = struct.pack(">cHH", letter.encode(), draw(LISTING) & 0xFFFF, 0) + draw(FEW).to_bytes(6, "big")
    head += struct.pack(">Q", draw(st.integers(0, 2**64 - 1)))
    lots, price = draw(LOTS) & 0xFFFF_FFFF, draw(PRICES) & 0xFFFF_FFFF
    add = struct.pack(">cI8xI", draw(st.sampled_from([b"B", b"S", b"x"])), lots, price)
    rest = {
        "A": add, "F": add + b"NAME", "E": struct.pack(">IQ", lots, 1), "C": struct.pack(">IQcI", lots, 1, b"N", price),
        "X": struct.pack(">I", lots), "D": b"", "U": struct.pack(">QII", draw(FEW), lots, price), "P": bytes(draw(FEW)),
    }[letter]  # fmt: skip
    body = head + rest
    length = draw(st.none() | st.sampled_from([0, 1, len(body) - 1, len(body) + 1, 36, 40, 65535]))
    return itch_message(body if length is None else (body + bytes(64))[: min(length, 64)], length)


ANY_BYTES = st.builds(Sent, st.binary(min_size=8, max_size=64), st.booleans())


@st.composite
def frames(draw: st.DrawFn) -> Sent:
    """A frame of either format, or any bytes; it may be cut, go on too long, or have beats of another stream."""
    sent = draw(packed() | itch() | packed() | itch() | ANY_BYTES)
    frame = sent.frame + bytes(-len(sent.frame) % 8)
    beats = len(frame) // 8 + draw(st.just(0) | st.integers(-len(frame) // 8 + 1, 8))
    strange = draw(st.just([]) | st.lists(st.integers(0, beats - 1), max_size=2, unique=True))
    return Sent((frame + bytes(64))[: 8 * beats], sent.itch, tuple(sorted(strange)))


PAUSES = st.just([]) | st.lists(st.booleans(), max_size=3)
NUMBER = count()


@pytest.mark.timeout(300)
@settings(max_examples=10)
@given(st.lists(frames(), min_size=1, max_size=10), PAUSES, PAUSES)
def test_drawn_frames_give_what_the_model_gives(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Sent], idle: list[bool], backpressure: list[bool]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = folder / f"drawn-{next(NUMBER)}.json"
    listed = [(sent.frame.hex(), sent.itch, sent.strange) for sent in drawn]
    path.write_text(json.dumps({"frames": listed, "idle": idle, "backpressure": backpressure}))
    run_bench("feed_decoder", drawn_bench.__name__, folder, parameters=SIZES, env={drawn_bench.DRAWN: str(path)})
