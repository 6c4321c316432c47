"""trigger and its golden model agree on drawn rules and tops; what they do not agree on is shrunk to a few steps."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge
from hypothesis import strategies as st

from penstock_sdk.golden import trigger as golden
from sims.drawn import PAUSES, Watched, each_example, pause_of, simulate
from sims.fields import FieldSink
from sims.trigger.test_trigger import KINDS, PULSES, Bench

SIZES = [
    {"SLOTS": 4, "RULES": 4, "PRICE_W": 6, "QTY_W": 4, "COUNT_W": 4},
    {"SLOTS": 3, "RULES": 5, "LANES": 3, "PRICE_W": 12, "QTY_W": 9, "COUNT_W": 2},
]
CYCLES = 12_000
Step = tuple[str, Any]

WHOLE = {"slot": 0, "known": 1, "has_bid": 1, "bid_ticks": 1, "has_ask": 1, "ask_ticks": 2, "at_ns": 5, "stamp": 6}
FIRES = {"index": 0, "number": 0, "kind": golden.RULE_ASK_AT_MOST, "rule": 2, "other": 0, "threshold_ticks": 2,
         "order_slot": 1, "side": 1, "price_mode": 1, "price_ticks": -1, "lots": 7}  # fmt: skip


class Sink(Watched, FieldSink):
    """A sink of orders whose faults fail the example."""


class DrawnBench(Watched, Bench):
    """A bench of the trigger whose faults fail the example."""

    sink_type = Sink


async def do(bench: Bench, step: Step, settles: bool) -> None:
    """Do one step. Tops are waited for, or else later steps go on meanwhile."""
    what, of = step
    if what == "lane":
        await bench.set_lane(**of)
    elif what == "clear":
        await bench.pulse("slot_clear", slot_index=of)
    elif what == "tops":
        bench.source.send(of)
        await (bench.settle() if settles else ClockCycles(bench.dut.clk, len(of)))
        await FallingEdge(bench.dut.clk)
    elif what == "disarm_all":
        await bench.pulse(what)
    else:
        await bench.pulse(what, rule_index=of)


def steps(bench: Bench) -> st.SearchStrategy[Step]:
    """One thing that the host or the market does. What no table has is given too."""
    sizes, dut, end = bench.sizes, bench.dut, bench.price_end

    def number(name: str) -> st.SearchStrategy[int]:
        return st.integers(0, (1 << len(getattr(dut, f"cfg_{name}"))) - 1)

    # The middle is drawn as often as the rest, so that rules fire.
    prices = st.integers(-2, 2) | st.integers(-end, end - 1)
    slots, rules = st.integers(0, sizes["SLOTS"] - 1), st.integers(0, sizes["RULES"] - 1)
    right = st.fixed_dictionaries({
        "index": slots, "number": st.integers(0, sizes["LANES"] - 1), "kind": st.sampled_from(KINDS), "rule": rules,
        "other": slots, "threshold_ticks": prices | st.integers(-2 * end, 2 * end - 1), "order_slot": slots,
        "side": st.sampled_from([1, 2]), "price_mode": st.integers(0, 1), "price_ticks": prices,
        "lots": st.integers(0, (1 << sizes["QTY_W"]) - 1),
    })  # fmt: skip
    others = {
        "kind": st.sampled_from([golden.RULE_NONE, 7]), "side": st.sampled_from([0, 3]),
        **{name: number(f"lane_{name}") for name in ("index", "number", "rule", "other", "order_slot")},
    }  # fmt: skip
    changed = st.sampled_from(sorted(others)).flatmap(lambda name: st.fixed_dictionaries({name: others[name]}))
    rows = st.builds(lambda row, change: row | change, right, st.just({}) | st.just({}) | changed)
    mostly = st.sampled_from([1, 1, 1, 0])
    tops = st.fixed_dictionaries({
        "slot": slots, "known": mostly, "has_bid": mostly, "bid_ticks": prices, "has_ask": mostly, "ask_ticks": prices,
        "at_ns": st.integers(0, 2**63 - 1), "stamp": st.integers(0, 2**32 - 1),
    })  # fmt: skip
    return (
        st.tuples(st.just("lane"), rows)
        | st.tuples(st.just("lane"), right)
        | st.tuples(st.just("arm"), rules)
        | st.tuples(st.just("arm"), rules)
        | st.tuples(st.sampled_from(["arm", "disarm"]), number("rule_index"))
        | st.tuples(st.just("clear"), number("slot_index"))
        | st.tuples(st.just("disarm_all"), st.none())
        | st.tuples(st.just("tops"), st.lists(tops, min_size=1, max_size=12))
        | st.tuples(st.just("tops"), st.lists(tops, min_size=1, max_size=12))
    )


@cocotb.test(timeout_time=2, timeout_unit="sec")
async def drawn_rules_and_tops_make_the_orders_of_the_model(dut: Any) -> None:
    bench = await DrawnBench.start(dut)

    async def run(example: tuple[list[Step], list[bool], list[bool], bool]) -> None:
        todo, idle, backpressure, settles = example
        for name in PULSES:
            getattr(dut, f"cfg_{name}").value = 0
        await bench.reset()
        bench.source.pause, bench.sink.pause = pause_of(idle), pause_of(backpressure)
        for step in todo:
            await do(bench, step, settles)
        await bench.check()

    await run(([("lane", FIRES), ("arm", 2), ("tops", [WHOLE, WHOLE])], [], [True], True))
    assert len(bench.model.orders) == 1, "a rule that holds fires once, so that drawn ones may"
    # Lists are drawn short; each of three shrinks to nothing by itself.
    todo = st.tuples(*[st.lists(steps(bench), max_size=12)] * 3).map(lambda parts: [*chain(*parts)])
    await each_example(dut, run, st.tuples(todo, PAUSES, PAUSES, st.booleans()), CYCLES)


@pytest.mark.timeout(600)  # a failure is shrunk
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_drawn_rules_and_tops_make_the_orders_of_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("trigger", __name__, tmp_path, "icarus", parameters, 40)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_many_drawn_rules_and_tops_make_the_orders_of_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("trigger", __name__, tmp_path, "verilator", parameters, 1_000)
