"""Timers in the order they fall due; equal times in the order they were set."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container
from operator import index
from typing import Any

from penstock_sdk.events import Timer

__all__ = ["Timers"]

_INT64 = range(-(2**63), 2**63)
_GONE_KEPT = 64
"""Cancelled entries that the heap may hold beside as many as there are live ones."""


class Timers:
    """A heap of (due_ns, order, plugin_id, timer_id, tag). Cancelled entries are skipped when they come up.

    Ids count from 1 for each plugin, so that one plugin's timers never change what another sees.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int, int]] = []
        self._live: set[tuple[int, int]] = set()
        """(plugin_id, timer_id) of every timer that is to fire: a subset of the heap's."""
        self._count: Counter[int] = Counter()
        """How many of these each plugin has."""
        self._last_ids: dict[int, int] = {}
        self._order = 0

    def __len__(self) -> int:
        """Return how many timers are to fire."""
        return len(self._live)

    def live(self, plugin_id: int) -> int:
        """Return how many timers of a plugin are to fire. Cost: O(1)."""
        return self._count[plugin_id]

    def set(self, plugin_id: int, due_ns: int, tag: int, timer_id: int = 0) -> int:
        """Add a timer; return its id, which is the plugin's own. Cost: O(log n).

        Args:
            timer_id: of a plugin that numbers its timers itself; 0 gives the next.

        Raises:
            ValueError: *timer_id* is below 0, or that of a timer which is still to fire.
            TypeError: *due_ns* or *tag* is no integer.
            OverflowError: one of them does not fit 64 bits.
        """
        due_ns, tag, timer_id = index(due_ns), index(tag), index(timer_id)
        if due_ns not in _INT64 or tag not in _INT64 or timer_id not in _INT64:
            raise OverflowError(f"timer met due_ns {due_ns} and tag {tag}, wanted integers of 64 bits")
        last_id = self._last_ids.get(plugin_id, 0)
        if timer_id < 0 or (plugin_id, timer_id) in self._live:
            raise ValueError(f"timer met number {timer_id}, wanted one above 0 of no timer that is still to fire")
        timer_id = timer_id or last_id + 1
        self._last_ids[plugin_id] = max(last_id, timer_id)
        self._order += 1
        heapq.heappush(self._heap, (due_ns, self._order, plugin_id, timer_id, tag))
        self._live.add((plugin_id, timer_id))
        self._count[plugin_id] += 1
        return timer_id

    def cancel(self, plugin_id: int, timer_id: int) -> None:
        """Forget a timer; unknown and fired ones are no error. Cost: O(1), amortized."""
        self._gone(plugin_id, timer_id)
        if len(self._heap) > 2 * len(self._live) + _GONE_KEPT:
            self._heap = self._wanted()

    def forget(self, plugin_id: int) -> None:
        """Forget every timer of a plugin."""
        gone = {key for key in self._live if key[0] == plugin_id}
        if gone:
            self._live -= gone
            del self._count[plugin_id]
            self._heap = self._wanted()

    def drop(self, keep: Container[int]) -> None:
        """Forget the timers of every plugin but those of *keep*."""
        self._live = {(plugin, number) for plugin, number in self._live if plugin in keep}
        self._count = Counter(plugin for plugin, _ in self._live)
        self._heap = self._wanted()

    def next_ns(self) -> int | None:
        """Return when the next timer falls due, or None."""
        heap, live = self._heap, self._live
        while heap and (heap[0][2], heap[0][3]) not in live:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self) -> Timer:
        """Return the next timer's event, and forget it. `next_ns` said that there is one."""
        due_ns, _, plugin_id, timer_id, tag = heapq.heappop(self._heap)
        self._gone(plugin_id, timer_id)
        return Timer(plugin_id, timer_id, due_ns, tag)

    def _gone(self, plugin_id: int, timer_id: int) -> None:
        if (plugin_id, timer_id) in self._live:
            self._live.discard((plugin_id, timer_id))
            self._count[plugin_id] -= 1

    def _wanted(self) -> list[tuple[int, int, int, int, int]]:
        """Return the live entries, sorted, which is a heap too."""
        return sorted(entry for entry in self._heap if (entry[2], entry[3]) in self._live)

    def snapshot(self) -> Any:
        """Return all timers as msgpack carries them."""
        return {
            "heap": [list(entry) for entry in self._wanted()],
            "last": [[plugin, number] for plugin, number in self._last_ids.items()],
            "order": self._order,
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._heap = [(due, order, plugin, number, tag) for due, order, plugin, number, tag in state["heap"]]
        self._live = {(entry[2], entry[3]) for entry in self._heap}
        self._count = Counter(plugin for plugin, _ in self._live)
        self._last_ids = dict(state["last"])
        self._order = state["order"]
