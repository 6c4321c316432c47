"""Columns and codes that the golden models of the tick-to-trade chain hand one another, as rows of int64.

A market message becomes an update row (`feed_decoder`), an update a row of best prices (`book_top`), that an order row
(`trigger`), that a verdict (`risk_gate`), and that the bytes of a message (`order_encoder`). What is absent is ABSENT.
`rtl/tick_pkg.sv` holds the same codes for the hardware.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "GATE_CHECK",
    "GATE_FILL",
    "GATE_RELEASE",
    "GATE_RESERVE",
    "RULE_ASK_AT_MOST",
    "RULE_BID_AT_LEAST",
    "RULE_NONE",
    "RULE_PAIR_ASK_BID",
    "RULE_PAIR_BID_ASK",
    "RULE_SPREAD_AT_LEAST",
    "RULE_SPREAD_AT_MOST",
    "TOP_ASK",
    "TOP_ASK_LOTS",
    "TOP_AT_NS",
    "TOP_BID",
    "TOP_BID_LOTS",
    "TOP_KNOWN",
    "TOP_SLOT",
    "TOP_WIDTH",
    "UPDATE_ADD",
    "UPDATE_ASK",
    "UPDATE_ASK_LOTS",
    "UPDATE_AT_NS",
    "UPDATE_CLEAR",
    "UPDATE_DELETE",
    "UPDATE_KIND",
    "UPDATE_LEVEL",
    "UPDATE_LOTS",
    "UPDATE_NEW_REF",
    "UPDATE_POISON",
    "UPDATE_PRICE",
    "UPDATE_QUOTE",
    "UPDATE_REDUCE",
    "UPDATE_REF",
    "UPDATE_REPLACE",
    "UPDATE_SET",
    "UPDATE_SIDE",
    "UPDATE_SLOT",
    "UPDATE_WIDTH",
]

# columns of an update
UPDATE_KIND: Final = 0
UPDATE_SLOT: Final = 1
UPDATE_SIDE: Final = 2  # a Side; 0 where the kind has none
UPDATE_PRICE: Final = 3  # ticks; of a quote the bid
UPDATE_LOTS: Final = 4
UPDATE_ASK: Final = 5  # ticks, quotes alone
UPDATE_ASK_LOTS: Final = 6
UPDATE_REF: Final = 7  # the venue's number of an order
UPDATE_NEW_REF: Final = 8
UPDATE_AT_NS: Final = 9
UPDATE_WIDTH: Final = 10

# values of UPDATE_KIND
UPDATE_QUOTE: Final = 1  # both best prices, each present or not; the whole book is these two
UPDATE_LEVEL: Final = 2  # this price of this side now holds these lots; 0 takes the level away
UPDATE_ADD: Final = 3  # an order joins
UPDATE_REDUCE: Final = 4  # an order has so many lots less
UPDATE_DELETE: Final = 5  # an order leaves
UPDATE_REPLACE: Final = 6  # an order leaves, and a new one joins its side
UPDATE_SET: Final = 7  # an order now stands at this price with these lots, known before or not
UPDATE_CLEAR: Final = 8  # the book is empty, and known again
UPDATE_POISON: Final = 9  # the book can no longer be known: until CLEAR or QUOTE

# columns of the best prices
TOP_SLOT: Final = 0
TOP_KNOWN: Final = 1  # 0: nothing may be decided from the others
TOP_BID: Final = 2  # ticks, or ABSENT
TOP_BID_LOTS: Final = 3
TOP_ASK: Final = 4
TOP_ASK_LOTS: Final = 5
TOP_AT_NS: Final = 6  # of the message that made it
TOP_WIDTH: Final = 7

# what is asked of the risk gate
GATE_CHECK: Final = 0
GATE_RESERVE: Final = 1
GATE_RELEASE: Final = 2
GATE_FILL: Final = 3

# what a trigger rule waits for
RULE_NONE: Final = 0
RULE_ASK_AT_MOST: Final = 1  # best ask <= threshold
RULE_BID_AT_LEAST: Final = 2  # best bid >= threshold
RULE_SPREAD_AT_LEAST: Final = 3  # best ask - best bid >= threshold
RULE_SPREAD_AT_MOST: Final = 4  # best ask - best bid <= threshold
RULE_PAIR_BID_ASK: Final = 5  # best bid here - best ask of the other slot >= threshold
RULE_PAIR_ASK_BID: Final = 6  # best bid of the other slot - best ask here >= threshold
