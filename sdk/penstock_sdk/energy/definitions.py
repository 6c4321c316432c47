"""Events that announce zones, contracts and listings: built in one place, so that every plugin says the same of a name.

>>> from penstock_sdk.energy.contracts import listing_terms, parse_contract
>>> ids = {}
>>> contract = parse_contract("DE-LU QH 2026-03-10 13:15")
>>> intern = lambda kind, name: ids.setdefault(name, len(ids) + 1)
>>> told, listing = definitions(contract, listing_terms(contract), intern)
>>> told.name, listing.cash_micro_per_lot_tick, listing.interval_count
('DE-LU QH 2026-03-10 13:15', 250, 1)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from penstock_sdk.energy.contract_types import Contract, ListingTerms
from penstock_sdk.energy.rule_rows import MarketZone
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.segments import cash_micro_per_lot_tick, grid_span, segments
from penstock_sdk.energy.sessions import known_last_trading_day
from penstock_sdk.events import ContractDefinition, IdKind, ListingDefinition, ZoneDefinition
from penstock_sdk.schema import ABSENT

__all__ = ["Definitions", "Intern", "contract_definition", "definitions", "listing_definition", "zone_definition"]

Intern: TypeAlias = Callable[[IdKind, str], int]
"""Gives the number of a name, as `ctx.intern` does: the same name, the same number everywhere."""


class Definitions(NamedTuple):
    """What announces a contract at a venue."""

    contract: ContractDefinition
    listing: ListingDefinition


def zone_definition(zone: MarketZone, intern: Intern) -> ZoneDefinition:
    """Return the event that announces a zone and its position grid."""
    return ZoneDefinition(
        zone_id=intern(IdKind.ZONE, zone.code),
        code=zone.code,
        timezone=zone.timezone,
        currency=zone.currency,
        eic=zone.eic,
        commodity=zone.commodity,
        day_starts_hour=zone.day_starts_hour,
        interval_minutes=zone.interval_minutes,
        grid_unit=zone.grid_unit,
    )


def contract_definition(contract: Contract, intern: Intern, reference: Reference | None = None) -> ContractDefinition:
    """Return the event that announces a contract.

    Raises:
        EnergyError: it has a last trading day that is not known: the calendar is missing.
    """
    if contract.last_trading_rule:
        known_last_trading_day(contract, reference)
    return ContractDefinition(
        contract_id=intern(IdKind.CONTRACT, contract.name),
        name=contract.name,
        zone_id=intern(IdKind.ZONE, contract.zone),
        product=contract.product,
        delivery_start_ns=contract.delivery.start_ns,
        delivery_end_ns=contract.delivery.end_ns,
        currency_id=intern(IdKind.CURRENCY, contract.currency),
        commodity=contract.commodity,
        settlement=contract.settlement,
        price_unit=contract.price_unit,
        qty_unit=contract.qty_unit,
        spans=list(contract.delivery.parts),
        last_trading_ns=contract.gate_closure_ns if contract.last_trading_rule else ABSENT,
        cascades_into=list(contract.cascades_into),
        payment=contract.payment,
    )


def listing_definition(
    contract: Contract, terms: ListingTerms, intern: Intern, venue: str = "", venue_id: int = 0,
    reference: Reference | None = None,
) -> ListingDefinition:  # fmt: skip
    """Return the event that lists a contract at a venue; without a venue it is for positions and marks, not for orders.

    Raises:
        EnergyError: tick and lot do not fit the contract or its zone's grid.
    """
    name = f"{venue} {contract.name}" if venue else contract.name
    grid = grid_span(contract, reference)
    parts = segments(contract, terms, reference)
    # Of one stretch with the lot in each interval nothing more has to be said.
    plain = parts == [(grid.start_ns, grid.interval_count, terms.lot_kw)]
    return ListingDefinition(
        listing_id=intern(IdKind.LISTING, name),
        contract_id=intern(IdKind.CONTRACT, contract.name),
        venue_id=venue_id,
        name=name,
        tick_micro=terms.tick_micro,
        lot_kw=terms.lot_kw,
        price_min_ticks=terms.price_min_ticks,
        price_max_ticks=terms.price_max_ticks,
        opens_ns=contract.opens_ns,
        gate_closure_ns=contract.gate_closure_ns,
        cash_micro_per_lot_tick=cash_micro_per_lot_tick(contract, terms, reference),
        interval_start_ns=grid.start_ns,
        interval_ns=grid.interval_ns,
        interval_count=grid.interval_count,
        segments=[] if plain else parts,
        reference_only=not venue,
    )


def definitions(
    contract: Contract, terms: ListingTerms, ids: Intern, venue: str = "", venue_id: int = 0,
    reference: Reference | None = None,
) -> Definitions:  # fmt: skip
    """Return the events that announce a contract and its listing; announce its zone before (`zone_definition`).

    Args:
        contract: what is listed.
        terms: its grid there.
        ids: gives the numbers of names: `ctx.intern`.
        venue: the plugin instance that lists it; empty: nobody takes orders for it (`reference_only`).
        venue_id: its plugin id.
        reference: whose zones and calendars; None: the built-in ones.

    Raises:
        EnergyError: a last trading day that is not known, or tick and lot that do not fit.
    """
    return Definitions(
        contract_definition(contract, ids, reference),
        listing_definition(contract, terms, ids, venue, venue_id, reference),
    )
