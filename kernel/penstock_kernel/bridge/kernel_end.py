"""The bridge's three connections to the kernel: the framed socket as a plugin speaks it, for threads."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, MESSAGE_BYTES_MAX, Kind, Lane, pack
from penstock_sdk.process.peer import PeerError, PeerGone

__all__ = ["Connection", "Framed", "connect"]

HELLO_S = 60.0
_READ_BYTES = 256 << 10


class Framed(NamedTuple):
    """One message of the kernel's."""

    kind: int
    method: int
    call: int
    body: bytes


class Connection:
    """One lane. One thread may read, any may write."""

    def __init__(self, lane: Lane, sock: socket.socket) -> None:
        self.lane = lane
        self._sock = sock
        self._file = sock.makefile("rb", buffering=_READ_BYTES)
        self._lock = threading.Lock()

    def read(self) -> Framed:
        """Return the next message, waiting for it.

        Raises:
            PeerGone: the kernel has closed the connection.
            PeerError: the message is longer than any may be.
        """
        try:
            head = self._file.read(HEADER_BYTES)
            if len(head) < HEADER_BYTES:
                raise PeerGone(f"the kernel has closed {self.lane.name}")
            length, kind, method, _, call = HEADER.unpack(head)
            if length > MESSAGE_BYTES_MAX:
                raise PeerError(
                    f"kernel's {self.lane.name} met a message of {length} bytes, wanted at most {MESSAGE_BYTES_MAX}"
                )
            body = self._file.read(length) if length else b""
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise PeerGone(f"the kernel's {self.lane.name} is gone: {error}") from None
        if len(body) < length:
            raise PeerGone(f"the kernel has closed {self.lane.name} in the middle of a message")
        return Framed(kind, method, call, body)

    def write(self, kind: int, body: bytes, method: int = 0, call: int = 0) -> None:
        """Send a message, waiting until the kernel's side takes it.

        Raises:
            PeerGone: the kernel has closed the connection.
        """
        try:
            with self._lock:
                self._sock.sendall(pack(kind, body, method, call))
        except OSError as error:
            raise PeerGone(f"the kernel's {self.lane.name} is gone: {error}") from None

    def close(self) -> None:
        """Close it, also for a thread that reads."""
        with suppress(OSError):  # it was closed from the other side
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def connect(path: str, token: str, majors: Sequence[int]) -> dict[Lane, Connection]:
    """Return the three connections to the kernel, let in.

    Args:
        path: of the kernel's socket.
        token: the one-time token.
        majors: that the plugin speaks.

    Raises:
        PeerError: there is nobody, or we are not let in.
    """
    incarnation = os.urandom(8).hex()
    connections: dict[Lane, Connection] = {}
    for lane in (Lane.CONTROL, Lane.EVENTS, Lane.ORDERS):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(HELLO_S)
        connection = connections[lane] = Connection(lane, sock)
        try:
            sock.connect(path)
        except OSError as error:
            raise PeerGone(f"kernel's socket {path} cannot be reached: {error}") from None
        hello = {"lane": int(lane), "token": token, "incarnation": incarnation, "majors": list(majors)}
        connection.write(Kind.HELLO, json.dumps(hello).encode())
        answer = connection.read()
        if answer.kind != Kind.WELCOME:
            raise PeerError(f"kernel answered the HELLO of {lane.name} with kind {answer.kind}, wanted WELCOME")
        sock.settimeout(None)
    return connections
