"""When a kernel that ended is started again, after how long, and when to give up: pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from penstock_kernel.warden.held import Held

__all__ = ["EX_SOFTWARE", "End", "Plan", "Restarts", "is_crash"]

EX_SOFTWARE = 70
"""The exit status of a kernel process that ended with a Python error."""

FIRST_NS = 250_000_000
LONGEST_NS = 30_000_000_000
CRASHES_MAX = 5
WINDOW_NS = 60_000_000_000
UNNAMED_MAX = 2
UNNAMED_WINDOW_NS = 600_000_000_000


class End(NamedTuple):
    """How a kernel's process ended."""

    status: int
    words: str
    """Status and last words, for people."""
    lived_ns: int
    hung: bool = False
    """The watchdog ended it."""
    held: Held | None = None
    held_ms: int = 0
    cancelled: str = ""
    """What venues cancelled outside, in words."""
    failure: str = ""
    """Why the kernel said that it cannot go on."""


class Plan(NamedTuple):
    """What to do about an end."""

    restart: bool
    wait_ns: int = 0
    why: str = ""
    """Why it stays down."""


def is_crash(status: int) -> bool:
    """Return whether an exit status is a crash: a Python error, or (negative) a signal."""
    return status < 0 or status == EX_SOFTWARE


class Restarts:
    """Counts the ends of one instance's kernels.

    The wait doubles from 0.25 s to 30 s, and begins anew once a kernel has lived a minute. Five crashes within a minute
    are too many, and so are two hangs within ten minutes that nobody could be named for.
    """

    def __init__(self) -> None:
        self._crashes: deque[int] = deque(maxlen=CRASHES_MAX)
        self._unnamed: deque[int] = deque(maxlen=UNNAMED_MAX)
        self._wait_ns = 0
        self.count = 0
        """Kernels started again."""

    def after_crash(self, at_ns: int, lived_ns: int) -> Plan:
        """Return what to do about a crash at *at_ns* of a kernel that lived so long."""
        self._crashes.append(at_ns)
        if len(self._crashes) == CRASHES_MAX and at_ns - self._crashes[0] <= WINDOW_NS:
            seconds = WINDOW_NS // 1_000_000_000
            return Plan(False, why=f"{CRASHES_MAX} crashes within {seconds} s")
        longer_ns = min(2 * self._wait_ns, LONGEST_NS) if self._wait_ns else FIRST_NS
        self._wait_ns = FIRST_NS if lived_ns >= WINDOW_NS else longer_ns
        self.count += 1
        return Plan(True, self._wait_ns)

    def after_hang(self, at_ns: int, lived_ns: int, *, named: bool) -> Plan:
        """Return what to do about a kernel that was ended because it hung; it starts again at once."""
        if not named:
            self._unnamed.append(at_ns)
            if len(self._unnamed) == UNNAMED_MAX and at_ns - self._unnamed[0] <= UNNAMED_WINDOW_NS:
                return Plan(False, why=f"{UNNAMED_MAX} hangs within 10 minutes, and no plugin could be named for them")
        plan = self.after_crash(at_ns, lived_ns)
        return plan._replace(wait_ns=0)
