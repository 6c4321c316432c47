"""Venues cancel without the kernel: each in a process of its own, with a deadline, over a connection of its own.

    python -m penstock_kernel.warden.outside RUN_DIR NAME

prints one line of JSON: how many orders were cancelled, or what went wrong.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from penstock_kernel.deployment import build_config, load_deployment
from penstock_sdk.discovery import load_class
from penstock_sdk.plugin import Venue

__all__ = ["Cancelled", "OutsideCancels", "cancel_at"]

ANSWER_BYTES_MAX = 4096


class Cancelled(NamedTuple):
    """What came of one venue's cancelling."""

    venue: str
    orders: int
    error: str
    """Empty when it worked."""


class OutsideCancels:
    """The processes that cancel, one per venue."""

    def __init__(self, run_dir: Path, venues: Sequence[str], limit_s: float) -> None:
        self._until = time.monotonic() + limit_s
        self._limit_s = limit_s
        self._running = {
            name: subprocess.Popen(
                [sys.executable, "-m", "penstock_kernel.warden.outside", str(run_dir), name],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0,
            )
            for name in venues
        }  # fmt: skip

    def wait(self) -> list[Cancelled]:
        """Return what came of each; one that has not answered by the deadline is ended."""
        return [self._result(name, process) for name, process in self._running.items()]

    def _result(self, name: str, process: subprocess.Popen[bytes]) -> Cancelled:
        try:
            out, _ = process.communicate(timeout=max(0.0, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Cancelled(name, 0, f"no answer in {self._limit_s:g} s")
        try:
            answer = json.loads(out[-ANSWER_BYTES_MAX:].splitlines()[-1])
            return Cancelled(name, int(answer["cancelled"]), str(answer.get("error", "")))
        except (ValueError, IndexError, KeyError, TypeError):
            return Cancelled(name, 0, f"its process ended with status {process.returncode} and no answer")


def cancel_at(run_dir: Path, name: str) -> int:
    """Cancel at venue *name* of the run's deployment, in this process; return how many orders it cancelled.

    Raises:
        Exception: whatever the plugin raises; TypeError when it cannot cancel outside.
    """
    spec = load_deployment(run_dir / "deployment.toml").plugin(name)
    if spec.run != "inprocess":
        raise TypeError(f"plugin {name} runs out of process; its own process cancels, or its venue when it is gone")
    cls = load_class(spec.manifest)
    if not issubclass(cls, Venue) or cls.cancel_all_outside is None:
        raise TypeError(f"{spec.manifest.class_path} has no cancel_all_outside(config)")
    return int(cls.cancel_all_outside(build_config(spec, cls.Config)))


def _main(arguments: Sequence[str]) -> int:
    try:
        answer: dict[str, int | str] = {"cancelled": cancel_at(Path(arguments[0]), arguments[1])}
    except Exception as error:
        answer = {"cancelled": 0, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
