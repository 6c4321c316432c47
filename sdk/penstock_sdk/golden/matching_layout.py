"""Where a matching engine keeps its books: the columns of its two tables, and plain Python around them.

The engine is one table of int64, ``state[row, column]``, eight columns (one cache line) wide, so that a compiled call
unboxes a single array and a snapshot is one copy. A link between rows is the row's number; 0 means none, because row 0
is the header. The rows, in this order:

* row 0: the header (``HEAD_*``)
* one row per book (``BOOK_*``): book *b* is row ``1 + b``
* one row per price level (``LEVEL_*``), in use or on the free list
* one row per order (``ORDER_*``), in use or on the free list

What a call causes is written to a second table, ``out``, twelve columns wide: a header row (how many rows of each kind
are valid) and five sections of equal capacity, read with `results`, `fills`, `cancels`, `level_changes` and `tops`.
Column 0 of each is the number of the command in its frame, 0 for a scalar call.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import OrderKind, Reason, Side

__all__ = [
    "ABSENT",
    "ACCEPTED",
    "ALL_BOOKS",
    "ANONYMOUS",
    "BOOK_BEST",
    "BOOK_OPEN",
    "BOOK_ORDERS",
    "BUY",
    "CANCELLED",
    "CANCEL_BOOK",
    "CANCEL_CAUSE",
    "CANCEL_COMMAND",
    "CANCEL_ORDER_ID",
    "CANCEL_OWNER",
    "CANCEL_PRICE",
    "CANCEL_QTY",
    "CANCEL_SIDE",
    "CAUSE_CLOSED",
    "CAUSE_OWNER",
    "CAUSE_REQUEST",
    "CAUSE_SELF_TRADE",
    "CHANGE_BOOK",
    "CHANGE_COMMAND",
    "CHANGE_COUNT",
    "CHANGE_PRICE",
    "CHANGE_QTY",
    "CHANGE_SIDE",
    "CMD_BOOK",
    "CMD_KIND",
    "CMD_OP",
    "CMD_ORDER_ID",
    "CMD_OWNER",
    "CMD_PRICE",
    "CMD_QTY",
    "CMD_SIDE",
    "CMD_WIDTH",
    "DONE",
    "FILLED",
    "FILL_BOOK",
    "FILL_COMMAND",
    "FILL_MAKER_ID",
    "FILL_MAKER_OWNER",
    "FILL_MAKER_REMAINING",
    "FILL_PRICE",
    "FILL_QTY",
    "FILL_SIDE",
    "FILL_TAKER_ID",
    "FILL_TAKER_OWNER",
    "FILL_TAKER_REMAINING",
    "FOK",
    "HEAD_BOOKS",
    "HEAD_BUCKET_MASK",
    "HEAD_FREE_LEVEL",
    "HEAD_FREE_ORDER",
    "HEAD_LEVELS",
    "HEAD_ORDERS",
    "HEAD_ORDER_BASE",
    "IOC",
    "LEVEL_BETTER",
    "LEVEL_COUNT",
    "LEVEL_FIRST",
    "LEVEL_KEY",
    "LEVEL_LAST",
    "LEVEL_PRICE",
    "LEVEL_QTY",
    "LEVEL_WORSE",
    "LIMIT",
    "MARKET",
    "MORE",
    "OP_AMEND",
    "OP_CANCEL",
    "OP_CANCEL_OWNER",
    "OP_CLOSE",
    "OP_OPEN",
    "OP_SUBMIT",
    "ORDER_AFTER",
    "ORDER_BEFORE",
    "ORDER_BUCKET",
    "ORDER_CHAIN",
    "ORDER_ID",
    "ORDER_LEVEL",
    "ORDER_OWNER",
    "ORDER_QTY",
    "OUT_CANCELS",
    "OUT_CAPACITY",
    "OUT_COMMAND",
    "OUT_FILLS",
    "OUT_LEVELS",
    "OUT_RESULTS",
    "OUT_SECTIONS",
    "OUT_TOPS",
    "OUT_TOP_MOVED",
    "OUT_WIDTH",
    "PARTIAL",
    "PARTIAL_CANCELLED",
    "PRICE_MAX",
    "QTY_MAX_LOTS",
    "REASON_OF_STATUS",
    "REFUSED",
    "REFUSED_CANNOT_FILL",
    "REFUSED_CAPACITY",
    "REFUSED_CLOSED",
    "REFUSED_DUPLICATE",
    "REFUSED_MALFORMED",
    "REFUSED_OUT_FULL",
    "REFUSED_PRICE",
    "REFUSED_QTY",
    "REFUSED_UNKNOWN_BOOK",
    "REFUSED_UNKNOWN_ORDER",
    "RESULT_BOOK",
    "RESULT_CANCELLED",
    "RESULT_COMMAND",
    "RESULT_FILLED",
    "RESULT_ORDER_ID",
    "RESULT_OWNER",
    "RESULT_RESTING",
    "RESULT_STATUS",
    "ROWS_MAX",
    "SELL",
    "STATE_WIDTH",
    "STATUS_NAMES",
    "TOP_ASK_PRICE",
    "TOP_ASK_QTY",
    "TOP_BID_PRICE",
    "TOP_BID_QTY",
    "TOP_BOOK",
    "TOP_COMMAND",
    "Table",
    "cancels",
    "check",
    "fills",
    "level_changes",
    "new_engine",
    "new_out",
    "results",
    "state_arrays",
    "tops",
]

Table: TypeAlias = npt.NDArray[np.int64]

ABSENT: Final = -(2**63)
"""The price or quantity of a side that is empty."""
PRICE_MAX: Final = 2**63 - 1
QTY_MAX_LOTS: Final = 2**40
"""Above it an order is refused, so that a level's total (at most 2²² orders) always fits int64."""
ROWS_MAX: Final = 2**22

BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)
LIMIT: Final = int(OrderKind.LIMIT)
IOC: Final = int(OrderKind.IOC)
FOK: Final = int(OrderKind.FOK)
MARKET: Final = int(OrderKind.MARKET)

ANONYMOUS: Final = 0
"""The owner to whom self-trade prevention does not apply."""
ALL_BOOKS: Final = -1

# The header.
HEAD_BOOKS: Final = 0
HEAD_LEVELS: Final = 1  # capacity
HEAD_ORDERS: Final = 2  # capacity
HEAD_FREE_LEVEL: Final = 3
HEAD_FREE_ORDER: Final = 4
HEAD_ORDER_BASE: Final = 5  # row of the first order
HEAD_BUCKET_MASK: Final = 6  # number of hash buckets, a power of two, less one

# A book. BOOK_BEST + side and BOOK_ORDERS + side pick a side's cell.
BOOK_OPEN: Final = 0
BOOK_BEST: Final = 0  # + BUY, + SELL: row of the best level
BOOK_ORDERS: Final = 2  # + BUY, + SELL: how many orders rest

# A price level. Levels of a side are linked from the best to the worst; free ones are linked by LEVEL_WORSE.
LEVEL_PRICE: Final = 0
LEVEL_KEY: Final = 1  # 4 * book + side; 0 on the free list
LEVEL_QTY: Final = 2
LEVEL_COUNT: Final = 3
LEVEL_FIRST: Final = 4  # the order that is served first
LEVEL_LAST: Final = 5
LEVEL_BETTER: Final = 6
LEVEL_WORSE: Final = 7

# An order; book, side and price are its level's. Free ones are linked by ORDER_AFTER and have id 0. The hash that finds
# an order by its id is chained: ORDER_BUCKET of the i-th order row heads bucket i, whoever occupies that row.
ORDER_ID: Final = 0
ORDER_OWNER: Final = 1
ORDER_LEVEL: Final = 2
ORDER_QTY: Final = 3  # what is left of it
ORDER_BEFORE: Final = 4
ORDER_AFTER: Final = 5
ORDER_CHAIN: Final = 6
ORDER_BUCKET: Final = 7

STATE_WIDTH: Final = 8

# The header of `out`; OUT_RESULTS to OUT_TOPS count the rows of a section and number it.
OUT_CAPACITY: Final = 0
OUT_RESULTS: Final = 1
OUT_FILLS: Final = 2
OUT_CANCELS: Final = 3
OUT_LEVELS: Final = 4
OUT_TOPS: Final = 5
OUT_COMMAND: Final = 6
OUT_TOP_MOVED: Final = 7
OUT_SECTIONS: Final = 5
OUT_WIDTH: Final = 12

# What became of a command.
RESULT_COMMAND: Final = 0
RESULT_STATUS: Final = 1
RESULT_ORDER_ID: Final = 2
RESULT_OWNER: Final = 3
RESULT_BOOK: Final = 4
RESULT_FILLED: Final = 5  # lots dealt at once
RESULT_RESTING: Final = 6  # lots in the book after it
RESULT_CANCELLED: Final = 7  # lots that were neither dealt nor rest; for a mass cancel, all that it removed

FILL_COMMAND: Final = 0
FILL_MAKER_ID: Final = 1
FILL_MAKER_OWNER: Final = 2
FILL_TAKER_ID: Final = 3
FILL_TAKER_OWNER: Final = 4
FILL_BOOK: Final = 5
FILL_SIDE: Final = 6  # the taker's
FILL_PRICE: Final = 7  # the maker's
FILL_QTY: Final = 8
FILL_MAKER_REMAINING: Final = 9
FILL_TAKER_REMAINING: Final = 10

# A resting order that left the book without a fill.
CANCEL_COMMAND: Final = 0
CANCEL_ORDER_ID: Final = 1
CANCEL_OWNER: Final = 2
CANCEL_BOOK: Final = 3
CANCEL_SIDE: Final = 4
CANCEL_PRICE: Final = 5
CANCEL_QTY: Final = 6
CANCEL_CAUSE: Final = 7

# CHANGE_QTY and CHANGE_COUNT are the level's new totals; 0 means that it is gone.
CHANGE_COMMAND: Final = 0
CHANGE_BOOK: Final = 1
CHANGE_SIDE: Final = 2
CHANGE_PRICE: Final = 3
CHANGE_QTY: Final = 4
CHANGE_COUNT: Final = 5

TOP_COMMAND: Final = 0
TOP_BOOK: Final = 1
TOP_BID_PRICE: Final = 2
TOP_BID_QTY: Final = 3
TOP_ASK_PRICE: Final = 4
TOP_ASK_QTY: Final = 5

# A command of a frame.
CMD_OP: Final = 0
CMD_BOOK: Final = 1
CMD_ORDER_ID: Final = 2
CMD_OWNER: Final = 3
CMD_SIDE: Final = 4
CMD_KIND: Final = 5
CMD_PRICE: Final = 6
CMD_QTY: Final = 7
CMD_WIDTH: Final = 8

OP_SUBMIT: Final = 1
OP_CANCEL: Final = 2
OP_AMEND: Final = 3
OP_CANCEL_OWNER: Final = 4
OP_OPEN: Final = 5
OP_CLOSE: Final = 6

CAUSE_REQUEST: Final = 1
CAUSE_OWNER: Final = 2  # a mass cancel
CAUSE_CLOSED: Final = 3  # gate closure
CAUSE_SELF_TRADE: Final = 4

ACCEPTED: Final = 1  # rests in full
PARTIAL: Final = 2  # dealt in part, the rest rests
FILLED: Final = 3
CANCELLED: Final = 4  # a cancel was done; or nothing was dealt and nothing rests
PARTIAL_CANCELLED: Final = 5  # dealt in part, the rest does not rest
DONE: Final = 6  # a book was opened, closed or swept
MORE: Final = 7  # `out` is full: read it and give the same command again
REFUSED: Final = 16  # this and all above: nothing was changed
REFUSED_UNKNOWN_BOOK: Final = 16
REFUSED_CLOSED: Final = 17
REFUSED_MALFORMED: Final = 18  # side, kind, operation or id make no sense
REFUSED_PRICE: Final = 19
REFUSED_QTY: Final = 20
REFUSED_DUPLICATE: Final = 21
REFUSED_CAPACITY: Final = 22
REFUSED_CANNOT_FILL: Final = 23
REFUSED_UNKNOWN_ORDER: Final = 24
REFUSED_OUT_FULL: Final = 25

STATUS_NAMES: Final = {
    ACCEPTED: "accepted",
    PARTIAL: "partial",
    FILLED: "filled",
    CANCELLED: "cancelled",
    PARTIAL_CANCELLED: "partial, rest cancelled",
    DONE: "done",
    MORE: "more",
    REFUSED_UNKNOWN_BOOK: "refused: unknown book",
    REFUSED_CLOSED: "refused: book closed",
    REFUSED_MALFORMED: "refused: malformed",
    REFUSED_PRICE: "refused: price",
    REFUSED_QTY: "refused: quantity",
    REFUSED_DUPLICATE: "refused: duplicate id",
    REFUSED_CAPACITY: "refused: no free order or level",
    REFUSED_CANNOT_FILL: "refused: cannot fill",
    REFUSED_UNKNOWN_ORDER: "refused: unknown order",
    REFUSED_OUT_FULL: "refused: too little room for the outcome",
}

REASON_OF_STATUS: Final = {
    REFUSED_UNKNOWN_BOOK: Reason.UNKNOWN_LISTING,
    REFUSED_CLOSED: Reason.GATE_CLOSED,
    REFUSED_MALFORMED: Reason.MALFORMED,
    REFUSED_PRICE: Reason.MALFORMED,
    REFUSED_QTY: Reason.MALFORMED,
    REFUSED_DUPLICATE: Reason.DUPLICATE,
    REFUSED_CAPACITY: Reason.VENUE_CAPACITY,
    REFUSED_CANNOT_FILL: Reason.NO_LIQUIDITY,
    REFUSED_UNKNOWN_ORDER: Reason.UNKNOWN_ORDER,
    REFUSED_OUT_FULL: Reason.VENUE_CAPACITY,
}
"""What a venue plugin says in its report for a refusal."""


def new_engine(book_count: int, order_capacity: int, level_capacity: int) -> Table:
    """Return the state of an engine whose books are all closed and empty.

    Args:
        book_count: books are numbered from 0.
        order_capacity: how many orders can rest at once, in all books together; 64 bytes each.
        level_capacity: how many price levels can hold orders at once; 64 bytes each.

    Raises:
        ValueError: a size is below 1 or above 2²².
    """
    for name, size in (
        ("book_count", book_count),
        ("order_capacity", order_capacity),
        ("level_capacity", level_capacity),
    ):
        if not 1 <= size <= ROWS_MAX:
            raise ValueError(f"{name} is {size}; wanted 1 to {ROWS_MAX}")
    level_base, order_base = 1 + book_count, 1 + book_count + level_capacity
    state = np.zeros((order_base + order_capacity, STATE_WIDTH), np.int64)
    state[0, HEAD_BOOKS] = book_count
    state[0, HEAD_LEVELS] = level_capacity
    state[0, HEAD_ORDERS] = order_capacity
    state[0, HEAD_FREE_LEVEL] = level_base
    state[0, HEAD_FREE_ORDER] = order_base
    state[0, HEAD_ORDER_BASE] = order_base
    state[0, HEAD_BUCKET_MASK] = 2 ** (order_capacity.bit_length() - 1) - 1
    state[level_base : order_base - 1, LEVEL_WORSE] = np.arange(level_base + 1, order_base)
    state[order_base:-1, ORDER_AFTER] = np.arange(order_base + 1, len(state))
    return state


def new_out(capacity: int) -> Table:
    """Return an empty table of outcomes with room for *capacity* rows of each kind; 480 bytes each.

    Raises:
        ValueError: *capacity* is below 4, which one cancel or amendment may need.
    """
    if capacity < 4:
        raise ValueError(f"capacity is {capacity}; wanted at least 4")
    out = np.zeros((1 + OUT_SECTIONS * capacity, OUT_WIDTH), np.int64)
    out[0, OUT_CAPACITY] = capacity
    return out


def state_arrays(state: Table) -> tuple[Table, ...]:
    """Return every array that a snapshot must hold; copying them back restores the engine."""
    return (state,)


def results(out: Table) -> Table:
    """Return a view of the ``RESULT_*`` rows, one per command done."""
    return _section(out, OUT_RESULTS)


def fills(out: Table) -> Table:
    """Return a view of the ``FILL_*`` rows, in the order of dealing."""
    return _section(out, OUT_FILLS)


def cancels(out: Table) -> Table:
    """Return a view of the ``CANCEL_*`` rows: resting orders that left without a fill."""
    return _section(out, OUT_CANCELS)


def level_changes(out: Table) -> Table:
    """Return a view of the ``CHANGE_*`` rows: one per price level changed by a command, with its new totals."""
    return _section(out, OUT_LEVELS)


def tops(out: Table) -> Table:
    """Return a view of the ``TOP_*`` rows: a book's best bid and ask, where a command touched its best levels."""
    return _section(out, OUT_TOPS)


def _section(out: Table, section: int) -> Table:
    first = 1 + (section - 1) * int(out[0, OUT_CAPACITY])
    return out[first : first + int(out[0, section])]


def check(state: Table) -> None:
    """Assert every invariant of the engine: for tests, and after a restore. Cost: O(rows), plain Python.

    Levels sorted from the best, totals equal to the sum of their orders, no crossed book, queues and chains linked both
    ways, every order found by its id, every row either in use once or on its free list once.
    """
    head = [int(cell) for cell in state[0]]
    level_base, order_base = 1 + head[HEAD_BOOKS], head[HEAD_ORDER_BASE]
    assert len(state) == order_base + head[HEAD_ORDERS]
    levels_met: list[int] = []
    orders_met: list[int] = []
    for book in range(head[HEAD_BOOKS]):
        sides = {side: _check_side(state, book, side, levels_met, orders_met) for side in (BUY, SELL)}
        if sides[BUY] and sides[SELL]:
            assert sides[BUY][0] < sides[SELL][0], f"book {book} is crossed: {sides[BUY][0]} >= {sides[SELL][0]}"
        assert state[1 + book, BOOK_OPEN] or not (sides[BUY] or sides[SELL]), f"closed book {book} holds orders"
    _check_buckets(state, orders_met)
    free_levels = _walk(state, head[HEAD_FREE_LEVEL], LEVEL_WORSE)
    free_orders = _walk(state, head[HEAD_FREE_ORDER], ORDER_AFTER)
    assert sorted(levels_met + free_levels) == list(range(level_base, order_base)), "a level row is lost or met twice"
    assert sorted(orders_met + free_orders) == list(range(order_base, len(state))), "an order row is lost or met twice"
    assert not any(state[row, ORDER_ID] for row in free_orders), "a free order has an id"
    assert not any(state[row, LEVEL_KEY] for row in free_levels), "a free level has a key"


def _check_side(state: Table, book: int, side: int, levels_met: list[int], orders_met: list[int]) -> list[int]:
    """Assert one side of a book; return its prices, best first, and add the rows met to the two lists."""
    rows = _walk(state, int(state[1 + book, BOOK_BEST + side]), LEVEL_WORSE)
    prices = [int(state[row, LEVEL_PRICE]) for row in rows]
    assert prices == sorted(set(prices), reverse=side == BUY), f"book {book} side {side} is not sorted: {prices}"
    assert [int(state[row, LEVEL_BETTER]) for row in rows] == [0, *rows][: len(rows)]
    resting = 0
    for row in rows:
        queue = _walk(state, int(state[row, LEVEL_FIRST]), ORDER_AFTER)
        assert state[row, LEVEL_KEY] == 4 * book + side
        assert queue and queue[-1] == state[row, LEVEL_LAST], f"level {row} has a broken queue"
        assert [int(state[order, ORDER_BEFORE]) for order in queue] == [0, *queue][: len(queue)]
        assert all(state[order, ORDER_LEVEL] == row for order in queue)
        assert all(0 < state[order, ORDER_QTY] <= QTY_MAX_LOTS for order in queue)
        assert state[row, LEVEL_QTY] == sum(int(state[order, ORDER_QTY]) for order in queue)
        assert state[row, LEVEL_COUNT] == len(queue)
        resting += len(queue)
        orders_met.extend(queue)
    assert state[1 + book, BOOK_ORDERS + side] == resting
    levels_met.extend(rows)
    return prices


def _check_buckets(state: Table, orders: list[int]) -> None:
    base, mask = int(state[0, HEAD_ORDER_BASE]), int(state[0, HEAD_BUCKET_MASK])
    chained: list[int] = []
    for bucket in range(mask + 1):
        chain = _walk(state, int(state[base + bucket, ORDER_BUCKET]), ORDER_CHAIN)
        for row in chain:
            order_id = int(state[row, ORDER_ID])
            assert (order_id ^ (order_id >> 20) ^ (order_id >> 40)) & mask == bucket
        chained.extend(chain)
    assert sorted(chained) == sorted(orders), "an order is not found by its id, or a dead one is"
    ids = [int(state[row, ORDER_ID]) for row in orders]
    assert len(set(ids)) == len(ids), "an id rests twice"


def _walk(state: Table, row: int, link: int) -> list[int]:
    rows: list[int] = []
    while row:
        rows.append(row)
        assert len(rows) <= len(state), f"column {link} links in a circle"
        row = int(state[row, link])
    return rows
