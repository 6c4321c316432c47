"""Packed frames from a plugin's process to events, each checked: nothing that it sends may do worse than be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from penstock_sdk.events import *  # noqa: F403 - every record must be known before the first frame comes
from penstock_sdk.process.peer import PeerError
from penstock_sdk.schema import FRAME_RECORDS_MAX, USER_IDS, Event, Frame, Layout, SchemaError, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, padded

__all__ = ["Breach", "each_event", "events_of", "met_and_wanted"]

_UNPACK = HEADER.unpack_from
_DEFAULTS: dict[int, bytes] = {}
"""Bytes of a record whose fields are all at their defaults, by schema id."""


class Breach(PeerError):  # noqa: N818 - it tells of a deed
    """A plugin sent what the contract does not allow; it is ended."""


def met_and_wanted(text: str) -> tuple[str, str]:
    """Return what a text says was met and what was wanted, without those words: an alert has them already."""
    met, _, wanted = text.removeprefix("met ").partition(", wanted ")
    return met.removesuffix(" met").replace(" met ", ": ", 1), wanted


def events_of(frames: bytes) -> list[Event]:
    """Return the records and frames that are packed in *frames*, in order.

    Raises:
        Breach: an unknown schema, a wrong stride or count, a body that does not fit; names what was met and wanted.

    Cost: some 1.5 µs a frame, and 1 µs a record of a frame of one.
    """
    return list(each_event(frames))


def each_event(frames: bytes) -> Iterator[Event]:
    """Yield what `events_of` returns, each as it is unpacked. Raises where the first bad frame stands."""
    at, end = 0, len(frames)
    view = memoryview(frames)
    while at < end:
        if end - at < HEADER_BYTES:
            raise Breach(f"frames end with {end - at} bytes, wanted a whole header of {HEADER_BYTES}")
        body_bytes, schema_id, version, _, _, _, _, _, count, stride, _ = _UNPACK(frames, at)
        at += HEADER_BYTES
        if body_bytes > end - at:
            raise Breach(f"a frame of schema {schema_id} met {end - at} bytes of body, wanted {body_bytes}")
        try:
            layout = schema_by_id(schema_id)
        except SchemaError:
            raise Breach(
                f"a frame of schema {schema_id} version {version}, wanted a schema that this host knows"
                f"{_way_out(schema_id)}"
            ) from None
        yield _event(layout, view[at : at + body_bytes], count, stride)
        at += padded(body_bytes)


def _way_out(schema_id: int) -> str:
    own = schema_id in USER_IDS
    return "; a record of its own is known once a plugin that imports its module runs in the kernel" if own else ""


def _event(layout: Layout, body: memoryview, count: int, stride: int) -> Event:
    try:
        if not layout.packed:
            if stride or count != 1:
                raise Breach(f"{layout.name} met stride {stride} and count {count}, wanted 0 and 1: it is msgpack")
            event: Event = layout.unpack(body)
            return event
        if not 1 <= count <= FRAME_RECORDS_MAX or not stride or stride % 8 or len(body) != stride * count:
            raise Breach(
                f"a frame of {layout.name} met {count} records with a stride of {stride} in {len(body)} bytes, wanted "
                f"1 … {FRAME_RECORDS_MAX} records whose stride, a multiple of 8, fills the body"
            )
        data = bytes(body) if stride >= layout.size else _lengthened(layout, body, count, stride)
        stride = max(stride, layout.size)
        if count == 1:
            single: Event = layout.unpack(data)
            return single
        return Frame.from_body(layout, data, stride)
    except Breach:
        raise
    except (SchemaError, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise Breach(f"{layout.name} met a body that cannot be read: {error}") from None


def _lengthened(layout: Layout, body: memoryview, count: int, stride: int) -> bytes:
    """Return records of an older, shorter version with what was appended since at its defaults."""
    if layout.id not in _DEFAULTS:
        required = layout.cls.__struct_fields__[: len(layout.fields) - len(layout.cls.__struct_defaults__)]
        blank: Any = layout.cls(**dict.fromkeys(required, 0))
        _DEFAULTS[layout.id] = layout.pack(blank)
    whole = np.tile(np.frombuffer(_DEFAULTS[layout.id], np.uint8), (count, 1))
    whole[:, :stride] = np.frombuffer(body, np.uint8).reshape(count, stride)
    return whole.tobytes()
