"""Proves that `penstock contract` says what a contract is, in both clocks, and of a bad name what would be accepted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.cli.main import main


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``penstock contract`` in this process; return its status and what it printed."""
    capsys.readouterr()
    status = main(["contract", *arguments])
    return status, *capsys.readouterr()


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what ``penstock contract --json`` says."""
    status, out, _ = asked(capsys, *arguments, "--json")
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_limits_that_are_not_known_are_said_and_all_else_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "NSW1", "5M", "2026-12-25", "00:05")
    assert status == 0
    assert (
        "  price limits    not known; they are from 2017-07-01 to 2026-06-30: bring a row of limits, by --rules" in out
    )
    assert "  energy          0.01 MWh a lot" in out
    told = facts(capsys, "NSW1", "5M", "2026-12-25", "00:05")
    assert (told["price_min"], told["price_max"]) == (None, None)
    assert told["price_limits_fault"].startswith("not known; they are from 2017-07-01 to 2026-06-30")
    assert facts(capsys, "NSW1", "5M", "2026-03-10", "00:05")["price_limits_fault"] == ""


def test_the_second_two_fifteen_of_a_long_day(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "DE-LU", "QH", "2025-10-26", "02:15B")
    assert status == 0
    for line in (
        "DE-LU QH 2025-10-26 02:15B",
        "  zone            DE-LU, Germany and Luxembourg (bidding zone, Europe/Berlin, EIC 10Y1001A1001A82H)",
        "  delivery        2025-10-26 02:15 +0100 to 2025-10-26 02:30 +0100 local",
        "                  2025-10-26 01:15 to 2025-10-26 01:30 UTC",
        "                  0.25 h in 1 interval of 15 minutes",
        "  energy          0.025 MWh a lot, 0.25 MWh a MW",
        "  tick            0.01 EUR/MWh; 0.00025 EUR a lot",
        "  lot             0.1 MW; smallest order 1 lot, largest 9990 lots",
        "  price limits    -9999 to 9999 EUR/MWh",
        "  opens           2025-10-25 16:00 +0200 (2025-10-25 14:00 UTC)",
        "  gate            2025-10-26 02:10 +0100 (2025-10-26 01:10 UTC)",
        "  aliases         NORDPOOL: QH-20251026-10X",
    ):
        assert line in out.splitlines()


def test_a_strip_shows_its_days_its_cascade_and_the_ends_of_its_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "DE-LU Q 2026-Q1")
    lines = out.splitlines()
    assert status == 0
    assert "                  2159 h in 8636 intervals of 15 minutes; days: 1 of 23 h, 89 of 24 h" in lines
    assert "  last trading    2025-12-23: 3 EEX business days before delivery" in lines
    assert "  cascades into   DE-LU M 2026-01, DE-LU M 2026-02, DE-LU M 2026-03" in lines
    assert "                  … 8624 more; --intervals prints all 8636" in lines
    assert sum(line.endswith("1000 kW") for line in lines) == 12
    assert lines[-1].split()[:3] == ["2026-03-31", "23:45", "+0200"]


def test_a_weekend_over_bank_holidays_shows_the_days_that_it_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = asked(capsys, "TTF WE 2026-04-04")
    assert "                  96 h in 96 intervals of 60 minutes; days: 4 of 24 h, from 06:00" in out.splitlines()
    assert "2026-04-03 06:00 +0200 to 2026-04-07 06:00 +0200 local" in out
    assert facts(capsys, "HENRY-HUB M 2026-05")["session"] == "D-1 18:00-17:00 America/New_York"


def test_every_interval_is_printed_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = facts(capsys, "TTF M 2026-03", "--intervals")["intervals"]
    assert len(rows) == 743
    assert all(before["to"] == after["from"] for before, after in pairwise(rows))
    assert len(facts(capsys, "TTF M 2026-03")["intervals"]) == 12
    days = facts(capsys, "HENRY-HUB M 2026-05")
    assert sum(row["amount_per_lot"] for row in days["intervals"]) == 10_000_000
    assert (days["grid_unit"], days["delivery"]["intervals"]) == ("mMMBtu/d", 31)


def test_facts_carry_units_and_exact_text(capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, "NBP M 2026-03")
    assert found["tick"] == "0.01"
    assert found["price_unit"] == "GBp/therm"
    assert (found["tick_value_per_lot"], found["currency"]) == ("3.1", "GBP")
    assert (found["lot"], found["qty_unit"], found["lots_min"]) == ("1000", "therm/d", 5)
    assert found["energy_mwh_per_lot"] == "908.5201"
    assert found["last_trading_day"] == "2026-02-26"
    assert found["gate"] == {"local": "2026-02-26 17:00 +0000", "utc": "2026-02-26 17:00"}
    assert found["session"] == "07:00-17:00 Europe/London"
    assert found["aliases"] == {"ICE": "GWM FMH0026"}
    assert (found["price_min"], found["payment"], found["settlement"]) == (None, "variation", "physical")
    carbon = facts(capsys, "EU-ETS EUA 2026-12")
    assert (carbon["tick_value_per_lot"], carbon["last_trading_day"]) == ("10", "2026-12-14")


def test_an_alias_is_read_where_its_venue_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert facts(capsys, "DEPMZ26", "--alias", "EEX", "--on", "2026-03-02")["name"] == "DE-LU M 2026-12 PEAK"
    hour = facts(capsys, "PH-20251026-03X", "--alias", "NORDPOOL", "--zone", "FR")
    assert hour["name"] == "FR H 2025-10-26 02B"


def test_a_days_list_has_what_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capsys, "--list", "TTF", "--on", "2026-03-27")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].endswith("contracts are listed")
    assert "  TTF M 2026-04               ICE-ENDEX   to 2026-03-30   ICE: TFM FMJ0026" in lines
    found = facts(capsys, "--list", "DE-LU", "--on", "2026-03-27")
    quarters = [row for row in found["intervals"] if row["product"] == "QH"]
    # The first quarter-hour's gate closed five minutes before midnight.
    assert [(row["delivery_day"], row["count"]) for row in quarters] == [("2026-03-27", 95), ("2026-03-28", 96)]
    change = facts(capsys, "--list", "DE-LU", "--on", "2026-03-28")["intervals"]
    assert [row["count"] for row in change if row["product"] == "QH"] == [95, 92]
    assert {"DE-LU M 2026-04 PEAK", "DE-LU Y 2027"} <= {row["name"] for row in found["strips"]}


def test_rules_of_ones_own_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rules = tmp_path / "own.toml"
    rules.write_text('[[limits]]\nmarket = "SIDC"\nprice_min = "-500"\nprice_max = "500"\nvalid_from = 2026-05-01\n')
    name = ("DE-LU QH 2026-05-01 12:00", "--rules", str(rules))
    assert facts(capsys, *name)["price_max"] == "500"
    assert facts(capsys, "DE-LU QH 2026-04-30 12:00", "--rules", str(rules))["price_max"] == "9999"
    assert facts(capsys, *name, "--on", "2026-04-30")["price_max"] == "9999"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["TFT M 2026-04"], "zone 'TFT' is not known; did you mean 'TTF'?"),
        (["DE-LU QH 2025-10-26 02:15"], "happens twice in Europe/Berlin that day; say 'QH 2025-10-26 02:15A' or"),
        (["DE-LU QH 2026-03-29 02:15"], "2026-03-29 02:15 does not exist in Europe/Berlin"),
        (["TTF QQ 2026-Q2"], "names no delivery period; wanted one like"),
        (["DE-LU M 2026-04 PEEK"], "shape 'PEEK' is not known; known are OFFPEAK, PEAK"),
        (["GB M 2026-04"], "product 'M' has no trading session in GB; known there are H, HH, QH"),
        ([], "give the name of a contract, as DE-LU QH 2026-03-10 13:15, or --list ZONE"),
        (["TTF M 2026-04", "--list", "TTF"], "give the name of a contract"),
        (["DEBMJ26", "--alias", "EXX"], "no aliases of venue 'EXX' are known"),
        (["TTF M 2026-04", "--rules", "no.toml"], "no.toml: cannot be read"),
    ],
)
def test_a_bad_name_says_what_would_be_taken(
    capsys: pytest.CaptureFixture[str], arguments: list[str], fault: str
) -> None:
    status, out, err = asked(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("penstock contract: ")
    assert fault in " ".join(err.split())


def test_a_malformed_day_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["contract", "TTF M 2026-04", "--on", "tomorrow"])
    assert stopped.value.code == 2
    assert "met tomorrow, wanted a date as 2026-03-29" in capsys.readouterr().err
