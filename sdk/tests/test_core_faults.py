"""A plugin that raises, returns nonsense or floods is counted, named and quarantined; the others go on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.core.faults import TEXT_MAX, error_text, shown
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    Mark,
    Order,
    OrderState,
    PluginFault,
    PluginState,
    PluginStatus,
    Quote,
    ReportKind,
    Severity,
    TaskResult,
    Timer,
    Trade,
)
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import Origin
from sdk.tests.core_toys import Obedient, OnQuote, PassAll, Trader, headers, market, quote, quotes, told


def started(answer: Any, **options: Any) -> tuple[SimKernel, OnQuote]:
    """Return a kernel whose first plugin answers quotes so, and a second that only listens."""

    class Talks(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            return answer(quote)  # type: ignore[no-any-return]

    kernel = SimKernel(**options)
    kernel.add(Talks, "talks")
    listens = kernel.add(OnQuote, "listens")
    kernel.start()
    return kernel, listens


def raises(quote: Quote) -> None:
    raise ZeroDivisionError(f"listing {quote.listing_id}")


def quarantined(kernel: SimKernel) -> list[str]:
    return [state.name for state in kernel.of(PluginState) if state.status == PluginStatus.QUARANTINED]


def test_a_raising_handler_is_counted_and_the_others_still_hear() -> None:
    kernel, listens = started(raises)
    kernel.feed(quote(3))
    (fault,) = kernel.of(PluginFault)
    assert (fault.name, fault.handler, fault.faults) == ("talks", "on_quote", 1)
    assert fault.error.startswith("ZeroDivisionError: listing 3 (test_core_faults.py:")
    assert len(listens.heard) == 1


def test_raising_at_one_record_of_a_frame_takes_nothing_from_the_others() -> None:
    def answer(quote: Quote) -> Mark:
        if quote.listing_id == 2:
            raise ValueError("two")
        return Mark(quote.listing_id)

    kernel, listens = started(answer)
    kernel.feed(quotes(1, 2, 3))
    assert [m.listing_id for m in kernel.of(Mark)] == [1, 3]
    assert [f.handler for f in kernel.of(PluginFault)] == ["on_quote"]
    assert len(listens.heard) == 3


def test_too_many_faults_quarantine_a_plugin_and_it_hears_nothing_more() -> None:
    kernel, listens = started(raises, faults_max=3)
    for _ in range(5):
        kernel.feed(quote())
    assert [f.faults for f in kernel.of(PluginFault)] == [1, 2, 3]
    assert quarantined(kernel) == ["talks"]
    assert [a.subject for a in kernel.of(Alert) if a.code == "plugin.quarantined"] == ["talks"]
    assert len(listens.heard) == 5


def test_a_whole_frame_of_faults_is_told_no_further_than_the_quarantine() -> None:
    kernel, listens = started(raises, faults_max=3)
    kernel.feed(quotes(*range(1, 101)))
    assert [f.faults for f in kernel.of(PluginFault)] == [1, 2, 3]
    assert quarantined(kernel) == ["talks"]
    assert len(listens.heard) == 100


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


NONSENSE = {
    "a number": 5,
    "a text": "buy",
    "a type": Quote,
    "an object": object(),
    "an object that raises in repr": Unshowable(),
    "a list in a list": [[Trade(1)]],
    "a generator": (Trade(i) for i in range(3)),
    "a price of 65 bits": Trade(1, price_ticks=2**63),
    "a price that is no integer": Trade(1, price_ticks=1.5),
    "a price that is a text": Trade(1, price_ticks="1"),
    "a negative id": Trade(-1),
    "an owner that is no number": Timer([]),
    "a text with half a character": Alert(code="\ud800", severity=Severity.INFO, subject="x", met="y"),
    "a control record of wrong types": Alert(code=5, severity="loud", subject="x", met="y"),
    "a result for nobody": TaskResult(plugin_id=[], task_id=1, ok=True),
    "an integer too large for msgpack": TaskResult(plugin_id=1, task_id=2**70, ok=True),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_counted_and_never_numbered(case: str) -> None:
    kernel, listens = started(lambda quote: [NONSENSE[case], Mark(1)])
    since = len(kernel.frames)
    kernel.feed(quote())
    assert told(kernel, since) == ["Quote", "PluginFault", "Mark"]  # the fault stands in its place
    (fault,) = kernel.of(PluginFault)
    assert (fault.name, fault.handler) == ("talks", "returned")
    assert " at 0x" not in fault.error
    assert headers(kernel)[since + 1].cause_seq == headers(kernel)[since].seq
    assert len(listens.heard) == 1


@pytest.mark.parametrize("case", NONSENSE)
def test_an_input_that_is_nonsense_is_told_by_an_input(case: str) -> None:
    kernel, _ = started(lambda quote: None)
    since = len(kernel.frames)
    kernel.feed(NONSENSE[case], producer="talks")
    (header,) = headers(kernel)[since:]
    assert told(kernel, since) == ["PluginFault"]
    assert (header.cause_seq, header.origin, header.correlation_seq) == (ABSENT, Origin.KERNEL, header.seq)
    assert kernel.slots["talks"].faults == 1


def test_inputs_of_nonsense_quarantine_their_source() -> None:
    kernel, _ = started(lambda quote: None, faults_max=2)
    for _ in range(2):
        kernel.feed(Trade(-1), producer="talks")
    assert quarantined(kernel) == ["talks"]


def test_a_fault_whose_own_text_raises_is_told_all_the_same() -> None:
    def answer(quote: Quote) -> None:
        raise UnspeakableError

    kernel, _ = started(answer)
    kernel.feed(quote())
    assert kernel.of(PluginFault)[0].error.startswith("UnspeakableError: its text cannot be had")


@given(st.text(max_size=2 * TEXT_MAX) | st.characters(categories=["Cs"]))
def test_the_text_of_an_error_can_be_recorded(text: str) -> None:
    said = error_text(ValueError(text))
    assert len(said) <= TEXT_MAX
    said.encode()


def test_shown_values_are_alike_in_every_run() -> None:
    assert shown(object()) == "<object object>"
    assert shown(Unshowable()) == "a Unshowable that cannot be shown"


def echo(kind: type[Any]) -> type[Operations]:
    """Return a plugin that answers a trade by a trade, for ever."""

    class Echo(Operations):
        def on_trade(self, trade: Trade) -> Outcome:
            return Trade(trade.listing_id)

    return Echo


@pytest.mark.parametrize("events_max", range(20, 26))
def test_a_storm_is_cut_names_its_plugin_and_quarantines_it(events_max: int) -> None:
    kernel = SimKernel(events_per_input_max=events_max)
    kernel.add(echo(Trade), "echo")
    listens = kernel.add(OnQuote, "listens")
    kernel.start()
    kernel.feed(Trade(1))
    assert quarantined(kernel) == ["echo"]
    (alert,) = [a for a in kernel.of(Alert) if a.code == "plugin.quarantined"]
    assert alert.met == f"cascade of more than {events_max} events, 1 of its events dropped"
    assert len(kernel.of(Trade)) == events_max
    kernel.feed(quote())
    assert len(listens.heard) == 1


@pytest.mark.parametrize("events_max", range(50, 56))
def test_a_storm_of_refused_orders_is_cut_wherever_the_count_falls(events_max: int) -> None:
    class Insists(Trader):
        def on_quote(self, quote: Quote) -> Outcome:
            return self.buy(quote.listing_id, 100, 0)  # of no lots: refused

        def on_order(self, order: Order) -> Outcome:  # type: ignore[override]
            return self.buy(order.listing_id, 100, 0)

    kernel, _, _ = market("insists", trader=Insists, events_per_input_max=events_max)
    kernel.feed(quote())
    assert quarantined(kernel) == ["insists"]
    assert len(kernel.of(Order)) <= events_max


def test_a_plugin_that_breaks_before_its_start_is_never_started() -> None:
    class Early(OnQuote):
        def on_plugin_state(self, state: PluginState) -> None:
            raise ValueError("too early")

        def on_start(self) -> Outcome:
            return Mark(1)

    kernel = SimKernel(faults_max=1)
    first = kernel.add(OnQuote, "first")
    kernel.add(Early, "early")
    kernel.start()
    kernel.feed(quote())
    assert quarantined(kernel) == ["early"]
    assert not kernel.of(Mark)
    assert len(first.heard) == 1


def test_the_orders_of_a_quarantined_strategy_are_cancelled() -> None:
    class Breaks(Trader):
        def on_quote(self, quote: Quote) -> Outcome:
            if quote.bid_ticks == 13 and self.ctx.name == "breaks":
                raise ValueError("13")
            return self.buy(quote.listing_id, 100, 1)

    kernel, venue, (_, calm) = market("breaks", "calm", trader=Breaks, faults_max=1)
    kernel.feed(quote())
    kernel.feed(quote(bid=13))
    assert quarantined(kernel) == ["breaks"]
    assert [order.action for order in venue.heard] == [1, 1, 2, 1]
    assert {held.order.strategy_id for held in kernel.desk.open.values()} == {calm.ctx.plugin_id}


def test_a_storm_never_drops_an_execution_report() -> None:
    class Noisy(Obedient):
        def on_order(self, order: Order) -> Outcome:
            fill = ExecutionReport(
                order.order_id, order.listing_id, ReportKind.FILL, order.side, last_ticks=100, last_lots=order.qty_lots
            )
            return [*[Mark(1)] * 100, fill]

    class Once(Trader):
        def on_quote(self, quote: Quote) -> Outcome:
            return self.buy(quote.listing_id, 100, 2)

    kernel = SimKernel(events_per_input_max=50)
    venue = kernel.add(Noisy, "venue")
    kernel.add(PassAll, "pass_all")
    once = kernel.add(Once, "once")
    kernel.start()
    kernel.add_listing("L1", venue.ctx.plugin_id)
    kernel.feed(quote())
    assert quarantined(kernel) == ["venue"]
    assert [r.kind for r in once.reports] == [ReportKind.FILL]
    assert kernel.desk.fills == 1
    assert not kernel.desk.open


def test_a_timer_that_holds_time_still_is_a_flood_too() -> None:
    class Now(Operations):
        def on_start(self) -> None:
            self.ctx.set_timer(10)

        def on_timer(self, timer: Timer) -> None:
            self.ctx.set_timer(self.ctx.now_ns)

    kernel = SimKernel(events_per_input_max=40)
    kernel.add(Now, "now")
    kernel.start()
    kernel.run_until(20)
    assert quarantined(kernel) == ["now"]
    assert len(kernel.of(Timer)) == 42  # the last was set before the quarantine, and nobody hears it
    assert kernel.moment.now_ns == 20


def test_reports_in_a_frame_get_their_owner_like_single_ones() -> None:
    class Frames(Obedient):
        def on_order(self, order: Order) -> Outcome:
            made = [
                ExecutionReport(order.order_id, 1, ReportKind.ACCEPTED),
                ExecutionReport(order.order_id, 1, ReportKind.FILL, last_ticks=100, last_lots=1),
                ExecutionReport(999, 1, ReportKind.FILL, last_ticks=100, last_lots=1),
                ExecutionReport([], 1, ReportKind.FILL),
            ]
            return [Frame.of(made[:3]), made[3]]

    class Once(Trader):
        def on_quote(self, quote: Quote) -> Outcome:
            return self.buy(quote.listing_id, 100, 1)

    kernel = SimKernel()
    venue = kernel.add(Frames, "venue")
    kernel.add(PassAll, "pass_all")
    once = kernel.add(Once, "once")
    kernel.start()
    kernel.add_listing("L1", venue.ctx.plugin_id)
    kernel.feed(quote())
    assert [r.kind for r in once.reports] == [ReportKind.ACCEPTED, ReportKind.FILL]
    assert [a.code for a in kernel.of(Alert)] == ["order.unknown_report"]
    assert [f.name for f in kernel.of(PluginFault)] == ["venue"]
    assert [o.state for o in once.orders] == [OrderState.ROUTED]


def test_what_a_plugin_had_queued_before_its_quarantine_is_not_counted_on() -> None:
    kernel, listens = started(lambda quote: [7, "sell", 8], faults_max=10)
    for listing_id in range(1, 8):
        kernel.feed(quote(listing_id))
    assert [fault.faults for fault in kernel.of(PluginFault)] == list(range(1, 11))
    (alert,) = kernel.of(Alert)
    assert alert.met.startswith("10 faults, ")
    assert kernel.slots["talks"].faults == 10
    assert len(listens.heard) == 7
