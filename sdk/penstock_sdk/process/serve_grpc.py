"""Serves a plugin over gRPC: `penstock.plugin.v1.Plugin`, health, and go-plugin's Shutdown.

Started by a host, on a Unix socket in a folder that only this user may enter, every call with the host's token; or at
an address, for hosts on other machines, with certificates on both sides. gRPC's threads read and write; the plugin
itself runs in one thread, the one that called `main` or `listen`.
"""

from __future__ import annotations

import argparse
import hmac
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, TextIO

from penstock_sdk.discovery import PluginImportError
from penstock_sdk.process import handshake
from penstock_sdk.process.engine import Engine
from penstock_sdk.process.engine_lanes import (
    RESUME,
    SESSION_METADATA,
    Called,
    Ended,
    EngineLanes,
    EngineLike,
    Got,
    Opened,
    Pinged,
    Quit,
)
from penstock_sdk.process.envelope import ENV_TOKEN, MESSAGE_BYTES_MAX, TOKEN_METADATA, Lane
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.target import load_target
from penstock_sdk.process.tls import TlsFiles, one_time_certificate, only_tls_1_3, reloading_server_credentials
from penstock_sdk.wire.messages import (
    METHODS,
    PROTOCOL_MAJORS,
    Batch,
    HealthCheckRequest,
    HealthCheckResponse,
    Message,
    package_of,
)

STRICT_TLS = only_tls_1_3()
"""Whether handshakes of TLS 1.2 are refused; False where gRPC had been imported before: then each call of one is."""

import grpc  # noqa: E402 - its import reads what the line above sets

__all__ = ["STRICT_TLS", "PluginServer", "listen", "listen_command", "main"]

CALL_S = 600.0
"""A call of a host that set no deadline."""
_THREADS = 16
_SERVING = 1
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # an address in use is a fault, not shared
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)


def main(
    cls: type[Any],
    plugin_id: str = "",
    version: str = "",
    environ: Mapping[str, str] = os.environ,
    stdout: TextIO | None = None,
) -> int:
    """Serve a plugin to the host that started this process; return the exit status.

    Prints the start-up line on *stdout*. Ends after Stop or Shutdown, by SIGTERM, and with its parent.

    Raises:
        HandshakeError: no host of ours started this process.
    """
    if not handshake.has_cookie(environ):
        raise handshake.HandshakeError(
            "this is a plugin, and no host started it; name it in plugins.toml, or try it with penstock conform"
        )
    _watch_parent()
    environ = dict(environ)
    for name in (ENV_TOKEN, handshake.ENV_CLIENT_CERT):  # not for what the plugin starts
        os.environ.pop(name, None)
    folder = tempfile.mkdtemp(prefix="plugin-", dir=environ.get(handshake.ENV_SOCKET_DIR) or None)  # 0700
    try:
        server = PluginServer(engine_maker(cls, plugin_id, version), token=environ.get(ENV_TOKEN, ""))
        path, certificate = os.path.join(folder, "s"), b""
        if client := environ.get(handshake.ENV_CLIENT_CERT, ""):
            own = one_time_certificate()
            certificate = own.der
            server.serve(f"unix:{path}", grpc.ssl_server_credentials([(own.key, own.cert)], client.encode(), True))
        else:
            server.serve(f"unix:{path}", None)
        spoken = handshake.choose_version(handshake.offered_versions(environ))
        print(handshake.start_line(spoken, "unix", path, certificate), file=stdout, flush=True)
        server.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def listen(
    cls: type[Any],
    plugin_id: str,
    version: str,
    address: str,
    tls: TlsFiles | None,
    *,
    token: str = "",
    on_listening: Callable[[int], None] | None = None,
) -> int:
    """Serve a plugin at an address until SIGTERM or SIGINT, to one host after the other; return the exit status.

    Args:
        cls: the plugin's class.
        plugin_id: its id; from its manifest.
        version: its version.
        address: HOST:PORT; port 0 lets the system choose.
        tls: certificates, followed as the files change; None only where the address is this machine's own.
        token: what every call must bear; empty: certificates are enough.
        on_listening: told the port; by default it is printed.

    Raises:
        PeerError: the certificates will not do, the address cannot be had, or it is open to others without TLS.
    """
    host = address.rpartition(":")[0].strip("[]")
    if tls is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise PeerError(f"address {address} is open to other machines; wanted --tls-cert, --tls-key and --tls-ca")
    server = PluginServer(engine_maker(cls, plugin_id, version), token=token, lasting=True)
    port = server.serve(address, reloading_server_credentials(tls) if tls else None)
    if on_listening is None:
        print(f"{plugin_id or cls.__name__} serves at {host}:{port}", flush=True)
    else:
        on_listening(port)
    server.run()
    return 0


def listen_command(arguments: Sequence[str]) -> int:
    """Serve as a command line says: TARGET --listen HOST:PORT and the certificates; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m penstock_sdk.process", description="Serve a plugin at an address.")
    parser.add_argument("target", metavar="TARGET", help="module:Class, FILE.py, or a folder with a plugin.toml")
    parser.add_argument("--listen", metavar="HOST:PORT", required=True, help="where; port 0 lets the system choose")
    for name, what in (("cert", "our certificate"), ("key", "its key"), ("ca", "who signs hosts' certificates")):
        parser.add_argument(f"--tls-{name}", metavar="FILE", default="", help=f"{what}, PEM; followed as it changes")
    given = parser.parse_args(list(arguments))
    files = TlsFiles(given.tls_ca, given.tls_cert, given.tls_key)
    try:
        if any(files) and not all(files):
            raise PeerError("met some of --tls-cert, --tls-key and --tls-ca, wanted all three or none")
        cls, plugin_id, version = load_target(given.target)
        return listen(
            cls, plugin_id, version, given.listen, files if all(files) else None, token=os.environ.get(ENV_TOKEN, "")
        )
    except (PeerError, PluginImportError) as error:
        print(error, file=sys.stderr, flush=True)
        return 2


def engine_maker(cls: type[Any], plugin_id: str, version: str) -> Callable[[EngineLanes], EngineLike]:
    """Return what makes an engine of the class, for `PluginServer`."""
    return lambda port: Engine(cls, id=plugin_id, version=version, port=port)


class PluginServer:
    """A plugin behind a gRPC server.

    Args:
        make_engine: makes the engine, given its port.
        token: what every call must bear as metadata; empty: none is asked for.
        lasting: hosts come and go, see `EngineLanes`; a Stop then ends the host's use of it, not the process.
        majors: of the service Plugin that are served, each at its own path.
    """

    def __init__(
        self,
        make_engine: Callable[[EngineLanes], EngineLike],
        *,
        token: str = "",
        lasting: bool = False,
        majors: Sequence[int] = PROTOCOL_MAJORS,
    ) -> None:
        self.lanes = EngineLanes(make_engine, lasting=lasting)
        self._token, self._lasting = token.encode(), lasting
        self._tls = False
        self._server = grpc.server(futures.ThreadPoolExecutor(_THREADS, "penstock-grpc"), options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_Handlers(self, majors),))

    def serve(self, target: str, credentials: Any) -> int:
        """Begin to listen at an address of gRPC's; return the port, 1 for a Unix socket.

        Raises:
            PeerError: the address cannot be had.
        """
        self._tls = credentials is not None
        try:
            port = (
                self._server.add_secure_port(target, credentials)
                if self._tls
                else self._server.add_insecure_port(target)
            )
        except RuntimeError as error:
            raise PeerError(f"cannot listen at {target}: {error}") from None
        if not port:
            raise PeerError(f"cannot listen at {target}: the address is in use, or not this machine's")
        self._server.start()
        return int(port)

    def run(self) -> None:
        """Run the plugin until it is stopped; then end all calls. SIGTERM and SIGINT stop it, in the main thread."""
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                before[number] = signal.signal(number, lambda *_: self.lanes.inbox.put(Quit()))
        try:
            self.lanes.run()
        finally:
            self.lanes.close()
            self._server.stop(grace=0.5).wait(2.0)  # the answer to Stop is still on its way
            for number, handler in before.items():
                signal.signal(number, handler)

    def quit(self) -> None:
        """Let `run` return; from any thread."""
        self.lanes.inbox.put(Quit())

    # ----- calls, in gRPC's threads ----------------------------------------------------------------------------

    def permits(self, metadata: Any) -> bool:
        """Return whether a call bears the token."""
        if not self._token:
            return True
        said = next((value for key, value in metadata if key == TOKEN_METADATA), "")
        return hmac.compare_digest(said.encode() if isinstance(said, str) else said, self._token)

    def check_tls(self, context: Any) -> None:
        """Abort a call that came by TLS 1.2, which a gRPC that was imported before us lets in."""
        version = context.auth_context().get("ssl_tls_version", [b""])[0]
        if self._tls and version and version != b"TLSv1.3":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{version.decode()} met, wanted TLSv1.3")

    def call(self, method: str, request: Message, context: Any) -> Message:
        """Return the plugin's answer to a call, or abort it."""
        self.check_tls(context)
        replies: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
        session = _metadata(context, SESSION_METADATA)
        self.lanes.inbox.put(Called(method, request, session, replies.put))
        reply = _wait(replies, context, method)
        if isinstance(reply, Exception):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(reply)[:4_000])
        if method == "Describe" and self._lasting and RESUME not in reply.capabilities:
            reply.capabilities.append(RESUME)
        return reply

    def stream(self, lane: Lane, requests: Iterator[Message], context: Any) -> Iterator[Message]:
        """Return what is said on a stream, while another thread hears what comes."""
        self.check_tls(context)
        outlet = _Outlet()
        inbox = self.lanes.inbox

        def gone() -> None:
            inbox.put(Ended(lane, outlet))
            outlet.end()

        def read() -> None:
            try:
                for batch in requests:
                    inbox.put(Got(lane, outlet, batch))
            except Exception:  # however it broke, gRPC has no type for it
                pass
            finally:
                inbox.put(Ended(lane, outlet))

        if not context.add_callback(gone):
            return
        inbox.put(Opened(lane, outlet, _metadata(context, SESSION_METADATA)))
        threading.Thread(target=read, name=f"penstock-{lane.name.lower()}", daemon=True).start()
        yield from outlet.sent()
        if outlet.fault:
            context.abort(grpc.StatusCode.ABORTED, outlet.fault[:4_000])

    def health(self, request: Message, context: Any) -> Message:
        """Say that the plugin serves, once its thread has taken a turn."""
        self.check_tls(context)
        if request.service not in ("", "plugin"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"service {request.service!r} met, wanted 'plugin'")
        turns: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.lanes.inbox.put(Pinged(lambda: turns.put(None)))
        _wait(turns, context, "health")
        return HealthCheckResponse(status=_SERVING)

    def shutdown(self, _: bytes, context: Any) -> bytes:
        """End the process, as go-plugin's hosts ask for; a plugin that serves at an address stays."""
        self.check_tls(context)
        if self._lasting:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "this plugin serves at an address; wanted Stop")
        self.quit()
        return b""


class _Outlet:
    """What is to be sent on one stream."""

    def __init__(self) -> None:
        self.fault = ""
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def put(self, batch: Message) -> None:
        self._queue.put(batch)

    def end(self, fault: str = "") -> None:
        self.fault = self.fault or fault
        self._queue.put(None)

    def sent(self) -> Iterator[Message]:
        return iter(self._queue.get, None)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Which method serves which call."""

    def __init__(self, server: PluginServer, majors: Sequence[int]) -> None:
        self._server = server
        self._known = {
            f"/{package_of(major)}.Plugin/{name}": grpc.unary_unary_rpc_method_handler(
                _calling(server, name), request.FromString, reply.SerializeToString
            )
            for major in majors
            for name, (request, reply) in METHODS.items()
        }
        for major in majors:
            for name, lane in (("Events", Lane.EVENTS), ("Orders", Lane.ORDERS)):
                self._known[f"/{package_of(major)}.Plugin/{name}"] = grpc.stream_stream_rpc_method_handler(
                    _streaming(server, lane), Batch.FromString, Batch.SerializeToString
                )
        self._known["/grpc.health.v1.Health/Check"] = grpc.unary_unary_rpc_method_handler(
            server.health, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
        )
        self._known["/plugin.GRPCController/Shutdown"] = grpc.unary_unary_rpc_method_handler(server.shutdown)

    def service(self, details: Any) -> Any:
        if not self._server.permits(details.invocation_metadata):
            return _REFUSAL
        return self._known.get(details.method)


def _refuse(_: Any, context: Any) -> Iterator[bytes]:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, f"metadata {TOKEN_METADATA} is not the host's token of this start")
    yield b""


_REFUSAL = grpc.stream_stream_rpc_method_handler(_refuse)


def _calling(server: PluginServer, name: str) -> Callable[[Message, Any], Message]:
    return lambda request, context: server.call(name, request, context)


def _streaming(server: PluginServer, lane: Lane) -> Callable[[Iterator[Message], Any], Iterator[Message]]:
    return lambda requests, context: server.stream(lane, requests, context)


def _wait(replies: queue.SimpleQueue[Any], context: Any, what: str) -> Any:
    """Return what the plugin's thread answers, or abort the call when its time is up."""
    left = context.time_remaining()
    try:
        return replies.get(timeout=CALL_S if left is None else max(0.0, min(left, CALL_S)))
    except queue.Empty:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"the plugin is busy and has not answered {what} in time")


def _metadata(context: Any, key: str) -> str:
    return next((str(value) for name, value in context.invocation_metadata() if name == key), "")


def _watch_parent() -> None:
    """End this process with its parent, however that ends: what PR_SET_PDEATHSIG does, on every system."""
    parent = os.getppid()
    tick = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            tick.wait(0.5)
        print("the host is gone: the plugin ends", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=watch, name="penstock-parent", daemon=True).start()
