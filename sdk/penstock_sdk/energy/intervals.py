"""Delivery days and what tiles them: hours, half-hours, quarter-hours, five minutes.

A delivery day begins at its zone's local hour: midnight for power, 06:00 for European gas. Local days have 23, 24 or
25 hours, so counts follow from the instants and never from a constant. Intervals are named by the wall clock at their
start; in the hour that autumn repeats, names end in A (first) or B (second), and the hour that spring skips has none.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import (
    NS_PER_HOUR,
    NS_PER_MINUTE,
    day_start_ns,
    is_repeated,
    local_to_ns,
    ns_to_local,
)
from penstock_sdk.energy.periods import DeliveryPeriod
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = [
    "PRODUCT_MINUTES",
    "DaySlot",
    "as_named",
    "check_tiles",
    "day_slots",
    "delivery_date",
    "delivery_day",
    "first_instant_ns",
    "hours",
    "intervals",
    "local_hour_ns",
    "parse_interval",
    "quarter_hours",
    "split",
    "wall_edge_ns",
    "wall_ns",
]

# Code of each interval product, as names begin, and its length: hour, half-hour (GB), quarter-hour, five minutes (NEM).
PRODUCT_MINUTES = {"H": 60, "HH": 30, "QH": 15, "5M": 5}
_PRODUCT_OF_MINUTES = {minutes: product for product, minutes in PRODUCT_MINUTES.items()}

_DAY_NS = 24 * NS_PER_HOUR
_INTERVAL = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}) (?P<hour>[0-9]{2})(:(?P<minute>[0-9]{2}))?(?P<half>[AB])?")


@lru_cache(1 << 16)
def local_hour_ns(ordinal: int, timezone: str, hour: int) -> int:
    """Return when a wall clock shows *hour* on a day, ns UTC; where midnight is skipped, when the day begins."""
    day = date.fromordinal(ordinal)
    if not hour:
        return day_start_ns(day, timezone)
    return local_to_ns(datetime.combine(day, time(hour)), timezone, passing="A")


def first_instant_ns(zone: MarketZone, day: date) -> int:
    """Return when delivery *day* begins in *zone*, ns UTC. Days that were asked before cost a look-up."""
    if isinstance(day, datetime):
        raise EnergyError(f"day is the datetime {day.isoformat()}; pass the local delivery date, as a date")
    return local_hour_ns(day.toordinal(), zone.timezone, zone.day_starts_hour)


def delivery_date(zone: MarketZone | str, t_ns: int) -> date:
    """Return the delivery day that holds the instant *t_ns* (ns UTC): at 05:59 on a gas hub it is yesterday's."""
    place = market_zone(zone)
    local = ns_to_local(t_ns, place.timezone)
    day = local.date()
    # By instants and not by the hour shown: where midnight is skipped or shown twice the hour alone would mislead.
    return day if t_ns >= first_instant_ns(place, day) else day - timedelta(days=1)


def delivery_day(zone: MarketZone | str, day: date) -> DeliveryPeriod:
    """Return delivery *day* from its zone's first hour to the next day's: 23, 24 or 25 hours.

    The clock changes on a Sunday before 06:00, so at a gas hub the short and the long day are the Saturdays before.

    Raises:
        EnergyError: the zone is unknown, or *day* is a datetime.
    """
    place = market_zone(zone)
    start_ns, end_ns = first_instant_ns(place, day), first_instant_ns(place, day + timedelta(days=1))
    return DeliveryPeriod(start_ns, end_ns, f"D {day.isoformat()}", place.timezone)


def intervals(zone: MarketZone | str, day: date, minutes: int) -> tuple[DeliveryPeriod, ...]:
    """Return the intervals of *minutes* (60, 30, 15 or 5) that tile delivery *day*, in time order.

    Raises:
        EnergyError: no product has that length, the day is no multiple of it (a clock change of half an hour), or the
            zone counts slots instead (`day_slots`).

    Cost: some 2 µs an interval, 8 µs on the days when the clock changes.
    """
    place = market_zone(zone)
    check_tiles(place)
    return split(delivery_day(place, day), minutes)


def hours(zone: MarketZone | str, day: date) -> tuple[DeliveryPeriod, ...]:
    """Return the 23, 24 or 25 hours of delivery *day*."""
    return intervals(zone, day, 60)


def quarter_hours(zone: MarketZone | str, day: date) -> tuple[DeliveryPeriod, ...]:
    """Return the 92, 96 or 100 quarter-hours of delivery *day*."""
    return intervals(zone, day, 15)


def split(period: DeliveryPeriod, minutes: int) -> tuple[DeliveryPeriod, ...]:
    """Return the intervals of *minutes* inside *period*, in time order: an hour's four quarter-hours, a day's hours.

    Raises:
        EnergyError: no product has that length, or *period* is no multiple of it, or does not begin on its grid.
    """
    if minutes not in _PRODUCT_OF_MINUTES:
        raise EnergyError(f"no interval product lasts {minutes!r} minutes; known are {sorted(_PRODUCT_OF_MINUTES)}")
    if period.minutes % minutes:
        raise EnergyError(f"period {period.name!r} lasts {period.minutes} minutes; cannot be split into {minutes}")
    if any((end_ns - start_ns) % (minutes * NS_PER_MINUTE) for start_ns, end_ns in period.spans):
        raise EnergyError(f"a part of period {period.name!r} is no multiple of {minutes} minutes")
    found: list[DeliveryPeriod] = []
    for start_ns, end_ns in period.spans:
        _tile(found, start_ns, end_ns, minutes, period)
    return tuple(found)


def _tile(found: list[DeliveryPeriod], start_ns: int, end_ns: int, minutes: int, period: DeliveryPeriod) -> None:
    """Append the intervals from *start_ns* to *end_ns*, wall day by wall day."""
    step_ns, timezone = minutes * NS_PER_MINUTE, period.timezone
    product, clocks = _PRODUCT_OF_MINUTES[minutes], _clocks(minutes)
    while start_ns < end_ns:
        day = ns_to_local(start_ns, timezone).date()
        ordinal = day.toordinal()
        midnight_ns = local_hour_ns(ordinal, timezone, 0)
        next_ns = local_hour_ns(ordinal + 1, timezone, 0)
        if (start_ns - midnight_ns) % step_ns:
            raise EnergyError(
                f"period {period.name!r} begins at {ns_to_local(start_ns, timezone):%H:%M}, off the grid of {minutes} "
                "minutes; split it into shorter intervals"
            )
        stop_ns = min(end_ns, next_ns)
        if next_ns - midnight_ns == _DAY_NS:
            # No clock change: names follow from the distance to midnight, without asking the time zone each time.
            head = f"{product} {day.isoformat()} "
            first = (start_ns - midnight_ns) // step_ns
            for at, at_ns in enumerate(range(start_ns, stop_ns, step_ns), first):
                found.append(DeliveryPeriod(at_ns, at_ns + step_ns, head + clocks[at], timezone))
        else:
            found += [_interval(at_ns, minutes, timezone) for at_ns in range(start_ns, stop_ns, step_ns)]
        start_ns = found[-1].end_ns


@lru_cache
def _clocks(minutes: int) -> tuple[str, ...]:
    """Return how the intervals of a day of 24 hours are named."""
    names = (f"{at // 60:02}:{at % 60:02}" for at in range(0, 24 * 60, minutes))
    return tuple(name[:2] if minutes == 60 else name for name in names)


def _interval(start_ns: int, minutes: int, timezone: str) -> DeliveryPeriod:
    """Return the interval of that length and start, named by the local clock at its start."""
    local = ns_to_local(start_ns, timezone)
    clock = f"{local:%H}" if minutes == 60 else f"{local:%H:%M}"
    half = "AB"[local.fold] if is_repeated(local) else ""
    name = f"{_PRODUCT_OF_MINUTES[minutes]} {local:%Y-%m-%d} {clock}{half}"
    return DeliveryPeriod(start_ns, start_ns + minutes * NS_PER_MINUTE, name, timezone)


def check_tiles(zone: MarketZone) -> None:
    """Raise where days have a fixed number of slots instead of intervals of time."""
    if zone.slots_a_day:
        raise EnergyError(
            f"days of zone {zone.code} have {zone.slots_a_day} slots whatever the clock does, and no intervals of "
            "time; use day_slots, or deliver whole days"
        )


def parse_interval(zone: MarketZone, name: str) -> DeliveryPeriod:
    """Return the interval of that name: "QH 2025-10-26 02:15B", "H 2025-07-01 09".

    Raises:
        EnergyError: malformed, a time the clock skips, off the product's grid, a missing or idle A/B.
    """
    product, _, rest = name.partition(" ")
    match = _INTERVAL.fullmatch(rest)
    if match is None:
        raise EnergyError(f"{name!r} names no delivery period; wanted one like '{_example(product)}'")
    check_tiles(zone)
    start_ns = wall_ns(zone, name, match["day"], match["hour"], match["minute"], match["half"])
    whole_day = delivery_day(zone, delivery_date(zone, start_ns))
    minutes = PRODUCT_MINUTES[product]
    if whole_day.minutes % minutes:
        raise EnergyError(
            f"{name!r} is of {minutes} minutes, and that day in {zone.timezone} has {whole_day.minutes}, no multiple; "
            "wanted a shorter interval"
        )
    if off_ns := (start_ns - whole_day.start_ns) % (minutes * NS_PER_MINUTE):
        around = (_interval(start_ns - off_ns + more * NS_PER_MINUTE, minutes, zone.timezone) for more in (0, minutes))
        near = " or ".join(repr(each.name) for each in around)
        raise EnergyError(f"{name!r} is not on the {minutes}-minute grid of that day in {zone.timezone}; wanted {near}")
    return as_named(_interval(start_ns, minutes, zone.timezone), name)


def _example(product: str) -> str:
    return f"{product} 2025-10-26 {'02B' if product == 'H' else '02:15B'}"


def as_named(period: DeliveryPeriod, name: str) -> DeliveryPeriod:
    """Return *period* where *name* is its name, else say what is wrong with it."""
    if period.name == name:
        return period
    if period.name == f"{name}A":
        raise EnergyError(f"{name!r} happens twice in {period.timezone} that day; say '{name}A' or '{name}B'")
    raise EnergyError(f"{name!r} is not how this period is named; in {period.timezone} it is {period.name!r}")


def wall_ns(zone: MarketZone, name: str, day: str, hour: str, minute: str | None, half: str | None) -> int:
    """Return the instant of a wall time in a name, ns UTC."""
    try:
        wall = datetime.combine(date.fromisoformat(day), time(int(hour), int(minute or 0)))
    except ValueError as error:
        raise EnergyError(f"{name!r} names no delivery period: {error}") from None
    try:
        # Without a letter the first: `as_named` then finds that the name lacks one.
        return local_to_ns(wall, zone.timezone, passing="B" if half == "B" else "A")
    except OverflowError:
        raise EnergyError(f"{name!r} names no delivery period: the date is out of range") from None


def wall_edge_ns(timezone: str, ordinal: int, minute: int) -> int:
    """Return the first instant (ns UTC) at which the wall clock has reached *minute* of a day, for every minute.

    Times that the clock skips are all reached at the change; of times that it shows twice the first counts. So any
    division of the wall clock's day divides the real day, however long. Minute 1,440 is the next day's midnight.
    """
    midnight_ns, next_ns = local_hour_ns(ordinal, timezone, 0), local_hour_ns(ordinal + 1, timezone, 0)
    edge_ns = midnight_ns + minute * NS_PER_MINUTE
    gained_ns = next_ns - midnight_ns - _DAY_NS
    if not gained_ns or minute == 0 or edge_ns < (change_ns := _change_ns(timezone, ordinal)):
        return edge_ns
    return max(change_ns, edge_ns + gained_ns)


@lru_cache(4096)
def _change_ns(timezone: str, ordinal: int) -> int:
    """Return when the clock changes on a day that is not 24 hours long, ns UTC."""
    low, high = local_hour_ns(ordinal, timezone, 0), local_hour_ns(ordinal + 1, timezone, 0)
    before = ns_to_local(low, timezone).utcoffset()
    while high - low > NS_PER_MINUTE:
        middle = (low + high) // 2 // NS_PER_MINUTE * NS_PER_MINUTE
        if ns_to_local(middle, timezone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


class DaySlot(NamedTuple):
    """A slot of a day that has 24 of them whatever the clock does; each counts as one hour.

    Attributes:
        number: 1 to 24.
        clock: the wall time that it stands for: "02:00".
        start_ns: first instant, ns UTC.
        end_ns: first instant after it: one hour later, none where the clock skips the hour, two where it repeats it.
    """

    number: int
    clock: str
    start_ns: int
    end_ns: int


def day_slots(zone: MarketZone | str, day: date) -> tuple[DaySlot, ...]:
    """Return the 24 slots of delivery *day*, one for each hour of the wall clock from the day's first on.

    At the PSV, whose gas day begins at 06:00, slot 21 is 02:00: on the short gas day it has no time, on the long one
    two hours. The slots tile the day, and each counts as an hour, so that a day is always 24 MWh a MW.

    Raises:
        EnergyError: the zone does not count slots.
    """
    place = market_zone(zone)
    if not place.slots_a_day:
        raise EnergyError(f"days of zone {place.code} have hours and no slots; use hours")
    clock, ordinal = place.day_starts_hour, day.toordinal()
    edges = [
        wall_edge_ns(place.timezone, ordinal + (clock + at) // 24, (clock + at) % 24 * 60)
        for at in range(place.slots_a_day + 1)
    ]
    return tuple(
        DaySlot(at + 1, f"{(clock + at) % 24:02}:00", edges[at], edges[at + 1]) for at in range(place.slots_a_day)
    )
