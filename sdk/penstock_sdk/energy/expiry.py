"""Last trading days: rules of the venues, on business days of a named calendar.

>>> from datetime import date
>>> uk = Calendar("UK", date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 5, 25)}))
>>> last_trading_day("last_monday 4", uk, date(2026, 5, 1), date(2026, 6, 1))  # the last Monday is a bank holiday
datetime.date(2026, 5, 18)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Reference

__all__ = ["RULES", "calendar_of", "last_trading_day", "rule_words"]

_ONE_DAY = timedelta(days=1)


def _before_delivery(calendar: Calendar, first: date, end: date, count: int) -> date:
    """Return the count-th business day before the first day of delivery."""
    return calendar.shift(first, -count)


def _in_delivery(calendar: Calendar, first: date, end: date, count: int) -> date:
    """Return the last business day of the delivery period; where it has none, the last one before it."""
    return calendar.last_open(end - _ONE_DAY)


def _last_monday(calendar: Calendar, first: date, end: date, count: int) -> date:
    """Return the last Monday of the month with no bank holiday on it or on the *count* days after.

    The venue's page speaks of the penultimate Monday only; where Christmas and New Year spoil both, the one before is
    taken: December 2024 expired on the 16th (carbon-pulse.com/352450), and not on the 23rd.
    """
    monday = end - timedelta(days=(end - _ONE_DAY).isoweekday())
    while not all(calendar.is_open(monday + timedelta(days=n)) for n in range(count + 1)):
        monday -= timedelta(days=7)
    return monday


def _on_day(calendar: Calendar, first: date, end: date, count: int) -> date:
    """Return the day itself; it must be a business day."""
    if not calendar.is_open(first):
        raise EnergyError(
            f"{first} is no business day of calendar {calendar.name!r}; the next is {calendar.shift(first, 1)}"
        )
    return first


RULES: dict[str, tuple[Callable[[Calendar, date, date, int], date], str]] = {
    "before_delivery": (_before_delivery, "{count} {calendar} business days before delivery"),
    "in_delivery": (_in_delivery, "last {calendar} business day of the delivery period"),
    "last_monday": (
        _last_monday,
        "last Monday of the month without a {calendar} holiday on it or on the {count} days after",
    ),
    "on_day": (_on_day, "the contract's own {calendar} business day"),
}
"""Each rule by its word in reference data: (calendar, first day, day after the last, number) → day; and its words."""


def _rule(rule: str) -> tuple[Callable[[Calendar, date, date, int], date], str, int]:
    word, _, count = rule.partition(" ")
    if word not in RULES or (count and not count.isdecimal()):
        raise EnergyError(
            f"last_trading is {rule!r}; wanted one of {', '.join(RULES)}, and a number such as 'before_delivery 2'"
        )
    return *RULES[word], int(count or 0)


def rule_words(rule: str, calendar: str) -> str:
    """Return a rule in words, "2 UK business days before delivery"."""
    _, words, count = _rule(rule)
    text = words.format(count=count, calendar=calendar)
    return text.replace("1 UK business days", "1 UK business day") if count == 1 else text


def last_trading_day(rule: str, calendar: Calendar, first: date, end: date) -> date:
    """Return the last trading day of a contract.

    Args:
        rule: a word of RULES, with its number: "before_delivery 2".
        calendar: whose business days count.
        first: the first delivery day; of carbon the first day of the contract month.
        end: the day after the last one.

    Raises:
        EnergyError: no such rule, or the calendar does not reach that far.
    """
    function, _, count = _rule(rule)
    return function(calendar, first, end, count)


def calendar_of(reference: Reference, name: str) -> Calendar:
    """Return a calendar of the reference data.

    Raises:
        EnergyError: it is not loaded; the message says how to get it.
    """
    calendars = reference.calendars
    found: Calendar = calendars[name] if name in calendars else Calendars(calendars.values())[name]
    return found
