"""A plugin's process that means harm, or only fails, is ended for it: the kernel goes on, and a person is told why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from far_runs import of

from penstock_kernel.cli.main import main
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import Alert, OperatorCommand, PluginState, PluginStatus

TOYS = Path(__file__).parent / "support" / "process_toys"
MARKET = f"""
[run]
clock = "sim"
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T14:45:00"
end = "2026-03-09T14:45:02"
[plugins.market]
use = "toy_market"
path = "{TOYS}"
[plugins.check]
use = "toy_check"
path = "{TOYS}"
"""

HOSTILE = """# /// penstock
# id = "hostile"
# version = "1.0.0"
# kind = "strategy"
# contract = "strategy/1..1"
# class = "Hostile"
# topics_in = ["market.quote", "control.timer"]
# topics_out = ["order.intent", "control.alert"]
# capabilities = ["orders.write"]
# ///
import gc, os, sys
from penstock_sdk.events import Severity
from penstock_sdk.plugin import Strategy


class Hostile(Strategy):
    def on_start(self):
        {begin}

    def raw(self, data):
        from penstock_sdk.process.socket_server import Server
        server = next(each for each in gc.get_objects() if isinstance(each, Server))
        lane = list(server._streams.values())[0].lane
        lane.flush()
        lane.sock.setblocking(True)
        lane.sock.sendall(data)

    def message(self, body):
        from penstock_sdk.process.envelope import HEADER, Kind
        self.raw(HEADER.pack(len(body), int(Kind.BATCH), 0, 0, 0) + body)

    def on_timer(self, timer):
        {later}
"""
SOON = "self.ctx.set_timer(self.ctx.now_ns + 1)"


def deployment(folder: Path, begin: str, later: str = "return None", clock: str = "sim") -> Path:
    (folder / "hostile.py").write_text(HOSTILE.replace("{begin}", begin).replace("{later}", later))
    path, text = folder / "plugins.toml", MARKET
    if clock == "wall":
        text = text.replace('"sim"', '"wall"').replace("delivery_day", "# ").replace("start =", "#")
        text = text.replace("end =", "#")
    path.write_text(
        f'{text}\n[plugins.hostile]\nuse = "hostile"\npath = "{folder / "hostile.py"}"\nrun = "process"\n'
        f"restart = {{ max_crashes = {3 if clock == 'sim' else 1}, window_s = 600.0, backoff_s = 0.05 }}\n"
    )
    return path


def test_each_loss_is_told_with_its_exit_status_and_last_words_and_the_run_says_what_matters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deployment(tmp_path, "print('no licence', file=sys.stderr, flush=True); os._exit(9)")
    assert main(["run", str(path), "--runs-dir", str(tmp_path / "runs"), "--no-report", "--quiet"]) == 0
    (run_dir,) = (tmp_path / "runs").iterdir()
    info = json.loads((run_dir / "run.json").read_bytes())
    assert info["quarantined"] == ["hostile"]
    assert info["alerts"] >= 2
    line = next(line for line in capsys.readouterr().out.splitlines() if "penstock query" in line)
    assert line.startswith(f"1 plugin quarantined (hostile), {info['alerts']} alerts: penstock query {info['id']} ")
    log = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    assert sum("no licence" in str(each) for each in log) >= 3
    failed = [state.reason for state in of(run_dir, PluginState) if state.status == PluginStatus.FAILED]
    assert failed == ["its process ended with exit status 9: no licence"] * 3


def run(path: Path) -> Path:
    """Run a deployment to its end, or in wall time until the plugin is out; return the run's folder."""
    under_way = Run.start(path, RunOptions(lake=False, runs_dir=str(path.parent / "runs"), for_s=8.0))
    kernel = under_way.kernel
    stop = OperatorCommand(command="stop", who="test", why="it is out")

    def look() -> None:
        if "hostile" in kernel.quarantined and not kernel.stopping:
            kernel.command(stop)

    under_way.observers.append(look)
    try:
        under_way.go()
    finally:
        under_way.close()
    return under_way.dir


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (r"self.message(b'\x7a\x00' * (30 << 20))", "met a message of 62,914,560 bytes, wanted at most 20,971,520"),
        (r"self.message(b'\x7a\x00' * (9 << 20))", "more than 8,192 fields"),
        ("[self.ctx.set_timer(self.ctx.now_ns + 10**15 + n) for n in range(100_001)]", "wanted at most 100,000"),
    ],
    ids=["a message too long", "too many fields", "too many timers"],
)
def test_a_flood_of_little_things_ends_the_plugin_and_nobody_else(tmp_path: Path, later: str, why: str) -> None:
    run_dir = run(deployment(tmp_path, SOON, later, "wall"))
    assert "plugin.breach" in [alert.code for alert in of(run_dir, Alert)]
    (failed,) = [state for state in of(run_dir, PluginState) if state.status == PluginStatus.FAILED]
    assert failed.name == "hostile"
    assert why in failed.reason


def test_a_plugin_cannot_speak_as_the_kernel(tmp_path: Path) -> None:
    codes = ("plugin.crashed", "plugin.quarantined", "journal.failed")
    later = f"return [self.ctx.alert(code, Severity.CRITICAL, 'spoofed') for code in {codes}]"
    run_dir = run(deployment(tmp_path, SOON, later))
    said = [alert for alert in of(run_dir, Alert) if alert.subject == "hostile"]
    assert [alert.code for alert in said] == ["plugin.not_allowed"] * 3
    assert all(code in alert.met for code, alert in zip(codes, said, strict=True))
    assert "spoofed" not in [alert.met for alert in of(run_dir, Alert)]
