"""``penstock``: run a deployment, check it, look at its runs, replay and measure."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["main"]

Command = Callable[[argparse.Namespace, Console], int]
DEFAULT_DEPLOYMENT = "plugins.toml"
PIPE_COLUMNS = 160
SECONDS_MAX = 1e9
"""Some thirty years."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 failed or a difference found, 2 wrong usage or bad input."""
    options = _parser().parse_args(arguments)
    options.arguments = list(sys.argv[1:] if arguments is None else arguments)
    # A file or a pipe takes lines of any length: no table is cut to 80 columns there.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        command: Command = options.command
        return command(options, console)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        text = _known(error)
        if text is None:
            if not getattr(options, "no_watchdog", False):
                raise
            traceback.print_exc()  # a bug of ours in a kernel that is watched: its watchdog starts it again
            return os.EX_SOFTWARE
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


class _Parser(argparse.ArgumentParser):
    """Takes options anywhere among the arguments; argparse by itself leaves out an optional one that comes late."""

    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return (options, what is left), as argparse does."""
        positionals = self._get_positional_actions()
        if self._mixed or any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in positionals):
            return super().parse_known_args(args, namespace)
        self._mixed = True  # parse_known_intermixed_args calls this again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixed = False


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="penstock",
        description="A trading operating system for energy markets.",
        epilog="`penstock run` trades a day of quarter-hour power contracts and needs no arguments.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="name")

    def add(name: str, command: Command, summary: str, description: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=description or summary)
        sub.set_defaults(command=command)
        return sub

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
    run.add_argument("--plain", action="store_true", help="progress as plain lines")
    run.add_argument("--quiet", action="store_true", help="no progress")
    run.add_argument("--no-report", action="store_true", help="leave lake, summary and report out")

    check = add(
        "check", _check, "check a deployment", "Report every fault of a deployment with file, line and way out."
    )
    check.add_argument("deployment", nargs="?", type=Path, default=None)

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

    from penstock_kernel.cli import chaos, contract, deals, held, inspect, invoices, logs, operate, rules

    inspect.add_commands(add)
    held.add_commands(add)
    invoices.add_commands(add)
    logs.add_commands(add)
    operate.add_commands(add)
    deals.add_commands(add)
    chaos.add_commands(add)
    rules.add_commands(add)
    contract.add_commands(add)
    bench = add("bench", _bench, "measure", "Measure one path, in interleaved rounds beside a bare dict dispatch.")
    benches = ["bus", "order-path", "positions", "store", "rebuild", "telemetry", "operate", "soak"]
    bench.add_argument("bench", choices=[*benches, "all"])
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--size", choices=["tiny", "full"], default="full")

    from penstock_kernel.hooks import call_hook, hook_manager

    call_hook(hook_manager(), "penstock_add_commands", _hook_failed, commands=commands)
    return parser


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

    path = _deployment_path(options.deployment)
    _, problems = check_deployment(path)
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
