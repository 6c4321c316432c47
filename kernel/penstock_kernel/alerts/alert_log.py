"""What the kernel's alert book says, appended to ``alerts.jsonl`` between inputs: nothing twice, nothing lost.

The book keeps each change until it is told here, also over a restart; a change that the file holds already is known by
its position. What is told has been written to the journal before, so that no crash can make it unsaid.
"""

from __future__ import annotations

import time
from pathlib import Path

from penstock_kernel.alerts.lines import AlertLine, LineFile
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.alert_book import AlertChange
from penstock_sdk.events import Severity

__all__ = ["ALERTS_FILE", "AlertLog"]

ALERTS_FILE = "alerts.jsonl"
_RETRY_S = 1.0


class AlertLog:
    """Tells what changes in the kernel's alert book.

    log = AlertLog(kernel, run_dir, "desk-de")
    kernel.turns += (log.turn,)      # costs one look at an empty list
    …
    log.close()                      # after the kernel's last input

    Args:
        instance: the name that keys begin with; a run by itself gives its id.
    """

    def __init__(self, kernel: Kernel, run_dir: Path, instance: str) -> None:
        self._kernel = kernel
        self._book = kernel.alerts
        self._file = LineFile(run_dir / ALERTS_FILE)
        self._instance = instance
        self._retry_at_s = 0.0
        self._failing = False

    def turn(self) -> None:
        """Tell what has changed. While a journal is played back, forget what the file holds already."""
        if self._book.changes:
            self._tell()

    def _tell(self) -> None:
        book, kernel = self._book, self._kernel
        last = self._file.last
        fresh = [change for change in book.changes if change.position > last]
        if kernel.live and fresh:
            if self._failing and time.monotonic() < self._retry_at_s:
                return
            kernel.write()  # not told before it is written: a crash could give its number to something else
            try:
                self._file.append([self._line(change) for change in fresh])
            except OSError as error:
                self._failed(error)
                return
            self._failing = False
            fresh = []
        book.changes[:] = fresh
        if book.untold and kernel.live:
            kernel.write_log(Severity.ERROR, "alerts", f"{book.untold} changes of alerts were not told", {})
            book.untold = 0

    def _failed(self, error: OSError) -> None:
        self._retry_at_s = time.monotonic() + _RETRY_S
        if not self._failing:
            text = f"cannot be told of: {error}; they wait, and are in the journal"
            self._kernel.write_log(Severity.ERROR, "alerts", text, {})
        self._failing = True

    def _line(self, change: AlertChange) -> AlertLine:
        return AlertLine(
            key=f"{self._instance}/{change.epoch}.{change.seq}.{change.id}", instance=self._instance,
            kind=change.kind, epoch=change.epoch, seq=change.seq, id=change.id, at_ns=change.at_ns, code=change.code,
            severity=Severity(change.severity).name.lower(), subject=change.subject, met=change.met,
            wanted=change.wanted, way_out=change.way_out, count=change.count, first_ns=change.first_ns, by=change.by,
            reason=change.reason,
        )  # fmt: skip

    def close(self) -> None:
        """Tell what is left, and let go of the file. Again is harmless."""
        self._retry_at_s = 0.0
        self.turn()
        self._file.close()
