"""A host of two majors serves plugins of either, over gRPC, by the bridge, on the framed socket; of a third, none.

The second major is made up: the same messages, in another package. Its plugin is a release's, which uses nothing of
this repository, with the package's name changed.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kernel.tests.bridge_kernel import WAIT_S, FakeKernel
from penstock_kernel.bridge.plan import BridgeExit, BridgePlan
from penstock_kernel.hosts.listener import Listener
from penstock_kernel.hosts.reactor import Reactor
from penstock_sdk.events import ListingDefinition
from penstock_sdk.plugin import Operations
from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, Kind, pack
from penstock_sdk.process.grpc_peer import connect_peer, spawn_peer
from penstock_sdk.process.handshake import HandshakeError
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.process.serve_grpc import PluginServer, engine_maker
from penstock_sdk.process.serve_socket import connect
from penstock_sdk.wire.messages import PROTOCOL_MAJORS, ConfigureRequest, DescribeRequest, Instance, StartRequest
from tests.interop.rig import Rig, contract, zone

VENUE = Path(__file__).parent / "fixtures" / "frozen" / "0.4.0" / "venue.py"
BOTH = (1, 2)


def venue_of(major: int, folder: Path) -> list[str]:
    """Return the command of a release's venue as if it were of another major; the cookie is the same in all."""
    source = VENUE.read_text("utf-8")
    assert source.count("/penstock.plugin.v1.Plugin/") == source.count('f"1|1|unix') == 1
    source = source.replace("/penstock.plugin.v1.Plugin/", f"/penstock.plugin.v{major}.Plugin/")
    path = folder / f"venue{major}.py"
    path.write_text(source.replace('f"1|1|unix', f'f"1|{major}|unix'), encoding="utf-8")
    return [sys.executable, str(path)]


class Idle(Operations):
    """Hears nothing."""


@contextmanager
def served(*majors: int) -> Iterator[str]:
    """Serve a plugin of these majors at an address, and return that."""
    server = PluginServer(engine_maker(Idle, "idle", "1"), lasting=True, majors=majors)
    port = server.serve("127.0.0.1:0", None)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.quit()
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.mark.parametrize("major", BOTH)
def test_a_started_plugin_is_called_by_the_major_of_its_start_up_line(major: int, tmp_path: Path) -> None:
    with spawn_peer(venue_of(major, tmp_path), start_s=WAIT_S, versions=BOTH) as peer:
        rig = Rig(peer)
        assert rig.begin() == [] and rig.faults == []
        assert [type(each) for each in rig.step(zone(), contract(1))] == [ListingDefinition]
        assert peer.link.major == major


def test_a_started_plugin_of_a_third_major_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HandshakeError, match="plugin speaks protocol version 3, host offers 1, 2; build it for one"):
        spawn_peer(venue_of(3, tmp_path), start_s=WAIT_S, versions=BOTH)


@pytest.mark.parametrize(("serves", "spoken"), [((1,), 1), ((2,), 2), ((1, 2), 2), ((2, 3), 2)])
def test_a_plugin_at_an_address_is_called_by_the_highest_major_that_both_speak(
    serves: tuple[int, ...], spoken: int
) -> None:
    with served(*serves) as address, connect_peer(address, versions=BOTH) as peer:
        assert peer.link.major == spoken
        assert peer.call("Describe", DescribeRequest(majors=BOTH), WAIT_S).id == "idle"


def test_a_plugin_at_an_address_that_serves_neither_major_is_refused_by_name() -> None:
    wanted = r"serves no major of penstock.plugin that this host speaks, which are 1, 2; build it for one"
    with served(3) as address, pytest.raises(PeerError, match=wanted):
        connect_peer(address, versions=BOTH)


@pytest.mark.parametrize("major", BOTH)
def test_the_bridge_passes_on_a_plugin_of_either_major(major: int, tmp_path: Path) -> None:
    with FakeKernel(BridgePlan(argv=tuple(venue_of(major, tmp_path)), start_s=WAIT_S, majors=BOTH)) as kernel:
        kernel.welcome()
        assert [hello["majors"] for hello in kernel.hellos] == [[major]] * 3
        instance = Instance(name="far", plugin_id=7, book_id=3, trader_id=4, run_seed=42, simulated=True)
        kernel.call("Describe", DescribeRequest(majors=BOTH))
        assert not kernel.call("Configure", ConfigureRequest(config_json="{}", instance=instance)).faults
        kernel.call("Start", StartRequest(now_ns=1, seq=1))
        kernel.send(b"", step=1)
        assert kernel.receive().answers == 1
        kernel.call("Stop")
        assert kernel.ended()[0] == BridgeExit.STOPPED


def test_the_bridge_tells_a_kernel_why_a_plugin_of_a_third_major_did_not_come_up(tmp_path: Path) -> None:
    with FakeKernel(BridgePlan(argv=tuple(venue_of(3, tmp_path)), start_s=WAIT_S, majors=BOTH)) as kernel:
        kernel.welcome()
        with pytest.raises(AssertionError, match="plugin speaks protocol version 3, host offers 1, 2"):
            kernel.call("Describe", DescribeRequest(majors=BOTH))
        assert kernel.ended()[0] == BridgeExit.NOT_STARTED


@contextmanager
def door(*majors: int) -> Iterator[tuple[Listener, Reactor, list[str], list[socket.socket]]]:
    """Return a kernel's socket, what it told and whom it let in."""
    reactor, told, taken = Reactor(), list[str](), list[socket.socket]()
    listener = Listener(reactor, told.append, majors)
    try:
        yield listener, reactor, told, taken
    finally:
        for each in taken:
            each.close()
        listener.close()
        reactor.close()


@pytest.mark.parametrize(
    ("said", "offered", "major"),
    [(None, BOTH, 1), ([1], BOTH, 1), ([2], BOTH, 2), ([1, 2, 3], BOTH, 2), ([3], BOTH, 0), (None, (2, 3), 0)],
)
def test_a_kernel_agrees_with_its_caller_on_the_highest_major_of_both(
    said: list[int] | None, offered: tuple[int, ...], major: int
) -> None:
    with door(*offered) as (listener, reactor, told, taken), socket.socket(socket.AF_UNIX) as caller:
        token = listener.expect("venue", lambda _lane, sock, _incarnation: taken.append(sock))
        hello = {"lane": 1, "token": token} | ({} if said is None else {"majors": said})
        caller.settimeout(WAIT_S)
        caller.connect(listener.path)
        caller.sendall(pack(Kind.HELLO, json.dumps(hello).encode()))
        reactor.turn_until(lambda: bool(told or taken), WAIT_S)
        answer = caller.recv(4096)
        kind, body = HEADER.unpack_from(answer)[1], answer[HEADER_BYTES:]
        if major:
            assert (kind, json.loads(body)["major"], told) == (Kind.WELCOME, major, [])
            return
        theirs, ours = ", ".join(map(str, said or [1])), ", ".join(map(str, offered))
        wanted = f"speaks majors {theirs} of penstock.plugin, this host {ours}; install another version of penstock-sdk"
        assert kind == Kind.REFUSED and f"venue {wanted}" in body.decode() and wanted in told[0]
        assert not taken


def test_our_plugins_say_what_they_speak_and_hear_why_they_are_refused() -> None:
    with door(max(PROTOCOL_MAJORS) + 1) as (listener, reactor, told, taken):
        token = listener.expect("venue", lambda _lane, sock, _incarnation: taken.append(sock))
        caught: list[Exception] = []

        def call() -> None:
            try:
                for sock in connect(listener.path, token, "a"):
                    sock.close()
            except PeerGone as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        with suppress(TimeoutError):
            reactor.turn_until(lambda: bool(told), WAIT_S)
        thread.join(WAIT_S)
        assert [str(error) for error in caught] == [
            f"host refused HELLO on CONTROL: venue speaks majors {', '.join(map(str, PROTOCOL_MAJORS))} of "
            f"penstock.plugin, this host {max(PROTOCOL_MAJORS) + 1}; install another version of penstock-sdk with the "
            "plugin"
        ]
