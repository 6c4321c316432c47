"""The kernel process of the benches: an instance that is crashed at a chosen event, or sampled every simulated hour.

``python -m penstock_kernel.bench.operate_child desk plugins.toml --runs-dir runs --crash-at 1_000_000``
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from penstock_kernel.instance import Instance
from penstock_kernel.run import RunOptions

__all__ = ["HOUR_NS", "Sample", "main"]

HOUR_NS = 3_600_000_000_000
TYPES_KEPT = 400
LOOK_EVERY_INPUTS = 4


class Sample(msgspec.Struct, kw_only=True):
    """How large an instance is at a simulated hour.

    Attributes:
        hour: hours since 1970, UTC. seq: events so far. session: its number.
        rss_bytes: what the process has in memory. objects: that Python's collector knows.
        fds: open files of the process. cpu_s: CPU time of the process so far.
        journal_bytes, folder_bytes: on disk, the journal, and all that the instance keeps beside it.
        open_orders: that a venue may still execute.
        types: objects by type, the most frequent ones.
    """

    hour: int
    seq: int
    session: int
    rss_bytes: int
    objects: int
    fds: int
    cpu_s: float
    journal_bytes: int
    folder_bytes: int
    open_orders: int
    types: dict[str, int] = {}


class Sampler:
    """Writes a sample whenever another simulated hour has begun, as a line of JSON."""

    def __init__(self, run: Instance, path: Path) -> None:
        self._run, self._path = run, path
        self._hour = run.kernel.moment.now_ns // HOUR_NS

    def turn(self) -> None:
        """Look at the run's time."""
        hour = self._run.kernel.moment.now_ns // HOUR_NS
        if self._run.live and hour > self._hour:
            self._hour = hour
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(self._sample(hour)) + b"\n")

    def _sample(self, hour: int) -> Sample:
        gc.collect()
        kernel, objects = self._run.kernel, gc.get_objects()
        types = Counter(f"{type(item).__module__}.{type(item).__qualname__}" for item in objects)
        journal_bytes, folder_bytes = _sizes(self._run.dir)
        return Sample(
            hour=hour, seq=kernel.cascade.seq, session=kernel.desk.epoch, rss_bytes=_rss_bytes(), objects=len(objects),
            fds=len(os.listdir("/proc/self/fd")), cpu_s=time.process_time(), journal_bytes=journal_bytes,
            folder_bytes=folder_bytes, open_orders=len(kernel.desk.open), types=dict(types.most_common(TYPES_KEPT)),
        )  # fmt: skip


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _sizes(run_dir: Path) -> tuple[int, int]:
    """Return the bytes of the journal, and of everything else."""
    journal = other = 0
    for path in run_dir.rglob("*"):
        if path.is_file():
            if path.suffix == ".pj":
                journal += path.stat().st_size
            else:
                other += path.stat().st_size
    return journal, other


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an instance in simulated time; return 0 when it stopped in order. With ``--crash-at`` it never returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--runs-dir", required=True)
    parser.add_argument("--for", dest="for_s", type=float)
    parser.add_argument("--crash-at", type=int, default=0, help="kill -9 itself once so many events are numbered")
    parser.add_argument("--samples", type=Path, help="append samples to this file")
    options = parser.parse_args(arguments)
    run = Instance.open(
        options.name, options.deployment, RunOptions(runs_dir=options.runs_dir, lake=False, for_s=options.for_s)
    )

    def crash() -> None:
        if run.live and run.kernel.cascade.seq >= options.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if options.crash_at:
        run.observers.append(crash)
    if options.samples:
        run.observers.append(Sampler(run, options.samples).turn)
        # Where little happens, the usual 256 inputs between two looks can be hours.
        vars(run.kernel)["run_simulated"] = partial(run.kernel.run_simulated, turn_every=LOOK_EVERY_INPUTS)
    run.go()
    return int(run.close().status != "complete")


if __name__ == "__main__":
    sys.exit(main())
