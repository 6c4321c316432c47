"""Snapshots: a state that is given back is worth as much as the one that was taken."""

from __future__ import annotations

import contextlib

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit, first_difference, transcript
from penstock_sdk.process.peer import PeerError
from penstock_sdk.wire.messages import Message

__all__: list[str] = []


def _taken(rig: Rig) -> Message:
    reply = rig.snapshot()
    if reply.error:
        fail(f"no snapshot: {reply.error}")
    return reply


def _lived(kit: Kit) -> tuple[Rig, Message]:
    """Return a plugin after half an afternoon, and its snapshot."""
    rig = kit.started()
    kit.afternoon(rig, moments=10)
    return rig, _taken(rig)


def _rest(kit: Kit, lived: Rig, state: bytes, last_seq: int) -> list[str]:
    """Return what a plugin of this state says of the rest of the afternoon."""
    names = dict(lived.world.ids)
    rig = kit.restored(state, last_seq, like=lived, beside=True)
    now_ns, seq = lived.now_ns, lived.seq
    rig.start(resumed=True)
    kit.afternoon(rig, first=10)
    lived.world.ids, lived.now_ns, lived.seq = names, now_ns, seq
    return transcript(rig)


@case(
    "snapshot.early",
    "A snapshot can be had right after Start.",
    wanted="a state, and no error",
    way_out="have a state as soon as there is a plugin",
    capability="snapshot",
)
def _early(kit: Kit) -> None:
    rig = kit.configured()
    rig.start()
    _taken(rig)


@case(
    "snapshot.last_seq",
    "A snapshot says up to which event it goes.",
    wanted="the number of the last event that was told",
    way_out="keep the highest `seq` of the frames that you handled, and return it as `last_seq`",
    capability="snapshot",
)
def _last_seq(kit: Kit) -> None:
    rig = kit.started()
    told = rig.seq
    kit.afternoon(rig, moments=4)
    if rig.seq == told:
        skip("it hears nothing of the kit's afternoon")
    reply = _taken(rig)
    if not told <= reply.last_seq < rig.seq:
        fail(f"last_seq {reply.last_seq}, told were {told} … {rig.seq - 1}")


@case(
    "snapshot.changes_nothing",
    "Taking a snapshot changes nothing.",
    wanted="the same answers with a snapshot after every moment as without",
    way_out="only read while you make a snapshot",
    capability="snapshot",
    deterministic=True,
)
def _changes_nothing(kit: Kit) -> None:
    said = []
    for look in (False, True):
        rig = kit.started()

        def tell(*events: object, rig: Rig = rig, look: bool = look) -> object:
            answer = rig.step(*events)
            if look:
                _taken(rig)
            return answer

        kit.afternoon(rig, moments=12, tell=tell)  # type: ignore[arg-type]
        said.append(transcript(rig))
    kit.alike(first_difference(*said))


@case(
    "snapshot.round_trip",
    "A state that is given back, and taken again, is worth the same.",
    wanted="the same bytes, or the same answers from there on",
    way_out="put all that your answers depend on into the state, and take all of it back",
    capability="snapshot",
)
def _round_trip(kit: Kit) -> None:
    lived, first = _lived(kit)
    rig = kit.restored(first.state, first.last_seq, like=lived, beside=True)
    again = _taken(rig)
    if again.state == first.state:
        return
    if len(again.state) * 2 < len(first.state):
        fail(f"{len(again.state)} bytes of state where {len(first.state)} were given back")
    if rig.described is not None and rig.described.deterministic:
        one = _rest(kit, lived, first.state, first.last_seq)
        other = _rest(kit, lived, again.state, again.last_seq)
        kit.alike(first_difference(one, other))


@case(
    "snapshot.goes_on",
    "Two plugins restored from one state answer the same from there on.",
    wanted="the same records in the same order",
    way_out="put random streams and timers into the state, and read no clock",
    capability="snapshot",
    deterministic=True,
)
def _goes_on(kit: Kit) -> None:
    lived, taken = _lived(kit)
    one = _rest(kit, lived, taken.state, taken.last_seq)
    other = _rest(kit, lived, taken.state, taken.last_seq)
    kit.alike(first_difference(one, other))


@case(
    "snapshot.timers",
    "The timers that it waits for are in its state, and StartReply tells them.",
    wanted="every timer that was set and has not fired",
    way_out="keep timers in the state, and return them in `timers` of StartReply",
    capability="snapshot",
)
def _timers(kit: Kit) -> None:
    lived, taken = _lived(kit)
    if not lived.timers:
        skip("it waits for no timers")
    rig = kit.restored(taken.state, taken.last_seq, like=lived, beside=True)
    rig.start(resumed=True)
    if not rig.timers:
        fail(f"no timers after the restart, {len(lived.timers)} before it")


@case(
    "snapshot.rubbish",
    "A state that it cannot read is refused in words, and the process lives.",
    wanted="an error in RestoreReply, or of the call",
    way_out="check a form number and a length before you take anything of a state",
    capability="snapshot",
)
def _rubbish(kit: Kit) -> None:
    for state in (b"\x00\xff rubbish", b"", b"\x81" * 64):
        rig = kit.configured()
        told: list[str] = []
        try:
            refused = kit.call_refused(
                lambda rig=rig, state=state, told=told: told.append(rig.restore(state, 5))  # type: ignore[misc]
            )
        except PeerError as error:
            fail(str(error))
        if not refused and not any(told):
            fail(f"{state[:12]!r} was taken as a state")
        if not rig.peer.healthy(kit.patience.answer_s):
            fail(f"{state[:12]!r} ended the process")


@case(
    "snapshot.cut",
    "Half a state is refused.",
    wanted="an error in RestoreReply, or of the call",
    way_out="put a length or a checksum into the state",
    capability="snapshot",
)
def _cut(kit: Kit) -> None:
    _, taken = _lived(kit)
    rig = kit.configured()
    told: list[str] = []
    half = taken.state[: len(taken.state) // 2]
    if not kit.call_refused(lambda: told.append(rig.restore(half, taken.last_seq))) and not any(told):
        fail(f"{len(half)} of {len(taken.state)} bytes were taken as a state")


@case(
    "snapshot.after_refusal",
    "After a state was refused it starts anew.",
    wanted="a start without a fault, as if nothing had been tried",
    way_out="take nothing of a state before all of it was read",
    capability="snapshot",
)
def _after_refusal(kit: Kit) -> None:
    rig = kit.configured()
    with contextlib.suppress(PeerError):
        rig.restore(b"\x00\xff rubbish", 5)
    try:
        answer = rig.start()
    except PeerError as error:
        fail(str(error))
    anew = kit.configured().start()
    if answer.faults != anew.faults:
        fail(f"faults {answer.faults[:3]}, of another start {anew.faults[:3]}")
