"""Rows of text from CSV and JSON, exact and with their place: for deals, counterparties and trades that people write.

Every cell is text, as it was written: a number never becomes a float on its way. A fault names the file, the row, the
column, the value, the rule that it breaks and what would be accepted.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

import msgspec

__all__ = ["CellError", "Fault", "Sheet", "SheetRow", "read_csv", "read_json", "read_sheet", "to_csv", "typed_rows"]

ROWS_MAX = 100_000
_SHOWN_MAX = 80
_T = TypeVar("_T", bound=msgspec.Struct)


class CellError(ValueError):
    """A value that breaks a rule: which column, the rule, and what would be accepted."""

    def __init__(self, column: str, value: object, rule: str, wanted: str) -> None:
        super().__init__(f"{column} met {_shown(value)}: {rule}; wanted {wanted}")
        self.column, self.value, self.rule, self.wanted = column, value, rule, wanted


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one cell, or (without a column) with a row or a file."""

    source: str
    row: int
    """The line of a CSV file, the place in a JSON list from 1; 0 is the whole file."""
    column: str
    value: str
    rule: str
    wanted: str

    @classmethod
    def of(cls, source: str, row: int, error: CellError) -> Fault:
        """Return the fault of a cell at its place."""
        return cls(source, row, error.column, str(error.value), error.rule, error.wanted)

    def __str__(self) -> str:
        where = f"{self.source}:{self.row}" if self.row else self.source
        met = f"{self.column} met {_shown(self.value)}: " if self.column else ""
        return f"{where}: {met}{self.rule}; wanted {self.wanted}"


def _shown(value: object) -> str:
    text = str(value)
    return "nothing" if not text else repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…")


class SheetRow(NamedTuple):
    """One row: where it stands, and its cells that are not empty."""

    number: int
    cells: dict[str, str]


class Sheet(NamedTuple):
    """The rows of one file, and what is wrong with the file itself."""

    source: str
    rows: list[SheetRow]
    faults: list[Fault]

    @classmethod
    def of(cls, source: str, cells: Iterable[Mapping[str, object]]) -> Sheet:
        """Return rows that come from no file, as from a command line, numbered from 1."""
        return cls(source, [SheetRow(at, _texts(row)) for at, row in enumerate(cells, 1)], [])


def read_sheet(source: str, text: str) -> Sheet:
    """Return the rows of a file's text: JSON where *source* ends in .json, else CSV."""
    return read_json(source, text) if source.lower().endswith(".json") else read_csv(source, text)


def read_csv(source: str, text: str) -> Sheet:
    """Return the rows of a CSV text with a heading; commas or semicolons apart, lines that begin with # left out.

    A row is numbered by the line on which it ends, from 1.
    """
    text = text.removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    reader = csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True)
    heading: list[str] = []
    rows: list[SheetRow] = []
    faults: list[Fault] = []
    try:
        for cells in reader:
            if not any(map(str.strip, cells)) or cells[0].startswith("#"):
                continue
            if not heading:
                heading = [cell.strip() for cell in cells]
                for name in {name for name in heading if heading.count(name) > 1}:
                    faults.append(Fault(source, reader.line_num, name, "", "the heading names it twice", "each once"))
            elif len(cells) != len(heading):
                rule = f"the row has {len(cells)} cells, its heading {len(heading)}"
                wanted = "as many, with quotes around what has commas"
                faults.append(Fault(source, reader.line_num, "", "", rule, wanted))
            else:
                texts = {name: cell.strip() for name, cell in zip(heading, cells, strict=True) if cell.strip()}
                rows.append(SheetRow(reader.line_num, texts))
    except csv.Error as error:
        faults.append(Fault(source, reader.line_num, "", "", f"it is no CSV: {error}", "a heading and rows"))
    return _checked(Sheet(source, rows, faults))


def read_json(source: str, text: str) -> Sheet:
    """Return the rows of a JSON list of objects (or one object); numbers keep their digits as written."""
    try:
        held: Any = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=str)
    except (ValueError, RecursionError) as error:
        return Sheet(source, [], [Fault(source, 0, "", "", f"it is no JSON: {error}", "a list of objects")])
    rows = [held] if isinstance(held, dict) else held
    if not isinstance(rows, list):
        return Sheet(source, [], [Fault(source, 0, "", str(held), "it is no list", "a list of objects")])
    faults = [
        Fault(source, at, "", str(row), "the entry is no object", "an object with a field for each column")
        for at, row in enumerate(rows, 1)
        if not isinstance(row, dict)
    ]
    found = [SheetRow(at, _texts(row)) for at, row in enumerate(rows, 1) if isinstance(row, dict)]
    return _checked(Sheet(source, found, faults))


def _checked(sheet: Sheet) -> Sheet:
    if not sheet.rows and not sheet.faults:
        sheet.faults.append(Fault(sheet.source, 0, "", "", "there is no row in it", "a heading and at least one row"))
    if len(sheet.rows) > ROWS_MAX:
        rule = f"there are {len(sheet.rows)} rows in it"
        sheet.faults.append(Fault(sheet.source, 0, "", "", rule, f"at most {ROWS_MAX}; split it"))
    return sheet


def _texts(row: Mapping[str, object]) -> dict[str, str]:
    texts = {str(name).strip(): _text(value) for name, value in row.items()}
    return {name: text for name, text in texts.items() if text}


def _text(value: object) -> str:
    """Return a JSON value as a cell of CSV has it: lists of stretches and tables of amounts as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 100 else str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(held)}" for name, held in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_stretch(each) for each in value)
    return str(value).strip()


def _stretch(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
        start, end, amount = map(_text, value)
        return f"{start}/{end}={amount}"
    return _text(value)


def to_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows as CSV with the heading that holds all their columns; `read_csv` gives them back."""
    held = list(rows)
    heading = list(dict.fromkeys(name for row in held for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, heading, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(held)
    return out.getvalue()


def typed_rows(
    sheet: Sheet, columns: Sequence[str], make: Callable[[dict[str, str]], tuple[_T | None, list[CellError]]], key: str
) -> tuple[list[tuple[int, _T]], list[Fault]]:
    """Return (row, value) of each row, and every fault; with one fault no rows.

    Args:
        columns: what there may be.
        make: returns a row's value, or None with all that is wrong with it.
        key: the column that no two rows may have the same in.
    """
    faults = list(sheet.faults)
    made: list[tuple[int, _T]] = []
    seen: dict[str, int] = {}
    for number, cells in sheet.rows:
        errors = [_unknown(name, columns) for name in cells if name not in columns]
        value, more = make({name: text for name, text in cells.items() if name in columns})
        if key in cells and (before := seen.setdefault(cells[key], number)) != number:
            more.append(CellError(key, cells[key], f"row {before} has it already", "each once"))
        faults += [Fault.of(sheet.source, number, error) for error in errors + more]
        if value is not None:
            made.append((number, value))
    return ([], faults) if faults else (made, [])


def _unknown(name: str, columns: Sequence[str]) -> CellError:
    near = get_close_matches(name, columns, n=1)
    hint = f"{near[0]!r}, perhaps" if near else f"one of {', '.join(columns)}"
    return CellError("column", name, "there is no such column", hint)
