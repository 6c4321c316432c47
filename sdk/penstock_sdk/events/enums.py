"""The enumerations that records carry. Zero is always unknown; values are only ever added."""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "BookAction",
    "CashKind",
    "CheckResult",
    "ClockKind",
    "ConnectionStatus",
    "IdKind",
    "IntentAction",
    "LevelFlag",
    "LimitKind",
    "Liquidity",
    "OrderKind",
    "OrderState",
    "PluginStatus",
    "Reason",
    "ReportKind",
    "SessionStatus",
    "Severity",
    "Side",
    "Tradability",
    "TradeSource",
]


class Side(IntEnum):
    """Which side of the book, or of a trade."""

    UNKNOWN = 0
    BUY = 1
    SELL = 2


class ClockKind(IntEnum):
    """What clock stamped ``recv_ns``."""

    UNKNOWN = 0
    SIMULATED = 1
    WALL = 2
    HARDWARE = 3
    """Stamped by a network card or an FPGA."""


class Tradability(IntEnum):
    """Whether a price in the book can be dealt on by us."""

    UNKNOWN = 0
    TRADABLE = 1
    INDICATIVE = 2
    """Shown, not dealable: an auction's indicative price, another area's book without capacity."""
    STALE = 3
    """Deltas were lost; a snapshot is on its way."""


class BookAction(IntEnum):
    """What a book delta does."""

    UNKNOWN = 0
    SET = 1
    DELETE = 2
    CLEAR = 3
    """The listing's whole book is empty."""


class LevelFlag(IntEnum):
    """Bits of a level's place in its snapshot."""

    NONE = 0
    FIRST = 1
    LAST = 2
    ONLY = 3


class OrderKind(IntEnum):
    """How an order is executed and how long it lives."""

    UNKNOWN = 0
    LIMIT = 1
    """Rests until cancelled or until gate closure."""
    IOC = 2
    """What cannot be dealt at once is cancelled."""
    FOK = 3
    """All at once, or nothing."""
    MARKET = 4
    """At any price within the listing's bounds; the rest is cancelled."""


class IntentAction(IntEnum):
    """What a strategy wants done."""

    UNKNOWN = 0
    NEW = 1
    CANCEL = 2
    AMEND = 3
    CANCEL_ALL = 4
    """Every open order of the strategy, or of the named listing."""


class OrderState(IntEnum):
    """Where an order stands; the transitions are `penstock_sdk.golden.orders`."""

    UNKNOWN = 0
    NEW = 1
    PENDING_CHECK = 2
    REFUSED = 3
    """A check of ours said no; it never left."""
    ROUTED = 4
    """Handed to the venue plugin, unanswered."""
    WORKING = 5
    PARTLY_FILLED = 6
    PENDING_CANCEL = 7
    FILLED = 8
    CANCELLED = 9
    EXPIRED = 10
    """The gate closed, or its time ran out."""
    REJECTED = 11
    """The venue said no."""
    IN_DOUBT = 12
    """Sent before a crash and unanswered since; the venue is asked, it is never resent."""


class ReportKind(IntEnum):
    """What a venue says of an order."""

    UNKNOWN = 0
    ACCEPTED = 1
    FILL = 2
    CANCELLED = 3
    EXPIRED = 4
    REJECTED = 5
    AMENDED = 6
    CANCEL_REJECTED = 7


class Liquidity(IntEnum):
    """Whether a fill made or took liquidity."""

    UNKNOWN = 0
    MAKER = 1
    TAKER = 2
    AUCTION = 3


class CheckResult(IntEnum):
    """A check's answer."""

    UNKNOWN = 0
    PASSED = 1
    REFUSED = 2


class Reason(IntEnum):
    """Why an order was refused, rejected or ended. Stable codes: reports and alerts use them."""

    NONE = 0
    KILL_SWITCH = 1
    PAUSED = 2
    UNKNOWN_LISTING = 3
    QTY_MIN = 4
    QTY_MAX = 5
    PRICE_COLLAR = 6
    PRICE_BOUNDS = 7
    NOTIONAL = 8
    POSITION = 9
    MESSAGE_RATE = 10
    STALE_MARKET = 11
    DUPLICATE = 12
    OVERFLOW = 13
    NO_REFERENCE = 14
    CHECK_FAILED = 20
    """A check raised, or gave no verdict: it fails closed."""
    NO_CHECK = 21
    """No running risk check: orders are refused."""
    UNKNOWN_ORDER = 22
    UNKNOWN_VENUE = 23
    JOURNAL_FULL = 24
    """The journal cannot be written; only cancels leave."""
    NOT_ALLOWED = 25
    """The plugin lacks the capability, or the book is another's."""
    CHECK_TIMEOUT = 26
    """A check in a process of its own did not answer in time: it fails closed."""
    GATE_CLOSED = 30
    NO_LIQUIDITY = 31
    SELF_TRADE = 32
    VENUE_CAPACITY = 33
    MALFORMED = 34
    """Quantity, price, side or kind make no sense."""
    UNSOLICITED = 35
    """The venue ended it unasked."""
    MARKET_ABUSE = 40
    """A compliance check said no."""
    RECONCILING = 41
    """The venue has not said yet where the orders of an earlier session stand."""
    NO_DELIVERY = 42
    """Nobody has said what the contract delivers and when: it is shown, not traded."""
    NOT_OFFERED = 43
    """The venue does not take orders of this kind."""


class SessionStatus(IntEnum):
    """The state of trading in a listing, or at a whole venue."""

    UNKNOWN = 0
    PRE_OPEN = 1
    OPEN = 2
    AUCTION = 3
    HALTED = 4
    CLOSED = 5


class ConnectionStatus(IntEnum):
    """The state of the link to a venue or a feed."""

    UNKNOWN = 0
    CONNECTING = 1
    UP = 2
    DEGRADED = 3
    DOWN = 4


class LimitKind(IntEnum):
    """What a limit bounds. Values are in the unit its name says."""

    UNKNOWN = 0
    QTY_MAX_LOTS = 1
    POSITION_MAX_LOTS = 2
    NOTIONAL_MAX_MICRO = 3
    COLLAR_TICKS = 4
    ORDERS_PER_SECOND_MAX = 5
    KILL = 6
    """1 when the kill switch is on."""
    PAUSE = 7
    """1 when new orders are paused."""


class IdKind(IntEnum):
    """What an interned id names."""

    UNKNOWN = 0
    PLUGIN = 1
    ZONE = 2
    CONTRACT = 3
    LISTING = 4
    BOOK = 5
    ALGO = 6
    TRADER = 7
    ACCOUNT = 8
    SERIES = 9
    UNIT = 10
    SOURCE = 11
    CURRENCY = 12
    MODEL = 13
    SIGNAL = 14
    COUNTERPARTY = 15


class TradeSource(IntEnum):
    """How a trade that no order of ours made came about."""

    UNKNOWN = 0
    SCREEN = 1
    """By hand, at a venue's own screen."""
    BROKER = 2
    OTC = 3
    """Bilateral: a captured deal, both pairs of eyes on it."""
    CORRECTION = 4
    """Takes back, or adds, what an earlier one said wrongly."""


class CashKind(IntEnum):
    """What a cash flow pays for."""

    UNKNOWN = 0
    TRADE = 1
    """Price times energy of a physical trade."""
    FEE = 2
    VARIATION = 3
    """A future's daily gain or loss."""
    SWAP = 4
    """Fixed against floating, once the period's prices are known."""
    IMBALANCE = 5
    """Deviation times imbalance price; a later version pays the difference to the one before."""


class PluginStatus(IntEnum):
    """The lifecycle of a plugin."""

    UNKNOWN = 0
    DISCOVERED = 1
    RESOLVED = 2
    STARTING = 3
    CONFIGURED = 4
    RUNNING = 5
    DEGRADED = 6
    DRAINING = 7
    STOPPED = 8
    FAILED = 9
    RETRYING = 10
    QUARANTINED = 11


class Severity(IntEnum):
    """How much an alert matters."""

    UNKNOWN = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4
