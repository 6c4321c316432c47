"""The courier: hands every change of an alert to every sink, each sink in a thread of its own.

It needs no kernel: it reads the run's ``alerts.jsonl``, and what others in its process have to say (that the kernel has
crashed, say) is appended to a file of its own. Both are its queues: a sink that is slow or dead is behind in reading,
which delays no other and loses nothing.

    courier = Courier(run_dir, sinks_of(deployment.tree), instance="desk-de")
    courier.start()
    courier.raise_(Alert(code="kernel.crashed", …))
    courier.flush(timeout_s=5)
    courier.close()
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from penstock_kernel.alerts.delivery import Cursor, Delivery, SinkState, write_cursors
from penstock_kernel.alerts.lines import AlertLine, LineFile, end_of_lines
from penstock_kernel.alerts.sinks import CommandSink, FileSink, LogSink, Sink, SinkError, table_name
from penstock_kernel.alerts.sinks_net import SmtpSink, WebhookSink
from penstock_kernel.alerts.tables import CommandTable, FileTable, LogTable, SinkTable, SmtpTable, WebhookTable
from penstock_sdk.events import Alert, Severity

__all__ = ["Courier", "CourierRunning", "Trial", "make_sink", "try_sinks"]

KERNEL_FILE = "alerts.jsonl"
FOLDER = "alerts"
OWN_FILE = "own.jsonl"
_BEGUN = "begun"


class CourierRunning(RuntimeError):  # noqa: N818 - what is met
    """Another courier delivers this run's alerts."""


class Trial(msgspec.Struct, frozen=True):
    """What came of a test alert at one sink."""

    name: str
    kind: str
    ok: bool
    text: str
    took_s: float


def make_sink(table: SinkTable) -> Sink:
    """Return the sink that a table describes."""
    if isinstance(table, FileTable):
        return FileSink(table)
    if isinstance(table, CommandTable):
        return CommandSink(table)
    if isinstance(table, SmtpTable):
        return SmtpSink(table)
    if isinstance(table, WebhookTable):
        return WebhookSink(table)
    assert isinstance(table, LogTable), table
    return LogSink()


def try_sinks(tables: Sequence[SinkTable], instance: str) -> list[Trial]:
    """Send a test alert to every sink at once, whatever it wants; return what came of each, in their order."""
    now_ns = time.time_ns()
    line = AlertLine(
        key=f"{instance}/test/{now_ns}", kind="test", instance=instance, epoch=0, seq=0, id=0, at_ns=now_ns,
        code="alerts.test", severity="info", subject=instance, met="an operator's test", wanted="that this arrives",
        way_out="nothing is to be done",
    )  # fmt: skip

    def attempt(table: SinkTable) -> Trial:
        begun_s = time.monotonic()
        try:
            make_sink(table).deliver(line)
        except Exception as error:
            text = str(error) if isinstance(error, SinkError) else f"{type(error).__name__}: {error}"
            return Trial(table_name(table), table.kind, False, text, time.monotonic() - begun_s)
        return Trial(table_name(table), table.kind, True, "delivered", time.monotonic() - begun_s)

    if not tables:
        return []
    with ThreadPoolExecutor(len(tables)) as pool:
        return list(pool.map(attempt, tables))


class Courier:
    """One for a run at a time; its threads end with `close`, or with the process.

    Args:
        run_dir: the run's folder, which exists. What the courier keeps is in ``alerts/`` there.
        tables: the sinks, each with a name.
        sinks: by name, in place of those that the tables describe.
        log: takes a line of text about the courier itself.

    Raises:
        CourierRunning: another process delivers this run's alerts.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        run_dir: Path,
        tables: Sequence[SinkTable],
        *,
        instance: str,
        sinks: dict[str, Sink] | None = None,
        log: Callable[[str], object] | None = None,
    ) -> None:
        self._folder = run_dir / FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock_fd = _locked(self._folder / "courier.lock", run_dir)
        self._instance = instance
        self._log = log or _say
        self._sources = {KERNEL_FILE: run_dir / KERNEL_FILE, OWN_FILE: self._folder / OWN_FILE}
        self._raising = threading.Lock()
        self._own = LineFile(self._sources[OWN_FILE])
        self._own_seq = self._own.last[1]
        self._stop = False
        self._begin_cursors([table_name(table) for table in tables])
        self._deliveries = [
            Delivery(
                table, (sinks or {}).get(table_name(table)) or make_sink(table),
                self._cursor_path(table_name(table)), self._sources, instance=instance,
                on_failing=self._sink_failing, log=self._log,
            )
            for table in tables
        ]  # fmt: skip
        self._wake = [threading.Event() for _ in tables]
        self._threads: list[threading.Thread] = []

    def _cursor_path(self, name: str) -> Path:
        return self._folder / f"{name}.cursor"

    def _begin_cursors(self, names: list[str]) -> None:
        """Let the first sinks of a run begin with its first alert, and one that is added later with the next."""
        begun = self._folder / _BEGUN
        later = begun.exists()
        for name in names:
            path = self._cursor_path(name)
            if not path.exists():
                write_cursors(
                    path, {key: _end_of(source) if later else Cursor() for key, source in self._sources.items()}
                )
        begun.touch()

    def start(self) -> None:
        """Begin to deliver."""
        for delivery, wake in zip(self._deliveries, self._wake, strict=True):
            thread = threading.Thread(
                target=self._deliver, args=(delivery, wake), name=f"alerts-{delivery.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _deliver(self, delivery: Delivery, wake: threading.Event) -> None:
        while not self._stop:
            try:
                wait_s = delivery.step(time.monotonic())
            except Exception as error:  # as when the disk fails: this sink waits, and the others go on
                self._log(f"alerts: {delivery.name}: {type(error).__name__}: {error}")
                wait_s = 5.0
            if wait_s and not self._stop:
                wake.wait(wait_s)
                wake.clear()

    # -- what is said here -----------------------------------------------------------------------------------------

    def raise_(self, alert: Alert, *, not_for: str = "") -> None:
        """Tell the sinks of something that no kernel journals, or not now. Safe from any thread; never raises.

        It is kept in a file, so that it is delivered though this process may end; where the disk is full it is
        delivered from memory.
        """
        with self._raising:
            self._own_seq, now_ns = self._own_seq + 1, time.time_ns()
            line = AlertLine(
                key=f"{self._instance}/own/{now_ns}.{self._own_seq}", kind="cleared" if alert.cleared else "opened",
                instance=self._instance, epoch=0, seq=self._own_seq, id=self._own_seq, at_ns=now_ns,
                code=alert.code, severity=Severity(alert.severity).name.lower(), subject=alert.subject, met=alert.met,
                wanted=alert.wanted, way_out=alert.way_out, not_for=not_for,
            )  # fmt: skip
            try:
                self._own.append([line])
            except OSError as error:
                self._log(f"alerts: {self._own.path}: {error}; {line.code} is delivered from memory")
                for delivery in self._deliveries:
                    delivery.urgent.append(line)
        for wake in self._wake:
            wake.set()

    def _sink_failing(self, name: str, error: str) -> None:
        """Tell the other sinks that one fails, or works again: once each time, so that two dead ones come to rest."""
        self._log(f"alerts: sink {name} " + (f"fails: {error}" if error else "works again"))
        self.raise_(
            Alert(
                code="alerts.sink_failed", severity=Severity.ERROR, subject=name, met=error or "it delivers again",
                wanted="a sink that takes alerts", way_out=f"mend what the sink {name} names; what waits is kept",
                cleared=not error,
            ),
            not_for=name,
        )  # fmt: skip

    # -- looking, and leaving --------------------------------------------------------------------------------------

    def states(self) -> list[SinkState]:
        """Return how each sink does."""
        return [delivery.state for delivery in self._deliveries]

    def flush(self, timeout_s: float) -> bool:
        """Wait until every sink has what there is; return whether that came within *timeout_s*."""
        until_s = time.monotonic() + timeout_s
        for wake in self._wake:
            wake.set()
        while not all(delivery.caught_up() for delivery in self._deliveries):
            if time.monotonic() >= until_s:
                return False
            time.sleep(0.01)
        return True

    def close(self, timeout_s: float = 1.0) -> None:
        """End the threads. One that waits for its sink ends with the process. Again is harmless."""
        self._stop = True
        for wake in self._wake:
            wake.set()
        until_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        self._own.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def _end_of(path: Path) -> Cursor:
    """Return the cursor behind all that a file holds."""
    return Cursor(*end_of_lines(path))


def _locked(path: Path, run_dir: Path) -> int | None:
    """Return the descriptor that holds the lock."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
        os.close(fd)
        raise CourierRunning(f"alerts of {run_dir} are delivered by process {pid}; end it first") from None
    os.ftruncate(fd, 0)
    with suppress(OSError):  # a full disk is no reason to deliver nothing
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd
