"""The libraries for Go and JavaScript in wall time: effects after the journal, answers from outside, checks, faults."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_sdk.events import CheckResult, CheckVerdict, ExecutionReport, Quote, Reason, ReportKind, Trade
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.grpc_peer import spawn_peer
from penstock_sdk.wire.messages import Batch, ConfigureRequest, Instance, Message, StartRequest
from tests.interop.conftest import command_of
from tests.interop.rig import PLUGIN_ID, START_NS, frame, records
from tests.interop.test_interop_plugins import order

pytestmark = pytest.mark.interop
WAIT_S = 10.0


class FreeRig:
    """A host in wall time: both streams, nothing is a step."""

    def __init__(self, peer: Any) -> None:
        self.streams = {"events": peer.events(), "orders": peer.orders()}
        self.flows = {name: Flow() for name in self.streams}
        for name, stream in self.streams.items():
            stream.send(self.flows[name].owed())
        instance = Instance(name="far", plugin_id=PLUGIN_ID)
        assert not peer.call("Configure", ConfigureRequest(instance=instance)).faults
        peer.call("Start", StartRequest(now_ns=START_NS, seq=1))

    def send(self, name: str, batch: Message) -> None:
        """Send a batch as soon as there is room for it."""
        flow, until = self.flows[name], time.monotonic() + WAIT_S
        while batch.frames and flow.room()[0] < count_records(batch.frames):
            assert self.receive(name, 0.05, numbered=False) is None and time.monotonic() < until
        self.streams[name].send(flow.send(batch, count_records(batch.frames)))

    def receive(self, name: str, timeout_s: float = WAIT_S, *, numbered: bool = True) -> Message | None:
        """Return the next numbered batch on a stream, or None."""
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            met = self.streams[name].receive(left)
            if met is not None and self.flows[name].take(met):
                self.flows[name].done()
                return met
            if met is not None and not numbered:
                return None
        return None


@pytest.fixture(params=["go", "node"])
def outside(packages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[FreeRig]:
    with spawn_peer(command_of(packages[f"{request.param}_outside"]), start_s=30) as peer:
        yield FreeRig(peer)


def test_an_effect_waits_for_the_journal_and_its_answer_comes_by_itself(outside: FreeRig) -> None:
    outside.send("orders", Batch(frames=frame(order(7, 100), 50, START_NS), written_seq=49))
    waits = outside.receive("events")
    assert waits is not None and (waits.effects_waiting, waits.frames) == (1, b"")
    assert outside.receive("orders", 0.2) is None
    outside.send("orders", Batch(written_seq=50))
    said = outside.receive("orders")
    assert said is not None and said.from_outside
    (report,) = records(said.frames)
    assert isinstance(report, ExecutionReport) and (report.order_id, report.kind) == (7, ReportKind.ACCEPTED)


def test_an_effect_of_the_past_never_happens(outside: FreeRig) -> None:
    outside.send("orders", Batch(frames=frame(order(7, 100), 50, START_NS), hearing=True, written_seq=60))
    outside.send("orders", Batch(frames=frame(order(8, 100), 61, START_NS), written_seq=61))
    said = outside.receive("orders")
    assert said is not None and [each.order_id for each in records(said.frames)] == [8]
    assert outside.receive("orders", 0.2) is None


def test_timers_lines_and_market_data_go_on_the_stream_events(outside: FreeRig) -> None:
    outside.send("events", Batch(frames=frame(Quote(3, bid_ticks=-40), 51, START_NS), now_ns=START_NS))
    said = outside.receive("events")
    assert said is not None
    assert [(each.timer_id, each.due_ns - START_NS, each.tag) for each in said.timers] == [(1, 5, 71), (2, 6, 72)]
    assert list(said.timers_forgotten) == [2]
    assert [(each.severity, each.text) for each in said.log] == [(2, "timers 1 and 2")]
    (trade,) = records(said.frames)
    assert isinstance(trade, Trade) and (trade.listing_id, trade.price_ticks) == (3, -40)


def test_a_check_answers_with_its_verdict(outside: FreeRig) -> None:
    verdicts = []
    for number, lots in ((1, 10), (2, 11)):
        batch = Batch(check=True, step=number, frames=frame(order(number, 5, qty_lots=lots), 50 + number, START_NS))
        outside.send("orders", batch)
        said = outside.receive("orders")
        assert said is not None and said.answers == number
        verdicts += records(said.frames)
    assert all(isinstance(each, CheckVerdict) and each.check_id == PLUGIN_ID for each in verdicts)
    assert verdicts[0].result == CheckResult.PASSED
    assert (verdicts[1].result, verdicts[1].reason, verdicts[1].met) == (CheckResult.REFUSED, Reason.QTY_MAX, 11)


def test_a_handler_that_fails_is_told_by_name(outside: FreeRig) -> None:
    outside.send("orders", Batch(frames=frame(order(7, 100, qty_lots=13), 50, START_NS), written_seq=50))
    said = outside.receive("events")
    assert said is not None
    assert [(each.handler, "thirteen lots" in each.error) for each in said.faults] == [("on_order", True)]


HOST = """
import sys, time
from penstock_sdk.process.grpc_peer import spawn_peer
peer = spawn_peer(sys.argv[1:], start_s=30)
print(peer.process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("language", ["go", "node"])
def test_a_plugin_ends_with_its_host_however_that_ends(packages: dict[str, Path], language: str) -> None:
    command = [sys.executable, "-c", HOST, *command_of(packages[f"{language}_outside"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert Path(f"/proc/{pid}").is_dir()
        host.send_signal(signal.SIGKILL)
        host.wait(10)
    until, tick = time.monotonic() + WAIT_S, threading.Event()
    while _runs(pid):
        assert time.monotonic() < until, f"process {pid} is left"
        tick.wait(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
