"""A process plugin that does not come up as a run starts: in wall time the rest trades on, simulated it is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from far_runs import deployment, left_behind, of, states

from penstock_kernel.boot import StartError
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import Alert, OperatorCommand, Order, PluginStatus

S = PluginStatus
TWICE = "restart = {max_crashes = 2, backoff_s = 0.01}\n"
RAISES = '''
from penstock_sdk.plugin import Strategy

class Raises(Strategy):
    """Raises as it starts."""

    def on_start(self):
        raise ValueError("not today")

    def on_resume(self):
        raise ValueError("not today")
'''
MANIFEST = """
[[plugin]]
id = "raises"
version = "1.0.0"
kind = "strategy"
contract = "strategy/1..1"
class = "raises:Raises"
topics_in = []
topics_out = []
"""
OTHER_ID = MANIFEST.replace('"raises:Raises"', '"raises:Told"')
"""Of a class that says another kind than its manifest."""
TOLD = RAISES + "\nfrom penstock_sdk.plugin import Portfolio\n\nclass Told(Portfolio):\n    pass\n"


def bad(folder: Path, clock: str, manifest: str, code: str) -> Path:
    """Write the small market with a plugin beside it that does not come up."""
    (folder / "bad").mkdir()
    (folder / "bad" / "plugin.toml").write_text(manifest)
    (folder / "bad" / "raises.py").write_text(code)
    path = deployment(folder, clock=clock, far=())
    table = f'[plugins.bad]\nuse = "raises"\npath = "{folder / "bad"}"\nrun = "process"\nstart_s = 20.0\n{TWICE}'
    path.write_text(path.read_text() + table)
    return path


@pytest.mark.parametrize(
    ("manifest", "code", "why"),
    [(MANIFEST, RAISES, "not today"), (OTHER_ID, TOLD, "its manifest has")],
)
def test_in_wall_time_one_that_does_not_come_up_is_lost_and_the_rest_trades_on(
    tmp_path: Path, manifest: str, code: str, why: str
) -> None:
    run = Run.start(bad(tmp_path, "wall", manifest, code), RunOptions(lake=False))
    kernel, asked = run.kernel, []
    until_s = time.monotonic() + 60.0

    def look() -> None:
        assert time.monotonic() < until_s, dict(kernel.quarantined)
        if not asked and kernel.alerts.find("plugin.quarantined") and kernel.desk.orders >= 4:
            asked.append(kernel.desk.orders)
            kernel.command(OperatorCommand(command="stop", who="test", why="it has happened"))

    run.observers.append(look)
    try:
        run.go()
    finally:
        run.close()
    said = states(run.dir, "bad")
    assert said[said.index(S.RUNNING) :][:4] == [S.RUNNING, S.FAILED, S.RETRYING, S.STARTING]
    assert said[-1] == S.QUARANTINED
    told = [(a.code, a.met) for a in of(run.dir, Alert) if a.subject == "bad"]
    assert any(code == "plugin.crashed" and why in met for code, met in told), told
    assert "plugin.quarantined" in dict(told)
    assert len(of(run.dir, Order)) >= 4
    assert replay(run.dir).events > 0
    assert not left_behind(tmp_path)


@pytest.mark.parametrize(
    ("manifest", "code", "why"),
    [(MANIFEST, RAISES, "not today"), (OTHER_ID, TOLD, "its manifest has")],
)
def test_under_the_simulated_clock_the_start_is_refused_and_what_it_left_can_be_replayed(
    tmp_path: Path, manifest: str, code: str, why: str
) -> None:
    with pytest.raises(StartError, match=why):
        Run.start(bad(tmp_path, "sim", manifest, code), RunOptions(lake=False))
    (run_dir,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir() and not path.is_symlink()]
    assert states(run_dir, "bad")[-1] == S.FAILED
    assert replay(run_dir).events > 0
    assert not left_behind(tmp_path)
