"""Runs on disk: the folder of a run, what `run.json` says of it, and finding one by name.

A run is a folder ``runs/ID`` with ``run.json`` (`RunInfo`), ``journal/``, ``deployment.toml``, ``lake/``, and after its
close ``run.duckdb``, ``summary.json`` and ``report.html``. An id is the start in UTC and four hex digits that follow
from what is run: ``20260310-153012-a1b2``. An existing folder is never used again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

__all__ = ["LatencyNs", "RunError", "RunInfo", "RunPaths", "find_run", "list_runs", "new_run_dir", "write_atomically"]

_ATTEMPTS_MAX = 1000


class RunError(Exception):
    """A run that cannot be found, made or read; the message says what to do."""


class LatencyNs(msgspec.Struct, frozen=True):
    """Percentiles of a wall-clock latency, in ns; zeros when nothing was measured."""

    count: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    p999_ns: int = 0
    max_ns: int = 0


class RunInfo(msgspec.Struct, kw_only=True):
    """What ``run.json`` holds: written by the kernel at the start, and again at the close."""

    id: str
    status: str = "running"
    """running, complete or failed."""
    reason: str = ""
    """Why it ended: `end of day`, `end of --for`, `end of [run] end`, `stopped by …`, the error."""
    instance: str = ""
    """The instance's name, which is its id too; empty for a run by itself."""
    deployment: str = ""
    """The deployment's name, as its file is called."""
    seed: int = 0
    clock: str = "simulated"
    """simulated or wall."""
    epoch: int = 1
    """Counts the starts of this run; a recovery adds one."""
    pid: int = 0
    """The kernel's process while it runs."""
    started_ns: int = 0
    """Wall time of the start, ns UTC."""
    ended_ns: int = 0
    """Wall time of the close, ns UTC; 0 while running."""
    first_at_ns: int = 0
    """The run's own time at its first event, ns UTC."""
    last_at_ns: int = 0
    """The run's own time at its last event, ns UTC."""
    wall_s: float = 0.0
    """Seconds from start to close."""
    versions: dict[str, str] = {}
    last_seq: int = 0
    """Number of the last event."""
    events: int = 0
    """Events in the journal."""
    orders: int = 0
    """Orders of the market, ours and the simulated traders' together, as the venues counted them."""
    digest: str = ""
    """SHA-256 of the journal, hex; known at the close."""
    tick_to_order: LatencyNs = LatencyNs()
    """Wall time from a market event's input to a checked order at the venue plugin."""
    alerts: int = 0
    """Alerts that were opened, each code and subject once until it is closed."""
    quarantined: list[str] = []
    """Plugins that were out when it ended."""
    extra: dict[str, int | float | str] = {}
    """Whatever else the kernel counted, by name; shown under run facts."""

    def save(self, run_dir: Path) -> None:
        """Write ``run.json`` into *run_dir*, replacing the old one in one step."""
        write_atomically(run_dir / "run.json", msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @classmethod
    def load(cls, run_dir: Path) -> RunInfo:
        """Return what *run_dir*'s ``run.json`` says.

        Raises:
            RunError: there is none, or it cannot be read as one.
        """
        path = run_dir / "run.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            raise RunError(
                f"{run_dir} has no run.json, so it is no run; `penstock runs` lists those there are"
            ) from None
        except msgspec.MsgspecError as error:
            raise RunError(
                f"{path} is not what a run writes: {error}; rebuild it from a copy, or leave it out"
            ) from None

    @property
    def state(self) -> str:
        """Return the status for people: `crashed` when it says running and its process is gone."""
        return "crashed" if self.status == "running" and not _alive(self.pid) else self.status


class RunPaths:
    """Where things stand inside a run's folder."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = run_dir
        self.journal = run_dir / "journal"
        self.lake = run_dir / "lake"
        self.database = run_dir / "run.duckdb"
        self.deployment = run_dir / "deployment.toml"
        self.summary = run_dir / "summary.json"
        self.report = run_dir / "report.html"


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process: it is there
        return True
    return True


def write_atomically(path: Path, data: bytes) -> None:
    """Replace *path* by *data*: readers see the old content or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def new_run_dir(runs_dir: Path, *, started_ns: int, identity: str = "") -> Path:
    """Make the folder of a new run and return it; its name is the run's id.

    Args:
        runs_dir: made when missing.
        started_ns: wall time, ns UTC; its second begins the id.
        identity: what is run (deployment and seed, say): the same gives the same id in an empty *runs_dir*.

    Raises:
        RunError: the folder cannot be made.
    """
    stamp = datetime.fromtimestamp(started_ns // 1_000_000_000, UTC).strftime("%Y%m%d-%H%M%S")
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for attempt in range(_ATTEMPTS_MAX):
            mark = hashlib.sha256(f"{started_ns}|{identity}|{attempt}".encode()).hexdigest()[:4]
            run_dir = runs_dir / f"{stamp}-{mark}"
            with contextlib.suppress(FileExistsError):
                run_dir.mkdir()
                return run_dir
    except OSError as error:
        raise RunError(f"cannot make a run's folder in {runs_dir}: {error.strerror}; give another --runs-dir") from None
    raise RunError(f"{runs_dir} has {_ATTEMPTS_MAX} runs of {stamp} already; wait a second")


def list_runs(runs_dir: Path) -> list[RunInfo]:
    """Return every run under *runs_dir*, oldest first; folders without a readable ``run.json`` are left out."""
    return [info for _, info in _runs(runs_dir)]


def _runs(runs_dir: Path) -> list[tuple[Path, RunInfo]]:
    found: list[tuple[Path, RunInfo]] = []
    for path in sorted(runs_dir.glob("*/run.json")):
        with contextlib.suppress(RunError):
            found.append((path.parent, RunInfo.load(path.parent)))
    return sorted(found, key=lambda run: (run[1].started_ns, run[1].id))


def find_run(runs_dir: Path, name: str = "latest") -> Path:
    """Return the folder of one run.

    Args:
        runs_dir: where runs are kept.
        name: ``latest``, an id, the beginning of one, or a path to a run's folder.

    Raises:
        RunError: none or several fit; the message lists what there is.
    """
    path = Path(name)
    if (path / "run.json").is_file():
        return path
    folders = {run_dir.name: run_dir for run_dir, _ in _runs(runs_dir)}
    ids = list(folders)
    if not ids:
        raise RunError(f"no runs in {runs_dir}; make one with `penstock run`, or give --runs-dir")
    if name == "latest":
        return folders[ids[-1]]
    fits = [run_id for run_id in ids if run_id == name] or [run_id for run_id in ids if run_id.startswith(name)]
    if len(fits) == 1:
        return folders[fits[0]]
    if fits:
        raise RunError(f"run {name!r} is ambiguous in {runs_dir}: {_some(fits)}; give more of the id")
    raise RunError(f"run {name!r} is not in {runs_dir}; there are {_some(ids)}, and `latest`")


def _some(ids: list[str]) -> str:
    """Return the newest ids as a list for a message."""
    shown = ", ".join(ids[-8:])
    return shown if len(ids) <= 8 else f"{len(ids)} runs, the newest {shown}"
