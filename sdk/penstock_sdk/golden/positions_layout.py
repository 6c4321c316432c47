"""Where positions are kept: the columns of the table, and plain Python to open and close its rows.

The table is int64, ``table[row, column]``, sixteen columns wide. A row is what one account holds of one listing, and
what a lot of that listing is worth; row 0 is nobody's. Who owns a row is the caller's to know, and so is the table's
length: `grown` gives a longer one when it is full. An account is whatever positions are told apart by: a book and a
strategy.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import Side

__all__ = [
    "ABSENT",
    "APPLIED",
    "BUY",
    "FEE_PARTS",
    "FIGURE_DELAY",
    "FIGURE_EXECUTION",
    "FIGURE_FEES",
    "FIGURE_MARKET",
    "FIGURE_REALISED",
    "FIGURE_UNREALISED",
    "FIGURE_WIDTH",
    "FILL_ARRIVAL",
    "FILL_DECISION",
    "FILL_PRICE",
    "FILL_QTY",
    "FILL_ROW",
    "FILL_SIDE",
    "FILL_WIDTH",
    "INT64_MAX",
    "LOTS_MAX",
    "MONEY_MAX",
    "POSITION_BOUGHT",
    "POSITION_CASH",
    "POSITION_COST",
    "POSITION_DELAY",
    "POSITION_EXECUTION",
    "POSITION_FEES",
    "POSITION_FEE_LOT",
    "POSITION_FEE_LOT_PARTS",
    "POSITION_FEE_PARTS",
    "POSITION_FEE_TRADE",
    "POSITION_FILLS",
    "POSITION_NET",
    "POSITION_SOLD",
    "POSITION_UNPRICED",
    "POSITION_WIDTH",
    "POSITION_WORTH",
    "REFUSED_MALFORMED",
    "REFUSED_OVERFLOW",
    "REFUSED_UNKNOWN",
    "SELL",
    "Table",
    "close_row",
    "grown",
    "new_table",
    "open_row",
    "set_fees",
]

Table: TypeAlias = npt.NDArray[np.int64]

ABSENT: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)
LOTS_MAX: Final = 2**31 - 1
"""The largest net position of one row. It keeps the product of two numbers of lots within int64."""
MONEY_MAX: Final = 2**62 - 1
"""The largest cash, cost, fees or attribution of one row, so that the sum of two, and a share of one, fit int64."""
FEE_PARTS: Final = 60_000
"""Fees are kept in 1/60,000 of 10⁻⁶ of the currency: a fee per MWh on kilowatts and minutes is whole in it."""

POSITION_NET: Final = 0  # lots, bought less sold
POSITION_BOUGHT: Final = 1  # lots
POSITION_SOLD: Final = 2  # lots
POSITION_CASH: Final = 3  # 10^-6 of the currency, received less paid
POSITION_COST: Final = 4  # what the open lots cost at average prices; money received for short ones is negative
POSITION_FILLS: Final = 5
POSITION_WORTH: Final = 6  # 10^-6 of the currency per lot and tick, over the whole delivery; 0: the row is nobody's
POSITION_DELAY: Final = 7  # mid at decision less mid at arrival over all fills, in halves of 10^-6 of the currency
POSITION_EXECUTION: Final = 8  # mid at arrival less price, likewise
POSITION_UNPRICED: Final = 9  # fills without both mids
POSITION_FEES: Final = 10  # 10^-6 of the currency, rounded down …
POSITION_FEE_PARTS: Final = 11  # … and what was rounded off, in 1/60,000 of that
POSITION_FEE_LOT: Final = 12  # what the next fill costs: per lot, 10^-6 of the currency …
POSITION_FEE_LOT_PARTS: Final = 13  # … and 1/60,000 of that
POSITION_FEE_TRADE: Final = 14  # per fill, 10^-6 of the currency
POSITION_WIDTH: Final = 16

FILL_ROW: Final = 0
FILL_SIDE: Final = 1
FILL_PRICE: Final = 2
FILL_QTY: Final = 3
FILL_DECISION: Final = 4  # bid plus ask that was seen at the decision, or ABSENT
FILL_ARRIVAL: Final = 5  # bid plus ask when the order left, or ABSENT
FILL_WIDTH: Final = 6

FIGURE_REALISED: Final = 0  # all in 10^-6 of the currency
FIGURE_UNREALISED: Final = 1
FIGURE_FEES: Final = 2
FIGURE_MARKET: Final = 3
FIGURE_DELAY: Final = 4
FIGURE_EXECUTION: Final = 5
FIGURE_WIDTH: Final = 6

APPLIED: Final = 0
REFUSED_UNKNOWN: Final = 1  # the row is nobody's
REFUSED_MALFORMED: Final = 2  # side, price or quantity make no sense
REFUSED_OVERFLOW: Final = 3  # a figure would not fit; nothing was changed


def new_table(row_count: int) -> Table:
    """Return a table of so many rows, all of them nobody's. Cost: 128 bytes a row.

    Raises:
        ValueError: it has no row beside row 0.
    """
    if row_count < 2:
        raise ValueError(f"row_count is {row_count}; wanted at least 2, as row 0 is nobody's")
    return np.zeros((row_count, POSITION_WIDTH), np.int64)


def grown(table: Table) -> Table:
    """Return a table twice as long that begins with the rows of *table*."""
    return np.concatenate([table, np.zeros_like(table)])


def open_row(table: Table, row: int, cash_micro_per_lot_tick: int) -> None:
    """Give a row to an account and a listing: flat, without fees.

    Args:
        cash_micro_per_lot_tick: 10^-6 of the currency for one lot and one tick over the whole delivery. A lot of 0.1 MW
            and a tick of 0.01 EUR/MWh over 15 minutes make 250.

    Raises:
        ValueError: a number is out of range, or the row is somebody's.
    """
    if not 1 <= row < len(table):
        raise ValueError(f"row is {row}; wanted 1 to {len(table) - 1}")
    if not 1 <= cash_micro_per_lot_tick <= INT64_MAX:
        raise ValueError(f"cash_micro_per_lot_tick is {cash_micro_per_lot_tick}; wanted 1 to {INT64_MAX}")
    if table[row, POSITION_WORTH] != 0:
        raise ValueError(f"row {row} is in use; close_row it first, or take another")
    table[row] = 0
    table[row, POSITION_WORTH] = cash_micro_per_lot_tick


def close_row(table: Table, row: int) -> None:
    """Make a row nobody's again, whatever was held in it."""
    table[row] = 0


def set_fees(table: Table, row: int, parts_per_lot: int, micro_per_trade: int) -> None:
    """Say what the fills of a row cost from now on.

    Args:
        parts_per_lot: 1/60,000 of 10^-6 of the currency per lot; negative is a rebate.
        micro_per_trade: 10^-6 of the currency for each fill.
    """
    whole, parts = divmod(parts_per_lot, FEE_PARTS)
    table[row, POSITION_FEE_LOT], table[row, POSITION_FEE_LOT_PARTS] = whole, parts
    table[row, POSITION_FEE_TRADE] = micro_per_trade
