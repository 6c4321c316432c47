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

# One column each; columns run along listing ids.
FAIR, SAMPLED_NS, ANCHOR, SKEW, QUOTED, REQUOTED_NS, DIRTY, OPEN = range(8)
OPENS_NS, STOP_NS, MIN_TICKS, MAX_TICKS = range(8, 12)
OWN_BID, OWN_BID_LOTS, OWN_ASK, OWN_ASK_LOTS, SEEN_HALF, UNREST, COLUMNS = range(12, 19)

LONG_AGO = -(2**61)
"""Earlier than any time and below any price, and still safe to subtract."""


class Stirred(NamedTuple):
    """The listings to requote: their ids, where quotes are to centre, and what others bid and ask, in fine ticks."""

    ids: I64s
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
        self.cells: I64s = np.zeros((COLUMNS, 0), np.int64)
        """(column, listing id)."""
        self._mark: I64s = np.zeros(0, np.int64)
        self.grow(256)

    def grow(self, width: int) -> None:
        """Make room for listing ids below *width*."""
        had = self.cells.shape[1]
        if width <= had:
            return
        cells = np.zeros((COLUMNS, max(width, 2 * had)), np.int64)
        # Never quoted before, never sampled, not covered: stopped since ever.
        cells[[FAIR, ANCHOR, SEEN_HALF, OWN_BID, OWN_ASK]] = ABSENT
        cells[[SAMPLED_NS, QUOTED, REQUOTED_NS, STOP_NS]] = LONG_AGO
        cells[:, :had] = self.cells
        self.cells, self._mark = cells, np.zeros(cells.shape[1], np.int64)

    def cover(self, listing: ListingDefinition, stop_ns: int) -> None:
        """Let a listing be quoted from its opening until *stop_ns*."""
        self.grow(listing.listing_id + 1)
        self.cells[[OPENS_NS, STOP_NS, OPEN, MIN_TICKS, MAX_TICKS], listing.listing_id] = (
            listing.opens_ns, stop_ns, 1, listing.price_min_ticks, listing.price_max_ticks,
        )  # fmt: skip

    def anchor(self, listing_id: int, price_ticks: int, now_ns: int) -> None:
        """Take a price as anchor, and as the fair value where there is none yet."""
        self.cells[ANCHOR, listing_id] = price_ticks * FINE
        if self.cells[FAIR, listing_id] == ABSENT:
            self.cells[FAIR, listing_id] = price_ticks * FINE
            self.cells[SAMPLED_NS, listing_id] = now_ns

    def draw(self, ids: I64s, price_ticks: I64s) -> None:
        """Draw fair values towards trades; of several in one listing the last counts."""
        self.grow(int(ids.max()) + 1)
        fair = self.cells[FAIR, ids]
        pull = (price_ticks * FINE - fair) * self._trade_fine // FINE
        self.cells[FAIR, ids] = np.where(fair == ABSENT, ABSENT, fair + pull)

    def draw_one(self, listing_id: int, price_ticks: int) -> None:
        """As `draw`, for one trade in a known listing."""
        fair = self.cells.item(FAIR, listing_id)
        if fair != ABSENT:
            self.cells[FAIR, listing_id] = fair + (price_ticks * FINE - fair) * self._trade_fine // FINE

    def screen(self, quotes: npt.NDArray[np.void], now_ns: int) -> Stirred | None:
        """Update fair values from the rows of a quote frame; return what needs new orders, or None.

        Cost: some 50 µs for 80 rows.
        """
        try:
            ids, bid, bid_lots, ask, ask_lots = last_rows(quotes, self._mark)
        except IndexError:
            self.grow(int(quotes["listing_id"].max()) + 1)
            ids, bid, bid_lots, ask, ask_lots = last_rows(quotes, self._mark)
        cells = self.cells
        t = cells.take(ids, axis=1)
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
        cells[FAIR, ids] = fair
        cells[UNREST, ids] = smooth(t[UNREST], astray, elapsed_ns, self._unrest_tau_ms)
        cells[SAMPLED_NS, ids] = now_ns
        cells[SEEN_HALF, ids] = np.where(has_bid & has_ask, bid + ask, ABSENT)

        centre = fair + t[SKEW]
        if self._anchor_fine:
            centre += np.where(t[ANCHOR] != ABSENT, (t[ANCHOR] - fair) * self._anchor_fine // FINE, 0)
        moved = (np.abs(centre - t[QUOTED]) >= self._requote_fine) | (t[DIRTY] != 0)
        due = (now_ns - t[REQUOTED_NS] >= self._requote_ns) & (now_ns < t[STOP_NS]) & (now_ns >= t[OPENS_NS])
        rows = np.flatnonzero(known & moved & due & (t[OPEN] != 0))
        return Stirred(ids[rows], centre[rows], low[rows], high[rows]) if len(rows) else None

    def targets(self, stirred: Stirred, now_ns: int) -> list[tuple[int, int, int]]:
        """Return (listing id, bid, ask) in ticks, and note that they are quoted now.

        Prices are a tick clear of what others offer, within the listing's bounds, and never equal.
        """
        ids, centre, low, high = stirred
        cells = self.cells
        cells[QUOTED, ids] = centre
        cells[REQUOTED_NS, ids] = now_ns
        cells[DIRTY, ids] = 0
        floor, cap = cells[MIN_TICKS, ids], cells[MAX_TICKS, ids]
        half = self._half_fine + cells[UNREST, ids] * self._unrest_fine // FINE
        bids = np.minimum((centre - half) // FINE, high // FINE - 1)
        asks = np.maximum(-((-centre - half) // FINE), low // FINE + 1)
        bids, asks = np.clip(bids, floor, cap - 1), np.clip(asks, floor + 1, cap)
        return list(zip(ids.tolist(), bids.tolist(), asks.tolist(), strict=True))

    def restore(self, cells: Any) -> None:
        """Take back a copy of ``cells``."""
        self.cells = np.array(cells, np.int64)
        self._mark = np.zeros(self.cells.shape[1], np.int64)
