"""The practice venue's connection, as its adapter has it: over TCP, or to a market in the same process.

A link never waits. What it says of itself (`Up`, `Down`) stands among what the venue said, in order, as frames.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol

from penstock_plugins.venues.paper_market import Connection, PaperMarket
from penstock_plugins.venues.paper_protocol import (
    Cancelled,
    Down,
    Hello,
    ProtocolError,
    Refused,
    Up,
    Welcome,
    frame_of,
    items_of,
    whole_bytes,
)

__all__ = ["MARKETS", "Link", "MemoryLink", "TcpLink", "address_of", "converse"]

_OUT_BYTES_MAX = 8 << 20
_READ_BYTES_MAX = 1 << 20


class Link(Protocol):
    """A connection that comes back by itself."""

    def send(self, data: bytes, now_ns: int) -> bool:
        """Send one frame; False: there is no connection, and none of it has left or ever will."""

    def receive(self, now_ns: int) -> bytes:
        """Return the whole frames that have come in since."""

    def close(self) -> None:
        """Hang up."""


MARKETS: dict[str, Callable[[], Link]] = {}
"""Links by name, for the address ``memory:NAME``: markets that live in this process, outside the kernel."""


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``.

    Raises:
        ValueError: it is not that.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65_536:
        raise ValueError(f"address met {text!r}, wanted host:port such as 127.0.0.1:7171")
    return host.strip("[]"), int(port)


class MemoryLink:
    """A link to a market in this process; `cut` and `mend` are for those who rehearse."""

    def __init__(self, market: PaperMarket) -> None:
        self.market = market
        self.reachable = True
        self._connection: Connection | None = None
        self._own = bytearray()
        self._attempt = 0

    def send(self, data: bytes, now_ns: int) -> bool:
        """Have the market do it at once."""
        if self._connection is None:
            return False
        for _, item, _ in items_of(data):
            self.market.receive(self._connection, item, now_ns)
        return True

    def receive(self, now_ns: int) -> bytes:
        """Return what the market has said; connects when it is not connected."""
        self.market.step(now_ns)
        if self._connection is None:
            self._attempt += 1
            if self.reachable:
                self._connection = self.market.connect()
                self._own += frame_of(Up(self._attempt))
                self._attempt = 0
            elif self._attempt == 1:
                self._own += frame_of(Down("unreachable", 1))
            said, self._own = self._own, bytearray()
            return bytes(said)
        said = self._own + self._connection.out
        self._own = bytearray()
        self._connection.out.clear()
        return bytes(said)

    def cut(self, now_ns: int, *, losing: bool = True) -> None:
        """Break the connection; with *losing*, what the market had said and nobody had read is lost."""
        if self._connection is None:
            return
        if not losing:
            self._own += self._connection.out
        self.market.disconnect(self._connection, now_ns)
        self._connection = None
        self._own += frame_of(Down("cut", 0))

    def close(self) -> None:
        """Hang up."""
        self.cut(self.market.now_ns)


class TcpLink:
    """A non-blocking TCP connection that is made again when it breaks, ever less often.

    Args:
        retry_s: shortest and longest wait between two attempts.
        silence_s: a venue from which nothing has come for so long is taken for gone.
    """

    def __init__(self, address: str, retry_s: tuple[float, float], silence_s: float) -> None:
        self._address = address_of(address)
        self._retry_s, self._silence_s = retry_s, silence_s
        self._socket: socket.socket | None = None
        self._up = False
        self._in, self._out, self._own = bytearray(), bytearray(), bytearray()
        self._attempt = 0
        self._next_s = self._heard_s = 0.0

    def send(self, data: bytes, now_ns: int) -> bool:
        """Send, or keep until the socket takes it; what is kept when the connection breaks is lost with it."""
        if not self._up:
            return False
        self._out += data
        self._flush()
        return True

    def receive(self, now_ns: int) -> bytes:
        """Return what has come in; connects when it is not connected."""
        now_s = time.monotonic()
        if self._socket is None and now_s >= self._next_s:
            self._connect(now_s)
        elif self._socket is not None and not self._up:
            self._connected(now_s)
        if self._up:
            self._flush()
        if self._up:
            self._read(now_s)
        said, self._own = self._own, bytearray()
        return bytes(said)

    def _connect(self, now_s: float) -> None:
        self._attempt += 1
        self._heard_s = now_s
        try:
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect(self._address)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(str(error))

    def _connected(self, now_s: float) -> None:
        """See whether the attempt under way has come to something."""
        assert self._socket is not None
        try:
            self._socket.getpeername()
        except OSError:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._lost(f"error {error} while connecting")
            elif now_s - self._heard_s > self._silence_s:
                self._lost("no answer to connecting")
            return
        self._up, self._heard_s = True, now_s
        self._own += frame_of(Up(self._attempt))
        self._attempt = 0

    def _flush(self) -> None:
        assert self._socket is not None
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            if len(self._out) > _OUT_BYTES_MAX:
                self._lost("the venue takes nothing any more")
        except OSError as error:
            self._lost(str(error))

    def _read(self, now_s: float) -> None:
        assert self._socket is not None
        lost, read = "", 0
        try:
            while not lost and read < _READ_BYTES_MAX:
                data = self._socket.recv(1 << 18)
                self._in += data
                read += len(data)
                lost = "" if data else "the venue hung up"
        except BlockingIOError:
            pass
        except OSError as error:
            lost = str(error)
        if read:
            self._heard_s = now_s
        elif now_s - self._heard_s > self._silence_s:
            lost = lost or f"nothing was heard for {self._silence_s:g} s"
        try:
            whole = whole_bytes(self._in)
            said = bytes(self._in[:whole])
            for _ in items_of(said):
                pass  # nothing that cannot be read is recorded
            self._own += said
            del self._in[:whole]
        except ProtocolError as error:
            lost = str(error)
        if lost:
            self._lost(lost)

    def _lost(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, was_up, self._up = None, self._up, False
        self._in.clear()
        self._out.clear()
        first, most = self._retry_s
        self._next_s = time.monotonic() + min(first * 2 ** min(self._attempt, 16), most)
        if was_up or self._attempt == 1:
            self._own += frame_of(Down(why, self._attempt))

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._up = None, False

    def __del__(self) -> None:
        """Hang up where nobody else has: a plugin may be dropped without a stop."""
        held = getattr(self, "_socket", None)
        if held is not None:
            held.close()


def converse(address: str, hello: Hello, question: object, timeout_s: float) -> Cancelled:
    """Say hello and one thing more over a connection of one's own; return the venue's `Cancelled`. Waits.

    Raises:
        OSError: no connection, or no answer in time.
        ProtocolError: the venue refused, or is none.
    """
    with socket.create_connection(address_of(address), timeout_s) as link:
        link.sendall(frame_of(hello) + frame_of(question))
        until_s, data = time.monotonic() + timeout_s, bytearray()
        while time.monotonic() < until_s:
            whole = whole_bytes(data)
            for _, item, _ in items_of(data[:whole]):
                if isinstance(item, Cancelled):
                    return item
                if not isinstance(item, Welcome):
                    what = item.text if isinstance(item, Refused) else type(item).__name__
                    raise ProtocolError(f"the venue at {address} answered {what}, wanted Cancelled")
            del data[:whole]
            link.settimeout(max(until_s - time.monotonic(), 0.001))
            more = link.recv(1 << 16)
            if not more:
                break
            data += more
    raise ConnectionError(f"the venue at {address} hung up or fell silent; cancel there by hand")
