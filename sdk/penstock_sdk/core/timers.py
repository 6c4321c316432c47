"""Timers in the order they fall due; equal times in the order they were set."""

from __future__ import annotations

import heapq
from typing import Any

from penstock_sdk.events import Timer

__all__ = ["Timers"]


class Timers:
    """A heap of (due_ns, timer_id, plugin_id, tag). Cancelled ones are skipped when they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int]] = []
        self._cancelled: set[int] = set()
        self._last_id = 0

    def set(self, plugin_id: int, due_ns: int, tag: int) -> int:
        """Add a timer; return its id. Cost: O(log n)."""
        self._last_id += 1
        heapq.heappush(self._heap, (due_ns, self._last_id, plugin_id, tag))
        return self._last_id

    def cancel(self, timer_id: int) -> None:
        """Forget a timer; unknown and fired ones are no error."""
        if any(entry[1] == timer_id for entry in self._heap):
            self._cancelled.add(timer_id)

    def next_ns(self) -> int | None:
        """Return when the next timer falls due, or None."""
        heap, cancelled = self._heap, self._cancelled
        while heap and heap[0][1] in cancelled:
            cancelled.discard(heapq.heappop(heap)[1])
        return heap[0][0] if heap else None

    def pop(self) -> Timer:
        """Return the next timer's event, and forget it. `next_ns` said that there is one."""
        due_ns, timer_id, plugin_id, tag = heapq.heappop(self._heap)
        return Timer(plugin_id, timer_id, due_ns, tag)

    def snapshot(self) -> Any:
        """Return all timers as msgpack carries them."""
        return {"heap": [list(entry) for entry in self._heap], "gone": sorted(self._cancelled), "last": self._last_id}

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._heap = [(due, number, plugin, tag) for due, number, plugin, tag in state["heap"]]
        self._cancelled = set(state["gone"])
        self._last_id = state["last"]
