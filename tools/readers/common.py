"""What the writers of readers share: the records in one form, and names in the ways of other languages."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from penstock_sdk.schema import Layout

__all__ = ["HEADER_FIELDS", "ControlField", "Schemas", "camel", "screaming"]

HEADER_FIELDS = (
    ("body_bytes", "I", 0), ("schema_id", "H", 4), ("version", "B", 6), ("origin", "B", 7), ("seq", "q", 8),
    ("at_ns", "q", 16), ("cause_seq", "q", 24), ("correlation_seq", "q", 32), ("count", "I", 40), ("stride", "H", 44),
    ("producer", "H", 46),
)  # fmt: skip
"""Name, `struct` code and offset of a frame header's fields; a test holds them against `wire.frame`."""

_INITIALISMS = {"id": "ID", "lei": "LEI", "eic": "EIC"}


class ControlField(NamedTuple):
    """A field of a control record."""

    name: str
    hint: Any
    default: Any
    """None where it has none, or an empty list or map."""
    required: bool


class Schemas(NamedTuple):
    """All that readers are made from."""

    packed: list[Layout]
    control: list[tuple[Layout, list[ControlField]]]
    enums: list[type[IntEnum]]
    defaults: dict[str, dict[str, int | float]]
    """Of packed records: a value for every field, 0 where the record has no default."""
    first_lines: dict[str, str]
    """What each record is, by its name."""


def camel(snake: str) -> str:
    """Return a snake-case name as Go exports it: listing_id → ListingID."""
    return "".join(_INITIALISMS.get(part, part.capitalize()) for part in snake.split("_"))


def screaming(name: str) -> str:
    """Return a camel-case name in capitals: ClockKind → CLOCK_KIND."""
    return "".join(("_" + c if c.isupper() and at else c) for at, c in enumerate(name)).upper()
