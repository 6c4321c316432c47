"""Proves that a live run is read to its last committed event, every table to the same one, whatever the lake does."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_kernel.lake import LakeError, Reader, follow, query, rebuild
from penstock_kernel.lake import reader as lake_reader
from penstock_kernel.lake import writer as lake_writer
from penstock_kernel.lake.tail import Place, Tail, journal_end
from penstock_kernel.lake.writer import LakeWriter, Manifest, read_manifest
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import Alert, Quote, Severity, Trade
from penstock_sdk.schema import Frame, layout_of
from penstock_sdk.wire.frame import encoder
from penstock_sdk.wire.segment import JournalCorrupt

KINDS = [
    lambda n: Trade(n),
    lambda n: Frame.of([Quote(n), Quote(n + 1)]),
    lambda n: Alert(code="test", severity=Severity.INFO, subject=str(n), met="m"),
]
ALL = "SELECT seq FROM trades UNION ALL SELECT seq FROM quotes UNION ALL SELECT seq FROM alerts ORDER BY seq"


def seqs(reader: Reader) -> list[int]:
    found: list[int] = reader.query(ALL)["seq"].to_pylist()
    return found


def live(run_dir: Path, status: str = "running", pid: int | None = None) -> Path:
    run_dir.mkdir(parents=True, exist_ok=True)
    RunInfo(id="live", status=status, pid=os.getpid() if pid is None else pid).save(run_dir)
    return run_dir


class LiveRun:
    """A journal, a lake writer and readers that take turns as they like."""

    def __init__(self, run_dir: Path, new_journal: Callable[..., Any]) -> None:
        self.dir = live(run_dir)
        self.journal = new_journal(run_dir / "journal", batch_frames=1 << 20, segment_bytes_max=2_000)
        self.writer = LakeWriter(run_dir)
        self.tail = Tail(run_dir / "journal")
        self.committed = 0
        self.held: list[tuple[Reader, int]] = []
        self.number = itertools.count(1)

    def commit(self) -> None:
        for _ in range(3):
            number = next(self.number)
            self.journal.add(KINDS[number % 3](number), number)
        self.journal.commit()
        self.committed = self.journal.seq - 1

    def take(self) -> None:
        for batch in self.tail.poll():
            self.writer.add(batch, self.tail.place.segment)

    def flush(self) -> None:
        self.writer.flush()

    def publish(self) -> None:
        self.commit()
        self.take()
        self.flush()

    def open(self) -> None:
        if self.committed:
            self.held.append((Reader(self.dir), self.committed))

    def refresh(self) -> None:
        for place, (reader, seen) in enumerate(self.held):
            assert reader.refresh() == (self.committed > seen)
            self.held[place] = reader, self.committed

    def check(self) -> None:
        for reader, seen in self.held:
            assert (reader.last_seq, seqs(reader)) == (seen, list(range(1, seen + 1)))

    def close(self) -> None:
        self.journal.close()
        self.writer.abandon()
        for reader, _ in self.held:
            reader.close()


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["publish", "commit", "take", "flush", "open", "refresh"]), min_size=6, max_size=24))
def test_every_reader_sees_each_event_up_to_its_own_and_none_after(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake_writer, "_MERGE_FILES", 2)  # partitions are merged away under the readers
        patch.setattr(lake_reader, "_TAIL_EVENTS_MAX", 8)
        run = LiveRun(tmp_path_factory.mktemp("live"), sys.modules["penstock_make_run"].JournalWriter)
        try:
            for step in steps:
                getattr(run, step)()
                run.check()
        finally:
            run.close()


def test_a_reader_keeps_its_cut_when_its_partitions_are_merged_away(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_writer, "_MERGE_FILES", 2)
    run = LiveRun(tmp_path, journal_writer)
    run.publish()
    run.commit()
    run.open()  # its last rows stand in the journal alone
    before = set((tmp_path / "lake").glob("*.parquet"))
    run.publish()
    assert before.isdisjoint((tmp_path / "lake").glob("*.parquet"))
    run.commit()
    run.check()  # opened again, at the same event: the new partitions reach further, and the journal even more so
    run.refresh()
    run.check()
    run.close()


def test_a_reader_that_was_opened_again_goes_on_with_the_event_after_its_cut(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_writer, "_MERGE_FILES", 2)
    run = LiveRun(tmp_path, journal_writer)
    for step in ("publish", "commit", "take", "open", "commit", "flush", "check", "refresh", "check"):
        getattr(run, step)()
    run.close()


def test_what_is_not_committed_is_not_there(tmp_path: Path, journal_writer: Any) -> None:
    live(tmp_path)
    journal = journal_writer(tmp_path / "journal")
    journal.add(Trade(1), 0)
    journal.commit()
    with Reader(tmp_path) as reader:
        assert (seqs(reader), reader.live, reader.tail_events) == ([1], True, 1)
        journal.add(Trade(2), 0)
        journal.write_uncommitted(encoder(layout_of(Trade))(Trade(3), 2, 0, 0, 0, 1, 0))
        assert not reader.refresh()
        assert seqs(reader) == [1]


def test_a_crashed_run_is_read_to_its_last_commit_and_damage_behind_is_told(
    tmp_path: Path, journal_writer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = journal_writer(tmp_path / "journal", batch_frames=1)
    for number in range(3):
        journal.add(Trade(number), 0)
    ends = [batch.commit.end for batch in Tail(tmp_path / "journal").poll()]
    segment = tmp_path / "journal" / "000000000001.pj"
    data = bytearray(segment.read_bytes())
    data[ends[1] + 50] ^= 1  # as a power loss may leave it, which kept the commit and lost the frame
    segment.write_bytes(data)
    live(tmp_path, pid=0)
    with Reader(tmp_path) as reader:
        assert (seqs(reader), reader.last_seq) == ([1, 2], 2)
    assert "frame is damaged" in capsys.readouterr().err
    live(tmp_path)
    with pytest.raises(JournalCorrupt, match="frame is damaged"):
        Reader(tmp_path)


def test_a_lake_that_does_not_say_where_it_ends_is_gone_on_from_its_last_event(
    tmp_path: Path, journal_writer: Any
) -> None:
    run = LiveRun(tmp_path, journal_writer)
    run.publish()
    run.commit()
    manifest = read_manifest(tmp_path / "lake")
    manifest.segment = manifest.offset = 0  # as 0.1.0 wrote it
    (tmp_path / "lake" / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    run.open()
    run.check()
    assert run.held[0][0].tail_events == run.committed // 2
    run.close()


def test_a_run_that_goes_on_without_a_lake_is_read_past_its_closed_tables(tmp_path: Path, journal_writer: Any) -> None:
    live(tmp_path)
    journal = journal_writer(tmp_path / "journal")
    journal.add(Trade(1), 0)
    journal.commit()
    rebuild(tmp_path)
    with Reader(tmp_path) as reader:
        assert (seqs(reader), reader.live) == ([1], False)
    journal.add(Trade(2), 0)
    journal.commit()
    with Reader(tmp_path) as reader:
        assert (seqs(reader), reader.tail_events) == ([1, 2], 1)
    live(tmp_path, status="complete")  # then its lake is what was closed
    assert query(tmp_path, ALL)["seq"].to_pylist() == [1]


def test_a_manifest_that_is_overtaken_is_read_again(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = LiveRun(tmp_path, journal_writer)
    monkeypatch.setattr(lake_writer, "_MERGE_FILES", 2)
    old: list[Manifest] = []
    for _ in range(2):
        run.publish()
        old.append(read_manifest(tmp_path / "lake"))
    files = {part.file for parts in old[0].tables.values() for part in parts}
    assert files and not any((tmp_path / "lake" / file).exists() for file in files)
    monkeypatch.setattr(lake_reader, "read_manifest", lambda _: old.pop(0))
    run.open()
    assert old == []
    monkeypatch.undo()
    run.check()
    run.close()


def test_partitions_that_stay_away_are_told(tmp_path: Path, journal_writer: Any) -> None:
    run = LiveRun(tmp_path, journal_writer)
    run.publish()
    run.open()
    files = {path: path.read_bytes() for path in (tmp_path / "lake").glob("*.parquet")}
    for path in files:
        path.unlink()
    for ask in (lambda: run.held[0][0].query(ALL), lambda: Reader(tmp_path)):
        with pytest.raises(LakeError, match="cannot be read"):
            ask()
    for path, content in files.items():
        path.write_bytes(content)
    run.check()
    run.commit()
    run.refresh()
    run.check()
    run.close()


def test_every_manifest_is_a_cut_also_when_a_table_was_full_or_merged(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_writer, "_MERGE_FILES", 3)
    monkeypatch.setattr(lake_writer, "_PARTITION_ROWS", 5)
    monkeypatch.setattr(lake_writer, "_CHUNK_FRAMES", 1)
    run = LiveRun(tmp_path, journal_writer)
    for number in range(40):
        run.commit()
        run.take()
        if number % 3 == 0:
            run.flush()
        manifest = read_manifest(tmp_path / "lake")
        rows = sum(part.rows for parts in manifest.tables.values() for part in parts)
        assert rows == manifest.last_seq  # one row an event, and they are numbered from 1
    run.open()
    run.check()
    run.close()


def test_a_poll_ends_where_the_journal_did_when_it_began(tmp_path: Path, journal_writer: Any) -> None:
    journal = journal_writer(tmp_path, batch_frames=1, segment_bytes_max=700)
    for number in range(5):
        journal.add(Trade(number), 0)
    tail, end = Tail(tmp_path), journal_end(tmp_path)
    seen = []
    for batch in tail.poll(end):
        seen.append(batch.commit.last_seq)
        journal.add(Trade(9), 0)  # the kernel never rests
    assert seen == [1, 2, 3, 4, 5]
    assert [batch.commit.last_seq for batch in Tail(tmp_path, tail.place).poll()] == [6, 7, 8, 9, 10]


def test_a_long_tail_is_said_once(
    tmp_path: Path, journal_writer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lake_reader, "_LONG_TAIL_BYTES", 300)
    live(tmp_path)
    journal = journal_writer(tmp_path / "journal", batch_frames=1)
    for number in range(9):
        journal.add(Trade(number), 0)
    with Reader(tmp_path) as reader:
        assert "`penstock report" in capsys.readouterr().err
        for number in range(9):
            journal.add(Trade(number), 0)
        reader.refresh()
        assert seqs(reader) == list(range(1, 19))
    assert capsys.readouterr().err == ""


def test_a_journal_without_an_event_has_no_data_yet(tmp_path: Path, journal_writer: Any) -> None:
    live(tmp_path)
    journal_writer(tmp_path / "journal")
    assert journal_end(tmp_path / "none") == Place()
    with pytest.raises(LakeError, match="has no data yet"):
        Reader(tmp_path)


def test_a_damaged_manifest_is_told(tmp_path: Path, journal_writer: Any) -> None:
    live(tmp_path)
    journal_writer(tmp_path / "journal")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "manifest.json").write_text("{")
    with pytest.raises(LakeError, match="manifest.json is damaged"):
        Reader(tmp_path)


def test_a_reader_goes_on_into_the_end_of_the_run(tmp_path: Path, make_run: Any) -> None:
    made = make_run(tmp_path, steps=60, end=False, batch_frames=7)
    live(tmp_path)
    with Reader(tmp_path) as reader:
        assert reader.last_seq == made.events
        before = reader.query("SELECT * FROM fills ORDER BY seq")
        made.info.status = "complete"
        made.info.save(tmp_path)
        follow(tmp_path)
        assert not reader.refresh()
        assert reader.query("SELECT * FROM fills ORDER BY seq") == before
    with Reader(tmp_path) as closed:
        assert not closed.live
        assert closed.last_seq == made.events
        assert closed.query("SELECT * FROM fills ORDER BY seq") == before
