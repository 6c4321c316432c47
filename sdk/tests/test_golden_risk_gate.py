"""Proves the risk gate against a reference in unbounded integers, at both edges of every limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.events.enums import Reason
from penstock_sdk.golden import risk_gate as g

# Listing 0 is an hour over four quarters; 1 and 2 are quarters; 3 is in two stretches; 4 is never defined.
INTERVALS: dict[int, list[int]] = {0: [0, 1, 2, 3], 1: [0], 2: [3], 3: [0, 3]}
LISTINGS = 5
NEAR_MAX = st.sampled_from([g.INT64_MAX, g.INT64_MAX - 1, g.INT64_MAX // 2 + 1, 1 << 62, 3_037_000_500])


@dataclass
class Limits:
    qty_min_lots: int = 1
    qty_max_lots: int = 50
    collar_ticks: int = 100
    floor_ticks: int = -500
    cap_ticks: int = 500
    notional_max: int = 60_000
    ref_age_max_ns: int = 1_000
    minutes: int = 15
    kw_per_lot: int = 100
    ref_required: bool = True


@dataclass
class Reference:
    """The gate in words: Python integers, a list of working orders, everything summed anew each time."""

    limits: dict[int, Limits]
    long_max: list[int]
    short_max: list[int]
    burst: int
    per_message: int
    kill: bool = False
    paused: bool = False
    refs: dict[int, tuple[int, int]] = field(default_factory=dict)
    working: list[tuple[int, int, int]] = field(default_factory=list)
    net: list[int] = field(default_factory=lambda: [0] * 4)
    seen: set[int] = field(default_factory=set)
    empty_ns: int = 0

    def working_kw(self, interval: int, side: int) -> int:
        return sum(
            qty * self.limits[listing].kw_per_lot
            for listing, its_side, qty in self.working
            if its_side == side and interval in INTERVALS[listing]
        )

    def reason(self, listing: int, side: int, price: int, qty: int, at_ns: int, intent_id: int) -> Reason:
        if self.kill:
            return Reason.KILL_SWITCH
        if self.paused:
            return Reason.PAUSED
        if listing not in self.limits:
            return Reason.UNKNOWN_LISTING
        if side not in (1, 2) or price == g.ABSENT or at_ns < 0 or intent_id <= 0:
            return Reason.MALFORMED
        at = self.limits[listing]
        if qty < at.qty_min_lots:
            return Reason.QTY_MIN
        if qty > at.qty_max_lots:
            return Reason.QTY_MAX
        ref, seen_ns = self.refs.get(listing, (None, 0))
        if ref is None and at.ref_required:
            return Reason.NO_REFERENCE
        if not at.floor_ticks <= price <= at.cap_ticks:
            return Reason.PRICE_BOUNDS
        if at.collar_ticks == 0:
            return Reason.PRICE_COLLAR
        if ref is not None and at.collar_ticks != g.UNLIMITED and abs(price - ref) > at.collar_ticks:
            return Reason.PRICE_COLLAR
        notional = abs(price) * qty * at.minutes
        if notional > g.INT64_MAX:
            return Reason.OVERFLOW
        if at.notional_max == 0 or notional > at.notional_max:
            return Reason.NOTIONAL
        position = self.position(listing, side, qty * at.kw_per_lot)
        if position:
            return position
        if self.burst != g.UNLIMITED:
            backlog = max(self.empty_ns - at_ns, 0)
            if at_ns + backlog + self.per_message >= g.INT64_MAX:
                return Reason.OVERFLOW
            if backlog + self.per_message > self.burst * self.per_message:
                return Reason.MESSAGE_RATE
        if at.ref_age_max_ns == 0 or (ref is not None and at_ns - seen_ns > at.ref_age_max_ns):
            return Reason.STALE_MARKET
        return Reason.DUPLICATE if intent_id in self.seen else Reason.NONE

    def position(self, listing: int, side: int, qty_kw: int) -> Reason:
        if qty_kw > g.INT64_MAX:
            return Reason.OVERFLOW
        for interval in INTERVALS[listing]:
            working = self.working_kw(interval, side) + qty_kw
            worst = working + (self.net[interval] if side == g.BUY else -self.net[interval])
            limit = self.long_max[interval] if side == g.BUY else self.short_max[interval]
            if max(working, worst) >= g.INT64_MAX:
                return Reason.OVERFLOW
            if limit == 0 or worst > limit:
                return Reason.POSITION
        return Reason.NONE

    def enter(self, listing: int, side: int, qty: int, at_ns: int, intent_id: int) -> None:
        if self.burst != g.UNLIMITED:
            self.empty_ns = max(self.empty_ns, at_ns) + self.per_message
        self.seen.add(intent_id)
        self.working.append((listing, side, qty))


def gate_of(reference: Reference) -> g.Table:
    gate = g.new_gate(LISTINGS, 4, 8, remembered_ids=240)
    for listing, limits in reference.limits.items():
        define(gate, listing, limits)
    for interval in range(4):
        g.set_position_limit(gate, interval, reference.long_max[interval], reference.short_max[interval])
    g.set_rate(gate, reference.burst, reference.per_message)
    return gate


def define(gate: g.Table, listing: int, limits: Limits) -> None:
    g.define_listing(gate, listing, INTERVALS[listing], **vars(limits))


def usual() -> Reference:
    return Reference({k: Limits() for k in INTERVALS}, [4_000] * 4, [3_000] * 4, burst=1_000, per_message=10)


ORDERS = st.tuples(
    st.just("order"),
    st.sampled_from([0, 0, 1, 1, 2, 3, 4, -1]),
    st.sampled_from([1, 1, 1, 2, 2, 2, 0, 3]),
    st.one_of(st.integers(-120, 120), st.integers(-600, 600), st.sampled_from([g.ABSENT, g.ABSENT + 1]), NEAR_MAX),
    st.one_of(st.integers(1, 20), st.integers(-1, 60), NEAR_MAX),
    st.integers(0, 30),
    st.integers(0, 60),
)
STEPS = st.one_of(
    ORDERS,
    ORDERS,
    ORDERS,
    st.tuples(st.just("release"), st.integers(0, 30), st.integers(1, 20)),
    st.tuples(st.just("fill"), st.integers(0, 30), st.integers(1, 20)),
    st.tuples(st.just("mark"), st.integers(0, 3), st.one_of(st.integers(-50, 50), st.just(g.ABSENT), NEAR_MAX)),
    st.tuples(st.just("wait"), st.integers(0, 2_000)),
    st.tuples(st.just("switch"), st.sampled_from([(0, 0), (0, 0), (0, 0), (1, 0), (0, 1)])),
    st.tuples(st.just("limit"), st.integers(0, 3), st.sampled_from([0, 1_000, 4_000, g.UNLIMITED])),
)
LIMITS = st.builds(
    Limits,
    qty_min_lots=st.sampled_from([1, 1, 2]),
    qty_max_lots=st.sampled_from([50, 50, 0, g.UNLIMITED]),
    collar_ticks=st.sampled_from([100, 100, 0, g.UNLIMITED, g.INT64_MAX - 1]),
    floor_ticks=st.sampled_from([-500, -g.INT64_MAX]),
    cap_ticks=st.sampled_from([500, g.INT64_MAX]),
    notional_max=st.sampled_from([60_000, 60_000, 0, g.UNLIMITED]),
    ref_age_max_ns=st.sampled_from([1_000, 1_000, 0, g.UNLIMITED]),
    kw_per_lot=st.sampled_from([100, 100, 1 << 40]),
    ref_required=st.booleans(),
)
REFERENCES = st.builds(
    Reference,
    limits=st.fixed_dictionaries({k: st.one_of(st.just(Limits()), LIMITS) for k in INTERVALS}),
    long_max=st.lists(st.sampled_from([4_000, 2_000, g.UNLIMITED]), min_size=4, max_size=4),
    short_max=st.lists(st.sampled_from([3_000, 0, g.UNLIMITED]), min_size=4, max_size=4),
    burst=st.sampled_from([1_000, 3, 0, g.UNLIMITED]),
    per_message=st.sampled_from([1, 10, 1 << 60]),
)


def play(reference: Reference, steps: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Play steps on gate and reference, comparing all the way; return (reason, order) of each order."""
    gate, verdicts, now_ns, log = gate_of(reference), g.new_verdicts(1), 0, []
    for step in [*(("mark", k, 0) for k in INTERVALS), *steps]:
        if step[0] == "order":
            _, listing, side, price, qty, later_ns, intent_id = step
            now_ns += later_ns
            wanted = reference.reason(listing, side, price, qty, now_ns, intent_id)
            before, untouched = gate.copy(), [row for row in range(len(gate)) if not 1 <= row < g.LISTING_ROW]
            met = g.check_order(gate, listing, side, price, qty, now_ns, intent_id, verdicts)
            assert Reason(met) == wanted
            assert verdicts[0, g.VERDICT_REASON] == met
            assert verdicts[0, g.VERDICT_RESULT] == (g.PASSED if met == g.OK else g.REFUSED)
            if met == g.OK:
                reference.enter(listing, side, qty, now_ns, intent_id)
            else:
                assert np.array_equal(before[untouched], gate[untouched]), "a refusal changed the gate"
            log.append((Reason(met), step))
        elif step[0] in ("release", "fill") and step[1] < len(reference.working):
            listing, side, working = reference.working.pop(step[1])
            part = min(step[2], working)
            if working > part:
                reference.working.append((listing, side, working - part))
            assert getattr(g, step[0])(gate, listing, side, part) == g.OK
            if step[0] == "fill":
                for interval in INTERVALS[listing]:
                    part_kw = part * reference.limits[listing].kw_per_lot
                    reference.net[interval] += part_kw if side == g.BUY else -part_kw
        elif step[0] == "mark":
            reference.refs.pop(step[1], None)
            if step[2] != g.ABSENT:
                reference.refs[step[1]] = (step[2], now_ns)
            assert g.mark_reference(gate, step[1], step[2], now_ns) == g.OK
        elif step[0] == "wait":
            now_ns += step[1]
        elif step[0] == "switch":
            reference.kill, reference.paused = bool(step[1][0]), bool(step[1][1])
            g.set_switches(gate, kill=reference.kill, paused=reference.paused)
        elif step[0] == "limit":
            reference.long_max[step[1]] = step[2]
            g.set_position_limit(gate, step[1], step[2], reference.short_max[step[1]])
        for interval, row in enumerate(g.exposures(gate)):
            assert row[g.INTERVAL_NET] == reference.net[interval]
            for side in (g.BUY, g.SELL):
                assert row[g.INTERVAL_WORKING + side] == reference.working_kw(interval, side)
    return log


@settings(max_examples=150, deadline=None)
@given(REFERENCES, st.lists(STEPS, max_size=25))
def test_gate_decides_as_the_reference_does(reference: Reference, steps: list[tuple[Any, ...]]) -> None:
    play(reference, steps)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS.filter(lambda step: step[0] != "limit"), min_size=5, max_size=30))
def test_no_interval_leaves_its_limit_even_if_one_side_fills(steps: list[tuple[Any, ...]]) -> None:
    reference = usual()
    play(reference, steps)
    for interval in range(4):
        net = reference.net[interval]
        assert net + reference.working_kw(interval, g.BUY) <= 4_000
        assert net - reference.working_kw(interval, g.SELL) >= -3_000


def test_a_seeded_day_meets_the_reasons_a_day_meets() -> None:
    draw = np.random.default_rng(7)
    steps: list[tuple[Any, ...]] = []
    for intent_id in range(1, 1_500):
        what = draw.choice(["order", "fill", "release", "mark", "wait"], p=[0.55, 0.2, 0.15, 0.09, 0.01])
        if what == "order":
            listing, side = int(draw.integers(0, 4)), int(draw.integers(1, 3))
            price, qty = int(draw.integers(-110, 110)), int(draw.integers(0, 52))
            qty = qty if draw.random() < 0.05 else 1 + qty % 15
            qty = 51 * int(draw.integers(0, 2)) if draw.random() < 0.05 else qty
            again = 20 * int(draw.random() < 0.1)
            steps.append(("order", listing, side, price, qty, int(draw.integers(0, 9)), max(1, intent_id - again)))
        elif what == "mark":
            steps.append(("mark", int(draw.integers(0, 4)), int(draw.integers(-20, 20))))
        elif what == "wait":
            steps.append(("wait", 900))
        else:
            steps.append((str(what), int(draw.integers(0, 8)), int(draw.integers(1, 20))))
    reference = usual()
    reference.burst = 3
    reference.limits[1].notional_max = 9_000
    met = {reason for reason, _ in play(reference, steps)}
    assert met >= {
        Reason.NONE, Reason.QTY_MIN, Reason.QTY_MAX, Reason.PRICE_COLLAR, Reason.NOTIONAL, Reason.POSITION,
        Reason.MESSAGE_RATE, Reason.STALE_MARKET, Reason.DUPLICATE,
    }  # fmt: skip


# One order that passes, and per row: what is changed, the last value that passes, the first that does not, the reason.
EDGES = [
    ("qty", 50, 51, {"kw_per_lot": 10}, Reason.QTY_MAX),
    ("qty", 2, 1, {"qty_min_lots": 2}, Reason.QTY_MIN),
    ("price", 100, 101, {}, Reason.PRICE_COLLAR),
    ("price", -100, -101, {}, Reason.PRICE_COLLAR),
    ("price", 70, 71, {"cap_ticks": 70}, Reason.PRICE_BOUNDS),
    ("price", -70, -71, {"floor_ticks": -70}, Reason.PRICE_BOUNDS),
    ("price", 40, 41, {"notional_max": 40 * 10 * 15}, Reason.NOTIONAL),
    ("price", -40, -41, {"notional_max": 40 * 10 * 15}, Reason.NOTIONAL),
    ("qty", 40, 41, {}, Reason.POSITION),
    ("short", 30, 31, {}, Reason.POSITION),
    ("at_ns", 1_000, 1_001, {}, Reason.STALE_MARKET),
    ("at_ns", 0, -1, {}, Reason.MALFORMED),
    ("intent_id", 1, 0, {}, Reason.MALFORMED),
    ("listing", 0, 4, {}, Reason.UNKNOWN_LISTING),
    ("listing", 0, -1, {}, Reason.UNKNOWN_LISTING),
    ("listing", 0, 5, {}, Reason.UNKNOWN_LISTING),
]


@pytest.mark.parametrize(("what", "passes", "fails", "limits", "reason"), EDGES)
def test_both_edges_of_a_limit(what: str, passes: int, fails: int, limits: dict[str, int], reason: Reason) -> None:
    for value, wanted in ((passes, Reason.NONE), (fails, reason)):
        reference = usual()
        reference.limits[0] = Limits(**limits)  # type: ignore[arg-type]
        gate, verdicts = gate_of(reference), g.new_verdicts(1)
        g.mark_reference(gate, 0, 0, 0)
        order: dict[str, Any] = {"listing": 0, "side": g.BUY, "price": 10, "qty": 10, "at_ns": 5, "intent_id": 9}
        order |= {"qty": value, "side": g.SELL} if what == "short" else {what: value}
        arguments: tuple[Any, ...] = (*order.values(), verdicts)
        assert Reason(g.check_order(gate, *arguments)) == wanted
        assert g.counts(gate) == {wanted: 1}


def test_every_limit_left_at_zero_stops_trading() -> None:
    zeros = {"qty_max_lots": Reason.QTY_MAX, "collar_ticks": Reason.PRICE_COLLAR, "notional_max": Reason.NOTIONAL}
    for name, reason in (zeros | {"ref_age_max_ns": Reason.STALE_MARKET}).items():
        reference = usual()
        setattr(reference.limits[0], name, 0)
        assert one_order(reference, price=0) == reason
    for name, reason in {"long_max": Reason.POSITION, "burst": Reason.MESSAGE_RATE}.items():
        reference = usual()
        setattr(reference, name, 0 if name == "burst" else [0] * 4)
        assert one_order(reference, price=0) == reason
    assert one_order(usual(), price=0) == Reason.NONE


def one_order(reference: Reference, price: int) -> Reason:
    gate = gate_of(reference)
    g.mark_reference(gate, 0, 0, 0)
    return Reason(g.check_order(gate, 0, g.BUY, price, 1, 0, 1, g.new_verdicts(1)))


def test_the_verdict_names_the_interval_the_value_and_the_limit() -> None:
    reference = usual()
    reference.short_max[2] = 500
    gate, verdicts = gate_of(reference), g.new_verdicts(1)
    g.mark_reference(gate, 0, 0, 0)
    assert g.check_order(gate, 0, g.SELL, 3, 6, 0, 77, verdicts) == Reason.POSITION
    assert verdicts[0].tolist() == [g.REFUSED, Reason.POSITION, -600, -500, 2, 77]


def test_messages_come_free_one_by_one() -> None:
    reference = usual()
    reference.burst = 2
    gate, verdicts = gate_of(reference), g.new_verdicts(1)
    g.mark_reference(gate, 1, 0, 0)
    reasons = [g.check_order(gate, 1, g.BUY, 0, 1, at_ns, 1 + nth, verdicts) for nth, at_ns in enumerate((0, 0, 9, 10))]
    assert reasons == [g.OK, g.OK, Reason.MESSAGE_RATE, g.OK]


def test_a_frame_is_its_orders_one_after_another() -> None:
    draw = np.random.default_rng(5)
    orders = np.zeros((300, g.ORDER_WIDTH), np.int64)
    orders[:, g.ORDER_LISTING] = draw.integers(0, 5, 300)
    orders[:, g.ORDER_SIDE] = draw.integers(1, 3, 300)
    orders[:, g.ORDER_PRICE] = draw.integers(-110, 110, 300)
    orders[:, g.ORDER_QTY] = draw.integers(1, 9, 300)
    orders[:, g.ORDER_AT_NS] = np.arange(300)
    orders[:, g.ORDER_INTENT_ID] = draw.integers(1, 250, 300)
    one, many, answers, answer = gate_of(usual()), gate_of(usual()), g.new_verdicts(300), g.new_verdicts(1)
    for gate in (one, many):
        for listing in INTERVALS:
            g.mark_reference(gate, listing, 0, 0)
    passed = g.check_orders(many, orders, answers)
    for at, (listing, side, price, qty, at_ns, intent_id) in enumerate(orders.tolist()):
        g.check_order(one, listing, side, price, qty, at_ns, intent_id, answer)
        assert answers[at].tolist() == answer[0].tolist()
    assert np.array_equal(one, many)
    assert 0 < passed == g.counts(many)[Reason.NONE] < 300


def test_an_id_is_remembered_until_as_many_new_ones_have_passed() -> None:
    reference = usual()
    for k in INTERVALS:
        reference.limits[k] = Limits(kw_per_lot=1)
    gate, verdicts = gate_of(reference), g.new_verdicts(1)
    g.mark_reference(gate, 1, 0, 0)
    for intent_id in range(1, 241):
        assert g.check_order(gate, 1, g.BUY, 0, 1, 0, intent_id, verdicts) == g.OK
    assert g.check_order(gate, 1, g.BUY, 0, 1, 0, 1, verdicts) == Reason.DUPLICATE
    for intent_id in range(241, 257):
        assert g.check_order(gate, 1, g.BUY, 0, 1, 0, intent_id, verdicts) == g.OK
    assert g.check_order(gate, 1, g.BUY, 0, 1, 0, 240, verdicts) == Reason.DUPLICATE
    assert g.check_order(gate, 1, g.BUY, 0, 1, 0, 1, verdicts) == g.OK


def test_taking_back_more_than_is_working_is_told_and_a_fill_counts_all_the_same() -> None:
    gate = gate_of(usual())
    assert g.reserve(gate, 0, g.BUY, 5) == g.OK
    assert g.release(gate, 0, g.BUY, 6) == g.REASON_NOT_RESERVED
    assert g.fill(gate, 0, g.BUY, 7) == g.REASON_NOT_RESERVED
    assert g.exposures(gate)[0, g.INTERVAL_NET :].tolist() == [700, 0, 0]
    assert g.fill(gate, 0, g.SELL, 9) == g.REASON_NOT_RESERVED
    assert g.exposures(gate)[3, g.INTERVAL_NET :].tolist() == [-200, 0, 0]


@pytest.mark.parametrize("function", [g.reserve, g.release, g.fill])
def test_exposure_of_a_wrong_listing_side_or_quantity_changes_nothing(function: Any) -> None:
    gate = gate_of(usual())
    before = gate.copy()
    assert function(gate, 4, g.BUY, 1) == Reason.UNKNOWN_LISTING
    assert function(gate, 0, 0, 1) == Reason.MALFORMED
    assert function(gate, 0, g.BUY, 0) == Reason.MALFORMED
    assert function(gate, 0, g.BUY, g.INT64_MAX // 100 + 1) == Reason.OVERFLOW
    assert np.array_equal(gate, before)


def test_exposure_that_would_not_fit_is_refused() -> None:
    gate = gate_of(usual())
    lots = g.INT64_MAX // 100
    assert [g.reserve(gate, 0, g.BUY, lots), g.reserve(gate, 0, g.BUY, 1)] == [g.OK, Reason.OVERFLOW]
    assert [g.fill(gate, 0, g.BUY, lots), g.fill(gate, 0, g.BUY, 1)] == [g.OK, Reason.OVERFLOW]


def test_a_listing_takes_new_limits_and_keeps_its_intervals_and_reference() -> None:
    gate = gate_of(usual())
    g.mark_reference(gate, 3, 42, 1)
    define(gate, 3, Limits(collar_ticks=7))
    assert g.intervals_of(gate, 3) == [0, 3]
    assert gate[g.LISTING_ROW + 3, [g.LISTING_REF, g.LISTING_COLLAR]].tolist() == [42, 7]
    with pytest.raises(ValueError, match=r"^intervals of listing 3 are \[1\], and were \[0, 3\]; "):
        g.define_listing(gate, 3, [1], **vars(Limits()))


def test_a_paused_listing_refuses_while_others_trade() -> None:
    gate = gate_of(usual())
    g.define_listing(gate, 0, INTERVALS[0], **vars(Limits()), state=g.PAUSED)
    for listing in (0, 1):
        g.mark_reference(gate, listing, 0, 0)
    reasons = [g.check_order(gate, listing, g.BUY, 0, 1, 0, 1, g.new_verdicts(1)) for listing in (0, 1)]
    assert reasons == [Reason.PAUSED, g.OK]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qty_max_lots": -1}, "^qty_max_lots is -1; wanted 0 to "),
        ({"minutes": 0}, "^minutes is 0; wanted 1 to "),
        ({"kw_per_lot": 0}, "^kw_per_lot is 0; wanted 1 to "),
        ({"intervals": [4]}, "^interval is 4; wanted 0 to 3$"),
        ({"intervals": []}, r"^intervals of listing 4 are \[\]; wanted at least one"),
        ({"intervals": [1, 1]}, r"^intervals of listing 4 are \[1, 1\]; wanted at least one, each once$"),
        ({"listing": 5}, "^listing is 5; wanted 0 to 4$"),
    ],
)
def test_limits_out_of_range_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"listing": 4, "intervals": [0], **vars(Limits())} | change
    with pytest.raises(ValueError, match=message):
        g.define_listing(gate_of(usual()), **arguments)


def test_a_listing_too_many_for_the_link_cells_is_refused() -> None:
    gate = g.new_gate(2, 16, 16)
    g.define_listing(gate, 0, range(10), **vars(Limits()))
    with pytest.raises(ValueError, match="^listing 1 delivers in 7 intervals, 6 link cells are free; give new_gate "):
        g.define_listing(gate, 1, range(7), **vars(Limits()))
    g.define_listing(gate, 1, range(10, 16), **vars(Limits()))
    assert g.intervals_of(gate, 1) == list(range(10, 16))


def test_listings_beyond_the_first_row_of_link_cells_reach_their_own_intervals() -> None:
    gate = g.new_gate(9, 40, 40)
    for listing in range(9):
        g.define_listing(gate, listing, range(4 * listing, 4 * listing + 4), **vars(Limits()))
        assert g.reserve(gate, listing, g.BUY, 1 + listing) == g.OK
    wanted = [100 * (1 + interval // 4) for interval in range(36)] + [0] * 4
    assert g.exposures(gate)[:, g.INTERVAL_WORKING + g.BUY].tolist() == wanted


@pytest.mark.parametrize(("price", "reason"), [(500, Reason.NONE), (501, Reason.PRICE_BOUNDS), (-500, Reason.NONE)])
def test_without_a_reference_that_is_not_required_only_floor_and_cap_hold(price: int, reason: Reason) -> None:
    reference = usual()
    reference.limits[1] = Limits(ref_required=False, collar_ticks=1, ref_age_max_ns=1)
    assert g.check_order(gate_of(reference), 1, g.BUY, price, 1, 10**6, 1, g.new_verdicts(1)) == reason


def test_an_exposure_that_does_not_fit_names_its_interval() -> None:
    reference = usual()
    reference.limits[2] = Limits(qty_max_lots=g.UNLIMITED, notional_max=g.UNLIMITED)
    reference.long_max = [g.UNLIMITED] * 4
    gate, verdicts, lots = gate_of(reference), g.new_verdicts(1), g.INT64_MAX // 100
    g.mark_reference(gate, 2, 0, 0)
    assert g.check_order(gate, 2, g.BUY, 0, lots, 0, 1, verdicts) == g.OK
    assert g.check_order(gate, 2, g.BUY, 0, 1, 0, 2, verdicts) == Reason.OVERFLOW
    assert verdicts[0, g.VERDICT_INTERVAL] == 3
    # Half in the position and half working: each fits, their sum does not.
    half = lots // 2 + 1
    assert [g.fill(gate, 2, g.BUY, half), g.check_order(gate, 2, g.BUY, 0, half, 0, 3, verdicts)] == [
        g.OK, Reason.OVERFLOW
    ]  # fmt: skip


def test_a_size_below_one_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="^interval_count is 0; wanted at least 1$"):
        g.new_gate(1, 0, 1)


def test_every_reason_of_the_gate_has_a_line_and_a_count() -> None:
    codes = {value for name, value in vars(g).items() if name.startswith("REASON_")} | {g.OK}
    assert codes == set(g.REASONS)
    assert max(codes) < 48, "the three rows of counts hold codes 0 to 47"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 5)), max_size=12),
    st.integers(0, 3),
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
)
def test_dropping_a_listing_leaves_the_others_as_they_are_and_its_number_free(
    fills: list[tuple[int, int, int]], gone: int, anew: list[int]
) -> None:
    gate = gate_of(usual())
    for listing, side, lots in fills:
        g.fill(gate, listing, side, lots)
    held = g.exposures(gate).copy()
    g.drop_listing(gate, gone)
    assert g.check_order(gate, gone, g.BUY, 0, 1, 0, 10**6, g.new_verdicts(1)) == g.REASON_LISTING
    others = [listing for listing in INTERVALS if listing != gone]
    shared = {interval for listing in others for interval in INTERVALS[listing]}
    for interval in range(4):
        wanted = held[interval] if interval in shared else held[interval] * 0
        assert (g.exposures(gate)[interval] == wanted).all()
    assert [g.intervals_of(gate, listing) for listing in others] == [INTERVALS[listing] for listing in others]
    more = {"qty_max_lots": 1, "collar_ticks": 1, "notional_max": 1, "ref_age_max_ns": 1, "minutes": 1, "kw_per_lot": 7}
    g.define_listing(gate, gone, anew, **more)
    assert g.intervals_of(gate, gone) == anew
    assert [g.intervals_of(gate, listing) for listing in others] == [INTERVALS[listing] for listing in others]
    assert gate[g.LISTING_ROW + gone, g.LISTING_REF] == g.ABSENT
    before = g.exposures(gate).copy()
    assert g.fill(gate, gone, g.SELL, 3) == g.REASON_NOT_RESERVED
    before[anew, g.INTERVAL_NET] -= 21
    assert (g.exposures(gate)[:, g.INTERVAL_NET] == before[:, g.INTERVAL_NET]).all()


def test_only_a_listing_with_limits_can_be_dropped() -> None:
    with pytest.raises(ValueError, match=r"^listing 4 is not defined; only what was defined can be dropped"):
        g.drop_listing(gate_of(usual()), 4)
