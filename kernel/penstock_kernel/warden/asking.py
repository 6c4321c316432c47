"""Asks a kernel's process what it is doing: a signal, then its answer, or the dump when it can give none."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from penstock_kernel.warden.child import KernelProcess
from penstock_kernel.warden.held import Held, Roster, read_held, read_roster
from penstock_kernel.warden.stacks import name_dumped

__all__ = ["Asker"]

NAP_S = 0.002


class Asker:
    """Asks one kernel process."""

    def __init__(self, child: KernelProcess, control: Path) -> None:
        self._child = child
        self._control = control
        self._roster: Roster | None = None

    def roster(self) -> Roster | None:
        """Return who the process says there is; None before it can be asked anything."""
        found = read_roster(self._control / "plugins.json")
        if found is not None and found.pid == self._child.pid:
            self._roster = found
        return self._roster

    def ask(self, input_seq: int, limit_s: float) -> Held | None:
        """Return what the kernel's thread does, or None when that cannot be found out in *limit_s*.

        A process that has not said that it can be asked is not: the signal would end it.
        """
        roster = self.roster()
        if roster is None:
            return None
        before = read_held(self._control / "stall.json")
        asked = before.asked if before is not None else 0
        stack = self._control / "stack.txt"
        size = stack.stat().st_size
        self._child.send(signal.SIGUSR2)
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            time.sleep(NAP_S)
            held = read_held(self._control / "stall.json")
            if held is not None and held.asked > asked:
                return held
        with stack.open("rb") as file:
            file.seek(size)
            return name_dumped(file.read().decode(errors="replace"), roster, input_seq)
