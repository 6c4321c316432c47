"""``penstock plugin``: make, check, pack and install plugins; and where ``penstock conform`` joins in.

The words of ``plugin`` stand in modules of this package with ``add_plugin_commands(sub)``: it adds parsers to *sub*,
which is what ``add_subparsers`` returned, and sets ``command`` on each, a function of the options that returns the exit
status. What it cannot do as asked it raises as `CliError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_sdk.cli.main import Add

__all__ = ["add_commands"]


def add_commands(add: Add) -> None:
    """Add ``plugin`` with its words, and ``conform``."""
    from penstock_sdk.cli import conform, manifest, new, packages

    text = "Make a plugin, check its manifest, pack it into an archive, install, list and verify archives."
    plugin = add("plugin", _no_word, "make, check, pack and install plugins", text)
    sub = plugin.add_subparsers(title="words", metavar="WORD", required=True, dest="word")
    new.add_plugin_commands(sub)
    manifest.add_plugin_commands(sub)
    packages.add_plugin_commands(sub)
    conform.add_commands(add)


def _no_word(*_: object) -> int:
    raise AssertionError("the parser asks for a word")
