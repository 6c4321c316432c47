"""A host's end of plugins in processes of their own, as small as tests need it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from penstock_sdk.process.envelope import CREDIT_EVENTS, ENV_SOCKET, ENV_TOKEN, HEADER, HEADER_BYTES, Kind, Lane, pack
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.object_peer import SocketPeer
from penstock_sdk.wire.messages import Batch, ConfigureRequest, DescribeRequest, Instance, Message, StartRequest

TOKEN = "a-token"
DEADLINE_S = 20.0


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = sock.recv(size - len(data))
        if not got:
            raise EOFError(f"{len(data)} of {size} bytes came")
        data += got
    return data


def let_in(listener: socket.socket) -> dict[Lane, socket.socket]:
    """Accept a plugin's three connections, each with its HELLO."""
    lanes: dict[Lane, socket.socket] = {}
    while len(lanes) < 3:
        sock, _ = listener.accept()
        sock.settimeout(DEADLINE_S)
        length, kind, *_ = HEADER.unpack(exactly(sock, HEADER_BYTES))
        assert kind == Kind.HELLO
        hello = json.loads(exactly(sock, length))
        assert hello["token"] == TOKEN and hello["incarnation"]
        sock.sendall(pack(Kind.WELCOME, b'{"name": "it", "host": "a test"}'))
        lanes[Lane(hello["lane"])] = sock
    return lanes


@contextmanager
def spawned(target: str, *, stdout: int = subprocess.DEVNULL, **env: str) -> Iterator[tuple[SocketPeer, Any]]:
    """Start a plugin's process and let it connect; end it whatever happens."""
    with tempfile.TemporaryDirectory(prefix="ps-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder) / "s")
        listener.bind(path)
        listener.listen(3)
        listener.settimeout(DEADLINE_S)
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock_sdk.process", target],
            env={**os.environ, ENV_SOCKET: path, ENV_TOKEN: TOKEN, **env},
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        peer = None
        try:
            lanes = let_in(listener)
            peer = SocketPeer(lanes[Lane.CONTROL], lanes[Lane.EVENTS], lanes[Lane.ORDERS])
            yield peer, process
        finally:
            if peer is not None:
                peer.close()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


class Host:
    """Numbers, credit and the first calls, over any peer."""

    def __init__(self, peer: Any, *, credit_events: int = CREDIT_EVENTS) -> None:
        self.peer = peer
        self.streams = {Lane.EVENTS: peer.events(), Lane.ORDERS: peer.orders()}
        self.flows = {lane: Flow(credit_events=credit_events) for lane in self.streams}
        for lane, stream in self.streams.items():
            stream.send(self.flows[lane].owed())
        for lane in self.streams:
            while self.flows[lane].room() == (0, 0):
                assert self.receive(lane, acknowledgements=True) is not None

    def begin(self, config: str = "", **instance: Any) -> Message:
        """Describe, configure and start the plugin; return what it says first."""
        self.configure(config, **instance)
        return self.peer.call("Start", StartRequest(), DEADLINE_S)

    def configure(self, config: str = "", **instance: Any) -> None:
        """Describe and configure the plugin."""
        self.peer.call("Describe", DescribeRequest(majors=[1]), DEADLINE_S)
        who = {"name": "it", "plugin_id": 7, **instance}
        reply = self.peer.call("Configure", ConfigureRequest(config_json=config, instance=Instance(**who)), DEADLINE_S)
        assert not reply.faults, reply.faults

    def send(self, lane: Lane, batch: Message) -> None:
        self.streams[lane].send(self.flows[lane].send(batch, count_records(batch.frames)))

    def receive(self, lane: Lane, timeout_s: float = DEADLINE_S, *, acknowledgements: bool = False) -> Message | None:
        """Return the plugin's next batch, acknowledged."""
        while True:
            batch = self.streams[lane].receive(timeout_s)
            if batch is None:
                return None
            if self.flows[lane].take(batch):
                self.flows[lane].done()
                owed = self.flows[lane].owed()
                if owed is not None:
                    self.streams[lane].send(owed)
                return batch
            if acknowledgements:
                return batch

    def step(self, number: int, **batch: Any) -> Message:
        """Send a batch as a step; return its answer."""
        self.send(Lane.EVENTS, Batch(step=number, **batch))
        while True:
            answer = self.receive(Lane.EVENTS)
            assert answer is not None, "the plugin does not answer"
            if answer.answers == number:
                return answer
