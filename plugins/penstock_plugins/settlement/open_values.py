"""What is still open: the values that a month's invoices wait for, and which invoice waits for which."""

from __future__ import annotations

from typing import NamedTuple

from penstock_sdk.energy.localtime import ns_to_local
from penstock_sdk.events import CashKind

__all__ = ["OpenValue"]


class OpenValue(NamedTuple):
    """Prices of one series that are missing in one month."""

    kind: CashKind
    """IMBALANCE, SWAP or VARIATION: what they are for."""
    zone: str
    series: str
    missing: int
    first_ns: int
    """Where the first interval without one begins, ns UTC."""
    zone_id: int
    party_id: int = 0
    """Who waits for it; of imbalance, every party whose invoice has lines of it in the zone."""
    currency_id: int = 0
    listing_id: int = 0

    def holds_back(self, party_id: int, currency_id: int, rows: list[list[int]]) -> bool:
        """Return whether an invoice cannot be final without them.

        Args:
            party_id, currency_id: the invoice's.
            rows: [book, kind, zone, …] of its lines.
        """
        if self.kind is CashKind.IMBALANCE:
            return any(kind == CashKind.IMBALANCE and zone_id == self.zone_id for _, kind, zone_id, *_ in rows)
        return (party_id, currency_id) == (self.party_id, self.currency_id)

    def words(self, month: str) -> str:
        """Return what is missing, in words."""
        first = f"{ns_to_local(self.first_ns, 'UTC'):%Y-%m-%d %H:%M} UTC"
        many = "1 price is" if self.missing == 1 else f"{self.missing} prices are"
        return f"{many} missing in {self.zone} for {month}, the first of the interval from {first}"
