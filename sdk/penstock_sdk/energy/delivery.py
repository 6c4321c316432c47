"""Delivery periods: the days, hours and quarter-hours of a bidding zone, clock changes included.

A period is [start_ns, end_ns) in UTC with the name its market uses. Local days have 23, 24 or 25 hours, so counts
follow from the instants and never from a constant. In the hour that autumn repeats, names end in A (first) or B
(second): "QH 2025-10-26 02:15B", "H 2025-10-26 02B". The hour that spring skips has no names.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise

import msgspec

from penstock_sdk.energy.exact import EnergyError, Exact, exact
from penstock_sdk.energy.localtime import (
    NS_PER_HOUR,
    NS_PER_MINUTE,
    day_start_ns,
    is_repeated,
    local_to_ns,
    ns_to_local,
)
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = [
    "PRODUCT_MINUTES",
    "DeliveryPeriod",
    "covering",
    "delivery_day",
    "energy_mwh",
    "hours",
    "intervals",
    "parse_period",
    "quarter_hours",
    "split",
]

# Code of each interval product, as names begin, and its length: hour, half-hour (GB), quarter-hour, five minutes (NEM).
PRODUCT_MINUTES = {"H": 60, "HH": 30, "QH": 15, "5M": 5}
_PRODUCT_OF_MINUTES = {minutes: product for product, minutes in PRODUCT_MINUTES.items()}

_NAME = re.compile(
    r"(?P<product>[A-Z0-9]+) (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"( (?P<hour>[0-9]{2})(:(?P<minute>[0-9]{2}))?(?P<half>[AB])?)?"
)


class DeliveryPeriod(msgspec.Struct, frozen=True, order=True):
    """What is delivered when: one or more stretches of time, half open. Periods sort by start, then by end.

    Attributes:
        start_ns: first instant of delivery, ns UTC.
        end_ns: first instant after it, ns UTC; a whole number of minutes later.
        name: the local name, product first: "QH 2025-10-26 02:15B".
        timezone: IANA name of the clock that gave the name.
        parts: (start_ns, end_ns) of each stretch, in order and apart, where there are several (peak hours); else empty.
    """

    start_ns: int
    end_ns: int
    name: str
    timezone: str
    parts: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty, reversed or ragged period."""
        length_ns = self.end_ns - self.start_ns
        if length_ns <= 0 or length_ns % NS_PER_MINUTE:
            raise EnergyError(
                f"period {self.name!r} from {self.start_ns} to {self.end_ns} ns lasts {length_ns} ns; "
                "wanted whole minutes, at least one"
            )
        if self.parts:
            self._check_parts()

    def _check_parts(self) -> None:
        edges = [edge for part in self.parts for edge in part]
        if (
            len(self.parts) < 2
            or (edges[0], edges[-1]) != (self.start_ns, self.end_ns)
            or any(before >= after or (after - before) % NS_PER_MINUTE for before, after in pairwise(edges))
        ):
            raise EnergyError(
                f"period {self.name!r} has the parts {self.parts}; wanted two or more of whole minutes, in order, "
                f"apart, from {self.start_ns} to {self.end_ns} ns"
            )

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """(start_ns, end_ns) of each stretch of delivery, in order."""
        return self.parts or ((self.start_ns, self.end_ns),)

    @property
    def minutes(self) -> int:
        """Minutes of delivery; what lies between parts does not count."""
        return sum(end_ns - start_ns for start_ns, end_ns in self.spans) // NS_PER_MINUTE

    @property
    def hours_rational(self) -> Fraction:
        """Hours of delivery, exact: 1/4 for a quarter-hour."""
        return Fraction(sum(end_ns - start_ns for start_ns, end_ns in self.spans), NS_PER_HOUR)


def _interval(start_ns: int, minutes: int, timezone: str) -> DeliveryPeriod:
    """Return the interval of that length and start, named by the local clock at its start."""
    local = ns_to_local(start_ns, timezone)
    clock = f"{local:%H}" if minutes == 60 else f"{local:%H:%M}"
    half = "AB"[local.fold] if is_repeated(local) else ""
    name = f"{_PRODUCT_OF_MINUTES[minutes]} {local:%Y-%m-%d} {clock}{half}"
    return DeliveryPeriod(start_ns, start_ns + minutes * NS_PER_MINUTE, name, timezone)


def _check_minutes(minutes: int) -> None:
    """Raise unless an interval product has that length."""
    if minutes not in _PRODUCT_OF_MINUTES:
        raise EnergyError(f"no interval product lasts {minutes!r} minutes; known are {sorted(_PRODUCT_OF_MINUTES)}")


def delivery_day(zone: MarketZone | str, day: date) -> DeliveryPeriod:
    """Return local *day* from midnight to midnight: 23, 24 or 25 hours where the clock changes by one.

    Raises:
        EnergyError: the zone is unknown, or *day* is a datetime.
    """
    timezone = market_zone(zone).timezone
    start_ns, end_ns = day_start_ns(day, timezone), day_start_ns(day + timedelta(days=1), timezone)
    return DeliveryPeriod(start_ns, end_ns, f"D {day:%Y-%m-%d}", timezone)


def intervals(zone: MarketZone | str, day: date, minutes: int) -> tuple[DeliveryPeriod, ...]:
    """Return the intervals of *minutes* (60, 30, 15 or 5) that tile local *day*, in time order.

    Raises:
        EnergyError: no product has that length, or the day is no multiple of it (a clock change of half an hour).

    Cost: some 8 µs an interval; keep the result.
    """
    return split(delivery_day(zone, day), minutes)


def hours(zone: MarketZone | str, day: date) -> tuple[DeliveryPeriod, ...]:
    """Return the 23, 24 or 25 hours of local *day*."""
    return intervals(zone, day, 60)


def quarter_hours(zone: MarketZone | str, day: date) -> tuple[DeliveryPeriod, ...]:
    """Return the 92, 96 or 100 quarter-hours of local *day*."""
    return intervals(zone, day, 15)


def split(period: DeliveryPeriod, minutes: int) -> tuple[DeliveryPeriod, ...]:
    """Return the intervals of *minutes* inside *period*, in time order: an hour's four quarter-hours, a day's hours.

    Raises:
        EnergyError: no product has that length, or *period* is no multiple of it.
    """
    _check_minutes(minutes)
    if period.minutes % minutes:
        raise EnergyError(f"period {period.name!r} lasts {period.minutes} minutes; cannot be split into {minutes}")
    step_ns = minutes * NS_PER_MINUTE
    if any((end_ns - start_ns) % step_ns for start_ns, end_ns in period.spans):
        raise EnergyError(f"a part of period {period.name!r} is no multiple of {minutes} minutes")
    return tuple(_interval(at_ns, minutes, period.timezone) for span in period.spans for at_ns in range(*span, step_ns))


def parse_period(zone: MarketZone | str, name: str) -> DeliveryPeriod:
    """Return the period of that name in *zone*; `parse_period(zone, p.name) == p` for every day and interval.

    Raises:
        EnergyError: malformed, a time the clock skips, off the product's grid, a missing or idle A/B.
    """
    place = market_zone(zone)
    match = _NAME.fullmatch(name)
    product = match["product"] if match else ""
    if match is None or (product == "D") == bool(match["hour"]) or product not in {"D", *PRODUCT_MINUTES}:
        raise EnergyError(
            f"{name!r} names no delivery period; "
            "wanted one like 'QH 2025-10-26 02:15B', 'H 2025-07-01 09' or 'D 2025-07-01'"
        )
    try:
        day = date.fromisoformat(match["day"])
        clock = time(int(match["hour"] or 0), int(match["minute"] or 0), fold=int(match["half"] == "B"))
    except ValueError as error:
        raise EnergyError(f"{name!r} names no delivery period: {error}") from None
    whole_day = delivery_day(place, day)
    if product == "D":
        return whole_day
    minutes = PRODUCT_MINUTES[product]
    start_ns = local_to_ns(datetime.combine(day, clock), place.timezone)
    if (start_ns - whole_day.start_ns) % (minutes * NS_PER_MINUTE) or whole_day.minutes % minutes:
        raise EnergyError(f"{name!r} is not on the {minutes}-minute grid of that day in {place.timezone}")
    period = _interval(start_ns, minutes, place.timezone)
    if period.name == name:
        return period
    if period.name == f"{name}A":
        raise EnergyError(f"{name!r} happens twice in {place.timezone} that day; say '{name}A' or '{name}B'")
    raise EnergyError(f"{name!r} is not how this period is named; in {place.timezone} it is {period.name!r}")


def covering(periods: Sequence[DeliveryPeriod], t_ns: int) -> DeliveryPeriod | None:
    """Return the one of *periods* that holds the instant *t_ns* (start included, end not), or None.

    Args:
        periods: in time order, not overlapping, as `intervals` gives them.
        t_ns: ns UTC.

    Cost: O(log n).
    """
    at = bisect_right(periods, t_ns, key=lambda period: period.start_ns) - 1
    return periods[at] if at >= 0 and t_ns < periods[at].end_ns else None


def energy_mwh(qty_mw: Exact, period: DeliveryPeriod) -> Fraction:
    """Return the energy of *qty_mw* held over *period*, in MWh, exactly; the sign is that of the quantity.

    Raises:
        EnergyError: *qty_mw* is a float or no number.
    """
    return exact(qty_mw, "qty_mw") * period.hours_rational
