"""A watchdog that cannot begin says in one line why, and ends with the status that nobody starts again."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from pathlib import Path

import pytest

from penstock_kernel.cli.main import main
from penstock_kernel.control.client import ControlCallError, NoAnswer, NotRunning, command, find_instance, vital_signs
from penstock_kernel.control.protocol import CommandRequest
from penstock_kernel.control.restarting import restarting, warden_pid
from penstock_kernel.vitals import Phase, Vitals
from penstock_kernel.warden.process import BAD_INPUT, Warden

DEPLOYMENT = '[run]\nclock = "wall"\n[health]\nlisten = "127.0.0.1:{}"\n'


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return a run folder that a watchdog of this process's number holds."""
    run_dir = tmp_path / "runs" / "desk"
    (run_dir / "control").mkdir(parents=True)
    fd = os.open(run_dir / "control" / "warden.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, f"{os.getpid()}\n".encode())
    (run_dir / "run.json").write_text("{}")
    os.utime(run_dir / "run.json", ns=(1, 1))
    return run_dir


def test_a_folder_that_takes_no_write_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuses)
    assert Warden("desk", tmp_path / "desk", [sys.executable, "-c", ""]).run() == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"watchdog desk: {tmp_path / 'desk'}: Read-only file system; "
        "wanted a folder that this user may write to, by --runs-dir or [run] runs_dir"
    )


def test_a_folder_that_is_a_file_is_one_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plugins.toml").write_text(DEPLOYMENT.format(0))
    (tmp_path / "file").write_text("")
    words = ["run", "--instance", "desk", str(tmp_path / "plugins.toml"), "--runs-dir", str(tmp_path / "file")]
    assert main(words) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "Not a directory" in line


def test_a_second_start_names_the_first_before_it_listens(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:  # the first one's, as the deployment says
        path = held / "plugins.toml"
        path.write_text(DEPLOYMENT.format(first.getsockname()[1]))
        assert main(["run", "--instance", "desk", str(path), "--runs-dir", str(held.parent)]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"watchdog desk: instance desk runs already: its watchdog is pid {os.getpid()}; stop that first"


def test_an_address_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path = tmp_path / "plugins.toml"
        path.write_text(DEPLOYMENT.format(port))
        assert main(["run", "--instance", "desk", str(path), "--runs-dir", str(tmp_path / "runs")]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"watchdog desk: cannot listen on 127.0.0.1:{port}: ") and "already in use" in line


# -- what callers are told while there is a watchdog and no kernel ---------------------------------------------------


def test_an_instance_whose_watchdog_lives_is_found_and_restarts(held: Path) -> None:
    dead = Vitals(held / "vitals")
    dead.phase(Phase.READY)
    dead.cells[1] = 2**22 + 1  # above the highest process number
    assert warden_pid(held) == os.getpid()
    assert find_instance(held.parent) == held
    signs = vital_signs(held)
    assert isinstance(signs, NoAnswer)
    assert str(signs).startswith(f"desk is restarting (watchdog pid {os.getpid()})")


def test_one_that_never_had_a_kernel_starts(held: Path) -> None:
    (held / "run.json").unlink()
    assert find_instance(held.parent) == find_instance(held.parent, "desk") == held
    assert restarting(held).startswith("desk is starting (")


def test_one_whose_kernel_ended_in_order_does_not_come_back(held: Path) -> None:
    dead = Vitals(held / "vitals")
    dead.phase(Phase.ENDED)
    assert " is restarting " in restarting(held)  # it ended before this watchdog began
    os.utime(held / "run.json")
    assert restarting(held) == f"desk has stopped (watchdog pid {os.getpid()} ends as well)"


def test_without_a_watchdog_nothing_restarts(tmp_path: Path) -> None:
    (tmp_path / "desk" / "control").mkdir(parents=True)
    assert restarting(tmp_path / "desk") == ""
    (tmp_path / "desk" / "control" / "warden.lock").write_text("1\n")  # left by one that is gone
    assert warden_pid(tmp_path / "desk") is None
    assert isinstance(vital_signs(tmp_path / "desk"), NotRunning)
    with pytest.raises(ControlCallError):
        find_instance(tmp_path)


def test_a_command_waits_for_the_kernel_as_long_as_it_may(held: Path) -> None:
    told: list[str] = []
    request = CommandRequest(command="kill", reason="x", request="r")
    with pytest.raises(NoAnswer, match=r"^desk is restarting \(watchdog pid "):
        command(held, request, timeout_s=0.3, waits=told.append)
    assert len(told) == 1
