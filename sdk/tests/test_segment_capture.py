"""A capture gives back the frames a reference speaks of, and says by name when the file was cut or changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.wire.capture import CaptureError, CaptureReader, CaptureRef, CaptureWriter
from penstock_sdk.wire.segment_layout import pack_frame


def record(seq: int, count: int) -> bytes:
    return pack_frame(9, bytes(range(24)) * count, seq=seq, at_ns=seq, count=count, stride=24)


def capture(path: Path, parts: list[list[int]]) -> tuple[list[CaptureRef], list[list[bytes]]]:
    """Write one reference per part; a part is the record counts of its frames."""
    refs: list[CaptureRef] = []
    frames: list[list[bytes]] = []
    seq = 0
    with CaptureWriter(path, identity=77) as writer:
        for part in parts:
            frames.append([])
            for count in part:
                frames[-1].append(record(seq, count))
                writer.append(frames[-1][-1])
                seq += count
            refs.append(writer.reference())
    return refs, frames


@given(parts=st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_each_reference_reads_back_its_own_frames(
    parts: list[list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("c") / "ticks.cap"
    refs, frames = capture(path, parts)
    reader = CaptureReader(path)
    assert reader.identity == 77
    for ref, part, wanted in zip(refs, parts, frames, strict=True):
        assert (ref.frames, ref.records, ref.sha256) == (
            len(part), sum(part), hashlib.sha256(b"".join(wanted)).hexdigest(),
        )  # fmt: skip
        assert [bytes(view.raw) for view in reader.read(ref)] == wanted
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(ref), type=CaptureRef) == ref
    assert [bytes(view.raw) for view in reader.frames()] == [frame for part in frames for frame in part]


def test_a_frame_is_found_by_offset_and_checked_by_count(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c") as writer:
        assert [writer.append(record(1, 2)), writer.append(record(3, 5))] == [64, 160]
    reader = CaptureReader(tmp_path / "c")
    assert reader.frame_at(160, 5).seq == 3
    with pytest.raises(CaptureError, match="offset 160: frame has 5 records, the journal says 4"):
        reader.frame_at(160, 4)
    with pytest.raises(CaptureError, match="offset 112: no frame begins here"):
        reader.frame_at(112)
    with pytest.raises(CaptureError, match="offset 61: frames begin at multiples of 8, from 64 on"):
        reader.frame_at(61)
    with pytest.raises(CaptureError, match="the file is cut"):
        reader.frame_at(328)


def test_every_cut_and_every_changed_byte_of_a_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    refs, _ = capture(path, [[1, 2], [3]])
    whole = path.read_bytes()
    ref = refs[1]
    for cut in range(64, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(CaptureError, match="offset 232: the file is cut: "):
            CaptureReader(path).check(ref)
    for at in range(ref.offset, ref.offset + ref.length_bytes):
        image = bytearray(whole)
        image[at] ^= 1 << (at & 7)
        path.write_bytes(image)
        with pytest.raises(CaptureError, match="changed since it was recorded: sha256 "):
            list(CaptureReader(path).read(ref))
        CaptureReader(path).check(refs[0])


def test_a_strange_or_damaged_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    capture(path, [[1]])
    whole = path.read_bytes()
    path.write_bytes(b"PENSTOCK" + whole[8:])
    with pytest.raises(CaptureError, match="begins with b'PENSTOCK', version 1, wanted b'PENSTCAP'"):
        CaptureReader(path)
    path.write_bytes(whole[:17] + b"\xee" + whole[18:])
    with pytest.raises(CaptureError, match="header is damaged"):
        CaptureReader(path)
    path.write_bytes(whole[:20])
    with pytest.raises(CaptureError, match="20 bytes, the header alone needs 64"):
        CaptureReader(path)
    with pytest.raises(FileExistsError):
        CaptureWriter(path)


def test_a_frame_whose_length_is_not_what_it_says_is_not_taken(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c") as writer, pytest.raises(ValueError, match="frame of 79 bytes, its header says"):
        writer.append(record(1, 1) + b"1234567")
