"""Proves the golden feed decoder on frames worked out by hand, on real captures, and compiled against plain."""

from __future__ import annotations

import doctest
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock_sdk.events as events
from penstock_sdk.compiled import compile_golden
from penstock_sdk.events.enums import BookAction, Side
from penstock_sdk.golden import feed_decoder as m
from penstock_sdk.golden.feed_decoder_layout import Table, new_decoder, new_updates
from penstock_sdk.schema import ABSENT, Record, layout_of
from penstock_sdk.wire.frame import HEADER
from sims.feed_decoder.feed_traffic import captured_messages, random_itch, random_packed, spoiled

POISONED = [m.UPDATE_POISON, 3, 0, ABSENT, 0, ABSENT, 0, 0, 0, 900]


def beats(frame: bytes) -> Table:
    return np.frombuffer(frame, "<i8")


def packed(records: list[Record], seq: int = 1, **changes: int) -> Table:
    layout = layout_of(type(records[0]))
    body = b"".join(layout.pack(record) for record in records)
    head = {
        "body_bytes": len(body), "schema_id": layout.id, "version": 1, "origin": 1, "seq": seq, "at_ns": 900,
        "cause_seq": 0, "correlation_seq": 0, "count": len(records), "stride": 56, "producer": 0,
    }  # fmt: skip
    return beats(HEADER.pack(*(head | changes).values()) + body)


def itch(body: bytes, length: int | None = None) -> Table:
    frame = struct.pack(">H", len(body) if length is None else length) + body
    return beats(frame + bytes(-len(frame) % 8))


def decoder_of(**settings_: int) -> Table:
    decoder = new_decoder(**settings_)
    m.map_listing(decoder, 70, 3)
    return decoder


def rows_of(decoder: Table, frame: Table, format_: int = m.PACKED, streams: int = m.ONE_STREAM) -> list[list[int]]:
    updates = new_updates()
    return updates[: m.decode_frame(decoder, frame, format_, streams, updates)].tolist()


def counted(decoder: Table) -> dict[str, int]:
    return {name: int(count) for name, count in zip(m.COUNTERS, decoder[1].tolist(), strict=False) if count}


def test_the_examples_hold() -> None:
    assert doctest.testmod(m).failed == 0


def test_a_quote_is_both_best_prices() -> None:
    quote = events.Quote(listing_id=70, bid_ticks=-5, bid_lots=2, ask_ticks=4, ask_lots=1)
    assert rows_of(decoder_of(), packed([quote])) == [[m.UPDATE_QUOTE, 3, 0, -5, 2, 4, 1, 0, 0, 900]]


@pytest.mark.parametrize(
    "bid", [{}, {"bid_ticks": 7}, {"bid_lots": 7}, {"bid_lots": -7}, {"bid_ticks": 2**62, "bid_lots": 0}]
)
def test_a_side_without_price_or_without_lots_is_not_there(bid: dict[str, int]) -> None:
    quote = events.Quote(listing_id=70, ask_ticks=4, ask_lots=1, **bid)
    assert rows_of(decoder_of(), packed([quote])) == [[m.UPDATE_QUOTE, 3, 0, ABSENT, 0, 4, 1, 0, 0, 900]]


@pytest.mark.parametrize("tradability", [0, 2, 3, 9])
def test_a_quote_that_cannot_be_dealt_on_poisons_and_is_no_fault(tradability: int) -> None:
    decoder = decoder_of()
    quote = events.Quote(listing_id=70, tradability=tradability, bid_ticks=2**62, bid_lots=1)
    assert rows_of(decoder, packed([quote])) == [POISONED]
    assert counted(decoder) == {"accepted": 1, "updates": 1}


def test_level_deltas_set_delete_and_clear() -> None:
    level = {"listing_id": 70, "price_ticks": -9, "qty_lots": 6}
    frame = packed(
        [
            events.BookPriceDelta(side=Side.BUY, action=BookAction.SET, **level),
            events.BookPriceDelta(side=Side.SELL, action=BookAction.DELETE, **level),
            events.BookPriceDelta(action=BookAction.CLEAR, **level),
        ]
    )
    assert rows_of(decoder_of(), frame) == [
        [m.UPDATE_LEVEL, 3, 1, -9, 6, ABSENT, 0, 0, 0, 900],
        [m.UPDATE_LEVEL, 3, 2, -9, 0, ABSENT, 0, 0, 0, 900],
        [m.UPDATE_CLEAR, 3, 0, ABSENT, 0, ABSENT, 0, 0, 0, 900],
    ]


def test_order_deltas_set_delete_and_clear() -> None:
    order = {"listing_id": 70, "order_ref": -2, "price_ticks": -9, "qty_lots": 6}
    frame = packed(
        [
            events.BookOrderDelta(side=Side.SELL, action=BookAction.SET, **order),
            events.BookOrderDelta(action=BookAction.DELETE, **order),
            events.BookOrderDelta(action=BookAction.CLEAR, **order),
        ]
    )
    assert rows_of(decoder_of(), frame) == [
        [m.UPDATE_SET, 3, 2, -9, 6, ABSENT, 0, -2, 0, 900],
        [m.UPDATE_DELETE, 3, 0, ABSENT, 0, ABSENT, 0, -2, 0, 900],
        [m.UPDATE_CLEAR, 3, 0, ABSENT, 0, ABSENT, 0, 0, 0, 900],
    ]


GOOD_LEVEL = {"listing_id": 70, "side": 1, "action": 1, "price_ticks": 127, "qty_lots": 255}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True), ({"price_ticks": -128}, True), ({"qty_lots": 0}, True), ({"action": 2, "qty_lots": -1}, True),
        ({"price_ticks": 128}, False), ({"price_ticks": -129}, False), ({"price_ticks": ABSENT}, False),
        ({"qty_lots": 256}, False), ({"qty_lots": -1}, False), ({"side": 0}, False), ({"side": 3}, False),
        ({"action": 0}, False), ({"action": 4}, False), ({"action": 2, "side": 0}, False),
        ({"action": 2, "price_ticks": 128}, False), ({"action": 3, "side": 9, "price_ticks": 128}, True),
    ],
)  # fmt: skip
def test_what_does_not_fit_poisons(changes: dict[str, int], fits: bool) -> None:
    decoder = decoder_of(price_bits=8, lots_bits=8)
    rows = rows_of(decoder, packed([events.BookPriceDelta(**(GOOD_LEVEL | changes))]))
    assert (rows != [POISONED]) == fits
    assert counted(decoder).get("range", 0) == (not fits)


HEAD = struct.pack(">HH", 70, 1) + (10**9).to_bytes(6, "big")
REF = struct.pack(">Q", 0xF102_0304_0506_0708)
SIGNED_REF = 0xF102_0304_0506_0708 - 2**64


@pytest.mark.parametrize(
    ("message", "row"),
    [
        (b"A" + HEAD + REF + struct.pack(">cI8si", b"B", 9, b"DE_Q1", -3), [m.UPDATE_ADD, 3, 1, -3, 9, SIGNED_REF, 0]),
        (b"A" + HEAD + REF + struct.pack(">cI8si", b"S", 9, b"DE_Q1", 3), [m.UPDATE_ADD, 3, 2, 3, 9, SIGNED_REF, 0]),
        (b"E" + HEAD + REF + struct.pack(">IQ", 4, 77), [m.UPDATE_REDUCE, 3, 0, ABSENT, 4, SIGNED_REF, 0]),
        (
            b"F" + HEAD + REF + struct.pack(">cI8si4s", b"S", 9, b"DE_Q1", -3, b"ACME"),
            [m.UPDATE_ADD, 3, 2, -3, 9, SIGNED_REF, 0],
        ),
        (b"C" + HEAD + REF + struct.pack(">IQci", 4, 77, b"Y", 3), [m.UPDATE_REDUCE, 3, 0, ABSENT, 4, SIGNED_REF, 0]),
        (b"C" + HEAD + REF + struct.pack(">IQci", 4, 77, b"N", -1), [m.UPDATE_REDUCE, 3, 0, ABSENT, 4, SIGNED_REF, 0]),
        (b"X" + HEAD + REF + struct.pack(">I", 5), [m.UPDATE_REDUCE, 3, 0, ABSENT, 5, SIGNED_REF, 0]),
        (b"D" + HEAD + REF, [m.UPDATE_DELETE, 3, 0, ABSENT, 0, SIGNED_REF, 0]),
        (b"U" + HEAD + REF + struct.pack(">QIi", 8, 6, -7), [m.UPDATE_REPLACE, 3, 0, -7, 6, SIGNED_REF, 8]),
        (b"A" + HEAD + REF + struct.pack(">cI8si", b"x", 9, b"DE_Q1", -3), [m.UPDATE_POISON, 3, 0, ABSENT, 0, 0, 0]),
    ],
)
def test_itch_messages(message: bytes, row: list[int]) -> None:
    kind, slot, side, price, lots, ref, new_ref = row
    met = rows_of(decoder_of(itch_base_ns=5), itch(message), m.ITCH)
    assert met == [[kind, slot, side, price, lots, ABSENT, 0, ref, new_ref, 5 + 10**9]]


QUOTE = events.Quote(listing_id=70, bid_ticks=1, bid_lots=1)


@pytest.mark.parametrize(
    ("frame", "format_", "counter"),
    [
        (packed([QUOTE])[:12], m.PACKED, "truncated"),
        (packed([QUOTE])[:1], m.PACKED, "truncated"),
        (np.append(packed([QUOTE]), 0), m.PACKED, "oversized"),
        (packed([QUOTE] * 17), m.PACKED, "oversized"),
        (packed([QUOTE], version=2), m.PACKED, "malformed"),
        (packed([QUOTE], stride=48), m.PACKED, "malformed"),
        (packed([QUOTE], count=0), m.PACKED, "malformed"),
        (packed([QUOTE], count=2), m.PACKED, "malformed"),
        (packed([events.Trade(listing_id=70)]), m.PACKED, "other"),
        (packed([QUOTE], seq=ABSENT), m.PACKED, "out_of_order"),
        (itch(b"D" + HEAD + REF)[:2], m.ITCH, "truncated"),
        (np.append(itch(b"D" + HEAD + REF), 0), m.ITCH, "oversized"),
        (itch(b"D" + HEAD + REF + b"\0"), m.ITCH, "malformed"),
        (itch(b""), m.ITCH, "malformed"),
        (itch(b"F" + HEAD + REF), m.ITCH, "malformed"),
        (itch(b"F" + HEAD + REF + bytes(17)), m.ITCH, "malformed"),  # as long as A
        (itch(b"F" + HEAD + REF + bytes(22)), m.ITCH, "malformed"),
        (itch(b"C" + HEAD + REF + bytes(12)), m.ITCH, "malformed"),  # as long as E
        (itch(b"C" + HEAD + REF + bytes(18)), m.ITCH, "malformed"),
        (itch(b"P" + HEAD + REF), m.ITCH, "other"),
        (itch(b"P"), m.ITCH, "other"),
    ],
)
def test_a_frame_that_falls_is_counted_once_and_changes_nothing(frame: Table, format_: int, counter: str) -> None:
    decoder = decoder_of()
    before = decoder.copy()
    assert rows_of(decoder, frame, format_) == []
    assert counted(decoder) == {counter: 1}
    assert decoder[1, m.COUNT_LOST] == (counter != "other")
    assert np.array_equal(np.delete(decoder, 1, 0), np.delete(before, 1, 0))
    assert rows_of(decoder, frame, format_, m.INTERLEAVED) == []
    assert counted(decoder) == {counter: 1, "interleaved": 1}
    assert decoder[1, m.COUNT_LOST] == 1 + (counter != "other")


def test_seq_rises_by_any_step_and_never_falls() -> None:
    decoder = decoder_of()
    taken = [len(rows_of(decoder, packed([QUOTE], seq))) for seq in (5, 6, 6, 5, 2**62, 7, 2**63 - 1)]
    assert taken == [1, 1, 0, 0, 1, 0, 1]
    assert counted(decoder)["out_of_order"] == 3


def test_of_two_listings_in_one_row_the_later_is_mapped() -> None:
    decoder = new_decoder(map_bits=4, slots=5)
    assert m.map_listing(decoder, 0x12, 4)
    assert m.slot_of(decoder, 0x12) == 4
    assert m.slot_of(decoder, 0x22) == m.slot_of(decoder, 0x02) == -1
    assert m.map_listing(decoder, 0x22, 0)
    assert (m.slot_of(decoder, 0x12), m.slot_of(decoder, 0x22)) == (-1, 0)
    assert not m.map_listing(decoder, 0x22, 5)
    assert m.slot_of(decoder, 0x22) == -1


def test_records_without_a_slot_are_counted_and_the_others_stay() -> None:
    decoder = decoder_of()
    other = events.Quote(listing_id=71, bid_ticks=1, bid_lots=1)
    assert len(rows_of(decoder, packed([other, QUOTE, other]))) == 1
    assert counted(decoder) == {"accepted": 1, "updates": 1, "unmapped": 2}


@pytest.mark.parametrize(
    "wrong", [{"slots": 1}, {"map_bits": 0}, {"map_bits": 17}, {"records_max": 0}, {"price_bits": 64}, {"lots_bits": 0}]
)
def test_a_setting_beyond_its_range_is_refused(wrong: dict[str, int]) -> None:
    ((name, met),) = wrong.items()
    with pytest.raises(ValueError, match=rf"^{name} is {met}, wanted \d+ to \d+$"):
        new_decoder(**wrong)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=8, max_size=200), st.sampled_from([m.PACKED, m.ITCH]))
def test_any_bytes_are_one_frame_in_one_counter(frame: bytes, format_: int) -> None:
    decoder = decoder_of()
    rows = rows_of(decoder, beats(frame + bytes(-len(frame) % 8)), format_)
    assert sum(decoder[1, : m.COUNT_UPDATES]) == 1
    assert decoder[1, m.COUNT_UPDATES] == len(rows)
    assert decoder[1, m.COUNT_LOST] + decoder[1, m.COUNT_ACCEPTED] + decoder[1, m.COUNT_OTHER] == 1


def test_compiled_equals_plain() -> None:
    fast, rng = compile_golden(m), random.Random(5)
    plain, quick = decoder_of(price_bits=20), decoder_of(price_bits=20)
    for decoder in (plain, quick):
        for slot, listing in enumerate((0, 5, 6, 7, 0xFFFF_FFFF)):
            m.map_listing(decoder, listing, slot)
    left, right = new_updates(), new_updates()
    for seq in range(600):
        sent = random_itch(rng) if seq & 1 else random_packed(rng, seq, 16, 20, 32)
        sent = spoiled(rng, sent, seq) if seq % 3 == 0 else sent
        mixed = int(bool(sent.strange))
        met = [
            module.decode_frame(decoder, beats(sent.frame), int(sent.itch), mixed, updates)
            for module, decoder, updates in ((m, plain, left), (fast, quick, right))
        ]
        assert met[0] == met[1]
        assert np.array_equal(left, right)
    assert np.array_equal(plain, quick)
    assert plain[1, : len(m.COUNTERS)].all()


def read_plainly(message: bytes, base_ns: int) -> list[int] | None:
    """Return a message's update as the venue's document lays it out, slot 0; None for other types."""
    letter, ref = chr(message[0]), struct.unpack_from(">q", message, 11)[0]
    at_ns = base_ns + int.from_bytes(message[5:11], "big")
    if letter in "AF":
        side, shares, _, price = struct.unpack_from(">cI8si", message, 19)
        return [m.UPDATE_ADD, 0, " BS".index(side.decode()), price, shares, ABSENT, 0, ref, 0, at_ns]
    if letter in "ECX":
        shares = struct.unpack_from(">I", message, 19)[0]
        return [m.UPDATE_REDUCE, 0, 0, ABSENT, shares, ABSENT, 0, ref, 0, at_ns]
    if letter == "D":
        return [m.UPDATE_DELETE, 0, 0, ABSENT, 0, ABSENT, 0, ref, 0, at_ns]
    if letter == "U":
        new_ref, shares, price = struct.unpack_from(">qIi", message, 19)
        return [m.UPDATE_REPLACE, 0, 0, price, shares, ABSENT, 0, ref, new_ref, at_ns]
    return None


def test_real_captures_decode_as_the_venue_lays_them_out(shared_dir: Path) -> None:
    seen: dict[str, int] = {}
    for message in captured_messages(shared_dir):
        decoder = new_decoder(itch_base_ns=1_000)
        m.map_listing(decoder, int.from_bytes(message[1:3], "big"), 0)
        wanted = read_plainly(message, 1_000)
        assert rows_of(decoder, itch(message), m.ITCH) == ([wanted] if wanted else [])
        assert counted(decoder) == ({"accepted": 1, "updates": 1} if wanted else {"other": 1})
        seen[chr(message[0])] = seen.get(chr(message[0]), 0) + 1
    assert set("ADUE") <= set(seen), seen
