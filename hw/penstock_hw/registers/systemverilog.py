"""Write a block's registers as SystemVerilog: one AXI4-Lite slave, in the subset that all our tools read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill, indent

from penstock_hw.registers import expressions as sv
from penstock_hw.registers.formal import properties
from penstock_hw.registers.model import HEADER_WORDS, Block, Field, Kind, Register
from penstock_hw.registers.tables import access, span

__all__ = ["module"]

_RULES = """\
// Settings go out on cfg_…, what the hardware says comes in on sts_…. The first four words say which block this is, its
// version, the hash of this layout, and the address of the next block (0: the last).
//
// SLVERR means that nothing was changed. It answers an address that is no register or no multiple of 4; a write of
// less than 4 bytes, to what is read only, of a 1 outside the fields, of a value that its field does not take; a read
// of what is write only.
"""

_WIDE = """\
// A register of 64 bits is written low word first, and changes whole with its high word; the read of its low word keeps
// the high word for the read that follows. A high word without the same register's low word before it: SLVERR.
"""

_LATENCY = """\
//
// Latency: what was read 2 cycles after the request; a setting, and its response, 3 cycles after the later of address
// and data. One write and one read at a time, each beside the other; every ready comes from registers.
"""

_PORTS = """\
    input  wire logic        clk,
    input  wire logic        rst,   // synchronous, active high
    input  wire logic        hold,  // the hardware takes no writes now

    input  wire logic [11:0] s_axil_awaddr,
    input  wire logic        s_axil_awvalid,
    output wire logic        s_axil_awready,
    input  wire logic [31:0] s_axil_wdata,
    input  wire logic [3:0]  s_axil_wstrb,
    input  wire logic        s_axil_wvalid,
    output wire logic        s_axil_wready,
    output      logic [1:0]  s_axil_bresp,
    output      logic        s_axil_bvalid,
    input  wire logic        s_axil_bready,
    input  wire logic [11:0] s_axil_araddr,
    input  wire logic        s_axil_arvalid,
    output wire logic        s_axil_arready,
    output      logic [31:0] s_axil_rdata,
    output      logic [1:0]  s_axil_rresp,
    output      logic        s_axil_rvalid,
    input  wire logic        s_axil_rready"""

_WRITE_STATE = """
    // A write: address and data come in any order, and wait here for one another.
    logic        aw_q, w_q;
    logic [11:0] awaddr_q;
    logic [31:0] wdata_q;
    logic [3:0]  wstrb_q;

    assign s_axil_awready = !aw_q && !s_axil_bvalid;
    assign s_axil_wready  = !w_q && !s_axil_bvalid;

    // Then one cycle to find out whether it is taken, and it is done in the next one without hold.
    logic        checked_q, takes_q;
    wire logic write = checked_q && !hold;
"""

_LOW_STATE = """
    // The low word of a 64-bit register waits for its high word.
    logic        low_q;     // one waits …
    logic [11:0] low_at_q;  // … of the register at this address
    logic [31:0] low_word_q;
    wire logic low_kept = low_q && low_at_q == {awaddr_q[11:3], 3'd0};
    wire logic [63:0] wide = {wdata_q, low_word_q};
"""

_READ_STATE = """
    // A read.
    logic        ar_q;
    logic [11:0] araddr_q;

    assign s_axil_arready = !ar_q && !s_axil_rvalid;
"""

_HIGH_STATE = """
    // The high word of a 64-bit register, from when its low word was read.
    logic        high_q;     // there is one …
    logic [11:0] high_at_q;  // … of the register at this address
    logic [31:0] high_word_q;
    wire logic high_kept = high_q && high_at_q == {araddr_q[11:3], 3'd0};
"""

_HANDSHAKES = """
    always_ff @(posedge clk) begin
        if (s_axil_awvalid && s_axil_awready) begin
            aw_q     <= 1'b1;
            awaddr_q <= s_axil_awaddr;
        end
        if (s_axil_wvalid && s_axil_wready) begin
            w_q     <= 1'b1;
            wdata_q <= s_axil_wdata;
            wstrb_q <= s_axil_wstrb;
        end
        checked_q <= aw_q && w_q && !write;
        takes_q   <= takes;
        if (write) begin
            aw_q <= 1'b0;
            w_q  <= 1'b0;
            s_axil_bvalid <= 1'b1;
            s_axil_bresp  <= takes_q ? OKAY : SLVERR;
        end else if (s_axil_bready) s_axil_bvalid <= 1'b0;
"""

_READ = """
        if (s_axil_arvalid && s_axil_arready) begin
            ar_q     <= 1'b1;
            araddr_q <= s_axil_araddr;
        end
        if (read) begin
            ar_q <= 1'b0;
            s_axil_rvalid <= 1'b1;
            s_axil_rresp  <= OKAY;
            s_axil_rdata  <= '0;
            case (araddr_q)
"""

_READ_END = """\
                default: s_axil_rresp <= SLVERR;
            endcase
        end else if (s_axil_rready) s_axil_rvalid <= 1'b0;
"""


_INT_MAX = (1 << 31) - 1


def module(block: Block, source: str) -> str:
    """Return the text of ``<block>_regs.sv``.

    Args:
        block: what to make.
        source: the path of its SystemRDL, named in the head of the file.
    """
    wide = [register for register in block.registers if register.width == 64]
    return (
        _head(block, source, wide)
        + "`default_nettype none\n"
        + f"module {block.name}_regs #(\n{_parameters(block)}\n) (\n{_PORTS}{_ports(block)}\n);\n"
        + _constants(block)
        + _checks(block)
        + _write_state(block)
        + _read_state(block)
        + _HANDSHAKES
        + _effects(block)
        + _read(block)
        + _reset(block)
        + "    end\n"
        + properties(block)
        + "endmodule\n`default_nettype wire\n"
    )


def _fields(block: Block) -> list[Field]:
    return [field for register in block.registers for field in register.fields]


def _head(block: Block, source: str, wide: Sequence[Register]) -> str:
    rows = [(f"0x{4 * i:03x}", name, "r", "") for i, name in enumerate(HEADER_WORDS)]
    for register in block.registers:
        names = [
            span(field) if len(register.fields) == 1 else f"{field.name}{span(field)}" for field in register.fields
        ]
        rows.append((f"0x{register.offset:03x}", register.name, access(register), " ".join(names)))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    settling = [register.name for register in block.registers if register.settles]
    held = f"While hold is high, writes wait{', and so do reads of ' + _listed(settling) if settling else ''}. "
    held += "hold may rise up to 2 cycles after a pulse."
    return (
        "// SPDX-License-Identifier: Apache-2.0\n"
        f"// Registers of {block.name}: an AXI4-Lite slave of one page of 4 KiB.\n"
        f"// Generated by `python -m penstock_hw.registers` from {source}: change that, not this file.\n//\n"
        + "".join(f"//   {line}\n" for line in table)
        + "//\n"
        + _RULES
        + fill(held, 118, initial_indent="// ", subsequent_indent="// ")
        + "\n"
        + (_WIDE if wide else "")
        + _LATENCY
    )


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _parameters(block: Block) -> str:
    named = [f"    parameter int {name} = {value}" for name, value in block.parameters.items()]
    first = f"    parameter logic [31:0] NEXT = 32'd0{',' if named else ''}"
    return ",\n".join([f"{first}  // address of the next block in the device; 0 after the last", *named]).replace(
        "the last,", "the last"
    )


def _ports(block: Block) -> str:
    lines = []
    for field in (field for field in _fields(block) if field.port):
        way = "input  wire logic" if field.kind is Kind.STATUS else "output      logic"
        sign, width = " signed" if field.signed else "", sv.port_width(field)
        bits = "" if width == "1" else f"[{int(width) - 1}:0]" if width.isdecimal() else f"[{width}-1:0]"
        remark = "  // high for one cycle" if field.kind is Kind.PULSE else ""
        lines.append((f"    {way}{sign} {bits}".rstrip(), field.port, remark))
    column = max((len(line) for line, _, _ in lines), default=0)
    commas = [","] * (len(lines) - 1) + [""]
    text = (
        [f"{line.ljust(column)} {port}{c}{r}\n" for (line, port, r), c in zip(lines, commas, strict=True)]
        if lines
        else []
    )
    return ",\n\n" + "".join(text).rstrip("\n") if text else ""


def _constants(block: Block) -> str:
    words = [(f"AT_{name.upper()}", 4 * i) for i, name in enumerate(HEADER_WORDS)]
    words += [word for register in block.registers for word in sv.addresses(register)]
    column = max(len(name) for name, _ in words)
    return (
        f"    localparam logic [31:0] ID          = 32'h{block.id:08x};  // {block.id_text}\n"
        f"    localparam logic [31:0] VERSION     = 32'd{block.version};\n"
        f"    localparam logic [31:0] LAYOUT_HASH = 32'h{block.layout_hash:08x};\n"
        "    localparam logic [1:0]  OKAY = 2'b00, SLVERR = 2'b10;\n\n"
    ) + "".join(f"    localparam logic [11:0] {name.ljust(column)} = 12'h{offset:03x};\n" for name, offset in words)


def _checks(block: Block) -> str:
    """Return what stops a simulation with parameters that the fields are too narrow for."""
    limits: dict[str, tuple[int, int]] = {}

    def limit(name: str, low: int, high: int) -> None:
        if name and not name.isdecimal():
            before = limits.get(name, (low, high))
            limits[name] = (max(low, before[0]), min(high, before[1]))

    for field in _fields(block):
        limit(field.bits, 1, field.width)
        limit(field.below, 2, min(1 << field.width, _INT_MAX))
        if field.width < 31:
            limit(field.constant, 0, (1 << field.width) - 1)
    lines = [
        f'        if ({name} < {low} || {name} > {high}) $fatal(1, "%m: {name}=%0d, wanted {low} .. {high}", {name});\n'
        for name, (low, high) in limits.items()
    ]
    return "\n    initial begin\n" + "".join(lines) + "    end\n" if lines else ""


def _write_state(block: Block) -> str:
    text = _WRITE_STATE + (_LOW_STATE if any(r.width == 64 and r.writable for r in block.registers) else "")
    text += "\n    // Whether the addressed register takes this word; no other address takes any.\n"
    rows = [row for register in block.registers for row in sv.takes(register)]
    if not rows:
        return text + "    wire logic takes = 1'b0;\n    wire logic unused = &{awaddr_q, wdata_q, wstrb_q};\n"
    column = max(len(name) for name, _ in rows)
    chain = [f"        awaddr_q == {name.ljust(column)} ? {condition} :\n" for name, condition in rows]
    return text + "    wire logic takes = &wstrb_q && (\n" + "".join(chain) + "        1'b0);\n"


def _read_state(block: Block) -> str:
    settling = [f"araddr_q == {sv.addresses(register)[0][0]}" for register in block.registers if register.settles]
    text = _READ_STATE
    if settling:
        text += "    wire logic settles =\n        " + " ||\n        ".join(settling) + ";\n"
    text += f"    wire logic read = ar_q{' && !(hold && settles)' if settling else ''};\n"
    return text + (_HIGH_STATE if any(r.width == 64 and r.readable for r in block.registers) else "")


def _effects(block: Block) -> str:
    """Return what a write that is taken sets, and the pulses."""
    items = []
    if low := [
        sv.addresses(register)[0][0] for register in block.registers if register.width == 64 and register.writable
    ]:
        items.append((", ".join(low), ["low_q      <= 1'b1;", "low_at_q   <= awaddr_q;", "low_word_q <= wdata_q;"]))
    for register in block.registers:
        if sets := sv.effects(register):
            items.append((sv.addresses(register)[-1][0], sets + (["low_q <= 1'b0;"] if register.width == 64 else [])))
    text = "\n"
    if items:
        text += "        if (write && takes_q)\n            case (awaddr_q)\n"
        text += "".join(indent(_item(name, sets), " " * 16) for name, sets in items)
        text += "                default: ;\n            endcase\n"
    for register in block.registers:
        for field in (field for field in register.fields if field.kind is Kind.PULSE):
            at, bit = sv.addresses(register)[0][0], sv.slice_of("wdata_q", field, "1", 32)
            text += f"        {field.port} <= write && takes_q && awaddr_q == {at} && {bit};\n"
    return text


def _item(name: str, statements: list[str]) -> str:
    if len(statements) == 1:
        return f"{name}: {statements[0]}\n"
    return f"{name}: begin\n" + "".join(f"    {statement}\n" for statement in statements) + "end\n"


def _read(block: Block) -> str:
    wide = [register for register in block.registers if register.width == 64 and register.readable]
    rows = [("AT_ID", "ID"), ("AT_VERSION", "VERSION"), ("AT_LAYOUT_HASH", "LAYOUT_HASH"), ("AT_NEXT", "NEXT")]
    rows += [(sv.addresses(r)[0][0], sv.shown(r)) for r in block.registers if r.width == 32 and r.readable]
    text = _READ + "".join(f"                {name}: s_axil_rdata <= {value};\n" for name, value in rows)
    for register in wide:
        text += (
            f"                {sv.addresses(register)[0][0]}:\n                    {{high_q, high_at_q, high_word_q, "
            f"s_axil_rdata}} <= {{1'b1, araddr_q, {sv.shown(register)}}};\n"
        )
    if wide:
        text += (
            f"                {', '.join(sv.addresses(register)[1][0] for register in wide)}:\n"
            "                    if (high_kept) s_axil_rdata <= high_word_q;\n"
            "                    else s_axil_rresp <= SLVERR;\n"
        )
    return text + _READ_END


def _reset(block: Block) -> str:
    cleared = ["aw_q", "w_q", "checked_q", "ar_q", "s_axil_bvalid", "s_axil_rvalid"]
    cleared += ["low_q"] if any(r.width == 64 and r.writable for r in block.registers) else []
    cleared += ["high_q"] if any(r.width == 64 and r.readable for r in block.registers) else []
    sets = [(name, "1'b0") for name in cleared]
    sets += [(f.port, sv.reset(f)) for f in _fields(block) if f.kind in (Kind.CONFIG, Kind.PULSE)]
    return "\n        if (rst) begin\n" + "".join(f"            {n} <= {v};\n" for n, v in sets) + "        end\n"
