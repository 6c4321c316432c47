"""A deal on the position grid: which amount in which intervals, and a tick that keeps its money whole.

One lot is the whole deal. Amounts are whole grid units in every interval; a quantity that is a total is shared out over
its intervals (or those of each day) in whole parts that add up to it, the larger parts first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE, day_start_ns, local_to_ns, ns_to_local
from penstock_sdk.energy.money import MICRO
from penstock_sdk.energy.outside_cells import decimal_text
from penstock_sdk.energy.row_files import CellError
from penstock_sdk.energy.zones import MarketZone

__all__ = [
    "DAY_MINUTES",
    "GRIDS",
    "Grid",
    "Priced",
    "Segment",
    "amounts",
    "day_begins_ns",
    "energy",
    "grid_of",
    "priced",
]

DAY_MINUTES = 1440
"""Step of a grid whose intervals are local delivery days."""
_DAY_NS = 24 * NS_PER_HOUR
_TICK_MICRO = 10_000
"""The tick where nothing asks for a finer or a coarser one: 0.01 of the currency."""
_MONEY_MAX = 2**62
_ROUNDED_MAX = Fraction(5_000)
"""In 10⁻⁶: no deal's money may differ from price × energy by more than half a cent."""

Segment = tuple[int, int, int]
"""(start_ns, intervals, amount in each), in grid units."""


class Grid(NamedTuple):
    """What quantities and prices are in, where the position grid holds a given unit.

    Attributes:
        per: what prices are per.
        rates: units of a quantity that holds in every interval, in grid units.
        totals: units of a quantity over the whole delivery, in ``per``.
        daily: units of a quantity for each delivery day, in ``per``.
        rate_unit: the contract's quantity unit for rates, of which thousandths count.
        unit_per: grid units (of one hour, where it is a power) in one ``per``.
    """

    per: str
    rates: dict[str, Fraction]
    totals: dict[str, Fraction]
    daily: dict[str, Fraction]
    rate_unit: str
    unit_per: int


_POWER = Grid(
    "MWh",
    {"kW": Fraction(1), "MW": Fraction(1_000), "GW": Fraction(1_000_000)},
    {"kWh": Fraction(1, 1_000), "MWh": Fraction(1), "GWh": Fraction(1_000)},
    {"kWh/d": Fraction(1, 1_000), "MWh/d": Fraction(1), "GWh/d": Fraction(1_000)},
    "MW", 1_000,
)  # fmt: skip
_BRITISH_GAS = Grid("therm", {"therm/d": Fraction(1)}, {"therm": Fraction(1)}, {}, "therm/d", 1)
_AMERICAN_GAS = Grid("MMBtu", {"MMBtu/d": Fraction(1_000)}, {"MMBtu": Fraction(1)}, {}, "MMBtu/d", 1_000)
_DAILY_GAS = Grid(
    "MWh",
    {"kWh/d": Fraction(1), "MWh/d": Fraction(1_000), "GWh/d": Fraction(1_000_000), "kW": Fraction(24),
     "MW": Fraction(24_000)},
    {"kWh": Fraction(1, 1_000), "MWh": Fraction(1), "GWh": Fraction(1_000)},
    {}, "MWh/d", 1_000,
)  # fmt: skip
"""The Italian hub: a day has 24 hours whatever the clock does."""
_CARBON = Grid("t", {}, {"kg": Fraction(1, 1_000), "t": Fraction(1), "kt": Fraction(1_000)}, {}, "t", 1_000)

GRIDS: dict[str, Grid] = {
    "kW": _POWER, "therm/d": _BRITISH_GAS, "mMMBtu/d": _AMERICAN_GAS, "10⁻³ MMBtu/d": _AMERICAN_GAS,
    "kWh/d": _DAILY_GAS, "kg": _CARBON,
}  # fmt: skip
"""By a zone's grid unit."""


def grid_of(zone: MarketZone) -> Grid:
    """Return what quantities and prices of a zone are in.

    Raises:
        CellError: the zone's grid unit is none that is known.
    """
    if zone.grid_unit not in GRIDS:
        rule = f"its position grid is in {zone.grid_unit}"
        raise CellError("zone", zone.code, rule, f"a zone on a grid of {', '.join(GRIDS)}")
    return GRIDS[zone.grid_unit]


def day_begins_ns(zone: MarketZone, day: date) -> int:
    """Return when a local delivery day begins, ns UTC: at 06:00 for European gas."""
    if zone.day_starts_hour:
        return local_to_ns(datetime.combine(day, time(zone.day_starts_hour)), zone.timezone, passing="A")
    return day_start_ns(day, zone.timezone)


def _day_of(zone: MarketZone, at_ns: int) -> date:
    """Return the local delivery day in which an instant lies."""
    day = ns_to_local(at_ns, zone.timezone).date()
    return day if day_begins_ns(zone, day) <= at_ns else day - timedelta(days=1)


def _count(zone: MarketZone, column: str, span: tuple[int, int]) -> int:
    """Return how many intervals a stretch has.

    Raises:
        CellError: the stretch does not begin and end on the grid.
    """
    start_ns, end_ns = span
    if zone.interval_minutes == DAY_MINUTES:
        first, end = _day_of(zone, start_ns), _day_of(zone, end_ns)
        if day_begins_ns(zone, first) != start_ns or day_begins_ns(zone, end) != end_ns:
            wanted = f"whole delivery days of {zone.code}, from {zone.day_starts_hour:02d}:00 {zone.timezone}"
            raise CellError(column, _shown(zone, span), "it is no whole number of delivery days", wanted)
        return (end - first).days
    step_ns = zone.interval_minutes * NS_PER_MINUTE
    if start_ns % step_ns or end_ns % step_ns:
        rule = f"it is no multiple of the grid's {zone.interval_minutes} minutes"
        wanted = f"beginning and end on {zone.interval_minutes} minutes"
        raise CellError(column, _shown(zone, span), rule, wanted)
    return (end_ns - start_ns) // step_ns


def _by_days(zone: MarketZone, span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield (start_ns, intervals) of each delivery day of a stretch that is on the grid."""
    start_ns, end_ns = span
    day = _day_of(zone, start_ns)
    while start_ns < end_ns:
        day += timedelta(days=1)
        until_ns = min(end_ns, day_begins_ns(zone, day))
        yield start_ns, (until_ns - start_ns) // (zone.interval_minutes * NS_PER_MINUTE)
        start_ns = until_ns


def _shown(zone: MarketZone, span: tuple[int, int]) -> str:
    return "/".join(f"{ns_to_local(at_ns, zone.timezone):%Y-%m-%dT%H:%M%z}" for at_ns in span)


def amounts(
    zone: MarketZone, spans: tuple[tuple[int, int], ...], quantity: Decimal, unit: str, column: str = "quantity"
) -> tuple[list[Segment], int, str]:
    """Return (segments, the lot in thousandths of the quantity's unit, that unit) of a quantity over stretches of time.

    Raises:
        CellError: an unknown unit, a quantity that is not above 0 or not whole on the grid, stretches off the grid.
    """
    grid = grid_of(zone)
    known = [*grid.rates, *grid.totals, *grid.daily]
    if unit not in known:
        raise CellError("unit", unit, f"quantities of {zone.code} are not in it", f"one of {', '.join(known)}")
    if quantity <= 0:
        raise CellError(column, quantity, "it is not above 0", "a quantity above 0; side says buy or sell")
    counts = [_count(zone, "delivery", span) for span in spans]
    exact = Fraction(quantity)
    if unit in grid.rates:
        amount = _whole(exact * grid.rates[unit], grid.rates[unit], column, quantity, unit)
        lot = exact * grid.rates[unit] * 1_000 / grid.rates[grid.rate_unit]
        segments = [(span[0], count, amount) for span, count in zip(spans, counts, strict=True)]
        return segments, _whole(lot, 1_000 / grid.rates[grid.rate_unit], column, quantity, unit), grid.rate_unit
    # An hour of one grid unit, or a day of it, is this much of what prices are per.
    each = _per_interval(zone, grid)
    if unit in grid.totals:
        total = _whole(exact * grid.totals[unit] / each, grid.totals[unit] / each, column, quantity, unit)
        segments = _shared(zone, spans, counts, total)
        lot_unit, lot = grid.per, exact * grid.totals[unit] * 1_000
    else:
        daily = _whole(exact * grid.daily[unit] / each, grid.daily[unit] / each, column, quantity, unit)
        segments = [
            segment
            for span in spans
            for start_ns, count in _by_days(zone, span)
            for segment in _two(zone, start_ns, count, *divmod(daily, count))
        ]
        lot_unit, lot = f"{grid.per}/d", exact * grid.daily[unit] * 1_000
    return segments, _whole(lot, Fraction(1_000), column, quantity, unit), lot_unit


def _per_interval(zone: MarketZone, grid: Grid) -> Fraction:
    """Return what one grid unit in one interval is, in what prices are per."""
    hours = Fraction(1) if zone.interval_minutes == DAY_MINUTES else Fraction(zone.interval_minutes, 60)
    return hours / grid.unit_per


def _whole(value: Fraction, step: Fraction, column: str, quantity: Decimal, unit: str) -> int:
    """Return *value* when it is whole; else name the quantities either side. *step* is what one unit comes to."""
    if value.denominator == 1:
        return value.numerator
    low = value.numerator // value.denominator
    near = " or ".join(_near(Fraction(at) / step) for at in (low, low + 1) if at)
    raise CellError(column, quantity, f"{quantity} {unit} is no whole amount on the position grid", f"{near} {unit}")


def _near(value: Fraction) -> str:
    """Return a number as text: exact where its decimals end, else a fraction."""
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return decimal_text(value) if rest == 1 else str(value)


def _run(zone: MarketZone, start_ns: int, count: int) -> int:
    """Return where *count* intervals from *start_ns* end."""
    if zone.interval_minutes == DAY_MINUTES:
        return day_begins_ns(zone, _day_of(zone, start_ns) + timedelta(days=count))
    return start_ns + count * zone.interval_minutes * NS_PER_MINUTE


def _shared(zone: MarketZone, spans: tuple[tuple[int, int], ...], counts: list[int], total: int) -> list[Segment]:
    """Share a total out over every interval of all stretches; the first intervals take what is left over."""
    base, over = divmod(total, sum(counts))
    segments: list[Segment] = []
    for (start_ns, _), count in zip(spans, counts, strict=True):
        more = min(over, count)
        over -= more
        segments += _two(zone, start_ns, count, base, more)
    return segments


def _two(zone: MarketZone, start_ns: int, count: int, base: int, more: int) -> list[Segment]:
    """Return up to two segments: the first *more* of *count* intervals have one unit more."""
    found: list[Segment] = []
    if more:
        found.append((start_ns, more, base + 1))
    if count > more and base:
        found.append((_run(zone, start_ns, more), count - more, base))
    return found


def energy(zone: MarketZone, segments: list[Segment]) -> Fraction:
    """Return the whole of segments in what the zone's prices are per (MWh, therm, MMBtu, t), exactly."""
    units = sum(count * amount for _, count, amount in segments)
    return units * _per_interval(zone, grid_of(zone))


class Priced(NamedTuple):
    """A price on a grid on which the deal's money is whole."""

    price_ticks: int
    tick_micro: int
    cash_micro_per_lot_tick: int

    @property
    def cash_micro(self) -> int:
        """What the whole deal costs, in 10⁻⁶ of the currency; negative at a negative price."""
        return self.price_ticks * self.cash_micro_per_lot_tick


def priced(price: Decimal, minors: int, total: Fraction, unit: str) -> Priced:
    """Return a price in ticks of which one moves the deal by a whole number of 10⁻⁶ of the currency.

    Where the energy has a fraction that the price does not make whole (thirds, of five minutes), the price is rounded
    to the nearest such tick, half to even: by at most half of the energy's denominator in 10⁻⁶.

    Args:
        price: as written, in the price's own currency.
        minors: how many of that make one of the major currency.
        total: the deal's energy, in what the price is per.
        unit: of the price, for the message.

    Raises:
        CellError: the rounding would move the deal's money by more than half a cent, or it is beyond 64 bits; the
            nearest prices that fit are named.
    """
    price_micro = Fraction(price) * MICRO / minors
    whole = total.denominator
    micro = round(price_micro / whole) * whole
    if abs(micro - price_micro) * total > _ROUNDED_MAX:
        low = int(price_micro // whole)
        near = " or ".join(decimal_text(Fraction(at * whole * minors, MICRO)) for at in (low, low + 1))
        rule = f"over {_near(total)} {unit.rpartition('/')[2]} it would be rounded by more than half a cent"
        raise CellError("price", price, rule, f"{near} {unit}")
    if abs(micro * total) > _MONEY_MAX:
        raise CellError("price", price, "price × energy is more than 64 bits of 10⁻⁶ hold", "a smaller deal")
    tick_micro = gcd(micro, lcm(_TICK_MICRO, whole))
    return Priced(micro // tick_micro, tick_micro, int(total * tick_micro))
