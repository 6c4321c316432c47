"""Where positions are kept: the columns of the table, and plain Python to fill and read it.

The grid is one table of int64, ``grid[row, column]``, eight columns wide. The rows, in this order:

* row 0: the header (``HEAD_*``)
* one row per contract (``CONTRACT_*``)
* link cells, eight to a row: the delivery intervals of a contract, found by CONTRACT_LINK and CONTRACT_LINK_COUNT
* one row per account and contract (``POSITION_*``), account by account
* interval cells, eight to a row: net kW per account and interval, account by account

An account is whatever positions are told apart by: a strategy, a trading book, a trader.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import Side

__all__ = [
    "ABSENT",
    "APPLIED",
    "BUY",
    "CONTRACT_CASH",
    "CONTRACT_KW",
    "CONTRACT_LINK",
    "CONTRACT_LINK_COUNT",
    "CONTRACT_ROW",
    "FILL_ACCOUNT",
    "FILL_CONTRACT",
    "FILL_PRICE",
    "FILL_QTY",
    "FILL_SIDE",
    "FILL_WIDTH",
    "HEAD_ACCOUNTS",
    "HEAD_CELL_BASE",
    "HEAD_CONTRACTS",
    "HEAD_INTERVALS",
    "HEAD_LINKS",
    "HEAD_LINK_BASE",
    "HEAD_POSITION_BASE",
    "INT64_MAX",
    "LOTS_MAX",
    "MONEY_MAX",
    "POSITION_BOUGHT",
    "POSITION_CASH",
    "POSITION_COST",
    "POSITION_FILLS",
    "POSITION_LAST",
    "POSITION_NET",
    "POSITION_SOLD",
    "REFUSED_MALFORMED",
    "REFUSED_OVERFLOW",
    "REFUSED_UNKNOWN",
    "SELL",
    "Table",
    "define_contract",
    "drop_contract",
    "interval_net_kw",
    "new_grid",
    "positions",
    "realised_micro",
    "state_arrays",
]

Table: TypeAlias = npt.NDArray[np.int64]

ABSENT: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)
LOTS_MAX: Final = 2**31 - 1
"""The largest net position of one contract. It keeps the product of two numbers of lots within int64."""
MONEY_MAX: Final = 2**62 - 1
"""The largest cash or cost of one position, so that their sum, and a share of them, fit int64."""

HEAD_ACCOUNTS: Final = 0
HEAD_CONTRACTS: Final = 1
HEAD_INTERVALS: Final = 2
HEAD_LINK_BASE: Final = 3  # row of the first link cells
HEAD_LINKS: Final = 4  # link cells in use
HEAD_POSITION_BASE: Final = 5  # row of the first position
HEAD_CELL_BASE: Final = 6  # row of the first interval cells

CONTRACT_ROW: Final = 1

CONTRACT_CASH: Final = 0  # 10^-6 of the currency per lot and tick, over the whole delivery; 0: not defined
CONTRACT_KW: Final = 1  # per lot, in each interval
CONTRACT_LINK: Final = 2
CONTRACT_LINK_COUNT: Final = 3

POSITION_NET: Final = 0  # lots, bought less sold
POSITION_BOUGHT: Final = 1  # lots
POSITION_SOLD: Final = 2  # lots
POSITION_CASH: Final = 3  # 10^-6 of the currency, received less paid
POSITION_COST: Final = 4  # what the open lots cost at average prices; money received for short ones is negative
POSITION_FILLS: Final = 5
POSITION_LAST: Final = 6  # price of the last fill, ticks

FILL_ACCOUNT: Final = 0
FILL_CONTRACT: Final = 1
FILL_SIDE: Final = 2
FILL_PRICE: Final = 3
FILL_QTY: Final = 4
FILL_WIDTH: Final = 5

APPLIED: Final = 0
REFUSED_UNKNOWN: Final = 1  # no such account, or no such contract, or it has no multiplier
REFUSED_MALFORMED: Final = 2  # side, price or quantity make no sense
REFUSED_OVERFLOW: Final = 3  # a figure would not fit; nothing was changed


def new_grid(account_count: int, contract_count: int, interval_count: int, link_capacity: int) -> Table:
    """Return a grid without positions; no contract is defined yet.

    Args:
        account_count, contract_count, interval_count: each is numbered from 0.
        link_capacity: the sum over contracts of the intervals each delivers in.

    Raises:
        ValueError: a size is below 1.
    """
    sizes = {
        "account_count": account_count,
        "contract_count": contract_count,
        "interval_count": interval_count,
        "link_capacity": link_capacity,
    }
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; wanted at least 1")
    link_base = CONTRACT_ROW + contract_count
    position_base = link_base + -(-link_capacity // 8)
    cell_base = position_base + account_count * contract_count
    grid = np.zeros((cell_base + -(-account_count * interval_count // 8), 8), np.int64)
    grid[0, : HEAD_CELL_BASE + 1] = (
        account_count,
        contract_count,
        interval_count,
        link_base,
        0,
        position_base,
        cell_base,
    )
    grid[position_base:cell_base, POSITION_LAST] = ABSENT
    return grid


def define_contract(
    grid: Table, contract: int, intervals: Sequence[int], *, cash_micro_per_lot_tick: int, kw_per_lot: int
) -> None:
    """Say what a contract delivers and what a tick of it is worth: once, and again after `drop_contract`.

    Args:
        intervals: the delivery intervals it adds to, four quarter-hours for an hour.
        cash_micro_per_lot_tick: 10^-6 of the currency for one lot and one tick over the whole delivery. A lot of 0.1 MW
            and a tick of 0.01 EUR/MWh over 15 minutes make 250.
        kw_per_lot: what one lot adds to each interval.

    Raises:
        ValueError: a number is out of range, the contract is defined already, or the link cells are used up.
    """
    _wanted("contract", contract, 0, int(grid[0, HEAD_CONTRACTS]) - 1)
    for interval in intervals:
        _wanted("interval", interval, 0, int(grid[0, HEAD_INTERVALS]) - 1)
    if len(set(intervals)) != len(intervals):
        raise ValueError(f"intervals of contract {contract} are {list(intervals)}; wanted each once")
    _wanted("cash_micro_per_lot_tick", cash_micro_per_lot_tick, 1, INT64_MAX)
    _wanted("kw_per_lot", kw_per_lot, 0, INT64_MAX)
    row = grid[CONTRACT_ROW + contract]
    if row[CONTRACT_CASH] != 0:
        raise ValueError(f"contract {contract} is defined already; another tick or lot is another listing")
    first, links = int(grid[0, HEAD_LINKS]), grid[int(grid[0, HEAD_LINK_BASE]) : int(grid[0, HEAD_POSITION_BASE])]
    cells = links.reshape(-1)
    if first + len(intervals) > len(cells):
        raise ValueError(
            f"contract {contract} delivers in {len(intervals)} intervals, {len(cells) - first} link cells are free; "
            "give new_grid a larger link_capacity"
        )
    cells[first : first + len(intervals)] = intervals
    grid[0, HEAD_LINKS] = first + len(intervals)
    row[: CONTRACT_LINK_COUNT + 1] = (cash_micro_per_lot_tick, kw_per_lot, first, len(intervals))


def drop_contract(grid: Table, contract: int) -> None:
    """Forget a contract that has been delivered and every position in it, so that its number can be defined anew.

    Intervals in which nothing else delivers are flat afterwards, whatever was held there to the end. The link cells are
    free again. Cost: O(links + contracts).

    Raises:
        ValueError: the contract is not defined.
    """
    _wanted("contract", contract, 0, int(grid[0, HEAD_CONTRACTS]) - 1)
    rows = grid[CONTRACT_ROW : CONTRACT_ROW + int(grid[0, HEAD_CONTRACTS])]
    cash, _, first, count = (int(cell) for cell in rows[contract, : CONTRACT_LINK_COUNT + 1])
    if cash == 0:
        raise ValueError(f"contract {contract} is not defined; only what was defined can be dropped")
    cells = grid[int(grid[0, HEAD_LINK_BASE]) : int(grid[0, HEAD_POSITION_BASE])].reshape(-1)
    used = int(grid[0, HEAD_LINKS])
    intervals = cells[first : first + count].copy()
    cells[first : used - count] = cells[first + count : used]
    cells[used - count : used] = 0
    grid[0, HEAD_LINKS] = used - count
    rows[contract] = 0
    rows[rows[:, CONTRACT_LINK] > first, CONTRACT_LINK] -= count
    positions(grid)[:, contract] = 0
    positions(grid)[:, contract, POSITION_LAST] = ABSENT
    interval_net_kw(grid)[:, intervals[~np.isin(intervals, cells[: used - count])]] = 0


def state_arrays(grid: Table) -> tuple[Table, ...]:
    """Return every array that a snapshot must hold; copying them back restores the grid."""
    return (grid,)


def positions(grid: Table) -> Table:
    """Return a view (account, contract, ``POSITION_*``)."""
    accounts, contracts = int(grid[0, HEAD_ACCOUNTS]), int(grid[0, HEAD_CONTRACTS])
    return grid[int(grid[0, HEAD_POSITION_BASE]) : int(grid[0, HEAD_CELL_BASE])].reshape(accounts, contracts, 8)


def interval_net_kw(grid: Table) -> Table:
    """Return a view (account, interval) of net positions in kW; bought is positive."""
    accounts, intervals = int(grid[0, HEAD_ACCOUNTS]), int(grid[0, HEAD_INTERVALS])
    cells = grid[int(grid[0, HEAD_CELL_BASE]) :].reshape(-1)
    return cells[: accounts * intervals].reshape(accounts, intervals)


def realised_micro(grid: Table) -> Table:
    """Return (account, contract): profit on closed lots, in 10^-6 of the currency."""
    found: Table = positions(grid)[:, :, POSITION_CASH] + positions(grid)[:, :, POSITION_COST]
    return found


def _wanted(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; wanted {low} to {high}")
