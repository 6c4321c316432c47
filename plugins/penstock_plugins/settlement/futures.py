"""Futures held: their daily gain or loss, their cascades, and the delivery of those that are physical."""

from __future__ import annotations

from typing import Any

from penstock_plugins.settlement.terms import Terms
from penstock_sdk.context import Context
from penstock_sdk.energy.money import allocate
from penstock_sdk.energy.settlement import divide_half_even
from penstock_sdk.golden.cascade import Lot, part_lots
from penstock_sdk.golden.settlement import Variation

__all__ = ["Futures", "Holder"]

Holder = tuple[int, int, int]
"""(book, strategy, counterparty)."""


class Futures:
    """What is held of each future, by holder."""

    def __init__(self) -> None:
        self._held: dict[int, dict[Holder, Variation]] = {}
        self._marks: dict[int, int] = {}
        """The last settlement mark by listing, in ticks."""

    def _of(self, listing_id: int, holder: Holder) -> Variation:
        return self._held.setdefault(listing_id, {}).setdefault(holder, Variation())

    def trade(self, terms: Terms, holder: Holder, signed_lots: int, price_ticks: int) -> None:
        """Add a trade: it is paid with the next settlement mark."""
        self._of(terms.listing_id, holder).trade(signed_lots, price_ticks * terms.micro_per_lot_tick)

    def settle(self, terms: Terms, mark_ticks: int) -> list[tuple[Holder, int]]:
        """Return what each holder has gained since last settled, where that is not nothing."""
        self._marks[terms.listing_id] = mark_ticks
        mark = mark_ticks * terms.micro_per_lot_tick
        gains = [(holder, one.settle(mark)) for holder, one in self._held.get(terms.listing_id, {}).items()]
        return [(holder, gain) for holder, gain in gains if gain]

    def settle_last(self, terms: Terms) -> list[tuple[Holder, int]] | None:
        """Return what each holder has gained at the last mark; None where lots are held and there is no mark."""
        mark = self._marks.get(terms.listing_id)
        if mark is None and any(one.net_lots for one in self._held.get(terms.listing_id, {}).values()):
            return None
        return self._settle(terms, (mark or 0) * terms.micro_per_lot_tick, 1)

    def settle_worth(self, terms: Terms, numerator: int, denominator: int) -> list[tuple[Holder, int]]:
        """Return what each holder has gained where a lot is worth that many 10⁻⁶ of the currency, rounded half-even."""
        return self._settle(terms, numerator, denominator)

    def _settle(self, terms: Terms, numerator: int, denominator: int) -> list[tuple[Holder, int]]:
        gains = []
        for holder, one in self._held.get(terms.listing_id, {}).items():
            gain = one.cash_micro + divide_half_even(one.net_lots * numerator, denominator) - one.paid_micro
            one.paid_micro += gain
            if gain:
                gains.append((holder, gain))
        return gains

    def unmarked(self, listing_id: int) -> bool:
        """Return whether a future is held that has no settlement mark."""
        return listing_id in self._held and listing_id not in self._marks

    def parties(self, listing_id: int) -> list[int]:
        """Return with whom lots of a future are held, 0 the clearing house."""
        return sorted({party for (_, _, party), one in self._held.get(listing_id, {}).items() if one.net_lots})

    def cascade(self, ctx: Context, parent: Terms, parts: list[Terms], price_ticks: int) -> list[tuple[Holder, int]]:
        """Settle the parent at a price and let its parts go on from there; return each holder's last gain.

        Money is conserved: the parts cost together what the parent was settled at.

        Raises:
            ValueError: the parts do not make up the parent.
        """
        lots = part_lots(_lot(ctx, parent), [_lot(ctx, part) for part in parts])
        weights = [times * part.wh_per_lot for times, part in zip(lots, parts, strict=True)]
        gains = []
        for holder, one in self._held.get(parent.listing_id, {}).items():
            gain, held = one.close(price_ticks * parent.micro_per_lot_tick)
            if gain:
                gains.append((holder, gain))
            cost = allocate(held * price_ticks * parent.micro_per_lot_tick, weights)
            for part, times, money in zip(parts, lots, cost, strict=True):
                into = self._of(part.listing_id, holder)
                into.net_lots += held * times
                into.cash_micro -= money
        return gains

    def deliver(self, terms: Terms) -> list[tuple[Holder, int, int, int]]:
        """Return (holder, lots, money, gain) of what a physical future delivers at its last mark, and end it.

        The last gain is none where the last mark was settled. Without any mark it is delivered at what it cost.
        """
        out = []
        for holder, one in self._held.pop(terms.listing_id, {}).items():
            if one.net_lots == 0 and one.cash_micro == one.paid_micro:
                continue
            mark, lots, gain = self._marks.get(terms.listing_id), one.net_lots, 0
            if mark is None:
                money = one.cash_micro
            else:
                money = -lots * mark * terms.micro_per_lot_tick
                gain = one.settle(mark * terms.micro_per_lot_tick)
            out.append((holder, lots, money, gain))
        return out

    def let_go(self, listing_id: int) -> None:
        """Forget a future that is over."""
        self._held.pop(listing_id, None)
        self._marks.pop(listing_id, None)

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "held": [
                [listing, [[*holder, v.net_lots, v.cash_micro, v.paid_micro] for holder, v in held.items()]]
                for listing, held in self._held.items()
            ],
            "marks": [list(pair) for pair in self._marks.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._held = {
            listing: {(book, strategy, party): Variation(*rest) for book, strategy, party, *rest in held}
            for listing, held in state["held"]
        }
        self._marks = dict(state["marks"])


def _lot(ctx: Context, terms: Terms) -> Lot:
    listing = ctx.listing(terms.listing_id)
    assert listing is not None, "terms are made of a listing"
    return Lot(listing.cash_micro_per_lot_tick, listing.tick_micro, listing.lot_kw)
