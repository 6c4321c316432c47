"""A checked pass over the batches of a journal, and the rule for what is torn and what is corrupt.

The rule for a bad item at offset X of the last segment (in an earlier segment every fault is corruption):

- no whole commit frame after X: a torn tail, as a crash leaves it; reading stops before it;
- a later commit says that bytes up to beyond X were synced, or stands at another offset than it was written at:
  corruption, `JournalCorrupt`;
- later commits, none of which says that X was synced: what a power loss leaves of unsynced writes, since a disk may
  keep a later sector and lose an earlier one. Reading stops before X too, ``torn_commits`` counts what was passed over,
  and `verify`, which asks whether the journal is whole, raises.

Nothing is read from a batch before all its CRCs have been checked.
"""

from __future__ import annotations

import hashlib
import mmap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES
from penstock_sdk.wire.segment_layout import (
    COMMIT_SCHEMA,
    SEGMENT_BYTES,
    Commit,
    FrameView,
    JournalCorrupt,
    JournalError,
    SegmentHeader,
    commit_bytes,
    unpack_commit,
)

__all__ = ["Batch", "Walk", "segment_files"]

_COMMIT_MARK: Final = b"\xff\xff\x01\x00"  # schema_id, version and origin of a commit frame, 4 bytes into it
_DIAGNOSTIC_META: Final = DIAGNOSTIC << 24


class Batch(NamedTuple):
    """A batch whose CRCs and digest have been checked: where its frames begin, whether any is diagnostic."""

    data: memoryview
    starts: list[int]
    diagnostics: bool
    commit: Commit

    def frames(self) -> Iterator[FrameView]:
        """Yield the batch's frames in order."""
        data, unpack = self.data, HEADER.unpack_from
        view: Callable[..., FrameView] = FrameView
        ends = [*self.starts[1:], self.commit.offset]
        for start, end in zip(self.starts, ends, strict=False):  # a seal has no frames, and one end
            yield view(*unpack(data, start), data[start:end])


class _FaultError(Exception):
    """A bad item met while walking; whether it is torn or corrupt is decided by what follows it in the file."""

    def __init__(self, offset: int, what: str, expected: int | None = None, found: int | None = None) -> None:
        super().__init__(what)
        self.offset, self.what, self.expected, self.found = offset, what, expected, found


class _Segment:
    """One segment file, mapped read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(SEGMENT_BYTES)
            self.header = SegmentHeader.unpack(head, path)
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = memoryview(self.map)
        self.words = self.data[: len(self.data) & -4].cast("I")

    def read_batch(self, start: int) -> Batch:
        """Return the batch that begins at *start*, its frames checked against its commit.

        Raises:
            _FaultError: anything about it is not as it was written.
        """
        starts, diagnostics, at = self._frame_starts(start)
        commit = unpack_commit(self.data, at, self.words)
        if commit is None:
            raise self._bad_commit(at)
        found = list(map(zlib.crc32, map(self.data.__getitem__, map(slice, starts, [*starts[1:], at]))))
        if tuple(found) != commit.crcs:
            raise _bad_crc(starts, found, commit)
        if commit.offset != at or commit.batch_bytes != at - start:
            what = f"commit was written for offset {commit.offset} and a batch of {commit.batch_bytes} bytes"
            raise _FaultError(at, what)
        return Batch(self.data, starts, diagnostics, commit)

    def _frame_starts(self, start: int) -> tuple[list[int], bool, int]:
        """Return where the frames from *start* on begin, whether any is diagnostic, where their commit begins."""
        words = self.words
        starts: list[int] = []
        add = starts.append
        diagnostics = False
        at = start >> 2
        try:
            while (meta := words[at + 1]) & 0xFFFF != COMMIT_SCHEMA:
                if not meta:  # version is at least 1: these are zeros where a sector never reached the disk
                    raise _FaultError(at << 2, "no frame begins here")
                add(at << 2)
                if meta >= _DIAGNOSTIC_META:
                    diagnostics = True
                at += (words[at] + (HEADER_BYTES + 7)) >> 3 << 1
        except IndexError:
            raise _FaultError(starts[-1] if starts else start, "the file ends within this frame") from None
        return starts, diagnostics, at << 2

    def _bad_commit(self, at: int) -> _FaultError:
        data, words = self.data, self.words
        end = at + HEADER_BYTES + words[at >> 2]
        if end > len(data) or end & 7 or words[at >> 2] < commit_bytes(0) - HEADER_BYTES:
            return _FaultError(at, "commit frame has a wrong length or is cut")
        return _FaultError(at, "commit frame is damaged", words[(end >> 2) - 1], zlib.crc32(data[at : end - 4]))

    def later_commits(self, start: int) -> Iterator[tuple[int, Commit]]:
        """Yield (where it stands, commit) for each whole commit frame at or after *start*."""
        at = self.map.find(_COMMIT_MARK, start)
        while at != -1:
            commit = unpack_commit(self.data, at - 4, self.words) if at & 7 == 4 else None
            if commit is not None:
                yield at - 4, commit
            at = self.map.find(_COMMIT_MARK, commit.end if commit is not None else at + 1)


def _bad_crc(starts: list[int], found: list[int], commit: Commit) -> _FaultError:
    for at, expected, got in zip(starts, commit.crcs, found, strict=False):
        if expected != got:
            return _FaultError(at, "frame is damaged", expected, got)
    at = starts[-1] if starts else commit.offset
    return _FaultError(at, f"{len(found)} frames where the commit counts {commit.frame_count}")


class Walk:
    """A checked pass over all batches of a journal; after it, the attributes say how it ended.

    Attributes:
        path: the segment being read, at the end the last one; ``index`` and ``run`` come from its header.
        end: bytes of that file up to the end of its last good commit.
        last_seq: highest number vouched for, -1 before the first.
        torn_bytes: bytes of the last segment after ``end``; ``torn`` says what is wrong with the first of them.
        torn_commits: whole commit frames among them (see the module's rule).
        sealed: the last batch is the seal of a clean close.
        hasher: SHA-256 of all logical frames; None for a lone segment that is not the first, where only CRCs count.
    """

    def __init__(self, source: str | Path) -> None:
        self.files = segment_files(source)
        self.path = self.files[0]
        self.index = self.run = self.end = self.torn_bytes = self.torn_commits = 0
        self.last_seq = -1
        self.sealed = False
        self.torn: str | None = None
        self.hasher: hashlib._Hash | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield every good batch in order.

        Raises:
            JournalCorrupt: see the module's rule; a segment missing, out of order or of another run.
        """
        for number, path in enumerate(self.files):
            segment = self._open(number, path)
            size = len(segment.data)
            while self.end < size:
                try:
                    batch = segment.read_batch(self.end)
                    self._chain(batch)
                except _FaultError as fault:
                    self._judge(segment, fault, last=path == self.files[-1])
                    return
                self.end = batch.commit.end
                self.last_seq = batch.commit.last_seq
                self.sealed = not batch.commit.frame_count
                yield batch

    def _open(self, number: int, path: Path) -> _Segment:
        segment = _Segment(path)
        header = segment.header
        lone = len(self.files) == 1
        wanted = header.index if lone else number + 1
        if header.index != wanted or path.name != f"{wanted:012d}.pj":
            what = f"segment {header.index} stands where segment {wanted} should; one is missing or renamed"
            raise JournalCorrupt(path, 0, what, seq=self.last_seq + 1)
        if number and header.run != self.run:
            raise JournalCorrupt(path, 0, f"segment is of run {header.run:016x}, the journal of run {self.run:016x}")
        if number and header.previous_bytes != self.end:
            what = f"segment {number} has {self.end} bytes, {header.previous_bytes} when this segment was begun"
            raise JournalCorrupt(self.path, self.end, what, seq=self.last_seq + 1)
        if header.index == 1:
            self.hasher = hashlib.sha256()
        if self.hasher is not None and self.hasher.digest() != header.sha256:
            raise JournalCorrupt(path, 0, "the digest in the segment header is not that of the segments before it")
        self.path, self.index, self.run, self.end = path, header.index, header.run, SEGMENT_BYTES
        return segment

    def _chain(self, batch: Batch) -> None:
        """Add the batch's logical frames to the digest and compare it with the commit's."""
        data, starts, diagnostics, commit = batch
        hasher = self.hasher
        if hasher is None:
            return
        if diagnostics:
            for start, end in zip(starts, [*starts[1:], commit.offset], strict=True):
                if data[start + 7] < DIAGNOSTIC:
                    hasher.update(data[start:end])
        elif starts:
            hasher.update(data[starts[0] : commit.offset])
        if hasher.digest() != commit.sha256:
            what = "the running digest does not agree with the commit: a batch before it is missing or exchanged"
            raise JournalCorrupt(self.path, commit.offset, what, seq=commit.first_seq)

    def _judge(self, segment: _Segment, fault: _FaultError, *, last: bool) -> None:
        """Raise when *fault* is corruption; else note a torn tail."""
        claim = 0
        displaced = False
        for at, commit in segment.later_commits(self.end):
            self.torn_commits += 1
            claim = max(claim, commit.synced_offset)
            displaced |= commit.offset != at
        if not last or claim > self.end or displaced:
            raise JournalCorrupt(
                segment.path, fault.offset, fault.what, seq=self._seq_at(segment, fault.offset),
                crc_expected=fault.expected, crc_found=fault.found,
            )  # fmt: skip
        self.torn_bytes = len(segment.data) - self.end
        self.torn = f"offset {fault.offset}: {fault.what}"

    def _seq_at(self, segment: _Segment, offset: int) -> int:
        """Return the number in the damaged frame where it can be right, else the first that is not vouched for."""
        if offset + HEADER_BYTES <= len(segment.data):
            fields = HEADER.unpack_from(segment.data, offset)
            if fields[1] != COMMIT_SCHEMA and self.last_seq < fields[4] <= self.last_seq + offset - self.end + 1:
                return int(fields[4])
        return self.last_seq + 1


def segment_files(source: str | Path) -> list[Path]:
    """Return the segment files of a journal folder in order, or the one file given.

    Raises:
        JournalError: there is no segment.
    """
    source = Path(source)
    files = [source] if source.is_file() else sorted(source.glob("[0-9]*.pj"))
    if not files:
        raise JournalError(f"{source}: no journal segment (*.pj) here; give a run's journal folder or one segment")
    return files
