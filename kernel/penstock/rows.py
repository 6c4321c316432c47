"""`Rows`: the answer to one question, as Arrow, pandas or polars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["DataError", "Rows"]

_SHOWN_ROWS = 8
_EXTRA = "pip install 'penstock-kernel[data]'"


class DataError(Exception):
    """A run cannot be opened or asked; the message says what to do."""


class Rows:
    """The rows of one answer. `arrow`, `pandas` and `polars` give them all; `len` counts; a loop meets dicts.

    Other libraries take it as it is, through the Arrow stream interface: ``duckdb.from_arrow(rows)``,
    ``polars.DataFrame(rows)``.

    Attributes:
        last_seq: number of the run's last event that the answer knows of.
    """

    def __init__(self, table: pa.Table, last_seq: int) -> None:
        self._table = table
        self.last_seq = last_seq

    def arrow(self) -> pa.Table:
        """Return the rows as a ``pyarrow.Table``; nothing is copied."""
        return self._table

    def pandas(self) -> pandas.DataFrame:
        """Return the rows as a pandas frame. Absent numbers are NaN, absent times NaT.

        Raises:
            DataError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401 - asked for by name, so that the error names it
        except ImportError:
            raise DataError(f"pandas is not installed; `{_EXTRA}`, or take .arrow()") from None
        return self._table.to_pandas()

    def polars(self) -> polars.DataFrame:
        """Return the rows as a polars frame. What is absent is null.

        Raises:
            DataError: polars is not installed.
        """
        try:
            import polars
        except ImportError:
            raise DataError(f"polars is not installed; `{_EXTRA}`, or take .arrow()") from None
        frame = polars.from_arrow(self._table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    @property
    def columns(self) -> list[str]:
        """Return the columns' names in order."""
        return list(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self._table.to_pylist()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        shown = self._table.slice(0, _SHOWN_ROWS).to_pylist()
        head = [self.columns, *([_text(value) for value in row.values()] for row in shown)]
        widths = [max(map(len, column)) for column in zip(*head, strict=True)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in head]
        return "\n".join([*lines, f"[{len(self):,} rows, up to event {self.last_seq:,}]"])


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
