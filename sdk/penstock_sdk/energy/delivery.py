"""Delivery periods by name: intervals, blocks, days, strips and their shapes, in a zone's own clock.

A period is a list of stretches in UTC with the name its market uses. `parse_period` reads every name that the functions
here give: "QH 2025-10-26 02:15B", "B 2025-07-01 08:00-20:00", "D 2025-07-01", "WE 2025-07-05", "W 2025-W27",
"WD 2025-W27", "BOM 2025-07-08", "M 2025-07", "Q 2025-Q3", "S 2025-WIN", "Y 2026", "GY 2025"; those of whole days may
end in a shape, such as "M 2025-07 PEAK".
"""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from penstock_sdk.energy.blocks import block, parse_block
from penstock_sdk.energy.calendar_periods import CALENDAR_PERIODS, days_of_label, label_of_day, labels_of_days
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.intervals import (
    PRODUCT_MINUTES,
    DaySlot,
    day_slots,
    delivery_date,
    delivery_day,
    first_instant_ns,
    hours,
    intervals,
    parse_interval,
    quarter_hours,
    split,
)
from penstock_sdk.energy.localtime import NS_PER_HOUR, ns_to_local
from penstock_sdk.energy.periods import DeliveryPeriod, covering, energy_mwh
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.energy.shapes import shape_spans
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = [
    "CALENDAR_PERIODS",
    "PRODUCT_MINUTES",
    "DaySlot",
    "DeliveryPeriod",
    "block",
    "counted_hours",
    "covering",
    "day_slots",
    "days",
    "delivery_date",
    "delivery_day",
    "energy_mwh",
    "hours",
    "intervals",
    "months",
    "parse_period",
    "parts",
    "period",
    "period_days",
    "quarter_hours",
    "quarters",
    "split",
    "strip",
]


def parse_period(zone: MarketZone | str, name: str, reference: Reference | None = None) -> DeliveryPeriod:
    """Return the period of that name in *zone*; `parse_period(zone, p.name) == p` for every period of this package.

    Args:
        zone: a zone, or its code: then the zone is the one of the first delivery day.
        name: product, label and, of whole days, a shape; see the module.
        reference: whose zones and shapes; None: the built-in ones.

    Raises:
        EnergyError: malformed, a time the clock skips or shows twice without A or B, off the grid, an unknown shape; a
            code that was no zone on the first or the last day.
    """
    place = market_zone(zone, reference=reference)
    found = _parsed(place, name, reference)
    if isinstance(zone, MarketZone):
        return found
    first, last = _ends(place, found)
    if not place.holds_on(first):  # the zone was another then, or none
        place = market_zone(zone, first, reference)
        found = _parsed(place, name, reference)
    if not place.holds_on(last):
        market_zone(zone, last, reference)
    return found


def _ends(zone: MarketZone, period: DeliveryPeriod) -> tuple[date, date]:
    """Return the first and the last delivery day of a period."""
    if period.name.partition(" ")[0] in CALENDAR_PERIODS:
        first, end = period_days(period)
        return first, end - timedelta(days=1)
    return delivery_date(zone, period.start_ns), delivery_date(zone, period.end_ns - 1)


def _parsed(place: MarketZone, name: str, reference: Reference | None) -> DeliveryPeriod:
    """Return the period of that name in a zone, whenever it was one."""
    product, _, rest = name.partition(" ")
    if product in PRODUCT_MINUTES:
        return parse_interval(place, name)
    if product == "B":
        return parse_block(place, name)
    label, _, shape = rest.partition(" ")
    if product not in CALENDAR_PERIODS or name != " ".join(filter(None, (product, label, shape))) or " " in shape:
        known = ", ".join([*PRODUCT_MINUTES, "B", *CALENDAR_PERIODS])
        raise EnergyError(
            f"{name!r} names no delivery period; wanted one like 'QH 2025-10-26 02:15B', 'D 2025-07-01' or "
            f"'M 2025-07 PEAK'; products are {known}"
        )
    try:
        return _strip(place, product, label, shape, reference)
    except EnergyError as error:
        raise EnergyError(f"{name!r} names no delivery period: {error}") from None


def period(zone: MarketZone | str, name: str, reference: Reference | None = None) -> DeliveryPeriod:
    """Return the period of that name; another way to say `parse_period`."""
    return parse_period(zone, name, reference)


def strip(
    zone: MarketZone | str, product: str, day: date, shape: str = "", reference: Reference | None = None
) -> DeliveryPeriod:
    """Return the period of *product* that holds delivery *day*: the quarter of a date. Of BOM, what begins with it.

    Args:
        zone: a zone or its code.
        product: "D", "WE", "W", "WD", "BOM", "M", "Q", "S", "Y" or "GY".
        day: a delivery day.
        shape: "PEAK", "OFFPEAK" or another of the rules; empty: every hour.
        reference: whose zones and shapes; None: the built-in ones.

    Raises:
        EnergyError: an unknown zone, product or shape; no such period holds that day; no hour of it has that shape.
    """
    return _strip(market_zone(zone, reference=reference), product, label_of_day(product, day), shape, reference)


def _strip(
    zone: MarketZone, product: str, label: str, shape: str, reference: Reference | None = None
) -> DeliveryPeriod:
    """Return a period of whole days, or of a shape's hours in them."""
    first, end = days_of_label(product, label)
    name = f"{product} {label} {shape}" if shape else f"{product} {label}"
    try:
        start_ns, end_ns = first_instant_ns(zone, first), first_instant_ns(zone, end)
    except OverflowError:
        raise EnergyError(f"{label!r} is out of the range of dates") from None
    if not shape:
        return DeliveryPeriod(start_ns, end_ns, name, zone.timezone)
    rules = (reference or builtin_reference()).rules
    spans = shape_spans(rules, shape, zone, first, end)
    if not spans:
        raise EnergyError(f"no hour of {product} {label} has the shape {shape!r}")
    return DeliveryPeriod(spans[0][0], spans[-1][1], name, zone.timezone, tuple(spans) if len(spans) > 1 else ())


def _words(period: DeliveryPeriod) -> tuple[str, str, str]:
    """Return product, label and shape of a period of whole days."""
    product, _, rest = period.name.partition(" ")
    label, _, shape = rest.partition(" ")
    if product not in CALENDAR_PERIODS:
        raise EnergyError(f"period {period.name!r} is made of no whole days; split it by minutes")
    return product, label, shape


def period_days(period: DeliveryPeriod) -> tuple[date, date]:
    """Return the first delivery day of a period of whole days, and the first day after it.

    Raises:
        EnergyError: an interval or a block, which is made of no whole days.
    """
    product, label, _ = _words(period)
    return days_of_label(product, label)


def _tiled(
    zone: MarketZone | str, period: DeliveryPeriod, product: str, reference: Reference | None
) -> tuple[DeliveryPeriod, ...]:
    """Return the periods of *product* that *period* is made of, of its shape; those without an hour of it left out."""
    place = market_zone(zone, reference=reference)
    rules = (reference or builtin_reference()).rules
    _, _, shape = _words(period)
    labels = labels_of_days(product, *period_days(period))
    if shape:  # no hour of a Sunday is peak
        labels = [each for each in labels if shape_spans(rules, shape, place, *days_of_label(product, each))]
    return tuple(_strip(place, product, label, shape, reference) for label in labels)


def days(
    zone: MarketZone | str, period: DeliveryPeriod, reference: Reference | None = None
) -> tuple[DeliveryPeriod, ...]:
    """Return the days of a period of whole days, each of its shape; days that have no such hour are left out."""
    return _tiled(zone, period, "D", reference)


def months(
    zone: MarketZone | str, period: DeliveryPeriod, reference: Reference | None = None
) -> tuple[DeliveryPeriod, ...]:
    """Return the months of a quarter, season, year or gas year, each of its shape.

    Raises:
        EnergyError: *period* is no whole months.
    """
    return _tiled(zone, period, "M", reference)


def quarters(
    zone: MarketZone | str, period: DeliveryPeriod, reference: Reference | None = None
) -> tuple[DeliveryPeriod, ...]:
    """Return the quarters of a season, year or gas year, each of its shape.

    Raises:
        EnergyError: *period* is no whole quarters.
    """
    return _tiled(zone, period, "Q", reference)


def parts(
    zone: MarketZone | str, period: DeliveryPeriod, reference: Reference | None = None
) -> tuple[DeliveryPeriod, ...]:
    """Return what a strip is made of, one step finer: a gas year its seasons, a year its quarters, a month its days.

    Raises:
        EnergyError: a day, a block or an interval, which is split by minutes.
    """
    finer = CALENDAR_PERIODS[_words(period)[0]].parts
    if not finer:
        raise EnergyError(f"period {period.name!r} has no strip's parts; split it by minutes")
    return _tiled(zone, period, finer, reference)


def counted_hours(zone: MarketZone | str, period: DeliveryPeriod, reference: Reference | None = None) -> Fraction:
    """Return the hours for which *period* is charged: those that pass, or at the PSV 24 a day whatever the clock does.

    MWh are MW times these.
    """
    place = market_zone(zone, reference=reference)
    if not place.slots_a_day:
        return period.hours_rational
    wall = timedelta()
    for start_ns, end_ns in period.spans:
        first, end = (ns_to_local(t_ns, place.timezone).replace(tzinfo=None) for t_ns in (start_ns, end_ns))
        wall += end - first
    return Fraction(wall // timedelta(microseconds=1), NS_PER_HOUR // 1_000)
