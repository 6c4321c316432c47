"""Market zones: where energy is delivered and priced, with the clock, the day, the currency and the gate there."""

from __future__ import annotations

from datetime import date

from penstock_sdk.energy.rule_rows import MarketZone
from penstock_sdk.energy.rules import Reference, builtin_reference

__all__ = ["MarketZone", "known_zones", "market_zone"]


def known_zones(reference: Reference | None = None) -> tuple[MarketZone, ...]:
    """Return every zone known by code, sorted by code, each as it was last."""
    return (reference or builtin_reference()).rules.zones()


def market_zone(code: str | MarketZone, on: date | None = None, reference: Reference | None = None) -> MarketZone:
    """Return the zone of that code; a zone comes back as it is, so functions can take either.

    Args:
        code: "DE-LU"; ENTSO-E's way to write it, "DE_LU" or "NO_2", is taken where one zone alone can be meant.
        on: a delivery day; None: as the zone was last.
        reference: whose zones; None: the built-in ones.

    Raises:
        EnergyError: no such code, or not on that day; the message names the closest one and all that are known.
    """
    if isinstance(code, MarketZone):
        return code
    return (reference or builtin_reference()).rules.zone(code, on)
