"""Proves the position grid: profit is cash plus value to the last 10^-6, whatever the fills, and nothing ever wraps."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.golden import positions as p

# Contract 0 is an hour, 1 and 2 quarters of it; 3 is never defined.
CONTRACTS = [([0, 1, 2, 3], 1_000, 100), ([0], 250, 100), ([3], 7, 30)]
Fill = tuple[int, int, int, int, int]

FILLS = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(1, 2), st.integers(-9_999, 9_999), st.integers(1, 40)
)


def new_grid() -> p.Table:
    grid = p.new_grid(account_count=3, contract_count=4, interval_count=4, link_capacity=6)
    for contract, (intervals, cash, kw) in enumerate(CONTRACTS):
        p.define_contract(grid, contract, intervals, cash_micro_per_lot_tick=cash, kw_per_lot=kw)
    return grid


def filled(fills: list[Fill]) -> p.Table:
    grid = new_grid()
    for fill in fills:
        assert p.apply_fill(grid, *fill) == p.APPLIED
    return grid


def signed(fill: Fill) -> int:
    return fill[4] if fill[2] == p.BUY else -fill[4]


@settings(max_examples=150, deadline=None)
@given(st.lists(FILLS, max_size=25), st.integers(-9_999, 9_999))
def test_profit_is_cash_plus_value_exactly(fills: list[Fill], mark_ticks: int) -> None:
    grid = filled(fills)
    for account in range(3):
        for contract, (_, multiplier, _) in enumerate(CONTRACTS):
            mine = [fill for fill in fills if fill[:2] == (account, contract)]
            net = sum(signed(fill) for fill in mine)
            cash = -sum(signed(fill) * fill[3] * multiplier for fill in mine)
            row = p.positions(grid)[account, contract]
            assert row[[p.POSITION_NET, p.POSITION_CASH, p.POSITION_FILLS]].tolist() == [net, cash, len(mine)]
            assert row[p.POSITION_BOUGHT] == sum(fill[4] for fill in mine if fill[2] == p.BUY)
            assert row[p.POSITION_SOLD] == sum(fill[4] for fill in mine if fill[2] == p.SELL)
            profit = p.realised(grid, account, contract) + p.mark(grid, account, contract, mark_ticks)
            assert profit == cash + net * mark_ticks * multiplier
            if net == 0:
                assert p.realised(grid, account, contract) == cash


@settings(max_examples=100, deadline=None)
@given(st.lists(FILLS.map(lambda fill: (0, 2, *fill[2:])), max_size=25))
def test_cost_follows_the_average_within_one_millionth_per_closing_fill(fills: list[Fill]) -> None:
    grid, net, cost, closings = new_grid(), 0, Fraction(0), 0
    for fill in fills:
        lots = signed(fill)
        if net * lots >= 0:
            cost += lots * fill[3] * 7
        elif abs(lots) > abs(net):
            cost, closings = Fraction((net + lots) * fill[3] * 7), 0
        else:
            cost, closings = cost * (1 - Fraction(abs(lots), abs(net))), closings + 1
        net += lots
        p.apply_fill(grid, *fill)
        assert 0 <= p.positions(grid)[0, 2, p.POSITION_COST] - cost <= closings


@settings(max_examples=80, deadline=None)
@given(st.lists(FILLS, max_size=20), st.randoms(use_true_random=False))
def test_order_among_contracts_does_not_matter(fills: list[Fill], random: Random) -> None:
    queues = {key: [fill for fill in fills if fill[:2] == key] for key in {fill[:2] for fill in fills}}
    shuffled: list[Fill] = []
    order = [fill[:2] for fill in fills]
    random.shuffle(order)
    for key in order:
        shuffled.append(queues[key].pop(0))
    assert np.array_equal(filled(fills), filled(shuffled))


@settings(max_examples=80, deadline=None)
@given(st.lists(FILLS, max_size=20))
def test_intervals_hold_what_all_contracts_deliver_there(fills: list[Fill]) -> None:
    wanted = [[0] * 4, [0] * 4, [0] * 4]
    for fill in fills:
        intervals, _, kw = CONTRACTS[fill[1]]
        for interval in intervals:
            wanted[fill[0]][interval] += signed(fill) * kw
    assert p.interval_net_kw(filled(fills)).tolist() == wanted


@settings(max_examples=60, deadline=None)
@given(st.lists(FILLS, max_size=20), st.lists(st.integers(-99, 99), min_size=4, max_size=4))
def test_frames_equal_single_calls(fills: list[Fill], prices: list[int]) -> None:
    one, many = filled(fills), new_grid()
    frame = np.array(fills, np.int64).reshape(-1, p.FILL_WIDTH)
    assert p.apply_fills(many, frame, 0) == len(fills)
    assert np.array_equal(one, many)
    unrealised = np.zeros((3, 4), np.int64)
    p.mark_frame(one, np.array(prices, np.int64).reshape(-1, 1), unrealised)
    for account in range(3):
        for contract in range(4):
            assert unrealised[account, contract] == p.mark(one, account, contract, prices[contract])
            if contract < 3:
                assert p.realised_micro(one)[account, contract] == p.realised(one, account, contract)


def test_a_short_position_at_negative_prices_by_hand() -> None:
    # Sold 3 lots at -10 (we pay 30 ticks), bought 1 back at -40 (we are paid 40): 10 stays as the cost of that lot.
    grid = filled([(0, 2, p.SELL, -10, 3), (0, 2, p.BUY, -40, 1)])
    assert p.positions(grid)[0, 2].tolist()[:7] == [-2, 1, 3, 7 * (-30 + 40), 7 * 20, 2, -40]
    assert p.realised(grid, 0, 2) == 7 * 30
    assert p.mark(grid, 0, 2, -15) == 7 * (-2 * -15 - 20)


def test_what_was_rounded_off_comes_out_with_the_last_lot() -> None:
    grid = filled([(0, 2, p.BUY, 1, 1), (0, 2, p.BUY, 2, 2)])  # 35 for 3 lots: 11⅔ each
    profits = []
    for _ in range(3):
        p.apply_fill(grid, 0, 2, p.SELL, 0, 1)
        profits.append(p.realised(grid, 0, 2))
    assert profits == [-11, -23, -35]


def test_a_frame_stops_at_the_fill_it_cannot_take_and_goes_on_behind_it() -> None:
    frame = np.array([(0, 0, 1, 5, 1), (0, 3, 1, 5, 1), (0, 1, 1, 5, 1)], np.int64)
    grid = new_grid()
    assert [p.apply_fills(grid, frame, 0), p.apply_fills(grid, frame, 2)] == [1, 3]
    assert p.positions(grid)[0, :, p.POSITION_NET].tolist() == [1, 1, 0, 0]


REFUSALS = [
    ((3, 0, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    ((-1, 0, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    ((0, 3, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    ((0, 4, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    ((0, -1, p.BUY, 1, 1), p.REFUSED_UNKNOWN),
    ((0, 0, 0, 1, 1), p.REFUSED_MALFORMED),
    ((0, 0, 3, 1, 1), p.REFUSED_MALFORMED),
    ((0, 0, p.BUY, p.ABSENT, 1), p.REFUSED_MALFORMED),
    ((0, 0, p.BUY, 1, 0), p.REFUSED_MALFORMED),
    ((0, 0, p.BUY, 1, p.LOTS_MAX + 1), p.REFUSED_MALFORMED),
    ((0, 0, p.BUY, p.INT64_MAX, 1), p.REFUSED_OVERFLOW),
    ((0, 0, p.SELL, p.ABSENT + 1, 1), p.REFUSED_OVERFLOW),
    ((0, 0, p.BUY, p.MONEY_MAX // 1_000 + 1, 1), p.REFUSED_OVERFLOW),
    ((0, 0, p.BUY, 1, p.LOTS_MAX), p.REFUSED_OVERFLOW),  # one lot is held already
]


@pytest.mark.parametrize(("fill", "status"), REFUSALS)
def test_a_refused_fill_changes_nothing(fill: Fill, status: int) -> None:
    grid = filled([(0, 0, p.BUY, 1, 1)])
    before = grid.copy()
    assert p.apply_fill(grid, *fill) == status
    assert np.array_equal(grid, before)


def test_the_largest_figures_that_fit_are_taken_and_closed_without_loss() -> None:
    price = p.MONEY_MAX // 7
    grid = filled([(0, 2, p.SELL, price, 1)])
    assert p.apply_fill(grid, 0, 2, p.SELL, 1, 1) == p.REFUSED_OVERFLOW
    assert p.mark(grid, 0, 2, price) == 0
    assert p.mark(grid, 0, 2, -p.INT64_MAX) == p.ABSENT
    assert p.apply_fill(grid, 0, 2, p.BUY, price, 1) == p.APPLIED
    assert p.realised(grid, 0, 2) == 0


@pytest.mark.parametrize("side", [p.BUY, p.SELL])
def test_an_interval_takes_what_fits_and_not_one_lot_more(side: int) -> None:
    grid = new_grid()
    p.define_contract(grid, 3, [2], cash_micro_per_lot_tick=1, kw_per_lot=p.INT64_MAX // 7)
    assert [p.apply_fill(grid, 0, 3, side, 1, lots) for lots in (3, 5, 4, 1)] == [
        p.APPLIED,
        p.REFUSED_OVERFLOW,
        p.APPLIED,
        p.REFUSED_OVERFLOW,
    ]
    assert abs(int(p.interval_net_kw(grid)[0, 2])) == p.INT64_MAX


def test_an_unknown_position_has_no_profit_and_a_flat_one_needs_no_mark() -> None:
    grid = filled([(0, 0, p.BUY, 5, 1)])
    assert [p.mark(grid, 0, 3, 5), p.realised(grid, 3, 0), p.mark(grid, 0, 0, p.ABSENT)] == [p.ABSENT] * 3
    unrealised = np.zeros((3, 4), np.int64)
    p.mark_frame(grid, np.full((4, 1), p.ABSENT), unrealised)
    assert unrealised.tolist() == [[p.ABSENT, 0, 0, p.ABSENT]] + [[0, 0, 0, p.ABSENT]] * 2


def test_a_copy_of_the_state_restores_the_grid() -> None:
    grid = filled([(0, 0, p.BUY, 5, 1)])
    saved = [array.copy() for array in p.state_arrays(grid)]
    p.apply_fill(grid, 1, 1, p.SELL, 5, 1)
    for array, copy in zip(p.state_arrays(grid), saved, strict=True):
        array[...] = copy
    assert np.array_equal(grid, filled([(0, 0, p.BUY, 5, 1)]))


@pytest.mark.parametrize(
    ("contract", "intervals", "cash", "kw", "message"),
    [
        (0, [0], 1, 1, "^contract 0 is defined already; "),
        (4, [0], 1, 1, "^contract is 4; wanted 0 to 3$"),
        (3, [4], 1, 1, "^interval is 4; wanted 0 to 3$"),
        (3, [1, 1], 1, 1, r"^intervals of contract 3 are \[1, 1\]; wanted each once$"),
        (3, [0], 0, 1, "^cash_micro_per_lot_tick is 0; wanted 1 to "),
        (3, [0], 1, -1, "^kw_per_lot is -1; wanted 0 to "),
        (3, [0, 1, 2], 1, 1, "^contract 3 delivers in 3 intervals, 2 link cells are free; "),
    ],
)
def test_a_wrong_contract_is_refused_by_name(
    contract: int, intervals: list[int], cash: int, kw: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        p.define_contract(new_grid(), contract, intervals, cash_micro_per_lot_tick=cash, kw_per_lot=kw)


def test_a_size_below_one_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="^contract_count is 0; wanted at least 1$"):
        p.new_grid(1, 0, 1, 1)


@settings(max_examples=80, deadline=None)
@given(st.lists(FILLS, max_size=15), st.integers(0, 2), st.lists(FILLS, max_size=10))
def test_dropping_a_contract_leaves_the_others_as_they_are_and_its_number_free(
    before: list[Fill], gone: int, after: list[Fill]
) -> None:
    grid = filled(before)
    kept = p.positions(grid).copy()
    p.drop_contract(grid, gone)
    others = [contract for contract in range(3) if contract != gone]
    assert (p.positions(grid)[:, others] == kept[:, others]).all()
    assert p.apply_fill(grid, 0, gone, p.BUY, 1, 1) == p.REFUSED_UNKNOWN
    # Where nobody delivers any more, nothing is held; where somebody does, what was dealt stays.
    shared = {interval for contract in others for interval in CONTRACTS[contract][0]}
    for account in range(3):
        for interval in range(4):
            met = p.interval_net_kw(grid)[account, interval]
            wanted = sum(
                signed(f) * CONTRACTS[f[1]][2] for f in before if f[0] == account and interval in CONTRACTS[f[1]][0]
            )
            assert met == (wanted if interval in shared else 0)
    # Defined anew elsewhere, with links behind those that moved up, it is as new.
    p.define_contract(grid, gone, [2, 1], cash_micro_per_lot_tick=5, kw_per_lot=10)
    assert p.positions(grid)[:, gone, : p.POSITION_LAST].any() == np.False_
    had = p.interval_net_kw(grid).copy()
    links = {contract: CONTRACTS[contract][0] for contract in others} | {gone: [2, 1]}
    kw = {contract: CONTRACTS[contract][2] for contract in others} | {gone: 10}
    for fill in after:
        assert p.apply_fill(grid, *fill) == p.APPLIED
        had[fill[0], links[fill[1]]] += signed(fill) * kw[fill[1]]
    assert (p.interval_net_kw(grid) == had).all()


def test_only_what_is_defined_can_be_dropped() -> None:
    with pytest.raises(ValueError, match=r"^contract 3 is not defined; only what was defined can be dropped"):
        p.drop_contract(new_grid(), 3)
