"""What a listing's positions are valued at, and how old that is.

In this order, the first that there is:

1. the listing's own price: its last mid (a side that is empty leaves it as old as it is) or a `Mark`, such as a
   settlement price, whichever is newer;
2. of a listing that a trade is told of after its delivery, the mark that it was settled at;
3. of a contract that cascades, the own prices of its parts, weighted by energy, to the nearest tick, half to even; all
   must be there, and the oldest gives the age;
4. its zone's price curve (`penstock_plugins.portfolio.curve`), to the nearest tick, half to even; every interval of its
   delivery must have a price, and the oldest of those used gives the age;
5. the price at which the contract that it came from was cascaded;
6. the last trade of ours in it, by whichever account; its age is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.curve import Curve
from penstock_plugins.portfolio.shapes import Shapes
from penstock_sdk.events import Mark, Quote
from penstock_sdk.golden.mids import keep_mid, keep_mids
from penstock_sdk.instruments import Instrument
from penstock_sdk.schema import ABSENT
from penstock_sdk.slots import ListingSlots

__all__ = ["Marks"]

I64 = npt.NDArray[np.int64]


class Marks:
    """The prices of the listings that it is told of.

    Args:
        instruments: by listing id; the owner's, looked into.
        by_name: the listing of a contract's name at a venue, likewise.
        shapes: what each listing delivers.
    """

    def __init__(
        self, instruments: Mapping[int, Instrument], by_name: Mapping[tuple[str, int], int], shapes: Shapes
    ) -> None:
        self._instruments = instruments
        self._by_name = by_name
        self._curve = Curve(shapes)
        self._slots = ListingSlots()
        self._own: I64 = np.full((2, 64), ABSENT, np.int64)
        """(price in ticks or when it was seen, slot)."""
        self._passed: dict[int, tuple[int, int]] = {}
        """(ticks, ns) that a part had from its parent."""
        self._settled: dict[int, tuple[int, int]] = {}
        """(ticks, when it was seen) that a listing was settled at, of those told of again."""
        self.last_ticks: dict[int, int] = {}
        """Our last trade, by listing."""

    def add(self, listing_id: int) -> None:
        """Make room for a listing."""
        slot = self._slots.take(listing_id)
        if slot >= self._own.shape[1]:
            self._own = np.concatenate([self._own, np.full_like(self._own, ABSENT)], axis=1)
        self._curve.add(listing_id)

    def settled_at(self, listing_id: int, ticks: int, seen_ns: int) -> None:
        """Keep the mark that a listing was settled at, now that it is there again."""
        if ticks != ABSENT:
            self._settled[listing_id] = (ticks, seen_ns)

    def drop(self, listing_id: int) -> None:
        """Forget a listing that is over."""
        self._own[:, self._slots.drop(listing_id)] = ABSENT
        self._passed.pop(listing_id, None)
        self._settled.pop(listing_id, None)
        self.last_ticks.pop(listing_id, None)
        self._curve.drop(listing_id)

    def on_quotes(self, quotes: npt.NDArray[np.void], now_ns: int) -> None:
        """Keep the mids of a frame's array."""
        keep_mids(self._own, quotes, now_ns, self._slots)

    def on_quote(self, quote: Quote, now_ns: int) -> None:
        """Keep the mid of one listing."""
        keep_mid(self._own, quote, now_ns, self._slots)

    def on_mark(self, mark: Mark, now_ns: int) -> None:
        """Keep a price that somebody said, unless a newer one is there."""
        slot = self._slots.slot_of.get(mark.listing_id, 0)
        seen_ns = now_ns if mark.observed_ns == ABSENT else mark.observed_ns
        if slot and mark.mark_ticks != ABSENT and seen_ns >= self._own[1, slot]:
            self._own[:, slot] = mark.mark_ticks, seen_ns

    def passed_on(self, listing_id: int, price_ticks: int, now_ns: int) -> None:
        """Keep the price at which a part came out of its parent."""
        self._passed[listing_id] = (price_ticks, now_ns)

    def parts(self, listing_id: int) -> list[int] | None:
        """Return the listings of the contracts that one cascades into, at its venue; None where one is missing."""
        whole = self._instruments[listing_id]
        found = [self._by_name.get((name, whole.venue_id), 0) for name in whole.parts]
        return found if found and all(found) else None

    def listed(self, contract: str, venue_id: int) -> bool:
        """Return whether a venue lists a contract."""
        return (contract, venue_id) in self._by_name

    def mark(self, listing_id: int) -> tuple[int, int]:
        """Return (price in ticks, when it was seen in ns UTC); ABSENT where that is not known."""
        own = self._own[:, self._slots.slot_of.get(listing_id, 0)]
        if own[0] != ABSENT and listing_id in self._slots:
            return int(own[0]), int(own[1])
        found = self._settled.get(listing_id) or self._of_parts(listing_id) or self._of_curve(listing_id)
        if found is not None:
            return found
        return self._passed.get(listing_id) or (self.last_ticks.get(listing_id, ABSENT), ABSENT)

    def frame(self, listing_ids: Sequence[int]) -> tuple[I64, I64]:
        """Return prices in ticks and when they were seen, of many listings, as `mark`."""
        own = self._own[:, self._slots.of(np.array(listing_ids, np.int64))]
        for at in np.flatnonzero(own[0] == ABSENT).tolist():
            own[:, at] = self.mark(listing_ids[at])
        return own[0], own[1]

    def _of_parts(self, listing_id: int) -> tuple[int, int] | None:
        whole = self._instruments.get(listing_id)
        parts = self.parts(listing_id) if whole is not None and whole.parts else None
        if whole is None or parts is None:
            return None
        worth = energy = Fraction(0)
        oldest_ns = 2**63 - 1
        for part in parts:
            ticks, seen_ns = self._own[:, self._slots.slot_of.get(part, 0)].tolist()
            if ticks == ABSENT:
                return None
            lot = self._instruments[part].lot
            # A lot's cash per tick is its energy times the tick; by lot, so that lots of another size weigh the same.
            weight = Fraction(lot.cash_micro_per_lot_tick, lot.tick_micro * lot.lot_kw)
            worth, energy, oldest_ns = worth + weight * lot.tick_micro * ticks, energy + weight, min(oldest_ns, seen_ns)
        return round(worth / energy / whole.lot.tick_micro), oldest_ns

    def _of_curve(self, listing_id: int) -> tuple[int, int] | None:
        whole = self._instruments.get(listing_id)
        found = self._curve.price(listing_id, self._own, self._slots.slot_of) if whole is not None else None
        if whole is None or found is None:
            return None
        return round(found.micro / whole.lot.tick_micro), found.oldest_ns

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "slots": self._slots.snapshot(),
            "own": self._own.copy(),
            "passed": [[listing_id, *passed] for listing_id, passed in self._passed.items()],
            "settled": [[listing_id, *settled] for listing_id, settled in self._settled.items()],
            "last": [list(item) for item in self.last_ticks.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._slots = ListingSlots.restored(state["slots"])
        self._own = np.array(state["own"], np.int64)
        self._passed = {listing_id: (ticks, at_ns) for listing_id, ticks, at_ns in state["passed"]}
        self._settled = {listing_id: (ticks, at_ns) for listing_id, ticks, at_ns in state["settled"]}
        self.last_ticks = dict(state["last"])
        for listing_id in self._slots.slot_of:
            self._curve.add(listing_id)
