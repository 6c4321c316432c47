"""Proves the laws of delivery periods: they tile every day, count 92/96/100 right, and names and periods round trip."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import (
    PRODUCT_MINUTES,
    DeliveryPeriod,
    EnergyError,
    MarketZone,
    covering,
    delivery_day,
    energy_mwh,
    hours,
    intervals,
    market_zone,
    parse_period,
    quarter_hours,
    split,
)

CLOCKS = ["Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Athens", "Etc/GMT-10"]
ZONES = [MarketZone(clock.replace("/", "-"), "", clock, "EUR", 5) for clock in CLOCKS]
EUROPEAN = ZONES[:4]
LORD_HOWE = MarketZone("LH", "", "Australia/Lord_Howe", "AUD", 0)  # changes its clock by half an hour
DE = market_zone("DE-LU")

YEARS = range(2018, 2031)
ANY_ZONE = st.sampled_from(ZONES)
ANY_DAY = st.dates(date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31))
MINUTES = st.sampled_from(sorted(PRODUCT_MINUTES.values()))


def last_sunday(year: int, month: int) -> date:
    """Return when Europe changes its clocks: the last Sunday of March or October, both of 31 days."""
    last = date(year, month, 31)
    return last - timedelta(days=last.isoweekday() % 7)


# Half of the days drawn are days on which the clock changes.
DAYS = ANY_DAY | st.builds(last_sunday, st.sampled_from(YEARS), st.sampled_from([3, 10]))


@given(ANY_ZONE, DAYS, MINUTES)
def test_intervals_tile_the_day(zone: MarketZone, day: date, minutes: int) -> None:
    whole, parts = delivery_day(zone, day), intervals(zone, day, minutes)
    assert parts[0].start_ns == whole.start_ns
    assert parts[-1].end_ns == whole.end_ns
    assert all(part.minutes == minutes for part in parts)
    assert all(before.end_ns == after.start_ns for before, after in pairwise(parts))


@given(ANY_ZONE, DAYS)
def test_a_day_ends_where_the_next_begins(zone: MarketZone, day: date) -> None:
    assert delivery_day(zone, day).end_ns == delivery_day(zone, day + timedelta(days=1)).start_ns


@pytest.mark.parametrize("zone", ZONES, ids=CLOCKS)
def test_counts_differ_on_clock_change_days_and_on_no_other(zone: MarketZone) -> None:
    day, counts = date(YEARS[0], 1, 1), {}
    while day.year <= YEARS[-1]:
        whole = delivery_day(zone, day)
        if whole.minutes != 1440:
            counts[day] = (len(hours(zone, day)), len(quarter_hours(zone, day)))
        day += timedelta(days=1)
    changes = {last_sunday(year, 3): (23, 92) for year in YEARS} | {last_sunday(year, 10): (25, 100) for year in YEARS}
    assert counts == (changes if zone in EUROPEAN else {})


def test_a_usual_day_has_96_quarter_hours_24_hours_48_half_hours_and_288_fives() -> None:
    day = date(2025, 7, 1)
    assert [len(intervals(DE, day, minutes)) for minutes in (15, 60, 30, 5)] == [96, 24, 48, 288]
    assert [len(intervals(code, day, 30)) for code in ("GB", "NSW1")] == [48, 48]


def test_settlement_periods_of_great_britain_are_46_and_50_when_the_clock_changes() -> None:
    assert [len(intervals("GB", day, 30)) for day in (date(2025, 3, 30), date(2025, 10, 26))] == [46, 50]


@given(ANY_ZONE, DAYS, MINUTES)
def test_names_parse_to_what_they_name_and_differ(zone: MarketZone, day: date, minutes: int) -> None:
    parts = (delivery_day(zone, day), *intervals(zone, day, minutes))
    assert [parse_period(zone, part.name) for part in parts] == list(parts)
    assert len({part.name for part in parts}) == len(parts)


def test_names_are_the_markets_and_the_repeated_hour_carries_a_and_b() -> None:
    names = [period.name for period in quarter_hours(DE, date(2025, 10, 26))]
    assert names[7:10] == ["QH 2025-10-26 01:45", "QH 2025-10-26 02:00A", "QH 2025-10-26 02:15A"]
    assert names[12:17] == [f"QH 2025-10-26 {t}" for t in ("02:00B", "02:15B", "02:30B", "02:45B", "03:00")]
    assert [period.name for period in hours(DE, date(2025, 10, 26))][1:5] == [
        "H 2025-10-26 01",
        "H 2025-10-26 02A",
        "H 2025-10-26 02B",
        "H 2025-10-26 03",
    ]
    assert [period.name for period in hours(DE, date(2025, 3, 30))][1:3] == ["H 2025-03-30 01", "H 2025-03-30 03"]


def test_a_name_stands_for_its_instants() -> None:
    period = parse_period("DE-LU", "QH 2025-10-26 02:15B")
    # 02:15 for the second time is 02:15+01:00, 2025-10-26T01:15Z.
    assert (period.start_ns, period.end_ns) == (1_761_441_300_000_000_000, 1_761_442_200_000_000_000)
    assert (period.minutes, period.hours_rational) == (15, Fraction(1, 4))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("QH 2025-10-26 02:15", "happens twice in Europe/Berlin that day; say 'QH 2025-10-26 02:15A' or"),
        ("H 2025-10-26 02", "happens twice"),
        ("QH 2025-10-26 03:15A", "it is 'QH 2025-10-26 03:15'"),
        ("QH 2025-10-26 03:15B", "it is 'QH 2025-10-26 03:15'"),
        ("QH 2025-03-30 02:15", "does not exist in Europe/Berlin"),
        ("QH 2025-07-01 04:10", "the 15-minute grid .* wanted 'QH 2025-07-01 04:00' or 'QH 2025-07-01 04:15'$"),
        ("H 2025-07-01 04:15", "not on the 60-minute grid .* wanted 'H 2025-07-01 04' or 'H 2025-07-01 05'$"),
        ("H 2025-07-01 04:00", "it is 'H 2025-07-01 04'"),
        ("QH 2025-07-01 04", "it is 'QH 2025-07-01 04:00'"),
        ("QH 2025-13-01 04:00", "month must be in"),
        ("QH 2025-07-01 24:00", "hour must be in"),
        ("QH 2025-07-01", "names no delivery period"),
        ("D 2025-07-01 00:00", "names no delivery period"),
        ("XH 2025-07-01 00:00", "names no delivery period"),
        ("QH 2025-07-01 04:00 ", "names no delivery period"),
        ("qh 2025-07-01 04:00", "names no delivery period"),
        ("", "names no delivery period"),
    ],
)
def test_a_name_that_is_none_says_why(name: str, fault: str) -> None:
    with pytest.raises(EnergyError, match=fault):
        parse_period("DE-LU", name)


@given(st.text(alphabet="QHD5M 0123456789-:AB", max_size=24))
def test_any_text_names_a_period_exactly_or_is_refused(name: str) -> None:
    try:
        period = parse_period(DE, name)
    except EnergyError:
        return
    assert period.name == name


@given(ANY_ZONE, DAYS, st.data())
def test_an_hour_is_its_four_quarter_hours(zone: MarketZone, day: date, data: st.DataObject) -> None:
    quarters = {(period.start_ns, period.end_ns): period for period in quarter_hours(zone, day)}
    hour = data.draw(st.sampled_from(hours(zone, day)))
    parts = split(hour, 15)
    assert len(parts) == 4
    assert parts == tuple(quarters[part.start_ns, part.end_ns] for part in parts)
    assert (parts[0].start_ns, parts[-1].end_ns) == (hour.start_ns, hour.end_ns)
    assert sum(energy_mwh("4.7", part) for part in parts) == energy_mwh("4.7", hour) == Fraction(47, 10)


@given(ANY_ZONE, DAYS, MINUTES)
def test_energy_is_conserved_whatever_the_grain(zone: MarketZone, day: date, minutes: int) -> None:
    whole = delivery_day(zone, day)
    assert sum(energy_mwh("-0.1", part) for part in intervals(zone, day, minutes)) == energy_mwh("-0.1", whole)


def test_a_megawatt_over_a_long_day_is_25_mwh() -> None:
    assert energy_mwh(1, delivery_day(DE, date(2025, 10, 26))) == 25
    with pytest.raises(EnergyError, match=r"^qty_mw is 0\.1 \(float\)"):
        energy_mwh(0.1, delivery_day(DE, date(2025, 10, 26)))  # type: ignore[arg-type]


@given(DAYS, st.data())
def test_covering_finds_the_one_period_that_holds_an_instant(day: date, data: st.DataObject) -> None:
    periods = quarter_hours(DE, day)
    low, high = periods[0].start_ns, periods[-1].end_ns
    edges = [low - 1, low, low + 1, high - 1, high, *(period.end_ns for period in periods)]
    t_ns = data.draw(st.sampled_from(edges) | st.integers(low - 10**13, high + 10**13))
    holders = [period for period in periods if period.start_ns <= t_ns < period.end_ns]
    assert covering(periods, t_ns) == (holders[0] if holders else None)


def test_nothing_covers_when_there_are_no_periods_or_a_hole() -> None:
    periods = quarter_hours(DE, date(2025, 7, 1))
    assert covering((), periods[0].start_ns) is None
    assert covering(periods[:1] + periods[2:], periods[1].start_ns) is None


def test_lengths_without_a_product_or_that_do_not_tile_are_refused() -> None:
    with pytest.raises(EnergyError, match="^no interval product lasts 20 minutes"):
        intervals(DE, date(2025, 7, 1), 20)
    with pytest.raises(EnergyError, match="lasts 1410 minutes; cannot be split into 60$"):
        intervals(LORD_HOWE, date(2025, 10, 5), 60)
    assert len(intervals(LORD_HOWE, date(2025, 10, 5), 30)) == 47
    with pytest.raises(EnergyError, match="is of 60 minutes, and that day .* has 1410, no multiple; wanted"):
        parse_period(LORD_HOWE, "H 2025-10-05 01")
    with pytest.raises(EnergyError, match="lasts 15 minutes; cannot be split into 60$"):
        split(quarter_hours(DE, date(2025, 7, 1))[0], 60)


@pytest.mark.parametrize(
    ("start_ns", "end_ns"), [(0, 0), (60_000_000_000, 0), (0, 90_000_000_000), (1, 60_000_000_000)]
)
def test_an_empty_reversed_or_ragged_period_is_refused(start_ns: int, end_ns: int) -> None:
    with pytest.raises(EnergyError, match="wanted whole minutes"):
        DeliveryPeriod(start_ns, end_ns, "x", "Europe/Berlin")


def test_periods_sort_by_time_hash_and_travel() -> None:
    periods = quarter_hours(DE, date(2025, 10, 26))
    backwards = periods[::-1]
    assert tuple(sorted(backwards)) == periods
    assert len(set(periods)) == 100
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(periods), type=tuple[DeliveryPeriod, ...]) == periods
