"""Every generated register block answers as its Python model does: both edges, each refusal, any timing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.task import bridge
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from penstock_hw.blocks import find_blocks, known_blocks
from penstock_hw.device import DeviceError
from penstock_hw.drivers.base import Registers
from penstock_hw.registers.model import Block, Field, Kind, Register
from penstock_hw.registers.simulated import BlockModel
from sims.axil import OKAY, SLVERR, Answer, AxilBus, AxilMaster
from sims.axis import Pause, one_in_three, two_in_three
from sims.bench import reset, start_clock
from sims.simulators import bench_seed, refuses, run_bench

ALL = 0b1111
WORD = 0xFFFF_FFFF


def block_of(name: str) -> Block:
    """Return a generated block by its name."""
    return next(block for block in known_blocks() if block.name == name)


class Bench:
    """A clock, a master, the model that answers beside the module, and a watch over every ``cfg_`` output."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.block = block_of(os.environ["BENCH_BLOCK"])
        self.model = BlockModel(self.block, json.loads(os.environ["BENCH_PARAMETERS"]))
        self.rng = random.Random(bench_seed(self.block.id))
        self.fields = [field for register in self.block.registers for field in register.fields]
        self.pulses: list[str] = []
        start_clock(dut)
        self.master = AxilMaster(dut, "s_axil", idle, backpressure)
        cocotb.start_soon(self._watch())

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module has been reset, and whose status inputs hold some values."""
        bench = cls(dut, idle, backpressure)
        dut.hold.value = 0
        bench.set_status()
        await bench.reset()
        return bench

    def set_status(self) -> None:
        """Drive new values on every status input, in the module and in the model."""
        for field in self.fields:
            if field.kind is Kind.STATUS:
                low, high = field.bounds(self.model.parameters)
                value = self.rng.choice([low, high, self.rng.randint(low, high)])
                signal = getattr(self.dut, field.port)
                signal.value = value & ((1 << len(signal)) - 1)
                self.model.status[field.port] = value

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await reset(self.dut)
        self.model.reset()

    async def read(self, address: int) -> Answer:
        """Read from both, and compare."""
        answer = await self.master.read(address)
        try:
            wanted = (self.model.read(address), OKAY)
        except DeviceError:
            wanted = (0, SLVERR)
        assert (answer.data, answer.resp) == wanted, f"read at {address:#x}"
        return answer

    async def write(self, address: int, value: int, strb: int = ALL, lag: int = 0) -> Answer:
        """Write to both, and compare the answer, the settings and the pulses."""
        given = len(self.model.pulses)
        answer = await self.master.write(address, value, strb, lag)
        wanted = OKAY
        try:
            if strb != ALL:
                raise DeviceError("a write of less than 4 bytes")
            self.model.write(address, value)
        except DeviceError:
            wanted = SLVERR
        assert answer.resp == wanted, f"write of {value:#x} at {address:#x}, strb {strb:04b}"
        self.check()
        assert sorted(self.pulses[given:]) == sorted(self.model.pulses[given:]), f"after {value:#x} at {address:#x}"
        return answer

    def check(self) -> None:
        """Compare every setting with the model's."""
        for field in self.fields:
            if field.kind is Kind.CONFIG:
                assert self.port(field) == self.model.settings[field.port], field.port

    def port(self, field: Field) -> int:
        """Return what a port holds, an X refused."""
        signal = getattr(self.dut, field.port)
        value, bits = int(signal.value), len(signal)
        return value - (1 << bits) if field.signed and value >> (bits - 1) else value

    async def _watch(self) -> None:
        pulses = [field for field in self.fields if field.kind is Kind.PULSE]
        while pulses:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            if self.dut.rst.value == 0:
                self.pulses += [field.port for field in pulses if self.port(field)]

    async def watch(self, field: Field, seen: list[int]) -> None:
        """Add to *seen* whatever a setting holds, cycle by cycle."""
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            seen.append(self.port(field))


def edges(register: Register, parameters: dict[str, int], bits: Iterable[int]) -> Iterator[int]:
    """Yield words on both sides of every bound of a register, and with each of *bits* that lies outside its fields."""
    at_reset = sum(field.place(field.reset) for field in register.fields if field.kind is Kind.CONFIG)
    for field in register.fields:
        if field.writable:
            low, high = field.bounds(parameters)
            for value in (low, high, low - 1, high + 1, 0, 1, low // 2, high // 2 + 1):
                yield at_reset & ~field.mask | field.place(value)
    pulses = sum(field.mask for field in register.fields if field.kind is Kind.PULSE)
    for bit in bits:
        if bit < register.width and not register.write_mask >> bit & 1:
            yield at_reset | pulses | 1 << bit
    yield register.write_mask
    yield at_reset


async def write_word(bench: Bench, register: Register, word: int, lag: int = 0) -> None:
    """Write a register whole, the low word first."""
    await bench.write(register.offset, word & WORD, lag=lag)
    if register.width == 64:
        await bench.write(register.offset + 4, word >> 32, lag=lag)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def after_reset_every_word_of_the_page_reads_as_the_model_says(dut: Any) -> None:
    bench = await Bench.start(dut)
    bench.check()
    last = max(register.offset for register in bench.block.registers)
    for address in [*range(0, last + 24, 4), *(1 << bit for bit in range(12)), 0xFFC, 0xFFD, 0xFFE, 0xFFF]:
        await bench.read(address)
    for register in bench.block.registers:
        for step in (1, 2, 3):
            await bench.read(register.offset + step)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize((("idle", "backpressure"), [(None, None), (one_in_three, two_in_three)]))
async def both_sides_of_every_bound_are_answered_and_shown(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    thorough = os.environ["BENCH_THOROUGH"] == "1"
    if idle and not thorough:
        return
    bits = range(64) if thorough else sorted({0, 1, 31, 63, *bench.rng.sample(range(64), 8)})
    for register in bench.block.registers:
        if register.writable:
            for number, word in enumerate(edges(register, bench.model.parameters, bits)):
                await write_word(bench, register, word, lag=number % 7 - 3)
                await bench.read(register.offset)
                if register.width == 64:
                    await bench.read(register.offset + 4)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def what_cannot_be_written_is_refused_and_changes_nothing(dut: Any) -> None:
    bench = await Bench.start(dut)
    last = max(register.offset for register in bench.block.registers)
    for address in [*range(0, last + 24, 4), 0x800, 0xFFC]:
        for strb in (ALL,) if address % 16 else range(15):
            await bench.write(address, 0, strb)
    for register in (register for register in bench.block.registers if register.writable):
        await bench.write(register.offset, register.write_mask & WORD, 0b0111)
    for register in bench.block.registers:
        for step in (1, 2, 3):
            await bench.write(register.offset + step, 0)
        if not register.writable:
            await bench.write(register.offset, WORD)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize((("idle", "backpressure"), [(two_in_three, None), (None, two_in_three)]))
async def random_accesses_match_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(3), backpressure and backpressure(4))
    rng, registers = bench.rng, bench.block.registers
    for _ in range(int(os.environ["BENCH_ROUNDS"])):
        register = rng.choice(registers)
        address = register.offset + 4 * rng.randrange(register.width // 32)
        if rng.random() < 0.4:
            await bench.read(address)
            continue
        bound = {field.name: field.bounds(bench.model.parameters) for field in register.fields if field.writable}
        word = sum(register.field(name).place(rng.randint(*limits)) for name, limits in bound.items())
        if rng.random() < 0.2:
            word ^= 1 << rng.randrange(register.width)
        strb = rng.randrange(15) if rng.random() < 0.1 else ALL
        await bench.write(address, word >> 32 if address > register.offset else word & WORD, strb, rng.randint(-3, 3))
        if rng.random() < 0.1:
            bench.set_status()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def while_held_writes_wait_and_reads_of_what_settles(dut: Any) -> None:
    bench = await Bench.start(dut)
    writable = next((register for register in bench.block.registers if register.writable), None)
    settling = next((register for register in bench.block.registers if register.settles), None)
    plain = next(register for register in bench.block.registers if register.readable and not register.settles)
    for cycles in (1, 9):
        dut.hold.value = 1
        waiting = []
        if writable is not None:
            waiting.append(cocotb.start_soon(bench.write(writable.offset, writable.write_mask & WORD)))
        assert (await bench.read(plain.offset)).resp == OKAY
        if settling is not None:
            waiting.append(cocotb.start_soon(bench.read(settling.offset)))
        await ClockCycles(dut.clk, 6 + cycles)
        assert not any(task.done() for task in waiting)
        await FallingEdge(dut.clk)
        dut.hold.value = 0
        for task in waiting:
            assert (await task).resp is not None


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def hold_may_come_two_cycles_after_a_pulse(dut: Any) -> None:
    bench = await Bench.start(dut)
    pulsing = [r for r in bench.block.registers if any(field.kind is Kind.PULSE for field in r.fields)]
    for register in pulsing:
        given = len(bench.pulses)
        word = sum(field.mask for field in register.fields if field.kind is Kind.PULSE)
        first = cocotb.start_soon(bench.master.write(register.offset, word))
        second = cocotb.start_soon(bench.master.write(register.offset, word))
        port = next(field.port for field in register.fields if field.kind is Kind.PULSE)
        while getattr(dut, port).value != 1:
            await FallingEdge(dut.clk)
            await ReadOnly()
        await ClockCycles(dut.clk, 2)
        dut.hold.value = 1
        assert (await first).resp == OKAY
        await ClockCycles(dut.clk, 9)
        assert not second.done()
        once = sum(field.kind is Kind.PULSE for field in register.fields)
        assert len(bench.pulses) - given == once
        await FallingEdge(dut.clk)
        dut.hold.value = 0
        assert (await second).resp == OKAY
        await ClockCycles(dut.clk, 2)
        assert len(bench.pulses) - given == 2 * once


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_wide_register_changes_whole_and_is_read_whole(dut: Any) -> None:
    bench = await Bench.start(dut)
    wide = [register for register in bench.block.registers if register.width == 64]
    for register in (register for register in wide if register.writable):
        (field,) = register.fields
        low, high = field.bounds(bench.model.parameters)
        values = [high, low, min(high, 1 << 32), high - 1, field.reset]
        await bench.write(register.offset + 4, 0)  # without its low word: refused
        seen: list[int] = []
        watching = cocotb.start_soon(bench.watch(field, seen))
        for value in values:
            await write_word(bench, register, field.place(value))
            await bench.write(register.offset + 4, 0)  # its low word has gone with the one before: refused
        watching.cancel()
        assert seen
        assert [value for value in seen if value not in values] == []
        for other in (other for other in wide if other.writable and other is not register):
            await bench.write(other.offset, 0)
            await bench.write(register.offset + 4, 0)  # the waiting low word is another's
    for register in (register for register in wide if register.readable):
        await bench.read(register.offset)
        bench.set_status()
        await bench.read(register.offset + 4)  # of the time when the low word was read
        for other in (other for other in wide if other.readable and other is not register):
            await bench.read(other.offset)
            await bench.read(register.offset + 4)
        await bench.read(register.offset)
        await bench.reset()
        await bench.read(register.offset + 4)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def requests_that_wait_for_no_answer_are_each_answered_in_order(dut: Any) -> None:
    bench = await Bench.start(dut, None, two_in_three(7))
    addresses = [4 * i for i in (0, 1, 2, 3, 1, 0, 2)]
    asked = [cocotb.start_soon(bench.master.read(address)) for address in addresses]
    for task, address in zip(asked, addresses, strict=True):
        assert (await task).data == bench.model.read(address)
    writable = next((register for register in bench.block.registers if register.writable), None)
    if writable is not None:
        asked = [cocotb.start_soon(bench.master.write(address, 0)) for address in (0, writable.offset) * 3]
        assert [(await task).resp for task in asked] == [SLVERR, OKAY] * 3


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_at_any_cycle_leaves_the_reset_values_and_a_bus_that_answers(dut: Any) -> None:
    bench = await Bench.start(dut)
    register = next((register for register in bench.block.registers if register.writable), bench.block.registers[0])
    for cycles in range(8):
        under_way = [
            cocotb.start_soon(bench.master.write(register.offset, register.write_mask & WORD, lag=cycles - 4)),
            cocotb.start_soon(bench.master.read(register.offset)),
        ]
        await ClockCycles(dut.clk, cycles + 1)
        await bench.reset()
        for task in under_way:
            await task
        bench.check()
        await bench.write(register.offset, 0)
        await bench.read(register.offset)
        assert (await bench.read(0)).data == bench.block.id


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_read_is_one_request_and_answers_come_after_two_cycles_and_three(dut: Any) -> None:
    bench = await Bench.start(dut)
    before = len(bench.master.ar.taken_cycles)
    answers = [await bench.master.read(4 * i) for i in range(4)]
    taken = bench.master.ar.taken_cycles[before:]
    assert [answer.cycle - cycle for answer, cycle in zip(answers, taken, strict=True)] == [2, 2, 2, 2]
    writable = next((register for register in bench.block.registers if register.writable), None)
    if writable is not None:
        for lag in (-2, 0, 2):
            answer = await bench.write(writable.offset, 0, lag=lag)
            assert answer.cycle - max(bench.master.aw.taken_cycles[-1], bench.master.w.taken_cycles[-1]) == 3


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_driver_finds_the_block_and_sets_it_by_name(dut: Any) -> None:
    bench = await Bench.start(dut, one_in_three(5), one_in_three(6))
    await bridge(drive)(AxilBus(bench.master), bench)
    await FallingEdge(dut.clk)
    bench.check()


def drive(bus: AxilBus, bench: Bench) -> None:
    """What a driver does, in a thread of its own; it is told nothing of the simulation but for the comparison."""
    assert find_blocks(bus) == {bench.block.name: 0}
    registers = Registers.connect(bus, bench.block)
    for register in bench.block.registers:
        for field in register.fields:
            if field.kind is not Kind.CONFIG:
                continue
            low, high = field.bounds(bench.model.parameters)
            registers.parameters |= bench.model.parameters
            registers.write_fields(register.name, **{field.name: high})
            bench.model.settings[field.port] = high
            assert not field.readable or registers.read(register.name, field.name) == high
            with pytest.raises(DeviceError, match=rf"met {low - 1}, wanted {low} .. {high}$"):
                registers.write_fields(register.name, **{field.name: low - 1})


def simulate(block: str, folder: Path, simulator: str, rounds: int, thorough: bool = True, **parameters: int) -> None:
    """Run the bench on one block."""
    env = {"BENCH_BLOCK": block, "BENCH_PARAMETERS": json.dumps(parameters), "BENCH_ROUNDS": str(rounds)}
    env["BENCH_THOROUGH"] = "1" if thorough else "0"
    run_bench(f"{block}_regs", __name__, folder, simulator=simulator, parameters=parameters, env=env)


NAMES = [block.name for block in known_blocks()]
# The least parameters and odd ones of the block that has a register of every kind.
VARIANTS = [{"SLOTS": 2, "PRICE_W": 1}, {"SLOTS": 65535, "PRICE_W": 31}]


@pytest.mark.parametrize("block", NAMES)
def test_a_block_answers_as_its_model_on_icarus(block: str, tmp_path: Path) -> None:
    # They are made by the same text as the example's, which is what the whole bench is for.
    simulate(block, tmp_path, "icarus", rounds=20, thorough=False)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_registers_of_every_kind_answer_with_any_parameters(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate("example", tmp_path, "icarus", rounds=60, **parameters)


def test_registers_of_every_kind_answer_alike_on_verilator(tmp_path: Path) -> None:
    simulate("example", tmp_path, "verilator", rounds=60, SLOTS=5, PRICE_W=8)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", NAMES)
def test_many_accesses_of_every_block(block: str, tmp_path: Path) -> None:
    simulate(block, tmp_path, "verilator", rounds=2_000)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("SLOTS=65537", r"SLOTS=65537, wanted 2 .. 65536"),
        ("PRICE_W=33", r"PRICE_W=33, wanted 1 .. 32"),
    ],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("example_regs", parameter, message, tmp_path)
