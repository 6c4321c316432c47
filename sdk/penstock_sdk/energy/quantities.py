"""Quantities and prices from one unit to another: exact, with the heating value or the delivery period they need.

For the border: files, deals, reports. Inside, a listing's own ticks and lots stay (see `units`). The arithmetic is of
fractions; pint (the SDK's extra `units`) reads the units, and is imported at the first conversion.

>>> convert(1, "MMBtu", "MWh")
Fraction(293071, 1000000)
>>> convert("86.40", "GBp/therm", "GBP/MWh", rounding=Rounding.HALF_EVEN, step="0.01")
Fraction(737, 25)
>>> convert(1, "mcm", "GWh net", calorific=Calorific("39.6", "MJ/m3", "gross", net_per_gross="0.9"))
Fraction(99, 10)
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError, Exact, exact
from penstock_sdk.energy.localtime import NS_PER_SECOND, ns_to_local
from penstock_sdk.energy.money import Rounding, rounded
from penstock_sdk.energy.unit_reader import (
    HEAT_POWER,
    HEATS,
    RATES,
    TIME,
    Basis,
    Dimension,
    Unit,
    known_units,
    read_unit,
    times,
)

__all__ = ["Basis", "Calorific", "convert", "factor", "known_units"]

_SECONDS_PER_DAY = 86_400


class Calorific(msgspec.Struct, frozen=True):
    """The heat in a cubic metre or a tonne, gross (with the heat of the water's vapour) or net (without it).

    Attributes:
        value: the heat, above 0; None where only gross and net are turned into each other.
        unit: an energy per volume or per mass: "MJ/m3", "kWh/m3", "GJ/t".
        basis: "gross" (GCV, HHV, Hs) or "net" (NCV, LHV, Hi); what *value* is.
        net_per_gross: net heat for one of gross, above 0 and at most 1: 0.901 is usual for natural gas. Stated by who
            has it, never assumed.
    """

    value: Exact | None = None
    unit: str = "MJ/m3"
    basis: Basis = "gross"
    net_per_gross: Exact | None = None

    def __post_init__(self) -> None:
        """Refuse what is no heating value."""
        if self.basis not in ("gross", "net"):
            raise EnergyError(f"calorific basis is {self.basis!r}; wanted 'gross' or 'net'")
        if self.value is not None and exact(self.value, "calorific value") <= 0:
            raise EnergyError(f"calorific value is {self.value} {self.unit}; wanted above 0")
        if self.net_per_gross is not None and not 0 < exact(self.net_per_gross, "net_per_gross") <= 1:
            raise EnergyError(f"net_per_gross is {self.net_per_gross}; wanted above 0 and at most 1")

    def turn(self, basis: Basis, into: Basis, units: str) -> Fraction:
        """Return how much heat of *into* there is in one of *basis*.

        Raises:
            EnergyError: the two differ and *net_per_gross* is not stated.
        """
        if basis == into:
            return Fraction(1)
        if self.net_per_gross is None:
            raise EnergyError(f"{units} is {basis} to {into}: pass calorific=Calorific(..., net_per_gross=...)")
        ratio = exact(self.net_per_gross, "net_per_gross")
        return ratio if into == "net" else 1 / ratio


def convert(
    value: Exact,
    unit: str,
    into: str,
    *,
    calorific: Calorific | None = None,
    period: DeliveryPeriod | None = None,
    rounding: Rounding = Rounding.EXACT,
    step: Exact | None = None,
) -> Fraction:
    """Return *value* of *unit* in the unit *into*.

    Args:
        value: a quantity or price, of any sign; no float.
        unit: what it is in: "MWh", "therm/d", "mcm", "GBp/therm". After a space, an energy's heat may be told gross or
            net ("GWh gross", "EUR/MWh net"); it then must be on both sides, or follow from *calorific*.
        into: what it shall be in.
        calorific: the heat of a cubic metre or a tonne, between volume or mass and energy, in its own basis where the
            energy's is not told; its `net_per_gross` between gross and net.
        period: how long a rate (MW, therm/d) is held, between rates and amounts. A rate per day counts the period's
            local days, whether they last 23, 24 or 25 hours; without a period a day has 24.
        rounding: EXACT takes multiples of *step* alone, or without a step any fraction; others return the nearest
            multiple of *step* to their side.
        step: what is rounded to: "0.01". Above 0; where something is rounded, 1 by default.

    Raises:
        EnergyError: a unit is unknown, read differently by different markets, or of another kind: the message names
            what is missing between the two (a period, a heating value, a rate of exchange). A step of 0 or less;
            EXACT, and the result is no multiple of the step.
    """
    exactly = exact(value, f"value in {unit}") * factor(unit, into, calorific=calorific, period=period)
    if step is None and rounding is Rounding.EXACT:
        return exactly
    grid = exact(1 if step is None else step, "step")
    if grid <= 0:
        raise EnergyError(f"step is {step}; wanted above 0")
    below = exactly // grid * grid
    if rounding is Rounding.EXACT and below != exactly:
        raise EnergyError(
            f"{value} {unit} is {exactly} {into}, no multiple of the step {step}; it lies between {below} and "
            f"{below + grid}: name a rounding, such as half_even"
        )
    return rounded(exactly / grid, rounding) * grid


def factor(
    unit: str, into: str, *, calorific: Calorific | None = None, period: DeliveryPeriod | None = None
) -> Fraction:
    """Return how many of *into* one of *unit* is, exactly; above 0. Arguments and errors as `convert`'s."""
    left, right = read_unit(unit), read_unit(into)
    result, between = left.scale / right.scale, times((right.dimension, 1), (left.dimension, -1))
    if period is not None:
        held, between = _held(left, right, between, period)
        result *= held
    if not between:
        return result * _turned(left, right, calorific)
    heat = _heat(left, right, between, calorific)
    if heat is None:
        raise EnergyError(_mismatch(left, right, between))
    return result * heat


def _held(left: Unit, right: Unit, between: Dimension, period: DeliveryPeriod) -> tuple[Fraction, Dimension]:
    """Return the factor and the dimension that are left when rates are held over *period*."""
    result = Fraction(1)
    if left.dimension in RATES:
        result *= _seconds(left, period)
        between = times((between, 1), (TIME, -1))
    if right.dimension in RATES:
        result /= _seconds(right, period)
        between = times((between, 1), (TIME, 1))
    return result, between


def _seconds(rate: Unit, period: DeliveryPeriod) -> Fraction:
    """Return how long *rate* is held over *period*; one per day in days of 24 hours, as many as the period has."""
    if not rate.per_day:
        return Fraction(sum(end_ns - start_ns for start_ns, end_ns in period.spans), NS_PER_SECOND)
    days = Fraction(0)
    for start_ns, end_ns in period.spans:
        start, end = (ns_to_local(edge_ns, period.timezone).replace(tzinfo=None) for edge_ns in (start_ns, end_ns))
        if (end - start).seconds or (end - start).microseconds:
            raise EnergyError(
                f"{rate.text} is per day and {period.name!r} is no number of whole days; use a unit per h"
            )
        days += (end - start).days
    return days * _SECONDS_PER_DAY


def _turned(left: Unit, right: Unit, calorific: Calorific | None) -> Fraction:
    """Return the factor between gross and net of two units of one dimension."""
    if left.basis == right.basis:
        return Fraction(1)
    units = f"{left.text!r} to {right.text!r}"
    if left.basis is None or right.basis is None:
        raise EnergyError(f"{units} tells gross or net on one side only; tell it on both, or on neither")
    return (calorific or Calorific()).turn(left.basis, right.basis, units) ** HEAT_POWER[right.kind]


def _heat(left: Unit, right: Unit, between: Dimension, calorific: Calorific | None) -> Fraction | None:
    """Return the factor of the heating value, or None where none can stand between the two."""
    if calorific is None or calorific.value is None:
        return None
    heat = read_unit(calorific.unit)
    if heat.kind != "a heating value" or heat.basis is not None:
        raise EnergyError(f"calorific unit is {heat.text!r}; wanted an energy per volume or mass, as 'MJ/m3' or 'GJ/t'")
    power = {heat.dimension: 1, times((heat.dimension, -1)): -1}.get(between)
    if power is None:
        return None
    told = left.basis or right.basis or calorific.basis
    scale = exact(calorific.value, "calorific value") * heat.scale
    return (scale * calorific.turn(calorific.basis, told, f"{left.text!r} to {right.text!r}")) ** power


def _mismatch(left: Unit, right: Unit, between: Dimension) -> str:
    """Return why the two do not convert, and what would have to stand between them."""
    head = f"{left.text!r} is {left.kind} and {right.text!r} {right.kind}"
    monies = [name for name, _ in between if name.startswith("[currency_")]
    if len(monies) == 2:
        return f"{head} of another currency: convert the money by an exchange rate as of a time (FxTable)"
    wanted = []
    for way in (between, times((between, -1))):
        if way == TIME or times((way, 1), (TIME, -1)) in HEATS or times((way, 1), (TIME, 1)) in HEATS:
            wanted.append("the delivery period over which the rate is held (period=)")
        if way in HEATS or times((way, 1), (TIME, -1)) in HEATS or times((way, 1), (TIME, 1)) in HEATS:
            wanted.append("a calorific value with its unit, gross or net (calorific=)")
    if wanted:
        return f"{head}: between them stands {' and '.join(dict.fromkeys(wanted))}"
    if {left.kind, right.kind} == {"a mass", "an emission"}:
        return f"{head}: between them stands the fuel's emission factor; multiply by it"
    return f"{head}: no conversion there is"
