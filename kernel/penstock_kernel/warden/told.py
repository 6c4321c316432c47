"""What the watchdog says: its alerts, its lines on standard error, its state to a supervisor."""

from __future__ import annotations

import sys
import time

from penstock_kernel.notify import Notifier
from penstock_kernel.vitals import Phase
from penstock_kernel.warden.health import Condition
from penstock_kernel.warden.held import JOURNAL, Held
from penstock_kernel.warden.outside import Cancelled
from penstock_sdk.events import Alert, Severity

__all__ = ["Teller", "crashed", "failed", "gave_up", "not_cancelled", "overrun", "restarted", "slow_journal"]

EXTEND_US = 30_000_000
EXTEND_EVERY_NS = 5_000_000_000


def overrun(held: Held, for_ns: int) -> Alert:
    """Return the alert about something that held the kernel's thread longer than the first limit, and is over."""
    met = f"{held} held the kernel for {for_ns / 1e6:.0f} ms, input {held.input_seq}"
    wanted = "less than [watchdog] handler_limit_ms for an input with all that follows from it"
    if held.plugins == (JOURNAL,):
        return Alert(
            code="journal.slow", severity=Severity.WARNING, subject=JOURNAL, met=met, wanted=wanted,
            way_out="look at the disk that holds the run's folder, and at who else writes to it",
        )  # fmt: skip
    return Alert(
        code="handler.overrun", severity=Severity.WARNING, subject=" ".join(held.plugins) or "kernel", met=met,
        wanted=wanted, way_out="give slow work to ctx.submit, or raise [watchdog] handler_limit_ms",
    )  # fmt: skip


def slow_journal(for_ms: int) -> Alert:
    """Return the alert about a kernel that has waited for its disk longer than the second limit, and still does."""
    return Alert(
        code="journal.slow", severity=Severity.ERROR, subject=JOURNAL,
        met=f"the kernel has waited for its disk for {for_ms} ms; no event is handled, no cancel leaves",
        wanted="less than [watchdog] hang_limit_ms",
        way_out="look at the disk; end the kernel only when it is lost: what it has not written is lost with it",
    )  # fmt: skip


def restarted(plugins: tuple[str, ...], cause: str, cancelled: str, *, again: bool = True) -> Alert:
    """Return the alert about a kernel that hung and was ended; *again*: it is started again."""
    stays = "" if again else "; it was told to stop and stays down"
    met = f"{cause}{f'; {cancelled}' if cancelled else ''}{stays}"
    wanted = "less than [watchdog] hang_limit_ms for an input with all that follows from it"
    if not plugins:
        return Alert(
            code="watchdog.unnamed", severity=Severity.CRITICAL, subject="kernel", met=met, wanted=wanted,
            way_out="look into control/stack.txt of the run's folder; a second time within 10 minutes it stays down",
        )  # fmt: skip
    if not again:
        return Alert(
            code="watchdog.restarted", severity=Severity.CRITICAL, subject=" ".join(plugins), met=met, wanted=wanted,
            way_out=f"see at the venues what is open; it is left out by the next start, until "
            f"`penstock release {plugins[0]}`",
        )  # fmt: skip
    return Alert(
        code="watchdog.restarted", severity=Severity.CRITICAL, subject=" ".join(plugins), met=met, wanted=wanted,
        way_out=f"mend it, then `penstock release {plugins[0]}`; until then it is out, and its orders are cancelled",
    )  # fmt: skip


def crashed(instance: str, words: str, lived_ns: int, *, again: bool = True) -> Alert:
    """Return the alert about a kernel's process that ended and should not have; *again*: it is started again."""
    when = "by itself" if again else "out of order, while it was told to stop,"
    then = "it is started again," if again else "it stays down, and the next start"
    return Alert(
        code="kernel.crashed", severity=Severity.CRITICAL, subject=instance,
        met=f"the kernel ended {when} after {lived_ns / 1e9:.1f} s: {words}",
        wanted="a kernel that ends when it is told to",
        way_out=f"read its last lines; {then} recovers its journal and reconciles before it trades",
    )  # fmt: skip


def failed(instance: str, reason: str) -> Alert:
    """Return the alert about a kernel that could not go on and said so: what a restart does not mend."""
    return Alert(
        code="journal.failed", severity=Severity.CRITICAL, subject=instance,
        met=f"the run failed: {reason}; it stays down", wanted="a journal and a run's folder that can be written",
        way_out="make room or mend the disk, see at the venues what is open, then start the instance again",
    )  # fmt: skip


def not_cancelled(result: Cancelled) -> Alert:
    """Return the alert about a venue whose orders could not be cancelled without the kernel."""
    return Alert(
        code="watchdog.not_cancelled", severity=Severity.CRITICAL, subject=result.venue,
        met=f"orders at the venue were not cancelled outside the kernel: {result.error}",
        wanted="an answer with the number of orders cancelled",
        way_out="see at the venue what is open; the next kernel reconciles with it before it trades",
    )  # fmt: skip


def gave_up(instance: str, why: str, cancelled: str) -> Alert:
    """Return the alert about an instance that stays down."""
    return Alert(
        code="watchdog.gave_up", severity=Severity.CRITICAL, subject=instance,
        met=f"{why}; it stays down{f'; {cancelled}' if cancelled else ''}",
        wanted="a kernel that lives",
        way_out="look at the alerts before, see at the venues what is open, then start the instance again",
    )  # fmt: skip


class Teller:
    """Says things to people and to the supervisor.

    Args:
        notifier: the supervisor's end.
    """

    def __init__(self, instance: str, notifier: Notifier) -> None:
        self._instance = instance
        self._notifier = notifier
        self._alive_ns = self._extend_ns = 0

    def say(self, text: str) -> None:
        """Write a line on standard error."""
        print(f"watchdog {self._instance}: {text}", file=sys.stderr, flush=True)

    def stopping(self) -> None:
        """Tell the supervisor, once, that it is on its way out."""
        self._notifier.stopping()

    def publish(self, known: Condition, *, stopping: bool, in_hand: bool) -> None:
        """Tell the supervisor how it is.

        Args:
            stopping: it was told to stop.
            in_hand: it moves, or is about to be started again: no reason for the supervisor to end it.
        """
        now_ns, notifier = time.monotonic_ns(), self._notifier
        if not notifier.wanted:
            return
        why = known.why_not_ready(now_ns)
        if not stopping and not why:
            notifier.ready()
        killed = "; kill switch on" if known.killed else ""
        notifier.status(("stopping" if stopping else why or "ready") + killed)
        if in_hand and notifier.watchdog_ns and now_ns - self._alive_ns >= notifier.watchdog_ns // 2 - 200_000_000:
            self._alive_ns = now_ns
            notifier.alive()
        slow = stopping or known.phase in (Phase.NONE, Phase.RECOVERING, Phase.STARTING)
        if in_hand and slow and now_ns - self._extend_ns >= EXTEND_EVERY_NS:
            self._extend_ns = now_ns
            notifier.extend(EXTEND_US)
