"""What a plugin's process prints: lines for the log, and its last words for whoever asks why it ended."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from penstock_kernel.hosts.reactor import READ, Reactor

__all__ = ["Stderr"]

LINE_MAX = 500
LINES_MAX = 1000
"""Lines of one process that go to the log; of the rest its last words alone are kept."""
WORDS_KEPT = 8


class Stderr:
    """The reading end of a process's stdout and stderr.

    Args:
        log: takes a line.
        noise: what a line begins with that is no line of its own but tells of one: see `noise`.

    Attributes:
        noise: what the first such line told; "" without one.
    """

    def __init__(self, reactor: Reactor, log: Callable[[str], object], *, noise: str = "") -> None:
        self._reactor = reactor
        self._log = log
        self._begins_noise = noise
        self.noise = ""
        self._rest = b""
        self._lines = 0
        self.words: deque[str] = deque(maxlen=WORDS_KEPT)
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        reactor.watch(self._reading, READ, lambda _events: self.read())

    def read(self) -> None:
        """Take what is there now."""
        while self._reading >= 0:
            try:
                data = os.read(self._reading, 65_536)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            *lines, rest = (self._rest + data).split(b"\n")
            self._rest = rest[:LINE_MAX]
            for line in lines:
                self._take(line)
            if len(data) < 65_536:
                return

    def _take(self, line: bytes) -> None:
        text = line[:LINE_MAX].decode("utf-8", "replace").strip()
        if not text:
            return
        if self._begins_noise and text.startswith(self._begins_noise):
            self.noise = self.noise or text.removeprefix(self._begins_noise)
            return  # the line itself is in the log already
        self.words.append(text)
        self._lines += 1
        if self._lines <= LINES_MAX:
            self._log(text if self._lines < LINES_MAX else f"{text} (no more of its output is kept)")

    def last_words(self) -> str:
        """Return what it printed last, for an error: its last line, or nothing."""
        self.read()
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        return self.words[-1] if self.words else ""

    def close_writing(self) -> None:
        """Close our copy of the process's end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> None:
        """Read no more. Again is harmless."""
        self.close_writing()
        if self._reading >= 0:
            self._reactor.forget(self._reading)
            with suppress(OSError):
                os.close(self._reading)
            self._reading = -1
