"""Compiled simulations, each made once: found again by what went into it.

A build's folder below .cache/sims/builds is named by a digest of the sources, the parameters, the flags and the tool's
version, so whoever runs a bench again, after an edit in Python or with another seed, does not build again. A lock file
per build lets benches run side by side, and what has not been used for days goes.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

__all__ = ["BUILDS", "BUILD_TIMEOUT_S", "BuildError", "build_once", "execute"]

ROOT = Path(__file__).resolve().parent.parent
BUILDS = ROOT / ".cache" / "sims" / "builds"
BUILD_TIMEOUT_S = 300.0
"""A verilation can hang (5.048 does on some loops of logic), a compiler can swap; both are ended then."""

_KEPT_S = 3 * 86_400  # a build that nobody used so long goes
_KEPT = 200  # and so do the oldest above this many
_DONE = ".built"
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class BuildError(RuntimeError):
    """A build failed; the message holds the end of its log."""


def execute(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, timeout_s: float, *, append: bool = False
) -> int:
    """Run *command* in a process group of its own, its output into *log*; return its exit status.

    Whatever ends the waiting (the time limit, an interrupt), the group is gone afterwards; when this process is killed,
    so is *command*.

    Raises:
        subprocess.TimeoutExpired: it ran longer than *timeout_s*.
    """
    with log.open("a" if append else "w") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            return process.wait(timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends: no simulation goes on that nobody waits for."""
    if _LIBC is not None:
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def build_once(name: str, inputs: Mapping[str, object], make: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return the folder of a finished build, and whether it was there already.

    Args:
        name: starts the folder's name, for whoever looks.
        inputs: everything that the result depends on; JSON of it is digested.
        make: builds into the folder that it is given; what it raises leaves no build behind.
    """
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()[:20]
    folder = BUILDS / f"{name}-{digest}"
    BUILDS.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if (folder / _DONE).exists():
            os.utime(folder / _DONE)
            return folder, True
        shutil.rmtree(folder, ignore_errors=True)  # what a build left that was cut off
        folder.mkdir()
        make(folder)
        (folder / _DONE).touch()
    _forget_old()
    return folder, False


def digest_of(paths: Sequence[Path]) -> dict[str, str]:
    """Return the digest of each file by its place."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@cache
def version_of(*command: str) -> str:
    """Return the first line that a tool prints of itself."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (done.stdout or done.stderr).partition("\n")[0]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the build's lock file; a second process waits until the first has built."""
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old() -> None:
    """Remove builds that were not used for long, and the oldest above the number kept; one that is locked stays."""
    used = sorted(((done.stat().st_mtime, done.parent) for done in BUILDS.glob(f"*/{_DONE}")), reverse=True)
    for place, (at, folder) in enumerate(used):
        if place < _KEPT and time.time() - at < _KEPT_S:
            continue
        with Path(f"{folder}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
