"""Proves that a fill's money and energy are booked by both models or by neither, compiled as in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.compiled import compile_golden
from penstock_sdk.golden import booking, delivery_cells, positions

SEGMENTS = np.array([[1_020, 8, 100], [1_030, 2, 50]], np.int64)
FAST = compile_golden(booking)


class World:
    """One row, one track, and what books into them."""

    def __init__(self, module: object, rows: int = 4) -> None:
        self.module = module
        self.table = positions.new_table(2)
        positions.open_row(self.table, 1, 250)
        self.cells, self.directory, self.pool = delivery_cells.new_cells(rows, 1, 3)
        self.out = np.zeros(booking.BOOKED_WIDTH, np.int64)

    def book(self, row: int, side: int, price: int, lots: int, segments: np.ndarray = SEGMENTS) -> int:
        grid = (self.cells, self.directory, self.pool, segments, 0, self.out)
        return int(self.module.book(self.table, row, side, price, lots, price, price, *grid))  # type: ignore[attr-defined]

    def held(self) -> list[int]:
        out = np.zeros(20, np.int64)
        delivery_cells.read(self.cells, self.directory, np.array([[0, 1]]), 1_015, out)
        return out.tolist()


FILLS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1, 1, 2]), st.sampled_from([0, 1, 2, 2]),
        st.one_of(st.integers(-500, 500), st.sampled_from([positions.ABSENT, 1 << 60])),
        st.sampled_from([0, 1, 3, 40, positions.LOTS_MAX]),
    ),
    max_size=15,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(FILLS)
def test_both_models_take_a_fill_or_neither_does(fills: list[tuple[int, int, int, int]]) -> None:
    worlds = [World(booking), World(FAST)]
    for fill in fills:
        answers = [world.book(*fill) for world in worlds]
        assert answers[0] == answers[1]
        for world in worlds:
            net = int(world.table[1, positions.POSITION_NET])
            assert world.held() == [0] * 5 + [100 * net] * 8 + [0] * 2 + [50 * net] * 2 + [0] * 3
            if answers[0] == booking.APPLIED:
                assert world.out.tolist() == [*world.table[1, :4].tolist(), 100 * abs(net)]
    assert np.array_equal(worlds[0].table, worlds[1].table)


def test_room_for_cells_is_asked_for_before_anything_changes() -> None:
    world = World(booking, rows=1)
    assert world.book(1, positions.BUY, 5, 1) == booking.NEEDS_ROWS
    assert not world.table[1, positions.POSITION_NET]


def test_a_cell_that_would_overflow_refuses_the_money_too() -> None:
    world = World(booking)
    segments = np.array([[0, 1, delivery_cells.CELL_MAX // 3]], np.int64)
    assert world.book(1, positions.BUY, 5, 3, segments) == booking.APPLIED
    before = world.table.copy()
    assert world.book(1, positions.BUY, 5, 1, segments) == positions.REFUSED_OVERFLOW
    assert np.array_equal(world.table, before)


def test_what_is_off_the_grid_has_money_alone() -> None:
    world = World(booking)
    assert world.book(1, positions.SELL, 5, 2, np.zeros((0, 3), np.int64)) == booking.APPLIED
    assert world.out.tolist() == [-2, 0, 2, 2_500, 0]


def test_the_largest_amount_counts_what_others_deals_left_there() -> None:
    world = World(booking)
    world.book(1, positions.BUY, 5, 2, np.array([[1_022, 1, 300]], np.int64))
    world.book(1, positions.SELL, 5, 1)
    assert world.out[booking.BOOKED_LARGEST] == 500
    assert booking.largest(world.cells, world.directory, np.array([[1_025, 1, 1]]), 0) == 100
    world.directory[0, delivery_cells.TRACK_KEPT] = 1_023  # what is over no longer counts
    assert booking.largest(world.cells, world.directory, SEGMENTS, 0) == 100
