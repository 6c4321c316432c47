"""``penstock explain``, ``debug`` and ``diff``: an order's chain, pdb at an event, where two runs part."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["add_commands"]


def add_commands(add: Any) -> None:
    """Add the three commands to a parser; *add* takes name, function, summary and description."""
    explain = add(
        "explain", _explain, "say why an order was sent",
        "Print the chain of one order from tick to fill, each check with the value met and its limit.",
    )  # fmt: skip
    explain.add_argument("run", help="id, the beginning of one, latest, or a folder")
    explain.add_argument("order", help="order id as queries print it, or epoch:counter")
    explain.add_argument("--json", action="store_true", help="print one JSON object")
    explain.add_argument("--no-replay", action="store_true", help="the checks' verdicts as journaled, not each rule")

    debugger = add(
        "debug", _debug, "open pdb at an event",
        "Replay a run to an event and open pdb in the handler in which a plugin hears it. Nothing is sent or written.",
    )  # fmt: skip
    debugger.add_argument("run", help="id, the beginning of one, latest, or a folder")
    debugger.add_argument("--plugin", required=True, metavar="ID", help="a plugin instance's name")
    debugger.add_argument("--seq", required=True, type=int, metavar="N", help="number of an event that it hears")
    debugger.add_argument(
        "-c", "--command", dest="commands", action="append", default=[], metavar="TEXT",
        help="give pdb this command in place of a terminal; repeatable",
    )  # fmt: skip

    diff = add(
        "diff", _diff, "name where two runs part",
        "Compare two runs event by event. Exit status: 0 equal, 1 different, 2 bad input.",
    )  # fmt: skip
    diff.add_argument("run_a", help="id, the beginning of one, latest, or a folder")
    diff.add_argument("run_b")
    diff.add_argument("--json", action="store_true", help="print one JSON object")
    diff.add_argument(
        "--ignore-header", action="store_true",
        help="go on after run headers that differ (always done; they are reported)",
    )  # fmt: skip
    for sub in (explain, debugger, diff):
        sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")


def _say(line: str) -> None:
    print(f"penstock: {line}", file=sys.stderr, flush=True)


def _print_json(value: Any, console: Console) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    console.print(text, markup=False)


def _explain(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.inspect import explain_order
    from penstock_kernel.inspect.lines import explanation_lines
    from penstock_kernel.runs import find_run

    run_dir = find_run(options.runs_dir, options.run)
    found = explain_order(run_dir, options.order, replay=not options.no_replay, say_progress=_say)
    if options.json:
        _print_json(found, console)
    else:
        for line in explanation_lines(found):
            console.print(line, markup=False)
    return 0


def _debug(options: argparse.Namespace, _console: Console) -> int:
    from penstock_kernel.inspect import debug
    from penstock_kernel.runs import find_run

    run_dir = find_run(options.runs_dir, options.run)
    result = debug(run_dir, options.plugin, options.seq, commands=options.commands, say=_say)
    if result.quit:
        _say(f"left in {result.plugin}.{result.handler}; nothing was sent or written")
    elif result.differs:
        _say(f"with what was changed in {result.plugin}.{result.handler} the run would have gone on otherwise: "
             f"{result.differs}")  # fmt: skip
    else:
        _say(
            f"{result.plugin}.{result.handler} and all that followed came out as recorded; nothing was sent or written"
        )
    return 0


def _diff(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.inspect import diff_runs
    from penstock_kernel.inspect.lines import difference_lines
    from penstock_kernel.runs import find_run

    found = diff_runs(find_run(options.runs_dir, options.run_a), find_run(options.runs_dir, options.run_b))
    if options.json:
        _print_json(found, console)
    else:
        for line in difference_lines(found):
            console.print(line, markup=False)
    return 0 if found.equal else 1
