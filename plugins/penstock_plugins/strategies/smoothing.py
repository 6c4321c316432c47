"""Fair values in integers: fine ticks, exponential smoothing, and the last row of each listing in a quote frame.

A *fine tick* is a 1024th of a tick, so that smoothing keeps what a whole tick would round away, and the same quotes
give the same orders on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Tradability
from penstock_sdk.schema import ABSENT

__all__ = ["CEILING", "FINE", "FLOOR", "FiveColumns", "I64s", "bounds_fine", "last_rows", "smooth"]

FINE = 1024
"""Fine ticks in a tick."""

FLOOR, CEILING = -(2**60), 2**60
"""Below and above every price in fine ticks; their sum and difference still fit."""

_ELAPSED_MS_MAX = 3_600_000

I64s = npt.NDArray[np.int64]
FiveColumns = tuple[I64s, I64s, I64s, I64s, I64s]


def last_rows(quotes: npt.NDArray[np.void], slots: I64s, mark: I64s) -> FiveColumns:
    """Return (slot, bid_ticks, bid_lots, ask_ticks, ask_lots) of the last tradable row of each slot.

    Args:
        quotes: the array of a frame of Quote.
        slots: its listings' columns; several may share one that nobody looks at.
        mark: scratch, longer than the largest slot; its contents do not matter.
    """
    rows = np.arange(len(slots))
    mark[slots] = rows
    keep = (mark[slots] == rows) & (quotes["tradability"] == Tradability.TRADABLE)
    if not keep.all():
        quotes, slots = quotes[keep], slots[keep]
    return slots, quotes["bid_ticks"], quotes["bid_lots"], quotes["ask_ticks"], quotes["ask_lots"]


def bounds_fine(bid_ticks: I64s, bid_there: Any, ask_ticks: I64s, ask_there: Any) -> tuple[I64s, I64s]:
    """Return what a fair value lies between, in fine ticks: FLOOR and CEILING where nobody bids or asks."""
    return np.where(bid_there, bid_ticks * FINE, FLOOR), np.where(ask_there, ask_ticks * FINE, CEILING)


def smooth(fair: I64s, sample: I64s, elapsed_ns: I64s, tau_ms: int) -> I64s:
    """Return *fair* moved towards *sample* by the share elapsed / (tau + elapsed); at once where fair is ABSENT.

    All prices in fine ticks. Elapsed time beyond an hour counts as an hour, so that no product overflows.
    """
    known = fair != ABSENT
    elapsed_ms = np.clip(elapsed_ns // 1_000_000, 0, _ELAPSED_MS_MAX)
    step = np.where(known, sample - fair, 0) * elapsed_ms // np.maximum(tau_ms + elapsed_ms, 1)
    return np.where(known, fair + step, sample)
