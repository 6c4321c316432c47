"""Taking the state of a plugin that is not waited for: at a number up to which it has been told, and not a word more.

What is to be told waits in the kernel until the plugin has handled all before it and given its state, or until that has
taken too long: then the state is asked for another time. So a state says exactly which of the journal it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_sdk.wire.messages import SnapshotRequest

if TYPE_CHECKING:
    from penstock_kernel.hosts.link import Call, Link

__all__ = ["HOLD_S", "Marker"]

HOLD_S = 0.25
"""How long what a plugin is to hear may wait for its state."""


class Marker:
    """One plugin's. `want` asks, `begin` holds what is to be told, `turn` returns the state once it is there."""

    def __init__(self) -> None:
        self.wanted = False
        self.seq: int | None = None
        """The number that the state is to be of; None while nothing is held."""
        self._until_s = 0.0
        self._call: Call | None = None

    @property
    def holds(self) -> bool:
        """Return whether nothing may be told now."""
        return self.seq is not None

    def want(self) -> None:
        """Ask for the state as soon as may be."""
        self.wanted = True

    def begin(self, seq: int, now_s: float) -> None:
        """Hold from here on: all up to event *seq* was sent."""
        if self.wanted and self.seq is None:
            self.wanted, self.seq, self._until_s, self._call = False, seq, now_s + HOLD_S, None

    def turn(self, link: Link, now_s: float) -> tuple[bytes, int] | None:
        """Go on; return (state, number of the last event in it) once it is there."""
        if self.seq is None:
            return None
        call, seq = self._call, self.seq
        if call is None and link.settled():
            call = self._call = link.begin_call("Snapshot", SnapshotRequest(), HOLD_S)
        if call is not None and call.done:
            self.spoil()
            reply = call.reply
            return None if reply is None or reply.error else (reply.state, seq)
        if now_s >= self._until_s:
            self.spoil()
        return None

    def spoil(self) -> None:
        """Hold nothing more: the state would be of another number, or has not come."""
        self.seq = self._call = None
