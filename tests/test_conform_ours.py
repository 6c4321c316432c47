"""Our own plugins and the SDK's examples do what the conformance kit asks of any vendor's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_sdk.conform.driver import ProcessDriver
from penstock_sdk.conform.host import Patience
from penstock_sdk.conform.report import Report
from penstock_sdk.conform.runner import run_kit
from penstock_sdk.conform.target import CommandOpener, opener_of
from penstock_sdk.discovery import read_path
from penstock_sdk.manifest import KINDS

ROOT = Path(__file__).parents[1]
FOLDERS = {"ours": ROOT / "plugins" / "penstock_plugins", "examples": ROOT / "sdk" / "examples"}
PATIENCE = Patience(answer_s=20.0, quiet_s=0.01)
IN_PROCESS = (sys.executable, "-m", "penstock_sdk.process")
EMBEDDED_DRIVER = (sys.executable, "-m", "penstock_sdk.conform.embedded_driver")

CONFIGS: dict[str, dict[str, Any]] = {
    "exchange": {"background": False, "products": ["H"]},
    "synthetic_prices": {},
}
"""Where the defaults would not do: background traders would fill the kit's orders."""
NEEDS = {
    "aemo": "AEMO's files",
    "capture": "a capture file",
    "paper": "a practice venue at its address; its own tests have one",
}
"""Plugins that do not start by their defaults, and for want of what."""
SLOW = ("flood", "latency", "check.deadline", "stream.renews", "stream.host_over_credit", "schema.many")
"""Timed, or much data: `make test-long` runs them."""
FEW = {"quantiles": ("handshake", "config", "life.afternoon", "schema.said", "data")}
"""What is run of a plugin that starts a process for its work, in each of the kit's hundred starts."""


PACKAGES = {"ours": "", "examples": "sdk.examples."}
"""Examples under the name that other tests import them by: a record may be declared once in a process."""


def classes() -> dict[str, str]:
    """Return module:Class of every plugin of ours."""
    found = {}
    for name, folder in FOLDERS.items():
        for each in read_path(folder, dict.fromkeys(KINDS, (1,))):
            found[f"{name}:{each.id}"] = PACKAGES[name] + each.class_path
    return found


TARGETS = [each for each in classes() if each.partition(":")[2] not in NEEDS]


def conform(target: str, skip: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> Report:
    plugin_id = target.partition(":")[2]
    opener = opener_of([classes()[target]])
    driver = ProcessDriver(EMBEDDED_DRIVER) if plugin_id == "exchange" else None
    try:
        return run_kit(
            opener, opener.kind, target=target, config=CONFIGS.get(plugin_id), driver=driver, patience=PATIENCE,
            skip=skip, only=only,
        )  # fmt: skip
    finally:
        if driver is not None:
            driver.close()


def failures(report: Report) -> list[tuple[str, str]]:
    return [(each.id, each.met) for each in report.results if each.outcome == "failed"]


@pytest.mark.parametrize("target", [each for each in TARGETS if each != "ours:exchange"])
def test_a_plugin_of_ours_fails_nothing(target: str):
    report = conform(target, SLOW, FEW.get(target.partition(":")[2], ()))
    assert failures(report) == []
    assert report.count("passed") >= (50 if target.partition(":")[2] not in FEW else 15)


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_a_plugin_of_ours_is_silver_or_better(target: str):
    report = conform(target)
    assert failures(report) == []
    assert report.tier in ("silver", "gold")


def test_the_exchange_passes_with_the_driver_of_an_embedded_market():
    report = conform("ours:exchange", SLOW)
    passed = {each.id for each in report.results if each.outcome == "passed"}
    assert failures(report) == []
    assert {"market.fill", "market.part_fill", "market.part_fill_cancel", "market.reject"} <= passed


def test_a_plugin_in_a_process_of_its_own_passes_over_grpc():
    command = (*IN_PROCESS, str(FOLDERS["examples"] / "hello_strategy.py"))
    only = ("process.handshake_line", "process.kill", "process.stop", "trader.identity")
    report = run_kit(CommandOpener(command), "strategy", patience=Patience(20.0, 0.05), only=only)
    assert failures(report) == []
    assert {each.outcome for each in report.results} == {"passed"}


def test_the_command_writes_both_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from xml.etree import ElementTree

    from penstock_sdk.cli.main import main

    as_json, as_junit = tmp_path / "report.json", tmp_path / "report.xml"
    words = ["conform", f"{FOLDERS['examples']}:net", "--only", "config", "--only", "handshake", "--quiet-s", "0.01"]
    assert main([*words, "--json", str(as_json), "--junit", str(as_junit)], providers=[]) == 0
    report = json.loads(as_json.read_text("utf-8"))
    assert (report["plugin"]["id"], report["kind"], report["tier"]) == ("net", "portfolio", "")
    assert report["counts"]["failed"] == 0
    assert len(report["digest"]) == 64
    names = [each.get("name") for each in ElementTree.parse(as_junit).iter("testcase")]
    assert names == [each["id"] for each in report["cases"]]
    assert "a skip is no pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no such thing"], "which is no command"),
        (["--", "false"], "false"),
        ([f"{FOLDERS['examples']}"], "name one"),
    ],
)
def test_a_target_that_cannot_be_tried_is_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    from penstock_sdk.cli.main import main

    assert main(["conform", "--kind", "strategy", *words], providers=[]) == 2
    assert said in capsys.readouterr().err


def test_the_list_names_every_case_of_a_kind(capsys: pytest.CaptureFixture[str]):
    from penstock_sdk.cli.main import main
    from penstock_sdk.conform.cases import cases_for

    assert main(["conform", "--list", "--kind", "venue"], providers=[]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [case.id for case in cases_for("venue")]
