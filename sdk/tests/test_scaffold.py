"""Proves that a new plugin of every kind is sound at once, and that nothing is ever written over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penstock_sdk.cli.main import main
from penstock_sdk.cli.manifest import check_manifests
from penstock_sdk.conform.driver import ProcessDriver
from penstock_sdk.conform.host import Patience
from penstock_sdk.conform.runner import run_kit
from penstock_sdk.conform.target import opener_of
from penstock_sdk.discovery import read_path
from penstock_sdk.manifest import KINDS, ManifestSource, parse_manifest
from penstock_sdk.manifest_schema import packaged_schema
from penstock_sdk.scaffold.manifests import manifest_toml
from penstock_sdk.scaffold.writing import FAR_KINDS, ScaffoldError, write_plugin

BESIDE = {"LICENSE", "README.md", "plugin.schema.json", "plugin.toml"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of a new plugin in Python by its kind."""
    parent = tmp_path_factory.mktemp("new")
    return {kind: write_plugin(f"scaffolded_{kind}", kind, "python", parent).folder for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_has_no_faults_and_no_warnings(kind: str, folders: dict[str, Path]):
    folder = folders[kind]
    assert check_manifests(folder, load=True) == ([f"{folder}: no faults: {kind} scaffolded_{kind} 0.1.0"], 0)
    names = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert names >= BESIDE | {f"scaffolded_{kind}.py", f"test_scaffolded_{kind}.py"}
    assert (folder / "plugin.toml").read_text().startswith("#:schema ./plugin.schema.json\n")
    assert (folder / "plugin.schema.json").read_text() == packaged_schema()
    for path in folder.iterdir():
        assert path.is_dir() or "emplate" not in path.read_text(), path


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_conforms(kind: str, folders: dict[str, Path]):
    report = run_kit(opener_of([str(folders[kind])]), kind, target=kind, patience=Patience(10.0, 0.05))
    failed = [f"{result.id}: {result.met}" for result in report.results if result.outcome == "failed"]
    assert failed == []
    assert report.count("passed") > 40


def test_the_tests_of_new_plugins_pass(folders: dict[str, Path]):
    parent = folders["venue"].parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(parent), str(parent)],
        capture_output=True, text=True, timeout=100, cwd=parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:]


def test_the_checks_of_new_plugins_read_like_ours(folders: dict[str, Path]):
    """A person's first lines are to be an example: no line is longer than ours may be."""
    for folder in folders.values():
        for path in folder.glob("*.py"):
            assert max(map(len, path.read_text().splitlines())) <= 120, path


@pytest.mark.parametrize("kind", FAR_KINDS)
@pytest.mark.parametrize("language", ["go", "node"])
def test_a_new_plugin_in_another_language_has_a_sound_manifest_and_its_library(
    kind: str, language: str, tmp_path: Path
):
    made = write_plugin("far_one", kind, language, tmp_path)
    (found,) = read_path(made.folder, {kind: (1,)})
    code = (made.folder / {"go": "main.go", "node": "plugin.js"}[language]).read_text()
    assert found.command_for()[0] == {"go": str(made.folder / "far_one"), "node": "node"}[language]
    assert code.count("far_one") == 1 and f"{language}_{kind}" not in code
    library = {"go": "go/src/penstock/plugin.go", "node": "penstock/package.json"}[language]
    assert (made.folder / library).is_file()
    assert {path.name for path in made.folder.iterdir()} >= BESIDE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Venue", "name met 'My-Venue', wanted small letters, digits and _, as my_venue"),
        ("../x", "name met '../x', wanted small letters"),
        ("1st", "name met '1st', wanted small letters"),
        ("", "name met '', wanted small letters"),
        ("x" * 49, "name met 49 characters, wanted at most 48"),
        ("json", "name met json, which Python has for itself; choose another"),
        ("lambda", "name met lambda, which Python has for itself; choose another"),
        ("numpy", "name met numpy, and a module of that name is installed; choose another"),
    ],
)
def test_a_name_that_will_not_do_is_told_and_nothing_is_written(name: str, said: str, tmp_path: Path):
    with pytest.raises(ScaffoldError, match=f"^{said}"):
        write_plugin(name, "venue", "python", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_template_for_other_kinds_in_other_languages(tmp_path: Path):
    with pytest.raises(ScaffoldError, match="^go has templates of kind venue and strategy, met risk; write it in pyth"):
        write_plugin("fine", "risk", "go", tmp_path)
    with pytest.raises(ScaffoldError, match="^kind met stratgy, did you mean strategy"):
        write_plugin("fine", "stratgy", "python", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ScaffoldError, match=f"^{tmp_path}/mine is there already, and nothing is written over"):
        write_plugin("mine", "feed", "python", tmp_path)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import penstock_sdk.scaffold.writing as writing

    def no_room() -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "packaged_schema", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_plugin("half_way", "feed", "python", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plugin", "new", "told_of", "--kind", "model", "--folder", str(tmp_path)], []) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path}/told_of: model told_of, LICENSE, README.md, ")
    assert f"  cd {tmp_path}/told_of\n" in out and "penstock conform . --kind model\n" in out
    assert main(["plugin", "new", "told_of", "--kind", "model", "--folder", str(tmp_path)], []) == 2
    assert "told_of is there already" in capsys.readouterr().err


def test_every_manifest_says_its_kind_in_words():
    for kind in KINDS:
        text = manifest_toml("x", kind, "python", "X").replace('config_schema = "config.schema.json"', "")
        (found,) = parse_manifest(text, ManifestSource("plugin.toml", "."))
        assert (found.id, found.kind, bool(found.description)) == ("x", kind, True)


def test_the_driver_of_a_new_venue_moves_its_market(folders: dict[str, Path]):
    driver = ProcessDriver([sys.executable, str(folders["venue"] / "driver.py")])
    try:
        opener = opener_of([str(folders["venue"])])
        report = run_kit(
            opener, "venue", target="venue", driver=driver, patience=Patience(10.0, 0.05), only=["market.*"]
        )
    finally:
        driver.close()
    passed = {result.id for result in report.results if result.outcome == "passed"}
    assert passed >= {"market.fill", "market.part_fill", "market.reject"}
    assert report.count("failed") == 0
