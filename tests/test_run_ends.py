"""A run says what ended it: the day, `[run] end`, `--for`; one that was cut and resumed says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_runs import deployment, only_run, records

from penstock_kernel.cli.main import main
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import RunEnd

TICKER = "count = 120"
END = 'end = "2099-01-02T03:00:00"'


@pytest.mark.parametrize(
    ("more", "for_s", "reason"),
    [
        ("", None, "end of day"),
        ("", 10.0**8, "end of day"),
        ("", 60.0, "end of --for"),
        (END, None, "end of [run] end"),
        (END, 60.0, "end of --for"),
    ],
)
def test_the_end_is_named_in_journal_and_run_json(tmp_path: Path, more: str, for_s: float | None, reason: str) -> None:
    path = deployment(tmp_path, ticker=TICKER, run=more)
    arguments = ["run", str(path), "--quiet", "--no-report"]
    assert main(arguments + ([] if for_s is None else ["--for", str(for_s)])) == 0
    run_dir = only_run(tmp_path)
    assert RunInfo.load(run_dir).reason == reason
    assert records(run_dir, RunEnd)[-1].reason == reason
    assert replay(run_dir).digest == RunInfo.load(run_dir).digest


def test_a_run_that_was_cut_ends_as_it_was_to(tmp_path: Path) -> None:
    options = RunOptions(lake=False, for_s=60.0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Run.start(deployment(tmp_path / "whole", ticker=TICKER), options)
    whole.go()
    wanted = whole.close()
    cut = Run.start(deployment(tmp_path / "cut", ticker=TICKER), options)
    cut.kernel.run_simulated(cut.info.first_at_ns + 3 * 10**9)
    cut.abort()
    again = Run.resume(only_run(tmp_path / "cut"), RunOptions(lake=False))
    again.go()
    ended = again.close()
    assert (ended.status, ended.reason) == (wanted.status, wanted.reason) == ("complete", "end of --for")
    assert ended.events == wanted.events


def test_a_warning_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.toml"
    path.write_text('[run]\ndelivery_day = "2099-01-02"\n')
    assert main(["run", str(path), "--runs-dir", str(tmp_path / "runs"), "--quiet", "--no-report"]) == 0
    assert capsys.readouterr().out.count("no venue is enabled") == 1


def test_a_faulty_deployment_is_refused_with_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = deployment(tmp_path, ticker=TICKER, run='sede = 1\nzone = "DE-LX"')
    assert main(["run", str(path)]) == 2
    told = capsys.readouterr().err
    assert "run.sede: unknown key" in told
    assert "run.zone: unknown bidding zone" in told
    assert not (tmp_path / "runs").exists()
