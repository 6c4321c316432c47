"""The position grid: fills into it, one by one and in frames; its value; its memory; the products that fill it.

Each figure stands beside a plain way of doing the same in the same rounds: numpy on a dense array, and a pandas
group-by, which get all fills in one call. What the ways give has to agree to the last kW, or there is no report.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_kernel.bench.positions_market import (
    BOOK,
    LANES,
    QUARTER_NS,
    Dense,
    Fills,
    Grouped,
    Market,
    calendar_market,
    cascade_market,
    desk_market,
    mix,
)
from penstock_kernel.bench.rounds import Rounds, machine
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.energy.generators import all_products
from penstock_sdk.golden.cascade import (
    ABSENT,
    BUY,
    Lot,
    apply_fill,
    cascade,
    new_table,
    open_row,
    part_lots,
)
from penstock_sdk.golden.positions_layout import POSITION_CASH

__all__ = ["TINY", "bench_positions"]

I64 = npt.NDArray[np.int64]
_TICK_MICRO: Final = 10_000
_BUILT: Final = ("DE-LU", "TTF")
TINY: Final[dict[str, int]] = {"zones": 3, "days": 20, "fills": 256, "rounds": 1, "years": 1}


def bench_positions(
    *, zones: int = 50, days: int = 365, fills: int = 20_000, rounds: int = 5, years: int = 10
) -> dict[str, Any]:
    """Return fill-intervals a second, cells valued a second, bytes, and how long products take; medians of the rounds.

    Args:
        zones, days: of the grid that is valued, in quarter-hours.
        fills: of quarter-hours in a round; a tenth as many of a desk's mix, most of whose intervals are futures'.
        years: of products that are built, of one power zone and one gas hub.
    """
    hasher = hashlib.sha256()
    filled = [
        *_quarter_hours(fills, rounds, hasher),
        *_mix(max(64, fills // 10), rounds, hasher),
    ]
    valued, memory = _valuing(zones, days, rounds, hasher)
    cascaded, built = _cascading(rounds, hasher), _building(years, rounds, hasher)
    return {
        "bench": "positions", **machine(), "rounds": rounds, "rows": [*filled, *valued, cascaded, built],
        "revaluation": {"zones": zones, "days": days, "ms": _ms(valued[0])},
        "memory": memory,
        "cascade": {"us_per_account": round(1e3 * _ms(cascaded), 1)},
        "products": {"years": years, "zones": list(_BUILT), "s": round(_ms(built) / 1e3, 3)},
        "aims": {"fill_intervals_per_s_in_frames": 2_000_000, "ten_years_of_products_s": 1},
        "digest": hasher.hexdigest(),
    }  # fmt: skip


def _ms(row: dict[str, Any]) -> float:
    """Return how long all events of a row took, in ms; of the rate, which is rounded least."""
    return round(1e3 * int(row["events"]) / int(row["events_per_cpu_s"]), 3)


def _rows(timed: Rounds) -> list[dict[str, Any]]:
    """Return what was timed, the ratio to the first of them under one name."""
    rows = timed.rows()
    for row in rows:
        row["ratio"] = row.pop(f"ratio_to_{timed.base}")
    return rows


# Fills.


def _quarter_hours(fills: int, rounds: int, hasher: Any) -> list[dict[str, Any]]:
    """One interval a fill: the most work for each."""
    market = desk_market(zones=4)
    return _filling("quarter-hours", market, market.fills({"QH": 1}, fills, seed=1), rounds, hasher)


def _mix(fills: int, rounds: int, hasher: Any) -> list[dict[str, Any]]:
    market = desk_market(zones=4)
    return _filling("a desk's mix", market, mix(market, fills, seed=2), rounds, hasher)


def _filling(name: str, market: Market, fills: Fills, rounds: int, hasher: Any) -> list[dict[str, Any]]:
    """Return rows per fill-interval of the four ways."""
    framed, single, dense, grouped = market.grid(), market.grid(), Dense(market), Grouped(market)
    timed = Rounds(f"{name}: frames")
    timed.add(f"{name}: frames", fills.intervals, partial(_in_frames, framed, fills))
    timed.add(f"{name}: one by one", fills.intervals, partial(_one_by_one, single, fills))
    timed.add(f"{name}: numpy", fills.intervals, partial(dense.fill, fills))
    timed.add(f"{name}: pandas", fills.intervals, partial(grouped.fill, fills))
    timed.run(rounds)
    state = msgspec.msgpack.encode(framed.snapshot()["cells"])
    ways = (_as_dense(single, market, dense), dense.held, grouped.at(dense))
    if not all(np.array_equal(_as_dense(framed, market, dense), each) for each in ways):
        raise RuntimeError(f"bench positions: {name}: the grid, numpy and pandas do not hold the same; report it")
    hasher.update(state)
    return _rows(timed)


def _in_frames(grid: DeliveryGrid, fills: Fills) -> None:
    for listing_ids, strategy_ids, lots in fills.frames():
        if grid.fill_frame(listing_ids, BOOK, strategy_ids, lots).any():
            raise RuntimeError("bench positions: a fill was refused; report it")


def _one_by_one(grid: DeliveryGrid, fills: Fills) -> None:
    fill = grid.fill
    for listing_id, strategy_id, lots in zip(
        fills.listing_ids.tolist(), fills.strategy_ids.tolist(), fills.lots.tolist(), strict=True
    ):
        fill(listing_id, BOOK, strategy_id, lots)


def _as_dense(grid: DeliveryGrid, market: Market, dense: Dense) -> I64:
    return np.array(
        [
            [grid.net(zone.zone_id, dense.start_ns, dense.end_ns, BOOK, lane + 1) for lane in range(LANES)]
            for zone in market.zones
        ]
    )


# What happens once in a while.


def _cascading(rounds: int, hasher: Any) -> dict[str, Any]:
    """Return how long it takes to move one account's year into months and quarters: lots, money and the grid."""
    market = cascade_market()
    grid = market.grid()
    year, *parts = [
        Lot(listing.cash_micro_per_lot_tick, listing.tick_micro, listing.lot_kw) for listing, _, _ in market.defined
    ]
    span = market.defined[0][0].interval_start_ns, market.defined[0][1].delivery_end_ns
    rows = list(range(2, 2 + len(parts)))
    samples = []
    for nth in range(20 * rounds):
        table = new_table(2 + len(parts))
        for row, lot in enumerate((year, *parts), 1):
            open_row(table, row, lot.cash_micro_per_lot_tick)
        lots = 1 + nth % 9
        apply_fill(table, 1, BUY, 8_000 + nth, lots, ABSENT, ABSENT)
        grid.fill(1, BOOK, 1, lots)
        before, cash = grid.net(1, *span), int(table[:, POSITION_CASH].sum())
        begun_ns = time.thread_time_ns()
        status = cascade(table, 1, year, rows, parts, 8_000)
        grid.fill(1, BOOK, 1, -lots)
        for row, times in zip(rows, part_lots(year, parts), strict=True):
            status += grid.fill(row, BOOK, 1, lots * times)
        samples.append(time.thread_time_ns() - begun_ns)
        if status or int(table[:, POSITION_CASH].sum()) != cash or not np.array_equal(grid.net(1, *span), before):
            raise RuntimeError("bench positions: a cascade changed what is held; report it")
        hasher.update(table.tobytes())
    return _row("cascade of a year", 2 * len(before), samples)


def _building(years: int, rounds: int, hasher: Any) -> dict[str, Any]:
    """Return how long every product of a power zone and a gas hub takes, from its rules to its instants."""
    samples = []
    for _ in range(rounds):
        begun_ns = time.thread_time_ns()
        built = all_products(_BUILT, range(2026, 2026 + years))
        samples.append(time.thread_time_ns() - begun_ns)
    for contract in built.strips:
        hasher.update(f"{contract.name} {contract.delivery.spans}".encode())
    for table in built.intervals:
        hasher.update(table.start_ns.tobytes() + table.gate_closure_ns.tobytes())
    return _row("products", built.total, samples)


def _row(name: str, events: int, samples_ns: list[int]) -> dict[str, Any]:
    median = statistics.median(samples_ns)
    return {
        "name": name, "events": events, "cpu_ns_per_event": round(median / events, 1),
        "cpu_ns_per_event_best": round(min(samples_ns) / events, 1), "events_per_cpu_s": round(1e9 * events / median),
    }  # fmt: skip
