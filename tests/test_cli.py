"""Every command of `penstock` helps, answers on a real run, and meets wrong use with a line that says the way out."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
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
from penstock_sdk.events import Alert

COMMANDS = [
    "run", "check", "runs", "query", "report", "replay", "verify", "explain", "debug", "diff", "positions",
    "pnl", "invoices", "cashflows", "logs", "status", "top", "alerts", "limits", "pause", "resume",
    "cancel-all", "kill", "unkill", "quarantine", "release", "stop", "apply", "deal", "trades", "chaos", "rules",
    "contract", "bench", "plugin", "conform",
]  # fmt: skip
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
    listed = re.findall(r"^    ([\w-]+)(?: |$)", out, re.M)
    assert listed == COMMANDS


@pytest.mark.parametrize(
    "arguments", [(), ("trade",), ("run", "--clock", "lunar"), ("bench", "moon"), ("query",), ("run", "--seed", "x")]
)
def test_wrong_use_is_told_and_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "usage: penstock" in err and "error: " in err


@pytest.mark.parametrize("given", ["0", "-5", "-0.5", "nan", "inf", "1e300", "soon"])
def test_a_length_that_is_none_is_told(given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capsys, "run", "--runs-dir", str(tmp_path), "--for", given)
    assert (status, out) == (2, "")
    assert f"argument --for: met {given}, wanted seconds above 0" in err
    assert list(tmp_path.iterdir()) == []


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
        told_of_elsewhere = {"refusals", "external_trades_latest", "pnl_converted_latest", "pnl_beyond_marks"}
        assert rows(capsys, f"select * from {name} limit 1") or name in told_of_elsewhere


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


@pytest.mark.parametrize(
    "order",
    [
        ("latest", "--runs-dir", "RUNS", "SQL", "--format", "json"),
        ("--runs-dir", "RUNS", "--format", "json", "latest", "SQL"),
        ("latest", "SQL", "--format", "json", "--runs-dir", "RUNS"),
        ("--format", "json", "latest", "--runs-dir=RUNS", "SQL"),
    ],
)
def test_options_of_a_query_may_stand_anywhere(
    order: tuple[str, ...], run: DayRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)  # so that the runs are found by the option only
    told = [part.replace("RUNS", str(run.dir.parent)).replace("SQL", "select 7 as n") for part in order]
    status, out, err = asked(capsys, "query", *told)
    assert (status, err) == (0, "")
    assert json.loads(out) == [{"n": 7}]


@pytest.mark.parametrize("extra", [("more",), ("--bogus",), ("--runs-dir",)])
def test_what_a_query_does_not_take_is_told(
    extra: tuple[str, ...], run: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = asked(capsys, "query", "latest", "select 1", *extra)
    assert (status, out) == (2, "")
    assert "error: " in err and extra[0] in err


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
    # A report of it cannot be made anew; what there was can still be asked.
    shutil.copy(run.dir / "run.duckdb", tmp_path)
    shutil.copytree(run.dir / "lake", tmp_path / "lake")
    status, _, err = asked(capsys, "report", str(tmp_path))
    assert status == 2
    assert segment.name in err
    for _ in ("run.duckdb", "partitions"):
        status, out, err = asked(capsys, "query", str(tmp_path), "select count(*) as n from trades", "--format", "json")
        assert status == 0, err
        assert json.loads(out) == [{"n": run.summary["events"]["trades"]}]
        (tmp_path / "run.duckdb").unlink(missing_ok=True)


def test_a_report_that_fails_is_told_and_the_digest_stands_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Path:
        raise IndexError("index 198\nis out of bounds")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("penstock_kernel.report.write_report", fail)
    status, out, err = asked(capsys, "run", str(deployment(tmp_path, SMALL)), "--for", "600", "--quiet")
    run = only_run(tmp_path / "runs")
    assert status == 1
    assert err.splitlines() == [
        "penstock run: no report: IndexError: index 198 is out of bounds; the run is whole, "
        f"`penstock report {run.dir.name}` tries again"
    ]
    ended, digest = out.splitlines()[-2:]
    assert ended.startswith(f"run {run.dir.name} complete, ")
    assert digest == f"journal sha256:{run.info['digest']}"
    monkeypatch.undo()
    assert asked(capsys, "report", str(run.dir))[0] == 0
    assert (run.dir / "report.html").exists()


def test_a_day_without_prices_has_a_report_and_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = re.split(r"^(?=\[)", (ROOT / "plugins.toml").read_text(), flags=re.M)
    unfed = [table for table in tables if not table.startswith("[plugins.prices")]
    assert len(unfed) < len(tables)
    (tmp_path / "unfed.toml").write_text("".join(unfed))
    monkeypatch.chdir(tmp_path)
    path = deployment(tmp_path, SMALL, include=tmp_path / "unfed.toml")
    status, out, err = asked(capsys, "run", str(path), "--quiet")
    assert status == 0, err
    run = only_run(tmp_path / "runs")
    assert out.splitlines()[-1] == f"journal sha256:{run.info['digest']}"
    assert "exchange.no_fundamental" in (run.dir / "report.html").read_text(encoding="utf-8")
    assert [alert.code for alert in run.records(Alert)].count("exchange.no_fundamental") == 1


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
