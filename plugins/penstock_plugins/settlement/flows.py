"""Cash flows on their way out: kept until they are told in frames, and summed for the invoices."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock_sdk.events import CashFlow, CashKind
from penstock_sdk.grid_slots import GridSlots
from penstock_sdk.invoices import invoice_month
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Frame, layout_of

__all__ = ["Flows", "LineKey"]

_FEE = int(CashKind.FEE)
_BY_DAY = (_FEE, int(CashKind.VARIATION))
_KIND, _VALUE_DAY, _AMOUNT, _ENERGY = 6, 10, 11, 14
"""Places in a row, which has the columns of `CashFlow`."""
LineKey = tuple[str, int, int, int, int, int]
"""(month, counterparty, currency, book, kind, zone): what a line of an invoice is drawn per."""


class Flows:
    """Rows that are still to be told, and the sums of all rows so far."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.sums: dict[LineKey, list[int]] = {}
        """[10⁻⁶ of the currency, Wh]."""
        self.changed: set[str] = set()
        """Months whose sums are not the ones last drawn up."""
        self._fee_rows: dict[tuple[int, ...], int] = {}
        """Where the row of each strategy's fee in a listing stands."""
        self._months: dict[tuple[bool, int, int], str] = {}

    def add(
        self, kind: int, amount_micro: int, energy_wh: int, *, book_id: int, currency_id: int, value_day: int,
        slots: GridSlots, strategy_id: int = 0, listing_id: int = 0, zone_id: int = 0, counterparty_id: int = 0,
        version: int = 0, start_ns: int = ABSENT, end_ns: int = ABSENT, traded_ns: int = ABSENT,
    ) -> None:  # fmt: skip
        """Add a cash flow; received is positive. Fees of a strategy in a listing make one row until they are told."""
        row = (
            book_id, strategy_id, listing_id, zone_id, counterparty_id, currency_id, kind, 0, version, 0, value_day,
            amount_micro, start_ns, end_ns, energy_wh, traded_ns, ABSENT, ABSENT,
        )  # fmt: skip
        at = self._fee_rows.setdefault(_fee_key(row), len(self.rows)) if kind == _FEE else len(self.rows)
        if at == len(self.rows):
            self.rows.append(row)
        else:
            self.rows[at] = _added(self.rows[at], amount_micro, energy_wh)
        if not amount_micro and not energy_wh:
            return  # told, but nothing to invoice
        month = self._month(kind, value_day, start_ns, slots)
        total = self.sums.get(key := (month, counterparty_id, currency_id, book_id, kind, zone_id))
        if total is None:
            total = self.sums[key] = [0, 0]
        total[0] += amount_micro
        total[1] += energy_wh
        self.changed.add(month)

    def _month(self, kind: int, value_day: int, start_ns: int, slots: GridSlots) -> str:
        by_day = kind in _BY_DAY or start_ns == ABSENT
        found = self._months.get(key := (by_day, value_day if by_day else start_ns, slots.zone_id))
        if found is None:
            if len(self._months) > 4096:
                self._months.clear()
            found = self._months[key] = invoice_month(kind, value_day, start_ns, slots.timezone, slots.day_starts_hour)
        return found

    def frames(self) -> list[Frame]:
        """Return what is to be told, and forget it."""
        rows, self.rows = self.rows, []
        self._fee_rows.clear()
        dtype = layout_of(CashFlow).dtype
        parts = [rows[at : at + FRAME_RECORDS_MAX] for at in range(0, len(rows), FRAME_RECORDS_MAX)]
        return [Frame(CashFlow, np.array(part, dtype)) for part in parts]

    def let_go(self, before: str) -> None:
        """Forget the sums of months before *before*."""
        self.sums = {key: total for key, total in self.sums.items() if key[0] >= before}
        self.changed = {month for month in self.changed if month >= before}

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "rows": [list(row) for row in self.rows],
            "sums": [[*key, *total] for key, total in self.sums.items()],
            "changed": sorted(self.changed),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.rows = [tuple(row) for row in state["rows"]]
        self._fee_rows = {_fee_key(row): at for at, row in enumerate(self.rows) if row[_KIND] == _FEE}
        self.sums = {
            (month, party, currency, book, kind, zone): [amount, energy]
            for month, party, currency, book, kind, zone, amount, energy in state["sums"]
        }
        self.changed = set(state["changed"])


def _fee_key(row: tuple[int, ...]) -> tuple[int, ...]:
    """Return whose fee a row is, and when it is paid."""
    return (*row[:_KIND], row[_VALUE_DAY])


def _added(row: tuple[int, ...], amount_micro: int, energy_wh: int) -> tuple[int, ...]:
    return (
        *row[:_AMOUNT], row[_AMOUNT] + amount_micro, *row[_AMOUNT + 1 : _ENERGY], row[_ENERGY] + energy_wh,
        *row[_ENERGY + 1 :],
    )  # fmt: skip
