"""What the exchange does in bulk: background traders, and the market data of what the matching engine did.

Plain functions on tables (`exchange_layout`), compiled by `penstock_sdk.compiled`. Randomness comes in as arrays of
draws; prices are decided in float64 and rounded to ticks once, where an order is made.

Three kinds of trader act around a fundamental price:
    * liquidity providers hold a fixed set of quotes per book and renew one at a time, around a belief that follows the
      fundamental late;
    * informed traders know the fundamental and deal when the book is away from it; else they provide liquidity;
    * noise traders take, now rather buying, now rather selling.
"""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

import math

import numpy.typing as npt
from numpy import float64, int64

from penstock_plugins.venues.exchange_layout import *
from penstock_sdk.golden.matching_layout import *

I64 = npt.NDArray[int64]
F64 = npt.NDArray[float64]


def _mean_of(history: F64, first: int, count: int) -> float:
    """Return the mean of the values known in a stretch of the index grid; NaN when none is."""
    total, known = 0.0, 0
    for slot in range(max(first, 0), min(first + count, history.shape[0])):
        if not math.isnan(history[slot]):
            total += history[slot]
            known += 1
    return total / known if known > 0 else math.nan


def anchor(history: F64, terms: I64, views: F64, slots_per_day: int, fallback_ticks: float) -> None:
    """Give each book its anchor: the auction's price, else the index one or two days before, else *fallback_ticks*."""
    for book in range(terms.shape[0]):
        price = views[book, VIEW_AUCTION]
        days = 1
        while math.isnan(price) and days <= 2:
            price = _mean_of(history, terms[book, TERM_SLOT] - days * slots_per_day, terms[book, TERM_SLOTS])
            days += 1
        views[book, VIEW_ANCHOR] = fallback_ticks if math.isnan(price) else price


def _activity(terms: I64, views: F64, book: int, params: F64, now_ns: int) -> float:
    """Return the book's activity now as a multiple of the base rate; 0 while it is closed."""
    if now_ns < terms[book, TERM_OPENS_NS] or now_ns >= terms[book, TERM_GATE_NS]:
        return 0.0
    if math.isnan(views[book, VIEW_SINCE_NS]):
        views[book, VIEW_SINCE_NS] = now_ns
    lead_ns, age_ns = terms[book, TERM_GATE_NS] - now_ns, now_ns - views[book, VIEW_SINCE_NS]
    activity: float = params[P_FLOOR] + math.exp(-lead_ns / params[P_RISE_NS])
    activity += params[P_OPENING] * math.exp(-age_ns / params[P_OPENING_NS])
    return activity


def refresh(
    terms: I64,
    views: F64,
    hour_wander: F64,
    params: F64,
    normals: F64,
    now_ns: int,
    shock_ticks: float,
    trend_ticks: float,
) -> float:
    """Step fundamentals, beliefs and rates of all books; return how many orders to expect in this step.

    Args:
        hour_wander: (hours,) what is known of a delivery hour alone; an hour and its quarters share it.
        normals: (hours + 2 * books,) standard normal draws.
        shock_ticks: the index above its expectation, for the moment …
        trend_ticks: … and lastingly.
    """
    keep, step = params[P_WANDER_KEEP], params[P_WANDER_STEP]
    hours, books = hour_wander.shape[0], terms.shape[0]
    for hour in range(hours):
        hour_wander[hour] = keep * hour_wander[hour] + step * normals[hour]
    total = 0.0
    for book in range(books):
        view = views[book]
        own, flow = normals[hours + book], normals[hours + books + book]
        view[VIEW_OWN_WANDER] = keep * view[VIEW_OWN_WANDER] + 0.4 * step * own
        view[VIEW_PRESSURE] = params[P_PRESSURE_KEEP] * view[VIEW_PRESSURE] + params[P_PRESSURE_STEP] * flow
        activity = _activity(terms, views, book, params, now_ns)
        if activity > 0.0:
            lead_ns = max(terms[book, TERM_START_NS] - now_ns, 0)
            fundamental = (
                view[VIEW_ANCHOR]
                + hour_wander[terms[book, TERM_DAY_HOUR]]
                + view[VIEW_OWN_WANDER]
                + shock_ticks * math.exp(-lead_ns / params[P_SHOCK_NS])
                + trend_ticks * math.exp(-lead_ns / params[P_TREND_NS])
            )
            view[VIEW_FUNDAMENTAL] = fundamental
            if math.isnan(view[VIEW_BELIEF]):
                view[VIEW_BELIEF] = fundamental
            view[VIEW_BELIEF] += params[P_LAG] * (fundamental - view[VIEW_BELIEF])
            total += activity * params[P_BASE_RATE] * params[P_STEP_S]
        view[VIEW_RATE] = total
    return total


def _pick_book(views: F64, at: float) -> int:
    """Return the first book whose cumulated rate is above *at*."""
    low, high = 0, views.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        if views[middle, VIEW_RATE] > at:
            high = middle
        else:
            low = middle + 1
    return low


def _write_order(commands: I64, row: int, book: int, order_id: int, owner: int, side: int, kind: int) -> None:
    commands[row, CMD_OP] = OP_SUBMIT
    commands[row, CMD_BOOK] = book
    commands[row, CMD_ORDER_ID] = order_id
    commands[row, CMD_OWNER] = owner
    commands[row, CMD_SIDE] = side
    commands[row, CMD_KIND] = kind


def _to_grid(price: float, side: int, grid: float, low_ticks: int, high_ticks: int) -> int:
    """Return a passive price on the grid, away from the other side, within the listing's bounds."""
    steps = math.floor(price / grid) if side == BUY else math.ceil(price / grid)
    return int(min(max(int(steps * grid), low_ticks), high_ticks))


def _take(market: I64, view: F64, params: F64, draw: F64, book: int, width: float) -> tuple[int, int, int, int]:
    """Return (side, kind, price, owner) of a taker's order, side 0 when there is nothing to take."""
    bid, ask = market[book, MARKET_BID], market[book, MARKET_ASK]
    if draw[1] < params[P_INFORMED]:
        worth = view[VIEW_FUNDAMENTAL] + (draw[5] - 0.5) * width
        if ask != ABSENT and worth - 0.3 * width > ask:
            return BUY, IOC, math.floor(worth - 0.3 * width), BACKGROUND_OWNER + 2_000
        if bid != ABSENT and worth + 0.3 * width < bid:
            return SELL, IOC, math.ceil(worth + 0.3 * width), BACKGROUND_OWNER + 2_000
        return 0, 0, 0, 0
    if draw[1] < params[P_INFORMED] + params[P_NOISE]:
        side = BUY if draw[2] < 0.5 + 0.4 * math.tanh(view[VIEW_PRESSURE]) else SELL
        best = ask if side == BUY else bid
        if best == ABSENT:
            return 0, 0, 0, 0
        kind = MARKET if draw[3] < 0.3 else IOC
        reach = int(draw[5] * 0.5 * width)
        return side, kind, best + reach if side == BUY else best - reach, BACKGROUND_OWNER + 1_000
    return 0, 0, 0, 0


def draw_orders(
    terms: I64, views: F64, market: I64, quotes: I64, params: F64, next_id: I64, draws: F64, commands: I64, now_ns: int
) -> int:
    """Write one order per row of *draws* (n, DRAWS_PER_ORDER), uniform in [0, 1); return the number of commands.

    Args:
        quotes: (books, quotes of a book) engine ids of the liquidity providers' orders; 0 where none was placed yet.
        next_id: (1,) engine id of the next order.
        commands: room for two per order: a renewed quote is a cancel and an order.
    """
    levels, makers = int(params[P_LEVELS]), int(params[P_MAKERS])
    total = views[views.shape[0] - 1, VIEW_RATE]
    row = 0
    for at in range(draws.shape[0]):
        draw = draws[at]
        book = _pick_book(views, draw[0] * total)
        view, low, high = views[book], terms[book, TERM_PRICE_MIN], terms[book, TERM_PRICE_MAX]
        far = min((terms[book, TERM_GATE_NS] - now_ns) / 4.32e13, 1.5)  # in half days
        width = (params[P_HALF_SPREAD] + params[P_RELATIVE_SPREAD] * abs(view[VIEW_BELIEF])) * (1.0 + far)
        side, kind, price, owner = _take(market, view, params, draw, book, width)
        order_id = next_id[0]
        next_id[0] += 1
        if side != 0:
            price = min(max(price, low), high)
            qty = 1 + int(30.0 * draw[4] * draw[4])
        else:
            # One uniform picks maker, level and side: a quote's place in the table.
            place = int(draw[2] * 2 * makers * levels)
            side, kind = BUY + (place & 1), LIMIT
            level, owner = (place >> 1) % levels, BACKGROUND_OWNER + 1 + (place >> 1) // levels
            away = width * (0.5 + 0.9 * level - 0.5 * math.log(1.0 - draw[3])) + (draw[5] - 0.5) * 0.4 * width
            wanted = view[VIEW_BELIEF] - away if side == BUY else view[VIEW_BELIEF] + away
            price = _to_grid(wanted, side, params[P_GRID_TICKS], low, high)
            qty = 5 + int(60.0 * draw[4] * draw[4])
            if quotes[book, place] != 0:
                commands[row, CMD_OP] = OP_CANCEL
                commands[row, CMD_ORDER_ID] = quotes[book, place]
                row += 1
            quotes[book, place] = order_id
        _write_order(commands, row, book, order_id, owner, side, kind)
        commands[row, CMD_PRICE] = price
        commands[row, CMD_QTY] = qty
        row += 1
    return row


def _section_row(out: I64, section: int) -> int:
    first: int = 1 + (section - 1) * out[0, OUT_CAPACITY]
    return first


def _publish_quote(out: I64, row: int, terms: I64, market: I64, now_ns: int, quotes: I64, at: int) -> int:
    """Write a book's quote if its top differs from the one last published; return the next free row."""
    book = out[row, TOP_BOOK]
    same = True
    for column in range(4):
        same = same and market[book, MARKET_BID + column] == out[row, TOP_BID_PRICE + column]
    if same:
        return at
    quotes[at, 0] = terms[book, TERM_LISTING] | (1 << 32)  # tradable
    for column in range(4):
        market[book, MARKET_BID + column] = out[row, TOP_BID_PRICE + column]
        # The top tells price and quantity of a side; where it is empty, both are absent, and a quote says 0 lots.
        value = out[row, TOP_BID_PRICE + column]
        quotes[at, 1 + column] = 0 if column % 2 == 1 and value == ABSENT else value
    quotes[at, 5] = now_ns
    quotes[at, 6] = ABSENT
    return at + 1


def publish(
    out: I64,
    terms: I64,
    market: I64,
    next_trade: I64,
    now_ns: int,
    deltas: I64,
    trades: I64,
    quotes: I64,
    own: I64,
    counts: I64,
) -> None:
    """Write the market data of what the engine did, as the words of the records; number changes and trades.

    Args:
        next_trade: (1,) number of the next trade.
        deltas, trades, quotes: room for as many rows as *out* has level changes, fills and tops.
        own: (fills,) the fills in which a resting order of ours was met: their place among the fills.
        counts: COUNT_* cells; how many quotes and own fills were written.
    """
    first = _section_row(out, OUT_LEVELS)
    for at in range(out[0, OUT_LEVELS]):
        row, book = first + at, out[first + at, CHANGE_BOOK]
        market[book, MARKET_REVISION] += 1
        action = 1 if out[row, CHANGE_COUNT] > 0 else 2
        deltas[at, 0] = terms[book, TERM_LISTING] | (out[row, CHANGE_SIDE] << 32) | (action << 40)
        deltas[at, 1] = out[row, CHANGE_PRICE]
        deltas[at, 2] = out[row, CHANGE_QTY]
        deltas[at, 3] = out[row, CHANGE_COUNT]
        deltas[at, 4] = market[book, MARKET_REVISION]
        deltas[at, 5] = now_ns
        deltas[at, 6] = ABSENT
    own_count, first = 0, _section_row(out, OUT_FILLS)
    for at in range(out[0, OUT_FILLS]):
        row = first + at
        trades[at, 0] = terms[out[row, FILL_BOOK], TERM_LISTING] | (out[row, FILL_SIDE] << 32)
        trades[at, 1] = out[row, FILL_PRICE]
        trades[at, 2] = out[row, FILL_QTY]
        trades[at, 3] = next_trade[0]
        trades[at, 4] = now_ns
        trades[at, 5] = ABSENT
        next_trade[0] += 1
        if out[row, FILL_MAKER_OWNER] < BACKGROUND_OWNER:
            own[own_count] = at
            own_count += 1
    first = _section_row(out, OUT_TOPS)
    for at in range(out[0, OUT_TOPS]):
        market[out[first + at, TOP_BOOK], MARKET_MARK] = first + at
    quote_count = 0
    for at in range(out[0, OUT_TOPS]):
        # One quote per book: that of its last top in this call.
        if market[out[first + at, TOP_BOOK], MARKET_MARK] == first + at:
            quote_count = _publish_quote(out, first + at, terms, market, now_ns, quotes, quote_count)
    counts[COUNT_QUOTES] = quote_count
    counts[COUNT_OWN] = own_count


KERNELS = (
    _mean_of,
    anchor,
    _activity,
    refresh,
    _pick_book,
    _write_order,
    _to_grid,
    _take,
    draw_orders,
    _section_row,
    _publish_quote,
    publish,
)
"""What is compiled, callees before their callers."""
