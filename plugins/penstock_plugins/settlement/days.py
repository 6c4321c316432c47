"""Value days: the days on which money moves, by the deployment's calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from penstock_sdk.context import Context
from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.settlement import (
    delivered_on,
    monthly_value_day,
    next_value_day,
    target_calendar,
    value_window,
)
from penstock_sdk.grid_slots import GridSlots

__all__ = ["ValueDays"]

T = TypeVar("T")


class ValueDays:
    """Says when money moves, as ``date.toordinal()``. A trade's day costs two comparisons, the calendar once a day."""

    def __init__(self, ctx: Context, calendar: str) -> None:
        self._ctx, self._calendar = ctx, calendar
        self._window = (0, 0, 0)
        """(from, until, value day) of the trades of now."""

    def on_calendar(self, rule: Callable[[Calendar], T]) -> T:
        """Return a rule's answer on the deployment's calendar; by the ECB's own rule where that does not reach."""
        calendars = self._ctx.reference.calendars
        if self._calendar in calendars:
            try:
                return rule(calendars[self._calendar])
            except EnergyError:
                pass
        return rule(target_calendar())

    def of_trade(self, traded_ns: int) -> int:
        """Return when the clearing house pays a trade."""
        if not self._window[0] <= traded_ns < self._window[1]:
            window = self.on_calendar(lambda calendar: value_window(traded_ns, calendar))
            self._window = (window.from_ns, window.until_ns, window.day.toordinal())
        return self._window[2]

    def of_month(self, delivered_ns: int, slots: GridSlots) -> int:
        """Return when a delivery's month is paid; where that has passed, the next business day."""
        delivered: date = delivered_on(delivered_ns, slots.timezone, slots.day_starts_hour)
        day = self.on_calendar(lambda calendar: monthly_value_day(delivered, calendar))
        return max(day.toordinal(), self.after(self._ctx.now_ns))

    def after(self, at_ns: int) -> int:
        """Return the business day after the local day of a time."""
        return self.on_calendar(lambda calendar: next_value_day(at_ns, calendar)).toordinal()
