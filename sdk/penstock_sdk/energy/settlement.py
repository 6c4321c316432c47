"""When money moves, and how much of it: value days of trades, futures, months and imbalance, exact amounts.

>>> from datetime import datetime
>>> from penstock_sdk.energy.localtime import local_to_ns
>>> friday = local_to_ns(datetime(2026, 4, 2, 15, 59), CUTOFF_ZONE)  # Thursday before Good Friday
>>> trade_value_day(friday, target_calendar()).isoformat()
'2026-04-07'

A clearing house collects what is traded before 16:00 of a business day and pays it on the next one; what comes later,
or on a day that is none, belongs to the business day after. Business days are those of TARGET.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple

from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import day_start_ns, local_to_ns, ns_to_local

__all__ = [
    "CUTOFF",
    "CUTOFF_ZONE",
    "PAYMENT_DAY",
    "ValueWindow",
    "delivered_on",
    "divide_half_even",
    "imbalance_micro",
    "month_end_ns",
    "month_final_day",
    "month_of",
    "monthly_value_day",
    "next_value_day",
    "price_micro",
    "target_calendar",
    "trade_value_day",
    "value_window",
]

CUTOFF = time(16)
"""Local time from which on a trade belongs to the next business day."""
CUTOFF_ZONE = "Europe/Berlin"
PAYMENT_DAY = 20
"""Of the month after delivery: the EFET General Agreement's day of payment."""
_WATT_MINUTES_PER_MWH = 60_000_000
_ONE_DAY = timedelta(days=1)
_PRICE_MAX = 1e9


class ValueWindow(NamedTuple):
    """All trades from *from_ns* up to, not including, *until_ns* are paid on *day*."""

    from_ns: int
    until_ns: int
    day: date


@cache
def target_calendar(first_year: int = 1960, last_year: int = 2100) -> Calendar:
    """Return the closing days of TARGET by the ECB's rule, which has stood since 2002.

    Closed besides weekends: 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December. A calendar from the
    refdata plugin goes before this one.
    """
    closed: set[date] = set()
    for year in range(first_year, last_year + 1):
        easter = _easter(year)
        closed |= {easter - 2 * _ONE_DAY, easter + _ONE_DAY}
        closed |= {date(year, month, day) for month, day in ((1, 1), (5, 1), (12, 25), (12, 26))}
    return Calendar(
        "TARGET", date(first_year, 1, 1), date(last_year, 12, 31), frozenset(closed), source="ECB rule of 2002"
    )


def _easter(year: int) -> date:
    """Return Easter Sunday: Gauss's computation with the Gregorian corrections."""
    century = year // 100
    moon = (19 * (year % 19) + century - century // 4 - (8 * century + 13) // 25 + 15) % 30
    moon -= moon // 28 * (1 - 29 // (moon + 1) * ((21 - year % 19) // 11))
    sunday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    after = moon - sunday
    month = 3 + (after + 40) // 44
    return date(year, month, after + 28 - 31 * (month // 4))


def value_window(traded_ns: int, calendar: Calendar) -> ValueWindow:
    """Return when a trade of *traded_ns* (ns UTC) is paid, and which others are paid with it.

    Exactly 16:00:00.000000000 local is too late for its day.

    Raises:
        EnergyError: the calendar does not reach that far.
    """
    day = ns_to_local(traded_ns, CUTOFF_ZONE).date()
    if not (calendar.is_open(day) and traded_ns < _cutoff_ns(day)):
        day = calendar.shift(day, 1)
    return ValueWindow(_cutoff_ns(calendar.shift(day, -1)), _cutoff_ns(day), calendar.shift(day, 1))


def trade_value_day(traded_ns: int, calendar: Calendar) -> date:
    """Return the day on which a spot trade is paid: see `value_window`."""
    return value_window(traded_ns, calendar).day


def _cutoff_ns(day: date) -> int:
    return local_to_ns(datetime.combine(day, CUTOFF), CUTOFF_ZONE)


def next_value_day(at_ns: int, calendar: Calendar) -> date:
    """Return the business day after the local day of *at_ns*: when a future's daily gain or loss is paid."""
    return calendar.shift(ns_to_local(at_ns, CUTOFF_ZONE).date(), 1)


def monthly_value_day(delivered: date, calendar: Calendar) -> date:
    """Return when the month of a local delivery day is paid: the 20th of the next, or the business day after it."""
    return calendar.next_open(_next_month(delivered).replace(day=PAYMENT_DAY))


def delivered_on(at_ns: int, timezone: str, day_starts_hour: int = 0) -> date:
    """Return the local delivery day of an instant: of gas, whose days begin at 06:00, at 05:59 yesterday's."""
    day = ns_to_local(at_ns, timezone).date()
    if day_starts_hour and at_ns < _delivery_starts_ns(day, timezone, day_starts_hour):
        return day - _ONE_DAY
    return day


def month_of(at_ns: int, timezone: str, day_starts_hour: int = 0) -> str:
    """Return the month of an instant's local delivery day, as "2026-03"."""
    return f"{delivered_on(at_ns, timezone, day_starts_hour):%Y-%m}"


def month_end_ns(month: str, timezone: str, day_starts_hour: int = 0) -> int:
    """Return when the last delivery day of a month ("2026-03") is over, ns UTC.

    Raises:
        EnergyError: *month* is none.
    """
    return _delivery_starts_ns(_next_month(_first(month)), timezone, day_starts_hour)


def _delivery_starts_ns(day: date, timezone: str, hour: int) -> int:
    return local_to_ns(datetime.combine(day, time(hour)), timezone) if hour else day_start_ns(day, timezone)


def month_final_day(month: str, calendar: Calendar, business_days: int = 20) -> date:
    """Return the business day of the following month up to which imbalance prices may change: the 20th.

    Source: the German transmission operators' rule for the uniform imbalance price.
    """
    return calendar.shift(_next_month(_first(month)) - _ONE_DAY, business_days)


def _first(month: str) -> date:
    try:
        return datetime.strptime(month, "%Y-%m").date()
    except ValueError:
        raise EnergyError(f"month met {month!r}, wanted one such as '2026-03'") from None


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return the quotient of integers rounded to the nearest, a tie to the even one; *denominator* above 0."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def price_micro(value: float) -> int:
    """Return a published price as whole 10⁻⁶ of its currency per unit.

    Raises:
        EnergyError: it is no number, or beyond 10⁹.
    """
    if not -_PRICE_MAX <= value <= _PRICE_MAX:
        raise EnergyError(f"price met {value}, wanted a number between -{_PRICE_MAX:g} and {_PRICE_MAX:g}")
    return round(value * 1_000_000)


def imbalance_micro(deviation_watt_minutes: int, micro_per_mwh: int) -> int:
    """Return what one interval's deviation brings, in 10⁻⁶ of the currency: received positive, paid negative.

    Args:
        deviation_watt_minutes: metered offtake less net purchases: what was taken and not bought; negative is surplus.
        micro_per_mwh: one price for both directions; may be negative.

    Rounded half-even to a whole 10⁻⁶, once an interval: a meter of whole Wh times a price in cents can end on a half.
    """
    return -divide_half_even(deviation_watt_minutes * micro_per_mwh, _WATT_MINUTES_PER_MWH)
