"""Business days: which days a market or a payment system is open, and how to count on them.

The vocabulary knows no holidays of its own: they are data, handed in as `Calendar` values.

>>> from datetime import date
>>> uk = Calendar("UK", date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 8, 31)}))
>>> uk.shift(date(2026, 9, 1), -2)
datetime.date(2026, 8, 27)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec

from penstock_sdk.energy.exact import EnergyError

__all__ = ["Calendar", "Calendars"]

_ONE_DAY = timedelta(days=1)


class Calendar(msgspec.Struct, frozen=True):
    """The days on which something is closed, between two dates.

    Attributes:
        name: TARGET, UK, US, EEX …
        first: the first date that is known …
        last: … and the last; outside of them nothing is known, and asking is an error.
        closed: dates closed besides the weekend.
        early: date → local time of an early close.
        weekend: ISO numbers of the weekdays that are closed, "67" for Saturday and Sunday; empty where none is.
        source: where the dates come from, with a version.

    Raises:
        EnergyError: first after last, a weekend that is no set of ISO weekdays or leaves no day open.
    """

    name: str
    first: date
    last: date
    closed: frozenset[date] = frozenset()
    early: Mapping[date, time] = {}
    weekend: str = "67"
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a calendar that nothing can be counted on."""
        if self.first > self.last:
            raise EnergyError(f"calendar {self.name!r} begins on {self.first}, after its end on {self.last}")
        if set(self.weekend) - set("1234567") or len(set(self.weekend)) == 7:
            raise EnergyError(
                f"calendar {self.name!r} has the weekend {self.weekend!r}; wanted ISO weekdays that are closed, as '67'"
            )

    def is_open(self, day: date) -> bool:
        """Return whether *day* is a business day.

        Raises:
            EnergyError: the calendar does not reach that day.
        """
        if isinstance(day, datetime):
            raise EnergyError(f"day is the datetime {day.isoformat()}; pass a date")
        if not self.first <= day <= self.last:
            raise EnergyError(
                f"calendar {self.name!r} knows {self.first} to {self.last}, not {day}; load a longer one with the "
                "refdata plugin"
            )
        return str(day.isoweekday()) not in self.weekend and day not in self.closed

    def shift(self, day: date, count: int) -> date:
        """Return the business day *count* on from *day*, or back where negative; *day* itself does not count.

        0 returns *day* where it is open, else the next business day.

        Raises:
            EnergyError: the calendar does not reach that far.
        """
        if count == 0:
            return self.next_open(day)
        step = _ONE_DAY if count > 0 else -_ONE_DAY
        for _ in range(abs(count)):
            day += step
            while not self.is_open(day):
                day += step
        return day

    def next_open(self, day: date) -> date:
        """Return *day* where it is open, else the next business day."""
        while not self.is_open(day):
            day += _ONE_DAY
        return day

    def last_open(self, day: date) -> date:
        """Return *day* where it is open, else the business day before it."""
        while not self.is_open(day):
            day -= _ONE_DAY
        return day

    def last_open_of_month(self, year: int, month: int) -> date:
        """Return the last business day of a month."""
        return self.last_open(date(year + month // 12, month % 12 + 1, 1) - _ONE_DAY)

    def count_open(self, first: date, end: date) -> int:
        """Return how many business days there are from *first* to the day before *end*."""
        return sum(self.is_open(first + timedelta(days=n)) for n in range((end - first).days))


class Calendars(Mapping[str, Calendar]):
    """Calendars by name. One that is missing is an error which says how to get it."""

    def __init__(self, calendars: Iterable[Calendar] = ()) -> None:
        self._by_name = {each.name: each for each in calendars}

    def __getitem__(self, name: str) -> Calendar:
        """Return the calendar of that name.

        Raises:
            EnergyError: there is none; the message names those that are loaded.
        """
        found = self._by_name.get(name)
        if found is None:
            known = f"loaded are {', '.join(sorted(self._by_name))}" if self._by_name else "none is loaded"
            raise EnergyError(
                f"calendar {name!r} is not loaded; {known}; the refdata plugin provides calendars: "
                "list it in the deployment, or pass Calendars of your own"
            )
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """Return the calendar of that name, or *default*: here a missing one is no error."""
        return self._by_name.get(name, default)

    def __contains__(self, name: object) -> bool:
        """Return whether a calendar of that name is loaded."""
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        """Yield the names, sorted."""
        return iter(sorted(self._by_name))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_name)

    def __repr__(self) -> str:
        """Return the names, for people."""
        return f"Calendars({', '.join(self)})"

    def with_calendars(self, calendars: Iterable[Calendar]) -> Calendars:
        """Return these with others added or put in the place of those of the same name."""
        return Calendars((*self._by_name.values(), *calendars))
