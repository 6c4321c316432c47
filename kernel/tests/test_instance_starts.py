"""An instance is back soon: its state is kept often, and its log tells how long each step of a start took."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel import kernel as kernel_module
from penstock_kernel.instance import Instance
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.telemetry.runlog import LOG_NAME, entries

SMALL = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "small.toml"


def cut_after(run: Run, seconds: float) -> None:
    run.kernel.run_simulated(run.kernel.moment.now_ns + round(seconds * 1e9))
    run.kernel.write()
    run.abort()


def options(folder: Path) -> RunOptions:
    return RunOptions(runs_dir=str(folder), lake=False)


def starts(folder: Path) -> list[dict[str, Any]]:
    """Return what the log says of each start."""
    with (folder / "desk" / LOG_NAME).open("rb") as file:
        return [entry.fields for entry in entries(file, plugin="instance")]


def kept(run: Run) -> list[int]:
    return sorted(int(path.stem) for path in (run.dir / "snapshots").glob("*.snap"))


def test_an_instance_keeps_its_state_more_often_than_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "INSTANCE_SNAPSHOT_EVERY", 500)
    path = tmp_path / "plugins.toml"
    path.write_text(SMALL.read_text().replace("snapshot_every_events = 4000\n", ""))
    instance = Instance.open("desk", path, options(tmp_path))
    begun_seq = instance.kernel.cascade.seq
    cut_after(instance, 2_400)
    run = Run.start(path, options(tmp_path))
    cut_after(run, 2_400)
    assert kept(run) == []
    assert kept(instance)[0] >= begun_seq + 500
    assert instance.kernel.cascade.seq - kept(instance)[-1] < 500


def test_the_log_tells_each_step_of_a_start(tmp_path: Path) -> None:
    cut_after(Instance.open("desk", SMALL, options(tmp_path)), 600)
    second = Instance.open("desk", None, options(tmp_path))
    orders = second.kernel.desk.orders
    second.abort()
    first_start, start = starts(tmp_path)
    assert list(first_start["at_ns"]) == ["begun", "deployment", "journal", "started"]
    assert list(start["at_ns"]) == ["begun", "deployment", "journal", "snapshot", "plugins", "played", "started"]
    for clock in ("at_ns", "cpu_ns"):
        assert all(earlier <= later for earlier, later in pairwise(start[clock].values()))
    assert (first_start["orders"], start["orders"]) == (0, orders)
