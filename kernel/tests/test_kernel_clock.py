"""Run time never decreases: a wall clock that steps back stands still and is told once; simulated time is awaited."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_kernel.clock import SimClock, WallClock
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.events import ClockKind, ClockStep, PluginFault, PluginState, PluginStatus, Quote, Timer, Trade
from penstock_sdk.plugin import Feed, Operations, Outcome
from penstock_sdk.schema import Event, schema_by_id
from penstock_sdk.wire.segment import read_frames


class ToldClock:
    """A wall clock that shows what a test wrote down, and then stops the run."""

    kind = ClockKind.WALL

    def __init__(self, readings_ns: Sequence[int]) -> None:
        self.readings = list(readings_ns)
        self.kernel: Kernel | None = None

    def now_ns(self) -> int:
        if len(self.readings) == 1 and self.kernel is not None:
            self.kernel.stopping = "no more readings"
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def wait_until(self, due_ns: int) -> None:
        """Return at once: time is what is read."""


class Polls(Feed):
    """Gives one quote a turn, or what the test put in `gives`."""

    gives: Any = None

    def poll(self) -> Sequence[Event]:
        if self.gives is not None:
            return self.gives()  # type: ignore[no-any-return]
        return [Quote(1)]


class Late(Operations):
    """Sets a timer at each quote."""

    def on_quote(self, quote: Quote) -> None:
        self.ctx.set_timer(self.ctx.now_ns + 3)

    def on_timer(self, timer: Timer) -> Outcome:
        return Trade(1)


def wall_run(folder: Path, readings_ns: Sequence[int], feed: type[Polls] = Polls, **options: Any) -> Kernel:
    """Run through the readings of a clock, and close."""
    clock = ToldClock(readings_ns)
    kernel = Kernel(clock, journal=Journal.create(folder / "journal", run=1), **options)
    kernel.attach(feed, "polls")
    kernel.attach(Late, "late")
    kernel.wire()
    for slot in kernel.slots.values():
        kernel.start_plugin(slot)
    kernel.open_sources()
    clock.kernel = kernel
    kernel.run_wall(10**9)
    kernel.write()
    kernel.close()
    return kernel


def events(folder: Path) -> list[tuple[int, Any]]:
    """Return (at_ns, record) of all that was journaled."""
    return [(f.at_ns, schema_by_id(f.schema_id).unpack(f.body)) for f in read_frames(folder / "journal")]


def test_a_clock_that_steps_back_is_told_once_and_time_stands_still(tmp_path: Path) -> None:
    wall_run(tmp_path, [100, 110, 120, 90, 95, 119, 121, 130])
    told = events(tmp_path)
    (step,) = [(at_ns, event) for at_ns, event in told if isinstance(event, ClockStep)]
    assert (step[0], step[1].from_ns, step[1].to_ns) == (120, 120, 90)
    assert [at_ns for at_ns, event in told if isinstance(event, Quote)] == [110, 120, 120, 120, 120, 121, 130]


def test_a_second_step_after_the_first_was_caught_up_is_told_again(tmp_path: Path) -> None:
    wall_run(tmp_path, [100, 120, 90, 125, 80, 130])
    assert [e.to_ns for _, e in events(tmp_path) if isinstance(e, ClockStep)] == [90, 80]


@given(st.lists(st.integers(0, 60), min_size=2, max_size=12))
@settings(max_examples=40)
def test_stamps_never_decrease_whatever_the_clock_shows(tmp_path_factory: Any, readings: list[int]) -> None:
    folder = tmp_path_factory.mktemp("clock", numbered=True)
    wall_run(folder, readings)
    stamps = [at_ns for at_ns, _ in events(folder)]
    assert stamps == sorted(stamps)
    steps = [e for _, e in events(folder) if isinstance(e, ClockStep)]
    assert all(step.to_ns < step.from_ns for step in steps)


def test_timers_fire_once_the_clock_has_passed_them_and_bear_its_time(tmp_path: Path) -> None:
    wall_run(tmp_path, [100, 101, 102, 110, 111])
    fired = [(at_ns, e.due_ns) for at_ns, e in events(tmp_path) if isinstance(e, Timer)]
    assert fired == [(110, 104), (110, 105)]


def test_a_poll_that_raises_is_an_input_and_quarantines_in_the_end(tmp_path: Path) -> None:
    class Breaks(Polls):
        def gives(self) -> Any:
            raise ConnectionError("reset")

    wall_run(tmp_path, range(100, 120), Breaks, faults_max=3)
    told = [event for _, event in events(tmp_path)]
    faults = [e for e in told if isinstance(e, PluginFault)]
    assert [(f.name, f.handler, f.faults) for f in faults] == [("polls", "poll", n) for n in (1, 2, 3)]
    assert [e.name for e in told if isinstance(e, PluginState) and e.status == PluginStatus.QUARANTINED] == ["polls"]


def test_nonsense_from_a_poll_takes_nothing_from_the_rest_of_it(tmp_path: Path) -> None:
    class Mixed(Polls):
        def gives(self) -> Any:
            return [Quote(1), "nonsense", None, Quote(-1), Quote(2)]

    wall_run(tmp_path, [100, 101], Mixed)
    told = [event for _, event in events(tmp_path)]
    assert [e.listing_id for e in told if isinstance(e, Quote)] == [1, 2]
    errors = [e.error for e in told if isinstance(e, PluginFault)]
    assert [text.split(",")[0] for text in errors[:2]] == ["TypeError: met 'nonsense'", "TypeError: met None"]
    assert errors[2].startswith("SchemaError: Quote.listing_id met -1")


def test_a_simulated_clock_moves_when_it_is_waited_for_and_never_back() -> None:
    clock = SimClock(50)
    clock.wait_until(70)
    clock.wait_until(60)
    assert clock.now_ns() == 70
    assert clock.kind == ClockKind.SIMULATED


def test_the_wall_clock_reads_the_machines_and_naps_no_longer_than_its_bound() -> None:
    clock = WallClock()
    before_ns = time.time_ns()
    begun_ns = time.perf_counter_ns()
    clock.wait_until(before_ns + 10**15)
    assert time.perf_counter_ns() - begun_ns < 10**9
    clock.wait_until(0)
    assert clock.now_ns() >= before_ns
