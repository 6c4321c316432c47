"""The columns of the exchange's tables: one row per book, int64 for what is exact, float64 for what traders believe.

The kernels of `exchange_kernels` work on them; a snapshot is a copy of each.
"""

from __future__ import annotations

from typing import Final

from penstock_sdk.events import BookPriceDelta, Quote, Trade
from penstock_sdk.schema import layout_of

__all__ = [
    "BACKGROUND_ID",
    "BACKGROUND_OWNER",
    "COUNT_OWN",
    "COUNT_QUOTES",
    "COUNT_WIDTH",
    "DELTA_WORDS",
    "DRAWS_PER_ORDER",
    "MARKET_ASK",
    "MARKET_ASK_LOTS",
    "MARKET_BID",
    "MARKET_BID_LOTS",
    "MARKET_MARK",
    "MARKET_REVISION",
    "MARKET_WIDTH",
    "P_BASE_RATE",
    "P_FLOOR",
    "P_GRID_TICKS",
    "P_HALF_SPREAD",
    "P_INFORMED",
    "P_LAG",
    "P_LEVELS",
    "P_MAKERS",
    "P_NOISE",
    "P_OPENING",
    "P_OPENING_NS",
    "P_PRESSURE_KEEP",
    "P_PRESSURE_STEP",
    "P_RELATIVE_SPREAD",
    "P_RISE_NS",
    "P_SHOCK_NS",
    "P_STEP_S",
    "P_TREND_NS",
    "P_WANDER_KEEP",
    "P_WANDER_STEP",
    "P_WIDTH",
    "QUOTE_WORDS",
    "TERM_DAY_HOUR",
    "TERM_GATE_NS",
    "TERM_LISTING",
    "TERM_OPENS_NS",
    "TERM_PRICE_MAX",
    "TERM_PRICE_MIN",
    "TERM_SLOT",
    "TERM_SLOTS",
    "TERM_START_NS",
    "TERM_WIDTH",
    "TRADE_WORDS",
    "VIEW_ANCHOR",
    "VIEW_AUCTION",
    "VIEW_BELIEF",
    "VIEW_FUNDAMENTAL",
    "VIEW_OWN_WANDER",
    "VIEW_PRESSURE",
    "VIEW_RATE",
    "VIEW_SINCE_NS",
    "VIEW_WIDTH",
]

BACKGROUND_OWNER: Final = 2**32
"""Owners from here on are background traders; ours are plugin ids, which are smaller."""
BACKGROUND_ID: Final = 2**62
"""Engine ids of background orders count from here; our order ids stay below."""
DRAWS_PER_ORDER: Final = 6

# What is fixed for a book.
TERM_LISTING: Final = 0
TERM_OPENS_NS: Final = 1
TERM_GATE_NS: Final = 2
TERM_START_NS: Final = 3  # of delivery
TERM_SLOT: Final = 4  # first five minutes of delivery on the index grid
TERM_SLOTS: Final = 5  # how many of them
TERM_DAY_HOUR: Final = 6  # hour of the delivery day, from 0
TERM_PRICE_MIN: Final = 7
TERM_PRICE_MAX: Final = 8
TERM_WIDTH: Final = 9

# What was last published of a book.
MARKET_REVISION: Final = 0
MARKET_BID: Final = 1
MARKET_BID_LOTS: Final = 2
MARKET_ASK: Final = 3
MARKET_ASK_LOTS: Final = 4
MARKET_MARK: Final = 5  # scratch: the last top's row in the call being published, 0 for none
MARKET_WIDTH: Final = 6

# What traders believe of a book; prices in ticks.
VIEW_AUCTION: Final = 0  # NaN until a result came
VIEW_ANCHOR: Final = 1
VIEW_OWN_WANDER: Final = 2  # this delivery's own part of what only informed traders know
VIEW_PRESSURE: Final = 3  # above 0 noise traders rather buy
VIEW_FUNDAMENTAL: Final = 4
VIEW_BELIEF: Final = 5  # of liquidity providers: the fundamental, late; NaN until the first step
VIEW_RATE: Final = 6  # orders per step, cumulated over the books
VIEW_SINCE_NS: Final = 7  # when traders first acted here: later than the opening in a run that starts late
VIEW_WIDTH: Final = 8

COUNT_QUOTES: Final = 0
COUNT_OWN: Final = 1  # fills in which a resting order of ours was met
COUNT_WIDTH: Final = 2

# Parameters, all float64.
P_BASE_RATE: Final = 0  # orders per second and book at full activity
P_FLOOR: Final = 1  # share of it far from the gate
P_RISE_NS: Final = 2  # activity rises towards the gate with this time constant
P_OPENING: Final = 3  # share added just after the opening …
P_OPENING_NS: Final = 4  # … falling with this time constant
P_STEP_S: Final = 5
P_SHOCK_NS: Final = 6  # a momentary deviation of the index fades with this time to delivery
P_TREND_NS: Final = 7  # a lasting one with this
P_LAG: Final = 8  # share of the way that beliefs go to the fundamental in a step
P_WANDER_KEEP: Final = 9
P_WANDER_STEP: Final = 10
P_PRESSURE_KEEP: Final = 11
P_PRESSURE_STEP: Final = 12
P_HALF_SPREAD: Final = 13  # ticks
P_RELATIVE_SPREAD: Final = 14  # of the price's size, added
P_INFORMED: Final = 15  # share of orders
P_NOISE: Final = 16  # share of orders
P_GRID_TICKS: Final = 17
P_MAKERS: Final = 18
P_LEVELS: Final = 19
P_WIDTH: Final = 20


def _words(cls: type, names: tuple[str, ...]) -> int:
    """Return a record's size in 64-bit words, having seen that the kernels write its fields where they lie."""
    layout = layout_of(cls)
    places = {field.name: field.offset for field in layout.fields}
    met = tuple(name for name, offset in sorted(places.items(), key=lambda item: item[1]) if offset % 8 == 0)[1:]
    assert met == names, f"{layout.name} has words {met}, exchange_kernels.publish writes {names}; align them"
    return layout.size // 8


DELTA_WORDS: Final = _words(
    BookPriceDelta, ("price_ticks", "qty_lots", "order_count", "revision", "source_ns", "recv_ns")
)
TRADE_WORDS: Final = _words(Trade, ("price_ticks", "qty_lots", "trade_id", "source_ns", "recv_ns"))
QUOTE_WORDS: Final = _words(Quote, ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "source_ns", "recv_ns"))
