"""The journal's way to the disk: the calls it makes, its lock, its fatal errors."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import Protocol

from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, JournalError, SegmentHeader, segment_path

__all__ = ["FileLayer", "JournalFatal", "JournalFull", "JournalLock", "JournalLocked", "create_segment", "write_all"]


class _Stat(Protocol):
    @property
    def st_size(self) -> int: ...


class _FsStat(Protocol):
    @property
    def f_bavail(self) -> int: ...
    @property
    def f_frsize(self) -> int: ...


class FileLayer(Protocol):
    """What the journal asks of the operating system. The module `os` is one; a test passes one that fails."""

    def open(self, path: str, flags: int, mode: int = 0o777, /) -> int:
        """Return a descriptor."""
        ...

    def close(self, fd: int, /) -> None:
        """Close it."""
        ...

    def writev(self, fd: int, buffers: list[bytes | memoryview], /) -> int:
        """Append the buffers, return how many bytes were taken."""
        ...

    def fdatasync(self, fd: int, /) -> None:
        """Make the data and the length durable."""
        ...

    def fsync(self, fd: int, /) -> None:
        """Make everything durable."""
        ...

    def posix_fadvise(self, fd: int, offset: int, length: int, advice: int, /) -> None:
        """Tell how the bytes will be used."""
        ...

    def preadv(self, fd: int, buffers: list[mmap.mmap], offset: int, /) -> int:
        """Fill the buffers from *offset* on, return how many bytes were read."""
        ...

    def ftruncate(self, fd: int, length: int, /) -> None:
        """Cut to *length* bytes."""
        ...

    def rename(self, source: str, target: str, /) -> None:
        """Replace *target*."""
        ...

    def unlink(self, path: str, /) -> None:
        """Remove it."""
        ...

    def fstat(self, fd: int, /) -> _Stat:
        """Return its size."""
        ...

    def fstatvfs(self, fd: int, /) -> _FsStat:
        """Return the room left."""
        ...


class JournalFatal(JournalError):  # noqa: N818 - named for what it is to the run
    """The journal can no longer keep what it is given; this run must not go on trusting it, and nothing is retried.

    After a failed fdatasync the next one reports success although the data is gone: only reading the files again, in a
    new start, tells what was kept.

    Attributes:
        file, errno: where and what (errno is 0 when it was no system call).
        written_seq, synced_seq: last numbers known written and known synced.
    """

    def __init__(self, file: Path, number: int, what: str, written_seq: int, synced_seq: int) -> None:
        self.file, self.errno, self.what = file, number, what
        self.written_seq, self.synced_seq = written_seq, synced_seq
        name = f"{errno.errorcode.get(number, number)}, {os.strerror(number)}: " if number else ""
        super().__init__(
            f"{file}: {name}{what}; last written seq {written_seq}, last synced seq {synced_seq}; "
            "the journal takes nothing more, mend the disk and start the run again from its files"
        )


class JournalFull(JournalFatal):
    """No room for a batch. What was torn is cut off again, so the files are whole up to ``written_seq``.

    Attributes:
        wanted_bytes: the batch that did not fit. free_bytes: what the file system had left, -1 when it does not say.
    """

    def __init__(
        self, file: Path, number: int, written_seq: int, synced_seq: int, wanted_bytes: int, free_bytes: int, cut: str
    ) -> None:
        self.wanted_bytes, self.free_bytes = wanted_bytes, free_bytes
        what = f"{wanted_bytes} bytes wanted, {free_bytes} free, {cut}"
        super().__init__(file, number, what, written_seq, synced_seq)


class JournalLocked(JournalError):  # noqa: N818 - a state, not a fault
    """Another process has the journal open; ``pid`` is its id, 0 when it did not say."""

    def __init__(self, file: Path, pid: int, what: str = "the journal is in use") -> None:
        self.file, self.pid = file, pid
        super().__init__(f"{file}: {what} by process {pid}; end that process, or start another run")


class JournalLock:
    """The right to write one journal: an flock, so it ends with the process however that ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            JournalLocked: another process, or another journal object in this one, has it.
        """
        path = directory / "lock"
        if not directory.is_dir():
            raise JournalError(f"{directory}: no such folder; give the journal folder of a run")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = os.pread(self._fd, 20, 0).strip()
            os.close(self._fd)
            raise JournalLocked(path, int(text) if text.isdigit() else 0) from None
        os.ftruncate(self._fd, 0)
        # A full disk must not keep a run from being recovered: the pid is a courtesy, the flock is the lock.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_all(files: FileLayer, fd: int, data: bytes, more: bytes = b"") -> None:
    """Write both buffers whole, going on after a short write.

    Raises:
        OSError: as the system said; EIO when it takes nothing and gives no reason.
    """
    total = len(data) + len(more)
    done = files.writev(fd, [data, more])
    while done < total:
        rest: list[bytes | memoryview] = [memoryview(data)[done:], more]
        if done >= len(data):
            rest = [memoryview(more)[done - len(data) :]]
        wrote = files.writev(fd, rest)
        if wrote <= 0:
            raise OSError(errno.EIO, "nothing was written")
        done += wrote


def sync_directory(files: FileLayer, directory: Path) -> None:
    """Make the names in *directory* durable."""
    fd = files.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.fsync(fd)
    finally:
        files.close(fd)


def create_segment(files: FileLayer, directory: Path, header: SegmentHeader) -> int:
    """Create a segment and return its descriptor, open for appending; its header and name are synced.

    The file is written under another name first: a segment never shows without its header.

    Raises:
        OSError: as the system said; nothing but a ``.new`` file is left then.
    """
    path = segment_path(directory, header.index)
    new = f"{path}.new"
    fd = files.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        write_all(files, fd, header.pack())
        files.fsync(fd)
        files.rename(new, str(path))
        sync_directory(files, directory)
    except OSError:
        files.close(fd)
        raise
    return fd


assert SEGMENT_BYTES % 8 == 0
