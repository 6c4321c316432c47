"""A compliance check: refuses orders that rules forbid. This one keeps some bidding zones closed."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import CheckVerdict, Order, Reason
from penstock_sdk.plugin import ComplianceCheck

__all__ = ["Template", "TemplateConfig"]


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where trading is forbidden."""

    zones: tuple[str, ...] = ()
    """Codes of the bidding zones, as DE-LU."""


class Template(ComplianceCheck):
    """Refuses orders for delivery in an embargoed zone, and those of which it cannot see where they deliver."""

    Config = TemplateConfig
    config: TemplateConfig

    def check_order(self, order: Order) -> CheckVerdict:
        """Answer for one new order, at once. In doubt refuse: a check fails closed."""
        listing = self.ctx.listing(order.listing_id)
        contract = self.ctx.contract(listing.contract_id) if listing is not None else None
        zone = self.ctx.zone(contract.zone_id) if contract is not None else None
        if zone is None or zone.code in self.config.zones:
            return self.refused(order, Reason.MARKET_ABUSE)
        return self.passed(order)
