"""Lanes let control and orders pass first and whole; of data what is lost is the old, and every loss is counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_kernel.lanes import Lanes
from penstock_sdk.events import (
    Alert,
    BookPriceDelta,
    ExecutionReport,
    Limit,
    Mark,
    Observation,
    OperatorCommand,
    Position,
    Quote,
    Severity,
    Tradability,
    Trade,
)
from penstock_sdk.schema import Frame

LIMIT = 6
CONTROL = ("alert", "command", "limit")
ORDERS = ("report", "position")
DATA = ("quote", "trade", "delta", "observation", "mark")


def make(kind: str, number: int) -> Any:
    """Return an event that bears its number, of one of three listings."""
    listing_id = 1 + number % 3
    makers: dict[str, Any] = {
        "alert": lambda: Alert(code=str(number), severity=Severity.INFO, subject="", met=""),
        "command": lambda: OperatorCommand(command="kill", who="", why=str(number)),
        "limit": lambda: Limit(1, value=number),
        "report": lambda: ExecutionReport(number),
        "position": lambda: Position(1, net_lots=number),
        "quote": lambda: Quote(listing_id, bid_ticks=number),
        "trade": lambda: Trade(listing_id, trade_id=number),
        "delta": lambda: BookPriceDelta(listing_id, revision=number),
        "observation": lambda: Observation(listing_id, value=float(number)),
        "mark": lambda: Mark(listing_id, mark_ticks=number),
    }
    return makers[kind]()


OFFERS = st.tuples(st.sampled_from(CONTROL + ORDERS + DATA + DATA), st.sampled_from([1, 1, 1, 3]))
STEPS = st.lists(OFFERS | st.just(("take", 1)) | st.tuples(st.just("quote"), st.sampled_from([1, 4])), max_size=80)


class Run:
    """Lanes, what was offered, and what was taken, by kind."""

    def __init__(self) -> None:
        self.lanes = Lanes(lambda topic: LIMIT)
        self.offered: dict[str, list[Any]] = defaultdict(list)
        self.taken: dict[str, list[Any]] = defaultdict(list)
        self.stale: list[int] = []
        self.kinds: dict[type, str] = {}
        self.waiting_first = 0
        self.waiting_orders = 0

    def offer(self, kind: str, count: int, number: int) -> None:
        rows = [make(kind, number + i) for i in range(count)]
        self.kinds[type(rows[0])] = kind
        self.offered[kind] += rows
        framed = count > 1 and kind in DATA
        for event in [Frame.of(rows)] if framed else rows:
            self.lanes.offer(event, "feed")
        self.waiting_first += count * (kind in CONTROL)
        self.waiting_orders += count * (kind in ORDERS)

    def take(self) -> bool:
        item = self.lanes.take()
        if item is None:
            return False
        event, producer = item
        assert producer == "feed"
        if isinstance(event, Quote) and event.tradability == Tradability.STALE:
            self.stale.append(event.listing_id)
            return True
        rows = list(event.records()) if isinstance(event, Frame) else [event]
        kind = self.kinds[type(rows[0])]
        self.taken[kind] += rows
        if kind in CONTROL:
            self.waiting_first -= 1
        elif kind in ORDERS:
            assert self.waiting_first == 0
            self.waiting_orders -= 1
        else:
            assert self.waiting_first == self.waiting_orders == 0
        return True


@given(STEPS)
@settings(max_examples=300)
def test_every_offer_is_taken_or_counted_as_lost(steps: list[tuple[str, int]]) -> None:
    run = Run()
    number = 0
    for kind, count in steps:
        if kind == "take":
            run.take()
        else:
            run.offer(kind, count, number)
            number += count
    while run.take():
        pass
    assert len(run.lanes) == 0
    for kind in CONTROL + ORDERS:
        assert run.taken[kind] == run.offered[kind]
    lost = Counter({kind: len(run.offered[kind]) - len(run.taken[kind]) for kind in DATA})
    names = {"delta": "book_price_delta.dropped", "quote": "quote.conflated"}
    for kind in DATA:
        assert run.lanes.lost[names.get(kind, f"{kind}.dropped")] == lost[kind]
    check_quotes(run)
    for kind in ("trade", "observation", "mark"):
        check_oldest_dropped(run.offered[kind], run.taken[kind])
    check_deltas(run)


def check_quotes(run: Run) -> None:
    """Of each listing the newest is taken, in its own order."""
    for listing_id in (1, 2, 3):
        offered = [quote.bid_ticks for quote in run.offered["quote"] if quote.listing_id == listing_id]
        taken = [quote.bid_ticks for quote in run.taken["quote"] if quote.listing_id == listing_id]
        assert taken == sorted(taken)
        assert taken[-1:] == offered[-1:]


def check_oldest_dropped(offered: list[Any], taken: list[Any]) -> None:
    """What is taken is in order, and the last that came is never what is dropped."""
    places = [offered.index(row) for row in taken]
    assert places == sorted(places)
    assert taken[-1:] == offered[-1:]


def check_deltas(run: Run) -> None:
    """Deltas are kept in order, and each listing that lost one is told stale, once."""
    kept = {delta.revision for delta in run.taken["delta"]}
    assert [d.revision for d in run.taken["delta"]] == sorted(kept)
    hurt = {delta.listing_id for delta in run.offered["delta"] if delta.revision not in kept}
    assert sorted(run.stale) == sorted(hurt) == [listing_id for listing_id, _ in run.lanes.stale_listings()]
    assert run.lanes.stale_listings() == []


def test_a_kill_does_not_wait_behind_a_burst() -> None:
    lanes = Lanes(lambda topic: 10**6)
    for number in range(1_000):
        lanes.offer(make("trade", number), None)
    lanes.offer(make("report", 1), None)
    lanes.offer(make("command", 1), None)
    taken = [lanes.take() for _ in range(3)]
    assert [type(item[0]).__name__ for item in taken if item] == ["OperatorCommand", "ExecutionReport", "Trade"]


def test_each_topic_has_its_own_limit() -> None:
    asked: list[str] = []

    def limit_for(topic: str) -> int:
        asked.append(topic)
        return {"market.trade": 1}.get(topic, 100)

    lanes = Lanes(limit_for)
    for number in range(5):
        lanes.offer(make("trade", number), None)
        lanes.offer(make("mark", number), None)
    assert lanes.lost == {"trade.dropped": 4}
    assert sorted(asked) == ["market.mark", "market.trade"]


def test_memory_is_bounded_under_a_burst_of_each_kind() -> None:
    run = Run()
    for number in range(0, 3_000, 3):
        for kind in DATA:
            run.offer(kind, 3, number)
    assert len(run.lanes) <= (LIMIT + 4) * len(DATA) + 3


def test_a_listing_whose_deltas_are_lost_again_after_its_snapshot_is_told_again() -> None:
    run = Run()
    for _ in range(2):
        for number in range(LIMIT + 2):
            run.offer("delta", 1, 3 * number)
        while run.take():
            pass
        assert [listing_id for listing_id, _ in run.lanes.stale_listings()] == [1]
    assert run.stale == [1, 1]
