"""What plugins that are not recomputed said, read ahead from a journal and told in their place.

A plugin with ``deterministic = False`` is not called in a play-back: neither its handlers nor its checks. Its events
bear the origin REPLY and their cause; its faults, verdicts and interned names are told apart by their own fields.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from penstock_sdk.core.core import REFUSED_BY_CATALOG, Core
from penstock_sdk.core.faults import Raised, RecordedFault
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import CheckVerdict, Interned, PluginFault
from penstock_sdk.schema import ABSENT, Event
from penstock_sdk.wire.frame import DIAGNOSTIC, Origin
from penstock_sdk.wire.segment import FrameView

__all__ = ["Ahead", "Said"]


class Ahead:
    """Frames of a journal, in order; of the cascade that is being recomputed, what recorded plugins said.

    Reads ahead only when it is asked, and no further than to the next input: memory is that of one cascade.
    """

    def __init__(self, frames: Iterator[FrameView], decode: Callable[[FrameView], Event]) -> None:
        self._frames = frames
        self._decode = decode
        self._waiting: deque[FrameView] = deque()
        self._input_seq = 0
        """Number of the last input that was read ahead: all before it is known."""
        self._said: dict[tuple[int, int], list[Any]] = {}
        self._verdicts: dict[tuple[int, int], CheckVerdict] = {}

    def next(self) -> FrameView | None:
        """Return the next frame, or None at the end."""
        return self._waiting.popleft() if self._waiting else next(self._frames, None)

    def input_at(self, seq: int) -> Event | None:
        """Return the input that is recorded as event *seq*, or None; for one still to come, between cascades."""
        self._read_past(seq - 1)
        frame = next((frame for frame in self._waiting if frame.seq == seq and frame.cause_seq == ABSENT), None)
        return None if frame is None else self._decode(frame)

    def said(self, plugin_id: int, seq: int) -> list[Any]:
        """Return the list of what a plugin said because of event *seq*, faults included."""
        self._read_past(seq)
        return self._said.setdefault((plugin_id, seq), [])

    def verdict(self, plugin_id: int, order_id: int, seq: int) -> CheckVerdict | None:
        """Return a check's verdict on an order of the cascade that *seq* is in."""
        self._read_past(seq)
        return self._verdicts.get((plugin_id, order_id))

    def _read_past(self, seq: int) -> None:
        if seq < self._input_seq:
            return
        self._said.clear()
        self._verdicts.clear()
        for frame in self._frames:
            self._waiting.append(frame)
            if frame.cause_seq == ABSENT and frame.seq > seq:
                self._input_seq = frame.seq
                return
            self._keep(frame)
        self._input_seq = 2**63

    def _keep(self, frame: FrameView) -> None:
        if frame.cause_seq == ABSENT:
            return
        if frame.origin & ~DIAGNOSTIC == Origin.REPLY:
            self._said.setdefault((frame.producer, frame.cause_seq), []).append(self._decode(frame))
        elif frame.schema_id == PluginFault.layout.id:
            fault: Any = self._decode(frame)
            if fault.handler == REFUSED_BY_CATALOG:
                return  # of what it said: the kernel finds it again
            self._said.setdefault((fault.plugin_id, frame.cause_seq), []).append(fault)
        elif frame.schema_id == CheckVerdict.layout.id and frame.count == 1:
            verdict: Any = self._decode(frame)
            self._verdicts[verdict.check_id, verdict.order_id] = verdict


class Said:
    """One recorded plugin, as `penstock_sdk.core.faults.Recording` wants it."""

    def __init__(self, core: Core, slot: Slot, ahead: Ahead) -> None:
        self._core = core
        self._slot = slot
        self._ahead = ahead

    def answer(self, seq: int) -> list[Any] | None:
        """Return what the plugin returned for event *seq*; the names that it interned get their ids again.

        Raises:
            RecordedFault: it raised.
        """
        said = self._ahead.said(self._slot.plugin_id, seq)
        out: list[Any] = []
        for event in said:
            if type(event) is Interned:
                self._core.intern(event.kind, event.name, self._slot.plugin_id)
            elif type(event) is PluginFault:
                out.append(Raised(event.handler, RecordedFault(event.handler, event.error)))
            else:
                out.append(event)
        said.clear()
        if len(out) == 1 and type(out[0]) is Raised and out[0].handler != "returned":
            raise out[0].error
        return out or None

    def verdict(self, order_id: int) -> CheckVerdict | None:
        """Return what the plugin answered on an order, or None where the record ends before.

        Raises:
            RecordedFault: it raised, or answered nonsense.
        """
        seq = self._core.moment.seq
        said = self._ahead.said(self._slot.plugin_id, seq)
        for event in said:
            if type(event) is PluginFault and event.handler == "check_order":
                said.remove(event)
                raise RecordedFault(event.handler, event.error)
        return self._ahead.verdict(self._slot.plugin_id, order_id, seq)
