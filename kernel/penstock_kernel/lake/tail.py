"""Reading a journal while it grows: batches come out once their commit frame stands whole behind them.

`penstock_sdk.wire.segment` reads a journal that has ended and judges it; this reader takes what is committed so far,
remembers where it stopped, and goes on from there. What is not committed yet is simply not there yet.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path

from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER_BYTES
from penstock_sdk.wire.segment import Batch, JournalCorrupt
from penstock_sdk.wire.segment_layout import COMMIT_SCHEMA, SEGMENT_BYTES, SegmentHeader, segment_path, unpack_commit

__all__ = ["Tail"]


class Tail:
    """A reader that follows one journal folder from its first segment on.

    Attributes:
        last_seq: highest number read so far, -1 before the first.
    """

    def __init__(self, journal_dir: Path) -> None:
        self._dir = journal_dir
        self._index = 1
        self._end = SEGMENT_BYTES  # bytes of the current segment up to the end of its last batch read
        self.last_seq = -1

    def poll(self) -> Iterator[Batch]:
        """Yield the batches committed since the last poll, in order; their CRCs are checked.

        A batch's ``data`` is the whole segment, mapped read-only; it stays valid while it is held.

        Raises:
            JournalCorrupt: a committed frame is not what its commit vouches for.
        """
        while True:
            path = segment_path(self._dir, self._index)
            closed = segment_path(self._dir, self._index + 1).exists()  # asked before reading: then nothing is missed
            if path.exists() and path.stat().st_size > self._end:
                yield from self._read(path)
            if not closed:
                return
            self._index += 1
            self._end = SEGMENT_BYTES

    def _read(self, path: Path) -> Iterator[Batch]:
        with path.open("rb") as file:
            if self._end == SEGMENT_BYTES:
                SegmentHeader.unpack(file.read(SEGMENT_BYTES), path)
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        words = data[: len(data) & -8].cast("I")
        while (batch := _batch_at(data, words, self._end)) is not None:
            _check(batch, path)
            self._end = batch.commit.end
            self.last_seq = batch.commit.last_seq
            yield batch


def _batch_at(data: memoryview, words: memoryview, start: int) -> Batch | None:
    """Return the batch that begins at *start*, or None while its commit does not stand whole.

    Cost: some 0.2 µs a frame.
    """
    starts: list[int] = []
    add = starts.append
    diagnostics = False
    at, size = start >> 2, len(words) - 1
    while at < size:
        meta = words[at + 1]
        if meta & 0xFFFF == COMMIT_SCHEMA:
            commit = unpack_commit(data, at << 2, words)
            return None if commit is None else Batch(data, starts, diagnostics, commit)
        if not meta:  # a version is at least 1: these bytes are not written yet
            return None
        add(at << 2)
        diagnostics |= meta >= DIAGNOSTIC << 24
        at += (words[at] + (HEADER_BYTES + 7)) >> 3 << 1
    return None


def _check(batch: Batch, path: Path) -> None:
    data, starts, _, commit = batch
    found = tuple(map(zlib.crc32, map(data.__getitem__, map(slice, starts, [*starts[1:], commit.offset]))))
    if found != commit.crcs:
        first = next((at for at, a, b in zip(starts, found, commit.crcs, strict=False) if a != b), commit.offset)
        raise JournalCorrupt(path, first, "frame is damaged, though its commit stands", seq=commit.first_seq)
