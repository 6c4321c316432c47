"""The trigger fires on the right side of every threshold, once, and never from what is not known; worked by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.compiled import NO_JIT_ENV, compile_golden
from penstock_sdk.golden import trigger as golden
from penstock_sdk.golden.tick_layout import (
    RULE_ASK_AT_MOST,
    RULE_BID_AT_LEAST,
    RULE_PAIR_ASK_BID,
    RULE_PAIR_BID_ASK,
    RULE_SPREAD_AT_LEAST,
    RULE_SPREAD_AT_MOST,
    TOP_WIDTH,
)
from penstock_sdk.schema import ABSENT

BUY, SELL = golden.BUY, golden.SELL


def top(slot: int, bid: int = ABSENT, ask: int = ABSENT, known: int = 1, at_ns: int = 9) -> golden.Table:
    return np.array([[slot, known, bid, 1, ask, 1, at_ns]], np.int64)


def with_rule(kind: int, threshold: int, **fields: int) -> golden.Table:
    """Return a trigger of 3 slots with rule 5 in slot 0, armed; ids from 100."""
    trigger = golden.new_trigger(3)
    row = {"rule": 5, "order_slot": 0, "side": BUY, "price_ticks": 40, "lots": 7} | fields
    golden.set_lane(trigger, 0, 0, kind=kind, threshold_ticks=threshold, **row)
    golden.set_intent_base(trigger, 100)
    golden.arm(trigger, 5)
    return trigger


def fire(trigger: golden.Table, tops: golden.Table) -> list[int]:
    """Return the order that a top makes, or nothing."""
    orders = golden.new_orders(1)
    order: list[int] = orders[0].tolist() if golden.on_top(trigger, tops, 0, orders, 0) else []
    return order


def test_the_docstring_runs() -> None:
    assert doctest.testmod(golden).failed == 0


@pytest.mark.parametrize(
    ("kind", "threshold", "misses", "hits"),
    [
        (RULE_ASK_AT_MOST, -3, (-9, -2), (-9, -3)),
        (RULE_BID_AT_LEAST, -3, (-4, 0), (-3, 0)),
        (RULE_SPREAD_AT_LEAST, 4, (-2, 1), (-2, 2)),
        (RULE_SPREAD_AT_MOST, 4, (-2, 3), (-2, 2)),
        (RULE_SPREAD_AT_MOST, -1, (2, 2), (3, 2)),  # a crossed market
    ],
)
def test_a_rule_fires_at_its_threshold_and_not_a_tick_before(
    kind: int, threshold: int, misses: tuple[int, int], hits: tuple[int, int]
) -> None:
    trigger = with_rule(kind, threshold)
    assert fire(trigger, top(0, *misses)) == []
    assert fire(trigger, top(0, *hits)) == [0, BUY, 40, 7, 9, 100, 1, 5]


def test_a_pair_rule_reads_the_other_slots_latest_top() -> None:
    # Sell here at -10, buy there at -13: 3 ticks between them.
    trigger = with_rule(RULE_PAIR_BID_ASK, 3, other_slot=1, side=SELL)
    assert fire(trigger, top(0, bid=-10)) == []  # nothing is known of slot 1
    assert trigger[0, golden.HEAD_UNKNOWN] == 1
    assert fire(trigger, top(1, ask=-12)) == []
    assert fire(trigger, top(0, bid=-10)) == []
    assert fire(trigger, top(1, ask=-13)) == []
    assert fire(trigger, top(0, bid=-10)) == [0, SELL, 40, 7, 9, 100, 1, 5]


def test_a_mirrored_pair_rule_fires_from_either_listing_but_once() -> None:
    for moved in (0, 1):
        trigger = with_rule(RULE_PAIR_BID_ASK, 3, other_slot=1)
        golden.set_lane(
            trigger, 1, 0, kind=RULE_PAIR_ASK_BID, rule=5, threshold_ticks=3, order_slot=1, side=BUY, price_ticks=1,
            lots=2, other_slot=0,
        )  # fmt: skip
        quotes = [top(0, bid=5), top(1, ask=2)]
        assert fire(trigger, quotes[1 - moved]) == []
        assert fire(trigger, quotes[moved])[golden.TRIGGERED_SLOT] == moved
        assert fire(trigger, quotes[1 - moved]) == []


@pytest.mark.parametrize(
    ("kind", "side", "price"),
    [
        (RULE_ASK_AT_MOST, SELL, -20 + 2),
        (RULE_BID_AT_LEAST, BUY, -30 + 2),
        (RULE_SPREAD_AT_LEAST, BUY, -20 + 2),
        (RULE_SPREAD_AT_LEAST, SELL, -30 + 2),
        (RULE_SPREAD_AT_MOST, BUY, -20 + 2),
        (RULE_PAIR_BID_ASK, BUY, -30 + 2),
        (RULE_PAIR_ASK_BID, SELL, -20 + 2),
    ],
)
def test_the_offset_is_added_to_the_price_that_was_touched(kind: int, side: int, price: int) -> None:
    threshold = {RULE_ASK_AT_MOST: 0, RULE_SPREAD_AT_MOST: 10}.get(kind, -100)
    trigger = with_rule(kind, threshold, other_slot=1, side=side, price_ticks=2, price_mode=golden.PRICE_TOUCHED)
    fire(trigger, top(1, -30, -20))
    assert fire(trigger, top(0, -30, -20))[golden.TRIGGERED_PRICE] == price


@pytest.mark.parametrize(("offset", "fits"), [(0, 1), (1, 0)])
def test_a_price_beyond_its_bits_is_said_not_to_fit(offset: int, fits: int) -> None:
    trigger = with_rule(RULE_ASK_AT_MOST, 2**31 - 1, price_ticks=offset, price_mode=golden.PRICE_TOUCHED)
    order = fire(trigger, top(0, ask=2**31 - 1))
    assert order[golden.TRIGGERED_FITS] == fits
    assert order[golden.TRIGGERED_PRICE] == 2**31 - 1 + offset


def test_nothing_fires_from_a_top_that_is_not_known_or_lacks_the_price() -> None:
    trigger = with_rule(RULE_SPREAD_AT_LEAST, -100)
    assert fire(trigger, top(0, 1, 2, known=0)) == []
    assert fire(trigger, top(0, bid=1)) == []
    assert fire(trigger, top(0, ask=1)) == []
    assert fire(trigger, top(9, 1, 2)) == []  # no such slot
    assert trigger[0, [golden.HEAD_UNKNOWN, golden.HEAD_ABSENT, golden.HEAD_FIRED]].tolist() == [1, 2, 0]


def test_the_lowest_lane_fires_and_the_other_with_the_next_top() -> None:
    trigger = with_rule(RULE_ASK_AT_MOST, 0)
    golden.set_lane(
        trigger,
        0,
        1,
        kind=RULE_BID_AT_LEAST,
        rule=6,
        threshold_ticks=-9,
        order_slot=2,
        side=SELL,
        price_ticks=3,
        lots=1,
    )
    golden.arm(trigger, 6)
    assert fire(trigger, top(0, -9, 0))[golden.TRIGGERED_RULE] == 5
    assert golden.armed_bits(trigger) == 1 << 6
    assert trigger[0, golden.HEAD_PASSED_OVER] == 1
    assert fire(trigger, top(0, -9, 0)) == [2, SELL, 3, 1, 9, 101, 1, 6]


def test_a_disarmed_rule_and_a_cleared_slot_do_not_fire() -> None:
    trigger = with_rule(RULE_ASK_AT_MOST, 0)
    golden.disarm(trigger, 5)
    assert fire(trigger, top(0, ask=0)) == []
    golden.arm(trigger, 5)
    golden.disarm_all(trigger)
    assert fire(trigger, top(0, ask=0)) == []
    golden.arm(trigger, 5)
    golden.clear_slot(trigger, 0)
    assert fire(trigger, top(0, ask=0)) == []
    assert golden.armed_bits(trigger) == 1 << 5


def test_without_a_base_or_beyond_the_last_id_nothing_fires() -> None:
    trigger = with_rule(RULE_ASK_AT_MOST, 0)
    for base, fires in ((0, False), (2**63 - 1, True), (2**63 - 1, False), (2**63 - 2, True)):
        golden.set_intent_base(trigger, base)
        golden.arm(trigger, 5)
        order = fire(trigger, top(0, ask=0))
        assert bool(order) == fires
        assert not order or order[golden.TRIGGERED_INTENT_ID] == 2**63 - 1
    assert trigger[0, golden.HEAD_NO_ID] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": 7}, "^kind is 7; wanted 1 to 6$"),
        ({"rule": 64}, "^rule is 64; wanted 0 to 63$"),
        ({"threshold_ticks": 2**32}, "^threshold_ticks is 4294967296; wanted -4294967296 to 4294967295$"),
        ({"side": 0}, "^side is 0; wanted 1 to 2$"),
        ({"price_ticks": 2**31}, "^price_ticks is 2147483648; wanted"),
        ({"order_slot": 3}, "^order_slot is 3; wanted 0 to 2$"),
        ({"kind": RULE_PAIR_BID_ASK, "other_slot": 0}, "^other_slot is 0, the slot itself; wanted"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(change: dict[str, int], message: str) -> None:
    row = {"kind": 1, "rule": 0, "threshold_ticks": 0, "order_slot": 0, "side": 1, "price_ticks": 0, "lots": 1} | change
    trigger = golden.new_trigger(3)
    before = trigger.copy()
    with pytest.raises(ValueError, match=message):
        golden.set_lane(trigger, 0, 0, **row)
    assert np.array_equal(trigger, before)


PRICES = st.integers(-5, 5) | st.just(ABSENT)
TOPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from([1, 1, 1, 0]), PRICES, st.just(1), PRICES, st.just(1), st.integers(0, 99)
    ),
    min_size=1,
    max_size=30,
)
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 6), st.integers(0, 3), st.integers(-6, 6),
              st.integers(1, 2), st.integers(0, 1)),
    max_size=6,
)  # fmt: skip


@given(tops=TOPS, rows=ROWS)
def test_compiled_equals_plain_and_no_rule_fires_twice(
    tops: list[tuple[int, ...]], rows: list[tuple[int, ...]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(NO_JIT_ENV, raising=False)
        fast = compile_golden(golden)
    table, results = np.array(tops, np.int64).reshape(-1, TOP_WIDTH), []
    for module in (golden, fast):
        trigger, orders = golden.new_trigger(3), golden.new_orders(len(tops))
        golden.set_intent_base(trigger, 1)
        for slot, lane, kind, rule, threshold, side, mode in rows:
            golden.set_lane(
                trigger, slot, lane, kind=kind, rule=rule, threshold_ticks=threshold, order_slot=slot, side=side,
                price_ticks=1, lots=1, other_slot=(slot + 1) % 3, price_mode=mode,
            )  # fmt: skip
            golden.arm(trigger, rule)
        armed = golden.armed_bits(trigger)
        written = module.on_tops(trigger, table, orders)
        fired = orders[:written, golden.TRIGGERED_RULE].tolist()
        assert len(set(fired)) == len(fired)
        assert golden.armed_bits(trigger) == armed & ~sum(1 << rule for rule in fired)
        results.append((trigger, orders))
    assert all(np.array_equal(plain, compiled) for plain, compiled in zip(*results, strict=True))
