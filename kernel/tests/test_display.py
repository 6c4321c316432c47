"""Proves that the display can never hold the kernel up, draws what it was told last, and ends with its pipe."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from rich.console import Console

from penstock_kernel import display
from penstock_kernel.display import BookTop, DisplayClient, Progress, StrategyState, draw, plain_line
from penstock_kernel.interrupts import interrupts_held

START_NS = 1_773_097_200_000_000_000  # 2026-03-10 00:00 in Berlin
HOUR_NS = 3_600_000_000_000


def progress(hour: int = 6, **fields: Any) -> Progress:
    told: dict[str, Any] = {
        "run_id": "20260310-a1b2", "now_ns": START_NS + hour * HOUR_NS, "start_ns": START_NS,
        "end_ns": START_NS + 24 * HOUR_NS, "timezone": "Europe/Berlin", "events": 1_234_567, "events_per_s": 54_321.0,
        "index_price": -12.5, "books": [BookTop("DE-LU QH 2026-03-10 06:15@exchange", -13.25, None, -12.75)],
        "strategies": [StrategyState("market_maker", 3.5, 1_500.0), StrategyState("fade", -1.0, -250.0)],
    }  # fmt: skip
    return Progress(**{**told, **fields})


def drawn(told: Progress, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(draw(told))
    return out.getvalue()


def run_display(lines: bytes) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "penstock_kernel.display", "--plain"], input=lines, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout == b""
    return done.stderr.decode().splitlines()


@pytest.mark.parametrize("width", [60, 100, 180])
def test_the_picture_fits_its_width(width: int) -> None:
    text = drawn(progress(last_alert="limit.near " * 30), width)
    assert max(map(len, text.splitlines())) == width


def test_the_picture_says_time_prices_positions_and_pnl() -> None:
    text = drawn(progress())
    for wanted in (
        "Tue 10 Mar 06:00",
        "25%",
        "1,234,567",
        "06:15",
        "-13.25",
        "-12.50",
        "3.5",
        "1,500",
        "-250",
        "1,250",
    ):
        assert wanted in text
    assert "@exchange" not in text


def test_a_run_without_an_end_or_a_known_zone_is_drawn_too() -> None:
    assert "%" not in drawn(progress(end_ns=0, timezone="Nowhere/None", books=[], strategies=[]))


def test_a_line_says_where_the_run_stands() -> None:
    assert plain_line(progress(orders=7, fills=2, refusals=1)) == (
        "Tue 10 Mar 06:00   25%  1,234,567 events (54,321/s)  7 orders  2 fills  1 refused  index -12.50  "
        "P&L 1,250 EUR  running"
    )


def test_the_process_shows_the_last_state_and_ends_with_its_pipe() -> None:
    lines = b"".join(msgspec.json.encode(progress(hour)) + b"\n" for hour in (1, 2, 3))
    assert run_display(lines)[-1] == plain_line(progress(3))


def test_a_damaged_line_costs_one_picture_only() -> None:
    good = msgspec.json.encode(progress(4)) + b"\n"
    assert run_display(b'{"run_id": 3\n' + good)[-1] == plain_line(progress(4))
    assert run_display(b"\xff\xfe\n") == []


def test_ctrl_c_does_not_end_the_display() -> None:
    command = [sys.executable, "-m", "penstock_kernel.display", "--plain"]
    with interrupts_held():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.send_signal(signal.SIGINT)  # before it has begun …
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(msgspec.json.encode(progress(1)) + b"\n")
        process.stdin.flush()
        assert process.stderr.readline()
        process.send_signal(signal.SIGINT)  # … and while it runs
        _, rest = process.communicate(msgspec.json.encode(progress(2)) + b"\n", timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert rest.decode().strip() == plain_line(progress(2))


class Pipe:
    """A client whose display never reads: the pipe's other end is in the test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read_fd, write_fd = os.pipe()
        self.stdin = os.fdopen(write_fd, "wb", buffering=0)
        self.waited: list[float | None] = []
        self.reading = True
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: self)

    def wait(self, timeout: float | None = None) -> int:
        self.waited.append(timeout)
        return 0

    def close(self) -> None:
        self.stdin.close()
        if self.reading:
            os.close(self.read_fd)

    def read_all(self) -> list[bytes]:
        os.set_blocking(self.read_fd, False)
        found = b""
        try:
            while chunk := os.read(self.read_fd, 1 << 20):
                found += chunk
        except BlockingIOError:
            pass
        return found.split(b"\n")


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    made = Pipe(monkeypatch)
    yield made
    made.close()


def test_a_full_pipe_drops_updates_and_no_line_is_torn(pipe: Pipe) -> None:
    client = DisplayClient()
    long = progress(last_alert="x" * 9_000)  # longer than what a pipe takes in one piece
    sent = sum(client.send(long) for _ in range(50))
    assert 0 < sent < 50
    assert client.dropped == 50 - sent
    *first, rest = pipe.read_all()
    assert client.send(progress(7))
    *more, nothing = (rest + b"\n".join(pipe.read_all())).split(b"\n")
    told = [msgspec.json.decode(line, type=Progress) for line in [*first, *more]]
    assert told == [long] * sent + [progress(7)]
    assert nothing == b""


def test_a_display_that_died_is_forgotten(pipe: Pipe) -> None:
    client = DisplayClient()
    os.close(pipe.read_fd)
    pipe.reading = False
    client.send(progress())
    assert not client.send(progress())
    assert pipe.waited == [2.0]
    client.close()


def test_a_display_that_is_not_wanted_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(display.subprocess, "Popen", no_process)
    client = DisplayClient(enabled=False)
    assert not client.send(progress())
    client.close()
