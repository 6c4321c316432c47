"""Profit and loss told: what has changed at whole periods, everything in the end, and totals for those who look."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.ledger import Ledger, Told
from penstock_plugins.portfolio.marks import Marks
from penstock_plugins.portfolio.one_currency import OneCurrency
from penstock_sdk.context import Context
from penstock_sdk.events import Pnl, PnlAttribution
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Event, Frame, layout_of

__all__ = ["Telling", "frames"]


class Telling:
    """When profit and loss is told, and what.

    Args:
        period_ns: from one telling to the next.
        one_currency: adds up all currencies; None where that is not wanted.
        timer_tag: of the timers that tell when.
    """

    def __init__(
        self,
        ctx: Context,
        ledger: Ledger,
        marks: Marks,
        period_ns: int,
        one_currency: OneCurrency | None,
        *,
        timer_tag: int,
    ) -> None:
        self._ctx = ctx
        self._ledger = ledger
        self._marks = marks
        self._period_ns = period_ns
        self._one_currency = one_currency
        self._timer_tag = timer_tag
        self.due_ns = ABSENT
        """When it is told next; ABSENT while nothing is open to trading and nothing has happened."""
        self.until_ns = 0
        """The last gate closure: until then it is told every period."""

    def soon(self) -> None:
        """Ask to be woken at the next whole period, unless that is so already."""
        if self.due_ns == ABSENT:
            self.due_ns = (self._ctx.now_ns // self._period_ns + 1) * self._period_ns
            self._ctx.set_timer(self.due_ns, tag=self._timer_tag)

    def trades_until(self, gate_ns: int) -> None:
        """Tell at every period up to a gate closure."""
        self.until_ns = max(self.until_ns, gate_ns)
        if self._ctx.now_ns <= self.until_ns:
            self.soon()

    def due(self) -> list[Event]:
        """Return what is told at a period's end, and ask for the next where a gate is still open."""
        self.due_ns = ABSENT
        if self._ctx.now_ns <= self.until_ns:
            self.soon()
        return self.tell(all_rows=False)

    def tell(self, *, all_rows: bool) -> list[Event]:
        """Return frames of Pnl and PnlAttribution: per account what has changed since last told, and its totals."""
        out = frames(self._ledger.told(self._marks, self._ctx.now_ns, all_rows=all_rows))
        if self._one_currency is not None:
            out += self._one_currency.tell(self.totals())
        return out

    def totals(self) -> npt.NDArray[np.void]:
        """Return every account's totals as they are now, rows of Pnl; what is told next does not change by it."""
        parts = self._ledger.told(self._marks, self._ctx.now_ns, all_rows=True, remember=False)
        rows: npt.NDArray[np.void] = np.concatenate([np.empty(0, layout_of(Pnl).dtype), *(pnl for pnl, _ in parts)])
        totals: npt.NDArray[np.void] = rows[rows["listing_id"] == 0]
        return totals


def frames(parts: list[Told]) -> list[Event]:
    """Return rows of Pnl in frames, and beside each as many of PnlAttribution."""
    out: list[Event] = []
    if not parts:
        return out
    pnl, attribution = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    for at in range(0, len(pnl), FRAME_RECORDS_MAX):
        end = at + FRAME_RECORDS_MAX
        out += [Frame(Pnl, pnl[at:end].copy()), Frame(PnlAttribution, attribution[at:end].copy())]
    return out
