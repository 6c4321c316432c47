"""One process plugin, whatever became of its process: started, told, heard, ended; and what is known of it meanwhile.

Under the simulated clock time stands still for it: an event is a step, and its handler returns what it answered. In
wall time it is told without waiting, and what it says comes in as inputs (`ProcessHost.take_said`).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import TimeoutExpired
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from penstock_kernel.bridge.plan import NOISE
from penstock_kernel.deployment_files import resolve_references
from penstock_kernel.hosts.commands import HostError, command_for
from penstock_kernel.hosts.frames import met_and_wanted
from penstock_kernel.hosts.link import SHARE_S, Call, Link
from penstock_kernel.hosts.returning import drive, returning
from penstock_kernel.hosts.rights import Rights
from penstock_kernel.hosts.stderr import Stderr
from penstock_sdk.core.faults import Raised, RecordedFault, shown
from penstock_sdk.core.wiring import handlers_of
from penstock_sdk.events import Alert, Order, Reconcile, Severity
from penstock_sdk.packages import PackageError, verify_pin
from penstock_sdk.process.describing import KNOWN
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.spawn import Child, launch
from penstock_sdk.schema import USER_IDS, layouts, schema_by_id
from penstock_sdk.wire.frame import HEADER
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
    from penstock_sdk.context import Context

from penstock_kernel.hosts.telling import Telling

__all__ = ["HostError", "ProcessHost"]

CONFIGURE_S = 30.0
"""A plugin reads its files and compiles its code here, and at its start; ``start_s`` where that is less."""
DRAIN_S = 5.0
_FIRST_BATCH_BYTES = 2 << 20
_TO_MARKET = (Order.layout.id, Reconcile.layout.id)
_header = HEADER.unpack_from
_PATTERN = frozenset("*?[")


class ProcessHost(Telling):
    """One instance of a plugin out of process: its life from start to end, and its loss."""

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
        self._coming, self.lost_why = True, ""
        self.link = Link(self.name, hosts.reactor, self._on_batch, self._on_link_lost)
        if not self.stepped:
            self.link.reads_max = 1  # a plugin that floods holds the kernel up for milliseconds at most
            self.link.share_s = SHARE_S
        self._token = listener.expect(self.name, self.link.adopt, lambda pid: self.child is None or self._owns(pid))
        command = command_for(self.spec, self.deployment, listener.path, self._token, hosts.data_folder(self.name))
        by_bridge = command.confinement is None
        self._stderr = Stderr(
            hosts.reactor, lambda text: kernel.write_log(Severity.INFO, self.name, text, {"stream": "stderr"}),
            noise=NOISE if by_bridge else "",
        )  # fmt: skip
        try:
            self.child = launch(
                command.argv, confinement=command.confinement, env=command.env, cwd=command.cwd,
                stdout=self._stderr.writing, stderr=self._stderr.writing,
                keeper=not by_bridge,  # it keeps what it starts
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

    def prepare_nowait(self) -> Iterator[None]:
        """As `ask_config` without waiting; `begin` then goes on with this very process.

        Raises:
            HostError: also where it refuses its config.
        """
        yield from self._begin(validate_only=True)
        if self.faults:
            self.end(0.0)
            raise HostError(f"plugin {self.name} refuses its config: {'; '.join(self.faults)}")

    def meet_nowait(self) -> Iterator[None]:
        """As `begin` without waiting, up to what it says that it is; `begin` goes on with this very process.

        Raises:
            HostError: it does not come, or is not what its manifest says.
        """
        with self._ended_where_it_fails():
            yield from self._meet()

    def _begin(self, *, validate_only: bool = False) -> Iterator[None]:
        with self._ended_where_it_fails():
            yield from self._meet()
            call = self._begin_call("Configure", self.configure_request(validate_only=validate_only))
            yield from self._awaited(call)
            self.faults = list(call.result().faults)
            if self.faults and not validate_only:
                raise HostError(f"plugin {self.name} refuses its config: {'; '.join(self.faults)}")
        self.up = not validate_only
        self._coming = validate_only
        self.prepared = validate_only
        if self.up:
            self._tell_noise()
        assert self.link is not None
        self.incarnation = self.link.incarnation

    def _meet(self) -> Iterator[None]:
        """Wait until its process has connected and said what it is."""
        self.spawn()
        link, begun_s = self.link, monotonic()
        assert link is not None
        while not link.complete:
            self._check_child()
            if monotonic() >= max(begun_s, self.hosts.met_s) + self.spec.start_s:
                raise HostError(
                    f"plugin {self.name}: its process did not connect within {self.spec.start_s:g} s"
                    f"{self._last_words()}; see what it prints, or give it more start_s"
                )
            yield
        if not self._met:
            request = DescribeRequest(majors=PROTOCOL_MAJORS, host_version=self.hosts.version)
            call = self._begin_call("Describe", request)
            yield from self._awaited(call)
            self._take_described(call.result())
            self._met = True

    def _begin_call(self, method: str, request: Message) -> Call:
        assert self.link is not None
        return self.link.begin_call(method, request, min(CONFIGURE_S, self.spec.start_s))

    def _awaited(self, call: Call) -> Iterator[None]:
        while not call.done:
            assert self.link is not None
            self.link.overdue()
            yield

    @contextmanager
    def _ended_where_it_fails(self) -> Iterator[None]:
        try:
            yield
        except PeerError as error:
            why = self.lost_why
            text = f"plugin {self.name}: {why}" if why else f"{error}{self._last_words()}"
            self.end(0.0)
            raise HostError(text) from None
        except HostError:
            self.end(0.0)
            raise

    def _tell_noise(self) -> None:
        """Say what it printed where it must not, once for each start; its bridge has told it before it connected."""
        if self._stderr is None:
            return
        self._stderr.read()
        if self._stderr.noise:
            self.hosts.say_later(
                Alert(
                    code="plugin.noise",
                    severity=Severity.WARNING,
                    subject=self.name,
                    met=f"before its start-up line it printed {shown(self._stderr.noise)}",
                    wanted="nothing but the start-up line on stdout",
                    way_out="have it print to stderr; what stood there was passed over, and is in its log",
                )
            )

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
        config = _run_settings(schema, self.deployment) | config
        who = None if ctx is None else ctx.identity
        instance = Instance(
            name=self.name, plugin_id=ctx.plugin_id if ctx is not None else 0, run_seed=hosts.kernel.run_seed,
            seed=self.deployment.seed_for(self.name), limits_json=json.dumps(spec.limits),
            folder=str(self.deployment.files_folder), data_folder=str(hosts.data_folder(self.name)),
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
        limits, alerts = self.hosts.kernel.limits, self.hosts.kernel.alerts
        self.rights = Rights(
            self.spec.manifest, ctx.plugin_id, ctx.identity, lambda key: limits.values.get(key), alerts.opener
        )

    def start(self, resumed: bool) -> list[Any] | None:
        """Let it begin; return what it says first. Inside the cascade of its announcement.

        Raises:
            RecordedFault: its ``on_start`` raised.
            HostError: it has records of its own that nobody here knows.
        """
        if self._said_at_start is not None:
            said, self._said_at_start = self._said_at_start, None
            return said
        if self.link is None or not self.up:
            return None
        self._want_own_records()
        kernel = self.hosts.kernel
        try:
            if not self._knows and not self._tell_kept(resumed):
                self._kept, self._kept_bytes = [], 0  # the journal has them
                reply: Message = drive(returning(self, kernel), self.hosts.reactor, self._limit_s)
            else:
                reply = self.link.call("Start", self.start_request(resumed), self.spec.start_s)
            if resumed:
                kernel.timers.forget(self._plugin_id)  # those of the session before; it says which still hold
            elif self._knows:
                del reply.timers[:]  # they are set
        except PeerError as error:
            self.lose(str(error))
            return None
        return self.take_start(reply)

    def take_start(self, reply: Message) -> list[Any] | None:
        """Take the reply to Start: from here on it is told events. Return what it says first."""
        self.started, self.early = True, False
        self._set_timers(reply.timers)
        waiting, self._for_start = self._for_start, []
        for frame in waiting:
            assert self.ctx is not None
            self.ctx.effect(self._offer, Lane.ORDERS, frame, 1, schema_by_id(_header(frame)[1]), 0)
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
        known = b"".join(self.hosts.known_frames())
        return StartRequest(known=known, now_ns=moment.now_ns, seq=moment.seq, resumed=resumed)

    def _want_own_records(self) -> None:
        """See that its own records are known here: by a plugin inside that imports what declares them."""
        manifest, slot = self.spec.manifest, self.slot
        assert self.described is not None
        assert slot is not None
        topics = {layout.topic for layout in layouts()}
        heard = {schema_id for schema_id, _ in handlers_of(slot.plugin, slot.kind)}
        met = [
            f"hears {each.name}"
            for each in self.described.hears
            if each.schema_id in USER_IDS and each.schema_id not in heard
        ]
        met += [
            f"says {topic}" for topic in manifest.topics_out if topic not in topics and not _PATTERN.intersection(topic)
        ]
        if met:
            raise HostError(
                f"plugin {self.name} {' and '.join(met)}, which no record of the kernel is; wanted a plugin before it "
                f'in plugins.toml that imports the same module and runs in the kernel: `run = "inprocess"`'
            )

    def _tell_kept(self, resumed: bool) -> bool:
        """Tell it what came since it was configured; return False where the journal is to tell it that, at its start.

        In wall time what it says of it comes in as inputs, once all have started; an order waits until the venue runs.
        """
        kernel = self.hosts.kernel
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if self.stepped or not self.throughout or not kept:
            if resumed and kernel.journal is not None and kernel.run_dir is not None:
                return False
            if kept:
                self._tell_all([*self.hosts.known_names(), *kept], hearing=True)
            return True
        self._knows = self.catch_up(_header(kept[0])[4])
        if self._knows:
            if self.spec.manifest.kind == "venue":
                self._for_start = [frame for frame in kept if _header(frame)[1] in _TO_MARKET]
                kept = [frame for frame in kept if _header(frame)[1] not in _TO_MARKET]
            self._tell_all(kept)
        return self._knows

    def catch_up(self, before_seq: int) -> bool:
        """Let it know what holds by now; one that goes on gets what it left, and hears what came since as the past.

        Returns:
            False where it has left nothing that it can take up: then all that was is told at its start.

        Raises:
            PeerError: it does not take it.
        """
        kernel = self.hosts.kernel
        if self._carried and self.held is None:
            return False
        if self.held is not None and kernel.journal is not None and kernel.run_dir is not None:
            drive(returning(self, kernel, before_seq=before_seq), self.hosts.reactor, self._limit_s)
            if self.held is None:
                return False
        self._tell_all(self.hosts.known_frames(), answers=KNOWN)
        return True

    @property
    def _limit_s(self) -> float:
        """How long it may take in all to come to where the run stands.

        It may have a whole journal to hear; in the middle of a run, which waits, there is only what it left.
        """
        spec = self.spec
        return spec.start_s if self.hosts.kernel.started else 10 * (spec.start_s + spec.answer_s)

    def _tell_all(self, frames: list[bytes], **kind: Any) -> None:
        """Let it take *frames*, waiting until it has, before its start; *kind* is what batches of them say.

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
                Batch(frames=data, now_ns=self.hosts.kernel.moment.now_ns, **kind), count_records(data),
                self.spec.start_s,
            )  # fmt: skip
            self._answers.clear()

    def drain(self) -> list[Any] | None:
        """Let it say its last, waiting at most some seconds; in wall time it is told nothing after that.

        Stepped it is told on, as in the kernel: what its stop causes, and that of others.
        """
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
            self.started, self._drained = False, True
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
        self.hosts.reactor.turn_until(lambda: not link.behind, DRAIN_S)  # what it said before it said its last
        self.started, self._drained = self.stepped and self.throughout, True
        self._hold_last(link)
        return self.said(reply.said)

    def _hold_last(self, link: Link) -> None:
        """Keep the state that it drained with: whoever takes its place begins with that."""
        with suppress(PeerError):  # then it is the last one, and what came after it is told again
            reply = link.call("Snapshot", SnapshotRequest())
            if not reply.error:
                self.held = (reply.state, reply.last_seq)

    def end(self, deadline_s: float = 2.0) -> None:
        """End its process: Stop, SIGTERM, SIGKILL. Again is harmless."""
        self.ask_to_end(deadline_s)
        self.await_end(monotonic() + deadline_s)

    def ask_to_end(self, deadline_s: float = 2.0) -> None:
        """Say Stop, without waiting for what comes of it."""
        self.up = self.started = self.early = self._coming = False
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
        self._coming = False
        self.up = self.started = self.prepared = self._met = self.early = self._knows = self._drained = False
        self._for_start.clear()
        self._before.clear()
        self._answers.clear()
        self._effects_waiting = self._written_told = 0
        self._marker.spoil()
        self._given_ahead -= len(self._ahead)
        self._pass_over = self._given_ahead
        self._ahead.clear()
        self._asked_ahead = self._taken_all = False

    def _on_link_lost(self, text: str, breach: bool) -> None:
        if not self.up and not self._coming:
            return  # it was told to end
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
        was_up, self.up = self.up, False
        self.started = self.early = False
        self.lost_why = text
        if breach:
            met, wanted = met_and_wanted(text)
            self.hosts.say_later(
                Alert(
                    code="plugin.breach",
                    severity=Severity.ERROR,
                    subject=self.name,
                    met=met,
                    wanted=wanted or "what the plugin contract allows",
                    way_out="tell its vendor; `penstock conform` finds such faults",
                )
            )
        if was_up:
            self.on_lost(self, text)  # of one that is only coming, whoever waits for it is told

    def clear_away(self) -> None:
        """Wait for a killed process and let go of it, so that another can be started."""
        if self.child is not None:
            self._kill(self.child)
        self._let_go()

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
        self._carried = True
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
