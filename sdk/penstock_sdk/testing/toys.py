"""The simplest listings there are, for examples and tests."""

from __future__ import annotations

from penstock_sdk.events import ContractDefinition, ListingDefinition, ZoneDefinition

__all__ = ["toy_listing"]


def toy_listing(
    listing_id: int, zone: ZoneDefinition, start_ns: int, minutes: int, lot_kw: int = 100
) -> tuple[ListingDefinition, ContractDefinition]:
    """Return a listing that delivers *lot_kw* a lot over so many minutes from *start_ns* on, and its contract."""
    end_ns = start_ns + minutes * 60_000_000_000
    name = f"{zone.code} {start_ns} {minutes}"
    contract = ContractDefinition(
        contract_id=listing_id, name=name, zone_id=zone.zone_id, product="toy", delivery_start_ns=start_ns,
        delivery_end_ns=end_ns, currency_id=1,
    )  # fmt: skip
    listing = ListingDefinition(
        listing_id=listing_id, contract_id=listing_id, venue_id=1, name=name, tick_micro=10_000, lot_kw=lot_kw,
        price_min_ticks=-10**6, price_max_ticks=10**6, opens_ns=0, gate_closure_ns=start_ns,
        cash_micro_per_lot_tick=max(1, lot_kw * minutes // 6), interval_start_ns=start_ns,
        interval_ns=min(minutes, 15) * 60_000_000_000, interval_count=max(1, minutes // 15),
    )  # fmt: skip
    return listing, contract
