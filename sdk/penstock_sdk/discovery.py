"""Finds plugins and their manifests without importing plugin code; `load_class` is the one function that imports.

A distribution names one packaged file under the entry-point group `penstock.plugins`, as `package:plugin.toml`. So a
plugin that breaks on import, or is slow to import, costs only the deployment that uses it. Beside distributions there
are installed packages (`penstock plugin install`), and what a deployment gives by path: a folder, or a single .py file.
An id is one plugin's: two that claim it are refused, and both are named.
"""

import importlib
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from penstock_sdk.manifest import (
    MANIFEST_NAME,
    ManifestError,
    ManifestProblem,
    ManifestSource,
    PluginManifest,
    contract_major,
    parse_manifest,
    stays_inside,
)
from penstock_sdk.single_file import BLOCK_BEGIN, SingleFileError, own_classes, single_file_manifest
from penstock_sdk.typed import closest

__all__ = [
    "ENTRY_POINT_GROUP",
    "Discovery",
    "PluginImportError",
    "conflicts",
    "discover",
    "load_class",
    "manifest_text",
    "read_path",
]

ENTRY_POINT_GROUP = "penstock.plugins"
MANIFEST_BYTES_MAX = 1 << 20


class PluginImportError(Exception):
    """A plugin's class cannot be had; the text names the class, the cause and the line of code that failed."""


class Discovery(Struct, frozen=True):
    """What was found: usable manifests by plugin id, in the order of their ids, and the faults of the others."""

    manifests: dict[str, PluginManifest]
    problems: tuple[ManifestProblem, ...]


def discover(
    contracts: Mapping[str, Collection[int]],
    search_path: Sequence[str] | None = None,
    packages: Iterable[str | Path] | None = None,
) -> Discovery:
    """Return every installed plugin whose manifest is sound, and the faults of the rest. Imports no plugin code.

    Args:
        contracts: the contract majors that the caller serves, by kind: `{"strategy": (1,)}`.
        search_path: folders to look in; None means `sys.path`, editable installs included.
        packages: manifests of installed packages; None means those of `penstock plugin install`, and none at all
            where there is a search path.

    An id that two of them claim is refused for both. Cost: some 30 ms for 80 distributions, 5 ms when warm.
    """
    found: dict[str, list[PluginManifest]] = {}
    problems: list[ManifestProblem] = []
    for entry in sorted(_entry_points(search_path), key=lambda e: (_distribution_name(e.dist), e.name)):
        distribution = _distribution_name(entry.dist)
        try:
            file = _locate(entry, distribution, search_path)
            for manifest in _read_file(file, entry.dist):
                found.setdefault(manifest.id, []).append(manifest)
        except ManifestError as error:
            problems += error.problems
    if packages is None:
        packages = () if search_path is not None else _installed_packages()
    for package in packages:
        try:
            for manifest in _read_file(Path(package), None):
                found.setdefault(manifest.id, []).append(manifest)
        except ManifestError as error:
            problems += error.problems
    manifests = {}
    for plugin_id, claims in sorted(found.items()):
        refusals = conflicts(claims) if len(claims) > 1 else _contract_faults(claims[0], contracts)
        problems += refusals
        if not refusals:
            manifests[plugin_id] = claims[0]
    return Discovery(manifests, tuple(problems))


def read_path(path: str | Path, contracts: Mapping[str, Collection[int]]) -> list[PluginManifest]:
    """Return the plugins at *path*: a folder with a plugin.toml, that file itself, or a `.py` file.

    A `.py` file stands for the entries of its own manifest (`single_file`), or else for those of a plugin.toml beside
    it whose class is in it. Imports nothing.

    Raises:
        ManifestError: nothing is there, the manifest is faulty, or both claim an id; holds every fault.
    """
    path = Path(path)
    if path.suffix == ".py":
        manifests = _read_single(path)
    else:
        manifests = _read_file(path if path.name == MANIFEST_NAME else path / MANIFEST_NAME, None)
    problems = [problem for manifest in manifests for problem in _contract_faults(manifest, contracts)]
    if problems:
        raise ManifestError(problems)
    return manifests


def _read_single(path: Path) -> list[PluginManifest]:
    if not path.is_file():
        way_out = "give the plugin's .py file or its folder"
        raise ManifestError([ManifestProblem(str(path), (), "no such file", way_out)])
    own = _read_file(path, None) if BLOCK_BEGIN in _decoded(path, "give the plugin's .py file") else []
    file = path.parent / MANIFEST_NAME
    if not own and not file.exists():
        text = f"there is no manifest in it, nor a {MANIFEST_NAME} beside it"
        way_out = f"write one into its first lines, between {BLOCK_BEGIN} and # ///"
        raise ManifestError([ManifestProblem(str(path), (), text, way_out)])
    beside = _read_file(file, None) if file.exists() else []
    modules = {each.id: each.class_path.partition(":")[0] for each in beside}
    here = [each for each in beside if modules[each.id].rpartition(".")[2] == path.stem]
    problems = [
        problem for each in own for other in here if each.id == other.id for problem in conflicts([each, other])
    ]
    if problems:
        raise ManifestError(problems)
    if own or here:
        return own or here
    met = ", ".join(f"{plugin_id} in {module or 'a command'}" for plugin_id, module in modules.items())
    text = f"no entry has its class in {path.name}, met {met}"
    raise ManifestError([ManifestProblem(str(file), (), text, f'write class = "{path.stem}:YourClass"')])


def conflicts(claims: Sequence[PluginManifest]) -> list[ManifestProblem]:
    """Return the refusal of manifests that claim one id, naming where each stands and its version; or nothing."""
    claims = list({claim.source: claim for claim in claims}.values())
    if len(claims) < 2:
        return []
    sources = " and ".join(f"{claim.version} of {claim.source}" for claim in claims)
    installed = all(claim.source.distribution for claim in claims)
    way_out = "uninstall one of them" if installed else "remove one of them, or pin a package by its sha256"
    return [_refusal(claims[1], "id", f'"{claims[0].id}" is claimed by {sources}', way_out)]


def load_class(manifest: PluginManifest) -> type:
    """Import and return the plugin's class; this runs the plugin's module code.

    A plugin given by path is imported from its own folder, which is added at the end of `sys.path`.

    Raises:
        PluginImportError: the import raised, the module has no such class, or another module of that name came first.
    """
    module_name, _, class_name = manifest.class_path.partition(":")
    if not module_name:
        text = f"{manifest.id} is a program, not a class in Python; it runs in a process of its own"
        raise PluginImportError(f'{text}: write run = "process"')
    by_path = not manifest.source.distribution
    if by_path and manifest.source.folder not in sys.path:
        sys.path.append(manifest.source.folder)
        importlib.invalidate_caches()
    try:
        value: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that calls exit() must not end the check
        raise PluginImportError(f"{manifest.class_path} fails to import: {_cause(error)}") from error
    file = getattr(value, "__file__", None)
    folder = Path(manifest.source.folder).resolve()
    if by_path and file is not None and not Path(file).resolve().is_relative_to(folder):
        raise PluginImportError(f"module {module_name} comes from {file}, wanted one in {folder}; rename the module")
    for name in class_name.split("."):
        if not hasattr(value, name):
            near = closest(name, [key for key, item in vars(value).items() if isinstance(item, type)])
            hint = f"; did you mean {near}?" if near else "; mend the key class in its plugin.toml"
            raise PluginImportError(f"{file}: module {module_name} has no class {class_name}{hint}")
        value = getattr(value, name)
    if not isinstance(value, type):
        raise PluginImportError(f"{file}: {class_name} is a {type(value).__name__}, wanted a class")
    return value


def _contract_faults(manifest: PluginManifest, contracts: Mapping[str, Collection[int]]) -> list[ManifestProblem]:
    """Return the refusal of a plugin whose contract majors the caller does not serve, naming both and the way out."""
    wanted, served = manifest.contract_range, sorted(contracts.get(manifest.kind, ()))
    if contract_major(manifest, contracts) is not None:
        return []
    if not served:
        return [
            _refusal(
                manifest, "contract", f"{manifest.id} speaks {wanted}, this version serves no {wanted.kind} plugins", ""
            )
        ]
    too_new = wanted.major_min > served[-1]
    way_out = f"install {'a newer Penstock, or an older' if too_new else 'a newer'} version of the plugin"
    text = f"{manifest.id} speaks {wanted}, this version serves {wanted.kind}/{served[0]}..{served[-1]}"
    return [_refusal(manifest, "contract", text, way_out)]


def _refusal(manifest: PluginManifest, key: str, message: str, way_out: str) -> ManifestProblem:
    source = manifest.source
    path = ("plugin", source.entry_at, key)
    return ManifestProblem(source.file, path, message, way_out, source.distribution, manifest.id)


def _installed_packages() -> list[Path]:
    from penstock_sdk.packages import installed_manifests  # it needs this module

    return installed_manifests()


def _entry_points(search_path: Sequence[str] | None) -> list[EntryPoint]:
    if search_path is None:
        return list(entry_points(group=ENTRY_POINT_GROUP))
    found, seen = [], set()
    for dist in distributions(path=list(search_path)):
        # As at import, the first folder that holds a distribution wins.
        if _distribution_name(dist) not in seen:
            seen.add(_distribution_name(dist))
            found += [entry for entry in dist.entry_points if entry.group == ENTRY_POINT_GROUP]
    return found


def _distribution_name(dist: Distribution | None) -> str:
    return str(dist.metadata["Name"] or "") if dist is not None else ""


def _locate(entry: EntryPoint, distribution: str, search_path: Sequence[str] | None) -> Path:
    """Return the manifest's file without importing: only the top-level package is looked up, folders do the rest."""
    package, _, resource = (part.strip() for part in entry.value.partition(":"))
    here = f'entry point {entry.name} = "{entry.value}"'
    if not re.fullmatch(r"\w+(\.\w+)*", package) or not stays_inside(resource):
        text = f"{here}: expected package:file"
        raise ManifestError([ManifestProblem("", (), text, 'write "your_package:plugin.toml"', distribution)])
    top, *inner = package.split(".")
    folders = [Path(location, *inner) for location in _package_folders(top, search_path)]
    for folder in folders:
        if (folder / resource).is_file():
            return folder / resource
    looked = f"no {resource} in {' or '.join(map(str, folders))}" if folders else f"package {top} is not found"
    way_out = "reinstall the distribution; its wheel must hold the manifest"
    raise ManifestError([ManifestProblem("", (), f"{here}: {looked}", way_out, distribution)])


def _package_folders(top: str, search_path: Sequence[str] | None) -> list[str]:
    """Return the folders of a top-level package. `find_spec` of a name without a dot runs no package code."""
    spec: ModuleSpec | None
    try:
        spec = find_spec(top) if search_path is None else PathFinder.find_spec(top, list(search_path))
    except (ImportError, ValueError, AttributeError):
        return []
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def manifest_text(file: str | Path) -> str:
    """Return the TOML of a manifest's file, each line at its place: of a .py file its block alone, "" without one.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
        SingleFileError: the block of a .py file is broken.
    """
    text = Path(file).read_text("utf-8-sig").replace("\r\n", "\n")
    if Path(file).suffix != ".py":
        return text
    return own_classes(single_file_manifest(text) or "", Path(file).stem)


def _read_file(file: Path, dist: Distribution | None) -> list[PluginManifest]:
    distribution, version = _distribution_name(dist), dist.version if dist is not None else ""
    source = ManifestSource(str(file), str(file.parent.resolve()), distribution, version)
    hint = f"give a folder with a {MANIFEST_NAME}" if dist is None else "reinstall the distribution"
    text = _decoded(file, hint, distribution)
    if file.suffix == ".py":
        try:
            text = own_classes(single_file_manifest(text) or "", file.stem)
        except SingleFileError as error:
            raise ManifestError([ManifestProblem(source.file, (), str(error))]) from error
    return parse_manifest(text, source)


def _decoded(file: Path, hint: str, distribution: str = "") -> str:
    """Return the text of a file, lines ended by \\n."""
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = (error.strerror or str(error)).lower() if isinstance(error, OSError) else f"not UTF-8: {error}"
        raise ManifestError([ManifestProblem(str(file), (), cause, hint, distribution)]) from error
    if len(data) > MANIFEST_BYTES_MAX:
        cause = f"{len(data)} bytes, at most {MANIFEST_BYTES_MAX} are read"
        raise ManifestError([ManifestProblem(str(file), (), cause, hint, distribution)])
    return text


def _cause(error: BaseException) -> str:
    """Return the exception on one line, with the last line of code outside the import machinery."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    where, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith("<frozen ") and name not in (__file__, importlib.__file__):
            where = f" ({name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return " ".join(said.split()) + where
