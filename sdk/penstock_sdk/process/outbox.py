"""What a plugin has said and nobody has been told yet: packed into batches, faults at the places where they belong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock_sdk.context import Moment
from penstock_sdk.core.cascade import _MISFITS
from penstock_sdk.core.faults import Raised, error_text, fault_text, shown
from penstock_sdk.process.envelope import Lane
from penstock_sdk.schema import ABSENT, Frame, SchemaError, schema_by_id
from penstock_sdk.wire.frame import Encode, Origin, encode_frame, encoder
from penstock_sdk.wire.messages import Batch, Fault, LogLine, Message, TimerSet

__all__ = ["ANSWER_BYTES_MAX", "ANSWER_RECORDS_MAX", "ITEMS_MAX", "Outbox"]

SPLIT_BYTES = 1 << 20
SPLIT_RECORDS = 16_384
"""What comes of free events goes in batches of some such size."""
ANSWER_BYTES_MAX = 8 << 20
ANSWER_RECORDS_MAX = 32_768
"""The answer to a step is one batch: a plugin that says more at once is told so. Half of what a host grants."""
ITEMS_MAX = 2048
"""Timers, faults or log lines that go in one batch: a host bounds what a batch may hold beside frames."""
_ORDER_TOPICS = ("order", "risk")
_REPLY = int(Origin.REPLY)


class _Box:
    """Packed frames of one lane."""

    __slots__ = ("faults", "parts", "records", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.records = 0
        self.size = 0
        self.faults: list[tuple[str, str, int]] = []
        """(handler, error, frames before it)"""


class Outbox:
    """Takes what handlers return; gives batches.

    Args:
        moment: of the event at hand, which what is said is stamped with.
        plugin_id: who says it.
        stepped: everything goes on the lane EVENTS, one batch for each step.
    """

    def __init__(self, moment: Moment, plugin_id: int, stepped: bool) -> None:
        self._moment = moment
        self._plugin_id = plugin_id
        self._stepped = stepped
        self.lane = Lane.EVENTS
        """That of the batch at hand; faults go there."""
        self.muted = False
        """While the plugin hears of the past: what it says has been said."""
        self.by_itself = False
        """While it says what no event is the cause of."""
        self.one_lane = False
        """While everything goes where the batch at hand came from, whatever its topic."""
        self._boxes = {Lane.EVENTS: _Box(), Lane.ORDERS: _Box()}
        self._closed: list[tuple[Lane, _Box]] = []
        self._encoders: dict[type, tuple[Encode, Lane] | None] = {}
        self.due_ns: list[int] = []
        """When each record is due, of a feed's recorded events."""
        self.taken_all = False
        """There are no more of those."""
        self.timers: list[tuple[int, int, int]] = []
        self.forgotten: list[int] = []
        self.log: list[tuple[int, str, dict[str, Any]]] = []
        self.tasks_begun: list[int] = []

    def say(self, out: Any) -> None:
        """Take what a handler returned: nothing, an event, or several. What cannot be used becomes a fault."""
        if out is None or self.muted:
            return
        if isinstance(out, (list, tuple)) and type(out) is not Raised:
            for item in out:
                self._say(item)
        else:
            self._say(out)

    def fault(self, handler: str, text: str) -> None:
        """Take a fault; it stands where what it is about would have stood."""
        if not self.muted:
            lane = Lane.EVENTS if self._stepped else self.lane
            box = self._boxes[lane]
            if len(box.faults) >= ITEMS_MAX:
                if self._stepped or self.one_lane:
                    return  # of one event: what more it raised says nothing new
                box = self._close(lane)
            box.faults.append((handler, text, len(box.parts)))

    @property
    def size(self) -> int:
        """Return how many bytes of frames wait on the lane at hand."""
        return self._boxes[self.lane].size

    def _say(self, item: Any) -> None:
        kind = type(item)
        moment = self._moment
        cause, root = (ABSENT, 0) if self.by_itself else (moment.seq, moment.correlation_seq)
        try:
            known = self._encoders[kind]
        except KeyError:
            known = self._encoders[kind] = self._learn(kind)
        if known is not None:
            encode, lane = known
            try:
                data = encode(item, 0, moment.now_ns, cause, root, _REPLY, self._plugin_id)
            except _MISFITS as error:
                self.fault("returned", fault_text(_misfit(item, error)))
                return
            count = 1
        elif kind is Frame:
            data = encode_frame(item, 0, moment.now_ns, cause, root, _REPLY, self._plugin_id)
            lane, count = self._lane_of(item.layout.topic), len(item)
        elif kind is Raised:
            self.fault(item.handler, fault_text(item.error))
            return
        else:
            wanted = "None, a record, a Frame or a list of them"
            self.fault("returned", error_text(TypeError(f"met {kind.__name__} {shown(item)}, wanted {wanted}")))
            return
        if len(data) > ANSWER_BYTES_MAX:
            text = f"met {kind.__name__} of {len(data)} bytes, wanted at most {ANSWER_BYTES_MAX}; say it in parts"
            self.fault("returned", text)
            return
        if self.one_lane:
            lane = self.lane
        box = self._boxes[lane]
        if not self._stepped and not self.one_lane and box.size + len(data) > SPLIT_BYTES and box.parts:
            box = self._close(lane)
        box.parts.append(data)
        box.records += count
        box.size += len(data)
        if not self._stepped and not self.one_lane and box.records >= SPLIT_RECORDS:
            self._close(lane)

    def _learn(self, kind: type) -> tuple[Encode, Lane] | None:
        """Return how records of a type are packed, and where they go; None for what is no declared record."""
        layout = getattr(kind, "layout", None)
        try:
            if layout is None or schema_by_id(layout.id).cls is not kind:
                return None
        except (AttributeError, SchemaError):
            return None
        return encoder(layout), self._lane_of(layout.topic)

    def _lane_of(self, topic: str) -> Lane:
        return Lane.ORDERS if not self._stepped and topic.partition(".")[0] in _ORDER_TOPICS else Lane.EVENTS

    def _close(self, lane: Lane) -> _Box:
        self._closed.append((lane, self._boxes[lane]))
        box = self._boxes[lane] = _Box()
        return box

    def collect(self, lane: Lane, *, answers: int = 0, effects: int = 0) -> list[tuple[Lane, Message]]:
        """Return the batches of all that was said since the last call, in order; those of *lane* last.

        Args:
            lane: where what belongs to no frame goes: timers, log, the answer to a step.
            answers: the step that this is the answer to; the batch is then there even when it is empty.
            effects: how many effects wait.
        """
        other = Lane.ORDERS if lane == Lane.EVENTS else Lane.EVENTS
        boxes, self._closed = self._closed, []
        for each in (other, lane):
            box = self._boxes[each]
            if box.parts or box.faults or (each == lane and self._has_more(answers, effects)):
                boxes.append((each, box))
                self._boxes[each] = _Box()
        first = [] if self.one_lane else self._first_items()
        out = [(lane, batch) for batch in first] + [(each, self._batch(box, answers)) for each, box in boxes]
        if out and out[-1][0] == lane:
            self._add_more(out[-1][1], answers, effects)
        return out

    def _first_items(self) -> list[Message]:
        """Take off timers, and cancels of timers, that are too many for one batch; they go ahead of the rest."""
        out = []
        while len(self.timers) > ITEMS_MAX or (self.timers and len(self.forgotten) > ITEMS_MAX):
            now, self.timers = self.timers[:ITEMS_MAX], self.timers[ITEMS_MAX:]
            out.append(Batch(timers=[TimerSet(timer_id=n, due_ns=due, tag=tag) for n, due, tag in now]))
        while len(self.forgotten) > ITEMS_MAX:
            out.append(Batch(timers_forgotten=self.forgotten[:ITEMS_MAX]))
            self.forgotten = self.forgotten[ITEMS_MAX:]
        return out

    def _has_more(self, answers: int, effects: int) -> bool:
        return bool(
            answers
            or effects
            or self.timers
            or self.forgotten
            or self.log
            or self.tasks_begun
            or self.due_ns
            or self.taken_all
        )

    def _batch(self, box: _Box, answers: int) -> Message:
        if answers and (box.size > ANSWER_BYTES_MAX or box.records > ANSWER_RECORDS_MAX):
            text = (
                f"met {box.records} records in {box.size} bytes because of one event, wanted at most "
                f"{ANSWER_RECORDS_MAX} in {ANSWER_BYTES_MAX}; say the rest by a timer"
            )
            box = _Box()
            box.faults.append(("returned", text, 0))
        batch = Batch(frames=b"".join(box.parts) if len(box.parts) != 1 else box.parts[0])
        if box.faults:
            batch.faults.extend(Fault(handler=name, error=text, after_frames=at) for name, text, at in box.faults)
        if self.by_itself:
            batch.from_outside = True
        return batch

    def _add_more(self, batch: Message, answers: int, effects: int) -> None:
        if answers:
            batch.answers = answers
        if effects:
            batch.effects_waiting = effects
        if self.timers:
            batch.timers.extend(TimerSet(timer_id=n, due_ns=due, tag=tag) for n, due, tag in self.timers)
            self.timers.clear()
        if self.forgotten:
            batch.timers_forgotten.extend(self.forgotten)
            self.forgotten.clear()
        if self.log:
            batch.log.extend(
                LogLine(severity=severity, text=text, fields_json=_fields_json(fields) if fields else "")
                for severity, text, fields in self.log[:ITEMS_MAX]  # the host takes fewer in a second
            )
            self.log.clear()
        if self.tasks_begun:
            batch.tasks_begun.extend(self.tasks_begun)
            self.tasks_begun.clear()
        if self.due_ns:
            batch.due_ns.extend(self.due_ns)
            self.due_ns.clear()
        if self.taken_all:
            batch.taken_all = True
            self.taken_all = False


def _misfit(event: Any, error: Exception) -> Exception:
    """Return what is wrong with an event that cannot be encoded, in the words that a kernel has for it."""
    layout = type(event).layout
    if layout.packed:
        found: Exception = layout.misfit(event)
        return found
    if type(error) is not TypeError:
        return TypeError(f"{layout.name} met {shown(event)}, wanted what msgpack carries: {error}")
    return error


def _fields_json(fields: dict[str, Any]) -> str:
    default: Callable[[Any], str] = shown
    try:
        return json.dumps(fields, default=default, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps({key: shown(value) for key, value in fields.items()})
