"""Reference data from files: TOML with one `[[table]]` entry per row, or a CSV file per table; lines are kept."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import ROW_TYPES
from penstock_sdk.energy.rule_tables import Table

__all__ = ["csv_table", "read_tables", "toml_tables"]

_ENTRY = re.compile(r"^[ \t]*\[\[[ \t]*([A-Za-z_]+)[ \t]*\]\]", re.MULTILINE)
_TABLE_OF_FILE = re.compile(r"[a-z]+")


def read_tables(path: str | Path) -> list[Table]:
    """Return the tables of a file, or of every .toml and .csv file of a folder, by name.

    Args:
        path: a .toml file of any tables, a .csv file of the table that its name begins with ("fees.csv",
            "fees-2026.csv"), or a folder of such files.

    Raises:
        EnergyError: unreadable, another kind of file, or a row that does not fit; says which file and line.
    """
    place = Path(path)
    if place.is_dir():
        found = sorted(each for each in place.iterdir() if each.suffix in {".toml", ".csv"})
        return [table for each in found for table in read_tables(each)]
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EnergyError(f"{place}: cannot be read: {error}") from None
    if place.suffix == ".toml":
        return toml_tables(text, str(place))
    if place.suffix == ".csv":
        name = _TABLE_OF_FILE.match(place.name)
        return [csv_table(name[0] if name else place.stem, text, str(place))]
    raise EnergyError(f"{place}: wanted a .toml or a .csv file, or a folder of them")


def toml_tables(text: str, source: str) -> list[Table]:
    """Return the tables of a TOML text, each row an entry such as `[[zones]]`.

    Raises:
        EnergyError: no TOML, rows written another way, or a row that does not fit.
    """
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnergyError(f"{source}: {error}") from None
    lines: dict[str, list[int]] = {}
    for match in _ENTRY.finditer(text):
        lines.setdefault(match[1], []).append(text.count("\n", 0, match.start()) + 1)
    tables: list[Table] = []
    faults: list[str] = []
    for name, rows in found.items():
        if name not in ROW_TYPES:
            faults.append(f"{source}: table {name!r} is not known; known are {', '.join(ROW_TYPES)}")
        elif not isinstance(rows, list) or len(lines.get(name, ())) != len(rows):
            faults.append(f"{source}: {name} is not written row by row; begin each row with a line [[{name}]]")
        else:
            try:
                tables.append(Table(name, source, rows, lines[name]))
            except EnergyError as error:
                faults.append(str(error))
    if faults:
        faults += [fault for table in tables for fault in table.overlaps()]
        raise EnergyError("\n".join(faults))
    return tables


def csv_table(name: str, text: str, source: str) -> Table:
    """Return the rows of a CSV text with a heading; columns of several values have them apart by spaces.

    An empty cell is a column left out. Lines that begin with # are comments.

    Raises:
        EnergyError: no such table, a row of more or fewer cells than the heading, or one that does not fit.
    """
    if name not in ROW_TYPES:
        raise EnergyError(f"{source}: table {name!r} is not known; name the file after one of {', '.join(ROW_TYPES)}")
    kinds = get_type_hints(ROW_TYPES[name])
    several = {column for column, kind in kinds.items() if get_origin(kind) is tuple}
    reader = csv.reader(io.StringIO(text))
    heading: list[str] = []
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    faults: list[str] = []
    while True:
        line = reader.line_num + 1
        cells = next(reader, None)
        if cells is None:
            break
        if not cells or cells[0].startswith("#"):
            continue
        if not heading:
            heading = [cell.strip() for cell in cells]
            continue
        if len(cells) != len(heading):
            faults.append(f"{source}:{line} ({name}): {len(cells)} cells; wanted {len(heading)}, as in the heading")
            continue
        row = {column: cell.strip() for column, cell in zip(heading, cells, strict=True) if cell.strip()}
        rows.append({column: cell.split() if column in several else cell for column, cell in row.items()})
        lines.append(line)
    try:
        table = Table(name, source, rows, lines)
    except EnergyError as error:
        faults.append(str(error))
    if faults:
        raise EnergyError("\n".join(faults))
    return table
