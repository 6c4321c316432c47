"""Checks of a deployment that need the market's vocabulary: zone, delivery day, names of limits, who checks orders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from penstock_kernel.deployment import Deployment
from penstock_kernel.problems import Problem
from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_sdk.energy import known_zones
from penstock_sdk.events import LimitKind
from penstock_sdk.typed import KeyPath, closest

__all__ = ["LIMIT_NAMES", "market_problems"]

LIMIT_NAMES = tuple(kind.name.lower() for kind in LimitKind if kind)


def market_problems(deployment: Deployment) -> list[Problem]:
    """Return what is wrong with a deployment whose tables and types are right."""
    found: list[Problem] = []
    zones = [zone.code for zone in known_zones()]
    if deployment.run.zone not in zones:
        near = closest(deployment.run.zone, zones)
        hint = f"; did you mean {near}?" if near else ""
        found.append(
            _problem(
                deployment, ("run", "zone"), f'unknown bidding zone "{deployment.run.zone}"{hint}',
                f"known: {', '.join(zones)}",
            )
        )  # fmt: skip
    tables: list[tuple[KeyPath, list[str]]] = [(("limits",), list(deployment.limits))]
    tables += [(("plugins", spec.name, "limits"), list(spec.limits)) for spec in deployment.plugins]
    for path, names in tables:
        for name in names:
            if name not in LIMIT_NAMES:
                near = closest(name, LIMIT_NAMES)
                hint = f"; did you mean {near}?" if near else ""
                found.append(
                    _problem(deployment, (*path, name), f"unknown limit{hint}", f"known: {', '.join(LIMIT_NAMES)}")
                )
    kinds = {spec.manifest.kind for spec in deployment.plugins}
    if kinds & {"strategy", "execution"} and "risk" not in kinds:
        text = "no plugin of kind risk, so every order will be refused"
        found.append(_problem(deployment, ("plugins",), text, 'add one, as use = "risk_limits"', warning=True))
    return found


def _problem(deployment: Deployment, path: KeyPath, message: str, way_out: str, warning: bool = False) -> Problem:
    """Return a problem at the first of the deployment's files that has the key."""
    dotted = ".".join(map(str, path))
    severity: Literal["error", "warning"] = "warning" if warning else "error"
    for source in deployment.sources:
        try:
            line = line_of(toml_lines(Path(source.file).read_text("utf-8-sig")), path)
        except OSError:
            continue
        if line:
            return Problem(source.file, line, dotted, message, way_out, severity)
    return Problem(deployment.sources[0].file if deployment.sources else "", 0, dotted, message, way_out, severity)
