"""How fast the journal takes, keeps and gives back records: append, group commit written and synced, scan, start-up."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock_kernel.bench.rounds import machine
from penstock_kernel.journal import Journal
from penstock_sdk.wire.segment import read_frames, scan, verify
from penstock_sdk.wire.segment_chain import sha256_of_frames
from penstock_sdk.wire.segment_layout import FrameView, pack_frame

__all__ = ["bench_store"]


_Measure = Callable[[str, int | None, int, Callable[[], None]], None]


@dataclass
class _Row:
    """One measured thing over all rounds."""

    name: str
    group: int | None
    records: int
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def run(self, work: Callable[[], None]) -> None:
        """Time *work* once more."""
        wall, cpu = time.perf_counter(), time.thread_time()
        work()
        self.cpu_s.append(time.thread_time() - cpu)
        self.wall_s.append(time.perf_counter() - wall)

    def result(self) -> dict[str, Any]:
        """Return the row for the report: medians, and the best round."""
        return {
            "name": self.name,
            "group": self.group,
            "records": self.records,
            "records_per_s": round(self.records / max(statistics.median(self.wall_s), 1e-9)),
            "records_per_s_best": round(self.records / max(min(self.wall_s), 1e-9)),
            "cpu_ns_per_record": round(1e9 * statistics.median(self.cpu_s) / self.records, 1),
            "wall_s": [round(value, 6) for value in self.wall_s],
        }


def bench_store(
    directory: str | Path,
    *,
    records: int = 200_000,
    record_bytes: int = 104,
    groups: Sequence[int] = (1, 100, 1000),
    syncs: int = 40,
    rounds: int = 5,
    seed: int = 1,
) -> dict[str, Any]:
    """Return a JSON-able report; every round does every thing once, so a slow moment of the machine meets them all.

    Args:
        directory: where the files may go; on the disk to be measured. What is made there is removed.
        records: frames of one record in each round. record_bytes: of a record's body, a multiple of 8.
        groups: records per commit; with group 1 a tenth of the records is written.
        syncs: synced commits per group and round, so that a slow disk does not take minutes.
        rounds: how often; the report gives medians and the best.

    Rows, in records/s and thread CPU per record: ``dict dispatch`` (the yardstick: a bare loop over a dict of
    handlers), ``append`` (the list alone), ``written`` and ``synced`` per group, ``read`` (`read_frames` through a
    dict of handlers), ``scan`` and ``verify`` (every CRC and the digest), ``start-up`` (`Journal.open_for_append`,
    which reads all), ``start-up again`` (from the checkpoint that it left, from 65,536 records on), ``find`` (the
    frame of one number, wherever it is).
    """
    directory = Path(directory)
    rng = random.Random(seed)
    frames = [
        pack_frame(1 + i % 5, rng.randbytes(record_bytes), seq=i, at_ns=1_000 * i, stride=record_bytes)
        for i in range(records)
    ]
    rows: dict[tuple[str, int | None], _Row] = {}

    def measure(name: str, group: int | None, count: int, work: Callable[[], None]) -> None:
        rows.setdefault((name, group), _Row(name, group, count)).run(work)

    digest = ""
    for number in range(rounds):
        measure("dict dispatch", None, records, lambda: _dispatch(frames))
        measure("append", None, records, lambda: _append(frames))
        for group in groups:
            few = frames[: max(group, records // 10)] if group == 1 else frames
            measure("written", group, len(few), _writing(directory, f"w{number}-{group}", few, group, synced=False))
            few = frames[: group * syncs]
            measure("synced", group, len(few), _writing(directory, f"s{number}-{group}", few, group, synced=True))
        digest = _read_back(directory / f"w{number}-{groups[-1]}", frames, measure)
        for path in directory.glob(f"[ws]{number}-*"):
            shutil.rmtree(path)
    return {
        "bench": "store", **machine(),
        "parameters": {
            "records": records, "record_bytes": record_bytes, "frame_bytes": len(frames[0]), "groups": list(groups),
            "syncs": syncs, "rounds": rounds, "seed": seed,
        },
        "rows": [row.result() for row in rows.values()],
        "digest": digest,
    }  # fmt: skip


def _dispatch(frames: list[bytes]) -> None:
    seen: list[int] = []
    handlers = dict.fromkeys(range(1, 6), seen.append)
    for frame in frames:
        handlers[frame[4]](frame[8])


def _append(frames: list[bytes]) -> None:
    pending: list[bytes] = []
    append = pending.append
    for frame in frames:
        append(frame)


def _writing(directory: Path, name: str, frames: list[bytes], group: int, *, synced: bool) -> Callable[[], None]:
    """Return the work of appending *frames* with a commit (or a sync) for each *group*."""
    journal = Journal.create(directory / name, run=1, sync_every_bytes=0)
    end = journal.sync if synced else journal.commit
    append = journal.append

    def work() -> None:
        for begin in range(0, len(frames), group):
            for frame in frames[begin : begin + group]:
                append(frame)
            end()
        journal.abort()  # not closed: that would sync

    return work


def _read_back(path: Path, frames: list[bytes], measure: _Measure) -> str:
    """Measure the reading side on one journal, check what it gives, and return its digest."""
    digests: list[str | None] = []
    measure("scan", None, len(frames), lambda: digests.append(scan(path).digest))
    measure("verify", None, len(frames), lambda: digests.append(verify(path).digest))
    measure("read", None, len(frames), lambda: _replay(path))

    def start_up() -> None:
        journal = Journal.open_for_append(path)
        digests.append(journal.digest)
        journal.abort()

    measure("start-up", None, len(frames), start_up)
    measure("start-up again", None, len(frames), start_up)
    few = range(0, len(frames), max(1, len(frames) // 50))
    measure("find", None, len(few), lambda: _find(path, few))
    wanted = sha256_of_frames(frames)
    assert digests == [wanted] * 4, f"the journal gave back {digests}, the records are {wanted}"
    return wanted


def _find(path: Path, numbers: Sequence[int]) -> None:
    for seq in numbers:
        assert any(frame.seq == seq for frame in read_frames(path, from_seq=seq)), f"record {seq} is not found"


def _replay(path: Path) -> None:
    records = 0

    def count(frame: FrameView) -> None:
        nonlocal records
        records += frame.count

    handlers = dict.fromkeys(range(1, 6), count)
    for frame in read_frames(path):
        handlers[frame.schema_id](frame)


if __name__ == "__main__":
    import json
    import tempfile

    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        print(json.dumps(bench_store(folder), indent=1))
