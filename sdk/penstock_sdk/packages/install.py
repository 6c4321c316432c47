"""Installs a package: checks the whole archive before a byte of it is in its place, then puts it there at once."""

import os
import shutil
import tempfile
from pathlib import Path

from msgspec import Struct

from penstock_sdk.manifest import this_platform
from penstock_sdk.packages.archive import (
    LIST_NAME,
    PackageError,
    PackageList,
    Progress,
    archive_digest,
    file_sha256,
)
from penstock_sdk.packages.environments import Environment, make_environment, needs_environment
from penstock_sdk.packages.installed import installed_packages, package_folder, plugins_folder, verify_pin
from penstock_sdk.packages.pack import read_manifests
from penstock_sdk.packages.reader import ArchiveReader
from penstock_sdk.packages.reported import report_tier, tried_files

__all__ = ["Installation", "check_archive", "install"]


class Installation(Struct, frozen=True):
    """What `install` did: where the package is, what it holds, its sha256 for plugins.toml, its environment.

    `new` is False when the very same package was there already; one whose files were changed is installed anew.
    """

    folder: str
    sha256: str
    listed: PackageList
    new: bool
    environment: Environment | None = None


def check_archive(archive: Path, progress: Progress | None = None) -> tuple[str, PackageList]:
    """Return an archive's sha256 and list, after every byte of it was checked against the list.

    Raises:
        PackageError: it is not, byte for byte, what `pack` makes of the files that it lists; says what differs.
        OSError: it cannot be read.
    """
    sha256 = file_sha256(archive)
    with ArchiveReader(archive) as opened:
        listed = opened.listed
        try:
            met = archive_digest(listed, opened.open, progress)
        except PackageError as error:
            lines = str(error).splitlines()
            raise PackageError("\n".join(f"{archive}: {line}" for line in lines[:20])) from error
    if met != sha256:
        text = (
            f"{archive}: it holds something else than the plain files of its list: a link, a member more, other rights"
        )
        raise PackageError(f"{text}; make packages by `penstock plugin pack`")
    return sha256, listed


def install(
    archive: Path,
    folder: str | Path | None = None,
    *,
    sha256: str = "",
    environment: bool = True,
    platform: str = "",
    progress: Progress | None = None,
) -> Installation:
    """Install an archive below the folder of plugins; return where.

    Args:
        archive: made by `pack`.
        folder: of plugins; None: see `plugins_folder`.
        sha256: what the archive's must be; "" for any.
        environment: make the Python environment that its wheels or requirements ask for.
        platform: as "linux-x86_64"; "" for this machine's.
        progress: told of the bytes read.

    Raises:
        PackageError: broken, another sha256, for another platform, or that id and version is installed with other
            contents; names both.
        ManifestError: its manifest is faulty.
        OSError: something cannot be read or written.
    """
    root = plugins_folder(folder)
    met, listed = check_archive(archive, progress)
    if sha256 and sha256.removeprefix("sha256:").lower() != met:
        raise PackageError(f"{archive}: its sha256 is {met}, wanted {sha256}; fetch it again from where you trust it")
    platform = platform or this_platform()
    if listed.platforms and platform not in listed.platforms:
        text = f"{archive}: {listed.id} {listed.version} is for {', '.join(listed.platforms)}, this is {platform}"
        raise PackageError(f"{text}; get a package for this machine")
    place = package_folder(root, listed.id, listed.version, met)
    _refuse_another(root, listed, met)
    if new := not _is_sound(place, met):
        _unpack(archive, listed, place)
    made = None
    if environment and needs_environment(place):
        made = make_environment(place, root, progress=progress)
    return Installation(str(place), met, listed, new, made)


def _is_sound(place: Path, sha256: str) -> bool:
    """Return whether the package is there as it was packed; one whose files were changed is put aside."""
    if not place.exists():
        return False
    try:
        verify_pin(place, sha256)
    except PackageError as error:
        try:
            aside = Path(tempfile.mkdtemp(prefix=".broken-", dir=place.parent))
            place.rename(aside / place.name)
        except PermissionError:
            raise PackageError(f"{error}; you may not do that in {place.parent}: let its owner do it") from None
        shutil.rmtree(aside, ignore_errors=True)
        return False
    return True


def _refuse_another(root: Path, listed: PackageList, sha256: str) -> None:
    for other in installed_packages(root)[0]:
        if (other.listed.id, other.listed.version) == (listed.id, listed.version) and other.sha256 != sha256:
            text = f"{listed.id} {listed.version} is installed with other contents: {other.sha256} in {other.folder}"
            raise PackageError(f"{text}, this archive is {sha256}; a changed plugin needs a new version, or remove it")


def _unpack(archive: Path, listed: PackageList, place: Path) -> None:
    """Unpack beside the place and check the manifest there, then rename: nobody sees half a package."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        part = Path(tempfile.mkdtemp(prefix=".installing-", dir=place.parent))
    except PermissionError:
        text = f"{place.parent}: you may not write there; let its owner install it, or name a folder of yours"
        raise PackageError(f"{text} by --folder or PENSTOCK_PLUGINS") from None
    try:
        with ArchiveReader(archive) as opened:
            (part / LIST_NAME).write_bytes(listed.encoded())
            (part / LIST_NAME).chmod(0o444)
            for member in listed.files:
                path = part / member.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member.path) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target)
                path.chmod(0o555 if member.executable else 0o444)
        _verify_unpacked(part, listed)
        for folder, _, _ in os.walk(part, topdown=False):
            Path(folder).chmod(0o755)
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _verify_unpacked(part: Path, listed: PackageList) -> None:
    """Check what was unpacked: the files by their checksums, the manifest by its rules and against the list."""
    archive_digest(listed, lambda name: (part / name).open("rb"))
    plugins = read_manifests(part / listed.manifest)
    met = [(each.id, each.version, each.kind) for each in plugins]
    wanted = [(each.id, each.version, each.kind) for each in listed.plugins]
    if met != wanted or (listed.id, listed.version) != met[0][:2]:
        text = f"{listed.id} {listed.version}: its manifest declares {', '.join(' '.join(each) for each in met)}"
        raise PackageError(f"{text}, its list another; pack it again")
    files = {each.path: part / each.path for each in listed.files if listed.report and each.path != listed.report}
    tier, faults = report_tier(part / listed.report if listed.report else None, plugins, tried_files(files))
    if tier != listed.tier:
        faults.append(f"{listed.id} {listed.version}: its list says tier {listed.tier!r}, its report {tier!r}")
    if faults:
        raise PackageError("\n".join(faults))
