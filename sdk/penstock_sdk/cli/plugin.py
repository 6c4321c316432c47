"""``penstock plugin``: make, check, pack and install plugins; and where ``penstock conform`` joins in.

The words of ``plugin`` stand in modules of this package with ``add_plugin_commands(sub)``: it adds parsers to *sub*,
which is what ``add_subparsers`` returned, and sets ``command`` on each, a function of the options that returns the exit
status. What it cannot do as asked it raises as `CliError`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_sdk.cli.main import Add

__all__ = ["add_commands"]


def add_commands(add: Add) -> None:
    """Add ``plugin`` with its words, and ``conform``."""
    text = "Make a plugin, check its manifest, pack it into an archive, install, list and verify archives."
    plugin = add("plugin", _no_word, "make, check, pack and install plugins", text)
    sub = plugin.add_subparsers(title="words", metavar="WORD", required=True, dest="word")
    for module in ("new", "manifest", "packages"):
        _part(module, "add_plugin_commands", sub)
    _part("conform", "add_commands", add)


def _part(module: str, function: str, argument: object) -> None:
    import importlib

    if find_spec(f"penstock_sdk.cli.{module}") is not None:
        getattr(importlib.import_module(f"penstock_sdk.cli.{module}"), function)(argument)


def _no_word(*_: object) -> int:
    raise AssertionError("the parser asks for a word")
