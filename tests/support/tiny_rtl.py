"""A checkout in small: one module, its bench, and the runner of the real one, for tests of what works on checkouts."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

MODULE = """\
// SPDX-License-Identifier: Apache-2.0
// Tiny counter: count the cycles in which `up` is high, and stop at LIMIT. Latency 1 cycle.
`default_nettype none
module tiny #(
    parameter int LIMIT = 5,  // where it stops
    parameter int WIDTH = 4   // bits
) (
    input  wire logic             clk, rst,
    input  wire logic             up,
    output      logic [WIDTH-1:0] count
);
    initial if (LIMIT < 1) $fatal(1, "%m: LIMIT=%0d, wanted 1 or more", LIMIT);
`ifdef FORMAL
    always @(posedge clk) if (!rst) assert (count <= LIMIT + 0);
`endif
    always_ff @(posedge clk) begin
        if (up && count < WIDTH'(LIMIT)) count <= count + 1'b1;
        if (rst) count <= '0;
    end
endmodule
`default_nettype wire
"""

BENCH = '''\
"""tiny counts up to its limit."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from sims.simulators import bench_seed, run_bench


async def start(dut):
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value, dut.up.value = 1, 0
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    assert dut.count.value == 0
    dut.rst.value = 0


@cocotb.test(timeout_time=10, timeout_unit="us")
async def it_counts(dut):
    await start(dut)
    dut.up.value = 1
    for cycle in range({cycles}):
        await FallingEdge(dut.clk)
        assert dut.count.value == min(cycle + 1, {limit}), f"seed {{bench_seed(1)}}, cycle {{cycle}}"


@cocotb.test(timeout_time=10, timeout_unit="us")
async def it_stays_where_it_is(dut):
    await start(dut)
    await ClockCycles(dut.clk, 3)
    assert dut.count.value == 0


def test_tiny(tmp_path):
    run_bench("tiny", __name__, tmp_path)
'''


def tiny_checkout(folder: Path, *, cycles: int = 8, limit: int = 5) -> Path:
    """Make the checkout in *folder* and return it; *cycles* says how long the bench looks, *limit* what it expects."""
    (folder / "rtl" / "tiny").mkdir(parents=True)
    (folder / "sims" / "tiny").mkdir(parents=True)
    for name in ("penstock_pkg.sv", "tick_pkg.sv"):
        shutil.copy(ROOT / "rtl" / name, folder / "rtl")
    for name in ("simulators.py", "builds.py", "results.py", "coverage.py"):
        shutil.copy(ROOT / "sims" / name, folder / "sims")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "rtl" / "tiny" / "tiny.sv").write_text(MODULE)
    (folder / "sims" / "tiny" / "test_tiny.py").write_text(BENCH.format(cycles=cycles, limit=limit))
    return folder
