"""What each block and top may cost, and what it came to: rtl/budgets.toml.

A bench measures its block's clocks and holds them against the file:

    from sims.budgets import budget
    assert clocks == budget("risk_gate").clocks
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "BUDGETS", "Budget", "Figures", "Limits", "breaches", "budget", "load_budgets", "tight_limits", "write_figures",
    "write_limits",
]  # fmt: skip

BUDGETS = Path(__file__).resolve().parent.parent / "rtl" / "budgets.toml"
_MARK = "# ---- Below: written by `penstock sim timing --write`, not by hand ----\n"


@dataclass(frozen=True)
class Limits:
    """The worst that a module may come to on a device."""

    mhz_min: float
    """Of the worst seed."""
    luts_max: int
    ffs_max: int
    brams_max: float
    ns_max: float = math.inf
    """Of the decision, in ns at the clock of the worst seed: clocks may be traded for MHz, not for time.

    Revisions of before have none; the present file has one everywhere.
    """


@dataclass(frozen=True)
class Figures:
    """What a module came to on a device, placed with several seeds."""

    rtl_hash: str
    seeds: int
    mhz_worst: float
    mhz_median: float
    mhz_best: float
    luts: int
    ffs: int
    brams: float
    dsps: int
    critical_path: str
    """Of the worst seed."""
    die: str
    tools: str


@dataclass(frozen=True)
class Budget:
    """One block or top of rtl/budgets.toml."""

    top: str
    last_needed_beat: str
    """The beat with the last field that the decision reads, in words."""
    clocks: int
    """From that beat's transfer to the first output beat."""
    clocks_max: int
    parameters: dict[str, int] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    """By device."""
    figures: dict[str, Figures] = field(default_factory=dict)
    """By device."""

    def ns(self, mhz: float) -> float:
        """Return the latency in ns at a clock of *mhz*."""
        return 1000 * self.clocks / mhz


def load_budgets(path: Path = BUDGETS) -> dict[str, Budget]:
    """Return all budgets by module.

    Raises:
        TypeError: an entry has an unknown key, or lacks one.
    """
    read = tomllib.loads(path.read_text())
    found = {}
    for top, entry in read.get("budget", {}).items():
        limits = {device: Limits(**entry.pop(device)) for device in ("ecp5", "xc7") if device in entry}
        figures = {device: Figures(**got) for device, got in read.get("figures", {}).get(top, {}).items()}
        found[top] = Budget(top, limits=limits, figures=figures, **entry)
    return found


def budget(top: str) -> Budget:
    """Return the budget of the module *top*.

    Raises:
        KeyError: rtl/budgets.toml has none.
    """
    return load_budgets()[top]


def breaches(of: Budget, device: str, got: Figures) -> list[str]:
    """Return a sentence for each limit of *of* on *device* that *got* does not keep."""
    limits = of.limits[device]
    found = [
        f"{of.top} on {device} has {met:g} {what}, wanted {limit:g} at most"
        for what, met, limit in (
            ("LUTs", got.luts, limits.luts_max),
            ("flip-flops", got.ffs, limits.ffs_max),
            ("block RAMs", got.brams, limits.brams_max),
        )
        if met > limit
    ]
    if got.mhz_worst < limits.mhz_min:
        found.append(
            f"{of.top} on {device} reaches {got.mhz_worst:g} MHz, wanted {limits.mhz_min:g}: {got.critical_path}"
        )
    if of.ns(got.mhz_worst) > limits.ns_max:
        found.append(
            f"{of.top} on {device} takes {of.ns(got.mhz_worst):.1f} ns ({of.clocks} clocks at {got.mhz_worst:g} MHz), "
            f"wanted {limits.ns_max:g} at most"
        )
    if of.clocks > of.clocks_max:
        found.append(f"{of.top} takes {of.clocks} clocks, wanted {of.clocks_max} at most")
    return found


def tight_limits(of: Budget, device: str, percent: float) -> Limits:
    """Return limits *percent* beside the written figures of *of* on *device*, rounded so that the figures keep them.

    Raises:
        KeyError: it has no figures there.
        ValueError: *percent* is below 0, so that the figures themselves would not keep them.
    """
    if not 0 <= percent < math.inf:
        raise ValueError(f"{percent:g} percent; wanted 0 or more")
    got, more = of.figures[device], 1 + percent / 100
    mhz_min = math.floor(got.mhz_worst / more)
    return Limits(
        mhz_min=mhz_min,
        luts_max=math.ceil(got.luts * more),
        ffs_max=math.ceil(got.ffs * more),
        brams_max=math.ceil(got.brams * more),
        ns_max=math.ceil(10 * of.ns(mhz_min)) / 10,  # what keeps the one limit keeps the other
    )


def write_limits(new: Mapping[tuple[str, str], Limits], path: Path = BUDGETS) -> None:
    """Put *new*, by module and device, in place of the limits of *path*; the rest stays as it is written.

    Raises:
        ValueError: *path* has no line for the limits of one of them; nothing was written.
    """
    text = path.read_text()
    for (top, device), limits in new.items():
        line = f"{device} = {{ {', '.join(f'{name} = {value:g}' for name, value in vars(limits).items())} }}\n"
        entry = rf"(^\[budget\.{re.escape(top)}\]\n(?:[^\[\n].*\n)*?){device} = .*\n"
        text, count = re.subn(entry, rf"\g<1>{line}", text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"{path.name} has {count} lines for the limits of {top} on {device}, wanted one")
    path.write_text(text)


def write_figures(new: Mapping[tuple[str, str], Figures], path: Path = BUDGETS) -> None:
    """Put *new*, by module and device, into the written part of *path*; what is not in *new* stays.

    Figures of modules without a budget go.
    """
    budgets = load_budgets(path)
    kept = {(top, device): got for top, of in budgets.items() for device, got in of.figures.items()}
    lines = [path.read_text().partition(_MARK)[0].rstrip() + "\n\n" + _MARK]
    for (top, device), got in sorted((kept | dict(new)).items()):
        if top not in budgets:
            continue
        lines.append(f"\n[figures.{top}.{device}]\n")
        lines += [f"{name} = {_toml(value)}\n" for name, value in vars(got).items()]
    path.write_text("".join(lines))


def _toml(value: Any) -> str:
    # A JSON string is a TOML one, and so is a number.
    return json.dumps(value, ensure_ascii=False)
