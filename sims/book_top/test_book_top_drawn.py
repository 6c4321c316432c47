"""book_top and its golden model agree on drawn updates, rolls and pauses; a disagreement is made small."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import cocotb
import pytest
from hypothesis import strategies as st

from penstock_sdk.golden import book_top as g
from sims.book_top.test_book_top import BEGIN, PULSES, ROLL, Bench, Update
from sims.drawn import PAUSES, Watched, each_example, pause_of, simulate
from sims.fields import FieldSink

SIZES = [
    {"SLOTS": 3, "LEVELS": 2, "ORDERS": 4, "WAYS": 2, "GEN_W": 1, "PRICE_W": 5, "BOOK_QTY_W": 4, "COUNT_W": 2},
    {"SLOTS": 2, "LEVELS": 3, "ORDERS": 16, "WAYS": 1, "GEN_W": 3, "PRICE_W": 12, "BOOK_QTY_W": 9, "COUNT_W": 5},
]
CYCLES = 3_000
REFS = st.sampled_from([1, 2, 3, 2**63, 2**64 - 1])
BY_REF = (g.UPDATE_REDUCE, g.UPDATE_DELETE, g.UPDATE_REPLACE, g.UPDATE_SET, g.UPDATE_ADD)


class Sink(Watched, FieldSink):
    """A sink of tops whose faults fail the example."""


class DrawnBench(Bench):
    """A bench of the book whose sink's faults fail the example."""

    sink_type = Sink


def updates(slots: int, price_bits: int, lots_bits: int) -> st.SearchStrategy[Update]:
    """Updates of few prices and refs, so that they meet; every second one has a number that is at an end, or wrong."""
    half, most = 1 << (price_bits - 1), (1 << lots_bits) - 1
    slot, side, few = st.integers(0, slots - 1), st.sampled_from([g.BUY, g.SELL]), st.integers(1, 3)
    right = st.fixed_dictionaries({
        "kind": st.sampled_from([g.UPDATE_LEVEL, g.UPDATE_QUOTE, g.UPDATE_ADD, *BY_REF]), "slot": slot, "side": side,
        "has_price": st.just(1), "price_ticks": st.integers(-2, 2), "lots": few, "has_ask": st.just(1),
        "ask_ticks": st.integers(-1, 3), "ask_lots": few, "order_ref": REFS, "new_ref": REFS,
        "at_ns": st.integers(0, 3), "stamp": st.integers(0, 3),
    })  # fmt: skip
    prices, lots = st.sampled_from([-half, 1 - half, half - 2, half - 1]), st.sampled_from([0, most - 1, most])
    others: dict[str, st.SearchStrategy[int]] = {
        "kind": st.sampled_from([g.UPDATE_CLEAR, g.UPDATE_POISON, ROLL, BEGIN, 0, 10, 15]), "side": st.integers(0, 3),
        "slot": st.integers(0, (1 << max(slots - 1, 1).bit_length()) - 1), "has_price": st.just(0),
        "has_ask": st.just(0), "price_ticks": prices, "ask_ticks": prices, "lots": lots, "ask_lots": lots,
        "at_ns": st.just(2**64 - 1),
    }  # fmt: skip
    changed = st.sampled_from(sorted(others)).flatmap(lambda name: st.fixed_dictionaries({name: others[name]}))
    return st.builds(_update, right, st.just({}) | changed)


def _update(right: Update, change: Update) -> Update:
    """Return the update with a change; of a roll only the slot matters."""
    update = right | change
    return {name: update[name] for name in ("kind", "slot")} if update["kind"] in PULSES else update


@cocotb.test(timeout_time=2, timeout_unit="sec")
async def drawn_updates_match_the_model(dut: Any) -> None:
    bench = await DrawnBench.start(dut)
    empty = [{"kind": g.UPDATE_CLEAR, "slot": slot} for slot in range(bench.slots)]

    async def run(example: tuple[list[Update], list[bool], list[bool], int]) -> None:
        traffic, idle, backpressure, haste = example
        for pulse in (*PULSES.values(), "cfg_slot_read"):
            getattr(dut, pulse).value = 0
        bench.rng.seed(haste)
        await bench.reset()
        bench.source.pause, bench.sink.pause = pause_of(idle), pause_of(backpressure)
        await bench.check([*empty, *traffic])
        for slot in range(bench.slots):
            await bench.check_slot(slot)

    one = updates(bench.slots, len(dut.s_update_price_ticks), len(dut.s_update_lots))
    # Lists are drawn short; each of four shrinks to nothing by itself.
    traffic = st.tuples(*[st.lists(one, max_size=12)] * 4).map(lambda parts: [*chain(*parts)])
    await each_example(dut, run, st.tuples(traffic, PAUSES, PAUSES, st.integers(0, 9)), CYCLES)


@pytest.mark.timeout(600)  # a failure is shrunk
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_drawn_updates_match_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("book_top", __name__, tmp_path, "icarus", parameters, 40)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parameters", SIZES, ids=["small", "middle"])
def test_many_drawn_updates_match_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("book_top", __name__, tmp_path, "verilator", parameters, 1_000)
