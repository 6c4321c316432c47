"""Power loss under a whole run: a synced order is never lost, no record is invented, and the run goes on to its digest.

The model of a disk without power: all that an fdatasync has vouched for is there; of what was written after it any
subset of the sectors, and the tail may be cut anywhere.
"""

from __future__ import annotations

import os
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loop_plugins import InnerVenue
from loop_runs import deployment, entries

from penstock_kernel.journal import Journal
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import Order
from penstock_sdk.wire.segment import scan, verify

SECTOR = 512
IMAGES = 120
ALONE = RunOptions(lake=False)


class Moment(NamedTuple):
    """How the file stood after one call: bytes written, bytes that a sync vouched for, effects that had happened."""

    written: int
    synced: int
    sent: int


class NotingDisk:
    """The module `os`, which notes what was written and synced when."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.written = self.synced = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def writev(self, fd: int, buffers: list[Any]) -> int:
        """Write and note; the power may go before anything else happens."""
        taken = os.writev(fd, buffers)
        self.written += taken
        self.note()
        return taken

    def fdatasync(self, fd: int) -> None:
        """Vouch for what is written; nothing to wait for, the model decides what is kept."""
        self.synced = self.written
        self.note()

    def fsync(self, fd: int) -> None:
        """As fdatasync."""
        self.fdatasync(fd)

    def note(self) -> None:
        """Note how things stand."""
        self.moments.append(Moment(self.written, self.synced, len(InnerVenue.sent)))


def lose_power(data: bytes, at: Moment, rng: random.Random) -> bytes:
    """Return what a disk may hold of a file when the power goes at that moment."""
    image = bytearray(data[: at.written])
    for start in range(at.synced // SECTOR * SECTOR, len(image), SECTOR):
        if rng.random() < 0.4:
            lost = slice(max(start, at.synced), min(start + SECTOR, len(image)))
            image[lost] = bytes(lost.stop - lost.start)
    return bytes(image[: rng.randint(at.synced, len(image))] if rng.random() < 0.7 else image)


def run_noted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, RunInfo, list[Moment]]:
    """Run a small day, orders synced and all else written, and note how its journal grew."""
    topics = '[topics."order.order"]\ndurability = "synced"'
    path = deployment(folder, ticker="count = 260", topics=topics, strategy="every = 7")
    disk = NotingDisk()
    monkeypatch.setattr(Journal, "create", partial(Journal.create, files=disk, sync_every_bytes=0))
    InnerVenue.sent.clear()
    run = Run.start(path, ALONE)
    # Quotes and reports alone are written in batches of their own, so that there is something to lose.
    run.kernel.turns = (run.kernel.write,)
    run.kernel.run_simulated(run.end_ns, turn_every=1)
    run.go()
    info = run.close()
    info.status = "running"  # as the power loss would have left it
    info.save(run.dir)
    return run.dir, info, disk.moments


def test_no_synced_order_is_lost_and_no_record_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, whole, moments = run_noted(tmp_path, monkeypatch)
    segment = run_dir / "journal" / "000000000001.pj"
    data = segment.read_bytes()
    truth = {entry.seq: entry for entry in entries(run_dir)}
    orders = [entry.seq for entry in entries(run_dir) if type(entry.record) is Order]
    sent = list(InnerVenue.sent)
    begun = [moment for moment in moments if moment.synced > 1_000]
    lost = outlived = 0
    for seed in range(IMAGES):
        rng = random.Random(seed)
        at = rng.choice(begun)
        cut = tmp_path / "cut" / run_dir.name
        shutil.copytree(run_dir, cut, ignore=shutil.ignore_patterns("*.pj", "lock"))
        (cut / "journal" / segment.name).write_bytes(lose_power(data, at, rng))

        # What a sync had vouched for before the power went: read from the true file, cut where the sync stood.
        synced_seq = last_seq(data[: at.synced], tmp_path)
        run = Run.resume(cut, ALONE)
        assert run.kernel.journal is not None
        assert run.kernel.journal.recovery is not None
        found = run.kernel.journal.recovery
        lost += last_seq(data[: at.written], tmp_path) - found.last_seq
        outlived += found.scan.torn_commits > 0
        assert found.last_seq >= synced_seq, f"seed {seed}"
        # Every order that had left, left after it was synced, so the recovered run knows it.
        assert max(sent[: at.sent], default=0) <= synced_seq, f"seed {seed}"
        assert all(seq <= found.last_seq for seq in orders if seq <= synced_seq), f"seed {seed}"
        if seed % 4:
            run.abort()
        else:
            run.go()
            info = run.close()
            assert (info.digest, info.last_seq) == (whole.digest, whole.last_seq), f"seed {seed}"
            assert replay(cut).digest == whole.digest, f"seed {seed}"
        assert verify(cut / "journal").torn_bytes == 0, f"seed {seed}"
        for entry in entries(cut):
            assert entry == truth[entry.seq], f"seed {seed}"
        shutil.rmtree(cut)
    # The model does bite: records were lost, and commits outlived what they vouch for.
    assert lost > 50
    assert outlived > 5


def last_seq(image: bytes, folder: Path) -> int:
    """Return the last number that a journal of one such file vouches for."""
    path = folder / "000000000001.pj"
    path.write_bytes(image)
    return scan(path).last_seq


def test_the_same_images_show_a_loss_when_orders_are_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail: with orders merely written, some that had left are gone."""
    monkeypatch.setattr(Journal, "sync", Journal.commit)
    run_dir, _, moments = run_noted(tmp_path, monkeypatch)
    sent = list(InnerVenue.sent)
    data = (run_dir / "journal" / "000000000001.pj").read_bytes()
    gone = 0
    for seed in range(20):
        rng = random.Random(seed)
        at = rng.choice([moment for moment in moments if moment.written > 20_000 and moment.synced < moment.written])
        gone += max(sent[: at.sent], default=0) > last_seq(lose_power(data, at, rng), tmp_path)
    assert gone > 10
