"""``penstock sim``: what a hardware engineer does all day with rtl/ and sims/ of a checkout."""

from __future__ import annotations

import argparse

from penstock_hw.sim_cli.listing import add_list
from penstock_hw.sim_cli.running import add_run
from penstock_hw.sim_cli.timing import add_timing
from penstock_sdk.cli.main import Add

__all__ = ["add_commands"]


def add_commands(add: Add) -> None:
    """Add ``penstock sim`` and its subcommands."""
    parser = add(
        "sim", lambda _: 2, "list and run the simulations of rtl/",
        "List the modules of rtl/, run their benches in sims/, and time them. Works on the checkout that holds the "
        "current folder.",
    )  # fmt: skip
    subcommands: argparse._SubParsersAction[argparse.ArgumentParser] = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", required=True, dest="sim"
    )
    add_list(subcommands)
    add_run(subcommands)
    add_timing(subcommands)
