"""Frames for the feed decoder's benches and tests: good ones of both formats, and each kind of bad one.

A frame is bytes, a whole number of beats; beats of it may bear another stream's number.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Layout, Record, layout_of
from penstock_sdk.wire.frame import HEADER

__all__ = [
    "LISTINGS", "Sent", "bad_lengths", "captured_messages", "edges", "itch_edges", "itch_message", "one_of_each",
    "packed_edges", "packed_frame", "random_itch", "random_packed", "spoiled",
]  # fmt: skip

LISTINGS = (0, 1, 5, 6, 7, 0x405, 0xFFFF, 0x10005, 0xFFFF_FFFF)
"""Some share their low bits; which of them are mapped is for the bench to say. ITCH knows those below 65536."""

INT64_MAX = 2**63 - 1


class Sent(NamedTuple):
    """A frame, its format, and the beats that bear another stream's number."""

    frame: bytes
    itch: bool
    strange: tuple[int, ...] = ()


def edges(bits: int, signed: bool) -> list[int]:
    """Return what lies on both sides of every bound of a field of *bits* bits, as int64."""
    most = (1 << (bits - signed)) - 1
    least = -most - 1 if signed else 0
    values = (least, least - 1, most, most + 1, 0, 1, -1, INT64_MAX, ABSENT, ABSENT + 1)
    return [value for value in values if ABSENT <= value <= INT64_MAX]


def packed_frame(records: list[Record], seq: int, at_ns: int = 0, **changes: int) -> Sent:
    """Return a frame of records of one kind; *changes* overwrite fields of its header."""
    layout: Layout = layout_of(type(records[0]))
    body = b"".join(layout.pack(record) for record in records)
    fields = {
        "body_bytes": len(body), "schema_id": layout.id, "version": layout.version, "origin": 1, "seq": seq,
        "at_ns": at_ns, "cause_seq": 0, "correlation_seq": seq, "count": len(records), "stride": layout.size,
        "producer": 7,
    }  # fmt: skip
    return Sent(HEADER.pack(*(fields | changes).values()) + body, False)


def itch_message(body: bytes, length: int | None = None) -> Sent:
    """Return a message with its length before it, padded to whole beats."""
    frame = struct.pack(">H", len(body) if length is None else length) + body
    return Sent(frame + bytes(-len(frame) % 8), True)


def random_record(rng: random.Random, kind: type[Record], price_bits: int, lots_bits: int) -> Record:
    """Return a record whose values mostly fit, and some lie at the edges of their range."""

    def price() -> int:
        near = rng.randint(-(1 << (price_bits - 1)), (1 << (price_bits - 1)) - 1)
        return rng.choice(edges(price_bits, True)) if rng.random() < 0.15 else near

    def lots() -> int:
        return rng.choice(edges(lots_bits, False)) if rng.random() < 0.15 else rng.randint(1, (1 << lots_bits) - 1)

    listing_id = rng.choice(LISTINGS)
    if kind is events.Quote:
        return events.Quote(
            listing_id=listing_id, tradability=rng.choice([1, 1, 1, 1, 1, 0, 2, 3]), flags=rng.getrandbits(16),
            bid_ticks=price(), bid_lots=lots(), ask_ticks=price(), ask_lots=lots(), recv_ns=rng.getrandbits(62),
        )  # fmt: skip
    side = rng.choice([1, 2] * 4 + [0, 3])
    action = rng.choice([1, 1, 1, 2, 2, 3, 3, 0, 4])
    shared = {"listing_id": listing_id, "side": side, "action": action, "price_ticks": price(), "qty_lots": lots()}
    if kind is events.BookOrderDelta:
        ref = rng.choice([ABSENT, -1, 1, rng.getrandbits(63)])
        return events.BookOrderDelta(**shared, order_ref=ref, revision=rng.getrandbits(60))
    return events.BookPriceDelta(**shared, order_count=rng.getrandbits(60), revision=rng.getrandbits(60))


def random_packed(
    rng: random.Random, seq: int, records_max: int, price_bits: int, lots_bits: int, records: int | None = None
) -> Sent:
    """Return a good frame of one kind of record, of one record in half of all cases."""
    kind = rng.choice([events.Quote, events.BookOrderDelta, events.BookPriceDelta])
    count = records or rng.choice([1, rng.randint(1, records_max), records_max, 1])
    made = [random_record(rng, kind, price_bits, lots_bits) for _ in range(count)]
    return packed_frame(made, seq, rng.choice([rng.getrandbits(63), -1, ABSENT]))


def random_itch(rng: random.Random, letter: str | None = None, price_bits: int = 32, lots_bits: int = 32) -> Sent:
    """Return a good message of one of the seven types; values in their wire's range, not all within the decoder's."""
    letter = letter or rng.choice("AFECXDU")
    price = rng.choice(edges(price_bits, True)) if rng.random() < 0.2 else rng.randint(-(2 ** (price_bits - 1)), 9)
    lots = rng.choice(edges(lots_bits, False)) if rng.random() < 0.2 else rng.getrandbits(lots_bits)
    price, lots = (price + 2**31) % 2**32 - 2**31, lots % 2**32
    locate = rng.choice([listing for listing in LISTINGS if listing < 65536])
    head = struct.pack(">cHH", letter.encode(), locate, rng.getrandbits(16)) + rng.randbytes(6) + rng.randbytes(8)
    add = struct.pack(">cI8si", rng.choice([b"B", b"S", b"B", b"S", b"b", b"\0"]), lots, rng.randbytes(8), price)
    executed = struct.pack(">IQ", lots, rng.getrandbits(64))
    rest = {
        "A": add,
        "F": add + rng.randbytes(4),
        "E": executed,
        "C": executed + rng.randbytes(5),
        "X": struct.pack(">I", lots),
        "D": b"",
        "U": struct.pack(">QIi", rng.getrandbits(64), lots, price),
    }[letter]
    sent = itch_message(head + rest)
    pad = len(sent.frame) - 2 - len(head + rest)  # what is behind the message is nobody's business
    return sent._replace(frame=sent.frame[: len(sent.frame) - pad] + rng.randbytes(pad))


def other_frame(rng: random.Random, itch: bool, seq: int) -> Sent:
    """Return a frame of a kind that is none of the decoder's."""
    if itch:
        letter = rng.choice(b"SRHYLPQIBGacefx\0").to_bytes(1, "big")
        return itch_message(letter + rng.randbytes(rng.choice([0, 3, 5, 6, 7, 12, 13, 14, 35, 49])))
    if rng.random() < 0.5:
        return packed_frame([events.Trade(listing_id=5, price_ticks=1, qty_lots=2)] * rng.choice([1, 2, 20]), seq)
    body = rng.randbytes(rng.choice([0, 1, 7, 8, 9, 61]))
    head = HEADER.pack(len(body), rng.choice([0, 2, 5, 6, 77, 0x101, 0xFFFF]), 1, 1, seq, 5, 0, 0, 1, 56, 0)
    return Sent(head + body + bytes(-len(body) % 8), False)


def with_length(frame: bytes, length: int) -> Sent:
    """Return an ITCH message that states another length, and has it if that is short enough."""
    body = (frame[2:] + bytes(64))[:length] if length < 64 else frame[2:]
    return itch_message(body, length)


def spoiled(rng: random.Random, sent: Sent, seq: int) -> Sent:
    """Return *sent* with one thing wrong, or another kind's frame, or a frame that comes again."""
    frame, way = sent.frame, rng.randrange(7)
    beats = len(frame) // 8
    if way == 0:
        return sent._replace(frame=frame[: 8 * rng.randint(1, beats)])
    if way == 1:
        return sent._replace(frame=frame + rng.randbytes(8 * rng.choice([1, 1, 2, 3, 7, 14, 70])))
    if way == 2:
        return sent._replace(strange=tuple(sorted(rng.sample(range(beats), rng.randint(1, beats)))))
    if way == 3:
        return other_frame(rng, sent.itch, seq)
    if sent.itch:
        length = int.from_bytes(frame[:2], "big")
        return with_length(frame, rng.choice([0, 1, length - 1, length + 1, length + 8, length ^ 0x100, 65535]))
    head = list(HEADER.unpack_from(frame))
    at, values = rng.choice(
        [
            (0, (head[0] - 8, head[0] + 8, head[0] - 1, 0)),
            (2, (0, 2, 255)),
            (4, (seq - 1, -1, ABSENT)),
            (8, (0, head[8] + 1, head[8] + 2**16, 2**32 - 1, head[8] - 1)),
            (9, (0, 48, 55, 57, 64)),
        ]
    )
    head[at] = rng.choice(values)
    return sent._replace(frame=HEADER.pack(*head) + frame[48:])


def packed_edges(records_max: int, price_bits: int, lots_bits: int) -> list[Sent]:
    """Return frames of one record each, every field at both sides of its bounds; then seq and count at theirs."""
    records: list[Record] = []
    prices, lots = edges(price_bits, True), edges(lots_bits, False)
    for listing in LISTINGS:
        records.append(events.Quote(listing_id=listing, bid_ticks=1, bid_lots=1))
    for tradability in (0, 1, 2, 3, 4, 129):
        records.append(events.Quote(listing_id=5, tradability=tradability, bid_ticks=-1, bid_lots=1))
    for price in prices:
        records.append(events.Quote(listing_id=5, bid_ticks=price, bid_lots=1))
        records.append(events.Quote(listing_id=5, bid_ticks=price, bid_lots=0, ask_ticks=1, ask_lots=1))
        records.append(events.Quote(listing_id=5, ask_ticks=price, ask_lots=1))
        records.append(events.Quote(listing_id=5, ask_ticks=price, bid_ticks=0, bid_lots=1))
        for action in (1, 2, 3):
            records.append(events.BookPriceDelta(listing_id=5, side=1, action=action, price_ticks=price, qty_lots=1))
            records.append(events.BookOrderDelta(listing_id=5, side=2, action=action, price_ticks=price, order_ref=-5))
    for qty in lots:
        records.append(events.Quote(listing_id=6, bid_ticks=-1, bid_lots=qty, ask_ticks=1, ask_lots=1))
        records.append(events.Quote(listing_id=6, ask_ticks=1, ask_lots=qty))
        records.append(events.Quote(listing_id=6, bid_lots=qty))
        for action in (1, 2, 3):
            records.append(events.BookPriceDelta(listing_id=5, side=2, action=action, price_ticks=1, qty_lots=qty))
            records.append(
                events.BookOrderDelta(listing_id=5, side=1, action=action, price_ticks=1, qty_lots=qty, order_ref=9)
            )
    for side in (0, 1, 2, 3, 4, 129):
        for action in (0, 1, 2, 3, 4, 129):
            records.append(events.BookPriceDelta(listing_id=7, side=side, action=action, price_ticks=1, qty_lots=1))
            records.append(events.BookOrderDelta(listing_id=7, side=side, action=action, price_ticks=1, qty_lots=1))
    frames = [packed_frame([record], seq - 5, seq) for seq, record in enumerate(records)]
    last = records[0]
    for seq in (10**6, 10**6, 10**6 - 1, 10**6 + 1, -1, ABSENT, INT64_MAX - 1, INT64_MAX, INT64_MAX, 0):
        frames.append(packed_frame([last], seq))
    return [packed_frame([last], ABSENT), *count_edges(last, records_max), *frames]


def one_of_each(listing: int, unmapped: int) -> list[Sent]:
    """Return frames that give one update of each kind and move each counter; the latest seq is 9."""
    quote = events.Quote(listing_id=listing, bid_ticks=1, bid_lots=1)
    order = {"listing_id": listing, "side": 1, "price_ticks": 1, "qty_lots": 1, "order_ref": 4}
    level = {"listing_id": listing, "side": 2, "price_ticks": -1, "qty_lots": 1}
    good = packed_frame([quote], 9)
    head = struct.pack(">HH6xQ", listing, 0, 4)
    return [
        packed_frame([quote], 1),
        packed_frame([events.BookPriceDelta(action=1, **level)], 2),
        packed_frame([events.BookPriceDelta(action=3, **level)], 3),
        packed_frame([events.BookOrderDelta(action=1, **order)], 4),
        packed_frame([events.BookOrderDelta(action=2, **order)], 5),
        packed_frame([events.BookPriceDelta(action=0, **level)], 6),  # range: POISON
        packed_frame([events.Quote(listing_id=unmapped)], 7),
        packed_frame([events.Trade(listing_id=listing)], 8),
        packed_frame([quote], 8, version=2),
        good._replace(frame=good.frame[:-8]),
        good._replace(frame=good.frame + bytes(8)),
        good._replace(strange=(1,)),
        good,
        good,  # out of order
        itch_message(b"A" + head + struct.pack(">cI8si", b"B", 1, b"PENSTOCK", 1)),
        itch_message(b"F" + head + struct.pack(">cI8si4s", b"S", 1, b"PENSTOCK", 2, b"NAME")),
        itch_message(b"E" + head + struct.pack(">IQ", 1, 1)),
        itch_message(b"C" + head + struct.pack(">IQci", 1, 1, b"Y", 1)),
        itch_message(b"U" + head + struct.pack(">QIi", 5, 1, 1)),
    ]


def count_edges(record: Record, records_max: int) -> list[Sent]:
    """Return frames with as many records as a frame may have, one fewer and one more; the seq is far below."""
    least = ABSENT + 1
    counts = [records_max, records_max + 1, 2 * records_max + 1, max(records_max - 1, 1), records_max]
    return [packed_frame([record] * count, least + at, at) for at, count in enumerate(counts)]


def itch_edges(records_max: int, price_bits: int, lots_bits: int) -> list[Sent]:
    """Return messages with every field at both sides of its bounds."""
    prices = {(price + 2**31) % 2**32 - 2**31 for price in edges(price_bits, True) + edges(32, True)}
    lots = {qty % 2**32 for qty in edges(lots_bits, False) + edges(32, False)}
    messages = []
    for listing in (listing for listing in LISTINGS if listing < 65536):
        for stamp in (0, 2**48 - 1, 0x0102_0304_0506):
            for ref in (0, 2**64 - 1, 0x0102_0304_0506_0708):
                head = struct.pack(">HH", listing, 0xABCD) + stamp.to_bytes(6, "big") + struct.pack(">Q", ref)
                messages.append(b"D" + head)
                messages.append(b"E" + head + struct.pack(">IQ", 1, 2**64 - 1))
                messages.append(b"C" + head + struct.pack(">IQci", 1, 2**64 - 1, b"N", -1))
    head = struct.pack(">HH6xQ", 5, 0, 77)
    for mark in b"BSbs\0\xff":
        messages.append(b"A" + head + struct.pack(">BI8si", mark, 1, b"PENSTOCK", -1))
        messages.append(b"F" + head + struct.pack(">BI8si4s", mark, 1, b"PENSTOCK", -1, b"NAME"))
    for price in sorted(prices):
        messages.append(b"A" + head + struct.pack(">cI8si", b"S", 1, b"PENSTOCK", price))
        messages.append(b"F" + head + struct.pack(">cI8si4s", b"S", 1, b"PENSTOCK", price, b"\xff\0\xff\0"))
        messages.append(b"C" + head + struct.pack(">IQci", 1, 0, b"Y", price))
        messages.append(b"U" + head + struct.pack(">QIi", 0x0807_0605_0403_0201, 1, price))
    for qty in sorted(lots):
        messages.append(b"A" + head + struct.pack(">cI8si", b"B", qty, b"PENSTOCK", 1))
        messages.append(b"F" + head + struct.pack(">cI8si4s", b"B", qty, b"PENSTOCK", 1, b"NAME"))
        messages.append(b"C" + head + struct.pack(">IQci", qty, 0, b"Y", 1))
        messages.append(b"U" + head + struct.pack(">QIi", 2**64 - 1, qty, 1))
        messages.append(b"E" + head + struct.pack(">IQ", qty, 0))
        messages.append(b"X" + head + struct.pack(">I", qty))
    return [itch_message(message) for message in messages]


def bad_lengths(rng: random.Random, records_max: int) -> list[Sent]:
    """Return frames cut after each of their beats or longer, between good ones; and every short length, kept to."""
    frames: list[Sent] = []
    quote = events.Quote(listing_id=5, bid_ticks=1, bid_lots=1)
    whole = packed_frame([quote] * min(2, records_max), 0)
    sizes = [
        *range(1, len(whole.frame) // 8),
        *(len(whole.frame) // 8 + more for more in (1, 2, 7, 8, 7 * records_max)),
    ]
    for seq, size in enumerate(sizes):
        frames.append(
            whole._replace(frame=(packed_frame([quote] * min(2, records_max), seq).frame + bytes(900))[: 8 * size])
        )
        frames.append(packed_frame([quote], seq))
    # Bodies from none to beyond one record, their length stated truly: of another schema, and of ours.
    for schema_id in (1, 6):
        for size in (*range(18), *range(24, 72, 8)):
            body = rng.randbytes(size) + bytes(-size % 8)
            head = packed_frame([quote], 1000 + size, body_bytes=size, schema_id=schema_id).frame[:48]
            frames.append(Sent(head + body, False))
        frames.append(packed_frame([quote], 2000 + schema_id))
    for letter in "AFECXDU":
        good = random_itch(rng, letter)
        beats = len(good.frame) // 8
        for size in [*range(1, beats), beats + 1, beats + 2, beats + 9]:
            frames += [good._replace(frame=(good.frame + bytes(80))[: 8 * size]), random_itch(rng, "D")]
    for letter in b"AFECXDUZ":
        for length in (*range(44), 255, 256, 65535):
            frames.append(with_length(bytes([0, 0, letter]) + rng.randbytes(60), length))
        frames.append(random_itch(rng, "X"))
    return frames


def captured_messages(shared: Path) -> Iterator[bytes]:
    """Yield the ITCH 5.0 messages of captures below *shared*: MoldUDP64 packets in Ethernet frames, in pcap files."""
    folder = shared / "data" / "protocols" / "unlicensed_omi-pcap" / "Nasdaq"
    for path in sorted(folder.glob("*.TotalView.Itch.v5.0/*.pcap")):
        data, at = path.read_bytes(), 24
        assert data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"), path
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at + 8)
            packet = data[at + 16 : at + 16 + size]
            at += 16 + size
            ip = 14 + 4 * (packet[12:14] == b"\x81\x00")
            mold = ip + 4 * (packet[ip] & 15) + 8
            (count,) = struct.unpack_from(">H", packet, mold + 18)
            place = mold + 20
            for _ in range(0 if count == 0xFFFF else count):
                (length,) = struct.unpack_from(">H", packet, place)
                yield packet[place + 2 : place + 2 + length]
                place += 2 + length
