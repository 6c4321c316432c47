"""What happens once in a while: a cascade, and making the products of years; and what a bench's row is."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final, NamedTuple

import numpy as np

from penstock_kernel.bench.positions_market import BOOK, cascade_market
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

__all__ = ["LOTS_MOVED", "Part", "building", "cascading", "ms_of", "row_of"]

LOTS_MOVED: Final = 10
"""Of the year that is cascaded."""
_BUILT: Final = ("DE-LU", "TTF")


class Part(NamedTuple):
    """Rows of one subject, and in plain words what each measures."""

    rows: list[dict[str, Any]]
    measures: dict[str, str]


def cascading(rounds: int, hasher: Any) -> Part:
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
        apply_fill(table, 1, BUY, 8_000 + nth, LOTS_MOVED, ABSENT, ABSENT)
        grid.fill(1, BOOK, 1, LOTS_MOVED)
        before, cash = grid.net(1, *span), int(table[:, POSITION_CASH].sum())
        begun_ns = time.thread_time_ns()
        status = cascade(table, 1, year, rows, parts, 8_000)
        grid.fill(1, BOOK, 1, -LOTS_MOVED)
        for row, times in zip(rows, part_lots(year, parts), strict=True):
            status += grid.fill(row, BOOK, 1, LOTS_MOVED * times)
        samples.append(time.thread_time_ns() - begun_ns)
        if status or int(table[:, POSITION_CASH].sum()) != cash or not np.array_equal(grid.net(1, *span), before):
            raise RuntimeError("bench positions: a cascade changed what is held; report it")
        hasher.update(table.tobytes())
    told = row_of("cascade of a year", LOTS_MOVED, samples) | {"cells": 2 * len(before)}
    words = (
        "one account's lots of a year become three months and three quarters: money (plain Python, as in the "
        "portfolio) and the grid, each cell taken off once and added once; no events. It takes as long for one lot as "
        "for many. Events: lots of the year"
    )
    return Part([told], {told["name"]: words})


def building(years: int, contracts: int, rounds: int, hasher: Any) -> tuple[Part, dict[str, Any]]:
    """Return how long all products of a power zone and a gas hub take, and how long objects of a table's rows."""
    samples, objects_ns = [], []
    for _ in range(rounds):
        begun_ns = time.thread_time_ns()
        built = all_products(_BUILT, range(2026, 2026 + years))
        samples.append(time.thread_time_ns() - begun_ns)
        table = next(each for each in built.intervals if (each.zone, each.product) == (_BUILT[0], "QH"))
        count = min(contracts, len(table))
        begun_ns = time.thread_time_ns()
        made = [table[at] for at in range(count)]
        objects_ns.append(time.thread_time_ns() - begun_ns)
    for contract in built.strips:
        hasher.update(f"{contract.name} {contract.delivery.spans}".encode())
    for each in built.intervals:
        hasher.update(each.start_ns.tobytes() + each.gate_closure_ns.tobytes())
    hasher.update(" ".join(contract.name for contract in made).encode())
    products, objects = row_of("products", built.total, samples), row_of("contracts of rows", count, objects_ns)
    strips, intervals = len(built.strips), built.total - len(built.strips)
    words = {
        "products": f"{years} years of {' and '.join(_BUILT)}: {strips:,} strips as objects, {intervals:,} intervals "
        "as rows of tables (start, opening, gate, length) without an object. Events: both",
        "contracts of rows": f"contract objects, name and instants, of the first {count:,} rows of {table.zone} "
        f"{table.product}, one by one. Events: objects",
    }
    told = {
        "years": years, "zones": list(_BUILT), "s": round(ms_of(products) / 1e3, 3), "objects": strips,
        "table_rows": intervals, "contracts_of_rows": count, "s_of_contracts_of_rows": round(ms_of(objects) / 1e3, 3),
    }  # fmt: skip
    return Part([products, objects], words), told


def row_of(name: str, events: int, samples_ns: list[int]) -> dict[str, Any]:
    """Return a row of what was timed by itself, CPU ns each time."""
    median = statistics.median(samples_ns)
    return {
        "name": name, "events": events, "cpu_ns_per_event": round(median / events, 1),
        "cpu_ns_per_event_best": round(min(samples_ns) / events, 1), "events_per_cpu_s": round(1e9 * events / median),
    }  # fmt: skip


def ms_of(row: dict[str, Any]) -> float:
    """Return how long all events of a row took, in ms; of the rate, which is rounded least."""
    return round(1e3 * int(row["events"]) / int(row["events_per_cpu_s"]), 3)
