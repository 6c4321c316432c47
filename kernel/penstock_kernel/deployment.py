"""Turns plugins.toml into a checked `Deployment`, or says every fault at once with file, line, path and the way out.

`load_deployment` reads and checks without importing plugin code. `check` does so too and then imports the classes to
check each plugin's config against the types its class declares (`Config`, and `Limits` where there is one).
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from penstock_kernel.alerts.tables import alert_findings
from penstock_kernel.deployment_files import MergedFiles, Source, read_files, resolve_references
from penstock_kernel.deployment_model import (
    DEFAULT_DURABILITY,
    DEFAULT_LIMIT_RECORDS,
    Deployment,
    PluginSpec,
    TopicRule,
    deployment_digest,
)
from penstock_kernel.deployment_tables import (
    BreakerTable,
    DeploymentFile,
    JournalSettings,
    RunSettings,
    TlsTable,
    limit_findings,
    process_findings,
    run_settings,
)
from penstock_kernel.problems import DeploymentError, Problem, format_problems, sorted_problems
from penstock_kernel.strictest import LimitDifference, strictest, strictness
from penstock_kernel.telemetry.settings import TelemetryTable, telemetry_findings
from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_kernel.warden.settings import HealthTable, WatchdogTable, watchdog_findings
from penstock_sdk.discovery import (
    Discovery,
    PluginImportError,
    conflicts,
    discover,
    load_class,
    manifest_text,
    read_path,
)
from penstock_sdk.manifest import KINDS, ManifestError, ManifestProblem, PluginManifest, RestartPolicy
from penstock_sdk.typed import Finding, KeyPath, check_typed, closest, format_path, shown_value

__all__ = [
    "CONTRACT_MAJORS",
    "DEFAULT_DURABILITY",
    "DEFAULT_LIMIT_RECORDS",
    "Deployment",
    "DeploymentError",
    "LimitDifference",
    "PluginSpec",
    "Problem",
    "RunSettings",
    "Source",
    "TopicRule",
    "build_config",
    "check",
    "check_config",
    "format_problems",
    "load_deployment",
    "read_deployment",
    "strictest",
    "strictness",
]

CONTRACT_MAJORS: Mapping[str, Collection[int]] = dict.fromkeys(KINDS, (1,))
"""The contract majors this kernel serves, by plugin kind."""

_ConfigT = TypeVar("_ConfigT", bound=Struct)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def load_deployment(
    path: str | Path, env: Mapping[str, str] = os.environ, *, search_path: Sequence[str] | None = None
) -> Deployment:
    """Return the deployment that the file at *path* describes; no plugin code is imported.

    Args:
        path: a plugins.toml; problems name it as given here.
        env: where `${NAME}` references are looked up.
        search_path: folders to look for plugins in; None means `sys.path`.

    Raises:
        DeploymentError: holds every problem found, warnings too. Warnings alone are in `Deployment.warnings`.
    """
    deployment, problems = read_deployment(path, env, search_path=search_path)
    if any(problem.severity == "error" for problem in problems):
        raise DeploymentError(problems)
    return msgspec.structs.replace(deployment, warnings=tuple(problems))


def read_deployment(
    path: str | Path, env: Mapping[str, str] = os.environ, *, search_path: Sequence[str] | None = None
) -> tuple[Deployment, list[Problem]]:
    """Return what could be read of the deployment at *path*, and every problem met; imports no plugin code.

    The deployment is fit to run only when no problem is an error; otherwise it is for further checks.
    """
    return _Loader(path, env, search_path).load()


def check(
    path: str | Path, env: Mapping[str, str] = os.environ, *, search_path: Sequence[str] | None = None,
    ask: bool = False,
) -> list[Problem]:  # fmt: skip
    """Return every problem of the deployment at *path*, by file and line.

    Imports the classes of enabled plugins that run in this process. Of the others the config is held against the JSON
    Schema that they package; with *ask* those that package none are started, in their confinement, and asked.
    """
    deployment, problems = _Loader(path, env, search_path).load()
    for spec in deployment.plugins:
        problems += _check_class(spec, env) if spec.run == "inprocess" else _check_far(spec, env)
    to_ask = [spec for spec in deployment.plugins if spec.run != "inprocess" and spec.manifest.config_schema is None]
    if ask:
        problems += [_spec_problem(spec, finding) for spec in to_ask for finding in _pin_faults(spec)]
    if ask and to_ask and not any(problem.severity == "error" for problem in problems):
        from penstock_kernel.hosts.asking import ask_configs

        faults = ask_configs(deployment, to_ask)
        for spec in to_ask:
            problems += [_spec_problem(spec, Finding(("config",), fault)) for fault in faults[spec.name]]
    return sorted_problems(problems, str(path))


def _pin_faults(spec: PluginSpec) -> list[Finding]:
    """Return why a plugin's pin does not hold; it would not be started."""
    from penstock_sdk.packages import PackageError, verify_pin

    if spec.sha256 is None or spec.run != "process":
        return []
    try:
        verify_pin(spec.manifest.source.file, spec.sha256)
    except PackageError as error:
        return [Finding(("sha256",), line) for line in str(error).splitlines()]
    return []


def check_config(
    spec: PluginSpec, config_type: type[Struct] | None, env: Mapping[str, str] = os.environ
) -> list[Problem]:
    """Return every fault of an instance's config against its type, each with its line; None means it takes no config.

    Messages show references as written, never what they stand for.
    """
    if config_type is None or not msgspec.structs.fields(config_type):
        wanted = f"plugin {spec.manifest.id} takes no config"
        return [_spec_problem(spec, Finding(("config", key), wanted, "remove it")) for key in spec.config]
    resolved = resolve_references(spec.config, env)
    findings = [Finding(*fault) for fault in resolved.faults]
    findings += check_typed(resolved.tree, config_type, shown=spec.config, redact=resolved.redact)
    return [_spec_problem(spec, msgspec.structs.replace(f, path=("config", *f.path))) for f in findings]


def build_config(spec: PluginSpec, config_type: type[_ConfigT], env: Mapping[str, str] = os.environ) -> _ConfigT:
    """Return an instance's config as its own type, references resolved: it may hold secrets, so do not journal it.

    Raises:
        DeploymentError: the config does not fit; holds every fault.
    """
    problems = check_config(spec, config_type, env)
    if problems:
        raise DeploymentError(problems)
    return msgspec.convert(resolve_references(spec.config, env).tree, config_type)


def _check_class(spec: PluginSpec, env: Mapping[str, str]) -> list[Problem]:
    try:
        plugin_class = load_class(spec.manifest)
    except PluginImportError as error:
        return [_spec_problem(spec, Finding(("use",), str(error)))]
    problems = []
    for key in ("kind", "deterministic"):
        said, declared = getattr(plugin_class, key, None), getattr(spec.manifest, key)
        if said is not None and said != declared:
            text = f"{spec.manifest.class_path} has {key} {shown_value(said)}, its manifest {shown_value(declared)}"
            problems.append(_spec_problem(spec, Finding(("use",), text, f"mend {spec.manifest.source.file}")))
    config_type, limits_type = getattr(plugin_class, "Config", None), getattr(plugin_class, "Limits", None)
    if config_type is None or _is_struct_type(config_type):
        problems += check_config(spec, config_type, env)
    else:
        text = (
            f"Config of {spec.manifest.class_path} is {shown_value(repr(config_type))}, wanted a msgspec Struct class"
        )
        problems.append(_spec_problem(spec, Finding(("use",), text)))
    if _is_struct_type(limits_type):
        findings = check_typed(spec.limits, limits_type)
        problems += [_spec_problem(spec, msgspec.structs.replace(f, path=("limits", *f.path))) for f in findings]
    return problems


def _check_far(spec: PluginSpec, env: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with the config of a plugin out of process, as far as its manifest says."""
    from penstock_kernel.hosts.asking import schema_faults

    resolved = resolve_references(spec.config, env)
    problems = [_spec_problem(spec, Finding(("config", *path), *rest)) for path, *rest in resolved.faults]
    if problems:
        return problems
    return [_spec_problem(spec, Finding(("config", *path), text)) for path, text in schema_faults(spec, env)]


def _is_struct_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Struct)


def _spec_problem(spec: PluginSpec, finding: Finding) -> Problem:
    path = finding.path
    while path and format_path(path) not in spec.lines:
        path = path[:-1]
    file, line = spec.lines.get(format_path(path), ("", 0))
    return Problem(file, line, format_path(("plugins", spec.name, *finding.path)), finding.message, finding.way_out)


class _Loader:
    """One reading of a deployment; every step adds to the same list of problems."""

    def __init__(self, path: str | Path, env: Mapping[str, str], search_path: Sequence[str] | None) -> None:
        self.path, self.env, self.search_path = Path(path), env, search_path
        self.files, self.problems = read_files(path, env)
        self.readable = not self.problems
        self.disabled: list[tuple[str, str]] = []

    def load(self) -> tuple[Deployment, list[Problem]]:
        """Return the deployment, whole only when no problem is an error, and the problems in order."""
        written = self.files.tree
        resolved = resolve_references(written, self.env)
        tree: dict[str, Any] = resolved.tree
        asleep = _disabled(tree)
        findings = [Finding(*fault) for fault in resolved.faults if fault[0][:2] not in asleep]
        faulty = check_typed(tree, DeploymentFile, shown=written)
        findings += faulty
        run, run_findings = run_settings(tree, written, {finding.path for finding in faulty})
        findings += run_findings + limit_findings(tree) + watchdog_findings(tree)
        findings += telemetry_findings(tree)
        findings += alert_findings(tree, written, resolved.redact)
        self._add(findings)
        specs = self._specs(tree, {finding.path for finding in faulty}, asleep)
        tables = tree.get("plugins", {})
        whole = self.readable and isinstance(tables, dict) and len(specs) == len(tables) - len(asleep)
        # A plugin that could not be read may be the venue: then its own fault says enough.
        if whole and not any(spec.manifest.kind == "venue" for spec in specs):
            text = "no venue is enabled, so no order can trade"
            self._add([Finding(("plugins",), text, 'use = "exchange"')], "warning")
        deployment = Deployment(
            run=run,
            plugins=specs,
            topics=_topic_rules(tree) if not faulty else (),
            limits=tree.get("limits", {}) if not faulty else {},
            journal=msgspec.convert(tree.get("journal", {}), JournalSettings) if not faulty else JournalSettings(),
            watchdog=msgspec.convert(tree.get("watchdog", {}), WatchdogTable) if not faulty else WatchdogTable(),
            health=msgspec.convert(tree.get("health", {}), HealthTable) if not faulty else HealthTable(),
            telemetry=_telemetry(tree) if not faulty else TelemetryTable(),
            sources=self.files.sources,
            warnings=(),
            tree=written,
            digest=deployment_digest(written, specs) if not faulty else "",
            folder=str(self.path.parent.resolve()),
            whole=whole,
            disabled=tuple(self.disabled),
            lines={format_path(path): (place.file, place.line) for path, place in self.files.places.items()},
        )
        return deployment, sorted_problems(self.problems, str(self.path))

    def _add(self, findings: Iterable[Finding], severity: Literal["error", "warning"] = "error") -> None:
        for finding in findings:
            place, path = self.files.place(finding.path), format_path(finding.path)
            self.problems.append(Problem(*place, path, finding.message, finding.way_out, severity))

    def _specs(self, tree: dict[str, Any], faulty: set[KeyPath], asleep: set[KeyPath]) -> tuple[PluginSpec, ...]:
        tables = tree.get("plugins")
        if not isinstance(tables, dict):
            return ()
        installed = discover(CONTRACT_MAJORS, self.search_path)
        lost: dict[str, str] = {}  # id -> the instance that wanted it
        specs = []
        for name, table in tables.items():
            path = ("plugins", name)
            if not _NAME.fullmatch(name):
                self._add([Finding(path, "expected a name of letters, digits, _ and -", "rename it")])
            if path in asleep:
                self._add_disabled(name, table, installed)
                continue
            if not isinstance(table, dict) or not isinstance(table.get("use"), str):
                continue
            manifest = self._manifest(name, table, installed)
            if manifest is None and "path" not in table:
                lost[table["use"]] = name
            if manifest is not None:
                self._add(process_findings(name, table, is_command=bool(manifest.command)))
                # Of a faulty table what is sound is kept, so that its config is checked as well.
                sound = {key: value for key, value in table.items() if not _touches(faulty, (*path, key))}
                specs.append(_spec(name, sound, self.files, manifest))
        self._add_manifest_problems(installed, lost)
        self._add_conflicts(specs)
        return tuple(specs)

    def _add_conflicts(self, specs: Sequence[PluginSpec]) -> None:
        """Add a problem for each id that instances take from different places: one of them runs what is not meant."""
        for number, spec in enumerate(specs):
            for earlier in specs[:number]:
                if earlier.manifest.id == spec.manifest.id and earlier.manifest.source != spec.manifest.source:
                    (fault,) = conflicts([earlier.manifest, spec.manifest])
                    path = ("plugins", spec.name, "use")
                    way_out = f"give plugins.{earlier.name} and plugins.{spec.name} the same"
                    self._add([Finding(path, fault.message, way_out)])
                    break

    def _add_disabled(self, name: str, table: dict[str, Any], installed: Discovery) -> None:
        """Note the kind of an instance that is switched off, where it is known; its faults are nobody's business."""
        known: Mapping[str, PluginManifest] = installed.manifests
        if isinstance(table.get("path"), str):
            try:
                known = {m.id: m for m in read_path(self.path.parent / table["path"], CONTRACT_MAJORS)}
            except ManifestError:
                return
        use = table.get("use")
        if isinstance(use, str) and use in known:
            self.disabled.append((name, known[use].kind))

    def _manifest(self, name: str, table: dict[str, Any], installed: Discovery) -> PluginManifest | None:
        """Return the manifest of the id that *table* uses, or None once the problem is told."""
        path, use = ("plugins", name), table["use"]
        known = installed.manifests
        if isinstance(table.get("path"), str):
            try:
                found = read_path(self.path.parent / table["path"], CONTRACT_MAJORS)
            except ManifestError as error:
                self.problems += [self._manifest_problem(p, (*path, "path")) for p in error.problems]
                return None
            known = {manifest.id: manifest for manifest in found}
        elif isinstance(table.get("sha256"), str):
            known = known | _pinned(table["sha256"])
        if use in known:
            return known[use]
        if use in {problem.id for problem in installed.problems}:
            return None  # told with the manifest's own faults
        near = closest(use, known)
        way_out = f"did you mean {near}? known: " if near else "known: "
        way_out += ", ".join(sorted(known)) or "no plugin is installed"
        written = self.files.tree["plugins"][name]["use"]
        self._add([Finding((*path, "use"), f"unknown plugin id {shown_value(written)}", way_out)])
        return None

    def _add_manifest_problems(self, installed: Discovery, lost: Mapping[str, str]) -> None:
        """Add the faults of installed manifests: errors where this deployment needs the plugin, else warnings.

        A fault that hides the ids of its file is an error once an id is unknown, for it may be the reason.
        """
        for fault in installed.problems:
            at = ("plugins", lost[fault.id], "use") if fault.id in lost else ("plugins",)
            problem = self._manifest_problem(fault, at)
            is_error = bool(lost) if not fault.id else fault.id in lost
            self.problems.append(msgspec.structs.replace(problem, severity="error" if is_error else "warning"))

    def _manifest_problem(self, fault: ManifestProblem, at: KeyPath) -> Problem:
        """Return a manifest's fault at its own line, or at the deployment's line that named it when it has none."""
        owner = f"{fault.distribution}: " if fault.distribution else ""
        if fault.path:
            line = _line_in_file(fault.file, fault.path)
            return Problem(fault.file, line, format_path(fault.path), owner + fault.message, fault.way_out)
        named = f"{fault.file}: " if fault.file else ""
        return Problem(*self.files.place(at), format_path(at), owner + named + fault.message, fault.way_out)


def _line_in_file(file: str, path: KeyPath) -> int:
    try:
        return line_of(toml_lines(manifest_text(file)), path)
    except (OSError, ValueError):
        return 0


def _pinned(sha256: str) -> dict[str, PluginManifest]:
    """Return the plugins of the installed package of that sha256: of two versions that are installed, one is meant."""
    from penstock_sdk.packages import installed_packages

    for package in installed_packages()[0]:
        if package.sha256 == sha256.removeprefix("sha256:").lower():
            try:
                return {manifest.id: manifest for manifest in read_path(package.manifest, CONTRACT_MAJORS)}
            except ManifestError:
                break  # told by `discover`
    return {}


def _disabled(tree: dict[str, Any]) -> set[KeyPath]:
    """Return the paths of the plugin tables that are switched off."""
    tables = tree.get("plugins")
    items = tables.items() if isinstance(tables, dict) else ()
    return {("plugins", name) for name, table in items if isinstance(table, dict) and table.get("enabled") is False}


def _touches(faulty: set[KeyPath], path: KeyPath) -> bool:
    return any(fault[: len(path)] == path for fault in faulty)


def _spec(name: str, table: dict[str, Any], files: MergedFiles, manifest: PluginManifest) -> PluginSpec:
    top = ("plugins", name)
    lines = {format_path(path[2:]): (place.file, place.line) for path, place in files.places.items() if path[:2] == top}
    return PluginSpec(
        name=name,
        manifest=manifest,
        run=table.get("run", "inprocess"),
        config=files.tree["plugins"][name]["config"] if "config" in table else {},
        seed=table.get("seed"),
        limits=table.get("limits", {}),
        book=table.get("book", name),
        trader=table.get("trader", name),
        account=table.get("account", name),
        lines=lines,
        lane=table.get("lane"),
        address=table.get("address"),
        tls=msgspec.convert(table["tls"], TlsTable) if "tls" in table else None,
        python=table.get("python"),
        sha256=table.get("sha256"),
        secrets=table.get("secrets", {}),
        answer_s=float(table.get("answer_s", 10.0)),
        start_s=float(table.get("start_s", 60.0)),
        answer_ms=table.get("answer_ms"),
        restart=msgspec.convert(table["restart"], RestartPolicy) if "restart" in table else None,
        breaker=msgspec.convert(table["breaker"], BreakerTable) if "breaker" in table else None,
    )


def _telemetry(tree: dict[str, Any]) -> TelemetryTable:
    return msgspec.convert(tree.get("telemetry", {}), TelemetryTable)


def _topic_rules(tree: dict[str, Any]) -> tuple[TopicRule, ...]:
    return tuple(
        TopicRule(pattern, table.get("durability"), table.get("limit"))
        for pattern, table in tree.get("topics", {}).items()
    )
