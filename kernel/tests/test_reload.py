"""A deployment that is changed while its run goes on: what is added, changed, removed, undone; and its replay."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_kernel.deployment import load_deployment
from penstock_kernel.instance import Instance, Starting
from penstock_kernel.reload.applying import ApplyArgument
from penstock_kernel.reload.plan import plan_change
from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.toml_text import toml_text
from penstock_sdk.core.state_bytes import unpack_state
from penstock_sdk.events import (
    Alert,
    DeploymentChange,
    ExecutionReport,
    OperatorCommand,
    Order,
    OrderState,
    PluginStatus,
    ReportKind,
)
from penstock_sdk.wire.segment import read_frames

SMALL = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "small.toml"
MINUTE_NS = 60_000_000_000

COUNTING = Path(__file__).parent / "counting_plugin"


class Desk:
    """A run of the small deployment whose file is changed and applied while it goes on."""

    def __init__(self, folder: Path, instance: bool = False, bare: bool = False) -> None:
        self.folder = folder
        self.tree = tomllib.loads(SMALL.read_text())
        if bare:
            plugins = self.tree["plugins"]
            self.tree["plugins"] = {name: plugins[name] for name in ("exchange", "risk", "mm_de")}
        self.path = folder / "deployment.toml"
        self.write()
        options = RunOptions(runs_dir=str(folder / "runs"), lake=False, for_s=3600)
        self.run: Run = Instance.open("desk", self.path, options) if instance else Run.start(self.path, options)
        self.run._go_live()

    def write(self) -> None:
        self.path.write_text(toml_text(self.tree))

    def add(self, name: str, **config: Any) -> None:
        self.tree["plugins"][name] = {"use": "counts", "path": str(COUNTING), "config": config}

    def go(self, minutes: float = 5) -> None:
        kernel = self.run.kernel
        kernel.run_simulated(kernel.moment.now_ns + round(minutes * MINUTE_NS))

    def apply(self) -> str:
        """Apply the file as it is; return what was answered, faults with a "!" before."""
        self.write()
        run = self.run
        plan = plan_change(run.deployment, load_deployment(self.path))
        argument = msgspec.json.encode(ApplyArgument(path=str(self.path), digest=plan.digest_after)).decode()
        if faults := run.applying.faults(argument):
            return "!" + "; ".join(faults)
        run.command(OperatorCommand(command="apply", who="test", why="to see", argument=argument))
        run.kernel.run_simulated(run.kernel.moment.now_ns)
        last = run.applying.last
        return "!" + "; ".join(last.faults) if last.faults else last.text

    def status(self, name: str) -> PluginStatus | None:
        slot = self.run.kernel.slots.get(name)
        return None if slot is None else self.run.kernel.lifecycle.status[slot.plugin_id]

    def quotes(self, name: str) -> int:
        """Return how many quotes an instance has counted, wherever it runs."""
        slot = self.run.kernel.slots[name]
        assert slot.ctx is not None
        state: dict[str, Any] = slot.ctx.state
        if slot.plugin.elsewhere:
            state = unpack_state(slot.plugin.snapshot()["state"])["plugin"]["state"]
        count: int = state.get("quotes", 0)
        return count

    def end(self) -> list[Any]:
        self.run.kernel.drain("over")
        self.run.close()
        return [event_of(frame) for frame in read_frames(self.run.dir / "journal")]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_plugin_is_added_changed_with_its_state_and_removed(desk: Desk) -> None:
    desk.go(30)
    desk.add("count")
    assert desk.apply() == "applied; 1 added: count"
    desk.go()
    first = desk.quotes("count")
    assert first > 0
    desk.add("count", size=2)
    assert desk.apply() == "applied; 1 changed: count"
    assert desk.quotes("count") == first
    desk.go()
    assert desk.quotes("count") > first
    assert (desk.quotes("count") - first) % 2 == 0
    del desk.tree["plugins"]["count"]
    assert desk.apply() == "applied; 1 removed: count"
    assert desk.status("count") is None
    desk.go()
    events = desk.end()
    changes = [event for event in events if isinstance(event, DeploymentChange)]
    assert [(change.added, change.changed, change.removed) for change in changes] == [
        (["count"], [], []), ([], ["count"], []), ([], [], ["count"]),
    ]  # fmt: skip
    result = replay(desk.run.dir)
    assert result.digest == desk.run.info.digest


@pytest.mark.parametrize("fails", ["init", "start", "restore"])
def test_a_change_that_fails_is_undone_of_the_state_that_was_left(desk: Desk, fails: str) -> None:
    desk.go(30)
    desk.add("count")
    desk.apply()
    desk.go()
    before, digest = desk.quotes("count"), desk.run.deployment.digest
    desk.add("count", fails=fails)
    if fails == "start":
        desk.add("another")  # started before the one that fails, and stopped again
    answer = desk.apply()
    assert answer.startswith("!undone, and all is as it was: ")
    assert "told to fail" in answer
    assert desk.run.deployment.digest == digest
    assert desk.quotes("count") == before
    assert desk.status("count") == PluginStatus.RUNNING
    assert desk.status("another") is None
    desk.go()
    assert desk.quotes("count") > before
    events = desk.end()
    assert [e.rolled_back for e in events if isinstance(e, DeploymentChange)] == [False, False, True]
    assert [e.code for e in events if isinstance(e, Alert) and e.code == "deployment.rolled_back"]
    assert replay(desk.run.dir).digest == desk.run.info.digest


def test_orders_of_a_removed_strategy_are_cancelled(desk: Desk) -> None:
    desk.go(40)
    maker = next(name for name, table in desk.tree["plugins"].items() if table["use"] == "market_maker")
    slot = desk.run.kernel.slots[maker]
    assert any(held.order.strategy_id == slot.plugin_id for held in desk.run.kernel.desk.open.values())
    del desk.tree["plugins"][maker]
    assert desk.apply().startswith("applied; 1 removed")
    assert not any(held.order.strategy_id == slot.plugin_id for held in desk.run.kernel.desk.open.values())
    desk.go()
    desk.end()
    assert replay(desk.run.dir).digest == desk.run.info.digest


def test_a_changed_strategy_trades_on_as_it_was_changed(desk: Desk) -> None:
    desk.go(40)
    maker = next(name for name, table in desk.tree["plugins"].items() if table["use"] == "market_maker")
    desk.tree["plugins"][maker].setdefault("config", {})["size_lots"] = 3
    assert desk.apply().startswith("applied; 1 changed")
    desk.go(20)
    plugin_id = desk.run.kernel.slots[maker].plugin_id
    events = desk.end()
    at = next(i for i, event in enumerate(events) if isinstance(event, DeploymentChange))
    routed = [
        (i, e.qty_lots)
        for i, e in enumerate(events)
        if isinstance(e, Order) and e.strategy_id == plugin_id and e.state == OrderState.ROUTED
    ]
    assert {qty for i, qty in routed if i < at} == {10}
    assert {qty for i, qty in routed if i > at} == {3}
    assert replay(desk.run.dir).digest == desk.run.info.digest


def test_a_venue_with_open_orders_is_not_removed(desk: Desk) -> None:
    desk.go(40)
    venue = next(name for name, table in desk.tree["plugins"].items() if table["use"] == "exchange")
    del desk.tree["plugins"][venue]
    answer = desk.apply()
    assert f"orders of ours are open at {venue}" in answer
    assert desk.status(venue) == PluginStatus.RUNNING
    desk.end()


def test_a_removed_risk_check_is_not_missed_and_an_added_one_is_asked(desk: Desk) -> None:
    desk.go(30)
    risk = next(name for name, table in desk.tree["plugins"].items() if table["use"] == "risk_limits")
    table = desk.tree["plugins"].pop(risk)
    desk.apply()
    assert not desk.run.kernel.desk.has_risk
    desk.tree["plugins"][risk] = table
    assert desk.apply() == f"applied; 1 added: {risk}"
    assert desk.run.kernel.desk.has_risk
    desk.go(10)
    events = desk.end()
    assert any(isinstance(event, Order) and event.state == OrderState.ROUTED for event in events)
    assert replay(desk.run.dir).digest == desk.run.info.digest


def test_faults_of_the_file_refuse_it_whole(desk: Desk) -> None:
    desk.go()
    desk.add("count", sizes=3)
    answer = desk.apply()
    assert answer.startswith("!")
    assert "sizes" in answer
    assert desk.status("count") is None
    desk.end()


def test_a_file_that_changed_since_its_plan_was_shown_is_refused(desk: Desk) -> None:
    desk.go()
    desk.add("count")
    desk.write()
    argument = msgspec.json.encode(ApplyArgument(path=str(desk.path), digest="of another day")).decode()
    assert "has changed since its plan was shown" in desk.run.applying.faults(argument)[0]
    desk.end()


def test_settings_that_wait_for_a_new_start_are_named_and_left(desk: Desk) -> None:
    desk.go()
    desk.tree["topics"] = {"market.quote": {"durability": "none"}}
    desk.add("count")
    desk.write()
    plan = plan_change(desk.run.deployment, load_deployment(desk.path))
    assert any("topics" in line and "waits for the next start" in line for line in plan.kept)
    desk.apply()
    assert "topics" not in desk.run.deployment.tree
    desk.end()


@pytest.mark.parametrize("snapshot_after", [False, True])
def test_a_cut_instance_goes_on_with_what_was_applied(tmp_path: Path, snapshot_after: bool) -> None:
    desk = Desk(tmp_path, instance=True)
    desk.go(30)
    desk.add("count")
    desk.apply()
    desk.go()
    if snapshot_after:
        assert desk.run.kernel.take_snapshot() is not None
    desk.go()
    count, digest = desk.quotes("count"), desk.run.deployment.digest
    desk.run.kernel.write()
    desk.run.abort()
    again = Instance.open("desk", desk.path, RunOptions(runs_dir=str(tmp_path / "runs"), lake=False, for_s=3600))
    assert again.deployment.digest == digest
    slot = again.kernel.slots["count"]
    assert slot.ctx is not None and slot.ctx.state["quotes"] == count
    again.go()
    again.close()
    assert replay(again.dir).digest == again.info.digest


class Reloads(RuleBasedStateMachine):
    """Any sequence of changes, good and bad: what runs is what was applied last, and no count is ever lost."""

    fresh: Callable[[], Path]

    @initialize()
    def begin(self) -> None:
        self.desk = Desk(type(self).fresh(), bare=True)
        self.desk.go(30)
        self.wanted: dict[str, int] = {}
        """Quotes that each has counted, by name."""

    names = st.sampled_from(["a", "b", "c"])

    def settle(self, answer: str, good: bool) -> None:
        assert answer.startswith("applied" if good else "!"), answer
        if not good:
            self.desk.tree = self.kept

    @rule(name=names, size=st.integers(1, 3), fails=st.sampled_from(["", "", "init", "start"]))
    def set(self, name: str, size: int, fails: str) -> None:
        self.kept = msgspec.json.decode(msgspec.json.encode(self.desk.tree))
        before = self.kept["plugins"].get(name)
        self.desk.add(name, size=size, fails=fails)
        if before == self.desk.tree["plugins"][name]:
            return
        self.settle(self.desk.apply(), good=not fails)
        if not fails:
            self.wanted.setdefault(name, 0)

    @precondition(lambda self: getattr(self, "wanted", None))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        self.kept = self.desk.tree
        del self.desk.tree["plugins"][name]
        self.settle(self.desk.apply(), good=True)
        del self.wanted[name]

    @rule()
    def trade_on(self) -> None:
        self.desk.go(2)
        for name in self.wanted:
            assert self.desk.quotes(name) >= self.wanted[name]
            self.wanted[name] = self.desk.quotes(name)

    @invariant()
    def what_runs_is_what_was_applied(self) -> None:
        if not hasattr(self, "wanted"):
            return
        kernel = self.desk.run.kernel
        assert list(kernel.slots) == list(self.desk.tree["plugins"])
        for name, count in self.wanted.items():
            assert self.desk.status(name) == PluginStatus.RUNNING
            assert self.desk.quotes(name) == count

    def teardown(self) -> None:
        if not hasattr(self, "wanted"):
            return
        events = self.desk.end()
        fills = sum(isinstance(e, ExecutionReport) and e.kind == ReportKind.FILL for e in events)
        assert fills == self.desk.run.kernel.desk.fills
        assert replay(self.desk.run.dir).digest == self.desk.run.info.digest


def test_any_sequence_of_changes(tmp_path_factory: pytest.TempPathFactory) -> None:
    Reloads.fresh = staticmethod(lambda: tmp_path_factory.mktemp("reload"))
    case = Reloads.TestCase
    case.settings = settings(
        max_examples=6, stateful_step_count=8, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    case().runTest()


@pytest.mark.parametrize("fails", ["", "start"])
def test_a_plugin_in_a_process_of_its_own_is_changed_with_its_state_or_put_back(desk: Desk, fails: str) -> None:
    desk.go(30)
    desk.add("count")
    desk.tree["plugins"]["count"]["run"] = "process"
    assert desk.apply() == "applied; 1 added: count"
    first = pid_of(desk, "count")
    desk.go()
    before = desk.quotes("count")
    assert before > 0
    desk.add("count", size=2, fails=fails)
    desk.tree["plugins"]["count"]["run"] = "process"
    answer = desk.apply()
    assert answer.startswith("!undone" if fails else "applied; 1 changed: count")
    assert desk.quotes("count") == before
    assert pid_of(desk, "count") != first
    assert not Path(f"/proc/{first}").exists()
    desk.go()
    assert (desk.quotes("count") - before) % (1 if fails else 2) == 0
    assert desk.quotes("count") > before
    second = pid_of(desk, "count")
    desk.end()
    assert not Path(f"/proc/{second}").exists()
    assert replay(desk.run.dir).digest == desk.run.info.digest


def pid_of(desk: Desk, name: str) -> int:
    hosts = desk.run.kernel.hosts
    assert hosts is not None
    child = hosts.hosts[name].child
    assert child is not None
    return child.pid


@pytest.mark.parametrize("again", [True, False])
def test_a_watchdogs_restart_keeps_what_was_applied_and_a_persons_start_reads_the_file(
    tmp_path: Path, again: bool
) -> None:
    desk = Desk(tmp_path, instance=True)
    begun_with = desk.path.read_text()
    desk.go(30)
    desk.add("count")
    desk.apply()
    desk.go()
    digest = desk.run.deployment.digest
    desk.run.kernel.write()
    desk.run.abort()
    desk.path.write_text(begun_with)
    options = RunOptions(runs_dir=str(tmp_path / "runs"), lake=False, for_s=3600)
    run = Instance.open("desk", desk.path, options, Starting(again=again))
    assert ("count" in run.kernel.slots) == again
    assert (run.deployment.digest == digest) == again
    run.go()
    run.close()
    assert replay(run.dir).digest == run.info.digest
