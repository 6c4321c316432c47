"""Money: currencies and their minor units, one named rounding, and shares that add up to the cent.

Amounts travel as whole 10^-6 of the major currency. They are rounded once, to minor units, where money is billed; what
rounding would add or lose over several lines is given back to the lines it came from.

>>> to_minor(101_872_500, "EUR", Rounding.HALF_EVEN)
10187
>>> allocate(100, [1, 1, 1])
[34, 33, 33]
>>> round_lines([5_000, 5_000, 5_000], "EUR")
[1, 1, 0]
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction

import msgspec

from penstock_sdk.energy.exact import EnergyError, Exact, exact

__all__ = [
    "MICRO",
    "Currency",
    "Rounding",
    "allocate",
    "currency",
    "known_currencies",
    "minor_to_micro",
    "price_currency",
    "round_lines",
    "rounded",
    "to_minor",
]

MICRO = 1_000_000


class Rounding(StrEnum):
    """What becomes of the part that does not fit; EXACT refuses it."""

    EXACT = "exact"
    HALF_EVEN = "half_even"
    """To the nearest, a half to the even side: errors do not add up."""
    HALF_UP = "half_up"
    """To the nearest, a half away from zero."""
    DOWN = "down"
    """Towards zero."""
    UP = "up"
    """Away from zero."""
    FLOOR = "floor"
    CEILING = "ceiling"


class Currency(msgspec.Struct, frozen=True):
    """A currency in which amounts are held.

    Attributes:
        code: ISO 4217 code: "EUR".
        name: its English name.
        digits: decimals of the minor unit: 2 where there are cents, 0 where there is none.
    """

    code: str
    name: str
    digits: int

    @property
    def minor_per_major(self) -> int:
        """Minor units in one major: 100 cents."""
        return int(10**self.digits)


# ISO 4217, list one of 2026-01-01, for the currencies of Europe's markets, their neighbours, North America, Australia
# and the buyers of LNG. BGN and HRK left that list for EUR (2026, 2023): trades of their time still need them.
_CURRENCIES = {
    each.code: each
    for each in (
        Currency("ALL", "Lek", 2),
        Currency("AUD", "Australian Dollar", 2),
        Currency("BAM", "Convertible Mark", 2),
        Currency("BGN", "Bulgarian Lev", 2),
        Currency("CAD", "Canadian Dollar", 2),
        Currency("CHF", "Swiss Franc", 2),
        Currency("CNY", "Yuan Renminbi", 2),
        Currency("CZK", "Czech Koruna", 2),
        Currency("DKK", "Danish Krone", 2),
        Currency("EUR", "Euro", 2),
        Currency("GBP", "Pound Sterling", 2),
        Currency("GEL", "Lari", 2),
        Currency("HRK", "Croatian Kuna", 2),
        Currency("HUF", "Forint", 2),
        Currency("INR", "Indian Rupee", 2),
        Currency("ISK", "Iceland Krona", 0),
        Currency("JPY", "Yen", 0),
        Currency("KRW", "Won", 0),
        Currency("KWD", "Kuwaiti Dinar", 3),
        Currency("MDL", "Moldovan Leu", 2),
        Currency("MKD", "Denar", 2),
        Currency("NOK", "Norwegian Krone", 2),
        Currency("NZD", "New Zealand Dollar", 2),
        Currency("PLN", "Zloty", 2),
        Currency("RON", "Romanian Leu", 2),
        Currency("RSD", "Serbian Dinar", 2),
        Currency("SEK", "Swedish Krona", 2),
        Currency("SGD", "Singapore Dollar", 2),
        Currency("TRY", "Turkish Lira", 2),
        Currency("UAH", "Hryvnia", 2),
        Currency("USD", "US Dollar", 2),
    )
}

# Hundredths in which prices are quoted, beside ISO 4217: GBX and EUX are ACER's codes (REMITTable1_V3.xsd), GBp the
# exchanges' own, USX and USc American cents. Amounts are never in them.
_PRICED_IN = {"GBX": "GBP", "GBp": "GBP", "EUX": "EUR", "USX": "USD", "USc": "USD"}


def known_currencies() -> tuple[Currency, ...]:
    """Return every currency known by code, sorted by code."""
    return tuple(_CURRENCIES[code] for code in sorted(_CURRENCIES))


def currency(code: str) -> Currency:
    """Return the currency of that ISO 4217 code.

    Raises:
        EnergyError: no such code, or one in which only prices are quoted (GBX); the message names what fits.
    """
    found = _CURRENCIES.get(code)
    if found is not None:
        return found
    if code in _PRICED_IN:
        major = _PRICED_IN[code]
        raise EnergyError(f"currency {code!r} is a hundredth of {major}, for prices; amounts are in {major!r}")
    close = get_close_matches(str(code).upper(), sorted(_CURRENCIES), n=3, cutoff=0.6)
    hint = f"close are {', '.join(close)}; " if close else ""
    raise EnergyError(f"currency {code!r} is not known; {hint}wanted an ISO 4217 code of {', '.join(_CURRENCIES)}")


def price_currency(code: str) -> tuple[Currency, int]:
    """Return the major currency of a price's currency, and how many of the price's make one: "GBX" is (GBP, 100).

    Raises:
        EnergyError: no such code.
    """
    if code in _PRICED_IN:
        return _CURRENCIES[_PRICED_IN[code]], 100
    return currency(code), 1


def rounded(value: Fraction, rounding: Rounding, what: str = "value") -> int:
    """Return *value* as a whole number.

    Args:
        value: what is to be rounded.
        rounding: to which side; EXACT takes whole numbers only.
        what: what the number is, for the message.

    Raises:
        EnergyError: EXACT, and *value* is not whole.
    """
    below, rest = divmod(value.numerator, value.denominator)
    if not rest:
        return below
    if rounding is Rounding.FLOOR:
        return below
    if rounding is Rounding.CEILING:
        return below + 1
    if rounding is Rounding.DOWN:
        return below + (value < 0)
    if rounding is Rounding.UP:
        return below + (value > 0)
    if rounding is Rounding.EXACT:
        raise EnergyError(
            f"{what} {value} is not whole; it lies between {below} and {below + 1}: name a rounding, such as half_even"
        )
    twice = 2 * rest - value.denominator
    if twice:
        return below + (twice > 0)
    to_upper = below % 2 == 1 if Rounding(rounding) is Rounding.HALF_EVEN else value > 0
    return below + to_upper


def to_minor(amount_micro: int | Fraction, code: str, rounding: Rounding) -> int:
    """Return an amount in minor units (cents) of its currency.

    Args:
        amount_micro: the amount, in 10^-6 of the major currency; negative amounts are ordinary.
        code: ISO 4217 code.
        rounding: what becomes of fractions of the minor unit.

    Raises:
        EnergyError: the currency is unknown; EXACT, and the amount has a fraction of the minor unit.
    """
    money = currency(code)
    return rounded(Fraction(amount_micro) * money.minor_per_major / MICRO, rounding, f"amount in minor {code}")


def minor_to_micro(amount_minor: int, code: str) -> int:
    """Return an amount of minor units in 10^-6 of the major currency, exactly.

    Raises:
        EnergyError: the currency is unknown.
    """
    return amount_minor * (MICRO // currency(code).minor_per_major)


def allocate(total: int, weights: Sequence[Exact]) -> list[int]:
    """Return *total* shared out by *weights*, in whole parts whose sum is *total*.

    Each part is within one of its exact share; what is left over goes to the largest remainders, the first of equals.
    A negative total is shared as its opposite is. A weight of 0 gets 0.

    Args:
        total: what is shared: minor units, lots, thousandths of an MMBtu.
        weights: one per part, none negative, not all 0 unless *total* is.

    Raises:
        EnergyError: no weights, a negative one, or all are 0 and *total* is not.

    Cost: O(n log n).
    """
    if total < 0:
        return [-part for part in allocate(-total, weights)]
    shares = [exact(weight, "weight") for weight in weights]
    for at, share in enumerate(shares):
        if share < 0:
            raise EnergyError(f"weight {at} is {weights[at]}; wanted none below 0")
    whole = sum(shares, Fraction(0))
    if not whole:
        if not total:
            return [0] * len(shares)
        raise EnergyError(f"{total} cannot be shared: {len(shares)} weights, all 0; wanted one above 0")
    return _settle([total * share / whole for share in shares], total)


def round_lines(exact_micro: Sequence[int | Fraction], code: str, rounding: Rounding = Rounding.HALF_EVEN) -> list[int]:
    """Return the lines of one bill in minor units; their sum is the exact sum, rounded once.

    Each line is within one minor unit of its exact amount, and one that is whole stays as it is. A bill with all signs
    turned (a credit note) has the same lines with all signs turned; FLOOR and CEILING then change places.

    Args:
        exact_micro: the exact amount of each line, in 10^-6 of the major currency; signs may differ.
        code: ISO 4217 code.
        rounding: of the sum.

    Raises:
        EnergyError: the currency is unknown; EXACT, and the sum has a fraction of the minor unit.

    Cost: O(n log n).
    """
    scale = Fraction(currency(code).minor_per_major, MICRO)
    lines = [line * scale for line in exact_micro]
    whole = sum(lines, Fraction(0))
    total = rounded(whole, rounding, f"sum of {len(lines)} lines in minor {code}")
    # The first line decides where the sum cannot, so that a credit note mirrors also a bill of nothing.
    if (whole or next(filter(None, lines), 0)) < 0:
        return [-line for line in _settle([-line for line in lines], -total)]
    return _settle(lines, total)


def _settle(parts: Sequence[Fraction], total: int) -> list[int]:
    """Return *parts* as whole numbers with the sum *total*, which is theirs rounded to either side.

    All are cut down; the largest remainders are then raised by one. At least as many have a remainder as are raised:
    the sum of n remainders, each below 1, is below n.
    """
    low = [part.numerator // part.denominator for part in parts]
    raised = total - sum(low)
    # sorted() keeps the order of equals, so the first of them comes first.
    for at in sorted(range(len(parts)), key=lambda at: low[at] - parts[at])[:raised]:
        low[at] += 1
    return low
