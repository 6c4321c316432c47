"""frame_header passes, refuses and counts frames as the model below says, under idle gaps and back-pressure."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, NamedTuple

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

import penstock_sdk.events as events
from penstock_sdk.schema import FRAME_RECORDS_MAX, Frame, Layout, layout_of
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, encode_frame, encoder
from penstock_sdk.wire.systemverilog import packed_layouts
from sims.axis import Pause, Sink, Source, one_in_three, two_in_three
from sims.bench import reset, settle, start_clock
from sims.budgets import budget
from sims.simulators import bench_seed, refuses, run_bench

TRUNCATED, SCHEMA, VERSION, STRIDE, COUNT, LENGTH = range(1, 7)
PASSED, REFUSED, BROKEN = "passed", "refused", "broken"


class Verdict(NamedTuple):
    """What the module says of one frame, and of which header; a truncated frame has none."""

    what: str
    reason: int
    header: tuple[int, int, int, int, int] | None
    """schema id, version, stride, count, seq."""


def judge(header: Header, accepts: Layout) -> int:
    """Return why a frame with this header is refused, or 0."""
    rules = [
        (SCHEMA, header.schema_id == accepts.id),
        (VERSION, header.version == accepts.version),
        (STRIDE, header.stride == accepts.size),
        (COUNT, 1 <= header.count <= FRAME_RECORDS_MAX),
        (LENGTH, header.body_bytes == header.count * accepts.size),
    ]
    return next((reason for reason, holds in rules if not holds), 0)


def model(frames: list[bytes], accepts: Layout) -> tuple[list[tuple[bytes, bool]], list[Verdict]]:
    """Return the frames that come out, each with its broken mark, and the verdicts in their order."""
    out: list[tuple[bytes, bool]] = []
    verdicts: list[Verdict] = []
    for frame in frames:
        if len(frame) <= HEADER_BYTES:
            verdicts.append(Verdict(REFUSED, TRUNCATED, None))
            continue
        header = Header(*HEADER.unpack_from(frame))
        shown = (header.schema_id, header.version, header.stride, header.count, header.seq)
        reason = judge(header, accepts)
        verdicts.append(Verdict(REFUSED if reason else PASSED, reason, shown))
        if not reason:
            wanted = HEADER_BYTES + header.body_bytes
            out.append((frame[:wanted], len(frame) != wanted))
            if len(frame) != wanted:
                verdicts.append(Verdict(BROKEN, 0, shown))
    return out, verdicts


def frame_of(layout: Layout, rng: random.Random, records: int = 1, **changes: int) -> bytes:
    """Return a frame of random records of *layout*; *changes* overwrite fields of its header."""
    body = rng.randbytes(layout.size * records)
    header = Header(len(body), layout.id, layout.version, 3, rng.getrandbits(63), 1, 2, 3, records, layout.size, 7)
    values = {name: getattr(header, name) for name in header.__struct_fields__} | changes
    return HEADER.pack(*values.values()) + body


def edge_frames(layout: Layout, rng: random.Random) -> list[bytes]:
    """Return frames on both sides of every bound, each followed by one that passes."""
    size = layout.size
    frames = [
        *(frame_of(layout, rng, schema_id=layout.id + step) for step in (-1, 1)),
        *(frame_of(layout, rng, schema_id=value) for value in (0, 65535, layout.id ^ 0x8000)),
        *(frame_of(layout, rng, version=layout.version + step) for step in (-1, 1)),
        *(frame_of(layout, rng, stride=size + step) for step in (-8, -1, 1, 8)),
        frame_of(layout, rng, stride=0),
        frame_of(layout, rng, 0) + bytes(8),
        *(frame_of(layout, rng, count=n, body_bytes=n * size % 2**32) for n in (4097, 2**32 - 1)),
        frame_of(layout, rng, count=4096, body_bytes=4096 * size),  # passes, then ends early
        *(frame_of(layout, rng, 2, body_bytes=2 * size + step) for step in (-8, -1, 1, 8)),
        frame_of(layout, rng, 2, count=1),
        *(frame_of(layout, rng, 2)[:end] for end in range(8, HEADER_BYTES + 8, 8)),  # 1 … 6 beats
        *(frame_of(layout, rng, 2)[:end] for end in (HEADER_BYTES + 8, HEADER_BYTES + 2 * size - 8)),
        *(frame_of(layout, rng, 2) + bytes(8 * beats) for beats in (1, 2, 9)),
    ]
    return [frame for bad in frames for frame in (bad, frame_of(layout, rng))]


def random_frames(layout: Layout, rng: random.Random, count: int) -> list[bytes]:
    """Return frames as the kernel encodes them: of *layout*, of other records and of control records, some cut."""
    others = [other for other in packed_layouts() if other.id != layout.id]
    alert = events.Alert(code="bench", severity=events.Severity.INFO, subject="s", met="m" * 20)
    frames = []
    for seq in range(count):
        kind = rng.randrange(8)
        stamps = (seq, 10**18 + seq, seq - 1, 0, 3, 7)
        if kind == 0:
            frames.append(encoder(layout_of(events.Alert))(alert, *stamps))
            continue
        chosen = rng.choice(others) if kind == 1 else layout
        records = Frame.from_body(chosen, rng.randbytes(chosen.size * rng.choice([1, 1, 2, 5])))
        frame = encode_frame(records, *stamps)
        frames.append(frame[: 8 * rng.randint(1, len(frame) // 8)] if kind == 2 else frame)
    return frames


class Bench:
    """A clock, a source, a sink, and a list of what the status outputs said."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.layout = layout_of(getattr(events, os.environ["BENCH_RECORD"]))
        self.rng = random.Random(bench_seed(self.layout.id))
        self.verdicts: list[Verdict] = []
        start_clock(dut)
        self.source = Source(dut, "s_axis", idle)
        self.sink = Sink(dut, "m_axis", backpressure)
        cocotb.start_soon(self._watch())

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await reset(self.dut)

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.beats)

    async def check(self, frames: list[bytes]) -> None:
        """Send *frames* and compare what comes, in order, with the model; nothing is lost, nothing is added."""
        out, verdicts = model(frames, self.layout)
        assert out and len(out) < len(frames), "wanted frames of both kinds"
        self.source.send(frames)
        await self.settle()
        assert self.sink.frames() == out
        assert self.verdicts == verdicts
        await FallingEdge(self.dut.clk)
        for what in (PASSED, REFUSED, BROKEN):
            counter = getattr(self.dut, f"sts_{what}_count")
            met = sum(verdict.what == what for verdict in verdicts)
            assert int(counter.value) == min(met, 2 ** len(counter) - 1), what

    async def _watch(self) -> None:
        dut = self.dut
        header = (dut.sts_schema_id, dut.sts_version, dut.sts_stride, dut.sts_count, dut.sts_seq)
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            if dut.rst.value == 1:
                continue
            raised = [what for what in (PASSED, REFUSED, BROKEN) if getattr(dut, f"sts_{what}").value == 1]
            assert len(raised) <= 1, raised
            for what in raised:
                reason = int(dut.sts_reason.value) if what == REFUSED else 0
                shown = None if reason == TRUNCATED else tuple(int(field.value) for field in header)
                self.verdicts.append(Verdict(what, reason, shown))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, one_in_three, two_in_three])
async def random_frames_match_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    await bench.check(random_frames(bench.layout, bench.rng, int(os.environ["BENCH_FRAMES"])))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(backpressure=[None, two_in_three])
async def both_sides_of_every_bound_match_the_model(dut: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, None, backpressure and backpressure(3))
    await bench.check(edge_frames(bench.layout, bench.rng))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_beat_leaves_every_cycle_and_the_first_one_after_its_header(dut: Any) -> None:
    bench = await Bench.start(dut)
    frames = [frame_of(bench.layout, bench.rng, records) for records in (1, 4, 1)]
    bench.source.send(frames)
    await bench.settle()
    came, left = bench.source.taken, bench.sink.beats
    assert [beat.data for beat in came] == [beat.data for beat in left]
    assert [beat.cycle - came[0].cycle for beat in came] == list(range(len(came)))
    assert {beat.cycle - came[i].cycle for i, beat in enumerate(left)} == {HEADER_BYTES // 8}
    assert left[0].cycle - came[HEADER_BYTES // 8 - 1].cycle == budget("frame_header").clocks


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_forgets_the_frame_under_way(dut: Any) -> None:
    bench = await Bench.start(dut)
    frame = frame_of(bench.layout, bench.rng, 2)
    for beats in (3, 6, 9):  # in the header, decided, in the body
        bench.source.send([frame])
        while len(bench.source.taken) < beats:
            await FallingEdge(dut.clk)
        await bench.reset()
        bench.source.taken.clear()
        bench.sink.beats.clear()
        bench.verdicts.clear()
        assert int(dut.sts_passed_count.value) == 0
        await bench.check([frame, frame[:8], frame])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def it_names_the_layout_it_accepts(dut: Any) -> None:
    bench = await Bench.start(dut)
    assert int(dut.sts_layout_hash.value) == bench.layout.hash


def parameters_for(layout: Layout) -> dict[str, int]:
    """Return the module's parameters that let this record pass."""
    return {"SCHEMA_ID": layout.id, "VERSION": layout.version, "STRIDE": layout.size, "LAYOUT_HASH": layout.hash}


def simulate(record: str, folder: Path, simulator: str, frames: int, **parameters: int) -> None:
    """Run the bench with this record as the one that passes."""
    if record != "Quote":  # the module's own default, so that its constants are tested too
        parameters |= parameters_for(layout_of(getattr(events, record)))
    env = {"BENCH_RECORD": record, "BENCH_FRAMES": str(frames)}
    run_bench("frame_header", __name__, folder, simulator=simulator, parameters=parameters, env=env)


# The smallest and the largest ring, and counters that reach their end.
VARIANTS = [("Quote", {}), ("Order", {"DEPTH": 8}), ("Signal", {"DEPTH": 8, "COUNT_W": 3})]


@pytest.mark.parametrize(("record", "parameters"), VARIANTS)
def test_frames_pass_or_are_refused_on_icarus(record: str, parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(record, tmp_path, "icarus", frames=40, **parameters)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(("record", "parameters"), VARIANTS)
def test_many_frames_pass_or_are_refused(
    simulator: str, record: str, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(record, tmp_path, simulator, frames=1_000, **parameters)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("STRIDE=60", r"STRIDE=60, wanted a multiple of 8"),
        ("STRIDE=0", r"STRIDE=0, wanted a multiple of 8"),
        ("DEPTH=4", r"DEPTH=4, wanted a power of 2, 8 or more"),
        ("DEPTH=12", r"DEPTH=12, wanted a power of 2, 8 or more"),
    ],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("frame_header", parameter, message, tmp_path)
