"""Starts a plugin's process with no more rights than it declared, and ends it with all that it started.

`launch` runs `confine.py`, which takes the rights away and then becomes, or keeps, the command. Nothing here forks a
process that has threads: gRPC, and we, would deadlock.
"""

import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from penstock_sdk.process.call_filter import filter_program

__all__ = ["Child", "Confinement", "clean_environment", "descends_from", "landlock_abi", "launch", "probe"]

_CONFINE = str(Path(__file__).with_name("confine.py"))
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_CREATE_RULESET, _LANDLOCK_VERSION = 444, 1
_PR_GET_SECCOMP = 21
_ABI_MAX = 7  # what confine.py knows; later ones are used as this one
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Confinement(Struct, frozen=True):
    """What a plugin's process may touch, and how much it may use; 0 is no limit.

    `read` and `write` are files and folders with all below them; reading includes executing, writing includes reading
    but not executing. Ports are TCP ports, of whatever host. Without any port there are no sockets of the internet at
    all; with one, UDP is free as well (names are looked up by it). `memory_bytes` counts what the process writes to;
    with `processes` above 1 that of all its processes. `processes` 1 means that none may be made; threads do not count.
    `cpu_s` is processor time over the whole life. `disk_bytes` is what one file may hold, and all in `disk_folders`
    together: that is looked at now and then. Without `landlock` files, ports and sockets are not limited.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    connect_ports: tuple[int, ...] = ()
    bind_ports: tuple[int, ...] = ()
    memory_bytes: int = 0
    cpu_s: int = 0
    open_files: int = 0
    processes: int = 0
    landlock: bool = True
    disk_bytes: int = 0
    disk_folders: tuple[str, ...] = ()


class Child:
    """A process that was launched, leader of its own session; *lost* says which protections it does without."""

    def __init__(self, process: "subprocess.Popen[bytes]", lost: tuple[str, ...], kept: bool) -> None:
        self.process = process
        self.lost = lost
        self._kept = kept

    @property
    def pid(self) -> int:
        """Return the session's process id: the plugin's, or its keeper's; `owns` says what belongs to it."""
        return self.process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        return self.process.poll()

    def terminate(self) -> None:
        """Ask the plugin to end, by SIGTERM to its process group."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the plugin and whatever it started, also what detached itself; `process.wait` says when that is done."""
        if self.process.poll() is not None:
            return
        if self._kept:
            self.process.send_signal(signal.SIGUSR1)
        else:
            self._signal_group(signal.SIGKILL)

    def owns(self, pid: int) -> bool:
        """Return whether a process is this one or descends from it, as of now."""
        return descends_from(pid, self.pid)

    def _signal_group(self, number: int) -> None:
        if self.process.poll() is None:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):  # not yet its own session, or just gone
                self.process.send_signal(number)


def launch(
    argv: Sequence[str],
    *,
    confinement: Confinement | None = None,
    env: Mapping[str, str],
    cwd: str | Path | None = None,
    stdin: int | IO[Any] | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    pass_fds: Sequence[int] = (),
    keeper: bool = True,
) -> Child:
    """Start *argv* in a session of its own that ends when this process does; return it.

    Args:
        argv: the command; a name without a slash is looked up in PATH.
        confinement: what it may do; None takes no rights away.
        env: its environment, beside PATH, language and time zone of ours; nothing else of ours is passed on.
        cwd: its working folder; None is ours.
        stdin, stdout, stderr: as of subprocess.Popen.
        pass_fds: file descriptors that it inherits, under the same numbers.
        keeper: False for an unconfined command of ours that leaves nothing behind: there is one process less.

    Raises:
        OSError: Python itself could not be started. That the command could not is seen by its end: exit status 127
            (no such command) or 126 (refused), the cause on stderr.

    Cost: some 25 ms until the command runs, none of them here.
    """
    lost = _lost(confinement)
    limits = confinement or Confinement(landlock=False)
    filtered = confinement is not None and _can_filter()
    alone = (filtered and limits.processes == 1 and not limits.disk_bytes) or (confinement is None and not keeper)
    # Linux tells a child of its parent's death when the thread ends that started it: only a keeper tells the two apart.
    kept = not alone or threading.current_thread() is not threading.main_thread()
    wanted = {
        "parent": os.getpid(),
        "name": os.path.basename(argv[0]),
        "confined": confinement is not None,
        "keep": kept,
        "filter": _program(limits).hex() if filtered else "",
        "abi": min(landlock_abi(), _ABI_MAX) if limits.landlock else 0,
        "read": limits.read,
        "write": limits.write,
        "devices": _DEVICES,
        "connect_ports": limits.connect_ports,
        "bind_ports": limits.bind_ports,
        "memory_bytes": limits.memory_bytes,
        "cpu_s": limits.cpu_s,
        "open_files": limits.open_files,
        "processes": limits.processes,
        "disk_bytes": limits.disk_bytes,
        "disk_folders": limits.disk_folders,
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", _CONFINE, json.dumps(wanted), "--", *argv],
        env=clean_environment(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return Child(process, lost, kept)


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return *given* on top of the few variables of ours that a plugin may know."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | dict(given)


def probe() -> tuple[str, ...]:
    """Return the protections that this machine lacks, in words; () when a confined plugin gets all of them."""
    if sys.platform != "linux":
        return (f"plugins are not confined: {sys.platform} has neither Landlock nor a signal at the parent's death",)
    abi = landlock_abi()
    lost = []
    if abi < 1:
        lost.append("files and TCP ports are not limited: no Landlock (Linux 5.13 or later, with landlock in lsm=)")
    elif abi < 4:
        lost.append(f"TCP ports are not limited: Landlock has ABI {abi}, 4 limits them (Linux 6.7 or later)")
    if 1 <= abi < 6:
        lost.append(f"signals and abstract sockets are not limited: Landlock has ABI {abi}, 6 does (Linux 6.12)")
    if not _can_filter():
        lost.append("system calls are not filtered: no seccomp, or a processor other than x86-64 and aarch64")
    return tuple(lost)


def descends_from(pid: int, ancestor: int) -> bool:
    """Return whether process *pid* is *ancestor* or a child of it, however far down; False when it is gone."""
    for _ in range(64):
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return False
        if pid <= 1:
            return pid == ancestor
    return False


def _program(limits: Confinement) -> bytes:
    alone = limits.processes == 1
    return filter_program(
        os.uname().machine,
        processes=not alone,
        shared_memory=not (alone and limits.memory_bytes),  # a keeper counts what is shared
        sockets=not limits.landlock,
        network=bool(limits.connect_ports or limits.bind_ports),
    )


@functools.cache
def landlock_abi() -> int:
    """Return the version of Landlock that this machine has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)), 0)


@functools.cache
def _can_filter() -> bool:
    if sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"):
        return False
    return int(ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def _lost(confinement: Confinement | None) -> tuple[str, ...]:
    if confinement is None:
        return ()
    if not confinement.landlock:
        return ("files, TCP ports and sockets are not limited: the deployment switched that off",)
    return probe()
