"""What the market maker believes of every listing, as columns of one integer table, and what to quote where.

Prices called fine are in 1024ths of a tick. Everything here is arithmetic on arrays; orders are the strategy's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_plugins.strategies.market_maker_config import MarketMakerConfig
from penstock_plugins.strategies.smoothing import FINE, I64s, bounds_fine, last_rows, smooth
from penstock_sdk.events import ListingDefinition
from penstock_sdk.schema import ABSENT
from penstock_sdk.slots import ListingSlots

__all__ = [
    "DIRTY",
    "LONG_AGO",
    "OPEN",
    "OWN_ASK",
    "OWN_BID",
    "SAMPLED_NS",
    "SEEN_HALF",
    "SKEW",
    "STOP_NS",
    "QuoteTable",
    "Stirred",
]

# One column each; columns run along the slots of listings.
FAIR, SAMPLED_NS, ANCHOR, SKEW, QUOTED, REQUOTED_NS, DIRTY, OPEN = range(8)
OPENS_NS, STOP_NS, MIN_TICKS, MAX_TICKS = range(8, 12)
OWN_BID, OWN_BID_LOTS, OWN_ASK, OWN_ASK_LOTS, SEEN_HALF, UNREST, COLUMNS = range(12, 19)

LONG_AGO = -(2**61)
"""Earlier than any time and below any price, and still safe to subtract."""


class Stirred(NamedTuple):
    """The listings to requote: their slots, where quotes are to centre, and what others bid and ask, in fine ticks."""

    slots: I64s
    centre: I64s
    low: I64s
    high: I64s


class QuoteTable:
    """Fair value, unrest, lean, own quotes and times of each listing."""

    def __init__(self, config: MarketMakerConfig) -> None:
        self._half_fine = config.half_spread_ticks * FINE
        self._unrest_fine = round(config.unrest_weight * FINE)
        self._unrest_tau_ms = round(config.unrest_s * 1e3)
        self._requote_fine = config.requote_ticks * FINE
        self._requote_ns = round(config.requote_s_min * 1e9)
        self._tau_ms = round(config.smoothing_s * 1e3)
        self._trade_fine = round(config.trade_weight * FINE)
        self._anchor_fine = round(config.anchor_weight * FINE)
        self.slots = ListingSlots()
        self.cells: I64s = _blank(256)
        """(column, slot). Slot 0, which all other listings share, is never quoted."""
        self._mark: I64s = np.zeros(256, np.int64)

    def cover(self, listing: ListingDefinition, stop_ns: int) -> None:
        """Let a listing be quoted from its opening until *stop_ns*."""
        slot, had = self.slots.take(listing.listing_id), self.cells.shape[1]
        if slot >= had:
            self.cells = np.concatenate([self.cells, _blank(had)], axis=1)
            self._mark = np.zeros(2 * had, np.int64)
        self.cells[[OPENS_NS, STOP_NS, OPEN, MIN_TICKS, MAX_TICKS], slot] = (
            listing.opens_ns, stop_ns, 1, listing.price_min_ticks, listing.price_max_ticks,
        )  # fmt: skip

    def uncover(self, listing_id: int) -> None:
        """Forget a listing; its column is another's from now on."""
        self.cells[:, self.slots.drop(listing_id)] = _blank(1)[:, 0]

    def anchor(self, listing_id: int, price_ticks: int, now_ns: int) -> None:
        """Take a price as a listing's anchor, and as its fair value where there is none yet."""
        slot = self.slots.slot_of[listing_id]
        self.cells[ANCHOR, slot] = price_ticks * FINE
        if self.cells[FAIR, slot] == ABSENT:
            self.cells[FAIR, slot] = price_ticks * FINE
            self.cells[SAMPLED_NS, slot] = now_ns

    def draw(self, listing_ids: npt.NDArray[Any], price_ticks: I64s) -> None:
        """Draw fair values towards trades; of several in one listing the last counts."""
        slots = self.slots.of(listing_ids)
        fair = self.cells[FAIR, slots]
        pull = (price_ticks * FINE - fair) * self._trade_fine // FINE
        self.cells[FAIR, slots] = np.where((fair == ABSENT) | (price_ticks == ABSENT), fair, fair + pull)

    def draw_one(self, slot: int, price_ticks: int) -> None:
        """As `draw`, for one trade in a covered listing's slot."""
        fair = self.cells.item(FAIR, slot)
        if fair != ABSENT:
            self.cells[FAIR, slot] = fair + (price_ticks * FINE - fair) * self._trade_fine // FINE

    def screen(self, quotes: npt.NDArray[np.void], now_ns: int) -> Stirred | None:
        """Update fair values from the rows of a quote frame; return what needs new orders, or None.

        Cost: some 50 µs for 80 rows.
        """
        slots = self.slots.of(quotes["listing_id"])
        slots, bid, bid_lots, ask, ask_lots = last_rows(quotes, slots, self._mark)
        cells = self.cells
        t = cells.take(slots, axis=1)
        has_bid, has_ask = bid != ABSENT, ask != ABSENT
        others_bid = has_bid & ((bid != t[OWN_BID]) | (bid_lots > t[OWN_BID_LOTS]))
        others_ask = has_ask & ((ask != t[OWN_ASK]) | (ask_lots > t[OWN_ASK_LOTS]))
        low, high = bounds_fine(bid, others_bid, ask, others_ask)
        both = others_bid & others_ask
        had = t[FAIR] != ABSENT
        known = both | had
        # With others on one side only, the fair value is moved no further than they force it to.
        sample = np.where(both, (low + high) >> 1, np.minimum(np.maximum(t[FAIR], low), high))
        elapsed_ns = now_ns - t[SAMPLED_NS]
        fair = np.where(known, smooth(t[FAIR], sample, elapsed_ns, self._tau_ms), ABSENT)
        astray = np.where(had, np.abs(sample - t[FAIR]), 0)
        cells[FAIR, slots] = fair
        cells[UNREST, slots] = smooth(t[UNREST], astray, elapsed_ns, self._unrest_tau_ms)
        cells[SAMPLED_NS, slots] = now_ns
        cells[SEEN_HALF, slots] = np.where(has_bid & has_ask, bid + ask, ABSENT)

        centre = fair + t[SKEW]
        if self._anchor_fine:
            centre += np.where(t[ANCHOR] != ABSENT, (t[ANCHOR] - fair) * self._anchor_fine // FINE, 0)
        moved = (np.abs(centre - t[QUOTED]) >= self._requote_fine) | (t[DIRTY] != 0)
        due = (now_ns - t[REQUOTED_NS] >= self._requote_ns) & (now_ns < t[STOP_NS]) & (now_ns >= t[OPENS_NS])
        rows = np.flatnonzero(known & moved & due & (t[OPEN] != 0))
        return Stirred(slots[rows], centre[rows], low[rows], high[rows]) if len(rows) else None

    def targets(self, stirred: Stirred, now_ns: int) -> list[tuple[int, int, int]]:
        """Return (listing id, bid, ask) in ticks, and note that they are quoted now.

        Prices are a tick clear of what others offer, within the listing's bounds, and never equal.
        """
        slots, centre, low, high = stirred
        cells = self.cells
        cells[QUOTED, slots] = centre
        cells[REQUOTED_NS, slots] = now_ns
        cells[DIRTY, slots] = 0
        floor, cap = cells[MIN_TICKS, slots], cells[MAX_TICKS, slots]
        half = self._half_fine + cells[UNREST, slots] * self._unrest_fine // FINE
        bids = np.minimum((centre - half) // FINE, high // FINE - 1)
        asks = np.maximum(-((-centre - half) // FINE), low // FINE + 1)
        bids, asks = np.clip(bids, floor, cap - 1), np.clip(asks, floor + 1, cap)
        listing_at = self.slots.listing_at
        ids = [listing_at[slot] for slot in slots.tolist()]
        return list(zip(ids, bids.tolist(), asks.tolist(), strict=True))

    def snapshot(self) -> list[Any]:
        """Return cells and slots."""
        return [self.cells.copy(), self.slots.snapshot()]

    def restore(self, state: list[Any]) -> None:
        """Take back what `snapshot` returned."""
        self.cells = np.array(state[0], np.int64)
        self._mark = np.zeros(self.cells.shape[1], np.int64)
        self.slots = ListingSlots.restored(state[1])


def _blank(width: int) -> I64s:
    """Return columns of listings never quoted before, never sampled and not covered: stopped since ever."""
    cells = np.zeros((COLUMNS, width), np.int64)
    cells[[FAIR, ANCHOR, SEEN_HALF, OWN_BID, OWN_ASK]] = ABSENT
    cells[[SAMPLED_NS, QUOTED, REQUOTED_NS, STOP_NS]] = LONG_AGO
    return cells
