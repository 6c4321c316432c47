"""The kernel: the core of the SDK, with a journal under it, a clock beside it and the world around it.

One Python thread: take the next input, stamp it, run it to completion, see that it is written, let its effects happen.
"""

from __future__ import annotations

import hashlib
import heapq
import pickle
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from penstock_kernel.clock import Clock
from penstock_kernel.journal import Journal, JournalFatal
from penstock_kernel.lanes import Lanes
from penstock_kernel.snapshots import can_snapshot, save_snapshot, thin_snapshots
from penstock_kernel.sources import Source, SourceError
from penstock_kernel.stopwatch import ONE_IN, Stopwatch
from penstock_kernel.tasks import Tasks
from penstock_kernel.telemetry.runlog import log_line
from penstock_kernel.tick_watch import TickWatch
from penstock_kernel.vitals import Vitals
from penstock_sdk.core.core import Core
from penstock_sdk.core.faults import Recording, error_text, fault_text, shown
from penstock_sdk.core.received import received
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    Alert,
    CaptureRef,
    ClockKind,
    ClockStep,
    OperatorCommand,
    PluginFault,
    PluginStatus,
    RunEnd,
    Severity,
)
from penstock_sdk.plugin import Feed, Plugin
from penstock_sdk.schema import ABSENT, Control, Event, Frame, Record, schema_by_id
from penstock_sdk.wire.frame import HEADER, Origin

if TYPE_CHECKING:
    from penstock_kernel.hosts import Hosts

__all__ = ["COMMIT_FRAMES", "Done", "Kernel", "Undone"]

Done = Callable[[int, int], object]
"""Takes the numbers of a command and of the last event that followed from it."""
_INPUT = Vitals.INPUT
# Plain numbers for what every input comes past: to look a member up in its enum takes 80 ns.
_EXTERNAL, _TIMER, _REPLY = int(Origin.EXTERNAL), int(Origin.TIMER), int(Origin.REPLY)

SNAPSHOT_EVERY = 1_000_000
"""Events between a run's snapshots, unless its deployment says otherwise."""
INSTANCE_SNAPSHOT_EVERY = 100_000
"""The same of an instance."""
COMMIT_FRAMES = 512
"""Frames pending at which a batch is written, also without effects."""
SYNC_EVERY_NS = 1_000_000_000
"""In wall time: what is written is synced this often, beside the kernel's thread."""
ANSWERS_NS = 5_000_000_000
"""How long a stop waits for what venues outside have not answered."""


class Undone(NamedTuple):
    """Number of the event that says that a change was undone, and why it was."""

    seq: int
    why: str


class Kernel(Core):
    """A run's kernel.

    Args:
        clock: simulated or wall.
        journal: where frames go; None records nothing (benches).
        durability_for: topic → synced, written, reference, none.
        run_dir: for snapshots; None takes none.
        time_one_in: one input in so many has its handlers timed; 0 none.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        journal: Journal | None = None,
        durability_for: Callable[[str], str] = lambda topic: "written",
        limit_for: Callable[[str], int] = lambda topic: 65_536,
        run_dir: Path | None = None,
        run_seed: int = 0,
        epoch: int = 1,
        versions: dict[str, str] | None = None,
        snapshot_every_events: int | None = None,
        log: Callable[[str], object] = lambda line: None,
        vitals: Vitals | None = None,
        time_one_in: int = ONE_IN,
        **limits: int,
    ) -> None:
        self.clock = clock
        self.journal = journal
        self.run_dir = run_dir
        self.versions = versions or {}
        self.lanes = Lanes(limit_for)
        self.tasks = Tasks()
        self.sources: list[Source] = []
        self.taken: Counter[str] = Counter()
        """Recorded events that were taken of feeds which are not read now: lost, or played back."""
        self._pollers: list[Slot] = []
        """Plugins of any kind that take what comes in from outside."""
        self.ended = False
        """True once the run's last event has been handled: nothing is left to do."""
        self.started = False
        """True once every plugin has: before that a snapshot would be of half a session."""
        self.resumed: set[str] = set()
        """Plugins that took up what they left in an earlier session."""
        self.live = True
        """False while a journal is played back: no effects, no work submitted, no snapshots."""
        self.tape: list[bytes] | None = None
        """While a journal is played back: what the core recorded, to be held against it."""
        self.turns: tuple[Callable[[], object], ...] = ()
        """Called between inputs now and then, also while a journal is played back: display, control socket, vitals."""
        self.on_attached: Callable[[], object] = lambda: None
        """Called when all plugins are attached, before any of them starts or takes anything up."""
        self.vitals = vitals or Vitals(None)
        self._busy = self.vitals.cells
        self._durability_for = durability_for
        self._by_reference: set[int] = set()
        self._want_sync = False
        self._effects: list[tuple[int, Callable[..., Any], tuple[Any, ...]]] = []
        """(seq of the cause, function, arguments)"""
        self._unanswered: dict[tuple[int, int], tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        """Work submitted in a play-back whose result has not been met yet, by plugin and task."""
        self.recording_for: Callable[[Slot], Recording] | None = None
        """While a journal is played back: what a plugin said that is recorded, not recomputed."""
        self._log = log
        self._commands: list[tuple[OperatorCommand, Done | None, int]] = []
        """(command, whom to tell, when it came on the process's own clock)"""
        self._later: list[Event | Callable[[], object]] = []
        self._sync_due_ns = 0
        self._schedule: list[tuple[int, int, OperatorCommand]] = []
        self._scheduled = count()
        self._snapshot_every = snapshot_every_events
        self._next_snapshot = snapshot_every_events or SNAPSHOT_EVERY
        self._snapshot_faults: set[str] = set()
        self._stepped = False
        """True while the clock is behind the run's time."""
        self.hosts: Hosts | None = None
        self.undone: Undone | None = None
        """In a play-back, where and why the change at hand was undone; None: it was not."""
        """Plugins in processes of their own; None where there is none."""
        self.failed_then: Callable[[str], str] = lambda name: ""
        """In a play-back, why the process of a plugin did not come up here as the run was started, or nothing."""
        self.deployment: Any = None
        """What an operator has changed the deployment to since the session began, or None."""
        self.on_command: Callable[[OperatorCommand], object] = lambda command: None
        """Called after an operator's command has been handled, before it is answered: it may feed inputs."""
        super().__init__(sink_for=self._sink_for, run_seed=run_seed, epoch=epoch, **limits)
        self.moment.now_ns = clock.now_ns()
        self.watch = TickWatch(self.moment)
        self._own.append(Slot("tick-watch", 0, self.watch, "kernel"))
        self.stopwatch = Stopwatch(self.cascade, self.desk, time_one_in)
        self.lanes.note_wait = self.stopwatch.lane_wait.record
        self.cascade.record_frame = self._record_frame

    # -- recording -------------------------------------------------------------------------------------------------

    def _sink_for(self, schema_id: int) -> Callable[[bytes], object] | None:
        """Return where a schema's frames go, by its topic's durability; None for nowhere."""
        durability = self._durability_for(schema_by_id(schema_id).topic)
        if durability == "reference":
            self._by_reference.add(schema_id)
        if durability == "none":
            return None
        if self.tape is not None:
            return self.tape.append
        if self.journal is None:
            return None
        append = self.journal.append
        if durability != "synced":
            return append

        def synced(data: bytes) -> None:
            append(data)
            self._want_sync = True

        return synced

    def _record_frame(self, frame: Frame, seq: int, origin: int, slot: Slot) -> bytes | None:
        """Return a reference to record in a frame's place, where its topic is journaled so and a file holds it."""
        layout = frame.layout
        if frame.kept_at is None or layout.id not in self._by_reference or origin != Origin.EXTERNAL:
            return None
        file, offset = frame.kept_at
        reference = CaptureRef(
            capture=file, offset=offset, count=len(frame), schema_id=layout.id,
            digest=hashlib.sha256(frame.array.tobytes()).digest(),
        )  # fmt: skip
        body = reference.layout.pack(reference)
        head = HEADER.pack(
            len(body), reference.layout.id, reference.layout.version, origin, seq, self.moment.now_ns, ABSENT,
            self.moment.correlation_seq, len(frame), 0, slot.plugin_id,
        )  # fmt: skip
        return head + body + bytes(-len(body) % 8)

    def _quarantined(self, slot: Slot, reason: str) -> None:
        super()._quarantined(slot, reason)
        self.sources = [source for source in self.sources if source.slot is not slot]
        self._pollers = [poller for poller in self._pollers if poller is not slot]

    def attach(self, cls: type[Plugin], name: str, config: Any = None, **context: Any) -> Slot:
        """Build a plugin instance; in a play-back, one that is recorded is told in its place."""
        slot = super().attach(cls, name, config, **context)
        self.record(slot)
        return slot

    def let_go(self, slot: Slot) -> None:
        """Forget a plugin instance, and what it gave or would have given."""
        super().let_go(slot)
        if self.hosts is not None:
            self.hosts.let_go(slot.name)
        self.sources = [source for source in self.sources if source.slot is not slot]
        self._pollers = [poller for poller in self._pollers if poller is not slot]

    def join(self, slot: Slot) -> None:
        """Take what a plugin gives from now on that was started in a running session.

        Raises:
            SourceError: a feed fails before its first event.
        """
        self._pollers = [s for s in self.cascade.slots if s.plugin_id and callable(getattr(s.plugin, "poll", None))]
        if not isinstance(slot.plugin, Feed) or slot.recording is not None:
            return
        source = Source(slot)
        while not source.ended and source.next_ns < self.moment.now_ns:
            source.take()
        if source.error is not None and not source.taken:
            raise SourceError(f"feed {slot.name} cannot begin: {error_text(source.error)}") from source.error
        at = list(self.slots).index(slot.name)
        before = [other for other in self.sources if list(self.slots).index(other.slot.name) < at]
        self.sources = [*before, source, *(other for other in self.sources if other not in before)]

    def lose(self, slot: Slot, reason: str) -> list[Event]:
        """As the core does; and take nothing more of what it would have given."""
        out = super().lose(slot, reason)
        for source in self.sources:
            if source.slot is slot:
                self.taken[slot.name] = source.taken
        self.sources = [source for source in self.sources if source.slot is not slot]
        self._pollers = [poller for poller in self._pollers if poller is not slot]
        return out

    def start_plugin(self, slot: Slot, *, resumed: bool = False) -> None:
        """As the core does; of one that comes back what it gives is taken again."""
        back = slot not in self.cascade.slots
        super().start_plugin(slot, resumed=resumed)
        if back and slot in self.cascade.slots:
            self._pollers = [s for s in self.cascade.slots if s.plugin_id and callable(getattr(s.plugin, "poll", None))]
            self._read_on(slot)

    def _read_on(self, slot: Slot) -> None:
        """Read a feed again that comes back: after what had been taken of it."""
        if not isinstance(slot.plugin, Feed) or slot.recording is not None:
            return
        source = Source(slot)
        if slot.plugin.elsewhere:
            wanted = self.taken.pop(slot.name, 0)
            while source.taken < wanted and not source.ended:
                source.take()
        at = list(self.slots).index(slot.name)
        before = [other for other in self.sources if list(self.slots).index(other.slot.name) < at]
        self.sources = [*before, source, *(other for other in self.sources if other not in before)]
        if source.error is not None and source.ended:
            self.source_failed(source, source.error)

    def record(self, slot: Slot) -> None:
        """In a play-back, have a plugin that is recorded not be called."""
        if self.recording_for is not None and slot.origin == Origin.REPLY:
            slot.recording = self.recording_for(slot)

    # -- inputs ----------------------------------------------------------------------------------------------------

    def input(self, event: Event, origin: int, slot: Slot | None = None, at_ns: int | None = None) -> None:
        """Handle one input: stamp, run to completion, write, let effects happen."""
        if at_ns is not None and at_ns > self.moment.now_ns:
            self.moment.now_ns = at_ns
        busy, cascade = self._busy, self.cascade
        busy[_INPUT] = cascade.seq + 1
        cascade.run(event, origin, slot or cascade.kernel_slot)
        self.settle()
        busy[_INPUT] = 0

    def settle(self) -> None:
        """See that what must be written is, then let effects happen. Called between cascades."""
        journal = self.journal
        if journal is None or not self.live:
            if self.live:
                self._run_effects()
            return
        if self._effects or self._want_sync or len(journal.pending) >= COMMIT_FRAMES:
            self.write()
            self._run_effects()
        if (
            self.cascade.seq >= self._next_snapshot
            and self.started
            and not self.stopping  # the stop would be forgotten: a crash while draining goes on draining
            and self.run_dir is not None
            and not len(self.tasks)
        ):
            self.take_snapshot()

    def write(self) -> None:
        """Write what is pending; sync it where its topic asks for that. A journal that fails stops new orders."""
        journal = self.journal
        if journal is None:
            return
        if journal.failed:
            journal.abandon()
            return
        try:
            want_sync, self._want_sync = self._want_sync, False
            journal.commit()
            self.stopwatch.written(journal.written_seq)
            if want_sync:
                journal.sync()
            self.stopwatch.synced(journal.synced_seq)
            self.watch.cancel_seqs.clear()
        except JournalFatal as error:
            self._journal_failed(error)

    def _journal_failed(self, error: JournalFatal) -> None:
        """Let no new order leave, cancel what is open, and end the run; the cancels themselves need no journal."""
        assert self.journal is not None
        self.desk.journal_failed = True
        self.stopping = self.stopping or f"journal failed: {error}"
        self.write_log(Severity.CRITICAL, "journal", str(error), {})
        self.journal.abandon()
        who = OperatorCommand(command="cancel_all", who="kernel", why="the journal cannot be written")
        self.cascade.run(who, Origin.KERNEL, self.cascade.kernel_slot)
        self.journal.abandon()

    def _run_effects(self) -> None:
        while self._effects:
            effects, self._effects = self._effects, []
            if self.journal is not None and self.journal.failed:
                # Of what could not be written first, only the cancels leave.
                effects = [effect for effect in effects if effect[0] in self.watch.cancel_seqs]
            failed: list[Alert] = []
            for _, fn, args in effects:
                try:
                    fn(*args)
                except Exception as error:
                    failed.append(
                        Alert(
                            code="effect.failed", severity=Severity.ERROR, subject=getattr(fn, "__qualname__", "?"),
                            met=error_text(error), wanted="an effect that succeeds",
                            way_out="see the plugin's log; what it was to send may not have left",
                        )
                    )  # fmt: skip
            for alert in failed:  # after all effects: what an alert causes must not overtake them
                self.input(alert, Origin.REPLY)

    def _fault(self, slot: Slot, handler: str, error: Exception) -> None:
        """Count a fault met between cascades: an input, so that a play-back counts it and quarantines alike."""
        fault = PluginFault(
            plugin_id=slot.plugin_id, name=slot.name, handler=handler, error=fault_text(error), faults=slot.faults + 1
        )
        self.input(fault, Origin.KERNEL)

    # -- what contexts ask for -------------------------------------------------------------------------------------

    def effect(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Keep the effect until what caused it is written."""
        self._effects.append((self.moment.seq, fn, args))

    def submit(self, plugin_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Start the work; in a play-back only number it."""
        task_id = super().submit(plugin_id, fn, args)
        with suppress(Exception):  # what does not pickle comes back as a failed result
            # Of now: the pool pickles later, in a thread, when the plugin may have changed what it gave.
            args = pickle.loads(pickle.dumps(args))
        if self.live:
            self.tasks.submit(plugin_id, task_id, fn, args)
        else:
            self._unanswered[plugin_id, task_id] = (fn, args)
        return task_id

    def answered(self, plugin_id: int, task_id: int) -> None:
        """Note in a play-back that a task's result was recorded."""
        self._unanswered.pop((plugin_id, task_id), None)

    def forget_effects(self, up_to_seq: int) -> None:
        """Forget effects of a play-back that the recorded run has had."""
        self._effects = [effect for effect in self._effects if effect[0] > up_to_seq]

    def go_live(self, left_over: list[bytes]) -> None:
        """End a play-back: write what the crash cut off, let its effects happen, start what was never answered."""
        assert self.journal is not None
        self.live = True
        self.tape = None
        self.stopwatch.restart()
        self.watch.restart()
        self.recording_for = None
        for slot in self.slots.values():
            slot.recording = None
        self.cascade.wire(self.cascade.slots)
        for data in left_over:
            self.journal.append(data)
        self.write()
        if self.hosts is not None:
            self.hosts.supervisor.go_live()
        for slot in self.slots.values():
            read = any(source.slot is slot for source in self.sources)
            if slot.origin == Origin.REPLY and slot in self.cascade.slots and not read:
                self._read_on(slot)  # goes on with what it gives now
        self._run_effects()
        for (plugin_id, task_id), (fn, args) in self._unanswered.items():
            self.tasks.submit(plugin_id, task_id, fn, args)
        self._unanswered.clear()
        self.session_started()

    def session_started(self) -> None:
        """Say that every plugin of the session has started; snapshots are counted from here."""
        self.started = True
        if self._snapshot_every is None:
            # A restart replays what came since, some 100,000 events a second: an instance is to be back in two seconds.
            self._snapshot_every = INSTANCE_SNAPSHOT_EVERY if self._is_instance else SNAPSHOT_EVERY
        self._next_snapshot = self.cascade.seq + self._snapshot_every

    @property
    def _is_instance(self) -> bool:
        return self.header is not None and bool(self.header.instance)

    def write_log(self, severity: Severity, name: str, text: str, fields: dict[str, Any]) -> None:
        """Write one line of the run's log."""
        if self.live:
            moment, instance = self.moment, self.run_dir.name if self.run_dir is not None else ""
            line = log_line(
                severity, name, text, fields, at_ns=moment.now_ns, wall_ns=time_ns(), seq=moment.seq,
                correlation_seq=moment.correlation_seq, instance=instance,
            )  # fmt: skip
            with suppress(OSError):  # a full disk is told by the journal; the log must not end the run before
                self._log(line)

    def command(self, command: OperatorCommand, done: Done | None = None) -> None:
        """Take an operator's command; it is the next input. Safe to call from a signal handler.

        *done* is called with the numbers of the command and of the last event that followed from it, once all of it is
        written and its effects have happened; with zeros when the journal has a command of that request id already.
        """
        # In simulated time a command has no time of its own: it stands at the run's, so that a run can be repeated.
        if self.clock.kind == ClockKind.WALL:
            now_ns = self.clock.now_ns()
            command = msgspec.structs.replace(command, source_ns=now_ns, recv_ns=now_ns, clock=int(ClockKind.WALL))
        self._commands.append((command, done, perf_counter_ns()))

    def later(self, event: Event | Callable[[], object]) -> None:
        """Take an input of the kernel's own at the next turn, or call what takes some between inputs."""
        self._later.append(event)

    def _take_later(self, at_ns: int | None = None) -> None:
        event = self._later.pop(0)
        if isinstance(event, (Record, Control, Frame)):
            self.input(event, Origin.KERNEL, at_ns=at_ns)
            return
        if at_ns is not None and at_ns > self.moment.now_ns:
            self.moment.now_ns = at_ns
        event()
        self.settle()

    def _take_command(self, at_ns: int | None = None) -> None:
        command, done, came_ns = self._commands.pop(0)
        if command.request and command.request in self.ledger.requests:
            # Taken while the journal was still read, which turns out to have it.
            if done is not None:
                done(0, 0)
            return
        first_seq = self.cascade.seq + 1
        self.input(command, Origin.OPERATOR, at_ns=at_ns)
        self.on_command(command)
        self._supervise()
        self.stopwatch.command.record(perf_counter_ns() - came_ns)
        if done is not None:
            self.write()
            done(first_seq, self.cascade.seq)

    def turn(self) -> None:
        """Let those who watch have their turn."""
        for call in self.turns:
            call()

    def command_at(self, at_ns: int, command: OperatorCommand) -> None:
        """Take a command that is due at *at_ns*."""
        heapq.heappush(self._schedule, (at_ns, next(self._scheduled), command))

    # -- the loop --------------------------------------------------------------------------------------------------

    def open_sources(self, skip: dict[str, int] | None = None, from_ns: int | None = None) -> None:
        """Begin to read the feeds; after a restart, skip what had been taken, in a later session what lies before it.

        Raises:
            SourceError: a feed fails before its first event, or gives fewer than had been taken.
        """
        self.sources = []
        self._pollers = [s for s in self.cascade.slots if s.plugin_id and callable(getattr(s.plugin, "poll", None))]
        self.taken = Counter({name: n for name, n in (skip or {}).items() if self._is_told(name)})
        for slot in self.cascade.slots:
            failed_before = self._is_told(slot.name) or (skip is not None and slot.name not in skip)
            if slot.plugin_id and isinstance(slot.plugin, Feed) and slot.recording is None and not failed_before:
                source = Source(slot)
                wanted = (skip or {}).get(slot.name, 0)
                while source.taken < wanted and not source.ended:
                    source.take()
                while from_ns is not None and not source.ended and source.next_ns < from_ns:
                    source.take()
                if source.taken < wanted:
                    raise SourceError(
                        f"feed {slot.name} gives {source.taken} events, {wanted} were taken before; restore its source"
                    )
                if source.error is not None and not source.taken:
                    raise SourceError(
                        f"feed {slot.name} cannot begin: {type(source.error).__name__}: {source.error}"
                    ) from source.error
                self.sources.append(source)

    def _supervise(self) -> None:
        """Have plugins out of process looked after: one may have been quarantined or released."""
        if self.hosts is not None:
            self.hosts.supervisor.turn()

    def _is_down(self, slot: Slot) -> bool:
        """Return whether a plugin's process has been lost and nobody has dealt with that yet."""
        host = self.hosts.hosts.get(slot.name) if self.hosts is not None else None
        return host is not None and not host.up

    def is_undone_here(self) -> bool:
        """Return whether the next input of a play-back says that the change at hand was undone."""
        return self.undone is not None and self.undone.seq == self.cascade.seq + 1

    def lost_at_start(self, slot: Slot) -> str:
        """Return why the process of a plugin is gone that has just been started, or nothing; played back, as then."""
        if not slot.plugin.elsewhere:
            return ""
        if not self.live:
            return self.undone.why if self.undone is not None and self.is_undone_here() else ""
        host = self.hosts.hosts.get(slot.name) if self.hosts is not None else None
        return "" if host is None or host.up else host.lost_why or "it has ended"

    def _is_told(self, name: str) -> bool:
        """Return whether a feed is not read in this play-back: its process is not there."""
        slot = self.slots.get(name)
        return not self.live and slot is not None and bool(getattr(slot.plugin, "elsewhere", False))

    def run_simulated(self, end_ns: int, turn_every: int = 256) -> None:
        """Run until *end_ns*, until nothing is left to happen, or until told to stop."""
        turns = 0
        for source in list(self.sources):
            if source.ended and source.error is not None:  # a crash came between its last event and this
                self.source_failed(source, source.error)
        while not self.stopping:
            turns += 1
            if turns % turn_every == 0:
                self.turn()
                self._supervise()
            if self._commands:
                self._take_command()
                continue
            if self._later:
                self._take_later()
                continue
            if len(self.tasks):
                for result in self.tasks.results(wait=True):
                    self.input(result, Origin.REPLY)
                continue
            due = self._next_due()
            if due is None or due[0] > end_ns:
                break
            self._take(*due)
        self.moment.now_ns = max(self.moment.now_ns, end_ns if not self.stopping else 0)

    def _next_due(self) -> tuple[int, Source | None, OperatorCommand | None] | None:
        """Return what happens next: at equal times commands, then timers, then sources in deployment order."""
        timer_ns = self.timers.next_ns()
        due: tuple[int, Source | None, OperatorCommand | None] | None = None
        if timer_ns is not None:
            due = (timer_ns, None, None)
        for source in self.sources:
            if not source.ended and (due is None or source.next_ns < due[0]):
                due = (source.next_ns, source, None)
        if self._schedule and (due is None or self._schedule[0][0] <= due[0]):
            due = (self._schedule[0][0], None, self._schedule[0][2])
        return due

    def _take(self, at_ns: int, source: Source | None, command: OperatorCommand | None) -> None:
        if command is not None:
            heapq.heappop(self._schedule)
            self.input(command, Origin.OPERATOR, at_ns=at_ns)
            self._supervise()
        elif source is None:
            self.input(self.timers.pop(), _TIMER, at_ns=at_ns)
        else:
            self._take_source(source, at_ns)

    def _take_source(self, source: Source, at_ns: int) -> None:
        self.input(received(source.take(), at_ns, self.clock.kind), _EXTERNAL, source.slot, at_ns=at_ns)
        if source.error is not None:
            self.source_failed(source, source.error)

    def source_failed(self, source: Source, error: Exception) -> None:
        """A feed that raises gives nothing more; what it gave before stands."""
        self.forget_source(source)
        if self._is_down(source.slot):
            return  # its supervisor tells, and brings it back
        self.input(
            Alert(
                code="feed.failed", severity=Severity.ERROR, subject=source.slot.name,
                met=error_text(error), wanted="events in order of time",
                way_out="mend the feed's source; values of this feed are stale from here on",
            ),
            Origin.EXTERNAL, source.slot,
        )  # fmt: skip

    def forget_source(self, source: Source) -> None:
        """Read a source no more."""
        if source.slot.plugin.elsewhere:
            self.taken[source.slot.name] = source.taken
        self.sources = [other for other in self.sources if other is not source]

    def run_wall(self, end_ns: int) -> None:
        """Run in real time until *end_ns* or until told to stop: poll, step, record."""
        while not self.stopping:
            now_ns = self._wall_ns()
            if now_ns > end_ns:
                break
            self.turn()
            self._poll(now_ns)
            hosts = self.hosts
            if now_ns >= self._sync_due_ns:
                self._sync_due_ns = now_ns + SYNC_EVERY_NS
                self._sync_beside()
            busy = self._step_wall(now_ns)
            if not busy:
                self.write()
            if hosts is not None:
                hosts.flush()
            if not busy:
                timer_ns = self.timers.next_ns()
                until_ns = min(now_ns + 1_000_000, timer_ns if timer_ns is not None else now_ns + 1_000_000)
                (self.clock.wait_until if hosts is None else hosts.wait)(until_ns)

    def _sync_beside(self) -> None:
        """Have what is written synced by the journal's helper, so that a power loss takes a second at most."""
        if self.journal is None or self.journal.failed:
            return
        try:
            self.journal.sync_nowait()
        except JournalFatal as error:
            self._journal_failed(error)

    def _wall_ns(self) -> int:
        """Return the run's time: the clock's, or where it stood when the clock stepped back."""
        now_ns = self.clock.now_ns()
        if now_ns < self.moment.now_ns:
            if not self._stepped:
                self._stepped = True
                self.input(ClockStep(from_ns=self.moment.now_ns, to_ns=now_ns), Origin.KERNEL)
            return self.moment.now_ns
        self._stepped = False
        return now_ns

    def _poll(self, now_ns: int) -> None:
        for source in list(self.sources):
            while not source.ended and source.next_ns <= now_ns:
                self.lanes.offer(received(source.take(), now_ns, self.clock.kind), source.slot)
            if source.error is not None:
                self.source_failed(source, source.error)
        for slot in list(self._pollers):
            try:
                events = list(slot.plugin.poll())
            except Exception as error:
                self._fault(slot, "poll", error)
                continue
            for event in events:
                if isinstance(event, (Record, Control, Frame)):
                    self.lanes.offer(received(event, now_ns, self.clock.kind), slot)
                else:
                    self._fault(slot, "poll", TypeError(f"met {shown(event)}, wanted a record or a Frame"))
        for listing_id, slot in self.lanes.stale_listings():
            try:
                slot.plugin.resync(listing_id)
            except Exception as error:
                self._fault(slot, "resync", error)
        for result in self.tasks.results(wait=False):
            self.lanes.offer(result, self.cascade.kernel_slot)
        if self.hosts is not None:
            self.hosts.poll(now_ns)

    def _step_wall(self, now_ns: int) -> bool:
        """Handle what is due; return whether anything was. Commands first, timers before what came in."""
        busy = False
        while self._commands:
            self._take_command(now_ns)
            busy = True
        while self._later:
            self._take_later(now_ns)
            busy = True
        timer_ns = self.timers.next_ns()
        while timer_ns is not None and timer_ns <= now_ns and not self.stopping:
            self.input(self.timers.pop(), _TIMER, at_ns=now_ns)
            timer_ns = self.timers.next_ns()
            busy = True
            if self._commands:
                return True
        for _ in range(64):
            item = self.lanes.take()
            if item is None:
                break
            event, slot = item
            origin = _REPLY if slot is self.cascade.kernel_slot else _EXTERNAL
            if self.hosts is not None and type(slot) is not Slot:
                origin, slot = _REPLY, slot.slot  # `Replied`: out of process, because of what it was told
            if slot.is_venue:
                event = self._admit(event, slot)
            self.input(event, origin, slot, at_ns=now_ns)
            busy = True
            if self._commands:
                break
        return busy

    # -- end and state ---------------------------------------------------------------------------------------------

    def drain(self, reason: str) -> None:
        """Stop every plugin, last started first, and say that the run is complete."""
        for slot in [s for s in reversed(self.cascade.slots) if s.plugin_id]:
            # One that a crash found stopped already is not stopped twice.
            if self.lifecycle.status.get(slot.plugin_id) in (PluginStatus.RUNNING, PluginStatus.DEGRADED):
                if slot.plugin_id in self.desk.outside and self.clock.kind == ClockKind.WALL:
                    self._await_answers()
                self.stop_plugin(slot)
                self.settle()
        self._tell_left_open()
        self.input(RunEnd(reason=reason), Origin.KERNEL)
        self.write()

    def _await_answers(self) -> None:
        """Hear the venues outside until they have answered what was sent last, for a bounded time."""
        until_ns = self.clock.now_ns() + ANSWERS_NS
        while self.desk.unanswered() and self.journal is not None and not self.journal.failed:
            now_ns = self._wall_ns()
            if now_ns >= until_ns:
                return
            self.turn()
            self._poll(now_ns)
            busy = self._step_wall(now_ns)
            if self.hosts is not None:
                self.hosts.flush()
            if not busy:
                self.write()
                self.clock.wait_until(now_ns + 1_000_000)

    def _tell_left_open(self) -> None:
        """Say how many orders go on at venues outside when the run does not."""
        for venue_id, (open_orders, unanswered) in sorted(self.desk.left_open().items()):
            name = self.slot_by_id(venue_id).name
            self.input(
                Alert(
                    code="orders.left_open", severity=Severity.WARNING, subject=name,
                    met=f"{open_orders} orders open at {name} when the run ended, {unanswered} without an answer",
                    wanted="no order at a venue that nobody watches",
                    way_out="see at the venue what is open; the next start asks it before it trades; "
                    "`penstock stop --cancel` cancels first",
                ),
                Origin.KERNEL,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of journal and workers. Again is harmless."""
        self.tasks.close()
        if self.hosts is not None:
            self.hosts.close()
        if self.journal is not None:
            self.journal.close()

    def take_snapshot(self) -> Path | None:
        """Write a snapshot as of now; all up to it is synced first."""
        assert self.run_dir is not None
        self._next_snapshot = self.cascade.seq + (self._snapshot_every or SNAPSHOT_EVERY)
        if self.journal is None or self.journal.failed:
            return None
        try:
            self.journal.sync()
            self.journal.checkpoint()
            path = save_snapshot(self.run_dir / "snapshots", self.cascade.seq, self.snapshot(), self.versions)
            if self._is_instance:
                thin_snapshots(path.parent, SNAPSHOT_EVERY)
            return path
        except JournalFatal as error:
            self._journal_failed(error)
        except Exception as error:
            self._no_snapshot(error)
        return None

    def _no_snapshot(self, error: Exception) -> None:
        """Say once for each cause that a restart will have to read the whole journal, and whose state is why."""
        subject = next((name for name, slot in self.slots.items() if not can_snapshot(slot)), "kernel")
        text = f"{subject}: {error_text(error)}"
        self.write_log(Severity.ERROR, "snapshot", f"not taken, {text}", {})
        if text not in self._snapshot_faults:
            self._snapshot_faults.add(text)
            self.input(
                Alert(
                    code="snapshot.not_taken", severity=Severity.WARNING, subject=subject, met=error_text(error),
                    wanted="state of text keys, numbers, text, lists, dicts and numpy arrays",
                    way_out="mend what snapshot() returns, or ctx.state; until then a restart reads the whole journal",
                ),
                Origin.KERNEL,
            )  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """Return the core's state and how far each source was read."""
        state = super().snapshot()
        state["sources"] = {source.slot.name: source.taken for source in self.sources} | dict(self.taken)
        if self.deployment is not None:
            state["deployment"] = self.deployment.digest
        return state
