"""What a plugin out of process is told: stepped, where time stands still until it has answered, or by a queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic
from typing import Any

from penstock_kernel.hosts.commands import HostError
from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.saying import Saying
from penstock_sdk.core.faults import RecordedFault
from penstock_sdk.events import Alert, Severity
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.peer import PeerError
from penstock_sdk.schema import Event, Frame
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.messages import Batch, Message

__all__ = ["Telling"]

AHEAD = 1024
"""Recorded events that a feed is asked for at once, in wall time."""
PING_S = 1.0
STATE_EVERY = 100_000
"""Events that a plugin may be told anew, in wall time, when it comes back: it is asked for its state so often …"""
STATE_S = 1.0
"""… and as often anew until it has given one."""
DATA_WAITING_MAX = 16_384
"""Inputs of data that wait to be numbered, above which plugins are not heard on EVENTS."""
KEPT_BYTES_MAX = 32 << 20
"""What is kept for a plugin that has not started yet."""


class Telling(Saying, ABC):
    """A plugin as it is told."""

    def tell(self, event: Event, schema_id: int) -> list[Any] | None:
        """Tell it an event, the one that is being handled; stepped, return what it says.

        Raises:
            RecordedFault: its handler raised.
        """
        if self.link is None or not self.up:
            return None
        frame = self.hosts.encoded(event)
        if not self.started and not self._takes_early():
            if not self._drained:
                self._keep(frame)
            return None
        heard = self.wanted is None or schema_id in self.wanted
        if not self.stepped:
            if heard or self.wants(schema_id):
                self._queue(event, frame)
            return None
        if not heard and not self.wants(schema_id):
            return None
        self._before.append(frame)
        if not heard:
            if len(self._before) >= 4096:
                self._flush_before()
            return None
        return self._step(Batch())

    def _takes_early(self) -> bool:
        """Return whether it handles events before its start, as in the kernel; see that it knows what it must."""
        if not self.early or self._knows:
            return self.early
        try:
            self._knows = self.early = self.catch_up(self.hosts.kernel.moment.seq)
        except PeerError as error:
            self.early = False
            self.lose(str(error))
        return self.early

    @abstractmethod
    def catch_up(self, before_seq: int) -> bool:
        """Let it know what holds by now, and give it what it left; False where only its start can do that."""

    def _step(self, batch: Message) -> list[Any] | None:
        link = self.link
        assert link is not None
        data = b"".join(self._before) if len(self._before) != 1 else self._before[0]
        self._before.clear()
        batch.frames = data
        kernel = self.hosts.kernel
        batch.now_ns = kernel.moment.now_ns
        self._answers.clear()
        try:
            link.step(batch, count_records(data), self.spec.answer_s)
        except PeerError as error:
            self.lose(str(error))
            return None
        answers, self._answers = self._answers, []
        if len(answers) == 1:
            return self.said(answers[0])
        out: list[Any] = []
        for answer in answers:
            out += self.said(answer) or ()
        return out or None

    def _flush_before(self) -> None:
        """Send what its context needs by itself: it grows without bound else."""
        self._step(Batch())

    def tell_written(self) -> None:
        """Let its effects happen: all up to here is written."""
        if self.link is not None and (self.started or self.early):
            with suppress(RecordedFault):
                self._step(Batch(written_seq=self.hosts.kernel.cascade.seq))

    def ask_check(self, order: Event) -> Any:
        """Ask it about an order: stepped, return its verdict; else None, and the verdict comes as an input.

        Raises:
            RecordedFault: it raised. HostError: it is not there.
        """
        if self.link is None or not (self.started or self._takes_early()):
            raise HostError(f"check {self.name} has no running process")
        frame = self.hosts.encoded(order)
        if not self.stepped:
            try:
                self._marker.spoil()
                self.link.flush(self.hosts.kernel.moment.now_ns, self.hosts.written_seq())
                self.link.send(Lane.ORDERS, Batch(frames=frame, check=True, now_ns=self.hosts.kernel.moment.now_ns), 1)
            except PeerError as error:
                self.lose(str(error))
                raise HostError(str(error)) from None
            return None
        if self._before:
            self._flush_before()
        self._before.append(frame)
        said = self._step(Batch(check=True))
        if not said:
            raise HostError(f"check {self.name} gave no verdict")
        return said[0]

    def take_ahead(self, number: int) -> tuple[list[tuple[int, Event]], bool]:
        """Return some of a feed's next recorded events with their times, and whether those were all.

        Raises:
            RecordedFault: it raised. HostError: it is not there.
        """
        if self.link is None or not self.started:
            raise HostError(f"feed {self.name} has no running process")
        if self._before:
            self._flush_before()
        batch = Batch(take=number, now_ns=self.hosts.kernel.moment.now_ns)
        self._answers.clear()
        try:
            self.link.step(batch, 0, self.spec.answer_s)
        except PeerError as error:
            self.lose(str(error))
            raise HostError(str(error)) from None
        out: list[tuple[int, Event]] = []
        taken_all = True
        for answer in self._answers:
            events = self._decoded(answer)
            due = list(answer.due_ns)
            taken_all = answer.taken_all
            at = 0
            for event in events:
                out.append((due[at] if at < len(due) else 2**63, event))
                at += len(event) if type(event) is Frame else 1
            if at != len(due):
                self.lose(f"it gave {at} recorded events ahead and {len(due)} times", breach=True)
            for fault in answer.faults:
                raise RecordedFault(fault.handler, fault.error)
            if not events and not taken_all:
                taken_all = True
        self._answers.clear()
        return out, taken_all

    def _keep(self, frame: bytes) -> None:
        self._kept.append(frame)
        self._kept_bytes += len(frame)
        if self._kept_bytes > KEPT_BYTES_MAX:
            self.lose(f"{self._kept_bytes:,} bytes of events came before it was started")

    def _queue(self, event: Any, frame: bytes) -> None:
        layout = event.layout
        family = layout.topic.partition(".")[0]
        lane = Lane.ORDERS if family in ("order", "risk") else Lane.EVENTS
        if self.spec.manifest.kind == "venue" and layout.topic in ("order.order", "order.reconcile"):
            # No order is at a market which the journal does not know.
            assert self.ctx is not None
            self.ctx.effect(self._offer, lane, frame, 1, layout, 0)
            return
        records = len(event) if hasattr(event, "array") else 1
        self._offer(lane, frame, records, layout, getattr(event, "listing_id", 0))

    def _offer(self, lane: Lane, frame: bytes, records: int, layout: Any, listing_id: int) -> None:
        if self.link is None or not self.up:
            return
        if not self.link.outbox[lane].offer(frame, records, layout, listing_id):
            self.lose(f"it does not take what it is told: {len(self.link.outbox[lane])} frames wait on {lane.name}")

    def poll(self, now_s: float, now_ns: int) -> None:
        """See that it lives: signs of life, calls that are overdue; let a feed's recorded events in that are due."""
        link = self.link
        if link is None or not self.up:
            return
        link.overdue()
        link.paused = self.hosts.kernel.lanes.data_waiting > DATA_WAITING_MAX
        if self.spec.manifest.kind == "feed" and self.started:
            self._poll_ahead(link, now_ns)
        if now_s - self._pinged_s >= PING_S:
            if not link.ponged and now_s - self._pinged_s >= self.spec.answer_s:
                self.lose(f"it has given no sign of life for {self.spec.answer_s:g} s")
            elif link.ponged:
                self._pinged_s = now_s
                link.ping()
        self._ask_state(now_s)
        self.held = self._marker.turn(link, now_s) or self.held

    def _ask_state(self, now_s: float) -> None:
        """Ask for its state now and then, whether the kernel takes snapshots or not: a return is to be quick."""
        known = self.held[1] if self.held is not None else 0
        behind = self.hosts.kernel.cascade.seq - known
        if self.started and behind >= STATE_EVERY and now_s >= self._state_asked_s + STATE_S:
            self._state_asked_s = now_s
            self._marker.want()

    def _poll_ahead(self, link: Link, now_ns: int) -> None:
        slot = self.slot
        while self._ahead and self._ahead[0][0] <= now_ns and slot is not None:
            self.hosts.offer(self._ahead.popleft()[1], slot, Origin.EXTERNAL)
        if len(self._ahead) < AHEAD and not self._asked_ahead and not self._taken_all:
            self._asked_ahead = True
            with suppress(PeerError):
                link.send(Lane.EVENTS, Batch(take=AHEAD, now_ns=now_ns), 0)

    def flush(self, now_ns: int, written_seq: int) -> None:
        """Send what waits, at the end of a turn."""
        link = self.link
        if link is None or not self.started or self._marker.holds:
            return
        try:
            link.flush(now_ns, written_seq)
            if self._effects_waiting and written_seq > self._written_told:
                self._effects_waiting, self._written_told = 0, written_seq
                link.send(Lane.EVENTS, Batch(now_ns=now_ns, written_seq=written_seq), 0)
        except PeerError as error:
            self.lose(str(error))
            return
        if not any(link.outbox.values()):
            self._marker.begin(self.hosts.kernel.cascade.seq, monotonic())
        self._tell_slow(link)

    def _tell_slow(self, link: Link) -> None:
        lost = sum(sum(outbox.lost.values()) for outbox in link.outbox.values())
        if lost and not self._slow:
            self._slow = True
            what = ", ".join(f"{n} {name}" for box in link.outbox.values() for name, n in box.lost.items())
            self.hosts.say_later(
                Alert(
                    code="plugin.slow",
                    severity=Severity.WARNING,
                    subject=self.name,
                    met=f"{what} so far: it takes less than it is told",
                    wanted="a plugin that keeps up",
                    way_out="see what keeps it busy; quotes are conflated, the oldest data dropped",
                )
            )
        elif self._slow and not any(link.outbox.values()):
            self._slow = False
            for outbox in link.outbox.values():
                for name, count in outbox.lost.items():
                    self.lost_records[name] = self.lost_records.get(name, 0) + count
                outbox.lost.clear()
            self.hosts.say_later(
                Alert(
                    code="plugin.slow", severity=Severity.INFO, subject=self.name, met="it keeps up again", cleared=True
                )
            )
