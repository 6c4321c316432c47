"""Clearing houses: who stands behind a trade that has no counterparty, by the market that lists its product."""

from __future__ import annotations

from penstock_plugins.settlement.terms import Terms
from penstock_sdk.context import Context
from penstock_sdk.energy.rules import ProductRow, Reference
from penstock_sdk.energy.settlement import delivered_on
from penstock_sdk.events import IdKind

__all__ = ["Houses"]


class Houses:
    """The clearing house of each listing: the column ``clearing_house`` of its product's rows, or the config's.

    Like fees it is that of the market of the venue's name; where there is none, that of the one market which lists the
    product in the zone and has a house. Rows are those of the first delivery day, so a listing keeps its house.

    Args:
        ctx: for the tables and names.
        fallback: name of the house of what no row has one for: counterparty 0.
    """

    def __init__(self, ctx: Context, fallback: str) -> None:
        self._ctx, self._fallback = ctx, fallback
        self._known: dict[int, int] = {}
        self._reference: Reference | None = None

    def of(self, terms: Terms) -> int:
        """Return the counterparty id of a listing's clearing house; 0 is the config's."""
        if self._ctx.reference is not self._reference:
            self._reference = self._ctx.reference
            self._known.clear()
        found = self._known.get(terms.listing_id)
        if found is None:
            name = self._name(terms)
            found = 0 if name in ("", self._fallback) else self._ctx.intern(IdKind.COUNTERPARTY, name)
            self._known[terms.listing_id] = found
        return found

    def _name(self, terms: Terms) -> str:
        listing = self._ctx.listing(terms.listing_id)
        contract = None if listing is None else self._ctx.contract(listing.contract_id)
        if listing is None or contract is None:
            return ""
        day = delivered_on(terms.start_ns, terms.slots.timezone, terms.slots.day_starts_hour)
        rows: tuple[ProductRow, ...] = self._ctx.reference.rules.rows("products", on=day, product=contract.product)
        venue = self._ctx.name_of(IdKind.PLUGIN, listing.venue_id)
        own = {row.clearing_house for row in rows if row.market == venue} - {""}
        named = own or {row.clearing_house for row in rows if terms.slots.code in row.zones} - {""}
        return named.pop() if len(named) == 1 else ""

    def let_go(self, listing_id: int) -> None:
        """Forget a listing that is over."""
        self._known.pop(listing_id, None)
