"""Proves the matching engine against a reference of lists and sorts; no lot is lost, no output table overrun."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.events.enums import OrderKind, Side
from penstock_sdk.golden import matching as m

BOOKS, ORDERS, LEVELS = 2, 6, 4
Command = tuple[int, int, int, int, int, int, int, int]
Row = tuple[int, ...]


@dataclass
class Resting:
    order_id: int
    owner: int
    book: int
    side: int
    price: int
    qty: int


@dataclass
class Reference:
    """A book as one would explain it: a list of resting orders in order of arrival, sorted when something deals."""

    orders: list[Resting] = field(default_factory=list)
    opened: set[int] = field(default_factory=set)
    fills: list[Row] = field(default_factory=list)
    cancels: list[Row] = field(default_factory=list)

    def step(self, command: Command) -> int:
        op, book, order_id, owner, side, kind, price, qty = command
        self.fills, self.cancels = [], []
        if op == m.OP_SUBMIT:
            return self.submit(book, order_id, owner, side, kind, price, qty)
        if op == m.OP_CANCEL:
            return self.cancel(order_id)
        if op == m.OP_AMEND:
            return self.amend(order_id, price, qty)
        if op not in (m.OP_CANCEL_OWNER, m.OP_OPEN, m.OP_CLOSE):
            return m.REFUSED_MALFORMED
        if not 0 <= book < BOOKS and not (op == m.OP_CANCEL_OWNER and book == m.ALL_BOOKS):
            return m.REFUSED_UNKNOWN_BOOK
        if op == m.OP_OPEN:
            self.opened.add(book)
            return m.DONE
        if op == m.OP_CLOSE:
            self.opened.discard(book)
        goners = [o for o in self.orders if book in (m.ALL_BOOKS, o.book) and (op == m.OP_CLOSE or o.owner == owner)]
        for order in sorted(goners, key=lambda o: (o.book, o.side, rank(o.side, o.price))):
            self.drop(order, m.CAUSE_CLOSED if op == m.OP_CLOSE else m.CAUSE_OWNER)
        return m.DONE

    def submit(self, book: int, order_id: int, owner: int, side: int, kind: int, price: int, qty: int) -> int:
        if not 0 <= book < BOOKS:
            return m.REFUSED_UNKNOWN_BOOK
        if book not in self.opened:
            return m.REFUSED_CLOSED
        if order_id <= 0 or owner < 0 or side not in (1, 2) or kind not in (1, 2, 3, 4):
            return m.REFUSED_MALFORMED
        if price == m.ABSENT and kind != m.MARKET:
            return m.REFUSED_PRICE
        if not 0 < qty <= m.QTY_MAX_LOTS:
            return m.REFUSED_QTY
        if any(o.order_id == order_id for o in self.orders):
            return m.REFUSED_DUPLICATE
        if kind == m.LIMIT and (len(self.orders) == ORDERS or len(self.levels()) == LEVELS):
            return m.REFUSED_CAPACITY
        limit = price if kind != m.MARKET else (m.PRICE_MAX if side == m.BUY else m.ABSENT)
        others = [o for o in self.facing(book, side, limit) if not own(o, owner)]
        if kind == m.FOK and sum(o.qty for o in others) < qty:
            return m.REFUSED_CANNOT_FILL
        left = self.deal(book, order_id, owner, side, limit, qty)
        if left and kind == m.LIMIT:
            self.orders.append(Resting(order_id, owner, book, side, price, left))
        if not left:
            return m.FILLED
        if kind == m.LIMIT:
            return m.ACCEPTED if left == qty else m.PARTIAL
        return m.CANCELLED if left == qty else m.PARTIAL_CANCELLED

    def cancel(self, order_id: int) -> int:
        for order in self.orders:
            if order.order_id == order_id:
                self.drop(order, m.CAUSE_REQUEST)
                return m.CANCELLED
        return m.REFUSED_UNKNOWN_ORDER

    def amend(self, order_id: int, price: int, qty: int) -> int:
        order = next((o for o in self.orders if o.order_id == order_id), None)
        if order is None:
            return m.REFUSED_UNKNOWN_ORDER
        if price == m.ABSENT:
            return m.REFUSED_PRICE
        if not 0 < qty <= m.QTY_MAX_LOTS:
            return m.REFUSED_QTY
        if price == order.price and qty <= order.qty:
            order.qty = qty
            return m.ACCEPTED
        alone = sum((o.book, o.side, o.price) == (order.book, order.side, order.price) for o in self.orders) == 1
        if price != order.price and not alone and len(self.levels()) == LEVELS:
            return m.REFUSED_CAPACITY
        self.orders.remove(order)
        return self.submit(order.book, order_id, order.owner, order.side, m.LIMIT, price, qty)

    def facing(self, book: int, side: int, limit: int) -> list[Resting]:
        other = m.BUY + m.SELL - side
        found = [o for o in self.orders if (o.book, o.side) == (book, other)]
        found = [o for o in found if (o.price <= limit if side == m.BUY else o.price >= limit)]
        return sorted(found, key=lambda o: rank(other, o.price))  # stable: arrival decides among equals

    def deal(self, book: int, order_id: int, owner: int, side: int, limit: int, left: int) -> int:
        for maker in self.facing(book, side, limit):
            if not left:
                break
            if own(maker, owner):
                self.drop(maker, m.CAUSE_SELF_TRADE)
                continue
            dealt = min(left, maker.qty)
            maker.qty, left = maker.qty - dealt, left - dealt
            ids = (maker.order_id, maker.owner, order_id, owner)
            self.fills.append((*ids, book, side, maker.price, dealt, maker.qty, left))
            if not maker.qty:
                self.orders.remove(maker)
        return left

    def drop(self, order: Resting, cause: int) -> None:
        self.orders.remove(order)
        self.cancels.append((order.order_id, order.owner, order.book, order.side, order.price, order.qty, cause))

    def levels(self) -> dict[Row, Row]:
        totals: dict[Row, Row] = {}
        for o in self.orders:
            qty, count = totals.get((o.book, o.side, o.price), (0, 0))
            totals[o.book, o.side, o.price] = (qty + o.qty, count + 1)
        return totals

    def depth(self, book: int) -> list[list[Row]]:
        found = self.levels()
        return [
            [(key[2], *found[key]) for key in sorted(found, key=lambda k: rank(side, k[2])) if key[:2] == (book, side)]
            for side in (m.BUY, m.SELL)
        ]

    def top(self, book: int) -> Row:
        bids = [key for key in self.levels() if key[:2] == (book, m.BUY)]
        asks = [key for key in self.levels() if key[:2] == (book, m.SELL)]
        top: list[int] = []
        for best in (max(bids, default=None), min(asks, default=None)):
            top += [m.ABSENT, m.ABSENT] if best is None else [best[2], self.levels()[best][0]]
        return tuple(top)


def rank(side: int, price: int) -> int:
    return -price if side == m.BUY else price


def own(order: Resting, owner: int) -> bool:
    return owner != m.ANONYMOUS and order.owner == owner


def rows(table: m.Table) -> list[Row]:
    return [tuple(int(cell) for cell in row) for row in table]


PRICES = st.one_of(st.integers(-3, 3), st.sampled_from([m.ABSENT, m.ABSENT + 1, m.PRICE_MAX]))
QTYS = st.one_of(st.integers(1, 6), st.sampled_from([-1, 0, m.QTY_MAX_LOTS, m.QTY_MAX_LOTS + 1]))
SUBMITS = st.tuples(
    st.just(m.OP_SUBMIT),
    st.sampled_from([0, 0, 0, 0, 1, 1, -1, BOOKS]),
    st.one_of(st.integers(1, 10), st.sampled_from([0, -1, 1 << 62])),
    st.integers(-1, 3),
    st.sampled_from([1, 1, 1, 2, 2, 2, 0, 3]),
    st.sampled_from([1, 1, 1, 1, 2, 3, 4, 0, 5]),
    PRICES,
    QTYS,
)
GOOD_SUBMITS = st.tuples(
    st.just(m.OP_SUBMIT), st.just(0), st.integers(1, 7), st.integers(0, 3), st.integers(1, 2),
    st.sampled_from([1, 1, 1, 2, 3, 4]), st.integers(-2, 2), st.integers(1, 6),
)  # fmt: skip
OTHERS = st.tuples(
    st.sampled_from([2, 2, 3, 3, 3, 4, 5, 6, 0]), st.integers(-2, BOOKS), st.integers(-1, 10), st.integers(0, 3),
    st.just(0), st.just(0), PRICES, QTYS,
)  # fmt: skip
GOOD_CHANGES = st.tuples(
    st.sampled_from([m.OP_AMEND, m.OP_AMEND, m.OP_CANCEL]), st.just(0), st.integers(1, 7), st.just(0),
    st.just(0), st.just(0), st.integers(-2, 2), st.integers(1, 6),
)  # fmt: skip
STREAMS = st.lists(st.one_of(SUBMITS, GOOD_SUBMITS, GOOD_SUBMITS, GOOD_CHANGES, OTHERS), min_size=5, max_size=40)
OPENING: list[Command] = [(m.OP_OPEN, book, 0, 0, 0, 0, 0, 0) for book in range(BOOKS)]


def scalar(state: m.Table, out: m.Table, command: Command) -> int:
    op, book, order_id, owner, side, kind, price, qty = command
    if op == m.OP_SUBMIT:
        return m.submit(state, out, book, order_id, owner, side, kind, price, qty)
    if op == m.OP_CANCEL:
        return m.cancel(state, out, order_id)
    if op == m.OP_AMEND:
        return m.amend(state, out, order_id, price, qty)
    if op == m.OP_CANCEL_OWNER:
        return m.cancel_owner(state, out, book, owner)
    if op == m.OP_OPEN:
        return m.open_book(state, out, book)
    if op == m.OP_CLOSE:
        return m.close_book(state, out, book)
    m.submit_frame(state, out, np.array([command], np.int64), 0)
    return int(m.results(out)[0, m.RESULT_STATUS])


def seeded_commands(seed: int, count: int) -> list[Command]:
    """Return a long stream in which most commands are sound and meet a busy book; the rest are of every wrong kind."""
    draw = np.random.default_rng(seed)
    columns = [
        draw.choice([1, 2, 3, 4, 5, 6, 0], count, p=[0.6, 0.1, 0.23, 0.03, 0.02, 0.01, 0.01]),
        draw.choice([0, 1, -1, BOOKS], count, p=[0.5, 0.48, 0.01, 0.01]),
        draw.choice([0, *range(1, 10)], count, p=[0.01, *[0.11] * 9]),
        draw.choice([0, 1, 2, 3, -1], count, p=[0.5, 0.2, 0.2, 0.09, 0.01]),
        draw.choice([1, 2, 0, 3], count, p=[0.49, 0.49, 0.01, 0.01]),
        draw.choice([1, 2, 3, 4, 0, 5], count, p=[0.8, 0.06, 0.06, 0.06, 0.01, 0.01]),
        draw.choice([-2, -1, 0, 1, 2, m.ABSENT], count, p=[0.2, 0.2, 0.2, 0.2, 0.19, 0.01]),
        draw.choice([1, 2, 3, 4, 5, 6, 0], count, p=[0.2, 0.2, 0.2, 0.2, 0.1, 0.09, 0.01]),
    ]
    return [tuple(int(cell) for cell in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_engine_does_what_the_reference_does_over_a_long_stream(seed: int) -> None:
    compare_with_reference(seeded_commands(seed, 2_000))


@settings(max_examples=150, deadline=None)
@given(STREAMS)
def test_engine_does_what_the_reference_does(commands: list[Command]) -> None:
    compare_with_reference(commands)


def compare_with_reference(commands: list[Command]) -> None:
    state, out, reference = m.new_engine(BOOKS, ORDERS, LEVELS), m.new_out(16), Reference()
    for command in OPENING + commands:
        before = reference.levels()
        tops_before = [reference.top(book) for book in range(BOOKS)]
        wanted = reference.step(command)
        status = scalar(state, out, command)
        assert status == wanted, (m.STATUS_NAMES.get(status), m.STATUS_NAMES.get(wanted))
        assert [row[1:11] for row in rows(m.fills(out))] == reference.fills
        assert [row[1:8] for row in rows(m.cancels(out))] == reference.cancels
        after = reference.levels()
        changes = {row[1:4]: row[4:6] for row in rows(m.level_changes(out))}
        assert len(changes) == len(m.level_changes(out)), "a level was written twice"
        assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} <= changes.keys()
        assert all(after.get(key, (0, 0)) == totals for key, totals in changes.items())
        written = {row[1]: row[2:6] for row in rows(m.tops(out))}
        assert all(reference.top(book) == top for book, top in written.items())
        assert {book for book in range(BOOKS) if reference.top(book) != tops_before[book]} <= written.keys()
        for book in range(BOOKS):
            assert depth(state, book) == reference.depth(book)
        m.check(state)


@settings(max_examples=60, deadline=None)
@given(STREAMS)
def test_every_lot_submitted_is_dealt_rests_or_is_cancelled(commands: list[Command]) -> None:
    state, out = m.new_engine(BOOKS, ORDERS, LEVELS), m.new_out(16)
    submitted = gone = 0
    for command in OPENING + [c for c in commands if c[0] != m.OP_AMEND]:
        status = scalar(state, out, command)
        result = m.results(out)[0]
        if command[0] == m.OP_SUBMIT and status < m.REFUSED:
            submitted += command[7]
            assert command[7] == sum(result[[m.RESULT_FILLED, m.RESULT_RESTING, m.RESULT_CANCELLED]])
            gone += int(result[m.RESULT_CANCELLED])
        gone += 2 * int(m.fills(out)[:, m.FILL_QTY].sum()) + int(m.cancels(out)[:, m.CANCEL_QTY].sum())
        base = 1 + BOOKS
        in_use = state[base : base + LEVELS, m.LEVEL_KEY] != 0
        resting = int(state[base : base + LEVELS, m.LEVEL_QTY][in_use].sum())
        assert submitted == gone + resting


@settings(max_examples=60, deadline=None)
@given(STREAMS, st.integers(4, 9))
def test_a_frame_through_a_small_out_equals_one_call_through_a_large_one(commands: list[Command], room: int) -> None:
    compare_small_with_large(commands, room)


@pytest.mark.parametrize("room", [4, 5, 6, 7, 8, 9, 12, 40])
def test_a_long_frame_through_a_small_out_equals_one_call_through_a_large_one(room: int) -> None:
    compare_small_with_large(seeded_commands(room, 600), room)


def compare_small_with_large(commands: list[Command], room: int) -> None:
    frame = np.array(OPENING + commands, np.int64)
    large, large_out = m.new_engine(BOOKS, ORDERS, LEVELS), m.new_out(2_000)
    assert m.submit_frame(large, large_out, frame, 0) == len(frame)
    small, small_out = m.new_engine(BOOKS, ORDERS, LEVELS), m.new_out(room)
    fills, cancels, results, at = [], [], [], 0
    while at < len(frame):
        before = at
        at = m.submit_frame(small, small_out, frame, at)
        assert small_out[0, m.OUT_RESULTS : m.OUT_TOPS + 1].max() <= room, "a section ran over"
        assert at > before or m.results(small_out)[-1, m.RESULT_STATUS] == m.MORE, "no progress"
        fills += rows(m.fills(small_out))
        cancels += rows(m.cancels(small_out))
        results += [row for row in rows(m.results(small_out)) if row[1] != m.MORE]
    m.check(small)
    if any(row[1] == m.REFUSED_OUT_FULL for row in results):
        return  # an order was refused for want of room: the books differ from there on
    assert fills == rows(m.fills(large_out))
    assert cancels == rows(m.cancels(large_out))
    assert [row[:2] for row in results] == [row[:2] for row in rows(m.results(large_out))]
    for book in range(BOOKS):
        assert depth(small, book) == depth(large, book)
        assert depth(small, book)[0][:1] == shallow(small, book)


def shallow(state: m.Table, book: int) -> list[Row]:
    found = np.zeros((1, 3), np.int64)
    return rows(found[: m.levels_of(state, book, m.BUY, 1, found)])


def depth(state: m.Table, book: int) -> list[list[Row]]:
    found = np.zeros((LEVELS, 3), np.int64)
    return [rows(found[: m.levels_of(state, book, side, LEVELS, found)]) for side in (m.BUY, m.SELL)]


def opened(capacity: int = 16) -> tuple[m.Table, m.Table]:
    state, out = m.new_engine(1, 16, 16), m.new_out(capacity)
    m.open_book(state, out, 0)
    return state, out


def test_an_order_that_needs_more_room_than_out_has_is_refused_and_changes_nothing() -> None:
    state, out = opened(4)
    for order_id in range(1, 6):
        m.submit(state, out, 0, order_id, 0, m.SELL, m.LIMIT, 10, 1)
    before = state.copy()
    assert m.submit(state, out, 0, 9, 0, m.BUY, m.IOC, 10, 5) == m.REFUSED_OUT_FULL
    assert np.array_equal(state, before)
    assert m.submit(state, out, 0, 9, 0, m.BUY, m.IOC, 10, 3) == m.FILLED


def test_closing_through_a_small_out_takes_several_calls_and_the_book_is_shut_at_once() -> None:
    state, out = opened(4)
    for order_id in range(1, 11):
        m.submit(state, out, 0, order_id, 0, m.SELL, m.LIMIT, order_id, 1)
    statuses, cancelled = [], 0
    for _ in range(3):
        statuses.append(m.close_book(state, out, 0))
        cancelled += len(m.cancels(out))
        assert m.submit(state, out, 0, 50, 0, m.BUY, m.LIMIT, 1, 1) == m.REFUSED_CLOSED
    assert (statuses, cancelled) == ([m.MORE, m.MORE, m.DONE], 10)
    m.check(state)


def test_a_copy_of_the_state_restores_the_engine() -> None:
    state, out = opened()
    m.submit(state, out, 0, 1, 0, m.SELL, m.LIMIT, -4, 3)
    saved = [array.copy() for array in m.state_arrays(state)]
    m.cancel(state, out, 1)
    for array, copy in zip(m.state_arrays(state), saved, strict=True):
        array[...] = copy
    m.check(state)
    assert m.submit(state, out, 0, 2, 0, m.BUY, m.MARKET, m.ABSENT, 3) == m.FILLED


def test_ids_that_share_a_bucket_are_told_apart() -> None:
    state, out = opened()
    ids = [1, 17, 33, 1 + (16 << 20)]
    for order_id in ids:
        m.submit(state, out, 0, order_id, 0, m.BUY, m.LIMIT, 5, order_id % 1000 + 1)
    assert m.cancel(state, out, 17) == m.CANCELLED
    assert m.cancel(state, out, 17) == m.REFUSED_UNKNOWN_ORDER
    assert m.submit(state, out, 0, 33, 0, m.BUY, m.LIMIT, 5, 1) == m.REFUSED_DUPLICATE
    m.check(state)


def test_levels_of_a_book_or_side_that_is_not_there_are_none() -> None:
    state, out = opened()
    m.submit(state, out, 0, 1, 0, m.BUY, m.LIMIT, 5, 7)
    found = np.zeros((1, 3), np.int64)
    wanted = [(0, m.BUY, 1), (0, 0, 0), (0, 3, 0), (-1, m.BUY, 0), (1, m.BUY, 0)]
    assert [(book, side, m.levels_of(state, book, side, 1, found)) for book, side, _ in wanted] == wanted


def test_check_finds_a_total_that_is_off_by_one() -> None:
    state, out = opened()
    m.submit(state, out, 0, 1, 0, m.BUY, m.LIMIT, 5, 7)
    state[int(state[1, m.BOOK_BEST + m.BUY]), m.LEVEL_QTY] += 1
    with pytest.raises(AssertionError):
        m.check(state)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, m.ROWS_MAX + 1)])
def test_sizes_out_of_range_are_refused_by_name(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^(book_count|order_capacity|level_capacity) is \d+; wanted 1 to"):
        m.new_engine(*sizes)


def test_an_out_too_small_for_one_cancel_is_refused() -> None:
    with pytest.raises(ValueError, match="^capacity is 3; wanted at least 4$"):
        m.new_out(3)


def test_sides_and_kinds_are_those_of_the_records() -> None:
    assert [m.BUY, m.SELL] == [Side.BUY, Side.SELL] == [1, 2]
    kinds = [OrderKind.LIMIT, OrderKind.IOC, OrderKind.FOK, OrderKind.MARKET]
    assert kinds == [m.LIMIT, m.IOC, m.FOK, m.MARKET]
    assert m.REASON_OF_STATUS.keys() == {status for status in m.STATUS_NAMES if status >= m.REFUSED}
