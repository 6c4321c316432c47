"""What a register block is: registers of 32 or 64 bits in one page of 4 KiB, each made of fields.

The generator reads a `Block` from SystemRDL and writes it down as Python; drivers, benches and the model of a device
read that, so that none of them needs the SystemRDL compiler.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["HEADER_BYTES", "HEADER_WORDS", "PAGE_BYTES", "Block", "Field", "Kind", "Register"]

PAGE_BYTES: Final = 4096
"""Bytes of address space of one block."""

HEADER_WORDS: Final = ("id", "version", "layout_hash", "next")
"""What every block starts with, one read-only word of 32 bits each, by which software finds it and knows it."""

HEADER_BYTES: Final = 4 * len(HEADER_WORDS)


class Kind(Enum):
    """What the hardware does with a field."""

    CONFIG = "config"
    """Software sets it, the hardware reads it from a ``cfg_`` output."""
    PULSE = "pulse"
    """Written as 1, a ``cfg_`` output is high for one clock."""
    STATUS = "status"
    """The hardware drives it on an ``sts_`` input, software reads it."""
    CONSTANT = "constant"
    """It shows a parameter of the module, or its reset value."""


class Field(NamedTuple):
    """Some bits of a register."""

    name: str
    lsb: int
    """Its lowest bit in the register, 0 .. 63."""
    width: int
    kind: Kind
    port: str
    """Of the module, with its prefix; empty for a constant."""
    readable: bool
    writable: bool
    signed: bool = False
    reset: int = 0
    """The value after reset, of a constant always; signed where the field is."""
    bits: str = ""
    """How many bits the hardware has: a parameter or a number; empty when all *width* of them."""
    below: str = ""
    """The first value that is too large: a parameter or a number; empty without such a limit."""
    constant: str = ""
    """The parameter that a constant shows; empty when it shows *reset*."""
    text: str = ""

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.width) - 1) << self.lsb

    def bounds(self, parameters: dict[str, int]) -> tuple[int, int]:
        """Return the least and the largest value that the hardware takes, given the module's *parameters*."""
        width = number(self.bits, parameters) if self.bits else self.width
        if self.signed:
            return -(1 << (width - 1)), (1 << (width - 1)) - 1
        largest = (1 << width) - 1
        return 0, min(largest, number(self.below, parameters) - 1) if self.below else largest

    def extract(self, word: int) -> int:
        """Return the field's value in the register's value *word*."""
        value = word >> self.lsb & (1 << self.width) - 1
        return value - (1 << self.width) if self.signed and value >> (self.width - 1) else value

    def place(self, value: int) -> int:
        """Return *value* as bits of the register; two's complement where it is negative."""
        return value << self.lsb & self.mask


class Register(NamedTuple):
    """32 or 64 bits at one address; of 64 bits the low word comes first."""

    name: str
    offset: int
    """In bytes from the block's start."""
    width: int
    fields: tuple[Field, ...]
    settles: bool = False
    """A read waits until the hardware has the value."""
    text: str = ""

    @property
    def readable(self) -> bool:
        """Whether software may read it; fields that it may not read show 0."""
        return any(field.readable for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether software may write it; fields that it may not write take 0 alone."""
        return any(field.writable for field in self.fields)

    @property
    def write_mask(self) -> int:
        """The bits that may be written as 1."""
        return sum(field.mask for field in self.fields if field.writable)

    def field(self, name: str) -> Field:
        """Return the field of that name.

        Raises:
            KeyError: there is none.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


class Block(NamedTuple):
    """The registers beside one hardware block."""

    name: str
    id: int
    """Four ASCII characters, the first in the highest byte."""
    version: int
    parameters: dict[str, int]
    """Of the module, by name, with their defaults."""
    registers: tuple[Register, ...]
    text: str = ""

    @property
    def id_text(self) -> str:
        """The id as its four characters."""
        return self.id.to_bytes(4, "big").decode("ascii")

    @property
    def layout_hash(self) -> int:
        """The first 32 bits of SHA-256 over everything that software relies on, so that a changed layout shows."""
        parts = [f"{self.name}:{self.id:08x}:{self.version}"]
        for reg in self.registers:
            parts.append(f"{reg.name}@{reg.offset:x}:{reg.width}:{int(reg.settles)}")
            for f in reg.fields:
                access = ("r" if f.readable else "") + ("w" if f.writable else "")
                sign = "s" if f.signed else "u"
                parts.append(
                    f"{f.name}[{f.lsb}+{f.width}]{sign}:{access}:{f.kind.value}:{f.reset}:{f.bits}:{f.below}:{f.constant}"
                )
        return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:4], "big")

    def register(self, name: str) -> Register:
        """Return the register of that name.

        Raises:
            KeyError: there is none.
        """
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(name)


def number(text: str, parameters: dict[str, int]) -> int:
    """Return the number that *text* is or names among *parameters*."""
    return int(text) if text.isdecimal() else parameters[text]
