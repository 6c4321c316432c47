"""The intervals of a zone's position grid, numbered: a fixed step, or local delivery days of 23, 24 or 25 hours.

>>> berlin = GridSlots.of(ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR"))
>>> first = berlin.slot(1_761_436_800_000_000_000)  # 2025-10-26 00:00 UTC
>>> berlin.start_ns(first + 4) - berlin.start_ns(first), berlin.energy_per_unit(first)
(3600000000000, Fraction(1, 4000))
>>> hub = GridSlots.of(ZoneDefinition(zone_id=2, code="NBP", timezone="Europe/London", currency="GBP",
...     commodity="gas", day_starts_hour=6, interval_minutes=1_440, grid_unit="therm/d"))
>>> day = date(2025, 10, 25).toordinal()  # the gas day that ends on the Sunday when the clock goes back
>>> (hub.start_ns(day + 1) - hub.start_ns(day)) // 3_600_000_000_000, hub.energy_per_unit(day)
(25, Fraction(1, 1))
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_MINUTE, day_start_ns, local_to_ns, ns_to_local
from penstock_sdk.events import ListingDefinition, ZoneDefinition
from penstock_sdk.golden.delivery_cells import CELL_MAX

__all__ = ["GRID_UNITS", "MINUTES_PER_DAY", "GridSlots", "segments_of"]

MINUTES_PER_DAY: Final = 1_440
GRID_UNITS: Final = {
    "kW": Fraction(1, 60_000),
    "therm/d": Fraction(1),
    "mMMBtu/d": Fraction(1, 1_000),
    "kWh/d": Fraction(1, 1_000),
    "kg": Fraction(1, 1_000),
}
"""What prices are per (MWh, therm, MMBtu, t) in one unit of the grid: of kW over a minute, of the others over a slot.
mMMBtu/d is 10⁻³ MMBtu a day."""
_ORIGIN_DAY = date(2000, 1, 1)


@lru_cache(65_536)
def _day_starts_ns(ordinal: int, timezone: str, hour: int) -> int:
    """Return when a local delivery day begins, ns UTC."""
    day = date.fromordinal(ordinal)
    if not hour:
        return day_start_ns(day, timezone)
    return local_to_ns(datetime.combine(day, time(hour)), timezone, passing="A")


class GridSlots(msgspec.Struct, frozen=True):
    """How a zone numbers its intervals. Numbers are absolute: steps since 1970, or days as ``date.toordinal()``.

    Attributes:
        interval_minutes: the step; 1,440 is a local delivery day.
        grid_unit: what a cell's amount is in, one of GRID_UNITS.
        origin_ns: ns by which the step's grid lies off 1970; below one step.
    """

    zone_id: int
    code: str
    timezone: str
    interval_minutes: int
    grid_unit: str
    day_starts_hour: int
    origin_ns: int

    @classmethod
    def of(cls, zone: ZoneDefinition) -> GridSlots:
        """Return a zone's numbering.

        Raises:
            EnergyError: a step that does not divide an hour and is no day, an unknown unit or time zone.
        """
        minutes = zone.interval_minutes
        if minutes != MINUTES_PER_DAY and (minutes < 1 or 60 % minutes):
            raise EnergyError(
                f"interval_minutes of zone {zone.code} is {minutes}; wanted a divisor of 60, or {MINUTES_PER_DAY} for "
                "local delivery days"
            )
        if zone.grid_unit not in GRID_UNITS:
            raise EnergyError(f"grid_unit of zone {zone.code} is {zone.grid_unit!r}; wanted one of {list(GRID_UNITS)}")
        starts_ns = _day_starts_ns(_ORIGIN_DAY.toordinal(), zone.timezone, zone.day_starts_hour)
        origin_ns = 0 if minutes == MINUTES_PER_DAY else starts_ns % (minutes * NS_PER_MINUTE)
        return cls(
            zone.zone_id, zone.code, zone.timezone, minutes, zone.grid_unit, zone.day_starts_hour, origin_ns
        )  # fmt: skip

    @property
    def in_days(self) -> bool:
        """Whether a slot is a local delivery day."""
        return self.interval_minutes == MINUTES_PER_DAY

    def floor(self, at_ns: int) -> int:
        """Return the slot that holds an instant (ns UTC)."""
        if not self.in_days:
            return (at_ns - self.origin_ns) // (self.interval_minutes * NS_PER_MINUTE)
        local = ns_to_local(at_ns, self.timezone)
        ordinal = (local.replace(tzinfo=None) - timedelta(hours=self.day_starts_hour)).date().toordinal()
        # Where the clock goes back over midnight the day has begun, and the wall shows the day before again.
        return ordinal + 1 if at_ns >= self.start_ns(ordinal + 1) else ordinal

    def start_ns(self, slot: int) -> int:
        """Return when a slot begins, ns UTC."""
        if self.in_days:
            return _day_starts_ns(slot, self.timezone, self.day_starts_hour)
        return slot * self.interval_minutes * NS_PER_MINUTE + self.origin_ns

    def slot(self, at_ns: int) -> int:
        """Return the slot that begins at an instant (ns UTC).

        Raises:
            EnergyError: none does; names the grid and its nearest instants.
        """
        slot = self.floor(at_ns)
        if self.start_ns(slot) != at_ns:
            step = "local delivery days" if self.in_days else f"{self.interval_minutes} minutes"
            raise EnergyError(
                f"{_utc(at_ns)} is not on the grid of zone {self.code}, which goes by {step}; "
                f"wanted {_utc(self.start_ns(slot))} or {_utc(self.start_ns(slot + 1))}"
            )
        return slot

    def minutes(self, slot: int) -> int:
        """Return how long a slot lasts, in minutes."""
        if not self.in_days:
            return self.interval_minutes
        return (self.start_ns(slot + 1) - self.start_ns(slot)) // NS_PER_MINUTE

    @property
    def varies(self) -> bool:
        """Whether a unit of the grid makes more in one slot than in another: of power, in days of 23 and 25 hours."""
        return self.in_days and self.grid_unit == "kW"

    def energy_per_unit(self, slot: int) -> Fraction:
        """Return what one unit held over a slot makes, in what prices are per: MWh, therm, MMBtu or t."""
        factor = GRID_UNITS[self.grid_unit]
        return factor * self.minutes(slot) if self.grid_unit == "kW" else factor


def segments_of(listing: ListingDefinition, slots: GridSlots) -> npt.NDArray[np.int64]:
    """Return (n, 3), the ``SEGMENT_*`` columns of a listing; segments that touch and are alike become one.

    Raises:
        EnergyError: a segment is off the grid, empty or negative, or begins before the end of the one before it.
    """
    start_ns, found = listing.interval_start_ns, listing.segments
    if not found:
        end = slots.slot(start_ns + listing.interval_ns * listing.interval_count)
        found = [(start_ns, end - slots.slot(start_ns), listing.lot_kw)]
    rows: list[list[int]] = []
    for starts_ns, count, amount in found:
        slot = slots.slot(starts_ns)
        if count < 1 or not 0 <= amount <= CELL_MAX or (rows and slot < rows[-1][0] + rows[-1][1]):
            raise EnergyError(
                f"segment {(starts_ns, count, amount)} of listing {listing.name}; wanted one interval or more, an "
                "amount of 0 or more, and a start at or after the end of the one before"
            )
        if rows and rows[-1][0] + rows[-1][1] == slot and rows[-1][2] == amount:
            rows[-1][1] += count
        else:
            rows.append([slot, count, amount])
    return np.array(rows, np.int64)


def _utc(at_ns: int) -> str:
    return f"{ns_to_local(at_ns, 'UTC'):%Y-%m-%d %H:%M:%S} UTC"
