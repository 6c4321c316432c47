"""Limits as an operator writes them, `mm_de.position_max_lots=100` or a TOML file, to rows for the desk."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_sdk.core.limit_rows import limit_fault

__all__ = ["LimitsError", "as_argument", "rows_of_file", "rows_of_words"]

Row = tuple[str, str, int]
_FORM = "a limits file has [limits] and [plugins.NAME.limits] alone"


class LimitsError(ValueError):
    """Rows that are no limits; a line for every bad one, and none is taken."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join([*faults, "no limit was set: one bad row refuses them all"]))


def rows_of_words(words: Sequence[str], owners: Collection[str]) -> list[Row]:
    """Return the rows of ``name=value`` and ``strategy.name=value``.

    Raises:
        LimitsError: some are none; names every one.
    """
    rows: list[Row] = []
    faults = []
    for word in words:
        path, equals, text = word.partition("=")
        owner, _, name = path.strip().rpartition(".")
        digits = text.strip().replace("_", "")
        value: Any = int(digits) if digits.isascii() and digits.isdigit() else text.strip()
        fault = limit_fault(owner, name, value, owners) if equals else "wanted strategy.limit=value or limit=value"
        if fault:
            faults.append(f"--set {word}: {fault}")
        rows.append((owner, name, value))
    if faults:
        raise LimitsError(faults)
    return rows


def rows_of_file(path: Path, owners: Collection[str]) -> list[Row]:
    """Return the rows of a TOML file.

    Raises:
        LimitsError: it is no TOML, holds something else, or rows that are no limits; every fault with its line.
        OSError: it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LimitsError([f"{path}: {error}"]) from None
    lines = toml_lines(text)
    rows: list[Row] = []
    faults: list[tuple[int, str]] = []

    def add(where: tuple[str, ...], owner: str, table: Any) -> None:
        if not isinstance(table, dict):
            faults.append((line_of(lines, where), f"{'.'.join(where)} met {table!r}, wanted a table of limits"))
            return
        for name, value in table.items():
            fault = limit_fault(owner, name, value, owners)
            if fault:
                faults.append((line_of(lines, (*where, name)), fault))
            rows.append((owner, name, value))

    for key, table in tree.items():
        if key == "limits":
            add((key,), "", table)
        elif key == "plugins" and isinstance(table, dict):
            for owner, plugin in table.items():
                where = ("plugins", owner)
                if not isinstance(plugin, dict):
                    faults.append((line_of(lines, where), f"plugins.{owner} met {plugin!r}, wanted a table"))
                    continue
                for inner, limits in plugin.items():
                    if inner == "limits":
                        add((*where, inner), owner, limits)
                    else:
                        faults.append((line_of(lines, (*where, inner)), f"plugins.{owner}.{inner}: {_FORM}"))
        else:
            faults.append((line_of(lines, (key,)), f"{key}: {_FORM}"))
    if not rows and not faults:
        faults.append((1, f"no limits in it; {_FORM}"))
    if faults:
        raise LimitsError([f"{path}:{line}: {fault}" for line, fault in sorted(faults)])
    return rows


def as_argument(rows: Sequence[Row]) -> str:
    """Return rows as a command carries them; of a limit that is named twice the last stands."""
    last = {(owner, name): value for owner, name, value in rows}
    return msgspec.json.encode([[owner, name, value] for (owner, name), value in last.items()]).decode()
