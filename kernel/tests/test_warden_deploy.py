"""What lies in deploy/ is what the program does: systemd takes the unit, statuses and options are the real ones."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_kernel.cli.main import _parser, main
from penstock_kernel.warden.command import kernel_command
from penstock_kernel.warden.process import BAD_INPUT, FAILED
from penstock_kernel.warden.restarts import EX_SOFTWARE, is_crash

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=True)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(DEPLOY / "penstock@.service")
    return parsed


def test_the_unit_says_what_it_must(unit: configparser.ConfigParser) -> None:
    service = dict(unit["Service"])
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", str(BAD_INPUT))
    # Longer than the watchdog takes for what it does by itself: a hang, venues that cancel, a wait before a restart.
    assert int(service["WatchdogSec"]) >= 30
    assert int(service["TimeoutStopSec"]) > 30
    hardened = {"NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelTunables", "RestrictNamespaces"}
    assert {key for key in hardened if service[key] == "yes"} == hardened
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "penstock"


def test_its_command_line_is_one_that_the_program_takes(unit: configparser.ConfigParser) -> None:
    command = unit["Service"]["ExecStart"].replace("%i", "desk-de").split()
    options = _parser().parse_args(command[1:])
    assert (options.instance, options.no_watchdog) == ("desk-de", False)
    assert str(options.deployment) == "/etc/penstock/desk-de.toml"


def test_the_kernels_process_is_told_to_say_nothing_but_what_is_wrong() -> None:
    """Its last words are quoted as the cause of the next start."""
    command = kernel_command(["run", "--instance", "desk-de", "plugins.toml"])
    options = _parser().parse_args(command[command.index("run") :])
    assert (options.quiet, options.no_watchdog, options.instance) == (True, True, "desk-de")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # tools/system.sh installs it where it may; elsewhere only systemd itself can judge its own format.
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "penstock@.service").read_text().replace("/opt/penstock/bin/penstock", sys.executable)
    (tmp_path / "penstock@.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "penstock@.service")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "penstock" in line]
    assert told == []


def test_the_statuses_of_the_page_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|.*\| (.*) \| .*\|$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    said = {int(status): does for status, _, does in rows}
    assert set(said) == {0, FAILED, BAD_INPUT, EX_SOFTWARE}
    for status, does in said.items():
        assert (does == "starts the kernel again") == is_crash(status)
        assert is_crash(status) or does == f"ends with {status}"


def test_the_image_runs_as_nobody_in_particular_and_starts_the_watchdog() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in text
    entry = re.search(r'exec penstock (run.*?) \\?\\"\$@', text, re.DOTALL)
    assert entry is not None
    words = entry.group(1).replace("\\\n", " ").replace('\\"$PENSTOCK_INSTANCE\\"', "desk").split()
    options = _parser().parse_args(words)
    assert (options.instance, options.health, options.no_watchdog) == ("desk", "0.0.0.0:9464", False)
    # Names of images and packages alone: where they come from is the builder's affair.
    assert "://" not in text.replace("http://127.0.0.1", "")


def test_a_bug_in_a_watched_kernel_has_the_status_that_has_it_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import penstock_kernel.cli.run as run

    def fails(*_: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(run, "run_instance", fails)
    assert main(["run", "--instance", "x", "--no-watchdog"]) == EX_SOFTWARE
    assert "RuntimeError: a bug" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="^a bug$"):
        main(["run", "--instance", "x"])
