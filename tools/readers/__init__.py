"""Write the readers and writers of every record in Go, JavaScript and C, from the declarations alone.

    python -m tools.readers [--check]

With ``--check`` nothing is written; the exit status is 1 when a file is not what the records say. The golden bytes
(sdk/tests/golden/records.json) are the tests of all of them.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

import penstock_sdk.events
from penstock_sdk.schema import FieldLayout, Layout, layouts

from . import c, go, node
from .common import ControlField, Schemas

__all__ = ["files", "main", "schemas"]

ROOT = Path(__file__).resolve().parent.parent.parent
LANGUAGES = ROOT / "sdk" / "penstock_sdk" / "languages"


def schemas() -> Schemas:
    """Return the records of `penstock_sdk.events` and the enumerations, in the form that the writers take."""
    own = [layout for layout in layouts() if layout.cls.__module__.startswith("penstock_sdk.events.")]
    enums = [getattr(penstock_sdk.events, name) for name in penstock_sdk.events.enums.__all__]
    return Schemas(
        packed=[layout for layout in own if layout.packed],
        control=[(layout, _control_fields(layout)) for layout in own if not layout.packed],
        enums=enums,
        defaults={layout.name: _packed_defaults(layout) for layout in own if layout.packed},
        first_lines={layout.name: (inspect.getdoc(layout.cls) or "").splitlines()[0] for layout in own},
    )


def _packed_defaults(layout: Layout) -> dict[str, int | float]:
    found = {f.name: f.default for f in msgspec.structs.fields(layout.cls) if f.default is not msgspec.NODEFAULT}
    return {field.name: _plain(found.get(field.name, 0), field) for field in layout.fields}


def _plain(value: Any, field: FieldLayout) -> int | float:
    return float(value) if field.code == "d" else int(value)


def _control_fields(layout: Layout) -> list[ControlField]:
    hints = get_type_hints(layout.cls)
    return [
        ControlField(field.name, hints[field.name], None if field.default is msgspec.NODEFAULT else field.default,
                     field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT)
        for field in msgspec.structs.fields(layout.cls)
    ]  # fmt: skip


def files() -> dict[Path, str]:
    """Return the text of every generated file, by its path."""
    known = schemas()
    return {
        LANGUAGES / "go" / "penstock" / "records.go": go.text(known),
        LANGUAGES / "node" / "records.js": node.script(known),
        LANGUAGES / "node" / "records.d.ts": node.types(known),
        LANGUAGES / "c" / "penstock_records.h": c.text(known),
        LANGUAGES / "node" / "plugin.proto": (ROOT / "sdk/penstock_sdk/wire/plugin.proto").read_text(encoding="utf-8"),
        LANGUAGES / "node" / "health.proto": (ROOT / "sdk/penstock_sdk/wire/health.proto").read_text(encoding="utf-8"),
    }


def main() -> int:
    """Write the files, or check them; return the exit status."""
    stale = []
    for path, text in files().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path}: is not what the records say; run python -m tools.readers", file=sys.stderr)
        return 1 if stale else 0
    return 0
