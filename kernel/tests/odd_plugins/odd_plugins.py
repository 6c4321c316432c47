"""Plugins of a test: two of them answer by the state of a file, as something outside would."""

from __future__ import annotations

import operator
import os
from pathlib import Path

from penstock_sdk.events import ExecutionReport, IdKind, ListingDefinition, Quote, Reason, ReportKind, Signal, Trade
from penstock_sdk.plugin import Feed, Model, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Frame


def outside():
    """Count a call, and return how many there have been: never the same twice."""
    path = Path(os.environ["PENSTOCK_TEST_OUTSIDE"])
    count = int(path.read_text()) + 1
    path.write_text(str(count))
    return count


class OddFeed(Feed):
    def events(self):
        at_ns = self.ctx.now_ns
        for number in range(40):
            at_ns += 1_000_000_000
            one = Quote(1, bid_ticks=number, ask_ticks=number + 2)
            yield at_ns, one if number % 3 else Frame.of([one, one])


class Broken(Feed):
    """Fails after three events."""

    def events(self):
        for number in range(3):
            yield self.ctx.now_ns + number * 1_000_000_000, Trade(1, trade_id=number)
        raise OSError("the line went dead")


class OddVenue(Venue):
    embedded = True

    def on_start(self):
        listing_id = self.ctx.intern(IdKind.LISTING, "ODD")
        fields = dict.fromkeys(ListingDefinition.__struct_fields__, 1) | {"name": "ODD", "listing_id": listing_id}
        fields |= {"segments": [], "reference_only": False}
        return ListingDefinition(**fields | {"venue_id": self.ctx.plugin_id, "source_ns": 0, "recv_ns": 0})

    def on_order(self, order):
        return ExecutionReport(order.order_id, 1, ReportKind.FILL, order.side, last_ticks=1, last_lots=order.qty_lots)


class Oracle(Model):
    deterministic = False

    def on_start(self):
        self.ctx.set_timer(self.ctx.now_ns + 1_500_000_000)
        return Signal(1, value=float(outside()))

    def on_stop(self):
        return Signal(1, value=float(outside()))

    def on_quote(self, quote):
        mood = outside()
        if mood % 7 == 0:
            raise RuntimeError(f"mood {mood}")
        if mood % 7 == 1:
            return [Signal(self.ctx.intern(IdKind.SIGNAL, f"mood {mood}"), value=1.0), 5]
        if mood % 7 == 2:
            return Frame.of([Signal(1, value=float(mood))])
        if mood % 7 == 3:
            self.ctx.submit(operator.add, mood, 1)
        if mood % 7 == 4:
            return Frame.of([Signal(1, value=float(mood)), Signal(1, value=0.0)])
        return Signal(1, value=float(mood))

    def on_timer(self, timer):
        self.ctx.set_timer(self.ctx.now_ns + outside() * 10_000_000)
        return Signal(2, value=0.5)

    def on_task_result(self, result):
        return Signal(3, value=float(result.value + outside()))


class Moody(RiskCheck):
    deterministic = False

    def check_order(self, order):
        mood = outside()
        if mood % 5 == 0:
            raise RuntimeError(f"mood {mood}")
        return self.refused(order, Reason.POSITION, mood, 0) if mood % 5 == 1 else self.passed(order)


class Follows(Strategy):
    def on_start(self):
        self.ctx.set_timer(self.ctx.now_ns + 7_000_000_000)

    def on_timer(self, timer):
        self.ctx.set_timer(self.ctx.now_ns + 7_000_000_000, tag=timer.timer_id)
        self.ctx.submit(operator.add, 1, 1)

    def on_signal(self, signal):
        self.ctx.intern(IdKind.SIGNAL, f"seen {int(signal.value)}")
        return self.buy(1, 5, 1 + int(signal.value) % 3)
