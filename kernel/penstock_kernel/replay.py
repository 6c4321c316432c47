"""Playing a journal back: feed its inputs, recompute what follows, hold every byte against what was recorded.

`replay` verifies a finished run; `catch_up` brings a crashed run's kernel to where its journal ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.boot import StartError, attach_plugins, boot, boot_session, versions_of
from penstock_kernel.clock import SimClock
from penstock_kernel.deployment import Deployment, load_deployment
from penstock_kernel.kernel import Kernel, Undone
from penstock_kernel.recorded import Ahead, Said
from penstock_kernel.snapshots import SnapshotError, load_snapshot
from penstock_sdk.events import (
    Alert,
    CaptureRef,
    DeploymentChange,
    PluginState,
    PluginStatus,
    RunEnd,
    RunHeader,
    TaskResult,
    Timer,
)
from penstock_sdk.plugin import Feed
from penstock_sdk.schema import ABSENT, Event, Frame, schema_by_id
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES, Header, Origin
from penstock_sdk.wire.segment import FrameView, read_frames, scan

__all__ = ["Difference", "NextSession", "ReplayError", "ReplayResult", "catch_up", "event_of", "in_force", "replay"]

TURN_EVERY = 1024
"""Inputs of a play-back between two turns of those who watch."""


class ReplayError(Exception):
    """A run that cannot be replayed: inputs were not kept, or a source is gone."""


class Difference(Exception):  # noqa: N818 - what a verification finds
    """The first place where what was recomputed differs from what was recorded."""

    def __init__(self, seq: int, recorded: str, recomputed: str) -> None:
        self.seq, self.recorded, self.recomputed = seq, recorded, recomputed
        super().__init__(f"first difference at seq {seq}: recorded {recorded}, recomputed {recomputed}")


class NextSession(Exception):  # noqa: N818 - a place in the journal, no error
    """A play-back has come to where another session of the instance begins."""

    def __init__(self, header: RunHeader) -> None:
        self.header = header
        super().__init__(f"session {header.epoch} begins after event {header.carried_seq}")


class ReplayResult(msgspec.Struct, frozen=True):
    """What a verified replay found."""

    events: int
    digest: str
    skipped: tuple[str, ...] = ()
    """Sessions that cannot be recomputed with what is installed, and why."""


class _Tape:
    """The recorded frames, read one ahead, with what the kernel recomputes held against them."""

    def __init__(self, frames: Iterator[FrameView], kernel: Kernel, until_end: bool) -> None:
        self.ahead = Ahead(frames, event_of)
        self._kernel = kernel
        self.produced: list[bytes] = []
        self.until_end = until_end
        self.next: FrameView | None = self.ahead.next()
        self.last_seq = 0
        self.left_over: list[bytes] = []
        """What was recomputed beyond the tape's end: a cascade that the crash cut."""

    def advance(self) -> None:
        """Fetch the next recorded frame."""
        if self.next is not None:
            self.last_seq = self.next.seq + self.next.count - 1
        self.next = self.ahead.next()

    def hold(self) -> None:
        """Compare all that was produced since the last call.

        Raises:
            Difference: at the first byte that differs.
        """
        for data in self.produced:
            met = self.next
            if met is None:
                if not self.until_end:
                    raise Difference(_seq(data), "nothing: the journal ends here", _describe_frame(data))
                self.left_over.append(data)
                continue
            if met.raw != data:
                raise Difference(met.seq, _describe_frame(bytes(met.raw)), _describe_frame(data))
            self.advance()
        self.produced.clear()


def _undone(journal: Path, seq: int) -> Undone | None:
    """Return where the change that ended with event *seq* was undone, and why; None when it was made.

    What a process did at its start is not recomputed. All of a change are inputs of the kernel's own and what follows.
    """
    for frame in read_frames(journal, from_seq=seq):
        if frame.seq <= seq:
            continue
        if (frame.origin & ~DIAGNOSTIC) in (Origin.EXTERNAL, Origin.OPERATOR, Origin.TIMER):
            return None
        if frame.schema_id == DeploymentChange.layout.id:
            event: Any = event_of(frame)
            return Undone(frame.seq, event.why) if event.rolled_back else None
    return None


def _seq(data: bytes) -> int:
    return int(HEADER.unpack_from(data)[4])


def _describe_frame(data: bytes) -> str:
    header = Header(*HEADER.unpack_from(data))
    layout = schema_by_id(header.schema_id)
    body = data[HEADER_BYTES : HEADER_BYTES + header.body_bytes]
    records = list(layout.unpack_many(body)) if layout.packed and header.stride else [layout.unpack(body)]
    shown = ", ".join(f"{key}={value}" for key, value in layout.describe(records[0]).items() if value is not None)
    more = f" and {len(records) - 1} more" if len(records) > 1 else ""
    return f"{layout.name}({shown}){more} by plugin {header.producer} for {header.cause_seq} at {header.at_ns}"


def event_of(frame: FrameView) -> Event:
    """Return the record or frame that was recorded."""
    layout = schema_by_id(frame.schema_id)
    if layout.packed and frame.count > 1:
        return Frame.from_body(layout, bytes(frame.body), frame.stride)
    event: Event = layout.unpack(bytes(frame.body))
    return event


def header_of(first: FrameView, deployment: Deployment) -> RunHeader:
    """Return the run header that a journal begins with.

    Raises:
        ReplayError: it begins with something else, or is of another deployment than *deployment*.
    """
    header = event_of(first)
    if not isinstance(header, RunHeader):
        raise ReplayError(f"the journal begins with {type(header).__name__}, wanted RunHeader")
    if header.deployment != deployment.digest:
        raise ReplayError(
            f"deployment.toml and its plugins have the digest {deployment.digest}, the journal was begun with "
            f"{header.deployment}; put back the file, or the plugins' versions, that the run began with, "
            f"or go on with it as an instance"
        )
    return header


class Player:
    """Feeds a journal's inputs to a kernel that is not live."""

    def __init__(self, kernel: Kernel, deployment: Deployment, frames: Iterator[FrameView], until_end: bool) -> None:
        self.kernel = kernel
        self.deployment = deployment
        self.tape = _Tape(frames, kernel, until_end)
        kernel.live = False
        kernel.tape = self.tape.produced
        kernel.recording_for = lambda slot: Said(kernel, slot, self.tape.ahead)
        kernel.failed_then = self._failed_then
        for slot in kernel.slots.values():
            kernel.record(slot)
        kernel.cascade.wire(kernel.cascade.slots)

    def boot(self) -> None:
        """Play the start: the header, the plugins, their first words."""
        first = self.tape.next
        if first is None:
            raise ReplayError("the journal holds no event: the run was cut before it had begun; start another")
        header = header_of(first, self.deployment)
        self.kernel.moment.now_ns = first.at_ns
        boot(self.kernel, self.deployment, header)
        self.tape.hold()

    def _failed_then(self, name: str) -> str:
        """Return why a plugin failed that is being built, where the next that is recorded is that it did."""
        event = self.tape.ahead.input_at(self.kernel.cascade.seq + 1)
        failed = isinstance(event, PluginState) and event.name == name and event.status == PluginStatus.FAILED
        return event.reason if isinstance(event, PluginState) and failed else ""

    def boot_session(self, state: dict[str, Any]) -> None:
        """Play the start of a later session, of what the one before it left."""
        first = self.tape.next
        if first is None:
            raise ReplayError("the journal ends where a session was to begin")
        header = header_of(first, self.deployment)
        self.kernel.moment.now_ns = first.at_ns
        boot_session(self.kernel, self.deployment, header, state)
        self.tape.hold()

    def play(self) -> None:
        """Feed input after input until the tape ends.

        Raises:
            NextSession: another session begins.
        """
        tape = self.tape
        inputs = 0
        while tape.next is not None:
            frame = tape.next
            inputs += 1
            if inputs % TURN_EVERY == 0:
                self.kernel.turn()
            if frame.seq != self.kernel.cascade.seq + 1:
                raise ReplayError(
                    f"inputs {self.kernel.cascade.seq + 1} to {frame.seq - 1} are not in the journal: their topic has "
                    f'durability "none", or what came before differs; run again with "written" to be able to verify'
                )
            if frame.cause_seq != ABSENT:
                raise Difference(frame.seq, _describe_frame(bytes(frame.raw)), "nothing: no handler returned it")
            self._feed(frame)
            tape.hold()
            if tape.next is not None:
                self.kernel.forget_effects(self.kernel.cascade.seq)
            else:
                self.kernel.forget_effects(tape.last_seq)

    def _feed(self, frame: FrameView) -> None:
        kernel = self.kernel
        kernel.moment.now_ns = frame.at_ns
        origin = frame.origin & ~DIAGNOSTIC
        if origin == Origin.TIMER:
            self._feed_timer(frame)
            return
        if origin == Origin.EXTERNAL:
            self._feed_external(frame)
            return
        event = event_of(frame)
        if origin == Origin.KERNEL and isinstance(event, PluginState) and event.status == PluginStatus.DRAINING:
            kernel.stop_plugin(kernel.slots[event.name])
            return
        if origin == Origin.KERNEL and isinstance(event, PluginState) and event.status == PluginStatus.RUNNING:
            slot = kernel.slots.get(event.name)
            if event.previous == PluginStatus.CONFIGURED and slot is not None:
                kernel.start_plugin(slot, resumed=True)  # lost in this session, and back
                return
        if isinstance(event, RunHeader) and event.carried_seq:
            raise NextSession(event)
        if isinstance(event, DeploymentChange) and not event.rolled_back:
            self._change(event, origin)
            return
        if isinstance(event, TaskResult):
            kernel.answered(event.plugin_id, event.task_id)
        if isinstance(event, RunEnd):
            kernel.ended, kernel.stopping = True, event.reason
        elif isinstance(event, RunHeader):
            kernel.ended, kernel.stopping = False, ""
        kernel.cascade.run(event, origin, kernel.slot_by_id(frame.producer))

    def _change(self, change: DeploymentChange, origin: int) -> None:
        """Change the deployment as an operator did while the run went on."""
        from penstock_kernel.reload.change import carry_out  # which needs `boot`, as this module does

        kernel = self.kernel
        assert kernel.run_dir is not None
        kernel.cascade.run(change, origin, kernel.cascade.kernel_slot)
        after = stored_deployment(kernel.run_dir, change.digest)
        kernel.undone = _undone(kernel.run_dir / "journal", kernel.cascade.seq)
        if not carry_out(kernel, self.deployment, after, change):
            self.deployment = after
        kernel.undone = None

    def _feed_timer(self, frame: FrameView) -> None:
        recorded: Any = event_of(frame)
        if self.kernel.slot_by_id(recorded.plugin_id).recording is not None:
            # Set by a handler that is not called here.
            self.kernel.cascade.run(recorded, Origin.TIMER, self.kernel.cascade.kernel_slot)
            return
        due = self.kernel.timers.next_ns()
        timer = self.kernel.timers.pop() if due is not None else Timer(0)
        if timer != recorded:
            raise Difference(frame.seq, str(recorded), f"{timer}: another timer is due")
        self.kernel.cascade.run(timer, Origin.TIMER, self.kernel.cascade.kernel_slot)

    def _feed_external(self, frame: FrameView) -> None:
        kernel = self.kernel
        slot = kernel.slot_by_id(frame.producer)
        source = next((s for s in kernel.sources if s.slot is slot), None)
        from_source = source.take() if source is not None and not source.ended else None
        if frame.schema_id == CaptureRef.layout.id:
            if from_source is None:
                raise ReplayError(
                    f"seq {frame.seq} is kept by reference, and feed {slot.name} gives nothing; restore its file"
                )
            kernel.cascade.run(from_source, Origin.EXTERNAL, slot)
            return
        event = event_of(frame)
        if source is None and isinstance(slot.plugin, Feed) and slot.plugin.elsewhere:
            kernel.taken[slot.name] += 1
        if source is not None and source.error is not None and isinstance(event, Alert) and event.code == "feed.failed":
            kernel.forget_source(source)  # so that its failure is not told again
        kernel.cascade.run(event, Origin.EXTERNAL, slot)


def replay(run_dir: Path) -> ReplayResult:
    """Replay a run from its journal alone, and verify every recorded byte; of an instance, every session.

    Sessions that ran with other versions than are installed cannot be recomputed; ``skipped`` names them.

    Raises:
        Difference: the first event that differs.
        ReplayError: inputs of the run were not kept, or its deployment is another one.
        StartError: a plugin fails to start that started in the run.
    """
    journal = run_dir / "journal"
    result = scan(journal)
    state: dict[str, Any] | None = None
    events, after_seq, skipped = 0, 0, []
    while True:
        frames = (frame for frame in read_frames(journal, from_seq=after_seq + 1) if frame.seq > after_seq)
        first = next(frames, None)
        if first is None:
            raise ReplayError("the journal holds no event: the run was cut before it had begun; start another")
        deployment = deployment_of(run_dir, first)
        header = event_of(first)
        other = ""
        if isinstance(header, RunHeader) and (state is not None or _has_sessions(run_dir)):
            other = _other_code(deployment, header)
        session = None
        if other:
            skipped.append(f"the session that begins at event {first.seq}: {other}")
            session = _next_header(frames)
        else:
            check_inputs_kept(deployment)
            try:
                events += _replay_session(run_dir, deployment, chain((first,), frames), state)
            except NextSession as next_session:
                events += next_session.header.carried_seq - after_seq
                session = next_session.header
        if session is None:
            return ReplayResult(events=events, digest=result.digest or "", skipped=tuple(skipped))
        after_seq = session.carried_seq
        try:
            state = load_snapshot(run_dir / "snapshots" / f"{after_seq:012}.carry", None)[1]
        except (SnapshotError, OSError) as error:
            raise ReplayError(f"the state that session {session.epoch} began with cannot be read: {error}") from None


def _has_sessions(run_dir: Path) -> bool:
    return (run_dir / "deployments").exists()


def stored_deployment(run_dir: Path, digest: str) -> Deployment:
    """Return the deployment that a session ran with: the one kept under its digest, else the run's only one.

    Raises:
        DeploymentError: it cannot be read any more.
        OSError: it is gone.
    """
    kept = run_dir / "deployments" / f"{digest}.toml"
    return load_deployment(kept if kept.exists() else run_dir / "deployment.toml")


def in_force(run_dir: Path, state: dict[str, Any], deployment: Deployment) -> Deployment:
    """Return the deployment that a snapshot was taken under: the session's, or what it had been changed to by then."""
    digest = state.get("deployment", "")
    return stored_deployment(run_dir, digest) if digest else deployment


def deployment_of(run_dir: Path, first: FrameView) -> Deployment:
    """Return the deployment of the session that begins with a frame."""
    header = event_of(first)
    return stored_deployment(run_dir, header.deployment if isinstance(header, RunHeader) else "")


def _other_code(deployment: Deployment, header: Any) -> str:
    installed = versions_of(deployment)
    names = sorted(n for n in {*header.versions, *installed} if header.versions.get(n) != installed.get(n))
    return ", ".join(f"{name} {header.versions.get(name)}, installed {installed.get(name)}" for name in names)


def _next_header(frames: Iterator[FrameView]) -> RunHeader | None:
    """Return the header of the next session, or None when this is the last."""
    for frame in frames:
        if frame.schema_id == RunHeader.layout.id:
            header = event_of(frame)
            if isinstance(header, RunHeader) and header.carried_seq:
                return header
    return None


def _replay_session(
    run_dir: Path, deployment: Deployment, frames: Iterator[FrameView], state: dict[str, Any] | None
) -> int:
    kernel = kernel_for(deployment, run_dir)
    player = Player(kernel, deployment, frames, until_end=False)
    begun_seq = state["seq"] if state is not None else 0
    try:
        if state is None:
            player.boot()
        else:
            player.boot_session(state)
        player.play()
    except StartError:
        # A start that failed is whole when it fails again at the same place.
        player.tape.hold()
        if player.tape.next is not None:
            raise
    finally:
        kernel.close()
    return kernel.cascade.seq - begun_seq


def check_inputs_kept(deployment: Deployment) -> None:
    """Raise ReplayError when a topic that carries inputs has durability none."""
    for topic in ("control.timer", "control.command", "data.observation", "market.quote", "market.auction"):
        if deployment.durability_for(topic) == "none":
            raise ReplayError(
                f'topic {topic} has durability "none", so its inputs were not kept; '
                f'run again with "written" to be able to verify'
            )


def kernel_for(deployment: Deployment, run_dir: Path) -> Kernel:
    """Return a kernel for a play-back: no journal, no effects."""
    return Kernel(
        SimClock(0),
        durability_for=deployment.durability_for,
        run_dir=run_dir,
        run_seed=deployment.run.seed,
        events_per_input_max=deployment.run.max_events_per_input,
        faults_max=deployment.run.max_faults,
    )


def catch_up(
    kernel: Kernel, deployment: Deployment, journal_dir: Path, snapshot: tuple[int, dict[str, Any]] | None
) -> list[bytes]:
    """Bring a crashed run's kernel to the journal's end, from a snapshot or from the beginning.

    Returns the frames that complete the last cascade, which the crash cut: they were never written.
    """
    if snapshot is None:
        player = Player(kernel, deployment, read_frames(journal_dir), until_end=True)
        player.boot()
    else:
        header_of(next(read_frames(journal_dir)), deployment)
        seq, state = snapshot
        deployment = in_force(journal_dir.parent, state, deployment)
        kernel.live = False
        kernel.tape = []
        kernel.cascade.wire(kernel.cascade.slots)
        attach_plugins(kernel, deployment)
        kernel.restore(state)
        kernel.deployment = deployment if "deployment" in state else None
        kernel.open_sources(skip=state["sources"])
        frames = (frame for frame in read_frames(journal_dir, from_seq=seq) if frame.seq > seq)
        player = Player(kernel, deployment, frames, until_end=True)
    player.play()
    return player.tape.left_over
