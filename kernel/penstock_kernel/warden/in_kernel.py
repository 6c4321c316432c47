"""The kernel's side of its watchdog: says what runs when it is asked, tells overruns, stops when the watchdog is gone.

Asked by SIGUSR2. Where Python runs, a handler reads the thread's frames; where none runs (a compiled loop), the dump of
`faulthandler` is all there is, and it is written in either case.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Protocol

import msgspec

from penstock_kernel.kernel import Kernel
from penstock_kernel.vitals import Vitals
from penstock_kernel.warden.frames import code_modules, name_held
from penstock_kernel.warden.held import WARDEN_PID, Held, Instance, Roster, retire_roster, write_json
from penstock_kernel.warden.spool import take_alerts
from penstock_kernel.warden.told import overrun
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import OperatorCommand
from penstock_sdk.plugin import Venue

__all__ = ["InKernel", "install"]

_EVERY_NS = 100_000_000
_STACK_BYTES_MAX = 1 << 20


class Watched(Protocol):
    """What is needed of a run."""

    kernel: Kernel
    dir: Path
    observers: list[Callable[[], object]]
    live: bool

    def command(self, command: OperatorCommand) -> None:
        """Take an operator's command."""


def install(run: Watched) -> InKernel | None:
    """Have *run*, in this process's main thread, answer its watchdog. Before any play-back; `close` it at the end.

    Returns None in another thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    return InKernel(run)


class InKernel:
    """What a kernel's process does for its watchdog."""

    def __init__(
        self, run: Watched, clock_ns: Callable[[], int] = time.monotonic_ns, parent: Callable[[], int] = os.getppid
    ) -> None:
        self._run = run
        self._folder = run.dir / "control"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._clock_ns = clock_ns
        self._parent = parent
        self._warden_pid = int(os.environ.get(WARDEN_PID, "0"))
        self._asked = 0
        self._overruns: list[tuple[Held, int]] = []
        """(what ran, since when by the monotonic clock): found in the signal handler, told by the next turn."""
        self._known = -1
        self._next_ns = 0
        self._stack_fd = os.open(
            self._folder / "stack.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        # One registered before would keep its place under the Python handler, and never be called.
        faulthandler.unregister(signal.SIGUSR2)
        self._before = signal.signal(signal.SIGUSR2, self._answer)
        # After the Python handler, and chained to it: the dump comes first, in C.
        faulthandler.register(signal.SIGUSR2, file=self._stack_fd, all_threads=False, chain=True)
        self.announce()
        run.observers.append(self.turn)

    def close(self) -> None:
        """Answer no more."""
        self._run.observers.remove(self.turn)
        if signal.getsignal(signal.SIGUSR2) == self._answer:  # unless a later run of the process answers now
            retire_roster(self._folder)
            faulthandler.unregister(signal.SIGUSR2)
            # The watchdog may ask once more while this process ends: by default that would end it by a signal.
            by_default = self._before in (None, signal.SIG_DFL)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN if by_default else self._before)
        os.close(self._stack_fd)

    def announce(self) -> None:
        """Write who there is, for dumps; the file's process id says that this process can be asked."""
        slots = list(self._run.kernel.slots.values())
        self._known = len(slots)
        with suppress(OSError):  # a full disk is the journal's to tell
            write_json(self._folder / "plugins.json", Roster(os.getpid(), tuple(_instance(slot) for slot in slots)))

    def _answer(self, _number: int, frame: FrameType | None) -> None:
        """Write down what runs. Nothing of the kernel's is changed here: it stands in the middle of something."""
        self._asked += 1
        kernel = self._run.kernel
        cells = kernel.vitals.cells
        held = name_held(frame, kernel.slots.values(), cells[Vitals.INPUT])
        held = msgspec.structs.replace(held, asked=self._asked)
        with suppress(OSError):  # a full disk is the journal's to tell
            write_json(self._folder / "stall.json", held)
        if not (held.debugged or held.idle):
            self._overruns.append((held, cells[Vitals.TURN]))

    def turn(self) -> None:
        """Tell overruns that are over; now and then, look for the watchdog and for what it wants told."""
        if self._overruns:
            self._tell_overruns()
        now_ns = self._clock_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _EVERY_NS
        kernel = self._run.kernel
        if len(kernel.slots) != self._known:
            self.announce()
        if self._warden_pid and self._parent() != self._warden_pid:
            self._warden_pid = 0
            self._run.command(OperatorCommand(command="stop", who="kernel", why="the watchdog process died"))
        if self._tells():
            for alert in take_alerts(self._folder):
                kernel.later(alert)

    def _tells(self) -> bool:
        """Return whether an alert would be journaled now."""
        kernel = self._run.kernel
        return self._run.live and not (kernel.stopping or kernel.ended or kernel.session_ended)

    def _tell_overruns(self) -> None:
        overruns, self._overruns = self._overruns, []
        if os.fstat(self._stack_fd).st_size > _STACK_BYTES_MAX:
            os.ftruncate(self._stack_fd, 0)
        if self._tells():
            # Asked twice in one standstill, it is one overrun: the last answer names it.
            for since_ns, held in {since_ns: held for held, since_ns in overruns}.items():
                self._run.kernel.later(overrun(held, self._clock_ns() - since_ns))


def _instance(slot: Slot) -> Instance:
    cls = type(slot.plugin)
    files = (getattr(sys.modules.get(module), "__file__", None) for module in sorted(code_modules(cls)))
    return Instance(
        slot.name, slot.kind, f"{cls.__module__}:{cls.__qualname__}", tuple(file for file in files if file),
        _methods(cls), issubclass(cls, Venue) and cls.cancel_all_outside is not None,
    )  # fmt: skip


def _methods(cls: type) -> tuple[tuple[str, int, int], ...]:
    """Return where the methods of a plugin's class and of its bases stand, the SDK's left out."""
    modules = code_modules(cls)
    found = set()
    for base in cls.__mro__:
        for member in vars(base).values() if base.__module__ in modules else ():
            code = getattr(getattr(member, "__func__", member), "__code__", None)
            if isinstance(code, CodeType):
                last = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
                found.add((code.co_filename, code.co_firstlineno, last))
    return tuple(sorted(found))
