"""What people keep in tables, told at the times the tables give: settlement prices, rates, measured values, schedules.

A file's columns say what it holds; times are ISO 8601 with Z or an offset, prices in the contract's own price unit:

    at, contract, price, kind                    marks: kind is settlement (default), mid, last or model
    at, base, quote, rate, source                exchange rates: so many of quote for one of base
    at, series, unit, from, to, value, version   observations: imbalance prices, meter values, indices
    at, zone, source, from, to, mw, book         schedules of assets, on the zone's grid

A file with a fault gives nothing: every fault is named with file, row and column, and the run does not start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from penstock_plugins.feeds.session_times import FeedError
from penstock_sdk.context import Context
from penstock_sdk.energy import EnergyError, price_currency
from penstock_sdk.energy.exact import exact
from penstock_sdk.energy.localtime import utc_ns
from penstock_sdk.energy.row_files import CellError, Fault, Sheet, SheetRow, read_sheet
from penstock_sdk.events import (
    DeliverySchedule,
    FxRate,
    IdKind,
    ListingDefinition,
    Mark,
    Observation,
    Severity,
    ZoneDefinition,
)
from penstock_sdk.plugin import Feed
from penstock_sdk.schema import Event

__all__ = ["TableFiles", "TableFilesConfig"]

_FAULTS_SHOWN = 20
_MARK_KINDS = {"mid": 0, "last": 1, "settlement": 2, "model": 3}
_INT64 = 2**63 - 1


class TableFilesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tables are told."""

    files: Annotated[tuple[str, ...], msgspec.Meta(max_length=1_000)] = ()
    """CSV or JSON files, from the deployment's folder."""


class _Row(NamedTuple):
    """What a row holds: the names that it needs ids for, and what makes its events of what is listed by its time."""

    names: tuple[tuple[IdKind, str], ...]
    told: Callable[[Context], list[Event]]


class _Due(NamedTuple):
    """A row, and when it is told."""

    at_ns: int
    place: tuple[int, int]
    """File and row: what comes first at the same time."""
    row: _Row


class TableFiles(Feed):
    """Marks, exchange rates, observations and schedules out of files."""

    Config = TableFilesConfig
    config: TableFilesConfig
    deterministic = False  # a replay has what was told from the journal, and does not need the files

    def on_start(self) -> None:
        """Read the files, and give the names in them their ids.

        Raises:
            FeedError: a file cannot be read, or some of its rows cannot be used; every fault is named.
        """
        for due in self._due:
            for kind, name in due.row.names:
                self.ctx.intern(kind, name)

    def on_resume(self) -> None:
        """Read the files again: what was due in the gap is told at once, as the rows before it were."""
        self.on_start()

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield each row's event at its time; rows of the same time in the files' order."""
        for due in self._due:
            for event in due.row.told(self.ctx):
                yield due.at_ns, event

    @cached_property
    def _due(self) -> list[_Due]:
        """Every row, by time; read once, so that what is told is what names have been given ids for."""
        rows: list[_Due] = []
        faults: list[Fault] = []
        for nth, name in enumerate(self.config.files):
            path = (self.ctx.folder or Path()) / name
            try:
                sheet = read_sheet(name, path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise FeedError(
                    f"{path}: cannot be read: {error}; files of [plugins.{self.ctx.name}.config] stand in the "
                    "deployment's folder, as UTF-8"
                ) from error
            faults += sheet.faults
            rows += _rows(sheet, nth, faults)
        if faults:
            shown = "\n".join(map(str, faults[:_FAULTS_SHOWN]))
            more = f"\n… and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
            raise FeedError(f"{len(faults)} faults, so nothing of these files is used:\n{shown}{more}")
        return sorted(rows)


def _rows(sheet: Sheet, nth: int, faults: list[Fault]) -> list[_Due]:
    rows = []
    for row in sheet.rows:
        kind = next((kind for kind in _KINDS if set(kind.needs) <= row.cells.keys()), None)
        if kind is None:
            wanted = "; or ".join(", ".join(kind.needs) for kind in _KINDS)
            rule = f"its columns {', '.join(row.cells)} are of no kind of table"
            faults.append(Fault(sheet.source, row.number, "", "", rule, f"all of {wanted}"))
            continue
        unknown = [name for name in row.cells if name not in (*kind.needs, *kind.may)]
        errors = [
            CellError(name, row.cells[name], "there is no such column in this kind of table", ", ".join(kind.may))
            for name in unknown
        ]
        try:
            rows.append(_Due(_time(row, "at"), (nth, row.number), kind.read(row)))
        except CellError as error:
            errors.append(error)
        faults += [Fault.of(sheet.source, row.number, error) for error in errors]
    return rows


# -- cells -------------------------------------------------------------------------------------------------------------


def _time(row: SheetRow, column: str) -> int:
    text = row.cells[column]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CellError(column, text, "it is no instant", "ISO 8601 with Z or an offset, as 2026-03-10T15:00:00Z")
    return utc_ns(moment)


def _exact(row: SheetRow, column: str) -> Fraction:
    try:
        return exact(row.cells[column], column)
    except EnergyError as error:
        raise CellError(column, row.cells[column], str(error), "a decimal number") from None


def _whole(value: Fraction, row: SheetRow, column: str, step: str) -> int:
    if value.denominator != 1 or abs(value) > _INT64:
        raise CellError(column, row.cells[column], f"it is no multiple of {step}, or too large", f"steps of {step}")
    return value.numerator


def _stretch(row: SheetRow) -> tuple[int, int]:
    start_ns, end_ns = _time(row, "from"), _time(row, "to")
    if start_ns >= end_ns:
        raise CellError("to", row.cells["to"], f"it is not after from, {row.cells['from']}", "a later time")
    return start_ns, end_ns


def _version(row: SheetRow) -> int:
    text = row.cells.get("version", "1")
    if not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise CellError("version", text, "it is no version", "a whole number from 1 to 65535")
    return int(text)


# -- kinds of table ----------------------------------------------------------------------------------------------------


def _mark(row: SheetRow) -> _Row:
    price, name, at_ns = _exact(row, "price"), row.cells["contract"], _time(row, "at")
    kind = _MARK_KINDS.get(row.cells.get("kind", "settlement"))
    if kind is None:
        raise CellError("kind", row.cells["kind"], "there is no such mark", ", ".join(_MARK_KINDS))

    def told(ctx: Context) -> list[Event]:
        marks: list[Event] = []
        for listing in ctx.listings():
            contract = ctx.contract(listing.contract_id)
            if contract is None or name not in (contract.name, listing.name):
                continue
            ticks = _ticks(price, contract.price_unit, listing)
            if ticks.denominator != 1:
                return [_unusable(ctx, f"{name} at {row.cells['price']}", f"a multiple of {listing.tick_micro} micro")]
            marks.append(Mark(listing.listing_id, kind, mark_ticks=ticks.numerator, observed_ns=at_ns, source_ns=at_ns))
        return marks or [_unusable(ctx, f"a mark of {name}", "a contract that is listed by then")]

    return _Row((), told)


def _ticks(price: Fraction, price_unit: str, listing: ListingDefinition) -> Fraction:
    minor = price_currency(price_unit.partition("/")[0])[1]
    return price * 1_000_000 / minor / listing.tick_micro


def _fx_rate(row: SheetRow) -> _Row:
    rate, at_ns = _exact(row, "rate"), _time(row, "at")
    nano = _whole(rate * 10**9, row, "rate", "10⁻⁹")
    if nano <= 0:
        raise CellError("rate", row.cells["rate"], "it is not above 0", "units of quote for one of base")
    codes = []
    for column in ("base", "quote"):
        try:
            known, per_major = price_currency(row.cells[column])
        except EnergyError as error:
            raise CellError(column, row.cells[column], str(error), "an ISO 4217 code") from None
        if per_major != 1:
            raise CellError(column, row.cells[column], "it is a minor unit", known.code)
        codes.append(known.code)

    version = _version(row)
    names = (*((IdKind.CURRENCY, code) for code in codes), (IdKind.SOURCE, row.cells.get("source", "table")))

    def told(ctx: Context) -> list[Event]:
        base_id, quote_id, source_id = (ctx.intern(*name) for name in names)
        return [FxRate(base_id, quote_id, source_id, version=version, rate_nano=nano, as_of_ns=at_ns, source_ns=at_ns)]

    return _Row(names, told)


def _observation(row: SheetRow) -> _Row:
    value, at_ns, version = float(_exact(row, "value")), _time(row, "at"), _version(row)
    start_ns, end_ns = _stretch(row)
    if not math.isfinite(value):
        raise CellError("value", row.cells["value"], "it is not finite", "a number")

    names = (
        (IdKind.SERIES, row.cells["series"]), (IdKind.UNIT, row.cells["unit"]),
        (IdKind.SOURCE, row.cells.get("source", "table")),
    )  # fmt: skip

    def told(ctx: Context) -> list[Event]:
        series_id, unit_id, source_id = (ctx.intern(*name) for name in names)
        return [
            Observation(
                series_id, unit_id, source_id=source_id, version=version, valid_from_ns=start_ns, valid_to_ns=end_ns,
                known_at_ns=at_ns, value=value, source_ns=at_ns,
            )
        ]  # fmt: skip

    return _Row(names, told)


def _schedule(row: SheetRow) -> _Row:
    kw = _whole(_exact(row, "mw") * 1_000, row, "mw", "0.001")
    start_ns, end_ns = _stretch(row)
    at_ns, version, code = _time(row, "at"), _version(row), row.cells["zone"]
    book = row.cells.get("book", "")
    names = (
        (IdKind.ZONE, code), (IdKind.SOURCE, row.cells["source"]), *(((IdKind.BOOK, book),) if book else ()),
    )  # fmt: skip

    def told(ctx: Context) -> list[Event]:
        zone_id, source_id, book_id = (*(ctx.intern(*name) for name in names), 0)[:3]
        zone: ZoneDefinition | None = ctx.zone(zone_id)
        if zone is None or zone.grid_unit != "kW":
            return [_unusable(ctx, f"a schedule in {code}", "a zone of power or MWh gas that is announced by then")]
        return [
            DeliverySchedule(
                zone_id, book_id, source_id, version=version, start_ns=start_ns, end_ns=end_ns, amount=kw,
                source_ns=at_ns,
            )
        ]  # fmt: skip

    return _Row(names, told)


def _unusable(ctx: Context, met: str, wanted: str) -> Event:
    return ctx.alert(
        "table.row_unusable", Severity.ERROR, met, wanted,
        "announce it by refdata before that time, or mend the row; nothing else is lost",
    )  # fmt: skip


class _Kind(NamedTuple):
    """A kind of table: the columns that make it one, those it may have, how a row is read."""

    needs: tuple[str, ...]
    may: tuple[str, ...]
    read: Callable[[SheetRow], _Row]


_KINDS = (
    _Kind(("at", "contract", "price"), ("kind",), _mark),
    _Kind(("at", "base", "quote", "rate"), ("source", "version"), _fx_rate),
    _Kind(("at", "series", "unit", "from", "to", "value"), ("version", "source"), _observation),
    _Kind(("at", "zone", "source", "from", "to", "mw"), ("book", "version"), _schedule),
)
