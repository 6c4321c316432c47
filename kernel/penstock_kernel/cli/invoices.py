"""``penstock invoices`` and ``cashflows``: what a run's trading is paid with, for people and for an ERP."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["add_commands"]


def add_commands(add: Any) -> None:
    """Add both commands to a parser; *add* takes name, function, summary and description."""
    invoices = add(
        "invoices", _invoices, "a run's invoices",
        "Print the invoices of a finished or a running run as last drawn up, one per party, month and currency.",
    )  # fmt: skip
    invoices.add_argument("--month", default="", metavar="YYYY-MM", help="of this month alone")
    invoices.add_argument("--final", action="store_true", help="those alone that nothing can change any more")
    invoices.add_argument("--draft", action="store_true", help="draw them up now, from the cash flows there are")
    cash = add(
        "cashflows", _cashflows, "a run's cash flows",
        "Print the money due in a finished or a running run, summed per currency: currencies are never netted.",
    )  # fmt: skip
    cash.add_argument(
        "--by",
        choices=["day", "counterparty", "kind"],
        default="day",
        help="value day, counterparty or kind (default: day)",
    )
    for sub in (invoices, cash):
        sub.add_argument("run", nargs="?", default="latest", help="id, the beginning of one, latest, or a folder")
        sub.add_argument("--csv", metavar="FILE", help="write every row to a file; - is standard output")
        sub.add_argument("--force", action="store_true", help="write over a file that is there")
        sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")


def _invoices(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.invoice_files import print_invoices

    return print_invoices(options, console)


def _cashflows(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.invoice_files import print_cash_flows

    return print_cash_flows(options, console)
