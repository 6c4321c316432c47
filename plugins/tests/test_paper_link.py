"""Whatever a connection loses, repeats or breaks, and whenever the kernel ends: our orders are the venue's."""

from __future__ import annotations

from collections import Counter
from datetime import date

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock_plugins.venues.paper import PaperConfig, PaperVenue
from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import MARKETS, MemoryLink
from penstock_plugins.venues.paper_market import PaperMarket
from penstock_plugins.venues.paper_orders import AdapterState
from penstock_plugins.venues.paper_protocol import items_of
from penstock_sdk.energy import announced_ns
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Order,
    OrderState,
    PluginFault,
    ReportKind,
    RunHeader,
    SessionReady,
    Side,
)
from penstock_sdk.golden import matching
from penstock_sdk.plugin import RiskCheck, Strategy
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import Origin

START_NS = announced_ns("DE-LU", date(2026, 3, 10))
SECOND_NS = 1_000_000_000
QUIET = MarketConfig(day="2026-03-10", products=("H",), requotes_per_s=0, takers_per_s=0, order_capacity=256)
CONFIG = PaperConfig(address="memory:test", idle_ms=500)


class PassAll(RiskCheck):
    def check_order(self, order: Order) -> CheckVerdict:
        return self.passed(order)


class FaultyLink(MemoryLink):
    """Loses and repeats what it is told to."""

    def __init__(self, market: PaperMarket) -> None:
        super().__init__(market)
        self.lose_out = self.lose_in = self.repeat_out = self.repeat_in = 0
        self.sent: Counter[int] = Counter()
        """New orders that the adapter has sent, by id."""

    def send(self, data: bytes, now_ns: int) -> bool:
        for _, item, _ in items_of(data):
            if isinstance(item, Order) and item.action == IntentAction.NEW:
                self.sent[item.order_id] += 1
        if self.lose_out and self._connection is not None:
            self.lose_out -= 1
            return True
        if self.repeat_out:
            self.repeat_out -= 1
            super().send(data, now_ns)
        return super().send(data, now_ns)

    def receive(self, now_ns: int) -> bytes:
        out = bytearray()
        for number, _, raw in items_of(super().receive(now_ns)):
            if number and self.lose_in:
                self.lose_in -= 1
                continue
            out += raw
            if number and self.repeat_in:
                self.repeat_in -= 1
                out += raw
        return bytes(out)


class Desk:
    """A simulated kernel with one strategy, at a practice market that outlives it."""

    def __init__(self, market: PaperMarket | None = None) -> None:
        self.market = market or PaperMarket(QUIET, START_NS)
        self.link = FaultyLink(self.market)
        MARKETS["test"] = lambda: self.link
        self.epoch = 1
        self.kernel, self.told = self._kernel(START_NS), [0]
        self.kernel.start()
        self.reports: list[ExecutionReport] = []
        self.alerts: list[Alert] = []
        self.kernel.feed(SessionReady(epoch=1))
        self.wait(1)

    def _kernel(self, now_ns: int) -> SimKernel:
        kernel = SimKernel(start_ns=now_ns)
        self.venue = kernel.add(PaperVenue, "paper", CONFIG)
        kernel.add(PassAll, "pass")
        self.trader = kernel.add(Strategy, "trader")
        return kernel

    def wait(self, seconds: float) -> None:
        self.kernel.run_until(self.kernel.moment.now_ns + round(seconds * SECOND_NS))

    def order(self, side: int, price_ticks: int, lots: int) -> Order:
        listing_id = self.venue.ctx.listings()[0].listing_id
        self.kernel.feed(self.trader.intent(listing_id, side, price_ticks, lots), producer="trader")
        return self.kernel.of(Order)[-1]

    def crash(self, *, forgetting: bool) -> None:
        """Have another kernel go on with this one's state; the adapter's own may be lost, too."""
        old = self.kernel
        self.link.cut(old.moment.now_ns)
        self.keep()
        state = old.snapshot()
        self.epoch += 1
        self.kernel = self._kernel(old.moment.now_ns)
        self.kernel.wire()
        self.kernel.restore(state)
        if forgetting:
            self.venue._state = AdapterState()
            self.kernel.timers.drop({self.venue.ctx.plugin_id})
        header = RunHeader(
            epoch=self.epoch, seed=0, clock_kind="sim", started_ns=0, deployment="", versions={}, cause="test"
        )
        kernel = self.kernel
        kernel.cascade.run(header, Origin.KERNEL, kernel.cascade.kernel_slot)
        kernel._settle()
        kernel.cascade.run(SessionReady(epoch=self.epoch), Origin.KERNEL, kernel.cascade.kernel_slot)
        kernel._settle()

    def keep(self) -> None:
        """Keep what a kernel that ends has told."""
        self.reports += self.kernel.of(ExecutionReport)
        self.alerts += self.kernel.of(Alert)

    def all_reports(self) -> list[ExecutionReport]:
        return [*self.reports, *self.kernel.of(ExecutionReport)]

    def all_alerts(self) -> list[Alert]:
        return [*self.alerts, *self.kernel.of(Alert)]

    def filled(self) -> dict[int, int]:
        """Return the lots that the kernel was told of, by order."""
        lots: Counter[int] = Counter()
        for report in self.all_reports():
            if report.kind == ReportKind.FILL:
                lots[report.order_id] += report.last_lots
        return dict(lots)

    def dealt(self) -> dict[int, int]:
        """Return the same as the market has it."""
        account = self.market.accounts.get(CONFIG.account)
        orders = account.orders.values() if account is not None else ()
        return {held.order_id: held.filled_lots for held in orders if held.filled_lots}

    def open_there(self) -> set[int]:
        account = self.market.accounts.get(CONFIG.account)
        return {held.order_id for held in account.open_orders()} if account is not None else set()


class Connection(RuleBasedStateMachine):
    """Orders, strangers who deal with them, faults of the connection, crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()

    @rule(side=st.sampled_from([Side.BUY, Side.SELL]), offset=st.integers(1, 5), lots=st.integers(1, 9))
    def order(self, side: int, offset: int, lots: int) -> None:
        self.desk.order(side, 6_000 - offset if side == Side.BUY else 6_000 + offset, lots)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.desk.kernel.desk.open:
            order_id = data.draw(st.sampled_from(sorted(self.desk.kernel.desk.open)))
            self.desk.kernel.feed(self.desk.trader.cancel(order_id), producer="trader")

    @rule(side=st.sampled_from([Side.BUY, Side.SELL]), lots=st.integers(1, 12))
    def stranger(self, side: int, lots: int) -> None:
        self.desk.market.trade(1, side, 6_010 if side == Side.BUY else 5_990, lots)

    @rule(what=st.sampled_from(["lose_out", "lose_in", "repeat_out", "repeat_in"]), count=st.integers(1, 3))
    def fault(self, what: str, count: int) -> None:
        setattr(self.desk.link, what, count)

    @rule(losing=st.booleans(), away_s=st.sampled_from([0, 1, 5]))
    def cut(self, losing: bool, away_s: int) -> None:
        desk = self.desk
        desk.link.cut(desk.kernel.moment.now_ns, losing=losing)
        if away_s:
            desk.link.reachable = False
            desk.wait(away_s)
            desk.link.reachable = True

    @rule(forgetting=st.booleans())
    def crash(self, forgetting: bool) -> None:
        self.desk.crash(forgetting=forgetting)

    @rule(seconds=st.sampled_from([0.01, 0.6, 3]))
    def wait(self, seconds: float) -> None:
        self.desk.wait(seconds)

    @rule()
    def calm(self) -> None:
        """Without faults for a while, both sides agree on everything."""
        desk = self.desk
        desk.link.lose_out = desk.link.lose_in = desk.link.repeat_out = desk.link.repeat_in = 0
        desk.wait(8)
        assert desk.filled() == desk.dealt()
        assert set(desk.kernel.desk.open) == desk.open_there()
        assert not desk.kernel.desk.reconciling
        held = desk.kernel.desk.open.values()
        assert all(h.state in (OrderState.WORKING, OrderState.PARTLY_FILLED) for h in held)

    @invariant()
    def nothing_twice_and_nothing_odd(self) -> None:
        desk = self.desk
        assert all(count == 1 for count in desk.link.sent.values())
        dealt = desk.dealt()
        assert all(lots <= dealt.get(order_id, 0) for order_id, lots in desk.filled().items())
        assert [alert for alert in desk.all_alerts() if alert.code.startswith("order.")] == []
        assert desk.kernel.of(PluginFault) == []
        for books in desk.market._books:
            matching.check(books.state)

    def teardown(self) -> None:
        self.desk.link.reachable = True
        self.calm()


TestConnection = Connection.TestCase
TestConnection.settings = settings(max_examples=60, stateful_step_count=30)
