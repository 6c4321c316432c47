"""When a kernel is held, and when it hangs: a state machine over what its vitals show. Reads no clock.

A kernel moves when anything of (phase, progress, input, turn) differs from the look before. Time without a move is
counted only as far as the watchdog itself was looking, and only while the kernel could run: a machine that stood still,
a stopped process and a debugger's breakpoint hold nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from penstock_kernel.vitals import Phase
from penstock_kernel.warden.settings import WatchdogTable

__all__ = ["LOOK_NS_MAX", "Look", "Verdict", "Watch"]

LOOK_NS_MAX = 100_000_000
"""What one look adds at most: after a longer gap it was the watchdog that did not run."""

_TRADING = (Phase.RECONCILING, Phase.READY)
_DRAIN_NS_MAX = 30_000_000_000
"""Of the limit of a start: a drain compiles nothing, and orders may be open meanwhile."""
_LEAVING = (Phase.ENDED, Phase.FAILED)
_LEAVING_FACTOR = 20
"""The tables of a long run may take minutes to be finished, with nothing at stake any more."""


class Verdict(IntEnum):
    """What a look says."""

    FINE = 0
    HELD = 1
    """The first limit has passed: name who holds it. Said once for each standstill."""
    HUNG = 2
    """The second limit has passed. Said again each time that limit passes once more."""


class Look(NamedTuple):
    """What was seen at one moment."""

    at_ns: int
    """On the machine's monotonic clock."""
    phase: Phase
    input_seq: int
    turn_ns: int
    done: int
    """How far the phase is."""
    can_run: bool
    """False for a process that is stopped, traced, or waits for a disk."""


class Watch:
    """Watches one kernel process.

    Attributes:
        held_ns: how long it has not moved although it could run.
        blocked_ns: how long it has not moved because it could not.
        moves: how often it was seen to have moved.
    """

    def __init__(self, limits: WatchdogTable, at_ns: int) -> None:
        self._limits = limits
        self._at_ns = at_ns
        self._seen: tuple[int, ...] = ()
        self._named = False
        self._excused_ns = 0
        self.held_ns = self.blocked_ns = 0
        self.moves = 0

    def look(self, look: Look) -> Verdict:
        """Take one look."""
        gap_ns = max(0, min(look.at_ns - self._at_ns, LOOK_NS_MAX))
        self._at_ns = look.at_ns
        seen = (look.phase, look.input_seq, look.turn_ns, look.done)
        if seen != self._seen:
            self.moves += 1
            self._seen, self._named = seen, False
            self.held_ns = self.blocked_ns = self._excused_ns = 0
            return Verdict.FINE
        if not look.can_run:
            self.blocked_ns += gap_ns
            return Verdict.FINE
        self.held_ns += gap_ns
        first_ns, second_ns = self.limits_ns(look.phase)
        if self.unexcused_ns >= second_ns:
            return Verdict.HUNG
        if self.held_ns >= first_ns and not self._named:
            self._named = True
            return Verdict.HELD
        return Verdict.FINE

    @property
    def unexcused_ns(self) -> int:
        """How much of `held_ns` counts towards the second limit."""
        return self.held_ns - self._excused_ns

    def excuse(self) -> None:
        """Count the second limit anew from here: what holds the kernel is no reason to end it."""
        self._excused_ns = self.held_ns

    def limits_ns(self, phase: Phase) -> tuple[int, int]:
        """Return both limits while the kernel is in *phase*."""
        if phase in _TRADING:
            return self._limits.handler_limit_ms * 1_000_000, self._limits.hang_limit_ms * 1_000_000
        slow_ns = self._limits.start_limit_ms * 1_000_000
        if phase == Phase.DRAINING or phase in _LEAVING:
            slow_ns = min(slow_ns, _DRAIN_NS_MAX) * (_LEAVING_FACTOR if phase in _LEAVING else 1)
        return slow_ns // 2, slow_ns
