"""Listings as the generators make them settle on their own grids: therms, MMBtu, months of 743 hours, peaks."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from penstock_plugins.settlement.terms import Terms, month_parts, terms_of
from penstock_sdk.energy import listing_terms, market_zone, parse_contract
from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.events import Alert, CashFlow, CashKind, IdKind, PluginFault, TradeSource
from plugins.tests.settlement_market import HOUR_NS, Paper, berlin

NO_HOLIDAYS = [Calendar(name, date(2015, 1, 1), date(2040, 12, 31)) for name in ("EEX", "TARGET", "UK", "US")]
REFERENCE = Reference(builtin_reference().rules, Calendars(NO_HOLIDAYS))
LISTED = date(2026, 2, 10)


def lists(paper: Paper, name: str, **changed: str) -> Terms:
    """Announce a contract with its listing, and return the terms that settlement makes of it."""
    contract = parse_contract(name, REFERENCE)
    paper.kernel.feed(zone_definition(market_zone(contract.zone), paper.id))
    defined = definitions(contract, listing_terms(contract, LISTED, REFERENCE), paper.id, reference=REFERENCE)
    for event in (msgspec.structs.replace(defined[0], **changed), *defined[1:]):
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


# Gas days.


def hour(paper: Paper, zone: str, start: str) -> Terms:
    """Announce an hour of a bilateral deal with its listing; no market lists hours of gas."""
    terms, start_ns = lists(paper, f"{zone} D {start[:10]}", payment="monthly"), berlin(start)
    contract = paper.kernel.definitions(IdKind.CONTRACT)[-1]
    listing = paper.kernel.definitions(IdKind.LISTING)[-1]
    paper.kernel.feed(
        msgspec.structs.replace(
            contract, contract_id=paper.id(IdKind.CONTRACT, start), name=start, delivery_start_ns=start_ns,
            delivery_end_ns=start_ns + HOUR_NS, settlement="physical",
        )
    )  # fmt: skip
    listing_id = paper.id(IdKind.LISTING, start)
    paper.kernel.feed(
        msgspec.structs.replace(
            listing, listing_id=listing_id, contract_id=paper.id(IdKind.CONTRACT, start), name=start,
            cash_micro_per_lot_tick=listing.tick_micro, interval_start_ns=start_ns, interval_count=1,
            interval_ns=HOUR_NS, segments=[],
        )
    )  # fmt: skip
    made = terms_of(paper.plugin.ctx, listing_id)
    assert made is not None and made.zone_id == terms.zone_id
    return made


@pytest.mark.parametrize(
    ("zone", "start", "month", "paid"),
    [
        ("TTF", "2026-05-01 00:00", "2026-04", date(2026, 5, 20)),  # of gas day 30 April
        ("TTF", "2026-05-01 05:00", "2026-04", date(2026, 5, 20)),
        ("TTF", "2026-05-01 06:00", "2026-05", date(2026, 6, 22)),
        ("TTF", "2026-11-01 05:00", "2026-10", date(2026, 11, 20)),
        ("DE-LU", "2026-05-01 02:00", "2026-05", date(2026, 6, 22)),
    ],
)
def test_what_is_delivered_before_six_on_the_first_is_of_the_month_before(
    zone: str, start: str, month: str, paid: date
) -> None:
    paper = Paper("2026-04-29 12:00", fee_micro_per_mwh=0).open()
    terms = hour(paper, zone, start)
    assert [part.month for part in month_parts(terms)] == [month]
    paper.trade(terms.listing_id, 3, 900, party="Acme", source=TradeSource.OTC)
    (flow,) = paper.flows(CashKind.TRADE)
    assert date.fromordinal(flow.value_day) == paid
    paper.kernel.stop()
    assert [bill[0] for bill in paper.invoices()] == [f"Acme {month} EUR"]


def test_a_gas_months_invoice_waits_for_its_last_gas_day() -> None:
    paper = Paper("2026-04-30 12:00", fee_micro_per_mwh=0).open()
    terms = lists(paper, "TTF D 2026-04-30", payment="monthly")
    paper.trade(terms.listing_id, 3, 900, party="Acme", source=TradeSource.OTC)
    paper.until("2026-05-01 05:59")
    assert paper.invoices() == []
    paper.until("2026-05-01 06:00")
    ((name, version, final, _),) = paper.invoices()
    assert (name, version, final) == ("Acme 2026-04 EUR", 1, True)


# Invoices wait for their own prices alone.


def test_gas_without_imbalance_prices_leaves_powers_invoices_alone() -> None:
    paper = Paper("2026-05-28 12:00", fee_micro_per_mwh=0).open()
    power, gas = lists(paper, "DE-LU H 2026-05-29 12"), lists(paper, "TTF D 2026-05-30", payment="monthly")
    paper.trade(power.listing_id, 10, 5_000)
    paper.trade(gas.listing_id, 3, 900, party="Acme", source=TradeSource.OTC)
    paper.imbalance(40.0, "2026-05-29 12:00", 4)
    paper.until("2026-07-05 00:00")
    last = {name: final for name, _, final, _ in paper.invoices()}
    assert last == {"ECC 2026-05 EUR": True, "Acme 2026-05 EUR": True, "TSO DE-LU 2026-05 EUR": True}
    assert paper.kernel.of(Alert) == []


def test_a_swap_without_its_index_keeps_its_partys_invoice_open_and_no_other() -> None:
    paper = Paper("2026-05-28 12:00", fee_micro_per_mwh=0).open()
    spot, power = lists(paper, "DE-LU H 2026-05-29 12"), lists(paper, "FR H 2026-05-29 12")
    swap = lists(paper, "FR H 2026-05-29 13", payment="monthly", settlement="cash")
    paper.trade(spot.listing_id, 10, 5_000)
    paper.trade(swap.listing_id, 3, 900, party="Acme", source=TradeSource.OTC)
    paper.trade(power.listing_id, 3, 900, party="Acme", source=TradeSource.OTC)
    paper.imbalance(40.0, "2026-05-29 12:00", 4)
    paper.until("2026-07-03 00:00")
    last = {name: final for name, _, final, _ in paper.invoices()}
    assert last == {"ECC 2026-05 EUR": True, "Acme 2026-05 EUR": False, "TSO DE-LU 2026-05 EUR": True}
    alerts = {(alert.code, alert.subject, alert.met) for alert in paper.kernel.of(Alert)}
    assert alerts == {
        (
            "settlement.price_missing", "2026-05 price.FR.da",
            "4 prices are missing in FR for 2026-05, the first of the interval from 2026-05-29 11:00 UTC",
        )
    }  # fmt: skip
    paper.observe("price.FR.da", 10.0, swap.start_ns, swap.end_ns)
    paper.until("2026-07-05 00:00")
    assert paper.invoices()[-1] == ("Acme 2026-05 EUR", 2, True, [("trade", -270), ("swap", 30)])


# The end of cash futures.

ENDED = "DE-LU D 2026-05-05"


def ended(lots: int = 10, marks: tuple[int, ...] = (), **config: object) -> tuple[Paper, Terms]:
    """Return a market in which a cash future bought at -12.34 has been delivered."""
    paper = Paper("2026-05-04 12:00", fee_micro_per_mwh=0, **config).open()
    terms = lists(paper, ENDED)
    assert (terms.payment, terms.physical) == ("variation", False)
    paper.trade(terms.listing_id, lots, -1_234)
    for mark in marks:
        paper.mark(terms.listing_id, mark)
    paper.until("2026-05-05 23:59")
    return paper, terms


def day_ahead(paper: Paper, terms: Terms, prices: list[float], first: int = 0, version: int = 0) -> None:
    for at, price in enumerate(prices, first):
        start_ns = terms.start_ns + at * HOUR_NS
        paper.observe("price.DE-LU.da", price, start_ns, start_ns + HOUR_NS, version=version)


def test_a_cash_future_without_a_mark_is_paid_at_its_index_once_that_is_whole() -> None:
    paper, terms = ended()
    prices = [float(hour) - 20.5 for hour in range(24)]
    day_ahead(paper, terms, prices[:23])
    paper.until("2026-05-06 12:00")
    (alert,) = paper.kernel.of(Alert)
    assert (alert.code, alert.subject, alert.cleared) == ("settlement.mark_missing", terms.name, False)
    assert "price.DE-LU.da" in alert.met and paper.flows() == []
    day_ahead(paper, terms, prices[23:], 23)
    (flow,) = paper.flows()
    assert (flow.kind, flow.amount_micro) == (CashKind.VARIATION, round((sum(prices) + 24 * 12.34) * 10 * 10**6))
    assert date.fromordinal(flow.value_day) == date(2026, 5, 7)
    assert [alert.cleared for alert in paper.kernel.of(Alert)] == [False, True]
    day_ahead(paper, terms, [prices[0] + 1], version=1)  # a later version pays the difference
    assert [flow.amount_micro for flow in paper.flows()[1:]] == [10 * 10**6]
    paper.mark(terms.listing_id, -1_234)  # and a settlement price goes before any index
    assert sum(flow.amount_micro for flow in paper.flows()) == 0
    day_ahead(paper, terms, [900.0], version=2)
    assert sum(flow.amount_micro for flow in paper.flows()) == 0
    assert len(paper.kernel.of(Alert)) == 2


def test_a_cash_future_whose_index_is_known_is_paid_when_it_ends() -> None:
    paper, terms = ended()
    day_ahead(paper, terms, [10.0] * 24)
    assert paper.kernel.of(CashFlow) == []
    paper.until("2026-05-06 00:30")
    assert paper.sums() == {(CashKind.VARIATION, "EUR"): 2_234 * 240 * 10_000}
    assert paper.kernel.of(Alert) == []


def test_a_cash_future_ends_at_its_last_mark_with_what_was_traded_since() -> None:
    paper, terms = ended(marks=(-1_000, -2_000))
    paper.trade(terms.listing_id, -4, -1_500)
    paper.until("2026-05-06 00:30")
    worth = terms.micro_per_lot_tick
    assert sum(flow.amount_micro for flow in paper.flows()) == (10 * -766 + 4 * 500) * worth
    paper.trade(terms.listing_id, -6, -1_900)  # told late
    assert sum(flow.amount_micro for flow in paper.flows()) == (10 * -766 + 4 * 500 + 6 * 100) * worth
    assert paper.kernel.of(Alert) == []


def test_a_cash_future_that_was_sold_again_needs_no_price() -> None:
    paper, terms = ended()
    paper.trade(terms.listing_id, -10, -1_000)
    paper.until("2026-05-06 00:30")
    assert paper.sums() == {(CashKind.VARIATION, "EUR"): 2_340 * terms.micro_per_lot_tick}
    assert paper.kernel.of(Alert) == []


def test_what_waits_for_its_end_is_an_open_value_over_a_restart() -> None:
    paper, terms = ended()
    paper.until("2026-05-06 12:00")
    resumed = Paper("2026-05-04 12:00", fee_micro_per_mwh=0)
    resumed.kernel.restore(paper.kernel.snapshot())
    for each in (paper, resumed):
        assert [value.listing_id for value in each.plugin._open_values("2026-05")] == [terms.listing_id]
        assert each.plugin._open_values("2026-06") == []
        day_ahead(each, terms, [10.0] * 24)
        assert each.plugin._open_values("2026-05") == []
    assert resumed.sums() == paper.sums() == {(CashKind.VARIATION, "EUR"): 2_234 * 240 * 10_000}
    assert resumed.kernel.of(PluginFault) == []


# Clearing houses.


def test_each_market_has_its_clearing_house_and_each_house_its_invoice() -> None:
    paper = Paper(LISTED.isoformat(), clearing_house="House").open()
    for name in ("DE-LU M 2026-03", "TTF M 2026-03", "NBP M 2026-03", "HENRY-HUB M 2026-04", "EU-ETS EUA 2026-12"):
        terms = lists(paper, name)
        paper.trade(terms.listing_id, 5, 1_000)
        paper.mark(terms.listing_id, 1_100)
    spot = lists(paper, "DE-LU H 2026-02-12 02")
    paper.trade(spot.listing_id, 5, 1_000)
    paper.kernel.stop()
    assert {bill[0] for bill in paper.invoices()} == {
        "House 2026-02 EUR", "ECC 2026-02 EUR", "ICE Clear Europe 2026-02 EUR", "ICE Clear Europe 2026-02 GBP",
        "CME Clearing 2026-02 USD",
    }  # fmt: skip
