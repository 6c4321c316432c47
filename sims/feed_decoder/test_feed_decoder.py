"""feed_decoder gives the updates and counters of its golden model, under idle gaps, back-pressure and bad frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

import penstock_sdk.events as events
from penstock_sdk.golden import feed_decoder as golden
from penstock_sdk.schema import layout_of
from sims.axis import one_in_three, two_in_three
from sims.budgets import budget
from sims.feed_decoder import captured_bench
from sims.feed_decoder.decoder_bench import Bench, as_fields
from sims.feed_decoder.feed_traffic import (
    Sent,
    bad_lengths,
    itch_edges,
    one_of_each,
    packed_edges,
    packed_frame,
    random_itch,
    random_packed,
    spoiled,
)  # fmt: skip
from sims.simulators import run_bench


def traffic(bench: Bench, count: int) -> list[Sent]:
    """Return one frame of each kind, then frames of both formats in runs, every third with something wrong."""
    rng, frames, itch, seq = bench.rng, one_of_each(5, 0x405), False, 10
    for _ in range(count):
        itch ^= rng.random() < 0.1
        if itch:
            sent = random_itch(rng, None, bench.price_bits, bench.lots_bits)
        else:
            seq += rng.choice([1, 1, 1, 5, 2**40])
            sent = random_packed(rng, seq, bench.records_max, bench.price_bits, bench.lots_bits)
        frames.append(spoiled(rng, sent, seq) if rng.random() < 1 / 3 else sent)
    return frames


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def random_traffic_matches_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    met = await bench.check(traffic(bench, int(os.environ["BENCH_FRAMES"])))
    missing = {1, 2, 3, 4, 5, 6, 7, 8, 9} - {update["kind"] for update in met}
    assert not missing, f"no update of kinds {missing}"
    # Every counter has moved; where the narrow ones end, they stay there.
    assert all(bench.decoder[1, : len(golden.COUNTERS)])


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(itch=[False, True])
async def both_sides_of_every_bound_match_the_model(dut: Any, itch: bool) -> None:
    bench = await Bench.start(dut)
    edges = itch_edges if itch else packed_edges
    await bench.check(edges(bench.records_max, bench.price_bits, bench.lots_bits))
    assert bench.decoder[1, golden.COUNT_RANGE] > 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def lengths_that_do_not_fit_are_told_apart(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bench.check(bad_lengths(bench.rng, bench.records_max))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def one_clock_after_the_last_beat_and_no_gap_between_frames(dut: Any) -> None:
    bench = await Bench.start(dut)
    rng, most = bench.rng, bench.records_max
    quote = events.Quote(listing_id=5, bid_ticks=1, bid_lots=1)
    # After the largest frame comes one that is longer than those records take to leave.
    counts = [1, 1, most, most, (most + 1) // 2, 1, most, 1][: 7 if most > 2 else 8]
    packed = [packed_frame([quote] * count, seq) for seq, count in enumerate(counts)]
    itch = [random_itch(rng, letter) for letter in "DDDDXDAEDUUXFCFDDDDDD"]
    for frames in (packed, itch):
        await bench.check(frames)
        beats, updates = bench.source.taken, bench.sink.taken
        assert [beat.cycle - beats[0].cycle for beat in beats] == list(range(len(beats))), "a beat waited"
        first = {update.fields["stamp"]: update.cycle for update in reversed(updates)}
        assert {cycle - stamp for stamp, cycle in first.items()} == {budget("feed_decoder").clocks}


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_stopped_sink_loses_nothing_and_stops_the_source(dut: Any) -> None:
    stopped = [True]
    bench = await Bench.start(dut, None, lambda: stopped[0])
    frames = [packed_frame([events.Quote(listing_id=6, bid_ticks=1, bid_lots=n + 1)], n) for n in range(40)]
    dut.cfg_format_itch.value = 0
    for sent in frames:
        bench.queue(sent)
    await ClockCycles(dut.clk, 40 * 13 + 50)
    assert bench.source.queue, "more was taken than the ring can hold"
    taken = len(bench.source.taken)
    await ClockCycles(dut.clk, 200)
    assert len(bench.source.taken) == taken
    assert not bench.sink.taken
    stopped[0] = False
    await bench.settle()
    assert [taken.fields for taken in bench.sink.taken] == bench.expect(frames)
    await bench.check_counters()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(backpressure=[None, one_in_three])
async def a_reset_at_any_clock_forgets_all(dut: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, None, backpressure and backpressure(4))
    resync = int(dut.RESYNC_EN.value)
    most = bench.records_max
    for after in range(1, int(os.environ["BENCH_RESETS"])):
        frames = [
            random_packed(bench.rng, seq, most, bench.price_bits, bench.lots_bits, min(2, most)) for seq in (7, 8)
        ]
        dut.cfg_format_itch.value = 0
        for sent in frames:
            bench.queue(sent)
        await ClockCycles(dut.clk, after)
        await bench.reset(1)
        for name in golden.COUNTERS:
            assert getattr(dut, f"sts_{name}_count").value == 0
        assert dut.m_update_tvalid.value == 0
        # The map is empty, the latest seq forgotten; with RESYNC_EN what comes until tlast is the rest of a frame.
        again = packed_frame([events.Quote(listing_id=5, bid_ticks=1, bid_lots=1)], 3)
        if resync:
            bench.queue(again._replace(frame=again.frame[-8 * bench.rng.randint(1, 13) :]))
            await bench.settle()
            bench.source.taken.clear()
        await bench.check([again])
        assert bench.decoder[1, golden.COUNT_UNMAPPED] == 1
        await bench.map(5, 1)
        await bench.check([again._replace(frame=packed_frame([events.Quote(listing_id=5)], 4).frame)])
        assert bench.decoder[1, golden.COUNT_UPDATES] == 1


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def the_map_changes_while_frames_flow(dut: Any) -> None:
    """A record has the slot that the map holds as its first beat is taken; the golden map is changed just there."""
    bench = await Bench.start(dut, one_in_three(9))
    writes: list[tuple[int, int, int]] = []  # cycle, listing, slot or -1
    frames = [random_itch(bench.rng, letter) for letter in "DXAECUFD" * 9]
    dut.cfg_format_itch.value = 1
    bench.source.taken.clear()
    for sent in frames:
        bench.queue(sent)
    while bench.source.queue:
        listing, slot = bench.rng.choice([5, 5, 0x405, 6, 7]), bench.rng.randrange(-1, 4)
        await FallingEdge(dut.clk)
        dut.cfg_map_listing.value, dut.cfg_map_slot.value, dut.cfg_map_valid.value = listing, max(slot, 0), slot >= 0
        dut.cfg_map_write.value = 1
        await ReadOnly()  # the cycle's number is up to date then
        writes.append((bench.cycle, listing, slot))
        await FallingEdge(dut.clk)
        dut.cfg_map_write.value = 0
        await ClockCycles(dut.clk, bench.rng.randrange(1, 4))
    await bench.settle()

    updates, wanted, begins = golden.new_updates(1), [], True
    starts = []
    for beat in bench.source.taken:
        if begins:
            starts.append(beat.cycle)
        begins = bool(beat.fields["tlast"])
    for sent, start in zip(frames, starts, strict=True):
        while writes and writes[0][0] < start:
            _, listing, slot = writes.pop(0)
            golden.map_listing(bench.decoder, listing, slot)
        rows = golden.decode_frame(bench.decoder, np.frombuffer(sent.frame, "<i8"), 1, 0, updates)
        wanted += [as_fields(row) for row in updates[:rows].tolist()]
    met = [{name: value for name, value in taken.fields.items() if name != "stamp"} for taken in bench.sink.taken]
    assert met == wanted
    assert bench.decoder[1, golden.COUNT_UNMAPPED] > 0
    await bench.check_counters()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def the_format_is_that_of_the_first_beat(dut: Any) -> None:
    bench = await Bench.start(dut, one_in_three(5))
    frames = [sent for sent in traffic(bench, 60) if not sent.strange]
    formats: dict[int, int] = {}
    bench.source.taken.clear()
    await ClockCycles(dut.clk, 1)
    for sent in frames:
        bench.queue(sent)
    while bench.source.queue:
        await FallingEdge(dut.clk)
        itch = bench.rng.randrange(2)
        dut.cfg_format_itch.value = itch
        await ReadOnly()
        formats[bench.cycle] = itch
    await bench.settle()
    beats = bench.source.taken
    starts = [beat.cycle for at, beat in enumerate(beats) if at == 0 or beats[at - 1].fields["tlast"]]
    met_as = [sent._replace(itch=bool(formats[start])) for sent, start in zip(frames, starts, strict=True)]
    assert met_as != frames
    assert [taken.fields for taken in bench.sink.taken] == bench.expect(met_as)
    await bench.check_counters()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def the_map_reads_back_and_takes_no_slot_that_is_not_there(dut: Any) -> None:
    bench = await Bench.start(dut)
    low = 2**bench.map_bits - 1
    assert await bench.read_map(6) == (6, 2, 1)
    assert await bench.read_map(5) == (5, 1, 1)
    assert await bench.read_map(0x10005) == (5, 1, 1)
    top = bench.slots - 1
    await bench.map(9, top)
    assert await bench.read_map(9) == (9, top, 1)
    if bench.slots < 2 ** len(dut.cfg_map_slot):
        await bench.map(9, bench.slots)
        assert (await bench.read_map(9))[2] == 0
    await bench.map(9, top, valid=False)
    assert (await bench.read_map(9))[2] == 0
    other = 9 + low + 1
    await bench.map(other, 1)
    assert await bench.read_map(9) == (other, 1, 1)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def it_names_the_layouts_it_accepts(dut: Any) -> None:
    await Bench.start(dut)
    for name, cls in (
        ("quote", events.Quote),
        ("book_order", events.BookOrderDelta),
        ("book_price", events.BookPriceDelta),
    ):
        assert int(getattr(dut, f"sts_{name}_layout").value) == layout_of(cls).hash


ODD = {
    "SLOTS": 5, "MAP_W": 3, "RECORDS_MAX": 3, "PRICE_W": 8, "BOOK_QTY_W": 7, "COUNT_W": 4, "TID_W": 1, "RESYNC_EN": 1,
}  # fmt: skip


def simulate(folder: Path, simulator: str, frames: int, resets: int, **parameters: int) -> None:
    env = {"BENCH_FRAMES": str(frames), "BENCH_RESETS": str(resets)}
    run_bench("feed_decoder", __name__, folder, simulator=simulator, parameters=parameters, env=env)


@pytest.mark.parametrize(("parameters", "frames", "resets"), [({}, 50, 3), (ODD, 120, 24)], ids=["default", "odd"])
def test_updates_and_counters_match_the_model_on_icarus(
    parameters: dict[str, int], frames: int, resets: int, tmp_path: Path
) -> None:
    simulate(tmp_path, "icarus", frames, resets, **parameters)


@pytest.mark.parametrize("parameters", [{}, ODD], ids=["default", "odd"])
def test_real_messages_match_the_model(parameters: dict[str, int], shared_dir: Path, tmp_path: Path) -> None:
    env = {captured_bench.CAPTURES: str(shared_dir)}
    run_bench("feed_decoder", captured_bench.__name__, tmp_path, parameters=parameters, env=env)


def test_updates_and_counters_match_the_model_on_verilator(tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 150, 6)


EVEN_ODDER = {"SLOTS": 1000, "MAP_W": 1, "RECORDS_MAX": 2, "PRICE_W": 63, "BOOK_QTY_W": 63, "COUNT_W": 64, "TID_W": 5}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(
    "parameters", [{}, ODD, EVEN_ODDER, {"RECORDS_MAX": 1, "MAP_W": 4, "PRICE_W": 2, "BOOK_QTY_W": 1}]
)
def test_much_traffic_matches_the_model(simulator: str, parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, simulator, 2_000, 60, **parameters)
