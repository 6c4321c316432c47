"""What the bench of the position grid deals in, and two plain ways of keeping the same positions: numpy and pandas."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.energy.delivery import DeliveryPeriod, delivery_day, hours, parse_period, quarter_hours
from penstock_sdk.events import ContractDefinition, ListingDefinition, ZoneDefinition

__all__ = [
    "BOOK",
    "DAY_BEFORE_NS",
    "FRAME",
    "LANES",
    "QUARTER_NS",
    "Dense",
    "Fills",
    "Grouped",
    "Market",
    "calendar_market",
    "desk_market",
    "mix",
]

I64 = npt.NDArray[np.int64]
Defined = tuple[ListingDefinition, ContractDefinition, ZoneDefinition]

FRAME: Final = 1_024
"""Fills to a frame."""
LANES: Final = 5
"""Strategies that deal."""
QUARTER_NS: Final = 900_000_000_000
BOOK: Final = 1
DAY_BEFORE_NS: Final = 1_773_064_800_000_000_000
"""2026-03-09 14:00 UTC: no contract of `desk_market` has begun to deliver."""
_MIX: Final = {"QH": 60, "H": 25, "D": 8, "PEAK": 4, "M": 2, "Q": 0.7, "Y": 0.3}
"""Of a hundred fills of a desk."""


class Fills(NamedTuple):
    """Fills in the order they came; columns of equal length."""

    listing_ids: I64
    strategy_ids: I64
    lots: I64
    price_ticks: I64
    intervals: int
    """That they change in all."""

    def each(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (listing, strategy, lots, price in ticks) of each fill, as ints."""
        columns = (self.listing_ids, self.strategy_ids, self.lots, self.price_ticks)
        return zip(*(column.tolist() for column in columns), strict=True)

    def frames(self) -> Iterator[tuple[I64, I64, I64]]:
        """Yield the columns of each frame."""
        for at in range(0, len(self.listing_ids), FRAME):
            yield self.listing_ids[at : at + FRAME], self.strategy_ids[at : at + FRAME], self.lots[at : at + FRAME]


class Market:
    """Listings of power zones, by product."""

    def __init__(self, zones: int) -> None:
        self.zones = [
            ZoneDefinition(zone_id=number, code=f"Z{number}", timezone="Europe/Berlin", currency="EUR")
            for number in range(1, zones + 1)
        ]
        self.defined: list[Defined] = []
        self.by_product: dict[str, list[int]] = {}

    def add(self, product: str, zone: ZoneDefinition, period: DeliveryPeriod, lot_kw: int) -> None:
        """List a period."""
        number = len(self.defined) + 1
        segments = [(start_ns, (end_ns - start_ns) // QUARTER_NS, lot_kw) for start_ns, end_ns in period.spans]
        listing = ListingDefinition(
            listing_id=number, contract_id=number, venue_id=1, name=f"{zone.code} {period.name}",
            tick_micro=10_000, lot_kw=lot_kw, price_min_ticks=-50_000, price_max_ticks=400_000, opens_ns=0,
            gate_closure_ns=period.start_ns, cash_micro_per_lot_tick=lot_kw * period.minutes // 6,
            interval_start_ns=period.start_ns, interval_ns=QUARTER_NS,
            interval_count=sum(count for _, count, _ in segments), segments=segments,
        )  # fmt: skip
        contract = ContractDefinition(
            contract_id=number, name=listing.name, zone_id=zone.zone_id, product=product,
            delivery_start_ns=period.start_ns, delivery_end_ns=period.end_ns, currency_id=1,
        )  # fmt: skip
        self.defined.append((listing, contract, zone))
        self.by_product.setdefault(product, []).append(number)

    def grid(self) -> DeliveryGrid:
        """Return a grid that knows every listing."""
        grid = DeliveryGrid()
        for defined in self.defined:
            grid.define(*defined)
        return grid

    def fills(self, weights: dict[str, float], count: int, seed: int) -> Fills:
        """Return fills of products as often as they weigh; the listings of a product are dealt alike."""
        rng = np.random.default_rng(seed)
        weight = np.array(list(weights.values()))
        products = rng.choice(len(weights), count, p=weight / weight.sum())
        ids: I64 = np.zeros(count, np.int64)
        for number, product in enumerate(weights):
            chosen = products == number
            ids[chosen] = rng.choice(self.by_product[product], int(chosen.sum()))
        lots = rng.integers(1, 10, count) * rng.choice([-1, 1], count)
        lengths = np.array([0] + [listing.interval_count for listing, _, _ in self.defined])
        strategy_ids = rng.integers(1, LANES + 1, count)
        return Fills(ids, strategy_ids, lots, rng.integers(-500, 20_000, count), int(lengths[ids].sum()))


def desk_market(zones: int) -> Market:
    """Return what a desk deals in on a day: its quarter-hours, hours and blocks, and futures up to next year."""
    market = Market(zones)
    day = date(2026, 3, 10)
    intervals = quarter_hours("DE-LU", day)
    for zone in market.zones:
        for period in intervals:
            market.add("QH", zone, period, 100)
        for hour in hours("DE-LU", day):
            market.add("H", zone, hour, 100)
        for product, names in {
            "D": [f"D {day}"],
            "PEAK": [f"D {day} PEAK", "M 2026-04 PEAK"],
            "M": ["M 2026-04", "M 2026-05", "M 2026-06"],
            "Q": ["Q 2026-Q2", "Q 2026-Q3"],
            "Y": ["Y 2027"],
        }.items():
            for name in names:
                market.add(product, zone, parse_period("DE-LU", name), 1_000)
    return market


def mix(market: Market, count: int, seed: int) -> Fills:
    """Return fills as a desk has them: most of quarter-hours and hours, most intervals of futures."""
    return market.fills(dict(_MIX), count, seed)


def calendar_market(zones: int, days: int) -> Market:
    """Return base load of every day, and one of all of them, from 2026-01-01 on."""
    market = Market(zones)
    whole = [delivery_day("DE-LU", date(2026, 1, 1) + timedelta(days=nth)) for nth in range(days)]
    stretch = DeliveryPeriod(whole[0].start_ns, whole[-1].end_ns, f"{days} days", "Europe/Berlin")
    for zone in market.zones:
        market.add("ALL", zone, stretch, 1_000)
        for period in whole:
            market.add("D", zone, period, 100)
    return market


def cascade_market() -> Market:
    """Return a year, and after it the three months and the three quarters that take its place."""
    market = Market(1)
    months = [f"M 2027-{month:02}" for month in (1, 2, 3)]
    for name in ("Y 2027", *months, *(f"Q 2027-Q{quarter}" for quarter in (2, 3, 4))):
        market.add(name[0], market.zones[0], parse_period("DE-LU", name), 1_000)
    return market


class Dense:
    """Positions in one array over the whole horizon, for each zone and strategy; nothing is checked."""

    def __init__(self, market: Market) -> None:
        spans = [(listing.segments, zone.zone_id) for listing, _, zone in market.defined]
        starts = [start_ns for segments, _ in spans for start_ns, _, _ in segments]
        ends = [start_ns + count * QUARTER_NS for segments, _ in spans for start_ns, count, _ in segments]
        self.start_ns, self.end_ns = min(starts), max(ends)
        width = (self.end_ns - self.start_ns) // QUARTER_NS
        self.held: I64 = np.zeros((len(market.zones), LANES, width), np.int64)
        cells = [
            np.concatenate(
                [np.arange(count) + (start_ns - self.start_ns) // QUARTER_NS for start_ns, count, _ in segments]
            )
            + (zone_id - 1) * LANES * width
            for segments, zone_id in spans
        ]
        self._lengths = np.array([0] + [len(each) for each in cells])
        self._firsts = np.concatenate(([0], np.cumsum(self._lengths)[:-1]))
        self._cells = np.concatenate(cells)
        self._kw = np.array([0] + [segments[0][2] for segments, _ in spans])
        self._width = width

    def _slot(self, start_ns: int) -> int:
        return (start_ns - self.start_ns) // QUARTER_NS

    def of(self, grid: DeliveryGrid) -> I64:
        """Return what a grid holds as an array of `held`'s shape."""
        span = (self.start_ns, self.end_ns, BOOK)
        zones = range(1, len(self.held) + 1)
        return np.array([[grid.net(zone_id, *span, lane + 1) for lane in range(LANES)] for zone_id in zones])

    def fill(self, fills: Fills) -> None:
        """Add all of them in one call."""
        lengths = self._lengths[fills.listing_ids]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        cells = self._cells[np.repeat(self._firsts[fills.listing_ids], lengths) + within]
        cells += np.repeat((fills.strategy_ids - 1) * self._width, lengths)
        np.add.at(self.held.reshape(-1), cells, np.repeat(self._kw[fills.listing_ids] * fills.lots, lengths))


class Grouped:
    """Positions in a pandas series by zone, strategy and interval: fills joined with intervals, grouped, added."""

    def __init__(self, market: Market) -> None:
        import pandas as pd  # only where it is measured

        self._pd: Any = pd
        rows = [
            (listing.listing_id, zone.zone_id, start_ns // QUARTER_NS + nth, amount)
            for listing, _, zone in market.defined
            for start_ns, count, amount in listing.segments
            for nth in range(count)
        ]
        columns = dict(zip(("listing_id", "zone_id", "slot", "amount"), np.array(rows, np.int64).T, strict=True))
        self._intervals = pd.DataFrame(columns)
        self.held: Any = None

    def fill(self, fills: Fills) -> None:
        """Add all of them in one call."""
        frame = self._pd.DataFrame(
            {"listing_id": fills.listing_ids, "strategy_id": fills.strategy_ids, "lots": fills.lots}
        )
        each = frame.merge(self._intervals, on="listing_id")
        each["kw"] = each["lots"] * each["amount"]
        part = each.groupby(["zone_id", "strategy_id", "slot"])["kw"].sum()
        if self.held is not None:
            part = self._pd.concat([self.held, part]).groupby(level=[0, 1, 2]).sum()
        self.held = part

    def at(self, dense: Dense) -> I64:
        """Return the same as an array of *dense*'s shape."""
        out = np.zeros_like(dense.held)
        zone_id, strategy_id, slot = (self.held.index.get_level_values(level).to_numpy() for level in range(3))
        out[zone_id - 1, strategy_id - 1, slot - dense.start_ns // QUARTER_NS] = self.held.to_numpy()
        return out
