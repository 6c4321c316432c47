"""A run in real time can be asked while it runs: each answer has every event written so far, in order, up to one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from day_runs import DEADLINE_S, deployment, only_run, penstock, wait_for

import penstock as data
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.segment import JournalError, read_frames

BUSY = {
    "exchange": "orders_per_day = 1_000_000\nstep_s = 0.1",
    "mm_de": "requote_s_min = 0.2\nhalf_spread_ticks = 1\nunrest_weight = 0.0",
}
Starting = Callable[..., tuple[subprocess.Popen[bytes], Path]]


def written(run_dir: Path) -> tuple[int, Counter[str]]:
    """Return the number of the journal's last event, and its events by table; read as plainly as can be."""
    last, counts = -1, Counter[str]()
    for frame in read_frames(run_dir / "journal"):
        counts[schema_by_id(frame.schema_id).plural] += frame.count
        last = frame.seq + frame.count - 1
    return last, counts


def has_traded(folder: Path) -> bool:
    runs = [path.parent for path in folder.glob("runs/*/run.json")]
    try:
        return bool(runs) and written(runs[0])[1]["execution_reports"] > 20
    except JournalError:  # it is just being made
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starting]:
    """Return a function that starts a run in real time and waits until it trades: (process, run's folder)."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> tuple[subprocess.Popen[bytes], Path]:
        now = datetime.now(ZoneInfo("Europe/Berlin"))
        day = (now + timedelta(days=now.hour >= 18)).date().isoformat()  # one that trades now
        command = [sys.executable, "-m", "penstock_kernel.cli.main", "run", str(deployment(tmp_path, BUSY))]
        command += ["--clock", "wall", "--day", day, "--quiet", *options]
        with (tmp_path / "out.txt").open("wb") as out:
            process = subprocess.Popen(
                command, cwd=tmp_path, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        processes.append(process)
        wait_for(lambda: has_traded(tmp_path) or process.poll() is not None, "trades of ours")
        assert process.poll() is None, (tmp_path / "out.txt").read_text()
        return process, only_run(tmp_path / "runs").dir

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check_whole(run: data.RunData) -> None:
    """Check that the tables hold every number from the first event to the last that the run is said to be read to."""
    counts = run.tables()
    seqs = " UNION ALL ".join(f'SELECT seq FROM "{table}"' for table in counts)
    (told,) = run.sql(f"SELECT count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS a, max(seq) AS z FROM ({seqs})")
    assert told["z"] == run.last_seq
    assert told["n"] == told["d"] == told["z"] - told["a"] + 1


@pytest.mark.parametrize("options", [(), ("--no-report",)], ids=["lake", "no-report"])
def test_an_answer_has_all_that_was_written_before_it_was_asked(start: Starting, options: tuple[str, ...]) -> None:
    process, run_dir = start(*options)
    with data.open_run(str(run_dir)) as held:
        for _ in range(6):
            before, counts = written(run_dir)
            with data.open_run(str(run_dir)) as run:
                assert run.last_seq >= before
                assert run.info.state == "running"
                check_whole(run)
                assert {table: n for table, n in run.tables().items() if n < counts[table]} == {}
            wait_for(held.refresh, "another event", 0.02)
            assert held.last_seq >= before
            check_whole(held)
        assert len(held.fills()) > 0
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        last_seq, counts = written(run_dir)
        held.refresh()
        assert (held.last_seq, held.tables()) == (last_seq, counts)
        with data.open_run(str(run_dir)) as run:
            assert (run.info.state, run.last_seq, run.tables()) == ("complete", last_seq, counts)


def test_a_run_whose_process_died_is_read_to_its_last_event(start: Starting) -> None:
    process, run_dir = start()
    os.killpg(process.pid, signal.SIGKILL)  # the lake's process too: what it had not written stands in the journal
    process.wait(DEADLINE_S)
    last_seq, counts = written(run_dir)
    with data.open_run(str(run_dir)) as run:
        assert (run.info.state, run.last_seq, run.tables()) == ("crashed", last_seq, counts)
        check_whole(run)
    asked = penstock("query", run_dir, "select count(*) as n from trades", "--format", "csv", cwd=run_dir)
    assert (asked.status, asked.out) == (0, f"n\n{counts['trades']}\n")
    assert asked.err == f"run {run_dir.name} is crashed, read up to event {last_seq:,}\n"
