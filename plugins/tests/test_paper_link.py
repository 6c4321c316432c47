"""Whatever a connection loses, repeats or breaks, and whenever the kernel ends: our orders are the venue's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock_plugins.venues.paper import PaperConfig, PaperVenue
from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import MARKETS, MemoryLink
from penstock_plugins.venues.paper_market import PaperMarket
from penstock_plugins.venues.paper_orders import AdapterState
from penstock_plugins.venues.paper_protocol import VERSION, Hello, Unsent, frame_of, items_of
from penstock_sdk.energy import announced_ns
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ConnectionState,
    ConnectionStatus,
    ContractDefinition,
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    PluginFault,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    SessionReady,
    Side,
    ZoneDefinition,
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


@pytest.fixture
def desk() -> Iterator[Desk]:
    yield Desk()
    MARKETS.clear()


def kinds(desk: Desk, order: Order) -> list[tuple[str, int]]:
    """Return (kind, reason) of what was reported on an order."""
    return [(ReportKind(r.kind).name, r.reason) for r in desk.all_reports() if r.order_id == order.order_id]


def test_a_listing_is_defined_once_and_its_zone_too(desk: Desk) -> None:
    desk.link.cut(desk.kernel.moment.now_ns)
    desk.wait(5)
    assert [len(desk.kernel.of(cls)) for cls in (ZoneDefinition, ContractDefinition, ListingDefinition)] == [1, 24, 24]
    listing = desk.kernel.of(ListingDefinition)[0]
    assert (listing.name, listing.venue_id) == ("paper DE-LU H 2026-03-10 00", desk.venue.ctx.plugin_id)
    assert (listing.interval_count, listing.cash_micro_per_lot_tick) == (4, 1_000)


def test_an_order_that_never_came_is_rejected_and_not_taken_when_it_comes_late(desk: Desk) -> None:
    desk.link.lose_out = 1
    order = desk.order(Side.BUY, 5_990, 3)
    desk.crash(forgetting=False)
    desk.wait(2)
    assert kinds(desk, order) == [("REJECTED", Reason.UNKNOWN_ORDER)]
    assert desk.kernel.of(Reconciled)[-1] == msgspec.structs.replace(
        desk.kernel.of(Reconciled)[-1], epoch=2, confirmed=0, corrected=1, foreign=0
    )
    late = msgspec.structs.replace(order, listing_id=1)
    desk.market.receive(desk.link._connection, late, desk.market.now_ns)
    desk.wait(2)
    assert desk.open_there() == set()
    assert desk.filled() == {}


@pytest.mark.parametrize("forgetting", [False, True])
def test_fills_and_cancels_of_the_gap_are_told_once_and_counted(desk: Desk, forgetting: bool) -> None:
    part, whole, stays = (desk.order(Side.BUY, price_ticks, 4) for price_ticks in (5_993, 5_994, 5_992))
    desk.wait(1)
    desk.market.trade(1, Side.SELL, 5_993, 1)
    desk.wait(1)
    desk.market.trade(1, Side.SELL, 5_993, 5)
    desk.crash(forgetting=forgetting)
    desk.wait(2)
    assert desk.filled() == {whole.order_id: 4, part.order_id: 2} == desk.dealt()
    (answer,) = desk.kernel.of(Reconciled)
    assert (answer.confirmed, answer.corrected, answer.foreign) == (1, 2, 0)
    assert {part.order_id, stays.order_id} == desk.open_there() == set(desk.kernel.desk.open)


def test_orders_in_our_name_that_we_do_not_know_are_cancelled_and_told(desk: Desk) -> None:
    stranger = desk.market.connect()
    desk.market.receive(stranger, Hello(VERSION, CONFIG.account), desk.market.now_ns)
    order = Order(77, 1, int(IntentAction.NEW), Side.BUY, OrderKind.LIMIT, price_ticks=5_000, qty_lots=1)
    desk.market.receive(stranger, order, desk.market.now_ns)
    assert desk.open_there() == {77}
    desk.crash(forgetting=False)
    desk.wait(2)
    assert desk.open_there() == set()
    assert desk.kernel.of(Reconciled)[-1].foreign == 1
    desk.market.receive(stranger, msgspec.structs.replace(order, order_id=78), desk.market.now_ns)
    desk.link.cut(desk.kernel.moment.now_ns)
    desk.wait(2)
    assert desk.open_there() == set()
    assert [alert.code for alert in desk.kernel.of(Alert)].count("venue.foreign_orders") == 2


def test_without_a_connection_new_orders_are_rejected_and_cancels_wait(desk: Desk) -> None:
    order = desk.order(Side.BUY, 5_990, 3)
    desk.wait(1)
    desk.link.reachable = False
    desk.link.cut(desk.kernel.moment.now_ns)
    early = desk.order(Side.BUY, 5_991, 3)  # nobody has heard yet that the connection is gone
    desk.wait(2)
    late = desk.order(Side.BUY, 5_992, 3)
    desk.kernel.feed(desk.trader.cancel(order.order_id), producer="trader")
    desk.wait(2)
    assert kinds(desk, early) == kinds(desk, late) == [("REJECTED", Reason.RECONCILING)]
    assert desk.open_there() == {order.order_id}
    desk.link.reachable = True
    desk.wait(2)
    assert kinds(desk, order)[-1] == ("CANCELLED", Reason.NONE)
    alerts = [(alert.code, alert.cleared) for alert in desk.kernel.of(Alert)]
    assert alerts == [("venue.disconnected", False), ("venue.disconnected", True)]
    assert [state.status for state in desk.kernel.of(ConnectionState)][-3:] == [
        ConnectionStatus.DOWN, ConnectionStatus.CONNECTING, ConnectionStatus.UP,
    ]  # fmt: skip


@pytest.mark.parametrize("forgetting", [False, True])
def test_a_market_that_forgot_our_orders_ends_them(desk: Desk, forgetting: bool) -> None:
    order = desk.order(Side.BUY, 5_990, 3)
    desk.wait(1)
    other = PaperMarket(QUIET, desk.kernel.moment.now_ns, "paper-2")
    desk.crash(forgetting=forgetting)
    desk.link.market = other
    desk.wait(2)
    assert kinds(desk, order)[-1] == ("CANCELLED", Reason.UNSOLICITED)
    report = desk.kernel.of(ExecutionReport)[-1]
    assert (report.listing_id, report.side) == (order.listing_id, Side.BUY)
    assert desk.kernel.desk.open == {}
    assert "venue.orders_lost" in [alert.code for alert in desk.kernel.of(Alert)]
    again = desk.order(Side.BUY, 5_990, 3)
    desk.wait(1)
    assert kinds(desk, again) == [("ACCEPTED", 0)]


def test_a_fill_of_an_order_that_nobody_knows_is_passed_on_for_somebody_to_see(desk: Desk) -> None:
    stranger = desk.market.connect()
    desk.market.receive(stranger, Hello(VERSION, CONFIG.account), desk.market.now_ns)
    order = Order(77, 1, int(IntentAction.NEW), Side.BUY, OrderKind.LIMIT, price_ticks=5_000, qty_lots=1)
    desk.market.receive(stranger, order, desk.market.now_ns)
    desk.market.trade(1, Side.SELL, 5_000, 1)
    desk.wait(2)
    assert [alert.code for alert in desk.kernel.of(Alert)] == ["order.unknown_report"]


def test_a_report_that_was_lost_is_sent_again_before_any_later_one(desk: Desk) -> None:
    order = desk.order(Side.BUY, 5_990, 5)
    desk.wait(0.1)
    desk.link.lose_in = 1
    for _ in range(3):
        desk.market.trade(1, Side.SELL, 5_990, 1)
        desk.wait(0.6)
    desk.wait(2)
    fills = [r for r in desk.all_reports() if r.kind == ReportKind.FILL]
    assert [(r.order_id, r.last_lots, r.leaves_lots) for r in fills] == [
        (order.order_id, 1, left) for left in (4, 3, 2)
    ]


def test_a_report_that_comes_twice_counts_once(desk: Desk) -> None:
    order = desk.order(Side.BUY, 5_990, 5)
    desk.wait(0.1)
    desk.link.repeat_in = 2
    desk.market.trade(1, Side.SELL, 5_990, 2)
    desk.market.trade(1, Side.SELL, 5_990, 3)
    desk.wait(1)
    assert desk.filled() == {order.order_id: 5}
    assert desk.kernel.of(Alert) == []


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_order_that_got_lost_on_an_unbroken_connection_is_asked_about(desk: Desk, cancelled: bool) -> None:
    desk.link.lose_out = 1
    order = desk.order(Side.BUY, 5_990, 5)
    if cancelled:
        desk.kernel.feed(desk.trader.cancel(order.order_id), producer="trader")
    desk.wait(1)
    assert set(desk.kernel.desk.open) == {order.order_id}
    desk.wait(4)
    assert kinds(desk, order) == [("REJECTED", Reason.UNKNOWN_ORDER)]
    assert desk.kernel.of(Alert) == []


def test_what_an_answer_has_told_is_not_told_again_by_late_reports(desk: Desk) -> None:
    order = desk.order(Side.BUY, 5_990, 5)
    desk.wait(1)
    desk.link.lose_in = 1_000
    desk.market.trade(1, Side.SELL, 5_990, 5)
    desk.link.lose_out = 1
    desk.order(Side.BUY, 5_991, 1)
    desk.wait(5)
    assert desk.filled() == {order.order_id: 5}
    desk.link.lose_in = 0
    desk.wait(5)
    assert desk.filled() == {order.order_id: 5}
    assert desk.kernel.of(Alert) == []


def test_an_order_that_an_earlier_process_may_have_sent_is_not_taken_for_unsent(desk: Desk) -> None:
    order = desk.order(Side.BUY, 5_990, 5)
    desk.wait(1)
    desk.venue._own += frame_of(Unsent(order.order_id))
    desk.wait(2)
    assert kinds(desk, order) == [("ACCEPTED", 0)]


def test_the_state_survives_a_snapshot(desk: Desk) -> None:
    desk.order(Side.BUY, 5_990, 3)
    desk.wait(1)
    other = desk._kernel(desk.kernel.moment.now_ns)
    before = desk.kernel.slots["paper"].plugin
    other.slots["paper"].plugin.restore(before.snapshot())
    assert other.slots["paper"].plugin._state == before._state
    assert before._state.synced


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

    @rule(what=st.sampled_from(["lose_out", "lose_in", "repeat_in"]), count=st.integers(1, 3), lots=st.integers(1, 4))
    def deal_under_fault(self, what: str, count: int, lots: int) -> None:
        desk = self.desk
        first, second = desk.order(Side.BUY, 5_996, 3), desk.order(Side.BUY, 5_995, 3)
        self.fault(what, count)
        desk.market.trade(1, Side.SELL, 5_990, lots)
        desk.kernel.feed(desk.trader.cancel(second.order_id), producer="trader")
        desk.wait(0.1)
        desk.market.trade(1, Side.SELL, 5_990, lots)
        desk.kernel.feed(desk.trader.cancel(first.order_id), producer="trader")

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
TestConnection.settings = settings(max_examples=80, stateful_step_count=25)


def test_a_question_that_comes_while_the_venue_is_asked_of_less_is_answered_of_its_own_orders() -> None:
    desk = Desk()
    order = desk.order(Side.BUY, -900, 3)
    desk.wait(1)
    desk.link.cut(desk.kernel.moment.now_ns)
    state = desk.venue._state
    asked = state.ask_id
    for _ in range(2_000):
        desk.wait(0.001)
        if state.ask_id > asked and not state.synced:
            break
    assert state.ask_id > asked
    assert not state.synced
    question = Reconcile(venue_id=desk.venue.ctx.plugin_id, epoch=9, orders=[(order.order_id, 0)])
    desk.kernel.feed(question, producer="trader")
    assert state.ask_id == asked + 2
    desk.wait(2)
    (answer,) = [each for each in desk.kernel.of(Reconciled) if each.epoch == 9]
    assert (answer.confirmed, answer.corrected, answer.foreign) == (1, 0, 0)
