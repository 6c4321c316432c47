"""A large position grid: how fast it is valued, what it takes in memory; of one account, and of several."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_kernel.bench.positions_market import BOOK, QUARTER_NS, Market, calendar_market
from penstock_kernel.bench.rounds import Rounds
from penstock_sdk.delivery_grid import DeliveryGrid

__all__ = ["ACCOUNTS", "Valued", "valuing"]

I64 = npt.NDArray[np.int64]
ACCOUNTS: Final = tuple((book_id, strategy_id) for book_id in (BOOK, BOOK + 1) for strategy_id in (1, 2))
"""(book, strategy) of those that deal."""
_TICK_MICRO: Final = 10_000


class Valued(NamedTuple):
    """What was measured."""

    rows: list[dict[str, Any]]
    memory: dict[str, Any]
    measures: dict[str, str]
    """What each row measures."""


def valuing(zones: int, days: int, rounds: int, hasher: Any) -> Valued:
    """Return how fast a grid of so many zones and days is valued, and what it takes; every account deals every day."""
    market = calendar_market(zones, days)
    _filled(calendar_market(1, 1), ACCOUNTS[:1])  # what is compiled is no memory of the grid's
    one, one_memory = _filled(market, ACCOUNTS[:1])
    four, four_memory = _filled(market, ACCOUNTS)
    listing = market.defined[0][0]
    start_ns, cells = listing.interval_start_ns, listing.interval_count
    end_ns = start_ns + cells * QUARTER_NS
    rng = np.random.default_rng(3)
    prices = [rng.integers(-50_000, 400_000, cells) for _ in market.zones]
    held = {
        account: [four.net(zone.zone_id, start_ns, end_ns, *account) for zone in market.zones] for account in ACCOUNTS
    }
    found: dict[str, list[int]] = {}

    def value(name: str, grid: DeliveryGrid, accounts: tuple[tuple[int | None, int | None], ...]) -> None:
        """Value every zone, exactly: kW times ticks, then to 10⁻⁶ of the currency."""
        found[name] = [
            int(grid.value(zone.zone_id, start_ns, prices[nth], _TICK_MICRO, *account))
            for account in accounts
            for nth, zone in enumerate(market.zones)
        ]

    def value_dense(name: str, accounts: tuple[tuple[int, int], ...]) -> None:
        sums = [int((held[account][nth] * prices[nth]).sum()) for account in accounts for nth in range(zones)]
        found[name] = [each * _TICK_MICRO * 15 // 60_000 for each in sums]  # wraps where it does not fit

    timed, measures = Rounds("revaluation"), {}

    def add(name: str, accounts: int, work: Callable[[], None], measured: str) -> None:
        timed.add(name, accounts * zones * cells, work)
        measures[name] = measured

    shape = f"{zones} zones by {days} days of quarter-hours"
    add(
        "revaluation",
        1,
        lambda: value("one", one, ((None, None),)),
        f"energy times price of {shape}, held by one account; the value alone, not what was made. Events: cells",
    )
    add(
        "revaluation: numpy",
        1,
        lambda: value_dense("one: numpy", ACCOUNTS[:1]),
        "the same of a dense array; nothing is checked",
    )
    add(
        "revaluation: 4 in one",
        4,
        lambda: value("together", four, ((None, None),)),
        "each cell held by two strategies in each of two books; one value a zone. Events: cells of all accounts",
    )
    add(
        "revaluation: 4 apart",
        4,
        lambda: value("apart", four, ACCOUNTS),
        "the same; one value a zone and account",
    )
    add("revaluation: 4, numpy", 4, lambda: value_dense("apart: numpy", ACCOUNTS),
        "the same of a dense array for each account; nothing is checked")  # fmt: skip
    timed.run(rounds)
    together = [sum(found["apart"][nth::zones]) for nth in range(zones)]
    if not (found["one"] == found["one: numpy"] and found["apart"] == found["apart: numpy"]):
        raise RuntimeError("bench positions: the grid and numpy do not value alike; report it")
    if found["together"] != together or found["one"] != found["apart"][:zones]:
        raise RuntimeError("bench positions: accounts apart are not worth what they are together; report it")
    hasher.update(msgspec.json.encode([found["one"], found["apart"], four.snapshot()["cells"]["zones"]]))
    rows = timed.rows()
    for row in rows:
        row["ratio"] = row.pop(f"ratio_to_{timed.base}")
    return Valued(rows, {"one_account": one_memory, "four_accounts": four_memory}, measures)


def _of_all(listings: int, nth: int) -> tuple[I64, I64]:
    """Return every listing, and lots that an account deals in each."""
    rng = np.random.default_rng(7 + nth)
    return np.arange(1, listings + 1), rng.integers(1, 100, listings) * rng.choice([-1, 1], listings)


def _filled(market: Market, accounts: tuple[tuple[int, int], ...]) -> tuple[DeliveryGrid, dict[str, Any]]:
    """Return a grid on which each account holds something in each cell, and what it takes."""
    gc.collect()
    before = _resident_bytes()
    grid = market.grid()
    defined, listed = _resident_bytes(), grid.nbytes
    for nth, (book_id, strategy_id) in enumerate(accounts):
        ids, lots = _of_all(len(market.defined), nth)
        if grid.fill_frame(ids, book_id, strategy_id, lots).any():
            raise RuntimeError("bench positions: a fill was refused; report it")
    cells = len(accounts) * len(market.zones) * market.defined[0][0].interval_count
    return grid, {
        "accounts": len(accounts), "cells": cells, "grid_bytes": grid.nbytes,
        "bytes_per_cell": round((grid.nbytes - listed) / cells, 2),
        "resident_bytes_of_cells": max(_resident_bytes() - defined, 0),
        "resident_bytes_of_listings": max(defined - before, 0),
        "snapshot_bytes": len(msgspec.msgpack.encode(grid.snapshot()["cells"])),
    }  # fmt: skip


def _resident_bytes() -> int:
    """Return what the process holds in memory now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * 4_096
