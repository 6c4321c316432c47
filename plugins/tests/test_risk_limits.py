"""Risk limits refuse what is beyond them, name the value met, and keep exposure exact whatever becomes of an order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.risk.limits import RiskLimits, RiskLimitsConfig
from penstock_sdk.events import (
    Alert,
    AuctionResult,
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    ExternalTrade,
    IdKind,
    Limit,
    LimitKind,
    OrderKind,
    OrderState,
    PluginFault,
    Reason,
    ReportKind,
    Side,
    TradeSource,
)
from penstock_sdk.plugin import ComplianceCheck, Strategy

BUY, SELL = int(Side.BUY), int(Side.SELL)
PLAIN = RiskLimitsConfig(
    qty_max_lots=50, position_max_lots=100, notional_max_micro=1_000_000_000, collar_ticks=500,
    orders_per_second_max=1_000, reference_age_s_max=600, listings_max=8, intervals_max=16,
)  # fmt: skip


class NoSevens(ComplianceCheck):
    """Refuses orders of seven lots."""

    def check_order(self, order):
        return self.refused(order, Reason.MARKET_ABUSE) if order.qty_lots == 7 else self.passed(order)


def build(bench, config=PLAIN, listings=2):
    """Return a bench with strategies a and b, listings at a mid of 1000 ticks (0.01 EUR/MWh), lots of 100 kW."""
    made = bench(listings=listings, check=False)
    made.risk = made.add(RiskLimits, "risk", config)
    made.add(NoSevens, "no_sevens")
    made.a, made.b = made.add(Strategy, "a"), made.add(Strategy, "b")
    made.start()
    if listings:
        made.quote(1, *((i, 990, 5, 1010, 5) for i in range(1, listings + 1)))
    return made


def ask(made, side=BUY, price_ticks=1000, qty_lots=10, *, who="a", listing_id=1, **more):
    """Send an order; return (reason, met, limit) of the risk check's verdict."""
    strategy = made.a if who == "a" else made.b
    made.kernel.feed(strategy.intent(listing_id, side, price_ticks, qty_lots, **more), producer=who)
    verdict = [v for v in made.kernel.of(CheckVerdict) if v.check_id == made.risk.ctx.plugin_id][-1]
    assert verdict.order_id == made.orders()[-1].order_id
    assert (verdict.result == CheckResult.PASSED) == (verdict.reason == Reason.NONE)
    return (verdict.reason, verdict.met, verdict.limit)


def passes(made, *args, **more):
    return ask(made, *args, **more)[0] == Reason.NONE


def limit(made, kind, value, who=None, listing_id=0):
    strategy_id = 0 if who is None else getattr(made, who).ctx.plugin_id
    made.kernel.feed(Limit(kind, 0, strategy_id, listing_id, value=value))


def exposure(made, who="a", listing_id=1):
    return made.risk.exposure_lots(getattr(made, who).ctx.plugin_id, listing_id)


def test_size_collar_bounds_and_notional_each_name_what_they_met(bench):
    made = build(bench)
    assert ask(made, qty_lots=51) == (Reason.QTY_MAX, 51, 50)
    assert ask(made, price_ticks=1501) == (Reason.PRICE_COLLAR, 1501, 1500)
    assert ask(made, SELL, 499) == (Reason.PRICE_COLLAR, 499, 500)
    assert ask(made, price_ticks=999_901) == (Reason.PRICE_BOUNDS, 999_901, 999_900)
    assert ask(made, kind=OrderKind.MARKET, price_ticks=-(2**63))[0] == Reason.MALFORMED
    assert passes(made, price_ticks=1500)


def test_notional_is_price_times_energy(bench):
    # 50 lots of 100 kW for a quarter of an hour are 1.25 MWh; at 10 EUR/MWh that is 12.50 EUR.
    made = build(bench, RiskLimitsConfig(notional_max_micro=12_500_000, listings_max=8, intervals_max=16))
    assert passes(made, qty_lots=50)
    assert ask(made, SELL, 1001, 50) == (Reason.NOTIONAL, 12_512_500, 12_500_000)


def test_working_orders_count_until_they_end(bench):
    made = build(bench)
    assert passes(made, qty_lots=50)
    assert passes(made, qty_lots=50)
    assert ask(made, qty_lots=1) == (Reason.POSITION, 101, 100)
    assert passes(made, SELL, qty_lots=50)
    first = made.orders(OrderState.ROUTED)[0]
    made.kernel.feed(made.a.cancel(first.order_id, 1), producer="a")
    assert exposure(made) == [(0, 50, 50)]
    assert passes(made, qty_lots=50)


def test_fills_move_to_the_position_and_the_rest_goes_on_working(bench):
    made = build(bench)
    assert passes(made, qty_lots=50)
    order = made.orders(OrderState.ROUTED)[0]
    made.fill(order, 30)
    assert exposure(made) == [(30, 20, 0)]
    made.fill(order, 20)
    assert exposure(made) == [(50, 0, 0)]
    assert ask(made, qty_lots=50)[0] == Reason.NONE
    assert ask(made, qty_lots=1) == (Reason.POSITION, 101, 100)


def test_an_hour_weighs_on_its_four_quarter_hours(bench):
    made = build(bench, listings=1)
    made.kernel.add_listing("H", made.venue.ctx.plugin_id, start_ns=3_600_000_000_000, quarter_hours=4)
    made.quote(2, (1, 990, 5, 1010, 5), (2, 990, 5, 1010, 5))
    assert passes(made, SELL, qty_lots=50, listing_id=2)
    assert exposure(made, listing_id=1) == [(0, 0, 50)]
    assert exposure(made, listing_id=2) == [(0, 0, 50)] * 4
    assert passes(made, SELL, qty_lots=50, listing_id=1)
    assert ask(made, SELL, qty_lots=1, listing_id=2) == (Reason.POSITION, -101, -100)


def test_an_order_that_a_later_check_refuses_is_let_go(bench):
    made = build(bench)
    assert passes(made, qty_lots=7)
    assert made.orders()[-1].state == OrderState.REFUSED
    assert exposure(made) == [(0, 0, 0)]


@pytest.mark.parametrize("kind", [ReportKind.EXPIRED, ReportKind.REJECTED])
def test_what_the_venue_ends_is_let_go(bench, kind):
    made = build(bench)
    made.venue.on_order = lambda order: None
    made.kernel.wire()
    assert passes(made, qty_lots=10)
    order = made.orders(OrderState.ROUTED)[0]
    made.kernel.feed(
        ExecutionReport(order.order_id, 1, kind, BUY, strategy_id=made.a.ctx.plugin_id, reason=Reason.GATE_CLOSED)
    )
    assert exposure(made) == [(0, 0, 0)]


def test_strategies_have_gates_of_their_own(bench):
    made = build(bench)
    assert passes(made, qty_lots=50)
    assert passes(made, qty_lots=50)
    assert not passes(made, qty_lots=1)
    assert passes(made, qty_lots=50, who="b")


def test_of_several_limits_the_strictest_binds(bench):
    made = build(bench)
    limit(made, LimitKind.QTY_MAX_LOTS, 40)
    limit(made, LimitKind.QTY_MAX_LOTS, 20, who="a")
    limit(made, LimitKind.QTY_MAX_LOTS, 500, who="b")
    limit(made, LimitKind.QTY_MAX_LOTS, 10, listing_id=2)
    assert ask(made, qty_lots=21) == (Reason.QTY_MAX, 21, 20)
    assert ask(made, qty_lots=41, who="b") == (Reason.QTY_MAX, 41, 40)
    assert ask(made, qty_lots=11, who="b", listing_id=2) == (Reason.QTY_MAX, 11, 10)
    limit(made, LimitKind.QTY_MAX_LOTS, 45, who="a")
    assert passes(made, qty_lots=40)
    limit(made, LimitKind.POSITION_MAX_LOTS, 45)
    assert ask(made, qty_lots=10) == (Reason.POSITION, 50, 45)
    limit(made, LimitKind.COLLAR_TICKS, 10)
    assert ask(made, SELL, 989, 1) == (Reason.PRICE_COLLAR, 989, 990)


def test_a_limit_of_nothing_stops_and_a_negative_one_is_nothing(bench):
    made = build(bench)
    limit(made, LimitKind.POSITION_MAX_LOTS, -5)
    assert ask(made, qty_lots=1) == (Reason.POSITION, 1, 0)
    assert made.kernel.of(PluginFault) == []


def test_the_rate_counts_orders_in_a_second(bench):
    made = build(bench)
    limit(made, LimitKind.ORDERS_PER_SECOND_MAX, 2, who="a")
    assert passes(made, qty_lots=1)
    assert passes(made, qty_lots=1)
    assert ask(made, qty_lots=1) == (Reason.MESSAGE_RATE, 3, 2)
    assert passes(made, qty_lots=1, who="b")
    made.kernel.run_until(1_500_000_000)
    assert passes(made, qty_lots=1)


def test_no_order_on_an_old_price_or_on_none(bench):
    made = build(bench)
    made.kernel.run_until(602 * 10**9)
    assert ask(made)[0] == Reason.STALE_MARKET
    made.kernel.add_listing("new", made.venue.ctx.plugin_id)
    assert ask(made, listing_id=3)[0] == Reason.NO_REFERENCE


def test_an_auction_price_is_the_reference_until_there_is_a_mid(bench):
    made = bench(listings=1, check=False)
    made.risk, made.a = made.add(RiskLimits, "risk", PLAIN), made.add(Strategy, "a")
    made.start()
    made.kernel.feed(AuctionResult(1, price_ticks=-2000))
    assert ask(made, price_ticks=-1499) == (Reason.PRICE_COLLAR, -1499, -1500)
    assert passes(made, price_ticks=-1500)
    made.quote(5, (1, 990, 5, 1010, 5))
    assert passes(made, price_ticks=1500)


def test_kill_and_pause_are_held_here_too(bench):
    made = build(bench)
    for kind, reason in ((LimitKind.KILL, Reason.KILL_SWITCH), (LimitKind.PAUSE, Reason.PAUSED)):
        assert passes(made, qty_lots=1)
        last = made.orders()[-1]
        made.risk.on_limit(Limit(kind, value=1))
        assert made.risk.check_order(last).reason == reason
        made.risk.on_limit(Limit(kind, value=0))


def test_a_listing_beyond_the_gates_room_is_refused_and_said(bench):
    made = build(bench, RiskLimitsConfig(listings_max=1, intervals_max=1), listings=2)
    assert [a.code for a in made.kernel.of(Alert)] == ["risk.gate_full"]
    assert ask(made, listing_id=2) == (Reason.UNKNOWN_LISTING, 2, 2)
    assert passes(made, listing_id=1)


def test_a_restored_check_answers_as_the_first_would_have(bench):
    made = build(bench)
    assert passes(made, qty_lots=50)
    assert passes(made, qty_lots=40)
    made.fill(made.orders(OrderState.ROUTED)[0], 20)
    limit(made, LimitKind.QTY_MAX_LOTS, 30)
    again = build(bench, listings=0)
    again.kernel.restore(made.kernel.snapshot())
    for bench_ in (made, again):
        bench_.fill(next(iter(bench_.kernel.desk.open.values())).order, 10)
    assert exposure(again) == exposure(made) == [(30, 60, 0)]
    assert ask(again, qty_lots=11) == ask(made, qty_lots=11) == (Reason.POSITION, 101, 100)
    assert ask(again, qty_lots=31) == ask(made, qty_lots=31) == (Reason.QTY_MAX, 31, 30)


def test_after_its_gate_an_order_is_refused_with_the_time_it_is_late(bench):
    made = build(bench)
    gate_ns = made.kernel.definitions(IdKind.LISTING)[0].gate_closure_ns
    made.quote(gate_ns // 10**9 - 1, (1, 990, 5, 1010, 5))
    made.kernel.run_until(gate_ns - 1)
    assert passes(made)
    made.kernel.run_until(gate_ns)
    assert ask(made) == (Reason.GATE_CLOSED, 0, 0)
    made.kernel.run_until(gate_ns + 60 * 10**9)
    assert ask(made, SELL) == (Reason.GATE_CLOSED, -60 * 10**9, 0)
    assert [rule.rule for rule in made.risk.explain_order(made.orders()[-1]) if not rule.passed] == [
        "time to gate closure"
    ]
    assert exposure(made) == [(0, 10, 0)]


def outside(made, lots, *, who="a", number=1, side=BUY, listing_id=1, source=TradeSource.BROKER):
    strategy_id = 0 if who is None else getattr(made, who).ctx.plugin_id
    made.kernel.feed(ExternalTrade(listing_id, side, 0, source, 1_000, lots, trade_id=number, strategy_id=strategy_id))


def test_a_trade_from_outside_counts_in_the_limit_of_its_strategy(bench):
    made = build(bench)
    outside(made, 60)
    assert exposure(made) == [(60, 0, 0)]
    assert ask(made, qty_lots=41) == (Reason.POSITION, 101, 100)
    assert passes(made, qty_lots=40)
    assert passes(made, qty_lots=50, who="b")
    outside(made, 60, number=2, side=SELL)
    assert exposure(made) == [(0, 40, 0)]
    assert ask(made, qty_lots=50)[0] == Reason.NONE


def test_one_that_names_no_strategy_is_the_desk_s_and_counts_in_none(bench):
    made = build(bench)
    outside(made, 60, who=None)
    assert exposure(made) == exposure(made, "b") == made.risk.exposure_lots(0, 1) == [(0, 0, 0)]


def test_told_twice_it_is_one_also_after_a_restart(bench):
    made = build(bench)
    outside(made, 60)
    outside(made, 60)
    outside(made, 5, source=TradeSource.SCREEN)
    outside(made, 5, listing_id=2)
    again = build(bench, listings=0)
    again.kernel.restore(made.kernel.snapshot())
    outside(again, 60)
    assert exposure(again) == exposure(made) == [(65, 0, 0)]
    assert exposure(again, listing_id=2) == [(5, 0, 0)]


def test_of_a_delivered_listing_no_trade_is_remembered(bench):
    made = build(bench, listings=1)
    outside(made, 5)
    assert made.risk.snapshot()["external"] == [[1, [[TradeSource.BROKER, 1]]]]
    made.kernel.run_until(2 * 3_600 * 10**9)
    made.kernel.add_listing("later", made.venue.ctx.plugin_id, start_ns=3 * 3_600 * 10**9)
    assert made.risk.snapshot()["external"] == []


def test_it_takes_nothing_from_what_works(bench):
    made = build(bench)
    assert passes(made, qty_lots=30)
    outside(made, 20)
    assert exposure(made) == [(20, 30, 0)]
    first = made.orders(OrderState.ROUTED)[0]
    made.kernel.feed(made.a.cancel(first.order_id, 1), producer="a")
    assert exposure(made) == [(20, 0, 0)]


def test_a_listing_for_reference_takes_no_room_and_no_orders(bench):
    made = build(bench, RiskLimitsConfig(listings_max=1, intervals_max=1), listings=1)
    held = made.kernel.definitions(IdKind.LISTING)[0]
    made.kernel.feed(msgspec.structs.replace(held, listing_id=9, name="ref", reference_only=True))
    outside(made, 60, listing_id=9)
    assert made.kernel.of(Alert) == []
    assert exposure(made) == [(0, 0, 0)]


def test_zones_have_intervals_of_their_own(bench):
    made = build(bench, listings=1)
    held = made.kernel.definitions(IdKind.LISTING)[0]
    contract = made.kernel.definitions(IdKind.CONTRACT)[0]
    made.kernel.feed(msgspec.structs.replace(contract, contract_id=90, name="elsewhere", zone_id=77))
    made.kernel.feed(msgspec.structs.replace(held, listing_id=9, name="elsewhere", contract_id=90))
    made.quote(2, (1, 990, 5, 1010, 5), (9, 990, 5, 1010, 5))
    outside(made, 60)
    outside(made, 50, listing_id=9, side=SELL)
    assert exposure(made) == [(60, 0, 0)]
    assert exposure(made, listing_id=9) == [(-50, 0, 0)]
    assert passes(made, qty_lots=40)
    assert passes(made, SELL, qty_lots=50, listing_id=9)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_exposure_is_what_the_open_orders_and_the_fills_say(bench, data):
    made = build(bench)
    net = [0, 0, 0]
    for _ in range(data.draw(st.integers(1, 15))):
        held = list(made.kernel.desk.open.values())
        what = data.draw(st.sampled_from(["order", "fill", "cancel"] if held else ["order"]))
        if what == "order":
            ask(made, *data.draw(st.tuples(st.sampled_from([BUY, SELL]), st.integers(900, 1100), st.integers(1, 60))),
                listing_id=data.draw(st.integers(1, 2)))  # fmt: skip
            continue
        one = data.draw(st.sampled_from(held))
        if what == "cancel":
            made.kernel.feed(made.a.cancel(one.order.order_id, one.order.listing_id), producer="a")
            continue
        lots = data.draw(st.integers(1, one.order.qty_lots - one.filled_lots))
        made.fill(one.order, lots)
        net[one.order.listing_id] += lots if one.order.side == BUY else -lots
    for listing_id in (1, 2):
        working = {BUY: 0, SELL: 0}
        for side, _, left in made.working(listing_id):
            working[side] += left
        assert exposure(made, listing_id=listing_id) == [(net[listing_id], working[BUY], working[SELL])]
        assert abs(net[listing_id]) + max(working.values()) <= 200


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"qty_max_lots": -1}, "^Expected `int` >= 0 - at `[$].qty_max_lots`"),
        ({"reference_age_s_max": 0.0}, "^Expected `float` > 0.0 - at `[$].reference_age_s_max`"),
        ({"listings_max": 0}, "^Expected `int` >= 1 - at `[$].listings_max`"),
    ],
)
def test_a_limit_that_is_none_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        msgspec.convert(wrong, RiskLimitsConfig)
