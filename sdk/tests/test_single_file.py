"""Proves that a single Python file carries its manifest in comments, read at its own lines and never imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock_sdk.discovery import load_class, manifest_text, read_path
from penstock_sdk.manifest import KINDS, ManifestError
from penstock_sdk.single_file import SingleFileError, single_file_manifest
from penstock_sdk.toml_lines import line_of, toml_lines

CONTRACTS = dict.fromkeys(KINDS, (1,))
BLOCK = """#!/usr/bin/env python3
# A comment of a person.

# /// penstock
# # A comment of the manifest.
# id = "lone_echo"
# version = "0.3.0"
# kind = "strategy"
# contract = "strategy/1..1"
# class = "Echo"
#
# topics_in = ["market.trade"]
# [plugin.restart]
# max_crashes = 2
# ///

from penstock_sdk.plugin import Strategy


class Echo(Strategy):
    kind = "strategy"
"""


def written(folder: Path, text: str = BLOCK, name: str = "lone_echo.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def faults(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_path(path, CONTRACTS)
    return str(caught.value).splitlines()


def test_a_file_is_a_plugin_that_is_read_without_importing_it(tmp_path: Path):
    file = written(tmp_path, BLOCK + "raise SystemExit('imported')\n")
    (found,) = read_path(file, CONTRACTS)
    assert (found.id, found.class_path, found.topics_in) == ("lone_echo", "lone_echo:Echo", ("market.trade",))
    assert found.restart.max_crashes == 2
    assert (found.source.file, found.source.folder, found.source.distribution) == (str(file), str(tmp_path), "")
    assert "lone_echo" not in sys.modules


def test_its_class_is_imported_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (found,) = read_path(written(tmp_path, BLOCK.replace("lone_echo", "lone_two"), "lone_two.py"), CONTRACTS)
    assert load_class(found).__name__ == "Echo"
    sys.modules.pop("lone_two")


def test_every_key_stands_at_its_line_of_the_file(tmp_path: Path):
    lines = toml_lines(manifest_text(written(tmp_path)))
    assert [line_of(lines, ("plugin", 0, *path)) for path in ((), ("id",), ("class",), ("restart", "max_crashes"))] == [
        4, 6, 10, 14,
    ]  # fmt: skip


def test_several_plugins_of_a_file_have_a_table_each(tmp_path: Path):
    table = "# [[plugin]]\n" + BLOCK.partition("manifest.\n")[2].partition("# topics_in")[0]
    two = (
        "# /// penstock\n"
        + table
        + table.replace('"lone_echo"', '"second"').replace("Echo", "far.away:Echo")
        + "# ///\n"
    )
    found = read_path(written(tmp_path, two), CONTRACTS)
    assert [(each.id, each.class_path, each.source.entry_at) for each in found] == [
        ("lone_echo", "lone_echo:Echo", 0),
        ("second", "far.away:Echo", 1),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BLOCK.replace("# ///\n", ""), "line 15: expected"),
        ("# /// penstock\n# id = 1", "line 1: the block has no end; write # /// after its last line"),
        (BLOCK + BLOCK, "line 25: a second # /// penstock block, the first is at line 4"),
        (BLOCK.replace('# version = "0.3.0"', 'version = "0.3.0"'), 'line 7: expected "# " and a line of TOML'),
    ],
)
def test_a_broken_block_is_told_with_its_line(tmp_path: Path, text: str, said: str):
    with pytest.raises(SingleFileError, match=f"^{said}"):
        single_file_manifest(text)
    assert faults(written(tmp_path, text))[0].startswith(f"{tmp_path}/lone_echo.py: {said}")


def test_faults_of_its_keys_name_file_and_key(tmp_path: Path):
    file = written(tmp_path, BLOCK.replace("strategy/1..1", "strategy/1..x").replace("topics_in", "topicsin"))
    assert faults(file) == [
        f"{file}: plugin[0].topicsin: unknown key; did you mean topics_in?",
        f'{file}: plugin[0].contract: expected kind/min..max, met "strategy/1..x"; write "strategy/1..1"',
    ]


def test_a_file_without_a_manifest_is_told_the_way_to_one(tmp_path: Path):
    file = written(tmp_path, "x = 1\n")
    assert faults(file) == [
        f"{file}: there is no manifest in it, nor a plugin.toml beside it; "
        "write one into its first lines, between # /// penstock and # ///"
    ]


def test_a_marker_inside_a_string_is_no_block():
    assert single_file_manifest('TEXT = "# /// penstock"\n') is None
    assert single_file_manifest("# /// script\n# x = 1\n# ///\n") is None


def test_an_id_that_file_and_folder_claim_is_refused_with_both(tmp_path: Path):
    file = written(tmp_path)
    beside = BLOCK.partition("manifest.\n")[2].partition("# ///")[0].replace("# ", "").replace("#", "")
    (tmp_path / "plugin.toml").write_text(
        "[[plugin]]\n" + beside.replace("0.3.0", "0.2.9").replace("Echo", "lone_echo:Echo")
    )
    assert faults(file) == [
        f'{tmp_path}/plugin.toml: plugin[0].id: "lone_echo" is claimed by 0.3.0 of {file} and 0.2.9 of '
        f"{tmp_path}/plugin.toml; remove one of them, or pin a package by its sha256"
    ]


def test_windows_line_ends_are_read(tmp_path: Path):
    file = tmp_path / "lone_echo.py"
    file.write_bytes(BLOCK.replace("\n", "\r\n").encode())
    assert [each.id for each in read_path(file, CONTRACTS)] == ["lone_echo"]
