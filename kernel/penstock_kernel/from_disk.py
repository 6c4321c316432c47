"""Reading what is on the disk, not what the page cache says of it.

After a failed sync the system may keep the pages, call them clean, and give them to every reader until they are
dropped: a restart would trust bytes that a power loss takes away. Only bytes after the last good sync can be such.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from pathlib import Path
from typing import Final

from penstock_kernel.journal_files import FileLayer, JournalFatal

__all__ = ["read_anew"]

_PIECE_BYTES: Final = 1 << 20
_PAGE_MASK: Final = -4096
_DIRECT: Final = getattr(os, "O_DIRECT", 0)


def read_anew(files: FileLayer, path: Path, offset: int) -> int:
    """Have the bytes of *path* from *offset* on come from the disk at the next read; return how many were compared.

    What only the cache has is written back, the cache is dropped, and where the file system can read past it
    (``O_DIRECT``) what is read is held against the disk. 0: this file system cannot, so pages that another process
    keeps mapped may stay.

    Raises:
        JournalFatal: the disk does not take what the cache has, or holds other bytes than are read.

    Cost: the bytes from *offset* on are read twice.
    """
    begin = offset & _PAGE_MASK
    try:
        fd = files.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.fsync(fd)
            files.posix_fadvise(fd, begin, 0, os.POSIX_FADV_DONTNEED)
            return _compare(files, fd, path, begin)
        finally:
            files.close(fd)
    except OSError as error:
        raise JournalFatal(path, error.errno or 0, "reading it from the disk, before recovery", -1, -1) from error


def _compare(files: FileLayer, fd: int, path: Path, begin: int) -> int:
    direct = -1
    if _DIRECT:
        with contextlib.suppress(OSError):  # tmpfs, some network file systems
            direct = files.open(str(path), os.O_RDONLY | os.O_CLOEXEC | _DIRECT)
    if direct < 0:
        return 0
    at = begin
    try:
        with mmap.mmap(-1, _PIECE_BYTES) as piece:  # aligned, as O_DIRECT wants it
            while taken := _read_past(files, direct, piece, at):
                if piece[:taken] != os.pread(fd, taken, at):
                    what = (
                        f"bytes {at} to {at + taken} are not on the disk as they are read, which a failed sync leaves; "
                        "a process that still reads this run keeps them: end it"
                    )
                    raise JournalFatal(path, 0, what, -1, -1)
                at += taken
                if taken & ~_PAGE_MASK:
                    break  # the end: O_DIRECT cannot begin in the middle of a block
    finally:
        files.close(direct)
    return at - begin


def _read_past(files: FileLayer, direct: int, piece: mmap.mmap, at: int) -> int:
    """Read past the cache; 0 at the end, and on a file system that opens a file so and then will not read it."""
    try:
        return files.preadv(direct, [piece], at)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return 0
        raise
