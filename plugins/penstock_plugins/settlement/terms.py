"""What settlement needs to know of a listing: what a lot delivers where and when, and how it is paid."""

from __future__ import annotations

from datetime import date, datetime, time
from fractions import Fraction
from typing import NamedTuple

from penstock_sdk.context import Context
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.energy.settlement import delivered_on
from penstock_sdk.energy.units import MWH_PER_UNIT
from penstock_sdk.events import ListingDefinition
from penstock_sdk.grid_slots import GridSlots

__all__ = ["MonthPart", "Terms", "month_parts", "terms_of"]

_WH = {unit: mwh * 1_000_000 for unit, mwh in MWH_PER_UNIT.items()} | {"t": Fraction(1_000_000)}
"""Wh in a unit that prices are per; of a tonne of CO₂ its grams."""


class Terms(NamedTuple):
    """A listing as settlement sees it."""

    listing_id: int
    name: str
    zone_id: int
    currency_id: int
    payment: str
    """spot, variation or monthly."""
    physical: bool
    micro_per_lot_tick: int
    tick_micro: int
    wh_per_lot: Fraction
    start_ns: int
    end_ns: int
    pieces: tuple[tuple[int, int, int], ...]
    """(first slot, slot after the last, amount a lot adds in the zone's grid unit)."""
    slots: GridSlots

    def amount(self, slot: int) -> int:
        """Return what a lot adds to a slot, in the zone's grid unit."""
        return sum(amount for first, end, amount in self.pieces if first <= slot < end)

    def wh(self, lots: int) -> int:
        """Return the energy of some lots, in Wh; rounded half-even where a therm is no whole number of them."""
        energy = self.wh_per_lot
        return lots * energy.numerator if energy.denominator == 1 else round(lots * energy)

    def weight(self, slot: int) -> int:
        """Return a lot's delivery in a slot, as a share of `total_weight`."""
        return self.amount(slot) * self._per_amount(slot)

    def _per_amount(self, slot: int) -> int:
        return self.slots.minutes(slot) if self.slots.grid_unit == "kW" else 1

    def weight_between(self, first: int, end: int) -> int:
        """Return a lot's delivery in the slots from *first* to the one before *end*, as a share of the whole."""
        if self.slots.varies:
            return sum(self.weight(slot) for slot in range(first, end))
        each = 0 if first >= end else self._per_amount(first)
        return sum(amount * each * max(0, min(end, last) - max(first, begin)) for begin, last, amount in self.pieces)

    @property
    def first_slot(self) -> int:
        """The first slot of delivery."""
        return min(first for first, _, _ in self.pieces)

    @property
    def end_slot(self) -> int:
        """The slot after the last of delivery."""
        return max(end for _, end, _ in self.pieces)


class MonthPart(NamedTuple):
    """The part of a delivery that lies in one month of local delivery days."""

    month: str
    start_ns: int
    end_ns: int
    first_slot: int
    end_slot: int
    weight: int


def terms_of(ctx: Context, listing_id: int) -> Terms | None:
    """Return a listing's terms; None where listing, contract or zone is unknown, or its zone's grid makes no sense."""
    listing = ctx.listing(listing_id)
    contract = None if listing is None else ctx.contract(listing.contract_id)
    zone = None if contract is None else ctx.zone(contract.zone_id)
    if listing is None or contract is None or zone is None or not listing.tick_micro:
        return None
    try:
        slots = GridSlots.of(zone)
        pieces = _pieces(listing, slots)
    except ValueError:
        return None
    unit = contract.price_unit.partition("/")[2]
    return Terms(
        listing_id, listing.name, zone.zone_id, contract.currency_id, contract.payment,
        contract.settlement == "physical", listing.cash_micro_per_lot_tick, listing.tick_micro,
        Fraction(listing.cash_micro_per_lot_tick, listing.tick_micro) * _WH.get(unit, 0),
        contract.delivery_start_ns, contract.delivery_end_ns, pieces, slots,
    )  # fmt: skip


def _pieces(listing: ListingDefinition, slots: GridSlots) -> tuple[tuple[int, int, int], ...]:
    """Return a lot's pieces on the zone's grid; a listing on a coarser step of its own is spread over the zone's."""
    spans = listing.segments or [(listing.interval_start_ns, listing.interval_count, listing.lot_kw)]
    if slots.in_days:
        return tuple((first := slots.slot(start_ns), first + count, amount) for start_ns, count, amount in spans)
    return tuple(
        (slots.slot(start_ns), slots.slot(start_ns + count * listing.interval_ns), amount)
        for start_ns, count, amount in spans
    )


def month_parts(terms: Terms) -> list[MonthPart]:
    """Return a delivery's local months, in order; the weights add up to the whole of a lot."""
    slots, first, end = terms.slots, terms.first_slot, terms.end_slot
    parts: list[MonthPart] = []
    while first < end:
        day = _delivery_date(slots, first)
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        stop = min(end, _slot_of_date(slots, following))
        weight = terms.weight_between(first, stop)
        if weight:
            parts.append(MonthPart(f"{day:%Y-%m}", slots.start_ns(first), slots.start_ns(stop), first, stop, weight))
        first = stop
    return parts


def _delivery_date(slots: GridSlots, slot: int) -> date:
    if slots.in_days:
        return date.fromordinal(slot)
    return delivered_on(slots.start_ns(slot), slots.timezone, slots.day_starts_hour)


def _slot_of_date(slots: GridSlots, day: date) -> int:
    if slots.in_days:
        return day.toordinal()
    hour = time(slots.day_starts_hour)
    return slots.floor(local_to_ns(datetime.combine(day, hour), slots.timezone, passing="A"))
