"""The position grid's cells: what is held in every delivery interval, and by whom, on integers; fills by the frame.

Functions are plain Python on int64 arrays, and those of `KERNELS` are at the same time what numba compiles. Whose
positions they are stands in tracks, a row each of a directory; a track's cells lie in chunks of CHUNK slots, made when
something is first put there, so that ten years cost what is held in them and no more:

    >>> cells, directory, pool = new_cells(rows=4, tracks=2, chunks=3)
    >>> hour = np.array([[1_022, 4, 100]])  # four slots from 1,022 on, over the edge of a chunk; 100 kW a lot
    >>> add_lots(cells, directory, pool, hour, 0, 1, 0, -5, NET_MIN) == APPLIED
    True
    >>> out = np.zeros(6, np.int64)
    >>> read(cells, directory, np.array([[0, 1]]), 1_021, out) == APPLIED, out.tolist()
    (True, [0, -500, -500, -500, -500, 0])

A slot is a number that its zone gives to an interval; what is below a track's TRACK_KEPT is over, and what is added
there is let fall. Every change is made in full or not at all: what would leave CELL_MAX, or take a working order's cell
below zero, is refused first. Sums and values that do not fit int64 are refused, never wrapped.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from penstock_sdk.golden.positions_layout import ABSENT, INT64_MAX, LOTS_MAX, Table

__all__ = [
    "ABSENT",
    "APPLIED",
    "CELL_MAX",
    "CHUNK",
    "CHUNK_BITS",
    "FILL_BOOK",
    "FILL_LISTING",
    "FILL_LOTS",
    "FILL_STRATEGY",
    "INT64_MAX",
    "KERNELS",
    "LANE_BOOK",
    "LANE_NET",
    "LANE_PLACE",
    "LANE_STRATEGY",
    "LISTING_COUNT",
    "LISTING_FIRST",
    "LISTING_PLACE",
    "LOTS_MAX",
    "NEEDS_LANE",
    "NEEDS_ROWS",
    "NET_MIN",
    "REFUSED_NEGATIVE",
    "REFUSED_OVERFLOW",
    "REFUSED_PRICE",
    "REFUSED_UNKNOWN",
    "SEGMENT_AMOUNT",
    "SEGMENT_COUNT",
    "SEGMENT_SLOT",
    "TRACK_BASE",
    "TRACK_KEPT",
    "TRACK_ROWS",
    "Table",
    "add_lots",
    "apply_frame",
    "extremes",
    "lane_at",
    "new_cells",
    "read",
    "row_of",
    "set_amount",
    "value",
]

CHUNK_BITS: Final = 10
CHUNK: Final = 1 << CHUNK_BITS
"""Slots to a chunk, eight bytes each: ten and a half days of quarter-hours."""
_IN_CHUNK: Final = CHUNK - 1
CELL_MAX: Final = 2**62 - 1
"""The largest amount in a cell, either way, so that what two cells add up to fits int64."""
NET_MIN: Final = -CELL_MAX
"""The smallest amount in a cell of net positions; in one of working orders it is 0."""
_HALF: Final = 2**31 - 1
"""Numbers up to this can be multiplied without a look at each product."""

TRACK_BASE: Final = 0  # number of the chunk that column TRACK_ROWS stands for
TRACK_KEPT: Final = 1  # the first slot that is kept
TRACK_ROWS: Final = 2  # from here on: the row of the cells of each chunk; 0 where it was never written

SEGMENT_SLOT: Final = 0  # first slot
SEGMENT_COUNT: Final = 1  # slots
SEGMENT_AMOUNT: Final = 2  # that a lot adds to each of them

LISTING_FIRST: Final = 0  # its first row in the table of segments
LISTING_COUNT: Final = 1  # segments, in time order and apart; 0: no such listing
LISTING_PLACE: Final = 2  # zone and settlement, as a number

LANE_PLACE: Final = 0
LANE_BOOK: Final = 1
LANE_STRATEGY: Final = 2
LANE_NET: Final = 3  # its track of net positions, and 1; 0: the entry is free

FILL_LISTING: Final = 0  # row in the table of listings
FILL_BOOK: Final = 1
FILL_STRATEGY: Final = 2
FILL_LOTS: Final = 3  # bought is positive

APPLIED: Final = 0
REFUSED_UNKNOWN: Final = 1  # no such listing
REFUSED_OVERFLOW: Final = 2  # a figure would not fit; nothing was changed
REFUSED_NEGATIVE: Final = 3  # more would be taken off the working orders than there is
REFUSED_PRICE: Final = 4  # something is held where there is no price
NEEDS_ROWS: Final = 5  # no room for new chunks: make some, and ask again
NEEDS_LANE: Final = 6  # nobody has dealt for that book and strategy there: make a lane, and ask again


def new_cells(rows: int, tracks: int, chunks: int) -> tuple[Table, Table, Table]:
    """Return (cells, directory, pool) with room for *rows* - 1 chunks: row 0 stays empty.

    Args:
        tracks: rows of the directory, each kept from slot 0 on.
        chunks: how many a track can have.
    """
    cells = np.zeros((rows, CHUNK), np.int64)
    directory = np.zeros((tracks, TRACK_ROWS + chunks), np.int64)
    # The free rows, a stack: how many there are, then their numbers, the lowest on top.
    pool = np.concatenate(([rows - 1], np.arange(rows - 1, 0, -1))).astype(np.int64)
    return cells, directory, pool


def _product(a: int, b: int) -> int:
    """Return a * b, or ABSENT where that does not fit; neither is ABSENT."""
    if a != 0 and abs(b) > INT64_MAX // abs(a):
        return ABSENT
    return a * b


def _sum(a: int, b: int) -> int:
    """Return a + b, or ABSENT where that does not fit; neither is ABSENT."""
    if (b > 0 and a > INT64_MAX - b) or (b < 0 and a < -INT64_MAX - b):
        return ABSENT
    return a + b


def _worst_of(cells: Table, row: int, first: int, count: int, amount: int, lowest: int) -> int:
    """Return APPLIED where *amount* can be added to *count* cells of a row, or why it cannot."""
    low, high = CELL_MAX, NET_MIN
    for at in range(first, first + count):
        low = min(low, cells[row, at])
        high = max(high, cells[row, at])
    if high + amount > CELL_MAX or low + amount < NET_MIN:
        return REFUSED_OVERFLOW
    return REFUSED_NEGATIVE if low + amount < lowest else APPLIED


def _check(
    cells: Table, directory: Table, pool: Table, segments: Table, first: int, count: int, track: int, lots: int,
    lowest: int,
) -> int:  # fmt: skip
    """Return APPLIED where `add_lots` can be done in full, or why it cannot."""
    new, newest = 0, -1
    for at in range(first, first + count):
        amount = _product(segments[at, SEGMENT_AMOUNT], lots)
        if amount == ABSENT or abs(amount) > CELL_MAX:
            return REFUSED_OVERFLOW
        end = segments[at, SEGMENT_SLOT] + segments[at, SEGMENT_COUNT]
        slot = max(segments[at, SEGMENT_SLOT], directory[track, TRACK_KEPT])
        while slot < end:
            chunk = slot >> CHUNK_BITS
            stop = min(end, (chunk + 1) << CHUNK_BITS)
            row = directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]]
            if row == 0:
                if amount < lowest:
                    return REFUSED_NEGATIVE
                if chunk != newest:
                    new, newest = new + 1, chunk
            else:
                status = _worst_of(cells, row, slot & _IN_CHUNK, stop - slot, amount, lowest)
                if status != APPLIED:
                    return status
            slot = stop
    return NEEDS_ROWS if new > pool[0] else APPLIED


def row_of(directory: Table, pool: Table, track: int, chunk: int) -> int:
    """Return the row of a track's chunk, a free one where it has none; there is one."""
    column = TRACK_ROWS + chunk - directory[track, TRACK_BASE]
    if directory[track, column] == 0:
        directory[track, column] = pool[pool[0]]
        pool[0] -= 1
    row: int = directory[track, column]
    return row


def add_lots(
    cells: Table, directory: Table, pool: Table, segments: Table, first: int, count: int, track: int, lots: int,
    lowest: int,
) -> int:  # fmt: skip
    """Add so many lots to every slot of *count* segments from row *first* on; return APPLIED, or why nothing was done.

    Args:
        segments: (n, 3), the ``SEGMENT_*`` columns; in time order and apart.
        lots: either sign, up to LOTS_MAX.
        lowest: what no cell may fall below: NET_MIN, or 0 for working orders.

    Cost: O(slots), some 1 ns each.
    """
    status = _check(cells, directory, pool, segments, first, count, track, lots, lowest)
    if status != APPLIED:
        return status
    for at in range(first, first + count):
        amount = segments[at, SEGMENT_AMOUNT] * lots
        end = segments[at, SEGMENT_SLOT] + segments[at, SEGMENT_COUNT]
        slot = max(segments[at, SEGMENT_SLOT], directory[track, TRACK_KEPT])
        while slot < end:
            chunk = slot >> CHUNK_BITS
            stop = min(end, (chunk + 1) << CHUNK_BITS)
            row = row_of(directory, pool, track, chunk)
            start = slot & _IN_CHUNK
            for cell in range(start, start + stop - slot):
                cells[row, cell] += amount
            slot = stop
    return APPLIED


def set_amount(cells: Table, directory: Table, pool: Table, track: int, slot: int, end: int, amount: int) -> int:
    """Write *amount* into the slots [slot, end) of a track; return APPLIED, or why nothing was done."""
    if amount > CELL_MAX or amount < NET_MIN:
        return REFUSED_OVERFLOW
    slot = max(slot, directory[track, TRACK_KEPT])
    if slot >= end:
        return APPLIED
    new = 0
    for chunk in range(slot >> CHUNK_BITS, ((end - 1) >> CHUNK_BITS) + 1):
        new += directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]] == 0
    if new > pool[0]:
        return NEEDS_ROWS
    while slot < end:
        chunk = slot >> CHUNK_BITS
        stop = min(end, (chunk + 1) << CHUNK_BITS)
        row = row_of(directory, pool, track, chunk)
        start = slot & _IN_CHUNK
        for cell in range(start, start + stop - slot):
            cells[row, cell] = amount
        slot = stop
    return APPLIED


def lane_at(lanes: Table, place: int, book: int, strategy: int) -> int:
    """Return where in the table of lanes these stand, or the free entry where they would.

    Args:
        lanes: (a power of two, 4), the ``LANE_*`` columns; never full.
    """
    last = len(lanes) - 1
    at = (place * 7 + book * 31 + strategy * 1_021) & last
    while lanes[at, LANE_NET] != 0:
        if (
            lanes[at, LANE_STRATEGY] == strategy
            and lanes[at, LANE_BOOK] == book
            and lanes[at, LANE_PLACE] == place
        ):  # fmt: skip
            break
        at = (at + 1) & last
    return at


def _add_within(cells: Table, directory: Table, segments: Table, at: int, track: int, lots: int) -> bool:
    """Add lots to one segment where that is plain: in one chunk that is there, of small numbers; False: not done.

    It is what most fills are, and half the work of `add_lots`.
    """
    slot, amount = segments[at, SEGMENT_SLOT], segments[at, SEGMENT_AMOUNT]
    last = slot + segments[at, SEGMENT_COUNT] - 1
    chunk = slot >> CHUNK_BITS
    if slot < directory[track, TRACK_KEPT] or last >> CHUNK_BITS != chunk or amount > _HALF:
        return False
    row = directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]]
    if row == 0:
        return False
    start, end = slot & _IN_CHUNK, (last & _IN_CHUNK) + 1
    amount *= lots
    for cell in range(start, end):
        if abs(cells[row, cell]) > CELL_MAX - abs(amount):
            return False
    for cell in range(start, end):
        cells[row, cell] += amount
    return True


def apply_frame(
    cells: Table, directory: Table, pool: Table, lanes: Table, listings: Table, segments: Table, fills: Table,
    first: int, status_out: Table,
) -> int:  # fmt: skip
    """Add the fills of a frame from number *first* on; return where it stopped for want of a lane or rows, or n.

    A fill that is refused is passed over and leaves nothing behind.

    Args:
        listings, lanes: the ``LISTING_*`` and ``LANE_*`` columns.
        fills: (n, 4), the ``FILL_*`` columns.
        status_out: (n,). What became of each fill that was looked at.
    """
    for at in range(first, len(fills)):
        listing, lots = fills[at, FILL_LISTING], fills[at, FILL_LOTS]
        if listing <= 0 or listing >= len(listings) or listings[listing, LISTING_COUNT] == 0:
            status_out[at] = REFUSED_UNKNOWN
            continue
        if lots > LOTS_MAX or lots < -LOTS_MAX:
            status_out[at] = REFUSED_OVERFLOW
            continue
        lane = lane_at(lanes, listings[listing, LISTING_PLACE], fills[at, FILL_BOOK], fills[at, FILL_STRATEGY])
        track = lanes[lane, LANE_NET] - 1
        status = NEEDS_LANE
        if track >= 0:
            start, count = listings[listing, LISTING_FIRST], listings[listing, LISTING_COUNT]
            if count == 1 and _add_within(cells, directory, segments, start, track, lots):
                status = APPLIED
            else:
                status = add_lots(cells, directory, pool, segments, start, count, track, lots, NET_MIN)
        status_out[at] = status
        if status in (NEEDS_LANE, NEEDS_ROWS):
            return at
    return len(fills)


def _kept(directory: Table, track: int, slot: int, end: int) -> tuple[int, int]:
    """Return what of the slots [slot, end) a track has room for."""
    base = directory[track, TRACK_BASE]
    chunks = base + directory.shape[1] - TRACK_ROWS
    first = max(slot, max(directory[track, TRACK_KEPT], base << CHUNK_BITS))
    return first, min(end, chunks << CHUNK_BITS)


def _add_to(cells: Table, row: int, start: int, sign: int, out: Table) -> bool:
    """Add cells of a row, times 1 or -1, to *out*; False where a sum does not fit."""
    low, high = 0, 0
    for at in range(len(out)):
        low, high = min(low, out[at]), max(high, out[at])
    if low < NET_MIN or high > CELL_MAX:
        # There may be no room for one more cell: look at each.
        for at in range(len(out)):
            total = _sum(out[at], sign * cells[row, start + at])
            if total == ABSENT:
                return False
            out[at] = total
        return True
    held = cells[row, start : start + len(out)]
    if sign > 0:
        for at in range(len(out)):
            out[at] += held[at]
    else:
        for at in range(len(out)):
            out[at] -= held[at]
    return True


def read(cells: Table, directory: Table, tracks: Table, slot: int, out: Table) -> int:
    """Add up what the tracks hold from *slot* on, as many slots as *out* has; return APPLIED or REFUSED_OVERFLOW.

    Args:
        tracks: (n, 2). Track, and 1 or -1 for the sign that it counts with.
        out: (slots,). Slots that are no longer kept, or beyond the directory, are 0.
    """
    out[:] = 0
    for nth in range(len(tracks)):
        track, sign = tracks[nth, 0], tracks[nth, 1]
        at, end = _kept(directory, track, slot, slot + len(out))
        while at < end:
            chunk = at >> CHUNK_BITS
            stop = min(end, (chunk + 1) << CHUNK_BITS)
            row = directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]]
            if row != 0 and not _add_to(cells, row, at & _IN_CHUNK, sign, out[at - slot : stop - slot]):
                return REFUSED_OVERFLOW
            at = stop
    return APPLIED


def extremes(
    cells: Table, directory: Table, segments: Table, first: int, count: int, tracks: Table, scratch: Table, out: Table
) -> int:
    """Write the lowest and the highest sum that the tracks hold in any slot of some segments; return as `read`.

    Args:
        tracks: as of `read`: net and working buys for the long side, net less working sells for the short one.
        scratch: (CHUNK,). Written over.
        out: (2,). Lowest, highest; 0 and 0 where no slot of them is kept.
    """
    out[:] = 0
    met = False
    for at in range(first, first + count):
        end = segments[at, SEGMENT_SLOT] + segments[at, SEGMENT_COUNT]
        slot = segments[at, SEGMENT_SLOT]
        if len(tracks) > 0:
            slot = max(slot, directory[tracks[0, 0], TRACK_KEPT])
        while slot < end:
            stop = min(end, slot + CHUNK)
            if read(cells, directory, tracks, slot, scratch[: stop - slot]) != APPLIED:
                return REFUSED_OVERFLOW
            low, high = scratch[0], scratch[0]
            for cell in range(stop - slot):
                low, high = min(low, scratch[cell]), max(high, scratch[cell])
            out[0] = min(out[0], low) if met else low
            out[1] = max(out[1], high) if met else high
            met = True
            slot = stop
    return APPLIED


def _times(cells: Table, row: int, start: int, prices: Table, to: int, count: int) -> int:
    """Return the sum of cells times prices, each number no larger than _HALF, over at most CHUNK cells; or ABSENT."""
    low, high, least, most = 0, 0, 0, 0
    for at in range(count):
        low, high = min(low, cells[row, start + at]), max(high, cells[row, start + at])
        least, most = min(least, prices[to + at]), max(most, prices[to + at])
    if low < -_HALF or high > _HALF or least < -_HALF or most > _HALF:
        return ABSENT
    if max(-low, high) * max(-least, most) > INT64_MAX >> CHUNK_BITS:
        return ABSENT
    total = 0
    for at in range(count):
        total += cells[row, start + at] * prices[to + at]
    return total


def value(cells: Table, directory: Table, track: int, slot: int, prices: Table, out: Table) -> int:
    """Add to out[0] what a track holds from *slot* on, each cell times its price; return APPLIED, or why not.

    Args:
        prices: (slots,). Ticks, ABSENT where there is none.
        out: (1,). Grid units times ticks.

    Cost: O(slots) of chunks that are there, some 0.7 ns each; where numbers are so large that each product has to be
    looked at, some 15 ns.
    """
    at, end = _kept(directory, track, slot, slot + len(prices))
    while at < end:
        chunk = at >> CHUNK_BITS
        stop = min(end, (chunk + 1) << CHUNK_BITS)
        row = directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]]
        if row != 0:
            part = _times(cells, row, at & _IN_CHUNK, prices, at - slot, stop - at)
            if part != ABSENT:
                total = _sum(out[0], part)
                if total == ABSENT:
                    return REFUSED_OVERFLOW
                out[0] = total
            else:
                status = _value_each(cells, row, at & _IN_CHUNK, prices, at - slot, stop - at, out)
                if status != APPLIED:
                    return status
        at = stop
    return APPLIED


def _value_each(cells: Table, row: int, start: int, prices: Table, to: int, count: int, out: Table) -> int:
    """Do `value` for a piece of a chunk whose numbers are large, with a look at each."""
    for at in range(count):
        amount, price = cells[row, start + at], prices[to + at]
        if amount == 0:
            continue
        if price == ABSENT:
            return REFUSED_PRICE
        part = _product(amount, price)
        if part == ABSENT:
            return REFUSED_OVERFLOW
        total = _sum(out[0], part)
        if total == ABSENT:
            return REFUSED_OVERFLOW
        out[0] = total
    return APPLIED


KERNELS = (
    _product,
    _sum,
    _worst_of,
    _check,
    row_of,
    add_lots,
    set_amount,
    lane_at,
    _add_within,
    apply_frame,
    _kept,
    _add_to,
    read,
    extremes,
    _times,
    _value_each,
    value,
)
"""What is compiled, callees before their callers."""
