"""The framed Unix socket between a kernel and what speaks for a plugin: a 16-byte header and a message each.

A plugin has three connections, each begun with HELLO: CONTROL carries calls and signs of life, EVENTS and ORDERS the
batches of the streams of those names. So bulk data cannot hold up an order, nor either of them a call.

====== ===== ========== =====================================================================
offset type  field      meaning
====== ===== ========== =====================================================================
0      u32   body_bytes length of the message that follows; at most `MESSAGE_BYTES_MAX`
4      u8    kind       `Kind`
5      u8    method     of a CALL, REPLY or REFUSED: its place in `messages.METHODS`, from 1
6      u16   reserved   zero
8      u64   call       of a CALL: the caller's number; of its REPLY, REFUSED or PONG: the same
====== ===== ========== =====================================================================
"""

from __future__ import annotations

import struct
from enum import IntEnum

__all__ = [
    "CREDIT_BYTES", "CREDIT_EVENTS", "ENV_LANE", "ENV_SOCKET", "ENV_TOKEN", "HEADER", "HEADER_BYTES",
    "MESSAGE_BYTES_MAX", "TOKEN_METADATA", "Kind", "Lane", "pack",
]  # fmt: skip

HEADER = struct.Struct("<IBBHQ")
HEADER_BYTES = HEADER.size
MESSAGE_BYTES_MAX = 64 << 20
"""A longer message ends the connection: no peer can make the other take a gigabyte."""
CREDIT_EVENTS = 65_536
CREDIT_BYTES = 16 << 20
"""How far one side may be ahead of what the other has handled, on each stream."""

ENV_SOCKET = "PENSTOCK_SOCKET"
"""Path of the kernel's socket; a plugin that finds it speaks the framed socket, else gRPC."""
ENV_TOKEN = "PENSTOCK_TOKEN"
"""The one-time token: the HELLO's on a socket, the metadata `TOKEN_METADATA` on gRPC."""
ENV_LANE = "PENSTOCK_LANE"
TOKEN_METADATA = "penstock-token"


class Lane(IntEnum):
    """Which connection."""

    UNKNOWN = 0
    CONTROL = 1
    EVENTS = 2
    ORDERS = 3


class Kind(IntEnum):
    """What a message is."""

    UNKNOWN = 0
    HELLO = 1
    """First on each connection, from the plugin's side: JSON of lane, token, `incarnation` and `majors` it speaks."""
    WELCOME = 2
    """The host's answer: JSON of the plugin's name, the host's version, and `major`, the highest that both speak.

    A connection that is not let in is closed; where no major is shared, with the reason as REFUSED before.
    """
    BATCH = 3
    CALL = 4
    """From the host, on CONTROL."""
    REPLY = 5
    REFUSED = 6
    """A call that failed, or a HELLO: UTF-8 text of why."""
    PING = 7
    PONG = 8


def pack(kind: int, body: bytes, method: int = 0, call: int = 0) -> bytes:
    """Return the bytes of one message."""
    return HEADER.pack(len(body), kind, method, 0, call) + body
