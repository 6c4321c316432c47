"""Where two runs part: their headers, then the first event that differs, field by field, and what led to it.

The bytes of both journals are compared batch by batch; only the frame in which they differ is decoded. Where commits
fell does not matter: a run and its resumed twin are equal when their events are. Nor does where a plugin ran: what one
in a process of its own says is a reply (REPLY), what one in the kernel says is derived (DERIVED); that is told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.inspect.event_words import fields_of, record_name, say
from penstock_kernel.inspect.journal_view import Entry, JournalView, entries_of, frame_view
from penstock_kernel.inspect.market_words import MarketWords, utc_text
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import RunHeader
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES, Origin, padded
from penstock_sdk.wire.segment import Batch, FrameView

__all__ = ["EventSide", "FieldDifference", "OriginDifference", "RunDifference", "RunSide", "diff_runs"]

_CHAIN_MAX = 6
_ORIGIN, _COUNT, _PRODUCER = 3, 8, 10
"""Places in an unpacked header."""
_HEADER_FIELDS = ("version", "origin", "at_ns", "cause_seq", "correlation_seq", "count", "stride", "producer")


class FieldDifference(msgspec.Struct, frozen=True):
    """One field and what each run has in it; None is absent."""

    field: str
    a: Any
    b: Any


class EventSide(msgspec.Struct, frozen=True):
    """One run's event at the first difference."""

    seq: int
    at_ns: int
    at_utc: str
    record: str
    text: str
    chain: list[str]
    """What led to it, from the input at the root, one sentence an event."""


class OriginDifference(msgspec.Struct, frozen=True):
    """Events that are the same but came another way, because a plugin ran elsewhere."""

    a: str
    b: str
    events: int


class RunSide(msgspec.Struct, frozen=True):
    """One of the two runs."""

    run: str
    state: str
    events: int
    digest: str
    """SHA-256 of the journal where it was needed; empty where the runs part before its end."""


class RunDifference(msgspec.Struct, frozen=True):
    """What two runs have in common, and where they part."""

    equal: bool
    """True when every event but the run headers is the same, in all but where the plugin ran that said it."""
    a: RunSide
    b: RunSide
    equal_events: int
    """Events that are the same in both, from the first on; run headers that differ are not among them."""
    headers: list[FieldDifference]
    """Fields of run headers that differ; the comparison goes on after them."""
    seq: int | None = None
    """The first event that differs, or that only one of them has."""
    fields: list[FieldDifference] = []
    event_a: EventSide | None = None
    """None when run A ends before it."""
    event_b: EventSide | None = None
    origins: list[OriginDifference] = []
    """Of the equal events, those that plugins said in their own process in one run and in the kernel in the other."""


class _Side:
    """One run's journal as a stream of stretches of whole frames."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = run_dir
        self.info = RunInfo.load(run_dir)
        learn_own_records(run_dir)
        self.view = JournalView(run_dir / "journal")
        self._stretches = self._read()
        self.data = memoryview(b"")
        """What is left of the stretch at hand; empty at the journal's end."""
        self.advance(0)

    def _read(self) -> Iterator[memoryview]:
        for batch in self.view.load():
            yield from _logical(batch)

    def advance(self, size: int) -> None:
        """Pass over *size* bytes, and fetch the next stretch when this one is used up."""
        self.data = self.data[size:]
        while not len(self.data):
            fresh = next(self._stretches, None)
            if fresh is None:
                return
            self.data = fresh

    def frame(self) -> FrameView | None:
        """Return the frame at hand, or None at the end."""
        if not len(self.data):
            return None
        fields = HEADER.unpack_from(self.data)
        return frame_view(fields, self.data[: HEADER_BYTES + padded(fields[0])])

    def finish(self) -> None:
        """Read to the end, for the number of events."""
        for _ in self._stretches:
            pass

    def told(self, digest: str = "") -> RunSide:
        """Return what is said of the run as a whole."""
        return RunSide(self.info.id or self.dir.name, self.info.state, self.view.records, digest)


def _logical(batch: Batch) -> Iterator[memoryview]:
    """Yield the bytes of a batch's frames, those outside the digest left out."""
    starts, end = batch.starts, batch.commit.offset
    if not starts:
        return
    if not batch.diagnostics:
        yield batch.data[starts[0] : end]
        return
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        if batch.data[start + 7] < DIAGNOSTIC:
            yield batch.data[start:stop]


def diff_runs(run_a: Path, run_b: Path) -> RunDifference:
    """Return the first event that differs between two runs.

    Args:
        run_a, run_b: folders of runs; one that goes on is compared as far as it is written.

    Raises:
        RunError: a folder is no run.
        JournalCorrupt, JournalError: a journal is damaged before its tail, or is not there.

    Cost: checking both journals' sums, some 0.5 s of one core for a million events in each.
    """
    a, b = _Side(run_a), _Side(run_b)
    headers: list[FieldDifference] = []
    elsewhere: Counter[tuple[int, int]] = Counter()
    passed_over = 0
    while True:
        _skip_equal(a, b, elsewhere)
        frame_a, frame_b = a.frame(), b.frame()
        if frame_a is None or frame_b is None:
            break
        header = layout_of(RunHeader).id
        if frame_a.schema_id != header or frame_b.schema_id != header:
            break
        headers += _record_differences(_only(frame_a), _only(frame_b))
        a.advance(len(frame_a.raw))
        b.advance(len(frame_b.raw))
        passed_over += 1
    a.finish()
    b.finish()
    origins = [OriginDifference(_origin(x), _origin(y), count) for (x, y), count in sorted(elsewhere.items())]
    if frame_a is None and frame_b is None:
        told_a, told_b = (side.told(side.view.digest()) for side in (a, b))
        return RunDifference(True, told_a, told_b, a.view.records - passed_over, headers, origins=origins)
    here = frame_a or frame_b
    assert here is not None
    equal = (a if frame_a is not None else b).view.records_before(here.seq) - passed_over
    return msgspec.structs.replace(_parted(a, b, frame_a, frame_b, equal, headers), origins=origins)


def _skip_equal(a: _Side, b: _Side, elsewhere: Counter[tuple[int, int]]) -> None:
    """Pass over what is the same in both. Both then stand at a frame, or at their end."""
    while size := min(len(a.data), len(b.data)):
        # Copies compare at the speed of memory; views compare byte by byte.
        same = size
        if bytes(a.data[:size]) != bytes(b.data[:size]):
            same = _equal_frames(a.data, b.data, elsewhere)
        a.advance(same)
        b.advance(same)
        if same < size:
            return


def _equal_frames(a: memoryview, b: memoryview, elsewhere: Counter[tuple[int, int]]) -> int:
    """Return how many bytes of whole frames two stretches have in common; note in *elsewhere* what came another way."""
    at = 0
    while at < len(a) and at < len(b):
        size = HEADER_BYTES + padded(HEADER.unpack_from(a, at)[0])
        if bytes(a[at : at + size]) != bytes(b[at : at + size]):
            head_a, head_b = HEADER.unpack_from(a, at), HEADER.unpack_from(b, at)
            body = slice(at + HEADER_BYTES, at + size)
            if not _ran_elsewhere(head_a, head_b) or bytes(a[body]) != bytes(b[body]):
                break
            elsewhere[head_a[_ORIGIN], head_b[_ORIGIN]] += head_a[_COUNT]
        at += size
    return at


def _ran_elsewhere(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Return whether two headers say the same of an event, but that a plugin said it in its own process in one run."""
    if a[:_ORIGIN] != b[:_ORIGIN] or a[_ORIGIN + 1 : _PRODUCER] != b[_ORIGIN + 1 : _PRODUCER]:
        return False
    return _is_place(a[_ORIGIN], b[_ORIGIN], a[_PRODUCER], b[_PRODUCER])


def _is_place(origin_a: int, origin_b: int, producer_a: int, producer_b: int) -> bool:
    """Return whether origins and producers differ by nothing but where a plugin ran.

    An id that a plugin asked for is given by the kernel itself when the plugin is in it: producer 0.
    """
    if {origin_a, origin_b} != {Origin.DERIVED, Origin.REPLY}:
        return False
    return producer_a == producer_b or (producer_a if origin_a == Origin.DERIVED else producer_b) == 0


def _only(frame: FrameView) -> Entry:
    return next(entries_of(frame))


def _parted(
    a: _Side, b: _Side, frame_a: FrameView | None, frame_b: FrameView | None, equal: int, headers: list[FieldDifference]
) -> RunDifference:
    """Return what there is to say of two runs that are not equal."""
    if frame_a is not None and frame_b is not None:
        index = _first_record(frame_a, frame_b)
        entry_a, entry_b = (list(entries_of(frame))[index] for frame in (frame_a, frame_b))
        fields = _header_differences(frame_a, frame_b) + _record_differences(entry_a, entry_b)
        return RunDifference(
            False, a.told(), b.told(), equal + index, headers, min(entry_a.seq, entry_b.seq), fields,
            _event(a.view, entry_a), _event(b.view, entry_b),
        )  # fmt: skip
    side, frame = (a, frame_a) if frame_a is not None else (b, frame_b)
    assert frame is not None
    entry = _only(frame)
    event = _event(side.view, entry)
    return RunDifference(
        False, a.told(), b.told(), equal, headers, entry.seq, [],
        event if side is a else None, event if side is b else None,
    )  # fmt: skip


def _first_record(a: FrameView, b: FrameView) -> int:
    """Return the place in their frames of the first record that differs."""
    same_kind = (a.schema_id, a.stride, a.seq) == (b.schema_id, b.stride, b.seq)
    if not same_kind or not a.stride:
        return 0
    for index in range(min(a.count, b.count)):
        at = slice(index * a.stride, (index + 1) * a.stride)
        if bytes(a.body[at]) != bytes(b.body[at]):
            return index
    return 0  # the headers differ


def _header_differences(a: FrameView, b: FrameView) -> list[FieldDifference]:
    """Return what differs in the frames' headers: number, kind, time, cause, origin, who."""
    found = [FieldDifference("seq", a.seq, b.seq)] if a.seq != b.seq else []
    place = _is_place(a.origin, b.origin, a.producer, b.producer)
    for name in _HEADER_FIELDS:
        if place and name in ("origin", "producer"):
            continue
        values = getattr(a, name), getattr(b, name)
        if values[0] != values[1]:
            found.append(FieldDifference(name, *(_shown(name, value) for value in values)))
    return found


def _origin(value: int) -> str:
    return Origin(value).name if value in Origin._value2member_map_ else str(value)


def _shown(name: str, value: int) -> Any:
    if name == "origin":
        return _origin(value)
    return None if value == ABSENT else value


def _record_differences(a: Entry, b: Entry) -> list[FieldDifference]:
    """Return the fields in which two records differ; of two types, the types alone. Maps are compared key by key."""
    names = record_name(a.record), record_name(b.record)
    if names[0] != names[1]:
        return [FieldDifference("record", *names)]
    return _field_differences(fields_of(a.record), fields_of(b.record), "")


def _field_differences(a: dict[str, Any], b: dict[str, Any], prefix: str) -> list[FieldDifference]:
    found: list[FieldDifference] = []
    for key in [*a, *(key for key in b if key not in a)]:
        value_a, value_b = a.get(key), b.get(key)
        if isinstance(value_a, dict) and isinstance(value_b, dict):
            found += _field_differences(value_a, value_b, f"{prefix}{key}.")
        elif value_a != value_b:
            found.append(FieldDifference(f"{prefix}{key}", value_a, value_b))
    return found


def _event(view: JournalView, entry: Entry) -> EventSide:
    words = MarketWords(view)
    chain = [
        f"seq {cause.seq:,} {utc_text(cause.at_ns)} {say(cause, words)}"
        for cause in (_only(frame) for frame in view.chain(entry.cause_seq)[-_CHAIN_MAX:])
    ] if entry.cause_seq != ABSENT else []  # fmt: skip
    return EventSide(entry.seq, entry.at_ns, utc_text(entry.at_ns), record_name(entry.record), say(entry, words), chain)
