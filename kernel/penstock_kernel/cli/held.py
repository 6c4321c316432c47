"""``penstock positions`` and ``pnl``: what a run holds and has made, by delivery period, book, product, zone."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["add_commands"]

_ROWS_SHOWN = 60


def add_commands(add: Any) -> None:
    """Add both commands to a parser; *add* takes name, function, summary and description."""
    positions = add(
        "positions", _positions, "what is held, by delivery period",
        "Print the position of a finished or a running run by delivery period, zone by zone: futures, deals, spot and "
        "assets netted interval by interval. Bought is positive.",
    )  # fmt: skip
    positions.add_argument(
        "--by", default="hour", metavar="PERIOD",
        help="interval, hour, peak, day, week, month, quarter, season, year or all (default: hour)",
    )  # fmt: skip
    for name in ("zone", "book", "strategy"):
        positions.add_argument(f"--{name}", default="", metavar="NAME", help=f"of this {name} alone")
    positions.add_argument(
        "--settlement", choices=["physical", "cash"], default="", help="what is delivered, or price exposures, alone"
    )
    positions.add_argument(
        "--apart", action="store_true", help="each book, strategy and kind of settlement for itself, not netted"
    )

    pnl = add(
        "pnl", _pnl, "profit and loss, by anything",
        "Print profit and loss by up to three headings, per currency: a contract's profit is spread over the periods "
        "it delivers in by energy, to the micro. Currencies are never added.",
    )  # fmt: skip
    pnl.add_argument(
        "--by", default="strategy,product", metavar="LIST",
        help="of strategy, book, product, zone, contract and one of day, week, month, quarter, season, year "
        "(default: strategy,product)",
    )  # fmt: skip
    for sub in (positions, pnl):
        sub.add_argument("run", nargs="?", default="latest", help="id, the beginning of one, latest, or a folder")
        sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")
        sub.add_argument("--json", action="store_true", help="print a JSON list")
        sub.add_argument("--csv", action="store_true", help="print every row as CSV")


def _positions(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.by_period import positions_by
    from penstock_kernel.lake import Reader
    from penstock_kernel.runs import find_run

    with Reader(find_run(options.runs_dir, options.run)) as reader:
        found = positions_by(
            reader, options.by, zone=options.zone, book=options.book, strategy=options.strategy,
            settlement=options.settlement, apart=options.apart,
        )  # fmt: skip
    if _printed(found, options, console):
        return 0
    heads = ["zone", "period", *(("book", "strategy", "settled") if options.apart else ())]
    rows = [
        (
            line.zone, line.period, *((line.book, line.strategy, line.settlement) if options.apart else ()),
            *(_number(value, 3) for value in (line.net_mwh, line.mean_mw, line.least_mw, line.largest_mw)),
            "" if line.unit == "kW" else f"{line.amount:,} {line.unit.removesuffix('/d')}",
        )
        for line in found
    ]  # fmt: skip
    _print_rows([*heads, "net MWh", "mean MW", "least MW", "largest MW", "amount"], rows, len(heads), console)
    return 0


def _pnl(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.by_period import pnl_by
    from penstock_kernel.lake import Reader
    from penstock_kernel.runs import find_run

    by = tuple(name.strip() for name in options.by.split(","))
    with Reader(find_run(options.runs_dir, options.run)) as reader:
        found = pnl_by(reader, by)
    if _printed(
        [
            dict(zip(by, line.of, strict=True)) | {
                "currency": line.currency, "realised_micro": line.realised_micro,
                "unrealised_micro": line.unrealised_micro, "fees_micro": line.fees_micro,
                "total_micro": line.total_micro,
            }
            for line in found
        ],
        options, console,
    ):  # fmt: skip
        return 0
    rows = [
        (
            *line.of, line.currency,
            *(
                _number(micro / 1e6, 2)
                for micro in (line.realised_micro, line.unrealised_micro, line.fees_micro, line.total_micro)
            ),
        )
        for line in found
    ]  # fmt: skip
    for currency in dict.fromkeys(line.currency for line in found):
        own = [line for line in found if line.currency == currency]
        sums = (
            sum(getattr(line, name) for line in own)
            for name in ("realised_micro", "unrealised_micro", "fees_micro", "total_micro")
        )
        rows.append(("all", *[""] * (len(by) - 1), currency, *(_number(micro / 1e6, 2) for micro in sums)))
    _print_rows([*by, "", "realised", "unrealised", "fees", "total"], rows, len(by) + 1, console, last=1)
    return 0


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f}"


def _printed(found: Sequence[Any], options: argparse.Namespace, console: Console) -> bool:
    """Print for programs where that was asked for; return whether it was."""
    import msgspec

    plain = [msgspec.to_builtins(line) for line in found]
    if options.json:
        console.print(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode(), markup=False)
    elif options.csv:
        if plain:
            writer = csv.DictWriter(sys.stdout, list(plain[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(plain)
    elif not plain:
        console.print("nothing is held, and nothing was traded")
    else:
        return False
    return True


def _print_rows(
    heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int, console: Console, last: int = 0
) -> None:
    """Print a table, the first *texts* columns as text; of a long one its ends, and how many are left out."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for at, name in enumerate(heads):
        table.add_column(name, no_wrap=True, justify="left" if at < texts else "right")
    left_out = len(rows) - _ROWS_SHOWN
    if left_out > 0:
        half = (_ROWS_SHOWN - last) // 2
        gap = (f"… {left_out:,} more: --csv has all", *[""] * (len(heads) - 1))
        rows = [*rows[:half], gap, *rows[half + left_out :]]
    for row in rows:
        table.add_row(*row)
    console.print(table)
