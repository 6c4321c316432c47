"""The position grid: fills into it, one by one and in frames; its value; its memory; the products that fill it.

Each figure stands beside a plain way of doing the same in the same rounds: numpy on a dense array, and a pandas
group-by. What the ways give has to agree to the last kW and cent, or there is no report.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_kernel.bench.positions_market import (
    LOT_KW,
    QUARTER_NS,
    Desk,
    Market,
    calendar_market,
    desk_market,
    products,
)
from penstock_kernel.bench.rounds import Rounds, machine
from penstock_sdk.delivery_grid import DeliveryGrid

__all__ = ["TINY", "bench_positions"]

I64 = npt.NDArray[np.int64]
_FRAME: Final = 1_024
"""Fills to a frame."""
_TICK_MICRO: Final = 10_000
TINY: Final[dict[str, int]] = {"zones": 3, "days": 20, "fills": 256, "rounds": 1, "years": 1}


def bench_positions(
    *, zones: int = 50, days: int = 365, fills: int = 20_000, rounds: int = 5, years: int = 10
) -> dict[str, Any]:
    """Return fill-intervals a second, cells valued a second, bytes, and how long products take; medians of the rounds.

    Args:
        zones, days: of the grid that is valued, in quarter-hours.
        fills: in a round of quarter-hours; of other products as many as make about as many intervals.
        years: of products that are built, of one power zone and one gas hub.
    """
    hasher = hashlib.sha256()
    rows = _filling(fills, rounds, hasher)
    rows += _valuing(zones, days, rounds, hasher)
    rows += _building(years, rounds, hasher)
    return {
        "bench": "positions", **machine(), "rounds": rounds, "frame": _FRAME, "rows": rows,
        "aims": {"fill_intervals_per_s_in_frames": 2_000_000, "ten_years_of_products_s": 1},
        "digest": hasher.hexdigest(),
    }  # fmt: skip


# Fills.


def _filling(fills: int, rounds: int, hasher: Any) -> list[dict[str, Any]]:
    market = desk_market(zones=4)
    few = max(64, fills // 10)
    timed, rates = Rounds("quarter-hours, in frames"), {}
    grids: dict[str, DeliveryGrid] = {}
    for name, desk in {
        "quarter-hours": market.desk(["QH"], fills, seed=1),
        "hours": market.desk(["H"], max(64, fills // 4), seed=2),
        "a desk's mix": market.desk(None, few, seed=3),
    }.items():
        for way, fill in (("in frames", _in_frames), ("one by one", _one_by_one)):
            label = f"{name}, {way}"
            grids[label] = market.grid()
            timed.add(label, desk.intervals, _bound(fill, grids[label], desk))
            rates[label] = len(desk.listing_ids)
        if name != "hours":
            dense = Dense(market)
            timed.add(f"{name}, numpy dense", desk.intervals, _bound(dense.fill, desk))
            rates[f"{name}, numpy dense"] = len(desk.listing_ids)
            table = Grouped(market)
            timed.add(f"{name}, pandas group-by", desk.intervals, _bound(table.fill, desk))
            rates[f"{name}, pandas group-by"] = len(desk.listing_ids)
            grids[f"{name}, dense"], grids[f"{name}, grouped"] = dense.as_grid(), table.as_grid()
    return []
