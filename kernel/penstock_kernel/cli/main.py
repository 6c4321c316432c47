"""The kernel's part of ``penstock``: run a deployment, check it, look at its runs, replay and measure."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from penstock_kernel.hooks import call_hook, hook_manager
from penstock_sdk.cli import main as sdk_cli

__all__ = ["add_commands", "main"]

Command = Callable[[argparse.Namespace, Console], int]
DEFAULT_DEPLOYMENT = "plugins.toml"
PIPE_COLUMNS = 160
SECONDS_MAX = 1e9
"""Some thirty years."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 failed or a difference found, 2 wrong usage or bad input."""
    return sdk_cli.main(arguments, [add_commands])


def _run_with_console(options: argparse.Namespace) -> int:
    """Run a command that prints to a console, and tell what is the input's fault in a line."""
    # A file or a pipe takes lines of any length: no table is cut to 80 columns there.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    try:
        command: Command = options.command
        return command(options, console)
    except BrokenPipeError:
        return 0
    except Exception as error:
        text = _known(error)
        if text is None:
            if not getattr(options, "no_watchdog", False):
                raise
            traceback.print_exc()  # a bug of ours in a kernel that is watched: its watchdog starts it again
            return os.EX_SOFTWARE
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        errors.print(f"penstock {options.name}: {text}", markup=False)
        return 2


def _known(error: Exception) -> str | None:
    """Return the text of an error that is the input's fault, None for a bug of ours."""
    from penstock_kernel.boot import StartError
    from penstock_kernel.deployment import DeploymentError
    from penstock_kernel.inspect.asked import InspectError
    from penstock_kernel.journal import JournalError
    from penstock_kernel.lake import LakeError
    from penstock_kernel.replay import ReplayError
    from penstock_kernel.runs import RunError
    from penstock_kernel.sources import SourceError
    from penstock_sdk.energy import EnergyError

    ours = (
        DeploymentError, EnergyError, InspectError, JournalError, LakeError, ReplayError, RunError, SourceError,
        StartError,
    )  # fmt: skip
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.filename or 'a file of the run'}: {error.strerror}; make room, or give another --runs-dir"
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"{error.filename or 'a file of the run'}: {error.strerror}; give another --runs-dir"
    return str(error) if isinstance(error, (*ours, FileNotFoundError, PermissionError)) else None


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    return sdk_cli.build_parser([add_commands])


def add_commands(into: sdk_cli.Add) -> None:
    """Add the kernel's commands, and those that hooks bring."""
    known = set(into.commands.choices)
    _add_own(into)
    call_hook(hook_manager(), "penstock_add_commands", _hook_failed, commands=into.commands)
    for name in into.commands.choices.keys() - known:
        into.commands.choices[name].set_defaults(runner=_run_with_console)


def _add_own(add: sdk_cli.Add) -> None:
    run = add("run", _run, "run a deployment", "Run a deployment; leave runs/ID with journal, DuckDB file and report.")
    run.add_argument(
        "deployment", nargs="?", type=Path, default=None, help="default: plugins.toml, or the built-in one"
    )
    run.add_argument("--seed", type=int, help="the run's seed, in place of the deployment's")
    run.add_argument("--clock", choices=["sim", "wall"], help="simulated (default) or real time")
    run.add_argument("--day", dest="delivery_day", metavar="DATE", help="delivery day, as 2026-03-29, or today")
    run.add_argument("--runs-dir", help="where runs are kept (default: runs)")
    run.add_argument(
        "--for", dest="for_s", type=_seconds, metavar="SECONDS", help="end after so much of the run's time"
    )
    run.add_argument("--resume", metavar="RUN", help="go on with a run that was cut")
    run.add_argument(
        "--instance", metavar="NAME", help="run as this instance, and go on with its journal whatever ended it before"
    )
    run.add_argument("--no-watchdog", action="store_true", help="an instance's kernel alone, without a process beside")
    run.add_argument("--health", metavar="HOST:PORT", help="serve /livez, /readyz and /metrics, as 127.0.0.1:9464")
    run.add_argument(
        "--quarantine", metavar="PLUGIN", action="append", default=[], help="keep a plugin of the instance out"
    )
    run.add_argument("--cause", default="", metavar="TEXT", help="why it is started, for the journal")
    run.add_argument("--again", action="store_true", help="go on with the deployment that was in force, not the file")
    run.add_argument("--plain", action="store_true", help="progress as plain lines")
    run.add_argument("--quiet", action="store_true", help="no progress")
    run.add_argument("--no-report", action="store_true", help="leave lake, summary and report out")

    check = add(
        "check", _check, "check a deployment", "Report every fault of a deployment with file, line and way out."
    )
    check.add_argument("deployment", nargs="?", type=Path, default=None)
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of plugins.toml, for editors")

    runs = add("runs", _runs, "list runs")
    query = add(
        "query", _query, "ask a run's tables with SQL", "Ask a finished or running run's tables with DuckDB SQL."
    )
    query.add_argument("run", help="id, the beginning of one, latest, or a folder")
    query.add_argument("sql", nargs="?", help="without it, list the tables")
    query.add_argument("--format", choices=["table", "json", "csv"], default="table")
    report = add("report", _report, "write a run's report anew", "Rebuild a run's tables, summary and report.html.")
    report.add_argument("run", nargs="?", default="latest")
    replay = add("replay", _replay, "replay a run", "Feed a run's recorded inputs and recompute what followed.")
    replay.add_argument("run", nargs="?", default="latest")
    replay.add_argument("--verify", action="store_true", help="hold every byte against the journal (always done)")
    verify = add("verify", _verify, "read a run's whole journal", "Check every byte of a run's journal, old and new.")
    verify.add_argument("run", nargs="?", default="latest")
    for sub in (runs, query, report, replay, verify):
        sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")

    from penstock_kernel.cli import apply, chaos, contract, deals, held, inspect, invoices, logs, operate, rules

    inspect.add_commands(add)
    held.add_commands(add)
    invoices.add_commands(add)
    logs.add_commands(add)
    operate.add_commands(add)
    apply.add_commands(add)
    deals.add_commands(add)
    chaos.add_commands(add)
    rules.add_commands(add)
    contract.add_commands(add)
    bench = add("bench", _bench, "measure", "Measure one path, in interleaved rounds beside a bare dict dispatch.")
    benches = ["bus", "order-path", "plugins", "positions", "store", "rebuild", "telemetry", "operate", "soak"]
    bench.add_argument("bench", choices=[*benches, "all"])
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--size", choices=["tiny", "full"], default="full")


def _hook_failed(who: str, error: Exception) -> None:
    print(f"penstock: hook {who} raised {type(error).__name__}: {error}", file=sys.stderr)


def _seconds(text: str) -> float:
    """Return a length of time in seconds; at least a nanosecond, and no more than a journal's stamps can hold."""
    wanted = "wanted seconds above 0, as 3600"
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"met {text}, {wanted}") from None
    if not 1e-9 <= seconds <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"met {text}, {wanted}")
    return seconds


def _deployment_path(given: Path | None) -> Path:
    """Return the deployment named, or plugins.toml here, or the one that comes with the package."""
    if given is not None:
        return given
    here = Path(DEFAULT_DEPLOYMENT)
    return here if here.exists() else Path(__file__).parent.parent / "default" / DEFAULT_DEPLOYMENT


def _run(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.run import run_command, run_instance

    if options.instance:
        return run_instance(options, console)
    return run_command(options, _deployment_path(options.deployment), console)


def _check(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.deployment import format_problems
    from penstock_kernel.market_check import check_deployment
    from penstock_kernel.venue_check import real_money_problems

    if options.schema:
        from penstock_kernel.deployment_tables import schema_text

        print(schema_text(), end="")
        return 0
    path = _deployment_path(options.deployment)
    deployment, problems = check_deployment(path, ask=True)
    problems += real_money_problems(deployment)
    errors = [problem for problem in problems if problem.severity == "error"]
    if problems:
        console.print(format_problems(problems, color=False), markup=False)
    if not errors:
        console.print(f"{path}: no errors", markup=False)
    return 2 if errors else 0


def _runs(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.show import print_runs

    return print_runs(options.runs_dir, console)


def _query(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.show import print_query

    return print_query(options.runs_dir, options.run, options.sql, options.format, console)


def _report(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.show import rebuild_report

    return rebuild_report(options.runs_dir, options.run, console)


def _replay(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.show import replay_run

    return replay_run(options.runs_dir, options.run, console)


def _verify(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.show import verify_run

    return verify_run(options.runs_dir, options.run, console)


def _bench(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.bench.command import bench_command

    return bench_command(options.bench, options.size, options.json, console)


if __name__ == "__main__":
    sys.exit(main())
