"""Run to completion: number an input, record it, let its handlers hear it, then all that they return.

```
input → number, stamp → record → handlers in fixed order → what they return: inner queue → …until empty
```
A handler that raises is counted against its plugin; the others still hear the event. A cascade that does not end is cut
at a configured number of events: what its noisiest plugin still had queued is dropped, and that plugin quarantined.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from penstock_sdk.context import Moment
from penstock_sdk.core.faults import Raised, RecordedFault, fault_text, shown
from penstock_sdk.core.timing import Timing, timed
from penstock_sdk.core.wiring import FrameRoute, Route, Slot, Target, compile_routes
from penstock_sdk.events import Alert, ExecutionReport, PluginFault, PluginState, PluginStatus, Severity
from penstock_sdk.schema import ABSENT, Event, Frame
from penstock_sdk.wire.frame import Origin, encode_frame

__all__ = ["EVENTS_PER_INPUT_MAX", "FAULTS_MAX", "Cascade"]

EVENTS_PER_INPUT_MAX = 100_000
FAULTS_MAX = 10
"""Faults after which a plugin is quarantined."""

_MISFITS = (struct.error, TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
"""What encoding a record raises when a value does not fit its field."""

astuple = msgspec.structs.astuple
Sink = Callable[[bytes], object]
"""Takes the bytes of a frame."""


class _Call:
    """A queued call that is no event: a plugin's ``on_start`` or ``on_stop``, behind the state change it belongs to."""

    __slots__ = ("target",)

    def __init__(self, target: Target) -> None:
        self.target = target


class Cascade:
    """Numbers events and lets them be heard.

    Args:
        moment: written with every event; contexts read it.
        sink_for: returns where the bytes of a schema's frames go, None for nowhere; asked once per schema and wiring.
    """

    def __init__(
        self,
        moment: Moment,
        sink_for: Callable[[int], Sink | None],
        *,
        events_per_input_max: int = EVENTS_PER_INPUT_MAX,
        faults_max: int = FAULTS_MAX,
    ) -> None:
        self.moment = moment
        self.seq = 0
        self.slots: list[Slot] = []
        self.kernel_slot = Slot("kernel", 0, self, "kernel")
        self.on_quarantine: Callable[[Slot, str], None] = lambda slot, reason: None
        self.admit: Callable[[Any, Slot], Any] = lambda event, venue: event
        """A venue's report passes through here before it is numbered."""
        self.quarantine_state: Callable[[Slot, str], Event] = _quarantine_state
        """Returns the event that says so."""
        self.after_frame: Callable[[Frame], None] | None = None
        self.record_frame: Callable[[Frame, int, int, Slot], bytes | None] = lambda frame, seq, origin, slot: None
        """Returns the bytes to record in place of a frame (a reference), or None to record the frame itself."""
        self.last_fault = ""
        self._sink_for = sink_for
        self.events_max = events_per_input_max
        self.faults_max = faults_max
        self._queue: deque[tuple[Any, int, int, Slot]] = deque()
        self._routes: dict[type, tuple[Any, ...]] = {}
        """Routes as plain tuples: the interpreter unpacks those twice as fast as named ones."""
        self._frames: dict[int, FrameRoute] = {}
        self._sinks: dict[int, Sink | None] = {}
        self.timing: Timing | None = None
        """Times the handlers of an input now and then. Set it, `wire` anew, then set `until_timed` to 1 or more."""
        self.until_timed = 0
        """Counts down to the next timed input; at 0 or below none comes."""
        self._timed_routes: dict[type, tuple[Any, ...]] = {}
        self._timed_frames: dict[int, FrameRoute] = {}
        self._being_timed = False

    def wire(self, slots: Iterable[Slot]) -> None:
        """Compile who hears what; also while a cascade runs."""
        self.slots = list(slots)
        routes, frames = compile_routes(self.slots)
        self._sinks.clear()
        for cls in routes:
            schema_id = cls.layout.id  # type: ignore[attr-defined]
            self._sinks[schema_id] = self._sink_for(schema_id)
        self._routes.clear()
        for cls, route in routes.items():
            self._routes[cls] = _plain(route._replace(sink=self._sinks[cls.layout.id]))  # type: ignore[attr-defined]
        self._frames.clear()
        self._frames.update(frames)
        if self.timing is not None:
            self._wire_timed(self.timing)

    def _wire_timed(self, timing: Timing) -> None:
        """Compile the same routes once more, with every handler timed."""
        known: dict[int, tuple[Any, ...]] = {}

        def target(plain: tuple[Any, ...]) -> tuple[Any, ...]:
            call, slot, name = plain
            if id(plain) not in known:
                known[id(plain)] = (timed(call, timing.note_for(slot.name, name)), slot, name)
            return known[id(plain)]

        self._timed_routes.clear()
        for cls, (targets, *between, by_id) in self._routes.items():
            by_address = {address: tuple(map(target, hearing)) for address, hearing in by_id.items()}
            self._timed_routes[cls] = (tuple(map(target, targets)), *between, by_address)
        self._timed_frames.clear()
        for schema_id, route in self._frames.items():
            self._timed_frames[schema_id] = FrameRoute(tuple(Target(*target(t)) for t in route.targets))

    def run(self, event: Event, origin: int, producer: Slot) -> None:
        """Handle one input and all that follows from it. ``moment.now_ns`` has been set to its stamp.

        Cost: some 0.3 µs an event and handler, and as much again to encode it.
        """
        moment, queue, routes = self.moment, self._queue, self._routes
        timing = None
        self.until_timed -= 1
        if not self.until_timed and self.timing is not None:
            timing = self.timing
            routes = self._begin_timed(timing)
        seq = self.seq
        now_ns, cause, last = moment.now_ns, ABSENT, 0
        moment.correlation_seq = root = seq + 1
        while True:
            route = routes.get(type(event))
            if route is None:
                self.seq = seq
                self._uncommon(event, cause, origin, producer)
                seq = self.seq
            else:
                targets, sink, pack, encode, size, schema_id, version, address, by_id = route
                seq += 1
                moment.seq = seq
                moment.producer = plugin_id = producer.plugin_id
                try:
                    if address is not None:
                        targets = by_id.get(address(event), targets)
                    if sink is None:
                        pass
                    elif pack is not None:
                        sink(
                            pack(
                                size, schema_id, version, origin, seq, now_ns, cause, root, 1, size, plugin_id,
                                *astuple(event),  # type: ignore[arg-type]
                            )
                        )  # fmt: skip
                    else:
                        sink(encode(event, seq, now_ns, cause, root, origin, plugin_id))
                except _MISFITS as error:
                    seq -= 1
                    self._misfit(event, cause, producer, error)
                    targets = ()
                for call, slot, name in targets:
                    try:
                        out = call(event)
                    except BaseException as error:  # a plugin may raise anything; Ctrl-C is a signal of the kernel's
                        self.fault(slot, name, error)
                        continue
                    if out is None:
                        continue
                    if slot.is_venue:
                        self._from_venue(out, seq, slot)
                    elif type(out) is list or type(out) is tuple:
                        for item in out:
                            queue.append((item, seq, slot.origin, slot))
                    else:
                        queue.append((out, seq, slot.origin, slot))
            if not queue:
                break
            if seq >= last:
                last = last or root - 1 + self.events_max  # most inputs never come here
                if seq >= last and self._cut_storm():
                    last = seq + self.events_max
                    if not queue:
                        break
            event, cause, origin, producer = queue.popleft()
        self.seq = seq
        if timing is not None:
            self._being_timed = False
            self.until_timed = timing.end()

    def _begin_timed(self, timing: Timing) -> dict[type, tuple[Any, ...]]:
        """Return the timed routes; frames go through theirs until the input has been handled."""
        self._being_timed = True
        timing.begin()
        return self._timed_routes

    def run_with(self, event: Event, origin: int, producer: Slot, then: Target) -> None:
        """Handle one input, and call *then* right after its handlers: a plugin's ``on_start`` or ``on_stop``."""
        self._queue.append((_Call(then), self.seq + 1, origin, then.slot))
        self.run(event, origin, producer)

    def push(self, event: Event, producer: Slot | None = None) -> None:
        """Add an event to the cascade that is running, caused by the event at hand."""
        slot = producer or self.kernel_slot
        self._queue.append((event, self.moment.seq, slot.origin, slot))

    def hearers(self, event: Event) -> tuple[Target, ...]:
        """Return who hears an event, in order."""
        if type(event) is Frame:
            return self._frames[event.layout.id].targets
        route = Route(*self._routes[type(event)])
        targets = route.targets if route.address is None else route.by_id.get(route.address(event), route.targets)
        return tuple(Target(*target) for target in targets)

    def take_queue(self) -> list[Any]:
        """Return what handlers have queued outside of a cascade, and forget it."""
        queued = [event for event, *_ in self._queue]
        self._queue.clear()
        return queued

    @property
    def running(self) -> bool:
        """True while something is queued."""
        return bool(self._queue)

    def _misfit(self, event: Any, cause: int, producer: Slot, error: Exception) -> None:
        """Count an event that cannot be encoded against the plugin that made it; it is not numbered."""
        layout = type(event).layout
        if layout.packed:
            error = layout.misfit(event)
        elif type(error) is not TypeError:
            error = TypeError(f"{layout.name} met {shown(event)}, wanted what msgpack carries: {error}")
        self._bad_event(error, cause, producer)

    def _bad_event(self, error: Exception, cause: int, producer: Slot) -> None:
        """Count an event that cannot be used. An input that cannot is told of by an input of the kernel's own."""
        if cause == ABSENT:
            fault = PluginFault(
                plugin_id=producer.plugin_id, name=producer.name, handler="returned", error=fault_text(error),
                faults=producer.faults + 1,
            )  # fmt: skip
            self._queue.appendleft((fault, ABSENT, Origin.KERNEL, self.kernel_slot))
        else:
            self.moment.seq = cause
            self.fault(producer, "returned", error, at_once=True)

    def _uncommon(self, event: Any, cause: int, origin: int, producer: Slot) -> None:
        """Handle what is no single record: a frame, a queued call, or nonsense."""
        if type(event) is Frame and event.layout.id in self._frames:
            if len(event) == 1 and (cause == ABSENT or origin == Origin.REPLY):
                # What is recorded, not recomputed, must be heard alike in a replay, and the bytes are a single's.
                self._queue.appendleft((next(event.records()), cause, origin, producer))
            else:
                self._handle_frame(event, cause, origin, producer)
        elif type(event) is _Call:
            self._call(event.target, None)
        elif type(event) is Raised:
            # One that has been quarantined meanwhile is not counted on: its frame may hold thousands more.
            if producer in self.slots:
                self.moment.seq = cause
                self.fault(producer, event.handler, event.error, at_once=True)
        else:
            wanted = "None, a record, a Frame or a list of them"
            self._bad_event(TypeError(f"met {type(event).__name__} {shown(event)}, wanted {wanted}"), cause, producer)

    def _handle_frame(self, frame: Frame, cause: int, origin: int, producer: Slot) -> None:
        moment = self.moment
        layout = frame.layout
        seq = self.seq + 1
        sink = self._sinks[layout.id]
        if sink is not None:
            sink(
                self.record_frame(frame, seq, origin, producer)
                or encode_frame(frame, seq, moment.now_ns, cause, moment.correlation_seq, origin, producer.plugin_id)
            )
        self.seq += len(frame)
        moment.seq = seq
        moment.producer = producer.plugin_id
        for target in (self._timed_frames if self._being_timed else self._frames)[layout.id].targets:
            self._call(target, frame)
        if self.after_frame is not None:
            self.after_frame(frame)

    def _call(self, target: Target, event: Any) -> None:
        call, slot, name = target
        try:
            out = call(event)
        except BaseException as error:  # a plugin may raise anything; Ctrl-C is a signal of the kernel's
            self.fault(slot, name, error)
            return
        if out is None:
            return
        if slot.is_venue:
            self._from_venue(out, self.moment.seq, slot)
            return
        for item in out if isinstance(out, (list, tuple)) else (out,):
            self._queue.append((item, self.moment.seq, slot.origin, slot))

    def _from_venue(self, out: Any, cause: int, slot: Slot) -> None:
        queue, origin = self._queue, slot.origin
        for item in out if isinstance(out, (list, tuple)) else (out,):
            if type(item) is ExecutionReport:
                queue.append((self._admitted(item, slot), cause, origin, slot))
            elif type(item) is Frame and item.layout.cls is ExecutionReport:
                # Reports are admitted one by one, also those that come in a frame.
                for report in item.records():
                    queue.append((self._admitted(report, slot), cause, origin, slot))
            else:
                queue.append((item, cause, origin, slot))

    def _admitted(self, event: Any, slot: Slot) -> Any:
        try:
            return self.admit(event, slot)
        except TypeError:
            return event  # of values that no field holds; it is refused when it is to be numbered

    def fault(self, slot: Slot, handler: str, error: BaseException, *, at_once: bool = False) -> None:
        """Count a fault against a plugin, say it as an event, and quarantine the plugin when it has had too many.

        With *at_once* it is the next event: it stands where what it is about would have stood. Of a plugin that has
        been quarantined meanwhile nothing is counted on: what it had queued was made before.
        """
        if slot.plugin_id and slot not in self.slots:
            return
        slot.faults += 1
        if type(error) is RecordedFault:
            handler = error.handler
        text = self.last_fault = fault_text(error)
        event = PluginFault(plugin_id=slot.plugin_id, name=slot.name, handler=handler, error=text, faults=slot.faults)
        add = self._queue.appendleft if at_once else self._queue.append
        add((event, self.moment.seq, Origin.DERIVED, self.kernel_slot))
        if slot.faults >= self.faults_max and slot in self.slots and slot.plugin_id:
            self.quarantine(slot, f"{slot.faults} faults, the last in {handler}: {text}")

    def quarantine(self, slot: Slot, reason: str, wanted: str = "") -> None:
        """Let a plugin hear nothing more; say so."""
        self.wire([s for s in self.slots if s is not slot])
        self.tell_quarantine(slot, reason, wanted)
        self.on_quarantine(slot, reason)

    def tell_quarantine(self, slot: Slot, reason: str, wanted: str = "") -> None:
        """Say that a plugin hears nothing more; of one that is lost, which heard nothing before."""
        self.push(self.quarantine_state(slot, reason))
        self.push(
            Alert(
                code="plugin.quarantined", severity=Severity.ERROR, subject=slot.name, met=reason,
                wanted=wanted or f"fewer than {self.faults_max} faults",
                way_out="mend the plugin and start it again; its orders are being cancelled",
            )
        )  # fmt: skip

    def _cut_storm(self) -> bool:
        """End a cascade that does not: drop what the noisiest plugin has queued, and quarantine it.

        Returns False when only the kernel's own events are queued: who feeds the storm shows at the next.
        """
        queued = Counter(producer.plugin_id for _, _, _, producer in self._queue if producer.plugin_id)
        if not queued:
            return False
        noisiest = max(queued, key=lambda plugin_id: (queued[plugin_id], plugin_id))
        # A report tells of an order at the market: it is never dropped, whatever else its venue does.
        kept = [item for item in self._queue if item[3].plugin_id != noisiest or type(item[0]) is ExecutionReport]
        dropped = len(self._queue) - len(kept)
        self._queue.clear()
        self._queue.extend(kept)
        reason = f"cascade of more than {self.events_max} events, {dropped} of its events dropped"
        slot = next((s for s in self.slots if s.plugin_id == noisiest), None)
        if slot is not None:
            self.quarantine(slot, reason)
        return True


def _plain(route: Route) -> tuple[Any, ...]:
    """Return a route, and the targets in it, as exact tuples in the same order."""
    by_id = {plugin_id: tuple(map(tuple, targets)) for plugin_id, targets in route.by_id.items()}
    return tuple(route._replace(targets=tuple(map(tuple, route.targets)), by_id=by_id))  # type: ignore[arg-type]


def _quarantine_state(slot: Slot, reason: str) -> Event:
    return PluginState(
        plugin_id=slot.plugin_id,
        name=slot.name,
        status=PluginStatus.QUARANTINED,
        previous=PluginStatus.RUNNING,
        reason=reason,
    )
