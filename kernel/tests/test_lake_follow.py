"""Proves that the lake follows a journal while it grows, shows committed events only, and closes when the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.lake import LakeError, connect, follow, query, rebuild, tables
from penstock_kernel.lake import writer as lake_writer
from penstock_kernel.lake.tail import Tail
from penstock_kernel.lake.writer import LakeWriter, read_manifest
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import Quote, RunEnd, Trade
from penstock_sdk.schema import layout_of
from penstock_sdk.wire.frame import encoder
from penstock_sdk.wire.segment import JournalCorrupt, JournalError


def count(run_dir: Path, table: str) -> int:
    return int(query(run_dir, f'SELECT count(*) AS n FROM "{table}"')["n"][0].as_py())


class Script:
    """Stands for the time between polls: each wait does the next step; past the last one the test fails."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)

    def wait(self, _: float) -> None:
        self.steps.pop(0)()


@pytest.fixture
def running(tmp_path: Path) -> Path:
    RunInfo(id="live", status="running", pid=os.getpid()).save(tmp_path)
    return tmp_path


def test_a_tail_gives_each_batch_once_and_waits_for_its_commit(tmp_path: Path, journal_writer: Any) -> None:
    journal = journal_writer(tmp_path, batch_frames=3)
    tail = Tail(tmp_path)
    assert list(tail.poll()) == []
    for number in range(7):
        journal.add(Trade(number), 0)
    assert [batch.commit.last_seq for batch in tail.poll()] == [3, 6]
    assert list(tail.poll()) == []
    journal.commit()
    assert [batch.commit.last_seq for batch in tail.poll()] == [7]


def test_a_tail_goes_on_through_segments(tmp_path: Path, journal_writer: Any) -> None:
    journal = journal_writer(tmp_path, batch_frames=2, segment_bytes_max=1_000)
    tail = Tail(tmp_path)
    seen = []
    for number in range(60):
        journal.add(Trade(number), 0)
        if number % 7 == 0:
            seen += [batch.commit.last_seq for batch in tail.poll()]
    seen += [batch.commit.last_seq for batch in tail.poll()]
    assert seen == list(range(2, 61, 2))
    assert len(list(tmp_path.iterdir())) > 3


def test_every_cut_of_a_journal_reads_as_the_commits_before_it(tmp_path: Path, journal_writer: Any) -> None:
    journal = journal_writer(tmp_path / "whole", batch_frames=2)
    for number in range(6):
        journal.add(Trade(number), 0)
    journal.close()
    data = (tmp_path / "whole" / "000000000001.pj").read_bytes()
    ends = [batch.commit.end for batch in Tail(tmp_path / "whole").poll()]
    cut = tmp_path / "000000000001.pj"
    for size in [*range(64, len(data), 3), len(data)]:
        cut.write_bytes(data[:size])
        assert len(list(Tail(tmp_path).poll())) == sum(end <= size for end in ends)


def test_a_frame_damaged_under_its_commit_is_said(tmp_path: Path, journal_writer: Any) -> None:
    journal = journal_writer(tmp_path)
    journal.add(Trade(1, price_ticks=5), 0)
    journal.close()
    segment = tmp_path / "000000000001.pj"
    data = bytearray(segment.read_bytes())
    data[64 + 60] ^= 1
    segment.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="frame is damaged"):
        list(Tail(tmp_path).poll())


def test_a_live_run_can_be_queried_and_shows_committed_events_only(running: Path, journal_writer: Any) -> None:
    journal = journal_writer(running / "journal", batch_frames=5)
    seen: list[int] = []

    def write(trades: int) -> None:
        for number in range(trades):
            journal.add(Trade(number), 0)

    def look() -> None:
        seen.append(count(running, "trades"))

    def end() -> None:
        journal.add(RunEnd(reason="done"), 0)
        journal.commit()

    script = Script(lambda: write(12), look, lambda: write(3), look, end)
    assert follow(running, wait=script.wait, flush_s=0.0) == running / "run.duckdb"
    assert seen == [10, 15]
    assert script.steps == []
    assert count(running, "trades") == 15


def test_a_run_that_failed_is_closed_by_its_status(running: Path, journal_writer: Any) -> None:
    journal = journal_writer(running / "journal")
    journal.add(Trade(1), 0)
    journal.commit()

    def fail() -> None:
        journal.add(Trade(2), 0)
        journal.commit()
        journal.write_uncommitted(encoder(layout_of(Trade))(Trade(3), 3, 0, 0, 0, 1, 0))
        RunInfo(id="live", status="failed").save(running)

    assert follow(running, wait=Script(fail).wait) is not None
    assert count(running, "trades") == 2


def test_stop_closes_the_lake_with_what_is_committed(running: Path, journal_writer: Any) -> None:
    journal = journal_writer(running / "journal")
    journal.add(Trade(1), 0)
    journal.commit()
    stop = threading.Event()
    stop.set()
    assert follow(running, stop=stop) is not None
    assert count(running, "trades") == 1


def test_a_lake_whose_kernel_died_leaves_its_partitions(
    running: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_writer(running / "journal")
    journal.add(Trade(1), 0)
    journal.commit()
    monkeypatch.setattr(os, "getppid", iter([100, 1, 1]).__next__)
    assert follow(running, wait=Script().wait) is None
    assert not (running / "run.duckdb").exists()
    assert count(running, "trades") == 1


def test_following_and_rebuilding_give_the_same(tmp_path: Path, make_run: Any) -> None:
    run = make_run(tmp_path, steps=120, batch_frames=7, segment_bytes_max=20_000)
    follow(tmp_path, flush_s=0.0)
    with connect(tmp_path) as followed:
        first = tables(followed)
    fills = query(tmp_path, "SELECT * FROM fills ORDER BY seq")
    rebuild(tmp_path)
    with connect(tmp_path) as rebuilt:
        assert tables(rebuilt) == first
    assert query(tmp_path, "SELECT * FROM fills ORDER BY seq") == fills
    assert sum(first.values()) == run.events


def lake_files(run_dir: Path) -> dict[str, bytes]:
    """Return what stands of a run's tables."""
    return {p.name: p.read_bytes() for p in [*(run_dir / "lake").iterdir(), *run_dir.glob("run.duckdb*")]}


@pytest.mark.parametrize("closed", [True, False])
def test_a_lake_that_cannot_be_made_anew_leaves_the_old_one(tmp_path: Path, make_run: Any, closed: bool) -> None:
    made = make_run(tmp_path, steps=120, batch_frames=7)
    rebuild(tmp_path)
    if not closed:  # as a run leaves it whose kernel died
        (tmp_path / "run.duckdb").unlink()
    before = lake_files(tmp_path)
    segment = tmp_path / "journal" / "000000000001.pj"
    whole = segment.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) * 3 // 4] ^= 1
    segment.write_bytes(damaged)
    with pytest.raises(JournalCorrupt):
        rebuild(tmp_path)
    assert lake_files(tmp_path) == before
    assert count(tmp_path, "trades") == len(made.trades)
    segment.unlink()
    with pytest.raises((JournalError, LakeError)):
        rebuild(tmp_path)
    assert lake_files(tmp_path) == before


def test_a_lake_made_anew_leaves_nothing_of_the_old_one(
    tmp_path: Path, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_writer, "_PARTITION_ROWS", 50)
    made = make_run(tmp_path, steps=200)
    for _ in range(3):
        rebuild(tmp_path)
        listed = {part.file for parts in read_manifest(tmp_path / "lake").tables.values() for part in parts}
        assert {path.name for path in (tmp_path / "lake").iterdir()} == {*listed, "manifest.json", "lock"}
        assert count(tmp_path, "trades") == len(made.trades)
        (tmp_path / "run.duckdb").unlink()
        assert count(tmp_path, "trades") == len(made.trades)  # from the partitions
    (tmp_path / "lake" / "manifest.json").write_text("{")
    (tmp_path / "lake" / "trades-000001.parquet").write_bytes(b"left by a crash")
    rebuild(tmp_path)
    (tmp_path / "run.duckdb").unlink()
    assert count(tmp_path, "trades") == len(made.trades)


def test_small_partitions_are_merged_in_order(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_writer, "_MERGE_FILES", 4)
    journal = journal_writer(tmp_path / "journal", batch_frames=2)
    writer, tail = LakeWriter(tmp_path), Tail(tmp_path / "journal")
    for number in range(22):
        journal.add(Trade(number, number % 3), 0)
        for batch in tail.poll():
            writer.add(batch, tail.place.segment)
            writer.flush()
    writer.abandon()
    partitions = read_manifest(tmp_path / "lake").tables["trades"]
    assert len(partitions) < 4
    assert sum(part.rows for part in partitions) == 22
    assert sorted(path.name for path in (tmp_path / "lake").glob("*.parquet")) == sorted(p.file for p in partitions)
    assert query(tmp_path, "SELECT seq FROM trades")["seq"].to_pylist() == list(range(1, 23))


def test_two_writers_of_one_lake_do_not_meet(running: Path, journal_writer: Any) -> None:
    journal = journal_writer(running / "journal")
    journal.add(Quote(1), 0)
    journal.commit()
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(LakeError, match="is being written by another process") as error:
            rebuild(running)
        refused.append(str(error.value))
        RunInfo(id="live", status="complete").save(running)

    follow(running, wait=Script(second).wait)
    assert len(refused) == 1


def test_a_run_without_data_says_so(running: Path) -> None:
    with pytest.raises(LakeError, match="has no data yet"):
        query(running, "SELECT 1")


def test_the_process_ignores_ctrl_c_and_closes_on_sigterm(running: Path, make_run: Any) -> None:
    make_run(running, steps=40, end=False)
    RunInfo(id="live", status="running").save(running)
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_kernel.lake", str(running), "--follow"], stderr=subprocess.PIPE
    )
    try:
        manifest = running / "lake" / "manifest.json"
        wait = threading.Event().wait
        for _ in range(600):  # up to a minute: its first partitions say that its handlers stand
            if manifest.exists() or process.poll() is not None:
                break
            wait(0.1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == b""
    finally:
        process.kill()
    assert process.returncode == 0
    assert (running / "run.duckdb").exists()
