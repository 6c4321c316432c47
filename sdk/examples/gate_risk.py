"""A risk check with one rule: no new order in the last minutes before the gate closes."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import CheckVerdict, Order, Reason
from penstock_sdk.plugin import RiskCheck

__all__ = ["GateRisk", "GateRiskConfig"]


class GateRiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When it is too late."""

    lead_s_min: int = 300
    """The least time to gate closure at which a position can still be mended, in seconds."""


class GateRisk(RiskCheck):
    """Refuses what comes too late; the verdict says how late, in nanoseconds."""

    Config = GateRiskConfig
    config: GateRiskConfig

    def check_order(self, order: Order) -> CheckVerdict:
        """Answer for one order. Raising would refuse it too: a check fails closed."""
        listing = self.ctx.listing(order.listing_id)
        assert listing is not None  # the kernel asks about known listings only
        lead_ns, lead_ns_min = listing.gate_closure_ns - self.ctx.now_ns, self.config.lead_s_min * 1_000_000_000
        if lead_ns < lead_ns_min:
            return self.refused(order, Reason.GATE_CLOSED, met=lead_ns, limit=lead_ns_min)
        return self.passed(order)
