"""Proves that the risk gate's explanation agrees with its verdict: first failure, figures, nothing changed."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock_sdk.golden import risk_gate as g
from penstock_sdk.golden.risk_gate_explained import Rule, explain

EDGES = st.sampled_from([0, 1, 50, 51, 100, 1_000, g.INT64_MAX - 1, g.INT64_MAX])
ORDERS = st.tuples(
    st.integers(-1, 3), st.integers(0, 3), st.one_of(st.integers(-600, 600), st.sampled_from([g.ABSENT, 1 << 62])),
    st.one_of(st.integers(-1, 60), st.sampled_from([1 << 40, 1 << 62])), st.integers(-1, 5_000), st.integers(0, 8),
)  # fmt: skip


@st.composite
def gates(draw: st.DrawFn) -> g.Table:
    """Return a gate with an hour and a quarter-hour, with limits and exposures that are near to binding."""
    gate = g.new_gate(3, 4, 8, 15)
    for listing, intervals in ((0, [0, 1, 2, 3]), (1, [2])):
        g.define_listing(
            gate, listing, intervals, qty_max_lots=draw(EDGES), collar_ticks=draw(EDGES), notional_max=draw(EDGES),
            ref_age_max_ns=draw(EDGES), minutes=15, kw_per_lot=100, qty_min_lots=draw(st.integers(1, 3)),
            floor_ticks=draw(st.sampled_from([g.ABSENT, -500])), cap_ticks=draw(st.sampled_from([g.ABSENT, 500])),
            ref_required=draw(st.booleans()), state=draw(st.sampled_from([g.TRADING, g.TRADING, g.PAUSED])),
        )  # fmt: skip
        if draw(st.booleans()):
            g.mark_reference(gate, listing, draw(st.integers(-100, 100)), draw(st.integers(0, 1_000)))
    for interval in range(4):
        g.set_position_limit(gate, interval, draw(EDGES), draw(EDGES))
    g.set_rate(gate, draw(EDGES), draw(st.sampled_from([1, 100, g.INT64_MAX])))
    g.set_switches(gate, kill=draw(st.sampled_from([False, False, True])), paused=draw(st.booleans()))
    for listing in draw(st.lists(st.integers(0, 1), max_size=3)):
        g.reserve(gate, listing, draw(st.sampled_from([g.BUY, g.SELL])), draw(st.integers(1, 4)))
    return gate


@settings(max_examples=300, deadline=None)
@given(gate=gates(), orders=st.lists(ORDERS, min_size=1, max_size=4))
@example(gate=g.new_gate(1, 1, 1, 15), orders=[(0, 1, 1, 1, 1, 1)])
def test_the_first_rule_that_fails_is_the_verdict_and_none_fails_where_it_passes(
    gate: g.Table, orders: list[tuple[int, int, int, int, int, int]]
) -> None:
    verdicts = g.new_verdicts(1)
    for order in orders:
        before = gate.copy()
        rules = explain(gate, *order)
        assert np.array_equal(gate, before)
        reason = g.check_order(gate, *order, verdicts)
        failed = next((rule for rule in rules if not rule.passed), None)
        if reason == g.OK:
            assert failed is None
        else:
            met, limit, interval = verdicts[0, [g.VERDICT_MET, g.VERDICT_LIMIT, g.VERDICT_INTERVAL]].tolist()
            assert failed == Rule(reason, False, met, limit, interval)


def test_a_passed_order_names_the_interval_that_comes_nearest_to_its_limit() -> None:
    gate = g.new_gate(1, 4, 4)
    g.define_listing(
        gate, 0, [0, 1, 2, 3], qty_max_lots=50, collar_ticks=g.UNLIMITED, notional_max=g.UNLIMITED,
        ref_age_max_ns=g.UNLIMITED, minutes=60, kw_per_lot=100, ref_required=False,
    )  # fmt: skip
    for interval, limit_kw in enumerate([3_000, 2_000, 1_500, 9_000]):
        g.set_position_limit(gate, interval, limit_kw, limit_kw)
    (position,) = [rule for rule in explain(gate, 0, g.SELL, 10, 7, 0, 1) if rule.reason == g.REASON_POSITION]
    assert position == Rule(g.REASON_POSITION, True, -700, -1_500, 2)
