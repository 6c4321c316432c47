"""When a feed of one delivery day begins and ends, read from the listings that the venue has announced."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from penstock_sdk.context import Context
from penstock_sdk.energy import day_start_ns
from penstock_sdk.events import ContractDefinition, ListingDefinition

__all__ = ["DayListings", "FeedError", "day_listings"]


class FeedError(ValueError):
    """A feed cannot give what its config asks for; the message names the way out."""


class DayListings(NamedTuple):
    """The listings of one delivery day and the stretch of time in which they trade."""

    zone_id: int
    timezone: str
    day_start_ns: int
    """Local midnight at which delivery begins."""
    day_end_ns: int
    opens_ns: int
    """The first opening of any listing."""
    pairs: list[tuple[ListingDefinition, ContractDefinition]]
    """By delivery, the shorter product first where two begin together."""


def day_listings(ctx: Context, zone: str, delivery_day: str) -> DayListings:
    """Return what trades of *zone* and *delivery_day* ("2026-03-10"); the venue must have started.

    Raises:
        FeedError: the date cannot be read, or no such listing stands; the message lists the zones that have some.
    """
    try:
        day = date.fromisoformat(delivery_day)
    except ValueError:
        raise FeedError(f"delivery_day met {delivery_day!r}, wanted a date such as '2026-03-10'") from None
    pairs: list[tuple[ListingDefinition, ContractDefinition]] = []
    codes: dict[str, None] = {}
    zone_id, timezone, start_ns, end_ns = 0, "", 0, 0
    for listing in ctx.listings():
        contract = ctx.contract(listing.contract_id)
        place = ctx.zone(contract.zone_id) if contract is not None else None
        if contract is None or place is None:
            continue
        codes[place.code] = None
        if place.code != zone:
            continue
        zone_id, timezone = place.zone_id, place.timezone
        start_ns = day_start_ns(day, timezone)
        end_ns = day_start_ns(day + timedelta(days=1), timezone)
        if start_ns <= contract.delivery_start_ns < end_ns:
            pairs.append((listing, contract))
    if not pairs:
        known = ", ".join(codes) or "no zone"
        raise FeedError(
            f"no listing of zone {zone!r} delivers on {delivery_day}; listings stand for {known}: "
            "give the feed and the venue the same zone and delivery_day, and put the venue before the feed"
        )
    pairs.sort(key=lambda pair: (pair[1].delivery_start_ns, pair[1].delivery_end_ns, pair[0].listing_id))
    opens_ns = min(listing.opens_ns for listing, _ in pairs)
    return DayListings(zone_id, timezone, start_ns, end_ns, opens_ns, pairs)
