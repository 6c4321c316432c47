"""A market of toys for tests of the kernel: small plugins that use all of a context, the same in either kernel."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.clock import SimClock
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.core import Core
from penstock_sdk.events import (
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    Quote,
    Reason,
    ReportKind,
    Signal,
    TaskResult,
    Timer,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.plugin import Feed, Outcome, Plugin, Portfolio, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Event, Frame
from penstock_sdk.wire.segment import read_frames

START_NS = 1_000
END_NS = 3_000


class ToyFeed(Feed):
    """Random quotes at irregular times, single and in frames."""

    def events(self) -> Iterator[tuple[int, Event]]:
        draw = self.ctx.random
        at_ns = START_NS
        for _ in range(150):
            at_ns += int(draw.integers(0, 20))
            rows = [Quote(int(i), bid_ticks=100 + int(draw.integers(-9, 9))) for i in draw.integers(1, 3, 3)]
            yield at_ns, rows[0] if draw.random() < 0.5 else Frame.of(rows)


class ToyVenue(Venue):
    """Fills some of an order by lot, expires the rest by a timer."""

    embedded = True

    def on_start(self) -> Outcome:
        ctx = self.ctx
        zone, currency = ctx.intern(IdKind.ZONE, "TOY"), ctx.intern(IdKind.CURRENCY, "EUR")
        out: list[Event] = [ZoneDefinition(zone_id=zone, code="TOY", timezone="Etc/UTC", currency="EUR")]
        for name in ("T1", "T2"):
            contract, listing = ctx.intern(IdKind.CONTRACT, name), ctx.intern(IdKind.LISTING, name)
            out.append(
                ContractDefinition(
                    contract_id=contract, name=name, zone_id=zone, product="QH", delivery_start_ns=0,
                    delivery_end_ns=1, currency_id=currency,
                )
            )  # fmt: skip
            out.append(
                ListingDefinition(
                    listing_id=listing, contract_id=contract, venue_id=ctx.plugin_id, name=name, tick_micro=1,
                    lot_kw=1, price_min_ticks=-999, price_max_ticks=999, opens_ns=0, gate_closure_ns=2**62,
                    cash_micro_per_lot_tick=1, interval_start_ns=0, interval_ns=1, interval_count=1,
                )
            )  # fmt: skip
        return out

    def on_order(self, order: Order) -> Outcome:
        live: dict[str, int] = self.ctx.state.setdefault("live", {})
        key = str(order.order_id)
        if order.action == IntentAction.CANCEL:
            kind = ReportKind.CANCELLED if live.pop(key, 0) else ReportKind.CANCEL_REJECTED
            return ExecutionReport(order.order_id, order.listing_id, kind, order.side)
        dealt = int(self.ctx.random.integers(0, order.qty_lots + 1))
        out: list[Event] = [ExecutionReport(order.order_id, order.listing_id, ReportKind.ACCEPTED, order.side)]
        if dealt:
            self.ctx.cell("deals").n += 1
            out.append(
                ExecutionReport(
                    order.order_id, order.listing_id, ReportKind.FILL, order.side, last_ticks=order.price_ticks,
                    last_lots=dealt, leaves_lots=order.qty_lots - dealt,
                )
            )  # fmt: skip
            out.append(Frame.of([Trade(order.listing_id, qty_lots=1, trade_id=i) for i in range(dealt)]))
        if dealt < order.qty_lots:
            live[key] = order.qty_lots - dealt
            self.ctx.set_timer(self.ctx.now_ns + 50, tag=order.order_id)
        return out

    def on_timer(self, timer: Timer) -> Outcome:
        if not self.ctx.state["live"].pop(str(timer.tag), 0):
            return None
        return ExecutionReport(timer.tag, 1, ReportKind.EXPIRED)


class ToyRisk(RiskCheck):
    """Refuses what is larger than four lots."""

    def check_order(self, order: Order) -> CheckVerdict:
        if order.qty_lots > 4:
            return self.refused(order, Reason.QTY_MAX, order.qty_lots, 4)
        return self.passed(order)


class ToyStrategy(Strategy):
    """Buys and sells by lot, cancels now and then, has some sums done elsewhere, breaks at times."""

    history_of = (Quote, Trade)
    history_ns = 100
    sums = True

    def on_quote(self, quote: Quote) -> Outcome:
        draw = float(self.ctx.random.random())
        seen = len(self.ctx.history(quote.listing_id, 100))
        if draw < 0.3:
            return self.buy(quote.listing_id, quote.bid_ticks, 1 + seen % 6)
        if draw < 0.4:
            return [self.cancel(self.ctx.state.get("last", 7)), self.cancel_all(quote.listing_id)]
        if draw < 0.45 and self.sums:
            self.ctx.submit(operator.mul, seen, 2)
        if draw > 0.98:
            raise ValueError(f"drew {draw:.3f}")
        return None

    def on_order(self, order: Order) -> None:
        self.ctx.state["last"] = order.order_id

    def on_task_result(self, result: TaskResult) -> Outcome:
        return Signal(1, value=float(result.value), confidence=1.0)


class ToyBook(Portfolio):
    """Keeps lots by listing in an array, tells them by a timer."""

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.lots = np.zeros(8, [("net", "<i8"), ("fills", "<u2")])

    def on_start(self) -> None:
        self.ctx.set_timer(START_NS)

    def on_execution_report(self, report: ExecutionReport) -> None:
        if report.kind == ReportKind.FILL:
            self.lots[report.listing_id]["net"] += report.last_lots
            self.lots[report.listing_id]["fills"] += 1

    def on_timer(self, timer: Timer) -> Outcome:
        self.ctx.set_timer(self.ctx.now_ns + 100)
        return [Signal(i, value=float(self.lots[i]["net"]), valid_until_ns=self.ctx.now_ns) for i in (1, 2)]

    def snapshot(self) -> Any:
        return {"lots": self.lots}

    def restore(self, state: Any) -> None:
        self.lots = state["lots"]


TOYS: dict[str, type[Plugin]] = {
    "feed": ToyFeed, "venue": ToyVenue, "risk": ToyRisk, "one": ToyStrategy, "two": ToyStrategy, "book": ToyBook,
}  # fmt: skip


def attach(core: Core, toys: dict[str, type[Plugin]] = TOYS) -> None:
    """Attach the toys, as either kernel does it."""
    for name, cls in toys.items():
        core.attach(cls, name, None, identity=core.identity(name, cls.__name__, 1, name, name))


def kernel_in(folder: Path, **options: Any) -> Kernel:
    """Return a real kernel on a simulated clock, with a journal in *folder*."""
    folder.mkdir(exist_ok=True)
    journal = Journal.create(folder / "journal", run=1)
    return Kernel(SimClock(START_NS), journal=journal, run_dir=folder, **{"run_seed": 3, "faults_max": 100, **options})


def start(kernel: Kernel, toys: dict[str, type[Plugin]] = TOYS) -> Kernel:
    """Attach and start the toys, and open their sources."""
    attach(kernel, toys)
    kernel.wire()
    for slot in kernel.slots.values():
        kernel.start_plugin(slot)
        kernel.settle()
    kernel.open_sources()
    return kernel


def recorded(folder: Path) -> list[bytes]:
    """Return the frames of the journal in *folder*."""
    return [bytes(frame.raw) for frame in read_frames(folder / "journal")]
