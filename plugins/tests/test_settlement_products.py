"""Listings as the generators make them settle on their own grids: therms, MMBtu, months of 743 hours, peaks."""

from __future__ import annotations

from datetime import date

import pytest

from penstock_plugins.settlement.terms import Terms, month_parts, terms_of
from penstock_sdk.energy import listing_terms, market_zone, parse_contract
from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.events import CashKind, IdKind, PluginFault
from plugins.tests.settlement_market import Paper

NO_HOLIDAYS = [Calendar(name, date(2015, 1, 1), date(2040, 12, 31)) for name in ("EEX", "TARGET", "UK", "US")]
REFERENCE = Reference(builtin_reference().rules, Calendars(NO_HOLIDAYS))
LISTED = date(2026, 2, 10)


def lists(paper: Paper, name: str) -> Terms:
    """Announce a contract with its listing, and return the terms that settlement makes of it."""
    contract = parse_contract(name, REFERENCE)
    paper.kernel.feed(zone_definition(market_zone(contract.zone), paper.id))
    defined = definitions(contract, listing_terms(contract, LISTED, REFERENCE), paper.id, reference=REFERENCE)
    for event in defined:
        paper.kernel.feed(event)
    terms = terms_of(paper.plugin.ctx, defined[1].listing_id)
    assert terms is not None
    return terms


@pytest.mark.parametrize(
    ("name", "mwh", "units", "months"),
    [
        ("TTF M 2026-03", 743.0, 743, {"2026-03": 743}),
        ("TTF Q 2026-Q2", 2_184.0, 2_184, {"2026-04": 720, "2026-05": 744, "2026-06": 720}),
        ("TTF D 2026-03-28", 23.0, 23, {"2026-03": 23}),
        ("NBP M 2026-03", 908.5201, 31_000, {"2026-03": 31_000}),
        ("HENRY-HUB M 2026-04", 2_930.71, 10_000, {"2026-04": 10_000}),
        ("DE-LU M 2026-03 PEAK", 264.0, 264, {"2026-03": 264}),
        ("DE-LU Y 2028", 8_784.0, 8_784, {"2028-02": 696, "2028-03": 743, "2028-10": 745}),
    ],
)
def test_a_lot_is_the_energy_of_its_contract_month_by_month(
    name: str, mwh: float, units: int, months: dict[str, int]
) -> None:
    terms = lists(Paper(LISTED.isoformat()).open(), name)
    assert terms.wh(1) == round(mwh * 1_000_000)
    assert terms.micro_per_lot_tick == units * terms.tick_micro
    parts = {part.month: part.weight for part in month_parts(terms)}
    whole = sum(parts.values())
    assert {month: parts[month] * units for month in months} == {month: of * whole for month, of in months.items()}
    assert sum(part.end_slot - part.first_slot for part in month_parts(terms)) == terms.end_slot - terms.first_slot


@pytest.mark.parametrize(
    ("name", "currency", "tick"), [("TTF M 2026-03", "EUR", 5_000), ("NBP M 2026-03", "GBP", 100),
                                   ("HENRY-HUB M 2026-03", "USD", 1_000)],
)  # fmt: skip
def test_a_gas_future_is_delivered_for_what_it_was_bought_for(name: str, currency: str, tick: int) -> None:
    paper = Paper(LISTED.isoformat(), fee_micro_per_mwh=0).open()
    terms = lists(paper, name)
    assert terms.tick_micro == tick
    paper.trade(terms.listing_id, 3, 900)
    for mark in (1_000, 800, 1_100):
        paper.mark(terms.listing_id, mark)
    paper.until("2026-03-02 00:00")
    worth = terms.micro_per_lot_tick
    assert paper.sums() == {(CashKind.VARIATION, currency): 600 * worth, (CashKind.TRADE, currency): -3_300 * worth}
    (paid,) = paper.flows(CashKind.TRADE)
    assert date.fromordinal(paid.value_day) == date(2026, 4, 20)
    assert paid.energy_wh == terms.wh(3)
    assert paper.kernel.name_of(IdKind.CURRENCY, paid.currency_id) == currency
    assert paper.kernel.of(PluginFault) == []
