"""What can be told of a manifest from the records that are known and the files that are there; nothing is imported.

These are for `penstock plugin check` alone: a plugin may declare records of its own, and its module may be installed
elsewhere later, so a deployment does not refuse for them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from penstock_sdk.schema import layouts
from penstock_sdk.typed import Finding, KeyPath, closest, shown_value

__all__ = ["module_findings", "topic_findings"]

_PATTERN_MARKS = frozenset("*?[]")
_TYPO_RATIO = 0.85
"""Above this a topic that nobody knows is taken for a known one with a slip of the pen."""


def topic_findings(entry: Mapping[str, Any], where: KeyPath) -> tuple[list[Finding], list[Finding]]:
    """Return (faults, warnings) of the exact topics of a `[[plugin]]` table that no record has; patterns are free."""
    known = {layout.topic for layout in layouts()}
    faults: list[Finding] = []
    warnings: list[Finding] = []
    for key in ("topics_in", "topics_out"):
        topics = entry.get(key)
        for number, topic in enumerate(topics if isinstance(topics, list | tuple) else ()):
            if not isinstance(topic, str) or topic in known or _PATTERN_MARKS & set(topic):
                continue
            near = closest(topic, known)
            way_out = f"did you mean {near}?" if near else "see docs/records.md; a record of your own may have it"
            finding = Finding((*where, key, number), f"no known record has the topic {shown_value(topic)}", way_out)
            is_typo = near is not None and difflib.SequenceMatcher(None, topic, near).ratio() >= _TYPO_RATIO
            (faults if is_typo else warnings).append(finding)
    return faults, warnings


def module_findings(entry: Mapping[str, Any], folder: Path, where: KeyPath) -> list[Finding]:
    """Return the fault of a class whose module's file is not there: beside the manifest, or where Python looks."""
    class_path = entry.get("class")
    module = class_path.partition(":")[0] if isinstance(class_path, str) else ""
    if not module or any(folder.glob("*.whl")):
        return []
    inner = Path(*module.split("."))
    places = [folder, *folder.parents[: module.count(".") + 1]]
    if any(_is_module(place / inner) for place in places):
        return []
    top, *below = module.split(".")
    spec = PathFinder.find_spec(top)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if spec is not None and (not below or any(_is_module(Path(each, *below)) for each in folders)):
        return []
    text = f"{inner}.py is not in {folder}, nor is {module} installed"
    near = closest(module, [path.stem for path in folder.glob("*.py")])
    way_out = f"did you mean {near}?" if near else 'write class = "module:YourClass" of a module beside the manifest'
    return [Finding((*where, "class"), text, way_out)]


def _is_module(path: Path) -> bool:
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()
