"""Bringing a plugin out of process to where the run stands: its last state, the journal since, then its start.

Used after a crash of the plugin, when a crashed kernel goes live again, and at a session's start. Every wait is a
``yield``: in wall time the kernel takes inputs meanwhile, and the rest is told at the next turn; in simulated time,
where the run waits, `drive` waits for all of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import takewhile
from time import monotonic
from typing import Any, Protocol, TypeVar

from penstock_kernel.hosts.link import Call, Link
from penstock_kernel.hosts.past import Past, Told
from penstock_kernel.hosts.reactor import Reactor
from penstock_sdk.core.wiring import Slot, handlers_of
from penstock_sdk.events import Alert, Severity
from penstock_sdk.process.describing import KNOWN
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.peer import PeerError, PeerTimeout
from penstock_sdk.wire.messages import Batch, Message, RestoreRequest
from penstock_sdk.wire.segment import read_frames

__all__ = ["Comes", "drive", "returning"]

RESTORE_S = 10.0
SLICE_S = 0.01
"""How long the journal is read in one piece: the kernel has others to serve."""
T = TypeVar("T")


class Comes(Protocol):
    """What is asked of a host of a process that comes up; `process_host.ProcessHost` is one."""

    name: str
    link: Link | None
    held: tuple[bytes, int] | None
    """The last state that it gave, and the number of the last event in it."""

    @property
    def slot(self) -> Slot | None:
        """Its place in the kernel."""

    @property
    def answer_s(self) -> float:
        """How long it may take to answer, or to take more of the past."""

    def wants(self, schema_id: int) -> bool:
        """Return whether it is sent records of a schema."""

    @property
    def throughout(self) -> bool:
        """Whether it takes events from Configure to Stop, not only between Start and Drain."""

    @property
    def hosts(self) -> Any:
        """Those of its kernel: for what is known by now."""

    def start_request(self, resumed: bool) -> Message:
        """Return a StartRequest with all that is known now."""


def returning(
    host: Comes, kernel: Any, *, in_place: bool = False, before_seq: int | None = None
) -> Generator[None, None, Message | None]:
    """Bring a configured process to where *kernel* stands; its value is the StartReply that counts.

    Without a state the plugin is started as it was the first time and told everything since; what its start says was
    said then. With *in_place* it goes on as if nothing had been: its start belongs to no event (``seq`` 0). With
    *before_seq* it is told up to that event alone and not started; there is no reply, and ``host.held`` is None where
    it could not take up what it left.

    Raises:
        PeerError: it ended, refused, or took too long.
    """
    link = host.link
    assert link is not None
    held = host.held
    journal = _journal_of(kernel)
    if held is not None:
        yield from _restore(host, link, kernel, held)
        held = host.held
        if before_seq is not None and held is None:
            return None
    assert host.slot is not None
    heard = {schema_id for schema_id, _ in handlers_of(host.slot.plugin, host.slot.kind)}
    past = Past(
        host.slot, lambda schema_id: schema_id in heard and host.wants(schema_id), from_start=held is None,
        early=host.throughout,
    )  # fmt: skip
    if held is None and host.throughout and journal is not None:
        for frame in host.hosts.known_frames():  # what came before its start is told before its start
            yield from _send(host, link, Told(Batch(frames=frame, answers=KNOWN), count_records(frame), 0))
    told_seq = held[1] if held is not None else 0
    reply: Message | None = None
    started = False
    if journal is None and held is None:
        _tell_state_lost(kernel, host, "the run keeps no journal, and the plugin had given no state")
    pause_s = monotonic() + SLICE_S
    while True:
        kernel.write()
        frames = _frames_after(journal, told_seq) if journal is not None else iter(())
        if before_seq is not None:
            frames = takewhile(lambda frame: frame.seq < before_seq, frames)
        for told in past.batches(frames):
            if told.start is not None:
                request = host.start_request(False)
                request.now_ns, request.seq = told.start.at_ns, told.start.seq
                again = yield from _answer(host, link.begin_call("Start", request, host.answer_s))
                for fault in again.said.faults:  # a start that raised once, and does so again, is no start
                    raise PeerError(f"it raised in {fault.handler}: {fault.error}")
                started = True
            elif told.batch is not None:
                yield from _send(host, link, told)
            told_seq = max(told_seq, told.last_seq)
            if monotonic() >= pause_s:
                yield
                pause_s = monotonic() + SLICE_S
        if before_seq is not None:
            return None
        if not started:
            request = host.start_request(True)
            request.seq = 0 if in_place else max(request.seq, 1)
            reply = yield from _answer(host, link.begin_call("Start", request, host.answer_s))
            started = True
            continue  # what came meanwhile is told, too
        if journal is None or told_seq >= kernel.cascade.seq or kernel.journal.failed:
            break
    if reply is None:
        # Its start was said long ago; which timers it waits for now, it alone knows.
        request = host.start_request(True)
        request.seq = 0
        reply = yield from _answer(host, link.begin_call("Start", request, host.answer_s))
    return reply


def drive(steps: Generator[None, None, T], reactor: Reactor, timeout_s: float) -> T:
    """Return the value of *steps*, waiting for all of them.

    Raises:
        PeerTimeout: they took longer than *timeout_s*; whatever they raise.
    """
    until_s = monotonic() + timeout_s
    while True:
        began_s = monotonic()
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
        now_s = monotonic()
        if now_s >= until_s:
            steps.close()
            raise PeerTimeout(f"it has not come up within {timeout_s:g} s")
        reactor.turn(0.0 if now_s >= began_s + SLICE_S else 0.01)  # it paused, and waits for nothing


def _restore(host: Comes, link: Link, kernel: Any, held: tuple[bytes, int]) -> Iterator[None]:
    request = RestoreRequest(state=held[0], last_seq=held[1])
    reply = yield from _answer(host, link.begin_call("Restore", request, max(RESTORE_S, host.answer_s)))
    if reply.error:
        host.held = None
        _tell_state_lost(kernel, host, reply.error)


def _answer(host: Comes, call: Call) -> Generator[None, None, Message]:
    """Wait for a call's reply; its value."""
    while not call.done:
        if host.link is not None:
            host.link.overdue()
        if not call.done:
            yield
    return call.result()


def _send(host: Comes, link: Link, told: Told) -> Iterator[None]:
    """Send a batch once there is room for it."""
    assert told.batch is not None
    size, until_s = len(told.batch.frames), monotonic() + host.answer_s
    while True:
        if link.lost:
            raise PeerError(f"plugin {host.name}: {link.lost}")
        records_free, bytes_free = link.room(Lane.EVENTS)
        if told.records <= records_free and size <= bytes_free:
            break
        if monotonic() >= until_s:
            raise PeerTimeout(f"plugin {host.name} has taken nothing of the journal for {host.answer_s:g} s")
        yield
    link.send(Lane.EVENTS, told.batch, told.records)


def _journal_of(kernel: Any) -> Any:
    if kernel.journal is None or kernel.run_dir is None:
        return None
    return kernel.run_dir / "journal"


def _frames_after(journal: Any, seq: int) -> Iterator[Any]:
    return (frame for frame in read_frames(journal, from_seq=seq) if frame.seq > seq)


def _tell_state_lost(kernel: Any, host: Comes, why: str) -> None:
    alert = Alert(
        code="plugin.state_lost", severity=Severity.ERROR, subject=host.name, met=why,
        wanted="a plugin that goes on with what it knew",
        way_out="compare its positions and parameters with what they were before it trades on",
    )  # fmt: skip
    kernel.later(alert)
