"""History gives what was handled in (now - window, now] of one listing, oldest first, and no more than was declared."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.context import Moment
from penstock_sdk.core.history import History
from penstock_sdk.events import PluginFault, Quote, Timer, Trade
from penstock_sdk.plugin import Model
from penstock_sdk.schema import Frame
from penstock_sdk.testing import SimKernel

WINDOW_NS = 20
STEPS = st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(1, 3), min_size=1, max_size=4)), max_size=25)


@given(STEPS, st.integers(0, WINDOW_NS), st.integers(0, 24))
def test_a_window_is_open_at_its_start_and_closed_now(steps: list[Any], window_ns: int, restart_at: int) -> None:
    moment = Moment()
    history = History(moment)
    history.want(Quote, 5)
    history.want(Quote, WINDOW_NS)
    history.want(Quote, 7)
    model: list[tuple[int, int, int]] = []
    count = 0
    for step, (gap_ns, listings) in enumerate(steps):
        moment.now_ns += gap_ns
        rows = [Quote(listing, bid_ticks=count + i) for i, listing in enumerate(listings)]
        model += [(moment.now_ns, row.listing_id, row.bid_ticks) for row in rows]
        count += len(rows)
        history.add(Frame.of(rows))
        if step == restart_at:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(history.snapshot()))
            history = History(moment)
            history.want(Quote, WINDOW_NS)
            history.restore(state)
        for listing in (1, 2, 3):
            got = history.query(listing, window_ns, Quote)
            wanted = [n for at, who, n in model if who == listing and moment.now_ns - window_ns < at <= moment.now_ns]
            assert got["bid_ticks"].tolist() == wanted


def test_what_is_too_old_is_forgotten() -> None:
    moment = Moment()
    history = History(moment)
    history.want(Quote, 10)
    for moment.now_ns in range(0, 200_000, 10):
        history.add(Frame.of([Quote(1)]))
    assert len(history.snapshot()[str(Quote.layout.id)][1]) <= 3 * 4096 * Quote.layout.size


def test_a_frame_that_is_overwritten_afterwards_is_kept_as_it_was() -> None:
    history = History(Moment())
    history.want(Quote, 10)
    array = np.zeros(3, Quote.layout.dtype)
    array["listing_id"] = 1
    frame = Frame(Quote, array)
    history.add(frame)
    array.flags.writeable = True
    array["listing_id"] = 9
    assert len(history.query(1, 10, Quote)) == 3


class Asks(Model):
    history_of = (Quote,)
    history_ns = WINDOW_NS

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.got: list[list[int]] = []

    def on_start(self) -> None:
        self.ctx.set_timer(30)

    def on_timer(self, timer: Timer) -> None:
        self.got.append(self.ctx.history(1, WINDOW_NS)["bid_ticks"].tolist())

    def on_quote(self, quote: Quote) -> None:
        self.got.append(self.ctx.history(1, WINDOW_NS)["bid_ticks"].tolist())


def test_a_plugin_sees_the_event_at_hand_in_its_history_single_or_in_a_frame() -> None:
    kernel = SimKernel()
    asks = kernel.add(Asks, "asks")
    kernel.start()
    kernel.feed(Quote(1, bid_ticks=1), at_ns=10)
    kernel.feed(Frame.of([Quote(1, bid_ticks=2), Quote(2), Quote(1, bid_ticks=3)]), at_ns=20)
    kernel.run_until(30)
    assert asks.got == [[1], [1, 2, 3], [1, 2, 3], [1, 2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("of", "window_ns", "text"),
    [
        (Trade, 1, "history of Trade met a window of 1 ns"),
        (Quote, WINDOW_NS + 1, "history of Quote met a window of 21 ns"),
    ],
)
def test_what_was_not_declared_is_an_error_that_says_where_to_declare_it(of: Any, window_ns: int, text: str) -> None:
    class Wrong(Asks):
        def on_quote(self, quote: Quote) -> None:
            self.ctx.history(1, window_ns, of)

    kernel = SimKernel()
    kernel.add(Wrong, "wrong")
    kernel.start()
    kernel.feed(Quote(1))
    (fault,) = kernel.of(PluginFault)
    assert text in fault.error
    assert "declare history_of and history_ns" in fault.error
