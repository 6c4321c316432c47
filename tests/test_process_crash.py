"""kill -9 of any process: the plugin's, and it comes back; the kernel's, and what is resumed ends as if uncut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import Alert, ExecutionReport, Order, PluginState, PluginStatus, Quote, Reason, Tradability
from penstock_sdk.wire.segment import read_frames

FAR = Path(__file__).parent / "support" / "far"
KINDS = {"venue": "venue", "feed": "feed", "risk": "risk", "strategy": "strategy", "book": "portfolio"}


def deployment(folder: Path, *, clock: str = "sim", far: tuple[str, ...] = tuple(KINDS), **config: str) -> Path:
    """Write a plugins.toml of the small market, whose *far* plugins run out of process; values are config lines."""
    tables = [
        f'[plugins.{name}]\nuse = "far_{kind}"\npath = "{FAR}"\n'
        + ('run = "process"\n' if name in far else "")
        + RESTART
        + f"[plugins.{name}.config]\n{config.get(name, '')}\n"
        for name, kind in KINDS.items()
    ]
    run = f'[run]\nclock = "{clock}"\ndelivery_day = "2099-01-02"\nstart = "2099-01-01T22:00:00Z"\n'
    end = 'end = "2099-01-01T22:05:00Z"\n' if clock == "sim" else ""
    path = folder / "plugins.toml"
    path.write_text(f'{run}{end}runs_dir = "{folder / "runs"}"\n' + "\n".join(tables))
    return path


RESTART = ""


def whole(path: Path) -> Run:
    """Return a run that has come to its end."""
    run = Run.start(path, RunOptions(lake=False))
    run.go()
    assert run.close().status == "complete"
    return run


def events(run_dir: Path) -> list[Any]:
    return [event_of(frame) for frame in read_frames(run_dir / "journal")]


def of(run_dir: Path, cls: type[Any]) -> list[Any]:
    return [event for event in events(run_dir) if type(event) is cls]


def states(run_dir: Path, name: str) -> list[PluginStatus]:
    return [PluginStatus(state.status) for state in of(run_dir, PluginState) if state.name == name]


def alerts(run_dir: Path) -> list[tuple[str, str, bool]]:
    return [(alert.code, alert.subject, alert.cleared) for alert in of(run_dir, Alert)]


BACK = [
    PluginStatus.FAILED, PluginStatus.RETRYING, PluginStatus.STARTING, PluginStatus.CONFIGURED, PluginStatus.RUNNING,
]  # fmt: skip


def left_behind() -> list[str]:
    """Return the processes of plugins that are still there."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == os.getpid() and b"penstock_sdk" in words and b"far" in words:
            found.append(words.decode())
    return found


@pytest.fixture(autouse=True)
def nobody_stays() -> Any:
    yield
    assert not left_behind()


@pytest.mark.parametrize("name", list(KINDS))
def test_a_plugin_that_dies_in_simulated_time_comes_back_at_once(tmp_path: Path, name: str) -> None:
    run = whole(deployment(tmp_path, far=(name,), **{name: "die_at = 7"}))
    assert states(run.dir, name)[-7:-2] == BACK
    assert ("plugin.crashed", name, False) in alerts(run.dir)
    assert ("plugin.crashed", name, True) in alerts(run.dir)
    crash = next(state for state in of(run.dir, PluginState) if state.status == PluginStatus.FAILED)
    assert "SIGKILL" in crash.reason
    assert replay(run.dir).digest == run.info.digest
