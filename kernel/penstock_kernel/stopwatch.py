"""Where the kernel's time goes: time per handler and latency per stage, measured on one input in so many.

Which input is measured is drawn ahead, so that inputs that come in a rhythm are met alike: one that is not pays one
subtraction. What is measured is dispatched through copies of the routes that read the clock around each handler
(`penstock_sdk.core.timing`). Nothing of it is journaled, and no result follows from it.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, NamedTuple

from penstock_kernel.telemetry.histogram import Histogram
from penstock_sdk.core.cascade import Cascade
from penstock_sdk.core.desk import Desk
from penstock_sdk.core.timing import Note
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import CheckVerdict, Order

__all__ = ["ONE_IN", "STAGES", "HandlerTime", "Stopwatch"]

ONE_IN = 32
"""One input in so many is timed."""
SHORT_NS = 20_000
"""While inputs take less than this on average, four times fewer are timed: reading the clock must not cost more than
what is measured."""
SHORT_FEWER = 4

STAGES = ("lane_wait", "handling", "write_wait", "sync_wait", "tick_to_order", "venue_answer", "command")
"""What an input and an order go through; docs/telemetry.md says from where to where."""


class HandlerTime(NamedTuple):
    """What a handler costs: estimates for all inputs from those that were timed; ``max_ns`` is of the timed ones."""

    plugin: str
    handler: str
    calls: int
    total_ns: int
    max_ns: int


class _Row:
    """The sums of one handler; each timed call stands for as many as inputs are for one that is timed."""

    __slots__ = ("_watch", "calls", "max_ns", "total_ns")

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.calls = self.total_ns = self.max_ns = 0

    def note(self, took_ns: int) -> None:
        weight = self._watch.weight
        self.calls += weight
        self.total_ns += took_ns * weight
        if took_ns > self.max_ns:
            self.max_ns = took_ns


class Stopwatch:
    """Times handlers and stages of a kernel.

    Args:
        cascade: whose handlers; it is wired anew.
        desk: whose checks: what they take is theirs, not the desk's.
        one_in: so many inputs are one that is timed, of short ones four times as many; 0 times none.

    Attributes:
        lane_wait, handling, write_wait, sync_wait, command: latencies of the stages.
        inputs: handled up to the next one that is timed; ``timed`` of them were.
        weight: so many inputs are one that is timed, as things are.
    """

    def __init__(self, cascade: Cascade, desk: Desk, one_in: int = ONE_IN) -> None:
        self.lane_wait, self.handling, self.write_wait = Histogram(), Histogram(), Histogram()
        self.sync_wait, self.command = Histogram(), Histogram()
        self.inputs = self.timed = 0
        self.one_in = self.weight = one_in
        self._mean_ns = SHORT_NS
        self._desk = desk
        self._ask = desk.ask
        self._rows: dict[tuple[str, str], _Row] = {}
        self._checks_ns = 0
        self._begun_ns = self._handled_ns = 0
        self._written_seq = -1
        self._unsynced = (-1, 0)
        """(number, since when) of a record that is written and not yet synced; none when the number is -1."""
        self._draw = 0x2545_F491
        self._cascade = cascade
        if one_in:
            cascade.timing = self
            cascade.wire(cascade.slots)
            cascade.until_timed = self._gap()

    # -- handlers: `penstock_sdk.core.timing.Timing` ---------------------------------------------------------------

    def begin(self) -> None:
        """Have the checks timed, too, and start the watch."""
        self._desk.ask = self._timed_ask
        self._begun_ns = perf_counter_ns()

    def end(self) -> int:
        """Stop the watch; return which input is the next to be timed."""
        now_ns = perf_counter_ns()
        took_ns = now_ns - self._begun_ns
        self.handling.record(took_ns)
        self._mean_ns += (took_ns - self._mean_ns) >> 4
        self.weight = self.one_in if self._mean_ns >= SHORT_NS else self.one_in * SHORT_FEWER
        self._desk.ask = self._ask
        self._handled_ns = self._handled_ns or now_ns
        self.timed += 1
        return self._gap()

    def _gap(self) -> int:
        """Return a gap between 1 and twice the mean: a fixed one would always meet the same place in a rhythm."""
        if self._cascade.until_timed < 0:  # a timed input was broken off by an error of the kernel's own
            self.inputs -= self._cascade.until_timed
        self._draw = (self._draw * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        gap = 1 + (self._draw >> 8) % (2 * self.weight - 1)
        self.inputs += gap
        return gap

    def note_for(self, plugin: str, handler: str) -> Note:
        """Return where the times of a handler go."""
        row = self._row(plugin, handler)
        if (plugin, handler) != ("desk", "on_order_intent"):
            return row.note

        def without_checks(took_ns: int) -> None:
            row.note(took_ns - self._checks_ns)
            self._checks_ns = 0

        return without_checks

    def _row(self, plugin: str, handler: str) -> _Row:
        return self._rows.setdefault((plugin, handler), _Row(self))

    def _timed_ask(self, slot: Slot, order: Order) -> CheckVerdict | None:
        begun_ns = perf_counter_ns()
        verdict = self._ask(slot, order)
        took_ns = perf_counter_ns() - begun_ns
        self._row(slot.name, "check_order").note(took_ns)
        self._checks_ns += took_ns
        return verdict

    def rows(self) -> list[HandlerTime]:
        """Return what each handler that was timed costs, the dearest first."""
        found = [
            HandlerTime(plugin, handler, row.calls, row.total_ns, row.max_ns)
            for (plugin, handler), row in self._rows.items()
            if row.calls
        ]
        return sorted(found, key=lambda row: (-row.total_ns, row.plugin, row.handler))

    # -- stages ----------------------------------------------------------------------------------------------------

    def written(self, seq: int) -> None:
        """Note that everything up to a number is written."""
        if seq == self._written_seq:
            self._handled_ns = 0  # nothing came of it that is kept
            return
        self._written_seq = seq
        now_ns = perf_counter_ns()
        if self._handled_ns:
            self.write_wait.record(now_ns - self._handled_ns)
            self._handled_ns = 0
        if self._unsynced[0] < 0:
            self._unsynced = (seq, now_ns)

    def synced(self, seq: int) -> None:
        """Note that everything up to a number is on the disk, as seen now."""
        marked, since_ns = self._unsynced
        if 0 <= marked <= seq:
            self.sync_wait.record(perf_counter_ns() - since_ns)
            self._unsynced = (-1, 0)

    def restart(self) -> None:
        """Forget what a play-back took: what is told is of the inputs that the kernel took live."""
        for name in STAGES:
            if hasattr(self, name):
                getattr(self, name).clear()
        for row in self._rows.values():
            row.calls = row.total_ns = row.max_ns = 0
        self.timed, self.inputs = 0, max(self._cascade.until_timed, 0)
        self._handled_ns, self._unsynced = 0, (-1, 0)

    def mend(self) -> None:
        """Go on timing after a timed input that an error of the kernel's own broke off."""
        if self.one_in and self._cascade.until_timed < 0:
            self._desk.ask = self._ask
            self._cascade.until_timed = self._gap()

    def stages(self, watch: Any) -> dict[str, Histogram]:
        """Return the histograms by stage, with those that the tick watch keeps."""
        own = {name: getattr(self, name) for name in STAGES if hasattr(self, name)}
        return own | {"tick_to_order": watch.tick_to_order, "venue_answer": watch.venue_answer}
