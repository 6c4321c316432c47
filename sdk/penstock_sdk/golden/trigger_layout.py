"""Tables of the trigger's golden model, and the functions that set its rules; `trigger` offers all of it too.

The trigger is one int64 table of 16 columns: a head row (``HEAD_*``), four rows of armed bits, a row per slot for its
latest top (``KEPT_*``) and a row per slot and lane for what to wait for (``LANE_*``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import Side
from penstock_sdk.golden.tick_layout import RULE_NONE, RULE_PAIR_ASK_BID, RULE_PAIR_BID_ASK

__all__ = [
    "ARMED_ROW", "BUY", "HEAD_ABSENT", "HEAD_FIRED", "HEAD_INTENT_BASE", "HEAD_LANES", "HEAD_LAST_RULE", "HEAD_NO_ID",
    "HEAD_PASSED_OVER", "HEAD_PRICE_BITS", "HEAD_RULES", "HEAD_SLOTS", "HEAD_UNKNOWN", "INT64_MAX", "KEPT_ASK",
    "KEPT_BID", "KEPT_KNOWN", "KEPT_ROW", "LANE_KIND", "LANE_LOTS", "LANE_ORDER_SLOT", "LANE_OTHER", "LANE_PRICE",
    "LANE_PRICE_MODE", "LANE_RULE", "LANE_SIDE", "LANE_THRESHOLD", "PRICE_FIXED", "PRICE_TOUCHED", "RULES_MAX", "SELL",
    "TRIGGERED_AT_NS", "TRIGGERED_FITS", "TRIGGERED_INTENT_ID", "TRIGGERED_LOTS", "TRIGGERED_PRICE", "TRIGGERED_RULE",
    "TRIGGERED_SIDE", "TRIGGERED_SLOT", "TRIGGERED_WIDTH", "Table", "arm", "armed_bits", "clear_lane", "clear_slot",
    "disarm", "disarm_all", "new_orders", "new_trigger", "set_intent_base", "set_lane",
]  # fmt: skip

Table = npt.NDArray[np.int64]

BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)
INT64_MAX: Final = 2**63 - 1
RULES_MAX: Final = 64

# the head row
HEAD_SLOTS: Final = 0
HEAD_LANES: Final = 1
HEAD_RULES: Final = 2
HEAD_PRICE_BITS: Final = 3  # of a signed price
HEAD_INTENT_BASE: Final = 4  # below 1: nothing fires
HEAD_FIRED: Final = 5
HEAD_LAST_RULE: Final = 6
HEAD_UNKNOWN: Final = 7  # tops of which an armed row lacked a known top …
HEAD_ABSENT: Final = 8  # … or a price
HEAD_NO_ID: Final = 9  # tops that held, but there was no intent id
HEAD_PASSED_OVER: Final = 10  # tops of which a second row held

ARMED_ROW: Final = 1
KEPT_ROW: Final = 5  # + slot

KEPT_KNOWN: Final = 0
KEPT_BID: Final = 1  # ticks, or ABSENT
KEPT_ASK: Final = 2

LANE_KIND: Final = 0  # a RULE_…
LANE_RULE: Final = 1
LANE_OTHER: Final = 2  # the other slot of a pair rule
LANE_THRESHOLD: Final = 3  # ticks
LANE_ORDER_SLOT: Final = 4
LANE_SIDE: Final = 5
LANE_PRICE_MODE: Final = 6
LANE_PRICE: Final = 7  # ticks
LANE_LOTS: Final = 8

PRICE_FIXED: Final = 0  # the order's price is LANE_PRICE
PRICE_TOUCHED: Final = 1  # … and is added to the price that was touched

# an order; the first six columns are those that the risk gate reads
TRIGGERED_SLOT: Final = 0
TRIGGERED_SIDE: Final = 1
TRIGGERED_PRICE: Final = 2  # ticks; exact also where it does not fit
TRIGGERED_LOTS: Final = 3
TRIGGERED_AT_NS: Final = 4  # of the top
TRIGGERED_INTENT_ID: Final = 5
TRIGGERED_FITS: Final = 6  # 0: the price needs more bits than there are
TRIGGERED_RULE: Final = 7
TRIGGERED_WIDTH: Final = 8


def new_trigger(slots: int, lanes: int = 2, rules: int = RULES_MAX, price_bits: int = 32) -> Table:
    """Return a trigger without a rule, an armed bit, a top or a base for intent ids.

    Raises:
        ValueError: a size is out of range.
    """
    _wanted("slots", slots, 1, 1 << 20)
    _wanted("lanes", lanes, 1, 4)
    _wanted("rules", rules, 1, RULES_MAX)
    _wanted("price_bits", price_bits, 2, 62)
    trigger = np.zeros((KEPT_ROW + slots * (1 + lanes), 16), np.int64)
    trigger[0, : HEAD_PRICE_BITS + 1] = slots, lanes, rules, price_bits
    return trigger


def new_orders(count: int) -> Table:
    """Return a table for *count* orders."""
    return np.zeros((count, TRIGGERED_WIDTH), np.int64)


def set_lane(
    trigger: Table,
    slot: int,
    lane: int,
    *,
    kind: int,
    rule: int,
    threshold_ticks: int,
    order_slot: int,
    side: int,
    price_ticks: int,
    lots: int,
    other_slot: int = 0,
    price_mode: int = PRICE_FIXED,
) -> None:
    """Set what one lane of a slot waits for, and the order it makes; its rule stays armed or not, as it is.

    Args:
        kind: a ``RULE_*`` of `tick_layout`; a pair rule goes to both slots, kinds mirrored, the rule the same.
        threshold_ticks: a price, or a difference of two.
        price_ticks: the order's price, or with PRICE_TOUCHED what is added to the price that was touched.
        other_slot: whose latest top a pair rule reads.

    Raises:
        ValueError: a number is out of range.
    """
    head = trigger[0]
    slots, price_max = int(head[HEAD_SLOTS]), (1 << (int(head[HEAD_PRICE_BITS]) - 1)) - 1
    _wanted("kind", kind, RULE_NONE + 1, RULE_PAIR_ASK_BID)
    _wanted("rule", rule, 0, int(head[HEAD_RULES]) - 1)
    _wanted("threshold_ticks", threshold_ticks, -2 * price_max - 2, 2 * price_max + 1)
    _wanted("order_slot", order_slot, 0, slots - 1)
    _wanted("side", side, BUY, SELL)
    _wanted("price_mode", price_mode, PRICE_FIXED, PRICE_TOUCHED)
    _wanted("price_ticks", price_ticks, -price_max - 1, price_max)
    _wanted("lots", lots, 0, INT64_MAX)
    if kind in (RULE_PAIR_BID_ASK, RULE_PAIR_ASK_BID):
        _wanted("other_slot", other_slot, 0, slots - 1)
        if other_slot == slot:
            raise ValueError(f"other_slot is {other_slot}, the slot itself; wanted that of another listing")
    row = _lane_row(trigger, slot, lane)
    row[: LANE_LOTS + 1] = (
        kind, rule, other_slot, threshold_ticks, order_slot, side, price_mode, price_ticks, lots
    )  # fmt: skip


def clear_lane(trigger: Table, slot: int, lane: int) -> None:
    """Empty one lane of a slot.

    Raises:
        ValueError: there is no such slot or lane.
    """
    _lane_row(trigger, slot, lane)[:] = 0


def clear_slot(trigger: Table, slot: int) -> None:
    """Empty a slot's lanes and forget its top: its contract closed, another one takes the slot.

    Raises:
        ValueError: there is no such slot.
    """
    for lane in range(int(trigger[0, HEAD_LANES])):
        clear_lane(trigger, slot, lane)
    trigger[KEPT_ROW + slot] = 0


def arm(trigger: Table, rule: int) -> None:
    """Let a rule fire once.

    Raises:
        ValueError: there is no such rule.
    """
    _wanted("rule", rule, 0, int(trigger[0, HEAD_RULES]) - 1)
    trigger[ARMED_ROW + (rule >> 4), rule & 15] = 1


def disarm(trigger: Table, rule: int) -> None:
    """Keep a rule from firing.

    Raises:
        ValueError: there is no such rule.
    """
    _wanted("rule", rule, 0, int(trigger[0, HEAD_RULES]) - 1)
    trigger[ARMED_ROW + (rule >> 4), rule & 15] = 0


def disarm_all(trigger: Table) -> None:
    """Keep every rule from firing."""
    trigger[ARMED_ROW:KEPT_ROW] = 0


def armed_bits(trigger: Table) -> int:
    """Return a bit for each rule, 1 where it is armed."""
    return sum(1 << rule for rule, bit in enumerate(trigger[ARMED_ROW:KEPT_ROW].reshape(-1).tolist()) if bit)


def set_intent_base(trigger: Table, base: int) -> None:
    """Number the orders from *base* plus those fired so far; 0 lets nothing fire.

    Raises:
        ValueError: it is negative or does not fit int64.
    """
    _wanted("base", base, 0, INT64_MAX)
    trigger[0, HEAD_INTENT_BASE] = base


def _lane_row(trigger: Table, slot: int, lane: int) -> Table:
    slots, lanes = int(trigger[0, HEAD_SLOTS]), int(trigger[0, HEAD_LANES])
    _wanted("slot", slot, 0, slots - 1)
    _wanted("lane", lane, 0, lanes - 1)
    row: Table = trigger[KEPT_ROW + slots + slot * lanes + lane]
    return row


def _wanted(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; wanted {low} to {high}")
