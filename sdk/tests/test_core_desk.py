"""The desk refuses by default: a lost check, a lost venue, a wrong sender, a command that nobody knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ExecutionReport,
    Limit,
    LimitKind,
    Mark,
    Order,
    OrderIntent,
    OrderState,
    PluginFault,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    SessionReady,
)
from penstock_sdk.plugin import ComplianceCheck, Operations, Outcome, Strategy, Venue
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import Obedient, OnQuote, PassAll, Trader, market


class Rules(ComplianceCheck):
    def check_order(self, order: Order) -> CheckVerdict:
        if order.price_ticks == 13:
            raise ValueError("13")
        return self.passed(order)


class Silent(Venue):
    def on_order(self, order: Order) -> None:
        return None


class Buys(Trader):
    def on_quote(self, quote: Quote) -> Outcome:
        return self.buy(quote.listing_id, quote.bid_ticks, 4)


def desk_of(*plugins: tuple[type[Any], str], venue: type[Venue] = Silent, **options: Any) -> SimKernel:
    """Return a started kernel with a venue, these plugins, the strategy `buys`, and listing 1."""
    kernel = SimKernel(**options)
    made = kernel.add(venue, "venue")
    for cls, name in plugins:
        kernel.add(cls, name)
    kernel.add(Buys, "buys")
    kernel.start()
    kernel.add_listing("L1", made.ctx.plugin_id)
    return kernel


def reasons(kernel: SimKernel) -> list[int]:
    return [order.reason for order in kernel.of(Order)]


def report(kernel: SimKernel, kind: int, lots: int = 0) -> None:
    kernel.feed(ExecutionReport(kernel.of(Order)[0].order_id, 1, kind, last_lots=lots), producer="venue")


def test_without_a_risk_check_every_order_is_refused() -> None:
    kernel = desk_of((Rules, "rules"))
    kernel.feed(Quote(1, bid_ticks=5))
    assert reasons(kernel) == [Reason.NO_CHECK]


def test_a_strategy_alone_may_send_orders() -> None:
    class Sneaks(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            buys_id = 3
            return OrderIntent(1, 1, 1, 1, 0, 100, 1, 1, strategy_id=buys_id)

    kernel = desk_of((PassAll, "risk"), (Sneaks, "sneaks"))
    kernel.feed(Quote(1, bid_ticks=5))
    assert [order.state for order in kernel.of(Order)] == [OrderState.REFUSED, OrderState.ROUTED]
    assert reasons(kernel)[0] == Reason.NOT_ALLOWED


@pytest.mark.parametrize("lost", ["risk", "rules"])
def test_a_check_that_is_lost_refuses_every_order_and_holds_back_no_cancel(lost: str) -> None:
    kernel = desk_of((PassAll, "risk"), (Rules, "rules"))
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.command("quarantine", target=lost)
    kernel.feed(Quote(1, bid_ticks=5))
    assert reasons(kernel) == [Reason.NONE, Reason.NO_CHECK]
    kernel.command("cancel_all")
    assert kernel.of(Order)[-1].state == OrderState.PENDING_CANCEL


def test_a_check_is_still_missed_after_a_restart() -> None:
    kernel = desk_of((PassAll, "risk"), (Rules, "rules"))
    kernel.command("quarantine", target="rules")
    again = desk_of((PassAll, "risk"), (Rules, "rules"))
    again.restore(kernel.snapshot())
    again.feed(Quote(1, bid_ticks=5))
    assert again.of(Order)[-1].reason == Reason.NO_CHECK


def test_a_check_that_fails_too_often_is_quarantined_and_trading_ends() -> None:
    kernel = desk_of((PassAll, "risk"), (Rules, "rules"), faults_max=2)
    for ticks in (13, 13, 5):
        kernel.feed(Quote(1, bid_ticks=ticks))
    assert reasons(kernel) == [Reason.CHECK_FAILED, Reason.CHECK_FAILED, Reason.NO_CHECK]
    assert [(f.name, f.handler) for f in kernel.of(PluginFault)] == [("rules", "check_order")] * 2


def test_no_order_goes_to_a_venue_that_does_not_run() -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.add_listing("L2", 999)
    kernel.feed(Quote(2, bid_ticks=5))
    kernel.command("quarantine", target="venue")
    kernel.feed(Quote(1, bid_ticks=5))
    assert reasons(kernel) == [Reason.UNKNOWN_VENUE] * 2
    assert not kernel.desk.open


def test_the_same_intent_twice_is_a_duplicate_but_one_refused_in_a_pause_may_come_again() -> None:
    class Repeats(Strategy):
        def on_quote(self, quote: Quote) -> Outcome:
            self.ctx.state["intents"] = 6
            return self.buy(1, 5, 1)

    kernel = desk_of((PassAll, "risk"), (Repeats, "repeats"))
    kernel.command("pause", target="repeats")
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.command("resume", target="repeats")
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(Quote(1, bid_ticks=5))
    mine = [o.reason for o in kernel.of(Order) if o.intent_id == 7]
    assert mine == [Reason.PAUSED, Reason.NONE, Reason.DUPLICATE]


@pytest.mark.parametrize(
    ("bid", "ask", "both"),
    [(5, 7, 12), (-5, -7, -12), (ABSENT, 7, ABSENT), (7, ABSENT, ABSENT), (2**62, 2**62, ABSENT)],
)
@pytest.mark.parametrize("framed", [False, True])
def test_an_order_bears_the_mid_that_it_met(bid: int, ask: int, both: int, framed: bool) -> None:
    kernel = desk_of((PassAll, "risk"))
    quote = Quote(1, bid_ticks=bid, ask_ticks=ask)
    kernel.feed(Frame.of([Quote(7), quote]) if framed else quote)
    routed = [order for order in kernel.of(Order) if order.listing_id == 1]
    assert [order.arrival_half_ticks for order in routed] == [both]


def test_two_refused_cancels_leave_a_partly_filled_order_as_it_is() -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.feed(Quote(1, bid_ticks=5))
    report(kernel, ReportKind.FILL, 1)
    for _ in range(2):
        kernel.command("cancel_all")
    report(kernel, ReportKind.CANCEL_REJECTED)
    report(kernel, ReportKind.CANCEL_REJECTED)
    (held,) = kernel.desk.open.values()
    assert held.state == OrderState.PARTLY_FILLED
    assert not kernel.of(Alert)


def test_a_restart_puts_unanswered_orders_in_doubt_and_never_repeats_an_id() -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(Quote(1, bid_ticks=5))
    report(kernel, ReportKind.ACCEPTED)
    header = RunHeader(epoch=2, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={})
    kernel.feed(header)
    kernel.feed(SessionReady(epoch=2))
    kernel.feed(Quote(1, bid_ticks=5))
    first, second, doubt, third = kernel.of(Order)
    assert (doubt.order_id, doubt.state) == (second.order_id, OrderState.IN_DOUBT)
    assert [order.order_id >> 40 for order in (first, second, third)] == [1, 1, 2]


def test_orders_at_an_embedded_venue_are_never_in_doubt() -> None:
    class Inside(Silent):
        embedded = True

    kernel = desk_of((PassAll, "risk"), venue=Inside)
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(RunHeader(epoch=2, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={}))
    kernel.feed(SessionReady(epoch=2))
    assert [order.state for order in kernel.of(Order)] == [OrderState.ROUTED]


class Asked(Silent):
    """A venue that is asked where our orders stand, and answers when it is told to."""

    def on_reconcile(self, question: Reconcile) -> Outcome:
        self.ctx.state["asked"] = [list(order) for order in question.orders]
        self.ctx.state["epoch"] = question.epoch
        return None

    def on_mark(self, mark: Mark) -> Outcome:
        return Reconciled(venue_id=self.ctx.plugin_id, epoch=self.ctx.state["epoch"], foreign=mark.mark_ticks)


def test_no_new_order_goes_to_a_venue_before_it_has_said_where_the_old_ones_stand() -> None:
    kernel = desk_of((PassAll, "risk"), venue=Asked)
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(RunHeader(epoch=2, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={}))
    kernel.feed(SessionReady(epoch=2))
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(Mark(1, mark_ticks=3))
    kernel.feed(Quote(1, bid_ticks=5))
    first, doubt, refused, last = kernel.of(Order)
    assert kernel.slots["venue"].plugin.ctx.state["asked"] == [[first.order_id, 0]]
    assert (doubt.state, doubt.order_id) == (OrderState.IN_DOUBT, first.order_id)
    assert (refused.state, refused.reason) == (OrderState.REFUSED, Reason.RECONCILING)
    assert last.state == OrderState.ROUTED
    assert [(alert.code, alert.met.split()[0]) for alert in kernel.of(Alert)] == [("venue.foreign_orders", "3")]


def test_an_answer_to_an_older_question_opens_nothing() -> None:
    kernel = desk_of((PassAll, "risk"), venue=Asked)
    for epoch in (2, 3):
        kernel.feed(RunHeader(epoch=epoch, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={}))
        kernel.feed(SessionReady(epoch=epoch))
    kernel.slots["venue"].plugin.ctx.state["epoch"] = 2
    kernel.feed(Mark(1, mark_ticks=0))
    assert kernel.desk.reconciling


def test_a_venue_cannot_report_on_the_orders_of_another() -> None:
    class Lies(Silent):
        def on_mark(self, mark: Mark) -> Outcome:
            return ExecutionReport(self.ctx.state["order"], 1, ReportKind.FILL, last_ticks=1, last_lots=4)

    kernel = desk_of((PassAll, "risk"), (Lies, "lies"))
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.slots["lies"].plugin.ctx.state["order"] = kernel.of(Order)[0].order_id
    kernel.feed(Mark(1))
    assert [alert.code for alert in kernel.of(Alert)] == ["order.unknown_report"]
    assert not kernel.of(ExecutionReport)
    assert len(kernel.desk.open) == 1


def test_kill_and_pause_cancel_what_they_stop_and_hold_after_a_restart() -> None:
    kernel, venue, (one, two) = market("one", "two", trader=Buys)
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.command("pause", target="one")
    assert [o.strategy_id for o in venue.heard[2:]] == [one.ctx.plugin_id]
    kernel.command("kill")
    assert [o.strategy_id for o in venue.heard[3:]] == [two.ctx.plugin_id]
    again, _, _ = market("one", "two", trader=Buys)
    again.restore(kernel.snapshot())
    again.feed(Quote(1, bid_ticks=5))
    again.command("unkill")
    again.feed(Quote(1, bid_ticks=5))
    mine = {slot.plugin_id: name for name, slot in again.slots.items()}
    assert [(mine[o.strategy_id], o.reason) for o in again.of(Order)] == [
        ("one", Reason.KILL_SWITCH), ("two", Reason.KILL_SWITCH), ("one", Reason.PAUSED), ("two", Reason.NONE),
    ]  # fmt: skip


def test_a_plugin_may_pull_the_kill_switch_but_only_an_operator_puts_it_back() -> None:
    class Guards(Operations):
        def on_mark(self, mark: Mark) -> Outcome:
            return Limit(LimitKind.KILL, value=mark.mark_ticks)

    kernel = desk_of((PassAll, "risk"), (Guards, "guards"))
    kernel.feed(Mark(1, mark_ticks=1))
    kernel.feed(Mark(1, mark_ticks=0))
    assert [alert.code for alert in kernel.of(Alert)] == ["limit.not_allowed"]
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.command("unkill")
    kernel.feed(Quote(1, bid_ticks=5))
    assert reasons(kernel) == [Reason.KILL_SWITCH, Reason.NONE]
    assert kernel.limits.values[LimitKind.KILL, 0, 0] == 0


@pytest.mark.parametrize(
    ("command", "target", "code"),
    [
        ("kil", "", "command.unknown"),
        ("quarantine", "nobody", "command.unknown"),
        ("pause", "nobody", "command.unknown_target"),
        ("quarantine", "risk", "plugin.quarantined"),
        ("kill", "", None),
    ],
)
def test_a_command_that_does_nothing_says_so(command: str, target: str, code: str | None) -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.command(command, target=target)
    assert [alert.code for alert in kernel.of(Alert)] == ([code] if code else [])


def test_the_arrays_of_quotes_are_left_alone() -> None:
    kernel = desk_of((PassAll, "risk"))
    array = np.zeros(2, Quote.layout.dtype)
    array["listing_id"] = 1
    array["bid_ticks"] = [ABSENT, 3]
    kernel.feed(Frame(Quote, array.copy()))
    assert [quote.bid_ticks for quote in kernel.of(Quote)] == [ABSENT, 3]


def test_an_obedient_market_answers_order_by_order() -> None:
    kernel = desk_of((PassAll, "risk"), venue=Obedient)
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.command("cancel_all")
    assert [r.kind for r in kernel.slots["buys"].plugin.reports] == [ReportKind.ACCEPTED, ReportKind.CANCELLED]
    assert not kernel.desk.open


def test_an_operator_sets_a_limit_by_name_and_a_bad_one_is_told() -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.command("limit", target="buys", argument="position_max_lots=5")
    (limit,) = kernel.of(Limit)
    assert (limit.kind, limit.strategy_id, limit.value) == (
        LimitKind.POSITION_MAX_LOTS,
        kernel.slots["buys"].plugin_id,
        5,
    )
    for argument in ("position_max_lots", "position_max_lots=many", "no_such=3", "unknown=3"):
        kernel.command("limit", target="buys", argument=argument)
    assert [alert.code for alert in kernel.of(Alert)] == ["command.bad_limit"] * 4
    assert len(kernel.of(Limit)) == 1


def test_a_plugin_cannot_cancel_the_orders_of_another() -> None:
    kernel = desk_of((PassAll, "risk"), (Trader, "other"))
    kernel.feed(Quote(1, bid_ticks=-5, bid_lots=1))
    (number,) = kernel.desk.open
    owner = kernel.slots["buys"].plugin_id
    for intent in (OrderIntent(1, 2, order_id=number, strategy_id=owner), OrderIntent(0, 4, strategy_id=0)):
        kernel.feed(intent, producer="other")
    assert [alert.code for alert in kernel.of(Alert)] == ["order.foreign_cancel"] * 2
    assert kernel.desk.open[number].state == OrderState.ROUTED


def test_a_cancel_by_command_goes_out_again() -> None:
    kernel = desk_of((PassAll, "risk"))
    kernel.feed(Quote(1, bid_ticks=-5, bid_lots=1))
    kernel.command("cancel_all")
    kernel.command("kill")
    assert [order.action for order in kernel.of(Order)] == [1, 2, 2]
