"""A plugin's three connections: calls, steps, credit, and that nothing a plugin sends or leaves unread does harm."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from penstock_kernel.hosts.bounds import FIELDS_MAX, STREAM_BYTES_MAX, TIMERS_MAX
from penstock_kernel.hosts.frames import events_of
from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.reactor import Reactor
from penstock_sdk.context import Moment
from penstock_sdk.events import Alert, Quote, Severity, Trade
from penstock_sdk.process.envelope import CREDIT_EVENTS, HEADER, HEADER_BYTES, MESSAGE_BYTES_MAX, Kind, Lane, pack
from penstock_sdk.process.flow import Flow
from penstock_sdk.process.outbox import Outbox
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import HEADER as FRAME_HEADER
from penstock_sdk.wire.frame import encode_frame, encoder
from penstock_sdk.wire.messages import (
    METHODS,
    Batch,
    DescribeReply,
    DescribeRequest,
    Fault,
    LogLine,
    Message,
    SnapshotRequest,
    StartReply,
    StartRequest,
    TimerSet,
)


def framed(event: object) -> bytes:
    return encoder(event.layout)(event, 1, 2, -(2**63), 1, 0, 0)  # type: ignore[attr-defined]


class Wire:
    """A link, and the other end of its connections."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.heard: list[tuple[Lane, Message]] = []
        self.lost: list[tuple[str, bool]] = []
        self.link = Link("toy", self.reactor, self._hear, lambda text, breach: self.lost.append((text, breach)))
        self.far: dict[Lane, socket.socket] = {}
        self.flows = {Lane.EVENTS: Flow(), Lane.ORDERS: Flow()}
        self.answer_at_once = False
        for lane in (Lane.CONTROL, Lane.EVENTS, Lane.ORDERS):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.settimeout(5.0)
            self.far[lane] = theirs
            self.link.adopt(lane, ours, "one")

    def _hear(self, lane: Lane, batch: Message) -> None:
        self.heard.append((lane, batch))

    def read(self, lane: Lane) -> tuple[int, int, int, bytes]:
        """Return kind, method, call and body of the next message at the far end."""
        head = self._exactly(lane, HEADER_BYTES)
        length, kind, method, _, call = HEADER.unpack(head)
        return kind, method, call, self._exactly(lane, length)

    def _exactly(self, lane: Lane, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self.reactor.turn(0.0)  # more of it leaves
            data += self.far[lane].recv(size - len(data))
        return data

    def far_batch(self, lane: Lane = Lane.EVENTS) -> Message:
        while True:
            batch = Batch.FromString(self.read(lane)[3])
            if self.flows[lane].take(batch):
                self.flows[lane].done()
                return batch

    def grant(self, lane: Lane = Lane.EVENTS) -> None:
        """Let the far end grant its credit, and hear of the host's."""
        self.flows[lane].take(Batch.FromString(self.read(lane)[3]))
        self.send(lane, self.flows[lane].owed())

    def send(self, lane: Lane, batch: Message | None) -> None:
        assert batch is not None
        self.put(lane, pack(Kind.BATCH, batch.SerializeToString()))

    def say(self, lane: Lane, batch: Message, records: int) -> None:
        self.send(lane, self.flows[lane].send(batch, records))

    def put(self, lane: Lane, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not self.lost:
            rest = rest[self.far[lane].send(rest[:65_536]) :]
            self.reactor.turn(1.0)

    def close(self) -> None:
        self.link.close()
        for sock in self.far.values():
            sock.close()
        self.reactor.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def test_a_call_is_answered_by_its_reply(wire: Wire) -> None:
    call = wire.link.begin_call("Describe", DescribeRequest(majors=[1]))
    kind, method, number, body = wire.read(Lane.CONTROL)
    assert (kind, list(METHODS)[method - 1]) == (Kind.CALL, "Describe")
    assert list(DescribeRequest.FromString(body).majors) == [1]
    wire.put(Lane.CONTROL, pack(Kind.REPLY, DescribeReply(id="toy").SerializeToString(), method, number))
    assert call.done
    assert call.result().id == "toy"


def test_a_refused_call_raises_its_text(wire: Wire) -> None:
    call = wire.link.begin_call("Describe", DescribeRequest())
    wire.put(Lane.CONTROL, pack(Kind.REFUSED, b"no such thing", 1, call.number))
    with pytest.raises(PeerError, match="^plugin toy refused Describe: no such thing$"):
        call.result()


def test_a_call_without_an_answer_is_over_in_time_and_its_late_reply_harmless(wire: Wire) -> None:
    with pytest.raises(PeerTimeout, match="no answer to Snapshot in time"):
        wire.link.call("Snapshot", SnapshotRequest(), 0.01)
    wire.put(Lane.CONTROL, pack(Kind.REPLY, b"", 6, 1))
    assert not wire.lost


def test_a_step_waits_for_its_answer_and_nothing_else(wire: Wire) -> None:
    wire.grant()
    answer = Batch(answers=1, frames=framed(Quote(7, bid_ticks=3)))
    # What it says before its answer is heard as well, in order.
    early = wire.flows[Lane.EVENTS].send(Batch(), 0)
    wire.far[Lane.EVENTS].sendall(pack(Kind.BATCH, early.SerializeToString()))
    said = wire.flows[Lane.EVENTS].send(answer, 1)
    wire.reactor.turn(1.0)

    def answered(_events: int) -> None:
        wire.reactor.forget(wire.far[Lane.EVENTS])
        wire.far_batch()
        wire.far[Lane.EVENTS].sendall(pack(Kind.BATCH, said.SerializeToString()))

    # An answer to a step that was not sent yet would be a breach, so it is put on the wire by a callback of the step's.
    wire.reactor.watch(wire.far[Lane.EVENTS], 1, answered)
    wire.link.step(Batch(frames=framed(Quote(1))), 1, 5.0)
    assert [batch.answers for _, batch in wire.heard] == [0, 1]
    assert events_of(wire.heard[-1][1].frames) == [Quote(7, bid_ticks=3)]


def test_a_step_without_an_answer_times_out(wire: Wire) -> None:
    wire.grant()
    with pytest.raises(PeerTimeout, match="no answer to step 1 within 0.01 s"):
        wire.link.step(Batch(), 0, 0.01)


def test_a_step_ends_when_the_plugin_does(wire: Wire) -> None:
    wire.grant()
    wire.far[Lane.EVENTS].close()
    with pytest.raises(PeerGone, match="its connection EVENTS has ended"):
        wire.link.step(Batch(), 0, 5.0)
    assert wire.lost == [("its connection EVENTS has ended", False)]


@pytest.mark.parametrize(
    ("lane", "data", "why"),
    [
        (Lane.EVENTS, HEADER.pack(1 << 30, Kind.BATCH, 0, 0, 0), "met a message of 1,073,741,824 bytes"),
        (Lane.EVENTS, HEADER.pack(STREAM_BYTES_MAX + 1, Kind.BATCH, 0, 0, 0), "wanted at most 20,971,520"),
        (Lane.CONTROL, HEADER.pack(MESSAGE_BYTES_MAX + 1, Kind.REPLY, 0, 0, 0), "wanted at most 67,108,864"),
        (Lane.EVENTS, pack(Kind.BATCH, b"\x7a\x00" * (FIELDS_MAX + 1)), "more than 8,192 fields"),
        (Lane.ORDERS, pack(Kind.BATCH, Batch(timers_forgotten=[1] * (FIELDS_MAX + 1)).SerializeToString()), "fields"),
        (Lane.EVENTS, pack(Kind.BATCH, Batch(due_ns=[1] * (CREDIT_EVENTS + 1)).SerializeToString()), "field 21"),
        (Lane.EVENTS, pack(Kind.BATCH, b"\x7b" * (FIELDS_MAX + 1)), "wire type 3"),
        (Lane.EVENTS, pack(Kind.BATCH, b"\x7a\xff\xff\xff\x07" * FIELDS_MAX), "is cut"),
        (Lane.EVENTS, pack(Kind.BATCH, b"\xff\xff\xff"), "no protobuf"),
        (Lane.EVENTS, pack(Kind.CALL, b""), "kind 4"),
        (Lane.CONTROL, pack(Kind.BATCH, b""), "kind 3"),
        (Lane.EVENTS, pack(Kind.BATCH, Batch(number=2).SerializeToString()), "batch 2 met, wanted 1"),
        (Lane.EVENTS, pack(Kind.BATCH, Batch(acked=9).SerializeToString()), "acknowledges 9"),
        (Lane.EVENTS, pack(Kind.BATCH, Batch(number=1, answers=5).SerializeToString()), "answer to step 5"),
        (Lane.EVENTS, pack(Kind.BATCH, Batch(number=1, frames=b"abc").SerializeToString()), "3 bytes"),
    ],
)
def test_a_breach_ends_the_link_with_what_was_met_and_wanted(wire: Wire, lane: Lane, data: bytes, why: str) -> None:
    wire.put(lane, data)
    [(text, breach)] = wire.lost
    assert why in text
    assert breach
    with pytest.raises(PeerGone):
        wire.link.send(Lane.EVENTS, Batch(), 0)


@pytest.mark.parametrize(
    ("method", "body", "why"),
    [
        ("Start", StartReply(said=Batch(log=[LogLine()] * (FIELDS_MAX + 1))).SerializeToString(), "8,192 fields"),
        ("Start", StartReply(said=Batch(faults=[Fault()] * 5000)).SerializeToString() * 2, "8,192 fields"),
        ("Start", b"\x12\x00" * (TIMERS_MAX + 1), "more than 100,000 elements"),
        ("Describe", b"\x32\x00" * (FIELDS_MAX + 1), "8,192 fields"),
    ],
)
def test_a_reply_that_would_become_too_many_objects_is_a_breach_and_ends_its_call(
    wire: Wire, method: str, body: bytes, why: str
) -> None:
    call = wire.link.begin_call(method, METHODS[method][0]())
    wire.put(Lane.CONTROL, pack(Kind.REPLY, body, list(METHODS).index(method) + 1, call.number))
    [(text, breach)] = wire.lost
    assert why in text
    assert breach
    with pytest.raises(PeerGone, match=why):
        call.result()


def test_a_plugin_with_many_timers_may_start_and_say_them_in_several_batches(wire: Wire) -> None:
    wire.grant()
    call = wire.link.begin_call("Start", StartRequest())
    timers = [TimerSet(timer_id=n, due_ns=1 << 60) for n in range(1, 20_001)]
    reply = StartReply(said=Batch(timers=timers), timers=timers)
    wire.put(Lane.CONTROL, pack(Kind.REPLY, reply.SerializeToString(), 3, call.number))
    assert len(call.result().timers) == 20_000
    outbox = Outbox(Moment(), 1, stepped=False)
    outbox.timers = [(n, 1 << 60, 0) for n in range(20_000)]
    outbox.forgotten = list(range(20_000))
    for lane, batch in outbox.collect(Lane.EVENTS):
        wire.say(lane, batch, 0)
    assert [len(batch.timers) for _, batch in wire.heard] == [2048] * 9 + [20_000 - 9 * 2048] + [0] * 10
    assert [n for _, batch in wire.heard for n in batch.timers_forgotten] == list(range(20_000))
    assert not wire.lost


def test_what_is_more_than_a_turns_share_waits_and_comes_in_order(wire: Wire) -> None:
    wire.grant()
    wire.link.share_s = 0.0
    heard: list[int] = []

    def slowly(at: int) -> Iterator[None]:
        for part in range(3):
            heard.append(10 * at + part)
            yield

    wire.link._on_batch = lambda lane, batch: slowly(batch.number)
    both = [wire.flows[Lane.EVENTS].send(Batch(frames=framed(Quote(n))), 1) for n in (1, 2)]
    wire.far[Lane.EVENTS].sendall(b"".join(pack(Kind.BATCH, batch.SerializeToString()) for batch in both))
    wire.reactor.turn(1.0)
    assert heard == [10]
    assert wire.link.behind
    assert not wire.link.settled()
    assert wire.link._flows[Lane.EVENTS].handled == 0
    assert wire.reactor.turn_until(lambda: not wire.link.behind, 5.0)
    assert heard == [10, 11, 12, 20, 21, 22]
    assert wire.link._flows[Lane.EVENTS].handled == 2


def test_more_than_was_granted_is_a_breach(wire: Wire) -> None:
    wire.grant()
    data = encode_frame(Frame.of([Trade(1)] * 4096), 1, 2, -(2**63), 1, 0, 0)
    frames = data * (CREDIT_EVENTS // 4096 + 1)
    wire.put(Lane.EVENTS, pack(Kind.BATCH, Batch(number=1, frames=frames).SerializeToString()))
    assert "no more credit was granted" in wire.lost[0][0]


def test_a_batch_that_comes_twice_is_heard_once(wire: Wire) -> None:
    wire.grant()
    wire.say(Lane.EVENTS, Batch(frames=framed(Quote(1))), 1)
    wire.send(Lane.EVENTS, Batch(number=1, frames=framed(Quote(1))))
    assert len(wire.heard) == 1
    assert not wire.lost


def test_without_credit_nothing_is_sent_and_the_queue_stays_bounded(wire: Wire) -> None:
    outbox = wire.link.outbox[Lane.EVENTS]
    for at in range(200_000):
        quote = Quote(at % 50, bid_ticks=at)
        assert outbox.offer(framed(quote), 1, quote.layout, quote.listing_id)
    wire.link.flush(0, 0)
    assert len(outbox) <= CREDIT_EVENTS
    assert outbox.lost["quote.conflated"] > 100_000
    wire.grant()
    wire.reactor.turn(0.0)
    wire.link.flush(0, 0)
    first = wire.far_batch()
    assert first.number == 1
    assert len(events_of(first.frames)) > 1
    assert not wire.lost


def test_what_must_not_be_lost_is_not_shed(wire: Wire) -> None:
    outbox = wire.link.outbox[Lane.ORDERS]
    alert = Alert(code="a.b", severity=Severity.INFO, subject="s", met="m")
    taken = 0
    while outbox.offer(framed(alert), 1, alert.layout):
        taken += 1
    assert taken == CREDIT_EVENTS
    assert not outbox.lost


def test_a_small_message_gets_through_while_a_large_one_is_half_sent(wire: Wire) -> None:
    wire.grant()
    big = Batch(frames=encode_frame(Frame.of([Trade(1)] * 4096), 1, 2, -(2**63), 1, 0, 0) * 8)
    wire.link.send(Lane.EVENTS, big, 4096 * 8)
    call = wire.link.begin_call("Describe", DescribeRequest())
    assert wire.read(Lane.CONTROL)[2] == call.number
    wire.far[Lane.EVENTS].setblocking(False)
    got = b""
    while len(got) < len(big.frames):
        wire.reactor.turn(0.0)
        try:
            got += wire.far[Lane.EVENTS].recv(1 << 20)
        except BlockingIOError:
            assert not wire.lost


def test_connections_of_two_processes_are_not_one_plugin(wire: Wire) -> None:
    lost: list[str] = []
    link = Link("toy", wire.reactor, lambda lane, batch: None, lambda text, breach: lost.append(text))
    pairs = [socket.socketpair() for _ in range(2)]
    link.adopt(Lane.CONTROL, pairs[0][0], "one")
    link.adopt(Lane.EVENTS, pairs[1][0], "two")
    assert lost == ["its connections come from two processes: one and two"]
    for _, theirs in pairs:
        assert theirs.recv(1) == b""
        theirs.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_id": 31_999}, "schema 31999"),
        ({"stride": 12}, "stride of 12"),
        ({"stride": 0}, "stride of 0"),
        ({"count": 2}, "met 2 records"),
        ({"count": 0}, "met 0 records"),
        ({"count": 5_000, "body_bytes": 0}, "5000 records"),
        ({"body_bytes": 4_000}, "wanted 4000"),
    ],
)
def test_a_frame_that_lies_is_a_breach(change: dict[str, int], why: str) -> None:
    data = bytearray(framed(Quote(1)))
    names = ("body_bytes", "schema_id", "version", "origin", "seq", "at_ns", "cause", "root", "count", "stride", "by")
    values = dict(zip(names, FRAME_HEADER.unpack_from(data), strict=True)) | change
    FRAME_HEADER.pack_into(data, 0, *values.values())
    with pytest.raises(PeerError, match=why):
        events_of(bytes(data))


def test_a_control_record_that_is_no_msgpack_is_a_breach() -> None:
    data = bytearray(framed(Alert(code="a.b", severity=Severity.INFO, subject="s", met="m")))
    data[48] = 0xC1
    with pytest.raises(PeerError, match="Alert met a body that cannot be read"):
        events_of(bytes(data))


def test_records_of_an_older_shorter_version_have_their_defaults() -> None:
    quote = Quote(9, bid_ticks=5)
    body = quote.layout.pack(quote)
    short = len(body) - 8
    head = FRAME_HEADER.pack(short, quote.layout.id, 1, 0, 0, 0, 0, 0, 1, short, 0)
    [event] = events_of(head + body[:short])
    assert event == quote


def test_a_paused_link_hears_orders_and_calls_but_no_events(wire: Wire) -> None:
    wire.grant(Lane.EVENTS)
    wire.grant(Lane.ORDERS)
    wire.link.paused = True
    wire.say(Lane.EVENTS, Batch(frames=framed(Quote(1))), 1)
    wire.say(Lane.ORDERS, Batch(frames=framed(Quote(2))), 1)
    assert [lane for lane, _ in wire.heard] == [Lane.ORDERS]
    wire.link.paused = False
    wire.reactor.turn(1.0)
    assert [lane for lane, _ in wire.heard] == [Lane.ORDERS, Lane.EVENTS]
