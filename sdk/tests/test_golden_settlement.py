"""Value days follow the 16:00 rule, versions pay differences, gains add up, lines of an invoice make its total."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.energy.settlement import (
    divide_half_even,
    imbalance_micro,
    month_end_ns,
    month_final_day,
    monthly_value_day,
    next_value_day,
    price_micro,
    target_calendar,
    trade_value_day,
    value_window,
)
from penstock_sdk.events import CashKind
from penstock_sdk.golden.settlement import CONFLICT, KNOWN, NEWS, Imbalance, Variation, Versions
from penstock_sdk.invoices import InvoiceSum, draw_up, invoice_month

TARGET = target_calendar()
HOUR_NS = 3_600_000_000_000
CELL = (1, 7, 900 * 10**9)


def berlin(text: str) -> int:
    """Return ns UTC of a local time in Berlin."""
    return local_to_ns(datetime.fromisoformat(text), "Europe/Berlin")


# Days.


@pytest.mark.parametrize(
    ("traded", "paid"),
    [
        ("2026-03-10 15:59", "2026-03-11"),
        ("2026-03-10 16:00", "2026-03-12"),
        ("2026-03-10 23:59", "2026-03-12"),
        ("2026-03-11 00:00", "2026-03-12"),
        ("2026-03-13 15:59", "2026-03-16"),  # Friday
        ("2026-03-13 16:00", "2026-03-17"),
        ("2026-03-14 09:00", "2026-03-17"),  # Saturday belongs to Monday
        ("2026-03-15 23:00", "2026-03-17"),
        ("2026-04-02 15:59", "2026-04-07"),  # the day before Good Friday
        ("2026-04-02 16:00", "2026-04-08"),
        ("2026-04-03 10:00", "2026-04-08"),  # Good Friday itself
        ("2026-04-06 10:00", "2026-04-08"),  # Easter Monday
        ("2026-04-30 15:59", "2026-05-04"),  # 1 May is a Friday
        ("2025-12-24 15:59", "2025-12-29"),  # 24 December is a TARGET day
        ("2025-12-24 16:00", "2025-12-30"),
        ("2025-12-25 12:00", "2025-12-30"),
        ("2025-12-30 16:00", "2026-01-02"),
        ("2025-12-31 15:59", "2026-01-02"),  # 31 December is one, too
        ("2025-12-31 16:00", "2026-01-05"),
        ("2026-01-01 12:00", "2026-01-05"),
        ("2026-03-29 15:59", "2026-03-31"),  # the Sunday that the clock goes forward
        ("2026-10-26 15:59", "2026-10-27"),
    ],
)
def test_a_trade_is_paid_by_the_16_o_clock_rule(traded: str, paid: str) -> None:
    assert trade_value_day(berlin(traded), TARGET) == date.fromisoformat(paid)


def test_the_cut_off_is_exact_to_the_nanosecond_in_summer_and_in_winter() -> None:
    for day, utc_hour in (("2026-01-14", 15), ("2026-07-15", 14)):
        cut_ns = local_to_ns(datetime.fromisoformat(f"{day} {utc_hour}:00"), "UTC")
        assert trade_value_day(cut_ns, TARGET) - trade_value_day(cut_ns - 1, TARGET) == timedelta(days=1)


@given(st.integers(berlin("2018-01-01 00:00"), berlin("2031-01-01 00:00")))
def test_a_window_holds_its_trade_and_the_next_one_begins_where_it_ends(traded_ns: int) -> None:
    window = value_window(traded_ns, TARGET)
    assert window.from_ns <= traded_ns < window.until_ns
    assert value_window(window.from_ns, TARGET) == value_window(window.until_ns - 1, TARGET) == window
    after = value_window(window.until_ns, TARGET)
    assert after.from_ns == window.until_ns and after.day == TARGET.shift(window.day, 1)
    assert TARGET.is_open(window.day)


def test_target_is_what_the_holidays_library_knows() -> None:
    holidays = pytest.importorskip("holidays")
    for year in range(2002, 2051):
        theirs = set(holidays.financial_holidays("XECB", years=[year]))
        assert {day for day in TARGET.closed if day.year == year} == theirs, year


def test_months_are_paid_on_the_20th_or_the_business_day_after() -> None:
    assert monthly_value_day(date(2026, 3, 31), TARGET) == date(2026, 4, 20)
    assert monthly_value_day(date(2026, 5, 1), TARGET) == date(2026, 6, 22)  # the 20th is a Saturday
    assert monthly_value_day(date(2025, 12, 1), TARGET) == date(2026, 1, 20)


def test_variation_is_paid_on_the_next_business_day() -> None:
    assert next_value_day(berlin("2026-04-02 18:00"), TARGET) == date(2026, 4, 7)


def test_imbalance_prices_are_final_on_the_20th_business_day_of_the_next_month() -> None:
    assert month_final_day("2026-03", TARGET) == date(2026, 4, 30)  # two of April's weekdays are closed
    assert month_end_ns("2026-03", "Europe/Berlin") == berlin("2026-04-01 00:00")
    assert month_end_ns("2025-12", "Europe/Berlin") == berlin("2026-01-01 00:00")
    assert month_end_ns("2026-03", "Europe/Berlin", 6) == berlin("2026-04-01 06:00")
    with pytest.raises(EnergyError, match="^month met '2026-3x', wanted one such as '2026-03'"):
        month_end_ns("2026-3x", "Europe/Berlin")


def test_a_calendar_that_does_not_reach_is_an_error() -> None:
    with pytest.raises(EnergyError, match="not 2027-01-0"):
        trade_value_day(berlin("2026-12-31 17:00"), Calendar("SHORT", date(2026, 1, 1), date(2026, 12, 31)))


# Amounts.


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_halves_go_to_the_even_side(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_ties_are_ties() -> None:
    assert [divide_half_even(at, 2) for at in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]


def test_a_surplus_is_sold_and_a_lack_bought_at_one_price_of_any_sign() -> None:
    mwh = 60_000_000
    assert imbalance_micro(-mwh, 100_000_000) == 100_000_000  # bought and not taken: a surplus, sold at 100.00
    assert imbalance_micro(mwh, 100_000_000) == -100_000_000
    assert imbalance_micro(-mwh, -50_000_000) == -50_000_000  # at a negative price a surplus costs
    assert imbalance_micro(mwh, 0) == 0
    assert imbalance_micro(-(250 * 60), 10_000) == 2  # 2.5 millionths: to the even side


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e10])
def test_a_price_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(EnergyError, match="^price met .* wanted a number between"):
        price_micro(value)


def test_a_published_price_is_whole_millionths() -> None:
    assert [price_micro(value) for value in (-999.99, 0.0, 86.7, 0.1 + 0.2)] == [-999_990_000, 0, 86_700_000, 300_000]


# Versions.


def test_the_latest_version_stands_whatever_the_order() -> None:
    versions = Versions()
    assert versions.put((1, 0), 2, 50) == NEWS
    assert versions.put((1, 0), 1, 40) == KNOWN
    assert versions.put((1, 0), 2, 50) == KNOWN
    assert versions.put((1, 0), 2, 51) == CONFLICT
    assert versions.get((1, 0)) == (2, 50)
    assert versions.put((1, 0), 3, 50) == NEWS


AMOUNTS = st.integers(-(10**9), 10**9)
SENT = st.lists(st.tuples(st.sampled_from(["price", "meter"]), st.integers(0, 5), st.booleans()), min_size=1)


@given(SENT, st.dictionaries(st.tuples(st.sampled_from(["price", "meter"]), st.integers(0, 5)), AMOUNTS), AMOUNTS)
def test_over_all_versions_the_last_one_is_paid(
    sent: list[tuple[str, int, bool]], values: dict[tuple[str, int], int], traded: int
) -> None:
    book, paid, energy = Imbalance(), 0, 0
    for what, version, twice in sent:
        value = values.get((what, version), version)
        for _ in range(1 + twice):
            store, key = (book.prices, (CELL[0], CELL[2])) if what == "price" else (book.meters, CELL)
            store.put(key, version, value)
            due = book.settle(CELL, traded)
            if due is not None:
                paid, energy = paid + due.amount_micro, energy + due.energy_wh
        assert book.settle(CELL, traded) is None  # run again, it pays nothing
    last: dict[str, tuple[int, int]] = {}
    for what, version, _ in sent:
        last[what] = max(last.get(what, (-1, 0)), (version, values.get((what, version), version)))
    if "price" in last:
        deviation = (last["meter"][1] if "meter" in last else 0) - traded
        assert paid == imbalance_micro(deviation, last["price"][1]) == book.paid_micro(CELL)
        assert energy == divide_half_even(deviation, 60)
    else:
        assert paid == energy == 0


def test_what_an_asset_plans_stands_for_the_meter_until_there_is_one() -> None:
    book = Imbalance()
    book.prices.put((CELL[0], CELL[2]), 0, 10_000_000)
    mwh = 60_000_000
    first = book.settle(CELL, -mwh, planned_watt_minutes=mwh)
    assert first is None  # sold as planned: balanced
    book.meters.put(CELL, 0, -2 * mwh)
    after = book.settle(CELL, -mwh, planned_watt_minutes=mwh)
    assert after is not None and (after.amount_micro, after.energy_wh) == (10_000_000, -1_000_000)


def test_state_travels_and_old_intervals_are_let_go() -> None:
    book = Imbalance()
    book.prices.put((1, CELL[2]), 3, -5_000_000)
    book.settle(CELL, 60_000_000)
    again = Imbalance()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot() and again.settle(CELL, 60_000_000) is None
    again.let_go(CELL[2] + 1)
    assert len(again.prices) == 0 and again.paid_micro(CELL) == 0


# Futures.


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-5000, 5000), st.integers(-5000, 5000)), min_size=1),
    st.integers(1, 4_000_000),
)
def test_variation_adds_up_to_the_final_profit(days: list[tuple[int, int, int]], worth: int) -> None:
    held, paid, net, cash = Variation(), 0, 0, 0
    for lots, price, mark in days:
        held.trade(lots, price * worth)
        net, cash = net + lots, cash - lots * price * worth
        paid += held.settle(mark * worth)
        assert held.settle(mark * worth) == 0
        assert paid == cash + net * mark * worth
    gain, lots = held.close(0)
    assert paid + gain == cash and lots == net
    assert (held.net_lots, held.cash_micro, held.paid_micro) == (0, 0, 0)


# Invoices.


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.tuples(AMOUNTS, AMOUNTS), min_size=1))
def test_lines_add_up_to_the_rounded_total(books: dict[str, tuple[int, int]]) -> None:
    sums = [
        InvoiceSum("ECC", "2026-03", "EUR", book, CashKind.TRADE, "DE-LU", "MWh", *of) for book, of in books.items()
    ]
    lines = draw_up(sums, version=2, final=True)
    exact = sum(line.exact_micro for line in lines)
    assert sum(line.amount_minor for line in lines) == divide_half_even(exact, 10_000)
    assert all(abs(line.amount_minor - Fraction(line.exact_micro, 10_000)) < 1 for line in lines)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    assert {(line.version, line.final) for line in lines} == {(2, True)}


def test_three_thirds_of_a_cent_are_a_cent() -> None:
    sums = [InvoiceSum("ECC", "2026-03", "EUR", book, CashKind.FEE, "DE-LU", "MWh", 3_334, 0) for book in "abc"]
    assert [line.amount_minor for line in draw_up(sums, version=1, final=False)] == [1, 0, 0]


def test_lines_stand_by_book_and_kind_in_whatever_order_they_came() -> None:
    kinds = [("b", CashKind.TRADE), ("a", CashKind.FEE), ("b", CashKind.FEE), ("a", CashKind.TRADE)]
    lines = draw_up(
        [InvoiceSum("ECC", "2026-03", "EUR", *of, "DE-LU", "MWh", 0, 0) for of in kinds], version=1, final=False
    )
    assert [(line.book, line.kind) for line in lines] == [("a", "trade"), ("a", "fee"), ("b", "trade"), ("b", "fee")]


def test_what_is_delivered_where_stands_in_the_line() -> None:
    lines = draw_up(
        [
            InvoiceSum("ECC", "2026-12", "EUR", "a", CashKind.TRADE, "EU-ETS", "t", -7, 5_000_000_000),
            InvoiceSum("ECC", "2026-12", "EUR", "a", CashKind.TRADE, "DE-LU", "MWh", -3, -250_000),
            InvoiceSum("ECC", "2026-12", "EUR", "a", CashKind.VARIATION, "DE-LU", "MWh", 9, 0),
        ],
        version=1,
        final=True,
    )
    assert [(line.zone, line.text) for line in lines] == [
        ("DE-LU", "trades delivered, DE-LU, -0.250 MWh"),
        ("EU-ETS", "trades delivered, EU-ETS, 5,000.000 t"),
        ("DE-LU", "variation of futures, DE-LU"),
    ]


def test_two_currencies_are_two_invoices() -> None:
    sums = [InvoiceSum("ECC", "2026-03", code, "a", CashKind.TRADE, "DE-LU", "MWh", 1, 0) for code in ("EUR", "GBP")]
    with pytest.raises(ValueError, match="ECC 2026-03 EUR, ECC 2026-03 GBP; draw up each by itself"):
        draw_up(sums, version=1, final=False)
    assert draw_up([], version=1, final=False) == []


def test_trades_are_invoiced_in_their_delivery_month_and_fees_when_paid() -> None:
    delivered = berlin("2026-04-01 00:00")
    paid = date(2026, 3, 31).toordinal()
    assert invoice_month(CashKind.TRADE, paid, delivered, "Europe/Berlin") == "2026-04"
    assert invoice_month(CashKind.TRADE, paid, delivered, "Europe/London") == "2026-03"
    assert invoice_month(CashKind.TRADE, paid, delivered, "Europe/Berlin", 6) == "2026-03"
    assert invoice_month(CashKind.FEE, paid, delivered, "Europe/Berlin") == "2026-03"
