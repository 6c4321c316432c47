"""A run in numbers: the records that `penstock_kernel.summary` fills and ``summary.json`` holds.

Money is in the run's currency, energy in MWh, prices in currency per MWh; slippage is positive when it cost.
"""

from __future__ import annotations

import msgspec

from penstock_kernel.runs import LatencyNs, RunInfo

__all__ = [
    "AttributionLine",
    "CashLine",
    "OrderCounts",
    "PnlLine",
    "PositionLine",
    "Prices",
    "Slippage",
    "StrategyLine",
    "Summary",
]


class Slippage(msgspec.Struct, frozen=True):
    """Mean slippage against one mid, each fill weighted by its energy; positive is a cost. None without a mid."""

    ticks: float | None = None
    price: float | None = None
    """In currency per MWh."""
    cost: float | None = None
    """Over all fills, in the currency."""


class OrderCounts(msgspec.Struct, frozen=True):
    """Orders of ours. Refused ones never left; the fill rate is of those that did."""

    asked: int = 0
    refused: int = 0
    sent: int = 0
    rejected: int = 0
    cancelled: int = 0
    expired: int = 0
    touched: int = 0
    """Orders with at least one fill."""
    sent_lots: int = 0
    filled_lots: int = 0
    fills: int = 0
    filled_mwh: float = 0.0

    @property
    def fill_rate(self) -> float:
        """Return the share of the quantity sent that was filled, 0 … 1."""
        return self.filled_lots / self.sent_lots if self.sent_lots else 0.0


class StrategyLine(msgspec.Struct, frozen=True):
    """The orders of one strategy."""

    strategy: str
    orders: OrderCounts
    decision: Slippage
    arrival: Slippage


class PnlLine(msgspec.Struct, frozen=True):
    """Profit and loss of a strategy, or of one of its products; ``total`` is after fees."""

    strategy: str
    product: str
    """``QH``, ``H``, with the zone before it where there are several; empty for the strategy's own total."""
    realised: float
    unrealised: float
    fees: float
    total: float
    currency: str = ""


class AttributionLine(msgspec.Struct, frozen=True):
    """Where a strategy's profit comes from: market + delay + execution - fees is its total."""

    strategy: str
    currency: str
    market: float
    """The price's move since each decision."""
    delay: float
    """From the mid at decision to the mid when the order left; negative is a cost."""
    execution: float
    """From there to the price dealt; negative is a cost."""
    fees: float
    unpriced_fills: int
    """Fills without both mids: all of theirs is the market's."""


class CashLine(msgspec.Struct, frozen=True):
    """Money due on one day in one currency; received is positive. Currencies are never added."""

    value_day: str
    currency: str
    kinds: dict[str, float]
    """trade, fee, variation, swap, imbalance."""
    total: float


class PositionLine(msgspec.Struct, frozen=True):
    """What a strategy is left with; MW of listings with opposite signs do not cancel in ``gross_mwh``."""

    strategy: str
    product: str
    listings: int
    net_mwh: float | None
    gross_mwh: float | None
    """None of what is no energy, as rights to emit."""
    largest_mw: float | None
    """None where quantities are not in MW."""


class Prices(msgspec.Struct, frozen=True):
    """Prices of the market; None where nothing was traded or observed."""

    trades: int = 0
    traded_mwh: float = 0.0
    min: float | None = None
    max: float | None = None
    average: float | None = None
    """Each trade weighted by its energy."""
    negative_share: float | None = None
    """Share of the traded energy below zero, 0 … 1."""
    index: str = ""
    """The series observed most often."""
    index_min: float | None = None
    index_max: float | None = None
    index_negative_share: float | None = None
    """Share of its observations below zero, 0 … 1."""


class Summary(msgspec.Struct, frozen=True):
    """A run in numbers; also what ``summary.json`` holds."""

    run: RunInfo
    currency: str
    orders: OrderCounts
    decision: Slippage
    arrival: Slippage
    tick_to_order: LatencyNs
    strategies: list[StrategyLine]
    pnl: list[PnlLine]
    """Each strategy's total, then its products."""
    positions: list[PositionLine]
    refusals: dict[str, int]
    """Orders refused or rejected, by reason, most first."""
    prices: Prices
    events: dict[str, int]
    """Events by table, most first."""
    events_per_s: float
    """Per second of wall time."""
    alerts: dict[str, int]
    """Alerts by `severity code`, most first."""
    faults: dict[str, int]
    """Handler faults by plugin."""
    attribution: list[AttributionLine] = []
    cash: list[CashLine] = []
    converted: dict[str, float] = {}
    """Everything made, in one currency, where exchange rates were there."""
    external_trades: int = 0
    """Trades of ours that no order here made."""

    @property
    def pnl_totals(self) -> dict[str, float]:
        """Return the total of all strategies, after fees, by currency; that of the run's own currency first."""
        totals = {self.currency: 0.0}
        for line in self.pnl:
            if not line.product:
                totals[line.currency or self.currency] = totals.get(line.currency or self.currency, 0.0) + line.total
        return totals
