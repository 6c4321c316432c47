"""``penstock plugin new``: a folder with a plugin that works, for people to change."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_plugin_commands"]

_LANGUAGES = ("python", "go", "node")


def add_plugin_commands(sub: argparse._SubParsersAction[Any]) -> None:
    """Add ``new`` to ``penstock plugin``."""
    from penstock_sdk.manifest import KINDS

    text = (
        "Make a folder NAME with a small plugin of a KIND that works: its manifest, its code with comments, a test, a "
        "licence. It passes `penstock conform`; what is there already is never written over. In Go and Node there are "
        "venues and strategies."
    )
    new = sub.add_parser("new", help="make a folder with a plugin that works", description=text)
    new.add_argument("name", metavar="NAME", help="of small letters, digits and _, as my_venue; it becomes the id")
    new.add_argument("--kind", required=True, choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    new.add_argument("--lang", default="python", choices=_LANGUAGES, help="language (default: python)")
    new.add_argument("--folder", type=Path, default=Path(), metavar="FOLDER", help="make it in here (default: .)")
    new.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> int:
    from penstock_sdk.cli.main import CliError
    from penstock_sdk.scaffold.writing import ScaffoldError, write_plugin

    try:
        made = write_plugin(options.name, options.kind, options.lang, options.folder)
    except ScaffoldError as error:
        raise CliError(str(error)) from error
    print(f"{made.folder}: {options.kind} {options.name}, {', '.join(made.files)}")
    print("next:")
    for line in made.next_steps:
        print(f"  {line}")
    return 0
