"""Proves that products are what the markets list: their names, days, hours, gates and orders, each on its dates."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, day_contracts, known_zones, listing_terms, ns_to_local, parse_contract
from penstock_sdk.energy.contracts import Contract, period_contract
from penstock_sdk.energy.delivery import strip
from penstock_sdk.energy.generators import all_products, interval_table, strip_contracts
from penstock_sdk.energy.products import product_row, products_of
from penstock_sdk.energy.rules import Reference, Table, builtin_reference, builtin_rules
from penstock_sdk.energy.sessions import check_order_time
from sdk.tests.market_calendars import reference

CHANGES = [date(2025, 3, 30), date(2025, 10, 26), date(2025, 9, 30), date(2025, 10, 1)]
DAYS = st.dates(date(2018, 1, 1), date(2030, 12, 31)) | st.sampled_from(CHANGES)
# Of Germany and Luxembourg, which are a zone of their own since then.
GERMAN_DAYS = st.dates(date(2018, 10, 1), date(2030, 12, 31)) | st.sampled_from(CHANGES)
MONTHS = ("2026-12", "2027-01")
STRIPS = [
    (zone.code, product)
    for zone in known_zones()
    for product in products_of(zone)
    if zone.valid_to == date.max and product in {"D", "WE", "W", "WD", "BOM", "M", "Q", "S", "Y", "GY"}
]


def local(at_ns: int, timezone: str = "Europe/Berlin") -> str:
    """Return an instant on a local clock."""
    return f"{ns_to_local(at_ns, timezone):%Y-%m-%d %H:%M}"


@given(st.sampled_from(STRIPS), DAYS, st.data())
def test_names_of_strips_parse_to_what_they_name(strip_of: tuple[str, str], day: date, data: st.DataObject) -> None:
    code, product = strip_of
    if product == "WE":
        day += timedelta(days=6 - day.isoweekday() if day.isoweekday() < 6 else 0)
    elif product == "WD":
        day -= timedelta(days=max(0, day.isoweekday() - 5))
    shape = data.draw(st.sampled_from(["", *products_of(code)[product].shapes]))
    if product == "D" and shape == "PEAK" and day.isoweekday() > 5:
        shape = "OFFPEAK"
    period = strip(code, product, day, shape)
    if code in {"AT", "DE-LU"} and period.start_ns < strip(code, "D", date(2018, 10, 1)).start_ns:
        return  # the zone is younger than the period
    contract = period_contract(code, product, period)
    assert contract.name == f"{code} {period.name}"
    assert parse_contract(contract.name) == contract
    assert msgspec.json.decode(msgspec.json.encode(contract), type=Contract) == contract


@given(st.sampled_from(["DA", "IDA1", "IDA2", "IDA3", "QH", "HH", "H", "B"]), GERMAN_DAYS)
def test_names_of_a_german_day_parse_to_what_they_name(product: str, day: date) -> None:
    if product.startswith("IDA") and day < date(2024, 6, 14):
        with pytest.raises(EnergyError, match=f"^product '{product}' has no trading session in DE-LU for delivery on"):
            day_contracts("DE-LU", day, (product,))
        return
    if product == "B":
        contracts: tuple[Contract, ...] = (parse_contract(f"DE-LU B {day} 08:00-20:00"),)
    else:
        contracts = day_contracts("DE-LU", day, (product,))
    assert [parse_contract(contract.name) for contract in contracts] == list(contracts)
    assert all(contract.opens_ns < contract.gate_closure_ns for contract in contracts)


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        (date(2025, 9, 30), {"DA": 24, "IDA1": 96, "IDA3": 48}),  # the last day of hours
        (date(2025, 10, 1), {"DA": 96, "IDA1": 96, "IDA3": 48}),
        (date(2025, 10, 26), {"DA": 100, "IDA1": 100, "IDA3": 48}),
        (date(2026, 3, 29), {"DA": 92, "IDA2": 92, "IDA3": 48}),
    ],
)
def test_auctions_sell_what_their_day_has(day: date, counts: dict[str, int]) -> None:
    assert Counter(each.product for each in day_contracts("DE-LU", day, tuple(counts))) == counts


def test_auctions_close_at_their_gates() -> None:
    day_ahead, first, second, third = (
        day_contracts("DE-LU", date(2026, 3, 10), (product,))[-1] for product in ("DA", "IDA1", "IDA2", "IDA3")
    )
    assert day_ahead.name == "DE-LU DA QH 2026-03-10 23:45"
    assert [local(each.gate_closure_ns) for each in (day_ahead, first, second, third)] == [
        "2026-03-09 12:00", "2026-03-09 15:00", "2026-03-09 22:00", "2026-03-10 10:00",
    ]  # fmt: skip
    assert listing_terms(day_ahead).price_max_ticks == 400_000
    assert listing_terms(parse_contract("DE-LU DA H 2022-05-10 12")).price_max_ticks == 300_000
    assert listing_terms(first).price_min_ticks == -999_900


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("DE-LU DA H 2025-10-01 13", "DA of DE-LU for 2025-10-01 has intervals of product QH, not 'H 2025-10-01 13'"),
        ("DE-LU DA QH 2025-09-30 13:15", "has intervals of product H"),
        ("DE-LU IDA3 QH 2026-03-10 11:45", "has intervals of product QH from 12:00 on"),
        ("TTF M 2026-04 PEAK", "shape 'PEAK' is not defined in zone TTF; the table shapes has it for"),
        ("DE-LU WE 2026-03-07 PEAK", "no hour of WE 2026-03-07 has the shape 'PEAK'"),
        ("TTF H 2026-04-01 12", "product 'H' has no trading session in TTF; .*known there are BOM, D, GY, M"),
        ("GB M 2026-04", "product 'M' has no trading session in GB; .*known there are H, HH, QH"),
        ("EU-ETS EUA 2026-13", "'EUA 2026-13' names no emission future; wanted one like 'EUA 2026-12'"),
        ("EU-ETS EUA 2031-03", "for delivery on 2031-03-01; it has to 2030-12-31$"),
        ("DE-LU M 2018-09", "zone 'DE-LU' does not exist on 2018-09-01; it does from 2018-10-01 on"),
        ("TTF", "names no delivery period"),
    ],
)
def test_a_name_that_is_none_says_what_is_wrong(name: str, fault: str) -> None:
    with pytest.raises(EnergyError, match=fault):
        parse_contract(name, reference())


def test_half_hours_open_two_days_ahead_and_five_minutes_follow_the_settlement() -> None:
    half = parse_contract("GB HH 2026-03-10 13:30")
    assert half.delivery.start_ns - half.opens_ns == 2_970 * 60 * 10**9
    assert half.gate_closure_ns == half.delivery.start_ns
    assert len(day_contracts("NSW1", date(2021, 10, 1), ("5M",))) == 288
    with pytest.raises(EnergyError, match="for delivery on 2021-09-30; it has from 2021-10-01 on$"):
        day_contracts("NSW1", date(2021, 9, 30), ("5M",))


@given(GERMAN_DAYS)
def test_a_table_of_intervals_has_the_days_contracts(day: date) -> None:
    products = ["QH", "DA"] + (["IDA3"] if day >= date(2024, 6, 14) else [])
    for product in products:
        table = interval_table("DE-LU", product, day, day + timedelta(days=2))
        wanted = [each for ahead in (0, 1) for each in day_contracts("DE-LU", day + timedelta(days=ahead), (product,))]
        assert list(table) == wanted
        assert table.gate_closure_ns.tolist() == [each.gate_closure_ns for each in wanted]
        assert table.opens_ns.tolist() == [each.opens_ns for each in wanted]


def test_years_of_products_tile_the_years() -> None:
    products = all_products(["DE-LU", "TTF", "EU-ETS"], range(2024, 2027), reference())
    kinds = Counter((each.zone, each.product) for each in products.strips)
    assert kinds["DE-LU", "M"] == 3 * 12 * 3
    assert (kinds["DE-LU", "Y"], kinds["TTF", "S"], kinds["TTF", "GY"], kinds["EU-ETS", "EUA"]) == (9, 6, 3, 36)
    assert kinds["TTF", "D"] == 366 + 365 + 365
    assert len({each.name for each in products.strips}) == len(products.strips)
    quarters = next(table for table in products.intervals if table.product == "QH")
    assert len(quarters) == (366 + 365 + 365) * 96
    assert (np.diff(quarters.start_ns) == 900 * 10**9).all()
    assert products.total == len(products.strips) + sum(map(len, products.intervals))


@pytest.mark.parametrize(
    ("zone", "day", "there", "gone"),
    [
        (
            "DE-LU", date(2026, 3, 27),
            ["DE-LU Q 2026-Q2", "DE-LU M 2026-03", "DE-LU M 2026-12 PEAK", "DE-LU D 2026-03-30 PEAK", "DE-LU Y 2032"],
            ["DE-LU M 2027-01", "DE-LU D 2026-03-27", "DE-LU Y 2026", "DE-LU Y 2033", "DE-LU Q 2026-Q1"],
        ),
        ("DE-LU", date(2026, 3, 28), ["DE-LU M 2026-03"], ["DE-LU Q 2026-Q2"]),
        (
            "TTF", date(2026, 3, 27),
            ["TTF D 2026-03-30", "TTF WE 2026-03-28", "TTF M 2026-04", "TTF S 2026-SUM", "TTF WD 2026-W14"],
            ["TTF D 2026-03-31", "TTF M 2026-03", "TTF WD 2026-W13"],
        ),
        ("TTF", date(2026, 3, 31), ["TTF M 2026-05"], ["TTF M 2026-04", "TTF S 2026-SUM"]),
        ("HENRY-HUB", date(2026, 4, 28), ["HENRY-HUB M 2026-05"], ["HENRY-HUB M 2026-04"]),
        (
            "EU-ETS", date(2026, 3, 24),
            ["EU-ETS EUA 2026-04", "EU-ETS EUA 2026-12", "EU-ETS EUA 2030-12", "EU-ETS EUA-D 2026-03-24"],
            ["EU-ETS EUA 2026-03", "EU-ETS EUA 2031-12", "EU-ETS EUA 2029-11"],
        ),
    ],
)  # fmt: skip
def test_a_day_lists_what_has_opened_and_not_expired(zone: str, day: date, there: list[str], gone: list[str]) -> None:
    names = {each.name for each in strip_contracts(zone, day, reference())}
    assert set(there) <= names
    assert not set(gone) & names


def test_a_list_without_its_calendar_is_refused() -> None:
    with pytest.raises(EnergyError, match="calendar 'UK' is not loaded"):
        strip_contracts("TTF", date(2026, 3, 27))


def test_an_order_after_its_gate_is_refused_with_gate_and_clock() -> None:
    contract = parse_contract("DE-LU QH 2025-10-26 02:15B")
    check_order_time(contract, contract.opens_ns)
    check_order_time(contract, contract.gate_closure_ns - 1)
    late = (
        r"^an order for DE-LU QH 2025-10-26 02:15B at 2025-10-26 02:10:00 Europe/Berlin \(2025-10-26 01:10:00 UTC\) "
        r"comes after its gate; trading is open from 2025-10-25 16:00:00 .* up to 2025-10-26 02:10:00 Europe/Berlin"
    )
    with pytest.raises(EnergyError, match=late):
        check_order_time(contract, contract.gate_closure_ns)
    with pytest.raises(EnergyError, match="comes before it opens"):
        check_order_time(contract, contract.opens_ns - 1)
    future = parse_contract("TTF M 2026-04", reference())
    with pytest.raises(EnergyError, match=r"up to 2026-03-30 18:00:00 Europe/Amsterdam \(2026-03-30 16:00:00 UTC\)$"):
        check_order_time(future, future.gate_closure_ns, reference())


def test_rules_of_ones_own_change_a_product_from_their_day_on() -> None:
    row = msgspec.to_builtins(product_row("TTF", "M", date(2026, 4, 1)))
    finer = Table("products", "own.toml", [{**row, "tick_micro": 1_000, "lots_min": 1, "valid_from": "2027-01-01"}])
    known = Reference(builtin_rules().with_tables([finer]), reference().calendars)
    assert [
        listing_terms(parse_contract(f"TTF M {month}", known), None, known).tick_micro
        for month in ("2026-12", "2027-01")
    ] == [5_000, 1_000]


def test_two_markets_of_one_product_are_refused_by_name() -> None:
    row = msgspec.to_builtins(product_row("TTF", "M", date(2026, 4, 1)))
    own = Table("products", "own.toml", [{**row, "market": "OTHER"}], [3])
    with pytest.raises(
        EnergyError, match=r"^own\.toml:3 \(products\) and .*product 'M' of TTF is listed by OTHER and ICE"
    ):
        builtin_rules().with_tables([own])


def test_ireland_goes_on_in_hours_where_the_coupling_takes_quarter_hours() -> None:
    days = date(2025, 9, 30), date(2025, 10, 1)
    first = [day_contracts(code, day, ("DA",))[0] for code in ("IE-SEM", "FR") for day in days]
    found = [(each.market, each.delivery.minutes) for each in first]
    assert found == [("SDAC", 60), ("SEMOPX", 60), ("SDAC", 60), ("SDAC", 15)]
    assert len({listing_terms(c) for day in days for c in day_contracts("IE-SEM", day, ("DA",))}) == 1


@pytest.mark.parametrize(
    ("code", "product", "lead"), [("CH", "H", 60), ("CH", "HH", 60), ("FR", "HH", 5), ("DE-LU", "HH", 5)]
)
def test_what_is_traded_beside_the_coupling(code: str, product: str, lead: int) -> None:
    contracts = day_contracts(code, date(2026, 10, 25), (product,))
    assert len(contracts) == {"H": 25, "HH": 50}[product]
    assert {local(each.opens_ns) for each in contracts} == {f"2026-10-24 {'15:00' if product == 'H' else '15:30'}"}
    assert {each.delivery.start_ns - each.gate_closure_ns for each in contracts} == {lead * 60 * 10**9}
    with pytest.raises(EnergyError, match="has no trading session in .* for delivery on"):
        product_row(code, "HH", date(2017, 3, 30))


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("opens", "yesterday", "opens is 'yesterday'; wanted a day and a time such as 'D-1 15:00'"),
        ("session", "8-18", "session is '8-18'; wanted local hours"),
        ("clock", "Europe/Berln", "time zone 'Europe/Berln' is not in tzdata"),
        ("lots_min", 0, "lots_min is 0 and lots_max 0; wanted 1 or more"),
        ("tick_micro", 0, "must both be positive"),
        ("calendar", "", "last_trading 'before_delivery 2' wants a calendar"),
    ],
)
def test_a_row_that_makes_no_product_is_refused_with_its_line(column: str, value: object, fault: str) -> None:
    row = msgspec.to_builtins(product_row("TTF", "M", date(2026, 4, 1)))
    with pytest.raises(EnergyError, match=r"^own.toml:7 \(products\): .*" + fault):
        Table("products", "own.toml", [{**row, column: value}], [7])


def test_every_product_of_every_zone_has_a_contract() -> None:
    on = date(2026, 3, 10)
    labels = {
        "D": "2026-03-11", "WE": "2026-03-14", "W": "2026-W12", "WD": "2026-W12", "BOM": "2026-03-11", "M": "2026-04",
        "Q": "2026-Q2", "S": "2026-SUM", "Y": "2027", "GY": "2026", "EUA": "2026-12", "EUA-D": "2026-03-10",
        "H": "2026-03-10 12", "QH": "2026-03-10 12:15", "HH": "2026-03-10 12:30", "5M": "2026-03-10 12:05",
        "B": "2026-03-10 12:00-16:00",
    }  # fmt: skip
    seen, zones = 0, builtin_reference().rules.zones(on)
    for zone in zones:
        for product, row in products_of(zone, on).items():
            label = labels[row.interval or product]
            name = f"{product} {row.interval} {label}" if row.interval else f"{product} {label}"
            contract = parse_contract(f"{zone.code} {name}", reference())
            terms = listing_terms(contract, None, reference())
            assert (contract.product, contract.market) == (product, row.market)
            assert terms.price_min_ticks < 0 < terms.price_max_ticks
            assert contract.opens_ns < contract.gate_closure_ns
            seen += 1
    rows, codes = builtin_reference().rules.rows("products", on=on), {zone.code for zone in zones}
    assert seen == sum(len(codes & set(row.zones)) for row in rows)


def test_local_gates_hold_through_the_clock_change() -> None:
    gates = [day_contracts("DE-LU", day, ("DA",))[0].gate_closure_ns for day in (date(2026, 3, 29), date(2026, 3, 30))]
    assert [datetime.fromisoformat(local(gate)).hour for gate in gates] == [12, 12]
    assert gates[1] - gates[0] == 23 * 3_600 * 10**9
