"""Accounts are a book and a strategy; trades from outside count once; orders and assets stand on the position grid."""

from __future__ import annotations

import msgspec
import pytest

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import (
    Alert,
    DeliverySchedule,
    ExecutionReport,
    ExternalTrade,
    OrderState,
    PluginFault,
    Pnl,
    Position,
    Quote,
    ReportKind,
    Side,
    TradeSource,
)
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT

BUY, SELL = int(Side.BUY), int(Side.SELL)
CASH = 250
HOUR_NS = 3_600_000_000_000


def build(bench, config=None, listings=2):
    made = bench(listings=listings)
    made.folio = made.add(Positions, "portfolio", config or PositionsConfig(fee_micro_per_mwh=0))
    made.a = made.add(Strategy, "a")
    return made.start()


def send(made, side, price_ticks, lots, *, book=1, listing_id=1):
    intent = msgspec.structs.replace(made.a.intent(listing_id, side, price_ticks, lots), book_id=book)
    made.kernel.feed(intent, producer="a")
    return made.orders(OrderState.ROUTED)[-1]


def external(
    made, side=BUY, lots=4, *, number=1, listing_id=1, source=TradeSource.SCREEN, price=1000, strategy=0, book=1
):
    made.kernel.feed(
        ExternalTrade(listing_id, side, 0, source, price, lots, number, strategy_id=strategy, book_id=book, traded_ns=0)
    )


def codes(made):
    return [alert.code for alert in made.kernel.of(Alert)]


def held(made):
    """Return {(book, strategy, listing): (net, bought, sold)} as last told."""
    return {
        (p.book_id, p.strategy_id, p.listing_id): (p.net_lots, p.bought_lots, p.sold_lots)
        for p in made.kernel.of(Position)
    }


def test_one_strategy_in_two_books_has_two_positions_and_two_totals(bench):
    made = build(bench)
    made.fill(send(made, BUY, 1000, 10, book=1), 10)
    made.fill(send(made, SELL, 1200, 4, book=2), 4)
    made.fill(send(made, SELL, 1100, 10, book=1), 10)
    me = made.a.ctx.plugin_id
    assert held(made) == {(1, me, 1): (0, 10, 10), (2, me, 1): (-4, 0, 4)}
    assert made.kernel.of(Position)[1].interval_max_lots == 4
    made.kernel.stop()
    told = {(p.book_id, p.listing_id): (p.realised_micro, p.unrealised_micro) for p in made.kernel.of(Pnl)}
    # Our last trade in it, at 1100, is the mark of both.
    assert told == {
        (1, 1): (1000 * CASH, 0),
        (1, 0): (1000 * CASH, 0),
        (2, 1): (0, 400 * CASH),
        (2, 0): (0, 400 * CASH),
    }


def test_a_trade_from_outside_counts_like_a_fill_and_once(bench):
    made = build(bench)
    external(made, BUY, 4, price=-900)
    external(made, BUY, 4, price=-900)
    external(made, BUY, 4, price=-900, source=TradeSource.BROKER)
    assert held(made) == {(1, 0, 1): (8, 8, 0)}
    assert made.kernel.of(Position)[-1].cash_micro == 8 * 900 * CASH
    assert codes(made) == ["portfolio.trade_twice"]
    # A correction takes back what was wrong, at its price: as if it had not been.
    external(made, SELL, 4, price=-900, source=TradeSource.CORRECTION)
    assert held(made) == {(1, 0, 1): (4, 8, 4)}
    assert made.kernel.of(Position)[-1].cash_micro == 4 * 900 * CASH


def test_trades_without_a_number_all_count(bench):
    made = build(bench)
    external(made, number=ABSENT)
    external(made, number=ABSENT)
    assert held(made) == {(1, 0, 1): (8, 8, 0)}


def test_our_own_fills_and_those_from_outside_are_one_position(bench):
    made = build(bench)
    me = made.a.ctx.plugin_id
    made.fill(send(made, BUY, 1000, 10), 10)
    external(made, SELL, 10, price=1100, strategy=me)
    assert held(made) == {(1, me, 1): (0, 10, 10)}
    made.kernel.stop()
    assert made.kernel.of(Pnl)[0].realised_micro == 1000 * CASH


def test_a_trade_in_a_listing_that_is_not_known_waits_for_it(bench):
    made = build(bench)
    external(made, listing_id=3, lots=6)
    assert codes(made) == ["portfolio.trade_unknown_listing"]
    assert held(made) == {}
    listing_id = made.kernel.add_listing("LATE", made.venue.ctx.plugin_id, start_ns=2 * HOUR_NS)
    assert listing_id == 3
    assert held(made) == {(1, 0, 3): (6, 6, 0)}
    external(made, listing_id=3, lots=6)
    assert codes(made)[1:] == ["portfolio.trade_twice"]


def test_a_trade_told_after_delivery_counts_all_the_same(bench):
    made = build(bench)
    made.kernel.run_until(2 * HOUR_NS)
    made.kernel.add_listing("NEXT", made.venue.ctx.plugin_id, start_ns=4 * HOUR_NS)
    external(made, SELL, 6, price=-500)
    assert held(made) == {(1, 0, 1): (-6, 0, 6)}
    made.quote(2 * 3600 + 1, (1, -600, 1, -600, 1))
    made.kernel.add_listing("AGAIN", made.venue.ctx.plugin_id, start_ns=5 * HOUR_NS)
    row, total = made.kernel.of(Pnl)
    assert (row.listing_id, row.realised_micro, row.unrealised_micro) == (1, 600 * CASH, 0)
    assert (total.listing_id, total.realised_micro) == (0, 600 * CASH)
    external(made, SELL, 6, price=-500)
    assert codes(made) == ["portfolio.trade_twice"]


@pytest.mark.parametrize("wrong", [{"side": 0}, {"lots": 0}, {"price": ABSENT}])
def test_a_trade_that_makes_no_sense_is_said_aloud(bench, wrong):
    made = build(bench)
    external(made, **wrong)
    assert codes(made) == ["portfolio.fill_refused"]
    assert held(made) == {}
    assert made.kernel.of(PluginFault) == []


def test_open_orders_are_on_the_grid_until_they_end(bench):
    made = build(bench, listings=1)
    grid = lambda: made.folio.grid.worst_case(1, book_id=1)  # noqa: E731
    first = send(made, BUY, 1000, 10)
    send(made, SELL, 1100, 7)
    assert grid() == (1000, -700)
    made.fill(first, 4)
    assert grid() == (1000, -300)
    made.fill(first, 6)
    assert grid() == (1000, 300)
    made.kernel.feed(made.a.cancel_all(), producer="a")
    assert grid() == (1000, 1000)
    made.fill(send(made, BUY, 1, 3), 3)
    assert grid() == (1300, 1300)
    assert made.kernel.of(Position)[-1].interval_max_lots == 13


def test_an_hour_is_its_four_quarter_hours_on_the_grid(bench):
    made = build(bench, listings=4)
    hour = made.kernel.add_listing("H", made.venue.ctx.plugin_id, start_ns=HOUR_NS, quarter_hours=4)
    made.fill(send(made, BUY, 100, 8, listing_id=hour), 8)
    for quarter in (1, 2, 3, 4):
        made.fill(send(made, SELL, 100, 8, listing_id=quarter), 8)
    assert made.folio.grid.net(1, HOUR_NS, 2 * HOUR_NS).tolist() == [0, 0, 0, 0]
    assert [p.interval_max_lots for p in made.kernel.of(Position)] == [8, 0, 0, 0, 0]
    assert sum(p.net_lots * (4 if p.listing_id == hour else 1) for p in made.kernel.of(Position)) == 0


def test_assets_are_on_the_grid_and_a_later_schedule_takes_the_place_of_the_earlier(bench):
    made = build(bench)
    for amount in (5_000, -2_000):
        made.kernel.feed(DeliverySchedule(1, 1, 9, start_ns=HOUR_NS, end_ns=HOUR_NS + HOUR_NS // 2, amount=amount))
    made.fill(send(made, BUY, 100, 8), 8)
    assert made.folio.grid.net(1, HOUR_NS, HOUR_NS + HOUR_NS // 2).tolist() == [-1_200, -2_000]
    assert made.folio.grid.worst_case(1, book_id=1) == (-1_200, -1_200)
    made.kernel.feed(DeliverySchedule(1, 1, 9, start_ns=HOUR_NS + 1, end_ns=2 * HOUR_NS, amount=1))
    made.kernel.feed(DeliverySchedule(77, 1, 9, start_ns=HOUR_NS, end_ns=2 * HOUR_NS, amount=1))
    assert codes(made) == ["portfolio.off_grid"] * 2


def test_what_stands_tells_book_and_strategy_and_changes_nothing(bench):
    made = build(bench)
    made.fill(send(made, BUY, 1000, 10, book=3), 10)
    before = made.folio.snapshot()
    position, total = made.folio.standing()
    assert (position.listing_id, position.book_id, position.net_lots) == (1, 3, 10)
    assert (total.listing_id, total.book_id, total.currency_id) == (0, 3, 1)
    assert str(made.folio.snapshot()) == str(before)


def test_an_order_fill_without_its_order_goes_to_the_book_of_its_strategy(bench):
    made = build(bench)
    made.fill(send(made, BUY, 1000, 10, book=3), 10)
    report = ExecutionReport(7, 1, ReportKind.FILL, SELL, last_ticks=900, last_lots=4, strategy_id=made.a.ctx.plugin_id)
    made.kernel.feed(report)
    assert held(made)[3, made.a.ctx.plugin_id, 1] == (6, 10, 4)


def test_a_restored_portfolio_knows_orders_accounts_grid_and_trades(bench):
    straight, resumed = build(bench), build(bench)
    for made in (straight, resumed):
        made.partly = send(made, BUY, 1000, 10, book=2)
        made.fill(made.partly, 3)
        external(made, SELL, 2, book=5)
        external(made, listing_id=3, number=8)
        made.kernel.run_until(900 * 10**9)
    again = build(bench, listings=0)
    again.kernel.restore(resumed.kernel.snapshot())
    again.partly = resumed.partly
    count = len(straight.kernel.of(Pnl))
    for made in (straight, again):
        assert made.folio.grid.worst_case(1) == (800, 100)
        made.fill(made.partly, 7)
        external(made, SELL, 2, book=5)
        made.kernel.add_listing("LATE", made.venue.ctx.plugin_id, start_ns=2 * HOUR_NS)
        made.kernel.feed(Quote(1, bid_ticks=990, bid_lots=1, ask_ticks=1010, ask_lots=1))
        made.kernel.stop()
    assert again.kernel.of(Pnl) == straight.kernel.of(Pnl)[count:]
    assert len(again.kernel.of(Pnl)) == 6
    assert codes(again) == ["portfolio.trade_twice"]
    assert held(again) == {
        (2, again.a.ctx.plugin_id, 1): (10, 10, 0), (1, 0, 3): (4, 4, 0),
    }  # fmt: skip
    assert again.kernel.of(PluginFault) == []


def test_a_trade_that_was_refused_may_be_sent_again(bench):
    made = build(bench)
    external(made, lots=0)
    external(made, lots=4)
    assert codes(made) == ["portfolio.fill_refused"]
    assert held(made) == {(1, 0, 1): (4, 4, 0)}
