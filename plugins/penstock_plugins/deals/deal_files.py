"""The files that a deployment names, read off the kernel's thread; what was read is journaled: a replay needs none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from penstock_sdk.energy.counterparties import CounterpartyTerms, counterparties_of
from penstock_sdk.energy.deal_capture import file_faults
from penstock_sdk.energy.outside_trades import trade_file_faults
from penstock_sdk.energy.row_files import Fault, Sheet, read_sheet
from penstock_sdk.energy.rules import Reference

__all__ = ["COUNTERPARTIES", "DEALS", "TRADES", "FileText", "config_faults", "read_files", "too_long"]

COUNTERPARTIES, DEALS, TRADES = "counterparties", "deals", "trades"
_BYTES_MAX = 16 << 20
_ROWS_MAX = {COUNTERPARTIES: 2_000, DEALS: 2_000, TRADES: 10_000}
"""A file is taken as a whole, on the kernel's thread: half a second at most."""


class FileText(NamedTuple):
    """A file as it was read; with an error no text."""

    role: str
    name: str
    text: str
    error: str


def read_files(folder: str, wanted: list[tuple[str, str]]) -> list[FileText]:
    """Return the text of each (role, name), in order; names are relative to *folder*. It is run as a task."""
    return [_read(role, name, Path(folder) / name) for role, name in wanted]


def _read(role: str, name: str, path: Path) -> FileText:
    try:
        if path.stat().st_size > _BYTES_MAX:
            return FileText(role, name, "", f"it has more than {_BYTES_MAX >> 20} MiB; split it")
        return FileText(role, name, path.read_text(encoding="utf-8-sig"), "")
    except UnicodeDecodeError as error:
        return FileText(role, name, "", f"it is no UTF-8 at byte {error.start}; save it as UTF-8")
    except OSError as error:
        return FileText(role, name, "", f"it cannot be read: {error.strerror or error}")


def too_long(role: str, sheet: Sheet) -> Fault | None:
    """Return what is wrong with a file of too many rows."""
    if len(sheet.rows) <= _ROWS_MAX[role]:
        return None
    rule, wanted = f"it has {len(sheet.rows)} rows", f"at most {_ROWS_MAX[role]}: split it"
    return Fault(sheet.source, 0, "", "", rule, wanted)


def config_faults(folder: Path, wanted: list[tuple[str, str]], reference: Reference) -> list[Fault]:
    """Return what is wrong with each (role, name) as it stands, without a run."""
    known: list[CounterpartyTerms] | None = []
    found: list[Fault] = []
    for role, name, text, error in read_files(str(folder), wanted):
        if error:
            found.append(Fault(name, 0, "", "", error, "a CSV or JSON file of " + role))
            continue
        sheet = read_sheet(name, text)
        if (fault := too_long(role, sheet)) is not None:
            found.append(fault)
        elif role == COUNTERPARTIES:
            rows, faults = counterparties_of(sheet)
            known = None if faults else [terms for _, terms in rows]
            found += faults
        elif role == DEALS:
            found += file_faults(sheet, known, reference, limits=False)[1]
        else:
            found += trade_file_faults(sheet, reference, spot=False)[2]
    return found
