"""Who may connect to the plugins' socket: its folder, one-time tokens, deadlines, and what is told of strangers."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator

import pytest

from penstock_kernel.hosts import listener as listener_module
from penstock_kernel.hosts.listener import HELLO_BYTES_MAX, Listener
from penstock_kernel.hosts.reactor import Reactor
from penstock_sdk.process.envelope import HEADER, HEADER_BYTES, Kind, Lane, pack

Taken = list[tuple[Lane, socket.socket, str]]


class Door:
    """A listener, who was let in, and what was told."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.told: list[str] = []
        self.taken: Taken = []
        self.pids: dict[int, str] = {}
        self.listener = Listener(self.reactor, self.told.append, plugin_of=lambda pid: self.pids.get(pid, ""))
        self.clients: list[socket.socket] = []

    def expect(self, name: str = "venue", owns: bool = True) -> str:
        return self.listener.expect(name, lambda *taken: self.taken.append(taken), lambda pid: owns)

    def say(self, data: bytes) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(5.0)
        client.connect(self.listener.path)
        self.clients.append(client)
        if data:
            client.sendall(data)
        before = len(self.told) + len(self.taken)
        self.reactor.turn_until(lambda: len(self.told) + len(self.taken) > before, 5.0 if data else 0.05)
        return client

    def hello(self, token: str, lane: object = 1, incarnation: str = "a") -> socket.socket:
        body = json.dumps({"lane": lane, "token": token, "incarnation": incarnation}).encode()
        return self.say(pack(Kind.HELLO, body))

    def close(self) -> None:
        for each in [*self.clients, *(sock for _, sock, _ in self.taken)]:
            each.close()
        self.listener.close()
        self.reactor.close()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


def test_the_socket_lies_in_a_folder_of_its_owner_alone_and_its_path_is_short(door: Door) -> None:
    assert stat.S_IMODE(os.stat(door.listener.folder).st_mode) == 0o700
    assert len(os.fsencode(door.listener.path)) < 108
    folder = door.listener.folder
    door.listener.close()
    assert not folder.exists()


def test_a_token_opens_each_lane_once_and_is_welcomed(door: Door) -> None:
    token = door.expect()
    client = door.hello(token, 1)
    assert [(lane, incarnation) for lane, _, incarnation in door.taken] == [(Lane.CONTROL, "a")]
    length, kind, *_ = HEADER.unpack(client.recv(HEADER_BYTES))
    assert kind == Kind.WELCOME
    assert json.loads(client.recv(length))["name"] == "venue"
    door.hello(token, 1)
    assert "has opened CONTROL before" in door.told[-1]
    door.hello(token, 2)
    door.hello(token, "orders")
    assert [lane for lane, _, _ in door.taken] == [Lane.CONTROL, Lane.EVENTS, Lane.ORDERS]
    door.hello(token, 3)
    assert "that nobody was given, or that was used up" in door.told[-1]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pack(Kind.HELLO, b"{}"), "no JSON object of lane"),
        (pack(Kind.HELLO, b'{"lane": 0, "token": "x"}'), "no JSON object of lane"),
        (pack(Kind.HELLO, b'{"lane": 1, "token": "\xc3\xa4"}'), "that nobody was given"),
        (pack(Kind.HELLO, b"[]"), "no JSON object of lane"),
        (pack(Kind.CALL, b""), "wanted HELLO"),
        (HEADER.pack(HELLO_BYTES_MAX + 1, Kind.HELLO, 0, 0, 0), "wanted HELLO"),
    ],
)
def test_whoever_says_something_else_is_closed_and_told_of(door: Door, data: bytes, why: str) -> None:
    door.expect()
    client = door.say(data)
    assert why in door.told[-1]
    assert f"process {os.getpid()}, user {os.getuid()}" in door.told[-1]
    assert client.recv(1) == b""
    assert not door.taken


def test_a_stranger_that_is_a_plugins_process_is_named_after_the_plugin(door: Door) -> None:
    door.pids[os.getpid()] = "venue"
    door.hello("no token")
    assert f"process {os.getpid()} of plugin venue, user {os.getuid()}, has a token" in door.told[-1]


def test_a_token_in_another_process_opens_nothing(door: Door) -> None:
    door.hello(door.expect(owns=False))
    assert "is not the process that was given it" in door.told[-1]
    assert not door.taken


def test_a_forgotten_token_opens_nothing(door: Door) -> None:
    token = door.expect()
    door.listener.forget(token)
    door.hello(token)
    assert not door.taken


def test_who_keeps_silent_is_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "HELLO_S", 0.0)
    client = door.say(b"")
    door.listener.sweep()
    assert "said no HELLO within" in door.told[-1]
    assert client.recv(1) == b""


def test_what_follows_a_hello_is_left_for_its_taker(door: Door) -> None:
    body = json.dumps({"lane": 2, "token": door.expect(), "incarnation": "a"}).encode()
    door.say(pack(Kind.HELLO, body) + b"and more")
    _, sock, _ = door.taken[0]
    assert sock.recv(100) == b"and more"
