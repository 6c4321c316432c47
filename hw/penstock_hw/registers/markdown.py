"""Write every block's registers as one page: how to add one, and a table a block."""

from __future__ import annotations

from collections.abc import Iterable

from penstock_hw.registers.model import HEADER_WORDS, Block, Field, Kind, Register
from penstock_hw.registers.tables import access, span

__all__ = ["page"]

_TOP = """\
# Registers

Made by `python -m penstock_hw.registers` from `rtl/regs/*.rdl`: change those, not this page.

Each hardware block has its registers in one page of 4 KiB behind one AXI4-Lite port. What a register is called, where
it lies and what it takes stands once, in SystemRDL; from that come the SystemVerilog beside the block, the Python that
drivers and benches read, a C header and this page.

## Add a register

Write it into `rtl/regs/<block>.rdl`, say

    reg {
        desc = "Lots of the largest order that passes.";
        field { sw = rw; hw = r; bits = "QTY_W"; } value[32];
    } lots_max;

and run

    python -m penstock_hw.registers

The module `<block>_regs` now has an output `cfg_lots_max`; connect it to the block. A driver reads and writes
`lots_max` by its name. Commit what was made too: a test compares it.

| In the field | Makes |
|---|---|
| `sw = rw; hw = r;` | a setting, on the output `cfg_NAME`; it starts with `reset`, or 0 |
| `sw = w; hw = r;` | the same, but it cannot be read back |
| `sw = w; hw = r; singlepulse;` | one clock high on `cfg_NAME` when written as 1 |
| `sw = r; hw = w;` | a status, from the input `sts_NAME` |
| `sw = r; hw = na; constant = "SLOTS";` | the parameter of the module, so that a driver knows what was built |
| `below = "SLOTS"` | values of SLOTS and more are refused; the port has `$clog2(SLOTS)` bits |
| `bits = "QTY_W"` | values that need more than QTY_W bits are refused; the port has that width |
| `is_signed` | two's complement; narrower hardware is sign-extended |

A register whose one field is called `value`, or as the register, gives the port the register's name; else the port is
`cfg_REGISTER_FIELD`. Parameters stand in the head of the block, `addrmap risk_gate #(longint unsigned SLOTS = 256)`,
and are parameters of the module. The block also says `block_id = "GATE";` (four letters or digits) and
`block_version = 1;`. The first register lies at `@ 0x10`: the header is before it. A 64-bit register says
`regwidth = 64; accesswidth = 32;`. A table is no array of registers but an index, its columns, and a pulse each to
write and to fetch a row; what is fetched carries `settles`. `rtl/regs/example.rdl` has one register of every kind.

## What the bus does

| | Answer |
|---|---|
| an address that is no register or no multiple of 4 | SLVERR |
| a write of less than all 4 bytes | SLVERR |
| a write to a read-only register, a read of a write-only one | SLVERR |
| a 1 written outside the fields, a value that a field does not take | SLVERR |
| the high word of a 64-bit register without its low word before | SLVERR |
| anything else | OKAY |

What is answered with SLVERR changes nothing. Fields that cannot be read show 0. A 64-bit register is written low word
first and changes whole with its high word; reading its low word keeps the high word for the read that follows. While
the block holds `hold`, writes wait, and so do reads of registers that settle; it may rise up to two clocks after a
pulse.

Blocks form a list. Each begins with the same four words, and software walks them (`penstock_hw.blocks.find_blocks`):

| Offset | Name | |
|---|---|---|
| 0x000 | id | four ASCII characters, the first in the highest byte |
| 0x004 | version | of the block's behaviour |
| 0x008 | layout_hash | of everything below; a driver made for another layout refuses to start |
| 0x00c | next | address of the next block in the device, 0 after the last |
"""


def page(blocks: Iterable[Block]) -> str:
    """Return the text of docs/registers.md."""
    return _TOP + "".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    lines = [f"\n## {block.name}\n", f"{_cell(block.text)}\n"] if block.text else [f"\n## {block.name}\n"]
    parameters = ", ".join(f"{name} = {value}" for name, value in block.parameters.items())
    lines.append(
        f"Id `{block.id_text}` (0x{block.id:08x}), version {block.version}, layout 0x{block.layout_hash:08x}"
        f"{'; parameters ' + parameters if parameters else ''}.\n"
    )
    lines += [
        "| Offset | Register | Field | Bits | Access | Reset | Takes | Meaning |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for register in block.registers:
        lines += [_row(register, i, field) for i, field in enumerate(register.fields)]
    return "\n".join(lines) + "\n"


def _row(register: Register, i: int, field: Field) -> str:
    single = len(register.fields) == 1
    cells = [
        f"0x{register.offset:03x}" if i == 0 else "",
        register.name if i == 0 else "",
        "" if single else field.name,
        span(field),
        ("pulse" if field.kind is Kind.PULSE else access(register._replace(fields=(field,))))
        if not single
        else access(register),
        str(field.reset) if field.kind is Kind.CONFIG else "",
        _takes(field),
        " ".join(text for text in (register.text if i == 0 else "", field.text) if text),
    ]
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _takes(field: Field) -> str:
    if field.constant:
        return field.constant
    parts = ["signed"] if field.signed else []
    parts += [f"{field.bits} bits"] if field.bits else []
    parts += [f"below {field.below}"] if field.below else []
    return ", ".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


assert len(HEADER_WORDS) == 4, "the table of the header above lists them"
