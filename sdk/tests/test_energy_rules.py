"""Proves that rules are dated data: what holds when, what is refused with its line, and that a version is content."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.eu import eic

from penstock_sdk.energy import EnergyError, MarketZone, known_zones, market_zone
from penstock_sdk.energy.rules import Rules, Table, builtin_reference, builtin_rules, read_tables

RULES = builtin_rules()
ZONES = known_zones()
POWER = [zone for zone in ZONES if zone.kind == "bidding_zone"]


def limits(*rows: Mapping[str, Any], market: str = "M", source: str = "mine.toml", line: int = 1) -> Table:
    """Return a table of limits of one market, each row on a line of its own."""
    full = [{"market": market, "price_min": -1, "price_max": 1, **row} for row in rows]
    return Table("limits", source, full, list(range(line, line + len(full))))


def caps(rules: Rules, *days: date, market: str = "M") -> list[int]:
    return [int(rules.row("limits", market=market, on=day).price_max) for day in days]


# What Penstock brings.


@pytest.mark.parametrize("zone", POWER, ids=lambda zone: zone.code)
def test_every_bidding_zone_has_a_code_that_the_check_character_confirms(zone: MarketZone) -> None:
    assert eic.validate(zone.eic) == zone.eic
    assert market_zone(zone.code) == zone
    assert market_zone(zone) is zone


def test_no_two_zones_share_an_eic_and_each_has_a_name() -> None:
    codes = [zone.eic for zone in ZONES if zone.eic]
    assert len(set(codes)) == len(codes) == len(POWER)
    assert all(zone.name for zone in ZONES)
    assert [zone.code for zone in ZONES] == sorted(zone.code for zone in ZONES)


def test_hubs_and_registries_have_the_day_and_the_grid_of_their_market() -> None:
    found = {zone.code: (zone.day_starts_hour, zone.interval_minutes, zone.grid_unit) for zone in ZONES}
    assert found["TTF"] == found["THE"] == found["PEG"] == found["ZTP"] == found["CEGH"] == (6, 60, "kW")
    assert found["NBP"] == (5, 1440, "therm/d")
    assert found["HENRY-HUB"] == (9, 1440, "mMMBtu/d")
    assert found["EU-ETS"] == found["UK-ETS"] == (0, 1440, "kg")
    assert found["PSV"] == (6, 1440, "kWh/d")
    assert {zone.code for zone in ZONES if zone.slots_a_day} == {"PSV"}
    assert market_zone("NBP", date(2015, 9, 30)).day_starts_hour == 6


def test_germany_and_austria_part_on_1_october_2018() -> None:
    last, first = date(2018, 9, 30), date(2018, 10, 1)
    assert market_zone("DE-AT-LU", last).code == "DE-AT-LU"
    assert market_zone("DE-LU", first).code == "DE-LU"
    with pytest.raises(EnergyError, match="^zone 'DE-LU' does not exist on 2018-09-30; it does from 2018-10-01 on$"):
        market_zone("DE-LU", last)
    with pytest.raises(EnergyError, match="^zone 'DE-AT-LU' does not exist on 2018-10-01; it does to 2018-09-30$"):
        market_zone("DE-AT-LU", first)
    assert {"AT", "DE-LU"}.isdisjoint(zone.code for zone in RULES.zones(last))


def test_australia_settles_five_minutes_from_1_october_2021() -> None:
    assert [market_zone("NSW1", date(2021, 9, 30) + timedelta(days=n)).interval_minutes for n in (0, 1)] == [30, 5]
    assert market_zone("NSW1").interval_minutes == 5


def test_limits_are_those_of_the_day() -> None:
    assert caps(RULES, date(2022, 5, 10), date(2022, 5, 11), date(2022, 9, 21), market="SDAC") == [3000, 4000, 4000]
    assert caps(RULES, date(2025, 6, 30), date(2025, 7, 1), market="NEM") == [17_500, 20_300]
    with pytest.raises(
        EnergyError,
        match="^limits has no row of market 'NEM' that holds on 2030-01-01; it has from 2017-07-01 to 2026-06-30$",
    ):
        caps(RULES, date(2030, 1, 1), market="NEM")


def test_the_built_in_rules_are_made_once_and_know_no_calendar() -> None:
    assert builtin_rules() is RULES
    assert builtin_reference().rules is RULES
    assert not builtin_reference().calendars


# Looking up a zone.


@pytest.mark.parametrize(("written", "code"), [("DE_LU", "DE-LU"), ("NO_2", "NO2"), ("IT_NORD", "IT-NORD")])
def test_the_underscores_of_entsoe_are_understood(written: str, code: str) -> None:
    assert market_zone(written).code == code


def test_an_unknown_zone_names_the_closest_and_all_known() -> None:
    for slip in ("de_lu", "DELU", "DE-UL"):
        with pytest.raises(EnergyError, match=f"^zone '{slip}' is not known; did you mean 'DE-LU'.*known are AT, BE"):
            market_zone(slip)
    with pytest.raises(EnergyError, match="^zone 'XQZ' is not known; known are AT, BE"):
        market_zone("XQZ")


def test_underscores_that_could_mean_two_zones_are_not_guessed() -> None:
    twin = {"eic": "", "timezone": "Europe/Rome", "currency": "EUR"}
    rules = Rules([Table("zones", "twins", [{"code": "AB-C", **twin}, {"code": "A-BC", **twin}])])
    with pytest.raises(EnergyError, match="^zone 'A_BC' is not known; did you mean 'A-BC' or 'AB-C'"):
        rules.zone("A_BC")


# Validity.

DAY = st.dates(date(2020, 1, 1), date(2020, 3, 31))


@st.composite
def dated(draw: st.DrawFn, price: int) -> list[dict[str, Any]]:
    """Return rows of one key, apart in time, with prices from *price* on."""
    edges = sorted(draw(st.sets(DAY, max_size=8)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [{"price_max": price + n, "valid_from": a, "valid_to": b} for n, (a, b) in enumerate(pairs)]


@given(dated(100), dated(200), DAY)
def test_new_rows_hold_on_their_days_and_the_old_ones_on_the_rest(
    old: list[dict[str, Any]], new: list[dict[str, Any]], day: date
) -> None:
    def on(rows: list[dict[str, Any]]) -> list[int]:
        return [row["price_max"] for row in rows if row["valid_from"] <= day <= row["valid_to"]]

    rules = Rules([limits(*old)]).with_tables([limits(*new)])
    assert [int(row.price_max) for row in rules.rows("limits", on=day)] == (on(new) or on(old))
    days = [(row.valid_from, row.valid_to) for row in rules.rows("limits")]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(days))


@given(dated(100), dated(200), st.randoms(use_true_random=False))
def test_the_version_is_that_of_the_rows_whatever_their_order_and_file(
    old: list[dict[str, Any]], new: list[dict[str, Any]], random: Any
) -> None:
    rules = Rules([limits(*old), limits(*new, market="N")])
    shuffled = random.sample(old, len(old))
    again = Rules([limits(*new, market="N", source="b"), limits(*shuffled, source="a", line=40)])
    assert again == rules
    assert again.version == rules.version
    assert Rules(rules.tables()) == rules
    assert limits(*shuffled).digest == limits(*old).digest
    other = rules.with_tables([limits({"price_max": 999}, market="O")])
    assert other != rules


@given(DAY, DAY, DAY, DAY)
def test_rows_of_a_key_that_share_a_day_are_refused_whole(a: date, b: date, c: date, d: date) -> None:
    (a, b), (c, d) = sorted((a, b)), sorted((c, d))
    tables = [
        limits({"valid_from": a, "valid_to": b}, source="one.toml", line=3),
        limits({"valid_from": c, "valid_to": d}, source="two.csv", line=7),
    ]
    if b < c or d < a:
        assert len(Rules(tables).rows("limits")) == 2
        return
    with pytest.raises(EnergyError, match="both rows of limits 'M' hold on") as refused:
        Rules(tables)
    assert "one.toml:3 (limits)" in str(refused.value)
    assert "two.csv:7 (limits)" in str(refused.value)


def test_an_overlap_behind_a_short_row_is_seen_too() -> None:
    rows = limits(
        {"valid_from": "2020-01-01", "valid_to": "2020-12-31"},
        {"valid_from": "2020-02-01", "valid_to": "2020-02-02"},
        {"valid_from": "2020-06-01", "valid_to": "2020-06-02"},
    )
    with pytest.raises(EnergyError) as refused:
        Rules([rows])
    assert [line[:29] for line in str(refused.value).split("\n")] == [
        "mine.toml:1 (limits) and mine",
        "mine.toml:1 (limits) and mine",
    ]


def test_both_days_of_validity_are_included() -> None:
    rules = Rules([limits({"valid_from": "2020-02-02", "valid_to": "2020-02-03"})])
    found = [len(rules.rows("limits", on=date(2020, 2, day))) for day in range(1, 6)]
    assert found == [0, 1, 1, 0, 0]


def test_a_row_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(
        EnergyError, match=r"^mine.toml:1 \(limits\): valid_from 2020-02-02 is after valid_to 2020-02-01"
    ):
        limits({"valid_from": "2020-02-02", "valid_to": "2020-02-01"})


# What is refused, and where.

ZONE = {"code": "XX", "eic": "", "timezone": "Europe/Paris", "currency": "EUR"}
LIMIT = {"market": "M", "price_min": -1, "price_max": 1}
PRODUCT = {"market": "M", "product": "QH", "zones": ["FR"]}
ALIAS = {"venue": "V", "product": "M", "zones": ["TTF"], "pattern": "{letter}{yy}"}


@pytest.mark.parametrize(
    ("table", "row", "fault"),
    [
        ("zones", ZONE | {"timezone": "Europe/Pari"}, "time zone 'Europe/Pari' is not in tzdata .*did you mean"),
        ("zones", ZONE | {"currency": "EURO"}, "currency 'EURO' is not known"),
        ("zones", ZONE | {"eic": "10YFR-RTE------D"}, "ends in 'D'; to its first 15 characters belongs 'C'"),
        ("zones", ZONE | {"eic": "FR"}, "EIC 'FR' is malformed; wanted 16 characters"),
        ("zones", ZONE | {"code": "x x"}, "code is 'x x'; wanted"),
        ("zones", ZONE | {"day_starts_hour": 24}, "day_starts_hour is 24"),
        ("zones", ZONE | {"interval_minutes": 25}, "interval_minutes is 25; wanted a part of an hour"),
        ("zones", ZONE | {"gate_lead_minutes": -1}, "gate_lead_minutes is -1"),
        ("zones", ZONE | {"commodity": "coal"}, "commodity is 'coal'; wanted one of power, gas, carbon$"),
        ("zones", ZONE | {"timezon": "Europe/Paris"}, "column 'timezon' is not known; did you mean 'timezone'"),
        ("zones", ZONE | {"interval_minutes": "often"}, "interval_minutes is 'often'; wanted a whole number$"),
        ("zones", {"code": "XX"}, "column 'eic' is missing; wanted text"),
        ("zones", ZONE | {"valid_from": "2020-13-01"}, "valid_from is '2020-13-01'; wanted a date such as 2026-03-29$"),
        ("limits", {"market": "M", "price_min": 1, "price_max": 1}, "price_min 1 is not below price_max 1"),
        ("limits", {"market": "M", "price_min": "nan", "price_max": 1}, "is not below|Invalid decimal"),
        ("zones", ZONE | {"grid_unit": "MW"}, "grid_unit is 'MW'; wanted one of kW, therm/d"),
        (
            "limits",
            LIMIT | {"price_unit": "EUR/foo"},
            "price_unit is 'EUR/foo'; wanted a currency per MWh, therm, MMBtu",
        ),
        ("limits", LIMIT | {"price_unit": "EUX/MWh/d"}, "price_unit is 'EUX/MWh/d'; wanted a currency per MWh"),
        ("limits", LIMIT | {"price_unit": "EURO/MWh"}, "price_unit is 'EURO/MWh': currency 'EURO' is not known"),
        ("products", PRODUCT | {"price_unit": "EUR/foo"}, "price_unit is 'EUR/foo'; wanted a currency per MWh, as"),
        (
            "products",
            PRODUCT | {"qty_unit": "therm/d"},
            "price_unit is '{currency}/MWh'; wanted a currency per therm, as",
        ),
        ("products", PRODUCT | {"qty_unit": "kilo"}, "qty_unit is 'kilo'; wanted one of MW, therm/d, MMBtu, t"),
        ("products", PRODUCT | {"zones": []}, "zones is empty; wanted the code of each zone"),
        ("products", PRODUCT | {"zones": "FR"}, r"zones is 'FR'; wanted a list such as \["),
        ("products", PRODUCT | {"session": "18:00-08:00"}, "session is '18:00-08:00', which ends before it begins"),
        ("aliases", ALIAS | {"pattern": "ABC-{letter}"}, r"'ABC-\{letter\}' of product M lacks \{yy\} or \{yyyy\}"),
        ("aliases", ALIAS | {"pattern": "A{letter}{year}"}, "has a part 'year'; known parts are {letter}, {yy}"),
        ("aliases", ALIAS | {"pattern": "A{letter}{yy"}, "has a brace without its other one"),
        ("aliases", ALIAS | {"pattern": "{letter}{yy}{letter}"}, "has a part twice"),
        (
            "aliases",
            ALIAS | {"pattern": "{letter}{yy}{n}"},
            r"has \{n\}, but names of product M have \{letter\}, \{yy\}",
        ),
        ("aliases", ALIAS | {"product": "QH", "pattern": "{ymd}"}, r"of product QH lacks \{n\} or \{nn\}"),
        ("aliases", ALIAS | {"product": "W", "pattern": "{yyyy}"}, "product is 'W', of which no alias can be read"),
        ("aliases", ALIAS | {"zones": []}, "zones is empty; wanted the code of each zone"),
        (
            "shapes",
            {"code": "P", "weekdays": ["Mon"], "hours": ["08:00-15:07"]},
            "hours has '15:07'; wanted quarter-hours",
        ),
        ("fees", {"market": "M", "product": "*", "kind": "x", "currency": "EU"}, "currency 'EU' is not known"),
        ("shapes", {"code": "P", "weekdays": ["Mo"], "hours": ["08:00-20:00"]}, "weekdays has 'Mo'; wanted Mon, Tue"),
        ("shapes", {"code": "P", "weekdays": ["Mon"], "hours": ["08:00-25:00"]}, "hours is '08:00-25:00'; wanted"),
        ("shapes", {"code": "P", "weekdays": ["Mon"], "hours": ["08:00-07:00"]}, "hours 08:00-07:00 are not in order"),
        ("shapes", {"code": "P", "weekdays": ["Mon"]}, "weekdays without hours"),
        ("shapes", {"code": "P"}, "wants weekdays and hours, or except_of alone"),
        ("shapes", {"code": "BASE", "except_of": "PEAK"}, "code is 'BASE', which is every hour"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_its_line(table: str, row: dict[str, Any], fault: str) -> None:
    with pytest.raises(EnergyError, match=rf"(?m)^mine\.csv:12 \({table}\): .*({fault})"):
        Table(table, "mine.csv", [row], [12])


def test_every_faulty_row_is_named_at_once() -> None:
    with pytest.raises(EnergyError) as refused:
        limits({"price_max": "x"}, {"market": "N"}, {"market": "O", "colour": "red"})
    assert [line[:11] for line in str(refused.value).split("\n")] == ["mine.toml:1", "mine.toml:3"]


def test_every_fault_of_a_row_and_of_its_file_is_told_at_once(tmp_path: Path) -> None:
    bad = ZONE | {"eic": "10YFR-RTE------D", "timezone": "Europe/Pari", "currency": "EURO", "gate_lead_minutes": -5}
    bad |= {"day_starts_hour": "six", "colour": "red"}
    rows = [bad, ZONE | {"code": "YY"}, ZONE | {"code": "YY", "valid_from": "2020-01-01"}]
    with pytest.raises(EnergyError) as refused:
        Table("zones", "mine.toml", rows, [1, 9, 17])
    said = str(refused.value)
    assert [line.partition(" ")[0] for line in said.split("\n")] == ["mine.toml:1"] * 6 + ["mine.toml:9"]
    for what in (
        "'colour'",
        "day_starts_hour is 'six'",
        "'Europe/Pari'",
        "'EURO'",
        "belongs 'C'",
        "gate_lead_minutes is -5",
    ):
        assert what in said
    assert "mine.toml:9 (zones) and mine.toml:17 (zones): both rows of zones 'YY' hold on 2020-01-01" in said

    file = tmp_path / "two.toml"
    file.write_text(TOML.replace("-10.5", "low") + TOML.replace("-10.5", "-9") + "[[tides]]\n")
    with pytest.raises(EnergyError) as refused:
        read_tables(file)
    said = str(refused.value)
    assert "price_min is 'low'" in said
    assert said.count("both rows of limits 'M'") == said.count("both rows of shapes") == 1
    assert "table 'tides' is not known" in said


def test_two_markets_that_list_a_product_of_a_zone_are_refused_with_both_places() -> None:
    row = {"market": "EPEX", "product": "QH", "zones": ["AT", "DE-LU"]}
    with pytest.raises(EnergyError) as refused:
        RULES.with_tables([Table("products", "own.toml", [{**row, "valid_from": "2026-01-01"}], [4])])
    assert re.fullmatch(
        r"own\.toml:4 \(products\) and built-in products\.toml:\d+ \(products\): product 'QH' of AT, DE-LU is listed "
        r"by EPEX and SIDC on 2026-01-01; a name means one contract, so keep the zone in one of the rows",
        str(refused.value),
    )
    rest = msgspec.to_builtins(RULES.row("products", market="SIDC", product="QH", on=date(2026, 1, 1)))
    rest |= {"zones": [code for code in rest["zones"] if code not in row["zones"]], "valid_from": "2026-01-01"}
    rules = RULES.with_tables([Table("products", "own.toml", [{**row, "valid_from": "2026-01-01"}, rest])])
    assert rules != RULES


@pytest.mark.parametrize("unit", ["GBP/MWh", "USD/MWh", "EUR/therm"])
def test_limits_in_another_unit_than_their_prices_are_refused(unit: str) -> None:
    row = {"market": "SDAC", "price_min": -500, "price_max": 5000, "price_unit": unit, "valid_from": "2031-01-01"}
    said = rf"^own\.toml:2 \(limits\): price_unit is '{unit}', but SDAC prices product 'DA' of .* wanted 'EUR/MWh'"
    with pytest.raises(EnergyError, match=said):
        RULES.with_tables([Table("limits", "own.toml", [row], [2])])


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([("products", {"market": "M", "product": "QH", "zones": ["FR", "DELU"]})], "zone 'DELU' is not known; did"),
        ([("shapes", {"code": "LOW", "except_of": "HIGH"})], "shape 'HIGH' is not known; known are LOW, OFFPEAK, PEAK"),
        ([("shapes", {"code": "LOW", "except_of": "OFFPEAK"})], "except_of is 'OFFPEAK', itself what others leave"),
    ],
)
def test_rows_that_name_what_is_not_there_are_refused(rows: list[tuple[str, dict[str, Any]]], fault: str) -> None:
    with pytest.raises(EnergyError, match=rf"^my\.toml, row 1 \([a-z]+\): {fault}"):
        RULES.with_tables([Table(name, "my.toml", [row]) for name, row in rows])


def test_questions_that_make_no_sense_say_so() -> None:
    with pytest.raises(EnergyError, match="^mine: table 'zone' is not known; known are zones, products"):
        Table("zone", "mine", [])
    with pytest.raises(EnergyError, match="^table 'zone' is not known"):
        RULES.rows("zone")
    with pytest.raises(EnergyError, match="^table limits has no column 'venue'; it has market"):
        RULES.rows("limits", venue="M")
    with pytest.raises(EnergyError, match=r"^limits has \d+ rows of price_unit 'EUR/MWh' on 2025-01-01; name all of"):
        RULES.row("limits", price_unit="EUR/MWh", on=date(2025, 1, 1))
    with pytest.raises(EnergyError, match="^x: 1 rows of limits have 2 lines"):
        Table("limits", "x", [{"market": "M", "price_min": 0, "price_max": 1}], [1, 2])


# Files.

TOML = """\
# two tables in one file
[[limits]]
market = "M"
price_min = "-10.5"
price_max = 100
valid_from = 2020-01-01

[[shapes]]
code = "NIGHT"
weekdays = ["Mon", "Tue"]
hours = ["00:00-06:00", "22:00-24:00"]
"""
CSV = {
    "limits-2020.csv": "market,price_min,price_max,valid_from\n# from the notice\nM,-10.5,100,2020-01-01\n",
    "shapes.csv": "code,weekdays,hours\nNIGHT,Mon Tue,00:00-06:00 22:00-24:00\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_toml_and_csv_say_the_same_and_keep_their_lines(tmp_path: Path) -> None:
    toml = read_tables(write(tmp_path / "toml", {"all.toml": TOML}))
    sheets = read_tables(write(tmp_path / "csv", CSV | {"notes.txt": "no data"}))
    assert Rules(toml) == Rules(sheets)
    assert [(table.name, list(table.lines)) for table in toml] == [("limits", [2]), ("shapes", [8])]
    assert [(table.name, list(table.lines)) for table in sheets] == [("limits", [3]), ("shapes", [2])]
    assert [table.digest for table in toml] == [table.digest for table in sheets]


def test_rows_travel_as_plain_values_and_back(tmp_path: Path) -> None:
    for table in read_tables(write(tmp_path / "toml", {"all.toml": TOML})):
        travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(list(table.rows)))
        assert Table(table.name, "elsewhere", travelled).digest == table.digest


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.toml", TOML + TOML.replace("-10.5", "-9"), r"a\.toml:2 \(limits\) and .*a\.toml:13 \(limits\): both rows"),
        ("a.toml", "limits = 3\n", r"a\.toml: limits is not written row by row"),
        ("a.toml", 'limits = [{market = "M"}]\n', "begin each row with a line \\[\\[limits\\]\\]"),
        ("a.toml", "[[limit]]\n", "table 'limit' is not known; known are zones"),
        ("a.toml", "[[limits\n", r"a\.toml: .*line 1"),
        ("a.toml", TOML.replace("-10.5", "low"), r"a\.toml:2 \(limits\): price_min is 'low'; wanted a decimal number"),
        ("limits.csv", "market,price_min,price_max\nM,1\n", r"limits\.csv:2 \(limits\): 2 cells; wanted 3"),
        ("limits.csv", "market,price_min,price_max\n\nM,1,2\nN,2,1\n", r"limits\.csv:4 \(limits\): price_min 2 is not"),
        ("prices.csv", "a\n1\n", "table 'prices' is not known; name the file after one of zones"),
        ("limits.json", "{}", "wanted a .toml or a .csv file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, name: str, text: str, fault: str) -> None:
    folder = write(tmp_path / "x", {name: text})
    with pytest.raises(EnergyError, match=fault):
        Rules(read_tables(folder / name))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match=r"none\.toml: cannot be read"):
        read_tables(tmp_path / "none.toml")
    (tmp_path / "latin.csv").write_bytes(b"\xe9")
    with pytest.raises(EnergyError, match=r"latin\.csv: cannot be read"):
        read_tables(tmp_path / "latin.csv")


# What the data names.


def names(zones: Sequence[MarketZone]) -> dict[str, str]:
    return {zone.eic: zone.code for zone in zones}


def test_every_zone_of_the_price_data_is_known(shared_dir: Path) -> None:
    file = shared_dir / "data/power_dayahead/entsoe_da_price_hourly_2022-2023.parquet"
    columns = [name.removesuffix("-DA_price") for name in pyarrow.parquet.read_schema(file).names if "-DA_" in name]
    assert len(columns) == 38
    assert len({market_zone(column, date(2022, 6, 1)).code for column in columns} - {"GB"}) == 38


def test_zones_have_the_names_that_entsoe_gives_their_codes(shared_dir: Path) -> None:
    ours = names(POWER)
    with (shared_dir / "data/identifiers/entsoe_area_eic_codes.csv").open(encoding="utf-8") as file:
        theirs = {row["EIC"]: re.findall(r"BZN\|(.+)", row["Area Display Name"]) for row in csv.DictReader(file)}
    spoken = {"IE(SEM)": "IE-SEM", "IT-North": "IT-NORD", "IT-Centre-North": "IT-CNOR", "IT-Centre-South": "IT-CSUD"}
    spoken |= {"IT-South": "IT-SUD", "IT-Sicily": "IT-SICI", "IT-Sardinia": "IT-SARD", "IT-Calabria": "IT-CALA"}
    for code, name in ours.items():
        assert [spoken.get(each, each) for each in theirs[code]] == [name]


def test_the_bidding_zones_of_the_transparency_documents_are_known(shared_dir: Path) -> None:
    found: set[str] = set()
    for file in (shared_dir / "data/power_dayahead/entsoe_xml").glob("*.xml"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r"(?:in|out|biddingZone)_Domain\.mRID[^>]*>([^<]{16})<", text))
    assert len(found) >= 6
    assert found <= names(POWER).keys()
