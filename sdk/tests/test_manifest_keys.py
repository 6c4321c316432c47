"""Proves that the keys of a manifest that belong together are held against each other, each fault with its way out."""

from __future__ import annotations

import msgspec
import pytest

from penstock_sdk.events import OrderKind
from penstock_sdk.manifest import (
    ORDER_KINDS,
    PLATFORMS,
    ManifestError,
    ManifestSource,
    PluginManifest,
    Resources,
    VenueOffer,
    parse_manifest,
    this_platform,
)

HEAD = 'id = "{id}"\nversion = "1.0"\nkind = "{kind}"\ncontract = "{kind}/1..1"\n'
CLASS = 'class = "market:Market"\n'


def entry(kind: str, more: str, code: str = CLASS) -> str:
    return "[[plugin]]\n" + HEAD.format(id=f"a_{kind}", kind=kind) + code + more


def parsed(kind: str, more: str = "", code: str = CLASS) -> PluginManifest:
    return parse_manifest(entry(kind, more, code), ManifestSource("plugin.toml", "/srv/plugins/a"))[0]


def faults(kind: str, more: str, code: str = CLASS) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parsed(kind, more, code)
    return str(caught.value).splitlines()


def test_a_venue_says_what_it_offers():
    offer = """venue = { order_kinds = ["limit", "fok"], conditions = ["iceberg"], amend = "native", \
throttle_per_s = 2.5, cancel_on_disconnect = "emulated", real_money = true }
embedded = true
exclusive = true
"""
    found = parsed("venue", offer)
    assert found.venue == VenueOffer(("limit", "fok"), True, ("iceberg",), "native", 2.5, "emulated")
    assert (found.embedded, found.exclusive) == (True, True)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=PluginManifest) == found


def test_the_kinds_of_orders_are_those_of_the_records():
    assert tuple(kind.name.lower() for kind in OrderKind if kind) == ORDER_KINDS


def test_what_is_left_out_of_a_process_is_no_limit_and_no_right():
    found = parsed("model")
    assert (found.resources, found.permissions, found.venue, found.needs) == (Resources(0, 0, 0, 0), (), None, None)


BAD = {
    "offer without kinds": ("venue", "venue = { real_money = false }", "venue.order_kinds: missing"),
    "offer that is silent on money": ("venue", 'venue = { order_kinds = ["limit"] }', "venue.real_money: missing"),
    "no kind at all": ("venue", "venue = { order_kinds = [], real_money = false }", "expected array of length >= 1"),
    "unknown kind of order": (
        "venue", 'venue = { order_kinds = ["limt"], real_money = false }', 'met "limt"; did you mean limit?',
    ),
    "unknown condition": (
        "strategy", 'needs = { conditions = ["ice"] }', 'needs.conditions[0]: expected one of "post_only", "iceberg"',
    ),
    "amend": ("strategy", 'needs = { amend = "yes" }', 'needs.amend: expected one of "none", "cancel_replace"'),
    "throttle of nothing": (
        "venue", 'venue = { order_kinds = ["limit"], real_money = false, throttle_per_s = 0 }',
        "venue.throttle_per_s: expected a number above 0, met 0; leave it out for none",
    ),
    "offer of a feed": (
        "feed", 'venue = { order_kinds = ["limit"], real_money = false }',
        'venue: is for plugins of kind venue, met kind "feed"; remove it',
    ),
    "embedded feed": ("feed", "embedded = true", 'embedded: is for plugins of kind venue, met kind "feed"'),
    "needs of a model": ("model", "needs = { }", 'needs: is for plugins of kind strategy and execution, met kind "mod'),
    "orders of a model": (
        "model", 'capabilities = ["orders.write"]',
        'capabilities[0]: "orders.write" is for plugins of kind strategy and execution, met kind "model"; remove it',
    ),
    "port": (
        "feed", 'permissions = ["tcp:70000"]', 'permissions[0]: expected a port from 1 to 65535, met "tcp:70000"',
    ),
    "port of nobody": ("feed", 'permissions = ["listen:0"]', "permissions[0]: expected a port from 1"),
    "permission": ("feed", 'permissions = ["write:run"]', 'permissions[0]: expected string like "read:/folder"'),
    "resources": ("feed", "resources = { memory_mb = -1 }", "resources.memory_mb: expected int >= 0, met -1"),
    "resources misspelt": ("feed", "resources = { memory = 1 }", "resources.memory: unknown key; did you mean mem"),
    "empty class": ("feed", "", "class: missing, and there is no command either"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_belong_together_is_told_at_its_key(case: str):
    kind, more, said = BAD[case]
    lines = faults(kind, more + "\n", 'class = ""\n' if case == "empty class" else CLASS)
    assert len(lines) == 1
    assert lines[0].startswith("plugin.toml: plugin[0].")
    assert said in lines[0]


@pytest.mark.parametrize(
    "permission",
    ["read:/etc/x", "read:deployment", "write:/var/x", "write:data", "tcp:1", "tcp:65535", "listen:80", "secret:A_b"],
)
def test_every_permission_that_is_told_of_is_taken(permission: str):
    assert parsed("feed", f'permissions = ["{permission}"]').permissions == (permission,)


def test_secrets_are_permissions_by_name():
    assert parsed("feed", 'permissions = ["secret:TOKEN", "tcp:443", "secret:KEY"]').secrets == ("TOKEN", "KEY")


# A class, or else a command.


def test_a_command_is_found_beside_the_manifest_or_on_the_path():
    assert parsed("venue", code='command = ["./bin/market", "-v"]\n').command_for() == (
        "/srv/plugins/a/bin/market", "-v",
    )  # fmt: skip
    assert parsed("venue", code='command = ["node", "plugin.js"]\n').command_for() == ("node", "plugin.js")
    assert parsed("venue", code='command = ["/usr/bin/node"]\n').command_for() == ("/usr/bin/node",)
    assert parsed("venue").command_for() == ()


def test_a_command_by_platform_is_that_of_this_machine():
    found = parsed("venue", code='command = { linux-x86_64 = ["./x"], linux-aarch64 = ["./arm", "-q"] }\n')
    assert found.command_for("linux-x86_64") == ("/srv/plugins/a/x",)
    assert found.command_for("linux-aarch64") == ("/srv/plugins/a/arm", "-q")
    with pytest.raises(ManifestError) as caught:
        found.command_for("darwin-x86_64")
    assert str(caught.value) == (
        "plugin.toml: plugin[0].command: a_venue has no command for darwin-x86_64, met linux-x86_64, linux-aarch64; "
        "get a package of it that is built for this machine"
    )
    assert this_platform() in PLATFORMS
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=PluginManifest) == found


COMMANDS = {
    "both": (CLASS + 'command = ["x"]\n', "command: stands beside class, wanted one of them; leave class out for a"),
    "neither": ("", "class: missing, and there is no command either; write class = "),
    "no words": ("command = []\n", "command: expected words to run, met none"),
    "no words there": ("command = { linux-x86_64 = [] }\n", "command.linux-x86_64: expected words to run, met none"),
    "no platform": ("command = { }\n", "command: expected a command for a platform, met an empty table"),
    "platform": ('command = { linux-x86 = ["x"] }\n', "command.linux-x86: unknown platform; did you mean linux-x86_64"),
    "climbs out": ('command = ["../x"]\n', 'command[0]: expected a path beside the manifest, met "../x"; package the'),
    "text": ('command = "./x"\n', 'command: expected table or array, met "./x"'),
    "empty word": ('command = [""]\n', "command[0]: "),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_plugin_is_a_class_or_a_command_that_can_be_run(case: str):
    code, said = COMMANDS[case]
    lines = faults("venue", "", code)
    assert len(lines) == 1
    assert lines[0].startswith("plugin.toml: plugin[0].")
    assert said in lines[0]
