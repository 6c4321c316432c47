"""What the end-to-end tests share: deployments of the small market, child processes, the witness, journals read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.segment import read_frames

SUPPORT = Path(__file__).parent
DEADLINE_S = 60.0
"""Nothing that is waited for takes this long; reaching it fails the test."""


def deployment(
    folder: Path, *, clock: str = "sim", venue: str = "loop_inner_venue", socket: str = "", run: str = "",
    limits: str = "qty_max_lots = 50", topics: str = "", ticker: str = "", strategy: str = "", more: str = "",
) -> Path:  # fmt: skip
    """Write a plugins.toml of the small market into *folder*; return it. Strings are TOML lines of their tables."""
    plugins = {
        "venue": (venue, f'socket = "{socket}"' if socket else ""),
        "ticker": ("loop_ticker", ticker),
        "check": ("loop_check", ""),
        "churner": ("loop_churner", strategy),
    }
    if socket:
        plugins["acker"] = ("loop_acker", f'socket = "{socket}"')
    tables = [
        f'[plugins.{name}]\nuse = "{use}"\npath = "{SUPPORT}"\n[plugins.{name}.config]\n{config}\n'
        for name, (use, config) in plugins.items()
    ]
    head = f'[run]\nclock = "{clock}"\ndelivery_day = "2099-01-02"\nruns_dir = "{folder / "runs"}"\n{run}\n'
    path = folder / "plugins.toml"
    path.write_text(f"{head}{topics}\n[limits]\n{limits}\n" + "\n".join(tables) + more)
    return path


def wait_for(condition: Callable[[], Any], what: str, nap_s: float = 0.002) -> Any:
    """Return the condition's value once it is true; fail when that takes too long."""
    until = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < until, f"waited {DEADLINE_S} s in vain for {what}"
        time.sleep(nap_s)
    return value


class Child:
    """A `penstock` process, its output in a file; one that a failed test left behind ends with that test."""

    left: ClassVar[list[Child]] = []

    def __init__(self, folder: Path, *arguments: str, **options: Any) -> None:
        self.output = folder / "output.txt"
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "penstock_kernel.cli.main", *arguments], stdout=out, stderr=out, **options
            )
        self.left.append(self)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status, -9 when it was killed."""
        return self.process.wait(DEADLINE_S)

    def kill(self) -> int:
        """Kill it, if it still lives; return the exit status."""
        self.process.kill()
        return self.wait()

    @classmethod
    def end_all(cls) -> None:
        """Kill what still runs, so that one failed test is one failed test."""
        while cls.left:
            cls.left.pop().kill()

    def text(self) -> str:
        """Return what it has printed."""
        return self.output.read_text()


def run_child(folder: Path, path: Path, *more: str, **options: Any) -> Child:
    """Start a new run of a deployment."""
    return Child(
        folder, "run", str(path), "--quiet", "--no-report", "--runs-dir", str(folder / "runs"), *more, **options
    )


def resume_child(folder: Path, *more: str, **options: Any) -> Child:
    """Go on with the only run in *folder*."""
    run = str(only_run(folder))
    return Child(folder, "run", *more, "--quiet", "--no-report", "--resume", run, **options)


def only_run(folder: Path) -> Path:
    """Return the folder of the one run there is."""
    (path,) = (folder / "runs").glob("*/")
    return path


class WitnessProcess:
    """The other side of the market, and its log."""

    def __init__(self, folder: Path, seed: int) -> None:
        # A socket's path has 107 bytes at most, a test's folder may be longer: it is named from within.
        self.socket, self._log, self._plan = folder / "w.sock", folder / "witness.jsonl", folder / "plan.json"
        self._log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(SUPPORT / "loop_witness.py"), "w.sock", self._log, self._plan, str(seed)],
            cwd=folder,
        )
        wait_for(self.socket.exists, "the witness's socket")

    def plan(self, after: int, when: str, count: str = "messages") -> None:
        """Have it kill the kernel that connects next at that message; *count* may name one kind of them."""
        self._plan.write_text(json.dumps({"after": after, "when": when, "count": count}))

    def spare(self) -> None:
        """Have it kill no more."""
        self._plan.unlink(missing_ok=True)

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far."""
        return [json.loads(line) for line in self._log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def witness(folder: Path, seed: int) -> Iterator[WitnessProcess]:
    """Run a witness for the length of a test."""
    process = WitnessProcess(folder, seed)
    try:
        yield process
    finally:
        process.close()


class Entry(NamedTuple):
    """One record of a journal."""

    seq: int
    at_ns: int
    cause_seq: int
    origin: int
    producer: int
    schema_id: int
    body: bytes
    record: Any


def entries(run_dir: Path) -> list[Entry]:
    """Return every record of a run's journal, frames expanded."""
    out: list[Entry] = []
    for frame in read_frames(run_dir / "journal"):
        layout = schema_by_id(frame.schema_id)
        body = bytes(frame.body)
        size = frame.stride if layout.packed else len(body)
        for at in range(frame.count):
            part = body[at * size : (at + 1) * size]
            out.append(
                Entry(
                    frame.seq + at, frame.at_ns, frame.cause_seq, frame.origin & 0x7F, frame.producer, frame.schema_id,
                    part, layout.unpack(part),
                )
            )  # fmt: skip
    return out


def records(run_dir: Path, kind: type) -> list[Any]:
    """Return the records of one type in a run's journal."""
    return [entry.record for entry in entries(run_dir) if type(entry.record) is kind]


def journal_bytes(run_dir: Path) -> int:
    """Return how much is in a run's journal."""
    return sum(path.stat().st_size for path in (run_dir / "journal").glob("*.pj"))


def holds_the_lock(run_dir: Path, pid: int) -> bool:
    """Return whether that process has begun to recover, or to write, the run's journal."""
    lock = run_dir / "journal" / "lock"
    return lock.exists() and lock.read_bytes() == b"%d\n" % pid


assert signal.SIGKILL == 9
assert os.name == "posix"
