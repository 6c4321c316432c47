"""The kernel's parts put together: what the real and the simulated kernel both are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import numpy as np

from penstock_sdk.context import Context, Identity, Moment
from penstock_sdk.core.alert_book import AlertBook
from penstock_sdk.core.away import Fed
from penstock_sdk.core.cascade import EVENTS_PER_INPUT_MAX, FAULTS_MAX, Cascade, Sink
from penstock_sdk.core.catalog import Catalog
from penstock_sdk.core.desk import Desk, loosens
from penstock_sdk.core.history import History
from penstock_sdk.core.ledger import Ledger
from penstock_sdk.core.lifecycle import Lifecycle
from penstock_sdk.core.lookups import Lookups
from penstock_sdk.core.timers import Timers
from penstock_sdk.core.wiring import Slot, Target
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    IdKind,
    Limit,
    OperatorCommand,
    PluginFault,
    PluginState,
    PluginStatus,
    RunEnd,
    RunHeader,
    Severity,
    Timer,
)
from penstock_sdk.plugin import Plugin
from penstock_sdk.schema import Event, Frame, layouts
from penstock_sdk.wire.frame import Origin

__all__ = ["REFUSED_BY_CATALOG", "Core", "plugin_state"]

REFUSED_BY_CATALOG = "reference"
"""In place of a handler's name in faults for reference data that does not fit."""


COMMANDS = (
    "kill", "unkill", "pause", "resume", "cancel_all", "limit", "limits", "quarantine", "release", "ack", "stop",
    "apply",
)  # fmt: skip


_FIRST = (PluginStatus.DISCOVERED, PluginStatus.RESOLVED, PluginStatus.STARTING)
_RAN = (PluginStatus.RUNNING, PluginStatus.DEGRADED)


class _Keeper:
    """Feeds the history: hears the record types that some plugin declared."""

    def __init__(self, history: History) -> None:
        self._history = history

    def handlers(self) -> dict[tuple[int, bool], Callable[[Any], Any]]:
        """Return the handlers to wire: one per wanted type, in frames."""
        return {(layout.id, True): self._history.add for layout in layouts() if self._history.wants(layout.id)}


class _Limits:
    """The limits in force, for the restart that must not loosen them."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self.values: dict[tuple[int, int, int], int] = {}

    def on_limit(self, limit: Limit) -> None:
        """Keep the value of (kind, strategy, listing)."""
        if loosens(limit, self._moment):
            return
        self.values[limit.kind, limit.strategy_id, limit.listing_id] = limit.value


class _Operator:
    """Does what only the kernel can do: stop the run, quarantine a plugin by command or because of what it does."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.instant_ns = 0
        self.fired: Counter[int] = Counter()
        """Timers at that instant, by plugin."""

    def on_run_header(self, header: RunHeader) -> None:
        """Keep the header: what comes after it is of its session."""
        self._core.header, self._core.session_ended = header, False

    def on_run_end(self, _end: RunEnd) -> None:
        """Know that the session is whole."""
        self._core.session_ended = True

    def on_plugin_state(self, state: PluginState) -> list[Event] | None:
        """Keep who is quarantined, and why: a restart keeps to it until an operator releases the plugin.

        Let one hear nothing more that failed while it ran, and look after what it left; and after its return.
        """
        core = self._core
        core.lifecycle.on_plugin_state(state)
        slot = core.slots.get(state.name)
        if state.status == PluginStatus.QUARANTINED:
            core.quarantined.setdefault(state.name, state.reason)
        if slot is None or core.hearing:
            return None
        if state.status == PluginStatus.FAILED and slot in core.cascade.slots and state.previous in _RAN:
            return core.lose(slot, state.reason)
        if state.status == PluginStatus.DEGRADED and slot.kind == "feed":
            return core.stale(slot)
        if state.status == PluginStatus.RUNNING and slot.name in core.returning:
            core.returning.discard(slot.name)
            return core.desk.returned(slot)
        return None

    def on_operator_command(self, command: OperatorCommand) -> Alert | None:
        """Quarantine or stop; the desk does the rest. A command that nobody knows is told, not passed over."""
        name, core = command.command, self._core
        if name == "stop":
            core.stopping = f"stopped by {command.who}: {command.why}"
        elif name == "release":
            if command.target not in core.quarantined:
                return _odd_command(command, "the name of a quarantined plugin", ", ".join(core.quarantined) or "none")
            core.quarantined.pop(command.target)
        elif name == "quarantine":
            slot = core.slots.get(command.target)
            if slot is None:
                return _odd_command(command, "the name of a plugin", ", ".join(core.slots))
            if slot in core.cascade.slots:
                core.cascade.quarantine(slot, f"by {command.who}: {command.why}", _wanted_of(command.who))
            elif slot.name in core.away and slot.name not in core.quarantined:
                core.cascade.tell_quarantine(slot, f"by {command.who}: {command.why}", _wanted_of(command.who))
        elif name not in COMMANDS and core.doer_of(name) is None:
            return _odd_command(command, "a known command", ", ".join([*COMMANDS, *core.plugin_commands]))
        return None

    def on_timer(self, timer: Timer) -> None:
        """Quarantine a plugin whose timers do not let time go on."""
        core = self._core
        if core.moment.now_ns != self.instant_ns:
            self.instant_ns = core.moment.now_ns
            self.fired.clear()
        self.fired[timer.plugin_id] += 1
        slot = core.slot_by_id(timer.plugin_id)
        if self.fired[timer.plugin_id] > core.cascade.events_max and slot in core.cascade.slots:
            core.cascade.quarantine(slot, f"more than {core.cascade.events_max} timers at {self.instant_ns} ns")

    def on_plugin_fault(self, fault: PluginFault) -> None:
        """Count a fault that was met between cascades, and quarantine for it; a handler's was counted there."""
        core = self._core
        slot = core.slots.get(fault.name)
        if slot is None or slot not in core.cascade.slots:
            return
        slot.faults = max(slot.faults, fault.faults)
        if slot.faults >= core.cascade.faults_max:
            core.cascade.quarantine(slot, f"{slot.faults} faults, the last in {fault.handler}: {fault.error}")


def _odd_command(command: OperatorCommand, wanted: str, known: str) -> Alert:
    return Alert(
        code="command.unknown", severity=Severity.WARNING, subject=command.target or command.command,
        met=f"command {command.command} {command.target}".rstrip(), wanted=wanted, way_out=f"there are {known}",
    )  # fmt: skip


class Core(Lookups):
    """One order of events, and all state that follows from it.

    Subclasses give what touches the world: where bytes go, how submitted work runs, when effects happen, the log.
    """

    def __init__(
        self,
        *,
        sink_for: Callable[[int], Sink | None],
        run_seed: int = 0,
        epoch: int = 1,
        events_per_input_max: int = EVENTS_PER_INPUT_MAX,
        faults_max: int = FAULTS_MAX,
    ) -> None:
        self.run_seed = run_seed
        self.moment = Moment()
        self.catalog = Catalog()
        self.timers = Timers()
        self.history_kept = History(self.moment)
        self.cascade = Cascade(self.moment, sink_for, events_per_input_max=events_per_input_max, faults_max=faults_max)
        self.catalog.on_refused = self._reference_refused
        self.desk = Desk(self.moment, self.catalog, epoch, self.cascade.fault, self.timers)
        self.cascade.on_quarantine = self._quarantined
        self.cascade.admit = self._admit
        self.cascade.quarantine_state = lambda slot, reason: self.lifecycle.change(
            slot.plugin_id, slot.name, PluginStatus.QUARANTINED, reason
        )
        self.slots: dict[str, Slot] = {}
        self.plugin_commands: dict[str, Slot] = {}
        """Who does an operator's command, by its word: those that plugins declare."""
        self.lifecycle = Lifecycle()
        self.limits = _Limits(self.moment)
        self.alerts = AlertBook(self.moment)
        self.header: RunHeader | None = None
        """That of the session under way."""
        self.session_ended = False
        """True from the session's RunEnd on."""
        self.quarantined: dict[str, str] = {}
        """Plugins that stay out until released, with the reason."""
        self.away: dict[str, str] = {}
        """Plugins that were lost while they ran, with the reason: they hear nothing until they are back."""
        self.returning: set[str] = set()
        """Those of them whose return is being said."""
        self.hearing = False
        """True where recorded events are heard for state's sake: nobody is lost or comes back there."""
        self.fed = Fed(self.moment)
        """Which market data of plugins out of process others have heard."""
        self.stopping = ""
        """Why the run is to end, or empty."""
        self._last_task_ids: dict[int, int] = {}
        self.operator = _Operator(self)
        self.ledger = Ledger(self.moment, lambda plugin_id: self.catalog.name_of(IdKind.PLUGIN, plugin_id))
        self._has_remote_parts = False
        self._own = [
            Slot(part_name, 0, part, "kernel")
            for part_name, part in (
                ("catalog", self.catalog), ("history", _Keeper(self.history_kept)), ("limits", self.limits),
                ("desk", self.desk), ("operator", self.operator), ("ledger", self.ledger),
                ("alerts", self.alerts),
            )
        ]  # fmt: skip
        self._wire(self._own)

    # -- plugins ---------------------------------------------------------------------------------------------------

    def attach(self, cls: type[Plugin], name: str, config: Any = None, **context: Any) -> Slot:
        """Build one plugin instance with its context; `start` makes it run.

        Raises:
            TypeError: *cls* is no class of plugins.
            ValueError: the name is taken.
        """
        if not (isinstance(cls, type) and issubclass(cls, Plugin)):
            met = cls.__name__ if isinstance(cls, type) else f"an instance of {type(cls).__name__}"
            raise TypeError(f"plugin {name} met {met}, wanted a class derived from Plugin, such as Strategy or Feed")
        if name in self.slots:
            raise ValueError(f"plugin name {name} is taken; give each instance its own")
        for word in cls.commands:
            if (other := self.plugin_commands.get(word)) is not None or word in COMMANDS:
                whose = other.name if other is not None else "the kernel"
                raise ValueError(f"command {word} of plugin {name} is {whose}'s already; leave one of them out")
        plugin_id = self.intern_input(IdKind.PLUGIN, name)
        known = self.lifecycle.status.get(plugin_id) is not None  # of an earlier session of the instance
        first = (PluginStatus.STARTING,) if known else _FIRST
        for status in first:
            self.say_status(plugin_id, name, status)
        ctx = Context(self, name, plugin_id, run_seed=self.run_seed, **context)
        for record in cls.history_of:
            self.history_kept.want(record, cls.history_ns)
        plugin = cls(ctx, config)
        slot = Slot(name, plugin_id, plugin, cls.kind, ctx)
        self.slots[name] = slot
        self.plugin_commands |= dict.fromkeys(cls.commands, slot)
        self.say_status(plugin_id, name, PluginStatus.CONFIGURED)
        return slot

    def say_status(self, plugin_id: int, name: str, status: PluginStatus, reason: str = "") -> None:
        """Announce a plugin's status as an input of the kernel's own."""
        state = self.lifecycle.change(plugin_id, name, status, reason)
        self.cascade.run(state, Origin.KERNEL, self.cascade.kernel_slot)

    def identity(self, book: str, algo: str, algo_version: int, trader: str, account: str) -> Identity:
        """Return the interned ids of who an instance's orders are for."""
        return Identity(
            self.intern_input(IdKind.BOOK, book), self.intern_input(IdKind.ALGO, algo), algo_version,
            self.intern_input(IdKind.TRADER, trader), self.intern_input(IdKind.ACCOUNT, account),
        )  # fmt: skip

    def wire(self) -> None:
        """Compile who hears what, all attached plugins included."""
        self._wire([*self._own, *self.slots.values()])

    def let_go(self, slot: Slot) -> None:
        """Forget a plugin instance that has stopped, or could not start; its name and id stay what they are."""
        self.slots.pop(slot.name, None)
        self.plugin_commands = {word: doer for word, doer in self.plugin_commands.items() if doer is not slot}
        self.desk.forget_check(slot.name)
        self._wire([known for known in self.cascade.slots if known is not slot])

    def in_order(self, names: list[str], silent: Container[str] = ()) -> None:
        """Let the attached plugins hear events in the order of *names*, and those of *silent* nothing.

        Raises:
            WiringError: a plugin has a handler that no record calls.
        """
        self.slots = {name: self.slots[name] for name in names if name in self.slots}
        self._wire([*self._own, *(slot for name, slot in self.slots.items() if name not in silent)])

    def names_of_plugins(self) -> list[tuple[int, str]]:
        """Return (plugin id, name) of every instance that there ever was."""
        return [(number, self.catalog.name_of(IdKind.PLUGIN, number)) for number in self.lifecycle.status]

    def _wire(self, slots: list[Slot]) -> None:
        slots = [slot for slot in slots if slot.name not in self.away or not slot.plugin_id]
        if not self._has_remote_parts and any(_answers_later(slot) or may_be_lost(slot) for slot in slots):
            # Heard by nobody where all plugins are in this process: each costs something for every order and quote.
            self._has_remote_parts = True
            parts = (Slot("late-checks", 0, self.desk.late, "kernel"), Slot("fed", 0, self.fed, "kernel"))
            at = len(self._own)
            self._own += parts
            slots = [*slots[:at], *parts, *slots[at:]]
        self.fed.watch({slot.plugin_id for slot in slots if may_be_lost(slot)})
        self.desk.wire(slots)
        self.cascade.wire(slots)

    def _quarantined(self, slot: Slot, _reason: str) -> None:
        self.desk.wire(self.cascade.slots)
        for event in (*self.desk.gone(slot), *self.stale(slot)):
            self.cascade.push(event)

    def stale(self, slot: Slot) -> list[Event]:
        """Return what says that nobody knows the prices that a plugin gave."""
        return self.fed.stale(slot.plugin_id) if may_be_lost(slot) else []

    def lose(self, slot: Slot, reason: str) -> list[Event]:
        """Let a plugin hear nothing more whose process is gone; return what comes of it.

        A trader's orders are cancelled, those at a venue are in doubt, without a check every order is refused, and
        what it said of the market is stale. Its timers are forgotten. It may come back by `start_plugin`.
        """
        self.away[slot.name] = reason
        self.timers.forget(slot.plugin_id)
        self._wire(list(self.cascade.slots))
        return [*self.desk.gone(slot), *self.stale(slot)]

    def _come_back(self, slot: Slot) -> None:
        """Let a plugin hear again that was lost or quarantined: at its place in the deployment's order."""
        self.away.pop(slot.name, None)
        slot.faults = 0
        hears = {id(other) for other in self.cascade.slots} | {id(slot)}
        self._wire([*self._own, *(other for other in self.slots.values() if id(other) in hears)])
        self.returning.add(slot.name)

    def _reference_refused(self, error: EnergyError) -> None:
        """Count reference data that is refused against the plugin that brought it; the catalog raises the alert."""
        slot = self.slot_by_id(self.moment.producer)
        if slot is not self.cascade.kernel_slot:
            self.cascade.fault(slot, REFUSED_BY_CATALOG, EnergyError(str(error)))

    def _admit(self, event: Event, slot: Slot) -> Event:
        return self.desk.admit(event, slot) if type(event) is ExecutionReport else event

    def start_plugin(self, slot: Slot, *, resumed: bool = False) -> None:
        """Announce that a plugin runs, and let it say what it says first; not one that was quarantined meanwhile.

        One that was lost or quarantined in this session hears again from here on, once it is CONFIGURED anew.
        """
        if slot not in self.cascade.slots:
            if not resumed or self.lifecycle.status.get(slot.plugin_id) != PluginStatus.CONFIGURED:
                return
            self._come_back(slot)
        if resumed:
            self._announce(slot, PluginStatus.RUNNING, slot.plugin.on_resume, "on_resume")
        else:
            self._announce(slot, PluginStatus.RUNNING, slot.plugin.on_start, "on_start")

    def stop_plugin(self, slot: Slot) -> None:
        """Announce that a plugin drains, and let it say what it says last."""
        self._announce(slot, PluginStatus.DRAINING, slot.plugin.on_stop, "on_stop")
        if self.lifecycle.status[slot.plugin_id] == PluginStatus.DRAINING:
            self.say_status(slot.plugin_id, slot.name, PluginStatus.STOPPED)

    def _announce(self, slot: Slot, status: PluginStatus, call: Callable[[], Any], name: str) -> None:
        state = self.lifecycle.change(slot.plugin_id, slot.name, status)
        recording = slot.recording
        # Of a plugin that is recorded a replay tells what came of the call, and does not make it.
        said = call if recording is None else lambda: recording.answer(self.moment.seq)
        target = Target(lambda _: said(), slot, name)
        self.cascade.run_with(state, Origin.KERNEL, self.cascade.kernel_slot, target)

    def silent_venues(self) -> set[int]:
        """Return venues that have not said where our orders stand, or are kept out and take no cancel of them."""
        return self.desk.reconciling | (self.desk.lost_venues() if self.quarantined or self.away else set())

    def doer_of(self, command: str) -> Slot | None:
        """Return the running plugin that does an operator's command; None where none does."""
        slot = self.plugin_commands.get(command)
        return slot if slot in self.cascade.slots else None

    def slot_by_id(self, plugin_id: int) -> Slot:
        """Return the slot of a plugin id; the kernel's own for 0 and for what is not attached."""
        return next((s for s in self.slots.values() if s.plugin_id == plugin_id), self.cascade.kernel_slot)

    # -- what contexts ask for -------------------------------------------------------------------------------------

    def set_timer(self, plugin_id: int, due_ns: int, tag: int) -> int:
        """Fire a Timer for the plugin at *due_ns*; return its id."""
        return self.timers.set(plugin_id, due_ns, tag)

    def cancel_timer(self, plugin_id: int, timer_id: int) -> None:
        """Forget a timer of the plugin's."""
        self.timers.cancel(plugin_id, timer_id)

    def intern(self, kind: IdKind, name: str, plugin_id: int = 0) -> int:
        """Return the id of *name* to a handler; a new one is an event of the cascade that runs."""
        number, told = self.catalog.intern(kind, name)
        if told is not None:
            # Of a plugin that is recorded it is a part of what is recorded.
            slot = self.slot_by_id(plugin_id)
            self.cascade.push(told, slot if slot.origin == Origin.REPLY else None)
        return number

    def intern_input(self, kind: IdKind, name: str) -> int:
        """Return the id of *name* between cascades; a new one is an input of the kernel's own."""
        number, told = self.catalog.intern(kind, name)
        if told is not None:
            self.cascade.run(told, Origin.KERNEL, self.cascade.kernel_slot)
        return number

    def submit(self, plugin_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Number a task, from 1 for each plugin; subclasses run it."""
        task_id = self._last_task_ids[plugin_id] = self._last_task_ids.get(plugin_id, 0) + 1
        return task_id

    def effect(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Take an effect; subclasses say when it happens."""

    def write_log(self, severity: Severity, name: str, text: str, fields: dict[str, Any]) -> None:
        """Take a line of a log; subclasses say where it goes."""

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return everything that the rest of the run follows from. Call it between cascades only."""
        assert not self.cascade.running
        return {
            "seq": self.cascade.seq,
            "now_ns": self.moment.now_ns,
            "catalog": self.catalog.snapshot(),
            "timers": self.timers.snapshot(),
            "instant": [self.operator.instant_ns, [[plugin, count] for plugin, count in self.operator.fired.items()]],
            "history": self.history_kept.snapshot(),
            "desk": self.desk.snapshot(),
            "lifecycle": [[plugin_id, int(status)] for plugin_id, status in self.lifecycle.status.items()],
            "limits": [[*key, value] for key, value in self.limits.values.items()],
            "tasks": [[plugin, number] for plugin, number in self._last_task_ids.items()],
            "plugins": {name: plugin_state(slot) for name, slot in self.slots.items()},
            "running": [s.name for s in self.cascade.slots if s.plugin_id],
            "header": None if self.header is None else RunHeader.layout.pack(self.header),
            "ended": self.session_ended,
            "quarantined": dict(self.quarantined),
            "away": dict(self.away),
            "fed": self.fed.snapshot(),
            "ledger": self.ledger.snapshot(),
            "alerts": self.alerts.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned, with the same plugins attached."""
        self._restore_shared(state)
        self.lifecycle.status = {plugin_id: PluginStatus(status) for plugin_id, status in state["lifecycle"]}
        self.timers.restore(state["timers"])
        for name, held in state["plugins"].items():
            _restore_plugin(self.slots[name], held)
        running = set(state["running"])
        self.away = dict(state.get("away", {}))  # before 0.4.0 nobody was lost and came back
        self.fed.restore(state.get("fed", []))
        self._wire([*self._own, *(s for s in self.slots.values() if s.name in running)])

    def _restore_shared(self, state: dict[str, Any]) -> None:
        """Take back what is no plugin's own."""
        self.cascade.seq = state["seq"]
        self.moment.now_ns = state["now_ns"]
        self.catalog.restore(state["catalog"])
        self.operator.instant_ns = state["instant"][0]
        self.operator.fired = Counter(dict(state["instant"][1]))
        self.history_kept.restore(state["history"])
        self.desk.restore(state["desk"])
        self.limits.values = {(kind, who, what): value for kind, who, what, value in state["limits"]}
        self._last_task_ids = dict(state["tasks"])
        header = state.get("header")  # not kept before 0.2.0
        self.header = None if header is None else RunHeader.layout.unpack(header)
        self.session_ended = state.get("ended", False)
        self.quarantined = dict(state.get("quarantined", {}))
        self.ledger.restore(state.get("ledger"))
        self.alerts.restore(state.get("alerts", {}))

    def carry(self, state: dict[str, Any]) -> None:
        """Begin a session of what an earlier one left: ids, open orders, limits, time. Plugins come after it.

        The earlier session's plugins are stopped, whatever became of them; each is given its own state by
        `carry_plugin` once it is attached, and their timers are kept for that.
        """
        self._restore_shared(state)
        self.catalog.begin_session()
        self.lifecycle.status = {plugin_id: PluginStatus.STOPPED for plugin_id, _ in state["lifecycle"]}
        self.timers.restore(state["timers"])
        self._wire(self._own)

    def carry_plugin(self, slot: Slot, state: dict[str, Any]) -> bool:
        """Give a plugin what its instance of the earlier session left; return False when there is nothing for it.

        Raises:
            ValueError: the plugin cannot read it, as of another version.
        """
        held = state["plugins"].get(slot.name)
        if held is None or held.get("class", class_name(slot)) != class_name(slot):
            return False
        try:
            _restore_plugin(slot, held)
        except Exception as error:
            raise ValueError(f"plugin {slot.name} cannot take up its state: {type(error).__name__}: {error}") from error
        slot.faults = 0  # counted anew in each session
        return True

    def poison(self, frame: Frame) -> None:
        """Overwrite a frame that has been handled, so that a plugin which kept the view is found out."""
        try:
            frame.array.flags.writeable = True
        except ValueError:
            return  # a view of bytes, which nothing can overwrite
        frame.array.view(np.uint8)[:] = 0xA5


def _answers_later(slot: Slot) -> bool:
    return bool(getattr(slot.plugin, "answers_later", False))


def may_be_lost(slot: Slot) -> bool:
    """Return whether a plugin runs elsewhere, so that it may be lost while the run goes on."""
    return bool(slot.plugin_id) and bool(getattr(slot.plugin, "elsewhere", False))


def _wanted_of(who: str) -> str:
    return "handlers that return within [watchdog] hang_limit_ms" if who == "watchdog" else "a plugin that may run"


def class_name(slot: Slot) -> str:
    """Return what a plugin's state belongs to: its class."""
    return f"{type(slot.plugin).__module__}:{type(slot.plugin).__qualname__}"


def plugin_state(slot: Slot) -> dict[str, Any]:
    """Return all that a plugin instance needs to go on after a restart."""
    assert slot.ctx is not None
    return {
        "class": class_name(slot),
        "state": slot.ctx.state,
        "random": slot.ctx.random.bit_generator.state if slot.kind != "feed" else None,
        "faults": slot.faults,
        "own": slot.plugin.snapshot(),
        "cells": {name: cell.n for name, cell in slot.ctx.cells.items()},
    }


def _restore_plugin(slot: Slot, held: dict[str, Any]) -> None:
    assert slot.ctx is not None
    slot.ctx.state.clear()
    slot.ctx.state.update(held["state"])
    # A feed's generator is made anew and skipped forward, which draws what had been drawn.
    if held["random"] is not None:
        slot.ctx.random.bit_generator.state = held["random"]
    slot.faults = held["faults"]
    slot.plugin.restore(held["own"])
    for name, count in held["cells"].items():
        slot.ctx.cell(name).n = count
