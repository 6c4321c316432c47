"""Shapes: which local hours of which weekdays a period delivers in. Peak, off-peak, and others as reference data."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.intervals import first_instant_ns, wall_edge_ns
from penstock_sdk.energy.rule_rows import DAY_NAMES
from penstock_sdk.energy.rules import Rules, ShapeRow
from penstock_sdk.energy.zones import MarketZone

__all__ = ["shape_spans"]

_DAY_MINUTES = 24 * 60
_Stretches: TypeAlias = tuple[tuple[int, int], ...]  # (first, end) minutes of the wall clock's day, in order and apart


class _Weeks(NamedTuple):
    """The stretches of each weekday, Monday first, from one day (an ordinal) to another, both included."""

    first: int
    last: int
    days: tuple[_Stretches, ...]


@lru_cache(1024)
def _weeks(rules: Rules, code: str, zone: str) -> tuple[_Weeks, ...]:
    """Return what a shape is in a zone, from when to when.

    Raises:
        EnergyError: no such shape, or none in that zone; names those that there are.
    """
    rows: tuple[ShapeRow, ...] = rules.rows("shapes", code=code, zones=zone) or rules.rows(
        "shapes", code=code, zones="*"
    )
    if not rows:
        raise EnergyError(_undefined(rules, code, zone))
    found = []
    for row in rows:
        first, last = row.valid_from.toordinal(), row.valid_to.toordinal()
        if not row.except_of:
            hours = tuple((_minute(each[:5]), _minute(each[6:])) for each in row.hours)
            found.append(_Weeks(first, last, tuple(hours if name in row.weekdays else () for name in DAY_NAMES)))
            continue
        for other in _weeks(rules, row.except_of, zone):
            if first <= other.last and other.first <= last:
                rest = tuple(_rest(stretches) for stretches in other.days)
                found.append(_Weeks(max(first, other.first), min(last, other.last), rest))
    return tuple(found)


def _undefined(rules: Rules, code: str, zone: str) -> str:
    """Return what to say of a shape that no row gives to a zone."""
    rows: tuple[ShapeRow, ...] = rules.rows("shapes")
    there = sorted({each for row in rows if row.code == code for each in row.zones})
    if not there:
        known = sorted({row.code for row in rows})
        return f"shape {code!r} is not known; known are {', '.join(known)}, and none for base"
    some = ", ".join(there[:6]) + (f" and {len(there) - 6} more" if len(there) > 6 else "")
    return (
        f"shape {code!r} is not defined in zone {zone}; the table shapes has it for {some}; bring a row of "
        f'shapes with code = "{code}", zones = ["{zone}"], its weekdays and hours'
    )


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _rest(stretches: _Stretches) -> _Stretches:
    """Return the day without *stretches*."""
    edges = [0, *(edge for stretch in stretches for edge in stretch), _DAY_MINUTES]
    return tuple((first, end) for first, end in zip(edges[::2], edges[1::2], strict=True) if first < end)


def shape_spans(rules: Rules, code: str, zone: MarketZone, first: date, end: date) -> list[tuple[int, int]]:
    """Return the stretches of time, [start, end) in ns UTC, of a shape in whole delivery days, in order and apart.

    Args:
        rules: whose shapes; a shape that changes is that of each delivery day.
        code: "PEAK".
        zone: whose clock; weekdays and hours are the wall clock's, whenever the delivery day begins.
        first: first delivery day.
        end: first delivery day after the last.

    Raises:
        EnergyError: no such shape, none in that zone, or none on one of the days.

    Cost: about 1 µs a day.
    """
    weeks, timezone = _weeks(rules, code, zone.code), zone.timezone
    week = weeks[0]
    walls = (0, 1) if zone.day_starts_hour else (0,)  # a gas day is of two days of the wall clock
    found: list[tuple[int, int]] = []
    to_ns = first_instant_ns(zone, first)
    for ordinal in range(first.toordinal(), end.toordinal()):
        from_ns, to_ns = to_ns, first_instant_ns(zone, date.fromordinal(ordinal + 1))
        if not week.first <= ordinal <= week.last:
            week = _week_on(weeks, ordinal, code)
        for wall in walls:
            for begins, ends in week.days[(ordinal + wall + 6) % 7]:  # ordinal 1 was a Monday
                start_ns = max(from_ns, wall_edge_ns(timezone, ordinal + wall, begins))
                end_ns = min(to_ns, wall_edge_ns(timezone, ordinal + wall, ends))
                if start_ns >= end_ns:
                    continue
                if found and found[-1][1] == start_ns:
                    found[-1] = (found[-1][0], end_ns)
                else:
                    found.append((start_ns, end_ns))
    return found


def _week_on(weeks: tuple[_Weeks, ...], ordinal: int, code: str) -> _Weeks:
    for week in weeks:
        if week.first <= ordinal <= week.last:
            return week
    raise EnergyError(f"shape {code!r} has no hours on {date.fromordinal(ordinal)}; add a row of shapes for that day")
