"""A plugin's engine and its two streams, as the one thread that runs the plugin serves them.

Whoever reads the transport puts what came into `EngineLanes.inbox`; `run` handles it in that order and hands what the
plugin says to the streams. It knows no transport. What it holds is bounded by the credit of either side: while the
plugin has said more than its host has room for, it is told nothing new.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS, Lane
from penstock_sdk.process.flow import Flow, FlowError, count_records
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.wire.messages import Message

__all__ = [
    "RESUME",
    "SESSION_METADATA",
    "Called",
    "Ended",
    "EngineLanes",
    "EngineLike",
    "Got",
    "Item",
    "Opened",
    "Outlet",
    "Pinged",
    "Quit",
]

SESSION_METADATA = "penstock-session"
"""gRPC metadata: made up by a host once; it says that a stream that is opened again goes on where it broke."""
RESUME = "resume"
"""Capability of a plugin that keeps what was not acknowledged, and goes on after a stream broke."""
ASK_S = 10.0
"""How long a handler waits for the ids of names that it asked for."""
_IDLE_S = 0.002
"""Nothing came for so long: acknowledge what was not yet."""
_FLUSH_S = 0.001
"""What is said waits so long for more, while more comes in: a message costs more than its records."""
_MERGED_BYTES_MAX = 64 << 10
_POLL_S = 0.002
"""How often a plugin is asked whether something came from outside, and whether its work is done."""
_QUIET_S = 1.0
"""How long nothing is done for a plugin that waits for nothing."""


class EngineLike(Protocol):
    """What `penstock_sdk.process.engine.Engine` does."""

    def call(self, method: str, request: Message) -> Message: ...  # noqa: D102
    def batch(self, lane: Lane, batch: Message) -> list[tuple[Lane, Message]]: ...  # noqa: D102
    def poll(self) -> list[tuple[Lane, Message]]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    @property
    def polls(self) -> bool: ...  # noqa: D102
    @property
    def working(self) -> bool: ...  # noqa: D102


class Outlet(Protocol):
    """An open stream's way out."""

    def put(self, batch: Message) -> None:
        """Send a batch, without waiting for it to be sent."""

    def end(self, fault: str = "") -> None:
        """End the stream once all that was put is sent; with a text, as broken."""


class Opened(NamedTuple):
    """A stream was opened; *session* tells a host that comes back from a new one."""

    lane: Lane
    outlet: Outlet
    session: str


class Got(NamedTuple):
    """A batch came."""

    lane: Lane
    outlet: Outlet
    batch: Message


class Ended(NamedTuple):
    """The host says that nothing more comes on a stream, or it broke."""

    lane: Lane
    outlet: Outlet


class Called(NamedTuple):
    """A call came; *reply* is told the answer, or the error."""

    method: str
    request: Message
    session: str
    reply: Callable[[Message | Exception], None]


class Pinged(NamedTuple):
    """Somebody wants to know whether the plugin's thread still takes its turns."""

    reply: Callable[[], None]


class Quit(NamedTuple):
    """`run` is to return."""


Item: TypeAlias = Opened | Got | Ended | Called | Pinged | Quit


class _LaneState:
    def __init__(self, keep: bool) -> None:
        self.flow = Flow(keep=keep)
        self.session = ""
        self.outlet: Outlet | None = None
        self.waiting: deque[tuple[Message, int]] = deque()
        """Said, with its records, and not sent."""

    def fits(self) -> bool:
        """Return whether the first of what waits may be sent."""
        batch, records = self.waiting[0]
        free_records, free_bytes = self.flow.room()
        free = not batch.frames or (records <= free_records and len(batch.frames) <= free_bytes)
        return self.outlet is not None and free

    def merge(self, batch: Message, records: int) -> bool:
        """Add frames to the last batch that waits, when both hold nothing else; return whether that was done."""
        if not self.waiting:
            return False
        last, before = self.waiting[-1]
        size = len(last.frames) + len(batch.frames)
        free_records, free_bytes = self.flow.room()
        if size > min(free_bytes, _MERGED_BYTES_MAX) or records + before > free_records:
            return False
        if not (records and before and len(batch.ListFields()) == len(last.ListFields()) == 1):
            return False
        last.frames += batch.frames
        self.waiting[-1] = (last, before + records)
        return True


class EngineLanes:
    """An engine, its port and its streams.

    Args:
        make_engine: makes the engine; it is given this object as its `Port`.
        lasting: hosts come and go: what a broken stream may have lost is sent again to the same host, and a new host
            gets a new engine.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        make_engine: Callable[[EngineLanes], EngineLike],
        *,
        lasting: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._make_engine, self._lasting, self._clock = make_engine, lasting, clock
        self._engine: EngineLike = make_engine(self)
        self._session = ""
        self._used = False
        """The engine was asked for more than what it is."""
        self._lanes = {lane: _LaneState(lasting) for lane in (Lane.EVENTS, Lane.ORDERS)}
        self._backlog: deque[tuple[Lane, Message]] = deque()
        """Taken and not handled, in order."""
        self._deferred: deque[Item] = deque()
        self._current = Lane.EVENTS
        self._running = True

    def run(self) -> None:
        """Serve until `Quit`, or a Stop that ends the process."""
        quiet, flushed, polled = False, 0.0, self._clock()
        while self._running:
            patience = (_POLL_S if self._engine.polls or self._engine.working else _QUIET_S) if quiet else _IDLE_S
            try:
                item = self._deferred.popleft() if self._deferred else self.inbox.get(timeout=patience)
            except queue.Empty:
                self._acknowledge()
                quiet = True
            else:
                self._handle(item)
                self._work()
                quiet = False
                now = self._clock()
                if self.inbox.empty() or now - flushed >= _FLUSH_S:
                    self._flush()
                    flushed = now
            if (quiet or self._clock() - polled >= _POLL_S) and self._has_room():
                self._poll()
                self._flush()
                polled = self._clock()
        self._flush()

    def close(self) -> None:
        """End the streams and the engine, after `run`."""
        for state in self._lanes.values():
            if state.outlet is not None:
                state.outlet.end()
        self._engine.close()

    # ----- the engine's port ------------------------------------------------------------------------------------

    def ask(self, batch: Message) -> Message:
        """Send a batch with `asks` from inside a handler; return the host's batch that answers it.

        Raises:
            PeerTimeout, PeerGone: no answer came, or the stream ended.
        """
        lane = self._current
        state = self._lanes[lane]
        outlet = state.outlet
        if outlet is None:
            raise PeerGone(f"stream {lane.name} is not open, and a name wants an id; the host opens it before Start")
        self._flush()
        number = state.flow.send(batch, count_records(batch.frames)).number
        outlet.put(batch)
        deadline = self._clock() + ASK_S
        while True:
            try:
                item = self.inbox.get(timeout=max(0.0, deadline - self._clock()))
            except queue.Empty:
                raise PeerTimeout(
                    f"host gave no ids within {ASK_S:g} s, asked on {lane.name} by batch {number}"
                ) from None
            if isinstance(item, Got):
                if item.lane is lane and item.outlet is outlet and item.batch.answers == number:
                    if self._take(item, answered=True):
                        return item.batch
                else:
                    self._take(item)
                if state.outlet is not outlet:
                    raise PeerGone(f"stream {lane.name} broke before the host gave ids")
            elif isinstance(item, Pinged):
                item.reply()
            else:
                self._deferred.append(item)
                if isinstance(item, Ended) and item.outlet is outlet:
                    raise PeerGone(f"stream {lane.name} ended before the host gave ids")

    # ----- what comes -------------------------------------------------------------------------------------------

    def _handle(self, item: Item) -> None:
        match item:
            case Got():
                self._take(item)
            case Called():
                self._call(item)
            case Opened():
                self._open(item)
            case Ended():
                state = self._lanes[item.lane]
                if state.outlet is item.outlet:
                    self._work()
                    self._flush()
                    state.outlet = None
                item.outlet.end()
            case Pinged():
                item.reply()
            case Quit():
                self._running = False

    def _is_other(self, session: str) -> bool:
        return self._lasting and session != self._session

    def _meet(self, session: str) -> bool:
        """Let a host begin, with a new engine, unless another is connected; return whether it is the one served."""
        if self._is_other(session):
            if any(state.outlet is not None for state in self._lanes.values()):
                return False
            self._session = session
            self._renew()
        return True

    def _open(self, item: Opened) -> None:
        if not self._meet(item.session):
            item.outlet.end("another host is connected; wanted one at a time")
            return
        state = self._lanes[item.lane]
        again = bool(self._lasting and item.session and item.session == state.session)
        if state.outlet is not None:
            if not again:
                item.outlet.end(f"stream {item.lane.name} is open; wanted one at a time")
                return
            state.outlet.end("the host opened the stream again")
        state.outlet = item.outlet
        if not again:
            self._backlog = deque(each for each in self._backlog if each[0] is not item.lane)
            self._lanes[item.lane] = state = _LaneState(self._lasting)
            state.outlet, state.session = item.outlet, item.session
        for batch in list(state.flow.unacked):
            item.outlet.put(batch)
        item.outlet.put(state.flow.tell())

    def _take(self, item: Got, *, answered: bool = False) -> bool:
        """Note a batch; return whether it is new."""
        state = self._lanes[item.lane]
        if state.outlet is not item.outlet:
            return False  # the rest of a stream that was given up
        try:
            new = state.flow.take(item.batch)
        except FlowError as error:
            state.outlet = None
            item.outlet.end(str(error))
            return False
        if new and answered:
            state.flow.done(item.batch.number)
        elif new:
            self._backlog.append((item.lane, item.batch))
        return new

    def _work(self, *, all_of_it: bool = False) -> None:
        """Let the plugin handle what was taken, as long as there is room for what it says."""
        while self._backlog and (all_of_it or self._has_room()):
            lane, batch = self._backlog.popleft()
            state = self._lanes[lane]
            self._current = lane
            self._used = True
            try:
                said = self._engine.batch(lane, batch)
            except Exception as error:  # a batch that no plugin can handle: its host must know
                self._break(state, str(error) if isinstance(error, PeerError) else f"{type(error).__name__}: {error}")
                continue
            state.flow.done(batch.number)
            self._say(said)  # acknowledges it, too
            if state.outlet is not None and (owed := state.flow.owed()) is not None:
                state.outlet.put(owed)

    def _call(self, item: Called) -> None:
        if not (item.method == "Describe" and self._meet(item.session)) and self._is_other(item.session):
            item.reply(PeerError("another host is connected; wanted one at a time"))
            return
        if item.method in ("Snapshot", "Drain"):
            self._work(all_of_it=True)
        self._current = Lane.EVENTS
        self._used = self._used or item.method != "Describe"
        answer: Message | Exception
        try:
            answer = self._engine.call(item.method, item.request)
        except PeerError as error:
            answer = error
        except Exception as error:  # a plugin may raise anything; its host is told
            answer = PeerError(f"{type(error).__name__}: {error}")
        item.reply(answer)
        if item.method == "Stop":
            if self._lasting:
                self._renew()
            else:
                self._running = False

    def _renew(self) -> None:
        """Make a new engine, unless this one has done nothing yet."""
        if self._used:
            self._engine.close()
            self._engine, self._used = self._make_engine(self), False
        self._backlog.clear()
        for state in self._lanes.values():
            if state.outlet is not None:
                state.outlet.end()
        self._lanes = {lane: _LaneState(self._lasting) for lane in self._lanes}

    # ----- what is said -----------------------------------------------------------------------------------------

    def _say(self, said: list[tuple[Lane, Message]]) -> None:
        for lane, batch in said:
            state = self._lanes[lane]
            size = len(batch.frames)
            records = count_records(batch.frames) if size else 0
            if records > CREDIT_EVENTS or size > CREDIT_BYTES:
                self._break(
                    state,
                    f"plugin says {records} records in {size} bytes at once, wanted at most {CREDIT_EVENTS} "
                    f"in {CREDIT_BYTES}",
                )
                continue
            if not state.merge(batch, records):
                state.waiting.append((batch, records))

    def _poll(self) -> None:
        if not (self._engine.polls or self._engine.working):
            return
        self._current = Lane.EVENTS
        try:
            self._say(self._engine.poll())
        except Exception as error:
            self._break(self._lanes[Lane.EVENTS], f"{type(error).__name__}: {error}")

    def _flush(self) -> None:
        """Send what was said, as far as there is room."""
        for state in self._lanes.values():
            while state.waiting and state.fits():
                batch, records = state.waiting.popleft()
                assert state.outlet is not None, "only what has an outlet fits"
                state.outlet.put(state.flow.send(batch, records))

    def _has_room(self) -> bool:
        """Return whether all that was said is sent, or as good as sent; sends it if need be."""
        if any(len(state.waiting) > 1 for state in self._lanes.values()):
            self._flush()
        return all(not state.waiting or state.fits() for state in self._lanes.values())

    def _break(self, state: _LaneState, why: str) -> None:
        if state.outlet is not None:
            state.outlet.end(why)
            state.outlet = None

    def _acknowledge(self) -> None:
        for state in self._lanes.values():
            if state.outlet is not None and (owed := state.flow.owed(idle=True)) is not None:
                state.outlet.put(owed)
