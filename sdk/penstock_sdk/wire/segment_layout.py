"""The bytes of a journal: commit frame and segment header. Little-endian; every item a multiple of 8 bytes.

A journal is a folder of segment files ``000000000001.pj``, ``000000000002.pj`` and so on. A segment is a 64-byte
header, then batches; a batch is one or more frames (`penstock_sdk.wire.frame`, stored as they are), then one commit
frame that vouches for them.

Commit frame: a frame of schema 0xFFFF, version 1, origin 0, count, stride and producer 0. Three header fields have a
meaning of their own; n is frame_count

====== ===== ================= ==========================================================================
8      i64   seq               last_seq once more
16     i64   at_ns             at_ns of the batch's last frame
24     i64   synced_offset     (cause_seq) bytes of this file known synced when the commit was written
32     i64   own_offset        (correlation_seq) where in this file the commit frame begins
48     u64   batch_bytes       bytes of the batch's frames; the batch begins at own_offset - batch_bytes
56     u32   frame_count       frames in the batch; 0 only in the seal that a clean close writes
60     u32   reserved          0
64     i64   first_seq         of the batch; last_seq + 1 in a seal
72     i64   last_seq          highest number given out so far
80     32 B  sha256            running digest of all logical frames: `penstock_sdk.wire.segment_chain`
112    u32*n crc               CRC-32 (zlib) of each frame of the batch, padding included, in order
112+4n        0 or 4 zeros     4 when n is even, so that the commit frame ends on a multiple of 8
last 4 u32   commit_crc        CRC-32 of the commit frame up to here
====== ===== ================= ==========================================================================

Segment header, 64 bytes (``"<8sHHIQ32sII"``)

====== ===== ================= ==========================================================================
0      8 B   magic             ``PENSTOCK``
8      u16   format_version    2; 1 where the digest knows no stretches
10     u16   header_bytes      64
12     u32   index             1, 2, 3 ...; also the file's name
16     u64   run               identity of the run, the same in all its segments
24     32 B  sha256            running digest when the segment was begun
56     u32   previous_words    length of the segment before it in 8-byte words; 0 in the first
60     u32   crc               CRC-32 of the 60 bytes before
====== ===== ================= ==========================================================================

The digest leaves out commit frames and diagnostic frames, so it depends neither on where commits fall nor on logging.
The two formats differ in nothing else. A journal begun in format 1 goes on in it to the end of its last segment, and in
format 2 from the next one on.
A segment gets its name only after everything before it is synced and its own header is synced: so a fault in any
segment but the last is corruption, and a segment always has its header.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from penstock_sdk.schema import ABSENT
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES, Header, padded

__all__ = [
    "COMMIT_SCHEMA",
    "FORMAT_VERSION",
    "MAGIC",
    "SEGMENT_BYTES",
    "Commit",
    "FrameView",
    "JournalCorrupt",
    "JournalError",
    "SegmentHeader",
    "commit_bytes",
    "pack_commit",
    "pack_frame",
    "segment_path",
    "unpack_commit",
]

COMMIT_SCHEMA: Final = 0xFFFF
MAGIC: Final = b"PENSTOCK"
FORMAT_VERSION: Final = 2
SEGMENT_BYTES: Final = 64

_COMMIT: Final = struct.Struct("<IHBBqqqqIHHQIIqq32s")
_COMMIT_FIXED: Final = _COMMIT.size - HEADER_BYTES
_SEGMENT: Final = struct.Struct("<8sHHIQ32sII")
_CRC: Final = struct.Struct("<I")

assert _COMMIT.size == 112
assert _SEGMENT.size == SEGMENT_BYTES


class JournalError(Exception):
    """Base of everything that can be wrong with a journal."""


class JournalCorrupt(JournalError):  # noqa: N818 - a state of the journal, as it is spoken of
    """Bytes that were once written whole are not what was written.

    Attributes:
        file: the segment.
        offset: byte in that file where the bad item begins.
        seq: number of the bad record, or the first number that cannot be vouched for; None when unknown.
        crc_expected, crc_found: both None when the fault is not a CRC.
    """

    def __init__(
        self,
        file: Path,
        offset: int,
        what: str,
        *,
        seq: int | None = None,
        crc_expected: int | None = None,
        crc_found: int | None = None,
    ) -> None:
        self.file, self.offset, self.seq = file, offset, seq
        self.crc_expected, self.crc_found = crc_expected, crc_found
        where = f"{file}: offset {offset}" + ("" if seq is None else f", seq {seq}")
        crc = ""
        if crc_expected is not None and crc_found is not None:
            crc = f" (crc expected 0x{crc_expected:08x}, found 0x{crc_found:08x})"
        super().__init__(f"{where}: {what}{crc}; the journal is corrupt here, restore this file from a copy")


class FrameView(Header, frozen=True, gc=False):
    """One frame as read: the header's fields, and the bytes it came from.

    ``raw`` is the whole frame, padding included, as a read-only view of the file; it stays valid while it is held.
    """

    raw: memoryview

    @property
    def body(self) -> memoryview:
        """The body without the padding: ``count * stride`` bytes of packed records, or one msgpack value."""
        return self.raw[HEADER_BYTES : HEADER_BYTES + self.body_bytes]

    @property
    def diagnostic(self) -> bool:
        """True when the frame is outside the digest."""
        return self.origin >= DIAGNOSTIC


class Commit(NamedTuple):
    """What a commit frame says (see the module's table); ``offset`` is its own_offset, ``end`` where it ends."""

    offset: int
    end: int
    at_ns: int
    synced_offset: int
    batch_bytes: int
    frame_count: int
    first_seq: int
    last_seq: int
    sha256: bytes
    crcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first 64 bytes of a segment; ``previous_bytes`` is the length of the segment before it, 0 in the first."""

    index: int
    run: int
    sha256: bytes
    previous_bytes: int
    version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """Return the 64 bytes."""
        words = self.previous_bytes >> 3
        head = _SEGMENT.pack(MAGIC, self.version, SEGMENT_BYTES, self.index, self.run, self.sha256, words, 0)[:-4]
        return head + _CRC.pack(zlib.crc32(head))

    @classmethod
    def unpack(cls, data: bytes, file: Path) -> SegmentHeader:
        """Return the header read from the first bytes of *file*.

        Raises:
            JournalCorrupt: too short, not a segment, another format version, or a wrong CRC.
        """
        if len(data) < SEGMENT_BYTES:
            raise JournalCorrupt(file, 0, f"segment has {len(data)} bytes, its header alone needs {SEGMENT_BYTES}")
        magic, version, size, index, run, sha256, words, crc = _SEGMENT.unpack(data[:SEGMENT_BYTES])
        found = zlib.crc32(data[: SEGMENT_BYTES - 4])
        if magic != MAGIC:
            raise JournalCorrupt(file, 0, f"segment begins with {magic!r}, not {MAGIC!r}")
        if found != crc:
            raise JournalCorrupt(file, 0, "segment header is damaged", crc_expected=crc, crc_found=found)
        if not 1 <= version <= FORMAT_VERSION or size != SEGMENT_BYTES:
            raise JournalError(
                f"{file}: journal format {version} with a header of {size} bytes; this reader knows formats 1 to "
                f"{FORMAT_VERSION} with {SEGMENT_BYTES}; read it with the Penstock version that wrote it"
            )
        return cls(index, run, sha256, words << 3, version)


def pack_frame(
    schema_id: int,
    body: bytes | bytearray | memoryview,
    *,
    seq: int,
    at_ns: int,
    version: int = 1,
    origin: int = 1,
    cause_seq: int = ABSENT,
    correlation_seq: int = ABSENT,
    count: int = 1,
    stride: int = 0,
    producer: int = 0,
) -> bytes:
    """Return one whole frame, padded to a multiple of 8.

    This is the readable way; a hot path packs header and record by one ``struct.pack``.

    Raises:
        ValueError: the body is not ``count * stride`` bytes long, or *schema_id* is the commit frame's.
        struct.error: a field does not fit its width.
    """
    if schema_id == COMMIT_SCHEMA:
        raise ValueError(f"schema_id {schema_id} marks commit frames; choose another")
    if count < 1 or len(body) != (count * stride if stride else len(body)) or (not stride and count != 1):
        raise ValueError(f"body has {len(body)} bytes, count {count} of stride {stride} wants {count * stride}")
    head = HEADER.pack(
        len(body), schema_id, version, origin, seq, at_ns, cause_seq, correlation_seq, count, stride, producer
    )
    return head + bytes(body) + bytes(padded(len(body)) - len(body))


def segment_path(directory: Path, index: int) -> Path:
    """Return the file of segment *index* (from 1)."""
    return directory / f"{index:012d}.pj"


def commit_bytes(frame_count: int) -> int:
    """Return the length of a commit frame for so many frames; a multiple of 8."""
    return _COMMIT.size + padded(4 * frame_count + 4)


def pack_commit(
    frames: list[bytes],
    *,
    offset: int,
    batch_bytes: int,
    at_ns: int,
    synced_offset: int,
    first_seq: int,
    last_seq: int,
    sha256: bytes,
) -> bytes:
    """Return the commit frame for *frames*, to be written at *offset*.

    Cost: about 0.1 µs per frame of 100 bytes (its CRC), 1.5 µs beside.
    """
    count = len(frames)
    body = commit_bytes(count) - HEADER_BYTES
    head = _COMMIT.pack(
        body, COMMIT_SCHEMA, 1, 0, last_seq, at_ns, synced_offset, offset, 0, 0, 0,
        batch_bytes, count, 0, first_seq, last_seq, sha256,
    )  # fmt: skip
    commit = head + _pack_crcs(map(zlib.crc32, frames))
    if not count & 1:
        commit += b"\0\0\0\0"
    return commit + _CRC.pack(zlib.crc32(commit))


def _pack_crcs(crcs: Iterable[int]) -> bytes:
    # An array is 3 x faster than struct.pack(*crcs); the import below refuses hosts where its bytes would differ.
    return array("I", crcs).tobytes()


if array("I", [1]).tobytes() != b"\1\0\0\0":  # pragma: no cover
    raise ImportError("penstock journals need a little-endian host with a 4-byte unsigned int")


def unpack_commit(data: memoryview, offset: int, words: memoryview) -> Commit | None:
    """Return the commit frame at *offset*, or None where none stands whole (cut, or its CRC is wrong).

    Args:
        data: the segment's bytes.
        words: the same bytes as u32.
    """
    if offset + _COMMIT.size > len(data):
        return None
    (body, schema, _, _, _, at_ns, synced, own, _, _, _, batch, count, _, first, last, sha256) = _COMMIT.unpack_from(
        data, offset
    )
    end = offset + HEADER_BYTES + body
    if schema != COMMIT_SCHEMA or end != offset + commit_bytes(count) or end > len(data):
        return None
    if zlib.crc32(data[offset : end - 4]) != words[(end >> 2) - 1]:
        return None
    at = (offset + _COMMIT.size) >> 2
    return Commit(own, end, at_ns, synced, batch, count, first, last, sha256, tuple(words[at : at + count]))
