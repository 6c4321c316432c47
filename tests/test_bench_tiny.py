"""Every bench runs in its tiny size, says what was measured and on what, and gives the same digest each time."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from day_runs import penstock

from penstock_kernel.bench import operate_outside
from penstock_kernel.bench.command import BENCHES
from penstock_kernel.bench.operate_desk import BenchError
from penstock_kernel.bench.rounds import machine
from penstock_kernel.cli.main import main

BEGUN = {"interpreter and imports", "deployment checked", "journal opened"}
GONE_ON = {"snapshot read", "plugins built, state restored", "journal's tail replayed"}
ENDS = {"session started", "ready", "first order", "in all"}
ASKS = {"session started", "reconcile", "first order acknowledged", "in all"}
STEPS_OF = {
    "fresh": BEGUN | ENDS,
    "after a stop": BEGUN | GONE_ON | ENDS,
    "after kill -9 at 15,000": BEGUN | GONE_ON | ENDS,
    "kill -9 under the watchdog at 15,000": {"seen, waited, spawned"} | BEGUN | GONE_ON | ENDS,
    "after kill -9, 10 orders at a venue outside": BEGUN | GONE_ON | ASKS,
    "kill -9 under the watchdog, 10 orders at a venue outside": {"seen, waited, spawned"} | BEGUN | GONE_ON | ASKS,
}
POSITION_WAYS = ("frames", "one by one", "numpy", "pandas")
ROWS = {
    "bus": {
        f"{name}_{handlers}"
        for name in ("bare", "guarded_numbered", "journaled", "frames_journaled")
        for handlers in (1, 5)
    },
    "order-path": {"tick_to_checked_order", "tick_to_position"},
    "positions": {
        *(f"{what}: {way}" for what in ("quarter-hours", "a desk's mix") for way in POSITION_WAYS),
        "revaluation",
        "revaluation: numpy",
        "cascade of a year",
        "products",
    },
    "store": {
        "dict dispatch",
        "append",
        "written",
        "synced",
        "scan",
        "verify",
        "read",
        "start-up",
        "start-up again",
        "find",
    },
    "rebuild": {
        "start-up: build and start the plugins",
        "scan",
        "rebuild from a snapshot",
        "rebuild from the beginning",
    },
    "telemetry": {"off", "on"},
    "operate": {
        *(f"{way}: {step}" for way, steps in STEPS_OF.items() for step in steps),
        *(f"kill, {load}, 10 open orders" for load in ("little load", "full load")),
    },
    "soak": {"days, session 1", "days, session 2"},
}


def commit_here() -> str:
    """Return the checkout's commit; empty where git or the checkout is missing."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    with suppress(OSError):
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    return ""


def numbers(value: Any) -> list[float]:
    """Return every number in a result's rows."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what `penstock bench all` printed, by bench."""
    folder = tmp_path_factory.mktemp("bench")
    ended = penstock("bench", "all", "--size", "tiny", "--json", cwd=folder)
    assert ended.status == 0, ended.err
    assert ended.left == [] and list(folder.iterdir()) == []
    lines = [json.loads(line) for line in ended.out.splitlines()]
    return {line["bench"]: line for line in lines}


def test_all_benches_run(results: dict[str, dict[str, Any]]) -> None:
    assert list(results) == list(BENCHES) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_bench_says_what_it_measured(name: str, results: dict[str, dict[str, Any]]) -> None:
    result = results[name]
    assert result["python"] and result["machine"] and result["cores"] >= 1
    assert {row["name"] for row in result["rows"]} == ROWS[name]
    for row in result["rows"]:
        # A start-up has no events yet; all else that is said was measured.
        measured = numbers({key: value for key, value in row.items() if key != "events"})
        # The machine counts processor time in hundredths: of a short step it may count none.
        assert all(number >= 0 for number in measured) and any(number > 0 for number in measured), row


@pytest.mark.parametrize("name", ROWS)
def test_a_bench_gives_the_same_digest_again(
    name: str, results: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", name, "--size", "tiny", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert len(again["digest"]) == 64
    assert again["digest"] == results[name]["digest"]


def test_the_order_path_lists_the_events_of_an_order(results: dict[str, dict[str, Any]]) -> None:
    result = results["order-path"]
    # Every second order deals with the one before: two fills, so each order brings about one, and its position.
    per_order = result["events_per_order"]
    assert per_order["Quote"] >= 1 and per_order["OrderIntent"] == per_order["Order"] == 1
    assert per_order["CheckVerdict"] == 2
    assert per_order["ExecutionReport"] == 2 and per_order["Position"] == 1
    for row in result["rows"]:
        assert row["p50_ns"] <= row["p99_ns"] <= row["p99_9_ns"]


def test_the_position_grid_says_what_it_takes(results: dict[str, dict[str, Any]]) -> None:
    result = results["positions"]
    assert result["memory"]["cells"] == 3 * (20 * 96)
    assert 8 <= result["memory"]["bytes_per_cell"] <= 16  # whole chunks, whatever is in them
    assert result["revaluation"]["ms"] > 0 and result["products"]["s"] > 0 and result["cascade"]["us_per_account"] > 0


def test_a_bench_prints_a_table_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "store", "--size", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bench store")
    assert "start-up" in out and "digest: " in out


def test_the_commit_is_told() -> None:
    before = commit_here()
    told = machine().get("commit", "")
    assert told.removesuffix("-dirty") in (before, commit_here())  # somebody may commit meanwhile


def test_a_venue_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate_outside, "VENUE_MODULE", "no_such_venue")
    desks = operate_outside.outside_desks(tmp_path, dict(os.environ), (1,), 10, 100)
    with pytest.raises(BenchError, match=r"No module named no_such_venue.*install penstock-plugins"), desks:
        pass
