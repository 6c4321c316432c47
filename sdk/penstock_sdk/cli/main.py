"""``penstock``: what the SDK offers by itself, and the commands that other distributions add.

A distribution adds commands by an entry point in the group ``penstock.commands``: a function ``add_commands(add)``.
``add(NAME, command, SUMMARY, DESCRIPTION)`` returns the new command's parser; *command* takes the options and returns
the exit status. So with the SDK alone there are ``penstock plugin`` and ``penstock conform``; the kernel brings
``penstock run`` and its like.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, TypeAlias

__all__ = ["COMMANDS_GROUP", "Add", "CliError", "Command", "Provider", "Runner", "build_parser", "main"]

COMMANDS_GROUP = "penstock.commands"

Command: TypeAlias = Callable[[argparse.Namespace], int]
Provider: TypeAlias = Callable[["Add"], None]
Runner: TypeAlias = Callable[[argparse.Namespace], int]
"""Runs ``options.command`` in its own way: a distribution whose commands take more than the options sets one as the
default ``runner`` of its parsers."""

_DISTRIBUTIONS = ("penstock-sdk", "penstock-kernel", "penstock-plugins", "penstock-hw")


class CliError(Exception):
    """What a command cannot do as it was asked: its text is told, and the exit status is 2."""


class Add:
    """Adds commands to the command line; `commands` is what holds them, for who brings parsers of his own."""

    def __init__(self, commands: argparse._SubParsersAction[Any]) -> None:
        self.commands = commands

    def __call__(
        self, name: str, command: Callable[..., int], summary: str, description: str = ""
    ) -> argparse.ArgumentParser:
        """Return the parser of a new command *name*; its `command` is called with the options."""
        parser: argparse.ArgumentParser = self.commands.add_parser(
            name, help=summary, description=description or summary
        )
        parser.set_defaults(command=command)
        return parser


def main(arguments: Sequence[str] | None = None, providers: Sequence[Provider] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 failed or a difference found, 2 wrong usage or bad input.

    Args:
        arguments: of the command line; None means this process's.
        providers: who adds commands beside the SDK's; None means those of the installed distributions.
    """
    options = build_parser(providers).parse_args(arguments)
    options.arguments = list(sys.argv[1:] if arguments is None else arguments)
    runner: Runner = getattr(options, "runner", _run)
    try:
        return runner(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def build_parser(providers: Sequence[Provider] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog="penstock", description="A trading operating system for energy markets.")
    parser.add_argument("--version", action=_Version, help="say which versions are installed, and end")
    add = Add(parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="name"))
    for provider in _installed() if providers is None else providers:
        provider(add)
    _own_commands(add)
    if "run" in add.commands.choices:
        parser.epilog = "`penstock run` trades a day of quarter-hour power contracts and needs no arguments."
    else:
        parser.epilog = "`penstock run` and its like come with penstock-kernel, which is not installed here."
    return parser


def _own_commands(add: Add) -> None:
    from penstock_sdk.cli import plugin

    plugin.add_commands(add)


def _installed() -> list[Provider]:
    """Return what installed distributions add; one that cannot be imported is told, and costs only its commands."""
    found: list[Provider] = []
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda entry: entry.name):
        try:
            found.append(entry.load())
        except Exception as error:
            owner = entry.dist.name if entry.dist is not None else entry.name
            said = f"{type(error).__name__}: {error}"
            print(f"penstock: commands of {owner} cannot be had, {entry.value} raised {said}", file=sys.stderr)
    return found


def _run(options: argparse.Namespace) -> int:
    """Run a command of the SDK, and tell what is the input's fault in a line."""
    from penstock_sdk.manifest import ManifestError

    try:
        command: Command = options.command
        return command(options)
    except (CliError, ManifestError) as error:
        text = str(error)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, FileExistsError, PermissionError)) and error.errno not in (
            errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
        ):  # fmt: skip
            raise
        text = f"{error.filename}: {(error.strerror or '').lower()}" if error.filename else str(error)
    print(f"penstock {options.name}: {text}", file=sys.stderr)
    return 2


class _Version(argparse.Action):
    """Prints the versions that are installed; looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=more.get("help"))

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print them and end with status 0."""
        known = {name: found for name in _DISTRIBUTIONS if (found := _version_of(name))}
        own = known.get("penstock-kernel") or known.get("penstock-sdk") or "unknown"
        parts = ", ".join(f"{name} {found}" for name, found in known.items())
        print(f"penstock {own} ({parts}; python {sys.version.split()[0]} on {_platform()})")
        parser.exit(0)


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _platform() -> str:
    return f"{sys.platform}-{os.uname().machine}" if hasattr(os, "uname") else sys.platform


class _Parser(argparse.ArgumentParser):
    """Takes options anywhere among the arguments; argparse by itself leaves out an optional one that comes late."""

    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return (options, what is left), as argparse does."""
        positionals = self._get_positional_actions()
        if self._mixed or any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in positionals):
            return super().parse_known_args(args, namespace)
        self._mixed = True  # parse_known_intermixed_args calls this again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixed = False


if __name__ == "__main__":
    from penstock_sdk.cli.main import main as named  # its errors are those that commands raise, not this copy's

    sys.exit(named())
