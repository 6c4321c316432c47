"""What values of reference rows must be like: each check gives the faults it finds, so that a row tells all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.money import price_currency

__all__ = ["AMOUNTS", "GRID_UNITS", "PRICED_BY", "off_form", "price_unit_faults", "refused"]

PRICED_BY = {"MW": "MWh", "therm/d": "therm", "MMBtu": "MMBtu", "t": "t"}
"""Units of quantities, and the unit that a price of each is per."""

AMOUNTS = tuple(PRICED_BY.values())
"""What prices are per."""

GRID_UNITS = ("kW", "therm/d", "mMMBtu/d", "kWh/d", "kg")
"""What amounts on a position grid are in."""


def refused(check: Callable[[], object]) -> Iterator[str]:
    """Yield why *check* raises EnergyError, if it does."""
    try:
        check()
    except EnergyError as error:
        yield str(error)


def off_form(pattern: re.Pattern[str], text: str, what: str, wanted: str) -> Iterator[str]:
    """Yield a fault unless *text* is of that form."""
    if not pattern.fullmatch(text):
        yield f"{what} is {text!r}; wanted {wanted}"


def price_unit_faults(unit: str, *, per: str = "", template: str = "") -> Iterator[str]:
    """Yield what is wrong with the unit of a price.

    Args:
        unit: as "EUR/MWh".
        per: what it must be per; empty: any of `AMOUNTS`.
        template: what may stand in place of a currency.
    """
    code, slash, amount = unit.partition("/")
    if not slash or amount not in ((per,) if per else AMOUNTS):
        yield f"price_unit is {unit!r}; wanted a currency per {per or ', '.join(AMOUNTS)}, as 'EUR/{per or 'MWh'}'"
    if slash and code != template:
        yield from (f"price_unit is {unit!r}: {fault}" for fault in refused(lambda: price_currency(code)))
