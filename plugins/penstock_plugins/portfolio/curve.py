"""A zone's price curve: each delivery day is worth what the finest listings with a mark that cover it say.

Finest is who delivers for the fewest minutes in all; of equals, whose mark is the newest. Day by day, in the zone's
time, the finest listings are taken until what is delivered that day is covered, each for the intervals that no finer
one has; and where the last of them covers the day alone, it alone: the price of a base contract is the average of peak
and off-peak, and beside the peak's would make a base deal dearer than it. A delivery is worth the average, weighted by
its energy, exactly; where an interval has no price there is none.

The work is done on stretches of intervals, not on each, and who gives the price of what is kept until the listings that
have a mark are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.shapes import Shape, Shapes
from penstock_sdk.grid_slots import MINUTES_PER_DAY, GridSlots
from penstock_sdk.schema import ABSENT

__all__ = ["Curve", "CurvePrice"]

I64 = npt.NDArray[np.int64]
Stretch = tuple[int, int, int]
"""(first slot, slot after the last, amount)."""
Pieces = tuple[Stretch, ...]
Shares = list[tuple[int, int]] | None
"""(listing, share of the energy) of who gives the price; None where an interval has none."""


class CurvePrice(NamedTuple):
    """What a delivery is worth by the curve."""

    micro: Fraction
    """10⁻⁶ of the currency per unit of energy."""
    oldest_ns: int
    """When the oldest of the marks used was seen, ns UTC."""


class _Near(NamedTuple):
    """Who may give a price to a delivery: (n,) each."""

    listings: I64
    minutes: I64
    tied: npt.NDArray[np.bool_]
    """Whether another one delivers for as long and at the same time, so that the newest mark counts."""


class Curve:
    """Prices deliveries from the marks of others.

    Args:
        shapes: what each listing delivers.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._new: dict[int, None] = {}
        """Listings that have not been looked at."""
        self._markets: dict[tuple[int, int, str], dict[int, Shape]] = {}
        self._near: dict[int, _Near] = {}
        """By the listing that is priced; emptied of a market when its listings change."""
        self._shares: dict[int, tuple[bytes, Shares]] = {}
        """By the listing that is priced: the listings with a mark, finest first, and what follows from them."""

    def add(self, listing_id: int) -> None:
        """Let a listing give prices; it is looked at when one is asked for."""
        self._new[listing_id] = None

    def drop(self, listing_id: int) -> None:
        """Forget a listing that is over."""
        self._new.pop(listing_id, None)
        self._shares.pop(listing_id, None)
        shape = self._shapes.of(listing_id)
        if shape is not None and self._markets.get(shape.market, {}).pop(listing_id, None) is not None:
            self._changed(shape.market)
        self._near.pop(listing_id, None)
        self._shapes.drop(listing_id)

    def price(self, listing_id: int, own: I64, column_of: Mapping[int, int]) -> CurvePrice | None:
        """Return what a delivery is worth; None where one of its intervals has no price.

        Args:
            own: (2, columns), marks in ticks and when they were seen, ABSENT where there is none.
            column_of: where a listing's mark stands.
        """
        self._look_at_new()
        shape = self._shapes.of(listing_id)
        if shape is None:
            return None
        near = self._near.get(listing_id)
        if near is None:
            near = self._near[listing_id] = self._find_near(listing_id, shape)
        shares = self._shares_of(listing_id, shape, near, own, column_of)
        if shares is None:
            return None
        worth = energy = 0
        oldest_ns = 2**63 - 1
        for giver, share in shares:
            ticks, seen_ns = own[:, column_of[giver]].tolist()
            worth += share * ticks * self._markets[shape.market][giver].tick_micro
            energy, oldest_ns = energy + share, min(oldest_ns, seen_ns)
        return CurvePrice(Fraction(worth, energy), oldest_ns)

    def _shares_of(self, listing_id: int, shape: Shape, near: _Near, own: I64, column_of: Mapping[int, int]) -> Shares:
        ticks, seen_ns = own[:, [column_of[each] for each in near.listings.tolist()]]
        known = np.flatnonzero(ticks != ABSENT)
        newest_first = np.where(near.tied[known], -seen_ns[known], 0)
        listings = near.listings[known]
        ranked = listings[np.lexsort((listings, newest_first, near.minutes[known]))]
        found = self._shares.get(listing_id)
        if found is None or found[0] != ranked.tobytes():
            market = self._markets[shape.market]
            givers = [(giver, market[giver].pieces) for giver in ranked.tolist()]
            found = self._shares[listing_id] = (ranked.tobytes(), _shares(shape, givers))
        return found[1]

    def _look_at_new(self) -> None:
        for listing_id in self._new:
            shape = self._shapes.of(listing_id)
            if shape is not None:
                self._markets.setdefault(shape.market, {})[listing_id] = shape
                self._changed(shape.market)
        self._new.clear()

    def _changed(self, market: tuple[int, int, str]) -> None:
        for listing_id in [each for each in self._near if self._in(each, market)]:
            del self._near[listing_id]

    def _in(self, listing_id: int, market: tuple[int, int, str]) -> bool:
        shape = self._shapes.of(listing_id)
        return shape is not None and shape.market == market

    def _find_near(self, listing_id: int, shape: Shape) -> _Near:
        found = sorted(
            (other.minutes, other.first, other.end, each)
            for each, other in self._markets[shape.market].items()
            if each != listing_id and other.first < shape.end and shape.first < other.end
        )
        tied = [False] * len(found)
        latest = (0, 0, 0)  # (minutes, end, place) of the one that reaches furthest
        for at, (minutes, first, end, _) in enumerate(found):
            if minutes == latest[0] and first < latest[1]:
                tied[at] = tied[latest[2]] = True
            if (minutes, end) > latest[:2]:
                latest = (minutes, end, at)
        return _Near(
            np.array([row[3] for row in found], np.int64), np.array([row[0] for row in found], np.int64),
            np.array(tied, np.bool_),
        )  # fmt: skip


def _shares(shape: Shape, givers: Iterable[tuple[int, Pieces]]) -> Shares:
    """Return how much of a delivery's energy each giver prices; *givers* with their pieces, finest first."""
    days = msgspec.structs.replace(shape.slots, interval_minutes=MINUTES_PER_DAY, origin_ns=0)
    wanted = _by_day(shape.pieces, shape, days)
    listings: list[int] = []
    offered: dict[int, dict[int, list[Stretch]]] = {day: {} for day in wanted}
    for rank, (listing_id, pieces) in enumerate(givers):
        listings.append(listing_id)
        for day, stretches in _by_day(pieces, shape, days).items():
            if day in offered:
                offered[day][rank] = stretches
    found: dict[int, int] = {}
    for day, stretches in wanted.items():
        shares = _of_day(stretches, offered[day], shape)
        if shares is None:
            return None
        for rank, share in shares.items():
            found[rank] = found.get(rank, 0) + share
    return [(listings[rank], share) for rank, share in found.items()]


def _by_day(pieces: Pieces, shape: Shape, days: GridSlots) -> dict[int, list[Stretch]]:
    """Return pieces cut at the zone's days, by day; those outside of a delivery are left out."""
    cut: dict[int, list[Stretch]] = {}
    slots = shape.slots
    for begin, end, amount in pieces:
        at, last = max(begin, shape.first), min(end, shape.end)
        while at < last:
            day = days.floor(slots.start_ns(at))
            stop = min(last, slots.floor(days.start_ns(day + 1)))
            cut.setdefault(day, []).append((at, stop, amount))
            at = stop
    return cut


def _of_day(wanted: list[Stretch], offered: Mapping[int, list[Stretch]], shape: Shape) -> dict[int, int] | None:
    """Return the shares of a day's delivery by giver, *offered* finest first; None where they leave a gap."""
    left, shares = wanted, {}
    for rank, stretches in offered.items():
        rest = _without(left, stretches)
        share = _energy(left, shape) - _energy(rest, shape)
        if share:
            shares[rank], left = share, rest
        if not left:
            # One that covers the day alone is an average over it: beside a finer one it would count twice.
            return {rank: _energy(wanted, shape)} if not _without(wanted, stretches) else shares
    return None


def _without(stretches: list[Stretch], taken: list[Stretch]) -> list[Stretch]:
    """Return what is left of stretches; both in order."""
    for begin, end, _ in taken:
        left: list[Stretch] = []
        for first, last, amount in stretches:
            if last <= begin or end <= first:
                left.append((first, last, amount))
                continue
            if first < begin:
                left.append((first, begin, amount))
            if end < last:
                left.append((end, last, amount))
        stretches = left
    return stretches


def _energy(stretches: list[Stretch], shape: Shape) -> int:
    return sum(amount * shape.over(first, end) for first, end, amount in stretches)
