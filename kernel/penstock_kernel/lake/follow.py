"""The lake process: follows a run's journal while it grows, and closes the lake when the run ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from penstock_kernel.lake.tail import Place, Tail, journal_end
from penstock_kernel.lake.writer import LakeError, LakeWriter, Manifest, read_manifest
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.runs import RunError, RunInfo, RunPaths
from penstock_sdk.events import RunEnd
from penstock_sdk.schema import layout_of
from penstock_sdk.wire.segment import Batch, JournalCorrupt, JournalError, Walk

__all__ = ["follow", "rebuild"]

_POLL_S: Final = 0.1
_FLUSH_S: Final = 2.0
_LOCK_S: Final = 10.0
_RUN_END: Final = layout_of(RunEnd).id


def rebuild(run_dir: Path) -> Path:
    """Make the lake of a run anew from its journal; return the path of ``run.duckdb``.

    Every CRC and the digest chain are checked on the way; a torn tail is left out. What stood before can be asked until
    the new lake is whole, and stays when it cannot be made.

    Raises:
        LakeError: the run's lake process is at work, or there is no journal.
        JournalCorrupt: the journal is not what was written.

    Cost: some 2 µs an event on one core.
    """
    with _lock(run_dir):
        writer = LakeWriter(run_dir, keep=True)
        try:
            learn_own_records(run_dir)
            for batch, segment in _walk(run_dir):
                writer.add(batch, segment)
            return writer.close()
        except BaseException:
            writer.abandon()
            raise


def _walk(run_dir: Path) -> Iterator[tuple[Batch, int]]:
    """Yield each batch of an ended journal, checked, and the number of the segment it stands in."""
    try:
        walk = Walk(RunPaths(run_dir).journal)
    except JournalError as error:
        raise LakeError(str(error)) from None
    for batch in walk.batches():
        yield batch, walk.index
    if walk.torn_commits:  # as `verify` judges: bad bytes with whole commits behind them are no torn tail
        what = f"{walk.torn}, yet {walk.torn_commits} commits follow"
        raise JournalCorrupt(walk.path, walk.end, what, seq=walk.last_seq + 1)


@contextlib.contextmanager
def _lock(run_dir: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the run's lake: one writer at a time. A writer whose kernel died leaves within a moment."""
    lake = RunPaths(run_dir).lake
    lake.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + wait_s
    with (lake / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise LakeError(f"the lake of {run_dir} is being written by another process; wait for it") from None
                time.sleep(_POLL_S)
        yield


class _Ending:
    """Says when the journal will not grow any more."""

    def __init__(self, run_dir: Path, stop: threading.Event) -> None:
        self.run_dir = run_dir
        self.stop = stop
        self.parent = os.getppid()
        self._seen = False

    def see(self, batch: Batch) -> None:
        """Note a `RunEnd`: it is the last record of a complete run."""
        if batch.starts:
            self._seen = int.from_bytes(batch.data[batch.starts[-1] + 4 :][:2], "little") == _RUN_END

    def told(self) -> bool:
        """Return whether ``run.json`` says that the run has ended, or this process was asked to finish."""
        if self._seen or self.stop.is_set():
            return True
        try:
            return RunInfo.load(self.run_dir).status != "running"
        except RunError:
            return False

    def orphaned(self) -> bool:
        """Return whether the kernel that started this process is gone."""
        return os.getppid() != self.parent


def follow(
    run_dir: Path,
    *,
    stop: threading.Event | None = None,
    wait: Callable[[float], object] = time.sleep,
    flush_s: float = _FLUSH_S,
) -> Path | None:
    """Write the lake of a run while its journal grows; return the path of ``run.duckdb`` at its end.

    The end is a `RunEnd` record, a ``run.json`` whose status is no longer ``running``, or *stop* being set (SIGTERM):
    then what is committed is taken and the lake is closed. When the kernel dies without a word, the partitions stay as
    they are and None is returned: its next start, or `rebuild`, makes the lake anew.

    Args:
        run_dir: the run's folder.
        stop: set from outside to finish now.
        wait: waits so many seconds between polls.
        flush_s: how old events may get before readers see them.

    Raises:
        JournalCorrupt: a committed frame is damaged.
        LakeError: another process writes this lake.

    Cost: some 2 µs an event.
    """
    ending = _Ending(run_dir, stop or threading.Event())
    with _lock(run_dir, _LOCK_S):
        writer, tail = _writer_and_tail(run_dir)
        flushed_s = time.monotonic()
        learnt = False
        try:
            while True:
                ended, orphaned = ending.told(), ending.orphaned()  # asked before reading: then nothing is missed
                quiet = True
                for batch in tail.poll():
                    learnt = learnt or learn_own_records(run_dir)
                    writer.add(batch, tail.place.segment)
                    quiet = False
                    ending.see(batch)
                if quiet and (ended or orphaned):
                    return _finish(writer, ended)
                if time.monotonic() - flushed_s >= flush_s:
                    writer.flush()
                    flushed_s = time.monotonic()
                if quiet:
                    wait(_POLL_S)
        except BaseException:
            writer.abandon()
            raise


def _writer_and_tail(run_dir: Path) -> tuple[LakeWriter, Tail]:
    """Return where to go on: an instance's lake from where it ends, a run's from its beginning."""
    paths = RunPaths(run_dir)
    if not _is_instance(run_dir):
        return LakeWriter(run_dir), Tail(paths.journal)
    try:
        manifest = read_manifest(paths.lake)
    except msgspec.MsgspecError:  # damaged: it is made anew
        manifest = Manifest()
    place = manifest.place
    if place is None or not _reaches(paths.journal, place, manifest.last_seq):
        return LakeWriter(run_dir, after=Manifest()), Tail(paths.journal)
    return LakeWriter(run_dir, after=manifest), Tail(paths.journal, place)


def _is_instance(run_dir: Path) -> bool:
    try:
        return bool(RunInfo.load(run_dir).instance)
    except RunError:
        return False


def _reaches(journal: Path, place: Place, last_seq: int) -> bool:
    """Return whether the journal holds all that a lake was made from: a power loss may have taken its end."""
    if place > journal_end(journal):
        return False
    following = next(Tail(journal, place).poll(), None)
    return following is None or following.commit.first_seq == last_seq + 1


def _finish(writer: LakeWriter, ended: bool) -> Path | None:
    if ended:
        return writer.close()
    writer.flush()
    writer.abandon()
    return None
