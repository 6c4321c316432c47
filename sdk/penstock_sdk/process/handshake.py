"""The start-up line of hashicorp/go-plugin, both sides: how a started plugin tells its host where it serves gRPC.

The host sets a cookie and the protocol versions it speaks in the environment; the plugin prints one line on stdout,

    1|VERSION|unix or tcp|ADDRESS|grpc|CERTIFICATE

and serves until it is told to stop. Lines before it are noise, kept for the log; whatever comes after is log, too. What
a plugin writes on stderr is log: hclog's JSON lines, or plain text.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any, NamedTuple

from penstock_sdk.events.enums import Severity
from penstock_sdk.process.peer import PeerError
from penstock_sdk.wire.messages import PROTOCOL_MAJORS, LogLine, Message

__all__ = [
    "COOKIE_KEY", "COOKIE_VALUE", "CORE_VERSION", "ENV_CLIENT_CERT", "ENV_SOCKET_DIR", "ENV_VERSIONS", "START_S",
    "HandshakeError", "LogReader", "Output", "StartLine", "certificate_field", "choose_version", "has_cookie",
    "hclog_line", "host_environment", "offered_versions", "parse_start_line", "start_line", "wait_start_line",
]  # fmt: skip

COOKIE_KEY = "PENSTOCK_PLUGIN"
COOKIE_VALUE = "penstock.plugin.v1"
"""Set by a host, so that a plugin started by hand can say how it is meant to be started. No secret."""
CORE_VERSION = 1
"""Version of the start-up line itself."""
ENV_VERSIONS = "PLUGIN_PROTOCOL_VERSIONS"
"""Comma-separated majors that the host speaks."""
ENV_CLIENT_CERT = "PLUGIN_CLIENT_CERT"
"""The host's certificate as PEM: serve TLS, and let in nobody else."""
ENV_SOCKET_DIR = "PLUGIN_UNIX_SOCKET_DIR"
"""Folder for the plugin's socket."""
START_S = 10.0
LINE_BYTES_MAX = 16 << 10
"""A longer line of output is cut into lines of this length."""
KEPT_LINES = 1_000

_START = re.compile(rb"\s*\d+\|\d+\|")
_P521 = bytes.fromhex("06052b81040023")
"""The object identifier of the curve, as it stands in a certificate's DER."""
_SEVERITY = {"warn": Severity.WARNING, "error": Severity.ERROR}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class HandshakeError(PeerError):
    """The plugin did not come up as a plugin of ours; the text names what it did instead."""


class StartLine(NamedTuple):
    """What a start-up line says."""

    version: int
    network: str
    """unix or tcp."""
    address: str
    certificate: bytes
    """The plugin's certificate, DER; empty without TLS."""

    @property
    def target(self) -> str:
        """Return the address as gRPC wants it."""
        return f"unix:{self.address}" if self.network == "unix" else self.address


# ----- the host's side -------------------------------------------------------------------------------------------


def host_environment(versions: Collection[int] = PROTOCOL_MAJORS, client_cert: bytes = b"") -> dict[str, str]:
    """Return what a host adds to the plugin's environment.

    Args:
        versions: majors that the host speaks.
        client_cert: the host's certificate, PEM; empty: no TLS.
    """
    environment = {
        COOKIE_KEY: COOKIE_VALUE,
        ENV_VERSIONS: ",".join(str(version) for version in versions),
        "PLUGIN_MIN_PORT": "10000",
        "PLUGIN_MAX_PORT": "25000",
    }
    if client_cert:
        environment[ENV_CLIENT_CERT] = client_cert.decode()
    return environment


def parse_start_line(line: bytes, versions: Collection[int] = PROTOCOL_MAJORS) -> StartLine:
    """Return what a start-up line says.

    Args:
        line: with or without its end.
        versions: majors that the host offered.

    Raises:
        HandshakeError: it is none, or of another core version, of a version nobody offered, of another protocol, with
            an address that is not local, or with a certificate that no gRPC of ours can use.
    """
    shown = _shown(line)
    parts = shown.strip().split("|")
    if len(parts) < 4 or not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts[:2]):
        raise HandshakeError(f"start-up line {shown[:200]!r} met, wanted 1|VERSION|unix or tcp|ADDRESS|grpc")
    core, version = int(parts[0]), int(parts[1])
    network, address = parts[2], parts[3]
    protocol = parts[4] if len(parts) > 4 else "netrpc"  # what go-plugin takes an absent field for
    if core != CORE_VERSION:
        raise HandshakeError(f"start-up line has core version {core}, wanted {CORE_VERSION}; use go-plugin 1.x")
    if version not in versions:
        offered = ", ".join(str(each) for each in versions)
        raise HandshakeError(
            f"plugin speaks protocol version {version}, host offers {offered}; build it for one of them"
        )
    if protocol != "grpc":
        raise HandshakeError(f"plugin speaks {protocol[:40]!r}, wanted grpc; set GRPCServer in go-plugin's ServeConfig")
    if not _is_local(network, address):
        raise HandshakeError(
            f"plugin serves at {network[:20]!r} {address[:200]!r}, "
            "wanted a Unix socket's full path, or HOST:PORT of this machine"
        )
    certificate = _certificate(parts[5]) if len(parts) > 5 and parts[5] else b""
    return StartLine(version, network, address, certificate)


def wait_start_line(
    output: Output, versions: Collection[int] = PROTOCOL_MAJORS, *, deadline_s: float = START_S
) -> StartLine:
    """Return the start-up line of a plugin whose stdout *output* reads.

    Raises:
        HandshakeError: none came in time, or one that will not do; the text holds what it printed instead.
    """
    try:
        line = output.start.get(timeout=max(0.0, deadline_s))
    except queue.Empty:
        raise HandshakeError(f"plugin printed no start-up line within {deadline_s:g} s{output.last_words()}") from None
    if line is None:
        raise HandshakeError(f"plugin closed its stdout without a start-up line{output.last_words()}")
    return parse_start_line(line, versions)


def hclog_line(line: Message) -> str:
    """Return a line of the log as hclog's JSON, for another reader."""
    fields = json.loads(line.fields_json) if line.fields_json else {}
    level = {Severity.WARNING: "warn", Severity.ERROR: "error", Severity.CRITICAL: "error"}.get(line.severity, "info")
    return json.dumps(
        {"@level": level, "@message": line.text}
        | {f"@{key}" if key == "module" else key: value for key, value in fields.items()}
    )


class LogReader:
    """Lines of output as lines of the log; it knows hclog's JSON, and the traces of Go and Python as errors."""

    def __init__(self) -> None:
        self._trace = ""

    def line(self, raw: bytes) -> Message:
        """Return one line as a LogLine."""
        text = _shown(raw)
        if text.startswith("{"):
            parsed = _hclog(text)
            if parsed is not None:
                self._trace = ""
                return parsed
        if text.startswith(("panic:", "fatal error:")):
            self._trace = "go"
        elif text.startswith("Traceback (most recent call last)"):
            self._trace = "python"
        error = bool(self._trace)
        if self._trace == "python" and not text.startswith((" ", "Traceback")):
            self._trace = ""  # its last line, which names the exception
        return LogLine(severity=Severity.ERROR if error else Severity.INFO, text=text)


class Output:
    """What a plugin prints, read for ever in threads of its own, so that it never blocks on a full pipe.

    Attributes:
        start: the start-up line comes here, once; None when stdout ended without one.
        lines: the last `KEPT_LINES` lines of log, stdout's noise included.
        noise: the first line on stdout that stood before the start-up line; "" when there was none.
        on_line: told every line of log, from the reading threads.
    """

    def __init__(
        self, stdout: IO[bytes] | None, stderr: IO[bytes] | None, on_line: Callable[[Message], None] | None = None
    ) -> None:
        self.start: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.lines: deque[Message] = deque(maxlen=KEPT_LINES)
        self.noise = ""
        self.on_line = on_line
        self._fed: dict[int, tuple[LogReader, bytearray]] = {}
        self._threads = [
            threading.Thread(target=self._read, args=(pipe, pipe is stdout), name="penstock-plugin-output", daemon=True)
            for pipe in (stdout, stderr)
            if pipe is not None
        ]
        for thread in self._threads:
            thread.start()

    def last_words(self, count: int = 5) -> str:
        """Return the last lines of output for an error's text; empty when there are none."""
        time_left = time.monotonic() + 0.2
        for thread in self._threads:  # what a plugin said as it died is on its way here
            thread.join(max(0.0, time_left - time.monotonic()))
        said = [line.text for line in self.lines][-count:]
        return f"; it said: {' / '.join(said)[:1000]}" if said else ""

    def feed(self, channel: int, data: bytes) -> None:
        """Take output that came another way, as lines of *channel* (1 stdout, 2 stderr); a rest waits for its end."""
        reader, rest = self._fed.setdefault(channel, (LogReader(), bytearray()))
        rest += data
        *whole, last = bytes(rest).split(b"\n")
        if len(last) >= LINE_BYTES_MAX:
            whole, last = [*whole, last], b""
        rest[:] = last
        for raw in whole:
            self._note(reader.line(raw[:LINE_BYTES_MAX]))

    def join(self, timeout_s: float) -> None:
        """Wait until both pipes have ended, for at most *timeout_s*."""
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _read(self, pipe: IO[bytes], is_stdout: bool) -> None:
        reader, waits = LogReader(), is_stdout
        with pipe:
            while raw := pipe.readline(LINE_BYTES_MAX):
                if waits and _START.match(raw):
                    waits = False
                    self.start.put(raw)
                    continue
                line = reader.line(raw)
                if waits and not self.noise:
                    self.noise = line.text.strip()
                self._note(line)
        if waits:
            self.start.put(None)

    def _note(self, line: Message) -> None:
        self.lines.append(line)
        if self.on_line is not None:
            self.on_line(line)


# ----- the plugin's side -----------------------------------------------------------------------------------------


def has_cookie(environment: Mapping[str, str]) -> bool:
    """Return whether a host of ours started this process."""
    return environment.get(COOKIE_KEY) == COOKIE_VALUE


def offered_versions(environment: Mapping[str, str]) -> tuple[int, ...]:
    """Return the majors that the host speaks; those that are no numbers are passed over."""
    parts = environment.get(ENV_VERSIONS, "").split(",")
    return tuple(int(part) for part in map(str.strip, parts) if part.isascii() and part.isdigit() and len(part) < 9)


def choose_version(offered: Collection[int], spoken: Collection[int] = PROTOCOL_MAJORS) -> int:
    """Return the highest major that both sides speak, or our highest: the host then refuses it, naming both."""
    return max((version for version in spoken if version in offered), default=max(spoken))


def start_line(version: int, network: str, address: str, certificate: bytes = b"") -> str:
    """Return the line that a plugin prints, without its end.

    Args:
        version: the major that it serves.
        network: unix or tcp.
        address: path, or host:port.
        certificate: its certificate, DER; empty without TLS.
    """
    return f"{CORE_VERSION}|{version}|{network}|{address}|grpc|{certificate_field(certificate)}"


def certificate_field(certificate: bytes) -> str:
    """Return a certificate's DER as the line has it: standard base64 without padding."""
    return base64.b64encode(certificate).decode().rstrip("=")


# ----- helpers ---------------------------------------------------------------------------------------------------


def _shown(raw: bytes) -> str:
    """Return output as text that does no harm to a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", raw.rstrip(b"\r\n").decode("utf-8", "replace"))


def _is_local(network: str, address: str) -> bool:
    if network == "unix":
        return address.startswith("/")
    host, _, port = address.rpartition(":")
    if network != "tcp" or not (port.isascii() and port.isdigit() and len(port) < 6):
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _certificate(field: str) -> bytes:
    try:
        der = base64.b64decode(field + "=" * (-len(field) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise HandshakeError(
            f"start-up line's certificate {field[:40]!r} is no base64; wanted its DER in standard base64"
        ) from None
    if der[:1] != b"\x30":
        raise HandshakeError(
            "start-up line's certificate is no DER; wanted its bytes as encoding/base64.RawStdEncoding has them"
        )
    if _P521 in der:
        raise HandshakeError(
            "plugin's certificate is of curve P-521, which gRPC's TLS refuses; go-plugin's AutoMTLS makes no other: "
            "give ServeConfig a TLSProvider with a P-256 certificate, or do without TLS on a Unix socket"
        )
    return der


def _hclog(text: str) -> Message | None:
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or "@message" not in fields:
        return None
    level, said = str(fields.pop("@level", "info")).lower(), str(fields.pop("@message"))
    fields.pop("@timestamp", None)
    rest = json.dumps({key.lstrip("@"): value for key, value in fields.items()}) if fields else ""
    # A lone surrogate is legal in JSON, and in no protobuf string.
    said, rest = (
        each.encode("utf-8", "replace").decode() for each in (_CONTROL.sub("\N{REPLACEMENT CHARACTER}", said), rest)
    )
    return LogLine(severity=_SEVERITY.get(level, Severity.INFO), text=said, fields_json=rest)
