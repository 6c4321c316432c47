"""Reads the plain values of a row as its struct: every faulty column is told at once, with what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from itertools import product
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import Row

__all__ = ["read_row", "validity"]

_RowT = TypeVar("_RowT", bound=Row)
_UNREAD = "\0"
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
    if not faults:
        return kind(**read)
    # The columns that could be read have their say; what they make of a row together has to wait for the others.
    defaults = {each.name: each.default for each in msgspec.structs.fields(kind) if not each.required}
    standing: Any = SimpleNamespace(**{**dict.fromkeys(columns, _UNREAD), **defaults, **read})
    faults += [fault for fault in kind.column_faults(standing) if _UNREAD not in fault]
    raise EnergyError("\n".join(faults))


def validity(row: Mapping[str, Any], kind: type[Row]) -> tuple[list[tuple[str, ...]], date, date]:
    """Return keys, first and last day of a row, as far as those can be read, whatever else is wrong with it.

    A row whose key or days cannot be read has no key.
    """
    columns = _columns(kind)
    defaults = {each.name: each.default for each in msgspec.structs.fields(kind) if not each.required}
    try:
        values = [msgspec.convert(row.get(name, defaults.get(name)), columns[name], strict=False) for name in kind.KEY]
        first, last = (
            msgspec.convert(row.get(name, defaults[name]), date, strict=False) for name in ("valid_from", "valid_to")
        )
    except msgspec.ValidationError:
        return [], date.min, date.max
    # A row of several zones in its key is one of each.
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    return [tuple(map(str, key)) for key in product(*several)], first, last


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
