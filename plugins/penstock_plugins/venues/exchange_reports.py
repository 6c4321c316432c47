"""What the exchange tells of orders of ours: reports made of the rows that the matching engine left."""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

from penstock_plugins.venues.exchange_layout import *
from penstock_plugins.venues.exchange_market import DayMarket
from penstock_sdk.events import ExecutionReport, Liquidity, Order, ReportKind
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *
from penstock_sdk.schema import ABSENT, Event

__all__ = ["accepted", "ended", "maker_fill", "taker_fill", "without_fill"]

# Plain numbers: to look a member up in its enum takes 80 ns.
_ACCEPTED, _FILL = int(ReportKind.ACCEPTED), int(ReportKind.FILL)
_MAKER, _TAKER = int(Liquidity.MAKER), int(Liquidity.TAKER)


def accepted(order: Order, now_ns: int) -> ExecutionReport:
    """Return that a book has taken an order."""
    return ExecutionReport(
        order.order_id, order.listing_id, _ACCEPTED, order.side, 0, 0, ABSENT, 0, order.qty_lots, ABSENT,
        order.order_id, order.strategy_id, 0, 0, now_ns,
    )  # fmt: skip


def taker_fill(order: Order, fill: list[int], trade_id: int, now_ns: int) -> ExecutionReport:
    """Return what an order of ours dealt as it came."""
    return ExecutionReport(
        order.order_id, order.listing_id, _FILL, order.side, _TAKER, 0, fill[FILL_PRICE],
        fill[FILL_QTY], fill[FILL_TAKER_REMAINING], trade_id, order.order_id, order.strategy_id, 0, 0, now_ns,
    )  # fmt: skip


def maker_fill(market: DayMarket, fill: list[int], trade_id: int, now_ns: int) -> ExecutionReport:
    """Return that a resting order of ours was met."""
    side = SELL if fill[FILL_SIDE] == BUY else BUY
    return ExecutionReport(
        fill[FILL_MAKER_ID], market.listings[fill[FILL_BOOK]].listing_id, _FILL, side, _MAKER, 0,
        fill[FILL_PRICE], fill[FILL_QTY], fill[FILL_MAKER_REMAINING], trade_id, fill[FILL_MAKER_ID],
        fill[FILL_MAKER_OWNER], 0, 0, now_ns,
    )  # fmt: skip


def without_fill(order: Order, kind: int, reason: int, now_ns: int) -> ExecutionReport:
    """Return a report without a fill; nothing of the order works after it, as far as the venue knows."""
    return ExecutionReport(
        order.order_id, order.listing_id, kind, order.side, 0, 0, ABSENT, 0, 0, ABSENT, ABSENT, order.strategy_id,
        reason, 0, now_ns,
    )  # fmt: skip


def ended(market: DayMarket, kind: int, reason: int, now_ns: int) -> list[Event]:
    """Return a report on each order of ours that the last call took out of a day's books without a fill."""
    out = market.books.out
    if not out[0, OUT_CANCELS]:
        return []
    return [
        ExecutionReport(
            row[CANCEL_ORDER_ID], market.listings[row[CANCEL_BOOK]].listing_id, kind, row[CANCEL_SIDE], 0, 0,
            ABSENT, 0, 0, ABSENT, row[CANCEL_ORDER_ID], row[CANCEL_OWNER], reason, 0, now_ns,
        )
        for row in matching.cancels(out).tolist()
        if row[CANCEL_OWNER] < BACKGROUND_OWNER
    ]  # fmt: skip
