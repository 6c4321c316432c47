"""Packed frames for the kit: made as a host makes them, or wrong on purpose; and those of a plugin, read with care."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from penstock_sdk.schema import ABSENT, Layout, SchemaError, layout_of, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, Origin, padded

__all__ = ["Misfit", "OwnBody", "raw_frame", "read_frames", "records_frame", "user_id"]

FIRST_USER_ID = 32_768


class Misfit(msgspec.Struct, frozen=True):
    """A frame of the plugin's that cannot be read."""

    text: str


class OwnBody(bytes):
    """The body of a frame of a plugin's own schema, which the kit cannot read; it can only be told again."""

    header: Header


def raw_frame(
    schema_id: int, body: bytes, *, count: int = 1, stride: int = 0, version: int = 1, seq: int = 0, at_ns: int = 0
) -> bytes:
    """Return a frame of these bytes, whatever they are."""
    head = HEADER.pack(
        len(body), schema_id, version, int(Origin.EXTERNAL), seq, at_ns, ABSENT, seq, count, stride, 0
    )  # fmt: skip
    return head + body + bytes(padded(len(body)) - len(body))


def records_frame(records: Sequence[Any], seq: int, at_ns: int, *, more: bytes = b"") -> bytes:
    """Return one frame of records of one type; *more* is added to each, as by a later version of the schema."""
    layout: Layout = layout_of(type(records[0]))
    if not layout.packed:
        assert len(records) == 1, "control records travel one by one"
        return raw_frame(layout.id, layout.pack(records[0]), version=layout.version, seq=seq, at_ns=at_ns)
    body = b"".join(layout.pack(record) + more for record in records)
    return raw_frame(
        layout.id, body, count=len(records), stride=layout.size + len(more), version=layout.version + bool(more),
        seq=seq, at_ns=at_ns,
    )  # fmt: skip


def read_frames(data: bytes) -> Iterator[tuple[Header | None, Any]]:
    """Yield (header, record) of each record; (header, Misfit) where one is not what its header says.

    Records of a plugin's own schemas (32,768 and above) that are not known here come as their bytes.
    """
    at = 0
    while at < len(data):
        if len(data) - at < HEADER_BYTES:
            yield None, Misfit(f"{len(data) - at} bytes after the last frame, wanted a header of {HEADER_BYTES}")
            return
        header = Header(*HEADER.unpack_from(data, at))
        body = data[at + HEADER_BYTES : at + HEADER_BYTES + header.body_bytes]
        at += HEADER_BYTES + padded(header.body_bytes)
        if len(body) < header.body_bytes or at > len(data):
            yield header, Misfit(f"a frame of {header.body_bytes} bytes that ends after {len(body)}")
            return
        yield from _records(header, body)


def _records(header: Header, body: bytes) -> Iterator[tuple[Header | None, Any]]:
    try:
        layout = schema_by_id(header.schema_id)
    except SchemaError:
        own = header.schema_id >= FIRST_USER_ID
        if not own:
            yield header, Misfit(f"schema {header.schema_id}, which Penstock does not have")
            return
        kept = OwnBody(body)
        kept.header = header
        yield header, kept
        return
    if not layout.packed:
        if header.count != 1 or header.stride != 0:
            yield header, Misfit(f"{layout.name} with count {header.count}, stride {header.stride}, wanted 1 and 0")
            return
        try:
            yield header, layout.unpack(body)
        except msgspec.DecodeError as error:
            yield header, Misfit(f"{layout.name} whose body is no such record: {error}")
        return
    stride = header.stride
    if stride < layout.size:
        yield header, Misfit(f"{layout.name} with a stride of {stride} bytes, wanted {layout.size} or more")
    elif header.count * stride != len(body) or not 1 <= header.count <= 4_096:
        yield header, Misfit(f"{layout.name} with count {header.count} of {stride} bytes in a body of {len(body)}")
    else:
        for i in range(header.count):
            yield header, layout.unpack(body[i * stride : (i + 1) * stride])


def user_id(schema_id: int) -> bool:
    """Return whether a schema is a plugin's own."""
    return schema_id >= FIRST_USER_ID
