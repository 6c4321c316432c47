"""Packed frames to a plugin's handlers, as the cascade calls them: one by one or in frames, each call guarded."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from penstock_sdk.core.faults import error_text, fault_text
from penstock_sdk.core.wiring import _one_by_one, handlers_of
from penstock_sdk.events import TaskResult, Timer
from penstock_sdk.plugin import Plugin
from penstock_sdk.process.far_context import FarHost
from penstock_sdk.process.flow import FlowError, count_records
from penstock_sdk.schema import Frame, Layout, SchemaError, layouts
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES

__all__ = ["Hearer"]

_header = HEADER.unpack_from


class _Route(NamedTuple):
    """Who hears the records of one schema here, in order: the context's parts, then the plugin."""

    layout: Layout
    unpack: Callable[..., tuple[Any, ...]] | None
    """Of a packed record: its values, at an offset."""
    inner: Callable[[Any], object] | None
    """A part of the context that hears single events."""
    keep: bool
    """The context keeps it as history."""
    single: Callable[[Any], Any] | None
    many: Callable[[Frame], Any] | None


class Hearer:
    """Lets one plugin hear frames; what it says goes to its host's outbox.

    Raises:
        WiringError: the plugin has a handler that no record calls.
    """

    def __init__(self, host: FarHost, plugin: Plugin, kind: str) -> None:
        self._host = host
        self._outbox = host.outbox
        self._routes: dict[int, _Route | None] = {}
        self.last_seq = 0
        """Number of the last event that was heard."""
        handlers = handlers_of(plugin, kind)
        inner: dict[int, Callable[[Any], object]] = dict(host.keepers)
        inner[Timer.layout.id] = host.fired
        inner[TaskResult.layout.id] = lambda result: host.work.heard(result.task_id)
        for layout in layouts():
            single, many = handlers.get((layout.id, False)), handlers.get((layout.id, True))
            keep = host.history_kept.wants(layout.id)
            if single is not None or many is not None or keep or layout.id in inner:
                unpack = struct.Struct("<" + layout.codes).unpack_from if layout.packed else None
                self._routes[layout.id] = _Route(layout, unpack, inner.get(layout.id), keep, single, many)
            else:
                self._routes[layout.id] = None

    def guarded(self, name: str, call: Callable[..., Any], *args: Any) -> None:
        """Call the plugin, and take what it says; what it raises is a fault of the handler *name*."""
        try:
            out = call(*args)
        except BaseException as error:  # a plugin may raise anything; it is told, and the plugin goes on
            self._outbox.fault(name, fault_text(error))
            return
        if out is not None:
            self._outbox.say(out)

    def hear(self, frames: bytes) -> None:
        """Let each frame be heard, in order; one that cannot be read is a fault, and passed over.

        Raises:
            FlowError: the frames are cut.

        Cost: some 4 µs a frame of one beside its handler, 10 µs a frame of many.
        """
        moment, routes = self._host.moment, self._routes
        at, end = 0, len(frames)
        while at < end:
            if end - at < HEADER_BYTES:
                count_records(frames[at:])  # raises, and says what is wrong
            body_bytes, schema_id, _, _, seq, at_ns, _, root, count, stride, producer = _header(frames, at)
            body_at = at + HEADER_BYTES
            at = body_at + (body_bytes + 7 & ~7)
            if at > end:
                raise FlowError(f"frames end {at - end} bytes short of the last frame's {body_bytes}, padded to 8")
            if at_ns > moment.now_ns:
                moment.now_ns = at_ns
            moment.seq = seq
            moment.correlation_seq = root
            moment.producer = producer
            if seq + count > self.last_seq:
                self.last_seq = seq + count - 1
            try:
                route = routes[schema_id]
            except KeyError:
                self._unknown(schema_id)
                continue
            if route is None:
                continue
            layout, unpack, inner, keep, single, _ = route
            try:
                if unpack is None:
                    event = layout.unpack(frames[body_at : body_at + body_bytes])
                elif count == 1 and single is not None and not keep and stride >= layout.size and body_bytes == stride:
                    event = layout.cls(*unpack(frames, body_at))
                else:
                    self._hear_frame(_frame(layout, frames, body_at, body_bytes, count, stride), route)
                    continue
            except Exception as error:
                self._outbox.fault("frames", error_text(error))
                continue
            if inner is not None:
                inner(event)
            if single is not None:
                try:
                    out = single(event)
                except BaseException as error:  # as in `guarded`, which costs a call more
                    self._outbox.fault(f"on_{layout.snake}", fault_text(error))
                    continue
                if out is not None:
                    self._outbox.say(out)

    def _hear_frame(self, frame: Frame, route: _Route) -> None:
        layout, _, inner, keep, single, many = route
        if keep:
            self._host.history_kept.add(frame)
        if inner is not None:
            for event in frame.records():
                inner(event)
        if len(frame) == 1 and single is not None:
            self.guarded(f"on_{layout.snake}", single, next(frame.records()))
        elif many is not None:
            self.guarded(f"on_{layout.plural}", many, frame)
        elif single is not None:
            name = f"on_{layout.snake}"
            self.guarded(name, _one_by_one(single, name), frame)

    def _unknown(self, schema_id: int) -> None:
        """Pass over a schema that nobody here declares; said once: a newer host may know more than this SDK."""
        self._routes[schema_id] = None
        text = f"schema id {schema_id} met, which nothing here declares; import what declares it, or hear less"
        self._outbox.fault("frames", text)


def _frame(layout: Layout, frames: bytes, at: int, body_bytes: int, count: int, stride: int) -> Frame:
    """Return the frame whose body stands at *at*.

    A longer stride is that of a newer host: what was appended is passed over. A shorter one is that of an older host:
    what it does not know has its default.
    """
    if body_bytes != count * stride or not count:
        raise SchemaError(
            f"frame of {layout.name} met a body of {body_bytes} bytes, wanted {count} records of {stride}"
        )
    body = memoryview(frames)[at : at + body_bytes]
    if stride >= layout.size:
        return Frame.from_body(layout, body, stride)
    known = sum(field.offset + field.width <= stride for field in layout.fields)
    required = len(layout.fields) - len(layout.cls.__struct_defaults__)
    if known < required:
        raise SchemaError(f"{layout.name} met a stride of {stride} bytes, which lacks fields that it cannot be without")
    blank = layout.pack(layout.cls(*[0] * required))
    whole = np.tile(np.frombuffer(blank, np.uint8), (count, 1))
    whole[:, :stride] = np.frombuffer(body, np.uint8).reshape(count, stride)
    return Frame.from_body(layout, whole.tobytes())
