"""Names the plugin call that the kernel's thread is in, from that thread's frames. Runs in a signal handler."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from penstock_kernel.hosts.host_state import HostState
from penstock_kernel.hosts.link import Link
from penstock_kernel.kernel import Kernel
from penstock_kernel.warden.held import JOURNAL, Held
from penstock_sdk.core.cascade import Cascade
from penstock_sdk.core.wiring import Slot

__all__ = ["code_modules", "name_held"]

_DISPATCH = {Cascade.run.__code__, Cascade._call.__code__}
_EFFECTS = Kernel._run_effects.__code__
_OURS = ("penstock_sdk.", "penstock_kernel.")
_WIRING = "penstock_sdk.core.wiring"
_JOURNAL = ("penstock_kernel.journal", "penstock_kernel.journal_files")


def name_held(frame: FrameType | None, slots: Iterable[Slot], input_seq: int) -> Held:
    """Return who runs, seen from *frame* outwards.

    A plugin's method is found by its ``self``: handlers, checks, ``poll``, ``snapshot``, generators of feeds. What is
    none is found by the handler that the dispatch loop has called, then by the module its code stands in.
    """
    stack = list(_outwards(frame))
    slots = [slot for slot in slots if slot.plugin_id]
    debugged, compiling = _debugged(), any(_compiles(str(inner.f_globals.get("__name__"))) for inner in stack)
    found = _by_self(stack, slots) or _by_dispatch(stack) or _by_host(stack, slots)
    found = found or _by_effect(stack, slots) or _by_module(stack, slots)
    if found is not None:
        named, handler = found
        names = tuple(slot.name for slot in named)
        return Held(input_seq, names, handler, _where(stack, named), debugged=debugged, compiling=compiling)
    if any(inner.f_globals.get("__name__") in _JOURNAL for inner in stack):
        return Held(input_seq, (JOURNAL,), "write", _line(stack[0]), debugged=debugged)
    handler = f"kernel {stack[0].f_code.co_qualname}" if stack else "kernel"
    return Held(input_seq, (), handler, _line(stack[0]) if stack else "", debugged=debugged, compiling=compiling)


def code_modules(cls: type) -> set[str]:
    """Return the modules that a plugin's class and its bases stand in, the SDK's left out."""
    return {base.__module__ for base in cls.__mro__ if not base.__module__.startswith("penstock_sdk.")} - {"builtins"}


_Found = tuple[list[Slot], str] | None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _by_self(stack: list[FrameType], slots: list[Slot]) -> _Found:
    """Return the innermost plugin that a frame is a method of, and the outermost of its own frames."""
    own = {id(slot.plugin): slot for slot in slots}
    found: Slot | None = None
    handler = ""
    for frame in stack:
        code = frame.f_code
        if "self" in code.co_varnames[: code.co_argcount] or "self" in code.co_freevars:
            slot = own.get(id(frame.f_locals.get("self")))
            if slot is not None and (found is None or slot is found):
                found, handler = slot, code.co_name
        if found is not None and _dispatched(frame) is found:
            return [found], str(frame.f_locals["name"])
    return None if found is None else ([found], handler)


def _by_dispatch(stack: list[FrameType]) -> _Found:
    """Return the handler that the dispatch loop is in: one without ``self``, or one that is no Python."""
    inner = ""
    for frame in stack:
        slot = _dispatched(frame)
        # What else the loop calls is ours: while it records an event, its locals are of the handler before.
        if slot is not None and slot.plugin_id and (not inner.startswith(_OURS) or inner == _WIRING):
            return [slot], str(frame.f_locals["name"])
        inner = str(frame.f_globals.get("__name__"))
    return None


def _dispatched(frame: FrameType) -> Slot | None:
    """Return whose handler the dispatch loop calls, when *frame* is that loop."""
    slot = frame.f_locals.get("slot") if frame.f_code in _DISPATCH else None
    return slot if isinstance(slot, Slot) else None


def _by_host(stack: list[FrameType], slots: list[Slot]) -> _Found:
    """Return the plugin out of process whose connection, or whose batch, the kernel is at."""
    for frame in stack:
        code = frame.f_code
        if "self" in code.co_varnames[: code.co_argcount] or "self" in code.co_freevars:
            at: Any = frame.f_locals.get("self")
            if isinstance(at, (Link, HostState)):
                named = [slot for slot in slots if slot.name == at.name]
                return (named, f"what its process says, {code.co_name.lstrip('_')}") if named else None
    return None


def _by_effect(stack: list[FrameType], slots: list[Slot]) -> _Found:
    """Return whose effect runs: the plugins in whose module, or beside which, its function stands."""
    for frame in stack:
        if frame.f_code is _EFFECTS and frame is not stack[0]:
            fn: Any = frame.f_locals.get("fn")
            holder = getattr(fn, "__self__", None)
            named = [slot for slot in slots if holder is not None and _holds(slot.plugin, holder)]
            module = getattr(fn, "__module__", None)
            named = named or [slot for slot in slots if module in code_modules(type(slot.plugin))]
            return (named, f"effect {getattr(fn, '__qualname__', '?')}") if named else None
    return None


def _holds(plugin: Any, part: Any) -> bool:
    return plugin is part or any(value is part for value in getattr(plugin, "__dict__", {}).values())


def _by_module(stack: list[FrameType], slots: list[Slot]) -> _Found:
    for frame in stack:
        module = frame.f_globals.get("__name__")
        named = [slot for slot in slots if module in code_modules(type(slot.plugin))]
        if named:
            return named, frame.f_code.co_name
    return None


def _where(stack: list[FrameType], named: list[Slot]) -> str:
    """Return the innermost line of the plugins' own code, or of all when none of it is on the stack."""
    modules = {module for slot in named for module in code_modules(type(slot.plugin))}
    return _line(next((frame for frame in stack if frame.f_globals.get("__name__") in modules), stack[0]))


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _compiles(module: str) -> bool:
    """Return whether code of *module* is on the stack only while something is imported or compiled."""
    return module.partition(".")[0] in ("numba", "llvmlite") or module == "importlib._bootstrap"


def _debugged() -> bool:
    """Return whether a Python debugger has this thread."""
    bdb = sys.modules.get("bdb")
    return bdb is not None and isinstance(getattr(sys.gettrace(), "__self__", None), bdb.Bdb)
