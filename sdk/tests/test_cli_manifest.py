"""`penstock plugin check` says every fault with its line, and `penstock plugin schema` writes what editors read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock_sdk.cli.main import main
from penstock_sdk.manifest_schema import schema_text

MANIFEST = """[[plugin]]
id = "{id}"
version = "1.0"
kind = "strategy"
contract = "strategy/1..1"
class = "{id}:Plugin"
description = "For a test"
topics_in = ["market.quote"]
topics_out = ["order.intent"]
capabilities = ["orders.write"]
"""
CODE = """import msgspec
from penstock_sdk.plugin import Strategy


class Config(msgspec.Struct):
    lots: int = 3


class Plugin(Strategy):
    Config = Config

    def on_quote(self, quote):
        return None
"""


def plugin(folder: Path, id: str, manifest: str = MANIFEST, code: str = CODE) -> Path:
    """Write a plugin; *id* is its own in each test, for a module is imported once."""
    (folder / "plugin.toml").write_text(manifest.replace("{id}", id))
    (folder / f"{id}.py").write_text(code)
    return folder / "plugin.toml"


def asked(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str], str]:
    status = main(["plugin", *map(str, arguments)], [])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_a_sound_manifest_is_told_with_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plugin(tmp_path, "checked_one")
    wanted = f"{tmp_path}: no faults: strategy checked_one 1.0"
    assert asked(capsys, "check", tmp_path) == (0, [wanted], "")
    assert asked(capsys, "check", tmp_path, "--load") == (0, [wanted], "")


def test_every_fault_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    broken = MANIFEST.replace("1..1", "2..1").replace('"market.quote"', '"a b"').replace("version", "versio")
    file = plugin(tmp_path, "checked_two", broken)
    status, lines, _ = asked(capsys, "check", tmp_path)
    assert status == 2
    assert [line.removeprefix(f"{file}:").split(": ")[:2] for line in lines] == [
        ["1", "plugin[0].version"], ["3", "plugin[0].versio"], ["5", "plugin[0].contract"],
        ["8", "plugin[0].topics_in[0]"],
    ]  # fmt: skip
    assert lines[1].endswith("unknown key; did you mean version?")


def test_all_paths_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plugin(tmp_path, "checked_three")
    status, lines, _ = asked(capsys, "check", tmp_path / "gone", tmp_path / "checked_three.py")
    assert status == 2
    assert "no such file or directory" in lines[0] and "no faults: strategy checked_three" in lines[1]


def test_faults_of_one_sort_do_not_hide_those_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = MANIFEST.replace('"order.intent"]', '"order.intents", "acme.moon", "order.intent"]') + 'colour = "red"\n'
    file = plugin(tmp_path, "checked_nine", text.replace("checked_nine:", "x").replace("{id}:Plugin", "chequed_nine:A"))
    status, lines, _ = asked(capsys, "check", tmp_path)
    assert status == 2
    assert [line.removeprefix(f"{file}:") for line in lines] == [
        f"6: plugin[0].class: chequed_nine.py is not in {tmp_path}, nor is chequed_nine installed; "
        "did you mean checked_nine?",
        '9: plugin[0].topics_out[0]: no known record has the topic "order.intents"; did you mean order.intent?',
        f"11: plugin[0].colour: {lines[2].partition('colour: ')[2]}",
        '9: warning: plugin[0].topics_out[1]: no known record has the topic "acme.moon"; see docs/records.md; '
        "a record of your own may have it",
    ]
    assert "known here: " in lines[2] and "class" in lines[2], "with the keys that are used already"


def test_a_venue_table_in_a_single_file_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    head = '# /// penstock\n# id = "lonely"\n# version = "1"\n# kind = "venue"\n# contract = "venue/1..1"\n'
    file = tmp_path / "lonely.py"
    file.write_text(head + '# class = "Lonely"\n# [venue]\n# real_money = false\n# ///\nclass Lonely: ...\n')
    status, lines, _ = asked(capsys, "check", file)
    assert status == 2
    assert lines[0].endswith(
        "venue: stands outside of its plugin; write # [[plugin]] above the first key, "
        "and # [plugin.venue] in place of # [venue]"
    )
    assert main(["conform", str(file)], []) == 2
    out, err = capsys.readouterr()
    assert "stands outside of its plugin" in err and not out


def test_what_had_better_be_said_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    venue = MANIFEST.replace("strategy", "venue").replace('capabilities = ["orders.write"]', "")
    file = plugin(tmp_path, "checked_four", venue.replace('description = "For a test"', ""))
    assert asked(capsys, "check", tmp_path) == (
        0,
        [
            f"{file}:1: warning: plugin[0].venue: does not say what the venue offers; "
            "add [plugin.venue] with order_kinds and real_money",
            f"{file}:1: warning: plugin[0].description: there is none; say in a line what the plugin does",
        ],
        "",
    )
    file = plugin(tmp_path, "checked_four", MANIFEST.replace('["order.intent"]', "[]"))
    (line,) = asked(capsys, "check", tmp_path)[1]
    assert line.startswith(f'{file}:9: warning: plugin[0].topics_out: "orders.write" without order.intent')


@pytest.mark.parametrize(
    ("id", "old", "new", "said"),
    [
        ("held_one", "on_quote", "on_trade", "topics_in: held_one:Plugin hears market.trade, which no pattern has"),
        (
            "held_two",
            "    def",
            "    deterministic = False\n    def",
            "deterministic: true, but held_two:Plugin has fal",
        ),
        (
            "held_three",
            "on_quote",
            "on_qote",
            "class: held_three.Plugin.on_qote names no record; did you mean on_quote",
        ),
        (
            "held_four",
            "import msgspec",
            "import nothing_here",
            "class: held_four:Plugin fails to import: ModuleNotFound",
        ),
    ],
)
def test_a_class_that_is_otherwise_is_told_when_it_is_loaded(
    id: str, old: str, new: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    plugin(tmp_path, id, code=CODE.replace(old, new, 1))
    assert asked(capsys, "check", tmp_path)[0] == 0
    status, lines, _ = asked(capsys, "check", tmp_path, "--load")
    assert status == 2
    assert f"plugin[0].{said}" in lines[0]


def test_the_schema_of_a_config_is_written_where_the_manifest_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    plugin(tmp_path, "written_one", MANIFEST + 'config_schema = "made/config.json"\n')
    assert asked(capsys, "check", tmp_path)[0] == 2
    status, lines, _ = asked(capsys, "schema", tmp_path)
    assert (status, lines) == (0, [f"{tmp_path}/made/config.json: written_one's config"])
    written = json.loads((tmp_path / "made/config.json").read_text())
    assert written["$defs"]["Config"]["properties"]["lots"]["default"] == 3
    assert asked(capsys, "check", tmp_path, "--load")[0] == 0
    (tmp_path / "made/config.json").write_text("{}")
    status, (line,), _ = asked(capsys, "check", tmp_path, "--load")
    assert status == 2 and line.endswith("is not the schema of Config; write it anew: penstock plugin schema")


def test_a_schema_is_written_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    inner = tmp_path / "inner"
    inner.mkdir()
    plugin(inner, "written_two", MANIFEST + 'config_schema = "../config.json"\n')
    status, _, err = asked(capsys, "schema", inner)
    assert status == 2 and "wanted a path beside the manifest" in err
    assert not (tmp_path / "config.json").exists()


def test_the_schema_of_the_manifest_is_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["plugin", "schema"], []) == 0
    assert capsys.readouterr().out == schema_text()
