"""Makes a package of a plugin's folder, or of a single `.py` file: one archive, the same bytes for the same input."""

import os
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from msgspec import Struct

from penstock_sdk.discovery import manifest_text
from penstock_sdk.manifest import MANIFEST_NAME, ManifestSource, PluginManifest, parse_manifest
from penstock_sdk.packages.archive import (
    ARCHIVE_BYTES_MAX,
    ARCHIVE_SUFFIX,
    FILES_MAX,
    LIST_NAME,
    VERSION,
    Member,
    PackagedPlugin,
    PackageError,
    PackageList,
    Progress,
    file_sha256,
    names_faults,
    write_archive,
)
from penstock_sdk.packages.reported import REPORT_NAME, is_report, report_tier, reported_files, tried_files

__all__ = ["Packed", "files_to_try", "is_licence", "pack", "read_manifests"]

_LICENCE = re.compile(r"(LICEN[CS]E|COPYING)([-.].*)?", re.IGNORECASE)
_LEFT_OUT = (".*", "__pycache__", "*.pyc", f"*{ARCHIVE_SUFFIX}", LIST_NAME)


class Packed(Struct, frozen=True):
    """An archive that was made: where, its sha256 for plugins.toml, its size, and what is in it."""

    path: str
    sha256: str
    bytes: int
    listed: PackageList


def pack(
    source: Path,
    output: Path | None = None,
    *,
    licence: Path | None = None,
    report: Path | None = None,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Packed:
    """Pack a plugin's folder, or a single `.py` file, into an archive.

    Args:
        source: the folder with plugin.toml, or the file.
        output: the archive, or a folder for it; None: `ID-VERSION.penstock.zip` in the working folder.
        licence: its text; None: LICENSE, LICENCE or COPYING at the top of the folder, or beside the file.
        report: of `penstock conform --json`; None: `conformance.json` in the folder, if there is one.
        exclude: more patterns of names that stay out, beside hidden files and compiled Python.
        progress: told of the bytes packed.

    Raises:
        PackageError: no licence, a command without its program, a link, versions that differ, a broken report; all.
        ManifestError: the manifest is faulty.
        OSError: something cannot be read or written.
    """
    files = _chosen(source, tuple(exclude))
    for name in [name for name, path in files.items() if name != REPORT_NAME and is_report(path)]:
        del files[name]  # the one that counts goes along as conformance.json
    for name, extra in (("LICENSE", licence), (REPORT_NAME, report)):
        if extra is not None:
            files[name] = extra
    manifest = source.name if source.is_file() else MANIFEST_NAME
    plugins = read_manifests(source if source.is_file() else source / MANIFEST_NAME)
    licence_name = _licence_name(source, files)
    used = files.get(REPORT_NAME)
    out = {name for name in reported_files(used) - set(files) if not _is_out(PurePosixPath(name), tuple(exclude))}
    tried = tried_files({name: path for name, path in files.items() if name != REPORT_NAME}) if used else {}
    tier, faults = report_tier(used, plugins, tried, sorted(out))
    faults += [*names_faults(list(files)), *_plugin_faults(plugins), *_program_faults(plugins, files)]
    if not licence_name:
        faults.append("there is no licence; write LICENSE beside the manifest, or give --licence FILE")
    if len(files) > FILES_MAX:
        faults.append(f"{len(files):,} files, at most {FILES_MAX:,} are packed; leave some out by --exclude")
    if faults:
        raise PackageError("\n".join(f"{source}: {fault}" for fault in faults))
    programs = {words[0] for each in plugins for words in _commands(each).values()}
    members = [_listed(name, path, name in programs or f"./{name}" in programs) for name, path in sorted(files.items())]
    if (total := sum(member.bytes for member in members)) > ARCHIVE_BYTES_MAX:
        raise PackageError(f"{source}: {total:,} bytes, at most {ARCHIVE_BYTES_MAX:,} are packed; leave some out")
    listed = PackageList(
        format=1,
        id=plugins[0].id,
        version=plugins[0].version,
        plugins=tuple(PackagedPlugin(each.id, each.version, each.kind) for each in plugins),
        platforms=_platforms(plugins),
        manifest=manifest,
        licence=licence_name,
        report=REPORT_NAME if REPORT_NAME in files else "",
        tier=tier,
        files=tuple(members),
    )
    return _written(listed, files, output, progress)


def read_manifests(file: Path) -> list[PluginManifest]:
    """Return the plugins that a plugin.toml, or a `.py` file with a manifest of its own, declares.

    Raises:
        PackageError: it is not there, or the `.py` file holds no manifest.
        ManifestError: it is faulty.
    """
    try:
        text = manifest_text(file)
    except (OSError, ValueError) as error:
        cause = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        raise PackageError(f"{file}: {cause}; give a folder with a {MANIFEST_NAME}, or a .py file") from error
    if not text.strip():
        raise PackageError(f"{file}: it holds no manifest; pack its folder, or write one into its first lines")
    return parse_manifest(text, ManifestSource(str(file), str(file.parent.resolve())))


def _chosen(source: Path, exclude: tuple[str, ...]) -> dict[str, Path]:
    """Return what is packed, by its path in the package."""
    if source.is_file():
        return {source.name: source} | {path.name: path for path in _licences(source.parent)[:1]}
    if not source.is_dir():
        raise PackageError(f"{source}: no such folder; give a plugin's folder or its .py file")
    chosen = {}
    for folder, folders, names in os.walk(source):
        below = Path(folder).relative_to(source)
        folders[:] = sorted(name for name in folders if not _is_out(below / name, exclude))
        for name in (*names, *(name for name in folders if (Path(folder) / name).is_symlink())):
            path = Path(folder) / name
            if _is_out(below / name, exclude):
                continue
            if path.is_symlink() or not path.is_file():
                raise PackageError(f"{path}: a link or no plain file; put the file itself there, or --exclude it")
            chosen[(below / name).as_posix()] = path
    return chosen


def files_to_try(manifest: PluginManifest) -> dict[str, str]:
    """Return the sha256 of a plugin's files by path, as a report of the kit names them; none where some are no files.

    Raises:
        OSError: something cannot be read.
    """
    file = Path(manifest.source.file)
    try:
        return tried_files(_chosen(file if file.suffix == ".py" else Path(manifest.source.folder), ()))
    except PackageError:
        return {}  # what cannot be packed can be tried all the same


def is_licence(name: str) -> bool:
    """Return whether a file at the top of a package is its licence."""
    return _LICENCE.fullmatch(name) is not None


def _is_out(path: PurePath, exclude: tuple[str, ...]) -> bool:
    return any(fnmatch(path.name, p) for p in (*_LEFT_OUT, *exclude)) or any(
        fnmatch(path.as_posix(), pattern) for pattern in exclude
    )


def _licences(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _LICENCE.fullmatch(path.name) and path.is_file())


def _licence_name(source: Path, files: dict[str, Path]) -> str:
    found = sorted(name for name in files if _LICENCE.fullmatch(name))
    return next((name for name in found if files[name].stat().st_size), "")


def _plugin_faults(plugins: Sequence[PluginManifest]) -> list[str]:
    faults = []
    versions = {each.version for each in plugins}
    if len(versions) > 1:
        met = ", ".join(f"{each.id} {each.version}" for each in plugins)
        faults.append(f"its plugins have versions that differ: {met}; a package has one version")
    faults += [f"version {v!r} is no plain one; write it as 1.2.0" for v in versions if not VERSION.fullmatch(v)]
    return faults


def _program_faults(plugins: Sequence[PluginManifest], files: dict[str, Path]) -> list[str]:
    """Return which programs of commands, or packages of classes, are not among the files."""
    faults = []
    for each in plugins:
        for platform, words in _commands(each).items():
            name = words[0].removeprefix("./")
            if "/" in words[0] and name not in files:
                of = f" for {platform}" if platform else ""
                faults.append(f"{each.id}'s command{of} is {words[0]}, which is not packed; build it first")
        module = each.class_path.partition(":")[0].replace(".", "/")
        ours = {f"{module}.py", f"{module}/__init__.py"} & set(files)
        if module and not ours and not any(PurePosixPath(name).suffix == ".whl" for name in files):
            faults.append(f"{each.id}'s class is {each.class_path}, and {module}.py is not packed; nor is a wheel")
    return faults


def _commands(manifest: PluginManifest) -> dict[str, tuple[str, ...]]:
    """Return the words of a plugin's command by platform, "" for any."""
    if isinstance(manifest.command, dict):
        return {platform: words for platform, words in manifest.command.items() if words}
    return {"": manifest.command} if manifest.command else {}


def _platforms(plugins: Sequence[PluginManifest]) -> tuple[str, ...]:
    """Return the platforms on which every plugin of a package runs; () for all."""
    found: set[str] | None = None
    for each in plugins:
        if isinstance(each.command, dict):
            found = set(each.command) if found is None else found & set(each.command)
    return tuple(sorted(found or ()))


def _listed(name: str, path: Path, program: bool) -> Member:
    executable = program or bool(path.stat().st_mode & 0o100)
    return Member(name, path.stat().st_size, file_sha256(path), executable)


def _written(listed: PackageList, files: dict[str, Path], output: Path | None, progress: Progress | None) -> Packed:
    name = f"{listed.id}-{listed.version}{ARCHIVE_SUFFIX}"
    path = output or Path(name)
    if path.is_dir():
        path /= name
    opened: Callable[[str], IO[bytes]] = lambda member: files[member].open("rb")  # noqa: E731
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as sink:
            sha256 = write_archive(listed, opened, sink, progress)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Packed(str(path), sha256, path.stat().st_size, listed)
