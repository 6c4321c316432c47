"""A run played back up to one event, for people: not live, nothing sent, no file of the run touched.

The play-back begins at the newest snapshot before the event and holds every byte against the journal, so what is found
on the way is what was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock_kernel.boot import attach_plugins, versions_of
from penstock_kernel.deployment import Deployment
from penstock_kernel.inspect.asked import InspectError
from penstock_kernel.inspect.journal_view import JournalView, entries_of
from penstock_kernel.kernel import Kernel
from penstock_kernel.replay import Player, ReplayError, check_inputs_kept, header_of, kernel_for, stored_deployment
from penstock_kernel.sessions import differing
from penstock_kernel.snapshots import load_snapshot, newest_snapshot
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import RunHeader
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.segment import FrameView

__all__ = ["Rerun", "session_header"]

_SAY_S = 5.0
_TURN_FRAMES = 4_096
_EVENTS_PER_S = 100_000
"""What a play-back makes on a usual machine; said before it has been measured."""

OnAttach = Callable[[Slot], None]


def session_header(view: JournalView, seq: int) -> tuple[FrameView, RunHeader]:
    """Return the run header of the session that event *seq* is in: its frame, and the record.

    A header that only says the next epoch, after a crash, begins no session.

    Raises:
        InspectError: there is none.
    """
    found: tuple[FrameView, RunHeader] | None = None
    for frame in view.of(layout_of(RunHeader).id):
        if frame.seq > seq:
            break
        record = next(entries_of(frame)).record
        if found is None or record.carried_seq:
            found = frame, record
    if found is None:
        raise InspectError("the journal holds no run header before this event; it was cut before the run had begun")
    return found


class Rerun:
    """A play-back of the cascade that event *seq* belongs to.

    Args:
        run_dir: the run's folder; read, never written.
        view: its journal.
        seq: of the event.
        on_attach: called with every plugin once it is built, before it hears anything.
        say: takes a line of progress.
    """

    def __init__(
        self, run_dir: Path, view: JournalView, seq: int, *, on_attach: OnAttach, say: Callable[[str], None]
    ) -> None:
        self._run_dir, self._view, self._say = run_dir, view, say
        frame = view.frame_at(seq)
        if frame is None:
            raise InspectError(f"event {seq} is not in the journal")
        self.root_seq = frame.correlation_seq
        self._on_attach = on_attach
        self._header_frame, self._header = session_header(view, self.root_seq)
        self.deployment: Deployment = stored_deployment(run_dir, self._header.deployment)
        check_inputs_kept(self.deployment)
        self._booting = False
        self.kernel: Kernel = kernel_for(self.deployment, run_dir)
        self.player: Player | None = None

    @contextmanager
    def ready(self) -> Iterator[Kernel]:
        """Bring the kernel to the beginning of the session or to a snapshot; `play` goes on from there.

        Raises:
            ReplayError: inputs were not kept, or deployment or plugins are not those of the run.
            Difference: the start does not come out as it was recorded.
            StartError: a plugin cannot be built or started any more.
        """
        try:
            self._check_versions()
            header_of(self._header_frame, self.deployment)
            snapshots = self._run_dir / "snapshots"
            snapshot = newest_snapshot(snapshots, self.root_seq - 1, versions_of(self.deployment))
            if snapshot is not None and snapshot[0] >= self._header_frame.seq:
                self._tell("the snapshot", snapshot[0])
                self._restore(*snapshot)
            else:
                self._tell("the session's start", self._header_frame.seq)
                self._boot()
            yield self.kernel
        finally:
            self.kernel.close()

    def _check_versions(self) -> None:
        """Refuse a session of plugins of other versions, and name them: digests would not say which."""
        ran, installed = (
            {name: number for name, number in versions.items() if name.startswith("plugin ")}
            for versions in (self._header.versions, versions_of(self.deployment))
        )
        if self._header.deployment != self.deployment.digest and (changed := differing(ran, installed)):
            raise ReplayError(
                f"the session that begins at event {self._header_frame.seq} ran other versions than are installed: "
                f"{changed}; install those that it ran with"
            )

    def _tell(self, place: str, begins: int) -> None:
        events = self.root_seq - begins
        if events > _EVENTS_PER_S:
            self._say(f"replaying {events:,} events from {place} at {begins:,}, about {events / _EVENTS_PER_S:.0f} s")

    def _boot(self) -> None:
        self._watch_attach()
        self._booting = True
        self.player = self._player(self._header_frame.seq)
        if self._header.carried_seq:
            carried = self._run_dir / "snapshots" / f"{self._header.carried_seq:012}.carry"
            self.player.boot_session(load_snapshot(carried, None)[1])
        else:
            self.player.boot()
        self._booting = False

    def _player(self, from_seq: int) -> Player:
        return Player(self.kernel, self.deployment, self._frames(from_seq), until_end=self._ends_with_this_cascade())

    def _watch_attach(self) -> None:
        attach = self.kernel.attach

        def attach_and_tell(*arguments: Any, **options: Any) -> Slot:
            slot = attach(*arguments, **options)
            self._on_attach(slot)
            return slot

        self.kernel.attach = attach_and_tell  # type: ignore[method-assign]

    def _restore(self, seq: int, state: dict[str, Any]) -> None:
        kernel = self.kernel
        kernel.live = False
        kernel.tape = []
        kernel.cascade.wire(kernel.cascade.slots)
        for slot in attach_plugins(kernel, self.deployment):
            self._on_attach(slot)
        kernel.restore(state)
        kernel.open_sources(skip=state["sources"])
        self.player = self._player(seq + 1)

    def _ends_with_this_cascade(self) -> bool:
        """Return whether the cascade is the journal's last: a crash, or the moment, may have cut it."""
        last = self._view.frame_at(self._view.last_seq)
        return last is not None and last.correlation_seq == self.root_seq

    def _frames(self, from_seq: int) -> Iterator[FrameView]:
        """Yield the frames up to the end of the cascade, and tell now and then how far that is."""
        begun_s = said_s = time.monotonic()
        first = from_seq

        def is_over(frame: FrameView) -> bool:
            # The start is played in one go, wherever in it the event stands.
            return not self._booting and frame.cause_seq == ABSENT and frame.seq > self.root_seq

        for number, frame in enumerate(self._view.frames(from_seq, until=is_over)):
            if number % _TURN_FRAMES == 0 and time.monotonic() - said_s > _SAY_S:
                said_s = time.monotonic()
                left_s = (self.root_seq - frame.seq) * (said_s - begun_s) / max(1, frame.seq - first)
                self._say(f"at {frame.seq:,} of {self.root_seq:,}, about {left_s:.0f} s to go")
            yield frame

    def play(self) -> None:
        """Play to the end of the cascade.

        Raises:
            Difference: something does not come out as it was recorded.
            ReplayError: an input is missing.
        """
        assert self.player is not None
        if self.kernel.cascade.seq < self.root_seq:
            self.player.play()
