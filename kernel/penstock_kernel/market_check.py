"""Checks of a deployment that need the market's vocabulary: zone, names of limits, who checks orders, needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from penstock_kernel.deployment import Deployment, check, read_deployment
from penstock_kernel.problems import Problem, sorted_problems
from penstock_kernel.reference import collect_reference, plugin_problems
from penstock_kernel.venue_check import venue_problems
from penstock_sdk.energy import EnergyError, known_zones, market_zone
from penstock_sdk.energy.localtime import local_to_ns, utc_ns
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import LimitKind
from penstock_sdk.typed import KeyPath, closest, format_path, shown_value

__all__ = ["LIMIT_NAMES", "check_deployment", "market_problems", "run_time_ns"]

LIMIT_NAMES = tuple(kind.name.lower() for kind in LimitKind if kind)


def run_time_ns(moment: datetime, timezone: str) -> int:
    """Return the instant of a `[run]` start or end, ns UTC: a time with an offset as it is, else one of *timezone*.

    Raises:
        EnergyError: clocks there never show it, or twice; the message has what would be accepted.
    """
    if moment.tzinfo is not None:
        return utc_ns(moment)
    return local_to_ns(moment, timezone)


def check_deployment(
    path: str | Path, env: Mapping[str, str] = os.environ, *, search_path: Sequence[str] | None = None,
    begun: bool = False, ask: bool = False,
) -> tuple[Deployment, list[Problem]]:  # fmt: skip
    """Return what could be read of the deployment at *path*, and every problem that any check finds, each once.

    Imports the classes of enabled plugins that run in this process; with *ask* the others are started to be asked about
    their configs, where they package no schema. The deployment is fit to run when no problem is an error. What plugins
    find wrong with their own files is a warning for an instance that has *begun*: it comes back after a crash all the
    same.
    """
    deployment, _ = read_deployment(path, env, search_path=search_path)  # whose problems `check` tells as well
    reference, faults = collect_reference(deployment, env)
    problems = [*check(path, env, search_path=search_path, ask=ask), *market_problems(deployment, reference), *faults]
    found = plugin_problems(deployment, reference, env)
    problems += [msgspec.structs.replace(each, severity="warning") for each in found] if begun else found
    return deployment, sorted_problems(problems, str(path))


def market_problems(deployment: Deployment, reference: Reference | None = None) -> list[Problem]:
    """Return what is wrong with a deployment's zone, names of limits, checks and venues; also with a part of one.

    *reference* is what its refdata plugins bring; None: the built-in rules alone.
    """
    found = _zone_problems(deployment, reference) or _time_problems(deployment, reference)
    found += _order_problems(deployment)
    for path in _limit_paths(deployment):
        name = str(path[-1])
        if name not in LIMIT_NAMES:
            near = closest(name, LIMIT_NAMES)
            hint = f"; did you mean {near}?" if near else ""
            found.append(_problem(deployment, path, f"unknown limit{hint}", f"known: {', '.join(LIMIT_NAMES)}"))
    return found + _risk_problems(deployment) + venue_problems(deployment)


def _zone_problems(deployment: Deployment, reference: Reference | None) -> list[Problem]:
    zone, zones = deployment.run.zone, [zone.code for zone in known_zones(reference)]
    if zone in zones:
        return []
    written = deployment.tree["run"]["zone"]
    near = closest(zone, zones) if written == zone else None  # what a reference stands for is not hinted at
    hint = f"; did you mean {near}?" if near else ""
    text = f"unknown bidding zone {shown_value(written)}{hint}"
    return [_problem(deployment, ("run", "zone"), text, f"known: {', '.join(zones)}")]


def _time_problems(deployment: Deployment, reference: Reference | None) -> list[Problem]:
    """Return what is wrong with start and end by the zone's clock: a time that it skips, or shows twice."""
    timezone = market_zone(deployment.run.zone, None, reference).timezone
    times = {"start": deployment.run.start, "end": deployment.run.end}
    found: list[Problem] = []
    known_ns: list[int] = []
    for key, moment in times.items():
        if moment is None:
            continue
        try:
            known_ns.append(run_time_ns(moment, timezone))
        except EnergyError as error:
            said, _, wanted = str(error).partition("; wanted ")
            accepted = re.sub(r" \(passing '[AB]'\)", "", wanted).removeprefix("which of the two: ")
            found.append(_problem(deployment, ("run", key), said, f"write {accepted}"))
    # Where just one has an offset, nobody could hold them against each other before.
    apart = len({moment.tzinfo is None for moment in times.values() if moment is not None}) == 2
    if apart and len(known_ns) == 2 and known_ns[0] >= known_ns[1]:
        text = f"{times['end']} is not after start {times['start']}"
        found.append(_problem(deployment, ("run", "end"), text, "swap them"))
    return found


def _order_problems(deployment: Deployment) -> list[Problem]:
    """Return a warning for each refdata plugin that starts after a venue, which is built on what holds before."""
    venue, found = "", []
    for spec in deployment.plugins:
        if spec.manifest.kind == "venue":
            venue = venue or spec.name
        elif spec.manifest.kind == "refdata" and venue:
            text = f"starts after the venue {venue}, which does not know of its reference data then"
            found.append(
                _problem(deployment, ("plugins", spec.name), text, f"move it above [plugins.{venue}]", "warning")
            )
    return found


def _limit_paths(deployment: Deployment) -> list[KeyPath]:
    """Return the path of every limit as written, those of plugins that could not be read too."""
    plugins = deployment.tree.get("plugins")
    tables: list[tuple[KeyPath, object]] = [(("limits",), deployment.tree.get("limits"))]
    for name, table in plugins.items() if isinstance(plugins, dict) else ():
        if isinstance(table, dict) and table.get("enabled") is not False:
            tables.append((("plugins", name, "limits"), table.get("limits")))
    return [(*path, name) for path, table in tables if isinstance(table, dict) for name in table]


def _risk_problems(deployment: Deployment) -> list[Problem]:
    kinds = {spec.manifest.kind for spec in deployment.plugins}
    # A plugin that could not be read may be the risk check: then its own fault says enough.
    if not deployment.whole or "risk" in kinds or not kinds & {"strategy", "execution"}:
        return []
    for name, kind in deployment.disabled:
        if kind == "risk":
            text = "no other plugin of kind risk is enabled, so every order will be refused"
            return [_problem(deployment, ("plugins", name, "enabled"), text, "write enabled = true", "warning")]
    text = "no plugin of kind risk, so every order will be refused"
    return [_problem(deployment, ("plugins",), text, 'add one, as use = "risk_limits"', "warning")]


def _problem(
    deployment: Deployment, path: KeyPath, message: str, way_out: str, severity: Literal["error", "warning"] = "error"
) -> Problem:
    return Problem(*deployment.place(path), format_path(path), message, way_out, severity)
