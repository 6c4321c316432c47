"""The cells file: a kernel's counters as plain integers that other processes map and read.

```
0     magic, size, lock, directory_bytes, pid        i64 each
4096  directory: JSON, [[metric, [label values], first cell], …]
…     cells: i64
```
The writer makes ``lock`` odd, writes, and makes it even again; a reader that met an odd one, or another one after
reading, reads again. So what is read is of one moment. A kernel that died while it wrote leaves an odd lock, and its
next start a new file.
"""

from __future__ import annotations

import mmap
import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_kernel.telemetry.histogram import BUCKETS, Histogram
from penstock_kernel.telemetry.metrics import METRIC_BY_NAME, Metric

__all__ = ["CellsError", "CellsReader", "CellsWriter", "Series", "Values"]

MAGIC: Final = 0x5043_454C_4C53_0001
DIRECTORY_AT: Final = 4_096
DIRECTORY_BYTES: Final = 1 << 18
CELLS_AT: Final = DIRECTORY_AT + DIRECTORY_BYTES
CELLS: Final = 1 << 16
SIZE: Final = CELLS_AT + 8 * CELLS
_MAGIC, _SIZE, _LOCK, _USED, _PID = range(5)
_ATTEMPTS: Final = 1_000

Key = tuple[str, tuple[str, ...]]
Values = dict[Key, int]
"""Values by (metric, label values)."""
_DIRECTORY = msgspec.json.Decoder(list[tuple[str, tuple[str, ...], int]])


class CellsError(Exception):
    """A cells file that cannot be read as one."""


class Series(NamedTuple):
    """One series as read: ``value`` of a counter or gauge, ``counts`` and ``sum_ns`` of a histogram."""

    metric: Metric
    labels: tuple[str, ...]
    value: int
    counts: npt.NDArray[np.int64] | None = None


class CellsWriter:
    """The kernel's side. It is never asked for more than there is room for: what finds none is counted."""

    def __init__(self, path: Path) -> None:
        """Make *path* anew: readers of an older kernel's file keep that.

        Raises:
            OSError: it cannot be made.
        """
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)  # a page that finds no room later would end the kernel by a signal
            self._map = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        self._head = memoryview(self._map)[:DIRECTORY_AT].cast("q")
        self._cells = memoryview(self._map)[CELLS_AT:].cast("q")
        self._head[_SIZE], self._head[_PID] = SIZE, os.getpid()
        self._head[_MAGIC] = MAGIC
        fresh.replace(path)
        self._places: dict[Key, int] = {}
        self._refused: set[Key] = set()
        self._next = 0
        self._directory_bytes = 2

    @property
    def dropped(self) -> int:
        """How many series found no room."""
        return len(self._refused)

    def write(self, values: Values, histograms: dict[Key, Histogram]) -> None:
        """Write all values, as of one moment. Cost: some 0.15 µs a value and 3 µs a histogram."""
        known = len(self._places)
        for key in values:
            if key not in self._places:
                self._add(key, 1)
        for key in histograms:
            if key not in self._places:
                self._add(key, BUCKETS + 1)
        head, cells, places = self._head, self._cells, self._places
        head[_LOCK] += 1
        if len(places) != known:
            self._write_directory()
        if self._refused:
            for key, value in values.items():
                if key in places:
                    cells[places[key]] = value
        else:
            for key, value in values.items():
                cells[places[key]] = value
        for key, histogram in histograms.items():
            if key in places:
                at = places[key]
                cells[at] = histogram.sum_ns
                cells[at + 1 : at + 1 + BUCKETS] = memoryview(histogram.counts)
        head[_LOCK] += 1

    def _add(self, key: Key, size: int) -> None:
        if key in self._refused:
            return
        entry_bytes = len(msgspec.json.encode([*key, CELLS])) + 1
        if self._next + size > CELLS or self._directory_bytes + entry_bytes > DIRECTORY_BYTES:
            self._refused.add(key)
            return
        self._places[key] = self._next
        self._next += size
        self._directory_bytes += entry_bytes

    def _write_directory(self) -> None:
        text = msgspec.json.encode([[*key, at] for key, at in self._places.items()])
        self._map[DIRECTORY_AT : DIRECTORY_AT + len(text)] = text
        self._head[_USED] = len(text)

    def close(self) -> None:
        """Let go of the mapping; the file stays, with the last values."""
        self._head.release()
        self._cells.release()
        self._map.close()


class CellsReader:
    """Another process's side.

    Raises:
        FileNotFoundError: no kernel has written there yet.
        CellsError: the file is no cells file of this version.
    """

    def __init__(self, path: Path, pause: Callable[[float], object] = time.sleep) -> None:
        self._path, self._pause = path, pause
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != SIZE:
                raise CellsError(f"{path} has not {SIZE} bytes; it was written by another version")
            self._inode = os.fstat(file.fileno()).st_ino
            self._map = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
        self._head = memoryview(self._map)[:DIRECTORY_AT].cast("q")
        if self._head[_MAGIC] != MAGIC:
            raise CellsError(f"{path} begins with {self._head[_MAGIC]:#x}, wanted {MAGIC:#x}; it is of another version")

    @property
    def pid(self) -> int:
        """The process that writes it."""
        return self._head[_PID]

    @property
    def replaced(self) -> bool:
        """True when a later kernel writes another file of the same name."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def read(self) -> list[Series]:
        """Return all series as of one moment; of metrics that this version knows.

        Raises:
            CellsError: the kernel died while it wrote, or it never pauses; the values would not fit each other.
        """
        for attempt in range(_ATTEMPTS):
            before = self._head[_LOCK]
            if not before & 1:
                text = self._map[DIRECTORY_AT : DIRECTORY_AT + self._head[_USED]]
                cells = np.frombuffer(self._map[CELLS_AT:], np.int64)
                if self._head[_LOCK] == before:
                    return list(_series(text, cells)) if text else []
            self._pause(0.0 if attempt < 10 else 0.001)
        raise CellsError(f"{self._path} was being written {_ATTEMPTS} times; its kernel died in the middle")

    def close(self) -> None:
        """Let go of the mapping."""
        self._head.release()
        self._map.close()


def _series(text: bytes, cells: npt.NDArray[np.int64]) -> list[Series]:
    found = []
    for name, labels, at in _DIRECTORY.decode(text):
        metric = METRIC_BY_NAME.get(name)
        if metric is None:
            continue
        counts = cells[at + 1 : at + 1 + BUCKETS] if metric.kind == "histogram" else None
        found.append(Series(metric, labels, int(cells[at]), counts))
    return found


assert array("q").itemsize == 8
