"""A disk that is full lets every cancel leave and no order, ends the run as failed, and says what it wanted."""

from __future__ import annotations

import errno
import os
import resource
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loop_compare import violations
from loop_plugins import InnerVenue
from loop_runs import deployment, entries, only_run, records, resume_child, run_child, wait_for, witness

from penstock_kernel.cli.main import main
from penstock_kernel.journal import Journal
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import IntentAction, Order
from penstock_sdk.wire.segment import verify

ROOM_BYTES = 60_000


def little_room() -> None:
    """In a child: no file may grow beyond ROOM_BYTES; a write beyond fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, resource.RLIM_INFINITY))


def test_cancels_leave_orders_do_not_and_the_run_can_be_resumed_once_there_is_room(tmp_path: Path) -> None:
    path = deployment(tmp_path, clock="wall", venue="loop_venue", socket="w.sock", ticker="step_us = 500")
    with witness(tmp_path, seed=5) as seen:
        child = run_child(tmp_path, path, cwd=tmp_path, preexec_fn=little_room)
        assert child.wait() == 1, child.text()
        run_dir = only_run(tmp_path)
        info = RunInfo.load(run_dir)
        assert info.status == "failed"
        for said in (info.reason, child.text()):
            assert "000000000001.pj: EFBIG" in said
            assert "bytes wanted" in said
            assert "frames could not be written" in said
        wait_for(lambda: not open_at(seen.lines()), "the witness to have taken every cancel")
        held = {entry.seq for entry in entries(run_dir)}
        log = seen.lines()
        assert all(line["seq"] in held for line in log if line.get("got") == "new")
        unwritten = [line for line in log if line.get("got") in ("cancel", "ack") and line["seq"] not in held]
        assert any(line["got"] == "cancel" for line in unwritten)  # they were not held back by the disk
        for line in unwritten:
            assert Order.layout.unpack(bytes.fromhex(line["body"])).action == IntentAction.CANCEL
        assert verify(run_dir / "journal").torn_bytes == 0
        assert replay(run_dir).events == max(held)

        # There is room again: what the venue said meanwhile is heard, and both sides agree.
        child = resume_child(tmp_path, cwd=tmp_path)
        wait_for(lambda: len(seen.lines()) > len(log) + 50, "trade to go on")
        child.signal(signal.SIGUSR1)
        wait_for(lambda: not open_at(seen.lines()), "all orders to be cancelled")
        child.signal(signal.SIGINT)
        assert child.wait() == 0, child.text()
        log = [line for line in seen.lines() if line not in unwritten]
    assert violations(entries(run_dir), log, ended=False) == []
    assert replay(run_dir).digest == RunInfo.load(run_dir).digest


def open_at(log: list[dict[str, Any]]) -> set[int]:
    """Return the orders that the witness has and that are not over."""
    left: dict[int, int] = {}
    for line in log:
        if line.get("got") == "new":
            left[line["id"]] = line["qty"]
        elif "said" in line and line["said"]["id"] in left:
            left[line["said"]["id"]] = line["said"]["leaves"]
    return {order_id for order_id, lots in left.items() if lots}


class SmallDisk:
    """The module `os`, with room for so many bytes of journal, and for nothing once that is used up."""

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def writev(self, fd: int, buffers: list[Any]) -> int:
        """Write what there is room for; fail when there is none."""
        data = b"".join(buffers)[: self.room_bytes]
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room_bytes -= len(data)
        return os.write(fd, data)


def test_a_run_in_simulated_time_fails_by_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deployment(tmp_path, ticker="count = 400")
    monkeypatch.setattr(Journal, "create", partial(Journal.create, files=SmallDisk(ROOM_BYTES)))
    InnerVenue.sent.clear()
    assert main(["run", str(path), "--quiet", "--no-report"]) == 1
    said = capsys.readouterr().out
    assert "failed: " in said
    assert "ENOSPC" in said
    assert "the torn part is cut off again" in said
    run_dir = only_run(tmp_path)
    written = {entry.seq: entry.record for entry in entries(run_dir)}
    left = [written.get(seq) for seq in InnerVenue.sent]
    assert all(order is not None for order in left[:-6])
    for seq in InnerVenue.sent:  # what left unwritten is a cancel: the journal has every new order
        assert seq in written or seq > max(written)
    assert replay(run_dir).events == max(written)
    assert sum(order.action == IntentAction.NEW for order in records(run_dir, Order)) > 10


def test_a_disk_that_takes_not_even_the_last_word_still_ends_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = deployment(tmp_path, ticker="count = 400")
    monkeypatch.setattr(Journal, "create", partial(Journal.create, files=SmallDisk(ROOM_BYTES)))
    run = Run.start(path, RunOptions(lake=False))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("penstock_kernel.runs.write_atomically", full)
    monkeypatch.setattr(run.kernel, "_log", full)
    run.go()
    info = run.close()
    assert info.status == "failed"
    assert "bytes wanted" in info.reason
    assert "its folder cannot be written: [Errno 28]" in info.reason
    run._log.close()
