"""A manifest held against the class that it names: kind, topics, config and all that is said twice must agree.

What a plugin hears out of process is what its manifest's `topics_in` says, so a topic that is missing there is an event
that it would hear in one way of running and not in the other.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from penstock_sdk.core.wiring import WiringError, handlers_of
from penstock_sdk.manifest import PluginManifest, config_schema_text
from penstock_sdk.schema import layouts
from penstock_sdk.typed import Finding

__all__ = ["class_findings", "heard_topics", "matches"]


def heard_topics(cls: type, kind: str) -> set[str]:
    """Return the topics of all that a plugin's class has handlers for.

    Raises:
        WiringError: a handler names no record, or takes not one argument.
    """
    topics = {layout.id: layout.topic for layout in layouts()}
    return {topics[schema_id] for schema_id, _ in handlers_of(object.__new__(cls), kind)}


def matches(topic: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the manifest's patterns has *topic*."""
    return any(fnmatch.fnmatchcase(topic, pattern) for pattern in patterns)


def class_findings(manifest: PluginManifest, cls: type) -> list[Finding]:
    """Return each key of the manifest that its class contradicts; paths are those of the `[[plugin]]` table."""
    findings: list[Finding] = []
    where = ("plugin", manifest.source.entry_at)
    # Only venues are, and say so; a class of an older SDK may lack either.
    for key, default in (("kind", manifest.kind), ("deterministic", True), ("embedded", False)):
        said, declared = getattr(cls, key, default), getattr(manifest, key)
        if said != declared:
            text = f"{_shown(declared)}, but {manifest.class_path} has {_shown(said)}"
            findings.append(Finding((*where, key), text, "make them equal"))
    try:
        heard = heard_topics(cls, manifest.kind)
    except WiringError as error:
        return [*findings, Finding((*where, "class"), str(error))]
    for topic in sorted(heard):
        if not matches(topic, manifest.topics_in):
            text = f"{manifest.class_path} hears {topic}, which no pattern has"
            findings.append(Finding((*where, "topics_in"), text, f'add "{topic}"'))
    for number, pattern in enumerate(manifest.topics_in):
        if not any(fnmatch.fnmatchcase(topic, pattern) for topic in heard):
            text = f'"{pattern}" is heard by no handler of {manifest.class_path}'
            findings.append(Finding((*where, "topics_in", number), text, "remove it"))
    return findings + _config(manifest, getattr(cls, "Config", None))


def _config(manifest: PluginManifest, config_type: Any) -> list[Finding]:
    if manifest.config_schema is None or not (isinstance(config_type, type) and issubclass(config_type, Struct)):
        return []
    if manifest.config_schema_json() == json.loads(config_schema_text(config_type)):
        return []
    file = Path(manifest.source.folder) / manifest.config_schema
    text = f"{file} is not the schema of {config_type.__name__}"
    return [
        Finding(("plugin", manifest.source.entry_at, "config_schema"), text, "write it anew: penstock plugin schema")
    ]


def _shown(value: object) -> str:
    return json.dumps(value)
