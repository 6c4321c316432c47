"""What the offload makes of frames, in the bench's words: what it takes whole, and what it hands to the gate."""

from __future__ import annotations

from typing import Any, NamedTuple

import penstock_sdk.events as events
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, Origin, encoder

__all__ = [
    "ENDINGS", "INTENT", "LAYOUTS", "QUOTE", "REPORT", "Entry", "Judge", "Note", "entries_of", "note_of",
    "verdict_frame",
]  # fmt: skip

INTENT, REPORT, QUOTE = (layout_of(kind) for kind in (events.OrderIntent, events.ExecutionReport, events.Quote))
LAYOUTS = {layout.id: layout for layout in (INTENT, REPORT, QUOTE)}
TRUNCATED, SCHEMA, VERSION, STRIDE, COUNT, LENGTH, BROKEN, LATE = range(1, 9)
ENDINGS = (events.ReportKind.CANCELLED, events.ReportKind.EXPIRED, events.ReportKind.REJECTED)
"""The reports after which an order works no more; its rest is released."""


class Note(NamedTuple):
    """What the answer to a check repeats of its order."""

    listing_id: int
    strategy_id: int
    source_ns: int
    recv_ns: int
    cause_seq: int
    correlation_seq: int


class Entry(NamedTuple):
    """One thing for the gate: a reference (kind None) or an order beat; fits 0 on a reference: it is passed over."""

    kind: int | None
    slot: int
    side: int
    price_ticks: int
    lots: int
    fits: int
    at_ns: int
    intent_id: int
    note: Note | None


class Judge:
    """Says why a frame is refused, and remembers the seq of the last record that took effect; a reset makes another."""

    def __init__(self, records_max: int) -> None:
        self.records_max = records_max
        self.last_seq = -1

    def reason(self, frame: bytes) -> int:
        """Return why *frame*, which comes next, is refused, or 0."""
        if len(frame) <= HEADER_BYTES:
            return TRUNCATED
        header = Header(*HEADER.unpack_from(frame))
        layout = LAYOUTS.get(header.schema_id)
        if layout is None:
            return SCHEMA
        rules = [
            (VERSION, header.version == layout.version),
            (STRIDE, header.stride == layout.size),
            (COUNT, 1 <= header.count <= self.records_max),
            (LENGTH, header.body_bytes == header.count * layout.size),
            (LATE, header.seq > self.last_seq),
            (BROKEN, len(frame) == HEADER_BYTES + header.count * layout.size),
        ]
        refusal = next((reason for reason, holds in rules if not holds), 0)
        if not refusal:
            self.last_seq = header.seq + header.count - 1
        return refusal


def entries_of(frame: bytes, slot_of: dict[int, int], slots: int, price_w: int, qty_w: int) -> list[Entry]:
    """Return what a frame that is right hands to the gate, in order."""
    header = Header(*HEADER.unpack_from(frame))
    layout = LAYOUTS[header.schema_id]
    made = []
    for nth in range(header.count):
        start = HEADER_BYTES + nth * layout.size
        record = layout.unpack(frame[start : start + layout.size])
        slot = slot_of.get(record.listing_id)
        if layout is QUOTE:
            if slot is not None and ABSENT not in (record.bid_ticks, record.ask_ticks):
                made.append(_reference(record, slot, header.at_ns, price_w))
            continue
        place = slots if slot is None else slot
        if layout is REPORT:
            entry = _report(record, place, header.at_ns, qty_w)
            made += [] if entry is None else [entry]
            continue
        made.append(_intent(record, place, header, nth, price_w, qty_w))
    return made


def _fits(value: int, width: int) -> bool:
    return -(1 << (width - 1)) <= value < 1 << (width - 1)


def _reference(quote: Any, slot: int, at_ns: int, price_w: int) -> Entry:
    fits = _fits(quote.bid_ticks, price_w) and _fits(quote.ask_ticks, price_w)
    mid = (quote.bid_ticks + quote.ask_ticks) >> 1 if fits else 0
    return Entry(None, slot, 0, mid, 0, int(fits), at_ns, 0, None)


def _lots(lots: int, qty_w: int) -> tuple[int, bool]:
    """Return the lots that the gate is shown, and whether they fit; a negative number is shown as 0."""
    fits = lots < 1 << qty_w
    return (max(lots, 0) if fits else 0), fits


def _report(report: Any, slot: int, at_ns: int, qty_w: int) -> Entry | None:
    fill = report.kind == events.ReportKind.FILL
    if not fill and report.kind not in ENDINGS:
        return None
    lots, fits = _lots(report.last_lots if fill else report.leaves_lots, qty_w)
    side = report.side if report.side < 4 else 0
    kind = GATE_FILL if fill else GATE_RELEASE
    return Entry(kind, slot, side, 0, lots, int(fits), at_ns, report.order_id, None)


def _intent(intent: Any, slot: int, header: Header, nth: int, price_w: int, qty_w: int) -> Entry:
    malformed = intent.action != events.IntentAction.NEW or intent.price_ticks == ABSENT or intent.side > 3
    price_fits = _fits(intent.price_ticks, price_w)
    lots, lots_fit = _lots(intent.qty_lots, qty_w)
    return Entry(
        GATE_CHECK, slot, 0 if malformed else intent.side, intent.price_ticks if price_fits else 0, lots,
        int(lots_fit and (price_fits or intent.price_ticks == ABSENT)), header.at_ns, intent.intent_id,
        note_of(intent, header, nth),
    )  # fmt: skip


def note_of(intent: Any, header: Header, nth: int) -> Note:
    """Return what the answer to the *nth* intent of a frame repeats."""
    return Note(
        intent.listing_id, intent.strategy_id, intent.source_ns, intent.recv_ns, header.seq + nth,
        header.correlation_seq,
    )  # fmt: skip


def verdict_frame(intent_id: int, reason: int, at_ns: int, note: Note, producer: int) -> bytes:
    """Return the answer to one check, as a plugin's answer is encoded."""
    verdict = events.CheckVerdict(
        intent_id, events.CheckResult.REFUSED if reason else events.CheckResult.PASSED, 0, reason, producer,
        ABSENT, ABSENT, note.listing_id, note.strategy_id, note.source_ns, note.recv_ns,
    )  # fmt: skip
    encode = encoder(layout_of(events.CheckVerdict))
    return encode(verdict, 0, at_ns, note.cause_seq, note.correlation_seq, Origin.REPLY, producer)
