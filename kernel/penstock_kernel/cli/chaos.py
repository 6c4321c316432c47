"""``penstock chaos``: a deployment under a seeded fault plan; a broken promise is printed with how to see it again."""

from __future__ import annotations

import argparse
import shlex
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["add_commands"]


def add_commands(add: Any) -> None:
    """Add the command to a parser; *add* takes name, function, summary and description."""
    chaos = add(
        "chaos", _chaos, "break a simulated deployment, and see that nothing else does",
        "Run a simulated deployment under a seeded fault plan, with every promise checked all the while. "
        "Exit status: 0 all held, 1 one did not, 2 bad input.",
    )  # fmt: skip
    chaos.add_argument("plan", type=Path, help="the plan's TOML file")
    chaos.add_argument("--seeds", type=_count, metavar="N", help="run seeds 1 to N (default: as the plan says)")
    chaos.add_argument("--seed", type=_count, metavar="N", help="run this seed alone")
    chaos.add_argument("--minimise", action="store_true", help="leave faults out while the failure stays")
    chaos.add_argument(
        "--without", default="", metavar="PARTS", help="faults that do not happen, as 1.0,c0 of an earlier failure"
    )
    chaos.add_argument("--keep", type=Path, metavar="FOLDER", help="leave each seed's instance in FOLDER/SEED/chaos")
    chaos.add_argument("--json", action="store_true", help="print one JSON object")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"met {text}, wanted a whole number from 1")
    return int(text)


def _chaos(options: argparse.Namespace, console: Console) -> int:
    import msgspec

    from penstock_kernel.chaos.campaign import Outcome, minimise, run_seed
    from penstock_kernel.chaos.plan import load_plan

    plan = load_plan(options.plan)
    seeds = [options.seed] if options.seed else range(1, (options.seeds or plan.seeds) + 1)
    left_out = frozenset(filter(None, options.without.split(",")))
    if unknown := left_out - {*plan.parts(), *(f"c{at}" for at in range(len(plan.command)))}:
        console.print(f"penstock chaos: no part {', '.join(sorted(unknown))} in {options.plan}", markup=False)
        return 2

    def say(text: str) -> None:
        if not options.json:
            console.print(text, markup=False)

    outcomes: list[Outcome] = []
    for seed in seeds:
        begun_s = time.perf_counter()
        outcome = run_seed(plan, seed, options.keep / str(seed) if options.keep else None, left_out)
        say(_line(outcome, time.perf_counter() - begun_s))
        if outcome.promise and options.minimise:
            outcome = minimise(plan, seed, outcome, lambda text: say(f"  {text}"))
        if outcome.promise:
            for line in _failure(outcome, options.plan):
                say(line)
        outcomes.append(outcome)
    if options.json:
        found = {"plan": str(options.plan), "faults": _faults(plan, outcomes), "commands": _commands(plan, outcomes),
                 "seeds": outcomes}  # fmt: skip
        console.print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode(), markup=False)
    for line in _table(plan, outcomes):
        say(line)
    return 1 if any(outcome.promise for outcome in outcomes) else 0


def _line(outcome: Any, took_s: float) -> str:
    state = "FAILED" if outcome.promise else "held"
    return (
        f"seed {outcome.seed:<5} {state:<7} {outcome.events:,} events, {outcome.orders:,} orders, {outcome.fills:,} "
        f"fills, {outcome.lives} starts, {outcome.sessions} sessions, {took_s:.1f} s, digest {outcome.digest[:12]}"
        + ("" if outcome.orders else "; no order was sent, so this seed says nothing of orders")
    )


def _failure(outcome: Any, plan: Path) -> list[str]:
    """Return what did not hold, what led to it, and the command that shows it again."""
    without = f" --without {','.join(outcome.left_out)}" if outcome.left_out else ""
    return [
        f"  {outcome.promise} did not hold at seq {outcome.seq:,}, {outcome.at_ns} ns: {outcome.text}",
        *(f"    {line}" for line in outcome.context),
        f"  again: penstock chaos {shlex.quote(str(plan))} --seed {outcome.seed}{without}",
    ]


def _faults(plan: Any, outcomes: list[Any]) -> list[dict[str, Any]]:
    """Return each fault of the plan with how often it happened, over all seeds."""
    happened: Counter[int] = Counter()
    for outcome in outcomes:
        happened.update(outcome.happened)
    return [
        {"fault": at, "kind": fault.kind, "where": _where(fault), "happened": happened[at]}
        for at, fault in enumerate(plan.fault)
    ]


def _commands(plan: Any, outcomes: list[Any]) -> list[dict[str, Any]]:
    """Return each command of the plan with how often it was given, over all seeds."""
    given = Counter(at for outcome in outcomes for at in outcome.given)
    return [
        {
            "command": at, "name": command.command, "target": command.target, "argument": command.argument,
            "at_s": command.at_s, "given": given[at],
        }
        for at, command in enumerate(plan.command)
    ]  # fmt: skip


def _where(fault: Any) -> str:
    if fault.kind in ("kill",):
        return str(fault.phase)
    if fault.kind == "torn_write":
        return str(fault.tear)
    if fault.kind == "eio":
        return str(fault.call)
    if fault.kind == "raise":
        return f"{fault.plugin}.{fault.handler}"
    return "" if fault.kind in ("full_disk", "clock_step") else f"{fault.plugin} {fault.topic}"


def _table(plan: Any, outcomes: list[Any]) -> list[str]:
    """Return the tables of faults and commands; what never happened says so. And how many seeds failed."""
    lines = ["faults"] if plan.fault else []
    for row in _faults(plan, outcomes):
        times = f"{row['happened']:,}" if row["happened"] else "never happened"
        lines.append(f"  {row['fault']:>3}  {row['kind']:<12} {row['where']:<24} {times}")
    lines += ["commands"] if plan.command else []
    for row in _commands(plan, outcomes):
        what = " ".join(filter(None, (row["target"], row["argument"])))
        times = f"{row['given']:,}" if row["given"] else "never given"
        lines.append(f"  c{row['command']:<3} {row['name']:<12} {what[:40]:<34} {times:<11} at {row['at_s']:g} s")
    failed = [outcome.seed for outcome in outcomes if outcome.promise]
    idle = [outcome.seed for outcome in outcomes if not outcome.orders]
    lines.append(
        f"{len(outcomes)} seeds, {len(failed)} failed{_named(failed)}"
        + (f", {len(idle)} sent no order{_named(idle)}" if idle else "")
    )
    return lines


def _named(seeds: list[int]) -> str:
    return f": {', '.join(map(str, seeds))}" if seeds else ""
