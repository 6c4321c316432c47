"""Plugins in processes of their own, as a kernel has them: `Hosts` starts, tells, hears and ends them.

    hosts = hosts_of(kernel, deployment)
    hosts.spawn_all()               # they start beside each other …
    hosts.meet_all()                # … and connect, whoever is first
    cls = hosts.proxy(spec)         # attached like any plugin's class

A kernel without such plugins has none of this, and pays nothing for it.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from penstock_kernel.hosts.commands import HostError
from penstock_kernel.hosts.listener import Listener
from penstock_kernel.hosts.process_host import ProcessHost
from penstock_kernel.hosts.proxy import make_proxy
from penstock_kernel.hosts.reactor import Reactor
from penstock_kernel.hosts.supervisor import Supervisor
from penstock_sdk.core.faults import fault_text
from penstock_sdk.core.received import received
from penstock_sdk.events import Alert, IdKind, Interned, PluginFault, Severity
from penstock_sdk.process.own_folder import OwnFolder
from penstock_sdk.schema import ABSENT, Event, Frame, schema_by_id
from penstock_sdk.wire.frame import Origin, encode_frame, encoder

if TYPE_CHECKING:
    from penstock_kernel.deployment import Deployment, PluginSpec
    from penstock_kernel.kernel import Kernel
    from penstock_sdk.core.wiring import Slot
    from penstock_sdk.plugin import Plugin

__all__ = ["HostError", "Hosts", "ProcessHost", "Replied", "hosts_of", "make_proxy"]

END_S = 3.0
"""How long all processes together may take to end when the kernel does."""


class Replied(NamedTuple):
    """In a lane, the producer of what a plugin out of process said because of what it was told."""

    slot: Slot

    @property
    def plugin(self) -> Any:
        """The plugin, as a slot has it."""
        return self.slot.plugin


class Hosts:
    """All plugins of a kernel that run out of its process."""

    def __init__(self, kernel: Kernel, deployment: Deployment) -> None:
        self.kernel = kernel
        self.deployment = deployment
        self.stepped = deployment.run.clock == "sim"
        """Time stands still while a plugin answers."""
        self.version = f"penstock-kernel {version('penstock-kernel')}"
        self.reactor = Reactor(self._alive)
        self.hosts: dict[str, ProcessHost] = {}
        self.ready: dict[str, ProcessHost] = {}
        """Those of a change to come: started beside what runs, and told nothing yet."""
        self.inside = 0
        """Above 0 while a cascade waits for a plugin: what follows is a part of it."""
        self.met_s = 0.0
        """When one of those that start together was last met: a machine that is busy with them goes on."""
        self.unmet: dict[str, str] = {}
        """Those whose processes did not come as all were started, and why, until each is built."""
        self.supervisor = Supervisor(self)
        self.turns: list[Callable[[int], object]] = [self.supervisor.turn]
        """Called with the run's time at every turn in wall time; who looks after lost plugins hooks in here."""
        self._listener: Listener | None = None
        self._faults: deque[tuple[Slot, str, BaseException]] = deque()
        self._encoded: tuple[Any, int, bytes] = (None, 0, b"")
        self._encoders: dict[int, Any] = {}
        self._swept_s = 0.0
        self._unprotected: set[str] = set()
        self._temporary: OwnFolder | None = None

    # -- plugins ---------------------------------------------------------------------------------------------------

    def host(self, spec: PluginSpec) -> ProcessHost:
        """Return the host of an instance; a new one where its table has changed."""
        found = self.hosts.get(spec.name)
        if found is None or found.spec is not spec:
            if found is not None:
                found.end()
            found = self.ready.pop(spec.name, None)
            if found is not None and found.spec != spec:
                found.end(0.0)
                found = None
            found = self.hosts[spec.name] = found or ProcessHost(spec, self)
            found.spec = spec
        return found

    def drop_ready(self) -> None:
        """End the processes that were started for a change that is not made."""
        while self.ready:
            self.ready.popitem()[1].end(0.0)

    def _alive(self) -> None:
        vitals = getattr(self.kernel, "vitals", None)
        if vitals is not None:
            vitals.alive()

    def proxy(self, spec: PluginSpec) -> type[Plugin]:
        """Return the class to attach for an instance."""
        return make_proxy(spec, self.host(spec))

    def spawn_all(self) -> None:
        """Start the process of every instance of the deployment that runs out of process; nobody waits for them yet.

        Of one that cannot be started `ProcessHost.begin` tells.
        """
        for spec in self.deployment.plugins:
            if spec.run != "inprocess":
                with suppress(HostError):
                    self.host(spec).spawn()

    def meet_all(self) -> None:
        """Wait until every process has connected and said what it is, all beside each other.

        Nobody who connects is kept waiting by what the kernel builds next. Each is configured in its turn: the ids that
        it asks for are given in the order of the deployment. One that does not come within its ``start_s`` of when
        another last came, or is not what its manifest says, is in `unmet` with the reason: who builds it is told then.
        """
        coming = {host.name: host.meet_nowait() for host in self.hosts.values()}
        while coming:
            for name in list(coming):
                try:
                    met = next(coming[name], True) is True
                except HostError as error:
                    self.unmet[name] = str(error)
                    del coming[name]
                    continue
                if met:
                    del coming[name]
                    self.met_s = monotonic()
            if coming:
                self.reactor.turn(0.05)

    def let_go(self, name: str) -> None:
        """End an instance's process and forget it."""
        host = self.hosts.pop(name, None)
        if host is not None:
            host.end()

    @property
    def listener(self) -> Listener:
        """The socket that processes connect to; made when the first is started."""
        if self._listener is None:
            self._listener = Listener(self.reactor, self._stranger, plugin_of=self.plugin_of)
        return self._listener

    def plugin_of(self, pid: int) -> str:
        """Return the plugin that a process belongs to, "" for none."""
        return next((name for name, host in self.hosts.items() if host.child is not None and host.child.owns(pid)), "")

    def data_folder(self, name: str) -> Path:
        """Return the folder that belongs to an instance's process."""
        if self.kernel.run_dir is not None:
            return Path(self.kernel.run_dir).resolve() / "plugins" / name
        if self._temporary is None:
            self._temporary = OwnFolder("penstock-data-", [tempfile.gettempdir()])
        return self._temporary.path / name

    # -- turns of the kernel ---------------------------------------------------------------------------------------

    @contextmanager
    def cascade(self) -> Iterator[None]:
        """While a cascade waits for a plugin."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def poll(self, now_ns: int) -> None:
        """In wall time: hear what has come in. Between cascades; does not wait."""
        self.reactor.turn(0.0)
        self._tell_faults()
        now_s = monotonic()
        for host in list(self.hosts.values()):
            host.poll(now_s, now_ns)
        if self._listener is not None and now_s - self._swept_s > 1.0:
            self._swept_s = now_s
            self._listener.sweep()
        for turn in list(self.turns):
            turn(now_ns)

    def flush(self) -> None:
        """At the end of a turn: send what plugins are to hear."""
        now_ns, written_seq = self.kernel.moment.now_ns, self.written_seq()
        for host in self.hosts.values():
            host.flush(now_ns, written_seq)

    def wait(self, until_ns: int) -> None:
        """Wait until then on the run's clock, or until a plugin says something."""
        self.reactor.turn(max(0, until_ns - self.kernel.clock.now_ns()) / 1e9)

    def close(self) -> None:
        """End every process and remove the socket. Again is harmless."""
        for host in self.hosts.values():
            host.ask_to_end(END_S)
        self.drop_ready()
        until_s = monotonic() + END_S
        for host in self.hosts.values():
            host.await_end(until_s)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None
        self.reactor.close()

    # -- for hosts -------------------------------------------------------------------------------------------------

    def encoded(self, event: Any) -> bytes:
        """Return the event at hand as a frame, packed once for all who are told of it."""
        moment = self.kernel.moment
        last, seq, data = self._encoded
        if last is event and seq == moment.seq:
            return data
        root = moment.correlation_seq
        if type(event) is Frame:
            data = encode_frame(event, moment.seq, moment.now_ns, ABSENT, root, 0, moment.producer)
        else:
            data = self._encoder(event.layout)(event, moment.seq, moment.now_ns, ABSENT, root, 0, moment.producer)
        self._encoded = (event, moment.seq, data)
        return data

    def _encoder(self, layout: Any) -> Any:
        found = self._encoders.get(layout.id)
        if found is None:
            found = self._encoders[layout.id] = encoder(layout)
        return found

    def _known(self, event: Any) -> bytes:
        data: bytes = self._encoder(event.layout)(event, 0, self.kernel.moment.now_ns, ABSENT, 0, 0, 0)
        return data

    def known_names(self) -> list[bytes]:
        """Return every name that has an id by now, as frames."""
        names = self.kernel.catalog.snapshot()["names"]
        return [
            self._known(Interned(kind=IdKind(int(kind)), id=number, name=name))
            for kind, held in names.items()
            for number, name in enumerate(held, 1)
        ]

    def known_frames(self) -> list[bytes]:
        """Return all names, definitions, tables and calendars as they hold now, as frames."""
        catalog = self.kernel.catalog
        frames = self.known_names()
        for schema_id, body in catalog.snapshot()["reference"]:
            frames.append(self._known(schema_by_id(schema_id).unpack(body)))
        for kind in (IdKind.ZONE, IdKind.CONTRACT, IdKind.LISTING):
            frames += [self._known(definition) for definition in catalog.definitions(kind)]
        return frames

    def tell_written(self, name: str) -> None:
        """Let a plugin's effects happen: what they wait for is written. Does nothing for one that is gone."""
        host = self.hosts.get(name)
        if host is not None:
            host.tell_written()

    def name_frame(self, kind: IdKind, name: str, plugin_id: int) -> bytes:
        """Give a name its id, journaled when it is new; return the record of it."""
        kernel = self.kernel
        if self.inside:
            number = kernel.intern(kind, name, plugin_id)
        else:
            number = kernel.intern_input(kind, name)
            kernel.settle()
        return self._known(Interned(kind=kind, id=number, name=name))

    def offer(self, event: Event, slot: Slot, origin: Origin) -> None:
        """Put what a plugin said in wall time into its lane."""
        kernel = self.kernel
        producer: Any = slot if origin == Origin.EXTERNAL else Replied(slot)
        kernel.lanes.offer(received(event, kernel.moment.now_ns, kernel.clock.kind), producer)

    def fault(self, slot: Slot, handler: str, error: BaseException) -> None:
        """Count a fault of a plugin at the next turn."""
        self._faults.append((slot, handler, error))

    def _tell_faults(self) -> None:
        while self._faults:
            slot, handler, error = self._faults.popleft()
            fault = PluginFault(
                plugin_id=slot.plugin_id, name=slot.name, handler=handler, error=fault_text(error),
                faults=slot.faults + 1,
            )  # fmt: skip
            self.kernel.input(fault, Origin.KERNEL)

    def written_seq(self) -> int:
        """Return the number of the last event that is in the journal; without one, of the last event."""
        journal = self.kernel.journal
        return self.kernel.cascade.seq if journal is None else int(journal.written_seq)

    def say_later(self, alert: Alert) -> None:
        """Raise an alert at the next turn."""
        self.kernel.later(msgspec.structs.replace(alert, met=alert.met[:1000]))

    def note_unprotected(self, name: str, lost: tuple[str, ...]) -> None:
        """Say loudly what this machine cannot enforce, once for each way."""
        for text in lost:
            if text not in self._unprotected:
                self._unprotected.add(text)
                self.say_later(
                    Alert(
                        code="plugin.unprotected",
                        severity=Severity.WARNING,
                        subject=name,
                        met=text,
                        wanted="a machine that holds plugins to their rights",
                        way_out="run plugins that you do not trust elsewhere",
                    )
                )

    def _stranger(self, text: str) -> None:
        self.say_later(
            Alert(
                code="plugin.stranger",
                severity=Severity.WARNING,
                subject="socket",
                met=text,
                wanted="the processes of the deployment's plugins, once each",
                way_out="find out what it is; the socket's folder is its owner's alone",
            )
        )

    def lost(self, host: ProcessHost, text: str) -> None:
        """Have a plugin brought back that was lost, or kept out."""
        self.supervisor.lost(host, text)


def hosts_of(kernel: Kernel, deployment: Deployment) -> Hosts:
    """Return the kernel's hosts, made when there are none yet."""
    if kernel.hosts is None:
        kernel.hosts = Hosts(kernel, deployment)
    kernel.hosts.deployment = deployment
    return kernel.hosts
