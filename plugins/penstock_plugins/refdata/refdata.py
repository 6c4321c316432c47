"""Announces dated rules from files, calendars and contracts: from then on `ctx.reference` has them, for every plugin.

What it reads (files, libraries) is outside of the journal, so it is recorded, not recomputed: a replay needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from penstock_plugins.refdata.calendars import holiday_calendar, session_calendar
from penstock_plugins.refdata.rule_events import rule_events
from penstock_sdk.core.reference_book import overlaid
from penstock_sdk.energy.contract_types import Contract
from penstock_sdk.energy.contracts import listing_terms, parse_contract
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.sessions import known_last_trading_day
from penstock_sdk.energy.zones import market_zone
from penstock_sdk.events import (
    CalendarDefinition,
    ContractDefinition,
    ListingDefinition,
    ReferenceTable,
    ZoneDefinition,
)
from penstock_sdk.plugin import Outcome, RefData
from penstock_sdk.schema import Control

__all__ = ["ReferenceData", "ReferenceDataConfig"]

Year = Annotated[int, msgspec.Meta(ge=1999, le=2100)]


class ReferenceDataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is announced. Paths are from the deployment file's folder on."""

    files: tuple[str, ...] = ()
    """TOML and CSV files of dated rules, such as "rules/*.toml"."""
    calendars: tuple[str, ...] = ("TARGET", "EEX", "UK", "US")
    """Holidays: TARGET (payments in EUR), EEX, UK (England and Wales), US (New York's exchanges)."""
    calendar_years: tuple[Year, Year] = (2015, 2035)
    """First and last year of every calendar."""
    sessions: tuple[str, ...] = ()
    """Exchanges whose sessions are announced as a calendar of that name, such as XEEE; needs exchange-calendars."""
    contracts: tuple[str, ...] = ()
    """Contracts that positions, marks and deals may be in although no venue here lists them, such as "DE-LU Y 2027";
    what they cascade into is announced with them."""

    def __post_init__(self) -> None:
        """Refuse years the wrong way round."""
        first, last = self.calendar_years
        if first > last:
            raise ValueError(f"calendar_years met {first} and {last}, wanted the first year first")


class ReferenceData(RefData):
    """Says all of it at each start."""

    Config = ReferenceDataConfig
    config: ReferenceDataConfig
    deterministic = False

    @classmethod
    def reference(cls, config: ReferenceDataConfig, folder: Path) -> Sequence[ReferenceTable | CalendarDefinition]:
        """Return a table for each table of each file, then the calendars.

        Raises:
            EnergyError: a file or a row is faulty, or a calendar cannot be had.
        """
        first, last = config.calendar_years
        return [
            *rule_events(config.files, folder),
            *(holiday_calendar(name, first, last) for name in config.calendars),
            *(session_calendar(code, first, last) for code in config.sessions),
        ]

    @classmethod
    def faults(cls, config: ReferenceDataConfig, folder: Path, reference: Reference) -> list[str]:
        """Return why contracts cannot be announced: no such name, or a last trading day that no calendar gives."""
        found = []
        for name in config.contracts:
            try:
                for contract in _with_parts([name], reference).values():
                    if contract.last_trading_rule:
                        known_last_trading_day(contract, reference)
            except EnergyError as error:
                found.append(f"contract {name!r}: {error}")
        return found

    def on_start(self) -> Outcome:
        """Return tables, calendars, then the zones, contracts and listings that are not known yet."""
        said = self.reference(self.config, self.ctx.folder or Path())
        return [*said, *self._listed(overlaid(self.ctx.reference, said))]

    def on_resume(self) -> Outcome:
        """Return the same: files may have changed, and contracts been added."""
        return self.on_start()

    def _listed(self, reference: Reference) -> list[Control]:
        """Return what announces the configured contracts and their parts, but not what has been announced just so."""
        ctx = self.ctx
        events: list[ContractDefinition | ListingDefinition] = []
        zones: dict[str, ZoneDefinition] = {}
        for contract in _with_parts(self.config.contracts, reference).values():
            if contract.zone not in zones:
                zone = market_zone(contract.zone, reference=reference)
                zones[contract.zone] = zone_definition(zone, ctx.intern)
            terms = listing_terms(contract, reference=reference)
            events += definitions(contract, terms, ctx.intern, reference=reference)
        told: list[Control] = [each for each in zones.values() if ctx.zone(each.zone_id) != each]
        for event in events:
            known = (
                ctx.listing(event.listing_id)
                if isinstance(event, ListingDefinition)
                else ctx.contract(event.contract_id)
            )
            if known != event:
                told.append(event)
        return told


def _with_parts(names: Sequence[str], reference: Reference) -> dict[str, Contract]:
    """Return contracts and all that they cascade into, by name, each before its parts.

    Raises:
        EnergyError: a name is none of a contract.
    """
    found: dict[str, Contract] = {}
    for name in names:
        contract = parse_contract(name, reference)
        if contract.name not in found:
            found |= {contract.name: contract} | _with_parts(contract.cascades_into, reference)
    return found
