"""tick_to_trade sends the orders that the golden chain sends, byte for byte, and measures how long they took."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.task import bridge
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

import penstock_sdk.events as events
from penstock_sdk.golden import latency, risk_gate, trigger
from penstock_sdk.golden.tick_layout import RULE_BID_AT_LEAST
from penstock_sdk.golden.tick_to_trade import new_chain, on_frame, set_kill
from penstock_sdk.schema import layout_of
from penstock_sdk.wire.frame import HEADER_BYTES
from sims.axil import AxilBus, AxilMaster
from sims.axis import Pause, Sink, one_in_three, two_in_three
from sims.budgets import budget
from sims.feed_decoder.feed_traffic import Sent, packed_frame
from sims.fields import FieldSource
from sims.simulators import bench_seed, run_bench
from sims.tick_to_trade.host import Host
from sims.tick_to_trade.market import Market

DEFAULTS = {
    "SLOTS": 16, "MAP_W": 6, "RECORDS_MAX": 4, "LEVELS": 4, "ORDERS": 256, "RULES": 16, "LANES": 2, "INTERVALS": 16,
    "LINKS": 32, "SEEN_SETS": 16, "PRICE_W": 32, "BOOK_QTY_W": 32, "QTY_W": 24, "BINS": 64,
}  # fmt: skip
PARAMETERS = {name: int(os.environ.get(f"BENCH_{name}", value)) for name, value in DEFAULTS.items()}
SLOTS, BINS, LANES = PARAMETERS["SLOTS"], PARAMETERS["BINS"], PARAMETERS["LANES"]
LISTINGS = [1, 2, 3, 4, 5]
ORDER = layout_of(events.Order)


class Bench:
    """The device, its host, and the golden chain that is told the same."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.rng = random.Random(bench_seed(1))
        self.market = Market(self.rng, LISTINGS, PARAMETERS["RECORDS_MAX"])
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        self.source = FieldSource(dut, "s_axis", ("tdata", "tlast", "tid"), idle)
        self.sink = Sink(dut, "m_axis", backpressure)
        self.bus = AxilBus(AxilMaster(dut))
        self.offers: list[int] = []
        """Cycle in which each message was first offered."""
        cocotb.start_soon(self._watch())
        self.fresh()

    def fresh(self) -> None:
        """Begin with an empty chain, as after a reset."""
        p = PARAMETERS
        self.chain = new_chain(
            slots=SLOTS, intervals=p["INTERVALS"], links=p["LINKS"], map_bits=p["MAP_W"], records_max=p["RECORDS_MAX"],
            levels=p["LEVELS"], book_orders=p["ORDERS"], lanes=LANES, rules=p["RULES"], price_bits=p["PRICE_W"],
            book_lots_bits=p["BOOK_QTY_W"], lots_bits=p["QTY_W"], seen_sets=p["SEEN_SETS"],
        )  # fmt: skip
        self.host = Host(self.bus, self.chain, {listing: at for at, listing in enumerate(LISTINGS)}, LANES, self.rng)
        self.host.plan(p["RULES"])
        self.wanted: list[bytes] = []
        self.sent: list[Sent] = []
        self.caused: list[int] = []
        """For each wanted message, the number of the frame that caused it."""
        self.source.taken.clear()
        self.sink.beats.clear()
        self.offers.clear()

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose device has been reset and loaded."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        await bridge(bench.host.load)()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def _watch(self) -> None:
        dut, begins, cycle = self.dut, True, 0
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            await ReadOnly()
            if dut.rst.value == 1:
                begins = True
            elif dut.m_axis_tvalid.value == 1:
                if begins:
                    self.offers.append(cycle)
                begins = dut.m_axis_tlast.value == 1 and dut.m_axis_tready.value == 1

    def rule_that_fires(self, slot: int) -> None:
        """Give a slot rules that any bid fulfils and nothing refuses, and arm them; runs beside the simulation."""
        self.host.rows = {}
        for lane in range(LANES):
            row = {"kind": RULE_BID_AT_LEAST, "rule": lane, "threshold_ticks": -9, "order_slot": slot, "side": 1,
                   "price_ticks": 0, "lots": 2, "price_mode": 1, "other_slot": 0}  # fmt: skip
            self.host.rows[slot, lane] = row
            trigger.set_lane(self.chain.trigger, slot, lane, **row)
            self.host.load_lane(slot, lane)
        self.host.arm()

    def send(self, frames: list[Sent]) -> None:
        """Queue *frames* and let the golden chain have them."""
        for sent in frames:
            words = [int.from_bytes(sent.frame[at : at + 8], "little") for at in range(0, len(sent.frame), 8)]
            self.source.send(
                {"tdata": word, "tlast": at == len(words) - 1, "tid": int(at in sent.strange)}
                for at, word in enumerate(words)
            )
            mixed = 0 < len(sent.strange) < len(words)
            messages = on_frame(self.chain, sent.frame, int(self.host.itch), int(mixed))
            self.wanted += messages
            self.caused += [len(self.sent)] * len(messages)
            self.sent.append(sent)

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for 64 cycles."""
        while self.source.queue:
            await ClockCycles(self.dut.clk, 16)
        seen = -1
        while seen != len(self.sink.beats):
            seen = len(self.sink.beats)
            await ClockCycles(self.dut.clk, 64)

    def messages(self) -> list[bytes]:
        """Return what was sent, each cut to its length: what the golden chain writes ends where the bytes end."""
        met = [frame for frame, _ in self.sink.frames()]
        return [frame[: len(wanted)] for frame, wanted in zip(met, self.wanted, strict=False)] + met[len(self.wanted) :]

    async def exchange(self, frames: list[Sent]) -> None:
        """Send *frames*; every message so far is the golden chain's."""
        self.send(frames)
        await self.settle()
        met = self.messages()
        assert len(met) == len(self.wanted)
        for at, (message, wanted) in enumerate(zip(met, self.wanted, strict=True)):
            assert message == wanted, f"message {at}"

    def clocks(self) -> list[int]:
        """Return the clocks of each message from the last beat of its frame to its first offer."""
        ends = [taken.cycle for taken in self.source.taken if taken.fields["tlast"]]
        return [offer - ends[frame] for offer, frame in zip(self.offers, self.caused, strict=True)]


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize((("idle", "backpressure"), [(None, None), (one_in_three, two_in_three)]))
async def orders_are_those_of_the_golden_chain(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    host, market, count = bench.host, bench.market, int(os.environ["BENCH_FRAMES"])
    await bench.exchange([market.packed(events.Quote, 1) for _ in range(6)])
    turns, reasons = int(os.environ["BENCH_TURNS"]), int(os.environ["BENCH_REASONS"])
    for turn in range(10 * turns):
        if turn >= turns and len(risk_gate.counts(bench.chain.gate)) >= reasons and len(bench.wanted) > 3:
            break
        itch, ouch = turn % 2 == 1, turn % 4 > 1
        await bridge(host.use)(itch, ouch)
        await bridge(host.replan)()
        await bridge(host.arm)()
        await bench.exchange(market.frames(count, itch))
    set_kill(bench.chain, False, paused=True)
    await bridge(host.page["tick_to_trade"].write)("pause", 1)
    await bridge(host.use)(False, False)
    await bridge(host.arm)()
    await bench.exchange(market.frames(6, False))
    await bridge(host.compare)()
    meter = latency.new_meter(BINS)
    for clocks in bench.clocks():
        latency.measure(meter, 0, clocks, 2**32 - 1)
    shown = await bridge(host.latencies)(BINS)
    assert shown["meter"] == meter.tolist()
    assert shown["took"] == meter[latency.METER_LAST]
    assert meter[latency.METER_COUNT] > 3
    assert len(risk_gate.counts(bench.chain.gate)) >= reasons


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_order_leaves_after_as_many_clocks_as_budgeted_and_messages_at_the_pace_they_come(dut: Any) -> None:
    bench = await Bench.start(dut)
    quotes = []
    await bridge(bench.rule_that_fires)(1)
    for at in range(10):  # listing 2 delivers in one interval; its rules wait for a bid and a tight spread
        bench.market._next()
        ticks = -9 + at
        quote = events.Quote(2, 1, 0, 0, ticks, 1, ticks + 7 - at % 5, 1)
        quotes.append(packed_frame([quote], bench.market.seq, bench.market.at_ns))
    await bench.exchange(quotes)
    cycles = [taken.cycle for taken in bench.source.taken]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles))), "the input waited"
    # The next order waits for the end of this one's message, which is longer than a quote.
    assert bench.clocks()[0] == budget("tick_to_trade").clocks


async def stopped(dut: Any, stop: Callable[[Bench], None], after: int) -> Bench:
    """Return a bench whose host called *stop* under traffic; no message came that the golden chain would not send."""
    bench = await Bench.start(dut, None, one_in_three(4))
    await bridge(bench.host.arm)()
    bench.send(bench.market.frames(30, False, bad=0))
    await ClockCycles(dut.clk, after)
    await bridge(stop)(bench)
    answered = bench.sink.cycle
    await bench.settle()
    met = bench.messages()
    assert met == bench.wanted[: len(met)]
    depth = budget("tick_to_trade").clocks
    assert all(offer <= answered + depth for offer in bench.offers), "a message began after the stop"
    return bench


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(after=[40, 73, 150])
async def after_the_kill_switch_no_message_begins(dut: Any, after: int) -> None:
    def kill(bench: Bench) -> None:
        bench.host.page["tick_to_trade"].write("kill", 1)

    bench = await stopped(dut, kill, after)
    page = bench.host.page["tick_to_trade"]
    assert (await bridge(page.read_fields)("state"))["killed"] == 1
    before = len(bench.offers)
    bench.send(bench.market.frames(6, False, bad=0))
    await bench.settle()
    assert len(bench.offers) == before


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def limits_that_forbid_all_hold_for_every_order_after_them(dut: Any) -> None:
    def forbid(bench: Bench) -> None:
        for slot in bench.host.slot_of.values():
            bench.chain.gate[risk_gate.LISTING_ROW + slot, risk_gate.LISTING_QTY_MAX] = 0
            bench.host.gate.load_listing(bench.chain.gate, slot)

    await stopped(dut, forbid, 90)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_slot_rolls_under_traffic_and_the_new_contract_trades(dut: Any) -> None:
    bench = await Bench.start(dut)
    host, market = bench.host, bench.market
    old, new = LISTINGS[-1], 22
    bench.chain.gate[risk_gate.LISTING_ROW + host.slot_of[old], risk_gate.LISTING_STATE] = risk_gate.TRADING
    await bridge(host.gate.load_listing)(bench.chain.gate, host.slot_of[old])
    await bridge(host.arm)()
    bench.send(market.frames(25, False))
    await ClockCycles(dut.clk, 60)
    await bridge(host.roll)(old, new)  # the golden chain has had these frames, and then rolls
    await bench.settle()
    rolled = len(bench.sink.frames())
    listed = [ORDER.unpack(frame[HEADER_BYTES:]).listing_id for frame, _ in bench.sink.frames()]
    assert set(listed) <= set(LISTINGS)
    await bridge(bench.rule_that_fires)(host.slot_of[new])
    bench.market.listings = [new]
    bench.send([market.packed(events.Quote, 1) for _ in range(20)])
    await bench.settle()
    fresh = [ORDER.unpack(frame[HEADER_BYTES:]).listing_id for frame, _ in bench.sink.frames()[rolled:]]
    assert fresh and set(fresh) == {new}


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def a_reset_at_any_clock_leaves_a_chain_that_sends_nothing_until_it_is_loaded(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bridge(bench.host.arm)()
    for clocks in (20, 61, 64, 68, 71, 74, 90):
        bench.send(bench.market.frames(8, False, bad=0))
        await ClockCycles(dut.clk, clocks)
        await bench.reset()
    bench.fresh()
    bench.source.send({"tdata": 0, "tlast": 1, "tid": 0} for _ in range(3))
    await ClockCycles(dut.clk, 700)
    assert not bench.offers
    bench.fresh()
    await bridge(bench.host.load)()
    bench.market.seq += 1
    for _ in range(3):  # the words above, one frame each, came before the load
        on_frame(bench.chain, bytes(8))
    await bridge(bench.host.arm)()
    await bench.exchange(bench.market.frames(12, False))
    await bridge(bench.host.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def while_nobody_takes_orders_market_data_waits_and_nothing_is_lost(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    await bridge(bench.host.arm)()
    bench.send(bench.market.frames(60, False))
    await ClockCycles(dut.clk, 1_500)
    assert bench.source.queue, "without an order taken, the input is to wait"
    state = await bridge(bench.host.page["tick_to_trade"].read_fields)("state")
    assert state["output_waits"] == 1 and state["killed"] == 0
    blocked[0] = False
    await bench.exchange([])
    await bridge(bench.host.compare)()


def simulate(folder: Path, simulator: str, frames: int, turns: int, reasons: int, **parameters: int) -> None:
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()}
    env |= {"BENCH_FRAMES": str(frames), "BENCH_TURNS": str(turns), "BENCH_REASONS": str(reasons)}
    run_bench("tick_to_trade", __name__, folder, simulator=simulator, parameters=DEFAULTS | parameters, env=env)


SMALL = {"SLOTS": 5, "MAP_W": 5, "RECORDS_MAX": 2, "LEVELS": 2, "ORDERS": 32, "RULES": 5, "LANES": 1, "PRICE_W": 8,
         "BOOK_QTY_W": 6, "QTY_W": 6, "SEEN_SETS": 2, "BINS": 16}  # fmt: skip


@pytest.mark.timeout(300)
def test_the_chain_sends_what_the_golden_chain_sends_on_icarus(tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 12, 4, 6)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("parameters", [{}, SMALL], ids=["default", "small"])
def test_long_traffic_makes_the_orders_of_the_golden_chain(
    simulator: str, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(tmp_path, simulator, 60, 30, 10, **parameters)
