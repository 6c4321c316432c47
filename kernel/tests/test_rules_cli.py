"""`penstock rules` says every fault of rule files with file and line, and prints what holds on a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_kernel.cli.main import main
from penstock_sdk.energy.rules import ROW_TYPES, builtin_rules

CAPS = """[[limits]]
market = "OTE"
price_min = "-500"
price_max = "4000"
valid_to = 2026-06-30

[[limits]]
market = "OTE"
price_min = "-500"
price_max = "5000"
valid_from = 2026-07-01
"""


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["rules", *arguments])
    return status, capsys.readouterr().out.splitlines()


@pytest.fixture
def caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("caps.toml")
    path.write_text(CAPS)
    return path


def test_a_sound_file_is_counted_with_its_version(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = asked(capsys, "check", "caps.toml")
    assert status == 0
    assert lines[0].startswith("caps.toml: limits: 2 rows, version ")
    assert lines[1:] == ["no errors"]


def test_faults_of_several_files_are_told_at_once(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    caps.write_text(CAPS.replace("07-01", "06-30"))
    Path("fees.csv").write_text("market,product,kind,currency,micro_per_mw\nOTE,QH,exchange,EUR,5\n")
    status, lines = asked(capsys, "check", "caps.toml", "fees.csv", "none.toml")
    assert status == 2
    assert [line.partition(" ")[0] for line in lines[1:4]] == ["fees.csv:2", "none.toml:", "caps.toml:1"]
    assert "did you mean 'micro_per_mwh'" in lines[1]
    assert "caps.toml:7 (limits): both rows of limits 'OTE' hold on 2026-06-30" in lines[3]
    assert lines[4] == "3 errors"


def test_without_a_table_all_are_counted_on_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = asked(capsys, "show", "--on", "2026-03-10")
    assert status == 0
    rules = builtin_rules()
    assert [line.split(":")[0] for line in lines[:-1]] == list(ROW_TYPES)
    assert lines[-1] == f"version {rules.version}"
    _, ever = asked(capsys, "show")
    assert ever[0] == f"zones: {len(rules.rows('zones'))} rows hold on any day"


@pytest.mark.parametrize(("day", "cap"), [("2026-06-30", "4000"), ("2026-07-01", "5000")])
def test_the_rows_of_a_table_are_those_that_hold_on_the_day(
    day: str, cap: str, caps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("plugins.toml").write_text(
        '[plugins.refdata]\nuse = "refdata"\nconfig = { files = ["caps.toml"] }\n[plugins.exchange]\nuse = "exchange"\n'
    )
    status, lines = asked(capsys, "show", "limits", "--on", day, "--deployment", "plugins.toml")
    assert status == 0
    assert lines[0].split()[:3] == ["market", "price_min", "price_max"]
    assert [line.split()[2] for line in lines if line.startswith("OTE ")] == [cap]
    assert lines[-1].endswith(f" rows of limits hold on {day}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "tides"], "show met tides, wanted one of zones, "),
        (["show", "--on", "10.3.2026"], "met 10.3.2026, wanted a date as 2026-03-29"),
        (["check"], "check wants a FILE"),
        (["show", "zones", "fees"], "show met zones fees, wanted one of"),
        ([], "required: action"),
    ],
)
def test_wrong_use_is_told_with_the_way_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rules", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_faulty_deployment_is_told_by_its_faults(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plugins.toml").write_text('[plugins.refdata]\nuse = "refdat"\n')
    assert main(["rules", "show", "--deployment", "plugins.toml"]) == 2
    assert 'unknown plugin id "refdat"; did you mean refdata?' in capsys.readouterr().err
