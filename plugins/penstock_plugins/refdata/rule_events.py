"""Rule files as events: read, checked row by row, and codes of zones checked to be those of areas."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from penstock_plugins.refdata.identifiers import check_eic
from penstock_sdk.core.reference_book import table_event
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import MarketZone
from penstock_sdk.energy.rules import Table, read_tables
from penstock_sdk.events import ReferenceTable

__all__ = ["rule_events"]


def rule_events(patterns: Sequence[str], folder: Path) -> list[ReferenceTable]:
    """Return the tables of every file that a pattern matches, files in the order of their names, each once.

    Args:
        patterns: paths from *folder* on, or absolute ones; `*`, `?`, `[…]` and `**` stand for what they match.
        folder: the deployment's.

    Raises:
        EnergyError: a pattern matches nothing, or a file or row is faulty; one fault a line, with file and line.
    """
    found: dict[Path, str] = {}
    faults = []
    for pattern in patterns:
        matches = [Path(name) for name in sorted(glob(str(folder / pattern), recursive=True))]
        if not matches:
            faults.append(f"files has {pattern!r}, which matches nothing in {folder}; write paths from there on")
        for path in matches:
            found.setdefault(path, _shown(path, folder))
    events = []
    for path, source in found.items():
        try:
            tables = _read(path, source)
        except EnergyError as error:
            faults.append(str(error))
            continue
        for table in tables:
            faults += _odd_codes(table)
            events.append(table_event(table))
    if faults:
        raise EnergyError("\n".join(faults))
    return events


def _shown(path: Path, folder: Path) -> str:
    """Return the path as people know it, from the deployment's folder on; the same on another machine."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _read(path: Path, source: str) -> list[Table]:
    """Return the tables of a file under the name that people know it by."""
    try:
        return [
            Table(table.name, table.source.replace(str(path), source), table.rows, table.lines)
            for table in read_tables(path)
        ]
    except EnergyError as error:
        raise EnergyError(str(error).replace(str(path), source)) from None


def _odd_codes(table: Table) -> list[str]:
    """Return what is wrong with the area codes of a table of zones; rows have checked everything else themselves."""
    faults = []
    for number, row in enumerate(table.typed):
        if isinstance(row, MarketZone) and row.eic:
            try:
                check_eic(row.eic, types="Y")
            except EnergyError as error:
                faults.append(f"{table.place(number)}: {error}")
    return faults
