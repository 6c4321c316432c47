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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penstock_sdk.context import Context, Identity
from penstock_sdk.core.core import _restore_plugin, class_name, plugin_state
from penstock_sdk.core.faults import error_text, fault_text, shown
from penstock_sdk.core.state_bytes import pack_state, unpack_state
from penstock_sdk.core.wiring import Slot, WiringError
from penstock_sdk.events import CheckResult, CheckVerdict, Order
from penstock_sdk.plugin import Check, Feed, Plugin
from penstock_sdk.process.ahead import Ahead
from penstock_sdk.process.describing import config_of, describe
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.far_context import FarHost, Port
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.hearer import Hearer
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.target import load_target
from penstock_sdk.schema import Control, Frame, Record
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

STATE_FORMAT = 1
_ANSWERS = (int(CheckResult.PASSED), int(CheckResult.REFUSED))
_header = HEADER.unpack_from


class EngineError(PeerError):
    """A call that cannot be done; the text says why."""


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
        self._host = FarHost(0, False, port)
        self._instance: Message | None = None
        self._config: Any = None
        self._slot: Slot | None = None
        self._hearer: Hearer | None = None
        self._poller: Callable[[], Sequence[Any]] | None = None
        self._ahead: Ahead | None = None
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
        config, faults = config_of(self.cls, request.config_json, folder, lambda: FarHost(0, False, None).reference)
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
        self._hearer = Hearer(host, self.plugin, self.cls.kind)
        self._ahead = Ahead(self.plugin, host.outbox) if isinstance(self.plugin, Feed) else None
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
        self._heard.last_seq = request.last_seq
        return RestoreReply()

    @property
    def last_seq(self) -> int:
        """Return the number of the last event that was handled; 0 before any was."""
        return 0 if self._hearer is None else self._hearer.last_seq

    @property
    def _heard(self) -> Hearer:
        assert self._hearer is not None, "configured before it hears"
        return self._hearer

    def _want(self, method: str, *states: str) -> None:
        if self.state not in states:
            raise EngineError(f"{method} met a plugin that is {self.state}, wanted {' or '.join(states)}")

    def _at(self, now_ns: int, seq: int) -> None:
        moment = self._host.moment
        moment.now_ns = max(moment.now_ns, now_ns)
        moment.seq = moment.correlation_seq = seq
        self._heard.last_seq = max(self._heard.last_seq, seq)

    def _said_by(self, name: str, call: Callable[[], Any]) -> Message:
        """Return what a call of the plugin's says as one batch, whatever its topics: the reply of a call holds one."""
        outbox = self._host.outbox
        outbox.lane, outbox.one_lane = Lane.EVENTS, True
        try:
            self._heard.guarded(name, call)
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
            EngineError: the plugin is not configured.
            FlowError: its frames are broken.
        """
        self.hear(lane, batch)
        return self.collect(lane, answers=batch.step)

    def hear(self, lane: Lane, batch: Message) -> None:
        """Handle a batch of the host's; what the plugin says is kept until `collect`."""
        host = self._host
        host.outbox.lane = lane
        if batch.answers:  # to a name that was asked for; or `KNOWN`
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
                self._want_events()
                self._heard.hear(batch.frames)
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

    def _want_events(self) -> None:
        # As in the kernel: what others say at their start, and what a stop causes, is heard like all else.
        if self.state not in ("configured", "started", "drained"):
            raise EngineError(f"frames met a plugin that is {self.state}, wanted one that is configured")

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
        """Give a feed's next recorded events."""
        host = self._host
        if self._ahead is None:
            raise EngineError(f"take met a plugin of kind {self.cls.kind}, wanted a feed")
        if self.state != "started":
            raise EngineError(f"take met a feed that is {self.state}, wanted one that is started")
        if batch.now_ns > host.moment.now_ns:
            host.moment.now_ns = batch.now_ns
        self._ahead.give(batch.take)
