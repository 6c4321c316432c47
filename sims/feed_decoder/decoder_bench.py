"""The bench of the feed decoder: frames in, and updates, counters and lost frames held against the golden decoder."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from penstock_sdk.golden import feed_decoder as golden
from penstock_sdk.schema import ABSENT
from sims.axis import Pause
from sims.bench import reset, settle, start_clock
from sims.feed_decoder.feed_traffic import Sent
from sims.fields import FieldSink, FieldSource, fields_of
from sims.simulators import bench_seed

__all__ = ["SLOTS_OF", "Bench", "as_fields", "grouped", "mask"]

SLOTS_OF = {0x10005: 2, 0: 0, 0xFFFF_FFFF: 3, 7: 3, 6: 2, 5: 1}
"""Listings that the bench maps, in this order: 5 takes the row of the first, and in the smallest map 6 and 5 stay."""


def mask(value: int, bits: int = 64) -> int:
    return int(value) & ((1 << bits) - 1)


def as_fields(row: Sequence[int]) -> dict[str, int]:
    """Return a golden row as the fields of the update stream; the stamp is the bench's to add."""
    price, ask = int(row[golden.UPDATE_PRICE]), int(row[golden.UPDATE_ASK])
    return {
        "kind": int(row[golden.UPDATE_KIND]),
        "slot": int(row[golden.UPDATE_SLOT]),
        "side": int(row[golden.UPDATE_SIDE]),
        "has_price": int(price != ABSENT),
        "price_ticks": 0 if price == ABSENT else price,
        "lots": int(row[golden.UPDATE_LOTS]),
        "has_ask": int(ask != ABSENT),
        "ask_ticks": 0 if ask == ABSENT else ask,
        "ask_lots": int(row[golden.UPDATE_ASK_LOTS]),
        "order_ref": mask(row[golden.UPDATE_REF]),
        "new_ref": mask(row[golden.UPDATE_NEW_REF]),
        "at_ns": mask(row[golden.UPDATE_AT_NS]),
    }


class Bench:
    """A clock and its count, a source, a sink, and a golden decoder that gets the frames that were taken."""

    sink_type: type[FieldSink] = FieldSink

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.rng = random.Random(bench_seed(7))
        self.slots, self.map_bits = int(dut.SLOTS.value), int(dut.MAP_W.value)
        self.records_max = int(dut.RECORDS_MAX.value)
        self.price_bits, self.lots_bits = len(dut.m_update_price_ticks), len(dut.m_update_lots)
        self.count_max = 2 ** len(dut.sts_accepted_count) - 1
        self.base_ns = 1_790_000_000_000_000_000
        start_clock(dut)
        dut.rst.value = 1
        for name in ("format_itch", "map_write", "map_read", "map_listing", "map_slot", "map_valid"):
            getattr(dut, f"cfg_{name}").value = 0
        dut.cfg_itch_base_ns.value = self.base_ns
        self.source = FieldSource(dut, "s_axis", ("tdata", "tlast", "tid"), idle)
        names = fields_of(dut, "m_update")
        self.sink = self.sink_type(dut, "m_update", names, ("price_ticks", "ask_ticks"), backpressure)
        self.decoder = self.new_golden()
        self.cycle = 0
        self.lost: list[int] = []  # the cycles in which sts_lost was high …
        self.lost_wanted: list[int] = []  # … and in which it should have been
        cocotb.start_soon(self._run())

    def new_golden(self) -> golden.Table:
        return golden.new_decoder(
            slots=self.slots, map_bits=self.map_bits, records_max=self.records_max, price_bits=self.price_bits,
            lots_bits=self.lots_bits, itch_base_ns=self.base_ns,
        )  # fmt: skip

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset, and whose map holds SLOTS_OF."""
        bench = cls(dut, idle, backpressure)
        await bench.begin()
        return bench

    async def begin(self) -> None:
        """Reset the module, map SLOTS_OF, and let it find the first frame's beginning."""
        await self.reset()
        for listing, slot in SLOTS_OF.items():
            await self.map(listing, slot)
        if int(self.dut.RESYNC_EN.value):
            self.source.send([{"tdata": 0, "tlast": 1, "tid": 0}])
            while self.source.queue:
                await ClockCycles(self.dut.clk, 1)
            self.source.taken.clear()

    async def _run(self) -> None:
        """Drive the device's clock count, and know it: it counts as the sinks do. Watch sts_lost."""
        while True:
            await FallingEdge(self.dut.clk)
            self.cycle += 1
            self.dut.cycle.value = self.cycle
            await ReadOnly()
            if self.dut.rst.value == 0:
                assert self.dut.sts_lost.value in (0, 1), f"sts_lost is {self.dut.sts_lost.value}"
                if self.dut.sts_lost.value == 1:
                    self.lost.append(self.cycle)

    async def reset(self, cycles: int = 2) -> None:
        """Hold reset, and wait until the map is empty."""
        dut = self.dut
        await reset(dut, cycles)
        self.decoder = self.new_golden()
        self.lost.clear()
        self.lost_wanted.clear()
        self.source.taken.clear()
        self.sink.taken.clear()
        await FallingEdge(dut.clk)
        assert dut.sts_hold.value == 1
        assert dut.s_axis_tready.value == 0
        await ClockCycles(dut.clk, 2**self.map_bits)
        await FallingEdge(dut.clk)
        assert dut.sts_hold.value == 0

    async def map(self, listing: int, slot: int, valid: bool = True) -> None:
        """Write one row, here and in the golden map."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.cfg_map_listing.value, dut.cfg_map_slot.value, dut.cfg_map_valid.value = listing, slot, valid
        dut.cfg_map_write.value = 1
        await FallingEdge(dut.clk)
        dut.cfg_map_write.value = 0
        golden.map_listing(self.decoder, listing, slot if valid else -1)

    async def read_map(self, listing: int) -> tuple[int, int, int]:
        """Return listing, slot and valid of a row."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.cfg_map_listing.value, dut.cfg_map_read.value = listing, 1
        await FallingEdge(dut.clk)
        dut.cfg_map_read.value = 0
        await ReadOnly()
        for _ in range(8):
            if dut.sts_hold.value == 0:
                break
            await FallingEdge(dut.clk)
            await ReadOnly()
        return (
            int(dut.sts_map_stored_listing.value),
            int(dut.sts_map_stored_slot.value),
            int(dut.sts_map_stored_valid.value),
        )

    def queue(self, sent: Sent) -> None:
        """Offer the beats of one frame after those that are queued."""
        tids = 1 << len(self.dut.s_axis_tid)
        tid = self.rng.randrange(tids)
        words = np.frombuffer(sent.frame, "<u8").tolist()
        self.source.send(
            {"tdata": word, "tlast": i == len(words) - 1, "tid": (tid + (i in sent.strange)) % tids}
            for i, word in enumerate(words)
        )

    async def send(self, frames: Sequence[Sent]) -> None:
        """Send *frames*; the format changes between frames, while none is under way."""
        for format_itch, group in grouped(frames):
            await FallingEdge(self.dut.clk)
            self.dut.cfg_format_itch.value = format_itch
            for sent in group:
                self.queue(sent)
            await self.settle()

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.taken)

    def expect(self, frames: Sequence[Sent]) -> list[dict[str, int]]:
        """Return the updates of frames that were all taken, in order; the golden decoder has counted them then."""
        ends = [beat.cycle for beat in self.source.taken if beat.fields["tlast"]]
        assert len(ends) == len(frames), "a frame was lost or cut"
        updates, out = golden.new_updates(self.records_max), []
        for sent, stamp in zip(frames, ends, strict=True):
            beats = np.frombuffer(sent.frame, "<i8")
            strange = [i in sent.strange for i in range(len(beats))]
            mixed = golden.INTERLEAVED if any(one != strange[0] for one in strange) else golden.ONE_STREAM
            lost = self.decoder[1, golden.COUNT_LOST]
            rows = golden.decode_frame(self.decoder, beats, int(sent.itch), mixed, updates)
            if self.decoder[1, golden.COUNT_LOST] > lost:
                self.lost_wanted.append(stamp + 2)
            out += [as_fields(row) | {"stamp": stamp} for row in updates[:rows].tolist()]
        return out

    async def check(self, frames: Sequence[Sent]) -> list[dict[str, int]]:
        """Send *frames*; compare updates and counters with the golden decoder's; return the updates."""
        self.source.taken.clear()
        self.sink.taken.clear()
        await self.send(frames)
        wanted = self.expect(frames)
        met = [taken.fields for taken in self.sink.taken]
        for at, (left, right) in enumerate(zip(met, wanted, strict=False)):
            assert left == right, f"update {at}: met {left}, wanted {right}"
        assert len(met) == len(wanted), f"{len(met)} updates, wanted {len(wanted)}"
        await self.check_counters()
        return met

    async def check_counters(self) -> None:
        """Compare all counters with the golden ones, which do not end, and the pulses of lost frames."""
        await ClockCycles(self.dut.clk, 4)
        await FallingEdge(self.dut.clk)
        for column, name in enumerate(golden.COUNTERS):
            met = int(getattr(self.dut, f"sts_{name}_count").value)
            wanted = min(int(self.decoder[1, column]), self.count_max)
            assert met == wanted, f"{name} is {met}, wanted {wanted}"
        assert self.lost == self.lost_wanted, f"lost in {self.lost}, wanted {self.lost_wanted}"


def grouped(frames: Sequence[Sent]) -> list[tuple[bool, list[Sent]]]:
    """Return runs of frames of one format."""
    runs: list[tuple[bool, list[Sent]]] = []
    for sent in frames:
        if not runs or runs[-1][0] != sent.itch:
            runs.append((sent.itch, []))
        runs[-1][1].append(sent)
    return runs
