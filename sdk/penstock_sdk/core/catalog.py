"""Names, definitions and reference data: the kernel alone gives ids, and every one of them is an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_sdk.core.reference_book import ReferenceBook, Said
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import (
    Alert,
    CalendarDefinition,
    ContractDefinition,
    IdKind,
    Interned,
    ListingDefinition,
    ReferenceTable,
    SessionReady,
    Severity,
    ZoneDefinition,
)

__all__ = ["Catalog"]


class Catalog:
    """Ids by kind and name, counted from 1 and never reused; definitions by id; dated rules and calendars."""

    def __init__(self) -> None:
        self.on_refused: Callable[[EnergyError], None] = lambda error: None
        """Called when reference data is refused, with the reason; the event at hand brought it."""
        self._reference = ReferenceBook()
        self._lost: list[tuple[Said, EnergyError]] = []
        """Reference data of an earlier session that does not hold any more; told when the session is ready."""
        self._ids: dict[int, dict[str, int]] = {int(kind): {} for kind in IdKind}
        self._names: dict[int, list[str]] = {int(kind): [""] for kind in IdKind}
        self._definitions: dict[int, dict[int, Any]] = {int(kind): {} for kind in IdKind}
        self.no_delivery: dict[int, ListingDefinition] = {}
        """Listings of which nobody has said what they deliver and when, by id."""

    def intern(self, kind: IdKind, name: str) -> tuple[int, Interned | None]:
        """Return the id of *name*, and the event to emit when it is new.

        Raises:
            ValueError: the name is empty.
        """
        ids = self._ids[kind]
        found = ids.get(name)
        if found is not None:
            return found, None
        if not name:
            raise ValueError(f"intern({kind.name}) met an empty name, wanted text")
        self._names[kind].append(name)
        number = len(self._names[kind]) - 1
        ids[name] = number
        return number, Interned(kind=kind, id=number, name=name)

    def name_of(self, kind: IdKind, id: int) -> str:
        """Return what an id names, or ``kind#id`` when it is unknown."""
        names = self._names[kind]
        return names[id] if 0 < id < len(names) else f"{kind.name.lower()}#{id}"

    def definition(self, kind: IdKind, id: int) -> Any:
        """Return the definition announced under an id, or None."""
        return self._definitions[kind].get(id)

    def definitions(self, kind: IdKind) -> list[Any]:
        """Return every definition of a kind, by id."""
        held = self._definitions[kind]
        return [held[i] for i in sorted(held)]

    def on_zone_definition(self, zone: ZoneDefinition) -> None:
        """Keep a zone's definition."""
        self._definitions[IdKind.ZONE][zone.zone_id] = zone

    def on_contract_definition(self, contract: ContractDefinition) -> None:
        """Keep a contract's definition."""
        self._definitions[IdKind.CONTRACT][contract.contract_id] = contract

    def on_listing_definition(self, listing: ListingDefinition) -> Alert | None:
        """Keep a listing's definition; tell, once, of one that says no delivery: orders in it are refused."""
        self._definitions[IdKind.LISTING][listing.listing_id] = listing
        if listing.interval_count or listing.segments or listing.reference_only:
            self.no_delivery.pop(listing.listing_id, None)
            return None
        known = listing.listing_id in self.no_delivery
        self.no_delivery[listing.listing_id] = listing
        return None if known else _no_delivery(listing, self.name_of(IdKind.PLUGIN, listing.venue_id))

    @property
    def reference(self) -> Reference:
        """The built-in rules overlaid by every table so far, and every calendar so far."""
        return self._reference.reference

    def on_reference_table(self, table: ReferenceTable) -> Alert | None:
        """Let a table's rows hold, all of them or none."""
        return self._take(table)

    def on_calendar_definition(self, calendar: CalendarDefinition) -> Alert | None:
        """Keep a calendar, in place of an earlier one of its name."""
        return self._take(calendar)

    def begin_session(self) -> None:
        """Know that reference data so far is an earlier session's: what is not said again is forgotten once it runs."""
        self._reference.begin_session()

    def on_session_ready(self, _ready: SessionReady) -> list[Alert]:
        """Forget reference data that nobody brings any more; tell of what this session cannot take up."""
        self._reference.end_start()
        lost, self._lost = self._lost, []
        return [_refused(event, error) for event, error in lost]

    def _take(self, event: Said) -> Alert | None:
        try:
            self._reference.take(event)
        except EnergyError as error:
            self.on_refused(error)
            return _refused(event, error)
        return None

    def snapshot(self) -> Any:
        """Return names and definitions as msgpack carries them."""
        kinds = (IdKind.ZONE, IdKind.CONTRACT, IdKind.LISTING)
        return {
            "names": {str(kind): names[1:] for kind, names in self._names.items()},
            "definitions": {str(int(k)): [d.layout.pack(d) for d in self.definitions(k)] for k in kinds},
            "reference": self._reference.snapshot(),
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        for kind, names in state["names"].items():
            self._names[int(kind)] = ["", *names]
            self._ids[int(kind)] = {name: number for number, name in enumerate(names, 1)}
        keep: dict[IdKind, tuple[Any, Callable[[Any], Any]]] = {
            IdKind.ZONE: (ZoneDefinition, self.on_zone_definition),
            IdKind.CONTRACT: (ContractDefinition, self.on_contract_definition),
            IdKind.LISTING: (ListingDefinition, self.on_listing_definition),
        }
        for kind_id, (cls, take) in keep.items():
            for body in state["definitions"][str(int(kind_id))]:
                take(cls.layout.unpack(body))
        self._lost = self._reference.restore(state.get("reference"))  # not kept before 0.3.0


def _no_delivery(listing: ListingDefinition, venue: str) -> Alert:
    return Alert(
        code="listing.no_delivery", severity=Severity.WARNING, subject=f"{listing.name} at {venue}",
        met="interval_count 0 and no segments; every order in it is refused (NO_DELIVERY)",
        wanted="the delivery intervals of the contract",
        way_out="if it is to be traded, let the venue announce it again with its intervals; else acknowledge this",
    )  # fmt: skip


def _refused(event: Said, error: EnergyError) -> Alert:
    return Alert(
        code="reference.refused", severity=Severity.ERROR, subject=f"{event.name} of {event.source}", met=str(error),
        wanted="reference data that goes together with the rest",
        way_out="mend it where it comes from and start again; what held before holds on",
    )  # fmt: skip
