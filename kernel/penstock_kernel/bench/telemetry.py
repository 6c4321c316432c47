"""What telemetry costs on the order's path: the same orders with and without, in interleaved rounds; and its parts."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from penstock_kernel.bench.order_path import STEP_NS, _Market, _take_turns, _warm
from penstock_kernel.bench.rounds import machine
from penstock_kernel.stopwatch import ONE_IN
from penstock_kernel.telemetry.collect import Telemetry
from penstock_kernel.telemetry.histogram import Histogram
from penstock_sdk.wire.frame import Origin

__all__ = ["bench_telemetry"]

PUBLISHES = 200
ROUNDS_MIN = 5
"""Of fewer rounds no ratio is told: it would be the machine's noise."""


def bench_telemetry(*, orders: int = 1_000, rounds: int = 31) -> dict[str, Any]:
    """Return CPU per order with telemetry off and on, their ratio within each round, and what its parts cost.

    Off is no stopwatch and no cells file; on is both, with a turn after every order. ``digest`` is over the journals,
    which are the same. Of fewer than five rounds there is no ratio.
    """
    with tempfile.TemporaryDirectory() as folder:
        markets = {
            name: _Market(Path(folder) / name, watch=False, time_one_in=one_in)
            for name, one_in in (("off", 0), ("on", ONE_IN))
        }
        telemetry = Telemetry(lambda: markets["on"].kernel, Path(folder))
        turns = {"off": lambda: None, "on": telemetry.turn}
        for market in markets.values():
            _warm(market)
        cpu_us: dict[str, list[float]] = {"off": [], "on": []}
        for number in range(rounds):
            for name in ("off", "on") if number & 1 else ("on", "off"):
                begun = time.thread_time_ns()
                _send_and_turn(markets[name], orders, turns[name])
                cpu_us[name].append((time.thread_time_ns() - begun) / orders / 1e3)
        parts = _parts(telemetry)
        telemetry.close()
        digests = [_closed(market) for market in markets.values()]
    assert digests[0] == digests[1], "telemetry changed what the run recorded"
    ratios = [on / off for on, off in zip(cpu_us["on"], cpu_us["off"], strict=True)]
    rows = [
        {"name": name, "cpu_us_per_order": round(statistics.median(taken), 2), "best_us": round(min(taken), 2)}
        for name, taken in cpu_us.items()
    ]
    overhead = {
        "overhead_percent": round(100 * (statistics.median(ratios) - 1), 2), "budgets": {"overhead_percent": 5},
    }  # fmt: skip
    return {
        "bench": "telemetry", **machine(), "rounds": rounds, "orders": orders, "rows": rows,
        **(overhead if rounds >= ROUNDS_MIN else {}), "parts": parts, "timed_one_in": ONE_IN,
        "digest": hashlib.sha256("".join(digests).encode()).hexdigest(),
    }  # fmt: skip


def _send_and_turn(market: _Market, orders: int, turn: Any) -> None:
    kernel, quote = market.kernel, market.quote()
    sides = [slot.plugin for slot in market.sides]
    for number in range(orders):
        kernel.moment.now_ns += STEP_NS
        _take_turns(sides, number)
        kernel.cascade.run(quote, Origin.EXTERNAL, kernel.cascade.kernel_slot)
        kernel.settle()
        turn()


def _parts(telemetry: Telemetry) -> dict[str, float]:
    """Return what single acts cost: publishing all cells in µs, counting one latency in ns."""
    took = []
    for _ in range(PUBLISHES):
        begun = time.perf_counter_ns()
        telemetry.publish()
        took.append(time.perf_counter_ns() - begun)
    histogram = Histogram()
    begun = time.thread_time_ns()
    for value in range(10_000, 30_000):
        histogram.record(value)
    record_ns = (time.thread_time_ns() - begun) / 20_000
    return {
        "publish_p50_us": round(statistics.median(took) / 1e3, 1), "publish_p99_us": round(sorted(took)[-2] / 1e3, 1),
        "histogram_record_ns": round(record_ns, 1),
    }  # fmt: skip


def _closed(market: _Market) -> str:
    assert market.journal is not None
    market.journal.close()
    return market.journal.digest
