"""Gas sold by working days and weekends: a bank holiday is no working day and belongs to the weekend beside it."""

from __future__ import annotations

from datetime import date, timedelta

from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.delivery import DeliveryPeriod, period_days
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.expiry import calendar_of
from penstock_sdk.energy.intervals import first_instant_ns
from penstock_sdk.energy.rule_rows import MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference

__all__ = ["adjusted"]

_ONE_DAY = timedelta(days=1)


def adjusted(row: ProductRow, zone: MarketZone, period: DeliveryPeriod, reference: Reference) -> DeliveryPeriod:
    """Return what a contract over *period* delivers: of an adjusted product other days where holidays are.

    Without its calendar, or beyond it, the period stays as it is.

    Raises:
        EnergyError: no day of a working week is a business day.
    """
    if not row.adjusted:
        return period
    first, end = period_days(period)
    try:
        days = _days(calendar_of(reference, row.calendar), row.product, first, end)
    except EnergyError:
        return period
    if not days:
        raise EnergyError(f"{period.name} of {zone.code} has no business day of calendar {row.calendar!r}")
    if (days[0], days[-1] + _ONE_DAY, len(days)) == (first, end, (end - first).days):
        return period
    spans: list[tuple[int, int]] = []
    for day in days:
        start_ns, end_ns = first_instant_ns(zone, day), first_instant_ns(zone, day + _ONE_DAY)
        if spans and spans[-1][1] == start_ns:
            start_ns = spans.pop()[0]
        spans.append((start_ns, end_ns))
    parts = tuple(spans) if len(spans) > 1 else ()
    return DeliveryPeriod(spans[0][0], spans[-1][1], period.name, period.timezone, parts)


def _days(calendar: Calendar, product: str, first: date, end: date) -> list[date]:
    """Return the business days of a working week; or a weekend with the holidays that touch it."""
    if product == "WE":
        while not calendar.is_open(first - _ONE_DAY):
            first -= _ONE_DAY
        while not calendar.is_open(end):
            end += _ONE_DAY
    days = [first + timedelta(days=n) for n in range((end - first).days)]
    return days if product == "WE" else [day for day in days if calendar.is_open(day)]
