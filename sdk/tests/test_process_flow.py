"""Proves that a stream loses nothing, handles nothing twice and keeps to its credit, whatever is sent again."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_sdk.events import Interned, Quote
from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS
from penstock_sdk.process.flow import ACK_BATCHES, Flow, FlowError, count_records, split_off
from penstock_sdk.schema import ABSENT, Control, Frame, Record
from penstock_sdk.wire.frame import encode_frame, encoder
from penstock_sdk.wire.messages import Batch, Fault, Message

SIZE = 48 + Quote.layout.size


def frames_of(records: int) -> bytes:
    if not records:
        return b""
    body = Quote.layout.pack(Quote(1)) * records
    return encode_frame(Frame.from_body(Quote.layout, body), 1, 0, ABSENT, 1, 1, 0)


def one(event: Record | Control) -> bytes:
    return encoder(event.layout)(event, 1, 0, ABSENT, 1, 1, 0)


def opened(events: int = CREDIT_EVENTS, octets: int = CREDIT_BYTES) -> tuple[Flow, Flow]:
    left, right = Flow(keep=True), Flow(credit_events=events, credit_bytes=octets)
    granted = right.owed()
    assert granted is not None and not left.take(granted)
    return left, right


class Streams(RuleBasedStateMachine):
    """Two ends and a wire each way, which may repeat what it has carried; the ends must not care."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = (Flow(credit_events=6, credit_bytes=900, keep=True), Flow(credit_events=9, credit_bytes=1_500))
        self.wires: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        """To each end, what is on its way."""
        self.carried: tuple[list[bytes], list[bytes]] = ([], [])
        self.said: tuple[list[int], list[int]] = ([], [])
        """By each end: the tags of what it sent, in order."""
        self.heard: tuple[list[int], list[int]] = ([], [])
        """By each end: the tags of what it handled."""
        self.taken: tuple[deque[int], deque[int]] = (deque(), deque())
        self.outstanding = [0, 0]
        self.tag = 0

    def put(self, to: int, batch: Message) -> None:
        data = batch.SerializeToString()
        self.wires[to].append(data)
        self.carried[to].append(data)

    @rule(end=st.sampled_from((0, 1)), records=st.integers(0, 7))
    def send(self, end: int, records: int) -> None:
        flow = self.ends[end]
        frames = frames_of(records)
        room_records, room_bytes = flow.room()
        self.tag += 1
        batch = Batch(frames=frames, step=self.tag)
        if not frames or (records <= room_records and len(frames) <= room_bytes):
            self.put(1 - end, flow.send(batch, records))
            self.said[end].append(self.tag)
        else:
            before = flow.sent
            with pytest.raises(FlowError, match=r"^batch of \d records in \d+ bytes met room for"):
                flow.send(batch, records)
            assert flow.sent == before

    @precondition(lambda self: any(self.wires))
    @rule(end=st.sampled_from((0, 1)))
    def arrive(self, end: int) -> None:
        if not self.wires[end]:
            return
        batch = Batch.FromString(self.wires[end].popleft())
        if self.ends[end].take(batch):
            self.taken[end].append(batch.step)

    @rule(end=st.sampled_from((0, 1)))
    def handle(self, end: int) -> None:
        if self.taken[end]:
            self.heard[end].append(self.taken[end].popleft())
            self.ends[end].done()

    @rule(end=st.sampled_from((0, 1)), idle=st.booleans())
    def acknowledge(self, end: int, idle: bool) -> None:
        owed = self.ends[end].owed(idle=idle)
        if owed is not None:
            assert owed.number == 0
            self.put(1 - end, owed)

    @rule(end=st.sampled_from((0, 1)), which=st.integers(0, 10**6))
    def repeat(self, end: int, which: int) -> None:
        """Whatever has arrived may arrive again at any time, as after a reconnection."""
        arrived = len(self.carried[end]) - len(self.wires[end])
        if arrived:
            again = Batch.FromString(self.carried[end][which % arrived])
            assert not self.ends[end].take(again)

    @rule()
    def resend_unacked(self) -> None:
        """All that was kept may be sent again at once: what had arrived is passed over, the rest is none the worse."""
        waiting = [Batch.FromString(data).number for data in self.wires[1]]
        for batch in self.ends[0].unacked:
            if batch.number not in waiting:
                assert not self.ends[1].take(batch)

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        for end in (0, 1):
            said = self.said[1 - end]
            known = [*self.heard[end], *self.taken[end]]
            assert said[: len(known)] == known

    @invariant()
    def credit_is_kept(self) -> None:
        for end, (records, size) in ((0, (9, 1_500)), (1, (6, 900))):
            room_records, room_bytes = self.ends[end].room()
            assert 0 <= room_records <= records and 0 <= room_bytes <= size

    @invariant()
    def what_is_kept_is_what_was_not_acknowledged(self) -> None:
        flow = self.ends[0]
        assert [batch.number for batch in flow.unacked] == list(range(flow.acked + 1, flow.sent + 1))
        assert flow.acked <= self.ends[1].handled

    def teardown(self) -> None:
        """In the end all that was said is heard, and all room is back."""
        for _ in range(3):
            for end in (0, 1):
                while self.wires[end]:
                    self.arrive(end)
                while self.taken[end]:
                    self.handle(end)
                self.acknowledge(end, idle=True)
        while any(self.wires):
            for end in (0, 1):
                while self.wires[end]:
                    self.arrive(end)
        assert self.heard == (self.said[1], self.said[0])
        assert self.ends[0].room() == (9, 1_500) and self.ends[1].room() == (6, 900)
        assert self.ends[0].unacked == []


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_nothing_may_be_sent_before_credit_is_granted() -> None:
    flow = Flow()
    assert flow.room() == (0, 0)
    with pytest.raises(FlowError, match=r"^batch of 1 records in \d+ bytes met room for 0 in 0; wait for"):
        flow.send(Batch(frames=frames_of(1)), 1)
    assert flow.send(Batch(), 0).number == 1  # what holds no frames needs no credit


def test_a_gap_is_refused_with_what_was_met_and_wanted() -> None:
    _, right = opened()
    with pytest.raises(FlowError, match=r"^batch 2 met, wanted 1: what lies between has not come$"):
        right.take(Batch(number=2))


def test_more_than_was_granted_is_refused() -> None:
    _, right = opened(events=3)
    with pytest.raises(
        FlowError, match=r"^batch 1 met 4 records in \d+ bytes, wanted at most 3 in \d+: no more credit"
    ):
        right.take(Batch(number=1, frames=frames_of(4)))
    _, right = opened(octets=SIZE)
    assert right.take(Batch(number=1, frames=frames_of(1)))
    with pytest.raises(FlowError, match=r"^batch 2 met 1 records in \d+ bytes, wanted at most \d+ in 0"):
        right.take(Batch(number=2, frames=frames_of(1)))


def test_what_was_never_sent_cannot_be_acknowledged() -> None:
    left, _ = opened()
    with pytest.raises(FlowError, match=r"^batch acknowledges 1, wanted at most 0"):
        left.take(Batch(acked=1))


def test_a_batch_without_a_number_holds_no_frames() -> None:
    _, right = opened()
    with pytest.raises(FlowError, match=r"^batch 0 holds frames"):
        right.take(Batch(frames=frames_of(1)))


def test_half_the_credit_is_renewed_and_many_small_batches_are_acknowledged() -> None:
    left, right = opened(events=4)
    assert right.take(left.send(Batch(frames=frames_of(1)), 1))
    right.done()
    assert right.owed() is None
    assert right.take(left.send(Batch(frames=frames_of(1)), 1))
    right.done()
    owed = right.owed()
    assert owed is not None and (owed.acked, owed.credit_events) == (2, 6)
    for _ in range(ACK_BATCHES):
        assert right.owed() is None
        assert right.take(left.send(Batch(), 0))
        right.done()
    owed = right.owed()
    assert owed is not None and owed.acked == 2 + ACK_BATCHES


def test_records_are_counted_over_frames_of_either_kind() -> None:
    name = one(Interned(kind=1, id=1, name="EUR"))  # type: ignore[arg-type]
    assert len(name) % 8 == 0
    assert count_records(b"") == 0
    assert count_records(name + frames_of(5) + name + frames_of(1)) == 8


def test_a_cut_frame_is_refused() -> None:
    with pytest.raises(FlowError, match=r"^frames end 8 bytes short of the last frame's"):
        count_records(frames_of(2)[:-8])
    with pytest.raises(FlowError, match=r"^frames end with 47 bytes, wanted a whole header of 48"):
        count_records(frames_of(2) + bytes(47))


def test_a_batch_that_is_handled_before_its_turn_is_acknowledged_with_those_before_it() -> None:
    left, right = opened()
    for _ in range(3):
        assert right.take(left.send(Batch(), 0))
    right.done(3)
    assert right.handled == 0
    right.done()
    assert right.handled == 1
    right.done()
    assert right.handled == 3


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 20), st.sets(st.integers(0, 8)))
def test_a_batch_that_is_split_says_the_same_in_the_same_places(sizes: list[int], room: int, faults: set[int]) -> None:
    whole = Batch(frames=b"".join(map(frames_of, sizes)), from_outside=True)
    places = sorted(at for at in faults if at <= len(sizes))
    whole.faults.extend(Fault(handler=str(at), after_frames=at) for at in places)
    rest = Batch.FromString(whole.SerializeToString())
    first = split_off(rest, room, 10**6)
    if first is None:
        assert room < sizes[0] and rest == whole
        return
    taken = count_records(first.frames)
    assert 0 < taken <= room and first.from_outside and first.frames + rest.frames == whole.frames
    frames = [sum(sizes[:n]) for n in range(len(sizes) + 1)].index(taken)
    assert frames == len(sizes) or taken + sizes[frames] > room
    at = [fault.after_frames for fault in first.faults] + [fault.after_frames + frames for fault in rest.faults]
    assert at == places and [int(fault.handler) for batch in (first, rest) for fault in batch.faults] == places


def test_an_answer_is_not_split() -> None:
    assert split_off(Batch(frames=frames_of(1), answers=1), 9, 10**6) is None
