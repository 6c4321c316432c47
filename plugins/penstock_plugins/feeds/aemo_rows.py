"""From an AEMO dispatch price file to one region's rows, as they stand in it: a parquet table or an MMS archive zip.

Only the container and the form of each field are judged here (cut, damaged, a column missing, a field malformed);
whether the rows make a whole series is the business of `aemo_files`.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CaptureError", "Rows", "market_time", "read_rows"]

_MARKET_TIME_NS = 36_000_000_000_000  # UTC+10, no summer time
_EPOCH = datetime(1970, 1, 1)
_COLUMNS = ("SETTLEMENTDATE", "REGIONID", "INTERVENTION", "RRP")
_YEARS = range(1998, 2101)  # the market began in December 1998; a stamp outside is a slip, and could overflow int64


class CaptureError(ValueError):
    """A data file that cannot be used as it is. The message names file, place, value met and what was wanted."""


class Rows(NamedTuple):
    """One region's rows in file order; arrays of one length."""

    file: str
    place: str  # "row" or "line": what `at` counts
    at: npt.NDArray[np.int64]  # from 1
    end_ns: npt.NDArray[np.int64]  # end of the interval, ns UTC
    intervention: npt.NDArray[np.int64]  # 0 pricing run, 1 physical run
    price: npt.NDArray[Any]  # AUD/MWh: float64 (parquet), or the text as an object (zip)

    def where(self, index: int | np.integer[Any]) -> str:
        """Return the place of a row and its stamp, for a message: "FILE line 17 (2024/08/01 00:05:00)"."""
        return f"{self.file} {self.place} {self.at[index]} ({market_time(self.end_ns[index])})"

    def take(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """Return the rows where *keep* is true."""
        return Rows(self.file, self.place, self.at[keep], self.end_ns[keep], self.intervention[keep], self.price[keep])


def market_time(t_ns: int | np.int64) -> str:
    """Return an instant (ns UTC) as AEMO stamps it: market time, UTC+10."""
    return f"{_EPOCH + timedelta(microseconds=(int(t_ns) + _MARKET_TIME_NS) // 1_000):%Y/%m/%d %H:%M:%S}"


def read_rows(path: Path, region: str) -> Rows:
    """Return the region's rows of a parquet or zip file, told apart by the first bytes; at least one.

    Raises:
        CaptureError: as `aemo_files.read_dispatch_prices` lists, but for order, gaps and prices.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror or error}") from error
    if magic == b"PAR1":
        return _parquet_rows(path, region)
    if magic == b"PK\x03\x04":
        return _zip_rows(path, region)
    raise CaptureError(f"{path}: begins with {magic!r}; wanted parquet (b'PAR1') or an AEMO zip (b'PK\\x03\\x04')")


def _unknown_region(file: object, region: str, present: Iterable[str]) -> CaptureError:
    """Return the error for a region that a file does not hold."""
    return CaptureError(f"{file}: no rows of region {region!r}; it holds {', '.join(sorted(set(present))) or 'none'}")


# --- parquet ----------------------------------------------------------------------------------------------------------


def _parquet_rows(path: Path, region: str) -> Rows:
    """Return the region's rows of a table with the columns settlementdate, regionid, intervention, rrp."""
    import pyarrow as pa  # imported late: loading it takes longer than reading a zip
    import pyarrow.compute as pc

    try:
        table = _parquet_table(path)
        regions = table["regionid"].cast(pa.string())
        keep = pc.equal(regions, region).to_numpy()
        if not keep.any():
            raise _unknown_region(path, region, pc.unique(regions).to_pylist())
        stamps = table["settlementdate"].cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
        intervention = table["intervention"].cast(pa.int64()).to_numpy()
        price = table["rrp"].to_numpy()  # a null becomes NaN, and is reported as one
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: is cut short, damaged or no parquet file: {error}") from error
    low, high = (np.datetime64(f"{year}", "ns").astype(np.int64) for year in (_YEARS.start, _YEARS.stop))
    odd = np.flatnonzero((stamps < low) | (stamps >= high))
    if len(odd):
        met = stamps[odd[0]].astype("datetime64[ns]")
        raise CaptureError(
            f"{path} row {odd[0] + 1}: settlementdate is {met}; wanted a year from {_YEARS[0]} to {_YEARS[-1]}"
        )
    at = np.arange(1, len(stamps) + 1, dtype=np.int64)
    return Rows(str(path), "row", at, stamps - _MARKET_TIME_NS, intervention, price).take(keep)


def _parquet_table(path: Path) -> Any:
    """Return the four columns as an Arrow table, their types checked, with no null but in rrp."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def is_text(kind: Any) -> bool:
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))

    wanted = {
        "settlementdate": ("a timestamp without zone", lambda kind: pa.types.is_timestamp(kind) and kind.tz is None),
        "regionid": ("text", is_text),
        "intervention": ("an integer", pa.types.is_integer),
        "rrp": ("float64", pa.types.is_float64),
    }
    # Checksums of pages are compared where the writer stored them; most writers do not.
    with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        schema = parquet.schema_arrow
        for name, (words, fits) in wanted.items():
            if name not in schema.names:
                raise CaptureError(f"{path}: has no column {name!r}; it has {', '.join(schema.names)}")
            if not fits(schema.field(name).type):
                raise CaptureError(f"{path}: column {name!r} is {schema.field(name).type}; wanted {words}")
        table = parquet.read(columns=list(wanted))
    for name in ("settlementdate", "regionid", "intervention"):
        if table[name].null_count:
            row = 1 + int(pc.index(pc.is_null(table[name]), True).as_py())
            raise CaptureError(f"{path} row {row}: {name} is missing; wanted a value in every row")
    return table


# --- MMS archive ------------------------------------------------------------------------------------------------------


def _zip_rows(path: Path, region: str) -> Rows:
    """Return the region's rows of the DISPATCH,PRICE table in a zip that holds one CSV."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            reports = [name for name in names if name.lower().endswith(".csv")]
            if len(reports) != 1:
                raise CaptureError(f"{path}: holds {len(reports)} CSV files of {names}; wanted exactly one")
            with archive.open(reports[0]) as stream:
                text = io.TextIOWrapper(stream, encoding="ascii", newline="")
                return _report_rows(f"{path}!{reports[0]}", text, region)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(f"{path}: is cut short, damaged or no plain zip of ASCII text: {error}") from error


def _report_rows(file: str, lines: Iterable[str], region: str) -> Rows:
    """Return the region's rows of an MMS report; *file* is its name in messages."""
    kept: list[tuple[int, int, int, str]] = []
    present: set[str] = set()
    for line, (stamp, name, run, price) in _price_records(file, lines):
        present.add(name)
        if name == region:
            where = f"{file} line {line}"
            kept.append((line, _parse_stamp(stamp, where), _parse_run(run, where), price))
    if not kept:
        raise _unknown_region(file, region, present)
    at, ends, runs, prices = zip(*kept, strict=True)
    return Rows(file, "line", np.array(at), np.array(ends), np.array(runs), np.array(prices, dtype=object))


def _price_records(file: str, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, the fields of _COLUMNS) of each DISPATCH,PRICE row; other tables of the report are passed over.

    An I record names the columns of the D records after it; C records open and close the report.
    """
    reader = csv.reader(lines)
    places: list[int] = []
    tables: set[str] = set()
    ended = False
    for record in reader:
        where = f"{file} line {reader.line_num}"
        match record:
            case ["D", "DISPATCH", "PRICE", *_]:
                if not places:
                    raise CaptureError(f"{where}: a D record before the I record that names its columns")
                if len(record) <= max(places):
                    raise CaptureError(f"{where}: {len(record)} fields; wanted over {max(places)}, is the line cut?")
                yield reader.line_num, [record[place].strip() for place in places]
            case ["I", table, name, *columns]:
                tables.add(f"{table},{name}")
                if (table, name) == ("DISPATCH", "PRICE"):
                    if absent := [column for column in _COLUMNS if column not in columns]:
                        raise CaptureError(f"{where}: DISPATCH,PRICE has no column {absent[0]}; it has {columns[1:]}")
                    places = [record.index(column) for column in _COLUMNS]
            case ["C", *rest]:
                ended = rest[:1] == ["END OF REPORT"]
            case [] | ["D", *_]:
                continue
            case [kind, *_]:
                raise CaptureError(f"{where}: record begins with {kind!r}; wanted C, I or D")
    if not places:
        raise CaptureError(f"{file}: has no table DISPATCH,PRICE; it has {', '.join(sorted(tables)) or 'none'}")
    if not ended:
        # The count beside END OF REPORT is not checked: archives trimmed to some regions keep that of the whole.
        raise CaptureError(f'{file} line {reader.line_num}: ends here; wanted C,"END OF REPORT", is the file cut?')


def _parse_stamp(text: str, where: str) -> int:
    """Return "2024/08/01 00:05:00" in market time as ns UTC."""
    try:
        if len(text) != 19 or text[4] != "/" or text[7] != "/" or int(text[:4]) not in _YEARS:
            raise ValueError(text)
        since = datetime.fromisoformat(text.replace("/", "-")) - _EPOCH
    except ValueError:
        raise CaptureError(
            f"{where}: SETTLEMENTDATE is {text!r}; wanted YYYY/MM/DD HH:MM:SS from {_YEARS[0]} to {_YEARS[-1]}"
        ) from None
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 - _MARKET_TIME_NS


def _parse_run(text: str, where: str) -> int:
    """Return the INTERVENTION field as an int; its meaning is judged later."""
    if not text.isdecimal() or len(text) > 2:
        raise CaptureError(f"{where}: INTERVENTION is {text!r}; wanted 0 (pricing run) or 1 (physical run)")
    return int(text)
