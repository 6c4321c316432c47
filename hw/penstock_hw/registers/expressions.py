"""The pieces of SystemVerilog that registers are made of: widths, slices, and when a value fits."""

from __future__ import annotations

from penstock_hw.registers.model import Field, Kind, Register

__all__ = ["addresses", "effects", "fits", "port_width", "reset", "shown", "slice_of", "takes"]


def port_width(field: Field) -> str:
    """Return how many bits the field's port has, as an expression of the module's parameters."""
    if field.bits:
        return field.bits
    if field.below:
        return str(max(1, (int(field.below) - 1).bit_length())) if field.below.isdecimal() else f"$clog2({field.below})"
    return str(field.width)


def addresses(register: Register) -> list[tuple[str, int]]:
    """Return the names and offsets of the register's words, the low one first."""
    name = f"AT_{register.name.upper()}"
    if register.width == 32:
        return [(name, register.offset)]
    return [(f"{name}_LOW", register.offset), (f"{name}_HIGH", register.offset + 4)]


def slice_of(word: str, field: Field, width: str, word_width: int) -> str:
    """Return the lowest *width* bits of the field in *word*, the name of a vector of *word_width* bits."""
    if width == str(word_width):
        return word
    if width == "1":
        return f"{word}[{field.lsb}]"
    if width.isdecimal():
        return f"{word}[{field.lsb + int(width) - 1}:{field.lsb}]"
    return f"{word}[{width}-1:0]" if field.lsb == 0 else f"{word}[{field.lsb} +: {width}]"


def takes(register: Register) -> list[tuple[str, str]]:
    """Return for each word of a register that can be written its address and the condition on what is written."""
    if not register.writable:
        return []
    words = addresses(register)
    if register.width == 32:
        return [(words[0][0], fits(register))]
    low = _outside("wdata_q", register.write_mask & 0xFFFF_FFFF)
    high = _outside("wide", register.write_mask >> 32, 32)
    bounds = [condition for field in register.fields for condition in _bound(field, "wide", 64)]
    return [(words[0][0], " && ".join(low) or "1'b1"), (words[1][0], " && ".join(["low_kept", *high, *bounds]))]


def fits(register: Register) -> str:
    """Return the condition under which a register of 32 bits takes ``wdata_q``."""
    if len(register.fields) == 1:
        (field,) = register.fields
        if field.below and field.lsb == 0:  # the comparison of the whole word also bounds the bits above the field
            return f"wdata_q < {_limit(field.below, 32)}"
    bounds = [c for field in register.fields if field.writable for c in _bound(field, "wdata_q", 32)]
    return " && ".join([*_outside("wdata_q", register.write_mask), *bounds]) or "1'b1"


def _outside(word: str, mask: int, base: int = 0) -> list[str]:
    """Return the condition that the 32 bits of *word* from *base* have no 1 outside *mask*."""
    other = ~mask & 0xFFFF_FFFF
    if not other:
        return []
    lsb = (other & -other).bit_length() - 1
    if other >> lsb == (1 << (32 - lsb)) - 1:  # all of them at the top
        return [f"{word}[{base + 31}:{base + lsb}] == '0" if lsb < 31 else f"!{word}[{base + 31}]"]
    return [f"({word + f'[{base + 31}:{base}]' if base else word} & 32'h{other:08x}) == '0"]


def _bound(field: Field, word: str, word_width: int) -> list[str]:
    """Return the conditions on the field's own bits in *word*."""
    if not field.writable:
        return []
    whole, conditions = slice_of(word, field, str(field.width), word_width), []
    if field.bits and field.bits != str(field.width):
        part = slice_of(word, field, field.bits, word_width)
        if field.signed:
            conditions.append(f"{field.width}'($signed({part})) == {whole}")
        elif field.bits.isdecimal():
            top, first = field.lsb + field.width - 1, field.lsb + int(field.bits)
            conditions.append(f"!{word}[{top}]" if top == first else f"{word}[{top}:{first}] == '0")
        else:
            conditions.append(f"({whole} >> {field.bits}) == '0")
    if field.below and (not field.below.isdecimal() or int(field.below) < 1 << field.width):
        size = max(32, field.width)
        value = whole if field.width == size else f"{size}'({whole})"
        conditions.append(f"{value} < {_limit(field.below, size)}")
    return conditions


def _limit(below: str, width: int) -> str:
    return f"{width}'d{below}" if below.isdecimal() else f"{width}'({below})"


def effects(register: Register) -> list[str]:
    """Return the assignments by which a write that is taken, of the last word, changes the settings."""
    word = "wide" if register.width == 64 else "wdata_q"
    return [
        f"{field.port} <= {slice_of(word, field, port_width(field), register.width)};"
        for field in register.fields
        if field.kind is Kind.CONFIG
    ]


def shown(register: Register) -> str:
    """Return the register's value as software reads it, an expression of its width."""
    parts, top = [], register.width
    for field in reversed(register.fields):
        if not field.readable:
            continue
        if gap := top - field.lsb - field.width:
            parts.append(f"{gap}'d0")
        parts.append(_value(field))
        top = field.lsb
    if top:
        parts.append(f"{top}'d0")
    return parts[0] if len(parts) == 1 else "{" + ", ".join(parts) + "}"


def _value(field: Field) -> str:
    if field.constant:
        return f"{field.width}'({field.constant})"
    if field.kind is Kind.CONSTANT:
        return f"{field.width}'h{field.reset & (1 << field.width) - 1:x}"
    return field.port if port_width(field) == str(field.width) else f"{field.width}'({field.port})"


def reset(field: Field) -> str:
    """Return the value that the field's port has after reset."""
    width = port_width(field)
    if field.reset == 0:
        return "1'b0" if width == "1" else "'0"
    assert width.isdecimal(), "a field that a parameter bounds starts at 0"
    return "1'b1" if width == "1" else f"{width}'d{field.reset & (1 << int(width)) - 1}"
