"""Days of an instance, restarts between: memory, objects, files and what is kept stay as they are; growth is found."""

from __future__ import annotations

import math

import pytest

from penstock_kernel.bench.soak import Soak, bench_soak, growth_a_day

DAYS = Soak(name="days", sessions_h=(96.0, 24.0, 24.0), orders_per_day=10_000, step_s=120.0, requote_s=120.0)


def test_growth_is_told_from_what_comes_and_goes_within_a_day() -> None:
    tide = [1_000 + 400 * math.sin(hour * math.pi / 12) for hour in range(96)]
    assert abs(growth_a_day(tide)) < 1e-6
    assert growth_a_day([value + 5 * hour for hour, value in enumerate(tide)]) == pytest.approx(120)
    assert growth_a_day([*tide[:50], 99_999.0, *tide[51:]]) < 1e-6
    assert growth_a_day([1, 2, 3]) == 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_instance_of_days_does_not_grow() -> None:
    result = bench_soak([DAYS])
    assert result["flat"], result["grows"]
    growth = result["growth_a_day"]["days"]
    assert growth["fds"] == 0
    assert abs(growth["objects"]) < 60  # a day has some 120 listings: not one object for each may stay
    first, second, third = result["rows"]
    assert min(row["events"] for row in result["rows"]) > 10_000
    # Names and definitions of past days are all that a snapshot grows by.
    assert third["snapshot_kib"] - second["snapshot_kib"] < 300
    assert third["fds_max"] <= first["fds_max"] + 1
