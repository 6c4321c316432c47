"""A plugin's three connections as the kernel holds them: calls with deadlines, steps, and queues with credit.

Nothing here blocks but `Link.step` and `Link.call`, which the simulated clock and the start of a run use; they serve
what the plugin asks meanwhile. Memory is bounded: what comes in by the credit that was granted, what goes out by the
credit that the plugin gave, and what waits for it by as much again (`Outbox`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from google.protobuf.message import DecodeError

from penstock_kernel.hosts.bounds import STREAM_BYTES_MAX, bound_batch, bound_reply
from penstock_kernel.hosts.frames import Breach
from penstock_kernel.hosts.outbox import Outbox
from penstock_kernel.hosts.reactor import READ, WRITE, Reactor
from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, MESSAGE_BYTES_MAX, Kind, Lane, pack
from penstock_sdk.process.flow import Flow, FlowError
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.wire.messages import METHODS, Batch, Message

__all__ = ["CALL_S", "Call", "Link"]

CALL_S = 2.0
"""How long a call may take unless its caller says otherwise."""
READ_BYTES = 1 << 18
READS_MAX = 16
"""Reads of one connection in a turn: one plugin that talks without end does not keep the others waiting."""
SHARE_S = 0.02
"""How long what one connection brought is handled in a turn, in wall time; the rest waits, in the end in the socket."""
UNSENT_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
_METHOD_NAMES = list(METHODS)
_STREAMS = (Lane.EVENTS, Lane.ORDERS)


class Call:
    """A call that is on its way."""

    __slots__ = ("error", "method", "number", "reply", "until_s")

    def __init__(self, number: int, method: str, until_s: float) -> None:
        self.number = number
        self.method = method
        self.until_s = until_s
        self.reply: Message | None = None
        self.error: PeerError | None = None

    @property
    def done(self) -> bool:
        """True once there is a reply or an error."""
        return self.reply is not None or self.error is not None

    def result(self) -> Message:
        """Return the reply; raises what went wrong instead."""
        if self.error is not None:
            raise self.error
        return self.reply


class _Connection:
    """One lane: bytes in, messages out, and the other way round."""

    __slots__ = ("out", "sock", "taken")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.taken = bytearray()
        self.out = bytearray()


class Link:
    """The connections of one plugin's process.

    Args:
        name: the plugin instance's, for errors.
        on_batch: called with each batch that a stream brings, once and in order, and with its lane. It may return an
            iterator: the batch is handled when that is at its end, be it turns later.
        on_lost: called once, with the reason, when a connection has ended or the plugin broke the contract.
    """

    def __init__(
        self,
        name: str,
        reactor: Reactor,
        on_batch: Callable[[Lane, Message], Iterator[None] | None],
        on_lost: Callable[[str, bool], object],
    ) -> None:
        self.name = name
        self.incarnation = ""
        self.lost = ""
        """Why it is over, or empty."""
        self.heard_s = monotonic()
        """When anything last came, on the process's own clock."""
        self.ponged = True
        self.reads_max = READS_MAX
        """How often a connection is read in a turn, `READ_BYTES` each."""
        self.share_s = float("inf")
        """How long what a connection brought is handled in a turn."""
        self.paused = False
        """While EVENTS is not read: what it brought before waits to be numbered, and credit runs out meanwhile."""
        self.outbox = {lane: Outbox(lane) for lane in _STREAMS}
        self._reactor = reactor
        self._on_batch = on_batch
        self._on_lost = on_lost
        self._connections: dict[Lane, _Connection] = {}
        self._flows = {lane: Flow() for lane in _STREAMS}
        self._half: dict[Lane, Iterator[None] | None] = {}
        """Lanes whose turn was over before all was handled that has been read, with the rest of a batch."""
        self._share_until_s = 0.0
        self._calls: dict[int, Call] = {}
        self._last_call = self._last_step = 0
        self._answered = 0
        """The last step that was answered."""

    # -- beginning and end -----------------------------------------------------------------------------------------

    def adopt(self, lane: Lane, sock: socket.socket, incarnation: str) -> None:
        """Take over a connection that has been let in."""
        if self.lost or lane in self._connections:
            sock.close()
            return
        if self.incarnation and incarnation != self.incarnation:
            sock.close()
            self._lose(f"its connections come from two processes: {self.incarnation} and {incarnation}", breach=True)
            return
        self.incarnation = incarnation
        self._connections[lane] = _Connection(sock)
        self._reactor.watch(sock, READ, lambda events: self._ready(lane, events))
        if lane in _STREAMS:
            self._tell(lane)

    @property
    def complete(self) -> bool:
        """True when all three lanes are there, or never will be."""
        return len(self._connections) == 3 or bool(self.lost)

    def lose(self, text: str, *, breach: bool = False) -> None:
        """End it from this side, with the reason; again is harmless."""
        self._lose(text, breach)

    def close(self) -> None:
        """Close the connections without telling anybody."""
        self.lost = self.lost or "closed"
        self._close_all()

    def _lose(self, text: str, breach: bool = False) -> None:
        if self.lost:
            return
        self.lost = text
        self._close_all()
        for call in self._calls.values():
            call.error = PeerGone(f"plugin {self.name}: {text}")
        self._calls.clear()
        self._on_lost(text, breach)

    def _close_all(self) -> None:
        for connection in self._connections.values():
            self._reactor.forget(connection.sock)
            connection.sock.close()
        self._connections.clear()
        self._half.clear()

    # -- calls -----------------------------------------------------------------------------------------------------

    def begin_call(self, method: str, request: Message, timeout_s: float = CALL_S) -> Call:
        """Send a call; its `Call` is done when the reply has come, or the time is over (see `overdue`)."""
        self._last_call += 1
        call = Call(self._last_call, method, monotonic() + timeout_s)
        if self.lost:
            call.error = PeerGone(f"plugin {self.name}: {self.lost}")
            return call
        self._calls[call.number] = call
        body = request.SerializeToString()
        self._write(Lane.CONTROL, pack(Kind.CALL, body, _METHOD_NAMES.index(method) + 1, call.number))
        return call

    def call(self, method: str, request: Message, timeout_s: float = CALL_S) -> Message:
        """Return the reply to a call, waiting for it; what the plugin says meanwhile is heard.

        Raises:
            PeerTimeout: no answer in time. PeerGone: it ended meanwhile. PeerError: it refused; its text.
        """
        call = self.begin_call(method, request, timeout_s)
        self._reactor.turn_until(lambda: call.done, timeout_s)
        self.overdue()
        if not call.done:
            self._time_out(call)
        return call.result()

    def overdue(self) -> None:
        """Give up calls whose time is over."""
        now_s = monotonic()
        for call in [c for c in self._calls.values() if c.until_s <= now_s]:
            self._time_out(call)

    def _time_out(self, call: Call) -> None:
        self._calls.pop(call.number, None)
        call.error = PeerTimeout(f"plugin {self.name}: no answer to {call.method} in time")

    def ping(self) -> None:
        """Ask for a sign of life; `ponged` is False until it comes."""
        self.ponged = False
        self._write(Lane.CONTROL, pack(Kind.PING, b"", 0, 0))

    # -- batches ---------------------------------------------------------------------------------------------------

    def step(self, batch: Message, records: int, timeout_s: float) -> None:
        """Send a batch and wait until the plugin has answered it; its answers go to ``on_batch`` like all others.

        Args:
            records: how many are in its frames.

        Raises:
            PeerTimeout: no answer in time. PeerGone: it ended, or broke the contract, meanwhile.
        """
        self._last_step = step = self._last_step + 1
        batch.step = step
        flow, until_s = self._flows[Lane.EVENTS], monotonic() + timeout_s
        if len(batch.frames):
            size = len(batch.frames)

            def has_room() -> bool:
                free_records, free_bytes = flow.room()
                return bool(self.lost) or (records <= free_records and size <= free_bytes)

            self._reactor.turn_until(has_room, timeout_s)
        self.send(Lane.EVENTS, batch, records)
        self._reactor.turn_until(lambda: self._answered >= step or bool(self.lost), until_s - monotonic())
        if self.lost:
            raise PeerGone(f"plugin {self.name}: {self.lost}")
        if self._answered < step:
            raise PeerTimeout(f"plugin {self.name}: no answer to step {step} within {timeout_s:g} s")

    def send(self, lane: Lane, batch: Message, records: int) -> None:
        """Number a batch and send it now.

        Raises:
            PeerGone: it is over. PeerTimeout: the plugin has not granted that much credit.
        """
        if self.lost:
            raise PeerGone(f"plugin {self.name}: {self.lost}")
        try:
            batch = self._flows[lane].send(batch, records)
        except FlowError as error:
            raise PeerTimeout(f"plugin {self.name}: {error}") from None
        self._write(lane, pack(Kind.BATCH, batch.SerializeToString()))

    def flush(self, now_ns: int, written_seq: int) -> None:
        """Send what waits in the outboxes, as far as the plugin has granted credit."""
        for lane, outbox in self.outbox.items():
            flow = self._flows[lane]
            while outbox and not self.lost:
                taken = outbox.take(*flow.room())
                if taken is None:
                    break
                frames, records = taken
                self.send(lane, Batch(frames=frames, now_ns=now_ns, written_seq=written_seq), records)
            self._tell(lane)

    def room(self, lane: Lane) -> tuple[int, int]:
        """Return how many records and bytes of frames the plugin takes now."""
        return self._flows[lane].room()

    @property
    def acked(self) -> int:
        """How many batches the plugin has handled."""
        return sum(flow.acked for flow in self._flows.values())

    def settled(self) -> bool:
        """Return whether the plugin has handled all that was sent, what it said of it too, and nothing waits."""
        return not self._half and all(f.acked == f.sent for f in self._flows.values()) and not any(self.outbox.values())

    # -- the wire --------------------------------------------------------------------------------------------------

    def _write(self, lane: Lane, data: bytes) -> None:
        connection = self._connections.get(lane)
        if connection is None:
            return
        sent = 0
        if not connection.out:
            try:
                sent = connection.sock.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._lose(f"its connection {lane.name} has ended")
                return
            if sent == len(data):
                return
            self._reactor.watch(connection.sock, READ | WRITE, lambda events: self._ready(lane, events))
        connection.out += memoryview(data)[sent:]
        if len(connection.out) > UNSENT_BYTES_MAX:
            self._lose(f"it does not read {lane.name}: {len(connection.out):,} bytes wait", breach=True)

    def _ready(self, lane: Lane, events: int) -> None:
        connection = self._connections.get(lane)
        if connection is None:
            return
        if events & WRITE:
            self._send_rest(lane, connection)
        if events & READ and not self.lost and lane not in self._half and not (self.paused and lane == Lane.EVENTS):
            self._guarded(lane, lambda: self._read(lane, connection))

    def _guarded(self, lane: Lane, call: Callable[[], object]) -> None:
        self._share_until_s = monotonic() + self.share_s
        try:
            call()
        except (Breach, FlowError) as error:
            self._lose(str(error), breach=True)
        except DecodeError:
            self._lose(f"{lane.name} met a message that is no protobuf of its kind", breach=True)

    # -- more than a turn's share ----------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether something that was read waits for another turn."""
        return bool(self._half)

    def _later(self, lane: Lane, rest: Iterator[None] | None) -> None:
        self._half[lane] = rest
        self._reactor.again(lambda: self._guarded(lane, lambda: self._go_on(lane)))

    def _go_on(self, lane: Lane) -> None:
        """Handle what a turn's share left over: the rest of a batch, then what was read behind it."""
        connection = self._connections.get(lane)
        if connection is None or self.lost or lane not in self._half:
            return
        rest = self._half.pop(lane)
        if rest is not None:
            self._handle(lane, rest)
        if lane not in self._half:
            used = self._parse(lane, connection.taken)
            if used and not self.lost:
                del connection.taken[:used]

    def _handle(self, lane: Lane, rest: Iterator[None]) -> None:
        """Go on with a batch, and acknowledge it once it is handled."""
        for _ in rest:
            if self.lost:
                return
            if monotonic() >= self._share_until_s:
                self._later(lane, rest)
                return
        self._done(lane)

    def _send_rest(self, lane: Lane, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.out)
        except BlockingIOError:
            return
        except OSError:
            self._lose(f"its connection {lane.name} has ended")
            return
        del connection.out[:sent]
        if not connection.out:
            self._reactor.watch(connection.sock, READ, lambda events: self._ready(lane, events))

    def _read(self, lane: Lane, connection: _Connection) -> None:
        for _ in range(self.reads_max):
            try:
                data = connection.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lose(f"its connection {lane.name} has ended")
                return
            self.heard_s = monotonic()
            taken = connection.taken
            if taken:
                taken += data
                used = self._parse(lane, taken)
                if used:
                    del taken[:used]
            else:
                used = self._parse(lane, data)
                if used < len(data):
                    taken += memoryview(data)[used:]
            if self.lost or lane in self._half or len(data) < READ_BYTES:
                return

    def _parse(self, lane: Lane, data: bytes | bytearray) -> int:
        """Hear every whole message at the beginning of *data*; return how many bytes they are."""
        at, end = 0, len(data)
        longest = STREAM_BYTES_MAX if lane in self._flows else MESSAGE_BYTES_MAX
        while end - at >= HEADER_BYTES and not self.lost and lane not in self._half:
            length, kind, method, _, number = HEADER.unpack_from(data, at)
            if length > longest:
                raise Breach(f"{lane.name} met a message of {length:,} bytes, wanted at most {longest:,}")
            begin = at + HEADER_BYTES
            if end - begin < length:
                break
            at = begin + length
            self._hear(lane, kind, method, number, bytes(data[begin:at]))
            if end > at and lane not in self._half and monotonic() >= self._share_until_s:
                self._later(lane, None)
        return at

    def _hear(self, lane: Lane, kind: int, method: int, number: int, body: bytes) -> None:
        if kind == Kind.BATCH and lane in self._flows:
            bound_batch(body, lane.name)
            self._hear_batch(lane, Batch.FromString(body))
        elif kind in (Kind.REPLY, Kind.REFUSED) and lane == Lane.CONTROL:
            self._hear_reply(kind, method, number, body)
        elif kind == Kind.PONG:
            self.ponged = True
        elif kind == Kind.PING:
            self._write(lane, pack(Kind.PONG, b"", 0, number))
        else:
            raise Breach(f"{lane.name} met a message of kind {kind}, wanted a batch on a stream or a reply on CONTROL")

    def _hear_reply(self, kind: int, method: int, number: int, body: bytes) -> None:
        call = self._calls.get(number)
        if call is None:
            return  # too late
        if kind == Kind.REFUSED:
            del self._calls[number]
            text = body[:4096].decode("utf-8", "replace")
            call.error = PeerError(f"plugin {self.name} refused {call.method}: {text}")
            return
        if method and _METHOD_NAMES[method - 1 : method] != [call.method]:
            raise Breach(f"CONTROL met a reply of method {method} to {call.method}")
        bound_reply(body, call.method)
        reply: Any = METHODS[call.method][1].FromString(body)
        del self._calls[number]  # not before: a breach above ends the call with the link
        call.reply = reply

    def _hear_batch(self, lane: Lane, batch: Message) -> None:
        flow = self._flows[lane]
        if not flow.take(batch):
            return
        if batch.answers > self._last_step:
            raise Breach(f"{lane.name} met an answer to step {batch.answers}, wanted at most {self._last_step}")
        rest = self._on_batch(lane, batch)
        if rest is not None:
            self._handle(lane, self._answered_after(rest, batch.answers))
            return
        self._answered = max(self._answered, batch.answers)
        self._done(lane)

    def _answered_after(self, rest: Iterator[None], step: int) -> Iterator[None]:
        """Handle the rest of a batch; the step that it answers, as before a start in wall time, is over after that."""
        yield from rest
        self._answered = max(self._answered, step)

    def _done(self, lane: Lane) -> None:
        self._flows[lane].done()
        if not self.lost:
            self._tell(lane)

    def _tell(self, lane: Lane) -> None:
        """Grant credit and acknowledge, where the plugin should hear of it."""
        owed = self._flows[lane].owed()
        if owed is not None:
            self._write(lane, pack(Kind.BATCH, owed.SerializeToString()))
