"""risk_offload answers every intent with the bytes that the golden gate's verdict encodes to."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.task import bridge
from cocotb.triggers import ClockCycles

import penstock_sdk.events as events
from penstock_hw.blocks import find_blocks
from penstock_hw.drivers.base import Registers
from penstock_hw.drivers.risk_gate import RiskGate, prepare
from penstock_hw.registers.generated import risk_offload as offload_registers
from penstock_sdk.golden import risk_gate as golden
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, encoder
from sims.axil import AxilBus, AxilMaster
from sims.axis import Pause, Sink, Source, one_in_three, two_in_three
from sims.bench import reset, settle, start_clock
from sims.budgets import budget
from sims.risk_offload.offload_frames import START_NS, Traffic, bad_frames
from sims.risk_offload.offload_model import (
    ENDINGS,
    INTENT,
    LAYOUTS,
    QUOTE,
    REPORT,
    Judge,
    note_of,
    verdict_frame,
)  # fmt: skip
from sims.simulators import bench_seed, run_bench

DEFAULTS = {"SLOTS": 255, "INTERVALS": 16, "LINKS": 32, "PRICE_W": 32, "QTY_W": 24, "RECORDS_MAX": 8, "SEEN_SETS": 256}
PARAMETERS = {name: int(os.environ.get(f"BENCH_{name}", value)) for name, value in DEFAULTS.items()}
SLOTS, PRICE_W, QTY_W = PARAMETERS["SLOTS"], PARAMETERS["PRICE_W"], PARAMETERS["QTY_W"]
RECORDS_MAX = PARAMETERS["RECORDS_MAX"]
PRODUCER = 21


class Model:
    """The golden gate behind the golden reading of frames."""

    def __init__(self, slot_of: dict[int, int]) -> None:
        self.slot_of = slot_of
        self.judge = Judge(RECORDS_MAX)
        self.gate = golden.new_gate(
            SLOTS, PARAMETERS["INTERVALS"], PARAMETERS["LINKS"], 15 * PARAMETERS["SEEN_SETS"]
        )  # fmt: skip
        self.verdicts = golden.new_verdicts(1)
        self.counts = Counter[str]()
        self.reasons = Counter[int]()

    def frame(self, frame: bytes) -> list[bytes]:
        """Return the answers to one frame."""
        if self.judge.reason(frame):
            self.counts["refused_count"] += 1
            return []
        self.counts["frame_count"] += 1
        header = Header(*HEADER.unpack_from(frame))
        layout, answers = LAYOUTS[header.schema_id], []
        for nth in range(header.count):
            start = HEADER_BYTES + nth * layout.size
            record = layout.unpack(frame[start : start + layout.size])
            slot = self.slot_of.get(record.listing_id)
            if layout is QUOTE:
                self._quote(record, slot, header.at_ns)
            elif layout is REPORT:
                self._report(record, SLOTS if slot is None else slot)
            else:
                answers.append(self._intent(record, SLOTS if slot is None else slot, header, nth))
        return answers

    def _quote(self, quote: Any, slot: int | None, at_ns: int) -> None:
        bid, ask, half = quote.bid_ticks, quote.ask_ticks, 1 << (PRICE_W - 1)
        if slot is None or ABSENT in (bid, ask):
            return
        if not (-half <= bid < half and -half <= ask < half):
            self.counts["misfit_count"] += 1
            return
        self.counts["reference_count"] += 1
        golden.mark_reference(self.gate, slot, (bid + ask) >> 1, at_ns)

    def _report(self, report: Any, slot: int) -> None:
        if report.kind == events.ReportKind.FILL:
            reason = golden.fill(self.gate, slot, report.side, report.last_lots)
        elif report.kind in ENDINGS:
            reason = golden.release(self.gate, slot, report.side, report.leaves_lots)
        else:
            return
        if reason:
            self.counts["undone_count"] += 1
            self.counts["undone_reason"] = reason

    def _intent(self, intent: Any, slot: int, header: Header, nth: int) -> bytes:
        side = intent.side if intent.action == events.IntentAction.NEW else 0
        reason = golden.check_order(
            self.gate, slot, side, intent.price_ticks, intent.qty_lots, header.at_ns, intent.intent_id, self.verdicts
        )
        self.reasons[reason] += 1
        self.counts["verdict_refused_count" if reason else "passed_count"] += 1
        return verdict_frame(intent.intent_id, reason, header.at_ns, note_of(intent, header, nth), PRODUCER)


class Bench:
    """The device, its driver, and the model that is told the same."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.rng = random.Random(bench_seed(1))
        self.listings = [*range(1, min(SLOTS, 7)), 77_777]  # the last is in no slot
        self.slot_of = {listing: (listing * 3) % SLOTS for listing in self.listings[:-1]}
        self.traffic = Traffic(self.rng, self.listings, PRICE_W, QTY_W, RECORDS_MAX)
        self.model = Model(self.slot_of)
        start_clock(dut)
        self.source = Source(dut, "s_axis", idle)
        self.sink = Sink(dut, "m_axis", backpressure)
        self.bus = AxilBus(AxilMaster(dut))
        self.wanted: list[bytes] = []

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose device has been reset and loaded."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        bench.limits()
        await bridge(bench.load)()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await reset(self.dut)

    def limits(self, collar_ticks: int = 12, burst: int = 6) -> None:
        """Set limits that random orders meet from both sides."""
        gate = self.model.gate
        for listing, slot in self.slot_of.items():
            intervals = [slot % 4] if listing % 2 else [slot % 4, 4 + listing % 3]
            golden.define_listing(
                gate, slot, intervals, qty_max_lots=8, qty_min_lots=2, collar_ticks=collar_ticks, notional_max=6_000,
                ref_age_max_ns=4_000_000, minutes=60, kw_per_lot=25, floor_ticks=-18, cap_ticks=18,
                ref_required=listing % 3 > 0, state=golden.PAUSED if listing == 5 else golden.TRADING,
            )  # fmt: skip
        for interval in range(8):
            golden.set_position_limit(gate, interval, 900, 700)
        golden.set_rate(gate, burst, 700_000)

    def load(self) -> None:
        """Give the device what the model has; runs beside the simulation."""
        pages = find_blocks(self.bus)
        assert pages == {"risk_offload": 0, "risk_gate": 0x1000}
        self.pages = Registers.connect(self.bus, offload_registers.BLOCK, 0)
        self.driver = RiskGate.connect(self.bus, pages["risk_gate"], empty=True)
        prepare(self.model.gate, self.driver.device)
        self.pages.write("producer", PRODUCER)
        for listing, slot in self.slot_of.items():
            self.map(listing, slot)
        self.driver.load(self.model.gate)

    def map(self, listing: int, slot: int | None) -> None:
        """Give a listing a slot, or none; runs beside the simulation."""
        self.pages.write("map_listing", listing)
        self.pages.write("map_slot", slot or 0)
        self.pages.write("map_valid", slot is not None)
        self.pages.pulse("map", "write")

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.beats)

    async def exchange(self, frames: list[bytes]) -> None:
        """Send *frames*; every answer so far is the model's."""
        self.source.send(frames)
        for frame in frames:
            self.wanted += self.model.frame(frame)
        await self.settle()
        met = [frame for frame, _ in self.sink.frames()]
        assert len(met) == len(self.wanted)
        for at, (answer, wanted) in enumerate(zip(met, self.wanted, strict=True)):
            assert answer == wanted, f"answer {at}"

    def compare(self) -> None:
        """Read every counter and every exposure; runs beside the simulation."""
        for name in ("frame_count", "refused_count", "reference_count", "misfit_count", "passed_count",
                     "verdict_refused_count", "undone_count", "undone_reason"):  # fmt: skip
            assert self.pages.read(name) == self.model.counts[name], name
        assert self.driver.counts() == {int(k): n for k, n in golden.counts(self.model.gate).items()}
        exposures = golden.exposures(self.model.gate)
        for interval in range(8):
            held = self.driver.exposure(interval)
            row = exposures[interval].tolist()
            assert held["net_kw"] == row[golden.INTERVAL_NET]
            working = held["buy_working_kw"], held["sell_working_kw"]
            assert working == tuple(row[golden.INTERVAL_WORKING + side] for side in (1, 2))


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize((("idle", "backpressure"), [(None, None), (one_in_three, two_in_three)]))
async def answers_are_those_of_the_golden_gate(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    count = int(os.environ["BENCH_FRAMES"])
    traffic = bench.traffic
    await bench.exchange([traffic.frame(INTENT, 1)])  # no reference yet
    await bench.exchange([traffic.frame() for _ in range(count)])
    await bench.exchange([encoded(record, traffic) for record in edge_records()])
    bench.limits(collar_ticks=2, burst=1)
    await bridge(bench.driver.load)(bench.model.gate)
    await bench.exchange([traffic.frame() for _ in range(count // 2)])
    for kill, paused in ((False, True), (True, True), (False, False)):
        golden.set_switches(bench.model.gate, kill=kill, paused=paused)
        await bridge(bench.driver.load_switches)(bench.model.gate)
        await bench.exchange([traffic.frame() for _ in range(6)])
    traffic.at_ns += 10**9  # every reference is too old now
    await bench.exchange([traffic.frame(INTENT, RECORDS_MAX) for _ in range(4)])
    await bridge(bench.compare)()
    # A position fills up, and an id comes twice, in the next test.
    elsewhere = {golden.REASON_NOT_RESERVED, golden.REASON_DUPLICATE, golden.REASON_POSITION}
    assert {int(reason) for reason in golden.REASONS} - elsewhere <= set(bench.model.reasons)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_position_fills_up_and_an_id_that_comes_twice_is_refused(dut: Any) -> None:
    bench = await Bench.start(dut, None, one_in_three(3))
    bench.limits(collar_ticks=12, burst=1_000)
    await bridge(bench.driver.load_rate)(bench.model.gate)
    traffic = bench.traffic
    intents = [
        events.OrderIntent(1, 1, side, 1, 0, 3, 8, number)
        for number, side in enumerate([1] * 6 + [2] * 10 + [1, 1], 1)
        for _ in range(2)
    ]
    quote = events.Quote(1, 1, 0, 0, 2, 1, 4, 1)
    frames = [encoded(quote, traffic)] + [encoded(intent, traffic) for intent in intents]
    frames += [encoded(events.ExecutionReport(9, 1, 2, 1, last_lots=8), traffic) for _ in range(3)]
    frames += [encoded(events.ExecutionReport(9, 1, kind, 2, leaves_lots=8), traffic) for kind in (3, 4, 5, 1, 6, 7)]
    frames += [encoded(events.OrderIntent(1, 1, 2, 1, 0, 3, 8, 100 + number), traffic) for number in range(9)]
    await bench.exchange(frames)
    await bridge(bench.compare)()
    assert {golden.REASON_DUPLICATE, golden.REASON_POSITION, golden.OK} <= set(bench.model.reasons)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_wrong_frame_takes_no_effect_whole(dut: Any) -> None:
    bench = await Bench.start(dut, None, None)
    frames = bad_frames(bench.traffic)
    await bench.exchange(frames[:: int(os.environ["BENCH_STRIDE"])])
    await bridge(bench.compare)()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def intents_are_answered_at_the_pace_they_come_and_after_as_many_clocks_as_budgeted(dut: Any) -> None:
    bench = await Bench.start(dut)
    traffic = bench.traffic
    quote = encoded(events.Quote(1, 1, 0, 0, 2, 1, 4, 1), traffic)
    intents = [encoded(events.OrderIntent(1, 1, 1, 1, 0, 3, 2, number), traffic) for number in range(1, 13)]
    await bench.exchange([quote, *intents])
    came = bench.source.taken
    assert [beat.cycle - came[0].cycle for beat in came] == list(range(len(came))), "the input waited"
    ends = [beat.cycle for beat in came if beat.last][1:]
    starts = [beat.cycle for beat in bench.sink.beats[::13]]
    assert {start - end for start, end in zip(starts, ends, strict=True)} == {budget("risk_offload").clocks}


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_reset_at_any_clock_leaves_a_device_that_passes_nothing_until_it_is_loaded(dut: Any) -> None:
    bench = await Bench.start(dut)
    for clocks in (3, 9, 15, 18, 20, 22, 24, 30):
        bench.source.send([encoded(events.OrderIntent(1, 1, 1, 1, 0, 3, 2, clocks), bench.traffic)] * 2)
        await ClockCycles(dut.clk, clocks)
        await bench.reset()
        bench.sink.beats.clear()
    bench.wanted.clear()
    bench.model = Model({})
    golden.set_switches(bench.model.gate, kill=True, paused=False)  # as a gate is after a reset
    frame = encoded(events.OrderIntent(1, 1, 1, 1, 0, 3, 2, 50), bench.traffic)
    answers = bench.model.frame(frame)
    bench.source.send([frame])
    await bench.settle()
    await ClockCycles(dut.clk, 2_500)  # while tables are emptied, frames wait
    met = [answer for answer, _ in bench.sink.frames()]
    assert [answer[HEADER_BYTES + 8 : HEADER_BYTES + 12] for answer in met] == [
        answer[HEADER_BYTES + 8 : HEADER_BYTES + 12] for answer in answers
    ]
    bench.sink.beats.clear()
    bench.model = Model(bench.slot_of)
    bench.limits()
    await bridge(bench.load)()
    bench.model.counts["frame_count"] = bench.model.counts["verdict_refused_count"] = 1
    await bench.exchange([bench.traffic.frame() for _ in range(12)])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def while_nobody_takes_answers_frames_wait_and_none_is_lost(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    frames = [bench.traffic.frame(INTENT, 1) for _ in range(30)]
    bench.source.send(frames)
    await ClockCycles(dut.clk, 900)
    assert not bench.sink.beats and bench.source.queue, "without an answer taken, the input is to wait"
    await bridge(bench.driver.counts)()  # registers answer meanwhile
    blocked[0] = False
    for frame in frames:
        bench.wanted += bench.model.frame(frame)
    await bench.exchange([bench.traffic.frame(REPORT, 1), bench.traffic.frame(INTENT, 2)])
    await bridge(bench.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_slot_goes_to_another_listing_once_nothing_of_the_old_one_is_inside(dut: Any) -> None:
    blocked = [True]
    bench = await Bench.start(dut, None, lambda: blocked[0])
    traffic, gate, slot, old, new = bench.traffic, bench.model.gate, bench.slot_of[1], 1, 50

    def sent(records: list[Any]) -> None:
        frames = [encoded(record, traffic) for record in records]
        bench.source.send(frames)
        for frame in frames:
            bench.wanted += bench.model.frame(frame)

    high = 30  # beyond the old listing's cap, well within the new one's
    orders = iter(range(1, 99))
    sent([events.Quote(old, 1, 0, 0, 1, 1, 3, 1)])
    sent([events.OrderIntent(old, 1, 1, 1, 0, price, 3, next(orders)) for price in (2, high, high, high)])
    sent([events.ExecutionReport(9, old, 3, 1, leaves_lots=3)])  # of the one that passes: nothing of it works any more
    await ClockCycles(dut.clk, 300)
    await bridge(bench.map)(old, None)
    del bench.slot_of[old]
    sent([events.OrderIntent(old, 1, 1, 1, 0, high, 3, next(orders))])  # finds no slot any more
    await ClockCycles(dut.clk, 300)
    assert await bridge(bench.pages.read)("occupied") == 1
    blocked[0] = False
    await bench.settle()
    assert await bridge(bench.pages.read)("occupied") == 0
    golden.drop_listing(gate, slot)
    await bridge(bench.driver.load_listing)(gate, slot)
    golden.define_listing(
        gate, slot, [2], qty_max_lots=8, collar_ticks=golden.UNLIMITED, notional_max=golden.UNLIMITED, minutes=60,
        ref_age_max_ns=golden.UNLIMITED, kw_per_lot=25, ref_required=False, state=golden.TRADING,
    )  # fmt: skip
    await bridge(bench.driver.load_listing)(gate, slot)
    bench.slot_of[new] = slot
    await bridge(bench.map)(new, slot)
    await bench.exchange([encoded(events.OrderIntent(new, 1, 1, 1, 0, high, 3, next(orders)), traffic)])
    assert bench.model.reasons[golden.OK] == 2
    await bridge(bench.compare)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_cancel_that_comes_twice_or_too_late_releases_nothing(dut: Any) -> None:
    bench = await Bench.start(dut)
    traffic = bench.traffic
    # Numbered before the quote and sent after it: too late.
    ends = [encoded(events.ExecutionReport(9, 1, kind, 1, leaves_lots=2), traffic) for kind in (3, 4)]
    await bench.exchange([encoded(events.Quote(1, 1, 0, 0, 1, 1, 3, 1), traffic)])
    orders = [encoded(events.OrderIntent(1, 1, 1, 1, 0, 2, 2, number), traffic) for number in (1, 2, 3)]
    first, second = (encoded(events.ExecutionReport(9, 1, kind, 1, leaves_lots=2), traffic) for kind in (3, 4))
    await bench.exchange([*orders, *ends, first, first, orders[0], second, first, second])
    assert bench.model.counts["passed_count"] == 3 and bench.model.counts["refused_count"] == 6
    assert golden.exposures(bench.model.gate)[bench.slot_of[1] % 4].tolist()[golden.INTERVAL_WORKING + 1] == 2 * 25
    await bridge(bench.compare)()


def edge_records() -> list[Any]:
    """Return a reference, and orders that one limit after the other refuses."""
    orders = [(15, 8), (3, 1 << QTY_W), (1 << (PRICE_W - 1), 3), (17, 1), (17, 9), (19, 3), (-19, 3), (1, 3), (15, 3)]
    return [
        events.Quote(1, 1, 0, 0, 13, 1, 15, 1),
        *(events.OrderIntent(1, 1, 1, 1, 0, price, lots, 900 + at) for at, (price, lots) in enumerate(orders)),
    ]


def encoded(record: Any, traffic: Traffic) -> bytes:
    """Return a frame of one record, later than the one before."""
    traffic.at_ns = max(traffic.at_ns, START_NS) + 1_000
    seq, traffic.seq = traffic.seq, traffic.seq + 1
    return encoder(layout_of(type(record)))(record, seq, traffic.at_ns, 3, 4, 3, 5)


def simulate(
    folder: Path, simulator: str, frames: int, stride: int, parameters: dict[str, int], only: str = ""
) -> None:
    """Run the bench, or only those of its tests whose name matches."""
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()}
    env |= {"BENCH_FRAMES": str(frames), "BENCH_STRIDE": str(stride)}
    run_bench("risk_offload", __name__, folder, simulator=simulator, parameters=parameters, env=env, only=only)


SMALL = {
    "SLOTS": 7, "INTERVALS": 8, "LINKS": 16, "PRICE_W": 8, "QTY_W": 6, "RECORDS_MAX": 2, "SEEN_SETS": 4, "MAP_W": 4,
}  # fmt: skip
DEFAULT = {"SLOTS": 13, "INTERVALS": 16, "LINKS": 32}  # a driver loads every row, and that takes time
WIDE = {"INTERVALS": 16, "LINKS": 32}


@pytest.mark.parametrize("parameters", [DEFAULT, SMALL], ids=["default", "small"])
def test_the_offload_answers_as_the_golden_gate_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 24, 9, parameters)


@pytest.mark.timeout(600)
def test_the_offload_answers_as_the_golden_gate_on_verilator(tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 24, 9, DEFAULT, only="answers_are|budgeted")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("parameters", [WIDE, SMALL], ids=["default", "small"])
def test_long_traffic_is_answered_as_the_golden_gate(
    simulator: str, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(tmp_path, simulator, 600, 1, parameters)
