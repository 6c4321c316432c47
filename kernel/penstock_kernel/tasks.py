"""Submitted work: runs in another process, comes back as a TaskResult in the order it was submitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from penstock_sdk.core.faults import task_result
from penstock_sdk.events import TaskResult

__all__ = ["Tasks"]


class _Expected:
    """Work under way in a plugin's own process."""

    def __init__(self, done: Callable[[], bool], result: Callable[[], TaskResult]) -> None:
        self.done = done
        self.result = result


class Tasks:
    """Work of plugins off the kernel's thread and out of its process: a second Python thread would stall the first."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[tuple[int, int, Future[Any]] | _Expected] = deque()

    def submit(self, plugin_id: int, task_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Start ``fn(*args)``; both must pickle."""
        if self._pool is None:
            self._pool = self._new_pool()
        try:
            future = self._pool.submit(fn, *args)
        except BrokenProcessPool:
            # Earlier work ended its process; what was in it comes back as failed, the rest goes to another.
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()
            future = self._pool.submit(fn, *args)
        self._waiting.append((plugin_id, task_id, future))

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned, not forked: a fork would take the journal's lock and threads along.
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))

    def expect(self, done: Callable[[], bool], result: Callable[[], TaskResult]) -> None:
        """Wait in line for work that a plugin's own process does; *result* waits for it."""
        self._waiting.append(_Expected(done, result))

    def results(self, wait: bool) -> list[TaskResult]:
        """Return what is done, in the order of submission; *wait* for all of it (simulated time stands still)."""
        out: list[TaskResult] = []
        while self._waiting:
            first = self._waiting[0]
            if not wait and not (first.done() if isinstance(first, _Expected) else first[2].done()):
                break
            self._waiting.popleft()
            if isinstance(first, _Expected):
                out.append(first.result())
            else:
                plugin_id, task_id, future = first
                out.append(task_result(plugin_id, task_id, future.result))
        return out

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """End the workers; what is not done is forgotten."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
