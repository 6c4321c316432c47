"""When a start came to each of its steps: what `penstock bench operate` takes apart, and the log keeps."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["StartTimes"]


class StartTimes:
    """The steps of one start, in order, each with the machine's monotonic clock and the process's CPU time."""

    def __init__(self) -> None:
        self._at_ns: dict[str, int] = {}
        self._cpu_ns: dict[str, int] = {}

    def mark(self, step: str) -> None:
        """Note that *step* is done; of one that comes again, as in a play-back over sessions, the last counts."""
        self._at_ns[step] = time.monotonic_ns()
        self._cpu_ns[step] = time.process_time_ns()

    def fields(self) -> dict[str, Any]:
        """Return both clocks by step, for a line of the log."""
        return {"at_ns": dict(self._at_ns), "cpu_ns": dict(self._cpu_ns)}
