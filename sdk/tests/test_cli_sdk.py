"""Proves that the SDK alone has `penstock plugin` and `penstock conform`, and that others add commands to them."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from penstock_sdk.cli import main as cli

NEEDED = ("msgspec", "numpy", "numpy.libs", "pluggy", "grpc", "google", "tzdata", "penstock_sdk")
"""What the SDK's distribution depends on; nothing else is there in `alone`."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of packages with the SDK and what it depends on, as an environment with it alone has them."""
    site = tmp_path_factory.mktemp("site")
    numpy = find_spec("numpy")
    assert numpy is not None and numpy.origin is not None
    packages = Path(numpy.origin).parents[1]
    for name in NEEDED:
        spec = find_spec(name) if name.isidentifier() else None
        folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else packages / name
        if folder.exists():
            (site / name).symlink_to(folder)
    (info,) = list(packages.glob("penstock_sdk-*.dist-info"))
    (site / info.name).symlink_to(info)
    return site


def run_alone(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `penstock` where nothing of ours but the SDK is installed."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from penstock_sdk.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd)


def test_its_help_has_what_the_sdk_offers_and_says_where_the_rest_is(alone: Path, tmp_path: Path):
    done = run_alone(alone, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")] == ["plugin", "conform"]
    assert "`penstock run` and its like come with penstock-kernel" in " ".join(done.stdout.split())
    version = run_alone(alone, "--version", cwd=tmp_path).stdout
    sdk = importlib.metadata.version("penstock-sdk")
    assert version.startswith(f"penstock {sdk} (penstock-sdk {sdk}; python 3")


def test_a_plugin_is_made_checked_and_tried_with_the_sdk_alone(alone: Path, tmp_path: Path):
    made = run_alone(alone, "plugin", "new", "lone_gate", "--kind", "risk", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    checked = run_alone(alone, "plugin", "check", "lone_gate", "--load", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "lone_gate: no faults: risk lone_gate 0.1.0\n"), checked.stderr
    tried = run_alone(alone, "conform", "lone_gate", "--only", "handshake.*", "--json", "report.json", cwd=tmp_path)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert json.loads((tmp_path / "report.json").read_text())["plugin"]["id"] == "lone_gate"


# In this process.


def run(*arguments: str, providers: list[cli.Provider]) -> int:
    try:
        return cli.main(arguments, providers)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_a_distribution_adds_a_command_and_how_it_is_run(capsys: pytest.CaptureFixture[str]):
    def add_commands(add: cli.Add) -> None:
        hello = add("hello", lambda options: len(options.name), "say hello")
        hello.add_argument("--loud", action="store_true")
        shout = add("shout", lambda options, loudness: loudness, "say it louder")
        shout.set_defaults(runner=lambda options: options.command(options, 7))

    assert run("hello", "--loud", providers=[add_commands]) == len("hello")
    assert run("shout", providers=[add_commands]) == 7
    assert run("--help", providers=[add_commands]) == 0
    assert "say it louder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (cli.CliError("cheap met -1, wanted more"), "penstock fail: cheap met -1, wanted more\n"),
        (
            FileNotFoundError(2, "No such file or directory", "x.toml"),
            "penstock fail: x.toml: no such file or directory\n",
        ),
        (OSError(28, "No space left on device", "big"), "penstock fail: big: no space left on device\n"),
    ],
)
def test_what_is_the_inputs_fault_is_a_line_and_status_2(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
):
    def fail(_options: argparse.Namespace) -> int:
        raise error

    assert run("fail", providers=[lambda add: add("fail", fail, "fail") and None]) == 2
    assert capsys.readouterr().err == said


def test_a_bug_is_no_fault_of_the_input():
    def fail(_options: argparse.Namespace) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run("fail", providers=[lambda add: add("fail", fail, "fail") and None])


def test_commands_that_cannot_be_imported_cost_only_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    broken = importlib.metadata.EntryPoint("broken", "no_such_module_here:add_commands", cli.COMMANDS_GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken])
    with pytest.raises(SystemExit) as ended:
        cli.main(["plugin", "--help"])
    assert ended.value.code == 0
    assert "penstock: commands of broken cannot be had, no_such_module_here:add_commands" in capsys.readouterr().err
