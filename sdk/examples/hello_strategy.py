"""The smallest useful plugin: buys once in each listing, when somebody offers at or below a price.

Run it: put a `plugin.toml` beside it that names the class, and a `[plugins.hello]` table into your `plugins.toml`.
Test it: see the five lines of `sdk/tests/test_example_hello.py`.
"""

from __future__ import annotations

import msgspec

from penstock_sdk.events import ExecutionReport, OrderKind, Quote, ReportKind
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT

__all__ = ["HelloConfig", "HelloStrategy"]


class HelloConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is cheap, and how much of it to buy: the table ``[plugins.hello.config]``."""

    cheap_ticks: int = 0
    """The highest price to pay, in ticks; may be negative."""
    qty_lots: int = 1
    """How much to buy in each listing, in lots."""

    def __post_init__(self) -> None:
        """Raise ValueError for a quantity that buys nothing."""
        if self.qty_lots < 1:
            raise ValueError(f"qty_lots met {self.qty_lots}, wanted 1 or more; one lot is the least a market trades")


class HelloStrategy(Strategy):
    """Buys what is cheap, once in each listing."""

    Config = HelloConfig
    config: HelloConfig

    def on_quote(self, quote: Quote) -> Outcome:
        """Take the offer when it is cheap and this listing has not been bought."""
        bought = self.ctx.state.setdefault("bought", [])
        if quote.ask_ticks == ABSENT or quote.ask_ticks > self.config.cheap_ticks or quote.listing_id in bought:
            return None
        bought.append(quote.listing_id)
        return self.buy(quote.listing_id, quote.ask_ticks, self.config.qty_lots, kind=OrderKind.IOC)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Say what was dealt; only reports on our own orders come here."""
        if report.kind == ReportKind.FILL:
            self.ctx.log.info("hello, position", lots=report.last_lots, price_ticks=report.last_ticks)
        return None
