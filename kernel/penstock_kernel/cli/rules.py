"""``penstock rules``: check files of dated reference data, and see what holds on a day."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_warnings import rule_warnings
from penstock_sdk.energy.rules import ROW_TYPES, ProductRow, Row, Rules, Table, builtin_rules, read_tables

__all__ = ["add_commands"]


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``rules`` to the command line."""
    text = "Check files of dated rules (zones, products, limits, aliases, fees, shapes), and print what holds on a day."
    rules = add("rules", _rules, "check and show dated rules", text)
    rules.add_argument("action", choices=["check", "show"], help="say every fault of FILEs; print the rows of a TABLE")
    rules.add_argument(
        "what", nargs="*", metavar="FILE|TABLE", help=f"TOML or CSV files; one of {', '.join(ROW_TYPES)}"
    )
    rules.add_argument("--on", type=_day, metavar="DATE", help="show: delivery day, as 2026-03-29 (default: all days)")
    rules.add_argument("--deployment", type=Path, metavar="FILE", help="show: with its own rules (default: built-in)")
    rules.set_defaults(wrong=rules.error)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"met {text}, wanted a date as 2026-03-29") from None


def _rules(options: argparse.Namespace, console: Console) -> int:
    what: list[str] = options.what
    if options.action == "check":
        if not what:
            options.wrong("check wants a FILE, as rules/caps.toml")
        return check_files([Path(name) for name in what], console)
    if len(what) > 1 or not set(what) <= set(ROW_TYPES):
        options.wrong(f"show met {' '.join(what)}, wanted one of {', '.join(ROW_TYPES)}, or none")
    return show_rules(_asked(options.deployment), what[0] if what else None, options.on, console)


def check_files(files: list[Path], console: Console) -> int:
    """Print every fault of rule files, one a line, and how many rows they hold; return 2 when there is a fault.

    Warnings are of what may be meant so: it is held against the built-in rules and the default calendars.
    """
    tables: list[Table] = []
    faults: list[str] = []
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
    warnings = rule_warnings(tables, builtin_rules(), _calendars(tables))
    for warning in warnings:
        console.print(_marked(warning), markup=False)
    count = len("\n".join(faults).splitlines())
    told = f", {len(warnings)} warning{'s' if len(warnings) != 1 else ''}" if warnings else ""
    console.print(f"{count or 'no'} error{'s' if count != 1 else ''}{told}", markup=False)
    return 2 if faults else 0


def _marked(warning: str) -> str:
    """Return a warning with that word after its place."""
    place, _, text = warning.partition("): ")
    return f"{place}): warning: {text}"


def _calendars(tables: list[Table]) -> list[str] | None:
    """Return the calendars that the default deployment brings, where a row names one."""
    if not any(isinstance(row, ProductRow) and row.calendar for table in tables for row in table.typed):
        return None
    from penstock_kernel.reference import load_reference

    return sorted(load_reference().calendars)


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
