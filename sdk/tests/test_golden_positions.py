"""Proves the position table: profit is cash plus value to the last 10^-6, its sources add up, nothing ever wraps."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.golden import positions as p

# Rows 1 to 3 have multipliers and fees of their own; 4 is nobody's.
WORTH = {1: 1_000, 2: 250, 3: 7}
FEES = {1: (0, 0), 2: (150_001, 3), 3: (-70_000, -1)}
Fill = tuple[int, int, int, int, int, int]

PRICES = st.integers(-9_999, 9_999)
HALVES = st.one_of(st.just(p.ABSENT), st.integers(-19_999, 19_999))
FILLS = st.tuples(st.integers(1, 3), st.integers(1, 2), PRICES, st.integers(1, 40), HALVES, HALVES)


def new_table() -> p.Table:
    table = p.new_table(5)
    for row, worth in WORTH.items():
        p.open_row(table, row, worth)
        p.set_fees(table, row, *FEES[row])
    return table


def filled(fills: list[Fill]) -> p.Table:
    table = new_table()
    for fill in fills:
        assert p.apply_fill(table, *fill) == p.APPLIED
    return table


def plain(row: int, side: int, price_ticks: int, lots: int) -> Fill:
    return (row, side, price_ticks, lots, p.ABSENT, p.ABSENT)


def signed(fill: Fill) -> int:
    return fill[3] if fill[1] == p.BUY else -fill[3]


def figures(table: p.Table, marks: list[int]) -> p.Table:
    out = np.zeros((3, p.FIGURE_WIDTH), np.int64)
    p.figures(table, np.array([1, 2, 3], np.int64), np.array(marks, np.int64), out)
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(FILLS, max_size=25), PRICES)
def test_profit_is_cash_plus_value_exactly(fills: list[Fill], mark_ticks: int) -> None:
    table = filled(fills)
    for row, multiplier in WORTH.items():
        mine = [fill for fill in fills if fill[0] == row]
        net = sum(signed(fill) for fill in mine)
        cash = -sum(signed(fill) * fill[2] * multiplier for fill in mine)
        assert table[row, [p.POSITION_NET, p.POSITION_CASH, p.POSITION_FILLS]].tolist() == [net, cash, len(mine)]
        assert table[row, p.POSITION_BOUGHT] == sum(fill[3] for fill in mine if fill[1] == p.BUY)
        assert table[row, p.POSITION_SOLD] == sum(fill[3] for fill in mine if fill[1] == p.SELL)
        profit = p.realised(table, row) + p.mark(table, row, mark_ticks)
        assert profit == cash + net * mark_ticks * multiplier
        if net == 0:
            assert p.realised(table, row) == cash


@settings(max_examples=150, deadline=None)
@given(st.lists(FILLS, max_size=25), st.lists(PRICES, min_size=3, max_size=3))
def test_where_it_came_from_adds_up_to_the_profit_and_each_part_is_right_within_a_millionth(
    fills: list[Fill], marks: list[int]
) -> None:
    told = figures(filled(fills), marks)
    for row, multiplier in WORTH.items():
        at, mine = row - 1, [fill for fill in fills if fill[0] == row]
        parts = told[at, [p.FIGURE_MARKET, p.FIGURE_DELAY, p.FIGURE_EXECUTION]].tolist()
        assert sum(parts) == told[at, p.FIGURE_REALISED] + told[at, p.FIGURE_UNREALISED]
        market = delay = execution = Fraction(0)
        for fill in mine:
            worth, price, decision, arrival = signed(fill) * multiplier, fill[2], fill[4], fill[5]
            if p.ABSENT in (decision, arrival):
                market += worth * (marks[at] - price)
            else:
                market += worth * (marks[at] - Fraction(decision, 2))
                delay += worth * Fraction(decision - arrival, 2)
                execution += worth * (Fraction(arrival, 2) - price)
        assert parts[1:] == [delay // 1, execution // 1]
        assert 0 <= parts[0] - market <= 1


@settings(max_examples=150, deadline=None)
@given(st.lists(FILLS, max_size=25))
def test_fees_are_the_exact_sum_rounded_down_once(fills: list[Fill]) -> None:
    table = filled(fills)
    for row, (parts, per_trade) in FEES.items():
        mine = [fill for fill in fills if fill[0] == row]
        exact = Fraction(sum(fill[3] for fill in mine) * parts, p.FEE_PARTS) + per_trade * len(mine)
        assert table[row, p.POSITION_FEES] == exact // 1
        assert table[row, p.POSITION_UNPRICED] == sum(p.ABSENT in fill[4:] for fill in mine)


@settings(max_examples=100, deadline=None)
@given(st.lists(FILLS.map(lambda fill: (3, *fill[1:])), max_size=25))
def test_cost_follows_the_average_within_one_millionth_per_closing_fill(fills: list[Fill]) -> None:
    table, net, cost, closings = new_table(), 0, Fraction(0), 0
    for fill in fills:
        lots = signed(fill)
        if net * lots >= 0:
            cost += lots * fill[2] * 7
        elif abs(lots) > abs(net):
            cost, closings = Fraction((net + lots) * fill[2] * 7), 0
        else:
            cost, closings = cost * (1 - Fraction(abs(lots), abs(net))), closings + 1
        net += lots
        p.apply_fill(table, *fill)
        assert 0 <= table[3, p.POSITION_COST] - cost <= closings


@settings(max_examples=80, deadline=None)
@given(st.lists(FILLS, max_size=20), st.randoms(use_true_random=False))
def test_order_among_rows_does_not_matter(fills: list[Fill], random: Random) -> None:
    queues = {row: [fill for fill in fills if fill[0] == row] for row in {fill[0] for fill in fills}}
    order = [fill[0] for fill in fills]
    random.shuffle(order)
    assert np.array_equal(filled(fills), filled([queues[row].pop(0) for row in order]))


@settings(max_examples=60, deadline=None)
@given(st.lists(FILLS, max_size=20), st.lists(st.integers(-99, 99), min_size=3, max_size=3))
def test_frames_equal_single_calls(fills: list[Fill], marks: list[int]) -> None:
    one, many = filled(fills), new_table()
    assert p.apply_fills(many, np.array(fills, np.int64).reshape(-1, p.FILL_WIDTH), 0) == len(fills)
    assert np.array_equal(one, many)
    told = figures(one, marks)
    for row in WORTH:
        assert told[row - 1, p.FIGURE_REALISED] == p.realised(one, row)
        assert told[row - 1, p.FIGURE_UNREALISED] == p.mark(one, row, marks[row - 1])
        assert told[row - 1, p.FIGURE_FEES] == one[row, p.POSITION_FEES]


def test_a_short_position_at_negative_prices_by_hand() -> None:
    # Sold 3 lots at -10 (we pay 30 ticks), bought 1 back at -40 (we are paid 40): 10 stays as the cost of that lot.
    table = filled([plain(3, p.SELL, -10, 3), plain(3, p.BUY, -40, 1)])
    assert table[3].tolist()[:6] == [-2, 1, 3, 7 * (-30 + 40), 7 * 20, 2]
    assert p.realised(table, 3) == 7 * 30
    assert p.mark(table, 3, -15) == 7 * (-2 * -15 - 20)


def test_slippage_by_hand() -> None:
    # Decided at 10, the order left at 10.5, dealt at 11, now 14: the market gave 4 ticks, 0.5 and 0.5 were lost.
    table = filled([(1, p.BUY, 11, 2, 20, 21)])
    assert figures(table, [14, 0, 0])[0].tolist() == [0, 6_000, 0, 8_000, -1_000, -1_000]
    # A sale the other way round: what rises before it is dealt is a gain.
    table = filled([(1, p.SELL, 11, 2, 20, 21)])
    assert figures(table, [14, 0, 0])[0].tolist() == [0, -6_000, 0, -8_000, 1_000, 1_000]


def test_what_was_rounded_off_comes_out_with_the_last_lot() -> None:
    table = filled([plain(3, p.BUY, 1, 1), plain(3, p.BUY, 2, 2)])  # 35 for 3 lots: 11⅔ each
    profits = []
    for _ in range(3):
        p.apply_fill(table, *plain(3, p.SELL, 0, 1))
        profits.append(p.realised(table, 3))
    assert profits == [-11, -23, -35]


def test_a_frame_stops_at_the_fill_it_cannot_take_and_goes_on_behind_it() -> None:
    frame = np.array([plain(1, 1, 5, 1), plain(4, 1, 5, 1), plain(2, 1, 5, 1)], np.int64)
    table = new_table()
    assert [p.apply_fills(table, frame, 0), p.apply_fills(table, frame, 2)] == [1, 3]
    assert table[:, p.POSITION_NET].tolist() == [0, 1, 1, 0, 0]


REFUSALS = [
    (plain(0, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    (plain(-1, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    (plain(4, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    (plain(5, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    (plain(1, 0, 1, 1), p.REFUSED_MALFORMED),
    (plain(1, 3, 1, 1), p.REFUSED_MALFORMED),
    (plain(1, p.BUY, p.ABSENT, 1), p.REFUSED_MALFORMED),
    (plain(1, p.BUY, 1, 0), p.REFUSED_MALFORMED),
    (plain(1, p.BUY, 1, p.LOTS_MAX + 1), p.REFUSED_MALFORMED),
    (plain(1, p.BUY, p.INT64_MAX, 1), p.REFUSED_OVERFLOW),
    (plain(1, p.SELL, p.ABSENT + 1, 1), p.REFUSED_OVERFLOW),
    (plain(1, p.BUY, p.MONEY_MAX // 1_000 + 1, 1), p.REFUSED_OVERFLOW),
    (plain(1, p.BUY, 1, p.LOTS_MAX), p.REFUSED_OVERFLOW),  # one lot is held already
]


@pytest.mark.parametrize(("fill", "status"), REFUSALS)
def test_a_refused_fill_changes_nothing(fill: Fill, status: int) -> None:
    table = filled([plain(1, p.BUY, 1, 1)])
    before = table.copy()
    assert p.apply_fill(table, *fill) == status
    assert np.array_equal(table, before)


def test_fees_that_do_not_fit_refuse_the_fill() -> None:
    table = new_table()
    p.set_fees(table, 1, p.FEE_PARTS * (p.MONEY_MAX - 5), 0)
    assert p.apply_fill(table, *plain(1, p.BUY, 1, 1)) == p.APPLIED
    before = table.copy()
    assert p.apply_fill(table, *plain(1, p.BUY, 1, 1)) == p.REFUSED_OVERFLOW
    assert np.array_equal(table, before)


def test_slippage_that_does_not_fit_counts_as_unpriced() -> None:
    table = filled([(1, p.BUY, 1, 1, p.INT64_MAX - 1, 2), (1, p.BUY, 1, 1, 2, -p.INT64_MAX)])
    assert table[1, [p.POSITION_DELAY, p.POSITION_EXECUTION, p.POSITION_UNPRICED]].tolist() == [0, 0, 2]


def test_the_largest_figures_that_fit_are_taken_and_closed_without_loss() -> None:
    price = p.MONEY_MAX // 7
    table = new_table()
    p.set_fees(table, 3, 0, 0)
    assert p.apply_fill(table, *plain(3, p.SELL, price, 1)) == p.APPLIED
    assert p.apply_fill(table, *plain(3, p.SELL, 1, 1)) == p.REFUSED_OVERFLOW
    assert p.mark(table, 3, price) == 0
    assert p.mark(table, 3, -p.INT64_MAX) == p.ABSENT
    assert p.apply_fill(table, *plain(3, p.BUY, price, 1)) == p.APPLIED
    assert p.realised(table, 3) == 0


def test_without_a_price_only_what_is_flat_has_a_worth() -> None:
    table = filled([plain(1, p.BUY, 10, 1), plain(2, p.BUY, 10, 1), plain(2, p.SELL, 12, 1)])
    told = figures(table, [p.ABSENT] * 3)
    assert told[:, p.FIGURE_UNREALISED].tolist() == [p.ABSENT, 0, 0]
    assert told[:, p.FIGURE_MARKET].tolist() == [p.ABSENT, 500, 0]


def test_rows_come_go_and_grow() -> None:
    table = p.grown(filled([plain(3, p.BUY, 10, 1)]))
    assert len(table) == 10
    assert table[3, p.POSITION_NET] == 1
    p.close_row(table, 3)
    assert p.apply_fill(table, *plain(3, p.BUY, 10, 1)) == p.REFUSED_UNKNOWN
    p.open_row(table, 3, 9)
    assert table[3].tolist().count(0) == p.POSITION_WIDTH - 1


@pytest.mark.parametrize(
    ("row", "worth", "said"),
    [
        (0, 1, "^row is 0; wanted 1 to 4$"),
        (5, 1, "^row is 5; wanted 1 to 4$"),
        (4, 0, "^cash_micro_per_lot_tick is 0; wanted 1 to "),
        (1, 1, "^row 1 is in use; close_row it first, or take another$"),
    ],
)
def test_a_row_that_cannot_be_opened_is_refused(row: int, worth: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        p.open_row(new_table(), row, worth)


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="^row_count is 1; wanted at least 2, as row 0 is nobody's$"):
        p.new_table(1)
