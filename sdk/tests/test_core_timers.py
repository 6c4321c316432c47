"""Timers fire by due time, equal times in the order they were set; cancelled ones never; memory stays bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_sdk.core.timers import Timers
from penstock_sdk.events import PluginFault, Quote, Timer
from penstock_sdk.plugin import Operations
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import quote


class TimersAgainstAList(RuleBasedStateMachine):
    """A list that is sorted at every look is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.model: list[tuple[int, int, int, int, int]] = []
        self.count = 0
        self.ids = {1: 0, 2: 0}

    @rule(plugin=st.sampled_from([1, 2]), due_ns=st.integers(-5, 5), tag=st.integers(-(2**63), 2**63 - 1))
    def set(self, plugin: int, due_ns: int, tag: int) -> None:
        self.ids[plugin] += 1
        self.count += 1
        assert self.timers.set(plugin, due_ns, tag) == self.ids[plugin]
        self.model.append((due_ns, self.count, plugin, self.ids[plugin], tag))

    @rule(plugin=st.sampled_from([1, 2, 3]), timer_id=st.integers(0, 30))
    def cancel(self, plugin: int, timer_id: int) -> None:
        self.timers.cancel(plugin, timer_id)
        self.model = [entry for entry in self.model if (entry[2], entry[3]) != (plugin, timer_id)]

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        due_ns, _, plugin, timer_id, tag = min(self.model)
        assert self.timers.next_ns() == due_ns
        assert self.timers.pop() == Timer(plugin, timer_id, due_ns, tag)
        self.model.remove(min(self.model))

    @rule()
    def restart(self) -> None:
        state: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(self.timers.snapshot()))
        again = Timers()
        again.restore(state)
        assert again.snapshot() == self.timers.snapshot()
        self.timers = again

    @invariant()
    def agree(self) -> None:
        assert self.timers.next_ns() == (min(self.model)[0] if self.model else None)
        assert len(self.timers) == len(self.model)


TimersAgainstAList.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestTimersAgainstAList = TimersAgainstAList.TestCase


def test_what_is_cancelled_takes_no_memory() -> None:
    timers = Timers()
    timers.set(1, 10**18, 0)
    for due_ns in range(100_000):
        timers.cancel(1, timers.set(1, 10**18 - due_ns, 0))
    assert len(timers._heap) < 200
    assert len(timers) == 1


@pytest.mark.parametrize("due_ns", [1.5, "1", None, 2**63, -(2**63) - 1])
def test_a_time_that_is_no_64_bit_integer_is_the_fault_of_who_set_it(due_ns: Any) -> None:
    class Sets(Operations):
        def on_quote(self, quote: Quote) -> None:
            self.ctx.set_timer(due_ns)

    kernel = SimKernel()
    kernel.add(Sets, "sets")
    kernel.start()
    kernel.feed(quote())
    assert [(f.name, f.handler) for f in kernel.of(PluginFault)] == [("sets", "on_quote")]
    assert kernel.timers.next_ns() is None


def test_a_timer_in_the_past_fires_at_once_and_time_does_not_go_back() -> None:
    heard: list[tuple[int, int]] = []

    class Sets(Operations):
        def on_quote(self, quote: Quote) -> None:
            self.ctx.set_timer(5, tag=3)

        def on_timer(self, timer: Timer) -> None:
            heard.append((self.ctx.now_ns, timer.due_ns))

    kernel = SimKernel()
    kernel.add(Sets, "sets")
    kernel.start()
    kernel.feed(quote(), at_ns=100)
    kernel.run_until(100)
    assert heard == [(100, 5)]


def test_one_plugin_cannot_cancel_the_timers_of_another() -> None:
    heard: list[str] = []

    class Sets(Operations):
        def on_start(self) -> None:
            self.ctx.set_timer(10)

        def on_quote(self, quote: Quote) -> None:
            if self.ctx.name == "cancels":
                self.ctx.cancel_timer(1)
                self.ctx.cancel_timer(99)

        def on_timer(self, timer: Timer) -> None:
            heard.append(self.ctx.name)

    kernel = SimKernel()
    for name in ("keeps", "cancels"):
        kernel.add(Sets, name)
    kernel.start()
    kernel.feed(quote())
    kernel.run_until(10)
    assert heard == ["keeps"]


def test_how_many_are_live_is_known_for_each_plugin() -> None:
    timers = Timers()
    first = timers.set(1, 10, 0)
    timers.set(1, 20, 0)
    timers.set(2, 30, 0)
    timers.cancel(1, first)
    timers.cancel(1, first)
    assert (timers.live(1), timers.live(2), timers.live(3)) == (1, 1, 0)
    again = Timers()
    again.restore(timers.snapshot())
    assert (again.live(1), again.live(2)) == (1, 1)
    assert timers.next_ns() == 20
    timers.pop()
    again.forget(2)
    again.drop({1})
    assert (timers.live(1), again.live(1), again.live(2)) == (0, 1, 0)
