"""A plugin's process at the other end of the kernel's socket, as benches drive it: by the socket itself, or by gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from penstock_kernel.bridge.plan import BridgePlan, bridge_argv, bridge_environment
from penstock_kernel.hosts.frames import events_of
from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.listener import Listener
from penstock_kernel.hosts.reactor import Reactor
from penstock_sdk.events import Quote
from penstock_sdk.process.envelope import ENV_SOCKET, ENV_TOKEN, Lane
from penstock_sdk.process.spawn import launch
from penstock_sdk.schema import Frame, layout_of
from penstock_sdk.wire.frame import encode_frame
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DescribeRequest,
    Instance,
    Message,
    StartRequest,
    StopRequest,
)

__all__ = ["ECHO", "TRANSPORTS", "Wire", "opened", "quote_frame"]

ECHO = f"{Path(__file__).with_name('echo_plugin.py')}:Echo"
TRANSPORTS = ("socket", "grpc")
START_S = 30.0
ANSWER_S = 30.0
WAITING_RECORDS = 16_384
IN_FLIGHT = 64
"""Messages that wait for their echo at most, where each holds one record."""
_LAYOUT = layout_of(Quote)


def quote_frame(records: int, seq: int = 1) -> bytes:
    """Return a packed frame of so many quotes."""
    array = np.zeros(records, _LAYOUT.dtype)
    array["listing_id"] = 1 + np.arange(records) % 96
    array["bid_ticks"] = 5_000 - np.arange(records)
    array["ask_ticks"] = 5_010
    return encode_frame(Frame(Quote, array), seq, 1, 0, seq, 1, 0)


class Wire:
    """A started plugin, and what has come back from it."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.reactor = Reactor()
        self.listener = Listener(self.reactor)
        self.back = 0
        """Records that came back, each frame decoded as a kernel would."""
        self.sum_bid_ticks = 0
        """Over all that came back."""
        self.lost = ""
        self.link = Link("echo", self.reactor, self._hear, self._lose)
        token = self.listener.expect("echo", lambda lane, sock, incarnation: self.link.adopt(lane, sock, incarnation))
        socket = {ENV_SOCKET: self.listener.path, ENV_TOKEN: token}
        serve = [sys.executable, "-m", "penstock_sdk.process", ECHO]
        if transport == "socket":
            argv, env = serve, socket
        else:
            plan = BridgePlan(argv=tuple(serve), env={})
            argv, env = bridge_argv(sys.executable), {**socket, **bridge_environment(plan)}
        self.child = launch(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _hear(self, _lane: Lane, batch: Message) -> None:
        for event in events_of(batch.frames):
            if isinstance(event, Frame):
                self.back += len(event)
                self.sum_bid_ticks += int(event.array["bid_ticks"].sum())
            elif isinstance(event, Quote):
                self.back += 1
                self.sum_bid_ticks += event.bid_ticks

    def _lose(self, why: str, _breach: bool) -> None:
        self.lost = why

    def start(self, simulated: bool) -> None:
        """Bring the plugin to where it hears events."""
        if not self.reactor.turn_until(lambda: self.link.complete, START_S):
            raise TimeoutError(f"the plugin did not connect over {self.transport} within {START_S:.0f} s")
        self.link.call("Describe", DescribeRequest(majors=[1]), START_S)
        instance = Instance(name="echo", plugin_id=1, simulated=simulated)
        self.link.call("Configure", ConfigureRequest(config_json="{}", instance=instance), START_S)
        self.link.call("Start", StartRequest(now_ns=1, seq=1), START_S)

    def stream(self, frame: bytes, records: int, frames: int) -> float:
        """Send *frames* times the same frame, as fast as the plugin grants; return seconds until all is back."""
        wanted, offered = self.back + records * frames, 0
        outbox = self.link.outbox[Lane.EVENTS]
        begun = time.perf_counter()
        while self.back < wanted:
            # Never more than waits without loss: beyond it the outbox sheds quotes.
            while offered < frames and len(outbox) * records < WAITING_RECORDS:
                outbox.offer(frame, records, _LAYOUT)
                offered += 1
            self.link.flush(1, 1)
            self.reactor.turn(0.0 if offered < frames else 0.01)
            if self.lost or time.perf_counter() - begun > ANSWER_S:
                raise TimeoutError(f"{wanted - self.back} records did not come back over {self.transport}: {self.lost}")
        return time.perf_counter() - begun

    def messages(self, frame: bytes, times: int) -> float:
        """Send so many single records, each in a message of its own, `IN_FLIGHT` under way; return seconds."""
        begun_back, sent = self.back, 0
        begun = time.perf_counter()
        while (got := self.back - begun_back) < times:
            while sent < times and sent - got < IN_FLIGHT:
                self.link.send(Lane.EVENTS, Batch(frames=frame, now_ns=1), 1)
                sent += 1
            self.reactor.turn(0.01)
            if self.lost or time.perf_counter() - begun > ANSWER_S:
                raise TimeoutError(f"{times - got} records did not come back over {self.transport}: {self.lost}")
        return time.perf_counter() - begun

    def ping_pong(self, frame: bytes, times: int) -> list[int]:
        """Return how long each of so many single records took there and back, in ns."""
        took = []
        for _ in range(times):
            begun_ns = time.perf_counter_ns()
            self.link.step(Batch(frames=frame, now_ns=1), 1, ANSWER_S)
            took.append(time.perf_counter_ns() - begun_ns)
        return took

    def close(self) -> None:
        """Let the plugin stop, and see that its process is gone."""
        if not self.lost and self.link.complete:
            self.link.begin_call("Stop", StopRequest())
            self.reactor.turn_until(lambda: bool(self.lost), 2.0)
        self.link.close()
        self.child.kill()
        self.child.process.wait(10)
        self.listener.close()
        self.reactor.close()


@contextmanager
def opened(transport: str, *, simulated: bool) -> Iterator[Wire]:
    """Have an echoing plugin for a while."""
    wire = Wire(transport)
    try:
        wire.start(simulated)
        yield wire
    finally:
        wire.close()
