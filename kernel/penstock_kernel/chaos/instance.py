"""An instance in a world that breaks: its disk, its clock and its kernel are the world's to disturb and to watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock_kernel.alerts.alert_log import AlertLog
from penstock_kernel.chaos.world import World
from penstock_kernel.clock import Clock
from penstock_kernel.instance import Instance
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_kernel.runs import RunInfo
from penstock_kernel.vitals import Phase

__all__ = ["instance_in"]


def instance_in(world: World) -> type[Instance]:
    """Return the class of instances that live in *world*."""

    def clock() -> Clock:
        return world.clock

    class Rehearsed(Instance):
        """An instance without control socket and watchdog, which nothing in a rehearsal asks."""

        wall_clock = staticmethod(clock)
        _alerts: AlertLog | None = None
        _told_of: Kernel | None = None

        @classmethod
        def open_journal(cls, run_dir: Path, segment_bytes: int, **how: Any) -> Journal:
            """Open the journal on the world's disk. No helper thread: its syncs would come at any moment."""
            journal = super().open_journal(run_dir, segment_bytes, files=world.disk, sync_every_bytes=0, **how)
            world.begin_life(journal)
            return journal

        def serve(self) -> None:
            """Tell alerts, and be asked by nobody."""
            self.observers += [self._tell, world.turn]

        def _tell(self) -> None:
            if self._alerts is None or self._told_of is not self.kernel:
                if self._alerts is not None:
                    self._alerts.close()
                self._alerts, self._told_of = AlertLog(self.kernel, self.dir, self.info.id), self.kernel
            self._alerts.turn()

        def take_over(self, kernel: Kernel) -> None:
            """Have the world watch the kernel."""
            super().take_over(kernel)
            world.take_over(kernel)

        def watch_recovery(self, kernel: Kernel, last_seq: int) -> Kernel:
            """Have the world watch a kernel that plays the journal back."""
            super().watch_recovery(kernel, last_seq)
            world.take_over(kernel)
            return kernel

        def _phase(self, phase: Phase, done: int = 0, wanted: int = 0) -> None:
            super()._phase(phase, done, wanted)
            if phase == Phase.STARTING:
                world.phase = "carry" if self.journal.recovery is not None else "start"
            elif phase == Phase.FAILED:
                # What the next header says of it must follow from the seed: no folder's name, no real disk's room.
                self.kernel.vitals.tell("its disk")
            elif phase == Phase.DRAINING:
                world.phase = "drain"
            elif phase in (Phase.READY, Phase.RECONCILING):
                world.phase = "any"

        def abort(self) -> None:
            """Let go of everything as a crash would; what was to be told is not."""
            super().abort()
            if self._alerts is not None:
                self._alerts._file.close()

        def close(self, failed: str = "") -> RunInfo:
            """End in order, and tell what is left."""
            self._tell()
            info = super().close(failed)
            self._tell()
            if self._alerts is not None:
                self._alerts.close()
            return info

    return Rehearsed
