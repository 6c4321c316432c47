"""Swaps: fixed against floating, month by month, once every interval of a month has its index price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from penstock_plugins.settlement.terms import MonthPart, Terms, month_parts
from penstock_sdk.energy.settlement import divide_half_even
from penstock_sdk.golden.settlement import NEWS, Versions

__all__ = ["Holder", "OpenMonth", "SwapDue", "Swaps"]

Holder = tuple[int, int, int]
"""(book, strategy, counterparty)."""


class SwapDue(NamedTuple):
    """What a month of a swap brings, in addition to what was told before."""

    terms: Terms
    part: MonthPart
    holder: Holder
    amount_micro: int
    energy_wh: int
    version: int


class OpenMonth(NamedTuple):
    """A month of a swap that lacks prices."""

    terms: Terms
    series_id: int
    party_id: int
    missing: int
    first_ns: int


class _Leg:
    """A swap's index, and for each of its months what is known of it."""

    def __init__(self, terms: Terms, series_id: int) -> None:
        self.terms, self.series_id = terms, series_id
        self.parts = month_parts(terms)
        self.missing = [
            sum(terms.amount(slot) != 0 for slot in range(part.first_slot, part.end_slot)) for part in self.parts
        ]
        """Intervals without a price, by month."""
        self.floating = [0] * len(self.parts)
        """Price times weight, summed, by month."""
        self.version = [0] * len(self.parts)


class Swaps:
    """Cash-settled deals against an index. The buyer pays the fixed price and receives the floating one."""

    def __init__(self) -> None:
        self.prices = Versions()
        """10⁻⁶ of the currency per unit of energy by (series, start)."""
        self._legs: dict[int, _Leg] = {}
        self._held: dict[int, dict[Holder, list[int]]] = {}
        """[net lots, lots times ticks] by listing."""
        self._touched: dict[tuple[int, int], None] = {}
        """(listing, month's place) of what may have something due."""
        self._told: dict[tuple[int, int, Holder], list[int]] = {}
        """[amount, energy] by (listing, month's place, holder)."""

    def follow(self, terms: Terms, series_id: int) -> None:
        """Let a listing settle against an index; what is known of it counts."""
        leg = self._legs[terms.listing_id] = _Leg(terms, series_id)
        for part in leg.parts:
            for slot in range(part.first_slot, part.end_slot):
                known = self.prices.get((series_id, terms.slots.start_ns(slot)))
                if known is not None:
                    self._know(leg, slot, None, known[1], known[0])

    def follows(self, listing_id: int) -> bool:
        """Return whether a listing has its index."""
        return listing_id in self._legs

    def trade(self, terms: Terms, holder: Holder, signed_lots: int, price_ticks: int) -> None:
        """Add a trade; `due` tells what it brings of months that are known already."""
        held = self._held.setdefault(terms.listing_id, {}).setdefault(holder, [0, 0])
        held[0] += signed_lots
        held[1] += signed_lots * price_ticks
        self._touched |= {(terms.listing_id, at): None for at in range(len(self._legs[terms.listing_id].parts))}

    def price(self, series_id: int, start_ns: int, version: int, micro_per_unit: int) -> int:
        """Take in an index price; return NEWS, KNOWN or CONFLICT. `due` tells what follows from it."""
        before = self.prices.get((series_id, start_ns))
        found = self.prices.put((series_id, start_ns), version, micro_per_unit)
        if found == NEWS:
            for leg in self._legs.values():
                if leg.series_id == series_id and leg.terms.start_ns <= start_ns < leg.terms.end_ns:
                    slot = leg.terms.slots.floor(start_ns)
                    changed = self._know(leg, slot, before and before[1], micro_per_unit, version)
                    self._touched |= {(leg.terms.listing_id, at): None for at in changed}
        return found

    def due(self) -> list[SwapDue]:
        """Return what the trades and prices since last asked bring, month by month."""
        touched, self._touched = self._touched, {}
        return [due for listing_id, at in touched for due in self._due(self._legs[listing_id], at)]

    @staticmethod
    def _know(leg: _Leg, slot: int, before: int | None, micro: int, version: int) -> list[int]:
        weight = leg.terms.weight(slot)
        for at, part in enumerate(leg.parts):
            if weight and part.first_slot <= slot < part.end_slot:
                leg.missing[at] -= before is None
                leg.floating[at] += (micro - (before or 0)) * weight
                leg.version[at] = max(leg.version[at], version)
                return [at]
        return []

    def _due(self, leg: _Leg, at: int) -> Iterator[SwapDue]:
        if leg.missing[at]:
            return
        terms, part, whole = leg.terms, leg.parts[at], sum(part.weight for part in leg.parts)
        for holder, (net, cost) in self._held.get(terms.listing_id, {}).items():
            against = net * leg.floating[at] - cost * terms.tick_micro * part.weight
            amount = divide_half_even(terms.micro_per_lot_tick * against, terms.tick_micro * whole)
            energy = divide_half_even(terms.wh(net) * part.weight, whole)
            told = self._told.get(key := (terms.listing_id, at, holder))
            if told != [amount, energy]:  # once even if nothing is due: the month is settled all the same
                before = told or [0, 0]
                yield SwapDue(terms, part, holder, amount - before[0], energy - before[1], leg.version[at])
                self._told[key] = [amount, energy]

    def worth(self, listing_id: int) -> tuple[int, int] | None:
        """Return what a lot's delivery is worth at its index, 10⁻⁶ as (numerator, denominator); None: not known yet."""
        leg = self._legs[listing_id]
        if any(leg.missing):
            return None
        whole = leg.terms.tick_micro * sum(part.weight for part in leg.parts)
        return leg.terms.micro_per_lot_tick * sum(leg.floating), whole

    def missing(self, listing_id: int) -> tuple[int, int]:
        """Return how many prices of its index a listing lacks, and where the first of them begins, ns UTC."""
        leg = self._legs[listing_id]
        lacking = (part for part, missing in zip(leg.parts, leg.missing, strict=True) if missing)
        return sum(leg.missing), min((self._first(leg, part) for part in lacking), default=0)

    def _first(self, leg: _Leg, part: MonthPart) -> int:
        starts = (leg.terms.slots.start_ns(s) for s in range(part.first_slot, part.end_slot) if leg.terms.amount(s))
        return next((start_ns for start_ns in starts if self.prices.get((leg.series_id, start_ns)) is None), 0)

    def open_months(self, month: str) -> Iterator[OpenMonth]:
        """Yield the swaps that lack prices in a month, once for each counterparty."""
        for listing_id, held in self._held.items():
            leg = self._legs[listing_id]
            for part, missing in zip(leg.parts, leg.missing, strict=True):
                if part.month == month and missing:
                    first_ns = self._first(leg, part)
                    for party_id in sorted({party for _, _, party in held}):
                        yield OpenMonth(leg.terms, leg.series_id, party_id, missing, first_ns)

    def let_go(self, before_ns: int, needed_ns: int) -> None:
        """Forget swaps that ended before *before_ns*, and prices from before then that none needs.

        Args:
            before_ns: ns UTC.
            needed_ns: prices from then on are kept.
        """
        for listing_id in [key for key, leg in self._legs.items() if leg.terms.end_ns <= before_ns]:
            del self._legs[listing_id]
            self._held.pop(listing_id, None)
        self._told = {key: told for key, told in self._told.items() if key[0] in self._legs}
        self.prices.let_go(min([before_ns, needed_ns, *(leg.terms.start_ns for leg in self._legs.values())]))

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "prices": self.prices.snapshot(),
            "legs": [[listing, leg.series_id] for listing, leg in self._legs.items()],
            "held": [[key, [[*holder, *sums] for holder, sums in held.items()]] for key, held in self._held.items()],
            "told": [[listing, at, *holder, *told] for (listing, at, holder), told in self._told.items()],
        }

    def restore(self, state: dict[str, Any], terms: dict[int, Terms]) -> None:
        """Take back what `snapshot` returned; *terms* has every listing that is followed."""
        self.prices.restore(state["prices"])
        self._legs = {}
        for listing, series_id in state["legs"]:
            self.follow(terms[listing], series_id)
        self._held = {
            key: {(book, strategy, party): [net, cost] for book, strategy, party, net, cost in held}
            for key, held in state["held"]
        }
        self._told = {
            (listing, at, (book, strategy, party)): [amount, energy]
            for listing, at, book, strategy, party, amount, energy in state["told"]
        }
