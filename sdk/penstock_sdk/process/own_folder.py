"""Folders of this process alone, as for a socket; those that a killed process left are removed by a later one.

The process holds a lock in each. Who makes a folder looks for others of its name and its user whose lock nobody holds:
their process is gone, however it ended, and so are those that it forked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["OwnFolder", "remove_left"]

_LOCK = "lock"


class OwnFolder:
    """A new folder of mode 0700, held until `remove` or the end of this process.

    Args:
        prefix: how its name begins; folders with this beginning that nobody holds any more are removed.
        parents: where it may be; the first that takes it is.

    Raises:
        OSError: none takes it.
    """

    def __init__(self, prefix: str, parents: Sequence[str]) -> None:
        fault: OSError = FileNotFoundError(f"no folder is named for {prefix}*")
        for parent in parents:
            try:
                self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # mkdtemp makes it 0700
            except OSError as error:
                fault = error
                continue
            self._lock = _held(self.path)
            remove_left(prefix, parent)
            return
        raise fault

    def remove(self) -> None:
        """Remove the folder with all in it. Again is harmless."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _held(folder: Path) -> int:
    """Return the descriptor of a locked file in *folder*; nobody sees it there before it is locked."""
    lock = os.open(folder / "new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(folder / "new", folder / _LOCK)
    return lock


def remove_left(prefix: str, parent: str | Path) -> list[str]:
    """Remove the folders of this user in *parent* that begin so and that a process left; return their names."""
    removed = []
    with suppress(OSError), os.scandir(parent) as entries:
        for name in sorted(entry.name for entry in entries if entry.name.startswith(prefix)):
            path = os.path.join(parent, name)
            with suppress(OSError):
                found = os.lstat(path)
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                    continue
                lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where a process is behind it
                    shutil.rmtree(path, ignore_errors=True)
                    removed.append(name)
                finally:
                    os.close(lock)
    return removed
