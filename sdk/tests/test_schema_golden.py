"""The bytes of every record are committed: what was written yesterday is read today.

`UPDATE_GOLDEN=1` rewrites sdk/tests/golden/records.json. A changed line there means that old journals read differently:
fields are only ever appended, under a new version.
"""

from __future__ import annotations

import json
import math
import os
from enum import IntEnum
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

import penstock_sdk.events
from penstock_sdk.schema import ABSENT, FieldLayout, Layout, layouts
from sdk.tests.record_values import bits

assert penstock_sdk.events  # registers the records

PATH = Path(__file__).parent / "golden" / "records.json"


def our_layouts() -> list[Layout]:
    return [layout for layout in layouts() if layout.cls.__module__.startswith("penstock_sdk.events.")]


def ordinary(field: FieldLayout, place: int) -> Any:
    """Return a value in which every byte differs, so that a swap shows; signed ones are negative."""
    if field.code == "d":
        return -(place + 1) * 1.1
    pattern = int.from_bytes(bytes((0x11 * (place % 14 + 1) + i) % 256 for i in range(field.width)), "little")
    low, high = field.value_range()
    return low + pattern % 2 ** (8 * field.width - 1) if field.signed else pattern & high


def vectors(layout: Layout) -> dict[str, Any]:
    """Return the records whose bytes are kept, by name."""
    if not layout.packed:
        return {"ordinary": control_vector(layout)}
    smallest = [-math.inf if f.code == "d" else f.value_range()[0] for f in layout.fields]
    largest = [math.inf if f.code == "d" else f.value_range()[1] for f in layout.fields]
    return {
        "ordinary": layout.cls(*(ordinary(field, i) for i, field in enumerate(layout.fields))),
        "smallest": layout.cls(*smallest),
        "largest": layout.cls(*largest),
        "defaults": layout.cls(7),
    }


def control_vector(layout: Layout) -> Any:
    values: dict[str, Any] = {}
    for place, (name, kind) in enumerate(get_type_hints(layout.cls).items()):
        if name not in layout.cls.__struct_fields__:
            continue
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            values[name] = kind(1)
        else:
            values[name] = {
                str: f"{name} é", int: ABSENT if name.endswith("start_ns") else 1000 * place - 1, bool: True,
                bytes: bytes(range(32)), dict[str, str]: {"k": "v"},
                list[tuple[int, int]]: [(1, 0), (1 << 41, 7)], Any: [1, -2.5, None, "x", {"y": True}],
                list[tuple[int, int, int]]: [(1 << 61, 3, -250)], list[str]: ["2026-12-25", "é"],
                list[int]: [7, 1 << 40], dict[str, int]: {"EUR": -1}, dict[str, Any]: {"k": [1, None]},
                list[dict[str, Any]]: [{"a": 1}, {"b": "x"}],
            }[kind]  # fmt: skip
    return layout.cls(**values)


def stated(layout: Layout, event: Any) -> dict[str, Any]:
    """Return the values as JSON holds them: floats as C hex, exactly."""
    if not layout.packed:
        return dict(msgspec.to_builtins(event))
    values = msgspec.structs.asdict(event)
    return {f.name: float(values[f.name]).hex() if f.code == "d" else values[f.name] for f in layout.fields}


def from_stated(layout: Layout, values: dict[str, Any]) -> Any:
    if not layout.packed:
        return msgspec.convert(values, layout.cls, builtin_types=())
    return layout.cls(*(float.fromhex(values[f.name]) if f.code == "d" else values[f.name] for f in layout.fields))


def computed() -> dict[str, Any]:
    return {
        layout.name: {
            "id": layout.id,
            "version": layout.version,
            "bytes": layout.size,
            "layout_hash": f"{layout.hash:08x}",
            "vectors": {
                name: {"values": stated(layout, event), "hex": layout.pack(event).hex()}
                for name, event in vectors(layout).items()
            },
        }
        for layout in our_layouts()
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    if os.environ.get("UPDATE_GOLDEN") == "1":
        PATH.write_text(json.dumps(computed(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return dict(json.loads(PATH.read_text(encoding="utf-8")))


def test_every_record_has_its_bytes_committed(golden: dict[str, Any]) -> None:
    assert list(golden) == [layout.name for layout in our_layouts()]


@pytest.mark.parametrize("layout", our_layouts(), ids=lambda layout: layout.name)
def test_committed_bytes_and_stated_values_are_one_record(layout: Layout, golden: dict[str, Any]) -> None:
    kept = golden[layout.name]
    assert (kept["id"], kept["version"], kept["bytes"]) == (layout.id, layout.version, layout.size)
    assert kept["layout_hash"] == f"{layout.hash:08x}"
    assert "ordinary" in kept["vectors"]
    for name, vector in kept["vectors"].items():
        event, body = from_stated(layout, vector["values"]), bytes.fromhex(vector["hex"])
        assert layout.pack(event) == body, name
        again = layout.unpack(body)
        if layout.packed:
            assert bits(layout, msgspec.structs.astuple(again)) == bits(layout, msgspec.structs.astuple(event)), name
        else:
            assert again == event, name


def test_one_record_spelled_out_by_hand(golden: dict[str, Any]) -> None:
    # A quote of listing 7 by defaults: tradable, both sides empty, no times.
    absent = "0000000000000080"
    wanted = "0700000001000000" + absent + "00" * 8 + absent + "00" * 8 + absent + absent
    assert golden["Quote"]["vectors"]["defaults"]["hex"] == wanted
