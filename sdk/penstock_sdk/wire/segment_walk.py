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

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES
from penstock_sdk.wire.segment_chain import Chain, Restart
from penstock_sdk.wire.segment_file import Batch, FaultError, SegmentFile, segment_files
from penstock_sdk.wire.segment_layout import COMMIT_SCHEMA, SEGMENT_BYTES, JournalCorrupt, SegmentHeader

__all__ = ["Batch", "Place", "Walk", "segment_files"]


class Place(NamedTuple):
    """Where a batch begins, for a pass that need not begin at the beginning.

    ``segment`` and ``offset`` are the segment's number and the byte in it. ``restart`` is where in that batch the
    digest chain was begun anew; without it only CRCs, places and the links between segments can be checked.
    """

    segment: int
    offset: int
    restart: Restart | None = None


class Walk:
    """A checked pass over all batches of a journal; after it, the attributes say how it ended.

    Attributes:
        path: the segment being read, at the end the last one; ``index`` and ``run`` come from its header.
        end: bytes of that file up to the end of its last good commit.
        last_seq: highest number vouched for, -1 before the first.
        torn_bytes: bytes of the last segment after ``end``; ``torn`` says what is wrong with the first of them.
        torn_commits: whole commit frames among them (see the module's rule).
        sealed: the last batch is the seal of a clean close.
        chain: running digest of all logical frames; None where it cannot be known: in a lone segment that is not the
            first, and from a start that is not where a stretch begins. There only CRCs, places and links count.
        restart_at: (index, offset) of the batch in which the chain was last begun anew.

    Args:
        source: the folder, or one segment file.
        start: where to begin; None is the beginning. What lies before it is not read.
    """

    def __init__(self, source: str | Path, start: Place | None = None) -> None:
        self.files = segment_files(source)
        self.start = start
        self.path = self.files[0]
        self.index = self.run = self.end = self.torn_bytes = self.torn_commits = 0
        self.last_seq = -1
        self.sealed = False
        self.torn: str | None = None
        self.chain: Chain | None = None
        self.restart_at: tuple[int, int] | None = None
        self._version = 0
        # What the last commit, or the header before the first, says of the chain; None where none was met yet.
        self._sha256: bytes | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield every good batch in order.

        Raises:
            JournalCorrupt: see the module's rule; a segment missing, out of order or of another run.
        """
        for number in range(self._first(), len(self.files)):
            path = self.files[number]
            segment = self._open(number, path)
            size = len(segment.data)
            while self.end < size:
                try:
                    batch = segment.read_batch(self.end)
                    self._follow(batch)
                except FaultError as fault:
                    self._judge(segment, fault, last=path == self.files[-1])
                    return
                self.end = batch.commit.end
                self.last_seq = batch.commit.last_seq
                self._sha256 = batch.commit.sha256
                self.sealed = not batch.commit.frame_count
                yield batch

    def _first(self) -> int:
        """Return which of the files the pass begins with; those before it are there, that much is checked."""
        if self.start is None or len(self.files) == 1:
            return 0
        for number, path in enumerate(self.files[: self.start.segment - 1], 1):
            if path.name != f"{number:012d}.pj" or not path.exists():
                raise JournalCorrupt(path, 0, f"segment {number} should stand here; it is missing or renamed")
        return self.start.segment - 1

    def _open(self, number: int, path: Path) -> SegmentFile:
        segment = SegmentFile(path)
        header = segment.header
        lone = len(self.files) == 1
        wanted = header.index if lone else number + 1
        if header.index != wanted or path.name != f"{wanted:012d}.pj":
            what = f"segment {header.index} stands where segment {wanted} should; one is missing or renamed"
            raise JournalCorrupt(path, 0, what, seq=self.last_seq + 1)
        if self.index:
            self._link(header, path)
        else:
            self._begin(header, path)
        if self.chain is not None:
            self.chain.restarts = header.version > 1
        self.path, self.index, self.run, self._version = path, header.index, header.run, header.version
        self._sha256 = header.sha256 if self.end == SEGMENT_BYTES else None
        return segment

    def _begin(self, header: SegmentHeader, path: Path) -> None:
        """Take up the chain: at the beginning, or where a stretch begins; of any other place it is not known."""
        self.end = SEGMENT_BYTES
        if self.start is not None:
            if header.index != self.start.segment:
                what = f"segment {header.index} stands where segment {self.start.segment} should; one is missing"
                raise JournalCorrupt(path, 0, what)
            self.end = self.start.offset
            if self.start.restart is not None:
                self.chain, self.restart_at = Chain(self.start.restart), self.start[:2]
        if header.index == 1 and self.end == SEGMENT_BYTES and self.chain is None:
            self.chain = Chain()
            if header.sha256 != self.chain.digest():
                raise JournalCorrupt(path, 0, "the digest in the header of the first segment is not that of nothing")

    def _link(self, header: SegmentHeader, path: Path) -> None:
        """Check that the segment goes on where the one before it ended."""
        if header.run != self.run:
            raise JournalCorrupt(path, 0, f"segment is of run {header.run:016x}, the journal of run {self.run:016x}")
        if header.previous_bytes != self.end:
            what = f"segment {self.index} has {self.end} bytes, {header.previous_bytes} when this segment was begun"
            raise JournalCorrupt(self.path, self.end, what, seq=self.last_seq + 1)
        if self._sha256 is not None and header.sha256 != self._sha256:
            raise JournalCorrupt(path, 0, "the digest in the segment header is not that of the segments before it")
        if header.version < self._version:
            what = f"segment is of format {header.version}, the one before it of format {self._version}"
            raise JournalCorrupt(path, 0, what)
        self.end = SEGMENT_BYTES

    def _follow(self, batch: Batch) -> None:
        """Add the batch's logical frames to the digest and compare it with the commit's."""
        data, starts, diagnostics, commit = batch
        chain = self.chain
        if chain is None:
            return
        if starts:
            last_seq = int.from_bytes(data[starts[-1] + 8 : starts[-1] + 16], "little", signed=True)
            if diagnostics or not chain.add_whole(data[starts[0] : commit.offset], last_seq):
                ends = [*starts[1:], commit.offset]
                pairs = zip(starts, ends, strict=True)
                if chain.add_each(data[at:end] for at, end in pairs if data[at + 7] < DIAGNOSTIC):
                    self.restart_at = (self.index, starts[0])
        if chain.digest() != commit.sha256:
            what = "the running digest does not agree with the commit: a batch before it is missing or exchanged"
            raise JournalCorrupt(self.path, commit.offset, what, seq=commit.first_seq)

    def _judge(self, segment: SegmentFile, fault: FaultError, *, last: bool) -> None:
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

    def _seq_at(self, segment: SegmentFile, offset: int) -> int:
        """Return the number in the damaged frame where it can be right, else the first that is not vouched for."""
        if offset + HEADER_BYTES <= len(segment.data):
            fields = HEADER.unpack_from(segment.data, offset)
            if fields[1] != COMMIT_SCHEMA and self.last_seq < fields[4] <= self.last_seq + offset - self.end + 1:
                return int(fields[4])
        return self.last_seq + 1
