"""One segment file, mapped: its batches, each checked against the commit that vouches for it."""

from __future__ import annotations

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
    JournalError,
    SegmentHeader,
    commit_bytes,
    unpack_commit,
)

__all__ = ["Batch", "FaultError", "SegmentFile", "segment_files"]

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


class FaultError(Exception):
    """A bad item met while walking; whether it is torn or corrupt is decided by what follows it in the file."""

    def __init__(self, offset: int, what: str, expected: int | None = None, found: int | None = None) -> None:
        super().__init__(what)
        self.offset, self.what, self.expected, self.found = offset, what, expected, found


class SegmentFile:
    """One segment file, mapped read-only as it is now.

    Attributes:
        header: its header, checked. data: its bytes; words: the same as u32.

    Raises:
        JournalCorrupt: the header is damaged.
        JournalError: the file is not there, as a link that leads nowhere; or its format is of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            opened = path.open("rb")
        except FileNotFoundError:
            raise JournalError(
                f"{path}: this segment is not there; bring the file back, or what its link names"
            ) from None
        with opened as file:
            head = file.read(SEGMENT_BYTES)
            self.header = SegmentHeader.unpack(head, path)
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = memoryview(self.map)
        self.words = self.data[: len(self.data) & -4].cast("I")

    def read_batch(self, start: int) -> Batch:
        """Return the batch that begins at *start*, its frames checked against its commit.

        Raises:
            FaultError: anything about it is not as it was written.
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
            raise FaultError(at, what)
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
                    raise FaultError(at << 2, "no frame begins here")
                add(at << 2)
                if meta >= _DIAGNOSTIC_META:
                    diagnostics = True
                at += (words[at] + (HEADER_BYTES + 7)) >> 3 << 1
        except IndexError:
            raise FaultError(starts[-1] if starts else start, "the file ends within this frame") from None
        return starts, diagnostics, at << 2

    def _bad_commit(self, at: int) -> FaultError:
        data, words = self.data, self.words
        end = at + HEADER_BYTES + words[at >> 2]
        if end > len(data) or end & 7 or words[at >> 2] < commit_bytes(0) - HEADER_BYTES:
            return FaultError(at, "commit frame has a wrong length or is cut")
        return FaultError(at, "commit frame is damaged", words[(end >> 2) - 1], zlib.crc32(data[at : end - 4]))

    def first_seq(self) -> int | None:
        """Return the number of the first logical frame, not checked; None where there is none.

        Cost: a few µs, one page of the file; more where a segment begins with diagnostic frames.
        """
        at, data = SEGMENT_BYTES, self.data
        while at + HEADER_BYTES <= len(data):
            fields = HEADER.unpack_from(data, at)
            if not fields[2]:  # version is at least 1: nothing was written here
                return None
            if fields[1] != COMMIT_SCHEMA and fields[3] < DIAGNOSTIC:
                return int(fields[4])
            at += (HEADER_BYTES + int(fields[0]) + 7) & -8
        return None

    def later_commits(self, start: int) -> Iterator[tuple[int, Commit]]:
        """Yield (where it stands, commit) for each whole commit frame at or after *start*."""
        at = self.map.find(_COMMIT_MARK, start)
        while at != -1:
            commit = unpack_commit(self.data, at - 4, self.words) if at & 7 == 4 else None
            if commit is not None:
                yield at - 4, commit
            at = self.map.find(_COMMIT_MARK, commit.end if commit is not None else at + 1)

    def earlier_commits(self, end: int) -> Iterator[tuple[int, Commit]]:
        """Yield, backwards from *end*, (where it stands, commit) for each whole commit frame that is in its place.

        Cost: what lies between *end* and the first one is searched.
        """
        at = self.map.rfind(_COMMIT_MARK, 0, end)
        while at != -1:
            commit = unpack_commit(self.data, at - 4, self.words) if at & 7 == 4 else None
            if commit is not None and commit.offset == at - 4:
                yield at - 4, commit
            at = self.map.rfind(_COMMIT_MARK, 0, at + 3)


def _bad_crc(starts: list[int], found: list[int], commit: Commit) -> FaultError:
    for at, expected, got in zip(starts, commit.crcs, found, strict=False):
        if expected != got:
            return FaultError(at, "frame is damaged", expected, got)
    at = starts[-1] if starts else commit.offset
    return FaultError(at, f"{len(found)} frames where the commit counts {commit.frame_count}")


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
