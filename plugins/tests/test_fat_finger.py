"""The fat-finger check refuses prices far beyond the other side, and orders that could meet our own."""

from __future__ import annotations

import msgspec
import pytest

from penstock_plugins.compliance.fat_finger import FatFinger, FatFingerConfig
from penstock_sdk.events import CheckResult, CheckVerdict, OrderKind, OrderState, Reason, Side
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT

BUY, SELL = int(Side.BUY), int(Side.SELL)


def build(bench, config=None, venue=True):
    """Return a bench with two strategies a and b behind the check; ticks are 0.01 EUR/MWh."""
    made = bench()
    made.check = made.add(FatFinger, "fat_finger", config or FatFingerConfig(cross_eur_mwh_max=2.0))
    made.a, made.b = made.add(Strategy, "a"), made.add(Strategy, "b")
    made.start()
    made.quote(1, (1, 900, 5, 1000, 5))
    return made


def ask(made, strategy, side, price_ticks, **more):
    """Send an order; return the check's (reason, met, limit)."""
    made.kernel.feed(strategy.intent(1, side, price_ticks, 1, **more), producer=strategy.ctx.name)
    verdict = [v for v in made.kernel.of(CheckVerdict) if v.check_id == made.check.ctx.plugin_id][-1]
    assert (verdict.result == CheckResult.PASSED) == (verdict.reason == Reason.NONE)
    return (verdict.reason, verdict.met, verdict.limit)


def passes(made, strategy, side, price_ticks, **more):
    return ask(made, strategy, side, price_ticks, **more)[0] == Reason.NONE


def test_a_price_may_cross_by_the_limit_and_not_a_tick_further(bench):
    made = build(bench)
    assert passes(made, made.a, BUY, 1200, kind=OrderKind.IOC)
    assert ask(made, made.a, BUY, 1201, kind=OrderKind.IOC) == (Reason.MARKET_ABUSE, 1201, 1200)
    assert passes(made, made.a, SELL, 700, kind=OrderKind.IOC)
    assert ask(made, made.a, SELL, 699, kind=OrderKind.IOC) == (Reason.MARKET_ABUSE, 699, 700)


def test_the_stricter_of_two_limits_holds(bench):
    made = build(bench, FatFingerConfig(cross_eur_mwh_max=2.0, cross_ticks_max=50))
    assert ask(made, made.a, BUY, 1051) == (Reason.MARKET_ABUSE, 1051, 1050)


def test_nothing_to_cross_is_no_slip(bench):
    made = build(bench)
    made.quote(2, (1, 900, 5, -(2**63), 0))
    assert passes(made, made.a, BUY, 900_000)


def test_our_own_orders_never_meet_each_other(bench):
    made = build(bench)
    assert passes(made, made.a, SELL, 950)
    assert passes(made, made.b, BUY, 949)
    assert ask(made, made.b, BUY, 950) == (Reason.SELF_TRADE, 950, 950)
    assert passes(made, made.b, SELL, 960)
    assert ask(made, made.b, BUY, 0, kind=OrderKind.MARKET)[0] == Reason.SELF_TRADE


def test_who_is_oneself_is_a_choice(bench):
    made = build(bench, FatFingerConfig(self_trade="strategy"))
    assert passes(made, made.a, SELL, 950)
    assert passes(made, made.b, BUY, 950)
    assert not passes(made, made.a, BUY, 950)


@pytest.mark.parametrize("ending", ["filled", "cancelled"])
def test_an_order_that_has_ended_no_longer_counts(bench, ending):
    made = build(bench)
    assert passes(made, made.a, SELL, 950)
    order = made.orders(OrderState.ROUTED)[-1]
    if ending == "filled":
        made.fill(order, 1)
    else:
        made.kernel.feed(made.a.cancel(order.order_id, 1), producer="a")
    assert passes(made, made.b, BUY, 950)


def test_an_order_that_does_not_rest_is_never_met(bench):
    made = build(bench)
    assert passes(made, made.a, SELL, 950, kind=OrderKind.IOC)
    assert passes(made, made.b, BUY, 950)


def test_a_restored_check_still_knows_what_rests(bench):
    made = build(bench)
    assert passes(made, made.a, SELL, 950)
    again = build(bench)
    again.kernel.restore(made.kernel.snapshot())
    assert ask(again, again.b, BUY, 960) == (Reason.SELF_TRADE, 960, 950)
    assert ask(again, again.b, BUY, 1201) == (Reason.MARKET_ABUSE, 1201, 1200)


def test_a_distance_that_is_none_is_refused():
    with pytest.raises(ValueError, match="^Expected `float` > 0.0 - at `[$].cross_eur_mwh_max`"):
        msgspec.convert({"cross_eur_mwh_max": -1.0}, FatFingerConfig)


def test_prices_of_a_listing_that_is_over_are_not_those_of_the_next_in_its_slot(bench):
    made = build(bench)
    made.quote(10, (1, 990, 5, 1010, 5))
    assert made.check._best[:, 1].tolist() == [990, 1010]
    made.kernel.run_until(10 * 3_600 * 10**9)
    later = made.kernel.add_listing("later", made.venue.ctx.plugin_id, start_ns=20 * 3_600 * 10**9)
    assert made.check._slots.slot_of == {later: 1}
    assert made.check._best[:, 1].tolist() == [ABSENT, ABSENT]
