"""Configs of plugins out of process are checked by their packaged schema, or by asking, and never by importing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock_kernel.deployment import check, load_deployment
from penstock_kernel.hosts.asking import ask_configs

MANIFEST = """
[[plugin]]
id = "picky"
version = "1.0.0"
kind = "model"
contract = "model/1..1"
class = "picky_module:Picky"
"""
CODE = """
import os
import sys
from pathlib import Path

import msgspec

from penstock_sdk.plugin import Model


class PickyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    \"\"\"Its config.\"\"\"

    speed: int = 3
    names: list[str] = []


class Picky(Model):
    \"\"\"Wants a speed above 2.\"\"\"

    Config = PickyConfig

    @classmethod
    def faults(cls, config, folder, reference):
        return ["speed: it is too slow"] if config.speed < 3 else []
"""
SCHEMA = """{"$defs": {"C": {"type": "object", "additionalProperties": false, "required": ["speed"], "properties": {
  "speed": {"type": "integer", "minimum": 1, "maximum": 9}, "mode": {"enum": ["fast", "slow"]},
  "names": {"type": "array", "items": {"type": "string", "minLength": 2}},
  "at": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "on": {"type": "boolean"}}}}, "$ref": "#/$defs/C"}"""


def deployment(folder: Path, config: str, *, schema: bool) -> Path:
    (folder / "plugin.toml").write_text(MANIFEST + ('config_schema = "s.json"\n' if schema else ""))
    (folder / "picky_module.py").write_text(CODE)
    (folder / "s.json").write_text(SCHEMA)
    path = folder / "plugins.toml"
    path.write_text(f'[plugins.p]\nuse = "picky"\npath = "."\nrun = "process"\n[plugins.p.config]\n{config}\n')
    return path


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ("speed = 5", []),
        ('speed = 5\nmode = "fast"\nnames = ["ab"]\nat = 3\non = true', []),
        ("", ["config.speed: is missing"]),
        ('speed = "x"', ['config.speed: met "x", wanted integer']),
        ("speed = true", ["config.speed: met true, wanted integer"]),
        ("speed = 5\non = 1", ["config.on: met 1, wanted boolean"]),
        ("speed = 0", ["config.speed: met 0, wanted a number >= 1"]),
        ("speed = 10", ["config.speed: met 10, wanted a number <= 9"]),
        ('speed = 5\nmode = "odd"', ['config.mode: met "odd", wanted one of "fast", "slow"']),
        ('speed = 5\nnames = ["ab", "c"]', ['config.names[1]: met "c", wanted a text of 2 characters or more']),
        ('speed = 5\nat = "x"', ['config.at: met "x", which fits none of the kinds that it may be']),
        ("speed = 5\nsped = 1", ["config.sped: unknown key; known: speed, mode, names, at, on"]),
    ],
)
def test_a_packaged_schema_is_enough(tmp_path: Path, config: str, wanted: list[str]) -> None:
    path = deployment(tmp_path, config, schema=True)
    told = [f"{p.path.removeprefix('plugins.p.')}: {p.message}" for p in check(path) if p.severity == "error"]
    assert told == wanted
    assert "picky_module" not in sys.modules


def test_what_a_reference_stands_for_is_not_shown(tmp_path: Path) -> None:
    path = deployment(tmp_path, 'speed = "${PICKY_SPEED}"', schema=True)
    [problem] = [p for p in check(path, {"PICKY_SPEED": "hush"}) if p.severity == "error"]
    assert "${PICKY_SPEED}" in problem.message
    assert "hush" not in str(problem)


def test_a_plugin_without_a_schema_is_asked_and_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = deployment(tmp_path / "a", "speed = 2", schema=False)
    told = [problem.message for problem in check(path, ask=True) if problem.severity == "error"]
    assert told == ["speed: it is too slow"]
    assert "picky_module" not in sys.modules


def test_a_plugin_that_is_not_what_its_manifest_says_or_does_not_come_is_told_in_words(tmp_path: Path) -> None:
    path = deployment(tmp_path, "", schema=False)
    (tmp_path / "picky_module.py").write_text(CODE.replace("Model", "Strategy"))
    loaded = load_deployment(path)
    [told] = ask_configs(loaded, list(loaded.plugins))["p"]
    assert "says that it is of kind 'strategy', its manifest has \"model\"" in told
    (tmp_path / "picky_module.py").write_text("raise RuntimeError('no such thing')")
    [told] = ask_configs(loaded, list(loaded.plugins))["p"]
    assert "its process ended with exit status 2 before it connected" in told
    assert "no such thing" in told
