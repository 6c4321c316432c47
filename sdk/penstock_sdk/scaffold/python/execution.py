"""An execution algorithm: works a larger order into the market. This one buys in equal slices, one per timer."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import ExecutionReport, ListingDefinition, OrderKind, ReportKind, Timer
from penstock_sdk.plugin import Execution, Outcome

__all__ = ["Template", "TemplateConfig"]

SECOND_NS = 1_000_000_000


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The order, and into how many slices it is cut. Without a listing there is nothing to do."""

    listing: str = ""
    """Name of the listing to buy in."""
    qty_lots: int = 10
    limit_ticks: int = 0
    """The most to pay, in ticks; may be negative."""
    slices: int = 3
    every_s: int = 60

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be cut."""
        if not 1 <= self.slices <= self.qty_lots:
            raise ValueError(f"slices met {self.slices}, wanted 1 to qty_lots, which is {self.qty_lots}")
        if self.every_s < 1:
            raise ValueError(f"every_s met {self.every_s}, wanted 1 or more")


class Template(Execution):
    """Buys in equal slices; what a slice did not get is spread over those that follow."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Begin when the listing is known; it may be told again after a restart."""
        if listing.name == self.config.listing and "slices_left" not in self.ctx.state:
            self.ctx.state.update(slices_left=self.config.slices, lots_left=self.config.qty_lots)
            self.ctx.set_timer(self.ctx.now_ns, tag=listing.listing_id)
        return None

    def on_timer(self, timer: Timer) -> Outcome:
        """Send the next slice, and ask to be called for the one after it. Only one's own timers come here."""
        lots_left, slices_left = self.ctx.state.get("lots_left", 0), self.ctx.state.get("slices_left", 0)
        if not lots_left or not slices_left:
            return None
        self.ctx.state["slices_left"] = slices_left - 1
        if slices_left > 1:
            self.ctx.set_timer(timer.due_ns + self.config.every_s * SECOND_NS, tag=timer.tag)
        slice_lots = -(-lots_left // slices_left)  # rounded up: the last slice is never the largest
        return self.buy(timer.tag, self.config.limit_ticks, slice_lots, kind=OrderKind.IOC)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Count what was bought; only reports on this plugin's own orders come here."""
        if report.kind == ReportKind.FILL and "lots_left" in self.ctx.state:
            self.ctx.state["lots_left"] = max(self.ctx.state["lots_left"] - report.last_lots, 0)
        return None
