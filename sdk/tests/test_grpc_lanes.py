"""An engine's streams: nothing is told or sent beyond credit, and a host that comes back goes on where it broke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import Quote
from penstock_sdk.process.engine_lanes import Called, Ended, EngineLanes, Got, Opened, Quit
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.peer import PeerError
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import encode_frame
from penstock_sdk.wire.messages import Batch, DescribeReply, DescribeRequest, Message


def quotes(count: int) -> bytes:
    each = Quote(1, bid_ticks=1, bid_lots=1, ask_ticks=2, ask_lots=1)
    return encode_frame(Frame.of([each] * count), 1, 1_000, 0, 0, 0, 1)


class EchoEngine:
    """Says what it hears; `batch` is counted."""

    polls = working = False

    def __init__(self, port: EngineLanes) -> None:
        self.heard: list[int] = []
        self.closed = False

    def call(self, method: str, request: Message) -> Message:
        if method == "Restore":
            raise PeerError("not now")
        if method == "Drain":
            raise ZeroDivisionError("oh")
        return DescribeReply(id=str(len(self.heard)))

    def batch(self, lane: Lane, batch: Message) -> list[tuple[Lane, Message]]:
        self.heard.append(int(batch.number))
        return [(lane, Batch(frames=batch.frames))]

    def poll(self) -> list[tuple[Lane, Message]]:
        return []

    def close(self) -> None:
        self.closed = True


class Wire:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.ended: list[str] = []

    def put(self, batch: Message) -> None:
        copy = Batch()
        copy.CopyFrom(batch)
        self.sent.append(copy)

    def end(self, fault: str = "") -> None:
        self.ended.append(fault)


def served(lasting: bool = False) -> tuple[EngineLanes, list[EchoEngine], Callable[..., None]]:
    """Return lanes, the engines they make, and what lets them handle items."""
    engines: list[EchoEngine] = []

    def make(port: EngineLanes) -> EchoEngine:
        engines.append(EchoEngine(port))
        return engines[-1]

    lanes = EngineLanes(make, lasting=lasting)

    def handle(*items: Any) -> None:
        for item in (*items, Quit()):
            lanes.inbox.put(item)
        lanes._running = True
        lanes.run()

    return lanes, engines, handle


def test_what_is_said_waits_for_credit_and_nothing_new_is_told_meanwhile():
    _, (engine,), handle = served()
    wire, host = Wire(), Flow(credit_events=5)
    handle(Opened(Lane.EVENTS, wire, ""))
    host.take(wire.sent.pop())
    batches = [Batch(number=number, frames=quotes(3)) for number in (1, 2, 3)]
    handle(*(Got(Lane.EVENTS, wire, batch) for batch in batches))
    assert engine.heard == [1]
    assert wire.sent == []
    handle(Got(Lane.EVENTS, wire, host.owed()))
    assert engine.heard == [1, 2]  # three of five records went out: the next three wait
    assert [len(batch.frames) for batch in wire.sent] == [len(quotes(3))]
    host.sent = 3
    assert host.take(wire.sent[0])
    host.done()
    assert host.acked == 2  # the second was handled, and what it said waits
    handle(Got(Lane.EVENTS, wire, host.owed()))
    assert engine.heard == [1, 2, 3]


def test_what_is_said_together_goes_together_within_the_credit():
    _, (engine,), handle = served()
    wire, host = Wire(), Flow(credit_events=5)
    handle(Opened(Lane.EVENTS, wire, ""))
    host.take(wire.sent.pop())
    host.sent = 3
    handle(
        Got(Lane.EVENTS, wire, host.owed()),
        *(Got(Lane.EVENTS, wire, Batch(number=n, frames=quotes(2))) for n in (1, 2, 3)),
    )
    assert engine.heard == [1, 2, 3]
    (together,) = wire.sent
    assert host.take(together)
    assert count_records(together.frames) == 4
    host.done()
    handle(Got(Lane.EVENTS, wire, host.owed()))
    assert host.take(wire.sent[1])
    assert count_records(wire.sent[1].frames) == 2


def test_an_answer_to_a_step_is_a_batch_of_its_own():
    _, (engine,), handle = served()
    wire, host = Wire(), Flow()
    engine.batch = lambda lane, batch: [(lane, Batch(frames=batch.frames, answers=batch.step))]  # type: ignore[method-assign]
    handle(Opened(Lane.EVENTS, wire, ""))
    host.sent = 2
    steps = [Batch(number=n, frames=quotes(2), step=n) for n in (1, 2)]
    handle(Got(Lane.EVENTS, wire, host.owed()), *(Got(Lane.EVENTS, wire, step) for step in steps))
    assert [batch.answers for batch in wire.sent[1:]] == [1, 2]


def test_calls_answer_refuse_and_never_break_the_loop():
    _, _, handle = served()
    replies: list[Any] = []
    handle(*(Called(method, DescribeRequest(), "", replies.append) for method in ("Describe", "Restore", "Drain")))
    assert replies[0].id == "0"
    assert [str(reply) for reply in replies[1:]] == ["not now", "ZeroDivisionError: oh"]
    assert all(isinstance(reply, PeerError) for reply in replies[1:])


def test_a_stream_that_was_given_up_is_heard_no_more():
    _, (engine,), handle = served()
    wire, host = Wire(), Flow()
    handle(Opened(Lane.EVENTS, wire, ""))
    handle(Got(Lane.EVENTS, wire, Batch(number=4)), Got(Lane.EVENTS, wire, Batch(number=1)))
    assert wire.ended == ["batch 4 met, wanted 1: what lies between has not come"]
    assert engine.heard == []
    again = Wire()
    handle(Opened(Lane.EVENTS, again, ""), Got(Lane.EVENTS, wire, Batch(number=1)))
    host.take(again.sent[0])
    handle(Got(Lane.EVENTS, again, host.send(Batch(frames=quotes(1)), 1)))
    assert engine.heard == [1]


def test_too_much_at_once_breaks_the_stream_by_name():
    lanes, (engine,), handle = served()
    wire = Wire()
    engine.batch = lambda lane, batch: [(lane, Batch(frames=quotes(4096) * 17))]  # type: ignore[method-assign]
    handle(Opened(Lane.EVENTS, wire, ""), Got(Lane.EVENTS, wire, Batch(number=1)))
    assert wire.ended[0].startswith(f"plugin says {17 * 4096} records in ")
    assert lanes.inbox.empty()


def test_the_same_host_goes_on_where_its_stream_broke():
    _, engines, handle = served(lasting=True)
    wire, host = Wire(), Flow(keep=True)
    handle(Called("Describe", DescribeRequest(), "s", lambda reply: None), Opened(Lane.EVENTS, wire, "s"))
    host.take(wire.sent[0])
    grant = host.owed()
    sent = [host.send(Batch(frames=quotes(1)), 1) for _ in range(3)]
    handle(Got(Lane.EVENTS, wire, grant), Got(Lane.EVENTS, wire, sent[0]))
    handle(Got(Lane.EVENTS, wire, sent[1]))
    assert host.take(wire.sent[1])  # of two answers one arrives
    host.done()
    handle(Ended(Lane.EVENTS, wire))
    again = Wire()
    handle(Opened(Lane.EVENTS, again, "s"), *(Got(Lane.EVENTS, again, batch) for batch in host.unacked))
    assert engines[0].heard == [1, 2, 3]
    (grant,) = (batch for batch in again.sent if not batch.number)
    assert (grant.acked, grant.credit_events) == (2, 65_536 + 2)  # told again: the last telling may be lost
    fresh = [batch.number for batch in again.sent if host.take(batch)]
    assert fresh == [2, 3]
    assert host.acked == 3
    assert len(engines) == 1


def test_another_host_begins_anew_and_only_when_the_first_is_gone():
    _, engines, handle = served(lasting=True)
    wire, replies = Wire(), []
    called = Called("Describe", DescribeRequest(), "t", replies.append)
    handle(Opened(Lane.EVENTS, wire, "s"), Got(Lane.EVENTS, wire, Batch(number=1)), called)
    assert str(replies[0]) == "another host is connected; wanted one at a time"
    handle(Ended(Lane.EVENTS, wire), called)
    assert len(engines) == 2
    assert engines[0].closed
    assert replies[1].id == "0"


@given(st.lists(st.sampled_from(["send", "hear", "answer", "cut", "hear", "send", "answer"]), max_size=60))
def test_whatever_is_cut_each_side_handles_everything_once_and_in_order(steps: list[str]):
    _, (engine,), handle = served(lasting=True)
    host, wire, at, sent, on_the_way, seen = Flow(keep=True, credit_events=40), Wire(), 0, 0, [], []

    def open_it() -> tuple[Wire, list[Message]]:
        again = Wire()
        handle(Opened(Lane.EVENTS, again, "s"))
        return again, [host.tell(), *host.unacked]

    def answers(upto: int) -> int:
        for batch in wire.sent[at:upto]:
            if host.take(batch):
                seen.append(count_records(batch.frames))
                host.done()
                on_the_way.append(host.tell())
        return max(at, upto)

    wire, on_the_way = open_it()
    for step in [*steps, "cut", *["hear", "answer"] * 200]:
        if step == "send" and host.room()[0] >= 5:
            sent += 1
            on_the_way.append(host.send(Batch(frames=quotes(sent % 5 + 1)), sent % 5 + 1))
        elif step == "hear" and on_the_way:
            handle(Got(Lane.EVENTS, wire, on_the_way.pop(0)))
        elif step == "answer":
            at = answers(min(at + 1, len(wire.sent)))
        elif step == "cut":  # what is on its way, either way, is lost
            handle(Ended(Lane.EVENTS, wire))
            wire, on_the_way = open_it()
            at = 0
    assert engine.heard == list(range(1, sent + 1))
    assert sum(seen) == sum(number % 5 + 1 for number in range(1, sent + 1))
    assert not on_the_way
