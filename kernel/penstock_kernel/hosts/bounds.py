"""How much one message of a plugin's process may hold, counted in the encoded bytes, before anything is made of them.

A few megabytes of empty fields would become gigabytes of objects, and the kernel would stand still meanwhile. Bulk is
`frames`, which credit bounds; of everything else a batch holds thousands at most, and the SDK divides what is more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from penstock_kernel.hosts.frames import Breach
from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS
from penstock_sdk.wire.messages import Batch, StartReply

__all__ = ["FIELDS_MAX", "STREAM_BYTES_MAX", "TIMERS_MAX", "bound_batch", "bound_reply"]

FIELDS_MAX = 8192
"""Fields of one message, each element of a repeated one counted."""
STREAM_BYTES_MAX = CREDIT_BYTES + (4 << 20)
"""A message on a stream: all the frames that credit allows, and what stands beside them."""
TIMERS_MAX = 100_000
"""Timers of one plugin that are to fire."""

_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
_FIXED = {_I64: 8, _I32: 4}
_SAID, _REPLY_TIMERS = 1, StartReply.DESCRIPTOR.fields_by_name["timers"].number
_TIMERS = Batch.DESCRIPTOR.fields_by_name["timers"].number
_DUE = Batch.DESCRIPTOR.fields_by_name["due_ns"].number
_PACKED = frozenset(
    Batch.DESCRIPTOR.fields_by_name[name].number for name in ("timers_forgotten", "tasks_begun", "due_ns")
)
_BATCH_LIMITS = {_DUE: CREDIT_EVENTS}
_SAID_LIMITS = {_DUE: CREDIT_EVENTS, _TIMERS: TIMERS_MAX}


def bound_batch(body: bytes, what: str) -> None:
    """See that an encoded Batch holds no more than it may. Cost: nothing below `FIELDS_MAX` bytes, else 0.3 µs a field.

    Raises:
        Breach: it does not; the text begins with *what*, the stream.
    """
    if len(body) > FIELDS_MAX:  # a field, or an element of one, takes a byte at least
        _bound(body, what, _BATCH_LIMITS, _PACKED)


def bound_reply(body: bytes, method: str) -> None:
    """The same of the reply to a call, and of the Batch that it holds. A restored plugin may have all its timers.

    Raises:
        Breach: it holds more than it may.
    """
    if len(body) <= FIELDS_MAX:
        return
    begins = method in ("Start", "Drain")
    limits = {_REPLY_TIMERS: TIMERS_MAX} if begins else {}
    what = f"the reply to {method}"
    held = _bound(body, what, limits, frozenset())
    if begins:  # a second `said` would be added to the first, as if one stood behind the other
        said = b"".join(body[at:end] for number, at, end in held if number == _SAID)
        _bound(said, what, _SAID_LIMITS, _PACKED)


def _bound(body: bytes, what: str, limits: Mapping[int, int], packed: frozenset[int]) -> list[tuple[int, int, int]]:
    """Walk the fields; return (number, begin, end) of those whose number is `_SAID`, where they hold bytes."""
    at, end = 0, len(body)
    met: dict[int, int] = {}
    others = 0
    held: list[tuple[int, int, int]] = []
    while at < end:
        tag, at = _varint(body, at, end, what)
        number, wire = tag >> 3, tag & 7
        count = 1
        if wire == _VARINT:
            _, at = _varint(body, at, end, what)
        elif wire == _BYTES:
            size, at = _varint(body, at, end, what)
            if size > end - at:
                raise Breach(f"{what} met a message that is no protobuf of its kind: it is cut")
            if number in packed:
                count = int(np.count_nonzero(np.frombuffer(body, np.uint8, size, at) < 0x80))
            elif number == _SAID:
                held.append((number, at, at + size))
            at += size
        elif wire in _FIXED:
            at += _FIXED[wire]
        else:
            raise Breach(f"{what} met a message that is no protobuf of its kind: wire type {wire}")
        limit = limits.get(number)
        if limit is None:
            others += count
            if others > FIELDS_MAX:
                raise Breach(f"{what} met a message of more than {FIELDS_MAX:,} fields, wanted bulk in frames alone")
        else:
            met[number] = met.get(number, 0) + count
            if met[number] > limit:
                raise Breach(f"{what} met a message of more than {limit:,} elements in field {number}, wanted fewer")
    return held


def _varint(body: bytes, at: int, end: int, what: str) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Breach(f"{what} met a message that is no protobuf of its kind: a number is cut")
