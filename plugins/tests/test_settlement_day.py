"""Over a simulated day the cash flows are the portfolio's profit to the micro: imbalance replaces the last marks."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import cache

import pytest

from penstock_plugins.compliance.fat_finger import FatFinger
from penstock_plugins.feeds.synthetic_prices import SyntheticPrices, SyntheticPricesConfig
from penstock_plugins.portfolio.positions import Positions
from penstock_plugins.risk.limits import RiskLimits
from penstock_plugins.settlement.service import Settlement
from penstock_plugins.strategies.market_maker import MarketMaker, MarketMakerConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_sdk.energy import announced_ns, delivery_day
from penstock_sdk.energy.settlement import imbalance_micro, price_micro, target_calendar, trade_value_day
from penstock_sdk.events import (
    Alert,
    CashFlow,
    CashKind,
    ExecutionReport,
    IdKind,
    InvoiceLine,
    ListingDefinition,
    Observation,
    PluginFault,
    Pnl,
    ReportKind,
)
from penstock_sdk.testing import SimKernel

ZONE = "DE-LU"
QUARTER_NS = 900_000_000_000


@cache
def day(text: str) -> SimKernel:
    """Return a small day of one strategy, from its announcement to the end of delivery."""
    kernel = SimKernel(seed=5, start_ns=announced_ns(ZONE, date.fromisoformat(text)))
    kernel.add(Exchange, "exchange", ExchangeConfig(delivery_day=text, orders_per_day=6_000, step_s=60.0))
    kernel.add(SyntheticPrices, "prices", SyntheticPricesConfig(delivery_day=text))
    kernel.add(RiskLimits, "risk")
    kernel.add(FatFinger, "fat_finger")
    kernel.add(MarketMaker, "mm", MarketMakerConfig(requote_s_min=300.0))
    kernel.add(Positions, "portfolio")
    kernel.add(Settlement, "settlement")
    kernel.start()
    kernel.run_until(delivery_day(ZONE, date.fromisoformat(text)).end_ns)
    kernel.stop()
    assert kernel.of(PluginFault) == [] and kernel.of(Alert) == []
    return kernel


def fills(kernel: SimKernel) -> list[tuple[int, ExecutionReport]]:
    """Return (time, report) of every fill."""
    reports = ((at_ns, record) for _, at_ns, record in kernel.events if isinstance(record, ExecutionReport))
    return [(at_ns, report) for at_ns, report in reports if report.kind == ReportKind.FILL]


def sums(kernel: SimKernel) -> dict[CashKind, int]:
    total: dict[CashKind, int] = defaultdict(int)
    for flow in kernel.of(CashFlow):
        total[CashKind(flow.kind)] += flow.amount_micro
    return total


def last_prices(kernel: SimKernel) -> dict[int, int]:
    """Return the last version's imbalance price of each quarter-hour, 10⁻⁶ per MWh."""
    series = kernel.intern_input(IdKind.SERIES, f"imbalance.price.{ZONE}")
    seen: dict[int, tuple[int, int]] = {}
    for price in kernel.of(Observation):
        if price.series_id == series:
            entry = (price.version, price_micro(price.value))
            seen[price.valid_from_ns] = max(seen.get(price.valid_from_ns, (-1, 0)), entry)
    return {start_ns: micro for start_ns, (_, micro) in seen.items()}


DAYS = pytest.mark.parametrize(("text", "quarters"), [("2026-03-10", 96), ("2026-03-29", 92), ("2026-10-25", 100)])


@DAYS
def test_every_fill_is_paid_on_its_day_and_every_position_at_the_imbalance_price(text: str, quarters: int) -> None:
    kernel = day(text)
    listings: dict[int, ListingDefinition] = {one.listing_id: one for one in kernel.definitions(IdKind.LISTING)}
    cash_by_day: dict[int, int] = defaultdict(int)
    net_kw: dict[int, int] = defaultdict(int)
    for at_ns, fill in fills(kernel):
        listing, lots = listings[fill.listing_id], fill.last_lots if fill.side == 1 else -fill.last_lots
        paid = -lots * fill.last_ticks * listing.cash_micro_per_lot_tick
        cash_by_day[trade_value_day(at_ns, target_calendar()).toordinal()] += paid
        for at in range(listing.interval_count):
            net_kw[listing.interval_start_ns + at * QUARTER_NS] += lots * listing.lot_kw
    told_by_day: dict[int, int] = defaultdict(int)
    for flow in kernel.of(CashFlow):
        if flow.kind == CashKind.TRADE:
            told_by_day[flow.value_day] += flow.amount_micro
    assert dict(told_by_day) == dict(cash_by_day) and (len(cash_by_day) > 1) == (quarters == 96)  # the others: Sundays
    prices = last_prices(kernel)
    assert len(prices) == quarters and min(prices.values()) < 0
    wanted = sum(imbalance_micro(-kw * 15_000, prices[start_ns]) for start_ns, kw in net_kw.items())
    assert sums(kernel)[CashKind.IMBALANCE] == wanted != 0
    assert any(flow.version == 2 for flow in kernel.of(CashFlow) if flow.kind == CashKind.IMBALANCE)


@DAYS
def test_the_portfolios_profit_is_the_cash_to_the_micro(text: str, quarters: int) -> None:
    kernel = day(text)
    last = {(row.book_id, row.strategy_id): row for row in kernel.of(Pnl) if row.listing_id == 0}
    assert len(last) == 2  # the market maker's account, and its book's, where imbalance stands
    assert {row.unrealised_micro for row in last.values()} == {0}
    assert -sums(kernel)[CashKind.FEE] == sum(row.fees_micro for row in last.values())
    assert sum(row.realised_micro - row.fees_micro for row in last.values()) == sum(sums(kernel).values())
    # Beside the last marks that is, for each listing, net energy times imbalance price less mark.
    listings: dict[int, ListingDefinition] = {one.listing_id: one for one in kernel.definitions(IdKind.LISTING)}
    told = {row.listing_id: row for row in kernel.of(Pnl) if row.listing_id}
    net: dict[int, int] = defaultdict(int)
    for _, fill in fills(kernel):
        net[fill.listing_id] += fill.last_lots if fill.side == 1 else -fill.last_lots
    marked = sum(
        lots * told[listing_id].mark_ticks * listings[listing_id].cash_micro_per_lot_tick
        for listing_id, lots in net.items()
    )
    (balancing,) = (row.realised_micro for (_, strategy_id), row in last.items() if not strategy_id)
    assert balancing == sums(kernel)[CashKind.IMBALANCE] - marked


def test_the_months_draft_holds_every_cash_flow_to_the_cent() -> None:
    kernel = day("2026-03-10")
    lines = kernel.of(InvoiceLine)
    assert {(line.invoice, line.final) for line in lines} == {
        ("ECC 2026-03 EUR", False), ("TSO DE-LU 2026-03 EUR", False),
    }  # fmt: skip
    assert {line.kind: line.exact_micro for line in lines} == {
        kind.name.lower(): total for kind, total in sums(kernel).items()
    }
    assert {line.book for line in lines} == {"mm"}
    for invoice in ("ECC 2026-03 EUR", "TSO DE-LU 2026-03 EUR"):
        own = [line for line in lines if line.invoice == invoice]
        assert abs(sum(line.amount_minor for line in own) * 10_000 - sum(line.exact_micro for line in own)) <= 5_000
