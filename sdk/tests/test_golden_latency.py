"""The golden latency meter counts what was worked out by hand, and compiled it counts the same."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.compiled import compile_golden
from penstock_sdk.golden import latency
from penstock_sdk.golden.latency import (
    CYCLE_MASK,
    METER_COUNT,
    METER_HEAD,
    METER_MAX,
    METER_MIN,
    METER_OVERFLOW,
    METER_SUM,
    measure,
    new_meter,
)

Orders = st.lists(st.tuples(st.integers(0, CYCLE_MASK), st.integers(0, CYCLE_MASK)), max_size=60)


def test_the_docstring_is_true() -> None:
    assert doctest.testmod(latency).failed == 0


def test_the_last_bin_and_the_first_clock_beyond_it() -> None:
    meter = new_meter(4)
    for clocks in (3, 4):
        measure(meter, 100, 100 + clocks, 9)
    assert meter[METER_HEAD:].tolist() == [0, 0, 0, 1]
    assert meter[METER_OVERFLOW] == 1


def test_the_cycle_counter_may_wrap_meanwhile() -> None:
    meter = new_meter(8)
    measure(meter, CYCLE_MASK, 2, 9)
    assert meter[METER_HEAD + 3] == 1


def test_counters_stop_at_their_largest_value_and_the_sum_goes_on() -> None:
    meter = new_meter(8)
    for _ in range(5):
        measure(meter, 0, 2, 3)
    assert (meter[METER_HEAD + 2], meter[METER_COUNT], meter[METER_SUM]) == (3, 3, 10)


@pytest.mark.parametrize("bins", [0, 1, 3, 48])
def test_bins_are_a_power_of_two(bins: int) -> None:
    with pytest.raises(ValueError, match=f"^bins is {bins}; wanted a power of two"):
        new_meter(bins)


@given(Orders)
def test_every_order_is_in_one_bin_and_the_sum_is_theirs(orders: list[tuple[int, int]]) -> None:
    meter = new_meter(16)
    for stamp, cycle in orders:
        measure(meter, stamp, cycle, 10**6)
    took = [(cycle - stamp) % 2**32 for stamp, cycle in orders]
    assert meter[METER_HEAD:].sum() + meter[METER_OVERFLOW] == meter[METER_COUNT] == len(orders)
    assert meter[METER_SUM] == sum(took)
    assert (meter[METER_MIN], meter[METER_MAX]) == (min(took, default=CYCLE_MASK), max(took, default=0))


def test_compiled_equals_plain() -> None:
    fast = compile_golden(latency)
    rng = np.random.default_rng(1)
    meters = new_meter(16), new_meter(16)
    for stamp, took in zip(rng.integers(0, 2**32, 300).tolist(), rng.integers(0, 20, 300).tolist(), strict=True):
        for count, meter in zip((measure, fast.measure), meters, strict=True):
            count(meter, stamp, (stamp + took) & CYCLE_MASK, 25)
    assert meters[0].tolist() == meters[1].tolist()
