"""The market maker quotes around what others say, leans against its position, and stops before the gate closes."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.strategies.market_maker import MarketMaker, MarketMakerConfig
from penstock_sdk.events import (
    AuctionResult,
    IdKind,
    IntentAction,
    Limit,
    LimitKind,
    OrderIntent,
    OrderState,
    PluginFault,
    Quote,
    SessionState,
    SessionStatus,
    Side,
    Trade,
)
from penstock_sdk.schema import ABSENT

BUY, SELL = int(Side.BUY), int(Side.SELL)
PLAIN = MarketMakerConfig(
    half_spread_ticks=10, size_lots=5, position_limit_lots=12, skew_ticks_per_lot=1.0, requote_ticks=4, requote_s_min=5,
    smoothing_s=0, unrest_weight=0, trade_weight=0.5, quiet_before_gate_s=600, refusal_pause_s=30,
)  # fmt: skip


@pytest.fixture
def market(bench):
    made = bench(listings=2)
    made.maker = made.add(MarketMaker, "mm", PLAIN)
    return made.start()


def test_quotes_both_sides_around_the_mid(market):
    market.quote(10, (1, 90, 7, 110, 7))
    assert market.working() == [(BUY, 90, 5), (SELL, 110, 5)]
    assert [i.decision_half_ticks for i in market.kernel.of(OrderIntent)] == [200, 200]


def test_a_negative_price_is_ordinary(market):
    market.quote(10, (1, -505, 7, -494, 7))
    assert market.working() == [(BUY, -510, 5), (SELL, -489, 5)]


def listed_elsewhere(market, **changed):
    """List what delivers when listing 1 does, in another zone, as number 9."""
    first, contract = (next(iter(market.kernel.definitions(kind))) for kind in (IdKind.LISTING, IdKind.CONTRACT))
    market.kernel.feed(msgspec.structs.replace(contract, contract_id=90, name="elsewhere", zone_id=77))
    market.kernel.feed(msgspec.structs.replace(first, listing_id=9, name="elsewhere", contract_id=90, **changed))


def test_it_leans_against_the_position_of_a_zone_and_not_of_another(market):
    listed_elsewhere(market, lot_kw=1_000)
    market.quote(10, (1, 90, 7, 110, 7), (9, 90, 7, 110, 7))
    first = next(order for order in market.orders(OrderState.ROUTED) if order.listing_id == 1 and order.side == BUY)
    market.fill(first, 5)
    market.quote(20, (1, 90, 7, 110, 7), (9, 90, 7, 110, 7))
    assert market.working(9) == [(BUY, 90, 5), (SELL, 110, 5)]
    assert market.working(1) == [(BUY, 85, 5), (SELL, 105, 5)]
    assert market.kernel.of(PluginFault) == []


def test_a_listing_for_reference_is_never_quoted(market):
    listed_elsewhere(market, reference_only=True)
    market.quote(10, (1, 90, 7, 110, 7), (9, 90, 7, 110, 7))
    assert market.working(9) == []
    assert market.working(1) == [(BUY, 90, 5), (SELL, 110, 5)]


def test_a_move_below_the_threshold_changes_nothing(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.quote(20, (1, 93, 7, 113, 7))
    assert len(market.kernel.of(OrderIntent)) == 2


def test_a_move_beyond_the_threshold_replaces_each_side_once_its_cancel_is_confirmed(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.quote(20, (1, 190, 7, 210, 7))
    assert market.working() == [(BUY, 190, 5), (SELL, 210, 5)]
    actions = [i.action for i in market.kernel.of(OrderIntent)][2:]
    assert actions == [IntentAction.CANCEL, IntentAction.CANCEL, IntentAction.NEW, IntentAction.NEW]


def test_no_second_requote_within_the_least_time(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.quote(14, (1, 190, 7, 210, 7))
    assert market.working() == [(BUY, 90, 5), (SELL, 110, 5)]
    market.quote(15, (1, 190, 7, 210, 7))
    assert market.working() == [(BUY, 190, 5), (SELL, 210, 5)]


def test_its_own_quotes_do_not_move_it(market):
    market.quote(10, (1, 80, 7, 120, 7))
    sent = len(market.kernel.of(OrderIntent))
    for at_s in range(20, 200, 10):
        market.quote(at_s, (1, 90, 5, 110, 5))
    assert len(market.kernel.of(OrderIntent)) == sent


def test_one_foreign_side_moves_it_only_as_far_as_it_must(market):
    market.quote(10, (1, 80, 7, 120, 7))
    market.quote(20, (1, 104, 3, 110, 5))
    assert market.working() == [(BUY, 94, 5), (SELL, 114, 5)]


def test_stays_a_tick_clear_of_what_others_offer(bench):
    made = bench()
    made.add(MarketMaker, "mm", msgspec.structs.replace(PLAIN, smoothing_s=1000))
    made.start()
    made.quote(10, (1, 90, 7, 110, 7))
    made.quote(20, (1, 590, 7, 610, 7))
    assert made.working() == [(BUY, 94, 5), (SELL, 591, 5)]


def test_unrest_widens_the_spread(bench):
    made = bench()
    made.add(MarketMaker, "mm", msgspec.structs.replace(PLAIN, unrest_weight=2.0, unrest_s=0))
    made.start()
    made.quote(10, (1, 90, 7, 110, 7))
    assert made.working() == [(BUY, 90, 5), (SELL, 110, 5)]
    made.quote(20, (1, 140, 7, 160, 7))
    assert made.working() == [(BUY, 40, 5), (SELL, 260, 5)]


def test_trades_draw_the_fair_value(market):
    market.quote(10, (1, 80, 7, 120, 7))
    market.kernel.feed(Trade(1, BUY, price_ticks=120, qty_lots=1), at_ns=11_000_000_000)
    market.quote(20, (1, 90, 5, 110, 5))
    assert market.working() == [(BUY, 100, 5), (SELL, 120, 5)]


def test_an_auction_price_starts_it_where_nobody_quotes(market):
    market.kernel.feed(AuctionResult(1, price_ticks=500), at_ns=1)
    market.quote(10, (1, ABSENT, 0, 510, 3))
    assert market.working(1) == [(BUY, 490, 5), (SELL, 510, 5)]


def test_leans_against_its_position_and_in_the_end_only_reduces(market):
    market.quote(10, (1, 80, 7, 120, 7))
    bid = market.orders(OrderState.ROUTED)[0]
    market.fill(bid, 5)
    market.quote(20, (1, 80, 7, 120, 7))
    assert market.working(1) == [(BUY, 85, 5), (SELL, 105, 5)]
    market.fill(market.orders(OrderState.ROUTED)[-2], 5)
    market.quote(30, (1, 80, 7, 120, 7))
    assert market.working(1) == [(BUY, 80, 2), (SELL, 100, 5)]
    market.fill(next(o for o in market.orders(OrderState.ROUTED)[::-1] if o.side == BUY), 2)
    market.quote(40, (1, 80, 7, 120, 7))
    assert market.working(1) == [(SELL, 98, 5)]


def test_an_hour_and_its_quarters_share_the_limit(bench):
    made = bench(listings=1)
    made.add(MarketMaker, "mm", PLAIN)
    made.start()
    made.kernel.add_listing("H", made.venue.ctx.plugin_id, start_ns=3_600_000_000_000, quarter_hours=4)
    made.quote(10, (1, 80, 7, 120, 7), (2, 80, 7, 120, 7))
    hour_bid = next(o for o in made.orders(OrderState.ROUTED) if o.listing_id == 2 and o.side == BUY)
    made.fill(hour_bid, 5)
    made.quote(20, (1, 80, 7, 120, 7), (2, 80, 7, 120, 7))
    assert made.working(1) == [(BUY, 85, 5), (SELL, 105, 5)]


def test_withdraws_before_the_gate_and_does_not_come_back(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.kernel.run_until(3_000_000_000_000)
    assert market.working() == []
    market.quote(3001, (1, 190, 7, 210, 7))
    assert market.working() == []


def test_a_halt_withdraws_and_the_opening_brings_it_back(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.kernel.feed(SessionState(1, status=SessionStatus.HALTED), at_ns=11_000_000_000)
    market.quote(20, (1, 90, 7, 110, 7))
    assert market.working() == []
    market.kernel.feed(SessionState(1, status=SessionStatus.OPEN), at_ns=21_000_000_000)
    market.quote(30, (1, 90, 7, 110, 7))
    assert market.working() == [(BUY, 90, 5), (SELL, 110, 5)]


def test_a_kill_silences_it_until_it_is_lifted(market):
    market.quote(10, (1, 90, 7, 110, 7))
    market.kernel.command("kill")
    sent = len(market.kernel.of(OrderIntent))
    market.quote(100, (1, 190, 7, 210, 7))
    assert market.working() == []
    assert len(market.kernel.of(OrderIntent)) == sent
    market.kernel.command("unkill")
    market.quote(200, (1, 190, 7, 210, 7))
    assert market.working() == [(BUY, 190, 5), (SELL, 210, 5)]


def test_a_refused_side_rests_before_it_tries_again(bench):
    made = bench(check=False)
    made.add(MarketMaker, "mm", PLAIN)
    made.start()
    for at_s in range(10, 41, 5):
        made.quote(at_s, (1, 90, 7, 110, 7))
    assert [i.side for i in made.kernel.of(OrderIntent)] == [BUY, SELL, BUY, SELL]


def test_quotes_one_by_one_give_the_same_orders_as_frames(bench):
    sent = []
    for single in (False, True):
        made = bench()
        made.add(MarketMaker, "mm", PLAIN)
        made.start()
        for at_s, mid in ((10, 100), (20, 150), (30, -40)):
            if single:
                made.kernel.feed(Quote(1, 1, 0, 0, mid - 10, 7, mid + 10, 7), at_ns=at_s * 10**9)
            else:
                made.quote(at_s, (1, mid - 10, 7, mid + 10, 7))
        sent.append(made.kernel.of(OrderIntent))
    assert sent[0] == sent[1]


def test_a_restored_maker_continues_as_if_nothing_had_happened(bench):
    straight, resumed = bench(listings=2), bench(listings=2)
    for made in (straight, resumed):
        made.add(MarketMaker, "mm", PLAIN)
        made.start()
        made.quote(10, (1, 90, 7, 110, 7), (2, 50, 7, 60, 7))
        made.fill(made.orders(OrderState.ROUTED)[0], 3)
    state = resumed.kernel.snapshot()
    again = bench(listings=0)
    again.add(MarketMaker, "mm", PLAIN)
    again.kernel.start()
    again.kernel.restore(state)
    for made in (straight, again):
        made.quote(20, (1, 190, 7, 210, 7), (2, 50, 7, 60, 7))
        made.quote(30, (1, 190, 7, 210, 7), (2, -50, 7, -20, 7))
        made.kernel.run_until(3_600_000_000_000)
    before = len(resumed.kernel.of(OrderIntent))
    assert again.kernel.of(OrderIntent) == straight.kernel.of(OrderIntent)[before:]
    assert len(again.kernel.of(OrderIntent)) > 8


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_market_does_one_order_a_side_works_and_never_meets_the_other(bench, data):
    made = bench(listings=2)
    made.add(MarketMaker, "mm", PLAIN)
    made.start()
    at_s = 0
    for _ in range(data.draw(st.integers(1, 12))):
        at_s += data.draw(st.integers(1, 400))
        mid = data.draw(st.integers(-2000, 2000))
        rows = [(i, mid * i - 10, 7, mid * i + 15, 7) for i in (1, 2)]
        made.quote(at_s, *rows[: data.draw(st.integers(1, 2))])
        if made.kernel.desk.open and data.draw(st.booleans()):
            order = data.draw(st.sampled_from([h.order for h in made.kernel.desk.open.values()]))
            left = order.qty_lots - made.kernel.desk.open[order.order_id].filled_lots
            made.fill(order, data.draw(st.integers(1, left)))
        for listing_id in (1, 2):
            prices = {side: price for side, price, _ in made.working(listing_id)}
            assert len(prices) == len(made.working(listing_id))
            assert len(prices) < 2 or prices[BUY] < prices[SELL]
    assert made.kernel.of(PluginFault) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size_lots": -1}, "Expected `int` >= 1 - at `$.size_lots`"),
        ({"trade_weight": 1.5}, "Expected `float` <= 1.0 - at `$.trade_weight`"),
        ({"size_lots": 300}, "size_lots met 300, wanted position_limit_lots = 40 or less"),
        ({"smoothing_s": float("nan")}, "Expected `float` >= 0.0 - at `$.smoothing_s`"),
    ],
)
def test_a_config_that_makes_no_market_is_refused(wrong, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        msgspec.convert(wrong, MarketMakerConfig)


def test_a_pause_of_another_strategy_is_none_of_its_business(market):
    market.kernel.feed(Limit(LimitKind.PAUSE, strategy_id=99, value=1), at_ns=1)
    market.quote(10, (1, 90, 7, 110, 7))
    assert len(market.working()) == 2
