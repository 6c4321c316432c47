"""Contracts of a delivery day: what is delivered, where and when, from when until when it trades, on which grid.

A contract is the thing positions are kept in; `ListingTerms` are what a venue adds (tick, lot, price limits).
Names round trip: `parse_contract(contract.name) == contract`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import msgspec

from penstock_sdk.energy.delivery import PRODUCT_MINUTES, DeliveryPeriod, intervals, parse_period
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_MINUTE, local_to_ns, ns_to_local
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = ["Contract", "ListingTerms", "day_contracts", "listing_terms", "parse_contract"]

# Local time on the day before delivery at which the continuous session of a product opens: EPEX SPOT's continuous
# intraday product page for Austria (hours 15:00, quarter-hours 16:00) and SEEPEX's (15:00); the same in Germany.
# The Australian market has no such session: contracts of NEM regions are a simulated venue's, with the same opening.
_OPENS_DAY_BEFORE = {"H": time(15), "QH": time(16)}

# Price limits of the continuous European market, whole EUR or GBP per MWh: SIDC's harmonised ones, in force in 2025.
_SIDC_LIMIT = 9_999

# Australian market floor and cap, AUD/MWh; the cap is indexed every 1 July. National Electricity Rules 3.9.4 and 3.9.6,
# AEMC's yearly schedule of reliability settings. A day before the first or after the last year is refused, not guessed.
_NEM_FLOOR = -1_000
_NEM_CAPS = {2021: 15_100, 2022: 15_500, 2023: 16_600, 2024: 17_500, 2025: 20_300}


class Contract(msgspec.Struct, frozen=True):
    """A power contract of one delivery period in one zone.

    Attributes:
        name: canonical, zone first: "DE-LU QH 2025-10-26 02:15B".
        zone: bidding zone code.
        product: "QH", "H"; the first word of the period's name.
        delivery: when power flows.
        opens_ns: trading opens, ns UTC.
        gate_closure_ns: trading ends, ns UTC; orders at or after it are too late.
        currency: ISO 4217.
    """

    name: str
    zone: str
    product: str
    delivery: DeliveryPeriod
    opens_ns: int
    gate_closure_ns: int
    currency: str


class ListingTerms(msgspec.Struct, frozen=True):
    """The grid a contract trades on at a venue, in integers. Prices may be negative.

    Attributes:
        tick_micro: price tick in 10^-6 of the currency per MWh; 10_000 is 0.01 EUR/MWh.
        lot_kw: quantity step in kW; 100 is 0.1 MW.
        price_min_ticks: lowest price allowed.
        price_max_ticks: highest price allowed.

    Raises:
        EnergyError: a tick or lot that is not positive, or limits the wrong way round.
    """

    tick_micro: int
    lot_kw: int
    price_min_ticks: int
    price_max_ticks: int

    def __post_init__(self) -> None:
        """Refuse a grid that nothing can trade on."""
        if self.tick_micro <= 0 or self.lot_kw <= 0:
            raise EnergyError(f"tick_micro {self.tick_micro} and lot_kw {self.lot_kw} must both be positive")
        if self.price_min_ticks >= self.price_max_ticks:
            raise EnergyError(f"price_min_ticks {self.price_min_ticks} is not below max {self.price_max_ticks}")


def _contract(zone: MarketZone, product: str, delivery: DeliveryPeriod) -> Contract:
    """Return the contract of that product over that period."""
    opens = _OPENS_DAY_BEFORE.get(product)
    if opens is None:
        raise EnergyError(f"product {product!r} has no trading session; known are {', '.join(_OPENS_DAY_BEFORE)}")
    day_before = ns_to_local(delivery.start_ns, zone.timezone).date() - timedelta(days=1)
    return Contract(
        name=f"{zone.code} {delivery.name}",
        zone=zone.code,
        product=product,
        delivery=delivery,
        opens_ns=local_to_ns(datetime.combine(day_before, opens), zone.timezone),
        gate_closure_ns=delivery.start_ns - zone.gate_lead_minutes * NS_PER_MINUTE,
        currency=zone.currency,
    )


def day_contracts(zone: MarketZone | str, day: date, products: Sequence[str] = ("QH", "H")) -> tuple[Contract, ...]:
    """Return every contract of a delivery day, product by product as asked, each in time order.

    Args:
        zone: a zone or its code.
        day: the local delivery date.
        products: of "QH" and "H"; a usual day has 96 and 24.

    Raises:
        EnergyError: an unknown zone or product.
    """
    place = market_zone(zone)
    if unknown := [product for product in products if product not in _OPENS_DAY_BEFORE]:
        raise EnergyError(f"product {unknown[0]!r} has no trading session; known are {', '.join(_OPENS_DAY_BEFORE)}")
    return tuple(
        _contract(place, product, period)
        for product in products
        for period in intervals(place, day, PRODUCT_MINUTES[product])
    )


def parse_contract(name: str) -> Contract:
    """Return the contract of that canonical name.

    Raises:
        EnergyError: no zone or no period of that name, or a product without a session; the message says which.
    """
    code, _, period_name = name.partition(" ")
    place = market_zone(code)
    return _contract(place, period_name.partition(" ")[0], parse_period(place, period_name))


def listing_terms(zone: MarketZone | str, day: date) -> ListingTerms:
    """Return the terms that hold in *zone* on delivery *day*: tick 0.01, lot 0.1 MW, and that day's price limits.

    Limits are dated facts: ±9,999 in Europe; in Australia -1,000 up to a cap that changes every 1 July.

    Raises:
        EnergyError: the Australian cap of that day is not known here; make the ListingTerms yourself.
    """
    place = market_zone(zone)
    low, high = -_SIDC_LIMIT, _SIDC_LIMIT
    if place.currency == "AUD":
        year = day.year if day.month >= 7 else day.year - 1
        if year not in _NEM_CAPS:
            raise EnergyError(
                f"market price cap on {day} is not known (known from {min(_NEM_CAPS)}-07-01 "
                f"to {max(_NEM_CAPS) + 1}-06-30); pass your own ListingTerms"
            )
        low, high = _NEM_FLOOR, _NEM_CAPS[year]
    return ListingTerms(tick_micro=10_000, lot_kw=100, price_min_ticks=low * 100, price_max_ticks=high * 100)
