"""Making a journal fit to be appended to again: cut the torn tail, keep a copy of it, take up the running digest.

Where a checkpoint (`penstock_kernel.checkpoints`) can be used, the pass begins there: a restart takes time for what was
written since, not for the whole run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from penstock_kernel.checkpoints import Checkpoint, clear_checkpoints, read_checkpoints
from penstock_kernel.from_disk import read_anew
from penstock_kernel.journal_files import FileLayer, JournalFatal, JournalLock, sync_directory, write_all
from penstock_sdk.wire.segment import JournalError, ScanResult, Walk, scan_walk, segment_files
from penstock_sdk.wire.segment_chain import Chain
from penstock_sdk.wire.segment_file import SegmentFile
from penstock_sdk.wire.segment_find import synced_bytes
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES

__all__ = ["Recovery", "recover"]

_COPY_BYTES = 1 << 20


@dataclass
class Recovery:
    """What recovery found and did.

    Attributes:
        scan: digest, numbers, and counts of what was read; its ``torn_bytes`` tell what was cut (0: nothing).
        last_seq: highest number kept, -1 when there is none.
        segment, index, run: the file to go on with, its number, the run's identity.
        size_bytes: length of that file, all of it synced.
        torn_file: copy of the bytes that were cut, or None.
        chain: running digest of all logical frames.
        restart_at: (segment, offset) of the batch in which the chain was last begun anew, None before the first.
        checkpoint: where the pass began; None when the whole journal was read.
        missing_seq: a checkpoint knew records up to this number synced, and the segments end before it: the disk, or
            somebody, lost what had been vouched for. -1 when nothing is missing.
        passed_over: checkpoints that could not be used; they are removed.
    """

    scan: ScanResult
    last_seq: int
    segment: Path
    index: int
    run: int
    size_bytes: int
    torn_file: Path | None
    chain: Chain
    restart_at: tuple[int, int] | None = None
    checkpoint: Checkpoint | None = None
    missing_seq: int = -1
    passed_over: list[Path] = field(default_factory=list)

    @property
    def torn_bytes(self) -> int:
        """Bytes that were cut."""
        return self.scan.torn_bytes


def recover(directory: str | Path, *, files: FileLayer = os, whole: bool = False) -> Recovery:
    """Return the state of the journal in *directory* after cutting off and keeping aside what a crash left torn.

    Args:
        files: the way to the disk.
        whole: read all of it, whatever checkpoints there are.

    Raises:
        JournalLocked: a process is writing it.
        JournalCorrupt: something is wrong before the tail; nothing has been changed.
        JournalFatal: the disk does not let the tail be kept aside or cut.

    Cost: that of `penstock_sdk.wire.segment.scan` for what was written since the checkpoint, and for up to 65,536
        records before it; without one, for the whole journal.
    """
    lock = JournalLock(Path(directory))
    try:
        return recover_locked(Path(directory), files, whole=whole)
    finally:
        lock.release()


def recover_locked(directory: Path, files: FileLayer, *, whole: bool = False) -> Recovery:
    """Like `recover`, for the holder of the lock."""
    # A segment was begun after a good sync of all before it, and its commits say how far later syncs went.
    path = segment_files(directory)[-1]
    read_anew(files, path, synced_bytes(SegmentFile(path), last=True))
    known = [] if whole else read_checkpoints(directory)
    checkpoint, passed_over = _choose(directory, known)
    walk = Walk(directory, checkpoint.place if checkpoint is not None else None)
    result = scan_walk(walk)
    assert walk.chain is not None  # a folder begins with segment 1 or is corrupt
    try:
        torn_file = _cut(files, walk.path, walk.end) if walk.torn_bytes else None
        _sync(files, walk.path)
        for left_over in [*directory.glob("*.pj.new"), *directory.glob("*.check.new")]:  # never begun, never whole
            files.unlink(str(left_over))
        sync_directory(files, directory)
    except OSError as error:
        what = f"recovery cannot cut the torn tail at offset {walk.end} ({error})"
        raise JournalFatal(walk.path, error.errno or 0, what, walk.last_seq, -1) from error
    vouched = [found.synced_seq for _, found in known if found is not None and found.run == walk.run]
    missing_seq = max(vouched, default=-1)
    clear_checkpoints(passed_over, files)
    return Recovery(
        result, walk.last_seq, walk.path, walk.index, walk.run, walk.end, torn_file, walk.chain, walk.restart_at,
        checkpoint, missing_seq if missing_seq > walk.last_seq else -1, passed_over,
    )  # fmt: skip


def _choose(directory: Path, known: list[tuple[Path, Checkpoint | None]]) -> tuple[Checkpoint | None, list[Path]]:
    """Return the newest checkpoint that the segments bear out, and the files that they do not."""
    passed_over: list[Path] = []
    for path, checkpoint in known:
        if checkpoint is not None and _borne_out(directory, checkpoint):
            return checkpoint, passed_over
        passed_over.append(path)
    return None, passed_over


def _borne_out(directory: Path, checkpoint: Checkpoint) -> bool:
    """Return whether the batch named stands there, of this run, and its commit agrees with the chain taken up there."""
    if checkpoint.segment < 1 or checkpoint.offset < SEGMENT_BYTES or checkpoint.offset & 7:
        return False
    walk = Walk(directory, checkpoint.place)
    try:
        first = next(walk.batches(), None)
    except JournalError:
        return False
    return first is not None and walk.run == checkpoint.run


def _cut(files: FileLayer, segment: Path, end: int) -> Path:
    """Copy what follows *end* to a file of its own, synced, then truncate; return the copy."""
    copy = _unused(segment.parent / f"torn-{segment.stem}-{end}.bin")
    target = files.open(str(copy), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with segment.open("rb") as source:
            source.seek(end)
            while data := source.read(_COPY_BYTES):
                write_all(files, target, data)
        files.fsync(target)
    finally:
        files.close(target)
    sync_directory(files, segment.parent)  # the copy is safe before the original is cut
    fd = files.open(str(segment), os.O_WRONLY)
    try:
        files.ftruncate(fd, end)
    finally:
        files.close(fd)
    return copy


def _sync(files: FileLayer, segment: Path) -> None:
    # What was read may stand in the page cache only: it is synced before anybody relies on it.
    fd = files.open(str(segment), os.O_WRONLY)
    try:
        files.fsync(fd)
    finally:
        files.close(fd)


def _unused(path: Path) -> Path:
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}.bin")
    return candidate
