"""A run's figures in the market's terms: names for ids, prices per MWh, MW, local and UTC time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from penstock_kernel.inspect.asked import order_name
from penstock_kernel.inspect.journal_view import JournalView, entries_of
from penstock_sdk.energy import lots_to_mw, ns_to_local, ticks_to_price
from penstock_sdk.events import ContractDefinition, IdKind, Interned, ListingDefinition, ZoneDefinition
from penstock_sdk.explained import Unit
from penstock_sdk.schema import ABSENT, layout_of

__all__ = ["MarketWords", "span_text", "utc_text"]

_TOLD = (Interned, ZoneDefinition, ContractDefinition, ListingDefinition)
_MICRO = 1_000_000
_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"))


class MarketWords:
    """The names and grids that a run has announced.

    Args:
        view: where they are announced; those of its whole length hold, as ids are never reused.
    """

    def __init__(self, view: JournalView) -> None:
        self.names: dict[tuple[int, int], str] = {}
        self.listings: dict[int, ListingDefinition] = {}
        self._contracts: dict[int, ContractDefinition] = {}
        self._zones: dict[int, ZoneDefinition] = {}
        for frame in view.of(*(layout_of(cls).id for cls in _TOLD)):
            for entry in entries_of(frame):
                self._take(entry.record)

    def _take(self, record: Interned | ZoneDefinition | ContractDefinition | ListingDefinition) -> None:
        if isinstance(record, Interned):
            self.names[int(record.kind), record.id] = record.name
        elif isinstance(record, ListingDefinition):
            self.listings[record.listing_id] = record
        elif isinstance(record, ContractDefinition):
            self._contracts[record.contract_id] = record
        else:
            self._zones[record.zone_id] = record

    def name(self, kind: IdKind, number: int) -> str:
        """Return what an interned id names; ``kind#id`` when that was never said."""
        return self.names.get((int(kind), number), f"{kind.name.lower()}#{number}")

    def plugin(self, plugin_id: int) -> str:
        """Return a plugin instance's name; id 0 is the kernel."""
        return self.name(IdKind.PLUGIN, plugin_id) if plugin_id else "kernel"

    def plugin_names(self) -> list[str]:
        """Return the names of all plugin instances, by id."""
        return [name for (kind, _), name in sorted(self.names.items()) if kind == IdKind.PLUGIN]

    def listing(self, listing_id: int) -> str:
        """Return a listing's name; 0 is all of them."""
        held = self.listings.get(listing_id)
        return held.name if held is not None else f"listing#{listing_id}" if listing_id else "all listings"

    def contract(self, listing_id: int) -> ContractDefinition | None:
        """Return the contract that a listing trades."""
        held = self.listings.get(listing_id)
        return self._contracts.get(held.contract_id) if held is not None else None

    def timezone(self, listing_id: int) -> str:
        """Return the IANA name of the zone where a listing delivers; of the only zone when it is not known; or UTC."""
        contract = self.contract(listing_id)
        zone = self._zones.get(contract.zone_id) if contract is not None else None
        zone = zone or next(iter(self._zones.values()), None)
        return zone.timezone if zone is not None else "UTC"

    def currency(self, listing_id: int) -> str:
        """Return the currency a listing is priced in, as ``EUR``."""
        contract = self.contract(listing_id)
        return self.name(IdKind.CURRENCY, contract.currency_id) if contract is not None else "currency"

    def hours(self, listing_id: int) -> Decimal | None:
        """Return how long a listing delivers, in hours."""
        contract = self.contract(listing_id)
        if contract is None:
            return None
        return Decimal(contract.delivery_end_ns - contract.delivery_start_ns) / Decimal(3_600 * 10**9)

    # -- figures ---------------------------------------------------------------------------------------------------

    def price_number(self, ticks: int, listing_id: int) -> float | None:
        """Return a price in currency per MWh, None where it is absent or the listing's grid is not known."""
        held = self.listings.get(listing_id)
        return None if ticks == ABSENT or held is None else ticks * held.tick_micro / _MICRO

    def half_price_number(self, half_ticks: int, listing_id: int) -> float | None:
        """Return a mid in currency per MWh, given bid plus ask in ticks."""
        price = self.price_number(half_ticks, listing_id)
        return None if price is None else price / 2

    def qty_number(self, lots: int, listing_id: int) -> float | None:
        """Return a quantity in MW, None where the listing's grid is not known."""
        held = self.listings.get(listing_id)
        return None if held is None else lots * held.lot_kw / 1_000

    def price(self, ticks: int, listing_id: int) -> str:
        """Return a price as ``64.27 EUR/MWh``."""
        held = self.listings.get(listing_id)
        if ticks == ABSENT:
            return "no price"
        if held is None:
            return f"{ticks} ticks"
        return f"{ticks_to_price(ticks, held.tick_micro)} {self.currency(listing_id)}/MWh"

    def qty(self, lots: int, listing_id: int) -> str:
        """Return a quantity as ``1.0 MW``."""
        held = self.listings.get(listing_id)
        return f"{lots} lots" if held is None or lots == ABSENT else f"{lots_to_mw(lots, held.lot_kw)} MW"

    def money(self, micro: int, listing_id: int, currency_id: int = 0) -> str:
        """Return an amount as ``16.07 EUR``."""
        unit = self.name(IdKind.CURRENCY, currency_id) if currency_id else self.currency(listing_id)
        return f"{micro / _MICRO:,.2f} {unit}"

    def amount(self, value: int, unit: Unit, listing_id: int) -> str:
        """Return a check's value or limit in the market's unit; empty when it is absent."""
        if value == ABSENT:
            return ""
        if unit == "lots":
            return self.qty(value, listing_id)
        if unit == "ticks":
            return self.price(value, listing_id)
        if unit == "micro":
            return self.money(value, listing_id)
        return span_text(value) if unit == "ns" else f"{value:,}"

    # -- time ------------------------------------------------------------------------------------------------------

    def local(self, at_ns: int, listing_id: int) -> str:
        """Return a time as clocks at the place of delivery show it, with its distance from UTC."""
        if at_ns == ABSENT:
            return "no time"
        moment = ns_to_local(at_ns, self.timezone(listing_id))
        return f"{moment:%Y-%m-%d %H:%M:%S}{_fraction(at_ns)} {moment:%z}"

    def delivery(self, listing_id: int) -> tuple[str, str]:
        """Return when a listing delivers, in local time and in UTC, as ``2026-03-10 02:45 +0100 to 03:00 +0100``."""
        contract = self.contract(listing_id)
        if contract is None:
            return "unknown", "unknown"
        ends = (contract.delivery_start_ns, contract.delivery_end_ns)
        timezone = self.timezone(listing_id)
        first, last = (ns_to_local(at_ns, timezone) for at_ns in ends)
        until = f"{last:%H:%M %z}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M %z}"
        utc_first, utc_last = (datetime.fromtimestamp(at_ns // 10**9, UTC) for at_ns in ends)
        return f"{first:%Y-%m-%d %H:%M %z} to {until}", f"{utc_first:%Y-%m-%d %H:%M} to {utc_last:%H:%M} UTC"

    def orders(self, order_ids: Iterable[int]) -> str:
        """Return order ids for a sentence, the first few."""
        named = [order_name(order_id) for order_id in order_ids]
        return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")


def _fraction(at_ns: int) -> str:
    """Return the part of a second below the second: milliseconds, or all nine places where they are needed."""
    part = at_ns % 10**9
    return f".{part // 10**6:03}" if part % 10**6 == 0 else f".{part:09}"


def utc_text(at_ns: int) -> str:
    """Return a time as ``2026-03-09T15:03:05.000Z``."""
    if at_ns == ABSENT:
        return ""
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}{_fraction(at_ns)}Z"


def span_text(span_ns: int) -> str:
    """Return a length of time in the largest unit that leaves at least one whole: ``5.2 s``, ``310 µs``, ``42 ns``."""
    for size, unit in _UNITS:
        if abs(span_ns) >= size:
            return f"{span_ns / size:,.10g} {unit}"
    return f"{span_ns} ns"
