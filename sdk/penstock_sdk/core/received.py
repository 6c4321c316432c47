"""The stamp of receipt: every event from outside says when it was received, and by which kind of clock."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock_sdk.events import ClockKind
from penstock_sdk.schema import ABSENT, Event, Frame

__all__ = ["received"]


def received(event: Event, at_ns: int, clock: ClockKind) -> Event:
    """Return an event from outside with the time it was received, unless it says one itself.

    A frame that a capture file keeps stays as it is: its bytes are what the journal refers to. A plugin's own record
    without the fields ``recv_ns`` and ``clock`` stays as it is, too.
    """
    names = event.layout.cls.__struct_fields__
    if "recv_ns" not in names or "clock" not in names:
        return event
    if isinstance(event, Frame):
        missing = event.array["recv_ns"] == ABSENT
        if event.kept_at is not None or not missing.any():
            return event
        array = event.array.copy()
        array["recv_ns"][missing] = at_ns
        array["clock"][missing] = clock
        return Frame(event.layout.cls, array)
    single: Any = event
    if single.recv_ns != ABSENT:
        return event
    stamped: Event = msgspec.structs.replace(single, recv_ns=at_ns, clock=int(clock))
    return stamped
