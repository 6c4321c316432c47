"""``penstock apply``: show what a changed plugins.toml would do to a running kernel, ask, and have it done."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from penstock_kernel.cli.operate import (
    DONE,
    REFUSED,
    Add,
    command_options,
    common_options,
    failed,
    guarded,
    run_dir_of,
    send_command,
)

__all__ = ["add_commands"]


def add_commands(add: Add) -> None:
    """Add the command to the command line."""
    sub = add(
        "apply", guarded(_apply), "change the plugins of a running kernel",
        "Show what a changed plugins.toml would do to a running kernel, ask, then do it: plugins that go or change "
        "drain, their states are kept, the new ones start. When one of them fails, all is put back as it was.",
    )  # fmt: skip
    sub.add_argument("deployment", nargs="?", type=Path, default=Path("plugins.toml"), help="default: plugins.toml")
    sub.add_argument("--plan", action="store_true", help="show what would be done, and do nothing")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    common_options(sub)
    command_options(sub, reason_needed=False)


def _apply(options: argparse.Namespace, console: Console) -> int:
    from msgspec import json

    from penstock_kernel.deployment import DeploymentError, load_deployment
    from penstock_kernel.reload.applying import ApplyArgument, written_deployment
    from penstock_kernel.reload.plan import plan_change

    run_dir = run_dir_of(options)
    options.instance = str(run_dir)
    running = load_deployment(run_dir / "deployment.toml")
    try:
        written = written_deployment(options.deployment)
    except DeploymentError as error:
        return failed(options, REFUSED, str(error), [str(p) for p in error.problems if p.severity == "error"])
    plan = plan_change(running, written)
    if options.plan or plan.empty:
        console.print(json.encode(plan).decode() if options.json else "\n".join(plan.lines()), markup=False)
        return DONE
    if not options.json:
        console.print("\n".join(plan.lines()), markup=False)
    if not options.yes and not _agreed():
        return failed(options, REFUSED, "nothing was done; answer yes, or give --yes")
    argument = ApplyArgument(path=str(options.deployment.resolve()), digest=plan.digest_after)
    options.timeout = options.timeout if options.timeout is not None else 180.0  # plugins take their time to start
    return send_command(options, console, "apply", argument=json.encode(argument).decode())


def _agreed() -> bool:
    """Return whether a person at a terminal says yes; who is no terminal has to say so before."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("apply this? [yes/no] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
