"""Wall and simulated time behind one interface."""

from __future__ import annotations

import time
from typing import Protocol

from penstock_sdk.events import ClockKind

__all__ = ["Clock", "SimClock", "WallClock"]


class Clock(Protocol):
    """What the kernel's loop asks the time of."""

    kind: ClockKind

    def now_ns(self) -> int:
        """Return the time, UTC."""

    def wait_until(self, due_ns: int) -> None:
        """Return at *due_ns*, or earlier."""


class SimClock:
    """Time that passes only when it is waited for."""

    kind = ClockKind.SIMULATED

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the simulated time."""
        return self._now_ns

    def wait_until(self, due_ns: int) -> None:
        """Make it *due_ns*; never earlier than it is."""
        self._now_ns = max(self._now_ns, due_ns)


class WallClock:
    """The machine's clock. It may step back; the kernel then lets the run's time stand still."""

    kind = ClockKind.WALL
    NAP_NS_MAX = 1_000_000
    """The longest sleep: sources are polled once a millisecond at least."""

    def now_ns(self) -> int:
        """Return the machine's time."""
        return time.time_ns()

    def wait_until(self, due_ns: int) -> None:
        """Sleep until *due_ns*, at most a millisecond."""
        nap_ns = min(due_ns - time.time_ns(), self.NAP_NS_MAX)
        if nap_ns > 0:
            time.sleep(nap_ns / 1e9)
