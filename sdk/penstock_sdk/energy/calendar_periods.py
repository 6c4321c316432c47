"""Periods of whole delivery days, by their calendar names: day, weekend, week, month, quarter, season, year.

A label is what stands after the product: "2025-Q3" in "Q 2025-Q3". Labels know dates and nothing of zones or clocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from penstock_sdk.energy.exact import EnergyError

__all__ = ["CALENDAR_PERIODS", "CalendarPeriod", "days_of_label", "label_of_day", "labels_of_days"]

_ONE_DAY = timedelta(days=1)


class CalendarPeriod(NamedTuple):
    """A kind of period made of whole days.

    Attributes:
        meaning: for people.
        example: a label.
        parts: the product that its parts are, one step finer.
        pattern: what a label looks like.
        days: the first day, and the first day after the last, from the label's parts as the pattern finds them.
        label: the label of the one that holds a day.
    """

    meaning: str
    example: str
    parts: str
    pattern: re.Pattern[str]
    days: Callable[..., tuple[date, date]]
    label: Callable[[date], str]


def _months_after(day: date, months: int) -> date:
    """Return the first of the month so many months after a first of a month."""
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _day(text: str) -> tuple[date, date]:
    day = date.fromisoformat(text)
    return day, day + _ONE_DAY


def _weekend(text: str) -> tuple[date, date]:
    day = date.fromisoformat(text)
    if day.isoweekday() != 6:
        saturday = day + timedelta(days=6 - day.isoweekday())
        raise EnergyError(f"{day} is no Saturday; a weekend is named by its Saturday, such as {saturday}")
    return day, day + 2 * _ONE_DAY


def _week(year: str, week: str) -> tuple[date, date]:
    monday = date.fromisocalendar(int(year), int(week), 1)
    return monday, monday + 7 * _ONE_DAY


def _working_days(year: str, week: str) -> tuple[date, date]:
    monday = date.fromisocalendar(int(year), int(week), 1)
    return monday, monday + 5 * _ONE_DAY


def _balance(text: str) -> tuple[date, date]:
    day = date.fromisoformat(text)
    return day, _months_after(day.replace(day=1), 1)


def _month(year: str, month: str) -> tuple[date, date]:
    first = date(int(year), int(month), 1)
    return first, _months_after(first, 1)


def _quarter(year: str, quarter: str) -> tuple[date, date]:
    first = date(int(year), 3 * int(quarter) - 2, 1)
    return first, _months_after(first, 3)


def _season(year: str, half: str) -> tuple[date, date]:
    first = date(int(year), 4 if half == "SUM" else 10, 1)
    return first, _months_after(first, 6)


def _year(year: str) -> tuple[date, date]:
    return date(int(year), 1, 1), date(int(year) + 1, 1, 1)


def _gas_year(year: str) -> tuple[date, date]:
    return date(int(year), 10, 1), date(int(year) + 1, 10, 1)


def _week_label(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


def _working_label(day: date) -> str:
    if day.isoweekday() > 5:
        raise EnergyError(f"{day} is a {day:%A}; working days are Monday to Friday")
    return _week_label(day)


def _weekend_label(day: date) -> str:
    if day.isoweekday() < 6:
        raise EnergyError(f"{day} is a {day:%A}; a weekend is Saturday and Sunday")
    return (day - timedelta(days=day.isoweekday() - 6)).isoformat()


def _month_label(day: date) -> str:
    return day.isoformat()[:7]


def _quarter_label(day: date) -> str:
    return f"{day.year:04}-Q{(day.month + 2) // 3}"


def _season_label(day: date) -> str:
    if 4 <= day.month <= 9:
        return f"{day.year:04}-SUM"
    return f"{day.year - (day.month < 4):04}-WIN"


def _year_label(day: date) -> str:
    return f"{day.year:04}"


def _gas_year_label(day: date) -> str:
    return f"{day.year - (day.month < 10):04}"


_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})")
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")
_SEASON = re.compile(r"([0-9]{4})-(SUM|WIN)")
_YEAR = re.compile(r"([0-9]{4})")

CALENDAR_PERIODS: dict[str, CalendarPeriod] = {
    "D": CalendarPeriod("day", "2025-07-01", "", _DATE, _day, date.isoformat),
    "WE": CalendarPeriod("weekend", "2025-07-05", "D", _DATE, _weekend, _weekend_label),
    "W": CalendarPeriod("week", "2025-W27", "D", _WEEK, _week, _week_label),
    "WD": CalendarPeriod("working week", "2025-W27", "D", _WEEK, _working_days, _working_label),
    "BOM": CalendarPeriod("balance of a month", "2025-07-08", "D", _DATE, _balance, date.isoformat),
    "M": CalendarPeriod("month", "2025-07", "D", _MONTH, _month, _month_label),
    "Q": CalendarPeriod("quarter", "2025-Q3", "M", _QUARTER, _quarter, _quarter_label),
    "S": CalendarPeriod("season", "2025-WIN", "Q", _SEASON, _season, _season_label),
    "Y": CalendarPeriod("year", "2026", "Q", _YEAR, _year, _year_label),
    "GY": CalendarPeriod("gas year", "2025", "S", _YEAR, _gas_year, _gas_year_label),
}
"""Periods of whole days by the product that their names begin with."""


def _kind(product: str) -> CalendarPeriod:
    """Return what a product is."""
    kind = CALENDAR_PERIODS.get(product)
    if kind is None:
        raise EnergyError(f"product {product!r} is made of no whole days; known are {', '.join(CALENDAR_PERIODS)}")
    return kind


def days_of_label(product: str, label: str) -> tuple[date, date]:
    """Return the first delivery day of a period and the first day after it.

    Raises:
        EnergyError: no such product, or a label that is none of its.
    """
    kind = _kind(product)
    match = kind.pattern.fullmatch(label)
    if match is None:
        raise EnergyError(f"{label!r} names no {kind.meaning}; wanted one like '{kind.example}'")
    try:
        return kind.days(*match.groups())
    except EnergyError:
        raise
    except (ValueError, OverflowError) as error:
        raise EnergyError(f"{label!r} names no {kind.meaning}: {error}") from None


def label_of_day(product: str, day: date) -> str:
    """Return the label of the period of that product which holds *day*; of BOM, the one that begins with it.

    Raises:
        EnergyError: no such product, or none of it holds that day (a weekend on a Tuesday).
    """
    return _kind(product).label(day)


def labels_of_days(product: str, first: date, end: date) -> list[str]:
    """Return the labels of the periods of *product* that tile the days from *first* to the day before *end*.

    Raises:
        EnergyError: they do not: a week is no whole months.
    """
    labels, day = [], first
    while day < end:
        label = label_of_day(product, day)
        begins, ends = days_of_label(product, label)
        if begins != day or ends > end:
            raise EnergyError(
                f"the days from {first} to {end - _ONE_DAY} are no whole {_kind(product).meaning}s: {product} {label} "
                f"is {begins} to {ends - _ONE_DAY}"
            )
        labels.append(label)
        day = ends
    return labels
