"""Imbalance pays what a book held and nobody took, at prices of any sign; later versions pay the difference alone."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.events import Alert, CashFlow, CashKind, DeliverySchedule, IdKind, InvoiceLine, TradeSource
from plugins.tests.settlement_market import QUARTER_NS, Paper, berlin

EUR = 1_000_000
NOON = "2026-03-11 12:00"


def held(lots: int = 1, **config: object) -> tuple[Paper, int]:
    """Return a market in which a book holds some MW over an hour that is being delivered."""
    paper = Paper(fee_micro_per_mwh=0, **config).open()
    hour = paper.lists("H", NOON, "2026-03-11 13:00")
    paper.trade(hour, lots, 5_000)
    paper.until("2026-03-11 13:00")
    return paper, hour


def paid(paper: Paper) -> list[int]:
    return [flow.amount_micro for flow in paper.flows(CashKind.IMBALANCE)]


def test_what_is_bought_and_not_taken_is_sold_at_the_imbalance_price() -> None:
    paper, _ = held(4)
    for at, price in enumerate((100.0, -20.0, 0.0)):
        paper.imbalance(price, f"2026-03-11 12:{15 * at:02}", version=at)
    first, second, third = paper.flows(CashKind.IMBALANCE)
    assert [flow.amount_micro for flow in (first, second, third)] == [100 * EUR, -20 * EUR, 0]
    assert {flow.energy_wh for flow in (first, second, third)} == {-1_000_000}  # sold to the balancing market
    assert [flow.version for flow in (first, second, third)] == [0, 1, 2]
    assert (first.delivery_start_ns, first.delivery_end_ns) == (berlin(NOON), berlin(NOON) + QUARTER_NS)
    assert first.value_day == date(2026, 4, 20).toordinal()
    name_of = paper.kernel.name_of
    assert name_of(IdKind.COUNTERPARTY, first.counterparty_id) == "TSO DE-LU"
    assert (name_of(IdKind.CURRENCY, first.currency_id), first.listing_id, first.strategy_id) == ("EUR", 0, 0)


def test_what_is_sold_and_not_delivered_is_bought() -> None:
    paper, _ = held(-4)
    paper.imbalance(100.0, NOON)
    assert paid(paper) == [-100 * EUR]


def test_a_book_that_is_flat_pays_nothing() -> None:
    paper, hour = held(4)
    paper.trade(hour, -4, 9_000)
    paper.imbalance(100.0, NOON, 4)
    assert paid(paper) == [0] * 4  # told once for each interval: it is settled
    paper.imbalance(50.0, NOON, 4, version=1)
    assert paid(paper) == [0] * 4
    paper.kernel.stop()
    assert {line.kind for line in paper.kernel.of(InvoiceLine)} == {"trade"}


def test_a_later_version_pays_the_difference_and_comes_in_any_order() -> None:
    paper, _ = held(4)
    for version, price in ((1, 100.0), (3, 130.0), (2, -500.0), (3, 130.0), (1, 100.0), (4, 130.0), (5, -10.0)):
        paper.imbalance(price, NOON, version=version)
    assert paid(paper) == [100 * EUR, 30 * EUR, -140 * EUR]
    assert paper.kernel.of(Alert) == []


def test_a_version_that_says_something_else_the_second_time_does_not_count() -> None:
    paper, _ = held(4)
    for price in (100.0, 101.0):
        paper.imbalance(price, NOON, version=1)
    (alert,) = paper.kernel.of(Alert)
    assert alert.code == "settlement.bad_value" and alert.subject == "imbalance.price.DE-LU"
    assert "version 1 again, with 101.0" in alert.met
    assert paid(paper) == [100 * EUR]


def test_a_late_trade_changes_what_was_settled() -> None:
    paper, hour = held(4)
    paper.imbalance(100.0, NOON, 4)
    paper.trade(hour, -3, 5_000, source=TradeSource.CORRECTION)
    assert paid(paper) == [100 * EUR] * 4 + [-75 * EUR] * 4


@pytest.mark.parametrize(("unit", "value"), [("MW", 3.0), ("kW", 3_000.0), ("MWh", 0.75), ("kWh", 750.0)])
def test_a_meter_value_counts_in_any_of_its_units(unit: str, value: float) -> None:
    paper, _ = held(4)
    paper.imbalance(100.0, NOON)
    paper.observe("meter.power", value, berlin(NOON), berlin(NOON) + QUARTER_NS, unit=unit)
    assert paid(paper) == [100 * EUR, -75 * EUR]  # of 1 MWh bought 0.75 were taken
    paper.observe("meter.power.DE-LU", -1.0, berlin(NOON), berlin(NOON) + QUARTER_NS, version=1, unit="MWh")
    assert sum(paid(paper)) == 200 * EUR  # fed in 1 MWh beside what was bought


def test_a_meter_value_over_two_intervals_is_shared_by_them() -> None:
    paper, _ = held(4)
    paper.imbalance(100.0, NOON, 2)
    paper.observe("meter.power", 1.0, berlin(NOON), berlin(NOON) + 2 * QUARTER_NS, unit="MWh")
    assert paid(paper) == [100 * EUR, 100 * EUR, -50 * EUR, -50 * EUR]
    paper.observe("meter.power", 4.0, berlin(NOON), berlin(NOON) + 2 * QUARTER_NS, unit="MW", version=1)
    assert sum(paid(paper)) == 0


def test_a_price_in_pence_is_paid_in_pounds() -> None:
    paper = Paper(fee_micro_per_mwh=0).open()
    paper.trade(paper.lists("GB", NOON, "2026-03-11 13:00", zone="GB"), 4, 5_000)
    paper.observe("imbalance.price.GB", 8_050.0, berlin(NOON), berlin(NOON) + QUARTER_NS, unit="GBX/MWh")
    assert paid(paper) == [80_500_000]


def test_an_asset_that_delivers_as_planned_leaves_no_imbalance() -> None:
    paper, _ = held(-4)
    zone_id, book_id = paper.id(IdKind.ZONE, "DE-LU"), paper.id(IdKind.BOOK, "power")
    wind = paper.id(IdKind.SOURCE, "asset.wind")
    paper.imbalance(100.0, NOON)
    for amount in (3_000, 4_000):
        paper.kernel.feed(
            DeliverySchedule(zone_id, book_id, wind, start_ns=berlin(NOON), end_ns=berlin(NOON) + QUARTER_NS * 4,
                             amount=amount)
        )  # fmt: skip
    assert paid(paper) == [-100 * EUR, 75 * EUR, 25 * EUR]
    paper.imbalance(7.0, "2026-03-11 12:15", 3)
    assert sum(paid(paper)) == 0


def test_each_book_and_each_zone_has_its_own() -> None:
    paper, hour = held(4)
    paper.trade(hour, -4, 5_000, book="other")
    british = paper.lists("GB", NOON, "2026-03-11 13:00", zone="GB")
    paper.trade(british, 4, 5_000)
    paper.imbalance(100.0, NOON)
    paper.imbalance(80.0, NOON, zone="GB")
    assert sorted(paid(paper)) == [-100 * EUR, 80 * EUR, 100 * EUR]
    assert paper.sums()[CashKind.IMBALANCE, "EUR"] == 0
    assert paper.sums()[CashKind.IMBALANCE, "GBP"] == 80 * EUR


@pytest.mark.parametrize(
    ("value", "quarters", "unit", "says"),
    [
        (float("nan"), 1, "EUR/MWh", "price met nan"),
        (1.0, 0.5, "EUR/MWh", "is not on the grid of zone DE-LU"),
        (1.0, 1, "GBP/MWh", "a price in GBP/MWh; wanted the zone's currency, EUR"),
        (1.0, 1, "EUR/t", "an imbalance price in EUR/t; wanted EUR/MWh"),
        (1.0, 1, "XXX/MWh", "currency 'XXX' is not known"),
    ],
)
def test_a_price_that_cannot_be_one_is_refused(value: float, quarters: float, unit: str, says: str) -> None:
    paper, _ = held()
    start_ns = berlin(NOON)
    paper.observe("imbalance.price.DE-LU", value, start_ns, start_ns + int(quarters * QUARTER_NS), unit=unit)
    (alert,) = paper.kernel.of(Alert)
    assert alert.code == "settlement.bad_value" and says in alert.met
    assert paid(paper) == []


def test_a_series_that_errs_is_told_of_once() -> None:
    paper, _ = held()
    for at in range(5):
        paper.imbalance(float("nan"), NOON, version=at)
        paper.observe("meter.power", 1.0, berlin(NOON), berlin(NOON) + QUARTER_NS, unit="GWh", version=at)
    told = [(alert.code, alert.subject) for alert in paper.kernel.of(Alert)]
    assert told == [("settlement.bad_value", "imbalance.price.DE-LU"), ("settlement.bad_value", "meter.power")]
    paper.imbalance(100.0, NOON)  # what comes right counts
    assert paid(paper) == [25 * EUR]


@pytest.mark.parametrize(("unit", "value"), [("GWh", 1.0), ("MWh", float("inf"))])
def test_a_meter_value_that_cannot_be_one_is_refused(unit: str, value: float) -> None:
    paper, _ = held()
    paper.observe("meter.power", value, berlin(NOON), berlin(NOON) + QUARTER_NS, unit=unit)
    assert [alert.code for alert in paper.kernel.of(Alert)] == ["settlement.bad_value"]


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-11", 96), ("2026-10-25", 100)])
def test_every_quarter_hour_of_a_day_is_settled_once(day: str, quarters: int) -> None:
    paper = Paper(f"{day} 00:00", fee_micro_per_mwh=0).open()
    after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    paper.trade(paper.lists("D", f"{day} 00:00", f"{after} 00:00"), 4, 0)
    start_ns = berlin(f"{day} 00:00")
    for at in range(quarters):
        paper.observe(
            "imbalance.price.DE-LU", float(at - 40), start_ns + at * QUARTER_NS, start_ns + (at + 1) * QUARTER_NS
        )
    flows = paper.flows(CashKind.IMBALANCE)
    assert [flow.amount_micro for flow in flows] == [(at - 40) * EUR for at in range(quarters)]
    assert sum(flow.energy_wh for flow in flows) == -quarters * 1_000_000
    assert flows[-1].delivery_end_ns == berlin(f"{after} 00:00")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(-900, 900), st.booleans()), min_size=1, max_size=5),
    st.permutations([(at, version) for at in range(4) for version in range(3)]),
    st.lists(st.integers(-50_000, 50_000), min_size=12, max_size=12),
)
def test_cash_in_all_is_what_was_traded_and_the_imbalance_price_as_the_last_mark(
    trades: list[tuple[int, int, bool]], sent: list[tuple[int, int]], cents: list[int]
) -> None:
    paper = Paper().open()
    listings = [paper.lists("H", NOON, "2026-03-11 13:00"), paper.lists("Q", NOON, "2026-03-11 12:15")]
    prices = {(at, version): cents[3 * at + version] for at in range(4) for version in range(3)}
    for lots, ticks, short in trades:
        paper.trade(listings[short], lots, ticks)
    for at, version in sent:
        paper.imbalance(prices[at, version] / 100, f"2026-03-11 12:{15 * at:02}", version=version)
    # A lot is 1 MW: 0.25 MWh a quarter-hour, 2,500 millionths a tick.
    cash = sum(-lots * ticks * (1 if short else 4) * 2_500 for lots, ticks, short in trades)
    net = [sum(lots for lots, _, short in trades if at == 0 or not short) for at in range(4)]
    value = sum(net[at] * prices[at, 2] * 2_500 for at in range(4))
    fees = sum(abs(lots) * (1 if short else 4) * 25_000 for lots, _, short in trades)
    assert sum(flow.amount_micro for flow in paper.flows()) == cash - fees + value
    assert sum(flow.energy_wh for flow in _energy(paper.flows())) == 0


def _energy(flows: list[CashFlow]) -> list[CashFlow]:
    return [flow for flow in flows if flow.kind != CashKind.FEE]
