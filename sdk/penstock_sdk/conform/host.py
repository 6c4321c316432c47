"""A started plugin driven as a kernel would drive it: frames, numbers, credit, names, timers; none of our engine in it.

A `Rig` forgives what it can: what breaks a rule is kept in `breaches` and `misfits`, and only the case that asks for
that rule fails. It keeps its own account of the streams, so that a fault there is found by another hand than made it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from penstock_sdk.conform.frames import Misfit, OwnBody, raw_frame, read_frames, records_frame
from penstock_sdk.conform.world import World
from penstock_sdk.events import IdKind, Interned, Timer
from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS, Lane
from penstock_sdk.process.peer import Peer, PeerError, PeerStream, PeerTimeout
from penstock_sdk.schema import Frame, layout_of
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DescribeRequest,
    DrainRequest,
    Instance,
    Message,
    RestoreRequest,
    SnapshotRequest,
    StartRequest,
    StopRequest,
)

__all__ = ["PLUGIN_ID", "Answer", "Patience", "Rig", "Said"]

PLUGIN_ID = 41
_ALWAYS = ("refdata.", "control.interned")
_ROUNDS_MAX = 200
_TIMERS_MAX = 3_000


class Patience(msgspec.Struct, frozen=True):
    """How long the kit waits, in seconds of real time."""

    answer_s: float = 10.0
    """For an answer that must come."""
    quiet_s: float = 0.25
    """For one that must not."""


class Said(msgspec.Struct, frozen=True):
    """One record that the plugin said."""

    record: Any
    lane: int
    number: int
    """Of the batch that it came in; 0: with StartReply or DrainReply."""
    now_ns: int
    after: int = 0
    """The step that it answers; 0: none."""
    due_ns: int = 0
    from_outside: bool = False


class Answer(msgspec.Struct):
    """What came of one step, or of Start or Drain."""

    records: list[Any]
    faults: list[str]
    due_ns: list[int]
    taken_all: bool = False
    batches: int = 1


class _Side:
    """The account of one stream."""

    def __init__(self, stream: PeerStream) -> None:
        self.stream = stream
        self.sent = self.sent_records = self.sent_bytes = 0
        self.may_records = self.may_bytes = 0
        self.acked = 0
        self.taken = self.got_records = self.got_bytes = 0
        self.granted_records = self.granted_bytes = 0


class Rig:
    """One plugin, from its connection to its end.

    Args:
        peer: the plugin.
        world: the names and the market that it is told of.
        simulated: time stands still between steps; False: events are just told, and what it says comes when it comes.
        credit: records and bytes that the plugin may be ahead.
    """

    def __init__(
        self,
        peer: Peer,
        world: World,
        patience: Patience,
        *,
        simulated: bool = True,
        credit: tuple[int, int] = (CREDIT_EVENTS, CREDIT_BYTES),
        instance: dict[str, Any] | None = None,
        opened: bool = True,
    ) -> None:
        self.peer, self.world, self.patience, self.simulated = peer, world, patience, simulated
        self.credit = credit
        self.renew = True
        """Grant what was used again with each batch; False: the slow consumer."""
        self.written_up_to: int | None = None
        """The last event that is written; None: all of them are at once."""
        self.instance = {
            "name": "kit", "plugin_id": PLUGIN_ID, "book_id": 5, "algo_id": 6, "algo_version": 1, "trader_id": 8,
            "account_id": 9, "run_seed": 7, "seed": 11, "simulated": simulated, **(instance or {}),
        }  # fmt: skip
        self.now_ns = world.starts_ns if simulated else time.time_ns()
        self.seq = 1_000
        self.steps = 0
        self.said: list[Said] = []
        self.batches: list[tuple[int, Message]] = []
        self.answers: dict[int, list[Message]] = {}
        self.faults: list[str] = []
        self.misfits: list[str] = []
        self.breaches: list[str] = []
        self.timers: dict[int, Message] = {}
        self.log: list[str] = []
        self.described: Message | None = None
        self.hears: set[int] = set()
        self.sides: dict[int, _Side] = {}
        self.on_said: Callable[[Rig, Any], Sequence[Any]] | None = None
        """Returns events that follow from a record that the plugin said: the desk of a trader."""
        self._echoed = 0
        """How much of what it said in real time was told again."""
        if opened:
            self.open()

    # -- streams ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open both streams, and grant credit on them."""
        for lane, stream in ((Lane.EVENTS, self.peer.events()), (Lane.ORDERS, self.peer.orders())):
            self.sides[lane] = _Side(stream)
            self.grant(lane)

    def grant(self, lane: int = Lane.EVENTS, events: int | None = None, size: int | None = None) -> None:
        """Tell the plugin how much more it may send than it has, in all."""
        side = self.sides[lane]
        batch = Batch()
        if events is not None:
            side.granted_records = side.got_records + events
            side.granted_bytes = side.got_bytes + (self.credit[1] if size is None else size)
        self._tell(side, batch, renew=events is None)
        side.stream.send(batch)

    def _tell(self, side: _Side, batch: Message, renew: bool | None = None) -> None:
        if self.renew if renew is None else renew:
            side.granted_records = side.got_records + self.credit[0]
            side.granted_bytes = side.got_bytes + self.credit[1]
        batch.acked = side.taken
        batch.credit_events, batch.credit_bytes = side.granted_records, side.granted_bytes

    def send(self, batch: Message, records: int, lane: int = Lane.EVENTS) -> Message:
        """Number a batch and send it as soon as the plugin has granted room for it.

        Raises:
            PeerTimeout: it grants none.
        """
        side, size = self.sides[lane], len(batch.frames)
        until = time.monotonic() + self.patience.answer_s
        while size and (side.may_records - side.sent_records < records or side.may_bytes - side.sent_bytes < size):
            if not self.pump(0.01) and time.monotonic() > until:
                raise PeerTimeout(
                    f"no credit for {records} records in {size} bytes within {self.patience.answer_s:g} s; it granted "
                    f"{side.may_records} records and {side.may_bytes} bytes in all, {side.sent_records} and "
                    f"{side.sent_bytes} are sent"
                )
        side.sent += 1
        batch.number = side.sent
        self.send_as_is(batch, records, lane)
        return batch

    def send_as_is(self, batch: Message, records: int, lane: int = Lane.EVENTS) -> None:
        """Send a batch with the number that it has, however wrong."""
        side = self.sides[lane]
        side.sent_records += records
        side.sent_bytes += len(batch.frames)
        self._tell(side, batch)
        side.stream.send(batch)

    def pump(self, timeout_s: float) -> bool:
        """Take what has come on either stream, waiting at most *timeout_s*; return whether anything had."""
        came = False
        until = time.monotonic() + timeout_s
        while True:
            for lane, side in self.sides.items():
                while (batch := side.stream.receive(0.0)) is not None:
                    came = True
                    self._take(lane, side, batch)
            left = until - time.monotonic()
            if came or left <= 0:
                return came
            first = self.sides.get(Lane.EVENTS)
            if first is None:
                return came
            batch = first.stream.receive(min(left, 0.005 if not self.simulated else left))
            if batch is not None:
                came = True
                self._take(Lane.EVENTS, first, batch)

    def _take(self, lane: int, side: _Side, batch: Message) -> None:
        side.acked = max(side.acked, batch.acked)
        side.may_records = max(side.may_records, batch.credit_events)
        side.may_bytes = max(side.may_bytes, batch.credit_bytes)
        if batch.acked > side.sent:
            self.breaches.append(f"batch {batch.number} acknowledges {batch.acked}, {side.sent} were sent")
        if not batch.number:
            if batch.frames:
                self.breaches.append("a batch of number 0 holds frames")
            return
        if batch.number <= side.taken:
            self.breaches.append(f"batch {batch.number} came after batch {side.taken}")
            return
        if batch.number > side.taken + 1:
            self.breaches.append(f"batch {batch.number} came after batch {side.taken}, a gap")
        side.taken = batch.number
        self.batches.append((lane, batch))
        records = self._keep(lane, batch)
        side.got_records += records
        side.got_bytes += len(batch.frames)
        if side.got_records > side.granted_records or side.got_bytes > side.granted_bytes:
            self.breaches.append(
                f"batch {batch.number} makes {side.got_records} records in {side.got_bytes} bytes, "
                f"{side.granted_records} in {side.granted_bytes} were granted"
            )
        if batch.asks:
            self._answer_asks(lane, batch)
        if batch.answers:
            self.answers.setdefault(batch.answers, []).append(batch)

    def _keep(self, lane: int, batch: Message) -> int:
        """Keep what one batch says; return how many records are in it."""
        records = 0
        due = list(batch.due_ns)
        for header, record in read_frames(batch.frames):
            records += 1
            if isinstance(record, Misfit):
                self.misfits.append(f"{record.text} (batch {batch.number})")
                continue
            if header is not None and isinstance(record, bytes):
                records += header.count - 1
            at = due[records - 1] if records <= len(due) else 0
            self.said.append(Said(record, int(lane), batch.number, self.now_ns, batch.answers, at, batch.from_outside))
        self.faults += [f"{fault.handler}: {fault.error}" for fault in batch.faults]
        for timer in batch.timers:
            self.timers[timer.timer_id] = timer
        for timer_id in batch.timers_forgotten:
            self.timers.pop(timer_id, None)
        self.log += [line.text for line in batch.log]
        return records

    def _answer_asks(self, lane: int, batch: Message) -> None:
        named = [
            Interned(kind=IdKind(ask.kind), id=self.world.intern(ask.kind, ask.name), name=ask.name)
            for ask in batch.asks
            if 1 <= ask.kind <= max(IdKind) and ask.name
        ]
        frames = b"".join(records_frame([each], self._next_seq(), self.now_ns) for each in named)
        self.send(Batch(answers=batch.number, frames=frames, now_ns=self.now_ns), len(named), lane)

    def _next_seq(self, records: int = 1) -> int:
        seq = self.seq
        self.seq += records
        return seq

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, method: str, request: Message) -> Message:
        """Return the reply, while what the plugin asks meanwhile is answered. Raises PeerError and its kinds."""
        if hasattr(self.peer, "while_waiting"):
            self.peer.while_waiting = (lambda: self.pump(0.0)) if self.sides else None
            return self.peer.call(method, request, self.patience.answer_s)
        done: list[Any] = []

        def ask() -> None:
            try:
                done.append(self.peer.call(method, request, self.patience.answer_s))
            except BaseException as error:
                done.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        until = time.monotonic() + self.patience.answer_s + 2.0
        gone: PeerError | None = None
        while not done:
            if self.sides and gone is None:
                try:
                    self.pump(0.002)
                except PeerError as error:
                    gone = error
            else:
                thread.join(0.01)
            if time.monotonic() > until:
                raise PeerTimeout(f"{method} was not answered within {self.patience.answer_s:g} s")
        if isinstance(done[0], BaseException):
            raise done[0]
        return done[0]

    def describe(self, majors: Sequence[int] = (1,)) -> Message:
        """Return what it says it is."""
        reply = self.peer.call("Describe", DescribeRequest(majors=majors, host_version="kit"), self.patience.answer_s)
        if self.described is None:
            self.described = reply
            self.hears = {each.schema_id for each in reply.hears}
        return reply

    def configure(self, config_json: str, *, validate_only: bool = False, **instance: Any) -> list[str]:
        """Return the faults of a config."""
        who = Instance(**{**self.instance, **instance})
        reply = self.call(
            "Configure", ConfigureRequest(validate_only=validate_only, config_json=config_json, instance=who)
        )
        return list(reply.faults)

    def start(self, *, resumed: bool = False, echo: bool = True) -> Answer:
        """Start it, and let it hear again what it says of itself."""
        reply = self.call(
            "Start",
            StartRequest(known=self.known(), now_ns=self.now_ns, seq=self._next_seq(), resumed=resumed),
        )
        for timer in reply.timers:
            self.timers[timer.timer_id] = timer
        answer = self._reply(reply.said)
        if echo and self.simulated:
            self._echo(answer.records)
        elif echo:
            self._echo_fresh()
        return answer

    def _reply(self, said: Message) -> Answer:
        """Keep what came with a reply, outside of any stream."""
        before = len(self.said), len(self.faults)
        self._keep(Lane.CONTROL, said)
        return Answer(
            [each.record for each in self.said[before[0] :]], self.faults[before[1] :], list(said.due_ns),
            said.taken_all,
        )  # fmt: skip

    def known(self) -> bytes:
        """Return the frames that a plugin is started with."""
        return b"".join(records_frame([each], self._next_seq(), self.now_ns) for each in self.world.known())

    def snapshot(self) -> Message:
        """Return state and last_seq."""
        return self.call("Snapshot", SnapshotRequest())

    def restore(self, state: bytes, last_seq: int) -> str:
        """Return why it cannot take the state; empty: it has."""
        return str(self.call("Restore", RestoreRequest(state=state, last_seq=last_seq)).error)

    def drain(self, deadline_ms: int = 2_000) -> Answer:
        """Let it say its last."""
        return self._reply(
            self.call("Drain", DrainRequest(deadline_ms=deadline_ms, now_ns=self.now_ns, seq=self._next_seq())).said
        )

    def stop(self) -> None:
        """Ask it to end."""
        self.peer.call("Stop", StopRequest(), self.patience.answer_s)

    def close(self) -> None:
        """End it, however it stands."""
        self.peer.close()

    # -- events ----------------------------------------------------------------------------------------------------

    def wants(self, event: Any) -> bool:
        """Return whether a host would send it: what it hears, names and reference data; of orders its own."""
        if isinstance(event, OwnBody):
            return event.header.schema_id in self.hears
        layout = event.layout if isinstance(event, Frame) else layout_of(type(event))
        if not (layout.id in self.hears or layout.topic.startswith(_ALWAYS)):
            return False
        kind = self.described.kind if self.described is not None else ""
        own = self.instance["plugin_id"]
        if kind == "venue" and hasattr(event, "venue_id") and layout.topic in ("order.order", "order.reconcile"):
            return bool(event.venue_id == own)
        if kind in ("strategy", "execution") and hasattr(event, "strategy_id") and layout.topic != "risk.limit":
            return bool(event.strategy_id == own)
        return not hasattr(event, "plugin_id") or layout.topic != "control.timer" or event.plugin_id == own

    def pack(self, events: Sequence[Any], more: bytes = b"") -> tuple[bytes, int]:
        """Return the frames of those events that it wants, and how many records they are."""
        frames, count = [], 0
        for event in events:
            if not self.wants(event):
                continue
            if isinstance(event, OwnBody):
                head = event.header
                frames.append(
                    raw_frame(
                        head.schema_id, event, count=head.count, stride=head.stride, version=head.version,
                        seq=self._next_seq(head.count), at_ns=self.now_ns,
                    )
                )  # fmt: skip
                count += head.count
                continue
            records = list(event.records()) if isinstance(event, Frame) else [event]
            longer = more if layout_of(type(records[0])).packed else b""
            frames.append(records_frame(records, self._next_seq(len(records)), self.now_ns, more=longer))
            count += len(records)
        return b"".join(frames), count

    def step(self, *events: Any, more: bytes = b"", echo: bool = True, **fields: Any) -> Answer:
        """Tell events, wait for the answer, and tell what it said again, as a kernel does; return the first answer.

        Raises:
            PeerTimeout: no answer in time.
        """
        if not self.simulated:
            told: Answer = self.tell(*events)
            return told
        frames, count = self.pack(events, more)
        answer = self.step_frames(frames, count, **fields)
        if echo and not fields.get("hearing"):
            self._echo(answer.records)
        return answer

    def _echo(self, records: Sequence[Any]) -> None:
        for _ in range(_ROUNDS_MAX):
            follow: list[Any] = []
            for record in records:
                follow.append(record)
                if isinstance(record, OwnBody):
                    continue
                self.world.hear(record)
                follow += self.on_said(self, record) if self.on_said is not None else ()
            follow = [event for event in follow if self.wants(event)]
            if not follow:
                return
            if not self.simulated:
                self.tell(*follow, wait=False)  # what comes of it is told again when it comes
                return
            records = self.step(*follow, echo=False).records

    def _echo_fresh(self) -> None:
        """In real time, tell again what it has said since this was last done: each record once."""
        if not self.simulated:
            fresh, self._echoed = [each.record for each in self.said[self._echoed :]], len(self.said)
            self._echo(fresh)

    def step_frames(self, frames: bytes, count: int, **fields: Any) -> Answer:
        """Send one step of these frames and return its answer."""
        self.steps += 1
        step = self.steps
        before = len(self.said), len(self.faults)
        batch = Batch(frames=frames, step=step, now_ns=self.now_ns, written_seq=self.written_seq, **fields)
        self.send(batch, count)
        self.await_answer(step)
        met = self.answers[step]
        return Answer(
            [each.record for each in self.said[before[0] :]],
            self.faults[before[1] :],
            [due for each in met for due in each.due_ns],
            any(each.taken_all for each in met),
            len(met),
        )

    def await_answer(self, step: int) -> None:
        """Wait for the batch that answers a step."""
        until = time.monotonic() + self.patience.answer_s
        while step not in self.answers:
            left = until - time.monotonic()
            if left <= 0:
                raise PeerTimeout(f"step {step} was not answered within {self.patience.answer_s:g} s")
            self.pump(min(left, 0.5))

    def tell(self, *events: Any, wait: bool = True) -> Any:
        """Tell events without a step; orders on their own stream. Then take what comes within a moment."""
        if not self.simulated:
            self.now_ns = max(self.now_ns, time.time_ns())
        before = len(self.said), len(self.faults)
        for event in events:
            topic = "" if isinstance(event, OwnBody) else _topic_of(event)
            lane = Lane.ORDERS if topic.startswith(("order.", "risk.")) else Lane.EVENTS
            frames, count = self.pack([event])
            if count and lane == Lane.ORDERS:
                self.settle()
            if count:
                self.send(Batch(frames=frames, now_ns=self.now_ns, written_seq=self.written_seq), count, lane)
        if wait:
            while self.pump(self.patience.quiet_s / 4):
                self._echo_fresh()
        records = [each.record for each in self.said[before[0] :]]
        return Answer(records, self.faults[before[1] :], []) if wait else records

    @property
    def written_seq(self) -> int:
        """Return up to which event all is written."""
        return self.seq if self.written_up_to is None else self.written_up_to

    def hold_back(self) -> None:
        """From now on nothing that it is told is written, until `write`."""
        self.written_up_to = self.seq - 1

    def write(self) -> None:
        """Tell it that all is written: what waits for that may leave."""
        self.written_up_to = None
        if self.simulated:
            self.step()
        else:
            self.send(Batch(now_ns=self.now_ns, written_seq=self.written_seq), 0)

    def settle(self, lane: int = Lane.EVENTS) -> None:
        """Let it handle what it was told on a stream, within a second: the other stream does not wait for it."""
        side, until = self.sides[lane], time.monotonic() + min(self.patience.answer_s, 1.0)
        while side.acked < side.sent and time.monotonic() < until:
            self.pump(0.005)

    def quiet(self, for_s: float | None = None) -> None:
        """Take whatever comes for a while."""
        until = time.monotonic() + (self.patience.quiet_s if for_s is None else for_s)
        while (left := until - time.monotonic()) > 0:
            self.pump(left)
            self._echo_fresh()

    # -- time ------------------------------------------------------------------------------------------------------

    def advance(self, until_ns: int, enough: Callable[[], bool] | None = None) -> int:
        """Let time pass: fire the timers that are due until then, or until *enough*; return how many fired.

        In real time nothing is fired but what is due by now.
        """
        fired = 0
        if not self.simulated:
            self.now_ns = until_ns = max(self.now_ns, time.time_ns())
        while fired < _TIMERS_MAX and not (enough is not None and enough()):
            due = min(self.timers.values(), key=lambda each: (each.due_ns, each.timer_id), default=None)
            if due is None or due.due_ns > until_ns:
                break
            del self.timers[due.timer_id]
            self.now_ns = max(self.now_ns, due.due_ns)
            self.step(Timer(self.instance["plugin_id"], due.timer_id, due.due_ns, due.tag, 1))
            fired += 1
        if enough is None or not enough():
            self.now_ns = max(self.now_ns, until_ns)
        return fired

    def await_said(self, until: Callable[[], bool], within_ns: int = 120_000_000_000) -> bool:
        """Let time pass until something was said: simulated time by timers, real time by waiting; return whether."""
        if self.simulated:
            end_ns = self.now_ns + within_ns
            while not until() and self.timers and min(t.due_ns for t in self.timers.values()) <= end_ns:
                if not self.advance(end_ns, until):
                    break
            return until()
        end_s = time.monotonic() + self.patience.answer_s
        while not until() and time.monotonic() < end_s:
            self.pump(0.02)
            self.advance(0)
            self._echo_fresh()
        return until()

    def of(self, cls: type[Any], since: int = 0) -> list[Any]:
        """Return the records of a type that it has said, from the *since*-th record on."""
        return [each.record for each in self.said[since:] if isinstance(each.record, cls)]


def _topic_of(event: Any) -> str:
    return str(event.layout.topic if isinstance(event, Frame) else layout_of(type(event)).topic)
