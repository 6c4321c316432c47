"""Whoever may not look at an instance is told whose it is, not that nothing runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock_kernel.control import client
from penstock_kernel.control.client import ControlCallError, NotRunning, find_instance
from penstock_kernel.runs import RunInfo
from penstock_kernel.vitals import Phase, Vitals


def instance(folder: Path) -> Path:
    run_dir = folder / "desk-de"
    run_dir.mkdir()
    Vitals(run_dir / "vitals").phase(Phase.READY)
    return run_dir


@pytest.mark.parametrize("name", [None, "desk-de"])
def test_another_users_instance_is_named_with_its_owner(
    tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance(tmp_path)
    monkeypatch.setattr(client.os, "access", lambda path, mode: False)
    monkeypatch.setattr(client.os, "geteuid", lambda: 4_000_000_000)
    wanted = rf"^instance desk-de is of user .*\(uid {os.getuid()}\), and you are uid 4000000000;"
    with pytest.raises(ControlCallError, match=wanted):
        find_instance(tmp_path, name)


def test_the_only_instance_that_runs_is_found(tmp_path: Path) -> None:
    run_dir = instance(tmp_path)
    assert find_instance(tmp_path, None) == run_dir
    with pytest.raises(NotRunning, match=r"^no instance runs in "):
        find_instance(tmp_path / "desk-de")


def test_the_only_instance_there_is_says_when_it_stopped_and_why(tmp_path: Path) -> None:
    Vitals(instance(tmp_path) / "vitals").phase(Phase.ENDED)
    RunInfo(
        id="desk-de",
        instance="desk-de",
        status="complete",
        reason="stopped by alice: lunch",
        ended_ns=1_773_100_000_000_000_000,
    ).save(tmp_path / "desk-de")
    trial = tmp_path / "20260310-153012-a1b2"  # a run by itself, which is over, too
    trial.mkdir()
    Vitals(trial / "vitals").phase(Phase.ENDED)
    RunInfo(id=trial.name, status="complete", ended_ns=1).save(trial)
    wanted = r"^desk-de is not running; last stopped 2026-03-09 23:46:40 UTC, complete: stopped by alice: lunch$"
    with pytest.raises(NotRunning, match=wanted):
        find_instance(tmp_path)


def test_of_several_that_are_over_the_names_are_told(tmp_path: Path) -> None:
    for name in ("desk-de", "desk-fr"):
        (tmp_path / name).mkdir()
        Vitals(tmp_path / name / "vitals").phase(Phase.ENDED)
        RunInfo(id=name, instance=name, status="complete", ended_ns=1).save(tmp_path / name)
    with pytest.raises(NotRunning, match=r"^no instance runs in .*; known there: desk-de, desk-fr; start one with"):
        find_instance(tmp_path)


def test_a_failure_that_the_disk_had_no_room_for_is_told_from_the_signs_of_life(tmp_path: Path) -> None:
    run_dir = instance(tmp_path)
    info = RunInfo(id="desk-de", instance="desk-de")
    info.save(run_dir)
    with pytest.raises(NotRunning, match=r"; it ended without a word, as in a crash or a kill -9$"):
        fail(run_dir, "")
    wanted = r"^desk-de is not running; it ended with: journal failed: no space left on the device$"
    with pytest.raises(NotRunning, match=wanted):
        fail(run_dir, "journal failed: no space left on the device")
    info.status, info.reason, info.ended_ns = "complete", "end of day", 1  # of the session before
    info.save(run_dir)
    with pytest.raises(NotRunning, match=wanted):
        fail(run_dir, "journal failed: no space left on the device")
    with pytest.raises(NotRunning, match=r"last stopped 1970-01-01 00:00:00 UTC, complete: end of day$"):
        fail(run_dir, "end of day")


def fail(run_dir: Path, reason: str) -> None:
    """Let a kernel say its last, and ask for it."""
    vitals = Vitals(run_dir / "vitals")
    vitals.tell(reason)
    vitals.phase(Phase.FAILED)
    vitals.close()
    find_instance(run_dir.parent)
