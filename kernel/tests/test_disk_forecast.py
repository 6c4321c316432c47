"""Proves that a disk's days are counted from what a run wrote, also across restarts, and that low comes and goes."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.disk import (
    DiskForecast,
    DiskLimits,
    DiskSample,
    DiskWatch,
    Written,
    find_written,
    forecast,
    history,
    low_reason,
)

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
BEGUN = 1_800_000_000 * SECOND


def put(path: Path, size: int, at_ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, ns=(at_ns, at_ns))


def test_days_left_are_free_bytes_over_the_growth_of_the_last_day() -> None:
    samples = [DiskSample(0, 0), DiskSample(DAY, 9_000), DiskSample(DAY + 6 * HOUR, 9_500), DiskSample(2 * DAY, 11_000)]
    found = forecast(samples, free_bytes=7_000)
    assert (found.bytes_per_day, found.days_left, found.used_bytes, found.free_bytes) == (2_000, 3.5, 11_000, 7_000)
    assert forecast(samples[:2], 7_000).bytes_per_day == 9_000
    assert forecast(samples, 7_000, window_ns=18 * HOUR).bytes_per_day == 2_000


def test_nothing_is_foretold_from_too_little_or_from_what_does_not_grow() -> None:
    found = forecast([DiskSample(0, 10), DiskSample(599 * SECOND, 9_999)], 1_000)
    assert (found.bytes_per_day, found.days_left) == (None, None)
    assert forecast([DiskSample(0, 10), DiskSample(600 * SECOND, 11)], 1_000).bytes_per_day == 144
    shrunk = forecast([DiskSample(0, 500), DiskSample(HOUR, 400)], 1_000)
    assert (shrunk.bytes_per_day, shrunk.days_left) == (0, None)
    with pytest.raises(ValueError, match="samples is empty; a forecast wants the one of now"):
        forecast([], 1_000)


def seen(free_bytes: int, days_left: float | None) -> DiskForecast:
    return DiskForecast(0, 0, free_bytes, 100, days_left)


def test_low_by_bytes_or_by_days_and_clear_only_with_room_to_spare() -> None:
    limits = DiskLimits(low_days=2.0, low_bytes=1_000, clear_ratio=1.5)
    assert low_reason(seen(999, None), limits, was_low=False) == "999 bytes free, wanted 1000"
    assert low_reason(seen(1_000, None), limits, was_low=False) == ""
    assert low_reason(seen(1_499, None), limits, was_low=True) == "1499 bytes free, wanted 1500"
    assert low_reason(seen(1_500, None), limits, was_low=True) == ""
    assert low_reason(seen(9_000, 1.9), limits, was_low=False) == "1.9 days left at 100 bytes a day, wanted 2"
    assert low_reason(seen(9_000, 2.0), limits, was_low=False) == ""
    assert low_reason(seen(9_000, 2.9), limits, was_low=True) == "2.9 days left at 100 bytes a day, wanted 3"


FILES = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, DAY), st.integers(0, DAY)).map(
        lambda item: Written(item[0], min(item[1:]), max(item[1:]))
    ),
    max_size=5,
)


@given(files=FILES)
def test_history_only_grows_and_ends_below_what_there_is(files: list[Written]) -> None:
    used = [sample.used_bytes for sample in history(files, 0, DAY)]
    assert used == sorted(used)
    assert used[-1] <= sum(file.size_bytes for file in files)


def test_history_spreads_a_file_over_the_time_in_which_it_was_written() -> None:
    samples = history([Written(96_000, 0, 96), Written(500, 48, 48)], 0, 96)
    assert [samples[at] for at in (0, 1, 47, 48, 95)] == [
        (0, 0), (1, 1_000), (47, 47_000), (48, 48_500), (95, 95_500),
    ]  # fmt: skip
    assert history([Written(1, 0, 1)], 5, 5) == []


def test_every_file_of_a_run_counts_and_a_segment_from_the_end_of_the_one_before(tmp_path: Path) -> None:
    put(tmp_path / "journal" / "000000000002.pj", 30, BEGUN + 9 * HOUR)
    put(tmp_path / "journal" / "000000000001.pj", 20, BEGUN + 4 * HOUR)
    put(tmp_path / "audit.jsonl", 7, BEGUN + 10 * HOUR)
    put(tmp_path / "log.txt", 5, BEGUN + 1 * HOUR)
    put(tmp_path / "lake" / "trades" / "0.parquet", 3, BEGUN - HOUR)
    assert sorted(find_written(tmp_path, BEGUN)) == [
        Written(3, BEGUN - HOUR, BEGUN - HOUR),
        Written(5, BEGUN, BEGUN + HOUR),
        Written(7, BEGUN, BEGUN + 10 * HOUR),
        Written(20, BEGUN, BEGUN + 4 * HOUR),
        Written(30, BEGUN + 4 * HOUR, BEGUN + 9 * HOUR),
    ]


class Disk:
    """A file system with so many bytes free."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def statvfs(self, _: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=self.free_bytes // 512, f_frsize=512)


def test_a_watch_knows_the_rate_at_its_first_look_after_a_restart(tmp_path: Path) -> None:
    for number in range(1, 11):  # a segment an hour
        put(tmp_path / "journal" / f"{number:012d}.pj", 1_000, BEGUN + number * HOUR)
    disk = Disk(240_128)
    watch = DiskWatch(tmp_path, begun_ns=BEGUN, statvfs=disk.statvfs, limits=DiskLimits(low_bytes=1_000))
    found = watch.sample(BEGUN + 10 * HOUR)
    assert found.bytes_per_day == 24_000
    assert found.days_left == pytest.approx(240_128 / 24_000)
    assert (found.low, found.changed) == ("", False)


def test_a_watch_says_once_when_the_disk_gets_low_and_once_when_it_has_room(tmp_path: Path) -> None:
    put(tmp_path / "journal" / "000000000001.pj", 10, BEGUN)
    disk = Disk(1 << 20)
    watch = DiskWatch(
        tmp_path, begun_ns=BEGUN, statvfs=disk.statvfs, limits=DiskLimits(low_bytes=512_000), every_ns=10 * SECOND
    )
    said = []
    for second, free_bytes in [(0, 1 << 20), (10, 102_400), (15, 1 << 20), (20, 102_400), (30, 1 << 20), (40, 1 << 20)]:
        disk.free_bytes = free_bytes
        found = watch.sample(BEGUN + second * SECOND)
        said.append((second, bool(found.low), found.changed))
    # At second 15 it does not look: 10 have not passed.
    assert said == [
        (0, False, False), (10, True, True), (15, True, False), (20, True, False), (30, False, True),
        (40, False, False),
    ]  # fmt: skip


def test_a_watch_of_days_keeps_few_samples_and_the_rate_of_the_last_day(tmp_path: Path) -> None:
    segment = tmp_path / "journal" / "000000000001.pj"
    put(segment, 0, BEGUN)
    watch = DiskWatch(tmp_path, begun_ns=BEGUN, statvfs=Disk(1 << 40).statvfs)
    for minute in range(0, 3 * 24 * 60, 5):
        grown = minute if minute < 48 * 60 else 48 * 60 + 10 * (minute - 48 * 60)
        with segment.open("r+b") as file:
            file.truncate(grown)
        found = watch.sample(BEGUN + minute * 60 * SECOND)
    assert found.bytes_per_day == pytest.approx(10 * 24 * 60, rel=0.02)
    assert len(watch._samples) <= 400
