"""Small plugins and lookers-on that the tests of the core share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Order,
    Quote,
    ReportKind,
)
from penstock_sdk.plugin import Operations, Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Frame, schema_by_id
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import HEADER, Header


def headers(kernel: SimKernel) -> list[Header]:
    """Return the header of every frame so far."""
    return [Header(*HEADER.unpack_from(data)) for data in kernel.frames]


def told(kernel: SimKernel, since: int = 0) -> list[str]:
    """Return the names of the records so far, from frame *since* on."""
    return [schema_by_id(header.schema_id).name for header in headers(kernel)[since:]]


def quote(listing_id: int = 1, bid: int = 100, ask: int = 110) -> Quote:
    return Quote(listing_id, bid_ticks=bid, bid_lots=5, ask_ticks=ask, ask_lots=5)


def quotes(*listing_ids: int) -> Frame:
    return Frame.of([quote(listing_id) for listing_id in listing_ids])


class OnQuote(Operations):
    """Answers each quote with what `answer` returns; notes what it heard."""

    answer: Callable[[Quote], Any] = staticmethod(lambda quote: None)

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.heard: list[Any] = []

    def on_quote(self, quote: Quote) -> Outcome:
        self.heard.append(quote)
        return self.answer(quote)  # type: ignore[no-any-return]


class PassAll(RiskCheck):
    def check_order(self, order: Order) -> CheckVerdict:
        return self.passed(order)


class Obedient(Venue):
    """Accepts and cancels at once; fills only when a test says so. Notes what it heard."""

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.heard: list[Order] = []

    def on_order(self, order: Order) -> Outcome:
        self.heard.append(order)
        kind = ReportKind.ACCEPTED if order.action == IntentAction.NEW else ReportKind.CANCELLED
        left = order.qty_lots if order.action == IntentAction.NEW else 0
        return ExecutionReport(order.order_id, order.listing_id, kind, order.side, leaves_lots=left)


class Trader(Strategy):
    """Sends what `answer` makes of a quote; notes its orders and reports."""

    answer: Callable[[Quote], Any] = staticmethod(lambda quote: None)

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.orders: list[Order] = []
        self.reports: list[ExecutionReport] = []

    def on_quote(self, quote: Quote) -> Outcome:
        return self.answer(quote)  # type: ignore[no-any-return]

    def on_order(self, order: Order) -> None:
        self.orders.append(order)

    def on_execution_report(self, report: ExecutionReport) -> None:
        self.reports.append(report)


def market(*names: str, trader: type[Trader] = Trader, **options: Any) -> tuple[SimKernel, Obedient, list[Any]]:
    """Return a started kernel with a venue, a check, listings 1 and 2, and a trader of each name."""
    kernel = SimKernel(**options)
    venue = kernel.add(Obedient, "venue")
    kernel.add(PassAll, "pass_all")
    traders = [kernel.add(trader, name) for name in names]
    kernel.start()
    for name in ("L1", "L2"):
        kernel.add_listing(name, venue.ctx.plugin_id)
    return kernel, venue, traders
