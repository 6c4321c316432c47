"""Orders at the embedded exchange: priority, kinds, refusals, cancels, self-trades, gates, and their market data."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_plugins.venues.exchange import Exchange, ExchangeConfig, ExchangeError
from penstock_sdk.events import (
    BookLevel,
    BookPriceDelta,
    CheckVerdict,
    ExecutionReport,
    IdKind,
    IntentAction,
    Liquidity,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    Reconcile,
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
    Trade,
)
from penstock_sdk.plugin import RiskCheck, Strategy
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.testing import SimKernel

HOUR_NS = 3_600_000_000_000
MINE, OTHER = 7, 8


class PassAll(RiskCheck):
    def check_order(self, order: Order) -> CheckVerdict:
        return self.passed(order)


class Floor:
    """An exchange without background traders, all quarter-hours open; orders go in by hand."""

    def __init__(self, **config: Any) -> None:
        self.kernel = SimKernel(seed=3)
        settings = {"products": ("QH",), "background": False} | config
        self.exchange = self.kernel.add(Exchange, "exchange", ExchangeConfig(**settings))
        self.kernel.start()
        self.listings = self.kernel.definitions(IdKind.LISTING)
        self.open_ns = max(listing.opens_ns for listing in self.listings)
        self.kernel.run_until(self.open_ns)
        self.listing_id = self.listings[40].listing_id
        self._last_id = 1 << 40

    def new(
        self, side: int, price_ticks: int, lots: int, kind: int = OrderKind.LIMIT, *, owner: int = MINE, at: int = 0
    ) -> tuple[int, list[Any]]:
        """Send a new order; return its id and what the exchange said."""
        self._last_id += 1
        order = Order(
            self._last_id, at or self.listing_id, IntentAction.NEW, side, kind, OrderState.ROUTED, price_ticks, lots,
            strategy_id=owner,
        )  # fmt: skip
        return self._last_id, told(self.exchange.on_order(order))

    def cancel(self, order_id: int, action: int = IntentAction.CANCEL, *, owner: int = MINE, at: int = 0) -> list[Any]:
        return told(self.exchange.on_order(Order(order_id, at, action, strategy_id=owner)))

    def levels(self, listing_id: int = 0) -> list[tuple[int, int, int, int]]:
        """Return (side, price, lots, orders) of the book, buys first."""
        frame = self.exchange.book_snapshot(listing_id or self.listing_id)
        return [(r.side, r.price_ticks, r.qty_lots, r.order_count) for r in frame.records()] if frame else []


def told(out: Any) -> list[Any]:
    """Return records, frames expanded."""
    if out is None:
        return []
    items = out if isinstance(out, (list, tuple)) else [out]
    return [r for item in items for r in (item.records() if isinstance(item, Frame) else (item,))]


def reports(events: list[Any]) -> list[tuple[int, int, int, int, int]]:
    """Return (order id, kind, price, lots, lots left) of the execution reports."""
    return [
        (e.order_id, e.kind, e.last_ticks, e.last_lots, e.leaves_lots) for e in events if isinstance(e, ExecutionReport)
    ]


def test_the_better_price_is_served_first_then_the_earlier_order() -> None:
    floor = Floor()
    late_best, _ = floor.new(Side.SELL, 5_010, 10)
    first, _ = floor.new(Side.SELL, 5_000, 10)
    second, _ = floor.new(Side.SELL, 5_000, 10)

    taker, events = floor.new(Side.BUY, 5_010, 25, owner=OTHER)

    assert reports(events) == [
        (taker, ReportKind.ACCEPTED, ABSENT, 0, 25),
        (taker, ReportKind.FILL, 5_000, 10, 15),
        (first, ReportKind.FILL, 5_000, 10, 0),
        (taker, ReportKind.FILL, 5_000, 10, 5),
        (second, ReportKind.FILL, 5_000, 10, 0),
        (taker, ReportKind.FILL, 5_010, 5, 0),
        (late_best, ReportKind.FILL, 5_010, 5, 5),
    ]
    fills = [e for e in events if isinstance(e, ExecutionReport) and e.kind == ReportKind.FILL]
    assert [f.liquidity for f in fills] == [Liquidity.TAKER, Liquidity.MAKER] * 3
    assert [f.strategy_id for f in fills] == [OTHER, MINE] * 3
    trades = [e for e in events if isinstance(e, Trade)]
    assert [(t.price_ticks, t.qty_lots, t.aggressor) for t in trades] == [
        (5_000, 10, Side.BUY), (5_000, 10, Side.BUY), (5_010, 5, Side.BUY),
    ]  # fmt: skip
    assert [f.trade_id for f in fills[::2]] == [f.trade_id for f in fills[1::2]] == [t.trade_id for t in trades]
    assert floor.exchange.ctx.cell("internal_trades").n == 3
    assert floor.levels() == [(Side.SELL, 5_010, 5, 1)]


def test_a_resting_order_shows_as_a_level_and_a_quote() -> None:
    floor = Floor()
    order_id, events = floor.new(Side.BUY, -250, 12)
    assert [type(e) for e in events] == [ExecutionReport, BookPriceDelta, Quote]
    report, delta, quote = events
    assert (report.order_id, report.kind, report.leaves_lots) == (order_id, ReportKind.ACCEPTED, 12)
    assert (delta.side, delta.action, delta.price_ticks, delta.qty_lots, delta.order_count) == (
        Side.BUY,
        1,
        -250,
        12,
        1,
    )
    assert delta.revision == 1
    assert (quote.bid_ticks, quote.bid_lots, quote.ask_ticks, quote.ask_lots) == (-250, 12, ABSENT, 0)
    assert quote.tradability == 1

    again = floor.cancel(order_id)
    assert reports(again) == [(order_id, ReportKind.CANCELLED, ABSENT, 0, 0)]
    assert [(e.action, e.qty_lots, e.revision) for e in again if isinstance(e, BookPriceDelta)] == [(2, 0, 2)]
    assert [(e.bid_ticks, e.bid_lots) for e in again if isinstance(e, Quote)] == [(ABSENT, 0)]


def test_an_order_behind_the_best_moves_no_quote() -> None:
    floor = Floor()
    floor.new(Side.BUY, 100, 5)
    _, events = floor.new(Side.BUY, 90, 5)
    assert [type(e) for e in events] == [ExecutionReport, BookPriceDelta]


def test_ioc_deals_what_it_can_and_cancels_the_rest() -> None:
    floor = Floor()
    floor.new(Side.SELL, -40, 3)
    order_id, events = floor.new(Side.BUY, -40, 10, OrderKind.IOC, owner=OTHER)
    assert reports(events)[1] == (order_id, ReportKind.FILL, -40, 3, 7)
    assert reports(events)[-1] == (order_id, ReportKind.CANCELLED, ABSENT, 0, 0)
    assert events[3].reason == Reason.NO_LIQUIDITY
    assert floor.levels() == []


def test_fok_deals_in_full_or_not_at_all() -> None:
    floor = Floor()
    maker, _ = floor.new(Side.SELL, 10, 5)
    too_much, events = floor.new(Side.BUY, 10, 6, OrderKind.FOK, owner=OTHER)
    assert reports(events) == [(too_much, ReportKind.REJECTED, ABSENT, 0, 0)]
    assert events[0].reason == Reason.NO_LIQUIDITY
    assert floor.levels() == [(Side.SELL, 10, 5, 1)]
    fits, events = floor.new(Side.BUY, 10, 5, OrderKind.FOK, owner=OTHER)
    assert (fits, ReportKind.FILL, 10, 5, 0) in reports(events)
    assert (maker, ReportKind.FILL, 10, 5, 0) in reports(events)


def test_a_market_order_takes_any_price_and_never_rests() -> None:
    floor = Floor()
    floor.new(Side.BUY, -999_900, 4)
    order_id, events = floor.new(Side.SELL, ABSENT, 9, OrderKind.MARKET, owner=OTHER)
    assert (order_id, ReportKind.FILL, -999_900, 4, 5) in reports(events)
    assert reports(events)[-1][:2] == (order_id, ReportKind.CANCELLED)
    assert floor.levels() == []


@pytest.mark.parametrize(
    ("side", "price_ticks", "lots", "kind", "reason"),
    [
        (Side.BUY, 999_901, 1, OrderKind.LIMIT, Reason.PRICE_BOUNDS),
        (Side.SELL, -999_901, 1, OrderKind.LIMIT, Reason.PRICE_BOUNDS),
        (Side.BUY, ABSENT, 1, OrderKind.LIMIT, Reason.MALFORMED),
        (Side.BUY, 100, 0, OrderKind.LIMIT, Reason.MALFORMED),
        (Side.BUY, 100, -5, OrderKind.IOC, Reason.MALFORMED),
        (Side.BUY, 100, 10_001, OrderKind.LIMIT, Reason.QTY_MAX),
        (0, 100, 1, OrderKind.LIMIT, Reason.MALFORMED),
        (Side.BUY, 100, 1, 0, Reason.MALFORMED),
    ],
)
def test_what_makes_no_sense_is_rejected_with_its_reason(
    side: int, price_ticks: int, lots: int, kind: int, reason: Reason
) -> None:
    floor = Floor()
    order_id, events = floor.new(side, price_ticks, lots, kind)
    assert reports(events) == [(order_id, ReportKind.REJECTED, ABSENT, 0, 0)]
    assert events[0].reason == reason
    assert floor.levels() == []


def test_the_outermost_prices_are_taken() -> None:
    floor = Floor()
    floor.new(Side.SELL, 999_900, 1)
    floor.new(Side.BUY, -999_900, 1)
    assert floor.levels() == [(Side.BUY, -999_900, 1, 1), (Side.SELL, 999_900, 1, 1)]


def test_an_unknown_listing_an_unknown_order_and_a_filled_one_are_told_apart_from_success() -> None:
    floor = Floor()
    _, events = floor.new(Side.BUY, 1, 1, at=9_999)
    assert (events[0].kind, events[0].reason) == (ReportKind.REJECTED, Reason.UNKNOWN_LISTING)
    maker, _ = floor.new(Side.BUY, 1, 1)
    floor.new(Side.SELL, 1, 1, owner=OTHER)
    for order_id in (12_345, maker, 0, -3, 2**62 + 1):
        (answer,) = floor.cancel(order_id)
        assert (answer.kind, answer.reason, answer.order_id) == (
            ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER, order_id,
        )  # fmt: skip


def test_an_order_id_of_the_background_range_is_refused() -> None:
    floor = Floor()
    order = Order(2**62 + 5, floor.listing_id, IntentAction.NEW, Side.BUY, OrderKind.LIMIT, price_ticks=1, qty_lots=1)
    (answer,) = told(floor.exchange.on_order(order))
    assert (answer.kind, answer.reason) == (ReportKind.REJECTED, Reason.MALFORMED)


def test_an_amendment_is_refused_and_leaves_the_order_as_it_was() -> None:
    floor = Floor()
    order_id, _ = floor.new(Side.BUY, 1, 5)
    (answer,) = floor.cancel(order_id, IntentAction.AMEND)
    assert (answer.kind, answer.reason) == (ReportKind.CANCEL_REJECTED, Reason.NOT_ALLOWED)
    assert floor.levels() == [(Side.BUY, 1, 5, 1)]


def test_cancel_all_takes_one_strategys_orders_in_a_listing_or_everywhere() -> None:
    floor = Floor()
    elsewhere = floor.listings[41].listing_id
    here, _ = floor.new(Side.BUY, 1, 5)
    there, _ = floor.new(Side.SELL, 9, 5, at=elsewhere)
    floor.new(Side.BUY, 1, 5, owner=OTHER)
    events = floor.cancel(0, IntentAction.CANCEL_ALL, at=floor.listing_id)
    assert reports(events) == [(here, ReportKind.CANCELLED, ABSENT, 0, 0)]
    assert floor.levels() == [(Side.BUY, 1, 5, 1)]
    events = floor.cancel(0, IntentAction.CANCEL_ALL)
    assert reports(events) == [(there, ReportKind.CANCELLED, ABSENT, 0, 0)]
    assert floor.levels(elsewhere) == []


def test_a_strategy_never_trades_with_itself() -> None:
    floor = Floor()
    resting, _ = floor.new(Side.SELL, 10, 5)
    taker, events = floor.new(Side.BUY, 10, 5)
    assert reports(events) == [
        (taker, ReportKind.ACCEPTED, ABSENT, 0, 5),
        (resting, ReportKind.CANCELLED, ABSENT, 0, 0),
    ]
    assert events[1].reason == Reason.SELF_TRADE
    assert not [e for e in events if isinstance(e, Trade)]
    assert floor.levels() == [(Side.BUY, 10, 5, 1)]
    assert floor.exchange.ctx.cell("self_trades_prevented").n == 1


def test_before_the_opening_and_from_the_gate_on_orders_are_rejected() -> None:
    floor = Floor(open_lead_hours=2)
    last = floor.listings[-1]
    kernel = SimKernel()
    exchange = kernel.add(Exchange, "exchange", ExchangeConfig(products=("QH",), background=False, open_lead_hours=2))
    kernel.start()
    listing = kernel.definitions(IdKind.LISTING)[-1]
    assert (listing.opens_ns, listing.gate_closure_ns) == (last.opens_ns, last.gate_closure_ns)
    order = Order(5, listing.listing_id, IntentAction.NEW, Side.BUY, OrderKind.LIMIT, price_ticks=1, qty_lots=1)
    for at_ns, kind in (
        (listing.opens_ns - 1, ReportKind.REJECTED),
        (listing.opens_ns, ReportKind.ACCEPTED),
        (listing.gate_closure_ns - 1, ReportKind.REJECTED),
        (listing.gate_closure_ns, ReportKind.REJECTED),
    ):
        kernel.run_until(at_ns)
        answer = told(exchange.on_order(order))[0]
        assert answer.kind == kind
        if kind == ReportKind.REJECTED:
            # One nanosecond before the gate the same id still rests: a duplicate. At the gate it is too late.
            wanted = Reason.DUPLICATE if at_ns == listing.gate_closure_ns - 1 else Reason.GATE_CLOSED
            assert answer.reason == wanted


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-10", 96), ("2026-10-25", 100)])
def test_every_contract_of_the_day_has_its_gate(day: str, quarters: int) -> None:
    kernel = SimKernel()
    exchange = kernel.add(Exchange, "exchange", ExchangeConfig(delivery_day=day, background=False))
    kernel.start()
    listings = kernel.definitions(IdKind.LISTING)
    assert len(listings) == quarters + quarters // 4
    kernel.run_until(max(listing.opens_ns for listing in listings))
    for number, listing in enumerate(listings, 1):
        order = Order(
            number, listing.listing_id, IntentAction.NEW, Side.BUY, OrderKind.LIMIT, OrderState.ROUTED, -7, 1,
            strategy_id=MINE,
        )  # fmt: skip
        assert told(exchange.on_order(order))[0].kind == ReportKind.ACCEPTED
    kernel.cascade.admit = lambda event, venue: event  # these orders went past the desk, which would refuse reports
    kernel.run_until(max(listing.gate_closure_ns for listing in listings))

    expired = [r for r in kernel.of(ExecutionReport) if r.kind == ReportKind.EXPIRED]
    assert sorted(r.order_id for r in expired) == list(range(1, len(listings) + 1))
    assert all(r.reason == Reason.GATE_CLOSED for r in expired)
    closed = {s.listing_id: s for s in kernel.of(SessionState) if s.status == SessionStatus.CLOSED}
    for listing, contract in zip(listings, kernel.definitions(IdKind.CONTRACT), strict=True):
        assert closed[listing.listing_id].effective_ns == listing.gate_closure_ns
        assert contract.delivery_start_ns - listing.gate_closure_ns == 5 * 60 * 10**9
        assert listing.interval_count * 900 * 10**9 == contract.delivery_end_ns - contract.delivery_start_ns
        # 0.1 MW over a quarter-hour is 0.025 MWh; a tick of 0.01 on it is 250 millionths.
        assert listing.cash_micro_per_lot_tick == 250 * listing.interval_count


def test_negative_prices_travel_from_the_intent_to_the_report_and_the_quote() -> None:
    kernel = SimKernel()
    exchange = kernel.add(Exchange, "exchange", ExchangeConfig(products=("QH",), background=False))
    kernel.add(PassAll, "risk")
    maker, taker = kernel.add(Strategy, "maker"), kernel.add(Strategy, "taker")
    kernel.start()
    listing = kernel.definitions(IdKind.LISTING)[0]
    kernel.run_until(listing.opens_ns)
    kernel.feed(maker.sell(listing.listing_id, -5_013, 20), producer="maker")
    kernel.feed(taker.buy(listing.listing_id, -5_000, 8, kind=OrderKind.IOC), producer="taker")
    fills = [r for r in kernel.of(ExecutionReport) if r.kind == ReportKind.FILL]
    assert [(r.strategy_id, r.last_ticks, r.last_lots, r.leaves_lots) for r in fills] == [
        (taker.ctx.plugin_id, -5_013, 8, 0),
        (maker.ctx.plugin_id, -5_013, 8, 12),
    ]
    assert [(q.ask_ticks, q.ask_lots) for q in kernel.of(Quote)] == [(-5_013, 20), (-5_013, 12)]
    kernel.run_until(listing.gate_closure_ns)
    assert kernel.of(ExecutionReport)[-1].kind == ReportKind.EXPIRED
    assert kernel.of(ExecutionReport)[-1].strategy_id == maker.ctx.plugin_id
    kernel.feed(taker.buy(listing.listing_id, -5_000, 8), producer="taker")
    answer = kernel.of(ExecutionReport)[-1]
    assert (answer.kind, answer.reason) == (ReportKind.REJECTED, Reason.GATE_CLOSED)
    assert isinstance(kernel.of(OrderIntent)[-1], OrderIntent)
    assert not kernel.desk.open
    assert exchange.ctx.cell("rejected").n == 1


def test_a_snapshot_frame_marks_its_ends() -> None:
    floor = Floor()
    assert floor.exchange.book_snapshot(floor.listing_id) is None
    for price in (5, 4, 3):
        floor.new(Side.BUY, price, 1)
    frame = floor.exchange.book_snapshot(floor.listing_id)
    levels: list[BookLevel] = list(frame.records())
    assert [(level.level, level.price_ticks, level.place) for level in levels] == [(0, 5, 1), (1, 4, 0), (2, 3, 2)]
    with pytest.raises(ExchangeError, match="^listing 777 is not traded at exchange"):
        floor.exchange.book_snapshot(777)


@cache
def shared_floor() -> Floor:
    """Return a floor for many examples; each leaves its book empty."""
    return Floor()


orders = st.lists(
    st.tuples(
        st.sampled_from([Side.BUY, Side.SELL]),
        st.integers(-8, 8),
        st.integers(1, 20),
        st.sampled_from([OrderKind.LIMIT, OrderKind.LIMIT, OrderKind.IOC, OrderKind.FOK, OrderKind.MARKET]),
        st.sampled_from([MINE, OTHER]),
        st.booleans(),
    ),
    max_size=60,
)


@given(orders)
def test_market_data_alone_rebuilds_the_book(flow: list[tuple[int, int, int, int, int, bool]]) -> None:
    """Deltas applied in order give the book; the last quote is its top; revisions have no gap; fills balance."""
    floor = shared_floor()
    listing_id = floor.listing_id
    events: list[Any] = []
    sent: list[int] = []
    for side, price, lots, kind, owner, cancel_one in flow:
        order_id, out = floor.new(side, price, lots, kind, owner=owner, at=listing_id)
        events += out
        sent.append(order_id)
        if cancel_one:
            events += floor.cancel(sent[len(sent) // 2])
    book: dict[tuple[int, int], int] = {}
    deltas = [e for e in events if isinstance(e, BookPriceDelta)]
    assert [d.revision - deltas[0].revision for d in deltas] == list(range(len(deltas)))
    for delta in deltas:
        if delta.action == 1:
            book[delta.side, delta.price_ticks] = delta.qty_lots
        else:
            del book[delta.side, delta.price_ticks]
    levels = {(side, price): lots for side, price, lots, _ in floor.levels(listing_id)}
    assert book == levels
    quotes = [e for e in events if isinstance(e, Quote)]
    bids = [price for side, price in levels if side == Side.BUY]
    asks = [price for side, price in levels if side == Side.SELL]
    if quotes:
        assert quotes[-1].bid_ticks == max(bids, default=ABSENT)
        assert quotes[-1].ask_ticks == min(asks, default=ABSENT)
        assert quotes[-1].bid_lots == levels.get((Side.BUY, quotes[-1].bid_ticks), 0)
    traded = sum(e.qty_lots for e in events if isinstance(e, Trade))
    filled = [e for e in events if isinstance(e, ExecutionReport) and e.kind == ReportKind.FILL]
    assert sum(f.last_lots for f in filled) == 2 * traded
    assert not bids or not asks or max(bids) < min(asks)
    floor.cancel(0, IntentAction.CANCEL_ALL, owner=MINE)
    floor.cancel(0, IntentAction.CANCEL_ALL, owner=OTHER)


def test_asked_where_our_orders_stand_it_ends_what_is_gone_and_cancels_what_nobody_knows() -> None:
    floor = Floor()
    kept, _ = floor.new(Side.BUY, -250, 12)
    unknown, _ = floor.new(Side.BUY, -260, 5)
    question = Reconcile(venue_id=floor.exchange.ctx.plugin_id, epoch=3, orders=[(kept, 0), (kept + 1000, 4)])
    events = told(floor.exchange.on_reconcile(question))
    assert reports(events) == [(kept + 1000, ReportKind.CANCELLED, ABSENT, 0, 0)]
    answer = events[-1]
    assert (answer.epoch, answer.confirmed, answer.corrected, answer.foreign) == (3, 1, 1, 1)
    assert floor.levels() == [(Side.BUY, -250, 12, 1)]
    assert reports(floor.cancel(unknown))[0][1] == ReportKind.CANCEL_REJECTED
