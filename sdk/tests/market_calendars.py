"""Calendars for tests, from the holidays library: what the refdata plugin would bring, built here by hand."""

from __future__ import annotations

from datetime import date
from functools import cache

import holidays

from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.rules import Reference, builtin_rules

YEARS = range(2014, 2033)


def _calendar(name: str, closed: frozenset[date]) -> Calendar:
    return Calendar(name, date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31), closed, source="holidays")


@cache
def reference() -> Reference:
    """Return the built-in rules with the calendars TARGET, EEX, UK and US."""
    target = frozenset(holidays.financial_holidays("XECB", years=YEARS))
    eves = {date(year, 12, day) for year in YEARS for day in (24, 31)}
    return Reference(
        builtin_rules(),
        Calendars(
            [
                _calendar("TARGET", target),
                _calendar("EEX", target | eves),
                _calendar("UK", frozenset(holidays.country_holidays("GB", subdiv="ENG", years=YEARS))),
                _calendar("US", frozenset(holidays.financial_holidays("XNYS", years=YEARS))),
            ]
        ),
    )
