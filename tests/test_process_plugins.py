"""Plugins in processes of their own do what they do in the kernel: the same orders and positions, replayable."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock_kernel.hosts import process_host
from penstock_kernel.inspect import diff_runs
from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ExecutionReport,
    Interned,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderState,
    PluginFault,
    PluginState,
    PluginStatus,
    Pnl,
    Position,
    Quote,
    ReportKind,
    TaskResult,
)
from penstock_sdk.process.spawn import probe
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

EXAMPLES = Path(__file__).parents[1] / "sdk" / "examples"
TOYS = Path(__file__).parent / "support" / "process_toys"
LOGICAL = (Order, OrderIntent, ExecutionReport, Position, Pnl, CheckVerdict, Interned, Quote, Alert, TaskResult)

DAY = """
[run]
seed = 7
clock = "sim"
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T14:45:00"
end = "2026-03-09T15:30:00"
[limits]
qty_max_lots = 100
notional_max_micro = 20_000_000_000
collar_ticks = 20_000
[plugins.exchange]
use = "exchange"
config = {orders_per_day = 8_000, step_s = 60.0}
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
[plugins.fat_finger]
use = "fat_finger"
[plugins.mm_de]
use = "market_maker"
config = {requote_s_min = 60.0}
limits = {position_max_lots = 300, orders_per_second_max = 500}
[plugins.portfolio]
use = "portfolio"
"""

TOY = """
[run]
clock = "sim"
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T14:45:00"
end = "2026-03-09T14:45:02"
[plugins.market]
use = "toy_market"
[plugins.check]
use = "toy_check"
[plugins.buyer]
use = "toy_buyer"
"""


class Ran(NamedTuple):
    """A run that has ended."""

    dir: Path
    events: list[tuple[int, int, Any]]
    """(time, origin, record)"""

    def of(self, *kinds: type) -> list[Any]:
        return [event for _, _, event in self.events if type(event) in kinds]


def write(folder: Path, text: str, *, apart: bool, name: str = "plugins.toml") -> Path:
    path = folder / name
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if line.startswith("[plugins.") and apart:
            lines.append('run = "process"')
        if line.startswith('use = "toy_'):
            lines.append(f'path = "{TOYS}"')
    path.write_text("\n".join(lines) + "\n")
    return path


def run(folder: Path, path: Path, until: Callable[[Any], bool] | None = None) -> Ran:
    """Run a deployment to its end, or in wall time until something holds of the kernel."""
    limit_s = None if until is None else 60.0
    under_way = Run.start(path, RunOptions(lake=False, runs_dir=str(folder / "runs"), for_s=limit_s))
    kernel = under_way.kernel
    if until is not None:
        stop = OperatorCommand(command="stop", who="test", why="it has happened")
        asked: list[bool] = []

        def look() -> None:
            if not asked and until(kernel):
                asked.append(True)
                kernel.command(stop)

        under_way.observers.append(look)
    try:
        under_way.go()
    finally:
        under_way.close()
    events = []
    for frame in read_frames(under_way.dir / "journal"):
        event = event_of(frame)
        records = event.records() if isinstance(event, Frame) else (event,)
        events += [(frame.at_ns, frame.origin, record) for record in records]
    return Ran(under_way.dir, events)


def verify(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay a run and verify every byte, with no process to help."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a replay started a process")

    monkeypatch.setattr(process_host, "launch", refuse)
    assert replay(ran.dir).events == len(ran.events)


def test_a_day_is_the_same_with_every_plugin_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = run(tmp_path, write(tmp_path, DAY, apart=False, name="inside.toml"))
    outside = run(tmp_path, write(tmp_path, DAY, apart=True, name="outside.toml"))
    wanted = [(at_ns, event) for at_ns, _, event in inside.events if type(event) in LOGICAL]
    found = [(at_ns, event) for at_ns, _, event in outside.events if type(event) in LOGICAL]
    assert found == wanted
    assert len(outside.of(ExecutionReport)) > 50
    assert len(outside.of(Position)) > 5
    origins = {origin for _, origin, event in outside.events if type(event) is OrderIntent}
    assert origins == {Origin.REPLY}
    parted = diff_runs(inside.dir, outside.dir)
    assert parted.equal and [(each.a, each.b) for each in parted.origins] == [("DERIVED", "REPLY")]
    verify(outside, monkeypatch)


def test_names_work_and_faults_are_the_same_out_of_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TOY + '[plugins.worker]\nuse = "toy_worker"\n'
    inside = run(tmp_path, write(tmp_path, text, apart=False, name="inside.toml"))
    outside = run(tmp_path, write(tmp_path, text, apart=True, name="outside.toml"))
    kinds = (*LOGICAL, PluginFault, ListingDefinition)
    assert [e for _, _, e in outside.events if type(e) in kinds] == [e for _, _, e in inside.events if type(e) in kinds]
    assert [a.met for a in outside.of(Alert) if a.code == "toy.worked"] == ["49"]
    assert "ValueError: the second quote (host_toys.py:" in outside.of(PluginFault)[0].error
    assert [listing.name for listing in outside.of(ListingDefinition)] == ["one", "two"]
    verify(outside, monkeypatch)


def test_work_that_is_done_at_once_is_no_breach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Twice: whether the result overtakes the kernel's look at the answer that submitted it is for the machine to say.
    text = TOY.replace('use = "toy_market"', 'use = "toy_market"\nconfig = {every_ms = 25}')
    text = text.replace('[plugins.check]\nuse = "toy_check"\n[plugins.buyer]\nuse = "toy_buyer"\n', "")
    text += '[plugins.worker]\nuse = "toy_many_worker"\n'
    inside, *outside = (
        run(tmp_path, write(tmp_path, text, apart=apart, name=f"{name}.toml"))
        for apart, name in ((False, "inside"), (True, "one"), (True, "two"))
    )
    kinds = (TaskResult, Alert, PluginState)
    assert len(inside.of(TaskResult)) > 100
    assert outside[0].events == outside[1].events
    assert [(at_ns, e) for at_ns, _, e in outside[0].events if type(e) in kinds] == [
        (at_ns, e) for at_ns, _, e in inside.events if type(e) in kinds
    ]
    verify(outside[0], monkeypatch)


def test_all_processes_are_met_before_the_first_is_configured_and_the_start_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[bool] = []
    configure = process_host.ProcessHost.begin

    def begin(self: process_host.ProcessHost) -> None:
        met.append(all(host.described is not None for host in self.hosts.hosts.values()))
        configure(self)

    monkeypatch.setattr(process_host.ProcessHost, "begin", begin)
    under_way = Run.start(write(tmp_path, TOY, apart=True), RunOptions(lake=False, runs_dir=str(tmp_path / "runs")))
    try:
        written = [event_of(frame) for frame in read_frames(under_way.dir / "journal")]
    finally:
        under_way.close()
    assert met == [True] * 3
    # Whoever pulls the plug now finds a run that can be resumed.
    assert [e.name for e in written if type(e) is PluginState and e.status == PluginStatus.RUNNING][-1] == "buyer"


@pytest.mark.skipif(bool(probe()), reason="; ".join(probe()))
def test_work_without_a_process_for_it_is_a_fault_that_says_what_to_declare(tmp_path: Path) -> None:
    toys = tmp_path / "toys"
    shutil.copytree(TOYS, toys)
    manifest = toys / "plugin.toml"
    manifest.write_text(manifest.read_text().replace("resources = {processes = 8}\n", ""))
    path = write(tmp_path, TOY + '[plugins.worker]\nuse = "toy_worker"\n', apart=True)
    path.write_text(path.read_text().replace(str(TOYS), str(toys)))
    faults = run(tmp_path, path).of(PluginFault)
    assert [fault.handler for fault in faults] == ["on_quote", "on_quote"]
    assert (
        "wanted a process for the work; declare resources = {processes = 8} in the plugin's manifest" in faults[0].error
    )


START_EACH = """
import sys
from pathlib import Path
from penstock_kernel.boot import StartError
from penstock_kernel.run import Run, RunOptions
for path in map(Path, sys.argv[2:]):
    try:
        Run.start(path, RunOptions(lake=False, runs_dir=sys.argv[1])).close()
        print("started")
    except StartError as error:
        print(error)
"""


def test_a_record_of_its_own_that_nobody_inside_knows_is_refused_at_the_start(tmp_path: Path) -> None:
    """In a process of its own: another test of this one may have imported the record."""
    paths: list[Path] = []
    for name, runs in (("jumps", ("process",)), ("jump_watch", ("process",)), ("jumps", ("inprocess", "process"))):
        paths.append(tmp_path / f"{len(paths)}.toml")
        tables = [f'[plugins.p{run}]\nuse = "{name}"\npath = "{EXAMPLES}"\nrun = "{run}"\n' for run in runs]
        paths[-1].write_text(TOY.partition("[plugins.")[0] + "".join(tables))
    words = [sys.executable, "-c", START_EACH, str(tmp_path / "runs"), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.count("\n") == 3, done.stderr
    says, hears, knows = done.stdout.splitlines()
    assert "plugin pprocess says data.price_jump, which no record of the kernel is; wanted a plugin before it" in says
    assert "plugin pprocess hears PriceJump, which no record" in hears
    assert knows == "started"


EAGER = TOY.replace("buyer", "eager")


@pytest.mark.parametrize("text", [EAGER, EAGER.replace("check", "x").replace("eager", "check").replace("x", "eager")])
def test_what_comes_before_the_start_and_of_the_stop_is_acted_on_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Others say things at their start to whom is configured and not started: a check is asked, a strategy orders."""
    inside = run(tmp_path, write(tmp_path, text, apart=False, name="inside.toml"))
    outside = run(tmp_path, write(tmp_path, text, apart=True, name="outside.toml"))
    kinds = (*LOGICAL, PluginFault, ListingDefinition, PluginState)
    assert [e for _, _, e in outside.events if type(e) in kinds] == [e for _, _, e in inside.events if type(e) in kinds]
    told = [(alert.code, alert.met) for alert in outside.of(Alert)]
    assert told[:2] == [("toy.listed", "one one"), ("toy.started", "2 reports before the start")]
    assert ("toy.timer", "timer 1 of tag -1") in told
    assert told[-1] == ("toy.last", f"report {ReportKind.CANCELLED}, 2 early")
    its_id = next(state.plugin_id for state in outside.of(PluginState) if state.name == "eager")
    events = [event for _, _, event in outside.events]
    first = next(at for at, event in enumerate(events) if type(event) is OrderIntent and event.strategy_id == its_id)
    runs = next(
        at for at, event in enumerate(events)
        if type(event) is PluginState and event.name == "eager" and event.status == PluginStatus.RUNNING
    )  # fmt: skip
    assert first < runs
    verify(outside, monkeypatch)


def test_one_that_comes_back_without_a_state_knows_what_came_before_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run(tmp_path, write(tmp_path, EAGER + "config = {dies = true}\n", apart=True))
    assert PluginStatus.RETRYING in {state.status for state in ran.of(PluginState) if state.name == "eager"}
    told = [(alert.code, alert.met) for alert in ran.of(Alert)]
    assert ("toy.timer", "timer 2 of tag 0") in told
    assert told[-1] == ("toy.last", f"report {ReportKind.CANCELLED}, 2 early")
    assert not ran.of(PluginFault)
    verify(ran, monkeypatch)


def test_in_wall_time_what_came_before_the_start_is_acted_on_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EAGER.replace('"sim"', '"wall"').replace("delivery_day", "# ").replace("start =", "#").replace("end =", "#")
    ran = run(tmp_path, write(tmp_path, text, apart=True), lambda kernel: kernel.desk.fills >= 2)
    one = next(listing.listing_id for listing in ran.of(ListingDefinition) if listing.name == "one")
    events = [event for _, _, event in ran.events]
    ordered = next(at for at, event in enumerate(events) if type(event) is Order and event.listing_id == one)
    runs = next(
        at for at, event in enumerate(events)
        if type(event) is PluginState and event.name == "eager" and event.status == PluginStatus.RUNNING
    )  # fmt: skip
    assert runs < ordered
    told = [(alert.code, alert.met) for alert in ran.of(Alert)]
    assert {("toy.started", "0 reports before the start"), ("toy.listed", "one one")} <= set(told)
    assert ("toy.timer", "timer 1 of tag -1") in told
    assert not ran.of(PluginFault)
    verify(ran, monkeypatch)


def test_in_wall_time_nobody_waits_and_the_run_can_be_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TOY.replace('"sim"', '"wall"').replace("delivery_day", "# ").replace("start =", "#").replace("end =", "#")
    path = write(tmp_path, text, apart=True)
    ran = run(tmp_path, path, lambda kernel: kernel.desk.fills >= 12)
    orders = ran.of(Order)
    assert sum(order.state == OrderState.PENDING_CHECK for order in orders) >= 12
    assert {Origin.REPLY} == {origin for _, origin, event in ran.events if type(event) is CheckVerdict}
    refused = [order for order in orders if order.state == OrderState.REFUSED]
    assert refused
    assert {order.reason for order in refused} == {22}
    # A contract that was announced while the run went on has its ids, and is traded.
    two = next(listing.listing_id for listing in ran.of(ListingDefinition) if listing.name == "two")
    assert any(report.listing_id == two for report in ran.of(ExecutionReport))
    assert not ran.of(PluginFault, Alert)
    verify(ran, monkeypatch)


def test_what_a_plugin_may_not_say_is_dropped_and_told_and_in_the_end_it_is_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = '[plugins.thief]\nuse = "toy_thief"\nrestart = {max_crashes = 0}\n'
    path = write(tmp_path, TOY.replace("[plugins.buyer]\n", thief + "[plugins.buyer]\n"), apart=True)
    ran = run(tmp_path, path)
    told = [alert for alert in ran.of(Alert) if alert.code == "plugin.not_allowed"]
    assert 8 <= len(told) <= 10
    assert all("OrderIntent without the capability" in alert.met for alert in told)
    its_id = next(state.plugin_id for state in ran.of(PluginState) if state.name == "thief")
    assert not [order for order in ran.of(Order, OrderIntent) if order.strategy_id == its_id]
    assert PluginStatus.QUARANTINED in {state.status for state in ran.of(PluginState) if state.name == "thief"}
    assert len(ran.of(ExecutionReport)) >= 15  # the others trade on
    verify(ran, monkeypatch)
