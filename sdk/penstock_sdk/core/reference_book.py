"""Dated rules and calendars as they hold now: the built-in ones, overlaid by every table and calendar that was said.

A table is known by its name and source, a calendar by its name: what comes later under the same takes its place. What
does not go together with the rest is refused whole, and what held before holds on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from typing import Any

from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Reference, Table, builtin_reference
from penstock_sdk.events import CalendarDefinition, ReferenceTable
from penstock_sdk.schema import Control, schema_by_id

Said = ReferenceTable | CalendarDefinition
"""What brings reference data in."""

__all__ = [
    "LINE_KEY",
    "ReferenceBook",
    "Said",
    "calendar_from",
    "overlaid",
    "reference_from",
    "table_event",
    "table_from",
]

LINE_KEY = "#line"
"""Of a row of a `ReferenceTable`: the line that it was read from, so that a refusal can name it."""


def table_event(table: Table) -> ReferenceTable:
    """Return the event that says a table; `table_from` gives the table back, lines and all."""
    rows = [dict(row) for row in table.rows]
    for row, line in zip(rows, table.lines, strict=False):
        row[LINE_KEY] = line
    return ReferenceTable(name=table.name, source=table.source, digest=table.digest, rows=rows)


def table_from(event: ReferenceTable) -> Table:
    """Return the table that an event says.

    Raises:
        EnergyError: there is no such table, or a row does not fit it.
    """
    lines = [row[LINE_KEY] for row in event.rows if isinstance(row.get(LINE_KEY), int)]
    rows = [{key: value for key, value in row.items() if key != LINE_KEY} for row in event.rows]
    return Table(event.name, event.source, rows, lines if len(lines) == len(rows) else ())


def calendar_from(event: CalendarDefinition) -> Calendar:
    """Return the calendar that an event says.

    Raises:
        EnergyError: a date is none.
    """
    try:
        first, last = date.fromisoformat(event.first), date.fromisoformat(event.last)
        closed = frozenset(map(date.fromisoformat, event.closed))
        early = {date.fromisoformat(day): time.fromisoformat(closes) for day, closes in event.early.items()}
    except ValueError as error:
        raise EnergyError(
            f"calendar {event.name} of {event.source}: {error}; wanted dates as 2026-12-25, times as 12:30"
        ) from None
    return Calendar(event.name, first, last, closed, early, event.weekend, event.source)


def reference_from(events: Iterable[Control]) -> Reference:
    """Return the built-in reference data overlaid by the tables and calendars among *events*.

    Raises:
        EnergyError: one does not go together with the rest.
    """
    book = ReferenceBook()
    for event in events:
        if isinstance(event, Said):
            book.take(event)
    return book.reference


def overlaid(reference: Reference, events: Iterable[Said]) -> Reference:
    """Return *reference* overlaid by tables and calendars, as it will be once they have been announced.

    Raises:
        EnergyError: they do not go together.
    """
    events = list(events)
    tables = [table_from(event) for event in events if isinstance(event, ReferenceTable)]
    calendars = [calendar_from(event) for event in events if isinstance(event, CalendarDefinition)]
    rules = reference.rules.with_tables(tables) if tables else reference.rules
    return Reference(rules, Calendars((*reference.calendars.values(), *calendars)))


class ReferenceBook:
    """Keeps what was said of reference data, and what follows from it."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], Said] = {}
        """By name and source of a table, by name of a calendar."""
        self._stale: set[tuple[str, ...]] = set()
        """Of an earlier session, and not said again so far."""
        self._reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """Rules and calendars as they hold now; built once, and again when something new is taken."""
        if self._reference is None:
            self._reference = _build(self._said.values())
        return self._reference

    def take(self, event: Said) -> None:
        """Keep a table or a calendar, in place of the one of the same name and source.

        What an earlier session said gives way: its rows may have moved to another file.

        Raises:
            EnergyError: it does not go together with the rest; nothing of it is kept.
        """
        key = _key(event)
        said = {**self._said, key: event}
        stale = self._stale - {key}
        try:
            reference = _build(said.values())
        except EnergyError:
            if not stale:
                raise
            said = {each: known for each, known in said.items() if each not in stale}
            reference, stale = _build(said.values()), set()
        self._said, self._stale, self._reference = said, stale, reference

    def has(self, event: Said) -> bool:
        """Return whether just this holds already."""
        return self._said.get(_key(event)) == event

    def begin_session(self) -> None:
        """Know that all so far is an earlier session's: it holds until `end_start`, by when it has been said again."""
        self._stale = set(self._said)

    def end_start(self) -> None:
        """Forget what an earlier session said and this one did not: every plugin has started."""
        if self._stale:
            self._said = {key: event for key, event in self._said.items() if key not in self._stale}
            self._stale, self._reference = set(), None

    def snapshot(self) -> list[list[Any]]:
        """Return what was taken, in order, as msgpack carries it."""
        return [[event.layout.id, event.layout.pack(event)] for event in self._said.values()]

    def restore(self, state: list[list[Any]] | None) -> list[tuple[Said, EnergyError]]:
        """Take back what `snapshot` returned; None, of a version that kept none, is nothing.

        Returns what no longer goes together with the built-in data, as after an upgrade, each with the reason; the rest
        is kept.
        """
        self._said, self._stale, self._reference = {}, set(), None
        refused = []
        for schema_id, body in state or ():
            event: Any = schema_by_id(schema_id).unpack(body)
            try:
                self.take(event)
            except EnergyError as error:
                refused.append((event, error))
        return refused


def _key(event: Said) -> tuple[str, ...]:
    return (event.name, event.source) if isinstance(event, ReferenceTable) else (event.name,)


def _build(said: Iterable[Said]) -> Reference:
    return overlaid(builtin_reference(), said)
