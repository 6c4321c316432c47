"""The bridge itself: starts or reaches the plugin, answers the kernel's calls by it, and ends when either does."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from penstock_kernel.bridge.kernel_end import Connection, Framed, connect
from penstock_kernel.bridge.plan import LAST_WORDS, NOISE, BridgeExit, BridgePlan
from penstock_kernel.bridge.pump import Pump
from penstock_sdk.process.engine_lanes import RESUME
from penstock_sdk.process.envelope import Kind, Lane
from penstock_sdk.process.grpc_link import GrpcLink, RpcError
from penstock_sdk.process.grpc_peer import PluginProcess, start_plugin
from penstock_sdk.process.handshake import hclog_line
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.process.tls import TlsFiles
from penstock_sdk.wire.messages import METHODS, DescribeReply, DescribeRequest, Message

__all__ = ["Bridge", "run"]

CALL_S = 600.0
"""The kernel has deadlines of its own, and tells nobody; this one ends what it has long given up."""
PING_S = 1.0
MISSED_MAX = 3
STOP_S = 2.0
REFUSE_S = 10.0
"""How long a bridge without a plugin waits for a call that it can refuse."""
_QUICK_S = 5.0
_BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_METHODS = list(METHODS)


class _End(NamedTuple):
    status: BridgeExit
    text: str


def run(plan: BridgePlan, socket_path: str, token: str) -> int:
    """Be the bridge of a plan; return the exit status. The last line on stderr says why it ended."""
    started: PluginProcess | None = None
    link: GrpcLink | None = None
    fault = ""
    try:
        if plan.argv:
            started = start_plugin(
                plan.argv, cwd=plan.cwd or None, env=plan.env, confinement=plan.confinement, start_s=plan.start_s,
                tls=plan.auto_tls, versions=plan.majors, on_line=_forward,
            )  # fmt: skip
            link = started.link
            if started.output.noise:
                print(NOISE + started.output.noise, file=sys.stderr, flush=True)
        else:
            link = _reach(plan)
    except PeerError as error:
        fault = str(error)
    try:
        connections = connect(socket_path, token, plan.majors if link is None else (link.major,))
        if link is None:
            end = _refuse(connections[Lane.CONTROL], fault)
        else:
            end = Bridge(plan, link, started, connections).run()
        for connection in connections.values():
            connection.close()
    except PeerError as error:
        end = _End(BridgeExit.PLAN, fault or str(error))
    finally:
        if started is not None:
            started.kill()
        elif link is not None:
            link.close()
    print(LAST_WORDS + end.text, file=sys.stderr, flush=True)
    return int(end.status)


class Bridge:
    """A plugin that serves, and a kernel that waits for it.

    Args:
        plan: how it was reached.
        link: the connection to it.
        started: its process, when it is ours.
        connections: the kernel's.
    """

    def __init__(
        self,
        plan: BridgePlan,
        link: GrpcLink,
        started: PluginProcess | None,
        connections: dict[Lane, Connection],
    ) -> None:
        self._plan, self._link, self._started = plan, link, started
        self._control = connections[Lane.CONTROL]
        self._over = threading.Event()
        self._end = _End(BridgeExit.STOPPED, "the plugin has stopped")
        self._lock = threading.Lock()
        self._stopping = False
        self._incarnation = ""
        self._resumes = False
        self._reaching = False
        """A thread tries to reach the plugin again."""
        self._reached = threading.Event()
        self._reached.set()
        self._missed = 0
        """PINGs in a row that the plugin had no answer for."""
        self._reached_s = -_QUICK_S
        self._quick_breaks = 0
        """How often in a row the streams broke soon after they were opened again."""
        self._pumps = [self._pump(connections[lane]) for lane in (Lane.EVENTS, Lane.ORDERS)]
        self._pool = ThreadPoolExecutor(8, "bridge-call")

    def run(self) -> _End:
        """Pass on until it is over; return why."""
        for pump in self._pumps:
            pump.open(self._link)
        threading.Thread(target=self._serve_calls, name="bridge-control", daemon=True).start()
        self._over.wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._end

    def end(self, status: BridgeExit, text: str) -> None:
        """Let `run` return; the first reason counts."""
        with self._lock:
            if not self._over.is_set():
                self._end = _End(status, text)
                self._over.set()

    def _pump(self, connection: Connection) -> Pump:
        return Pump(
            connection,
            keep=self._started is None,
            on_kernel_end=self._kernel_ended,
            on_stream_end=lambda error, opening: self._stream_ended(connection.lane, error, opening),
        )

    # ----- the kernel's calls -----------------------------------------------------------------------------------

    def _serve_calls(self) -> None:
        try:
            while True:
                message = self._control.read()
                if message.kind == Kind.CALL and 1 <= message.method <= len(_METHODS):
                    self._pool.submit(self._guard, self._call, message)
                elif message.kind == Kind.PING:
                    self._pool.submit(self._guard, self._ping, message)
                elif message.kind != Kind.PONG:
                    raise PeerError(
                        f"kernel's CONTROL met kind {message.kind} with method {message.method}, wanted a call or PING"
                    )
        except PeerError as error:
            self._kernel_ended(error)
        except RuntimeError:
            return  # it is over: the pool takes nothing more

    def _guard(self, handle: Callable[[Framed], None], message: Framed) -> None:
        try:
            handle(message)
        except PeerError as error:
            self._kernel_ended(error)

    def _call(self, message: Framed) -> None:
        method = _METHODS[message.method - 1]
        if method == "Stop":
            self._stopping = True
        try:
            self._reached.wait(self._plan.reconnect_s)
            reply = self._link.call(method, message.body, STOP_S if method == "Stop" else CALL_S)
        except PeerError as error:
            if method == "Stop" and isinstance(error, PeerGone):  # a Go server stops before it answers
                self._control.write(Kind.REPLY, b"", message.method, message.call)
            else:
                self._control.write(Kind.REFUSED, str(error).encode(), message.method, message.call)
        else:
            if method == "Describe":
                self._described(DescribeReply.FromString(reply))
            self._control.write(Kind.REPLY, reply, message.method, message.call)
        if method == "Stop":
            self._stopped()

    def _described(self, reply: Message) -> None:
        self._incarnation = reply.incarnation
        self._resumes = self._started is None and RESUME in reply.capabilities and bool(reply.incarnation)

    def _ping(self, message: Framed) -> None:
        try:
            serves = self._link.health(PING_S)
        except (PeerTimeout, PeerGone):
            serves = False  # no answer is one, too
        except PeerError:  # it has no health service, and said so
            serves = True
        if serves:
            self._missed = 0
            self._control.write(Kind.PONG, b"", 0, message.call)
            return
        self._missed += 1
        if self._missed >= MISSED_MAX and self._resumes and self._reached.is_set():
            self._missed = 0
            self._link.renew()  # a connection that is dead and does not know: its streams break now

    def _stopped(self) -> None:
        """See that a plugin that was told to stop has."""
        if self._started is not None:
            self._started.end(STOP_S)
        self.end(BridgeExit.STOPPED, "the plugin has stopped")

    # ----- ends -------------------------------------------------------------------------------------------------

    def _kernel_ended(self, error: PeerError) -> None:
        self.end(BridgeExit.KERNEL_GONE if isinstance(error, PeerGone) else BridgeExit.BREACH, str(error))

    def _stream_ended(self, lane: Lane, error: Exception | None, opening: int) -> None:
        if self._stopping or self._over.is_set():
            return
        what = f"stream {lane.name}"
        fault: PeerError
        if error is None:
            fault = PeerGone(f"{what}: the plugin has ended it")
        elif isinstance(error, RpcError):
            if self._started is not None:
                self._started.settle(0.5)
            fault = self._link.error_of(error, what)
        else:
            fault = PeerError(f"{what}: {type(error).__name__}: {error}")
        if not isinstance(fault, PeerGone):
            self.end(BridgeExit.BREACH, str(fault))
        elif not self._resumes:
            self.end(BridgeExit.GONE, str(fault))
        else:
            self._reach_again(str(fault), opening)

    def _reach_again(self, why: str, opening: int) -> None:
        """Reach a plugin at an address again, and go on where its streams broke, unless it has begun anew."""
        with self._lock:
            if self._reaching or opening != self._pumps[0].opened:
                return  # the other stream broke with it
            self._reaching = True
        self._reached.clear()
        quickly = time.monotonic() - self._reached_s < _QUICK_S
        self._quick_breaks = self._quick_breaks + 1 if quickly else 0
        try:
            if quickly:
                self._over.wait(_BACK_OFF_S[min(self._quick_breaks, len(_BACK_OFF_S)) - 1])
            _forward_text("warn", f"{why}; trying to reach {self._plan.address} again")
            self._link.renew()
            _patiently(self._link, self._plan.reconnect_s, self._over)
            request = DescribeRequest(majors=self._plan.majors).SerializeToString()
            reply = DescribeReply.FromString(self._link.call("Describe", request, 5.0))
            if reply.incarnation != self._incarnation:
                self.end(BridgeExit.GONE, f"{why}; the plugin at {self._plan.address} has begun anew meanwhile")
                return
            with self._lock:
                self._reaching = False
                for pump in self._pumps:
                    pump.open(self._link)
            _forward_text("info", f"reached {self._plan.address} again")
            self._reached_s = time.monotonic()
            self._reached.set()
        except PeerError as error:
            self.end(BridgeExit.GONE, f"{why}; not reached again within {self._plan.reconnect_s:g} s: {error}")


def _reach(plan: BridgePlan) -> GrpcLink:
    tls = TlsFiles(plan.tls.ca, plan.tls.cert, plan.tls.key) if plan.tls else None
    link = GrpcLink(plan.address, token=plan.token, tls=tls)
    try:
        _patiently(link, plan.start_s, threading.Event())
        link.agree(plan.majors, plan.start_s)
    except BaseException:
        link.close()
        raise
    return link


def _patiently(link: GrpcLink, deadline_s: float, over: threading.Event) -> None:
    """Wait until a plugin at an address serves, asking less and less often."""
    left = deadline_s
    for attempt in range(10_000):
        pause = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
        try:
            link.wait_healthy(min(pause, left))
            return
        except (PeerGone, PeerTimeout):
            left -= 2 * pause  # that of the attempt, and the one that follows
            if left <= 0 or over.wait(pause):
                raise
            link.renew()


def _refuse(control: Connection, why: str) -> _End:
    """Refuse the kernel's first call with why there is no plugin."""
    timer = threading.Timer(REFUSE_S, control.close)
    timer.daemon = True
    timer.start()
    try:
        while (message := control.read()).kind != Kind.CALL:
            pass
        control.write(Kind.REFUSED, why.encode(), message.method, message.call)
    except PeerGone:
        pass  # then the last line says it
    finally:
        timer.cancel()
    return _End(BridgeExit.NOT_STARTED, why)


def _forward(line: Message) -> None:
    """Pass a line of the plugin's log on to the kernel, which reads our stderr."""
    sys.stderr.write(hclog_line(line) + "\n")
    sys.stderr.flush()


def _forward_text(level: str, text: str) -> None:
    line = {"@level": level, "@message": text, "@module": "penstock-bridge"}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
