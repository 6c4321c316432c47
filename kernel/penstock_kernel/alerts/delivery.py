"""What one sink has been given: its cursor, its rate limit, its retries. A state machine that is told the time.

Delivered at least once: the cursor moves when the sink has taken a line, and is on the disk before the next is tried.
A crash between the two delivers that line again, under the same key.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from penstock_kernel.alerts.lines import AlertLine, Position, read_lines
from penstock_kernel.alerts.sinks import Sink, SinkError
from penstock_kernel.alerts.tables import SinkTable
from penstock_kernel.runs import write_atomically

__all__ = ["POLL_S", "Cursor", "Delivery", "SinkState", "write_cursors"]

POLL_S = 0.2
"""How often a sink looks for new lines."""
RETRY_S = 1.0
RETRY_S_MAX = 60.0
FAILING_AT = 3
"""Attempts of one line that failed before the sink counts as failing."""
URGENT_MAX = 100

_SEVERITIES = {"unknown": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}


class Cursor(msgspec.Struct):
    """How far a sink has read one file."""

    offset: int = 0
    position: Position = (0, 0, 0)
    """Of the last line that was delivered, or passed over."""


class SinkState(msgspec.Struct, kw_only=True):
    """How a sink does, since the courier began."""

    name: str
    kind: str
    delivered: int = 0
    failed_attempts: int = 0
    suppressed: int = 0
    given_up: int = 0
    """Lines that were refused, or tried for too long."""
    failing: bool = False
    last_error: str = ""


class _Saved(msgspec.Struct):
    cursors: dict[str, Cursor] = {}
    suppressed: dict[str, int] = {}
    """Counted by code, not yet told."""
    severity: str = "info"


def write_cursors(path: Path, cursors: dict[str, Cursor]) -> None:
    """Keep cursors at *path*."""
    write_atomically(path, msgspec.json.encode(_Saved(cursors=cursors)))


def _read(path: Path) -> _Saved:
    """Return what is kept at *path*; nothing where it is missing or torn: then all is delivered again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Saved)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Saved()


class _Source:
    """One file being read: the lines fetched, and where the cursor will stand behind them."""

    def __init__(self, path: Path, cursor: Cursor) -> None:
        self.path, self.cursor = path, cursor
        self.lines: deque[AlertLine] = deque()
        self.seen = -1
        """The file's size at the last look."""
        self._end = cursor.offset

    def size(self) -> int:
        """Return the file's size in bytes, 0 where it is missing."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def fetch(self) -> bool:
        """Fetch more lines when all that were fetched are done; return whether there was anything new."""
        if self.lines:
            return True
        self.seen = self.size()
        if self.seen == self.cursor.offset:
            return False
        before = self.cursor.offset
        found, self._end = read_lines(self.path, before, self.cursor.position, sync=True)
        self.lines.extend(found)
        if not found:
            self.cursor.offset = self._end
        return bool(found) or self._end != before

    def done(self, line: AlertLine) -> bool:
        """Move the cursor behind *line*, the first of those fetched; return whether it was the last of them."""
        assert self.lines[0] is line
        self.lines.popleft()
        self.cursor.position = line.position
        if not self.lines:
            self.cursor.offset = self._end
        return not self.lines


class Delivery:
    """One sink's lines on their way.

    Args:
        table: what the sink wants and how fast.
        cursor_path: where its cursors are kept; read now.
        sources: the files to read, by the name that their cursor has.
        on_failing: told (name, error) when the sink begins to fail, and (name, "") when it works again.
    """

    def __init__(
        self,
        table: SinkTable,
        sink: Sink,
        cursor_path: Path,
        sources: dict[str, Path],
        *,
        instance: str,
        on_failing: Callable[[str, str], None] = lambda name, error: None,
        log: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.name = table.name or table.kind
        self.state = SinkState(name=self.name, kind=table.kind)
        self.urgent: deque[AlertLine] = deque(maxlen=URGENT_MAX)
        """Lines that no file could take, as on a full disk."""
        self._table, self._sink, self._cursor_path, self._instance = table, sink, cursor_path, instance
        self._on_failing, self._log = on_failing, log
        self._saved = _read(cursor_path)
        self._sources = [
            _Source(path, self._saved.cursors.setdefault(name, Cursor())) for name, path in sources.items()
        ]
        self._save_failed = False
        self._rest: list[int] | None = None
        """What the files held when there was nothing to do; None while there may be something."""
        self._read_on = False
        self._tokens = float(table.per_minute_max)
        self._tokens_at_s: float | None = None
        self._line: AlertLine | None = None
        self._source: _Source | None = None
        self._begun_s = self._retry_at_s = 0.0
        self._attempts = 0

    # -- steps -----------------------------------------------------------------------------------------------------

    def step(self, now_s: float) -> float:
        """Do the next thing that is due, one attempt at most; return the seconds until there may be more to do."""
        self._rest = None
        if self._line is None and not self._choose(now_s):
            if self._read_on:
                return 0.0
            self._rest = [source.seen for source in self._sources]
            return POLL_S
        if now_s < self._retry_at_s:
            return self._retry_at_s - now_s
        self._attempt(now_s)
        return 0.0 if self._line is None else max(0.0, self._retry_at_s - now_s)

    def caught_up(self) -> bool:
        """Return whether all that the files hold is delivered, or counted. Any thread may ask."""
        # In this order: what is urgent is taken after `_rest` was forgotten.
        return not self.urgent and self._rest == [source.size() for source in self._sources]

    def _choose(self, now_s: float) -> bool:
        """Take the next line that is wanted and may leave now; return whether there is one."""
        while self.urgent:
            line = self.urgent.popleft()
            if self._wants(line):
                self._begin(line, None, now_s)
                return True
        self._read_on = False
        for source in self._sources:
            self._read_on |= source.fetch()
            while source.lines:
                line = source.lines[0]
                if not self._wants(line):
                    self._pass(source, line)
                elif self._take_token(now_s, line.severity == "critical"):
                    self._begin(line, source, now_s)
                    return True
                else:
                    self._suppress(line)
                    self._pass(source, line)
        if self._saved.suppressed and self._take_token(now_s, critical=False):
            self._begin(self._digest(), None, now_s)
            return True
        return False

    def _begin(self, line: AlertLine, source: _Source | None, now_s: float) -> None:
        self._line, self._source = line, source
        self._begun_s, self._retry_at_s, self._attempts = now_s, now_s, 0

    def _attempt(self, now_s: float) -> None:
        line = self._line
        assert line is not None
        try:
            self._sink.deliver(line)
        except Exception as error:  # a sink's own bug must not end its thread
            met = error if isinstance(error, SinkError) else SinkError(f"{type(error).__name__}: {error}")
            self._failed(met, now_s)
            return
        self.state.delivered += 1
        if self.state.failing:
            self.state.failing = False
            self._on_failing(self.name, "")
        self._finish(line)

    def _failed(self, error: SinkError, now_s: float) -> None:
        state, line = self.state, self._line
        assert line is not None
        self._attempts += 1
        state.failed_attempts += 1
        state.last_error = str(error)
        over = now_s - self._begun_s >= self._table.give_up_s
        if (error.permanent or over or self._attempts >= FAILING_AT) and not state.failing:
            state.failing = True
            self._on_failing(self.name, str(error))
        if error.permanent or over:
            state.given_up += 1
            self._log(f"alerts: {line.key} was not delivered to {self.name}: {error}")
            self._finish(line)
            return
        wait_s = min(RETRY_S * 2 ** min(self._attempts - 1, 10), RETRY_S_MAX)
        self._retry_at_s = now_s + max(wait_s, error.retry_after_s or 0.0)

    def _finish(self, line: AlertLine) -> None:
        source, self._line, self._source = self._source, None, None
        if source is not None:
            source.done(line)
        elif line.kind == "suppressed":
            self._saved.suppressed.clear()
            self._saved.severity = "info"
        self._save()

    def _pass(self, source: _Source, line: AlertLine) -> None:
        if source.done(line):  # once for all that were fetched: what is passed over again does no harm
            self._save()

    def _save(self) -> None:
        try:
            write_atomically(self._cursor_path, msgspec.json.encode(self._saved))
            self._save_failed = False
        except OSError as error:
            if not self._save_failed:
                self._log(f"alerts: {self._cursor_path}: {error}; after a restart {self.name} repeats itself")
            self._save_failed = True

    # -- what it wants, and how much -------------------------------------------------------------------------------

    def _wants(self, line: AlertLine) -> bool:
        table = self._table
        return (
            line.not_for != self.name
            and _SEVERITIES.get(line.severity, 4) >= _SEVERITIES[table.min_severity]
            and line.kind in table.changes
            and any(fnmatchcase(line.code, pattern) for pattern in table.codes)
        )

    def _take_token(self, now_s: float, critical: bool) -> bool:
        """Return whether a line may leave now. The last quarter of a minute's lines is for critical ones."""
        most = self._table.per_minute_max
        if not most:
            return True
        since_s = 0.0 if self._tokens_at_s is None else now_s - self._tokens_at_s
        self._tokens_at_s = now_s
        self._tokens = min(float(most), self._tokens + since_s * most / 60)
        if self._tokens < 1 + (0 if critical else most // 4):
            return False
        self._tokens -= 1
        return True

    def _suppress(self, line: AlertLine) -> None:
        self.state.suppressed += 1
        counts = self._saved.suppressed
        counts[line.code] = counts.get(line.code, 0) + 1
        if _SEVERITIES.get(line.severity, 4) > _SEVERITIES[self._saved.severity]:
            self._saved.severity = line.severity

    def _digest(self) -> AlertLine:
        """Return the line that stands for those that were suppressed."""
        counts = Counter(self._saved.suppressed)
        total = counts.total()
        some = ", ".join(f"{count} {code}" for code, count in counts.most_common(10))
        newest = max((source.cursor.position for source in self._sources), default=(0, 0, 0))
        where = ".".join(map(str, newest))
        return AlertLine(
            key=f"{self._instance}/suppressed/{self.name}/{where}", kind="suppressed", instance=self._instance,
            epoch=newest[0], seq=newest[1], id=newest[2], at_ns=time.time_ns(), code="alerts.suppressed",
            severity=self._saved.severity, subject=self.name, met=f"{total} more suppressed: {some}",
            wanted=f"at most {self._table.per_minute_max} a minute", way_out="see what is open with `penstock alerts`",
            count=total,
        )  # fmt: skip
