"""Looking at runs: list, query, report, replay, verify."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from penstock_kernel.runs import RunInfo, find_run, list_runs

__all__ = ["print_query", "print_runs", "rebuild_report", "replay_run", "verify_run"]


def print_runs(runs_dir: Path, console: Console) -> int:
    """Print the runs there are, oldest first."""
    runs = list_runs(runs_dir)
    if not runs:
        console.print(f"no runs in {runs_dir}; make one with `penstock run`", markup=False)
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("run", "started (UTC)", "status", "deployment", "clock"):
        table.add_column(name, no_wrap=True)
    for name in ("seed", "events", "orders", "wall s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("journal", no_wrap=True)
    for run in runs:
        started = datetime.fromtimestamp(run.started_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        counts = [f"{run.events:,}", f"{run.orders:,}", f"{run.wall_s:.1f}", run.digest[:12]]
        if run.state in ("running", "crashed"):  # they are counted at the close
            counts = ["–"] * len(counts)
        table.add_row(run.id, started, run.state, run.deployment, run.clock, str(run.seed), *counts)
    console.print(table)
    return 0


def print_query(runs_dir: Path, name: str, sql: str | None, form: str, console: Console) -> int:
    """Print a query's answer, or the tables when no SQL is given; of a live run, say up to which event."""
    from penstock_kernel.lake import Reader, print_table

    run_dir = find_run(runs_dir, name)
    with Reader(run_dir) as reader:
        if sql is None:
            for table, count in reader.tables().items():
                console.print(f"{table:28} {count:>12,}", markup=False)
        else:
            print_table(reader.query(sql), form=form)
        if reader.live:  # beside the answer, which a program may read
            state = RunInfo.load(run_dir).state
            print(f"run {run_dir.name} is {state}, read up to event {reader.last_seq:,}", file=sys.stderr)
    return 0


def rebuild_report(runs_dir: Path, name: str, console: Console) -> int:
    """Rebuild a run's tables from its journal, and its summary and report from those."""
    from penstock_kernel.lake import rebuild
    from penstock_kernel.report import write_report
    from penstock_kernel.summary import print_summary, summarise

    run_dir = find_run(runs_dir, name)
    rebuild(run_dir)
    summary = summarise(run_dir)
    print_summary(summary, console)
    console.print(f"report {write_report(run_dir, summary)}", markup=False)
    return 0


def replay_run(runs_dir: Path, name: str, console: Console) -> int:
    """Replay a run; say that it is the same, or the first difference."""
    from penstock_kernel.replay import Difference, replay

    run_dir = find_run(runs_dir, name)
    begun = time.perf_counter()
    try:
        result = replay(run_dir)
    except Difference as difference:
        console.print(f"replay {run_dir.name}: {difference}", markup=False)
        return 1
    took_s = time.perf_counter() - begun
    console.print(
        f"replay {run_dir.name}: {result.events:,} events recomputed in {took_s:.1f} s, no difference", markup=False
    )
    for session in result.skipped:
        console.print(f"replay {run_dir.name}: not recomputed, {session}", markup=False)
    console.print(f"journal sha256:{result.digest}", markup=False)
    return 0


def verify_run(runs_dir: Path, name: str, console: Console) -> int:
    """Read a run's whole journal; say that every byte is as it was written, or the first place where it is not."""
    from penstock_kernel.verify import verify_journal
    from penstock_sdk.wire.segment import JournalCorrupt

    run_dir = find_run(runs_dir, name)
    begun = time.perf_counter()
    try:
        found = verify_journal(run_dir)
    except JournalCorrupt as error:
        console.print(f"verify {run_dir.name}: {error}", markup=False)
        return 1
    took_s = time.perf_counter() - begun
    scan = found.scan
    console.print(
        f"verify {run_dir.name}: {scan.records:,} events in {scan.segments} segments, {scan.size_bytes:,} bytes, "
        f"read in {took_s:.1f} s; {found.checkpoints} checkpoints agree",
        markup=False,
    )
    for fault in found.faults:
        console.print(f"verify {run_dir.name}: {fault}", markup=False)
    console.print(f"journal sha256:{scan.digest}", markup=False)
    return 1 if found.faults else 0
