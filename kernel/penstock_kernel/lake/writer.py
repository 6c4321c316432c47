"""The lake of one run: journal batches in, Parquet partitions and a DuckDB file out.

A partition ``lake/quotes-000003.parquet`` is written beside, renamed, and then listed in ``lake/manifest.json``: who
reads the manifest (`penstock_kernel.lake.reader`) sees closed partitions only, and learns up to where in the journal
they reach: all tables to the same event. When small ones pile up in a long live run they are merged into one, and the
manifest changes in one step. The rows also go into a DuckDB file that nobody
opens before the close, when it gets its views and its name ``run.duckdb``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import penstock_sdk.events  # noqa: F401 - registers the records
from penstock_kernel.lake.decode import Decoder, arrow_schema
from penstock_kernel.lake.tail import Place
from penstock_kernel.lake.views import add_views
from penstock_kernel.runs import RunPaths, write_atomically
from penstock_sdk.schema import layouts
from penstock_sdk.wire.segment import Batch

__all__ = ["LakeError", "LakeWriter", "Manifest", "Partition", "read_manifest", "sql_columns", "sql_type"]

_CHUNK_FRAMES: Final = 1 << 16
_CHUNK_BYTES: Final = 1 << 24
_PARTITION_ROWS: Final = 1 << 18
_MERGE_FILES: Final = 24
_DELTA: Final = dict.fromkeys(("seq", "at_ns", "cause_seq", "correlation_seq"), "DELTA_BINARY_PACKED")


class LakeError(Exception):
    """The lake of a run cannot be written or read; the message says what to do."""


class Partition(msgspec.Struct, frozen=True):
    """One closed Parquet file of a table."""

    file: str
    rows: int


class Manifest(msgspec.Struct):
    """The closed partitions of a run, by table, the last event in them, and where in the journal that one ends."""

    last_seq: int = -1
    tables: dict[str, list[Partition]] = {}
    segment: int = 0
    """The journal segment up to which they reach; 0 in lakes of 0.1.0, which did not say."""
    offset: int = 0
    """Bytes of that segment."""

    @property
    def place(self) -> Place | None:
        """Return where in the journal what is not in the partitions begins; None when it is not known."""
        return Place(self.segment, self.offset) if self.segment else None


def read_manifest(lake_dir: Path) -> Manifest:
    """Return the lake's manifest; an empty one when nothing was written yet.

    Raises:
        msgspec.MsgspecError: it is damaged.
    """
    try:
        return msgspec.json.decode((lake_dir / "manifest.json").read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()


class LakeWriter:
    """Writes the lake of one run from its beginning, or from where the lake ends.

    What an earlier writer left is removed first; with *keep* it stays, and is what readers see, until `close` puts the
    new lake in its place. `abandon` then removes the new one. With *after*, the manifest of the lake that is there, it
    goes on behind it, and makes no DuckDB file: an instance's lake is read by its partitions, however long it runs.
    """

    def __init__(self, run_dir: Path, *, keep: bool = False, after: Manifest | None = None) -> None:
        self.paths = RunPaths(run_dir)
        self.manifest = after if after is not None else Manifest()
        self._goes_on = after is not None
        self.rows = 0
        self._decoder = Decoder()
        self._data: memoryview | None = None
        self._starts: list[int] = []
        self._first_byte = 0
        self._last_seq = self.manifest.last_seq
        self._place = self.manifest.place or Place()
        self._pending: dict[str, list[pa.RecordBatch]] = {}
        self._pending_rows: dict[str, int] = {}
        self._files = 0
        self._keep = keep
        self._clean()
        self._building = self.paths.lake / "building.duckdb"
        self._db = duckdb.connect(":memory:" if self._goes_on else str(self._building))
        self._db.execute("SET threads = 1")  # the other core is the kernel's
        self._db.execute("SET checkpoint_threshold = '1GB'")
        self._tables: set[str] = set()
        for layout in layouts():
            self._make_table(layout.plural, arrow_schema(layout))

    def _clean(self) -> None:
        self.paths.lake.mkdir(parents=True, exist_ok=True)
        if not self._keep:
            if not self._goes_on or self.manifest.last_seq < 0:
                (self.paths.lake / "manifest.json").unlink(missing_ok=True)
            self.paths.database.unlink(missing_ok=True)
        kept = self._remove_unlisted()
        # New partitions stand beside the old ones until the manifest changes: no name may come twice.
        numbers = (name.rpartition("-")[2].removesuffix(".parquet") for name in kept)
        self._files = max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _remove_unlisted(self) -> set[str]:
        """Remove every file of the lake but the partitions that the manifest on disk lists; return those."""
        try:
            tables = read_manifest(self.paths.lake).tables
        except msgspec.MsgspecError:  # damaged: no reader finds a partition by it
            tables = {}
        listed = {part.file for parts in tables.values() for part in parts}
        for path in self.paths.lake.iterdir():
            if path.suffix in {".parquet", ".duckdb", ".wal", ".part"} and path.name not in listed:
                path.unlink()
        return listed

    def _make_table(self, name: str, schema: pa.Schema) -> None:
        self._db.execute(f'CREATE TABLE "{name}" ({sql_columns(schema)})')
        self._tables.add(name)

    def add(self, batch: Batch, segment: int) -> None:
        """Take one committed batch of the journal, which stands in its segment number *segment*.

        Full partitions are written; readers learn of them with the next `flush`.
        """
        self._place = Place(segment, batch.commit.end)
        starts = batch.starts
        if not starts:
            return
        if self._data is not batch.data:
            self._decode()
            self._data = batch.data
        if not self._starts:
            self._first_byte = starts[0]
        self._starts += starts
        self._last_seq = batch.commit.last_seq
        if len(self._starts) >= _CHUNK_FRAMES or batch.commit.end - self._first_byte >= _CHUNK_BYTES:
            self._decode()

    def _decode(self) -> None:
        if not self._starts or self._data is None:
            return
        starts, self._starts = self._starts, []
        full = []
        for table, rows in self._decoder.decode(self._data, starts):
            self._pending.setdefault(table, []).append(rows)
            count = self._pending_rows[table] = self._pending_rows.get(table, 0) + len(rows)
            if count >= _PARTITION_ROWS:
                full.append(table)
        for table in full:
            self._write(table)

    def flush(self) -> None:
        """Close a partition of everything taken so far, and tell readers of it."""
        self._decode()
        fresh = bool(self._pending) or self.manifest.last_seq != self._last_seq
        for table in list(self._pending):
            self._write(table)
        merged = [part for table in list(self.manifest.tables) for part in self._merge(table)]
        if fresh:
            self.manifest.last_seq = self._last_seq
            self.manifest.segment, self.manifest.offset = self._place
            if not self._keep:
                self._publish()
        for part in merged:
            (self.paths.lake / part.file).unlink()

    def _write(self, table: str) -> None:
        rows = pa.Table.from_batches(self._pending.pop(table))
        del self._pending_rows[table]
        if table not in self._tables:
            self._make_table(table, rows.schema)
        if not self._goes_on:
            self._db.execute(f'INSERT INTO "{table}" SELECT * FROM rows')
        partitions = self.manifest.tables.setdefault(table, [])
        partitions.append(Partition(self._to_parquet(table, rows), len(rows)))
        self.rows += len(rows)

    def _to_parquet(self, table: str, rows: pa.Table) -> str:
        self._files += 1
        name = f"{table}-{self._files:06d}.parquet"
        part = self.paths.lake / f"{name}.part"
        enums = [field.name for field in rows.schema if pa.types.is_dictionary(field.type)]
        pq.write_table(
            rows, part, compression="zstd", compression_level=1, use_dictionary=enums, column_encoding=_DELTA
        )
        part.rename(self.paths.lake / name)
        return name

    def _merge(self, table: str) -> list[Partition]:
        """Write the small partitions of *table* as one when they are many; return those that it takes the place of.

        Their rows stay in order, a full one may stand before them. Readers learn of it with all the rest: a manifest
        that had one table further than the others would be no cut.
        """
        partitions = self.manifest.tables[table]
        small = [part for part in partitions if part.rows < _PARTITION_ROWS]
        if len(small) < _MERGE_FILES:
            return []
        rows = pa.concat_tables(pq.read_table(self.paths.lake / part.file) for part in small).unify_dictionaries()
        merged = Partition(self._to_parquet(table, rows), len(rows))
        self.manifest.tables[table] = [part for part in partitions if part not in small] + [merged]
        return small

    def _publish(self) -> None:
        write_atomically(self.paths.lake / "manifest.json", msgspec.json.encode(self.manifest))

    def close(self) -> Path:
        """Write what is left, finish the DuckDB file and give it its name ``run.duckdb``; return its path.

        A lake that goes on has no such file; its folder is returned.
        """
        self.flush()
        if self._goes_on:
            self._db.close()
            return self.paths.lake
        add_views(self._db)
        self._db.execute("CHECKPOINT")
        self._db.close()
        # The file first: readers take it where it stands, and a manifest that is behind has the lake made anew.
        self._building.replace(self.paths.database)
        if self._keep:
            self._publish()
            self._remove_unlisted()
        return self.paths.database

    def abandon(self) -> None:
        """Let go without finishing: the unfinished DuckDB file is removed; the partitions stay that readers know of."""
        self._db.close()
        self._building.unlink(missing_ok=True)
        if self._keep:
            self._remove_unlisted()


def sql_columns(schema: pa.Schema) -> str:
    """Return a table's columns as ``CREATE TABLE`` wants them."""
    return ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in schema)


def sql_type(kind: Any) -> str:
    """Return what DuckDB calls an Arrow type."""
    if pa.types.is_dictionary(kind):
        return "VARCHAR"
    names = {
        pa.uint8(): "UTINYINT", pa.uint16(): "USMALLINT", pa.uint32(): "UINTEGER", pa.uint64(): "UBIGINT",
        pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.binary(): "BLOB",
    }  # fmt: skip
    return names[kind]
