"""Proves the cells of the position grid: compiled as plain to the last cell, all or nothing at the edge of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.compiled import compile_golden
from penstock_sdk.golden import delivery_cells as plain
from penstock_sdk.golden.delivery_cells import ABSENT, APPLIED, CELL_MAX, CHUNK, INT64_MAX, LOTS_MAX, NET_MIN

compiled = compile_golden(plain)
TRACKS, CHUNKS = 3, 3
REACH = CHUNKS * CHUNK

AMOUNTS = st.one_of(st.integers(0, 5_000), st.sampled_from([CELL_MAX, CELL_MAX // 2, 2**31, 2**40]))
SIGNS = st.sampled_from([1, -1])
LOTS = st.one_of(st.integers(-9, 9), st.sampled_from([LOTS_MAX, -LOTS_MAX, 2**30]))


@st.composite
def segments(draw: st.DrawFn) -> np.ndarray[Any, np.dtype[np.int64]]:
    edges = sorted(draw(st.sets(st.integers(0, REACH), min_size=2, max_size=6)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return np.array([(first, end - first, draw(AMOUNTS)) for first, end in pairs], np.int64)


CHANGES = st.lists(st.tuples(segments(), st.integers(0, TRACKS - 1), LOTS), max_size=6)


def lowest(track: int) -> int:
    return 0 if track else NET_MIN


def changed(engine: Any, changes: list[Any], kept: int, rows: int = 16) -> tuple[list[Any], list[int]]:
    state = list(engine.new_cells(rows, TRACKS, CHUNKS))
    state[1][:, plain.TRACK_KEPT] = kept
    statuses = [
        int(engine.add_lots(*state, each, 0, len(each), track, lots, lowest(track))) for each, track, lots in changes
    ]
    return state, statuses


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.integers(0, 1_500), st.sampled_from([2, 5, 16]))
def test_compiled_cells_are_those_of_the_plain_functions(changes: list[Any], kept: int, rows: int) -> None:
    (one, its), (other, others) = changed(plain, changes, kept, rows), changed(compiled, changes, kept, rows)
    assert its == others
    for array, twin in zip(one, other, strict=True):
        assert np.array_equal(array, twin)


@settings(max_examples=60, deadline=None)
@given(
    CHANGES,
    st.integers(0, REACH - 1),
    st.integers(1, REACH),
    st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3),
)
def test_what_is_read_is_the_sum_of_what_was_added(changes: list[Any], slot: int, count: int, signs: list[int]) -> None:
    state, statuses = changed(compiled, changes, 0)
    wanted = [0] * count
    for (each, track, lots), status in zip(changes, statuses, strict=True):
        if status == APPLIED:
            for first, length, amount in each.tolist():
                for at in range(max(first, slot), min(first + length, slot + count)):
                    wanted[at - slot] += signs[track] * amount * lots
    tracks = np.array(list(enumerate(signs)), np.int64)
    for engine in (plain, compiled):
        out = np.zeros(count, np.int64)
        status = engine.read(*state[:2], tracks, slot, out)
        if status == APPLIED:
            assert out.tolist() == wanted
        else:  # three tracks, added one after the other, may pass the edge on their way
            assert status == plain.REFUSED_OVERFLOW and max(map(abs, wanted)) > CELL_MAX // 2
    ask = np.array([(slot, min(count, REACH - slot), 1)], np.int64)
    low_high = np.zeros(2, np.int64)
    if compiled.extremes(*state[:2], ask, 0, 1, tracks, np.zeros(CHUNK, np.int64), low_high) == APPLIED:
        inside = wanted[: REACH - slot]
        assert low_high.tolist() == [min(inside), max(inside)]


PRICES = st.one_of(st.integers(-(10**6), 10**6), st.sampled_from([ABSENT, INT64_MAX, -INT64_MAX, 2**31, 0]))


@settings(max_examples=80, deadline=None)
@given(CHANGES, st.lists(PRICES, min_size=1, max_size=40), st.integers(0, REACH - 1))
def test_a_value_is_exact_or_refused(changes: list[Any], prices: list[int], slot: int) -> None:
    state, _ = changed(compiled, changes, 0)
    held, out = np.zeros(len(prices), np.int64), np.zeros(1, np.int64)
    compiled.read(*state[:2], np.array([[0, 1]], np.int64), slot, held)
    results = []
    for engine in (plain, compiled):
        out[0] = 0
        results.append((int(engine.value(*state[:2], 0, slot, np.array(prices, np.int64), out)), out.item()))
    assert results[0] == results[1]
    pairs = [(amount, price) for amount, price in zip(held.tolist(), prices, strict=True) if amount]
    status, total = results[0]
    if status == APPLIED:
        assert total == sum(amount * price for amount, price in pairs)
    elif status == plain.REFUSED_PRICE:
        assert ABSENT in [price for _, price in pairs]
    else:
        assert sum(abs(amount * price) for amount, price in pairs) > INT64_MAX


@pytest.mark.parametrize(
    ("amount", "lots", "track", "status"),
    [
        (CELL_MAX, 2, 0, plain.REFUSED_OVERFLOW),  # the product does not fit
        (2**40, LOTS_MAX, 0, plain.REFUSED_OVERFLOW),
        (CELL_MAX, 1, 0, plain.REFUSED_OVERFLOW),  # a lot of 1 is there already, in the last slot alone
        (CELL_MAX - 1, 1, 0, APPLIED),
        (CELL_MAX, -1, 0, APPLIED),
        (1, -2, 1, plain.REFUSED_NEGATIVE),
        (1, -1, 1, plain.REFUSED_NEGATIVE),  # nothing works in the other slots
        (1, 1, 1, APPLIED),
    ],
)
@pytest.mark.parametrize("engine", [plain, compiled])
def test_what_is_refused_changes_nothing(engine: Any, amount: int, lots: int, track: int, status: int) -> None:
    state = engine.new_cells(8, TRACKS, CHUNKS)
    last = np.array([[REACH - 1, 1, 1]], np.int64)
    for each in (0, 1):
        engine.add_lots(*state, last, 0, 1, each, 1, NET_MIN)
    before = [array.copy() for array in state]
    wide = np.array([[5, 1, 0], [10, REACH - 10, amount]], np.int64)
    assert engine.add_lots(*state, wide, 0, 2, track, lots, lowest(track)) == status
    same = all(np.array_equal(array, was) for array, was in zip(state, before, strict=True))
    assert same == (status != APPLIED)


def test_chunks_that_do_not_fit_are_asked_for_before_anything_is_written() -> None:
    state = plain.new_cells(2, 1, CHUNKS)
    wide = np.array([[0, REACH, 1]], np.int64)
    assert plain.add_lots(*state, wide, 0, 1, 0, 1, NET_MIN) == plain.NEEDS_ROWS
    assert plain.set_amount(*state, 0, 0, REACH, 1) == plain.NEEDS_ROWS
    assert not state[0].any() and not state[1].any() and state[2].tolist() == [1, 1]


def test_a_cell_has_as_much_room_below_zero_as_above() -> None:
    state = plain.new_cells(2, 1, CHUNKS)
    cell = np.array([[0, 1, CELL_MAX], [1, 1, 1]], np.int64)
    assert plain.add_lots(*state, cell, 0, 1, 0, -1, NET_MIN) == APPLIED
    assert plain.add_lots(*state, np.array([[0, 1, 1]]), 0, 1, 0, -1, NET_MIN) == plain.REFUSED_OVERFLOW
    assert state[0][1, :2].tolist() == [-CELL_MAX, 0]


def test_two_segments_of_a_chunk_need_one_row() -> None:
    state = plain.new_cells(2, 1, CHUNKS)
    apart = np.array([[0, 1, 1], [5, 1, 1]], np.int64)
    assert plain.add_lots(*state, apart, 0, 2, 0, 3, NET_MIN) == APPLIED
    assert state[0][1, :6].tolist() == [3, 0, 0, 0, 0, 3]


@pytest.mark.parametrize(("cells", "status"), [(1, APPLIED), (2, APPLIED), (3, plain.REFUSED_OVERFLOW)])
def test_products_that_fit_may_not_fit_together(cells: int, status: int) -> None:
    for engine in (plain, compiled):
        state = engine.new_cells(2, 1, 1)
        engine.set_amount(*state, 0, 0, cells, 2**31 - 1)
        out = np.zeros(1, np.int64)
        assert engine.value(*state[:2], 0, 0, np.full(cells, 2**31 - 1), out) == status
        if status == APPLIED:
            assert out.item() == cells * (2**31 - 1) ** 2


def test_lanes_are_found_however_many_share_an_entry() -> None:
    lanes = np.zeros((8, 4), np.int64)
    whose = [(0, 0, 0), (8, 8, 8), (0, 0, 8), (0, 8, 0), (8, 0, 0)]
    for number, each in enumerate(whose):
        at = plain.lane_at(lanes, *each)
        assert lanes[at, plain.LANE_NET] == 0
        lanes[at] = (*each, number + 1)
    for engine in (plain, compiled):
        assert [lanes[engine.lane_at(lanes, *each), plain.LANE_NET] for each in whose] == [1, 2, 3, 4, 5]
        assert lanes[engine.lane_at(lanes, 16, 0, 0), plain.LANE_NET] == 0
