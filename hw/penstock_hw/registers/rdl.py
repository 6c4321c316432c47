"""Read a register block from SystemRDL, and refuse what the generator cannot make, with file and line.

Of SystemRDL a block uses: one addrmap with registers of 32 or 64 bits (``accesswidth`` 32), fields of these kinds,

    sw = rw, hw = r                    a setting, on the output cfg_…
    sw = w,  hw = r                    a setting that cannot be read back
    sw = w,  hw = r, singlepulse       one clock high when written as 1
    sw = r,  hw = w                    a status, from the input sts_…
    sw = r,  hw = na                   a constant: its reset value, or the parameter named by ``constant``

and the properties of rtl/regs/properties.rdl. The compiler (package systemrdl-compiler) is imported only here, late.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_hw.registers.model import HEADER_BYTES, HEADER_WORDS, PAGE_BYTES, Block, Field, Kind, Register, number

if TYPE_CHECKING:
    from systemrdl.node import AddrmapNode, FieldNode, Node, RegNode

__all__ = ["PROPERTIES", "RdlError", "read_block"]

PROPERTIES = "properties.rdl"
"""The file, beside the blocks', that declares their properties."""

_KINDS = {
    ("rw", "r", False): Kind.CONFIG,
    ("w", "r", False): Kind.CONFIG,
    ("w", "r", True): Kind.PULSE,
    ("r", "w", False): Kind.STATUS,
    ("r", "na", False): Kind.CONSTANT,
}
# What the generator does not make: a block that says so would get other hardware than it asked for.
_UNKNOWN = (
    "onwrite", "onread", "woclr", "woset", "rclr", "rset", "counter", "intr", "hwset", "hwclr", "we", "wel", "swmod",
    "swacc", "swwe", "swwel", "sticky", "stickybit", "next", "anded", "ored", "xored", "resetsignal",
)  # fmt: skip
# Names that a port, a parameter or a signal of the made module has already.
_TAKEN = {"clk", "rst", "hold", "NEXT", "ID", "VERSION", "LAYOUT_HASH", "OKAY", "SLVERR"}


class RdlError(ValueError):
    """A block's SystemRDL is wrong, or asks for what cannot be made; the message says where, and the way out."""


def read_block(path: Path) -> Block:
    """Return the block that *path* describes; its addrmap has the file's name.

    Raises:
        RdlError: with file and line, the thing, what was met, what was wanted.
    """
    top = _elaborate(path)
    parameters = {parameter.name: int(parameter.get_value()) for parameter in top.inst.parameters}
    block_id, version = top.get_property("block_id", default=None), top.get_property("block_version", default=None)
    if block_id is None or len(block_id) != 4 or not (block_id.isascii() and block_id.isalnum()):
        raise _wrong(top, f"block_id is {block_id!r}, wanted four ASCII letters or digits", 'say block_id = "GATE";')
    if version is None or not 1 <= version < 1 << 32:
        raise _wrong(top, f"block_version is {version}, wanted 1 .. 2**32 - 1", "say block_version = 1;")
    registers = tuple(_register(node, parameters) for node in top.children(unroll=False))
    block = Block(path.stem, int.from_bytes(block_id.encode(), "big"), int(version), parameters, registers, _text(top))
    _check_ports(top, block)
    return block


def _elaborate(path: Path) -> AddrmapNode:
    from systemrdl.compiler import RDLCompiler
    from systemrdl.messages import MessagePrinter, RDLCompileError, Severity
    from systemrdl.node import AddrmapNode

    met: list[str] = []

    class Collect(MessagePrinter):
        def print_message(self, severity: Severity, text: str, src_ref: Any) -> None:
            if severity >= Severity.WARNING:
                met.append(f"{_place(src_ref, path)}: {text.rstrip('.')}")

    compiler = RDLCompiler(message_printer=Collect())
    try:
        for file in (path.parent / PROPERTIES, path):
            compiler.compile_file(str(file))
        top = compiler.elaborate(path.stem).top
    except RDLCompileError as error:
        said = "\n".join(met) or f"{path}: {error}"
        raise RdlError(f"{said}\nthe SystemRDL compiler took no addrmap {path.stem} from {path.name}") from None
    except FileNotFoundError as error:
        raise RdlError(f"{error.filename}: is missing; it belongs beside the blocks' files") from None
    if met:
        raise RdlError("\n".join(met))
    assert isinstance(top, AddrmapNode)
    return top


def _place(src_ref: Any, path: Path) -> str:
    """Return file:line, as far as the compiler knows it."""
    if src_ref is None:
        return str(path)
    line = getattr(src_ref, "line", None)
    return f"{src_ref.path}:{line}" if line else str(src_ref.path)


def _wrong(node: Node, met: str, way_out: str) -> RdlError:
    place = _place(node.inst.inst_src_ref or node.inst.def_src_ref, Path("?"))
    return RdlError(f"{place}: {node.get_path()}: {met}; {way_out}")


def _text(node: Node) -> str:
    return " ".join((node.get_property("desc") or "").split())


def _register(node: Node, parameters: dict[str, int]) -> Register:
    from systemrdl.node import RegNode

    if not isinstance(node, RegNode) or node.is_array:
        what = "an array" if getattr(node, "is_array", False) else type(node).__name__.removesuffix("Node").lower()
        raise _wrong(
            node, f"is {what}, wanted single registers", "give a table an index register, a write and a read pulse"
        )
    width, offset = node.get_property("regwidth"), node.absolute_address
    if width not in (32, 64) or node.get_property("accesswidth") != 32:
        met = f"regwidth is {width}, accesswidth {node.get_property('accesswidth')}"
        raise _wrong(node, f"{met}, wanted 32 or 64, and 32", "say regwidth = 64; accesswidth = 32;")
    if offset < HEADER_BYTES or node.inst_name in HEADER_WORDS:
        raise _wrong(
            node,
            f"lies at {offset:#x}, wanted {HEADER_BYTES:#x} or more and none of the names {', '.join(HEADER_WORDS)}",
            f"the header is there; place the first register with @ {HEADER_BYTES:#x}",
        )
    if offset % (width // 8) or offset + width // 8 > PAGE_BYTES:
        met = f"lies at {offset:#x}, wanted a multiple of {width // 8} below {PAGE_BYTES:#x}"
        raise _wrong(node, met, "move it")
    fields = tuple(sorted((_field(field, node, parameters) for field in node.fields()), key=lambda field: field.lsb))
    settles = _flag(node, "settles")
    if settles and any(field.writable for field in fields):
        raise _wrong(node, "settles and can be written, wanted one of both", "a write waits for hold anyway")
    return Register(node.inst_name, offset, width, fields, settles, _text(node))


def _flag(node: Node, name: str) -> bool:
    value = node.get_property(name, default=False)
    return value is not False  # a boolean property without a value is met as a marker of the compiler's own


def _field(node: FieldNode, reg: RegNode, parameters: dict[str, int]) -> Field:
    sw, hw = node.get_property("sw").name, node.get_property("hw").name
    kind = _KINDS.get((sw, hw, bool(node.get_property("singlepulse"))))
    unknown = [name for name in _UNKNOWN if name in node.list_properties()]
    if kind is None or unknown:
        met = f"sw = {sw}, hw = {hw}{''.join(f', {name}' for name in unknown)}"
        raise _wrong(
            node,
            f"met {met}, wanted rw/r, w/r, r/w or r/na, singlepulse with w/r alone",
            "see the kinds in penstock_hw/registers/rdl.py",
        )
    names = {name: str(node.get_property(name, default=None) or "") for name in ("bits", "below", "constant")}
    for name, value in names.items():
        plain = value.isdecimal() and name != "constant"  # a constant number is the reset value
        if value and not plain and value not in parameters:
            number_or = "" if name == "constant" else "a number or "
            met = f"{name} is {value!r}, wanted {number_or}one of the parameters {', '.join(parameters) or '(none)'}"
            raise _wrong(node, met, "declare it in the addrmap's head: #(longint unsigned SLOTS = 256)")
    signed, width = _flag(node, "is_signed"), node.width
    said = node.get_property("reset")
    if said is not None and not isinstance(said, int):
        raise _wrong(node, f"reset is {said}, wanted a number", "a reset that another field gives is not made")
    reset = said or 0
    if signed and reset >> (width - 1):
        reset -= 1 << width
    single = len(list(reg.fields())) == 1 and node.inst_name in ("value", reg.inst_name)
    prefix = {Kind.CONFIG: "cfg_", Kind.PULSE: "cfg_", Kind.STATUS: "sts_", Kind.CONSTANT: ""}[kind]
    name = reg.inst_name if single else f"{reg.inst_name}_{node.inst_name}"
    field = Field(
        node.inst_name, node.low, width, kind, prefix + name if prefix else "", sw != "w", sw != "r", signed, reset,
        text=_text(node), **names,
    )  # fmt: skip
    _check_field(node, field, parameters)
    return field


def _check_field(node: FieldNode, field: Field, parameters: dict[str, int]) -> None:
    """Refuse a field whose properties contradict one another."""
    if field.constant and field.kind is not Kind.CONSTANT:
        raise _wrong(node, f"constant on a field of kind {field.kind.value}", "a constant has sw = r; hw = na;")
    if field.signed and field.below:
        raise _wrong(node, f"below = {field.below} on a signed field", "bound a signed field with bits")
    if field.constant and number(field.constant, parameters) >> field.width:
        raise _wrong(node, f"constant = {field.constant} does not fit {field.width} bits", "widen the field")
    if field.bits and not 1 <= number(field.bits, parameters) <= field.width:
        met = f"bits = {field.bits} is {number(field.bits, parameters)}, wanted 1 .. {field.width}"
        raise _wrong(node, met, "widen the field")
    if field.below and not 1 <= number(field.below, parameters) <= 1 << field.width:
        met = f"below = {field.below} is {number(field.below, parameters)}, wanted 1 .. 2**{field.width}"
        raise _wrong(node, met, "widen the field")
    low, high = field.bounds(parameters)
    if field.kind is not Kind.CONSTANT and not low <= field.reset <= high:
        raise _wrong(node, f"reset is {field.reset}, wanted {low} .. {high}", "change the reset or the limit")
    if field.reset and field.kind is not Kind.CONSTANT and (field.bits + field.below).strip("0123456789"):
        raise _wrong(
            node, f"reset is {field.reset}, wanted 0 where a parameter bounds the field", "let the driver set it"
        )
    if field.kind in (Kind.PULSE, Kind.STATUS) and field.reset:
        raise _wrong(node, f"reset is {field.reset} on a {field.kind.value}", "leave it out")


def _check_ports(top: Node, block: Block) -> None:
    """Refuse two fields with one port, and parameters that the module could not have."""
    seen: dict[str, str] = {}
    for register in block.registers:
        for field in register.fields:
            if field.port in seen:
                met = f"port {field.port} is made by {seen[field.port]} and {register.name}.{field.name}"
                raise _wrong(top, met, "rename one")
            if field.port:
                seen[field.port] = f"{register.name}.{field.name}"
    for name, value in block.parameters.items():
        if name in _TAKEN or name != name.upper() or not 0 <= value < 1 << 31:
            raise _wrong(
                top, f"parameter {name} = {value}, wanted capitals, no name of the module's, 31 bits", "rename it"
            )
