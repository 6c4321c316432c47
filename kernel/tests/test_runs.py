"""Proves that a run's folder is never used twice, that run.json is replaced whole, and that runs are found by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock_kernel.runs import LatencyNs, RunError, RunInfo, find_run, list_runs, new_run_dir, write_atomically

STARTED_NS = 1_773_156_612 * 1_000_000_000  # 2026-03-10 15:30:12 UTC


def run_of(runs_dir: Path, run_id: str, started_ns: int = STARTED_NS, **fields: object) -> Path:
    run_dir = runs_dir / run_id
    run_dir.mkdir(parents=True)
    RunInfo(id=run_id, started_ns=started_ns, **fields).save(run_dir)  # type: ignore[arg-type]
    return run_dir


def test_an_id_begins_with_the_start_and_follows_from_what_is_run(tmp_path: Path) -> None:
    first = new_run_dir(tmp_path / "a", started_ns=STARTED_NS, identity="plugins.toml|1")
    again = new_run_dir(tmp_path / "b", started_ns=STARTED_NS, identity="plugins.toml|1")
    other = new_run_dir(tmp_path / "b", started_ns=STARTED_NS, identity="plugins.toml|2")
    assert first.name.startswith("20260310-153012-")
    assert first.name == again.name != other.name


def test_a_folder_is_never_used_again(tmp_path: Path) -> None:
    names = [new_run_dir(tmp_path, started_ns=STARTED_NS, identity="same").name for _ in range(5)]
    assert len(set(names)) == 5


def test_runs_that_cannot_be_kept_say_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make a run's folder in .*file.*--runs-dir$"):
        new_run_dir(tmp_path / "file", started_ns=STARTED_NS)


def test_run_json_round_trips(tmp_path: Path) -> None:
    info = RunInfo(id="x", seed=7, versions={"a": "1"}, tick_to_order=LatencyNs(3, 1, 2, 3, 4), extra={"n": 1.5})
    info.save(tmp_path)
    assert RunInfo.load(tmp_path) == info


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_whose_process_is_gone_reads_crashed() -> None:
    assert RunInfo(id="x", status="running", pid=os.getpid()).state == "running"
    assert RunInfo(id="x", status="running", pid=2**22 + 1).state == "crashed"
    assert RunInfo(id="x", status="complete", pid=2**22 + 1).state == "complete"


def test_runs_are_listed_by_start_and_strangers_left_out(tmp_path: Path) -> None:
    run_of(tmp_path, "b", STARTED_NS)
    run_of(tmp_path, "a", STARTED_NS + 1)
    (tmp_path / "notes").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text('{"id": 3')
    assert [info.id for info in list_runs(tmp_path)] == ["b", "a"]
    assert list_runs(tmp_path / "missing") == []


def test_a_run_is_found_by_latest_prefix_and_path(tmp_path: Path) -> None:
    old = run_of(tmp_path, "20260310-153012-a1b2", STARTED_NS)
    new = run_of(tmp_path, "20260311-090000-c3d4", STARTED_NS + 10**9)
    assert find_run(tmp_path, "latest") == new
    assert find_run(tmp_path, "20260310") == old
    assert find_run(tmp_path, str(old)) == old


def test_an_id_that_begins_another_is_still_found(tmp_path: Path) -> None:
    short = run_of(tmp_path, "day")
    run_of(tmp_path, "day2")
    assert find_run(tmp_path, "day") == short


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2026", r"^run '2026' is ambiguous in .*: 20260310-a, 20260310-b; give more of the id$"),
        ("1999", r"^run '1999' is not in .*; there are 20260310-a, 20260310-b, and `latest`$"),
    ],
)
def test_a_run_that_is_not_one_lists_those_there_are(tmp_path: Path, name: str, message: str) -> None:
    run_of(tmp_path, "20260310-a")
    run_of(tmp_path, "20260310-b")
    with pytest.raises(RunError, match=message):
        find_run(tmp_path, name)


def test_no_runs_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="^no runs in .*penstock run"):
        find_run(tmp_path)
