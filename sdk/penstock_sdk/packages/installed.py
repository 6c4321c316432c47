"""What is installed: where packages are kept, which there are, and whether their files are still the packed ones."""

import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from penstock_sdk.manifest import MANIFEST_NAME
from penstock_sdk.packages.archive import (
    LIST_NAME,
    PackageError,
    PackageList,
    Progress,
    archive_digest,
    read_list,
)

__all__ = [
    "Installed",
    "find_installed",
    "installed_manifests",
    "installed_packages",
    "package_folder",
    "plugins_folder",
    "verify_pin",
]

_FOLDER = re.compile(r"(?P<id>[a-z][a-z0-9_]*)-(?P<version>.+)-(?P<sha256>[0-9a-f]{64})")


class Installed(Struct, frozen=True):
    """One installed package: its folder, the sha256 of its archive that the folder's name says, and its list."""

    folder: str
    sha256: str
    listed: PackageList

    @property
    def manifest(self) -> Path:
        """Return its plugin.toml, or its single `.py` file."""
        return Path(self.folder) / self.listed.manifest


def plugins_folder(folder: str | Path | None = None) -> Path:
    """Return where packages are kept: *folder*, else PENSTOCK_PLUGINS, else ~/.local/share/penstock/plugins."""
    if folder is not None:
        return Path(folder)
    if named := os.environ.get("PENSTOCK_PLUGINS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "penstock" / "plugins"


def package_folder(folder: Path, plugin_id: str, version: str, sha256: str) -> Path:
    """Return where a package is kept, below the folder of plugins."""
    return folder / "packages" / f"{plugin_id}-{version}-{sha256}"


def installed_packages(folder: str | Path | None = None) -> tuple[list[Installed], list[str]]:
    """Return the installed packages, by id and version, and what is wrong with the others; reads lists alone."""
    found, faults = [], []
    packages = plugins_folder(folder) / "packages"
    for path in sorted(packages.iterdir()) if packages.is_dir() else ():
        match = _FOLDER.fullmatch(path.name)
        if match is None:
            if not path.name.startswith("."):  # an installation that goes on, or broke off
                faults.append(f"{path} is no installed package; remove it")
            continue
        try:
            listed = read_list((path / LIST_NAME).read_bytes(), str(path))
        except (OSError, PackageError) as error:
            faults.append(str(error))
            continue
        if (listed.id, listed.version) != (match["id"], match["version"]):
            faults.append(f"{path} holds {listed.id} {listed.version}; install the package again")
        else:
            found.append(Installed(str(path), match["sha256"], listed))
    return found, faults


def installed_manifests(folder: str | Path | None = None) -> list[Path]:
    """Return the manifests of the installed packages: plugin.toml files, and single `.py` files that hold theirs."""
    return [package.manifest for package in installed_packages(folder)[0]]


def verify_pin(installed: str | Path, sha256: str, progress: Progress | None = None) -> PackageList:
    """Check that an installed package is, file by file, the archive of that sha256; return its list.

    Reads every file: call it right before the plugin is started. Compiled Python is removed, for it would run in place
    of the source that was checked. The environment that it runs in is not part of the package.

    Args:
        installed: its folder, its plugin.toml, or its single `.py` file.
        sha256: the pin, in hexadecimal, with or without "sha256:" before it.
        progress: told of the bytes read.

    Raises:
        PackageError: not a package, another one, or files that were changed, added or removed; names them.
    """
    folder = Path(installed)
    if folder.name == MANIFEST_NAME or folder.suffix == ".py":
        folder = folder.parent
    wanted = sha256.removeprefix("sha256:").lower()
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise PackageError(f"{folder}: the pin {sha256!r} is no sha256; copy it from `penstock plugin list`")
    try:
        listed = read_list((folder / LIST_NAME).read_bytes(), str(folder))
    except OSError as error:
        text = f"{folder}: no installed package ({(error.strerror or '').lower()}); a pin is for what was installed"
        raise PackageError(f"{text} by `penstock plugin install`") from error
    faults = _tree_faults(folder, listed)
    if faults:
        raise PackageError("\n".join(f"{folder}: {fault}" for fault in faults[:20]))
    try:
        met = archive_digest(listed, lambda name: (folder / name).open("rb"), progress)
    except PackageError as error:
        raise PackageError("\n".join(f"{folder}: {line}" for line in str(error).splitlines()[:20])) from error
    if met != wanted:
        text = f"{folder}: its archive's sha256 is {met}, the pin is {wanted}"
        raise PackageError(f"{text}; install the package of the pin, or pin this one when you trust it")
    return listed


def _tree_faults(folder: Path, listed: PackageList) -> Sequence[str]:
    """Return which files are missing, added, of another size or kind; what they hold is read by the caller."""
    _remove_compiled(folder)
    known = {member.path: member for member in listed.files}
    faults, met = [], set()
    for top, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        for name in (*names, *links):
            path = Path(top) / name
            below = path.relative_to(folder).as_posix()
            met.add(below)
            if below == LIST_NAME and not path.is_symlink():
                continue
            if below not in known:
                faults.append(f"{below} was added")
            elif not stat.S_ISREG(path.lstat().st_mode):
                faults.append(f"{below} is no plain file any more")
            elif path.stat().st_size != known[below].bytes:
                faults.append(f"{below} was changed")
            elif bool(path.stat().st_mode & 0o100) != known[below].executable:
                faults.append(f"{below} is {'no' if known[below].executable else 'a'} program any more")
    faults += [f"{name} is missing" for name in known if name not in met]
    return [f"{fault}; install the package again" for fault in faults]


def _remove_compiled(folder: Path) -> None:
    for path in list(folder.rglob("__pycache__")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def find_installed(name: str, folder: str | Path | None = None) -> Installed:
    """Return the installed package that *name* means: its folder, `ID`, or `ID-VERSION`, or a plugin of it.

    Raises:
        PackageError: none, or several; names them.
    """
    found, _ = installed_packages(folder)
    path = Path(name)
    if path.is_dir():
        wanted = [each for each in found if Path(each.folder).resolve() == path.resolve()]
        return wanted[0] if wanted else _from_folder(path)
    wanted = [e for e in found if name in (e.listed.id, f"{e.listed.id}-{e.listed.version}", Path(e.folder).name)]
    wanted = wanted or [each for each in found if name in {plugin.id for plugin in each.listed.plugins}]
    if len(wanted) == 1:
        return wanted[0]
    if wanted:
        met = ", ".join(f"{each.listed.id}-{each.listed.version}" for each in wanted)
        raise PackageError(f"{name} is several packages: {met}; write which")
    met = ", ".join(dict.fromkeys(each.listed.id for each in found)) or "none"
    raise PackageError(f"{name} is no archive and no installed package; installed: {met}")


def _from_folder(path: Path) -> Installed:
    match = _FOLDER.fullmatch(path.resolve().name)
    if match is None or not (path / LIST_NAME).is_file():
        raise PackageError(f"{path} is no installed package; give an archive, an id, or a folder as `list` shows it")
    return Installed(str(path), match["sha256"], read_list((path / LIST_NAME).read_bytes(), str(path)))
