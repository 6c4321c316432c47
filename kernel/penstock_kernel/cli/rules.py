"""``penstock rules``: check files of dated reference data, and see what holds on a day."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import ROW_TYPES, Row, Rules, builtin_rules, read_tables

__all__ = ["add_commands"]


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``rules`` to the command line."""
    text = "Check files of dated rules (zones, products, limits, aliases, fees, shapes), and print what holds on a day."
    rules = add("rules", _rules, "check and show dated rules", text)
    commands = rules.add_subparsers(metavar="check|show", required=True, dest="rules_command")
    check = commands.add_parser("check", help="say every fault of rule files with file and line")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="TOML or CSV file, or a folder of them")
    show = commands.add_parser("show", help="print the rows that hold on a day")
    show.add_argument("table", nargs="?", choices=list(ROW_TYPES), metavar="TABLE", help=", ".join(ROW_TYPES))
    show.add_argument("--on", type=_day, metavar="DATE", help="delivery day, as 2026-03-29 (default: rows of all days)")
    show.add_argument("--deployment", type=Path, metavar="FILE", help="with its reference data (default: built-in)")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"met {text}, wanted a date as 2026-03-29") from None


def _rules(options: argparse.Namespace, console: Console) -> int:
    if options.rules_command == "check":
        return check_files(options.files, console)
    return show_rules(_asked(options.deployment), options.table, options.on, console)


def check_files(files: list[Path], console: Console) -> int:
    """Print every fault of rule files, one a line, and how many rows they hold; return 2 when there is a fault."""
    tables, faults = [], []
    for path in files:
        try:
            tables += read_tables(path)
        except EnergyError as error:
            faults.append(str(error))
    try:
        builtin_rules().with_tables(tables)
    except EnergyError as error:
        faults.append(str(error))
    for table in tables:
        days = f"{len(table.rows)} row{'s' if len(table.rows) != 1 else ''}"
        console.print(f"{table.source}: {table.name}: {days}, version {table.digest[:12]}", markup=False)
    for fault in faults:
        console.print(fault, markup=False)
    count = len("\n".join(faults).splitlines())
    console.print(f"{count or 'no'} error{'s' if count != 1 else ''}", markup=False)
    return 2 if faults else 0


def _asked(deployment: Path | None) -> Rules:
    if deployment is None:
        return builtin_rules()
    from penstock_kernel.reference import load_reference

    return load_reference(deployment).rules


def show_rules(rules: Rules, table: str | None, on: date | None, console: Console) -> int:
    """Print the rows of one table, or how many each table has, that hold on a day (on any, when None)."""
    when = f"on {on}" if on else "on any day"
    if table is None:
        for name in ROW_TYPES:
            console.print(f"{name}: {len(rules.rows(name, on=on))} rows hold {when}", markup=False)
        console.print(f"version {rules.version}", markup=False)
        return 0
    rows = rules.rows(table, on=on)
    columns = [name for name in ROW_TYPES[table].__struct_fields__ if any(_cell(row, name) for row in rows)]
    printed = [columns, *([_cell(row, name) for name in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*printed, strict=True)]
    for line in printed:
        console.print("  ".join(map(str.ljust, line, widths)).rstrip(), markup=False)
    console.print(f"{len(rows)} rows of {table} hold {when}", markup=False)
    return 0


def _cell(row: Row, column: str) -> str:
    """Return a value as text; empty for one that says nothing: without end, no such code."""
    value: Any = getattr(row, column)
    if value in (date.min, date.max, None):
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
