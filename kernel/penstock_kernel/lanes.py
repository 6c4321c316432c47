"""Lanes before numbering: control, orders, data, so that a kill switch does not wait behind a burst of market data.

Control, order and execution events are never shed. Of data, quotes conflate by listing; book deltas that find no room
mark their listing stale; anything else is dropped, oldest first. Every loss is counted and named.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

import numpy as np

from penstock_sdk.events import BookOrderDelta, BookPriceDelta, Quote, Tradability
from penstock_sdk.schema import ABSENT, Event, Frame, Layout, layout_of

__all__ = ["Lanes"]

_FIRST = ("control", "refdata", "risk")
_ORDERS = ("order", "position")
MARK_EVERY = 7
"""Of one input in so many the wait is measured; a prime, so that sources that take turns are met alike."""
MARKS_MAX = 64


class Lanes:
    """Inputs that have come in and are not yet numbered, each with its producer."""

    def __init__(self, limit_for: Callable[[str], int]) -> None:
        self._limit_for = limit_for
        self._control: deque[tuple[Event, Any]] = deque()
        self._orders: deque[tuple[Event, Any]] = deque()
        self._data: deque[tuple[Event, Any]] = deque()
        self._waiting: Counter[int] = Counter()
        self._limits: dict[int, int] = {}
        self._stale: dict[int, Any] = {}
        self.lost: Counter[str] = Counter()
        """Records that were not numbered, by what befell them: ``quote.conflated``, ``trade.dropped`` …"""
        self.note_wait: Callable[[int], object] = lambda wait_ns: None
        """Takes how long an input waited, in ns of the process's own clock; of one in seven."""
        self._until_marked = MARK_EVERY
        self._marks: dict[int, tuple[Event, int]] = {}
        """Inputs whose wait is measured, by identity, and when they came; held, so that no other takes their place."""

    def offer(self, event: Event, producer: Any) -> None:
        """Add an input to its lane; makes room in the data lane where its type has a limit."""
        self._until_marked -= 1
        if not self._until_marked:
            self._mark(event)
        layout = event.layout
        family = layout.topic.split(".")[0]
        if family in _FIRST:
            self._control.append((event, producer))
        elif family in _ORDERS:
            self._orders.append((event, producer))
        else:
            self._offer_data(event, layout, producer)

    def _offer_data(self, event: Event, layout: Layout, producer: Any) -> None:
        count = len(event) if isinstance(event, Frame) else 1
        limit = self._limits.get(layout.id)
        if limit is None:
            limit = self._limits[layout.id] = self._limit_for(layout.topic)
        if self._waiting[layout.id] + count > limit:
            if layout.cls is Quote:
                self._conflate()
            elif layout.cls in (BookOrderDelta, BookPriceDelta):
                self._mark_stale(event, layout, count, producer)
                return
            else:
                self._drop_oldest(layout, self._waiting[layout.id] + count - limit)
        self._data.append((event, producer))
        self._waiting[layout.id] += count

    def _conflate(self) -> None:
        """Keep of every listing the newest quote only."""
        layout = layout_of(Quote)
        newest: dict[int, tuple[Event, Any]] = {}
        kept: deque[tuple[Event, Any]] = deque()
        for event, producer in self._data:
            if event.layout is not layout:
                kept.append((event, producer))
                continue
            quotes: Iterable[Any] = event.records() if isinstance(event, Frame) else (event,)
            for quote in quotes:
                newest.pop(quote.listing_id, None)
                newest[quote.listing_id] = (quote, producer)
        kept.extend(newest.values())
        self.lost["quote.conflated"] += self._waiting[layout.id] - len(newest)
        self._waiting[layout.id] = len(newest)
        self._data = kept

    def _mark_stale(self, event: Any, layout: Layout, count: int, producer: Any) -> None:
        """Drop deltas that find no room; their books are stale from here on."""
        self.lost[f"{layout.snake}.dropped"] += count
        listings = np.unique(event.array["listing_id"]).tolist() if isinstance(event, Frame) else [event.listing_id]
        for listing_id in listings:
            if listing_id not in self._stale:
                self._stale[listing_id] = producer
                self._control.append((Quote(listing_id, Tradability.STALE, bid_ticks=ABSENT), producer))

    def _drop_oldest(self, layout: Layout, excess: int) -> None:
        kept: deque[tuple[Event, Any]] = deque()
        for event, producer in self._data:
            if excess > 0 and event.layout is layout:
                count = len(event) if isinstance(event, Frame) else 1
                excess -= count
                self._waiting[layout.id] -= count
                self.lost[f"{layout.snake}.dropped"] += count
            else:
                kept.append((event, producer))
        self._data = kept

    def take(self) -> tuple[Event, Any] | None:
        """Return the next input: control before orders before data, each in its own order; None when all are empty."""
        if self._control:
            item = self._control.popleft()
        elif self._orders:
            item = self._orders.popleft()
        elif self._data:
            item = self._data.popleft()
            event = item[0]
            self._waiting[event.layout.id] -= len(event) if isinstance(event, Frame) else 1
        else:
            return None
        if self._marks:
            marked = self._marks.pop(id(item[0]), None)
            if marked is not None:
                self.note_wait(perf_counter_ns() - marked[1])
        return item

    def _mark(self, event: Event) -> None:
        """Measure how long an input waits; of those that were shed meanwhile the oldest is forgotten."""
        self._until_marked = MARK_EVERY
        if len(self._marks) >= MARKS_MAX:
            del self._marks[next(iter(self._marks))]
        self._marks[id(event)] = (event, perf_counter_ns())

    def waiting(self) -> dict[str, int]:
        """Return how many inputs wait in each lane."""
        return {"control": len(self._control), "orders": len(self._orders), "data": len(self._data)}

    @property
    def data_waiting(self) -> int:
        """Return how many inputs wait in the data lane; a frame is one."""
        return len(self._data)

    def stale_listings(self) -> list[tuple[int, Any]]:
        """Return (listing, producer) whose deltas were lost and whose snapshot is wanted; they are forgotten here."""
        found = sorted(self._stale.items(), key=lambda item: item[0])
        self._stale.clear()
        return found

    def __len__(self) -> int:
        return len(self._control) + len(self._orders) + len(self._data)
