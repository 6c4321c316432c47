"""Positions and profit on integers: fills in, lots, cash and kW per delivery interval out.

The functions of `KERNELS` are plain Python on int64 tables and are at the same time what numba compiles; the layout of
the table stands in `positions_layout` and is offered here too. A quarter-hour in lots of 0.1 MW and ticks of 0.01
EUR/MWh, bought at -5.00 and half of it sold at 2.00:

    >>> grid = new_grid(account_count=1, contract_count=1, interval_count=1, link_capacity=1)
    >>> define_contract(grid, 0, [0], cash_micro_per_lot_tick=250, kw_per_lot=100)
    >>> apply_fill(grid, 0, 0, BUY, -500, 10) == apply_fill(grid, 0, 0, SELL, 200, 5) == APPLIED
    True
    >>> positions(grid)[0, 0, [POSITION_NET, POSITION_CASH]].tolist(), interval_net_kw(grid).tolist()
    ([5, 1500000], [[500]])
    >>> realised_micro(grid).tolist(), int(mark(grid, 0, 0, 100))
    ([[875000]], 750000)

Profit by average cost. The table keeps what the open lots cost, in whole 10^-6 of the currency; a fill that closes q of
n lots takes floor(cost * q / n) out of it. The fraction that is rounded off stays in the cost of the lots still open
and comes out when the last of them is closed, so nothing is ever lost:

    realised = cash + cost        (cost is 0 when the position is flat: then realised = cash)
    unrealised = value - cost     where value = net lots * mark * multiplier
    realised + unrealised = cash + value, exactly

A fill through zero closes all of the old lots and opens the rest at its own price. What does not fit int64 is refused
and changes nothing. Cost: O(intervals of the contract).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.positions_layout import *
from penstock_sdk.golden.positions_layout import Table


def _product(a: int, b: int) -> int:
    """Return a * b, or ABSENT where that does not fit; neither is ABSENT."""
    if a != 0 and abs(b) > INT64_MAX // abs(a):
        return ABSENT
    return a * b


def _sum(a: int, b: int) -> int:
    """Return a + b, or ABSENT where that does not fit or one is ABSENT."""
    if a == ABSENT or b == ABSENT:
        return ABSENT
    if (b > 0 and a > INT64_MAX - b) or (b < 0 and a < -INT64_MAX - b):
        return ABSENT
    return a + b


def _worth(grid: Table, contract: int, lots: int, price_ticks: int) -> int:
    """Return what *lots* are worth at a price, in 10^-6 of the currency, or ABSENT where that does not fit."""
    per_tick = _product(lots, grid[CONTRACT_ROW + contract, CONTRACT_CASH])
    if per_tick == ABSENT or price_ticks == ABSENT:
        return ABSENT
    return _product(per_tick, price_ticks)


def _share(cost: int, lots: int, of_lots: int) -> int:
    """Return floor(cost * lots / of_lots), 0 < lots <= of_lots <= LOTS_MAX, without leaving int64."""
    return (cost // of_lots) * lots + (cost % of_lots) * lots // of_lots


def _cost_after(grid: Table, contract: int, row: int, signed_lots: int, price_ticks: int) -> int:
    """Return what the open lots cost after a fill, or ABSENT where that does not fit."""
    net, cost = grid[row, POSITION_NET], grid[row, POSITION_COST]
    if net == 0 or (net > 0) == (signed_lots > 0):
        return _sum(cost, _worth(grid, contract, signed_lots, price_ticks))
    if abs(signed_lots) > abs(net):
        return _worth(grid, contract, net + signed_lots, price_ticks)
    kept: int = cost - _share(cost, abs(signed_lots), abs(net))
    return kept


def _cell(grid: Table, account: int, contract: int, nth: int) -> int:
    """Return the number of the interval cell of an account that a contract's *nth* interval has."""
    link = grid[CONTRACT_ROW + contract, CONTRACT_LINK] + nth
    interval = grid[grid[0, HEAD_LINK_BASE] + (link >> 3), link & 7]
    cell: int = account * grid[0, HEAD_INTERVALS] + interval
    return cell


def _position_row(grid: Table, account: int, contract: int) -> int:
    """Return the row of a position, or 0 where the account or the contract is unknown."""
    if account < 0 or account >= grid[0, HEAD_ACCOUNTS] or contract < 0 or contract >= grid[0, HEAD_CONTRACTS]:
        return 0
    if grid[CONTRACT_ROW + contract, CONTRACT_CASH] == 0:
        return 0
    row: int = grid[0, HEAD_POSITION_BASE] + account * grid[0, HEAD_CONTRACTS] + contract
    return row


def _cells_fit(grid: Table, account: int, contract: int, signed_kw: int) -> bool:
    base = grid[0, HEAD_CELL_BASE]
    for nth in range(grid[CONTRACT_ROW + contract, CONTRACT_LINK_COUNT]):
        cell = _cell(grid, account, contract, nth)
        if _sum(grid[base + (cell >> 3), cell & 7], signed_kw) == ABSENT:
            return False
    return True


def apply_fill(grid: Table, account: int, contract: int, side: int, price_ticks: int, qty_lots: int) -> int:
    """Add one fill of ours; return APPLIED, or why it was refused, and then nothing changed.

    Args:
        side: BUY or SELL, ours.
        price_ticks: any but ABSENT.
        qty_lots: 1 to LOTS_MAX.
    """
    row = _position_row(grid, account, contract)
    if row == 0:
        return REFUSED_UNKNOWN
    if (side != BUY and side != SELL) or price_ticks == ABSENT or qty_lots <= 0 or qty_lots > LOTS_MAX:
        return REFUSED_MALFORMED
    lots = qty_lots if side == BUY else -qty_lots
    traded = POSITION_BOUGHT if side == BUY else POSITION_SOLD
    net = grid[row, POSITION_NET] + lots
    cash = _sum(grid[row, POSITION_CASH], _worth(grid, contract, -lots, price_ticks))
    cost = _cost_after(grid, contract, row, lots, price_ticks)
    total = _sum(grid[row, traded], qty_lots)
    kw = _product(lots, grid[CONTRACT_ROW + contract, CONTRACT_KW])
    if abs(net) > LOTS_MAX or cash == ABSENT or cost == ABSENT or total == ABSENT or kw == ABSENT:
        return REFUSED_OVERFLOW
    if abs(cash) > MONEY_MAX or abs(cost) > MONEY_MAX or not _cells_fit(grid, account, contract, kw):
        return REFUSED_OVERFLOW
    grid[row, POSITION_NET] = net
    grid[row, traded] = total
    grid[row, POSITION_CASH] = cash
    grid[row, POSITION_COST] = cost
    grid[row, POSITION_FILLS] += 1
    grid[row, POSITION_LAST] = price_ticks
    for nth in range(grid[CONTRACT_ROW + contract, CONTRACT_LINK_COUNT]):
        cell = _cell(grid, account, contract, nth)
        grid[grid[0, HEAD_CELL_BASE] + (cell >> 3), cell & 7] += kw
    return APPLIED


def apply_fills(grid: Table, fills: Table, first: int) -> int:
    """Add the fills of a frame from number *first* on; return the number of the first refused, n when all are in.

    Args:
        fills: (n, FILL_WIDTH), the ``FILL_*`` columns. `apply_fill` with the refused row says why it was.
    """
    for at in range(first, len(fills)):
        status = apply_fill(
            grid,
            fills[at, FILL_ACCOUNT],
            fills[at, FILL_CONTRACT],
            fills[at, FILL_SIDE],
            fills[at, FILL_PRICE],
            fills[at, FILL_QTY],
        )
        if status != APPLIED:
            return at
    return len(fills)


def realised(grid: Table, account: int, contract: int) -> int:
    """Return the profit on closed lots, in 10^-6 of the currency; ABSENT for an unknown account or contract."""
    row = _position_row(grid, account, contract)
    if row == 0:
        return ABSENT
    profit: int = grid[row, POSITION_CASH] + grid[row, POSITION_COST]
    return profit


def mark(grid: Table, account: int, contract: int, mark_ticks: int) -> int:
    """Return the profit on open lots at a price, in 10^-6 of the currency.

    ABSENT where account, contract or price is unknown, or where the figure does not fit.
    """
    row = _position_row(grid, account, contract)
    if row == 0 or mark_ticks == ABSENT:
        return ABSENT
    return _sum(_worth(grid, contract, grid[row, POSITION_NET], mark_ticks), -grid[row, POSITION_COST])


def mark_frame(grid: Table, marks: Table, unrealised_out: Table) -> None:
    """Write the profit on open lots of every position; a flat one is 0 even without a mark.

    Args:
        marks: (contract, 1 or more); column 0 is the price in ticks, or ABSENT.
        unrealised_out: (account, contract), 10^-6 of the currency; ABSENT as in `mark`.
    """
    for account in range(grid[0, HEAD_ACCOUNTS]):
        for contract in range(grid[0, HEAD_CONTRACTS]):
            row = _position_row(grid, account, contract)
            if row != 0 and grid[row, POSITION_NET] == 0:
                unrealised_out[account, contract] = 0
            else:
                unrealised_out[account, contract] = mark(grid, account, contract, marks[contract, 0])


KERNELS = (
    _product,
    _sum,
    _worth,
    _share,
    _cost_after,
    _cell,
    _position_row,
    _cells_fit,
    apply_fill,
    apply_fills,
    realised,
    mark,
    mark_frame,
)
"""What is compiled, callees before their callers."""
