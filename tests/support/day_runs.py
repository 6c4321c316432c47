"""What the tests of whole days share: small deployments, `penstock` as a process, journals read plainly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.segment import read_frames

ROOT = Path(__file__).parents[2]
DEADLINE_S = 100.0

SMALL = {
    "exchange": "orders_per_day = 8_000\nstep_s = 60.0",
    "mm_de": "requote_s_min = 60.0",
}
"""A day of some hundred thousand events: the default with fewer traders that act less often."""
TIGHT = {"mm_de": "position_max_lots = 25", "reversion_de": "position_max_lots = 15"}
"""Limits that the market maker's own restraint (40 lots) does not keep it clear of."""


def deployment(
    folder: Path,
    config: Mapping[str, str],
    limits: Mapping[str, str] | None = None,
    include: Path = ROOT / "plugins.toml",
) -> Path:
    """Write a deployment into *folder* that changes another one; values are the TOML lines of a plugin's table."""
    lines = [f'include = ["{include}"]']
    lines += [f"[plugins.{name}.config]\n{text}" for name, text in config.items()]
    lines += [f"[plugins.{name}.limits]\n{text}" for name, text in (limits or {}).items()]
    path = folder / "changed.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def wait_for(condition: Callable[[], Any], what: str, nap_s: float = 0.05) -> Any:
    """Return the condition's value once it is true; fail when that takes too long."""
    until = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < until, f"waited {DEADLINE_S} s in vain for {what}"
        time.sleep(nap_s)
    return value


class Finished(NamedTuple):
    """A process that has ended, and what it left."""

    status: int
    out: str
    err: str
    left: list[str]
    """Commands that still ran in its session when it had ended."""


def penstock(*arguments: str | Path, cwd: Path, **env: str) -> Finished:
    """Run `penstock` in a session of its own, so that whatever it leaves behind can be told from the rest."""
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_kernel.cli.main", *map(str, arguments)],
        cwd=cwd, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return Finished(process.returncode, out, err, session_commands(process.pid))


def session_commands(session: int) -> list[str]:
    """Return the commands of the processes whose session is *session*, those that have ended left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name before it may hold anything
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append((stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended in the meantime
            continue
    return found


class Entry(NamedTuple):
    """One record of a journal."""

    seq: int
    at_ns: int
    cause_seq: int
    record: Any


class DayRun:
    """A run's folder, and its journal as plain records."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = run_dir

    @cached_property
    def info(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        return dict(json.loads((self.dir / "run.json").read_text()))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` says."""
        return dict(json.loads((self.dir / "summary.json").read_text()))

    @cached_property
    def entries(self) -> list[Entry]:
        """Every record of the journal, frames expanded."""
        return list(read_entries(self.dir))

    def of(self, *kinds: type) -> list[Entry]:
        """Return the records of some types, in order."""
        return [entry for entry in self.entries if type(entry.record) in kinds]

    def records(self, kind: type) -> list[Any]:
        """Return the records of one type, without their numbers."""
        return [entry.record for entry in self.of(kind)]


def read_entries(run_dir: Path) -> Iterator[Entry]:
    """Yield every record of a run's journal, which may still grow; what stands after its last commit is left out."""
    for frame in read_frames(run_dir / "journal"):
        layout = schema_by_id(frame.schema_id)
        records = layout.unpack_many(bytes(frame.body)) if layout.packed else [layout.unpack(bytes(frame.body))]
        for number, record in enumerate(records):
            yield Entry(frame.seq + number, frame.at_ns, frame.cause_seq, record)


def only_run(runs_dir: Path) -> DayRun:
    """Return the one run in a folder of runs."""
    (run_dir,) = (path.parent for path in runs_dir.glob("*/run.json"))
    return DayRun(run_dir)
