"""Quotes of a simulated day, as the journal has them, make the same orders in the chain and in the golden chain."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge

import penstock_sdk.events as events
from penstock_sdk.golden import risk_gate, trigger
from penstock_sdk.golden.tick_layout import RULE_ASK_AT_MOST, RULE_BID_AT_LEAST
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import HEADER_BYTES
from penstock_sdk.wire.segment import read_frames
from sims.feed_decoder.feed_traffic import Sent
from sims.simulators import run_bench
from sims.tick_to_trade.chain_bench import DEFAULTS, Bench
from sims.tick_to_trade.host import Host, intervals_of

QUOTE, ORDER = layout_of(events.Quote), layout_of(events.Order)
FRAMES, TURNS = 160, 5

DAY = """
[run]
seed = 7
zone = "DE-LU"
delivery_day = "2026-05-03"
runs_dir = "{runs}"
[plugins.exchange]
use = "exchange"
config = {{ products = ["H"], orders_per_day = 12_000, step_s = 60.0, price_start = 0.2, wander_sd = 1.5 }}
[plugins.risk]
use = "risk_limits"
"""
"""A day whose prices lie on both sides of 0."""


def quotes_of(frames: list[bytes]) -> list[events.Quote]:
    """Return every quote of frames."""
    size = QUOTE.size
    return [
        QUOTE.unpack(frame[at : at + size])
        for frame in frames
        for at in range(HEADER_BYTES, HEADER_BYTES + int.from_bytes(frame[:4], "little"), size)
    ]


def journaled(folder: str) -> list[bytes]:
    """Return the frames of quotes in a journal, the last ones, when trade is liveliest."""
    return [bytes(view.raw) for view in read_frames(folder) if view.schema_id == QUOTE.id][-FRAMES:]


class DayHost(Host):
    """Rules that a share of the day's own prices meet: buy what is cheap, sell what is dear."""

    quotes: tuple[events.Quote, ...] = ()

    def plan_listing(self, listing: int, slot: int, at: int, rules: int) -> None:
        super().plan_listing(listing, slot, at, rules)
        asks, bids = (
            [price for quote in self.quotes if quote.listing_id == listing if (price := getattr(quote, name)) != ABSENT]
            for name in ("ask_ticks", "bid_ticks")
        )
        low, high = int(np.quantile(asks, 0.3)), int(np.quantile(bids, 0.7))
        risk_gate.define_listing(
            self.chain.gate, slot, intervals_of(at), qty_max_lots=8, qty_min_lots=2, collar_ticks=90,
            notional_max=10_000_000, ref_age_max_ns=600 * 10**9, minutes=60, kw_per_lot=100, floor_ticks=low - 400,
            cap_ticks=high + 400, ref_required=True,
        )  # fmt: skip
        shared = {"order_slot": slot, "lots": 2 + at % 4, "price_mode": at % 2, "other_slot": 0}
        lanes = (
            shared | {"kind": RULE_ASK_AT_MOST, "side": 1, "threshold_ticks": low, "price_ticks": low * (1 - at % 2)},
            shared
            | {"kind": RULE_BID_AT_LEAST, "side": 2, "threshold_ticks": high, "price_ticks": high * (1 - at % 2)},
        )
        for lane, row in enumerate(lanes):
            self.rows[slot, lane] = row | {"rule": (2 * at + lane) % rules}
            trigger.set_lane(self.chain.trigger, slot, lane, **self.rows[slot, lane])


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def orders_of_a_simulated_day_are_those_of_the_golden_chain(dut: Any) -> None:
    frames = journaled(os.environ["BENCH_JOURNAL"])
    DayHost.quotes = tuple(quotes_of(frames))
    seen = Counter(quote.listing_id for quote in DayHost.quotes if ABSENT not in (quote.bid_ticks, quote.ask_ticks))
    DayHost.listings = tuple(listing for listing, _ in seen.most_common(5))
    bench = await Bench.start(dut, host=DayHost)
    risk_gate.set_rate(bench.chain.gate, 1_000, 1_000)
    await bridge(bench.host.gate.load_rate)(bench.chain.gate)
    for turn in range(TURNS):
        await bridge(bench.host.arm)()
        await bench.exchange([Sent(frame, False) for frame in frames[turn * FRAMES // TURNS :][: FRAMES // TURNS]])
    await bridge(bench.host.compare)()
    orders = [ORDER.unpack(message[HEADER_BYTES:]) for message in bench.messages()]
    assert {order.side for order in orders} == {1, 2}
    assert min(order.price_ticks for order in orders) < 0 < max(order.price_ticks for order in orders)
    assert len(orders) >= 10


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a simulated day's market."""
    from penstock_kernel.run import Run, RunOptions

    folder = tmp_path_factory.mktemp("day")
    path = folder / "day.toml"
    path.write_text(DAY.format(runs=folder / "runs"))
    run = Run.start(path, RunOptions(lake=False))
    run.go()
    assert run.close().status == "complete"
    return run.dir / "journal"


@pytest.mark.timeout(300)
def test_a_simulated_day_trades_the_same_on_icarus(journal: Path, tmp_path: Path) -> None:
    parameters = DEFAULTS | {"RECORDS_MAX": 16, "MAP_W": 8}
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()} | {"BENCH_JOURNAL": str(journal)}
    run_bench("tick_to_trade", __name__, tmp_path, simulator="icarus", parameters=parameters, env=env)
