"""A future's position moves into those of shorter contracts: the same MWh, the same money, to the last 10^-6.

A year becomes three months and three quarters, a quarter three months, each at one price. What the open lots cost goes
with them, in proportion to energy; the parent keeps what it had realised. So, over the parent and its parts,

    cash, cost, energy, and realised and unrealised profit at that price are as before

also where an account held some of a part already: lots and costs add up. The one exception makes no difference to the
sum of both profits: where a part comes out flat nothing is open any more, and what it cost is realised.

A quarter of 1 MW bought at 50.00, which is 2,159 hours, into its three months:

    >>> quarter, months = Lot(21_590_000, 10_000, 1_000), [Lot(h * 10_000, 10_000, 1_000) for h in (744, 672, 743)]
    >>> table = new_table(5)
    >>> for row, lot in enumerate([quarter, *months], 1):
    ...     open_row(table, row, lot.cash_micro_per_lot_tick)
    >>> apply_fill(table, 1, BUY, 5_000, 1, ABSENT, ABSENT), cascade(table, 1, quarter, [2, 3, 4], months, 5_100)
    (0, 0)
    >>> table[:, POSITION_NET].tolist(), table[2:, POSITION_COST].tolist()
    ([0, 0, 1, 1, 1], [37200000000, 33600000000, 37150000000])

Plain Python on exact integers: it happens once in a contract's life.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import lcm
from typing import NamedTuple

from penstock_sdk.golden.positions import apply_fill
from penstock_sdk.golden.positions_layout import (
    ABSENT,
    APPLIED,
    BUY,
    LOTS_MAX,
    MONEY_MAX,
    POSITION_CASH,
    POSITION_COST,
    POSITION_NET,
    POSITION_WORTH,
    REFUSED_OVERFLOW,
    REFUSED_UNKNOWN,
    Table,
    new_table,
    open_row,
)

__all__ = [
    "ABSENT",
    "BUY",
    "POSITION_COST",
    "POSITION_NET",
    "Lot",
    "apply_fill",
    "cascade",
    "new_table",
    "one_price",
    "open_row",
    "part_lots",
    "part_ticks",
]


class Lot(NamedTuple):
    """What a lot of a listing is."""

    cash_micro_per_lot_tick: int
    """10⁻⁶ of the currency for one tick over the whole delivery."""
    tick_micro: int
    lot_kw: int
    """Thousandths of the quantity unit."""


def part_lots(parent: Lot, parts: Sequence[Lot]) -> list[int]:
    """Return how many lots of each part a lot of the parent becomes.

    Raises:
        ValueError: a part's lot does not divide the parent's, or the parts deliver more or less than the parent.
    """
    lots = []
    for part in parts:
        if parent.lot_kw % part.lot_kw:
            raise ValueError(f"a part's lot is {part.lot_kw}; wanted one that divides the parent's, {parent.lot_kw}")
        lots.append(parent.lot_kw // part.lot_kw)
    unit = lcm(parent.tick_micro, *(part.tick_micro for part in parts))
    whole = parent.cash_micro_per_lot_tick * (unit // parent.tick_micro)
    met = sum(_energies(unit, lots, parts))
    if met != whole:
        raise ValueError(
            f"the parts of one lot deliver {met / unit} units of energy; wanted the parent's {whole / unit}, "
            "so that nothing is lost"
        )
    return lots


def one_price(price_ticks: int, parent: Lot, parts: Sequence[Lot]) -> int:
    """Return the price nearest to a price of the parent's, half to even, that is whole in the ticks of every part."""
    step = lcm(parent.tick_micro, *(part.tick_micro for part in parts)) // parent.tick_micro
    below, over = divmod(price_ticks, step)
    return (below + (2 * over > step or (2 * over == step and below % 2 == 1))) * step


def part_ticks(price_ticks: int, parent: Lot, part: Lot) -> int:
    """Return a price that `one_price` gave in a part's ticks."""
    return price_ticks * parent.tick_micro // part.tick_micro


def cascade(
    table: Table, row: int, parent: Lot, part_rows: Sequence[int], parts: Sequence[Lot], price_ticks: int
) -> int:
    """Move what is held in a row into the rows of its parts; return APPLIED, or why not, and then nothing changed.

    The price does not matter to any figure kept here: what the position costs moves, not what it is worth. It is asked
    for because it must be whole in the ticks of each part, as `one_price` makes it.

    Raises:
        ValueError: the parts do not make up the parent (`part_lots`), or the price is not whole in a part's ticks.
    """
    lots = part_lots(parent, parts)
    if one_price(price_ticks, parent, parts) != price_ticks:
        raise ValueError(f"price_ticks is {price_ticks}; wanted what one_price gives: whole ticks of every part")
    if any(table[at, POSITION_WORTH] == 0 for at in (row, *part_rows)):
        return REFUSED_UNKNOWN
    net, cash, cost = (int(table[row, column]) for column in (POSITION_NET, POSITION_CASH, POSITION_COST))
    moved = []
    for at, times, taken in zip(part_rows, lots, _shares(cost, lots, parts), strict=True):
        held, had, paid = (int(table[at, column]) for column in (POSITION_NET, POSITION_CASH, POSITION_COST))
        after = held + net * times
        moved.append((at, after, had - taken, paid + taken if after else 0))
    moved.append((row, 0, cash + cost, 0))
    if any(abs(after) > LOTS_MAX or max(abs(had), abs(paid)) > MONEY_MAX for _, after, had, paid in moved):
        return REFUSED_OVERFLOW
    for at, after, had, paid in moved:
        table[at, POSITION_NET], table[at, POSITION_CASH], table[at, POSITION_COST] = after, had, paid
    return APPLIED


def _energies(unit: int, lots: Sequence[int], parts: Sequence[Lot]) -> list[int]:
    """Return what the parts of one lot deliver, in units of energy times *unit*, a multiple of every tick."""
    return [n * part.cash_micro_per_lot_tick * (unit // part.tick_micro) for n, part in zip(lots, parts, strict=True)]


def _shares(cost: int, lots: Sequence[int], parts: Sequence[Lot]) -> list[int]:
    """Return a cost divided by energy, in whole 10⁻⁶: each within 1 of its exact share, the sum exact."""
    ends = list(accumulate(_energies(lcm(*(part.tick_micro for part in parts)), lots, parts)))
    marks = [cost * end // ends[-1] for end in ends]
    return [end - begin for begin, end in zip([0, *marks], marks, strict=False)]
