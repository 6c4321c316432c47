"""A journal held open for questions: any event by its number, any cascade by its input, records by type.

One checked pass over the files notes where each frame stands; after it nothing is read twice but what is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.schema import ABSENT, SchemaError, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, padded
from penstock_sdk.wire.segment import Batch, FrameView, JournalCorrupt, Walk

__all__ = ["Chunk", "Entry", "JournalView", "entries_of", "frame_view"]

_CHUNK_FRAMES = 65_536
I64 = npt.NDArray[np.int64]
_view: Callable[..., FrameView] = FrameView


class Entry(NamedTuple):
    """One record of a journal with its frame's header."""

    seq: int
    at_ns: int
    cause_seq: int
    """ABSENT for an input."""
    root_seq: int
    """The input that it follows from."""
    origin: int
    producer: int
    record: Any


class Chunk(NamedTuple):
    """Frames that stand in one file, one after the other: columns of equal length."""

    data: memoryview
    words: npt.NDArray[np.uint64]
    """The file as 8-byte words."""
    at: I64
    """Where each frame begins, in words."""
    seq: I64
    root: I64
    schema: npt.NDArray[np.uint16]
    events: npt.NDArray[np.uint32]
    """How many records each frame holds."""

    def frame(self, row: int) -> FrameView:
        """Return one frame."""
        start = int(self.at[row]) << 3
        fields = HEADER.unpack_from(self.data, start)
        return frame_view(fields, self.data[start : start + HEADER_BYTES + padded(fields[0])])


class JournalView:
    """A journal's frames, those outside the digest left out.

    `load` reads it; until that has come to its end, what was read so far can be asked.

    Attributes:
        records: events so far. last_seq: number of the last one, 0 before the first.
        torn: what is wrong with the first bytes after the last good commit, or None.
        damage: what ended a `read` that may end at damage, or None.
    """

    def __init__(self, journal_dir: Path) -> None:
        self._walk = Walk(journal_dir)
        self.chunks: list[Chunk] = []
        self._starts: list[int] = []
        self._data: memoryview | None = None
        self.records = 0
        self.last_seq = 0
        self.torn: str | None = None
        self.damage: JournalCorrupt | None = None

    @classmethod
    def read(cls, journal_dir: Path, *, up_to_damage: bool = False) -> JournalView:
        """Return the view of all that is written, while the run may go on.

        Args:
            up_to_damage: what stands before a damaged frame is read, and ``damage`` says what is wrong with it.

        Raises:
            JournalCorrupt: the journal is damaged before its tail; with *up_to_damage*, at its very beginning.
            JournalError: there is none.

        Cost: that of checking the journal, some 1 s for 2 million events, and 40 bytes of memory a frame.
        """
        view = cls(journal_dir)
        try:
            for _ in view.load():
                pass
        except JournalCorrupt as error:
            view.flush()
            if not up_to_damage or not view.records:
                raise
            view.damage = error
        return view

    def load(self) -> Iterator[Batch]:
        """Read batch after batch, each noted before it is yielded."""
        for batch in self._walk.batches():
            if batch.data is not self._data or len(self._starts) >= _CHUNK_FRAMES:
                self.flush()
                self._data = batch.data
            self._starts += batch.starts
            yield batch
        self.flush()
        self.torn = self._walk.torn

    def flush(self) -> None:
        """Make what was noted last askable, too."""
        if self._data is None or not self._starts:
            return
        words = np.frombuffer(self._data, "<u8", len(self._data) >> 3)
        at = np.array(self._starts, np.int64) >> 3
        self._starts = []
        at = at[words[at] >> np.uint64(63) == 0]  # bit 7 of the origin marks what is outside the digest
        if not len(at):
            return
        last = words[at + 5]
        chunk = Chunk(
            self._data, words, at, words[at + 1].view(np.int64), words[at + 4].view(np.int64),
            ((words[at] >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.uint16),
            (last & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        )  # fmt: skip
        self.chunks.append(chunk)
        self.records += int(chunk.events.sum())
        self.last_seq = int(chunk.seq[-1]) + int(chunk.events[-1]) - 1

    def digest(self) -> str:
        """Return the digest of what was read, hex; empty where it cannot be known."""
        return "" if self._walk.chain is None else self._walk.chain.digest().hex()

    def records_before(self, seq: int) -> int:
        """Return how many events come before number *seq*."""
        return sum(int(chunk.events[chunk.seq < seq].sum()) for chunk in self.chunks)

    def frame_at(self, seq: int) -> FrameView | None:
        """Return the frame that holds event *seq*, or None where it is not kept.

        Cost: two binary searches.
        """
        place = bisect_right(self.chunks, seq, key=lambda chunk: int(chunk.seq[0])) - 1
        if place < 0:
            return None
        chunk = self.chunks[place]
        row = int(np.searchsorted(chunk.seq, seq, side="right")) - 1
        return chunk.frame(row) if seq < int(chunk.seq[row]) + int(chunk.events[row]) else None

    def frames(self, from_seq: int = 0, until: Callable[[FrameView], bool] | None = None) -> Iterator[FrameView]:
        """Yield the frames that begin at or after *from_seq*, up to the one of which *until* is true, without it."""
        for chunk in self.chunks:
            if int(chunk.seq[-1]) < from_seq:
                continue
            for row in range(int(np.searchsorted(chunk.seq, from_seq)), len(chunk.seq)):
                frame = chunk.frame(row)
                if until is not None and until(frame):
                    return
                yield frame

    def cascade(self, root_seq: int) -> list[FrameView]:
        """Return the frames of one input and all that followed from it."""

        def is_over(frame: FrameView) -> bool:
            return frame.correlation_seq != root_seq

        return list(self.frames(root_seq, until=is_over))

    def of(self, *schema_ids: int) -> Iterator[FrameView]:
        """Yield the frames of some schemas, in order."""
        wanted = np.array(schema_ids, np.uint16)
        for chunk in self.chunks:
            for row in np.flatnonzero(np.isin(chunk.schema, wanted)).tolist():
                yield chunk.frame(row)

    def where_first_word(self, value: int, *schema_ids: int) -> Iterator[FrameView]:
        """Yield the frames of packed schemas in which the first 8 bytes of a record are *value*, in order."""
        wanted = np.array(schema_ids, np.uint16)
        word = np.uint64(value & (2**64 - 1))
        for chunk in self.chunks:
            rows = np.flatnonzero(np.isin(chunk.schema, wanted))
            first = chunk.words[chunk.at[rows] + (HEADER_BYTES >> 3)]
            for row in rows[(first == word) | (chunk.events[rows] > 1)].tolist():
                frame = chunk.frame(row)
                steps = range(0, frame.body_bytes, frame.stride or frame.body_bytes)
                if any(int.from_bytes(frame.body[at : at + 8], "little") == int(word) for at in steps):
                    yield frame

    def chain(self, seq: int) -> list[FrameView]:
        """Return the frames from the input at the root down to the one that holds *seq*, each the cause of the next.

        Where one is not kept the chain begins after it.
        """
        found: list[FrameView] = []
        frame = self.frame_at(seq)
        while frame is not None:
            found.append(frame)
            frame = self.frame_at(frame.cause_seq) if frame.cause_seq != ABSENT else None
        return found[::-1]


def frame_view(fields: tuple[Any, ...], raw: memoryview) -> FrameView:
    """Return a frame of its header's fields and its bytes."""
    return _view(*fields, raw)


def entries_of(frame: FrameView) -> Iterator[Entry]:
    """Yield the records of a frame; of a schema that is not known here, one with its bytes as the record."""
    try:
        layout = schema_by_id(frame.schema_id)
    except SchemaError:
        records: list[Any] = [bytes(frame.body)]
    else:
        if not layout.packed:
            records = [layout.unpack(bytes(frame.body))]
        else:
            step = frame.stride
            records = [layout.unpack(_long_enough(frame.body[at : at + step], layout.size))
                       for at in range(0, frame.body_bytes, step)]  # fmt: skip
    for number, record in enumerate(records):
        yield Entry(
            frame.seq + number, frame.at_ns, frame.cause_seq, frame.correlation_seq, frame.origin, frame.producer,
            record,
        )  # fmt: skip


def _long_enough(body: memoryview, size: int) -> bytes:
    """Return a record's bytes, with zeros in place of fields that were appended after it was written."""
    return bytes(body) if len(body) >= size else bytes(body) + bytes(size - len(body))
