"""A portfolio: keeps positions. This one nets what is bought and sold in each listing, over all strategies."""

from __future__ import annotations

from penstock_sdk.events import ExecutionReport, Position, ReportKind, Side
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import Record

__all__ = ["Template"]


class Template(Portfolio):
    """Says a Position after every fill."""

    # `ctx.state` is kept over restarts: [bought, sold] in lots by listing; its keys are text.

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Add a fill to its listing; a portfolio hears the reports of every strategy."""
        if report.kind != ReportKind.FILL:
            return None
        bought_lots, sold_lots = self.ctx.state.get(str(report.listing_id), [0, 0])
        if report.side == Side.BUY:
            bought_lots += report.last_lots
        else:
            sold_lots += report.last_lots
        self.ctx.state[str(report.listing_id)] = [bought_lots, sold_lots]
        return self._position(report.listing_id, bought_lots, sold_lots)

    def standing(self) -> list[Record]:
        """Return each position that is not flat, for those who look; it changes nothing."""
        held = [(int(key), *lots) for key, lots in self.ctx.state.items()]
        return [self._position(*each) for each in held if each[1] != each[2]]

    @staticmethod
    def _position(listing_id: int, bought_lots: int, sold_lots: int) -> Position:
        return Position(listing_id, net_lots=bought_lots - sold_lots, bought_lots=bought_lots, sold_lots=sold_lots)
