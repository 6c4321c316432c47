"""Which delivery days trade when: a day's contracts are announced at 14:45 local time of the day before delivery.

>>> days = TradingDays.of("DE-LU", "2026-03-28", "rolling")
>>> noon_ns = announced_ns("DE-LU", date(2026, 3, 29)) - 1
>>> [str(day) for day in days.live(noon_ns)], [str(day) for day in days.live(noon_ns + 1)]
(['2026-03-28'], ['2026-03-28', '2026-03-29'])
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, TypeAlias

import msgspec

from penstock_sdk.energy.delivery import delivery_date, delivery_day
from penstock_sdk.energy.localtime import local_to_ns, ns_to_local
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = ["DAYS_MAX", "Days", "TradingDays", "announced_ns"]

DAYS_MAX = 36_600
"""The most that may be asked for by number: a hundred years."""
Days: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] | Literal["rolling"]
"""How many delivery days in a row; "rolling" has no last one."""

# A quarter of an hour before the first contracts (hours, at 15:00) open: time to hear of them and to prepare.
_ANNOUNCED = time(14, 45)
_ONE_DAY = timedelta(days=1)


def announced_ns(zone: MarketZone | str, day: date) -> int:
    """Return when the contracts of delivery *day* are announced: 14:45 local time of the day before, ns UTC."""
    return local_to_ns(datetime.combine(day - _ONE_DAY, _ANNOUNCED), market_zone(zone).timezone)


class TradingDays(msgspec.Struct, frozen=True):
    """Delivery days in a row, in one zone."""

    zone: MarketZone
    first: date
    days: Days

    @classmethod
    def of(cls, zone: MarketZone | str, first: str, days: Days) -> TradingDays:
        """Return the days that a config names.

        Raises:
            EnergyError: an unknown zone.
            ValueError: *first* is no date.
        """
        try:
            day = date.fromisoformat(first)
        except ValueError:
            raise ValueError(f"delivery_day met {first!r}, wanted a date such as '2026-03-10'") from None
        return cls(market_zone(zone), day, days)

    def __contains__(self, day: date) -> bool:
        """Return whether *day* is one of them."""
        return day >= self.first and (self.days == "rolling" or (day - self.first).days < self.days)

    def next(self, after: date, now_ns: int) -> date | None:
        """Return the first day after *after* that is announced later than now; None where none comes any more."""
        day = max(after + _ONE_DAY, ns_to_local(now_ns, self.zone.timezone).date())
        while announced_ns(self.zone, day) <= now_ns:
            day += _ONE_DAY
        return day if day in self else None

    def live(self, now_ns: int) -> list[date]:
        """Return the days that are announced by now and not over; before any is, the first; after all are, none."""
        if now_ns < announced_ns(self.zone, self.first):
            return [self.first]
        today = delivery_date(self.zone, now_ns)
        return [
            day
            for day in (today, today + _ONE_DAY)
            if day in self and announced_ns(self.zone, day) <= now_ns < delivery_day(self.zone, day).end_ns
        ]
