"""Best bid and ask of every listing slot, on integers, the same in software and hardware.

The functions of `KERNELS` are plain Python on int64 tables and are at the same time what numba compiles; the columns
and the functions that make a book stand in `book_top_layout` and are offered here too.

    >>> book, tops = new_book(slot_count=2), new_tops(3)
    >>> updates = np.array([
    ...     [UPDATE_CLEAR, 0, 0, ABSENT, 0, ABSENT, 0, 0, 0, 1],
    ...     [UPDATE_ADD, 0, BUY, -120, 30, ABSENT, 0, 7, 0, 2],
    ...     [UPDATE_REDUCE, 0, 0, ABSENT, 10, ABSENT, 0, 7, 0, 3]])
    >>> apply_updates(book, updates, tops)
    3
    >>> tops[2, [TOP_KNOWN, TOP_BID, TOP_BID_LOTS, TOP_AT_NS]].tolist()
    [1, -120, 20, 3]

What a slot's best prices are is either known exactly or not at all:

    * Of each side the best few levels are kept. What falls off the end, or would come behind it, is cut off, and from
      then on (`ROW_MORE`) only what is better than the worst kept level is taken, and what is taken away behind it is
      not missed. A side that loses its last kept level while others are cut off leaves the slot unknown.
    * An order is found by its ref in a table of sets; a slot's orders are forgotten at once by giving it another
      generation. Before a generation comes round again, the table is swept: what is forgotten leaves it.
    * Whatever contradicts what is kept leaves the slot unknown, and says why (`CAUSES`). An unknown slot skips all but
      a quote or a clear, which make it known again.
    * A quote is the whole book: at most one level a side, none cut off, no orders.
    * Crossed books are passed on as they are.

Cost: O(levels + ways) an update; a sweep is O(orders + slots).
"""

import numpy as np

# Both layouts are part of this module's interface, and nearly all of them is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.book_top_layout import *
from penstock_sdk.golden.book_top_layout import Book, Table
from penstock_sdk.golden.tick_layout import *

__all__ = ["KERNELS", "apply_update", "apply_updates", "begin_slot", "np", "order_set", "read_top", "roll_slot"]


def order_set(ref: int, sets: int) -> int:
    """Return the set that an order's ref belongs to: its 64 bits folded to those of *sets*, a power of two."""
    width = 0
    while (1 << width) < sets:
        width += 1
    folded = 0
    for shift in range(0, 64, width):
        bits = min(width, 64 - shift)
        folded ^= (ref >> shift) & ((1 << bits) - 1)
    return folded


def _is_live(book: Book, at: int) -> bool:
    """Return whether a place of the table holds an order that is not forgotten."""
    order = book.orders[at]
    return bool(order[ORDER_VALID] != 0 and book.slots[order[ORDER_SLOT], SLOT_GENERATION] == order[ORDER_GENERATION])


def _find(book: Book, slot: int, ref: int) -> int:
    """Return the place of a slot's order, or -1."""
    ways = book.head[HEAD_WAYS]
    first = order_set(ref, book.head[HEAD_SETS]) * ways
    for at in range(first, first + ways):
        if book.orders[at, ORDER_REF] == ref and book.orders[at, ORDER_SLOT] == slot and _is_live(book, at):
            return at
    return -1


def _find_free(book: Book, ref: int, leaving: int) -> int:
    """Return the first place of the ref's set that is free, or is *leaving*; or -1."""
    ways = book.head[HEAD_WAYS]
    first = order_set(ref, book.head[HEAD_SETS]) * ways
    for at in range(first, first + ways):
        if at == leaving or not _is_live(book, at):
            return at
    return -1


def _keep(book: Book, at: int, slot: int, ref: int, side: int, price_ticks: int, lots: int) -> None:
    order = book.orders[at]
    order[ORDER_VALID] = 1
    order[ORDER_REF] = ref
    order[ORDER_SLOT] = slot
    order[ORDER_GENERATION] = book.slots[slot, SLOT_GENERATION]
    order[ORDER_SIDE] = side
    order[ORDER_PRICE] = price_ticks
    order[ORDER_LOTS] = lots
    book.slots[slot, SLOT_DIRTY] = 1


def _sweep(book: Book) -> None:
    """Take what is forgotten out of the table, and let slots that have no generation left begin anew."""
    for at in range(len(book.orders)):
        if not _is_live(book, at):
            book.orders[at, ORDER_VALID] = 0
    for slot in range(book.head[HEAD_SLOTS]):
        if book.slots[slot, SLOT_GENERATION] == book.head[HEAD_GENERATIONS] - 1:
            book.slots[slot, SLOT_GENERATION] = 0


def _forget_orders(book: Book, slot: int) -> None:
    book.slots[slot, SLOT_GENERATION] += 1
    book.slots[slot, SLOT_DIRTY] = 0
    if book.slots[slot, SLOT_GENERATION] == book.head[HEAD_GENERATIONS] - 1:
        _sweep(book)


def _lose(book: Book, slot: int) -> None:
    """Make a slot unknown."""
    book.head[HEAD_KNOWN] -= book.slots[slot, SLOT_KNOWN]
    book.slots[slot, SLOT_KNOWN] = 0
    _forget_orders(book, slot)


def _place(row: Table, side: int, price_ticks: int) -> int:
    """Return how many kept levels are better than a price."""
    count = row[ROW_COUNT]
    for nth in range(count):
        kept = row[ROW_LEVELS + 2 * nth]
        if not (kept > price_ticks if side == BUY else kept < price_ticks):
            return nth
    return int(count)


def _is_at(row: Table, nth: int, price_ticks: int) -> bool:
    return bool(nth < row[ROW_COUNT] and row[ROW_LEVELS + 2 * nth] == price_ticks)


def _insert(row: Table, nth: int, price_ticks: int, lots: int) -> None:
    """Put a level before the *nth*; what falls off the end, or would stand behind a cut, is cut off."""
    levels = (len(row) - ROW_LEVELS) // 2
    count = row[ROW_COUNT]
    if nth == count and (row[ROW_MORE] != 0 or count == levels):
        row[ROW_MORE] = 1
        return
    if count == levels:
        row[ROW_MORE] = 1
        count -= 1
    for cell in range(ROW_LEVELS + 2 * count - 1, ROW_LEVELS + 2 * nth - 1, -1):
        row[cell + 2] = row[cell]
    row[ROW_LEVELS + 2 * nth] = price_ticks
    row[ROW_LEVELS + 2 * nth + 1] = lots
    row[ROW_COUNT] = count + 1


def _remove(row: Table, nth: int) -> int:
    """Take a level out; return why the side is no longer known, or CAUSE_NONE."""
    count = row[ROW_COUNT]
    for cell in range(ROW_LEVELS + 2 * nth, ROW_LEVELS + 2 * (count - 1)):
        row[cell] = row[cell + 2]
    row[ROW_COUNT] = count - 1
    return CAUSE_EXHAUSTED if count == 1 and row[ROW_MORE] != 0 else CAUSE_NONE


def _add_lots(book: Book, slot: int, side: int, price_ticks: int, lots: int) -> int:
    row = book.rows[2 * slot + side - BUY]
    nth = _place(row, side, price_ticks)
    if not _is_at(row, nth, price_ticks):
        _insert(row, nth, price_ticks, lots)
        return CAUSE_NONE
    row[ROW_LEVELS + 2 * nth + 1] += lots
    return CAUSE_RANGE if row[ROW_LEVELS + 2 * nth + 1] > book.head[HEAD_LOTS_MAX] else CAUSE_NONE


def _take_lots(book: Book, slot: int, side: int, price_ticks: int, lots: int) -> int:
    row = book.rows[2 * slot + side - BUY]
    nth = _place(row, side, price_ticks)
    if not _is_at(row, nth, price_ticks):
        return CAUSE_NONE if nth == row[ROW_COUNT] and row[ROW_MORE] != 0 else CAUSE_INCONSISTENT
    row[ROW_LEVELS + 2 * nth + 1] -= lots
    if row[ROW_LEVELS + 2 * nth + 1] == 0:
        return _remove(row, nth)
    return CAUSE_INCONSISTENT if row[ROW_LEVELS + 2 * nth + 1] < 0 else CAUSE_NONE


def _set_lots(book: Book, slot: int, side: int, price_ticks: int, lots: int) -> int:
    row = book.rows[2 * slot + side - BUY]
    nth = _place(row, side, price_ticks)
    if not _is_at(row, nth, price_ticks):
        if lots != 0:
            _insert(row, nth, price_ticks, lots)
        return CAUSE_NONE
    if lots == 0:
        return _remove(row, nth)
    row[ROW_LEVELS + 2 * nth + 1] = lots
    return CAUSE_NONE


def _begin(book: Book, slot: int) -> None:
    """Make a slot known and empty, and forget its orders."""
    if book.slots[slot, SLOT_DIRTY] != 0:
        _forget_orders(book, slot)
    book.head[HEAD_KNOWN] += 1 - book.slots[slot, SLOT_KNOWN]
    book.slots[slot, SLOT_KNOWN] = 1
    for row in range(2 * slot, 2 * slot + 2):
        book.rows[row, ROW_COUNT] = 0
        book.rows[row, ROW_MORE] = 0


def _quote(book: Book, update: Table) -> int:
    slot = update[UPDATE_SLOT]
    _begin(book, slot)
    if update[UPDATE_PRICE] != ABSENT and update[UPDATE_LOTS] != 0:
        _insert(book.rows[2 * slot], 0, update[UPDATE_PRICE], update[UPDATE_LOTS])
    if update[UPDATE_ASK] != ABSENT and update[UPDATE_ASK_LOTS] != 0:
        _insert(book.rows[2 * slot + 1], 0, update[UPDATE_ASK], update[UPDATE_ASK_LOTS])
    return CAUSE_NONE


def _join(book: Book, update: Table, side: int, leaving: int) -> int:
    """Let an order of the update's price and lots join; *leaving* is the place that it may take over, or -1."""
    slot = update[UPDATE_SLOT]
    ref = update[UPDATE_NEW_REF] if update[UPDATE_KIND] == UPDATE_REPLACE else update[UPDATE_REF]
    twin = _find(book, slot, ref)
    if twin >= 0 and twin != leaving:
        return CAUSE_INCONSISTENT
    at = twin if twin >= 0 else _find_free(book, ref, leaving)
    if at < 0:
        return CAUSE_FULL
    if leaving >= 0:
        left = book.orders[leaving]
        left[ORDER_VALID] = 0
        cause = _take_lots(book, slot, left[ORDER_SIDE], left[ORDER_PRICE], left[ORDER_LOTS])
        if cause != CAUSE_NONE:
            return cause
    _keep(book, at, slot, ref, side, update[UPDATE_PRICE], update[UPDATE_LOTS])
    return _add_lots(book, slot, side, update[UPDATE_PRICE], update[UPDATE_LOTS])


def _leave(book: Book, update: Table, at: int) -> int:
    """Take an order, or some of its lots, away."""
    order = book.orders[at]
    lots = order[ORDER_LOTS] if update[UPDATE_KIND] == UPDATE_DELETE else update[UPDATE_LOTS]
    if lots > order[ORDER_LOTS]:
        return CAUSE_INCONSISTENT
    order[ORDER_LOTS] -= lots
    if order[ORDER_LOTS] == 0:
        order[ORDER_VALID] = 0
    return _take_lots(book, update[UPDATE_SLOT], order[ORDER_SIDE], order[ORDER_PRICE], lots)


def _order(book: Book, update: Table) -> int:
    kind = update[UPDATE_KIND]
    if kind == UPDATE_ADD:
        return _join(book, update, update[UPDATE_SIDE], -1)
    at = _find(book, update[UPDATE_SLOT], update[UPDATE_REF])
    if kind == UPDATE_SET:
        return _join(book, update, update[UPDATE_SIDE], at)
    if at < 0:
        return CAUSE_ORPHAN
    if kind == UPDATE_REPLACE:
        return _join(book, update, book.orders[at, ORDER_SIDE], at)
    return _leave(book, update, at)


def _is_malformed(book: Book, update: Table) -> bool:
    kind, lots = update[UPDATE_KIND], update[UPDATE_LOTS]
    if kind < UPDATE_QUOTE or kind > UPDATE_POISON or not 0 <= update[UPDATE_SLOT] < book.head[HEAD_SLOTS]:
        return True
    if not 0 <= lots <= book.head[HEAD_LOTS_MAX] or not 0 <= update[UPDATE_ASK_LOTS] <= book.head[HEAD_LOTS_MAX]:
        return True
    if kind in (UPDATE_LEVEL, UPDATE_ADD, UPDATE_SET) and update[UPDATE_SIDE] != BUY and update[UPDATE_SIDE] != SELL:
        return True
    if kind in (UPDATE_LEVEL, UPDATE_ADD, UPDATE_SET, UPDATE_REPLACE) and update[UPDATE_PRICE] == ABSENT:
        return True
    return bool(kind in (UPDATE_ADD, UPDATE_SET, UPDATE_REPLACE, UPDATE_REDUCE) and lots == 0)


def _cause(book: Book, update: Table) -> int:
    """Apply an update to its slot's tables; return what was wrong with it."""
    kind, slot = update[UPDATE_KIND], update[UPDATE_SLOT]
    if _is_malformed(book, update):
        return CAUSE_MALFORMED
    if kind == UPDATE_QUOTE:
        return _quote(book, update)
    if kind == UPDATE_CLEAR:
        _begin(book, slot)
        return CAUSE_NONE
    if book.slots[slot, SLOT_KNOWN] == 0:
        return CAUSE_SKIPPED
    if kind == UPDATE_POISON:
        return CAUSE_POISON
    if kind == UPDATE_LEVEL:
        return _set_lots(book, slot, update[UPDATE_SIDE], update[UPDATE_PRICE], update[UPDATE_LOTS])
    return _order(book, update)


def read_top(book: Book, slot: int, top: Table) -> None:
    """Write what is known of a slot's best prices to the ``TOP_*`` columns of a row; the time stays as it is."""
    top[TOP_SLOT] = slot
    known = 0 <= slot < book.head[HEAD_SLOTS] and book.slots[slot, SLOT_KNOWN] != 0
    top[TOP_KNOWN] = 1 if known else 0
    for ask in range(2):
        present = known and book.rows[2 * slot + ask, ROW_COUNT] != 0
        top[TOP_BID + 2 * ask] = book.rows[2 * slot + ask, ROW_LEVELS] if present else ABSENT
        top[TOP_BID_LOTS + 2 * ask] = book.rows[2 * slot + ask, ROW_LEVELS + 1] if present else 0


def apply_update(book: Book, update: Table, top: Table) -> int:
    """Apply one update and return its cause, one of `CAUSES`.

    Args:
        update: the ``UPDATE_*`` columns. Which are read depends on the kind; a missing price is ABSENT.
        top: gets the ``TOP_*`` columns of the update's slot, with the update's time. Where the slot is not known,
            prices are ABSENT and lots 0.
    """
    cause = _cause(book, update)
    slot = update[UPDATE_SLOT]
    if cause > CAUSE_SKIPPED and 0 <= slot < book.head[HEAD_SLOTS] and book.slots[slot, SLOT_KNOWN] != 0:
        _lose(book, slot)
    book.head[HEAD_UPDATES] += 1
    book.head[HEAD_CAUSES + cause] += 1
    read_top(book, slot, top)
    top[TOP_AT_NS] = update[UPDATE_AT_NS]
    return cause


def apply_updates(book: Book, updates: Table, tops: Table) -> int:
    """Apply a frame of updates; row i of *tops* answers update i. Return how many were taken as they stood."""
    taken = 0
    for at in range(len(updates)):
        if apply_update(book, updates[at], tops[at]) == CAUSE_NONE:
            taken += 1
    return taken


def roll_slot(book: Book, slot: int) -> None:
    """Make a slot unknown and forget its orders, because another contract takes it over."""
    _lose(book, slot)
    book.head[HEAD_ROLLS] += 1


def begin_slot(book: Book, slot: int) -> None:
    """Make a slot known with an empty book: the start of day of a feed that neither quotes nor clears."""
    roll_slot(book, slot)
    _begin(book, slot)


KERNELS = (
    order_set,
    _is_live,
    _find,
    _find_free,
    _keep,
    _sweep,
    _forget_orders,
    _lose,
    _place,
    _is_at,
    _insert,
    _remove,
    _add_lots,
    _take_lots,
    _set_lots,
    _begin,
    _quote,
    _join,
    _leave,
    _order,
    _is_malformed,
    _cause,
    read_top,
    apply_update,
    apply_updates,
    roll_slot,
    begin_slot,
)
"""What is compiled, callees before their callers."""
