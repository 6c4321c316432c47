"""An instance as the benches see it: a folder, kernel processes with and without their watchdog, signs of life."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from penstock_kernel.telemetry.runlog import LOG_NAME, entries
from penstock_kernel.vitals import Phase, VitalsView

__all__ = ["STEPS", "BenchError", "Desk", "Start", "bench_environment", "process_begun_ns", "steps_ms"]

DEADLINE_S = 120.0
LOOK_S = 0.001
STEPS = {
    "begun": "interpreter and imports",
    "deployment": "deployment checked",
    "journal": "journal opened",
    "snapshot": "snapshot read",
    "plugins": "plugins built, state restored",
    "played": "journal's tail replayed",
    "started": "session started",
    "reconciled": "reconcile",
    "ready": "ready",
    "first order": "first order",
    "acknowledged": "first order acknowledged",
}
"""The steps of a start in their order, as the log names them, and in words; not every way has all."""


class BenchError(RuntimeError):
    """A process of the bench that did not do what it should; says what it wrote."""


class Start(NamedTuple):
    """One start of a kernel, measured from outside and by itself.

    Attributes:
        at_ns: when each step was done, on the machine's monotonic clock; ``spawned`` is the first.
        cpu_ns: CPU time of the process until then, where it tells.
        orders: sent in all sessions before.
    """

    at_ns: dict[str, int]
    cpu_ns: dict[str, int]
    orders: int


def bench_environment(cache: Path) -> dict[str, str]:
    """Return the environment of the processes: as an installed Penstock has it, with bytecode.

    Where this process must not write bytecode, as in some test environments, theirs is kept in *cache*.
    """
    env = dict(os.environ)
    if sys.dont_write_bytecode:
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["PYTHONPYCACHEPREFIX"] = str(cache)
    return env


class Desk:
    """One instance.

    Args:
        folder: its runs lie there.
        name: the instance.
        deployment: the file it runs.
        env: of its processes.
    """

    def __init__(self, folder: Path, name: str, deployment: Path, env: Mapping[str, str]) -> None:
        self.folder, self.name, self.deployment, self._env = folder, name, deployment, dict(env)
        self.dir = folder / name

    def copy(self, name: str) -> Desk:
        """Return another instance that goes on from what this one left; the journal's full segments are shared."""
        other = Desk(self.folder, name, self.deployment, self._env)
        last = max((self.dir / "journal").glob("*.pj"))

        def copy(source: str, target: str) -> None:
            path = Path(source)
            if path.suffix == ".pj" and path.name != last.name:
                os.link(source, target)  # never written again
            else:
                shutil.copy2(source, target)

        shutil.copytree(self.dir, other.dir, copy_function=copy, ignore=shutil.ignore_patterns("*.sock", "kernel.json"))
        return other

    @contextmanager
    def kernel(self, *more: str, watched: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """Start the instance, under its watchdog or alone; whatever of it still runs in the end is killed."""
        arguments = ["run", "--instance", self.name, str(self.deployment), "--runs-dir", str(self.folder), "--quiet"]
        arguments += ["--no-report", *([] if watched else ["--no-watchdog"]), *more]
        with self.process("penstock_kernel.cli.main", *arguments) as process:
            yield process

    @contextmanager
    def process(self, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a Python module; whatever of the instance still runs in the end is killed."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{self.name}.err").open("ab") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=err, stderr=err, stdin=subprocess.DEVNULL,
                env=self._env,
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
                self._kill_kernel()

    def _kill_kernel(self) -> None:
        """End the kernel of a watchdog that had to be killed."""
        with suppress(OSError, ValueError):
            view = VitalsView(self.dir / "vitals")
            pid, phase = view.pid, view.phase
            view.close()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if phase not in (Phase.ENDED, Phase.FAILED) and self.name.encode() in command.split(b"\0"):
                os.kill(pid, signal.SIGKILL)

    def run(self, module: str, *arguments: str, status: int = 0) -> None:
        """Run a Python module to its end.

        Raises:
            BenchError: it ends with another status.
        """
        with self.process(module, *arguments) as process:
            ended = process.wait(600)
        if ended != status:
            raise BenchError(f"{module} ended with {ended}, wanted {status}; it said: {self.said()}")

    def said(self) -> str:
        """Return the end of what its processes said."""
        path = self.folder / f"{self.name}.err"
        return path.read_text()[-2000:] if path.exists() else ""

    def wait(self, process: subprocess.Popen[bytes], what: str, condition: Callable[[VitalsView], Any]) -> VitalsView:
        """Return the kernel's signs of life once they say so.

        Raises:
            BenchError: *process* ends before, or it takes two minutes.
        """
        until_s = time.monotonic() + DEADLINE_S
        view: VitalsView | None = None
        while True:
            if view is None:
                with suppress(OSError, ValueError):
                    view = VitalsView(self.dir / "vitals")
            if view is not None and condition(view):
                return view
            if process.poll() is not None or time.monotonic() > until_s:
                raise BenchError(f"{self.name}: waited in vain for {what}; it said: {self.said()}")
            time.sleep(LOOK_S)

    def wait_ready(self, process: subprocess.Popen[bytes], not_pid: int = 0) -> tuple[int, int]:
        """Return (process id, time in monotonic ns) of a kernel that trades; of another than *not_pid*."""
        own = (process.pid,) if not not_pid else ()

        def ready(view: VitalsView) -> bool:
            return view.pid not in (0, not_pid) and (not own or _is_of(view.pid, own[0])) and view.phase == Phase.READY

        view = self.wait(process, "ready", ready)
        at_ns, pid = time.monotonic_ns(), view.pid
        view.close()
        return pid, at_ns

    def start(self, process: subprocess.Popen[bytes], spawned_ns: int, pid: int, ready_ns: int) -> Start:
        """Return the start of the kernel *pid*, once it has sent an order that the sessions before had not."""
        told = self.told()
        orders = int(told["orders"])
        view = self.wait(process, "an order", lambda view: view.pid == pid and view.orders > orders)
        at_ns = {"spawned": spawned_ns, **told["at_ns"], "ready": ready_ns, "first order": time.monotonic_ns()}
        view.close()
        return Start(at_ns, told["cpu_ns"], orders)

    def told(self) -> dict[str, Any]:
        """Return what the kernel that started last told of its start."""
        with (self.dir / LOG_NAME).open("rb") as file:
            starts = [entry.fields for entry in entries(file, plugin="instance") if "at_ns" in entry.fields]
        return starts[-1]

    def remove(self) -> None:
        """Delete its folder."""
        shutil.rmtree(self.dir, ignore_errors=True)


def _is_of(pid: int, parent: int) -> bool:
    """Return whether a process is *parent* or a child of it."""
    if pid == parent:
        return True
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent
    return False


def process_begun_ns(pid: int) -> int:
    """Return when a process began, on the monotonic clock, to 10 ms: as the operating system counts."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK") - asleep_ns


def steps_ms(start: Start, since_ns: int) -> dict[str, float]:
    """Return how long each step took, in ms, and all of them; ``spawned`` is from *since_ns*."""
    out: dict[str, float] = {}
    before_ns = since_ns
    for step in ("spawned", *STEPS):
        if step in start.at_ns:
            out[step] = max(start.at_ns[step] - before_ns, 0) / 1e6
            before_ns = max(start.at_ns[step], before_ns)
    out["all"] = (before_ns - since_ns) / 1e6
    return out
