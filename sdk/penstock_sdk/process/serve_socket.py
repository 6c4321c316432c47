"""Serves a plugin to the kernel whose socket the environment names: three connections, let in by a one-time token."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from penstock_sdk.process.engine import Engine
from penstock_sdk.process.envelope import ENV_SOCKET, ENV_TOKEN, HEADER, HEADER_BYTES, Kind, Lane, pack
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.process.socket_server import Server
from penstock_sdk.wire.messages import PROTOCOL_MAJORS

__all__ = ["connect", "main"]

HELLO_S = 60.0
"""A host may be busy with other plugins; how long it waits for this one is its own `start_s`, and then it ends it."""
WELCOME_BYTES_MAX = 4096


def connect(path: str, token: str, incarnation: str) -> tuple[socket.socket, socket.socket, socket.socket]:
    """Return the three connections to a host's socket, let in: CONTROL, EVENTS, ORDERS.

    Raises:
        PeerGone: nobody listens there, or the host does not let this plugin in.
    """
    opened: list[socket.socket] = []
    try:
        for lane in (Lane.CONTROL, Lane.EVENTS, Lane.ORDERS):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.append(sock)
            sock.settimeout(HELLO_S)
            sock.connect(path)
            _say_hello(sock, lane, token, incarnation)
    except TimeoutError:
        for sock in opened:
            sock.close()
        raise PeerGone(
            f"host's socket {path}: no answer within {HELLO_S:g} s: the host is busy or hangs; give the plugin more "
            f"start_s, or start fewer at once"
        ) from None
    except OSError as error:
        for sock in opened:
            sock.close()
        raise PeerGone(f"host's socket {path}: {error}") from error
    except PeerError:
        for sock in opened:
            sock.close()
        raise
    control, events, orders = opened
    return control, events, orders


def _say_hello(sock: socket.socket, lane: Lane, token: str, incarnation: str) -> None:
    hello = {"lane": int(lane), "token": token, "incarnation": incarnation, "majors": list(PROTOCOL_MAJORS)}
    sock.sendall(pack(Kind.HELLO, json.dumps(hello).encode()))
    # One message and no more: what comes after WELCOME is for the server.
    length, kind, *_ = HEADER.unpack(_exactly(sock, HEADER_BYTES))
    if kind == Kind.REFUSED and length <= WELCOME_BYTES_MAX:
        raise PeerGone(f"host refused HELLO on {lane.name}: {_exactly(sock, length).decode('utf-8', 'replace')}")
    if kind != Kind.WELCOME or length > WELCOME_BYTES_MAX:
        raise PeerGone(f"host answered HELLO on {lane.name} with kind {kind} and {length} bytes, wanted WELCOME")
    _exactly(sock, length)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = sock.recv(size - len(data))
        if not got:
            raise PeerGone("host closed the connection after HELLO: the token is not known, or was used")
        data += got
    return data


def main(cls: type[Any], plugin_id: str = "", version: str = "", environ: Mapping[str, str] = os.environ) -> int:
    """Serve a plugin to the host whose socket the environment names; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's; it says when to stop
    engine = Engine(cls, id=plugin_id, version=version)
    try:
        connections = connect(environ[ENV_SOCKET], environ.get(ENV_TOKEN, ""), engine.incarnation)
        server = Server(engine, *connections, parent=os.getppid())
        signal.signal(signal.SIGTERM, lambda _number, _frame: _end(server, _frame))
        server.run()
    except PeerError as error:
        print(f"plugin {plugin_id or cls.__name__}: {error}", file=sys.stderr, flush=True)
        return 3
    return 0


def _end(server: Server, _frame: FrameType | None) -> None:
    server.ended = True
    server.wake()
