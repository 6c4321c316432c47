"""What the bus costs: a bare dict dispatch, then numbered and guarded, then journaled, then in frames."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.bench.rounds import Rounds, machine
from penstock_kernel.clock import SimClock
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import COMMIT_FRAMES, Kernel
from penstock_sdk.events import Signal
from penstock_sdk.plugin import Operations
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import Origin

__all__ = ["bench_bus"]

FRAME_RECORDS = 1_024


class _Counter(Operations):
    """Counts signals: the cheapest handler there is, so that what is measured is the bus."""

    heard = 0

    def on_signal(self, _signal: Signal) -> None:
        self.heard += 1

    def on_signals(self, frame: Frame) -> None:
        self.heard += len(frame)


class _Bus:
    """A kernel with so many counters, journaled or not."""

    def __init__(self, handlers: int, folder: Path | None) -> None:
        self.journal = None if folder is None else Journal.create(folder, run=1)
        self.kernel = Kernel(SimClock(1), journal=self.journal)
        for number in range(handlers):
            self.kernel.attach(_Counter, f"counter{number}")
        self.kernel.wire()

    def single(self, signals: list[Signal]) -> None:
        run, slot, journal = self.kernel.cascade.run, self.kernel.cascade.kernel_slot, self.journal
        if journal is None:
            for signal in signals:
                run(signal, Origin.EXTERNAL, slot)
            return
        for start in range(0, len(signals), COMMIT_FRAMES):
            for signal in signals[start : start + COMMIT_FRAMES]:
                run(signal, Origin.EXTERNAL, slot)
            journal.commit()

    def frames(self, frames: list[Frame]) -> None:
        run, slot = self.kernel.cascade.run, self.kernel.cascade.kernel_slot
        for frame in frames:
            run(frame, Origin.EXTERNAL, slot)
        if self.journal is not None:
            self.journal.commit()

    @property
    def heard(self) -> list[int]:
        return [slot.plugin.heard for slot in self.kernel.slots.values()]


def bench_bus(*, events: int = 100_000, rounds: int = 7) -> dict[str, Any]:
    """Return the figures of the bus; ``digest`` is over the journal's bytes and what each handler heard."""
    signals = [Signal(listing_id=n % 120, signal_id=1, value=float(n)) for n in range(events)]
    layout = Signal.layout
    array = np.frombuffer(b"".join(map(layout.pack, signals)), layout.dtype)
    frames = [Frame(Signal, array[n : n + FRAME_RECORDS].copy()) for n in range(0, events, FRAME_RECORDS)]
    with tempfile.TemporaryDirectory() as folder:
        buses = {
            (handlers, journaled): _Bus(handlers, Path(folder) / f"{handlers}" if journaled else None)
            for handlers in (1, 5)
            for journaled in (False, True)
        }
        measured = Rounds("bare_1")
        bare = {handlers: _bare(handlers, signals) for handlers in (1, 5)}
        for handlers in (1, 5):
            measured.add(f"bare_{handlers}", events, bare[handlers])
            measured.add(f"guarded_numbered_{handlers}", events, _single(buses[handlers, False], signals))
            measured.add(f"journaled_{handlers}", events, _single(buses[handlers, True], signals))
            measured.add(f"frames_journaled_{handlers}", events, _frames(buses[handlers, True], frames))
        measured.run(rounds)
        hasher = hashlib.sha256()
        for bus in buses.values():
            hasher.update(repr(bus.heard).encode())
            if bus.journal is not None:
                bus.journal.close()
                hasher.update(bus.journal.digest.encode())
    return {
        "bench": "bus", **machine(), "rounds": rounds, "frame_records": FRAME_RECORDS, "rows": measured.rows(),
        "budgets_cpu_ns": {"guarded_numbered_1": 350, "journaled_1": 1_000}, "digest": hasher.hexdigest(),
    }  # fmt: skip


def _bare(handlers: int, signals: list[Signal]) -> Any:
    """The floor: publish(topic, event) over a dict of lists of callables; no guard, no number."""
    counters = [_Heard() for _ in range(handlers)]
    table: dict[str, list[Callable[[Signal], None]]] = {"data.signal": [counter.on_signal for counter in counters]}

    def publish(topic: str, signal: Signal) -> None:
        for call in table.get(topic, ()):
            call(signal)

    def work() -> None:
        for signal in signals:
            publish("data.signal", signal)

    return work


class _Heard:
    heard = 0

    def on_signal(self, _signal: Signal) -> None:
        self.heard += 1


def _single(bus: _Bus, signals: list[Signal]) -> Any:
    return lambda: bus.single(signals)


def _frames(bus: _Bus, frames: list[Frame]) -> Any:
    return lambda: bus.frames(frames)
