"""The registers of hardware blocks: what they are, and the generator that writes them as code and as a page.

`penstock_hw.registers.model` says what a block is; ``penstock_hw.registers.generated`` holds one module a block, with
its constants and its `Block`. Neither needs the SystemRDL compiler; ``python -m penstock_hw.registers`` does.
"""

from penstock_hw.registers.model import PAGE_BYTES, Block, Field, Kind, Register

__all__ = ["PAGE_BYTES", "Block", "Field", "Kind", "Register"]
