"""How long the disk will do: bytes a run writes in a day, days left, and when to call it low.

    watch = DiskWatch(run_dir, begun_ns=info.started_ns)
    forecast = watch.sample(now_ns)         # wall time; looks at the disk every half minute at most
    if forecast.changed and forecast.low: ...

Counted is all that a run leaves in its folder: journal, lake, snapshots, ``audit.jsonl``, ``log.txt``. What was written
before this process began is read off the files themselves: a segment was written between the end of the one before it
and its own last change, any other file between the run's start and its last change. So a restart forgets nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

__all__ = [
    "DiskForecast",
    "DiskLimits",
    "DiskSample",
    "DiskWatch",
    "Written",
    "find_written",
    "forecast",
    "history",
    "low_reason",
]

_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS
_WINDOW_NS: Final = _DAY_NS
_SPAN_MIN_NS: Final = 600 * _SECOND_NS
_EVERY_NS: Final = 30 * _SECOND_NS
_POINTS: Final = 96


class DiskSample(NamedTuple):
    """Bytes in the run's folder at one moment of wall time."""

    at_ns: int
    used_bytes: int


class Written(NamedTuple):
    """One file: its bytes, and between which moments they were written."""

    size_bytes: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """When a disk is low: so few days left, or so few bytes free. It has room again at *clear_ratio* times both."""

    low_days: float = 3.0
    low_bytes: int = 2 << 30
    clear_ratio: float = 1.25


@dataclass(frozen=True, slots=True)
class DiskForecast:
    """What is to be expected.

    Attributes:
        at_ns: wall time of the look. used_bytes: in the run's folder. free_bytes: on its file system, for this user.
        bytes_per_day: growth over the last day; None before ten minutes are known.
        days_left: free_bytes at that rate; None where the rate is unknown or nothing grows.
        low: what there is to say about it, "" when there is room. changed: low began or ended with this look.
    """

    at_ns: int
    used_bytes: int
    free_bytes: int
    bytes_per_day: int | None
    days_left: float | None
    low: str = ""
    changed: bool = False


class _Room(Protocol):
    @property
    def f_bavail(self) -> int: ...
    @property
    def f_frsize(self) -> int: ...


def forecast(samples: Sequence[DiskSample], free_bytes: int, *, window_ns: int = _WINDOW_NS) -> DiskForecast:
    """Return rate and days left from samples in order of time; only those of the last *window_ns* count.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("samples is empty; a forecast wants the one of now")
    now = samples[-1]
    first = next(sample for sample in samples if sample.at_ns >= now.at_ns - window_ns)
    span_ns = now.at_ns - first.at_ns
    bytes_per_day = None
    if span_ns >= _SPAN_MIN_NS:
        bytes_per_day = max(0, (now.used_bytes - first.used_bytes) * _DAY_NS // span_ns)
    days_left = free_bytes / bytes_per_day if bytes_per_day else None
    return DiskForecast(now.at_ns, now.used_bytes, free_bytes, bytes_per_day, days_left)


def low_reason(found: DiskForecast, limits: DiskLimits, *, was_low: bool) -> str:
    """Return why the disk is low, "" when it is not; one that was low stays so until there is clearly room again."""
    ratio = limits.clear_ratio if was_low else 1.0
    if found.free_bytes < limits.low_bytes * ratio:
        return f"{found.free_bytes} bytes free, wanted {int(limits.low_bytes * ratio)}"
    if found.days_left is not None and found.days_left < limits.low_days * ratio:
        return (
            f"{found.days_left:.1f} days left at {found.bytes_per_day} bytes a day, wanted {limits.low_days * ratio:g}"
        )
    return ""


def history(files: Iterable[Written], begun_ns: int, now_ns: int) -> list[DiskSample]:
    """Return how the folder grew from *begun_ns* up to *now_ns*, as its files tell it; evenly spaced in time.

    Each file counts as written evenly between its two moments.
    """
    if now_ns <= begun_ns:
        return []
    known = list(files)
    moments = [begun_ns + (now_ns - begun_ns) * point // _POINTS for point in range(_POINTS)]
    return [DiskSample(at_ns, sum(_by(file, at_ns) for file in known)) for at_ns in moments]


def _by(file: Written, at_ns: int) -> int:
    """Return the bytes of a file that were there at *at_ns*."""
    if at_ns >= file.to_ns:
        return file.size_bytes
    if at_ns <= file.from_ns:
        return 0
    return file.size_bytes * (at_ns - file.from_ns) // (file.to_ns - file.from_ns)


def find_written(run_dir: Path, begun_ns: int) -> list[Written]:
    """Return every file under *run_dir*; links count as what they lead to, what vanishes meanwhile does not count.

    Cost: some 3 µs a file.
    """
    found: list[Written] = []
    segments: list[tuple[str, os.stat_result]] = []
    for folder, _, names in os.walk(run_dir):
        for name in names:
            try:
                stat = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            if name.endswith(".pj"):
                segments.append((name, stat))
            else:
                found.append(Written(stat.st_size, min(begun_ns, stat.st_mtime_ns), stat.st_mtime_ns))
    from_ns = begun_ns
    for _, stat in sorted(segments, key=lambda item: item[0]):
        found.append(Written(stat.st_size, min(from_ns, stat.st_mtime_ns), stat.st_mtime_ns))
        from_ns = stat.st_mtime_ns
    return found


class DiskWatch:
    """Looks at a run's folder now and then; keeps a day of what it saw.

    Args:
        run_dir: the run's folder. begun_ns: wall time of the run's first start.
        limits: when to call the disk low.
        statvfs: asked for the room; a test passes its own.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        begun_ns: int,
        limits: DiskLimits = DiskLimits(),
        window_ns: int = _WINDOW_NS,
        every_ns: int = _EVERY_NS,
        statvfs: Callable[[Path], _Room] = os.statvfs,
    ) -> None:
        self._run_dir, self._begun_ns, self._limits = run_dir, begun_ns, limits
        self._window_ns, self._every_ns, self._statvfs = window_ns, every_ns, statvfs
        self._samples: list[DiskSample] = []
        self._last: DiskForecast | None = None

    def sample(self, now_ns: int) -> DiskForecast:
        """Return what is to be expected at *now_ns*, wall time; between two looks the last answer, not changed.

        Raises:
            OSError: the run's folder is gone.

        Cost: some ms for a thousand files, every half minute; nothing between.
        """
        last = self._last
        if last is not None and 0 <= now_ns - last.at_ns < self._every_ns:
            return DiskForecast(
                last.at_ns, last.used_bytes, last.free_bytes, last.bytes_per_day, last.days_left, last.low
            )
        files = find_written(self._run_dir, self._begun_ns)
        if last is None or now_ns < last.at_ns:  # the first look, or the clock stepped back
            self._samples = history(files, max(self._begun_ns, now_ns - self._window_ns), now_ns)
        self._samples.append(DiskSample(now_ns, sum(file.size_bytes for file in files)))
        self._thin(now_ns)
        room = self._statvfs(self._run_dir)
        found = forecast(self._samples, room.f_bavail * room.f_frsize, window_ns=self._window_ns)
        was_low = bool(last is not None and last.low)
        low = low_reason(found, self._limits, was_low=was_low)
        self._last = DiskForecast(
            found.at_ns, found.used_bytes, found.free_bytes, found.bytes_per_day, found.days_left, low,
            bool(low) != was_low,
        )  # fmt: skip
        return self._last

    def _thin(self, now_ns: int) -> None:
        """Keep a few hundred samples of the window, whatever the pace they are taken at."""
        self._samples = [sample for sample in self._samples if sample.at_ns >= now_ns - self._window_ns]
        if len(self._samples) > 4 * _POINTS:
            self._samples = [*self._samples[:-1:2], self._samples[-1]]
