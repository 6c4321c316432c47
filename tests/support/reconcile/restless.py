"""A strategy that keeps orders resting, cancels some, and lets some meet the market's quotes."""

from __future__ import annotations

from penstock_sdk.events import CheckVerdict, ExecutionReport, IntentAction, Order, OrderState, ReportKind, Side, Timer
from penstock_sdk.plugin import Outcome, RiskCheck, Strategy

STEP_NS = 10_000_000
RESTING_MAX = 20
LISTINGS = 4
MIDDLE_TICKS = 6_000


class Restless(Strategy):
    """Sends an order every 10 ms while fewer than twenty rest, and cancels one in three."""

    def on_start(self) -> Outcome:
        """Begin."""
        self.ctx.set_timer(self.ctx.now_ns + STEP_NS)

    def on_resume(self) -> Outcome:
        """Go on."""
        return self.on_start()

    def on_timer(self, _timer: Timer) -> Outcome:
        """Send or cancel."""
        self.ctx.set_timer(self.ctx.now_ns + STEP_NS)
        resting: list[int] = self.ctx.state.setdefault("resting", [])
        listings = self.ctx.listings()[-LISTINGS:]
        if not listings:
            return None
        if resting and (len(resting) >= RESTING_MAX or self.ctx.random.random() < 0.33):
            return self.cancel(resting[int(self.ctx.random.integers(len(resting)))])
        side = Side.BUY if self.ctx.random.random() < 0.5 else Side.SELL
        away = int(self.ctx.random.integers(100, 300))
        price_ticks = MIDDLE_TICKS - away if side == Side.BUY else MIDDLE_TICKS + away
        listing = listings[int(self.ctx.random.integers(len(listings)))]
        return self.intent(listing.listing_id, side, price_ticks, int(self.ctx.random.integers(1, 6)))

    def on_order(self, order: Order) -> None:
        """Know what may rest."""
        resting: list[int] = self.ctx.state.setdefault("resting", [])
        if order.action == IntentAction.NEW and order.state == OrderState.ROUTED:
            resting.append(order.order_id)

    def on_execution_report(self, report: ExecutionReport) -> None:
        """Forget what has ended."""
        over = report.kind in (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
        resting: list[int] = self.ctx.state.setdefault("resting", [])
        if (over or (report.kind == ReportKind.FILL and not report.leaves_lots)) and report.order_id in resting:
            resting.remove(report.order_id)


class AllPass(RiskCheck):
    """Lets every order pass."""

    def check_order(self, order: Order) -> CheckVerdict:
        """Return that it may."""
        return self.passed(order)
