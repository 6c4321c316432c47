"""reference gives the mid of every known top with both prices, none of one that is not known, and waits for orders."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from penstock_sdk.events import Quote
from penstock_sdk.golden.mids import keep_mid
from penstock_sdk.schema import ABSENT
from sims.bench import reset, start_clock
from sims.simulators import bench_seed, run_bench

PRICE_W = int(os.environ.get("BENCH_PRICE_W", "32"))
SLOTS = int(os.environ.get("BENCH_SLOTS", "256"))
LOW, HIGH = -(2 ** (PRICE_W - 1)), 2 ** (PRICE_W - 1) - 1


def tops(rng: random.Random, count: int) -> list[tuple[int, int, int, int | None, int | None, int]]:
    """Return (taken, slot, known, bid, ask, at_ns): every pair of edges first, then anything."""
    edges = [LOW, LOW + 1, -2, -1, 0, 1, 2, HIGH - 1, HIGH]
    made: list[tuple[int, int, int, int | None, int | None, int]] = [
        (1, rng.randrange(SLOTS), 1, bid, ask, 10**18 + i)
        for i, (bid, ask) in enumerate((bid, ask) for bid in edges for ask in edges)
    ]
    for _ in range(count):
        bid, ask = (rng.choice([None, rng.randint(LOW, HIGH), rng.randint(LOW, HIGH)]) for _ in range(2))
        made.append((rng.randrange(4) > 0, rng.randrange(SLOTS), rng.randrange(4) > 0, bid, ask, rng.getrandbits(62)))
    return made


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def mids_are_those_of_the_model(dut: Any) -> None:
    rng = random.Random(bench_seed(1))
    start_clock(dut)
    dut.s_top_taken.value = 0
    dut.order_waits.value = 0
    await reset(dut)
    mask = 2**PRICE_W - 1
    mids = np.full((2, SLOTS), ABSENT, np.int64)
    for taken, slot, known, bid, ask, at_ns in tops(rng, 300):
        dut.s_top_taken.value = taken
        dut.s_top_slot.value = slot
        dut.s_top_known.value = known
        dut.s_top_has_bid.value = bid is not None
        dut.s_top_bid_ticks.value = (rng.randint(LOW, HIGH) if bid is None else bid) & mask
        dut.s_top_has_ask.value = ask is not None
        dut.s_top_ask_ticks.value = (rng.randint(LOW, HIGH) if ask is None else ask) & mask
        dut.s_top_at_ns.value = at_ns
        await FallingEdge(dut.clk)
        dut.s_top_taken.value = 0
        is_due = int(taken and (not known or (bid is not None and ask is not None)))
        for _ in range(rng.choice([0, 0, 1, 3])):  # an order is in its way
            dut.order_waits.value = 1
            await FallingEdge(dut.clk)
            assert (dut.m_ref_tvalid.value, dut.hold.value) == (0, is_due)
        dut.order_waits.value = 0
        await ReadOnly()
        assert (dut.m_ref_tvalid.value, dut.hold.value) == (is_due, is_due)
        wanted = mids.copy()
        if taken and not known:
            wanted[:, slot] = ABSENT, at_ns
        elif taken:
            quote = Quote(slot, bid_ticks=ABSENT if bid is None else bid, ask_ticks=ABSENT if ask is None else ask)
            keep_mid(wanted, quote, at_ns)
        if is_due:
            met, price = int(dut.m_ref_slot.value), dut.m_ref_price_ticks.value.to_signed()
            mids[:, met] = price if int(dut.m_ref_has_price.value) else ABSENT, int(dut.m_ref_at_ns.value)
        for differs in np.flatnonzero((mids != wanted).any(axis=0)):
            pair = mids[:, differs].tolist(), wanted[:, differs].tolist()
            raise AssertionError(f"slot {differs}: mid and time are {pair[0]}, wanted {pair[1]}")
        await FallingEdge(dut.clk)
        assert (dut.m_ref_tvalid.value, dut.hold.value) == (0, 0), "a reference leaves once, then comes the next top"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_reset_forgets_a_reference_that_waits(dut: Any) -> None:
    start_clock(dut)
    dut.s_top_taken.value = 0
    dut.order_waits.value = 1
    await reset(dut)
    dut.s_top_taken.value = 1
    dut.s_top_known.value = 0
    await FallingEdge(dut.clk)
    dut.s_top_taken.value = 0
    assert dut.hold.value == 1
    await reset(dut, 1)
    dut.order_waits.value = 0
    await ReadOnly()
    assert (dut.m_ref_tvalid.value, dut.hold.value) == (0, 0)


@pytest.mark.parametrize(("price_w", "slots"), [(32, 256), (6, 5)])
def test_references_are_mids_on_icarus(price_w: int, slots: int, tmp_path: Path) -> None:
    env = {"BENCH_PRICE_W": str(price_w), "BENCH_SLOTS": str(slots)}
    run_bench("reference", __name__, tmp_path, parameters={"PRICE_W": price_w, "SLOTS": slots}, env=env)
