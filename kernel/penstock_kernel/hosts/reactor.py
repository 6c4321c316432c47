"""One selector for all that process plugins' connections have to say: no threads, nobody waits for more than it asked.

reactor = Reactor()
reactor.watch(sock, READ, on_ready)
reactor.turn(0.0)                       # whatever is there now
reactor.turn_until(lambda: done, 2.0)   # at most two seconds, on the process's own clock
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from time import monotonic
from typing import Any

__all__ = ["READ", "WRITE", "Reactor"]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_SLICE_S = 0.25
"""The longest single wait: who waits also looks whether its process still lives."""


class Reactor:
    """Calls back who can read or write. Not safe for threads."""

    def __init__(self, on_wait: Callable[[], object] = lambda: None) -> None:
        self._selector = selectors.DefaultSelector()
        self._on_wait = on_wait
        """Called after every wait: who waits is alive."""
        self._again: list[Callable[[], object]] = []

    def watch(self, file: Any, events: int, call: Callable[[int], object]) -> None:
        """Call *call* with the events that are ready, from now on; again changes them."""
        try:
            self._selector.modify(file, events, call)
        except KeyError:
            self._selector.register(file, events, call)

    def forget(self, file: Any) -> None:
        """Watch a file no more; one that is not watched is no error. Before it is closed."""
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            return

    def again(self, call: Callable[[], object]) -> None:
        """Call *call* once, in the next turn, which then waits for nobody: one turn's share was not all there is."""
        self._again.append(call)

    def turn(self, timeout_s: float) -> bool:
        """Call back all who are ready, waiting at most *timeout_s* for the first; return whether any was."""
        again, self._again = self._again, []
        ready = self._selector.select(0.0 if again else timeout_s)
        if timeout_s > 0:
            self._on_wait()
        for call in again:
            call()
        for key, events in ready:
            key.data(events)
        return bool(ready or again)

    def turn_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Turn until *done* or until the time is over; return whether it is done."""
        until_s = monotonic() + timeout_s
        while not done():
            left_s = until_s - monotonic()
            if left_s <= 0:
                return False
            self.turn(min(left_s, _SLICE_S))
        return True

    def close(self) -> None:
        """Let go of the selector."""
        self._selector.close()
