"""An execution algorithm: works a larger order into the market in slices, one per timer."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import ExecutionReport, ListingDefinition, OrderKind, ReportKind, Timer
from penstock_sdk.plugin import Execution, Outcome

__all__ = ["SliceExecution", "SliceExecutionConfig"]


class SliceExecutionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The order, and into how many slices it is cut. Without a listing there is nothing to do."""

    listing: str = ""
    """Name of the listing to buy in."""
    qty_lots: int = 10
    limit_ticks: int = 0
    """The most to pay, in ticks; may be negative."""
    slices: int = 3
    every_s: int = 60


class SliceExecution(Execution):
    """Buys in equal slices; what a slice did not get is spread over those that follow."""

    Config = SliceExecutionConfig
    config: SliceExecutionConfig

    def on_listing_definition(self, listing: ListingDefinition) -> None:
        """Begin when the listing is known."""
        if listing.name == self.config.listing and "slices_left" not in self.ctx.state:
            self.ctx.state.update(slices_left=self.config.slices, lots_left=self.config.qty_lots)
            self.ctx.set_timer(self.ctx.now_ns, tag=listing.listing_id)

    def on_timer(self, timer: Timer) -> Outcome:
        """Send the next slice, and ask to be called for the one after it."""
        lots_left, slices_left = self.ctx.state["lots_left"], self.ctx.state["slices_left"]
        if not lots_left:
            return None
        self.ctx.state["slices_left"] = slices_left - 1
        if slices_left > 1:
            self.ctx.set_timer(timer.due_ns + self.config.every_s * 1_000_000_000, tag=timer.tag)
        slice_lots = -(-lots_left // slices_left)  # rounded up: the last slice is never the largest
        return self.buy(timer.tag, self.config.limit_ticks, slice_lots, kind=OrderKind.IOC)

    def on_execution_report(self, report: ExecutionReport) -> None:
        """Count what was bought; only reports on this plugin's own orders come here."""
        if report.kind == ReportKind.FILL:
            self.ctx.state["lots_left"] -= report.last_lots
