"""``penstock plugin check`` and ``penstock plugin schema``: manifests held against their rules, and their format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock_sdk.manifest import ManifestProblem, PluginManifest
    from penstock_sdk.typed import KeyPath

__all__ = ["add_plugin_commands", "check_manifests"]


def add_plugin_commands(sub: argparse._SubParsersAction[Any]) -> None:
    """Add ``check`` and ``schema`` to ``penstock plugin``."""
    text = (
        "Say every fault of the manifests at PATHs, each with its line: a folder with a plugin.toml, that file, or a "
        "single .py file. Nothing of the plugin is run, but with --load its class is imported."
    )
    check = sub.add_parser("check", help="say every fault of a manifest", description=text)
    check.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    check.add_argument("--load", action="store_true", help="import the classes, and hold the manifest against them")
    check.set_defaults(command=_check)
    text = (
        "Print the JSON Schema of plugin.toml for editors; of a FOLDER write the schema files of its plugins' configs, "
        "as config_schema names them. That imports their classes."
    )
    schema = sub.add_parser(
        "schema", help="print the schema of plugin.toml, or write those of configs", description=text
    )
    schema.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    schema.set_defaults(command=_schema)


def _check(options: argparse.Namespace) -> int:
    faults = 0
    for path in options.paths:
        lines, count = check_manifests(path, load=options.load)
        print("\n".join(lines))
        faults += count
    return 2 if faults else 0


def check_manifests(path: Path, *, load: bool = False) -> tuple[list[str], int]:
    """Return what is to be said of the manifest at *path*, a line each, and how many of the lines are faults.

    With *load* the classes are imported and held against it.
    """
    from penstock_sdk.discovery import read_path
    from penstock_sdk.manifest import KINDS, ManifestError

    found: list[ManifestProblem] = []
    try:
        manifests = read_path(path, dict.fromkeys(KINDS, (1,)))  # the contract of this SDK's base classes
    except ManifestError as error:
        found += error.problems
        manifests = _sound_entries(Path(found[0].file))
    warnings = [warning for each in manifests for warning in _warnings(each)]
    for each in manifests:
        faults, doubts = _static(each, found, load)
        found += faults
        warnings += doubts
    found.sort(key=lambda problem: (problem.file, _line_number(problem)))
    told = ", ".join(f"{each.kind} {each.id} {each.version}" for each in manifests)
    lines = [_line(problem) for problem in found] + [_line(warning, "warning: ") for warning in warnings]
    return lines or [f"{path}: no faults: {told}"], len(found)


def _static(
    manifest: PluginManifest, before: list[ManifestProblem], load: bool
) -> tuple[list[ManifestProblem], list[ManifestProblem]]:
    """Return (faults, warnings) of what files, records and, with *load*, the class say; not of keys faulty *before*."""
    from penstock_sdk.manifest_static import module_findings, topic_findings

    where: KeyPath = ("plugin", manifest.source.entry_at)
    entry = {"class": manifest.class_path, "topics_in": manifest.topics_in, "topics_out": manifest.topics_out}
    findings = module_findings(entry, Path(manifest.source.folder), where)
    found = [_problem(manifest, each.path, each.message, each.way_out) for each in findings]
    if load and not found:
        found += _loaded(manifest)
    faults, doubts = topic_findings(entry, where)  # once the class is imported, records of its own are known, too
    warnings: list[ManifestProblem] = []
    for into, topics in ((found, faults), (warnings, doubts)):
        into += [_problem(manifest, each.path, each.message, each.way_out) for each in topics]
    known = {problem.path for problem in before}
    return [problem for problem in found if problem.path not in known], warnings


def _sound_entries(file: Path) -> list[PluginManifest]:
    """Return the plugins of a faulty manifest that are sound enough to be looked at further."""
    import tomllib

    import msgspec

    from penstock_sdk.discovery import manifest_text
    from penstock_sdk.manifest import ManifestSource, PluginEntry, PluginManifest

    try:
        entries = tomllib.loads(manifest_text(file)).get("plugin")
    except (OSError, ValueError):
        return []
    keys = {field.encode_name: field.type for field in msgspec.structs.fields(PluginEntry)}
    found = []
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        sound: dict[str, object] = {"version": "0", "contract": "", "id": "unnamed"}
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if key in keys:
                try:
                    msgspec.convert(value, keys[key])
                except msgspec.ValidationError:
                    continue  # told already
                sound[key] = value
        sound["source"] = ManifestSource(str(file), str(file.parent.resolve()), entry_at=at)
        try:
            found.append(msgspec.convert(sound, PluginManifest, from_attributes=True, strict=False))
        except msgspec.ValidationError:
            continue
    return found


def _warnings(manifest: PluginManifest) -> list[ManifestProblem]:
    """Return what a manifest may leave out and had better not."""
    found: list[ManifestProblem] = []

    def add(key: str, message: str, way_out: str) -> None:
        found.append(_problem(manifest, ("plugin", manifest.source.entry_at, key), message, way_out))

    if manifest.kind == "venue" and manifest.venue is None:
        add("venue", "does not say what the venue offers", "add [plugin.venue] with order_kinds and real_money")
    if "orders.write" in manifest.capabilities and "order.intent" not in manifest.topics_out:
        add("topics_out", '"orders.write" without order.intent, so its orders are refused', 'add "order.intent"')
    if not manifest.description:
        add("description", "there is none", "say in a line what the plugin does")
    return found


def _loaded(manifest: PluginManifest) -> list[ManifestProblem]:
    """Return what the class of a manifest says otherwise; nothing for a program."""
    from penstock_sdk.discovery import PluginImportError, load_class
    from penstock_sdk.manifest_class import class_findings

    if not manifest.class_path:
        return []
    try:
        cls = load_class(manifest)
    except PluginImportError as error:
        return [_problem(manifest, ("plugin", manifest.source.entry_at, "class"), str(error), "")]
    return [_problem(manifest, each.path, each.message, each.way_out) for each in class_findings(manifest, cls)]


def _problem(manifest: PluginManifest, path: KeyPath, message: str, way_out: str) -> ManifestProblem:
    from penstock_sdk.manifest import ManifestProblem

    return ManifestProblem(manifest.source.file, path, message, way_out, "", manifest.id)


def _line_number(problem: ManifestProblem) -> int:
    """Return the line of a problem in its file, 0 where it has none."""
    from penstock_sdk.discovery import manifest_text
    from penstock_sdk.toml_lines import line_of, toml_lines

    return line_of(toml_lines(manifest_text(problem.file)), problem.path) if problem.path else 0


def _line(problem: ManifestProblem, mark: str = "") -> str:
    """Return a problem as FILE:LINE: KEY: what; the way out."""
    from penstock_sdk.typed import format_path

    line = _line_number(problem)
    place = f"{problem.file}:{line}" if line else problem.file
    way_out = f"; {problem.way_out}" if problem.way_out else ""
    path = f"{format_path(problem.path)}: " if problem.path else ""
    return f"{place}: {mark}{path}{problem.message}{way_out}"


def _schema(options: argparse.Namespace) -> int:
    from penstock_sdk.manifest_schema import packaged_schema

    if options.folder is None:
        print(packaged_schema(), end="")
        return 0
    return _write_config_schemas(options.folder)


def _write_config_schemas(folder: Path) -> int:
    """Write the schema file of each plugin whose manifest names one; the files need not be there yet."""
    import tomllib

    from penstock_sdk.cli.main import CliError
    from penstock_sdk.discovery import PluginImportError, load_class, manifest_text
    from penstock_sdk.manifest import MANIFEST_NAME, ManifestSource, config_schema_text, parse_manifest, stays_inside

    file = folder / MANIFEST_NAME
    text = manifest_text(file)
    try:
        entries = tomllib.loads(text).get("plugin", [])
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{file}: not TOML: {error}") from None
    named = [entry["config_schema"] for entry in entries if isinstance(entry.get("config_schema"), str)]
    for name in named:
        if not stays_inside(name):
            raise CliError(f"{file}: config_schema met {name}, wanted a path beside the manifest")
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}\n", "utf-8")
    for manifest in parse_manifest(text, ManifestSource(str(file), str(folder.resolve()))):
        if manifest.config_schema is None or not manifest.class_path:
            continue
        try:
            cls = load_class(manifest)
        except PluginImportError as error:
            raise CliError(str(error)) from error
        (folder / manifest.config_schema).write_text(config_schema_text(cls.Config), "utf-8")  # type: ignore[attr-defined]
        print(f"{folder / manifest.config_schema}: {manifest.id}'s config")
    return 0
