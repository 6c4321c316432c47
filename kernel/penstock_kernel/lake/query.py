"""Questions to a run in SQL: over ``run.duckdb`` once it is closed, over its Parquet partitions while it is live."""

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

from penstock_kernel.lake.decode import arrow_schema
from penstock_kernel.lake.views import VIEWS, add_views
from penstock_kernel.lake.writer import LakeError, read_manifest
from penstock_kernel.runs import RunPaths
from penstock_sdk.schema import layouts

__all__ = ["connect", "print_table", "query", "tables"]

_ATTEMPTS = 3
_PIPE_COLUMNS = 10_000


def connect(run_dir: Path) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to a run's data; close it after use.

    While the run is live it sees what stood in closed partitions at this moment.

    Raises:
        LakeError: nothing of the run was written yet, or its file cannot be opened.
    """
    paths = RunPaths(run_dir)
    if paths.database.exists():
        try:
            return _locked(duckdb.connect(str(paths.database), read_only=True))
        except duckdb.Error as error:
            raise LakeError(f"{paths.database} cannot be opened: {error}; rebuild it from the journal") from None
    for attempt in range(_ATTEMPTS):  # a partition may be merged away between reading the manifest and opening it
        try:
            return _live(paths)
        except duckdb.IOException as error:
            if attempt == _ATTEMPTS - 1:
                raise LakeError(f"{paths.lake} cannot be read: {error}") from None
    raise AssertionError


def _live(paths: RunPaths) -> duckdb.DuckDBPyConnection:
    manifest = read_manifest(paths.lake)
    if not manifest.tables:
        raise LakeError(f"{paths.dir} has no data yet; wait a few seconds, or rebuild its lake from the journal")
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    empty = {layout.plural: arrow_schema(layout) for layout in layouts()}
    for name in dict.fromkeys([*empty, *manifest.tables]):
        files = [str(paths.lake / part.file) for part in manifest.tables.get(name, [])]
        if files:
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet([{listed}])')
        else:
            nothing = pa.Table.from_batches([], empty[name])
            assert not len(nothing)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM nothing')
    add_views(connection)
    return _locked(connection)


def _locked(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the tables that hold rows, by name, and how many."""
    names = [row[0] for row in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
    names += [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    own = sorted(name for name in names if name not in VIEWS and name != "delivery_times")
    counts = {name: _count(connection, name) for name in own}
    return {name: count for name, count in counts.items() if count}


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    # All rows are fetched: a result that is not read to its end bars the connection for what comes next.
    return int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0])


def query(run_dir: Path, sql: str) -> pa.Table:
    """Return the result of *sql* over a run's tables and views; nothing can be changed.

    Raises:
        LakeError: no data, or the SQL cannot be run; the message has DuckDB's own and the tables there are.
    """
    connection = connect(run_dir)
    try:
        result = connection.sql(sql)
        return pa.table({"ok": pa.array([True])}) if result is None else result.to_arrow_table()
    except duckdb.Error as error:
        there = ", ".join(f"{name} ({count:,})" for name, count in tables(connection).items())
        text = str(error).strip()
        raise LakeError(f"{text}\n\nviews: {', '.join(VIEWS)}\ntables: {there}") from None
    finally:
        connection.close()


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
