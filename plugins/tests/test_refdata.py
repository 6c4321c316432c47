"""The refdata plugin announces rules from files, calendars from libraries, and contracts; faults say file and line."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_plugins.refdata.calendars import CALENDARS, holiday_calendar, session_calendar
from penstock_plugins.refdata.refdata import ReferenceData, ReferenceDataConfig
from penstock_sdk.core.reference_book import reference_from
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import (
    CalendarDefinition,
    ContractDefinition,
    IdKind,
    ListingDefinition,
    PluginFault,
    ReferenceTable,
    ZoneDefinition,
)
from penstock_sdk.testing import SimKernel

CAPS = """
[[limits]]
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


def brought(folder: Path, **config: Any) -> Reference:
    """Return what a plugin of that config brings."""
    return reference_from(ReferenceData.reference(ReferenceDataConfig(**config), folder))


def refused(folder: Path, **config: Any) -> str:
    with pytest.raises(EnergyError) as error:
        brought(folder, **config)
    return str(error.value)


def started(config: ReferenceDataConfig, folder: Path | None = None) -> SimKernel:
    kernel = SimKernel()
    kernel.add(ReferenceData, "refdata", config, folder=folder)
    kernel.start()
    return kernel


# Calendars.


def easter(year: int) -> date:
    """Return Easter Sunday, by Gauss's rule as the anonymous computus has it."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


@pytest.mark.parametrize("year", range(2018, 2031))
def test_target_is_closed_on_six_days_a_year(year: int):
    sunday = easter(year)
    days = {
        date(year, 1, 1), sunday - timedelta(days=2), sunday + timedelta(days=1), date(year, 5, 1),
        date(year, 12, 25), date(year, 12, 26),
    }  # fmt: skip
    wanted = sorted(day.isoformat() for day in days if day.isoweekday() < 6)
    assert holiday_calendar("TARGET", year, year).closed == wanted


def test_bank_holidays_of_england_are_moved_and_added_by_proclamation():
    closed = holiday_calendar("UK", 2018, 2030).closed
    for day in ("2020-05-08", "2022-06-02", "2022-06-03", "2022-09-19", "2023-05-08", "2021-12-27", "2021-12-28"):
        assert day in closed, day
    assert "2020-05-04" not in closed  # the early May holiday was moved to VE day
    per_year = [sum(day.startswith(str(year)) for day in closed) for year in range(2018, 2031)]
    assert [year for year, count in zip(range(2018, 2031), per_year, strict=True) if count != 8] == [2022, 2023]


def test_new_york_is_open_to_energy_on_a_day_of_mourning():
    closed = holiday_calendar("US", 2018, 2030).closed
    assert not {"2018-12-05", "2025-01-09"} & set(closed)  # on which shares were not traded
    for day in ("2026-01-19", "2026-07-03", "2026-11-26", "2025-06-19", "2026-04-03"):
        assert day in closed, day


@pytest.mark.parametrize("name", CALENDARS)
def test_every_calendar_names_its_source_and_leaves_weekends_out(name: str):
    calendar = holiday_calendar(name, 2015, 2035)
    assert calendar.source.startswith("holidays ")
    assert (calendar.first, calendar.last) == ("2015-01-01", "2035-12-31")
    assert calendar.closed == sorted(set(calendar.closed))
    assert all(date.fromisoformat(day).isoweekday() < 6 for day in calendar.closed)


def test_eex_trades_when_exchange_calendars_says_so():
    pytest.importorskip("exchange_calendars")
    sessions = session_calendar("XEEE", 2018, 2030)
    assert sessions.closed == holiday_calendar("EEX", 2018, 2030).closed
    assert sessions.weekend == "67"


def test_sessions_bring_early_closes_in_local_time():
    pytest.importorskip("exchange_calendars")
    calendar = session_calendar("XNYS", 2025, 2026)
    assert calendar.early["2025-11-28"] == "13:00"
    assert "2025-11-27" in calendar.closed
    assert calendar.source.startswith("exchange-calendars ")


@given(st.integers(2000, 2090), st.integers(0, 5), st.sampled_from(sorted(CALENDARS)))
def test_a_longer_calendar_says_the_same_of_the_years_in_it(first: int, years: int, name: str):
    short = holiday_calendar(name, first, first)
    long = holiday_calendar(name, first - 1, first + years)
    assert [day for day in long.closed if day.startswith(str(first))] == short.closed


def test_an_unknown_calendar_or_exchange_is_refused_with_those_there_are(tmp_path: Path):
    said = refused(tmp_path, calendars=("TARGETS",))
    assert said.startswith("calendar 'TARGETS' is not known; did you mean TARGET? known are TARGET, EEX, UK, US; ")
    pytest.importorskip("exchange_calendars")
    assert refused(tmp_path, sessions=("XEE",)).startswith("exchange 'XEE' is not known; did you mean XEEE? ")


def test_without_exchange_calendars_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    assert refused(tmp_path, sessions=("XEEE",)).endswith("install penstock-plugins[sessions]")


def test_years_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="calendar_years met 2030 and 2020"):
        ReferenceDataConfig(calendar_years=(2030, 2020))


# Files.


def test_the_files_of_a_folder_are_read_and_named_from_there_on(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "caps.toml").write_text(CAPS)
    (tmp_path / "rules" / "fees.csv").write_text(
        "market,product,kind,currency,micro_per_mwh\nOTE,QH,exchange,EUR,90000\n"
    )
    config = ReferenceDataConfig(files=("rules/*.toml", "rules/*.csv", "rules/caps.*"), calendars=())
    tables = [event for event in ReferenceData.reference(config, tmp_path) if isinstance(event, ReferenceTable)]
    assert [(table.name, table.source) for table in tables] == [
        ("limits", "rules/caps.toml"), ("fees", "rules/fees.csv"),
    ]  # fmt: skip
    rules = reference_from(tables).rules
    days = (date(2026, 6, 30), date(2026, 7, 1))
    assert [int(rules.row("limits", market="OTE", on=day).price_max) for day in days] == [4000, 5000]
    assert rules.row("fees", market="OTE", product="QH", kind="exchange", on=days[0]).micro_per_mwh == 90_000


def test_overlapping_validity_is_refused_whole_with_both_lines(tmp_path: Path):
    (tmp_path / "caps.toml").write_text(CAPS.replace("2026-06-30", "2026-07-01"))
    said = refused(tmp_path, files=("*.toml",))
    assert said.startswith(
        "caps.toml:2 (limits) and caps.toml:8 (limits): both rows of limits 'OTE' hold on 2026-07-01"
    )
    kernel = started(ReferenceDataConfig(files=("*.toml",), calendars=()), tmp_path)
    (fault,) = kernel.of(PluginFault)
    assert "caps.toml:2 (limits) and caps.toml:8 (limits)" in fault.error
    assert kernel.reference.rules.rows("limits", market="OTE") == ()


def test_every_faulty_file_is_told_at_once(tmp_path: Path):
    (tmp_path / "a.toml").write_text(CAPS.replace("4000", "plenty"))
    (tmp_path / "b.toml").write_text(
        '[[zones]]\ncode = "XX"\neic = "10YFR-RTE------D"\ntimezone = "Europe/Paris"\ncurrency = "EUR"\n'
    )
    (tmp_path / "c.toml").write_text(
        '[[zones]]\ncode = "XX"\neic = "11XRWETRADING--0"\ntimezone = "Europe/Paris"\ncurrency = "EUR"\n'
    )
    (tmp_path / "d.toml").write_text('[[zones]]\ncode = "XX"\neic = ""\ntimezone = "Europe/Paris"\ncurrency = "EUT"\n')
    lines = refused(tmp_path, files=("*.toml", "none/*.csv")).splitlines()
    assert [line.partition(":")[0] for line in lines][1:] == ["a.toml", "b.toml", "c.toml", "d.toml"]
    assert lines[0].startswith("files has 'none/*.csv', which matches nothing in ")
    assert lines[2].startswith("b.toml:1 (zones): ")
    assert "'C'" in lines[2]
    assert lines[3].startswith("c.toml:1 (zones): EIC '11XRWETRADING--0' is of type X (party); wanted Y (area)")
    assert lines[4].startswith("d.toml:1 (zones): currency 'EUT' is not known")


def test_an_unknown_clock_of_a_zone_is_refused(tmp_path: Path):
    (tmp_path / "z.toml").write_text(
        '[[zones]]\ncode = "XX"\neic = ""\ntimezone = "Europe/Nowhere"\ncurrency = "EUR"\n'
    )
    assert "Europe/Nowhere" in refused(tmp_path, files=("z.toml",))


# Contracts.


def test_a_contract_is_announced_with_its_zone_and_all_that_it_cascades_into():
    kernel = started(ReferenceDataConfig(contracts=("DE-LU Y 2027", "DE-LU Q 2027-Q2")))
    assert kernel.of(PluginFault) == []
    assert [zone.code for zone in kernel.of(ZoneDefinition)] == ["DE-LU"]
    contracts = {contract.name: contract for contract in kernel.of(ContractDefinition)}
    assert len(contracts) == len(kernel.of(ContractDefinition)) == 1 + 3 + 3 + 9
    assert all(part in contracts for contract in contracts.values() for part in contract.cascades_into)
    listings = kernel.of(ListingDefinition)
    assert [listing.name for listing in listings] == list(contracts)
    assert all(listing.reference_only and not listing.venue_id for listing in listings)
    whole, parts = listings[0], [kernel_listing(kernel, name) for name in contracts["DE-LU Y 2027"].cascades_into]
    assert whole.interval_count == sum(part.interval_count for part in parts) == 365 * 96
    assert whole.cash_micro_per_lot_tick == sum(part.cash_micro_per_lot_tick for part in parts)


def kernel_listing(kernel: SimKernel, name: str) -> ListingDefinition:
    (found,) = [listing for listing in kernel.of(ListingDefinition) if listing.name == name]
    return found


def test_a_contract_that_does_not_exist_is_refused():
    for name in ("XX-YY Y 2027", "DE-LU Z 2027", "DE-LU Y twenty"):
        (fault,) = started(ReferenceDataConfig(contracts=(name,))).of(PluginFault)
        assert fault.handler == "on_start"
        assert fault.error.startswith("EnergyError: ")


def test_a_later_session_says_the_data_again_and_of_contracts_only_what_is_new():
    kernel = SimKernel()
    plugin = kernel.add(ReferenceData, "refdata", ReferenceDataConfig(contracts=("TTF M 2027-01",)))
    kernel.start()
    plugin.config = ReferenceDataConfig(contracts=("TTF M 2027-01", "TTF M 2027-02"))
    said = plugin.on_resume()
    assert isinstance(said, list)
    assert [event.name for event in said if isinstance(event, CalendarDefinition)] == ["TARGET", "EEX", "UK", "US"]
    assert [event.name for event in said if isinstance(event, ContractDefinition)] == ["TTF M 2027-02"]
    assert kernel.catalog.name_of(IdKind.CONTRACT, 2) == "TTF M 2027-02"


def test_the_same_config_says_the_same_twice():
    config = ReferenceDataConfig(contracts=("NBP Q 2027-Q1", "HENRY-HUB M 2027-01", "EU-ETS DEC 2027"))
    assert started(config).digest() == started(config).digest()
