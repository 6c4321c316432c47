"""Where the model of the market's best prices keeps its books: the columns of its four tables of int64."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import Side
from penstock_sdk.golden.tick_layout import TOP_WIDTH

__all__ = [
    "ABSENT",
    "BUY",
    "CAUSES",
    "CAUSE_EXHAUSTED",
    "CAUSE_FULL",
    "CAUSE_INCONSISTENT",
    "CAUSE_MALFORMED",
    "CAUSE_NONE",
    "CAUSE_ORPHAN",
    "CAUSE_POISON",
    "CAUSE_RANGE",
    "CAUSE_SKIPPED",
    "HEAD_CAUSES",
    "HEAD_GENERATIONS",
    "HEAD_KNOWN",
    "HEAD_LEVELS",
    "HEAD_LOTS_MAX",
    "HEAD_ROLLS",
    "HEAD_SETS",
    "HEAD_SLOTS",
    "HEAD_UPDATES",
    "HEAD_WAYS",
    "HEAD_WIDTH",
    "ORDER_GENERATION",
    "ORDER_LOTS",
    "ORDER_PRICE",
    "ORDER_REF",
    "ORDER_SIDE",
    "ORDER_SLOT",
    "ORDER_VALID",
    "ORDER_WIDTH",
    "ROW_COUNT",
    "ROW_LEVELS",
    "ROW_MORE",
    "SELL",
    "SLOT_DIRTY",
    "SLOT_GENERATION",
    "SLOT_KNOWN",
    "SLOT_WIDTH",
    "Book",
    "Table",
    "counts",
    "levels_of",
    "new_book",
    "new_tops",
]

Table: TypeAlias = npt.NDArray[np.int64]

ABSENT: Final = -(2**63)
BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)

# why an update was not taken as it stood; all but NONE and SKIPPED leave the slot unknown
CAUSE_NONE: Final = 0
CAUSE_SKIPPED: Final = 1
CAUSE_MALFORMED: Final = 2
CAUSE_POISON: Final = 3
CAUSE_ORPHAN: Final = 4
CAUSE_FULL: Final = 5
CAUSE_INCONSISTENT: Final = 6
CAUSE_RANGE: Final = 7
CAUSE_EXHAUSTED: Final = 8

CAUSES: Final = {
    CAUSE_NONE: "taken",
    CAUSE_SKIPPED: "the slot is unknown; it waits for a quote or a clear",
    CAUSE_MALFORMED: "kind, slot, side, price or lots make no sense",
    CAUSE_POISON: "the feed said that the book cannot be known",
    CAUSE_ORPHAN: "no such order is kept",
    CAUSE_FULL: "the order's set has no free way",
    CAUSE_INCONSISTENT: "an order twice, or less there than was to be taken away",
    CAUSE_RANGE: "the level's lots do not fit",
    CAUSE_EXHAUSTED: "the last kept level went, and worse ones had been cut off",
}
"""One line for each cause."""

# columns of the head
HEAD_SLOTS: Final = 0
HEAD_LEVELS: Final = 1
HEAD_SETS: Final = 2  # a power of two
HEAD_WAYS: Final = 3
HEAD_LOTS_MAX: Final = 4
HEAD_GENERATIONS: Final = 5  # a slot's generation is below this
HEAD_KNOWN: Final = 6  # slots known now
HEAD_UPDATES: Final = 7
HEAD_ROLLS: Final = 8
HEAD_CAUSES: Final = 9  # + CAUSE_…: how often
HEAD_WIDTH: Final = HEAD_CAUSES + len(CAUSES)

# columns of a slot
SLOT_KNOWN: Final = 0
SLOT_DIRTY: Final = 1  # orders of this generation may be kept
SLOT_GENERATION: Final = 2
SLOT_WIDTH: Final = 3

# columns of a row of levels; slot s has rows 2 * s (bids) and 2 * s + 1 (asks)
ROW_COUNT: Final = 0
ROW_MORE: Final = 1  # worse levels than the kept ones were cut off
ROW_LEVELS: Final = 2  # then price, lots of each level, the best first

# columns of an order
ORDER_VALID: Final = 0
ORDER_REF: Final = 1
ORDER_SLOT: Final = 2
ORDER_GENERATION: Final = 3  # of the slot, when it was entered; another one now means that the order is forgotten
ORDER_SIDE: Final = 4
ORDER_PRICE: Final = 5
ORDER_LOTS: Final = 6
ORDER_WIDTH: Final = 7


class Book(NamedTuple):
    """The state: copying the four arrays back restores it."""

    head: Table
    """(HEAD_WIDTH,)"""
    slots: Table
    """(slot, SLOT_WIDTH)"""
    rows: Table
    """(2 * slot, ROW_LEVELS + 2 * levels)"""
    orders: Table
    """(set * ways + way, ORDER_WIDTH)"""


def new_book(
    slot_count: int = 256,
    levels: int = 4,
    order_capacity: int = 4096,
    ways: int = 4,
    lots_max: int = 2**32 - 1,
    generations: int = 64,
) -> Book:
    """Return books that are all unknown.

    Args:
        slot_count: slots are numbered from 0.
        levels: kept of each side.
        order_capacity: orders in all slots together; *ways* times a power of two.
        ways: orders with refs of one hash value.
        lots_max: the most that a level or an order can hold.
        generations: how often a slot can forget its orders before the table is swept.

    Raises:
        ValueError: a size is out of range.
    """
    least = {"slot_count": 1, "levels": 2, "ways": 1, "lots_max": 1, "generations": 2, "order_capacity": 2 * ways}
    given = {"slot_count": slot_count, "levels": levels, "ways": ways, "lots_max": lots_max,
             "generations": generations, "order_capacity": order_capacity}  # fmt: skip
    for name, value in given.items():
        if value < least[name]:
            raise ValueError(f"{name} is {value}; wanted at least {least[name]}")
    sets = order_capacity // ways
    if sets * ways != order_capacity or sets & (sets - 1):
        raise ValueError(f"order_capacity is {order_capacity}; wanted {ways} times a power of two")
    head = np.zeros(HEAD_WIDTH, np.int64)
    head[: HEAD_GENERATIONS + 1] = (slot_count, levels, sets, ways, lots_max, generations)
    return Book(
        head,
        np.zeros((slot_count, SLOT_WIDTH), np.int64),
        np.zeros((2 * slot_count, ROW_LEVELS + 2 * levels), np.int64),
        np.zeros((order_capacity, ORDER_WIDTH), np.int64),
    )


def new_tops(count: int) -> Table:
    """Return a table for *count* rows of best prices (``TOP_*`` columns)."""
    return np.zeros((count, TOP_WIDTH), np.int64)


def levels_of(book: Book, slot: int, side: int) -> list[tuple[int, int]]:
    """Return the kept levels of a slot's side, the best first, as (price_ticks, lots)."""
    row = book.rows[2 * slot + (side == SELL)]
    cells = row[ROW_LEVELS : ROW_LEVELS + 2 * int(row[ROW_COUNT])].tolist()
    return list(zip(cells[::2], cells[1::2], strict=True))


def counts(book: Book) -> dict[int, int]:
    """Return how often each cause was met; CAUSE_NONE counts the updates taken as they stood."""
    return {cause: int(book.head[HEAD_CAUSES + cause]) for cause in CAUSES}
