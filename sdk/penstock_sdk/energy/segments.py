"""What one lot of a contract is on its zone's position grid, in energy and in money: whole numbers, or refused.

>>> from penstock_sdk.energy.contracts import listing_terms, parse_contract
>>> march = parse_contract("TTF M 2026-03")
>>> terms = listing_terms(march)
>>> energy_wh(march, terms), cash_micro_per_lot_tick(march, terms)
(743000000, 3715000)
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import NamedTuple

from penstock_sdk.energy.contract_types import Contract, ListingTerms
from penstock_sdk.energy.delivery import counted_hours
from penstock_sdk.energy.exact import EnergyError, Exact, exact
from penstock_sdk.energy.intervals import delivery_date, first_instant_ns
from penstock_sdk.energy.localtime import NS_PER_MINUTE
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.rule_rows import MarketZone
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.units import MWH_PER_UNIT
from penstock_sdk.energy.zones import market_zone

__all__ = [
    "GridSpan",
    "cash_micro_per_lot_tick",
    "energy_wh",
    "grid_span",
    "order_lots",
    "order_ticks",
    "segments",
]

Segments = list[tuple[int, int, int]]

_DAY_MINUTES = 1_440
_THOUSANDTHS = 1_000
# Of what is sold by the day or the piece. A therm is 29.3071 kWh in the British contract (theice.com, product 910), and
# ten make an MMBtu.
_WH_PER_UNIT = {"therm/d": int(MWH_PER_UNIT["therm"] * 10**9), "MMBtu": int(MWH_PER_UNIT["MMBtu"] * 10**9)}
_WH_DIVISOR = 1_000


class GridSpan(NamedTuple):
    """Where a delivery lies on the position grid of its zone."""

    start_ns: int
    interval_ns: int
    interval_count: int
    """Intervals delivered; what lies between parts does not count."""


def _zone_of(contract: Contract, reference: Reference | None) -> MarketZone:
    """Return the contract's zone as it is on its first day."""
    place = market_zone(contract.zone, None, reference)
    return market_zone(contract.zone, delivery_date(place, contract.delivery.start_ns), reference)


def _delivery_days(contract: Contract, zone: MarketZone) -> int:
    """Return how many delivery days a contract covers; it must cover them whole.

    Raises:
        EnergyError: it begins or ends within a day, or has gaps.
    """
    period = contract.delivery
    first, last = delivery_date(zone, period.start_ns), delivery_date(zone, period.end_ns - 1)
    whole = first_instant_ns(zone, first), first_instant_ns(zone, last + timedelta(days=1))
    if period.parts or whole != (period.start_ns, period.end_ns):
        raise EnergyError(
            f"{contract.name} does not cover whole delivery days, which the position grid of {zone.code} counts; "
            "wanted days, weekends, months …"
        )
    return (last - first).days + 1


def _minutes(contract: Contract, reference: Reference | None) -> int:
    """Return the minutes of power that a contract is charged for: those that pass, or at the PSV 24 hours a day."""
    return int(counted_hours(_zone_of(contract, reference), contract.delivery, reference) * 60)


def _whole_units(contract: Contract, terms: ListingTerms) -> int:
    """Return a lot in whole units of the contract's quantity."""
    units, rest = divmod(terms.lot_kw, _THOUSANDTHS)
    if rest:
        raise EnergyError(
            f"a lot of {contract.name} is {terms.lot_kw} thousandths of {contract.qty_unit}; wanted a multiple of 1,000"
        )
    return units


def grid_span(contract: Contract, reference: Reference | None = None) -> GridSpan:
    """Return where a contract's delivery lies on the position grid.

    Raises:
        EnergyError: it is no multiple of the grid's intervals.
    """
    zone = _zone_of(contract, reference)
    step_ns = zone.interval_minutes * NS_PER_MINUTE
    period = contract.delivery
    if zone.interval_minutes == _DAY_MINUTES:
        return GridSpan(period.start_ns, step_ns, _delivery_days(contract, zone))
    day_ns = first_instant_ns(zone, delivery_date(zone, period.start_ns))
    if any((edge_ns - day_ns) % step_ns for span in period.spans for edge_ns in span):
        raise EnergyError(
            f"{contract.name} is no multiple of the {zone.interval_minutes}-minute intervals of the position grid of "
            f"{zone.code}"
        )
    return GridSpan(period.start_ns, step_ns, period.minutes // zone.interval_minutes)


def segments(contract: Contract, terms: ListingTerms, reference: Reference | None = None) -> Segments:
    """Return what one lot adds to the position grid: (start_ns, intervals, amount in each), in order and apart.

    Amounts are in the zone's grid unit: kW of power held over the interval; of gas sold by the day therms, or 10⁻³
    MMBtu a day; of carbon kg. A strip's segments are those of its parts put together; what does not divide by the days
    (10,000 MMBtu over 31) goes one unit at a time to the first days, so that the sum is the lot.

    Raises:
        EnergyError: the delivery is no multiple of the grid's intervals, or a lot is no whole number of grid units.
    """
    span = grid_span(contract, reference)
    period = contract.delivery
    if contract.qty_unit == "MW" and (zone := _zone_of(contract, reference)).slots_a_day:
        return [(span.start_ns, span.interval_count, terms.lot_kw * zone.slots_a_day)]  # kWh/d
    if contract.qty_unit == "MW":
        return [(start_ns, (end_ns - start_ns) // span.interval_ns, terms.lot_kw) for start_ns, end_ns in period.spans]
    if contract.qty_unit.endswith("/d"):
        return [(span.start_ns, span.interval_count, _whole_units(contract, terms))]
    # The lot is the whole quantity, in thousandths of its unit: 10⁻³ MMBtu, kg.
    each, rest = divmod(terms.lot_kw, span.interval_count)
    if not rest:
        return [(span.start_ns, span.interval_count, each)]
    zone = _zone_of(contract, reference)
    later = delivery_date(zone, span.start_ns) + timedelta(days=rest)
    return [
        (span.start_ns, rest, each + 1),
        (first_instant_ns(zone, later), span.interval_count - rest, each),
    ]


def cash_micro_per_lot_tick(contract: Contract, terms: ListingTerms, reference: Reference | None = None) -> int:
    """Return the money of one lot moving by one tick over the whole delivery, in 10⁻⁶ of the currency.

    TTF March: 1 MW × 743 h × 0.005 EUR = 3.715 EUR; NBP March: 1,000 therms × 31 × 0.01 p = 3.10 GBP; Henry Hub:
    10,000 MMBtu × 0.001 USD = 10 USD.

    Raises:
        EnergyError: it is no whole number of 10⁻⁶; names tick and lot.
    """
    if contract.qty_unit == "MW":
        money, rest = divmod(terms.lot_kw * _minutes(contract, reference) * terms.tick_micro, 60 * _THOUSANDTHS)
    else:
        days = grid_span(contract, reference).interval_count if contract.qty_unit.endswith("/d") else 1
        money, rest = divmod(terms.lot_kw * days * terms.tick_micro, _THOUSANDTHS)
    if rest:
        raise EnergyError(
            f"one tick on one lot of {contract.name} is no whole number of 10⁻⁶ {contract.currency}, with tick_micro "
            f"{terms.tick_micro} and lot_kw {terms.lot_kw}; choose a coarser tick or lot"
        )
    return money


def energy_wh(contract: Contract, terms: ListingTerms, reference: Reference | None = None) -> int:
    """Return the energy of one lot over the whole delivery, in Wh; 0 of what is no energy.

    A therm is 29.3071 kWh by gross heating value, an MMBtu ten of them.

    Raises:
        EnergyError: it is no whole number of Wh.
    """
    if contract.qty_unit == "MW":
        energy, rest = divmod(terms.lot_kw * _minutes(contract, reference) * 1_000, 60)
    elif contract.qty_unit in _WH_PER_UNIT:
        days = grid_span(contract, reference).interval_count if contract.qty_unit.endswith("/d") else 1
        energy, rest = divmod(terms.lot_kw * days * _WH_PER_UNIT[contract.qty_unit], _THOUSANDTHS * _WH_DIVISOR)
    else:
        return 0
    if rest:
        raise EnergyError(
            f"a lot of {contract.name}, lot_kw {terms.lot_kw}, is no whole number of Wh; choose another lot"
        )
    return energy


def order_ticks(contract: Contract, terms: ListingTerms, price: Exact) -> int:
    """Return an order's price in ticks; negative prices are ordinary.

    Args:
        contract: what is ordered.
        terms: its grid.
        price: in the contract's price unit: "85.12" of GBp/therm is 85.12 pence.

    Raises:
        EnergyError: off the tick grid (names the prices either side) or outside the limits (names them).
    """
    _, minor = price_currency(contract.price_unit.partition("/")[0])
    tick = Fraction(terms.tick_micro * minor, 1_000_000)
    ticks = exact(price, "price") / tick
    below = ticks.numerator // ticks.denominator
    if ticks.denominator != 1:
        raise EnergyError(
            f"price {price} of {contract.name} is off the tick of {float(tick):g} {contract.price_unit}; nearest are "
            f"{float(below * tick)!r} and {float((below + 1) * tick)!r}"
        )
    if not terms.price_min_ticks <= below <= terms.price_max_ticks:
        low, high = (float(edge * tick) for edge in (terms.price_min_ticks, terms.price_max_ticks))
        raise EnergyError(
            f"price {price} of {contract.name} is outside the market's limits; wanted {low:g} to {high:g} "
            f"{contract.price_unit}"
        )
    return below


def order_lots(contract: Contract, terms: ListingTerms, qty: Exact) -> int:
    """Return an order's quantity in lots.

    Args:
        contract: what is ordered.
        terms: its grid.
        qty: in the contract's quantity unit, above 0: MW, therm/d, MMBtu, t.

    Raises:
        EnergyError: off the lot grid, below the smallest or above the largest order; says what would be accepted.
    """
    lots = exact(qty, "qty") * _THOUSANDTHS / terms.lot_kw
    unit, lot = contract.qty_unit, terms.lot_kw / _THOUSANDTHS
    if lots.denominator != 1:
        below = lots.numerator // lots.denominator
        near = " or ".join(f"{n * lot:g}" for n in (below, below + 1) if n >= terms.lots_min)
        raise EnergyError(
            f"quantity {qty} {unit} of {contract.name} is off the lot of {lot:g} {unit}; "
            f"nearest are {near or f'{terms.lots_min * lot:g}'}"
        )
    if lots < terms.lots_min:
        raise EnergyError(
            f"quantity {qty} {unit} of {contract.name} is below the smallest order; wanted at least "
            f"{terms.lots_min * lot:g} {unit} ({terms.lots_min} lots)"
        )
    if terms.lots_max and lots > terms.lots_max:
        raise EnergyError(
            f"quantity {qty} {unit} of {contract.name} is above the largest order; wanted at most "
            f"{terms.lots_max * lot:g} {unit}"
        )
    return lots.numerator
