"""A disk that fails when it is told to: torn writes, errors once, no room for a while, power that goes.

It is the module `os` as the journal uses it, and remembers of every segment how much was written and how much a sync
has vouched for. When the power goes, of what no sync has vouched for any sectors may be missing.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["SECTOR_BYTES", "ChaosDisk"]

SECTOR_BYTES = 512


class ChaosDisk:
    """The way to the disk.

    Attributes:
        before_write: called with the bytes of every write; may raise what the system would, or return how many bytes
            are taken before the process ends, which `after_tear` then does.
        before_sync: called before every sync; may raise.
        after_call: called when a write or a sync has happened, with its name.
        after_tear: called when a torn write has been made; it raises.
    """

    def __init__(self) -> None:
        self.before_write: Callable[[bytes], int | None] = lambda data: None
        self.before_sync: Callable[[], None] = lambda: None
        self.after_call: Callable[[str], None] = lambda name: None
        self.after_tear: Callable[[], None] = lambda: None
        self._paths: dict[int, str] = {}
        self._vouched: dict[str, int] = {}
        """Bytes of each file that a sync vouches for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        """Return a descriptor."""
        fd = os.open(path, flags, mode)
        self._paths[fd] = path
        if flags & os.O_TRUNC:
            self._vouched[path] = 0
        return fd

    def close(self, fd: int) -> None:
        """Close it."""
        self._paths.pop(fd, None)
        os.close(fd)

    def rename(self, source: str, target: str) -> None:
        """Replace *target*."""
        os.rename(source, target)
        self._vouched[target] = self._vouched.pop(source, 0)
        for fd, path in self._paths.items():
            if path == source:
                self._paths[fd] = target

    def writev(self, fd: int, buffers: list[bytes | memoryview]) -> int:
        """Append the buffers, or a part of them."""
        if not self._is_journal(fd):
            return os.writev(fd, buffers)
        data = b"".join(buffers)
        torn_bytes = self.before_write(data)
        if torn_bytes is not None:
            os.write(fd, data[:torn_bytes])
            self.after_tear()
        taken = os.write(fd, data)
        self.after_call("write")
        return taken

    def fdatasync(self, fd: int) -> None:
        """Vouch for all that is written; nothing is waited for, since `lose_power` decides what is kept."""
        if self._is_journal(fd):
            self.before_sync()
        path = self._paths.get(fd, "")
        if path.endswith((".pj", ".new")):
            self._vouched[path] = os.fstat(fd).st_size
        if self._is_journal(fd):
            self.after_call("sync")

    def fsync(self, fd: int) -> None:
        """As `fdatasync`."""
        self.fdatasync(fd)

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut to *length* bytes."""
        os.ftruncate(fd, length)
        path = self._paths.get(fd, "")
        if path in self._vouched:
            self._vouched[path] = min(self._vouched[path], length)

    def lose_power(self, journal_dir: Path, rng: random.Random) -> int:
        """Leave of the newest segment what a disk without power may hold; return how many bytes have changed."""
        segments = sorted(journal_dir.glob("*.pj"))
        if not segments:
            return 0
        path = segments[-1]
        data = path.read_bytes()
        kept = min(self._vouched.get(str(path), 0), len(data))
        image = bytearray(data)
        for start in range(kept // SECTOR_BYTES * SECTOR_BYTES, len(image), SECTOR_BYTES):
            if rng.random() < 0.4:
                gone = slice(max(start, kept), min(start + SECTOR_BYTES, len(image)))
                image[gone] = bytes(gone.stop - gone.start)
        cut = rng.randint(kept, len(image)) if rng.random() < 0.7 else len(image)
        path.write_bytes(bytes(image[:cut]))
        return len(data) - cut + sum(a != b for a, b in zip(image[kept:cut], data[kept:cut], strict=True))

    def _is_journal(self, fd: int) -> bool:
        """Return whether a descriptor is that of a segment under its own name."""
        return self._paths.get(fd, "").endswith(".pj")


def no_room() -> OSError:
    """Return what a full disk says."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def io_error() -> OSError:
    """Return what a broken disk says."""
    return OSError(errno.EIO, os.strerror(errno.EIO))
