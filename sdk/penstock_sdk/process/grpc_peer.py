"""Plugins over gRPC as a host sees them: started with go-plugin's handshake, or connected to at an address.

    with spawn_peer(["./venue"]) as peer:
        peer.call("Describe", DescribeRequest(majors=[1]))

Nothing of a plugin that was started is left behind: every failure after its start, and `close`, ends its process group
and removes its folder; and it ends with this process.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from penstock_sdk.process import handshake
from penstock_sdk.process.envelope import ENV_TOKEN, Lane
from penstock_sdk.process.grpc_link import GrpcLink, RpcError
from penstock_sdk.process.handshake import HandshakeError, Output
from penstock_sdk.process.own_folder import OwnFolder
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.process.spawn import Child, Confinement, launch
from penstock_sdk.process.tls import TlsFiles, one_time_certificate
from penstock_sdk.wire.messages import METHODS, PROTOCOL_MAJORS, Batch, Message, StopRequest

__all__ = ["GrpcPeer", "PluginProcess", "connect_peer", "spawn_peer", "start_plugin"]

KILL_S = 2.0
"""A process that is killed has so long to end with all that it started."""
_HELD_BATCHES = 64
"""What was received and not asked for; then the plugin is held up."""


class PluginProcess:
    """A plugin's process that has said where it serves, and the link to it."""

    def __init__(self, child: Child, output: Output, folder: OwnFolder) -> None:
        self.child, self.output = child, output
        self.link: GrpcLink | None = None
        self._folder = folder

    def how_ended(self) -> str:
        """Return that, and how, the process has ended; empty while it runs."""
        status = self.child.poll()
        if status is None:
            return ""
        return "the plugin's process ended " + (f"by signal {-status}" if status < 0 else f"with status {status}")

    def gone(self) -> str:
        """Return how the process has ended, with its last words; empty while it runs."""
        ended = self.how_ended()
        return ended and ended + self.output.last_words()

    def settle(self, timeout_s: float) -> None:
        """Wait whether the process ends, for at most *timeout_s*: its stream breaks before its status is there."""
        _wait(self.child.process, timeout_s)

    def end(self, grace_s: float = 2.0) -> int:
        """End the process: asked to, then SIGTERM, then SIGKILL, *grace_s* after each; return its status.

        Again is harmless.
        """
        process = self.child.process
        if self.link is not None and process.poll() is None:
            self.link.shutdown(grace_s)
            _wait(process, grace_s)
        if process.poll() is None:
            self.child.terminate()
            _wait(process, grace_s)
        self.kill()
        return int(process.returncode)

    def kill(self) -> None:
        """End the process group now and clear up. Again is harmless."""
        process = self.child.process
        self.child.kill()
        _wait(process, KILL_S)
        if process.poll() is None:  # its keeper was stopped, and hears nothing
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self.link is not None:
            self.link.close()
        self.output.join(1.0)
        self._folder.remove()


def start_plugin(
    argv: Sequence[str],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    confinement: Confinement | None = None,
    start_s: float = handshake.START_S,
    tls: bool = False,
    versions: Sequence[int] = PROTOCOL_MAJORS,
    token: str = "",
    on_line: Callable[[Message], None] | None = None,
) -> PluginProcess:
    """Start a plugin and connect to it; return once it says that it serves.

    Args:
        argv: its command.
        cwd: its working folder.
        env: its environment; None: ours. The handshake's variables, the token and TMPDIR are added.
        confinement: what it may do; a folder for its socket and temporary files is added.
        start_s: seconds until it must serve.
        tls: use certificates made for this start (AutoMTLS).
        versions: majors that we speak.
        token: the token; empty: one is made up.
        on_line: told every line of its log.

    Raises:
        PeerError: it did not come up, and is gone; the text says why, with its last words.

    It ends when the thread that called this does.
    """
    end = time.monotonic() + start_s
    own = one_time_certificate() if tls else None
    parent = tempfile.gettempdir()
    own_folder = OwnFolder("penstock-", [parent if len(parent) < 48 else "/tmp"])
    folder = str(own_folder.path)
    token = token or secrets.token_hex(16)
    environment = dict(os.environ if env is None else env) | handshake.host_environment(
        versions, own.cert if own else b""
    )
    environment |= {ENV_TOKEN: token, handshake.ENV_SOCKET_DIR: folder, "TMPDIR": folder}
    if confinement is not None:
        confinement = msgspec.structs.replace(
            confinement,
            write=(*confinement.write, folder),
            disk_folders=(*confinement.disk_folders, folder) if confinement.disk_bytes else (),
        )
    try:
        pipe = subprocess.PIPE
        child = launch(argv, confinement=confinement, env=environment, cwd=cwd, stdout=pipe, stderr=pipe)
    except BaseException as error:
        own_folder.remove()
        if isinstance(error, OSError):
            raise HandshakeError(f"plugin {argv[0]} cannot be started: {error}") from None
        raise
    started = PluginProcess(child, Output(child.process.stdout, child.process.stderr, on_line), own_folder)
    try:
        line = handshake.wait_start_line(started.output, versions, deadline_s=end - time.monotonic())
        if own is not None and not line.certificate:
            raise HandshakeError(
                "plugin answered without a certificate though TLS was asked for; wanted AutoMTLS, or tls = false"
            )
        started.link = GrpcLink(
            line.target, token=token, major=line.version, one_time=own, plugin_cert=line.certificate, gone=started.gone
        )
        started.link.wait_healthy(end - time.monotonic())
        threading.Thread(
            target=started.link.stdio, args=(started.output.feed,), name="penstock-plugin-stdio", daemon=True
        ).start()
    except HandshakeError as error:
        _wait(child.process, 0.1)
        ended = started.how_ended()
        started.kill()
        raise HandshakeError(f"{error}; {ended}" if ended else str(error)) from None
    except BaseException:
        started.kill()
        raise
    return started


class GrpcPeer:
    """A plugin over gRPC; implements `peer.Peer`. Use it from one thread, or its streams from one each."""

    def __init__(self, link: GrpcLink, started: PluginProcess | None = None) -> None:
        self._link, self._started = link, started
        self._streams: dict[Lane, _Stream] = {}
        self._closed = False

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """Return the process that was started, or None for a plugin at an address; its group is its own."""
        return self._started.child.process if self._started else None

    @property
    def child(self) -> Child | None:
        """Return the process with all that belongs to it."""
        return self._started.child if self._started else None

    @property
    def stderr_lines(self) -> list[str]:
        """Return the last lines of its log: what it wrote on stderr, and on stdout beside the start-up line."""
        return [line.text for line in self._started.output.lines] if self._started else []

    @property
    def link(self) -> GrpcLink:
        """Return the connection."""
        return self._link

    def call(self, method: str, request: Message, timeout_s: float = 2.0) -> Message:
        """Return the reply to one of `messages.METHODS`; see `peer.Peer`."""
        return METHODS[method][1].FromString(self._link.call(method, request.SerializeToString(), timeout_s))

    def events(self) -> _Stream:
        """Return the stream Events, opened."""
        return self._stream(Lane.EVENTS)

    def orders(self) -> _Stream:
        """Return the stream Orders, opened."""
        return self._stream(Lane.ORDERS)

    def healthy(self, timeout_s: float = 2.0) -> bool:
        """Return whether the plugin says in time that it serves."""
        try:
            return self._link.health(timeout_s)
        except PeerError:
            return False

    def close(self, grace_s: float = 2.0) -> None:
        """Let the plugin stop, and end its process if it does not; see `peer.Peer`."""
        if self._closed:
            return
        self._closed = True
        for stream in self._streams.values():
            stream.close()
        if self._started is not None:
            self._started.end(grace_s)
        else:
            with contextlib.suppress(PeerError):
                self._link.call("Stop", StopRequest().SerializeToString(), grace_s)
            self._link.close()
        for stream in self._streams.values():
            stream.abandon()

    def kill(self) -> None:
        """End the plugin's process now, without a word; of a plugin at an address, the connection."""
        if self._started is not None:
            self._started.kill()
        else:
            self._link.close()
        self._closed = True
        for stream in self._streams.values():
            stream.abandon()

    def __enter__(self) -> GrpcPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, lane: Lane) -> _Stream:
        if lane not in self._streams or self._streams[lane].ended:
            self._streams[lane] = _Stream(self._link, lane)
        return self._streams[lane]


def spawn_peer(
    argv: Sequence[str],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    confinement: Confinement | None = None,
    start_s: float = handshake.START_S,
    tls: bool = False,
    versions: Sequence[int] = PROTOCOL_MAJORS,
) -> GrpcPeer:
    """Return a plugin that was started with its command; arguments and errors as of `start_plugin`."""
    started = start_plugin(argv, cwd=cwd, env=env, confinement=confinement, start_s=start_s, tls=tls, versions=versions)
    assert started.link is not None
    return GrpcPeer(started.link, started)


def connect_peer(
    address: str,
    *,
    tls: TlsFiles | None = None,
    token: str = "",
    connect_s: float = 10.0,
    versions: Sequence[int] = PROTOCOL_MAJORS,
) -> GrpcPeer:
    """Return a plugin that serves at an address.

    Args:
        address: HOST:PORT.
        tls: certificates of both sides; None only for a plugin on this machine.
        token: what the plugin wants with every call, if it does.
        connect_s: seconds until it must answer.
        versions: majors that we speak.

    Raises:
        PeerError: it does not answer, or is not who the certificates say; the text says why.
    """
    link = GrpcLink(address, tls=tls, token=token)
    try:
        link.wait_healthy(connect_s)
        link.agree(versions, connect_s)
    except BaseException:
        link.close()
        raise
    return GrpcPeer(link)


class _Stream:
    """One stream of batches; implements `peer.PeerStream`."""

    def __init__(self, link: GrpcLink, lane: Lane) -> None:
        self.ended = False
        """`receive` has told of the end."""
        self._why: PeerError | None = None
        self._link, self._lane = link, lane
        self._out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._in: queue.Queue[bytes | PeerError] = queue.Queue(_HELD_BATCHES)
        self._abandoned = threading.Event()
        self._call = link.stream(lane, iter(self._out.get, None))
        threading.Thread(target=self._read, name=f"penstock-{lane.name.lower()}", daemon=True).start()

    def send(self, batch: Message) -> None:
        """Hand over a batch; see `peer.PeerStream`."""
        if self._why is not None:
            raise self._why
        self._out.put(batch.SerializeToString())

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next batch, or None when none came in time; see `peer.PeerStream`."""
        if self.ended:
            raise PeerGone(f"stream {self._lane.name} has ended")
        try:
            got = self._in.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if isinstance(got, PeerError):
            self.ended = True
            raise got
        return Batch.FromString(got)

    def close(self) -> None:
        """Say that nothing more will be sent."""
        self._out.put(None)

    def abandon(self) -> None:
        """Break the stream off."""
        self._abandoned.set()
        self._out.put(None)
        self._call.cancel()

    def _read(self) -> None:
        why = f"stream {self._lane.name} has ended"
        try:
            for message in self._call:
                self._put(message)
        except RpcError as error:
            why = str(self._link.error_of(error, f"stream {self._lane.name}"))
        self._why = PeerGone(why)
        self._put(self._why)

    def _put(self, item: bytes | PeerError) -> None:
        while not self._abandoned.is_set():
            with contextlib.suppress(queue.Full):
                self._in.put(item, timeout=0.2)
                return


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return
