"""The embedded exchange: quarter-hours and hours of one delivery day, price-time priority, a gate closure each.

Matching is the golden model's (`penstock_sdk.golden.matching`, compiled). Background traders act every few seconds
around a fundamental price (`exchange_traders`). Their orders go through the same books as ours; they get no reports,
and we see of them what the market data says.

Everything random comes from the context, everything in time from timers: the same seed and inputs give the same day.
"""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.venues.exchange_books import Books
from penstock_plugins.venues.exchange_day import ExchangeConfig, ExchangeError, plan_day
from penstock_plugins.venues.exchange_layout import *
from penstock_plugins.venues.exchange_traders import Traders
from penstock_sdk.events import (
    AuctionResult,
    ExecutionReport,
    IdKind,
    IntentAction,
    Liquidity,
    Observation,
    Order,
    OrderKind,
    OrderState,
    Reason,
    ReportKind,
    SessionState,
    SessionStatus,
    Severity,
    Side,
    Timer,
)
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *
from penstock_sdk.plugin import Outcome, Venue
from penstock_sdk.schema import ABSENT, Event, Frame, layout_of

__all__ = ["Exchange", "ExchangeConfig", "ExchangeError"]

_STEP, _OPEN, _GATE = 1, 2, 3  # tags of timers


class Exchange(Venue):
    """A continuous market in the contracts of one delivery day.

    Cells: orders, rejected, fills (of ours), background_orders, self_trades_prevented (orders of ours cancelled because
    the same strategy met them) and internal_trades (two strategies of ours dealt with each other).
    """

    Config = ExchangeConfig
    embedded = True
    config: ExchangeConfig

    def _build(self) -> None:
        """Make the day's books, closed and empty; ids come from the context and are the same after a restart."""
        ctx, config = self.ctx, self.config
        plan = plan_day(ctx, config)
        self._plan, self._terms, self._listings = plan, plan.terms, plan.listings
        self._book_of = {listing.listing_id: book for book, listing in enumerate(plan.listings)}
        self._gates_ns: list[int] = plan.terms[:, TERM_GATE_NS].tolist()
        self._opens_ns: list[int] = plan.terms[:, TERM_OPENS_NS].tolist()
        self._last_gate_ns = max(self._gates_ns)
        self._step_ns = round(config.step_s * 1e9)
        self._series_id = ctx.intern(IdKind.SERIES, config.index_series)
        self._books, self._traders = Books(plan.terms, config.order_capacity), Traders(plan, config)
        self._engine, self._state, self._out = self._books.engine, self._books.state, self._books.out
        self._cell_background, self._cell_orders = ctx.cell("background_orders"), ctx.cell("orders")
        self._cell_fills, self._cell_rejected = ctx.cell("fills"), ctx.cell("rejected")
        self._cell_self_trades, self._cell_internal = ctx.cell("self_trades_prevented"), ctx.cell("internal_trades")
        self._heard = np.zeros(2, np.int64)  # of prices to go by: whether any came, whether the lack was told
        self._books.warm_up()
        self._traders.warm_up(self._books.market)

    def on_start(self) -> Outcome:
        """Return the definitions of zone, contracts and listings, and that all are before their opening.

        Raises:
            EnergyError, ExchangeError: the config makes no market.
        """
        self._build()
        for opens_ns in sorted(set(self._opens_ns)):
            self.ctx.set_timer(opens_ns, _OPEN)
        for gate_ns in sorted(set(self._gates_ns)):
            self.ctx.set_timer(gate_ns, _GATE)
        if self.config.background and self.config.orders_per_day:
            self.ctx.set_timer(min(self._opens_ns) + self._step_ns, _STEP)
        events: list[Event] = [self._plan.zone, *self._plan.contracts, *self._listings]
        events.append(self._session(list(range(len(self._listings))), SessionStatus.PRE_OPEN))
        return events

    # -- time ------------------------------------------------------------------------------------------------------

    def on_timer(self, timer: Timer) -> Outcome:
        """Open, close, or let the background traders act."""
        if timer.tag == _STEP:
            next_ns = self.ctx.now_ns + self._step_ns
            if next_ns < self._last_gate_ns:
                self.ctx.set_timer(next_ns, _STEP)
            return self._step(self.ctx.now_ns)
        return self._open(timer.due_ns) if timer.tag == _OPEN else self._close(timer.due_ns)

    def _open(self, due_ns: int) -> Outcome:
        books = [book for book, opens_ns in enumerate(self._opens_ns) if opens_ns == due_ns]
        for book in books:
            self._engine.open_book(self._state, self._out, book)
        return self._session(books, SessionStatus.OPEN)

    def _close(self, due_ns: int) -> Outcome:
        """Close the books whose gate this is; what rests there expires."""
        books = [book for book, gate_ns in enumerate(self._gates_ns) if gate_ns == due_ns]
        events: list[Event] = []
        for book in books:
            status = MORE
            while status == MORE:
                status = self._engine.close_book(self._state, self._out, book)
                events += self._ended(ReportKind.EXPIRED, Reason.GATE_CLOSED)
                events += self._books.publish(self.ctx.now_ns)
        events.append(self._session(books, SessionStatus.CLOSED))
        return events

    def _session(self, books: list[int], status: SessionStatus) -> Frame:
        now_ns, reason = self.ctx.now_ns, Reason.GATE_CLOSED if status == SessionStatus.CLOSED else Reason.NONE
        array = np.zeros(len(books), layout_of(SessionState).dtype)
        array["listing_id"] = self._terms[books, TERM_LISTING]
        array["venue_id"], array["status"], array["reason"] = self.ctx.plugin_id, status, reason
        array["effective_ns"] = array["source_ns"] = now_ns
        array["recv_ns"] = ABSENT
        return Frame(SessionState, array)

    # -- orders ----------------------------------------------------------------------------------------------------

    def on_order(self, order: Order) -> Outcome:
        """Do what the order says; return the reports on ours that it touched, and the market data."""
        action = order.action
        if action == IntentAction.NEW:
            # One in doubt is a question, never a new order: what it asks about stands in the book, or does not.
            return None if order.state == OrderState.IN_DOUBT else self._new(order)
        if action == IntentAction.CANCEL:
            return self._cancel(order)
        if action == IntentAction.CANCEL_ALL:
            return self._cancel_all(order)
        return self._report(order, ReportKind.CANCEL_REJECTED, Reason.NOT_ALLOWED)

    def _new(self, order: Order) -> Outcome:
        self._cell_orders.n += 1
        book = self._book_of.get(order.listing_id, -1)
        reason = self._refusal(order, book)
        if reason:
            self._cell_rejected.n += 1
            return self._report(order, ReportKind.REJECTED, reason)
        order_id, owner, side, kind, qty_lots = (
            order.order_id, order.strategy_id, order.side, order.kind, order.qty_lots,
        )  # fmt: skip
        price = 0 if kind == OrderKind.MARKET else order.price_ticks
        status = self._engine.submit(self._state, self._out, book, order_id, owner, side, kind, price, qty_lots)
        if status >= REFUSED:
            self._cell_rejected.n += 1
            return self._report(order, ReportKind.REJECTED, matching.REASON_OF_STATUS[status])
        now_ns = self.ctx.now_ns
        events: list[Event] = [
            ExecutionReport(
                order_id, order.listing_id, ReportKind.ACCEPTED, side, 0, 0, ABSENT, 0, qty_lots, ABSENT, order_id,
                owner, 0, 0, now_ns,
            )
        ]  # fmt: skip
        if status != ACCEPTED or self._out[0, OUT_CANCELS]:
            self._dealt(order, events)
        events += self._books.publish(now_ns, singles=True)
        return events

    def _refusal(self, order: Order, book: int) -> int:
        """Return why an order is not even shown to the book, or 0."""
        if book < 0:
            return Reason.UNKNOWN_LISTING
        if not self._opens_ns[book] <= self.ctx.now_ns < self._gates_ns[book]:
            return Reason.GATE_CLOSED
        if order.qty_lots > self.config.qty_max_lots:
            return Reason.QTY_MAX
        listing = self._listings[book]
        if order.kind != OrderKind.MARKET and not (
            listing.price_min_ticks <= order.price_ticks <= listing.price_max_ticks
        ):
            return Reason.MALFORMED if order.price_ticks == ABSENT else Reason.PRICE_BOUNDS
        # Ids of background orders, and owners that are theirs, are out of reach.
        return 0 if 0 < order.order_id < BACKGROUND_ID and order.strategy_id < BACKGROUND_OWNER else Reason.MALFORMED

    def _dealt(self, order: Order, events: list[Event]) -> None:
        """Add the reports of an order that met others: its fills, makers of ours, what was cancelled."""
        out, now_ns = self._out, self.ctx.now_ns
        for number, fill in enumerate(matching.fills(out).tolist(), self._books.next_trade_id):
            events.append(
                ExecutionReport(
                    order.order_id, order.listing_id, ReportKind.FILL, order.side, Liquidity.TAKER, 0,
                    fill[FILL_PRICE], fill[FILL_QTY], fill[FILL_TAKER_REMAINING], number, order.order_id,
                    order.strategy_id, 0, 0, now_ns,
                )
            )  # fmt: skip
            self._cell_fills.n += 1
            if fill[FILL_MAKER_OWNER] < BACKGROUND_OWNER:
                self._cell_internal.n += 1
                events.append(self._maker_fill(fill, number))
        if out[0, OUT_CANCELS]:
            self._cell_self_trades.n += int(out[0, OUT_CANCELS])
            events += self._ended(ReportKind.CANCELLED, Reason.SELF_TRADE)
        result = matching.results(out)[0]
        if result[RESULT_CANCELLED]:
            events.append(self._report(order, ReportKind.CANCELLED, Reason.NO_LIQUIDITY))

    def _maker_fill(self, fill: list[int], trade_id: int) -> ExecutionReport:
        """Return the report on a resting order of ours that was met."""
        self._cell_fills.n += 1
        side = Side.SELL if fill[FILL_SIDE] == BUY else Side.BUY
        return ExecutionReport(
            fill[FILL_MAKER_ID], self._listings[fill[FILL_BOOK]].listing_id, ReportKind.FILL, side,
            Liquidity.MAKER, 0, fill[FILL_PRICE], fill[FILL_QTY], fill[FILL_MAKER_REMAINING], trade_id,
            fill[FILL_MAKER_ID], fill[FILL_MAKER_OWNER], 0, 0, self.ctx.now_ns,
        )  # fmt: skip

    def _cancel(self, order: Order) -> Outcome:
        if not 0 < order.order_id < BACKGROUND_ID:
            return self._report(order, ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)
        status = self._engine.cancel(self._state, self._out, order.order_id)
        if status >= REFUSED:
            return self._report(order, ReportKind.CANCEL_REJECTED, matching.REASON_OF_STATUS[status])
        events = self._ended(ReportKind.CANCELLED, Reason.NONE)
        events += self._books.publish(self.ctx.now_ns, singles=True)
        return events

    def _cancel_all(self, order: Order) -> Outcome:
        """Cancel a strategy's orders in one listing, or (0) in all."""
        book = self._book_of.get(order.listing_id, -1) if order.listing_id else ALL_BOOKS
        events: list[Event] = []
        if order.strategy_id >= BACKGROUND_OWNER or (order.listing_id and book < 0):
            return None
        status = MORE
        while status == MORE:
            status = self._engine.cancel_owner(self._state, self._out, book, order.strategy_id)
            events += self._ended(ReportKind.CANCELLED, Reason.NONE)
            events += self._books.publish(self.ctx.now_ns)
        return events

    def _report(self, order: Order, kind: int, reason: int) -> ExecutionReport:
        """Return a report without a fill; nothing of the order works after it, as far as this venue knows."""
        return ExecutionReport(
            order.order_id, order.listing_id, kind, order.side, 0, 0, ABSENT, 0, 0, ABSENT, ABSENT, order.strategy_id,
            reason, 0, self.ctx.now_ns,
        )  # fmt: skip

    def _ended(self, kind: int, reason: int) -> list[Event]:
        """Return a report on each order of ours that the last call took out of the book without a fill."""
        if not self._out[0, OUT_CANCELS]:
            return []
        now_ns = self.ctx.now_ns
        return [
            ExecutionReport(
                row[CANCEL_ORDER_ID], self._listings[row[CANCEL_BOOK]].listing_id, kind, row[CANCEL_SIDE], 0, 0,
                ABSENT, 0, 0, ABSENT, row[CANCEL_ORDER_ID], row[CANCEL_OWNER], reason, 0, now_ns,
            )
            for row in matching.cancels(self._out).tolist()
            if row[CANCEL_OWNER] < BACKGROUND_OWNER
        ]  # fmt: skip

    # -- background ------------------------------------------------------------------------------------------------

    def on_auction_result(self, result: AuctionResult) -> None:
        """Let the background traders know an auction's price."""
        if result.price_ticks != ABSENT:
            self._heard[0] = 1
            self._traders.hear_auction(result)

    def on_observation(self, observation: Observation) -> Outcome:
        """Let the background traders know the index."""
        if observation.series_id != self._series_id:
            return None
        if not math.isfinite(observation.value) or abs(observation.value) > 1e9:
            return self.ctx.alert(
                "exchange.index_value", Severity.WARNING, f"index value {observation.value}", "a finite price",
                "look at the feed; the fundamental keeps its last value", subject=self.config.index_series,
            )  # fmt: skip
        self._heard[0] = 1
        self._traders.hear_index(observation)
        return None

    def _step(self, now_ns: int) -> Outcome:
        """Let the background traders act; return reports on ours that they met, and the market data."""
        events: list[Event] = []
        if not self._heard.any():  # what feeds tell at the opening has come by the first step after it
            self._heard[1] = 1
            events.append(self._no_fundamental())
        for orders, commands in self._traders.draw(self.ctx.random, self._books.market, now_ns):
            self._cell_background.n += orders
            done, rows = 0, len(commands)
            while done < rows:
                done = self._engine.submit_frame(self._state, self._out, commands, done)
                data = self._books.publish(now_ns)
                for trade_id, fill in self._books.own_fills():
                    events.append(self._maker_fill(fill, trade_id))
                events += data
        return events

    def _no_fundamental(self) -> Event:
        config = self.config
        return self.ctx.alert(
            "exchange.no_fundamental", Severity.WARNING,
            f"trading opens with no observation of {config.index_series} and no auction result",
            "one of them by the opening; until then background traders deal around price_start, "
            f"{config.price_start:g}",
            f"add a price feed whose index_series is {config.index_series!r}, of this venue's zone and delivery_day",
            subject=config.index_series,
        )  # fmt: skip

    def book_snapshot(self, listing_id: int, levels_max: int = 100) -> Frame | None:
        """Return both sides of a listing's book as a frame of BookLevel, buys first, best first; None when it is empty.

        Raises:
            ExchangeError: no such listing here.
        """
        book = self._book_of.get(listing_id)
        if book is None:
            raise ExchangeError(f"listing {listing_id} is not traded at {self.ctx.name}, wanted one of its own")
        return self._books.snapshot_of(book, levels_max, self.ctx.now_ns)

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return the books, what traders believe, and what was last published."""
        return [table.copy() for table in self._tables()]

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned; listings and ids follow from the config."""
        self._build()
        for table, held in zip(self._tables(), state, strict=True):
            if table.shape != held.shape:
                raise ExchangeError(
                    f"snapshot holds a table of shape {held.shape}, this config makes {table.shape}; restore with the "
                    "config of the run"
                )
            table[...] = held

    def _tables(self) -> list[npt.NDArray[Any]]:
        return [*self._books.tables(), *self._traders.tables(), self._heard]
