"""Checks configs of plugins out of process without importing their code: by a packaged JSON Schema, or by asking.

A plugin that packages no schema is started in its confinement, asked to check its config, and ended; nothing else of a
run happens.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock_kernel.deployment import Deployment, PluginSpec
from penstock_kernel.deployment_files import resolve_references
from penstock_kernel.hosts import HostError, Hosts
from penstock_sdk.process.peer import PeerError

__all__ = ["ask_configs", "schema_faults"]

_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip


class _NoKernel:
    """What a host needs of a kernel when there is no run."""

    live = True
    run_dir: Path | None = None
    run_seed = 0
    slots: dict[str, Any] = {}  # noqa: RUF012 - there never are any

    def write_log(self, *_line: Any) -> None:
        """Pass over what a plugin prints."""

    def later(self, _event: Any) -> None:
        """Pass over alerts: a check prints problems."""


def ask_configs(deployment: Deployment, specs: list[PluginSpec]) -> dict[str, list[str]]:
    """Start the processes of *specs* beside each other and ask each about its config; return faults by instance.

    Costs what it takes the slowest of them to start; every process has ended when it returns.
    """
    kernel: Any = _NoKernel()
    hosts = Hosts(kernel, deployment)
    found: dict[str, list[str]] = {}
    try:
        for spec in specs:
            try:
                hosts.host(spec).spawn()
            except HostError as error:
                found[spec.name] = [_bare(spec, str(error))]
        for spec in specs:
            if spec.name not in found:
                found[spec.name] = [_bare(spec, text) for text in _ask(hosts, spec)]
    finally:
        hosts.close()
    return found


def _ask(hosts: Hosts, spec: PluginSpec) -> list[str]:
    try:
        return hosts.host(spec).ask_config()
    except (HostError, PeerError) as error:
        return [str(error)]


def _bare(spec: PluginSpec, text: str) -> str:
    return text.removeprefix(f"plugin {spec.name}: ").removeprefix(f"plugin {spec.name} ")


def schema_faults(spec: PluginSpec, env: Mapping[str, str] = os.environ) -> list[tuple[tuple[str | int, ...], str]]:
    """Return (path, what is wrong) of an instance's config by the schema that its manifest packages.

    Types, ranges, choices, patterns, unknown and missing keys are seen; what else a schema may say is left to the
    plugin itself, at its start. Values that stand for references are not shown.
    """
    schema = spec.manifest.config_schema_json()
    if schema is None:
        return []
    shown = json.loads(json.dumps(spec.config, default=str))
    tree = json.loads(json.dumps(resolve_references(spec.config, env).tree, default=str))
    checker = _Checker(schema)
    checker.check(tree, shown, schema, ())
    return checker.faults


class _Checker:
    def __init__(self, schema: dict[str, Any]) -> None:
        self.root = schema
        self.faults: list[tuple[tuple[str | int, ...], str]] = []

    def check(self, value: Any, shown: Any, schema: Any, path: tuple[str | int, ...]) -> None:
        """Add the faults of *value*; what stands in messages is *shown*."""
        schema = self._resolved(schema)
        if not isinstance(schema, dict):
            return
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list):
            if not any(self._fits(value, choice) for choice in choices):
                self.faults.append((path, f"met {json.dumps(shown)}, which fits none of the kinds that it may be"))
            return
        wanted = self._misfit(value, schema)
        if wanted:
            self.faults.append((path, f"met {json.dumps(shown)}, wanted {wanted}"))
        elif isinstance(value, dict):
            self._check_object(value, shown, schema, path)
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for at, item in enumerate(value):
                self.check(item, shown[at] if isinstance(shown, list) else item, schema["items"], (*path, at))

    def _check_object(self, value: dict[str, Any], shown: Any, schema: dict[str, Any], path: Any) -> None:
        known = schema.get("properties", {})
        for key in schema.get("required", ()):
            if key not in value:
                self.faults.append(((*path, key), "is missing"))
        for key, item in value.items():
            inner = shown.get(key) if isinstance(shown, dict) else item
            if key in known:
                self.check(item, inner, known[key], (*path, key))
            elif schema.get("additionalProperties") is False or (known and "additionalProperties" not in schema):
                self.faults.append(((*path, key), f"unknown key; known: {', '.join(known)}"))
            elif isinstance(schema.get("additionalProperties"), dict):
                self.check(item, inner, schema["additionalProperties"], (*path, key))

    def _fits(self, value: Any, schema: Any) -> bool:
        checker = _Checker(self.root)
        checker.check(value, value, schema, ())
        return not checker.faults

    def _resolved(self, schema: Any) -> Any:
        for _ in range(16):
            reference = schema.get("$ref", "") if isinstance(schema, dict) else ""
            if not reference.startswith("#/"):
                break
            found: Any = self.root
            for part in reference[2:].split("/"):
                found = found.get(part, {}) if isinstance(found, dict) else {}
            schema = found
        return schema

    @staticmethod
    def _misfit(value: Any, schema: dict[str, Any]) -> str:
        """Return what was wanted where a plain value does not fit; empty where it does."""
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kinds and not any(
            isinstance(value, _TYPES.get(kind, object)) and (is_number or kind not in ("integer", "number"))
            for kind in kinds
        ):
            return " or ".join(kinds)
        if "enum" in schema and value not in schema["enum"]:
            return f"one of {', '.join(map(json.dumps, schema['enum']))}"
        if is_number:
            for key, fits, words in (
                ("minimum", value >= schema.get("minimum", value), ">="),
                ("maximum", value <= schema.get("maximum", value), "<="),
                ("exclusiveMinimum", value > schema.get("exclusiveMinimum", value - 1), ">"),
                ("exclusiveMaximum", value < schema.get("exclusiveMaximum", value + 1), "<"),
            ):
                if key in schema and not fits:
                    return f"a number {words} {schema[key]}"
        if isinstance(value, str):
            if len(value) < schema.get("minLength", 0):
                return f"a text of {schema['minLength']} characters or more"
            if "pattern" in schema and not re.search(schema["pattern"], value):
                return f"a text like {schema['pattern']}"
        return ""
