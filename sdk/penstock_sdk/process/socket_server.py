"""A plugin's engine behind the three connections of the framed socket, in one thread.

An order overtakes market data: ORDERS is read before every batch of EVENTS that waits. A call sees every batch that was
sent before it. What the plugin says goes out in one write for all that was handled meanwhile; where the host has given
no credit for it, it waits, and the plugin handles nothing more until there is.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from google.protobuf.message import DecodeError

from penstock_sdk.core.faults import error_text
from penstock_sdk.process.engine import Engine
from penstock_sdk.process.envelope import Kind, Lane
from penstock_sdk.process.flow import Flow, count_records, split_off
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.process.socket_lane import SocketLane
from penstock_sdk.wire.messages import METHODS, Batch, Message

__all__ = ["ASK_S", "Server"]

ASK_S = 10.0
"""How long a handler waits for the id of a name."""
POLL_MS = 1
"""A plugin that takes in what comes from outside is asked this often."""
IDLE_MS = 2
"""After so much silence what was handled is acknowledged."""
QUIET_MS = 500
"""How often an idle plugin looks whether its parent lives."""
TURN_NS = 500_000
"""So long batches are handled before the other connections are looked at."""
WAITING_MAX = 256
"""Batches that wait for credit at which the plugin handles nothing more."""
UNSENT_MAX = 8 << 20
_METHOD_NAMES = tuple(METHODS)
_READ, _WRITE = select.POLLIN | select.POLLHUP | select.POLLERR, select.POLLOUT


class _Stream:
    """One of the two streams: its flow, what was received and not handled, what was said and not sent."""

    __slots__ = ("asked", "flow", "lane", "pending", "waiting")

    def __init__(self, lane: SocketLane) -> None:
        self.lane = lane
        self.flow = Flow()
        self.pending: deque[Message] = deque()
        self.waiting: deque[Message] = deque()
        self.asked: dict[int, Message | None] = {}
        """By number of a batch that asks: its answer, once it has come."""


class Server:
    """Serves one engine over its three connections, until `Stop` or the end of a connection.

    Args:
        control, events, orders: connected sockets, on which HELLO and WELCOME have been said.
        parent: process id of whoever started this one; when that is gone, so is the plugin. 0: nobody looks.
    """

    def __init__(
        self, engine: Engine, control: socket.socket, events: socket.socket, orders: socket.socket, *, parent: int = 0
    ) -> None:
        self.engine = engine
        engine.port = self
        self.ended = False
        self._parent = parent
        self._control = SocketLane(control)
        self._streams = {Lane.EVENTS: _Stream(SocketLane(events)), Lane.ORDERS: _Stream(SocketLane(orders))}
        self._at = Lane.EVENTS
        """The lane of the batch at hand."""
        self._calls: deque[tuple[int, int, bytes]] = deque()
        self._poll = select.poll()
        self._in_order = (self._streams[Lane.ORDERS], self._streams[Lane.EVENTS])
        self._lanes = (self._control, *(stream.lane for stream in self._in_order))
        self._slow: set[SocketLane] = set()
        """Those whose other side does not take all that is sent."""
        self._collect = False
        """The engine has something to say."""
        for lane in self._lanes:
            self._poll.register(lane.number, _READ)
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._woken_number = self._woken.fileno()
        self._poll.register(self._woken_number, select.POLLIN)
        engine.on_work_done = self.wake
        self._next_poll_ns = 0

    def wake(self) -> None:
        """Have `run` look at the engine; from any thread."""
        with suppress(OSError):  # it is awake, or has ended
            self._wake.send(b"\0")

    def run(self) -> None:
        """Serve until the host is done with the plugin.

        Raises:
            PeerError: the host broke the contract; says how.
        """
        try:
            for stream in self._in_order:
                self._grant(stream)
            self._flush()
            while not self.ended:
                self._turn()
            self._flush()
        except PeerGone:
            pass  # the host has ended, or let go of us
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections and end submitted work; again is harmless."""
        self.ended = True
        self.engine.close()
        for lane in self._lanes:
            lane.close()
        self._woken.close()
        self._wake.close()

    # -- one turn --------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait until something comes, handle it, send what was said."""
        found, idle = self._wait()
        if self._control.number in found:
            while self._control.fill():
                pass
            self._hear_control()
            self.ended = self.ended or self._control.ended
        for stream in self._in_order:
            if stream.lane.number in found:
                self._take(stream)
        handled = self._handle()
        if self._calls:
            self._do_calls()
        engine = self.engine
        if engine.polls or engine.working:
            self._poll_engine()
        for stream in self._in_order:
            if idle or handled or stream.flow.told < 0:
                self._grant(stream, idle=idle and not handled)
        self._flush()

    def _wait(self) -> tuple[dict[int, int], bool]:
        """Return on which sockets something is to be done, once there is; and whether nothing came for long enough."""
        events, orders = self._in_order
        if (events.pending or orders.pending) and not self._blocked():
            timeout_ms = 0
        elif self.engine.polls:
            timeout_ms = POLL_MS
        elif events.flow.handled != events.flow.told or orders.flow.handled != orders.flow.told:
            timeout_ms = IDLE_MS
        else:
            timeout_ms = QUIET_MS
        found = dict(self._poll.poll(timeout_ms))
        if self._woken_number in found:
            self._woken.recv(4096)
        if not found and self._parent and os.getppid() != self._parent:
            raise PeerGone("the process that started this one has ended")
        return found, not found and timeout_ms > 0

    def _handle(self) -> bool:
        """Handle batches for a turn's time, orders first; return whether there were any."""
        orders, events = self._in_order
        if not events.pending and not orders.pending:
            return False
        until_ns = perf_counter_ns() + TURN_NS
        while not self._blocked():
            while orders.pending and not self._blocked():
                self._handle_one(Lane.ORDERS, orders)
            if not events.pending:
                break
            self._handle_one(Lane.EVENTS, events)
            if events.pending:
                if perf_counter_ns() > until_ns:
                    break
                self._take(orders)
        if self._collect:
            self._collect = False
            self._say(self.engine.collect(Lane.EVENTS))
        return True

    def _handle_one(self, lane: Lane, stream: _Stream) -> None:
        batch = stream.pending.popleft()
        self._at = lane
        if batch.step or batch.take or batch.check or batch.hearing:
            self._say(self.engine.batch(lane, batch))
        else:
            self.engine.hear(lane, batch)
            self._collect = True
        stream.flow.done(batch.number)

    def _blocked(self) -> bool:
        """Return whether what was said must go before more is handled."""
        first, second = self._in_order
        return (
            len(first.waiting) > WAITING_MAX
            or len(second.waiting) > WAITING_MAX
            or first.lane.unsent > UNSENT_MAX
            or second.lane.unsent > UNSENT_MAX
        )

    # -- in --------------------------------------------------------------------------------------------------------

    def _take(self, stream: _Stream) -> None:
        """Take what has come on a stream; what is to be handled is pending then."""
        while True:
            more = stream.lane.fill()
            for kind, _, _, body in stream.lane.messages():
                if kind != Kind.BATCH:
                    raise PeerError(f"message of kind {kind} met on a stream, wanted a batch")
                batch = _parsed(Batch, body)
                if not stream.flow.take(batch):
                    if stream.waiting:
                        self._send_waiting(stream)
                    continue
                if batch.answers in stream.asked:
                    stream.asked[batch.answers] = batch
                else:
                    stream.pending.append(batch)
                if stream.waiting:
                    self._send_waiting(stream)
            if stream.lane.ended:
                self.ended = True
            if not more:
                return

    def _hear_control(self) -> None:
        for kind, method, call, body in self._control.messages():
            if kind == Kind.CALL:
                self._calls.append((method, call, body))
            elif kind == Kind.PING:
                self._control.put(Kind.PONG, b"", call=call)
            else:
                raise PeerError(f"message of kind {kind} met on CONTROL, wanted a call or a ping")

    def _do_calls(self) -> None:
        """Do the calls that have come, each after every batch that was sent before it."""
        while self._calls:
            for stream in self._in_order:  # what was sent before the call has come by now
                self._take(stream)
            while any(stream.pending for stream in self._in_order):
                if self._blocked():
                    return
                self._handle()
            method, call, body = self._calls.popleft()
            self._at = Lane.EVENTS
            self._do_call(method, call, body)
            if self.ended:
                return

    def _do_call(self, method: int, call: int, body: bytes) -> None:
        if not 1 <= method <= len(_METHOD_NAMES):
            self._control.put(Kind.REFUSED, f"call of method {method} met, wanted 1 … {len(METHODS)}".encode(), 0, call)
            return
        name = _METHOD_NAMES[method - 1]
        try:
            reply = self.engine.call(name, _parsed(METHODS[name][0], body))
        except PeerError as error:
            self._control.put(Kind.REFUSED, str(error).encode("utf-8", "backslashreplace"), method, call)
            return
        except Exception as error:  # a fault of ours: the host is told, and decides
            text = f"{name} failed in the plugin's process: {error_text(error)}"
            self._control.put(Kind.REFUSED, text.encode(), method, call)
            return
        self._control.put(Kind.REPLY, reply.SerializeToString(), method, call)
        self.ended = name == "Stop"

    def _poll_engine(self) -> None:
        now_ns = perf_counter_ns()
        if self._blocked() or (now_ns < self._next_poll_ns and not self.engine.working):
            return
        self._next_poll_ns = now_ns + POLL_MS * 1_000_000
        self._at = Lane.EVENTS
        self._say(self.engine.poll())

    # -- out -------------------------------------------------------------------------------------------------------

    def _say(self, said: list[tuple[Lane, Message]]) -> None:
        for lane, batch in said:
            stream = self._streams[lane]
            stream.waiting.append(batch)
            self._send_waiting(stream)

    def _send_waiting(self, stream: _Stream) -> None:
        """Send what waits, as far as the host has given credit: of a batch that is too large what has room."""
        waiting, flow = stream.waiting, stream.flow
        while waiting:
            batch = waiting[0]
            frames = batch.frames
            records = count_records(frames)
            free_records, free_bytes = flow.room()
            if not frames or (records <= free_records and len(frames) <= free_bytes):
                waiting.popleft()
            else:
                first = split_off(batch, free_records, free_bytes)
                if first is None:
                    return
                batch, records = first, count_records(first.frames)
            stream.lane.put(Kind.BATCH, flow.send(batch, records).SerializeToString())

    def _grant(self, stream: _Stream, *, idle: bool = False) -> None:
        """Acknowledge and give credit, where the host should hear of it."""
        owed = stream.flow.owed(idle=idle)
        if owed is not None:
            stream.lane.put(Kind.BATCH, owed.SerializeToString())

    def _flush(self) -> None:
        for lane in self._lanes:
            if lane.unsent or lane in self._slow:
                if lane.flush():
                    if lane in self._slow:
                        self._slow.discard(lane)
                        self._poll.modify(lane.number, _READ)
                elif lane not in self._slow:
                    self._slow.add(lane)
                    self._poll.modify(lane.number, _READ | _WRITE)

    # -- the engine's port -----------------------------------------------------------------------------------------

    def ask(self, batch: Message) -> Message:
        """Send a batch that asks on the lane at hand, and wait for its answer; batches that come meanwhile wait.

        Raises:
            PeerTimeout: no answer came.
        """
        stream = self._streams[self._at]
        number = stream.flow.send(batch, 0).number
        stream.asked[number] = None
        stream.lane.put(Kind.BATCH, batch.SerializeToString())
        until_ns = perf_counter_ns() + int(ASK_S * 1e9)
        waiting, number_of = select.poll(), stream.lane.number
        try:
            while stream.asked[number] is None:
                left_ms = (until_ns - perf_counter_ns()) // 1_000_000
                if left_ms <= 0:
                    raise PeerTimeout(f"host gave no ids within {ASK_S:g} s, asked by batch {number}")
                sent = stream.lane.flush()
                waiting.register(number_of, _READ if sent else _READ | _WRITE)
                waiting.poll(left_ms)
                self._take(stream)
                if stream.lane.ended:
                    raise PeerGone("the host's connection ended while a name was asked for")
            answer = stream.asked[number]
        finally:
            del stream.asked[number]
        assert answer is not None
        stream.flow.done(answer.number)
        return answer


def _parsed(kind: Any, body: bytes) -> Message:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise PeerError(f"message of {len(body)} bytes met, wanted a {kind.DESCRIPTOR.name}: {error}") from None
