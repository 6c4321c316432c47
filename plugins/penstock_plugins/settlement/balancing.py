"""Imbalance: what each book holds at delivery, against what was metered, at the prices of the balancing market."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from penstock_plugins.settlement.terms import Terms
from penstock_sdk.golden.settlement import NEWS, Due, Imbalance
from penstock_sdk.grid_slots import GridSlots

__all__ = ["Balancing", "SlotDue"]

_DAY_NS = 86_400_000_000_000


class SlotDue(NamedTuple):
    """What an interval brings a book."""

    zone_id: int
    book_id: int
    start_ns: int
    end_ns: int
    due: Due


class Balancing:
    """Positions at delivery by zone, book and interval, and what has been settled of them.

    A position is kept per listing and only laid on an interval when that is settled: a fill costs one addition.
    """

    def __init__(self) -> None:
        self.ledger = Imbalance()
        self.net: dict[int, dict[int, int]] = {}
        """Lots bought less sold by listing and book."""
        self.plans: dict[tuple[int, int, int], dict[int, int]] = {}
        """kW that own assets are to feed in, by (zone, book, start) and source."""
        self.priced_until: dict[int, int] = {}
        """The end of the last interval with a price, by zone."""
        self._books: dict[int, dict[int, None]] = {}
        self._at: dict[tuple[int, int], list[Terms]] = {}
        """Listings that deliver on a day, UTC, of a zone."""

    def trade(self, terms: Terms, book_id: int, signed_lots: int) -> None:
        """Add a physical trade; what is not power or gas in kW has no imbalance."""
        if terms.slots.grid_unit != "kW" or terms.slots.in_days:
            return
        held = self.net.get(terms.listing_id)
        if held is None:
            held = self._hold(terms)
        held[book_id] = held.get(book_id, 0) + signed_lots
        self._books.setdefault(terms.zone_id, {}).setdefault(book_id)

    def _hold(self, terms: Terms) -> dict[int, int]:
        slots = terms.slots
        days: dict[int, None] = {}
        for first, end, _ in terms.pieces:
            days |= dict.fromkeys(range(slots.start_ns(first) // _DAY_NS, (slots.start_ns(end) - 1) // _DAY_NS + 1))
        for day in days:
            self._at.setdefault((terms.zone_id, day), []).append(terms)
        held: dict[int, int] = {}
        self.net[terms.listing_id] = held
        return held

    def priced_slots(self, terms: Terms) -> list[int]:
        """Return the slots of a listing that have a price already: a late trade changes what was settled there."""
        if self.priced_until.get(terms.zone_id, 0) <= terms.start_ns:
            return []
        price, zone_id, slots = self.ledger.prices.get, terms.zone_id, terms.slots
        last = min(terms.end_slot, slots.floor(self.priced_until[zone_id]))
        return [s for s in range(terms.first_slot, last) if terms.amount(s) and price((zone_id, slots.start_ns(s)))]

    def plan(self, cell: tuple[int, int, int], source_id: int, kilowatts: int) -> None:
        """Take in what an asset is to feed in over an interval, in place of what its source said before."""
        self.plans.setdefault(cell, {})[source_id] = kilowatts
        self._books.setdefault(cell[0], {}).setdefault(cell[1])

    def price(self, slots: GridSlots, slot: int, version: int, micro_per_mwh: int) -> int:
        """Take in an interval's price; return NEWS, KNOWN or CONFLICT."""
        start_ns = slots.start_ns(slot)
        found = self.ledger.prices.put((slots.zone_id, start_ns), version, micro_per_mwh)
        if found == NEWS:
            self.priced_until[slots.zone_id] = max(self.priced_until.get(slots.zone_id, 0), slots.start_ns(slot + 1))
        return found

    def meter(self, slots: GridSlots, slot: int, book_id: int, version: int, watt_minutes: int) -> int:
        """Take in what a book took over an interval, fed in negative; return NEWS, KNOWN or CONFLICT."""
        self._books.setdefault(slots.zone_id, {}).setdefault(book_id)
        return self.ledger.meters.put((slots.zone_id, book_id, slots.start_ns(slot)), version, watt_minutes)

    def settle(self, slots: GridSlots, slot: int) -> Iterator[SlotDue]:
        """Yield what an interval brings each book that it changes for.

        A book that has dealt and is balanced is told once that nothing is due: its interval is settled all the same.
        """
        zone_id, start_ns, minutes = slots.zone_id, slots.start_ns(slot), slots.minutes(slot)
        books = self._books.get(zone_id)
        if not books or self.ledger.prices.get((zone_id, start_ns)) is None:
            return
        kilowatts = self.kilowatts(slots, slot)
        for book_id in books:
            cell = (zone_id, book_id, start_ns)
            planned = sum(self.plans.get(cell, {}).values())
            due = self.ledger.settle(
                cell, kilowatts.get(book_id, 0) * minutes * 1_000, planned * minutes * 1_000,
                even_nothing=book_id in kilowatts,
            )  # fmt: skip
            if due is not None:
                yield SlotDue(zone_id, book_id, start_ns, start_ns + minutes * 60_000_000_000, due)

    def kilowatts(self, slots: GridSlots, slot: int) -> dict[int, int]:
        """Return what each book has bought, less sold, for an interval, in kW."""
        total: dict[int, int] = {}
        for terms in self._at.get((slots.zone_id, slots.start_ns(slot) // _DAY_NS), ()):
            amount = terms.amount(slot)
            if amount:
                for book_id, lots in self.net[terms.listing_id].items():
                    total[book_id] = total.get(book_id, 0) + lots * amount
        return total

    def unpriced(self, zone_id: int, first_ns: int, end_ns: int) -> list[int]:
        """Return where the intervals of a stretch begin that have a position and no price, ns UTC, in order."""
        missing: set[int] = set()
        for day in range(first_ns // _DAY_NS, (end_ns - 1) // _DAY_NS + 1):
            for terms in self._at.get((zone_id, day), ()):
                if any(self.net[terms.listing_id].values()):
                    slots = terms.slots
                    begin = max(terms.first_slot, slots.floor(max(first_ns, day * _DAY_NS)))
                    end = min(terms.end_slot, slots.floor(min(end_ns, (day + 1) * _DAY_NS)))
                    missing |= {
                        slots.start_ns(s) for s in range(begin, end)
                        if terms.amount(s) and self.ledger.prices.get((zone_id, slots.start_ns(s))) is None
                    }  # fmt: skip
        return sorted(missing)

    def zones(self) -> list[int]:
        """Return the zones that a book has something in and that ever had a price: others have no imbalance of ours."""
        return [zone_id for zone_id in self._books if zone_id in self.priced_until]

    def let_go(self, before_ns: int) -> None:
        """Forget what was delivered before *before_ns*."""
        self.ledger.let_go(before_ns)
        self.plans = {cell: plan for cell, plan in self.plans.items() if cell[2] >= before_ns}
        gone = [key for key in self._at if (key[1] + 1) * _DAY_NS <= before_ns]
        for key in gone:
            for terms in self._at.pop(key):
                if terms.end_ns <= before_ns:
                    self.net.pop(terms.listing_id, None)

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "ledger": self.ledger.snapshot(),
            "net": [[listing, [list(held) for held in books.items()]] for listing, books in self.net.items()],
            "plans": [[*cell, [list(plan) for plan in plans.items()]] for cell, plans in self.plans.items()],
            "priced_until": [list(pair) for pair in self.priced_until.items()],
            "books": [[zone, list(books)] for zone, books in self._books.items()],
        }

    def restore(self, state: dict[str, Any], terms: dict[int, Terms]) -> None:
        """Take back what `snapshot` returned; *terms* has every listing that is held."""
        self.ledger.restore(state["ledger"])
        self.net, self._at = {}, {}
        for listing, books in state["net"]:
            self._hold(terms[listing]).update(dict(books))
        self.plans = {(zone, book, start): dict(plans) for zone, book, start, plans in state["plans"]}
        self.priced_until = dict(state["priced_until"])
        self._books = {zone: dict.fromkeys(books) for zone, books in state["books"]}
