"""A feed's recorded events, given ahead to a host that knows when each of them is due."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any

from penstock_sdk.core.faults import error_text, shown
from penstock_sdk.plugin import Feed
from penstock_sdk.process.outbox import Outbox
from penstock_sdk.schema import Control, Frame, Record

__all__ = ["AHEAD_BYTES", "Ahead"]

AHEAD_BYTES = 512 << 10
"""They are given in batches of at most some such size, however many are asked for."""


class Ahead:
    """Reads `Feed.events` as they are asked for, each checked before it counts."""

    def __init__(self, feed: Feed, outbox: Outbox) -> None:
        self._feed = feed
        self._outbox = outbox
        self._events: Iterator[Any] | None = None
        self._taken = 0
        self._last_ns = -(2**63)

    def give(self, wanted: int) -> None:
        """Say the next events with the times they are due, `taken_all` at the end; fewer where they are large.

        A feed that raises, or gives what cannot be numbered, has given all that came before it.
        """
        outbox = self._outbox
        outbox.one_lane = outbox.by_itself = True
        try:
            if self._events is None:
                self._events = iter(self._feed.events())
            for _ in range(wanted):
                item = next(self._events, None)
                if item is None:
                    outbox.taken_all = True
                    break
                self._taken += 1
                at_ns, event = self._checked(item)
                outbox.say(event)
                outbox.due_ns += [at_ns] * (len(event) if isinstance(event, Frame) else 1)
                if outbox.size >= AHEAD_BYTES:
                    break
        except Exception as error:
            self._events = iter(())
            outbox.fault("events", error_text(error))
            outbox.taken_all = True
        finally:
            outbox.one_lane = outbox.by_itself = False

    def _checked(self, item: Any) -> tuple[int, Any]:
        """Return an item that can be numbered.

        Raises:
            ValueError, TypeError, SchemaError: it cannot.
        """
        where = f"feed {self._feed.ctx.name}, item {self._taken}"
        at_ns, event = index(item[0]), item[1]
        if not isinstance(event, (Record, Control, Frame)) or abs(at_ns) >= 2**63:
            raise ValueError(
                f"{where}: met {shown(item)}, wanted (at_ns, event) with nanoseconds of 64 bits and a record or a frame"
            )
        if at_ns < self._last_ns:
            raise ValueError(
                f"{where}: its time {at_ns} lies before the last, {self._last_ns}; sort the source by time"
            )
        if not isinstance(event, Frame):
            try:
                event.layout.pack(event)
            except Exception as error:
                raise event.layout.misfit(event) if event.layout.packed else error from None
        self._last_ns = at_ns
        return at_ns, event
