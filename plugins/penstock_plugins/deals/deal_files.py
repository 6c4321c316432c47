"""The files that a deployment names, read off the kernel's thread; what was read is journaled: a replay needs none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["COUNTERPARTIES", "DEALS", "TRADES", "FileText", "read_files"]

COUNTERPARTIES, DEALS, TRADES = "counterparties", "deals", "trades"
_BYTES_MAX = 16 << 20


class FileText(NamedTuple):
    """A file as it was read; with an error no text."""

    role: str
    name: str
    text: str
    error: str


def read_files(folder: str, wanted: list[tuple[str, str]]) -> list[FileText]:
    """Return the text of each (role, name), in order; names are relative to *folder*. It is run as a task."""
    return [_read(role, name, Path(folder) / name) for role, name in wanted]


def _read(role: str, name: str, path: Path) -> FileText:
    try:
        if path.stat().st_size > _BYTES_MAX:
            return FileText(role, name, "", f"it has more than {_BYTES_MAX >> 20} MiB; split it")
        return FileText(role, name, path.read_text(encoding="utf-8-sig"), "")
    except UnicodeDecodeError as error:
        return FileText(role, name, "", f"it is no UTF-8 at byte {error.start}; save it as UTF-8")
    except OSError as error:
        return FileText(role, name, "", f"it cannot be read: {error.strerror or error}")
