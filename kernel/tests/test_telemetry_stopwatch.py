"""Time per handler and per stage: estimates are right whatever the rhythm, and no result follows from being timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.tests.toy_market import END_NS, TOYS, kernel_in, recorded, start
from penstock_kernel.clock import SimClock
from penstock_kernel.kernel import Kernel
from penstock_kernel.lanes import MARK_EVERY, MARKS_MAX, Lanes
from penstock_kernel.stopwatch import SHORT_FEWER, Stopwatch
from penstock_sdk.core.timing import timed
from penstock_sdk.events import Observation, OperatorCommand, PluginFault, Signal
from penstock_sdk.plugin import Operations
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import Origin


class Ear(Operations):
    """Hears signals and observations."""

    def on_signal(self, _signal: Signal) -> None:
        """Count it."""
        self.ctx.cell("signals").n += 1

    def on_observations(self, frame: Frame) -> None:
        """Count them."""
        self.ctx.cell("observations").n += len(frame)


class Deaf(Operations):
    """Its handler raises where it is called: there is no line of its own to tell of."""

    on_signal: Any = staticmethod(int.bit_length)
    faults: list[str]

    def on_plugin_fault(self, fault: PluginFault) -> None:
        """Keep the text."""
        self.ctx.state.setdefault("faults", []).append(fault.error)


def kernel_with(*plugins: type[Operations], one_in: int) -> Kernel:
    kernel = Kernel(SimClock(1), time_one_in=one_in, faults_max=10_000)
    for cls in plugins:
        kernel.attach(cls, cls.__name__.lower())
    kernel.wire()
    return kernel


def hear(kernel: Kernel, *events: Any) -> None:
    for event in events:
        kernel.input(event, Origin.EXTERNAL)


def rows(kernel: Kernel) -> dict[tuple[str, str], Any]:
    return {(row.plugin, row.handler): row for row in kernel.stopwatch.rows()}


@pytest.mark.parametrize("rhythm", [1, 2, 4, 8, 16, 31, 64])
def test_calls_are_estimated_alike_for_inputs_that_come_in_a_rhythm(rhythm: int):
    kernel = kernel_with(Ear, one_in=2)
    others = [Signal(1)] * (rhythm - 1)
    rounds = 64_000 // rhythm
    for _ in range(rounds):
        hear(kernel, Observation(1), *others)
    found = rows(kernel)
    assert found["ear", "on_observations"].calls == pytest.approx(rounds, rel=0.35)
    if others:
        assert found["ear", "on_signal"].calls == pytest.approx(rounds * len(others), rel=0.1)
    stopwatch = kernel.stopwatch
    assert stopwatch.inputs - kernel.cascade.until_timed == kernel.cascade.seq
    assert stopwatch.timed == stopwatch.handling.count == pytest.approx(64_000 / (2 * SHORT_FEWER), rel=0.1)


def test_a_run_records_the_same_bytes_timed_always_or_never(tmp_path: Path):
    for one_in in (0, 1):
        kernel = start(kernel_in(tmp_path / str(one_in), time_one_in=one_in))
        kernel.run_simulated(END_NS)
        kernel.drain("end")
        kernel.close()
        assert bool(kernel.stopwatch.timed) == bool(one_in)
    assert recorded(tmp_path / "0") == recorded(tmp_path / "1")


def test_a_fault_says_the_same_words_timed_or_not():
    said = []
    for one_in in (0, 1):
        kernel = kernel_with(Deaf, one_in=one_in)
        hear(kernel, *[Signal(1)] * 40)
        said.append(kernel.slots["deaf"].ctx.state["faults"])  # type: ignore[union-attr]
    assert said[0] == said[1]
    assert len(said[0]) == 40 and "bit_length" in said[0][0]
    assert "timing.py" not in "".join(said[1])


def test_a_check_has_a_row_of_its_own_and_the_desk_is_asked_as_before(tmp_path: Path):
    kernel = start(kernel_in(tmp_path, time_one_in=1), TOYS)
    kernel.run_simulated(END_NS)
    found = rows(kernel)
    assert found["risk", "check_order"].calls > 0
    assert found["desk", "on_order_intent"].max_ns > 0
    assert kernel.desk.ask == kernel.desk._ask


def test_without_a_stopwatch_nothing_is_timed():
    kernel = kernel_with(Ear, one_in=0)
    hear(kernel, *[Signal(1)] * 1_000)
    assert kernel.stopwatch.rows() == [] and kernel.cascade.timing is None
    assert kernel.slots["ear"].ctx.cells["signals"].n == 1_000  # type: ignore[union-attr]


def test_a_timed_input_that_is_broken_off_does_not_end_the_timing():
    kernel = kernel_with(Ear, one_in=1)
    stopwatch = kernel.stopwatch

    def full(_data: bytes) -> None:
        raise OSError(28, "no space")

    kernel.cascade.until_timed = 1
    sinks = kernel.cascade._timed_routes
    route = sinks[Signal]
    sinks[Signal] = (route[0], full, *route[2:])
    with pytest.raises(OSError, match="no space"):
        hear(kernel, Signal(1))
    sinks[Signal] = route
    hear(kernel, Signal(1))
    assert kernel.cascade.until_timed < 0
    stopwatch.mend()
    timed_before = stopwatch.timed
    hear(kernel, *[Signal(1)] * 20)
    assert stopwatch.timed > timed_before
    assert kernel.desk.ask == kernel.desk._ask


def test_a_play_back_is_not_counted(tmp_path: Path):
    kernel = start(kernel_in(tmp_path, time_one_in=1))
    kernel.run_simulated(END_NS)
    kernel.stopwatch.restart()
    assert kernel.stopwatch.rows() == [] and kernel.stopwatch.handling.count == 0
    assert kernel.stopwatch.inputs - kernel.cascade.until_timed == 0


def test_a_wait_for_the_disk_is_counted_from_the_write_to_the_sync(tmp_path: Path):
    kernel = kernel_in(tmp_path, time_one_in=1)
    kernel.attach(Ear, "ear")
    kernel.wire()
    stopwatch = kernel.stopwatch
    kernel.write()
    stopwatch.restart()
    while not stopwatch.timed:
        hear(kernel, Signal(1))
    assert stopwatch.write_wait.count == stopwatch.sync_wait.count == 0
    kernel.write()
    assert (stopwatch.write_wait.count, stopwatch.sync_wait.count) == (1, 0)
    kernel.write()  # nothing new: nothing is counted
    assert (stopwatch.write_wait.count, stopwatch.sync_wait.count) == (1, 0)
    assert kernel.journal is not None
    kernel.journal.sync()
    kernel.write()
    assert stopwatch.sync_wait.count == 1
    assert stopwatch.sync_wait.max_ns > 0
    kernel.close()


def test_a_command_is_measured_to_its_effect(tmp_path: Path):
    kernel = start(kernel_in(tmp_path))
    kernel.command(OperatorCommand(command="kill", who="test", why="to see"))
    kernel.run_simulated(END_NS)
    assert kernel.stopwatch.command.count == 1


def test_one_input_in_seven_is_measured_on_its_way_through_a_lane():
    lanes, waits = Lanes(lambda topic: 1_000), []
    lanes.note_wait = waits.append
    events = [Signal(n) for n in range(10 * MARK_EVERY)]
    for event in events:
        lanes.offer(event, None)
    assert lanes.waiting() == {"control": 0, "orders": 0, "data": len(events)}
    assert [lanes.take() for _ in events] == [(event, None) for event in events]
    assert len(waits) == 10 and all(wait >= 0 for wait in waits)


def test_inputs_that_are_shed_while_they_are_measured_take_no_memory():
    lanes, waits = Lanes(lambda topic: 1), []
    lanes.note_wait = waits.append
    for n in range(MARK_EVERY * (MARKS_MAX + 50)):
        lanes.offer(Signal(n), None)
    assert len(lanes) == 1 and len(lanes._marks) == MARKS_MAX
    assert lanes.take() is not None
    assert len(waits) <= 1


def test_a_timed_call_gives_what_the_call_gives_and_notes_one_that_raises():
    noted: list[int] = []
    assert timed(lambda event: event + 1, noted.append)(1) == 2
    with pytest.raises(ZeroDivisionError):
        timed(lambda event: 1 / event, noted.append)(0)
    assert len(noted) == 2 and all(took >= 0 for took in noted)


def test_the_dearest_handler_comes_first():
    kernel = kernel_with(Ear, one_in=1)
    stopwatch: Stopwatch = kernel.stopwatch
    for name, took_ns in (("cheap", 5), ("dear", 500), ("middling", 50)):
        stopwatch.note_for("p", name)(took_ns)
    assert [(row.handler, row.max_ns) for row in stopwatch.rows()] == [("dear", 500), ("middling", 50), ("cheap", 5)]
