"""Registers by name: what drivers are written with, over any `RegisterBus`.

    registers = Registers.connect(bus, BLOCK, base)
    registers.write("lots_max", 50)
    registers.write_fields("mode", kinds=3, share=500)
    registers.pulse("collar", "write")
    registers.read("clocks")

A value that the block would refuse is refused here, before the bus is touched, with the register's name and its limits.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping

from penstock_hw.device import REGISTER_BYTES, DeviceError, RegisterBus
from penstock_hw.registers.model import HEADER_WORDS, Block, Field, Kind, Register

__all__ = ["Registers", "check_header"]

_WORD = 0xFFFF_FFFF


def check_header(bus: RegisterBus, block: Block, base: int) -> None:
    """Check that *block* lies at *base*, in the version and the layout that it was generated with.

    Raises:
        DeviceError: another block, version or layout is there; names what was met and what was wanted.
    """
    wanted = (block.id, block.version, block.layout_hash)
    met = tuple(bus.read(base + REGISTER_BYTES * i) for i in range(len(wanted)))
    for name, had, want in zip(HEADER_WORDS, met, wanted, strict=False):
        if had != want:
            raise DeviceError(
                f"block {block.name} at {base:#x} has {name} {had:#x}, wanted {want:#x}; "
                "the device was built from other registers: build both from one revision"
            )


class Registers:
    """The registers of one block at one base address."""

    def __init__(
        self, bus: RegisterBus, block: Block, base: int = 0, parameters: Mapping[str, int] | None = None
    ) -> None:
        """Take *block* as it lies at *base*; *parameters* of the module where they are not the defaults."""
        self.block, self.base = block, base
        self.parameters = block.parameters | dict(parameters or {})
        self._bus = bus
        self._by_name = {register.name: register for register in block.registers}

    @classmethod
    def connect(cls, bus: RegisterBus, block: Block, base: int = 0) -> Registers:
        """Return the registers of the block at *base*, checked, with the parameters that it says it was built with.

        Raises:
            DeviceError: it is another block, version or layout.
        """
        check_header(bus, block, base)
        registers = cls(bus, block, base)
        for register in block.registers:
            if any(field.constant for field in register.fields):
                word = registers._read_word(register)
                registers.parameters |= {f.constant: f.extract(word) for f in register.fields if f.constant}
        return registers

    def bounds(self, register: str, field: str = "") -> tuple[int, int]:
        """Return the least and the largest value that a field takes; *field* may be left out where there is one."""
        return self._field(self._register(register), field).bounds(self.parameters)

    def read(self, register: str, field: str = "") -> int:
        """Return the value of a field; *field* may be left out where the register has one.

        Raises:
            DeviceError: there is none of that name, or it cannot be read.
        """
        found = self._register(register)
        wanted = self._field(found, field)
        if not wanted.readable:
            raise DeviceError(f"{self._name(found, wanted)} is write only; keep what you wrote")
        return wanted.extract(self._read_word(found))

    def read_fields(self, register: str) -> dict[str, int]:
        """Return every field of a register that can be read, all of one moment.

        Raises:
            DeviceError: there is no such register, or it cannot be read.
        """
        found = self._register(register)
        if not found.readable:
            raise DeviceError(f"{self.block.name}.{register} is write only; keep what you wrote")
        word = self._read_word(found)
        return {field.name: field.extract(word) for field in found.fields if field.readable}

    def write(self, register: str, value: int) -> None:
        """Set a register of one field.

        Raises:
            DeviceError: there is none of that name, or it does not take *value*.
        """
        found = self._register(register)
        self.write_fields(register, **{self._field(found, "").name: value})

    def write_fields(self, register: str, **values: int) -> None:
        """Set some fields of a register by one write; its other settings keep what they have, pulses are not given.

        Raises:
            DeviceError: a field is not there, cannot be written, or does not take its value; or a setting that was left
                out cannot be read back.
        """
        found = self._register(register)
        word = 0
        for name, value in values.items():
            field = self._field(found, name)
            word |= field.place(self._checked(found, field, value))
        kept = [field for field in found.fields if field.kind is Kind.CONFIG and field.name not in values]
        if kept:
            for field in kept:
                if not field.readable:
                    raise DeviceError(f"{self._name(found, field)} cannot be read back; give its value too")
            before = self._read_word(found)
            word |= sum(before & field.mask for field in kept)
        self._write_word(found, word)

    def pulse(self, register: str, *fields: str) -> None:
        """Raise pulses of a register for one clock; all that it has when none is named.

        Raises:
            DeviceError: a field is not there or is no pulse.
        """
        found = self._register(register)
        names = fields or tuple(field.name for field in found.fields if field.kind is Kind.PULSE)
        for name in names:
            if self._field(found, name).kind is not Kind.PULSE:
                raise DeviceError(f"{self.block.name}.{register}.{name} is no pulse; write it")
        self.write_fields(register, **dict.fromkeys(names, 1))

    def _register(self, name: str) -> Register:
        if name not in self._by_name:
            raise DeviceError(f"{self.block.name} has no register {name}; it has {', '.join(self._by_name)}")
        return self._by_name[name]

    def _field(self, register: Register, name: str) -> Field:
        if not name and len(register.fields) == 1:
            return register.fields[0]
        names = ", ".join(field.name for field in register.fields)
        if not name:
            raise DeviceError(f"{self.block.name}.{register.name} has the fields {names}; name one")
        try:
            return register.field(name)
        except KeyError:
            raise DeviceError(f"{self.block.name}.{register.name} has no field {name}; it has {names}") from None

    def _name(self, register: Register, field: Field) -> str:
        name = f"{self.block.name}.{register.name}"
        return name if len(register.fields) == 1 else f"{name}.{field.name}"

    def _checked(self, register: Register, field: Field, value: int) -> int:
        """Return *value* as a plain integer, which numpy's and enumerations' are not."""
        if not field.writable:
            raise DeviceError(f"{self._name(register, field)} is read only")
        low, high = field.bounds(self.parameters)
        try:
            number = operator.index(value)
        except TypeError:
            raise DeviceError(
                f"{self._name(register, field)} met {value!r}, wanted an integer of {low} .. {high}"
            ) from None
        if not low <= number <= high:
            raise DeviceError(f"{self._name(register, field)} met {number}, wanted {low} .. {high}")
        return number

    def _read_word(self, register: Register) -> int:
        address = self.base + register.offset
        word = self._bus.read(address)
        # The low word first: the block keeps the high word of the same moment.
        return word | self._bus.read(address + REGISTER_BYTES) << 32 if register.width == 64 else word

    def _write_word(self, register: Register, word: int) -> None:
        address = self.base + register.offset
        self._bus.write(address, word & _WORD)
        if register.width == 64:
            self._bus.write(address + REGISTER_BYTES, word >> 32)
