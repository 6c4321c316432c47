"""Proves cascading: a year into months and quarters, then quarters into months, loses no MWh and no 10^-6 of money."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.golden import cascade as c
from penstock_sdk.golden import positions as p

# A gas year's worth of hours, clock changes included, per month; ticks of 0.01, lots of 1 MW.
HOURS = [744, 672, 743, 720, 744, 720, 744, 744, 720, 745, 720, 744]
MONTHS = list(range(1, 13))
QUARTERS = [13, 14, 15, 16]
YEAR = 17
ROWS = [*MONTHS, *QUARTERS, YEAR]


def hours(row: int) -> int:
    if row == YEAR:
        return sum(HOURS)
    return HOURS[row - 1] if row < 13 else sum(HOURS[3 * (row - 13) : 3 * (row - 12)])


def lot(row: int, tick_micro: int = 10_000, lot_kw: int = 1_000) -> c.Lot:
    return c.Lot(hours(row) * tick_micro * lot_kw // 1_000, tick_micro, lot_kw)


def new_table() -> p.Table:
    table = p.new_table(18)
    for row in ROWS:
        p.open_row(table, row, lot(row).cash_micro_per_lot_tick)
    return table


class Totals(NamedTuple):
    """What a cascade must not change."""

    cash: int
    realised: int
    unrealised: int
    mwh: list[int]


def totals(table: p.Table, price_ticks: int) -> Totals:
    """Return sums over all rows at one price, and the MW in each month."""
    mw = [int(table[m, 0] + table[12 + -(-m // 3), 0] + table[YEAR, 0]) for m in MONTHS]
    return Totals(
        int(table[:, p.POSITION_CASH].sum()),
        sum(int(p.realised(table, row)) for row in ROWS),
        sum(int(p.mark(table, row, price_ticks)) for row in ROWS),
        [n * h for n, h in zip(mw, HOURS, strict=True)],
    )


def year_first(table: p.Table, price_ticks: int) -> None:
    into = [1, 2, 3, 14, 15, 16]
    assert c.cascade(table, YEAR, lot(YEAR), into, [lot(row) for row in into], price_ticks) == p.APPLIED
    for quarter in QUARTERS:
        first = 3 * (quarter - 13) + 1
        months = [first, first + 1, first + 2]
        assert c.cascade(table, quarter, lot(quarter), months, [lot(m) for m in months], price_ticks) == p.APPLIED


TRADES = st.lists(
    st.tuples(st.sampled_from(ROWS), st.sampled_from([p.BUY, p.SELL]), st.integers(-9_999, 9_999), st.integers(1, 30)),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(TRADES, st.one_of(st.sampled_from([0, -1, -50_000]), st.integers(-9_999, 9_999)))
def test_a_year_cascades_twice_and_every_total_stays(trades: list[tuple[int, int, int, int]], price: int) -> None:
    table = new_table()
    for row, side, ticks, lots in trades:
        assert p.apply_fill(table, row, side, ticks, lots, p.ABSENT, p.ABSENT) == p.APPLIED
    before = totals(table, price)
    year_first(table, price)
    after = totals(table, price)
    assert not table[QUARTERS, p.POSITION_NET].any()
    assert not table[YEAR, p.POSITION_NET]
    assert after.mwh == before.mwh
    # Money has moved from row to row, none has come or gone; what came out flat is realised and no longer open.
    assert after.cash == before.cash
    assert after.realised + after.unrealised == before.realised + before.unrealised
    if all(table[row, p.POSITION_NET] for row in MONTHS):
        assert (after.realised, after.unrealised) == (before.realised, before.unrealised)
    assert all(table[row, p.POSITION_COST] == 0 for row in ROWS if not table[row, p.POSITION_NET])


@settings(max_examples=100, deadline=None)
@given(st.integers(-9_999, 9_999), st.integers(1, 500), st.sampled_from([p.BUY, p.SELL]), st.integers(-9_999, 9_999))
def test_a_position_that_only_moves_keeps_realised_and_unrealised_apart(
    ticks: int, lots: int, side: int, price: int
) -> None:
    table = new_table()
    p.apply_fill(table, YEAR, side, ticks, lots, p.ABSENT, p.ABSENT)
    p.apply_fill(table, YEAR, 3 - side, ticks + 7, lots // 3 + 1, p.ABSENT, p.ABSENT)
    before = totals(table, price)
    year_first(table, price)
    assert totals(table, price) == before


@given(st.integers(-(10**15), 10**15))
def test_the_cost_of_each_part_is_within_one_millionth_of_its_share(cost: int) -> None:
    table = new_table()
    table[YEAR, [p.POSITION_NET, p.POSITION_COST, p.POSITION_CASH]] = (3, cost, -cost)
    into = [1, 2, 3, 14, 15, 16]
    c.cascade(table, YEAR, lot(YEAR), into, [lot(row) for row in into], 1)
    assert int(table[into, p.POSITION_COST].sum()) == cost
    for row in into:
        assert abs(table[row, p.POSITION_COST] - Fraction(cost * hours(row), hours(YEAR))) <= 1


def test_parts_in_smaller_lots_and_finer_ticks_by_hand() -> None:
    # Two hours of 1 MW in ticks of 0.05 become twice one hour in lots of 0.1 MW and ticks of 0.01 and 0.02.
    parent, parts = c.Lot(100_000, 50_000, 1_000), [c.Lot(1_000, 10_000, 100), c.Lot(2_000, 20_000, 100)]
    table = p.new_table(4)
    for row, each in enumerate([parent, *parts], 1):
        p.open_row(table, row, each.cash_micro_per_lot_tick)
    p.apply_fill(table, 1, p.SELL, -3, 2, p.ABSENT, p.ABSENT)
    price = c.one_price(7, parent, parts)
    assert (price, c.one_price(5, parent, parts), c.one_price(-7, parent, parts)) == (8, 4, -8)
    assert [c.part_ticks(price, parent, part) for part in parts] == [40, 20]
    before = p.mark(table, 1, price)
    assert c.cascade(table, 1, parent, [2, 3], parts, price) == p.APPLIED
    assert table[:, p.POSITION_NET].tolist() == [0, 0, -20, -20]
    assert p.mark(table, 2, 40) + p.mark(table, 3, 20) == before == -2 * 100_000 * (8 + 3)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([lot(1), lot(2)], "^the parts of one lot deliver 1416.0 units of energy; wanted the parent's 2159.0"),
        ([lot(1), lot(2), lot(3, lot_kw=3_000)], "^a part's lot is 3000; wanted one that divides the parent's, 1000$"),
    ],
)
def test_parts_that_do_not_make_up_the_whole_are_refused(parts: list[c.Lot], said: str) -> None:
    table = new_table()
    with pytest.raises(ValueError, match=said):
        c.cascade(table, 13, lot(13), [1, 2, 3][: len(parts)], parts, 1)


def test_a_price_between_the_ticks_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="^price_ticks is 1; wanted what one_price gives"):
        c.cascade(new_table(), 13, lot(13), [1, 2, 3], [lot(m, 20_000) for m in (1, 2, 3)], 1)


@pytest.mark.parametrize("column", [p.POSITION_NET, p.POSITION_CASH, p.POSITION_COST])
def test_what_does_not_fit_changes_nothing(column: int) -> None:
    table = new_table()
    p.apply_fill(table, 13, p.BUY, 100, 5, p.ABSENT, p.ABSENT)
    # A held part at its limit: of cash, which the cost of what comes is taken from, the lower one.
    table[2, p.POSITION_NET] = 1
    table[2, column] = {p.POSITION_NET: p.LOTS_MAX, p.POSITION_CASH: -p.MONEY_MAX, p.POSITION_COST: p.MONEY_MAX}[column]
    before = table.copy()
    assert c.cascade(table, 13, lot(13), [1, 2, 3], [lot(m) for m in (1, 2, 3)], 1) == p.REFUSED_OVERFLOW
    assert np.array_equal(table, before)


def test_a_row_that_is_nobodys_is_refused() -> None:
    table = new_table()
    p.close_row(table, 2)
    assert c.cascade(table, 13, lot(13), [1, 2, 3], [lot(m) for m in (1, 2, 3)], 1) == p.REFUSED_UNKNOWN
