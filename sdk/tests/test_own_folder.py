"""A folder of a process is there as long as it is, and what a killed one left the next removes; others stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_sdk.process.own_folder import OwnFolder, remove_left

HOLDS = """
import signal, sys
from penstock_sdk.process.own_folder import OwnFolder
own = OwnFolder("toy-", [sys.argv[1]])
(own.path / "s").write_text("")
print(own.path, flush=True)
signal.pause()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path):
    argv = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            left = Path(process.stdout.readline().decode().strip())
            assert left.is_dir()
            one = OwnFolder("toy-", [str(tmp_path)])
            assert left.is_dir() and one.path.is_dir()
        finally:
            process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    other = OwnFolder("toy-", [str(tmp_path)])
    assert not left.exists()
    assert one.path.is_dir() and other.path.is_dir()
    for own in (one, other, other):
        own.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_of_another_name_or_has_no_lock_or_is_a_link_stays(tmp_path: Path):
    outside = tmp_path / "outside"
    for folder in (outside, tmp_path / "toy-none", tmp_path / "other-1"):
        folder.mkdir()
    for folder in (outside, tmp_path / "other-1"):
        (folder / "lock").touch()
    (tmp_path / "toy-link").symlink_to(outside)
    (tmp_path / "toy-inner").mkdir()
    (tmp_path / "toy-inner" / "lock").symlink_to(outside / "lock")
    before = sorted(os.listdir(tmp_path))
    assert remove_left("toy-", tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == before
    (tmp_path / "toy-none" / "lock").touch()
    assert remove_left("toy-", tmp_path) == ["toy-none"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder to another")
def test_what_is_another_users_stays(tmp_path: Path):
    (tmp_path / "toy-1").mkdir()
    (tmp_path / "toy-1" / "lock").touch()
    os.chown(tmp_path / "toy-1", 65534, 65534)
    assert remove_left("toy-", tmp_path) == []


def test_the_first_place_that_takes_it_is_taken(tmp_path: Path):
    own = OwnFolder("toy-", [str(tmp_path / "none"), str(tmp_path)])
    assert own.path.parent == tmp_path and own.path.stat().st_mode & 0o777 == 0o700
    own.remove()
    with pytest.raises(OSError, match="No such file or directory"):
        OwnFolder("toy-", [str(tmp_path / "none")])
