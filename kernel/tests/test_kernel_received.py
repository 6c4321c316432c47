"""What comes from outside says when it was received; whatever a handler raises is a fault; odd state is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.tests.toy_market import END_NS, kernel_in
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.received import received
from penstock_sdk.events import Alert, ClockKind, Observation, PluginFault, Quote
from penstock_sdk.plugin import Feed, Model, Operations
from penstock_sdk.schema import ABSENT, Event, Frame


class Said(Operations):
    """Keeps what it hears."""

    def on_observation(self, observation: Observation) -> None:
        """Keep the stamps."""
        self.ctx.state.setdefault("stamps", []).append((observation.recv_ns, observation.clock))

    def on_alert(self, alert: Alert) -> None:
        """Keep the code and the subject."""
        self.ctx.state.setdefault("alerts", []).append((alert.code, alert.subject))

    def on_plugin_fault(self, fault: PluginFault) -> None:
        """Keep the error."""
        self.ctx.state.setdefault("faults", []).append(fault.error)


class Outside(Feed):
    """One by one, in a frame, and one that knows when it was received."""

    def events(self) -> Iterator[tuple[int, Event]]:
        """Give four observations."""
        yield 1_000, Observation(1, value=-5.0)
        yield 2_000, Frame.of([Observation(1), Observation(1, recv_ns=7, clock=ClockKind.HARDWARE)])
        yield 3_000, Observation(1, recv_ns=8)


class Odd(Model):
    """Raises what is no Exception, and keeps what no snapshot can."""

    def on_observation(self, observation: Observation) -> None:
        """Keep an object, then leave by another door."""
        self.ctx.state["odd"] = object()
        raise KeyboardInterrupt(f"at {observation.value}")


def run(kernel: Kernel) -> Said:
    said = kernel.attach(Said, "said").plugin
    assert isinstance(said, Said)
    kernel.attach(Outside, "outside")
    kernel.attach(Odd, "odd")
    kernel.wire()
    for slot in list(kernel.slots.values()):
        kernel.start_plugin(slot)
    kernel.open_sources()
    kernel.run_simulated(END_NS)
    return said


def test_every_input_from_outside_has_its_time_of_receipt_and_clock(tmp_path: Path) -> None:
    kernel = kernel_in(tmp_path)
    simulated = int(ClockKind.SIMULATED)
    stamps = [(1_000, simulated), (2_000, simulated), (7, int(ClockKind.HARDWARE)), (8, 0)]
    assert run(kernel).ctx.state["stamps"] == stamps
    kernel.close()


def test_whatever_a_handler_raises_is_a_fault_and_the_others_go_on(tmp_path: Path) -> None:
    kernel = kernel_in(tmp_path)
    said = run(kernel)
    assert said.ctx.state["faults"][0].startswith("KeyboardInterrupt: at -5.0")
    assert len(said.ctx.state["stamps"]) == 4
    kernel.close()


def test_state_that_no_snapshot_can_keep_is_told_once_with_its_plugin(tmp_path: Path) -> None:
    kernel = kernel_in(tmp_path)
    said = run(kernel)
    assert kernel.run_dir is not None
    assert kernel.take_snapshot() is None
    assert kernel.take_snapshot() is None
    assert said.ctx.state["alerts"] == [("snapshot.not_taken", "odd")]
    kernel.close()


@pytest.mark.parametrize("event", [Quote(1, recv_ns=5), Alert(code="a", severity=1, subject="s", met="m", recv_ns=5)])  # type: ignore[arg-type]
def test_a_time_of_receipt_that_is_said_stays(event: Event) -> None:
    assert received(event, 9, ClockKind.WALL) is event


def test_a_frame_of_a_capture_file_stays_as_it_is() -> None:
    frame = Frame.of([Quote(1)])
    frame.kept_at = ("file", 64)
    assert received(frame, 9, ClockKind.WALL) is frame
    assert frame.array["recv_ns"][0] == ABSENT
