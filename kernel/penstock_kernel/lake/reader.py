"""Reading a run at any time: closed Parquet partitions, and behind them what only its journal holds so far.

A `Reader` stands at one event: it sees every event up to ``last_seq`` and none after it, in every table. The lake's
manifest says how far the partitions reach and where in the journal that is; the committed batches from there on are
decoded, as the lake's writer would, into tables in memory. So a row can be asked for as soon as it is written. A run
whose lake was closed is read from ``run.duckdb`` alone.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import penstock_sdk.events  # noqa: F401 - registers the records
from penstock_kernel.lake.decode import Decoder, arrow_schema
from penstock_kernel.lake.tail import Place, Tail, journal_end
from penstock_kernel.lake.views import VIEWS, add_delivery_days, add_delivery_times, add_views, insert
from penstock_kernel.lake.writer import LakeError, Manifest, read_manifest, sql_columns, sql_type
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.runs import RunError, RunInfo, RunPaths
from penstock_sdk.schema import layouts
from penstock_sdk.wire.segment import Batch, JournalCorrupt

__all__ = ["Reader", "tables"]

_ATTEMPTS: Final = 5
_CHUNK_FRAMES: Final = 1 << 16
_LONG_TAIL_BYTES: Final = 256 << 20
_TAIL_EVENTS_MAX: Final = 1 << 20
_DEFINES_DELIVERIES: Final = {"contract_definitions", "listing_definitions", "zone_definitions"}
_LOCAL_TABLES: Final = {"delivery_times", "delivery_days"}
_READS: Final = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.PRAGMA,
    duckdb.StatementType.MULTI,
}
"""Kinds of statement that read; to DuckDB ``DESCRIBE``, ``SHOW`` and ``SUMMARIZE`` are SELECT, ``PIVOT`` is MULTI."""
_GONE: Final = (duckdb.IOException, duckdb.PermissionException)
"""What a locked connection raises for a file that is gone: it looks for one in the folder, and may not."""
_WRITES: Final = re.compile(r"\b(copy|export|import|attach)\b", re.IGNORECASE)
"""What an EXPLAIN or a MULTI may hold that writes."""


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the tables that hold rows, by name, and how many."""
    rows = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' "
        "UNION ALL SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"
    ).fetchall()
    names = sorted(row[0] for row in rows if row[0] not in VIEWS and row[0] not in _LOCAL_TABLES)
    # All rows are fetched: a result that is not read to its end bars the connection for what comes next.
    counts = {name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]) for name in names}
    return {name: count for name, count in counts.items() if count}


class Reader:
    """A run's tables and views as of one event. `refresh` goes on to the newest; `close` it, or use it in ``with``.

    Attributes:
        last_seq: number of the last event seen.
        live: more may come: the run has no closed lake.
        tail_events: how many of the events stand in the journal alone.

    Not for two threads at once.

    Raises:
        LakeError: nothing of the run was written yet, or its files cannot be read.
        JournalCorrupt: a committed frame behind the partitions is damaged.

    Cost: some 0.1 s while live, 20 ms when closed, and some 3 µs for each event that stands in the journal alone.
    """

    def __init__(self, run_dir: Path) -> None:
        self.paths = RunPaths(run_dir)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.last_seq = -1
        self.live = False
        self.tail_events = 0
        self._tail: Tail | None = None
        self._held_back = False  # the partitions hold more than is shown of them
        self._place_known = True  # a lake of 0.1.0 did not say where in the journal it ends
        self._decoder = Decoder()
        self._tables: set[str] = set()
        self._files: list[str] = []
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return DuckDB's connection, with a table per record type and the views.

        Partitions that it reads may be merged away while the run is live: `query` knows how to go on then, plain use
        of the connection does not.
        """
        assert self._connection is not None
        return self._connection

    def close(self) -> None:
        """Let go of the run's files."""
        self.connection.close()

    # -- asking ----------------------------------------------------------------------------------------------------

    def query(self, sql: str) -> pa.Table:
        """Return the result of *sql*: it reads this run alone, changes nothing and opens no other file.

        Raises:
            LakeError: the SQL cannot be run, or wants more; the message has DuckDB's own and the tables there are.
        """
        for attempt in range(_ATTEMPTS):
            try:
                _check_reads(sql)
                result = self.connection.sql(sql)
                return pa.table({"ok": pa.array([True])}) if result is None else result.to_arrow_table()
            except _GONE as error:  # a partition was merged away: the same rows stand in another now
                if isinstance(error, duckdb.IOException) or self._files_gone():
                    if not self.live or attempt == _ATTEMPTS - 1:
                        raise self._unreadable(error) from None
                    self._live(self.last_seq)
                    continue
                text = f"{str(error).strip()}; a question reads this run and no other file, so take --format csv"
                where = self.paths.lake if self.live else self.paths.database
                raise LakeError(f"{text}, or open {where} in a DuckDB of your own") from None
            except duckdb.Error as error:
                there = ", ".join(f"{name} ({count:,})" for name, count in self.tables().items())
                text = str(error).strip()
                raise LakeError(f"{text}\n\nviews: {', '.join(VIEWS)}\ntables: {there}") from None
        raise AssertionError

    def tables(self) -> dict[str, int]:
        """Return the tables that hold rows, by name, and how many."""
        return tables(self.connection)

    # -- going on --------------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Go on to the newest event that is written; return whether there was a new one.

        Cost: some 3 µs an event, and `Reader`'s own cost after each million.
        """
        if not self.live:
            return False
        before = self.last_seq
        if self._held_back or (self.tail_events > _TAIL_EVENTS_MAX and self._partitions_gained()):
            self._open()
        else:
            self._take_tail()
        return self.last_seq > before

    def _partitions_gained(self) -> bool:
        """Return whether a good part of the tail stands in partitions by now."""
        return self._manifest().last_seq > self.last_seq - self.tail_events // 2

    # -- opening ---------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if not self._is_closed():
            self._live()
            return
        fresh = self._database()
        if self._connection is not None:
            self._connection.close()
        self._connection = fresh
        self._tail, self.tail_events, self.live = None, 0, False
        self.last_seq = self._manifest().last_seq

    def _live(self, until_seq: int | None = None) -> None:
        """Open the partitions that there are now and what follows them; see nothing after *until_seq*, when given."""
        before = vars(self).copy()
        for attempt in range(_ATTEMPTS):
            try:
                self._open_live(until_seq)
                return
            except BaseException as error:
                vars(self).update(before)
                # Merged away after the manifest was read: the next one lists other files.
                if not isinstance(error, (*_GONE, FileNotFoundError)):
                    raise
                if attempt == _ATTEMPTS - 1:
                    raise self._unreadable(error) from None

    def _files_gone(self) -> bool:
        return self.live and not all(Path(file).exists() for file in self._files)

    def _unreadable(self, error: Exception) -> LakeError:
        return LakeError(f"{self.paths.lake} cannot be read: {error}; `penstock report` makes the tables anew")

    def _is_closed(self) -> bool:
        """Return whether ``run.duckdb`` holds the run. One that goes on again may have an older one beside it."""
        if not self.paths.database.exists():
            return False
        if self._state() in ("running", "crashed"):
            place = self._manifest().place
            return place is not None and not any(batch.starts for batch in Tail(self.paths.journal, place).poll())
        return True

    def _state(self) -> str:
        try:
            return RunInfo.load(self.paths.dir).state
        except RunError:
            return ""

    def _database(self) -> duckdb.DuckDBPyConnection:
        path = self.paths.database
        # Attached, not connected to: connections of one process to one file share settings, and these get locked.
        connection = duckdb.connect()
        try:
            connection.execute("SET TimeZone = 'UTC'")
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS run (READ_ONLY)")
            connection.execute("USE run")
            _renew_views(connection)
            _lock(connection)
        except duckdb.Error as error:
            connection.close()
            raise LakeError(f"{path} cannot be opened: {error}; rebuild it from the journal") from None
        return connection

    def _manifest(self) -> Manifest:
        try:
            return read_manifest(self.paths.lake)
        except msgspec.MsgspecError as error:
            text = f"{self.paths.lake / 'manifest.json'} is damaged: {error}; `penstock report` makes the tables anew"
            raise LakeError(text) from None

    def _open_live(self, until_seq: int | None = None) -> None:
        manifest, before = self._manifest(), self._connection
        self._tail = Tail(self.paths.journal, manifest.place or Place())
        self._place_known = manifest.place is not None
        self.last_seq, self.tail_events, self.live = manifest.last_seq, 0, True
        self._held_back = until_seq is not None and until_seq < manifest.last_seq
        if self._held_back:
            assert until_seq is not None
            self.last_seq = until_seq
        self._connection = connection = duckdb.connect()
        connection.execute("SET threads = 1")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA tail")
        self._tables = set()
        learn_own_records(self.paths.dir)
        schemas = {layout.plural: arrow_schema(layout) for layout in layouts()}
        try:
            for table in dict.fromkeys([*schemas, *manifest.tables]):
                files = [str(self.paths.lake / part.file) for part in manifest.tables.get(table, [])]
                schema = schemas[table] if table in schemas else pq.read_schema(files[0])
                self._make_table(table, schema, files, until_seq)
            self._files = [str(self.paths.lake / part.file) for parts in manifest.tables.values() for part in parts]
            _lock(connection, self._files)
            self._take_tail(until_seq, first=True)
            if self.last_seq < 0:
                text = f"{self.paths.dir} has no data yet; wait a moment, or rebuild its lake from the journal"
                raise LakeError(text)
        except BaseException:
            connection.close()
            raise
        if before is not None:
            before.close()

    def _make_table(
        self, table: str, schema: pa.Schema, files: Sequence[str] = (), until_seq: int | None = None
    ) -> None:
        """Make a table of partitions (maybe none) and of what will be added from the journal."""
        self.connection.execute(f'CREATE TABLE tail."{table}" ({sql_columns(schema)})')
        select = f'SELECT * FROM tail."{table}"'
        if files:
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            bound = "" if until_seq is None else f" WHERE seq <= {until_seq}"
            # By name: a partition may be an older writer's, which lacks columns.
            select = f"SELECT * FROM read_parquet([{listed}]){bound} UNION ALL BY NAME {select}"
        self.connection.execute(f'CREATE VIEW "{table}" AS {select}')
        self._tables.add(table)

    # -- the tail --------------------------------------------------------------------------------------------------

    def _take_tail(self, until_seq: int | None = None, *, first: bool = False) -> None:
        """Add the rows of what is committed at this moment and not in the tables yet: all of it, or nothing."""
        assert self._tail is not None
        before = self._tail.place, self.last_seq, self.tail_events
        end = journal_end(self.paths.journal)
        if first and until_seq is None:
            self._say_when_long(end)
        self.connection.execute("BEGIN")
        try:
            met = self._add_batches(end, until_seq)
            if first:
                add_views(self.connection)
            elif met & _DEFINES_DELIVERIES:
                add_delivery_times(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self.connection.execute("ROLLBACK")
            self._tail.place, self.last_seq, self.tail_events = before
            raise

    def _say_when_long(self, end: Place) -> None:
        assert self._tail is not None
        begin = self._tail.place
        sizes = [p.stat().st_size for p in self.paths.journal.glob("[0-9]*.pj") if int(p.stem) >= begin.segment]
        if sum(sizes) - begin.offset > _LONG_TAIL_BYTES:
            print(
                f"penstock: no tables of {self.paths.dir.name} reach near its end, so its journal is read from segment "
                f"{begin.segment} to {end.segment}; `penstock report {self.paths.dir.name}` makes tables once for all",
                file=sys.stderr,
            )

    def _add_batches(self, end: Place, until_seq: int | None) -> set[str]:
        met: set[str] = set()
        for data, starts in self._chunks(end, until_seq):
            for table, rows in self._decoder.decode(data, starts):
                if table not in self._tables:  # of a plugin that had not declared it when this was opened
                    self._make_table(table, rows.schema)
                assert len(rows)
                insert(self.connection, f'INSERT INTO tail."{table}" SELECT * FROM incoming', rows)
                self.tail_events += len(rows)
                met.add(table)
        return met

    def _chunks(self, end: Place, until_seq: int | None) -> Iterator[tuple[memoryview, list[int]]]:
        """Yield frames by the ten thousand: (segment, where they begin)."""
        data: memoryview | None = None
        starts: list[int] = []
        for batch in self._batches(end, until_seq):
            if data is not None and starts and (data is not batch.data or len(starts) >= _CHUNK_FRAMES):
                yield data, starts
                starts = []
            data = batch.data
            starts += batch.starts
        if data is not None and starts:
            yield data, starts

    def _batches(self, end: Place, until_seq: int | None) -> Iterator[Batch]:
        assert self._tail is not None
        try:
            place = self._tail.place
            for batch in self._tail.poll(end):
                seq = batch.commit.last_seq
                if until_seq is not None and seq > until_seq:
                    self._tail.place = place  # it was not taken
                    return
                place = self._tail.place
                if batch.starts and (self._place_known or seq > self.last_seq):
                    self.last_seq = max(seq, self.last_seq)
                    yield batch
        except JournalCorrupt as error:
            if self._state() != "crashed":
                raise
            # As a power loss leaves it; what stands before it is whole, and a resume or `penstock report` judges.
            print(f"penstock: {error}; what comes after event {self.last_seq:,} is left out", file=sys.stderr)


def _check_reads(sql: str) -> None:
    """Refuse what would write: a live run's partitions may be opened, so DuckDB alone would let them be written over.

    Raises:
        LakeError: a statement does more than read.
        duckdb.Error: it is no SQL.
    """
    for statement in duckdb.extract_statements(sql):
        kind = statement.type
        plain = kind in (duckdb.StatementType.SELECT, duckdb.StatementType.PRAGMA)
        if kind not in _READS or not (plain or _WRITES.search(statement.query) is None):
            text = f"a run is read-only, and {statement.query.strip()[:60]!r} is no question"
            raise LakeError(f"{text}; ask SELECT, DESCRIBE, SHOW, SUMMARIZE, PIVOT or EXPLAIN of one")


def _renew_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Lay today's tables and views over those of a file that an older version closed, for this connection alone.

    What its records did not have yet is NULL.
    """
    newest = {"listings": "mwh_per_lot", "fills": "delivery_start_utc"}
    if all(
        column in {row[0] for row in connection.execute(f"DESCRIBE {v}").fetchall()} for v, column in newest.items()
    ):
        return
    there: dict[str, set[str]] = {}
    for table, column in connection.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall():
        there.setdefault(table, set()).add(column)
    for layout in layouts():
        schema, name = arrow_schema(layout), layout.plural
        missing = [field for field in schema if field.name not in there.get(name, ())]
        if missing:
            nulls = ", ".join(f'NULL::{sql_type(field.type)} AS "{field.name}"' for field in missing)
            rest = f'*, {nulls} FROM main."{name}"' if name in there else f"{nulls} WHERE false"
            connection.execute(f'CREATE TEMP VIEW "{name}" AS SELECT {rest}')
    add_delivery_days(connection, "TEMP TABLE")
    for name, (_, select) in VIEWS.items():
        connection.execute(f'CREATE TEMP VIEW "{name}" AS {select}')


def _lock(connection: duckdb.DuckDBPyConnection, files: Sequence[str] = ()) -> None:
    """Bar the connection from every file but its own and *files*, and from Python's variables, for good."""
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
