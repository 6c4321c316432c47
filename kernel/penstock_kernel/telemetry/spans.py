"""Spans from the journal: what became of an order, and of an operator's command, with the times that were recorded.

```
input Quote                 the tick, of the trace that its number gives
└─ order 17                 from the tick to the order's end
   ├─ check risk            each check: value, limit, verdict
   ├─ venue epex            from its leaving to the venue's first answer
   ├─ fill                  each fill
   └─ cancel                from the cancel's leaving to its answer
command kill                an operator's command, to the last of its cancels that was answered
```
The kernel does nothing for it. Ids follow from the instance's name and event numbers: a span that is made twice is the
same span, and a log line of the same input has the same trace id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np

from penstock_kernel.telemetry.ids import span_id, trace_id
from penstock_sdk.events import (
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderState,
    PluginState,
    Reason,
    ReportKind,
    Side,
)
from penstock_sdk.schema import ABSENT, Frame, Layout, SchemaError, layout_of, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Origin
from penstock_sdk.wire.segment import Batch

__all__ = ["OPEN_MAX", "Span", "SpanMaker", "is_sampled"]

OPEN_MAX: Final = 20_000
"""Orders that are followed at once; beyond, the oldest ends unfinished."""

_ENDS: Final = (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
_HEARD: Final = (CheckVerdict, ExecutionReport, ListingDefinition, OperatorCommand, Order, PluginState)
_HEARD_IDS: Final = np.array([layout_of(cls).id for cls in _HEARD])


class Span(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One span; times are ns UTC of the run's clock, wall time in wall time."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str = ""
    start_ns: int
    end_ns: int
    ok: bool = True
    attributes: dict[str, str | int | float | bool] = {}
    links: list[tuple[str, str]] = []
    """(trace id, span id) of others that it has to do with."""


class _Open(msgspec.Struct):
    """A span that has not ended, and its children."""

    span: Span
    children: list[Span] = []
    sent_ns: int = ABSENT
    """When it left, until the venue has answered."""
    cancel: Span | None = None
    qty_lots: int = 0
    filled_lots: int = 0
    waits_for: list[int] = []
    """Orders whose cancels an operator's command waits for."""


class _State(msgspec.Struct):
    plugins: dict[int, str] = {}
    listings: dict[int, str] = {}
    orders: dict[int, _Open] = {}
    commands: dict[int, _Open] = {}
    unfinished: int = 0


def is_sampled(order_id: int, share: float) -> bool:
    """Return whether an order has a span: the same order always, and *share* of all."""
    return (order_id * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1) < share * (1 << 64)


class SpanMaker:
    """Makes spans of a journal's batches.

    Args:
        instance: the name that ids and logs are made with: the run's folder's.
        share: of the orders, which have spans.
        state: what `state` returned, to go on from there.
    """

    def __init__(self, instance: str, share: float = 1.0, state: bytes | None = None, open_max: int = OPEN_MAX) -> None:
        self.instance, self._share, self._open_max = instance, share, open_max
        self._s = msgspec.msgpack.decode(state, type=_State) if state else _State()
        self._out: list[Span] = []
        self._verdicts: list[Span] = []
        self._roots: set[int] = set()

    def state(self) -> bytes:
        """Return all that is open, to be kept for a restart."""
        return msgspec.msgpack.encode(self._s)

    @property
    def unfinished(self) -> int:
        """How many spans were ended early because too many were open."""
        return self._s.unfinished

    def add(self, batch: Batch) -> list[Span]:
        """Return the spans that ended in a batch. Cost: 30 ns a frame, some 10 µs an order that is sampled."""
        self._out, self._roots = [], set()
        for at in _wanted(batch):
            head = HEADER.unpack_from(batch.data, at)
            layout = schema_by_id(head[1])
            body = batch.data[at + HEADER_BYTES : at + HEADER_BYTES + head[0]]
            for event in _records(layout, body, head[9]):
                self._take(event, head, batch)
        for seq in [seq for seq, command in self._s.commands.items() if not command.waits_for]:
            self._out.append(self._s.commands.pop(seq).span)  # all that came of it is here
        return self._out

    def finish(self) -> list[Span]:
        """Return what is still open, ended where it stands, for a run that is over."""
        self._out = []
        for order_id in list(self._s.orders):
            self._end_order(order_id, self._s.orders[order_id].span.end_ns, "open")
        for seq in list(self._s.commands):
            self._out.append(self._s.commands.pop(seq).span)
        return self._out

    # -- events ----------------------------------------------------------------------------------------------------

    def _take(self, event: Any, head: tuple[Any, ...], batch: Batch) -> None:
        seq, at_ns, root = head[4], head[5], head[7]
        kind = type(event)
        if kind is CheckVerdict:
            if is_sampled(event.order_id, self._share):
                self._check(event, seq, at_ns, root)
        elif kind is Order:
            self._order(event, seq, at_ns, root, batch)
        elif kind is ExecutionReport:
            self._report(event, seq, at_ns, root)
        elif kind is OperatorCommand:
            self._command(event, seq, at_ns)
        elif kind is PluginState:
            self._s.plugins[event.plugin_id] = event.name
        else:
            self._s.listings[event.listing_id] = event.name

    def _span(self, name: str, what: str, number: int, root: int, start_ns: int, **more: Any) -> Span:
        return Span(
            name=name, trace_id=f"{trace_id(self.instance, root):032x}",
            span_id=f"{span_id(self.instance, what, number):016x}", start_ns=start_ns, end_ns=start_ns, **more,
        )  # fmt: skip

    def _check(self, verdict: CheckVerdict, seq: int, at_ns: int, root: int) -> None:
        passed = verdict.result == CheckResult.PASSED
        attributes: dict[str, Any] = {
            "passed": passed, "reason": _name(Reason, verdict.reason), "order_id": verdict.order_id, "seq": seq,
        }  # fmt: skip
        if verdict.met != ABSENT:
            attributes["met"] = verdict.met
        if verdict.limit != ABSENT:
            attributes["limit"] = verdict.limit
        name = f"check {self._plugin(verdict.check_id)}"
        self._verdicts.append(self._span(name, "check", seq, root, at_ns, ok=passed, attributes=attributes))

    def _order(self, order: Order, seq: int, at_ns: int, root: int, batch: Batch) -> None:
        if order.action == IntentAction.CANCEL:
            self._cancel(order, seq, at_ns, root)
        elif order.state in (OrderState.ROUTED, OrderState.REFUSED):
            verdicts, self._verdicts = self._verdicts, []
            if is_sampled(order.order_id, self._share):
                opened = self._begin(order, seq, at_ns, root, batch)
                opened.children += [v for v in verdicts if v.attributes["order_id"] == order.order_id]
                if order.state == OrderState.REFUSED:
                    opened.span.ok = False
                    self._end_order(order.order_id, at_ns, "refused")

    def _begin(self, order: Order, seq: int, at_ns: int, root: int, batch: Batch) -> _Open:
        if len(self._s.orders) >= self._open_max:
            self._s.unfinished += 1
            oldest = next(iter(self._s.orders))
            self._end_order(oldest, self._s.orders[oldest].span.end_ns, "unfinished")
        attributes: dict[str, Any] = {
            "order_id": order.order_id, "seq": seq, "strategy": self._plugin(order.strategy_id),
            "listing": self._s.listings.get(order.listing_id, str(order.listing_id)),
            "side": _name(Side, order.side), "qty_lots": order.qty_lots, "reason": _name(Reason, order.reason),
        }  # fmt: skip
        if order.price_ticks != ABSENT:
            attributes["price_ticks"] = order.price_ticks
        tick = self._root(root, at_ns, batch)
        span = self._span(
            f"order {order.order_id}", "order", order.order_id, root, tick.start_ns, parent_id=tick.span_id,
            attributes=attributes,
        )  # fmt: skip
        span.end_ns = at_ns
        opened = _Open(span, sent_ns=at_ns, qty_lots=order.qty_lots)
        if order.venue_id:
            attributes["venue"] = self._plugin(order.venue_id)
        self._s.orders[order.order_id] = opened
        return opened

    def _root(self, root: int, at_ns: int, batch: Batch) -> Span:
        """Return the input's span; it comes out once for all orders that follow from it."""
        span = self._span("input", "input", root, root, at_ns)
        found = _frame_of(batch, root)
        if found is not None:
            layout, event, head = found
            span.name = f"input {layout.name}"
            span.attributes = {"seq": root, "origin": _name(Origin, head[3] & 0x7F), "from": self._plugin(head[10])}
            source_ns, recv_ns = getattr(event, "source_ns", ABSENT), getattr(event, "recv_ns", ABSENT)
            if source_ns != ABSENT:
                span.attributes["source_ns"] = source_ns
            if recv_ns != ABSENT and recv_ns <= at_ns:
                span.start_ns = recv_ns
        if root not in self._roots:
            self._roots.add(root)
            self._out.append(span)
        return span

    def _report(self, report: ExecutionReport, seq: int, at_ns: int, root: int) -> None:
        opened = self._s.orders.get(report.order_id)
        if opened is not None:
            self._answer(opened, report, seq, at_ns, root)
        whole = report.kind == ReportKind.FILL and not report.leaves_lots
        if whole or report.kind in (*_ENDS, ReportKind.CANCEL_REJECTED):
            self._answer_commands(report.order_id, at_ns)

    def _answer(self, opened: _Open, report: ExecutionReport, seq: int, at_ns: int, root: int) -> None:
        span, kind = opened.span, report.kind
        links = self._links(span, root)
        if opened.sent_ns != ABSENT:
            venue = self._child(opened, f"venue {span.attributes.get('venue', '')}".rstrip(), "venue", seq, links)
            venue.start_ns, venue.end_ns, opened.sent_ns = opened.sent_ns, at_ns, ABSENT
            venue.attributes["answer"] = _name(ReportKind, kind)
            if report.source_ns != ABSENT:
                venue.attributes["source_ns"] = report.source_ns
        if kind == ReportKind.FILL:
            fill = self._child(opened, "fill", "fill", seq, links)
            fill.start_ns = fill.end_ns = at_ns
            fill.attributes |= {"lots": report.last_lots, "price_ticks": report.last_ticks}
            opened.filled_lots += report.last_lots
        if opened.cancel is not None and kind in (*_ENDS, ReportKind.CANCEL_REJECTED):
            opened.cancel.end_ns = at_ns
            opened.cancel.attributes["answer"] = _name(ReportKind, kind)
            opened.cancel.ok = kind != ReportKind.CANCEL_REJECTED
            opened.children.append(opened.cancel)
            opened.cancel = None
        span.end_ns = max(span.end_ns, at_ns)
        if kind in _ENDS:
            span.ok = kind != ReportKind.REJECTED
            if report.reason:
                span.attributes["reason"] = _name(Reason, report.reason)
            self._end_order(report.order_id, at_ns, _name(ReportKind, kind))
        elif kind == ReportKind.FILL and opened.filled_lots >= opened.qty_lots:
            self._end_order(report.order_id, at_ns, "filled")

    def _links(self, span: Span, root: int) -> list[tuple[str, str]]:
        """Return the link to an input that is not the one at the root of the span's trace."""
        trace = f"{trace_id(self.instance, root):032x}"
        return [] if trace == span.trace_id else [(trace, f"{span_id(self.instance, 'input', root):016x}")]

    def _child(self, opened: _Open, name: str, what: str, seq: int, links: list[tuple[str, str]]) -> Span:
        span = opened.span
        child = Span(
            name=name, trace_id=span.trace_id, span_id=f"{span_id(self.instance, what, seq):016x}",
            parent_id=span.span_id, start_ns=0, end_ns=0, attributes={"seq": seq}, links=links,
        )  # fmt: skip
        opened.children.append(child)
        return child

    def _end_order(self, order_id: int, at_ns: int, how: str) -> None:
        opened = self._s.orders.pop(order_id)
        opened.span.end_ns = max(at_ns, opened.span.start_ns)
        opened.span.attributes |= {"ended": how, "filled_lots": opened.filled_lots}
        if opened.cancel is not None:
            opened.children.append(opened.cancel)
        for child in opened.children:
            child.parent_id = opened.span.span_id
            child.attributes.pop("order_id", None)
        self._out += [opened.span, *opened.children]

    def _cancel(self, order: Order, seq: int, at_ns: int, root: int) -> None:
        opened = self._s.orders.get(order.order_id)
        if opened is not None and opened.cancel is None:
            opened.cancel = self._span("cancel", "cancel", seq, root, at_ns, attributes={"seq": seq})
            opened.cancel.links = self._links(opened.span, root)
            opened.cancel.trace_id = opened.span.trace_id
        command = self._s.commands.get(root)
        if command is not None:
            command.waits_for.append(order.order_id)
            command.span.attributes["cancels"] = len(command.waits_for)
            command.span.end_ns = at_ns

    # -- operators -------------------------------------------------------------------------------------------------

    def _command(self, command: OperatorCommand, seq: int, at_ns: int) -> None:
        if len(self._s.commands) >= self._open_max:
            self._s.unfinished += 1
            self._out.append(self._s.commands.pop(next(iter(self._s.commands))).span)
        given_ns = getattr(command, "source_ns", ABSENT)
        attributes: dict[str, Any] = {
            "command": command.command, "who": command.who, "why": command.why, "target": command.target,
            "peer": command.peer, "seq": seq,
        }  # fmt: skip
        span = self._span(f"command {command.command}", "input", seq, seq, at_ns, attributes=attributes)
        span.start_ns = given_ns if ABSENT < given_ns <= at_ns else at_ns
        self._s.commands[seq] = _Open(span)

    def _answer_commands(self, order_id: int, at_ns: int) -> None:
        for seq, command in list(self._s.commands.items()):
            if order_id in command.waits_for:
                command.waits_for.remove(order_id)
                command.span.end_ns = at_ns
                if not command.waits_for:
                    self._out.append(self._s.commands.pop(seq).span)

    def _plugin(self, plugin_id: int) -> str:
        return self._s.plugins.get(plugin_id, str(plugin_id)) if plugin_id else "kernel"


def _name(kind: Any, number: int) -> str:
    try:
        return str(kind(number).name.lower())
    except ValueError:
        return str(number)


def _wanted(batch: Batch) -> list[int]:
    """Return where the frames begin whose records make spans."""
    if not batch.starts:
        return []
    starts = np.array(batch.starts, np.int64)
    schemas = _words(batch)[starts >> 3] >> np.uint64(32) & np.uint64(0xFFFF)
    found: list[int] = starts[np.isin(schemas.astype(np.int64), _HEARD_IDS)].tolist()
    return found


def _words(batch: Batch) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.frombuffer(batch.data, "<u8", len(batch.data) >> 3)


def _records(layout: Layout, body: memoryview, stride: int) -> Iterator[Any]:
    if layout.packed:
        yield from Frame.from_body(layout, body, stride).records()
    else:
        yield layout.unpack(body)


def _frame_of(batch: Batch, seq: int) -> tuple[Layout, Any, tuple[Any, ...]] | None:
    """Return the layout, the first record and the header of the frame that begins with number *seq*, if it is here.

    A cascade is written whole, so the input of what a batch holds is in it.
    """
    starts = np.array(batch.starts, np.int64)
    place = int(np.searchsorted(_words(batch)[(starts >> 3) + 1].view(np.int64), seq))
    if place == len(starts):
        return None
    at = batch.starts[place]
    head = HEADER.unpack_from(batch.data, at)
    if head[4] != seq:
        return None
    try:
        layout = schema_by_id(head[1])
        event = next(_records(layout, batch.data[at + HEADER_BYTES : at + HEADER_BYTES + head[0]], head[9]))
    except (SchemaError, msgspec.MsgspecError, StopIteration):
        return None
    return layout, event, head
