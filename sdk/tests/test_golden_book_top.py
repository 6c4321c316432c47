"""Proves the model of the best prices against books of full depth: what it says it knows, it knows exactly."""

from __future__ import annotations

import doctest
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.compiled import compile_golden
from penstock_sdk.golden import book_top as g

LOTS_MAX = 40
SLOTS = 3


def update(kind: int, slot: int = 0, **values: int) -> list[int]:
    """Return an update's row; what is left out is absent or 0."""
    get = values.get
    return [
        kind, slot, get("side", 0), get("price", g.ABSENT), get("lots", 0), get("ask", g.ABSENT), get("ask_lots", 0),
        get("ref", 0), get("new_ref", 0), get("at_ns", 0),
    ]  # fmt: skip


def clear(slot: int = 0) -> list[int]:
    return update(g.UPDATE_CLEAR, slot)


def level(side: int, price: int, lots: int, slot: int = 0) -> list[int]:
    return update(g.UPDATE_LEVEL, slot, side=side, price=price, lots=lots)


def add(ref: int, side: int, price: int, lots: int, slot: int = 0) -> list[int]:
    return update(g.UPDATE_ADD, slot, ref=ref, side=side, price=price, lots=lots)


def reduce(ref: int, lots: int, slot: int = 0) -> list[int]:
    return update(g.UPDATE_REDUCE, slot, ref=ref, lots=lots)


def delete(ref: int, slot: int = 0) -> list[int]:
    return update(g.UPDATE_DELETE, slot, ref=ref)


def run(book: g.Book, *updates: list[int]) -> tuple[list[int], list[int]]:
    """Apply updates; return their causes, and the last one's known, bid, lots, ask, lots."""
    top = g.new_tops(1)[0]
    causes = [g.apply_update(book, np.array(row, np.int64), top) for row in updates]
    return causes, top[g.TOP_KNOWN : g.TOP_AT_NS].tolist()


UNKNOWN = [0, g.ABSENT, 0, g.ABSENT, 0]


def test_the_examples_of_the_module_hold() -> None:
    import penstock_sdk.golden.book_top as module

    assert doctest.testmod(module).attempted > 3
    assert doctest.testmod(module).failed == 0


def test_a_slot_is_unknown_until_a_clear_or_a_quote() -> None:
    book = g.new_book(2)
    assert run(book, level(g.BUY, 5, 1)) == ([g.CAUSE_SKIPPED], UNKNOWN)
    assert run(book, clear(), level(g.BUY, 5, 1)) == ([0, 0], [1, 5, 1, g.ABSENT, 0])
    quote = update(g.UPDATE_QUOTE, 1, price=-7, lots=2, ask=-9, ask_lots=3)  # crossed: passed on as it is
    assert run(book, quote) == ([0], [1, -7, 2, -9, 3])
    assert book.head[g.HEAD_KNOWN] == 2


def test_a_quote_is_the_whole_book_and_a_side_of_no_lots_is_absent() -> None:
    book = g.new_book(1)
    run(book, clear(), *(level(g.BUY, price, 1) for price in range(6)))
    assert run(book, update(g.UPDATE_QUOTE, price=3, lots=2, ask=4, ask_lots=0)) == ([0], [1, 3, 2, g.ABSENT, 0])
    # Nothing was cut off: the only level may go, and others may come behind it.
    assert run(book, level(g.BUY, 3, 0), level(g.BUY, -8, 1)) == ([0, 0], [1, -8, 1, g.ABSENT, 0])


@pytest.mark.parametrize(("side", "step"), [(g.BUY, -1), (g.SELL, 1)])
def test_what_falls_off_the_end_is_missed_only_when_nothing_better_is_left(side: int, step: int) -> None:
    book = g.new_book(1, levels=2)
    run(book, clear(), level(side, 10 * step, 1), level(side, 20 * step, 2), level(side, 30 * step, 3))
    assert g.levels_of(book, 0, side) == [(10 * step, 1), (20 * step, 2)]
    run(book, level(side, 10 * step, 0), level(side, 25 * step, 9))  # behind the worst kept: not kept
    assert g.levels_of(book, 0, side) == [(20 * step, 2)]
    assert run(book, level(side, 25 * step, 0), level(side, 5 * step, 4))[0] == [0, 0]
    assert g.levels_of(book, 0, side) == [(5 * step, 4), (20 * step, 2)]
    run(book, level(side, 20 * step, 0))
    assert run(book, level(side, 5 * step, 0)) == ([g.CAUSE_EXHAUSTED], UNKNOWN)


def test_orders_of_one_price_add_up_and_leave_one_by_one() -> None:
    book = g.new_book(1)
    run(book, clear(), add(1, g.SELL, -4, 5), add(2, g.SELL, -4, 6), add(3, g.SELL, -3, 1))
    assert run(book, reduce(1, 2))[1] == [1, g.ABSENT, 0, -4, 9]
    assert run(book, delete(2))[1] == [1, g.ABSENT, 0, -4, 3]
    assert run(book, reduce(1, 3))[1] == [1, g.ABSENT, 0, -3, 1]
    assert run(book, delete(1)) == ([g.CAUSE_ORPHAN], UNKNOWN)


def test_replace_keeps_the_side_and_may_keep_the_ref() -> None:
    book = g.new_book(1)
    run(book, clear(), add(1, g.BUY, 4, 5))
    assert run(book, update(g.UPDATE_REPLACE, ref=1, new_ref=2, price=3, lots=7))[1] == [1, 3, 7, g.ABSENT, 0]
    assert run(book, update(g.UPDATE_REPLACE, ref=2, new_ref=2, price=6, lots=1))[1] == [1, 6, 1, g.ABSENT, 0]
    run(book, add(3, g.BUY, 4, 5))
    assert run(book, update(g.UPDATE_REPLACE, ref=2, new_ref=3, price=6, lots=1)) == ([g.CAUSE_INCONSISTENT], UNKNOWN)


def test_set_adds_or_moves_an_order_even_to_the_other_side() -> None:
    book = g.new_book(1)
    put = update(g.UPDATE_SET, ref=9, side=g.BUY, price=4, lots=5)
    assert run(book, clear(), put, put)[1] == [1, 4, 5, g.ABSENT, 0]
    assert run(book, update(g.UPDATE_SET, ref=9, side=g.SELL, price=4, lots=1))[1] == [1, g.ABSENT, 0, 4, 1]


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        (add(1, g.BUY, 4, 5), g.CAUSE_INCONSISTENT),
        (reduce(1, 6), g.CAUSE_INCONSISTENT),
        (reduce(2, 1), g.CAUSE_ORPHAN),
        (delete(2), g.CAUSE_ORPHAN),
        (update(g.UPDATE_REPLACE, ref=2, new_ref=3, price=1, lots=1), g.CAUSE_ORPHAN),
        (add(2, g.BUY, 4, LOTS_MAX - 4), g.CAUSE_RANGE),
        (update(g.UPDATE_POISON), g.CAUSE_POISON),
        (add(2, g.BUY, 4, 0), g.CAUSE_MALFORMED),
        (add(2, 0, 4, 1), g.CAUSE_MALFORMED),
        (add(2, 3, 4, 1), g.CAUSE_MALFORMED),
        (add(2, g.BUY, g.ABSENT, 1), g.CAUSE_MALFORMED),
        (level(g.BUY, g.ABSENT, 1), g.CAUSE_MALFORMED),
        (level(g.BUY, 1, LOTS_MAX + 1), g.CAUSE_MALFORMED),
        (reduce(1, 0), g.CAUSE_MALFORMED),
        (update(0), g.CAUSE_MALFORMED),
        (update(10), g.CAUSE_MALFORMED),
    ],
)
def test_what_contradicts_the_book_makes_it_unknown_and_is_counted(last: list[int], cause: int) -> None:
    book = g.new_book(1, lots_max=LOTS_MAX)
    run(book, clear(), add(1, g.BUY, 4, 5))
    assert run(book, last) == ([cause], UNKNOWN)
    assert run(book, delete(1)) == ([g.CAUSE_SKIPPED], UNKNOWN)
    assert g.counts(book)[cause] == 1
    assert book.head[g.HEAD_KNOWN] == 0
    assert run(book, clear(), delete(1)) == ([0, g.CAUSE_ORPHAN], UNKNOWN)  # its orders are forgotten


def test_lots_that_just_fit_are_kept() -> None:
    book = g.new_book(1, lots_max=LOTS_MAX)
    assert run(book, clear(), add(1, g.BUY, 4, 5), add(2, g.BUY, 4, LOTS_MAX - 5))[1][:3] == [1, 4, LOTS_MAX]


def test_a_slot_that_is_not_there_is_malformed_and_changes_nothing() -> None:
    book = g.new_book(2)
    for slot in (-1, 2):
        assert run(book, clear(slot), level(g.BUY, 1, 1, slot)) == ([g.CAUSE_MALFORMED] * 2, UNKNOWN)
    assert not book.slots.any()


def test_a_set_without_a_free_way_refuses_until_another_slot_forgets() -> None:
    book = g.new_book(2, order_capacity=8, ways=2)
    same_set = [0, 5, 10]  # four sets: 5 is 1 ^ 1, 10 is 2 ^ 2
    assert {g.order_set(ref, 4) for ref in same_set} == {0}
    run(book, clear(0), clear(1))
    run(book, *(add(ref, g.BUY, 1, 1, 0) for ref in same_set[:2]))
    assert run(book, add(10, g.BUY, 1, 1, 1))[0] == [g.CAUSE_FULL]
    assert run(book, clear(0), clear(1), add(10, g.BUY, 1, 1, 1))[0] == [0, 0, 0]
    # One that leaves makes room for what replaces it.
    run(book, add(0, g.BUY, 1, 1, 1))
    assert run(book, update(g.UPDATE_REPLACE, 1, ref=0, new_ref=5, price=1, lots=1))[0] == [0]
    assert run(book, add(0, g.BUY, 1, 1, 1))[0] == [g.CAUSE_FULL]


def test_a_roll_forgets_the_slot_alone() -> None:
    book = g.new_book(2)
    run(book, clear(0), clear(1), add(1, g.BUY, 4, 5, 0), add(1, g.BUY, 4, 6, 1))
    g.roll_slot(book, 0)
    assert run(book, add(2, g.BUY, 4, 5, 0)) == ([g.CAUSE_SKIPPED], UNKNOWN)
    assert run(book, reduce(1, 1, 1))[1] == [1, 4, 5, g.ABSENT, 0]
    assert run(book, clear(0), delete(1, 0))[0] == [0, g.CAUSE_ORPHAN]


def test_no_generation_comes_round_to_an_order_that_was_forgotten() -> None:
    book = g.new_book(2, order_capacity=8, ways=2, generations=4)
    run(book, clear(1), add(7, g.BUY, 4, 6, 1))
    for ref in range(40):
        assert run(book, clear(0), delete(ref - 1, 0))[0] == [0, g.CAUSE_ORPHAN]
        assert run(book, clear(0), add(ref, g.BUY, 4, 6, 0))[0] == [0, 0]
    assert run(book, delete(7, 1))[0] == [0]


@pytest.mark.parametrize(("ref", "wanted"), [(0, 0), (1023, 1023), (1024, 1), (1 << 60, 1), (-1, 0b1111), (5 << 20, 5)])
def test_a_ref_is_folded_to_its_set(ref: int, wanted: int) -> None:
    assert g.order_set(ref, 1024) == wanted  # -1: six chunks of ten ones cancel out, four ones are left


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"slot_count": 0}, "slot_count is 0; wanted at least 1"),
        ({"levels": 1}, "levels is 1; wanted at least 2"),
        ({"order_capacity": 12}, "order_capacity is 12; wanted 4 times a power of two"),
        ({"order_capacity": 4}, "order_capacity is 4; wanted at least 8"),
        ({"generations": 1}, "generations is 1; wanted at least 2"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        g.new_book(**sizes)


class Naive:
    """Every slot's orders and levels, all of them, in dictionaries; None once the feed contradicted itself."""

    def __init__(self) -> None:
        self.orders: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(SLOTS)]
        self.levels: list[dict[tuple[int, int], int]] = [defaultdict(int) for _ in range(SLOTS)]

    def move(self, slot: int, side: int, price: int, lots: int) -> None:
        at = self.levels[slot]
        at[side, price] += lots
        if at[side, price] <= 0:
            del at[side, price]

    def take(self, slot: int, ref: int, lots: int | None) -> int:
        side, price, has = self.orders[slot].get(ref, (0, 0, 0))
        taken = has if lots is None else min(lots, has)
        if taken:
            self.move(slot, side, price, -taken)
        self.orders[slot].pop(ref, None)
        if taken < has:
            self.orders[slot][ref] = (side, price, has - taken)
        return side

    def put(self, slot: int, ref: int, side: int, price: int, lots: int) -> None:
        self.orders[slot][ref] = (side, price, lots)
        self.move(slot, side, price, lots)

    def apply(self, row: list[int]) -> None:
        kind, slot, side, price, lots, ask, ask_lots, ref, new_ref, _ = row
        if kind in (g.UPDATE_QUOTE, g.UPDATE_CLEAR):
            self.orders[slot], self.levels[slot] = {}, defaultdict(int)
            if kind == g.UPDATE_QUOTE:
                sides = ((g.BUY, price, lots), (g.SELL, ask, ask_lots))
                self.levels[slot] |= {(s, p): q for s, p, q in sides if p != g.ABSENT and q}
        elif kind == g.UPDATE_LEVEL:
            self.levels[slot].pop((side, price), None)
            if lots:
                self.levels[slot][side, price] = lots
        elif kind == g.UPDATE_ADD:
            self.put(slot, ref, side, price, lots)
        elif kind in (g.UPDATE_REDUCE, g.UPDATE_DELETE):
            self.take(slot, ref, lots if kind == g.UPDATE_REDUCE else None)
        elif kind == g.UPDATE_REPLACE:
            self.put(slot, new_ref, self.take(slot, ref, None), price, lots)
        elif kind == g.UPDATE_SET:
            self.take(slot, ref, None)
            self.put(slot, ref, side, price, lots)

    def top(self, slot: int) -> list[int]:
        """Return bid, lots, ask, lots."""
        out: list[int] = []
        for side, best in ((g.BUY, max), (g.SELL, min)):
            prices = [price for its_side, price in self.levels[slot] if its_side == side]
            out += [best(prices), self.levels[slot][side, best(prices)]] if prices else [g.ABSENT, 0]
        return out


def rows(habit: str) -> st.SearchStrategy[list[int]]:
    """Return updates of a few refs and prices, so that they meet: of orders, or of levels and quotes."""
    slot, side, price = st.integers(0, SLOTS - 1), st.sampled_from([g.BUY, g.SELL]), st.integers(-4, 4)
    lots, ref = st.sampled_from([1, 2, 3, 12]), st.integers(0, 12)
    begin = st.builds(update, st.just(g.UPDATE_CLEAR), slot)
    if habit == "levels":
        quote = st.builds(
            lambda slot, values: update(g.UPDATE_QUOTE, slot, **values), slot,
            st.fixed_dictionaries({"price": price, "lots": lots, "ask": price, "ask_lots": st.sampled_from([0, 2])}),
        )  # fmt: skip
        any_level = st.builds(level, side, price, st.sampled_from([0, 0, 1, 5]), slot)
        return st.one_of(any_level, any_level, any_level, any_level, quote, begin)
    replace = st.builds(
        lambda slot, values: update(g.UPDATE_REPLACE, slot, **values), slot,
        st.fixed_dictionaries({"ref": ref, "new_ref": ref, "price": price, "lots": lots}),
    )  # fmt: skip
    put = st.builds(
        lambda slot, values: update(g.UPDATE_SET, slot, **values), slot,
        st.fixed_dictionaries({"ref": ref, "side": side, "price": price, "lots": lots}),
    )  # fmt: skip
    adds = st.builds(add, ref, side, price, lots, slot)
    return st.one_of(
        adds, adds, adds, st.builds(reduce, ref, lots, slot), st.builds(delete, ref, slot), replace, put, put, begin
    )


def check_rows(book: g.Book) -> None:
    """Assert what holds of every row and of every set at all times."""
    for slot in range(SLOTS):
        for side in (g.BUY, g.SELL):
            kept = g.levels_of(book, slot, side)
            prices = [price for price, _ in kept]
            assert len(kept) <= book.head[g.HEAD_LEVELS]
            assert prices == sorted(set(prices), reverse=side == g.BUY)
            if book.slots[slot, g.SLOT_KNOWN]:
                assert all(0 < lots <= book.head[g.HEAD_LOTS_MAX] for _, lots in kept)
    assert book.head[g.HEAD_KNOWN] == book.slots[:, g.SLOT_KNOWN].sum()


@settings(max_examples=150)
@given(
    st.sampled_from(["orders", "levels"]).flatmap(lambda habit: st.lists(rows(habit), max_size=60)),
    st.sampled_from([2, 3, 4]), st.sampled_from([(8, 2), (64, 4)]), st.sampled_from([2, 64]),
)  # fmt: skip
def test_a_known_top_is_that_of_a_book_of_full_depth(
    updates: list[list[int]], levels: int, store: tuple[int, int], generations: int
) -> None:
    book = g.new_book(SLOTS, levels, *store, lots_max=LOTS_MAX, generations=generations)
    naive, top = Naive(), g.new_tops(1)[0]
    for row in [clear(slot) for slot in range(SLOTS)] + updates:
        naive.apply(row)
        cause = g.apply_update(book, np.array(row, np.int64), top)
        check_rows(book)
        assert (cause == g.CAUSE_NONE) == bool(top[g.TOP_KNOWN])
        if top[g.TOP_KNOWN]:
            assert top[g.TOP_BID : g.TOP_AT_NS].tolist() == naive.top(row[g.UPDATE_SLOT])


def random_rows(count: int) -> Any:
    """Return an array of updates, most of them odd."""
    rng = np.random.default_rng(5)
    table = rng.integers(-1, 12, (count, g.UPDATE_WIDTH))
    table[:, g.UPDATE_KIND] = rng.integers(1, 10, count)
    table[:, g.UPDATE_SLOT] = rng.integers(0, SLOTS, count)
    table[:, g.UPDATE_SIDE] = rng.integers(1, 3, count)
    table[:, g.UPDATE_LOTS] = rng.integers(0, 9, count)
    table[:, g.UPDATE_ASK_LOTS] = rng.integers(0, 9, count)
    return table


def test_compiled_it_does_the_same() -> None:
    compiled = compile_golden(g)
    updates = random_rows(3_000)
    plain, fast = (g.new_book(SLOTS, 2, 8, 2, LOTS_MAX, 3) for _ in range(2))
    plain_tops, fast_tops = g.new_tops(len(updates)), g.new_tops(len(updates))
    assert compiled.apply_updates(fast, updates, fast_tops) == g.apply_updates(plain, updates, plain_tops)
    compiled.roll_slot(fast, 1)
    g.roll_slot(plain, 1)
    assert (plain_tops == fast_tops).all()
    for one, other in zip(plain, fast, strict=True):
        assert (one == other).all()
    assert all(g.counts(plain)[cause] for cause in (g.CAUSE_NONE, g.CAUSE_SKIPPED, g.CAUSE_ORPHAN, g.CAUSE_MALFORMED))


def real_diffs(path: Path, most: int) -> Iterator[dict[str, Any]]:
    """Return the snapshot of a capture, then the diffs after it; "b" and "a" list (price, lots)."""
    begun = 0
    with gzip.open(path, "rt") as lines:
        for line in lines:
            message = json.loads(line.partition(" ")[2])
            if "lastUpdateId" in message:
                begun = message["lastUpdateId"]
                yield {"b": message["bids"], "a": message["asks"]}
            data = message.get("data", {})
            if data.get("e") == "depthUpdate" and begun and data["u"] >= begun:
                yield data
                most -= 1
                if not most:
                    return


def known_share(diffs: list[dict[str, Any]], levels: int, snapshot: int) -> tuple[float, int]:
    """Return the share of updates whose top was known, and how often the feed sent a snapshot; check every known top.

    A slot that is unknown at the end of a diff gets a snapshot of so many levels, as a venue's recovery would send it.
    """
    compiled = compile_golden(g)
    book = compiled.new_book(1, levels)
    full: dict[int, dict[int, int]] = {g.BUY: {}, g.SELL: {}}
    updates = known = snapshots = 0

    def apply(rows: list[list[int]]) -> Any:
        tops = g.new_tops(len(rows))
        compiled.apply_updates(book, np.array(rows, np.int64), tops)
        return tops

    for nth, diff in enumerate(diffs):
        rows = [clear()] if nth == 0 else []
        for name, side in (("b", g.BUY), ("a", g.SELL)):
            for price, qty in diff[name]:
                ticks, lots = round(float(price) * 10), round(float(qty) * 1000)
                full[side].pop(ticks, None)
                full[side] |= {ticks: lots} if lots else {}
                rows.append(level(side, ticks, lots))
        tops = apply(rows)
        updates, known = updates + len(rows), known + int(tops[:, g.TOP_KNOWN].sum())
        bid, ask = max(full[g.BUY]), min(full[g.SELL])
        if tops[-1, g.TOP_KNOWN]:
            assert tops[-1, g.TOP_BID : g.TOP_AT_NS].tolist() == [bid, full[g.BUY][bid], ask, full[g.SELL][ask]]
            continue
        snapshots += 1
        rows = [clear()]
        for side in (g.BUY, g.SELL):
            best = sorted(full[side], reverse=side == g.BUY)[:snapshot]
            rows += [level(side, price, full[side][price]) for price in best]
        tops = apply(rows)
        assert tops[-1, g.TOP_KNOWN : g.TOP_AT_NS].tolist() == [1, bid, full[g.BUY][bid], ask, full[g.SELL][ask]]
    return known / updates, snapshots


def test_a_real_book_of_levels_is_known_as_often_as_its_kept_depth_allows(shared_dir: Path) -> None:
    path = shared_dir / "data" / "orderbook" / "binance_usdm_btcusdt_20240808.gz"
    diffs = list(real_diffs(path, most=1_500))
    assert len(diffs) == 1_501
    share = {levels: known_share(diffs, levels, snapshot=50) for levels in (4, 8, 32)}
    print("share of updates with a known top, and snapshots, by kept levels:", share)
    assert share[4][0] < share[8][0] < share[32][0]
    assert share[8][0] > 0.5


def test_a_slot_that_begins_is_known_and_empty() -> None:
    book = g.new_book(2)
    order_only = [add(7, g.BUY, -5, 3), delete(7)]
    assert run(book, *order_only) == ([g.CAUSE_SKIPPED] * 2, UNKNOWN)
    g.begin_slot(book, 0)
    assert run(book, add(7, g.BUY, -5, 3)) == ([g.CAUSE_NONE], [1, -5, 3, g.ABSENT, 0])
    g.begin_slot(book, 0)  # its orders are forgotten, its levels too
    assert run(book, level(g.SELL, 9, 1)) == ([g.CAUSE_NONE], [1, g.ABSENT, 0, 9, 1])
    assert run(book, delete(7)) == ([g.CAUSE_ORPHAN], UNKNOWN)
    assert (book.head[g.HEAD_ROLLS], book.head[g.HEAD_KNOWN]) == (2, 0)
