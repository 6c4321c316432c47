"""Where plugins' processes connect: a Unix socket in a folder that only its owner can enter, and a token for each.

A connection says HELLO first, with its lane and the one-time token of its plugin; each token opens each lane once. One
that comes with a wrong or a used token, from another user, too late or with too much is closed, and somebody is told.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from time import monotonic
from typing import Any

from penstock_kernel.hosts.reactor import READ, Reactor
from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, Kind, Lane, pack
from penstock_sdk.process.own_folder import OwnFolder
from penstock_sdk.wire.messages import FAMILY, PROTOCOL_MAJORS

__all__ = ["HELLO_S", "Listener", "Welcomed"]

HELLO_S = 10.0
"""A connection that has not said HELLO by then is closed."""
HELLO_BYTES_MAX = 4096
WAITING_MAX = 256
"""Connections that have not said HELLO yet; 50 plugins that start at once open 150."""
_PATH_BYTES_MAX = 100  # of 108 that the address of a Unix socket holds
_PEER = struct.Struct("3i")

Welcomed = Callable[[Lane, socket.socket, str], None]
"""Takes a connection that said a good HELLO: its lane, the socket (non-blocking), and the process's incarnation."""


class _Expected:
    """A plugin that may connect."""

    def __init__(self, name: str, take: Welcomed, owns: Callable[[int], bool]) -> None:
        self.name = name
        self.take = take
        self.owns = owns
        self.lanes = {Lane.CONTROL, Lane.EVENTS, Lane.ORDERS}
        """Those that are still to come."""


class _Caller:
    """A connection that has not said HELLO."""

    def __init__(self, sock: socket.socket, until_s: float) -> None:
        self.sock = sock
        self.until_s = until_s
        self.data = b""
        self.plugin = ""
        """The plugin that it is a process of: asked at once, for it may be gone before it is refused."""


class Listener:
    """The socket of one kernel.

    Args:
        told: called with a sentence for each connection that is refused.
        majors: of penstock.plugin, that this host speaks.
        plugin_of: returns the plugin that a process id is of, or "".
    """

    def __init__(
        self,
        reactor: Reactor,
        told: Callable[[str], object] = lambda text: None,
        majors: Sequence[int] = PROTOCOL_MAJORS,
        plugin_of: Callable[[int], str] = lambda pid: "",
    ) -> None:
        self._plugin_of = plugin_of
        self._majors = tuple(majors)
        self._reactor = reactor
        self._told = told
        self._expected: dict[str, _Expected] = {}
        self._callers: dict[int, _Caller] = {}
        self._own = _own_folder()
        self.folder = self._own.path
        self.path = str(self.folder / "s")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        self._sock.bind(self.path)
        os.chmod(self.path, 0o600)
        self._sock.listen(WAITING_MAX)
        reactor.watch(self._sock, READ, self._accept)

    def expect(self, name: str, take: Welcomed, owns: Callable[[int], bool] = lambda pid: True) -> str:
        """Return a new token for the plugin *name*, with which its process opens each lane once.

        Args:
            owns: whether a process id, by the operating system's word, may be the plugin's.
        """
        token = secrets.token_urlsafe(32)
        self._expected[token] = _Expected(name, take, owns)
        return token

    def forget(self, token: str) -> None:
        """Let a token open nothing more; an unknown one is no error."""
        self._expected.pop(token, None)

    def sweep(self) -> None:
        """Close connections that have kept silent for too long; call it now and then."""
        now_s = monotonic()
        for caller in [c for c in self._callers.values() if c.until_s <= now_s]:
            self._refuse(caller, f"said no HELLO within {HELLO_S:.0f} s")

    def _accept(self, _events: int) -> None:
        for _ in range(16):
            try:
                sock, _address = self._sock.accept()
            except OSError:
                return
            sock.setblocking(False)
            caller = _Caller(sock, monotonic() + HELLO_S)
            caller.plugin = self._plugin_of(_peer(sock)[0])
            if len(self._callers) >= WAITING_MAX:
                self._refuse(caller, f"came when {WAITING_MAX} others had not said HELLO yet")
                continue
            uid = _peer(sock)[1]
            if uid != os.getuid():
                self._refuse(caller, f"is of user {uid}, wanted {os.getuid()}")
                continue
            self._callers[sock.fileno()] = caller
            self._reactor.watch(sock, READ, partial(self._hear, caller))

    def _hear(self, caller: _Caller, _events: int) -> None:
        # No more than its HELLO is read: what follows is for whoever takes the connection.
        wanted = HEADER_BYTES
        while True:
            try:
                data = caller.sock.recv(wanted - len(caller.data))
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._refuse(caller, "ended before its HELLO")
                return
            caller.data += data
            if len(caller.data) < HEADER_BYTES:
                continue
            length, kind, *_ = HEADER.unpack_from(caller.data)
            if kind != Kind.HELLO or length > HELLO_BYTES_MAX:
                self._refuse(caller, f"began with a message of kind {kind} and {length} bytes, wanted HELLO")
                return
            wanted = HEADER_BYTES + length
            if len(caller.data) == wanted:
                self._decide(caller, caller.data[HEADER_BYTES:])
                return

    def _decide(self, caller: _Caller, body: bytes) -> None:
        try:
            hello: Any = json.loads(body)
            lane, token, incarnation = _lane(hello["lane"]), str(hello["token"]), str(hello.get("incarnation", ""))
            spoken = [int(each) for each in hello.get("majors", (1,))]
        except (ValueError, KeyError, TypeError, AttributeError):
            self._refuse(caller, "said a HELLO that is no JSON object of lane (1, 2 or 3), token, incarnation, majors")
            return
        known = next((t for t in self._expected if hmac.compare_digest(t.encode(), token.encode())), "")
        expected = self._expected.get(known)
        pid = _peer(caller.sock)[0]
        if expected is None:
            self._refuse(caller, "has a token that nobody was given, or that was used up")
        elif lane not in expected.lanes:
            self._refuse(caller, f"has {expected.name}'s token, which has opened {lane.name} before")
        elif not expected.owns(pid):
            self._refuse(caller, f"has {expected.name}'s token, but is not the process that was given it")
        elif not (shared := set(spoken) & set(self._majors)):
            why = (
                f"speaks majors {', '.join(map(str, spoken))[:100]} of {FAMILY}, this host "
                f"{', '.join(map(str, self._majors))}; install another version of penstock-sdk with the plugin"
            )
            with suppress(OSError):
                caller.sock.send(pack(Kind.REFUSED, f"{expected.name} {why}".encode()))
            self._refuse(caller, f"has {expected.name}'s token, but {why}")
        else:
            expected.lanes.discard(lane)
            if not expected.lanes:
                self.forget(known)
            self._let_in(caller, expected, lane, incarnation, max(shared))

    def _let_in(self, caller: _Caller, expected: _Expected, lane: Lane, incarnation: str, major: int) -> None:
        sock = caller.sock
        self._callers.pop(sock.fileno(), None)
        self._reactor.forget(sock)
        host = f"penstock-kernel {version('penstock-kernel')}"
        welcome = json.dumps({"name": expected.name, "host": host, "major": major}).encode()
        try:
            sock.send(pack(Kind.WELCOME, welcome))
        except OSError:
            sock.close()
            return
        expected.take(lane, sock, incarnation)

    def _refuse(self, caller: _Caller, why: str) -> None:
        pid, uid, _gid = _peer(caller.sock)
        self._callers.pop(caller.sock.fileno(), None)
        self._reactor.forget(caller.sock)
        caller.sock.close()
        of = f" of plugin {caller.plugin}" if caller.plugin else ""
        self._told(f"a connection of process {pid}{of}, user {uid}, {why}")

    def close(self) -> None:
        """Close the socket and every connection that nobody took, and remove the folder. Again is harmless."""
        for caller in list(self._callers.values()):
            self._reactor.forget(caller.sock)
            caller.sock.close()
        self._callers.clear()
        self._expected.clear()
        if self._sock.fileno() >= 0:
            self._reactor.forget(self._sock)
            self._sock.close()
        self._own.remove()


def _own_folder() -> OwnFolder:
    """Return a new folder, where a socket's path is short enough; those that killed kernels left there are removed."""
    parents = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")
    try:
        return OwnFolder(
            "penstock-", [each for each in parents if each and len(os.fsencode(each)) < _PATH_BYTES_MAX - 24]
        )
    except OSError as error:
        raise OSError(
            f"no folder for the plugins' socket: {tempfile.gettempdir()} is too long or cannot be written "
            f"({error.strerror or error})"
        ) from None


def _lane(said: Any) -> Lane:
    lane = Lane[said.upper()] if isinstance(said, str) else Lane(said)
    if lane == Lane.UNKNOWN:
        raise ValueError("lane 0")
    return lane


def _peer(sock: socket.socket) -> tuple[int, int, int]:
    """Return pid, uid and gid of who connected, by the operating system's word."""
    try:
        pid, uid, gid = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    except (OSError, AttributeError):  # no such option: the folder's mode alone keeps others out
        return 0, os.getuid(), os.getgid()
    return pid, uid, gid
