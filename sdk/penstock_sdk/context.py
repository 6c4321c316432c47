"""What a plugin is given to work with: time, randomness, timers, state, names, history, log and counters.

A handler reads no clock, no socket and no random source of its own; all of that comes from its `Context`. So the same
inputs give the same outputs, and a journal can be replayed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import Alert, ContractDefinition, IdKind, ListingDefinition, Quote, Severity, ZoneDefinition
from penstock_sdk.schema import Record

__all__ = ["Cell", "Context", "Host", "Identity", "Log", "Moment"]


class Moment:
    """The event being handled: shared by the kernel and every context, written by the kernel alone."""

    __slots__ = ("correlation_seq", "now_ns", "producer", "seq")

    def __init__(self) -> None:
        self.now_ns = 0
        self.seq = 0
        self.correlation_seq = 0
        self.producer = 0
        """Plugin id of whoever made the event; 0 is the kernel."""


class Cell:
    """A counter: ``cell.n += 1`` costs some 50 ns; an exporter reads it."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Identity(msgspec.Struct, frozen=True):
    """Who an order is for: interned ids that every intent of a plugin carries."""

    book_id: int = 0
    algo_id: int = 0
    algo_version: int = 0
    trader_id: int = 0
    account_id: int = 0


class Log:
    """A plugin's log: lines for people, stamped with the run's time; no part of the journal."""

    __slots__ = ("_name", "_write")

    def __init__(self, name: str, write: Callable[[Severity, str, str, dict[str, Any]], None]) -> None:
        self._name = name
        self._write = write

    def info(self, text: str, **fields: Any) -> None:
        """Say what happened."""
        self._write(Severity.INFO, self._name, text, fields)

    def warning(self, text: str, **fields: Any) -> None:
        """Say what a person may want to look at."""
        self._write(Severity.WARNING, self._name, text, fields)

    def error(self, text: str, **fields: Any) -> None:
        """Say what went wrong."""
        self._write(Severity.ERROR, self._name, text, fields)


class Host(Protocol):
    """What a kernel does for contexts; the real one and the simulated one for tests both do."""

    moment: Moment

    def set_timer(self, plugin_id: int, due_ns: int, tag: int) -> int:
        """Fire a Timer for the plugin at *due_ns*; return the timer's id."""

    def cancel_timer(self, plugin_id: int, timer_id: int) -> None:
        """Forget a timer of the plugin's."""

    def submit(self, plugin_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Run *fn* off the kernel thread; its result comes back as a TaskResult."""

    def effect(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Call *fn* once what caused it is written; never in a replay."""

    def intern(self, kind: IdKind, name: str, plugin_id: int) -> int:
        """Return the id of *name*, new or known, to a plugin."""

    def name_of(self, kind: IdKind, id: int) -> str:
        """Return what an id names."""

    def definition(self, kind: IdKind, id: int) -> Any:
        """Return the definition record announced under an id, or None."""

    def definitions(self, kind: IdKind) -> list[Any]:
        """Return every definition of a kind, by id."""

    @property
    def reference(self) -> Reference:
        """Rules and calendars as they hold now."""

    def history(self, listing_id: int, window_ns: int, of: type[Record]) -> npt.NDArray[np.void]:
        """Return the records of a listing in the window that ends now."""

    def write_log(self, severity: Severity, name: str, text: str, fields: dict[str, Any]) -> None:
        """Write one line of a plugin's log."""


class Context:
    """A plugin instance's view of the kernel."""

    def __init__(
        self,
        host: Host,
        name: str,
        plugin_id: int,
        *,
        run_seed: int = 0,
        seed: int | None = None,
        identity: Identity | None = None,
        limits: dict[str, Any] | None = None,
        run_dir: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self._host = host
        self._moment = host.moment
        self.name = name
        self.plugin_id = plugin_id
        self.identity = identity or Identity()
        self.limits = limits or {}
        """The instance's ``[plugins.NAME.limits]`` table, checked by the risk plugin."""
        self.run_dir = run_dir
        """The run's folder, for plugins that leave files; written to by effects alone. None where a run leaves none."""
        self.folder = folder
        """The deployment's folder: files that a config names are found from there. None where there is none."""
        self._seeds = (run_seed, zlib.crc32(name.encode()) if seed is None else seed)
        self.random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._seeds)))
        """Seeded by the run and by the instance: independent of every other plugin's draws."""
        self.state: dict[str, Any] = {}
        """Key/value state that snapshots keep: str keys, values that msgpack carries, or numpy arrays."""
        self.log = Log(name, host.write_log)
        self.cells: dict[str, Cell] = {}

    @property
    def now_ns(self) -> int:
        """The run's time, UTC: the stamp of the input being handled. Never decreases."""
        return self._moment.now_ns

    @property
    def seq(self) -> int:
        """The sequence number of the event being handled."""
        return self._moment.seq

    @property
    def correlation_seq(self) -> int:
        """The sequence number of the input at the root of the event being handled."""
        return self._moment.correlation_seq

    def random_for(self, key: int) -> np.random.Generator:
        """Return a new generator for a *key* above 0, such as a delivery day's number: the same whenever it is made.

        What it has drawn is the plugin's to keep: ``generator.bit_generator.state`` goes into `Plugin.snapshot`.
        """
        if key <= 0:
            raise ValueError(f"key met {key}, wanted an integer above 0, such as date.toordinal()")
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence((*self._seeds, key))))

    def set_timer(self, due_ns: int, tag: int = 0) -> int:
        """Ask for ``on_timer`` at *due_ns* (at once when that has passed); return the timer's id."""
        return self._host.set_timer(self.plugin_id, due_ns, tag)

    def cancel_timer(self, timer_id: int) -> None:
        """Forget a timer; one that has fired is no error."""
        self._host.cancel_timer(self.plugin_id, timer_id)

    def submit(self, fn: Callable[..., Any], *args: Any) -> int:
        """Run ``fn(*args)`` off the kernel thread; its result comes to ``on_task_result`` as an input.

        *fn* and its arguments must pickle, the result must be what msgpack carries. Returns the task's id.
        """
        return self._host.submit(self.plugin_id, fn, args)

    def effect(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call ``fn(*args)`` once everything up to this event is written; for venues that send. Never in a replay."""
        self._host.effect(fn, args)

    def history(self, listing_id: int, window_ns: int, of: type[Record] = Quote) -> npt.NDArray[np.void]:
        """Return what was known of a listing in the last *window_ns*, oldest first, as a structured array of *of*.

        The plugin class names what it will ask for in ``history_of`` and ``history_ns``; no more is kept.
        """
        return self._host.history(listing_id, window_ns, of)

    def intern(self, kind: IdKind, name: str) -> int:
        """Return the id of *name*, giving it one (a journaled Interned record) when it is new."""
        return self._host.intern(kind, name, self.plugin_id)

    def name_of(self, kind: IdKind, id: int) -> str:
        """Return what an id names, or ``kind#id`` when it is unknown."""
        return self._host.name_of(kind, id)

    def listing(self, listing_id: int) -> ListingDefinition | None:
        """Return a listing's definition, or None when it is unknown."""
        found: ListingDefinition | None = self._host.definition(IdKind.LISTING, listing_id)
        return found

    def listings(self) -> list[ListingDefinition]:
        """Return every listing announced so far, by id."""
        return self._host.definitions(IdKind.LISTING)

    def contract(self, contract_id: int) -> ContractDefinition | None:
        """Return a contract's definition, or None when it is unknown."""
        found: ContractDefinition | None = self._host.definition(IdKind.CONTRACT, contract_id)
        return found

    def zone(self, zone_id: int) -> ZoneDefinition | None:
        """Return a bidding zone's definition, or None when it is unknown."""
        found: ZoneDefinition | None = self._host.definition(IdKind.ZONE, zone_id)
        return found

    @property
    def reference(self) -> Reference:
        """Dated rules (`penstock_sdk.energy.rules`) and calendars: the built-in ones, overlaid by all announced so far.

        The same object until something new is announced: what is made of it may be kept until it is another.
        """
        return self._host.reference

    def cell(self, name: str) -> Cell:
        """Return the counter called *name*; hold on to it, and count with ``cell.n += 1``."""
        return self.cells.setdefault(name, Cell())

    def alert(
        self, code: str, severity: Severity, met: str, wanted: str = "", way_out: str = "", subject: str = ""
    ) -> Alert:
        """Return an alert about *subject* (this plugin, when empty); a handler returns it like any event."""
        return Alert(
            code=code, severity=severity, subject=subject or self.name, met=met, wanted=wanted, way_out=way_out
        )
