"""The market that the kit tells of: names with their ids, a zone, an hour's contracts, listings, and an afternoon.

Everything in it is made up, small, and the same every time. What the plugin itself defines is added as it says it.
"""

from __future__ import annotations

from typing import Any

from penstock_sdk.events import (
    AuctionResult,
    ContractDefinition,
    Forecast,
    FxRate,
    IdKind,
    Interned,
    ListingDefinition,
    Mark,
    Observation,
    Quote,
    SessionState,
    SessionStatus,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.schema import Frame

__all__ = ["HOUR_NS", "OTHER_VENUE", "SECOND_NS", "World"]

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
_MIDNIGHT_NS = 1_773_097_200_000_000_000  # 2026-03-10T00:00 in Luxembourg
OTHER_VENUE = 77
"""Plugin id of the venue where the kit's own listings are traded."""
_LISTINGS = 4


class World:
    """Names and definitions as the kernel keeps them.

    Args:
        venue: the plugin under test is a venue: no listings but its own.
        first_id: where ids begin; near the top of 32 bits to try long ones.
        mark: is put into every name; to try long ones and letters beyond ASCII.
    """

    def __init__(self, *, venue: bool = False, first_id: int = 1, mark: str = "") -> None:
        self.first_id, self.mark = first_id, mark
        self.tells_later = venue
        """Zones and contracts are told once the plugin runs, as a venue lists what it hears of; not at its start."""
        self.starts_ns = _MIDNIGHT_NS - 12 * HOUR_NS
        self.ids: dict[tuple[int, str], int] = {}
        self.zones: dict[int, ZoneDefinition] = {}
        self.contracts: dict[int, ContractDefinition] = {}
        self.listings: dict[int, ListingDefinition] = {}
        self.sessions: dict[int, int] = {}
        """Status by listing, as venues have told it."""
        self.quotes: dict[int, Quote] = {}
        self._define(venue)

    def intern(self, kind: int, name: str) -> int:
        """Return the id of a name, new or known."""
        of_kind = sum(1 for key in self.ids if key[0] == int(kind))
        return self.ids.setdefault((int(kind), name), self.first_id + of_kind)

    def known(self) -> list[Any]:
        """Return what a plugin is started with: names, then definitions."""
        defined: list[Any] = [*self.zones.values(), *self.contracts.values(), *self.listings.values()]
        names = [Interned(kind=IdKind(kind), id=id_, name=name) for (kind, name), id_ in self.ids.items()]
        return [*names, *([] if self.tells_later else defined)]

    def hear(self, record: Any) -> None:
        """Keep what the plugin defines."""
        if isinstance(record, ZoneDefinition):
            self.zones[record.zone_id] = record
        elif isinstance(record, ContractDefinition):
            self.contracts[record.contract_id] = record
        elif isinstance(record, ListingDefinition):
            self.listings[record.listing_id] = record
        elif isinstance(record, SessionState):
            self.sessions[record.listing_id] = record.status
        elif isinstance(record, Quote):
            self.quotes[record.listing_id] = record

    def _define(self, venue: bool) -> None:
        self.zone_id = self.intern(IdKind.ZONE, "DE-LU")
        self.currency_id = self.intern(IdKind.CURRENCY, "EUR")
        self.unit_id = self.intern(IdKind.UNIT, "EUR/MWh")
        self.series_id = self.intern(IdKind.SERIES, "price.index")
        self.kit_id = self.intern(IdKind.PLUGIN, "kit venue" + self.mark)
        self.zones[self.zone_id] = ZoneDefinition(
            zone_id=self.zone_id, code="DE-LU", timezone="Europe/Luxembourg", currency="EUR"
        )
        for hour in range(14, 14 + _LISTINGS):
            start_ns = _MIDNIGHT_NS + hour * HOUR_NS
            name = f"KIT 2026-03-10 H{hour:02}{self.mark}"
            contract_id = self.intern(IdKind.CONTRACT, name)
            self.contracts[contract_id] = ContractDefinition(
                contract_id=contract_id, name=name, zone_id=self.zone_id, product="H", delivery_start_ns=start_ns,
                delivery_end_ns=start_ns + HOUR_NS, currency_id=self.currency_id,
            )  # fmt: skip
            if not venue:
                self._list(name, contract_id, start_ns)

    def _list(self, name: str, contract_id: int, start_ns: int) -> None:
        listing_id = self.intern(IdKind.LISTING, name)
        self.listings[listing_id] = ListingDefinition(
            listing_id=listing_id, contract_id=contract_id, venue_id=OTHER_VENUE, name=name, tick_micro=10_000,
            lot_kw=100, price_min_ticks=-999_900, price_max_ticks=999_900, opens_ns=self.starts_ns - HOUR_NS,
            gate_closure_ns=start_ns - 300 * SECOND_NS, cash_micro_per_lot_tick=1_000, interval_start_ns=start_ns,
            interval_ns=900 * SECOND_NS, interval_count=4,
        )  # fmt: skip

    # -- an afternoon ----------------------------------------------------------------------------------------------

    def opening(self, now_ns: int) -> list[Any]:
        """Return an auction's prices, then that all listings are open, and an exchange rate; a venue's: contracts."""
        if self.tells_later:
            self.tells_later = False
            return [*self.zones.values(), *self.contracts.values()]
        ids = sorted(self.listings)
        auction = [
            AuctionResult(self.listings[id_].contract_id, id_, 1, self.currency_id, 1, 0, 5_000 + 100 * i, 500, now_ns)
            for i, id_ in enumerate(ids)
        ]
        sessions = [
            SessionState(id_, self.listings[id_].venue_id, int(SessionStatus.OPEN), 1, 0, now_ns, now_ns) for id_ in ids
        ]
        rate = FxRate(self.currency_id, self.currency_id, 1, 1, 0, 0, 1, SECOND_NS, now_ns, now_ns)
        return [*auction, *sessions, rate]

    def closing(self, now_ns: int) -> list[Any]:
        """Return that all listings are closed."""
        return [
            SessionState(id_, each.venue_id, int(SessionStatus.CLOSED), 1, 30, now_ns, now_ns)
            for id_, each in sorted(self.listings.items())
        ]

    def moment(self, at: int, now_ns: int) -> list[Any]:
        """Return what is told at one moment of the afternoon: quotes of all listings, a trade, data, marks.

        Prices swing far and fast, below zero too, so that a strategy meets what it waits for.
        """
        events: list[Any] = []
        for i, listing_id in enumerate(sorted(self.listings)):
            mid = self.mid_ticks(at, i)
            events.append(Quote(listing_id, 1, 1, 0, mid - 20, 50, mid + 20, 50, now_ns, now_ns))
        if self.listings:
            listing_id = sorted(self.listings)[at % len(self.listings)]
            mid = self.mid_ticks(at, at % len(self.listings))
            events.append(Trade(listing_id, 1 + at % 2, 1, 0, mid, 10, 1_000 + at, now_ns, now_ns))
            events.append(Mark(listing_id, 0, 1, 0, mid, now_ns, now_ns, now_ns))
        value = 50.0 + 7.0 * ((at * 5) % 11 - 5)
        events.append(
            Observation(
                self.series_id, self.unit_id, 0, 0, 1, 1, 0, now_ns - 300 * SECOND_NS, now_ns, now_ns, value, now_ns,
                now_ns,
            )
        )  # fmt: skip
        model_id = 1
        quantiles = [(1_000, 1, value - 20.0), (5_000, 0, value), (9_000, 2, value + 20.0)]
        events.append(
            Frame.of(
                [
                    Forecast(
                        self.series_id, self.unit_id, bp, model_id, 1, place, 1, now_ns, now_ns + 48 * HOUR_NS, now_ns,
                        level, now_ns, now_ns,
                    )
                    for bp, place, level in quantiles
                ]
            )
        )  # fmt: skip
        return events

    @staticmethod
    def mid_ticks(at: int, listing: int) -> int:
        """Return the mid of a listing's quote at a moment: mostly steady, now and then far off, and below zero."""
        base = 5_000 + 100 * listing
        jump = {6: -1_500, 7: -1_450, 11: 1_800, 12: 1_750, 16: -9_000, 17: -8_900}.get(at % 20, 0)
        return base + jump + 3 * ((at * 7 + listing * 5) % 13 - 6)
