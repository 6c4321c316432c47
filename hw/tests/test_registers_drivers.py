"""Registers by name, the list of blocks, and the model of a device: hand-worked words, and every refusal in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_hw import DeviceError, MemoryBus, RegisterBus
from penstock_hw.blocks import BLOCKS_MAX, find_blocks, known_blocks
from penstock_hw.drivers.base import Registers, check_header
from penstock_hw.registers.generated.example import BLOCK, LAYOUT_HASH
from penstock_hw.registers.model import Block, Kind
from penstock_hw.registers.simulated import BlockModel, DeviceModel


@pytest.fixture
def model() -> BlockModel:
    return BlockModel(BLOCK, {"SLOTS": 5, "PRICE_W": 8})


@pytest.fixture
def registers(model: BlockModel) -> Registers:
    return Registers.connect(model, BLOCK)


def other_block(number: int) -> Block:
    """Return the example under another id and name."""
    return BLOCK._replace(id=0x41414130 + number, name=f"block{number}")


def test_the_model_is_a_register_bus() -> None:
    assert isinstance(BlockModel(BLOCK), RegisterBus)
    assert isinstance(DeviceModel({}), RegisterBus)


def test_the_header_says_what_the_block_is(model: BlockModel) -> None:
    assert [model.read(offset) for offset in (0, 4, 8, 12)] == [0x4558504C, 1, LAYOUT_HASH, 0]


def test_words_are_laid_out_as_the_rdl_says(model: BlockModel) -> None:
    assert model.read(0x14) == 3 | 1000 << 8
    model.write(0x14, 2 | 500 << 8)
    assert (model.settings["cfg_mode_kinds"], model.settings["cfg_mode_share"]) == (2, 500)
    model.write(0x20, 0xFFFF_FF80)
    assert model.settings["cfg_collar_floor_ticks"] == -128
    assert model.read(0x20) == 0xFFFF_FF80
    model.status |= {"sts_state_busy": 1, "sts_state_reason": 5, "sts_collar_stored_ticks": lambda: -2}
    assert model.read(0x50) == 0x501
    assert model.read(0x28) == 0xFFFF_FFFE


REFUSED_WRITES = [
    (0x00, 0, "no register is there"),
    (0x18, 0, "slots is read only"),
    (0x34, 0, "no register is there"),
    (0x11, 0, "no register is there"),
    (0x10, 2, "0x2 has bits outside the fields of kill"),
    (0x1C, 5, r"collar_index.value met 5, wanted 0 .. 4"),
    (0x14, 1001 << 8, r"mode.share met 1001, wanted 0 .. 1000"),
    (0x20, 128, r"collar_floor_ticks.value met 128, wanted -128 .. 127"),
    (0x20, 0xFFFF_FF7F, r"collar_floor_ticks.value met -129, wanted -128 .. 127"),
    (0x3C, 0, "the low word of opens_at_ns was not written before"),
]


@pytest.mark.parametrize(("address", "value", "why"), REFUSED_WRITES)
def test_what_the_hardware_refuses_the_model_refuses_and_keeps(
    model: BlockModel, address: int, value: int, why: str
) -> None:
    before = dict(model.settings)
    with pytest.raises(DeviceError, match=f"^write at {address:#x} of example was answered with SLVERR: {why}$"):
        model.write(address, value)
    assert model.settings == before
    assert model.pulses == []


def test_reads_of_nothing_and_of_what_is_write_only_are_refused(model: BlockModel) -> None:
    for address, why in ((0x2C, "secret is write only"), (0x54, "no register"), (0x3C, "the low word of opens_at_ns")):
        with pytest.raises(DeviceError, match=f"^read at {address:#x} of example was answered with SLVERR: {why}"):
            model.read(address)


def test_a_wide_register_changes_whole_and_is_read_whole(model: BlockModel) -> None:
    model.write(0x38, 7)
    assert model.settings["cfg_opens_at_ns"] == 0
    model.write(0x40, 1)  # another low word takes its place
    with pytest.raises(DeviceError, match="the low word of opens_at_ns was not written"):
        model.write(0x3C, 1)
    model.write(0x38, 7)
    model.write(0x3C, 1)
    assert model.settings["cfg_opens_at_ns"] == 1 << 32 | 7
    model.status["sts_clocks"] = (3 << 32) - 1
    assert model.read(0x48) == 0xFFFF_FFFF
    model.status["sts_clocks"] = 3 << 32
    assert model.read(0x4C) == 2
    model.reset()
    with pytest.raises(DeviceError, match="the low word of clocks was not read"):
        model.read(0x4C)


def test_a_pulse_comes_after_the_settings_of_its_write(model: BlockModel) -> None:
    met: list[int] = []
    model.on_pulse["cfg_collar_write"] = lambda: met.append(model.settings["cfg_collar_index"])
    model.write(0x1C, 4)
    model.write(0x24, 0b11)
    assert met == [4]
    assert model.pulses == ["cfg_collar_write", "cfg_collar_read"]
    assert model.settings["cfg_kill"] == 1


def test_a_model_refuses_parameters_that_the_block_has_not() -> None:
    with pytest.raises(DeviceError, match="^block example has no parameter DEPTH; it has SLOTS, PRICE_W$"):
        BlockModel(BLOCK, {"DEPTH": 1})


def test_a_driver_reads_and_writes_by_name(model: BlockModel, registers: Registers) -> None:
    registers.write("kill", 0)
    registers.write("collar_floor_ticks", -3)
    registers.write("notional_limit", -(2**55))
    registers.write_fields("mode", share=1)
    registers.pulse("collar", "write")
    model.status["sts_clocks"] = 2**64 - 1
    assert registers.read("kill") == 0
    assert registers.read("collar_floor_ticks") == -3
    assert registers.read("notional_limit") == -(2**55)
    assert registers.read_fields("mode") == {"kinds": 3, "share": 1}
    assert registers.read("clocks") == 2**64 - 1
    assert model.pulses == ["cfg_collar_write"]
    registers.pulse("collar")
    assert model.pulses[1:] == ["cfg_collar_write", "cfg_collar_read"]


def test_connecting_learns_what_the_block_was_built_with(registers: Registers) -> None:
    assert registers.parameters["SLOTS"] == 5
    assert registers.bounds("collar_index") == (0, 4)


class _Untouched(MemoryBus):
    """A bus that nobody may write to."""

    def write(self, address: int, value: int) -> None:
        raise AssertionError(f"{value:#x} reached the bus at {address:#x}")


REFUSED_BY_NAME = [
    ("lots", {"value": 1}, "example has no register lots; it has kill, mode"),
    ("mode", {"size": 1}, "example.mode has no field size; it has kinds, share"),
    ("mode", {"share": 1001}, r"example.mode.share met 1001, wanted 0 .. 1000$"),
    ("collar_index", {"value": 256}, r"example.collar_index met 256, wanted 0 .. 255$"),
    ("collar_index", {"value": -1}, r"example.collar_index met -1, wanted 0 .. 255$"),
    ("collar_index", {"value": 1.5}, r"example.collar_index met 1.5, wanted an integer of 0 .. 255$"),
    ("mode", {"share": "5"}, r"example.mode.share met '5', wanted an integer of 0 .. 1000$"),
    ("slots", {"value": 1}, "example.slots is read only$"),
]


@pytest.mark.parametrize(("register", "values", "message"), REFUSED_BY_NAME)
def test_a_wrong_value_is_refused_before_the_bus_is_touched(
    register: str, values: dict[str, int], message: str
) -> None:
    with pytest.raises(DeviceError, match=f"^{message}"):
        Registers(_Untouched(), BLOCK).write_fields(register, **values)


def test_what_cannot_be_named_or_read_is_said_so(registers: Registers) -> None:
    for ask, message in (
        (lambda: registers.read("mode"), "example.mode has the fields kinds, share; name one"),
        (lambda: registers.read("secret"), "example.secret is write only"),
        (lambda: registers.read_fields("secret"), "example.secret is write only"),
        (lambda: registers.pulse("mode", "kinds"), "example.mode.kinds is no pulse; write it"),
    ):
        with pytest.raises(DeviceError, match=f"^{message}"):
            ask()


@given(st.data())
def test_every_setting_that_is_written_is_read_back_and_no_other_changes(data: st.DataObject) -> None:
    model = BlockModel(BLOCK)
    registers = Registers(model, BLOCK)
    settings = [
        (register, field)
        for register in BLOCK.registers
        for field in register.fields
        if field.kind is Kind.CONFIG and field.readable
    ]
    wanted = {field.port: field.reset for _, field in settings}
    for register, field in data.draw(st.lists(st.sampled_from(settings), max_size=8)):
        value = data.draw(st.integers(*registers.bounds(register.name, field.name)))
        registers.write_fields(register.name, **{field.name: value})
        wanted[field.port] = value
        assert {f.port: registers.read(r.name, f.name) for r, f in settings} == wanted


def device(*blocks: Block, last_next: int = 0) -> DeviceModel:
    """Return a device of these blocks in consecutive pages."""
    nexts = [0x1000 * (i + 1) for i in range(len(blocks) - 1)] + [last_next]
    return DeviceModel({0x1000 * i: BlockModel(b, None, n) for i, (b, n) in enumerate(zip(blocks, nexts, strict=True))})


def test_the_list_of_blocks_is_walked_to_its_end() -> None:
    first, second = other_block(1), other_block(2)
    bus = device(first, BLOCK, second)
    assert find_blocks(bus, [BLOCK, first, second]) == {"block1": 0, "example": 0x1000, "block2": 0x2000}
    assert Registers.connect(bus, BLOCK, 0x1000).read("kill") == 1
    with pytest.raises(DeviceError, match="^address 0x3000 was answered with SLVERR: no block is there$"):
        bus.read(0x3000)
    with pytest.raises(DeviceError, match="SLVERR"):
        bus.write(0x3010, 0)
    bus.write(0x1010, 0)
    assert bus.read(0x1010) == 0


def test_the_generated_blocks_are_known() -> None:
    blocks = known_blocks()
    assert "example" in [block.name for block in blocks]
    assert len({block.id for block in blocks}) == len(blocks)
    assert find_blocks(device(BLOCK)) == {"example": 0}


BROKEN_LISTS = [
    (device(other_block(1)), r"block at 0x0 has the id 0x41414131 \(AAA1\), wanted one of example \(0x4558504c\)"),
    (device(BLOCK._replace(version=9)), "block example at 0x0 has version 0x9, wanted 0x1"),
    (device(BLOCK._replace(registers=BLOCK.registers[1:])), "block example at 0x0 has layout_hash .*, wanted"),
    (device(BLOCK, last_next=0x1800), "block example at 0x0 has next 0x1800, wanted a multiple of 0x1000, or 0"),
    (device(BLOCK, BLOCK), "block example is at 0x0 and at 0x1000, wanted once"),
    (DeviceModel({0x1000: BlockModel(BLOCK)}), "address 0x0 was answered with SLVERR: no block is there"),
    (MemoryBus(), r"block at 0x0 has the id 0x00000000 \(\.\.\.\.\), wanted one of example"),
]


@pytest.mark.parametrize(("bus", "message"), BROKEN_LISTS)
def test_a_broken_list_is_told_with_the_block_and_the_way_out(bus: RegisterBus, message: str) -> None:
    with pytest.raises(DeviceError, match=f"^{message}"):
        find_blocks(bus, [BLOCK])


def test_a_list_that_comes_back_is_refused() -> None:
    first, second = other_block(1), other_block(2)
    bus = DeviceModel({0x1000: BlockModel(first, None, 0x2000), 0x2000: BlockModel(second, None, 0x1000)})
    with pytest.raises(DeviceError, match="^block block2 at 0x2000 has next 0x1000, where the list has been already"):
        find_blocks(bus, [first, second], start=0x1000)


def test_a_list_without_end_is_refused() -> None:
    blocks = [other_block(number) for number in range(BLOCKS_MAX + 1)]
    assert len(find_blocks(device(*blocks[:-1]), blocks)) == BLOCKS_MAX
    with pytest.raises(DeviceError, match=f"^more than {BLOCKS_MAX} blocks, after block{BLOCKS_MAX - 1} at 0x3f000"):
        find_blocks(device(*blocks), blocks)


def test_a_driver_for_other_registers_does_not_start() -> None:
    with pytest.raises(DeviceError, match="; the device was built from other registers: build both from one revision$"):
        check_header(device(BLOCK._replace(version=2)), BLOCK, 0)
