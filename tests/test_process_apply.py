"""`penstock apply` in wall time: a changed plugin goes on with what it knew; one that cannot start stops nobody."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from far_runs import deployment, left_behind, of, pid_of, states
from loop_runs import Child, wait_for

from penstock_kernel.cli.main import main
from penstock_kernel.deployment import load_deployment
from penstock_kernel.reload.applying import ApplyArgument
from penstock_kernel.reload.plan import plan_change
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import DeploymentChange, OperatorCommand, Order, OrderState, PluginStatus

S = PluginStatus
AGAIN = [S.DRAINING, S.STOPPED, S.STARTING, S.CONFIGURED, S.RUNNING]
START_S = 8.0


def change(folder: Path, config: str = "", more: str = "") -> Path:
    """Write the deployment with another strategy; *more* are lines of its table."""
    path = deployment(folder, clock="wall", far=("venue", "feed", "strategy"), strategy=config)
    use = 'use = "far_strategy"\n'
    path.write_text(path.read_text().replace(use, f"{use}start_s = {START_S}\n{more}"))
    return path


def command_to_apply(run: Run, path: Path) -> OperatorCommand:
    """Return the command that applies a file as it is now."""
    plan = plan_change(run.deployment, load_deployment(path))
    argument = msgspec.json.encode(ApplyArgument(path=str(path), digest=plan.digest_after)).decode()
    return OperatorCommand(command="apply", who="test", why="to see", argument=argument)


class Applied(NamedTuple):
    """A run in which one change was applied, and what was answered; pids of the strategy before and after."""

    run: Run
    answer: str
    pids: tuple[int, int]
    orders: tuple[int, int]
    """Sent before the change was asked for, and when it was answered."""


def applied(folder: Path, config: str, more: str = "") -> Applied:
    run = Run.start(change(folder), RunOptions(lake=False))
    kernel, begun, told, pids = run.kernel, [], [], []
    until_s = time.monotonic() + 90.0

    def answered(faults: list[str]) -> None:
        begun.append(kernel.desk.orders)
        told.append("!" + "; ".join(faults) if faults else run.applying.last.text)

    def look() -> None:
        assert time.monotonic() < until_s, (begun, told)
        assert kernel.hosts is not None
        host = kernel.hosts.hosts["strategy"]
        if not begun and host.started and kernel.desk.orders >= 4:
            begun.append(kernel.desk.orders)
            pids.append(pid_of(host))
            command = command_to_apply(run, change(folder, config, more))

            def then(faults: list[str]) -> None:
                if faults:
                    answered(faults)
                else:
                    run.command(command, lambda _first, _last: answered(list(run.applying.last.faults)))

            run.applying.prepare(command.argument, then)
        elif told and host.started and kernel.desk.orders > begun[1] + 6:
            pids.append(pid_of(host))
            kernel.stopping = "the test has seen it"

    kernel.turns = (*kernel.turns, look)
    run.go()
    assert run.close().status == "complete"
    return Applied(run, told[0], (pids[0], pids[1]), (begun[0], begun[1]))


def counts_on(run_dir: Path) -> bool:
    """Return whether the strategy, which counts in its state, never forgot what it had counted."""
    sent = [order.qty_lots for order in of(run_dir, Order) if order.state in (OrderState.ROUTED, OrderState.REFUSED)]
    return all((after - before) % 5 in (0, 1) for before, after in pairwise(sent))


def test_a_changed_plugin_goes_on_with_what_it_knew_and_the_open_orders_stay(tmp_path: Path) -> None:
    done = applied(tmp_path, "die_at = 999999")
    assert done.answer == "applied; 1 changed: strategy"
    assert done.pids[0] != done.pids[1]
    assert not Path(f"/proc/{done.pids[0]}").exists()
    said = states(done.run.dir, "strategy")
    assert said[said.index(S.DRAINING) : -2] == AGAIN
    sent = [order.intent_id for order in of(done.run.dir, Order) if order.state == OrderState.ROUTED]
    assert sent == sorted(set(sent))
    assert counts_on(done.run.dir)
    assert not left_behind(tmp_path)
    assert replay(done.run.dir).digest == done.run.info.digest


@pytest.mark.parametrize(
    ("config", "more", "met"),
    [
        ("die_at = 1", 'python = "/bin/false"\n', "before it connected"),
        pytest.param('fails = "config"', "", "no answer to Configure in time", marks=pytest.mark.long),
        ('fails = "no_such"\nno_such_key = 1', "", "no_such_key"),
    ],
    ids=["exits", "hangs", "refuses"],
)
def test_one_that_cannot_start_never_stops_the_one_that_runs(tmp_path: Path, config: str, more: str, met: str) -> None:
    done = applied(tmp_path, config, more)
    assert done.answer.startswith("!"), done.answer
    assert met in done.answer
    assert done.pids[0] == done.pids[1]
    assert not of(done.run.dir, DeploymentChange)
    assert states(done.run.dir, "strategy").count(S.RUNNING) == 1
    if met.startswith("no answer"):
        assert done.orders[1] > done.orders[0], "the kernel trades while it waits"
    assert replay(done.run.dir).digest == done.run.info.digest


@pytest.mark.parametrize("fails", ["init", "start"])
def test_one_that_fails_once_the_other_has_stopped_is_undone_and_the_other_trades_on(
    tmp_path: Path, fails: str
) -> None:
    done = applied(tmp_path, f'fails = "{fails}"')
    assert done.answer.startswith("!undone"), done.answer
    assert ("told to fail" if fails == "init" else "SIGKILL") in done.answer
    changes: list[Any] = of(done.run.dir, DeploymentChange)
    assert [each.rolled_back for each in changes] == [False, True]
    failed = [*AGAIN[:3], *([S.CONFIGURED, S.RUNNING] if fails == "start" else [])]
    said = states(done.run.dir, "strategy")
    assert said[said.index(S.DRAINING) : -2] == [*failed, S.FAILED, S.RETRYING, *AGAIN[2:]]
    assert counts_on(done.run.dir)
    assert replay(done.run.dir).digest == done.run.info.digest


def test_one_that_was_lost_and_waits_for_its_restart_is_replaced(tmp_path: Path) -> None:
    slow = "restart = { backoff_s = 600, backoff_s_max = 600 }\n"
    run = Run.start(change(tmp_path, more=slow), RunOptions(lake=False))
    kernel, killed, told = run.kernel, [], []
    until_s = time.monotonic() + 60.0

    def look() -> None:
        assert time.monotonic() < until_s, (killed, told)
        assert kernel.hosts is not None
        host = kernel.hosts.hosts["strategy"]
        if not killed and host.started and kernel.desk.orders >= 4:
            killed.append(pid_of(host))
            os.kill(killed[0], signal.SIGKILL)
        elif killed and "strategy" in kernel.away and not told:
            told.append(kernel.desk.orders)
            run.command(command_to_apply(run, change(tmp_path, "die_at = 999999", slow)))
        elif told and kernel.desk.orders > told[0] + 6:
            kernel.stopping = "the test has seen it"

    kernel.turns = (*kernel.turns, look)
    run.go()
    assert run.close().status == "complete"
    assert run.applying.last.text == "applied; 1 changed: strategy"
    assert replay(run.dir).digest == run.info.digest


def test_what_is_started_for_a_change_ends_with_a_run_that_stops_meanwhile(tmp_path: Path) -> None:
    run = Run.start(change(tmp_path), RunOptions(lake=False))
    kernel, answers = run.kernel, []

    def look() -> None:
        assert kernel.hosts is not None
        if not kernel.hosts.ready:
            command = command_to_apply(run, change(tmp_path, 'fails = "config"'))
            run.applying.prepare(command.argument, answers.append)
        elif kernel.hosts.ready["strategy"].described is not None:
            kernel.stopping = "the test has seen it"

    kernel.turns = (*kernel.turns, look)
    run.go()
    assert run.close().status == "complete"
    assert not answers
    assert not left_behind(tmp_path)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def journal_holds(run_dir: Path, orders: int) -> bool:
    """Return whether a journal has so many orders by now."""
    return (run_dir / "journal").exists() and len(of(run_dir, Order)) >= orders


@pytest.mark.long
def test_an_instance_that_is_changed_and_killed_starts_again_with_the_change(tmp_path: Path) -> None:
    where = ["--instance", "desk", "--runs-dir", str(tmp_path / "runs")]
    path, run_dir = change(tmp_path), tmp_path / "runs" / "desk"
    first = Child(tmp_path, "run", str(path), *where, "--no-report")
    try:
        wait_for(lambda: journal_holds(run_dir, 4), "orders")
        change(tmp_path, 'fails = "config"')
        started = time.monotonic()
        assert main(["apply", str(path), "--yes", "--reason", "to see", *where]) != 0
        assert time.monotonic() - started > START_S / 2, "it hung, longer than the watchdog lets a kernel"
        change(tmp_path, "die_at = 999999")
        assert main(["apply", str(path), "--yes", "--reason", "to see", *where]) == 0
        wait_for(lambda: journal_holds(run_dir, len(of(run_dir, Order)) + 4), "orders after the change")
        kernels = [pid for pid in children(first.pid) if "penstock" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert kernels
        before = len(of(run_dir, Order))
        for pid in kernels:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: journal_holds(run_dir, before + 6), "orders after the restart")
        assert main(["stop", "--reason", "enough", *where]) == 0
        assert first.wait() == 0
    finally:
        Child.end_all()
    assert [each.rolled_back for each in of(run_dir, DeploymentChange)] == [False]
    assert "die_at" in (run_dir / "deployment.toml").read_text()
    assert S.FAILED not in states(run_dir, "strategy")
    assert counts_on(run_dir)
    replay(run_dir)
