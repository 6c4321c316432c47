"""Whether a watchdog holds an instance whose kernel does not answer: it is about to come back, or on its way out."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from penstock_kernel.vitals import Phase, VitalsView

__all__ = ["restarting", "warden_pid"]


def warden_pid(run_dir: Path) -> int | None:
    """Return the process of the watchdog that holds the instance, 0 when it has not said yet; None when none does."""
    try:
        fd = os.open(run_dir / "control" / "warden.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)  # lets go of what it has taken, too


def restarting(run_dir: Path) -> str:
    """Return what is so of an instance without a kernel that a watchdog holds; empty when none does."""
    pid = warden_pid(run_dir)
    if pid is None:
        return ""
    if _has_ended(run_dir):
        return f"{run_dir.name} has stopped (watchdog pid {pid} ends as well)"
    word = "restarting" if (run_dir / "run.json").exists() else "starting"
    return (
        f"{run_dir.name} is {word} (watchdog pid {pid}): no kernel takes calls yet; "
        f"`kill -USR1 {pid}` switches the kill switch on as soon as one does"
    )


def _has_ended(run_dir: Path) -> bool:
    """Return whether the kernel that ended last ended in order, under this watchdog and not before it."""
    with suppress(OSError, ValueError):
        view = VitalsView(run_dir / "vitals")
        phase = view.phase
        view.close()
        begun_ns = (run_dir / "control" / "warden.lock").stat().st_mtime_ns
        return phase == Phase.ENDED and (run_dir / "run.json").stat().st_mtime_ns > begun_ns
    return False
