"""A plugin's process over gRPC: its whole life, every way of not coming up, and that nothing of it is ever left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock_sdk.events import IdKind, Interned, Quote
from penstock_sdk.process import grpc_peer
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.grpc_link import GrpcLink
from penstock_sdk.process.grpc_peer import GrpcPeer, spawn_peer
from penstock_sdk.process.handshake import HandshakeError
from penstock_sdk.process.peer import Peer, PeerError, PeerGone
from penstock_sdk.process.spawn import Child, launch
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import encode_frame, encoder
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DescribeRequest,
    Instance,
    Message,
    SnapshotRequest,
    StartRequest,
)
from sdk.tests import grpc_toys as toys

WAIT_S = 20.0


def quotes(bid: int = 100, count: int = 1) -> bytes:
    """Return a frame of quotes."""
    each = Quote(1, bid_ticks=bid, bid_lots=5, ask_ticks=bid + 10, ask_lots=5)
    return encode_frame(Frame.of([each] * count), 1, 1_000, 0, 0, 0, 1)


class Talk:
    """One stream of a peer, with its flow."""

    def __init__(self, peer: Peer, lane: str = "events") -> None:
        self.stream = getattr(peer, lane)()
        self.flow = Flow()
        self.stream.send(self.flow.owed())

    def send(self, frames: bytes = b"", **fields: object) -> int:
        """Send a batch once there is room; return its number."""
        records = count_records(frames)
        while not self.flow.sent and not self.flow.room()[0]:
            self.take()
        batch = self.flow.send(Batch(frames=frames, now_ns=1, **fields), records)
        self.stream.send(batch)
        return int(batch.number)

    def take(self) -> Message | None:
        """Return the next batch, or None for a mere acknowledgement."""
        batch = self.stream.receive(WAIT_S)
        assert batch is not None, "nothing came in time"
        if not self.flow.take(batch):
            return None
        self.flow.done()
        return batch

    def receive(self) -> Message:
        while (batch := self.take()) is None:
            pass
        return batch


def begin(peer: Peer) -> Talk:
    """Configure and start an Echo; return its stream."""
    assert list(configure(peer).faults) == []
    talk = Talk(peer)
    peer.call("Start", StartRequest(now_ns=1, seq=1), WAIT_S)
    return talk


def configure(peer: Peer, config: str = "", validate_only: bool = False) -> Message:
    instance = Instance(name="echo", plugin_id=5, run_seed=1, seed=2)
    return peer.call(
        "Configure", ConfigureRequest(config_json=config, validate_only=validate_only, instance=instance), WAIT_S
    )


@pytest.fixture
def spawn() -> Iterator[Callable[..., GrpcPeer]]:
    """Starts toys, and ends them."""
    peers: list[GrpcPeer] = []

    def start(*arguments: str, **options: object) -> GrpcPeer:
        peers.append(spawn_peer([*toys.ARGV, *arguments], **{"start_s": WAIT_S, **options}))  # type: ignore[arg-type]
        return peers[-1]

    yield start
    for peer in peers:
        peer.kill()


@pytest.fixture(scope="module")
def idle() -> Iterator[GrpcPeer]:
    """One plugin for all tests that configure nothing."""
    with spawn_peer(toys.ARGV, start_s=WAIT_S) as peer:
        yield peer


def test_a_plugin_lives_its_whole_life(spawn: Callable[..., GrpcPeer]):
    peer = spawn()
    described = peer.call("Describe", DescribeRequest(majors=[1]), WAIT_S)
    assert (described.id, described.version, described.kind) == ("echo", "1.2.3", "operations")
    assert "resume" not in described.capabilities
    assert peer.healthy(WAIT_S)
    talk = begin(peer)
    for bid in (100, 101, 102):
        talk.send(quotes(bid, count=3))
        said = talk.receive()
        assert count_records(said.frames) == 3
    assert talk.flow.acked == 3
    assert peer.call("Snapshot", SnapshotRequest(), WAIT_S).last_seq == 3
    peer.call("Drain", grpc_peer.METHODS["Drain"][0](), WAIT_S)
    peer.close(WAIT_S)
    assert peer.process is not None
    assert peer.process.returncode == 0
    peer.close()


def test_names_are_asked_for_in_the_middle_of_a_handler(spawn: Callable[..., GrpcPeer]):
    talk = begin(spawn())
    talk.send(quotes(7))
    talk.send(quotes(8))  # comes before the answer, and is heard after it
    asking = talk.receive()
    assert [(name.kind, name.name) for name in asking.asks] == [(IdKind.SOURCE, "OTHER")]
    answer = encoder(Interned.layout)(Interned(kind=IdKind.SOURCE, id=42, name="OTHER"), 2, 1_000, 0, 0, 0, 0)
    talk.send(answer, answers=asking.number)
    first, second = talk.receive(), talk.receive()
    assert [line.text for line in first.log] == ["id 42"]
    assert count_records(second.frames) == 1


def test_what_a_handler_raises_is_told_and_the_plugin_goes_on(spawn: Callable[..., GrpcPeer]):
    talk = begin(spawn())
    talk.send(quotes(13))
    (fault,) = talk.receive().faults
    assert fault.handler == "on_quotes"
    assert "thirteen" in fault.error
    talk.send(quotes())
    assert count_records(talk.receive().frames) == 1


def test_both_streams_are_served_and_each_once(spawn: Callable[..., GrpcPeer]):
    peer = spawn()
    events = begin(peer)
    orders = Talk(peer, "orders")
    orders.send(quotes())
    assert count_records(events.receive().frames) == 1  # by its topic, whatever lane it was heard on
    second = Talk(GrpcPeer(peer.link))
    with pytest.raises(PeerGone, match=r"stream EVENTS is open; wanted one at a time"):
        second.receive()
    events.send(quotes())
    assert count_records(events.receive().frames) == 1


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda batch: setattr(batch, "number", 9), r"batch 9 met, wanted 1"),
        (lambda batch: setattr(batch, "frames", b"x" * 48 * 100_000), r"frames end|no more credit|credit was granted"),
        (lambda batch: setattr(batch, "acked", 5), r"batch acknowledges 5"),
    ],
)
def test_a_host_that_breaks_the_streams_rules_is_told_which(
    spawn: Callable[..., GrpcPeer], break_it: Callable[[Message], None], told: str
):
    peer = spawn()
    talk = begin(peer)
    batch = Batch(number=1, frames=quotes())
    break_it(batch)
    talk.stream.send(batch)
    with pytest.raises(PeerGone, match=told):
        talk.receive()
    assert peer.healthy(WAIT_S)


def test_the_plugins_death_is_told_with_its_status(spawn: Callable[..., GrpcPeer]):
    peer = spawn()
    talk = begin(peer)
    talk.send(quotes(666))
    with pytest.raises(PeerGone):
        talk.receive()
    assert peer.process is not None
    assert peer.process.wait(WAIT_S) == 66
    with pytest.raises(PeerGone, match=r"^Snapshot: the plugin's process ended with status 66"):
        peer.call("Snapshot", SnapshotRequest())
    assert not peer.healthy(0.5)


def test_a_refused_call_is_an_error_with_the_plugins_words(idle: GrpcPeer):
    peer = idle
    with pytest.raises(PeerError, match=r"^Start met a plugin that is new, wanted configured"):
        peer.call("Start", StartRequest(), WAIT_S)
    with pytest.raises(PeerError, match=r"^host .* speaks majors 9 of penstock.plugin, this plugin 1"):
        peer.call("Describe", DescribeRequest(majors=[9]), WAIT_S)


def test_every_call_wants_the_token(idle: GrpcPeer):
    peer = idle
    stranger = GrpcLink(peer.link.target, token="guessed")
    try:
        for attempt in (
            lambda: stranger.health(WAIT_S),
            lambda: stranger.call("Describe", b"", WAIT_S),
            lambda: stranger.call("Nothing", b"", WAIT_S),
        ):
            with pytest.raises(PeerError, match=r"UNAUTHENTICATED: metadata penstock-token is not the host's token"):
                attempt()
        stranger.shutdown(WAIT_S)
        with pytest.raises(PeerGone, match="penstock-token"):
            Talk(GrpcPeer(stranger)).take()
    finally:
        stranger.close()
    assert peer.healthy(WAIT_S)


def test_other_services_are_unimplemented_and_other_health_unknown(idle: GrpcPeer):
    link = idle.link
    with pytest.raises(PeerError, match="UNIMPLEMENTED"):
        link.call("Nothing", b"", WAIT_S)
    link.stdio(lambda channel, data: pytest.fail("it has none"))
    with pytest.raises(PeerError, match=r"NOT_FOUND: service 'other' met, wanted 'plugin'"):
        link._unary("/grpc.health.v1.Health/Check", b"\n\x05other", WAIT_S, "health")


def test_a_message_longer_than_any_may_be_is_refused(idle: GrpcPeer):
    link = idle.link
    with pytest.raises(PeerError, match=r"a message has at most 67108864 bytes"):
        link.call("Restore", bytes((64 << 20) + 1), WAIT_S)


def test_the_socket_lies_where_only_its_owner_may_enter(idle: GrpcPeer):
    path = Path(idle.link.target.removeprefix("unix:"))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_noise_before_the_line_is_kept_as_log(spawn: Callable[..., GrpcPeer]):
    assert spawn("noise").stderr_lines[:2] == ["warming up", "still warming up"]


def test_a_plugin_that_prints_for_ever_is_drained(spawn: Callable[..., GrpcPeer]):
    talk = begin(spawn("chatty"))
    talk.send(quotes())
    assert count_records(talk.receive().frames) == 1


@pytest.mark.parametrize(
    ("arguments", "start_s", "told"),
    [
        (("silent",), 1.5, r"^plugin printed no start-up line within 1.* s; it said: no line comes"),
        (("dies",), WAIT_S, r"without a start-up line; it said: cannot open the licence; .* ended with status 3"),
        (("says", "2|1|unix|/s|grpc"), WAIT_S, r"core version 2, wanted 1"),
        (("says", "1|9|unix|/s|grpc"), WAIT_S, r"protocol version 9, host offers 1"),
        (("says", "1|1|unix|/s|netrpc"), WAIT_S, r"speaks 'netrpc', wanted grpc"),
        (("says", toys.LINE + "MAUGBSuBBAAj"), WAIT_S, r"curve P-521"),
        (("says", toys.LINE), 1.0, r"connection to the plugin is gone"),
    ],
)
def test_a_plugin_that_does_not_come_up_is_told_by_name_and_gone(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], start_s: float, told: str
):
    noted = {}

    def note(argv: Sequence[str], **options: Any) -> Child:
        noted["folder"] = options["env"]["TMPDIR"]
        noted["child"] = launch(argv, **options)
        return noted["child"]

    monkeypatch.setattr(grpc_peer, "launch", note)
    with pytest.raises(PeerError, match=told):
        spawn_peer([*toys.ARGV, *arguments], start_s=start_s)
    assert noted["child"].process.returncode is not None
    assert not Path(noted["folder"]).exists()


def test_a_command_that_does_not_exist_is_told():
    with pytest.raises(HandshakeError, match=r"no-such-plugin.* ended with status 127"):
        spawn_peer(["/no-such-plugin"], start_s=WAIT_S)


def test_what_a_plugin_leaves_behind_ends_with_it(spawn: Callable[..., GrpcPeer], tmp_path: Path):
    peer = spawn("child", str(tmp_path / "pid"))
    pid = int((tmp_path / "pid").read_text())
    assert peer.process is not None
    os.kill(peer.process.pid, 0)
    peer.close()
    end = time.monotonic() + WAIT_S
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.02)


def test_a_plugin_that_does_not_stop_is_killed(spawn: Callable[..., GrpcPeer]):
    peer = spawn()
    assert peer.process is not None
    os.killpg(peer.process.pid, signal.SIGSTOP)
    peer.close(grace_s=0.2)
    assert peer.process.returncode is not None
    assert peer.process.returncode != 0
