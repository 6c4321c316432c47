"""What the documents say is so: their Python runs, their TOML checks, their SQL answers, names and links exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import penstock_sdk.events
import penstock_sdk.hooks
from penstock_hw import sim_cli
from penstock_kernel.cli.main import add_commands, main
from penstock_kernel.deployment import check
from penstock_kernel.lake import VIEWS, query
from penstock_sdk.cli.main import build_parser
from penstock_sdk.plugin import KINDS
from penstock_sdk.schema import layouts

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}

SMALL = """
include = ["{root}/plugins.toml"]

[plugins.exchange.config]
orders_per_day = 40_000
"""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], re.DOTALL | re.MULTILINE)


def words(pattern: str) -> list[tuple[str, str]]:
    """Return (page, word) for every match of *pattern*'s group in the pages."""
    return [(page, word) for page, text in TEXTS.items() for word in re.findall(pattern, text)]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a short run of the default deployment."""
    folder = tmp_path_factory.mktemp("docs")
    deployment = folder / "small.toml"
    deployment.write_text(SMALL.format(root=ROOT))
    arguments = ["run", str(deployment), "--for", "9000", "--quiet", "--runs-dir", str(folder / "runs")]
    assert main(arguments) == 0
    return next((folder / "runs").iterdir())


@pytest.mark.parametrize("page", ["README.md", "docs/plugins.md", "docs/hardware/overview.md"])
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str):
    # In a process of its own: a page may declare records, which no other test should meet.
    ran = subprocess.run([sys.executable, "-c", "\n".join(blocks(page, "python"))], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_reader_of_the_journal_page_reads_a_run(small_run: Path):
    (script,) = blocks("docs/journal.md", "python")
    ran = subprocess.run(
        [sys.executable, "-c", script, str(small_run / "journal")], capture_output=True, text=True, check=True
    )
    total = query(small_run, "select sum(qty_lots) as lots from trades")["lots"][0].as_py()
    assert ran.stdout.splitlines()[-1] == f"{total:,} lots traded"


@pytest.mark.parametrize("page", ["README.md", "docs/deployment.md"])
def test_every_deployment_on_a_page_is_without_fault(page: str, tmp_path: Path):
    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert [problem for problem in check(file) if problem.severity == "error"] == []


def test_the_manifest_on_the_plugin_page_is_sound():
    from penstock_sdk.manifest import ManifestSource, parse_manifest

    (text,) = blocks("docs/plugins.md", "toml")
    assert [manifest.id for manifest in parse_manifest(text, ManifestSource("plugin.toml", "."))] == ["dip"]
    first = blocks("docs/manifest.md", "toml")[0]
    assert [manifest.id for manifest in parse_manifest(first, ManifestSource("plugin.toml", "."))] == ["north"]


def test_the_single_file_on_the_manifest_page_trades(tmp_path: Path):
    (code,), (*_, table) = blocks("docs/manifest.md", "python"), blocks("docs/manifest.md", "toml")
    (tmp_path / "echo.py").write_text(code)
    (tmp_path / "plugins.toml").write_text(f'[plugins.exchange]\nuse = "exchange"\n{table}')
    assert [problem for problem in check(tmp_path / "plugins.toml") if problem.severity == "error"] == []


def test_every_question_in_sql_gets_an_answer(small_run: Path):
    asked = blocks("docs/runs.md", "sql") + re.findall(r'penstock query latest "(.*)"', TEXTS["README.md"])
    assert len(asked) > 5
    unanswered = [sql for sql in asked if not len(query(small_run, sql)) and "refusals" not in sql]
    assert unanswered == []


def test_every_handler_that_is_named_exists():
    known = {"on_resume", "on_start", "on_stop", *(f"on_{layout.snake}" for layout in layouts())}
    known |= {f"on_{layout.plural}" for layout in layouts() if layout.packed} | {"on_wind_speed", "on_wind_speeds"}
    named = words(r"\b(on_[a-z_]+[a-z])\b")
    assert named
    assert [(page, word) for page, word in named if word not in known] == []


def test_every_record_that_is_imported_or_linked_exists():
    named = words(r"from penstock_sdk\.events import ([A-Za-z, ]+)")
    missing = [
        (page, name)
        for page, names in named
        for name in names.split(", ")
        if not hasattr(penstock_sdk.events, name.strip())
    ]
    assert named
    assert missing == []


def test_every_kind_and_every_hook_is_told_of():
    kinds = set(re.findall(r"`([a-z]+)`", TEXTS["docs/plugins.md"].split("## Handlers")[0]))
    assert set(KINDS) <= kinds
    hooks = {name for name in penstock_sdk.hooks.__all__ if name.startswith("penstock_")}
    assert set(re.findall(r"`(penstock_[a-z_]+)\(", TEXTS["docs/plugins.md"])) == hooks


def test_every_subcommand_and_option_that_is_named_exists(capsys: pytest.CaptureFixture[str]):
    said = "\n".join(text for page, text in TEXTS.items() if page != "docs/records.md")
    commands = set(re.findall(r"(?:`|\$ |^)penstock ([a-z][a-z-]*)", said, re.MULTILINE))

    def help_of(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            build_parser([add_commands, sim_cli.add_commands]).parse_args([*words, "--help"])
        assert ended.value.code == 0, words
        return capsys.readouterr().out

    helps = {command: help_of(command) for command in commands}
    for command in ("deal", "trades", "plugin", "sim"):  # commands of several words
        assert helps[command]
        helps[command] += "".join(
            help_of(command, word) for word in re.findall(r"^    ([a-z]+) ", helps[command], re.M)
        )
    assert {"run", "check", "runs", "query", "report", "replay", "bench"} <= commands
    calls = re.findall(r"(?:`|\$ |^)penstock ([a-z][a-z-]*)([^`\n]*)", said, re.MULTILINE)
    unknown = [
        (command, option)
        for command, rest in calls
        for option in re.findall(r"--[a-z-]+", rest)
        if option not in helps[command]
    ]
    assert unknown == []


def test_every_view_and_every_file_of_a_run_is_told_of(small_run: Path):
    assert set(VIEWS) <= set(re.findall(r"`([a-z_]+)`", TEXTS["docs/runs.md"]))
    told = set(re.findall(r"`([a-z.]+)/?`", TEXTS["docs/runs.md"]))
    assert {path.name for path in small_run.iterdir()} - {"lake.log"} <= told


def test_every_setting_of_a_run_is_told_of_with_its_default():
    import msgspec

    from penstock_kernel.deployment_tables import PluginTable, RunSettings, TopicTable

    said = TEXTS["docs/deployment.md"]
    for table in (RunSettings, PluginTable, TopicTable):
        for field in msgspec.structs.fields(table):
            assert f"`{field.name}`" in said, field.name
    for field in msgspec.structs.fields(RunSettings):
        if isinstance(field.default, int):
            assert re.search(rf"^\| `{field.name}`.* \| {field.default} \|", said, re.MULTILINE), field.name


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as they are made of their words."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_link(page: str, target: str) -> str:
    """Return what is wrong with a link of *page*, or nothing."""
    if re.match(r"\w+:", target):
        return "it leads out of the repository"
    name, _, anchor = target.partition("#")
    file = (ROOT / page).parent / name if name else ROOT / page
    if not file.exists():
        return "no such file"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return "no such heading"
    return ""


def test_every_link_inside_the_repository_resolves():
    links = words(r"\]\(([^)\s]+)\)")
    assert links
    broken = [(page, target, broken_link(page, target)) for page, target in links if broken_link(page, target)]
    assert broken == []


def test_a_link_to_nowhere_would_be_found():
    assert broken_link("README.md", "docs/none.md") == "no such file"
    assert broken_link("README.md", "docs/runs.md#none") == "no such heading"


def test_every_file_that_the_map_of_the_house_names_is_there():
    rows = re.findall(r"^\| (`[^|]+) \|", TEXTS["ARCHITECTURE.md"].split("Arrows:")[0], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    folder, missing = ROOT, []
    for name in named:
        # `sdk/…/plugin.py`, `context.py`: a bare name stands beside the one before it.
        path = ROOT / name if "/" in name.rstrip("/") or (ROOT / name).exists() else folder / name
        folder = path.parent
        if not list(path.parent.glob(path.name)):
            missing.append(name)
    assert named
    assert missing == []


def test_the_records_page_is_what_the_records_say():
    said = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "records.py"), "--check"], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stdout


def test_the_changelog_is_what_its_fragments_say(run_tool: Callable[[str], str]):
    assert run_tool("news.py") == ""


@pytest.fixture
def run_tool() -> Callable[[str], str]:
    def run(name: str) -> str:
        command = [sys.executable, str(ROOT / "tools" / name), "--check"]
        return subprocess.run(command, capture_output=True, text=True).stdout

    return run


def placeholders(text: str) -> list[str]:
    """Return what a page leaves to be filled in: comments outside its code, but for the marks of generated tables."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"<!--(?! (?:keys of .*?|end) -->).*?-->", plain, re.DOTALL)


def test_no_page_has_a_place_that_is_still_to_be_filled():
    assert {page: placeholders(text) for page, text in TEXTS.items() if placeholders(text)} == {}
    assert placeholders("a\n<!-- figures -->\n") == ["<!-- figures -->"]


def test_the_examples_have_a_plugin_of_every_kind():
    from penstock_sdk.manifest import ManifestSource, parse_manifest

    text = (ROOT / "sdk/examples/plugin.toml").read_text(encoding="utf-8")
    assert {manifest.kind for manifest in parse_manifest(text, ManifestSource("plugin.toml", "."))} == set(KINDS)


def test_readme_shows_its_two_commands_within_twenty_lines():
    top = TEXTS["README.md"].splitlines()[:20]
    assert any("make run" in line for line in top)
    assert any("make test" in line for line in top)


def test_the_picture_of_the_report_is_small_enough_to_be_looked_at():
    picture = ROOT / "docs" / "report.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 400_000
