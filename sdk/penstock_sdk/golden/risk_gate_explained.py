"""Every rule of the risk gate on one order, not only the first that fails: the value met and the limit, from one gate.

`explain` is for people and costs microseconds by the dozen; `risk_gate.check_order` decides. The two agree: the first
rule here that fails has the reason, the value and the limit of the gate's verdict, and none fails where it passes.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock_sdk.golden.risk_gate_layout import (
    ABSENT,
    BUY,
    HEAD_INTERVAL_BASE,
    HEAD_KILL,
    HEAD_KW_BITS,
    HEAD_LISTINGS,
    HEAD_PAUSED,
    HEAD_PRICE_BITS,
    HEAD_QTY_BITS,
    HEAD_RATE_BURST,
    HEAD_RATE_EMPTY_NS,
    HEAD_RATE_NS,
    HEAD_SEEN_BASE,
    HEAD_SEEN_MASK,
    INT64_MAX,
    INTERVAL_LONG_MAX,
    INTERVAL_NET,
    INTERVAL_SHORT_MAX,
    INTERVAL_WORKING,
    LISTING_CAP,
    LISTING_COLLAR,
    LISTING_FLOOR,
    LISTING_KW_PER_LOT,
    LISTING_MINUTES,
    LISTING_NOTIONAL_MAX,
    LISTING_QTY_MAX,
    LISTING_QTY_MIN,
    LISTING_REF,
    LISTING_REF_AGE_MAX,
    LISTING_REF_AT,
    LISTING_REF_REQUIRED,
    LISTING_ROW,
    LISTING_STATE,
    REASON_BOUNDS,
    REASON_COLLAR,
    REASON_DUPLICATE,
    REASON_KILL,
    REASON_LISTING,
    REASON_MALFORMED,
    REASON_NO_REFERENCE,
    REASON_NOTIONAL,
    REASON_OVERFLOW,
    REASON_PAUSED,
    REASON_POSITION,
    REASON_QTY_MAX,
    REASON_QTY_MIN,
    REASON_RATE,
    REASON_STALE,
    SELL,
    TRADING,
    UNKNOWN,
    UNLIMITED,
    Table,
    intervals_of,
)

__all__ = ["Rule", "explain"]


class Rule(NamedTuple):
    """One rule as it stood; *met* and *limit* are in the units of the gate's verdict, ABSENT where there is none."""

    reason: int
    passed: bool
    met: int = ABSENT
    limit: int = ABSENT
    interval: int = -1
    """The delivery interval that decides, or comes nearest to its limit."""


def explain(
    gate: Table, listing: int, side: int, price_ticks: int, qty_lots: int, at_ns: int, intent_id: int
) -> list[Rule]:
    """Return every rule of the gate on one order, in the order of the checks; the gate does not change.

    The list ends early where the rest has no meaning: at a listing without limits, or an order without form.

    Args:
        gate: as it stands before the order is checked.
        listing, side, price_ticks, qty_lots, at_ns, intent_id: as `risk_gate.check_order` takes them.
    """
    kill, paused = int(gate[0, HEAD_KILL]), int(gate[0, HEAD_PAUSED])
    rules = [Rule(REASON_KILL, kill == 0, kill, 0), Rule(REASON_PAUSED, paused == 0, paused, 0)]
    listings = int(gate[0, HEAD_LISTINGS])
    known = 0 <= listing < listings and gate[LISTING_ROW + listing, LISTING_STATE] != UNKNOWN
    rules.append(Rule(REASON_LISTING, bool(known), listing, listings))
    if not known:
        return rules
    row = [int(cell) for cell in gate[LISTING_ROW + listing]]
    rules.append(Rule(REASON_PAUSED, row[LISTING_STATE] == TRADING, row[LISTING_STATE], TRADING))
    formed = side in (BUY, SELL) and price_ticks != ABSENT and at_ns >= 0 and intent_id > 0
    rules.append(Rule(REASON_MALFORMED, formed))
    if not formed:
        return rules
    rules += _width_rules(gate, price_ticks, qty_lots)
    rules.append(Rule(REASON_QTY_MIN, qty_lots >= row[LISTING_QTY_MIN], qty_lots, row[LISTING_QTY_MIN]))
    rules.append(Rule(REASON_QTY_MAX, qty_lots <= row[LISTING_QTY_MAX], qty_lots, row[LISTING_QTY_MAX]))
    rules += _price_rules(row, price_ticks)
    rules.append(_notional_rule(row, price_ticks, qty_lots))
    rules.append(_position_rule(gate, listing, side, qty_lots))
    rules.append(_rate_rule(gate, at_ns))
    rules.append(_age_rule(row, at_ns))
    rules.append(Rule(REASON_DUPLICATE, not _seen(gate, intent_id), intent_id))
    return rules


def _width_rules(gate: Table, price_ticks: int, qty_lots: int) -> list[Rule]:
    """Return what the widths of a device refuse; nothing where none are set."""
    price_bits, qty_bits = int(gate[0, HEAD_PRICE_BITS]), int(gate[0, HEAD_QTY_BITS])
    rules = []
    if price_bits and not -(1 << (price_bits - 1)) <= price_ticks < 1 << (price_bits - 1):
        rules.append(Rule(REASON_OVERFLOW, False, price_ticks, price_bits))
    if qty_bits and qty_lots >= 1 << qty_bits:
        rules.append(Rule(REASON_OVERFLOW, False, qty_lots, qty_bits))
    return rules


def _price_rules(row: list[int], price_ticks: int) -> list[Rule]:
    reference, collar = row[LISTING_REF], row[LISTING_COLLAR]
    floor, cap = row[LISTING_FLOOR], row[LISTING_CAP]
    missing = reference == ABSENT and row[LISTING_REF_REQUIRED] != 0
    # A refusal for want of a reference says no value: there is none.
    rules = [Rule(REASON_NO_REFERENCE, not missing, reference)]
    rules.append(Rule(REASON_BOUNDS, floor == ABSENT or price_ticks >= floor, price_ticks, floor))
    rules.append(Rule(REASON_BOUNDS, cap == ABSENT or price_ticks <= cap, price_ticks, cap))
    if collar <= 0:
        return [*rules, Rule(REASON_COLLAR, False, price_ticks, collar)]
    if reference == ABSENT or collar == UNLIMITED:
        return [*rules, Rule(REASON_COLLAR, True, price_ticks)]
    low, high = max(reference - collar, -INT64_MAX), min(reference + collar, INT64_MAX)
    rules.append(Rule(REASON_COLLAR, price_ticks >= low, price_ticks, low))
    rules.append(Rule(REASON_COLLAR, price_ticks <= high, price_ticks, high))
    return rules


def _notional_rule(row: list[int], price_ticks: int, qty_lots: int) -> Rule:
    limit = row[LISTING_NOTIONAL_MAX]
    notional = abs(price_ticks) * qty_lots * row[LISTING_MINUTES]
    if notional > INT64_MAX:
        return Rule(REASON_OVERFLOW, False, ABSENT, limit)
    return Rule(REASON_NOTIONAL, notional <= limit and limit > 0, notional, limit)


def _position_rule(gate: Table, listing: int, side: int, qty_lots: int) -> Rule:
    """Return the first interval that would leave its limit, else the one that comes nearest to it."""
    qty_kw = qty_lots * int(gate[LISTING_ROW + listing, LISTING_KW_PER_LOT])
    kw_bits = int(gate[0, HEAD_KW_BITS])
    kw_max = (1 << (kw_bits - 1)) - 1 if kw_bits else INT64_MAX
    if qty_kw > kw_max:
        return Rule(REASON_OVERFLOW, False)
    sign, column = (1, INTERVAL_LONG_MAX) if side == BUY else (-1, INTERVAL_SHORT_MAX)
    base, nearest, least_room = int(gate[0, HEAD_INTERVAL_BASE]), Rule(REASON_POSITION, True), None
    for interval in intervals_of(gate, listing):
        cells = [int(cell) for cell in gate[base + interval]]
        limit, working = cells[column], cells[INTERVAL_WORKING + side] + qty_kw
        worst = working + sign * cells[INTERVAL_NET]
        if working >= kw_max or worst >= kw_max:
            return Rule(REASON_OVERFLOW, False, ABSENT, limit, interval)
        if worst > limit or limit <= 0:
            return Rule(REASON_POSITION, False, sign * worst, sign * limit, interval)
        if least_room is None or limit - worst < least_room:
            least_room = limit - worst
            nearest = Rule(REASON_POSITION, True, sign * worst, sign * limit, interval)
    return nearest


def _rate_rule(gate: Table, at_ns: int) -> Rule:
    burst, per_message = int(gate[0, HEAD_RATE_BURST]), int(gate[0, HEAD_RATE_NS])
    if burst == UNLIMITED:
        return Rule(REASON_RATE, True)
    backlog = max(int(gate[0, HEAD_RATE_EMPTY_NS]) - at_ns, 0)
    if at_ns + backlog + per_message >= INT64_MAX:
        return Rule(REASON_OVERFLOW, False, ABSENT, burst)
    taken = -(-backlog // per_message) + 1
    return Rule(REASON_RATE, taken <= burst, taken, burst)


def _age_rule(row: list[int], at_ns: int) -> Rule:
    limit = row[LISTING_REF_AGE_MAX]
    if limit == UNLIMITED:
        return Rule(REASON_STALE, True)
    if limit <= 0:
        return Rule(REASON_STALE, False, ABSENT, limit)
    if row[LISTING_REF] == ABSENT:
        return Rule(REASON_STALE, True, ABSENT, limit)
    age_ns = at_ns - row[LISTING_REF_AT]
    return Rule(REASON_STALE, age_ns <= limit, age_ns, limit)


def _seen(gate: Table, intent_id: int) -> bool:
    hashed = (intent_id ^ (intent_id >> 20) ^ (intent_id >> 40)) & int(gate[0, HEAD_SEEN_MASK])
    return intent_id in gate[int(gate[0, HEAD_SEEN_BASE]) + hashed, 1:16].tolist()
