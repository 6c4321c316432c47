"""Proves, in every zone from 2018 to 2030, that intervals tile their day and that a strip is the sum of its parts."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import Contract, EnergyError, ListingTerms, MarketZone, known_zones, market_zone
from penstock_sdk.energy.delivery import (
    DeliveryPeriod,
    counted_hours,
    day_slots,
    days,
    delivery_date,
    delivery_day,
    hours,
    intervals,
    months,
    parse_period,
    parts,
    period_days,
    quarters,
    split,
    strip,
)
from penstock_sdk.energy.segments import cash_micro_per_lot_tick, energy_wh, segments

HOUR_NS = 3_600_000_000_000
YEARS = range(2018, 2031)
ZONES = known_zones()
TILED = [zone for zone in ZONES if not zone.slots_a_day]
CODES = [zone.code for zone in ZONES]


@cache
def change_days(zone: MarketZone) -> dict[date, int]:
    """Return the days that are not 24 hours long, and the hours they have, looked for day by day."""
    found, day = {}, date(YEARS[0], 1, 1)
    while day.year <= YEARS[-1]:
        if (length := delivery_day(zone, day).hours_rational) != 24:
            found[day] = int(length)
        day += timedelta(days=1)
    return found


@st.composite
def zone_days(draw: st.DrawFn, zones: list[MarketZone]) -> tuple[MarketZone, date]:
    """Return a zone and a day of it; half of the days are those on which its clock changes."""
    zone = draw(st.sampled_from(zones))
    day = st.dates(date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31))
    changes = sorted(change_days(zone))
    return zone, draw(day | st.sampled_from(changes)) if changes else draw(day)


def sunday(year: int, month: int) -> date:
    """Return the last Sunday of a month of 31 days, when Europe's clocks change."""
    last = date(year, month, 31)
    return last - timedelta(days=last.isoweekday() % 7)


def check_tiles(whole: DeliveryPeriod, tiles: tuple[DeliveryPeriod, ...]) -> None:
    """Assert that the spans of *tiles*, in order, are those of *whole*."""
    spans = [span for tile in tiles for span in tile.spans]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    joined: list[tuple[int, int]] = []
    for start_ns, end_ns in spans:
        if joined and joined[-1][1] == start_ns:
            joined[-1] = (joined[-1][0], end_ns)
        else:
            joined.append((start_ns, end_ns))
    assert joined == list(whole.spans)
    assert sum(tile.hours_rational for tile in tiles) == whole.hours_rational


@pytest.mark.parametrize("zone", ZONES, ids=CODES)
def test_the_clock_changes_on_the_days_of_its_market(zone: MarketZone) -> None:
    # A day that begins at 05:00 or later is over before the clock changes: its long and short days are Saturdays.
    before = timedelta(days=1 if zone.day_starts_hour else 0)
    european = {sunday(year, 3) - before: 23 for year in YEARS} | {sunday(year, 10) - before: 25 for year in YEARS}
    if zone.kind == "region":
        assert change_days(zone) == {}
    elif zone.code == "HENRY-HUB":  # second Sunday of March, first of November
        assert len(change_days(zone)) == 2 * len(YEARS)
        assert {(day.isoweekday(), day.month, length) for day, length in change_days(zone).items()} <= {
            (6, 3, 23), (6, 11, 25), (6, 10, 25)
        }  # fmt: skip
        assert change_days(zone)[date(2026, 3, 7)] == 23
        assert change_days(zone)[date(2026, 10, 31)] == 25
    else:
        assert change_days(zone) == european


@given(zone_days(TILED), st.sampled_from([5, 15, 30, 60]))
def test_intervals_tile_the_day_without_gap_or_overlap(at: tuple[MarketZone, date], minutes: int) -> None:
    zone, day = at
    whole, tiles = delivery_day(zone, day), intervals(zone, day, minutes)
    assert all(tile.minutes == minutes for tile in tiles)
    assert (tiles[0].start_ns, tiles[-1].end_ns) == (whole.start_ns, whole.end_ns)
    assert all(before.end_ns == after.start_ns for before, after in pairwise(tiles))
    assert len({tile.name for tile in tiles}) == len(tiles)


@pytest.mark.parametrize("zone", TILED, ids=lambda zone: zone.code)
def test_every_day_on_which_the_clock_changes_is_tiled(zone: MarketZone) -> None:
    for day, length in change_days(zone).items():
        whole = delivery_day(zone, day)
        for minutes in (5, 15, 30, 60):
            tiles = intervals(zone, day, minutes)
            assert len(tiles) == length * 60 // minutes
            check_tiles(whole, tiles)


@given(zone_days(list(ZONES)))
def test_days_tile_time_and_each_instant_has_one(at: tuple[MarketZone, date]) -> None:
    zone, day = at
    whole = delivery_day(zone, day)
    assert delivery_day(zone, day + timedelta(days=1)).start_ns == whole.end_ns
    assert [delivery_date(zone, t_ns) for t_ns in (whole.start_ns, whole.end_ns - 1)] == [day, day]
    assert delivery_date(zone, whole.start_ns - 1) == day - timedelta(days=1)
    assert strip(zone, "D", day) == whole


@given(zone_days(list(ZONES)), st.sampled_from(["W", "M", "Q", "S", "Y", "GY"]))
def test_a_strip_is_the_sum_of_its_parts(at: tuple[MarketZone, date], product: str) -> None:
    zone, day = at
    whole = strip(zone, product, day)
    first, end = period_days(whole)
    assert first <= day < end
    check_tiles(whole, parts(zone, whole))
    check_tiles(whole, days(zone, whole))
    assert len(days(zone, whole)) == (end - first).days
    counts = {"W": (0, 0), "M": (1, 0), "Q": (3, 1), "S": (6, 2), "Y": (12, 4), "GY": (12, 4)}[product]
    if counts[0]:
        check_tiles(whole, months(zone, whole))
        assert len(months(zone, whole)) == counts[0]
    if counts[1]:
        check_tiles(whole, quarters(zone, whole))
        assert len(quarters(zone, whole)) == counts[1]
    assert counted_hours(zone, whole) == sum(counted_hours(zone, part) for part in parts(zone, whole))


@given(zone_days(list(ZONES)))
def test_a_week_is_its_working_days_and_its_weekend(at: tuple[MarketZone, date]) -> None:
    zone, day = at
    monday = day - timedelta(days=day.isoweekday() - 1)
    week, working, weekend = (strip(zone, *each) for each in (
        ("W", day), ("WD", monday), ("WE", monday + timedelta(days=6))
    ))  # fmt: skip
    check_tiles(week, (working, weekend))
    assert (len(parts(zone, working)), len(parts(zone, weekend)), len(parts(zone, week))) == (5, 2, 7)
    assert strip(zone, "WE", monday + timedelta(days=5)) == weekend


@given(zone_days(list(ZONES)))
def test_the_balance_of_a_month_is_what_is_left_of_it(at: tuple[MarketZone, date]) -> None:
    zone, day = at
    month, balance = strip(zone, "M", day), strip(zone, "BOM", day)
    gone = tuple(each for each in days(zone, month) if period_days(each)[0] < day)
    check_tiles(month, (*gone, balance))


@pytest.mark.parametrize(
    ("name", "count"),
    [("M 2025-03", 743), ("M 2025-10", 745), ("M 2025-01", 744), ("M 2025-04", 720), ("M 2025-02", 672),
     ("M 2024-02", 696), ("Q 2025-Q1", 2159), ("S 2025-SUM", 4392), ("S 2025-WIN", 4368), ("Y 2025", 8760),
     ("Y 2024", 8784), ("GY 2025", 8760), ("W 2025-W13", 167), ("WE 2025-10-25", 49), ("WD 2025-W13", 120)],
)  # fmt: skip
def test_hours_of_periods_in_central_europe(name: str, count: int) -> None:
    assert parse_period("DE-LU", name).hours_rational == count


def test_gas_days_are_short_and_long_the_day_before_the_clock_sunday() -> None:
    lengths = [delivery_day("TTF", date(2026, 3, day)).hours_rational for day in (27, 28, 29)]
    assert lengths == [24, 23, 24]
    assert [delivery_day("TTF", date(2026, 10, day)).hours_rational for day in (23, 24, 25)] == [24, 25, 24]
    # 06:00 in Amsterdam is 05:00 in London, so that British and continental days are the same.
    assert delivery_day("NBP", date(2026, 3, 28)).spans == delivery_day("TTF", date(2026, 3, 28)).spans
    assert delivery_day("TTF", date(2026, 7, 1)).start_ns == parse_period("TTF", "H 2026-07-01 06").start_ns
    # The repeated hour of the Sunday morning belongs to the gas day of the Saturday.
    assert delivery_date("TTF", parse_period("TTF", "H 2026-10-25 02B").start_ns) == date(2026, 10, 24)
    assert [each.name[-3:] for each in hours("TTF", date(2026, 10, 24))][20:23] == ["02A", "02B", " 03"]


@pytest.mark.parametrize(
    ("code", "day", "minutes", "count"),
    [("DE-LU", "2025-03-30", 15, 92), ("DE-LU", "2025-07-01", 15, 96), ("DE-LU", "2025-10-26", 15, 100),
     ("NSW1", "2025-10-05", 5, 288), ("VIC1", "2025-04-06", 5, 288), ("GB", "2025-03-30", 30, 46),
     ("GB", "2025-07-01", 30, 48), ("GB", "2025-10-26", 30, 50), ("FI", "2025-03-30", 60, 23),
     ("PT", "2025-10-26", 60, 25)],
)  # fmt: skip
def test_how_many_intervals_a_day_has(code: str, day: str, minutes: int, count: int) -> None:
    assert len(intervals(code, date.fromisoformat(day), minutes)) == count


def test_coupled_zones_share_the_day_of_central_europe() -> None:
    whole = delivery_day("DE-LU", date(2025, 7, 1))
    coupled = ["FI", "EE", "LV", "LT", "BG", "RO", "GR", "PT", "ES", "IE-SEM", "NO1", "IT-SICI"]
    assert {delivery_day(code, date(2025, 7, 1)).spans for code in coupled} == {whole.spans}
    assert delivery_day("GB", date(2025, 7, 1)).start_ns == whole.start_ns + HOUR_NS


# The PSV counts 24 slots.


@given(zone_days([market_zone("PSV")]))
def test_a_day_of_the_psv_has_24_slots_that_tile_it_and_counts_24_hours(at: tuple[MarketZone, date]) -> None:
    zone, day = at
    whole, slots = delivery_day(zone, day), day_slots(zone, day)
    assert [slot.number for slot in slots] == list(range(1, 25))
    assert [slot.clock for slot in slots] == [f"{(6 + n) % 24:02}:00" for n in range(24)]
    assert (slots[0].start_ns, slots[-1].end_ns) == (whole.start_ns, whole.end_ns)
    assert all(before.end_ns == after.start_ns for before, after in pairwise(slots))
    assert counted_hours(zone, whole) == 24
    odd = {slot.clock: Fraction(slot.end_ns - slot.start_ns, HOUR_NS) for slot in slots}
    expected = {23: {"02:00": 0}, 24: {}, 25: {"02:00": 2}}[int(whole.hours_rational)]
    assert {clock: length for clock, length in odd.items() if length != 1} == expected


def test_a_month_at_the_psv_counts_24_hours_a_day() -> None:
    assert [counted_hours("PSV", parse_period("PSV", f"M 2026-{month:02}")) for month in (3, 10, 2)] == [744, 744, 672]
    assert [counted_hours("TTF", parse_period("TTF", f"M 2026-{month:02}")) for month in (3, 10, 2)] == [743, 745, 672]


def test_a_contract_at_the_psv_is_charged_for_24_hours_a_day_and_lies_on_days_of_the_grid() -> None:
    delivery = parse_period("PSV", "M 2026-03")
    march = Contract("PSV M 2026-03", "PSV", "M", delivery, 0, 1, "EUR", commodity="gas")
    terms = ListingTerms(tick_micro=5_000, lot_kw=1_000, price_min_ticks=-1, price_max_ticks=1)
    assert energy_wh(march, terms) == 744_000_000
    assert cash_micro_per_lot_tick(march, terms) == 744 * 5_000
    assert segments(march, terms) == [(delivery.start_ns, 31, 24_000)]


def test_the_psv_has_no_intervals_and_others_no_slots() -> None:
    with pytest.raises(EnergyError, match="^days of zone PSV have 24 slots whatever the clock does"):
        hours("PSV", date(2026, 3, 28))
    for name in ("H 2026-03-28 07", "B 2026-03-28 07:00-09:00"):
        with pytest.raises(EnergyError, match="^days of zone PSV have 24 slots"):
            parse_period("PSV", name)
    with pytest.raises(EnergyError, match="^days of zone TTF have hours and no slots; use hours$"):
        day_slots("TTF", date(2026, 3, 28))


# What has no such parts.


def test_parts_that_do_not_tile_are_refused() -> None:
    with pytest.raises(EnergyError, match="are no whole months: M 2025-06 is 2025-06-01 to 2025-06-30"):
        months("TTF", parse_period("TTF", "W 2025-W27"))
    with pytest.raises(EnergyError, match="are no whole quarters"):
        quarters("TTF", parse_period("TTF", "M 2025-07"))
    with pytest.raises(EnergyError, match="^period 'D 2025-07-01' has no strip's parts; split it by minutes$"):
        parts("TTF", parse_period("TTF", "D 2025-07-01"))
    with pytest.raises(EnergyError, match="^period 'H 2025-07-01 09' is made of no whole days; split it by minutes$"):
        period_days(parse_period("TTF", "H 2025-07-01 09"))


def test_a_period_off_the_grid_of_an_interval_is_not_split() -> None:
    with pytest.raises(EnergyError, match="begins at 08:15, off the grid of 60 minutes; split it into shorter"):
        split(parse_period("DE-LU", "B 2025-07-01 08:15-09:15"), 60)
    with pytest.raises(EnergyError, match="lasts 75 minutes; cannot be split into 60"):
        split(parse_period("DE-LU", "B 2025-07-01 08:00-09:15"), 60)


@given(zone_days([market_zone("DE-LU"), market_zone("TTF")]), st.sampled_from(["W", "M"]), st.sampled_from([30, 60]))
def test_a_strip_splits_into_the_intervals_of_its_days(at: tuple[MarketZone, date], product: str, minutes: int) -> None:
    zone, day = at
    whole = strip(zone, product, day)
    first, end = period_days(whole)
    one_by_one = [each for n in range((end - first).days) for each in intervals(zone, first + timedelta(n), minutes)]
    assert list(split(whole, minutes)) == one_by_one
