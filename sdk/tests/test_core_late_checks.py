"""An order whose check answers later waits, and leaves only by that check's own word, in time, with nothing stopped."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    IntentAction,
    Order,
    OrderState,
    Quote,
    Reason,
    RunHeader,
    SessionReady,
)
from penstock_sdk.plugin import ComplianceCheck, RiskCheck
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import Obedient, Trader

PENDING, ROUTED, REFUSED = OrderState.PENDING_CHECK, OrderState.ROUTED, OrderState.REFUSED


class Later(RiskCheck):
    answers_later = True
    answer_ms = 50
    questions: list[int]

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.questions = []

    def check_order(self, order: Order) -> Any:
        assert (order.state, order.venue_id) == (PENDING, 1)
        self.questions.append(order.order_id)


class LaterToo(Later, ComplianceCheck):
    kind = "compliance"


class Buys(Trader):
    def on_quote(self, quote: Quote) -> Any:
        return self.buy(1, quote.bid_ticks, 4)


def desk(*checks: type[Any], clock: str = "wall") -> SimKernel:
    """Return a started kernel whose checks answer later, with one order sent."""
    kernel = SimKernel()
    kernel.add(Obedient, "venue")
    for number, cls in enumerate(checks):
        kernel.add(cls, f"check{number}")
    kernel.add(Buys, "buys")
    header = RunHeader(epoch=1, seed=0, clock_kind=clock, started_ns=0, deployment="", versions={})
    kernel.feed(header)
    kernel.start()
    kernel.add_listing("L1", 1)
    kernel.feed(Quote(1, bid_ticks=5, ask_ticks=7))
    return kernel


def states(kernel: SimKernel) -> list[tuple[int, int]]:
    return [(order.state, order.reason) for order in kernel.of(Order)]


def answer(kernel: SimKernel, check: str = "check0", result: int = CheckResult.PASSED, reason: int = 0) -> None:
    order_id = kernel.of(Order)[0].order_id
    check_id = kernel.slots[check].plugin_id
    kernel.feed(CheckVerdict(order_id, result, 0, reason, check_id), producer=check)


def test_the_order_waits_unheard_by_its_venue_and_leaves_when_the_check_has_passed_it() -> None:
    kernel = desk(Later)
    assert states(kernel) == [(PENDING, 0)]
    assert kernel.slots["venue"].plugin.heard == []
    assert [order.state for order in kernel.slots["buys"].plugin.orders] == [PENDING]
    kernel.feed(Quote(1, bid_ticks=9, ask_ticks=11), producer="venue")  # the market has moved meanwhile
    answer(kernel)
    routed = kernel.of(Order)[-1]
    assert (routed.state, routed.arrival_half_ticks) == (ROUTED, 20)
    assert [order.order_id for order in kernel.slots["venue"].plugin.heard] == [routed.order_id]
    assert len(kernel.timers) == 1  # that of the second order


def test_the_next_check_is_asked_when_the_one_before_has_passed() -> None:
    kernel = desk(Later, LaterToo)
    second = kernel.slots["check1"].plugin
    assert second.questions == []
    answer(kernel)
    assert len(second.questions) == 1 and states(kernel) == [(PENDING, 0)]
    answer(kernel, "check1", CheckResult.REFUSED, Reason.MARKET_ABUSE)
    assert states(kernel)[1:] == [(REFUSED, Reason.MARKET_ABUSE)]
    assert kernel.desk.refused == 1 and kernel.desk.orders == 0


def test_a_check_that_does_not_answer_in_time_refuses_and_its_late_word_is_told() -> None:
    kernel = desk(Later)
    kernel.run_until(49_999_999)
    assert states(kernel) == [(PENDING, 0)]
    kernel.run_until(50_000_000)
    assert states(kernel)[1:] == [(REFUSED, Reason.CHECK_TIMEOUT)]
    answer(kernel)
    [alert] = kernel.of(Alert)
    assert (alert.code, alert.subject) == ("check.unexpected_verdict", "check0")
    assert alert.met == f"verdict passed in the name of check0 on order {kernel.of(Order)[0].order_id}"
    assert len(states(kernel)) == 2


def test_neither_another_s_word_nor_a_second_one_lets_it_leave() -> None:
    kernel = desk(Later, LaterToo)
    answer(kernel, "check1")
    kernel.feed(CheckVerdict(kernel.of(Order)[0].order_id, 1, 0, 0, kernel.slots["check0"].plugin_id), producer="buys")
    answer(kernel)
    answer(kernel)
    assert states(kernel) == [(PENDING, 0)]
    assert len(kernel.of(Alert)) == 3
    answer(kernel, "check1")
    assert states(kernel)[-1] == (ROUTED, 0)


@pytest.mark.parametrize(
    ("command", "state", "reason"),
    [
        ("kill", REFUSED, Reason.KILL_SWITCH), ("pause", REFUSED, Reason.PAUSED),
        ("cancel_all", OrderState.CANCELLED, Reason.NONE),
    ],
)  # fmt: skip
def test_what_is_stopped_while_it_waits_does_not_leave(command: str, state: int, reason: int) -> None:
    kernel = desk(Later)
    kernel.command(command)
    assert states(kernel)[1:] == [(state, reason)]
    answer(kernel)
    assert [alert.code for alert in kernel.of(Alert)] == ["check.unexpected_verdict"]
    assert kernel.slots["venue"].plugin.heard == [] and len(kernel.timers) == 0


def test_a_strategy_cancels_what_waits() -> None:
    kernel = desk(Later)
    order_id = kernel.of(Order)[0].order_id
    kernel.feed(kernel.slots["buys"].plugin.cancel(order_id), producer="buys")
    ended = kernel.of(Order)[-1]
    assert (ended.action, ended.state, ended.venue_id) == (IntentAction.CANCEL, OrderState.CANCELLED, 0)
    assert not kernel.desk.late.waiting


def test_after_a_restart_nobody_was_asked_so_it_is_refused() -> None:
    kernel = desk(Later)
    again = SimKernel()
    again.add(Obedient, "venue")
    again.add(Later, "check0")
    again.add(Buys, "buys")
    again.wire()
    again.restore(kernel.snapshot())
    assert len(again.desk.late.waiting) == 1
    again.feed(SessionReady(epoch=1))
    assert states(again)[-1] == (REFUSED, Reason.CHECK_TIMEOUT)
    assert len(again.timers) == 0


def test_in_simulated_time_a_check_that_does_not_answer_at_once_fails() -> None:
    kernel = desk(Later, clock="sim")
    assert states(kernel) == [(REFUSED, Reason.CHECK_FAILED)]
