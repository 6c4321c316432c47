"""A feed decoder on integers: the beats of one frame in, rows of book updates out, the same in software and hardware.

A frame is an array of int64, its bytes eight by eight, little-endian: ``np.frombuffer(frame, "<i8")``. Two formats: the
SDK's frames of packed records, and messages of the shape of NASDAQ's ITCH 5.0 with their length before them.

    >>> import numpy as np
    >>> from penstock_sdk.events import Quote
    >>> from penstock_sdk.schema import layout_of
    >>> from penstock_sdk.wire.frame import Origin, encoder
    >>> decoder, updates = new_decoder(), new_updates()
    >>> map_listing(decoder, 7001, 3)
    True
    >>> quote = Quote(listing_id=7001, bid_ticks=-250, bid_lots=10)
    >>> frame = encoder(layout_of(Quote))(quote, 1, 1_000, 0, 1, Origin.EXTERNAL, 0)
    >>> decode_frame(decoder, np.frombuffer(frame, "<i8"), PACKED, ONE_STREAM, updates)
    1
    >>> updates[0, [UPDATE_KIND, UPDATE_SLOT, UPDATE_PRICE, UPDATE_LOTS, UPDATE_AT_NS]].tolist()
    [1, 3, -250, 10, 1000]
    >>> decode_frame(decoder, np.frombuffer(frame, "<i8"), PACKED, ONE_STREAM, updates)  # the same seq once more
    0
    >>> [COUNTERS[i] for i in range(len(COUNTERS)) if decoder[1, i]]
    ['accepted', 'out_of_order', 'updates']

A frame takes effect whole or not at all, and is counted once, by the first of these that holds: interleaved; truncated;
longer than it says; other; malformed; more records than RECORDS_MAX; out_of_order; accepted. Of an accepted frame each
record is an update, or is unmapped. Each frame that fell (not accepted, not other) counts in
COUNT_LOST besides: the books miss what it said.

    * Quote: QUOTE. A side is there if its price is not ABSENT and its lots are not 0. Not TRADABLE: POISON.
    * BookPriceDelta: SET is LEVEL, DELETE is LEVEL of 0 lots, CLEAR is CLEAR.
    * BookOrderDelta: SET is SET, DELETE is DELETE, CLEAR is CLEAR.
    * ITCH: A and F are ADD, E, C and X are REDUCE, D is DELETE, U is REPLACE. Prices are signed.
    * What does not fit (a price, lots, a side, an action) becomes POISON: the book can no longer be known.

Cost: O(beats).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from typing import Final

from penstock_sdk.golden.feed_decoder_layout import *
from penstock_sdk.golden.feed_decoder_layout import Table
from penstock_sdk.golden.tick_layout import *
from penstock_sdk.schema import ABSENT

PACKED: Final = 0
ITCH: Final = 1
ONE_STREAM: Final = 0
INTERLEAVED: Final = 1

_QUOTE: Final = 1
_ORDER_DELTA: Final = 3
_PRICE_DELTA: Final = 4
_VERSION: Final = 1
_HEADER_BEATS: Final = 6
_RECORD_BEATS: Final = 7
_RECORD_BYTES: Final = 56
_TRADABLE: Final = 1
_BUY: Final = 1
_SELL: Final = 2
_SET: Final = 1
_DELETE: Final = 2
_CLEAR: Final = 3
_NOT_OURS: Final = -1  # what stands in place of a message's own length


def map_listing(decoder: Table, listing: int, slot: int) -> bool:
    """Give a listing its slot, in place of the listing that has the row; return if that is a slot that there is.

    A slot beyond ``slots`` (or below 0) empties the row.
    """
    row = MAP_ROW + (listing & decoder[0, DECODER_MAP_MASK])
    there = bool(0 <= slot < decoder[0, DECODER_SLOTS])
    decoder[row, MAP_LISTING] = listing
    decoder[row, MAP_SLOT] = slot if there else -1
    return there


def slot_of(decoder: Table, listing: int) -> int:
    """Return the slot of a listing, or -1."""
    row = MAP_ROW + (listing & decoder[0, DECODER_MAP_MASK])
    return int(decoder[row, MAP_SLOT]) if decoder[row, MAP_LISTING] == listing else -1


def _bits(beats: Table, beat: int, lsb: int, bits: int) -> int:
    """Return an unsigned field of fewer than 63 bits."""
    return int(beats[beat] >> lsb) & ((1 << bits) - 1)


def _big_endian(beats: Table, offset: int, count: int) -> int:
    """Return *count* bytes of the frame from byte *offset*, first byte on top; 8 bytes come as a signed number."""
    value = 0
    for at in range(offset, offset + count):
        byte = _bits(beats, at >> 3, 8 * (at & 7), 8)
        if at == offset and count == 8 and byte >= 128:
            byte -= 256
        value = (value << 8) | byte
    return value


def _write(updates: Table, at: int, kind: int, slot: int, side: int, price: int, lots: int, ref: int) -> None:
    updates[at, UPDATE_KIND] = kind
    updates[at, UPDATE_SLOT] = slot
    updates[at, UPDATE_SIDE] = side
    updates[at, UPDATE_PRICE] = price
    updates[at, UPDATE_LOTS] = lots
    updates[at, UPDATE_ASK] = ABSENT
    updates[at, UPDATE_ASK_LOTS] = 0
    updates[at, UPDATE_REF] = ref
    updates[at, UPDATE_NEW_REF] = 0


def _fits(decoder: Table, price: int, lots: int) -> bool:
    most = decoder[0, DECODER_PRICE_MAX]
    return bool(-most - 1 <= price <= most and 0 <= lots <= decoder[0, DECODER_LOTS_MAX])


def _decode_quote(decoder: Table, beats: Table, first: int, slot: int, updates: Table, at: int) -> bool:
    """Write the update of a Quote that begins at beat *first*; return if its values fit."""
    bid, bid_lots, ask, ask_lots = beats[first + 1], beats[first + 2], beats[first + 3], beats[first + 4]
    if bid == ABSENT or bid_lots == 0:
        bid, bid_lots = ABSENT, 0
    if ask == ABSENT or ask_lots == 0:
        ask, ask_lots = ABSENT, 0
    if _bits(beats, first, 32, 8) != _TRADABLE:
        _write(updates, at, UPDATE_POISON, slot, 0, ABSENT, 0, 0)
        return True
    if (bid != ABSENT and not _fits(decoder, bid, bid_lots)) or (ask != ABSENT and not _fits(decoder, ask, ask_lots)):
        return False
    _write(updates, at, UPDATE_QUOTE, slot, 0, bid, bid_lots, 0)
    updates[at, UPDATE_ASK] = ask
    updates[at, UPDATE_ASK_LOTS] = ask_lots
    return True


def _decode_delta(decoder: Table, beats: Table, first: int, orders: bool, slot: int, updates: Table, at: int) -> bool:
    """Write the update of a BookOrderDelta (*orders*) or a BookPriceDelta; return if its values fit."""
    side, action = _bits(beats, first, 32, 8), _bits(beats, first, 40, 8)
    if action == _CLEAR:
        _write(updates, at, UPDATE_CLEAR, slot, 0, ABSENT, 0, 0)
        return True
    ref = beats[first + 1] if orders else 0
    if orders and action == _DELETE:
        _write(updates, at, UPDATE_DELETE, slot, 0, ABSENT, 0, ref)
        return True
    price = beats[first + 2] if orders else beats[first + 1]
    lots = beats[first + 3] if orders else beats[first + 2]
    if action == _DELETE:
        lots = 0
    if (action != _SET and action != _DELETE) or (side != _BUY and side != _SELL) or not _fits(decoder, price, lots):
        return False
    _write(updates, at, UPDATE_SET if orders else UPDATE_LEVEL, slot, side, price, lots, ref)
    return True


def _count(decoder: Table, counter: int) -> int:
    decoder[1, counter] += 1
    if counter != COUNT_ACCEPTED and counter != COUNT_OTHER:
        decoder[1, COUNT_LOST] += 1
    return 0


def _packed_beats(beats: Table) -> int:
    """Return how many beats the frame should have by its header."""
    return _HEADER_BEATS + ((_bits(beats, 0, 0, 32) + 7) >> 3)


def _judge_packed(decoder: Table, beats: Table) -> int:
    """Return the counter of a whole packed frame; COUNT_ACCEPTED if nothing speaks against it."""
    schema = _bits(beats, 0, 32, 16)
    if schema != _QUOTE and schema != _ORDER_DELTA and schema != _PRICE_DELTA:
        return COUNT_OTHER
    count = _bits(beats, 5, 0, 32)
    if _bits(beats, 0, 48, 8) != _VERSION or _bits(beats, 5, 32, 16) != _RECORD_BYTES or count == 0:
        return COUNT_MALFORMED
    if count > decoder[0, DECODER_RECORDS_MAX]:
        return COUNT_OVERSIZED
    if _bits(beats, 0, 0, 32) != count * _RECORD_BYTES:
        return COUNT_MALFORMED
    return COUNT_ACCEPTED if beats[1] > decoder[0, DECODER_SEQ] else COUNT_OUT_OF_ORDER


def _decode_packed(decoder: Table, beats: Table, updates: Table) -> int:
    """Write the updates of an accepted packed frame; return how many."""
    schema, rows = _bits(beats, 0, 32, 16), 0
    decoder[0, DECODER_SEQ] = beats[1]
    for record in range(_bits(beats, 5, 0, 32)):
        first = _HEADER_BEATS + record * _RECORD_BEATS
        slot = slot_of(decoder, _bits(beats, first, 0, 32))
        if slot < 0:
            decoder[1, COUNT_UNMAPPED] += 1
            continue
        if schema == _QUOTE:
            fits = _decode_quote(decoder, beats, first, slot, updates, rows)
        else:
            fits = _decode_delta(decoder, beats, first, schema == _ORDER_DELTA, slot, updates, rows)
        if not fits:
            _write(updates, rows, UPDATE_POISON, slot, 0, ABSENT, 0, 0)
            decoder[1, COUNT_RANGE] += 1
        updates[rows, UPDATE_AT_NS] = beats[2]
        rows += 1
    return rows


def _itch_beats(beats: Table) -> int:
    """Return how many beats the message should have by its length."""
    return (2 + _big_endian(beats, 0, 2) + 7) >> 3


def _itch_bytes(letter: int) -> int:
    """Return the length of the messages of a type, without the two bytes of the length itself."""
    if letter == 65 or letter == 67:  # A, C
        return 36
    if letter == 70:  # F
        return 40
    if letter == 69:  # E
        return 31
    if letter == 88:  # X
        return 23
    if letter == 68:  # D
        return 19
    return 35 if letter == 85 else _NOT_OURS  # U


def _judge_itch(beats: Table) -> int:
    """Return the counter of a whole ITCH message; COUNT_ACCEPTED if nothing speaks against it."""
    length, wanted = _big_endian(beats, 0, 2), _itch_bytes(_bits(beats, 0, 16, 8))
    if length == 0 or (wanted != _NOT_OURS and length != wanted):
        return COUNT_MALFORMED
    return COUNT_OTHER if wanted == _NOT_OURS else COUNT_ACCEPTED


def _signed32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _decode_itch(decoder: Table, beats: Table, updates: Table) -> int:
    """Write the update of an accepted ITCH message; return 1, or 0 if its listing has no slot."""
    letter, slot = _bits(beats, 0, 16, 8), slot_of(decoder, _big_endian(beats, 3, 2))
    if slot < 0:
        decoder[1, COUNT_UNMAPPED] += 1
        return 0
    ref, kind, side, price, lots, new_ref, fits = _big_endian(beats, 13, 8), UPDATE_REDUCE, 0, ABSENT, 0, 0, True
    if letter == 65 or letter == 70:
        mark = _bits(beats, 2, 40, 8)
        kind, side = UPDATE_ADD, _BUY if mark == 66 else _SELL if mark == 83 else 0
        price, lots = _signed32(_big_endian(beats, 34, 4)), _big_endian(beats, 22, 4)
        fits = side != 0 and _fits(decoder, price, lots)
    elif letter == 85:
        kind, new_ref = UPDATE_REPLACE, _big_endian(beats, 21, 8)
        price, lots = _signed32(_big_endian(beats, 33, 4)), _big_endian(beats, 29, 4)
        fits = _fits(decoder, price, lots)
    elif letter == 68:
        kind = UPDATE_DELETE
    else:
        lots = _big_endian(beats, 21, 4)
        fits = _fits(decoder, 0, lots)
    if fits:
        _write(updates, 0, kind, slot, side, price, lots, ref)
        updates[0, UPDATE_NEW_REF] = new_ref
    else:
        _write(updates, 0, UPDATE_POISON, slot, 0, ABSENT, 0, 0)
        decoder[1, COUNT_RANGE] += 1
    updates[0, UPDATE_AT_NS] = decoder[0, DECODER_BASE_NS] + _big_endian(beats, 7, 6)
    return 1


def decode_frame(decoder: Table, beats: Table, itch: int, interleaved: int, updates: Table) -> int:
    """Decode one frame; count it; return the number of rows that it wrote to *updates*, 0 if it has none or falls.

    Args:
        decoder: of `new_decoder`.
        beats: (n,) int64, one or more: the frame's bytes eight by eight, little-endian.
        itch: the format, PACKED or ITCH.
        interleaved: INTERLEAVED if a beat bears another stream's number than the first; else ONE_STREAM.
        updates: (records_max or more, UPDATE_WIDTH); the ``UPDATE_*`` columns, in the order of the records. Prices that
            are not there are ABSENT, all else that a kind has not is 0.
    """
    wanted = _itch_beats(beats) if itch == ITCH else _packed_beats(beats)
    if interleaved != ONE_STREAM:
        return _count(decoder, COUNT_INTERLEAVED)
    if len(beats) != wanted:
        return _count(decoder, COUNT_TRUNCATED if len(beats) < wanted else COUNT_OVERSIZED)
    verdict = _judge_itch(beats) if itch == ITCH else _judge_packed(decoder, beats)
    _count(decoder, verdict)
    if verdict != COUNT_ACCEPTED:
        return 0
    rows = _decode_itch(decoder, beats, updates) if itch == ITCH else _decode_packed(decoder, beats, updates)
    decoder[1, COUNT_UPDATES] += rows
    return rows


KERNELS = (
    map_listing,
    slot_of,
    _bits,
    _big_endian,
    _write,
    _fits,
    _decode_quote,
    _decode_delta,
    _count,
    _packed_beats,
    _judge_packed,
    _decode_packed,
    _itch_beats,
    _itch_bytes,
    _judge_itch,
    _signed32,
    _decode_itch,
    decode_frame,
)
"""What is compiled, callees before their callers."""
