"""The end of cash-settled futures: their last settlement mark, or where there is none the index of their delivery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock_plugins.settlement.futures import Futures, Holder
from penstock_plugins.settlement.open_values import OpenValue
from penstock_plugins.settlement.series import SeriesNames
from penstock_plugins.settlement.swaps import Swaps
from penstock_plugins.settlement.terms import Terms
from penstock_sdk.context import Context
from penstock_sdk.energy.settlement import month_of
from penstock_sdk.events import Alert, CashKind, IdKind, Severity

__all__ = ["Finals"]


class Finals:
    """Settles cash futures when their delivery is over, and says which cannot be settled yet.

    A settlement mark goes before the index whenever it comes; later versions of an index pay the difference.
    """

    def __init__(self, ctx: Context, futures: Futures, swaps: Swaps, names: SeriesNames) -> None:
        self._ctx, self._futures, self._swaps, self._names = ctx, futures, swaps, names
        self._waiting: dict[int, Terms] = {}
        """What has neither a mark nor every price of its index."""
        self._by_index: dict[int, Terms] = {}

    def settle(self, terms: Terms) -> tuple[list[tuple[Holder, int]], list[Alert]]:
        """Return what each holder of a future that is over gains, and an alert where that is not known, or no more."""
        listing_id, gains = terms.listing_id, self._futures.settle_last(terms)
        if gains is not None:
            self._by_index.pop(listing_id, None)
            return gains, self._known(terms)
        if not self._swaps.follows(listing_id):
            self._swaps.follow(terms, self._names.index_id(terms.slots))
        worth = self._swaps.worth(listing_id)
        if worth is None:
            if listing_id in self._waiting:
                return [], []
            self._waiting[listing_id] = terms
            return [], [self._missing(terms)]
        self._by_index[listing_id] = terms
        return self._futures.settle_worth(terms, *worth), self._known(terms)

    def over(self) -> list[Terms]:
        """Return the futures that a price of an index may settle, or settle anew."""
        return [*self._waiting.values(), *self._by_index.values()]

    def on_mark(self, terms: Terms) -> list[Alert]:
        """Take note of a settlement mark: the index counts no more."""
        self._by_index.pop(terms.listing_id, None)
        return self._known(terms)

    def _known(self, terms: Terms) -> list[Alert]:
        waited = self._waiting.pop(terms.listing_id, None)
        return [] if waited is None else [self._missing(terms, cleared=True)]

    def _missing(self, terms: Terms, *, cleared: bool = False) -> Alert:
        series = self._series(terms)
        return Alert(
            code="settlement.mark_missing", severity=Severity.ERROR, subject=terms.name, cleared=cleared,
            met="" if cleared else f"{terms.name} is over, without a settlement mark or every price of {series}",
            wanted="a settlement mark (Mark, kind 2), or the index of each interval of the delivery",
            way_out="let one of both be sent; until then its last gain or loss is not paid",
        )  # fmt: skip

    def _series(self, terms: Terms) -> str:
        return self._ctx.name_of(IdKind.SERIES, self._names.index_id(terms.slots))

    def open_values(self, month: str) -> Iterator[OpenValue]:
        """Yield what keeps the last gains of a month from being paid, a value for each counterparty."""
        for terms in self._waiting.values():
            slots = terms.slots
            if month_of(terms.end_ns - 1, slots.timezone, slots.day_starts_hour) == month:
                count, first_ns = self._swaps.missing(terms.listing_id)
                for party_id in self._futures.parties(terms.listing_id):
                    yield OpenValue(
                        CashKind.VARIATION, slots.code, self._series(terms), count, first_ns, zone_id=terms.zone_id,
                        party_id=party_id, currency_id=terms.currency_id, listing_id=terms.listing_id,
                    )  # fmt: skip

    def let_go(self, listing_id: int) -> None:
        """Forget a future that has been over for long."""
        self._waiting.pop(listing_id, None)
        self._by_index.pop(listing_id, None)

    def snapshot(self) -> dict[str, list[int]]:
        """Return it as msgpack carries it."""
        return {"waiting": list(self._waiting), "by_index": list(self._by_index)}

    def restore(self, state: dict[str, Any], terms: dict[int, Terms]) -> None:
        """Take back what `snapshot` returned; *terms* has every listing of it."""
        self._waiting = {listing: terms[listing] for listing in state["waiting"]}
        self._by_index = {listing: terms[listing] for listing in state["by_index"]}
