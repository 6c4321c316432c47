"""Checkpoints: small files beside the segments that say where recovery may begin to read.

A checkpoint names a batch in which the digest chain was begun anew, and the 32 bytes it was begun with. From there on
recovery checks every CRC and the whole chain, as it does from the beginning; what lies before was synced, and checked
by whoever wrote it, when the checkpoint was made. The chain itself proves a checkpoint: unless its 32 bytes are the
digest of all that came before, the first commit after it does not agree.

A file ``000000065536.check`` (the number of the first frame of that stretch) is a line of JSON and a line with its
SHA-256. It is a help, never the truth: one that is damaged, of another run or another journal is passed over, and
without any the whole journal is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from penstock_kernel.journal_files import FileLayer, sync_directory, write_all
from penstock_sdk.wire.segment_chain import Restart
from penstock_sdk.wire.segment_walk import Place

__all__ = ["Checkpoint", "clear_checkpoints", "read_checkpoints", "write_checkpoint"]

FORMAT: Final = 1
_KEPT: Final = 2
_BYTES_MAX: Final = 4096


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where recovery may begin, and what was synced when that was written down.

    Attributes:
        run: identity of the run. segment, offset: the batch in which the chain was begun anew.
        restart_seq, seed: the first frame of the new stretch, and the digest before it (32 bytes, hex).
        synced_seq: highest number known synced; synced_segment, synced_offset: where its batch ends.
    """

    format: int = FORMAT
    run: int
    segment: int
    offset: int
    restart_seq: int
    seed: str
    synced_seq: int
    synced_segment: int
    synced_offset: int

    @property
    def place(self) -> Place:
        """Where a pass over the journal begins."""
        return Place(self.segment, self.offset, Restart(self.restart_seq, bytes.fromhex(self.seed)))

    def pack(self) -> bytes:
        """Return the file's bytes."""
        line = msgspec.json.encode(self)
        return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"

    @classmethod
    def unpack(cls, data: bytes) -> Checkpoint | None:
        """Return the checkpoint, or None where the bytes are not those of one: damaged, cut, of another format."""
        line, _, rest = data.partition(b"\n")
        if rest != hashlib.sha256(line).hexdigest().encode() + b"\n":
            return None
        try:
            found = msgspec.json.decode(line, type=cls)
            return found if found.format == FORMAT and len(bytes.fromhex(found.seed)) == 32 else None
        except (msgspec.MsgspecError, ValueError):
            return None


def write_checkpoint(directory: Path, checkpoint: Checkpoint, files: FileLayer = os) -> Path:
    """Write one; return its file. It is there whole and synced, or not at all. Of older ones the newest is kept.

    Raises:
        OSError: as the system said; those there were are untouched then.

    Cost: two syncs of a small file and a folder.
    """
    path = directory / f"{checkpoint.restart_seq:012d}.check"
    new = f"{path}.new"
    fd = files.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(files, fd, checkpoint.pack())
        files.fsync(fd)
    finally:
        files.close(fd)
    files.rename(new, str(path))
    sync_directory(files, directory)
    for old in _files(directory)[_KEPT:]:
        with contextlib.suppress(OSError):
            files.unlink(str(old))
    return path


def read_checkpoints(directory: Path) -> list[tuple[Path, Checkpoint | None]]:
    """Return every file and the checkpoint in it, None for one that cannot be read; the newest first."""
    return [(path, _read(path)) for path in _files(directory)]


def clear_checkpoints(paths: list[Path], files: FileLayer = os) -> None:
    """Remove files that led nowhere; one that cannot be removed stays, it is passed over again."""
    for path in paths:
        with contextlib.suppress(OSError):
            files.unlink(str(path))


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9]*.check"), reverse=True)


def _read(path: Path) -> Checkpoint | None:
    try:
        with path.open("rb") as file:
            found = Checkpoint.unpack(file.read(_BYTES_MAX))
    except OSError:
        return None
    return found if found is not None and path.name == f"{found.restart_seq:012d}.check" else None
