"""A disk that errs ends the journal at once and for good: named, counted, never retried, never believed again."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.journal import Journal, JournalFatal, JournalFull, recover
from penstock_sdk.wire.segment import Walk, read_frames, scan, verify
from penstock_sdk.wire.segment_layout import pack_frame, segment_path


class FaultyDisk:
    """The module `os`, but for the calls given a plan: one entry per call, None does it rightly."""

    def __init__(self, **plans: list[Any]) -> None:
        self.plans, self.calls = plans, dict.fromkeys(plans, 0)
        self.synced = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def next(self, name: str) -> Any:
        self.calls[name] = self.calls.get(name, 0) + 1
        plan = self.plans.get(name, [])
        fault = plan.pop(0) if plan else None
        if isinstance(fault, OSError):
            raise fault
        return fault

    def writev(self, fd: int, buffers: list[Any]) -> int:
        fault = self.next("writev")
        if isinstance(fault, tuple):  # takes so many bytes, then errs at the next call
            fault, error = fault
            self.plans["writev"].insert(0, error)
        if fault is None:
            return os.writev(fd, buffers)
        return os.write(fd, b"".join(buffers)[:fault])

    def fdatasync(self, fd: int) -> None:
        try:
            self.next("fdatasync")
            os.fdatasync(fd)
        finally:
            self.synced.set()

    def fsync(self, fd: int) -> None:
        self.next("fsync")

    def ftruncate(self, fd: int, length: int) -> None:
        self.next("ftruncate")
        os.ftruncate(fd, length)


def eio() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def enospc() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def record(seq: int) -> bytes:
    return pack_frame(7, seq.to_bytes(16, "little"), seq=seq, at_ns=seq, stride=16)


def raws(directory: Path) -> list[bytes]:
    return [bytes(view.raw) for view in read_frames(directory)]


def begun(directory: Path, disk: FaultyDisk, **plans: list[Any]) -> Journal:
    """Return a journal with records 1 and 2 synced; *plans* hold from then on."""
    journal = Journal.create(directory, run=1, files=disk)
    for seq in (1, 2):
        journal.append(record(seq))
    journal.sync()
    disk.plans = plans
    return journal


def every_call(journal: Journal) -> list[Callable[[], object]]:
    return [
        lambda: journal.append(record(99)), journal.commit, journal.maybe_commit, journal.sync, journal.sync_nowait,
        lambda: journal.wait_synced(1),
    ]  # fmt: skip


def test_a_failed_sync_is_never_revived_by_one_that_succeeds(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = begun(tmp_path, disk, fdatasync=[eio()])
    journal.append(record(3))
    with pytest.raises(JournalFatal, match=r"01.pj: EIO, .*: fdatasync; last written seq 3, last synced seq 2"):
        journal.sync()
    syncs = disk.calls["fdatasync"]
    for call in every_call(journal):
        with pytest.raises(JournalFatal, match="EIO") as caught:
            call()
        assert (caught.value.errno, caught.value.written_seq, caught.value.synced_seq) == (errno.EIO, 3, 2)
    assert disk.calls["fdatasync"] == syncs
    assert (journal.failed, journal.synced_seq) == (True, 2)
    journal.close()
    assert disk.calls["fdatasync"] == syncs


def test_a_sync_that_fails_in_the_helper_ends_the_journal_too(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = begun(tmp_path, disk, fdatasync=[eio()])
    disk.synced.clear()
    journal.append(record(3))
    assert journal.sync_nowait() == 3
    assert disk.synced.wait(10)
    with pytest.raises(JournalFatal, match="EIO"):
        journal.wait_synced(3)  # waits for the helper, does not sync again
    assert (disk.calls["fdatasync"], journal.synced_seq, journal.failed) == (2, 2, True)
    journal.close()


def test_a_sync_that_waits_for_one_that_fails_does_not_sync_again(tmp_path: Path) -> None:
    """Of two fdatasync calls on one file only one is told of the error: the other would report success."""

    class SlowDisk(FaultyDisk):
        def fdatasync(self, fd: int) -> None:
            asked.set()
            assert go.wait(10)
            super().fdatasync(fd)

        def fstat(self, fd: int) -> os.stat_result:
            if asked.is_set():  # the owner is about to sync, too
                go.set()
            return os.fstat(fd)

    asked, go = threading.Event(), threading.Event()
    go.set()
    disk = SlowDisk()
    journal = begun(tmp_path, disk, fdatasync=[eio()])
    go.clear()
    asked.clear()
    journal.append(record(3))
    journal.sync_nowait()
    assert asked.wait(10)
    with pytest.raises(JournalFatal, match="EIO"):
        journal.sync()
    assert (disk.calls["fdatasync"], journal.synced_seq) == (2, 2)
    journal.close()


def test_what_is_written_while_a_sync_is_under_way_is_not_called_synced(tmp_path: Path) -> None:
    class BusyDisk(FaultyDisk):
        def fdatasync(self, fd: int) -> None:
            super().fdatasync(fd)
            if journal.written_seq == 3:
                journal.append(record(4))
                journal.commit()

    journal = Journal.create(tmp_path, run=1, files=BusyDisk())
    journal.append(record(3))
    journal.commit()
    position = journal.position[1]
    assert journal.sync() == 3
    assert (journal.synced_seq, journal.written_seq) == (3, 4)
    journal.append(record(5))
    journal.commit()
    assert [batch.commit.synced_offset for batch in Walk(tmp_path).batches()] == [64, 64, position]
    journal.close()


def test_the_helper_syncs_what_was_asked_and_the_owner_sees_it(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = begun(tmp_path, disk)
    for seq in range(3, 203):
        journal.append(record(seq))
        journal.sync_nowait()
    journal.wait_synced(202)
    assert journal.synced_seq == 202
    assert 2 <= disk.calls["fdatasync"] <= 201
    journal.close()
    assert verify(tmp_path).records == 202


def test_a_failed_write_ends_the_journal_and_recovery_keeps_what_was_whole(tmp_path: Path) -> None:
    journal = begun(tmp_path, FaultyDisk(), writev=[(100, eio())])
    journal.append(record(3))
    with pytest.raises(JournalFatal, match="EIO, .*: writing 184 bytes at offset 320; last written seq 2"):
        journal.commit()
    digest = journal.digest
    journal.close()
    found = recover(tmp_path)
    assert (found.last_seq, found.torn_bytes) == (2, 100)
    assert found.torn_file is not None
    assert found.torn_file.read_bytes()[:64] == record(3)
    assert scan(tmp_path).digest == digest


def test_short_writes_are_gone_on_with(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = begun(tmp_path, disk, writev=[1, 62, 3, 50, 68, None, 64, None])
    journal.append(record(3))
    journal.commit()
    journal.append(record(4))
    journal.commit()
    journal.close()
    assert raws(tmp_path) == [record(seq) for seq in (1, 2, 3, 4)]


def test_a_write_that_takes_nothing_is_an_error_not_a_loop(tmp_path: Path) -> None:
    journal = begun(tmp_path, FaultyDisk(), writev=[10, 0])
    journal.append(record(3))
    with pytest.raises(JournalFatal, match="EIO"):
        journal.commit()
    journal.close()


def test_a_write_that_was_reported_but_not_done_is_noticed_at_the_sync(tmp_path: Path) -> None:
    class LosingDisk(FaultyDisk):
        def writev(self, fd: int, buffers: list[Any]) -> int:
            return sum(map(len, buffers)) if self.next("writev") == "lost" else os.writev(fd, buffers)

    journal = begun(tmp_path, LosingDisk(), writev=["lost"])
    journal.append(record(3))
    journal.commit()
    with pytest.raises(JournalFatal, match="the file has 320 bytes, 504 were written; last written seq 3, last synced"):
        journal.sync()
    journal.close()


def test_a_full_disk_is_named_cut_back_and_counted_and_the_kernel_goes_on(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = begun(tmp_path, disk, writev=[(100, enospc())])
    append = journal.pending.append  # as the kernel binds it
    append(record(3))
    append(record(4))
    with pytest.raises(JournalFull, match=r"256 bytes wanted, \d+ free, the torn part is cut off again;") as caught:
        journal.commit()
    assert (caught.value.wanted_bytes, caught.value.errno) == (256, errno.ENOSPC)
    assert caught.value.free_bytes > 0
    assert (journal.failed, journal.unwritten_frames, journal.unwritten_bytes) == (True, 2, 128)
    assert segment_path(tmp_path, 1).stat().st_size == 320
    append(record(5))
    assert journal.abandon() == 3
    for call in every_call(journal):
        with pytest.raises(JournalFull):
            call()
    assert (journal.unwritten_frames, journal.pending) == (4, [])
    journal.close()
    result = verify(tmp_path)
    assert (result.last_seq, result.torn_bytes, result.digest) == (2, 0, journal.digest)


def test_a_full_disk_that_does_not_even_let_the_torn_part_go_says_so(tmp_path: Path) -> None:
    journal = begun(tmp_path, FaultyDisk(), writev=[(100, enospc())], ftruncate=[eio()])
    journal.append(record(3))
    with pytest.raises(JournalFull, match="the torn part stays"):
        journal.commit()
    journal.close()
    assert recover(tmp_path).torn_bytes == 100


def test_abandon_is_for_a_failed_journal_only(tmp_path: Path) -> None:
    with begun(tmp_path, FaultyDisk()) as journal, pytest.raises(ValueError, match="the journal works"):
        journal.abandon()


@pytest.mark.parametrize("fault", ["writev", "fsync"])
def test_a_roll_that_fails_keeps_the_old_segment_whole(tmp_path: Path, fault: str) -> None:
    disk = FaultyDisk()
    journal = Journal.create(tmp_path, run=1, segment_bytes=400, files=disk)
    journal.append(record(1))
    journal.commit()
    disk.plans = {fault: [enospc() if fault == "writev" else eio()]}
    journal.pending.extend(record(seq) for seq in range(2, 8))
    with pytest.raises(JournalFatal, match="ENOSPC|EIO"):
        journal.commit()
    journal.close()
    with Journal.open_for_append(tmp_path) as again:
        assert again.recovery is not None
        assert (again.recovery.last_seq, again.recovery.torn_bytes) == (1, 0)
        again.append(record(2))
    assert raws(tmp_path) == [record(1), record(2)]


def test_a_sync_that_fails_at_a_roll_is_fatal(tmp_path: Path) -> None:
    disk = FaultyDisk(fdatasync=[eio()])
    journal = Journal.create(tmp_path, run=1, segment_bytes=200, files=disk)
    journal.append(record(1))
    journal.commit()
    journal.append(record(2))
    with pytest.raises(JournalFatal, match="fdatasync; last written seq 1, last synced seq -1"):
        journal.commit()
    journal.close()
    assert not segment_path(tmp_path, 2).exists()


def test_a_journal_that_cannot_be_begun_is_fatal_and_lets_the_lock_go(tmp_path: Path) -> None:
    with pytest.raises(JournalFatal, match="000000000001.pj: ENOSPC, .* cannot begin the journal"):
        Journal.create(tmp_path, run=1, files=FaultyDisk(writev=[enospc()]))
    Journal.create(tmp_path, run=1).close()


def test_recovery_that_cannot_keep_the_tail_aside_changes_nothing(tmp_path: Path) -> None:
    begun(tmp_path, FaultyDisk()).close()
    file = segment_path(tmp_path, 1)
    file.write_bytes(file.read_bytes() + b"torn")
    whole = file.read_bytes()
    with pytest.raises(JournalFatal, match="recovery cannot cut the torn tail at offset 440"):
        recover(tmp_path, files=FaultyDisk(writev=[enospc()]))
    assert file.read_bytes() == whole
    found = recover(tmp_path)
    assert (found.torn_bytes, found.last_seq) == (4, 2)
    assert found.torn_file is not None
    assert found.torn_file.read_bytes() == b"torn"
