"""What a host does while orders flow: roll a slot, tell the gate of fills and cancels, lose a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.task import bridge
from cocotb.triggers import ClockCycles

import penstock_sdk.events as events
from penstock_sdk.golden import risk_gate, trigger
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from penstock_sdk.golden.tick_to_trade import command
from penstock_sdk.schema import layout_of
from penstock_sdk.wire.frame import HEADER_BYTES
from sims.simulators import run_bench
from sims.tick_to_trade.chain_bench import DEFAULTS, LISTINGS, PARAMETERS, Bench

ORDER = layout_of(events.Order)
LISTING, SLOT, NEW = 2, 1, 22
INTERVAL = 1
"""Where the listing in that slot delivers, and no other trades in these tests."""


def listings_of(bench: Bench) -> list[int]:
    """Return the listing of each message so far."""
    return [ORDER.unpack(frame[HEADER_BYTES:]).listing_id for frame, _ in bench.sink.frames()]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_slot_rolls_under_traffic_and_the_new_contract_trades(dut: Any) -> None:
    bench = await Bench.start(dut)
    host, market = bench.host, bench.market
    old, slot = LISTINGS[-1], len(LISTINGS) - 1
    bench.chain.gate[risk_gate.LISTING_ROW + slot, risk_gate.LISTING_STATE] = risk_gate.TRADING
    await bridge(host.gate.load_listing)(bench.chain.gate, slot)
    await bridge(host.arm)()
    bench.send(market.frames(25, False))
    await ClockCycles(dut.clk, 60)
    await bridge(host.roll)(old, NEW)  # the golden chain has had these frames, and then rolls
    await bench.settle()
    rolled = len(bench.sink.frames())
    assert set(listings_of(bench)) <= set(LISTINGS)
    assert not any(old_rules_left(bench, slot))
    await bridge(bench.rule_that_fires)(slot)
    market.listings = [NEW]
    bench.send([market.packed(events.Quote, 1) for _ in range(20)])
    await bench.settle()
    fresh = listings_of(bench)[rolled:]
    assert fresh and set(fresh) == {NEW}


def old_rules_left(bench: Bench, slot: int) -> list[int]:
    """Return the slots whose rules trade *slot*, but for its own."""
    return [its for (its, _), row in bench.host.rows.items() if its != slot and row["order_slot"] == slot]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_roll_waits_until_the_orders_of_the_old_contract_have_left(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    host, page = bench.host, bench.host.page
    await bridge(bench.free)(SLOT)
    await bridge(bench.rule_that_fires)(SLOT)
    await bridge(bench.set_rule)(0, 0, rule=4, order_slot=SLOT)  # a rule of another slot that trades this one
    bench.send([bench.quote(LISTING, 3, 5), bench.quote(1, 3, 5), bench.quote(LISTING, 4, 6)])
    await ClockCycles(dut.clk, 100)
    await bridge(host.arm)()
    bench.send([bench.quote(LISTING, 5, 7) for _ in range(6)])
    await ClockCycles(dut.clk, 100)
    shown = await bridge(page["tick_to_trade"].read_fields)("state")
    assert shown["output_waits"] == 1 and shown["occupied"] == 1
    roll = cocotb.start_soon(bridge(host.roll)(LISTING, NEW))
    await ClockCycles(dut.clk, 3_000)
    assert not roll.done(), "rolled with orders of the old contract inside"
    blocked[0] = False
    await roll
    await bench.settle()
    assert listings_of(bench) and set(listings_of(bench)) == {LISTING}
    shown = await bridge(page["tick_to_trade"].read_fields)("state")
    assert (shown["occupied"], shown["drained"]) == (0, 1)
    page_of_book = page["book_top"]
    await bridge(page_of_book.write)("slot_index", SLOT)
    await bridge(page_of_book.pulse)("slot", "read")
    assert (await bridge(page_of_book.read_fields)("slot_state"))["known"] == 0, "an old quote came after the roll"
    await bridge(page["trigger"].write)("rule_index", 4)
    await bridge(page["trigger"].pulse)("arm")
    before = len(bench.offers)
    bench.send([bench.quote(1, 3, 5)])
    await bench.settle()
    assert len(bench.offers) == before, "another slot's rule traded the new contract"
    await bridge(bench.rule_that_fires)(SLOT)
    bench.send([bench.quote(NEW, -1, 1)])
    await bench.settle()
    assert listings_of(bench)[before:] == [NEW]


def exposure(bench: Bench) -> list[int]:
    """Return the device's net position and working orders of the interval. Runs beside the simulation."""
    shown = bench.host.gate.exposure(INTERVAL)
    return [shown["net_kw"], shown["buy_working_kw"], shown["sell_working_kw"]]


def wanted_exposure(bench: Bench) -> list[int]:
    """Return the same of the golden chain."""
    row = risk_gate.exposures(bench.chain.gate)[INTERVAL]
    columns = (
        risk_gate.INTERVAL_NET, risk_gate.INTERVAL_WORKING + risk_gate.BUY, risk_gate.INTERVAL_WORKING + risk_gate.SELL
    )  # fmt: skip
    return [int(row[column]) for column in columns]


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def fills_and_cancels_between_live_orders_keep_position_and_working_orders_right(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bridge(bench.free)(SLOT)
    done = dict.fromkeys((GATE_FILL, GATE_RELEASE), 0)
    for turn in range(14):
        await bridge(bench.rule_that_fires)(SLOT)
        bench.send([bench.quote(LISTING, -1 - turn % 3, 1) for _ in range(2 + turn % 3)])
        if len(bench.offers) > sum(done.values()):  # of an order that has left, while later ones are on their way
            kind = (GATE_FILL, GATE_FILL, GATE_RELEASE)[turn % 3]
            assert await bridge(bench.host.command)(kind, SLOT, 1, 2) == 0
            assert command(bench.chain, kind, SLOT, 1, 2) == 0
            done[kind] += 1
    await bench.exchange([])
    assert len(bench.wanted) >= 20 and min(done.values()) >= 3
    lot_kw = 25
    assert wanted_exposure(bench) == [
        done[GATE_FILL] * 2 * lot_kw, (len(bench.wanted) - sum(done.values())) * 2 * lot_kw, 0,
    ]  # fmt: skip
    assert await bridge(exposure)(bench) == wanted_exposure(bench)
    await bridge(bench.host.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_command_is_answered_as_the_golden_gate_answers_it(dut: Any) -> None:
    bench = await Bench.start(dut)
    most = (1 << PARAMETERS["QTY_W"]) - 1
    for row in (
        (GATE_RELEASE, SLOT, 1, 1), (GATE_RESERVE, SLOT, 1, 7), (GATE_RELEASE, SLOT, 1, 3), (GATE_RELEASE, SLOT, 2, 1),
        (GATE_FILL, SLOT, 1, 4), (GATE_FILL, SLOT, 2, 1), (GATE_RESERVE, SLOT, 0, 1), (GATE_RESERVE, SLOT, 3, 1),
        (GATE_FILL, 12, 1, 1), (GATE_FILL, SLOT, 1, 0), (GATE_RESERVE, SLOT, 2, most), (GATE_CHECK, SLOT, 1, 2),
    ):  # fmt: skip
        assert await bridge(bench.host.command)(*row) == command(bench.chain, *row), row
        assert await bridge(exposure)(bench) == wanted_exposure(bench), row
    assert await bridge(bench.host.page["tick_to_trade"].read)("command_count") == 12
    assert not bench.offers
    await bridge(bench.host.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_command_behind_orders_that_nobody_takes_is_late_and_not_lost(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    host, top = bench.host, bench.host.page["tick_to_trade"]
    await bridge(bench.trade_on)(SLOT)
    bench.send([bench.quote(LISTING)])  # the first order waits for someone to take it
    await ClockCycles(dut.clk, 60)
    bench.send([bench.quote(listing, later_ns=1_000) for listing in LISTINGS])
    await ClockCycles(dut.clk, 100)
    await bridge(host.begin_command)(GATE_RESERVE, SLOT, 2, 3)
    await bridge(host.begin_command)(GATE_RESERVE, SLOT, 2, 5)  # while the first is busy: not heard
    await ClockCycles(dut.clk, 500)
    assert (await bridge(top.read)("command_busy"), await bridge(top.read)("command_count")) == (1, 0)
    blocked[0] = False
    assert command(bench.chain, GATE_RESERVE, SLOT, 2, 3) == 0
    await bench.exchange([])
    assert len(bench.wanted) >= 4
    assert (await bridge(top.read)("command_busy"), await bridge(top.read)("command_count")) == (0, 1)
    assert await bridge(exposure)(bench) == wanted_exposure(bench)
    await bridge(host.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_frame_that_falls_disarms_every_rule_unless_it_is_not_to(dut: Any) -> None:
    bench = await Bench.start(dut)
    host, chain = bench.host, bench.chain
    await bridge(bench.free)(SLOT)
    orders = []
    for on in (True, False):
        await bridge(host.use_lost_disarms)(on)
        await bridge(bench.rule_that_fires)(SLOT)
        await bench.exchange([bench.quote(9), bench.quote(1)])  # whole, without a slot or a rule: nothing is lost
        assert trigger.armed_bits(chain.trigger)
        whole = bench.quote(1)
        await bench.exchange([whole._replace(frame=whole.frame[:-8])])
        assert bool(trigger.armed_bits(chain.trigger)) is not on
        assert await bridge(host.page["trigger"].read)("armed") == trigger.armed_bits(chain.trigger)
        before = len(bench.wanted)
        await bench.exchange([bench.quote(LISTING)])
        orders.append(len(bench.wanted) - before)
    assert orders == [0, 1]
    await bridge(host.compare)()


@pytest.mark.timeout(300)
def test_a_host_acts_while_orders_flow(tmp_path: Path) -> None:
    run_bench("tick_to_trade", __name__, tmp_path, simulator="icarus", parameters=DEFAULTS)
