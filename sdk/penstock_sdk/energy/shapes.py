"""Shapes: which local hours of which weekdays a period delivers in. Peak, off-peak, and others as reference data."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.intervals import wall_edge_ns
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
def _weeks(rules: Rules, code: str) -> tuple[_Weeks, ...]:
    """Return what a shape is, from when to when.

    Raises:
        EnergyError: no such shape; names those that there are.
    """
    rows: tuple[ShapeRow, ...] = rules.rows("shapes", code=code)
    if not rows:
        known = sorted({row.code for row in rules.rows("shapes")})
        raise EnergyError(f"shape {code!r} is not known; known are {', '.join(known)}, and none for base")
    found = []
    for row in rows:
        first, last = row.valid_from.toordinal(), row.valid_to.toordinal()
        if not row.except_of:
            hours = tuple((_minute(each[:5]), _minute(each[6:])) for each in row.hours)
            found.append(_Weeks(first, last, tuple(hours if name in row.weekdays else () for name in DAY_NAMES)))
            continue
        for other in _weeks(rules, row.except_of):
            if first <= other.last and other.first <= last:
                rest = tuple(_rest(stretches) for stretches in other.days)
                found.append(_Weeks(max(first, other.first), min(last, other.last), rest))
    return tuple(found)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _rest(stretches: _Stretches) -> _Stretches:
    """Return the day without *stretches*."""
    edges = [0, *(edge for stretch in stretches for edge in stretch), _DAY_MINUTES]
    return tuple((first, end) for first, end in zip(edges[::2], edges[1::2], strict=True) if first < end)


def shape_spans(
    rules: Rules, code: str, zone: MarketZone, first: date, days: int, start_ns: int, end_ns: int
) -> list[tuple[int, int]]:
    """Return the stretches of time, [start, end) in ns UTC, of a shape between two instants, in order and apart.

    Args:
        rules: whose shapes; a shape that changes is that of each day.
        code: "PEAK".
        zone: whose clock.
        first: first delivery day.
        days: how many of them there are.
        start_ns: when the first begins; weekdays and hours are those of the wall clock, whenever the gas day begins.
        end_ns: when the last ends.

    Raises:
        EnergyError: no such shape, or none on one of the days.

    Cost: about 1 µs a day.
    """
    weeks, timezone = _weeks(rules, code), zone.timezone
    week = weeks[0]
    found: list[tuple[int, int]] = []
    for ordinal in range(first.toordinal(), first.toordinal() + days + bool(zone.day_starts_hour)):
        if not week.first <= ordinal <= week.last:
            week = _week_on(weeks, ordinal, code)
        for begins, ends in week.days[(ordinal + 6) % 7]:  # ordinal 1 was a Monday
            from_ns = max(start_ns, wall_edge_ns(timezone, ordinal, begins))
            to_ns = (
                wall_edge_ns(timezone, ordinal, ends) if ends < _DAY_MINUTES else wall_edge_ns(timezone, ordinal + 1, 0)
            )
            to_ns = min(end_ns, to_ns)
            if from_ns >= to_ns:
                continue
            if found and found[-1][1] == from_ns:
                found[-1] = (found[-1][0], to_ns)
            else:
                found.append((from_ns, to_ns))
    return found


def _week_on(weeks: tuple[_Weeks, ...], ordinal: int, code: str) -> _Weeks:
    for week in weeks:
        if week.first <= ordinal <= week.last:
            return week
    raise EnergyError(f"shape {code!r} has no hours on {date.fromordinal(ordinal)}; add a row of shapes for that day")
