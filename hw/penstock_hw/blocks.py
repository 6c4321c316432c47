"""Find the blocks that a device has: each page of registers names its block and where the next one lies."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from penstock_hw.device import REGISTER_BYTES, DeviceError, RegisterBus
from penstock_hw.drivers.base import check_header
from penstock_hw.registers.model import HEADER_WORDS, PAGE_BYTES, Block

__all__ = ["BLOCKS_MAX", "find_blocks", "known_blocks"]

BLOCKS_MAX = 64
"""A list that is longer is taken for broken."""

_NEXT = REGISTER_BYTES * HEADER_WORDS.index("next")


def known_blocks() -> tuple[Block, ...]:
    """Return every generated block, by name."""
    import penstock_hw.registers.generated as generated

    modules = sorted(module.name for module in pkgutil.iter_modules(generated.__path__))
    return tuple(importlib.import_module(f"{generated.__name__}.{name}").BLOCK for name in modules)


def find_blocks(bus: RegisterBus, known: Iterable[Block] | None = None, start: int = 0) -> dict[str, int]:
    """Return the base address of every block of the device, by the block's name.

    Args:
        bus: of the whole device.
        known: the blocks that there may be, all generated ones by default.
        start: where the first block lies.

    Raises:
        DeviceError: an address that is no page, a list that comes back to itself or has more than `BLOCKS_MAX` blocks,
            an unknown id, another version or layout than was generated, or one block twice.
    """
    by_id = {block.id: block for block in (known_blocks() if known is None else known)}
    found: dict[str, int] = {}
    base = start
    while True:
        block = by_id.get(met := bus.read(base))
        if block is None:
            names = ", ".join(f"{block.name} ({block.id:#010x})" for block in by_id.values())
            raise DeviceError(
                f"block at {base:#x} has the id {met:#010x} ({_text(met)}), wanted one of {names}; "
                "update the software, or check the address"
            )
        if block.name in found:
            raise DeviceError(
                f"block {block.name} is at {found[block.name]:#x} and at {base:#x}, wanted once; "
                "the list of blocks is broken: check NEXT of each block in the device's top module"
            )
        check_header(bus, block, base)
        found[block.name] = base
        after = bus.read(base + _NEXT)
        if after == 0:
            return found
        if after % PAGE_BYTES:
            raise DeviceError(
                f"block {block.name} at {base:#x} has next {after:#x}, wanted a multiple of {PAGE_BYTES:#x}, or 0; "
                "check its NEXT in the device's top module"
            )
        if after in found.values():
            raise DeviceError(
                f"block {block.name} at {base:#x} has next {after:#x}, where the list has been already; "
                "the last block's NEXT wants 0"
            )
        if len(found) == BLOCKS_MAX:
            raise DeviceError(f"more than {BLOCKS_MAX} blocks, after {block.name} at {base:#x}; the last NEXT wants 0")
        base = after


def _text(word: int) -> str:
    """Return the four characters of an id, a dot for what is none."""
    return "".join(chr(byte) if 32 < byte < 127 else "." for byte in word.to_bytes(4, "big"))
