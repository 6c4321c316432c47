"""One connection of the framed socket: whole messages out of bytes that come, bytes of many messages in one write."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator

from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, MESSAGE_BYTES_MAX
from penstock_sdk.process.peer import PeerError, PeerGone

__all__ = ["SocketLane"]

READ_BYTES = 256 << 10
IOVECS_MAX = 512
_COPY_MAX = 4 << 10
"""A body of up to so many bytes is copied behind its header: cheaper than a vector of its own."""

Received = tuple[int, int, int, bytes]
"""kind, method, call, body"""


class SocketLane:
    """A non-blocking stream socket that carries messages.

    Reading: `fill` takes what has come, `messages` yields what is whole. Writing: `put` gathers, `flush` sends.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.number = sock.fileno()
        """Its file descriptor, also once it is closed."""
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0
        """What has come and has not been parsed."""
        self._out: deque[bytes | memoryview] = deque()
        self.unsent = 0
        """Bytes that wait to be sent."""
        self.ended = False
        """The other side has closed the connection."""

    def fill(self) -> bool:
        """Take what has come, without waiting; return whether there may be more.

        Raises:
            PeerGone: the connection broke.
        """
        if self._end == len(self._buffer):
            self._make_room()
        try:
            got = self.sock.recv_into(self._view[self._end :])
        except BlockingIOError:
            return False
        except OSError as error:
            raise PeerGone(f"connection broke: {error}") from error
        if not got:
            self.ended = True
            return False
        self._end += got
        return self._end == len(self._buffer)

    def messages(self) -> Iterator[Received]:
        """Yield the whole messages that have come.

        Raises:
            PeerError: one is longer than any may be.
        """
        while self._end - self._begin >= HEADER_BYTES:
            length, kind, method, _, call = HEADER.unpack_from(self._buffer, self._begin)
            if length > MESSAGE_BYTES_MAX:
                raise PeerError(f"message of {length} bytes met, wanted at most {MESSAGE_BYTES_MAX}")
            body_at = self._begin + HEADER_BYTES
            if self._end - body_at < length:
                if body_at + length - self._begin > len(self._buffer):
                    self._make_room(HEADER_BYTES + length)
                return
            self._begin = body_at + length
            body = bytes(self._view[body_at : body_at + length])
            if self._begin == self._end:
                self._begin = self._end = 0
            yield kind, method, call, body

    def _make_room(self, whole: int = 0) -> None:
        """Move what is left to the front; of a message of *whole* bytes that the buffer does not hold, to a larger."""
        left = self._end - self._begin
        size = max(len(self._buffer), whole)
        if left == size:
            size *= 2
        if size > len(self._buffer):
            larger = bytearray(size)
            larger[:left] = self._view[self._begin : self._end]
            self._buffer, self._view = larger, memoryview(larger)
        else:
            self._view[:left] = bytes(self._view[self._begin : self._end])
        self._begin, self._end = 0, left

    def put(self, kind: int, body: bytes, method: int = 0, call: int = 0) -> None:
        """Gather a message to be sent."""
        head = HEADER.pack(len(body), kind, method, 0, call)
        if len(body) <= _COPY_MAX:
            self._out.append(head + body)
        else:
            self._out.append(head)
            self._out.append(body)
        self.unsent += HEADER_BYTES + len(body)

    def flush(self) -> bool:
        """Send what was gathered, as much as goes without waiting; return whether all has gone.

        Raises:
            PeerGone: the connection broke.
        """
        out = self._out
        while out:
            parts = list(out) if len(out) <= IOVECS_MAX else [out[i] for i in range(IOVECS_MAX)]
            try:
                sent = self.sock.sendmsg(parts)
            except BlockingIOError:
                return False
            except OSError as error:
                raise PeerGone(f"connection broke: {error}") from error
            self.unsent -= sent
            while sent:
                first = out[0]
                if len(first) > sent:
                    out[0] = memoryview(first)[sent:]
                    break
                sent -= len(first)
                out.popleft()
        return True

    def close(self) -> None:
        """Close the socket; again is harmless."""
        self.sock.close()
