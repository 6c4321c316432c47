"""With whom deals are made: names, identification codes that are checked, and how much may be owed either way."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.identifiers import check_eic, check_lei
from penstock_sdk.energy.money import MICRO, currency
from penstock_sdk.energy.outside_cells import choice, decimal, word
from penstock_sdk.energy.row_files import CellError, Fault, Sheet, typed_rows

__all__ = ["COUNTERPARTY_COLUMNS", "CounterpartyTerms", "counterparties_of", "counterparty_of"]

_YES = {"yes": True, "true": True, "no": False, "false": False}
_AMOUNT_MAX = Decimal(10**12)


class CounterpartyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A counterparty as its row has it.

    Attributes:
        name: as deals name it.
        lei: legal entity identifier; empty where there is none.
        eic: energy identification code; empty where there is none.
        limits: currency → the most that may be owed either way, in 10⁻⁶; what is not there may not be traded.
        active: False: no new deal.
    """

    name: str
    lei: str = ""
    eic: str = ""
    limits: dict[str, int] = {}
    active: bool = True


COUNTERPARTY_COLUMNS = CounterpartyTerms.__struct_fields__
"""Every column of a file of counterparties; limits as "EUR=1000000 GBP=250000", in whole currency."""


def counterparties_of(sheet: Sheet) -> tuple[list[tuple[int, CounterpartyTerms]], list[Fault]]:
    """Return (row, counterparty) of every row of a file, and every fault; with one fault none at all."""
    return typed_rows(sheet, COUNTERPARTY_COLUMNS, counterparty_of, "name")


def counterparty_of(cells: Mapping[str, str]) -> tuple[CounterpartyTerms | None, list[CellError]]:
    """Return the counterparty that a row's cells give, and all that is wrong with it."""
    faults: list[CellError] = []
    name = ""
    try:
        name = word("name", cells.get("name", ""))
    except CellError as error:
        faults.append(error)
    for column, check in (("lei", check_lei), ("eic", check_eic)):
        if code := cells.get(column, ""):
            try:
                check(code)
            except EnergyError as error:
                faults.append(CellError(column, code, str(error), "a code whose check fits, or nothing"))
    limits = _limits(cells.get("limits", ""), faults)
    active = True
    try:
        active = _YES[choice("active", cells.get("active", "yes"), list(_YES))]
    except CellError as error:
        faults.append(error)
    if faults:
        return None, faults
    lei, eic = cells.get("lei", ""), cells.get("eic", "")
    return CounterpartyTerms(name=name, lei=lei, eic=eic, limits=limits, active=active), []


def _limits(text: str, faults: list[CellError]) -> dict[str, int]:
    """Return currency → 10⁻⁶ of "EUR=1000000 GBP=250000"."""
    limits: dict[str, int] = {}
    for part in text.split():
        code, _, amount = part.partition("=")
        try:
            currency(code)
            value = decimal("limits", amount)
        except EnergyError as error:
            faults.append(CellError("limits", part, str(error), "CURRENCY=AMOUNT, as EUR=1000000"))
            continue
        except CellError as error:
            faults.append(error)
            continue
        micro = value * MICRO
        if code in limits:
            faults.append(CellError("limits", part, f"{code} is named twice", "each currency once"))
        elif not 0 <= value <= _AMOUNT_MAX or micro != int(micro):
            wanted = f"an amount from 0 to {_AMOUNT_MAX:f}, 6 decimals at most"
            faults.append(CellError("limits", part, "it is no limit", wanted))
        else:
            limits[code] = int(micro)
    return limits
