"""Deals as rows of text: what is valid comes back as it was from CSV and JSON, what is not is named cell by cell."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy.deals import EXAMPLE, DealTerms, deal_cells, deal_of, deal_text, deals_of, laid_out
from penstock_sdk.energy.delivery import parse_period
from penstock_sdk.energy.money import MICRO, price_currency
from penstock_sdk.energy.row_files import CellError, Sheet, read_csv, read_json, to_csv

NS_PER_HOUR = 3_600_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEAL = {
    "deal_id": "D-1", "counterparty": "Nordwind AG", "book": "power-de", "trader": "anna", "side": "buy",
    "kind": "forward", "zone": "DE-LU", "delivery": "M 2026-03", "quantity": "5", "unit": "MW", "price": "86.7",
    "price_unit": "EUR/MWh", "traded": "2026-02-20T10:15:00Z",
}  # fmt: skip


def cells(**changes: str) -> dict[str, str]:
    """Return a deal's cells with some changed; an empty text takes one away."""
    return {name: text for name, text in {**DEAL, **changes}.items() if text}


def deal(**changes: str) -> DealTerms:
    """Return a valid deal."""
    terms, faults = deal_of(cells(**changes))
    assert terms is not None, [str(fault) for fault in faults]
    return terms


def faults(**changes: str) -> list[CellError]:
    """Return what is wrong with a deal."""
    terms, found = deal_of(cells(**changes))
    assert (terms is None) == bool(found)
    return found


# -- known answers -----------------------------------------------------------------------------------------------------


def test_a_month_of_5_mw_is_5_times_its_hours():
    laid = laid_out(deal())
    assert laid.energy == 5 * 743  # the short day of March
    assert (laid.lot_kw, laid.qty_unit, laid.interval_ns, laid.intervals) == (5_000, "MW", NS_PER_HOUR // 4, 4 * 743)
    assert laid.segments == [(parse_period("DE-LU", "M 2026-03").start_ns, 4 * 743, 5_000)]
    assert (laid.price.price_ticks, laid.price.tick_micro) == (8_670, 10_000)
    assert laid.price.cash_micro == 86_700_000 * 5 * 743


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)])
def test_a_total_is_shared_out_over_every_quarter_of_the_day(day: str, quarters: int):
    laid = laid_out(deal(delivery=f"D {day}", quantity="100", unit="MWh"))
    assert sum(count for _, count, _ in laid.segments) == quarters
    assert sum(count * amount for _, count, amount in laid.segments) == 400_000  # kW quarter-hours in 100 MWh
    amounts = [amount for _, _, amount in laid.segments]
    assert max(amounts) - min(amounts) <= 1
    assert amounts == sorted(amounts, reverse=True)
    assert (laid.energy, laid.lot_kw, laid.qty_unit) == (100, 100_000, "MWh")


def test_british_gas_is_in_therms_and_pence():
    laid = laid_out(deal(zone="NBP", quantity="1000", unit="therm/d", price="75.25", price_unit="GBp/therm"))
    assert laid.energy == 31_000
    assert [(count, amount) for _, count, amount in laid.segments] == [(31, 1_000)]
    assert laid.lot_kw == 1_000_000
    assert laid.price.cash_micro == 31_000 * 752_500  # pounds
    assert laid.intervals == 31


def test_american_gas_is_spread_over_the_days_of_the_month_to_the_last_thousandth():
    laid = laid_out(deal(zone="HENRY-HUB", quantity="10000", unit="MMBtu", price="3.125", price_unit="USD/MMBtu"))
    assert laid.energy == 10_000
    assert sum(count for _, count, _ in laid.segments) == 31
    assert sum(count * amount for _, count, amount in laid.segments) == 10_000_000


def test_dutch_gas_by_the_day_keeps_every_gas_days_amount():
    laid = laid_out(deal(zone="TTF", quantity="240", unit="MWh/d"))
    assert laid.energy == 31 * 240
    march_28 = parse_period("TTF", "D 2026-03-28")
    held = [count * amount for start, count, amount in laid.segments if march_28.start_ns <= start < march_28.end_ns]
    assert sum(held) == 240_000  # 23 hours of it


def test_carbon_is_delivered_on_its_day():
    laid = laid_out(
        deal(zone="EU-ETS", delivery="D 2026-12-14", quantity="1000", unit="t", price="71.5", price_unit="EUR/t")
    )
    assert (laid.energy, laid.lot_kw, laid.intervals) == (1_000, 1_000_000, 1)
    assert [(count, amount) for _, count, amount in laid.segments] == [(1, 1_000_000)]
    assert laid.price.cash_micro == 71_500 * MICRO


def test_a_total_over_many_stretches_gives_what_is_left_over_once():
    laid = laid_out(deal(delivery="M 2026-03 PEAK", quantity="100", unit="MWh"))
    base, over = divmod(400_000, 22 * 48)
    assert [count for _, count, amount in laid.segments if amount == base + 1] == [48] * (over // 48) + [over % 48]
    assert sum(count * amount for _, count, amount in laid.segments) == 400_000


def test_a_deal_may_be_agreed_while_it_is_delivered():
    assert deal(traded="2026-03-15T10:00:00Z").traded == "2026-03-15T10:00:00Z"


def test_the_tick_is_coarser_where_energy_has_a_fraction():
    laid = laid_out(deal(delivery="QH 2026-03-10 09:15", quantity="0.001", price="0.06"))
    assert laid.energy == Fraction(1, 4_000)
    assert laid.price.cash_micro == 15
    assert laid.price.tick_micro % 4_000 == 0


@pytest.mark.parametrize(
    ("quantity", "delivery", "cash"),
    [
        ("5", "5M 2026-03-10 10:05", 35_833_335),
        ("1", "5M 2026-03-10 10:05", 7_166_667),
        ("0.001", "M 2026-03", 63_984_000),
    ],
)
def test_where_energy_has_thirds_the_price_is_rounded_to_the_nearest_step_that_keeps_the_money_whole(
    quantity: str, delivery: str, cash: int
):
    laid = laid_out(deal(zone="NSW1", delivery=delivery, quantity=quantity, price="86", price_unit="AUD/MWh"))
    exact = 86 * MICRO * laid.energy
    assert laid.price.cash_micro == cash
    assert abs(cash - exact) <= Fraction(laid.energy.numerator, 2)
    assert laid.price.cash_micro_per_lot_tick == laid.energy * laid.price.tick_micro


def test_all_that_is_wrong_with_a_row_is_told_at_once():
    found = faults(unit="", delivery="M 2026-13", side="x", traded="2026-02-20 10:15", kind="swap", index="price.XX.da")
    assert {fault.column for fault in found} == {"unit", "delivery", "side", "traded", "index"}


def test_a_deal_is_told_in_one_line_with_every_amount():
    shape = "2026-03-29T01:00/2026-03-29T03:00=10; 2026-03-29T08:00/2026-03-29T20:00=7.5"
    assert deal_text(deal(shape=shape, delivery="", quantity="")) == (
        "buy forward DE-LU 2026-03-29T00:00:00Z/2026-03-29T01:00:00Z 10 MW; 2026-03-29T06:00:00Z/2026-03-29T18:00:00Z "
        "7.5 MW at 86.7 EUR/MWh with Nordwind AG, book power-de"
    )


def test_a_shape_delivers_its_own_amounts_and_nothing_between():
    shape = "2026-03-29T01:00/2026-03-29T03:00=10; 2026-03-29T08:00/2026-03-29T20:00=7.5"
    laid = laid_out(deal(shape=shape, delivery="", quantity=""))
    assert laid.energy == 10 * 1 + Fraction(15, 2) * 12  # from 01:00 to 03:00 is one hour that night
    assert len(laid.spans) == 2
    assert laid.lot_kw == 10_000


def test_stretches_that_meet_are_one_span():
    shape = "2026-06-01T08:00/2026-06-01T09:00=10; 2026-06-01T09:00/2026-06-01T10:00=5"
    assert len(laid_out(deal(shape=shape, delivery="", quantity="")).spans) == 1


@pytest.mark.parametrize(
    "text",
    ["2026-02-20T11:15+01:00", "2026-02-20 10:15 Etc/UTC", "2026-02-20 11:15 Europe/Berlin", "2026-02-20T10:15Z"],
)
def test_one_instant_may_be_written_in_many_ways(text: str):
    assert deal(traded=text).traded == "2026-02-20T10:15:00Z"


def test_the_tick_takes_a_price_that_is_finer_than_a_cent():
    price = laid_out(deal(price="86.705")).price
    assert (price.price_ticks * price.tick_micro, price.tick_micro) == (86_705_000, 5_000)


@pytest.mark.parametrize("price", ["0", "-12.5", "-0.01"])
def test_zero_and_negative_prices_are_ordinary(price: str):
    laid = laid_out(deal(price=price))
    assert laid.price.cash_micro == Decimal(price) * MICRO * laid.energy.numerator


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED = [
    ({"zone": "DELU"}, "zone", "not known; did you mean 'DE-LU'", "a zone or hub"),
    ({"kind": "forwad"}, "kind", "not known", "'forward', perhaps"),
    ({"side": "bought"}, "side", "not known", "buy, sell"),
    ({"price": "86,70"}, "price", "a comma is no decimal point", "-12.34"),
    ({"price": "1e3"}, "price", "no plain decimal", "-12.34"),
    ({"price": "nan"}, "price", "no plain decimal", "-12.34"),
    ({"quantity": "0"}, "quantity", "not above 0", "side says buy or sell"),
    ({"quantity": "-5"}, "quantity", "not above 0", "side says buy or sell"),
    ({"quantity": "0.0005"}, "quantity", "no whole amount", "0.001 MW"),
    ({"unit": "therm/d"}, "unit", "not known", "MW"),
    ({"price_unit": "EUR/therm"}, "price_unit", "prices of this zone are per MWh", "EUR/MWh"),
    ({"price_unit": "EUO/MWh"}, "price_unit", "currency 'EUO' is not known", "EUR/MWh"),
    ({"currency": "GBP"}, "currency", "the price is in EUR/MWh", "EUR, or nothing"),
    ({"traded": "2026-02-20 10:15"}, "traded", "local to nowhere", "Europe/Berlin"),
    ({"traded": "2025-10-26 02:30 Europe/Berlin"}, "traded", "twice", "02:30:00+02:00 or 2025-10-26T02:30:00+01:00"),
    ({"traded": "2026-03-29 02:30 Europe/Berlin"}, "traded", "does not exist", "an offset"),
    ({"traded": "2026-02-20"}, "traded", "no time of day", "2026-03-02T10:15:00Z"),
    ({"traded": "20.02.2026 10:15"}, "traded", "no date and time", "ISO 8601"),
    ({"traded": "2026-05-01T00:00:00Z"}, "traded", "delivery was over", "2026-03-31T22:00:00Z"),
    ({"delivery": "March 26"}, "delivery", "March 26", "M 2026-03"),
    ({"delivery": ""}, "delivery", "it is missing", "or a shape"),
    ({"kind": "swap"}, "index", "floating leg", "the name of the index"),
    ({"index": "EPEX DE-LU"}, "index", "no floating leg", "kind swap"),
    ({"settlement": "cash"}, "settlement", "settled otherwise", "physical, or nothing"),
    ({"payment": "weekly"}, "payment", "not known", "monthly"),
    ({"captured_by": "Anna", "confirmed_by": "anna"}, "confirmed_by", "anna has captured it", "other than Anna"),
    ({"confirmed_by": "ben"}, "captured_by", "captured by nobody", "who captured it"),
    ({"trader": ""}, "trader", "it is missing", "who agreed"),
    ({"deal_id": "D\x001"}, "deal_id", "it is no name", "letters"),
    ({"counterparty": ""}, "counterparty", "it is missing", "every row"),
    ({"shape": "2026-03-01T00:00/2026-03-02T00:00=5"}, "shape", "has a delivery", "a shape alone"),
    ({"shape": "2026-03-01T00:10/2026-03-02T00:00=5", "delivery": "", "quantity": ""}, "delivery", "15 minutes", "15"),
    ({"shape": "2026-03-01T00:00/2026-03-02T00:05=5", "delivery": "", "quantity": ""}, "delivery", "15 minutes", "15"),
    ({"shape": "2026-03-01T00:00/2026-03-01T00:00=5", "delivery": "", "quantity": ""}, "shape", "not in order", "each"),
    ({"shape": "Monday=5", "delivery": "", "quantity": ""}, "shape", "no stretch", "START/END=QUANTITY"),
    (
        {"shape": "2026-03-02T00:00/2026-03-03T00:00=5; 2026-03-01T00:00/2026-03-02T00:00=5", "delivery": "",
         "quantity": ""},
        "shape", "not in order", "each after the one before",
    ),
    ({"price": "86.33333333", "zone": "NSW1", "quantity": "123.457"}, "price", "more than half a cent", "86.33325 or"),
    ({"unit": ""}, "unit", "quantity 5 without a unit", "one of kW, MW, GW, kWh, MWh"),
    (
        {"unit": "", "shape": "2026-03-01T00:00/2026-03-02T00:00=5", "delivery": "", "quantity": ""},
        "unit", "a shape without a unit", "one of kW, MW, GW",
    ),
    ({"kind": "swap", "index": "price.XX.nope"}, "index", "zone 'XX' is not known", "as price.DE-LU.da"),
    ({"kind": "swap", "index": "price.DE-LU.da.x"}, "index", "no price of a zone", "price.ZONE.KIND"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "column", "rule", "wanted"), REFUSED, ids=[f"{r[1]}-{r[2]}" for r in REFUSED])
def test_a_fault_names_column_value_rule_and_what_would_be_accepted(
    change: dict[str, str], column: str, rule: str, wanted: str
):
    found = [fault for fault in faults(**change) if fault.column == column]
    assert found, [str(fault) for fault in faults(**change)]
    assert rule in found[0].rule
    assert wanted in found[0].wanted


def test_all_faults_of_all_rows_are_told_and_one_bad_row_refuses_the_file():
    text = to_csv([cells(), cells(deal_id="D-2", price="x", side="y"), cells(deal_id="D-3", quantity="")])
    made, found = deals_of(read_csv("deals.csv", text))
    assert made == []
    assert [(fault.row, fault.column) for fault in found] == [(3, "side"), (3, "price"), (4, "quantity")]
    assert str(found[1]).startswith("deals.csv:3: price met 'x': ")


def test_an_id_that_stands_twice_is_refused_with_the_row_before():
    _, found = deals_of(read_csv("deals.csv", to_csv([cells(), cells()])))
    assert str(found[0]) == "deals.csv:3: deal_id met 'D-1': row 2 has it already; wanted each once"


def test_an_unknown_column_is_refused_with_the_nearest():
    _, found = deals_of(read_csv("deals.csv", to_csv([{**cells(), "pric": "1"}])))
    assert str(found[0]) == "deals.csv:2: column met 'pric': there is no such column; wanted 'price', perhaps"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no row"),
        ("deal_id,price\nD-1\n", "1 cells, its heading 2"),
        ('a,b\n"x,1\n', "no CSV"),
        ("a,a\n1,2\n", "twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused(text: str, rule: str):
    sheet = read_csv("deals.csv", text)
    assert rule in str(sheet.faults[0])
    assert deals_of(sheet)[0] == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [("{", "no JSON"), ("3", "no list"), ("[3]", "no object"), ("[]", "no row"), ("[NaN]", "no object")],
)
def test_json_that_is_no_list_of_objects_is_refused(text: str, rule: str):
    assert rule in str(read_json("deals.json", text).faults[0])


def test_semicolons_comments_and_a_byte_order_mark_are_taken():
    text = "\ufeff# ours\n" + EXAMPLE.replace(",", ";")
    made, found = deals_of(read_csv("deals.csv", text))
    assert not found
    assert made[0][1].counterparty == "Nordwind AG"


def test_a_json_number_keeps_its_digits():
    text = '{"price": 0.1000000000000000055511151231257827, "quantity": 5, "limits": {"EUR": 10}, "active": false}'
    row = read_json("deals.json", text).rows[0].cells
    assert row == {
        "price": "0.1000000000000000055511151231257827", "quantity": "5", "limits": "EUR=10", "active": "no",
    }  # fmt: skip


# -- laws --------------------------------------------------------------------------------------------------------------

DAYS = st.dates(date(2019, 1, 1), date(2030, 12, 30)) | st.sampled_from(
    [date(year, 3, 31) - timedelta(days=(date(year, 3, 31).weekday() + 1) % 7) for year in range(2019, 2031)]
    + [date(year, 10, 31) - timedelta(days=(date(year, 10, 31).weekday() + 1) % 7) for year in range(2019, 2031)]
)
RATES = {"DE-LU": "MW", "GB": "MW", "TTF": "MW", "NBP": "therm/d", "HENRY-HUB": "MMBtu/d"}
PRICES = st.decimals(-500, 4_000, places=2).map(lambda price: format(price, "f"))
NAMES = st.text("abcXYZ 0123-.", min_size=1, max_size=20).filter(lambda text: text[0] not in " -." and text[-1] != " ")


@st.composite
def valid(draw: st.DrawFn) -> dict[str, str]:
    """Return the cells of a valid deal."""
    zone = draw(st.sampled_from(sorted(RATES)))
    day = draw(DAYS)
    delivery = draw(st.sampled_from([f"D {day}", f"M {day:%Y-%m}"]))
    gas = zone in ("NBP", "HENRY-HUB")
    per = {"NBP": "GBp/therm", "HENRY-HUB": "USD/MMBtu", "GB": "GBP/MWh"}.get(zone, "EUR/MWh")
    kind = draw(st.sampled_from(["forward", "swap"]))
    captured = draw(NAMES)
    return cells(
        deal_id=draw(NAMES), book=draw(NAMES), trader="", side=draw(st.sampled_from(["buy", "sell"])), kind=kind,
        zone=zone, delivery=delivery, unit=RATES[zone], price=draw(PRICES), price_unit=per,
        quantity=str(draw(st.integers(1, 500))) if gas else format(draw(st.decimals("0.1", 500, places=1)), "f"),
        traded="2017-12-01T09:00:00.123456Z", index="EPEX DE-LU" if kind == "swap" else "", captured_by=captured,
        confirmed_by=draw(NAMES.filter(lambda name: name.casefold() != captured.casefold()) | st.just("")),
    )  # fmt: skip


@given(valid())
def test_what_is_valid_comes_back_from_csv_and_from_json(row: dict[str, str]):
    terms, found = deal_of(row)
    assert terms is not None, [str(fault) for fault in found]
    held = deal_cells(terms)
    from_csv = deals_of(read_csv("x.csv", to_csv([held])))
    from_json = deals_of(read_json("x.json", json.dumps([held])))
    assert from_csv == ([(2, terms)], [])
    assert from_json == ([(1, terms)], [])


@given(valid())
def test_energy_is_quantity_times_length_and_money_is_whole(row: dict[str, str]):
    terms, _ = deal_of(row)
    assert terms is not None
    laid = laid_out(terms)
    spans = laid.spans
    hours = Fraction(sum(end - start for start, end in spans), NS_PER_HOUR)
    lengths = hours if terms.unit == "MW" else laid.intervals  # of gas by the day: days, however long
    assert laid.energy == Fraction(terms.quantity) * lengths
    minors = price_currency(terms.price_unit.partition("/")[0])[1]
    assert Fraction(laid.price.cash_micro) == Fraction(terms.price) * MICRO / minors * laid.energy
    assert laid.price.cash_micro_per_lot_tick == laid.energy * laid.price.tick_micro
    assert Fraction(laid.price.price_ticks * laid.price.tick_micro, MICRO) == Fraction(terms.price) / minors


@given(day=DAYS, total=st.integers(1, 10**9), zone=st.sampled_from(["DE-LU", "TTF"]))
def test_a_total_is_kept_to_the_watt_hour_on_days_of_92_and_100_quarters(day: date, total: int, zone: str):
    terms, _ = deal_of(cells(zone=zone, delivery=f"D {day}", quantity=str(total), unit="kWh", price="0",
                             traded="2017-12-01T09:00:00Z"))  # fmt: skip
    assert terms is not None
    laid = laid_out(terms)
    assert laid.energy == Fraction(total, 1_000)
    assert all(amount > 0 for _, _, amount in laid.segments)
    ends = [start + count * laid.interval_ns for start, count, _ in laid.segments]
    assert all(end <= start for end, (start, _, _) in zip(ends, laid.segments[1:], strict=False))
    assert laid.segments[0][0] >= laid.spans[0][0]
    assert ends[-1] <= laid.spans[-1][1]


@given(st.lists(st.tuples(st.integers(0, 95), st.integers(1, 96), st.integers(1, 999)), min_size=1, max_size=5), DAYS)
def test_a_shapes_energy_is_the_sum_of_its_stretches(stretches: list[tuple[int, int, int]], day: date):
    start_ns = parse_period("DE-LU", f"D {day}").start_ns
    rows: list[Any] = []
    at = 0
    for gap, length, amount in stretches:
        begins = at + gap
        at = begins + length
        rows.append((begins, at, amount))

    def text(quarter: int) -> str:
        moment_us = (start_ns + quarter * NS_PER_HOUR // 4) // 1_000
        return (EPOCH + timedelta(microseconds=moment_us)).isoformat()

    shape = [[text(begins), text(ends), str(amount)] for begins, ends, amount in rows]
    held = json.dumps({**cells(delivery="", quantity="", price="0", traded="2017-12-01T09:00:00Z"), "shape": shape})
    made, found = deals_of(read_json("x.json", held))
    assert not found, [str(fault) for fault in found]
    laid = laid_out(made[0][1])
    assert laid.energy == sum(Fraction((ends - begins) * amount, 4) for begins, ends, amount in rows)
    assert laid.lot_kw == 1_000 * max(amount for *_, amount in rows)


@given(st.dictionaries(st.sampled_from([*DEAL, "shape", "index", "currency", "payment"]), st.text(max_size=30)))
def test_no_text_breaks_the_validation(changes: dict[str, str]):
    terms, found = deal_of(cells(**changes))
    assert (terms is None) == bool(found)
    assert all(fault.rule and fault.wanted for fault in found)
    sheet = Sheet.of("x", [cells(**changes)])
    assert bool(deals_of(sheet)[1]) == (terms is None)
