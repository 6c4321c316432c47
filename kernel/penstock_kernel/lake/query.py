"""Questions to a run in SQL, closed or live, and their answers printed."""

from __future__ import annotations

import csv
import datetime as dt
import sys
from pathlib import Path
from typing import Any, TextIO

import duckdb
import msgspec
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from penstock_kernel.lake.reader import Reader

__all__ = ["connect", "print_table", "query"]

_PIPE_COLUMNS = 10_000


def connect(run_dir: Path) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to a run's data; close it after use.

    While the run is live it sees all that is written at this moment (`penstock_kernel.lake.reader`).

    Raises:
        LakeError: nothing of the run was written yet, or its file cannot be opened.
    """
    return Reader(run_dir).connection


def query(run_dir: Path, sql: str) -> pa.Table:
    """Return the result of *sql* over a run's tables and views; nothing can be changed.

    Raises:
        LakeError: no data, or the SQL cannot be run; the message has DuckDB's own and the tables there are.
    """
    with Reader(run_dir) as reader:
        return reader.query(sql)


def print_table(table: pa.Table, *, form: str = "table", out: TextIO | None = None, rows_max: int = 200) -> None:
    """Print a result.

    Args:
        table: what `query` returned.
        form: ``table`` for people, ``json`` (one array of objects) or ``csv`` (with a header line).
        out: where to; standard output when None.
        rows_max: a table for people shows no more, and says so.
    """
    out = out or sys.stdout
    if form == "json":
        rows = msgspec.json.encode([{k: _json(v) for k, v in row.items()} for row in table.to_pylist()])
        out.write(rows.decode() + "\n")
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(table.column_names)
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            writer.writerow(["" if value is None else _text(value, exact=True) for value in row])
    else:
        _print_rich(table, out, rows_max)


def _print_rich(table: pa.Table, out: TextIO, rows_max: int) -> None:
    shown = Table(header_style="bold", box=None, pad_edge=False)
    for field in table.schema:
        shown.add_column(field.name, justify="right" if _is_number(field.type) else "left", overflow="fold")
    head = table.slice(0, rows_max)
    for row in zip(*(column.to_pylist() for column in head.columns), strict=True):
        shown.add_row(*("[dim]-[/]" if value is None else _text(value) for value in row))
    # A file or a pipe takes lines of any length; folded into 80 columns, nobody could read or cut them.
    console = Console(file=out, width=None if out.isatty() else _PIPE_COLUMNS)
    console.print(shown)
    more = "" if len(table) <= rows_max else f" of {len(table):,}; add `limit`, or take --format csv for all"
    console.print(f"[dim]{min(len(table), rows_max):,} row{'s' if len(table) != 1 else ''}{more}[/]")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _text(value: Any, *, exact: bool = False) -> str:
    if isinstance(value, float) and not exact:
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1e12 else f"{value:g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return value.hex() if isinstance(value, bytes) else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | float | str | list | dict) else _text(value)
