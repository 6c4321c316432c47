"""Proves that base is peak and off-peak, that shapes follow the wall clock, and that shapes are dated data."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, known_zones, market_zone
from penstock_sdk.energy.delivery import (
    DeliveryPeriod,
    days,
    months,
    parse_period,
    parts,
    quarters,
    split,
    strip,
)
from penstock_sdk.energy.intervals import wall_edge_ns
from penstock_sdk.energy.rules import Reference, Table, builtin_reference

PEAKED = [zone for zone in known_zones() if zone.kind == "bidding_zone" and zone.code != "IE-SEM"]
DAYS = st.dates(date(2018, 1, 1), date(2030, 12, 31)) | st.builds(
    lambda year, month: date(year, month, 31) - timedelta(days=date(year, month, 31).isoweekday() % 7),
    st.integers(2018, 2030),
    st.sampled_from([3, 10]),
)
STRIPS = st.sampled_from(["W", "WD", "M", "Q", "S", "Y", "GY"])
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def shaped(*rows: dict[str, object]) -> Reference:
    """Return the built-in reference with more shapes."""
    built = builtin_reference()
    return built._replace(rules=built.rules.with_tables([Table("shapes", "test", rows)]))


def spans_joined(*periods: DeliveryPeriod) -> list[tuple[int, int]]:
    """Return the spans of several periods in order, those that touch made one; assert that none overlap."""
    spans = sorted(span for period in periods for span in period.spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    joined = spans[:1]
    for start_ns, end_ns in spans[1:]:
        if joined[-1][1] == start_ns:
            joined[-1] = (joined[-1][0], end_ns)
        else:
            joined.append((start_ns, end_ns))
    return joined


@given(st.sampled_from(PEAKED), DAYS, STRIPS)
def test_base_is_peak_and_off_peak(zone: object, day: date, product: str) -> None:
    place = market_zone(zone)  # type: ignore[arg-type]
    if product == "WD":
        day -= timedelta(days=day.isoweekday() - 1)
    base, peak, off = (strip(place, product, day, shape) for shape in ("", "PEAK", "OFFPEAK"))
    assert spans_joined(peak, off) == [(base.start_ns, base.end_ns)]
    assert peak.hours_rational + off.hours_rational == base.hours_rational


@given(st.sampled_from([*PEAKED, market_zone("GB")]), DAYS)
def test_peak_is_every_hour_from_8_to_20_of_a_weekday_and_in_britain_from_7_to_19(zone: object, day: date) -> None:
    place = market_zone(zone)  # type: ignore[arg-type]
    month = strip(place, "M", day)
    clock = ZoneInfo(place.timezone)
    begins = 7 if place.code == "GB" else 8

    def is_peak(start_ns: int) -> bool:
        local = datetime.fromtimestamp(start_ns // 10**9, clock)
        return local.isoweekday() <= 5 and begins <= local.hour < begins + 12

    wanted = [hour for hour in split(month, 60) if is_peak(hour.start_ns)]
    assert list(split(strip(place, "M", day, "PEAK"), 60)) == wanted


@given(st.sampled_from(PEAKED), DAYS, st.sampled_from(["Q", "S", "Y", "GY"]), st.sampled_from(["PEAK", "OFFPEAK"]))
def test_a_shaped_strip_is_the_sum_of_its_shaped_parts(zone: object, day: date, product: str, shape: str) -> None:
    place = market_zone(zone)  # type: ignore[arg-type]
    whole = strip(place, product, day, shape)
    for finer in (parts(place, whole), months(place, whole), quarters(place, whole), days(place, whole)):
        assert spans_joined(*finer) == list(whole.spans)
        assert sum(each.hours_rational for each in finer) == whole.hours_rational
        assert all(each.name.endswith(f" {shape}") for each in finer)


@pytest.mark.parametrize("year", range(2018, 2031))
def test_a_month_of_german_peak_is_240_to_276_megawatt_hours(year: int) -> None:
    zone = market_zone("DE-LU" if year > 2018 else "DE-AT-LU")
    found = [parse_period(zone, f"M {year}-{month:02} PEAK").hours_rational for month in range(1, 13)]
    assert all(240 <= hours <= 276 and hours % 12 == 0 for hours in found)
    weekdays = sum((date(year, 1, 1) + timedelta(n)).isoweekday() <= 5 for n in range(366 if year % 4 == 0 else 365))
    assert sum(found) == 12 * weekdays == parse_period(zone, f"Y {year} PEAK").hours_rational


def test_peak_of_a_day_is_twelve_hours_and_of_a_weekend_none() -> None:
    peak = parse_period("DE-LU", "D 2025-12-25 PEAK")  # a public holiday counts as the Thursday that it is
    assert (peak.hours_rational, peak.parts) == (12, ())
    assert len(parse_period("DE-LU", "D 2025-12-25 OFFPEAK").parts) == 2
    assert len(parse_period("DE-LU", "W 2025-W27 PEAK").parts) == 5
    assert parse_period("DE-LU", "WE 2025-10-25 OFFPEAK").spans == parse_period("DE-LU", "WE 2025-10-25").spans
    with pytest.raises(EnergyError, match="no hour of WE 2025-07-05 has the shape 'PEAK'$"):
        parse_period("DE-LU", "WE 2025-07-05 PEAK")
    assert len(days("DE-LU", parse_period("DE-LU", "W 2025-W27 PEAK"))) == 5


# Shapes by zone.


@pytest.mark.parametrize("code", ["TTF", "NBP", "EU-ETS", "NSW1", "IE-SEM"])
@pytest.mark.parametrize("shape", ["PEAK", "OFFPEAK"])
def test_a_zone_without_peak_refuses_it_and_says_how_to_bring_one(code: str, shape: str) -> None:
    met = (
        rf"^'M 2026-07 {shape}' names no delivery period: shape 'PEAK' is not defined in zone {code}; the table shapes"
    )
    with pytest.raises(EnergyError, match=met + rf' has it for AT, .*code = "PEAK", zones = \["{code}"\]'):
        parse_period(code, f"M 2026-07 {shape}")
    brought = shaped({"code": "PEAK", "zones": [code], "weekdays": NAMES[:5], "hours": ["07:00-22:00"]})
    assert parse_period(code, "M 2026-07 PEAK", brought).hours_rational == 23 * 15
    assert parse_period(code, "D 2026-07-07 OFFPEAK", brought).hours_rational == 9


def test_a_row_of_one_zone_changes_that_zone_alone() -> None:
    brought = shaped(
        {
            "code": "PEAK",
            "zones": ["DE-LU"],
            "weekdays": NAMES[:5],
            "hours": ["09:00-12:00"],
            "valid_from": "2026-07-06",
        }
    )
    assert parse_period("DE-LU", "D 2026-07-03 PEAK", brought).hours_rational == 12
    assert parse_period("DE-LU", "D 2026-07-06 PEAK", brought).hours_rational == 3
    assert parse_period("FR", "D 2026-07-06 PEAK", brought).hours_rational == 12
    assert brought.rules.with_tables(brought.rules.tables()) == brought.rules


def test_a_row_for_all_zones_gives_way_to_one_that_names_the_zone() -> None:
    brought = shaped(
        {"code": "SOLAR", "weekdays": NAMES, "hours": ["11:00-15:00"]},
        {"code": "SOLAR", "zones": ["FI", "EE"], "weekdays": NAMES, "hours": ["11:00-13:00"]},
    )
    found = [parse_period(code, "D 2026-07-03 SOLAR", brought).hours_rational for code in ("DE-LU", "TTF", "FI", "EE")]
    assert found == [4, 4, 2, 2]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [
                {"code": "P", "zones": ["FI", each], "weekdays": ["Mon"], "hours": ["08:00-20:00"]}
                for each in ("EE", "LV")
            ],
            "both rows of shapes 'P FI' hold on",
        ),
        ([{"code": "P", "zones": ["FX"], "weekdays": ["Mon"], "hours": ["08:00-20:00"]}], "zone 'FX' is not known"),
        (
            [{"code": "P", "zones": ["*", "FI"], "weekdays": ["Mon"], "hours": ["08:00-20:00"]}],
            "or '\\*' alone for all",
        ),
        ([{"code": "P", "zones": [], "weekdays": ["Mon"], "hours": ["08:00-20:00"]}], "zones is empty; wanted"),
    ],
)
def test_shapes_that_share_a_zone_or_name_none_are_refused(rows: list[dict[str, object]], said: str) -> None:
    with pytest.raises(EnergyError, match=said):
        shaped(*rows)


# Shapes of one's own.


def test_a_shape_of_ones_own_follows_the_wall_clock_over_a_change() -> None:
    night = shaped({"code": "NIGHT", "weekdays": NAMES, "hours": ["00:00-06:00", "22:00-24:00"]})
    lengths = [
        parse_period("DE-LU", f"D {day} NIGHT", night).hours_rational
        for day in ("2025-03-30", "2025-07-01", "2025-10-26")
    ]
    assert lengths == [7, 8, 9]
    solar = shaped({"code": "SOLAR", "weekdays": ["Sat", "Sun"], "hours": ["11:15-15:45"]})
    month = parse_period("DE-LU", "M 2025-07 SOLAR", solar)
    assert month.hours_rational == 8 * Fraction(9, 2)
    assert [each.name for each in split(month, 15)][:2] == ["QH 2025-07-05 11:15", "QH 2025-07-05 11:30"]


def test_a_shape_may_change_and_is_that_of_each_day() -> None:
    changing = shaped(
        {"code": "DUSK", "weekdays": NAMES, "hours": ["18:00-20:00"], "valid_to": "2025-07-10"},
        {"code": "DUSK", "weekdays": NAMES, "hours": ["18:00-21:00"], "valid_from": "2025-07-11"},
    )
    assert parse_period("DE-LU", "M 2025-07 DUSK", changing).hours_rational == 10 * 2 + 21 * 3
    assert parse_period("DE-LU", "M 2025-06 DUSK", changing).hours_rational == 60
    leaving = shaped(
        {"code": "DUSK", "weekdays": NAMES, "hours": ["18:00-20:00"], "valid_to": "2025-07-10"},
        {"code": "DAWN", "except_of": "DUSK"},
    )
    assert parse_period("DE-LU", "D 2025-07-10 DAWN", leaving).hours_rational == 22
    # A gas day is that of one row to its end at 06:00 of the next morning.
    assert parse_period("TTF", "D 2025-07-10 DAWN", leaving).hours_rational == 22
    for shape in ("DUSK", "DAWN"):
        with pytest.raises(EnergyError, match=f"shape '{shape}' has no hours on 2025-07-11; add a row of shapes"):
            parse_period("DE-LU", f"M 2025-07 {shape}", leaving)


def test_an_unknown_shape_names_those_that_there_are() -> None:
    with pytest.raises(EnergyError, match="shape 'PEEK' is not known; known are OFFPEAK, PEAK, and none for base$"):
        parse_period("DE-LU", "M 2025-07 PEEK")
    with pytest.raises(EnergyError, match="shape 'NIGHT' is not known"):
        strip("DE-LU", "M", date(2025, 7, 1), "NIGHT")


GRID_EDGES = st.lists(st.integers(0, 288).map(lambda n: n * 5), min_size=1, max_size=12, unique=True).map(sorted)
EDGES = st.lists(st.integers(0, 1440), min_size=1, max_size=12, unique=True).map(sorted)


@given(st.sampled_from(["Europe/Berlin", "Europe/London", "Australia/Lord_Howe", "Etc/GMT-10"]), DAYS, EDGES)
def test_any_division_of_the_wall_clocks_day_divides_the_real_day(timezone: str, day: date, minutes: list[int]) -> None:
    ordinal = day.toordinal()
    edges = [wall_edge_ns(timezone, ordinal, minute) for minute in minutes]
    assert edges == sorted(edges)
    for minute, edge_ns in zip(minutes, edges, strict=True):
        # The edge is the first instant whose wall time has reached the minute; a moment before, none had.
        wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
        clock = ZoneInfo(timezone)
        assert datetime.fromtimestamp(edge_ns // 10**9, clock).replace(tzinfo=None) >= wall
        before = datetime.fromtimestamp(edge_ns // 10**9 - 1, clock)
        assert before.replace(tzinfo=None) < wall


@given(st.sampled_from(["DE-LU", "GB", "TTF", "NSW1"]), DAYS, GRID_EDGES)
def test_a_shape_and_what_it_leaves_make_the_whole(code: str, day: date, minutes: list[int]) -> None:
    clock = [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
    stretches = [f"{a}-{b}" for a, b in zip(clock[::2], clock[1::2], strict=False)] or ["00:00-24:00"]
    mine = shaped(
        {"code": "MINE", "weekdays": NAMES, "hours": stretches}, {"code": "REST", "except_of": "MINE"},
    )  # fmt: skip
    base = strip(code, "W", day)
    # Of a shape that is every hour nothing is left, and a period of nothing is refused.
    made = ["MINE"] if stretches == ["00:00-24:00"] else ["MINE", "REST"]
    assert spans_joined(*(strip(code, "W", day, shape, mine) for shape in made)) == [(base.start_ns, base.end_ns)]
