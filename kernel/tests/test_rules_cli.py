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
    assert [line.split("; ")[0] for line in lines[1:]] == [
        "caps.toml:1 (limits): warning: market 'OTE' lists no product, so its limits bound nothing",
        "caps.toml:7 (limits): warning: market 'OTE' lists no product, so its limits bound nothing",
        "no errors, 2 warnings",
    ]
    caps.write_text('[[shapes]]\ncode = "SOLAR"\nweekdays = ["Mon"]\nhours = ["11:00-15:00"]\n')
    status, lines = asked(capsys, "check", "caps.toml")
    assert (status, lines[1:]) == (0, ["no errors"])


ODD = """[[products]]
market = "EEX"
product = "M"
zones = ["DE-LU"]
calendar = "NOPE"
last_trading = "in_delivery"
valid_from = 2030-01-01

[[fees]]
market = "EEXX"
product = "MM"
kind = "exchange"
currency = "EUR"
micro_per_mwh = -5

[[aliases]]
venue = "V"
product = "5M"
zones = ["DE-LU"]
pattern = "{ymd}{nn}"

[[shapes]]
code = "ODD"
weekdays = ["Mon"]
hours = ["08:00-15:05"]
"""


def test_what_may_be_meant_so_is_a_warning(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    caps.write_text(ODD)
    status, lines = asked(capsys, "check", "caps.toml")
    said = [line for line in lines if "warning: " in line]
    assert (status, lines[-1]) == (0, "no errors, 6 warnings")
    assert [line.partition(" ")[0] for line in said] == ["caps.toml:1"] * 2 + ["caps.toml:9"] * 3 + ["caps.toml:22"]
    for line, what in zip(
        said,
        [
            "calendar 'NOPE' is brought by no refdata plugin here",
            "takes M of EEX from AT, BE, CH, CZ, DE-AT-LU, ES, FR, HU, NL, RO, SI, SK (from 2030-01-01 on)",
            "market 'EEXX' lists no product",
            "no market lists product 'MM'",
            "micro_per_mwh is -5: money is received",
            "hours has '15:05'",
        ],
        strict=True,
    ):
        assert what in line
    both = ODD.replace(
        'zones = ["DE-LU"]\ncalendar = "NOPE"', 'zones = ["DE-LU"]\nvalid_to = 2030-06-30\ncalendar = "EEX"'
    )
    caps.write_text(both)
    _, lines = asked(capsys, "check", "caps.toml")
    assert "(from 2030-01-01 to 2030-06-30)" in lines[4]


def test_a_deployment_is_told_of_the_zones_that_its_rules_leave_out(
    caps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caps.write_text(ODD)
    Path("plugins.toml").write_text(
        '[plugins.refdata]\nuse = "refdata"\nconfig = { files = ["caps.toml"] }\n[plugins.EEXX]\nuse = "exchange"\n'
    )
    assert main(["check", "plugins.toml"]) == 0
    said = capsys.readouterr()
    text = said.out + said.err
    assert "caps.toml:1: warning: plugins.refdata: takes M of EEX from AT, BE" in text
    assert "calendar 'NOPE' is brought by no refdata plugin here" in text
    assert "market 'EEXX'" not in text  # a venue of that name is there
    assert main(["rules", "show", "products", "--deployment", "plugins.toml"]) == 0


def test_two_markets_of_a_product_are_refused_with_both_places(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    caps.write_text('[[products]]\nmarket = "EPEX"\nproduct = "QH"\nzones = ["DE-LU"]\n')
    status, lines = asked(capsys, "check", "caps.toml")
    assert status == 2
    assert lines[1].startswith("caps.toml:1 (products) and built-in products.toml:")
    assert "product 'QH' of DE-LU is listed by EPEX and SIDC on" in lines[1]
    assert lines[-1] == "1 error"
    Path("plugins.toml").write_text(
        '[plugins.refdata]\nuse = "refdata"\nconfig = { files = ["caps.toml"] }\n[plugins.exchange]\nuse = "exchange"\n'
    )
    assert main(["check", "plugins.toml"]) == 2
    said = capsys.readouterr()
    assert "caps.toml:1: plugins.refdata: " in said.out + said.err


def test_faults_of_several_files_are_told_at_once(caps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    caps.write_text(CAPS.replace("07-01", "06-30"))
    Path("fees.csv").write_text("market,product,kind,currency,micro_per_mw\nOTE,QH,exchange,EUR,5\n")
    status, lines = asked(capsys, "check", "caps.toml", "fees.csv", "none.toml")
    assert status == 2
    assert [line.partition(" ")[0] for line in lines[1:4]] == ["fees.csv:2", "none.toml:", "caps.toml:1"]
    assert "did you mean 'micro_per_mwh'" in lines[1]
    assert "caps.toml:7 (limits): both rows of limits 'OTE' hold on 2026-06-30" in lines[3]
    assert lines[-1] == "3 errors, 2 warnings"


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
