"""Latencies are counted in buckets of 0.8 %, the library's own, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.telemetry.histogram import (
    BUCKETS,
    MAX_NS,
    Histogram,
    as_hdr,
    highest_ns,
    percentile_ns,
    shares_up_to,
)

VALUES = st.one_of(st.integers(0, 1_000), st.integers(0, MAX_NS), st.integers(0, 41).map(lambda bit: 1 << bit))


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def counts_of(histogram: Histogram) -> np.ndarray:
    return np.frombuffer(histogram.counts, np.int64)


@given(st.lists(VALUES, min_size=1, max_size=50))
def test_every_value_is_counted_where_the_library_counts_it(values: list[int]):
    from hdrh.histogram import HdrHistogram

    histogram, library = histogram_of(values), HdrHistogram(1, MAX_NS, 2)
    for value in values:
        library.record_value(value)
    ours = as_hdr(counts_of(histogram))
    assert [ours.get_count_at_index(n) for n in range(BUCKETS)] == [
        library.get_count_at_index(n) for n in range(BUCKETS)
    ]
    assert (histogram.count, histogram.sum_ns, histogram.max_ns) == (len(values), sum(values), max(values))


@given(st.lists(VALUES, min_size=1, max_size=200), st.sampled_from([0.1, 50.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_within_a_hundredth_and_never_below(values: list[int], percent: float):
    values.sort()
    exact = values[max(0, int(np.ceil(percent / 100 * len(values) - 1e-9)) - 1)]
    (found,) = histogram_of(values).percentiles_ns(percent)
    assert exact <= found <= exact * (1 + 1 / 127) + 1


@given(st.lists(VALUES, max_size=50), st.lists(VALUES, max_size=50))
def test_merging_by_the_library_is_counting_all_in_one(some: list[int], others: list[int]):
    merged = as_hdr(counts_of(histogram_of(some)))
    merged.add(as_hdr(counts_of(histogram_of(others))))
    together = as_hdr(counts_of(histogram_of(some + others)))
    assert merged.get_total_count() == together.get_total_count() == len(some) + len(others)
    assert merged.get_value_at_percentile(99) == together.get_value_at_percentile(99)


def test_the_highest_value_of_each_bucket_is_counted_in_it_and_the_next_is_not():
    for bucket in (0, 1, 255, 256, 383, 384, 1_000, BUCKETS - 2):
        counts = counts_of(histogram_of([highest_ns(bucket), highest_ns(bucket) + 1]))
        assert counts[bucket] == counts[bucket + 1] == 1
    assert highest_ns(BUCKETS - 1) == MAX_NS


@pytest.mark.parametrize(("value", "bucket"), [(-5, 0), (0, 0), (MAX_NS, BUCKETS - 1), (MAX_NS + 1, BUCKETS - 1)])
def test_what_lies_outside_counts_as_the_nearest(value: int, bucket: int):
    assert np.flatnonzero(counts_of(histogram_of([value]))).tolist() == [bucket]


def test_a_second_value_outside_counts_like_the_first():
    assert counts_of(histogram_of([1 << 60, 1 << 50]))[BUCKETS - 1] == 2


def test_shares_up_to_bounds_count_whole_buckets_only():
    histogram = histogram_of([999, 1_000, 1_001, 5_000, 10**9])
    assert shares_up_to(counts_of(histogram), [100, 1_007, 10_000, 10**12]) == [0, 3, 4, 5]


def test_nothing_counted_has_percentiles_of_zero_and_clearing_forgets_all():
    histogram = histogram_of([5, 7_000])
    histogram.clear()
    assert histogram.count == histogram.sum_ns == histogram.max_ns == 0
    assert histogram.percentiles_ns(50, 100) == (0, 0)
    assert percentile_ns(counts_of(histogram), 99) == 0
