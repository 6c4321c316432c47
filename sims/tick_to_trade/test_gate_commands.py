"""gate_commands puts one command at a time between the orders, changes none of them, and tells what became of it."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from penstock_sdk.events import Reason
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from sims.bench import start_clock
from sims.fields import fields_of
from sims.simulators import bench_seed, refuses, run_bench

COMMAND = ("kind", "slot", "side", "lots")
COMMANDS = (GATE_RESERVE, GATE_RELEASE, GATE_FILL)
COUNT_MAX = 2**32 - 1
Fields = dict[str, int]


class Inputs(NamedTuple):
    """What the module is given for one clock."""

    rst: bool = False
    order: Fields | None = None
    """What the trigger offers; it stays until it is taken or forgotten in a reset."""
    is_ready: bool = True
    """Whether the gate would take an order."""
    command: Fields | None = None
    verdict: tuple[int, int] | None = None
    """Kind and reason."""


class Model:
    """What the module should hold, and what has happened, by name."""

    def __init__(self, order_fields: list[str]) -> None:
        self.none = dict.fromkeys(order_fields, 0)
        self.met: Counter[str] = Counter()
        self._empty()

    def _empty(self) -> None:
        self.command: Fields | None = None  # heard, and not yet with the gate
        self.is_offered = False  # … it is that command's turn
        self.is_owed = False  # the gate has a command, and has not answered
        self.reason = self.count = 0

    @property
    def is_busy(self) -> bool:
        return self.command is not None or self.is_owed

    def offered(self, given: Inputs) -> Fields | None:
        """Return what the gate is offered in this clock; of a command it reads only what the command has."""
        if self.is_offered and self.command is not None:
            return self.none | {"fits": 1} | self.command
        return given.order

    def clock(self, given: Inputs) -> None:
        """Follow one rising edge."""
        if given.rst:
            self._note_reset(given)
            self._empty()
            return
        busy, waits = self.is_busy, self.command is not None
        if self.is_offered:
            self._note_turn(given)
            if given.is_ready:
                self.command, self.is_offered, self.is_owed = None, False, True
        elif waits:  # never in the place of an order that stays offered
            self.is_offered = given.order is None or given.is_ready
            self.met["a command waits for an order"] += not self.is_offered
        if given.verdict is not None and given.verdict[0] != GATE_CHECK:
            self.is_owed, self.reason = False, given.verdict[1]
            self._count("a command is answered")
        elif given.verdict is not None:
            self.met["a check is answered while a command is not"] += self.is_owed
        if given.command is not None and busy:
            kind = "check" if given.command["kind"] == GATE_CHECK else "command"
            self.met[f"a {kind} is not heard"] += 1
        elif given.command is not None and given.command["kind"] == GATE_CHECK:
            self.reason = int(Reason.MALFORMED)
            self._count("a check is refused")
        elif given.command is not None:
            self.command = given.command
            self.met[f"a command of kind {given.command['kind']}"] += 1

    def _count(self, what: str) -> None:
        self.count = min(self.count + 1, COUNT_MAX)
        self.met[what] += 1

    def _note_turn(self, given: Inputs) -> None:
        self.met["an order waits for a command"] += given.order is not None
        self.met["the gate keeps a command waiting"] += not given.is_ready

    def _note_reset(self, given: Inputs) -> None:
        self.met["a reset forgets a command that waits"] += self.command is not None and not self.is_offered
        self.met["a reset forgets a command whose turn it is"] += self.is_offered
        self.met["a reset forgets a command that is with the gate"] += self.is_owed
        self.met["a reset with an order offered"] += given.order is not None
        self.met["a reset with a command written"] += given.command is not None


ALL_MET = {
    *(f"a command of kind {kind}" for kind in COMMANDS), "a command waits for an order", "a command is answered",
    "a check is answered while a command is not", "a check is refused", "a check is not heard",
    "a command is not heard", "an order waits for a command", "the gate keeps a command waiting",
    "a reset forgets a command that waits", "a reset forgets a command whose turn it is",
    "a reset forgets a command that is with the gate", "a reset with an order offered",
    "a reset with a command written",
}  # fmt: skip


class Bench:
    """Drives every input for one clock after another, and holds every output against the model's."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(bench_seed(1))
        self.fields = fields_of(dut, "s_order")
        self.bits = {name: len(getattr(dut, f"s_order_{name}")) for name in self.fields}
        self._into = {name: getattr(dut, f"s_order_{name}") for name in self.fields}
        self._out = {name: getattr(dut, f"m_order_{name}") for name in self.fields}
        self.model = Model(self.fields)
        self.sent: list[Fields] = []  # what the gate took
        self._order: Fields | None = None  # what the order's fields hold

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Return a bench whose module has been reset; nothing is known of it before."""
        bench = cls(dut)
        start_clock(dut)
        for _ in range(2):
            await bench._give(Inputs(rst=True))
            await FallingEdge(dut.clk)
        return bench

    async def clock(self, given: Inputs) -> bool:
        """Give one clock's inputs, compare what comes out; return whether the order was taken.

        Called at a falling edge, it returns at the next.
        """
        dut, model = self.dut, self.model
        await self._give(given)
        wanted = model.offered(given)
        is_taken = given.order is not None and given.is_ready and not model.is_offered
        if wanted is not None:
            met = {name: int(signal.value) for name, signal in self._out.items()}
            assert (dut.m_order_tvalid.value, met) == (1, wanted)
            self.sent += [met] * given.is_ready
        assert dut.m_order_tvalid.value == (wanted is not None)
        if given.order is not None:
            assert dut.s_order_tready.value == is_taken
        status = tuple(int(getattr(dut, f"sts_command_{name}").value) for name in ("busy", "reason", "count"))
        assert status == (model.is_busy, model.reason, model.count)
        model.clock(given)
        await FallingEdge(dut.clk)
        return is_taken

    async def _give(self, given: Inputs) -> None:
        """Drive the inputs up to when they have settled; what is not valid is anything."""
        dut, rng = self.dut, self.rng
        dut.rst.value = given.rst
        dut.s_order_tvalid.value = given.order is not None
        dut.m_order_tready.value = given.is_ready
        if given.order is None or given.order is not self._order:
            self._order = given.order
            for name, signal in self._into.items():
                signal.value = rng.getrandbits(self.bits[name]) if given.order is None else given.order[name]
        dut.cfg_command_write.value = given.command is not None
        command = given.command or self.command(rng.randrange(4))
        for name in COMMAND:
            getattr(dut, f"cfg_command_{name}").value = command[name]
        dut.verdict_taken.value = given.verdict is not None
        dut.verdict_kind.value, dut.verdict_reason.value = given.verdict or (rng.randrange(4), rng.getrandbits(8))
        await ReadOnly()

    def order(self) -> Fields:
        """Return what a trigger may ask: a check."""
        return {name: self.rng.getrandbits(bits) for name, bits in self.bits.items()} | {"kind": GATE_CHECK}

    def command(self, kind: int) -> Fields:
        """Return a command of a kind, with any values."""
        return {name: self.rng.getrandbits(self.bits[name]) for name in COMMAND} | {"kind": kind}


class Host:
    """Draws what the trigger, the gate and the host do, as often as each does something in this part of the run."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rng = bench, bench.rng
        self.order: Fields | None = None
        self.unanswered: list[int] = []  # kinds of what the gate has taken
        self.pace()

    def pace(self) -> None:
        """Draw how often there is an order, room for it, a command, and a verdict."""
        self.often = [self.rng.choice([0.1, 0.5, 0.9, 1.0]) for _ in range(4)]

    async def clock(self, rst: bool = False) -> None:
        """Do one clock. The gate answers in any order, and not before the clock after it took something."""
        rng, bench = self.rng, self.bench
        orders, room, commands, verdicts = (rng.random() < often for often in self.often)
        if self.order is None and orders:
            self.order = bench.order()
        command = bench.command(rng.choice([*COMMANDS, GATE_CHECK])) if commands else None
        verdict = None
        if self.unanswered and verdicts:
            kind = self.unanswered.pop(rng.randrange(len(self.unanswered)))
            verdict = kind, rng.choice([0, rng.getrandbits(8)])
        before = len(bench.sent)
        if await bench.clock(Inputs(rst, self.order, room, command, verdict)):
            self.order = None
        self.unanswered += [sent["kind"] for sent in bench.sent[before:]]
        if rst:  # of the trigger and of the gate too
            self.order = None
            self.unanswered.clear()
            await bench.clock(Inputs(rst=rng.randrange(2) == 0, is_ready=room))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def orders_and_commands_come_out_as_in_the_model(dut: Any) -> None:
    bench = await Bench.start(dut)
    host = Host(bench)
    for _ in range(int(os.environ["BENCH_PARTS"])):
        host.pace()
        for _ in range(40):
            await host.clock()
        # Resets meet every state of the module, each part ends in one of them.
        await host.clock(rst=True)
    assert {what for what, times in bench.model.met.items() if times} == ALL_MET


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_command_is_with_the_gate_two_clocks_after_it_is_written(dut: Any) -> None:
    bench = await Bench.start(dut)
    first, second, command = bench.order(), bench.order(), bench.command(GATE_FILL)
    assert await bench.clock(Inputs(order=first, command=command))
    await bench.clock(Inputs())
    assert not await bench.clock(Inputs(order=second))
    assert await bench.clock(Inputs(order=second))
    assert [sent["kind"] for sent in bench.sent] == [GATE_CHECK, GATE_FILL, GATE_CHECK]
    await bench.clock(Inputs(verdict=(GATE_FILL, 7)))
    await bench.clock(Inputs())
    assert not bench.model.is_busy


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_count_of_commands_stays_at_its_end(dut: Any) -> None:
    bench = await Bench.start(dut)
    dut.sts_command_count.value = bench.model.count = COUNT_MAX - 2
    for kind in (GATE_CHECK, GATE_RESERVE, GATE_CHECK, GATE_RELEASE):
        await bench.clock(Inputs(command=bench.command(kind)))
        if kind != GATE_CHECK:
            await bench.clock(Inputs())
            await bench.clock(Inputs())
            await bench.clock(Inputs(verdict=(kind, 0)))
    await bench.clock(Inputs())
    assert bench.model.count == COUNT_MAX


def simulate(folder: Path, simulator: str, parts: int, parameters: dict[str, int]) -> None:
    """Run so many parts of about 40 clocks on a module of these parameters."""
    env = {"BENCH_PARTS": str(parts)}
    run_bench("gate_commands", __name__, folder, simulator=simulator, parameters=parameters, env=env)


SIZES = [{}, {"SLOTS": 2, "PRICE_W": 6, "QTY_W": 4, "TAG_W": 1}]


@pytest.mark.parametrize("parameters", SIZES, ids=["default", "small"])
def test_orders_and_commands_are_those_of_the_model(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 40, parameters)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("parameters", SIZES, ids=["default", "small"])
def test_orders_and_commands_are_those_of_the_model_on_verilator(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 1_000, parameters)


def test_an_illegal_parameter_stops_the_simulation(tmp_path: Path) -> None:
    refuses("gate_commands", "SLOTS=1", "SLOTS=1, wanted 2 or more", tmp_path)
