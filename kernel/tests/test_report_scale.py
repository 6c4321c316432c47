"""Proves that axes are laid out as a reader expects: round ticks inside the range, local hours, spikes kept off."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.report.scale import Scale, nice_ticks, number, robust_range, time_ticks
from penstock_sdk.energy import day_start_ns

HOUR_NS = 3_600_000_000_000


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_lie_inside_and_are_evenly_spaced(low: float, span: float, count: int) -> None:
    high = low + span
    ticks = [tick.value for tick in nice_ticks(low, high, count)]
    slack = 1e-6 * max(abs(low), abs(high), span)
    assert 1 <= len(ticks) <= count + 2
    assert all(low - slack <= value <= high + slack for value in ticks)
    assert np.allclose(np.diff(ticks, 2), 0, atol=slack)


def test_ticks_are_round_numbers_and_zero_is_strong() -> None:
    ticks = nice_ticks(-30, 170)
    assert [tick.label for tick in ticks] == ["0", "50", "100", "150"]
    assert [tick.strong for tick in ticks] == [True, False, False, False]


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(-1234.5, 0.1, "−1,234.5"), (0.04, 0.1, "0.0"), (-0.04, 0.1, "0.0"), (12.0, 1.0, "12"), (0.25, 0.05, "0.25")],
)
def test_numbers_have_the_decimals_of_their_step(value: float, step: float, text: str) -> None:
    assert number(value, step) == text


def test_a_day_has_local_hours_and_says_its_name_at_midnight() -> None:
    start = day_start_ns(date(2026, 3, 10), "Europe/Berlin")
    ticks = time_ticks(start - 6 * HOUR_NS, start + 24 * HOUR_NS, "Europe/Berlin", 10)
    assert [tick.label for tick in ticks][:4] == ["20:00", "Tue 10 Mar", "04:00", "08:00"] or [
        tick.label for tick in ticks
    ][:4] == ["18:00", "21:00", "Tue 10 Mar", "03:00"]
    assert [tick.label for tick in ticks if tick.strong] == ["Tue 10 Mar", "Wed 11 Mar"]


def test_the_day_the_clock_goes_back_shows_its_hours_in_local_time() -> None:
    start = day_start_ns(date(2025, 10, 26), "Europe/Berlin")
    ticks = time_ticks(start, start + 25 * HOUR_NS, "Europe/Berlin", 26)
    assert [tick.label for tick in ticks][:5] == ["Sun 26 Oct", "01:00", "02:00", "02:00", "03:00"]
    assert len(ticks) == 26


def test_minutes_are_shown_when_the_span_is_short() -> None:
    start = day_start_ns(date(2026, 3, 10), "Europe/Berlin") + 9 * HOUR_NS
    assert [tick.label for tick in time_ticks(start, start + HOUR_NS // 2, "Europe/Berlin", 6)] == [
        "09:00", "09:05", "09:10", "09:15", "09:20", "09:25", "09:30",
    ]  # fmt: skip


def test_a_spike_does_not_squash_the_rest() -> None:
    prices = np.concatenate([np.linspace(-20, 120, 1000), [15_100.0]])
    low, high = robust_range(prices, zero=True)
    assert -40 < low < -20
    assert 120 < high < 300


def test_an_ordinary_range_is_kept_whole() -> None:
    low, high = robust_range(np.array([5.0, 6.0, 9.0]), zero=True)
    assert low == 0.0
    assert 9.0 < high < 10.0
    assert robust_range(np.array([np.nan])) == (0.0, 1.0)


def test_a_scale_without_extent_still_places_its_value() -> None:
    scale = Scale(7.0, 7.0, 0.0, 100.0)
    assert scale(7.0) == 50.0
