"""Positions as a run keeps them, and the position grid alone: fills, value, memory, cascade, products.

Fills go through a kernel with the portfolio in it, money and all, and beside that into a grid alone, as the plain ways
do: numpy on a dense array and a pandas group-by, which get all fills in one call. All in the same rounds. What the ways
give has to agree to the last kW and 10⁻⁶, or there is no report.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_kernel.bench.positions_market import (
    BOOK,
    FRAME,
    Dense,
    Fills,
    Grouped,
    Market,
    desk_market,
    mix,
)
from penstock_kernel.bench.positions_once import LOTS_MOVED, Part, building, cascading, ms_of, row_of
from penstock_kernel.bench.positions_run import Run, expected
from penstock_kernel.bench.positions_value import valuing
from penstock_kernel.bench.rounds import Rounds, machine
from penstock_sdk.delivery_grid import DeliveryGrid

__all__ = ["TINY", "bench_positions"]

I64 = npt.NDArray[np.int64]
TINY: Final[dict[str, int]] = {"zones": 3, "days": 20, "fills": 256, "rounds": 1, "years": 1, "contracts": 500}


def bench_positions(
    *,
    zones: int = 50,
    days: int = 365,
    fills: int = 20_000,
    rounds: int = 5,
    years: int = 10,
    contracts: int = 100_000,
) -> dict[str, Any]:
    """Return fills and fill-intervals a second, cells valued, bytes, how long products take; medians of the rounds.

    Args:
        zones, days: of the grid that is valued, in quarter-hours.
        fills: of quarter-hours in a round; a tenth as many of a desk's mix, most of whose intervals are futures'.
        years: of products that are built, of one power zone and one gas hub.
        contracts: that are built as objects, of the rows of a table.
    """
    hasher = hashlib.sha256()
    valued = valuing(zones, days, rounds, hasher)
    quarters, desk = _quarter_hours(fills, rounds, hasher), _mix(max(64, fills // 10), rounds, hasher)
    cascaded, (built, products) = cascading(rounds, hasher), building(years, contracts, rounds, hasher)
    parts = (quarters, desk, valued, cascaded, built)
    by_name = {row["name"]: row for part in parts for row in part.rows}
    return {
        "bench": "positions", **machine(), "rounds": rounds, "rows": list(by_name.values()),
        "measures": {name: words for part in parts for name, words in part.measures.items()},
        "revaluation": {
            "zones": zones, "days": days, "ms": ms_of(by_name["revaluation"]),
            "ms_4_accounts_in_one": ms_of(by_name["revaluation: 4 in one"]),
            "ms_4_accounts_apart": ms_of(by_name["revaluation: 4 apart"]),
        },
        "memory": valued.memory,
        "cascade": {
            "us_per_account": round(1e3 * ms_of(cascaded.rows[0]), 1), "lots_moved": LOTS_MOVED,
            "cells_written": cascaded.rows[0]["cells"],
        },
        "products": products,
        "fill_intervals_per_s": {
            name: {"in a run": _rate(by_name, name, _IN_RUN), "grid alone, no money": _rate(by_name, name, _ALONE_GRID)}
            for name in ("quarter-hours", "a desk's mix")
        },
        "aims": {"fill_intervals_per_s": 2_000_000, "ten_years_of_products_s": 1},
        "digest": hasher.hexdigest(),
    }  # fmt: skip


def _rate(by_name: dict[str, dict[str, Any]], name: str, ways: Iterable[str]) -> dict[str, int]:
    return {way: int(by_name[f"{name}: {way}"]["events_per_cpu_s"]) for way in ways}


# Fills.


def _quarter_hours(fills: int, rounds: int, hasher: Any) -> Part:
    """One interval a fill: the most work for each."""
    market = desk_market(zones=4)
    return _filling("quarter-hours", market, market.fills({"QH": 1}, fills, seed=1), rounds, hasher)


def _mix(fills: int, rounds: int, hasher: Any) -> Part:
    market = desk_market(zones=4)
    return _filling("a desk's mix", market, mix(market, fills, seed=2), rounds, hasher)


_IN_RUN: Final = {
    "run, fills": "the portfolio in a run, each fill an input of its own: the order's state, money, fees, slippage, "
    "mark, position grid and Position event; both events numbered and journaled",
    "run, trades": "the same of ExternalTrade, each an input of its own; its number is kept, so that it counts once",
    "run, trade frames": f"the same, {FRAME:,} to an input: the portfolio takes the records of a frame one by one",
}
_ALONE: Final = {
    "portfolio alone": "the portfolio's on_execution_report, called directly: money, fees, slippage, mark, position "
    "grid; the Position is made and dropped, nothing is numbered or journaled",
    "grid, one by one": "cells of the position grid alone, a call of fill for each; no money, no events; no run does "
    "this",
    "grid, frames": f"cells of the position grid alone, {FRAME:,} to a call of fill_frame; no money, no events; no run "
    "does this",
    "numpy": "the same cells as a dense array, all fills in one call; nothing is checked",
    "pandas": "the same cells by merge and group-by, all fills in one call; nothing is checked",
}


_ALONE_GRID: Final = ("grid, one by one", "grid, frames")


def _filling(name: str, market: Market, fills: Fills, rounds: int, hasher: Any) -> Part:
    """Return rows per fill-interval of all ways, in the same rounds."""
    framed, single, dense, grouped = market.grid(), market.grid(), Dense(market), Grouped(market)
    with _runs(market) as runs:
        makes = {
            "run, fills": partial(runs[0].reports, fills),
            "run, trades": partial(runs[1].trades, fills),
            "run, trade frames": partial(runs[2].frames, fills),
        }
        works = {way: run.batches(make, rounds + 1) for run, (way, make) in zip(runs[:3], makes.items(), strict=True)}
        works |= {
            "portfolio alone": runs[3].directly(partial(runs[3].reports, fills)),
            "grid, one by one": partial(_one_by_one, single, fills),
            "grid, frames": partial(_in_frames, framed, fills),
            "numpy": partial(dense.fill, fills),
            "pandas": partial(grouped.fill, fills),
        }
        timed = Rounds(f"{name}: grid, frames")
        for way, work in works.items():
            timed.add(f"{name}: {way}", fills.intervals, work)
        timed.run(rounds)
        grids = [dense.of(framed), dense.of(single), grouped.at(dense), *(run.on_grid(dense) for run in runs)]
        _same(name, grids, dense, [run.held() for run in runs], expected(market, fills, rounds + 1))
        told = _telling(name, runs[0], rounds)
        hasher.update(msgspec.msgpack.encode(framed.snapshot()["cells"]))
        for run in runs:
            hasher.update(f"{run.made()} {run.close()}".encode())
    rows = timed.rows()
    for row in rows:
        row["ratio"] = row.pop(f"ratio_to_{timed.base}")
        row |= {
            "fills": len(fills.lots),
            "fills_per_cpu_s": round(len(fills.lots) * row["events_per_cpu_s"] / fills.intervals),
        }
    measures = {f"{name}: {way}": f"{words}. Events: fill-intervals" for way, words in (_IN_RUN | _ALONE).items()}
    return Part([*rows, *told.rows], measures | told.measures)


@contextmanager
def _runs(market: Market) -> Iterator[list[Run]]:
    """Give four runs of their own, in a folder that goes with them."""
    with tempfile.TemporaryDirectory() as folder:
        yield [Run(market, Path(folder) / f"{nth}") for nth in range(4)]


def _same(name: str, grids: list[I64], dense: Dense, held: list[Any], wanted: Any) -> None:
    """See that every way holds the same kW, and every run the lots and the money that plain Python has."""
    if not all(np.array_equal(each, dense.held) for each in grids):
        raise RuntimeError(f"bench positions: {name}: the grid, numpy and pandas do not hold the same; report it")
    if not all(each == wanted for each in held):
        raise RuntimeError(f"bench positions: {name}: a run has other lots or money than were dealt; report it")


def _telling(name: str, run: Run, rounds: int) -> Part:
    holdings, samples = run.telling(rounds)
    row = f"{name}: run, profit told"
    words = (
        "Pnl and PnlAttribution of what is held, each listing with a new mid, numbered and journaled. Events: holdings"
    )
    return Part([row_of(row, holdings, samples)], {row: words})


def _in_frames(grid: DeliveryGrid, fills: Fills) -> None:
    for listing_ids, strategy_ids, lots in fills.frames():
        if grid.fill_frame(listing_ids, BOOK, strategy_ids, lots).any():
            raise RuntimeError("bench positions: a fill was refused; report it")


def _one_by_one(grid: DeliveryGrid, fills: Fills) -> None:
    fill = grid.fill
    for listing_id, strategy_id, lots, _ in fills.each():
        fill(listing_id, BOOK, strategy_id, lots)
