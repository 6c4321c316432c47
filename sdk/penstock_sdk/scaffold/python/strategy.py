"""A strategy: decides what to trade. This one buys once in each listing, when somebody offers cheaply enough."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import ExecutionReport, OrderKind, Quote, ReportKind
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT

__all__ = ["Template", "TemplateConfig"]


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator may set, in ``[plugins.NAME.config]``; the defaults must make a plugin that runs."""

    cheap_ticks: int = 0
    """The highest price to pay, in ticks; may be negative."""
    qty_lots: int = 1
    """How much to buy in each listing, in lots."""

    def __post_init__(self) -> None:
        """Raise ValueError for what makes no sense; it begins with the key that is wrong."""
        if self.qty_lots < 1:
            raise ValueError(f"qty_lots met {self.qty_lots}, wanted 1 or more")


class Template(Strategy):
    """Buys what is cheap, once in each listing."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_quote(self, quote: Quote) -> Outcome:
        """Hear the best bid and offer of a listing; return an order, several in a list, or None."""
        bought = self.ctx.state.setdefault("bought", [])  # ctx.state is kept over restarts
        if quote.ask_ticks == ABSENT or quote.ask_ticks > self.config.cheap_ticks or quote.listing_id in bought:
            return None
        bought.append(quote.listing_id)
        return self.buy(quote.listing_id, quote.ask_ticks, self.config.qty_lots, kind=OrderKind.IOC)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Hear what became of an order; only reports on this plugin's own orders come here."""
        if report.kind == ReportKind.FILL:
            self.ctx.cell("filled_lots").n += report.last_lots  # cells are counters that the operator sees
        return None
