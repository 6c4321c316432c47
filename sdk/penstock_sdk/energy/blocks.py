"""Blocks: consecutive intervals of a calendar day sold as one, named by their first and last wall time."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.intervals import as_named, check_tiles, local_hour_ns, wall_ns
from penstock_sdk.energy.localtime import NS_PER_MINUTE, is_repeated, ns_to_local
from penstock_sdk.energy.periods import DeliveryPeriod
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = ["block", "parse_block"]

_BLOCK = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}) (?P<hour1>[0-9]{2}):(?P<minute1>[0-9]{2})(?P<half1>[AB])?"
    r"-(?P<hour2>[0-9]{2}):(?P<minute2>[0-9]{2})(?P<half2>[AB])?"
)


def block(zone: MarketZone | str, start_ns: int, end_ns: int) -> DeliveryPeriod:
    """Return the block from *start_ns* to *end_ns* (ns UTC), within one calendar day: "B 2025-07-01 08:00-20:00".

    Raises:
        EnergyError: empty, over midnight, or off the zone's grid of intervals.
    """
    place = market_zone(zone)
    check_tiles(place)
    first, last = ns_to_local(start_ns, place.timezone), ns_to_local(end_ns, place.timezone)
    midnight_ns = local_hour_ns(first.toordinal() + 1, place.timezone, 0)
    name = f"B {first:%Y-%m-%d} {_clock(first)}-{'24:00' if end_ns == midnight_ns else _clock(last)}"
    if end_ns > midnight_ns:
        raise EnergyError(f"block {name!r} goes over midnight; split it into one for each day")
    minutes = min(place.interval_minutes, 60)
    day_ns = local_hour_ns(first.toordinal(), place.timezone, 0)
    if any((edge_ns - day_ns) % (minutes * NS_PER_MINUTE) for edge_ns in (start_ns, end_ns)):
        raise EnergyError(f"block {name!r} is no multiple of the {minutes}-minute intervals of zone {place.code}")
    return DeliveryPeriod(start_ns, end_ns, name, place.timezone)


def _clock(local: datetime) -> str:
    """Return a wall time as names have it: "02:15B"."""
    return f"{local:%H:%M}{'AB'[local.fold] if is_repeated(local) else ''}"


def parse_block(zone: MarketZone, name: str) -> DeliveryPeriod:
    """Return the block of that name: "B 2025-07-01 08:00-20:00"; its end may be 24:00.

    Raises:
        EnergyError: malformed, a time the clock skips, a missing or idle A/B, empty, or off the zone's grid.
    """
    match = _BLOCK.fullmatch(name.partition(" ")[2])
    if match is None:
        raise EnergyError(f"{name!r} names no delivery period; wanted one like 'B 2025-07-01 08:00-20:00'")
    start_ns = wall_ns(zone, name, match["day"], match["hour1"], match["minute1"], match["half1"])
    if match["hour2"] + match["minute2"] == "2400":
        end_ns = wall_ns(zone, name, _next_day(match["day"]), "00", "00", match["half2"])
    else:
        end_ns = wall_ns(zone, name, match["day"], match["hour2"], match["minute2"], match["half2"])
    for number in "12":
        # A time shown twice needs its A or B here too, where the block's own name cannot tell which one is missing.
        edge_ns = end_ns if number == "2" else start_ns
        if not match[f"half{number}"] and is_repeated(ns_to_local(edge_ns, zone.timezone)):
            clock = f"{match[f'hour{number}']}:{match[f'minute{number}']}"
            raise EnergyError(f"{clock} in {name!r} happens twice in {zone.timezone}; say '{clock}A' or '{clock}B'")
    return as_named(block(zone, start_ns, end_ns), name)


def _next_day(day: str) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError) as error:
        raise EnergyError(f"{day!r} is no date: {error}") from None
