"""Plugins that `penstock bench plugins` runs in processes of their own: one says back what it hears, one floods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from penstock_sdk.context import Context
from penstock_sdk.events import Quote
from penstock_sdk.plugin import Feed, Operations
from penstock_sdk.schema import Event, Frame, layout_of

__all__ = ["Echo", "Flood", "FloodConfig"]


class Echo(Operations):
    """Returns every quote, single or in frames."""

    def on_quote(self, quote: Quote) -> Quote:
        """Say it back."""
        return quote

    def on_quotes(self, frame: Frame) -> Frame:
        """Say them back: a frame that is returned is the kernel's, so it is a copy."""
        return Frame(Quote, frame.array.copy())


class FloodConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much at each poll."""

    records: int = 1_024


class Flood(Feed):
    """Gives a frame of quotes at every poll, as often as it is asked: as fast as its host grants credit."""

    Config = FloodConfig
    config: FloodConfig

    def __init__(self, ctx: Context, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._array = np.zeros(self.config.records, layout_of(Quote).dtype)
        self._array["listing_id"] = 1_000_000 + np.arange(self.config.records)  # of nobody's

    def poll(self) -> Sequence[Event]:
        """Return the next frame."""
        return [Frame(Quote, self._array.copy())]
