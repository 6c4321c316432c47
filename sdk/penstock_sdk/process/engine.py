"""One plugin class, run for a host that is elsewhere: the calls of `plugin.proto`, and its batches.

The class cannot tell that it is not in the kernel: its handlers are called as the cascade calls them, one by one or in
frames, each guarded; its context gives the same time, names, random draws and numbers. Transports carry the batches.

    engine = Engine(MyVenue, port=port)
    engine.call("Configure", request)
    for lane, said in engine.batch(Lane.ORDERS, batch):
        ...
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

from penstock_sdk.context import Context, Identity
from penstock_sdk.core.core import _restore_plugin, class_name, plugin_state
from penstock_sdk.core.faults import error_text, fault_text, shown
from penstock_sdk.core.state_bytes import pack_state, unpack_state
from penstock_sdk.core.wiring import Slot, WiringError, _one_by_one, handlers_of
from penstock_sdk.events import CheckResult, CheckVerdict, Order, TaskResult, Timer
from penstock_sdk.plugin import Check, Feed, Plugin
from penstock_sdk.process.describing import config_of, describe
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.far_context import FarHost, Port
from penstock_sdk.process.flow import FlowError, count_records
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.target import load_target
from penstock_sdk.schema import Control, Frame, Layout, Record, SchemaError, layouts
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES
from penstock_sdk.wire.messages import (
    METHODS,
    PACKAGE,
    PROTOCOL_MAJORS,
    Batch,
    ConfigureReply,
    DrainReply,
    Message,
    RestoreReply,
    SnapshotReply,
    StartReply,
    StopReply,
)

__all__ = ["Engine", "EngineError", "Port", "load_target"]

AHEAD_BYTES = 512 << 10
"""A feed's recorded events are given ahead in batches of at most some such size, however many are asked for."""
STATE_FORMAT = 1
_ANSWERS = (int(CheckResult.PASSED), int(CheckResult.REFUSED))
_header = HEADER.unpack_from


class EngineError(PeerError):
    """A call that cannot be done; the text says why."""


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


class Engine:
    """Runs one plugin.

    Args:
        cls: the plugin's class.
        id, version: as its manifest has them.
        port: how it asks its host for names in the middle of a handler.
    """

    def __init__(self, cls: type[Plugin], *, id: str = "", version: str = "", port: Port | None = None) -> None:
        self.cls = cls
        self.id = id
        self.version = version
        self.port = port
        self.incarnation = os.urandom(8).hex()
        """Changes with every start of the process."""
        self.plugin: Plugin | None = None
        self.on_work_done: Callable[[], object] = lambda: None
        """Called, in whatever thread, when submitted work is done: `poll` has something."""
        self.state = "new"
        """new, configured, started, drained, stopped."""
        self.stepped = False
        self.last_seq = 0
        """Number of the last event that was handled."""
        self._host = FarHost(0, False, port)
        self._instance: Message | None = None
        self._config: Any = None
        self._slot: Slot | None = None
        self._routes: dict[int, _Route | None] = {}
        self._poller: Callable[[], Sequence[Any]] | None = None
        self._ahead: Iterator[Any] | None = None
        self._ahead_taken = 0
        self._ahead_ns = -(2**63)
        self._effects_told = 0

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, method: str, request: Message) -> Message:
        """Return the reply to one of `messages.METHODS`.

        Raises:
            EngineError: it cannot be done now, or at all; the text is for who called.
        """
        if method not in METHODS:
            raise EngineError(f"call {method} met, wanted one of {', '.join(METHODS)}")
        reply: Message = getattr(self, f"_{method.lower()}")(request)
        return reply

    def _describe(self, request: Message) -> Message:
        if request.majors and not set(request.majors) & set(PROTOCOL_MAJORS):
            theirs = ", ".join(map(str, request.majors))
            raise EngineError(
                f"host {request.host_version} speaks majors {theirs} of {PACKAGE.rpartition('.')[0]}, this plugin "
                f"{', '.join(map(str, PROTOCOL_MAJORS))}; install another version of penstock-sdk with the plugin"
            )
        try:
            return describe(self.cls, self.id, self.version, self.incarnation)
        except WiringError as error:
            raise EngineError(str(error)) from error

    def _configure(self, request: Message) -> Message:
        if not request.validate_only:
            self._want("Configure", "new", "configured")
        instance = request.instance
        folder = Path(instance.folder) if instance.folder else Path()
        config, faults = config_of(self.cls, request.config_json, folder, FarHost(0, False, None).reference)
        try:
            limits = json.loads(instance.limits_json) if instance.limits_json else {}
            if not isinstance(limits, dict):
                raise ValueError(f"met {type(limits).__name__}")
        except ValueError as error:
            faults.append(f"limits_json: {error}; wanted a JSON object")
        if not faults and not request.validate_only:
            self._instance, self._config = instance, config
            try:
                self._make(limits)
                self.state = "configured"
            except WiringError as error:
                faults.append(str(error))
            except Exception as error:
                faults.append(f"plugin {instance.name} cannot be built: {error_text(error)}")
        return ConfigureReply(faults=faults)

    def _make(self, limits: dict[str, Any] | None = None) -> None:
        """Build the plugin's instance anew, with a context of its own."""
        who = self._instance
        assert who is not None
        if limits is None:
            limits = json.loads(who.limits_json) if who.limits_json else {}
        self._host.work.close()
        self.stepped = who.simulated
        self._host = host = FarHost(who.plugin_id, self.stepped, self.port)
        host.work.on_done = lambda: self.on_work_done()
        ctx = Context(
            host, who.name, who.plugin_id, run_seed=who.run_seed, seed=who.seed,
            identity=Identity(who.book_id, who.algo_id, who.algo_version, who.trader_id, who.account_id),
            limits=limits, run_dir=Path(who.data_folder) if who.data_folder else None,
            folder=Path(who.folder) if who.folder else None,
        )  # fmt: skip
        for record in self.cls.history_of:
            host.history_kept.want(record, self.cls.history_ns)
        self.plugin = self.cls(ctx, self._config)
        self._slot = Slot(who.name, who.plugin_id, self.plugin, self.cls.kind, ctx)
        self._wire()
        self._ahead, self._ahead_taken, self._ahead_ns = None, 0, -(2**63)
        self.last_seq = 0

    def _wire(self) -> None:
        """Compile who hears what."""
        assert self.plugin is not None
        handlers = handlers_of(self.plugin, self.cls.kind)
        host = self._host
        inner: dict[int, Callable[[Any], object]] = dict(host.keepers)
        inner[Timer.layout.id] = host.fired
        inner[TaskResult.layout.id] = lambda result: host.work.heard(result.task_id)
        self._routes = {}
        for layout in layouts():
            single, many = handlers.get((layout.id, False)), handlers.get((layout.id, True))
            keep = host.history_kept.wants(layout.id)
            if single is not None or many is not None or keep or layout.id in inner:
                unpack = struct.Struct("<" + layout.codes).unpack_from if layout.packed else None
                self._routes[layout.id] = _Route(layout, unpack, inner.get(layout.id), keep, single, many)
            else:
                self._routes[layout.id] = None
        poll = getattr(self.plugin, "poll", None)
        self._poller = poll if callable(poll) else None

    def _start(self, request: Message) -> Message:
        # Of no event: it goes on where it was, and says so to nobody; also after a start that belongs to the past.
        goes_on = request.resumed and not request.seq
        self._want("Start", "configured", *(("started",) if goes_on else ()))
        assert self.plugin is not None
        self._host.know(request.known)
        self._at(request.now_ns, request.seq or self.last_seq)
        timers = self._host.timers_set()
        self.state = "started"
        self._host.begin_unheard()
        plugin = self.plugin
        if goes_on:
            said = self._said_by("start", lambda: None)  # work that was begun and not heard of
        elif request.resumed:
            said = self._said_by("on_resume", plugin.on_resume)
        else:
            said = self._said_by("on_start", plugin.on_start)
        return StartReply(said=said, timers=timers)

    def _drain(self, request: Message) -> Message:
        self._want("Drain", "started")
        assert self.plugin is not None
        self._at(request.now_ns, request.seq)
        said = self._said_by("on_stop", self.plugin.on_stop)
        self.state = "drained"
        return DrainReply(said=said)

    def _stop(self, _request: Message) -> Message:
        self._host.work.close()
        self.state = "stopped"
        return StopReply()

    def _snapshot(self, _request: Message) -> Message:
        self._want("Snapshot", "configured", "started", "drained")
        assert self._slot is not None
        try:
            state = {"format": STATE_FORMAT, "plugin": plugin_state(self._slot), "host": self._host.snapshot()}
            return SnapshotReply(state=pack_state(state), last_seq=self.last_seq)
        except Exception as error:
            return SnapshotReply(error=f"plugin {self._slot.name} has no state that can be kept: {error_text(error)}")

    def _restore(self, request: Message) -> Message:
        self._want("Restore", "configured")
        assert self._slot is not None
        try:
            state = unpack_state(request.state)
            if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
                raise ValueError(f"met another form of state, wanted form {STATE_FORMAT} of penstock-sdk")
            held = state["plugin"]
            if held["class"] != class_name(self._slot):
                raise ValueError(f"met the state of {held['class']}, wanted that of {class_name(self._slot)}")
            self._host.restore(state["host"])
            _restore_plugin(self._slot, held)
        except Exception as error:
            self._make()  # nothing of it is kept
            return RestoreReply(error=f"plugin {self._slot.name} cannot take up its state: {error_text(error)}")
        self.last_seq = request.last_seq
        return RestoreReply()

    def _want(self, method: str, *states: str) -> None:
        if self.state not in states:
            raise EngineError(f"{method} met a plugin that is {self.state}, wanted {' or '.join(states)}")

    def _at(self, now_ns: int, seq: int) -> None:
        moment = self._host.moment
        moment.now_ns = max(moment.now_ns, now_ns)
        moment.seq = moment.correlation_seq = seq
        self.last_seq = max(self.last_seq, seq)

    def _guarded(self, name: str, call: Callable[..., Any], *args: Any) -> None:
        """Call the plugin, and take what it says; what it raises is a fault."""
        outbox = self._host.outbox
        try:
            out = call(*args)
        except BaseException as error:  # a plugin may raise anything; it is told, and the plugin goes on
            outbox.fault(name, fault_text(error))
            return
        if out is not None:
            outbox.say(out)

    def _said_by(self, name: str, call: Callable[[], Any]) -> Message:
        """Return what a call of the plugin's says as one batch, whatever its topics: the reply of a call holds one."""
        outbox = self._host.outbox
        outbox.lane, outbox.one_lane = Lane.EVENTS, True
        try:
            self._guarded(name, call)
            batches = outbox.collect(Lane.EVENTS, effects=self._host.effects_waiting)
        finally:
            outbox.one_lane = False
        assert len(batches) <= 1, "what a call says goes on one lane"
        return batches[0][1] if batches else Batch()

    # -- batches ---------------------------------------------------------------------------------------------------

    def batch(self, lane: Lane, batch: Message) -> list[tuple[Lane, Message]]:
        """Handle a batch of the host's; return what the plugin says because of it, unnumbered, each for its lane.

        A step is answered by the batch with its `answers`, the last one, even when it is empty.

        Raises:
            EngineError: the plugin is not configured, or not started and told of the present.
            FlowError: its frames are broken.
        """
        self.hear(lane, batch)
        return self.collect(lane, answers=batch.step)

    def hear(self, lane: Lane, batch: Message) -> None:
        """Handle a batch of the host's; what the plugin says is kept until `collect`."""
        host = self._host
        host.outbox.lane = lane
        if batch.answers:
            host.know(batch.frames)
            return
        if batch.hearing != host.outbox.muted:
            host.outbox.muted = batch.hearing
        try:
            if batch.written_seq:
                host.run_effects(batch.written_seq)
            if batch.check:
                self._check_order(batch)
            elif batch.take:
                self._give_ahead(batch)
            elif batch.frames:
                self._want_events(batch)
                self._hear(batch.frames)
            if batch.now_ns > host.moment.now_ns:
                host.moment.now_ns = batch.now_ns
            if batch.written_seq and host.effects_waiting:
                host.run_effects(batch.written_seq)
        finally:
            host.outbox.muted = False

    def collect(self, lane: Lane, *, answers: int = 0) -> list[tuple[Lane, Message]]:
        """Return the batches of all that was said since the last call."""
        waiting = self._host.effects_waiting
        told, self._effects_told = self._effects_told, waiting
        return self._host.outbox.collect(lane, answers=answers, effects=waiting if answers or waiting > told else 0)

    def poll(self) -> list[tuple[Lane, Message]]:
        """Return what the plugin says by itself: what has come to it from outside, and results of submitted work.

        In simulated time only the latter.
        """
        host, outbox = self._host, self._host.outbox
        if self.state != "started":
            return []
        out: list[tuple[Lane, Message]] = []
        outbox.lane = Lane.EVENTS
        results = host.work.results()
        if results:
            outbox.say(results)
            out += self.collect(Lane.EVENTS)
        if self._poller is not None and not self.stepped:
            outbox.by_itself = True
            try:
                for event in list(self._poller()):
                    if isinstance(event, (Record, Control, Frame)):
                        outbox.say(event)
                    else:
                        wanted = f"met {shown(event)}, wanted a record or a Frame"
                        outbox.fault("poll", error_text(TypeError(wanted)))
            except Exception as error:
                outbox.fault("poll", fault_text(error))
            finally:
                out += self.collect(Lane.EVENTS)
                outbox.by_itself = False
        return out

    @property
    def polls(self) -> bool:
        """Return whether `poll` is to be called now and then: the plugin takes in what comes from outside."""
        return self.state == "started" and self._poller is not None and not self.stepped

    @property
    def working(self) -> bool:
        """Return whether submitted work is under way, whose result `poll` will give."""
        return bool(self._host.work)

    def close(self) -> None:
        """End what the plugin has begun outside of this process's thread."""
        self._host.work.close()

    # -- events ----------------------------------------------------------------------------------------------------

    def _want_events(self, batch: Message) -> None:
        # After Drain it is the host that tells nothing more; what a stop causes is heard as in the kernel.
        if self.state in ("started", "drained"):
            return
        if not (batch.hearing and self.state == "configured"):
            raise EngineError(
                f"frames met a plugin that is {self.state}, wanted one that is started; before Start only what is past "
                f"may come, with hearing"
            )

    def _hear(self, frames: bytes) -> None:
        """Let each frame be heard, in order."""
        host = self._host
        moment, routes = host.moment, self._routes
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
                elif count == 1 and stride >= layout.size and body_bytes == stride:
                    event = layout.cls(*unpack(frames, body_at))
                    if keep or single is None:
                        body = memoryview(frames)[body_at : body_at + body_bytes]
                        self._hear_frame(Frame.from_body(layout, body, stride), route, keep_only=single is not None)
                        if single is None:
                            continue
                else:
                    self._check_size(layout, body_bytes, count, stride)
                    body = memoryview(frames)[body_at : body_at + body_bytes]
                    self._hear_frame(Frame.from_body(layout, body, stride), route)
                    continue
            except Exception as error:
                host.outbox.fault("frames", error_text(error))
                continue
            if inner is not None:
                inner(event)
            if single is not None:
                try:
                    out = single(event)
                except BaseException as error:  # a plugin may raise anything; it is told, and the plugin goes on
                    host.outbox.fault(f"on_{layout.snake}", fault_text(error))
                    continue
                if out is not None:
                    host.outbox.say(out)

    def _hear_frame(self, frame: Frame, route: _Route, *, keep_only: bool = False) -> None:
        if route.keep:
            self._host.history_kept.add(frame)
        if keep_only:
            return
        if route.inner is not None:
            for event in frame.records():
                route.inner(event)
        if route.many is not None:
            self._guarded(f"on_{route.layout.plural}", route.many, frame)
        elif route.single is not None:
            name = f"on_{route.layout.snake}"
            self._guarded(name, _one_by_one(route.single, name), frame)

    @staticmethod
    def _check_size(layout: Layout, body_bytes: int, count: int, stride: int) -> None:
        if body_bytes != count * stride:
            raise SchemaError(
                f"frame of {layout.name} met a body of {body_bytes} bytes, wanted {count} records of {stride}"
            )

    def _unknown(self, schema_id: int) -> None:
        """Pass over a schema that nobody here declares; said once: a newer host may know more than this SDK."""
        self._routes[schema_id] = None
        text = f"schema id {schema_id} met, which nothing here declares; import what declares it, or hear less"
        self._host.outbox.fault("frames", text)

    def _check_order(self, batch: Message) -> None:
        plugin, outbox, moment = self.plugin, self._host.outbox, self._host.moment
        if not isinstance(plugin, Check):
            raise EngineError(f"check met a plugin of kind {self.cls.kind}, wanted risk or compliance")
        if count_records(batch.frames) != 1:
            raise EngineError(f"check met {count_records(batch.frames)} records, wanted one Order")
        body_bytes, schema_id, _, _, seq, at_ns, _, root, _, _, producer = _header(batch.frames)
        if schema_id != Order.layout.id or body_bytes < Order.layout.size:
            raise EngineError(f"check met a frame of schema {schema_id}, wanted one Order")
        moment.now_ns = max(moment.now_ns, at_ns, batch.now_ns)
        moment.seq, moment.correlation_seq, moment.producer = seq, root, producer
        order = Order.layout.unpack(batch.frames[HEADER_BYTES : HEADER_BYTES + Order.layout.size])
        try:
            verdict: Any = plugin.check_order(order)
            if (
                type(verdict) is not CheckVerdict
                or verdict.order_id != order.order_id
                or verdict.result not in _ANSWERS
            ):
                wanted = f"a CheckVerdict on order {order.order_id}, passed or refused"
                raise TypeError(f"check_order returned {shown(verdict)}, wanted {wanted}")
            CheckVerdict.layout.pack(verdict)  # one that cannot be recorded is no verdict
        except BaseException as error:  # a plugin may raise anything; the order is then refused
            outbox.fault("check_order", fault_text(error))
            return
        outbox.say(verdict)

    def _give_ahead(self, batch: Message) -> None:
        """Give a feed's next recorded events; fewer than asked for where they are large, `taken_all` at the end."""
        host, outbox = self._host, self._host.outbox
        if not isinstance(self.plugin, Feed):
            raise EngineError(f"take met a plugin of kind {self.cls.kind}, wanted a feed")
        if self.state != "started":
            raise EngineError(f"take met a feed that is {self.state}, wanted one that is started")
        if batch.now_ns > host.moment.now_ns:
            host.moment.now_ns = batch.now_ns
        outbox.one_lane = outbox.by_itself = True
        try:
            if self._ahead is None:
                self._ahead = iter(self.plugin.events())
            for _ in range(batch.take):
                item = next(self._ahead, None)
                if item is None:
                    outbox.taken_all = True
                    break
                self._ahead_taken += 1
                at_ns, event = self._checked(item)
                outbox.say(event)
                outbox.due_ns += [at_ns] * (len(event) if isinstance(event, Frame) else 1)
                if outbox.size >= AHEAD_BYTES:
                    break
        except Exception as error:  # what came before stands
            self._ahead = iter(())
            outbox.fault("events", error_text(error))
            outbox.taken_all = True
        finally:
            outbox.one_lane = outbox.by_itself = False

    def _checked(self, item: Any) -> tuple[int, Any]:
        """Return a feed's item when it can be numbered."""
        assert self._slot is not None
        where = f"feed {self._slot.name}, item {self._ahead_taken}"
        at_ns, event = index(item[0]), item[1]
        if not isinstance(event, (Record, Control, Frame)) or abs(at_ns) >= 2**63:
            raise ValueError(
                f"{where}: met {shown(item)}, wanted (at_ns, event) with nanoseconds of 64 bits and a record or a frame"
            )
        if at_ns < self._ahead_ns:
            raise ValueError(
                f"{where}: its time {at_ns} lies before the last, {self._ahead_ns}; sort the source by time"
            )
        if not isinstance(event, Frame):
            try:
                event.layout.pack(event)
            except Exception as error:
                raise event.layout.misfit(event) if event.layout.packed else error from None
        self._ahead_ns = at_ns
        return at_ns, event
