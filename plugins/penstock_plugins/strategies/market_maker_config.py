"""What an operator may say of the market maker."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["MarketMakerConfig"]

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=10**6)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class MarketMakerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wide, how much, how often."""

    listings: tuple[str, ...] = ("*",)
    """Names of listings to quote, with * and ? as wildcards."""
    half_spread_ticks: Count = 70
    """From the fair value to each of our prices in a market at rest, in ticks."""
    unrest_weight: Amount = 3.0
    """How much of the unrest, the smoothed distance between mid and fair value, is added to the half spread."""
    unrest_s: Amount = 120.0
    """Time constant of the unrest, in seconds."""
    size_lots: Count = 10
    """Of each order, in lots."""
    position_limit_lots: Count = 40
    """The largest net position in a delivery interval, in lots; near it only orders that reduce it go out."""
    skew_ticks_per_lot: Amount = 2.0
    """How far a lot of net position per delivery interval moves both prices, in ticks."""
    requote_ticks: Count = 4
    """New orders when the fair value has moved this far from the quoted one, in ticks."""
    requote_s_min: Amount = 5.0
    """The least time between two requotes of a listing, in seconds."""
    smoothing_s: Amount = 5.0
    """Time constant of the smoothed mid, in seconds."""
    trade_weight: Share = 0.05
    """The share of the way to a trade's price that a trade moves the fair value, 0 … 1."""
    anchor_weight: Share = 0.0
    """The share of the way to the auction's price by which the fair value is drawn, 0 … 1; it starts there anyway."""
    quiet_before_gate_s: Amount = 900.0
    """Orders are cancelled this long before gate closure, in seconds."""
    refusal_pause_s: Amount = 60.0
    """How long a side rests after a refusal, a rejection or a cancel we did not ask for, in seconds."""

    def __post_init__(self) -> None:
        """Raise ValueError for an order that the position limit never lets out."""
        if self.size_lots > self.position_limit_lots:
            raise ValueError(
                f"size_lots met {self.size_lots}, wanted position_limit_lots = {self.position_limit_lots} or less; "
                "make orders smaller or the limit larger"
            )
