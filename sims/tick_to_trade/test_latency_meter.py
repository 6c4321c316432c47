"""latency_meter counts every measurement as golden.latency does, one each clock, and forgets all in one clock."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from penstock_sdk.golden import latency as golden
from sims.bench import reset, start_clock
from sims.simulators import bench_seed, refuses, run_bench

BINS = int(os.environ.get("BENCH_BINS", "64"))
COUNT_W = int(os.environ.get("BENCH_COUNT_W", "32"))
COUNT_MAX = 2**COUNT_W - 1

NAMED = {
    "overflow_count": golden.METER_OVERFLOW,
    "latency_count": golden.METER_COUNT,
    "latency_min": golden.METER_MIN,
    "latency_max": golden.METER_MAX,
    "latency_last": golden.METER_LAST,
    "latency_sum": golden.METER_SUM,
}


class Bench:
    """A meter, and its golden twin that is told the same."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.meter = golden.new_meter(BINS)
        self.rng = random.Random(bench_seed(1))

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Return a bench whose module has been reset."""
        bench = cls(dut)
        for name in ("measure", "stamp", "cycle", "cfg_clear", "cfg_bin_index"):
            getattr(dut, name).value = 0
        start_clock(dut)
        await reset(dut)
        return bench

    async def clock(self, clocks: int | None = None, clear: bool = False, asked: int | None = None) -> None:
        """Let one clock pass, with a measurement of *clocks* if there is one."""
        dut = self.dut
        cycle = self.rng.getrandbits(32)
        dut.measure.value = clocks is not None
        dut.cycle.value = cycle
        dut.stamp.value = stamp = (cycle - (clocks or 0)) % 2**32
        dut.cfg_clear.value = clear
        dut.cfg_bin_index.value = self.rng.randrange(BINS) if asked is None else asked
        if clocks is not None:
            golden.measure(self.meter, stamp, cycle, COUNT_MAX)
        if clear:
            self.meter = golden.new_meter(BINS)
        await FallingEdge(dut.clk)

    async def check(self) -> None:
        """Compare everything that can be read; an X is no number, and fails."""
        for _ in range(3):
            await self.clock()
        for name, column in NAMED.items():
            assert int(getattr(self.dut, f"sts_{name}").value) == self.meter[column], name
        counts = []
        for at in range(BINS):
            await self.clock(asked=at)
            counts.append(int(self.dut.sts_bin_count.value))
        assert counts == self.meter[golden.METER_HEAD :].tolist()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def it_counts_what_the_model_counts(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bench.check()
    edges = [0, 1, BINS - 1, BINS, BINS + 1, 2**31, 2**32 - 1]
    for clocks in (*edges, *reversed(edges)):
        await bench.clock(clocks)
    await bench.check()
    for _ in range(int(os.environ["BENCH_ORDERS"])):
        took = bench.rng.choice([3, 3, 4, bench.rng.randrange(BINS), bench.rng.randrange(2 * BINS)])
        await bench.clock(bench.rng.choice([None, took, took]))
    await bench.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_clear_forgets_all_up_to_its_own_clock_and_nothing_later(dut: Any) -> None:
    bench = await Bench.start(dut)
    for before in range(5):
        for _ in range(4):
            await bench.clock(2)
        for _ in range(before):
            await bench.clock()
        await bench.clock(2, clear=True)
        for clocks in (1, 2, 2, BINS):
            await bench.clock(clocks)
        await bench.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_counter_stops_at_its_largest_value(dut: Any) -> None:
    bench = await Bench.start(dut)
    for _ in range(min(COUNT_MAX, 40) + 5):
        await bench.clock(1)
        await bench.clock(BINS)
    await bench.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_sum_stops_at_its_largest_value(dut: Any) -> None:
    if "Verilator" in cocotb.SIM_NAME:  # a decorator's skip would not hold for a test that is asked for by name
        pytest.skip("a value is put into a register, which Verilator does not take; Icarus does")
    bench = await Bench.start(dut)
    for missing, wanted in ((BINS + 1, 2**64 - 2), (BINS, 2**64 - 1), (BINS - 1, 2**64 - 1), (0, 2**64 - 1)):
        # No traffic gets there: at one order a clock it takes years.
        dut.sts_latency_sum.value = 2**64 - 1 - missing
        await bench.clock(BINS)
        for _ in range(3):
            await bench.clock()
        assert int(dut.sts_latency_sum.value) == wanted, missing


def simulate(folder: Path, simulator: str, bins: int, count_w: int, orders: int) -> None:
    env = {"BENCH_BINS": str(bins), "BENCH_COUNT_W": str(count_w), "BENCH_ORDERS": str(orders)}
    parameters = {"BINS": bins, "COUNT_W": count_w}
    run_bench("latency_meter", __name__, folder, simulator=simulator, parameters=parameters, env=env)


@pytest.mark.parametrize(("bins", "count_w"), [(64, 32), (8, 4)])
def test_latencies_are_counted_on_icarus(bins: int, count_w: int, tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", bins, count_w, 400)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(("bins", "count_w"), [(64, 32), (2, 1), (256, 8)])
def test_many_latencies_are_counted(simulator: str, bins: int, count_w: int, tmp_path: Path) -> None:
    simulate(tmp_path, simulator, bins, count_w, 20_000)


@pytest.mark.parametrize(
    ("parameter", "message"), [("BINS=3", "BINS=3, wanted a power of 2"), ("BINS=48", "BINS=48, wanted a power of 2")]
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("latency_meter", parameter, message, tmp_path)
