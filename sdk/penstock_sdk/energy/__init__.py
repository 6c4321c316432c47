"""The market's vocabulary: bidding zones, delivery periods, contracts, and exact units.

>>> from datetime import date
>>> from penstock_sdk.energy import day_contracts, quarter_hours
>>> len(quarter_hours("DE-LU", date(2025, 10, 26)))
100
>>> day_contracts("DE-LU", date(2025, 10, 26))[13].name
'DE-LU QH 2025-10-26 02:15B'
"""

from penstock_sdk.energy.contracts import Contract, ListingTerms, day_contracts, listing_terms, parse_contract
from penstock_sdk.energy.delivery import (
    PRODUCT_MINUTES,
    DeliveryPeriod,
    covering,
    delivery_day,
    energy_mwh,
    hours,
    intervals,
    parse_period,
    quarter_hours,
    split,
)
from penstock_sdk.energy.exact import EnergyError, Exact
from penstock_sdk.energy.localtime import day_start_ns, local_to_ns, ns_to_local, tzdata_version, zone
from penstock_sdk.energy.trading_days import DAYS_MAX, Days, TradingDays, announced_ns
from penstock_sdk.energy.units import cash_micro, lots_to_mw, mw_to_lots, price_to_ticks, ticks_to_float, ticks_to_price
from penstock_sdk.energy.zones import MarketZone, known_zones, market_zone

__all__ = [
    "DAYS_MAX",
    "PRODUCT_MINUTES",
    "Contract",
    "Days",
    "DeliveryPeriod",
    "EnergyError",
    "Exact",
    "ListingTerms",
    "MarketZone",
    "TradingDays",
    "announced_ns",
    "cash_micro",
    "covering",
    "day_contracts",
    "day_start_ns",
    "delivery_day",
    "energy_mwh",
    "hours",
    "intervals",
    "known_zones",
    "listing_terms",
    "local_to_ns",
    "lots_to_mw",
    "market_zone",
    "mw_to_lots",
    "ns_to_local",
    "parse_contract",
    "parse_period",
    "price_to_ticks",
    "quarter_hours",
    "split",
    "ticks_to_float",
    "ticks_to_price",
    "tzdata_version",
    "zone",
]
