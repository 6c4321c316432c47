"""What the market says: quotes, trades, book changes, auctions, sessions, marks; in ticks and lots."""

from __future__ import annotations

from typing import Annotated

from penstock_sdk.events.enums import (
    BookAction,
    ClockKind,
    LevelFlag,
    Reason,
    SessionStatus,
    Side,
    Tradability,
)
from penstock_sdk.schema import ABSENT, I64, U8, U16, U32, Record, Wire, record

__all__ = [
    "AuctionResult",
    "BookLevel",
    "BookOrderDelta",
    "BookPriceDelta",
    "Mark",
    "Quote",
    "SessionState",
    "Trade",
]


@record(id=1, topic="market.quote")
class Quote(Record, frozen=True, gc=False):
    """The best bid and ask of a listing. An empty side has ABSENT price and zero lots."""

    listing_id: U32
    tradability: Annotated[int, Wire("B", Tradability)] = 1
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U16 = 0
    bid_ticks: I64 = ABSENT
    bid_lots: I64 = 0
    ask_ticks: I64 = ABSENT
    ask_lots: I64 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=2, topic="market.trade")
class Trade(Record, frozen=True, gc=False):
    """A trade of the market's, ours among them."""

    listing_id: U32
    aggressor: Annotated[int, Wire("B", Side)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U16 = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    trade_id: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=3, topic="market.book_order")
class BookOrderDelta(Record, frozen=True, gc=False):
    """A change of one order in the book (order by order, L3)."""

    listing_id: U32
    side: Annotated[int, Wire("B", Side)] = 0
    action: Annotated[int, Wire("B", BookAction)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    order_ref: I64 = ABSENT
    """The venue's name for the order."""
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    """What is left of it; 0 with DELETE."""
    revision: I64 = ABSENT
    """Counts the listing's changes; a gap is a loss."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=4, topic="market.book_price")
class BookPriceDelta(Record, frozen=True, gc=False):
    """A change of one price level in the book (price by price, L2)."""

    listing_id: U32
    side: Annotated[int, Wire("B", Side)] = 0
    action: Annotated[int, Wire("B", BookAction)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    """The level's new total; 0 with DELETE."""
    order_count: I64 = 0
    revision: I64 = ABSENT
    """Counts the listing's changes; a gap is a loss."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=5, topic="market.book_level")
class BookLevel(Record, frozen=True, gc=False):
    """One level of a book snapshot; a frame holds the whole, its ends marked by LevelFlag."""

    listing_id: U32
    side: Annotated[int, Wire("B", Side)] = 0
    place: Annotated[int, Wire("B", LevelFlag)] = 0
    tradability: Annotated[int, Wire("B", Tradability)] = 1
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    order_count: U32 = 0
    level: U32 = 0
    """0 is the best."""
    revision: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=6, topic="market.auction")
class AuctionResult(Record, frozen=True, gc=False):
    """The clearing of an auction for one contract."""

    contract_id: U32
    listing_id: U32 = 0
    auction_id: U32 = 0
    currency_id: U16 = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    price_ticks: I64 = ABSENT
    """In the listing's ticks; may be negative."""
    cleared_lots: I64 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=7, topic="market.session")
class SessionState(Record, frozen=True, gc=False):
    """Trading in a listing changes state; listing 0 is the whole venue."""

    listing_id: U32
    venue_id: U32 = 0
    status: Annotated[int, Wire("B", SessionStatus)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    reason: Annotated[int, Wire("H", Reason)] = 0
    effective_ns: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=8, topic="market.mark")
class Mark(Record, frozen=True, gc=False):
    """The price at which a listing's positions are valued."""

    listing_id: U32
    kind: U16 = 0
    """0 mid, 1 last trade, 2 settlement, 3 model."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    mark_ticks: I64 = ABSENT
    observed_ns: I64 = ABSENT
    """When the price it stands on was seen; its age follows."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT
