"""A small kernel's end of the framed socket, for the tests of the bridge: it lets three connections in and talks."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from penstock_kernel.bridge.plan import BridgePlan, bridge_argv, bridge_environment
from penstock_sdk.process.envelope import ENV_SOCKET, ENV_TOKEN, HEADER, HEADER_BYTES, Kind, Lane, pack
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.spawn import Child, launch
from penstock_sdk.wire.messages import METHODS, Batch, Message

WAIT_S = 20.0
TOKEN = "for-one-test"
_METHODS = list(METHODS)


class FakeKernel:
    """Starts a bridge and is its kernel."""

    def __init__(self, plan: BridgePlan, *, token: str = TOKEN) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pk-")
        path = str(Path(self._folder.name) / "s")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(WAIT_S)
        self._listener.bind(path)
        self._listener.listen(3)
        self.socks: dict[Lane, socket.socket] = {}
        self.hellos: list[dict[str, Any]] = []
        self.flows = {Lane.EVENTS: Flow(), Lane.ORDERS: Flow()}
        self.calls = 0
        environment = bridge_environment(plan) | {ENV_SOCKET: path, ENV_TOKEN: token}
        environment |= {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest
        self.child: Child = launch(bridge_argv(sys.executable), env=environment, stderr=self.log)

    def welcome(self) -> None:
        """Let the bridge in on all three lanes, and grant it credit."""
        for _ in range(3):
            sock, _address = self._listener.accept()
            sock.settimeout(WAIT_S)
            kind, _, _, body = self._message(sock)
            assert kind == Kind.HELLO
            hello = json.loads(body)
            self.hellos.append(hello)
            assert hello["token"] == TOKEN
            sock.sendall(pack(Kind.WELCOME, b'{"name": "echo"}'))
            self.socks[Lane(hello["lane"])] = sock
        for lane, flow in self.flows.items():
            self.write(lane, flow.owed())

    def call(self, method: str, request: Message | None = None) -> Message:
        """Return a call's reply; a refusal is an AssertionError with its text."""
        self.calls += 1
        body = (request or METHODS[method][0]()).SerializeToString()
        self.socks[Lane.CONTROL].sendall(pack(Kind.CALL, body, _METHODS.index(method) + 1, self.calls))
        kind, _, call, answer = self._message(self.socks[Lane.CONTROL])
        assert call == self.calls
        assert kind == Kind.REPLY, answer.decode()
        return METHODS[method][1].FromString(answer)

    def ping(self) -> bool:
        """Return whether a PING is answered."""
        self.socks[Lane.CONTROL].sendall(pack(Kind.PING, b"", 0, 77))
        return self._message(self.socks[Lane.CONTROL])[:3] == (Kind.PONG, 0, 77)

    def write(self, lane: Lane, batch: Any) -> None:
        """Send a batch as it is."""
        self.socks[lane].sendall(pack(Kind.BATCH, batch.SerializeToString()))

    def send(self, frames: bytes, lane: Lane = Lane.EVENTS, **fields: Any) -> None:
        """Send frames once there is room for them."""
        records, flow = count_records(frames), self.flows[lane]
        while flow.room()[0] < records or flow.room()[1] < len(frames):
            self.take(lane)
        self.write(lane, flow.send(Batch(frames=frames, now_ns=1, **fields), records))

    def take(self, lane: Lane = Lane.EVENTS) -> Message | None:
        """Return the next batch, or None when it was a mere acknowledgement."""
        kind, _, _, body = self._message(self.socks[lane])
        assert kind == Kind.BATCH
        batch, flow = Batch.FromString(body), self.flows[lane]
        if not flow.take(batch):
            return None
        flow.done()
        if (owed := flow.owed()) is not None:
            self.write(lane, owed)
        return batch

    def receive(self, lane: Lane = Lane.EVENTS) -> Message:
        """Return the next batch that says something."""
        while (batch := self.take(lane)) is None:
            pass
        return batch

    def ended(self) -> tuple[int, str]:
        """Return the bridge's exit status and the last line of its log."""
        status = self.child.process.wait(WAIT_S)
        return status, self.said().strip().rpartition("\n")[2]

    def said(self) -> str:
        """Return all of the bridge's stderr so far."""
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def close(self) -> None:
        """End the bridge and all connections."""
        self.child.kill()
        self.child.process.wait(WAIT_S)
        for sock in (*self.socks.values(), self._listener):
            sock.close()
        self.log.close()
        self._folder.cleanup()

    def __enter__(self) -> FakeKernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _message(sock: socket.socket) -> tuple[int, int, int, bytes]:
        def exactly(size: int) -> bytes:
            data = b""
            while len(data) < size:
                got = sock.recv(size - len(data))
                if not got:
                    raise EOFError("the bridge has closed the connection")
                data += got
            return data

        length, kind, method, _, call = HEADER.unpack(exactly(HEADER_BYTES))
        return kind, method, call, exactly(length)


def processes_with(mark: str) -> list[int]:
    """Return the ids of processes whose environment holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(holds: Any, what: str) -> None:
    """Wait until something holds; fail after a while."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)
