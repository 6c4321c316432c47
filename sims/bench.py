"""What every bench does alike inside the simulator: start the clock, hold reset, wait until all is quiet.

As in `sims.axis`, signals change at the falling edge and are read just before the rising one.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from sims.results import CLOCK_NS

__all__ = ["QUIET_CYCLES", "reset", "settle", "start_clock"]

QUIET_CYCLES = 64
"""Longer than any block goes without an output while one is still to come."""


def start_clock(dut: Any) -> None:
    """Let ``clk`` run from now on, with the period that tables of results count cycles by."""
    Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()


async def reset(dut: Any, cycles: int = 2) -> None:
    """Hold ``rst`` for *cycles*; returns at the falling edge at which it goes low."""
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    await ClockCycles(dut.clk, cycles)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def settle(dut: Any, queue: Sized, came: Sized) -> None:
    """Wait until *queue* is empty and nothing has been added to *came* for `QUIET_CYCLES`.

    Args:
        dut: the module; its clock runs.
        queue: what is still to be sent; its length is 0 when all is taken.
        came: what was received; it grows with each.
    """
    while queue:
        await ClockCycles(dut.clk, 16)
    seen = -1
    while seen != len(came):
        seen = len(came)
        await ClockCycles(dut.clk, QUIET_CYCLES)
