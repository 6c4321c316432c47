"""What was known: the last records of the types that plugins declared, pruned by age."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_sdk.context import Moment
from penstock_sdk.schema import Frame, Layout, Record, layout_of

__all__ = ["History"]

_ROOM = 4_096


class _Kept:
    """The records of one type, in one array that slides: old ones fall out at the front when room is made."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.window_ns = 0
        self.first = 0
        self.end = 0
        self.at_ns = np.empty(_ROOM, np.int64)
        self.records = np.empty(_ROOM, layout.dtype)

    def add(self, now_ns: int, array: npt.NDArray[np.void]) -> None:
        """Append records. Cost: amortised O(records)."""
        count = len(array)
        if self.end + count > len(self.at_ns):
            self._make_room(now_ns, count)
        self.at_ns[self.end : self.end + count] = now_ns
        self.records[self.end : self.end + count] = array
        self.end += count

    def _make_room(self, now_ns: int, count: int) -> None:
        horizon_ns = now_ns - self.window_ns
        self.first += int(np.searchsorted(self.at_ns[self.first : self.end], horizon_ns, side="right"))
        size = max(_ROOM, 2 * (self.end - self.first + count))
        at_ns, records = np.empty(size, np.int64), np.empty(size, self.layout.dtype)
        kept = self.end - self.first
        at_ns[:kept] = self.at_ns[self.first : self.end]
        records[:kept] = self.records[self.first : self.end]
        self.at_ns, self.records, self.first, self.end = at_ns, records, 0, kept

    def since(self, since_ns: int) -> npt.NDArray[np.void]:
        """Return a view of the records after *since_ns*."""
        at = self.first + int(np.searchsorted(self.at_ns[self.first : self.end], since_ns, side="right"))
        return self.records[at : self.end]


class History:
    """Keeps records of some types for a window of the run's time, in the order they were handled.

    Alike live and in a backtest: a record is in it from the moment the kernel handled it.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._kept: dict[int, _Kept] = {}

    def want(self, of: type[Record], window_ns: int) -> None:
        """Keep records of a type for at least *window_ns*."""
        layout = layout_of(of)
        kept = self._kept.setdefault(layout.id, _Kept(layout))
        kept.window_ns = max(window_ns, kept.window_ns)

    def wants(self, schema_id: int) -> bool:
        """Return whether records of a schema are kept."""
        return schema_id in self._kept

    def add(self, frame: Frame) -> None:
        """Keep a frame's records; a copy, since the frame is a view."""
        self._kept[frame.layout.id].add(self._moment.now_ns, frame.array)

    def query(self, listing_id: int, window_ns: int, of: type[Record]) -> npt.NDArray[np.void]:
        """Return the listing's records in (now - window, now], oldest first.

        Raises:
            ValueError: nobody declared the type, or the window is longer than what is kept.

        Cost: a binary search, and one comparison a record of the type in the window.
        """
        layout = layout_of(of)
        kept = self._kept.get(layout.id)
        if kept is None or window_ns > kept.window_ns:
            raise ValueError(
                f"history of {layout.name} met a window of {window_ns} ns, kept are {kept.window_ns if kept else 0}; "
                f"declare history_of and history_ns on the plugin's class"
            )
        window = kept.since(self._moment.now_ns - window_ns)
        mine: npt.NDArray[np.void] = window[window["listing_id"] == listing_id]
        return mine

    def snapshot(self) -> Any:
        """Return what is kept, as msgpack carries it."""
        return {
            str(schema_id): [kept.at_ns[kept.first : kept.end].tobytes(), kept.records[kept.first : kept.end].tobytes()]
            for schema_id, kept in self._kept.items()
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned, for the types that are wanted."""
        for key, (at_ns, records) in state.items():
            kept = self._kept.get(int(key))
            if kept is not None:
                kept.at_ns = np.frombuffer(at_ns, np.int64).copy()
                kept.records = np.frombuffer(records, kept.layout.dtype).copy()
                kept.first, kept.end = 0, len(kept.at_ns)
