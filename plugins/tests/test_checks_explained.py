"""The rules that a check explains are those it answers by, figure for figure, and asking changes nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.compliance.fat_finger import FatFinger, FatFingerConfig
from penstock_plugins.risk.limits import RiskLimits, RiskLimitsConfig
from penstock_sdk.events import CheckVerdict, Order, OrderKind, Reason, Side
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT

CASES = {
    "risk": (
        RiskLimits,
        RiskLimitsConfig(
            qty_max_lots=50, position_max_lots=100, notional_max_micro=12_500_000, collar_ticks=500,
            orders_per_second_max=5, reference_age_s_max=600, listings_max=8, intervals_max=16,
        ),
    ),
    "fat_finger": (FatFinger, FatFingerConfig(cross_eur_mwh_max=2.0)),
}  # fmt: skip


def watched(bench, name):
    """Return a bench whose check is asked to explain every order right before it answers; and what it explained."""
    cls, config = CASES[name]
    made = bench(listings=2)
    made.check = made.add(cls, name, config)
    made.a = made.add(Strategy, "a")
    made.start()
    made.quote(1, (1, 990, 5, 1010, 5))  # of listing 2 no quote is seen
    said, answer = [], made.check.check_order

    def check_order(order: Order) -> CheckVerdict:
        before = msgspec.msgpack.encode(made.check.snapshot(), enc_hook=lambda array: array.tolist())
        rules = made.check.explain_order(order)
        assert msgspec.msgpack.encode(made.check.snapshot(), enc_hook=lambda array: array.tolist()) == before
        verdict = answer(order)
        said.append((verdict, rules))
        return verdict

    made.check.check_order = check_order
    return made, said


def send(made, side, price_ticks, qty_lots, listing_id=1, kind=OrderKind.LIMIT):
    made.kernel.feed(made.a.intent(listing_id, side, price_ticks, qty_lots, kind=kind), producer="a")


ORDERS = st.lists(
    st.tuples(
        st.sampled_from([int(Side.BUY), int(Side.SELL)]), st.integers(400, 1_600), st.integers(1, 55),
        st.sampled_from([1, 1, 1, 2]), st.sampled_from([OrderKind.LIMIT, OrderKind.IOC]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=ORDERS)
def test_the_first_rule_that_fails_is_the_reason_with_its_figures(bench, name, orders):
    made, said = watched(bench, name)
    for order in orders:
        send(made, *order)
    assert len(said) == len(orders)
    for verdict, rules in said:
        failed = next((rule for rule in rules if not rule.passed), None)
        if verdict.reason == Reason.NONE:
            assert rules and failed is None
        else:
            assert (failed.reason, failed.met, failed.limit) == (verdict.reason, verdict.met, verdict.limit)


def test_an_order_that_passes_tells_every_value_and_limit(bench):
    made, said = watched(bench, "risk")
    send(made, Side.BUY, 1_000, 30)
    (_, rules) = said[-1]
    told = {(rule.rule, rule.bound): (rule.met, rule.limit, rule.unit) for rule in rules}
    assert told["order size", "at most"] == (30, 50, "lots")
    assert told["price collar around the reference", "at least"] == (1_000, 500, "ticks")
    assert told["price collar around the reference", "at most"] == (1_000, 1_500, "ticks")
    # 30 lots of 100 kW over a quarter of an hour are 0.75 MWh, at 10 EUR/MWh 7.50 EUR.
    assert told["notional", "at most"] == (7_500_000, 12_500_000, "micro")
    assert told["position if all working orders of the side fill", "at most"] == (30, 100, "lots")
    assert told["orders at once", "at most"] == (1, 5, "count")


def test_a_sell_is_held_against_the_negative_limit(bench):
    made, said = watched(bench, "risk")
    send(made, Side.SELL, 1_000, 30)
    (_, rules) = said[-1]
    (position,) = [rule for rule in rules if rule.reason == Reason.POSITION]
    assert (position.met, position.limit, position.bound) == (-30, -100, "at least")


def test_the_order_of_ours_that_comes_nearest_is_named(bench):
    made, said = watched(bench, "fat_finger")
    send(made, Side.SELL, 1_050, 1)
    send(made, Side.SELL, 1_100, 1)
    send(made, Side.BUY, 1_000, 1)
    (_, rules) = said[-1]
    assert (rules[-1].met, rules[-1].limit, rules[-1].bound, rules[-1].passed) == (1_000, 1_050, "below", True)
    assert str(made.orders()[0].order_id) in rules[-1].note


def test_a_market_order_and_an_empty_side_have_no_farthest_price(bench):
    made, said = watched(bench, "fat_finger")
    send(made, Side.BUY, ABSENT, 1, kind=OrderKind.MARKET)
    send(made, Side.BUY, 900_000, 1, listing_id=2)
    assert [(rules[1].bound, rules[1].note) for _, rules in said] == [
        ("none", "at any price"), ("none", "the opposite side is empty"),
    ]  # fmt: skip
