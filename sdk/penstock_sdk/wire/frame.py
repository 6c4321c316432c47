"""The frame: a 48-byte header and a body, the same bytes on the bus, in the journal and on a socket.

====== ===== ================= ==========================================================
offset type  field             meaning
====== ===== ================= ==========================================================
0      u32   body_bytes        exact length of the body; it is padded with zeros to 8
4      u16   schema_id         whose records these are
6      u8    version           of that schema
7      u8    origin            `Origin`; bit 7 marks a diagnostic frame
8      i64   seq               of the first record; they are numbered seq … seq + count - 1
16     i64   at_ns             the input's stamp, UTC; never decreases
24     i64   cause_seq         the event whose handler made this one; absent for inputs
32     i64   correlation_seq   the input at the root of the chain
40     u32   count             records
44     u16   stride            bytes of one record; 0 for a control record (msgpack)
46     u16   producer          interned id of the plugin that made it; 0 is the kernel
====== ===== ================= ==========================================================
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from penstock_sdk.schema import ABSENT, Frame, Layout

__all__ = ["DIAGNOSTIC", "HEADER", "HEADER_BYTES", "Header", "Origin", "encode_frame", "encoder", "packer", "padded"]

HEADER = struct.Struct("<IHBBqqqqIHH")
HEADER_BYTES = HEADER.size
DIAGNOSTIC = 0x80
"""Bit of the origin byte: journaled, but no part of the digest."""


class Origin(IntEnum):
    """Where an event came from. All but DERIVED are inputs: a replay feeds them and recomputes the rest."""

    UNKNOWN = 0
    EXTERNAL = 1
    """A feed or a venue outside."""
    OPERATOR = 2
    """A person, or a supervisor in a person's name."""
    DERIVED = 3
    """Returned by a handler; follows from the inputs."""
    REPLY = 4
    """Returned by a plugin that is not recomputed: out of process, submitted work, or not deterministic."""
    TIMER = 5
    """A timer of the kernel's."""
    KERNEL = 6
    """The kernel's own inputs: the run header, interned ids told at start."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The decoded header of one frame; the fields of the table above."""

    body_bytes: int
    schema_id: int
    version: int
    origin: int
    seq: int
    at_ns: int
    cause_seq: int
    correlation_seq: int
    count: int
    stride: int
    producer: int


def padded(length: int) -> int:
    """Return *length* rounded up to a multiple of 8 bytes."""
    return -(-length // 8) * 8


Encode = Callable[[Any, int, int, int, int, int, int], bytes]
"""``encode(event, seq, at_ns, cause_seq, correlation_seq, origin, producer) -> frame bytes``"""


def encoder(layout: Layout) -> Encode:
    """Return the function that encodes one record of *layout* as a frame of one.

    Cost: one `struct.pack` over header and fields together, about 0.3 µs for ten fields.
    """
    schema_id, version, size = layout.id, layout.version, layout.size
    mark = DIAGNOSTIC if layout.diagnostic else 0
    if not layout.packed:

        def encode_control(
            event: Any, seq: int, at_ns: int, cause_seq: int, correlation_seq: int, origin: int, producer: int
        ) -> bytes:
            body = layout.pack(event)
            layout.unpack(body)  # msgpack takes any value in any field; a reader would not
            n = len(body)
            head = HEADER.pack(
                n, schema_id, version, origin | mark, seq, at_ns, cause_seq, correlation_seq, 1, 0, producer
            )
            return head + body + bytes(-n % 8)

        return encode_control

    pack = packer(layout)
    astuple = msgspec.structs.astuple

    def encode_record(
        event: Any, seq: int, at_ns: int, cause_seq: int, correlation_seq: int, origin: int, producer: int
    ) -> bytes:
        try:
            return pack(
                size, schema_id, version, origin | mark, seq, at_ns, cause_seq, correlation_seq, 1, size, producer,
                *astuple(event),
            )  # fmt: skip
        except struct.error:
            raise layout.misfit(event) from None

    return encode_record


def packer(layout: Layout) -> Callable[..., bytes]:
    """Return the function that packs the header's fields and one packed record's, in one call."""
    return struct.Struct(HEADER.format + layout.codes).pack


def encode_frame(
    frame: Frame, seq: int, at_ns: int, cause_seq: int, correlation_seq: int, origin: int, producer: int
) -> bytes:
    """Return the bytes of a frame of many records."""
    layout, array = frame.layout, frame.array
    mark = DIAGNOSTIC if layout.diagnostic else 0
    head = HEADER.pack(
        array.nbytes, layout.id, layout.version, origin | mark, seq, at_ns, cause_seq, correlation_seq,
        len(array), layout.size, producer,
    )  # fmt: skip
    return head + array.tobytes()


assert HEADER_BYTES == 48
assert ABSENT == -(2**63)
