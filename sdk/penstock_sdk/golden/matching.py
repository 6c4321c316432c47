"""A price-time priority order book for many contracts at once: integers in, integers out.

The functions of `KERNELS` are plain Python on int64 tables and are at the same time what numba compiles; the layout of
the tables, and their allocation, stand in `matching_layout` and are offered here too. A call clears ``out``, does one
command, or many, and leaves what it caused there:

    >>> state, out = new_engine(1, 100, 100), new_out(100)
    >>> open_book(state, out, 0) == DONE
    True
    >>> submit(state, out, 0, 1, 7, SELL, LIMIT, -5, 10) == ACCEPTED
    True
    >>> submit(state, out, 0, 2, 8, BUY, IOC, 0, 4) == FILLED
    True
    >>> fills(out)[0, [FILL_MAKER_ID, FILL_PRICE, FILL_QTY, FILL_MAKER_REMAINING]].tolist()
    [1, -5, 4, 6]

Rules
    * Better price first, then earlier arrival; a fill is at the resting order's price. Prices are any int64 but ABSENT.
    * LIMIT rests until it is cancelled or its book closes; IOC and MARKET cancel what is left; FOK deals in full or is
      refused without a trace.
    * Self-trade prevention: a resting order of the taker's owner is cancelled when the taker meets it, and the taker
      goes on. Owner ANONYMOUS is exempt. FOK does not count such orders.
    * Less quantity at the same price keeps an order's place; any other amendment takes it out and submits it anew.
    * A LIMIT order needs a free order row and a free level row when it comes, even if it would not rest.
    * The engine remembers only orders that rest: an id may be used again later. Ids are the venue's own numbers: the
      hash takes their low bits, so consecutive ids never collide.
    * Nothing is written past the end of ``out``: where room is short, a command is refused whole (REFUSED_OUT_FULL) or,
      for mass cancels and closures, done in part (MORE). A single cancel always fits in an empty ``out``.

Cost: O(1) to find and to cancel; O(levels better than it) to rest; O(orders met) to deal.
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.matching_layout import *
from penstock_sdk.golden.matching_layout import Table


def _find(state: Table, order_id: int) -> int:
    """Return the row of the resting order *order_id*, or 0."""
    bucket = (order_id ^ (order_id >> 20) ^ (order_id >> 40)) & state[0, HEAD_BUCKET_MASK]
    row: int = state[state[0, HEAD_ORDER_BASE] + bucket, ORDER_BUCKET]
    while row != 0 and state[row, ORDER_ID] != order_id:
        row = state[row, ORDER_CHAIN]
    return row


def _room(out: Table, section: int, rows: int) -> bool:
    return bool(out[0, section] + rows <= out[0, OUT_CAPACITY])


def _next_row(out: Table, section: int) -> int:
    """Return the next row of a section, its command column filled in; the caller has seen to the room."""
    row: int = 1 + (section - 1) * out[0, OUT_CAPACITY] + out[0, section]
    out[0, section] += 1
    out[row, 0] = out[0, OUT_COMMAND]
    return row


def _begin(out: Table, command: int) -> None:
    """Empty *out*, for a call whose first command has the number *command*."""
    for section in range(OUT_RESULTS, OUT_TOPS + 1):
        out[0, section] = 0
    out[0, OUT_COMMAND] = command
    out[0, OUT_TOP_MOVED] = 0


def _write_result(out: Table, status: int, order_id: int, owner: int, book: int) -> int:
    """Write a result without quantities; return its row."""
    row = _next_row(out, OUT_RESULTS)
    out[row, RESULT_STATUS] = status
    out[row, RESULT_ORDER_ID] = order_id
    out[row, RESULT_OWNER] = owner
    out[row, RESULT_BOOK] = book
    out[row, RESULT_FILLED] = 0
    out[row, RESULT_RESTING] = 0
    out[row, RESULT_CANCELLED] = 0
    return row


def _refuse(out: Table, status: int, order_id: int, owner: int, book: int) -> int:
    """Write a refusal and return its status; for want of room in a frame, write nothing: the command comes again."""
    if status != REFUSED_OUT_FULL or out[0, OUT_RESULTS] == 0:
        _write_result(out, status, order_id, owner, book)
    return status


def _note_level(state: Table, out: Table, level: int) -> None:
    """Write the level's present totals, and remember whether it is the best of its side."""
    row = _next_row(out, OUT_LEVELS)
    out[row, CHANGE_BOOK] = state[level, LEVEL_KEY] >> 2
    out[row, CHANGE_SIDE] = state[level, LEVEL_KEY] & 3
    out[row, CHANGE_PRICE] = state[level, LEVEL_PRICE]
    out[row, CHANGE_QTY] = state[level, LEVEL_QTY]
    out[row, CHANGE_COUNT] = state[level, LEVEL_COUNT]
    if state[level, LEVEL_BETTER] == 0:
        out[0, OUT_TOP_MOVED] = 1


def _note_top(state: Table, out: Table, book: int) -> None:
    """Write the book's top if a best level changed since the last one was written."""
    if out[0, OUT_TOP_MOVED] == 0:
        return
    out[0, OUT_TOP_MOVED] = 0
    row = _next_row(out, OUT_TOPS)
    out[row, TOP_BOOK] = book
    for side in (BUY, SELL):
        level = state[1 + book, BOOK_BEST + side]
        column = TOP_BID_PRICE if side == BUY else TOP_ASK_PRICE
        out[row, column] = ABSENT if level == 0 else state[level, LEVEL_PRICE]
        out[row, column + 1] = ABSENT if level == 0 else state[level, LEVEL_QTY]


def _note_cancel(state: Table, out: Table, order: int, cause: int) -> None:
    level = state[order, ORDER_LEVEL]
    row = _next_row(out, OUT_CANCELS)
    out[row, CANCEL_ORDER_ID] = state[order, ORDER_ID]
    out[row, CANCEL_OWNER] = state[order, ORDER_OWNER]
    out[row, CANCEL_BOOK] = state[level, LEVEL_KEY] >> 2
    out[row, CANCEL_SIDE] = state[level, LEVEL_KEY] & 3
    out[row, CANCEL_PRICE] = state[level, LEVEL_PRICE]
    out[row, CANCEL_QTY] = state[order, ORDER_QTY]
    out[row, CANCEL_CAUSE] = cause


def _find_level(state: Table, book: int, side: int, price_ticks: int) -> int:
    """Return the row of the side's level at a price, which is linked in, empty, if there was none."""
    better, row = 0, state[1 + book, BOOK_BEST + side]
    if side == BUY:
        while row != 0 and state[row, LEVEL_PRICE] > price_ticks:
            better, row = row, state[row, LEVEL_WORSE]
    else:
        while row != 0 and state[row, LEVEL_PRICE] < price_ticks:
            better, row = row, state[row, LEVEL_WORSE]
    if row != 0 and state[row, LEVEL_PRICE] == price_ticks:
        found: int = row
        return found
    level: int = state[0, HEAD_FREE_LEVEL]
    state[0, HEAD_FREE_LEVEL] = state[level, LEVEL_WORSE]
    state[level, LEVEL_PRICE] = price_ticks
    state[level, LEVEL_KEY] = 4 * book + side
    state[level, LEVEL_QTY] = 0
    state[level, LEVEL_COUNT] = 0
    state[level, LEVEL_FIRST] = 0
    state[level, LEVEL_LAST] = 0
    state[level, LEVEL_BETTER] = better
    state[level, LEVEL_WORSE] = row
    if better == 0:
        state[1 + book, BOOK_BEST + side] = level
    else:
        state[better, LEVEL_WORSE] = level
    if row != 0:
        state[row, LEVEL_BETTER] = level
    return level


def _drop_level_if_empty(state: Table, level: int) -> None:
    if state[level, LEVEL_COUNT] != 0:
        return
    better, worse, key = state[level, LEVEL_BETTER], state[level, LEVEL_WORSE], state[level, LEVEL_KEY]
    if better == 0:
        state[1 + (key >> 2), BOOK_BEST + (key & 3)] = worse
    else:
        state[better, LEVEL_WORSE] = worse
    if worse != 0:
        state[worse, LEVEL_BETTER] = better
    state[level, LEVEL_KEY] = 0
    state[level, LEVEL_WORSE] = state[0, HEAD_FREE_LEVEL]
    state[0, HEAD_FREE_LEVEL] = level


def _take_out(state: Table, order: int) -> None:
    """Unlink an order from its queue and from the hash, and free its row; its level stays, perhaps empty."""
    level, before, after = state[order, ORDER_LEVEL], state[order, ORDER_BEFORE], state[order, ORDER_AFTER]
    if before == 0:
        state[level, LEVEL_FIRST] = after
    else:
        state[before, ORDER_AFTER] = after
    if after == 0:
        state[level, LEVEL_LAST] = before
    else:
        state[after, ORDER_BEFORE] = before
    key = state[level, LEVEL_KEY]
    state[level, LEVEL_QTY] -= state[order, ORDER_QTY]
    state[level, LEVEL_COUNT] -= 1
    state[1 + (key >> 2), BOOK_ORDERS + (key & 3)] -= 1

    order_id = state[order, ORDER_ID]
    bucket = (order_id ^ (order_id >> 20) ^ (order_id >> 40)) & state[0, HEAD_BUCKET_MASK]
    link, column = state[0, HEAD_ORDER_BASE] + bucket, ORDER_BUCKET
    while state[link, column] != order:
        link, column = state[link, column], ORDER_CHAIN
    state[link, column] = state[order, ORDER_CHAIN]
    state[order, ORDER_ID] = 0
    state[order, ORDER_AFTER] = state[0, HEAD_FREE_ORDER]
    state[0, HEAD_FREE_ORDER] = order


def _rest(state: Table, out: Table, book: int, order_id: int, owner: int, side: int, price: int, qty: int) -> None:
    """Put an order last in the queue of its level."""
    level = _find_level(state, book, side, price)
    order = state[0, HEAD_FREE_ORDER]
    state[0, HEAD_FREE_ORDER] = state[order, ORDER_AFTER]
    state[order, ORDER_ID] = order_id
    state[order, ORDER_OWNER] = owner
    state[order, ORDER_LEVEL] = level
    state[order, ORDER_QTY] = qty
    last = state[level, LEVEL_LAST]
    state[order, ORDER_BEFORE] = last
    state[order, ORDER_AFTER] = 0
    if last == 0:
        state[level, LEVEL_FIRST] = order
    else:
        state[last, ORDER_AFTER] = order
    state[level, LEVEL_LAST] = order
    state[level, LEVEL_QTY] += qty
    state[level, LEVEL_COUNT] += 1
    state[1 + book, BOOK_ORDERS + side] += 1
    bucket = (order_id ^ (order_id >> 20) ^ (order_id >> 40)) & state[0, HEAD_BUCKET_MASK]
    head = state[0, HEAD_ORDER_BASE] + bucket
    state[order, ORDER_CHAIN] = state[head, ORDER_BUCKET]
    state[head, ORDER_BUCKET] = order
    _note_level(state, out, level)


def _crosses(side: int, limit_ticks: int, resting_ticks: int) -> bool:
    """Return whether a taker on *side* with this limit deals at the resting price."""
    return resting_ticks <= limit_ticks if side == BUY else resting_ticks >= limit_ticks


def _reach(state: Table, book: int, owner: int, side: int, limit_ticks: int, qty: int) -> tuple[int, int]:
    """Return how many lots of *qty* a taker would deal, and how many resting orders it would meet."""
    lots, met = 0, 0
    level = state[1 + book, BOOK_BEST + BUY + SELL - side]
    while level != 0 and lots < qty and _crosses(side, limit_ticks, state[level, LEVEL_PRICE]):
        order = state[level, LEVEL_FIRST]
        while order != 0 and lots < qty:
            met += 1
            if owner == ANONYMOUS or state[order, ORDER_OWNER] != owner:
                lots += min(qty - lots, state[order, ORDER_QTY])
            order = state[order, ORDER_AFTER]
        level = state[level, LEVEL_WORSE]
    return lots, met


def _match(state: Table, out: Table, book: int, order_id: int, owner: int, side: int, limit: int, qty: int) -> int:
    """Deal against the other side as far as the limit reaches; return the lots left. The caller has seen to room."""
    left = qty
    level = state[1 + book, BOOK_BEST + BUY + SELL - side]
    while level != 0 and left > 0 and _crosses(side, limit, state[level, LEVEL_PRICE]):
        price = state[level, LEVEL_PRICE]
        order = state[level, LEVEL_FIRST]
        while order != 0 and left > 0:
            after = state[order, ORDER_AFTER]
            if owner != ANONYMOUS and state[order, ORDER_OWNER] == owner:
                _note_cancel(state, out, order, CAUSE_SELF_TRADE)
                _take_out(state, order)
            else:
                dealt = min(left, state[order, ORDER_QTY])
                left -= dealt
                state[order, ORDER_QTY] -= dealt
                state[level, LEVEL_QTY] -= dealt
                row = _next_row(out, OUT_FILLS)
                out[row, FILL_MAKER_ID] = state[order, ORDER_ID]
                out[row, FILL_MAKER_OWNER] = state[order, ORDER_OWNER]
                out[row, FILL_TAKER_ID] = order_id
                out[row, FILL_TAKER_OWNER] = owner
                out[row, FILL_BOOK] = book
                out[row, FILL_SIDE] = side
                out[row, FILL_PRICE] = price
                out[row, FILL_QTY] = dealt
                out[row, FILL_MAKER_REMAINING] = state[order, ORDER_QTY]
                out[row, FILL_TAKER_REMAINING] = left
                if state[order, ORDER_QTY] == 0:
                    _take_out(state, order)
            order = after
        worse = state[level, LEVEL_WORSE]
        _note_level(state, out, level)
        _drop_level_if_empty(state, level)
        level = worse
    return left


def _has_room(
    state: Table, out: Table, book: int, owner: int, side: int, limit_ticks: int, qty: int, spare: int
) -> bool:
    """Return whether all that the order can cause fits in *out*, with *spare* level changes beside."""
    if not (_room(out, OUT_RESULTS, 1) and _room(out, OUT_TOPS, 1)):
        return False
    # No order can meet more than what rests on the other side; only where that is too much is it worth a count.
    met: int = state[1 + book, BOOK_ORDERS + BUY + SELL - side]
    if not (_room(out, OUT_FILLS, met) and _room(out, OUT_CANCELS, met) and _room(out, OUT_LEVELS, met + spare)):
        met = _reach(state, book, owner, side, limit_ticks, qty)[1]
    return _room(out, OUT_FILLS, met) and _room(out, OUT_CANCELS, met) and _room(out, OUT_LEVELS, met + spare)


def _refusal(
    state: Table, book: int, order_id: int, owner: int, side: int, kind: int, price_ticks: int, qty_lots: int
) -> int:
    """Return why the books cannot take an order, or 0."""
    if book < 0 or book >= state[0, HEAD_BOOKS]:
        return REFUSED_UNKNOWN_BOOK
    if state[1 + book, BOOK_OPEN] == 0:
        return REFUSED_CLOSED
    if order_id <= 0 or owner < 0 or (side != BUY and side != SELL) or kind < LIMIT or kind > MARKET:
        return REFUSED_MALFORMED
    if price_ticks == ABSENT and kind != MARKET:
        return REFUSED_PRICE
    if qty_lots <= 0 or qty_lots > QTY_MAX_LOTS:
        return REFUSED_QTY
    if _find(state, order_id) != 0:
        return REFUSED_DUPLICATE
    if kind == LIMIT and (state[0, HEAD_FREE_ORDER] == 0 or state[0, HEAD_FREE_LEVEL] == 0):
        return REFUSED_CAPACITY
    return 0


def _execute(
    state: Table, out: Table, book: int, order_id: int, owner: int, side: int, kind: int, limit: int, qty: int
) -> int:
    """Match an order that was found in order, rest or cancel what is left, write the result; return the status."""
    left = _match(state, out, book, order_id, owner, side, limit, qty)
    resting = left if kind == LIMIT else 0
    if resting > 0:
        _rest(state, out, book, order_id, owner, side, limit, left)
    _note_top(state, out, book)
    if left == 0:
        status = FILLED
    elif kind == LIMIT:
        status = ACCEPTED if left == qty else PARTIAL
    else:
        status = CANCELLED if left == qty else PARTIAL_CANCELLED
    row = _write_result(out, status, order_id, owner, book)
    out[row, RESULT_FILLED] = qty - left
    out[row, RESULT_RESTING] = resting
    out[row, RESULT_CANCELLED] = left - resting
    return status


def _submit(
    state: Table, out: Table, book: int, order_id: int, owner: int, side: int, kind: int, price_ticks: int, qty: int
) -> int:
    status = _refusal(state, book, order_id, owner, side, kind, price_ticks, qty)
    if status != 0:
        return _refuse(out, status, order_id, owner, book)
    limit = price_ticks
    if kind == MARKET:
        limit = PRICE_MAX if side == BUY else ABSENT
    if kind == FOK and _reach(state, book, owner, side, limit, qty)[0] < qty:
        return _refuse(out, REFUSED_CANNOT_FILL, order_id, owner, book)
    if not _has_room(state, out, book, owner, side, limit, qty, 1):
        return _refuse(out, REFUSED_OUT_FULL, order_id, owner, book)
    return _execute(state, out, book, order_id, owner, side, kind, limit, qty)


def _cancel(state: Table, out: Table, order_id: int) -> int:
    order = _find(state, order_id) if order_id > 0 else 0
    if order == 0:
        return _refuse(out, REFUSED_UNKNOWN_ORDER, order_id, 0, -1)
    level = state[order, ORDER_LEVEL]
    book = state[level, LEVEL_KEY] >> 2
    owner, qty = state[order, ORDER_OWNER], state[order, ORDER_QTY]
    if not (_room(out, OUT_CANCELS, 1) and _room(out, OUT_LEVELS, 1) and _room(out, OUT_TOPS, 1)):
        return _refuse(out, REFUSED_OUT_FULL, order_id, owner, book)
    _note_cancel(state, out, order, CAUSE_REQUEST)
    _take_out(state, order)
    _note_level(state, out, level)
    _drop_level_if_empty(state, level)
    _note_top(state, out, book)
    row = _write_result(out, CANCELLED, order_id, owner, book)
    out[row, RESULT_CANCELLED] = qty
    return CANCELLED


def _reduce(state: Table, out: Table, order: int, qty_lots: int) -> int:
    """Take an order down to *qty_lots* in its place."""
    level = state[order, ORDER_LEVEL]
    book = state[level, LEVEL_KEY] >> 2
    state[level, LEVEL_QTY] -= state[order, ORDER_QTY] - qty_lots
    state[order, ORDER_QTY] = qty_lots
    _note_level(state, out, level)
    _note_top(state, out, book)
    row = _write_result(out, ACCEPTED, state[order, ORDER_ID], state[order, ORDER_OWNER], book)
    out[row, RESULT_RESTING] = qty_lots
    return ACCEPTED


def _amend(state: Table, out: Table, order_id: int, price_ticks: int, qty_lots: int) -> int:
    order = _find(state, order_id) if order_id > 0 else 0
    if order == 0:
        return _refuse(out, REFUSED_UNKNOWN_ORDER, order_id, 0, -1)
    level, owner = state[order, ORDER_LEVEL], state[order, ORDER_OWNER]
    book, side = state[level, LEVEL_KEY] >> 2, state[level, LEVEL_KEY] & 3
    if price_ticks == ABSENT:
        return _refuse(out, REFUSED_PRICE, order_id, owner, book)
    if qty_lots <= 0 or qty_lots > QTY_MAX_LOTS:
        return _refuse(out, REFUSED_QTY, order_id, owner, book)
    same_price = price_ticks == state[level, LEVEL_PRICE]
    # The order's own row comes free; its level's only if it is alone there.
    if not same_price and state[0, HEAD_FREE_LEVEL] == 0 and state[level, LEVEL_COUNT] > 1:
        return _refuse(out, REFUSED_CAPACITY, order_id, owner, book)
    if not _has_room(state, out, book, owner, side, price_ticks, qty_lots, 2):
        return _refuse(out, REFUSED_OUT_FULL, order_id, owner, book)
    if same_price and qty_lots <= state[order, ORDER_QTY]:
        return _reduce(state, out, order, qty_lots)
    _take_out(state, order)
    if not same_price:
        # At the same price nothing can be dealt, so the order rests again there and that writes the level's one row.
        _note_level(state, out, level)
    _drop_level_if_empty(state, level)
    return _execute(state, out, book, order_id, owner, side, LIMIT, price_ticks, qty_lots)


def _sweep_side(state: Table, out: Table, book: int, side: int, owner: int, cause: int) -> int:
    """Cancel the orders of *owner* on a side, of all at gate closure; return the lots, or -1 - lots if out is full."""
    lots = 0
    level = state[1 + book, BOOK_BEST + side]
    while level != 0:
        worse = state[level, LEVEL_WORSE]
        order = state[level, LEVEL_FIRST]
        full = not _room(out, OUT_LEVELS, 1)
        changed = False
        while order != 0:
            after = state[order, ORDER_AFTER]
            if cause == CAUSE_CLOSED or state[order, ORDER_OWNER] == owner:
                full = full or not _room(out, OUT_CANCELS, 1)
                if full:
                    break
                lots += state[order, ORDER_QTY]
                _note_cancel(state, out, order, cause)
                _take_out(state, order)
                changed = True
            order = after
        if changed:
            _note_level(state, out, level)
            _drop_level_if_empty(state, level)
        if full and order != 0:
            return -1 - lots
        level = worse
    return lots


def _sweep(state: Table, out: Table, book: int, owner: int, cause: int) -> int:
    """Cancel in one book, or in all; return DONE, or MORE when *out* was too small for the rest."""
    first, last = book, book
    if book == ALL_BOOKS:
        first, last = 0, state[0, HEAD_BOOKS] - 1
    lots, status = 0, DONE
    for each in range(first, last + 1):
        for side in (BUY, SELL):
            if status == DONE and state[1 + each, BOOK_ORDERS + side] > 0:
                if not _room(out, OUT_TOPS, 1):
                    status = MORE
                    break
                swept = _sweep_side(state, out, each, side, owner, cause)
                if swept < 0:
                    status = MORE
                    swept = -1 - swept
                lots += swept
        if out[0, OUT_TOP_MOVED] != 0:
            _note_top(state, out, each)
    row = _write_result(out, status, 0, owner, book)
    out[row, RESULT_CANCELLED] = lots
    return status


def _known_book(state: Table, book: int) -> bool:
    return bool(0 <= book < state[0, HEAD_BOOKS])


def _cancel_owner(state: Table, out: Table, book: int, owner: int) -> int:
    if book != ALL_BOOKS and not _known_book(state, book):
        return _refuse(out, REFUSED_UNKNOWN_BOOK, 0, owner, book)
    return _sweep(state, out, book, owner, CAUSE_OWNER)


def _open_book(state: Table, out: Table, book: int) -> int:
    if not _known_book(state, book):
        return _refuse(out, REFUSED_UNKNOWN_BOOK, 0, 0, book)
    state[1 + book, BOOK_OPEN] = 1
    _write_result(out, DONE, 0, 0, book)
    return DONE


def _close_book(state: Table, out: Table, book: int) -> int:
    if not _known_book(state, book):
        return _refuse(out, REFUSED_UNKNOWN_BOOK, 0, 0, book)
    state[1 + book, BOOK_OPEN] = 0
    return _sweep(state, out, book, 0, CAUSE_CLOSED)


def submit(
    state: Table,
    out: Table,
    book: int,
    order_id: int,
    owner: int,
    side: int,
    kind: int,
    price_ticks: int,
    qty_lots: int,
) -> int:
    """Submit one order; return its status. *price_ticks* of a MARKET order is not read.

    Args:
        book: 0 to book_count - 1.
        order_id: above 0, and not that of a resting order.
        owner: 0 (ANONYMOUS) or above.
        side: BUY or SELL.
        kind: LIMIT, IOC, FOK or MARKET.
        price_ticks: any but ABSENT.
        qty_lots: 1 to QTY_MAX_LOTS.
    """
    _begin(out, 0)
    return _submit(state, out, book, order_id, owner, side, kind, price_ticks, qty_lots)


def cancel(state: Table, out: Table, order_id: int) -> int:
    """Cancel a resting order; return CANCELLED or REFUSED_UNKNOWN_ORDER. Whose it is, is the caller's to check."""
    _begin(out, 0)
    return _cancel(state, out, order_id)


def amend(state: Table, out: Table, order_id: int, price_ticks: int, qty_lots: int) -> int:
    """Give a resting order a price and the quantity that shall be left of it; return a status as `submit` does.

    A refusal leaves the order as it was.
    """
    _begin(out, 0)
    return _amend(state, out, order_id, price_ticks, qty_lots)


def cancel_owner(state: Table, out: Table, book: int, owner: int) -> int:
    """Cancel all that *owner* has resting in a book, or in ALL_BOOKS; return DONE, or MORE. Cost: O(orders resting)."""
    _begin(out, 0)
    return _cancel_owner(state, out, book, owner)


def open_book(state: Table, out: Table, book: int) -> int:
    """Let a book take orders; return DONE."""
    _begin(out, 0)
    return _open_book(state, out, book)


def close_book(state: Table, out: Table, book: int) -> int:
    """Close a book at its gate and cancel what rests there; return DONE, or MORE: closed, but not yet empty."""
    _begin(out, 0)
    return _close_book(state, out, book)


def submit_frame(state: Table, out: Table, commands: Table, first: int) -> int:
    """Do the commands of a frame from number *first* on; return the number of the first that was not done.

    Args:
        commands: (n, CMD_WIDTH), the ``CMD_*`` columns; what an operation does not need is not read.

    A number below n says that *out* is full: read it, then call again with that number as *first*. There is progress in
    every call: a command that does not even fit an empty *out* is refused with REFUSED_OUT_FULL.
    """
    _begin(out, first)
    for at in range(first, commands.shape[0]):
        if not _room(out, OUT_RESULTS, 1):
            return at
        out[0, OUT_COMMAND] = at
        op, book, order_id = commands[at, CMD_OP], commands[at, CMD_BOOK], commands[at, CMD_ORDER_ID]
        owner, price, qty = commands[at, CMD_OWNER], commands[at, CMD_PRICE], commands[at, CMD_QTY]
        if op == OP_SUBMIT:
            side, kind = commands[at, CMD_SIDE], commands[at, CMD_KIND]
            status = _submit(state, out, book, order_id, owner, side, kind, price, qty)
        elif op == OP_CANCEL:
            status = _cancel(state, out, order_id)
        elif op == OP_AMEND:
            status = _amend(state, out, order_id, price, qty)
        elif op == OP_CANCEL_OWNER:
            status = _cancel_owner(state, out, book, owner)
        elif op == OP_OPEN:
            status = _open_book(state, out, book)
        elif op == OP_CLOSE:
            status = _close_book(state, out, book)
        else:
            status = _refuse(out, REFUSED_MALFORMED, order_id, owner, book)
        if status == MORE or (status == REFUSED_OUT_FULL and at > first):
            return at
    return len(commands)


def levels_of(state: Table, book: int, side: int, max_levels: int, levels_out: Table) -> int:
    """Write a side's levels, best first, into *levels_out* (max_levels, 3): price, lots, orders; return how many."""
    count = 0
    if not _known_book(state, book) or (side != BUY and side != SELL):
        return count
    level = state[1 + book, BOOK_BEST + side]
    while level != 0 and count < max_levels:
        levels_out[count, 0] = state[level, LEVEL_PRICE]
        levels_out[count, 1] = state[level, LEVEL_QTY]
        levels_out[count, 2] = state[level, LEVEL_COUNT]
        count += 1
        level = state[level, LEVEL_WORSE]
    return count


KERNELS = (
    _find,
    _room,
    _next_row,
    _begin,
    _write_result,
    _refuse,
    _note_level,
    _note_top,
    _note_cancel,
    _find_level,
    _drop_level_if_empty,
    _take_out,
    _rest,
    _crosses,
    _reach,
    _match,
    _has_room,
    _refusal,
    _execute,
    _submit,
    _cancel,
    _reduce,
    _amend,
    _sweep_side,
    _sweep,
    _known_book,
    _cancel_owner,
    _open_book,
    _close_book,
    submit,
    cancel,
    amend,
    cancel_owner,
    open_book,
    close_book,
    submit_frame,
    levels_of,
)
"""What is compiled, callees before their callers."""
