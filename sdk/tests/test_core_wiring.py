"""A handler that nothing would call is refused with the nearest name; who hears what follows the addresses."""

from __future__ import annotations

import pytest

from penstock_sdk.core.wiring import WiringError, handlers_of
from penstock_sdk.events import (
    ExecutionReport,
    Limit,
    LimitKind,
    Order,
    OrderIntent,
    Quote,
    TaskResult,
    Timer,
    Trade,
)
from penstock_sdk.plugin import KINDS, Operations, Outcome, Plugin
from penstock_sdk.schema import Frame, layouts
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import Obedient, OnQuote, PassAll, Trader, market, quote


def refuse(cls: type[Plugin]) -> str:
    with pytest.raises(WiringError) as caught:
        handlers_of(cls.__new__(cls), cls.kind)
    return str(caught.value)


def test_a_mistyped_handler_is_refused_with_the_nearest_name() -> None:
    class Typo(Operations):
        def on_quoet(self, quote: Quote) -> None: ...

    text = refuse(Typo)
    assert "Typo.on_quoet names no record; did you mean on_quote?" in text
    assert "test_core_wiring" in text


def test_a_handler_far_from_any_name_is_refused_without_a_guess() -> None:
    class Far(Operations):
        def on_zzzzzzzzzz(self, event: Quote) -> None: ...

    assert refuse(Far).endswith("on_zzzzzzzzzz names no record")


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_handler_of_a_wrong_arity_is_refused(count: int) -> None:
    handler = {0: lambda self: None, 2: lambda self, a, b: None, 3: lambda self, a, b, c: None}[count]
    text = refuse(type("Arity", (Operations,), {"on_quote": handler}))
    assert f"on_quote met {count} arguments, wanted one: the event or the frame" in text


def test_defaults_do_not_count_as_arguments() -> None:
    class Defaults(Operations):
        def on_quote(self, quote: Quote, scale: int = 2) -> None: ...

    assert list(handlers_of(Defaults.__new__(Defaults), "operations")) == [(Quote.layout.id, False)]


def test_every_record_has_its_handlers_and_control_records_come_one_by_one() -> None:
    names = {f"on_{layout.snake}": lambda self, event: None for layout in layouts()}
    names |= {f"on_{layout.plural}": lambda self, event: None for layout in layouts() if layout.packed}
    everything = type("Everything", (Operations,), names)
    found = handlers_of(everything.__new__(everything), "operations")
    packed = sum(layout.packed for layout in layouts())
    assert len(found) == len(layouts()) + packed
    assert "names no record; did you mean" in refuse(type("Batch", (Operations,), {"on_alerts": lambda self, a: None}))


def test_a_wrong_handler_is_refused_before_anything_runs() -> None:
    class Typo(Operations):
        def on_trad(self, trade: Trade) -> None: ...

    kernel = SimKernel()
    kernel.add(Typo, "typo")
    with pytest.raises(WiringError, match="did you mean on_trade"):
        kernel.start()


def test_each_kind_says_its_name() -> None:
    assert {kind: cls.kind for kind, cls in KINDS.items()} == {kind: kind for kind in KINDS}


def buys(trader: Trader) -> Outcome:
    return trader.buy(1, 100, 1)


class Buys(Trader):
    def on_quote(self, quote: Quote) -> Outcome:
        return self.buy(quote.listing_id, 100, 1) if quote.bid_lots == len(self.ctx.name) else None


def test_strategies_hear_of_orders_only_their_own() -> None:
    kernel, _, (one, two) = market("a", "bb", trader=Buys)
    kernel.feed(Quote(1, bid_lots=1))
    kernel.feed(Quote(2, bid_lots=2))
    kernel.feed(Quote(2, bid_lots=2))
    assert [o.listing_id for o in one.orders] == [1]
    assert [o.listing_id for o in two.orders] == [2, 2]
    assert [r.listing_id for r in one.reports] == [1]
    assert [r.listing_id for r in two.reports] == [2, 2]


def test_a_frame_of_orders_is_split_by_owner_for_strategies_and_by_venue_for_venues() -> None:
    kernel, venue, (one, two) = market("a", "bb", trader=Buys)
    ids = [one.ctx.plugin_id, two.ctx.plugin_id, one.ctx.plugin_id]
    made = [Order(i, strategy_id=s, venue_id=venue.ctx.plugin_id * (i > 1)) for i, s in enumerate(ids, 1)]
    kernel.feed(Frame.of(made))
    assert [o.order_id for o in one.orders] == [1, 3]
    assert [o.order_id for o in two.orders] == [2]
    assert [o.order_id for o in venue.heard] == [2, 3]


def test_venues_hear_only_orders_routed_to_them() -> None:
    kernel = SimKernel()
    first, second = kernel.add(Obedient, "first"), kernel.add(Obedient, "second")
    kernel.add(PassAll, "pass_all")
    kernel.add(Buys, "a")
    kernel.start()
    kernel.add_listing("L1", first.ctx.plugin_id)
    kernel.add_listing("L2", second.ctx.plugin_id)
    for listing_id in (1, 2, 2):
        kernel.feed(Quote(listing_id, bid_lots=1))
    assert [o.listing_id for o in first.heard] == [1]
    assert [o.listing_id for o in second.heard] == [2, 2]


def test_everybody_hears_the_market_and_operations_hear_everything() -> None:
    class Audit(Operations):
        def __init__(self, ctx: object, config: object = None) -> None:
            super().__init__(ctx, config)  # type: ignore[arg-type]
            self.heard: list[str] = []

        def on_order_intent(self, event: OrderIntent) -> None:
            self.heard.append("intent")

        def on_order(self, event: Order) -> None:
            self.heard.append("order")

        def on_execution_report(self, event: ExecutionReport) -> None:
            self.heard.append("report")

        def on_quote(self, event: Quote) -> None:
            self.heard.append("quote")

    kernel = SimKernel()
    audit = kernel.add(Audit, "audit")
    venue = kernel.add(Obedient, "venue")
    kernel.add(PassAll, "pass_all")
    kernel.add(Buys, "a")
    kernel.start()
    kernel.add_listing("L1", venue.ctx.plugin_id)
    kernel.feed(Quote(1, bid_lots=1))
    assert audit.heard == ["quote", "intent", "order", "report"]


def test_limits_are_heard_by_every_strategy() -> None:
    heard: list[str] = []

    class Listens(Trader):
        def on_limit(self, limit: Limit) -> None:
            heard.append(self.ctx.name)

    kernel, _, (_, two) = market("one", "two", trader=Listens)
    kernel.feed(Limit(LimitKind.PAUSE, strategy_id=two.ctx.plugin_id, value=1))
    assert heard == ["one", "two"]


@pytest.mark.parametrize("kind", ["operations", "strategy", "venue", "feed"])
def test_timers_and_task_results_come_to_their_owner_alone(kind: str) -> None:
    heard: list[tuple[str, object]] = []

    def on_timer(self: Plugin, timer: Timer) -> None:
        heard.append((self.ctx.name, timer.tag))

    def on_task_result(self: Plugin, result: TaskResult) -> None:
        heard.append((self.ctx.name, result.value))

    def on_quote(self: Plugin, quote: Quote) -> None:
        self.ctx.set_timer(quote.bid_ticks, tag=self.ctx.plugin_id)
        self.ctx.submit(len, self.ctx.name)

    body = {"on_timer": on_timer, "on_task_result": on_task_result, "on_quote": on_quote}
    cls = type("Owner", (KINDS[kind],), body)
    kernel = SimKernel()
    ids = {name: kernel.add(cls, name).ctx.plugin_id for name in ("a", "bb")}
    kernel.start()
    kernel.feed(quote(bid=50))
    kernel.run_until(60)
    assert heard == [("a", 1), ("bb", 2), ("a", ids["a"]), ("bb", ids["bb"])]


def test_a_plugin_hears_nothing_before_the_kernel_is_wired() -> None:
    kernel = SimKernel()
    single = kernel.add(OnQuote, "single")
    kernel.feed(quote())
    kernel.start()
    kernel.feed(quote(2))
    assert [q.listing_id for q in single.heard] == [2]
