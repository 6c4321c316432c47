"""Rules as dated data: zones, products, price limits, aliases, fees and shapes, each row true from one day to another.

>>> from datetime import date
>>> rules = builtin_rules()
>>> [int(rules.row("limits", market="SDAC", on=day).price_max) for day in (date(2022, 5, 10), date(2022, 5, 11))]
[3000, 4000]

Rules do not change: `with_tables` returns others, in which the new rows hold on their days and the old ones on the
rest. `Rules.version` is a digest of all that holds, so a run can say by which rules it went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from penstock_sdk.energy.calendars import Calendars
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_cross import BUILT_IN, Entry, cross_faults, no_such_zone
from penstock_sdk.energy.rule_files import read_tables, toml_tables
from penstock_sdk.energy.rule_rows import (
    ROW_TYPES,
    AliasRow,
    FeeRow,
    LimitRow,
    MarketZone,
    ProductRow,
    Row,
    ShapeRow,
    ZoneRow,
)
from penstock_sdk.energy.rule_tables import Stretch, Table, days_in_words, overlaps, rows_digest

__all__ = [
    "ROW_TYPES",
    "AliasRow",
    "FeeRow",
    "LimitRow",
    "ProductRow",
    "Reference",
    "Row",
    "Rules",
    "ShapeRow",
    "Table",
    "ZoneRow",
    "builtin_reference",
    "builtin_rules",
    "read_tables",
    "stretches_in_words",
]

_ONE_DAY = timedelta(days=1)


class Rules:
    """Tables of dated rows. Immutable; as `builtin_rules` or `with_tables` give them.

    Attributes:
        version: SHA-256 of all rows that hold on some day: equal rules have equal versions.

    Raises:
        EnergyError: two rows of one key hold on the same day, or two markets list a product of a zone on the same day
            (both rows are named and nothing is taken); a row names a zone or shape that no row defines; limits are in
            another unit than the prices they bound.

    Cost of a look-up by the whole key: a dictionary and the few rows of that key.
    """

    def __init__(self, tables: Sequence[Table] = ()) -> None:
        self._load(_entries(tables))

    def _load(self, tables: dict[str, dict[tuple[str, ...], list[Entry]]]) -> None:
        self._tables = tables
        faults = cross_faults(tables)
        if faults:
            raise EnergyError("\n".join(faults))
        self.version = rows_digest((name, entry.row) for name in tables for entry in self._all(name))

    def __repr__(self) -> str:
        return f"Rules({', '.join(f'{len(list(self._all(name)))} {name}' for name in self._tables)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rules) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)

    def _all(self, table: str) -> Iterator[Entry]:
        """Yield the rows of a table by key and day."""
        if table not in ROW_TYPES:
            raise EnergyError(f"table {table!r} is not known; known are {', '.join(ROW_TYPES)}")
        for entries in self._tables.get(table, {}).values():
            yield from entries

    def with_tables(self, tables: Sequence[Table]) -> Rules:
        """Return rules in which the rows of *tables* hold on their days, and these rules' rows on all others.

        Raises:
            EnergyError: as for the class; rows of *tables* among themselves must not overlap.
        """
        added = _entries(tables)
        merged: dict[str, dict[tuple[str, ...], list[Entry]]] = {
            name: dict(keyed) for name, keyed in self._tables.items()
        }
        for name, keyed in added.items():
            into = merged.setdefault(name, {})
            for key, entries in keyed.items():
                kept = [piece for old in into.get(key, []) for piece in _without(old, entries)]
                into[key] = sorted(kept + entries, key=_first_day)
        new = Rules.__new__(Rules)
        new._load({name: dict(sorted(keyed.items())) for name, keyed in sorted(merged.items())})
        return new

    def rows(self, table: str, *, on: date | None = None, **keys: str) -> tuple[Any, ...]:
        """Return the rows of *table* whose columns have the values *keys*, sorted by key and first day.

        Args:
            table: one of `ROW_TYPES`.
            on: a delivery day: only what holds then. None: all days.
            keys: columns and the value wanted, such as market="SIDC".

        Raises:
            EnergyError: no such table or column.
        """
        kind = ROW_TYPES.get(table)
        columns = kind.__struct_fields__ if kind else ()
        for column in keys:
            if kind and column not in columns:
                raise EnergyError(f"table {table} has no column {column!r}; it has {', '.join(columns)}")
        if kind and keys.keys() == set(kind.KEY):
            entries: Iterable[Entry] = self._tables.get(table, {}).get(tuple(keys[name] for name in kind.KEY), ())
        else:
            wanted = list(keys.items())
            entries = (e for e in self._all(table) if all(getattr(e.row, name) == value for name, value in wanted))
        return tuple(entry.row for entry in entries if on is None or entry.row.holds_on(on))

    def row(self, table: str, *, on: date, **keys: str) -> Any:
        """Return the one row of *table* that has those values on delivery day *on*.

        Raises:
            EnergyError: none holds then, or several do; the message has the days on which one does.
        """
        found = self.rows(table, on=on, **keys)
        if len(found) == 1:
            return found[0]
        asked = ", ".join(f"{name} {value!r}" for name, value in keys.items())
        if found:
            raise EnergyError(f"{table} has {len(found)} rows of {asked} on {on}; name all of its key")
        known = self.rows(table, on=None, **keys)
        days = ", ".join(stretches_in_words(known)) or "none on any day"
        raise EnergyError(f"{table} has no row of {asked} that holds on {on}; it has {days}")

    def zones(self, on: date | None = None) -> tuple[MarketZone, ...]:
        """Return the zones that exist on a delivery day, sorted by code; without a day, each as it was last."""
        newest = {zone.code: zone for zone in self.rows("zones", on=on)}
        return tuple(newest[code] for code in sorted(newest))

    def zone(self, code: str, on: date | None = None) -> MarketZone:
        """Return the zone of that code as it is on a delivery day; without a day, as it was last.

        Raises:
            EnergyError: no such zone, with the closest that there is; or not on that day, with the days it was one.
        """
        found: tuple[MarketZone, ...] = self.rows("zones", on=on, code=code)
        if found:
            return found[-1]
        known: tuple[MarketZone, ...] = self.rows("zones", code=code)
        if known:
            days = " and ".join(stretches_in_words(known))
            raise EnergyError(f"zone {code!r} does not exist on {on}; it does {days}")
        codes = [zone.code for zone in self.zones()]
        written = [each for each in codes if each.replace("-", "") == code.replace("_", "")]
        if "_" in code and len(written) == 1:  # ENTSO-E's DE_LU, IT_NORD, NO_2
            return self.zone(written[0], on)
        raise EnergyError(no_such_zone(code, codes))

    def tables(self) -> tuple[Table, ...]:
        """Return every row in tables again, as `Table` takes them; the source is where each set came from."""
        made = []
        for name in self._tables:
            entries = list(self._all(name))
            made.append(Table(name, "rules " + self.version[:12], [msgspec.to_builtins(each.row) for each in entries]))
        return tuple(made)


def stretches_in_words(rows: Sequence[Row]) -> list[str]:
    """Return when rows that follow each other hold, in words, day joined to day."""
    joined: list[Row] = []
    for row in rows:
        if joined and joined[-1].key == row.key and joined[-1].valid_to + _ONE_DAY == row.valid_from:
            joined[-1] = msgspec.structs.replace(joined[-1], valid_to=row.valid_to)
        else:
            joined.append(row)
    return [days_in_words(row.valid_from, row.valid_to) for row in joined]


def _first_day(entry: Entry) -> date:
    return entry.row.valid_from


def _entries(tables: Sequence[Table]) -> dict[str, dict[tuple[str, ...], list[Entry]]]:
    """Return the rows by table and key, each key's by day; raise where two of a key share a day."""
    found: dict[str, dict[tuple[str, ...], list[Entry]]] = {}
    for table in tables:
        keyed = found.setdefault(table.name, {})
        for number, rows in enumerate(table.typed):
            for row in rows.apart():
                keyed.setdefault(row.key, []).append(Entry(row, table.place(number)))
    faults = []
    for name, keyed in found.items():
        for key, entries in keyed.items():
            entries.sort(key=_first_day)
            stretches = [Stretch(entry.row.valid_from, entry.row.valid_to, entry.place) for entry in entries]
            faults += overlaps(name, key, stretches)
    if faults:
        raise EnergyError("\n".join(faults))
    return {name: dict(sorted(keyed.items())) for name, keyed in sorted(found.items())}


def _without(old: Entry, new: Sequence[Entry]) -> list[Entry]:
    """Return what is left of a row's days when later rows of its key take theirs."""
    left = [old]
    for entry in new:
        first, last = entry.row.valid_from, entry.row.valid_to
        pieces = []
        for piece in left:
            row = piece.row
            if row.valid_to < first or last < row.valid_from:
                pieces.append(piece)
                continue
            if row.valid_from < first:
                pieces.append(piece._replace(row=msgspec.structs.replace(row, valid_to=first - _ONE_DAY)))
            if last < row.valid_to:
                pieces.append(piece._replace(row=msgspec.structs.replace(row, valid_from=last + _ONE_DAY)))
        left = pieces
    return left


class Reference(NamedTuple):
    """What functions of this package look up: rules, and calendars by name."""

    rules: Rules
    calendars: Calendars


@cache
def builtin_rules() -> Rules:
    """Return the rules that Penstock brings; their sources stand beside the rows, in `reference/*.toml`."""
    folder = files("penstock_sdk.energy").joinpath("reference")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
    texts = {BUILT_IN + file.name: file.read_text(encoding="utf-8") for file in found}
    return Rules([table for source, text in texts.items() for table in toml_tables(text, source)])


@cache
def builtin_reference() -> Reference:
    """Return the built-in rules without any calendar; the refdata plugin brings those."""
    return Reference(builtin_rules(), Calendars())
