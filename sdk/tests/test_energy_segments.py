"""Proves that a lot is the same energy and money on the position grid as on paper, whole and cut into its parts."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import Contract, EnergyError, ListingTerms, listing_terms, market_zone, parse_contract
from penstock_sdk.energy.contracts import cascade
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.segments import (
    cash_micro_per_lot_tick,
    energy_wh,
    grid_span,
    order_lots,
    order_ticks,
    segments,
)
from penstock_sdk.events import IdKind
from penstock_sdk.grid_slots import GridSlots
from sdk.tests.market_calendars import reference

YEARS = st.integers(2019, 2030)
SHAPES = st.sampled_from(["", " PEAK", " OFFPEAK"])


def known(name: str) -> tuple[Contract, ListingTerms]:
    """Return a contract and its terms."""
    contract = parse_contract(name, reference())
    return contract, listing_terms(contract, None, reference())


def cells(name: str) -> Counter[int]:
    """Return what a lot of a contract is in each interval of the grid."""
    contract, terms = known(name)
    zone = zone_definition(market_zone(contract.zone, None, reference()), lambda kind, code: 1)
    slots, found = GridSlots.of(zone), Counter[int]()
    for start_ns, count, amount in segments(contract, terms, reference()):
        first = slots.slot(start_ns)
        found.update({first + at: amount for at in range(count)})
    return found


@pytest.mark.parametrize(
    ("name", "mwh", "cash_micro"),
    [
        ("TTF M 2026-03", 743, 3_715_000),  # 1 MW, 0.005 EUR
        ("TTF M 2025-10", 745, 3_725_000),
        ("TTF M 2026-01", 744, 3_720_000),
        ("TTF M 2026-04", 720, 3_600_000),
        ("TTF M 2026-02", 672, 3_360_000),
        ("TTF M 2028-02", 696, 3_480_000),
        ("DE-LU M 2026-03", 743, 7_430_000),
        ("DE-LU M 2025-10", 745, 7_450_000),
        ("DE-LU Y 2028", 8784, 87_840_000),
    ],
)
def test_a_megawatt_month_is_its_hours(name: str, mwh: int, cash_micro: int) -> None:
    contract, terms = known(name)
    assert energy_wh(contract, terms, reference()) == mwh * 1_000_000
    assert cash_micro_per_lot_tick(contract, terms, reference()) == cash_micro
    (_, count, amount), *more = segments(contract, terms, reference())
    assert (amount, more) == (1_000, [])
    assert count == mwh * (1 if contract.zone == "TTF" else 4)


def test_a_british_month_is_a_thousand_therms_a_day() -> None:
    contract, terms = known("NBP M 2026-03")
    (_, days, therms), *more = segments(contract, terms, reference())
    assert (days * therms, more) == (31_000, [])
    assert cash_micro_per_lot_tick(contract, terms, reference()) == 3_100_000  # 31,000 therms, 0.01 p: 3.10 GBP
    assert energy_wh(contract, terms, reference()) == 908_520_100  # 31,000 × 29.3071 kWh
    assert (terms.lots_min, contract.price_unit, contract.currency) == (5, "GBp/therm", "GBP")


def test_a_henry_hub_lot_spreads_ten_thousand_over_the_days_and_a_tick_is_ten_dollars() -> None:
    contract, terms = known("HENRY-HUB M 2026-05")
    assert cash_micro_per_lot_tick(contract, terms, reference()) == 10_000_000
    assert [part[1:] for part in segments(contract, terms, reference())] == [(20, 322_581), (11, 322_580)]
    assert energy_wh(contract, terms, reference()) == 2_930_710_000


def test_an_emission_lot_is_a_thousand_tonnes_on_one_day() -> None:
    contract, terms = known("EU-ETS EUA 2026-12")
    assert cash_micro_per_lot_tick(contract, terms, reference()) == 10_000_000  # 10 EUR
    assert [part[1:] for part in segments(contract, terms, reference())] == [(1, 1_000_000)]
    assert energy_wh(contract, terms, reference()) == 0


def test_a_german_peak_month_is_240_to_276_megawatt_hours() -> None:
    months = [known(f"DE-LU M {year}-{month:02} PEAK") for year in range(2019, 2031) for month in range(1, 13)]
    found = {energy_wh(contract, terms, reference()) // 1_000_000 for contract, terms in months}
    assert (min(found), max(found)) == (240, 276)


@given(st.sampled_from(["HENRY-HUB M", "TTF M", "NBP M", "DE-LU M"]), YEARS, st.integers(1, 12))
def test_segments_sum_to_the_lot(product: str, year: int, month: int) -> None:
    contract, terms = known(f"{product} {year}-{month:02}")
    total = sum(count * amount for _, count, amount in segments(contract, terms, reference()))
    whole = {
        "HENRY-HUB": terms.lot_kw,
        "NBP": terms.lot_kw // 1_000 * grid_span(contract, reference()).interval_count,
        "TTF": energy_wh(contract, terms, reference()) // 1_000,
        "DE-LU": energy_wh(contract, terms, reference()) // 250,  # kW in quarter-hours
    }
    assert total == whole[contract.zone]


@given(st.sampled_from(["DE-LU Y {}", "DE-LU Q {}-Q1", "DE-LU Q {}-Q4"]), YEARS, SHAPES)
def test_a_cascade_fills_the_same_cells(strip: str, year: int, shape: str) -> None:
    name = strip.format(year) + shape
    contract = parse_contract(name, reference())
    parts = cascade(contract, reference())
    assert len(parts) == (6 if " Y " in name else 3)
    summed = Counter[int]()
    for part in parts:
        summed.update(cells(part.name))
    assert summed == cells(name)


@given(st.sampled_from(["TTF S {}-WIN", "TTF Y {}", "TTF GY {}", "TTF Q {}-Q4", "NBP S {}-SUM", "NBP Y {}"]), YEARS)
def test_a_gas_strip_is_its_months_in_energy_and_money(strip: str, year: int) -> None:
    name = strip.format(year)
    contract, terms = known(name)
    parts = [known(part.name) for part in cascade(contract, reference())]
    assert energy_wh(contract, terms, reference()) == sum(energy_wh(*part, reference()) for part in parts)
    cash = cash_micro_per_lot_tick(contract, terms, reference())
    assert cash == sum(cash_micro_per_lot_tick(*part, reference()) for part in parts)
    summed = Counter[int]()
    for part, _ in parts:
        summed.update(cells(part.name))
    assert summed == cells(name)


@given(st.dates(date(2019, 1, 1), date(2030, 12, 31)))
def test_base_is_peak_and_off_peak_and_an_hour_its_quarters(day: date) -> None:
    month = f"DE-LU M {day:%Y-%m}"
    assert cells(month) == cells(f"{month} PEAK") + cells(f"{month} OFFPEAK")
    hour = f"{day} 12"
    quarters = Counter[int]()
    for minute in (0, 15, 30, 45):
        quarters.update(cells(f"DE-LU QH {hour}:{minute:02}"))
    assert cells(f"DE-LU H {hour}") == quarters


def test_what_does_not_fit_the_grid_is_refused() -> None:
    contract, terms = known("NSW1 5M 2026-03-10 13:15")
    assert cash_micro_per_lot_tick(contract, terms) == 100
    odd = ListingTerms(10_000, 100, -1, 1)
    with pytest.raises(EnergyError, match=r"^one tick on one lot of NSW1 5M .* is no whole number of 10⁻⁶ AUD"):
        cash_micro_per_lot_tick(contract, odd)
    early = parse_contract("NSW1 QH 2021-03-10 13:15")  # the market settled in half-hours then
    with pytest.raises(EnergyError, match="is no multiple of the 30-minute intervals of the position grid of NSW1"):
        segments(early, odd)
    therms, _ = known("NBP M 2026-03")
    with pytest.raises(EnergyError, match="wanted a multiple of 1,000$"):
        segments(therms, ListingTerms(100, 1_500, -1, 1), reference())


def test_prices_and_quantities_off_the_grid_name_what_would_be_taken() -> None:
    contract, terms = known("TTF M 2026-04")
    assert order_ticks(contract, terms, "-0.005") == -1
    assert order_lots(contract, terms, 5) == 5
    british, pence = known("NBP M 2026-03")
    assert order_ticks(british, pence, "85.12") == 8_512
    with pytest.raises(EnergyError, match="is off the tick of 0.01 GBp/therm; nearest are 85.12 and 85.13$"):
        order_ticks(british, pence, "85.125")
    with pytest.raises(
        EnergyError, match=r"^price 30.002 of TTF M 2026-04 is off the tick of 0.005 EUR/MWh; nearest are 30.0"
    ):
        order_ticks(contract, terms, "30.002")
    with pytest.raises(EnergyError, match=r"^quantity 4 MW of TTF M 2026-04 is below the smallest order; wanted at "):
        order_lots(contract, terms, 4)
    with pytest.raises(EnergyError, match="is off the lot of 1 MW; nearest are 5 or 6$"):
        order_lots(contract, terms, "5.5")
    spot, grid = known("DE-LU QH 2026-03-10 13:15")
    with pytest.raises(EnergyError, match="is outside the market's limits; wanted -9999 to 9999 EUR/MWh$"):
        order_ticks(spot, grid, 10_000)
    with pytest.raises(EnergyError, match="is above the largest order; wanted at most 999 MW$"):
        order_lots(spot, grid, 1_000)


def test_definitions_say_what_the_contract_is() -> None:
    ids: dict[tuple[IdKind, str], int] = {}

    def intern(kind: IdKind, name: str) -> int:
        return ids.setdefault((kind, name), len(ids) + 1)

    contract, terms = known("DE-LU Q 2026-Q2 PEAK")
    told, listing = definitions(contract, terms, intern, "sim", 7, reference())
    assert (told.settlement, told.payment, told.last_trading_ns) == ("cash", "variation", contract.gate_closure_ns)
    assert told.cascades_into == [f"DE-LU M 2026-{month:02} PEAK" for month in (4, 5, 6)]
    assert told.spans == list(contract.delivery.parts)
    assert (listing.name, listing.venue_id, listing.reference_only) == ("sim DE-LU Q 2026-Q2 PEAK", 7, False)
    assert listing.segments == segments(contract, terms, reference())
    assert sum(count for _, count, _ in listing.segments) == listing.interval_count
    plain = definitions(*known("DE-LU QH 2026-03-10 13:15"), intern).listing
    assert (plain.segments, plain.reference_only, plain.interval_count) == ([], True, 1)
    with pytest.raises(EnergyError, match="calendar 'EEX' is not loaded"):
        definitions(parse_contract("DE-LU Q 2026-Q2"), terms, intern)
