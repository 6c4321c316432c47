"""A device of register blocks without a simulator: it answers as the generated SystemVerilog does.

    model = BlockModel(BLOCK)
    model.status["sts_clocks"] = 12
    model.on_pulse["cfg_collar_write"] = store_the_row
    driver = CollarDriver(model)

A response SLVERR becomes a `DeviceError`. ``hold`` is not modelled: what a pulse does is done when the write returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock_hw.device import REGISTER_BYTES, DeviceError
from penstock_hw.registers.model import HEADER_WORDS, PAGE_BYTES, Block, Field, Kind, Register

__all__ = ["BlockModel", "DeviceModel"]

_WORD = 0xFFFF_FFFF


class BlockModel:
    """A `RegisterBus` of one block's page."""

    def __init__(self, block: Block, parameters: Mapping[str, int] | None = None, next_base: int = 0) -> None:
        """Make the block as after reset; *parameters* where they are not the defaults, *next_base* for its header.

        Raises:
            DeviceError: the block has no such parameter.
        """
        unknown = set(parameters or ()) - block.parameters.keys()
        if unknown:
            raise DeviceError(
                f"block {block.name} has no parameter {min(unknown)}; it has {', '.join(block.parameters)}"
            )
        self.block = block
        self.parameters = block.parameters | dict(parameters or {})
        self.settings: dict[str, int] = {}
        """What the ``cfg_`` outputs hold, by port."""
        self.status: dict[str, int | Callable[[], int]] = {}
        """What the hardware drives on ``sts_`` inputs, by port: a value, or what is called for one; 0 when left out."""
        self.on_pulse: dict[str, Callable[[], None]] = {}
        """What happens on a ``cfg_`` pulse, by port."""
        self.pulses: list[str] = []
        """Every pulse that was given, in order."""
        self._header = (block.id, block.version, block.layout_hash, next_base)
        self._low: tuple[str, int] | None = None  # the register whose low word waits, and that word
        self._high: tuple[str, int] | None = None  # the register whose low word was read last, and its high word
        self.reset()

    def reset(self) -> None:
        """Set every setting to its reset value, as ``rst`` does."""
        fields = (field for register in self.block.registers for field in register.fields)
        self.settings.update({field.port: field.reset for field in fields if field.kind is Kind.CONFIG})
        self._low = self._high = None

    def read(self, address: int) -> int:
        """Return the word at *address*; see `RegisterBus.read`."""
        if address in range(0, REGISTER_BYTES * len(HEADER_WORDS), REGISTER_BYTES):
            return self._header[address // REGISTER_BYTES]
        register, part = self._find(address, "read")
        if not register.readable:
            raise self._refused("read", address, f"{register.name} is write only")
        if part:
            if self._high is None or self._high[0] != register.name:
                raise self._refused("read", address, f"the low word of {register.name} was not read before")
            return self._high[1]
        word = sum(field.place(self._value(field)) for field in register.fields if field.readable)
        if register.width == 64:
            self._high = (register.name, word >> 32)
        return word & _WORD

    def write(self, address: int, value: int) -> None:
        """Set the word at *address*; see `RegisterBus.write`."""
        if not 0 <= value <= _WORD:
            raise DeviceError(f"value {value} for register {address:#x} does not fit in 32 unsigned bits")
        register, part = self._find(address, "write")
        if not register.writable:
            raise self._refused("write", address, f"{register.name} is read only")
        if value & ~(register.write_mask >> 32 * part) & _WORD:
            raise self._refused("write", address, f"{value:#x} has bits outside the fields of {register.name}")
        if register.width == 64 and not part:
            self._low = (register.name, value)
            return
        if part:
            if self._low is None or self._low[0] != register.name:
                raise self._refused("write", address, f"the low word of {register.name} was not written before")
            value = value << 32 | self._low[1]
        for field in register.fields:
            low, high = field.bounds(self.parameters)
            if field.writable and not low <= field.extract(value) <= high:
                met = f"{register.name}.{field.name} met {field.extract(value)}, wanted {low} .. {high}"
                raise self._refused("write", address, met)
        if part:
            self._low = None
        self._take(register, value)

    def _take(self, register: Register, word: int) -> None:
        """Set the settings first, as at one clock edge, then give the pulses."""
        pulses = []
        for field in register.fields:
            if field.kind is Kind.CONFIG:
                self.settings[field.port] = field.extract(word)
            elif field.kind is Kind.PULSE and field.extract(word):
                pulses.append(field.port)
        for port in pulses:
            self.pulses.append(port)
            if port in self.on_pulse:
                self.on_pulse[port]()

    def _value(self, field: Field) -> int:
        if field.kind is Kind.CONSTANT:
            return self.parameters[field.constant] if field.constant else field.reset
        if field.kind is Kind.CONFIG:
            return self.settings[field.port]
        value = self.status.get(field.port, 0)
        return value if isinstance(value, int) else value()

    def _find(self, address: int, what: str) -> tuple[Register, int]:
        """Return the register at *address*, and which of its words."""
        for register in self.block.registers:
            if register.offset <= address < register.offset + register.width // 8 and address % REGISTER_BYTES == 0:
                return register, (address - register.offset) // REGISTER_BYTES
        raise self._refused(what, address, "no register is there")

    def _refused(self, what: str, address: int, why: str) -> DeviceError:
        return DeviceError(f"{what} at {address:#x} of {self.block.name} was answered with SLVERR: {why}")


class DeviceModel:
    """A `RegisterBus` of several blocks, each in a page, as behind ``axil_split``."""

    def __init__(self, blocks: Mapping[int, BlockModel]) -> None:
        """Take *blocks* by their base addresses, multiples of 4 KiB."""
        self._blocks = dict(blocks)

    def read(self, address: int) -> int:
        """Return the word at *address*; see `RegisterBus.read`."""
        return self._at(address).read(address % PAGE_BYTES)

    def write(self, address: int, value: int) -> None:
        """Set the word at *address*; see `RegisterBus.write`."""
        self._at(address).write(address % PAGE_BYTES, value)

    def _at(self, address: int) -> BlockModel:
        base = address - address % PAGE_BYTES
        if base not in self._blocks:
            raise DeviceError(f"address {address:#x} was answered with SLVERR: no block is there")
        return self._blocks[base]
