"""Reading from a number on gives what reading all and leaving out gives, and does not read what lies before it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.wire import segment_find
from penstock_sdk.wire.segment import JournalCorrupt, Place, Walk, find, read_frames
from penstock_sdk.wire.segment_chain import STRETCH_BITS, Chain, Restart, sha256_of_frames
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, pack_frame, segment_path
from sdk.tests.test_segment_read import Builder

STRETCH = 1 << STRETCH_BITS


def record(seq: int, *, count: int = 1, diagnostic: bool = False) -> bytes:
    body = random.Random(seq).randbytes(24 * count)
    return pack_frame(7, body, seq=seq, at_ns=seq, origin=0x81 if diagnostic else 1, count=count, stride=24)


@st.composite
def journals(draw: st.DrawFn) -> list[list[list[bytes]]]:
    """Segments of batches of frames: numbers with gaps, frames of several records, diagnostics first or alone."""
    seq = draw(st.integers(0, 2 * STRETCH))
    segments = []
    for _ in range(draw(st.integers(1, 4))):
        batches = []
        for _ in range(draw(st.integers(0, 5))):
            batch = []
            for _ in range(draw(st.integers(1, 4))):
                if draw(st.integers(0, 3)) == 0:
                    batch.append(record(max(seq - 1, 0), diagnostic=True))
                    continue
                seq += draw(st.sampled_from([0, 0, 0, 3, STRETCH]))
                count = draw(st.integers(1, 5))
                batch.append(record(seq, count=count))
                seq += count
            batches.append(batch)
        segments.append(batches)
    return segments


def save(directory: Path, segments: list[list[list[bytes]]], *, synced: bool) -> Builder:
    builder = Builder(directory)
    for number, batches in enumerate(segments):
        if number:
            builder.begin()
        for batch in batches:
            builder.batch(batch)
            if synced:
                builder.sync()
    builder.save()
    return builder


def by_leaving_out(directory: Path, seq: int) -> list[bytes]:
    return [
        bytes(view.raw)
        for batch in Walk(directory).batches()
        if batch.commit.last_seq >= seq
        for view in batch.frames()
    ]


@given(segments=journals(), synced=st.booleans(), near=st.sampled_from([64, 1 << 17]), data=st.data())
@settings(max_examples=80, deadline=None)
def test_reading_from_any_number_gives_what_leaving_out_gives(
    segments: list[list[list[bytes]]],
    synced: bool,
    near: int,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    builder = save(tmp_path_factory.mktemp("j"), segments, synced=synced)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_find, "_NEAR_BYTES", near)
        edges = [int.from_bytes(f[8:16], "little") for batches in segments for batch in batches for f in batch]
        for seq in data.draw(st.lists(st.sampled_from([0, *edges, builder.last_seq + 1]), max_size=8)):
            for wanted in (seq - 1, seq, seq + 1):
                read = [bytes(view.raw) for view in read_frames(builder.directory, from_seq=wanted)]
                assert read == by_leaving_out(builder.directory, wanted)


def long_journal(directory: Path) -> Builder:
    """Three segments of 40 batches of 10 records; records 0 to 1199."""
    batches = [[record(seq) for seq in range(begin, begin + 10)] for begin in range(0, 1200, 10)]
    return save(directory, [batches[:40], batches[40:80], batches[80:]], synced=True)


def test_what_lies_before_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = long_journal(tmp_path)
    monkeypatch.setattr(segment_find, "_NEAR_BYTES", 2_000)
    place = find(tmp_path, 1000)
    assert place is not None
    assert place.segment == 3
    # Spoilt is all of the segments before but the headers and first frames, and in the third what was not looked at.
    for number, data in enumerate(builder.data, 1):
        end = len(data) if number < 3 else place.offset - 1_000
        data[SEGMENT_BYTES + 100 : end] = bytes(end - SEGMENT_BYTES - 100)
    builder.save()
    assert find(tmp_path, 1000) == place
    assert [view.seq for view in read_frames(tmp_path, from_seq=1000)] == list(range(1000, 1200))
    with pytest.raises(JournalCorrupt):
        list(read_frames(tmp_path))


def test_the_place_is_near_and_never_behind_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_journal(tmp_path)
    monkeypatch.setattr(segment_find, "_NEAR_BYTES", 2_000)
    for seq in range(0, 1200, 7):
        place = find(tmp_path, seq)
        first = next(Walk(tmp_path, place).batches()).commit.first_seq
        assert seq - 40 <= first <= seq
    assert find(tmp_path, 0) is None


@pytest.mark.parametrize("size", [1, 4])
def test_a_hole_that_a_power_loss_left_is_not_jumped_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A later batch may outlive an earlier one that was not synced: reading stops before it, wherever it began."""
    monkeypatch.setattr(segment_find, "_NEAR_BYTES", 64)
    for synced in range(9):
        builder = Builder(tmp_path)
        ends = [SEGMENT_BYTES]
        for number in range(9):
            if number == synced:
                builder.sync()
            builder.batch([record(seq) for seq in range(number * size, (number + 1) * size)])
            ends.append(len(builder.data[0]))
        for lost in range(synced, 8):
            image = bytearray(builder.data[0])
            image[ends[lost] : ends[lost + 1]] = bytes(ends[lost + 1] - ends[lost])
            segment_path(tmp_path, 1).write_bytes(image)
            for number in range(9):
                expected = [seq for seq in range(lost * size) if seq // size >= number]
                assert [view.seq for view in read_frames(tmp_path, from_seq=number * size)] == expected


def test_a_segment_whose_first_number_is_spoilt_is_not_believed(tmp_path: Path) -> None:
    builder = long_journal(tmp_path)
    at = SEGMENT_BYTES + 8
    for wrong in (0, 5, 399, 1 << 40):
        data = bytearray(builder.data[1])
        data[at : at + 8] = wrong.to_bytes(8, "little")
        segment_path(tmp_path, 2).write_bytes(data)
        for seq in (100, 450, 1100):
            expected = [number for number in range(1200) if number // 10 >= seq // 10]
            try:
                found = [view.seq for view in read_frames(tmp_path, from_seq=seq)]
            except JournalCorrupt:
                continue  # the segment was read, and its frame does not have the CRC of its commit
            assert found == expected


def test_links_between_segments_are_checked_from_a_place_in_the_middle(tmp_path: Path) -> None:
    builder = long_journal(tmp_path)
    other = Builder(tmp_path / "other")
    for begin in range(0, 800, 10):
        other.batch([record(seq) for seq in range(begin, begin + 10)])
        if begin == 390:
            other.begin()
    other.hasher = hashlib.sha256(b"another run's past")
    other.begin()
    other.batch([record(800)])
    segment_path(tmp_path, 3).write_bytes(other.data[2])
    assert len(other.data[1]) == len(builder.data[1])
    with pytest.raises(JournalCorrupt, match="the digest in the segment header is not that of the segments before it"):
        list(read_frames(tmp_path, from_seq=500))
    with pytest.raises(JournalCorrupt, match="segment 4 should|segment 3 stands where segment 4 should"):
        list(Walk(segment_path(tmp_path, 3), Place(4, SEGMENT_BYTES)).batches())


def test_the_chain_is_begun_anew_where_a_frame_lies_in_another_stretch() -> None:
    frames = [record(seq) for seq in (STRETCH - 2, STRETCH - 1, STRETCH, STRETCH + 1, 5 * STRETCH + 3)]
    first = hashlib.sha256(b"".join(frames[:2])).digest()
    second = hashlib.sha256(first + b"".join(frames[2:4])).digest()
    third = hashlib.sha256(second + frames[4])
    assert sha256_of_frames(frames) == third.hexdigest()
    chain = Chain()
    assert chain.add_each(frames)
    assert chain.restart == Restart(5 * STRETCH + 3, second)
    # From a restart on, frames of its batch that lie before it are passed over.
    again = Chain(Restart(STRETCH, first))
    assert not again.add_whole(b"".join(frames[:4]), STRETCH + 1)
    assert not again.add_each(frames[1:4])
    assert again.add_each(frames[4:])
    assert again.digest() == chain.digest()


def test_a_frame_that_reaches_into_the_next_stretch_belongs_to_the_one_it_begins_in() -> None:
    frames = [record(STRETCH - 2, count=4), record(STRETCH + 2)]
    first = hashlib.sha256(frames[0]).digest()
    assert sha256_of_frames(frames) == hashlib.sha256(first + frames[1]).hexdigest()


@given(seqs=st.lists(st.integers(0, 4 * STRETCH), min_size=1, max_size=30, unique=True), cuts=st.data())
@settings(max_examples=60, deadline=None)
def test_pieces_of_any_size_give_one_digest(seqs: list[int], cuts: st.DataObject) -> None:
    frames = [record(seq) for seq in sorted(seqs)]
    chain, at = Chain(), 0
    while at < len(frames):
        piece = frames[at : at + cuts.draw(st.integers(1, 8))]
        if not chain.add_whole(b"".join(piece), int.from_bytes(piece[-1][8:16], "little")):
            chain.add_each(piece)
        at += len(piece)
    assert chain.digest().hex() == sha256_of_frames(frames)
