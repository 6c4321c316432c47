"""On real five-minute prices the market follows what was known, no sooner, below zero and up to the spike.

What the files say is read here with other means than the feed's: Arrow and the csv module.
"""

from __future__ import annotations

import csv
import io
import zipfile
from bisect import bisect_right
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from day_runs import ROOT, DayRun, deployment, only_run, penstock

from penstock_sdk.events import ListingDefinition, Observation, Order, Trade

FEW = {"exchange": "orders_per_day = 12_000\nstep_s = 30.0", "mm_nsw": "requote_s_min = 120.0"}
FIVE_MINUTES_NS = 300 * 10**9
CAP, FLOOR = 17_500, -1_000
"""AUD/MWh: the market price cap and floor of that year."""


def end_ns(stamp: datetime) -> int:
    """Return a stamp of market time (UTC+10, no summer time) as ns UTC."""
    return int(stamp.replace(tzinfo=timezone(timedelta(hours=10))).timestamp()) * 10**9


def table_prices(path: Path) -> dict[int, float]:
    """Return the prices of New South Wales in the parquet table, by end of interval."""
    table = pq.read_table(path, columns=["settlementdate", "regionid", "rrp"])
    table = table.filter(pc.equal(table["regionid"].cast("string"), "NSW1"))
    return dict(zip(map(end_ns, table["settlementdate"].to_pylist()), table["rrp"].to_pylist(), strict=True))


def zip_prices(path: Path) -> dict[int, float]:
    """Return the prices of New South Wales in a raw zip file, by end of interval."""
    prices: dict[int, float] = {}
    names: list[str] = []
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        for line in csv.reader(io.TextIOWrapper(file)):
            if line[0] == "I":
                names = line
            row = dict(zip(names, line, strict=False))
            if line[0] == "D" and row["REGIONID"] == "NSW1" and float(row["INTERVENTION"]) == 0:
                prices[end_ns(datetime.strptime(row["SETTLEMENTDATE"], "%Y/%m/%d %H:%M:%S"))] = float(row["RRP"])
    return prices


def check_no_look_ahead(run: DayRun, prices: dict[int, float]) -> None:
    """Each price is the file's, and is told at the end of its interval or, as history, later."""
    observed = run.of(Observation)
    opens_ns = min(listing.opens_ns for listing in run.records(ListingDefinition))
    for entry in observed:
        record = entry.record
        assert entry.at_ns >= record.known_at_ns == record.valid_to_ns
        assert entry.at_ns == max(record.valid_to_ns, opens_ns)
        assert record.valid_to_ns - record.valid_from_ns == FIVE_MINUTES_NS
        assert record.value == prices[record.valid_to_ns]
    ends = [entry.record.valid_to_ns for entry in observed]
    assert ends == list(range(ends[0], ends[0] + len(ends) * FIVE_MINUTES_NS, FIVE_MINUTES_NS))


def check_bounds(run: DayRun) -> None:
    """Nothing is asked or dealt beyond floor and cap."""
    for listing in run.records(ListingDefinition):
        assert listing.price_min_ticks * listing.tick_micro >= FLOOR * 10**6
        assert listing.price_max_ticks * listing.tick_micro <= CAP * 10**6
    for record in [*run.records(Trade), *run.records(Order)]:
        assert FLOOR * 100 <= record.price_ticks <= CAP * 100


def follows(run: DayRun) -> float:
    """Return the rank correlation of near trades' prices with the last index price known when they were dealt."""
    starts = {listing.listing_id: listing.interval_start_ns for listing in run.records(ListingDefinition)}
    observed = run.records(Observation)
    known_ns = [observation.known_at_ns for observation in observed]
    near: dict[int, list[float]] = defaultdict(list)
    for entry in run.of(Trade):
        if starts[entry.record.listing_id] - entry.at_ns < 30 * 60 * 10**9:
            near[bisect_right(known_ns, entry.at_ns) - 1].append(entry.record.price_ticks / 100)
    pairs = np.array([(observed[at].value, np.median(prices)) for at, prices in sorted(near.items())])
    assert len(pairs) > 60
    ranks = pairs.argsort(axis=0).argsort(axis=0)
    return float(np.corrcoef(ranks.T)[0, 1])


@pytest.fixture(scope="module")
def table(shared_dir: Path) -> Path:
    (path,) = (shared_dir / "data/power_5min").glob("aemo_dispatchprice_5min_NSW1_*.parquet")
    return path


@pytest.fixture(scope="module")
def day(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """Return the deployment that comes with the project, with fewer traders, on its own day and file."""
    folder = tmp_path_factory.mktemp("aemo")
    path = deployment(folder, FEW, include=ROOT / "deployments/aemo.toml")
    ended = penstock("run", path, "--quiet", cwd=folder, PENSTOCK_SHARED=str(shared_dir))
    assert ended.status == 0, ended.err
    assert ended.left == []
    return only_run(folder / "runs")


def test_prices_are_told_when_their_interval_has_ended(day: DayRun, table: Path) -> None:
    check_no_look_ahead(day, table_prices(table))
    assert len(day.records(Observation)) == (40 + 33) * 12


def test_the_market_follows_below_zero_and_up_to_the_spike(day: DayRun) -> None:
    check_bounds(day)
    values = [observation.value for observation in day.records(Observation)]
    assert min(values) < -900 and max(values) > 15_000
    trades = [trade.price_ticks / 100 for trade in day.records(Trade)]
    assert min(trades) < -30 and max(trades) > 1_000
    assert follows(day) > 0.6
    assert day.summary["currency"] == "AUD"
    assert day.summary["prices"]["index_max"] == max(values)


def test_a_replay_on_real_input_finds_no_difference(day: DayRun, shared_dir: Path) -> None:
    replayed = penstock("replay", day.dir, cwd=day.dir, PENSTOCK_SHARED=str(shared_dir))
    assert replayed.status == 0, replayed.out + replayed.err
    assert replayed.out.splitlines()[-1] == f"journal sha256:{day.info['digest']}"


def test_the_same_market_runs_on_a_raw_zip_file(shared_dir: Path, table: Path, tmp_path: Path) -> None:
    first, second = (
        shared_dir / f"data/power_5min/raw_mms/PUBLIC_ARCHIVE_DISPATCHPRICE_FILE01_{month}010000.zip"
        for month in ("202408", "202501")
    )
    more = {**FEW, "prices": f'path = "{first}"\nhistory_hours = 12'}
    path = deployment(tmp_path, more, include=ROOT / "deployments/aemo.toml")
    ended = penstock("run", path, "--day", "2024-08-02", "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == 0, ended.err
    run = only_run(tmp_path / "runs")
    check_no_look_ahead(run, zip_prices(first))
    check_bounds(run)
    values = [observation.value for observation in run.records(Observation)]
    assert min(values) < 0 < 290 < max(values)
    assert follows(run) > 0.6
    # Table and files are of the same market: where they overlap they say the same.
    other = table_prices(table)
    assert all(other[end] == pytest.approx(price, abs=1e-5) for end, price in zip_prices(second).items())


def test_a_day_in_the_middle_gap_of_a_file_is_refused(shared_dir: Path, tmp_path: Path) -> None:
    raw = shared_dir / "data/power_5min/raw_mms/PUBLIC_ARCHIVE_DISPATCHPRICE_FILE01_202501010000.zip"
    path = deployment(tmp_path, {**FEW, "prices": f'path = "{raw}"'}, include=ROOT / "deployments/aemo.toml")
    ended = penstock("run", path, "--day", "2025-01-22", "--quiet", cwd=tmp_path)
    assert ended.status == 2
    assert "feed prices cannot begin: GapError: " in ended.err
    assert f"{(40 + 33) * 12} intervals are missing, stamped 2025/01/19 23:05:00, " in ended.err
    assert "whole run: 2025/01/01 00:00:00 to 2025/01/03 23:55:00, 2025/01/29 23:55:00 to 2025/02/01" in ended.err
    run = only_run(tmp_path / "runs")
    assert run.info["status"] == "failed" and ended.left == []


def test_prices_that_are_not_found_are_told_with_the_way_to_set_them(tmp_path: Path) -> None:
    path = deployment(tmp_path, FEW, include=ROOT / "deployments/aemo.toml")
    ended = penstock("run", path, "--quiet", cwd=tmp_path, PENSTOCK_SHARED=str(tmp_path / "nowhere"))
    assert ended.status == 2
    assert "2025-06.parquet: cannot be read: No such file or directory" in ended.err
    assert "set path in [plugins.prices.config]" in ended.err and "PENSTOCK_SHARED" in ended.err


def test_a_day_that_the_file_does_not_hold_is_refused(shared_dir: Path, tmp_path: Path) -> None:
    path = deployment(tmp_path, FEW, include=ROOT / "deployments/aemo.toml")
    ended = penstock("run", path, "--day", "2025-08-01", "--quiet", cwd=tmp_path, PENSTOCK_SHARED=str(shared_dir))
    assert ended.status == 2
    assert "feed prices cannot begin" in ended.err and "to 2025/07/01 00:00:00, which the file covers" in ended.err
    run = only_run(tmp_path / "runs")
    assert run.info["status"] == "failed" and ended.left == []
