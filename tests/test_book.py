"""A book over the turn of the year: futures that cascade, deals, assets, three currencies; told the same everywhere."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from day_runs import DayRun, deployment, only_run, penstock

from penstock_kernel.lake import query

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"exchange": "orders_per_day = 4_000\nstep_s = 120.0", "mm_de": "requote_s_min = 120.0"}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    folder = tmp_path_factory.mktemp("book")
    (folder / "book").symlink_to(ROOT / "deployments/book")
    path = deployment(folder, SMALL, include=ROOT / "deployments/book.toml")
    ended = penstock("run", path, "--quiet", cwd=folder)
    assert ended.status == 0, ended.err
    return only_run(folder / "runs")


def rows(book: DayRun, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = query(book.dir, sql).to_pylist()
    return found


def told(book: DayRun, *arguments: str) -> str:
    ended = penstock(*arguments, "--runs-dir", book.dir.parent, cwd=book.dir)
    assert ended.status == 0, ended.err
    return str(ended.out)


def test_the_only_alert_is_of_the_deal_that_waits_for_a_second_pair_of_eyes(book: DayRun) -> None:
    alerts = rows(book, "SELECT DISTINCT code, subject FROM alerts")
    assert [alert["code"] for alert in alerts] == ["deal.unconfirmed"]


def test_a_year_and_a_quarter_cascade_and_deliver_the_same_hours(book: DayRun) -> None:
    assert [row["n"] for row in rows(book, "SELECT count(*) AS n FROM cascades")] == [2]
    months = json.loads(told(book, "positions", "latest", "--by", "month", "--zone", "DE-LU", "--book", "power-long",
                             "--json"))  # fmt: skip
    energy = {line["period"]: line["net_mwh"] for line in months}
    # 10 MW of base all year, less 5 MW of peak from January to March, and a deal of 5 MW of base in January.
    assert energy["M 2027-01"] == pytest.approx(744 * 10 - 5 * 252 + 5 * 744)
    assert energy["M 2027-02"] == pytest.approx(672 * 10 - 5 * 240)
    assert energy["M 2027-03"] == pytest.approx(743 * 10 - 5 * 276)
    assert energy["M 2027-10"] == pytest.approx(745 * 10)
    assert sum(mwh for name, mwh in energy.items() if "2027-1" in name) == pytest.approx(10 * (745 + 720 + 744))
    parts = rows(book, "SELECT contract, net_mw FROM positions_latest WHERE book = 'power-long' AND net_mw <> 0")
    assert not [part for part in parts if re.search(r" Y | Q 2027-Q1 PEAK", part["contract"])]


def test_gas_and_carbon_are_held_in_their_own_units(book: DayRun) -> None:
    held = {row["zone"]: row for row in json.loads(told(book, "positions", "latest", "--by", "all", "--json"))}
    assert held["TTF"]["net_mwh"] == 30 * 744
    assert (held["NBP"]["amount"], held["NBP"]["unit"]) == (-10_000 * 31, "therm/d")
    assert held["NBP"]["net_mwh"] == pytest.approx(-310_000 * 0.0293071)
    assert held["HENRY-HUB"]["amount"] == 20_000_000  # 10⁻³ MMBtu, over 28 days that it does not divide into
    assert (held["EU-ETS"]["amount"], held["EU-ETS"]["net_mwh"]) == (5_000_000, None)


@pytest.mark.parametrize("by", ["strategy,product", "book,month", "zone", "contract", "year"])
def test_profit_is_the_same_by_whatever_it_is_told(book: DayRun, by: str) -> None:
    expected = {
        row["currency"]: row["micro"]
        for row in rows(
            book,
            "SELECT currency, sum(realised_micro + unrealised_micro - fees_micro)::BIGINT AS micro FROM pnl_latest "
            "WHERE listing_id = 0 GROUP BY 1",
        )
    }
    assert set(expected) == {"EUR", "GBP", "USD"}
    found: dict[str, int] = {}
    for line in json.loads(told(book, "pnl", "latest", "--by", by, "--json")):
        found[line["currency"]] = found.get(line["currency"], 0) + line["total_micro"]
    assert found == expected


def test_where_profit_came_from_adds_up_to_it(book: DayRun) -> None:
    parts = rows(book, "SELECT strategy_id, book_id, listing_id, currency, market, delay, execution, fees, total "
                       "FROM pnl_attribution_latest")  # fmt: skip
    of = {(r["strategy_id"], r["book_id"], r["listing_id"], r["currency"]): r["total"] for r in parts}
    pnl = rows(book, "SELECT strategy_id, book_id, listing_id, currency, total FROM pnl_latest")
    assert len(pnl) > 100
    for row in pnl:
        key = (row["strategy_id"], row["book_id"], row["listing_id"], row["currency"])
        assert of[key] == pytest.approx(row["total"], abs=1e-9)


def test_invoices_have_one_currency_each_and_are_the_rounded_sums_of_the_cash_flows(book: DayRun) -> None:
    lines = list(csv.DictReader(io.StringIO(told(book, "invoices", "latest", "--csv", "-"))))
    invoices = {line["invoice"] for line in lines}
    assert {name.split()[-1] for name in invoices} == {"EUR", "GBP", "USD"}
    assert len({(line["invoice"], line["currency"]) for line in lines}) == len(invoices)
    for name in invoices:
        own = [line for line in lines if line["invoice"] == name]
        exact = sum(round(float(line["exact_amount"]) * 1e6) for line in own)
        assert abs(sum(round(float(line["amount"]) * 100) for line in own) * 10_000 - exact) <= 5_000
    assert {line["zone"] for line in lines if line["unit"] == "t"} == {"EU-ETS"}


def test_everything_in_one_currency_is_there_as_rates_were(book: DayRun) -> None:
    (whole,) = rows(book, "SELECT * FROM pnl_converted_latest")
    totals = rows(book, "SELECT currency, sum(total) AS total FROM pnl_latest WHERE listing_id = 0 GROUP BY 1")
    own = {row["currency"]: row["total"] for row in totals}
    newest = rows(
        book,
        "SELECT n.name AS code, arg_max(rate_nano, seq) / 1e9 AS rate FROM fx_rates f "
        "JOIN names n ON n.kind = 'CURRENCY' AND n.id = f.quote_id GROUP BY 1",
    )
    rates = {row["code"]: row["rate"] for row in newest}
    assert whole["currency"] == "EUR"
    assert whole["total"] == pytest.approx(own["EUR"] + own["GBP"] / rates["GBP"] + own["USD"] / rates["USD"], abs=1e-3)


def test_the_report_and_the_summary_tell_each_currency(book: DayRun) -> None:
    page = (book.dir / "report.html").read_text(encoding="utf-8")
    for text in (
        "Position by month of delivery",
        "Where the P&amp;L came from",
        "Cash due",
        "GBP",
        "USD",
        "EU-ETS EUA",
    ):
        assert text in page
    totals = {line["currency"] for line in book.summary["pnl"]}
    assert totals == {"EUR", "GBP", "USD"}


def test_a_replay_without_the_files_is_the_same(book: DayRun, tmp_path: Path) -> None:
    link = book.dir.parent.parent / "book"
    link.rename(tmp_path / "away")
    try:
        assert "no difference" in told(book, "replay", "latest")
    finally:
        (tmp_path / "away").rename(link)
