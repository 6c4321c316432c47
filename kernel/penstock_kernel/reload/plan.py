"""What a changed plugins.toml would do to a running kernel: plugins added, changed, removed; and what has to wait."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock_kernel.deployment import Deployment, PluginSpec
from penstock_kernel.deployment_model import deployment_digest
from penstock_sdk.typed import shown_value

__all__ = ["Plan", "PlannedChange", "plan_change", "to_apply"]

_LIVE_TABLES = {"plugins", "limits", "run", "include"}
"""Tables whose changes need no restart, or are compared key by key."""
_PLACES = ("runs_dir", "files_from")
_TRADERS = ("strategy", "execution")


class PlannedChange(Struct, frozen=True, kw_only=True):
    """What happens to one plugin instance."""

    name: str
    what: Literal["added", "changed", "removed"]
    differences: tuple[str, ...] = ()
    """As `config.qty_lots 1 → 2`."""
    effect: str = ""
    """What is done to it, in words."""


class Plan(Struct, frozen=True, kw_only=True):
    """All that changes, in deployment order; removed ones last."""

    changes: tuple[PlannedChange, ...]
    limits: tuple[str, ...]
    """Limits of the deployment that differ."""
    kept: tuple[str, ...]
    """Differences that a running kernel does not take: they wait for its next start."""
    reordered: bool
    """The plugins that stay hear events in another order."""
    digest_before: str
    digest_after: str

    @property
    def empty(self) -> bool:
        """True when nothing would be done."""
        return not (self.changes or self.limits or self.reordered)

    def names(self, what: str) -> list[str]:
        """Return the instances that are added, changed or removed."""
        return [change.name for change in self.changes if change.what == what]

    def lines(self) -> list[str]:
        """Return the plan for people."""
        out = []
        for change in self.changes:
            mark = {"added": "+", "changed": "~", "removed": "-"}[change.what]
            out.append(f"{mark} {change.name}: {change.effect}")
            out += [f"    {difference}" for difference in change.differences]
        out += [f"~ limit {line}" for line in self.limits]
        if self.reordered:
            out.append("~ plugins hear events in another order")
        out += [f"! {line}" for line in self.kept]
        return out or ["nothing changes"]


def to_apply(running: Deployment, written: Deployment) -> Deployment:
    """Return *running* with the plugins and limits of *written*; all else takes effect with a new start."""
    tables = deepcopy(written.tree.get("plugins", {}))
    for table in tables.values():
        if isinstance(path := table.get("path"), str) and not path.startswith("${"):
            table["path"] = str((Path(written.folder) / path).resolve())
    tree = {key: value for key, value in running.tree.items() if key not in ("plugins", "limits")}
    if "limits" in written.tree:
        tree["limits"] = deepcopy(written.tree["limits"])
    tree["plugins"] = tables
    return msgspec.structs.replace(
        running, plugins=written.plugins, limits=written.limits, tree=tree, sources=written.sources,
        warnings=written.warnings, disabled=written.disabled, lines=written.lines,
        digest=deployment_digest(tree, written.plugins),
    )  # fmt: skip


def plan_change(running: Deployment, written: Deployment) -> Plan:
    """Return what applying *written* to a kernel that runs *running* would do. Pure; no plugin code is imported."""
    before = {spec.name: spec for spec in running.plugins}
    after = {spec.name: spec for spec in written.plugins}
    changes = []
    for name, spec in after.items():
        if name not in before:
            changes.append(PlannedChange(name=name, what="added", effect=_start_effect(spec)))
        elif differences := _differences(before[name], spec):
            effect = _change_effect(before[name], spec)
            changes.append(PlannedChange(name=name, what="changed", differences=differences, effect=effect))
    for name, spec in before.items():
        if name not in after:
            changes.append(PlannedChange(name=name, what="removed", effect=_stop_effect(spec)))
    stay = [name for name in before if name in after]
    return Plan(
        changes=tuple(changes),
        limits=tuple(_limits(running.limits, written.limits)),
        kept=tuple(_kept(running, written)),
        reordered=stay != [name for name in after if name in before],
        digest_before=running.digest,
        digest_after=to_apply(running, written).digest,
    )


def _start_effect(spec: PluginSpec) -> str:
    return f"{spec.manifest.id} {spec.manifest.version} starts ({_where(spec)})"


def _where(spec: PluginSpec) -> str:
    return {"inprocess": "in process", "process": "in a process of its own", "remote": "remote"}[spec.run]


def _stop_effect(spec: PluginSpec) -> str:
    if spec.manifest.kind in _TRADERS:
        return "its open orders are cancelled, it drains and stops"
    if spec.manifest.kind == "venue":
        return "refused while orders of ours are open there; else it drains and stops"
    if spec.manifest.kind in ("risk", "compliance"):
        return "it drains and stops; orders are no longer asked of it"
    return "it drains and stops"


def _change_effect(before: PluginSpec, after: PluginSpec) -> str:
    if before.manifest.class_path != after.manifest.class_path or before.manifest.id != after.manifest.id:
        return "it drains and stops; another plugin starts under its name, without its state"
    return f"it drains, its state is kept, it starts again with it ({_where(after)})"


def _differences(before: PluginSpec, after: PluginSpec) -> tuple[str, ...]:
    """Return what differs of two specs of one name, places and line numbers apart."""
    found = []
    if (met := _version(before)) != (wanted := _version(after)):
        found.append(f"plugin {met} → {wanted}")
    for field in msgspec.structs.fields(PluginSpec):
        if field.name not in ("name", "manifest", "lines"):
            found += _differing(field.name, getattr(before, field.name), getattr(after, field.name))
    return tuple(found)


def _version(spec: PluginSpec) -> str:
    return f"{spec.manifest.id} {spec.manifest.version} ({spec.manifest.class_path})"


def _differing(key: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(k for k in after if k not in before)]
        return [line for k in keys for line in _differing(f"{key}.{k}", before.get(k), after.get(k))]
    if msgspec.to_builtins(before) == msgspec.to_builtins(after):
        return []
    return [f"{key} {_shown(before)} → {_shown(after)}"]


def _shown(value: Any) -> str:
    return "none" if value is None else shown_value(msgspec.to_builtins(value))


def _limits(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [line.removeprefix("limits.") for line in _differing("limits", before, after)]


def _kept(running: Deployment, written: Deployment) -> list[str]:
    """Return differences outside of plugins and limits. A key that *written* leaves out may be the command line's."""
    found = []
    tables = {*running.tree, *written.tree} - _LIVE_TABLES
    for table in sorted(tables):
        found += _differing(table, running.tree.get(table, {}), written.tree.get(table, {}))
    before, after = running.tree.get("run", {}), written.tree.get("run", {})
    for key, value in after.items():
        same = key in _PLACES or (key == "delivery_day" and value == "today")
        if not same and str(before.get(key)) != str(value):
            found += _differing(f"run.{key}", before.get(key), value)
    return [f"{line} waits for the next start" for line in found]
