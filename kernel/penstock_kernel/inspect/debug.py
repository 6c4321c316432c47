"""A debugger at one event: play a run back to it and stop at the first line of a plugin's handler.

The play-back is not live: effects do not happen, nothing is submitted, no file of the run is written. What is changed
in the debugger stays there; where it makes the rest of the cascade differ from the journal, that is said.
"""

from __future__ import annotations

import functools
import io
import pdb
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.inspect.asked import InspectError
from penstock_kernel.inspect.heard_by import HeardBy
from penstock_kernel.inspect.journal_view import JournalView
from penstock_kernel.inspect.market_words import MarketWords
from penstock_kernel.inspect.rerun import Rerun
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.replay import Difference
from penstock_sdk.core.wiring import Slot
from penstock_sdk.schema import Frame

__all__ = ["DebugResult", "debug"]


class DebugResult(msgspec.Struct, frozen=True):
    """What a session in the debugger was."""

    plugin: str
    handler: str
    seq: int
    quit: bool
    """True when the person left before the handler had returned."""
    differs: str
    """The first difference from the journal that changes in the debugger made, or empty."""


class _Debugger(pdb.Pdb):
    """pdb on the terminal; or fed with commands, which it shows as if typed."""

    def __init__(self, commands: Sequence[str]) -> None:
        if commands:
            super().__init__(stdin=io.StringIO(), stdout=sys.stdout, nosigint=True, readrc=False)
        else:
            super().__init__(nosigint=True)
        self._fed = bool(commands)
        self.left = False
        """True once the person has quit."""
        self.cmdqueue = [*commands, "continue"] if commands else []

    def set_quit(self) -> None:
        """Note that the person leaves: what runs under pdb then ends as if it had returned nothing."""
        self.left = True
        super().set_quit()

    def precmd(self, line: str) -> str:
        """Show a command that nobody typed."""
        if self._fed:
            self.message(f"{self.prompt}{line}")
        return super().precmd(line)


class _Stop:
    """Waits in every handler of one plugin for one event, and opens the debugger there once."""

    def __init__(self, plugin: str, commands: Sequence[str]) -> None:
        self.plugin = plugin
        self._commands = commands
        self.frame_seq = 0
        self.ordinal = 0
        """Of a frame that is handed over record by record: which of the calls it is."""
        self._calls = 0
        self.handler = ""
        self.quit = False

    def wait_in(self, slot: Slot) -> None:
        """Stand at the entry of the plugin's handlers, where *slot* is the one that is looked at."""
        if slot.name != self.plugin:
            return
        plugin = slot.plugin
        names = [name for name in dir(type(plugin)) if name.startswith("on_")]
        for name in [*names, *(["check_order"] if hasattr(plugin, "check_order") else [])]:
            setattr(plugin, name, self._entry(slot, name, getattr(plugin, name)))

    def _entry(self, slot: Slot, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        ctx = slot.ctx
        assert ctx is not None

        @functools.wraps(handler)
        def enter(*event: Any) -> Any:
            if ctx.seq != self.frame_seq or self.handler or not self._its_turn(event):
                return handler(*event)
            self.handler = name
            return self._open(handler, event)

        return enter

    def _its_turn(self, event: tuple[Any, ...]) -> bool:
        if event and isinstance(event[0], Frame):
            return True
        self._calls += 1
        return self._calls - 1 == self.ordinal

    def _open(self, handler: Callable[..., Any], event: tuple[Any, ...]) -> Any:
        debugger = _Debugger(self._commands)
        try:
            return debugger.runcall(handler, *event)
        finally:
            self.quit = debugger.left


def debug(
    run_dir: Path,
    plugin: str,
    seq: int,
    *,
    commands: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> DebugResult:
    """Play a run back to event *seq* and open pdb at the entry of the handler in which *plugin* hears it.

    Args:
        run_dir: of a finished, crashed or running run; read, never written.
        plugin: an instance's name, as the deployment has it.
        seq: number of any event that it hears; a check hears the intents of new orders, in ``check_order``.
        commands: given to pdb in place of a terminal; after the last the handler goes on to its end.
        say: takes lines of progress.

    Raises:
        InspectError: no such event or plugin, or the plugin does not hear the event; names the next that it does.
        ReplayError, Difference, StartError: the run cannot be played back.

    Cost: reading the journal, and the play-back from the snapshot before the event.
    """
    learn_own_records(run_dir)
    view = JournalView.read(run_dir / "journal")
    frame = view.frame_at(seq)
    if frame is None:
        raise InspectError(_no_event(view, seq))
    words = MarketWords(view)
    if plugin not in words.plugin_names():
        raise InspectError(f"plugin {plugin!r} is not in the run; there are {', '.join(words.plugin_names())}")
    stop = _Stop(plugin, commands)
    stop.frame_seq = frame.seq
    rerun = Rerun(run_dir, view, seq, on_attach=stop.wait_in, say=say)
    differs = ""
    with rerun.ready() as kernel:
        if not stop.handler:  # the start may have come by it
            if plugin not in kernel.slots:
                raise InspectError(
                    f"plugin {plugin!r} is not running at seq {seq}; there are {', '.join(kernel.slots)}"
                )
            hearing = HeardBy(kernel, kernel.slots[plugin])
            handler = hearing.handler_of(frame, seq - frame.seq)
            if kernel.cascade.seq >= seq or handler is None:
                raise InspectError(_deaf(hearing, view, plugin, seq))
            stop.ordinal = hearing.heard_before(frame, seq - frame.seq)
            say(
                f"at seq {kernel.cascade.seq:,}; {plugin} hears {seq:,} in {hearing.handler_of(frame, seq - frame.seq)}"
            )
        try:
            rerun.play()
        except Difference as difference:
            if not stop.handler:
                raise
            differs = "" if stop.quit else str(difference)
        if not stop.handler:
            raise InspectError(_deaf(HeardBy(kernel, kernel.slots[plugin]), view, plugin, seq))
    return DebugResult(plugin, stop.handler, seq, stop.quit, differs)


def _no_event(view: JournalView, seq: int) -> str:
    if 1 <= seq <= view.last_seq:
        return f"event {seq} is not in the journal: its topic is not kept; ask for another"
    return f"event {seq} is not in the journal, which holds 1 to {view.last_seq:,}"


def _deaf(hearing: HeardBy, view: JournalView, plugin: str, seq: int) -> str:
    following = hearing.next_heard(view, seq + 1)
    if following is None:
        return f"plugin {plugin} does not hear event {seq}, nor any after it"
    number, name = following
    return f"plugin {plugin} does not hear event {seq}; the next it hears is {number}, in {name}"
