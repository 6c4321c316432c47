"""Proves that answers as of a moment, days of 23 and 25 hours, units of refusals, counts and locked files are right."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

import penstock
from penstock_kernel.lake import LakeError, Reader, query, rebuild
from penstock_kernel.runs import RunInfo
from penstock_sdk.energy import day_contracts
from penstock_sdk.events import (
    CheckResult,
    CheckVerdict,
    ContractDefinition,
    IdKind,
    IntentAction,
    Interned,
    ListingDefinition,
    Order,
    OrderState,
    Pnl,
    Position,
    Reason,
    RunEnd,
    Side,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.explained import REASON_UNITS

LOT_KW, TICK_MICRO = 100, 10_000
HOURLY = Path(__file__).parents[2] / "docs" / "runs.md"


def define(journal: Any, day: dt.date, products: tuple[str, ...] = ("H",)) -> int:
    """Write a zone, one strategy and a day's contracts; return how many there are."""
    journal.add(Interned(kind=IdKind.PLUGIN, id=1, name="ours"), 0)
    journal.add(Interned(kind=IdKind.CURRENCY, id=1, name="EUR"), 0)
    journal.add(ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR"), 0)
    contracts = day_contracts("DE-LU", day, list(products))
    for number, contract in enumerate(contracts, 1):
        span = contract.delivery
        journal.add(
            ContractDefinition(
                contract_id=number, name=contract.name, zone_id=1, product=contract.product,
                delivery_start_ns=span.start_ns, delivery_end_ns=span.end_ns, currency_id=1,
            ), 0,
        )  # fmt: skip
        journal.add(
            ListingDefinition(
                listing_id=number, contract_id=number, venue_id=1, name=contract.name, tick_micro=TICK_MICRO,
                lot_kw=LOT_KW, price_min_ticks=-100, price_max_ticks=100, opens_ns=0, gate_closure_ns=span.start_ns,
                cash_micro_per_lot_tick=1, interval_start_ns=span.start_ns, interval_ns=900_000_000_000,
                interval_count=span.minutes // 15,
            ), 0,
        )  # fmt: skip
    return len(contracts)


def finish(folder: Path, journal: Any) -> str:
    journal.add(RunEnd(reason="done"), 1_000)
    journal.commit()
    RunInfo(id="made", status="complete").save(folder)
    return str(folder)


@pytest.fixture
def changing(tmp_path: Path, journal_writer: Any) -> str:
    """A run in which listing 1 changes at 10, 20, 30 ns, listing 2 at 10 ns alone, and 3 at 30 ns alone."""
    journal = journal_writer(tmp_path / "journal")
    define(journal, dt.date(2026, 6, 1))
    for at_ns, listing, lots in [(10, 1, 10), (10, 2, 50), (20, 1, 20), (30, 1, 30), (30, 3, 70)]:
        journal.add(Position(listing, 1, net_lots=lots), at_ns)
        journal.add(Pnl(listing, 1, currency_id=1, realised_micro=lots * 1_000_000), at_ns)
        journal.add(Pnl(0, 1, currency_id=1, realised_micro=lots * 2_000_000), at_ns)
    return finish(tmp_path, journal)


@pytest.mark.parametrize(
    ("since", "until", "held"),
    [
        (None, None, [(1, 3.0), (2, 5.0), (3, 7.0)]),
        (None, 31, [(1, 3.0), (2, 5.0), (3, 7.0)]),
        (None, 30, [(1, 2.0), (2, 5.0)]),
        (None, 20, [(1, 1.0), (2, 5.0)]),
        (None, 10, []),
        (20, 30, [(1, 2.0)]),
        (20, None, [(1, 3.0), (3, 7.0)]),
    ],
)
def test_the_latest_until_a_moment_is_what_stood_then(
    changing: str, since: int | None, until: int | None, held: list[tuple[int, float]]
) -> None:
    with penstock.open_run(changing) as run:
        number = {row["contract"]: row["listing_id"] for row in run.listings()}
        positions = run.positions(latest=True, since=since, until=until, strategy="ours")
        assert sorted((number[row["contract"]], row["net_mw"]) for row in positions) == held
        pnl = list(run.pnl(latest=True, since=since, until=until))
        assert sorted((number[r["contract"]], r["total"] / 10) for r in pnl if r["contract"]) == held
        total = {None: 140.0, 31: 140.0, 30: 40.0, 20: 100.0, 10: None}[until]
        assert [row["total"] for row in pnl if row["contract"] is None] == ([] if total is None else [total])


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23), ("2026-06-01", 24)])
def test_hours_of_a_day_are_kept_apart_in_sql(tmp_path: Path, journal_writer: Any, day: str, hours: int) -> None:
    journal = journal_writer(tmp_path / "journal")
    count = define(journal, dt.date.fromisoformat(day), ("H", "QH"))
    for number in range(1, count + 1):
        journal.add(Trade(number, price_ticks=number), 5)
        journal.add(Position(number, 1, net_lots=number), 5)
        journal.add(Pnl(number, 1, currency_id=1), 5)
    finish(tmp_path, journal)
    example = HOURLY.read_text().split("```sql\n")[1].split("```")[0]
    with penstock.open_run(str(tmp_path)) as run:
        rows = list(run.sql(example))
        assert (len(rows), {row["trades"] for row in rows}) == (hours, {5})  # the hour and its four quarters
        starts = [row["hour_utc"] for row in rows]
        assert {(late - early).total_seconds() for early, late in itertools.pairwise(starts)} == {3600}
        assert starts[0].tzinfo is not None
        assert [row["hour"].hour for row in rows].count(2) == hours - 23
        for view in ("listings", "prices", "positions_latest", "pnl_latest"):
            sql = f"SELECT count(DISTINCT delivery_start_utc) AS times, count(DISTINCT contract) AS n FROM {view}"
            assert list(run.sql(sql)) == [{"times": hours * 4, "n": count}], view


@pytest.fixture
def refusing(tmp_path: Path, journal_writer: Any) -> str:
    journal = journal_writer(tmp_path / "journal")
    define(journal, dt.date(2026, 6, 1))
    for number, (reason, met, limit) in enumerate(
        [
            (Reason.POSITION, -305, -300), (Reason.PRICE_COLLAR, 7_000, -6_500),
            (Reason.NOTIONAL, 12_500_000, 9_000_000),
            (Reason.STALE_MARKET, 5_200_000_000, 5_000_000_000), (Reason.MESSAGE_RATE, 51, 50),
            (Reason.UNKNOWN_LISTING, 9, None),
        ], 1,
    ):  # fmt: skip
        told = {} if limit is None else {"limit": limit}
        journal.add(CheckVerdict(number, CheckResult.REFUSED, reason=reason, check_id=1, met=met, **told), number)
        journal.add(Order(number, 1, IntentAction.NEW, Side.BUY, state=OrderState.REFUSED, reason=reason), number)
    journal.add(Order(7, 1, IntentAction.NEW, Side.BUY, state=OrderState.REFUSED, reason=Reason.RECONCILING), 7)
    return finish(tmp_path, journal)


def test_refusals_say_what_their_numbers_count(refusing: str) -> None:
    with penstock.open_run(refusing) as run:
        told = [(row["met"], row["met_value"], row["limit_value"], row["unit"]) for row in run.refusals()]
        assert [row["unit"] for row in run.sql("SELECT unit FROM refusals ORDER BY seq")] == [
            "lots", "ticks", "micro", "ns", "count", "count", None,
        ]  # fmt: skip
    wanted = [
        (-305, -30.5, -30.0, "MW"), (7_000, 70.0, -65.0, "EUR/MWh"), (12_500_000, 12.5, 9.0, "EUR"),
        (5_200_000_000, 5.2, 5.0, "s"), (51, 51.0, 50.0, "orders at once"), (9, None, None, None),
        (None, None, None, None),
    ]  # fmt: skip
    for met, expected in zip(told, wanted, strict=True):
        assert met == (expected[0], *(pytest.approx(v) if isinstance(v, float) else v for v in expected[1:]))


def test_units_of_reasons_are_those_of_the_gate() -> None:
    from penstock_plugins.risk.limits_words import explained
    from penstock_sdk.golden.risk_gate_explained import Rule

    for reason in (Reason.POSITION, Reason.NOTIONAL, Reason.PRICE_COLLAR, Reason.STALE_MARKET, Reason.MESSAGE_RATE):
        rule = Rule(reason, False, 1, 1)
        assert explained(rule).unit == REASON_UNITS.get(reason, "count")


@pytest.mark.parametrize("state", ["running", "crashed"])
def test_a_run_that_is_not_closed_counts_what_it_has(tmp_path: Path, journal_writer: Any, state: str) -> None:
    RunInfo(id="live", status="running", pid=os.getpid() if state == "running" else 0).save(tmp_path)
    journal = journal_writer(tmp_path / "journal")

    def order(number: int) -> None:
        journal.add(Order(number, 1, IntentAction.NEW, Side.BUY, state=OrderState.PENDING_CHECK), number)
        journal.add(Order(number, 1, IntentAction.NEW, Side.BUY, state=OrderState.ROUTED), number)
        journal.commit()

    order(1)
    with penstock.open_run(str(tmp_path)) as run:
        assert (run.info.state, run.info.events, run.info.last_seq, run.info.orders) == (state, 2, 2, 1)
        order(2)
        assert (run.info.events, run.info.orders) == (2, 1)
        run.refresh()
        assert (run.info.events, run.info.orders) == (run.last_seq, 2) == (4, 2)


@pytest.fixture(params=["closed", "live"])
def asked(request: pytest.FixtureRequest, make_run: Any, tmp_path: Path) -> Path:
    """A run's folder: with `run.duckdb`, or live with partitions and a journal."""
    run = make_run(tmp_path / "run", steps=60)
    rebuild(run.run_dir)
    if request.param == "live":
        (run.run_dir / "run.duckdb").unlink()
    return tmp_path / "run"


def test_a_question_neither_writes_nor_reads_other_files(asked: Path, tmp_path: Path) -> None:
    secret, out = tmp_path / "secret.csv", tmp_path / "out.csv"
    secret.write_text("a\n1\n")
    before = {path: path.stat().st_mtime_ns for path in asked.rglob("*") if path.is_file()}
    part = next(asked.glob("lake/trades-*.parquet"))
    to_part = f"COPY (SELECT 1 AS a) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)"
    with Reader(asked) as reader:
        for sql in (
            f"COPY (SELECT 1) TO '{out}'", to_part, f"EXPLAIN ANALYZE {to_part}", f"PREPARE p AS {to_part}",
            f"SELECT 1; {to_part}", f"ATTACH '{out}' AS x", f"EXPORT DATABASE '{out}'", "DROP TABLE trades",
            "SET lock_configuration = false", "BEGIN",
        ):  # fmt: skip
            with pytest.raises(LakeError, match="a run is read-only, .* is no question"):
                reader.query(sql)
        for sql in (f"SELECT * FROM read_text('{secret}')", f"FROM '{secret}'", f"FROM glob('{tmp_path}/*')"):
            with pytest.raises(LakeError, match="no other file|does not exist"):
                reader.query(sql)
        with pytest.raises(duckdb.Error):  # nor by the connection that summary and report use
            reader.connection.execute(f"COPY (SELECT 1) TO '{out}'")
        with pytest.raises(LakeError, match="sql"):  # a variable of the reader's own is no table
            reader.query("FROM sql")
        for sql in ("DESCRIBE trades", "SHOW TABLES", "SUMMARIZE prices", "EXPLAIN ANALYZE FROM fills",
                    "PIVOT fills ON side USING count(*) GROUP BY strategy"):  # fmt: skip
            assert reader.query(sql).num_rows
        assert reader.query("SELECT count(*) AS n FROM trades").to_pylist() == [{"n": 60}]
    assert not out.exists()
    assert {path: path.stat().st_mtime_ns for path in asked.rglob("*") if path.is_file()} == before


def test_a_program_opens_the_file_itself_beside_a_reader(made: Any) -> None:
    with Reader(made.run_dir) as reader, duckdb.connect(str(made.run_dir / "run.duckdb"), read_only=True) as own:
        assert own.sql("SELECT 1 FROM read_text(?)", params=[__file__]).fetchall() == [(1,)]
        assert own.sql("SELECT count(*) FROM fills").fetchall()[0][0] == reader.query("FROM fills").num_rows


def test_a_file_that_an_older_version_closed_has_the_views_of_today(make_run: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=60)
    rebuild(run.run_dir)
    with duckdb.connect(str(tmp_path / "run.duckdb")) as old:
        columns = "EXCLUDE (contract, delivery_start_utc)"
        for view in ("fills", "prices"):
            (text,) = old.execute("SELECT sql FROM duckdb_views() WHERE view_name = ?", [view]).fetchall()[0]
            select = text.partition(" AS ")[2].rstrip(";")
            old.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * {columns} FROM ({select})")
    assert query(tmp_path, "SELECT delivery_start_utc, contract FROM fills").num_rows == len(run.fills)
    with penstock.open_run(str(tmp_path)) as opened:
        assert len(opened.fills()) == len(run.fills)
        assert opened.tables()["trades"] == 60
