"""The deployment of sdk/examples loads every example by its path; it passes the check, runs, and replays alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from day_runs import ROOT, DayRun, only_run, penstock

from penstock_sdk.events import Alert, ExecutionReport, IdKind, Interned, Position, ReportKind, Side
from sdk.examples.own_record import PriceJump

EXAMPLES = ROOT / "sdk" / "examples"
DEPLOYMENT = EXAMPLES / "plugins.toml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """Return the run of every example at once."""
    folder = tmp_path_factory.mktemp("examples")
    ended = penstock("run", DEPLOYMENT, "--quiet", "--no-report", "--runs-dir", "runs", cwd=folder)
    assert ended.status == 0, ended.err
    return only_run(folder / "runs")


def fills(run: DayRun) -> list[ExecutionReport]:
    return [report for report in run.records(ExecutionReport) if report.kind == ReportKind.FILL]


def plugin_id(run: DayRun, name: str) -> int:
    (interned,) = (i for i in run.records(Interned) if (i.kind, i.name) == (IdKind.PLUGIN, name))
    return int(interned.id)


def test_the_deployment_passes_the_check_from_any_folder(tmp_path: Path):
    checked = penstock("check", DEPLOYMENT, cwd=tmp_path)
    assert (checked.status, checked.out) == (0, f"{DEPLOYMENT}: no errors\n")


def test_a_slip_in_a_plugin_given_by_path_is_told_by_line(tmp_path: Path):
    slip = tmp_path / "slip.toml"
    slip.write_text(f'[plugins.hello]\nuse = "hello"\npath = "{EXAMPLES}"\n\n[plugins.hello.config]\ncheap_tick = 5\n')
    checked = penstock("check", slip, cwd=tmp_path)
    assert checked.status == 2
    assert f"{slip}:6: plugins.hello.config.cheap_tick: " in checked.out + checked.err


def test_every_plugin_of_the_folder_is_in_the_deployment():
    import tomllib

    tables = tomllib.loads(DEPLOYMENT.read_text())["plugins"].values()
    entries = tomllib.loads((EXAMPLES / "plugin.toml").read_text())["plugin"]
    assert sorted(table["use"] for table in tables if "path" in table) == sorted(entry["id"] for entry in entries)


def test_the_execution_algorithm_gets_its_ten_lots_at_its_limit(run: DayRun):
    own = plugin_id(run, "slices")
    mine = [(fill.side, fill.last_ticks, fill.last_lots) for fill in fills(run) if fill.strategy_id == own]
    assert mine == [(Side.BUY, -250, 4), (Side.BUY, -250, 3), (Side.BUY, -250, 3)]


def test_each_strategy_trades_and_the_portfolio_holds_what_they_bought(run: DayRun):
    traded = {fill.strategy_id for fill in fills(run)}
    assert traded == {plugin_id(run, name) for name in ("hello", "history", "forecast", "slices")}
    held = {position.listing_id: position.net_lots for position in run.records(Position)}
    assert sum(held.values()) == sum(fill.last_lots for fill in fills(run))


def test_the_record_of_a_plugins_own_is_heard(run: DayRun):
    assert -62.25 in [jump.change for jump in run.records(PriceJump)]  # 58.00 to -4.25 in sdk/examples/prices.csv
    told = [(alert.subject, alert.met) for alert in run.records(Alert) if alert.code == "price.jump"]
    assert ("price.csv", "-62.25 in one step") in told


def test_the_hook_leaves_its_line_and_the_device_has_joined(run: DayRun):
    assert (run.dir / "ended.txt").read_text() == f"complete, {len(fills(run))} fills\n"
    assert [alert for alert in run.records(Alert) if alert.code == "offload.differs"] == []


def test_the_run_replays_to_the_same_digest(run: DayRun):
    replayed = penstock("replay", run.dir.name, "--runs-dir", run.dir.parent, cwd=run.dir)
    assert replayed.status == 0, replayed.err
    assert replayed.out.splitlines()[-1] == f"journal sha256:{run.info['digest']}"


def test_the_lake_has_a_table_for_the_record_of_a_plugins_own(run: DayRun):
    code = (
        "import sys; from pathlib import Path; from penstock_kernel.lake import query, rebuild; "
        "run = Path(sys.argv[1]); rebuild(run); print(query(run, 'select change from price_jumps').to_pylist())"
    )
    told = subprocess.run([sys.executable, "-c", code, str(run.dir)], capture_output=True, text=True, check=True)
    assert "{'change': -62.25}" in told.stdout  # in a process that has not imported the plugin
