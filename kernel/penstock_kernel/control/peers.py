"""Whom the operating system says a caller is, and who may call: the owner of the run, and root."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import NamedTuple

__all__ = ["Peer", "Peers", "peer_of"]

_UCRED = struct.Struct("3i")


class Peer(NamedTuple):
    """The process at the other end, as it was when it connected."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Return whom the system says *connection* came from."""
    return Peer(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


class Peers:
    """Who may call. Names are looked up at the start: a directory service that hangs must not hold a kernel."""

    def __init__(self) -> None:
        self._names = {uid: _name(uid) for uid in (os.geteuid(), 0)}

    def allowed(self, peer: Peer) -> bool:
        """Return whether the caller is the owner of the run, or root."""
        return peer.uid in self._names

    def refusal(self, peer: Peer) -> str:
        """Return what a caller is told who may not call."""
        allowed = " and ".join(f"{name} (uid {uid})" for uid, name in self._names.items())
        return f"uid {peer.uid} may not command this run, only {allowed}; call as one of them, as with sudo -u"

    def name(self, peer: Peer) -> str:
        """Return the user's name."""
        return self._names.get(peer.uid, f"uid {peer.uid}")

    def identity(self, peer: Peer) -> str:
        """Return the peer as the journal keeps it."""
        return f"uid={peer.uid} gid={peer.gid} pid={peer.pid} user={self.name(peer)}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
