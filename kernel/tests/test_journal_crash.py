"""No crash loses a synced record or brings back a changed one: torn tails, power loss, flipped bits, kill -9."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.journal import Journal, recover
from penstock_sdk.wire.segment import JournalCorrupt, read_frames, scan, verify
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, pack_frame, segment_path

SECTOR = 512
KILL_ROUNDS = 10


class QuickDisk:
    """`os` without the waiting: the power-loss model decides by itself what a sync has kept."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fdatasync(self, fd: int) -> None:
        """Nothing to wait for."""

    fsync = fdatasync


def record(seq: int) -> bytes:
    """Return record *seq*, whose content follows from its number; some are diagnostic, some are large."""
    rng = random.Random(seq)
    body = rng.randbytes(rng.choice([8, 40, 100, 100, 700]))
    return pack_frame(rng.randrange(50), body, seq=seq, at_ns=seq, origin=0x80 if rng.random() < 0.1 else 1)


def raws(directory: Path) -> list[bytes]:
    return [bytes(view.raw) for view in read_frames(directory)]


def grows_on(directory: Path, kept: int) -> None:
    """The recovered journal takes the next records, and holds all of them with the right digest."""
    with Journal.open_for_append(directory, files=QuickDisk()) as journal:
        assert journal.written_seq == journal.synced_seq == kept - 1
        for seq in range(kept, kept + 3):
            journal.append(record(seq))
    assert raws(directory) == [record(seq) for seq in range(kept + 3)]
    assert verify(directory).digest == journal.digest


def test_recovery_cuts_at_any_byte_of_the_last_batch_and_keeps_a_copy(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    journal = Journal.create(whole, run=1, files=QuickDisk())
    for seq in range(6):
        journal.append(record(seq))
    journal.commit()
    end = journal.position[1]
    for seq in range(6, 9):
        journal.append(record(seq))
    journal.commit()
    data = segment_path(whole, 1).read_bytes()
    for cut in range(end, len(data) + 1):
        directory = tmp_path / "cut"
        directory.mkdir()
        segment_path(directory, 1).write_bytes(data[:cut])
        found = recover(directory, files=QuickDisk())
        torn = cut - end if cut < len(data) else 0
        assert (found.torn_bytes, found.last_seq, found.size_bytes) == (torn, 8 if cut == len(data) else 5, cut - torn)
        assert (found.torn_file.read_bytes() if found.torn_file else b"") == data[end : end + torn]
        assert raws(directory) == [record(seq) for seq in range(found.last_seq + 1)]
        if cut % 16 == 0:
            grows_on(directory, found.last_seq + 1)
        shutil.rmtree(directory)
    journal.close()


def history(directory: Path, rng: random.Random) -> tuple[int, int, int]:
    """Write a journal at random and crash; return (records synced, records written, bytes of the last file synced)."""
    journal = Journal.create(
        directory, run=9, files=QuickDisk(), segment_bytes=rng.choice([3000, 1 << 20]), sync_every_bytes=0
    )
    seq, synced, synced_at = 0, 0, (1, SEGMENT_BYTES)
    for _ in range(rng.randint(1, 25)):
        for _ in range(rng.randint(1, 8)):
            journal.append(record(seq))
            seq += 1
        before = journal.written_seq
        journal.commit()
        if journal.position[0] != synced_at[0]:  # a roll has synced all before this batch
            synced, synced_at = before + 1, (journal.position[0], SEGMENT_BYTES)
        if rng.random() < 0.3:
            assert journal.sync() == seq - 1
            synced, synced_at = seq, journal.position
    journal.abort()
    return synced, seq, synced_at[1]


def lose_power(data: bytes, kept: int, rng: random.Random) -> bytes:
    """Return what a disk may hold: all up to *kept*, then any subset of the sectors, cut anywhere."""
    image = bytearray(data)
    for start in range(kept // SECTOR * SECTOR, len(image), SECTOR):
        if rng.random() < 0.4:
            lost = slice(max(start, kept), min(start + SECTOR, len(image)))
            image[lost] = bytes(lost.stop - lost.start)
    return bytes(image[: rng.randint(kept, len(image))] if rng.random() < 0.7 else image)


def test_power_loss_never_costs_a_synced_record_nor_changes_one(tmp_path: Path) -> None:
    images = lost = outlived = 0
    for seed in range(50):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        synced, written, kept = history(directory, rng)
        last = max(directory.glob("*.pj"))
        data = last.read_bytes()
        for _ in range(10):
            last.write_bytes(lose_power(data, kept, rng))
            found = recover(directory, files=QuickDisk())
            images += 1
            lost += written - (found.last_seq + 1)
            outlived += found.scan.torn_commits > 0
            assert synced <= found.last_seq + 1 <= written, f"seed {seed}"
            assert raws(directory) == [record(seq) for seq in range(found.last_seq + 1)], f"seed {seed}"
            assert verify(directory).torn_bytes == 0, f"seed {seed}"
        grows_on(directory, found.last_seq + 1)
    # The model does bite: records were lost, and commits outlived what they vouch for.
    assert (images, lost > 500, outlived > 50) == (500, True, True)


@pytest.mark.parametrize("closed", [True, False])
def test_a_thousand_flipped_bits_are_all_detected(tmp_path: Path, closed: bool) -> None:
    journal = Journal.create(tmp_path, run=1, files=QuickDisk(), segment_bytes=8000)
    for seq in range(100):
        journal.append(record(seq))
        if seq % 7 == 0:
            journal.commit()
        if seq % 30 == 0:
            journal.sync()
    journal.commit()
    if closed:
        journal.close()
    files = sorted(tmp_path.glob("*.pj"))
    images = {file: file.read_bytes() for file in files}
    assert len(files) > 1
    frames = raws(tmp_path)
    rng = random.Random(11)
    corrupt = torn = 0
    for _ in range(1000):
        file = rng.choice(files)
        at = rng.randrange(len(images[file]))
        image = bytearray(images[file])
        image[at] ^= 1 << rng.randrange(8)
        file.write_bytes(image)
        try:
            found = scan(tmp_path)
        except JournalCorrupt as error:
            named = error.file
            corrupt += 1
        else:
            # Only in what no later commit knew to be synced, and then everything from the flip on is left out.
            assert file == files[-1]
            assert at >= len(images[file]) - found.torn_bytes
            assert found.torn_bytes
            kept = raws(tmp_path)
            assert kept == frames[: len(kept)]
            torn += 1
            named = file
        assert named == file
        file.write_bytes(images[file])
    assert corrupt > 500
    assert corrupt + torn == 1000
    journal.close()


def test_corruption_before_a_commit_that_knew_it_synced_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    with Journal.create(tmp_path, run=1) as journal:
        journal.append(record(0))
        journal.sync()
        journal.append(record(1))
    file = segment_path(tmp_path, 1)
    data = bytearray(file.read_bytes())
    data[SEGMENT_BYTES + 50] ^= 1
    file.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="offset 64, seq 0: frame is damaged"):
        recover(tmp_path)
    assert file.read_bytes() == data
    assert list(tmp_path.glob("torn-*")) == []


WRITER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import random
from test_journal_crash import record
from penstock_kernel.journal import Journal
directory, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
if seed:
    journal = Journal.open_for_append(directory, segment_bytes=60_000)
else:
    journal = Journal.create(directory, run=1, segment_bytes=60_000)
seq = journal.written_seq + 1
while True:
    for _ in range(rng.randint(1, 30)):
        journal.append(record(seq))
        seq += 1
    acked = journal.sync() if rng.random() < 0.2 else journal.commit()
    print(acked, flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(5)
    total = 0
    for seed in range(KILL_ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(seed)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 60)):
                acked = int(child.stdout.readline())
            child.kill()
            # What it still said before it died counts as acknowledged; a line cut short does not.
            for line in child.stdout.read().splitlines(keepends=True):
                acked = int(line) if line.endswith(b"\n") else acked
        found = recover(tmp_path)
        assert found.last_seq >= acked > total
        frames = raws(tmp_path)
        assert frames == [record(seq) for seq in range(found.last_seq + 1)]
        total = found.last_seq
    assert verify(tmp_path).last_seq == total
