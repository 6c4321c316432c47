"""The run's log: a JSON object a line whatever is logged, rotated by size also where that fails, read and followed."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kernel.tests.toy_market import kernel_in
from penstock_kernel.cli.logs import follow_lines, print_logs
from penstock_kernel.runs import RunError, RunInfo
from penstock_kernel.telemetry.ids import span_id, trace_id
from penstock_kernel.telemetry.runlog import RunLog, entries, log_files, log_line, shown_entry, utc_text
from penstock_sdk.events import Severity


def line(text: str = "hello", severity: Severity = Severity.INFO, plugin: str = "mm", **fields: Any) -> str:
    return log_line(
        severity, plugin, text, fields, at_ns=1_773_130_500_000_000_001, wall_ns=7, seq=812, correlation_seq=809,
        instance="desk-de",
    )  # fmt: skip


def read(run_dir: Path, **wanted: Any) -> list[str]:
    lines = [one for path in log_files(run_dir) for one in path.read_bytes().splitlines(keepends=True)]
    return [entry.text for entry in entries(lines, **wanted)]


def test_a_line_says_when_who_what_and_which_trace():
    assert json.loads(line("quote is old", Severity.WARNING, age_s=3)) == {
        "time": "2026-03-10T08:15:00.000000001Z", "severity": "warning", "plugin": "mm", "text": "quote is old",
        "fields": {"age_s": 3}, "seq": 812, "correlation_seq": 809, "wall_ns": 7,
        "trace_id": f"{trace_id('desk-de', 809):032x}",
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"a": np.int64(3)}, {"a": {1, 2}}, {"a": object}, {"a": b"\xff"}, {"a": float("nan")}, {"a": "\ud800"},
        {"a": {(1, 2): 3}}, {"a": 2**70}, {"a": lambda: None},
    ],
    ids=lambda fields: str(type(fields["a"]).__name__),
)  # fmt: skip
def test_whatever_is_logged_is_one_line_of_json(fields: dict[str, Any]):
    text = line("odd\nfield \ud800", **fields)
    assert text.count("\n") == 1 and text.endswith("\n")
    assert set(json.loads(text)["fields"]) == {"a"}


def test_a_field_that_holds_itself_does_not_end_the_run():
    loop: list[Any] = []
    loop.append(loop)
    assert json.loads(line(loop=loop))["fields"]["loop"] == "[[...]]"


def test_a_time_beyond_the_calendar_is_its_number():
    assert utc_text(0) == "1970-01-01T00:00:00.000000000Z"
    assert utc_text(-1) == "1969-12-31T23:59:59.999999999Z"
    assert utc_text(2**63 - 1).startswith("2262-04-11T23:47:16")
    assert utc_text(10**30) == str(10**30)


def test_full_files_are_kept_so_many_and_the_oldest_goes(tmp_path: Path):
    size = len(line("n0"))
    log = RunLog(tmp_path, max_bytes=2 * size, keep=2)
    for n in range(9):
        log.write(line(f"n{n}"))
    log.close()
    assert [path.name for path in log_files(tmp_path)] == ["log.2.jsonl", "log.1.jsonl", "log.jsonl"]
    assert read(tmp_path) == ["n4", "n5", "n6", "n7", "n8"]
    assert all(path.stat().st_size <= 2 * size for path in log_files(tmp_path))


def test_without_old_files_only_the_newest_stands(tmp_path: Path):
    log = RunLog(tmp_path, max_bytes=len(line("n0")), keep=0)
    for n in range(3):
        log.write(line(f"n{n}"))
    log.close()
    assert read(tmp_path) == ["n2"]


class Failing:
    """Calls what it stands for, except a given number of times, from a given call on, when the system refuses."""

    def __init__(self, real: Callable[..., Any], times: int, after: int = 0) -> None:
        self.real, self.times, self.after = real, times, after

    def __call__(self, *arguments: Any) -> Any:
        self.after -= 1
        if self.after < 0 < self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return self.real(*arguments)


@pytest.mark.parametrize("what", ["open", "first rename", "second rename", "last rename"])
def test_a_rotation_that_fails_keeps_its_file_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    size = len(line("n0"))
    log = RunLog(tmp_path, max_bytes=size, keep=6)
    for n in range(3):
        log.write(line(f"n{n}"))
    if what == "open":
        monkeypatch.setattr("penstock_kernel.telemetry.runlog.os.open", Failing(os.open, 1))
    else:
        after = ["first rename", "second rename", "last rename"].index(what)
        after = after if after < 2 else 3
        failing = Failing(Path.replace, 1, after)
        monkeypatch.setattr(Path, "replace", lambda path, to: failing(path, to))
    log.write(line("n3"))  # the rotation fails: it goes to the full file
    monkeypatch.undo()
    with (tmp_path / "journal").open("wb") as other:  # takes the lowest number that is free
        log.write(line("n4"))
        assert os.fstat(other.fileno()).st_size == 0
    log.write(line("n5"))
    log.close()
    assert read(tmp_path) == [f"n{n}" for n in range(6)]
    assert not (tmp_path / "log.next.jsonl").exists()
    assert len(log_files(tmp_path)) == 5


def test_rotations_that_go_on_failing_raise_before_the_file_is_twice_its_size_and_leave_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    size = len(line("n0"))
    log = RunLog(tmp_path, max_bytes=2 * size)
    before = len(os.listdir("/proc/self/fd"))
    failing = Failing(Path.replace, 100)
    monkeypatch.setattr(Path, "replace", lambda path, to: failing(path, to))
    for n in range(4):
        log.write(line(f"n{n}"))
    with pytest.raises(OSError, match="too many open files"):
        log.write(line("n4"))
    assert len(os.listdir("/proc/self/fd")) == before
    monkeypatch.undo()
    log.write(line("n5"))
    log.close()
    assert read(tmp_path) == ["n0", "n1", "n2", "n3", "n5"]


def test_a_closed_log_writes_nowhere(tmp_path: Path):
    log = RunLog(tmp_path)
    log.close()
    with (tmp_path / "journal").open("wb") as other:
        with pytest.raises(OSError, match="Bad file descriptor"):
            log.write(line())
        assert os.fstat(other.fileno()).st_size == 0


def test_a_line_that_a_full_disk_tears_is_told_and_tears_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = RunLog(tmp_path)
    log.write(line("before"))
    write = os.write
    monkeypatch.setattr("penstock_kernel.telemetry.runlog.os.write", lambda fd, data: write(fd, data[:20]))
    with pytest.raises(OSError, match=r"No space left on device, 20 of \d+ bytes"):
        log.write(line("torn"))
    monkeypatch.undo()
    log.write(line("after"))
    log.close()
    assert read(tmp_path) == ["before", "after"]


def test_a_log_goes_on_after_a_crash_that_tore_its_last_line(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text(line("before") + '{"time":"20')
    log = RunLog(tmp_path)
    log.write(line("after"))
    log.close()
    log.close()
    assert read(tmp_path) == ["before", "after"]


def test_entries_are_chosen_by_plugin_and_severity():
    lines = [line("a").encode(), line("b", Severity.ERROR).encode(), line("c", Severity.ERROR, "risk").encode(), b"x\n"]
    assert [e.text for e in entries(lines)] == ["a", "b", "c"]
    assert [e.text for e in entries(lines, min_severity=Severity.WARNING)] == ["b", "c"]
    assert [e.text for e in entries(lines, plugin="mm", min_severity=Severity.WARNING)] == ["b"]
    assert shown_entry(next(entries([line("two\nlines", x=1).encode()]))) == (
        "2026-03-10T08:15:00.000Z info     mm: two lines x=1  [seq 812]"
    )


def test_a_follower_sees_every_line_over_a_rotation_and_ends_with_the_run(tmp_path: Path):
    size = len(line("n0"))
    log = RunLog(tmp_path, max_bytes=2 * size, keep=3)
    log.write(line("n0"))
    written = iter(range(1, 8))
    over = False

    def wait(_seconds: float) -> None:
        nonlocal over
        number = next(written, None)
        if number is None:
            over = True
        else:
            log.write(line(f"n{number}"))

    texts = [entry.text for entry in entries(follow_lines(tmp_path, lambda: over, wait))]
    log.close()
    assert texts == [f"n{n}" for n in range(8)]


def test_a_follower_joins_a_line_that_comes_in_two_pieces(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    whole = line("whole").encode()
    path.write_bytes(whole[:20])
    over = False

    def wait(_seconds: float) -> None:
        nonlocal over
        with path.open("ab") as file:
            file.write(whole[20:])
        over = True

    assert list(follow_lines(tmp_path, lambda: over, wait)) == [whole]


def test_a_follower_of_a_run_that_never_logged_ends_with_it(tmp_path: Path):
    assert list(follow_lines(tmp_path, lambda: True)) == []


def test_the_command_prints_what_a_run_logged(tmp_path: Path):
    run_dir = tmp_path / "20260310-134000-a1b2"
    run_dir.mkdir()
    RunInfo(id=run_dir.name, status="complete").save(run_dir)
    log = RunLog(run_dir)
    log.write(line("quiet"))
    log.write(line("loud", Severity.ERROR, price=5))
    log.close()
    out = io.StringIO()
    console = Console(file=out, highlight=False, soft_wrap=True)
    assert print_logs(tmp_path, "latest", console, min_severity="warning", follow=True) == 0
    assert out.getvalue() == "2026-03-10T08:15:00.000Z error    mm: loud price=5  [seq 812]\n"
    assert print_logs(tmp_path, "latest", console, as_json=True) == 0
    assert json.loads(out.getvalue().splitlines()[1])["text"] == "quiet"
    with pytest.raises(RunError, match="is not in"):
        print_logs(tmp_path, "none", console)


def test_what_a_kernel_logs_has_its_event_and_its_trace(tmp_path: Path):
    folder = tmp_path / "desk-de"
    lines: list[str] = []
    kernel = kernel_in(folder, log=lines.append)
    kernel.moment.seq, kernel.moment.correlation_seq = 9, 8
    kernel.write_log(Severity.ERROR, "mm", "broken", {"by": 1})
    (entry,) = entries([lines[0].encode()])
    assert (entry.text, entry.severity, entry.seq, entry.correlation_seq) == ("broken", "error", 9, 8)
    assert entry.trace_id == f"{trace_id('desk-de', 8):032x}"
    kernel.close()


def test_ids_differ_by_instance_and_number_and_are_never_nothing():
    ids = {trace_id(instance, n) for instance in ("a", "b") for n in range(100)}
    assert len(ids) == 200 and 0 not in ids
    assert len({span_id("a", what, n) for what in ("order", "input") for n in range(100)}) == 200
