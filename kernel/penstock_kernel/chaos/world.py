"""The world that a rehearsed instance lives in: it sees all that the kernel does, and has every promise checked.

It outlives the process that it ends; what breaks is decided by its `Hazards`.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from penstock_kernel.chaos.account import Account, Entry
from penstock_kernel.chaos.hazards import Hazards, Killed
from penstock_kernel.chaos.invariants import INVARIANTS, Invariant
from penstock_kernel.chaos.outside import differences
from penstock_kernel.chaos.plan import Plan
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Limit,
    OperatorCommand,
    Order,
    PluginFault,
    PluginState,
    Position,
    Reconcile,
    Reconciled,
    RunEnd,
    RunHeader,
)
from penstock_sdk.schema import Event, schema_by_id
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES
from penstock_sdk.wire.segment import read_frames

__all__ = ["Killed", "Violated", "Violation", "World"]

_WANTED = {
    cls.layout.id
    for cls in (
        Alert, CheckVerdict, ExecutionReport, Limit, OperatorCommand, Order, PluginFault, PluginState, Position,
        Reconcile, Reconciled, RunEnd, RunHeader,
    )
}  # fmt: skip
_POLL_NS, _NAP_NS = 20_000_000, 60_000_000_000


class Violation:
    """A promise that did not hold: which, after which event, and what was met."""

    def __init__(self, name: str, seq: int, at_ns: int, text: str) -> None:
        self.name, self.seq, self.at_ns, self.text = name, seq, at_ns, text


class Violated(BaseException):
    """A promise did not hold; the seed ends here."""

    def __init__(self, violation: Violation) -> None:
        self.violation = violation
        super().__init__(f"{violation.name}: {violation.text}")


class World(Hazards):
    """All that is around the kernel.

    Attributes:
        account: what the journal says; commands, checks, limits_before, journal, kernel: of the life under way.
        told: (epoch, seq, id) of every change of an alert that the journal holds.
        early: effects that left before their cause was written, in words.
        violation: the first promise that did not hold.
    """

    def __init__(
        self, plan: Plan, seed: int, run_dir: Path, start_ns: int, leave_out: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(plan, seed, start_ns, leave_out)
        self.run_dir = run_dir
        self.account = Account()
        self.checks = 0
        self.early: list[str] = []
        self._unsent: set[int] = set()
        self._cancel_seqs: set[int] = set()
        self.cancelled: set[int] = set()
        """Orders that were cancelled since the journal failed."""
        self.power_lost = False
        self.portfolio_faulty = False
        self.reread_fault = ""
        self.handles_first = 0
        self.limits_before: dict[tuple[int, int, int], int] = {}
        self.recent: deque[bytes] = deque(maxlen=6)
        """The last frames, for whoever wants to know what led to a violation."""
        self.told: set[tuple[int, int, int]] = set()
        self.violation: Violation | None = None
        self.compare_with_uncut: Callable[[], str] = lambda: ""
        self.replay_fault: Callable[[], str] = lambda: ""
        self._commands: list[tuple[int, OperatorCommand]] = []
        self.outside = False
        """True when a venue of the deployment lives outside the kernel."""
        self.unwritten = 0
        """Frames that waited when the last input was settled."""
        self.inputs = 0
        self.lives = 0
        self._watched: list[Kernel] = []
        self._fresh: list[bytes] = []
        self._crcs: dict[int, int] = {}
        self.clock.next_ns = self._next_ns
        self.invariants: list[Invariant] = [cls(self) for cls in INVARIANTS]

    @property
    def unsent_cancels(self) -> int:
        """Cancels of this life that have not left."""
        return len(self._unsent)

    def compare_with_markets(self) -> str:
        """Return where a market outside and the journal part, in words."""
        return next((text for market in self.markets if (text := differences(market, self.account))), "")

    # -- a life of the process -------------------------------------------------------------------------------------

    def begin_life(self, journal: Journal) -> None:
        """Take note of a journal that has just been opened: read it again, and hear all that it is given from now."""
        self.journal = journal
        self.lives += 1
        self._fresh.clear()
        self._reread(journal)
        keep = self._fresh.append
        pend = journal.append

        def append(data: bytes) -> None:
            keep(data)
            pend(data)

        journal.append = append

    def before_start(self) -> None:
        """Take note that somebody tries to start: a full disk may have room again by now."""
        if self.full_for >= 0:
            self.full_for -= 1
        self.phase, self.in_snapshot, self.kernel = "start" if not self.lives else "recovery", False, None
        self._watched.clear()
        self._commands.clear()
        self._unsent.clear()
        self._cancel_seqs.clear()
        self.cancelled.clear()

    def _reread(self, journal: Journal) -> None:
        """Hold the files against what was written, and begin the account anew with what they hold."""
        wanted_seq = self._durable_seq
        self.account = Account()
        self.invariants = [cls(self) for cls in INVARIANTS]
        self.limits_before = {}
        kept: dict[int, int] = {}
        self.reread_fault = ""
        for frame in read_frames(journal.directory):
            raw = bytes(frame.raw)
            if raw[7] >= DIAGNOSTIC:
                continue
            kept[frame.seq] = crc = zlib.crc32(raw)
            if self._crcs.get(frame.seq, crc) != crc and not self.reread_fault:
                self.reread_fault = f"event {frame.seq} is not in the files as it was written"
            self._take(raw)
        if self.account.last_seq < wanted_seq:
            text = f"event {wanted_seq} was written, and the files end with {self.account.last_seq}"
            self.reread_fault = self.reread_fault or text
        self._crcs = kept
        self.limits_before = dict(self.account.limits)
        if self.reread_fault:
            self._check(lambda one: self.reread_fault if one.name == "kept" else "")

    _durable_seq = 0

    def end_life(self, journal: Journal | None) -> None:
        """Take note that the process is gone; of the files what the disk kept is left."""
        if journal is None:
            return
        self._durable_seq = max(self._durable_seq, journal.written_seq)
        if self._lose_sectors is not None:
            self._durable_seq = max(journal.synced_seq, 0)
            rng, self._lose_sectors = self._lose_sectors, None
            if self.disk.lose_power(journal.directory, rng):
                self.power_lost = True
                # What was never synced may come back as something else: it was never promised.
                self._crcs = {seq: crc for seq, crc in self._crcs.items() if seq <= self._durable_seq}
        self.told = {position for position in self.told if position[1] <= self._durable_seq}
        for market in self.markets:
            market.process_gone()
        self.journal = None
        self.kernel = None

    # -- what the kernel does --------------------------------------------------------------------------------------

    def take_over(self, kernel: Kernel) -> None:
        """See all that a kernel does from now on."""
        self.kernel = kernel
        if any(known is kernel for known in self._watched):
            return
        self._watched.append(kernel)
        run, attach, effect, snapshot = kernel.cascade.run, kernel.attach, kernel.effect, kernel.take_snapshot
        settle = kernel.settle

        def run_input(event: Event, origin: int, producer: Slot) -> None:
            self.step("input")
            run(event, origin, producer)
            if kernel.live:
                self._look(kernel)

        def attach_plugin(*arguments: Any, **named: Any) -> Slot:
            slot = attach(*arguments, **named)
            self._trouble(slot)
            return slot

        def keep_effect(fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
            seq = kernel.moment.seq
            cancel = any(type(a) is Order and a.action != IntentAction.NEW for a in args)

            @wraps(fn)
            def leave(*given: Any) -> None:
                self._leaves(kernel, seq)
                fn(*given)

            if cancel and kernel.live:
                self._unsent.add(seq)
            effect(leave, args)

        def settled() -> None:
            settle()
            self.unwritten = len(kernel.journal.pending) if kernel.journal is not None and kernel.live else 0

        def take_snapshot() -> Path | None:
            self.in_snapshot = True
            try:
                self.step("snapshot")
                path = snapshot()
                self.step("snapshot")
                return path
            finally:
                self.in_snapshot = False

        kernel.cascade.run = run_input  # type: ignore[method-assign]
        kernel.attach = attach_plugin  # type: ignore[method-assign]
        kernel.effect = keep_effect  # type: ignore[method-assign]
        kernel.settle = settled  # type: ignore[method-assign]
        kernel.take_snapshot = take_snapshot  # type: ignore[method-assign]

    def _leaves(self, kernel: Kernel, seq: int) -> None:
        journal = kernel.journal
        self._unsent.discard(seq)
        if journal is not None and journal.written_seq < seq and not (seq in self._cancel_seqs and journal.failed):
            self.early.append(f"an effect of event {seq} left, written is {journal.written_seq}")

    # -- looking ---------------------------------------------------------------------------------------------------

    def _look(self, kernel: Kernel) -> None:
        """Take what was numbered, and ask every invariant."""
        self.inputs += 1
        self.checks = sum(slot.kind in ("risk", "compliance") for slot in kernel.cascade.slots)
        self.outside |= bool(kernel.desk.outside)
        if self._fresh:
            fresh, self._fresh[:] = list(self._fresh), []
            for raw in fresh:
                if raw[7] < DIAGNOSTIC:
                    seq = HEADER.unpack_from(raw)[4]
                    self._crcs[seq] = zlib.crc32(raw)
                    self._take(raw)
        for change in kernel.alerts.changes:
            self.told.add(change.position)
        self._check(lambda one: one.on_input(kernel))

    def _take(self, raw: bytes) -> None:
        """Let the invariants and the account have one frame."""
        self.recent.append(raw)
        body_bytes, schema_id, _, origin, seq, at_ns, cause, _, count, stride, producer = HEADER.unpack_from(raw)
        if schema_id not in _WANTED:
            self._entry(Entry(seq, at_ns, cause, origin, producer, schema_id, count, None))
            return
        layout = schema_by_id(schema_id)
        body = raw[HEADER_BYTES : HEADER_BYTES + body_bytes]
        size = stride if layout.packed and count > 1 else body_bytes
        for at in range(count):
            record = layout.unpack(body[at * size : (at + 1) * size])
            self._entry(Entry(seq + at, at_ns, cause, origin, producer, schema_id, 1, record))

    def _entry(self, entry: Entry) -> None:
        self._check(lambda one: one.on_event(entry), entry)
        if type(entry.record) is PluginFault:
            slot = self.kernel.slots.get(entry.record.name) if self.kernel is not None else None
            self.portfolio_faulty |= slot is None or slot.kind == "portfolio"
        if type(entry.record) is Order and entry.record.action != IntentAction.NEW:
            self._cancel_seqs.add(entry.seq)
            if self.journal is not None and self.journal.failed:
                self.cancelled.add(entry.record.order_id)
        self.account.feed(entry)

    def _check(self, ask: Callable[[Invariant], str], entry: Entry | None = None) -> None:
        for one in self.invariants:
            text = ask(one)
            if text:
                seq = entry.seq if entry is not None else self.account.last_seq
                at_ns = entry.at_ns if entry is not None else self.account.last_ns
                self.violation = self.violation or Violation(one.name, seq, at_ns, text)
                raise Violated(self.violation)

    def started(self, kernel: Kernel) -> None:
        """Take note that a start has succeeded."""
        self._look(kernel)
        self._check(lambda one: one.on_start(kernel))

    def session_over(self, kernel: Kernel) -> None:
        """Take note that a session is over, in order or because its journal failed."""
        self._look(kernel)
        self._check(lambda one: one.on_end_of_session(kernel))

    def over(self) -> None:
        """Take note that the last session is over."""
        self._check(lambda one: one.on_end())

    def command_at(self, kernel: Kernel, at_ns: int, command: OperatorCommand) -> None:
        """Have a command come at a time of the run's; in wall time at the first turn from then on."""
        if kernel.clock is not self.clock:
            kernel.command_at(at_ns, command)
            return
        self._commands.append((at_ns, command))

    def turn(self) -> None:
        """Give the commands that are due by the wall clock."""
        kernel = self.kernel
        while self._commands and kernel is not None and kernel.live and self._commands[0][0] <= kernel.clock.now_ns():
            kernel.command(self._commands.pop(0)[1])

    def _next_ns(self) -> int | None:
        """Return when by the wall clock something happens next: what a machine that sleeps is woken for."""
        kernel = self.kernel
        if kernel is None or len(kernel.lanes):
            return None
        due = [source.next_ns for source in kernel.sources if not source.ended]
        timer_ns = kernel.timers.next_ns()
        if timer_ns is not None:
            due.append(timer_ns)
        if self._commands:
            due.append(self._commands[0][0])
        due.append(self.clock.now_ns() + (_POLL_NS if kernel.desk.outside else _NAP_NS))
        return min(due)
