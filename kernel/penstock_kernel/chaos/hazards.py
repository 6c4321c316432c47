"""What breaks, and when: kills, the disk, the clock, messages, handlers. The world (`world`) is told of every step.

Every decision is drawn from the seed, the fault's place in the plan and the occurrence, so that leaving one fault out
moves no other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from penstock_kernel.chaos.clock import SteppedClock
from penstock_kernel.chaos.disk import ChaosDisk, io_error, no_room
from penstock_kernel.chaos.messages import troubled
from penstock_kernel.chaos.outside import Outside
from penstock_kernel.chaos.plan import MESSAGE_KINDS, Fault, OutsideTable, Phase, Plan, outside_class
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.wiring import Slot
from penstock_sdk.plugin import Feed

__all__ = ["Armed", "Hazards", "Killed"]

_POINTS = ("input", "write", "written")


class Killed(BaseException):
    """The process is gone, as by kill -9 or with the machine's power."""


class Armed:
    """One occurrence of a fault, from when it is due until it has happened."""

    def __init__(self, part: str, fault: Fault, draw: random.Random, start_ns: int, length_ns: int) -> None:
        self.part, self.fault, self.draw = part, fault, draw
        to_s = fault.to_s if fault.to_s is not None else length_ns / 1e9
        self.at_ns = start_ns + round(draw.uniform(fault.from_s, min(to_s, length_ns / 1e9)) * 1e9)
        self.point = draw.choice(_POINTS)
        self.left = draw.randint(1, fault.steps) if fault.kind == "kill" else fault.nth
        """Steps in its phase, or calls, until it happens."""


class Hazards:
    """All that may break.

    Attributes:
        kernel, journal: of the life under way. phase, in_snapshot: what the kernel is doing.
        happened: how often each fault of the plan happened, by its place.
        markets: those outside.
        calm: True when nothing breaks any more: all is to come to rest.
        full_for: starts that will still find the disk full; -1 when it has room.
    """

    def __init__(self, plan: Plan, seed: int, start_ns: int, leave_out: frozenset[str]) -> None:
        self.plan, self.seed, self.start_ns = plan, seed, start_ns
        self.length_ns = round(plan.length_s * 1e9)
        self.journal: Journal | None = None
        self.kernel: Kernel | None = None
        self.phase: Phase = "start"
        self.in_snapshot = False
        self.happened: Counter[int] = Counter()
        self.calm = False
        self.messages = 0
        self.full_for = -1
        self._left_out = leave_out
        self._befell: set[tuple[int, str, int]] = set()
        self._torn: Armed | None = None
        self._lose_sectors: random.Random | None = None
        self._armed = sorted(self._arm(), key=lambda armed: armed.at_ns)
        self.clock = SteppedClock(start_ns, self._steps())
        self.clock.on_step = self._stepped
        self.disk = ChaosDisk()
        self.disk.before_write, self.disk.before_sync = self._before_write, self._before_sync
        self.disk.after_call, self.disk.after_tear = self._after_call, self._after_tear
        self.markets: list[Outside] = [self._market(table) for table in plan.outside]

    def _arm(self) -> Iterator[Armed]:
        for at, fault in enumerate(self.plan.fault):
            for number in range((fault.count or 1) if fault.has_moment else 0):
                part = f"{at}.{number}"
                if part not in self._left_out:
                    draw = random.Random(f"{self.seed}/{part}/{fault.kind}")
                    yield Armed(part, fault, draw, self.start_ns, self.length_ns)

    def _steps(self) -> list[tuple[int, int]]:
        steps = [armed for armed in self._armed if armed.fault.kind == "clock_step"]
        return [(armed.at_ns, round(armed.fault.by_s * 1e9)) for armed in steps]

    def _stepped(self) -> None:
        self._done(next(armed for armed in self._armed if armed.fault.kind == "clock_step"))

    def _done(self, armed: Armed) -> None:
        self._armed.remove(armed)
        self.happened[int(armed.part.split(".")[0])] += 1

    def _befall(self, feed: str, at: int, number: int) -> None:
        """Count what befell one message or call once, however often a restart reads it again."""
        if (at, feed, number) not in self._befell:
            self._befell.add((at, feed, number))
            self.happened[at] += 1

    # -- markets outside ----------------------------------------------------------------------------------------------

    def _market(self, table: OutsideTable) -> Outside:
        faults = [
            (at, fault)
            for at, fault in enumerate(self.plan.fault)
            if fault.kind in MESSAGE_KINDS and fnmatchcase(table.plugin, fault.plugin)
            if f"{at}.0" not in self._left_out
        ]

        def trouble(topic: str, now_ns: int) -> tuple[str, int] | None:
            """Decide what befalls a message; the first fault that strikes does."""
            if self.calm:
                return None
            self.messages += 1
            for at, fault in faults:
                after_s = (now_ns - self.start_ns) / 1e9
                inside = fault.from_s <= after_s < (fault.to_s if fault.to_s is not None else 1e18)
                left = self.happened[at] < (fault.count or 2**63)
                draw = random.Random(f"{self.seed}/{at}/{table.plugin}/{self.messages}")
                if inside and left and fnmatchcase(topic, fault.topic) and draw.random() < fault.probability:
                    self._befall(table.plugin, at, self.messages)
                    late_ns = round(draw.uniform(0, fault.delay_ms_max) * 1e6)
                    amount = {"drop": 0, "duplicate": 1, "delay": late_ns, "reorder": 1}[fault.kind]
                    return fault.kind, amount
            return None

        make: Any = outside_class(table.use)
        market: Outside = make(
            name=table.name, account=table.account, config=table.config, seed=self.seed, start_ns=self.start_ns,
            trouble=trouble,
        )  # fmt: skip
        return market

    # -- kills -----------------------------------------------------------------------------------------------------

    def step(self, point: str) -> None:
        """Be told of a step of the kernel's, and end the process when that is due."""
        if self.calm:
            return
        for armed in self._armed:
            fault = armed.fault
            if fault.kind != "kill" or not self._in_phase(fault.phase):
                continue
            if fault.phase != "any":
                armed.left -= 1
                if armed.left <= 0:
                    self._kill(armed)
            elif self._live and armed.at_ns <= self.now_ns and armed.point == point:
                self._kill(armed)

    def _in_phase(self, phase: Phase) -> bool:
        if phase == "snapshot":
            return self.in_snapshot
        if phase == "reconcile":
            return self._live and self.kernel is not None and bool(self.kernel.desk.reconciling)
        return phase in ("any", self.phase)

    def _kill(self, armed: Armed) -> None:
        self._done(armed)
        raise Killed(f"kill {armed.part} in {self.phase}")

    def _due(self, kind: str) -> Armed | None:
        """Return the first fault of a kind whose moment has come."""
        if not self._live or self.calm:
            return None
        now_ns = self.now_ns
        return next((a for a in self._armed if a.fault.kind == kind and a.at_ns <= now_ns), None)

    # -- the disk --------------------------------------------------------------------------------------------------

    def _before_write(self, data: bytes) -> int | None:
        self.step("write")
        torn = self._due("torn_write")
        if torn is not None:
            self._torn = torn
            if torn.fault.tear == "sectors":
                self._lose_sectors = torn.draw
                return len(data)
            return torn.draw.randrange(len(data))
        full = self._due("full_disk")
        if full is not None:
            self.full_for = full.fault.starts
            self._done(full)
        if self.full_for >= 0:
            raise no_room()
        self._broken("write")
        return None

    def _before_sync(self) -> None:
        if self._broken("sync", do_raise=False):
            # The kernel of the system has forgotten which pages were dirty: what was not synced may never be.
            self._lose_sectors = random.Random(f"{self.seed}/eio")
            raise io_error()

    def _broken(self, call: str, *, do_raise: bool = True) -> bool:
        if self.calm:
            return False
        for armed in self._armed:
            due = armed.fault.kind == "eio" and armed.fault.call == call and armed.at_ns <= self.now_ns and self._live
            if due:
                armed.left -= 1
                if armed.left <= 0:
                    self._done(armed)
                    if do_raise:
                        raise io_error()
                    return True
        return False

    def _after_tear(self) -> None:
        assert self._torn is not None
        armed, self._torn = self._torn, None
        self._done(armed)
        raise Killed(f"torn write {armed.part}")

    def _after_call(self, name: str) -> None:
        self.step("written" if name == "write" else name)

    @property
    def now_ns(self) -> int:
        """Return the run's time, or the true time of the wall clock."""
        if self.kernel is None or self.kernel.clock is self.clock:
            return self.clock.true_ns
        return self.kernel.moment.now_ns

    @property
    def _live(self) -> bool:
        return self.kernel is not None and self.kernel.live

    # -- handlers and feeds ----------------------------------------------------------------------------------------

    def _trouble(self, slot: Slot) -> None:
        """Put a bad network before a feed, and a bad day into a handler."""
        matching = [
            (at, fault)
            for at, fault in enumerate(self.plan.fault)
            if f"{at}.0" not in self._left_out and not fault.has_moment and fnmatchcase(slot.name, fault.plugin)
        ]
        plugin: Any = slot.plugin
        messages = [(at, fault) for at, fault in matching if fault.kind in MESSAGE_KINDS]
        if messages and isinstance(plugin, Feed):
            events, seed = plugin.events, f"{self.seed}/{slot.name}"

            def happened(at: int, number: int) -> None:
                self._befall(slot.name, at, number)

            plugin.events = lambda: troubled(events(), messages, seed, self.start_ns, happened)  # type: ignore[method-assign]
        for at, fault in matching:
            if fault.kind == "raise" and hasattr(plugin, fault.handler):
                setattr(plugin, fault.handler, self._raising(slot, at, fault))

    def _raising(self, slot: Slot, at: int, fault: Fault) -> Callable[[Any], Any]:
        """Return a handler that raises now and then: at the same events when they are played back."""
        handler: Callable[[Any], Any] = getattr(slot.plugin, fault.handler)
        from_ns = self.start_ns + round(fault.from_s * 1e9)
        to_ns = 2**63 if fault.to_s is None else self.start_ns + round(fault.to_s * 1e9)

        def call(event: Any) -> Any:
            ctx = slot.plugin.ctx
            if from_ns <= ctx.now_ns < to_ns:
                draw = random.Random(f"{self.seed}/{at}/{slot.name}/{ctx.seq}").random()
                again = (at, slot.name, ctx.seq) in self._befell
                if draw < fault.probability and (again or self.happened[at] < (fault.count or 2**63)):
                    self._befall(slot.name, at, ctx.seq)
                    raise RuntimeError(f"chaos: fault {at} of the plan")
            return handler(event)

        return call
