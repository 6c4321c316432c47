"""A plugin class in this process, whose questions are answered while a call waits: one thread plays the host."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.object_peer import ObjectPeer

__all__ = ["LocalPeer"]


class LocalPeer(ObjectPeer):
    """An `ObjectPeer` for a host in one thread."""

    while_waiting: Callable[[], object] | None = None
    """Takes the batches that have come; called while a call waits for its reply."""

    def wait(self, done: Callable[[], bool], timeout_s: float, lane: Lane) -> None:
        """Read and write until *done*; see `SocketPeer.wait`."""
        if lane is not Lane.CONTROL or self.while_waiting is None:
            super().wait(done, timeout_s, lane)
            return
        until_s = monotonic() + timeout_s
        while not done():
            super().wait(lambda: done() or any(self.received.values()), max(until_s - monotonic(), 0.0), lane)
            if any(self.received.values()):
                self.while_waiting()
            elif not done() and monotonic() >= until_s:
                return
