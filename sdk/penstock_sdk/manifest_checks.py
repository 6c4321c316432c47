"""Faults of a manifest that no single key can tell: what excludes, presupposes or contradicts each other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock_sdk.manifest import PLATFORMS, TRADER_KINDS, parse_contract, stays_inside
from penstock_sdk.typed import Finding, KeyPath, closest, shown_value

__all__ = ["cross_checks"]

_PORT = re.compile(r"(?:tcp|listen):([0-9]+)")
_PORT_MAX = 65_535


def cross_checks(entries: list[Any], folder: Path, faulty: set[KeyPath]) -> list[Finding]:
    """Return the faults of `[[plugin]]` tables as written; keys already *faulty* are left alone.

    *folder* is the manifest's: files that it names are looked for there.
    """
    findings: list[Finding] = []
    first_at: dict[str, int] = {}
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        where = ("plugin", at)
        sound = {key: value for key, value in entry.items() if not _touched(faulty, (*where, key))}
        plugin_id = entry.get("id")
        if isinstance(plugin_id, str) and first_at.setdefault(plugin_id, at) != at:
            text = f'"{plugin_id}" is also the id of plugin[{first_at[plugin_id]}]'
            findings.append(Finding((*where, "id"), text, "rename one of them"))
        if "contract" in sound and "kind" in sound:
            findings += _contract(sound["contract"], sound["kind"], (*where, "contract"))
        if "config_schema" in sound:
            findings += _schema(sound["config_schema"], folder, (*where, "config_schema"))
        findings += _code(entry, sound, where)
        findings += _of_its_kind(sound, where)
        findings += _ports(sound, where)
    return findings


def _touched(faulty: set[KeyPath], path: KeyPath) -> bool:
    return any(fault[: len(path)] == path for fault in faulty)


def _code(entry: Mapping[str, Any], sound: Mapping[str, Any], where: KeyPath) -> list[Finding]:
    """Return what is wrong with where a plugin's code is: a class, or else a command."""
    if "class" in entry and "command" in entry:
        text = "stands beside class, wanted one of them"
        return [Finding((*where, "command"), text, "leave class out for a program, command for a Python class")]
    if not entry.get("class", ...) or entry.keys().isdisjoint(("class", "command")):
        way_out = 'write class = "your_package.module:YourClass", or command = ["./program"] for another language'
        return [Finding((*where, "class"), "missing, and there is no command either", way_out)]
    command = sound.get("command")
    if command is None:
        return []
    path: KeyPath = (*where, "command")
    if not isinstance(command, dict):
        return _words(command, path)
    findings = [] if command else [Finding(path, "expected a command for a platform, met an empty table")]
    for name, words in command.items():
        if name not in PLATFORMS:
            near = closest(name, PLATFORMS)
            way_out = f"did you mean {near}?" if near else f"known: {', '.join(PLATFORMS)}"
            findings.append(Finding((*path, name), "unknown platform", way_out))
        findings += _words(words, (*path, name))
    return findings


def _words(words: list[str], path: KeyPath) -> list[Finding]:
    """Return what is wrong with the first word of a command; it is not looked for: packages hold other platforms'."""
    if not words:
        return [Finding(path, "expected words to run, met none", 'write command = ["./program"]')]
    if "/" in words[0] and ".." in words[0].split("/"):
        text = f"expected a path beside the manifest, met {shown_value(words[0])}"
        return [Finding((*path, 0), text, "package the program with the plugin")]
    return []


def _of_its_kind(sound: Mapping[str, Any], where: KeyPath) -> list[Finding]:
    """Return the keys that belong to plugins of another kind."""
    kind = sound.get("kind")
    if not isinstance(kind, str):
        return []
    findings = []
    for key in ("venue", "embedded"):
        if sound.get(key) and kind != "venue":
            text = f"is for plugins of kind venue, met kind {shown_value(kind)}"
            findings.append(Finding((*where, key), text, "remove it"))
    if kind in TRADER_KINDS:
        return findings
    traders = " and ".join(TRADER_KINDS)
    if "needs" in sound:
        text = f"is for plugins of kind {traders}, met kind {shown_value(kind)}"
        findings.append(Finding((*where, "needs"), text, "remove it"))
    for number, capability in enumerate(sound.get("capabilities", ())):
        if capability == "orders.write":
            text = f'"orders.write" is for plugins of kind {traders}, met kind {shown_value(kind)}'
            findings.append(Finding((*where, "capabilities", number), text, "remove it: others send no orders"))
    return findings


def _ports(sound: Mapping[str, Any], where: KeyPath) -> list[Finding]:
    findings = []
    for number, permission in enumerate(sound.get("permissions", ())):
        match = _PORT.fullmatch(permission)
        if match is not None and not 1 <= int(match[1]) <= _PORT_MAX:
            text = f"expected a port from 1 to {_PORT_MAX}, met {shown_value(permission)}"
            findings.append(Finding((*where, "permissions", number), text))
    throttle = sound.get("venue", {}).get("throttle_per_s") if isinstance(sound.get("venue"), dict) else None
    if throttle is not None and not throttle > 0:
        text = f"expected a number above 0, met {throttle}"
        findings.append(Finding((*where, "venue", "throttle_per_s"), text, "leave it out for none"))
    return findings


def _contract(contract: str, kind: str, path: KeyPath) -> list[Finding]:
    parsed = parse_contract(contract)
    if parsed is None or not 1 <= parsed.major_min <= parsed.major_max:
        return [Finding(path, f'expected kind/min..max, met "{contract}"', f'write "{kind}/1..1"')]
    if parsed.kind != kind:
        text = f'is of kind {parsed.kind}, but the plugin is of kind {kind}, met "{contract}"'
        return [Finding(path, text, f'write "{kind}/{parsed.major_min}..{parsed.major_max}"')]
    return []


def _schema(schema: str, folder: Path, path: KeyPath) -> list[Finding]:
    if not stays_inside(schema):
        text = f'expected a path beside the manifest, met "{schema}"'
        return [Finding(path, text, "package the schema with the plugin")]
    try:
        tree = json.loads((folder / schema).read_text("utf-8"))
    except (OSError, ValueError) as error:
        cause = (error.strerror or str(error)).lower() if isinstance(error, OSError) else f"not JSON: {error}"
        return [Finding(path, f"{folder / schema}: {cause}", "generate it with config_schema_text")]
    return [] if isinstance(tree, dict) else [Finding(path, f"{folder / schema}: expected a JSON object")]
