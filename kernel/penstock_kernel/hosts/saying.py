"""What a plugin out of process says: held to its rights, made events, names given ids; timers, work and log taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from penstock_kernel.hosts.bounds import TIMERS_MAX
from penstock_kernel.hosts.frames import Breach, each_event, events_of, met_and_wanted
from penstock_kernel.hosts.host_state import HostState
from penstock_kernel.hosts.rights import REFUSALS_MAX
from penstock_sdk.core.faults import Raised, RecordedFault, shown
from penstock_sdk.events import Alert, IdKind, Severity, TaskResult
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.peer import PeerError
from penstock_sdk.schema import Event, Frame
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.messages import Batch, Message

__all__ = ["Saying"]

LOG_LINES_MAX = 500
"""Lines of the log that one plugin writes in a second; more are passed over."""
FIELDS_JSON_MAX = 16_384
"""Characters of one line's fields; more are passed over."""
NAMES_MAX = 100_000
"""Names that one plugin may bring into a session …"""
NAME_BYTES_MAX = 1024
"""… and how long one may be."""


class Saying(HostState):
    """A plugin as it is heard."""

    def _on_batch(self, lane: Lane, batch: Message) -> Iterator[None] | None:
        if batch.asks:
            self._answer_names(lane, batch)
        if self.link is None or self.link.lost:
            return None
        if not self.stepped:
            return self.take_said(batch)
        if batch.answers:
            for task_id in batch.tasks_begun:  # a result may come before anybody takes this answer
                self._tasks.setdefault(task_id, None)
            self._answers.append(batch)
            return None
        self._take_rest(batch)
        for event in self._decoded(batch):
            if type(event) is TaskResult and event.task_id in self._tasks:
                self._tasks[event.task_id] = event
            else:
                self.lose(f"it said {type(event).__name__} outside of a step", breach=True)
        return None

    def said(self, batch: Message) -> list[Any] | None:
        """Return the events of a batch that it may say, faults in their places; take timers, log lines and the rest.

        Raises:
            RecordedFault: that its handler raised is all that there is.
        """
        self._take_rest(batch)
        out: list[Any] = [self._allowed(event) for event in self._decoded(batch)]
        for fault in reversed(batch.faults):
            at = min(fault.after_frames, len(out))
            out.insert(at, Raised(fault.handler, RecordedFault(fault.handler, fault.error[:1000])))
        if len(out) == 1 and type(out[0]) is Raised and out[0].handler != "returned":
            raise out[0].error
        return out or None

    def _decoded(self, batch: Message) -> list[Event]:
        try:
            return events_of(batch.frames) if batch.frames else []
        except Breach as error:
            self.lose(str(error), breach=True)
            return []

    def _each(self, batch: Message) -> Iterator[Event]:
        try:
            yield from each_event(batch.frames)
        except Breach as error:
            self.lose(str(error), breach=True)

    def _allowed(self, event: Event) -> Event:
        """Return the event, or where it may not say that, an alert in its place."""
        rights = self.rights
        assert rights is not None
        why = rights.refusal(event)
        if not why:
            return event
        rights.refused += 1
        if rights.refused >= REFUSALS_MAX:
            self.lose(f"it said {rights.refused} times what it may not, the last: {why}")
        met, wanted = met_and_wanted(why)
        return Alert(
            code="plugin.not_allowed", severity=Severity.ERROR, subject=self.name, met=met, wanted=wanted,
            way_out="declare it in the plugin's manifest, or tell its vendor; it was dropped",
        )  # fmt: skip

    def _take_rest(self, batch: Message) -> None:
        kernel = self.hosts.kernel
        if batch.timers or batch.timers_forgotten:
            self._set_timers(batch.timers)
            assert self.ctx is not None
            for timer_id in batch.timers_forgotten:
                kernel.cancel_timer(self.ctx.plugin_id, timer_id)
        for line in batch.log:
            if not self._may_log():
                break
            severity = Severity(line.severity) if line.severity in Severity._value2member_map_ else Severity.INFO
            try:
                fields = json.loads(line.fields_json) if 0 < len(line.fields_json) <= FIELDS_JSON_MAX else {}
            except (ValueError, RecursionError):
                fields = {}
            kernel.write_log(severity, self.name, line.text[:4096], fields if isinstance(fields, dict) else {})
        if batch.tasks_begun and self.stepped:
            for task_id in batch.tasks_begun:
                self._tasks.setdefault(task_id, None)  # an answer to a call, as of Start, was not queued
                kernel.tasks.expect(partial(self._has_result, task_id), partial(self._result, task_id))
        if batch.effects_waiting:
            if not self.stepped:
                self._effects_waiting = batch.effects_waiting
            elif self.ctx is not None:
                self.ctx.effect(self.hosts.tell_written, self.name)

    def _may_log(self) -> bool:
        """Return whether it may write another line: a log must not fill the disk."""
        now_s = monotonic()
        if now_s - self._logged_s >= 1.0:
            self._logged_s, self._logged = now_s, 0
        self._logged += 1
        return self._logged <= LOG_LINES_MAX

    def _set_timers(self, timers: Any) -> None:
        assert self.ctx is not None
        held = self.hosts.kernel.timers
        if timers and held.live(self.ctx.plugin_id) + len(timers) > TIMERS_MAX:
            met = held.live(self.ctx.plugin_id)
            self.lose(f"it set {len(timers):,} timers beside {met:,}, wanted at most {TIMERS_MAX:,}", breach=True)
            return
        for timer in timers:
            try:
                held.set(self.ctx.plugin_id, timer.due_ns, timer.tag, timer.timer_id)
            except (ValueError, OverflowError) as error:
                self.lose(f"timer {timer.timer_id}: {error}", breach=True)

    def _has_result(self, task_id: int) -> bool:
        return self._tasks.get(task_id) is not None

    def _result(self, task_id: int) -> TaskResult:
        """Return the result of submitted work, waiting for it; time stands still."""
        assert self.ctx is not None
        while self._tasks.get(task_id) is None and self.link is not None and self.up:
            self.hosts.reactor.turn(0.25)
        result = self._tasks.pop(task_id, None)
        if result is None:
            return TaskResult(
                plugin_id=self.ctx.plugin_id, task_id=task_id, ok=False, error="the plugin's process has ended"
            )
        return result

    def take_said(self, batch: Message) -> Iterator[None]:
        """Take what it says in wall time, as inputs to come: an event, or a fault, with each step."""
        hosts = self.hosts
        self._take_rest(batch)
        origin = Origin.EXTERNAL if batch.from_outside else Origin.REPLY
        slot = self.slot
        if slot is None:
            return
        if batch.due_ns or batch.taken_all or (self._asked_ahead and batch.from_outside and not batch.frames):
            self._take_recorded(batch)
            return
        for event in self._each(batch):
            hosts.offer(self._allowed(event), slot, origin)
            yield
        for fault in batch.faults:
            yield
            self.faults_told, self.last_fault = self.faults_told + 1, f"{fault.handler}: {fault.error[:200]}"
            hosts.fault(slot, fault.handler, RecordedFault(fault.handler, fault.error[:1000]))

    def _take_recorded(self, batch: Message) -> None:
        """Keep a feed's recorded events until they are due."""
        self._asked_ahead, self._taken_all = False, batch.taken_all
        at = 0
        for event in self._decoded(batch):
            if self._pass_over:  # an earlier process gave it, and it was taken
                self._pass_over -= 1
                at += len(event) if type(event) is Frame else 1
                continue
            self._given_ahead += 1
            self._ahead.append((batch.due_ns[at] if at < len(batch.due_ns) else 2**63, self._allowed(event)))
            at += len(event) if type(event) is Frame else 1
        if at != len(batch.due_ns):
            self.lose(f"it gave {at} recorded events ahead and {len(batch.due_ns)} times", breach=True)

    def _answer_names(self, lane: Lane, batch: Message) -> None:
        """Give ids to names; each is an event, now or before."""
        self.names_asked += len(batch.asks)
        frames = []
        for name in batch.asks:
            known = name.kind in IdKind._value2member_map_ and name.kind
            if not known or not name.name or len(name.name.encode()) > NAME_BYTES_MAX or self.names_asked > NAMES_MAX:
                self.lose(
                    f"it asked for an id of kind {name.kind} for {shown(name.name)}, its {self.names_asked}th; wanted "
                    f"a known kind, a name of 1 … {NAME_BYTES_MAX} bytes, and at most {NAMES_MAX:,} of them",
                    breach=True,
                )
                return
            frames.append(self.hosts.name_frame(IdKind(name.kind), name.name, self._plugin_id))
        if self.link is not None and not self.link.lost:
            with suppress(PeerError):
                self.link.send(lane, Batch(frames=b"".join(frames), answers=batch.number), len(frames))
