"""Fills as a run takes them: through the kernel, its journal and the portfolio that is installed, money and all.

Each input is numbered and recorded; the portfolio books its money, its energy on the position grid and its price among
the marks; the position that it says is numbered and recorded in its turn. Nobody else listens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from penstock_kernel.bench.positions_market import BOOK, DAY_BEFORE_NS, FRAME, LANES, Dense, Fills, Market
from penstock_kernel.clock import SimClock
from penstock_kernel.deployment import CONTRACT_MAJORS
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.desk import OpenOrder
from penstock_sdk.discovery import discover, load_class
from penstock_sdk.events import (
    ExecutionReport,
    ExternalTrade,
    IntentAction,
    Order,
    OrderState,
    Pnl,
    Position,
    Quote,
    ReportKind,
    Side,
    Timer,
    TradeSource,
)
from penstock_sdk.schema import Event, Frame, layout_of
from penstock_sdk.wire.frame import Origin

__all__ = ["Run", "expected"]

_STEP_NS: Final = 10_000
"""The run's time between inputs: short, so that no telling of profit and loss falls among the fills."""
_LOTS_MAX: Final = 10**12
_BUY, _SELL, _EXTERNAL = int(Side.BUY), int(Side.SELL), int(Origin.EXTERNAL)
_SPREAD_TICKS: Final = 50


class Run:
    """A kernel with a journal and the portfolio in it, told of a market's listings.

    Args:
        folder: of the journal.
    """

    def __init__(self, market: Market, folder: Path) -> None:
        self.market = market
        self.journal = Journal.create(folder, run=1)
        self.kernel = kernel = Kernel(SimClock(DAY_BEFORE_NS), journal=self.journal)
        cls: Any = load_class(discover(CONTRACT_MAJORS).manifests["portfolio"])
        self.slot = kernel.attach(cls, "portfolio", cls.Config())
        kernel.wire()
        kernel.start_plugin(self.slot)
        for zone in market.zones:
            self._hear(zone)
        for listing, contract, _ in market.defined:
            self._hear(contract)
            self._hear(listing)
        self._trades = 0
        self._tellings = 0

    def _hear(self, event: Event) -> None:
        self.kernel.input(event, _EXTERNAL, at_ns=self.kernel.moment.now_ns + _STEP_NS)

    # What is told: made before the time is taken, for in a run it comes from elsewhere.

    def reports(self, fills: Fills) -> list[Event]:
        """Return a fill of an order for each, and open those orders: one for each listing, strategy and side."""
        out: list[Event] = []
        for listing_id, strategy_id, lots, ticks in fills.each():
            side = _BUY if lots > 0 else _SELL
            order_id = (listing_id * (LANES + 1) + strategy_id) * 4 + side
            if order_id not in self.kernel.desk.open:
                order = Order(
                    order_id, listing_id, action=int(IntentAction.NEW), side=side, state=int(OrderState.ROUTED),
                    price_ticks=ticks, qty_lots=_LOTS_MAX, decision_half_ticks=2 * ticks, arrival_half_ticks=2 * ticks,
                    strategy_id=strategy_id, book_id=BOOK,
                )  # fmt: skip
                self.kernel.desk.open[order_id] = OpenOrder(order, OrderState.ROUTED)
                self._hear(order)
            out.append(
                ExecutionReport(
                    order_id, listing_id, kind=int(ReportKind.FILL), side=side, last_ticks=ticks, last_lots=abs(lots),
                    leaves_lots=1, trade_id=len(out), strategy_id=strategy_id,
                )
            )  # fmt: skip
        return out

    def frames(self, fills: Fills) -> list[Event]:
        """Return a trade from outside for each, in frames; every call gives them new numbers."""
        count = len(fills.listing_ids)
        rows = np.frombuffer(
            bytearray(ExternalTrade.layout.pack(ExternalTrade(1, source=TradeSource.SCREEN)) * count),
            layout_of(ExternalTrade).dtype,
        )
        rows["listing_id"], rows["strategy_id"], rows["book_id"] = fills.listing_ids, fills.strategy_ids, BOOK
        rows["side"], rows["qty_lots"] = np.where(fills.lots > 0, _BUY, _SELL), abs(fills.lots)
        rows["price_ticks"] = fills.price_ticks
        rows["trade_id"] = np.arange(self._trades, self._trades + count)
        self._trades += count
        return [Frame(ExternalTrade, rows[at : at + FRAME].copy()) for at in range(0, count, FRAME)]

    def trades(self, fills: Fills) -> list[Event]:
        """Return the same one by one."""
        return [record for frame in self.frames(fills) for record in _records(frame)]

    # What is measured.

    def play(self, events: list[Event]) -> None:
        """Hear events, each an input of its own, and see that the last is written."""
        kernel, run, settle = self.kernel, self.kernel.input, _STEP_NS
        for event in events:
            run(event, _EXTERNAL, None, kernel.moment.now_ns + settle)
        kernel.write()

    def batches(self, make: Callable[[], list[Event]], calls: int) -> Callable[[], None]:
        """Return what plays one batch of several each time it is called; all are made now."""
        made = iter([make() for _ in range(calls)])
        return lambda: self.play(next(made))

    def directly(self, make: Callable[[], list[Event]]) -> Callable[[], None]:
        """Return what gives reports to the portfolio's own handler, past the kernel, each time it is called."""
        events, handler = make(), self.slot.plugin.on_execution_report

        def call() -> None:
            for event in events:
                handler(event)

        return call

    def telling(self, rounds: int) -> tuple[int, list[int]]:
        """Return how many holdings there are, and the CPU ns of telling their profit at other mids each time."""
        samples = []
        holdings = len(self.held())
        for nth in range(rounds + 1):
            self._quote(nth)
            timer = Timer(plugin_id=self.slot.plugin_id, tag=0)
            begun_ns = time.thread_time_ns()
            self.play([timer])
            samples.append(time.thread_time_ns() - begun_ns)
        return holdings, samples[1:]

    def _quote(self, nth: int) -> None:
        quotes = [
            Quote(listing.listing_id, bid_ticks=4_000 + nth + at % 97 - _SPREAD_TICKS, bid_lots=1,
                  ask_ticks=4_000 + nth + at % 97 + _SPREAD_TICKS, ask_lots=1)
            for at, (listing, _, _) in enumerate(self.market.defined)
        ]  # fmt: skip
        array = np.frombuffer(b"".join(map(Quote.layout.pack, quotes)), layout_of(Quote).dtype)
        for at in range(0, len(array), FRAME):
            self._hear(Frame(Quote, array[at : at + FRAME].copy()))

    # What came of it.

    def held(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return (net lots, cash in 10⁻⁶) by listing and strategy, of what is not flat."""
        standing = [event for event in self.slot.plugin.standing() if isinstance(event, Position)]
        return {(each.listing_id, each.strategy_id): (each.net_lots, each.cash_micro) for each in standing}

    def made(self) -> int:
        """Return what all accounts have made, before fees, 10⁻⁶."""
        totals = [event for event in self.slot.plugin.standing() if isinstance(event, Pnl)]
        return sum(each.realised_micro + each.unrealised_micro for each in totals)

    def on_grid(self, dense: Dense) -> Any:
        """Return the position grid as an array of *dense*'s shape."""
        return dense.of(self.slot.plugin.grid)

    def close(self) -> str:
        """Return the digest of the journal."""
        self.kernel.write()
        self.journal.close()
        return self.journal.digest


def _records(frame: Event) -> Iterator[Event]:
    assert isinstance(frame, Frame)
    return frame.records()


def expected(market: Market, fills: Fills, times: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Return what `Run.held` has to be once the same fills were told so many times; in plain Python."""
    worth = {listing.listing_id: listing.cash_micro_per_lot_tick for listing, _, _ in market.defined}
    held: dict[tuple[int, int], tuple[int, int]] = {}
    for listing_id, strategy_id, lots, ticks in fills.each():
        net, cash = held.get((listing_id, strategy_id), (0, 0))
        held[listing_id, strategy_id] = (net + lots, cash - lots * ticks * worth[listing_id])
    return {whose: (net * times, cash * times) for whose, (net, cash) in held.items() if net}
