"""Which plugin class a command line means: a module's, a file's, or one that a folder's plugin.toml names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from penstock_sdk.discovery import PluginImportError, load_class, read_path
from penstock_sdk.manifest import KINDS, MANIFEST_NAME, ManifestError, PluginManifest
from penstock_sdk.plugin import Plugin
from penstock_sdk.single_file import BLOCK_BEGIN

__all__ = ["load_target"]

_CONTRACTS = dict.fromkeys(KINDS, (1,))


def load_target(target: str) -> tuple[type[Plugin], str, str]:
    """Import what *target* names; return the class, and the plugin's id and version where something says them.

    Args:
        target: ``package.module:Class``, ``FILE.py``, ``FILE.py:Class``, or a folder with a plugin.toml and, where that
            holds several plugins, ``:id`` after it.

    Raises:
        PluginImportError: there is no such class, or its module raises; the text names the way out.
    """
    path, _, name = target.partition(":")
    if path.endswith(".py"):
        return _from_file(Path(path), name)
    if Path(path).is_dir() or Path(path).name == MANIFEST_NAME:
        return _from_folder(Path(path), name)
    if not name:
        raise PluginImportError(f"target {target!r} met, wanted module:Class, FILE.py, or a folder with a plugin.toml")
    return _plugin_class(_attribute(_import(path), name), target), "", ""


def _from_folder(folder: Path, plugin_id: str) -> tuple[type[Plugin], str, str]:
    try:
        manifests = read_path(folder, _CONTRACTS)
    except ManifestError as error:
        raise PluginImportError(str(error)) from error
    wanted = [manifest for manifest in manifests if manifest.id == plugin_id or not plugin_id]
    if len(wanted) != 1:
        ids = ", ".join(manifest.id for manifest in manifests)
        raise PluginImportError(f"{folder} holds {ids}; met {plugin_id or 'none of them'}, write {folder}:ID")
    return _of_manifest(wanted[0])


def _of_manifest(manifest: PluginManifest) -> tuple[type[Plugin], str, str]:
    return _plugin_class(load_class(manifest), manifest.source.file), manifest.id, manifest.version


def _from_file(file: Path, name: str) -> tuple[type[Plugin], str, str]:
    if not file.is_file():
        raise PluginImportError(f"{file}: no such file; give the plugin's .py file")
    try:
        manifests = read_path(file, _CONTRACTS)
    except ManifestError as error:
        if BLOCK_BEGIN in file.read_text("utf-8", "replace"):
            raise PluginImportError(str(error)) from error  # its own
        manifests = []  # it has none of its own, and what stands beside it is another plugin's
    wanted = [m for m in manifests if not name or m.class_path.partition(":")[2] == name]
    if len(wanted) == 1:
        return _of_manifest(wanted[0])
    module = _import_file(file)
    if name:
        return _plugin_class(_attribute(module, name), str(file)), "", _version(module)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Plugin)
        and value.kind
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise PluginImportError(f"{file}: met plugin classes {names}, wanted one; write {file}:Class")
    return found[0], "", _version(module)


def _version(module: ModuleType) -> str:
    return str(getattr(module, "__version__", ""))


def _import_file(file: Path) -> ModuleType:
    """Import a file under its own name, so that what it defines can be pickled for workers."""
    folder = str(file.parent.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    module = _import(file.stem)
    met = getattr(module, "__file__", None)
    if met is None or Path(met).resolve() != file.resolve():
        raise PluginImportError(f"module {file.stem} comes from {met}, wanted {file}; rename the file")
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that calls exit() must not end this without a word
        raise PluginImportError(f"{name} fails to import: {type(error).__name__}: {error}") from error


def _attribute(module: ModuleType, name: str) -> object:
    value: object = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise PluginImportError(f"{module.__file__}: module {module.__name__} has no class {name}")
        value = getattr(value, part)
    return value


def _plugin_class(value: object, where: str) -> type[Plugin]:
    if not (isinstance(value, type) and issubclass(value, Plugin)):
        met = value.__name__ if isinstance(value, type) else f"an instance of {type(value).__name__}"
        raise PluginImportError(f"{where}: met {met}, wanted a class derived from Plugin, such as Strategy or Feed")
    return value
