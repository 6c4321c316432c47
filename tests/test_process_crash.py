"""kill -9 of any process: the plugin's, and it comes back; the kernel's, and what is resumed ends as if uncut."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from far_runs import KINDS, deployment, events, left_behind, of, pid_of, states
from loop_runs import Child, journal_bytes, only_run, resume_child, run_child, wait_for

from penstock_kernel.hosts import telling
from penstock_kernel.hosts.breaker import Circuit
from penstock_kernel.hosts.past import Past
from penstock_kernel.instance import Instance
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    IntentAction,
    OperatorCommand,
    Order,
    OrderState,
    PluginState,
    PluginStatus,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    Signal,
    Tradability,
)
from penstock_sdk.wire.segment import read_frames


def whole(path: Path) -> Run:
    """Return a run that has come to its end."""
    run = Run.start(path, RunOptions(lake=False))
    run.go()
    assert run.close().status == "complete"
    return run


def alerts(run_dir: Path) -> list[tuple[str, str, bool]]:
    return [(alert.code, alert.subject, alert.cleared) for alert in of(run_dir, Alert)]


BACK = [
    PluginStatus.FAILED, PluginStatus.RETRYING, PluginStatus.STARTING, PluginStatus.CONFIGURED, PluginStatus.RUNNING,
]  # fmt: skip


@pytest.fixture(autouse=True)
def nobody_stays(tmp_path: Path) -> Any:
    yield
    Child.end_all()
    assert not left_behind(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", list(KINDS))
def test_a_plugin_that_dies_in_simulated_time_comes_back_at_once(tmp_path: Path, name: str) -> None:
    run = whole(deployment(tmp_path, far=(name,), **{name: "die_at = 7"}))
    assert states(run.dir, name)[-7:-2] == BACK
    assert ("plugin.crashed", name, False) in alerts(run.dir)
    assert ("plugin.crashed", name, True) in alerts(run.dir)
    crash = next(state for state in of(run.dir, PluginState) if state.status == PluginStatus.FAILED)
    assert "SIGKILL" in crash.reason
    assert replay(run.dir).digest == run.info.digest


def test_what_a_plugin_knew_and_gave_before_it_died_is_not_lost_and_not_told_twice(tmp_path: Path) -> None:
    (tmp_path / "uncut").mkdir()
    uncut = whole(deployment(tmp_path / "uncut"))
    run = whole(deployment(tmp_path, feed="die_at = 20", book="die_at = 70"))
    assert {"feed", "book"} == {subject for code, subject, _ in alerts(run.dir) if code == "plugin.crashed"}
    told = [quote for quote in of(run.dir, Quote) if quote.tradability != Tradability.STALE]
    assert told == of(uncut.dir, Quote)
    stale = [quote for quote in of(run.dir, Quote) if quote.tradability == Tradability.STALE]
    assert sorted(quote.listing_id for quote in stale) == [1, 2]
    assert of(run.dir, Signal) == of(uncut.dir, Signal) != []
    assert of(run.dir, ExecutionReport) == of(uncut.dir, ExecutionReport)


def test_a_check_that_dies_refuses_and_a_strategy_that_dies_has_its_orders_cancelled(tmp_path: Path) -> None:
    run = whole(deployment(tmp_path, risk="die_at = 31", strategy="die_at = 52"))
    refused = [order.reason for order in of(run.dir, Order) if order.state == OrderState.REFUSED]
    assert refused.count(Reason.CHECK_FAILED) == 1  # the one that it was asked about
    cancels = [order for order in of(run.dir, Order) if order.action == IntentAction.CANCEL]
    ended = [report.kind for report in of(run.dir, ExecutionReport)]
    assert len(cancels) == ended.count(ReportKind.CANCELLED) > 0
    assert replay(run.dir).digest == run.info.digest


def test_the_orders_at_a_venue_that_dies_are_in_doubt_until_it_has_said_where_they_stand(tmp_path: Path) -> None:
    run = whole(deployment(tmp_path, venue="die_at = 21"))
    doubtful = {order.order_id for order in of(run.dir, Order) if order.state == OrderState.IN_DOUBT}
    (question,) = of(run.dir, Reconcile)
    (answer,) = of(run.dir, Reconciled)
    assert {order_id for order_id, _ in question.orders} == doubtful != set()
    reports = {report.order_id for report in of(run.dir, ExecutionReport)}
    assert doubtful <= reports and answer.venue_id == question.venue_id
    assert not run.kernel.desk.open


def test_one_that_dies_too_often_is_kept_out_until_it_is_released(tmp_path: Path) -> None:
    run = Run.start(
        deployment(tmp_path, restart="restart = { max_crashes = 3, window_s = 600.0 }\n",
                   risk="die_at = 5\ntimes = 3"),
        RunOptions(lake=False),
    )  # fmt: skip
    kernel = run.kernel
    release = OperatorCommand(command="release", who="test", why="mended", target="risk")
    kernel.command_at(kernel.moment.now_ns + 60_000_000_000, release)
    run.go()
    assert run.close().status == "complete"
    said = states(run.dir, "risk")
    out = said.index(PluginStatus.QUARANTINED)
    assert said[:out].count(PluginStatus.FAILED) == 3
    assert said[out + 1 : out + 4] == [PluginStatus.STARTING, PluginStatus.CONFIGURED, PluginStatus.RUNNING]
    codes = [code for code, subject, _ in alerts(run.dir) if subject == "risk"]
    assert "plugin.quarantined" in codes
    last = [order for order in of(run.dir, Order) if order.action == IntentAction.NEW][-1]
    assert last.state == OrderState.ROUTED  # it checks again
    assert Reason.NO_CHECK in [order.reason for order in of(run.dir, Order)]
    assert replay(run.dir).digest == run.info.digest


def test_a_kernel_that_is_killed_goes_on_as_if_uncut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far, die_at = ("venue", "feed", "risk", "strategy"), 110  # the report at which the kernel's process is killed
    path = deployment(tmp_path, far=far, book=f"die_at = {die_at}")
    first = run_child(tmp_path, path)
    assert first.wait() == -signal.SIGKILL, first.text()
    wait_for(lambda: not left_behind(tmp_path), "its plugins' processes to end with it")
    run_dir = only_run(tmp_path)
    assert RunInfo.load(run_dir).status != "complete"
    again = resume_child(tmp_path)
    assert again.wait() == 0, again.text()
    (tmp_path / "uncut").mkdir()
    uncut = deployment(tmp_path / "uncut", far=far, book=f"die_at = {die_at}")
    monkeypatch.setenv("FAR_SPARED", "1")
    assert frames(run_dir) == frames(whole(uncut).dir)
    assert replay(run_dir).events == RunInfo.load(run_dir).events


def frames(run_dir: Path) -> list[bytes]:
    """Return every frame but the header, which names the deployment."""
    return [bytes(frame.raw) for frame in read_frames(run_dir / "journal")][1:]


def in_wall_time(tmp_path: Path, name: str, turn: Any, path: Path | None = None) -> Run:
    """Run until *turn*, which is called with the run and its host now and then, returns True."""
    run = Run.start(path or deployment(tmp_path, clock="wall", far=(name,)), RunOptions(lake=False))
    kernel, hosts = run.kernel, run.kernel.hosts
    assert hosts is not None
    host = hosts.hosts[name]
    until_s = time.monotonic() + 60.0

    def look() -> None:
        assert time.monotonic() < until_s, states(run.dir, name)
        if turn(run, host):
            kernel.stopping = "the test has seen it"

    kernel.turns = (*kernel.turns, look)
    run.go()
    assert run.close().status == "complete"
    return run


@pytest.mark.parametrize("name", list(KINDS))
def test_a_plugin_that_is_killed_in_wall_time_is_back_and_the_rest_trades_on(tmp_path: Path, name: str) -> None:
    killed: list[int] = []

    def turn(run: Run, host: Any) -> bool:
        if not killed and run.kernel.desk.orders >= 4 and host.up:
            killed.append(run.kernel.cascade.seq)
            os.kill(pid_of(host), signal.SIGKILL)
        return bool(killed) and name in host.hosts.supervisor.restarts and run.kernel.cascade.seq > killed[0] + 30

    run = in_wall_time(tmp_path, name, turn)
    said = states(run.dir, name)
    assert [state for state in BACK if state in said] == BACK
    assert "SIGKILL" in next(s.reason for s in of(run.dir, PluginState) if s.status == PluginStatus.FAILED)
    assert replay(run.dir).digest == run.info.digest


def test_in_wall_time_a_quarantine_ends_the_process_and_a_release_starts_another(tmp_path: Path) -> None:
    pids: list[int] = []

    def turn(run: Run, host: Any) -> bool:
        command = run.kernel.command
        if not pids and host.up and run.kernel.desk.orders >= 2:
            pids.append(pid_of(host))
            command(OperatorCommand(command="quarantine", who="test", why="looks odd", target="strategy"))
        elif len(pids) == 1 and "strategy" in run.kernel.quarantined and host.child is None:
            pids.append(0)
            command(OperatorCommand(command="release", who="test", why="it was not", target="strategy"))
        return len(pids) == 2 and host.up and run.kernel.lifecycle.status[host.slot.plugin_id] == PluginStatus.RUNNING

    run = in_wall_time(tmp_path, "strategy", turn)
    assert not Path(f"/proc/{pids[0]}").exists()
    said = states(run.dir, "strategy")
    out = said.index(PluginStatus.QUARANTINED)
    assert said[out + 1 : out + 4] == [PluginStatus.STARTING, PluginStatus.CONFIGURED, PluginStatus.RUNNING]
    assert replay(run.dir).digest == run.info.digest


def test_in_wall_time_a_plugin_that_is_silent_is_degraded_until_it_speaks_again(tmp_path: Path) -> None:
    stopped: list[int] = []

    def turn(run: Run, host: Any) -> bool:
        status = run.kernel.lifecycle.status[host.slot.plugin_id]
        if not stopped and host.up and run.kernel.desk.orders >= 2:
            stopped.append(pid_of(host))
            os.kill(stopped[0], signal.SIGSTOP)
        elif len(stopped) == 1 and status == PluginStatus.DEGRADED:
            stopped.append(run.kernel.cascade.seq)
            os.kill(stopped[0], signal.SIGCONT)
        return len(stopped) == 2 and status == PluginStatus.RUNNING and run.kernel.desk.orders > 4

    run = in_wall_time(tmp_path, "risk", turn)
    assert [state for state in states(run.dir, "risk") if state == PluginStatus.FAILED] == []
    told = [(code, cleared) for code, subject, cleared in alerts(run.dir) if subject == "risk"]
    assert [each for each in told if each[0] == "plugin.degraded"] == [
        ("plugin.degraded", False),
        ("plugin.degraded", True),
    ]
    late = [order.reason for order in of(run.dir, Order) if order.state == OrderState.REFUSED]
    assert Reason.CHECK_TIMEOUT in late and Reason.NO_CHECK in late
    assert replay(run.dir).digest == run.info.digest


def test_in_wall_time_a_venue_whose_handlers_raise_is_sent_no_order_until_it_is_tried_again(tmp_path: Path) -> None:
    opened: list[str] = []

    def turn(run: Run, host: Any) -> bool:
        breaker = host.hosts.supervisor.breakers("venue")["handlers"]
        if breaker.why and not opened:
            opened.append(breaker.why)
        running = run.kernel.lifecycle.status[host.slot.plugin_id] == PluginStatus.RUNNING
        return bool(opened) and running and breaker.circuit == Circuit.CLOSED

    path = deployment(tmp_path, clock="wall", far=("venue",), venue="raises = [3, 6]")
    lines = "breaker = { answers_min = 3, failures_share = 0.3, open_s = 0.5 }\n"
    path.write_text(path.read_text().replace('use = "far_venue"\n', f'use = "far_venue"\n{lines}'))
    run = in_wall_time(tmp_path, "venue", turn, path)
    assert "on_order: ValueError: told to fail" in opened[0]
    said = states(run.dir, "venue")
    assert said[said.index(PluginStatus.DEGRADED) + 1] == PluginStatus.RUNNING
    assert PluginStatus.FAILED not in said
    refused = [order.reason for order in of(run.dir, Order) if order.state == OrderState.REFUSED]
    assert Reason.UNKNOWN_VENUE in refused
    assert replay(run.dir).digest == run.info.digest


def test_in_wall_time_a_plugin_is_asked_for_its_state_though_the_kernel_takes_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "STATE_EVERY", 50)
    held: list[int] = []
    told: list[int] = []
    batches = Past.batches

    def counted(past: Past, frames: Any) -> Any:
        frames = list(frames)
        told.extend(frame.seq for frame in frames)
        return batches(past, iter(frames))

    monkeypatch.setattr(Past, "batches", counted)

    def turn(run: Run, host: Any) -> bool:
        if not held and host.held is not None and host.held[1] > 50:
            held.append(host.held[1])
            told.clear()
            os.kill(pid_of(host), signal.SIGKILL)
        return bool(held) and "strategy" in host.hosts.supervisor.restarts and host.started

    run = in_wall_time(tmp_path, "strategy", turn)
    assert not any((run.dir / "snapshots").glob("*"))
    assert told
    assert min(told) > held[0]
    assert replay(run.dir).digest == run.info.digest


def test_a_later_session_of_an_instance_goes_on_with_what_each_plugin_knew(tmp_path: Path) -> None:
    ended = []
    for far in ((), tuple(KINDS)):
        folder = tmp_path / ("far" if far else "near")
        folder.mkdir()
        path = deployment(folder, far=far)
        for after_s in (40, 100):
            run = Instance.open("desk", path, RunOptions(lake=False))
            stop = OperatorCommand(command="stop", who="test", why="enough")
            run.kernel.command_at(run.kernel.moment.now_ns + after_s * 1_000_000_000, stop)
            run.go()
            assert run.close().status == "complete"
        ended.append([type(event).__name__ for event in events(run.dir) if type(event) in (Order, Signal, Quote)])
        assert not replay(run.dir).skipped
    assert ended[0] == ended[1]
    assert "Signal" in ended[0][len(ended[0]) // 2 :]


def test_a_kernel_that_is_killed_in_wall_time_has_its_plugins_back_and_knows_what_they_knew(tmp_path: Path) -> None:
    path = deployment(tmp_path, clock="wall")
    child = run_child(tmp_path, path)
    wait_for(lambda: any((tmp_path / "runs").glob("*/")) and journal_bytes(only_run(tmp_path)) > 60_000, "orders")
    assert len(left_behind(tmp_path)) >= len(KINDS)
    child.kill()
    wait_for(lambda: not left_behind(tmp_path), "its plugins' processes to end with it")
    run = Run.resume(only_run(tmp_path), RunOptions(lake=False))
    before = run.kernel.desk.orders
    assert before > 0
    until_s = time.monotonic() + 60.0

    def turn() -> None:
        assert time.monotonic() < until_s
        if run.kernel.desk.orders > before + 10 and not run.kernel.desk.reconciling:
            run.kernel.stopping = "the test has seen it"

    run.kernel.turns = (*run.kernel.turns, turn)
    run.go()
    assert run.close().status == "complete"
    assert [code for code, _, _ in alerts(run.dir) if code.startswith("plugin.")] == []
    sent = [order.intent_id for order in of(run.dir, Order) if order.state == OrderState.ROUTED]
    assert sent == sorted(set(sent))  # the strategy counts on
    assert replay(run.dir).digest == run.info.digest
