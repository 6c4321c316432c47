"""``penstock contract``: what a name means: delivery, energy, grid, sessions, payment, aliases."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["add_commands"]


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``contract`` to the command line."""
    contract = add(
        "contract", _contract, "say what a contract is",
        "Print a contract's delivery (local and UTC), energy, tick, lot, limits, sessions, gate, last trading day, "
        "payment, cascade and aliases; or what is listed in a zone on a day.",
    )  # fmt: skip
    contract.add_argument("contract", nargs="*", metavar="NAME", help="as DE-LU QH 2025-10-26 02:15B or TTF M 2026-04")
    contract.add_argument("--on", type=_day, metavar="DATE", help="the day of limits and aliases, or of the list")
    contract.add_argument("--alias", metavar="VENUE", default="", help="NAME is what this venue calls it, as EEX")
    contract.add_argument("--zone", metavar="ZONE", default="", help="of an alias that several zones have")
    contract.add_argument(
        "--list", metavar="ZONE", dest="listed", default="", help="print what is listed there that day"
    )
    contract.add_argument("--rules", nargs="+", type=Path, default=[], metavar="FILE", help="dated rules on top")
    contract.add_argument("--deployment", type=Path, metavar="FILE", help="whose reference data (default: built-in)")
    contract.add_argument("--intervals", action="store_true", help="every interval, however many")
    contract.add_argument("--json", action="store_true", help="print one JSON object")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"met {text}, wanted a date as 2026-03-29") from None


def _contract(options: argparse.Namespace, console: Console) -> int:
    import msgspec

    from penstock_kernel.cli.contract_text import contract_facts, contract_lines, list_lines, listed_facts
    from penstock_sdk.energy.aliases import contract_by_alias
    from penstock_sdk.energy.contracts import parse_contract
    from penstock_sdk.energy.exact import EnergyError

    reference = _reference(options)
    name = " ".join(options.contract)
    if bool(name) == bool(options.listed):
        raise EnergyError("give the name of a contract, as DE-LU QH 2026-03-10 13:15, or --list ZONE")
    facts: dict[str, Any]
    if options.listed:
        facts = listed_facts(options.listed, options.on or date.today(), reference)
        lines = list_lines(facts)
    else:
        if options.alias:
            contract = contract_by_alias(options.alias, name, options.on or date.today(), reference, options.zone)
        else:
            contract = parse_contract(name, reference)
        facts = contract_facts(contract, options.on, reference, every_interval=options.intervals)
        lines = contract_lines(facts)
    if options.json:
        console.print(msgspec.json.encode(facts).decode(), markup=False)
    else:
        for line in lines:
            console.print(line, markup=False)
    return 0


def _reference(options: argparse.Namespace) -> Any:
    """Return the reference data of the deployment, or of the one that comes along, with the rules given on top."""
    from penstock_kernel.reference import load_reference
    from penstock_sdk.energy.rules import read_tables

    reference = load_reference(options.deployment)
    tables = [table for path in options.rules for table in read_tables(path)]
    return reference._replace(rules=reference.rules.with_tables(tables)) if tables else reference
