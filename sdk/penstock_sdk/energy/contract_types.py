"""What a contract and its listing terms hold; `contracts` builds them."""

from __future__ import annotations

from datetime import date

import msgspec

from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError

__all__ = ["NO_LIMIT_TICKS", "Contract", "ListingTerms", "UnknownLimitsError"]

NO_LIMIT_TICKS = 2**31 - 1
"""What bounds prices, either way, where a venue has no limits: the largest that an int32 holds."""


class UnknownLimitsError(EnergyError):
    """The price limits of a market that has some are not known on a day; `days` says when they are."""

    def __init__(self, market: str, day: date, days: str) -> None:
        self.days = days
        super().__init__(
            f"market price limits of {market} on {day} are not known, they are {days}; bring a row of limits with "
            f'market = "{market}" in a file of the plugin refdata, or by --rules FILE, as soon as they are published'
        )


class Contract(msgspec.Struct, frozen=True):
    """A contract: what is delivered in one zone over one period, and when it is traded.

    Attributes:
        name: canonical, zone first: "DE-LU QH 2025-10-26 02:15B", "TTF M 2026-04", "DE-LU DA QH 2026-03-10 13:15".
        zone: zone code.
        product: "QH", "H", "M" …; the first word after the zone.
        delivery: when it is delivered.
        opens_ns: trading opens, ns UTC.
        gate_closure_ns: trading ends, ns UTC; orders at or after it are too late. Of a contract whose last trading day
            is not known (no calendar), the end of delivery: an upper bound.
        currency: ISO 4217.
        market: whose rules hold: "SIDC", "EEX", "ICE-ENDEX".
        commodity: power, gas or carbon.
        price_unit: what prices are in: "EUR/MWh", "GBp/therm", "USD/MMBtu", "EUR/t".
        qty_unit: what quantities are in: MW, therm/d, MMBtu, t.
        settlement: physical or cash.
        payment: spot, variation or monthly.
        last_trading_day: None where there is none, or its calendar is not loaded.
        last_trading_rule: which rule gives it and of which calendar: "before_delivery 2 UK"; empty where there is none.
        cascades_into: names of the contracts that take its place after its last trading day.
    """

    name: str
    zone: str
    product: str
    delivery: DeliveryPeriod
    opens_ns: int
    gate_closure_ns: int
    currency: str
    market: str = ""
    commodity: str = "power"
    price_unit: str = "EUR/MWh"
    qty_unit: str = "MW"
    settlement: str = "physical"
    payment: str = "spot"
    last_trading_day: date | None = None
    last_trading_rule: str = ""
    cascades_into: tuple[str, ...] = ()


class ListingTerms(msgspec.Struct, frozen=True):
    """The grid a contract trades on at a venue, in integers. Prices may be negative.

    Attributes:
        tick_micro: price tick in 10^-6 of the currency per unit of the price unit; 10_000 is 0.01 EUR/MWh.
        lot_kw: quantity step in thousandths of the quantity unit: kW of MW; 100 is 0.1 MW.
        price_min_ticks: lowest price allowed.
        price_max_ticks: highest price allowed.
        lots_min: the smallest order.
        lots_max: the largest order; 0 where there is none.

    Raises:
        EnergyError: a tick or lot that is not positive, limits the wrong way round, no order that fits.
    """

    tick_micro: int
    lot_kw: int
    price_min_ticks: int
    price_max_ticks: int
    lots_min: int = 1
    lots_max: int = 0

    def __post_init__(self) -> None:
        """Refuse a grid that nothing can trade on."""
        if self.tick_micro <= 0 or self.lot_kw <= 0:
            raise EnergyError(f"tick_micro {self.tick_micro} and lot_kw {self.lot_kw} must both be positive")
        if self.price_min_ticks >= self.price_max_ticks:
            raise EnergyError(f"price_min_ticks {self.price_min_ticks} is not below max {self.price_max_ticks}")
        if self.lots_min < 1 or (self.lots_max and self.lots_max < self.lots_min):
            raise EnergyError(f"lots_min is {self.lots_min} and lots_max {self.lots_max}; wanted 1 or more, in order")
