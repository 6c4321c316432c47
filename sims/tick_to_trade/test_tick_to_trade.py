"""tick_to_trade sends the orders that the golden chain sends, byte for byte, and measures how long they took."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles

import penstock_sdk.events as events
from penstock_sdk.golden import latency, order_encoder, risk_gate, trigger
from penstock_sdk.golden.book_top import CAUSE_FULL
from penstock_sdk.golden.book_top import counts as book_counts
from penstock_sdk.golden.tick_to_trade import on_frame, set_kill
from penstock_sdk.schema import ABSENT
from sims.axis import one_in_three, two_in_three
from sims.budgets import budget
from sims.feed_decoder.feed_traffic import Sent, itch_message, packed_frame
from sims.simulators import run_bench
from sims.tick_to_trade.chain_bench import BINS, DEFAULTS, LISTINGS, PARAMETERS, Bench
from sims.tick_to_trade.host import BASE_NS

LEVELS = PARAMETERS["LEVELS"]
STAGES = ("feed_decoder", "book_top", "trigger", "risk_gate", "order_encoder")
CLEAR = {"action": 3, "side": 0}
WINDOW = 28
"""Clocks from before a quote's first beat to after the first beat of its order."""


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize((("idle", "backpressure"), [(None, None), (one_in_three, two_in_three)]))
async def orders_are_those_of_the_golden_chain(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    host, market, count = bench.host, bench.market, int(os.environ["BENCH_FRAMES"])
    await bench.exchange([market.packed(events.Quote, 1) for _ in range(6)])
    turns, reasons = int(os.environ["BENCH_TURNS"]), int(os.environ["BENCH_REASONS"])
    met = dict.fromkeys(((itch, ouch) for itch in (False, True) for ouch in (False, True)), 0)
    for turn in range(20 * turns):
        if turn >= turns and len(risk_gate.counts(bench.chain.gate)) >= reasons and min(met.values()) >= 3:
            break
        itch, ouch = turn % 2 == 1, turn % 4 > 1
        if turn >= turns and len(risk_gate.counts(bench.chain.gate)) >= reasons and met[itch, ouch] >= 3:
            continue
        before = len(bench.wanted)
        if turn >= turns:  # what works already leaves room, and every book is known
            await bridge(bench.forget_exposures)()
            await bridge(host.use)(False, ouch)
            await bench.exchange([delta(bench, events.BookOrderDelta, CLEAR | {"listing_id": at}) for at in LISTINGS])
        await bridge(host.use)(itch, ouch)
        await bridge(host.replan)()
        await bridge(host.arm)()
        await bench.exchange(market.frames(count, itch))
        met[itch, ouch] += len(bench.wanted) - before
    assert min(met.values()) >= 3, f"orders by (ITCH in, OUCH out): {met}"
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
    await bridge(bench.rule_that_fires)(1)
    # Listing 2 delivers in one interval, which the target is for.
    await bench.exchange([bench.quote(2, bid=at - 9, ask=at - 2 - at % 5, later_ns=100_000) for at in range(10)])
    cycles = [taken.cycle for taken in bench.source.taken]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles))), "the input waited"
    # The next order waits for the end of this one's message, which is longer than a quote.
    assert bench.clocks()[0] == budget("tick_to_trade").clocks == sum(budget(stage).clocks for stage in STAGES)


async def stopped(dut: Any, stop: Callable[[Bench], None], after: int, taken: int) -> Bench:
    """Return a bench whose host called *stop* under orders; no message began after it, though as many were to come.

    *taken* orders may have been taken before it and leave late.
    """
    bench = await Bench.start(dut, None, one_in_three(4))
    await bridge(bench.trade_on)()
    await bench.exchange([bench.quote()])  # the reference price of slot 1
    await bench.round_of_orders()
    await bench.exchange([])
    assert len(bench.offers) >= 5
    await bench.round_of_orders()
    await ClockCycles(dut.clk, after)
    await bridge(stop)(bench)
    answered = bench.sink.cycle
    await bench.settle()
    await bench.round_of_orders()
    await bench.settle()
    met = bench.messages()
    assert met == bench.wanted[: len(met)] and len(met) + len(bench.host.rows) <= len(bench.wanted)
    late = [offer for offer in bench.offers if offer > answered + budget("tick_to_trade").clocks]
    assert len(late) <= taken, "a message began after the stop"
    return bench


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(after=[40, 150])
async def after_the_kill_switch_no_message_begins(dut: Any, after: int) -> None:
    def kill(bench: Bench) -> None:
        bench.host.page["tick_to_trade"].write("kill", 1)

    bench = await stopped(dut, kill, after, taken=0)
    page = bench.host.page["tick_to_trade"]
    assert (await bridge(page.read_fields)("state"))["killed"] == 1


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def limits_that_forbid_all_hold_for_every_order_after_them(dut: Any) -> None:
    def forbid(bench: Bench) -> None:
        gate = bench.chain.gate.copy()  # the golden chain goes on as if nothing had been forbidden
        gate[risk_gate.LISTING_ROW + 1, risk_gate.LISTING_QTY_MAX] = 0
        bench.host.gate.load_listing(gate, 1)

    await stopped(dut, forbid, 20, taken=2)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def a_reset_at_any_clock_leaves_a_chain_that_sends_nothing_until_it_is_loaded(dut: Any) -> None:
    bench, cut = await Bench.start(dut), 0
    for clocks in (0, 4, 8, *range(11, WINDOW + 6)):  # from the frame's last beats to the message's
        await bridge(bench.host.load_one)(1)
        await bridge(bench.set_rule)()
        bench.offer(bench.quote(later_ns=0))
        await ClockCycles(dut.clk, clocks)
        await bench.reset()
        begun = len(bench.offers)
        cut += bool(bench.sink.beats) and not bench.sink.beats[-1].last
        bench.sink.beats.clear()
        await ClockCycles(dut.clk, 30)
        assert len(bench.offers) == begun and not bench.sink.beats, f"a message after a reset {clocks} clocks in"
    assert bench.offers and cut, "no reset came in the midst of a message"
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
    await bridge(bench.trade_on)()
    bench.send([bench.quote()])
    bench.send(bench.market.frames(60, False))
    await ClockCycles(dut.clk, 5_000)
    assert bench.source.queue, "without an order taken, the input is to wait"
    state = await bridge(bench.host.page["tick_to_trade"].read_fields)("state")
    assert state["output_waits"] == 1 and state["killed"] == 0
    blocked[0] = False
    await bench.exchange([])
    await bridge(bench.host.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def while_nobody_takes_orders_the_kill_switch_answers_and_only_the_begun_message_ends(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    await bridge(bench.host.arm)()
    bench.send(bench.market.frames(60, False))
    await ClockCycles(dut.clk, 1_000)
    top = bench.host.page["tick_to_trade"]
    await bridge(top.write)("kill", 1)
    assert (await bridge(top.read_fields)("state"))["killed"] == 1
    assert (await bridge(top.read)("kill")) == 1
    blocked[0] = False
    await bench.settle()
    assert bench.messages() == bench.wanted[:1] and len(bench.offers) == 1


async def cause(bench: Bench, frames: list[Sent], rule: dict[str, int] | None = None) -> None:
    """Send *frames* after setting a rule."""
    if rule is not None:
        await bridge(bench.set_rule)(**rule)
    await bench.exchange(frames)


def delta(bench: Bench, kind: type[events.BookOrderDelta | events.BookPriceDelta], *rows: dict[str, int]) -> Sent:
    """Return a frame of changes to the book of listing 1: a SET of one lot at price 0 but for what a row says."""
    bench.market.seq += 1
    records = [kind(**{"listing_id": 1, "side": 1, "action": 1, "price_ticks": 0, "qty_lots": 1} | row) for row in rows]
    return packed_frame(list(records), bench.market.seq, bench.market.at_ns)


async def reach_the_gate(bench: Bench) -> None:
    """Have an order refused for each reason."""
    host, chain, quote = bench.host, bench.chain, bench.quote
    steps: list[tuple[dict[str, int], Sent | list[Sent]]] = [
        ({}, quote()), ({"order_slot": 12}, quote()), ({"lots": 1}, quote()), ({"lots": 9}, quote()),
        ({"price_ticks": (1 << 31) - 1, "price_mode": 1}, quote(bid=1)), ({"order_slot": 2}, quote()),
        ({"price_ticks": 15}, quote()), ({"price_ticks": 8}, quote()),
        ({"price_ticks": 12, "lots": 8}, quote(bid=9, ask=11)), ({"order_slot": 4}, quote()),
        ({"order_slot": 2, "side": 2}, [quote(listing=3), quote(later_ns=10**8)]),
        *(({"lots": 8}, quote(later_ns=10**9)) for _ in range(4)),
        *(({"side": 2}, quote(later_ns=0)) for _ in range(5)),
    ]  # fmt: skip
    for rule, frames in steps:
        await cause(bench, frames if isinstance(frames, list) else [frames], rule)
    await cause(bench, [quote(later_ns=10**9)], {"side": 2})
    host.intent_base -= 1  # the next order has the number of the last one, which has passed
    trigger.set_intent_base(chain.trigger, host.intent_base)
    await bridge(host.page["trigger"].write)("intent_base", host.intent_base)
    await cause(bench, [quote(later_ns=10**10)], {"side": 2})
    host.intent_base += 100
    trigger.set_intent_base(chain.trigger, host.intent_base)
    await bridge(host.page["trigger"].write)("intent_base", host.intent_base)
    set_kill(chain, True)
    await bridge(host.page["tick_to_trade"].write)("kill", 1)
    await cause(bench, [quote(later_ns=10**9)], {"side": 2})
    set_kill(chain, False)
    await bridge(host.page["tick_to_trade"].write)("kill", 0)


async def reach_trigger_and_encoder(bench: Bench) -> None:
    """Have an order dropped, or none made, in each way."""
    chain, page, quote, ok = bench.chain, bench.host.page, bench.quote, {"side": 2}
    encoder, rules = page["order_encoder"], page["trigger"]
    order_encoder.set_kill(chain.encoder, True)
    await bridge(encoder.write)("kill", 1)
    await cause(bench, [quote(later_ns=10**9)], ok)
    order_encoder.set_kill(chain.encoder, False)
    await bridge(encoder.write)("kill", 0)
    for base in (0, 700):
        order_encoder.set_order_base(chain.encoder, base)
        await bridge(encoder.write)("order_base", base)
        await cause(bench, [quote(later_ns=10**9)], ok | {"side": 1 + (base == 0)})
    for base in (0, bench.host.intent_base):
        trigger.set_intent_base(chain.trigger, base)
        await bridge(rules.write)("intent_base", base)
        await cause(bench, [quote(later_ns=10**9)], ok)
    await bridge(bench.set_rule)(1, 1, rule=1, side=1)
    await cause(bench, [quote(later_ns=10**9)], ok)  # both lanes hold
    absent = quote(bid=ABSENT, later_ns=10**9)
    await cause(bench, [absent, quote(tradability=0), quote()], ok)
    order_encoder.set_listing(chain.encoder, 1, 0, valid=False)
    for name, value in (("listing_index", 1), ("listing_valid", 0)):
        await bridge(encoder.write)(name, value)
    await bridge(encoder.pulse)("listing")
    await cause(bench, [quote(later_ns=10**9)], {"side": 1})


async def reach_the_book(bench: Bench) -> None:
    """Have the book of listing 1 lost in each way."""
    order, level, market = events.BookOrderDelta, events.BookPriceDelta, bench.market
    most = (1 << PARAMETERS["BOOK_QTY_W"]) - 1
    poison = bench.quote(listing=1, tradability=0)
    await bench.exchange([poison, delta(bench, level, {})])  # lost, and skipped
    for frames in (
        [delta(bench, level, CLEAR), delta(bench, order, {"action": 2, "order_ref": 5})],
        [delta(bench, order, CLEAR), delta(bench, order, {"order_ref": 1, "qty_lots": most}, {"order_ref": 2})],
        [
            delta(bench, level, CLEAR), *(delta(bench, level, {"price_ticks": at}) for at in range(LEVELS + 1)),
            *(delta(bench, level, {"price_ticks": at, "action": 2}) for at in range(LEVELS, 0, -1)),
        ],
        [delta(bench, order, CLEAR)],
    ):  # fmt: skip
        await bench.exchange(frames)
    for at in range(10, 400, 4):
        if book_counts(bench.chain.book)[CAUSE_FULL]:
            break
        await bench.exchange([delta(bench, order, *({"order_ref": 7919 * ref} for ref in range(at, at + 2)))])
    await bench.exchange([bench.quote(listing=1)])
    await bridge(bench.host.use)(True, False)
    for letter in "AA":
        body = struct.pack(">cHH", letter.encode(), 1, 0) + (market.at_ns - BASE_NS).to_bytes(6, "big")
        await bench.exchange([itch_message(body + struct.pack(">Q", 3) + struct.pack(">cI8si", b"B", 1, bytes(8), -4))])
    await bridge(bench.host.use)(False, False)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_reason_and_every_counter_is_reached(dut: Any) -> None:
    bench = await Bench.start(dut)
    market = bench.market
    await reach_the_gate(bench)
    await reach_trigger_and_encoder(bench)
    await reach_the_book(bench)
    await bench.exchange([bench.quote(listing=99), bench.quote(bid=1 << 40)])
    for _ in range(12):
        if not any(name.startswith("decoder") for name in bench.host.untouched()):
            break
        await bench.exchange(market.frames(6, False, bad=0.9))
    await bridge(bench.host.compare)()
    # The decoder hands no update on that a book cannot read, the trigger no order without side, price or number; and
    # the gate counts no answer to a command.
    assert bench.host.untouched() == {"book malformed", "gate MALFORMED", "gate UNKNOWN_ORDER", "encoder other"}


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(switch=["kill", "pause"])
async def a_switch_thrown_at_any_clock_around_an_order_stops_it_or_lets_it_go_whole(dut: Any, switch: str) -> None:
    bench = await Bench.start(dut)
    chain, page, met = bench.chain, bench.host.page, set()
    gate, reason = bench.host.gate, risk_gate.REASON_KILL if switch == "kill" else risk_gate.REASON_PAUSED
    risk_gate.set_rate(chain.gate, 1_000, 1)
    await bridge(gate.load_rate)(chain.gate)

    def refused() -> tuple[int, int]:
        page["risk_gate"].write("count_index", reason)
        return page["risk_gate"].read("count"), page["order_encoder"].read("killed_count")

    before = await bridge(refused)()
    for clocks in range(WINDOW):
        await bridge(bench.set_rule)(side=1 + clocks % 2)
        frame = bench.quote()
        bench.offer(frame)
        taken = len(bench.source.taken)
        write = cocotb.start_soon(bridge(throw)(bench, switch, clocks))
        while len(bench.source.taken) < taken + len(frame.frame) // 8:
            await ClockCycles(dut.clk, 1)
        answered = await write
        await bench.settle()
        after = await bridge(refused)()
        at_gate, at_encoder = (new > old for new, old in zip(after, before, strict=True))
        before = after
        # The golden chain is told afterwards what the switch met: the order at the gate, at the encoder, or gone.
        risk_gate.set_switches(chain.gate, kill=at_gate and switch == "kill", paused=at_gate and switch == "pause")
        order_encoder.set_kill(chain.encoder, at_encoder)
        messages = on_frame(chain, frame.frame)
        bench.wanted += messages
        assert bench.messages() == bench.wanted, f"switched {clocks} clocks into the frame"
        assert len(messages) == (not at_gate and not at_encoder)
        assert switch != "kill" or not messages or bench.offers[-1] <= answered, "a message began after the switch"
        met.add((at_gate, at_encoder))
        set_kill(chain, False)
        await bridge(page["tick_to_trade"].write)(switch, 0)
    await bridge(bench.host.compare)()
    assert {(True, False), (False, False)} <= met
    assert switch == "pause" or (False, True) in met, "no order was stopped between the gate and its message"


async def wait(clk: Any, clocks: int) -> None:
    """Wait *clocks* clocks."""
    await ClockCycles(clk, clocks)


def throw(bench: Bench, switch: str, clocks: int) -> int:
    """Wait *clocks* clocks and turn a switch on; return the cycle of the answer. Runs beside the simulation."""
    if clocks:
        resume(wait)(bench.dut.clk, clocks)
    bench.host.page["tick_to_trade"].write(switch, 1)
    return bench.sink.cycle


def simulate(
    folder: Path, simulator: str, frames: int, turns: int, reasons: int, parameters: dict[str, int], only: str = ""
) -> None:
    """Run the bench, or only those of its tests whose name matches."""
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()}
    env |= {"BENCH_FRAMES": str(frames), "BENCH_TURNS": str(turns), "BENCH_REASONS": str(reasons)}
    run_bench(
        "tick_to_trade", __name__, folder, simulator=simulator, parameters=DEFAULTS | parameters, env=env, only=only
    )


SMALL = {"SLOTS": 5, "MAP_W": 5, "RECORDS_MAX": 2, "LEVELS": 2, "ORDERS": 32, "RULES": 5, "LANES": 1, "PRICE_W": 8,
         "BOOK_QTY_W": 6, "QTY_W": 6, "SEEN_SETS": 2, "BINS": 16}  # fmt: skip


@pytest.mark.timeout(300)
def test_the_chain_sends_what_the_golden_chain_sends_on_icarus(tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 12, 4, 6, {})


@pytest.mark.timeout(600)
def test_the_chain_sends_what_the_golden_chain_sends_on_verilator(tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 12, 4, 6, {}, only="orders_are|every_reason|budgeted")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("parameters", [{}, SMALL], ids=["default", "small"])
def test_long_traffic_makes_the_orders_of_the_golden_chain(
    simulator: str, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(tmp_path, simulator, 60, 30, 10, parameters)
