"""The kernel as a process of the watchdog's: start, signals, state, end. Linux."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from penstock_kernel.warden.held import WARDEN_PID, retire_roster, write_json

__all__ = ["Child", "KernelProcess", "Orphan", "ProcessId", "process_state", "reap_strangers"]

STDERR_BYTES_MAX = 1 << 20
SILENT_NS = 1_000_000_000
LAST_LINES = 4
SUPERVISORS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""The supervisor hears of the watchdog process alone."""


class ProcessId(msgspec.Struct, frozen=True):
    """A process, told apart from a later one of the same number by when it started."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a process that lives, or None."""
        state = process_state(pid)
        return None if state is None or state.state in "ZX" else cls(pid, state.start_ticks)

    def lives(self) -> bool:
        """Return whether it is still the same process, and no zombie."""
        return ProcessId.of(self.pid) == self


class _State(NamedTuple):
    state: str
    """R running, S sleeping, D waiting for a device, T stopped, t traced, Z ended."""
    start_ticks: int


def process_state(pid: int) -> _State | None:
    """Return what the operating system says of a process; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    after_name = stat.rpartition(")")[2].split()  # the name may hold blanks and brackets
    return _State(after_name[0], int(after_name[19]))


class KernelProcess(Protocol):
    """What is needed of a kernel's process to watch it."""

    pid: int
    started_ns: int
    """When it was first seen, on the machine's monotonic clock."""

    def send(self, number: int) -> None:
        """Send a signal; a process that is gone does not mind."""

    def state(self) -> str:
        """Return the letter of its state; Z once it has ended."""


class Child:
    """One kernel process, in a process group of its own: what a terminal sends comes through the watchdog alone.

    Its standard error goes to memory, and is copied on by `pump`: no pipe whose reader stands still can hold it up, and
    no full disk swallows what it says about that.
    """

    def __init__(self, command: Sequence[str], run_dir: Path, env: Mapping[str, str] = os.environ) -> None:
        control = run_dir / "control"
        control.mkdir(mode=0o700, exist_ok=True)
        # What the kernel before left must not be taken for this one's.
        retire_roster(control)
        (control / "stall.json").unlink(missing_ok=True)
        own = {key: value for key, value in env.items() if key not in SUPERVISORS_OWN}
        own[WARDEN_PID] = str(os.getpid())
        self._stderr = os.memfd_create("kernel-stderr", os.MFD_CLOEXEC)
        fcntl.fcntl(self._stderr, fcntl.F_SETFL, os.O_APPEND)
        self._read_to = 0
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stderr=self._stderr, env=own, process_group=0
            )
        except BaseException:
            os.close(self._stderr)
            raise
        self.started_ns = time.monotonic_ns()
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self._last = b""
        self._spoke_ns = self.started_ns
        identity = ProcessId.of(self.pid)
        if identity is not None:  # it may have ended at once
            with suppress(OSError):  # a full disk is no reason to leave it alone
                write_json(control / "kernel.json", identity)

    def send(self, number: int) -> None:
        """Send a signal; a process that is gone does not mind. Never reaches another process of the same number."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def state(self) -> str:
        """Return the letter of its state; Z once it has ended."""
        state = process_state(self.pid)
        return "Z" if state is None else state.state

    def ended(self) -> bool:
        """Return whether it has ended; it is not reaped by this."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """Wait for it, end what it left in its group (lake, workers), return its status; negative: the signal."""
        if self._process.returncode is None:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            # Before it is reaped its number cannot be another's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self.pump()
            pidfd, self.pidfd = self.pidfd, -1  # before it is closed: a signal handler may send at any moment
            os.close(pidfd)
            os.close(self._stderr)
        return self._process.returncode

    def pump(self) -> None:
        """Copy on what it has said on standard error since."""
        now_ns = time.monotonic_ns()
        while data := os.pread(self._stderr, 1 << 16, self._read_to):
            self._read_to += len(data)
            self._spoke_ns = now_ns
            self._last = (self._last + data)[-4096:]
            with suppress(OSError, ValueError):
                sys.stderr.buffer.write(data)
                sys.stderr.buffer.flush()
        # Only once it is silent: what came between the last read and the cut would be lost.
        if self._read_to > STDERR_BYTES_MAX and now_ns - self._spoke_ns > SILENT_NS:
            os.ftruncate(self._stderr, 0)  # it is opened for appending: the next line stands at the top again
            self._read_to = 0

    def words(self) -> str:
        """Return its status and the last lines it said on standard error, in one line; once it has been reaped."""
        status = self._process.returncode
        ended = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        lines = [line.strip() for line in self._last.decode(errors="replace").splitlines()]
        last = " | ".join([line for line in lines if line][-LAST_LINES:])
        return f"{ended}, its last words: {last}" if last else f"{ended}, without a word"


def reap_strangers(own_pid: int) -> None:
    """Reap children that ended, but for *own_pid*: what a killed kernel started becomes process 1's."""
    with suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != own_pid:
            os.waitpid(found.si_pid, os.WNOHANG)


class Orphan:
    """The kernel of a watchdog that died: nobody's child, so it can be watched and ended, and is reaped by others."""

    def __init__(self, identity: ProcessId, pidfd: int) -> None:
        self._identity = identity
        self._pidfd = pidfd
        self.pid = identity.pid
        self.started_ns = time.monotonic_ns()

    @classmethod
    def find(cls, run_dir: Path) -> Orphan | None:
        """Return the kernel that a run's last watchdog left, if it lives. Hold the lock that says who is watchdog."""
        try:
            identity = msgspec.json.decode((run_dir / "control" / "kernel.json").read_bytes(), type=ProcessId)
            pidfd = os.pidfd_open(identity.pid)
        except (OSError, msgspec.MsgspecError):
            return None
        orphan = cls(identity, pidfd)
        if orphan.lives():  # asked once the descriptor is had: from here on it can be no other process
            return orphan
        orphan.close()
        return None

    def lives(self) -> bool:
        """Return whether it has not ended yet."""
        return self._identity.lives()

    def send(self, number: int) -> None:
        """Send a signal; a process that is gone does not mind."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def state(self) -> str:
        """Return the letter of its state; Z once it has ended."""
        state = process_state(self.pid)
        return "Z" if state is None else state.state

    def end(self) -> None:
        """End it with all that is in its group, and wait until it is gone."""
        self.send(signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        while self.lives():
            time.sleep(0.002)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._pidfd)
