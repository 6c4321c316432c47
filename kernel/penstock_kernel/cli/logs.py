"""``penstock logs``: what plugins and the kernel logged, for people."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from penstock_kernel.runs import RunError, RunInfo, find_run
from penstock_kernel.telemetry.runlog import LOG_NAME, entries, log_files, shown_entry
from penstock_sdk.events import Severity

__all__ = ["add_commands", "follow_lines", "print_logs"]

_POLL_S = 0.2


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``logs`` to the command line."""
    logs = add(
        "logs", _logs, "show a run's log", "Show what plugins and the kernel logged, also while the run goes on."
    )
    logs.add_argument("run", nargs="?", default="latest", help="id, the beginning of one, latest, or a folder")
    logs.add_argument("--follow", action="store_true", help="go on until the run has ended")
    logs.add_argument("--plugin", default="", metavar="NAME", help="of this instance alone")
    severities = [severity.name.lower() for severity in Severity if severity]
    logs.add_argument("--min-severity", choices=severities, default="info", help="this and above (default: info)")
    logs.add_argument("--json", action="store_true", help="the lines as they are")
    logs.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")


def _logs(options: argparse.Namespace, console: Console) -> int:
    return print_logs(
        options.runs_dir, options.run, console, plugin=options.plugin, min_severity=options.min_severity,
        follow=options.follow, as_json=options.json,
    )  # fmt: skip


def print_logs(
    runs_dir: Path, name: str, console: Console, *, plugin: str = "", min_severity: str = "info",
    follow: bool = False, as_json: bool = False,
) -> int:  # fmt: skip
    """Print a run's log; with *follow* go on until the run has ended."""
    run_dir = find_run(runs_dir, name)
    lines = follow_lines(run_dir, _has_ended(run_dir)) if follow else _lines(run_dir)
    for entry in entries(lines, plugin=plugin, min_severity=Severity[min_severity.upper()]):
        if as_json:
            console.print(msgspec.json.encode(entry).decode(), markup=False)
        else:
            console.print(shown_entry(entry), markup=False)
    return 0


def _lines(run_dir: Path) -> Iterator[bytes]:
    for path in log_files(run_dir):
        with path.open("rb") as file:
            yield from file


def _has_ended(run_dir: Path) -> Callable[[], bool]:
    def ended() -> bool:
        try:
            return RunInfo.load(run_dir).state != "running"
        except RunError:
            return True

    return ended


def follow_lines(
    run_dir: Path, ended: Callable[[], bool], wait: Callable[[float], object] = time.sleep
) -> Iterator[bytes]:
    """Yield the lines of a log while it grows, over its rotations, until *ended* says so and all has been read."""
    for path in log_files(run_dir)[:-1]:
        with path.open("rb") as file:
            yield from file
    path = run_dir / LOG_NAME
    while not path.exists():
        if ended():
            return
        wait(_POLL_S)
    file = path.open("rb")
    rest = b""
    try:
        while True:
            last = ended()  # asked before reading: then nothing is missed
            rotated = not path.exists() or path.stat().st_ino != _inode(file.fileno())
            while chunk := file.readline():
                rest += chunk
                if rest.endswith(b"\n"):
                    yield rest
                    rest = b""
            if rotated and path.exists():
                file.close()
                file, rest = path.open("rb"), b""
            elif last:
                return
            else:
                wait(_POLL_S)
    finally:
        file.close()


def _inode(fd: int) -> int:
    return os.fstat(fd).st_ino
