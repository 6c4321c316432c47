"""What an operator may say of the market maker."""

from __future__ import annotations

import msgspec

__all__ = ["MarketMakerConfig"]


class MarketMakerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wide, how much, how often."""

    listings: tuple[str, ...] = ("*",)
    """Names of listings to quote, with * and ? as wildcards."""
    half_spread_ticks: int = 70
    """From the fair value to each of our prices in a market at rest, in ticks."""
    unrest_weight: float = 3.0
    """How much of the unrest, the smoothed distance between mid and fair value, is added to the half spread."""
    unrest_s: float = 120.0
    """Time constant of the unrest, in seconds."""
    size_lots: int = 10
    """Of each order, in lots."""
    position_limit_lots: int = 40
    """The largest net position in a delivery interval, in lots; near it only orders that reduce it go out."""
    skew_ticks_per_lot: float = 2.0
    """How far a lot of net position per delivery interval moves both prices, in ticks."""
    requote_ticks: int = 4
    """New orders when the fair value has moved this far from the quoted one, in ticks."""
    requote_s_min: float = 5.0
    """The least time between two requotes of a listing, in seconds."""
    smoothing_s: float = 5.0
    """Time constant of the smoothed mid, in seconds."""
    trade_weight: float = 0.05
    """The share of the way to a trade's price that a trade moves the fair value, 0 … 1."""
    anchor_weight: float = 0.0
    """The share of the way to the auction's price by which the fair value is drawn, 0 … 1; it starts there anyway."""
    quiet_before_gate_s: float = 900.0
    """Orders are cancelled this long before gate closure, in seconds."""
    refusal_pause_s: float = 60.0
    """How long a side rests after a refusal, a rejection or a cancel we did not ask for, in seconds."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value that makes no market."""
        for name in ("half_spread_ticks", "size_lots", "requote_ticks", "position_limit_lots"):
            value = getattr(self, name)
            if not 1 <= value <= 10**9:
                raise ValueError(f"{name} met {value}, wanted 1 … 10⁹; give it in whole ticks or lots")
        for name in (
            "requote_s_min", "smoothing_s", "quiet_before_gate_s", "refusal_pause_s", "skew_ticks_per_lot", "unrest_s",
            "unrest_weight",
        ):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= 10**6:
                raise ValueError(f"{name} met {value}, wanted 0 … 10⁶; give it as a plain number")
        for name in ("trade_weight", "anchor_weight"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} met {value}, wanted 0 … 1; it is a share")
        if self.size_lots > self.position_limit_lots:
            raise ValueError(
                f"size_lots met {self.size_lots}, wanted position_limit_lots = {self.position_limit_lots} or less; "
                "make orders smaller or the limit larger"
            )
