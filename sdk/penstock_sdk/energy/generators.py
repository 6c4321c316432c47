"""All contracts of a market: what is listed on a day, and every product of whole years.

>>> from datetime import date
>>> table = interval_table("DE-LU", "QH", date(2025, 10, 26), date(2025, 10, 27))
>>> len(table), table[9].name
(100, 'DE-LU QH 2025-10-26 02:15A')
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.energy.calendar_periods import CALENDAR_PERIODS, label_of_day
from penstock_sdk.energy.carbon import CARBON_PRODUCTS
from penstock_sdk.energy.contracts import Contract, parse_contract, period_contract
from penstock_sdk.energy.delivery import PRODUCT_MINUTES, split, strip
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.expiry import calendar_of
from penstock_sdk.energy.intervals import first_instant_ns
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE, day_start_ns
from penstock_sdk.energy.periods import DeliveryPeriod
from penstock_sdk.energy.products import product_row, products_of
from penstock_sdk.energy.rule_rows import MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.energy.sessions import known_last_trading_day, moment_ns
from penstock_sdk.energy.strip_names import month_after
from penstock_sdk.energy.zones import market_zone

__all__ = ["IntervalTable", "Products", "all_products", "interval_table", "strip_contracts"]

I64 = npt.NDArray[np.int64]

_ONE_DAY = timedelta(days=1)
# How long before a delivery something may be listed that is sold by the day: Monday's day-ahead contract over a long
# weekend with holidays on both sides.
_DAYS_OVER_HOLIDAYS = 7
# No last trading day is so long before delivery begins.
_FAR_DAYS = 62


class IntervalTable:
    """The interval contracts of a product over many days, as columns; `table[i]` is the i-th contract.

    Attributes:
        zone: zone code.
        product: "QH", "DA" …
        start_ns: (n,) delivery starts, ns UTC, in order.
        opens_ns: (n,) trading opens.
        gate_closure_ns: (n,) trading ends.
        minutes: (n,) length of each.
    """

    def __init__(
        self, zone: str, product: str, start_ns: I64, opens_ns: I64, gate_closure_ns: I64, minutes: I64,
        reference: Reference,
    ) -> None:  # fmt: skip
        self.zone, self.product = zone, product
        self.start_ns, self.opens_ns, self.gate_closure_ns, self.minutes = start_ns, opens_ns, gate_closure_ns, minutes
        self._reference = reference

    def __len__(self) -> int:
        """Return how many contracts there are."""
        return len(self.start_ns)

    def __getitem__(self, at: int) -> Contract:
        """Return a contract."""
        place = market_zone(self.zone, None, self._reference)
        start_ns, minutes = int(self.start_ns[at]), int(self.minutes[at])
        whole = DeliveryPeriod(start_ns, start_ns + minutes * NS_PER_MINUTE, f"{self.product} {at}", place.timezone)
        return period_contract(self.zone, self.product, split(whole, minutes)[0], self._reference)

    def __iter__(self) -> Iterator[Contract]:
        """Yield the contracts, in order."""
        return (self[at] for at in range(len(self)))


class Products(NamedTuple):
    """Every product of some zones that delivers in some years."""

    strips: tuple[Contract, ...]
    """Days, weekends, weeks, months … and emission futures."""
    intervals: tuple[IntervalTable, ...]
    """Quarter-hours, hours … and auctions of them, by zone and product."""

    @property
    def total(self) -> int:
        """Number of contracts."""
        return len(self.strips) + sum(len(table) for table in self.intervals)


def interval_table(
    zone: str, product: str, first: date, end: date, reference: Reference | None = None
) -> IntervalTable:
    """Return the contracts of an interval product for the delivery days from *first* to the day before *end*.

    Days on which the product was not traded there are left out.

    Raises:
        EnergyError: the zone has no such product on any day, or it has no intervals.

    Cost: some 5 µs a day; a contract is built when it is asked for.
    """
    known = reference or builtin_reference()
    rows = [row for row in known.rules.rows("products", product=product) if zone in row.zones]
    if not rows:
        product_row(zone, product, first, known)
    blocks = [
        _columns(row, place, first, end)
        for row in sorted(rows, key=lambda row: row.valid_from)
        for place in known.rules.rows("zones", code=zone)
    ]
    start_ns, opens_ns, gate_ns, minutes = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return IntervalTable(zone, product, start_ns, opens_ns, gate_ns, minutes, known)


def _columns(row: ProductRow, place: MarketZone, first: date, end: date) -> tuple[I64, I64, I64, I64]:
    """Return start, opening, gate and length of the intervals of the days on which a product and a zone hold."""
    minutes = PRODUCT_MINUTES.get(row.interval or row.product)
    if minutes is None:
        raise EnergyError(f"product {row.product!r} has no intervals of a day; strip_contracts has what is listed")
    step_ns = minutes * NS_PER_MINUTE
    day = max(first, row.valid_from, place.valid_from)
    count = max(0, (min(end, _after(row.valid_to), _after(place.valid_to)) - day).days)
    days = [day + timedelta(days=at) for at in range(count)]
    edges = np.array([first_instant_ns(place, each) for each in [*days, day + timedelta(days=count)]], np.int64)
    begins, ends = edges[:-1], edges[1:]
    if row.from_hour:
        begins = ends - (24 - row.from_hour) * NS_PER_HOUR
    counts = (ends - begins) // step_ns
    before = np.cumsum(counts) - counts
    starts = np.repeat(begins - before * step_ns, counts) + np.arange(counts.sum()) * step_ns
    clock = row.clock or place.timezone
    lead = place.gate_lead_minutes if row.gate_lead_minutes is None else row.gate_lead_minutes
    opens, gates = (
        starts + int(text) * NS_PER_MINUTE
        if text.startswith("-")
        else np.repeat(np.array([moment_ns(text, each, 0, clock) for each in days], np.int64), counts)
        for text in (row.opens or "-1440", row.gate or f"-{lead}")
    )
    return starts, opens, gates, np.full_like(starts, minutes)


def _after(day: date) -> date:
    return day + _ONE_DAY if day < date.max else day


def strip_contracts(zone: MarketZone | str, as_of: date, reference: Reference | None = None) -> tuple[Contract, ...]:
    """Return the strips and emission futures of a zone that are listed on a day: those open then, by product.

    Args:
        zone: a zone or its code.
        as_of: the trading day.
        reference: whose rules and calendars.

    Raises:
        EnergyError: an unknown zone, or a calendar that is missing.
    """
    known = reference or builtin_reference()
    place = zone if isinstance(zone, MarketZone) else market_zone(zone, as_of, known)
    found: list[Contract] = []
    for row in products_of(place, as_of, known).values():
        if not row.last_trading:
            continue
        clock = row.clock or place.timezone
        day_end_ns = day_start_ns(as_of + _ONE_DAY, clock)
        for name in _candidates(place, row, as_of, known):
            contract = parse_contract(f"{place.code} {name}", known)
            if contract.opens_ns < day_end_ns and _still_trades(contract, as_of, known):
                found.append(contract)
    return tuple(found)


def _still_trades(contract: Contract, as_of: date, known: Reference) -> bool:
    """Return whether a contract's last trading day is not over."""
    if contract.last_trading_day is None and contract.last_trading_rule.rpartition(" ")[2] in known.calendars:
        # Years ahead the calendar ends before the contract does; that far from delivery every rule lets it trade.
        clock = contract.delivery.timezone
        return contract.delivery.start_ns > day_start_ns(as_of + timedelta(days=_FAR_DAYS), clock)
    return known_last_trading_day(contract, known) >= as_of


def _candidates(place: MarketZone, row: ProductRow, as_of: date, known: Reference) -> Iterator[str]:
    """Yield the names of what may be listed on a day: the current period and those ahead, in each shape."""
    if row.product in CARBON_PRODUCTS:
        yield from _carbon_names(row, as_of, known)
        return
    for label in _labels_ahead(row, as_of):
        for shape in ("", *row.shapes):
            name = f"{row.product} {label} {shape}".strip()
            if not shape or _has_hours(place, row.product, label, shape, known):
                yield name


def _labels_ahead(row: ProductRow, as_of: date) -> list[str]:
    """Return the labels of the period that holds a day and of those ahead."""
    if row.product == "BOM":
        return [label_of_day("BOM", as_of + _ONE_DAY)]
    labels: dict[str, None] = {}
    ahead = row.listed_ahead
    day = as_of
    if row.product == "D":
        return [label_of_day("D", as_of + timedelta(days=n)) for n in range(max(ahead, _DAYS_OVER_HOLIDAYS) + 1)]
    if row.product == "WE":
        day += timedelta(days=max(0, 6 - day.isoweekday()))
    elif row.product == "WD":
        day -= timedelta(days=day.isoweekday() - 1)
    else:
        day = _first_of(row.product, day)
    while len(labels) <= ahead:
        labels[label_of_day(row.product, day)] = None
        day = _next(row.product, day)
    return list(labels)


_MONTHS = {"M": 1, "Q": 3, "S": 6, "Y": 12, "GY": 12}


def _first_of(product: str, day: date) -> date:
    """Return a day of the same period from which months can be counted on."""
    return day.replace(day=1) if product in _MONTHS else day


def _next(product: str, day: date) -> date:
    """Return a day in the period after the one that holds *day*."""
    if product in _MONTHS:
        return date(*month_after(day.year, day.month, _MONTHS[product]), 1)
    return day + timedelta(days=7)


def _has_hours(place: MarketZone, product: str, label: str, shape: str, known: Reference) -> bool:
    """Return whether a shape has an hour in a period: a Sunday has no peak."""
    if product != "D" or shape == "OFFPEAK":
        return True
    try:
        strip(place, product, date.fromisoformat(label), shape, known)
    except EnergyError:
        return False
    return True


def _carbon_names(row: ProductRow, as_of: date, known: Reference) -> Iterator[str]:
    """Yield the emission futures that may be listed on a day."""
    if row.product == "EUA-D":
        if calendar_of(known, row.calendar).is_open(as_of):
            yield f"EUA-D {as_of}"
        return
    months = [month_after(as_of.year, as_of.month, n) for n in range(12 * row.listed_ahead + 12)]
    wanted = set(months[:3])
    wanted.update([month for month in months if month[1] % 3 == 0][:10])
    wanted.update([month for month in months if month[1] == 12][: row.listed_ahead + 1])
    names = {f"EUA {year:04}-{month:02}": date(year, month, 1) for year, month in sorted(wanted)}
    yield from (name for name, day in names.items() if row.holds_on(day))


def all_products(zones: Sequence[str], years: range, reference: Reference | None = None) -> Products:
    """Return every product of *zones* that begins to deliver in *years*: strips as contracts, intervals as tables.

    Args:
        zones: zone codes.
        years: consecutive years: range(2020, 2030).
        reference: whose rules; without calendars strips have no last trading day, and emission futures are left out.
    """
    known = reference or builtin_reference()
    first, end = date(years[0], 1, 1), date(years[-1] + 1, 1, 1)
    strips: list[Contract] = []
    tables: list[IntervalTable] = []
    for code in zones:
        for product, row in products_of(code, None, known).items():
            if (row.interval or product) in PRODUCT_MINUTES:
                tables.append(interval_table(code, product, first, end, known))
            elif product in CALENDAR_PERIODS and product != "BOM":
                strips.extend(_strips_between(code, product, first, end, known))
            elif product == "EUA" and row.calendar in known.calendars:
                months = (date(year, month, 1) for year in years for month in range(1, 13))
                strips.extend(parse_contract(f"{code} EUA {day:%Y-%m}", known) for day in months if row.holds_on(day))
    return Products(tuple(strips), tuple(tables))


def _strips_between(code: str, product: str, first: date, end: date, known: Reference) -> Iterator[Contract]:
    """Yield the strips of a product, in each shape, that begin between two days."""
    day = first
    if product == "WE":
        day += timedelta(days=(6 - day.isoweekday()) % 7)
    elif product in {"W", "WD"}:
        day += timedelta(days=(8 - day.isoweekday()) % 7)
    elif product in {"S", "GY"}:
        day = date(first.year, 10 if product == "GY" else 4, 1)
    step = 1 if product == "D" else 7
    zones: tuple[MarketZone, ...] = known.rules.rows("zones", code=code)
    rows = [row for row in known.rules.rows("products", product=product) if code in row.zones]
    while day < end:
        if any(zone.holds_on(day) for zone in zones):
            label = label_of_day(product, day)
            row = next((row for row in rows if row.holds_on(day)), None)
            for shape in ("", *row.shapes) if row else ():
                try:
                    yield parse_contract(f"{code} {product} {label} {shape}".strip(), known)
                except EnergyError:
                    if not shape or _has_hours(zones[-1], product, label, shape, known):
                        raise
        day = _next(product, day) if product in _MONTHS else day + timedelta(days=step)
