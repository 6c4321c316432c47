"""Contracts on emission rights: futures of a month, daily futures; what is delivered fills one day of the registry.

A month's future is delivered up to the third business day after its last trading day, a daily one to the buyer on the
second; positions count them on that day. So these contracts want the calendar of their venue.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from penstock_sdk.energy.contract_types import Contract
from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.expiry import calendar_of, last_trading_day
from penstock_sdk.energy.localtime import day_start_ns, local_to_ns
from penstock_sdk.energy.rule_rows import MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.sessions import opening_day, session_hours, session_ns
from penstock_sdk.energy.strip_names import month_after

__all__ = ["CARBON_PRODUCTS", "carbon_contract", "carbon_day"]

CARBON_PRODUCTS = {"EUA": 3, "EUA-D": 2}
"""Business days from the last trading day to delivery, by product."""

_NAME = re.compile(r"(EUA (?P<month>[0-9]{4}-(0[1-9]|1[0-2]))|EUA-D (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}))")
_ONE_DAY = timedelta(days=1)


def carbon_day(name: str) -> date:
    """Return the day on which the product of an emission future is looked up: the first of its month, or its own.

    Raises:
        EnergyError: it is no name of one.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise EnergyError(f"{name!r} names no emission future; wanted one like 'EUA 2026-12' or 'EUA-D 2026-03-10'")
    try:
        return date.fromisoformat(match["day"] or f"{match['month']}-01")
    except ValueError as error:
        raise EnergyError(f"{name!r} names no emission future: {error}") from None


def carbon_contract(zone: MarketZone, row: ProductRow, name: str, reference: Reference) -> Contract:
    """Return the contract of that name, without its zone: "EUA 2026-12" or "EUA-D 2026-03-10".

    Raises:
        EnergyError: another name, a day that is no business day, or a calendar that is not loaded.
    """
    calendar = calendar_of(reference, row.calendar)
    first = carbon_day(name)
    if row.product == "EUA":
        end = date(*month_after(first.year, first.month, 1), 1)
        listed = date(*month_after(first.year, first.month, -12 * row.listed_ahead if first.month == 12 else -27), 1)
    else:
        listed, end = first, first + _ONE_DAY
    last = last_trading_day(row.last_trading, calendar, first, end)
    delivered = calendar.shift(last, CARBON_PRODUCTS[row.product])
    clock = row.clock or zone.timezone
    _, ends = session_hours(row)
    early = calendar.early.get(last)
    period = DeliveryPeriod(
        day_start_ns(delivered, zone.timezone), day_start_ns(delivered + _ONE_DAY, zone.timezone), name, zone.timezone
    )
    return Contract(
        name=f"{zone.code} {name}",
        zone=zone.code,
        product=row.product,
        delivery=period,
        opens_ns=session_ns(row, min(opening_day(calendar, listed), last), clock)[0],
        gate_closure_ns=local_to_ns(datetime.combine(last, min(ends, early) if early else ends), clock),
        currency=zone.currency,
        market=row.market,
        commodity=zone.commodity,
        price_unit=row.price_unit.replace("{currency}", zone.currency),
        qty_unit=row.qty_unit,
        settlement=row.settlement,
        payment=row.payment,
        last_trading_day=last,
        last_trading_rule=f"{row.last_trading} {row.calendar}",
    )
