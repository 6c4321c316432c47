"""Proves that every name parses to the period that it names and to no other, and that a bad name says why."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, MarketZone, known_zones, market_zone
from penstock_sdk.energy.calendar_periods import CALENDAR_PERIODS
from penstock_sdk.energy.delivery import (
    block,
    days,
    delivery_date,
    intervals,
    parse_period,
    period,
    split,
    strip,
)
from penstock_sdk.energy.localtime import ns_to_local
from penstock_sdk.energy.rules import builtin_rules

ZONES = known_zones()
TILED = [zone for zone in ZONES if not zone.slots_a_day]
CHANGES = [
    date(year, month, day) for year, month, day in ((2018, 3, 25), (2025, 3, 30), (2025, 10, 26), (2030, 10, 27))
]
DAYS = st.dates(date(2018, 1, 1), date(2030, 12, 31)) | st.sampled_from(CHANGES)
SHAPES = st.sampled_from(["", "PEAK", "OFFPEAK"])
DE = market_zone("DE-LU")
ROWS = {zone.code: builtin_rules().rows("zones", code=zone.code) for zone in ZONES}


def fitting(product: str, day: date) -> date:
    """Return a day near *day* that a period of the product holds."""
    if product == "WE":
        return day + timedelta(days=6 - day.isoweekday())
    return day - timedelta(days=day.isoweekday() - 1) if product == "WD" else day


@given(st.sampled_from(ZONES), DAYS, st.sampled_from(sorted(CALENDAR_PERIODS)), SHAPES)
def test_names_of_whole_days_parse_to_what_they_name(zone: MarketZone, day: date, product: str, shape: str) -> None:
    try:
        named = strip(zone, product, fitting(product, day), shape)
    except EnergyError as error:
        assert shape and ("no hour of" in str(error) or "is not defined in zone" in str(error))  # noqa: PT017
        return
    assert parse_period(zone, named.name) == named
    assert named.name.split(" ")[0] == product
    assert named.name.endswith(shape)
    assert named.timezone == zone.timezone


@given(st.sampled_from(TILED), DAYS, st.sampled_from([5, 15, 30, 60]), st.data())
def test_names_of_intervals_parse_to_what_they_name(
    zone: MarketZone, day: date, minutes: int, data: st.DataObject
) -> None:
    tiles = intervals(zone, day, minutes)
    named = data.draw(st.sampled_from(tiles))
    assert parse_period(zone, named.name) == named
    named_day = delivery_date(zone, named.start_ns)
    if not any(row.valid_from <= named_day <= row.valid_to for row in ROWS[zone.code]):
        with pytest.raises(EnergyError, match=f"^zone '{zone.code}' does not exist on"):
            period(zone.code, named.name)
        return
    assert period(zone.code, named.name) == named


@pytest.mark.parametrize(
    ("code", "name", "day"),
    [
        ("DE-LU", "Y 2018", "2018-01-01"), ("DE-LU", "M 2017-12", "2017-12-01"), ("DE-LU", "S 2018-SUM", "2018-04-01"),
        ("DE-AT-LU", "S 2018-WIN", "2018-10-01"), ("DE-AT-LU", "Y 2018", "2018-12-31"),
        ("DE-LU", "QH 2018-09-30 23:45", "2018-09-30"), ("DE-AT-LU", "H 2018-10-01 00", "2018-10-01"),
        ("DE-LU", "B 2018-09-30 20:00-24:00", "2018-09-30"), ("THE", "D 2021-09-30", "2021-09-30"),
    ],
)  # fmt: skip
def test_a_code_is_refused_where_it_is_no_zone_on_all_days_of_delivery(code: str, name: str, day: str) -> None:
    with pytest.raises(EnergyError, match=f"^zone '{code}' does not exist on {day}; it does "):
        parse_period(code, name)
    assert parse_period(market_zone(code), name).name == name  # whoever has the zone at hand may ask


def test_a_code_may_be_one_zone_after_another() -> None:
    assert parse_period("NSW1", "Y 2021").hours_rational == 365 * 24
    before, after = (parse_period("NBP", f"D 2015-{day}") for day in ("09-30", "10-01"))
    assert [ns_to_local(each.start_ns, each.timezone).hour for each in (before, after)] == [6, 5]
    assert parse_period("DE-LU", "Q 2018-Q4").hours_rational == 92 * 24 + 1


@given(st.sampled_from([zone for zone in TILED if zone.interval_minutes <= 60]), DAYS, st.data())
def test_names_of_blocks_parse_to_what_they_name(zone: MarketZone, day: date, data: st.DataObject) -> None:
    # The calendar day, from midnight to midnight, as blocks are named by it whenever the delivery day begins.
    clock = MarketZone("CLOCK", "", zone.timezone, "EUR", interval_minutes=zone.interval_minutes)
    tiles = intervals(clock, day, zone.interval_minutes)
    edges = [tile.start_ns for tile in tiles] + [tiles[-1].end_ns]
    first, last = sorted(data.draw(st.lists(st.integers(0, len(tiles)), min_size=2, max_size=2, unique=True)))
    named = block(zone, edges[first], edges[last])
    assert parse_period(zone, named.name) == named
    assert split(named, zone.interval_minutes) == tiles[first:last]


@given(DAYS)
def test_periods_of_one_day_have_names_of_their_own(day: date) -> None:
    named = [strip("TTF", product, fitting(product, day)) for product in CALENDAR_PERIODS]
    assert len({each.name for each in named}) == len(CALENDAR_PERIODS)
    assert [each.name for each in days("TTF", strip("TTF", "D", day))] == [f"D {day}"]


@pytest.mark.parametrize(
    ("name", "first", "end"),
    [
        ("D 2025-07-01", "2025-07-01", "2025-07-02"),
        ("WE 2025-07-05", "2025-07-05", "2025-07-07"),
        ("W 2025-W27", "2025-06-30", "2025-07-07"),
        ("W 2020-W53", "2020-12-28", "2021-01-04"),
        ("W 2026-W01", "2025-12-29", "2026-01-05"),
        ("WD 2025-W27", "2025-06-30", "2025-07-05"),
        ("BOM 2025-07-08", "2025-07-08", "2025-08-01"),
        ("BOM 2025-12-31", "2025-12-31", "2026-01-01"),
        ("M 2025-12", "2025-12-01", "2026-01-01"),
        ("Q 2025-Q3", "2025-07-01", "2025-10-01"),
        ("Q 2025-Q4", "2025-10-01", "2026-01-01"),
        ("S 2025-SUM", "2025-04-01", "2025-10-01"),
        ("S 2025-WIN", "2025-10-01", "2026-04-01"),
        ("Y 2026", "2026-01-01", "2027-01-01"),
        ("GY 2025", "2025-10-01", "2026-10-01"),
    ],
)
def test_a_name_stands_for_its_days(name: str, first: str, end: str) -> None:
    for code in ("TTF", "DE-LU", "NSW1"):
        named = parse_period(code, name)
        assert named.name == name
        assert (named.start_ns, named.end_ns) == tuple(parse_period(code, f"D {day}").start_ns for day in (first, end))


def test_a_block_in_the_repeated_hour() -> None:
    first, second = (parse_period(DE, f"H 2025-10-26 02{half}") for half in "AB")
    named = parse_period(DE, "B 2025-10-26 02:00A-02:00B")
    assert (named.start_ns, named.end_ns) == (first.start_ns, first.end_ns)
    assert parse_period(DE, "B 2025-10-26 02:00B-03:00").start_ns == second.start_ns
    assert parse_period(DE, "B 2025-10-26 00:00-24:00").hours_rational == 25
    assert parse_period(DE, "B 2025-03-30 01:00-03:00").hours_rational == 1


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("M 2025-7", "'2025-7' names no month; wanted one like '2025-07'"),
        ("M 2025-13", "'2025-13' names no month: month must be in"),
        ("Q 2025-Q5", "'2025-Q5' names no quarter; wanted one like '2025-Q3'"),
        ("S 2025-AUT", "names no season; wanted one like '2025-WIN'"),
        ("W 2025-W53", "names no week: Invalid week: 53"),
        ("WD 2025-W00", "names no working week: Invalid week: 0"),
        ("WE 2025-07-04", "2025-07-04 is no Saturday; a weekend is named by its Saturday, such as 2025-07-05"),
        ("WE 2025-07-06", "such as 2025-07-05"),
        ("Y 25", "'25' names no year; wanted one like '2026'"),
        ("Y 9999", "names no year: year 10000 is out of range"),
        ("D 9999-12-31", "names no day"),
        ("GY", "'' names no gas year"),
        ("D 2025-02-29", "names no day: day is out of range"),
        ("M 2025-07 base", "shape 'base' is not known"),
        ("M 2025-07 PEAK OFFPEAK", "names no delivery period; wanted one like"),
        ("M  2025-07", "names no delivery period; wanted one like"),
        ("M 2025-07 ", "names no delivery period; wanted one like"),
        ("m 2025-07", "products are H, HH, QH, 5M, B, D, WE, W, WD, BOM, M, Q, S, Y, GY"),
        ("B 2025-07-01", "wanted one like 'B 2025-07-01 08:00-20:00'"),
        ("B 2025-07-01 08-20", "wanted one like 'B 2025-07-01 08:00-20:00'"),
        ("B 2025-07-01 08:10-09:00", "is no multiple of the 15-minute intervals of zone DE-LU"),
        ("B 2025-07-01 09:00-09:00", "lasts 0 s; wanted whole minutes"),
        ("B 2025-07-01 09:00-08:00", "wanted whole minutes"),
        ("B 2025-07-01 24:00-24:00", "hour must be in 0..23"),
        ("B 2025-07-01 08:00-24:15", "hour must be in 0..23"),
        ("B 2025-07-01 08:00A-09:00", "it is 'B 2025-07-01 08:00-09:00'"),
        ("B 2025-10-26 02:00-03:00", "02:00 in .* happens twice in Europe/Berlin; say '02:00A' or '02:00B'"),
        ("B 2025-10-26 01:00-02:30", "02:30 in .* happens twice in Europe/Berlin; say '02:30A' or '02:30B'"),
        ("B 2025-03-30 01:00-02:00", "2025-03-30 02:00 does not exist in Europe/Berlin: the clock skips it"),
        ("B 9999-12-31 08:00-24:00", "9999-12-31|out of range"),
        ("D 2025-07-06 PEAK", "no hour of D 2025-07-06 has the shape 'PEAK'"),
    ],
)
def test_a_name_that_is_none_says_why(name: str, fault: str) -> None:
    with pytest.raises(EnergyError, match=fault):
        parse_period("DE-LU", name)


WORDS = st.sampled_from(
    ["D", "WE", "W", "M", "Q", "S", "Y", "GY", "B", "H", "BOM", "2025", "2025-W27", "2025-07", "2025-Q3", "2025-WIN",
     "2025-07-05", "2025-10-26", "08:00-20:00", "02A", "PEAK", "OFFPEAK", "", "9999", "0001", "9999-12-31",
     "0001-01-01"]
)  # fmt: skip


@given(st.sampled_from(["DE-LU", "TTF", "PSV", "NSW1"]), st.lists(WORDS, max_size=4))
def test_any_words_name_a_period_exactly_or_are_refused(code: str, words: list[str]) -> None:
    name = " ".join(words)
    try:
        named = parse_period(code, name)
    except EnergyError:
        return
    assert named.name == name


def test_no_product_or_day_that_fits_is_refused() -> None:
    with pytest.raises(EnergyError, match="^2025-07-01 is a Tuesday; a weekend is Saturday and Sunday$"):
        strip("TTF", "WE", date(2025, 7, 1))
    with pytest.raises(EnergyError, match="^2025-07-05 is a Saturday; working days are Monday to Friday$"):
        strip("TTF", "WD", date(2025, 7, 5))
    with pytest.raises(EnergyError, match="^product 'QQ' is made of no whole days; known are D, WE"):
        strip("TTF", "QQ", date(2025, 7, 1))
    with pytest.raises(EnergyError, match="^zone 'TFT' is not known; did you mean 'TTF'"):
        parse_period("TFT", "M 2025-07")


def test_a_block_over_midnight_is_refused() -> None:
    start_ns = parse_period("TTF", "H 2025-07-01 22").start_ns
    with pytest.raises(EnergyError, match="goes over midnight; split it into one for each day$"):
        block("TTF", start_ns, start_ns + 8 * 3_600_000_000_000)
