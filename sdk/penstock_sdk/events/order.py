"""The way of an order: intent, verdict, order, report."""

from __future__ import annotations

from typing import Annotated

from penstock_sdk.events.enums import (
    CheckResult,
    ClockKind,
    IntentAction,
    Liquidity,
    OrderKind,
    OrderState,
    Reason,
    ReportKind,
    Side,
    TradeSource,
)
from penstock_sdk.schema import ABSENT, I64, U8, U16, U32, Record, Wire, record

__all__ = [
    "CheckVerdict",
    "ExecutionReport",
    "ExternalTrade",
    "Order",
    "OrderIntent",
]


@record(id=40, topic="order.intent")
class OrderIntent(Record, frozen=True, gc=False):
    """What a strategy wants done; the kernel makes orders of it."""

    listing_id: U32
    action: Annotated[int, Wire("B", IntentAction)] = 1
    side: Annotated[int, Wire("B", Side)] = 0
    kind: Annotated[int, Wire("B", OrderKind)] = 1
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    intent_id: I64 = ABSENT
    """The strategy's own number for a new order; the same twice is refused as a duplicate."""
    order_id: I64 = ABSENT
    """The order to cancel or amend."""
    decision_half_ticks: I64 = ABSENT
    """Bid plus ask that the strategy saw: twice the mid, so that a mid between ticks is exact."""
    strategy_id: U32 = 0
    """The plugin instance that asked."""
    book_id: U32 = 0
    """The trading book that owns the position."""
    algo_id: U32 = 0
    algo_version: U32 = 0
    trader_id: U32 = 0
    account_id: U32 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=41, topic="order.verdict")
class CheckVerdict(Record, frozen=True, gc=False):
    """A check's answer on one order."""

    order_id: I64
    result: Annotated[int, Wire("B", CheckResult)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    reason: Annotated[int, Wire("H", Reason)] = 0
    check_id: U32 = 0
    """The plugin instance that answered."""
    met: I64 = ABSENT
    """The value that decided."""
    limit: I64 = ABSENT
    """What it was held against."""
    listing_id: U32 = 0
    strategy_id: U32 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=42, topic="order.order")
class Order(Record, frozen=True, gc=False):
    """An order as the kernel sends it to a venue, or closes it. `action` says what the venue is to do."""

    order_id: I64
    listing_id: U32 = 0
    action: Annotated[int, Wire("B", IntentAction)] = 0
    side: Annotated[int, Wire("B", Side)] = 0
    kind: Annotated[int, Wire("B", OrderKind)] = 0
    state: Annotated[int, Wire("B", OrderState)] = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    filled_lots: I64 = 0
    intent_id: I64 = ABSENT
    decision_half_ticks: I64 = ABSENT
    arrival_half_ticks: I64 = ABSENT
    """Bid plus ask when the order left; ABSENT when a side was empty."""
    venue_id: U32 = 0
    reason: Annotated[int, Wire("H", Reason)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    strategy_id: U32 = 0
    """The plugin instance that asked."""
    book_id: U32 = 0
    """The trading book that owns the position."""
    algo_id: U32 = 0
    algo_version: U32 = 0
    trader_id: U32 = 0
    account_id: U32 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=43, topic="order.report")
class ExecutionReport(Record, frozen=True, gc=False):
    """What the venue says of an order of ours."""

    order_id: I64
    listing_id: U32 = 0
    kind: Annotated[int, Wire("B", ReportKind)] = 0
    side: Annotated[int, Wire("B", Side)] = 0
    liquidity: Annotated[int, Wire("B", Liquidity)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    last_ticks: I64 = ABSENT
    """Price of this fill."""
    last_lots: I64 = 0
    """Quantity of this fill."""
    leaves_lots: I64 = 0
    """What still works after it."""
    trade_id: I64 = ABSENT
    venue_ref: I64 = ABSENT
    """The venue's own number for the order."""
    strategy_id: U32 = 0
    """Filled in by the kernel."""
    reason: Annotated[int, Wire("H", Reason)] = 0
    flags: U16 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=44, topic="order.external")
class ExternalTrade(Record, frozen=True, gc=False):
    """A trade of ours that Penstock did not send: from a screen, a broker, a bilateral deal. It counts like any."""

    listing_id: U32
    side: Annotated[int, Wire("B", Side)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    source: Annotated[int, Wire("H", TradeSource)] = 0
    price_ticks: I64 = ABSENT
    qty_lots: I64 = 0
    trade_id: I64 = ABSENT
    """Its number where it came from; the same listing, source and number twice is one trade."""
    strategy_id: U32 = 0
    """The plugin instance that it is attributed to; 0 is none."""
    book_id: U32 = 0
    """The trading book that owns the position."""
    trader_id: U32 = 0
    counterparty_id: U32 = 0
    """0 is a clearing house."""
    traded_ns: I64 = ABSENT
    """When it was agreed: payment dates follow from it."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT
