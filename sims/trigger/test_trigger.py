"""trigger makes the orders that its golden model makes, whatever the tops, idle gaps, back-pressure and commands."""

from __future__ import annotations

import os
import random
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from penstock_sdk.golden import trigger as golden
from penstock_sdk.schema import ABSENT
from sims.axis import Pause, one_in_three, two_in_three
from sims.bench import reset, settle, start_clock
from sims.budgets import budget
from sims.fields import FieldSink, FieldSource
from sims.simulators import bench_seed, refuses, run_bench

TOP_FIELDS = [
    "slot", "known", "has_bid", "bid_ticks", "bid_lots", "has_ask", "ask_ticks", "ask_lots", "at_ns", "stamp",
]  # fmt: skip
ORDER_FIELDS = ["kind", "slot", "side", "price_ticks", "lots", "fits", "at_ns", "intent_id", "tag"]
LANE_FIELDS = [
    "index", "number", "kind", "rule", "other", "threshold_ticks", "order_slot", "side", "price_mode",
    "price_ticks", "lots",
]  # fmt: skip
PULSES = ["lane_write", "slot_clear", "arm", "disarm", "disarm_all"]
COUNTS = {
    "unknown": golden.HEAD_UNKNOWN, "absent": golden.HEAD_ABSENT, "no_id": golden.HEAD_NO_ID,
    "passed_over": golden.HEAD_PASSED_OVER,
}  # fmt: skip
KINDS = range(golden.RULE_ASK_AT_MOST, golden.RULE_PAIR_ASK_BID + 1)
BASE = 1_000


class Model:
    """The golden model, given what the ports show in the order in which the module looks at it.

    A top is decided with the rows that its slot had when it was taken, and the rules as they are armed when it is
    decided. To arm a rule in the clock in which it fires, or in the next, does not outlive its order.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.trigger = golden.new_trigger(sizes["SLOTS"], sizes["LANES"], sizes["RULES"], sizes["PRICE_W"])
        self.orders: list[dict[str, int]] = []
        self.refused = 0
        self._events: deque[tuple[str, dict[str, int]]] = deque()
        self._commands: deque[tuple[str, dict[str, int]] | None] = deque([None, None])  # written two edges later
        self._fired = -1  # in the last clock

    def set_base(self, base: int) -> None:
        golden.set_intent_base(self.trigger, base)

    def clock(self, top: dict[str, int] | None, decide: bool, pulses: dict[str, dict[str, int]]) -> None:
        """Follow one rising edge: a top that was taken, whether one was decided, and the commands."""
        if top is not None:
            self._events.append(("top", top))
        if (command := self._commands.popleft()) is not None:
            self._events.append(command)
        heard = ((name, pulses[name]) for name in ("slot_clear", "lane_write") if name in pulses)
        self._commands.append(next(heard, None))
        fired = self._decide() if decide else -1
        rule = pulses["arm"]["rule"] if "arm" in pulses else self.sizes["RULES"]
        if rule not in (fired, self._fired) and rule < self.sizes["RULES"]:
            golden.arm(self.trigger, rule)
        self._fired = fired
        if "disarm" in pulses and pulses["disarm"]["rule"] < self.sizes["RULES"]:
            golden.disarm(self.trigger, pulses["disarm"]["rule"])
        if "disarm_all" in pulses:
            golden.disarm_all(self.trigger)

    def drain(self) -> None:
        """Apply the commands that no top came after."""
        self._events.extend(command for command in self._commands if command is not None)
        self._commands = deque([None, None])
        while self._events:
            self._apply(*self._events.popleft())

    def _apply(self, name: str, fields: dict[str, int]) -> None:
        try:
            if name == "slot_clear":
                golden.clear_slot(self.trigger, fields["index"])
            elif fields["kind"] == golden.RULE_NONE:
                golden.clear_lane(self.trigger, fields["index"], fields["number"])
            else:
                golden.set_lane(
                    self.trigger, fields["index"], fields["number"], kind=fields["kind"], rule=fields["rule"],
                    threshold_ticks=fields["threshold_ticks"], order_slot=fields["order_slot"], side=fields["side"],
                    price_ticks=fields["price_ticks"], lots=fields["lots"], other_slot=fields["other"],
                    price_mode=fields["price_mode"],
                )  # fmt: skip
        except ValueError:
            self.refused += 1

    def _decide(self) -> int:
        """Decide the oldest top; return the rule that fired, or -1."""
        while self._events[0][0] != "top":
            self._apply(*self._events.popleft())
        top = self._events.popleft()[1]
        row = np.full((1, golden.TOP_WIDTH), ABSENT, np.int64)
        row[0, [golden.TOP_SLOT, golden.TOP_KNOWN, golden.TOP_AT_NS]] = top["slot"], top["known"], top["at_ns"]
        if top["has_bid"]:
            row[0, golden.TOP_BID] = top["bid_ticks"]
        if top["has_ask"]:
            row[0, golden.TOP_ASK] = top["ask_ticks"]
        out = golden.new_orders(1)
        if not golden.on_top(self.trigger, row, 0, out, 0):
            return -1
        slot, side, price, lots, at_ns, intent_id, fits, rule = out[0].tolist()
        end = 1 << (self.sizes["PRICE_W"] - 1)
        self.orders.append({
            "kind": 0, "slot": slot, "side": side, "price_ticks": (price + end) % (2 * end) - end, "lots": lots,
            "fits": fits, "at_ns": at_ns, "intent_id": intent_id, "tag": rule << 32 | top["stamp"],
        })  # fmt: skip
        return int(rule)


class Bench:
    """A clock, a source of tops, a sink of orders, commands, and the model that follows them all."""

    sink_type: type[FieldSink] = FieldSink

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.sizes = {name: int(getattr(dut, name).value) for name in ("SLOTS", "LANES", "RULES", "PRICE_W", "QTY_W")}
        self.rng = random.Random(bench_seed(7))
        self.model = Model(self.sizes)
        self.rules = [*range(min(5, self.sizes["RULES"])), self.sizes["RULES"] - 1]
        self.price_end = 1 << (self.sizes["PRICE_W"] - 1)
        for name in [*PULSES, *(f"lane_{field}" for field in LANE_FIELDS), "slot_index", "rule_index", "intent_base"]:
            getattr(dut, f"cfg_{name}").value = 0
        start_clock(dut)
        self.source = FieldSource(dut, "s_top", TOP_FIELDS, idle)
        self.sink = self.sink_type(dut, "m_order", ORDER_FIELDS, ["price_ticks"], backpressure)
        cocotb.start_soon(self._run())

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset, is through with emptying its tables, and has a base for ids."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles, and wait until the tables are empty."""
        await reset(self.dut)
        self.model = Model(self.sizes)
        self.sink.taken.clear()
        while True:
            await FallingEdge(self.dut.clk)
            if self.dut.sts_hold.value == 0:
                break
        await self.set_base(BASE)

    async def set_base(self, base: int) -> None:
        """Set the base of the intent ids while no top is under way."""
        self.dut.cfg_intent_base.value = base
        self.model.set_base(base)
        await ClockCycles(self.dut.clk, 4)
        await FallingEdge(self.dut.clk)

    async def pulse(self, name: str, **fields: int) -> None:
        """Give one command for one clock; call at a falling edge, returns at the next."""
        for field, value in fields.items():
            signal = getattr(self.dut, f"cfg_{field}")
            signal.value = value & ((1 << len(signal)) - 1)
        getattr(self.dut, f"cfg_{name}").value = 1
        await FallingEdge(self.dut.clk)
        getattr(self.dut, f"cfg_{name}").value = 0

    async def set_lane(self, **fields: int) -> None:
        """Write one row; what is left out is 0."""
        await self.pulse("lane_write", **{f"lane_{name}": fields.get(name, 0) for name in LANE_FIELDS})

    async def arm(self, rule: int) -> None:
        await self.pulse("arm", rule_index=rule)

    async def settle(self) -> None:
        """Wait until all is sent and no order has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.taken)

    async def check(self) -> None:
        """Compare orders, counters and armed rules with the model's."""
        await self.settle()
        await FallingEdge(self.dut.clk)
        self.model.drain()
        assert [taken.fields for taken in self.sink.taken] == self.model.orders
        head = self.model.trigger[0]
        for name, column in COUNTS.items():
            counter = getattr(self.dut, f"sts_{name}_count")
            assert int(counter.value) == min(int(head[column]), 2 ** len(counter) - 1), name
        refused = self.dut.sts_refused_count
        assert int(refused.value) == min(self.model.refused, 2 ** len(refused) - 1)
        assert int(self.dut.sts_fired_count.value) == int(head[golden.HEAD_FIRED])
        assert int(self.dut.sts_last_rule.value) == int(head[golden.HEAD_LAST_RULE])
        assert int(self.dut.sts_armed.value) == golden.armed_bits(self.model.trigger)

    async def _run(self) -> None:
        dut = self.dut
        pulses = {name: getattr(dut, f"cfg_{name}") for name in PULSES}
        signed = ("bid_ticks", "ask_ticks")
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            if dut.rst.value != 0 or dut.sts_hold.value != 0:
                continue
            top = None
            if dut.s_top_tvalid.value == 1 and dut.s_top_tready.value == 1:
                top = {
                    name: getattr(dut, f"s_top_{name}").value.to_signed()
                    if name in signed
                    else int(getattr(dut, f"s_top_{name}").value)
                    for name in TOP_FIELDS
                }
            given = {name: self._command(name) for name, signal in pulses.items() if signal.value == 1}
            self.model.clock(top, int(dut.decide.value) == 1, given)

    def _command(self, name: str) -> dict[str, int]:
        dut = self.dut
        if name == "lane_write":
            return {
                field: getattr(dut, f"cfg_lane_{field}").value.to_signed()
                if field in ("threshold_ticks", "price_ticks")
                else int(getattr(dut, f"cfg_lane_{field}").value)
                for field in LANE_FIELDS
            }
        return {"index": int(dut.cfg_slot_index.value), "rule": int(dut.cfg_rule_index.value)}

    # what it is given

    def price(self) -> int:
        """Return a price: mostly near 0, so that rules fire; else at an end, where sums need more bits."""
        end = self.price_end
        near = self.rng.randint(-min(4, end), min(3, end - 1))
        return self.rng.choice([near, near, near, near, -end, -end + 1, end - 1, end - 2])

    def top(self, slot: int | None = None) -> dict[str, int]:
        rng = self.rng
        return {
            "slot": rng.randrange(min(4, self.sizes["SLOTS"])) if slot is None else slot,
            "known": rng.random() < 0.9,
            "has_bid": rng.random() < 0.9, "bid_ticks": self.price(), "bid_lots": rng.getrandbits(8),
            "has_ask": rng.random() < 0.9, "ask_ticks": self.price(), "ask_lots": rng.getrandbits(8),
            "at_ns": rng.getrandbits(63), "stamp": rng.getrandbits(32),
        }  # fmt: skip

    def lane(self, **fixed: int) -> dict[str, int]:
        """Return a row that makes sense, but for one in sixteen."""
        rng, sizes = self.rng, self.sizes
        few = min(4, sizes["SLOTS"])
        row = {
            "index": rng.randrange(few), "number": rng.randrange(sizes["LANES"]), "kind": rng.choice([0, *KINDS]),
            "rule": rng.choice(self.rules), "other": rng.randrange(few),
            "threshold_ticks": rng.choice([self.price(), self.price() - self.price()]),
            "order_slot": rng.randrange(few), "side": rng.choice([1, 2]), "price_mode": rng.randrange(2),
            "price_ticks": self.price(), "lots": rng.randrange(1 << sizes["QTY_W"]),
        } | fixed  # fmt: skip
        if rng.randrange(16) == 0:
            field, value = rng.choice([("kind", 7), ("side", 0), ("side", 3), ("index", sizes["SLOTS"]),
                                       ("rule", sizes["RULES"]), ("number", sizes["LANES"])])  # fmt: skip
            if value < 1 << len(getattr(self.dut, f"cfg_lane_{field}")):
                row[field] = value
        return row

    async def command(self) -> None:
        """Give one random command."""
        rng = self.rng
        what = rng.choices(["lane", "clear", "arm", "disarm", "disarm_all", "wait"], [3, 0.3, 8, 1, 0.3, 6])[0]
        if what == "lane":
            await self.set_lane(**self.lane())
        elif what == "clear":
            slots = 1 << len(self.dut.cfg_slot_index)
            await self.pulse("slot_clear", slot_index=rng.choice([*range(min(4, slots)), slots - 1]))
        elif what == "wait":
            await FallingEdge(self.dut.clk)
        else:
            await self.pulse(what, rule_index=rng.choice(self.rules))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def random_tops_and_commands_match_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    bench.source.send(bench.top() for _ in range(int(os.environ["BENCH_TOPS"])))
    while bench.source.queue:
        await bench.command()
    await bench.check()
    assert len(bench.model.orders) > 20


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def both_edges_of_every_threshold_match_the_model(dut: Any) -> None:
    bench = await Bench.start(dut)
    end, fired = bench.price_end, 0
    for kind in KINDS:
        for threshold in (-2 * end, -end, -1, 0, 1, end - 1, 2 * end - 1):
            await bench.settle()
            await FallingEdge(dut.clk)
            row = {"index": 0, "number": 0, "kind": kind, "rule": 1, "other": 1, "threshold_ticks": threshold}
            await bench.set_lane(**row, order_slot=1, side=1 + threshold % 2, price_ticks=-1, price_mode=1, lots=3)
            await bench.set_lane(index=1, kind=0)
            for step in (-1, 0, 1):
                # Both prices of both slots such that price or difference is threshold + step, where there are such.
                wanted = threshold + step
                low, high = (wanted, wanted) if kind <= 2 else (-(wanted // 2) - wanted % 2, wanted // 2)
                if not (-end <= low < end and -end <= high < end):
                    continue
                bid, ask = (low, high) if kind <= 4 else (high, low)
                tops = [bench.top(slot) | {"known": 1, "has_bid": 1, "has_ask": 1, "bid_ticks": bid, "ask_ticks": ask}
                        for slot in (1, 0)]  # fmt: skip
                await bench.arm(1)
                bench.source.send(tops)
                await bench.settle()
                await FallingEdge(dut.clk)
        assert len(bench.model.orders) > fired, kind
        fired = len(bench.model.orders)
    await bench.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_price_beyond_its_bits_leaves_as_one_that_does_not_fit(dut: Any) -> None:
    bench = await Bench.start(dut)
    end = bench.price_end
    for ask in (-end, -end + 1, 0, end - 2, end - 1):
        for offset in (-end, -1, 0, 1, end - 1):
            await bench.set_lane(
                kind=golden.RULE_ASK_AT_MOST, threshold_ticks=end - 1, side=1, price_mode=1, price_ticks=offset
            )
            await bench.arm(0)
            await ClockCycles(dut.clk, 4)
            bench.source.send([bench.top(0) | {"known": 1, "has_ask": 1, "ask_ticks": ask}])
            await bench.settle()
            await FallingEdge(dut.clk)
    await bench.check()
    assert {order["fits"] for order in bench.model.orders} == {0, 1}
    assert len(bench.model.orders) == 25


async def simple_rule(bench: Bench, **fields: int) -> None:
    """Load a rule that every whole top fires, in slot 0, and arm it."""
    row = {"kind": golden.RULE_SPREAD_AT_LEAST, "threshold_ticks": -2 * bench.price_end, "side": 1, "order_slot": 0}
    await bench.set_lane(**(row | fields))
    await bench.arm(0)
    await ClockCycles(bench.dut.clk, 4)
    await FallingEdge(bench.dut.clk)


def whole(bench: Bench, slot: int) -> dict[str, int]:
    """Return a known top with both prices."""
    return bench.top(slot) | {"known": 1, "has_bid": 1, "has_ask": 1}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_order_is_offered_as_many_clocks_after_its_top_as_is_budgeted_and_a_pair_rules_two_more(dut: Any) -> None:
    bench = await Bench.start(dut)
    pair = {"kind": golden.RULE_PAIR_BID_ASK, "other": 1, "threshold_ticks": -2 * bench.price_end}
    for fields, clocks in (({}, budget("trigger").clocks), (pair, budget("trigger").clocks + 2)):
        bench.source.send([whole(bench, 1)])
        await simple_rule(bench, **fields)
        bench.source.send([whole(bench, 0)])
        await bench.settle()
        assert bench.sink.taken[-1].cycle - bench.source.taken[-1].cycle == clocks
        await FallingEdge(dut.clk)
    await bench.check()
    assert len(bench.model.orders) == 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_top_is_taken_every_clock_every_second_of_an_armed_rule_every_third_of_a_pair(dut: Any) -> None:
    bench = await Bench.start(dut)
    ask, pair = golden.RULE_ASK_AT_MOST, golden.RULE_PAIR_ASK_BID
    for kind, arms, clocks in ((ask, False, 1), (pair, False, 3), (ask, True, 2), (pair, True, 3)):
        never = 2 * bench.price_end - 1 if kind == pair else -bench.price_end - 1
        await bench.set_lane(kind=kind, other=1, threshold_ticks=never, side=1)
        if arms:
            await bench.arm(0)
        await ClockCycles(dut.clk, 4)
        bench.source.taken.clear()
        bench.source.send(whole(bench, 0) for _ in range(20))
        await bench.settle()
        cycles = [taken.cycle for taken in bench.source.taken][1:]  # the first one meets an idle module
        assert {after - before for before, after in pairwise(cycles)} == {clocks}
        await FallingEdge(dut.clk)
    await bench.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_order_that_is_never_taken_stops_the_tops_and_loses_none(dut: Any) -> None:
    stuck = [True]
    bench = await Bench.start(dut, None, lambda: stuck[0])
    await simple_rule(bench)
    bench.source.send(whole(bench, 0) for _ in range(20))
    await ClockCycles(dut.clk, 200)
    assert len(bench.source.taken) == 2, "one fired, one waits behind it"
    await FallingEdge(dut.clk)
    await bench.arm(0)
    stuck[0] = False
    await bench.check()
    assert len(bench.source.taken) == 20
    assert len(bench.model.orders) == 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def without_a_base_for_intent_ids_nothing_fires(dut: Any) -> None:
    bench = await Bench.start(dut)
    last = 2**63 - 1
    await simple_rule(bench)
    for base, orders in ((0, 0), (last, 1), (last, 1), (last - 1, 2), (1, 3)):
        await bench.set_base(base)
        await bench.arm(0)
        bench.source.send([whole(bench, 0)])
        await bench.settle()
        await FallingEdge(dut.clk)
        assert len(bench.sink.taken) == orders, base
    dut.cfg_intent_base.value = 1 << 63
    await bench.arm(0)
    await ClockCycles(dut.clk, 4)
    bench.model.trigger[0, golden.HEAD_INTENT_BASE] = 0  # a negative base is as good as none
    bench.source.send([whole(bench, 0)])
    await bench.check()
    assert [order["intent_id"] for order in bench.model.orders] == [last, last, 3]
    assert int(dut.sts_no_id_count.value) == 3


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_reset_at_any_clock_forgets_rules_tops_and_orders(dut: Any) -> None:
    bench = await Bench.start(dut, one_in_three(3), two_in_three(4))
    for clocks in range(1, 12):
        await simple_rule(bench)
        await bench.set_lane(index=1, kind=golden.RULE_PAIR_BID_ASK, other=0, rule=1, side=2)
        await bench.arm(1)
        bench.source.send(whole(bench, slot % 2) for slot in range(8))
        await ClockCycles(dut.clk, clocks)
        await bench.reset()
        assert int(dut.sts_armed.value) == 0
        bench.source.send(whole(bench, slot % 2) for slot in range(4))
        await bench.arm(0)
        await bench.check()
        assert not bench.model.orders


def simulate(folder: Path, simulator: str, tops: int, seed: int = 1, **parameters: int) -> None:
    env = {"BENCH_TOPS": str(tops), "BENCH_SEED": str(seed)}
    run_bench("trigger", __name__, folder, simulator=simulator, parameters=parameters, env=env)


# Narrow with counters that reach their end; odd; as it is built; one lane.
SMALL = {"SLOTS": 4, "RULES": 4, "PRICE_W": 6, "QTY_W": 4, "COUNT_W": 4}
ODD = {"SLOTS": 5, "RULES": 5, "LANES": 3, "PRICE_W": 9, "QTY_W": 7}
ONE = {"SLOTS": 2, "RULES": 2, "LANES": 1, "PRICE_W": 48}
VARIANTS = [SMALL, ODD, {}, ONE]


@pytest.mark.parametrize("parameters", [SMALL, ODD, {}])
def test_orders_are_those_of_the_model_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 300, **parameters)


def test_orders_are_those_of_the_model_on_verilator(tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 300)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("parameters", VARIANTS)
def test_many_orders_are_those_of_the_model(
    simulator: str, seed: int, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(tmp_path, simulator, 5_000, seed, **parameters)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("RULES=65", "RULES=65, wanted 1 to 64"),
        ("LANES=5", "LANES=5, wanted 1 to 4"),
        ("PRICE_W=63", "PRICE_W=63, wanted 2 to 62"),
    ],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("trigger", parameter, message, tmp_path)
