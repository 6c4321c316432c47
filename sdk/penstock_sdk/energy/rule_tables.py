"""A table of reference data as it was read: every row checked by its struct, its line kept for whoever must mend it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.row_reader import read_row, validity
from penstock_sdk.energy.rule_rows import ROW_TYPES, Row

__all__ = ["Stretch", "Table", "days_in_words", "overlaps", "rows_digest"]


class Stretch(NamedTuple):
    """From when to when a row holds, and where it stands."""

    first: date
    last: date
    place: str


@dataclass(frozen=True)
class Table:
    """Rows of one table as they were read, checked one by one.

    Attributes:
        name: one of `ROW_TYPES`.
        source: where they were read, for people: a path or a plugin.
        rows: plain values, column by column; dates as ISO text or dates. Kept in a canonical form.
        lines: the line of each row in *source*; empty where there are none.

    Raises:
        EnergyError: an unknown table or column, a wrong type, a value that does not fit: every fault of every row, and
            rows beside them that share a day.
    """

    name: str
    source: str
    rows: Sequence[Mapping[str, Any]]
    lines: Sequence[int] = ()
    typed: tuple[Row, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the rows, or say what is wrong with which."""
        kind = ROW_TYPES.get(self.name)
        if kind is None:
            raise EnergyError(f"{self.source}: table {self.name!r} is not known; known are {', '.join(ROW_TYPES)}")
        if self.lines and len(self.lines) != len(self.rows):
            raise EnergyError(f"{self.source}: {len(self.rows)} rows of {self.name} have {len(self.lines)} lines")
        typed: list[Row] = []
        faults: list[str] = []
        for number, row in enumerate(self.rows):
            try:
                typed.append(read_row(row, kind))
            except EnergyError as error:
                faults += [f"{self.place(number)}: {fault}" for fault in str(error).split("\n")]
        if faults:
            faults += self.overlaps()
            raise EnergyError("\n".join(faults))
        object.__setattr__(self, "typed", tuple(typed))
        object.__setattr__(self, "rows", tuple(msgspec.to_builtins(row) for row in typed))

    def place(self, number: int) -> str:
        """Return where row *number* (from 0) stands: "zones.toml:17", or the row's number where lines are not known."""
        where = f"{self.source}:{self.lines[number]}" if self.lines else f"{self.source}, row {number + 1}"
        return f"{where} ({self.name})"

    def overlaps(self) -> list[str]:
        """Return which rows of one key share a day, as far as keys and days can be read."""
        kind = ROW_TYPES[self.name]
        stretches: dict[tuple[str, ...], list[Stretch]] = {}
        for number, row in enumerate(self.rows):
            keys, first, last = validity(row, kind)
            for key in keys:
                stretches.setdefault(key, []).append(Stretch(first, last, self.place(number)))
        return [fault for key, rows in stretches.items() for fault in overlaps(self.name, key, rows)]

    @property
    def digest(self) -> str:
        """SHA-256 of the rows, whatever their order and layout."""
        return rows_digest((self.name, row) for row in self.typed)


def overlaps(table: str, key: tuple[str, ...], rows: Iterable[Stretch]) -> list[str]:
    """Return which rows of one key share a day, both places named."""
    faults = []
    last: Stretch | None = None
    for row in sorted(rows, key=lambda each: each.first):
        if last is not None and row.first <= last.last:
            one, other = days_in_words(last.first, last.last), days_in_words(row.first, row.last)
            faults.append(
                f"{last.place} and {row.place}: both rows of {table} {' '.join(key)!r} hold on {row.first} "
                f"({one}; {other}); end one before the other"
            )
        last = row if last is None or row.last > last.last else last
    return faults


def days_in_words(first: date, last: date) -> str:
    """Return when a row holds, in words."""
    since = "" if first == date.min else f"from {first} "
    until = "on" if last == date.max else f"to {last}"
    return (since + until) if since or until != "on" else "always"


def rows_digest(rows: Iterable[tuple[str, Row]]) -> str:
    """Return the SHA-256 of rows and the tables they are of, whatever their order."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    hashed = hashlib.sha256()
    for line in sorted(name.encode() + b" " + encode(row) for name, row in rows):
        hashed.update(line + b"\n")
    return hashed.hexdigest()
