"""A market small enough to read, to test one plugin in: a venue that does what it is told, a check that passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock_sdk.events import CheckVerdict, ExecutionReport, IntentAction, Liquidity, Order, Quote, ReportKind
from penstock_sdk.plugin import Outcome, Plugin, RiskCheck, Venue
from penstock_sdk.schema import Frame
from penstock_sdk.testing import SimKernel

GATE_NS = 3_600_000_000_000
SECOND_NS = 1_000_000_000


class ObedientVenue(Venue):
    """Accepts, cancels, and fills only when the test says so."""

    def on_order(self, order: Order) -> Outcome:
        kind = ReportKind.ACCEPTED if order.action == IntentAction.NEW else ReportKind.CANCELLED
        left = order.qty_lots if order.action == IntentAction.NEW else 0
        return ExecutionReport(order.order_id, order.listing_id, kind, order.side, leaves_lots=left)


class PassAll(RiskCheck):
    """Lets every order pass."""

    def check_order(self, order: Order) -> CheckVerdict:
        return self.passed(order)


class Bench:
    """A kernel with a venue, listings L1, L2, … and the plugins under test."""

    def __init__(self, *, listings: int = 1, check: bool = True, seed: int = 1) -> None:
        self.kernel = SimKernel(seed=seed)
        self.venue = self.kernel.add(ObedientVenue, "venue")
        if check:
            self.kernel.add(PassAll, "pass_all")
        self._wanted = listings

    def add(self, cls: type[Plugin], name: str, config: Any = None, **context: Any) -> Any:
        """Attach a plugin under test."""
        return self.kernel.add(cls, name, config, **context)

    def start(self) -> Bench:
        """Start, then list L1, L2, …: one quarter-hour after another, one gate for all."""
        self.kernel.start()
        for at in range(self._wanted):
            start_ns = GATE_NS + at * 900 * SECOND_NS
            self.kernel.add_listing(f"L{at + 1}", self.venue.ctx.plugin_id, start_ns=start_ns, gate_closure_ns=GATE_NS)
        return self

    def quote(self, at_s: float, *rows: tuple[int, int, int, int, int]) -> None:
        """Feed one frame of (listing, bid, bid lots, ask, ask lots)."""
        quotes = [Quote(i, 1, 1, 0, bid, bid_lots, ask, ask_lots) for i, bid, bid_lots, ask, ask_lots in rows]
        frame = Frame(Quote, Frame.of(quotes).array.copy())
        self.kernel.feed(frame, at_ns=round(at_s * SECOND_NS), producer="venue")

    def fill(self, order: Order, lots: int, at_ticks: int | None = None, liquidity: int = Liquidity.MAKER) -> None:
        """Let the venue fill some of an order."""
        held = self.kernel.desk.open[order.order_id]
        left = order.qty_lots - held.filled_lots - lots
        price_ticks = order.price_ticks if at_ticks is None else at_ticks
        report = ExecutionReport(
            order.order_id, order.listing_id, ReportKind.FILL, order.side, liquidity, 0, price_ticks, lots, left,
            strategy_id=order.strategy_id,
        )  # fmt: skip
        self.kernel.feed(report, producer="venue")

    def orders(self, state: int | None = None) -> list[Order]:
        """Return the orders so far, all or those told in one state."""
        return [order for order in self.kernel.of(Order) if state is None or order.state == state]

    def working(self, listing_id: int = 0) -> list[tuple[int, int, int]]:
        """Return (side, price, lots left) of what works now, of one listing or all."""
        held = [h for h in self.kernel.desk.open.values() if listing_id in (0, h.order.listing_id)]
        return sorted((h.order.side, h.order.price_ticks, h.order.qty_lots - h.filled_lots) for h in held)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Return what builds a `Bench`."""
    return Bench
