"""The watchdog process of an instance: starts its kernel, watches it, ends and restarts it, says how it is."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from penstock_kernel.notify import Notifier
from penstock_kernel.vitals import Phase
from penstock_kernel.warden.child import Child, Orphan, reap_strangers
from penstock_kernel.warden.health import Condition
from penstock_kernel.warden.held import NextStart, keep_next_start, read_next_start, venues_outside
from penstock_kernel.warden.lock import CannotBegin, take_lock, unusable
from penstock_kernel.warden.observer import Observer
from penstock_kernel.warden.outside import OutsideCancels
from penstock_kernel.warden.own_alerts import UNTOLD_NS, Deliver, OwnAlerts
from penstock_kernel.warden.restarts import EX_SOFTWARE, End, Plan, Restarts, is_crash
from penstock_kernel.warden.settings import WatchdogTable
from penstock_kernel.warden.told import Teller, crashed, failed, gave_up, not_cancelled, restarted

__all__ = ["BAD_INPUT", "FAILED", "CannotBegin", "Deliver", "Warden"]

FAILED = 1
"""Exit status: the run failed, or its kernel ended too often, or not in order."""
BAD_INPUT = 2
"""Exit status: it cannot be started like this, and starting it again would change nothing."""

LOOK_S = 0.03
"""Between two looks. The kernel says a hundred times a second that it moves; this costs 0.4 % of a core."""
LOOK_CLOSELY_S = 0.01
"""Between two looks at one that stands still."""
PUBLISH_NS = 200_000_000
ORPHAN_S_MAX = 30.0
"""So long, at most, may the kernel of a watchdog that died take to drain."""


class Warden:
    """Supervises one instance.

    Args:
        instance: its name.
        run_dir: its folder.
        command: the kernel's command line; what a restart adds (``--quarantine``, ``--cause``) comes behind it.
        limits: the ``[watchdog]`` table.
        notifier: tells the supervisor.
        begin: called once the instance is this watchdog's, with what closes at the end; returns what delivers alerts,
            or raises `CannotBegin`.
    """

    def __init__(
        self, instance: str, run_dir: Path, command: Sequence[str], limits: WatchdogTable | None = None, *,
        notifier: Notifier | None = None, begin: Callable[[ExitStack], Deliver] = lambda leave: lambda alert: None,
    ) -> None:  # fmt: skip
        self.instance = instance
        self.run_dir = run_dir
        self.control = run_dir / "control"
        self.condition = Condition(instance, time.monotonic_ns())
        """How it is, as of the last look; read by other threads."""
        self._command = list(command)
        self._limits = limits or WatchdogTable()
        self._teller = Teller(instance, notifier or Notifier({}))
        self._begin = begin
        self._alerts = OwnAlerts(self.control, self._teller.say)
        self._restarts = Restarts()
        self._child: Child | None = None
        self._stop = 0
        """The signal that asked for the end."""
        self._kill_waits = False
        """The kill switch was asked for, and no kernel has taken it yet."""
        self._quarantine: tuple[str, ...] = ()
        self._cause = ""
        self._ran = False
        """A kernel of this watchdog's has run: the next goes on with the deployment that was in force."""
        self._venues: tuple[str, ...] = ()
        """Those that can cancel without the kernel, as the last kernel said that knew."""

    def run(self) -> int:
        """Supervise until the kernel ends in order, fails, or ends too often; return the exit status. Main thread."""
        with ExitStack() as leave:
            try:
                self.run_dir.mkdir(parents=True, exist_ok=True)
                self.control.mkdir(mode=0o700, exist_ok=True)
                if pid := take_lock(self.control, leave):
                    already = f"instance {self.instance} runs already: its watchdog is pid {pid}; stop that first"
                    self._teller.say(already)
                    return BAD_INPUT
                self._alerts.deliver = self._begin(leave)
            except (CannotBegin, OSError) as error:
                self._teller.say(unusable(error))
                return BAD_INPUT
            leave.callback(self._alerts.see_to, 0)
            wake = self._take_signals(leave)
            self._cause, self._quarantine = msgspec.structs.astuple(read_next_start(self.control))
            self._see_orphan_gone(wake)
            while True:
                end = self._one_kernel(wake)
                if self._stop or not (end.hung or is_crash(end.status)):
                    return self._last(end)
                plan = self._judge(end)
                if not plan.restart:
                    self._alerts.tell(gave_up(self.instance, plan.why, self._cancel_outside()))
                    return FAILED
                self._rest(wake, plan.wait_ns)
                if self._stop:
                    return 0

    # -- signals ---------------------------------------------------------------------------------------------------

    def _take_signals(self, leave: ExitStack) -> selectors.BaseSelector:
        """Pass signals on from here; return what wakes the loop when one came."""
        wake = leave.enter_context(selectors.DefaultSelector())
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        leave.callback(os.close, reading)
        leave.callback(os.close, writing)
        wake.register(reading, selectors.EVENT_READ)
        leave.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writing, warn_on_full_buffer=False))
        takers = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._stopped)
        for number, taker in {**takers, signal.SIGUSR1: self._killed}.items():
            leave.callback(signal.signal, number, signal.signal(number, taker))
        return wake

    def _stopped(self, number: int, _frame: object) -> None:
        self._stop = number
        if self._child is not None:
            self._child.send(signal.SIGTERM)

    def _killed(self, _number: int, _frame: object) -> None:
        self._kill_waits = True

    # -- the kernel of a watchdog that died -------------------------------------------------------------------------

    def _see_orphan_gone(self, wake: selectors.BaseSelector) -> None:
        """Wait for the kernel that an earlier watchdog left to drain; one that hangs is named and ended as any."""
        orphan = Orphan.find(self.run_dir)
        if orphan is None:
            return
        limit_s = min(self._limits.start_limit_ms / 1e3, ORPHAN_S_MAX)
        of = f"kernel pid {orphan.pid}, whose watchdog had died"
        observer = Observer(orphan, self.run_dir, self._limits, self._alerts.tell, self._teller.say)
        try:
            until_ns = orphan.started_ns + round(limit_s * 1e9)
            hung = False
            while orphan.lives() and not hung and (now_ns := time.monotonic_ns()) < until_ns:
                _sleep(wake, LOOK_CLOSELY_S)
                hung = observer.look(now_ns)
                self._publish(Condition(self.instance, now_ns, down=f"waits for {of}"), in_hand=True)
            if hung:
                cancels = self._outside()
                orphan.end()
                cancelled = self._cancelled(cancels)
                self._judge(End(-signal.SIGKILL, of, 0, True, observer.held, observer.held_ms, cancelled))
            elif orphan.lives():
                orphan.end()
                self._teller.say(f"ended {of} and which did not drain in {limit_s:g} s")
            else:
                self._teller.say(f"waited for {of}, to drain")
        finally:
            observer.close()
            orphan.close()

    # -- one kernel ------------------------------------------------------------------------------------------------

    def _one_kernel(self, wake: selectors.BaseSelector) -> End:
        """Start a kernel and watch it to its end."""
        more = [word for name in self._quarantine for word in ("--quarantine", name)]
        more += ["--cause", self._cause] if self._cause else []
        more += ["--again"] if self._ran else []
        child = self._child = Child([*self._command, *more], self.run_dir)
        if self._stop:  # it came while there was none
            child.send(signal.SIGTERM)
        wake.register(child.pidfd, selectors.EVENT_READ)
        observer = Observer(child, self.run_dir, self._limits, self._alerts.tell, self._teller.say)
        try:
            hung = self._watch(child, observer, wake)
            cancels = None
            if hung:
                cancels = self._outside()
                child.send(signal.SIGKILL)
                self._publish(Condition(self.instance, time.monotonic_ns(), down="the kernel hung"), in_hand=True)
            wake.unregister(child.pidfd)
            status = child.reap()
            lived_ns = time.monotonic_ns() - child.started_ns
            cancelled = self._cancelled(cancels) if cancels is not None else ""
            return End(
                status, child.words(), lived_ns, hung, observer.held, observer.held_ms, cancelled, observer.failure(),
            )  # fmt: skip
        finally:
            observer.close()
            self._child = None

    def _watch(self, child: Child, observer: Observer, wake: selectors.BaseSelector) -> bool:
        """Look until the kernel ends, or hangs: then True."""
        publish_ns = 0
        while not child.ended():
            _sleep(wake, LOOK_CLOSELY_S if observer.stands_still else LOOK_S)
            now_ns = time.monotonic_ns()
            if self._stop:
                self._teller.stopping()
            if observer.look(now_ns):
                return True
            if now_ns >= publish_ns:
                publish_ns = now_ns + PUBLISH_NS
                child.pump()
                self._publish(observer.condition(self.instance, self._restarts.count), in_hand=observer.in_hand)
                self._see_to(child, observer)
                self._alerts.see_to(UNTOLD_NS)
        return False

    def _see_to(self, child: Child, observer: Observer) -> None:
        """Do what waits for the kernel to be far enough; as process 1 of a container, reap what nobody else does."""
        if os.getpid() == 1:
            reap_strangers(child.pid)
        if self._kill_waits and observer.can_be_asked:
            self._kill_waits = False
            child.send(signal.SIGUSR1)
        self._ran = self._ran or observer.phase in (Phase.READY, Phase.RECONCILING)
        if observer.phase in (Phase.READY, Phase.RECONCILING) and (self._quarantine or self._cause):
            # It has journaled why it was started and whom it left out: the next need not be told so again.
            self._know_for_next("", ())

    def _publish(self, known: Condition, *, in_hand: bool) -> None:
        self.condition = known
        self._teller.publish(known, stopping=bool(self._stop), in_hand=in_hand)

    # -- between two kernels ---------------------------------------------------------------------------------------

    def _last(self, end: End) -> int:
        """Return the exit status after the last kernel."""
        self._teller.stopping()
        if end.status > 0 and end.status not in (BAD_INPUT, EX_SOFTWARE):  # also 120: its last words met a full disk
            self._alerts.tell(failed(self.instance, end.failure or end.words))
            return FAILED
        if self._stop and (end.hung or is_crash(end.status)) and end.status != -signal.SIGTERM:
            self._judge(end, again=False)
            return FAILED
        if end.status == BAD_INPUT and self._restarts.count:  # nobody is there to read what it says
            why = f"the kernel cannot be started again: {end.words}"
            self._alerts.tell(gave_up(self.instance, why, self._cancel_outside()))
        return 0 if end.status < 0 else end.status  # SIGTERM ends one that has not begun to take signals

    def _judge(self, end: End, *, again: bool = True) -> Plan:
        """Tell of an end that should not have been, the next kernel too; return what to do about it."""
        at_ns = time.monotonic_ns()
        if not end.hung:
            self._know_for_next(f"watchdog: the kernel crashed: {end.words}", self._quarantine)
            self._alerts.tell(crashed(self.instance, end.words, end.lived_ns, again=again))
            return self._restarts.after_crash(at_ns, end.lived_ns)
        named = end.held.plugins if end.held is not None else ()
        holder = end.held or "something that could not be named"
        cause = f"watchdog: {holder} held the kernel for {end.held_ms / 1e3:.1f} s"
        self._know_for_next(cause, tuple(dict.fromkeys((*self._quarantine, *named))))
        self._alerts.tell(restarted(named, cause, end.cancelled, again=again))
        return self._restarts.after_hang(at_ns, end.lived_ns, named=bool(named))

    def _know_for_next(self, cause: str, quarantine: tuple[str, ...]) -> None:
        """Keep why and without whom the next kernel starts, also for another watchdog that starts it."""
        self._cause, self._quarantine = cause, quarantine
        keep_next_start(self.control, NextStart(cause, quarantine))

    def _rest(self, wake: selectors.BaseSelector, wait_ns: int) -> None:
        """Wait before the next start, unless told to stop."""
        until_ns = time.monotonic_ns() + wait_ns
        while (now_ns := time.monotonic_ns()) < until_ns and not self._stop:
            down = f"the kernel ended; the next starts in {(until_ns - now_ns) / 1e9:.1f} s"
            self._publish(Condition(self.instance, now_ns, down=down, restarts=self._restarts.count), in_hand=True)
            _sleep(wake, min((until_ns - now_ns) / 1e9, 0.2))

    def _outside(self) -> OutsideCancels:
        """Have the venues cancel that can do so without a kernel."""
        self._venues = venues_outside(self.control) or self._venues
        return OutsideCancels(self.run_dir, self._venues, self._limits.cancel_limit_ms / 1e3)

    def _cancelled(self, cancels: OutsideCancels) -> str:
        """Return in words what came of it; tell of each venue that did not cancel."""
        results = cancels.wait()
        for result in results:
            if result.error:
                self._alerts.tell(not_cancelled(result))
        return ", ".join(f"{result.venue} cancelled {result.orders} orders" for result in results if not result.error)

    def _cancel_outside(self) -> str:
        return self._cancelled(self._outside())


def _sleep(wake: selectors.BaseSelector, wait_s: float) -> None:
    """Wait, but not longer than until a signal comes or the kernel ends."""
    for key, _ in wake.select(wait_s):
        with suppress(BlockingIOError, OSError):
            os.read(key.fd, 512)  # of a process's descriptor nothing can be read, and nothing need be
