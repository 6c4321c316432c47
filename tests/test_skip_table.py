"""Proves the end of a run: each skip is listed with its reason, and fails the run where the real data is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

SKIPS = """
import pytest

def test_on_real_data(shared_dir):
    assert shared_dir.is_dir()

@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.skip(reason="no simulator")
def test_bench(width): ...

def test_plain(): ...
"""


@pytest.fixture
def project(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> pytest.Pytester:
    """A project with the repository's own conftest, in a temporary folder."""
    pytester.makeconftest((request.config.rootpath / "conftest.py").read_text())
    return pytester


def test_unset_skips_are_listed_with_reason_and_pass(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_SHARED", raising=False)
    project.makepyfile(test_it=SKIPS)
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.re_match_lines(
        [
            r"=+ skipped, and why =+",
            r" +2  test_it.py::test_bench +no simulator",
            r" +1  test_it.py::test_on_real_data +PENSTOCK_SHARED is not set",
        ]
    )
    result.stdout.no_fnmatch_line("*FAILED*")
    assert result.ret == pytest.ExitCode.OK


def test_set_a_skip_fails_the_run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_SHARED", str(tmp_path))
    project.makepyfile(test_it=SKIPS)
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["FAILED: 2 skipped, but PENSTOCK_SHARED is set, so every test must run"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_set_a_module_skipped_at_import_fails_the_run(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_SHARED", str(tmp_path))
    project.makepyfile(test_it="import pytest\npytest.importorskip('no_such_module')\ndef test_a(): ...\n")
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*1  test_it.py *no_such_module*", "FAILED: 1 skipped*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_set_and_nothing_skipped_passes(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_SHARED", str(tmp_path))
    project.makepyfile(test_it="def test_on_real_data(shared_dir):\n    assert shared_dir.is_dir()\n")
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["skipped: nothing"])
    assert result.ret == pytest.ExitCode.OK


def test_set_to_no_folder_fails_and_names_it(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SHARED", "/no/such/folder")
    project.makepyfile(test_it="def test_on_real_data(shared_dir): ...\n")
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*PENSTOCK_SHARED is /no/such/folder, which is no folder*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
