"""The watchdog's own alerts: journaled by the kernel that lives or comes next, delivered without where none does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from penstock_kernel.warden.spool import alerts_wait, put_alert
from penstock_sdk.events import Alert

__all__ = ["UNTOLD_NS", "Deliver", "OwnAlerts"]

UNTOLD_NS = 5_000_000_000
"""So long an alert of the watchdog's own waits for a kernel that journals it, before it is delivered without."""
AGAIN_NS = 600_000_000_000
"""So long an alert of the same code, subject and severity is not delivered again from here; the journal has each."""

Deliver = Callable[[Alert], object]


class OwnAlerts:
    """Those of one watchdog.

    Args:
        control: the run's control folder.
        say: writes a line for people.
    """

    def __init__(
        self, control: Path, say: Callable[[str], object], clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._control = control
        self._say = say
        self._clock_ns = clock_ns
        self.deliver: Deliver = lambda alert: None
        """Hands an alert to the sinks."""
        self._untold: list[tuple[int, Alert]] = []
        """(since when, alert): those that no kernel has journaled yet."""
        self._delivered_ns: dict[tuple[str, str, int], int] = {}

    def tell(self, alert: Alert) -> None:
        """Tell of something: on standard error now, and in the journal by the kernel that lives or comes next."""
        self._say(f"{alert.code}: {alert.met}; {alert.way_out}")
        try:
            waits = put_alert(self._control, alert)
        except OSError:  # a full disk is no reason to be silent
            waits = False
        if waits:
            self._untold.append((self._clock_ns(), alert))
        else:
            self._deliver(alert)

    def see_to(self, wait_ns: int) -> None:
        """Deliver what no kernel has journaled for so long. One that has is delivered from what the kernel wrote."""
        if self._untold and not alerts_wait(self._control):
            self._untold.clear()
        now_ns = self._clock_ns()
        while self._untold and now_ns - self._untold[0][0] >= wait_ns:
            self._deliver(self._untold.pop(0)[1])

    def _deliver(self, alert: Alert) -> None:
        """Hand on an alert, unless the sinks have had its like: a kernel that ends again and again opens it once."""
        key, now_ns = (alert.code, alert.subject, int(alert.severity)), self._clock_ns()
        if key not in self._delivered_ns or now_ns - self._delivered_ns[key] >= AGAIN_NS:
            self._delivered_ns[key] = now_ns
            self.deliver(alert)
