"""A kernel's signs of life, in a small file that other processes map: what it does, and since when.

The kernel's thread writes an integer per input and a handful per turn; the watchdog, the health endpoints and
`penstock status` read them even when that thread hangs. Nothing here is needed to run, or kept.
"""

from __future__ import annotations

import mmap
import os
import time
from enum import IntEnum
from pathlib import Path

__all__ = ["Phase", "Vitals", "VitalsView"]

MAGIC = 0x5056_4954_414C_0001
SIZE = 4096
_REASON, _BEFORE, _TEXT_BYTES = 1024, 2048, 1024
(
    _MAGIC, _PID, _PHASE, _INPUT, _TURN_NS, _NOW_NS, _SEQ, _EPOCH, _DONE, _WANTED, _KILLED, _RECONCILING, _ORDERS,
    _OPEN, _SYNCED, _START_NS,
) = range(16)  # fmt: skip


class Phase(IntEnum):
    """Where a kernel is in its life."""

    NONE = 0
    RECOVERING = 1
    """Reading its journal and rebuilding its state; `done` of `wanted` events."""
    STARTING = 2
    """Starting its plugins."""
    RECONCILING = 3
    """Running, and some venue has not said yet where our orders stand."""
    READY = 4
    """Trading, unless killed or paused."""
    DRAINING = 5
    """Told to stop: plugins say their last."""
    ENDED = 6
    """Stopped in order; the process goes."""
    FAILED = 7
    """Cannot go on; the log says why."""


class Vitals:
    """The kernel's side.

    Attributes:
        cells: the mapped integers; ``cells[INPUT] = seq`` before an input is handled, 0 after, costs 30 ns.
        failed_before: why a kernel before this one failed, where no kernel has traded since; else empty.
    """

    INPUT = _INPUT
    TURN = _TURN_NS

    def __init__(self, path: Path | None) -> None:
        """Map *path*, made when missing; None keeps the integers in memory alone.

        Raises:
            OSError: there is no room for it.
        """
        if path is None:
            self._map = mmap.mmap(-1, SIZE)
        else:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, SIZE)
                os.posix_fallocate(fd, 0, SIZE)  # a full disk is an error here, and would be a SIGBUS later
                self._map = mmap.mmap(fd, SIZE)
            finally:
                os.close(fd)
        self.cells = memoryview(self._map).cast("q")
        failed = self.cells[_MAGIC] == MAGIC and self.cells[_PHASE] == Phase.FAILED
        self.failed_before = (failed and _read_text(self._map, _REASON)) or _read_text(self._map, _BEFORE)
        self.cells[:] = memoryview(bytes(SIZE)).cast("q")
        _write_text(self._map, _BEFORE, self.failed_before)
        self.cells[_PID] = os.getpid()
        self.cells[_START_NS] = time.monotonic_ns()
        self.cells[_MAGIC] = MAGIC

    def phase(self, phase: Phase, done: int = 0, wanted: int = 0) -> None:
        """Say where the kernel is."""
        self.cells[_DONE], self.cells[_WANTED] = done, wanted
        self.cells[_PHASE] = phase
        self.cells[_TURN_NS] = time.monotonic_ns()
        if phase in (Phase.RECONCILING, Phase.READY):
            _write_text(self._map, _BEFORE, "")  # it has journaled why it was started

    def tell(self, reason: str) -> None:
        """Say why it ends, before the phase that says that it does. Takes no room on the disk, which may be full."""
        _write_text(self._map, _REASON, reason)

    @property
    def where(self) -> tuple[Phase, int, int]:
        """What `phase` said last: (phase, done, wanted)."""
        return Phase(self.cells[_PHASE]), self.cells[_DONE], self.cells[_WANTED]

    def turn(
        self, *, now_ns: int, seq: int, synced_seq: int, epoch: int, killed: bool, reconciling: int, orders: int,
        open_orders: int,
    ) -> None:  # fmt: skip
        """Say that the kernel has come round: called between inputs."""
        cells = self.cells
        cells[_TURN_NS] = time.monotonic_ns()
        cells[_NOW_NS], cells[_SEQ], cells[_SYNCED], cells[_EPOCH] = now_ns, seq, synced_seq, epoch
        cells[_KILLED], cells[_RECONCILING] = int(killed), reconciling
        cells[_ORDERS], cells[_OPEN] = orders, open_orders

    def alive(self) -> None:
        """Say that the kernel moves, while it waits within one input for what has a deadline of its own."""
        self.cells[_TURN_NS] = time.monotonic_ns()

    def close(self) -> None:
        """Let go of the mapping; the file stays."""
        self.cells.release()
        self._map.close()


class VitalsView:
    """Another process's side: reads whatever the kernel wrote last.

    Raises:
        FileNotFoundError: no kernel has run there yet.
        ValueError: the file is no vitals file of this version.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
        self._cells = memoryview(self._map).cast("q")
        if self._cells[_MAGIC] not in (MAGIC, 0):
            met = self._cells[_MAGIC]
            raise ValueError(f"{path} begins with {met:#x}, wanted {MAGIC:#x}; it is of another version")

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return self._cells[_PID]

    @property
    def phase(self) -> Phase:
        """Where it is in its life."""
        return Phase(self._cells[_PHASE])

    @property
    def reason(self) -> str:
        """Why it ended, in phases ENDED and FAILED; empty when it did not say."""
        return _read_text(self._map, _REASON)

    @property
    def progress(self) -> tuple[int, int]:
        """(done, wanted) of the phase; (0, 0) when it counts nothing."""
        return self._cells[_DONE], self._cells[_WANTED]

    @property
    def input_seq(self) -> int:
        """The input that is being handled; 0 between inputs. One that stays the same is one that hangs."""
        return self._cells[_INPUT]

    @property
    def turn_ns(self) -> int:
        """When it last came round, on the machine's monotonic clock (`time.monotonic_ns`)."""
        return self._cells[_TURN_NS]

    @property
    def started_ns(self) -> int:
        """When it began, on the same clock."""
        return self._cells[_START_NS]

    @property
    def now_ns(self) -> int:
        """The run's time."""
        return self._cells[_NOW_NS]

    @property
    def seq(self) -> int:
        """The last event's number, as of the last turn."""
        return self._cells[_SEQ]

    @property
    def synced_seq(self) -> int:
        """The last event known to be on the disk."""
        return self._cells[_SYNCED]

    @property
    def epoch(self) -> int:
        """The session's number."""
        return self._cells[_EPOCH]

    @property
    def killed(self) -> bool:
        """True while the kill switch is on."""
        return bool(self._cells[_KILLED])

    @property
    def reconciling(self) -> int:
        """Venues that have not answered yet."""
        return self._cells[_RECONCILING]

    @property
    def orders(self) -> int:
        """Orders sent in all sessions."""
        return self._cells[_ORDERS]

    @property
    def open_orders(self) -> int:
        """Orders that a venue may still execute."""
        return self._cells[_OPEN]

    def close(self) -> None:
        """Let go of the mapping."""
        self._cells.release()
        self._map.close()


def _write_text(page: mmap.mmap, at: int, text: str) -> None:
    data = text.encode(errors="replace")[: _TEXT_BYTES - 1]
    page[at : at + _TEXT_BYTES] = data + bytes(_TEXT_BYTES - len(data))


def _read_text(page: mmap.mmap, at: int) -> str:
    return page[at : at + _TEXT_BYTES].partition(b"\0")[0].decode(errors="ignore")
