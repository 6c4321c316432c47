"""Makes an instance one watchdog's; what is said where that cannot be."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["CannotBegin", "take_lock", "unusable"]

LOCK_TRIES = 3
LOCK_AGAIN_S = 0.02
"""A command that looks whether a watchdog lives holds its lock for a moment."""


class CannotBegin(Exception):  # noqa: N818 - a state, not a fault
    """The instance cannot be looked after like this; the message says why."""


def take_lock(control: Path, leave: ExitStack) -> str:
    """Take the instance of a control folder; return the process id of the watchdog that has it, or empty.

    The lock goes with the process, however it ends.
    """
    fd = os.open(control / "warden.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    leave.callback(os.close, fd)
    for left in reversed(range(LOCK_TRIES)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if left:
                time.sleep(LOCK_AGAIN_S)
    else:
        return os.pread(fd, 32, 0).decode().strip() or "unknown"
    os.ftruncate(fd, 0)
    with suppress(OSError):  # a full disk: the lock holds, and is nameless
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return ""


def unusable(error: CannotBegin | OSError) -> str:
    """Return in one line why the instance cannot be begun."""
    if isinstance(error, CannotBegin):
        return str(error)
    text = error.strerror or str(error)
    return f"{error.filename}: {text}; wanted a folder that this user may write to, by --runs-dir or [run] runs_dir"
