"""Holds a run that was cut again and again against one that nothing befell: what happened, whatever its numbers are.

A restart leaves its header and a word that all have started. Without those, with order ids counted in the order in
which they first appear and without numbers and epochs, both must tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from penstock_sdk.events import RunHeader, SessionReady
from penstock_sdk.schema import ABSENT, schema_by_id
from penstock_sdk.wire.segment import read_frames

__all__ = ["first_difference", "happenings"]

_EPOCH_BITS = 40


def happenings(journal_dir: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (seq, at_ns, what) of every event that is not of a restart."""
    ids: dict[int, int] = {}
    roots: set[int] = set()
    epochs = 1
    for frame in read_frames(journal_dir):
        layout = schema_by_id(frame.schema_id)
        if frame.diagnostic:
            continue
        if layout.cls is RunHeader:
            epochs += 1
        if layout.cls in (RunHeader, SessionReady) and frame.cause_seq == ABSENT and epochs > 2:
            roots.add(frame.seq)
        if frame.correlation_seq in roots:
            continue
        body = bytes(frame.body)
        size = frame.stride if layout.packed and frame.count > 1 else len(body)
        for at in range(frame.count):
            record = layout.unpack(body[at * size : (at + 1) * size])
            yield frame.seq + at, frame.at_ns, _shown(record, ids, epochs)


def _shown(record: Any, ids: dict[int, int], epochs: int) -> str:
    """Return a record with its order ids counted from 1 in the order in which they first appear."""
    values = []
    for name in type(record).__struct_fields__:
        value = getattr(record, name)
        if type(value) is int and 0 < value >> _EPOCH_BITS <= epochs:
            value = f"#{ids.setdefault(value, len(ids) + 1)}"
        values.append(f"{name}={value}")
    return f"{type(record).__name__}({', '.join(values)})"


def first_difference(cut: Path, uncut: Path) -> str:
    """Return where two journals part, in words; nothing when they tell the same."""
    for ours, theirs in zip_longest(happenings(cut), happenings(uncut)):
        if ours is None or theirs is None:
            side, left = ("without kills", theirs) if ours is None else ("with kills", ours)
            return f"only {side} there is event {left[0]}, {left[2]}"
        if ours[1:] != theirs[1:]:
            there = f"event {theirs[0]} at {theirs[1]}, {theirs[2]}"
            return f"event {ours[0]} at {ours[1]} is {ours[2]}; without kills it is {there}"
    return ""
