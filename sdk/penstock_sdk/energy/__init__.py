"""The market's vocabulary: zones and hubs, delivery periods, contracts, dated rules, and exact units.

>>> from datetime import date
>>> from penstock_sdk.energy import day_contracts, quarter_hours
>>> len(quarter_hours("DE-LU", date(2025, 10, 26)))
100
>>> day_contracts("DE-LU", date(2025, 10, 26))[13].name
'DE-LU QH 2025-10-26 02:15B'
"""

from penstock_sdk.energy.aliases import contract_by_alias
from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.contracts import (
    Contract,
    ListingTerms,
    cascade,
    day_contracts,
    listing_terms,
    parse_contract,
    period_contract,
)
from penstock_sdk.energy.delivery import (
    CALENDAR_PERIODS,
    PRODUCT_MINUTES,
    DaySlot,
    DeliveryPeriod,
    block,
    counted_hours,
    covering,
    day_slots,
    days,
    delivery_date,
    delivery_day,
    energy_mwh,
    hours,
    intervals,
    months,
    parse_period,
    parts,
    period,
    period_days,
    quarter_hours,
    quarters,
    split,
    strip,
)
from penstock_sdk.energy.exact import EnergyError, Exact
from penstock_sdk.energy.fx import FxError, FxTable
from penstock_sdk.energy.localtime import day_start_ns, local_to_ns, ns_to_local, tzdata_version, zone
from penstock_sdk.energy.money import Currency, Rounding, allocate, currency, price_currency, round_lines, to_minor
from penstock_sdk.energy.quantities import Calorific, convert, known_units
from penstock_sdk.energy.rules import Reference, Rules, Table, builtin_reference, builtin_rules, read_tables
from penstock_sdk.energy.sessions import check_order_time, known_last_trading_day
from penstock_sdk.energy.trading_days import DAYS_MAX, Days, TradingDays, announced_ns
from penstock_sdk.energy.units import cash_micro, lots_to_mw, mw_to_lots, price_to_ticks, ticks_to_float, ticks_to_price
from penstock_sdk.energy.zones import MarketZone, known_zones, market_zone

__all__ = [
    "CALENDAR_PERIODS",
    "DAYS_MAX",
    "PRODUCT_MINUTES",
    "Calendar",
    "Calendars",
    "Calorific",
    "Contract",
    "Currency",
    "DaySlot",
    "Days",
    "DeliveryPeriod",
    "EnergyError",
    "Exact",
    "FxError",
    "FxTable",
    "ListingTerms",
    "MarketZone",
    "Reference",
    "Rounding",
    "Rules",
    "Table",
    "TradingDays",
    "allocate",
    "announced_ns",
    "block",
    "builtin_reference",
    "builtin_rules",
    "cascade",
    "cash_micro",
    "check_order_time",
    "contract_by_alias",
    "convert",
    "counted_hours",
    "covering",
    "currency",
    "day_contracts",
    "day_slots",
    "day_start_ns",
    "days",
    "delivery_date",
    "delivery_day",
    "energy_mwh",
    "hours",
    "intervals",
    "known_last_trading_day",
    "known_units",
    "known_zones",
    "listing_terms",
    "local_to_ns",
    "lots_to_mw",
    "market_zone",
    "months",
    "mw_to_lots",
    "ns_to_local",
    "parse_contract",
    "parse_period",
    "parts",
    "period",
    "period_contract",
    "period_days",
    "price_currency",
    "price_to_ticks",
    "quarter_hours",
    "quarters",
    "read_tables",
    "round_lines",
    "split",
    "strip",
    "ticks_to_float",
    "ticks_to_price",
    "to_minor",
    "tzdata_version",
    "zone",
]
