"""What befalls messages on their way to the kernel: lost, late, overtaken, doubled. Decided by seed and message number.

A feed's messages are changed between the feed and the kernel's source, as a function of the seed and their count: a
restart that reads the feed again meets the same.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from penstock_kernel.chaos.plan import Fault
from penstock_sdk.schema import Event

__all__ = ["Happened", "troubled"]

Happened = Callable[[int, int], None]
"""Takes the fault's place in the plan and the number of the message that it befell."""


class _Befalls:
    """One fault of the plan, as it befalls one feed's messages."""

    def __init__(self, at: int, fault: Fault, seed: str, start_ns: int, happened: Happened) -> None:
        self.fault = fault
        self._at, self._seed, self._happened = at, seed, happened
        self._from_ns = start_ns + round(fault.from_s * 1e9)
        self._to_ns = 2**63 if fault.to_s is None else start_ns + round(fault.to_s * 1e9)
        self._left = fault.count if fault.count is not None else 2**63

    def strikes(self, number: int, at_ns: int, event: Event) -> random.Random | None:
        """Return a generator for what exactly happens to a message, or None when nothing does."""
        if not self._left or not self._from_ns <= at_ns < self._to_ns:
            return None
        if not fnmatchcase(event.layout.topic, self.fault.topic):
            return None
        draw = random.Random(f"{self._seed}/{number}")
        if draw.random() >= self.fault.probability:
            return None
        self._left -= 1
        self._happened(self._at, number)
        return draw


def troubled(
    events: Iterator[tuple[int, Event]],
    faults: list[tuple[int, Fault]],
    seed: str,
    start_ns: int,
    happened: Happened,
) -> Iterator[tuple[int, Event]]:
    """Yield a feed's ``(at_ns, event)`` as a bad network brings them, still in order of the time they come.

    Args:
        faults: (place in the plan, fault) of those that concern the feed.
        seed: decides, with a message's number.
    """
    befalls = [_Befalls(at, fault, f"{seed}/{at}", start_ns, happened) for at, fault in faults]
    held: list[tuple[int, int, int, Event]] = []
    """(at_ns, the message before which it comes, order of arrival, event)"""
    for number, (at_ns, event) in enumerate(events):
        # What is overtaken comes with the message that it waits for, at that one's time.
        held = [(max(d, at_ns) if b > number else d, b, n, e) for d, b, n, e in held]
        heapq.heapify(held)
        while held and (held[0][0] < at_ns or (held[0][0] == at_ns and held[0][1] <= number)):
            due_ns, _, _, late = heapq.heappop(held)
            yield due_ns, late
        for due_ns, before, copies in _fate(befalls, number, at_ns, event):
            for copy in range(copies):
                heapq.heappush(held, (due_ns, before, 2 * number + copy, event))
        while held and held[0][0] <= at_ns and held[0][1] <= number:
            due_ns, _, _, late = heapq.heappop(held)
            yield due_ns, late
    while held:
        due_ns, _, _, late = heapq.heappop(held)
        yield due_ns, late


def _fate(befalls: list[_Befalls], number: int, at_ns: int, event: Event) -> list[tuple[int, int, int]]:
    """Return when a message comes, before which other, and how many times; nothing when it is lost."""
    due_ns, before, copies = at_ns, number, 1
    for one in befalls:
        draw = one.strikes(number, at_ns, event)
        if draw is None:
            continue
        kind = one.fault.kind
        if kind == "drop":
            return []
        if kind == "delay":
            due_ns += round(draw.uniform(0, one.fault.delay_ms_max) * 1e6)
        elif kind == "reorder":
            before = number + draw.randint(1, one.fault.span)
        elif kind == "duplicate":
            copies += 1
    return [(due_ns, before, copies)]
