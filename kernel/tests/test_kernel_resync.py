"""A book whose deltas find no room is told stale, and its feed is asked for a snapshot, which then comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from penstock_kernel.clock import SimClock
from penstock_kernel.kernel import Kernel
from penstock_sdk.events import BookLevel, BookPriceDelta, Quote, Side, Tradability
from penstock_sdk.plugin import Feed, Operations
from penstock_sdk.schema import Event, Frame


class Burst(Feed):
    """Ten deltas at once, then whatever it was asked for."""

    asked: ClassVar[list[int]] = []

    def poll(self) -> Sequence[Event]:
        """Give the burst once, then snapshots."""
        if not self.ctx.state.setdefault("burst", False):
            self.ctx.state["burst"] = True
            return [Frame.of([BookPriceDelta(7, Side.BUY, 1, price_ticks=n, qty_lots=1) for n in range(10)])]
        wanted, self.asked[:] = list(self.asked), []
        return [BookLevel(listing_id, Side.BUY, place=3, price_ticks=-5, qty_lots=1) for listing_id in wanted]

    def resync(self, listing_id: int) -> None:
        """Remember what is wanted."""
        self.asked.append(listing_id)


class Seen(Operations):
    """Writes down what it hears."""

    def on_quote(self, quote: Quote) -> None:
        """Hear a top."""
        self.ctx.state.setdefault("heard", []).append(Tradability(quote.tradability).name)

    def on_book_level(self, level: BookLevel) -> None:
        """Hear a level of a snapshot."""
        self.ctx.state.setdefault("heard", []).append(level.price_ticks)


def test_a_stale_book_is_asked_for_and_comes() -> None:
    Burst.asked.clear()
    kernel = Kernel(SimClock(0), limit_for=lambda topic: 5)
    kernel.attach(Burst, "burst")
    seen = kernel.attach(Seen, "seen").plugin
    kernel.wire()
    for slot in list(kernel.slots.values()):
        kernel.start_plugin(slot)
    kernel.open_sources()
    heard = seen.ctx.state
    kernel.turns = (lambda: setattr(kernel, "stopping", "heard" if len(heard.get("heard", [])) == 2 else ""),)
    kernel.run_wall(1_000_000_000)
    kernel.close()
    assert seen.ctx.state["heard"] == ["STALE", -5]
    assert kernel.lanes.lost == {"book_price_delta.dropped": 10}
