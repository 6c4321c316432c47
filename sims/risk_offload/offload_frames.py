"""Frames for the offload's benches: right ones with values at every edge, and frames wrong in every way."""

from __future__ import annotations

import random
from typing import Any

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Frame, Layout
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, encode_frame
from sims.risk_offload.offload_model import INTENT, QUOTE, REPORT

__all__ = ["START_NS", "Traffic", "bad_frames", "late_frames"]

START_NS = 1_700_000_000_000_000_000
"""When traffic begins."""


class Traffic:
    """Makes frames from a seed; time goes on, intents are numbered, some twice."""

    def __init__(self, rng: random.Random, listings: list[int], price_w: int, qty_w: int, records_max: int) -> None:
        self.rng, self.listings, self.records_max = rng, listings, records_max
        half = 1 << (price_w - 1)
        self.prices = [*range(-20, 21), -half, half - 1, -half - 1, half, ABSENT, -(2**63) + 1, 2**63 - 1]
        self.likely = len(range(-20, 21))
        self.lots = [*range(-1, 12), (1 << qty_w) - 1, 1 << qty_w, 2**63 - 1, -(2**63)]
        self.at_ns, self.seq, self.intent_id = START_NS, 1, 0

    def _price(self) -> int:
        return int(self.rng.choice(self.prices if self.rng.randrange(8) == 0 else self.prices[: self.likely]))

    def _lots(self) -> int:
        return int(self.rng.choice(self.lots if self.rng.randrange(8) == 0 else self.lots[2:10]))

    def intent(self) -> Any:
        """Return an intent; of eight, one has another action, and one a number that came before."""
        rng = self.rng
        self.intent_id += rng.randrange(8) > 0
        return events.OrderIntent(
            rng.choice(self.listings), rng.choice([1] * 30 + [0, 2, 3, 4]), rng.choice([1, 2] * 16 + [0, 3, 4, 255]), 1,
            0, self._price(), self._lots(), rng.choice([self.intent_id] * 30 + [0, -1, ABSENT]), rng.getrandbits(60), 7,
            rng.getrandbits(32), 0, 0, 0, 0, 0, rng.getrandbits(62), rng.getrandbits(62),
        )  # fmt: skip

    def report(self) -> Any:
        """Return a report of any kind."""
        rng = self.rng
        return events.ExecutionReport(
            rng.getrandbits(50), rng.choice(self.listings), rng.choice([2] * 6 + list(range(9))),
            rng.choice([1, 2] * 6 + [0, 3, 5]), 0, 0, self._price(), self._lots(), self._lots(),
        )  # fmt: skip

    def quote(self) -> Any:
        """Return a quote; some lack a side."""
        return events.Quote(self.rng.choice(self.listings), 1, 0, 0, self._price(), 5, self._price(), 5)

    def frame(self, layout: Layout | None = None, records: int | None = None) -> bytes:
        """Return a frame of one kind of record."""
        rng = self.rng
        chosen = layout if layout is not None else rng.choice([INTENT, INTENT, REPORT, QUOTE])
        made = {INTENT.id: self.intent, REPORT.id: self.report, QUOTE.id: self.quote}[chosen.id]
        count = records if records is not None else rng.choice([1, 1, 1, 2, self.records_max])
        body = b"".join(chosen.pack(made()) for _ in range(count))
        self.at_ns += rng.choice([0, 1, 1_000, 1_000_000])
        seq, self.seq = self.seq, self.seq + 2 * count - 1  # behind several records a gap
        frame = Frame.from_body(chosen, body)
        return encode_frame(frame, seq, self.at_ns, rng.getrandbits(40), rng.getrandbits(40), 3, 9)


def changed(frame: bytes, **changes: int) -> bytes:
    """Return *frame* with fields of its header overwritten."""
    header = Header(*HEADER.unpack_from(frame))
    values = {name: getattr(header, name) for name in header.__struct_fields__} | changes
    return HEADER.pack(*values.values()) + frame[HEADER_BYTES:]


def bad_frames(traffic: Traffic) -> list[bytes]:
    """Return frames on both sides of every bound, of each kind of record, each followed by one that is right."""
    bad = [bytes(8), bytes(48), bytes(56)]
    for layout in (INTENT, REPORT, QUOTE):
        one, two = traffic.frame(layout, 1), traffic.frame(layout, 2)
        size = layout.size
        bad += [changed(one, schema_id=value) for value in (0, 2, 39, 41, 42, 44, 65535)]
        bad += [changed(one, version=layout.version + step) for step in (-1, 1)]
        bad += [changed(one, stride=size + step) for step in (-8, -1, 1, 8)]
        bad += [changed(one, count=0), changed(one, count=traffic.records_max + 1), changed(one, count=2**31 + 1)]
        bad += [changed(two, body_bytes=2 * size + step) for step in (-8, -1, 1, 8, 2**31)]
        bad += [changed(two, count=1), changed(two, count=1, body_bytes=size)]
        bad += [changed(one, count=2, body_bytes=2 * size)]
        bad += [two[:end] for end in range(8, len(two), 8)]
        bad += [two + bytes(8 * beats) for beats in (1, 2, 9)]
    frames = []
    for each in bad:
        seq = traffic.seq
        follower = traffic.frame()
        if len(each) >= HEADER_BYTES and any(each):
            each = changed(each, seq=seq)  # which is the follower's as well: a frame that fell has not used it up
        frames += [each, follower]
    frames += late_frames(traffic)
    return frames


def late_frames(traffic: Traffic) -> list[bytes]:
    """Return frames that come twice, too late, or before the first; and those just after the last record of one."""
    two = traffic.frame(INTENT, 2)
    first = Header(*HEADER.unpack_from(two)).seq
    steps = [0, 1, -1, 2, 1, 3, 2, 4]  # of the frames of one record that follow: 2, 3 and 4 are new
    kinds = (INTENT, REPORT, QUOTE)
    late = [two, two, *(changed(traffic.frame(kind, 1), seq=first + step) for kind in kinds for step in steps)]
    late += [changed(traffic.frame(INTENT, 1), seq=seq) for seq in (-1, -(2**63), 0)]
    return [*late, changed(two, seq=traffic.seq + 1), two[:-8], traffic.frame()]
