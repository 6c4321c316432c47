"""A wall clock that steps, for code of wall time that runs in simulated time: the same each time it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from penstock_sdk.events import ClockKind

__all__ = ["SteppedClock"]


class SteppedClock:
    """The machine's clock as a test would have it: true time passes when it is waited for, the clock shows it shifted.

    Args:
        start_ns: the true time it begins at, which it also shows.
        steps: (true time, what the clock steps by) in order of time.
        next_ns: returns when by the clock something happens next, or None. A wait ends then and not each millisecond,
            which a machine that sleeps does too.
    """

    kind = ClockKind.WALL

    def __init__(
        self,
        start_ns: int,
        steps: Iterable[tuple[int, int]] = (),
        next_ns: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.true_ns = start_ns
        self.offset_ns = 0
        self.next_ns = next_ns
        self.on_step: Callable[[], object] = lambda: None
        self._steps = sorted(steps)

    def now_ns(self) -> int:
        """Return what the clock shows."""
        return self.true_ns + self.offset_ns

    def wait_until(self, due_ns: int) -> None:
        """Let time pass until the clock shows *due_ns*, or until something happens; at least a microsecond."""
        next_ns = self.next_ns()
        wanted_ns = max(due_ns, next_ns) if next_ns is not None else due_ns
        self.pass_ns(max(wanted_ns - self.now_ns(), 1_000))

    def pass_ns(self, span_ns: int) -> None:
        """Let so much true time pass; a step on the way ends it there."""
        until_ns = self.true_ns + span_ns
        if self._steps and self._steps[0][0] <= until_ns:
            at_ns, by_ns = self._steps.pop(0)
            self.true_ns = max(self.true_ns, at_ns)
            self.offset_ns += by_ns
            self.on_step()
            return
        self.true_ns = until_ns
