"""Submitted work: runs in another process, comes back as a TaskResult in the order it was submitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import msgspec
from penstock_sdk.events import TaskResult

__all__ = ["Tasks"]


class Tasks:
    """Work of plugins off the kernel's thread and out of its process: a second Python thread would stall the first."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[tuple[int, int, Future[Any]]] = deque()

    def submit(self, plugin_id: int, task_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Start ``fn(*args)``; both must pickle."""
        if self._pool is None:
            # Spawned, not forked: a fork would take the journal's lock and threads along.
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
        self._waiting.append((plugin_id, task_id, self._pool.submit(fn, *args)))

    def results(self, wait: bool) -> list[TaskResult]:
        """Return what is done, in the order of submission; *wait* for all of it (simulated time stands still)."""
        out: list[TaskResult] = []
        while self._waiting and (wait or self._waiting[0][2].done()):
            plugin_id, task_id, future = self._waiting.popleft()
            out.append(_result(plugin_id, task_id, future))
        return out

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """End the workers; what is not done is forgotten."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _result(plugin_id: int, task_id: int, future: Future[Any]) -> TaskResult:
    try:
        value = future.result()
        msgspec.msgpack.encode(value)
    except Exception as error:
        return TaskResult(plugin_id=plugin_id, task_id=task_id, ok=False, error=f"{type(error).__name__}: {error}")
    return TaskResult(plugin_id=plugin_id, task_id=task_id, ok=True, value=value)
