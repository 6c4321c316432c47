"""A plugin class as a `Peer`: its engine serves the framed socket in a thread of this process, over socket pairs.

For tests and for the conformance kit: the same bytes as between processes, without one. `SocketPeer` is the host's end,
and does for any plugin that speaks the framed socket.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from penstock_sdk.plugin import Plugin
from penstock_sdk.process.engine import Engine
from penstock_sdk.process.envelope import Kind, Lane
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.process.socket_lane import SocketLane
from penstock_sdk.process.socket_server import Server
from penstock_sdk.wire.messages import METHODS, Batch, Message, StopRequest

__all__ = ["ObjectPeer", "SocketPeer", "SocketPeerStream"]

_METHOD_NAMES = tuple(METHODS)


class SocketPeerStream:
    """The host's end of one stream; batches go and come as they are: numbers and credit are its user's."""

    def __init__(self, peer: SocketPeer, lane: Lane) -> None:
        self._peer = peer
        self._lane = lane

    def send(self, batch: Message) -> None:
        """Hand over a batch. Raises PeerGone."""
        self._peer.write(self._lane, Kind.BATCH, batch.SerializeToString())

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next batch from the plugin, or None when none came in time. Raises PeerGone at the end."""
        got = self._peer.received[self._lane]
        self._peer.wait(lambda: bool(got), timeout_s, self._lane)
        return got.popleft() if got else None

    def close(self) -> None:
        """Say that nothing more will be sent."""
        self._peer.half_close(self._lane)


class SocketPeer:
    """A plugin at the other end of three connected sockets, as its host sees it. For one thread.

    Args:
        control, events, orders: on which HELLO and WELCOME have been said.
    """

    def __init__(self, control: socket.socket, events: socket.socket, orders: socket.socket) -> None:
        self._lanes = {
            Lane.CONTROL: SocketLane(control), Lane.EVENTS: SocketLane(events), Lane.ORDERS: SocketLane(orders),
        }  # fmt: skip
        self.received: dict[Lane, deque[Message]] = {Lane.EVENTS: deque(), Lane.ORDERS: deque()}
        self._replies: dict[int, tuple[int, bytes]] = {}
        self._ponged: set[int] = set()
        self._last_call = 0
        self._stopped = False

    def call(self, method: str, request: Message, timeout_s: float = 2.0) -> Message:
        """Return the reply to one of `messages.METHODS`; raises as `Peer.call` does."""
        self._last_call += 1
        number = self._last_call
        self.write(Lane.CONTROL, Kind.CALL, request.SerializeToString(), _METHOD_NAMES.index(method) + 1, number)
        self.wait(lambda: number in self._replies, timeout_s, Lane.CONTROL)
        if number not in self._replies:
            raise PeerTimeout(f"{method}: no answer within {timeout_s:g} s")
        kind, body = self._replies.pop(number)
        if kind == Kind.REFUSED:
            raise PeerError(body.decode("utf-8", "replace"))
        reply: Message = METHODS[method][1].FromString(body)
        return reply

    def events(self) -> SocketPeerStream:
        """Return the stream Events."""
        return SocketPeerStream(self, Lane.EVENTS)

    def orders(self) -> SocketPeerStream:
        """Return the stream Orders."""
        return SocketPeerStream(self, Lane.ORDERS)

    def healthy(self, timeout_s: float = 2.0) -> bool:
        """Return whether the plugin answers a ping."""
        self._last_call += 1
        number = self._last_call
        try:
            self.write(Lane.CONTROL, Kind.PING, b"", 0, number)
            self.wait(lambda: number in self._ponged, timeout_s, Lane.CONTROL)
        except PeerGone:
            return False
        return number in self._ponged

    def close(self, grace_s: float = 2.0) -> None:
        """Let the plugin stop, and close the connections. Again is harmless."""
        if not self._stopped:
            self._stopped = True
            with suppress(PeerError):  # it has ended, or does not listen: the connections tell it
                self.call("Stop", StopRequest(), grace_s)
        for lane in self._lanes.values():
            lane.close()

    # -- the wire --------------------------------------------------------------------------------------------------

    def write(self, lane: Lane, kind: int, body: bytes, method: int = 0, call: int = 0) -> None:
        """Send a message; what the socket does not take now goes with the next wait. Raises PeerGone."""
        held = self._lanes[lane]
        if held.sock.fileno() < 0 or held.ended:
            raise PeerGone(f"connection {lane.name} has ended")
        held.put(kind, body, method, call)
        held.flush()

    def half_close(self, lane: Lane) -> None:
        """Say on a connection that nothing more will be sent."""
        if self._lanes[lane].sock.fileno() >= 0:
            self._lanes[lane].sock.shutdown(socket.SHUT_WR)

    def wait(self, done: Callable[[], bool], timeout_s: float, lane: Lane) -> None:
        """Read and write until *done*, or until the time is over.

        Raises:
            PeerGone: *lane* has ended before.
        """
        until_s = monotonic() + timeout_s
        while not done():
            open_lanes = {held.sock.fileno(): held for held in self._lanes.values() if held.sock.fileno() >= 0}
            waiting = select.poll()
            for number, held in open_lanes.items():
                if not held.ended:
                    waiting.register(number, select.POLLIN | (select.POLLOUT if held.unsent else 0))
            left_s = until_s - monotonic()
            found = waiting.poll(max(0.0, left_s) * 1_000)
            for each, held in self._lanes.items():
                if held.sock.fileno() in dict(found):
                    held.flush()
                    self._read(each, held)
            if done():
                return
            if self._lanes[lane].ended or self._lanes[lane].sock.fileno() < 0:
                raise PeerGone(f"the plugin has ended connection {lane.name}")
            if left_s <= 0:
                return

    def _read(self, lane: Lane, held: SocketLane) -> None:
        more = True
        while more:
            more = held.fill()
            for kind, _, call, body in held.messages():
                if kind == Kind.BATCH and lane in self.received:
                    self.received[lane].append(Batch.FromString(body))
                elif kind in (Kind.REPLY, Kind.REFUSED):
                    self._replies[call] = (kind, body)
                elif kind == Kind.PONG:
                    self._ponged.add(call)
                else:
                    raise PeerError(f"message of kind {kind} met on {lane.name}, wanted what a plugin sends")


class ObjectPeer(SocketPeer):
    """A plugin class, served in a thread of this process.

    Args:
        cls: the plugin's class.
        id, version: as its manifest has them.
    """

    def __init__(self, cls: type[Plugin], *, id: str = "", version: str = "") -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        self.engine = Engine(cls, id=id, version=version)
        server = Server(self.engine, *(far for _, far in pairs))
        self.failed: PeerError | None = None
        """Why the plugin's side ended of itself: what it met was no host's."""

        def serve() -> None:
            try:
                server.run()
            except PeerError as error:
                self.failed = error

        self._thread = threading.Thread(target=serve, name=f"plugin {id or cls.__name__}", daemon=True)
        self._thread.start()
        near: list[Any] = [sock for sock, _ in pairs]
        super().__init__(*near)

    def close(self, grace_s: float = 2.0) -> None:
        """Let the plugin stop, and wait for its thread. Again is harmless."""
        super().close(grace_s)
        self._thread.join(grace_s)
