"""A journal written, closed and opened again holds every frame, one digest wherever commits fall, and one writer."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_kernel.journal import Journal, JournalError, JournalFatal, JournalLocked, recover, run_identity
from penstock_sdk.wire.segment import read_frames, scan, verify
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, pack_frame, segment_path


def record(seq: int, *, count: int = 1, origin: int = 1) -> bytes:
    body = b"".join((seq + i).to_bytes(16, "little") for i in range(count))
    return pack_frame(7, body, seq=seq, at_ns=seq, origin=origin, count=count, stride=16)


def raws(directory: Path) -> list[bytes]:
    return [bytes(view.raw) for view in read_frames(directory)]


PLAN = st.lists(
    st.tuples(st.integers(1, 4), st.booleans(), st.sampled_from(["", "", "commit", "maybe", "sync", "nowait", "open"])),
    max_size=30,
)


@given(plan=PLAN, segment_bytes=st.sampled_from([400, 1000, 1 << 20]))
@settings(max_examples=40, deadline=None)
def test_whatever_is_appended_comes_back_with_one_digest(
    plan: list[tuple[int, bool, str]], segment_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    limits: dict[str, Any] = {"segment_bytes": segment_bytes, "pending_limit_bytes": 300, "sync_every_bytes": 500}
    journal = Journal.create(directory, run=1, **limits)
    frames, seq = [], 1
    for count, diagnostic, then in plan:
        frames.append(record(seq - 1 if diagnostic else seq, count=1 if diagnostic else count, origin=128 * diagnostic))
        seq += 0 if diagnostic else count
        journal.append(frames[-1])
        if then == "commit":
            assert journal.commit() == journal.written_seq
        elif then == "maybe":
            assert journal.maybe_commit() == (not journal.pending)
        elif then == "sync":
            assert journal.sync() == journal.written_seq == journal.synced_seq
        elif then == "nowait":
            journal.wait_synced(journal.sync_nowait())
        elif then == "open":
            journal.close()
            journal = Journal.open_for_append(directory, **limits)
    journal.close()
    digest = hashlib.sha256(b"".join(frame for frame in frames if frame[7] < 128)).hexdigest()
    result = verify(directory, allow_gaps=False)
    assert raws(directory) == frames
    assert result.digest == journal.digest == digest
    assert result.sealed
    assert result.last_seq == journal.synced_seq == (seq - 1 if frames and seq > 1 else 0 if frames else -1)


def test_the_digest_does_not_depend_on_where_commits_segments_and_diagnostics_fall(tmp_path: Path) -> None:
    digests = set()
    for every, segment_bytes, noise in [(1, 500, False), (3, 1 << 20, True), (50, 2000, True), (1000, 300, False)]:
        with Journal.create(tmp_path / f"{every}", run=1, segment_bytes=segment_bytes) as journal:
            for seq in range(1, 101):
                journal.append(record(seq))
                if noise and seq % 7 == 0:
                    journal.append(record(seq, origin=0x80))
                if seq % every == 0:
                    journal.commit()
        digests |= {journal.digest, scan(journal.directory).digest}
    assert digests == {hashlib.sha256(b"".join(map(record, range(1, 101)))).hexdigest()}


def test_a_segment_rolls_at_its_size_and_every_earlier_one_is_synced(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, run=run_identity("r1"), segment_bytes=1000)
    for seq in range(40):
        journal.append(record(seq))
        journal.commit()
    index, offset = journal.position
    assert (index, journal.synced_seq) == (
        8,
        34,
    )  # a batch of one is 64 + 120 bytes, so 5 of them fit beside the header
    assert offset == SEGMENT_BYTES + 5 * 184
    journal.close()
    sizes = [segment_path(tmp_path, i).stat().st_size for i in range(1, 8)]
    assert sizes == [SEGMENT_BYTES + 5 * 184] * 7
    assert verify(tmp_path).run == run_identity("r1") != run_identity("r2")


def test_maybe_commit_counts_bytes_not_frames(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1, pending_limit_bytes=1000) as journal:
        for seq in range(15):  # 64 bytes each: 960
            journal.append(record(seq))
            assert not journal.maybe_commit()
        assert not journal.maybe_commit()
        journal.append(record(15))
        assert journal.maybe_commit()
        assert (journal.written_seq, journal.pending) == (15, [])
        journal.append(record(16, count=62))
        assert journal.maybe_commit()
        assert journal.written_seq == 77


def test_a_commit_of_nothing_writes_nothing(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1) as journal:
        assert journal.commit() == -1
        journal.append(record(4))
        assert journal.commit() == 4
        position = journal.position
        assert journal.commit() == 4
        assert journal.position == position


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1) as journal:
        journal.append(record(5))
        journal.commit()
        for frames, says in [
            ([record(5)], "records 5 to 5 in 1 frames after record 5; numbers must go up"),
            ([record(6), record(6)], "records 6 to 6 in 2 frames"),
            ([record(6)[:-1]], "63 pending bytes; every frame must be padded"),
        ]:
            journal.pending.extend(frames)
            with pytest.raises(ValueError, match=says):
                journal.commit()
            journal.pending.clear()
    assert raws(tmp_path) == [record(5)]


def test_waiting_for_a_record_that_is_not_written_is_an_error(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1) as journal:
        journal.append(record(1))
        with pytest.raises(ValueError, match="seq 1 is not written yet, the last is -1; commit it first"):
            journal.wait_synced(1)
        journal.commit()
        assert journal.synced_seq == -1
        journal.wait_synced(1)
        assert journal.synced_seq == 1


def test_a_closed_journal_takes_nothing_more_and_is_no_failure(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, run=1)
    journal.close()
    journal.close()
    assert not journal.failed
    assert journal.error is None
    for call in (lambda: journal.append(record(1)), journal.commit, journal.sync, journal.sync_nowait):
        with pytest.raises(JournalFatal, match="the journal was closed"):
            call()


def test_a_second_create_and_a_folder_without_journal_are_named(tmp_path: Path) -> None:
    Journal.create(tmp_path, run=1).close()
    with pytest.raises(JournalError, match="a journal is here already; open it for append, or start another run"):
        Journal.create(tmp_path, run=1)
    with pytest.raises(JournalError, match="no such folder; give the journal folder of a run"):
        Journal.open_for_append(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JournalError, match="no journal segment"):
        recover(tmp_path / "empty")


def test_a_segment_that_was_never_begun_is_cleared_away(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1) as journal:
        journal.append(record(1))
    left = Path(f"{segment_path(tmp_path, 2)}.new")
    left.write_bytes(b"PENS")
    assert recover(tmp_path).last_seq == 1
    assert not left.exists()


HOLDER = """
import sys
from penstock_kernel.journal import Journal
journal = Journal.create(sys.argv[1], run=1)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        for attempt in (Journal.open_for_append, recover, lambda d: Journal.create(d, run=2)):
            with pytest.raises(JournalLocked, match=f"in use by process {child.pid}; end that process") as caught:
                attempt(tmp_path)
            assert caught.value.pid == child.pid
        child.kill()
    with Journal.open_for_append(tmp_path) as journal:
        with pytest.raises(JournalLocked, match=f"in use by process {os.getpid()}"):
            recover(tmp_path)
        journal.append(record(1))
    assert raws(tmp_path) == [record(1)]
