"""Proves that an opened run tells people what its journal says: names, units, days of 92 and 100 quarter-hours."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

import penstock
from penstock.questions import QUESTIONS
from penstock_kernel.runs import RunInfo
from penstock_sdk.energy import day_contracts, ns_to_local
from penstock_sdk.events import (
    ContractDefinition,
    IdKind,
    Interned,
    ListingDefinition,
    Pnl,
    Position,
    RunEnd,
    Trade,
    ZoneDefinition,
)

BERLIN = ZoneInfo("Europe/Berlin")
QUARTER_NS = 900_000_000_000


@pytest.fixture(scope="module")
def run(made: Any) -> Any:
    with penstock.open_run("latest", made.run_dir.parent) as opened:
        yield opened


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_docstring_tells_the_columns(run: penstock.RunData, name: str) -> None:
    told = getattr(penstock.RunData, name).__doc__.split("Columns:")[1]
    while (plain := re.sub(r"\([^()]*\)", "", told)) != told:
        told = plain
    assert re.findall(r"[a-z_]+", told) == getattr(run, name)().columns


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_is_the_same_in_arrow_pandas_and_polars(run: penstock.RunData, name: str) -> None:
    rows = getattr(run, name)()
    assert rows.last_seq == run.last_seq
    pandas, polars = rows.pandas(), rows.polars()
    assert list(pandas.columns) == polars.columns == rows.columns
    assert len(pandas) == len(polars) == len(rows)
    assert polars.to_arrow().num_rows == rows.arrow().num_rows
    for column, kind in zip(rows.columns, rows.arrow().schema.types, strict=True):
        assert pa.types.is_timestamp(kind) == column.endswith(("_utc", "_start", "_end"))
        if pa.types.is_timestamp(kind):
            zone = "UTC" if column.endswith("_utc") else "Europe/Berlin"
            assert (kind.tz, str(pandas[column].dt.tz), polars.schema[column].time_zone) == (zone, zone, zone)


def test_fills_and_prices_are_those_that_were_made(run: penstock.RunData, made: Any) -> None:
    contracts = {row["listing_id"]: row for row in run.listings()}
    fills = list(run.fills())
    assert len(fills) == len(made.fills)
    for fill, (_, listing, _, ticks, lots, half) in zip(fills, made.fills, strict=True):
        assert fill["contract"] == contracts[listing]["contract"]
        assert fill["price_per_mwh"] == pytest.approx(ticks / 100)
        assert (fill["qty_mw"], fill["currency"]) == (pytest.approx(lots / 10), "EUR")
        assert fill["energy_mwh"] == pytest.approx(lots / 10 * contracts[listing]["duration_h"])
        paid_more = (ticks - half / 2) / 100 * (1 if fill["side"] == "BUY" else -1)
        assert fill["slippage_cost"] == pytest.approx(paid_more * fill["energy_mwh"])
    trades = [row for row in run.prices() if row["source"] == "trade"]
    assert [row["price_per_mwh"] for row in trades] == pytest.approx([ticks / 100 for _, ticks, _ in made.trades])
    assert min(row["price_per_mwh"] for row in trades) < 0  # the solar trough of noon
    seen = {row["name"] for row in run.prices()} - set(run.listings().arrow()["contract"].to_pylist())
    assert seen == {"price.DE-LU.index"}


def test_positions_and_pnl_end_where_the_run_did(run: penstock.RunData, made: Any) -> None:
    contracts = {row["contract"]: row["listing_id"] for row in run.listings()}
    strategies = {"market_maker": 2, "mean_reversion": 3}
    positions = {
        (strategies[row["strategy"]], contracts[row["contract"]]): row["net_mw"] for row in run.positions(latest=True)
    }
    assert positions == pytest.approx({key: lots / 10 for key, lots in made.net_lots.items()})
    totals = {row["strategy"]: row["total"] for row in run.pnl(latest=True) if row["contract"] is None}
    for name, number in strategies.items():
        of = [micro for (strategy, _), micro in made.pnl.items() if strategy == number]
        assert totals[name] == pytest.approx(sum(r + u - f for r, u, f in of) / 1e6)
    assert len(run.positions()) == len(made.fills)
    held = sum(row["net_mwh"] for row in run.delivery_positions())
    assert held == pytest.approx(sum(row["net_mwh"] for row in run.positions(latest=True)))


def test_orders_and_refusals_count_as_they_were_made(run: penstock.RunData, made: Any) -> None:
    orders = run.orders().arrow()
    assert len(orders) == made.orders
    refused = run.refusals().arrow()
    assert len(refused) == sum(made.refused.values())
    assert set(refused["refused_by"].to_pylist()) == {"risk_limits"}
    assert orders["state"].to_pylist().count("REFUSED") == len(refused)


def test_answers_are_narrowed_by_time_strategy_and_contract(run: penstock.RunData) -> None:
    fills = list(run.fills())
    middle = fills[len(fills) // 2]
    at, strategy, contract = middle["at_utc"], middle["strategy"], middle["contract"]
    seq = middle["seq"]
    exact_ns = run.sql(f"SELECT at_ns FROM fills WHERE seq = {seq}").arrow()["at_ns"][0].as_py()
    before, after = run.fills(until=exact_ns), run.fills(since=exact_ns)
    assert len(before) + len(after) == len(fills)
    assert next(iter(after))["seq"] == seq
    second = dt.datetime.fromtimestamp(exact_ns // 10**9, dt.UTC)
    texts = [second, second.astimezone(BERLIN), second.astimezone(BERLIN).isoformat()]
    assert len({len(run.fills(since=moment)) for moment in texts}) == 1
    assert at.tzinfo is not None
    of = [f["seq"] for f in fills if f["strategy"] == strategy and f["contract"] == contract]
    assert [row["seq"] for row in run.fills(strategy=strategy, contract=contract)] == of
    assert {row["contract"] for row in run.quotes(contract=contract)} == {contract}
    assert len(run.quotes()) == run.tables()["quotes"]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda run: run.fills(strategy="market_makr"), "strategy 'market_makr' is not in run .* market_maker"),
        (lambda run: run.quotes(contract="moon"), "contract 'moon' is not in run"),
        (lambda run: run.fills(since=dt.datetime(2026, 3, 10)), "says no zone"),
        (lambda run: run.fills(since="2026-03-10"), "says no zone"),
        (lambda run: run.fills(since="noon"), "'noon' is no moment; wanted an aware datetime"),
        (lambda run: run.sql("select price from fils"), "fils.*\n"),
        (lambda run: run.table('fil"s'), "does not exist"),
        (lambda run: next(run.follow("listings")), "cannot be followed; call .listings"),
        (lambda run: penstock.open_run("2027", run.dir.parent), "'2027' is not in"),
        (lambda run: penstock.open_run("latest", run.dir.parent, timezone="Europe/Berlim"), "did you mean"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_told(run: penstock.RunData, ask: Any, told: str) -> None:
    with pytest.raises(penstock.DataError, match=told):
        ask(run)


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_the_extra(
    run: penstock.RunData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(penstock.DataError, match=rf"^{name} is not installed; .*penstock-kernel\[data\]"):
        getattr(run.alerts(), name)()


def test_tables_and_sql_keep_what_was_recorded_and_views_are_utc(run: penstock.RunData) -> None:
    assert run.table("contract_definitions").arrow().schema.field("delivery_start_ns").type == pa.int64()
    after = run.table("trades", since_seq=1_000)
    assert 0 < len(after) < run.tables()["trades"]
    assert min(after.arrow()["seq"].to_pylist()) > 1_000
    assert run.sql("SELECT at_utc FROM fills").arrow().schema.field("at_utc").type == pa.timestamp("ns", tz="UTC")
    assert "up to event" in repr(run.fills()) and "read up to event" in repr(run)
    stream = pa.RecordBatchReader.from_stream(run.fills()).read_all()
    assert stream == run.fills().arrow()


def test_another_zone_shows_the_same_moments(made: Any, run: penstock.RunData) -> None:
    with penstock.open_run(str(made.run_dir), timezone="UTC") as utc:
        ours, theirs = (side.listings().arrow()["delivery_start"] for side in (run, utc))
        assert theirs.type.tz == "UTC"
        assert ours.cast(pa.int64()) == theirs.cast(pa.int64())


def day_run(folder: Path, journal_writer: Any, day: dt.date) -> Any:
    """Write a run that holds 1 MW more of each quarter-hour than of the one before, and 10 MW of every hour."""
    journal = journal_writer(folder / "journal")
    journal.add(Interned(kind=IdKind.PLUGIN, id=1, name="ours"), 0)
    journal.add(ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR"), 0)
    contracts = day_contracts("DE-LU", day)
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
                listing_id=number, contract_id=number, venue_id=1, name=contract.name, tick_micro=10_000, lot_kw=100,
                price_min_ticks=-100, price_max_ticks=100, opens_ns=0, gate_closure_ns=span.start_ns,
                cash_micro_per_lot_tick=1, interval_start_ns=span.start_ns, interval_ns=QUARTER_NS,
                interval_count=span.minutes // 15,
            ), 0,
        )  # fmt: skip
    quarters = [number for number, contract in enumerate(contracts, 1) if contract.product == "QH"]
    for number, contract in enumerate(contracts, 1):
        lots = 10 * (quarters.index(number) + 1) if contract.product == "QH" else 100
        journal.add(Position(number, 1, net_lots=lots), 1)
    journal.add(Pnl(0, 1, realised_micro=-1_500_000), 2)
    journal.add(RunEnd(reason="done"), 3)
    journal.commit()
    RunInfo(id="day", status="complete").save(folder)
    return contracts


@pytest.mark.parametrize(
    ("day", "quarters", "shown"),
    [
        ("2026-03-29", 92, ["01:45+01:00", "03:00+02:00"]),
        ("2026-10-25", 100, ["02:45+02:00", "02:00+01:00"]),
        ("2026-06-01", 96, ["01:45+02:00", "02:00+02:00"]),
    ],
)
def test_a_day_has_its_quarter_hours_once_each_and_hours_net_into_them(
    tmp_path: Path, journal_writer: Any, day: str, quarters: int, shown: list[str]
) -> None:
    contracts = day_run(tmp_path, journal_writer, dt.date.fromisoformat(day))
    with penstock.open_run(str(tmp_path)) as run:
        held = run.delivery_positions(strategy="ours")
        assert len(held) == quarters
        assert [row["net_mw"] for row in held] == pytest.approx([10 + n for n in range(1, quarters + 1)])
        starts = run.delivery_positions().arrow()["delivery_start"].cast(pa.int64()).to_pylist()
        local = [ns_to_local(at, "Europe/Berlin").isoformat() for at in starts]
        assert tuple(shown) in itertools.pairwise(f"{text[11:16]}{text[19:]}" for text in local)
        assert [stamp.isoformat() for stamp in held.pandas()["delivery_start"]] == local
        assert [stamp.isoformat() for stamp in held.polars()["delivery_start"]] == local
        names = {contract.name for contract in contracts}
        assert set(run.listings().arrow()["contract"].to_pylist()) == names and len(names) == quarters * 5 // 4
        assert run.listings().arrow()["duration_h"].to_pylist().count(1.0) == quarters // 4
        (total,) = run.pnl()
        assert (total["contract"], total["total"]) == (None, -1.5)


def test_following_gives_each_row_once_while_the_run_writes(tmp_path: Path, journal_writer: Any) -> None:
    RunInfo(id="live", status="running", pid=os.getpid()).save(tmp_path)
    journal = journal_writer(tmp_path / "journal")
    number = 0

    def write(count: int) -> None:
        nonlocal number
        for _ in range(count):
            number += 1
            journal.add(Trade(1, price_ticks=number), 0)
        journal.commit()

    def end() -> None:
        write(1)
        RunInfo(id="live", status="complete").save(tmp_path)

    steps = iter([lambda: write(2), lambda: None, lambda: write(3), end])
    write(2)
    with penstock.open_run(str(tmp_path)) as run:
        found = [[row["price_ticks"] for row in rows] for rows in run.follow("trades", wait=lambda _: next(steps)())]
        assert found == [[1, 2], [3, 4], [5, 6, 7], [8]]
        assert next(steps, None) is None
        assert [row["price_ticks"] for rows in run.follow("trades", 6) for row in rows] == [7, 8]
        assert [len(rows) for rows in run.follow("prices", 6)] == [2]


def test_answers_agree_until_the_run_is_refreshed(tmp_path: Path, journal_writer: Any) -> None:
    RunInfo(id="live", status="running", pid=os.getpid()).save(tmp_path)
    journal = journal_writer(tmp_path / "journal")
    journal.add(Trade(1), 0)
    journal.commit()
    with penstock.open_run(str(tmp_path)) as run:
        journal.add(Trade(1), 0)
        journal.commit()
        assert (len(run.table("trades")), len(run.prices()), run.last_seq) == (1, 1, 1)
        assert run.refresh()
        assert (len(run.table("trades")), len(run.prices()), run.last_seq) == (2, 2, 2)
        assert run.info.state == "running"


def test_a_contract_that_is_defined_later_has_its_local_delivery_too(tmp_path: Path, journal_writer: Any) -> None:
    RunInfo(id="live", status="running", pid=os.getpid()).save(tmp_path)
    journal = journal_writer(tmp_path / "journal")
    journal.add(ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR"), 0)
    journal.commit()
    with penstock.open_run(str(tmp_path)) as run:
        assert len(run.sql("SELECT * FROM delivery_times")) == 0
        for number, contract in enumerate(day_contracts("DE-LU", dt.date(2026, 3, 29), ["H"]), 1):
            span = contract.delivery
            journal.add(
                ContractDefinition(
                    contract_id=number, name=contract.name, zone_id=1, product="H", delivery_start_ns=span.start_ns,
                    delivery_end_ns=span.end_ns, currency_id=1,
                ), 0,
            )  # fmt: skip
        journal.commit()
        run.refresh()
        starts = run.sql("SELECT delivery_start FROM delivery_times ORDER BY contract_id").arrow()["delivery_start"]
        assert [at.hour for at in starts.to_pylist()] == [0, 1, *range(3, 24)]
