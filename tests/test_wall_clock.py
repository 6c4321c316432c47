"""A run in real time that is told to stop drains: its orders end, its journal, tables and report are complete."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from day_runs import DEADLINE_S, DayRun, deployment, only_run, read_entries, session_commands, wait_for

from penstock_kernel.interrupts import begun
from penstock_kernel.lake import query
from penstock_kernel.replay import replay
from penstock_sdk.events import (
    ExecutionReport,
    IntentAction,
    OperatorCommand,
    Order,
    OrderState,
    ReportKind,
    RunEnd,
    Trade,
)
from penstock_sdk.wire.segment_layout import JournalError

BUSY = {
    "exchange": "orders_per_day = 3_000_000\nstep_s = 0.1",
    "mm_de": "requote_s_min = 0.2\nhalf_spread_ticks = 1\nunrest_weight = 0.0",
}


def open_day() -> str:
    """Return a delivery day that trades now: today's contracts do until late, tomorrow's from the afternoon on."""
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    return (now + timedelta(days=now.hour >= 18)).date().isoformat()


def traded(runs_dir: Path) -> bool:
    """Return whether our strategies have sent orders, and had fills."""
    for path in runs_dir.glob("*/journal"):
        try:
            entries = list(read_entries(path.parent))
        except JournalError:  # it is just being made
            return False
        sent = sum(type(e.record) is Order and e.record.state == OrderState.ROUTED for e in entries)
        return sent >= 50 and any(type(e.record) is ExecutionReport and e.record.last_lots for e in entries)
    return False


def start(folder: Path, terminal: int | None = None) -> subprocess.Popen[bytes]:
    """Start a run in real time in a session of its own, which *terminal* controls; results go to a file."""
    command = [sys.executable, "-m", "penstock_kernel.cli.main", "run", str(deployment(folder, BUSY))]
    command += ["--clock", "wall", "--day", open_day()]
    with (folder / "out.txt").open("wb") as out, (folder / "err.txt").open("wb") as err:
        if terminal is None:
            return subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True
            )
        # `setsid --ctty`, so that a key of the terminal becomes a signal.
        return subprocess.Popen(["setsid", "--ctty", *command], cwd=folder, stdout=out, stderr=terminal, stdin=terminal)


@contextmanager
def ended_in_any_case(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let no process outlive the test."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check_drained(folder: Path, process: subprocess.Popen[bytes], why: str) -> DayRun:
    """Check that the run came to a whole end."""
    said = (folder / "out.txt").read_text() + (folder / "err.txt").read_text()
    assert process.returncode == 0, said
    assert session_commands(process.pid) == []
    run = only_run(folder / "runs")
    assert (run.info["status"], run.info["clock"]) == ("complete", "wall")
    assert said.count(f"journal sha256:{run.info['digest']}") == 1
    (stop,) = [command for command in run.records(OperatorCommand) if command.command == "stop"]
    assert stop.why == why and stop.who == f"uid {os.getuid()}"
    assert type(run.entries[-1].record) is RunEnd
    # Real time: no event before the start or after the end, none before the one before it.
    times = [run.info["started_ns"], *(entry.at_ns for entry in run.entries), run.info["ended_ns"]]
    assert times == sorted(times)
    # No order is left at the venue.
    sent = {o.order_id for o in run.records(Order) if o.action == IntentAction.NEW and o.state == OrderState.ROUTED}
    ended = {
        report.order_id
        for report in run.records(ExecutionReport)
        if report.kind in (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
        or (report.kind == ReportKind.FILL and not report.leaves_lots)
    }
    assert len(sent) >= 50 and ended == sent
    # The lake took everything, the last events too.
    assert sum(run.summary["events"].values()) == len(run.entries)
    assert query(run.dir, "SELECT count(*) AS n FROM trades").to_pylist() == [{"n": len(run.records(Trade))}]
    assert (run.dir / "report.html").stat().st_size > 10_000
    replayed = replay(run.dir)
    assert (replayed.events, replayed.digest) == (len(run.entries), run.info["digest"])
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_run(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path)
    with ended_in_any_case(process):
        wait_for(lambda: traded(tmp_path / "runs") or process.poll() is not None, "orders and fills")
        # To all of the session's processes, as a terminal or a service manager does.
        os.killpg(process.pid, number)
        process.wait(DEADLINE_S)
    check_drained(tmp_path, process, number.name)


def test_ctrl_c_while_the_plugins_start_ends_all_the_same(tmp_path: Path) -> None:
    process = start(tmp_path)
    with ended_in_any_case(process):
        wait_for(lambda: list(tmp_path.glob("runs/*/lake.log")) or process.poll() is not None, "a run", 0.002)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(DEADLINE_S)
    info = only_run(tmp_path / "runs").info
    met = (process.returncode, info["status"], info["reason"])
    # The second, where the machine was so quick that all had started.
    assert met in [
        (130, "failed", "KeyboardInterrupt at its start"),
        (0, "complete", f"stopped by uid {os.getuid()}: SIGINT"),
    ]
    # One that was being started at that moment, so that nobody waits for it, ends by itself.
    wait_for(lambda: session_commands(process.pid) == [], "the end of every process of the run")


def test_ctrl_c_that_the_start_swallows_stops_the_run_all_the_same() -> None:
    told: list[OperatorCommand] = []
    run: Any = SimpleNamespace(command=told.append)

    def begin() -> Any:
        # As an exception in a finaliser ends: nobody hears of it.
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return run

    before = signal.getsignal(signal.SIGINT)
    assert begun(begin) is run
    assert [(command.command, command.why) for command in told] == [("stop", "SIGINT")]
    assert begun(lambda: run) is run and len(told) == 1
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        begun(lambda: signal.raise_signal(signal.SIGINT))  # type: ignore[arg-type, return-value]


def test_ctrl_c_in_a_terminal_drains_the_run_and_leaves_the_picture(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = start(tmp_path, slave)
    os.close(slave)
    drawn = b""

    def read() -> None:
        nonlocal drawn
        while select.select([master], [], [], 0)[0]:
            try:
                drawn += os.read(master, 1 << 16)
            except OSError:  # nobody has the terminal open any more
                return

    with ended_in_any_case(process):
        wait_for(lambda: read() or traded(tmp_path / "runs") or process.poll() is not None, "orders and fills")
        os.write(master, b"\x03")
        wait_for(lambda: read() or process.poll() is not None, "the end")
    read()
    os.close(master)
    check_drained(tmp_path, process, "SIGINT")
    for part in (b"penstock", b"mm_de", b"P&L EUR", b"net MWh"):
        assert part in drawn
