"""Work that a plugin submits: runs in another process, comes back as a TaskResult in the order it was submitted."""

from __future__ import annotations

import ctypes
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from penstock_sdk.core.faults import task_result
from penstock_sdk.events import TaskResult

__all__ = ["Work", "WorkError"]

_PR_SET_PDEATHSIG = 1


class WorkError(Exception):
    """Work cannot be started here; says what to declare."""


class Work:
    """A plugin's submitted work, off the thread that serves it and out of its process.

    What was submitted and whose result has not been heard is kept as bytes: a snapshot holds it, a restart does it.
    """

    def __init__(self, plugin_id: int) -> None:
        self._plugin_id = plugin_id
        self.last_id = 0
        self.unheard: dict[int, bytes] = {}
        """By task id: function and arguments, pickled; empty bytes where they do not pickle."""
        self.on_done: Callable[[], object] = lambda: None
        """Called, in whatever thread, when work is done."""
        self._pool: ProcessPoolExecutor | None = None
        self._running: deque[tuple[int, Future[Any] | Exception]] = deque()

    def __len__(self) -> int:
        """Return how much is under way."""
        return len(self._running)

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], *, begin: bool) -> int:
        """Number the work, from 1; with *begin* start it, of arguments as they are now. Returns its id.

        Raises:
            WorkError: the process may make no others.
        """
        self.last_id += 1
        try:
            self.unheard[self.last_id] = pickle.dumps((fn, args))
        except Exception as error:  # comes back as a failed result
            self.unheard[self.last_id] = b""
            if begin:
                self._running.append((self.last_id, error))
            return self.last_id
        if begin:
            self._begin(self.last_id)
        return self.last_id

    def begin_unheard(self) -> list[int]:
        """Start what was submitted in the past and never answered; return its ids."""
        running = {task_id for task_id, _ in self._running}
        begun = [task_id for task_id in sorted(self.unheard) if task_id not in running]
        for task_id in begun:
            self._begin(task_id)
        return begun

    def heard(self, task_id: int) -> None:
        """Note that a task's result has come to the plugin."""
        self.unheard.pop(task_id, None)

    def results(self) -> list[TaskResult]:
        """Return what is done, in the order of submission, without waiting."""
        out: list[TaskResult] = []
        while self._running:
            task_id, outcome = self._running[0]
            if isinstance(outcome, Exception):
                out.append(task_result(self._plugin_id, task_id, _raises(outcome)))
            elif outcome.done():
                out.append(task_result(self._plugin_id, task_id, outcome.result))
            else:
                break
            self._running.popleft()
        return out

    def close(self) -> None:
        """End the worker; what is not done is forgotten."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._running.clear()

    def _begin(self, task_id: int) -> None:
        pickled = self.unheard[task_id]
        if not pickled:
            self._running.append((task_id, TypeError(f"work {task_id} does not pickle")))
            return
        fn, args = pickle.loads(pickled)
        try:
            future = self._submitted(fn, args)
        except OSError as error:
            del self.unheard[task_id]
            self._pool = None
            met = (error.strerror or str(error)).lower()
            raise WorkError(
                f"submit met {met}, wanted a process for the work; declare resources = {{processes = 8}} in the "
                f"plugin's manifest"
            ) from error
        self._running.append((task_id, future))
        future.add_done_callback(lambda _: self.on_done())

    def _submitted(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
        if self._pool is None:
            self._pool = _new_pool()
        try:
            return self._pool.submit(fn, *args)
        except BrokenProcessPool:
            # Earlier work ended its process; what was in it comes back as failed, the rest goes to another.
            self._pool.shutdown(wait=False)
            self._pool = _new_pool()
            return self._pool.submit(fn, *args)


def _raises(error: Exception) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def _new_pool() -> ProcessPoolExecutor:
    # Spawned, not forked: a fork would take sockets and threads along.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_die_with_parent)


def _die_with_parent() -> None:
    """Have the operating system end this worker with the process that it works for, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
