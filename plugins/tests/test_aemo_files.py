"""Proves that AEMO prices decode exactly from parquet and zip, and that each kind of bad file is refused by name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.feeds.aemo_files import (
    DISPATCH_PRICE,
    INTERVAL_NS,
    CaptureError,
    GapError,
    Prices,
    digest,
    read_dispatch_prices,
)

FIRST = datetime(2025, 1, 1, 0, 5)  # the first stamp of a year: the interval from local midnight
FIRST_START_NS = 1_735_653_600_000_000_000  # 2025-01-01 00:00+10:00 is 2024-12-31T14:00Z
PRICES = ("105.60921", "-1000", "0", "-0.00001", "17500", "0.1")
Row = tuple[str, str, str, str]  # stamp, region, intervention, price

REPORT_COLUMNS = "SETTLEMENTDATE,RUNNO,REGIONID,DISPATCHINTERVAL,INTERVENTION,RRP,EEP"
END = 'C,"END OF REPORT",99'


def stamp(place: int) -> str:
    """Return the end stamp of the interval *place* after the first, as AEMO writes it."""
    return f"{FIRST + place * timedelta(minutes=5):%Y/%m/%d %H:%M:%S}"


def rows_of(prices: Sequence[str] = PRICES, region: str = "NSW1") -> list[Row]:
    """Return one pricing-run row per price, in time order."""
    return [(stamp(place), region, "0", price) for place, price in enumerate(prices)]


def report(rows: Sequence[Row], columns: str = REPORT_COLUMNS, end: str = END) -> str:
    """Return an MMS report with a table of another kind before the prices, as AEMO's daily files have."""
    lines = [
        "C,SETP.WORLD,DISPATCHIS,AEMO,PUBLIC,2025/01/02,04:00:00",
        "I,DISPATCH,CASE_SOLUTION,2,RRP,X",
        "D,DISPATCH,CASE_SOLUTION,2,1,2",
    ]
    lines += [f"I,DISPATCH,PRICE,5,{columns}"]
    lines += [f"D,DISPATCH,PRICE,5,{at},1,{region},20250101001,{run},{price},0" for at, region, run, price in rows]
    return "\r\n".join([*lines, end]) + "\r\n"


def write_zip(path: Path, text: str, name: str = "PUBLIC_ARCHIVE#DISPATCHPRICE.CSV") -> Path:
    """Write a report as the one member of a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return path


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Return rows as the parquet table holds them; the price "" is a null."""
    stamps, regions, runs, prices = zip(*rows, strict=True)
    return pa.table(
        {
            "settlementdate": pa.array(
                [datetime.strptime(at, "%Y/%m/%d %H:%M:%S") for at in stamps], pa.timestamp("us")
            ),
            "regionid": pa.array(regions).dictionary_encode(),
            "intervention": pa.array([int(run) for run in runs], pa.int8()),
            "rrp": pa.array([float(price) if price else None for price in prices], pa.float64()),
        }
    )


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as a parquet table."""
    pq.write_table(table_of(rows), path)
    return path


def as_parquet(folder: Path, rows: Sequence[Row]) -> Path:
    return write_parquet(folder / "prices.parquet", rows)


def as_zip(folder: Path, rows: Sequence[Row]) -> Path:
    return write_zip(folder / "prices.zip", report(rows))


Writer = Callable[[Path, Sequence[Row]], Path]
both = pytest.mark.parametrize("write", [as_parquet, as_zip])


def expected(prices: Sequence[str]) -> Prices:
    """Return the array that consecutive prices from FIRST on decode to, worked out apart from the reader."""
    start_ns = [FIRST_START_NS + place * 300_000_000_000 for place in range(len(prices))]
    micro = [int(Decimal(price) * 1_000_000) for price in prices]
    return np.array(
        [(start, start + 300_000_000_000, price) for start, price in zip(start_ns, micro, strict=True)], DISPATCH_PRICE
    )


# --- what is right decodes exactly ------------------------------------------------------------------------------------


@both
def test_stamps_are_interval_ends_in_utc_plus_ten_and_prices_are_exact(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, rows_of())
    prices = read_dispatch_prices(path, "NSW1")
    assert prices.dtype == DISPATCH_PRICE
    np.testing.assert_array_equal(prices, expected(PRICES))
    assert prices["price_micro"].tolist() == [105_609_210, -1_000_000_000, 0, -10, 17_500_000_000, 100_000]


@both
def test_one_region_is_taken_out_of_several(write: Writer, tmp_path: Path) -> None:
    mixed = [row for pair in zip(rows_of(), rows_of(["7"] * len(PRICES), "SA1"), strict=True) for row in pair]
    path = write(tmp_path, mixed)
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1"), expected(PRICES))
    np.testing.assert_array_equal(read_dispatch_prices(str(path), "SA1"), expected(["7"] * len(PRICES)))


# The folder is shared by the examples, and each overwrites the files of the one before.
MICRO = st.integers(-1_000_000_000, 20_300_000_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MICRO, min_size=1, max_size=20))
def test_any_price_survives_parquet_and_zip_alike(tmp_path: Path, micro: list[int]) -> None:
    rows = rows_of([str(Decimal(price).scaleb(-6)) for price in micro])
    from_parquet = read_dispatch_prices(as_parquet(tmp_path, rows), "NSW1")
    from_zip = read_dispatch_prices(as_zip(tmp_path, rows), "NSW1")
    assert from_parquet["price_micro"].tolist() == from_zip["price_micro"].tolist() == micro
    assert digest(from_parquet) == digest(from_zip)


def test_the_digest_tells_one_price_and_one_interval_apart() -> None:
    prices = expected(PRICES)
    other_price, other_time = prices.copy(), prices.copy()
    other_price["price_micro"][3] += 1
    other_time["interval_end_ns"][3] += 1
    assert len({digest(prices), digest(other_price), digest(other_time), digest(prices[:-1])}) == 4
    assert digest(prices) == digest(np.repeat(prices, 2)[::2])


@both
def test_of_an_intervention_the_pricing_run_is_kept(write: Writer, tmp_path: Path) -> None:
    rows = rows_of()
    directed = [*rows[:3], (stamp(2), "NSW1", "1", "999"), (stamp(3), "NSW1", "1", "999"), *rows[3:]]
    np.testing.assert_array_equal(read_dispatch_prices(write(tmp_path, directed), "NSW1"), expected(PRICES))


@both
def test_a_window_takes_the_intervals_it_touches(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, rows_of())
    start_ns, end_ns = FIRST_START_NS + INTERVAL_NS, FIRST_START_NS + 3 * INTERVAL_NS
    all_six = expected(PRICES)
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1", start_ns, end_ns), all_six[1:3])
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1", start_ns - 1, end_ns + 1), all_six[0:4])
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1", start_ns), all_six[1:])
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1", None, end_ns), all_six[:3])


def test_the_kind_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    path = as_zip(tmp_path, rows_of()).rename(tmp_path / "prices.parquet")
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1"), expected(PRICES))


# --- what is wrong is refused by name ---------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda rows: [*rows[:2], rows[3], rows[2], *rows[4:]],
            r"00:15:00\): the stamp comes after 2025/01/01 00:20:00",
        ),
        (lambda rows: [*rows[:3], rows[2], *rows[3:]], r"00:15:00\): the stamp stands twice"),
        (lambda rows: [*rows[:2], ("2025/01/01 00:13:00", *rows[2][1:])], "the stamp is not a five-minute mark"),
        (lambda rows: [("1997/01/01 00:05:00", *rows[0][1:])], "from 1998 to 2100"),
        (lambda rows: [("2101/01/01 00:05:00", *rows[0][1:])], "from 1998 to 2100"),
        (lambda rows: [*rows[:2], (*rows[2][:3], "nan"), *rows[3:]], r"00:15:00\): rrp is '?nan'?; wanted AUD/MWh"),
        (lambda rows: [*rows[:2], (*rows[2][:3], "inf"), *rows[3:]], r"00:15:00\): rrp is '?inf'?; wanted AUD/MWh"),
        (lambda rows: [*rows[:2], (*rows[2][:3], ""), *rows[3:]], r"00:15:00\): rrp is (''|nan); wanted AUD/MWh"),
        (lambda rows: [*rows[:2], (*rows[2][:3], "1.0000001")], r"rrp is '?1.0000001'?; wanted .* six decimals"),
        (lambda rows: [*rows[:2], (*rows[2][:3], "1e300")], r"rrp is '?1e\+?300'?; wanted"),
        (lambda rows: [*rows, (stamp(6), "NSW1", "1", "5")], r"00:35:00\): only intervention 1 here"),
        (lambda rows: [(*rows[0][:2], "2", "5"), *rows[1:]], r"00:05:00\): intervention is 2; wanted 0 \(pricing"),
        (lambda rows: [(*row[:1], "SA1", *row[2:]) for row in rows], "no rows of region 'NSW1'; it holds SA1$"),
    ],
)
def test_bad_rows_are_refused(write: Writer, change: Any, fault: str, tmp_path: Path) -> None:
    path = write(tmp_path, change(rows_of()))
    with pytest.raises(CaptureError, match=fault) as caught:
        read_dispatch_prices(path, "NSW1")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("write", "place"), [(as_parquet, "row 3 "), (as_zip, "line 7 ")])
def test_the_message_names_row_or_line(write: Writer, place: str, tmp_path: Path) -> None:
    rows = rows_of()
    path = write(tmp_path, [*rows[:2], (*rows[2][:3], "nan"), *rows[3:]])
    with pytest.raises(CaptureError, match=place):
        read_dispatch_prices(path, "NSW1")


@both
def test_a_gap_is_reported_with_the_missing_stamps_and_the_whole_runs(write: Writer, tmp_path: Path) -> None:
    rows = rows_of()
    path = write(tmp_path, [*rows[:2], *rows[4:]])
    with pytest.raises(
        GapError, match="2 intervals are missing, stamped 2025/01/01 00:15:00, 2025/01/01 00:20:00;"
    ) as caught:
        read_dispatch_prices(path, "NSW1")
    assert "2025/01/01 00:00:00 to 2025/01/01 00:10:00, 2025/01/01 00:20:00 to 2025/01/01 00:30:00" in str(caught.value)
    first_missing_ns = FIRST_START_NS + 3 * INTERVAL_NS
    assert caught.value.missing_end_ns.tolist() == [first_missing_ns, first_missing_ns + INTERVAL_NS]
    # A window inside a whole run is fine.
    whole = read_dispatch_prices(path, "NSW1", FIRST_START_NS + 4 * INTERVAL_NS)
    np.testing.assert_array_equal(whole, expected(PRICES)[4:])


RUNS = "2025/01/01 00:00:00 to 2025/01/01 00:10:00, 2025/01/01 00:20:00 to 2025/01/01 00:30:00"


@both
@pytest.mark.parametrize(
    ("start", "end", "missing"),
    [
        (2, 6, [3, 4]),  # at its start
        (3, 6, [4]),  # the start lies in the gap
        (0, 4, [3, 4]),  # at its end
        (0, 3, [3]),
        (2, 4, [3, 4]),  # all of it
        (3, 4, [4]),
        (1, 5, [3, 4]),  # in its middle
    ],
)
def test_a_gap_is_seen_wherever_in_the_window_it_stands(
    write: Writer, start: int, end: int, missing: list[int], tmp_path: Path
) -> None:
    rows = rows_of()
    path = write(tmp_path, [*rows[:2], *rows[4:]])
    window = (FIRST_START_NS + start * INTERVAL_NS, FIRST_START_NS + end * INTERVAL_NS)
    with pytest.raises(GapError) as caught:
        read_dispatch_prices(path, "NSW1", *window)
    assert caught.value.missing_end_ns.tolist() == [FIRST_START_NS + place * INTERVAL_NS for place in missing]
    stamps = ", ".join(stamp(place - 1) for place in missing)
    assert f"{len(missing)} intervals are missing, stamped {stamps}; " in str(caught.value)
    assert str(caught.value).endswith(f"take a window inside a whole run: {RUNS}")


@both
def test_a_window_whose_ends_lie_inside_intervals_needs_both(write: Writer, tmp_path: Path) -> None:
    rows = rows_of()
    path = write(tmp_path, [*rows[:2], *rows[4:]])
    ends = (FIRST_START_NS, FIRST_START_NS + 2 * INTERVAL_NS)
    np.testing.assert_array_equal(read_dispatch_prices(path, "NSW1", *ends), expected(PRICES)[:2])
    with pytest.raises(GapError, match="1 intervals are missing, stamped 2025/01/01 00:15:00;"):
        read_dispatch_prices(path, "NSW1", ends[0], ends[1] + 1)
    with pytest.raises(GapError, match="1 intervals are missing, stamped 2025/01/01 00:20:00;"):
        read_dispatch_prices(path, "NSW1", FIRST_START_NS + 4 * INTERVAL_NS - 1)


@both
def test_a_bad_price_outside_the_window_does_not_matter_but_disorder_does(write: Writer, tmp_path: Path) -> None:
    rows = rows_of()
    window = (FIRST_START_NS, FIRST_START_NS + 2 * INTERVAL_NS)
    bad_later = write(tmp_path, [*rows[:4], (*rows[4][:3], "nan"), rows[5]])
    np.testing.assert_array_equal(read_dispatch_prices(bad_later, "NSW1", *window), expected(PRICES)[:2])
    disorder_later = write(tmp_path, [*rows[:4], rows[5], rows[4]])
    with pytest.raises(CaptureError, match="comes after"):
        read_dispatch_prices(disorder_later, "NSW1", *window)


@both
@pytest.mark.parametrize(("start", "end"), [(-1, None), (None, 7), (6, None), (None, 0), (2, 2), (3, 1)])
def test_a_window_must_lie_in_the_file(write: Writer, start: int | None, end: int | None, tmp_path: Path) -> None:
    at = [None if place is None else FIRST_START_NS + place * INTERVAL_NS for place in (start, end)]
    with pytest.raises(CaptureError, match="not within 2025/01/01 00:00:00 to 2025/01/01 00:30:00, which the file"):
        read_dispatch_prices(write(tmp_path, rows_of()), "NSW1", *at)


@both
def test_a_file_cut_anywhere_is_refused(write: Writer, tmp_path: Path) -> None:
    whole = write(tmp_path, rows_of()).read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(CaptureError, match="cut short, damaged|begins with"):
            read_dispatch_prices(cut, "NSW1")


def test_a_zip_with_any_bit_flipped_gives_the_right_prices_or_a_named_error(tmp_path: Path) -> None:
    whole = as_zip(tmp_path, rows_of()).read_bytes()
    flipped, refused = tmp_path / "flipped", 0
    for place in range(len(whole)):
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            prices = read_dispatch_prices(flipped, "NSW1")
        except CaptureError:
            refused += 1
        else:  # the flip was in a date or a comment of the container
            np.testing.assert_array_equal(prices, expected(PRICES))
    assert refused > len(whole) // 2


def test_a_parquet_file_with_any_bit_flipped_reads_or_gives_a_named_error(tmp_path: Path) -> None:
    # Without page checksums a flip inside a price cannot be seen; all else must not surface as an error of pyarrow's.
    whole = as_parquet(tmp_path, rows_of()).read_bytes()
    flipped, refused = tmp_path / "flipped", 0
    for place in range(len(whole)):
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            assert read_dispatch_prices(flipped, "NSW1").dtype == DISPATCH_PRICE
        except CaptureError:
            refused += 1
    assert refused > len(whole) // 2


def test_a_parquet_page_whose_checksum_fails_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.parquet"
    pq.write_table(
        table_of(rows_of()),
        path,
        write_page_checksum=True,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    whole = path.read_bytes()
    price = np.float64(105.60921).tobytes()
    assert whole.count(price) == 1
    path.write_bytes(whole.replace(price, np.float64(105.60922).tobytes()))
    with pytest.raises(CaptureError, match="cut short, damaged"):
        read_dispatch_prices(path, "NSW1")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda table: table.drop_columns(["rrp"]),
            "has no column 'rrp'; it has settlementdate, regionid, intervention$",
        ),
        (
            lambda table: table.rename_columns(["SETTLEMENTDATE", *table.column_names[1:]]),
            "has no column 'settlementdate'",
        ),
        (lambda table: recast(table, "rrp", pa.float32()), "column 'rrp' is float; wanted float64"),
        (
            lambda table: recast(table, "settlementdate", pa.timestamp("us", "UTC")),
            r"is timestamp\[us, tz=UTC\]; wanted",
        ),
        (
            lambda table: recast(table, "intervention", pa.float64()),
            "column 'intervention' is double; wanted an integer",
        ),
        (lambda table: recast(table, "regionid", pa.binary()), "column 'regionid' is binary; wanted text"),
        (lambda table: blank(table, "settlementdate"), "row 2: settlementdate is missing"),
        (lambda table: blank(table, "regionid"), "row 2: regionid is missing"),
        (lambda table: blank(table, "intervention"), "row 2: intervention is missing"),
        (lambda table: table.slice(0, 0), "no rows of region 'NSW1'; it holds none$"),
    ],
)
def test_a_parquet_table_of_another_schema_is_refused(change: Any, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.parquet"
    pq.write_table(change(table_of(rows_of())), path)
    with pytest.raises(CaptureError, match=fault):
        read_dispatch_prices(path, "NSW1")


def recast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    """Return the table with one column of another type."""
    place = table.column_names.index(name)
    column = table[name].cast(pa.string()) if pa.types.is_dictionary(table[name].type) else table[name]
    return table.set_column(place, name, column.cast(kind))


def blank(table: pa.Table, name: str) -> pa.Table:
    """Return the table with a null in the second row of one column."""
    values = table[name].to_pylist()
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array([values[0], None, *values[2:]], table[name].type))


def one(at: str = stamp(0), run: str = "0", price: str = "1") -> str:
    """Return a report of one row, on line 5."""
    return report([(at, "NSW1", run, price)])


def retitled(text: str) -> str:
    """Return a report whose price rows have lost the I record that names their columns."""
    return text.replace("I,DISPATCH,PRICE,", "I,TRADING,PRICE,")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (report(rows_of()).replace(END, ""), 'line 11: ends here; wanted C,"END OF REPORT", is the file cut'),
        (one().replace(",1,0\r\n" + END, ""), "line 5: 9 fields; wanted over 9, is the line cut"),
        (
            report([], columns="SETTLEMENTDATE,X,REGIONID,X,INTERVENTION"),
            "line 4: DISPATCH,PRICE has no column RRP; it",
        ),
        (retitled(one()), "line 5: a D record before the I record"),
        (retitled(report([])), "no table DISPATCH,PRICE; it has DISPATCH,CASE_SOLUTION, TRADING,PRICE$"),
        (report([]), "no rows of region 'NSW1'; it holds none$"),
        ("", "has no table DISPATCH,PRICE; it has none"),
        ("settlementdate,regionid,rrp\n", "line 1: record begins with 'settlementdate'; wanted C, I or D"),
        (one(at="2025-01-01 00:05:00"), "line 5: SETTLEMENTDATE is '2025-01-01 00:05:00'; wanted YYYY/MM/DD"),
        (one(at="2025/02/30 00:05:00"), "line 5: SETTLEMENTDATE is '2025/02/30 00:05:00'; wanted"),
        (one(at=""), "line 5: SETTLEMENTDATE is ''; wanted"),
        (one(run=""), "line 5: INTERVENTION is ''; wanted 0"),
        (one(run="-1"), "line 5: INTERVENTION is '-1'; wanted 0"),
        (one(price="cheap"), r"line 5 \(2025/01/01 00:05:00\): rrp is 'cheap'; wanted"),
        (one(price="1e999999999"), "rrp is '1e999999999'; wanted"),
        (one(price="1." + "0" * 40 + "1"), "wanted AUD/MWh with at most six decimals"),
        (one(price="1\N{ARABIC DECIMAL SEPARATOR}5"), "damaged or no plain zip of ASCII text"),
    ],
)
def test_a_report_that_is_malformed_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "prices.zip", text)
    with pytest.raises(CaptureError, match=fault):
        read_dispatch_prices(path, "NSW1")


@pytest.mark.parametrize("names", [[], ["readme.txt"], ["a.CSV", "b.csv"]])
def test_a_zip_holds_exactly_one_report(names: list[str], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ["folder/", *names]:
            archive.writestr(name, "" if name.endswith("/") else report(rows_of()))
    path = tmp_path / "prices.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(
        CaptureError, match=f"holds {len([n for n in names if n != 'readme.txt'])} CSV files .*; wanted exactly one"
    ):
        read_dispatch_prices(path, "NSW1")


@pytest.mark.parametrize("content", [b"", b"PA", b"C,SETP.WORLD", b"\x1f\x8b\x08\x00"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "prices"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="begins with b.*; wanted parquet"):
        read_dispatch_prices(path, "NSW1")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.zip", tmp_path):
        with pytest.raises(CaptureError, match="cannot be read: (No such file|Is a directory)"):
            read_dispatch_prices(path, "NSW1")


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half_year(shared_dir: Path) -> Path:
    """Return the real half year of three regions."""
    name = "aemo_dispatchprice_5min_NSW1_QLD1_VIC1_2024-12_2025-06.parquet"
    return shared_dir / "data" / "power_5min" / name


@pytest.mark.parametrize(("region", "negative"), [("NSW1", 0.10), ("QLD1", 0.14), ("VIC1", 0.20)])
def test_half_a_year_of_real_prices(half_year: Path, region: str, negative: float) -> None:
    prices = read_dispatch_prices(half_year, region)
    micro = prices["price_micro"]
    assert len(prices) == 61_056
    assert prices["interval_start_ns"][0] == 1_732_975_200_000_000_000  # 2024-12-01 00:00+10:00
    assert prices["interval_end_ns"][-1] == 1_751_292_000_000_000_000  # 2025-07-01 00:00+10:00
    assert -1_000_000_000 <= micro.min() < 0
    assert 17_000_000_000 < micro.max() <= 17_500_000_000
    assert round(float((micro < 0).mean()), 2) == negative
    assert round(float((micro > 300_000_000).mean()), 3) in {0.013, 0.014}
    assert not (micro % 10).any()  # five decimals, and every one kept


def test_real_prices_reach_the_cap_and_the_floor(half_year: Path) -> None:
    micro = read_dispatch_prices(half_year, "VIC1")["price_micro"]
    assert (micro.min(), micro.max()) == (-999_999_420, 17_500_000_000)


def test_the_raw_archive_and_the_table_agree(half_year: Path) -> None:
    archive = half_year.parent / "raw_mms" / "PUBLIC_ARCHIVE_DISPATCHPRICE_FILE01_202501010000.zip"
    window = (FIRST_START_NS, FIRST_START_NS + 3 * 288 * INTERVAL_NS - INTERVAL_NS)
    from_zip = read_dispatch_prices(archive, "NSW1", *window)
    assert len(from_zip) == 3 * 288 - 1
    assert digest(from_zip) == digest(read_dispatch_prices(half_year, "NSW1", *window))


@pytest.mark.parametrize("month", ["202408", "202501"])
def test_an_archive_trimmed_to_the_ends_of_a_month_has_a_gap(half_year: Path, month: str) -> None:
    archive = half_year.parent / "raw_mms" / f"PUBLIC_ARCHIVE_DISPATCHPRICE_FILE01_{month}010000.zip"
    with pytest.raises(GapError) as caught:
        read_dispatch_prices(archive, "SA1")
    assert len(caught.value.missing_end_ns) == 31 * 288 - 1_440


def test_a_real_archive_of_another_table_is_refused(half_year: Path) -> None:
    archive = half_year.parent / "raw_mms" / "PUBLIC_ARCHIVE_TRADINGPRICE_FILE01_202501010000.zip"
    with pytest.raises(CaptureError, match="has no table DISPATCH,PRICE; it has TRADING,PRICE$"):
        read_dispatch_prices(archive, "NSW1")
