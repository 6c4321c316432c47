"""What a plugin class says of itself to a host, and what is wrong with a configuration of it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from penstock_sdk.core.faults import error_text
from penstock_sdk.core.wiring import handlers_of
from penstock_sdk.energy.rules import Reference
from penstock_sdk.plugin import Feed, Plugin, Venue
from penstock_sdk.schema import layout_of, schema_by_id
from penstock_sdk.typed import Finding, check_typed, format_path
from penstock_sdk.wire.messages import DescribeReply, Hears, Message

__all__ = ["CONTRACT_MAJORS", "KNOWN", "THROUGHOUT", "capabilities_of", "config_of", "describe"]

CONTRACT_MAJORS = (1, 1)
"""Lowest and highest major of every kind's contract that a plugin made with this SDK speaks."""
THROUGHOUT = "throughout"
"""The capability of a plugin that takes events from Configure to Stop, not only between Start and Drain."""
KNOWN = 2**64 - 1
"""As `answers` of a host's batch to such a plugin: its frames are what holds by now, for its context; no events."""


def describe(cls: type[Plugin], plugin_id: str, plugin_version: str, incarnation: str) -> Message:
    """Return what *cls* is.

    Raises:
        WiringError: it has a handler that no record calls.
    """
    # Handlers are found on an instance; this one is never configured, nor called.
    handlers = handlers_of(cls.__new__(cls), cls.kind)
    heard = {schema_id for schema_id, _ in handlers} | {layout_of(record).id for record in cls.history_of}
    layouts = [schema_by_id(schema_id) for schema_id in sorted(heard)]
    return DescribeReply(
        id=plugin_id or cls.__name__,
        version=plugin_version or "0",
        kind=cls.kind,
        contract_min=CONTRACT_MAJORS[0],
        contract_max=CONTRACT_MAJORS[1],
        hears=[Hears(schema_id=layout.id, version=layout.version, name=layout.name) for layout in layouts],
        config_schema=_config_schema(cls),
        capabilities=capabilities_of(cls),
        made_with=f"penstock-sdk {_sdk_version()} (python {platform.python_version()})",
        incarnation=incarnation,
        embedded=bool(getattr(cls, "embedded", False)),
        deterministic=cls.deterministic,
    )


def capabilities_of(cls: type[Plugin]) -> list[str]:
    """Return the optional parts of the contract that a class offers."""
    found = ["snapshot", THROUGHOUT]  # of ctx.state at least, which every plugin has
    if hasattr(cls, "on_reconcile"):
        found.append("reconcile")
    if issubclass(cls, Venue) and cls.cancel_all_outside is not None:
        found.append("cancel_all")
    own_poll = getattr(cls, "poll", None)
    if own_poll is not None and own_poll not in (Feed.poll, Venue.poll):
        found.append("poll")
    return sorted(found)


def config_of(
    cls: type[Plugin], config_json: str, folder: Path, reference: Callable[[], Reference]
) -> tuple[Any, list[str]]:
    """Return the config of *cls* that a JSON object gives, and everything that is wrong with it.

    One fault each, as ``KEY: what was met and wanted; the way out``; the config is None where there are faults.
    *reference* is asked only for a class that looks at it: to read the built-in rules takes 20 ms.
    """
    try:
        tree = json.loads(config_json) if config_json else {}
    except ValueError as error:
        return None, [f"config is no JSON: {error}; wanted an object"]
    if not isinstance(tree, dict):
        return None, [f"config met {type(tree).__name__}, wanted an object"]
    if not msgspec.structs.fields(cls.Config):
        return (None, [f"{key}: met, wanted nothing: the plugin takes no config; remove it" for key in tree]) if tree \
            else (cls.Config(), [])  # fmt: skip
    findings = check_typed(tree, cls.Config)
    if findings:
        return None, [_words(finding) for finding in findings]
    try:
        config = msgspec.convert(tree, cls.Config)
        faults = [str(fault) for fault in cls.faults(config, folder, reference())] if _looks(cls) else []
    except Exception as error:
        return None, [f"config cannot be checked: {error_text(error)}"]
    return (None, faults) if faults else (config, [])


def _looks(cls: type[Plugin]) -> bool:
    return getattr(cls.faults, "__func__", None) is not vars(Plugin)["faults"].__func__


def _words(finding: Finding) -> str:
    text = f"{format_path(finding.path)}: {finding.message}" if finding.path else finding.message
    return f"{text}; {finding.way_out}" if finding.way_out else text


def _config_schema(cls: type[Plugin]) -> str:
    if not msgspec.structs.fields(cls.Config):
        return ""
    try:
        return json.dumps(msgspec.json.schema(cls.Config), sort_keys=True)
    except TypeError:  # a type of the plugin's own, which JSON Schema has no word for
        return ""


def _sdk_version() -> str:
    try:
        return version("penstock-sdk")
    except PackageNotFoundError:
        return "unknown"
