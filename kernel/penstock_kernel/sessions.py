"""How an instance goes on with its journal: taken up as it was after a crash, or begun anew of what it left.

A journal of an instance holds sessions one after the other. The first begins with its run header; each later one with
a header whose ``carried_seq`` names the state it begins with, kept as ``snapshots/NUMBER.carry``. Within a session a
crash leaves no trace but a header with the next epoch: the state is recomputed and the run goes on.

==================================  ==================================================================
the journal ends                    the instance
==================================  ==================================================================
in a crash, nothing has changed     is taken up where it was cut (`replay.Player`)
in a crash, deployment changed      is recomputed with the old deployment; a session begins of its state
in order, code the same             a session begins of its last snapshot
either way, code or versions other  a session begins of what its plugins heard (`hearing.Hearing`)
==================================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock_kernel.boot import CarryError, attach_plugins, versions_of
from penstock_kernel.deployment import Deployment, DeploymentError
from penstock_kernel.hearing import Hearing
from penstock_kernel.kernel import Kernel
from penstock_kernel.replay import Difference, NextSession, Player, ReplayError, event_of, in_force, stored_deployment
from penstock_kernel.snapshots import SnapshotError, any_snapshot, load_snapshot, save_carry
from penstock_kernel.sources import SourceError
from penstock_sdk.events import Interned, RunHeader
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.segment import FrameView, read_frames

__all__ = [
    "OtherCode",
    "TakenUp",
    "can_carry",
    "differing",
    "hear",
    "keep_deployment",
    "save_begin",
    "set_aside_beyond",
    "take_up",
]

MakeKernel = Callable[[Deployment], Kernel]
Mark = Callable[[str], object]
"""Takes the name of a step that is done."""


def _unmarked(_step: str) -> None:
    """Note nothing."""


class OtherCode(Exception):  # noqa: N818 - a finding, no error
    """What is installed, or what a deployment holds, is not what the session ran with."""

    def __init__(self, header: RunHeader, what: str) -> None:
        self.header, self.what = header, what
        super().__init__(what)


class TakenUp(msgspec.Struct):
    """An instance's kernel at the end of its journal, recomputed with what it ran with."""

    kernel: Kernel
    deployment: Deployment
    left_over: list[bytes]
    """Frames that complete the last cascade: recomputed, never written."""
    from_seq: int
    """Where the play-back began."""


class _Point(NamedTuple):
    """Where a play-back can begin: after *seq*, of *state*; with *carried* a session begins there."""

    seq: int
    state: dict[str, Any] | None
    carried: bool


def keep_deployment(run_dir: Path, deployment: Deployment) -> None:
    """Keep the deployment of a session beside its journal, under its digest; ``deployment.toml`` is the latest."""
    folder = run_dir / "deployments"
    folder.mkdir(exist_ok=True)
    text = deployment.as_run_toml()
    (folder / f"{deployment.digest}.toml").write_text(text)
    (run_dir / "deployment.toml").write_text(text)


def take_up(run_dir: Path, last_seq: int, make_kernel: MakeKernel, mark: Mark = _unmarked) -> TakenUp:
    """Recompute an instance to the end of its journal.

    Raises:
        OtherCode: the session at the journal's end ran with other code than is installed, or cannot be recomputed.
        StartError: a plugin cannot be built.
    """
    point = _newest_point(run_dir, last_seq)
    mark("snapshot")
    header = _header_at(run_dir, point)
    while True:
        deployment = _same_code(run_dir, header)
        kernel = make_kernel(deployment)
        try:
            player = _play(kernel, deployment, run_dir, point, mark)
        except NextSession as session:
            kernel.tasks.close()
            header = session.header
            point = _carried(run_dir, header)
            continue
        except CarryError as error:
            raise OtherCode(header, str(error)) from None
        except (Difference, ReplayError, SourceError) as error:
            # Code that changed while its version did not, a source that is gone, inputs that were not kept.
            raise OtherCode(header, f"what was recorded cannot be recomputed: {error}") from None
        return TakenUp(kernel, player.deployment, player.tape.left_over, point.seq)


def _carried(run_dir: Path, header: RunHeader) -> _Point:
    try:
        seq, state = load_snapshot(run_dir / "snapshots" / f"{header.carried_seq:012}.carry", None)
    except (SnapshotError, OSError) as error:
        raise OtherCode(header, f"the state that it began with cannot be read: {error}") from None
    return _Point(seq, state, True)


def _same_code(run_dir: Path, header: RunHeader) -> Deployment:
    try:
        deployment = stored_deployment(run_dir, header.deployment)
    except (DeploymentError, OSError) as error:
        raise OtherCode(header, f"its deployment cannot be read: {error}") from None
    installed = versions_of(deployment)
    if changed := differing(header.versions, installed):
        raise OtherCode(header, changed)
    if deployment.digest != header.deployment:
        raise OtherCode(header, f"its deployment has the digest {deployment.digest}, was {header.deployment}")
    return deployment


def differing(before: dict[str, str], now: dict[str, str]) -> str:
    """Return which versions changed, in words; empty when none did."""
    names = sorted({*before, *now})
    changed = [n for n in names if before.get(n) != now.get(n)]
    return ", ".join(f"{name} {before.get(name, 'absent')} → {now.get(name, 'absent')}" for name in changed)


def set_aside_beyond(run_dir: Path, last_seq: int) -> tuple[int, int]:
    """Set snapshots aside that the journal does not reach: it was put back from a copy, or has lost its end.

    Returns the highest event number among them (0: there are none), and the highest epoch that they know.
    """
    beyond, epoch = 0, 0
    for path in (run_dir / "snapshots").glob("[0-9]*.*"):
        if path.suffix not in (".snap", ".carry") or int(path.stem) <= last_seq:
            continue
        with suppress(SnapshotError, OSError, KeyError):
            epoch = max(epoch, load_snapshot(path, None)[1]["desk"]["next"] >> 40)
        beyond = max(beyond, int(path.stem))
        path.rename(path.with_name(f"{path.name}.beyond"))
    return beyond, epoch


def _newest_point(run_dir: Path, last_seq: int) -> _Point:
    snapshots = run_dir / "snapshots"
    for path in sorted(snapshots.glob("[0-9]*.*"), key=lambda path: (path.stem, path.suffix), reverse=True):
        if path.suffix not in (".snap", ".carry"):
            continue
        try:
            seq, state = load_snapshot(path, None)
        except (SnapshotError, OSError):
            continue
        # Of a carried state the session's header must have been written, or it is one that never began.
        if seq + (path.suffix == ".carry") <= last_seq:
            return _Point(seq, state, path.suffix == ".carry")
    return _Point(0, None, False)


def _header_at(run_dir: Path, point: _Point) -> RunHeader:
    if point.state is not None and not point.carried and point.state.get("header") is not None:
        header: RunHeader = RunHeader.layout.unpack(point.state["header"])
        return header
    first = next(_frames(run_dir, point.seq if point.carried else 0))
    found = event_of(first)
    if not isinstance(found, RunHeader):
        raise SnapshotError(f"event {first.seq} is {type(found).__name__}, wanted RunHeader")
    return found


def _frames(run_dir: Path, after_seq: int) -> Iterator[FrameView]:
    frames = read_frames(run_dir / "journal", from_seq=after_seq + 1)
    return (frame for frame in frames if frame.seq > after_seq)


def _play(kernel: Kernel, deployment: Deployment, run_dir: Path, point: _Point, mark: Mark) -> Player:
    if point.state is None:
        player = Player(kernel, deployment, _frames(run_dir, 0), until_end=True)
        player.boot()
    elif point.carried:
        player = Player(kernel, deployment, _frames(run_dir, point.seq), until_end=True)
        player.boot_session(point.state)
    else:
        kernel.live = False
        kernel.tape = []
        kernel.cascade.wire(kernel.cascade.slots)
        deployment = in_force(run_dir, point.state, deployment)
        attach_plugins(kernel, deployment)
        kernel.deployment = deployment if "deployment" in point.state else None
        try:
            kernel.restore(point.state)
        except Exception as error:
            raise CarryError(f"the snapshot of event {point.seq}: {type(error).__name__}: {error}") from error
        kernel.open_sources(skip=point.state["sources"])
        player = Player(kernel, deployment, _frames(run_dir, point.seq), until_end=True)
    mark("plugins")
    player.play()
    mark("played")
    return player


def hear(
    run_dir: Path, deployment: Deployment, last_seq: int, make_kernel: MakeKernel
) -> tuple[dict[str, Any], dict[str, str], int]:
    """Return the state that a session of *deployment* begins with, and what its plugins raised while they heard.

    The third item is the event after which they began to hear: 0 when a plugin could not take up its state.
    """
    for path in any_snapshot(run_dir / "snapshots", last_seq):
        try:
            seq, state = load_snapshot(path, None)
            kernel = make_kernel(deployment)
            hearing = Hearing(kernel, deployment, state, list(_names(run_dir, seq)), event_of)
        except (CarryError, SnapshotError, KeyError, TypeError, ValueError):
            continue
        return _heard(hearing, run_dir, seq)
    kernel = make_kernel(deployment)
    return _heard(Hearing(kernel, deployment, None, list(_names(run_dir, 0)), event_of), run_dir, 0)


def _heard(hearing: Hearing, run_dir: Path, seq: int) -> tuple[dict[str, Any], dict[str, str], int]:
    try:
        return hearing.play(_frames(run_dir, seq)), hearing.errors, seq
    finally:
        hearing.kernel.tasks.close()


def _names(run_dir: Path, after_seq: int) -> Iterator[Interned]:
    wanted = Interned.layout.id
    for frame in _frames(run_dir, after_seq):
        if frame.schema_id == wanted:
            yield schema_by_id(wanted).unpack(bytes(frame.body))


def can_carry(deployment: Deployment, state: dict[str, Any], make_kernel: MakeKernel) -> str:
    """Return why a plugin of *deployment* cannot take up its state in *state*; empty when all can."""
    kernel = make_kernel(deployment)
    kernel.live = False
    kernel.tape = []
    kernel.cascade.wire(kernel.cascade.slots)
    kernel.carry(state)
    try:
        attach_plugins(kernel, deployment, state)
    except CarryError as error:
        return str(error)
    finally:
        kernel.tasks.close()
    return ""


def save_begin(run_dir: Path, seq: int, state: dict[str, Any], versions: dict[str, str]) -> None:
    """Keep the state that a session begins with."""
    save_carry(run_dir / "snapshots", seq, state, versions)
