"""What stands beside a kernel in its process: its control socket, its alerts' file, its watchdog's questions, its disk.

All of it is served between inputs, on the kernel's own thread, and none of it is needed to run.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from penstock_kernel.alerts.alert_log import AlertLog
from penstock_kernel.control.server import ControlServer
from penstock_kernel.disk import DiskForecast, DiskWatch
from penstock_kernel.warden.in_kernel import install
from penstock_sdk.events import Alert, Severity

if TYPE_CHECKING:
    from penstock_kernel.run import Run

__all__ = ["Services"]

_DISK_EVERY_NS = 5_000_000_000


class Services:
    """The services of a run; make them once its journal is locked, `close` them before it is let go.

    Attributes:
        disk: what is to be expected of the run's disk, as of the last look; None before the first.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.disk: DiskForecast | None = None
        self._watch = DiskWatch(run.dir, begun_ns=run.info.started_ns)
        self._disk_due_ns = 0
        self._leave = ExitStack()
        self._alerts = self._alert_log()
        self.control = ControlServer(run)
        self._leave.callback(self.control.close)
        self._answers = install(run) if threading.current_thread() is threading.main_thread() else None
        if self._answers is not None:
            self._leave.callback(self._answers.close)
        run.observers.append(self._turn)

    def attached(self) -> None:
        """Tell the watchdog who there is, before any of them does anything that may hang."""
        if self._answers is not None:
            self._answers.announce()

    def _alert_log(self) -> AlertLog:
        self._kernel = self._run.kernel
        return AlertLog(self._kernel, self._run.dir, self._run.info.id)

    def _turn(self) -> None:
        if self._run.kernel is not self._kernel:  # taken up: the book that counts is another
            self._alerts.close()
            self._alerts = self._alert_log()
        self._alerts.turn()
        now_ns = time.monotonic_ns()
        if now_ns >= self._disk_due_ns:
            self._disk_due_ns = now_ns + _DISK_EVERY_NS
            self._look_at_disk()

    def _look_at_disk(self) -> None:
        try:
            self.disk = found = self._watch.sample(time.time_ns())
        except OSError:
            return  # the folder is gone: the journal tells
        if found.changed and self._run.live:
            self._run.kernel.later(
                Alert(
                    code="disk.low", severity=Severity.ERROR, subject=str(self._run.dir),
                    met=found.low or "room again", wanted="room for days of the journal",
                    way_out="make room, or move old runs away; a full disk ends the run", cleared=not found.low,
                )
            )  # fmt: skip

    def close(self) -> None:
        """Tell what is left, answer nobody any more. Again is harmless."""
        self._alerts.close()
        self._leave.close()
