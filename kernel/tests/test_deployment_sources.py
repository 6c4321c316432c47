"""An id is one plugin's: what takes it from two places is refused with both, and a pin says which package is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_kernel.deployment import load_deployment, read_deployment
from penstock_sdk.packages import install, pack

SINGLE = """# /// penstock
# id = "lone"
# version = "{version}"
# kind = "model"
# contract = "model/1..1"
# class = "Lone"
# ///
from penstock_sdk.plugin import Model


class Lone(Model):
    deterministic = True
"""


def single(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lone.py"
    file.write_text(SINGLE.format(version=version))
    return file


def told(folder: Path, text: str) -> list[tuple[int, str, str, str]]:
    """Return line, severity, message and way out of every problem but that no venue is there."""
    (folder / "plugins.toml").write_text(text)
    _, problems = read_deployment(folder / "plugins.toml")
    return [(p.line, p.severity, p.message, p.way_out) for p in problems if "no venue" not in p.message]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where packages are installed."""
    monkeypatch.setenv("PENSTOCK_PLUGINS", str(tmp_path / "installed"))
    return tmp_path / "installed"


def test_two_tables_that_take_an_id_from_two_places_are_refused_with_both(tmp_path: Path, plugins: Path):
    first, second = single(tmp_path / "a", "1.0"), single(tmp_path / "b", "2.0")
    text = '[plugins.x]\nuse = "lone"\npath = "a/lone.py"\n[plugins.y]\nuse = "lone"\npath = "b/lone.py"\n'
    assert told(tmp_path, text) == [
        (
            5,
            "error",
            f'"lone" is claimed by 1.0 of {first} and 2.0 of {second}',
            "give plugins.x and plugins.y the same",
        )
    ]


def test_two_tables_may_use_one_plugin(tmp_path: Path, plugins: Path):
    single(tmp_path / "a", "1.0")
    table = 'use = "lone"\npath = "a/lone.py"\n'
    assert told(tmp_path, f"[plugins.x]\n{table}[plugins.y]\n{table}") == []


def test_the_fault_of_a_single_file_is_told_at_its_line(tmp_path: Path, plugins: Path):
    file = single(tmp_path, "1.0")
    file.write_text(file.read_text().replace("model/1..1", "model/2..2"))
    ((line, severity, message, _),) = told(tmp_path, '[plugins.x]\nuse = "lone"\npath = "lone.py"\n')
    assert (line, severity) == (5, "error")
    assert message == "lone speaks model/2..2, this version serves model/1..1"


def installed(tmp_path: Path, version: str) -> tuple[str, str]:
    """Pack and install a version; return its sha256 and manifest."""
    file = single(tmp_path / version, version)
    (tmp_path / version / "LICENSE").write_text("as you like\n")
    archive = tmp_path / f"{version}.zip"
    pack(file, archive)
    done = install(archive)
    return done.sha256, str(Path(done.folder) / "lone.py")


def test_of_two_installed_versions_the_pin_says_which_is_meant(tmp_path: Path, plugins: Path):
    (old, old_file), (new, new_file) = installed(tmp_path, "1.0"), installed(tmp_path, "2.0")
    ((_, severity, message, way_out),) = told(tmp_path, '[plugins.x]\nuse = "lone"\n')
    assert (severity, way_out) == ("error", "remove one of them, or pin a package by its sha256")
    assert f'"lone" is claimed by 1.0 of {old_file} and 2.0 of {new_file}' in message
    for sha256, version in ((old, "1.0"), (new, "2.0")):
        text = f'[plugins.x]\nuse = "lone"\nrun = "process"\nsha256 = "{sha256}"\n'
        assert [severity for _, severity, *_ in told(tmp_path, text)] == ["warning"]
        assert load_deployment(tmp_path / "plugins.toml").plugin("x").manifest.version == version


def test_an_installed_package_is_found_by_its_id(tmp_path: Path, plugins: Path):
    _, file = installed(tmp_path, "1.0")
    assert told(tmp_path, '[plugins.x]\nuse = "lone"\n') == []
    assert load_deployment(tmp_path / "plugins.toml").plugin("x").manifest.source.file == file
