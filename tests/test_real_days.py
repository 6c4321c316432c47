"""Real days of 23 and 25 hours, zone by zone: every hour bought at its real price, held, paid, to the micro."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_plugins.portfolio.positions import Positions
from penstock_plugins.settlement.service import Settlement
from penstock_sdk.energy import day_contracts, delivery_day, known_zones, listing_terms, price_to_ticks
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.events import CalendarDefinition, CashFlow, CashKind, ExternalTrade, Pnl, Position, TradeSource
from penstock_sdk.testing import SimKernel

PRICES = "data/power_dayahead/entsoe_da_price_hourly_2022-2023.parquet"
DAYS = {date(2022, 3, 27): 23, date(2022, 10, 30): 25, date(2023, 3, 26): 23, date(2023, 10, 29): 25}
LOTS = 10  # 1 MW


@pytest.fixture(scope="module")
def prices(shared_dir: Path) -> dict[str, dict[int, float]]:
    """Return of each zone in the file its price by hour, ns UTC."""
    table = pq.read_table(shared_dir / PRICES)
    starts = [micros * 1_000 for micros in table["utc_start"].cast(pa.int64()).to_pylist()]
    found = {}
    for column in table.column_names[2:]:
        code = column.removesuffix("-DA_price").replace("_", "-")
        values = table[column].to_pylist()
        found[code] = {at: value for at, value in zip(starts, values, strict=True) if value is not None}
    return found


def zones_of(prices: dict[str, dict[int, float]]) -> Iterator[tuple[str, str]]:
    """Yield the name in the file and ours: NO-2 is NO2."""
    ours = {zone.code for zone in known_zones()}
    for name in prices:
        code = name if name in ours else name.replace("-", "")
        assert code in ours, f"{name} of the data is no zone of ours"
        yield name, code


def kernel_of(code: str, day: date) -> tuple[SimKernel, list[Any]]:
    start_ns = delivery_day(code, day).start_ns - 20 * 3_600 * 10**9
    kernel = SimKernel(start_ns=start_ns)
    positions: Any = kernel.add(Positions, "portfolio")
    kernel.add(Settlement, "settlement")
    intern = positions.ctx.intern
    kernel.start()
    kernel.feed(
        CalendarDefinition(
            name="TARGET", source="test", first="2022-01-01", last="2023-12-31",
            closed=["2022-04-15", "2022-04-18", "2023-04-07", "2023-04-10", "2023-05-01", "2023-12-25", "2023-12-26"],
        )
    )  # fmt: skip
    zone = next(zone for zone in known_zones() if zone.code == code)
    kernel.feed(zone_definition(zone, intern))
    listings = []
    for contract in day_contracts(zone, day, ("H",)):
        told, listing = definitions(contract, listing_terms(zone, day), intern)
        kernel.feed(told)
        kernel.feed(listing)
        listings.append((contract, listing))
    return kernel, listings


def rows(kernel: SimKernel, kind: type) -> list[Any]:
    return kernel.of(kind)


@pytest.mark.parametrize(("day", "hours"), DAYS.items(), ids=str)
def test_a_real_day_of_every_zone_is_bought_hour_by_hour_and_paid(
    prices: dict[str, dict[int, float]], day: date, hours: int
) -> None:
    negative = traded = 0
    for name, code in zones_of(prices):
        kernel, listings = kernel_of(code, day)
        assert len(listings) == hours, code
        cash = energy = Fraction(0)
        for number, (contract, listing) in enumerate(listings):
            value = prices[name].get(contract.delivery.start_ns)
            if value is None:
                continue
            ticks = price_to_ticks(f"{value:.2f}", listing.tick_micro)
            negative += ticks < 0
            traded += 1
            kernel.feed(
                ExternalTrade(
                    listing.listing_id, 1, source=TradeSource.SCREEN, price_ticks=ticks, qty_lots=LOTS,
                    trade_id=number + 1, book_id=1, traded_ns=kernel.moment.now_ns,
                )
            )  # fmt: skip
            cash -= Fraction(f"{value:.2f}")
            energy += 1
        if not energy:
            continue
        kernel.stop()
        held = {each.listing_id: each for each in rows(kernel, Position)}
        assert sum(each.cash_micro for each in held.values()) == cash * 10**6, code
        assert all(each.net_lots == LOTS for each in held.values())
        paid = [each for each in rows(kernel, CashFlow) if each.kind == CashKind.TRADE]
        assert sum(each.amount_micro for each in paid) == cash * 10**6, code
        assert sum(each.energy_wh for each in paid) == energy * 10**6, code
        final = [each for each in rows(kernel, Pnl) if each.listing_id == 0][-1]
        assert final.realised_micro + final.unrealised_micro == 0  # bought at its mark
    assert traded > 30 * hours
    if day == date(2023, 10, 29):
        assert negative > 0
