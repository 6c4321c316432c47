"""A journal reads back as it was written; every torn tail is cut where the last commit ends; every fault is named."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.wire.segment import JournalCorrupt, JournalError, read_frames, scan, verify
from penstock_sdk.wire.segment_chain import sha256_of_frames
from penstock_sdk.wire.segment_layout import (
    SEGMENT_BYTES,
    SegmentHeader,
    commit_bytes,
    pack_commit,
    pack_frame,
    segment_path,
)

RUN = 0x1122334455667788


def record(seq: int, body: bytes = b"", *, origin: int = 1, schema_id: int = 7, count: int = 1) -> bytes:
    """Return a frame of *count* records of 16 bytes (or of the one control record *body*)."""
    if body:
        return pack_frame(schema_id, body, seq=seq, at_ns=seq * 10, origin=origin)
    packed = b"".join((seq + i).to_bytes(16, "little") for i in range(count))
    return pack_frame(schema_id, packed, seq=seq, at_ns=seq * 10, origin=origin, count=count, stride=16)


class Builder:
    """A second, plain writer of segments, straight from the tables."""

    def __init__(self, directory: Path, run: int = RUN) -> None:
        self.directory, self.run = directory, run
        self.hasher = hashlib.sha256()
        self.data: list[bytearray] = []
        self.last_seq = -1
        self.stretch: int | None = None
        self.synced_offset = 0
        self.begin()

    def begin(self) -> None:
        """Begin the next segment."""
        before = len(self.data[-1]) if self.data else 0
        header = SegmentHeader(len(self.data) + 1, self.run, self.hasher.digest(), before)
        self.data.append(bytearray(header.pack()))

    def batch(self, frames: Sequence[bytes]) -> None:
        """Add one batch."""
        data = self.data[-1]
        for frame in frames:
            if frame[7] < 0x80:
                seq = int.from_bytes(frame[8:16], "little")
                if self.stretch not in (None, seq // 65_536):
                    self.hasher = hashlib.sha256(self.hasher.digest())
                self.stretch = seq // 65_536
                self.hasher.update(frame)
                self.last_seq = seq + int.from_bytes(frame[40:44], "little") - 1
        first = int.from_bytes(frames[0][8:16], "little") if frames else self.last_seq + 1
        body = b"".join(frames)
        commit = pack_commit(
            list(frames), offset=len(data) + len(body), batch_bytes=len(body), at_ns=0,
            synced_offset=self.synced_offset, first_seq=first, last_seq=self.last_seq, sha256=self.hasher.digest(),
        )  # fmt: skip
        assert len(commit) == commit_bytes(len(frames))
        data += body + commit

    def sync(self) -> None:
        """From here on commits say that all before is synced."""
        self.synced_offset = len(self.data[-1])

    def seal(self) -> None:
        """End the journal as a clean close does."""
        self.sync()
        self.batch([])

    def save(self) -> Path:
        """Write the files and return their folder."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(self.data, 1):
            segment_path(self.directory, number).write_bytes(data)
        return self.directory


def three_batches(directory: Path, *, sealed: bool) -> Builder:
    """Return a small journal: 3 batches of 4, 1 and 3 frames, records 1 to 11, a diagnostic and a control record."""
    builder = Builder(directory)
    builder.batch([record(1), record(2, count=3), record(5, b"control"), record(5, b"noise", origin=0x83)])
    builder.batch([record(6)])
    builder.batch([record(7), record(8), record(9, count=3)])
    if sealed:
        builder.seal()
    return builder


I64 = st.integers(-(1 << 63), (1 << 63) - 1)


@st.composite
def frames_in_batches(draw: st.DrawFn) -> list[list[bytes]]:
    """Batches of frames whose logical records are numbered without gap."""
    seq = draw(st.integers(0, 1 << 40))
    batches = []
    for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)):
        batch = []
        for _ in range(size):
            diagnostic = draw(st.booleans())
            stride = draw(st.sampled_from([0, 8, 24]))
            count = draw(st.integers(1, 4)) if stride else 1
            body = draw(st.binary(min_size=count * stride, max_size=count * stride if stride else 21))
            frame = pack_frame(
                draw(st.integers(0, 0xFFFE)), body, seq=max(0, seq - 1) if diagnostic else seq, at_ns=draw(I64),
                version=draw(st.integers(1, 255)), origin=draw(st.integers(0, 127)) | (0x80 if diagnostic else 0),
                cause_seq=draw(I64), correlation_seq=draw(I64), count=count, stride=stride,
                producer=draw(st.integers(0, 0xFFFF)),
            )  # fmt: skip
            if not diagnostic:
                seq += count
            batch.append(frame)
        batches.append(batch)
    return batches


@given(batches=frames_in_batches(), rolls=st.sets(st.integers(0, 5)))
@settings(max_examples=60, deadline=None)
def test_frames_come_back_as_they_were_and_the_digest_covers_the_logical_ones(
    batches: list[list[bytes]], rolls: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    builder = Builder(tmp_path_factory.mktemp("j"))
    for number, batch in enumerate(batches):
        if number in rolls and number:
            builder.begin()
        builder.batch(batch)
    directory = builder.save()
    frames = [frame for batch in batches for frame in batch]
    read = list(read_frames(directory))
    assert [bytes(view.raw) for view in read] == frames
    for view, frame in zip(read, frames, strict=True):
        assert struct.pack("<IHBBqqqqIHH", *[getattr(view, name) for name in view.__struct_fields__[:11]]) == frame[:48]
        assert bytes(view.body) == frame[48 : 48 + view.body_bytes]
    logical = [frame for frame in frames if frame[7] < 0x80]
    result = verify(directory, allow_gaps=False)
    assert result.digest == builder.hasher.hexdigest() == sha256_of_frames(logical)
    assert (result.frames, result.diagnostics) == (len(frames), len(frames) - len(logical))
    assert result.records == sum(result.records_by_schema.values()) == sum(view.count for view in read)
    assert (result.commits, result.segments, result.torn_bytes) == (len(batches), len(builder.data), 0)
    assert result.size_bytes == sum(map(len, builder.data))


def test_the_commit_frame_and_the_segment_header_are_the_bytes_of_the_tables() -> None:
    frames = [bytes(range(48)), bytes(range(100, 156))]
    commit = pack_commit(
        frames, offset=500, batch_bytes=104, at_ns=-5, synced_offset=64, first_seq=3, last_seq=9, sha256=b"\x5a" * 32
    )
    by_hand = struct.pack("<IHBBqqqqIHH", 80, 0xFFFF, 1, 0, 9, -5, 64, 500, 0, 0, 0)
    by_hand += struct.pack("<QIIqq", 104, 2, 0, 3, 9) + b"\x5a" * 32
    by_hand += struct.pack("<II", zlib.crc32(frames[0]), zlib.crc32(frames[1])) + bytes(4)
    assert commit == by_hand + struct.pack("<I", zlib.crc32(by_hand))
    assert [commit_bytes(n) for n in range(4)] == [120, 120, 128, 128]
    header = SegmentHeader(2, RUN, b"\xa5" * 32, 4096).pack()
    head = b"PENSTOCK" + struct.pack("<HHIQ", 2, 64, 2, RUN) + b"\xa5" * 32 + struct.pack("<I", 512)
    assert header == head + struct.pack("<I", zlib.crc32(head))


def test_reading_may_begin_at_a_number_and_a_lone_segment_reads_too(tmp_path: Path) -> None:
    builder = three_batches(tmp_path, sealed=False)
    builder.begin()
    builder.batch([record(12)])
    directory = builder.save()
    assert [view.seq for view in read_frames(directory, from_seq=6)] == [6, 7, 8, 9, 12]
    assert [view.seq for view in read_frames(segment_path(directory, 2))] == [12]
    assert scan(segment_path(directory, 2)).digest is None
    assert scan(segment_path(directory, 1)).last_seq == 11


def test_a_journal_cut_at_any_byte_reads_up_to_the_last_commit_before_it(tmp_path: Path) -> None:
    builder = three_batches(tmp_path / "whole", sealed=True)
    ends: list[tuple[int, int]] = [(SEGMENT_BYTES, 0)]
    whole = bytes(builder.data[0])
    copy = three_batches(tmp_path / "parts", sealed=False)
    frames = [bytes(view.raw) for view in read_frames(builder.save())]
    sizes = [4, 1, 3]
    parts = Builder(tmp_path / "parts")
    done = 0
    for size in sizes:
        parts.batch(frames[done : done + size])
        done += size
        ends.append((len(parts.data[0]), done))
    assert parts.data == copy.data
    assert whole.startswith(bytes(parts.data[0]))
    file = segment_path(tmp_path / "whole", 1)
    for cut in range(SEGMENT_BYTES, len(whole)):
        file.write_bytes(whole[:cut])
        end, count = max(pair for pair in ends if pair[0] <= cut)
        assert [bytes(view.raw) for view in read_frames(file.parent)] == frames[:count]
        result = verify(file.parent)
        assert (result.torn_bytes, result.torn_commits, result.sealed) == (cut - end, 0, False)


def test_a_flip_in_any_byte_of_a_sealed_journal_is_corruption_or_in_the_seal(tmp_path: Path) -> None:
    builder = three_batches(tmp_path, sealed=True)
    whole = bytes(builder.save().joinpath("000000000001.pj").read_bytes())
    seal = len(whole) - commit_bytes(0)
    frames = [bytes(view.raw) for view in read_frames(tmp_path)]
    file = segment_path(tmp_path, 1)
    rng = random.Random(1)
    assert len(whole) > 1000
    for at in range(len(whole)):
        image = bytearray(whole)
        image[at] ^= 1 << rng.randrange(8)
        file.write_bytes(image)
        if at < seal:
            with pytest.raises(JournalCorrupt, match="000000000001.pj: offset"):
                scan(tmp_path)
        else:
            assert scan(tmp_path).torn_bytes == commit_bytes(0)
            assert [bytes(view.raw) for view in read_frames(tmp_path)] == frames


def test_a_flip_that_no_commit_knew_synced_cuts_the_rest_and_verify_refuses(tmp_path: Path) -> None:
    """Without a sync a later sector may outlive an earlier one, so reading goes on up to the fault; verify does not."""
    builder = three_batches(tmp_path, sealed=False)
    whole = bytes(builder.data[0])
    frames = [bytes(view.raw) for view in read_frames(builder.save())]
    rng = random.Random(3)
    file = segment_path(tmp_path, 1)
    for _ in range(1000):
        image = bytearray(whole)
        at = rng.randrange(SEGMENT_BYTES, len(whole))
        image[at] ^= 1 << rng.randrange(8)
        file.write_bytes(image)
        result = scan(tmp_path)
        read = [bytes(view.raw) for view in read_frames(tmp_path)]
        assert result.torn_bytes > 0
        assert len(whole) - result.torn_bytes <= at
        assert read == frames[: len(read)]
        if result.torn_commits:
            with pytest.raises(JournalCorrupt, match=r"commits follow; recovery would cut \d+ bytes"):
                verify(tmp_path)


def test_a_damaged_frame_is_named_by_file_offset_number_and_both_crcs(tmp_path: Path) -> None:
    builder = three_batches(tmp_path, sealed=True)
    good = record(6)
    at = bytes(builder.data[0]).index(good)
    builder.data[0][at + 50] ^= 1
    bad = bytes(builder.data[0][at : at + len(good)])
    with pytest.raises(JournalCorrupt) as caught:
        list(read_frames(builder.save()))
    error = caught.value
    assert (error.file, error.offset, error.seq) == (segment_path(tmp_path, 1), at, 6)
    assert (error.crc_expected, error.crc_found) == (zlib.crc32(good), zlib.crc32(bad))
    assert f"seq 6: frame is damaged (crc expected 0x{zlib.crc32(good):08x}" in str(error)


def test_sectors_moved_within_the_file_are_corruption_although_nothing_was_synced(tmp_path: Path) -> None:
    builder = three_batches(tmp_path, sealed=False)
    data = builder.data[0]
    second = bytes(data).index(record(6))
    third = bytes(data).index(record(7))
    del data[second:third]
    with pytest.raises(JournalCorrupt, match="commit was written for offset"):
        scan(builder.save())


def test_a_batch_exchanged_for_another_of_the_same_length_breaks_the_digest(tmp_path: Path) -> None:
    first, other = three_batches(tmp_path, sealed=True), Builder(tmp_path)
    other.batch([record(1), record(2, count=3), record(5, b"CONTROL"), record(5, b"noise", origin=0x83)])
    first.data[0][: len(other.data[0])] = other.data[0]
    with pytest.raises(JournalCorrupt, match="seq 6: the running digest does not agree"):
        scan(first.save())


def two_segments(directory: Path) -> Builder:
    builder = three_batches(directory, sealed=False)
    builder.begin()
    builder.batch([record(12), record(13)])
    builder.begin()
    builder.batch([record(14)])
    return builder


def test_a_missing_renamed_or_strange_segment_is_said(tmp_path: Path) -> None:
    directory = two_segments(tmp_path / "a").save()
    segment_path(directory, 2).unlink()
    with pytest.raises(JournalCorrupt, match="000000000003.pj: .* segment 3 stands where segment 2 should"):
        scan(directory)
    segment_path(directory, 3).rename(segment_path(directory, 2))
    with pytest.raises(JournalCorrupt, match="segment 3 stands where segment 2 should"):
        scan(directory)
    segment_path(directory, 1).unlink()
    with pytest.raises(JournalCorrupt, match="one is missing or renamed"):
        scan(directory)
    shutil.rmtree(directory)
    directory = two_segments(tmp_path / "a").save()
    strange = Builder(tmp_path / "b", run=5)
    strange.begin()
    segment_path(directory, 2).write_bytes(strange.data[1])
    with pytest.raises(JournalCorrupt, match="segment is of run 0000000000000005"):
        scan(directory)


def test_an_earlier_segment_that_is_cut_or_damaged_is_corruption_even_unsynced(tmp_path: Path) -> None:
    builder = two_segments(tmp_path)
    directory = builder.save()
    first = segment_path(directory, 1)
    first.write_bytes(builder.data[0][:-1])
    with pytest.raises(JournalCorrupt, match="000000000001.pj: .* commit frame has a wrong length or is cut"):
        scan(directory)
    third = bytes(builder.data[0]).index(record(7))
    first.write_bytes(builder.data[0][:third])
    with pytest.raises(JournalCorrupt, match="segment 1 has .* when this segment was begun"):
        scan(directory)
    image = bytearray(builder.data[0])
    image[third + 60] ^= 4
    first.write_bytes(image)
    with pytest.raises(JournalCorrupt, match="seq 7: frame is damaged"):
        scan(directory)


def test_numbers_that_go_back_are_corruption_and_gaps_are_counted(tmp_path: Path) -> None:
    back = Builder(tmp_path / "back")
    back.batch([record(5), record(5)])
    with pytest.raises(JournalCorrupt, match="seq 5: record numbers go back, 6 or higher was due"):
        scan(back.save())
    gap = Builder(tmp_path / "gap")
    gap.batch([record(1), record(2, count=2)])
    gap.batch([record(9)])
    result = verify(gap.save())
    assert (result.gaps, result.first_gap) == (1, (4, 9))
    with pytest.raises(JournalCorrupt, match="1 gaps, record 4 was due and 9 came"):
        verify(gap.directory, allow_gaps=False)


def test_numbers_used_up_by_diagnostics_are_no_gap(tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    builder.batch([record(1), record(2, b"log", origin=0x80), record(3)])
    assert verify(builder.save(), allow_gaps=False).gaps == 0


def test_a_folder_without_segments_and_another_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal segment"):
        scan(tmp_path)
    head = bytearray(SegmentHeader(1, RUN, hashlib.sha256().digest(), 0).pack()[:-4])
    head[8] = 3
    segment_path(tmp_path, 1).write_bytes(bytes(head) + struct.pack("<I", zlib.crc32(head)))
    with pytest.raises(JournalError, match="journal format 3 .* this reader knows formats 1 to 2"):
        scan(tmp_path)
    segment_path(tmp_path, 1).write_bytes(b"PENSTOCK")
    with pytest.raises(JournalCorrupt, match="segment has 8 bytes, its header alone needs 64"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("body", "count", "stride"), [(b"123", 1, 8), (b"", 0, 0), (b"12345678", 2, 0), (b"12345678", 2, 8)]
)
def test_pack_frame_refuses_a_body_of_another_length(body: bytes, count: int, stride: int) -> None:
    with pytest.raises(ValueError, match=f"body has {len(body)} bytes, count {count} of stride {stride}"):
        pack_frame(7, body, seq=1, at_ns=0, count=count, stride=stride)
