"""Proves that the framed socket loses nothing, blocks nothing and ends cleanly: by socket pairs, and real processes."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_sdk.discovery import PluginImportError
from penstock_sdk.events import IdKind, Interned, Order, Quote, Signal, TaskResult, Trade
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.process.engine import load_target
from penstock_sdk.process.envelope import ENV_SOCKET, MESSAGE_BYTES_MAX, Kind, Lane, pack
from penstock_sdk.process.flow import FlowError, count_records
from penstock_sdk.process.object_peer import ObjectPeer
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.schema import Frame
from penstock_sdk.wire.messages import Batch, DescribeRequest, DrainRequest, SnapshotRequest
from sdk.tests.process_hosts import DEADLINE_S, Host, spawned
from sdk.tests.process_toys import Busy, Even, packed, unpacked

TOYS = str(Path(__file__).parent / "process_toys.py")


class Echo(Operations):
    """Says every quote again; of a trade that it is told of, an order's fate."""

    def on_quote(self, quote: Quote) -> Outcome:
        return quote

    def on_quotes(self, frame: Frame) -> Outcome:
        return frame

    def on_trade(self, trade: Trade) -> Outcome:
        return Signal(trade.listing_id)


@pytest.fixture
def peers() -> Iterator[Any]:
    made: list[ObjectPeer] = []

    def make(cls: type[Any]) -> ObjectPeer:
        made.append(ObjectPeer(cls))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def test_what_is_sent_is_heard_and_said_once_in_order_whatever_is_sent_twice(peers: Any) -> None:
    host = Host(peers(Echo))
    host.begin()
    stream, flow = host.streams[Lane.EVENTS], host.flows[Lane.EVENTS]
    for number in range(1, 51):
        batch = flow.send(Batch(frames=packed(Quote(number), number)), 1)
        stream.send(batch)
        stream.send(batch)
    got: list[int] = []
    while len(got) < 50:
        said = host.receive(Lane.EVENTS)
        assert said is not None
        got += [quote.listing_id for quote in unpacked(said.frames)]
    assert got == list(range(1, 51))
    assert host.peer.call("Describe", DescribeRequest()).id == "Echo"  # and nothing more is said
    assert host.receive(Lane.EVENTS, 0.0) is None


def test_a_call_sees_every_batch_that_was_sent_before_it(peers: Any) -> None:
    host = Host(peers(Echo))
    host.begin()
    for number in range(1, 301):
        host.send(Lane.EVENTS if number % 3 else Lane.ORDERS, Batch(frames=packed(Trade(number), number)))
    assert host.peer.call("Snapshot", SnapshotRequest()).last_seq == 300
    host.send(Lane.EVENTS, Batch(frames=packed(Trade(1), 301)))
    said = host.peer.call("Drain", DrainRequest()).said
    assert not said.frames and host.peer.engine.last_seq == 301


def test_a_host_that_gives_no_credit_is_told_no_more_and_loses_nothing(peers: Any) -> None:
    peer = peers(Echo)
    host = Host(peer)
    host.begin()
    flow, stream = host.flows[Lane.EVENTS], host.streams[Lane.EVENTS]
    frame = packed(Frame.of([Quote(number) for number in range(1, 4097)]))

    def send_all_it_takes() -> int:
        sent = 0
        while flow.room()[0] >= 4096 and flow.room()[1] >= len(frame):
            stream.send(flow.send(Batch(frames=frame), 4096))
            sent += 1
        return sent

    sent, got = send_all_it_takes(), 0
    assert sent == 16
    while got < 16 * 4096:  # what comes is taken, and not handled: no credit goes back
        batch = stream.receive(DEADLINE_S)
        assert batch is not None
        got += count_records(batch.frames) if flow.take(batch) else 0
    sent += send_all_it_takes()
    assert peer.healthy()
    assert flow.room()[0] < 4096 and 16 <= sent <= 33  # the plugin is stuck, and takes no more than its credit
    while True:
        while flow.handled < flow.taken:
            flow.done()
        owed = flow.owed(idle=True)
        if owed is not None:
            stream.send(owed)
        if got == sent * 4096:
            break
        batch = stream.receive(DEADLINE_S)
        assert batch is not None, f"{got} of {sent * 4096} came"
        got += count_records(batch.frames) if flow.take(batch) else 0
    assert host.receive(Lane.EVENTS, 0.0) is None


def test_a_host_that_gives_little_credit_is_told_all_in_small_parts(peers: Any) -> None:
    host = Host(peers(Echo), credit_events=3)
    host.begin()
    host.send(Lane.EVENTS, Batch(frames=b"".join(packed(Quote(number)) for number in range(1, 11))))
    got: list[int] = []
    while len(got) < 10:
        batch = host.receive(Lane.EVENTS)
        assert batch is not None
        assert 1 <= count_records(batch.frames) <= 3
        got += [quote.listing_id for quote in unpacked(batch.frames)]
    assert got == list(range(1, 11))


def test_an_order_overtakes_the_market_data_that_waits(peers: Any) -> None:
    entered, go_on = threading.Event(), [threading.Event() for _ in range(2)]

    class Gated(Echo):
        """Waits in its handler until the test lets it go on."""

        def on_trade(self, trade: Trade) -> Outcome:
            entered.set()
            assert go_on[trade.listing_id].wait(DEADLINE_S)
            return None

        def on_order(self, order: Order) -> Outcome:
            return Signal(1)

    host = Host(peers(Gated))
    host.begin()
    host.send(Lane.EVENTS, Batch(frames=packed(Trade(0), 1)))
    assert entered.wait(DEADLINE_S)
    entered.clear()
    host.send(Lane.EVENTS, Batch(frames=packed(Trade(1), 2)))
    for number in range(100, 104):
        host.send(Lane.EVENTS, Batch(frames=packed(Quote(number), number)))
    go_on[0].set()
    assert entered.wait(DEADLINE_S)  # by now it has read the quotes, too
    host.send(Lane.ORDERS, Batch(frames=packed(Order(5), 200)))
    go_on[1].set()
    got: list[Any] = []
    while len(got) < 5:
        said = host.receive(Lane.EVENTS)
        assert said is not None
        got += unpacked(said.frames)
    assert [type(event).__name__ for event in got] == ["Signal"] + ["Quote"] * 4


def test_a_name_is_asked_for_in_a_handler_while_other_batches_come(peers: Any) -> None:
    host = Host(peers(Busy))
    # Of a plugin that hears of the past nothing is said, but what it asks is asked.
    host.configure()
    ahead = packed(Quote(3, bid_ticks=1), 10), packed(Quote(3, bid_ticks=1), 11), packed(Quote(3, bid_ticks=2), 12)
    for frames in ahead:
        host.send(Lane.EVENTS, Batch(frames=frames, hearing=True))
    given: list[str] = []
    while len(given) < 2:
        batch = host.receive(Lane.EVENTS)
        assert batch is not None and len(batch.asks) == 1
        given.append(batch.asks[0].name)
        name = Interned(kind=IdKind.SERIES, id=40 + len(given), name=given[-1])
        host.send(Lane.EVENTS, Batch(frames=packed(name), answers=batch.number))
    assert given == ["N1", "N2"]  # the second quote's name was known
    assert host.peer.call("Snapshot", SnapshotRequest()).last_seq == 12


def test_a_host_that_breaks_the_stream_is_left_with_a_reason(peers: Any) -> None:
    peer = peers(Echo)
    Host(peer).streams[Lane.EVENTS].send(Batch(number=5))
    with pytest.raises(PeerGone, match="has ended connection EVENTS"):
        peer.events().receive(DEADLINE_S)
    peer.close()
    assert isinstance(peer.failed, FlowError) and str(peer.failed).startswith("batch 5 met, wanted 1")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ((MESSAGE_BYTES_MAX + 1).to_bytes(4, "little") + bytes(12), "message of 67108865 bytes met, wanted at most"),
        (pack(Kind.BATCH, b"\xff\xff\xff"), "message of 3 bytes met, wanted a Batch"),
        (pack(Kind.PING, b""), "message of kind 7 met on a stream, wanted a batch"),
    ],
)
def test_bytes_that_are_no_batch_end_the_connection(peers: Any, message: bytes, text: str) -> None:
    peer = peers(Echo)
    peer._lanes[Lane.ORDERS].sock.sendall(message)

    def receive_all() -> None:
        while peer.orders().receive(DEADLINE_S) is not None:
            pass  # the credit that comes at the beginning

    with pytest.raises(PeerGone):
        receive_all()
    peer.close()
    assert str(peer.failed).startswith(text)


def test_a_call_that_fails_is_refused_with_its_reason_and_the_next_is_done(peers: Any) -> None:
    peer = peers(Echo)
    with pytest.raises(PeerError, match=r"^Drain met a plugin that is new, wanted started$"):
        peer.call("Drain", DrainRequest())
    assert peer.healthy() and peer.call("Describe", DescribeRequest()).kind == "operations"


def test_a_check_is_answered_over_the_wire(peers: Any) -> None:
    host = Host(peers(Even))
    host.begin()
    host.send(Lane.ORDERS, Batch(frames=packed(Order(order_id=1, listing_id=1, qty_lots=2), 1), check=True))
    said = host.receive(Lane.ORDERS)
    assert said is not None and unpacked(said.frames)[0].order_id == 1


def test_a_process_serves_prints_what_it_likes_and_ends_when_told() -> None:
    with spawned(f"{TOYS}:Printer", stdout=subprocess.PIPE) as (peer, process):
        host = Host(peer)
        host.begin()
        assert unpacked(host.step(1, frames=packed(Quote(8), 1)).frames) == [Signal(8)]
        peer.close()
        assert process.wait(DEADLINE_S) == 0
        assert process.stdout.read() == b""
        lines = process.stderr.read().decode().splitlines()
        assert lines == ["printed at import", "printed when built", "printed in a handler"]


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_submitted_work_runs_in_a_process_that_ends_with_the_plugin() -> None:
    with spawned(f"{TOYS}:Crunch") as (peer, process):
        host = Host(peer)
        host.begin()
        frames = packed(Quote(1, bid_ticks=12), 1) + packed(Quote(1, bid_ticks=-1), 2)
        host.send(Lane.EVENTS, Batch(frames=frames))
        got: list[Any] = []
        begun: list[int] = []
        while len(got) < 2:
            said = host.receive(Lane.EVENTS)
            assert said is not None and not said.from_outside
            begun += said.tasks_begun
            got += unpacked(said.frames)
        assert begun == [1, 2]
        assert got[0] == TaskResult(plugin_id=7, task_id=1, ok=True, value=144)
        assert (got[1].task_id, got[1].ok, got[1].error) == (2, False, "ValueError: negative")
        said = host.step(1, frames=packed(got[0], 3))
        assert unpacked(said.frames) == [Signal(1, value=144.0)]
        workers = {pid: os.pidfd_open(pid) for child in children(process.pid) for pid in (child, *children(child))}
        assert workers
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        for pid, handle in workers.items():
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            assert ended.poll(DEADLINE_S * 1_000), f"process {pid} has outlived its plugin"
            os.close(handle)


def test_a_process_ends_when_its_host_lets_go_and_by_sigterm() -> None:
    with spawned(f"{TOYS}:Even") as (peer, process):
        for lane in peer._lanes.values():
            lane.close()
        assert process.wait(DEADLINE_S) == 0
    with spawned(f"{TOYS}:Even") as (peer, process):
        assert peer.healthy(DEADLINE_S)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != ENV_SOCKET}
    return subprocess.run(
        [sys.executable, "-m", "penstock_sdk.process", *arguments],
        env={**clean, **env}, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


def test_a_process_that_nobody_hosts_says_how_plugins_are_started(tmp_path: Path) -> None:
    alone = run(f"{TOYS}:Even")
    assert alone.returncode == 2 and "name the plugin in plugins.toml" in alone.stderr and not alone.stdout
    assert run().returncode == 2
    nobody = run(f"{TOYS}:Even", **{ENV_SOCKET: str(tmp_path / "s")})
    assert nobody.returncode == 3 and "host's socket" in nobody.stderr
    missing = run(f"{TOYS}:Evan", **{ENV_SOCKET: str(tmp_path / "s")})
    assert missing.returncode == 2 and "has no class Evan" in missing.stderr


def test_a_host_that_does_not_know_the_token_is_told_of(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(DEADLINE_S)

        def refuse() -> None:
            sock, _ = listener.accept()
            sock.recv(4096)
            sock.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        refused = run(f"{TOYS}:Even", **{ENV_SOCKET: path})
        thread.join()
    assert refused.returncode == 3
    assert "plugin Even: host closed the connection after HELLO: the token is not known, or was used" in refused.stderr


def test_targets_are_modules_files_and_folders(tmp_path: Path) -> None:
    assert load_target("sdk.tests.process_toys:Even")[0].kind == "risk"
    lone = tmp_path / "lone_of_a_test.py"
    lone.write_text(
        "from penstock_sdk.plugin import Operations\n__version__ = '3.1'\nclass Lone(Operations):\n    pass\n"
    )
    cls, plugin_id, version = load_target(str(lone))
    assert (cls.__name__, plugin_id, version) == ("Lone", "", "3.1")
    examples = Path(__file__).parents[1] / "examples"
    cls, plugin_id, version = load_target(f"{examples}:fill_all")
    assert (cls.kind, plugin_id) == ("venue", "fill_all") and version
    assert load_target(str(examples / "fill_all_venue.py"))[1] == "fill_all"
    with pytest.raises(PluginImportError, match=r"met none of them, write .*:ID$"):
        load_target(str(examples))
    with pytest.raises(PluginImportError, match=r"^target 'json' met, wanted module:Class, FILE.py"):
        load_target("json")
    with pytest.raises(PluginImportError, match="met JSONDecoder, wanted a class derived from Plugin"):
        load_target("json:JSONDecoder")
    with pytest.raises(PluginImportError, match=r"met plugin classes .*Busy.*, wanted one; write .*:Class$"):
        load_target(TOYS)
