"""A table of reference data as it was read: every row checked by its struct, its line kept for whoever must mend it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import ROW_TYPES, Row

__all__ = ["Table", "rows_digest"]

_RowT = TypeVar("_RowT", bound=Row)


@dataclass(frozen=True)
class Table:
    """Rows of one table as they were read, checked one by one.

    Attributes:
        name: one of `ROW_TYPES`.
        source: where they were read, for people: a path or a plugin.
        rows: plain values, column by column; dates as ISO text or dates. Kept in a canonical form.
        lines: the line of each row in *source*; empty where there are none.

    Raises:
        EnergyError: an unknown table or column, a wrong type, a value that does not fit; every such row is named.
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
                typed.append(_typed(row, kind))
            except (msgspec.ValidationError, EnergyError) as error:
                faults.append(f"{self.place(number)}: {error}")
        if faults:
            raise EnergyError("\n".join(faults))
        object.__setattr__(self, "typed", tuple(typed))
        object.__setattr__(self, "rows", tuple(msgspec.to_builtins(row) for row in typed))

    def place(self, number: int) -> str:
        """Return where row *number* (from 0) stands: "zones.toml:17", or the row's number where lines are not known."""
        where = f"{self.source}:{self.lines[number]}" if self.lines else f"{self.source}, row {number + 1}"
        return f"{where} ({self.name})"

    @property
    def digest(self) -> str:
        """SHA-256 of the rows, whatever their order and layout."""
        return rows_digest((self.name, row) for row in self.typed)


def _typed(row: Mapping[str, Any], kind: type[_RowT]) -> _RowT:
    """Return the row as its struct."""
    known = kind.__struct_fields__
    for column in row:
        if column not in known:
            close = get_close_matches(column, known, n=1)
            hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(known)}"
            raise EnergyError(f"column {column!r} is not known; {hint}")
    try:
        # TOML has dates of its own, msgpack and CSV have text: both are taken, and numbers as text from CSV.
        return msgspec.convert(dict(row), kind, strict=False)
    except msgspec.ValidationError as error:
        # EnergyError is a ValueError, which msgspec wraps; our own message is enough.
        if isinstance(error.__cause__, EnergyError):
            raise error.__cause__ from None
        raise


def rows_digest(rows: Iterable[tuple[str, Row]]) -> str:
    """Return the SHA-256 of rows and the tables they are of, whatever their order."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    hashed = hashlib.sha256()
    for line in sorted(name.encode() + b" " + encode(row) for name, row in rows):
        hashed.update(line + b"\n")
    return hashed.hexdigest()
