"""How registers are written in tables, alike in Verilog and on the page."""

from __future__ import annotations

from penstock_hw.registers.model import Field, Kind, Register

__all__ = ["access", "span"]


def access(register: Register) -> str:
    """Return ``rw``, ``r`` or ``w``, and ``pulse`` where writing does no more than that."""
    text = ("r" if register.readable else "") + ("w" if register.writable else "")
    return "pulse" if all(field.kind is Kind.PULSE for field in register.fields) else text


def span(field: Field) -> str:
    """Return the field's bits as ``[high:low]``."""
    high = field.lsb + field.width - 1
    return f"[{high}:{field.lsb}]" if field.width > 1 else f"[{field.lsb}]"
