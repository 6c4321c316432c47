"""Which market data a plugin out of process has given: it is stale once the plugin is gone."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock_sdk.context import Moment
from penstock_sdk.events import BookLevel, BookOrderDelta, BookPriceDelta, ListingDefinition, Quote, Tradability
from penstock_sdk.schema import ABSENT, Event, Frame
from penstock_sdk.slots import Deliveries

__all__ = ["Fed"]


class Fed:
    """The listings that each watched plugin quotes. Wired only where some plugin may be lost.

    Attributes:
        listings: by plugin id, what it has quoted and others take for fresh.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self.listings: dict[int, set[int]] = {}
        self._deliveries = Deliveries()

    def watch(self, plugin_ids: set[int]) -> None:
        """Note from now on what these plugins quote; what was noted of others is kept."""
        for plugin_id in plugin_ids:
            self.listings.setdefault(plugin_id, set())

    def stale(self, plugin_id: int) -> list[Event]:
        """Return a quote per listing of a plugin that says: nobody knows its price now. Each is said once."""
        fed = self.listings.get(plugin_id, set())
        quotes: list[Event] = [Quote(listing_id, Tradability.STALE, bid_ticks=ABSENT) for listing_id in sorted(fed)]
        fed.clear()
        return quotes

    # -- what it hears ---------------------------------------------------------------------------------------------

    def on_listing_definition(self, listing: ListingDefinition) -> None:
        """Forget listings that are over by now."""
        for listing_id, _, _ in self._deliveries.over(self._moment.now_ns):
            for fed in self.listings.values():
                fed.discard(listing_id)
        self._deliveries.cover(listing)

    def on_quote(self, quote: Quote) -> None:
        """Note who quotes the listing."""
        fed = self.listings.get(self._moment.producer)
        if fed is not None and quote.tradability != Tradability.STALE:
            fed.add(quote.listing_id)

    def on_quotes(self, frame: Frame) -> None:
        """As `on_quote`, for many."""
        fed = self.listings.get(self._moment.producer)
        if fed is not None:
            array = frame.array
            fed.update(array["listing_id"][array["tradability"] != Tradability.STALE].tolist())

    def _on_book(self, event: BookLevel | BookOrderDelta | BookPriceDelta) -> None:
        fed = self.listings.get(self._moment.producer)
        if fed is not None:
            fed.add(event.listing_id)

    def _on_books(self, frame: Frame) -> None:
        fed = self.listings.get(self._moment.producer)
        if fed is not None:
            fed.update(np.unique(frame.array["listing_id"]).tolist())

    on_book_level = on_book_price_delta = on_book_order_delta = _on_book
    on_book_levels = on_book_price_deltas = on_book_order_deltas = _on_books

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return it as msgpack carries it; which listings are over is known again from those that come."""
        return {
            "listings": [[plugin_id, sorted(fed)] for plugin_id, fed in sorted(self.listings.items())],
            "over": self._deliveries.snapshot(),
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        if state:
            self.listings = {plugin_id: set(fed) for plugin_id, fed in state["listings"]}
            self._deliveries = Deliveries.restored(state["over"])
