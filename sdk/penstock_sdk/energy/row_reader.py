"""Reads the plain values of a row as its struct: every faulty column is told at once, with what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import Row

__all__ = ["read_row", "validity"]

_RowT = TypeVar("_RowT", bound=Row)
_WANTED = {
    int: "a whole number",
    Decimal: "a decimal number such as -500 or 0.01",
    date: "a date such as 2026-03-29",
    str: "text",
    bool: "true or false",
}


@cache
def _columns(kind: type[Row]) -> dict[str, Any]:
    """Return the type of each column."""
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}


def read_row(row: Mapping[str, Any], kind: type[_RowT]) -> _RowT:
    """Return the row as its struct.

    Raises:
        EnergyError: what is wrong with it: unknown and missing columns, values of a wrong type, and what the columns
            that are left make of a row; one line each.
    """
    columns = _columns(kind)
    faults = [_unknown(column, columns) for column in row if column not in columns]
    read: dict[str, Any] = {}
    for column in row.keys() & columns.keys():
        try:
            # TOML has dates of its own, msgpack and CSV have text: both are taken, and numbers as text from CSV.
            read[column] = msgspec.convert(row[column], columns[column], strict=False)
        except msgspec.ValidationError:
            faults.append(f"{column} is {row[column]!r}; wanted {_wanted(columns[column])}")
    missing = [name for name in _required(kind) if name not in row]
    faults += [f"column {name!r} is missing; wanted {_wanted(columns[name])}" for name in missing]
    try:
        if not faults:
            return kind(**read)
        # What could not be read has a stand-in, so that the other columns have their say.
        standing = {name: _stand_in(columns[name]) for name in _required(kind) if name not in read}
        kind(**standing, **read)
    except EnergyError as error:
        found = str(error).split("\n")
        # A stand-in's own faults are not the row's.
        faults += [each for each in found if not any(each.startswith(f"{name} ") for name in _required(kind) - read.keys())]
    raise EnergyError("\n".join(faults))


def validity(row: Mapping[str, Any], kind: type[Row]) -> tuple[tuple[str, ...], date, date] | None:
    """Return key, first and last day of a row, as far as those can be read, whatever else is wrong with it."""
    columns = _columns(kind)
    try:
        key = tuple(str(msgspec.convert(row[name], columns[name], strict=False)) for name in kind.KEY)
        first, last = (
            msgspec.convert(row.get(name, end), date, strict=False)
            for name, end in (("valid_from", date.min), ("valid_to", date.max))
        )
    except (msgspec.ValidationError, KeyError):
        return None
    return key, first, last


@cache
def _required(kind: type[Row]) -> frozenset[str]:
    """Return the columns that every row has."""
    return frozenset(each.name for each in msgspec.structs.fields(kind) if each.required)


def _unknown(column: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(column, known, n=1)
    hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(known)}"
    return f"column {column!r} is not known; {hint}"


def _wanted(kind: Any) -> str:
    """Return what a column wants, in words."""
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if origin is tuple:
        return 'a list such as ["DE-LU", "FR"]; in CSV, values apart by spaces'
    if origin in (Union, UnionType):
        return " or ".join(_wanted(each) for each in get_args(kind) if each is not NoneType)
    return _WANTED.get(kind, "another value")


def _stand_in(kind: Any) -> Any:
    """Return a value of a column's type."""
    return {int: 0, Decimal: Decimal(0), date: date.min, str: ""}.get(kind, ())
