"""The host's side of gRPC to a plugin, with messages as bytes: channel, calls, streams, and what errors mean.

The bridge passes the bytes on as they are; `grpc_peer` makes messages of them.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penstock_sdk.process.engine_lanes import SESSION_METADATA
from penstock_sdk.process.envelope import MESSAGE_BYTES_MAX, TOKEN_METADATA, Lane
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.process.tls import OneTime, TlsFiles, only_tls_1_3, pem_of
from penstock_sdk.wire.messages import (
    FAMILY,
    PROTOCOL_MAJORS,
    DescribeRequest,
    HealthCheckRequest,
    HealthCheckResponse,
    StopRequest,
    package_of,
)

STRICT_TLS = only_tls_1_3()
"""Whether this process speaks TLS 1.3 alone; False where gRPC had been imported before."""

import grpc  # noqa: E402 - its import reads what the line above sets

__all__ = ["STRICT_TLS", "GrpcLink", "NotServedError", "RpcError", "peer_error"]

RpcError: type[Exception] = grpc.RpcError
"""What a stream raises; not imported from grpc itself, whose import must come after `only_tls_1_3`."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, with the certificates of now
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
"""No keepalive: Go's servers take a ping every ten seconds for an attack. Hosts ask for health instead."""
_LOCAL = (("grpc.default_authority", "localhost"),)
_HEALTH = HealthCheckRequest(service="plugin").SerializeToString()
_SERVING = 1
_STOP = StopRequest().SerializeToString()


class NotServedError(PeerError):
    """The plugin knows no such call; of the service Plugin: it serves another major."""


class GrpcLink:
    """A connection to a plugin at an address. Safe for threads.

    Args:
        target: as gRPC wants it: unix:/path, HOST:PORT.
        token: goes with every call; empty: none.
        session: tells this host from others; by default made up.
        major: of the service Plugin that is called: the start-up line's, or what `agree` finds.
        tls: certificates for a plugin on another machine, read again as they change.
        one_time: our certificate for a plugin that we started, and *plugin_cert*, its own, DER.
        gone: says more of a plugin that does not answer, for errors: that its process has ended.

    Raises:
        TlsFaultError: the certificates will not do.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str = "",
        session: str = "",
        major: int = max(PROTOCOL_MAJORS),
        tls: TlsFiles | None = None,
        one_time: OneTime | None = None,
        plugin_cert: bytes = b"",
        gone: Callable[[], str] = lambda: "",
    ) -> None:
        self.target = target
        self.session = session or secrets.token_hex(16)
        self.major = major
        self._tls, self._one_time, self._plugin_cert, self._gone = tls, one_time, plugin_cert, gone
        self._metadata = [(SESSION_METADATA, self.session)] + ([(TOKEN_METADATA, token)] if token else [])
        self._lock = threading.Lock()
        self._old: list[Any] = []
        self._stamp = tls.stamp() if tls else ()
        self._channel = self._open()

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Return the reply to a method of the service Plugin.

        Raises:
            PeerTimeout, PeerGone, PeerError: as `peer_error` says.
        """
        try:
            return self._unary(self._path(method), request, timeout_s, method)
        except NotServedError as error:
            raise NotServedError(f"{error}; this host calls {package_of(self.major)}") from None

    def agree(self, majors: Sequence[int], timeout_s: float) -> None:
        """Find the highest of *majors* that a plugin serves which printed no start-up line: one at an address.

        Raises:
            PeerError: it serves none of them.
            PeerTimeout, PeerGone: it does not answer.
        """
        request = DescribeRequest(majors=majors).SerializeToString()
        for major in sorted(majors, reverse=True):
            self.major = major
            try:
                self.call("Describe", request, timeout_s)
            except NotServedError:
                continue
            except (PeerTimeout, PeerGone):
                raise
            except PeerError:
                pass  # whatever it refuses, it serves the call; whoever asks next is told
            return
        raise PeerError(
            f"plugin at {self.target} serves no major of {FAMILY} that this host speaks, which are "
            f"{', '.join(map(str, majors))}; build it for one of them"
        )

    def stream(self, lane: Lane, requests: Iterator[bytes]) -> Any:
        """Return the stream Events or Orders, opened: an iterator of bytes, with `cancel`; it raises grpc.RpcError.

        gRPC takes from *requests* in a thread of its own, one after the other as the plugin makes room.
        """
        return self._channel_now().stream_stream(self._path(lane.name.capitalize()))(requests, metadata=self._metadata)

    def health(self, timeout_s: float) -> bool:
        """Return whether the plugin says that it serves.

        Raises:
            PeerTimeout, PeerGone, PeerError: it says nothing.
        """
        reply = self._unary("/grpc.health.v1.Health/Check", _HEALTH, timeout_s, "health")
        return bool(HealthCheckResponse.FromString(reply).status == _SERVING)

    def wait_healthy(self, deadline_s: float) -> None:
        """Wait until the plugin serves.

        Raises:
            PeerError: it refuses us.
            PeerGone, PeerTimeout: it does not within the time; with the last cause.
        """
        end, pause = time.monotonic() + deadline_s, threading.Event()
        while True:
            left = end - time.monotonic()
            try:
                if self.health(max(0.05, left)):
                    return
                raise PeerGone(f"plugin at {self.target} says that it does not serve")
            except PeerGone as error:
                if left <= 0.1 or self._gone():
                    raise
                # A channel that failed waits before it tries again, longer and longer: a new one does not.
                self.renew()
                if isinstance(error, PeerTimeout):
                    raise
            pause.wait(0.05)

    def shutdown(self, timeout_s: float) -> None:
        """Ask the plugin to end, as its life's last call and as go-plugin's hosts do; no answer is an answer."""
        for path, body in ((self._path("Stop"), _STOP), ("/plugin.GRPCController/Shutdown", b"")):
            try:
                self._unary(path, body, timeout_s, "Stop")
            except PeerError:
                continue

    def stdio(self, on_bytes: Callable[[int, bytes], None]) -> None:
        """Hand over what a go-plugin server catches of its own stdout (1) and stderr (2), until it ends.

        Without a reader its pipes would fill, and block it. A plugin without this method is none the worse.
        """
        try:
            for message in self._channel.unary_stream("/plugin.GRPCStdio/StreamStdio")(b"", metadata=self._metadata):
                on_bytes(*_stdio_data(message))
        except (grpc.RpcError, ValueError):  # ValueError: the channel was closed before this began
            pass

    def renew(self) -> None:
        """Close the connection and prepare another."""
        with self._lock:
            self._channel.close()
            self._channel = self._open()

    def close(self) -> None:
        """Close all connections, and break the streams on them. Again is harmless."""
        with self._lock:
            for channel in (*self._old, self._channel):
                channel.close()
            self._old.clear()

    def error_of(self, error: Any, what: str) -> PeerError:
        """Return what a grpc.RpcError means."""
        return peer_error(error, what, self._gone())

    def _path(self, method: str) -> str:
        return f"/{package_of(self.major)}.Plugin/{method}"

    def _unary(self, path: str, request: bytes, timeout_s: float, what: str) -> bytes:
        try:
            reply: bytes = self._channel_now().unary_unary(path)(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise peer_error(error, what, self._gone(), timeout_s) from None
        except ValueError:  # what grpc says of a closed channel
            raise PeerGone(f"connection to the plugin is closed, met {what}") from None
        return reply

    def _channel_now(self) -> Any:
        if self._tls is not None and self._tls.stamp() != self._stamp:
            with self._lock:
                self._old.append(self._channel)  # its streams go on
                self._channel = self._open()
        return self._channel

    def _open(self) -> Any:
        if self._tls is not None:
            stamp, pems = self._tls.stamp(), self._tls.read()
            self._stamp = stamp
            credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.cert)
            return grpc.secure_channel(self.target, credentials, _OPTIONS)
        if self._one_time is not None:
            credentials = grpc.ssl_channel_credentials(
                pem_of(self._plugin_cert), self._one_time.key, self._one_time.cert
            )
            return grpc.secure_channel(
                self.target, credentials, _OPTIONS + _LOCAL + (("grpc.ssl_target_name_override", "localhost"),)
            )
        return grpc.insecure_channel(self.target, _OPTIONS + _LOCAL)


def peer_error(error: Any, what: str, gone: str = "", timeout_s: float = 0.0) -> PeerError:
    """Return what a grpc.RpcError says of the plugin.

    Args:
        error: of a call or stream.
        what: which call or stream.
        gone: what is known of the end of the plugin's process; empty: nothing.
        timeout_s: the call's deadline.
    """
    code, details = error.code(), error.details() or ""
    if gone:
        return PeerGone(f"{what}: {gone}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return PeerTimeout(f"{what}: no answer within {timeout_s:g} s")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return PeerGone(f"{what}: connection to the plugin is gone: {details}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return PeerError(f"{what}: {details}; a message has at most {MESSAGE_BYTES_MAX} bytes")
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return PeerError(details)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NotServedError(f"{what}: {code.name}: {details}")
    return PeerError(f"{what}: {code.name}: {details}")


def _stdio_data(message: bytes) -> tuple[int, bytes]:
    """Return (channel, data) of go-plugin's StdioData: field 1 a varint, field 2 bytes; others are passed over."""
    channel, data, at = 0, b"", 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key == 0x08:
            channel = value
        elif key & 7 == 2:
            if key == 0x12:
                data = message[at : at + value]
            at += value
        elif key & 7 != 0:
            break
    return channel, data


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return value, at
