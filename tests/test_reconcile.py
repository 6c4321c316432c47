"""Killed at any moment with orders at a market that lives on, an instance comes back with the market's own truth."""

from __future__ import annotations

import itertools
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel import run as run_module
from penstock_kernel.cli.main import main
from penstock_kernel.instance import Instance
from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import RunOptions
from penstock_kernel.vitals import Phase, VitalsView
from penstock_plugins.venues.paper import PaperConfig, PaperVenue
from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import MARKETS, MemoryLink, address_of
from penstock_plugins.venues.paper_market import PaperMarket
from penstock_plugins.venues.paper_protocol import VERSION, Ask, Hello, Told, frame_of, items_of, whole_bytes
from penstock_sdk.energy import announced_ns
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    Position,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    Side,
)
from penstock_sdk.wire.segment import read_frames

SUPPORT = Path(__file__).parent / "support" / "reconcile"
DEADLINE_S = 30.0
DAY = "2099-01-02"


def wait(what: str, condition: Callable[[], Any]) -> Any:
    """Return the condition's value once it is true."""
    until = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.005)
    return value


class Wire:
    """Passes bytes between adapter and venue, counts the new orders, and lets nothing through when told to."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.to = to
        self.new_orders: Counter[int] = Counter()
        self.deaf = False
        """Take what the adapter says and let the venue hear nothing of it."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj == self._stop:
                        return
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif key.fileobj in selector.get_map():
                        self._pass_on(selector, key.fileobj, *key.data)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        adapter, _ = self._listener.accept()
        try:
            venue = socket.create_connection(self.to, 5)
        except OSError:
            adapter.close()
            return
        selector.register(adapter, selectors.EVENT_READ, (venue, bytearray()))
        selector.register(venue, selectors.EVENT_READ, (adapter, None))

    def _pass_on(self, selector: selectors.BaseSelector, from_: Any, to: Any, seen: bytearray | None) -> None:
        try:
            data = from_.recv(1 << 16)
            if seen is not None:
                seen += data
                whole = whole_bytes(seen)
                for _, item, _ in items_of(bytes(seen[:whole])):
                    if isinstance(item, Order) and item.action == IntentAction.NEW:
                        self.new_orders[item.order_id] += 1
                del seen[:whole]
            if data and not (self.deaf and seen is not None):
                to.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (from_, to):
                if one in selector.get_map():
                    selector.unregister(one)
                one.close()

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._thread.join(5)
        self._listener.close()
        os.close(self._stop)
        os.close(self._stopped)


class Client:
    """Somebody at the venue: a stranger who deals, or one who looks at an account."""

    def __init__(self, address: tuple[str, int], account: str, server: str = "", since: int | None = None) -> None:
        self._socket = socket.create_connection(address, 10)
        self._data = bytearray()
        self.items: list[tuple[int, Any]] = []
        self.say(Hello(VERSION, account, server, since))

    def say(self, item: Any) -> None:
        self._socket.sendall(frame_of(item))

    def until(self, condition: Callable[[Any], bool]) -> Any:
        """Return the first item, from now on, of which *condition* holds."""
        while True:
            data = self._socket.recv(1 << 16)
            assert data, "the venue hung up"
            self._data += data
            whole = whole_bytes(self._data)
            new = [(number, item) for number, item, _ in items_of(bytes(self._data[:whole]))]
            del self._data[:whole]
            self.items += new
            for _, item in new:
                if condition(item):
                    return item

    def close(self) -> None:
        self._socket.close()


class Rehearsal:
    """A venue process, the wire to it, and an instance that trades there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_dir = folder, folder / "runs" / "desk"
        self.venue, self.venue_at = self._start_venue(0)
        self.wire = Wire(self.venue_at)
        self.kernel: subprocess.Popen[bytes] | None = None
        self.stranger_ids = itertools.count(1)
        self.deployment = folder / "plugins.toml"
        self.deployment.write_text(
            f'[run]\nclock = "wall"\ndelivery_day = "{DAY}"\n'
            f'[plugins.paper]\nuse = "paper"\n[plugins.paper.config]\naddress = "{self.wire.address}"\n'
            'account = "desk"\nreconnect_ms_max = 200\nanswer_ms = 500\n'
            f'[plugins.check]\nuse = "all_pass"\npath = "{SUPPORT}"\n'
            f'[plugins.restless]\nuse = "restless"\npath = "{SUPPORT}"\n'
            '[plugins.portfolio]\nuse = "portfolio"\n'
        )

    def _start_venue(self, port: int) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
        command = [sys.executable, "-m", "penstock_plugins.venues.paper_server", "--listen", f"127.0.0.1:{port}"]
        venue = subprocess.Popen(
            [*command, "--day", DAY, "--products", "H", "--requotes", "2", "--takers", "1"], stdout=subprocess.PIPE
        )
        assert venue.stdout is not None
        found = re.search(rb"listening on (\S+)", venue.stdout.readline())
        assert found is not None
        return venue, address_of(found[1].decode())

    def lose_venue(self) -> None:
        """Kill the venue and start another at the same place, which knows nothing."""
        self.venue.kill()
        self._reap(self.venue)
        self.venue, _ = self._start_venue(self.venue_at[1])

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> int:
        status = process.wait(DEADLINE_S)
        if process.stdout is not None:
            process.stdout.close()
        return status

    def start(self) -> None:
        with (self.folder / "err.txt").open("ab") as err:
            self.kernel = subprocess.Popen(
                [sys.executable, "-m", "penstock_kernel.cli.main", "run", "--instance", "desk", str(self.deployment),
                 "--runs-dir", str(self.folder / "runs"), "--no-report", "--quiet", "--no-watchdog"],
                stdout=err, stderr=err,
            )  # fmt: skip
        wait("a kernel", lambda: self.vitals("pid") == self.pid)

    @property
    def pid(self) -> int:
        assert self.kernel is not None
        assert self.kernel.poll() is None, (self.folder / "err.txt").read_text()
        return self.kernel.pid

    def vitals(self, name: str) -> Any:
        """Return one sign of life; None before there are any."""
        try:
            view = VitalsView(self.run_dir / "vitals")
        except (OSError, ValueError):
            return None
        try:
            return getattr(view, name)
        finally:
            view.close()

    def ready(self) -> None:
        wait("a kernel that trades", lambda: self.pid and self.vitals("phase") == Phase.READY)

    def kill(self) -> None:
        assert self.kernel is not None
        self.kernel.kill()
        self.kernel.wait(DEADLINE_S)

    def stop(self) -> None:
        assert self.kernel is not None
        self.kernel.send_signal(signal.SIGTERM)
        assert self.kernel.wait(DEADLINE_S) == 0, (self.folder / "err.txt").read_text()

    def events(self, *types: type) -> list[tuple[int, Any]]:
        """Return the journal's (seq, event) of these types."""
        found: list[tuple[int, Any]] = []
        for frame in read_frames(self.run_dir / "journal"):
            event = event_of(frame)
            for one in event.records() if hasattr(event, "records") else (event,):
                if isinstance(one, types):
                    found.append((frame.seq, one))
        return found

    def truth(self) -> list[ExecutionReport]:
        """Return every report of our account, as the venue has them."""
        looker = Client(self.venue_at, "desk")
        told = looker.until(lambda item: hasattr(item, "last_no"))
        looker.close()
        again = Client(self.venue_at, "desk", told.server, 0)
        numbers: set[int] = set()
        while len(numbers) < told.last_no:
            again.until(lambda item: isinstance(item, ExecutionReport))
            numbers = {number for number, item in again.items if isinstance(item, ExecutionReport)}
        again.close()
        return [item for _, item in again.items if isinstance(item, ExecutionReport)]

    def open_there(self) -> list[tuple[int, int]]:
        """Return (order, listing) of what rests at the venue, by asking about one order that never was."""
        looker = Client(self.venue_at, "desk")
        looker.say(Ask(1, []))
        told = looker.until(lambda item: isinstance(item, Told))
        looker.close()
        return list(told.foreign)

    def deal(self, chance: random.Random) -> None:
        """Have a stranger deal with some of what rests."""
        resting = self.open_there()
        stranger = Client(self.venue_at, "stranger")
        chosen = {listing for _, listing in chance.sample(resting, min(len(resting), 2))}
        for listing, (side, price_ticks) in itertools.product(chosen, ((Side.BUY, 6_300), (Side.SELL, 5_700))):
            order_id = next(self.stranger_ids)
            stranger.say(
                Order(
                    order_id, listing, int(IntentAction.NEW), side, OrderKind.IOC, price_ticks=price_ticks, qty_lots=60
                )
            )
            stranger.until(lambda item, order_id=order_id: _is_over(item, order_id))
        stranger.close()

    def close(self) -> None:
        if self.kernel is not None and self.kernel.poll() is None:
            self.kill()
        self.venue.kill()
        self._reap(self.venue)
        self.wire.close()


def _is_over(item: Any, order_id: int) -> bool:
    return isinstance(item, ExecutionReport) and item.order_id == order_id and not item.leaves_lots


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal(tmp_path)
    yield rehearsal
    rehearsal.close()


def check_agrees(rehearsal: Rehearsal) -> None:
    """Hold the journal against the venue's own reports."""
    truth = rehearsal.truth()
    journal = [report for _, report in rehearsal.events(ExecutionReport)]
    dealt = [(r.order_id, r.trade_id, r.last_ticks, r.last_lots) for r in truth if r.kind == ReportKind.FILL]
    told = [(r.order_id, r.trade_id, r.last_ticks, r.last_lots) for r in journal if r.kind == ReportKind.FILL]
    assert sorted(told) == sorted(dealt)
    assert dealt
    assert set(rehearsal.wire.new_orders.values()) == {1}
    routed = [o.order_id for _, o in rehearsal.events(Order) if o.action == 1 and o.state == OrderState.ROUTED]
    assert len(routed) == len(set(routed))
    number_of = {r.order_id: r.listing_id for r in truth}
    listing_of = {number_of[r.order_id]: r.listing_id for r in journal if r.order_id in number_of}
    net: Counter[int] = Counter()
    for report in truth:
        if report.kind == ReportKind.FILL:
            net[listing_of[report.listing_id]] += report.last_lots * (1 if report.side == Side.BUY else -1)
    last = {position.listing_id: position.net_lots for _, position in rehearsal.events(Position)}
    assert last == {listing: last.get(listing, 0) for listing in last} == {listing: net[listing] for listing in last}
    assert set(net) <= set(last)
    assert [a.code for _, a in rehearsal.events(Alert) if a.code.startswith("order.")] == []
    asked_at = None
    for _, event in rehearsal.events(RunHeader, Reconciled, Order):
        if isinstance(event, RunHeader):
            asked_at = event.epoch
        elif isinstance(event, Reconciled):
            assert event.epoch == asked_at
            asked_at = None
        elif event.action == IntentAction.NEW and event.state == OrderState.ROUTED:
            assert asked_at is None, "an order left before the venue had answered"


def test_killed_at_any_moment_while_the_market_deals_on(rehearsal: Rehearsal) -> None:
    chance = random.Random(11)
    for _ in range(3):
        rehearsal.start()
        rehearsal.ready()
        before = rehearsal.vitals("orders")
        many = chance.randrange(5, 60)
        wait(f"{many} orders", lambda: rehearsal.pid and rehearsal.vitals("orders") >= before + many)  # noqa: B023
        rehearsal.kill()
        rehearsal.deal(chance)
    rehearsal.start()
    rehearsal.ready()
    rehearsal.stop()
    headers = [header for _, header in rehearsal.events(RunHeader)]
    assert [header.epoch for header in headers] == [1, 2, 3, 4]
    assert any(answer.corrected for _, answer in rehearsal.events(Reconciled))
    check_agrees(rehearsal)
    result = replay(rehearsal.run_dir)
    assert result.skipped == ()


def test_what_was_killed_stays_killed_and_its_orders_are_cancelled(rehearsal: Rehearsal) -> None:
    rehearsal.start()
    rehearsal.ready()
    wait("orders that rest", lambda: rehearsal.pid and len(rehearsal.open_there()) >= 5)
    rehearsal.wire.deaf = True  # the cancels do not arrive
    os.kill(rehearsal.pid, signal.SIGUSR1)
    wait("the kill switch", lambda: rehearsal.vitals("killed"))
    rehearsal.kill()
    rehearsal.wire.deaf = False
    assert rehearsal.open_there()
    sent = rehearsal.wire.new_orders.total()
    rehearsal.start()
    wait("an empty book", lambda: rehearsal.pid and not rehearsal.open_there())
    rehearsal.ready()
    wait("the desk to know", lambda: rehearsal.vitals("open_orders") == 0)
    assert rehearsal.vitals("killed")
    rehearsal.stop()
    assert rehearsal.wire.new_orders.total() == sent


def test_a_venue_that_forgot_everything_is_told_of_and_its_orders_count_as_ended(rehearsal: Rehearsal) -> None:
    rehearsal.start()
    rehearsal.ready()
    wait("orders that rest", lambda: rehearsal.pid and len(rehearsal.open_there()) >= 5)
    rehearsal.lose_venue()
    alerts = rehearsal.run_dir / "alerts.jsonl"
    wait("the alert", lambda: rehearsal.pid and alerts.exists() and "venue.orders_lost" in alerts.read_text())
    wait("orders at the new venue", lambda: rehearsal.pid and len(rehearsal.open_there()) >= 3)
    rehearsal.stop()
    codes = [alert.code for _, alert in rehearsal.events(Alert)]
    assert "venue.disconnected" in codes
    cleared = [alert.cleared for _, alert in rehearsal.events(Alert) if alert.code == "venue.disconnected"]
    assert cleared[0] is False
    assert cleared[-1] is True
    assert [code for code in codes if code.startswith("order.")] == []
    assert set(rehearsal.wire.new_orders.values()) == {1}


def test_the_watchdogs_cancel_reaches_every_order_of_the_account(rehearsal: Rehearsal) -> None:
    rehearsal.start()
    rehearsal.ready()
    wait("orders that rest", lambda: rehearsal.pid and len(rehearsal.open_there()) >= 15)
    os.kill(rehearsal.pid, signal.SIGSTOP)
    rehearsal.deal(random.Random(3))
    host, port = rehearsal.venue_at
    config = PaperConfig(address=f"{host}:{port}", account="desk")
    assert PaperVenue.cancel_all_outside(config) > 0
    wait("what was still on its way", lambda: not PaperVenue.cancel_all_outside(config))
    assert rehearsal.open_there() == []
    os.kill(rehearsal.pid, signal.SIGCONT)
    wait("new orders", lambda: rehearsal.pid and rehearsal.open_there())
    rehearsal.stop()
    check_agrees(rehearsal)


def test_a_venue_out_of_reach_keeps_the_instance_from_trading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "RECONCILE_LIMIT_NS", 200_000_000)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    path = tmp_path / "plugins.toml"
    path.write_text(
        f'[run]\nclock = "wall"\ndelivery_day = "{DAY}"\n[plugins.paper]\nuse = "paper"\n'
        f'[plugins.paper.config]\naddress = "{nobody}"\n[plugins.check]\nuse = "all_pass"\npath = "{SUPPORT}"\n'
    )
    run = Instance.open("desk", path, RunOptions(runs_dir=str(tmp_path / "runs"), lake=False, for_s=1.0))
    run.go()
    assert run.kernel.desk.reconciling
    run.close()
    events = [event_of(frame) for frame in read_frames(run.dir / "journal")]
    codes = {event.code for event in events if isinstance(event, Alert)}
    assert {"venue.disconnected", "venue.not_reconciled"} <= codes
    assert any(isinstance(event, Reconcile) for event in events)
    assert not any(isinstance(event, (Reconciled, ListingDefinition)) for event in events)


def test_a_market_in_the_process_is_reconciled_in_simulated_time_and_replayed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = "2026-03-10"
    begin_ns = announced_ns("DE-LU", date.fromisoformat(day))
    market = PaperMarket(MarketConfig(day=day, products=("H",), requotes_per_s=2, takers_per_s=1), begin_ns)
    monkeypatch.setitem(MARKETS, "here", lambda: MemoryLink(market))
    path = tmp_path / "plugins.toml"
    path.write_text(
        f'[run]\ndelivery_day = "{day}"\n[plugins.paper]\nuse = "paper"\n'
        '[plugins.paper.config]\naddress = "memory:here"\nidle_ms = 200\n'
        f'[plugins.check]\nuse = "all_pass"\npath = "{SUPPORT}"\n'
        f'[plugins.restless]\nuse = "restless"\npath = "{SUPPORT}"\n[plugins.portfolio]\nuse = "portfolio"\n'
    )
    options = RunOptions(runs_dir=str(tmp_path / "runs"), lake=False, for_s=20)
    run = Instance.open("desk", path, options)
    run.kernel.run_simulated(begin_ns + 3_000_000_000)
    run.kernel.write()
    assert run.kernel.desk.open
    run.abort()
    for number in {held.listing for held in market.accounts["penstock"].open_orders()}:
        market.trade(number, Side.SELL, 5_700, 1_000)
    run = Instance.open("desk", None, options)
    run.go()
    assert not run.kernel.desk.reconciling
    run.close()
    events = [event_of(frame) for frame in read_frames(run.dir / "journal")]
    told: Counter[int] = Counter()
    for event in events:
        if isinstance(event, ExecutionReport) and event.kind == ReportKind.FILL:
            told[event.order_id] += event.last_lots
    held = market.accounts["penstock"].orders.values()
    assert dict(told) == {one.order_id: one.filled_lots for one in held if one.filled_lots}
    assert [answer.corrected > 0 for answer in events if isinstance(answer, Reconciled)] == [False, True]
    assert [alert.code for alert in events if isinstance(alert, Alert) if alert.code.startswith("order.")] == []
    monkeypatch.delitem(MARKETS, "here")
    assert replay(run.dir).skipped == ()


def test_a_stop_waits_for_answers_and_says_how_many_orders_it_leaves(rehearsal: Rehearsal) -> None:
    rehearsal.start()
    rehearsal.ready()
    wait("orders at rest", lambda: len(rehearsal.open_there()) >= 5)
    rehearsal.deal(random.Random(1))
    rehearsal.stop()
    left = len(rehearsal.open_there())  # the market deals on: some may be gone by now
    (alert,) = [alert for _, alert in rehearsal.events(Alert) if alert.code == "orders.left_open"]
    told = re.fullmatch(r"(\d+) orders open at paper when the run ended, 0 without an answer", alert.met)
    assert told is not None
    assert int(told[1]) >= left


def test_a_stop_that_cancels_leaves_nothing_at_the_venue_and_one_that_does_not_says_so(
    rehearsal: Rehearsal, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(*more: str) -> str:
        wait("orders that rest", lambda: rehearsal.pid and rehearsal.vitals("open_orders") > 5)
        words = ["stop", "--reason", "maintenance", "--wait", "--timeout", "30", *more]
        code = main([*words, "--instance", "desk", "--runs-dir", str(rehearsal.folder / "runs")])
        out, err = capfd.readouterr()
        assert code == 0, err
        assert rehearsal.kernel is not None and rehearsal.kernel.wait(DEADLINE_S) == 0
        return out

    rehearsal.start()
    rehearsal.ready()
    told = stop()
    assert re.search(r"; \d+ orders open at paper; what no strategy cancels as it stops stays there: `penstock", told)
    assert rehearsal.open_there()
    rehearsal.start()
    rehearsal.ready()
    told = stop("--cancel")
    assert re.search(r"; \d+ cancels sent, \d+ orders open before", told)
    assert rehearsal.open_there() == []
    left = [seq for seq, alert in rehearsal.events(Alert) if alert.code == "orders.left_open"]
    second = [seq for seq, header in rehearsal.events(RunHeader)][-1]
    assert left and all(seq < second for seq in left)
