"""The archive of a plugin: a zip of plain, uncompressed members, the same bytes for the same files everywhere.

Nothing is compressed, for the bytes would depend on the machine's zlib; so the archive's sha256 can be had again from
the files that were unpacked, and a pin in plugins.toml speaks of what runs, not of what was once downloaded. The first
member lists the others with their checksums.
"""

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TypeAlias

import msgspec
from msgspec import Struct

__all__ = [
    "ARCHIVE_BYTES_MAX",
    "ARCHIVE_SUFFIX",
    "FILES_MAX",
    "LIST_NAME",
    "Member",
    "PackageError",
    "PackageList",
    "PackagedPlugin",
    "Progress",
    "archive_digest",
    "file_sha256",
    "name_fault",
    "names_faults",
    "read_list",
    "write_archive",
]

ARCHIVE_SUFFIX = ".penstock.zip"
LIST_NAME = "penstock-package.json"
ARCHIVE_BYTES_MAX = 1 << 29
FILES_MAX = 20_000
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME_BYTES_MAX = 240
LIST_BYTES_MAX = 8 << 20
_FORMAT = 1
_CHUNK = 1 << 20

LOCAL_HEADER = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_UTF8, _STORED, _DAY_ONE, _UNIX = 0x0800, 0, 0x0021, 3
_FILE, _PROGRAM = 0o100644, 0o100755
# What other systems cannot have in a name, and what is no name at all.
_ODD = frozenset('\\:*?"<>|') | {chr(code) for code in (*range(32), 127)}

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told of long work: what is done, bytes or files so far, of how many."""


class PackageError(Exception):
    """A package cannot be made, installed or trusted; a line for each cause, each with its way out."""


class Member(Struct, frozen=True):
    """One file of a package: its path with "/", size, checksum, and whether it is a program."""

    path: str
    bytes: int
    sha256: str
    executable: bool = False


class PackagedPlugin(Struct, frozen=True):
    """One plugin of a package, as its manifest has it."""

    id: str
    version: str
    kind: str


class PackageList(Struct, frozen=True, kw_only=True):
    """What is in a package: the first member of its archive.

    `id` and `version` are those of its first plugin; `platforms` are os-arch names, () where it runs anywhere;
    `manifest` is the path of the plugin.toml, or of the single .py file that holds its own; `report` is that of the
    conformance report, "" without one, and `tier` is what the report says.
    """

    format: int
    id: str
    version: str
    plugins: tuple[PackagedPlugin, ...]
    platforms: tuple[str, ...]
    manifest: str
    licence: str
    report: str
    tier: str
    files: tuple[Member, ...]

    def encoded(self) -> bytes:
        """Return the bytes that stand in the archive."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Counted:
    """Counts and hashes what goes into a sink."""

    def __init__(self, sink: _Sink | None) -> None:
        self.at = 0
        self.sha256 = hashlib.sha256()
        self._sink = sink

    def write(self, data: bytes) -> None:
        self.at += len(data)
        self.sha256.update(data)
        if self._sink is not None:
            self._sink.write(data)


def write_archive(
    listed: PackageList, opened: Callable[[str], IO[bytes]], sink: _Sink | None, progress: Progress | None = None
) -> str:
    """Write the archive of *listed* into *sink* (None: nowhere); return its sha256.

    Args:
        listed: what is in it; the order of its files is the archive's.
        opened: opens a member for reading by its path.
        sink: what the archive is written to.
        progress: told of the bytes written.

    Raises:
        PackageError: a file is not the one that is listed, by its checksum or size; names it.
    """
    out = _Counted(sink)
    central, _ = _member(out, LIST_NAME, False, io.BytesIO(listed.encoded()))
    total = sum(member.bytes for member in listed.files)
    faults = []
    for member in listed.files:
        with opened(member.path) as file:
            entry, sha256 = _member(out, member.path, member.executable, file)
        central += entry
        if sha256 != member.sha256:
            faults.append(f"{member.path} is not the file that was packed; install the package again")
        if progress is not None:
            progress("hashed" if sink is None else "packed", out.at, total)
    if faults:
        raise PackageError("\n".join(faults))
    start = out.at
    out.write(central)
    count = len(listed.files) + 1
    out.write(_END.pack(0x06054B50, 0, 0, count, count, len(central), start, 0))
    return out.sha256.hexdigest()


def archive_digest(listed: PackageList, opened: Callable[[str], IO[bytes]], progress: Progress | None = None) -> str:
    """Return the sha256 that the archive of these files has, reading every one of them; raises as `write_archive`."""
    return write_archive(listed, opened, None, progress)


def read_list(data: bytes, where: str) -> PackageList:
    """Return the list of a package, checked by itself: names, sizes, no file twice.

    Raises:
        PackageError: it is not one that `pack` makes; says at *where*.
    """
    if len(data) > LIST_BYTES_MAX:
        raise PackageError(f"{where}: the list of files has {len(data):,} bytes, at most {LIST_BYTES_MAX:,} are read")
    try:
        head = msgspec.json.decode(data, type=dict)
        if head.get("format") != _FORMAT:
            raise PackageError(
                f"{where}: packed in format {head.get('format')}, this release reads {_FORMAT}; install a newer one"
            )
        listed = msgspec.json.decode(data, type=PackageList)
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        raise PackageError(f"{where}: {LIST_NAME} cannot be read: {error}") from error
    names = [member.path for member in listed.files]
    faults = [*_list_faults(listed), *names_faults(names)]
    if listed.encoded() != data:
        faults.append(f"{LIST_NAME} is not as `penstock plugin pack` writes it")
    if faults:
        raise PackageError("\n".join(f"{where}: {fault}" for fault in faults[:20]))
    return listed


def names_faults(names: Sequence[str]) -> Iterable[str]:
    """Yield what is wrong with the names of members together: odd ones, the same one twice, a file as a folder."""
    first: dict[str, tuple[int, str]] = {}
    for at, name in enumerate(names):
        if fault := name_fault(name):
            yield fault
            continue
        met, other = first.setdefault(name.casefold(), (at, name))
        if met != at:  # some file systems do not tell upper from lower case: two such names would be one file there
            yield f"{name!r} is there twice" if other == name else f"{name!r} and {other!r} differ in case alone"
    for name in names:
        for parent in PurePosixPath(name.casefold()).parents:
            if parent.as_posix() in first:
                yield f"{first[parent.as_posix()][1]!r} is a file and the folder of {name!r}"


def name_fault(name: str) -> str:
    """Return what is wrong with the path of a member, "" when nothing is."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return f"{name!r} leads out of the package; pack what is below its folder"
    if not name or "" in parts or "." in parts or _ODD & set(name) or any(p[-1] in " ." for p in parts if p):
        return f"{name!r} is no plain path; rename it"
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES_MAX:
        return f"{name[:60]!r}... has more than {_NAME_BYTES_MAX} bytes; shorten it"
    return "" if name.isprintable() else f"{name!r} holds what cannot be shown; rename it"


def _list_faults(listed: PackageList) -> Iterable[str]:
    names = {member.path for member in listed.files}
    if not _ID.fullmatch(listed.id) or not VERSION.fullmatch(listed.version):  # they become the folder's name
        yield f"it is {listed.id!r} {listed.version!r}, wanted an id as my_venue and a version as 1.2.0"
    if len(listed.files) > FILES_MAX:
        yield f"{len(listed.files):,} files, at most {FILES_MAX:,} are installed"
    if sum(member.bytes for member in listed.files) > ARCHIVE_BYTES_MAX or any(m.bytes < 0 for m in listed.files):
        yield f"its files are larger than {ARCHIVE_BYTES_MAX:,} bytes together"
    for what in ("manifest", "licence", "report"):
        name = getattr(listed, what)
        if name not in names and (name or what != "report"):
            yield f"the {what} {name or 'is missing'!r} is not among its files"
    if LIST_NAME in names:
        yield f"{LIST_NAME} lists itself"
    if not listed.plugins:
        yield "it holds no plugin"


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _member(out: _Counted, name: str, executable: bool, file: IO[bytes]) -> tuple[bytes, str]:
    """Write one member; return its entry of the central directory, and the sha256 of what it holds."""
    encoded = name.encode()
    digest = hashlib.sha256()
    crc = size = 0
    while chunk := file.read(_CHUNK):
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
        digest.update(chunk)
    file.seek(0)
    at = out.at
    head = (_UTF8, _STORED, 0, _DAY_ONE, crc, size, size, len(encoded), 0)
    out.write(LOCAL_HEADER.pack(0x04034B50, 20, *head) + encoded)
    while chunk := file.read(_CHUNK):
        out.write(chunk)
    mode = (_PROGRAM if executable else _FILE) << 16
    return _CENTRAL.pack(0x02014B50, _UNIX << 8 | 20, 20, *head, 0, 0, 0, mode, at) + encoded, digest.hexdigest()
