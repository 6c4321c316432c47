"""Values for the fields of packed records: Hypothesis strategies, and the extremes that every projection must carry."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from penstock_sdk.schema import ABSENT, FieldLayout, Layout

# Floats by their bits: both zeros, the least and the greatest, infinities, and NaNs of which one is signalling.
_FLOAT_BITS = [
    0, 1 << 63, 1, 0x7FEF_FFFF_FFFF_FFFF, 0xFFEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000,
    0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 0x3FF0_0000_0000_0000,
]  # fmt: skip


def float_of(bits: int) -> float:
    """Return the float64 with these 64 bits."""
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def extremes(field: FieldLayout) -> list[Any]:
    """Return the ends of a field's range, what lies beside them, and the values with a meaning."""
    if field.code == "d":
        return [float_of(bits) for bits in _FLOAT_BITS]
    low, high = field.value_range()
    beside = [low, low + 1, high - 1, high, 0, 1]
    return beside + ([-1, ABSENT] if field.width == 8 and field.signed else [-1] if field.signed else [])


def from_bytes(layout: Layout, body: bytes) -> list[Any]:
    """Return the values that lie in *body*, each read from its own place."""
    values: list[Any] = []
    for field in layout.fields:
        octets = body[field.offset : field.offset + field.width]
        unsigned = int.from_bytes(octets, "little")
        values.append(
            float_of(unsigned) if field.code == "d" else int.from_bytes(octets, "little", signed=field.signed)
        )
    return values


def record_values(layout: Layout) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return a strategy for the values of one record, in the order of its fields.

    Random bytes, some fields then overwritten by their extremes: much faster to draw than a strategy per field. Enum
    fields take any value of their width, as a newer sender's may be.
    """
    places = [(i, value) for i, field in enumerate(layout.fields) for value in extremes(field)]

    def build(body: bytes, overwrites: list[tuple[int, Any]]) -> tuple[Any, ...]:
        values = from_bytes(layout, body)
        for i, value in overwrites:
            values[i] = value
        return tuple(values)

    whole = st.binary(min_size=layout.size, max_size=layout.size)
    return st.builds(build, whole, st.lists(st.sampled_from(places), max_size=4))


def misfits(field: FieldLayout) -> list[Any]:
    """Return values that do not fit the field."""
    if field.code == "d":
        return [None, "1.0", b"", 1j, 10**400]
    low, high = field.value_range()
    return [low - 1, high + 1, -(2**64), 2**64, None, "1", 1.0]


def bits(layout: Layout, values: Sequence[Any]) -> tuple[int, ...]:
    """Return each value as the unsigned integer of its bits, so that NaNs and both zeros compare."""
    return tuple(
        int.from_bytes(struct.pack("<d", value), "little") if field.code == "d" else int(value) % 2 ** (8 * field.width)
        for field, value in zip(layout.fields, values, strict=True)
    )


def bytes_by_hand(layout: Layout, values: Sequence[Any]) -> bytes:
    """Return the bytes of a record from its fields' places alone: neither `struct` strings nor numpy lay them out."""
    body = bytearray(layout.size)
    for field, value in zip(layout.fields, bits(layout, values), strict=True):
        body[field.offset : field.offset + field.width] = value.to_bytes(field.width, "little")
    return bytes(body)
