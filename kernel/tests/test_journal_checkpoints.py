"""A checkpoint makes recovery short and never wrong: same digest, same records, whatever happened to files."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_kernel.checkpoints import Checkpoint, read_checkpoints, write_checkpoint
from penstock_kernel.journal import Journal, JournalFatal, recover
from penstock_sdk.wire.segment import JournalCorrupt, JournalError, read_frames, scan, verify
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, SegmentHeader, pack_commit, pack_frame, segment_path

STRETCH = 65_536
SECTOR = 512


class QuickDisk:
    """`os` without the waiting."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fdatasync(self, fd: int) -> None:
        """Nothing to wait for."""

    fsync = fdatasync


def record(seq: int, *, diagnostic: bool = False) -> bytes:
    """Return a record whose content follows from its number."""
    rng = random.Random(seq)
    return pack_frame(7, rng.randbytes(rng.choice([8, 40, 200])), seq=seq, at_ns=seq, origin=0x80 if diagnostic else 1)


def model(frames: Iterable[bytes]) -> str:
    """Return the digest by the rule as the document has it."""
    digest, body, stretch = b"", b"", None
    for frame in frames:
        if frame[7] >= 128:
            continue
        number = int.from_bytes(frame[8:16], "little") // STRETCH
        if stretch is not None and number != stretch:
            digest, body = hashlib.sha256(digest + body).digest(), b""
        stretch = number
        body += frame
    return hashlib.sha256(digest + body).hexdigest()


def raws(directory: Path) -> list[bytes]:
    return [bytes(view.raw) for view in read_frames(directory)]


def make(directory: Path, numbers: Iterable[int], *, checkpoint_at: int = -1, **limits: Any) -> Journal:
    """Return an open journal with a record of each number, committed by threes."""
    journal = Journal.create(directory, run=5, files=QuickDisk(), **limits)
    for count, seq in enumerate(numbers):
        journal.append(record(seq))
        if count % 3 == 2:
            journal.commit()
        if count == checkpoint_at:
            assert journal.checkpoint() is not None
    journal.commit()
    return journal


STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 5, 20_000, 65_536, 150_000]),
        st.sampled_from(["", "", "", "noise", "commit", "sync", "check", "crash", "close"]),
    ),
    max_size=40,
)


@given(steps=STEPS, segment_bytes=st.sampled_from([700, 2_000, 1 << 20]))
@settings(max_examples=60, deadline=None)
def test_every_way_to_the_digest_gives_the_same(
    steps: list[tuple[int, str]], segment_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    limits: dict[str, Any] = {"segment_bytes": segment_bytes, "files": QuickDisk()}
    journal = Journal.create(directory, run=1, **limits)
    frames: list[bytes] = []
    seq = 0
    for step, then in steps:
        seq += step
        frames.append(record(seq))
        journal.append(frames[-1])
        if then == "noise":
            frames.append(record(seq, diagnostic=True))
            journal.append(frames[-1])
        elif then == "check":
            journal.checkpoint()
        elif then:
            journal.sync() if then == "sync" else journal.commit()
        if then in ("crash", "close"):
            journal.abort() if then == "crash" else journal.close()
            journal = Journal.open_for_append(directory, **limits)
            assert journal.digest == model(frames)
    journal.commit()
    assert journal.digest == model(frames)
    journal.abort()
    quick, whole = recover(directory, files=QuickDisk()), recover(directory, files=QuickDisk(), whole=True)
    assert quick.chain.digest() == whole.chain.digest()
    assert quick.chain.digest().hex() == scan(directory).digest == model(frames)
    assert (quick.last_seq, quick.restart_at, quick.size_bytes) == (whole.last_seq, whole.restart_at, whole.size_bytes)
    assert (quick.missing_seq, quick.passed_over) == (-1, [])
    assert raws(directory) == frames


def test_recovery_reads_from_the_checkpoint_on_and_a_whole_one_from_the_beginning(tmp_path: Path) -> None:
    numbers = [*range(10), *range(STRETCH, STRETCH + 5), *range(3 * STRETCH, 3 * STRETCH + 7)]
    make(tmp_path, numbers, checkpoint_at=len(numbers) - 2).abort()
    found = recover(tmp_path)
    assert found.checkpoint is not None
    assert (found.checkpoint.restart_seq, found.scan.frames, found.last_seq) == (3 * STRETCH, 7, 3 * STRETCH + 6)
    whole = recover(tmp_path, whole=True)
    assert (whole.checkpoint, whole.scan.frames) == (None, len(numbers))
    assert whole.chain.digest() == found.chain.digest()


def test_a_run_of_less_than_a_stretch_has_no_checkpoint_and_a_long_one_keeps_two(tmp_path: Path) -> None:
    journal = make(tmp_path, range(10))
    assert journal.checkpoint() is None
    for stretch in range(1, 5):
        journal.append(record(stretch * STRETCH))
        assert journal.checkpoint() == tmp_path / f"{stretch * STRETCH:012d}.check"
        assert journal.checkpoint() is None
        journal.append(record(stretch * STRETCH + 1))
        assert journal.checkpoint() is None  # the same stretch: a recovery would begin at the same place
    journal.close()
    assert [path.name for path, _ in read_checkpoints(tmp_path)] == ["000000262144.check", "000000196608.check"]


def test_a_clean_close_and_a_recovery_leave_a_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, [1, STRETCH, STRETCH + 1]).close()
    assert [path.name for path, _ in read_checkpoints(tmp_path)] == ["000000065536.check"]
    (tmp_path / "000000065536.check").unlink()
    with Journal.open_for_append(tmp_path) as journal:
        assert journal.recovery is not None
        assert journal.recovery.checkpoint is None
        assert [path.name for path, _ in read_checkpoints(tmp_path)] == ["000000065536.check"]


def test_a_crash_at_any_byte_of_a_checkpoints_writing_costs_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    journal = make(whole, [0, 1, STRETCH, STRETCH + 1])
    older = journal.checkpoint()
    for seq in (2 * STRETCH, 2 * STRETCH + 1):
        journal.append(record(seq))
    newer = journal.checkpoint()
    journal.abort()
    assert older is not None
    assert newer is not None
    wanted, digest = raws(whole), scan(whole).digest
    data = newer.read_bytes()
    directory = tmp_path / "cut"
    # Before the rename the file is called .new; after it, a disk that lies may have lost any part of it.
    for cut in range(len(data) + 1):
        for name in (f"{newer.name}.new", newer.name):
            shutil.copytree(whole, directory, ignore=shutil.ignore_patterns("lock", newer.name))
            (directory / name).write_bytes(data[:cut])
            found = recover(directory, files=QuickDisk())
            begun = newer if name == newer.name and cut == len(data) else older
            assert found.checkpoint == read_checkpoints(whole)[0 if begun is newer else 1][1]
            assert (found.chain.digest().hex(), found.last_seq, found.missing_seq) == (digest, 2 * STRETCH + 1, -1)
            left = {path.name for path in directory.iterdir()} - {"lock", "000000000001.pj", older.name}
            assert left == ({newer.name} if begun is newer else set())
            assert raws(directory) == wanted
            shutil.rmtree(directory)


def test_a_flip_in_any_byte_of_a_checkpoint_is_seen(tmp_path: Path) -> None:
    journal = make(tmp_path, [0, 1, STRETCH, STRETCH + 1])
    path = journal.checkpoint()
    journal.abort()
    assert path is not None
    data = path.read_bytes()
    digest = scan(tmp_path).digest
    rng = random.Random(2)
    for at in range(len(data)):
        image = bytearray(data)
        image[at] ^= 1 << rng.randrange(8)
        path.write_bytes(image)
        found = recover(tmp_path, files=QuickDisk())
        assert (found.checkpoint, found.passed_over, found.chain.digest().hex()) == (None, [path], digest)
        assert not path.exists()


def history(directory: Path, rng: random.Random) -> tuple[list[int], int, int, int]:
    """Write at random and crash; return (numbers, how many synced, bytes of the last file synced, checkpoints)."""
    journal = Journal.create(
        directory, run=9, files=QuickDisk(), segment_bytes=rng.choice([3000, 1 << 20]), sync_every_bytes=0
    )
    numbers: list[int] = []
    synced, synced_at, checkpoints = 0, (1, SEGMENT_BYTES), 0
    for _ in range(rng.randint(1, 30)):
        for _ in range(rng.randint(1, 6)):
            numbers.append((numbers[-1] if numbers else 0) + rng.choice([1, 1, 1, 9_000]))
            journal.append(record(numbers[-1]))
        before = len(numbers) - len(journal.pending)
        journal.commit()
        if journal.position[0] != synced_at[0]:  # a roll has synced all before this batch
            synced, synced_at = before, (journal.position[0], SEGMENT_BYTES)
        if rng.random() < 0.3:
            checkpoints += journal.checkpoint() is not None
            synced, synced_at = len(numbers), journal.position
    journal.abort()
    return numbers, synced, synced_at[1], checkpoints


def lose_power(data: bytes, kept: int, rng: random.Random) -> bytes:
    """Return what a disk may hold: all up to *kept*, then any subset of the sectors, cut anywhere."""
    image = bytearray(data)
    for start in range(kept // SECTOR * SECTOR, len(image), SECTOR):
        if rng.random() < 0.4:
            lost = slice(max(start, kept), min(start + SECTOR, len(image)))
            image[lost] = bytes(lost.stop - lost.start)
    return bytes(image[: rng.randint(kept, len(image))] if rng.random() < 0.7 else image)


def test_power_loss_with_checkpoints_costs_no_synced_record_and_changes_no_digest(tmp_path: Path) -> None:
    lost = used = torn_checkpoints = 0
    for seed in range(60):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        numbers, synced, kept, _ = history(directory, rng)
        last = max(directory.glob("*.pj"))
        data = last.read_bytes()
        for _ in range(6):
            last.write_bytes(lose_power(data, kept, rng))
            # The power goes within a write of the next checkpoint: any part of it, not yet renamed.
            part = directory / f"{rng.randrange(1 << 20):012d}.check.new"
            part.write_bytes(rng.randbytes(rng.randrange(300)))
            names = {path.name for path, _ in read_checkpoints(directory)}
            found = recover(directory, files=QuickDisk())
            records = sum(number <= found.last_seq for number in numbers)
            lost += len(numbers) - records
            used += found.checkpoint is not None
            torn_checkpoints += not part.exists()
            assert synced <= records <= len(numbers), f"seed {seed}"
            assert found.missing_seq == -1, f"seed {seed}"
            assert {path.name for path, _ in read_checkpoints(directory)} == names, f"seed {seed}"
            expected = [record(number) for number in numbers[:records]]
            assert raws(directory) == expected, f"seed {seed}"
            assert found.chain.digest().hex() == verify(directory).digest == model(expected), f"seed {seed}"
        with Journal.open_for_append(directory, files=QuickDisk()) as journal:
            journal.append(record(found.last_seq + STRETCH))
        assert verify(directory).digest == journal.digest == model([*expected, record(found.last_seq + STRETCH)])
    assert (lost > 300, used > 100, torn_checkpoints) == (True, True, 360)  # the model does bite


def test_checkpoints_that_are_not_of_these_segments_are_passed_over(tmp_path: Path) -> None:
    numbers = [0, 1, STRETCH, STRETCH + 1, 2 * STRETCH]
    journal = make(tmp_path / "own", numbers, checkpoint_at=4)
    journal.close()
    own = read_checkpoints(tmp_path / "own")[0][1]
    assert own is not None
    other = make(tmp_path / "other", [0, 2, STRETCH, STRETCH + 1, 2 * STRETCH], checkpoint_at=4)  # as long, another run
    other.close()
    foreign = read_checkpoints(tmp_path / "other")[0][1]
    assert foreign is not None
    assert (foreign.segment, foreign.offset, foreign.restart_seq) == (own.segment, own.offset, own.restart_seq)
    changed = [
        {"run": 6}, {"segment": 2}, {"segment": 0}, {"offset": own.offset + 8}, {"offset": own.offset + 4},
        {"offset": 0}, {"offset": 1 << 40}, {"restart_seq": own.restart_seq + 1}, {"restart_seq": STRETCH},
        {"seed": foreign.seed}, {"seed": "00" * 32},
    ]  # fmt: skip
    for change in changed:
        fields = {name: getattr(own, name) for name in own.__struct_fields__}
        path = write_checkpoint(tmp_path / "own", Checkpoint(**{**fields, **change}))
        found = recover(tmp_path / "own", files=QuickDisk())
        assert found.checkpoint is None, change
        assert found.passed_over == [path], change
        assert found.chain.digest().hex() == journal.digest
        assert not path.exists()
    path = write_checkpoint(tmp_path / "own", own)
    assert recover(tmp_path / "own").checkpoint == own
    path.rename(path.with_name("000000999999.check"))
    assert recover(tmp_path / "own").checkpoint is None


def test_an_older_checkpoint_serves_where_the_newest_cannot(tmp_path: Path) -> None:
    journal = make(tmp_path, [0, 1, STRETCH, STRETCH + 1], checkpoint_at=3)
    journal.append(record(2 * STRETCH))
    newest = journal.checkpoint()
    journal.abort()
    assert newest is not None
    newest.write_bytes(b"")
    found = recover(tmp_path)
    assert found.checkpoint is not None
    # Its batch is of the records 0, 1 and STRETCH, then come two of one record.
    assert (found.checkpoint.restart_seq, found.scan.frames) == (STRETCH, 5)


@pytest.mark.parametrize("before_restart", [True, False])
def test_a_lost_tail_that_a_checkpoint_had_vouched_for_is_reported(tmp_path: Path, before_restart: bool) -> None:
    journal = make(tmp_path, [0, 1, 2])
    early = journal.position[1]
    journal.append(record(STRETCH))
    journal.commit()
    late = journal.position[1]
    journal.append(record(STRETCH + 1))
    assert journal.checkpoint() is not None
    journal.abort()
    segment = segment_path(tmp_path, 1)
    segment.write_bytes(segment.read_bytes()[: early if before_restart else late])
    found = recover(tmp_path, files=QuickDisk())
    assert (found.last_seq, found.missing_seq, found.torn_bytes) == (2 if before_restart else STRETCH, STRETCH + 1, 0)
    assert (found.checkpoint is None) == before_restart
    expected = [record(seq) for seq in ([0, 1, 2] if before_restart else [0, 1, 2, STRETCH])]
    assert raws(tmp_path) == expected
    # It goes on with other records in that place, and nothing old is believed of them.
    with Journal.open_for_append(tmp_path, files=QuickDisk()) as again:
        for seq in (STRETCH + 7, STRETCH + 8):
            again.append(record(seq))
            expected.append(record(seq))
    assert recover(tmp_path, files=QuickDisk()).chain.digest().hex() == model(expected) == scan(tmp_path).digest


def test_damage_behind_the_checkpoint_is_corruption_and_before_it_a_whole_pass_finds_it(tmp_path: Path) -> None:
    numbers = [0, 1, 2, STRETCH, STRETCH + 1, STRETCH + 2, STRETCH + 3]
    journal = make(tmp_path, numbers, checkpoint_at=5)
    journal.close()
    segment = segment_path(tmp_path, 1)
    whole = segment.read_bytes()
    for seq, quick_finds in [(1, False), (STRETCH + 1, True), (STRETCH + 3, True)]:
        image = bytearray(whole)
        image[whole.index(record(seq)) + 50] ^= 1
        segment.write_bytes(image)
        at = whole.index(record(seq))
        with pytest.raises(JournalCorrupt, match=f"offset {at}, .*: frame is damaged"):
            recover(tmp_path, whole=True)
        if quick_finds:
            # In the batch that the checkpoint names, or behind it; the first has the checkpoint passed over.
            with pytest.raises(JournalCorrupt, match=f"offset {at}, .*: frame is damaged"):
                recover(tmp_path)
        else:
            assert recover(tmp_path).last_seq == STRETCH + 3
        assert segment.read_bytes() == image
        assert [path.name for path, _ in read_checkpoints(tmp_path)] == ["000000065536.check"]


def test_an_old_segment_may_be_elsewhere_behind_a_link_and_one_that_is_gone_is_named(tmp_path: Path) -> None:
    numbers = [*range(30), STRETCH, STRETCH + 1]
    journal = make(tmp_path / "journal", numbers, checkpoint_at=31, segment_bytes=1_000)
    journal.close()
    directory, digest = tmp_path / "journal", journal.digest
    first = segment_path(directory, 1)
    moved = tmp_path / "archive.pj"
    shutil.move(first, moved)
    with pytest.raises(JournalCorrupt, match="segment 2 stands where segment 1 should; one is missing or renamed"):
        recover(directory)
    first.symlink_to(moved)
    assert recover(directory).checkpoint is not None
    assert verify(directory).digest == digest
    assert raws(directory) == [record(seq) for seq in numbers]
    moved.unlink()
    for reader in (recover, scan):
        with pytest.raises(JournalError, match="000000000001.pj: this segment is not there; bring the file back"):
            reader(directory)
    with pytest.raises(JournalCorrupt, match="000000000001.pj: .* segment 1 should stand here; it is missing"):
        list(read_frames(directory, from_seq=STRETCH))


def test_a_journal_of_format_1_goes_on_and_its_next_segment_has_stretches(tmp_path: Path) -> None:
    old = [record(seq) for seq in (0, 1, STRETCH, STRETCH + 1)]
    plain = hashlib.sha256(b"".join(old))
    data = SegmentHeader(1, 5, hashlib.sha256().digest(), 0, version=1).pack()
    body = b"".join(old)
    data += body + pack_commit(
        old, offset=len(data) + len(body), batch_bytes=len(body), at_ns=0, synced_offset=0, first_seq=0,
        last_seq=STRETCH + 1, sha256=plain.digest(),
    )  # fmt: skip
    segment_path(tmp_path, 1).write_bytes(data)
    assert verify(tmp_path).digest == plain.hexdigest()
    journal = Journal.open_for_append(tmp_path, segment_bytes=len(data) + 400)
    assert journal.digest == plain.hexdigest()
    journal.append(record(2 * STRETCH))  # still in the first segment: the plain hash goes on
    plain.update(record(2 * STRETCH))
    journal.commit()
    assert journal.position[0] == 1
    assert (journal.digest, journal.checkpoint()) == (plain.hexdigest(), None)
    new = [record(2 * STRETCH + 1), record(2 * STRETCH + 2), record(2 * STRETCH + 3)]
    journal.pending.extend(new)
    journal.commit()  # the second segment, the same stretch
    assert journal.position[0] == 2
    plain.update(b"".join(new))
    assert journal.digest == plain.hexdigest()
    journal.append(record(3 * STRETCH))
    digest = hashlib.sha256(plain.digest() + record(3 * STRETCH)).hexdigest()
    assert journal.checkpoint() == tmp_path / f"{3 * STRETCH:012d}.check"
    assert journal.digest == digest
    journal.abort()
    quick, whole = recover(tmp_path), recover(tmp_path, whole=True)
    assert quick.checkpoint is not None
    assert whole.chain.digest().hex() == quick.chain.digest().hex() == scan(tmp_path).digest == digest
    with Journal.open_for_append(tmp_path) as again:
        assert again.digest == digest


class FullDisk(QuickDisk):
    """A disk without room for anything but segments."""

    full = False

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        if self.full and ".check" in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.open(path, flags, mode)


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_journal_goes_on(tmp_path: Path) -> None:
    disk = FullDisk()
    journal = Journal.create(tmp_path, run=1, files=disk)
    for seq in (0, STRETCH):
        journal.append(record(seq))
    disk.full = True
    with pytest.raises(OSError, match="No space"):
        journal.checkpoint()
    assert not journal.failed
    assert journal.synced_seq == STRETCH
    journal.append(record(STRETCH + 1))
    journal.close()
    assert verify(tmp_path).sealed
    assert read_checkpoints(tmp_path) == []
    with Journal.open_for_append(tmp_path, files=disk) as again:
        assert again.written_seq == STRETCH + 1


class NotingDisk:
    """`os`, which notes what is done to checkpoints, and every sync."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.names: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        self.names[fd] = Path(path).name
        return fd

    def writev(self, fd: int, buffers: list[Any]) -> int:
        self.calls.append(f"write {self.names[fd]}")
        return os.writev(fd, buffers)

    def fdatasync(self, fd: int) -> None:
        self.calls.append(f"fdatasync {self.names[fd]}")

    def fsync(self, fd: int) -> None:
        self.calls.append(f"fsync {self.names[fd]}")

    def rename(self, source: str, target: str) -> None:
        self.calls.append(f"rename {Path(target).name}")
        os.rename(source, target)


def test_a_checkpoint_is_written_after_the_sync_it_vouches_for_and_named_after_its_own(tmp_path: Path) -> None:
    disk = NotingDisk()
    journal = Journal.create(tmp_path / "journal", run=1, files=disk)
    journal.append(record(0))
    journal.append(record(STRETCH))
    disk.calls.clear()
    journal.checkpoint()
    segment, check = "000000000001.pj.new", "000000065536.check"
    assert disk.calls == [
        f"write {segment}", f"fdatasync {segment}", f"write {check}.new", f"fsync {check}.new", f"rename {check}",
        "fsync journal",
    ]  # fmt: skip
    journal.close()


class Platter(QuickDisk):
    """A disk whose content differs from what the page cache gives; or one that cannot be read past the cache."""

    def __init__(self, *, lies: bool = False, direct: bool = True, sync: OSError | None = None) -> None:
        self.lies, self.direct, self.sync = lies, direct, sync
        self.calls: list[str] = []

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            if not self.direct:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            flags &= ~os.O_DIRECT  # the model's own disk needs no such way
        return os.open(path, flags, mode)

    def fsync(self, fd: int) -> None:
        self.calls.append("fsync")
        if self.sync is not None:
            raise self.sync

    def posix_fadvise(self, fd: int, offset: int, length: int, advice: int) -> None:
        self.calls.append(f"drop {offset} {length} {advice == os.POSIX_FADV_DONTNEED}")

    def preadv(self, fd: int, buffers: list[Any], offset: int) -> int:
        self.calls.append("direct")
        taken = os.preadv(fd, buffers, offset)
        if self.lies and taken:
            buffers[0][taken - 1] ^= 1
        return taken


def test_recovery_drops_the_cache_and_refuses_what_the_disk_does_not_hold(tmp_path: Path) -> None:
    make(tmp_path, range(4)).abort()
    data = segment_path(tmp_path, 1).read_bytes()
    disk = Platter()
    assert recover(tmp_path, files=disk).last_seq == 3
    assert disk.calls[:3] == ["fsync", "drop 0 0 True", "direct"]
    disk = Platter(direct=False)
    assert recover(tmp_path, files=disk).last_seq == 3
    assert "direct" not in disk.calls
    with pytest.raises(JournalFatal, match=r"bytes 0 to \d+ are not on the disk as they are read.* end it"):
        recover(tmp_path, files=Platter(lies=True))
    with pytest.raises(JournalFatal, match="EIO.*reading it from the disk, before recovery"):
        recover(tmp_path, files=Platter(sync=OSError(errno.EIO, "x")))
    assert segment_path(tmp_path, 1).read_bytes() == data


def test_only_what_no_sync_had_vouched_for_is_read_twice(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, run=1, files=QuickDisk())
    for seq in range(400):
        journal.append(record(seq))
    journal.sync()
    synced = journal.position[1]
    journal.append(record(400))
    journal.commit()
    journal.abort()
    disk = Platter()
    recover(tmp_path, files=disk)
    assert synced > 16_384
    assert disk.calls[1] == f"drop {synced // 4096 * 4096} 0 True"
