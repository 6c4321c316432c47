"""/livez and /readyz say yes only when it is so, with the reason; many and rude clients change nothing."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penstock_kernel.vitals import Phase
from penstock_kernel.warden.health import Condition, HealthServer
from penstock_kernel.warden.settings import split_address


class Known:
    """What the watchdog knows, as a test says."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.age_ns = 0
        self.text: bytes | None = None

    def condition(self) -> Condition:
        return Condition("desk", time.monotonic_ns() - self.age_ns, **self.fields)


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def server(known: Known) -> Iterator[HealthServer]:
    server = HealthServer(("127.0.0.1", 0), known.condition, lambda: known.text)
    yield server
    server.close()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


READY = {"pid": 42, "phase": Phase.READY}


@pytest.mark.parametrize(
    ("fields", "livez", "readyz", "why"),
    [
        (READY, 200, 200, ""),
        ({**READY, "killed": True}, 200, 200, ""),
        ({"pid": 42, "phase": Phase.RECONCILING, "reconciling": 2}, 200, 503, "reconciling with 2 venues"),
        ({"pid": 42, "phase": Phase.RECOVERING, "done": 43, "wanted": 100}, 200, 503, "recovering 43 %"),
        ({"pid": 42, "phase": Phase.DRAINING}, 200, 503, "draining"),
        ({"pid": 42}, 200, 503, "starting"),
        (
            {"down": "the kernel ended; the next starts in 0.2 s"},
            503,
            503,
            "the kernel ended; the next starts in 0.2 s",
        ),
        ({**READY, "held_ms": 130, "holder": "mm.on_quote"}, 200, 200, ""),
        ({**READY, "blocked": "stopped by a signal", "blocked_ms": 130}, 200, 503, "stopped by a signal, for 130 ms"),
        ({**READY, "blocked": "waits for its disk", "blocked_ms": 9000}, 200, 503, "waits for its disk, for 9000 ms"),
        ({**READY, "reconciling": 1}, 200, 503, "reconciling with 1 venue"),
        (
            {**READY, "held_ms": 2100, "holder": "mm.on_quote", "hangs": True},
            503,
            503,
            "held for 2100 ms by mm.on_quote",
        ),
        ({"pid": 42, "held_ms": 30100, "holder": "x", "hangs": True}, 503, 503, "held for 30100 ms by x"),
    ],
)
def test_every_condition(
    known: Known, server: HealthServer, fields: dict[str, Any], livez: int, readyz: int, why: str
) -> None:
    known.fields = fields
    assert ask(server, "/livez")[0] == livez
    status, body = ask(server, "/readyz?verbose")
    said = json.loads(body)
    assert (status, said["why"], said["ok"]) == (readyz, why, not why)
    assert said["killed"] == fields.get("killed", False)


def test_a_watchdog_that_does_not_look_is_not_live(known: Known, server: HealthServer) -> None:
    known.fields, known.age_ns = READY, 3_000_000_000
    status, body = ask(server, "/livez")
    assert status == 503
    assert json.loads(body)["why"].startswith("the watchdog has not looked for 3")


def test_metrics_are_there_when_somebody_makes_them(known: Known, server: HealthServer) -> None:
    assert ask(server, "/metrics")[0] == 404
    known.text = b"penstock_events_total 7\n"
    assert ask(server, "/metrics") == (200, known.text)
    assert ask(server, "/metrics", "HEAD") == (200, b"")
    assert ask(server, "/nothing")[0] == 404


def test_clients_that_say_nothing_hold_nobody_up(known: Known, server: HealthServer) -> None:
    known.fields = READY
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    rude = socket.create_connection(("127.0.0.1", server.port))
    rude.sendall(b"\x00\xff garbage\r\n\r\n")
    assert ask(server, "/livez")[0] == 200
    for connection in (*silent, rude):
        connection.close()


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9464", ("::1", 9464)), ("h:65535", ("h", 65535))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["9464", ":1", "h:", "h:65536", "h:-1", "h:x"])
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r'^expected an address like "127\.0\.0\.1:9464", met'):
        split_address(text)
