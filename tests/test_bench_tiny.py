"""Every bench runs in its tiny size, says what was measured and on what, and gives the same digest each time."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from day_runs import penstock

from penstock_kernel.bench import operate_outside
from penstock_kernel.bench.command import BENCHES
from penstock_kernel.bench.operate_desk import BenchError
from penstock_kernel.bench.positions_market import Dense, desk_market, mix
from penstock_kernel.bench.positions_run import Run, expected
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
POSITION_WAYS = (
    "run, fills", "run, trades", "run, trade frames", "run, profit told", "portfolio alone", "grid, one by one",
    "grid, frames", "numpy", "pandas",
)  # fmt: skip
ROWS = {
    "bus": {
        f"{name}_{handlers}"
        for name in ("bare", "guarded_numbered", "journaled", "frames_journaled")
        for handlers in (1, 5)
    },
    "order-path": {"tick_to_checked_order", "tick_to_position"},
    "plugins": {
        *(f"echo, {way}, frames of {records}" for way in ("socket", "grpc") for records in (1, 128, 1024)),
        *(f"echo, {way}, a message for each record" for way in ("socket", "grpc")),
        *(f"there and back, {way}" for way in ("bare socket", "socket", "grpc")),
        *(f"start to ready, {many}" for many in ("1 plugin", "2 plugins")),
        "memory of each of 2",
        "crash to running again, back-off included",
        "tick to checked order, quiet",
        "tick to checked order, a plugin floods",
    },
    "positions": {
        *(f"{what}: {way}" for what in ("quarter-hours", "a desk's mix") for way in POSITION_WAYS),
        "revaluation",
        "revaluation: numpy",
        "revaluation: 4 in one",
        "revaluation: 4 apart",
        "revaluation: 4, numpy",
        "cascade of a year",
        "products",
        "contracts of rows",
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
    one, four = result["memory"]["one_account"], result["memory"]["four_accounts"]
    assert one["cells"] == 3 * (20 * 96) and four["cells"] == 4 * one["cells"]
    assert 3 * one["grid_bytes"] < four["grid_bytes"] < 5 * one["grid_bytes"]
    assert all(8 <= each["bytes_per_cell"] <= 16 for each in (one, four))  # whole chunks, whatever is in them
    assert all(value > 0 for value in result["revaluation"].values())


def test_the_position_bench_counts_what_it_says(results: dict[str, dict[str, Any]]) -> None:
    result = results["positions"]
    rows = {row["name"]: row for row in result["rows"]}
    assert set(result["measures"]) == set(rows)
    products, cascade = result["products"], result["cascade"]
    # A year of DE-LU and TTF: 8,760 hours are rows of a table, as their auctions are; no strip is a row.
    assert rows["products"]["events"] == products["objects"] + products["table_rows"]
    assert 0 < products["objects"] < 8_760 < products["table_rows"]
    assert rows["contracts of rows"]["events"] == products["contracts_of_rows"] == 500
    # The year's quarter-hours are taken off, those of its parts added.
    assert cascade["cells_written"] == 2 * 4 * 8_760 and rows["cascade of a year"]["events"] == cascade["lots_moved"]
    for name in ("quarter-hours", "a desk's mix"):
        ways = [rows[f"{name}: {way}"] for way in POSITION_WAYS if way != "run, profit told"]
        assert len({(row["events"], row["fills"]) for row in ways}) == 1


def test_a_run_books_what_the_bench_dealt(tmp_path: Path) -> None:
    """Reports, trades and frames of trades lead to the lots, the money and the kW of the fills, every time."""
    market = desk_market(zones=2)
    fills = mix(market, 200, seed=5)
    dense = Dense(market)
    for _ in range(3):
        dense.fill(fills)
    made = set()
    for nth, kind in enumerate((Run.reports, Run.trades, Run.frames)):
        run = Run(market, tmp_path / f"{nth}")
        play = run.batches(partial(kind, run, fills), 3)
        for _ in range(3):
            play()
        assert run.held() == expected(market, fills, 3)
        assert (dense.of(run.slot.plugin.grid) == dense.held).all() and dense.held.any()
        holdings, samples = run.telling(1)
        assert holdings == len(run.held()) and len(samples) == 1
        made.add(run.made())
        run.close()
    assert len(made) == 1


def test_a_bench_prints_a_table_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "store", "--size", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bench store")
    assert "start-up" in out and "digest: " in out


def test_the_position_bench_says_in_words_what_a_row_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "positions", "--size", "tiny"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "quarter-hours: grid, frames: cells of the position grid alone" in said


def test_the_commit_is_told() -> None:
    before = commit_here()
    told = machine().get("commit", "")
    assert told.removesuffix("-dirty") in (before, commit_here())  # somebody may commit meanwhile


def test_a_venue_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate_outside, "VENUE_MODULE", "no_such_venue")
    desks = operate_outside.outside_desks(tmp_path, dict(os.environ), (1,), 10, 100)
    with pytest.raises(BenchError, match=r"No module named no_such_venue.*install penstock-plugins"), desks:
        pass
