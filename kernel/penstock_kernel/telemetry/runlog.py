"""The run's log: a JSON object a line, rotated by size, so that weeks do not fill a disk.

```
{"time":"2026-03-10T08:15:00.000000001Z","severity":"warning","plugin":"mm_wide","text":"quote is old",
 "fields":{"age_s":3},"seq":812,"correlation_seq":809,"trace_id":"…","wall_ns":…}
```
``time`` is the run's. ``trace_id`` is that of the spans of the same input.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from errno import ENOSPC
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.telemetry.ids import trace_id
from penstock_sdk.events import Severity

__all__ = ["LOG_NAME", "LogEntry", "RunLog", "entries", "log_files", "log_line", "shown_entry", "utc_text"]

LOG_NAME = "log.jsonl"


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line, as read."""

    time: str
    """The run's time, UTC."""
    severity: str
    plugin: str
    """The instance that said it, or the part of the kernel."""
    text: str
    fields: dict[str, Any] = {}
    seq: int = 0
    """The event at hand."""
    correlation_seq: int = 0
    """The input at its root."""
    trace_id: str = ""
    wall_ns: int = 0
    """The machine's time, ns UTC."""


_DECODER = msgspec.json.Decoder(LogEntry)


def utc_text(at_ns: int) -> str:
    """Return a time as RFC 3339 with nanoseconds; of a time outside the years 1 to 9999, the number."""
    try:
        return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000:09d}Z"
    except (OverflowError, ValueError, OSError):
        return str(at_ns)


def log_line(
    severity: Severity, plugin: str, text: str, fields: dict[str, Any], *, at_ns: int, wall_ns: int, seq: int,
    correlation_seq: int, instance: str,
) -> str:  # fmt: skip
    """Return one line. Fields that JSON does not carry stand as their text. Cost: some 5 µs."""
    entry = LogEntry(
        time=utc_text(at_ns), severity=severity.name.lower(), plugin=plugin, text=text, fields=fields, seq=seq,
        correlation_seq=correlation_seq, trace_id=f"{trace_id(instance, correlation_seq):032x}", wall_ns=wall_ns,
    )  # fmt: skip
    try:
        line = msgspec.json.encode(entry, enc_hook=str)
    except Exception:  # a key that is no text, a lone surrogate, a nest without end: the line itself must come
        plain = {_clean(str(key)): _clean(repr(value)) for key, value in fields.items()}
        line = msgspec.json.encode(msgspec.structs.replace(entry, text=_clean(text), fields=plain))
    return line.decode() + "\n"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class RunLog:
    """Appends lines to ``log.jsonl`` of a run; full ones become ``log.1.jsonl`` (the newest) and so on.

    Args:
        run_dir: the run's folder.
        max_bytes: a new file is begun before one grows beyond this.
        keep: full files that are kept.
        stem: what the files are called, in place of ``log``.

    A full file that cannot be replaced is written on, up to twice its size, and the next line tries again.
    """

    def __init__(self, run_dir: Path, max_bytes: int = 64 << 20, keep: int = 4, stem: str = "log") -> None:
        self._path, self._stem = run_dir / f"{stem}.jsonl", stem
        self._max_bytes, self._keep = max_bytes, keep
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._bytes = os.fstat(self._fd).st_size
        # A crash, or a disk that is full, tears a line: the next one must not become a part of it.
        self._torn = self._bytes > 0 and os.pread(self._fd, 1, self._bytes - 1) != b"\n"

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: the disk does not take it, or not all of it; or the log is closed.
        """
        data = line.encode()
        if self._bytes and self._bytes + len(data) > self._max_bytes:
            try:
                self._rotate()
            except OSError:
                if self._bytes + len(data) > 2 * self._max_bytes:
                    raise
        if self._torn:
            data = b"\n" + data
        written = os.write(self._fd, data)
        self._bytes += written
        self._torn = data[:written][-1:] != b"\n"
        if written < len(data):
            raise OSError(ENOSPC, f"{os.strerror(ENOSPC)}, {written} of {len(data)} bytes were written", self._path)

    def _rotate(self) -> None:
        """Begin a new file. Whatever fails leaves the old one open: its number is never another file's meanwhile."""
        fresh = self._path.with_name(f"{self._stem}.next.jsonl")
        fd = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self._make_room()
            fresh.replace(self._path)
        except OSError:
            os.close(fd)
            raise
        old, self._fd, self._bytes, self._torn = self._fd, fd, 0, False
        with suppress(OSError):
            os.close(old)

    def _make_room(self) -> None:
        """Move the files on by one, as far as the first number that is free: what failed midway is not moved twice."""
        files = [self._path, *(self._path.with_name(f"{self._stem}.{n}.jsonl") for n in range(1, self._keep + 1))]
        free = next((place for place, path in enumerate(files) if not path.exists()), self._keep)
        for place in range(free, 0, -1):
            files[place - 1].replace(files[place])

    def close(self) -> None:
        """Let go of the file. Again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def log_files(run_dir: Path) -> list[Path]:
    """Return a run's log files, oldest first."""
    old = [path for path in run_dir.glob("log.*.jsonl") if path.name.split(".")[1].isdigit()]
    old.sort(key=lambda path: -int(path.name.split(".")[1]))
    return [*old, *(path for path in (run_dir / LOG_NAME,) if path.exists())]


def entries(lines: Iterable[bytes], *, plugin: str = "", min_severity: Severity = Severity.INFO) -> Iterator[LogEntry]:
    """Yield the entries that are wanted; lines that are torn or no entries are passed over."""
    wanted = {severity.name.lower() for severity in Severity if severity >= min_severity}
    for line in lines:
        try:
            entry = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if entry.severity in wanted and (not plugin or entry.plugin == plugin):
            yield entry


def shown_entry(entry: LogEntry) -> str:
    """Return an entry as people read it, on one line."""
    more = "".join(f" {key}={value}" for key, value in entry.fields.items())
    text = " ".join(f"{entry.text}{more}".split())
    return f"{entry.time[:23]}Z {entry.severity:8} {entry.plugin}: {text}  [seq {entry.seq}]"
