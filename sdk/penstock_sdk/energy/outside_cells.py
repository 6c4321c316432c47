"""Cells that deals and trades share: names, exact numbers, times, price units; read, or refused with their rule."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import is_repeated, local_to_ns, ns_to_local, zone
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.row_files import CellError

__all__ = ["choice", "decimal", "decimal_text", "instant_ns", "instant_text", "price_unit", "word"]

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,12})?")
_WORD = re.compile(r"[A-Za-z0-9À-ÖØ-öø-ÿ][A-Za-z0-9À-ÖØ-öø-ÿ ._/&+'-]{0,79}")
_YEARS = (2000, 2100)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def word(column: str, text: str) -> str:
    """Return a name of a person, a book, a company, a deal.

    Raises:
        CellError: empty, too long, or with characters that names here do not have.
    """
    if not _WORD.fullmatch(text):
        raise CellError(column, text, "it is no name", "1 to 80 letters, digits, spaces and . _ / & + ' -")
    return " ".join(text.split())


def choice(column: str, text: str, known: Collection[str]) -> str:
    """Return the one of *known* that *text* is, whatever its case.

    Raises:
        CellError: it is none of them.
    """
    found = next((each for each in known if each.lower() == text.lower()), None)
    if found is None:
        near = get_close_matches(text.lower(), list(known), n=1)
        hint = f"{near[0]!r}, perhaps; " if near else ""
        raise CellError(column, text, "it is not known", f"{hint}one of {', '.join(known)}")
    return found


def decimal(column: str, text: str) -> Decimal:
    """Return a number as it is written, exactly.

    Raises:
        CellError: it is none: a decimal comma, a thousands separator, an exponent, NaN.
    """
    if not _NUMBER.fullmatch(text):
        rule = "a comma is no decimal point" if "," in text else "it is no plain decimal number"
        raise CellError(column, text, rule, "digits and at most one point, as -12.34")
    return Decimal(text)


def decimal_text(value: Decimal | Fraction | int) -> str:
    """Return the shortest decimal text of a number whose decimals end: 10.50 is "10.5"."""
    if isinstance(value, Fraction):
        places = 0
        while value.denominator != 1 and (value * 10**places).denominator != 1:
            places += 1
        digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
        text = ("-" if value < 0 else "") + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    else:
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "+0") else text.removeprefix("+")


def instant_ns(column: str, text: str, timezone: str = "") -> int:
    """Return an instant in ns UTC.

    Args:
        column: for the message.
        text: ISO date and time, with an offset ("2026-03-02T10:15:00+01:00", "…Z") or with a zone's name after it
            ("2026-03-02 10:15 Europe/Berlin").
        timezone: IANA name of the clock that holds where neither is given; empty: one must be given.

    Raises:
        CellError: no such time; a local time that the clock skips, or shows twice, where it must be said which.
    """
    stamp, _, named = text.partition(" ") if "T" in text[:11] else _split_zone(text)
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        raise CellError(column, text, "it is no date and time", "ISO 8601, as 2026-03-02T10:15:00Z") from None
    if "T" not in stamp and " " not in stamp:
        raise CellError(column, text, "it has no time of day", "date and time, as 2026-03-02T10:15:00Z")
    if not _YEARS[0] <= moment.year < _YEARS[1]:
        raise CellError(column, text, f"its year is {moment.year}", f"a year from {_YEARS[0]} to {_YEARS[1] - 1}")
    if moment.tzinfo is not None:
        if named:
            raise CellError(column, text, "it has an offset and a zone", "one of the two")
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    place = named or timezone
    if not place:
        wanted = "an offset, as +01:00 or Z, or a zone, as Europe/Berlin"
        raise CellError(column, text, "it is local to nowhere", wanted)
    try:
        at_ns = local_to_ns(moment, place, passing="A")
        if is_repeated(moment.replace(tzinfo=zone(place))):
            raise CellError(column, text, f"{place} has that hour twice", _both(moment, place))
        return at_ns
    except EnergyError as error:
        raise CellError(column, text, str(error), "a time that clocks there show, or an offset") from None


def _split_zone(text: str) -> tuple[str, str, str]:
    """Return ("2026-03-02 10:15", " ", "Europe/Berlin")."""
    head, _, last = text.rpartition(" ")
    return (head, " ", last) if last[:1].isalpha() else (text, "", "")


def _both(moment: datetime, place: str) -> str:
    found = [moment.replace(tzinfo=zone(place), fold=fold).isoformat() for fold in (0, 1)]
    return " or ".join(found)


def instant_text(at_ns: int) -> str:
    """Return an instant as ISO text in UTC, as `instant_ns` takes it: "2026-03-02T10:15:00Z"."""
    return ns_to_local(at_ns, "Etc/UTC").isoformat().replace("+00:00", "Z")


def price_unit(column: str, text: str, per: str) -> tuple[str, str, int]:
    """Return (the unit as written here, its major currency's code, how many of the price's make one of that).

    Args:
        per: what prices are per in the zone: MWh, therm, MMBtu, t.

    Raises:
        CellError: an unknown currency, or another unit than *per*.
    """
    head, slash, unit = text.partition("/")
    if not slash or unit.lower() != per.lower():
        raise CellError(column, text, f"prices of this zone are per {per}", f"a currency per {per}, as EUR/{per}")
    try:
        major, minors = price_currency(head)
    except EnergyError as error:
        raise CellError(column, text, str(error), f"a known currency, as EUR/{per}") from None
    return f"{head}/{per}", major.code, minors
