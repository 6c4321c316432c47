"""Hooks around a run: what may be added to the command line, and who hears of a start and an end.

Hooks are for composition, where a microsecond does not matter; events go to handlers (`penstock_sdk.plugin`). Implement
one in a plugin class of the deployment, or in a module that the entry-point group ``penstock.hooks`` names:

    from penstock_sdk.hooks import hookimpl

    @hookimpl
    def penstock_run_ended(run_dir, status):
        shutil.copy(run_dir / "report.html", "/srv/reports")

An implementation whose name or arguments fit no hook is refused when it is registered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import argparse

__all__ = [
    "PROJECT",
    "hookimpl",
    "hookspec",
    "penstock_add_commands",
    "penstock_run_ended",
    "penstock_run_starting",
]

PROJECT = "penstock"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def penstock_add_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """Add subcommands to ``penstock``. Set ``command`` on the parser: ``(options, console) -> exit status``."""


@hookspec
def penstock_run_starting(run_dir: Path, deployment: str) -> None:
    """Hear that a run's plugins have started. *deployment* is the SHA-256 of what runs."""


@hookspec
def penstock_run_ended(run_dir: Path, status: str) -> None:
    """Hear that a run is over, its journal closed: *status* is complete or failed."""
