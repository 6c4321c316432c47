"""What stands behind the `Context` of a plugin that runs in a process of its own.

It sees what a plugin inside the kernel would see: the same time, names, definitions, rules, history, random draws and
numbers of timers and tasks. What it asks of the kernel goes out with the batch in which its handler's answer goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import index
from typing import Any, Protocol

from penstock_sdk.context import Moment
from penstock_sdk.core.catalog import Catalog
from penstock_sdk.core.faults import error_text
from penstock_sdk.core.history import History
from penstock_sdk.core.lookups import Lookups
from penstock_sdk.core.wiring import handlers_of
from penstock_sdk.events import IdKind, Interned, Severity, Timer
from penstock_sdk.process.outbox import Outbox
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.work import Work
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, padded
from penstock_sdk.wire.messages import Batch, Message, Name, TimerSet

__all__ = ["FarCatalog", "FarHost", "Port"]

_INT64 = range(-(2**63), 2**63)


class Port(Protocol):
    """How an engine asks its host something in the middle of a handler."""

    def ask(self, batch: Message) -> Message:
        """Send a batch with `asks` and return the host's batch that answers it; nothing else is handled meanwhile.

        Raises:
            PeerError: no answer came.
        """


class FarCatalog(Catalog):
    """The kernel's catalog as told: names keep the ids that they come with."""

    def on_interned(self, interned: Interned) -> None:
        """Keep a name under the id that the kernel gave it."""
        names = self._names[interned.kind]
        names.extend([""] * (interned.id + 1 - len(names)))
        names[interned.id] = interned.name
        self._ids[interned.kind][interned.name] = interned.id

    def known(self, kind: IdKind, name: str) -> int:
        """Return the id of a name, or 0."""
        return self._ids[kind].get(name, 0)


class FarHost(Lookups):
    """The `Host` of a plugin's context, out of process.

    Args:
        plugin_id: the plugin's own.
        stepped: the run's clock is simulated, batches come as steps.
        port: how names are asked for; None: it cannot.
    """

    catalog: FarCatalog

    def __init__(self, plugin_id: int, stepped: bool, port: Port | None) -> None:
        self.moment = Moment()
        self.catalog = FarCatalog()
        self.keepers = {schema_id: call for (schema_id, _), call in handlers_of(self.catalog, "part").items()}
        """Who keeps names, definitions and reference data, by schema id."""
        self.history_kept = History(self.moment)
        self.outbox = Outbox(self.moment, plugin_id, stepped)
        self.work = Work(plugin_id)
        self.timers: dict[int, tuple[int, int]] = {}
        """(due_ns, tag) of every timer that is to fire, by its number."""
        self._last_timer = 0
        self._port = port
        self._effects: deque[tuple[int, Callable[..., Any], tuple[Any, ...]]] = deque()
        """(number of the event at hand, function, arguments)"""

    # -- what contexts ask for -------------------------------------------------------------------------------------

    def set_timer(self, plugin_id: int, due_ns: int, tag: int) -> int:
        """Ask the kernel for a Timer at *due_ns*; return its number, counted from 1."""
        due_ns, tag = index(due_ns), index(tag)
        if due_ns not in _INT64 or tag not in _INT64:
            raise OverflowError(f"timer met due_ns {due_ns} and tag {tag}, wanted integers of 64 bits")
        self._last_timer += 1
        self.timers[self._last_timer] = (due_ns, tag)
        if not self.outbox.muted:
            self.outbox.timers.append((self._last_timer, due_ns, tag))
        return self._last_timer

    def cancel_timer(self, plugin_id: int, timer_id: int) -> None:
        """Forget a timer; unknown and fired ones are no error."""
        if self.timers.pop(timer_id, None) is not None and not self.outbox.muted:
            self.outbox.forgotten.append(timer_id)

    def fired(self, timer: Timer) -> None:
        """Note that a timer has fired."""
        self.timers.pop(timer.timer_id, None)

    def timers_set(self) -> list[Message]:
        """Return every timer that is to fire, in the order they were set."""
        return [TimerSet(timer_id=n, due_ns=due, tag=tag) for n, (due, tag) in self.timers.items()]

    def submit(self, plugin_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Run the work in another process; while the past is heard only number it."""
        task_id = self.work.submit(fn, args, begin=not self.outbox.muted)
        if not self.outbox.muted:
            self.outbox.tasks_begun.append(task_id)
        return task_id

    def begin_unheard(self) -> None:
        """Start work that an earlier process had begun and whose result was never heard."""
        self.outbox.tasks_begun.extend(self.work.begin_unheard())

    def effect(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Keep the effect until what caused it is written; one of the past has happened."""
        if not self.outbox.muted:
            self._effects.append((self.moment.seq, fn, args))

    @property
    def effects_waiting(self) -> int:
        """Return how many effects have not happened."""
        return len(self._effects)

    def run_effects(self, written_seq: int) -> None:
        """Let the effects happen of what is written, up to *written_seq*."""
        effects = self._effects
        while effects and effects[0][0] <= written_seq:
            _, fn, args = effects.popleft()
            try:
                fn(*args)
            except Exception as error:
                self.outbox.fault(f"effect {getattr(fn, '__qualname__', '?')}", error_text(error))

    def intern(self, kind: IdKind, name: str, plugin_id: int = 0) -> int:
        """Return the id of a name; one that is new here is asked for.

        Raises:
            ValueError: the name is empty.
            PeerError: the host gives no id.
        """
        found = self.catalog.known(kind, name)
        if found:
            return found
        if not name:
            raise ValueError(f"intern({kind.name}) met an empty name, wanted text")
        if self._port is None:
            raise PeerError(f"intern({kind.name}, {name!r}) met no host; ask for names in on_start or in a handler")
        self.know(self._port.ask(Batch(asks=[Name(kind=int(kind), name=name)])).frames)
        found = self.catalog.known(kind, name)
        if not found:
            raise PeerError(f"intern({kind.name}, {name!r}) met an answer without it, wanted its Interned record")
        return found

    def know(self, frames: bytes) -> None:
        """Keep names, definitions, tables and calendars that are known; the plugin does not hear of them."""
        at = 0
        while at < len(frames):
            body_bytes, schema_id = HEADER.unpack_from(frames, at)[:2]
            keep = self.keepers.get(schema_id)
            if keep is not None:
                keep(schema_by_id(schema_id).unpack(frames[at + HEADER_BYTES :][:body_bytes]))
            at += HEADER_BYTES + padded(body_bytes)

    def write_log(self, severity: Severity, name: str, text: str, fields: dict[str, Any]) -> None:
        """Send the line to the run's log; the past has been told."""
        if not self.outbox.muted:
            self.outbox.log.append((int(severity), text, fields))

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return everything but the plugin's own."""
        return {
            "now_ns": self.moment.now_ns,
            "seq": self.moment.seq,
            "timers": [[number, due_ns, tag] for number, (due_ns, tag) in self.timers.items()],
            "last_timer": self._last_timer,
            "work": [[number, pickled] for number, pickled in self.work.unheard.items()],
            "last_task": self.work.last_id,
            "catalog": self.catalog.snapshot(),
            "history": self.history_kept.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.moment.now_ns, self.moment.seq = state["now_ns"], state["seq"]
        self.timers = {number: (due_ns, tag) for number, due_ns, tag in state["timers"]}
        self._last_timer = state["last_timer"]
        self.work.unheard = dict(state["work"])
        self.work.last_id = state["last_task"]
        self.catalog.restore(state["catalog"])
        self.history_kept.restore(state["history"])
