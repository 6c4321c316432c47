"""feed_decoder gives what its golden model gives for frames that Hypothesis draws; what fails is made small."""

from __future__ import annotations

import struct
from itertools import chain
from pathlib import Path
from typing import Any

import cocotb
import pytest
from hypothesis import strategies as st

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Record
from sims.drawn import PAUSES, Watched, each_example, pause_of, simulate
from sims.feed_decoder.decoder_bench import Bench
from sims.feed_decoder.feed_traffic import INT64_MAX, LISTINGS, Sent, edges, itch_message, packed_frame
from sims.fields import FieldSink

SIZES = {
    "SLOTS": 5, "MAP_W": 3, "RECORDS_MAX": 3, "PRICE_W": 8, "BOOK_QTY_W": 7, "COUNT_W": 4, "TID_W": 1, "RESYNC_EN": 1,
}  # fmt: skip
CYCLES = 8_000
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


class Sink(Watched, FieldSink):
    """A sink of updates whose faults fail the example."""


class DrawnBench(Watched, Bench):
    """A bench of the decoder whose faults fail the example."""

    sink_type = Sink


@cocotb.test(timeout_time=2, timeout_unit="sec")
async def drawn_frames_give_what_the_model_gives(dut: Any) -> None:
    bench = await DrawnBench.start(dut)

    async def run(example: tuple[list[Sent], list[bool], list[bool], int]) -> None:
        sent, idle, backpressure, haste = example
        for name in ("format_itch", "map_write", "map_read"):
            getattr(dut, f"cfg_{name}").value = 0
        bench.rng.seed(haste)
        bench.source.pause = bench.sink.pause = None  # the last example's; here they begin at the same edge each time
        await bench.begin()
        bench.source.pause, bench.sink.pause = pause_of(idle), pause_of(backpressure)
        await bench.check(sent)

    # Lists are drawn short; each of three shrinks to nothing by itself.
    sent = st.tuples(*[st.lists(frames(), max_size=6)] * 3).map(lambda parts: [*chain(*parts)])
    await each_example(dut, run, st.tuples(sent, PAUSES, PAUSES, st.integers(0, 9)), CYCLES)


@pytest.mark.timeout(600)  # a failure is shrunk
def test_drawn_frames_give_what_the_model_gives(tmp_path: Path) -> None:
    simulate("feed_decoder", __name__, tmp_path, "icarus", SIZES, 40)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_drawn_frames_give_what_the_model_gives(tmp_path: Path) -> None:
    simulate("feed_decoder", __name__, tmp_path, "verilator", SIZES, 1_000)
