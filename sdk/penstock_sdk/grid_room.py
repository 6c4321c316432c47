"""Whose are the rows of a risk gate: listings and delivery intervals of several zones come, are delivered, and go.

An interval is that of a zone: what is delivered in another at the same time has rows of its own.

>>> room = GridRoom(listings_max=2, intervals_max=4, links_max=8)
>>> hour = ListingDefinition(listing_id=7, contract_id=1, venue_id=1, name="H", interval_start_ns=0,
...     interval_ns=900, interval_count=4, tick_micro=1, lot_kw=1, price_min_ticks=-1, price_max_ticks=1, opens_ns=0,
...     gate_closure_ns=0, cash_micro_per_lot_tick=1)
>>> room.take(hour, zone_id=5), room.slots.slot_of
([0, 1, 2, 3], {7: 1})
>>> room.used(hour, zone_id=5), room.used(hour, zone_id=6)
(4, 8)
"""

from __future__ import annotations

import heapq
from typing import Any

from penstock_sdk.events import ListingDefinition
from penstock_sdk.slots import Deliveries, ListingSlots

__all__ = ["GridRoom"]

Interval = tuple[int, int]
"""Zone, and start in interval lengths."""


class GridRoom:
    """Numbers for listings (from 1) and the delivery intervals of their zones (from 0), free again after delivery.

    Args:
        listings_max: how many listings there is room for at once.
        intervals_max: how many delivery intervals.
        links_max: the sum over listings of the intervals each delivers in.
    """

    def __init__(self, listings_max: int, intervals_max: int, links_max: int) -> None:
        self.slots = ListingSlots()
        self.intervals: dict[Interval, int] = {}
        """The number of each interval, by its zone and its start in interval lengths."""
        self._sizes = (listings_max, intervals_max, links_max)
        self._deliveries = Deliveries()
        self._covers: dict[int, tuple[int, list[range]]] = {}
        """Zone and delivery of each listing."""
        self._users: dict[Interval, int] = {}
        """How many listings deliver in an interval."""
        self._free: list[int] = []
        self._links = 0

    def used(self, listing: ListingDefinition, zone_id: int = 0) -> int:
        """Return how many intervals there would be with *listing*, which delivers in that zone."""
        covered = _each(zone_id, _covered(listing))
        return len(self.intervals) + sum(interval not in self.intervals for interval in covered)

    def take(self, listing: ListingDefinition, zone_id: int = 0) -> list[int] | None:
        """Return the numbers of a new listing's intervals, and give it a slot; None where there is no room.

        Args:
            listing: what is delivered when.
            zone_id: where; listings of one zone share intervals, those of two never.
        """
        listings_max, intervals_max, links_max = self._sizes
        ranges = _covered(listing)
        if (
            self.slots.next_slot > listings_max
            or self.used(listing, zone_id) > intervals_max
            or self._links + sum(map(len, ranges)) > links_max
        ):
            return None
        self.slots.take(listing.listing_id)
        self._deliveries.cover(listing)
        self._covers[listing.listing_id] = zone_id, ranges
        covered = _each(zone_id, ranges)
        self._links += len(covered)
        for interval in covered:
            if interval not in self.intervals:
                self.intervals[interval] = heapq.heappop(self._free) if self._free else len(self.intervals)
            self._users[interval] = self._users.get(interval, 0) + 1
        return [self.intervals[interval] for interval in covered]

    def over(self, now_ns: int) -> list[tuple[int, int, int]]:
        """Return (listing, contract, venue) of each that has been delivered by now, once; `drop` each."""
        return self._deliveries.over(now_ns)

    def drop(self, listing_id: int) -> list[int]:
        """Free a listing's slot; return the numbers of intervals where nothing delivers now. KeyError if unknown."""
        freed = []
        self.slots.drop(listing_id)
        covered = _each(*self._covers.pop(listing_id))
        self._links -= len(covered)
        for interval in covered:
            self._users[interval] -= 1
            if not self._users[interval]:
                del self._users[interval]
                freed.append(self.intervals.pop(interval))
                heapq.heappush(self._free, freed[-1])
        return freed

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "slots": self.slots.snapshot(),
            "deliveries": self._deliveries.snapshot(),
            "covers": [
                [listing_id, zone_id, [[each.start, len(each)] for each in ranges]]
                for listing_id, (zone_id, ranges) in self._covers.items()
            ],
            "intervals": [[*interval, number] for interval, number in self.intervals.items()],
            "free": sorted(self._free),
            "sizes": list(self._sizes),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it was of other sizes, so that the tables beside it do not fit.
        """
        if tuple(state["sizes"]) != self._sizes:
            raise ValueError(
                f"state holds room for {state['sizes']} listings, intervals and links, wanted {list(self._sizes)}; "
                "let it hear the journal again, or restore with the config of before"
            )
        self.slots = ListingSlots.restored(state["slots"])
        self._deliveries = Deliveries.restored(state["deliveries"])
        self._covers = {
            listing_id: (zone_id, [range(first, first + count) for first, count in ranges])
            for listing_id, zone_id, ranges in state["covers"]
        }
        self.intervals = {(zone_id, start): number for zone_id, start, number in state["intervals"]}
        self._free = list(state["free"])
        self._links, self._users = 0, {}
        for zone_id, ranges in self._covers.values():
            for interval in _each(zone_id, ranges):
                self._links += 1
                self._users[interval] = self._users.get(interval, 0) + 1


def _covered(listing: ListingDefinition) -> list[range]:
    """Return when a listing delivers, in interval lengths: its segments, or one stretch."""
    step_ns = listing.interval_ns
    stretches = [(start_ns, count) for start_ns, count, _ in listing.segments]
    return [
        range(start_ns // step_ns, start_ns // step_ns + count)
        for start_ns, count in stretches or [(listing.interval_start_ns, listing.interval_count)]
    ]


def _each(zone_id: int, ranges: list[range]) -> list[Interval]:
    return [(zone_id, start) for each in ranges for start in each]
