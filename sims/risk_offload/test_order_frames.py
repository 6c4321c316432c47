"""order_frames hands on what the model says of every frame, in order and whole or not at all, and counts the others."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.wire.frame import encode_frame
from sims.axis import Pause, Source, one_in_three, two_in_three
from sims.bench import reset, settle, start_clock
from sims.risk_offload.offload_frames import START_NS, Traffic, bad_frames
from sims.risk_offload.offload_model import INTENT, QUOTE, REPORT, Entry, Judge, Note, entries_of
from sims.simulators import bench_seed, run_bench

SLOTS = int(os.environ.get("BENCH_SLOTS", "255"))
PRICE_W = int(os.environ.get("BENCH_PRICE_W", "32"))
QTY_W = int(os.environ.get("BENCH_QTY_W", "24"))
RECORDS_MAX = int(os.environ.get("BENCH_RECORDS_MAX", "8"))
PARAMETERS = {"SLOTS": SLOTS, "PRICE_W": PRICE_W, "QTY_W": QTY_W, "RECORDS_MAX": RECORDS_MAX}

ORDER = ("kind", "slot", "side", "price_ticks", "lots", "fits", "at_ns", "intent_id")
SIGNED = ("price_ticks", "at_ns", "intent_id")


class Bench:
    """A source, a sink for orders and references, and a map from listing to slot that answers as `slot_map` does."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut, self.backpressure = dut, backpressure
        self.rng = random.Random(bench_seed(1))
        self.listings = [*range(1, min(SLOTS, 9)), 2**32 - 1, 77_777]
        self.slot_of = {listing: (listing * 3) % SLOTS for listing in self.listings[:-1]}
        self.traffic = Traffic(self.rng, self.listings, PRICE_W, QTY_W, RECORDS_MAX)
        self.entries: list[Entry] = []
        self.cycles: list[int] = []
        start_clock(dut)
        for name in ("lookup_busy", "lookup_hit", "lookup_slot", "m_order_tready", "m_note_tready"):
            getattr(dut, name).value = 0
        self.source = Source(dut, "s_axis", idle)
        cocotb.start_soon(self._look())
        cocotb.start_soon(self._take())

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await reset(self.dut)
        self.judge = Judge(RECORDS_MAX)

    async def _look(self) -> None:
        dut = self.dut
        while True:
            await FallingEdge(dut.clk)
            if dut.rst.value == 0 and dut.lookup_tvalid.value == 1:
                listing = int(dut.lookup_listing.value)
                await ClockCycles(dut.clk, 2)
                await FallingEdge(dut.clk)
                dut.lookup_hit.value = listing in self.slot_of
                dut.lookup_slot.value = self.slot_of.get(listing, 0)

    async def _take(self) -> None:
        dut, held, cycle = self.dut, None, 0
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            ready = not (self.backpressure is not None and self.backpressure())
            dut.m_order_tready.value = ready
            dut.m_note_tready.value = 1
            await ReadOnly()
            if dut.rst.value == 1:
                held = None
                continue
            if dut.m_ref_tvalid.value == 1:
                assert dut.m_order_tvalid.value == 0 and dut.m_ref_has_price.value == 1
                assert not (self.entries and self.entries[-1].kind is None and self.cycles[-1] == cycle - 1)
                price = dut.m_ref_price_ticks.value.to_signed()
                at_ns = dut.m_ref_at_ns.value.to_signed()
                self._add(Entry(None, int(dut.m_ref_slot.value), 0, price, 0, 1, at_ns, 0, None), cycle)
            offered = self._order() if dut.m_order_tvalid.value == 1 else None
            assert held is None or (offered is not None and offered[:-1] == held[:-1])
            if offered is not None and ready:
                self._add(offered, cycle)
            held = None if ready else offered

    def _add(self, entry: Entry, cycle: int) -> None:
        self.entries.append(entry)
        self.cycles.append(cycle)

    def _order(self) -> Entry:
        dut = self.dut
        signals = [(name, getattr(dut, f"m_order_{name}").value) for name in ORDER]
        values: list[Any] = [value.to_signed() if name in SIGNED else int(value) for name, value in signals]
        note = None
        if dut.m_note_tvalid.value == 1:
            fields = [(name, getattr(dut, f"m_note_{name}").value) for name in Note._fields]
            note = Note(*(v.to_signed() if n.endswith(("_ns", "_seq")) else int(v) for n, v in fields))
        return Entry._make([*values, note])

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for a while."""
        await settle(self.dut, self.source.queue, self.entries)

    async def check(self, frames: list[bytes]) -> None:
        """Send *frames*; what comes, and every counter, is the model's."""
        self.source.send(frames)
        await self.settle()
        reasons = [self.judge.reason(frame) for frame in frames]
        wanted = [
            entry
            for frame, reason in zip(frames, reasons, strict=True)
            if not reason
            for entry in entries_of(frame, self.slot_of, SLOTS, PRICE_W, QTY_W)
        ]
        given = [entry for entry in wanted if entry.kind is not None or entry.fits]
        assert len(self.entries) == len(given)
        for met, entry in zip(self.entries, given, strict=True):
            assert met == entry
        await FallingEdge(self.dut.clk)
        counts = {
            "frame_count": reasons.count(0),
            "refused_count": len(reasons) - reasons.count(0),
            "reference_count": sum(entry.kind is None for entry in given),
            "misfit_count": len(wanted) - len(given),
        }
        assert self.dut.sts_occupied.value == 0
        for name, count in counts.items():
            assert int(getattr(self.dut, f"sts_{name}").value) == count, name
        refusals = [reason for reason in reasons if reason]
        assert int(self.dut.sts_refused_reason.value) == (refusals[-1] if refusals else 0)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def random_frames_match_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    await bench.check([bench.traffic.frame() for _ in range(int(os.environ["BENCH_FRAMES"]))])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def wrong_frames_take_no_effect_and_are_counted(dut: Any) -> None:
    bench = await Bench.start(dut, None, one_in_three(3))
    frames = bad_frames(bench.traffic)
    judge = Judge(RECORDS_MAX)
    assert {judge.reason(frame) for frame in frames} == set(range(9))
    await bench.check(frames)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_reason_is_told_of_the_frame_that_came_last(dut: Any) -> None:
    bench = await Bench.start(dut)
    for frame in bad_frames(bench.traffic)[::7]:
        await bench.reset()
        bench.entries.clear()
        await bench.check([frame])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_quote_with_a_price_beyond_its_bits_gives_no_reference(dut: Any) -> None:
    bench = await Bench.start(dut)
    half, listing = 1 << (PRICE_W - 1), next(iter(bench.slot_of))
    prices = [ABSENT, 2 - 2**63, -half - 1, -half, -1, 0, half - 1, half, 2**63 - 1]
    quotes = [events.Quote(listing, 1, 0, 0, bid, 5, ask, 5) for bid in prices for ask in prices]
    await bench.check([
        encode_frame(Frame.from_body(QUOTE, QUOTE.pack(quote)), seq, START_NS + seq, 0, 0, 3, 9)
        for seq, quote in enumerate(quotes, 1)
    ])  # fmt: skip
    assert int(dut.sts_misfit_count.value) > 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_beat_is_taken_every_clock_and_the_first_entry_leaves_one_clock_after_tlast(dut: Any) -> None:
    bench = await Bench.start(dut)
    frames = [bench.traffic.frame(INTENT, 1) for _ in range(27)]
    await bench.check(frames)
    came = bench.source.taken
    assert [beat.cycle - came[0].cycle for beat in came] == list(range(len(came)))
    ends = [beat.cycle for beat in came if beat.last]
    assert [cycle - end for cycle, end in zip(bench.cycles, ends, strict=True)] == [1] * len(ends)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_reset_forgets_the_frame_under_way(dut: Any) -> None:
    bench = await Bench.start(dut)
    for beats in (3, 6, 9, 20):
        bench.source.send([bench.traffic.frame(REPORT, 2)])
        while len(bench.source.taken) < beats:
            await FallingEdge(dut.clk)
        await bench.reset()
        bench.source.taken.clear()
        bench.entries.clear()
        await bench.check([bench.traffic.frame(layout, 2) for layout in (QUOTE, INTENT, REPORT)])


def simulate(folder: Path, simulator: str, frames: int, **parameters: int) -> None:
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()} | {"BENCH_FRAMES": str(frames)}
    run_bench("order_frames", __name__, folder, simulator=simulator, parameters=parameters, env=env)


@pytest.mark.parametrize("parameters", [{}, {"SLOTS": 5, "PRICE_W": 7, "QTY_W": 6, "RECORDS_MAX": 2}])
def test_frames_become_orders_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 40, **parameters)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("parameters", [{}, {"SLOTS": 5, "PRICE_W": 7, "QTY_W": 6, "RECORDS_MAX": 2}])
def test_many_frames_become_orders(simulator: str, parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, simulator, 1_000, **parameters)
