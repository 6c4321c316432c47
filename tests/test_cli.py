"""Every command of `penstock` helps, answers on a real run, and meets wrong use with a line that says the way out."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from day_runs import ROOT, SMALL, DayRun, deployment, only_run, penstock

from penstock_kernel.cli.main import main
from penstock_kernel.lake import VIEWS

COMMANDS = ["run", "check", "runs", "query", "report", "replay", "bench"]
PACKAGED = ROOT / "kernel/penstock_kernel/default/plugins.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the first eight hours of a small day in its runs."""
    folder = tmp_path_factory.mktemp("cli")
    ended = penstock("run", deployment(folder, SMALL), "--for", "28_800", "--quiet", cwd=folder)
    assert ended.status == 0, ended.err
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> DayRun:
    """Return that run, its folder being the current one."""
    monkeypatch.chdir(folder)
    return only_run(folder / "runs")


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return its status and what it printed."""
    capsys.readouterr()
    try:
        status = main(arguments)
    except SystemExit as stopped:  # argparse's way to end
        status = int(stopped.code or 0)
    return status, *capsys.readouterr()


def rows(capsys: pytest.CaptureFixture[str], sql: str) -> list[dict[str, object]]:
    """Return what a query answers, as JSON."""
    status, out, err = asked(capsys, "query", "latest", sql, "--format", "json")
    assert status == 0, err
    return list(json.loads(out))


# Help and wrong use.


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, command, "--help")
    assert status == 0
    assert out.startswith(f"usage: penstock {command}")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "--help")
    assert status == 0
    listed = re.findall(r"^    (\w+) ", out, re.M)
    assert listed == COMMANDS


@pytest.mark.parametrize(
    "arguments", [(), ("trade",), ("run", "--clock", "lunar"), ("bench", "moon"), ("query",), ("run", "--seed", "x")]
)
def test_wrong_use_is_told_and_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "usage: penstock" in err and "error: " in err


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_deployment_that_is_not_there_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = asked(capsys, command, "nosuch.toml")
    assert status == 2
    assert "nosuch.toml: no such file or directory" in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = asked(capsys, "run", str(ROOT / "plugins.toml"), "--day", "2026-02-30")
    assert status == 2
    assert "2026-02-30" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["query", "report", "replay"])
def test_without_runs_the_way_to_one_is_told(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = asked(capsys, command, "latest")
    assert status == 2
    assert err.startswith(f"penstock {command}: no runs in runs; make one with `penstock run`")
    assert asked(capsys, "runs") == (0, "no runs in runs; make one with `penstock run`\n", "")


@pytest.mark.parametrize("command", ["query", "report", "replay"])
def test_an_unknown_run_is_answered_with_those_there_are(
    command: str, run: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = asked(capsys, command, "yesterday")
    assert status == 2
    assert "'yesterday' is not in runs" in err and run.dir.name in err and "`latest`" in err


def test_wrong_sql_is_answered_with_the_tables_there_are(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = asked(capsys, "query", run.dir.name, "select price from fils")
    assert status == 2
    assert "fils" in err and "execution_reports" in err and "orders_latest" in err


# Answers on a run.


def test_every_view_and_table_answers(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "query", "latest")
    assert status == 0
    tables = {name: int(count.replace(",", "")) for name, count in (line.split() for line in out.splitlines())}
    assert tables == run.summary["events"]
    for name in [*tables, *VIEWS]:
        (counted,) = rows(capsys, f"select count(*) as n from {name}")
        assert counted["n"] == tables.get(name, counted["n"])
        assert asked(capsys, "query", "latest", f"select * from {name} limit 3")[0] == 0
    for name in VIEWS:
        assert rows(capsys, f"select * from {name} limit 1") or name == "refusals"


def test_a_query_answers_as_table_json_and_csv(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select listing, product, price, at_utc from fills order by seq limit 5"
    fills = rows(capsys, sql)
    assert len(fills) == 5 and all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d", str(fill["at_utc"])) for fill in fills)
    status, out, _ = asked(capsys, "query", run.dir.name, sql, "--format", "csv")
    assert status == 0
    assert [{**row, "price": float(row["price"])} for row in csv.DictReader(io.StringIO(out))] == fills
    status, out, _ = asked(capsys, "query", str(run.dir), sql)
    assert status == 0
    assert all(str(fill["listing"]) in out for fill in fills) and "5 rows" in out


def test_a_query_cannot_change_the_run(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = asked(capsys, "query", "latest", "delete from trades")
    assert status == 2 and "read-only" in err


def test_runs_are_listed(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "runs")
    assert status == 0
    (line,) = out.splitlines()[1:]
    for part in (run.dir.name, "complete", "changed.toml", f"{run.info['events']:,}", run.info["digest"][:12]):
        assert part in line


def test_a_report_built_anew_says_the_same(run: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    page, summary = (run.dir / "report.html").read_text(), json.loads((run.dir / "summary.json").read_text())
    (run.dir / "run.duckdb").unlink()
    (run.dir / "report.html").unlink()
    status, out, err = asked(capsys, "report", run.dir.name[:17])
    assert status == 0, err
    assert str(run.dir.name) in out
    assert json.loads((run.dir / "summary.json").read_text()) == summary
    assert (run.dir / "report.html").read_text() == page


def test_a_journal_with_a_flipped_bit_is_refused(
    run: DayRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (segment,) = (run.dir / "journal").glob("*.pj")
    (tmp_path / "journal").mkdir()
    for name in ("run.json", "deployment.toml"):
        (tmp_path / name).write_bytes((run.dir / name).read_bytes())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "journal" / segment.name).write_bytes(data)
    status, _, err = asked(capsys, "replay", str(tmp_path), "--verify")
    assert status == 2
    assert segment.name in err


# The report's page.


class Asked(HTMLParser):
    """Gathers what a page would load, and text that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str | None] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]


def test_the_report_shows_its_charts_without_a_network(run: DayRun) -> None:
    page = (run.dir / "report.html").read_text(encoding="utf-8")
    parser = Asked()
    parser.feed(page)
    assert parser.targets == []
    assert not parser.tags & {"script", "link", "iframe", "object", "embed", "img", "base"}
    # A namespace is a name, not an address that is loaded.
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", page)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    assert not re.search(r"@import|url\((?!#)", page)
    charts = [ET.fromstring(chart) for chart in re.findall(r"<svg\b.*?</svg>", page, re.S)]
    titles = {chart.attrib["aria-label"] for chart in charts}
    assert {"Prices over the day", "Cumulative P&L by strategy", "Position per delivery interval"} <= titles
    assert len(charts) >= 6
    for chart in charts:
        marks = [mark for mark in chart.iter() if mark.tag.rpartition("}")[2] in ("path", "rect", "circle", "line")]
        assert marks
    assert run.info["digest"] in page


# The default deployment.


def test_the_packaged_deployment_is_the_one_of_the_checkout() -> None:
    assert PACKAGED.read_bytes() == (ROOT / "plugins.toml").read_bytes()


def test_the_default_has_no_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert asked(capsys, "check") == (0, f"{PACKAGED}: no errors\n", "")
    monkeypatch.chdir(ROOT)
    assert asked(capsys, "check") == (0, "plugins.toml: no errors\n", "")


def test_without_a_deployment_the_packaged_one_runs(tmp_path: Path) -> None:
    ended = penstock("run", "--for", "60", "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == 0, ended.err
    run = only_run(tmp_path / "runs")
    assert run.info["status"] == "complete" and run.info["deployment"] == "plugins.toml"
    assert ended.left == []


def test_the_packaged_deployment_is_in_the_wheel(tmp_path: Path) -> None:
    build = "import sys, uv_build; print(uv_build.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT / "kernel", capture_output=True, text=True, timeout=60,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("penstock_kernel/default/plugins.toml") == PACKAGED.read_bytes()
