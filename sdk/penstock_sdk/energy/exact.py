"""Exact numbers at the edge: what a person writes (86.70, "0.1") becomes a Fraction, or an error."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

__all__ = ["EnergyError", "Exact", "exact"]

# A number that says exactly what it means. A float does not: 0.1 is a little more than a tenth.
Exact: TypeAlias = int | str | Decimal | Fraction


class EnergyError(ValueError):
    """A market term that does not exist or does not fit: a zone, a period, a contract, a price off its grid."""


def exact(value: Exact, what: str) -> Fraction:
    """Return *value* as a Fraction, exactly.

    Args:
        value: an int, a decimal text such as "-0.01", a Decimal or a Fraction; finite.
        what: what the number is, for the message ("price_eur_mwh").

    Raises:
        EnergyError: a float or another type, text that is no number, NaN or infinity.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal | Fraction):
        raise EnergyError(
            f"{what} is {value!r} ({type(value).__name__}); pass an int, a decimal text, a Decimal or a Fraction"
        )
    try:
        return Fraction(value)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise EnergyError(f"{what} is {value!r}; wanted a finite number such as '-12.34'") from None
