"""The simulated kernel tests a plugin in five lines: time is told, feeds and timers fall due, the digest repeats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock_sdk.events import Mark, Order, OrderIntent, OrderState, Quote, TaskResult, Timer, Trade
from penstock_sdk.plugin import Feed, Operations, Outcome, Strategy
from penstock_sdk.schema import Event, Frame, SchemaError
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import OnQuote, market, quote, quotes


class Hello(Strategy):
    def on_quote(self, quote: Quote) -> Outcome:
        return self.buy(quote.listing_id, quote.bid_ticks, quote.bid_lots)


def test_a_plugin_is_tested_in_five_lines() -> None:
    kernel = SimKernel(seed=1)
    hello = kernel.add(Hello, "hello")
    kernel.start()
    kernel.feed(Quote(1, bid_ticks=-250, bid_lots=5), at_ns=1_000)
    assert kernel.of(OrderIntent) == [bought(hello, -250, 5)]


def bought(hello: Hello, price_ticks: int, qty_lots: int) -> OrderIntent:
    """Return the intent by hand."""
    who = hello.ctx.identity
    return OrderIntent(
        1, action=1, side=1, kind=1, price_ticks=price_ticks, qty_lots=qty_lots, intent_id=1,
        strategy_id=hello.ctx.plugin_id, book_id=who.book_id, algo_id=who.algo_id, algo_version=1,
        trader_id=who.trader_id, account_id=who.account_id,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "met"), [(int, "int"), (7, "an instance of int"), ("hello", "an instance of str"), (Quote, "Quote")]
)
def test_what_is_no_plugin_is_told_and_nothing_is_added(given: Any, met: str) -> None:
    kernel = SimKernel()
    with pytest.raises(TypeError, match=f"^plugin z met {met}, wanted a class derived from Plugin"):
        kernel.add(given, "z")
    assert kernel.slots == {}
    kernel.add(Hello, "z")


def test_timers_and_feeds_fall_due_before_what_is_fed_timers_first() -> None:
    heard: list[tuple[int, str]] = []

    class Gives(Feed):
        def events(self) -> Iterator[tuple[int, Event]]:
            for at_ns in (10, 20, 20, 30):
                yield at_ns, Trade(1, trade_id=at_ns)

    class Notes(Operations):
        def on_start(self) -> None:
            self.ctx.set_timer(20)
            self.ctx.set_timer(40)

        def on_trade(self, trade: Trade) -> None:
            heard.append((self.ctx.now_ns, "trade"))

        def on_timer(self, timer: Timer) -> None:
            heard.append((self.ctx.now_ns, "timer"))

        def on_quote(self, quote: Quote) -> None:
            heard.append((self.ctx.now_ns, "quote"))

    kernel = SimKernel()
    kernel.add(Gives, "gives")
    kernel.add(Notes, "notes")
    kernel.start()
    kernel.feed(quote(), at_ns=20)
    kernel.run_until(35)
    assert heard == [(10, "trade"), (20, "timer"), (20, "trade"), (20, "trade"), (20, "quote"), (30, "trade")]
    assert kernel.moment.now_ns == 35


def test_events_tell_every_record_with_its_number_and_stamp() -> None:
    kernel = SimKernel()
    kernel.start()
    kernel.feed(quotes(1, 2), at_ns=7)
    kernel.feed(Mark(3), at_ns=9)
    assert [(seq, at_ns, type(e).__name__, e.listing_id) for seq, at_ns, e in kernel.events] == [
        (1, 7, "Quote", 1), (2, 7, "Quote", 2), (3, 9, "Mark", 3),
    ]  # fmt: skip
    assert [q.listing_id for q in kernel.of(Quote)] == [1, 2]


def test_the_digest_follows_from_plugins_seed_and_inputs() -> None:
    def digest(seed: int = 1, bid: int = 5, name: str = "hello") -> str:
        kernel, _, _ = market(name, trader=Hello, seed=seed)  # type: ignore[type-var]
        kernel.feed(quote(bid=bid))
        return kernel.digest()

    assert digest() == digest() == digest(seed=2)  # nobody draws
    assert len({digest(), digest(bid=6), digest(name="other")}) == 3


def test_effects_happen_after_their_cascade_and_results_before_time_goes_on() -> None:
    order: list[str] = []

    class Sends(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            self.ctx.effect(order.append, "effect")
            self.ctx.submit(len, "abc")
            return Mark(1)

        def on_mark(self, mark: Mark) -> None:
            order.append("mark")

        def on_task_result(self, result: TaskResult) -> None:
            order.append(f"result {result.value} at {self.ctx.now_ns}")
            self.ctx.effect(order.append, "second effect")

        def on_timer(self, timer: Timer) -> None:
            order.append("timer")

        def on_start(self) -> None:
            self.ctx.set_timer(11)

    kernel = SimKernel()
    kernel.add(Sends, "sends")
    kernel.start()
    kernel.feed(quote(), at_ns=10)
    kernel.run_until(11)
    assert order == ["mark", "effect", "result 3 at 10", "second effect", "timer"]


def test_an_order_goes_through_the_checks_to_the_venue_and_back() -> None:
    kernel, venue, (hello,) = market("hello", trader=Hello)  # type: ignore[type-var]
    kernel.feed(quote(bid=5))
    assert [order.state for order in venue.heard] == [OrderState.ROUTED]
    kernel.stop()
    assert [order.price_ticks for order in kernel.of(Order)] == [5]
    assert hello.ctx.now_ns == 0


def test_a_type_that_is_no_record_is_refused() -> None:
    kernel = SimKernel()
    with pytest.raises(SchemaError, match="is no declared record"):
        kernel.of(int)


def test_a_quarantined_feed_gives_nothing_more() -> None:
    class Gives(Feed):
        def events(self) -> Iterator[tuple[int, Event]]:
            for at_ns in range(10, 50, 10):
                yield at_ns, Frame.of([quote(at_ns), quote(at_ns)])

    kernel = SimKernel()
    kernel.add(Gives, "gives")
    heard: Any = kernel.add(OnQuote, "hears")
    kernel.start()
    kernel.run_until(20)
    kernel.command("quarantine", target="gives")
    kernel.run_until(90)
    assert [q.listing_id for q in heard.heard] == [10, 10, 20, 20]
