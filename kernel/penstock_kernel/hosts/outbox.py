"""What waits for a plugin's credit: at most as much as one credit, then data is shed and the rest is an error.

Only market and outside data are shed: of quotes the newest of each listing stays, of other data the oldest goes. Names,
reference data, control records and everything on ORDERS are never dropped: who does not take those is too slow to run.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from penstock_sdk.events import Quote
from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS, Lane
from penstock_sdk.schema import Layout

__all__ = ["BATCH_BYTES", "BATCH_RECORDS", "Outbox"]

BATCH_RECORDS = 8192
BATCH_BYTES = 1 << 20
"""A batch is closed at whichever is met first."""
_SHED = ("market", "data")


class _Waiting(NamedTuple):
    """One frame that waits."""

    frame: bytes
    records: int
    kind: str
    """Name of what is counted when it is shed; empty: it is never shed."""
    listing_id: int
    """Of a single quote; 0 of everything else."""


class Outbox:
    """Frames for one stream, in order.

    Attributes:
        lost: records that were shed, by what befell them: ``quote.conflated``, ``trade.dropped`` …
    """

    def __init__(self, lane: Lane, *, records_max: int = CREDIT_EVENTS, bytes_max: int = CREDIT_BYTES) -> None:
        self.lane = lane
        self.lost: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._records = self._bytes = 0
        self._records_max = records_max
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, frame: bytes, records: int, layout: Layout, listing_id: int = 0) -> bool:
        """Add a frame; sheds data when there is no room. Return False when that is not enough: nothing is added."""
        over = self._records + records > self._records_max or self._bytes + len(frame) > self._bytes_max
        if over and not self._make_room(records, len(frame)):
            return False
        sheddable = self.lane == Lane.EVENTS and layout.topic.partition(".")[0] in _SHED
        quote_of = listing_id if layout.cls is Quote and records == 1 else 0
        self._add(_Waiting(frame, records, layout.snake if sheddable else "", quote_of))
        return True

    def take(self, records_max: int, bytes_max: int) -> tuple[bytes, int] | None:
        """Return the frames of the next batch and how many records are in them; None where not even one has room."""
        frames: list[bytes] = []
        records = size = 0
        records_max, bytes_max = min(records_max, BATCH_RECORDS), min(bytes_max, BATCH_BYTES)
        while self._waiting:
            first = self._waiting[0]
            if records + first.records > records_max or size + len(first.frame) > bytes_max:
                break
            self._remove_first()
            frames.append(first.frame)
            records += first.records
            size += len(first.frame)
        return (b"".join(frames), records) if frames else None

    def _make_room(self, records: int, size: int) -> bool:
        """Shed until half of it is free; return whether the frame has room then."""
        newest: dict[int, int] = {w.listing_id: at for at, w in enumerate(self._waiting) if w.listing_id}
        waiting, self._waiting = self._waiting, deque()
        excess = self._records + records - self._records_max // 2
        excess_bytes = self._bytes + size - self._bytes_max // 2
        self._records = self._bytes = 0
        for at, each in enumerate(waiting):
            conflated = each.listing_id and newest[each.listing_id] != at
            if conflated or (each.kind and not each.listing_id and (excess > 0 or excess_bytes > 0)):
                self.lost[f"{each.kind}.{'conflated' if conflated else 'dropped'}"] += each.records
                excess -= each.records
                excess_bytes -= len(each.frame)
            else:
                self._add(each)
        return self._records + records <= self._records_max and self._bytes + size <= self._bytes_max

    def _add(self, each: _Waiting) -> None:
        self._waiting.append(each)
        self._records += each.records
        self._bytes += len(each.frame)

    def _remove_first(self) -> None:
        each = self._waiting.popleft()
        self._records -= each.records
        self._bytes -= len(each.frame)
