"""Calendars from libraries: public and bank holidays from holidays, trading sessions from exchange-calendars.

Both are imported when the first calendar is asked for: holidays takes 0.1 s (0.6 s where Python may not keep bytecode),
exchange-calendars 1 s, for it needs pandas.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import date, timedelta
from importlib import import_module
from importlib.metadata import version
from typing import Any

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.events import CalendarDefinition
from penstock_sdk.typed import closest

__all__ = ["CALENDARS", "holiday_calendar", "session_calendar"]

CALENDARS: dict[str, tuple[str, dict[str, str]]] = {
    # Days on which the euro area's payment system settles.
    "TARGET": ("holidays.financial.european_central_bank:XECB", {}),
    # Days on which EEX trades power: TARGET's, without 24 and 31 December, as exchange-calendars has them as XEEE.
    "EEX": ("holidays.financial.european_central_bank:XECB", {}),
    # Bank holidays of England and Wales, by which ICE counts business days.
    "UK": ("holidays.countries.united_kingdom:GB", {"subdiv": "ENG"}),
    # Days on which New York's exchanges are open, by which NYMEX counts business days.
    "US": ("holidays.financial.ny_stock_exchange:XNYS", {}),
}
"""Each calendar's class in holidays, and how it is called; by name."""

_MORE_CLOSED = {"EEX": ((12, 24), (12, 31))}
"""Months and days on which a market is closed every year besides."""

# NYMEX does not close for a day of mourning, on which the New York Stock Exchange does.
_NYSE_ALONE = "National Day of Mourning"


def holiday_calendar(name: str, first_year: int, last_year: int) -> CalendarDefinition:
    """Return the calendar of that name for whole years; closed days that fall on weekends are left out.

    Raises:
        EnergyError: no such calendar; the message names those there are.
    """
    if name not in CALENDARS:
        near = closest(name, CALENDARS)
        hint = f"did you mean {near}? " if near else ""
        raise EnergyError(
            f"calendar {name!r} is not known; {hint}known are {', '.join(CALENDARS)}; an exchange's own comes by "
            'sessions = ["XEEE"]'
        )
    years = range(first_year, last_year + 1)
    found = {day for day, what in _holidays(name, years) if _NYSE_ALONE not in what}
    found |= {date(year, *day) for year in years for day in _MORE_CLOSED.get(name, ())}
    closed = sorted(day for day in found if day.isoweekday() < 6)
    return _definition(name, f"holidays {version('holidays')}", first_year, last_year, closed)


def _holidays(name: str, years: Iterable[int]) -> list[tuple[date, str]]:
    path, how = CALENDARS[name]
    module, _, cls = path.partition(":")
    # By its class: to find it by name takes three times as long.
    return sorted(getattr(import_module(module), cls)(years=years, **how).items())


def session_calendar(code: str, first_year: int, last_year: int) -> CalendarDefinition:
    """Return the sessions of an exchange as a calendar named by its code, such as XEEE, early closes included.

    Raises:
        EnergyError: the package is not installed, knows no such exchange, or does not reach those years.
    """
    try:
        exchange_calendars: Any = import_module("exchange_calendars")
    except ImportError as error:
        raise EnergyError(
            f"sessions of {code} come from exchange-calendars, which cannot be imported: {error}; install "
            "penstock-plugins[sessions]"
        ) from None
    names = exchange_calendars.get_calendar_names()
    if code not in names:
        near = closest(code, names)
        hint = f"did you mean {near}? " if near else ""
        raise EnergyError(f"exchange {code!r} is not known; {hint}known are {', '.join(names)}")
    first, last = date(first_year, 1, 1), date(last_year, 12, 31)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own of what pandas will change
            calendar = exchange_calendars.get_calendar(code, start=first.isoformat(), end=last.isoformat())
            closes = calendar.closes.loc[calendar.early_closes].dt.tz_convert(calendar.tz)
    except ValueError as error:
        raise EnergyError(f"sessions of {code} from {first} to {last} cannot be had: {error}") from None
    weekend = "".join(str(number) for number, works in enumerate(calendar.weekmask, 1) if works == "0")
    sessions = {each.date() for each in calendar.sessions}
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    closed = [day for day in days if str(day.isoweekday()) not in weekend and day not in sessions]
    early = {session.date().isoformat(): f"{at:%H:%M}" for session, at in closes.items()}
    source = f"exchange-calendars {version('exchange-calendars')}"
    return _definition(code, source, first_year, last_year, closed, early=early, weekend=weekend)


def _definition(
    name: str, source: str, first_year: int, last_year: int, closed: list[date], **more: Any
) -> CalendarDefinition:
    return CalendarDefinition(
        name=name, source=source, first=f"{first_year}-01-01", last=f"{last_year}-12-31",
        closed=[day.isoformat() for day in closed], **more,
    )  # fmt: skip
