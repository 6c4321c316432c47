"""Time: it jumps, stands still, and comes back; timers are the plugin's only clock."""

from __future__ import annotations

import time

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.kit import Kit
from penstock_sdk.conform.world import HOUR_NS, SECOND_NS
from penstock_sdk.events import ClockStep
from penstock_sdk.process.peer import PeerError

__all__: list[str] = []


@case(
    "time.forward",
    "A jump of a day ahead is survived.",
    wanted="answers without a fault",
    way_out="do not loop over the time between two events",
)
def _forward(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=2)
    rig.now_ns += 26 * HOUR_NS
    try:
        rig.step(*kit.moment(rig, 3))
    except PeerError as error:
        fail(str(error))
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")


@case(
    "time.back",
    "A clock that was set back is survived, and told time stands still meanwhile.",
    wanted="answers without a fault, to a ClockStep and to stamps before the last",
    way_out="take time from the host's stamps, and let it never decrease",
)
def _back(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=2)
    told = ClockStep(from_ns=rig.now_ns, to_ns=rig.now_ns - HOUR_NS)
    if rig.wants(told):
        rig.step(told)
    rig.now_ns -= HOUR_NS
    try:
        rig.step(*kit.moment(rig, 3))
        rig.now_ns += HOUR_NS
        rig.step(*kit.moment(rig, 4))
    except PeerError as error:
        fail(str(error))
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")


@case(
    "time.same_instant",
    "Many events at one instant are handled one after the other.",
    wanted="answers without a fault",
    way_out="do not divide by the time between two events",
)
def _instant(kit: Kit) -> None:
    rig = kit.started()
    for at in range(12):
        rig.step(*kit.moment(rig, at))
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")


@case(
    "time.timers",
    "Its timers have numbers of their own, above 0, and a time.",
    wanted="each timer_id once, above 0, with due_ns above 0",
    way_out="count timers from 1; an id is free again once its Timer has come",
)
def _timers(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=8)
    seen = [timer for _, batch in rig.batches for timer in batch.timers] + list(rig.timers.values())
    if not seen:
        skip("it sets no timers")
    for timer in seen:
        if timer.timer_id < 1 or timer.due_ns <= 0:
            fail(f"timer {timer.timer_id}, due at {timer.due_ns}")


@case(
    "time.late_timers",
    "Timers that fire long after their time are handled.",
    wanted="answers without a fault to timers that are an hour late",
    way_out="compare `due_ns` with the time at hand where it matters",
)
def _late(kit: Kit) -> None:
    rig = kit.started()
    if not rig.timers:
        kit.afternoon(rig, moments=4)
    if not rig.timers:
        skip("it sets no timers")
    rig.now_ns += HOUR_NS
    until, fired = rig.now_ns, 0
    while rig.timers and fired < 20:
        fired += rig.advance(until, lambda: False) or 1
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")


@case(
    "time.bounded",
    "It does not keep the host busy: at one instant its timers come to an end.",
    wanted="fewer than 1,000 timers that are due at once",
    way_out="set the next timer later than the one at hand",
)
def _bounded(kit: Kit) -> None:
    rig = kit.started()
    began_ns = rig.now_ns
    if rig.advance(began_ns + SECOND_NS) >= 1_000:
        fail("1,000 timers in one second")


@case(
    "latency.steps",
    "A step of one moment's market data is answered within a tenth of a second, 99 times in 100.",
    wanted="the 99th percentile of 100 steps at 100 ms or less",
    way_out="submit slow work and answer at once",
)
def _latency(kit: Kit) -> None:
    rig = kit.started()
    took = []
    for at in range(100):
        frames, count = rig.pack(kit.moment(rig, at))
        began = time.perf_counter()
        rig.step_frames(frames, count, hearing=True)
        took.append(time.perf_counter() - began)
        rig.now_ns += SECOND_NS
    p99_ms = sorted(took)[98] * 1e3
    if p99_ms > 100:
        fail(f"{p99_ms:.0f} ms")
