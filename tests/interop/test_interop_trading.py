"""Venues and strategies in Go and JavaScript trade with one another in one kernel, in simulated and in wall time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    Interned,
    ListingDefinition,
    Order,
    OrderState,
    PluginFault,
    PluginState,
    PluginStatus,
    ReportKind,
    TaskResult,
)
from penstock_sdk.wire.segment import read_frames
from tests.interop.conftest import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]
FAR = ("go_venue", "go_strategy", "node_venue", "node_strategy")
WALL_S = 120.0


def deployment(folder: Path, packages: dict[str, Path], *, clock: str, every_s: int) -> Path:
    """Write a plugins.toml: hours and a check in the kernel, two venues and two strategies in processes."""
    tables = [
        f'[plugins.{name}]\nuse = "{name}"\npath = "{packages[name]}"\nrun = "process"\nstart_s = 30.0\n'
        + (f"config = {{ every_s = {every_s} }}\n" if name.endswith("venue") else "config = { band_ticks = 5 }\n")
        for name in FAR
    ]
    examples = ROOT / "sdk" / "examples"
    run = f'[run]\nseed = 7\nclock = "{clock}"\nzone = "DE-LU"\nruns_dir = "{folder / "runs"}"\n'
    if clock == "sim":
        run += 'delivery_day = "2026-03-10"\nend = "2026-03-09T14:55"\n'
    else:
        run += 'delivery_day = "2099-01-02"\n'
    path = folder / "plugins.toml"
    path.write_text(
        f'{run}\n[plugins.hours]\nuse = "hours"\npath = "{examples / "zone_refdata.py"}"\n'
        f'[plugins.gate]\nuse = "gate"\npath = "{examples / "gate_risk.py"}"\n' + "\n".join(tables),
        encoding="utf-8",
    )
    return path


def journal(run_dir: Path) -> list[Any]:
    return [event_of(frame) for frame in read_frames(run_dir / "journal")]


def fills_by_venue(events: list[Any]) -> dict[tuple[str, str], int]:
    """Return the fills of each strategy at each venue, by their names."""
    names = {each.id: each.name for each in events if isinstance(each, Interned) and each.kind == 1}
    venue_of = {each.listing_id: names[each.venue_id] for each in events if isinstance(each, ListingDefinition)}
    found: dict[tuple[str, str], int] = {}
    for each in events:
        if isinstance(each, ExecutionReport) and each.kind == ReportKind.FILL:
            key = (names[each.strategy_id], venue_of[each.listing_id])
            found[key] = found.get(key, 0) + 1
    return found


def processes(*homes: Path) -> list[int]:
    """Return the processes of the plugins whose folders these are."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") in set(map(str, homes)):  # a zombie has none
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def nobody_stays(packages: dict[str, Path]) -> bool:
    """Return whether no process of a plugin is left."""
    return processes(*(packages[name] for name in FAR)) == []


EVERYBODY = {(f"{a}_strategy", f"{b}_venue") for a in ("go", "node") for b in ("go", "node")}


def test_they_trade_in_simulated_time_the_same_twice_and_a_replay_starts_none_of_them(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    digests = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        run = Run.start(deployment(tmp_path / str(number), packages, clock="sim", every_s=60), RunOptions(lake=False))
        run.go()
        assert run.close().status == "complete"
        digests.append(run.info.digest)
        assert nobody_stays(packages)
    events = journal(run.dir)
    assert [each for each in events if isinstance(each, (Alert, PluginFault, TaskResult))] == []
    found = fills_by_venue(events)
    assert set(found) == EVERYBODY and min(found.values()) >= 10, found
    assert [each for each in events if isinstance(each, Order) and each.state == OrderState.REFUSED] == []
    assert digests[0] == digests[1]
    assert replay(run.dir).digest == digests[1]


def test_they_trade_in_wall_time(packages: dict[str, Path], tmp_path: Path) -> None:
    run = Run.start(deployment(tmp_path, packages, clock="wall", every_s=1), RunOptions(lake=False))
    kernel = run.kernel
    until_s = time.monotonic() + WALL_S

    def turn() -> None:
        if kernel.desk.orders >= 300 or time.monotonic() > until_s:
            kernel.stopping = "enough"

    kernel.turns = (*kernel.turns, turn)
    run.go()
    assert run.close().status == "complete"
    events = journal(run.dir)
    assert [each for each in events if isinstance(each, (Alert, PluginFault))] == []
    assert set(fills_by_venue(events)) == EVERYBODY
    assert replay(run.dir).digest == run.info.digest
    assert nobody_stays(packages)


@pytest.mark.parametrize("name", FAR)
def test_one_that_is_killed_comes_back_with_its_state_and_trades_on(
    packages: dict[str, Path], tmp_path: Path, name: str
) -> None:
    run = Run.start(deployment(tmp_path, packages, clock="wall", every_s=1), RunOptions(lake=False))
    kernel = run.kernel
    until_s = time.monotonic() + WALL_S
    killed: list[int] = []
    assert kernel.hosts is not None

    def turn() -> None:
        if not killed and kernel.desk.orders >= 100:
            for pid in processes(packages[name]):
                os.kill(pid, signal.SIGKILL)
                killed.append(kernel.desk.orders)
        came_back = killed and name in kernel.hosts.supervisor.restarts and kernel.desk.orders >= killed[0] + 200
        if came_back or time.monotonic() > until_s:
            kernel.stopping = "enough"

    kernel.turns = (*kernel.turns, turn)
    run.go()
    assert run.close().status == "complete"
    events = journal(run.dir)
    states = [PluginStatus(each.status) for each in events if isinstance(each, PluginState) and each.name == name]
    lost = states.index(PluginStatus.FAILED)
    assert PluginStatus.RUNNING in states[lost:], states
    codes = {each.code for each in events if isinstance(each, Alert)}
    assert "plugin.crashed" in codes and not codes & {"plugin.breach", "plugin.not_allowed", "plugin.quarantined"}, (
        codes
    )
    after = next(at for at, each in enumerate(events) if isinstance(each, Alert) and each.code == "plugin.crashed")
    before = [each for each in events[:after] if not isinstance(each, ExecutionReport)]
    assert any(name in pair for pair in fills_by_venue(before + events[after:]))
    listed = [each.name for each in events if isinstance(each, ListingDefinition)]
    assert len(listed) == len(set(listed))  # nothing was announced again
    assert replay(run.dir).digest == run.info.digest
    assert nobody_stays(packages)
