"""verdict_frames answers every check with the bytes that the SDK encodes, and fills and releases not at all."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from sims.axis import Pause, Sink, one_in_three, two_in_three
from sims.bench import reset, start_clock
from sims.fields import FieldSource
from sims.risk_offload.offload_model import Note, verdict_frame
from sims.simulators import bench_seed, run_bench

VERDICT = ("kind", "reason", "at_ns", "intent_id")
NOTES = int(os.environ.get("BENCH_NOTES", "16"))
COUNT_W = int(os.environ.get("BENCH_COUNT_W", "32"))
PRODUCER = 513


class Bench:
    """Sources of notes and of verdicts, and a sink of frames; notes go in when their order would go to the gate."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.rng = random.Random(bench_seed(1))
        start_clock(dut)
        dut.cfg_producer.value = PRODUCER
        self.notes = FieldSource(dut, "s_note", Note._fields)
        self.verdicts = FieldSource(dut, "s_verdict", VERDICT, lambda: self._early() or (idle is not None and idle()))
        self.sink = Sink(dut, "m_axis", backpressure)

    def _early(self) -> bool:
        """Return whether the next verdict is of a check whose note has not come."""
        if not self.verdicts.queue or self.verdicts.queue[0]["kind"] != GATE_CHECK:
            return False
        return len(self.notes.taken) <= sum(taken.fields["kind"] == GATE_CHECK for taken in self.verdicts.taken)

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset."""
        bench = cls(dut, idle, backpressure)
        await reset(dut)
        return bench

    async def check(self, count: int) -> None:
        """Send *count* verdicts, three of four on checks; the frames and the counters are the model's."""
        rng = self.rng
        wanted, undone, passed = [], [], 0
        for _ in range(count):
            kind = rng.choice([GATE_CHECK] * 6 + [GATE_FILL, GATE_RELEASE, GATE_RESERVE])
            reason = rng.choice([0, 0, rng.randrange(1, 256)])
            at_ns, intent_id = rng.getrandbits(62), rng.getrandbits(64) - 2**63
            self.verdicts.send([{"kind": kind, "reason": reason, "at_ns": at_ns, "intent_id": intent_id}])
            if kind != GATE_CHECK:
                undone += [reason] if reason else []
                continue
            note = Note(*(rng.getrandbits(bits) for bits in (32, 32, 62, 62, 62, 62)))
            self.notes.send([note._asdict()])
            wanted.append(verdict_frame(intent_id, reason, at_ns, note, PRODUCER))
            passed += not reason
        while len(self.sink.beats) < 13 * len(wanted) or self.verdicts.queue:
            await ClockCycles(self.dut.clk, 16)  # the test's time limit ends a wait for what never comes
        await ClockCycles(self.dut.clk, 40)
        assert [frame for frame, _ in self.sink.frames()] == wanted
        await FallingEdge(self.dut.clk)
        counts = {"passed": passed, "verdict_refused": len(wanted) - passed, "undone": len(undone)}
        for name, met in counts.items():
            assert int(getattr(self.dut, f"sts_{name}_count").value) == min(met, 2**COUNT_W - 1), name
        assert int(self.dut.sts_undone_reason.value) == (undone[-1] if undone else 0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def verdicts_become_the_frames_of_the_sdk(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    await bench.check(int(os.environ["BENCH_VERDICTS"]))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def frames_follow_without_a_gap_and_the_first_one_clock_after_its_verdict(dut: Any) -> None:
    bench = await Bench.start(dut)
    note = Note(1, 2, 3, 4, 5, 6)
    bench.notes.send([note._asdict()] * 4)
    bench.verdicts.send([{"kind": GATE_CHECK, "intent_id": 9}] * 4)
    await ClockCycles(dut.clk, 80)
    cycles = [beat.cycle for beat in bench.sink.beats]
    assert cycles == list(range(cycles[0], cycles[0] + 4 * 13))
    assert cycles[0] == bench.verdicts.taken[0].cycle + 1


def simulate(folder: Path, simulator: str, verdicts: int, **parameters: int) -> None:
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()} | {"BENCH_VERDICTS": str(verdicts)}
    run_bench("verdict_frames", __name__, folder, simulator=simulator, parameters=parameters, env=env)


@pytest.mark.parametrize("parameters", [{}, {"NOTES": 2, "COUNT_W": 3}])
def test_verdicts_become_frames_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 40, **parameters)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_many_verdicts_become_frames(simulator: str, tmp_path: Path) -> None:
    simulate(tmp_path, simulator, 1_000)
