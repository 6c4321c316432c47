"""A plugin that comes back is told what it would have heard: its schemas, its own orders, what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from penstock_kernel.hosts import returning
from penstock_kernel.hosts.past import FRAMES_MAX, Past, Told
from penstock_sdk.events import CheckVerdict, Order, OrderState, PluginState, PluginStatus, Quote, Timer
from penstock_sdk.plugin import Outcome, RiskCheck
from penstock_sdk.schema import Frame, schema_by_id
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES
from penstock_sdk.wire.segment import FrameView
from sdk.tests.core_toys import Obedient, PassAll, Trader

QUOTE, ORDER, TIMER = Quote.layout.id, Order.layout.id, Timer.layout.id


class Buys(Trader):
    def on_quote(self, quote: Quote) -> Outcome:
        self.ctx.set_timer(self.ctx.now_ns + 5)
        return self.buy(quote.listing_id, quote.bid_ticks, 4)


def market() -> SimKernel:
    kernel = SimKernel()
    venue = kernel.add(Obedient, "venue")
    for cls, name in ((PassAll, "risk"), (Buys, "one"), (Buys, "two")):
        kernel.add(cls, name)
    kernel.start()
    kernel.add_listing("L1", venue.ctx.plugin_id)
    kernel.feed(Frame.of([Quote(1, bid_ticks=5), Quote(1, bid_ticks=6)]), at_ns=10)
    kernel.feed(Frame.of([Timer(3, 1), Timer(4, 1), Timer(3, 2)]), at_ns=12)
    kernel.feed(Quote(1, bid_ticks=7), at_ns=20)
    return kernel


def views(kernel: SimKernel) -> list[FrameView]:
    return [FrameView(*HEADER.unpack_from(data), memoryview(data)) for data in kernel.frames]  # type: ignore[call-arg]


def told(
    kernel: SimKernel, name: str, wanted: set[int], *, from_start: bool = False, early: bool = False
) -> list[Told]:
    past = Past(kernel.slots[name], wanted.__contains__, from_start=from_start, early=early)
    return list(past.batches(views(kernel)))


def records(batches: list[Told]) -> list[Any]:
    out: list[Any] = []
    for each in batches:
        data, at = each.batch.frames if each.batch is not None else b"", 0
        while at < len(data):
            body_bytes, schema_id, *_ = HEADER.unpack_from(data, at)
            layout = schema_by_id(schema_id)
            body = data[at + HEADER_BYTES : at + HEADER_BYTES + body_bytes]
            out += layout.unpack_many(body) if layout.packed else [layout.unpack(body)]
            at += HEADER_BYTES + (body_bytes + 7 & ~7)
    return out


def test_it_hears_its_schemas_and_of_orders_and_timers_its_own() -> None:
    kernel = market()
    one = kernel.slots["one"].plugin_id
    heard = records(told(kernel, "one", {QUOTE, ORDER, TIMER}))
    assert [event for event in heard if type(event) is Quote] == kernel.of(Quote)
    mine = [order for order in kernel.of(Order) if order.strategy_id == one]
    assert [event for event in heard if type(event) is Order] == mine != []
    timers = [timer for timer in kernel.of(Timer) if timer.plugin_id == one]
    assert [event for event in heard if type(event) is Timer] == timers
    assert len(timers) < len(kernel.of(Timer))


def test_a_venue_hears_the_orders_that_went_to_it_and_nothing_that_it_does_not_want() -> None:
    kernel = market()
    heard = records(told(kernel, "venue", {ORDER}))
    assert heard == [order for order in kernel.of(Order) if order.venue_id == kernel.slots["venue"].plugin_id]
    assert records(told(kernel, "venue", set())) == []


def test_without_a_state_it_is_told_from_where_it_first_started() -> None:
    kernel = market()
    batches = told(kernel, "two", {PluginState.layout.id, QUOTE}, from_start=True)
    begin = next(each for each in batches if each.start is not None)
    assert begin is batches[0]
    later = records(batches[1:])
    assert [event.name for event in later if type(event) is PluginState] == []
    assert [event for event in later if type(event) is Quote] == kernel.of(Quote)
    assert batches[-1].last_seq == kernel.cascade.seq


def test_one_that_takes_events_before_its_start_is_told_what_it_heard_since_all_were_configured() -> None:
    batches = told(market(), "two", {PluginState.layout.id, QUOTE}, from_start=True, early=True)
    begin = next(at for at, each in enumerate(batches) if each.start is not None)
    before = [(event.name, PluginStatus(event.status)) for event in records(batches[:begin])]
    assert before == [(name, PluginStatus.RUNNING) for name in ("venue", "risk", "one", "two")]
    assert all(each.batch is not None and each.batch.hearing for each in batches[:begin])
    assert not [event for event in records(batches[begin:]) if type(event) is PluginState]


def test_a_check_is_asked_again_about_each_order_that_it_was_asked_about() -> None:
    kernel = market()
    questions = [each for each in told(kernel, "risk", {ORDER}) if each.batch is not None and each.batch.check]
    assert all(each.batch.hearing and each.records == 1 for each in questions if each.batch is not None)
    orders = records(questions)
    assert [order.order_id for order in orders] == [verdict.order_id for verdict in kernel.of(CheckVerdict)]
    assert {order.state for order in orders} == {OrderState.PENDING_CHECK}


def test_an_order_that_waited_is_asked_about_where_the_check_answered() -> None:
    class Later(RiskCheck):
        def check_order(self, order: Order) -> Any:
            return None

    kernel = SimKernel()
    kernel.add(Later, "risk")
    kernel.start()
    kernel.feed(Order(7, 1, 1, state=OrderState.PENDING_CHECK))
    kernel.feed(Order(8, 1, 1, state=OrderState.PENDING_CHECK))
    kernel.feed(Order(8, 1, 1, state=OrderState.REFUSED))
    kernel.feed(Quote(1, bid_ticks=5))
    kernel.feed(CheckVerdict(7, 1, check_id=kernel.slots["risk"].plugin_id))
    heard = told(kernel, "risk", {QUOTE})
    kinds = [each.batch.check for each in heard if each.batch is not None]
    assert kinds == [False, True]  # what it heard first, then the question
    assert [order.order_id for order in records(heard)[1:]] == [7]


def test_a_long_journal_is_read_in_slices_between_which_the_kernel_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = market()
    one, frames = kernel.slots["one"], views(kernel)
    number, read, told_of = 6400, 0, []
    clock_s = count(0.0, returning.SLICE_S / 4)  # reading a piece takes so long

    def journal(_journal: Any, seq: int) -> Iterator[FrameView]:
        nonlocal read
        for at in range(max(seq, 0) + 1, number + 1):
            read += 1
            yield msgspec.structs.replace(frames[0], seq=at, count=1)

    monkeypatch.setattr(returning, "_journal_of", lambda _kernel: "journal")
    monkeypatch.setattr(returning, "_frames_after", journal)
    monkeypatch.setattr(returning, "monotonic", lambda: next(clock_s))
    call = SimpleNamespace(done=True, result=lambda: SimpleNamespace(error=""))
    link = SimpleNamespace(
        lost="", begin_call=lambda *_: call, room=lambda _lane: (1 << 20, 1 << 30),
        send=lambda _lane, batch, _records: told_of.append(batch),
    )  # fmt: skip
    host: Any = SimpleNamespace(
        name="one", link=link, held=(b"", 0), slot=one, answer_s=1e9, wants=lambda _: True, throughout=False,
        start_request=lambda _: SimpleNamespace(seq=1), hosts=SimpleNamespace(known_frames=list),
    )  # fmt: skip
    run: Any = SimpleNamespace(
        write=lambda: None, cascade=SimpleNamespace(seq=number), journal=SimpleNamespace(failed=False)
    )
    at_pauses = [read for _ in returning.returning(host, run)]
    steps = [after - before for before, after in pairwise([0, *at_pauses])]
    assert read == number and len(steps) >= 20
    assert max(steps) <= 5 * FRAMES_MAX
    assert not told_of  # it hears none of it: reading takes its time all the same
