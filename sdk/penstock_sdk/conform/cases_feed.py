"""Feeds: recorded events in order of time, no more than was asked for, and never before they could be known."""

from __future__ import annotations

import itertools
from typing import Any

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.host import Answer, Rig
from penstock_sdk.conform.kit import Kit, first_difference
from penstock_sdk.events import Observation
from penstock_sdk.schema import ABSENT

__all__: list[str] = []

FEED = ("feed",)
_BATCH = 256
_RECORDS_MAX = 20_000


def _take(rig: Rig, count: int = _BATCH) -> Answer:
    return rig.step_frames(b"", 0, take=count)


def _read(kit: Kit, rig: Rig, records_max: int = _RECORDS_MAX) -> tuple[list[Any], list[int], bool]:
    """Return what a started feed gives ahead: records, when each is due, and whether that is all."""
    records: list[Any] = []
    due: list[int] = []
    while len(records) < records_max:
        answer = _take(rig)
        records += answer.records
        due += answer.due_ns
        if answer.taken_all:
            return records, due, True
        if not answer.records:
            fail("neither events nor `taken_all` in an answer to `take`")
    return records, due, False


def _some(kit: Kit) -> tuple[Rig, list[Any], list[int], bool]:
    rig = kit.started()
    records, due, whole = _read(kit, rig)
    if not records:
        skip("it has no recorded events; give a config with --config that makes it play some")
    return rig, records, due, whole


@case(
    "feed.due",
    "Each record that is given ahead says when it is due.",
    wanted="as many `due_ns` as records",
    way_out="fill `due_ns`, one for each record in `frames`",
    kinds=FEED,
)
def _due(kit: Kit) -> None:
    _, records, due, _ = _some(kit)
    if len(due) != len(records):
        fail(f"{len(due)} times for {len(records)} records")


@case(
    "feed.order",
    "Times never go back.",
    wanted="each due_ns at or after the one before",
    way_out="sort the source by time, over all of its files",
    kinds=FEED,
)
def _order(kit: Kit) -> None:
    _, _, due, _ = _some(kit)
    for number, (before, after) in enumerate(itertools.pairwise(due), 1):
        if after < before:
            fail(f"record {number} is due {before - after} ns before record {number - 1}")


@case(
    "feed.take",
    "It gives no more ahead than was asked for.",
    wanted="at most `take` records in an answer, but where one frame holds more",
    way_out="stop after `take` records, and go on from there at the next question",
    kinds=FEED,
)
def _bounded(kit: Kit) -> None:
    rig = kit.started()
    for count in (1, 7):
        before = len(rig.batches)
        answer = _take(rig, count)
        frames = sum(_frames(batch.frames) for _, batch in rig.batches[before:])
        if len(answer.records) > count and frames > count:
            fail(f"{len(answer.records)} records in {frames} frames for take = {count}")


def _frames(data: bytes) -> int:
    from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, padded

    at, frames = 0, 0
    while at + HEADER_BYTES <= len(data):
        at += HEADER_BYTES + padded(HEADER.unpack_from(data, at)[0])
        frames += 1
    return frames


@case(
    "feed.end",
    "After its last event it says so, and nothing comes after that.",
    wanted="`taken_all` once there are no more, and again at each further question",
    way_out="set `taken_all` in every answer to `take` from the last event on",
    kinds=FEED,
)
def _end(kit: Kit) -> None:
    rig, _, _, whole = _some(kit)
    if not whole:
        skip(f"it has more than {_RECORDS_MAX} records")
    answer = _take(rig)
    if answer.records or not answer.taken_all:
        fail(f"{len(answer.records)} records after the last, taken_all {answer.taken_all}")


@case(
    "feed.same_again",
    "Recorded events are the same each time.",
    wanted="the same records at the same times in two runs",
    way_out="depend on the config and the seed alone",
    kinds=FEED,
)
def _same(kit: Kit) -> None:
    said = []
    for _ in range(2):
        rig = kit.started()
        records, due, _ = _read(kit, rig, 4_000)
        said.append([f"{at} {record!r}" for at, record in zip(due, records, strict=False)])
    if not said[0]:
        skip("it has no recorded events; give a config with --config that makes it play some")
    if difference := first_difference(*said):
        fail(difference)


@case(
    "feed.not_before_known",
    "No value is told before it could be known.",
    wanted="due_ns at or after known_at_ns of an Observation",
    way_out="let an observation be due when it was published, not when it is about",
    kinds=FEED,
)
def _known(kit: Kit) -> None:
    _, records, due, _ = _some(kit)
    seen = [(at, each) for at, each in zip(due, records, strict=False) if isinstance(each, Observation)]
    if not seen:
        skip("it gives no observations")
    for at, each in seen:
        if each.known_at_ns != ABSENT and at < each.known_at_ns:
            fail(f"a value {each.known_at_ns - at} ns before it was known")


@case(
    "feed.names",
    "Series and units have ids that the host gave.",
    wanted="ids that were asked for, or told at the start",
    way_out="ask for the ids of your names with `asks` in Start, and use what the host answers",
    kinds=FEED,
)
def _names(kit: Kit) -> None:
    rig, records, _, _ = _some(kit)
    series = {id_ for (kind, _), id_ in rig.world.ids.items() if kind == 9}
    for each in records:
        if isinstance(each, Observation) and each.series_id not in series:
            fail(f"series {each.series_id}, which nobody named")
