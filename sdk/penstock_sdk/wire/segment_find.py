"""Finding the batch that holds a record number, without reading what lies before it.

The segment is found by the number in its first frame (a binary search, one page of each file tried), the place in it by
whole commit frames, found from the middle on. Every place taken is the end of a commit whose own CRC and offset are
right, and whose bytes are known synced: so no torn place can lie before it, and nothing wanted can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock_sdk.wire.segment_file import FaultError, SegmentFile, segment_files
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES
from penstock_sdk.wire.segment_walk import Place

__all__ = ["find", "synced_bytes"]

_NEAR_BYTES: Final = 1 << 17  # reading on from here is as quick as looking closer


def find(source: str | Path, seq: int) -> Place | None:
    """Return where to begin reading so that no batch that ends at *seq* or later is missed; None is the beginning.

    What lies before the place is not checked. Batches that end before *seq* may follow it.

    Raises:
        JournalError: there is no segment, or one that was tried has no right header.

    Cost: some 50 µs for each doubling of the number of segments, and some 2 ms in the segment.
    """
    files = segment_files(source)
    low, high = 0, len(files) - 1
    while low < high:  # invariant: every segment before `low` begins at or before seq
        middle = (low + high + 1) >> 1
        first_seq = SegmentFile(files[middle]).first_seq()
        if first_seq is not None and first_seq <= seq:
            low = middle
        else:
            high = middle - 1
    segment = SegmentFile(files[low])
    offset = _end_before(segment, seq, synced_bytes(segment, last=low == len(files) - 1))
    if offset > SEGMENT_BYTES or low == 0 or _begins_at_or_before(segment, seq):
        return Place(segment.header.index, offset) if offset > SEGMENT_BYTES or low else None
    return None  # its first number was not what it said: the pass from the beginning finds what is wrong


def synced_bytes(segment: SegmentFile, *, last: bool) -> int:
    """Return up to where the segment is known synced: all of it but of the last one, there what its commits say."""
    if not last:
        return len(segment.data)
    for _, commit in segment.earlier_commits(len(segment.data)):
        return min(commit.synced_offset, commit.offset)
    return SEGMENT_BYTES


def _end_before(segment: SegmentFile, seq: int, limit: int) -> int:
    """Return the end of a commit at or before *limit* that ends before *seq*, nearly the last; else the header's."""
    low, high = SEGMENT_BYTES, limit
    while high - low > _NEAR_BYTES:
        middle = (low + high) >> 1 & -8
        commit = next((c for at, c in segment.later_commits(middle) if c.offset == at), None)
        if commit is not None and commit.end <= limit and commit.last_seq < seq:
            low = commit.end
        else:
            high = middle
    return low


def _begins_at_or_before(segment: SegmentFile, seq: int) -> bool:
    """Return whether the segment's first logical frame, its batch checked, has a number of at most *seq*."""
    at = SEGMENT_BYTES
    try:
        while True:
            batch = segment.read_batch(at)
            for frame in batch.frames():
                if not frame.diagnostic:
                    return frame.seq <= seq
            at = batch.commit.end
    except FaultError:  # also at the end of the file
        return False
