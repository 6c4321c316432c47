"""A fill in one step: its money into a row of positions, its energy into the cells of the delivery grid.

Both are golden models of their own, `positions` and `delivery_cells`; here they are called together, so that a fill
costs one call of compiled code and is taken by both or by neither.
"""

from __future__ import annotations

from typing import Final

from penstock_sdk.golden import delivery_cells, positions
from penstock_sdk.golden.delivery_cells import (
    CHUNK_BITS,
    NEEDS_ROWS,
    NET_MIN,
    SEGMENT_COUNT,
    SEGMENT_SLOT,
    TRACK_BASE,
    TRACK_KEPT,
    TRACK_ROWS,
    add_lots,
)
from penstock_sdk.golden.positions import apply_fill, figures
from penstock_sdk.golden.positions_layout import (
    APPLIED,
    BUY,
    LOTS_MAX,
    POSITION_BOUGHT,
    POSITION_CASH,
    POSITION_NET,
    POSITION_SOLD,
    REFUSED_OVERFLOW,
    SELL,
    Table,
)

__all__ = [
    "APPLIED",
    "BOOKED_BOUGHT",
    "BOOKED_CASH",
    "BOOKED_LARGEST",
    "BOOKED_NET",
    "BOOKED_SOLD",
    "BOOKED_WIDTH",
    "KERNELS",
    "NEEDS_ROWS",
    "Table",
    "book",
    "figures",
    "largest",
]

BOOKED_NET: Final = 0  # lots
BOOKED_BOUGHT: Final = 1
BOOKED_SOLD: Final = 2
BOOKED_CASH: Final = 3  # 10^-6 of the currency
BOOKED_LARGEST: Final = 4  # as `largest`
BOOKED_WIDTH: Final = 5

_IN_CHUNK: Final = (1 << CHUNK_BITS) - 1


def largest(cells: Table, directory: Table, segments: Table, track: int) -> int:
    """Return the largest amount that a track holds in any slot of some segments, without its sign.

    Args:
        segments: (n, 3), as `delivery_cells.add_lots` takes them; without any it is 0.
    """
    found = 0
    for at in range(len(segments)):
        slot = max(segments[at, SEGMENT_SLOT], directory[track, TRACK_KEPT])
        end = segments[at, SEGMENT_SLOT] + segments[at, SEGMENT_COUNT]
        while slot < end:
            chunk = slot >> CHUNK_BITS
            stop = min(end, (chunk + 1) << CHUNK_BITS)
            row = directory[track, TRACK_ROWS + chunk - directory[track, TRACK_BASE]]
            if row != 0:
                start = slot & _IN_CHUNK
                for cell in range(start, start + stop - slot):
                    found = max(found, abs(cells[row, cell]))
            slot = stop
    return found


def book(
    table: Table, row: int, side: int, price_ticks: int, qty_lots: int, decision_half: int, arrival_half: int,
    cells: Table, directory: Table, pool: Table, segments: Table, track: int, out: Table,
) -> int:  # fmt: skip
    """Add one fill of ours to a row of positions and to a track of the grid; return APPLIED, or why neither was done.

    NEEDS_ROWS: the grid has no room for new cells; make some, and ask again.

    Args:
        table, row, side, price_ticks, qty_lots, decision_half, arrival_half: as of `positions.apply_fill`.
        cells, directory, pool, segments, track: as of `delivery_cells.add_lots`.
        out: (BOOKED_WIDTH,), the ``BOOKED_*`` figures after it.
    """
    lots = 0
    if 0 < qty_lots <= LOTS_MAX and (side == BUY or side == SELL):  # noqa: SIM109
        lots = qty_lots if side == BUY else -qty_lots
        status = add_lots(cells, directory, pool, segments, 0, len(segments), track, lots, NET_MIN)
        if status != APPLIED:
            return NEEDS_ROWS if status == NEEDS_ROWS else REFUSED_OVERFLOW
    status = apply_fill(table, row, side, price_ticks, qty_lots, decision_half, arrival_half)
    if status != APPLIED:
        if lots != 0:
            add_lots(cells, directory, pool, segments, 0, len(segments), track, -lots, NET_MIN)
        return status
    out[BOOKED_NET] = table[row, POSITION_NET]
    out[BOOKED_BOUGHT] = table[row, POSITION_BOUGHT]
    out[BOOKED_SOLD] = table[row, POSITION_SOLD]
    out[BOOKED_CASH] = table[row, POSITION_CASH]
    out[BOOKED_LARGEST] = largest(cells, directory, segments, track)
    return APPLIED


KERNELS = (
    *positions.KERNELS,
    *delivery_cells.KERNELS[: delivery_cells.KERNELS.index(add_lots) + 1],
    largest,
    book,
)
"""What is compiled, callees before their callers."""
