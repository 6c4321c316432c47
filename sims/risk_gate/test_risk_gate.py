"""risk_gate answers every order and command as its golden model does, whatever comes when: orders, limits, switches."""

from __future__ import annotations

import os
import random
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from penstock_hw.drivers.risk_gate import Device
from penstock_sdk.golden import risk_gate as g
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RESERVE
from sims.axis import one_in_three, two_in_three
from sims.budgets import budget
from sims.risk_gate.gate_traffic import Traffic
from sims.risk_gate.gate_twin import Bench, Order
from sims.simulators import bench_seed, refuses, run_bench

DEVICE_PARAMETERS = {
    "slots": "SLOTS", "intervals": "INTERVALS", "links": "LINKS", "price_bits": "PRICE_W", "qty_bits": "QTY_W",
    "notional_bits": "NOTIONAL_W", "kw_bits": "KW_W", "kw_per_lot_bits": "KW_PER_LOT_W", "seen_sets": "SEEN_SETS",
    "seen_ways": "SEEN_WAYS",
}  # fmt: skip
SMALL = {
    "SLOTS": 5, "INTERVALS": 6, "LINKS": 32, "PRICE_W": 8, "QTY_W": 6, "NOTIONAL_W": 14, "KW_W": 9, "KW_PER_LOT_W": 5,
    "SEEN_SETS": 4, "SEEN_WAYS": 2, "COUNT_W": 5, "TAG_W": 9,
}  # fmt: skip
WIDE = {"SLOTS": 4, "INTERVALS": 8, "LINKS": 32, "SEEN_SETS": 2, "SEEN_WAYS": 3}
VARIANTS = [SMALL, WIDE]


def device_of_environment() -> Device:
    """Return the sizes that the simulated gate was built with."""
    met = {name: os.environ.get(f"BENCH_{parameter}") for name, parameter in DEVICE_PARAMETERS.items()}
    return Device(**{name: int(value) for name, value in met.items() if value})


async def started(dut: Any, idle: Any = None, backpressure: Any = None) -> tuple[Bench, Traffic]:
    """Return a bench with random limits of every kind, and a source of orders near them."""
    bench = await Bench.start(dut, device_of_environment(), idle, backpressure)
    traffic = Traffic(random.Random(bench_seed(7)), bench.device, lambda: bench.gate)
    for listing in range(bench.device.slots):
        await define(bench, traffic, listing)
    for interval in range(bench.device.intervals):
        await limit(bench, traffic, interval)
    await bench.put_rate(burst=5, ns_per_message=400)
    return bench, traffic


async def define(bench: Bench, traffic: Traffic, listing: int, **changes: Any) -> None:
    """Give a listing new limits; the first time it delivers in one interval, or in several."""
    rng = traffic.rng
    intervals = g.intervals_of(bench.gate, listing)
    if not intervals:
        count = [1, 2, 4, 1, bench.device.intervals][listing % 5]
        intervals = rng.sample(range(bench.device.intervals), count)
        changes = {"state": g.TRADING} | changes
    limits = traffic.limits(**changes)
    await bench.put_listing(listing, lambda: g.define_listing(bench.gate, listing, intervals, **limits))
    half = 1 << (bench.device.price_bits - 1)
    if rng.random() < 0.8 and limits.get("state", g.TRADING) != g.UNKNOWN:
        await bench.put_reference(listing, rng.randrange(-half // 2, half // 2), traffic.now_ns)


async def limit(bench: Bench, traffic: Traffic, interval: int) -> None:
    """Give an interval new limits."""
    rng, most = traffic.rng, bench.device.kw_max
    pair = [rng.choice([0, 1, most, most // 2, rng.randrange(most), g.UNLIMITED]) for _ in range(2)]
    await bench.put_limits(interval, *pair)


async def change_something(bench: Bench, traffic: Traffic) -> None:
    """Change one limit, exposure or switch, or offer a reference price."""
    rng, device = traffic.rng, bench.device
    half, most = 1 << (device.price_bits - 1), device.kw_max
    what = rng.randrange(10)
    if what == 0:
        await define(bench, traffic, rng.randrange(device.slots))
    elif what == 1:
        await limit(bench, traffic, rng.randrange(device.intervals))
    elif what == 2:
        values = [rng.choice([0, most - 1, most, rng.randrange(most)]) for _ in range(2)]
        net_kw = rng.choice(
            [-most - 1, -most, most, *(sign * rng.randrange(most) for sign in (-1, 1) for _ in range(4))]
        )
        await bench.put_exposure(rng.randrange(device.intervals), net_kw, *values)
    elif what == 3:
        await bench.put_rate(
            rng.choice([0, 1, 2, 5, 9, g.UNLIMITED, 2**62]), rng.choice([1, 400, 1_000, 2**62, g.INT64_MAX])
        )
    elif what == 4:
        await FallingEdge(bench.dut.clk)
        bench.dut.cfg_kill.value = int(rng.random() < 0.2)
        bench.dut.cfg_paused.value = int(rng.random() < 0.2)
    else:
        price = rng.choice([g.ABSENT, -half, half - 1, *(rng.randrange(-half, half) for _ in range(6))])
        at_ns = rng.choice([-1, traffic.now_ns, traffic.now_ns, traffic.now_ns, traffic.now_ns - 900, g.INT64_MAX])
        await bench.mark(rng.randrange(1 << (device.slots - 1).bit_length()), price, at_ns)


@cocotb.test(timeout_time=200, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def random_orders_among_changes_are_answered_as_by_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench, traffic = await started(dut, idle and idle(1), backpressure and backpressure(2))
    bench.source = traffic.orders(int(os.environ["BENCH_ORDERS"]))
    while bench.source is not None or bench.queue:
        await change_something(bench, traffic)
        await ClockCycles(dut.clk, traffic.rng.choice([1, 7, 20]))
    await bench.settle()
    await bench.check_state()
    assert len({reason for _, reason in bench.wanted}) >= 8, "wanted more reasons"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def the_clocks_are_those_of_the_header(dut: Any) -> None:
    bench, traffic = await started(dut)
    for listing in range(bench.device.slots):
        await define(bench, traffic, listing, state=g.TRADING)
    bench.latencies.clear()
    bench.source = traffic.orders(150, commands=0)
    await bench.settle()
    met = {(max(count, 1), cycles) for _, count, cycles in bench.latencies}
    clocks = budget("risk_gate").clocks
    assert met == {(count, clocks if count == 1 else clocks + 2 + count) for count, _ in met} and len(met) >= 3
    # Orders of one interval follow one another as fast as they are judged.
    bench.taken_at.clear()
    bench.queue.extend(Order(GATE_CHECK, 0, g.BUY, 0, 1, traffic.now_ns, 10**6 + i) for i in range(20))
    await bench.settle()
    assert {b - a for a, b in zip(bench.taken_at, bench.taken_at[1:], strict=False)} == {clocks}
    # Where more was changed than the row at hand, the next one waits.
    bench.taken_at.clear()
    bench.forget_verdicts()
    kinds = [GATE_CHECK, GATE_RESERVE, GATE_FILL] * 4
    bench.queue.extend(Order(kind, 2, g.BUY, 0, 1, traffic.now_ns, 2 * 10**6 + i) for i, kind in enumerate(kinds))
    await bench.settle()
    count = len(g.intervals_of(bench.gate, 2))
    changed = {GATE_CHECK: (g.OK,), GATE_RESERVE: (g.OK,), GATE_FILL: (g.OK, g.REASON_NOT_RESERVED)}
    more = [
        (8 + count * (2 if order.kind == GATE_FILL else 1)) * (reason in changed[order.kind])
        for order, reason in bench.wanted
    ]
    assert any(more)
    between = [b - a for a, b in zip(bench.taken_at, bench.taken_at[1:], strict=False)]
    assert between == [8 + count + wait for wait in more[:-1]]


async def quiet(dut: Any) -> Bench:
    """Return a bench whose listing 0 lets everything small pass."""
    bench = await Bench.start(dut, device_of_environment())
    most = bench.device.kw_max
    limits: dict[str, Any] = {
        "qty_max_lots": 1 << (bench.device.qty_bits - 1), "collar_ticks": 9, "notional_max": 50, "ref_age_max_ns": 100,
        "minutes": 1, "kw_per_lot": 1,
    }  # fmt: skip
    await bench.put_listing(0, lambda: g.define_listing(bench.gate, 0, [1], **limits))
    await bench.put_limits(1, most // 2, most // 2)
    await bench.put_reference(0, 5, 1_000)
    await bench.put_rate(2**40, 1)
    return bench


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(switch=["cfg_kill", "cfg_paused"])
async def a_switch_at_any_clock_counts_from_that_clock(dut: Any, switch: str) -> None:
    bench = await quiet(dut)
    for wait in range(14):
        await FallingEdge(dut.clk)
        getattr(dut, switch).value = 0
        bench.queue.extend(Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, 100 * (wait + 1) + i) for i in range(3))
        await ClockCycles(dut.clk, wait + 1)
        await FallingEdge(dut.clk)
        getattr(dut, switch).value = 1
        await bench.settle()
    passed = [reason for _, reason in bench.wanted].count(g.OK)
    assert 0 < passed < len(bench.wanted)
    await bench.check_state()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def back_pressure_for_ever_stops_orders_but_not_the_host(dut: Any) -> None:
    bench = await quiet(dut)
    bench.sink.pause = lambda: True
    bench.queue.extend(Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, 1 + i) for i in range(3))
    await ClockCycles(dut.clk, 100)
    assert len(bench.wanted) == 1 and not bench.sink.taken
    await bench.put_limits(1, 1, 1)  # asserts that it is applied soon
    await bench.put_rate(7, 3)
    bench.sink.pause = None
    await bench.settle()
    assert [reason for _, reason in bench.wanted] == [g.OK, g.REASON_POSITION, g.REASON_POSITION]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_reset_at_any_clock_forgets_everything(dut: Any) -> None:
    bench = await quiet(dut)
    for wait in range(16):
        bench.queue.extend(Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, 1 + i) for i in range(3))
        dut.cfg_rate_write.value = 1
        await ClockCycles(dut.clk, 1 + wait)
        dut.cfg_rate_write.value = 0
        await bench.reset()
        bench.queue.append(Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, 1))
        await bench.settle()
        assert [reason for _, reason in bench.wanted] == [g.REASON_LISTING]
        await bench.check_state()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def limits_changed_at_any_clock_count_for_later_orders_alone(dut: Any) -> None:
    bench = await quiet(dut)
    for wait in range(14):
        bench.queue.extend(Order(GATE_CHECK, 0, g.SELL, 5, 1, 1_000, 1 + 10 * wait + i) for i in range(3))
        await ClockCycles(dut.clk, 1 + wait)
        room = int(
            -g.exposures(bench.gate)[1, g.INTERVAL_NET] + g.exposures(bench.gate)[1, g.INTERVAL_WORKING + g.SELL]
        )
        await bench.put_limits(1, 1, room + wait % 3)
        await bench.settle()
    await bench.check_state()
    assert {reason for _, reason in bench.wanted} >= {g.OK, g.REASON_POSITION}


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def the_first_of_every_two_reasons_decides(dut: Any) -> None:
    bench = await quiet(dut)
    usual = bench.gate.copy()
    ids = iter(range(1_000, 10**6))
    # What two faults leave behind does not depend on which came first, but that a duplicate follows what has passed.
    for pair in combinations_with_replacement(faults_of(bench.device), 2):
        await repair(bench, usual)
        order = Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, next(ids), 3)
        for fault in pair:
            order = await fault(bench, order)
        bench.queue.append(order)
        await bench.settle()
    assert len({reason for _, reason in bench.wanted}) == 16
    await bench.check_state()


async def repair(bench: Bench, usual: g.Table) -> None:
    """Put back what is not as in *usual*, the gate that `quiet` made; there an order of one lot at 5 passes."""
    bench.dut.cfg_kill.value = 0
    bench.dut.cfg_paused.value = 0
    listing = bench.gate[g.LISTING_ROW] != usual[g.LISTING_ROW]
    interval = g.exposures(bench.gate)[1] != g.exposures(usual)[1]
    if listing[g.LISTING_REF]:
        await bench.put_reference(0, 5, 1_000)
    listing[[g.LISTING_REF, g.LISTING_REF_AT]] = False
    if listing.any():
        await relimit(bench)
    if interval[: g.INTERVAL_NET].any():
        await bench.put_limits(1, bench.device.kw_max // 2, bench.device.kw_max // 2)
    if interval[g.INTERVAL_NET :].any():
        await bench.put_exposure(1, 0, 0, 0)
    if (bench.gate[0] != usual[0])[[g.HEAD_RATE_BURST, g.HEAD_RATE_NS]].any():
        await bench.put_rate(2**40, 1)


async def relimit(bench: Bench, **changes: Any) -> None:
    """Define listing 0 as `quiet` does, with some limits changed."""
    limits: dict[str, Any] = {
        "qty_max_lots": 1 << (bench.device.qty_bits - 1), "collar_ticks": 9, "notional_max": 50, "ref_age_max_ns": 100,
        "minutes": 1, "kw_per_lot": 1,
    }  # fmt: skip
    kept = {
        "state": g.LISTING_STATE, "qty_max_lots": g.LISTING_QTY_MAX, "qty_min_lots": g.LISTING_QTY_MIN,
        "collar_ticks": g.LISTING_COLLAR, "cap_ticks": g.LISTING_CAP, "notional_max": g.LISTING_NOTIONAL_MAX,
        "ref_age_max_ns": g.LISTING_REF_AGE_MAX, "kw_per_lot": g.LISTING_KW_PER_LOT,
    }  # fmt: skip
    if changes:  # what another fault changed stays
        limits |= {name: int(bench.gate[g.LISTING_ROW, cell]) for name, cell in kept.items()}
    limits |= changes
    await bench.put_listing(0, lambda: g.define_listing(bench.gate, 0, [1], **limits))


def faults_of(device: Device) -> list[Any]:
    """Return one way for every reason to refuse, each a function that changes the bench or the order.

    The first sends an order that has to pass.
    """

    async def kill(bench: Bench, order: Order) -> Order:
        bench.dut.cfg_kill.value = 1
        return order

    async def pause(bench: Bench, order: Order) -> Order:
        bench.dut.cfg_paused.value = 1
        return order

    async def unknown(bench: Bench, order: Order) -> Order:
        return order._replace(slot=3)

    async def paused_listing(bench: Bench, order: Order) -> Order:
        await relimit(bench, state=g.PAUSED)
        return order

    async def malformed(bench: Bench, order: Order) -> Order:
        return order._replace(side=3)

    async def too_wide(bench: Bench, order: Order) -> Order:
        return order._replace(price_ticks=1 << device.price_bits)

    async def too_few(bench: Bench, order: Order) -> Order:
        await relimit(bench, qty_min_lots=2)
        return order

    async def too_many(bench: Bench, order: Order) -> Order:
        await relimit(bench, qty_max_lots=0)
        return order

    async def no_reference(bench: Bench, order: Order) -> Order:
        await bench.put_reference(0, g.ABSENT, 0)
        return order

    async def above_cap(bench: Bench, order: Order) -> Order:
        await relimit(bench, cap_ticks=4)
        return order

    async def outside(bench: Bench, order: Order) -> Order:
        await relimit(bench, collar_ticks=0)
        return order

    async def notional(bench: Bench, order: Order) -> Order:
        await relimit(bench, notional_max=4)
        return order

    async def exposure_overflow(bench: Bench, order: Order) -> Order:
        await bench.put_exposure(1, 0, device.kw_max - 1, 0)
        return order

    async def position(bench: Bench, order: Order) -> Order:
        await bench.put_limits(1, 0, 0)
        return order

    async def rate_overflow(bench: Bench, order: Order) -> Order:
        await bench.put_rate(1, g.INT64_MAX)
        return order

    async def rate(bench: Bench, order: Order) -> Order:
        await bench.put_rate(0, 1)
        return order

    async def stale(bench: Bench, order: Order) -> Order:
        await relimit(bench, ref_age_max_ns=0)
        return order

    async def duplicate(bench: Bench, order: Order) -> Order:
        await bench.settle()
        again = Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, order.intent_id, 4)
        bench.queue.append(again)
        await bench.settle()
        return order

    return [
        duplicate, kill, pause, unknown, paused_listing, malformed, too_wide, too_few, too_many, no_reference,
        above_cap, outside, notional, exposure_overflow, position, rate_overflow, rate, stale,
    ]  # fmt: skip


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_fill_of_more_than_was_reserved_is_entered_all_the_same(dut: Any) -> None:
    bench = await quiet(dut)
    bench.queue.append(Order(GATE_FILL, 0, g.SELL, 0, 3, 0, 0))
    await bench.settle()
    assert bench.wanted[-1][1] == g.REASON_NOT_RESERVED
    await bench.check_state()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def no_sale_passes_at_the_most_negative_position(dut: Any) -> None:
    bench = await quiet(dut)
    for nth, net_kw in enumerate((-bench.device.kw_max - 1, -bench.device.kw_max)):
        await bench.put_exposure(1, net_kw, 0, 0)
        bench.queue.append(Order(GATE_CHECK, 0, g.SELL, 5, 1, 1_000, 1 + nth))
        bench.queue.append(Order(GATE_FILL, 0, g.SELL, 5, 1, 1_000, 1))
        await bench.settle()
        assert [reason for _, reason in bench.wanted[-2:]] == [g.REASON_OVERFLOW] * 2
        await bench.check_state()
    bench.queue.append(Order(GATE_CHECK, 0, g.BUY, 5, 1, 1_000, 9))
    await bench.settle()
    assert bench.wanted[-1][1] == g.OK
    await bench.check_state()


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(late=range(5))
async def what_takes_a_listings_place_does_not_inherit_its_reference(dut: Any, late: int) -> None:
    bench = await quiet(dut)
    limits: dict[str, Any] = {
        "qty_max_lots": 3, "collar_ticks": 9, "notional_max": 50, "ref_age_max_ns": 100, "minutes": 1, "kw_per_lot": 1,
    }  # fmt: skip

    def drop() -> None:
        g.drop_listing(bench.gate, 0)

    async def mark_meanwhile() -> None:
        """Offer a reference of another listing at one of the edges around the write."""
        await ClockCycles(dut.clk, late)
        await bench.mark(1, 5, 1_000)

    await bench.put_listing(1, lambda: g.define_listing(bench.gate, 1, [2], **limits))
    marking = cocotb.start_soon(mark_meanwhile())
    await bench.put("listing", "write", {"index": 0, "state": g.UNKNOWN}, drop)
    await marking
    await bench.put_listing(0, lambda: g.define_listing(bench.gate, 0, [3], **limits))
    for interval in (2, 3):
        await bench.put_limits(interval, 9, 9)
    bench.queue.extend(Order(GATE_CHECK, slot, g.BUY, 5, 1, 1_000, 1 + slot) for slot in (0, 1))
    await bench.settle()
    assert [reason for _, reason in bench.wanted] == [g.REASON_NO_REFERENCE, g.OK]


def simulate(folder: Path, simulator: str, orders: int, parameters: dict[str, int], **env: str) -> None:
    """Run the bench on a gate of these parameters."""
    sizes = {f"BENCH_{name}": str(value) for name, value in parameters.items()}
    run_bench(
        "risk_gate", __name__, folder, simulator=simulator, parameters=parameters,
        env={"BENCH_ORDERS": str(orders), **sizes, **env},
    )  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("parameters", VARIANTS, ids=["small", "wide"])
def test_orders_are_answered_as_by_the_model_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 100, parameters)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parameters", VARIANTS, ids=["small", "wide"])
def test_many_orders_are_answered_as_by_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 13_000, parameters)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("LINKS=2", "LINKS=2, wanted 4 or more"),
        ("KW_W=3", "KW_W=3, wanted 4 or more"),
        ("SEEN_SETS=3", "SEEN_SETS=3, wanted a power of 2"),
        ("SEEN_WAYS=16", "SEEN_WAYS=16, wanted 1 to 15"),
        ("QTY_W=40", "QTY_W=40, wanted 36 or less"),
        ("KW_PER_LOT_W=19", "KW_PER_LOT_W=19, wanted 3 to 18"),
    ],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("risk_gate", parameter, message, tmp_path)
