"""A portfolio: what is bought less what is sold, in each listing, over all strategies."""

from __future__ import annotations

from penstock_sdk.energy import lots_to_mw
from penstock_sdk.events import ExecutionReport, Position, ReportKind, Side
from penstock_sdk.plugin import Outcome, Portfolio

__all__ = ["NetPortfolio"]


class NetPortfolio(Portfolio):
    """Says a Position after every fill, and logs it in MW."""

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Add a fill to its listing; a portfolio hears the reports of every strategy."""
        listing = self.ctx.listing(report.listing_id)
        if report.kind != ReportKind.FILL or listing is None:
            return None
        key = str(report.listing_id)  # keys of the state are text
        bought_lots, sold_lots = self.ctx.state.get(key, [0, 0])
        if report.side == Side.BUY:
            bought_lots += report.last_lots
        else:
            sold_lots += report.last_lots
        self.ctx.state[key] = [bought_lots, sold_lots]
        net_lots = bought_lots - sold_lots
        self.ctx.log.info("net", listing=listing.name, mw=lots_to_mw(net_lots, listing.lot_kw))
        return Position(report.listing_id, net_lots=net_lots, bought_lots=bought_lots, sold_lots=sold_lots)
