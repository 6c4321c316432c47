"""What was known: the last records of the types that plugins declared, pruned by age."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_sdk.context import Moment
from penstock_sdk.schema import Frame, Record, layout_of

__all__ = ["History"]


class History:
    """Keeps records of some types for a window of the run's time, in the order they were handled.

    Alike live and in a backtest: a record is in it from the moment the kernel handled it.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._kept_ns: dict[int, int] = {}
        self._chunks: dict[int, deque[tuple[int, npt.NDArray[np.void]]]] = {}

    def want(self, of: type[Record], window_ns: int) -> None:
        """Keep records of a type for at least *window_ns*."""
        schema_id = layout_of(of).id
        self._kept_ns[schema_id] = max(window_ns, self._kept_ns.get(schema_id, 0))
        self._chunks.setdefault(schema_id, deque())

    def wants(self, schema_id: int) -> bool:
        """Return whether records of a schema are kept."""
        return schema_id in self._kept_ns

    def add(self, frame: Frame) -> None:
        """Keep a frame's records; a copy, since the frame is a view."""
        chunks = self._chunks[frame.layout.id]
        now_ns = self._moment.now_ns
        chunks.append((now_ns, frame.array.copy()))
        horizon_ns = now_ns - self._kept_ns[frame.layout.id]
        while chunks[0][0] <= horizon_ns:
            chunks.popleft()

    def query(self, listing_id: int, window_ns: int, of: type[Record]) -> npt.NDArray[np.void]:
        """Return the listing's records in (now - window, now], oldest first.

        Raises:
            ValueError: nobody declared the type, or the window is longer than what is kept.
        """
        layout = layout_of(of)
        kept_ns = self._kept_ns.get(layout.id, 0)
        if window_ns > kept_ns:
            raise ValueError(
                f"history of {layout.name} met a window of {window_ns} ns, {kept_ns} ns are kept; "
                f"declare history_of and history_ns on the plugin's class"
            )
        since_ns = self._moment.now_ns - window_ns
        parts: list[Any] = []
        for at_ns, array in reversed(self._chunks[layout.id]):
            if at_ns <= since_ns:
                break
            mine = array[array["listing_id"] == listing_id]
            if len(mine):
                parts.append(mine)
        parts.reverse()
        return np.concatenate(parts) if parts else np.empty(0, layout.dtype)

    def snapshot(self) -> Any:
        """Return what is kept, as msgpack carries it."""
        return {str(i): [[at_ns, a.tobytes()] for at_ns, a in chunks] for i, chunks in self._chunks.items()}

    def restore(self, state: Any, dtypes: dict[int, np.dtype[np.void]]) -> None:
        """Take back what `snapshot` returned, for the types that are wanted."""
        for key, chunks in state.items():
            if int(key) in self._chunks:
                dtype = dtypes[int(key)]
                self._chunks[int(key)] = deque((at_ns, np.frombuffer(body, dtype)) for at_ns, body in chunks)
