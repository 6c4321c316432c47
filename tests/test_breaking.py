"""Plugins of earlier releases can rely on what they knew, and the check that says so finds every way to break them."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools import breaking
from tools.breaking import FROZEN, breaks, releases
from tools.protocol import SET, WIRE, compiled

stated = functools.cache(breaking.stated)
Tree = dict[str, Any]
BATCH = "message penstock.plugin.v1.Batch"
SERVICE = "service penstock.plugin.v1.Plugin"
QUOTE, LISTING = "1", "103"


@pytest.mark.parametrize("version", sorted(releases()))
def test_nothing_that_a_release_said_is_broken(version: str) -> None:
    assert breaks(releases()[version], stated()) == []


def test_the_first_release_with_a_protocol_is_kept() -> None:
    assert (FROZEN / "0.4.0" / "contract.json").is_file()


def test_what_is_kept_comes_back_from_json_as_it_was() -> None:
    assert json.loads(json.dumps(stated())) == stated()


def test_the_descriptor_set_is_what_the_proto_files_say() -> None:
    now, kept = (FileDescriptorSet.FromString(each) for each in (compiled(), SET.read_bytes()))
    assert now == kept, "run python tools/protocol.py"


PROTO: dict[str, tuple[list[tuple[str, str]], str]] = {
    "renamed": ([("uint64 acked = 3", "uint64 done = 3")], "field 3 was TYPE_UINT64 acked"),
    "retyped": ([("int64 now_ns = 8", "uint64 now_ns = 8")], "field 8 was TYPE_INT64 now_ns, is TYPE_UINT64 now_ns"),
    "two of which one excludes the other": (
        [("bool hearing = 9;", "oneof when { bool hearing = 9;"), ("written_seq = 10;", "written_seq = 10; }")],
        'TYPE_BOOL hearing (oneof "when")',
    ),
    "of another name in JSON": ([("acked = 3;", 'acked = 3 [json_name = "done"];')], 'acked (json "done")'),
    "packed no more": ([("due_ns = 21;", "due_ns = 21 [packed = false];")], "due_ns (packed false)"),
    "made optional": ([("  bool check = 18;", "  optional bool check = 18;")], "check (optional true)"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), PROTO.values(), ids=PROTO.keys())
def test_a_proto_file_that_breaks_plugins_is_found(changes: list[tuple[str, str]], text: str, tmp_path: Path) -> None:
    wire = shutil.copytree(WIRE, tmp_path / "wire", ignore=lambda _, names: [n for n in names if ".proto" not in n])
    proto = (wire / "plugin.proto").read_text("utf-8")
    for was, new in changes:
        assert was in proto
        proto = proto.replace(was, new, 1)
    (wire / "plugin.proto").write_text(proto, encoding="utf-8")
    found = breaks(releases()["0.4.0"], stated(compiled(wire)))
    assert any(text in each for each in found), found


def field(record: str, name: str) -> Callable[[Tree], Tree]:
    def find(tree: Tree) -> Tree:
        return next(each for each in tree["records"][record]["fields"] if each["name"] == name)

    return find


def remove_reserved(tree: Tree) -> None:
    batch = tree["messages"][BATCH]
    del batch["fields"]["3"]
    batch["reserved"] += ["3", "acked"]


ALLOWED: dict[str, Callable[[Tree], Any]] = {
    "a new field": lambda t: t["messages"][BATCH]["fields"].update(
        {"90": t["messages"][BATCH]["fields"]["9"] | {"name": "more"}}
    ),
    "a new message": lambda t: t["messages"].update(
        {"message penstock.plugin.v1.More": {"fields": {}, "reserved": []}}
    ),
    "a new call": lambda t: t["messages"][SERVICE].update({"More": "(.a) returns .b"}),
    "a field given up and reserved": remove_reserved,
    "a new record": lambda t: t["records"].update({"999": t["records"][QUOTE] | {"name": "New"}}),
    "a new enum value": lambda t: t["enums"]["Side"].update(NEITHER=3),
    "an appended field": lambda t: (
        t["records"][QUOTE]["fields"].append({"name": "n", "code": "q", "offset": 56, "enum": ""}),
        t["records"][QUOTE].update(version=2),
    ),
    "a control field with a default": lambda t: t["records"][LISTING]["fields"].append(
        {"name": "n", "type": "int", "required": False}
    ),
}
BROKEN: dict[str, tuple[Callable[[Tree], Any], str]] = {
    "field gone": (lambda t: t["messages"][BATCH]["fields"].pop("3"), "field 3 acked is gone; reserve"),
    "field renamed": (lambda t: t["messages"][BATCH]["fields"]["3"].update(name="ack"), "is TYPE_UINT64 ack"),
    "field retyped": (lambda t: t["messages"][BATCH]["fields"]["3"].update(type="TYPE_INT64"), "is TYPE_INT64 acked"),
    "field renumbered": (
        lambda t: t["messages"][BATCH]["fields"].update({"91": t["messages"][BATCH]["fields"].pop("3")}),
        "field 3 acked is gone",
    ),
    "message gone": (lambda t: t["messages"].pop(BATCH), "Batch is gone"),
    "call gone": (lambda t: t["messages"][SERVICE].pop("Drain"), "Drain was"),
    "call unstreamed": (lambda t: t["messages"][SERVICE].update(Events=".a returns .b"), "Events was"),
    "service gone": (lambda t: t["messages"].pop(SERVICE), "Plugin is gone"),
    "proto enum changed": (
        lambda t: t["messages"]["enum grpc.health.v1.HealthCheckResponse.ServingStatus"].update(SERVING=7),
        "SERVING was 1, is 7",
    ),
    "record gone": (lambda t: t["records"].pop(QUOTE), "record Quote (1) is gone"),
    "id used again": (lambda t: t["records"][QUOTE].update(name="Price"), "name was Quote, is Price"),
    "topic changed": (lambda t: t["records"][QUOTE].update(topic="market.price"), "topic was"),
    "packed no more": (lambda t: t["records"][QUOTE].update(packed=False), "packed was True"),
    "field inserted": (
        lambda t: (t["records"][QUOTE]["fields"].insert(1, {"name": "n"}), t["records"][QUOTE].update(version=9)),
        "field 1 was",
    ),
    "last field gone": (lambda t: t["records"][QUOTE]["fields"].pop(), "is gone; fields are only appended"),
    "field widened": (lambda t: field(QUOTE, "flags")(t).update(code="I"), "fields are only appended"),
    "field of another enum": (lambda t: field(QUOTE, "tradability")(t).update(enum="Side"), "fields are only appended"),
    "appended without a version": (
        lambda t: t["records"][QUOTE]["fields"].append({"name": "n"}),
        "version was 1, is 1, wanted 2 or more",
    ),
    "version back": (lambda t: t["records"][QUOTE].update(version=0), "wanted 1 or more"),
    "control field gone": (lambda t: t["records"][LISTING]["fields"].pop(3), "is gone; keep it, with a default"),
    "control field retyped": (lambda t: field(LISTING, "name")(t).update(type="int"), "name was str, is int"),
    "default taken away": (lambda t: field(LISTING, "segments")(t).update(required=True), "had a default"),
    "new field without default": (
        lambda t: t["records"][LISTING]["fields"].append({"name": "n", "type": "int", "required": True}),
        "new field n has no default",
    ),
    "enum value changed": (lambda t: t["enums"]["Side"].update(BUY=2, SELL=1), "BUY was 1, is 2"),
    "enum value gone": (lambda t: t["enums"]["Side"].pop("SELL"), "SELL was 2, is gone"),
    "enum value used again": (lambda t: t["enums"]["Side"].update(LONG=1), "two values have one number"),
    "enum gone": (lambda t: t["enums"].pop("Side"), "enum Side is gone"),
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_only_adds_is_allowed(change: Callable[[Tree], Any]) -> None:
    now = copy.deepcopy(stated())
    change(now)
    assert now != stated() and breaks(stated(), now) == []


@pytest.mark.parametrize(("change", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_plugins_is_found_and_named(change: Callable[[Tree], Any], text: str) -> None:
    now = copy.deepcopy(stated())
    change(now)
    found = breaks(stated(), now)
    assert any(text in each for each in found), found


def test_what_was_reserved_stays_so() -> None:
    before = copy.deepcopy(stated())
    remove_reserved(before)
    assert any("3 was reserved and is not" in each for each in breaks(before, stated()))
