"""A supervisor hears states once, its watchdog's food each time, over a socket with or without a name in a folder."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_kernel.notify import Notifier
from penstock_kernel.vitals import Phase
from penstock_kernel.warden.health import Condition
from penstock_kernel.warden.told import Teller


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "s") if request.param == "path" else f"@penstock-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address[0] == "@" else address)
        listening.setblocking(False)
        yield listening, address


def heard(listening: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listening.recv(4096).decode())
        except BlockingIOError:
            return found


def test_states_are_said_once_and_life_each_time(supervisor: tuple[socket.socket, str]) -> None:
    listening, address = supervisor
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
    assert notifier.wanted
    assert notifier.watchdog_ns == 3_000_000_000
    for _ in range(2):
        notifier.ready()
        notifier.status("one\ntwo")
        notifier.alive()
    notifier.extend(5_000_000)
    notifier.stopping()
    notifier.close()
    notifier.alive()
    assert heard(listening) == [
        "READY=1", "STATUS=one two", "WATCHDOG=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=5000000", "STOPPING=1",
    ]  # fmt: skip


def test_without_a_supervisor_nothing_is_sent_and_without_its_ear_nothing_fails(tmp_path: Path) -> None:
    notifier = Notifier({})
    assert not notifier.wanted
    notifier.ready()
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.ready()
    gone.alive()
    gone.close()


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    other = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert Notifier(other).watchdog_ns == 0
    assert Notifier({**other, "WATCHDOG_PID": str(os.getpid())}).watchdog_ns == 1_000_000_000
    assert Notifier({"WATCHDOG_USEC": "soon"}).watchdog_ns == 0


def told(listening: socket.socket, address: str, known: Condition, **how: bool) -> list[str]:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    Teller("desk", notifier).publish(known, **{"stopping": False, "in_hand": True, **how})
    notifier.close()
    return heard(listening)


def test_a_kernel_that_recovers_asks_for_time_and_one_that_hangs_is_not_said_to_live(
    supervisor: tuple[socket.socket, str],
) -> None:
    listening, address = supervisor
    now_ns = time.monotonic_ns()
    recovering = Condition("desk", now_ns, 42, Phase.RECOVERING, 43, 100)
    assert told(listening, address, recovering) == [
        "STATUS=recovering 43 %", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000",
    ]  # fmt: skip
    ready = Condition("desk", now_ns, 42, Phase.READY, killed=True)
    assert told(listening, address, ready) == ["READY=1", "STATUS=ready; kill switch on", "WATCHDOG=1"]
    hanging = Condition("desk", now_ns, 42, Phase.READY, held_ms=2_100, holder="mm.on_quote (mm.py:3)", hangs=True)
    assert told(listening, address, hanging, in_hand=False) == ["STATUS=held for 2100 ms by mm.on_quote (mm.py:3)"]
