"""How the service is, for supervisors that ask over HTTP: ``/livez``, ``/readyz``, ``/metrics``.

``/livez`` is 200 while the watchdog looks and its kernel does not hang; ``/readyz`` is 200 in phase READY alone, and
not while the kernel is stopped or waits for its disk: that is no reason to end it, and it trades nothing. The kill
switch and pauses leave it ready: the desk obeys its operator, and a supervisor that restarts it would undo nothing of
that. The body of both says in JSON what is so and, where it is 503, why.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from penstock_kernel.vitals import Phase

__all__ = ["Condition", "HealthServer"]

LOOKED_NS_MAX = 2_000_000_000
"""A watchdog that has not looked for so long is not well itself."""


class Condition(msgspec.Struct, frozen=True):
    """What the watchdog knew at its last look."""

    instance: str
    looked_ns: int
    """On the machine's monotonic clock."""
    pid: int = 0
    """The kernel's process; 0 when there is none."""
    phase: Phase = Phase.NONE
    done: int = 0
    wanted: int = 0
    reconciling: int = 0
    killed: bool = False
    held_ms: int = 0
    """So long the kernel has not moved."""
    holder: str = ""
    """What holds it, when it is past its first limit."""
    blocked: str = ""
    """What keeps the kernel still past its first limit, where ending it would mend nothing: a signal, its disk."""
    blocked_ms: int = 0
    """So long it has not moved for that."""
    hangs: bool = False
    """It is past its second limit."""
    down: str = ""
    """Why there is no kernel."""
    restarts: int = 0

    def why_not_live(self, now_ns: int) -> str:
        """Return why the service is not live, or empty."""
        if now_ns - self.looked_ns > LOOKED_NS_MAX:
            return f"the watchdog has not looked for {(now_ns - self.looked_ns) // 1_000_000} ms"
        if not self.pid:
            return self.down or "no kernel"
        return f"held for {self.held_ms} ms by {self.holder}" if self.hangs else ""

    def why_not_ready(self, now_ns: int) -> str:
        """Return why the service is not ready, or empty."""
        if why := self.why_not_live(now_ns):
            return why
        if self.blocked:
            return f"{self.blocked}, for {self.blocked_ms} ms"
        if self.phase in (Phase.READY, Phase.RECONCILING):
            # A venue that is quarantined does not answer: what is open there, nobody looks after.
            venues = f"{self.reconciling} venue{'s'[: self.reconciling != 1]}"
            return f"reconciling with {venues}" if self.reconciling or self.phase == Phase.RECONCILING else ""
        share = f" {100 * self.done // self.wanted} %" if self.wanted else ""
        return f"{self.phase.name.lower() if self.phase else 'starting'}{share}"

    def body(self, why: str) -> dict[str, Any]:
        """Return what is told beside *why*."""
        told: dict[str, Any] = {"ok": not why, "why": why, "instance": self.instance, "phase": self.phase.name.lower()}
        return told | {
            "kernel_pid": self.pid, "killed": self.killed, "held_ms": self.held_ms, "holder": self.holder,
            "blocked": self.blocked, "reconciling": self.reconciling, "restarts": self.restarts, "done": self.done,
            "wanted": self.wanted,
        }  # fmt: skip


class HealthServer:
    """Answers in threads of its own.

    Args:
        address: host and port; port 0 takes a free one.
        condition: returns what is known now.
        metrics: returns the text of ``/metrics``, or None when there is none.
    """

    def __init__(
        self, address: tuple[str, int], condition: Callable[[], Condition], metrics: Callable[[], bytes | None]
    ) -> None:
        class Handler(_Handler):
            pass

        Handler.condition, Handler.metrics = staticmethod(condition), staticmethod(metrics)
        self._server = _Server(address, Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16
    threads_max = 32

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(self.threads_max)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread, unless too many are at it: then hang up."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that went away go."""


class _Handler(BaseHTTPRequestHandler):
    condition: Callable[[], Condition]
    metrics: Callable[[], bytes | None]
    timeout = 5
    server_version = "penstock"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one question."""
        path = self.path.partition("?")[0]
        if path in ("/livez", "/readyz"):
            known = self.condition()
            ask = known.why_not_live if path == "/livez" else known.why_not_ready
            why = ask(time.monotonic_ns())
            self._answer(503 if why else 200, "application/json", json.dumps(known.body(why)).encode() + b"\n")
        elif path == "/metrics" and (text := self.metrics()) is not None:
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", text)
        else:
            self._answer(404, "text/plain", b"there are /livez, /readyz and /metrics\n")

    def do_HEAD(self) -> None:
        """Answer with the head alone."""
        self.do_GET()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no line per question."""
