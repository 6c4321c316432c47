"""Looking at runs: list, query, report, replay."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from penstock_kernel.runs import find_run, list_runs

__all__ = ["print_query", "print_runs", "rebuild_report", "replay_run"]


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
        table.add_row(
            run.id, started, run.state, run.deployment, run.clock, str(run.seed), f"{run.events:,}", f"{run.orders:,}",
            f"{run.wall_s:.1f}", run.digest[:12],
        )  # fmt: skip
    console.print(table)
    return 0


def print_query(runs_dir: Path, name: str, sql: str | None, form: str, console: Console) -> int:
    """Print a query's answer, or the tables when no SQL is given."""
    from penstock_kernel.lake import connect, print_table, query, tables

    run_dir = find_run(runs_dir, name)
    if sql is None:
        with connect(run_dir) as connection:
            for table, count in tables(connection).items():
                console.print(f"{table:28} {count:>12,}", markup=False)
        return 0
    print_table(query(run_dir, sql), form=form)
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
    console.print(f"journal sha256:{result.digest}", markup=False)
    return 0
