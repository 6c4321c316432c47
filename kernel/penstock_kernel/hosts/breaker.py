"""A circuit breaker for one ability of a plugin: closed, open after too many failures, half-open to try again. Pure.

```
closed ── half of the last answers failed ──► open ── its time is over ──► half-open ── three good answers ──► closed
                                               ▲                                │
                                               └──────────── one failure ───────┘ (for twice as long)
```
Time is whatever clock the caller reads, in ns. What counts as a failure is the caller's: an error, an answer that came
too late, a consumer that grants no credit.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from msgspec import Struct

__all__ = ["Breaker", "BreakerSettings", "Breakers", "Circuit"]

_S = 1_000_000_000


class Circuit(IntEnum):
    """Where a breaker stands."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


class BreakerSettings(Struct, frozen=True):
    """When it opens and closes."""

    window_ns: int = 10 * _S
    """Answers older than this count no more …"""
    answers_max: int = 1_000
    """… nor more of them than these, the newest."""
    answers_min: int = 5
    """Fewer answers than these say nothing."""
    failures_share: float = 0.5
    """It opens when so many of them failed."""
    open_ns: int = 1 * _S
    """How long it stays open; twice as long after each failed trial …"""
    open_ns_max: int = 30 * _S
    """… up to this."""
    trials: int = 3
    """Good answers, one after the other, that close it."""


class Breaker:
    """One circuit.

    Attributes:
        circuit: where it stands.
        why: what opened it last, or empty.
        opened: how often it has been.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self.settings = settings or BreakerSettings()
        self.circuit = Circuit.CLOSED
        self.why = ""
        self.opened = 0
        self._answers: deque[tuple[int, bool]] = deque(maxlen=self.settings.answers_max)
        self._open_until_ns = 0
        self._open_ns = self.settings.open_ns
        self._good = 0

    def allows(self, now_ns: int) -> bool:
        """Return whether the ability may be used now; an open breaker whose time is over is half-open from here on."""
        if self.circuit == Circuit.OPEN and now_ns >= self._open_until_ns:
            self.circuit, self._good = Circuit.HALF_OPEN, 0
        return self.circuit != Circuit.OPEN

    def succeeded(self, now_ns: int) -> None:
        """Count a good answer; while it is open, one of before it opened, which says nothing."""
        if self.circuit == Circuit.HALF_OPEN:
            self._good += 1
            if self._good >= self.settings.trials:
                self._close()
        elif self.circuit == Circuit.CLOSED:
            self._count(now_ns, True)

    def failed(self, now_ns: int, why: str) -> None:
        """Count a failure, and open when there are too many."""
        if self.circuit == Circuit.HALF_OPEN:
            self._open_ns = min(2 * self._open_ns, self.settings.open_ns_max)
            self._open(now_ns, why)
        elif self.circuit == Circuit.CLOSED:
            self._count(now_ns, False)
            failures = sum(not good for _, good in self._answers)
            count = len(self._answers)
            if count >= self.settings.answers_min and failures >= self.settings.failures_share * count:
                self._open(now_ns, f"{failures} of {count} answers within {self._window_s:g} s failed, the last: {why}")

    def reset(self) -> None:
        """Begin anew, as for a new process."""
        self._close()

    @property
    def _window_s(self) -> float:
        return self.settings.window_ns / _S

    def _count(self, now_ns: int, good: bool) -> None:
        answers = self._answers
        answers.append((now_ns, good))
        while answers and answers[0][0] <= now_ns - self.settings.window_ns:
            answers.popleft()

    def _open(self, now_ns: int, why: str) -> None:
        self.circuit, self.why = Circuit.OPEN, why
        self.opened += 1
        self._open_until_ns = now_ns + self._open_ns
        self._answers.clear()

    def _close(self) -> None:
        self.circuit, self.why, self._good = Circuit.CLOSED, "", 0
        self._open_ns = self.settings.open_ns
        self._answers.clear()

    def check(self) -> None:
        """Assert what always holds."""
        settings = self.settings
        assert settings.open_ns <= self._open_ns <= max(settings.open_ns, settings.open_ns_max)
        assert len(self._answers) <= settings.answers_max
        assert not (self.circuit != Circuit.CLOSED and self._answers)
        assert 0 <= self._good < max(settings.trials, 1)
        assert bool(self.why) == (self.circuit != Circuit.CLOSED)


class Breakers:
    """The breakers of one plugin, by ability: ``check``, ``handlers``, ``events``, ``orders``."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings
        self._breakers: dict[str, Breaker] = {}

    def __getitem__(self, ability: str) -> Breaker:
        """Return the breaker of an ability, made where it is new."""
        return self._breakers.setdefault(ability, Breaker(self._settings))

    def open_now(self, now_ns: int) -> str:
        """Return which abilities must not be used and why, or nothing."""
        return "; ".join(f"{name}: {b.why}" for name, b in self._breakers.items() if not b.allows(now_ns))

    def reset(self) -> None:
        """Begin anew, as for a new process."""
        self._breakers.clear()
