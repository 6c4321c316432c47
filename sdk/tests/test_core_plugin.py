"""The base classes of plugins: what they give, what they ask for, and how loudly they miss it."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from penstock_sdk.events import (
    CheckResult,
    IntentAction,
    Order,
    OrderIntent,
    OrderKind,
    PluginFault,
    PluginState,
    PluginStatus,
    Reason,
    Side,
)
from penstock_sdk.plugin import KINDS, Feed, NoConfig, Operations, Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import ABSENT
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import PassAll, Trader, market, quote


class SizedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    qty_lots: int = 2


class Sized(Strategy):
    Config = SizedConfig


def test_a_config_is_the_default_unless_one_is_given() -> None:
    kernel = SimKernel()
    assert kernel.add(Sized, "a").config.qty_lots == 2
    assert kernel.add(Sized, "b", Sized.Config(qty_lots=5)).config.qty_lots == 5
    assert isinstance(kernel.add(Operations, "c").config, NoConfig)


def test_a_name_is_given_once() -> None:
    kernel = SimKernel()
    kernel.add(Sized, "a")
    with pytest.raises(ValueError, match="^plugin name a is taken; give each instance its own"):
        kernel.add(Sized, "a")


def test_several_instances_of_one_plugin_keep_apart() -> None:
    kernel = SimKernel()
    a, b = kernel.add(Sized, "a"), kernel.add(Sized, "b")
    a.buy(1, 100, 1)
    first, second = a.buy(1, 100, 1), b.buy(1, 100, 1)
    assert (first.intent_id, second.intent_id) == (2, 1)
    assert first.strategy_id != second.strategy_id
    assert first.book_id != second.book_id


def test_intents_say_side_kind_and_owner() -> None:
    kernel = SimKernel()
    plugin = kernel.add(Sized, "a")
    me = plugin.ctx.plugin_id
    buy = plugin.buy(7, -250, 3)
    sell = plugin.sell(7, 10, 1, kind=OrderKind.IOC, decision_half_ticks=19)
    assert (buy.listing_id, buy.action, buy.side, buy.kind) == (7, IntentAction.NEW, Side.BUY, OrderKind.LIMIT)
    assert (buy.price_ticks, buy.qty_lots, buy.order_id, buy.decision_half_ticks) == (-250, 3, ABSENT, ABSENT)
    assert (sell.side, sell.kind, sell.decision_half_ticks, sell.strategy_id) == (Side.SELL, OrderKind.IOC, 19, me)
    cancel, everything = plugin.cancel(12, 7), plugin.cancel_all(7)
    assert (cancel.action, cancel.order_id, cancel.strategy_id) == (IntentAction.CANCEL, 12, me)
    assert (everything.action, everything.listing_id, everything.strategy_id) == (IntentAction.CANCEL_ALL, 7, me)


def test_verdicts_name_the_check_the_order_and_the_limit() -> None:
    check = SimKernel().add(PassAll, "check")
    order = Order(5, 7, strategy_id=3)
    passed, refused = check.passed(order), check.refused(order, Reason.POSITION, 12, 10)
    assert (passed.result, passed.reason, passed.order_id) == (CheckResult.PASSED, Reason.NONE, 5)
    assert (refused.result, refused.reason, refused.met, refused.limit) == (CheckResult.REFUSED, 9, 12, 10)
    assert {v.check_id for v in (passed, refused)} == {check.ctx.plugin_id}
    assert {(v.listing_id, v.strategy_id) for v in (passed, refused)} == {(7, 3)}


def test_a_check_without_an_answer_and_a_venue_without_ears_say_what_to_define() -> None:
    kernel = SimKernel()
    with pytest.raises(TypeError, match="^RiskCheck is a check without check_order"):
        kernel.add(RiskCheck, "check").check_order(Order(1))
    with pytest.raises(TypeError, match="^Venue is a venue without on_order"):
        kernel.add(Venue, "venue").on_order(Order(1))


def test_a_feed_gives_nothing_unless_it_is_told_to() -> None:
    feed = SimKernel().add(Feed, "feed")
    assert list(feed.events()) == []
    assert list(feed.poll()) == []


def test_first_and_last_words_follow_the_state_change_that_they_belong_to() -> None:
    class Talks(Trader):
        def on_start(self) -> Outcome:
            return self.buy(1, 100, 1)

        def on_stop(self) -> Outcome:
            return self.cancel_all()

    kernel, _, _ = market("talks", trader=Talks)
    kernel.stop()
    names = [type(event).__name__ for _, _, event in kernel.events]
    talks_id = kernel.slots["talks"].plugin_id
    states = [(s.status, s.previous) for s in kernel.of(PluginState) if s.plugin_id == talks_id]
    assert (PluginStatus.DRAINING, PluginStatus.RUNNING) in states
    assert all(before == previous for (before, _), (_, previous) in pairwise(states))
    first = names.index("OrderIntent")
    assert names[first - 1] == "PluginState"
    assert [i.action for i in kernel.of(OrderIntent)] == [IntentAction.NEW, IntentAction.CANCEL_ALL]


def test_raising_in_on_start_is_counted() -> None:
    class Breaks(Operations):
        def on_start(self) -> Outcome:
            raise OSError("no such file")

    kernel = SimKernel()
    kernel.add(Breaks, "breaks")
    kernel.start()
    assert [(f.name, f.handler) for f in kernel.of(PluginFault)] == [("breaks", "on_start")]


def test_a_class_of_every_kind_can_be_attached() -> None:
    kernel = SimKernel()
    for kind, cls in KINDS.items():
        kernel.add(cls, kind)
    kernel.start()
    kernel.feed(quote())
    assert [s.kind for s in kernel.cascade.slots if s.plugin_id] == list(KINDS)
