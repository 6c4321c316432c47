"""One process plugin, whatever became of its process: started, told, heard, ended; and what is known of it meanwhile.

Under the simulated clock time stands still for it: an event is a step, and its handler returns what it answered. In
wall time it is told without waiting, and what it says comes in as inputs (`ProcessHost.take_said`).
"""

from __future__ import annotations

import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from subprocess import TimeoutExpired
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from penstock_kernel.deployment_files import resolve_references
from penstock_kernel.hosts.commands import HostError, command_for
from penstock_kernel.hosts.frames import Breach, events_of
from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.marker import Marker
from penstock_kernel.hosts.returning import drive, returning
from penstock_kernel.hosts.rights import REFUSALS_MAX, Rights
from penstock_kernel.hosts.stderr import Stderr
from penstock_sdk.core.faults import Raised, RecordedFault, shown
from penstock_sdk.events import Alert, IdKind, Interned, Severity, TaskResult
from penstock_sdk.packages import PackageError, verify_pin
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.spawn import Child, launch
from penstock_sdk.schema import Event, Frame, schema_by_id
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.messages import (
    PROTOCOL_MAJORS,
    Batch,
    ConfigureRequest,
    DescribeRequest,
    DrainRequest,
    Instance,
    Message,
    SnapshotRequest,
    StartRequest,
    StopRequest,
)

if TYPE_CHECKING:
    from penstock_kernel.deployment import PluginSpec
    from penstock_kernel.hosts import Hosts
    from penstock_sdk.context import Context
    from penstock_sdk.core.wiring import Slot

__all__ = ["HostError", "ProcessHost"]

AHEAD = 1024
"""Recorded events that a feed is asked for at once, in wall time."""
PING_S = 1.0
CONFIGURE_S = 30.0
"""A plugin reads its files and compiles its code here, and at its start."""
DRAIN_S = 5.0
NAMES_MAX = 100_000
"""Names that one plugin may bring into a session …"""
NAME_BYTES_MAX = 1024
"""… and how long one may be."""
KEPT_BYTES_MAX = 32 << 20
"""What is kept for a plugin that has not started yet."""
_FIRST_BATCH_BYTES = 4 << 20


class ProcessHost:
    """One instance of a plugin out of process.

    Attributes:
        held: the plugin's last snapshot, (state, number of the last event in it), or None.
        on_lost: called with the reason when it ended by itself, broke the contract or kept silent; it is down then.
    """

    def __init__(self, spec: PluginSpec, hosts: Hosts) -> None:
        self.spec = spec
        self.name = spec.name
        self.hosts = hosts
        self.link: Link | None = None
        self.child: Child | None = None
        self.described: Message | None = None
        self.incarnation = ""
        self.held: tuple[bytes, int] | None = None
        self.on_lost: Callable[[ProcessHost, str], object] = hosts.lost
        self.ctx: Context | None = None
        self.rights: Rights | None = None
        self.wanted: frozenset[int] | None = None
        """Schemas that it wants to hear; None: not known yet."""
        self.up = False
        """Configured, and neither ended nor lost since."""
        self.started = False
        self.names_asked = 0
        self.faults: list[str] = []
        """What it found wrong with its config."""
        self.lost_records: dict[str, int] = {}
        self._token = ""
        self._stderr: Stderr | None = None
        self._kept: list[bytes] = []
        """Frames from before its start, of which it is told right before it."""
        self._kept_bytes = 0
        self._before: list[bytes] = []
        """Frames that its context needs and it does not hear, for the next batch."""
        self._answers: list[Message] = []
        self._tasks: dict[int, TaskResult | None] = {}
        self._said_at_start: list[Any] | None = None
        self._effects_waiting = self._written_told = 0
        self._pinged_s = 0.0
        self._slow = False
        self._marker = Marker()
        self._given_ahead = self._pass_over = 0
        """Recorded events that a feed's processes gave so far, and how many of them a new one gives again."""
        self._ahead: deque[tuple[int, Event]] = deque()
        """A feed's recorded events that are not due yet, in wall time."""
        self._asked_ahead = self._taken_all = False

    @property
    def slot(self) -> Slot | None:
        """The plugin's slot in the kernel, once it is attached."""
        return self.hosts.kernel.slots.get(self.name)

    @property
    def answer_s(self) -> float:
        """How long it may take to answer, in real time."""
        return self.spec.answer_s

    def wants(self, schema_id: int) -> bool:
        """Return whether it is sent records of a schema: it hears them, or its context must know them."""
        if self.wanted is None or schema_id in self.wanted:
            return True
        layout = schema_by_id(schema_id)
        return layout.cls is Interned or layout.topic.startswith("refdata.")

    @property
    def stepped(self) -> bool:
        """Whether time stands still for it."""
        return self.hosts.stepped

    # -- life ------------------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start its process; `begin` waits for it. So many processes start at once.

        Raises:
            HostError: there is no such command, or a right or secret cannot be given.
        """
        if self.child is not None:
            return
        hosts, kernel = self.hosts, self.hosts.kernel
        if self.spec.sha256 is not None:
            try:
                verify_pin(self.spec.manifest.source.file, self.spec.sha256)
            except PackageError as error:
                raise HostError(f"plugin {self.name}: {error}") from error
        listener = hosts.listener
        self.link = Link(self.name, hosts.reactor, self._on_batch, self._on_link_lost)
        self._token = listener.expect(self.name, self.link.adopt, lambda pid: self.child is None or self._owns(pid))
        command = command_for(self.spec, hosts.deployment, listener.path, self._token, hosts.data_folder(self.name))
        self._stderr = Stderr(
            hosts.reactor, lambda text: kernel.write_log(Severity.INFO, self.name, text, {"stream": "stderr"})
        )
        try:
            self.child = launch(
                command.argv, confinement=command.confinement, env=command.env, cwd=command.cwd,
                stdout=self._stderr.writing, stderr=self._stderr.writing,
                keeper=command.confinement is not None,  # without one it is our bridge, which keeps what it starts
            )  # fmt: skip
        except OSError as error:
            self._let_go()
            why = (error.strerror or str(error)).lower()
            raise HostError(f"plugin {self.name}: {command.argv[0]}: {why}") from None
        finally:
            if self._stderr is not None:
                self._stderr.close_writing()
        hosts.note_unprotected(self.name, self.child.lost)

    def _owns(self, pid: int) -> bool:
        return self.child is not None and (not pid or self.child.owns(pid))

    def begin(self) -> None:
        """Start its process and configure it, waiting until that is done.

        Raises:
            HostError: it does not come, is not what its manifest says, or refuses its configuration.
        """
        for _ in self._begin():
            self.hosts.reactor.turn(0.05)

    def begin_nowait(self) -> Iterator[None]:
        """As `begin`, as an iterator: each `next` goes as far as it goes without waiting, and it ends when done."""
        return self._begin()

    def ask_config(self) -> list[str]:
        """Start its process and return what it finds wrong with its config; it makes nothing with it.

        Raises:
            HostError: it does not come, or is not what its manifest says.
        """
        for _ in self._begin(validate_only=True):
            self.hosts.reactor.turn(0.05)
        return self.faults

    def _begin(self, *, validate_only: bool = False) -> Iterator[None]:
        try:
            self.spawn()
            link, until_s = self.link, monotonic() + self.spec.start_s
            assert link is not None
            while not link.complete:
                self._check_child()
                if monotonic() >= until_s:
                    raise HostError(
                        f"plugin {self.name}: its process did not connect within {self.spec.start_s:g} s"
                        f"{self._last_words()}; see what it prints, or give it more start_s"
                    )
                yield
            call = link.begin_call(
                "Describe", DescribeRequest(majors=PROTOCOL_MAJORS, host_version=self.hosts.version), CONFIGURE_S
            )
            while not call.done:
                link.overdue()
                yield
            self._take_described(call.result())
            call = link.begin_call("Configure", self.configure_request(validate_only=validate_only), CONFIGURE_S)
            while not call.done:
                link.overdue()
                yield
            self.faults = list(call.result().faults)
            if self.faults and not validate_only:
                raise HostError(f"plugin {self.name} refuses its config: {'; '.join(self.faults)}")
        except PeerError as error:
            text = f"{error}{self._last_words()}"
            self.end(0.0)
            raise HostError(text) from None
        except HostError:
            self.end(0.0)
            raise
        self.up = True
        self.incarnation = link.incarnation

    def _check_child(self) -> None:
        status = self.child.poll() if self.child is not None else None
        if status is not None:
            raise HostError(f"plugin {self.name}: its process {_ended(status)} before it connected{self._last_words()}")

    def _last_words(self) -> str:
        words = self._stderr.last_words() if self._stderr is not None else ""
        return f": {words}" if words else ""

    def _take_described(self, reply: Message) -> None:
        """Take what it says it is.

        Raises:
            HostError: that is not what its manifest says.
        """
        manifest = self.spec.manifest
        wanted = manifest.contract_range
        class_name = manifest.class_path.rpartition(":")[2].rpartition(".")[2]
        faults = []
        if reply.kind != manifest.kind:
            faults.append(f'kind {shown(reply.kind)}, its manifest has "{manifest.kind}"')
        if reply.id and reply.id not in (manifest.id, class_name):
            faults.append(f'id {shown(reply.id)}, its manifest has "{manifest.id}"')
        low, high = max(reply.contract_min, wanted.major_min), min(reply.contract_max, wanted.major_max)
        if low > high or not low <= 1 <= high:
            faults.append(f"contract {reply.contract_min}..{reply.contract_max}, its manifest has {wanted}")
        if faults:
            raise HostError(f"plugin {self.name} says that it is of {', of '.join(faults)}; install the two that match")
        self.described = reply
        self.wanted = frozenset(each.schema_id for each in reply.hears)

    def configure_request(self, *, validate_only: bool = False) -> Message:
        """Return the call that configures this instance: references in its config resolved, so do not journal it."""
        hosts, spec, ctx = self.hosts, self.spec, self.ctx
        config = resolve_references(spec.config, os.environ).tree
        schema = json.loads(self.described.config_schema or "{}") if self.described is not None else {}
        config = _run_settings(schema, hosts.deployment) | config
        who = None if ctx is None else ctx.identity
        instance = Instance(
            name=self.name, plugin_id=ctx.plugin_id if ctx is not None else 0, run_seed=hosts.kernel.run_seed,
            seed=hosts.deployment.seed_for(self.name), limits_json=json.dumps(spec.limits),
            folder=str(hosts.deployment.files_folder), data_folder=str(hosts.data_folder(self.name)),
            simulated=self.stepped,
        )  # fmt: skip
        if who is not None:
            for field in who.__struct_fields__:
                setattr(instance, field, getattr(who, field))
        return ConfigureRequest(
            validate_only=validate_only, config_json=msgspec.json.encode(config).decode(), instance=instance
        )

    def attached(self, ctx: Context) -> None:
        """Know who it is in this run; called when the kernel attaches it."""
        self.ctx = ctx
        limits = self.hosts.kernel.limits
        self.rights = Rights(
            self.spec.manifest, ctx.plugin_id, ctx.identity.book_id, lambda key: limits.values.get(key)
        )

    def start(self, resumed: bool) -> list[Any] | None:
        """Let it begin; return what it says first. Inside the cascade of its announcement.

        Raises:
            RecordedFault: its ``on_start`` raised.
        """
        if self._said_at_start is not None:
            said, self._said_at_start = self._said_at_start, None
            return said
        if self.link is None or not self.up:
            return None
        kernel = self.hosts.kernel
        try:
            if resumed and kernel.journal is not None and kernel.run_dir is not None:
                self._kept, self._kept_bytes = [], 0  # the journal has them
                limit_s = 10 * (self.spec.start_s + self.spec.answer_s)
                return self.take_start(drive(returning(self, kernel), self.hosts.reactor, limit_s))
            self._tell_past()
            reply = self.link.call("Start", self.start_request(resumed), self.spec.start_s)
        except PeerError as error:
            self.lose(str(error))
            return None
        return self.take_start(reply)

    def take_start(self, reply: Message) -> list[Any] | None:
        """Take the reply to Start: from here on it is told events. Return what it says first."""
        self.started = True
        self._set_timers(reply.timers)
        return self.said(reply.said)

    def keep_start(self, reply: Message | None) -> None:
        """Take the reply to a Start that was made already: `start` then returns what it said, and calls nobody.

        None: what it said was said before.
        """
        said: list[Any] | None = None
        if reply is not None:
            try:
                said = self.take_start(reply)
            except RecordedFault as error:
                said = [Raised(error.handler, error)]
        self.started = True
        self._kept, self._kept_bytes = [], 0
        self._said_at_start = said or []

    def start_request(self, resumed: bool) -> Message:
        """Return the call that starts it as things stand."""
        moment = self.hosts.kernel.moment
        return StartRequest(known=self.hosts.known_frames(), now_ns=moment.now_ns, seq=moment.seq, resumed=resumed)

    def _tell_past(self) -> None:
        """Tell it what it would have heard since it was configured; what it says of it is dropped."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if kept:
            self.tell_past([*self.hosts.known_names(), *kept])

    def tell_past(self, frames: list[bytes]) -> None:
        """Let it hear *frames* as events of the past, waiting until it has; before its start.

        Raises:
            PeerError: it does not take them.
        """
        assert self.link is not None
        at = 0
        while at < len(frames):
            batch: list[bytes] = []
            size = 0
            while at < len(frames) and (not batch or size + len(frames[at]) <= _FIRST_BATCH_BYTES):
                batch.append(frames[at])
                size += len(frames[at])
                at += 1
            data = b"".join(batch)
            self.link.step(
                Batch(frames=data, hearing=True, now_ns=self.hosts.kernel.moment.now_ns), count_records(data),
                self.spec.start_s,
            )  # fmt: skip
            self._answers.clear()

    def drain(self) -> list[Any] | None:
        """Let it say its last, waiting at most some seconds; it is told nothing after that."""
        link = self.link
        if link is None or not self.started:
            return None
        kernel = self.hosts.kernel
        try:
            if not self.stepped:
                self._marker.spoil()
                kernel.write()
                link.flush(kernel.moment.now_ns, kernel.cascade.seq)
                self.hosts.reactor.turn_until(lambda: link.settled() or bool(link.lost), DRAIN_S)
            request = DrainRequest(deadline_ms=int(DRAIN_S * 1000), now_ns=kernel.moment.now_ns, seq=kernel.moment.seq)
            reply = link.call("Drain", request, DRAIN_S)
        except PeerError as error:
            self.started = False
            self.hosts.say_later(
                Alert(
                    code="plugin.drain_late",
                    severity=Severity.WARNING,
                    subject=self.name,
                    met=str(error),
                    wanted=f"an answer to Drain within {DRAIN_S:g} s",
                    way_out="see the plugin's log; what it had to say last is lost",
                )
            )
            return None
        self.started = False
        return self.said(reply.said)

    def end(self, deadline_s: float = 2.0) -> None:
        """End its process: Stop, SIGTERM, SIGKILL. Again is harmless."""
        self.ask_to_end(deadline_s)
        self.await_end(monotonic() + deadline_s)

    def ask_to_end(self, deadline_s: float = 2.0) -> None:
        """Say Stop, without waiting for what comes of it."""
        self.up = self.started = False
        if self.link is not None and self.link.complete and not self.link.lost:
            self.link.begin_call("Stop", StopRequest(), deadline_s)

    def await_end(self, until_s: float) -> None:
        """Wait until the process has ended, at most until then; after that it is killed, with all that it started."""
        child = self.child
        if child is not None:
            self.hosts.reactor.turn_until(lambda: child.poll() is not None, max(0.0, until_s - monotonic() - 0.5))
            if child.poll() is None:
                child.terminate()
                self.hosts.reactor.turn_until(lambda: child.poll() is not None, max(0.0, until_s - monotonic()))
            self._kill(child)
        self._let_go()

    @staticmethod
    def _kill(child: Child) -> None:
        child.kill()
        try:
            child.process.wait(5.0)
        except TimeoutExpired:  # its keeper does not answer, either
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            child.process.wait()

    def _let_go(self) -> None:
        if self._token:
            self.hosts.listener.forget(self._token)
            self._token = ""
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._stderr is not None:
            self._stderr.last_words()
            self._stderr.close()
            self._stderr = None
        self.child = None
        self.up = self.started = False
        self._before.clear()
        self._answers.clear()
        self._effects_waiting = self._written_told = 0
        self._marker.spoil()
        self._given_ahead -= len(self._ahead)
        self._pass_over = self._given_ahead
        self._ahead.clear()
        self._asked_ahead = self._taken_all = False

    # -- loss ------------------------------------------------------------------------------------------------------

    def lose(self, text: str, *, breach: bool = False) -> None:
        """Give it up, with the reason: it is killed, and whoever looks after it is told."""
        if self.link is not None and not self.link.lost:
            self.link.lose(text, breach=breach)

    def _on_link_lost(self, text: str, breach: bool) -> None:
        if not self.up:
            return  # `begin` tells
        child = self.child
        status = None
        if child is not None:
            if not breach and text.startswith("its connection"):
                with suppress(TimeoutExpired):
                    status = child.process.wait(0.2)
            if status is None:
                child.kill()
        words = self._last_words()
        if status is not None:
            text = f"its process {_ended(status)}{words}"
        self.up = self.started = False
        if breach:
            self.hosts.say_later(
                Alert(
                    code="plugin.breach",
                    severity=Severity.ERROR,
                    subject=self.name,
                    met=text,
                    wanted="what the plugin contract allows",
                    way_out="tell its vendor; `penstock conform` finds such faults",
                )
            )
        self.on_lost(self, text)

    def clear_away(self) -> None:
        """Wait for a killed process and let go of it, so that another can be started."""
        if self.child is not None:
            self._kill(self.child)
        self._let_go()

    # -- what it is told -------------------------------------------------------------------------------------------

    def tell(self, event: Event, schema_id: int) -> list[Any] | None:
        """Tell it an event, the one that is being handled; stepped, return what it says.

        Raises:
            RecordedFault: its handler raised.
        """
        if self.link is None or not self.up:
            return None
        frame = self.hosts.encoded(event)
        if not self.started:
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

    def ask_check(self, order: Event) -> Any:
        """Ask it about an order: stepped, return its verdict; else None, and the verdict comes as an input.

        Raises:
            RecordedFault: it raised. HostError: it is not there.
        """
        if self.link is None or not self.started:
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

    # -- what it says ----------------------------------------------------------------------------------------------

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
        met, _, wanted = why.removeprefix("met ").partition(", wanted ")
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
            severity = Severity(line.severity) if line.severity in Severity._value2member_map_ else Severity.INFO
            try:
                fields = json.loads(line.fields_json) if line.fields_json else {}
            except ValueError:
                fields = {}
            kernel.write_log(severity, self.name, line.text[:4096], fields if isinstance(fields, dict) else {})
        if batch.tasks_begun and self.stepped:
            for task_id in batch.tasks_begun:
                self._tasks.setdefault(task_id, None)
                kernel.tasks.expect(partial(self._has_result, task_id), partial(self._result, task_id))
        if batch.effects_waiting:
            if not self.stepped:
                self._effects_waiting = batch.effects_waiting
            elif self.ctx is not None:
                self.ctx.effect(self._tell_written)

    def _set_timers(self, timers: Any) -> None:
        assert self.ctx is not None
        for timer in timers:
            try:
                self.hosts.kernel.timers.set(self.ctx.plugin_id, timer.due_ns, timer.tag, timer.timer_id)
            except (ValueError, OverflowError) as error:
                self.lose(f"timer {timer.timer_id}: {error}", breach=True)

    def _tell_written(self) -> None:
        """Let its effects happen: all up to here is written."""
        if self.link is not None and self.started:
            with suppress(RecordedFault):
                self._step(Batch(written_seq=self.hosts.kernel.cascade.seq))

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

    def _on_batch(self, lane: Lane, batch: Message) -> None:
        if batch.asks:
            self._answer_names(lane, batch)
        if self.link is None or self.link.lost:
            return
        if not self.stepped:
            if not batch.answers:
                self.take_said(lane, batch)
            return
        if batch.answers:
            self._answers.append(batch)
            return
        self._take_rest(batch)
        for event in self._decoded(batch):
            if type(event) is TaskResult and event.task_id in self._tasks:
                self._tasks[event.task_id] = event
            else:
                self.lose(f"it said {type(event).__name__} outside of a step", breach=True)

    def take_said(self, lane: Lane, batch: Message) -> None:
        """Take what it says in wall time, as inputs to come."""
        hosts = self.hosts
        self._take_rest(batch)
        origin = Origin.EXTERNAL if batch.from_outside else Origin.REPLY
        slot = self.slot
        if slot is None:
            return
        if batch.due_ns or batch.taken_all or (self._asked_ahead and batch.from_outside and not batch.frames):
            self._take_recorded(batch)
            return
        for event in self._decoded(batch):
            hosts.offer(self._allowed(event), slot, origin)
        for fault in batch.faults:
            hosts.fault(slot, fault.handler, RecordedFault(fault.handler, fault.error[:1000]))

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
            frames.append(self.hosts.name_frame(IdKind(name.kind), name.name, self))
        if self.link is not None and not self.link.lost:
            with suppress(PeerError):
                self.link.send(lane, Batch(frames=b"".join(frames), answers=batch.number), len(frames))

    # -- in wall time ----------------------------------------------------------------------------------------------

    def poll(self, now_s: float, now_ns: int) -> None:
        """See that it lives: signs of life, calls that are overdue; let a feed's recorded events in that are due."""
        link = self.link
        if link is None or not self.up:
            return
        link.overdue()
        if self.spec.manifest.kind == "feed" and self.started:
            self._poll_ahead(link, now_ns)
        if now_s - self._pinged_s >= PING_S:
            if not link.ponged and now_s - self._pinged_s >= self.spec.answer_s:
                self.lose(f"it has given no sign of life for {self.spec.answer_s:g} s")
            elif link.ponged:
                self._pinged_s = now_s
                link.ping()
        self.held = self._marker.turn(link, now_s) or self.held

    def _poll_ahead(self, link: Link, now_ns: int) -> None:
        slot = self.slot
        while self._ahead and self._ahead[0][0] <= now_ns and slot is not None:
            self.hosts.offer(self._ahead.popleft()[1], slot, Origin.EXTERNAL)
        if len(self._ahead) < AHEAD and not self._asked_ahead and not self._taken_all:
            self._asked_ahead = True
            with suppress(PeerError):
                link.send(Lane.EVENTS, Batch(take=AHEAD, now_ns=now_ns), 0)

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

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any] | None:
        """Return its state as the kernel's snapshots keep it: stepped that of now; else the last one it gave.

        In wall time the next one is asked for, which comes without anybody waiting.
        """
        link = self.link
        if link is not None and self.up and self.stepped:
            try:
                reply = link.call("Snapshot", SnapshotRequest(), self.spec.answer_s)
                self.held = None if reply.error else (reply.state, reply.last_seq)
            except PeerError as error:
                self.lose(str(error))
        else:
            self._marker.want()
        return None if self.held is None else {"state": self.held[0], "last_seq": self.held[1]}

    def restore(self, state: Any) -> None:
        """Keep what `snapshot` returned, for a process to come."""
        self.held = (bytes(state["state"]), int(state["last_seq"])) if isinstance(state, dict) else None


def _ended(status: int) -> str:
    """Return how a process ended, in words."""
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return f"ended with exit status {status}"


def _run_settings(schema: Any, deployment: Any) -> dict[str, Any]:
    """Return the run's zone, day and days where a config has such keys and the operator named none."""
    root = schema.get("$ref", "").rpartition("/")[2] if isinstance(schema, dict) else ""
    table = schema.get("$defs", {}).get(root, schema) if isinstance(schema, dict) else {}
    wanted = table.get("properties", {}) if isinstance(table, dict) else {}
    run = deployment.run
    settings = {"zone": run.zone, "delivery_day": run.delivery_day, "days": run.days}
    return {key: value for key, value in settings.items() if key in wanted}
