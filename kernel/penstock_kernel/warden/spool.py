"""Alerts on their way from the watchdog into the journal: a file each under ``control/told``, in the order of names.

They wait there while no kernel lives. A crash between journaling one and forgetting it tells it twice, which the book
of alerts takes as one.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from penstock_kernel.warden.held import write_json
from penstock_sdk.events import Alert, Severity

__all__ = ["alerts_wait", "put_alert", "take_alerts"]

WAITING_MAX = 1_000
"""More wait for a kernel that never comes: the newest are left out."""


class _Told(msgspec.Struct, frozen=True):
    code: str
    severity: int
    subject: str
    met: str
    wanted: str
    way_out: str
    cleared: bool


def put_alert(folder: Path, alert: Alert) -> bool:
    """Leave *alert* for the kernel of the control folder *folder*; return False when too many wait already."""
    spool = folder / "told"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = sorted(path.name for path in spool.glob("*.json"))
    if len(waiting) >= WAITING_MAX:
        return False
    number = int(waiting[-1].split(".")[0]) + 1 if waiting else 1
    told = _Told(alert.code, int(alert.severity), alert.subject, alert.met, alert.wanted, alert.way_out, alert.cleared)
    write_json(spool / f"{number:012}.json", told)
    return True


def alerts_wait(folder: Path) -> bool:
    """Return whether an alert waits for a kernel of the control folder *folder*."""
    return next((folder / "told").glob("*.json"), None) is not None


def take_alerts(folder: Path) -> list[Alert]:
    """Return what waits, in order, and forget it. What cannot be read is forgotten as well.

    Cost: one look at a folder when nothing waits.
    """
    try:
        names = sorted(name for name in os.listdir(folder / "told") if name.endswith(".json"))
    except FileNotFoundError:
        return []
    alerts = []
    for name in names:
        path = folder / "told" / name
        try:
            told = msgspec.json.decode(path.read_bytes(), type=_Told)
            alerts.append(
                Alert(
                    code=told.code, severity=Severity(told.severity), subject=told.subject, met=told.met,
                    wanted=told.wanted, way_out=told.way_out, cleared=told.cleared,
                )
            )  # fmt: skip
        except (msgspec.MsgspecError, ValueError):
            pass
        path.unlink(missing_ok=True)
    return alerts
