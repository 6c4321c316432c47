"""A strategy's own net position on the grid of delivery intervals, where an hour and its quarter-hours meet."""

from __future__ import annotations

from penstock_sdk.events import ListingDefinition

__all__ = ["IntervalNet"]

_ZONE_SHIFT = 40  # above any count of intervals since 1970


class IntervalNet:
    """Net lots per delivery interval of a zone, and who touches whom.

    Listings that share an interval must share a lot size, as all listings of one market do; `cover` refuses others.
    """

    def __init__(self) -> None:
        self._intervals: dict[int, range] = {}
        self._lot_kw: dict[int, int] = {}
        self._listings_at: dict[int, list[int]] = {}
        self._net_lots: dict[int, int] = {}

    def cover(self, listing: ListingDefinition, zone_id: int = 0) -> None:
        """Take in a listing that delivers in a zone; the same one again changes nothing. Zones share no interval.

        Raises:
            ValueError: it shares an interval with a listing of another lot size.
        """
        first = (zone_id << _ZONE_SHIFT) + listing.interval_start_ns // listing.interval_ns
        self._cover(listing.listing_id, first, listing.interval_count, listing.lot_kw)

    def _cover(self, listing_id: int, first: int, count: int, lot_kw: int) -> None:
        if listing_id in self._intervals:
            return
        intervals = range(first, first + count)
        for interval in intervals:
            for other_id in self._listings_at.get(interval, ()):
                if self._lot_kw[other_id] != lot_kw:
                    raise ValueError(
                        f"listing {listing_id} met lots of {lot_kw} kW, wanted {self._lot_kw[other_id]} kW as listing "
                        f"{other_id} of the same delivery has; trade them in two instances"
                    )
        self._intervals[listing_id] = intervals
        self._lot_kw[listing_id] = lot_kw
        for interval in intervals:
            self._listings_at.setdefault(interval, []).append(listing_id)
            self._net_lots.setdefault(interval, 0)

    def uncover(self, listing_id: int) -> None:
        """Forget a listing that has been delivered, and what is held where no other delivers; KeyError if unknown."""
        for interval in self._intervals.pop(listing_id):
            self._listings_at[interval].remove(listing_id)
            if not self._listings_at[interval]:
                del self._listings_at[interval], self._net_lots[interval]
        del self._lot_kw[listing_id]

    def fill(self, listing_id: int, signed_lots: int) -> list[int]:
        """Add a fill, sales negative; return the listings whose `span` it changed. Cost: a few microseconds."""
        touched: dict[int, None] = {}
        for interval in self._intervals[listing_id]:
            self._net_lots[interval] += signed_lots
            touched.update(dict.fromkeys(self._listings_at[interval]))
        return list(touched)

    def span(self, listing_id: int) -> tuple[int, int, int]:
        """Return smallest and largest net lots of the intervals a listing delivers in, and their sum."""
        nets = [self._net_lots[interval] for interval in self._intervals[listing_id]]
        return min(nets), max(nets), sum(nets)

    def interval_count(self, listing_id: int) -> int:
        """Return how many intervals a listing delivers in."""
        return len(self._intervals[listing_id])

    def snapshot(self) -> list[list[list[int]]]:
        """Return all of it, as lists of integers."""
        listings = [[i, r.start, len(r), self._lot_kw[i]] for i, r in self._intervals.items()]
        return [listings, [[interval, net] for interval, net in self._net_lots.items()]]

    def restore(self, state: list[list[list[int]]]) -> None:
        """Take back what `snapshot` returned."""
        self.__init__()  # type: ignore[misc]
        for listing_id, first, count, lot_kw in state[0]:
            self._cover(listing_id, first, count, lot_kw)
        self._net_lots.update((interval, net) for interval, net in state[1])
