"""Config: what is wrong is said, all of it and by name, and nothing is made of it."""

from __future__ import annotations

import json
from typing import Any

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.kit import Kit

__all__: list[str] = []

_WRONG: dict[str, Any] = {
    "integer": "no number", "number": "no number", "string": 12_345, "boolean": "no yes or no", "array": 12_345,
    "object": 12_345,
}  # fmt: skip


def _properties(schema_text: str) -> dict[str, Any]:
    """Return the keys of a config by its JSON Schema, as msgspec and others write it."""
    if not schema_text:
        return {}
    try:
        schema = json.loads(schema_text)
    except ValueError:
        return {}  # config.schema tells
    if "$ref" in schema:
        node: Any = schema
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part] if part in node else schema[part]
        schema = {**schema, **node}
    properties = schema.get("properties", {})
    return properties if isinstance(properties, dict) else {}


@case(
    "config.sound",
    "The config that it is tested with is taken: its own defaults, or what --config holds.",
    wanted="no fault",
    way_out="give every key a default that makes a plugin that runs, or test with --config FILE",
)
def _sound(kit: Kit) -> None:
    faults = kit.described().configure(json.dumps(kit.config), validate_only=True)
    if faults:
        fail("; ".join(faults))


@case(
    "config.schema",
    "The schema of its config is JSON Schema of an object, or empty.",
    wanted="a JSON object with `properties`, or no text at all",
    way_out="put the config's JSON Schema into `config_schema` of DescribeReply",
)
def _schema(kit: Kit) -> None:
    text = kit.connected().describe().config_schema
    if not text:
        return
    try:
        schema = json.loads(text)
    except ValueError as error:
        fail(f"config_schema is no JSON: {error}")
    if not isinstance(schema, dict):
        fail(f"config_schema is {type(schema).__name__}")
    try:
        _properties(text)
    except (KeyError, TypeError, AttributeError):
        fail("config_schema refers to what is not in it")


@case(
    "config.unknown_key",
    "A key that it does not know is a fault that names the key.",
    wanted="a fault with no_such_key in it, as an answer and not as an error of the call",
    way_out="refuse keys that you do not know, and name each in `faults` of ConfigureReply",
)
def _unknown_key(kit: Kit) -> None:
    faults = kit.described().configure(json.dumps({**kit.config, "no_such_key": 1}), validate_only=True)
    if not any("no_such_key" in fault for fault in faults):
        fail(f"faults {faults}")


@case(
    "config.wrong_type",
    "A value of the wrong type is a fault that names the key.",
    wanted="a fault with the key in it, for every key of its schema",
    way_out="check the config against its schema, and name the key in each fault",
)
def _wrong_type(kit: Kit) -> None:
    rig = kit.described()
    assert rig.described is not None
    keys = {key: each.get("type") for key, each in _properties(rig.described.config_schema).items()}
    tried = {key: _WRONG[kind] for key, kind in keys.items() if isinstance(kind, str) and kind in _WRONG}
    if not tried:
        skip("its schema has no key of a plain type")
    for key, value in tried.items():
        faults = rig.configure(json.dumps({**kit.config, key: value}), validate_only=True)
        if not any(key in fault for fault in faults):
            fail(f"faults {faults} for {key} = {value!r}")


@case(
    "config.every_fault",
    "All that is wrong is said at once.",
    wanted="two faults for two keys that it does not know",
    way_out="go on after the first fault, and return the whole list",
)
def _every_fault(kit: Kit) -> None:
    faults = kit.described().configure(
        json.dumps({**kit.config, "no_such_key": 1, "nor_this_one": 2}), validate_only=True
    )
    told = " ".join(faults)
    if "no_such_key" not in told or "nor_this_one" not in told:
        fail(f"faults {faults}")


@case(
    "config.not_json",
    "A config that is no JSON, or no object, is refused without harm.",
    wanted="a fault or an error of the call, and a sound config taken afterwards",
    way_out="catch what your JSON reader raises",
)
def _not_json(kit: Kit) -> None:
    rig = kit.described()
    for text in ("{", "[1, 2]", "\udcff".encode("utf-8", "replace").decode()):
        found: list[str] = []

        def configure(text: str = text, found: list[str] = found) -> None:
            found.extend(rig.configure(text))

        if not kit.call_refused(configure) and not found:
            fail(f"{text!r} was taken")
    if faults := rig.configure(json.dumps(kit.config)):
        fail(f"afterwards a sound config is refused: {faults}")


@case(
    "config.validate_only",
    "A config that is only to be checked makes nothing.",
    wanted="Start refused after Configure(validate_only), and Configure taken after it",
    way_out="return the faults before you make anything",
)
def _validate_only(kit: Kit) -> None:
    rig = kit.described()
    if faults := rig.configure(json.dumps(kit.config), validate_only=True):
        fail(f"a sound config is refused: {faults}")
    if not kit.call_refused(rig.start):
        fail("Start was taken although nothing was configured")
    if faults := rig.configure(json.dumps(kit.config)):
        fail(f"then a sound config is refused: {faults}")
    rig.start()


@case(
    "config.faulty",
    "A config with a fault makes nothing either; a sound one after it does.",
    wanted="Start refused after a refused Configure, and a start after a sound one",
    way_out="make the plugin only of a config without faults",
)
def _faulty(kit: Kit) -> None:
    rig = kit.described()
    if not rig.configure(json.dumps({**kit.config, "no_such_key": 1})):
        skip("it takes any key, which config.unknown_key tells")
    if not kit.call_refused(rig.start):
        fail("Start was taken although the config was refused")
    if faults := rig.configure(json.dumps(kit.config)):
        fail(f"then a sound config is refused: {faults}")
    rig.start()


@case(
    "config.long_names",
    "Names of 200 letters, in any script, and ids up to 32 bits are taken as they come.",
    wanted="a start, and an answer to a step",
    way_out="hold ids in 32 bits without a sign, and names as UTF-8 of any length",
)
def _long_names(kit: Kit) -> None:
    top = 2**32 - 1
    name = ("Ünïcödé-日本-" * 20)[:200]
    # Names count from 1 by kind and some fields have 16 bits, so theirs are below 65,536.
    ids = {key: top - at for at, key in enumerate(("book_id", "algo_id", "trader_id", "account_id"))}
    rig = kit.started(instance={"name": name, "plugin_id": 65_534, **ids}, first_id=50_000, mark=" " + name)
    kit.afternoon(rig, moments=2)
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")
