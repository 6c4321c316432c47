"""A run of several days, as deployments make them: rolled by `[run] days`, cut and resumed to the same digest, flat."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from penstock_kernel.boot import run_times
from penstock_kernel.deployment import load_deployment
from penstock_kernel.instance import Instance
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.energy import delivery_day
from penstock_sdk.events import IdKind

ALONE = RunOptions(lake=False)
HOUR_NS = 3_600_000_000_000
NAMES_BYTES_PER_DAY = 60_000
"""What a snapshot may grow by with each day: names and definitions of some 120 contracts and as many listings."""

DESK = """
[run]
seed = 4
delivery_day = "2026-03-28"
days = {days}
runs_dir = "{runs}"
snapshot_every_events = {snapshot_every}
[plugins.exchange]
use = "exchange"
config = {{ orders_per_day = 3_000, step_s = 30.0 }}
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
[plugins.fat_finger]
use = "fat_finger"
[plugins.mm_de]
use = "market_maker"
config = {{ requote_s_min = 60.0 }}
[plugins.reversion_de]
use = "mean_reversion"
config = {{ samples_min = 3, edge_ticks_min = 20 }}
[plugins.portfolio]
use = "portfolio"
config = {{ late_days = 1, keep_days = 1 }}    # so that what is kept of the past is at its most on the second day
[plugins.audit]
use = "audit"
"""


def desk(folder: Path, days: str, snapshot_every: int = 10**9) -> Path:
    """Write the deployment of a quiet desk."""
    folder.mkdir(exist_ok=True)
    path = folder / "plugins.toml"
    path.write_text(DESK.format(days=days, runs=folder / "runs", snapshot_every=snapshot_every))
    return path


def day_end_ns(day: int) -> int:
    """Return when the desk's day number *day*, from 1, ends."""
    return delivery_day("DE-LU", date(2026, 3, 28) + timedelta(days=day - 1)).end_ns


def test_days_end_the_run_with_the_last_of_them(tmp_path: Path) -> None:
    for days, wanted_ns in (("1", day_end_ns(1)), ("3", day_end_ns(3))):
        _, start_ns, end_ns = run_times(load_deployment(desk(tmp_path, days)), 0)
        assert (end_ns, start_ns) == (wanted_ns, day_end_ns(1) - 24 * HOUR_NS - 9 * HOUR_NS - HOUR_NS // 4)
    rolling_ns = run_times(load_deployment(desk(tmp_path, '"rolling"')), 0)[2]
    assert rolling_ns > day_end_ns(30_000)
    stopped = desk(tmp_path, '"rolling"\nend = "2026-03-29T12:00:00"')
    assert run_times(load_deployment(stopped), 0)[2] == day_end_ns(2) - 12 * HOUR_NS


@pytest.mark.parametrize("days", ["0", '"roling"', "true", "1.5", '"3"', "40_000"])
def test_days_that_are_none_are_named_with_their_line(tmp_path: Path, days: str) -> None:
    with pytest.raises(Exception, match=r'plugins.toml:5: run.days: expected a number of days >= 1 or "rolling", met'):
        load_deployment(desk(tmp_path, days))


def test_three_days_over_a_clock_change_replay_and_resume_to_the_same_digest(tmp_path: Path) -> None:
    whole_run = Run.start(desk(tmp_path / "whole", "3", 20_000), ALONE)
    whole_run.go()
    whole = whole_run.close()
    assert (whole.status, whole.last_at_ns) == ("complete", day_end_ns(3))
    gates = {one.listing_id: one.gate_closure_ns for one in whole_run.kernel.definitions(IdKind.LISTING)}
    assert len(gates) == 120 + 115 + 120
    assert not whole_run.kernel.desk.open
    assert replay(whole_run.dir).digest == whole.digest

    cut_run = Run.start(desk(tmp_path / "cut", "3", 20_000), ALONE)
    cut_run.kernel.run_simulated(day_end_ns(2) - 5 * HOUR_NS)
    assert cut_run.kernel.desk.open
    cut_run.kernel.write()
    cut_run.abort()
    info = RunInfo.load(cut_run.dir)
    info.status = "running"
    info.save(cut_run.dir)
    assert list((cut_run.dir / "snapshots").iterdir())
    again = Run.resume(cut_run.dir, ALONE)
    again.go()
    assert again.close().digest == whole.digest


def test_a_snapshot_of_the_sixth_day_is_larger_than_that_of_the_second_by_names_alone(tmp_path: Path) -> None:
    run = Run.start(desk(tmp_path, '"rolling"'), ALONE)
    sizes: dict[int, int] = {}
    parts: dict[int, dict[str, int]] = {}
    for day in range(1, 7):
        run.kernel.run_simulated(day_end_ns(day) - 4 * HOUR_NS)
        path = run.kernel.take_snapshot()
        assert path is not None
        sizes[day] = path.stat().st_size
        parts[day] = {k: len(repr(v)) for k, v in run.kernel.snapshot().items()}
    run.abort()
    assert sizes[6] - sizes[2] < 4 * NAMES_BYTES_PER_DAY
    for part in parts[2]:
        if part != "catalog":
            assert parts[6][part] < 1.2 * parts[2][part] + 3_000, part


def test_an_instance_that_is_stopped_each_day_goes_on_rolling(tmp_path: Path) -> None:
    path, total = desk(tmp_path, '"rolling"'), 0
    for session in range(3):
        instance = Instance.open("desk-de", path, RunOptions(lake=False, for_s=26 * 3_600))
        instance.go()
        kernel = instance.kernel
        days = {one.name.split()[3] for one in kernel.definitions(IdKind.LISTING)}
        assert len(days) == session + 2
        assert kernel.desk.open == {}
        assert {name for name, slot in kernel.slots.items() if slot.faults} == set()
        assert len(kernel.slots["exchange"].plugin._markets) == 2
        assert kernel.desk.fills > total + 50
        total = kernel.desk.fills
        assert instance.close().status != "failed"
