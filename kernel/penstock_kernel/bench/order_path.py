"""From a tick to a checked order at the venue, and on to its report and the position: latency, and orders a second.

The plugins are the ones that are installed: exchange, risk limits, fat-finger check, portfolio. A taker of the bench's
own sends one order for each quote, by turns resting and crossing, so that every second order deals with the one before.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.bench.rounds import machine
from penstock_kernel.clock import SimClock
from penstock_kernel.deployment import CONTRACT_MAJORS
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.discovery import discover, load_class
from penstock_sdk.events import IdKind, IntentAction, Order, OrderIntent, Position, Quote
from penstock_sdk.plugin import Operations, Strategy
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

__all__ = ["START_NS", "Chain", "bench_order_path"]

PRICE_TICKS = 5_000
ANSWER_NS = 10_000_000_000
START_NS = 1_773_064_500_000_000_000
"""2026-03-09 13:55 UTC, five minutes before the hours of 2026-03-10 begin to trade in DE-LU."""
STEP_NS = 10_000_000
"""A hundredth of a second of the run's time between orders, so that no rate limit is met."""
_CHAIN: dict[str, dict[str, Any]] = {
    "exchange": {"background": False, "delivery_day": "2026-03-10"},
    "risk_limits": {},
    # Two strategies of one house deal with each other here, which the check would rightly refuse.
    "fat_finger": {"self_trade": "strategy"},
    "portfolio": {},
}


class _Taker(Strategy):
    """One order a quote, when it is its turn."""

    side = 0

    def on_quote(self, quote: Quote) -> OrderIntent | None:
        if quote.source_ns != 1 or not self.side:  # the venue's own quotes are not ours to answer
            return None
        return self.intent(quote.listing_id, self.side, PRICE_TICKS, 1, decision_half_ticks=2 * PRICE_TICKS)


class _Stopwatch(Operations):
    """Wall time from the tick's input to the order at the venue, and to the last event of the cascade."""

    begun_ns = 0

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.to_order_ns: list[int] = []
        self.to_position_ns: list[int] = []

    def on_order(self, order: Order) -> None:
        if order.action == IntentAction.NEW:
            self.to_order_ns.append(time.perf_counter_ns() - self.begun_ns)

    def on_position(self, _position: Position) -> None:
        self.to_position_ns.append(time.perf_counter_ns() - self.begun_ns)


class Chain:
    """The plugins that an order meets, with two takers that send one, attached to somebody's kernel."""

    def attach(self, kernel: Kernel, *, watch: bool = True) -> None:
        """Build them all; the stopwatch first, so that it reads the clock before the venue acts."""
        found = discover(CONTRACT_MAJORS).manifests
        self.stopwatch: Any = kernel.attach(_Stopwatch, "stopwatch").plugin if watch else None
        for name, config in _CHAIN.items():
            cls: Any = load_class(found[name])
            kernel.attach(cls, name, cls.Config(**config))
        # Two owners, so that self-trade prevention does not come between them.
        self.sides = [kernel.attach(_Taker, name) for name in ("taker_a", "taker_b")]

    def tick(self, kernel: Kernel, turn: Callable[[], object], listing_id: int, number: int) -> float:
        """Put a quote into the kernel's lanes, as a feed's; return the µs until its order comes to the venue."""
        _take_turns([slot.plugin for slot in self.sides], number)
        met = len(self.stopwatch.to_order_ns)
        self.stopwatch.begun_ns = time.perf_counter_ns()
        kernel.lanes.offer(_quote(listing_id), self.sides[0])
        while len(self.stopwatch.to_order_ns) == met:
            turn()
            if time.perf_counter_ns() - self.stopwatch.begun_ns > ANSWER_NS:
                raise TimeoutError(f"no order came of a quote within {ANSWER_NS / 1e9:.0f} s")
        return float(self.stopwatch.to_order_ns[-1]) / 1e3


class _Market:
    """A kernel in the middle of a trading day, with the chain of an order and nothing else going on."""

    def __init__(self, folder: Path | None, watch: bool, **kernel_options: Any) -> None:
        self.journal = None if folder is None else Journal.create(folder, run=1)
        self.kernel = Kernel(SimClock(START_NS), journal=self.journal, **kernel_options)
        kernel, chain = self.kernel, Chain()
        chain.attach(kernel, watch=watch)
        self.stopwatch, self.sides = chain.stopwatch, chain.sides
        kernel.wire()
        for slot in list(kernel.slots.values()):
            kernel.start_plugin(slot)
        listing = kernel.definitions(IdKind.LISTING)[-1]
        self.listing_id: int = listing.listing_id
        kernel.run_simulated(listing.opens_ns + 1_000_000_000)

    def quote(self) -> Quote:
        return _quote(self.listing_id)


def _quote(listing_id: int) -> Quote:
    return Quote(
        listing_id,
        bid_ticks=PRICE_TICKS - 50,
        bid_lots=10,
        ask_ticks=PRICE_TICKS + 50,
        ask_lots=10,
        source_ns=1,
    )


def bench_order_path(*, orders: int = 20_000, rounds: int = 5) -> dict[str, Any]:
    """Return latency percentiles in ns and orders a second; ``digest`` is over the journals of all rounds."""
    hasher = hashlib.sha256()
    latency: dict[str, list[int]] = {"tick_to_checked_order": [], "tick_to_position": []}
    cpu_us: list[float] = []
    wall_us: list[float] = []
    per_order: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            market = _Market(Path(folder) / f"latency{number}", watch=True)
            _warm(market)
            _latencies(market, orders, latency)
            market = _Market(Path(folder) / f"rate{number}", watch=False)
            _warm(market)
            first = market.kernel.cascade.seq
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            _send(market, orders)
            cpu_us.append((time.thread_time_ns() - cpu) / orders / 1e3)
            wall_us.append((time.perf_counter_ns() - wall) / orders / 1e3)
            assert market.journal is not None
            market.journal.close()
            hasher.update(market.journal.digest.encode())
            per_order = _events_per_order(Path(folder) / f"rate{number}", first, orders)
    cpu_median, wall_median = float(np.median(cpu_us)), float(np.median(wall_us))
    rows = [_percentiles(name, samples) for name, samples in latency.items()]
    return {
        "bench": "order-path", **machine(), "rounds": rounds, "orders": orders, "rows": rows,
        "one_by_one": {
            "cpu_us_per_order": round(cpu_median, 2), "wall_us_per_order": round(wall_median, 2),
            "orders_per_cpu_s": round(1e6 / cpu_median), "orders_per_s": round(1e6 / wall_median),
            "journal": "written, a batch of 512 frames",
        },
        "events_per_order": per_order,
        "budgets": {"tick_to_checked_order_p50_us": 20, "p99_us": 60, "orders_per_s": 100_000},
        "digest": hasher.hexdigest(),
    }  # fmt: skip


def _warm(market: _Market) -> None:
    """Run each path a few hundred times: compiled functions are loaded at their first call."""
    _send(market, 512)
    if market.stopwatch is not None:
        market.stopwatch.to_order_ns.clear()
        market.stopwatch.to_position_ns.clear()


def _send(market: _Market, orders: int) -> None:
    kernel, quote = market.kernel, market.quote()
    settle, run, feed = kernel.settle, kernel.cascade.run, kernel.cascade.kernel_slot
    sides = [slot.plugin for slot in market.sides]
    for number in range(orders):
        kernel.moment.now_ns += STEP_NS
        _take_turns(sides, number)
        run(quote, Origin.EXTERNAL, feed)
        settle()


def _take_turns(sides: list[Any], number: int) -> None:
    """One sells, the other buys; then the other way round, so that positions stay where they are."""
    who, side = ((0, 2), (1, 1), (1, 2), (0, 1))[number & 3]
    sides[who].side = side
    sides[1 - who].side = 0


def _latencies(market: _Market, orders: int, latency: dict[str, list[int]]) -> None:
    kernel, watch = market.kernel, market.stopwatch
    sides = [slot.plugin for slot in market.sides]
    for number in range(orders):
        kernel.moment.now_ns += STEP_NS
        _take_turns(sides, number)
        quote = market.quote()
        watch.begun_ns = time.perf_counter_ns()
        kernel.cascade.run(quote, Origin.EXTERNAL, kernel.cascade.kernel_slot)
        kernel.settle()
    latency["tick_to_checked_order"] += watch.to_order_ns
    latency["tick_to_position"] += watch.to_position_ns


def _events_per_order(folder: Path, first: int, orders: int) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for frame in read_frames(folder, from_seq=first + 1):
        if frame.seq > first:
            counts[schema_by_id(frame.schema_id).name] += frame.count
    return {name: round(count / orders, 2) for name, count in sorted(counts.items())}


def _percentiles(name: str, samples_ns: list[int]) -> dict[str, Any]:
    p50, p99, p999 = np.percentile(np.array(samples_ns, np.int64), [50, 99, 99.9]).tolist()
    return {
        "name": name, "samples": len(samples_ns), "p50_ns": round(p50), "p99_ns": round(p99), "p99_9_ns": round(p999),
    }  # fmt: skip
