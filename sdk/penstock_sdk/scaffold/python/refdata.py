"""Reference data: says what there is to be traded. This one announces a bidding zone and the hours of a day."""

from __future__ import annotations

from datetime import date

import msgspec

from penstock_sdk.energy import day_contracts, market_zone
from penstock_sdk.events import ContractDefinition, IdKind, ZoneDefinition
from penstock_sdk.plugin import Outcome, RefData

__all__ = ["Template", "TemplateConfig"]


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and when. Fields of these names take the run's zone and day, where the operator names none."""

    zone: str = "DE-LU"
    delivery_day: str = "2026-03-10"
    """Local date; a day of 23 or 25 hours has as many contracts."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no day."""
        try:
            date.fromisoformat(self.delivery_day)
        except ValueError:
            raise ValueError(f"delivery_day met {self.delivery_day}, wanted a date as 2026-03-10") from None


class Template(RefData):
    """Says everything at its start, and again at the start of each later session."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_start(self) -> Outcome:
        """Return the zone, then its contracts. Ids come from the kernel: the same name, the same id everywhere."""
        intern, zone = self.ctx.intern, market_zone(self.config.zone)
        zone_id, currency_id = intern(IdKind.ZONE, zone.code), intern(IdKind.CURRENCY, zone.currency)
        place = ZoneDefinition(
            zone_id=zone_id, code=zone.code, timezone=zone.timezone, currency=zone.currency, eic=zone.eic
        )
        hours = [
            ContractDefinition(
                contract_id=intern(IdKind.CONTRACT, contract.name), name=contract.name, zone_id=zone_id,
                product=contract.product, delivery_start_ns=contract.delivery.start_ns,
                delivery_end_ns=contract.delivery.end_ns, currency_id=currency_id,
            )
            for contract in day_contracts(zone, date.fromisoformat(self.config.delivery_day), ["H"])
        ]  # fmt: skip
        return [place, *hours]

    def on_resume(self) -> Outcome:
        """Return the same: what is not said again ends to hold."""
        return self.on_start()
