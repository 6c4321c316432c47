"""Rows of `Pnl` and `PnlAttribution`: figures of holdings laid out as they are told, and totals of an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Pnl, PnlAttribution
from penstock_sdk.golden import positions as golden
from penstock_sdk.schema import ABSENT, layout_of

__all__ = ["FILLS", "NET", "SUMS", "UNPRICED", "WIDTH", "Told", "as_rows", "closed_figures", "realise"]

I64 = npt.NDArray[np.int64]
Told = tuple[npt.NDArray[np.void], npt.NDArray[np.void]]
"""Rows of Pnl, and as many of PnlAttribution."""

UNPRICED, FILLS, NET = golden.FIGURE_WIDTH, golden.FIGURE_WIDTH + 1, golden.FIGURE_WIDTH + 2
WIDTH = golden.FIGURE_WIDTH + 3
"""Columns of what is told: the figures, then fills without mids, fills, net lots."""
_PNL = ((golden.FIGURE_REALISED, "realised_micro"), (golden.FIGURE_UNREALISED, "unrealised_micro"),
        (golden.FIGURE_FEES, "fees_micro"))  # fmt: skip
_ATTRIBUTION = ((golden.FIGURE_MARKET, "market_micro"), (golden.FIGURE_DELAY, "delay_micro"),
                (golden.FIGURE_EXECUTION, "execution_micro"), (golden.FIGURE_FEES, "fees_micro"),
                (UNPRICED, "unpriced_fills"))  # fmt: skip
SUMS = (*range(golden.FIGURE_WIDTH), UNPRICED)
_REALISED, _MARKET = SUMS.index(golden.FIGURE_REALISED), SUMS.index(golden.FIGURE_MARKET)
_KNOWN_ONLY = (golden.FIGURE_UNREALISED, golden.FIGURE_MARKET)
"""Figures that are ABSENT where a price is missing; a total of such is not known either."""


class _Account(Protocol):
    book_id: int
    strategy_id: int
    past: dict[int, list[int]]


class _Holding(Protocol):
    listing_id: int
    currency_id: int


def realise(figures: I64, gone: npt.NDArray[np.bool_]) -> None:
    """Turn the unrealised profit of rows into realised."""
    unrealised = figures[gone, golden.FIGURE_UNREALISED]
    figures[gone, golden.FIGURE_REALISED] += np.where(unrealised == ABSENT, 0, unrealised)
    figures[gone, golden.FIGURE_UNREALISED] = 0
    figures[gone, golden.FIGURE_MARKET] = (
        figures[gone, golden.FIGURE_REALISED]
        - figures[gone, golden.FIGURE_DELAY]
        - figures[gone, golden.FIGURE_EXECUTION]
    )


def closed_figures(row: Sequence[int], realised_micro: int) -> list[int]:
    """Return the `SUMS` of a row that is closed, all of its profit realised."""
    delay, execution = row[golden.POSITION_DELAY] >> 1, row[golden.POSITION_EXECUTION] >> 1
    made = {
        golden.FIGURE_REALISED: realised_micro, golden.FIGURE_UNREALISED: 0,
        golden.FIGURE_FEES: row[golden.POSITION_FEES], golden.FIGURE_DELAY: delay, golden.FIGURE_EXECUTION: execution,
        golden.FIGURE_MARKET: realised_micro - delay - execution, UNPRICED: row[golden.POSITION_UNPRICED],
    }  # fmt: skip
    return [made[column] for column in SUMS]


def as_rows(
    account: _Account,
    held: Sequence[_Holding],
    figures: I64,
    ticks: I64,
    seen_ns: I64,
    now_ns: int,
    changed: npt.NDArray[np.bool_],
    extra: Mapping[int, int],
    *,
    totals: bool = False,
) -> Told:
    """Return the rows of what *changed*; and where any has, or *totals* are wanted, those per currency.

    Args:
        extra: by currency what was made beside the holdings, part of the totals.
    """
    sums = _totals(account, held, figures, extra) if changed.any() or totals else {}
    at = np.flatnonzero(changed)
    pnl = np.zeros(len(at) + len(sums), layout_of(Pnl).dtype)
    attribution = np.zeros(len(pnl), layout_of(PnlAttribution).dtype)
    for rows, columns in ((pnl, _PNL), (attribution, _ATTRIBUTION)):
        rows["strategy_id"], rows["book_id"] = account.strategy_id, account.book_id
        rows["source_ns"] = rows["recv_ns"] = ABSENT
        rows["listing_id"][: len(at)] = [held[nth].listing_id for nth in at.tolist()]
        rows["currency_id"] = [*(held[nth].currency_id for nth in at.tolist()), *sums]
        for column, field in columns:
            rows[field][: len(at)] = figures[at, column]
            rows[field][len(at) :] = [total[SUMS.index(column)] for total in sums.values()]
    pnl["mark_ticks"] = pnl["mark_age_ns"] = ABSENT
    pnl["mark_ticks"][: len(at)] = ticks[at]
    pnl["mark_age_ns"][: len(at)] = np.where(seen_ns[at] == ABSENT, ABSENT, now_ns - seen_ns[at])
    return pnl, attribution


def _totals(
    account: _Account, held: Sequence[_Holding], figures: I64, extra: Mapping[int, int]
) -> dict[int, list[int]]:
    """Return by currency the sums of what is held and what has been delivered; ABSENT where a part is not known."""
    sums: dict[int, list[int]] = {}
    live = figures.any(axis=1)  # a part that cascades alone have made flat has neither fills nor lots, but profit
    for nth in np.flatnonzero(live).tolist():
        total = sums.setdefault(held[nth].currency_id, [0] * len(SUMS))
        for at, column in enumerate(SUMS):
            value = figures.item(nth, column)
            unknown = column in _KNOWN_ONLY and ABSENT in (value, total[at])
            total[at] = ABSENT if unknown else total[at] + value
    for currency_id, past in account.past.items():
        total = sums.setdefault(currency_id, [0] * len(SUMS))
        for at, value in enumerate(past):
            total[at] = total[at] if total[at] == ABSENT else total[at] + value
    for currency_id, micro in extra.items():
        total = sums.setdefault(currency_id, [0] * len(SUMS))
        total[_REALISED] += micro
        total[_MARKET] += micro if total[_MARKET] != ABSENT else 0
    return sums
