"""Reference data of a deployment: told before venues start, replayed without its files, said anew by a session."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.boot import StartError
from penstock_kernel.deployment import DeploymentError, load_deployment
from penstock_kernel.instance import Instance
from penstock_kernel.market_check import check_deployment
from penstock_kernel.reference import load_reference
from penstock_kernel.replay import event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.energy.rules import Rules, builtin_rules
from penstock_sdk.events import Alert, CalendarDefinition, PluginFault, ReferenceTable
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import FrameView, read_frames

DAY = date(2026, 3, 10)
CAP = '[[limits]]\nmarket = "{market}"\nprice_min = "-500"\nprice_max = "{cap}"\n'
DEPLOYMENT = """[run]
delivery_day = "2026-03-10"
end = "2026-03-09T15:30"
[plugins.refdata]
use = "refdata"
config = {{ files = ["rules/*.toml"], calendar_years = [2025, 2027] }}
[plugins.exchange]
use = "exchange"
config = {{ orders_per_day = 6000 }}
[plugins.prices]
use = "synthetic_prices"
{more}"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with a deployment and one rule file, in folders of their own."""
    (tmp_path / "site" / "rules").mkdir(parents=True)
    write_cap(tmp_path / "site", "4000")
    return write_deployment(tmp_path / "site")


def write_deployment(folder: Path, more: str = "") -> Path:
    path = folder / "plugins.toml"
    path.write_text(DEPLOYMENT.format(more=more))
    return path


def write_cap(folder: Path, cap: str, market: str = "SEEPEX", file: str = "caps.toml") -> None:
    (folder / "rules" / file).write_text(CAP.format(market=market, cap=cap))


def options(site: Path, for_s: float | None = 600) -> RunOptions:
    return RunOptions(runs_dir=str(site.parent.parent / "runs"), lake=False, for_s=for_s)


def session(path: Path, again: bool = False) -> Instance:
    """Run a session of an instance to its end; *again* with the deployment that it has kept."""
    run = Instance.open("desk", None if again else path, options(path))
    run.go()
    run.close()
    return run


def frames_of(run_dir: Path, *types: type) -> Iterator[tuple[FrameView, Any]]:
    for frame in read_frames(run_dir / "journal"):
        event = event_of(frame)
        if isinstance(event, types):
            yield frame, event


def cap_of(rules: Rules, market: str = "SEEPEX") -> list[int]:
    return [int(row.price_max) for row in rules.rows("limits", market=market, on=DAY)]


def test_a_run_has_it_before_a_venue_starts_and_a_replay_needs_no_file(site: Path):
    run = Run.start(site, options(site))
    assert cap_of(run.kernel.reference.rules) == [4000]
    run.go()
    run.close()
    said = list(frames_of(run.dir, ReferenceTable, CalendarDefinition))
    assert [event.name for _, event in said] == ["limits", "TARGET", "EEX", "UK", "US"]
    assert said[0][1].source == "rules/caps.toml"
    assert {frame.origin for frame, _ in said} == {Origin.REPLY}
    shutil.rmtree(site.parent)
    assert replay(run.dir).events > 100


def test_a_crash_and_a_restart_keep_what_was_read_before(site: Path):
    first = Instance.open("desk", site, options(site, None))
    first.kernel.run_simulated(first.kernel.moment.now_ns + 300 * 10**9)
    first.kernel.write()
    first.abort()
    write_cap(site.parent, "9000")  # which the session under way has not read
    second = Instance.open("desk", site, options(site))
    assert cap_of(second.kernel.reference.rules) == [4000]
    assert sorted(second.kernel.reference.calendars) == ["EEX", "TARGET", "UK", "US"]
    second.go()
    second.close()
    assert replay(second.dir).events > 100


def test_a_later_session_reads_anew_and_forgets_what_is_gone(site: Path):
    write_cap(site.parent, "1000", "NORTH", "gone.toml")
    run = session(site)
    assert cap_of(run.kernel.reference.rules, "NORTH") == [1000]
    write_cap(site.parent, "9000")
    (site.parent / "rules" / "gone.toml").unlink()
    second = session(site)
    assert cap_of(second.kernel.reference.rules) == [9000]
    assert cap_of(second.kernel.reference.rules, "NORTH") == []
    # Rows that have moved to another file are no overlap with where they were.
    (site.parent / "rules" / "caps.toml").rename(site.parent / "rules" / "moved.toml")
    third = session(site)
    assert cap_of(third.kernel.reference.rules) == [9000]
    assert list(frames_of(third.dir, PluginFault)) == []
    assert replay(third.dir).events > 300


def test_the_deployment_that_an_instance_keeps_finds_the_same_files(site: Path, monkeypatch: pytest.MonkeyPatch):
    session(site)
    write_cap(site.parent, "7000")
    monkeypatch.chdir("/")
    assert cap_of(session(site, again=True).kernel.reference.rules) == [7000]
    assert load_deployment(site).digest == load_deployment(options(site).runs_dir + "/desk/source.toml").digest


def test_an_overlap_stops_a_start_with_both_lines_before_anything_is_left(site: Path):
    write_cap(site.parent, "9000", file="more.toml")
    with pytest.raises(DeploymentError) as refused:
        Run.start(site, options(site))
    (problem,) = refused.value.problems
    assert (Path(problem.file), problem.line) == (site.parent / "rules" / "caps.toml", 1)
    assert "rules/caps.toml:1 (limits) and rules/more.toml:1 (limits): both rows of limits 'SEEPEX'" in str(problem)
    assert not Path(str(options(site).runs_dir)).exists()


ODD = """
from penstock_sdk.events import ReferenceTable
from penstock_sdk.plugin import RefData
class Odd(RefData):
    def on_start(self):
        row = {"market": "SEEPEX", "price_min": "-1", "price_max": "1"}
        return ReferenceTable(name="limits", source="odd", digest="", rows=[row])
"""
ODD_MANIFEST = """[[plugin]]
id = "odd"
version = "1.0.0"
kind = "refdata"
contract = "refdata/1..1"
class = "odd_refdata:Odd"
description = "A plugin of a test."
"""


def test_a_plugin_whose_words_do_not_fit_the_others_stops_the_start(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (site.parent / "odd_refdata.py").write_text(ODD)
    (site.parent / "plugin.toml").write_text(ODD_MANIFEST)
    write_deployment(site.parent, '[plugins.odd]\nuse = "odd"\npath = "plugin.toml"\n')
    with pytest.raises(StartError, match=r"plugin odd .*rules/caps.toml:1 \(limits\) and odd, row 1 \(limits\)"):
        Run.start(site, options(site))


def test_without_a_run_the_default_deployment_has_the_calendars():
    reference = load_reference()
    assert reference.rules == builtin_rules()
    assert not reference.calendars["TARGET"].is_open(date(2026, 4, 3))


def test_without_a_run_a_deployments_rules_are_read_or_its_faults_told(site: Path):
    assert cap_of(load_reference(site).rules) == [4000]
    write_cap(site.parent, "plenty")
    with pytest.raises(DeploymentError) as refused:
        load_reference(site)
    (problem,) = refused.value.problems
    assert (Path(problem.file).name, problem.line, problem.path) == ("caps.toml", 1, "plugins.refdata")


def told(path: Path) -> list[str]:
    return [str(problem).partition(": ")[2] for problem in check_deployment(path)[1]]


def test_check_tells_of_reference_data_that_comes_too_late(site: Path):
    assert told(site) == []
    text = site.read_text()
    head, _, rest = text.partition("[plugins.refdata]")
    config, _, venue = rest.partition("[plugins.exchange]")
    site.write_text(f"{head}[plugins.exchange]{venue}[plugins.refdata]{config}")
    (said,) = told(site)
    assert said.startswith("warning: plugins.refdata: starts after the venue exchange")
    assert said.endswith("move it above [plugins.exchange]")


def test_check_tells_of_files_and_calendars_that_are_not_there(site: Path):
    site.write_text(site.read_text().replace("rules/*.toml", "rule/*.toml"))
    assert told(site)[0].startswith("plugins.refdata.config: files has 'rule/*.toml', which matches nothing in ")
    site.write_text(site.read_text().replace('["rule/*.toml"]', '[], calendars = ["TARGETS"]'))
    assert told(site)[0].startswith("plugins.refdata.config: calendar 'TARGETS' is not known; did you mean TARGET?")


def test_check_tells_of_contracts_that_cannot_be_announced(site: Path):
    more = "contracts = ['TTF M 2027-01', 'TTX M 2027-01'], calendar_years"
    site.write_text(site.read_text().replace("calendar_years", more))
    (said,) = told(site)
    assert said.startswith("plugins.refdata.config: contract 'TTX M 2027-01': zone 'TTX' is not known; did you mean ")
    site.write_text(site.read_text().replace(", 'TTX M 2027-01'", "").replace("[2025, 2027]", "[2025, 2025]"))
    (said,) = told(site)
    assert said.startswith("plugins.refdata.config: contract 'TTF M 2027-01': ")
    assert "2025-12-31" in said


def test_a_zone_of_the_rules_may_be_the_runs(site: Path):
    site.write_text(site.read_text().replace("[run]\n", '[run]\nzone = "XX-9"\n', 1))
    assert any('unknown bidding zone "XX-9"' in said for said in told(site))
    (site.parent / "rules" / "zones.toml").write_text(
        '[[zones]]\ncode = "XX-9"\neic = ""\ntimezone = "Europe/Paris"\ncurrency = "EUR"\n'
    )
    assert told(site) == []


def test_after_an_upgrade_the_journal_is_heard_and_the_session_says_it_anew(site: Path):
    first = Instance.open("desk", site, options(site, None))
    first.kernel.run_simulated(first.kernel.moment.now_ns + 300 * 10**9)
    first.kernel.write()
    first.abort()
    write_cap(site.parent, "9000")
    write_deployment(site.parent, '[plugins.risk]\nuse = "risk_limits"\n')
    second = session(site)
    assert cap_of(second.kernel.reference.rules) == [9000]
    assert list(frames_of(second.dir, PluginFault)) == []
    assert [int(event.rows[0]["price_max"]) for _, event in frames_of(second.dir, ReferenceTable)] == [4000, 9000]
    assert replay(second.dir).events > 100


LATE = """
from penstock_sdk.events import ReferenceTable, Severity
from penstock_sdk.plugin import RefData
class Late(RefData):
    deterministic = False
    def on_start(self):
        self.ctx.set_timer(self.ctx.now_ns + 60 * 10**9)
    def on_timer(self, _timer):
        row = {"market": "SEEPEX", "price_min": "-1", "price_max": "1"}
        return ReferenceTable(name="limits", source="late", digest="", rows=[row])
    def on_reference_table(self, table):
        return self.ctx.alert("late.heard", Severity.INFO, table.source)
"""


def test_a_refusal_in_the_middle_of_a_run_is_a_fault_that_a_replay_finds_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (site.parent / "late_refdata.py").write_text(LATE)
    (site.parent / "plugin.toml").write_text(
        ODD_MANIFEST.replace("odd_refdata:Odd", "late_refdata:Late") + "deterministic = false\n"
    )
    write_deployment(site.parent, '[plugins.late]\nuse = "odd"\npath = "plugin.toml"\n')
    run = Run.start(site, options(site))
    run.go()
    run.close()
    assert cap_of(run.kernel.reference.rules) == [4000]
    (fault,) = [event for _, event in frames_of(run.dir, PluginFault)]
    assert (fault.name, fault.handler) == ("late", "reference")
    alerts = [event for _, event in frames_of(run.dir, Alert)]
    assert [alert.met for alert in alerts if alert.code == "late.heard"] == ["rules/caps.toml", "late"]
    assert [alert.subject for alert in alerts if alert.code == "reference.refused"] == ["limits of late"]
    assert replay(run.dir).events > 100
