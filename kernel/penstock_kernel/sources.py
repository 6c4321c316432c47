"""Reading a feed's recorded events, one ahead, each checked before it counts as taken."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index

from penstock_sdk.core.faults import shown
from penstock_sdk.core.wiring import Slot
from penstock_sdk.schema import ABSENT, Control, Event, Frame, Record

__all__ = ["Source", "SourceError"]


class SourceError(ValueError):
    """A feed gave what cannot be numbered: time that goes back, or no event."""


class Source:
    """A feed's recorded events, one ahead."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.taken = 0
        self.next_ns = ABSENT
        self._iterator: Iterator[tuple[int, Event]] = slot.plugin.events()
        self._event: Event | None = None
        self.error: Exception | None = None
        """What ended it early; told once all that came before it has been taken."""
        self._advance()

    def _advance(self) -> None:
        self._event = None
        try:
            item = next(self._iterator, None)
            if item is not None:
                at_ns, event = index(item[0]), item[1]
                if not isinstance(event, (Record, Control, Frame)) or abs(at_ns) >= 2**63:
                    raise SourceError(
                        f"feed {self.slot.name}, item {self.taken + 1}: met {shown(item)}, wanted (at_ns, event) with "
                        f"nanoseconds of 64 bits and a record or a frame"
                    )
                if not isinstance(event, Frame):
                    self._check_fits(event)
                if at_ns < self.next_ns:
                    raise SourceError(
                        f"feed {self.slot.name}, item {self.taken + 1}: its time {at_ns} lies before the last, "
                        f"{self.next_ns}; sort the source by time"
                    )
                self.next_ns, self._event = at_ns, event
        except Exception as error:
            self.error = error

    @staticmethod
    def _check_fits(event: Record | Control) -> None:
        """Raise when the event's layout cannot hold its values: what is not numbered must not count as taken."""
        try:
            event.layout.pack(event)
        except Exception as error:
            raise event.layout.misfit(event) if event.layout.packed else error from None

    @property
    def ended(self) -> bool:
        """True when there is nothing more."""
        return self._event is None

    def take(self) -> Event:
        """Return the event that is due, and fetch the one after it."""
        event = self._event
        assert event is not None
        self.taken += 1
        self._advance()
        return event
