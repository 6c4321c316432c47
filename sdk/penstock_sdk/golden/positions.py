"""Positions and profit on integers: fills in, lots, cash, cost, fees and where the profit came from out.

The functions of `KERNELS` are plain Python on int64 tables and are at the same time what numba compiles; the layout of
the table stands in `positions_layout` and is offered here too. A quarter-hour in lots of 0.1 MW and ticks of 0.01
EUR/MWh, bought at -5.00 and half of it sold at 2.00:

    >>> table = new_table(2)
    >>> open_row(table, 1, cash_micro_per_lot_tick=250)
    >>> apply_fill(table, 1, BUY, -500, 10, -1000, -1002) == apply_fill(table, 1, SELL, 200, 5, 400, 402) == APPLIED
    True
    >>> table[1, [POSITION_NET, POSITION_CASH]].tolist(), int(realised(table, 1)), int(mark(table, 1, 100))
    ([5, 1500000], 875000, 750000)

Profit by average cost. The table keeps what the open lots cost, in whole 10^-6 of the currency; a fill that closes q of
n lots takes floor(cost * q / n) out of it. The fraction that is rounded off stays in the cost of the lots still open
and comes out when the last of them is closed, so nothing is ever lost:

    realised = cash + cost        (cost is 0 when the position is flat: then realised = cash)
    unrealised = value - cost     where value = net lots * mark * multiplier
    realised + unrealised = cash + value, exactly

A fill through zero closes all of the old lots and opens the rest at its own price.

Where the profit came from, of s lots bought (sold: negative) at price p, seen at mid d, sent at mid a, now marked at m:

    s * (m - p) = s * (m - d)  +  s * (d - a)  +  s * (a - p)
                  market         delay          execution

Delay and execution are kept exactly, in halves of 10^-6, and rounded down when told; the market's part is the rest, so
that the three add up to realised + unrealised. A fill without both mids is all the market's. Fees are kept in 1/60,000
of 10^-6 and rounded down when told. What does not fit int64 is refused and changes nothing. Cost of a fill: O(1).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from penstock_sdk.golden.positions_layout import *
from penstock_sdk.golden.positions_layout import Table


def _multiply(a: int, b: int) -> int:
    """Return a * b, or ABSENT where that does not fit; neither is ABSENT."""
    if a != 0 and abs(b) > INT64_MAX // abs(a):
        return ABSENT
    return a * b


def _add(a: int, b: int) -> int:
    """Return a + b, or ABSENT where that does not fit or one is ABSENT."""
    if a == ABSENT or b == ABSENT:
        return ABSENT
    if (b > 0 and a > INT64_MAX - b) or (b < 0 and a < -INT64_MAX - b):
        return ABSENT
    return a + b


def _money(a: int, b: int) -> int:
    """Return a + b, or ABSENT where that is beyond MONEY_MAX or one is ABSENT."""
    total = _add(a, b)
    if total > MONEY_MAX or total < -MONEY_MAX:
        return ABSENT
    return total


def _worth(table: Table, row: int, lots: int, price_ticks: int) -> int:
    """Return what *lots* are worth at a price, in 10^-6 of the currency, or ABSENT where that does not fit."""
    per_tick = _multiply(lots, table[row, POSITION_WORTH])
    if per_tick == ABSENT or price_ticks == ABSENT:
        return ABSENT
    return _multiply(per_tick, price_ticks)


def _share(cost: int, lots: int, of_lots: int) -> int:
    """Return floor(cost * lots / of_lots), 0 < lots <= of_lots <= LOTS_MAX, without leaving int64."""
    return (cost // of_lots) * lots + (cost % of_lots) * lots // of_lots


def _cost_after(table: Table, row: int, signed_lots: int, price_ticks: int) -> int:
    """Return what the open lots cost after a fill, or ABSENT where that does not fit."""
    net, cost = table[row, POSITION_NET], table[row, POSITION_COST]
    if net == 0 or (net > 0) == (signed_lots > 0):
        return _money(cost, _worth(table, row, signed_lots, price_ticks))
    if abs(signed_lots) > abs(net):
        return _money(0, _worth(table, row, net + signed_lots, price_ticks))
    kept: int = cost - _share(cost, abs(signed_lots), abs(net))
    return kept


def _attribute(table: Table, row: int, lots: int, price_ticks: int, decision_half: int, arrival_half: int) -> None:
    """Keep what a fill lost to delay and to execution; one without both mids, or beyond int64, counts as unpriced."""
    if decision_half != ABSENT and arrival_half != ABSENT and abs(price_ticks) < MONEY_MAX:
        late = _add(decision_half, -arrival_half)
        dear = _add(arrival_half, -2 * price_ticks)
        if late != ABSENT and dear != ABSENT:
            delay = _money(table[row, POSITION_DELAY], _worth(table, row, lots, late))
            execution = _money(table[row, POSITION_EXECUTION], _worth(table, row, lots, dear))
            if delay != ABSENT and execution != ABSENT:
                table[row, POSITION_DELAY] = delay
                table[row, POSITION_EXECUTION] = execution
                return
    table[row, POSITION_UNPRICED] += 1


def apply_fill(
    table: Table, row: int, side: int, price_ticks: int, qty_lots: int, decision_half: int, arrival_half: int
) -> int:
    """Add one fill of ours; return APPLIED, or why it was refused, and then nothing changed.

    Args:
        row: whose it is, of which listing.
        side: BUY or SELL, ours.
        price_ticks: any but ABSENT.
        qty_lots: 1 to LOTS_MAX.
        decision_half, arrival_half: bid plus ask at the decision and when the order left, ticks; or ABSENT.
    """
    if row <= 0 or row >= len(table) or table[row, POSITION_WORTH] == 0:
        return REFUSED_UNKNOWN
    if (side != BUY and side != SELL) or price_ticks == ABSENT or qty_lots <= 0 or qty_lots > LOTS_MAX:
        return REFUSED_MALFORMED
    lots = qty_lots if side == BUY else -qty_lots
    traded = POSITION_BOUGHT if side == BUY else POSITION_SOLD
    net = table[row, POSITION_NET] + lots
    cash = _money(table[row, POSITION_CASH], _worth(table, row, -lots, price_ticks))
    cost = _cost_after(table, row, lots, price_ticks)
    total = _add(table[row, traded], qty_lots)
    parts = table[row, POSITION_FEE_PARTS] + qty_lots * table[row, POSITION_FEE_LOT_PARTS]
    fee = _add(_multiply(qty_lots, table[row, POSITION_FEE_LOT]), table[row, POSITION_FEE_TRADE])
    fees = _money(_money(table[row, POSITION_FEES], fee), parts // FEE_PARTS)
    if abs(net) > LOTS_MAX or cash == ABSENT or cost == ABSENT or total == ABSENT or fees == ABSENT:
        return REFUSED_OVERFLOW
    table[row, POSITION_NET] = net
    table[row, traded] = total
    table[row, POSITION_CASH] = cash
    table[row, POSITION_COST] = cost
    table[row, POSITION_FILLS] += 1
    table[row, POSITION_FEES] = fees
    table[row, POSITION_FEE_PARTS] = parts % FEE_PARTS
    _attribute(table, row, lots, price_ticks, decision_half, arrival_half)
    return APPLIED


def apply_fills(table: Table, fills: Table, first: int) -> int:
    """Add the fills of a frame from number *first* on; return the number of the first refused, n when all are in.

    Args:
        fills: (n, FILL_WIDTH), the ``FILL_*`` columns. `apply_fill` with the refused one says why it was.
    """
    for at in range(first, len(fills)):
        status = apply_fill(
            table,
            fills[at, FILL_ROW],
            fills[at, FILL_SIDE],
            fills[at, FILL_PRICE],
            fills[at, FILL_QTY],
            fills[at, FILL_DECISION],
            fills[at, FILL_ARRIVAL],
        )
        if status != APPLIED:
            return at
    return len(fills)


def realised(table: Table, row: int) -> int:
    """Return the profit on closed lots, in 10^-6 of the currency; 0 for a row that is nobody's."""
    profit: int = table[row, POSITION_CASH] + table[row, POSITION_COST]
    return profit


def mark(table: Table, row: int, mark_ticks: int) -> int:
    """Return the profit on open lots at a price, in 10^-6 of the currency; a flat row's is 0 even without a price.

    ABSENT where the price is ABSENT, or the figure does not fit.
    """
    if table[row, POSITION_NET] == 0:
        return 0
    if mark_ticks == ABSENT:
        return ABSENT
    return _add(_worth(table, row, table[row, POSITION_NET], mark_ticks), -table[row, POSITION_COST])


def figures(table: Table, rows: Table, marks: Table, out: Table) -> None:
    """Write what each row has made, and where it came from: market + delay + execution = realised + unrealised.

    Args:
        rows: (n,), numbers of rows.
        marks: (n,), prices in ticks, or ABSENT.
        out: (n, FIGURE_WIDTH), 10^-6 of the currency. Unrealised is ABSENT as in `mark`, and the market's part with it.
    """
    for at in range(len(rows)):
        row = rows[at]
        closed = realised(table, row)
        still_open = mark(table, row, marks[at])
        delay = table[row, POSITION_DELAY] >> 1
        execution = table[row, POSITION_EXECUTION] >> 1
        out[at, FIGURE_REALISED] = closed
        out[at, FIGURE_UNREALISED] = still_open
        out[at, FIGURE_FEES] = table[row, POSITION_FEES]
        out[at, FIGURE_MARKET] = _add(_add(closed, still_open), _add(-delay, -execution))
        out[at, FIGURE_DELAY] = delay
        out[at, FIGURE_EXECUTION] = execution


KERNELS = (
    _multiply,
    _add,
    _money,
    _worth,
    _share,
    _cost_after,
    _attribute,
    apply_fill,
    apply_fills,
    realised,
    mark,
    figures,
)
"""What is compiled, callees before their callers."""
