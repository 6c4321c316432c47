"""A strategy that uses a forecast: buys when an offer is cheaper than what the forecast calls low."""

from __future__ import annotations

import msgspec

from penstock_sdk.energy import ticks_to_float
from penstock_sdk.events import IdKind, OrderKind, Quote
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT, Frame

__all__ = ["ForecastStrategy", "ForecastStrategyConfig"]


class ForecastStrategyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which forecast, and what of it is low."""

    series: str = "price.index"
    quantile_bp: int = 1_000
    """In basis points: 1,000 is the price that one in ten stays below."""


class ForecastStrategy(Strategy):
    """Buys one lot, once in each listing that delivers while the forecast holds."""

    Config = ForecastStrategyConfig
    config: ForecastStrategyConfig

    def on_forecasts(self, frame: Frame) -> None:
        """Keep the quantile. A frame is a view that ends with this call, so plain numbers are taken out of it."""
        rows = frame.array
        ours = rows["series_id"] == self.ctx.intern(IdKind.SERIES, self.config.series)
        for row in rows[ours & (rows["quantile_bp"] == self.config.quantile_bp)]:
            self.ctx.state["low"] = [float(row["value"]), int(row["valid_from_ns"]), int(row["valid_to_ns"])]

    def on_quote(self, quote: Quote) -> Outcome:
        """Hold the offer, in currency per MWh, against the forecast."""
        listing = self.ctx.listing(quote.listing_id)
        bought = self.ctx.state.setdefault("bought", [])
        if listing is None or quote.ask_ticks == ABSENT or "low" not in self.ctx.state or quote.listing_id in bought:
            return None
        low, from_ns, to_ns = self.ctx.state["low"]
        in_time = from_ns <= listing.interval_start_ns < to_ns
        if not in_time or ticks_to_float(quote.ask_ticks, listing.tick_micro) >= low:
            return None
        bought.append(quote.listing_id)
        return self.buy(quote.listing_id, quote.ask_ticks, 1, kind=OrderKind.IOC)
