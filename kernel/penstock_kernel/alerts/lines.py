"""The file between the kernel and the couriers: one JSON line per change of an alert, in order, appended only.

A crash may tear the last line; `LineFile` cuts that off when it opens the file, and whoever appends appends it again,
under the same key. A line counts from its newline on: readers take no other.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

__all__ = ["AlertLine", "LineFile", "Position", "end_of_lines", "read_lines"]

Position = tuple[int, int, int]
"""(epoch, seq, alert id): grows from line to line, and is the same for the same change after any restart."""

_TAIL_BYTES = 1 << 16
_READ_BYTES = 1 << 20


class AlertLine(msgspec.Struct, kw_only=True, frozen=True):
    """One change of one alert, as it is kept and as sinks deliver it."""

    key: str
    """The same for the same change, however often it is delivered."""
    kind: str
    """opened, escalated, repeated, acked, cleared, dropped, suppressed, test."""
    instance: str
    epoch: int
    seq: int
    """The number of the event in the journal; of a line that did not come from a kernel, its own count."""
    id: int
    at_ns: int
    """The run's time, ns UTC."""
    code: str
    severity: str
    subject: str
    met: str
    wanted: str = ""
    way_out: str = ""
    count: int = 1
    first_ns: int = 0
    by: str = ""
    reason: str = ""
    not_for: str = ""
    """The sink that this line is about: it is not handed to that one."""

    @property
    def position(self) -> Position:
        """Where it stands in its file."""
        return self.epoch, self.seq, self.id


_decoder = msgspec.json.Decoder(AlertLine)
_encoder = msgspec.json.Encoder()


class LineFile:
    """The writer's side; one process at a time. Safe to call from several threads.

    Attributes:
        last: the position of the last whole line; (0, 0, 0) before the first.
    """

    def __init__(self, path: Path) -> None:
        """Take the file up where it ends, made when the first line comes. A torn last line is cut off."""
        self.path = path
        self._lock = threading.Lock()
        self._fd: int | None = None
        self.last: Position = (0, 0, 0)
        with suppress(FileNotFoundError):
            self._open(os.O_RDWR)

    def _open(self, flags: int) -> int:
        fd = os.open(self.path, flags | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._mend(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return fd

    def _mend(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        whole, self.last = _end(fd, size)
        if whole < size:
            os.ftruncate(fd, whole)

    def append(self, lines: list[AlertLine]) -> None:
        """Append lines in one write: all of them or none.

        Raises:
            OSError: there is no room, or the disk fails; nothing was appended.
        """
        if not lines:
            return
        data = b"".join(_encoder.encode(line) + b"\n" for line in lines)
        with self._lock:
            fd = self._fd if self._fd is not None else self._open(os.O_RDWR | os.O_CREAT)
            size = os.fstat(fd).st_size
            try:
                done = os.write(fd, data)
                while done < len(data):
                    done += os.write(fd, data[done:])
            except OSError:
                with suppress(OSError):
                    os.ftruncate(fd, size)
                raise
            self.last = lines[-1].position

    def close(self) -> None:
        """Let go of the file. Again is harmless."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def end_of_lines(path: Path) -> tuple[int, Position]:
    """Return the offset behind the last whole line of a file, and that line's position; it is not changed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0, (0, 0, 0)
    try:
        return _end(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _end(fd: int, size: int) -> tuple[int, Position]:
    whole = _end_of_lines(fd, size)
    last = _last_line(fd, whole)
    return whole, last.position if last is not None else (0, 0, 0)


def _end_of_lines(fd: int, size: int) -> int:
    """Return the offset behind the last newline."""
    at = size
    while at > 0:
        begin = max(0, at - _TAIL_BYTES)
        found = os.pread(fd, at - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return 0


def _last_line(fd: int, end: int) -> AlertLine | None:
    """Return the last line that can be read, whose newline is before *end*."""
    while end > 0:
        begin = _end_of_lines(fd, end - 1)
        line = _decoded(os.pread(fd, end - begin, begin))
        if line is not None:
            return line
        end = begin
    return None


def _decoded(data: bytes) -> AlertLine | None:
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read_lines(path: Path, offset: int, after: Position, *, sync: bool = False) -> tuple[list[AlertLine], int]:
    """Return the lines behind *offset* that stand behind *after*, and the offset behind the last of them.

    An offset that is no end of a line, or lies behind the file's end, is taken for 0: the file was mended or put back,
    and *after* says what is known. Lines that cannot be read are passed over. At most some 1 MiB at a time.

    Args:
        sync: have what is read be on the disk before it is returned: what was told must not come again under
            another key after a power loss.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], 0
    try:
        size = os.fstat(fd).st_size
        if offset and os.pread(fd, 1, offset - 1) != b"\n":  # nothing at all behind the end
            offset = 0
        if offset == size:
            return [], offset
        data = os.pread(fd, _READ_BYTES, offset)
        if b"\n" not in data:  # torn, being written, or longer than any line of ours
            data = os.pread(fd, size - offset, offset)
        whole = data[: data.rfind(b"\n") + 1]
        if whole and sync:
            os.fdatasync(fd)
    finally:
        os.close(fd)
    lines = [line for part in whole.split(b"\n")[:-1] if (line := _decoded(part)) is not None]
    return [line for line in lines if line.position > after], offset + len(whole)
