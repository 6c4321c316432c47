"""Reading a run's whole journal, also what a quick restart trusts: every CRC, the digest chain, every checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock_kernel.checkpoints import read_checkpoints
from penstock_kernel.runs import RunInfo, RunPaths
from penstock_sdk.wire.segment import Batch, Place, ScanResult, Walk, scan_walk

__all__ = ["Verified", "verify_journal"]


@dataclass(frozen=True)
class Verified:
    """What was found: the journal's counts and digest, how many checkpoints agree, and what is not as it should be."""

    scan: ScanResult
    checkpoints: int
    faults: tuple[str, ...]


class _Watched(Walk):
    """A pass that keeps every place where the digest chain was begun anew."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self.places: set[Place] = set()

    def batches(self) -> Iterator[Batch]:
        """Yield every good batch in order."""
        for batch in super().batches():
            if self.restart_at is not None and self.chain is not None:
                self.places.add(Place(*self.restart_at, self.chain.restart))
            yield batch


def verify_journal(run_dir: Path) -> Verified:
    """Return what the journal of *run_dir* holds and every fault that is no corruption.

    A torn tail is a fault in a run that says it is complete, and where whole commits follow it. The run may be live.

    Raises:
        JournalCorrupt: a byte is not as it was written; names file, offset and record.
        JournalError: there is no journal. RunError: it is no run.

    Cost: some 0.7 µs a frame.
    """
    info = RunInfo.load(run_dir)
    journal = RunPaths(run_dir).journal
    known = read_checkpoints(journal)  # before the journal: that may grow meanwhile
    walk = _Watched(journal)
    scan = scan_walk(walk)
    faults: list[str] = []
    agree = 0
    for path, checkpoint in known:
        if checkpoint is None or checkpoint.run != scan.run or checkpoint.place not in walk.places:
            faults.append(f"{path}: the checkpoint does not agree with the segments; remove it, nothing depends on it")
            continue
        agree += 1
        if checkpoint.synced_seq > scan.last_seq:
            faults.append(
                f"{path}: records up to {checkpoint.synced_seq} were synced, the segments end with {scan.last_seq}; "
                "bring the last segment back from a copy"
            )
    if scan.torn_bytes and (scan.torn_commits or info.status == "complete"):
        faults.append(
            f"{walk.path}: {scan.torn}; {scan.torn_bytes} bytes with {scan.torn_commits} commits follow, "
            "which a restart would cut off and keep beside"
        )
    if info.status == "complete" and info.digest != scan.digest:
        faults.append(f"run.json says sha256:{info.digest}; it, or the journal, is of another run")
    return Verified(scan, agree, tuple(faults))
