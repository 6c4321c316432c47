"""A risk check: refuses orders that a limit forbids. This one has one rule, nothing shortly before the gate closes."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import CheckVerdict, Order, Reason
from penstock_sdk.plugin import RiskCheck

__all__ = ["Template", "TemplateConfig"]

SECOND_NS = 1_000_000_000


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When it is too late."""

    lead_s_min: int = 300
    """The least time to gate closure at which a position can still be mended, in seconds."""

    def __post_init__(self) -> None:
        """Raise ValueError for a time that is none."""
        if self.lead_s_min < 0:
            raise ValueError(f"lead_s_min met {self.lead_s_min}, wanted 0 or more")


class Template(RiskCheck):
    """Refuses what comes too late; the verdict says how late, in nanoseconds."""

    Config = TemplateConfig
    config: TemplateConfig

    def check_order(self, order: Order) -> CheckVerdict:
        """Answer for one new order, at once: every order waits for this. An error refuses it, a check fails closed."""
        listing = self.ctx.listing(order.listing_id)
        if listing is None:
            return self.refused(order, Reason.UNKNOWN_LISTING)
        lead_ns, lead_ns_min = listing.gate_closure_ns - self.ctx.now_ns, self.config.lead_s_min * SECOND_NS
        if lead_ns < lead_ns_min:
            return self.refused(order, Reason.GATE_CLOSED, met=lead_ns, limit=lead_ns_min)
        return self.passed(order)
