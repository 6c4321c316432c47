"""Proves that what venues call a contract reads back to it, on the days on which they do, and nothing else does."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, day_contracts, parse_contract
from penstock_sdk.energy.aliases import MONTH_LETTERS, aliases, contract_by_alias
from penstock_sdk.energy.rules import Reference, Table, builtin_rules
from sdk.tests.market_calendars import reference

NOW = date(2026, 3, 2)
CHANGES = [date(2025, 3, 30), date(2025, 10, 26), date(2026, 3, 29), date(2026, 10, 25)]
GERMAN_FROM = date(2018, 10, 1)
DAYS = st.dates(GERMAN_FROM, date(2030, 12, 30)) | st.sampled_from(CHANGES)


@pytest.mark.parametrize(
    ("venue", "alias", "name"),
    [
        ("EEX", "DEBMJ26", "DE-LU M 2026-04"),
        ("EEX", "DEPMZ26", "DE-LU M 2026-12 PEAK"),
        ("EEX", "DEBQN26", "DE-LU Q 2026-Q3"),
        ("EEX", "DEPYF27", "DE-LU Y 2027 PEAK"),
        ("ICE", "TFM FMF0027", "TTF M 2027-01"),
        ("ICE", "TFM FQV0026", "TTF Q 2026-Q4"),
        ("ICE", "GWM FSV0027.H0028", "NBP S 2027-WIN"),
        ("ICE", "GWM FSJ0027.U0027", "NBP S 2027-SUM"),
        ("ICE", "TFM FYF0028", "TTF Y 2028"),
        ("ICE", "ECF FMZ0026", "EU-ETS EUA 2026-12"),
        ("NYMEX", "NGK26", "HENRY-HUB M 2026-05"),
        ("SEEPEX", "2025-10-26 3A", "RS H 2025-10-26 02A"),
        ("SEEPEX", "2025-10-26 3B", "RS H 2025-10-26 02B"),
        ("SEEPEX", "2025-10-27 3", "RS H 2025-10-27 02"),
    ],
)
def test_published_names_both_ways(venue: str, alias: str, name: str) -> None:
    contract = contract_by_alias(venue, alias, NOW, reference())
    assert contract.name == name
    assert aliases(contract, None, reference())[venue] == alias


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        # Published by the exchange for 25 October 2015 and for 20 February 2023.
        ("PH-20151025-03X", "FI H 2015-10-25 02B"),
        ("PH-20151025-03", "FI H 2015-10-25 02A"),
        ("QH-20151025-09X", "FI QH 2015-10-25 02:00B"),
        ("QH-20151025-12X", "FI QH 2015-10-25 02:45B"),
        ("QH-20230220-55", "FI QH 2023-02-20 13:30"),
        ("PH-20260329-04", "FI H 2026-03-29 03"),
    ],
)
def test_intervals_of_a_zone_by_number(alias: str, name: str) -> None:
    contract = contract_by_alias("NORDPOOL", alias, NOW, zone="FI")
    assert (contract.name, aliases(contract)["NORDPOOL"]) == (name, alias)


@given(DAYS, st.sampled_from(["QH", "H"]))
def test_every_interval_of_a_day_has_a_name_of_its_own(day: date, product: str) -> None:
    contracts = day_contracts("DE-LU", day, (product,))
    names = [aliases(contract)["NORDPOOL"] for contract in contracts]
    assert len(set(names)) == len(contracts)
    assert [contract_by_alias("NORDPOOL", name, day, zone="DE-LU") for name in names[::7]] == list(contracts[::7])


@given(st.dates(date(2018, 1, 1), date(2030, 12, 31)), st.sampled_from(["DE-LU M", "TTF M", "NBP M", "HENRY-HUB M"]))
def test_every_month_reads_back(day: date, product: str) -> None:
    if product == "DE-LU M":
        day = max(day, GERMAN_FROM)
    contract = parse_contract(f"{product} {day:%Y-%m}")
    (venue, alias), *more = aliases(contract).items()
    assert not more
    assert alias.count(MONTH_LETTERS[day.month - 1]) >= 1
    assert contract_by_alias(venue, alias, day - timedelta(days=200)) == contract


@pytest.mark.parametrize(
    ("venue", "alias", "fault"),
    [
        (
            "EXX",
            "DEBMJ26",
            "^no aliases of venue 'EXX' are known; known are those of EEX, ICE, NORDPOOL, NYMEX, SEEPEX$",
        ),
        ("EEX", "DEBMA26", "^EEX has no contract 'DEBMA26'; a name there is written like '.*'; patterns are DEBM"),
        ("EEX", "DEPYG27", "^EEX has no contract 'DEPYG27'"),
        ("ICE", "GWM FSK0027.V0027", "^ICE has no contract"),
        ("ICE", "GWM FSV0027.H0029", "^ICE has no contract"),
        ("NORDPOOL", "PH-20260310-25", "^NORDPOOL has no contract 'PH-20260310-25'"),
        ("NORDPOOL", "PH-20260310-14", "is one in each of AT, BE, DE-LU, .*; name the zone$"),
        ("SEEPEX", "2025-10-26 3", "happens twice in Europe/Belgrade"),
    ],
)
def test_what_a_venue_does_not_call_anything_is_refused(venue: str, alias: str, fault: str) -> None:
    with pytest.raises(EnergyError, match=fault):
        contract_by_alias(venue, alias, NOW, reference())


def test_a_zone_without_the_name_is_refused() -> None:
    with pytest.raises(EnergyError, match="^NORDPOOL has no 'PH-20260310-14' in zone 'TTF'; it has in AT, BE"):
        contract_by_alias("NORDPOOL", "PH-20260310-14", NOW, zone="TTF")


def test_an_alias_holds_on_its_days_only() -> None:
    row = {
        "venue": "BROKER",
        "product": "M",
        "zones": ["TTF"],
        "pattern": "TTF-{yyyy}{letter}",
        "valid_to": "2026-06-30",
    }
    later = {**row, "pattern": "T-{yyyy}{letter}", "valid_from": "2026-07-01", "valid_to": "9999-12-31"}
    known = Reference(builtin_rules().with_tables([Table("aliases", "own", [row, later])]), {})
    june, july = (parse_contract(f"TTF M 2026-0{month}", known) for month in (6, 7))
    assert [aliases(each, None, known)["BROKER"] for each in (june, july)] == ["TTF-2026M", "T-2026N"]
    assert contract_by_alias("BROKER", "T-2026N", NOW, known) == july
    with pytest.raises(EnergyError, match="^BROKER has no contract 'TTF-2026N'"):
        contract_by_alias("BROKER", "TTF-2026N", NOW, known)


def test_two_digits_are_the_year_nearby() -> None:
    assert contract_by_alias("NYMEX", "NGF99", date(1998, 6, 1)).name == "HENRY-HUB M 1999-01"
    assert contract_by_alias("NYMEX", "NGF01", date(1998, 6, 1)).name == "HENRY-HUB M 2001-01"
    assert contract_by_alias("NYMEX", "NGF99", date(2002, 6, 1)).name == "HENRY-HUB M 1999-01"


def test_a_pattern_with_an_unknown_part_names_those_there_are() -> None:
    row = {"venue": "BROKER", "product": "M", "zones": ["TTF"], "pattern": "TTF {week}"}
    with pytest.raises(
        EnergyError, match=r"alias pattern 'TTF \{week\}' has a part 'week'; known parts are \{letter\}"
    ):
        Table("aliases", "own", [row])


OWN = [
    ("M", "{letter}{yy}"), ("Q", "{yyyy}{letter}"), ("S", "{letter}{yy}-{last_letter}{last_yy}"), ("Y", "{yy}"),
    ("GY", "{yyyy}"), ("D", "{ymd}"), ("WE", "{date}"), ("BOM", "{ymd}"),
]  # fmt: skip
LABELS = {
    "M": "2026-05", "Q": "2026-Q3", "S": "2026-WIN", "Y": "2027", "GY": "2026", "D": "2026-05-05", "WE": "2026-05-09",
    "BOM": "2026-05-05",
}  # fmt: skip


@pytest.mark.parametrize(("product", "pattern"), OWN)
def test_every_pattern_that_is_taken_reads_back(product: str, pattern: str) -> None:
    row = {"venue": "BROKER", "product": product, "zones": ["TTF"], "pattern": f"T{product}-{pattern}"}
    known = Reference(builtin_rules().with_tables([Table("aliases", "own", [row])]), reference().calendars)
    contract = parse_contract(f"TTF {product} {LABELS[product]}", known)
    alias = aliases(contract, None, known)["BROKER"]
    assert contract_by_alias("BROKER", alias, NOW, known) == contract
    with pytest.raises(EnergyError, match="^BROKER has no contract 'ABC-H'"):
        contract_by_alias("BROKER", "ABC-H", NOW, known)
