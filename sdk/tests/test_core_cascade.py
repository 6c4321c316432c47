"""One input is handled to its end before the next, in deployment order, and every event says where it came from."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import Mark, Quote, SessionState, Timer, Trade
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import Origin
from sdk.tests.core_toys import OnQuote, headers, quote, quotes, told


def test_what_handlers_return_is_drained_before_the_next_input() -> None:
    class First(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            return [Trade(1, trade_id=1), Trade(1, trade_id=2)]

    class Second(Operations):
        def on_trade(self, trade: Trade) -> Outcome:
            return Mark(trade.trade_id)

    kernel = SimKernel()
    kernel.add(First, "first")
    kernel.add(Second, "second")
    kernel.start()
    since = len(kernel.frames)
    kernel.feed(quote())
    kernel.feed(quote())
    assert told(kernel, since) == ["Quote", "Trade", "Trade", "Mark", "Mark"] * 2


def test_handlers_hear_in_the_order_of_the_deployment() -> None:
    order: list[str] = []

    class Notes(Operations):
        def on_quote(self, quote: Quote) -> None:
            order.append(self.ctx.name)

    kernel = SimKernel()
    for name in ("zebra", "ape", "mole"):
        kernel.add(Notes, name)
    kernel.start()
    kernel.feed(quote())
    assert order == ["zebra", "ape", "mole"]


def test_a_header_tells_cause_root_origin_and_producer() -> None:
    class First(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            return Trade(1)

    class Second(Operations):
        def on_trade(self, trade: Trade) -> Outcome:
            return Mark(1)

    kernel = SimKernel()
    first, second = kernel.add(First, "first"), kernel.add(Second, "second")
    kernel.start()
    since = len(kernel.frames)
    kernel.feed(quote(), at_ns=70)
    fed, trade, mark = headers(kernel)[since:]
    assert [h.seq for h in (fed, trade, mark)] == [fed.seq, fed.seq + 1, fed.seq + 2]
    assert [h.cause_seq for h in (fed, trade, mark)] == [ABSENT, fed.seq, trade.seq]
    assert {h.correlation_seq for h in (fed, trade, mark)} == {fed.seq}
    assert {h.at_ns for h in (fed, trade, mark)} == {70}
    assert [h.origin for h in (fed, trade, mark)] == [Origin.EXTERNAL, Origin.DERIVED, Origin.DERIVED]
    assert [h.producer for h in (fed, trade, mark)] == [0, first.ctx.plugin_id, second.ctx.plugin_id]


def test_the_records_of_a_frame_are_numbered_one_by_one_and_caused_by_its_first() -> None:
    class Batch(Operations):
        def on_quotes(self, frame: Frame) -> Outcome:
            return Trade(1)

    kernel = SimKernel()
    kernel.add(Batch, "batch")
    kernel.start()
    since = len(kernel.frames)
    kernel.feed(quotes(1, 2, 3))
    frame, trade = headers(kernel)[since:]
    assert (frame.count, trade.seq, trade.cause_seq) == (3, frame.seq + 3, frame.seq)


def test_a_plugin_with_both_handlers_hears_singles_by_one_and_frames_by_the_other() -> None:
    heard: list[Any] = []

    class Both(Operations):
        def on_quote(self, quote: Quote) -> None:
            heard.append(quote.listing_id)

        def on_quotes(self, frame: Frame) -> None:
            heard.append(frame.array["listing_id"].tolist())

    kernel = SimKernel()
    kernel.add(Both, "both")
    kernel.start()
    kernel.feed(quote(7))
    kernel.feed(quotes(1, 2))
    kernel.feed(quotes(9))  # an input of one has the bytes of a single, so it is heard as one, now and in a replay
    assert heard == [7, [1, 2], 9]


def test_batch_handlers_hear_singles_as_frames_of_one_and_single_handlers_hear_each_of_a_frame() -> None:
    lengths: list[int] = []

    class Batch(Operations):
        def on_quotes(self, frame: Frame) -> None:
            lengths.append(len(frame))

    kernel = SimKernel()
    kernel.add(Batch, "batch")
    single = kernel.add(OnQuote, "single")
    kernel.start()
    kernel.feed(quote(7))
    kernel.feed(quotes(1, 2))
    assert lengths == [1, 2]
    assert [q.listing_id for q in single.heard] == [7, 1, 2]


def test_frames_of_addressed_records_are_split_by_owner() -> None:
    heard: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    class Batch(Operations):
        def on_timers(self, frame: Frame) -> None:
            heard[self.ctx.name] += frame.array["tag"].tolist()

    class Single(Operations):
        def on_timer(self, timer: Timer) -> None:
            heard[self.ctx.name].append(timer.tag)

    kernel = SimKernel()
    a, b = kernel.add(Batch, "a"), kernel.add(Single, "b")
    kernel.add(Batch, "c")
    kernel.start()
    owners = [a.ctx.plugin_id, b.ctx.plugin_id]
    kernel.feed(Frame.of([Timer(owners[i % 2], tag=i) for i in range(5)]))
    assert heard == {"a": [0, 2, 4], "b": [1, 3], "c": []}


def test_a_view_that_is_kept_is_found_out() -> None:
    kept: list[Frame] = []

    class Keeps(Operations):
        def on_quotes(self, frame: Frame) -> None:
            kept.append(frame)

    kernel = SimKernel()
    kernel.add(Keeps, "keeps")
    kernel.start()
    since = len(kernel.frames)
    kernel.feed(quotes(1, 2))
    assert kept[0].array["listing_id"].tolist() == [0xA5A5A5A5] * 2
    assert [q.listing_id for q in kernel.of(Quote)] == [1, 2]
    assert headers(kernel)[since].count == 2


def test_a_frame_over_bytes_cannot_be_overwritten_and_is_no_error() -> None:
    kernel = SimKernel()
    single = kernel.add(OnQuote, "single")
    kernel.start()
    body = b"".join(Quote.layout.pack(quote(i)) for i in (1, 2))
    kernel.feed(Frame.from_body(Quote.layout, body))
    assert [q.listing_id for q in single.heard] == [1, 2]


def test_an_emitted_frame_belongs_to_the_kernel() -> None:
    class Emits(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            self.frame = Frame.of([Mark(1), Mark(2)])
            return self.frame

    kernel = SimKernel()
    emits = kernel.add(Emits, "emits")
    kernel.start()
    kernel.feed(quote())
    assert [m.listing_id for m in kernel.of(Mark)] == [1, 2]
    assert emits.frame.array["listing_id"].tolist() == [0xA5A5A5A5] * 2


@given(st.lists(st.sampled_from("sm"), min_size=1, max_size=6), st.integers(0, 3))
def test_numbers_have_no_gaps_whatever_is_returned(shape: list[str], depth: int) -> None:
    class Talks(Operations):
        def on_quote(self, quote: Quote) -> Outcome:
            return [SessionState(depth) if s == "s" else Frame.of([Mark(depth), Mark(depth)]) for s in shape]

        def on_session_state(self, state: SessionState) -> Outcome:
            return SessionState(state.listing_id - 1) if state.listing_id else None

    kernel = SimKernel()
    kernel.add(Talks, "talks")
    kernel.start()
    kernel.feed(quote())
    kernel.feed(quote())
    expected = 1
    for header in headers(kernel):
        assert header.seq == expected
        assert header.cause_seq == ABSENT or header.correlation_seq <= header.cause_seq < header.seq
        expected += header.count
    assert len(kernel.of(SessionState)) == 2 * (depth + 1) * shape.count("s")
