"""A trigger on integers: a row of best prices in, at most one order out, the same in software and in hardware.

    >>> import numpy as np
    >>> trigger, orders = new_trigger(2), new_orders(1)
    >>> tops = np.full((1, TOP_WIDTH), ABSENT, np.int64)
    >>> set_lane(trigger, 0, 0, kind=RULE_ASK_AT_MOST, rule=3, threshold_ticks=-500, order_slot=0, side=BUY,
    ...          price_ticks=2, lots=5, price_mode=PRICE_TOUCHED)
    >>> set_intent_base(trigger, 1_000)
    >>> tops[0, [TOP_SLOT, TOP_KNOWN, TOP_ASK, TOP_AT_NS]] = 0, 1, -501, 7
    >>> on_top(trigger, tops, 0, orders, 0)  # nothing is armed
    0
    >>> arm(trigger, 3)
    >>> on_top(trigger, tops, 0, orders, 0)
    1
    >>> orders[0, [TRIGGERED_PRICE, TRIGGERED_LOTS, TRIGGERED_INTENT_ID, TRIGGERED_RULE]].tolist()
    [-499, 5, 1000, 3]
    >>> on_top(trigger, tops, 0, orders, 0)  # it fires once
    0

Which of a slot's lanes hold is told with the rules as they are before the top; the lowest one fires, the others stay
armed and are looked at again with the next top. Nothing fires from a top that is not known, or that lacks a price the
rule needs; of a pair rule that goes for the other slot's latest top as well. The touched price is the ask or the bid
that the rule reads here; of a spread rule, the ask for an order that buys and the bid for one that sells.

Cost: O(lanes).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.tick_layout import *
from penstock_sdk.golden.trigger_layout import *
from penstock_sdk.golden.trigger_layout import Table
from penstock_sdk.schema import ABSENT

_WAITS = 0  # its condition does not hold
_HOLDS = 1
_UNKNOWN = 2
_ABSENT = 3


def _lane(trigger: Table, slot: int, lane: int) -> int:
    """Return the row of a lane of a slot."""
    row: int = KEPT_ROW + trigger[0, HEAD_SLOTS] + slot * trigger[0, HEAD_LANES] + lane
    return row


def _compare(kind: int, threshold: int, bid: int, ask: int, other_bid: int, other_ask: int) -> int:
    """Return _HOLDS, _WAITS or _ABSENT; what the kind does not read may be absent."""
    if kind == RULE_ASK_AT_MOST:
        return _ABSENT if ask == ABSENT else int(ask <= threshold)
    if kind == RULE_BID_AT_LEAST:
        return _ABSENT if bid == ABSENT else int(bid >= threshold)
    if kind == RULE_PAIR_BID_ASK:
        return _ABSENT if bid == ABSENT or other_ask == ABSENT else int(bid - other_ask >= threshold)
    if kind == RULE_PAIR_ASK_BID:
        return _ABSENT if ask == ABSENT or other_bid == ABSENT else int(other_bid - ask >= threshold)
    if bid == ABSENT or ask == ABSENT:
        return _ABSENT
    if kind == RULE_SPREAD_AT_LEAST:
        return int(ask - bid >= threshold)
    return int(ask - bid <= threshold)


def _judge(trigger: Table, row: int, known: int, bid: int, ask: int) -> int:
    """Return whether the lane in *row* holds for a top, or why that cannot be said."""
    kind, rule = trigger[row, LANE_KIND], trigger[row, LANE_RULE]
    if kind == RULE_NONE or trigger[ARMED_ROW + (rule >> 4), rule & 15] == 0:
        return _WAITS
    if known == 0:
        return _UNKNOWN
    other_bid, other_ask = ABSENT, ABSENT
    if kind in (RULE_PAIR_BID_ASK, RULE_PAIR_ASK_BID):
        other = KEPT_ROW + trigger[row, LANE_OTHER]
        if trigger[other, KEPT_KNOWN] == 0:
            return _UNKNOWN
        other_bid, other_ask = trigger[other, KEPT_BID], trigger[other, KEPT_ASK]
    return _compare(kind, trigger[row, LANE_THRESHOLD], bid, ask, other_bid, other_ask)


def _order_price(trigger: Table, row: int, bid: int, ask: int) -> int:
    """Return the order's price in ticks, however many bits it needs."""
    kind, side = trigger[row, LANE_KIND], trigger[row, LANE_SIDE]
    price: int = trigger[row, LANE_PRICE]
    if trigger[row, LANE_PRICE_MODE] == PRICE_FIXED:
        return price
    if kind in (RULE_ASK_AT_MOST, RULE_PAIR_ASK_BID):
        return price + ask
    if kind in (RULE_BID_AT_LEAST, RULE_PAIR_BID_ASK):
        return price + bid
    return price + (ask if side == BUY else bid)


def _write_order(trigger: Table, row: int, bid: int, ask: int, at_ns: int, orders: Table, at: int) -> None:
    """Write the order of the lane in *row*, count it, and disarm its rule."""
    head, rule = trigger[0], trigger[row, LANE_RULE]
    price = _order_price(trigger, row, bid, ask)
    price_end = 1 << (head[HEAD_PRICE_BITS] - 1)
    orders[at, TRIGGERED_SLOT] = trigger[row, LANE_ORDER_SLOT]
    orders[at, TRIGGERED_SIDE] = trigger[row, LANE_SIDE]
    orders[at, TRIGGERED_PRICE] = price
    orders[at, TRIGGERED_LOTS] = trigger[row, LANE_LOTS]
    orders[at, TRIGGERED_AT_NS] = at_ns
    orders[at, TRIGGERED_INTENT_ID] = head[HEAD_INTENT_BASE] + head[HEAD_FIRED]
    orders[at, TRIGGERED_FITS] = int(-price_end <= price < price_end)
    orders[at, TRIGGERED_RULE] = rule
    head[HEAD_FIRED] += 1
    head[HEAD_LAST_RULE] = rule
    trigger[ARMED_ROW + (rule >> 4), rule & 15] = 0


def on_top(trigger: Table, tops: Table, top: int, orders: Table, at: int) -> int:
    """Keep the best prices of row *top*; return 1 and write an order to row *at* where a rule fires, else return 0.

    A slot beyond the trigger's is passed over.
    """
    head, slot, known = trigger[0], tops[top, TOP_SLOT], tops[top, TOP_KNOWN]
    bid, ask = tops[top, TOP_BID], tops[top, TOP_ASK]
    if slot < 0 or slot >= head[HEAD_SLOTS]:
        return 0
    trigger[KEPT_ROW + slot, KEPT_KNOWN] = known
    trigger[KEPT_ROW + slot, KEPT_BID] = bid
    trigger[KEPT_ROW + slot, KEPT_ASK] = ask
    winner, holds, unknown, absent = -1, 0, 0, 0
    for lane in range(head[HEAD_LANES]):
        row = _lane(trigger, slot, lane)
        met = _judge(trigger, row, known, bid, ask)
        if met == _HOLDS:
            holds += 1
            if winner < 0:
                winner = row
        elif met == _UNKNOWN:
            unknown = 1
        elif met == _ABSENT:
            absent = 1
    head[HEAD_UNKNOWN] += unknown
    head[HEAD_ABSENT] += absent
    if winner < 0:
        return 0
    if head[HEAD_INTENT_BASE] < 1 or head[HEAD_FIRED] > INT64_MAX - head[HEAD_INTENT_BASE]:
        head[HEAD_NO_ID] += 1
        return 0
    head[HEAD_PASSED_OVER] += int(holds > 1)
    _write_order(trigger, winner, bid, ask, tops[top, TOP_AT_NS], orders, at)
    return 1


def on_tops(trigger: Table, tops: Table, orders: Table) -> int:
    """Give every row of *tops* to the trigger; return how many orders it wrote, from row 0 of *orders* on."""
    written = 0
    for top in range(tops.shape[0]):
        written += on_top(trigger, tops, top, orders, written)
    return written


KERNELS = (_lane, _compare, _judge, _order_price, _write_order, on_top, on_tops)
"""Callees before callers, as `penstock_sdk.compiled` wants them."""
