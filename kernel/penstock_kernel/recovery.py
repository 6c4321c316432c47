"""Making a journal fit to be appended to again: cut the torn tail, keep a copy of it, take up the running digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from penstock_kernel.journal_files import FileLayer, JournalFatal, JournalLock, sync_directory, write_all
from penstock_sdk.wire.segment import ScanResult, Walk, scan_walk

__all__ = ["Recovery", "recover"]

_COPY_BYTES = 1 << 20


@dataclass
class Recovery:
    """What recovery found and did.

    Attributes:
        scan: counts, digest, numbers; its ``torn_bytes`` tell what was cut (0: nothing).
        last_seq: highest number kept, -1 when there is none.
        segment, index, run: the file to go on with, its number, the run's identity.
        size_bytes: length of that file, all of it synced.
        torn_file: copy of the bytes that were cut, or None.
        hasher: running SHA-256 of all logical frames.
    """

    scan: ScanResult
    last_seq: int
    segment: Path
    index: int
    run: int
    size_bytes: int
    torn_file: Path | None
    hasher: hashlib._Hash

    @property
    def torn_bytes(self) -> int:
        """Bytes that were cut."""
        return self.scan.torn_bytes


def recover(directory: str | Path, *, files: FileLayer = os) -> Recovery:
    """Return the state of the journal in *directory* after cutting off and keeping aside what a crash left torn.

    Raises:
        JournalLocked: a process is writing it.
        JournalCorrupt: something is wrong before the tail; nothing has been changed.
        JournalFatal: the disk does not let the tail be kept aside or cut.

    Cost: that of `penstock_sdk.wire.segment.scan`, as a SHA-256 state cannot be stored.
    """
    lock = JournalLock(Path(directory))
    try:
        return recover_locked(Path(directory), files)
    finally:
        lock.release()


def recover_locked(directory: Path, files: FileLayer) -> Recovery:
    """Like `recover`, for the holder of the lock."""
    walk = Walk(directory)
    result = scan_walk(walk)
    assert walk.hasher is not None  # a folder begins with segment 1 or is corrupt
    try:
        torn_file = _cut(files, walk.path, walk.end) if walk.torn_bytes else None
        _sync(files, walk.path)
        for left_over in directory.glob("*.pj.new"):  # a segment that was never begun
            files.unlink(str(left_over))
        sync_directory(files, directory)
    except OSError as error:
        what = f"recovery cannot cut the torn tail at offset {walk.end} ({error})"
        raise JournalFatal(walk.path, error.errno or 0, what, walk.last_seq, -1) from error
    return Recovery(result, walk.last_seq, walk.path, walk.index, walk.run, walk.end, torn_file, walk.hasher)


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
