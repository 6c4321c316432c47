"""A plugin at an address: the bridge reaches it again after a cut, loses nothing, and tells when it has begun anew."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from kernel.tests.bridge_kernel import WAIT_S, FakeKernel
from kernel.tests.test_bridge import begin, quotes
from penstock_kernel.bridge.kernel_end import Framed
from penstock_kernel.bridge.plan import BridgeExit, BridgePlan, PlanTls
from penstock_kernel.bridge.pump import Pump
from penstock_sdk.process.envelope import Kind, Lane
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, padded
from penstock_sdk.wire.messages import Batch
from sdk.tests import grpc_toys as toys


class Remote:
    """An Echo that serves at an address."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        argv = [sys.executable, "-m", "penstock_sdk.process", f"{toys.__file__}:Echo", "--listen", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen([*argv, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().rpartition(" at ")[2].strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Line:
    """A line to an address that can be cut: what is under way is lost, and new connections are refused while it is."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.whole = True
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        self.whole = False
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_S)
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._pass_on, args=(source, sink), daemon=True))
                self._threads[-1].start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def remote() -> Iterator[Remote]:
    served = Remote()
    yield served
    served.close()


@pytest.fixture
def line(remote: Remote) -> Iterator[Line]:
    it = Line(remote.address)
    yield it
    it.close()


def counts(frames: bytes) -> list[int]:
    """Return how many records each frame holds."""
    found, at = [], 0
    while at < len(frames):
        header = Header(*HEADER.unpack_from(frames, at))
        found.append(header.count)
        at += HEADER_BYTES + padded(header.body_bytes)
    return found


def test_after_a_cut_the_streams_go_on_where_they_broke_and_nothing_is_lost(line: Line):
    with FakeKernel(BridgePlan(address=line.address, start_s=WAIT_S, reconnect_s=WAIT_S)) as kernel:
        begin(kernel)
        for seq in range(1, 61):
            kernel.send(quotes(count=seq, seq=seq))
            if seq in (20, 40):
                line.cut()
            if seq in (30, 41):
                line.whole = True
        heard: list[int] = []
        while len(heard) < 60:
            heard += counts(kernel.receive().frames)
        assert heard == list(range(1, 61))
        kernel.send(quotes(seq=61), Lane.ORDERS)
        assert count_records(kernel.receive().frames) == 1
        assert kernel.ping()
        assert "reached" in kernel.said()
        kernel.call("Stop")
        assert kernel.ended()[0] == BridgeExit.STOPPED


def test_a_stream_that_is_opened_again_begins_with_what_the_kernel_last_granted():
    said = [Batch(credit_events=10, credit_bytes=20), Batch(number=1, acked=3), Batch(number=2, acked=2)]
    messages = [batch.SerializeToString() for batch in said]
    ends: list[PeerError] = []

    class Kernel:
        lane = Lane.EVENTS

        def read(self) -> Framed:
            if not messages:
                raise PeerGone("no more")
            return Framed(Kind.BATCH, 0, 0, messages.pop(0))

        def write(self, kind: int, body: bytes) -> None:
            raise AssertionError("the plugin says nothing")

    class Link:
        def stream(self, lane: Lane, requests: Iterator[bytes]) -> Iterator[bytes]:
            self.requests = requests
            return iter(())

    kernel, link = Kernel(), Link()
    pump = Pump(kernel, keep=True, on_kernel_end=ends.append, on_stream_end=lambda error, opening: None)  # type: ignore[arg-type]
    pump.open(link)  # type: ignore[arg-type]
    assert [Batch.FromString(next(link.requests)).number for _ in range(2)] == [0, 1]
    broken = link.requests
    pump.open(link)  # type: ignore[arg-type]
    assert list(broken) == []
    again = [Batch.FromString(data) for data in link.requests]
    assert again == [Batch(acked=3, credit_events=10, credit_bytes=20), said[1], said[2]]
    assert [str(end) for end in ends] == ["no more"]


def test_a_plugin_that_has_begun_anew_ends_the_bridge(remote: Remote):
    with FakeKernel(BridgePlan(address=remote.address, start_s=WAIT_S, reconnect_s=WAIT_S)) as kernel:
        begin(kernel)
        remote.close()
        again = Remote(port=int(remote.address.rpartition(":")[2]))
        try:
            status, last = kernel.ended()
            assert status == BridgeExit.GONE
            assert last.endswith(f"the plugin at {remote.address} has begun anew meanwhile")
        finally:
            again.close()


def test_a_plugin_that_does_not_come_back_ends_the_bridge(remote: Remote):
    with FakeKernel(BridgePlan(address=remote.address, start_s=WAIT_S, reconnect_s=0.3)) as kernel:
        begin(kernel)
        remote.close()
        status, last = kernel.ended()
        assert status == BridgeExit.GONE
        assert "not reached again within 0.3 s" in last


def test_the_plugin_may_come_up_after_its_bridge():
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with FakeKernel(BridgePlan(address=f"127.0.0.1:{port}", start_s=WAIT_S)) as kernel:
        served = Remote(port=port)
        try:
            begin(kernel)
            kernel.send(quotes())
            assert count_records(kernel.receive().frames) == 1
        finally:
            served.close()


def test_both_sides_show_certificates(tmp_path: Path):
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    paths: list[dict[str, str]] = []
    for side in ("plugin", "bridge"):
        issued = ca.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
        paths.append({name: str(tmp_path / f"{side}-{name}.pem") for name in ("ca", "cert", "key")})
        ca.cert_pem.write_to_path(paths[-1]["ca"])
        issued.cert_chain_pems[0].write_to_path(paths[-1]["cert"])
        issued.private_key_pem.write_to_path(paths[-1]["key"])
    served = Remote(*(word for name, path in paths[0].items() for word in (f"--tls-{name}", path)))
    try:
        with FakeKernel(BridgePlan(address=served.address, tls=PlanTls(**paths[1]), start_s=WAIT_S)) as kernel:
            begin(kernel)
            kernel.send(quotes())
            assert count_records(kernel.receive().frames) == 1
        with FakeKernel(BridgePlan(address=served.address, start_s=0.5)) as kernel:
            kernel.welcome()
            with pytest.raises(AssertionError, match="connection to the plugin is gone"):
                kernel.call("Describe")
    finally:
        served.close()
