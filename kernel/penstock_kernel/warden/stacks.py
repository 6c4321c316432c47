"""Names the plugin from a dump of `faulthandler`: file, line and function of each frame, the innermost first."""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock_kernel.warden.held import JOURNAL, Held, Instance, Roster

__all__ = ["name_dumped"]

_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_COMPILES = re.compile(r"/(numba|llvmlite)/|^<frozen importlib\._bootstrap>$")
_JOURNAL = ("penstock_kernel/journal.py", "penstock_kernel/journal_files.py")


class _Frame(NamedTuple):
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def name_dumped(text: str, roster: Roster, input_seq: int) -> Held | None:
    """Return who runs, or None when *text* holds no frame.

    A dump has lines, no objects: instances of one class cannot be told apart, and all of them are named. A function
    that is no method names every instance whose class stands in its file.
    """
    stack = [_Frame(file, int(line), function) for file, line, function in _FRAME.findall(text)]
    if not stack:
        return None
    named, handler, where = _by_methods(stack, roster) or _by_files(stack, roster) or ((), "", stack[0])
    compiling = any(_COMPILES.search(frame.file) for frame in stack)
    if named:
        return Held(input_seq, tuple(plugin.name for plugin in named), handler, str(where), compiling=compiling)
    if any(frame.file.endswith(_JOURNAL) for frame in stack):
        return Held(input_seq, (JOURNAL,), "write", str(where))
    return Held(input_seq, (), f"kernel {where.function}", str(where), compiling=compiling)


_Found = tuple[tuple[Instance, ...], str, _Frame] | None


def _by_methods(stack: list[_Frame], roster: Roster) -> _Found:
    """Return those whose methods the innermost frames of a plugin are in, and the outermost of these."""
    named: tuple[Instance, ...] = ()
    handler, where = "", stack[0]
    inner: _Frame | None = None
    for frame in stack:
        hit = tuple(plugin for plugin in named or roster.plugins if _in_method(plugin, frame))
        if hit and not named:
            where = inner or frame
        if hit:
            named, handler = hit, frame.function
        elif named:
            break
        elif inner is None and any(frame.file in plugin.files for plugin in roster.plugins):
            inner = frame  # a function beside the class: its line tells more than the method's that called it
    return (named, handler, where) if named else None


def _in_method(plugin: Instance, frame: _Frame) -> bool:
    return any(file == frame.file and first <= frame.line <= last for file, first, last in plugin.methods)


def _by_files(stack: list[_Frame], roster: Roster) -> _Found:
    for frame in stack:
        named = tuple(plugin for plugin in roster.plugins if frame.file in plugin.files)
        if named:
            return named, frame.function, frame
    return None
