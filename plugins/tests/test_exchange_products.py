"""What the exchange lists follows from dated rules: products, grids, gates, limits; two zones never meet in a limit."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest

from penstock_plugins.risk.limits import RiskLimits, RiskLimitsConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_plugins.venues.exchange_layout import TERM_PRICE_MAX
from penstock_sdk.core.reference_book import table_event
from penstock_sdk.energy.delivery import delivery_day
from penstock_sdk.energy.rules import Table
from penstock_sdk.events import (
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    Reason,
    ReportKind,
    Side,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.plugin import Strategy
from penstock_sdk.testing import SimKernel

MINUTE_NS = 60_000_000_000


def announced(**config: Any) -> SimKernel:
    """Return a kernel in which an exchange without background traders has announced its day."""
    kernel = SimKernel()
    kernel.add(Exchange, "exchange", ExchangeConfig(background=False, **config))
    kernel.start()
    return kernel


def listings(kernel: SimKernel) -> list[ListingDefinition]:
    return list(kernel.definitions(IdKind.LISTING))


@pytest.mark.parametrize(
    ("zone", "day", "product", "count", "step_minutes", "intervals"),
    [
        ("GB", "2026-03-10", "HH", 48, 15, 2),
        ("GB", "2026-03-29", "HH", 46, 15, 2),
        ("GB", "2026-10-25", "HH", 50, 15, 2),
        ("NSW1", "2026-03-10", "5M", 288, 5, 1),
        ("NSW1", "2026-03-10", "H", 24, 5, 12),
        ("NSW1", "2020-03-10", "HH", 48, 30, 1),
        ("DE-LU", "2026-03-29", "QH", 92, 15, 1),
        ("PL", "2026-10-25", "H", 25, 15, 4),
    ],
)
def test_each_product_is_listed_on_the_grid_of_its_zone(
    zone: str, day: str, product: str, count: int, step_minutes: int, intervals: int
) -> None:
    kernel = announced(zone=zone, delivery_day=day, products=(product,))
    listed = listings(kernel)
    assert Counter((one.interval_ns, one.interval_count) for one in listed) == {
        (step_minutes * MINUTE_NS, intervals): count
    }
    (place,) = kernel.of(ZoneDefinition)
    assert (place.code, place.interval_minutes, place.grid_unit) == (zone, step_minutes, "kW")
    whole = delivery_day(zone, date.fromisoformat(day))
    assert listed[0].interval_start_ns == whole.start_ns
    assert sum(one.interval_ns * one.interval_count for one in listed) == whole.end_ns - whole.start_ns


def test_contracts_say_what_they_are_in() -> None:
    told = announced(zone="GB", products=("HH",)).of(ContractDefinition)[0]
    assert (told.commodity, told.settlement, told.price_unit, told.qty_unit, told.payment, told.product) == (
        "power", "physical", "GBP/MWh", "MW", "spot", "HH",
    )  # fmt: skip


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-10", 96), ("2026-03-27", 96), ("2026-10-26", 96)])
def test_blocks_of_the_day_close_with_their_first_delivery(day: str, quarters: int) -> None:
    base, peak = listings(announced(delivery_day=day, products=("BASE", "PEAK")))
    whole = delivery_day("DE-LU", date.fromisoformat(day))
    assert [one.name for one in (base, peak)] == [
        f"exchange DE-LU B {day} 00:00-24:00", f"exchange DE-LU B {day} 08:00-20:00",
    ]  # fmt: skip
    assert (base.interval_start_ns, base.interval_count) == (whole.start_ns, quarters)
    assert (peak.interval_start_ns, peak.interval_count) == (whole.start_ns + 8 * 60 * MINUTE_NS, 48)
    assert base.gate_closure_ns == whole.start_ns - 5 * MINUTE_NS
    assert peak.gate_closure_ns == peak.interval_start_ns - 5 * MINUTE_NS
    assert base.cash_micro_per_lot_tick == 250 * quarters


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100)])
def test_base_has_the_hours_of_its_day_and_weekends_have_no_peak(day: str, quarters: int) -> None:
    (base,) = listings(announced(delivery_day=day, products=("PEAK", "BASE")))
    assert (base.interval_count, base.cash_micro_per_lot_tick) == (quarters, 250 * quarters)


def test_background_traders_trade_blocks_and_half_hours_too() -> None:
    kernel = SimKernel(seed=2)
    config = ExchangeConfig(zone="GB", products=("HH",), orders_per_day=20_000, step_s=60.0)
    kernel.add(Exchange, "halves", config)
    kernel.add(Exchange, "blocks", ExchangeConfig(products=("BASE", "PEAK"), orders_per_day=2_000, step_s=60.0))
    kernel.start()
    listed = {one.listing_id: one for one in listings(kernel)}
    kernel.run_until(min(one.gate_closure_ns for one in listed.values()))
    traded = {listed[trade.listing_id].name.split()[0] for trade in kernel.of(Trade)}
    assert traded == {"halves", "blocks"}


LIMITS = {"market": "SIDC", "price_min": "-100", "price_max": "200.005", "valid_from": "2026-03-11"}


def test_limits_are_those_that_hold_on_the_delivery_day() -> None:
    kernel = SimKernel()
    kernel.feed(table_event(Table("limits", "rules/limits.toml", [LIMITS])))
    kernel.add(Exchange, "exchange", ExchangeConfig(background=False, days=2, products=("H",)))
    kernel.start()
    first = {(one.price_min_ticks, one.price_max_ticks) for one in listings(kernel)}
    kernel.run_until(max(one.opens_ns for one in listings(kernel)) + 24 * 60 * MINUTE_NS)
    later = {(one.price_min_ticks, one.price_max_ticks) for one in listings(kernel)} - first
    assert (first, later) == ({(-999_900, 999_900)}, {(-10_000, 20_000)})


def test_a_zone_of_one_s_own_is_traded_by_its_rules() -> None:
    zone = {
        "code": "ISLE", "eic": "", "timezone": "Atlantic/Reykjavik", "currency": "ISK", "gate_lead_minutes": 45,
        "interval_minutes": 30,
    }  # fmt: skip
    product = {
        "market": "ISLE", "product": "H", "zones": ["ISLE"], "opens": "D-1 09:00", "tick_micro": 1_000_000,
        "lot_kw": 500, "lots_min": 2, "lots_max": 40,
    }  # fmt: skip
    kernel = SimKernel()
    for name, row in (("zones", zone), ("products", product)):
        kernel.feed(table_event(Table(name, f"rules/{name}.toml", [row])))
    exchange = kernel.add(
        Exchange, "exchange", ExchangeConfig(zone="ISLE", products=("H",), background=False, price_limit=5_000)
    )
    kernel.start()
    first = listings(kernel)[0]
    assert (first.tick_micro, first.lot_kw, first.interval_ns, first.interval_count) == (
        1_000_000,
        500,
        30 * MINUTE_NS,
        2,
    )
    assert first.interval_start_ns - first.gate_closure_ns == 45 * MINUTE_NS
    assert first.interval_start_ns - first.opens_ns == 15 * 60 * MINUTE_NS
    assert first.price_max_ticks == 5_000
    kernel.run_until(first.opens_ns)
    told = [exchange.on_order(order(first.listing_id, lots, number)) for number, lots in enumerate((1, 2, 40, 41), 1)]
    reasons = [next(e for e in some if isinstance(e, ExecutionReport)).reason for some in map(as_list, told)]
    assert reasons == [Reason.QTY_MIN, Reason.NONE, Reason.NONE, Reason.QTY_MAX]


def order(listing_id: int, lots: int, number: int) -> Order:
    return Order(
        number, listing_id, IntentAction.NEW, Side.BUY, OrderKind.LIMIT, OrderState.ROUTED, 10, lots, strategy_id=7
    )  # fmt: skip


def as_list(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (list, tuple)) else [out]


def test_a_restart_keeps_the_listings_that_were_told_whatever_the_rules_say_by_then() -> None:
    kernel = announced(products=("H",))
    kernel.feed(table_event(Table("limits", "rules/limits.toml", [LIMITS | {"valid_from": "2026-03-01"}])))
    again = SimKernel()
    exchange = again.add(Exchange, "exchange", ExchangeConfig(background=False, products=("H",)))
    again.restore(kernel.snapshot())
    (market,) = exchange._markets.values()
    assert market.listings == listings(kernel)
    assert {one.price_max_ticks for one in market.listings} == {999_900}
    assert {row[TERM_PRICE_MAX] for row in market.terms.tolist()} == {999_900}


class Desk(Strategy):
    """Sends what the test says."""


def test_two_exchanges_of_one_deployment_share_no_limit() -> None:
    kernel = SimKernel()
    for name, zone in (("german", "DE-LU"), ("french", "FR")):
        kernel.add(Exchange, name, ExchangeConfig(zone=zone, products=("QH", "H"), background=False))
    risk = kernel.add(RiskLimits, "risk", RiskLimitsConfig(position_max_lots=50, reference_required=False))
    desk = kernel.add(Desk, "desk")
    kernel.start()
    by_name = {one.name: one for one in listings(kernel)}
    german = by_name["german DE-LU QH 2026-03-10 10:00"]
    french, hour = by_name["french FR QH 2026-03-10 10:00"], by_name["french FR H 2026-03-10 10"]
    kernel.run_until(german.opens_ns)
    assert german.interval_start_ns == french.interval_start_ns

    for listing, side, lots in ((german, Side.BUY, 50), (french, Side.SELL, 30), (hour, Side.SELL, 20)):
        kernel.feed(desk.intent(listing.listing_id, side, -500, lots), producer="desk")
    accepted = [report for report in kernel.of(ExecutionReport) if report.kind == ReportKind.ACCEPTED]
    assert [report.leaves_lots for report in accepted] == [50, 30, 20]
    assert risk.exposure_lots(desk.ctx.plugin_id, german.listing_id) == [(0, 50, 0)]
    assert risk.exposure_lots(desk.ctx.plugin_id, french.listing_id) == [(0, 0, 50)]

    kernel.feed(desk.intent(french.listing_id, Side.SELL, -500, 1), producer="desk")
    assert kernel.of(Order)[-1].state == OrderState.REFUSED
    verdict = kernel.of(CheckVerdict)[-1]
    assert (verdict.reason, verdict.met, verdict.limit) == (Reason.POSITION, -51, -50)


@pytest.mark.parametrize("price_ticks", [-999_900, -1, 0, 1])
def test_any_price_goes_from_order_through_the_gate_to_the_fills_of_both_sides(price_ticks: int) -> None:
    kernel = SimKernel()
    kernel.add(Exchange, "exchange", ExchangeConfig(products=("BASE",), background=False))
    config = RiskLimitsConfig(reference_required=False, notional_max_micro=10**13)
    risk = kernel.add(RiskLimits, "risk", config)
    buyer, seller = kernel.add(Desk, "buyer"), kernel.add(Desk, "seller")
    kernel.start()
    (base,) = listings(kernel)
    kernel.run_until(base.opens_ns)
    kernel.feed(seller.intent(base.listing_id, Side.SELL, price_ticks, 7), producer="seller")
    kernel.feed(buyer.intent(base.listing_id, Side.BUY, price_ticks, 5), producer="buyer")
    fills = [report for report in kernel.of(ExecutionReport) if report.kind == ReportKind.FILL]
    assert [(fill.side, fill.last_ticks, fill.last_lots) for fill in fills] == [
        (Side.BUY, price_ticks, 5), (Side.SELL, price_ticks, 5),
    ]  # fmt: skip
    assert risk.exposure_lots(buyer.ctx.plugin_id, base.listing_id) == [(5, 0, 0)] * 96
    assert risk.exposure_lots(seller.ctx.plugin_id, base.listing_id) == [(-5, 0, 2)] * 96
