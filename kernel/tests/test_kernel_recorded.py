"""A plugin that is not deterministic is recorded, not recomputed: a replay does not call it, and verifies even so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.replay import Difference, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    Interned,
    Order,
    PluginFault,
    Quote,
    Signal,
    TaskResult,
    Timer,
    Trade,
)
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import FrameView, read_frames

DEPLOYMENT = """
[run]
seed = 1
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T15:00:00"
end = "2026-03-09T15:01:00"
runs_dir = "{runs}"
max_faults = 1000
snapshot_every_events = {snapshot_every}
[plugins.feed]
use = "odd_feed"
path = "{plugins}"
[plugins.broken]
use = "odd_broken"
path = "{plugins}"
[plugins.venue]
use = "odd_venue"
path = "{plugins}"
[plugins.risk]
use = "odd_risk"
path = "{plugins}"
[plugins.trader]
use = "odd_trader"
path = "{plugins}"
[plugins.oracle]
use = "odd_oracle"
path = "{plugins}"
"""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the deployment once, and return its run's folder."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    plugins = Path(__file__).with_name("odd_plugins")
    for name, every in (("plugins.toml", 1_000_000), ("often.toml", 50)):
        text = DEPLOYMENT.format(runs=tmp_path / "runs", plugins=plugins, snapshot_every=every)
        (tmp_path / name).write_text(text)
    (tmp_path / "outside").write_text("0")
    monkeypatch.setenv("PENSTOCK_TEST_OUTSIDE", str(tmp_path / "outside"))
    run = Run.start(tmp_path / "plugins.toml", RunOptions(lake=False))
    run.go()
    run.close()
    return run.dir


def frames(run_dir: Path) -> list[FrameView]:
    return list(read_frames(run_dir / "journal"))


def told(run_dir: Path, cls: Any) -> list[Any]:
    layout = schema_by_id(cls.layout.id)
    found: list[Any] = []
    for frame in frames(run_dir):
        if frame.schema_id == layout.id:
            found += layout.unpack_many(frame.body) if layout.packed else [layout.unpack(frame.body)]
    return found


def test_the_run_has_all_that_a_recorded_plugin_may_do(run_dir: Path) -> None:
    assert len(told(run_dir, Quote)) == 54
    assert {v.result for v in told(run_dir, CheckVerdict)} == {1, 2}
    assert {f.handler for f in told(run_dir, PluginFault)} == {"on_quote", "returned", "check_order"}
    assert len({t.plugin_id for t in told(run_dir, Timer)}) == 2
    assert len({t.plugin_id for t in told(run_dir, TaskResult)}) == 2
    assert [n.name for n in told(run_dir, Interned) if n.name.startswith("mood")]
    assert told(run_dir, Order)


def test_its_words_are_recorded_as_replies_with_their_cause(run_dir: Path) -> None:
    signals = [frame for frame in frames(run_dir) if frame.schema_id == Signal.layout.id]
    assert {frame.origin for frame in signals} == {Origin.REPLY}
    assert all(frame.cause_seq > 0 for frame in signals)
    trader = [frame for frame in frames(run_dir) if frame.schema_id == Order.layout.id]
    assert {frame.origin for frame in trader} == {Origin.DERIVED}


def test_a_replay_does_not_call_it_and_verifies(run_dir: Path, tmp_path: Path) -> None:
    calls = (tmp_path / "outside").read_text()
    result = replay(run_dir)
    assert (tmp_path / "outside").read_text() == calls
    assert result.events == frames(run_dir)[-1].seq


@pytest.mark.parametrize("name", ["Oracle", "Moody"])
def test_an_answer_that_changes_would_be_a_difference_if_it_were_recomputed(
    name: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getattr(sys.modules["odd_plugins"], name), "deterministic", True)
    with pytest.raises(Difference, match="^first difference at seq "):
        replay(run_dir)


@pytest.mark.parametrize("deployment", ["plugins.toml", "often.toml"])
def test_a_run_that_was_cut_goes_on_from_what_was_recorded(deployment: str, run_dir: Path, tmp_path: Path) -> None:
    cut = Run.start(tmp_path / deployment, RunOptions(lake=False))
    cut.kernel.run_simulated(cut.info.first_at_ns + 20_000_000_000)
    cut.kernel.write()
    cut.kernel.tasks.close()
    assert cut.kernel.journal is not None
    cut.kernel.journal.abort()
    cut._log.close()
    before = [bytes(frame.raw) for frame in frames(cut.dir)]
    calls = int((tmp_path / "outside").read_text())

    resumed = Run.resume(cut.dir, RunOptions(lake=False))
    assert int((tmp_path / "outside").read_text()) == calls
    resumed.go()
    resumed.close()
    assert [bytes(frame.raw) for frame in frames(cut.dir)][: len(before)] == before
    assert int((tmp_path / "outside").read_text()) > calls
    assert len(frames(cut.dir)) > len(before)
    assert [alert.code for alert in told(cut.dir, Alert)] == ["feed.failed"]
    assert len(told(cut.dir, Trade)) == 3
    assert any((cut.dir / "snapshots").glob("*.snap")) == (deployment == "often.toml")
    replay(cut.dir)
