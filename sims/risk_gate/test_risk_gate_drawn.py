"""risk_gate and its golden model agree on drawn limits, orders and switches; a disagreement is made small."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge
from hypothesis import strategies as st

from penstock_hw.drivers.risk_gate import Device
from penstock_sdk.golden import risk_gate as g
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from sims.drawn import PAUSES, Watched, each_example, pause_of, simulate
from sims.fields import FieldSink
from sims.risk_gate.gate_twin import Bench, Order
from sims.risk_gate.test_risk_gate import SMALL, device_of_environment

SIZES = [
    SMALL | {"COUNT_W": 2},
    {"SLOTS": 3, "INTERVALS": 5, "LINKS": 16, "PRICE_W": 12, "QTY_W": 9, "NOTIONAL_W": 11, "KW_W": 16,
     "KW_PER_LOT_W": 9, "SEEN_SETS": 2, "SEEN_WAYS": 1, "COUNT_W": 3, "TAG_W": 1},
]  # fmt: skip
INTERVALS = ([1], [0, 2], [1, 2, 3, 4], [3], [4, 1])
"""Of each listing."""
NOW_NS = 1_000
NEW_ID = 100
"""Stands for the first id from here on that no order before had."""
CYCLES = 6_000


class Sink(Watched, FieldSink):
    """A sink of verdicts whose faults fail the example."""


class DrawnBench(Watched, Bench):
    """A bench of the gate whose faults fail the example."""

    sink_type = Sink


def edges(low: int, high: int) -> st.SearchStrategy[int]:
    """Numbers about 0, or about the first and the last that a field holds."""
    return st.integers(max(low, -3), 5) | st.sampled_from([low, low + 1, high - 1, high])


def some_of(fields: dict[str, st.SearchStrategy[int]], most: int) -> st.SearchStrategy[dict[str, int]]:
    """Values for *most* of the fields, or for fewer."""
    names = st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=most)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen}))


def listings(device: Device) -> st.SearchStrategy[dict[str, int]]:
    """Some limits of a listing; where they say nothing it is wide open."""
    half, lots = 1 << (device.price_bits - 1), (1 << device.qty_bits) - 1
    bounds = st.integers(-1, 4) | edges(-half, half - 1)
    return some_of({
        "qty_min_lots": st.sampled_from([2, 2, lots]), "qty_max_lots": st.integers(0, 3), "floor_ticks": bounds,
        "collar_ticks": st.integers(0, 3) | st.sampled_from([2 * half - 1, 2 * half]), "cap_ticks": bounds,
        "notional_max": st.integers(0, 12) | st.integers(0, half * lots), "minutes": st.sampled_from([7, 60]),
        "kw_per_lot": edges(1, (1 << device.kw_per_lot_bits) - 1), "ref_required": st.just(0),
        "ref_age_max_ns": st.integers(0, 3) | st.just(g.INT64_MAX - 1), "state": st.sampled_from([g.PAUSED, g.UNKNOWN]),
    }, most=3)  # fmt: skip


def steps(device: Device) -> st.SearchStrategy[Any]:
    """One thing that the host, the market or a strategy does."""
    half, most = 1 << (device.price_bits - 1), device.kw_max
    known = st.integers(0, device.slots - 2)
    slots, any_slot = st.integers(0, device.slots - 1), st.integers(0, (1 << (device.slots - 1).bit_length()) - 1)
    intervals, kws = st.integers(0, device.intervals - 1), edges(0, most)
    times = st.integers(NOW_NS - 1, NOW_NS + 4) | st.sampled_from([-1, 0, g.INT64_MAX - 1, g.INT64_MAX])
    prices = edges(-half, half - 1)
    right = st.builds(
        Order, st.sampled_from([GATE_CHECK] * 7 + [GATE_RESERVE, GATE_RELEASE, GATE_FILL]), known,
        st.sampled_from([g.BUY, g.SELL]), st.integers(-1, 4), st.integers(1, 3), st.integers(NOW_NS, NOW_NS + 2),
        st.just(NEW_ID), st.integers(0, 1),
    )  # fmt: skip
    odd = some_of({
        "slot": any_slot, "side": st.sampled_from([0, 3]), "lots": st.integers(0, 4) | edges(0, 1 << device.qty_bits),
        "price_ticks": prices | st.sampled_from([-half - 1, half]), "at_ns": times,
        "intent_id": st.integers(NEW_ID + 1, NEW_ID + 6) | st.sampled_from([0, -1, 1, g.INT64_MAX]),
    }, most=1)  # fmt: skip
    orders = st.builds(lambda order, change: order._replace(**change), right, odd)
    several = st.tuples(st.just("orders"), st.lists(orders, min_size=1, max_size=8))
    return (
        several
        | several
        | several
        | several
        | st.tuples(st.just("listing"), slots, listings(device))
        | st.tuples(st.just("limits"), intervals, kws | st.just(g.UNLIMITED), kws)
        | st.tuples(st.just("exposure"), intervals, edges(-most - 1, most), kws, kws)
        | st.tuples(st.just("rate"), st.sampled_from([0, 1, 2, g.UNLIMITED]), st.sampled_from([1, 2, g.INT64_MAX]))
        | st.tuples(st.just("reference"), slots, prices | st.just(g.ABSENT), st.integers(NOW_NS - 1, NOW_NS + 1))
        | st.tuples(st.just("mark"), any_slot, prices | st.just(g.ABSENT), times)
        | st.tuples(st.just("switch"), st.booleans(), st.booleans(), st.integers(1, 12))
        | st.tuples(st.just("wait"), st.integers(1, 20))
    )


async def load(bench: Bench, limits: tuple[dict[str, int], ...]) -> None:
    """Let listings trade, by *limits* or else nearly without; each has a reference, and every interval some room."""
    for slot, some in enumerate(limits):  # the last one is not known
        await define(bench, slot, some)
        await bench.mark(slot, 1, NOW_NS)
    for interval in range(bench.device.intervals):
        await bench.put_limits(interval, 9, bench.device.kw_max)
    await bench.put_rate(9, 1)


async def define(bench: Bench, slot: int, limits: dict[str, int]) -> None:
    """Write a listing to both gates; its intervals stay the same for ever."""
    wide = {
        "qty_max_lots": (1 << bench.device.qty_bits) - 1, "collar_ticks": g.UNLIMITED, "notional_max": g.UNLIMITED,
        "minutes": 1, "ref_age_max_ns": g.UNLIMITED, "kw_per_lot": 1,
    }  # fmt: skip
    await bench.put_listing(slot, lambda: g.define_listing(bench.gate, slot, INTERVALS[slot], **(wide | limits)))


async def do(bench: Bench, step: Any, new_ids: Iterator[int]) -> None:
    """Do one step; what it takes time to judge goes on meanwhile."""
    what, *of = step
    if what == "orders":
        bench.queue.extend(
            order._replace(intent_id=next(new_ids)) if order.intent_id == NEW_ID else order for order in of[0]
        )
    elif what == "listing":
        await define(bench, *of)
    elif what == "switch":
        await FallingEdge(bench.dut.clk)
        bench.dut.cfg_kill.value, bench.dut.cfg_paused.value = of[:2]
        await ClockCycles(bench.dut.clk, of[2])
        await FallingEdge(bench.dut.clk)
        bench.dut.cfg_kill.value, bench.dut.cfg_paused.value = 0, 0
    elif what == "wait":
        await ClockCycles(bench.dut.clk, *of)
    elif what == "mark":
        await bench.mark(*of)
    else:
        put = {"limits": bench.put_limits, "exposure": bench.put_exposure, "rate": bench.put_rate,
               "reference": bench.put_reference}  # fmt: skip
        await put[what](*of)


@cocotb.test(timeout_time=2, timeout_unit="sec")
async def drawn_steps_are_answered_as_by_the_model(dut: Any) -> None:
    device = device_of_environment()
    bench = await DrawnBench.start(dut, device)

    async def run(example: tuple[tuple[dict[str, int], ...], list[Any], list[bool], list[bool]]) -> None:
        limits, todo, idle, backpressure = example
        bench.lower_inputs()
        await bench.reset()
        bench.idle, bench.sink.pause = pause_of(idle), pause_of(backpressure)
        await load(bench, limits)
        new_ids = count(NEW_ID)
        for step in todo:
            await do(bench, step, new_ids)
        await bench.settle()
        await bench.check_state()

    limits = st.tuples(*[listings(device)] * (device.slots - 1))
    # Lists are drawn short; each of three shrinks to nothing by itself.
    todo = st.tuples(*[st.lists(steps(device), max_size=12)] * 3).map(lambda parts: [*chain(*parts)])
    drawn = st.tuples(limits, todo, PAUSES, PAUSES)
    await each_example(dut, run, drawn, CYCLES)


@pytest.mark.timeout(600)  # a failure is shrunk
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_drawn_steps_are_answered_as_by_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("risk_gate", __name__, tmp_path, "icarus", parameters, 40)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_many_drawn_steps_are_answered_as_by_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("risk_gate", __name__, tmp_path, "verilator", parameters, 1_000)
