"""Find what would break plugins of earlier releases: in plugin.proto and health.proto, in records, in enumerations.

    python tools/breaking.py             check against every release in tests/fixtures/frozen
    python tools/breaking.py --release   keep what this version says, as a release does; never over an earlier one

A message keeps its fields' numbers, names, JSON names and types, which of them are packed or optional, and which
exclude each other (so that neither bytes nor JSON of an earlier release are read wrongly), a service its calls. A
record keeps its id, name, topic and fields, each in its place; packed fields are appended, under a new version, and a
control record's new field has a default. An enum's values keep their numbers.
What must go is first taken out of use, then reserved by number and name.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from google.protobuf import descriptor_pb2

import penstock_sdk.events
from penstock_sdk.schema import Layout, layouts

__all__ = ["FROZEN", "breaks", "main", "stated"]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it runs as a script, too

from tools.protocol import compiled  # noqa: E402

FROZEN = ROOT / "tests" / "fixtures" / "frozen"
KEPT = "contract.json"

Tree = dict[str, Any]


def stated(descriptors: bytes = b"") -> Tree:
    """Return all that plugins rely on, as JSON has it.

    Args:
        descriptors: a descriptor set; empty: the .proto files', compiled now.
    """
    own = [layout for layout in layouts() if layout.cls.__module__.startswith("penstock_sdk.events.")]
    enums = [getattr(penstock_sdk.events, name) for name in penstock_sdk.events.enums.__all__]
    return {
        "messages": _messages(descriptors or compiled()),
        "records": {str(layout.id): _record(layout) for layout in own},
        "enums": {enum.__name__: {member.name: member.value for member in enum} for enum in enums},
    }


def _messages(descriptors: bytes) -> Tree:
    tree: Tree = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        for message in file.message_type:
            _add_message(tree, f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            _add_enum(tree, f"{file.package}.{enum.name}", enum)
        for service in file.service:
            tree[f"service {file.package}.{service.name}"] = {
                call.name: f"{_arrow(call.client_streaming, call.input_type)} returns "
                f"{_arrow(call.server_streaming, call.output_type)}"
                for call in service.method
            }
    return tree


def _arrow(streams: bool, kind: str) -> str:
    return f"stream {kind}" if streams else kind


def _add_message(tree: Tree, name: str, message: Any) -> None:
    labels = {1: "", 2: "required ", 3: "repeated "}
    fields = {}
    for field in message.field:
        kind = field.type_name or descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
        # A proto3 optional stands in a oneof that the compiler makes up for it alone: that says no more than optional.
        excludes = field.HasField("oneof_index") and not field.proto3_optional
        fields[str(field.number)] = {
            "name": field.name,
            "type": labels[field.label] + kind,
            "json": field.json_name,
            "oneof": message.oneof_decl[field.oneof_index].name if excludes else "",
            "packed": field.options.packed if field.options.HasField("packed") else None,
            "optional": field.proto3_optional,
        }
    reserved = [number for each in message.reserved_range for number in range(each.start, each.end)]
    tree[f"message {name}"] = {"fields": fields, "reserved": [*map(str, reserved), *message.reserved_name]}
    for inner in message.nested_type:
        _add_message(tree, f"{name}.{inner.name}", inner)
    for enum in message.enum_type:
        _add_enum(tree, f"{name}.{enum.name}", enum)


def _add_enum(tree: Tree, name: str, enum: Any) -> None:
    tree[f"enum {name}"] = {value.name: value.number for value in enum.value}


def _record(layout: Layout) -> Tree:
    head = {"name": layout.name, "version": layout.version, "topic": layout.topic, "packed": layout.packed}
    if layout.packed:
        fields = [
            {"name": f.name, "code": f.code, "offset": f.offset, "enum": f.enum.__name__ if f.enum else ""}
            for f in layout.fields
        ]
        return {**head, "size": layout.size, "fields": fields}
    hints = get_type_hints(layout.cls)
    return {
        **head,
        "fields": [
            {"name": f.name, "type": _hint(hints[f.name]), "required": f.required}
            for f in msgspec.structs.fields(layout.cls)
        ],
    }


def _hint(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__origin__") else str(hint)


def breaks(before: Tree, now: Tree) -> list[str]:
    """Return what of *before* plugins can no longer rely on, a sentence each; empty: nothing."""
    return [*_broken_messages(before["messages"], now["messages"]), *_broken_records(before["records"], now["records"]),
            *_broken_enums("enum", before["enums"], now["enums"])]  # fmt: skip


def _broken_messages(before: Tree, now: Tree) -> Iterator[str]:
    enums = {name: values for name, values in before.items() if name.startswith("enum ")}
    yield from _broken_enums("", enums, now)
    for name, was in before.items():
        if name in enums:
            continue
        if name not in now:
            yield f"{name} is gone; keep it"
        elif name.startswith("service "):
            for call, kinds in was.items():
                if now[name].get(call) != kinds:
                    yield f"{name}: {call} was ({kinds}), is ({now[name].get(call, 'gone')}); add a call instead"
        else:
            yield from _broken_fields(name, was, now[name])


def _broken_fields(name: str, was: Tree, now: Tree) -> Iterator[str]:
    for number, field in was["fields"].items():
        met = now["fields"].get(number)
        if met is None:
            if number not in now["reserved"] or field["name"] not in now["reserved"]:
                yield f"{name}: field {number} {field['name']} is gone; reserve its number and its name"
        elif met != field:
            texts = (_field(field, met), _field(met, field))
            yield f"{name}: field {number} was {texts[0]}, is {texts[1]}; add a field with a number of its own instead"
    for word in was["reserved"]:
        if word not in now["reserved"]:
            yield f"{name}: {word} was reserved and is not; what was given up is never used again"


def _field(field: Tree, other: Tree) -> str:
    """Return a field in words: its type and name, and what else of it *other* has otherwise."""
    more = [f"{key} {json.dumps(field.get(key))}" for key in field if key not in ("name", "type")
            and field[key] != other.get(key)]  # fmt: skip
    return f"{field['type']} {field['name']}" + (f" ({', '.join(more)})" if more else "")


def _broken_records(before: Tree, now: Tree) -> Iterator[str]:
    for number, was in before.items():
        met, what = now.get(number), f"record {was['name']} ({number})"
        if met is None:
            yield f"{what} is gone; keep it, and say nothing of it any more"
            continue
        for key in ("name", "topic", "packed"):
            if met[key] != was[key]:
                yield f"{what}: {key} was {was[key]}, is {met[key]}; take an id that is free"
        if met["packed"] == was["packed"]:
            yield from (_broken_packed if was["packed"] else _broken_control)(what, was, met)


def _broken_packed(what: str, was: Tree, now: Tree) -> Iterator[str]:
    for at, field in enumerate(was["fields"]):
        met = now["fields"][at] if at < len(now["fields"]) else "gone"
        if met != field:
            yield f"{what}: field {at} was {field}, is {met}; fields are only appended"
    grown = len(now["fields"]) > len(was["fields"])
    if now["version"] < was["version"] or (grown and now["version"] == was["version"]):
        wanted = f"{was['version'] + 1} or more" if grown else f"{was['version']} or more"
        yield f"{what}: version was {was['version']}, is {now['version']}, wanted {wanted}"


def _broken_control(what: str, was: Tree, now: Tree) -> Iterator[str]:
    fields = {field["name"]: field for field in now["fields"]}
    known = {field["name"] for field in was["fields"]}
    for field in was["fields"]:
        met = fields.get(field["name"])
        if met is None:
            yield f"{what}: field {field['name']} is gone; keep it, with a default"
        elif met["type"] != field["type"]:
            yield f"{what}: field {field['name']} was {field['type']}, is {met['type']}; add a field instead"
        elif met["required"] and not field["required"]:
            yield f"{what}: field {field['name']} had a default and has none; earlier senders leave it out"
    for name, field in fields.items():
        if name not in known and field["required"]:
            yield f"{what}: new field {name} has no default; earlier senders do not know it"


def _broken_enums(kind: str, before: Tree, now: Tree) -> Iterator[str]:
    for name, values in before.items():
        what = f"{kind} {name}".strip()
        if name not in now:
            yield f"{what} is gone; keep it"
            continue
        for value, number in values.items():
            if now[name].get(value) != number:
                yield f"{what}: {value} was {number}, is {now[name].get(value, 'gone')}; values are only added"
        numbers = list(now[name].values())
        if len(set(numbers)) < len(numbers):
            yield f"{what}: two values have one number; values are only added"


def releases() -> dict[str, Tree]:
    """Return what each release said, by its version."""
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(FROZEN.glob(f"*/{KEPT}"))}


def _release() -> int:
    version = tomllib.loads((ROOT / "sdk" / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    path = FROZEN / version / KEPT
    if path.exists():
        print(f"{path} is there: a release is kept once; give this one a version of its own", file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stated(), indent=1) + "\n", encoding="utf-8")
    return 0


def main() -> int:
    """Check, or keep what a release says; return the exit status."""
    found = [f"since {version}: {each}" for version, kept in releases().items() for each in breaks(kept, stated())]
    for line in found:
        print(line, file=sys.stderr)
    if found:
        return 1
    return _release() if "--release" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
