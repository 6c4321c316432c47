"""Proves the laws of the position grid: an hour is its quarter-hours, a strip its parts, and nothing wraps."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk.delivery_grid import APPLIED, REFUSED_OVERFLOW, REFUSED_UNKNOWN, DeliveryGrid
from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE, local_to_ns
from penstock_sdk.events import ContractDefinition, DeliverySchedule, ListingDefinition, Side, ZoneDefinition
from penstock_sdk.golden.delivery_cells import ABSENT, CELL_MAX, LOTS_MAX
from penstock_sdk.grid_slots import GridSlots
from penstock_sdk.testing.toys import toy_listing

QUARTER_NS = 15 * NS_PER_MINUTE
POWER = ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR")
FRANCE = ZoneDefinition(zone_id=2, code="FR", timezone="Europe/Paris", currency="EUR")
NBP = ZoneDefinition(
    zone_id=3, code="NBP", timezone="Europe/London", currency="GBP", commodity="gas", day_starts_hour=6,
    interval_minutes=1_440, grid_unit="therm/d",
)  # fmt: skip
HENRY_HUB = ZoneDefinition(
    zone_id=4, code="HH", timezone="America/Chicago", currency="USD", commodity="gas", day_starts_hour=9,
    interval_minutes=1_440, grid_unit="mMMBtu/d",
)  # fmt: skip
GAS_KW = msgspec.structs.replace(NBP, zone_id=5, code="THE", timezone="Europe/Berlin", currency="EUR", grid_unit="kW")


def berlin_ns(year: int, month: int, day: int, hour: int = 0) -> int:
    return local_to_ns(datetime(year, month, day, hour), "Europe/Berlin")


def shaped(
    listing_id: int, zone: ZoneDefinition, segments: list[tuple[int, int, int]], settlement: str = "physical"
) -> tuple[ListingDefinition, ContractDefinition, ZoneDefinition]:
    listing, contract = toy_listing(listing_id, zone, segments[0][0], 15)
    contract = msgspec.structs.replace(contract, settlement=settlement)
    return msgspec.structs.replace(listing, segments=segments), contract, zone


def whole(*numbers: Fraction | int | None) -> list[int]:
    """Return numbers as ints; each has to be one."""
    assert all(number is not None and Fraction(number).denominator == 1 for number in numbers)
    return [int(number) for number in numbers if number is not None]


def period(zone: ZoneDefinition, start_ns: int, end_ns: int, *parts: tuple[int, int]) -> DeliveryPeriod:
    return DeliveryPeriod(start_ns, end_ns, "a stretch", zone.timezone, parts)


def gas_day_ns(zone: ZoneDefinition, day: date) -> int:
    return local_to_ns(datetime(day.year, day.month, day.day, zone.day_starts_hour), zone.timezone)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 24), st.integers(-20, 20)), max_size=12))
def test_an_hour_is_its_four_quarter_hours(fills: list[tuple[int, int]]) -> None:
    # The 25 hours of 2026-10-25 in Berlin.
    first_ns = berlin_ns(2026, 10, 25)
    hours, quarters = DeliveryGrid(), DeliveryGrid()
    for hour in range(25):
        hours.define(*toy_listing(1 + hour, POWER, first_ns + hour * NS_PER_HOUR, 60), POWER)
        for nth in range(4):
            listing_id, start_ns = 101 + 4 * hour + nth, first_ns + hour * NS_PER_HOUR + nth * QUARTER_NS
            quarters.define(*toy_listing(listing_id, POWER, start_ns, 15), POWER)
    for hour, lots in fills:
        assert hours.fill(1 + hour, 1, 1, lots) == APPLIED
        for nth in range(4):
            assert quarters.fill(101 + 4 * hour + nth, 1, 1, lots) == APPLIED
    assert hours.snapshot()["cells"] == quarters.snapshot()["cells"]


@settings(max_examples=25, deadline=None)
@given(st.integers(-500, 500), st.permutations(range(12)))
def test_a_year_bought_and_its_months_sold_is_flat_wherever_it_is_cut(lots: int, months: list[int]) -> None:
    grid = DeliveryGrid()
    edges = [berlin_ns(2027 + month // 12, month % 12 + 1, 1) for month in range(13)]
    grid.define(*shaped(1, POWER, [(edges[0], (edges[12] - edges[0]) // QUARTER_NS, 1_000)]))
    for month in range(12):
        count = (edges[month + 1] - edges[month]) // QUARTER_NS
        grid.define(*shaped(2 + month, POWER, [(edges[month], count, 1_000)]))
    grid.fill(1, 1, 1, lots)
    flat: set[int] = set()
    for month in months:
        assert grid.fill(2 + month, 1, 1, -lots) == APPLIED
        flat.add(month)
        sums = grid.by_period(1, [period(POWER, edges[nth], edges[nth + 1]) for nth in range(12)])
        assert [each.most == each.least == 0 for each in sums] == [nth in flat or lots == 0 for nth in range(12)]
    assert not grid.net(1, edges[0], edges[12]).any()
    assert grid.snapshot()["cells"]["cells"] == []


def test_months_have_their_hours() -> None:
    grid = DeliveryGrid()
    start_ns, end_ns = berlin_ns(2026, 1, 1), berlin_ns(2029, 1, 1)
    grid.define(*shaped(1, POWER, [(start_ns, (end_ns - start_ns) // QUARTER_NS, 1_000)]))
    grid.fill(1, 1, 1, 3)
    months = {"2026-02": 672, "2026-03": 743, "2026-10": 745, "2026-12": 744, "2027-06": 720, "2028-02": 696}
    for name, hours in months.items():
        year, month = map(int, name.split("-"))
        span = berlin_ns(year, month, 1), berlin_ns(year + month // 12, month % 12 + 1, 1)
        (held,) = grid.by_period(1, [period(POWER, *span)])
        assert whole(held.energy, held.energy_wh) == [3 * hours, 3_000_000 * hours]
        assert held.least == held.most == held.mean == 3_000


def test_base_is_peak_and_off_peak() -> None:
    grid = DeliveryGrid()
    day_ns = berlin_ns(2026, 3, 9)
    peak = (day_ns + 8 * NS_PER_HOUR, 48, 1_000)
    off_peak = [(day_ns, 32, 1_000), (day_ns + 20 * NS_PER_HOUR, 16, 1_000)]
    for number, segments in enumerate(([(day_ns, 96, 1_000)], [peak], off_peak), 1):
        grid.define(*shaped(number, POWER, segments))
    assert [grid.fill(1, 1, 1, 7), grid.fill(2, 1, 1, -7), grid.fill(3, 1, 1, -7)] == [APPLIED] * 3
    assert not grid.net(1, day_ns, day_ns + 24 * NS_PER_HOUR).any()
    spans = [(start_ns, start_ns + count * QUARTER_NS) for start_ns, count, _ in off_peak]
    grid.fill(2, 1, 1, 2)
    (held,) = grid.by_period(1, [period(POWER, day_ns, day_ns + 24 * NS_PER_HOUR, *spans)])
    assert whole(held.energy, held.least, held.most) == [0, 0, 0]
    grid.fill(1, 1, 1, 1)
    (held,) = grid.by_period(1, [period(POWER, day_ns, day_ns + 24 * NS_PER_HOUR, *spans)])
    assert whole(held.energy, held.mean, held.amount_sum) == [12, 1_000, 48_000]
    (held,) = grid.by_period(1, [period(POWER, day_ns, day_ns + 24 * NS_PER_HOUR)])
    assert whole(held.energy, held.least, held.most, held.mean) == [24 + 24, 1_000, 3_000, 2_000]


@pytest.mark.parametrize(("last", "hours"), [(date(2026, 3, 28), 23), (date(2026, 10, 24), 25), (date(2026, 7, 1), 24)])
def test_a_gas_day_is_the_one_that_ends_at_six(last: date, hours: int) -> None:
    start_ns, end_ns = gas_day_ns(GAS_KW, last), gas_day_ns(GAS_KW, last + timedelta(days=1))
    assert end_ns - start_ns == hours * NS_PER_HOUR
    grid = DeliveryGrid()
    two_before_ns = gas_day_ns(GAS_KW, last - timedelta(days=2))
    grid.define(*shaped(1, GAS_KW, [(two_before_ns, 5, 1_000)]))
    grid.fill(1, 1, 1, 2)
    (held,) = grid.by_period(5, [period(GAS_KW, start_ns, end_ns)])
    assert whole(held.energy, held.energy_wh, held.mean) == [2 * hours, 2_000_000 * hours, 2_000]
    long_ns = gas_day_ns(GAS_KW, last + timedelta(days=3))
    (held,) = grid.by_period(5, [period(GAS_KW, two_before_ns, long_ns)])
    assert held.energy == 2 * Fraction(long_ns - two_before_ns, NS_PER_HOUR)
    prices = np.array([10, 20, -30, 0, 5])
    lengths = [
        gas_day_ns(GAS_KW, last + timedelta(days=nth + 1)) - gas_day_ns(GAS_KW, last + timedelta(days=nth))
        for nth in range(-2, 3)
    ]
    wanted = sum(2 * price * length // NS_PER_HOUR for price, length in zip(prices.tolist(), lengths, strict=True))
    assert grid.value(5, two_before_ns, prices, 5_000) == wanted * 5_000
    assert grid.value(5, start_ns, prices[2:3], 5_000) == 2 * -30 * hours * 5_000


def test_therms_and_mmbtu_add_up_to_the_month() -> None:
    grid, day = DeliveryGrid(), date(2026, 3, 1)
    grid.define(*shaped(1, NBP, [(gas_day_ns(NBP, day), 31, 1_000)]))
    # 10,000 MMBtu over 31 days: 322.580 a day, the remaining 20 thousandths on the first 20 days.
    grid.define(*shaped(2, HENRY_HUB, [
        (gas_day_ns(HENRY_HUB, day), 20, 322_581), (gas_day_ns(HENRY_HUB, date(2026, 3, 21)), 11, 322_580)
    ], "cash"))  # fmt: skip
    assert grid.fill(1, 1, 1, 5) == grid.fill(2, 1, 1, -2) == APPLIED
    month = period(NBP, gas_day_ns(NBP, day), gas_day_ns(NBP, date(2026, 4, 1)))
    therm_wh = Fraction("29307.1")
    (held,) = grid.by_period(3, [month], wh_per_unit=therm_wh)
    assert (held.amount_sum, held.energy_wh) == (155_000, 155_000 * therm_wh) and held.energy == 155_000
    (held,) = grid.by_period(3, [month])
    assert held.energy_wh is None
    month = period(HENRY_HUB, gas_day_ns(HENRY_HUB, day), gas_day_ns(HENRY_HUB, date(2026, 4, 1)))
    (held,) = grid.by_period(4, [month])
    assert whole(held.energy, held.least, held.most) == [-20_000, -645_162, -645_160]
    # Sold at 2.500 USD/MMBtu, ticks of 0.001.
    assert grid.value(4, month.start_ns, np.full(31, 2_500), 1_000) == -20_000 * 2_500 * 1_000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 95), st.integers(-99, 99)), max_size=10),
    st.lists(st.integers(-(10**5), 10**5), min_size=96, max_size=96),
)
def test_a_value_is_the_sum_of_energy_times_price(fills: list[tuple[int, int]], prices: list[int]) -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    wanted = Fraction(0)
    for nth in range(96):
        grid.define(*toy_listing(1 + nth, POWER, day_ns + nth * QUARTER_NS, 15), POWER)
    for nth, lots in fills:
        grid.fill(1 + nth, 1, lots % 3, lots)
        wanted += Fraction(lots * 100, 1_000) / 4 * prices[nth] * 10_000
    assert grid.value(1, day_ns, np.array(prices), 10_000) == wanted
    by_strategy = sum(grid.value(1, day_ns, np.array(prices), 10_000, strategy_id=nth) for nth in range(3))
    assert by_strategy == wanted


def test_an_asset_says_what_it_delivers_until_it_says_otherwise() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    grid.define_zone(POWER)
    grid.define(*toy_listing(1, POWER, day_ns, 60), POWER)
    for source_id, amount, count in ((1, 5_000, 4), (1, 4_000, 2), (2, -300, 4)):
        record = DeliverySchedule(
            1, book_id=9, source_id=source_id, start_ns=day_ns, end_ns=day_ns + count * QUARTER_NS, amount=amount
        )
        assert grid.schedule(record) == APPLIED
    grid.fill(1, 9, 4, -40)
    span = day_ns, day_ns + 4 * QUARTER_NS
    assert grid.net(1, *span).tolist() == [-300, -300, 700, 700]
    assert grid.net(1, *span, scheduled=True).tolist() == [3_700, 3_700, 4_700, 4_700]
    assert grid.net(1, *span, scheduled=False).tolist() == grid.net(1, *span, strategy_id=4).tolist() == [-4_000] * 4
    assert grid.largest(1) == 700 and grid.largest(1, strategy_id=4) == 4_000
    assert (
        grid.schedule(DeliverySchedule(7, source_id=1, start_ns=day_ns, end_ns=day_ns + QUARTER_NS)) == REFUSED_UNKNOWN
    )


def test_working_orders_widen_the_worst_case_on_their_own_side() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    grid.define(*toy_listing(1, POWER, day_ns, 60), POWER)
    grid.define(*toy_listing(2, POWER, day_ns + QUARTER_NS, 15), POWER)
    grid.fill(1, 1, 1, 3)
    grid.work(1, 1, 1, Side.BUY, 2)
    grid.work(2, 1, 1, Side.SELL, 10)
    assert grid.worst_case(1) == (500, -700)
    assert grid.worst_case(2) == (500, -700)
    long, short = grid.exposure(1, day_ns, day_ns + NS_PER_HOUR)
    assert (long.tolist(), short.tolist()) == ([500] * 4, [300, -700, 300, 300])
    grid.work(2, 1, 1, Side.SELL, -10)
    assert grid.worst_case(1) == (500, 300)


def test_what_has_the_same_slots_never_mixes() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    for number, zone in ((1, POWER), (2, FRANCE)):
        grid.define(*toy_listing(number, zone, day_ns, 15), zone)
    grid.define(*shaped(3, POWER, [(day_ns, 1, 100)], "cash"))
    for listing_id, book_id, strategy_id, lots in (
        (1, 1, 1, 1),
        (1, 1, 2, 2),
        (1, 2, 1, 4),
        (2, 1, 1, 8),
        (3, 1, 1, 16),
    ):
        assert grid.fill(listing_id, book_id, strategy_id, lots) == APPLIED

    def held(zone_id: int, **whose: Any) -> int:
        return int(grid.net(zone_id, day_ns, day_ns + QUARTER_NS, **whose)[0]) // 100

    assert [held(1), held(2)] == [23, 8]
    assert [held(1, book_id=1), held(1, book_id=2), held(1, strategy_id=2)] == [19, 4, 2]
    assert [held(1, settlement="cash"), held(1, settlement="physical")] == [16, 7]
    assert [held(1, book_id=1, strategy_id=1), held(1, book_id=2, strategy_id=2)] == [17, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 12)), min_size=1, max_size=6))
def test_whatever_comes_first_the_horizon_grows_both_ways(stretches: list[tuple[int, int]]) -> None:
    grid, first_ns = DeliveryGrid(), berlin_ns(2026, 1, 1)
    wanted: dict[int, int] = {}
    for number, (day, quarters) in enumerate(stretches, 1):
        start_ns = first_ns + day * 24 * NS_PER_HOUR
        grid.define(*shaped(number, POWER, [(start_ns, quarters, 10)]))
        grid.fill(number, 1, 1, number)
        for nth in range(quarters):
            wanted[start_ns + nth * QUARTER_NS] = wanted.get(start_ns + nth * QUARTER_NS, 0) + 10 * number
    last_ns = max(wanted) + QUARTER_NS
    net = grid.net(1, min(wanted), last_ns)
    assert {min(wanted) + int(nth) * QUARTER_NS: int(net[nth]) for nth in np.flatnonzero(net)} == wanted
    assert grid.nbytes < 2_500_000


def test_memory_follows_what_is_held() -> None:
    grid = DeliveryGrid()
    first_ns, last_ns = berlin_ns(2026, 1, 1), berlin_ns(2036, 1, 1)
    grid.define(*shaped(1, POWER, [(first_ns, (last_ns - first_ns) // QUARTER_NS, 1_000)]))
    grid.define(*toy_listing(2, POWER, first_ns, 15), POWER)
    grid.fill(2, 1, 1, 1)
    empty = grid.nbytes
    grid.fill(1, 1, 1, 1)
    ten_years = grid.nbytes - empty
    assert 342 * 8_192 <= ten_years <= 344 * 8_192
    state = grid.snapshot()
    assert len(msgspec.msgpack.encode(state)) < 30_000
    assert grid.let_go(berlin_ns(2035, 12, 31)) == [2]
    assert grid.nbytes < empty + 2 * 8_192
    assert grid.let_go(last_ns) == [1] and 1 not in grid
    assert len(msgspec.msgpack.encode(grid.snapshot())) < 300


def test_a_snapshot_of_another_version_is_refused() -> None:
    grid = DeliveryGrid()
    with pytest.raises(ValueError, match=r"^state of the position grid met version 0, wanted 1"):
        grid.restore(grid.snapshot() | {"version": 0})


def test_a_fill_that_does_not_fit_is_refused_and_the_rest_of_its_frame_goes_on() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    grid.define(*shaped(1, POWER, [(day_ns, 1, CELL_MAX)]))
    grid.define(*shaped(2, POWER, [(day_ns - QUARTER_NS, 3, 1)]))
    frame = np.array([(1, 1), (2, 5), (9, 1), (1, 1), (2, LOTS_MAX + 1), (2, -1)], np.int64)
    statuses = grid.fill_frame(frame[:, 0], 1, 1, frame[:, 1])
    assert statuses.tolist() == [
        APPLIED, REFUSED_OVERFLOW, REFUSED_UNKNOWN, REFUSED_OVERFLOW, REFUSED_OVERFLOW, APPLIED
    ]  # fmt: skip
    assert grid.net(1, day_ns - QUARTER_NS, day_ns + 2 * QUARTER_NS).tolist() == [-1, CELL_MAX - 1, -1]


def test_sums_beyond_64_bits_are_refused() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    grid.define(*shaped(1, POWER, [(day_ns, 2, CELL_MAX)]))
    for strategy_id in range(3):
        grid.fill(1, 1, strategy_id, 1)
    with pytest.raises(EnergyError, match=r"^what 3 lanes hold together does not fit 64 bits; ask for books apart$"):
        grid.net(1, day_ns, day_ns + QUARTER_NS)
    with pytest.raises(EnergyError, match=r"^what 3 lanes hold together does not fit 64 bits"):
        grid.largest(1)
    (held,) = grid.by_period(1, [period(POWER, day_ns, day_ns + 2 * QUARTER_NS)], strategy_id=2)
    assert held.amount_sum == 2 * CELL_MAX and held.energy == Fraction(CELL_MAX, 2_000)
    for strategy_id in range(3):
        grid.fill(1, 2, strategy_id, -1)
    with pytest.raises(EnergyError, match=r"^what 3 lanes hold together does not fit 64 bits"):
        grid.net(1, day_ns, day_ns + QUARTER_NS, book_id=2)
    grid.define(*shaped(2, POWER, [(day_ns + 2 * QUARTER_NS, 3, CELL_MAX)]))
    grid.fill(2, 1, 2, 1)
    (held,) = grid.by_period(1, [period(POWER, day_ns, day_ns + 5 * QUARTER_NS)], book_id=1, strategy_id=2)
    assert held.amount_sum == 5 * CELL_MAX
    with pytest.raises(EnergyError, match=r"^value of zone DE-LU does not fit 64 bits; ask for books or stretches"):
        grid.value(1, day_ns, np.array([2, 2]), 1, strategy_id=2)
    assert grid.value(1, day_ns, np.array([1, -1]), 1, strategy_id=2) == 0


def test_a_price_that_is_missing_is_named() -> None:
    grid, day_ns = DeliveryGrid(), berlin_ns(2026, 3, 9)
    grid.define(*toy_listing(1, POWER, day_ns, 15), POWER)
    grid.define(*toy_listing(2, POWER, day_ns + 2 * QUARTER_NS, 15), POWER)
    grid.fill(2, 1, 1, -3)
    prices = np.array([ABSENT, ABSENT, 5])
    assert grid.value(1, day_ns, prices, 10_000) == -75 * 5 * 10
    with pytest.raises(EnergyError, match=rf"^zone DE-LU has no price at {day_ns + 2 * QUARTER_NS} ns, where -300 kW"):
        grid.value(1, day_ns, prices[::-1], 10_000)


DAY_NS = berlin_ns(2026, 3, 9)


@pytest.mark.parametrize(
    ("segments", "met"),
    [
        (
            [(DAY_NS + 1, 4, 1)],
            r"is not on the grid of zone DE-LU, which goes by 15 minutes; wanted 2026-03-08 23:00",
        ),
        ([(DAY_NS, 0, 1)], r"^segment .* of listing .*; wanted one interval or more"),
        ([(DAY_NS, 1, -1)], r"wanted one interval or more, an amount of 0 or more"),
        ([(DAY_NS, 1, CELL_MAX + 1)], r"^segment"),
        ([(DAY_NS, 4, 1), (DAY_NS + 3 * QUARTER_NS, 4, 1)], r"a start at or after the end of the one before$"),
        ([(DAY_NS, 1, 1), (DAY_NS + 10**7 * QUARTER_NS, 1, 1)], r"^zone 1 would reach from slot"),
    ],
)
def test_a_delivery_off_the_grid_is_refused(segments: list[tuple[int, int, int]], met: str) -> None:
    grid = DeliveryGrid()
    with pytest.raises(EnergyError, match=met):
        grid.define(*shaped(1, POWER, segments))
    assert 1 not in grid and grid.fill(1, 1, 1, 1) == REFUSED_UNKNOWN


def test_a_period_that_is_no_multiple_of_the_grid_is_refused() -> None:
    grid = DeliveryGrid()
    grid.define_zone(POWER)
    grid.define_zone(NBP)
    with pytest.raises(EnergyError, match=r"^period 'a stretch': 2026-03-08 23:05:00 UTC is not on the grid of"):
        grid.by_period(1, [period(POWER, DAY_NS, DAY_NS + 5 * NS_PER_MINUTE)])
    day_ns = gas_day_ns(NBP, date(2026, 3, 9))
    with pytest.raises(EnergyError, match=r"which goes by local delivery days; wanted 2026-03-09 06:00:00 UTC or"):
        grid.by_period(3, [period(NBP, day_ns, day_ns + 12 * NS_PER_HOUR)])
    with pytest.raises(EnergyError, match=r"^zone 8 is not on the position grid; known are \[1, 3\]$"):
        grid.net(8, DAY_NS, DAY_NS + QUARTER_NS)
    with pytest.raises(EnergyError, match=r"are 0 intervals; wanted 1 to"):
        grid.net(1, DAY_NS, DAY_NS)
    with pytest.raises(EnergyError, match=r"wanted a source, and an end after its start$"):
        grid.schedule(DeliverySchedule(1, source_id=1, start_ns=DAY_NS, end_ns=DAY_NS, amount=1))


def test_what_was_let_go_is_not_told_as_nothing() -> None:
    grid = DeliveryGrid()
    grid.define(*toy_listing(1, POWER, DAY_NS, 60), POWER)
    grid.fill(1, 1, 1, 3)
    assert grid.kept_ns(1) == ABSENT
    assert grid.let_go(DAY_NS + 2 * QUARTER_NS + 1) == []
    assert grid.kept_ns(1) == DAY_NS + 2 * QUARTER_NS
    with pytest.raises(EnergyError, match=r"is before what zone DE-LU still keeps; wanted"):
        grid.net(1, DAY_NS, DAY_NS + NS_PER_HOUR)
    ones = np.ones(2, np.int64)
    assert grid.fill(1, 1, 1, 1) == APPLIED and grid.fill(1, 1, 2, 2) == APPLIED  # the second is a new strategy's
    assert grid.fill_frame(ones, 1, np.array([1, 3]), ones).tolist() == [APPLIED] * 2
    assert grid.fill_frame(ones, 1, np.array([1, 3]), ones).tolist() == [APPLIED] * 2
    assert grid.net(1, DAY_NS + 2 * QUARTER_NS, DAY_NS + NS_PER_HOUR).tolist() == [1_000, 1_000]
    # Nothing of it has come back in what is over, and nothing stays when the rest is.
    fresh = DeliveryGrid()
    fresh.define(*toy_listing(1, POWER, DAY_NS + 2 * QUARTER_NS, 15), POWER)
    fresh.define(*toy_listing(2, POWER, DAY_NS + 3 * QUARTER_NS, 15), POWER)
    for strategy_id, lots in ((1, 6), (2, 2), (3, 2)):
        fresh.fill(1, 1, strategy_id, lots)
        fresh.fill(2, 1, strategy_id, lots)
    assert grid.snapshot()["cells"]["cells"] == fresh.snapshot()["cells"]["cells"]
    grid.define(*toy_listing(2, POWER, DAY_NS + 2 * NS_PER_HOUR, 15), POWER)
    assert grid.let_go(DAY_NS + NS_PER_HOUR) == [1]
    assert grid.snapshot()["cells"]["cells"] == []


def test_a_long_horizon_comes_back_after_its_past_was_let_go() -> None:
    grid = DeliveryGrid()
    end_ns = berlin_ns(2028, 1, 1)
    grid.define(*shaped(1, POWER, [(DAY_NS, (end_ns - DAY_NS) // QUARTER_NS, 10)]))
    grid.fill(1, 1, 1, 3)
    grid.let_go(berlin_ns(2026, 6, 1))
    again = DeliveryGrid()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(grid.snapshot())))
    for each in (grid, again):
        each.define(*shaped(2, POWER, [(end_ns, 4, 10)]))
        each.fill(2, 1, 1, 1)
        assert each.net(1, berlin_ns(2027, 12, 31), end_ns + NS_PER_HOUR).tolist() == [30] * 96 + [10] * 4


def test_any_number_of_lanes_is_kept_apart() -> None:
    grid = DeliveryGrid()
    grid.define(*toy_listing(1, POWER, DAY_NS, 15), POWER)
    strategies = np.arange(1, 201)
    for _ in range(2):
        assert not grid.fill_frame(np.ones(200, np.int64), strategies % 3, strategies, strategies).any()
    again = DeliveryGrid()
    again.restore(grid.snapshot())
    for each in (grid, again):
        held = [int(each.net(1, DAY_NS, DAY_NS + QUARTER_NS, strategy_id=number)[0]) for number in range(1, 201)]
        assert held == [200 * number for number in range(1, 201)]


def test_a_large_amount_in_a_frame_is_looked_at_like_any() -> None:
    grid = DeliveryGrid()
    grid.define(*shaped(1, POWER, [(DAY_NS, 1, 2**40)]))
    statuses = grid.fill_frame(np.ones(3, np.int64), 1, 1, np.array([1, LOTS_MAX, 2]))
    assert statuses.tolist() == [APPLIED, REFUSED_OVERFLOW, APPLIED]
    assert grid.net(1, DAY_NS, DAY_NS + QUARTER_NS).tolist() == [3 * 2**40]


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({"interval_minutes": 7}, r"^interval_minutes of zone DE-LU is 7; wanted a divisor of 60, or 1440"),
        ({"grid_unit": "MW"}, r"^grid_unit of zone DE-LU is 'MW'; wanted one of \['kW', 'therm/d'"),
        ({"interval_minutes": 60}, r"^zone DE-LU has the grid .* already"),
        ({"timezone": "Europe/Nowhere"}, r"time zone 'Europe/Nowhere'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(change: dict[str, Any], met: str) -> None:
    grid = DeliveryGrid()
    grid.define_zone(POWER)
    with pytest.raises(EnergyError, match=met):
        grid.define_zone(msgspec.structs.replace(POWER, **change))


def test_a_listing_is_what_it_was_defined_as() -> None:
    grid = DeliveryGrid()
    listing, contract = toy_listing(1, POWER, DAY_NS, 60)
    grid.define(listing, contract, POWER)
    grid.define(listing, contract, POWER)
    with pytest.raises(EnergyError, match=r"is defined otherwise already; a new delivery is a new listing$"):
        grid.define(msgspec.structs.replace(listing, lot_kw=50), contract, POWER)
    with pytest.raises(EnergyError, match=r"^contract .* lies in zone 1 and settles 'physical'; wanted zone 2"):
        grid.define(listing, contract, FRANCE)
    grid.fill(1, 1, 1, 1)
    grid.drop(1)
    assert grid.fill(1, 1, 1, 1) == REFUSED_UNKNOWN
    assert grid.net(1, DAY_NS, DAY_NS + QUARTER_NS).tolist() == [100]


def test_many_listings_come_and_go() -> None:
    grid, held = DeliveryGrid(), 0
    for day in range(40):
        for nth in range(20):
            start_ns = DAY_NS + (day * 96 + nth) * QUARTER_NS
            # Two segments each, so that the table of segments is gathered more than once.
            grid.define(*shaped(1 + day * 20 + nth, POWER, [(start_ns, 1, 10), (start_ns + 96 * QUARTER_NS, 1, 20)]))
        ids = np.arange(day * 20 + 1, day * 20 + 21)
        assert not grid.fill_frame(ids, ids % 3, ids % 5, ids).any()
        held = grid.nbytes if day == 5 else held
        grid.let_go(DAY_NS + day * 96 * QUARTER_NS)
        tomorrow_ns = DAY_NS + (day + 1) * 96 * QUARTER_NS
        assert grid.net(1, tomorrow_ns, tomorrow_ns + 20 * QUARTER_NS).tolist() == (20 * ids).tolist()
    assert grid.nbytes < 1.2 * held


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([POWER, NBP, HENRY_HUB, GAS_KW]), st.integers(1_600_000_000, 1_900_000_000))
def test_an_instant_lies_in_its_slot(zone: ZoneDefinition, at_s: int) -> None:
    slots, at_ns = GridSlots.of(zone), at_s * 10**9
    slot = slots.floor(at_ns)
    assert slots.start_ns(slot) <= at_ns < slots.start_ns(slot + 1)
    assert slots.slot(slots.start_ns(slot)) == slot
    assert slots.start_ns(slot) + slots.minutes(slot) * NS_PER_MINUTE == slots.start_ns(slot + 1)


def test_a_day_has_begun_though_the_clock_goes_back_over_midnight() -> None:
    # In St. John's clocks went from 00:01 back to 23:01 on 2010-11-07.
    zone = ZoneDefinition(
        zone_id=9, code="NL", timezone="America/St_Johns", currency="CAD", interval_minutes=1_440, grid_unit="kg"
    )
    slots, day = GridSlots.of(zone), date(2010, 11, 7).toordinal()
    start_ns = slots.start_ns(day)
    instants = (start_ns - 1, start_ns, start_ns + 30 * NS_PER_MINUTE, start_ns + 2 * NS_PER_HOUR)
    assert [slots.floor(at_ns) - day for at_ns in instants] == [-1, 0, 0, 0]
    assert slots.minutes(day) == 25 * 60


def test_a_step_begins_where_the_local_day_does() -> None:
    india = ZoneDefinition(zone_id=9, code="IN", timezone="Asia/Kolkata", currency="INR", interval_minutes=60)
    midnight_ns = local_to_ns(datetime(2026, 3, 9), "Asia/Kolkata")
    slots = GridSlots.of(india)
    assert slots.origin_ns == NS_PER_HOUR // 2
    assert slots.start_ns(slots.slot(midnight_ns)) == midnight_ns
