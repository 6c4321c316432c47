"""Submitted work comes back to its plugin alone, as an input, before time goes on; a failure is a result too."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.tests.toy_market import START_NS, attach, kernel_in, recorded, start
from penstock_kernel.tasks import Tasks
from penstock_sdk.events import Quote, TaskResult, Timer
from penstock_sdk.plugin import Feed, Operations, Plugin
from penstock_sdk.schema import Event
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

WORK: dict[str, tuple[Any, ...]] = {
    "a sum": (operator.add, 2, 3),
    "a tuple comes back as a list": (divmod, 7, 2),
    "it raises": (operator.truediv, 1, 0),
    "a value that msgpack cannot carry": (complex, 1, 2),
    "an integer that msgpack cannot carry": (pow, 2, 70),
    "a text that is no UTF-8": (operator.methodcaller("decode", "utf-8", "surrogateescape"), b"\xff"),
    "a map of maps": (dict, {"a": {"b": [1, None]}}),
    "a function that pickle cannot carry": (lambda: 1,),
}


class Submits(Operations):
    """Has all the work done on a quote; notes what it hears and when."""

    work = tuple(WORK.values())

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.heard: list[tuple[int, TaskResult]] = []

    def on_start(self) -> None:
        self.ctx.set_timer(START_NS + 11)

    def on_quote(self, quote: Quote) -> None:
        for number, (fn, *args) in enumerate(self.work, 1):
            assert self.ctx.submit(fn, *args) == number

    def on_task_result(self, result: TaskResult) -> None:
        self.heard.append((self.ctx.now_ns, result))

    def on_timer(self, timer: Timer) -> None:
        assert self.ctx.name == "listens" or len(self.heard) == len(self.work)


class Listens(Submits):
    work = ()


class OneQuote(Feed):
    def events(self) -> Iterator[tuple[int, Event]]:
        yield START_NS + 10, Quote(1)


PLUGINS: dict[str, type[Plugin]] = {"feed": OneQuote, "submits": Submits, "listens": Listens}


def check(submits: Any, listens: Any) -> None:
    assert listens.heard == []
    assert {at_ns for at_ns, _ in submits.heard} == {START_NS + 10}
    results = dict(zip(WORK, (result for _, result in submits.heard), strict=True))
    assert [result.task_id for result in results.values()] == list(range(1, len(WORK) + 1))
    assert {result.plugin_id for result in results.values()} == {submits.ctx.plugin_id}
    assert results["a sum"].value == 5
    assert results["a tuple comes back as a list"].value == [3, 1]
    assert results["a map of maps"].value == {"a": {"b": [1, None]}}
    assert results["it raises"].error.startswith("ZeroDivisionError: ")
    assert not any(results[name].ok for name in WORK if "cannot" in name or "no UTF-8" in name)
    assert all(result.ok == (not result.error) for result in results.values())


def test_both_kernels_answer_alike_and_simulated_time_stands_still(tmp_path: Path) -> None:
    real = start(kernel_in(tmp_path), PLUGINS)
    real.run_simulated(START_NS + 20)
    real.close()
    toy = SimKernel(seed=3, start_ns=START_NS)
    attach(toy, PLUGINS)
    toy.start()
    toy.run_until(START_NS + 20)
    for kernel in (real, toy):
        check(kernel.slots["submits"].plugin, kernel.slots["listens"].plugin)
        assert not kernel.slots["submits"].faults
    assert recorded(tmp_path) == toy.frames
    origins = {f.origin for f in read_frames(tmp_path / "journal") if f.schema_id == TaskResult.layout.id}
    assert origins == {Origin.REPLY}


class SubmitsAtStart(Submits):
    def on_start(self) -> None:
        self.ctx.submit(operator.add, 1, 1)


def test_results_wait_until_every_plugin_has_started(tmp_path: Path) -> None:
    plugins: dict[str, type[Plugin]] = {"first": SubmitsAtStart, "second": Listens}
    real = start(kernel_in(tmp_path), plugins)
    real.run_simulated(START_NS)
    real.close()
    toy = SimKernel(seed=3, start_ns=START_NS)
    attach(toy, plugins)
    toy.start()
    assert recorded(tmp_path) == toy.frames
    assert len(toy.slots["first"].plugin.heard) == 1


class SubmitsAndGoesOn(Submits):
    """Changes what it has submitted, again and again."""

    work = (sum,) * 20

    def on_quote(self, quote: Quote) -> None:
        values = [1]
        for fn in self.work:
            self.ctx.submit(fn, values)
            values.append(1)


def test_work_is_done_on_what_was_given_whatever_the_plugin_does_to_it_afterwards(tmp_path: Path) -> None:
    real = start(kernel_in(tmp_path), {"feed": OneQuote, "submits": SubmitsAndGoesOn})
    real.run_simulated(START_NS + 20)
    real.close()
    heard = real.slots["submits"].plugin.heard
    assert [result.value for _, result in heard] == list(range(1, 21))


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks()
    yield made
    made.close()


def test_work_that_ends_its_process_fails_alone_and_later_work_goes_on(tasks: Tasks) -> None:
    tasks.submit(1, 1, os._exit, (3,))
    (died,) = tasks.results(wait=True)
    tasks.submit(1, 2, operator.add, (2, 2))
    (lives,) = tasks.results(wait=True)
    assert (died.ok, died.error.split(":")[0]) == (False, "BrokenProcessPool")
    assert (lives.ok, lives.value) == (True, 4)


def test_work_that_does_not_pickle_is_a_failed_result(tasks: Tasks) -> None:
    tasks.submit(1, 1, lambda: 1, ())
    tasks.submit(2, 1, operator.add, (1, 1))
    first, second = tasks.results(wait=True)
    assert not first.ok
    assert "pickle" in first.error.lower()
    assert (second.plugin_id, second.value) == (2, 2)
    assert len(tasks) == 0


def test_without_work_no_process_is_started() -> None:
    tasks = Tasks()
    assert tasks.results(wait=True) == []
    assert tasks._pool is None
    tasks.close()
