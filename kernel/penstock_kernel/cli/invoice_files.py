"""What a run's trading is paid with, as tables for people and as CSV files for an ERP.

Amounts are received positive. In CSV files they are decimals with a point, exact: invoices to the currency's minor
unit, cash flows to 10⁻⁶; dates and times are ISO 8601, times in UTC; UTF-8, a line per row, with a header line.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from penstock_kernel.lake import Reader
from penstock_kernel.runs import RunError, RunPaths, find_run, write_atomically
from penstock_sdk.energy.money import currency
from penstock_sdk.events import CashKind
from penstock_sdk.invoices import InvoiceSum, draw_up, invoice_month

__all__ = ["CASH_FLOW_COLUMNS", "INVOICE_COLUMNS", "print_cash_flows", "print_invoices"]

INVOICE_COLUMNS: Final = (
    "invoice", "version", "status", "line", "counterparty", "month", "book", "kind", "text", "energy_mwh",
    "exact_amount", "amount", "currency", "zone", "quantity", "unit",
)  # fmt: skip
"""Of ``penstock invoices --csv``: columns are only ever added, at the end."""
CASH_FLOW_COLUMNS: Final = (
    "value_day", "kind", "amount", "currency", "counterparty", "book", "strategy", "listing", "zone", "energy_mwh",
    "version", "traded_utc", "delivery_start_utc", "delivery_end_utc", "seq",
)  # fmt: skip
"""Of ``penstock cashflows --csv``: columns are only ever added, at the end."""
_GROUPS: Final = {"day": "value_day", "counterparty": "counterparty", "kind": "kind"}
_ROWS_SHOWN: Final = 40
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_CLEARING_HOUSE: Final = "ECC"
_CARBON: Final = "coalesce(zone IN (SELECT code FROM zone_definitions WHERE commodity = 'carbon'), false)"


# Invoices.


def print_invoices(options: argparse.Namespace, console: Console) -> int:
    """Print a run's invoices, or write them to a file."""
    if options.month and not _MONTH.fullmatch(options.month):
        raise RunError(f"--month met {options.month!r}, wanted a month such as 2026-03")
    run_dir = find_run(options.runs_dir, options.run)
    with Reader(run_dir) as reader:
        lines = _drafts(reader, run_dir) if options.draft else _lines(reader)
    lines = [
        line for line in lines
        if options.month in ("", line["month"]) and (line["status"] == "final" or not options.final)
    ]  # fmt: skip
    if options.csv:
        return _write(options, INVOICE_COLUMNS, lines, console)
    if not lines:
        which = " ".join(filter(None, ("final" if options.final else "", "invoices", options.month)))
        console.print(f"no {which}: the plugin settlement draws them up at month end and when a run stops")
        return 0
    _print_invoices(lines, console)
    return 0


def _lines(reader: Reader) -> list[dict[str, Any]]:
    rows = reader.query(f"SELECT *, {_CARBON} AS carbon FROM invoice_lines_latest").to_pylist()
    return [_line(row) for row in rows]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    quantity = _decimal(row["energy_wh"], 6)
    return {
        "invoice": row["invoice"], "version": row["version"], "status": "final" if row["final"] else "draft",
        "line": row["line"], "counterparty": row["counterparty"], "month": row["month"], "book": row["book"],
        "kind": row["kind"], "text": row["text"], "energy_mwh": "" if row["carbon"] else quantity,
        "exact_amount": _decimal(row["exact_micro"], 6),
        "amount": _decimal(row["amount_minor"], currency(row["currency"]).digits), "currency": row["currency"],
        "zone": row["zone"] or "", "quantity": quantity, "unit": "t" if row["carbon"] else "MWh",
    }  # fmt: skip


def _drafts(reader: Reader, run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of every invoice drawn up from the cash flows there are; no version of the run's own."""
    house = _clearing_house(run_dir)
    rows = reader.query(
        "SELECT kind, value_day_number, delivery_start_ns, coalesce(timezone, 'Etc/UTC') AS timezone, "
        "coalesce(day_starts_hour, 0) AS day_starts_hour, counterparty_id, "
        "counterparty, coalesce(currency, '') AS currency, coalesce(book, '') AS book, "
        f"coalesce(zone, '') AS zone, {_CARBON} AS carbon, sum(amount_micro)::BIGINT AS amount_micro, "
        "sum(energy_wh)::BIGINT AS energy_wh "
        "FROM cash_flows_latest LEFT JOIN (SELECT DISTINCT ON (zone_id) zone_id, day_starts_hour FROM zone_definitions "
        "ORDER BY zone_id, seq DESC) USING (zone_id) GROUP BY ALL"
    ).to_pylist()
    bills: dict[tuple[str, str, str], dict[tuple[str, CashKind, str, str], list[int]]] = {}
    for row in rows:
        kind = CashKind[row["kind"].upper()]
        month = invoice_month(
            kind, row["value_day_number"], row["delivery_start_ns"], row["timezone"], row["day_starts_hour"]
        )
        party = row["counterparty"] if row["counterparty_id"] else house
        of = (row["book"], kind, row["zone"], "t" if row["carbon"] else "MWh")
        total = bills.setdefault((party, month, row["currency"]), {}).setdefault(of, [0, 0])
        total[0] += row["amount_micro"]
        total[1] += row["energy_wh"]
    drawn = [
        draw_up(
            [
                InvoiceSum(*bill, book, kind, zone, unit, *total)
                for (book, kind, zone, unit), total in bills[bill].items()
            ],
            version=0,
            final=False,
        )
        for bill in sorted(bills)
    ]
    fields = ("invoice", "version", "final", "line", "counterparty", "month", "book", "kind", "text", "energy_wh",
              "exact_micro", "amount_minor", "currency", "zone")  # fmt: skip
    carbon = {row["zone"] for row in rows if row["carbon"]}
    return [
        _line({name: getattr(line, name) for name in fields} | {"carbon": line.zone in carbon})
        for lines in drawn
        for line in lines
    ]


def _clearing_house(run_dir: Path) -> str:
    """Return what the run's deployment calls the other side of cleared trades."""
    try:
        plugins = tomllib.loads(RunPaths(run_dir).deployment.read_text(encoding="utf-8")).get("plugins", {})
    except (OSError, tomllib.TOMLDecodeError):
        return _CLEARING_HOUSE
    for table in plugins.values():
        if table.get("use") == "settlement":
            return str(table.get("config", {}).get("clearing_house", _CLEARING_HOUSE))
    return _CLEARING_HOUSE


def _print_invoices(lines: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("invoice", "book", "kind", "text"):
        table.add_column(name, no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("")
    for name in dict.fromkeys(line["invoice"] for line in lines):
        own = [line for line in lines if line["invoice"] == name]
        state = own[0]["status"] + (f" {own[0]['version']}" if own[0]["version"] else "")
        for line in own:
            table.add_row(name, line["book"], line["kind"], line["text"], f"{line['amount']:,}", line["currency"])
        total = sum((line["amount"] for line in own), Decimal(0))
        table.add_row("[dim]total[/]", "", "", f"[dim]{state}[/]", f"{total:,}", own[0]["currency"])
    console.print(table)
    console.print("received is positive, paid is negative", style="dim")


# Cash flows.


def print_cash_flows(options: argparse.Namespace, console: Console) -> int:
    """Print the sums of a run's cash flows, or write every one to a file."""
    with Reader(find_run(options.runs_dir, options.run)) as reader:
        if options.csv:
            # Times as integers: what Python makes of a timestamp would lose its nanoseconds.
            sql = "SELECT * EXCLUDE (at_utc, traded_utc, delivery_start_utc, delivery_end_utc) FROM cash_flows_latest"
            rows = reader.query(f"{sql} ORDER BY value_day_number, seq").to_pylist()
            return _write(options, CASH_FLOW_COLUMNS, [_flow(row) for row in rows], console)
        group = _GROUPS[options.by]
        found = reader.query(
            f"SELECT {group} AS of, currency, kind, sum(amount_micro)::BIGINT AS micro, count(*) AS flows "
            "FROM cash_flows_latest GROUP BY ALL ORDER BY ALL"
        ).to_pylist()
    if not found:
        console.print("no cash flows: the plugin settlement tells them every quarter of an hour")
        return 0
    _print_flows(options.by, found, console)
    return 0


def _flow(row: dict[str, Any]) -> dict[str, Any]:
    flow = {name: row.get(name) for name in CASH_FLOW_COLUMNS}
    times = {f"{name}_utc": _utc(row[f"{name}_ns"]) for name in ("traded", "delivery_start", "delivery_end")}
    return flow | times | {"amount": _decimal(row["amount_micro"], 6), "energy_mwh": _decimal(row["energy_wh"], 6)}


def _utc(at_ns: int | None) -> str:
    """Return a time as ISO 8601, with nanoseconds where there are any."""
    if at_ns is None:
        return ""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{f'.{rest:09}' if rest else ''}Z"


def _print_flows(by: str, found: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a line per group and currency, with a column per kind where kinds are not the groups."""
    kinds = [] if by == "kind" else list(dict.fromkeys(row["kind"] for row in found))
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for row in found:
        line = sums.setdefault((str(row["of"] or ""), row["currency"] or ""), {"": 0, "flows": 0})
        line[row["kind"]] = line.get(row["kind"], 0) + row["micro"]
        line[""] += row["micro"]
        line["flows"] += row["flows"]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("value day" if by == "day" else by, no_wrap=True)
    table.add_column("")
    for name in (*kinds, "total", "flows"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = list(sums.items())[-_ROWS_SHOWN:]
    for (of, code), line in shown:
        amounts = [_money(line.get(kind), code) for kind in (*kinds, "")]
        table.add_row(of, code, *amounts, f"{line['flows']:,}")
    console.print(table)
    more = f"the last {_ROWS_SHOWN} of {len(sums)}: --csv has all; " if len(sums) > _ROWS_SHOWN else ""
    console.print(f"{more}received is positive, paid is negative", style="dim")


def _money(micro: int | None, code: str) -> str:
    if micro is None:
        return ""
    return f"{Decimal(micro) / 1_000_000:,.{currency(code).digits if code else 2}f}"


# Files.


def _decimal(value: int, digits: int) -> Decimal:
    """Return a whole number of 10 to the minus *digits*, exactly."""
    return Decimal(value).scaleb(-digits)


def _write(
    options: argparse.Namespace, columns: Sequence[str], rows: Iterable[dict[str, Any]], console: Console
) -> int:
    """Write every row as CSV; whole, or not at all.

    Raises:
        RunError: the file is there already.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([_text(row[name]) for name in columns])
        count += 1
    if options.csv == "-":
        sys.stdout.write(buffer.getvalue())
        return 0
    path = Path(options.csv)
    if path.exists() and not options.force:
        raise RunError(f"{path} is there already; give another name, or --force to write over it")
    if not path.parent.is_dir():
        raise RunError(f"{path.parent} is no folder; make it first, or give another file")
    write_atomically(path, buffer.getvalue().encode())
    console.print(f"{path}: {count:,} rows", markup=False)
    return 0


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)
