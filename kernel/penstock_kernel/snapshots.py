"""Snapshots: everything that the rest of a run follows from, at one sequence number, on disk.

A file ``snapshots/000000012345.snap`` is a line of JSON (format, seq, versions, SHA-256 of those and of the body) and
the body, as `penstock_sdk.core.state_bytes` packs it. It is complete or not there.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.runs import write_atomically
from penstock_sdk.core.core import plugin_state
from penstock_sdk.core.state_bytes import StateError, pack_state, unpack_state
from penstock_sdk.core.wiring import Slot

__all__ = [
    "SnapshotError",
    "any_snapshot",
    "can_snapshot",
    "load_snapshot",
    "newest_snapshot",
    "save_carry",
    "save_snapshot",
    "thin_snapshots",
]

FORMAT = 1
NEWEST_KEPT = 3


class SnapshotError(ValueError):
    """A snapshot that cannot be used; the run is rebuilt from the journal instead."""


class _Head(msgspec.Struct, frozen=True):
    format: int
    seq: int
    versions: dict[str, str]
    sha256: str


def save_snapshot(folder: Path, seq: int, state: dict[str, Any], versions: dict[str, str]) -> Path:
    """Write *state* as of *seq*; return the file."""
    return _save(folder / f"{seq:012}.snap", seq, state, versions)


def _save(path: Path, seq: int, state: dict[str, Any], versions: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    body = pack_state(state)
    head = _Head(FORMAT, seq, versions, _sha256(seq, versions, body))
    write_atomically(path, msgspec.json.encode(head) + b"\n" + body)
    return path


def save_carry(folder: Path, seq: int, state: dict[str, Any], versions: dict[str, str]) -> Path:
    """Keep the state that a session begins with after event *seq*; written before the session's header is."""
    return _save(folder / f"{seq:012}.carry", seq, state, versions)


def thin_snapshots(folder: Path, every: int) -> None:
    """Remove snapshots that an instance need not keep: all but the newest three, and the first of each *every*.

    What sessions began with (``.carry``) is kept: a session can be replayed from nothing else.
    """
    paths = sorted(folder.glob("[0-9]*.snap"))
    firsts: dict[int, Path] = {}
    for path in paths:
        firsts.setdefault(int(path.stem) // every, path)
    for path in set(paths[:-NEWEST_KEPT]) - set(firsts.values()):
        with suppress(OSError):
            path.unlink()


def any_snapshot(folder: Path, last_seq: int) -> list[Path]:
    """Return the snapshots that the journal reaches, newest first, of whatever versions."""
    found = [*folder.glob("[0-9]*.snap"), *folder.glob("[0-9]*.carry")]
    return sorted((path for path in found if int(path.stem) <= last_seq), key=lambda p: int(p.stem), reverse=True)


def can_snapshot(slot: Slot) -> bool:
    """Return whether a plugin's state can be kept."""
    try:
        pack_state(plugin_state(slot))
    except Exception:
        return False
    return True


def load_snapshot(path: Path, versions: dict[str, str] | None) -> tuple[int, dict[str, Any]]:
    """Return (seq, state). None takes a snapshot of any versions.

    Raises:
        SnapshotError: it is damaged, of another format, or of other versions of the plugins.
    """
    data = path.read_bytes()
    line, _, body = data.partition(b"\n")
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{path} has no readable head: {error}") from None
    if head.format != FORMAT:
        raise SnapshotError(f"{path} has format {head.format}, wanted {FORMAT}")
    if versions is not None and head.versions != versions:
        raise SnapshotError(f"{path} is of versions {head.versions}, wanted {versions}")
    if _sha256(head.seq, head.versions, body) != head.sha256:
        raise SnapshotError(f"{path} is damaged: its SHA-256 is not the one in its head")
    try:
        return head.seq, unpack_state(body)
    except StateError as error:
        raise SnapshotError(f"{path}: {error}") from None


def _sha256(seq: int, versions: dict[str, str], body: bytes) -> str:
    return hashlib.sha256(msgspec.json.encode([FORMAT, seq, versions]) + body).hexdigest()


def newest_snapshot(folder: Path, last_seq: int, versions: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
    """Return the newest usable snapshot that the journal reaches, or None."""
    for path in sorted(folder.glob("[0-9]*.snap"), reverse=True):
        with suppress(SnapshotError, OSError):
            seq, state = load_snapshot(path, versions)
            if seq <= last_seq:
                return seq, state
    return None
