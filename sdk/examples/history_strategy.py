"""A strategy that looks back: buys when an offer lies well below the mean offer of the last quarter of an hour."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import OrderKind, Quote
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT

__all__ = ["HistoryStrategy", "HistoryStrategyConfig"]

WINDOW_NS = 900_000_000_000


class HistoryStrategyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far below is well below."""

    edge_ticks: int = 500
    """Distance from the mean, in ticks."""
    offers_min: int = 3
    """A mean of fewer offers says nothing."""


class HistoryStrategy(Strategy):
    """Buys one lot, once in each listing."""

    Config = HistoryStrategyConfig
    config: HistoryStrategyConfig
    history_of, history_ns = (Quote,), WINDOW_NS  # what the kernel is to keep for this plugin

    def on_quote(self, quote: Quote) -> Outcome:
        """Hold the offer against the mean; the quote at hand is in the history already."""
        bought = self.ctx.state.setdefault("bought", [])
        if quote.ask_ticks == ABSENT or quote.listing_id in bought:
            return None
        offers = self.ctx.history(quote.listing_id, WINDOW_NS)["ask_ticks"]
        offers = offers[offers != ABSENT]  # a side may have been empty
        if len(offers) < self.config.offers_min or quote.ask_ticks > offers.mean() - self.config.edge_ticks:
            return None
        bought.append(quote.listing_id)
        return self.buy(quote.listing_id, quote.ask_ticks, 1, kind=OrderKind.IOC)
