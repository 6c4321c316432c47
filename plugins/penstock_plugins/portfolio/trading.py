"""Trades booked: the money into the ledger, the energy onto the position grid, the last price among the marks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.fees import Fees
from penstock_plugins.portfolio.ledger import Holding, Ledger
from penstock_plugins.portfolio.marks import Marks
from penstock_sdk.compiled import compile_golden
from penstock_sdk.context import Context
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.events import Alert, ExternalTrade, Position, Severity, TradeSource
from penstock_sdk.externals import Externals
from penstock_sdk.golden import booking
from penstock_sdk.golden import positions as golden
from penstock_sdk.golden.delivery_cells import new_cells
from penstock_sdk.instruments import Instrument
from penstock_sdk.schema import ABSENT

__all__ = ["Trading", "compiled_booking"]

_APPLIED, _NEEDS_ROWS = booking.APPLIED, booking.NEEDS_ROWS


@cache
def compiled_booking() -> SimpleNamespace:
    """Return the compiled functions, those used here called once so that no fill waits for the compiler."""
    compiled = compile_golden(booking)
    table, one = golden.new_table(2), np.ones(1, np.int64)
    golden.open_row(table, 1, 1)
    cells, directory, pool = new_cells(2, 1, 1)
    segments, out = np.array([[0, 1, 1]], np.int64), np.zeros(booking.BOOKED_WIDTH, np.int64)
    compiled.book(table, 1, 1, 1, 1, ABSENT, ABSENT, cells, directory, pool, segments, 0, out)
    compiled.largest(cells, directory, segments, 0)
    compiled.figures(table, one, one, np.zeros((1, golden.FIGURE_WIDTH), np.int64))
    return compiled


class Trading:
    """Books trades, ours and those from outside.

    Args:
        ctx: for alerts.
        grid, ledger, marks: where a trade leaves its traces.
        fees: what it costs.
        externals: which trades from outside have been counted.
    """

    def __init__(
        self, ctx: Context, grid: DeliveryGrid, ledger: Ledger, marks: Marks, fees: Fees, externals: Externals
    ) -> None:
        self._ctx = ctx
        self._grid = grid
        self._ledger = ledger
        self._marks = marks
        self._fees = fees
        self._externals = externals
        compiled = compiled_booking()
        self._book: Callable[..., int] = compiled.book
        self._largest: Callable[..., int] = compiled.largest
        self._booked: npt.NDArray[np.int64] = np.zeros(booking.BOOKED_WIDTH, np.int64)

    def open(self, book_id: int, strategy_id: int, listed: Instrument) -> Holding:
        """Return what an account holds of a listing, with the fees of today where it is new."""
        known = self._ledger.holdings.get((book_id, strategy_id, listed.listing_id))
        if known is not None:
            return known
        holding = self._ledger.open(book_id, strategy_id, listed)
        self._fees.charge_today(holding)
        return holding

    def fill(
        self, holding: Holding, side: int, price_ticks: int, lots: int, decision: int, arrival: int
    ) -> Position | None:
        """Add a trade to what is held, its money and its energy; return the position, None where it is refused.

        Args:
            decision, arrival: bid plus ask when it was decided and when the order left, ticks; or ABSENT.

        Cost: some 1 µs, and 1 ns an interval.
        """
        cells, directory, pool = self._grid.arrays
        out = self._booked
        # A plain int: compiled code takes an IntEnum too, but looks up its type for 30 µs each time.
        status = self._book(
            self._ledger.table, holding.row, int(side), price_ticks, lots, decision, arrival, cells, directory, pool,
            holding.segments, holding.track, out,
        )  # fmt: skip
        if status != _APPLIED:
            if status != _NEEDS_ROWS:
                return None
            self._grid.more_rows()
            return self.fill(holding, side, price_ticks, lots, decision, arrival)
        net, bought, sold, cash, largest = out.tolist()
        self._marks.last_ticks[holding.listing_id] = price_ticks
        return Position(
            holding.listing_id, holding.strategy_id, holding.book_id, holding.currency_id, 0, 0,
            net, bought, sold, cash, largest // holding.amount_per_lot,
        )  # fmt: skip

    def position(self, holding: Holding) -> Position:
        """Return what is held now."""
        row = self._ledger.table[holding.row].tolist()
        cells, directory, _ = self._grid.arrays
        largest = self._largest(cells, directory, holding.segments, holding.track)
        return Position(
            holding.listing_id, holding.strategy_id, holding.book_id, holding.currency_id, 0, 0,
            row[golden.POSITION_NET], row[golden.POSITION_BOUGHT], row[golden.POSITION_SOLD], row[golden.POSITION_CASH],
            largest // holding.amount_per_lot,
        )  # fmt: skip

    def external(self, trade: ExternalTrade, listed: Instrument) -> Position | Alert:
        """Return the position that a trade from outside leads to; or why it does not count."""
        source = TradeSource._value2member_map_.get(trade.source, TradeSource.UNKNOWN)
        dealt = f"{trade.qty_lots} lots at {trade.price_ticks} ticks"
        what = f"{source.name.lower()} trade {trade.trade_id} of {dealt} in {listed.name}"
        if self._externals.counted(trade):
            return self._ctx.alert(
                "portfolio.trade_twice", Severity.WARNING, what, "each trade of a listing and source once",
                "it counts once; a second trade has a number of its own, a correction is a trade that takes back",
            )  # fmt: skip
        holding = self.open(trade.book_id, trade.strategy_id, listed)
        self._fees.charge_external(holding, trade)
        position = self.fill(holding, trade.side, trade.price_ticks, trade.qty_lots, ABSENT, ABSENT)
        self._fees.charge_today(holding)
        if position is None:
            return self._ctx.alert(
                "portfolio.fill_refused", Severity.CRITICAL, what, "a side, a price, lots, and figures within 64 bits",
                "the position is not what was traded; correct the trade and send it again",
            )  # fmt: skip
        self._externals.count(trade, listed.over_ns)
        return position
