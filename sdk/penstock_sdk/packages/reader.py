"""Reads an archive by its list alone: of the zip's own tables, which can say anything, nothing is asked."""

import io
from pathlib import Path
from typing import IO, cast

from penstock_sdk.packages.archive import (
    ARCHIVE_BYTES_MAX,
    LIST_BYTES_MAX,
    LIST_NAME,
    LOCAL_HEADER,
    PackageError,
    PackageList,
    read_list,
)

__all__ = ["ArchiveReader"]


class ArchiveReader:
    """An archive opened for reading; `listed` is its list, checked by itself.

    Where each member is follows from the list, as `write_archive` puts them; what the zip says of itself is not asked,
    so a zip that says one thing to us and another to others is found by its digest alone.

    Raises:
        PackageError: the file does not begin as `pack` makes it, or its list is faulty.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self.listed, start = self._read_head()
        except BaseException:
            self._file.close()
            raise
        self._at: dict[str, tuple[int, int]] = {}
        for member in self.listed.files:
            start += LOCAL_HEADER.size + len(member.path.encode())
            self._at[member.path] = (start, member.bytes)
            start += member.bytes

    def open(self, name: str) -> IO[bytes]:
        """Return a listed member, opened for reading; it ends where the archive does."""
        return cast("IO[bytes]", _Slice(self._file, *self._at[name]))

    def __enter__(self) -> "ArchiveReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read_head(self) -> tuple[PackageList, int]:
        """Return the list, and where it ends."""
        size = self._path.stat().st_size
        if size > ARCHIVE_BYTES_MAX + 2 * LIST_BYTES_MAX:
            raise PackageError(f"{self._path}: {size:,} bytes, at most {ARCHIVE_BYTES_MAX:,} are installed")
        head = self._file.read(LOCAL_HEADER.size + len(LIST_NAME))
        if len(head) < LOCAL_HEADER.size + len(LIST_NAME) or head[LOCAL_HEADER.size :] != LIST_NAME.encode():
            text = f"{self._path}: no package: its first member is not {LIST_NAME}"
            raise PackageError(f"{text}; make packages by `penstock plugin pack`")
        list_bytes = LOCAL_HEADER.unpack_from(head)[8]
        data = self._file.read(min(list_bytes, LIST_BYTES_MAX + 1))
        return read_list(data, str(self._path)), self._file.tell()


class _Slice(io.RawIOBase):
    """A part of an open file, read as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._done = file, start, size, 0

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes from where the last read ended."""
        self._file.seek(self._start + self._done)
        left = self._size - self._done
        data = self._file.read(left if size < 0 else min(size, left))
        self._done += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to *offset* from the part's start; return it."""
        assert whence == 0
        self._done = offset
        return offset
