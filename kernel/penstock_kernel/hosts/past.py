"""What of a journal a plugin out of process would have heard, in batches that tell it the past.

Its schemas, of orders and timers its own; of a check each order that it was asked about, asked again, so that it counts
it. What the plugin says of the past is dropped on its side (`hearing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock_sdk.core.wiring import Slot, _address_field
from penstock_sdk.events import CheckVerdict, IntentAction, Order, OrderState, PluginState, PluginStatus
from penstock_sdk.schema import Layout, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, encoder, padded
from penstock_sdk.wire.messages import Batch, Message
from penstock_sdk.wire.segment import FrameView

__all__ = ["Past", "Told"]

RECORDS_MAX = 4096
BYTES_MAX = 256 << 10
FRAMES_MAX = 64
"""Frames read, after which whoever reads may do something else, also when none of them is to be told."""
_NEW = int(IntentAction.NEW)


class Told(NamedTuple):
    """A batch of the past, how many records it holds, and the number of the last event up to which it tells.

    ``start`` is the event at which the plugin started first, where the batch is that and no batch.
    """

    batch: Message | None
    records: int
    last_seq: int
    start: FrameView | None = None


_PAUSE = Told(None, 0, -1)


class Past:
    """Makes batches of frames as they are read.

    Args:
        wants: whether the plugin hears a schema, by its id.
        from_start: it knows nothing yet: it is told from where it first started, which is said as `Told.start`.
        early: with *from_start*, it is told before that what it heard before its start, once it was wired.
    """

    def __init__(self, slot: Slot, wants: Callable[[int], bool], *, from_start: bool, early: bool = False) -> None:
        self._slot = slot
        self._wants = wants
        self._waits_for_start = from_start
        self._tells_early = early
        self._early: list[Told] = []
        self._checks = slot.kind in ("risk", "compliance")
        self._questions: dict[int, FrameView] = {}
        """Orders that a check was asked about and has not answered yet, by id: of one that answers later."""
        self._answered: set[int] = set()
        """Orders that it answered at once: the order itself is said after the verdict."""
        self._addresses: dict[int, str | None] = {}

    def batches(self, frames: Iterable[FrameView]) -> Iterator[Told]:
        """Yield what is to be told of *frames*; the last one may hold nothing, and says how far they went.

        Between them come some that hold nothing and say nothing: there the reading may pause.
        """
        parts: list[bytes] = []
        records = size = 0
        last_seq, last_ns = -1, 0
        for number, frame in enumerate(frames, 1):
            if number % FRAMES_MAX == 0:
                yield _PAUSE
            for told in self._of(frame):
                if isinstance(told, bytes):
                    parts.append(told)
                    records += frame.count
                    size += len(told)
                    continue
                if parts:
                    yield Told(Batch(frames=b"".join(parts), now_ns=last_ns, hearing=True), records, last_seq)
                    parts, records, size = [], 0, 0
                yield told
            last_seq, last_ns = frame.seq + frame.count - 1, frame.at_ns
            if records >= RECORDS_MAX or size >= BYTES_MAX:
                yield Told(Batch(frames=b"".join(parts), now_ns=last_ns, hearing=True), records, last_seq)
                parts, records, size = [], 0, 0
        if last_seq >= 0:
            batch = Batch(frames=b"".join(parts), now_ns=last_ns, hearing=True) if parts else None
            yield Told(batch, records, last_seq)

    def _of(self, frame: FrameView) -> Iterator[bytes | Told]:
        layout = schema_by_id(frame.schema_id)
        if self._waits_for_start:
            if self._tells_early:
                self._keep_early(frame, layout)
            if layout.cls is PluginState and self._is_start(layout.unpack(bytes(frame.body))):
                self._waits_for_start = False
                yield from self._early
                self._early.clear()
                yield Told(None, 0, frame.seq, frame)
            return
        if self._checks:
            yield from self._asked(frame, layout)
        if self._wants(frame.schema_id):
            data = self._own(frame, layout)
            if data:
                yield data

    def _keep_early(self, frame: FrameView, layout: Layout) -> None:
        """Keep what is heard before the start: from where the last plugin was configured, which is when all hear."""
        if layout.cls is PluginState:
            state: Any = layout.unpack(bytes(frame.body))
            if state.status == PluginStatus.CONFIGURED:
                self._early.clear()
                return
        if self._checks:
            self._early += self._asked(frame, layout)
        if self._wants(frame.schema_id) and (data := self._own(frame, layout)):
            batch = Batch(frames=data, now_ns=frame.at_ns, hearing=True)
            self._early.append(Told(batch, frame.count, frame.seq + frame.count - 1))

    def _is_start(self, state: Any) -> bool:
        ran = state.status == PluginStatus.RUNNING and state.previous == PluginStatus.CONFIGURED
        return bool(ran and state.name == self._slot.name)

    def _own(self, frame: FrameView, layout: Layout) -> bytes:
        """Return a frame, or those of its records that are addressed to the plugin."""
        if layout.id not in self._addresses:
            self._addresses[layout.id] = _address_field(layout, self._slot.kind)
        field, number = self._addresses[layout.id], self._slot.plugin_id
        if field is None:
            return bytes(frame.raw)
        if not layout.packed:
            return bytes(frame.raw) if getattr(layout.unpack(bytes(frame.body)), field) == number else b""
        if frame.count == 1:
            return bytes(frame.raw) if _field(frame, layout, field) == number else b""
        array = np.frombuffer(bytes(frame.body), layout.dtype) if frame.stride == layout.size else None
        if array is None:
            return bytes(frame.raw)
        mine = np.ascontiguousarray(array[array[field] == number])
        if not len(mine):
            return b""
        head = list(HEADER.unpack_from(frame.raw))
        head[0], head[8] = mine.nbytes, len(mine)
        return HEADER.pack(*head) + mine.tobytes() + bytes(padded(mine.nbytes) - mine.nbytes)

    # -- checks ----------------------------------------------------------------------------------------------------

    def _asked(self, frame: FrameView, layout: Layout) -> Iterator[Told]:
        """Yield the question about an order at the place where the check was asked or had answered."""
        if layout.cls is CheckVerdict and frame.count == 1:
            verdict: Any = layout.unpack(bytes(frame.body))
            if verdict.check_id != self._slot.plugin_id:
                return
            question = self._questions.pop(verdict.order_id, None)
            if question is None:
                self._answered.add(verdict.order_id)
            else:
                yield _question(question, layout_order())
        elif layout.cls is Order and frame.count == 1:
            order: Any = layout.unpack(bytes(frame.body))
            if order.action == _NEW and order.state == OrderState.PENDING_CHECK:
                self._questions[order.order_id] = frame
            elif order.order_id in self._answered:
                self._answered.discard(order.order_id)
                yield _question(frame, layout)
            else:
                self._questions.pop(order.order_id, None)  # it ended before this check was asked, or answered


def layout_order() -> Layout:
    """Return the layout of orders."""
    layout: Layout = Order.layout
    return layout


def _question(frame: FrameView, layout: Layout) -> Told:
    """Return the batch that asks a check about an order, as it was asked then."""
    order: Any = layout.unpack(bytes(frame.body))
    order = msgspec.structs.replace(order, state=int(OrderState.PENDING_CHECK), reason=0)
    data = encoder(layout)(
        order, frame.seq, frame.at_ns, frame.cause_seq, frame.correlation_seq, frame.origin, frame.producer
    )
    return Told(Batch(frames=data, now_ns=frame.at_ns, check=True, hearing=True), 1, frame.seq)


def _field(frame: FrameView, layout: Layout, field: str) -> int:
    array = np.frombuffer(bytes(frame.raw[HEADER_BYTES : HEADER_BYTES + layout.size]), layout.dtype)
    return int(array[field][0])
