"""A pre-trade risk gate on integers: one order in, one reason out, the same in software and in hardware.

The functions of `KERNELS` are plain Python on int64 tables and are at the same time what numba compiles; the layout of
the table and the functions that set limits stand in `risk_gate_layout` and are offered here too.

    >>> gate, verdicts = new_gate(1, 4, 4), new_verdicts(1)
    >>> define_listing(gate, 0, [0, 1, 2, 3], qty_max_lots=50, collar_ticks=UNLIMITED, notional_max=UNLIMITED,
    ...                ref_age_max_ns=UNLIMITED, minutes=60, kw_per_lot=100, ref_required=False)
    >>> for interval in range(4):
    ...     set_position_limit(gate, interval, long_max_kw=3_000, short_max_kw=3_000)
    >>> set_rate(gate, burst=10, ns_per_message=1_000_000)
    >>> check_order(gate, 0, BUY, -500, 30, 0, 1, verdicts) == OK
    True
    >>> REASONS[check_order(gate, 0, BUY, -500, 1, 0, 2, verdicts)]
    'were all working orders of the side filled, an interval would leave its limit'
    >>> verdicts[0, [VERDICT_MET, VERDICT_LIMIT, VERDICT_INTERVAL]].tolist()
    [3100, 3000, 0]

Order of the checks: kill switch; pause of all trading; unknown listing; pause of the listing; form; least and most
lots; reference present; floor and cap; collar; notional; position of each interval; message rate; age of the reference;
duplicate intent id. The first that fails decides.

    * A passed order is entered at once: it takes a message from the rate, its id is remembered, and its quantity counts
      as working in every interval it delivers in, until `fill` or `release` takes it back.
    * A refused order changes nothing but the count of its reason.
    * Position: an interval's net position plus everything working on the order's side must stay within that side's
      limit. So it holds when all of one side fills and nothing of the other. An order towards zero passes even where
      the other side's limit, lowered meanwhile, is already exceeded.
    * Rate: a token bucket in integers; `at_ns` is the only clock.
    * Ids: a set of fifteen per hash value, or as many as `set_widths` says, the oldest forgotten first, so that
      hardware can hold it too.
    * An order needs a price: a market order cannot be held against a collar and is refused as malformed.
    * What does not fit int64 is refused, never wrapped. After `set_widths` the same holds for the widths of a device: a
      price or quantity beyond is refused right after the check of the form, kW where they are added up.

Cost: O(intervals of the listing).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.risk_gate_layout import *
from penstock_sdk.golden.risk_gate_layout import Table


def _verdict(verdicts: Table, at: int, reason: int, met: int, limit: int, interval: int) -> int:
    verdicts[at, VERDICT_RESULT] = PASSED if reason == OK else REFUSED
    verdicts[at, VERDICT_REASON] = reason
    verdicts[at, VERDICT_MET] = met
    verdicts[at, VERDICT_LIMIT] = limit
    verdicts[at, VERDICT_INTERVAL] = interval
    return reason


def _product(a: int, b: int) -> int:
    """Return a * b, or -1 where that does not fit; neither is negative."""
    return -1 if a != 0 and b > INT64_MAX // a else a * b


def _sum(a: int, b: int) -> int:
    """Return a + b, or INT64_MAX or -INT64_MAX where that does not fit."""
    if a > 0 and b > INT64_MAX - a:
        return INT64_MAX
    if a < 0 and b < -INT64_MAX - a:
        return -INT64_MAX
    return a + b


def _kw_max(gate: Table) -> int:
    """Return the number of kW that none may reach."""
    bits = gate[0, HEAD_KW_BITS]
    return INT64_MAX if bits == 0 else (1 << (bits - 1)) - 1


def _lots_fit(gate: Table, qty_lots: int) -> bool:
    bits = gate[0, HEAD_QTY_BITS]
    return bool(bits == 0 or qty_lots < 1 << bits)


def _price_fits(gate: Table, price_ticks: int) -> bool:
    bits = gate[0, HEAD_PRICE_BITS]
    return bool(bits == 0 or -(1 << (bits - 1)) <= price_ticks < 1 << (bits - 1))


def _interval_row(gate: Table, listing: int, nth: int) -> int:
    """Return the row of the *nth* interval that a listing delivers in."""
    cell = gate[LISTING_ROW + listing, LISTING_LINK] + nth
    row: int = gate[0, HEAD_INTERVAL_BASE] + gate[gate[0, HEAD_LINK_BASE] + (cell >> 4), cell & 15]
    return row


def _known(gate: Table, listing: int) -> bool:
    return bool(0 <= listing < gate[0, HEAD_LISTINGS] and gate[LISTING_ROW + listing, LISTING_STATE] != UNKNOWN)


def _seen_row(gate: Table, intent_id: int) -> int:
    row: int = gate[0, HEAD_SEEN_BASE] + ((intent_id ^ (intent_id >> 20) ^ (intent_id >> 40)) & gate[0, HEAD_SEEN_MASK])
    return row


def _check_switches(gate: Table, listing: int, verdicts: Table, at: int) -> int:
    if gate[0, HEAD_KILL] != 0:
        return _verdict(verdicts, at, REASON_KILL, gate[0, HEAD_KILL], 0, -1)
    if gate[0, HEAD_PAUSED] != 0:
        return _verdict(verdicts, at, REASON_PAUSED, gate[0, HEAD_PAUSED], 0, -1)
    if not _known(gate, listing):
        return _verdict(verdicts, at, REASON_LISTING, listing, gate[0, HEAD_LISTINGS], -1)
    if gate[LISTING_ROW + listing, LISTING_STATE] != TRADING:
        return _verdict(verdicts, at, REASON_PAUSED, gate[LISTING_ROW + listing, LISTING_STATE], TRADING, -1)
    return OK


def _check_price(gate: Table, listing: int, price_ticks: int, verdicts: Table, at: int) -> int:
    row = LISTING_ROW + listing
    reference, collar = gate[row, LISTING_REF], gate[row, LISTING_COLLAR]
    floor, cap = gate[row, LISTING_FLOOR], gate[row, LISTING_CAP]
    if reference == ABSENT and gate[row, LISTING_REF_REQUIRED] != 0:
        return _verdict(verdicts, at, REASON_NO_REFERENCE, ABSENT, ABSENT, -1)
    if floor != ABSENT and price_ticks < floor:
        return _verdict(verdicts, at, REASON_BOUNDS, price_ticks, floor, -1)
    if cap != ABSENT and price_ticks > cap:
        return _verdict(verdicts, at, REASON_BOUNDS, price_ticks, cap, -1)
    if collar <= 0:
        return _verdict(verdicts, at, REASON_COLLAR, price_ticks, collar, -1)
    if reference != ABSENT and collar != UNLIMITED:
        # A bound that would lie beyond int64 is held at its end, where no price can be beyond it.
        low, high = _sum(reference, -collar), _sum(reference, collar)
        if price_ticks < low:
            return _verdict(verdicts, at, REASON_COLLAR, price_ticks, low, -1)
        if price_ticks > high:
            return _verdict(verdicts, at, REASON_COLLAR, price_ticks, high, -1)
    return OK


def _check_notional(gate: Table, listing: int, price_ticks: int, qty_lots: int, verdicts: Table, at: int) -> int:
    row = LISTING_ROW + listing
    limit = gate[row, LISTING_NOTIONAL_MAX]
    notional = _product(abs(price_ticks), qty_lots)
    if notional >= 0:
        notional = _product(notional, gate[row, LISTING_MINUTES])
    if notional < 0:
        return _verdict(verdicts, at, REASON_OVERFLOW, ABSENT, limit, -1)
    # A price of 0 has no notional, yet without a limit it may not trade either.
    if notional > limit or limit <= 0:
        return _verdict(verdicts, at, REASON_NOTIONAL, notional, limit, -1)
    return OK


def _check_position(gate: Table, listing: int, side: int, qty_lots: int, verdicts: Table, at: int) -> int:
    qty_kw, kw_max = _product(qty_lots, gate[LISTING_ROW + listing, LISTING_KW_PER_LOT]), _kw_max(gate)
    if qty_kw < 0 or qty_kw > kw_max:
        return _verdict(verdicts, at, REASON_OVERFLOW, ABSENT, ABSENT, -1)
    sign = 1 if side == BUY else -1
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        row = _interval_row(gate, listing, nth)
        limit = gate[row, INTERVAL_LONG_MAX if side == BUY else INTERVAL_SHORT_MAX]
        working = _sum(gate[row, INTERVAL_WORKING + side], qty_kw)
        worst = _sum(working, sign * gate[row, INTERVAL_NET])
        if working >= kw_max or worst >= kw_max:
            return _verdict(verdicts, at, REASON_OVERFLOW, ABSENT, limit, row - gate[0, HEAD_INTERVAL_BASE])
        if worst > limit or limit <= 0:
            interval = row - gate[0, HEAD_INTERVAL_BASE]
            return _verdict(verdicts, at, REASON_POSITION, sign * worst, sign * limit, interval)
    return OK


def _check_rate(gate: Table, at_ns: int, verdicts: Table, at: int) -> int:
    burst, per_message = gate[0, HEAD_RATE_BURST], gate[0, HEAD_RATE_NS]
    if burst == UNLIMITED:
        return OK
    backlog = max(gate[0, HEAD_RATE_EMPTY_NS] - at_ns, 0)
    if _sum(at_ns + backlog, per_message) == INT64_MAX:
        return _verdict(verdicts, at, REASON_OVERFLOW, ABSENT, burst, -1)
    taken = -(-backlog // per_message) + 1
    if taken > burst:
        return _verdict(verdicts, at, REASON_RATE, taken, burst, -1)
    return OK


def _check_age(gate: Table, listing: int, at_ns: int, verdicts: Table, at: int) -> int:
    row = LISTING_ROW + listing
    limit = gate[row, LISTING_REF_AGE_MAX]
    if limit == UNLIMITED:
        return OK
    if limit <= 0:
        return _verdict(verdicts, at, REASON_STALE, ABSENT, limit, -1)
    if gate[row, LISTING_REF] != ABSENT:
        age = at_ns - gate[row, LISTING_REF_AT]
        if age > limit:
            return _verdict(verdicts, at, REASON_STALE, age, limit, -1)
    return OK


def _check_duplicate(gate: Table, intent_id: int, verdicts: Table, at: int) -> int:
    row = _seen_row(gate, intent_id)
    for column in range(1, 16):
        if gate[row, column] == intent_id:
            return _verdict(verdicts, at, REASON_DUPLICATE, intent_id, ABSENT, -1)
    return OK


def _evaluate(
    gate: Table,
    listing: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    at_ns: int,
    intent_id: int,
    verdicts: Table,
    at: int,
) -> int:
    """Write the verdict on one order to row *at* and return its reason; the gate does not change."""
    verdicts[at, VERDICT_INTENT_ID] = intent_id
    reason = _check_switches(gate, listing, verdicts, at)
    if reason != OK:
        return reason
    if (side != BUY and side != SELL) or price_ticks == ABSENT or at_ns < 0 or intent_id <= 0:
        return _verdict(verdicts, at, REASON_MALFORMED, ABSENT, ABSENT, -1)
    if not _price_fits(gate, price_ticks):
        return _verdict(verdicts, at, REASON_OVERFLOW, price_ticks, gate[0, HEAD_PRICE_BITS], -1)
    if not _lots_fit(gate, qty_lots):
        return _verdict(verdicts, at, REASON_OVERFLOW, qty_lots, gate[0, HEAD_QTY_BITS], -1)
    row = LISTING_ROW + listing
    if qty_lots < gate[row, LISTING_QTY_MIN]:
        return _verdict(verdicts, at, REASON_QTY_MIN, qty_lots, gate[row, LISTING_QTY_MIN], -1)
    if qty_lots > gate[row, LISTING_QTY_MAX]:
        return _verdict(verdicts, at, REASON_QTY_MAX, qty_lots, gate[row, LISTING_QTY_MAX], -1)
    reason = _check_price(gate, listing, price_ticks, verdicts, at)
    if reason == OK:
        reason = _check_notional(gate, listing, price_ticks, qty_lots, verdicts, at)
    if reason == OK:
        reason = _check_position(gate, listing, side, qty_lots, verdicts, at)
    if reason == OK:
        reason = _check_rate(gate, at_ns, verdicts, at)
    if reason == OK:
        reason = _check_age(gate, listing, at_ns, verdicts, at)
    if reason == OK:
        reason = _check_duplicate(gate, intent_id, verdicts, at)
    if reason == OK:
        _verdict(verdicts, at, OK, ABSENT, ABSENT, -1)
    return reason


def _add_working(gate: Table, listing: int, side: int, qty_kw: int) -> None:
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        gate[_interval_row(gate, listing, nth), INTERVAL_WORKING + side] += qty_kw


def _enter(gate: Table, listing: int, side: int, qty_lots: int, at_ns: int, intent_id: int) -> None:
    """Let a passed order take its message, be remembered and count as working."""
    if gate[0, HEAD_RATE_BURST] != UNLIMITED:
        gate[0, HEAD_RATE_EMPTY_NS] = max(gate[0, HEAD_RATE_EMPTY_NS], at_ns) + gate[0, HEAD_RATE_NS]
    row = _seen_row(gate, intent_id)
    place, ways = gate[row, 0], gate[0, HEAD_WAYS]
    gate[row, 1 + place] = intent_id
    gate[row, 0] = 0 if place == (14 if ways == 0 else ways - 1) else place + 1
    _add_working(gate, listing, side, qty_lots * gate[LISTING_ROW + listing, LISTING_KW_PER_LOT])


def _check(
    gate: Table,
    listing: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    at_ns: int,
    intent_id: int,
    verdicts: Table,
    at: int,
) -> int:
    reason = _evaluate(gate, listing, side, price_ticks, qty_lots, at_ns, intent_id, verdicts, at)
    gate[COUNTS_ROW + (reason >> 4), reason & 15] += 1
    if reason == OK:
        _enter(gate, listing, side, qty_lots, at_ns, intent_id)
    return reason


def check_order(
    gate: Table,
    listing: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    at_ns: int,
    intent_id: int,
    verdicts: Table,
) -> int:
    """Check one order, enter it if it passes, and return OK or the reason of the refusal, one of `REASONS`.

    Args:
        listing: the gate's number of the listing.
        side: BUY or SELL.
        price_ticks: any but ABSENT.
        qty_lots: what the order asks for.
        at_ns: now, UTC, 0 or later; need not increase.
        intent_id: above 0.
        verdicts: row 0 gets the ``VERDICT_*`` columns.
    """
    return _check(gate, listing, side, price_ticks, qty_lots, at_ns, intent_id, verdicts, 0)


def check_orders(gate: Table, orders: Table, verdicts: Table) -> int:
    """Check a frame of orders, each after the ones before it; return how many passed.

    Args:
        orders: (n, ORDER_WIDTH), the ``ORDER_*`` columns.
        verdicts: (n or more, VERDICT_WIDTH); row i answers order i.
    """
    passed = 0
    for at in range(len(orders)):
        reason = _check(
            gate,
            orders[at, ORDER_LISTING],
            orders[at, ORDER_SIDE],
            orders[at, ORDER_PRICE],
            orders[at, ORDER_QTY],
            orders[at, ORDER_AT_NS],
            orders[at, ORDER_INTENT_ID],
            verdicts,
            at,
        )
        if reason == OK:
            passed += 1
    return passed


def _exposure_kw(gate: Table, listing: int, side: int, qty_lots: int) -> int:
    """Return what a quantity adds to each interval, in kW, or minus the reason why there is no such thing."""
    if not _known(gate, listing):
        return -REASON_LISTING
    if (side != BUY and side != SELL) or qty_lots <= 0:
        return -REASON_MALFORMED
    if not _lots_fit(gate, qty_lots):
        return -REASON_OVERFLOW
    qty_kw = _product(qty_lots, gate[LISTING_ROW + listing, LISTING_KW_PER_LOT])
    return -REASON_OVERFLOW if qty_kw < 0 or qty_kw > _kw_max(gate) else qty_kw


def reserve(gate: Table, listing: int, side: int, qty_lots: int) -> int:
    """Count an order as working that did not come through the gate, such as one found after a restart.

    No limit is checked. Returns OK; or REASON_LISTING, REASON_MALFORMED or REASON_OVERFLOW, and nothing changed.
    """
    qty_kw = _exposure_kw(gate, listing, side, qty_lots)
    if qty_kw < 0:
        return -qty_kw
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        if _sum(gate[_interval_row(gate, listing, nth), INTERVAL_WORKING + side], qty_kw) >= _kw_max(gate):
            return REASON_OVERFLOW
    _add_working(gate, listing, side, qty_kw)
    return OK


def release(gate: Table, listing: int, side: int, qty_lots: int) -> int:
    """Take back what was cancelled, rejected or expired of a working order.

    Returns OK; or, with nothing changed, REASON_LISTING, REASON_MALFORMED, REASON_OVERFLOW, or REASON_NOT_RESERVED when
    less than that is working.
    """
    qty_kw = _exposure_kw(gate, listing, side, qty_lots)
    if qty_kw < 0:
        return -qty_kw
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        if gate[_interval_row(gate, listing, nth), INTERVAL_WORKING + side] < qty_kw:
            return REASON_NOT_RESERVED
    _add_working(gate, listing, side, -qty_kw)
    return OK


def fill(gate: Table, listing: int, side: int, qty_lots: int) -> int:
    """Move what was dealt from working to the net position of each interval.

    A fill has happened, so where less was reserved the position takes it all the same, working stops at 0, and
    REASON_NOT_RESERVED is returned. Else OK; or, with nothing changed, REASON_LISTING, REASON_MALFORMED or
    REASON_OVERFLOW.
    """
    qty_kw = _exposure_kw(gate, listing, side, qty_lots)
    if qty_kw < 0:
        return -qty_kw
    signed_kw = qty_kw if side == BUY else -qty_kw
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        if abs(_sum(gate[_interval_row(gate, listing, nth), INTERVAL_NET], signed_kw)) >= _kw_max(gate):
            return REASON_OVERFLOW
    status = OK
    for nth in range(gate[LISTING_ROW + listing, LISTING_LINK_COUNT]):
        row = _interval_row(gate, listing, nth)
        gate[row, INTERVAL_NET] += signed_kw
        left = gate[row, INTERVAL_WORKING + side] - qty_kw
        if left < 0:
            status = REASON_NOT_RESERVED
        gate[row, INTERVAL_WORKING + side] = max(left, 0)
    return status


def mark_reference(gate: Table, listing: int, price_ticks: int, at_ns: int) -> int:
    """Give a listing its reference price and the time it was seen; ABSENT takes the price away.

    Returns OK; or, with nothing changed, REASON_LISTING, REASON_MALFORMED for a time before 0, or REASON_OVERFLOW for a
    price that the device's width does not hold.
    """
    if not _known(gate, listing):
        return REASON_LISTING
    if at_ns < 0:
        return REASON_MALFORMED
    if price_ticks != ABSENT and not _price_fits(gate, price_ticks):
        return REASON_OVERFLOW
    gate[LISTING_ROW + listing, LISTING_REF] = price_ticks
    gate[LISTING_ROW + listing, LISTING_REF_AT] = at_ns
    return OK


KERNELS = (
    _verdict,
    _product,
    _sum,
    _kw_max,
    _lots_fit,
    _price_fits,
    _interval_row,
    _known,
    _seen_row,
    _check_switches,
    _check_price,
    _check_notional,
    _check_position,
    _check_rate,
    _check_age,
    _check_duplicate,
    _evaluate,
    _add_working,
    _enter,
    _check,
    check_order,
    check_orders,
    _exposure_kw,
    reserve,
    release,
    fill,
    mark_reference,
)
"""What is compiled, callees before their callers."""
