"""What a lot of a listing delivers, slot by slot of its zone's grid: looked up once, in the definitions."""

from __future__ import annotations

from typing import NamedTuple

from penstock_sdk.context import Context
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.grid_slots import GridSlots, segments_of

__all__ = ["Shape", "Shapes"]

_MINUTE_NS = 60_000_000_000


class Shape(NamedTuple):
    """A listing's delivery. Slots are numbered as `GridSlots` numbers them."""

    slots: GridSlots
    pieces: tuple[tuple[int, int, int], ...]
    """(first slot, slot after the last, what a lot adds to each), in order, no amount 0."""
    market: tuple[int, int, str]
    """(zone, currency, price unit): prices of one market can be compared."""
    balanced: bool
    """Whether imbalance is paid for what is held at delivery: physical, and power or gas by the interval."""
    swap: bool
    """Whether the difference to an index is paid, month by month."""
    tick_micro: int
    minutes: int
    """How long it delivers in all."""

    @property
    def first(self) -> int:
        """The first slot that it delivers in."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """The slot after the last one."""
        return self.pieces[-1][1]

    def over(self, first: int, end: int) -> int:
        """Return how much a steady amount of 1 is over some slots: of power it is time, of daily amounts days."""
        if self.slots.grid_unit == "kW":
            return (self.slots.start_ns(end) - self.slots.start_ns(first)) // _MINUTE_NS
        return end - first

    def weight(self, first: int, end: int) -> int:
        """Return what a lot delivers from slot *first* to the one before *end*, as a share of `whole`."""
        return sum(
            amount * self.over(max(first, begin), min(end, stop))
            for begin, stop, amount in self.pieces
            if begin < end and first < stop
        )

    @property
    def whole(self) -> int:
        """What a lot delivers in all."""
        return self.weight(self.first, self.end)


class Shapes:
    """The shapes of listings, kept until they are dropped."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: dict[int, Shape | None] = {}

    def of(self, listing_id: int) -> Shape | None:
        """Return a listing's shape; None where it has no contract or zone, or is off its zone's grid."""
        if listing_id not in self._known:
            self._known[listing_id] = self._look(listing_id)
        return self._known[listing_id]

    def drop(self, listing_id: int) -> None:
        """Forget a shape; it is looked up again when asked for."""
        self._known.pop(listing_id, None)

    def _look(self, listing_id: int) -> Shape | None:
        listing = self._ctx.listing(listing_id)
        contract = None if listing is None else self._ctx.contract(listing.contract_id)
        zone = None if contract is None else self._ctx.zone(contract.zone_id)
        if listing is None or contract is None or zone is None:
            return None
        try:
            slots = GridSlots.of(zone)
            rows = segments_of(listing, slots).tolist()
        except EnergyError:
            return None
        pieces = tuple((first, first + count, amount) for first, count, amount in rows if amount)
        if not pieces:
            return None
        minutes = sum((slots.start_ns(end) - slots.start_ns(first)) // _MINUTE_NS for first, end, _ in pieces)
        market = (zone.zone_id, contract.currency_id, contract.price_unit)
        physical = contract.settlement == "physical"
        return Shape(
            slots, pieces, market, physical and slots.grid_unit == "kW" and not slots.in_days,
            not physical and contract.payment != "variation", listing.tick_micro, minutes,
        )  # fmt: skip
