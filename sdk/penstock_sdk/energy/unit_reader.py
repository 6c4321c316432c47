"""Reads a unit as it is written: how much it is, of what, and whether its heat is told gross or net.

pint does the reading (the SDK's extra `units`), in fractions, and is imported at the first unit read. Only names that
`unit_names` lists reach it.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.unit_names import AMBIGUOUS, DEFINITIONS, SPELLINGS

__all__ = ["HEATS", "HEAT_POWER", "RATES", "TIME", "Basis", "Dimension", "Unit", "known_units", "read_unit", "times"]

Basis: TypeAlias = Literal["gross", "net"]
Dimension: TypeAlias = tuple[tuple[str, int], ...]

_TEXT_MAX = 60
_BASES: dict[str, Basis] = {
    "gross": "gross", "gcv": "gross", "hhv": "gross", "hs": "gross",
    "net": "net", "ncv": "net", "lhv": "net", "hi": "net",
}  # fmt: skip
_SUFFIX = re.compile(r"(?P<unit>.*\S)[ _]\(?(?P<basis>gross|gcv|hhv|hs|net|ncv|lhv|hi)\)?", re.IGNORECASE)
# Names, products, quotients, powers of one digit, parentheses: nothing else reaches pint's reader.
_TOKEN = re.compile(
    r"\s*(?:(?P<name>(?:100)?[A-Za-z_³][A-Za-z0-9_³]*)|(?:\*\*|\^)\s*(?P<power>[1-9])|(?P<op>[*/·()]))\s*"
)
_PER_DAY = re.compile(r"/\s*\(?\s*(d|day|days)\b", re.IGNORECASE)


class Unit(NamedTuple):
    """A unit as it was read.

    Attributes:
        text: as it was written.
        scale: how many of pint's roots (grams, metres, seconds, kgCO2, each currency) one is; above 0.
        dimension: the power of each root's dimension.
        basis: whether its heat is told gross or net; None where it is not told.
        per_day: whether it is something per day.
    """

    text: str
    scale: Fraction
    dimension: Dimension
    basis: Basis | None
    per_day: bool

    @property
    def kind(self) -> str:
        """What the unit measures, with its article: "an energy"; prices of energy apart from others."""
        return _kind(self.dimension)


def times(*factors: tuple[Dimension, int]) -> Dimension:
    """Return the product of dimensions, each to a power."""
    powers: dict[str, int] = {}
    for dimension, power in factors:
        for name, exponent in dimension:
            powers[name] = powers.get(name, 0) + exponent * power
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))


TIME: Dimension = (("[time]", 1),)
_MASS: Dimension = (("[mass]", 1),)
_VOLUME: Dimension = (("[length]", 3),)
_EMISSIONS: Dimension = (("[emissions]", 1),)
_ENERGY: Dimension = (("[length]", 2), ("[mass]", 1), ("[time]", -2))
_AMOUNTS = {"an energy": _ENERGY, "a volume": _VOLUME, "a mass": _MASS, "an emission": _EMISSIONS}
RATES = {times((amount, 1), (TIME, -1)): f"{name} per time" for name, amount in _AMOUNTS.items()}
RATES[times((_ENERGY, 1), (TIME, -1))] = "a power"
HEATS = (times((_ENERGY, 1), (_VOLUME, -1)), times((_ENERGY, 1), (_MASS, -1)))
_KINDS: dict[Dimension, str] = {
    **{amount: name for name, amount in _AMOUNTS.items()},
    **RATES,
    TIME: "a time",
    **dict.fromkeys(HEATS, "a heating value"),
    times((_EMISSIONS, 1), (_ENERGY, -1)): "an emission factor",
    times((_EMISSIONS, 1), (_MASS, -1)): "an emission factor",
    (): "a number",
}
# Units whose heat may be gross or net, and to which power of the heat they go.
HEAT_POWER: dict[str, int] = {
    "an energy": 1, "a power": 1, "a heating value": 1, "an emission factor": -1, "a price of energy": -1,
}  # fmt: skip


def known_units() -> tuple[str, ...]:
    """Return the units known by name, sorted; they combine by `*`, `/` and whole powers: "GWh/d", "EUR/(MW*h)"."""
    return tuple(sorted(SPELLINGS, key=lambda name: (name.casefold(), name)))


def _kind(dimension: Dimension) -> str:
    money = [name for name, _ in dimension if name.startswith("[currency_")]
    if len(money) == 1:
        rest = times((dimension, 1), (((money[0], 1),), -1))
        if not rest:
            return "money"
        return {times((_ENERGY, -1)): "a price of energy"}.get(rest, "a price")
    return _KINDS.get(dimension, "something else")


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit:
    """Return what *text* says.

    Raises:
        EnergyError: it says nothing, something unknown, or what is read in two ways.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _TEXT_MAX:
        raise EnergyError(f"unit is {text!r}; wanted a text of up to {_TEXT_MAX} characters such as 'MWh'")
    suffix = _SUFFIX.fullmatch(text)
    plain, basis = (suffix["unit"], _BASES[suffix["basis"].lower()]) if suffix else (text, None)
    scale, dimension = _read(_in_pint_s_words(plain, text), text)
    unit = Unit(text, scale, dimension, basis, bool(_PER_DAY.search(plain)))
    if basis is not None and unit.kind not in HEAT_POWER:
        raise EnergyError(f"unit {text!r} is {unit.kind}; only heat is {basis}: an energy, a power, a price of energy")
    return unit


def _in_pint_s_words(plain: str, text: str) -> str:
    """Return *plain* with each name replaced by its meaning."""
    if plain in SPELLINGS:
        return SPELLINGS[plain]
    words, at = [], 0
    while at < len(plain):
        token = _TOKEN.match(plain, at)
        if token is None:
            raise EnergyError(f"unit {text!r} cannot be read at {plain[at:]!r}; {_close(plain)}")
        at = token.end()
        words.append(f"({_meaning(token['name'], text)})" if token["name"] else _operator(token))
    return " ".join(words)


def _operator(token: re.Match[str]) -> str:
    return f"** {token['power']}" if token["power"] else token["op"].replace("·", "*")


def _meaning(name: str, text: str) -> str:
    """Return what one name means to pint, in the case it is written in or, where that is no question, in any."""
    if name in SPELLINGS:
        return SPELLINGS[name]
    if name in AMBIGUOUS:
        raise EnergyError(f"unit {name!r} is {AMBIGUOUS[name]}")
    folded = _folded().get(name.casefold(), {})
    if len(set(folded.values())) == 1:
        milli = name[:1] == "m" and name[1:2].casefold() != "m"  # the mm of American units is a million
        if milli and all(known.startswith("M") for known in folded):
            mega = next(iter(folded))
            raise EnergyError(
                f"unit {name!r} is a thousandth of {mega[1:]!r} by its small m, a million of them with a large one; "
                f"write {mega!r}, or the amount without the prefix"
            )
        return next(iter(folded.values()))
    raise EnergyError(f"unit {text!r} is not known{'' if name == text else f' for its {name!r}'}; {_close(name)}")


@cache
def _folded() -> dict[str, dict[str, str]]:
    """Return the spellings of each name with its case folded, and what they mean: several where case counts."""
    meanings: dict[str, dict[str, str]] = {}
    for name, meaning in SPELLINGS.items():
        meanings.setdefault(name.casefold(), {})[name] = meaning
    return meanings


def _close(name: str) -> str:
    lower = {known.casefold(): known for known in SPELLINGS}
    close = [lower[each] for each in get_close_matches(name.casefold(), lower, n=3, cutoff=0.5)]
    return f"close are {', '.join(close)}" if close else "known are such as MWh, MW, therm/d, mcm, GJ, tCO2, EUR/MWh"


def _read(words: str, text: str) -> tuple[Fraction, Dimension]:
    """Return the scale of an expression in pint's words, in its roots, and its dimension."""
    registry = _registry()
    try:
        root = registry.Quantity(Fraction(1), "") * registry.parse_expression(words)
        root = root.to_root_units()
        powers = {str(name): Fraction(power) for name, power in root.dimensionality.items()}
    except Exception:  # pint's reader raises what its tokenizer does: whatever it is, the text is no unit
        raise EnergyError(f"unit {text!r} cannot be read; wanted one such as 'EUR/MWh'") from None
    scale = Fraction(root.magnitude)
    # Nothing here has a root, an offset or a sign, so scales are above 0 and powers are whole.
    assert scale > 0 and all(power.denominator == 1 for power in powers.values())
    return scale, tuple(sorted((name, power.numerator) for name, power in powers.items() if power))


@cache
def _registry() -> Any:  # pint's registries are built at run time, and carry no types of use
    """Return pint's units and ours, in fractions: half a second, once, and only where something is converted."""
    try:
        from pint import UnitRegistry
    except ImportError:
        raise EnergyError("conversion between units needs pint: install penstock-sdk[units]") from None
    registry: Any = UnitRegistry(non_int_type=Fraction)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry
