"""The embedded exchange: the contracts of a delivery day or of many, price-time priority, a gate for each.

Matching is the golden model's (`penstock_sdk.golden.matching`, compiled). Background traders act every few seconds
around a fundamental price (`exchange_traders`). Their orders go through the same books as ours; they get no reports,
and we see of them what the market data says.

Each delivery day is a market of its own (`exchange_market`): made when it is announced, let go after its last gate. So
memory stays that of the two days that trade at once. Everything random comes from the context, everything in time from
timers: the same seed and inputs give the same day.
"""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np

from penstock_plugins.venues.exchange_day import ExchangeConfig, ExchangeError
from penstock_plugins.venues.exchange_layout import *
from penstock_plugins.venues.exchange_market import DayMarket
from penstock_plugins.venues.exchange_reports import accepted, ended, maker_fill, taker_fill, without_fill
from penstock_sdk.energy import EnergyError, TradingDays, announced_ns, market_zone
from penstock_sdk.events import (
    AuctionResult,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Observation,
    Order,
    OrderKind,
    OrderState,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    SessionState,
    SessionStatus,
    Severity,
    Timer,
)
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *
from penstock_sdk.plugin import Outcome, Venue
from penstock_sdk.schema import ABSENT, Event, Frame, layout_of
from penstock_sdk.slots import check_state

__all__ = ["Exchange", "ExchangeConfig", "ExchangeError"]

_STEP, _OPEN, _GATE, _ANNOUNCE = 1, 2, 3, 4  # tags of timers, below the number of the day they are for
_TAG_BITS = 3
_STATE_VERSION = 2
# Plain numbers for what every order comes past: to look a member up in its enum takes 80 ns.
_NEW, _CANCEL, _IN_DOUBT = int(IntentAction.NEW), int(IntentAction.CANCEL), int(OrderState.IN_DOUBT)
_AT_ANY_PRICE, _CANCELLED, _NO_REASON = int(OrderKind.MARKET), int(ReportKind.CANCELLED), int(Reason.NONE)


class Exchange(Venue):
    """A continuous market in the contracts of one delivery day or of many.

    Cells: orders, rejected, fills (of ours), background_orders, self_trades_prevented (orders of ours cancelled because
    the same strategy met them) and internal_trades (two strategies of ours dealt with each other).
    """

    Config = ExchangeConfig
    embedded = True
    config: ExchangeConfig

    def _build(self) -> None:
        """Make what stands before any day does; ids come from the context and are the same after a restart."""
        ctx, config = self.ctx, self.config
        try:
            zone = market_zone(config.zone, None, ctx.reference)
            self._days = TradingDays.of(zone, config.delivery_day, config.days)
        except EnergyError:
            raise
        except ValueError as error:
            raise ExchangeError(str(error)) from None
        self._markets: dict[int, DayMarket] = {}
        """By their number, the earliest day first; one that has closed is no longer here, but if it is the only one."""
        self._place: dict[int, tuple[DayMarket, int]] = {}
        """Market and book by listing id."""
        self._announced: date | None = None
        """The last day that was announced."""
        self._timers: set[int] = set()
        """Ids of timers that have not fired."""
        self._series_id = 0
        self._step_ns = round(config.step_s * 1e9)
        self._cell_background, self._cell_orders = ctx.cell("background_orders"), ctx.cell("orders")
        self._cell_fills, self._cell_rejected = ctx.cell("fills"), ctx.cell("rejected")
        self._cell_self_trades, self._cell_internal = ctx.cell("self_trades_prevented"), ctx.cell("internal_trades")
        self._heard = np.zeros(2, np.int64)  # of prices to go by: whether any came, whether the lack was told

    def on_start(self) -> Outcome:
        """Return the definitions of zone, contracts and listings, and that all are before their opening.

        Raises:
            EnergyError, ExchangeError: the config makes no market.
        """
        self._build()
        return self._announce(self._days.first) if self.config.days == 1 else self._announce_live()

    def on_resume(self) -> Outcome:
        """Return what has ended while nobody traded, what opens now, and which days have been announced meanwhile.

        Background traders go on from now: what they would have done in the gap is not made up for.
        """
        now_ns = self.ctx.now_ns
        self._forget_timers()
        events: list[Event] = []
        for market in list(self._markets.values()):
            late = [b for b, gate_ns in enumerate(market.gates_ns) if gate_ns <= now_ns and market.books.is_open(b)]
            if late:
                events += self._close(market, late)
            self._let_go(market)
        for market in self._markets.values():
            events += self._go_on(market)
        return events + (self._announce_other() if self.config.days == 1 else self._announce_live())

    # -- days ------------------------------------------------------------------------------------------------------

    def _announce(self, day: date) -> list[Event]:
        """Make a day's market and tell of it; its timers open and close it."""
        market = DayMarket(self.ctx, self.config, day)
        self._series_id = self.ctx.intern(IdKind.SERIES, self.config.index_series)
        self._take_in(market)
        self._announced = day
        for opens_ns in sorted(set(market.opens_ns)):
            self._wake(market, opens_ns, _OPEN)
        for gate_ns in sorted(set(market.gates_ns)):
            self._wake(market, gate_ns, _GATE)
        if self.config.background and self.config.orders_per_day:
            self._wake(market, market.first_open_ns + self._step_ns, _STEP)
        plan = market.plan
        events: list[Event] = [plan.zone, *plan.contracts, *market.listings]
        events.append(self._session(market, list(range(len(market.listings))), SessionStatus.PRE_OPEN))
        return events

    def _take_in(self, market: DayMarket) -> None:
        self._markets[market.number] = market
        for book, listing in enumerate(market.listings):
            self._place[listing.listing_id] = (market, book)

    def _announce_live(self) -> list[Event]:
        """Announce what is due by now; days that are over by then are left out. Ask to be woken for the next."""
        events: list[Event] = []
        for day in self._days.live(self.ctx.now_ns):
            if self._announced is None or day > self._announced:
                events += self._announce(day)
        next_day = self._days.next(self._announced or self._days.first, self.ctx.now_ns)
        if next_day is not None:
            tag = next_day.toordinal() << _TAG_BITS | _ANNOUNCE
            self._timers.add(self.ctx.set_timer(announced_ns(self._days.zone, next_day), tag))
        return events

    def _announce_other(self) -> list[Event]:
        """Announce the only day of a config that names a later one than the session before, once that has closed."""
        held = self._markets.get(0)
        first = self._days.first
        if held is None or first <= held.day or held.last_gate_ns > self.ctx.now_ns:
            return []
        for listing in held.listings:
            del self._place[listing.listing_id]
        return self._announce(first)

    def _let_go(self, market: DayMarket) -> None:
        """Forget a day whose last gate has closed; the only day of a run stays to be looked at."""
        if market.number and market.last_gate_ns <= self.ctx.now_ns:
            del self._markets[market.number]
            for listing in market.listings:
                del self._place[listing.listing_id]

    def _go_on(self, market: DayMarket) -> list[Event]:
        """Set a restored day's timers; return that its open books are open, and open those whose time has come."""
        now_ns, is_open = self.ctx.now_ns, market.books.is_open
        events: list[Event] = []
        books = [book for book, gate_ns in enumerate(market.gates_ns) if gate_ns > now_ns]
        due = [book for book in books if market.opens_ns[book] <= now_ns]
        for book in due:
            if not is_open(book):
                market.books.engine.open_book(market.books.state, market.books.out, book)
        if due:
            events.append(self._session(market, due, SessionStatus.OPEN))
        for opens_ns in sorted({market.opens_ns[book] for book in books if market.opens_ns[book] > now_ns}):
            self._wake(market, opens_ns, _OPEN)
        for gate_ns in sorted({market.gates_ns[book] for book in books}):
            self._wake(market, gate_ns, _GATE)
        steps = max((now_ns - market.first_open_ns) // self._step_ns, 0) + 1
        next_ns = market.first_open_ns + steps * self._step_ns
        if self.config.background and self.config.orders_per_day and next_ns < market.last_gate_ns:
            self._wake(market, next_ns, _STEP)
        return events

    def _wake(self, market: DayMarket, due_ns: int, tag: int) -> None:
        self._timers.add(self.ctx.set_timer(due_ns, market.number << _TAG_BITS | tag))

    def _forget_timers(self) -> None:
        for timer_id in sorted(self._timers):
            self.ctx.cancel_timer(timer_id)
        self._timers.clear()

    # -- time ------------------------------------------------------------------------------------------------------

    def on_timer(self, timer: Timer) -> Outcome:
        """Open, close, announce a day, or let the background traders act."""
        self._timers.discard(timer.timer_id)
        tag, number, now_ns = timer.tag & (1 << _TAG_BITS) - 1, timer.tag >> _TAG_BITS, self.ctx.now_ns
        if tag == _ANNOUNCE:
            return self._announce_live()
        market = self._markets.get(number)
        if market is None:
            return None
        if tag == _STEP:
            next_ns = now_ns + self._step_ns
            if next_ns < market.last_gate_ns:
                self._wake(market, next_ns, _STEP)
            return self._step(market, now_ns)
        if tag == _OPEN:
            return self._open(market, [b for b, opens_ns in enumerate(market.opens_ns) if opens_ns == timer.due_ns])
        events = self._close(market, [b for b, gate_ns in enumerate(market.gates_ns) if gate_ns == timer.due_ns])
        self._let_go(market)
        return events

    def _open(self, market: DayMarket, books: list[int]) -> Outcome:
        for book in books:
            market.books.engine.open_book(market.books.state, market.books.out, book)
        return self._session(market, books, SessionStatus.OPEN)

    def _close(self, market: DayMarket, books: list[int]) -> list[Event]:
        """Close books; what rests there expires."""
        engine, state, out = market.books.engine, market.books.state, market.books.out
        events: list[Event] = []
        for book in books:
            status = MORE
            while status == MORE:
                status = engine.close_book(state, out, book)
                events += self._ended(market, ReportKind.EXPIRED, Reason.GATE_CLOSED)
                events += market.books.publish(self.ctx.now_ns)
        events.append(self._session(market, books, SessionStatus.CLOSED))
        return events

    def _session(self, market: DayMarket, books: list[int], status: SessionStatus) -> Frame:
        now_ns, reason = self.ctx.now_ns, Reason.GATE_CLOSED if status == SessionStatus.CLOSED else Reason.NONE
        array = np.zeros(len(books), layout_of(SessionState).dtype)
        array["listing_id"] = market.terms[books, TERM_LISTING]
        array["venue_id"], array["status"], array["reason"] = self.ctx.plugin_id, status, reason
        array["effective_ns"] = array["source_ns"] = now_ns
        array["recv_ns"] = ABSENT
        return Frame(SessionState, array)

    # -- orders ----------------------------------------------------------------------------------------------------

    def on_order(self, order: Order) -> Outcome:
        """Do what the order says; return the reports on ours that it touched, and the market data."""
        action = order.action
        if action == _NEW:
            # One in doubt is a question, never a new order: what it asks about stands in the book, or does not.
            return None if order.state == _IN_DOUBT else self._new(order)
        if action == _CANCEL:
            return self._cancel(order)
        if action == IntentAction.CANCEL_ALL:
            return self._cancel_all(order)
        return self._report(order, ReportKind.CANCEL_REJECTED, Reason.NOT_ALLOWED)

    def _new(self, order: Order) -> Outcome:
        self._cell_orders.n += 1
        place = self._place.get(order.listing_id)
        reason = self._no_place(order) if place is None else self._refusal(order, *place)
        if place is None or reason:
            self._cell_rejected.n += 1
            return self._report(order, ReportKind.REJECTED, reason)
        market, book = place
        books = market.books
        order_id, owner, side, kind, qty_lots = (
            order.order_id, order.strategy_id, order.side, order.kind, order.qty_lots,
        )  # fmt: skip
        price = 0 if kind == _AT_ANY_PRICE else order.price_ticks
        status = books.engine.submit(books.state, books.out, book, order_id, owner, side, kind, price, qty_lots)
        if status >= REFUSED:
            self._cell_rejected.n += 1
            return self._report(order, ReportKind.REJECTED, matching.REASON_OF_STATUS[status])
        now_ns = self.ctx.now_ns
        events: list[Event] = [accepted(order, now_ns)]
        if status != ACCEPTED or books.out[0, OUT_CANCELS]:
            self._dealt(market, order, events)
        events += books.publish(now_ns, singles=True)
        return events

    def _no_place(self, order: Order) -> int:
        """Return why an order has no book here: its day is over, or it never was one of ours."""
        listing = self.ctx.listing(order.listing_id)
        ours = isinstance(listing, ListingDefinition) and listing.venue_id == self.ctx.plugin_id
        return Reason.GATE_CLOSED if ours else Reason.UNKNOWN_LISTING

    def _refusal(self, order: Order, market: DayMarket, book: int) -> int:
        """Return why an order is not even shown to the book, or 0."""
        if not market.opens_ns[book] <= self.ctx.now_ns < market.gates_ns[book]:
            return Reason.GATE_CLOSED
        if order.qty_lots > market.plan.lots_max:
            return Reason.QTY_MAX
        if 0 < order.qty_lots < market.plan.lots_min:
            return Reason.QTY_MIN
        listing = market.listings[book]
        if order.kind != _AT_ANY_PRICE and not (
            listing.price_min_ticks <= order.price_ticks <= listing.price_max_ticks
        ):
            return Reason.MALFORMED if order.price_ticks == ABSENT else Reason.PRICE_BOUNDS
        # Ids of background orders, and owners that are theirs, are out of reach.
        return 0 if 0 < order.order_id < BACKGROUND_ID and order.strategy_id < BACKGROUND_OWNER else Reason.MALFORMED

    def _dealt(self, market: DayMarket, order: Order, events: list[Event]) -> None:
        """Add the reports of an order that met others: its fills, makers of ours, what was cancelled."""
        out, now_ns = market.books.out, self.ctx.now_ns
        for number, fill in enumerate(matching.fills(out).tolist(), market.books.next_trade_id):
            events.append(taker_fill(order, fill, number, now_ns))
            self._cell_fills.n += 1
            if fill[FILL_MAKER_OWNER] < BACKGROUND_OWNER:
                self._cell_internal.n += 1
                events.append(self._maker_fill(market, fill, number))
        if out[0, OUT_CANCELS]:
            self._cell_self_trades.n += int(out[0, OUT_CANCELS])
            events += self._ended(market, ReportKind.CANCELLED, Reason.SELF_TRADE)
        result = matching.results(out)[0]
        if result[RESULT_CANCELLED]:
            events.append(self._report(order, ReportKind.CANCELLED, Reason.NO_LIQUIDITY))

    def _maker_fill(self, market: DayMarket, fill: list[int], trade_id: int) -> ExecutionReport:
        self._cell_fills.n += 1
        return maker_fill(market, fill, trade_id, self.ctx.now_ns)

    def _cancel(self, order: Order) -> Outcome:
        place, status = self._place.get(order.listing_id), REFUSED_UNKNOWN_ORDER
        if 0 < order.order_id < BACKGROUND_ID:
            # A cancel that names no listing may mean an order of any day.
            for market in self._markets.values() if place is None else (place[0],):
                books = market.books
                status = books.engine.cancel(books.state, books.out, order.order_id)
                if status < REFUSED:
                    events = self._ended(market, _CANCELLED, _NO_REASON)
                    events += books.publish(self.ctx.now_ns, singles=True)
                    return events
        return self._report(order, ReportKind.CANCEL_REJECTED, matching.REASON_OF_STATUS[status])

    def _cancel_all(self, order: Order) -> Outcome:
        """Cancel a strategy's orders in one listing, or (0) in all."""
        place = self._place.get(order.listing_id)
        if order.strategy_id >= BACKGROUND_OWNER or (order.listing_id and place is None):
            return None
        events: list[Event] = []
        for market, book in [(m, ALL_BOOKS) for m in self._markets.values()] if place is None else [place]:
            books, status = market.books, MORE
            while status == MORE:
                status = books.engine.cancel_owner(books.state, books.out, book, order.strategy_id)
                events += self._ended(market, ReportKind.CANCELLED, Reason.NONE)
                events += books.publish(self.ctx.now_ns)
        return events

    def _report(self, order: Order, kind: int, reason: int) -> ExecutionReport:
        return without_fill(order, kind, reason, self.ctx.now_ns)

    def _ended(self, market: DayMarket, kind: int, reason: int) -> list[Event]:
        return ended(market, kind, reason, self.ctx.now_ns)

    def on_reconcile(self, question: Reconcile) -> Outcome:
        """Say where our orders stand: what is not in a book has ended, what nobody asked about is cancelled.

        The two agree after an ordinary restart. After an upgrade the books are those of the new code.
        """
        asked = {order_id for order_id, _ in question.orders}
        resting = [(market, order_id) for market in self._markets.values() for order_id in market.books.own_resting()]
        here = {order_id for _, order_id in resting}
        gone = sorted(asked - here)
        events: list[Event] = [
            ExecutionReport(order_id, kind=ReportKind.CANCELLED, reason=Reason.UNSOLICITED) for order_id in gone
        ]
        foreign = 0
        for market, order_id in resting:
            if order_id not in asked:
                foreign += 1
                market.books.engine.cancel(market.books.state, market.books.out, order_id)
                events += market.books.publish(self.ctx.now_ns, singles=True)
        events.append(
            Reconciled(
                venue_id=self.ctx.plugin_id, epoch=question.epoch, confirmed=len(asked & here), corrected=len(gone),
                foreign=foreign,
            )
        )  # fmt: skip
        return events

    # -- background ------------------------------------------------------------------------------------------------

    def on_auction_result(self, result: AuctionResult) -> None:
        """Let the background traders know an auction's price."""
        if result.price_ticks != ABSENT:
            self._heard[0] = 1
            for market in self._markets.values():
                market.traders.hear_auction(result)

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
        for market in self._markets.values():
            market.traders.hear_index(observation)
        return None

    def _step(self, market: DayMarket, now_ns: int) -> Outcome:
        """Let a day's background traders act; return reports on ours that they met, and the market data."""
        events: list[Event] = []
        if not self._heard.any():  # what feeds tell at the opening has come by the first step after it
            self._heard[1] = 1
            events.append(self._no_fundamental())
        books = market.books
        for orders, commands in market.traders.draw(market.random, books.market, now_ns):
            self._cell_background.n += orders
            done, rows = 0, len(commands)
            while done < rows:
                done = books.engine.submit_frame(books.state, books.out, commands, done)
                data = books.publish(now_ns)
                for trade_id, fill in books.own_fills():
                    events.append(self._maker_fill(market, fill, trade_id))
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
        place = self._place.get(listing_id)
        if place is None:
            raise ExchangeError(f"listing {listing_id} is not traded at {self.ctx.name}, wanted one of its own")
        return place[0].books.snapshot_of(place[1], levels_max, self.ctx.now_ns)

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the days that trade: books, what traders believe, and what was last published."""
        return {
            "version": _STATE_VERSION,
            "days": [market.snapshot() for market in self._markets.values()],
            "announced": "" if self._announced is None else self._announced.isoformat(),
            "timers": sorted(self._timers),
            "heard": self._heard.copy(),
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned; listings and ids follow from the config.

        Raises:
            ValueError: the state is of another version, or (ExchangeError) of another config.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._build()
        for held in state["days"]:
            self._take_in(DayMarket.restored(self.ctx, self.config, held))
        self._series_id = self.ctx.intern(IdKind.SERIES, self.config.index_series)
        self._announced = date.fromisoformat(state["announced"]) if state["announced"] else None
        self._timers = set(state["timers"])
        self._heard[:] = state["heard"]
