"""``penstock run``: a run with its progress, and what it leaves."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from penstock_kernel.cli.progress import RunProgress
from penstock_kernel.deployment import Deployment, format_problems
from penstock_kernel.instance import Instance, Starting
from penstock_kernel.interrupts import begun
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo, find_run
from penstock_kernel.venue_check import real_money_problems

__all__ = ["run_command", "run_instance"]


def run_command(options: argparse.Namespace, path: Path, console: Console) -> int:
    """Run a deployment to its end, print the summary; return 0, or 1 when the run failed."""
    choices = RunOptions(
        seed=options.seed, clock=options.clock, runs_dir=options.runs_dir, delivery_day=options.delivery_day,
        for_s=options.for_s, lake=not options.no_report,
    )  # fmt: skip
    if options.resume:
        run_dir = find_run(Path(options.runs_dir or "runs"), options.resume)
        run = begun(lambda: Run.resume(run_dir, choices, options.deployment))
    else:
        run = begun(lambda: Run.start(path, choices))
    _warn(run.deployment, console)
    show = _progress(run, options)
    try:
        run.go()
    except BaseException as error:
        show.close()
        run.close(failed=f"{type(error).__name__}: {error}")
        raise
    show.close()
    info = run.close()
    return _finish(run.dir, info, options, console)


def _warn(deployment: Deployment, console: Console) -> None:
    """Print what a person should know before the first order."""
    warnings = [*deployment.warnings, *real_money_problems(deployment)]
    if warnings:
        console.print(format_problems(warnings, color=False), markup=False)


def run_instance(options: argparse.Namespace, console: Console) -> int:
    """Run an instance until it is stopped; return 0, or 1 when it failed. Its watchdog is the process that is asked."""
    if not options.no_watchdog:
        from penstock_kernel.warden.command import supervise

        return supervise(options.arguments)
    choices = RunOptions(
        seed=options.seed, clock=options.clock, runs_dir=options.runs_dir, delivery_day=options.delivery_day,
        for_s=options.for_s, lake=not options.no_report,
    )  # fmt: skip
    path = options.deployment
    if path is None and not (Path(options.runs_dir or "runs") / options.instance / "source.toml").exists():
        path = Path("plugins.toml") if Path("plugins.toml").exists() else None
    starting = Starting(cause=options.cause, quarantine=tuple(options.quarantine), again=options.again)
    run = begun(lambda: Instance.open(options.instance, path, choices, starting))
    if real := real_money_problems(run.deployment):
        with suppress(OSError):  # a full disk
            console.print(format_problems(real, color=False), markup=False)
    show = _progress(run, options)
    try:
        run.go()
    except Exception as error:
        # Whatever it is, it is no bad input any more: the watchdog starts the kernel again.
        traceback.print_exc()
        show.close()
        run.close(failed=f"{type(error).__name__}: {error}")
        return os.EX_SOFTWARE
    show.close()
    info = run.close()
    with suppress(OSError):  # a full disk: the status and the run's vitals tell
        console.print(f"instance {info.id} {info.status}: {info.reason}; {info.events:,} events", markup=False)
    return 1 if info.status == "failed" else 0


class _NoProgress:
    """Shows nothing."""

    def close(self) -> None:
        """Do nothing."""


def _progress(run: Run, options: argparse.Namespace) -> _NoProgress | RunProgress:
    if options.quiet:
        return _NoProgress()
    return RunProgress(run, plain=options.plain or not sys.stderr.isatty())


def _finish(run_dir: Path, info: RunInfo, options: argparse.Namespace, console: Console) -> int:
    """Print what the run was and return its status: the digest comes last, whatever becomes of the report."""
    failed = info.status == "failed"
    try:
        if not options.no_report and info.status != "failed":
            failed = not _report(run_dir, info, console)
    finally:
        if info.status == "failed":
            console.print(f"run {info.id} failed: {info.reason}", markup=False)
        if text := _matters(info):
            console.print(text, markup=False)
        console.print(f"run {info.id} {info.status}, {info.events:,} events in {info.wall_s:.1f} s", markup=False)
        console.print(f"journal sha256:{info.digest}", markup=False)
    return 1 if failed else 0


def _matters(info: RunInfo) -> str:
    """Return what a person should look at, in a line, or nothing: no sink tells of a run under the simulated clock."""
    out, alerts = info.quarantined, info.alerts
    said = []
    if out:
        said.append(f"{len(out)} plugin{'s' * (len(out) > 1)} quarantined ({', '.join(out)})")
    if alerts:
        said.append(f"{alerts} alert{'s' * (alerts > 1)}")
    query = f'penstock query {info.id} "SELECT code, subject, met FROM alerts"'
    return f"{', '.join(said)}: {query}" if said else ""


def _report(run_dir: Path, info: RunInfo, console: Console) -> bool:
    """Print the summary and write the report; return False after a line that says why one of them failed."""
    from penstock_kernel.report import write_report
    from penstock_kernel.summary import print_summary, summarise

    try:
        summary = summarise(run_dir)
        print_summary(summary, console)
        console.print(f"report {write_report(run_dir, summary)}", markup=False)
    except BrokenPipeError:  # nobody reads what is printed: no fault of the report's
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"penstock run: no report: {type(error).__name__}: {text}; the run is whole, "
            f"`penstock report {info.id}` tries again", markup=False,
        )  # fmt: skip
        return False
    return True
