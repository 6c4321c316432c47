"""Where alerts go on this machine: a line on standard error, a file, a program. `sinks_net` has those beyond it.

A sink delivers one line at a time and says what came of it: it returns, or raises `SinkError`. It keeps no queue and
tries nothing twice; `Courier` does that.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from penstock_kernel.alerts.lines import AlertLine
from penstock_kernel.alerts.tables import CommandTable, FileTable, SinkTable

__all__ = ["CommandSink", "FileSink", "LogSink", "Sink", "SinkError", "log_text", "one_line", "person_text"]

_PRIORITIES = {"info": 6, "warning": 4, "error": 3, "critical": 2}
_ERROR_CHARS_MAX = 300
_TEMPLATE_FIELDS = ("code", "severity", "subject", "kind", "instance", "key")


class SinkError(Exception):
    """A line that was not delivered.

    Attributes:
        permanent: this line never will be: it is the line that is refused, not the moment.
        retry_after_s: what the other side asked to wait; None leaves it to the courier.
    """

    def __init__(self, text: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(one_line(text)[:_ERROR_CHARS_MAX])
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """One way out. Called by one thread."""

    def deliver(self, line: AlertLine) -> None:
        """Return when *line* is delivered.

        Raises:
            SinkError: it was not.
        """


def one_line(text: str) -> str:
    """Return *text* on one line, without what a terminal or a mail header would take for more than text."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def log_text(line: AlertLine) -> str:
    """Return *line* as ``key=value`` on one line: ``alert=opened severity=error code=disk.low …``."""
    words = [("alert", line.kind), ("severity", line.severity), ("code", line.code), ("instance", line.instance)]
    more = [
        ("subject", line.subject), ("met", line.met), ("wanted", line.wanted), ("way_out", line.way_out),
        ("by", line.by), ("reason", line.reason),
    ]  # fmt: skip
    words += [(key, value) for key, value in more if value]
    if line.count > 1:
        words.append(("count", str(line.count)))
    words.append(("key", line.key))
    return " ".join(f"{key}={_word(value)}" for key, value in words)


def _word(text: str) -> str:
    text = one_line(text)
    if re.fullmatch(r'[^\s"=\\]+', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def person_text(line: AlertLine) -> str:
    """Return *line* for a person, on one line: `ERROR disk.low at desk-de: …`."""
    what = "" if line.kind == "opened" else f" {line.kind}"
    who = f" by {line.by}" if line.by else ""
    parts = [line.met, line.wanted and f"wanted: {line.wanted}", line.way_out and f"way out: {line.way_out}"]
    if line.reason:
        parts = [line.reason]
    times = f" ({line.count} times)" if line.count > 1 else ""
    said = "; ".join(part for part in parts if part)
    subject = f" {line.subject}" if line.subject else ""
    return one_line(f"{line.severity.upper()} {line.code}{what}{who} at {line.instance}{subject}: {said}{times}")


class LogSink:
    """A line on standard error; where the system's journal reads it, with its priority."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._prefixed = "JOURNAL_STREAM" in os.environ

    def deliver(self, line: AlertLine) -> None:
        """Write the line."""
        prefix = f"<{_PRIORITIES.get(line.severity, 5)}>" if self._prefixed else ""
        try:
            (self._write or _to_stderr)(f"{prefix}{log_text(line)}\n")
        except OSError as error:
            raise SinkError(f"standard error: {error}") from None


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)  # looked up now: whoever runs us may have replaced it
    sys.stderr.flush()


class FileSink:
    """JSON lines in a file. The one that would grow too large becomes ``path.1``, that one ``path.2`` …"""

    def __init__(self, table: FileTable) -> None:
        self._path = Path(table.path)
        self._bytes_max = int(table.max_mb * 1_000_000)
        self._keep = table.keep

    def deliver(self, line: AlertLine) -> None:
        """Append the line; what a full disk or a crash left of one is ended first, so that readers find lines."""
        data = msgspec.json.encode(line) + b"\n"
        try:
            with suppress(FileNotFoundError):
                if self._path.stat().st_size + len(data) > self._bytes_max:
                    self._rotate()
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    data = b"\n" + data
                written = os.write(fd, data)
                if written < len(data):
                    os.ftruncate(fd, size)
                    raise SinkError(f"{self._path}: {written} of {len(data)} bytes written, the disk is full")
            finally:
                os.close(fd)
        except OSError as error:
            raise SinkError(f"{self._path}: {error.strerror or error}") from None

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")


class CommandSink:
    """A program of one's own: the line as JSON on its standard input, its exit status is the answer."""

    def __init__(self, table: CommandTable) -> None:
        self._argv = table.argv
        self._timeout_s = table.timeout_s

    def deliver(self, line: AlertLine) -> None:
        """Run the program; at the deadline it is ended, with all that it started."""
        argv = [_filled(word, line) for word in self._argv]
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise SinkError(f"{argv[0]}: {error.strerror or error}") from None
        try:
            _, said = process.communicate(msgspec.json.encode(line) + b"\n", timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            raise SinkError(f"{argv[0]} took more than {self._timeout_s:g} s") from None
        finally:
            _end_group(process)
        if process.returncode:
            text = f"{argv[0]} exited with {process.returncode}: {said.decode(errors='replace')[-_ERROR_CHARS_MAX:]}"
            # 65 is EX_DATAERR of sysexits: the program says that this line is not for it.
            raise SinkError(text, permanent=process.returncode == os.EX_DATAERR)


def _filled(word: str, line: AlertLine) -> str:
    """Return one argument with its fields filled in; a value can neither add arguments nor hold a zero byte."""
    for name in _TEMPLATE_FIELDS:
        word = word.replace("{" + name + "}", one_line(getattr(line, name)))
    return word


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a program and of what it started: its process group is its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def table_name(table: SinkTable) -> str:
    """Return the sink's name; its kind where it has none."""
    return table.name or table.kind
