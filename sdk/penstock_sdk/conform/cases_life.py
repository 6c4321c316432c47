"""Life: start, hearing, drain and stop, each in its turn and in its time."""

from __future__ import annotations

import time

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit, first_difference, transcript
from penstock_sdk.process.peer import PeerError, PeerGone

__all__: list[str] = []


@case(
    "life.start_unconfigured",
    "Start before Configure is refused in words.",
    wanted="an error of the call Start",
    way_out="keep where the plugin is in its life, and refuse calls that come too early",
)
def _start_unconfigured(kit: Kit) -> None:
    if not kit.call_refused(kit.described().start):
        fail("Start was taken before Configure")


@case(
    "life.start",
    "It starts within its deadline, without a fault.",
    wanted="StartReply without faults",
    way_out="build nothing slow at the start, and give what it needs by --config",
)
def _start(kit: Kit) -> None:
    rig = kit.configured()
    answer = rig.start()
    if answer.faults:
        fail(f"faults {answer.faults[:3]}")


@case(
    "life.afternoon",
    "It lives through an afternoon of market data without a fault.",
    wanted="no faults",
    way_out="look at the handler that the fault names",
)
def _afternoon(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig)
    if rig.faults:
        fail(f"{len(rig.faults)} faults, first {rig.faults[0]}")


@case(
    "life.hearing",
    "Of events that it only hears it says nothing.",
    wanted="answers without frames to batches with `hearing`",
    way_out="drop what your handlers return while `hearing` is set, and let no effect of them happen",
)
def _hearing(kit: Kit) -> None:
    rig = kit.configured()
    rig.start()
    before = len(rig.said)
    for at in range(16):
        rig.step(*rig.world.opening(rig.now_ns) if at == 0 else (), *kit.moment(rig, at), hearing=True)
        rig.now_ns += 30_000_000_000
    rig.quiet()
    if len(rig.said) > before:
        fail(f"{len(rig.said) - before} records, first {rig.said[before].record!r}")


@case(
    "life.drain",
    "Drain is answered within its deadline.",
    wanted="DrainReply within 2 s",
    way_out="say your last, and do not wait for anything that may not come",
)
def _drain(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=4)
    began = time.monotonic()
    try:
        answer = rig.drain(2_000)
    except PeerError as error:
        fail(str(error))
    took_s = time.monotonic() - began
    if took_s > 2.0 + kit.patience.quiet_s:
        fail(f"an answer after {took_s:.1f} s")
    if answer.faults:
        fail(f"faults {answer.faults[:3]}")


@case(
    "life.silent_after_drain",
    "After Drain it says nothing any more.",
    wanted="no records after DrainReply",
    way_out="let nothing out once you have answered Drain",
)
def _silent(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=4)
    rig.drain()
    before = len(rig.said)
    rig.quiet()
    if len(rig.said) > before:
        fail(f"{rig.said[before].record!r}")


@case(
    "life.drain_idle",
    "A plugin that was told nothing drains as well.",
    wanted="DrainReply right after Start",
    way_out="do not take for granted that anything happened before",
)
def _drain_idle(kit: Kit) -> None:
    rig = kit.configured()
    rig.start()
    try:
        answer = rig.drain()
    except PeerError as error:
        fail(str(error))
    if answer.faults:
        fail(f"faults {answer.faults[:3]}")


def _ends(kit: Kit) -> None:
    """Skip where what is tested is there to serve one host after the other."""
    if getattr(kit.opener, "lasting", False):
        skip("what serves at an address serves on after Stop")


def _gone(rig: Rig) -> bool:
    until = time.monotonic() + rig.patience.answer_s
    while time.monotonic() < until:
        try:
            rig.describe()
        except PeerGone:
            return True
        except PeerError:
            return True
        time.sleep(0.02)
    return False


@case(
    "life.stop",
    "Stop ends it.",
    wanted="no more answers after Stop",
    way_out="answer Stop, then end the process",
)
def _stop(kit: Kit) -> None:
    _ends(kit)
    rig = kit.started()
    rig.drain()
    try:
        rig.stop()
    except PeerGone:
        return  # it ended before it answered, which is as good
    if not _gone(rig):
        fail(f"it still answers {kit.patience.answer_s:g} s after Stop")


@case(
    "life.stop_at_once",
    "Stop without Drain, right after the connection, ends it too.",
    wanted="no error but the end",
    way_out="let Stop depend on nothing",
)
def _stop_at_once(kit: Kit) -> None:
    _ends(kit)
    rig = kit.connected()
    try:
        rig.stop()
    except PeerGone:
        return
    except PeerError as error:
        fail(str(error))
    if not _gone(rig):
        fail(f"it still answers {kit.patience.answer_s:g} s after Stop")


@case(
    "life.two_runs",
    "Two runs of the same events give the same answers.",
    wanted="the same records in the same order",
    way_out="use no clock, no random numbers and no order of a hash table but what the host gives; or say that you are "
    "not deterministic",
    deterministic=True,
)
def _two_runs(kit: Kit) -> None:
    said = []
    for _ in range(2):
        rig = kit.configured()
        rig.start()
        rig.step(*rig.world.opening(rig.now_ns))
        kit.afternoon(rig)
        said.append(transcript(rig))
    if not said[0]:
        skip("it says nothing of the kit's afternoon")
    if difference := first_difference(*said):
        fail(difference)
