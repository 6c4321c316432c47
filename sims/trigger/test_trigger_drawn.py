"""trigger and its golden model agree on drawn rules and tops; what they do not agree on is shrunk to a few steps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock_sdk.golden import trigger as golden
from sims.axis import one_in_three, two_in_three
from sims.simulators import run_bench
from sims.trigger.test_trigger import KINDS, Bench

SIZES = {"SLOTS": 4, "RULES": 4, "PRICE_W": 6, "QTY_W": 4, "COUNT_W": 4}
PRICE_END = 1 << (SIZES["PRICE_W"] - 1)

# The middle is drawn as often as the rest, so that rules fire.
prices = st.integers(-2, 2) | st.integers(-PRICE_END, PRICE_END - 1)
slots = st.integers(0, SIZES["SLOTS"] - 1)
rules = st.integers(0, SIZES["RULES"] - 1)
ROWS = st.fixed_dictionaries({
    "index": slots, "number": st.integers(0, 1), "kind": st.sampled_from([golden.RULE_NONE, *KINDS]), "rule": rules,
    "other": slots, "threshold_ticks": prices | st.integers(-2 * PRICE_END, 2 * PRICE_END - 1), "order_slot": slots,
    "side": st.sampled_from([1, 2, 0]), "price_mode": st.integers(0, 1), "price_ticks": prices,
    "lots": st.integers(0, 15),
})  # fmt: skip
mostly = st.sampled_from([1, 1, 1, 0])
TOPS = st.fixed_dictionaries({
    "slot": slots, "known": mostly, "has_bid": mostly, "bid_ticks": prices, "has_ask": mostly, "ask_ticks": prices,
    "at_ns": st.integers(0, 2**63 - 1), "stamp": st.integers(0, 2**32 - 1),
})  # fmt: skip
STEPS = st.lists(
    st.tuples(st.just("lane"), ROWS)
    | st.tuples(st.just("arm"), rules)
    | st.tuples(st.just("disarm"), rules)
    | st.tuples(st.just("clear"), slots)
    | st.tuples(st.just("tops"), st.lists(TOPS, min_size=1, max_size=12)),
    min_size=1,
    max_size=30,
)
WHOLE = {"slot": 0, "known": 1, "has_bid": 1, "bid_ticks": 1, "has_ask": 1, "ask_ticks": 2, "at_ns": 5, "stamp": 6}
FIRES = {"index": 0, "number": 0, "kind": golden.RULE_ASK_AT_MOST, "rule": 3, "other": 0, "threshold_ticks": 2,
         "order_slot": 1, "side": 1, "price_mode": 1, "price_ticks": -1, "lots": 7}  # fmt: skip


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def the_drawn_steps_match_the_model(dut: Any) -> None:
    drawn = json.loads(Path(os.environ["BENCH_DRAWN"]).read_text())
    bench = await Bench.start(
        dut, one_in_three(1) if drawn["idle"] else None, two_in_three(2) if drawn["backpressure"] else None
    )
    for what, of in drawn["steps"]:
        if what == "lane":
            await bench.set_lane(**of)
        elif what == "clear":
            await bench.pulse("slot_clear", slot_index=of)
        elif what == "tops":
            bench.source.send(of)
            if drawn["settle"]:
                await bench.settle()
            else:
                await ClockCycles(dut.clk, len(of))
            await FallingEdge(dut.clk)
        else:
            await bench.pulse(what, rule_index=of)
    await bench.check()
    if drawn["orders"] is not None:
        assert len(bench.model.orders) == drawn["orders"]


@pytest.mark.timeout(600)  # a simulation an example, and more of them while a failure is shrunk
@settings(max_examples=12)
@given(steps=STEPS, idle=st.booleans(), backpressure=st.booleans(), settle=st.booleans(), orders=st.none())
@example(steps=[("lane", FIRES), ("arm", 3), ("tops", [WHOLE, WHOLE])], idle=False, backpressure=True, settle=True,
         orders=1)  # fmt: skip
def test_drawn_rules_and_tops_make_the_orders_of_the_model(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, Any]],
    idle: bool,
    backpressure: bool,
    settle: bool,
    orders: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    drawn = {"steps": steps, "idle": idle, "backpressure": backpressure, "settle": settle, "orders": orders}
    (folder / "drawn.json").write_text(json.dumps(drawn))
    run_bench("trigger", __name__, folder, parameters=SIZES, env={"BENCH_DRAWN": str(folder / "drawn.json")})
