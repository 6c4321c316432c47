"""Proves that a report is one well-formed page that asks for nothing, holds every chart, and survives odd runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock_kernel.lake import rebuild
from penstock_kernel.report import write_report
from penstock_kernel.report.data import load
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import Alert, ExecutionReport, Order, Pnl, ReportKind, Severity, Trade

VOID = {"meta", "br", "link", "img"}


class Balance(HTMLParser):
    """Fails on a tag that is not closed, or closed twice; keeps what is asked for from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [f"{name}={value}" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.asked == []
    assert "<script" not in page and "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert not re.search(r'[="( ](nan|inf|-inf)[" ),]', page)


@pytest.fixture(scope="module")
def page(made: Any) -> str:
    return write_report(made.run_dir).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_asks_for_nothing(page: str) -> None:
    check_page(page)


def test_every_chart_is_there_and_is_xml(page: str) -> None:
    charts = re.findall(r"<svg .*?</svg>", page, re.S)
    labels = [ET.fromstring(chart).attrib["aria-label"] for chart in charts]
    assert labels == [
        "Prices over the day", "Cumulative P&L by strategy", "Position per delivery interval",
        "Traded price by delivery", "Slippage of fills", "When each delivery was traded, and at what price",
        "Orders and fills", "Refusals by reason",
    ]  # fmt: skip


def test_marks_stay_on_the_paper(page: str) -> None:
    for chart in re.findall(r"<svg .*?</svg>", page, re.S):
        root = ET.fromstring(chart)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for rect in root.iter("rect"):
            x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            assert -0.1 <= x <= x + w <= width + 1
            assert -0.1 <= y <= y + h <= height + 1


def test_it_says_what_the_run_was(made: Any, page: str) -> None:
    for wanted in (
        made.info.digest,
        "seed 1",
        "DE-LU",
        "Europe/Berlin",
        "below zero",
        "limit.near",
        "[plugins.market_maker]",
    ):
        assert wanted in page


def test_names_from_a_run_are_text_and_never_markup(tmp_path: Path, journal_writer: Any) -> None:
    writer = journal_writer(tmp_path / "journal")
    evil = "<script>alert(1)</script>"
    writer.add(Alert(code=evil, severity=Severity.ERROR, subject=evil, met=evil), 10**18)
    writer.add(Trade(1, price_ticks=3, qty_lots=1), 10**18)
    writer.close()
    RunInfo(id=evil, status="failed", reason=evil, deployment=evil, versions={evil: evil}).save(tmp_path)
    (tmp_path / "deployment.toml").write_text(f'name = "{evil}"')
    rebuild(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    check_page(page)
    assert page.count("&lt;script&gt;alert(1)") >= 7


def test_a_run_in_which_nothing_happened_has_a_report_too(tmp_path: Path, journal_writer: Any) -> None:
    writer = journal_writer(tmp_path / "journal")
    writer.add(Alert(code="x", severity=Severity.INFO, subject="s", met="m"), 0)
    writer.close()
    RunInfo(id="quiet", status="complete").save(tmp_path)
    rebuild(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    check_page(page)
    assert "nothing was traded" in page


def test_a_run_without_market_data_is_drawn_to_its_last_result(tmp_path: Path, journal_writer: Any) -> None:
    hour_ns = 3_600 * 10**9
    writer = journal_writer(tmp_path / "journal")
    writer.add(ExecutionReport(1, 1, ReportKind.ACCEPTED), 5 * hour_ns)
    writer.add(Order(1, 1), 9 * hour_ns)
    writer.add(ExecutionReport(1, 1, ReportKind.FILL, last_ticks=3, last_lots=1), 20 * hour_ns)
    writer.add(Pnl(0, 3, realised_micro=7_000_000), 33 * hour_ns)
    writer.close()
    RunInfo(id="unfed", status="complete").save(tmp_path)
    rebuild(tmp_path)
    data = load(tmp_path)
    assert (data.first_ns, data.last_ns) == (5 * hour_ns, 33 * hour_ns)
    assert np.nansum(data.activity.columns["fills"]) == 1
    assert [series.columns["total"][-1] for series in data.pnl.values()] == [7.0]
    check_page(write_report(tmp_path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("steps", [1, 3])
def test_very_short_runs_have_a_report(tmp_path: Path, make_run: Any, steps: int) -> None:
    run = make_run(tmp_path, steps=steps)
    rebuild(run.run_dir)
    check_page(write_report(run.run_dir).read_text(encoding="utf-8"))


def test_the_same_run_gives_the_same_page(made: Any, page: str) -> None:
    assert write_report(made.run_dir).read_text(encoding="utf-8") == page
