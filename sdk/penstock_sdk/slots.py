"""What a plugin needs to live for weeks: columns for listings that come and go, when they are over, a state's version.

Listing ids are never used again, so a table with a column for each id would grow with every day. A slot is used again:

    >>> slots = ListingSlots()
    >>> [slots.take(listing_id) for listing_id in (7, 8, 9)]
    [1, 2, 3]
    >>> slots.drop(8), slots.take(131)
    (2, 2)
    >>> slots.of(np.array([131, 9, 8, 4_000])).tolist()
    [2, 3, 0, 0]
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import ListingDefinition

__all__ = ["Deliveries", "ListingSlots", "check_state", "over_ns"]

I64 = npt.NDArray[np.int64]


def over_ns(listing: ListingDefinition) -> int:
    """Return when a listing neither trades nor delivers any more, ns UTC: from then on it may be forgotten."""
    start_ns, count = listing.interval_start_ns, listing.interval_count
    if listing.segments:  # a strip has gaps: the last of its stretches ends it
        start_ns, count, _amount = listing.segments[-1]
    return max(listing.gate_closure_ns, start_ns + listing.interval_ns * count)


def check_state(state: Any, version: int, what: str) -> None:
    """Refuse a plugin's saved state that is of another version.

    Raises:
        ValueError: *state* is no dict whose ``version`` is *version*; names both.
    """
    met = state.get("version", 1) if isinstance(state, dict) else f"a {type(state).__name__}"
    if met != version:
        raise ValueError(f"state of {what} met version {met}, wanted {version}; let it hear the journal again")


class ListingSlots:
    """A small number for each listing in use, from 1; 0 stands for every other listing.

    The lowest free slot is given first, so that the same calls give the same slots. Memory: what is between the lowest
    and the highest id in use, 8 bytes each, whatever ids there have been.
    """

    def __init__(self) -> None:
        self.slot_of: dict[int, int] = {}
        """Slot by listing id; to look up one, ``slot_of.get(listing_id, 0)``."""
        self.listing_at: list[int] = [0]
        """Listing id by slot, 0 where it is free."""
        self._free: list[int] = []
        self._base = 0
        # _at[id - base]; the first and last cell are 0, so that ids beyond either end, clipped, find nothing.
        self._at: I64 = np.zeros(2, np.int64)

    def __contains__(self, listing_id: int) -> bool:
        """Return whether a listing has a slot."""
        return listing_id in self.slot_of

    def __len__(self) -> int:
        """Return how many listings have one."""
        return len(self.slot_of)

    def __iter__(self) -> Iterator[int]:
        """Return the listings that have one, in the order they came."""
        return iter(self.slot_of)

    @property
    def next_slot(self) -> int:
        """The slot that the next listing gets."""
        return self._free[0] if self._free else len(self.listing_at)

    @property
    def width(self) -> int:
        """How many columns a table needs: one more than the highest slot ever in use."""
        return len(self.listing_at)

    def take(self, listing_id: int) -> int:
        """Return a listing's slot, a free one when it has none. Cost: amortised O(log slots)."""
        slot = self.slot_of.get(listing_id)
        if slot is not None:
            return slot
        if self._free:
            slot = heapq.heappop(self._free)
        else:
            slot = len(self.listing_at)
            self.listing_at.append(0)
        self.slot_of[listing_id], self.listing_at[slot] = slot, listing_id
        if 0 < listing_id - self._base < len(self._at) - 1:
            self._at[listing_id - self._base] = slot
        else:
            self._spread()
        return slot

    def drop(self, listing_id: int) -> int:
        """Free a listing's slot and return it; the caller clears its column. KeyError when it has none."""
        slot = self.slot_of.pop(listing_id)
        self.listing_at[slot] = 0
        heapq.heappush(self._free, slot)
        self._at[listing_id - self._base] = 0
        return slot

    def of(self, listing_ids: npt.NDArray[Any]) -> I64:
        """Return the slots of many listings, 0 for those that have none. Cost: some 2 µs for 80."""
        return self._at.take(listing_ids.astype(np.int64) - self._base, mode="clip")

    def snapshot(self) -> list[list[int]]:
        """Return [listing id, slot] of each, as msgpack carries it."""
        return [[listing_id, slot] for listing_id, slot in self.slot_of.items()] + [[0, len(self.listing_at)]]

    @classmethod
    def restored(cls, state: list[list[int]]) -> ListingSlots:
        """Return what `snapshot` was taken of."""
        slots = cls()
        *pairs, (_, width) = state
        slots.listing_at = [0] * width
        for listing_id, slot in pairs:
            slots.slot_of[listing_id], slots.listing_at[slot] = slot, listing_id
        slots._free = [slot for slot in range(1, width) if not slots.listing_at[slot]]
        slots._spread()
        return slots

    def _spread(self) -> None:
        """Lay the table out anew between the lowest and the highest id, with room above for those that come next."""
        if not self.slot_of:
            self._base, self._at = 0, np.zeros(2, np.int64)
            return
        low, high = min(self.slot_of), max(self.slot_of)
        self._base = low - 1
        self._at = np.zeros(high - low + 3 + max(64, (high - low) // 2), np.int64)
        ids = np.fromiter(self.slot_of, np.int64, len(self.slot_of))
        self._at[ids - self._base] = np.fromiter(self.slot_of.values(), np.int64, len(self.slot_of))


class Deliveries:
    """The listings that a plugin keeps something of, by the end of their trading and delivery.

    A plugin looks for what is `over` whenever a listing is announced: once a day that is, and costs a comparison else.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int]] = []
        """(`over_ns`, listing, contract, venue), the earliest first."""

    def cover(self, listing: ListingDefinition) -> None:
        """Take in a listing; once each."""
        heapq.heappush(self._heap, (over_ns(listing), listing.listing_id, listing.contract_id, listing.venue_id))

    def over(self, now_ns: int) -> list[tuple[int, int, int]]:
        """Return (listing, contract, venue) of each that is over by now, and forget it."""
        found = []
        while self._heap and self._heap[0][0] <= now_ns:
            found.append(heapq.heappop(self._heap)[1:])
        return found

    def snapshot(self) -> list[list[int]]:
        """Return it as msgpack carries it."""
        return [list(entry) for entry in sorted(self._heap)]

    @classmethod
    def restored(cls, state: list[list[int]]) -> Deliveries:
        """Return what `snapshot` was taken of."""
        deliveries = cls()
        deliveries._heap = [(end_ns, listing, contract, venue) for end_ns, listing, contract, venue in state]
        return deliveries
