"""Looks at one kernel's process: its signs of life, what holds it, whether it is to be ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from penstock_kernel.vitals import Phase, VitalsView
from penstock_kernel.warden.asking import Asker
from penstock_kernel.warden.child import KernelProcess
from penstock_kernel.warden.health import Condition
from penstock_kernel.warden.held import JOURNAL, Held
from penstock_kernel.warden.settings import WatchdogTable
from penstock_kernel.warden.told import slow_journal
from penstock_kernel.warden.watch import Look, Verdict, Watch
from penstock_sdk.events import Alert

__all__ = ["Observer"]

ASK_LIMIT_S = 0.1
COMPILE_NS_MAX = 300_000_000_000
"""So long a start or a recovery may import and compile, whatever the limit of a start is."""
_STOPPED = "Tt"
_DISK = "waits for its disk"
_CANNOT_RUN = {"T": "stopped by a signal", "t": "held by a debugger", "D": _DISK, "Z": "has ended"}
_SLOW = (Phase.NONE, Phase.RECOVERING, Phase.STARTING)


class Observer:
    """Watches one kernel's process.

    Attributes:
        held: what holds the kernel, as it was last asked; None when it is not held, or could not say.
        held_ms: how long it has been held.
    """

    def __init__(
        self, child: KernelProcess, run_dir: Path, limits: WatchdogTable, tell: Callable[[Alert], object],
        say: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._child = child
        self._path = run_dir / "vitals"
        self._limits = limits
        self._tell = tell
        self._say = say
        self._asker = Asker(child, run_dir / "control")
        self._watch = Watch(limits, child.started_ns)
        self._view: VitalsView | None = None
        self._slow_told = False
        self._past_limit = False
        self._stop_said = False
        self._blocked = ""
        """What kept it from running, since it moved last."""
        self.held: Held | None = None
        self.held_ms = 0
        self._last = Look(child.started_ns, Phase.NONE, 0, 0, 0, True)

    @property
    def stands_still(self) -> bool:
        """True when the last look saw what the one before saw."""
        return self._watch.held_ns + self._watch.blocked_ns > 0

    @property
    def phase(self) -> Phase:
        """Where the kernel is in its life."""
        return self._last.phase

    def failure(self) -> str:
        """Return why the kernel says that it failed; empty when it does not."""
        view = self._view or self._open_view()
        return view.reason if view is not None and view.phase == Phase.FAILED else ""

    @property
    def can_be_asked(self) -> bool:
        """True once the kernel's process takes signals."""
        return self._asker.roster() is not None

    @property
    def in_hand(self) -> bool:
        """True while nothing holds the kernel longer than the second limit."""
        return self._watch.unexcused_ns < self._watch.limits_ns(self.phase)[1]

    def look(self, now_ns: int) -> bool:
        """Look once; return whether the kernel hangs and is to be ended."""
        look = self._last = self._look(now_ns)
        verdict = self._watch.look(look)
        if not self.stands_still:
            self.held, self.held_ms, self._past_limit, self._slow_told = None, 0, False, False
            self._blocked, self._stop_said = "", False
        if verdict != Verdict.FINE and self._hangs(look, verdict):
            return True
        self._tell_slow()
        self._say_stopped()
        return False

    def condition(self, instance: str, restarts: int) -> Condition:
        """Return how it is, for those who ask."""
        view, look = self._view, self._last
        holder = str(self.held or "something that could not be named") if self._past_limit else ""
        known = Condition(
            instance, look.at_ns, self._child.pid, look.phase, held_ms=self._watch.held_ns // 1_000_000, holder=holder,
            hangs=not self.in_hand, restarts=restarts, blocked=self._why_blocked(),
            blocked_ms=(self._watch.blocked_ns + self._watch.held_ns) // 1_000_000,
        )  # fmt: skip
        if view is None:
            return known
        done, wanted = view.progress
        return msgspec.structs.replace(
            known, done=done, wanted=wanted, reconciling=view.reconciling, killed=view.killed
        )

    def close(self) -> None:
        """Let go of the mapping."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _look(self, now_ns: int) -> Look:
        """Return what the signs of life say now; of a kernel that has not begun to give any, nothing."""
        # What the operating system says of it is asked only of one that stands still.
        blocked = _CANNOT_RUN.get(self._child.state(), "") if self.stands_still else ""
        self._blocked, can_run = blocked or self._blocked, not blocked
        view = self._view or self._open_view()
        if view is None:
            return Look(now_ns, Phase.NONE, 0, 0, 0, can_run)
        return Look(now_ns, view.phase, view.input_seq, view.turn_ns, view.progress[0], can_run)

    def _open_view(self) -> VitalsView | None:
        try:
            view = VitalsView(self._path)
        except (OSError, ValueError):
            return None
        if view.pid != self._child.pid:  # of the kernel before
            view.close()
            return None
        self._view = view
        return view

    def _hangs(self, look: Look, verdict: Verdict) -> bool:
        """Name what holds the kernel; return whether it is to be ended for that."""
        held = self._asker.ask(look.input_seq, ASK_LIMIT_S)
        if self._look(look.at_ns)[1:5] != look[1:5]:
            return False  # it has moved meanwhile, and what it answered is no longer so
        if held is not None and held.idle:
            self._watch.excuse()
            return False
        self.held, self.held_ms, self._past_limit = held, self._watch.held_ns // 1_000_000, True
        self._say(f"held for {self.held_ms} ms by {held or 'something that could not be named'}")
        if verdict != Verdict.HUNG:
            return False
        if held is not None and (held.debugged or held.plugins == (JOURNAL,) or self._may_compile(look, held)):
            self._watch.excuse()
            return False
        return True

    def _may_compile(self, look: Look, held: Held) -> bool:
        return held.compiling and look.phase in _SLOW and self._watch.held_ns < COMPILE_NS_MAX

    def _why_blocked(self) -> str:
        """Return what keeps the kernel still past the first limit that is no reason to end it, or empty."""
        watch = self._watch
        limit_ns = self._limits.handler_limit_ms * 1_000_000
        if self.held is not None and watch.held_ns >= limit_ns:
            if self.held.plugins == (JOURNAL,):
                return _DISK
            if self.held.debugged:
                return "held by a debugger"
        return self._blocked if watch.blocked_ns >= limit_ns else ""

    def _say_stopped(self) -> None:
        """Say once of a kernel that it has been stopped longer than the second limit: nobody sees to its orders."""
        watch = self._watch
        if self._stop_said or watch.blocked_ns < self._limits.hang_limit_ms * 1_000_000:
            return
        state = self._child.state()
        if state in _STOPPED:
            self._stop_said = True
            self._say(
                f"kernel pid {self._child.pid} is {_CANNOT_RUN[state]}, for {watch.blocked_ns // 1_000_000} ms; "
                f"no event is handled, no cancel leaves; `kill -CONT {self._child.pid}` lets it go on"
            )

    def _tell_slow(self) -> None:
        """Tell once of a kernel that has waited for its disk longer than the second limit."""
        watch = self._watch
        journal = self.held is not None and self.held.plugins == (JOURNAL,)
        waited_ns = watch.blocked_ns + (watch.held_ns if journal else 0)
        if self._slow_told or waited_ns < self._limits.hang_limit_ms * 1_000_000 or self._child.state() in _STOPPED:
            return
        self._slow_told = True
        self._tell(slow_journal(waited_ns // 1_000_000))
