"""A simulation is built once for what goes into it, by one process at a time, and runs what was asked for, or skips."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import sims.builds
import sims.simulators
from sims.builds import BuildError, build_once, digest_of, execute
from sims.simulators import bench_seed, refuses, run_bench


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sims.builds, "BUILDS", tmp_path / "builds")


def test_the_same_inputs_are_built_once_and_others_again(tmp_path: Path) -> None:
    made: list[Path] = []
    source = tmp_path / "a.sv"
    source.write_text("module a; endmodule")

    def build(width: int) -> tuple[Path, bool]:
        return build_once("a", {"sources": digest_of([source]), "parameters": {"WIDTH": width}}, made.append)

    first, was_there = build(8)
    assert not was_there
    assert build(8) == (first, True)
    assert build(9)[0] != first
    source.write_text("module a; wire b; endmodule")
    assert build(8)[0] != first
    assert len(made) == 3


def test_a_failed_build_is_tried_again() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise BuildError("no")

    with pytest.raises(BuildError):
        build_once("a", {}, fail)
    folder, was_there = build_once("a", {}, lambda folder: None)
    assert not was_there
    assert not (folder / "half").exists()


def test_two_at_once_build_once() -> None:
    made: list[Path] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        made.append(folder)
        begun.set()
        assert go_on.wait(30)

    threads = [threading.Thread(target=build_once, args=("a", {}, slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1


def test_old_builds_go_and_used_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    old, _ = build_once("a", {"n": 1}, lambda folder: None)
    used, _ = build_once("a", {"n": 2}, lambda folder: None)
    for folder in (old, used):
        os.utime(folder / ".built", (0, 0))
    assert build_once("a", {"n": 2}, lambda folder: None) == (used, True)
    build_once("a", {"n": 3}, lambda folder: None)
    assert not old.exists() and used.exists()


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    # The child says its process id, then both wait for ever.
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(subprocess.TimeoutExpired):
        execute([sys.executable, "-c", parent], tmp_path, os.environ, tmp_path / "log", 3.0)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 10
    while pid.exists() and Path(f"/proc/{pid.read_text()}/cmdline").exists():
        if not Path(f"/proc/{pid.read_text()}/cmdline").read_bytes():
            break  # ended, and not yet reaped by whoever adopted it
        assert time.monotonic() < deadline, "the child outlived its group"


def test_a_command_ends_with_the_process_that_waits_for_it(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from sims.builds import execute; here = pathlib.Path.cwd();"
        "execute([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'],"
        "        here, os.environ, here / 'log', 600)"
    )
    root = Path(__file__).resolve().parent.parent
    waiting = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)})
    log = tmp_path / "log"
    deadline = time.monotonic() + 30
    try:
        while not (log.is_file() and log.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        waiting.kill()
        waiting.wait()
    place = Path(f"/proc/{int(log.read_text())}/cmdline")
    while place.exists() and place.read_bytes():
        assert time.monotonic() < deadline, "the command outlived the process that waited for it"
        time.sleep(0.01)


def test_the_output_and_the_status_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text in ("one", "two"):
        code = f"import sys; print({text!r}); sys.exit(3)"
        assert execute([sys.executable, "-c", code], tmp_path, os.environ, log, 60.0, append=text == "two") == 3
    assert log.read_text() == "one\ntwo\n"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Let runs neither build nor simulate; return what the benches' processes would be given."""
    pytest.importorskip("cocotb")
    met: list[dict[str, str]] = []

    class Run(sims.simulators._Run):
        def _inputs(self) -> dict[str, object]:
            return {}

        def _build(self, folder: Path) -> None:
            pass

        def _simulate(self, built: Path, env: dict[str, str], *_: object) -> int:
            met.append(env)
            return 0

        def _judge(self, *_: object) -> None:
            pass

    monkeypatch.setattr("find_libpython.find_libpython", lambda: "libpython")
    monkeypatch.setattr("sims.simulators.need_icarus", lambda: None)
    monkeypatch.setattr("sims.simulators._Run", Run)
    monkeypatch.setattr("sims.simulators._asked", set())
    for name in ("BENCH_SIMULATOR", "BENCH_SEED", "COCOTB_TEST_FILTER"):
        monkeypatch.delenv(name, raising=False)
    return met


@pytest.mark.parametrize(
    ("of_user", "of_test", "wanted", "of_cocotb"),
    [("", {}, 7, "1"), ("", {"BENCH_SEED": "3"}, 3, "3"), ("5", {}, 5, "5"), ("5", {"BENCH_SEED": "3"}, 5, "5")],
)
def test_the_seed_is_the_users_or_the_tests_or_the_benchs_own(
    of_user: str, of_test: dict[str, str], wanted: int, of_cocotb: str, given: list[dict[str, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BENCH_SEED", of_user)
    run_bench("frame_header", "no.bench", tmp_path, env=of_test)
    (env,) = given
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert bench_seed(7) == wanted
    assert env["COCOTB_RANDOM_SEED"] == of_cocotb


def test_what_a_bench_runs_only_is_the_users_choice_before_the_tests(
    given: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_bench("frame_header", "no.bench", tmp_path, only="resets")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "edges")
    run_bench("frame_header", "no.bench", tmp_path, only="resets")
    assert [env.get("COCOTB_TEST_FILTER") for env in given] == ["resets", None]


def test_on_one_simulator_two_tests_that_are_the_same_run_once_but_both_skip_where_it_is_missing(
    given: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_missing() -> None:
        pytest.skip("no simulator")

    monkeypatch.setenv("BENCH_SIMULATOR", "icarus")
    with monkeypatch.context() as patch:
        patch.setattr("sims.simulators.need_icarus", is_missing)
        for simulator in ("icarus", "verilator"):
            with pytest.raises(pytest.skip.Exception, match="no simulator"):
                run_bench("frame_header", "no.bench", tmp_path, simulator=simulator)
    assert given == []
    for simulator in ("icarus", "verilator"):
        run_bench("frame_header", "no.bench", tmp_path, simulator=simulator)
    assert len(given) == 1


@pytest.mark.parametrize(
    ("parameters", "message", "told"),
    [
        ("DEPTH=8 COUNT_W=3", "", "^frame_header takes DEPTH=8 COUNT_W=3"),
        ("COUNT_W=3 DEPTH=12", "power of 3", "DEPTH=12, wanted a power of 2.*wanted 'power of 3'"),
    ],
)
def test_a_parameter_that_is_not_refused_or_for_another_reason_is_told(
    parameters: str, message: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=f"(?s){told}"):
        refuses("frame_header", parameters, message, tmp_path)
