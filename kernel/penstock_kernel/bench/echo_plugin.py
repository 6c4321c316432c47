"""A plugin that says back what it hears, run in a process of its own by `penstock bench plugins`."""

from __future__ import annotations

from penstock_sdk.events import Quote
from penstock_sdk.plugin import Operations
from penstock_sdk.schema import Frame

__all__ = ["Echo"]


class Echo(Operations):
    """Returns every quote, single or in frames."""

    def on_quote(self, quote: Quote) -> Quote:
        """Say it back."""
        return quote

    def on_quotes(self, frame: Frame) -> Frame:
        """Say them back: a frame that is returned is the kernel's, so it is a copy."""
        return Frame(Quote, frame.array.copy())
