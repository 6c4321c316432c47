"""What is tested: a command that the kit starts, an address that it connects to, or a class in this process."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_sdk.conform.kit import Opener
from penstock_sdk.process.peer import Peer, PeerError

if TYPE_CHECKING:
    from penstock_sdk.manifest import PluginManifest

__all__ = ["AddressOpener", "ClassOpener", "CommandOpener", "TargetError", "manifest_at", "opener_of"]

_ADDRESS = re.compile(r"(unix:.+|\[[0-9a-fA-F:]+\]:\d+|[A-Za-z0-9.-]+:\d+)")
_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class TargetError(ValueError):
    """There is no such thing to test."""


class CommandOpener:
    """Starts a process each time."""

    def __init__(self, command: Sequence[str], *, cwd: str | None = None, env: dict[str, str] | None = None) -> None:
        self.command = tuple(command)
        self.manifest: PluginManifest | None = None
        self.cwd, self._env = cwd, env
        self.kind = ""

    def open(self) -> Peer:
        """Return a started plugin."""
        from penstock_sdk.process.grpc_peer import spawn_peer

        return spawn_peer(self.command, cwd=self.cwd, env=self._env)

    def digest(self) -> str:
        """Return the SHA-256 of the files that the command names; empty where there are none."""
        found = [Path(shutil.which(self.command[0]) or self.command[0])] if self.command else []
        found += [Path(self.cwd or "", each) for each in self.command[1:]]
        files = [path for path in found if path.is_file() and path.resolve() != Path(sys.executable).resolve()]
        return digest_of(files)


class AddressOpener:
    """Connects each time to what serves there; Stop must leave it serving, or the next case finds nobody."""

    command: tuple[str, ...] = ()
    lasting = True
    manifest: PluginManifest | None = None

    def __init__(self, address: str, tls: Any = None) -> None:
        self._address, self._tls = address, tls
        self.kind = ""

    def open(self) -> Peer:
        """Return a connection."""
        from penstock_sdk.process.grpc_peer import connect_peer

        return connect_peer(self._address, tls=self._tls)

    def digest(self) -> str:
        """Return nothing: the files are elsewhere."""
        return ""


class ClassOpener:
    """Makes an object in this process each time."""

    command: tuple[str, ...] = ()

    def __init__(self, cls: type[Any], *, id: str = "", version: str = "", wrap: Callable[[Peer], Peer] | None = None):
        self.cls, self.id, self.version, self._wrap = cls, id or _id_of(cls), version or "0.0.0", wrap
        self.kind = str(cls.kind)
        self.manifest: PluginManifest | None = None

    def open(self) -> Peer:
        """Return a plugin whose engine runs in this process."""
        from penstock_sdk.conform.local_peer import LocalPeer

        peer: Peer = LocalPeer(self.cls, id=self.id, version=self.version)
        return self._wrap(peer) if self._wrap is not None else peer

    def digest(self) -> str:
        """Return the SHA-256 of the file of its class."""
        file = getattr(sys.modules.get(self.cls.__module__), "__file__", None)
        return digest_of([Path(file)] if file else [])


def _id_of(cls: type[Any]) -> str:
    """Return an id for a class that no manifest names: its own name, as ids are written."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower().strip("_")


def digest_of(files: Sequence[Path]) -> str:
    """Return one SHA-256 over files, by name and content; empty for none."""
    if not files:
        return ""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def opener_of(target: Sequence[str], *, tls: Any = None) -> CommandOpener | AddressOpener | ClassOpener:
    """Return what opens a target.

    Args:
        target: the words after ``--``, or one word: ``host:port``, ``unix:path``, ``module:Class``, ``FILE.py``,
            ``FILE.py:Class``, a folder with a plugin.toml (``:ID`` after it where it holds several), or a command.
        tls: for addresses.

    Raises:
        TargetError: it is none of these, or the class cannot be had.
    """
    if len(target) > 1:
        return CommandOpener(target)
    if not target:
        raise TargetError("target met nothing, wanted a command after --, an address, or module:Class")
    word = target[0]
    path = Path(word.rpartition(":")[0] or word) if not Path(word).exists() else Path(word)
    if path.is_dir() or path.suffix == ".py" or path.name == "plugin.toml":
        return _of_files(word, path)
    if word.startswith("unix:") or (_ADDRESS.fullmatch(word) and not _CLASS.fullmatch(word)):
        return AddressOpener(word, tls)
    if _CLASS.fullmatch(word):
        return _of_class(word)
    words = shlex.split(word)
    if not words or shutil.which(words[0]) is None:
        raise TargetError(
            f"target met {word!r}, which is no command, file, folder, address or module:Class; put a command after --"
        )
    return CommandOpener(words)


def _of_files(word: str, path: Path) -> CommandOpener | ClassOpener:
    """Return the opener of a file or a folder: its command where the manifest has one, else its class."""
    if path.suffix == ".py":
        return _of_class(word)
    manifest = manifest_at(word)
    command = _command_of(manifest)
    if not command:
        return _of_class(word)
    opener = CommandOpener(command, cwd=str(path if path.is_dir() else path.parent))
    opener.kind, opener.manifest = manifest.kind, manifest
    return opener


def manifest_at(word: str, plugin_id: str = "") -> PluginManifest:
    """Return the manifest at a folder or plugin.toml; ``:ID`` after it, or *plugin_id*, where that holds several.

    Raises:
        TargetError: there is none, it is faulty, or it holds several and none is named.
    """
    from penstock_sdk.discovery import read_path
    from penstock_sdk.manifest import KINDS, ManifestError

    path = Path(word) if Path(word).exists() or ":" not in word else Path(word.rpartition(":")[0])
    plugin_id = word[len(str(path)) + 1 :] if word.startswith(f"{path}:") else plugin_id
    try:
        manifests = read_path(path, dict.fromkeys(KINDS, (1,)))
    except ManifestError as error:
        raise TargetError(str(error)) from error
    chosen = [each for each in manifests if each.id == plugin_id or not plugin_id]
    if len(chosen) != 1:
        raise TargetError(f"{path} holds {', '.join(m.id for m in manifests)}; name one, as {path}:{manifests[0].id}")
    return chosen[0]


def _manifest_beside(cls: type[Any]) -> PluginManifest | None:
    """Return the manifest that names a class, found beside its file or in a folder of its package above."""
    from penstock_sdk.discovery import read_path
    from penstock_sdk.manifest import KINDS, MANIFEST_NAME, ManifestError

    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if not file:
        return None
    places = [Path(file), *list(Path(file).parents)[: cls.__module__.count(".") + 1]]
    for place in places:
        if place.is_dir() and not (place / MANIFEST_NAME).is_file():
            continue
        try:
            manifests = read_path(place, dict.fromkeys(KINDS, (1,)))
        except ManifestError:
            continue  # a faulty one is `penstock plugin check`'s to tell
        for each in manifests:
            module, _, name = each.class_path.partition(":")
            same = cls.__module__ == module or cls.__module__.rpartition(".")[2] == module.rpartition(".")[2]
            if name == cls.__qualname__ and same:
                return each
    return None


def _command_of(manifest: PluginManifest) -> tuple[str, ...]:
    """Return the command of a manifest for this machine; empty where it names a class."""
    from penstock_sdk.manifest import ManifestError

    try:
        return manifest.command_for()
    except ManifestError as error:
        raise TargetError(str(error)) from error


def _of_class(word: str) -> ClassOpener:
    from penstock_sdk.discovery import PluginImportError
    from penstock_sdk.process.target import load_target

    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        cls, plugin_id, version = load_target(word)
    except (PluginImportError, PeerError) as error:
        raise TargetError(str(error)) from error
    manifest = _manifest_beside(cls)
    if manifest is not None:
        plugin_id, version = plugin_id or manifest.id, version or manifest.version
    opener = ClassOpener(cls, id=plugin_id, version=version)
    opener.manifest = manifest
    return opener


def check_opener(opener: Opener) -> Opener:
    """Return *opener*, typed."""
    return opener
