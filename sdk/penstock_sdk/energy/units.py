"""Prices, quantities and money: one function each way between market units and the integers that the kernel holds.

Inside, prices are ticks, quantities lots, money 10^-6 of the currency. Conversions are exact or an error; only
`ticks_to_float` rounds, and it is for display.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError, Exact, exact
from penstock_sdk.energy.localtime import NS_PER_HOUR

__all__ = [
    "MWH_PER_UNIT",
    "cash_micro",
    "lots_to_mw",
    "mw_to_lots",
    "price_to_ticks",
    "ticks_to_float",
    "ticks_to_price",
]

MWH_PER_UNIT: Final = {
    "MWh": Fraction(1), "therm": Fraction(293_071, 10**7), "MMBtu": Fraction(293_071, 10**6), "GJ": Fraction(5, 18),
}  # fmt: skip
"""MWh in one of each unit of energy that prices are per. A therm is 29.3071 kWh, as ICE's NBP contracts have it."""
_MICRO = 1_000_000
_KW_PER_MW = 1_000
_PARTS_PER_MWH = _KW_PER_MW * NS_PER_HOUR  # kW ns in one MWh
_MONEY_MAX = 2**63 - 1  # money travels as int64, whose lowest value means absent


def _check_step(step: int, what: str) -> None:
    """Raise unless a grid step is a positive int."""
    if type(step) is not int or step <= 0:
        raise EnergyError(f"{what} is {step!r}; wanted a positive int")


def _on_grid(value: Exact, step: Fraction, what: str) -> int:
    """Return value ÷ step when that is whole; else raise, naming the grid and both neighbours."""
    steps = exact(value, what) / step
    if steps.denominator == 1:
        return steps.numerator
    below = steps.numerator // steps.denominator
    low, high = float(below * step), float((below + 1) * step)
    raise EnergyError(f"{what} {value} is not on the grid of {float(step):g}; nearest are {low!r} and {high!r}")


def _decimal(steps: int, step: int, per_unit: int) -> Decimal:
    """Return steps * step / per_unit (a power of ten), with as many decimals as the step has."""
    places = len(str(per_unit)) - 1
    while places and step % 10 == 0:
        step //= 10
        places -= 1
    digits = steps * step
    # Built from its digits: arithmetic would round to the context's precision.
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -places))


def price_to_ticks(price_eur_mwh: Exact, tick_micro: int) -> int:
    """Return a price in ticks, exactly; negative prices are ordinary.

    Args:
        price_eur_mwh: the price, in EUR (or the listing's currency) per MWh; no float.
        tick_micro: the tick, in 10^-6 of the currency per MWh.

    Raises:
        EnergyError: off the tick grid (the message names it and the prices either side), a float, no number.
    """
    _check_step(tick_micro, "tick_micro")
    return _on_grid(price_eur_mwh, Fraction(tick_micro, _MICRO), "price_eur_mwh")


def ticks_to_price(price_ticks: int, tick_micro: int) -> Decimal:
    """Return a price in currency per MWh, exactly, with the tick's decimals: 8670 ticks of 0.01 are 86.70."""
    _check_step(tick_micro, "tick_micro")
    return _decimal(price_ticks, tick_micro, _MICRO)


def ticks_to_float(price_ticks: int, tick_micro: int) -> float:
    """Return a price in currency per MWh as a float, for display and analytics only; the nearest there is."""
    return price_ticks * tick_micro / _MICRO


def mw_to_lots(qty_mw: Exact, lot_kw: int) -> int:
    """Return a quantity in lots, exactly.

    Raises:
        EnergyError: off the lot grid (the message names it), a float, no number.
    """
    _check_step(lot_kw, "lot_kw")
    return _on_grid(qty_mw, Fraction(lot_kw, _KW_PER_MW), "qty_mw")


def lots_to_mw(qty_lots: int, lot_kw: int) -> Decimal:
    """Return a quantity in MW, exactly, with the lot's decimals: 47 lots of 100 kW are 4.7."""
    _check_step(lot_kw, "lot_kw")
    return _decimal(qty_lots, lot_kw, _KW_PER_MW)


def cash_micro(price_ticks: int, qty_lots: int, tick_micro: int, lot_kw: int, period: DeliveryPeriod) -> int:
    """Return price times quantity times length of *period*, in 10^-6 of the currency, signed as their product is.

    Exact for a tick of 0.01, a lot of 0.1 MW and quarter-hours or longer (250 per tick, lot and quarter-hour). Where a
    finer grid or a shorter period leaves a fraction, the last place is rounded half to even, so errors do not add up.

    Raises:
        EnergyError: the amount does not fit int64 (some nine million million EUR).
    """
    whole = price_ticks * tick_micro * qty_lots * lot_kw * (period.end_ns - period.start_ns)
    money, rest = divmod(whole, _PARTS_PER_MWH)
    if 2 * rest > _PARTS_PER_MWH or (2 * rest == _PARTS_PER_MWH and money % 2):
        money += 1
    if abs(money) > _MONEY_MAX:
        raise EnergyError(
            f"cash of {qty_lots} lots at {price_ticks} ticks over {period.name!r} is {money} micro; "
            f"wanted within ±{_MONEY_MAX}"
        )
    return money
