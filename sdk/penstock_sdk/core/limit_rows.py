"""Limits that an operator sets together: rows of [owner, name, value], good as a whole or not taken at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from penstock_sdk.events import LimitKind

__all__ = ["ROWS_MAX", "SETTABLE", "VALUE_MAX", "limit_fault", "limit_rows"]

ROWS_MAX = 1_000
VALUE_MAX = 2**62
_SWITCHES = {LimitKind.KILL: "kill or unkill", LimitKind.PAUSE: "pause or resume"}
SETTABLE = {kind.name.lower(): kind for kind in LimitKind if kind and kind not in _SWITCHES}
"""Limits that have a number, by name; switches are commands of their own."""


def limit_fault(owner: Any, name: Any, value: Any, owners: Collection[str]) -> str:
    """Return what is wrong with one row, with what was wanted, or nothing.

    Args:
        owner: a strategy's name, or empty for all of them.
        owners: the strategies there are.
    """
    where = f"{owner}.{name}" if owner else f"{name}"
    if owner and owner not in owners:
        return f"{where}: no strategy is called {owner}; there are {', '.join(owners) or 'none'}"
    if not isinstance(name, str) or name not in SETTABLE:
        kind = LimitKind.__members__.get(str(name).upper())
        if kind in _SWITCHES:
            return f"{where}: it is a switch; give the command {_SWITCHES[kind]}"
        return f"{where}: no such limit; there are {', '.join(SETTABLE)}"
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= VALUE_MAX:
        return f"{where}: met {value!r}, wanted a whole number from 0"
    return ""


def limit_rows(argument: str, owners: Collection[str]) -> tuple[list[tuple[str, LimitKind, int]], list[str]]:
    """Return (owner, kind, value) of each row of a command's argument, and every fault; with a fault no rows.

    Args:
        argument: JSON, as ``[["mm_de", "position_max_lots", 100], ["", "qty_max_lots", 50]]``.
    """
    try:
        given = msgspec.json.decode(argument)
    except msgspec.MsgspecError as error:
        return [], [f"the rows are no JSON: {error}"]
    if not isinstance(given, list) or not 0 < len(given) <= ROWS_MAX:
        return [], [f"wanted a list of 1 to {ROWS_MAX} rows"]
    faults: list[str] = []
    rows: list[tuple[str, LimitKind, int]] = []
    seen: set[tuple[Any, Any]] = set()
    for number, row in enumerate(given, 1):
        fault = _row_fault(row, owners)
        if not fault and (row[0], row[1]) in seen:
            fault = f"{row[0]}.{row[1]}: named twice" if row[0] else f"{row[1]}: named twice"
        if fault:
            faults.append(f"row {number}: {fault}")
            continue
        seen.add((row[0], row[1]))
        rows.append((row[0], SETTABLE[row[1]], row[2]))
    return ([], faults) if faults else (rows, [])


def _row_fault(row: Any, owners: Collection[str]) -> str:
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != 3 or not isinstance(row[0], str):
        return f"met {row!r}, wanted [owner, name, value]"
    return limit_fault(row[0], row[1], row[2], owners)
