"""Records that plugins declare for themselves, told to processes that do not import the plugins.

A run writes ``schemas.json`` when its plugins are built; the lake reads it, and so has tables for them like for ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from penstock_kernel.runs import write_atomically
from penstock_sdk.schema import USER_IDS, Record, SchemaError, Wire, layouts, record, schema_by_id

__all__ = ["learn_own_records", "save_own_records"]

_FILE = "schemas.json"


class _Schema(msgspec.Struct, frozen=True):
    id: int
    name: str
    topic: str
    version: int
    plural: str
    diagnostic: bool
    fields: list[tuple[str, str]]
    """(name, `struct` code) in order."""


def save_own_records(run_dir: Path) -> None:
    """Write down the packed records that plugins of this process have declared; nothing when there are none."""
    own = [
        _Schema(
            layout.id, layout.name, layout.topic, layout.version, layout.plural, layout.diagnostic,
            [(field.name, field.code) for field in layout.fields],
        )
        for layout in layouts()
        if layout.id in USER_IDS and layout.packed
    ]  # fmt: skip
    if own:
        write_atomically(run_dir / _FILE, msgspec.json.format(msgspec.json.encode(own), indent=1) + b"\n")


def learn_own_records(run_dir: Path) -> bool:
    """Register the records that a run's plugins declared, where this process does not know them; False: none (yet)."""
    path = run_dir / _FILE
    if not path.exists():
        return False
    for schema in msgspec.json.decode(path.read_bytes(), type=list[_Schema]):
        try:
            schema_by_id(schema.id)
        except SchemaError:
            fields: list[Any] = [
                (name, Annotated[float, Wire(code)] if code == "d" else Annotated[int, Wire(code)])
                for name, code in schema.fields
            ]
            cls = msgspec.defstruct(schema.name, fields, bases=(Record,), frozen=True, gc=False, module=__name__)
            declare = record(
                id=schema.id, topic=schema.topic, version=schema.version, plural=schema.plural,
                diagnostic=schema.diagnostic,
            )  # fmt: skip
            declare(cls)
    return True
