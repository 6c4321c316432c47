"""Proves that prices, quantities and money convert exactly both ways, negative ones too, or are refused by name."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import (
    DeliveryPeriod,
    EnergyError,
    cash_micro,
    hours,
    intervals,
    lots_to_mw,
    mw_to_lots,
    price_to_ticks,
    quarter_hours,
    split,
    ticks_to_float,
    ticks_to_price,
)

CENT, LOT = 10_000, 100
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
STEPS = st.sampled_from([1, 7, 100, 5_000, 10_000, 1_000_000, 2_000_000, 10**9])
QUARTER = quarter_hours("DE-LU", date(2025, 7, 1))[50]
HOUR = hours("DE-LU", date(2025, 7, 1))[12]
FIVE = intervals("NSW1", date(2025, 7, 1), 5)[0]


@pytest.mark.parametrize(
    ("price", "ticks"),
    [
        ("86.70", 8670),
        ("-86.7", -8670),
        ("-0.01", -1),
        (0, 0),
        (-500, -50_000),
        (Decimal("-999.99"), -99_999),
        (Fraction(-1, 4), -25),
        ("1e2", 10_000),
    ],
)
def test_prices_become_ticks(price: str | int | Decimal | Fraction, ticks: int) -> None:
    assert price_to_ticks(price, CENT) == ticks


@given(INT64, STEPS)
def test_prices_come_back_exactly(ticks: int, tick_micro: int) -> None:
    price = ticks_to_price(ticks, tick_micro)
    assert Fraction(price) == Fraction(ticks * tick_micro, 1_000_000)
    assert price_to_ticks(price, tick_micro) == price_to_ticks(str(price), tick_micro) == ticks
    assert ticks_to_float(ticks, tick_micro) == float(price)


@given(INT64, st.integers(1, 10**7))
def test_quantities_come_back_exactly(lots: int, lot_kw: int) -> None:
    qty_mw = lots_to_mw(lots, lot_kw)
    assert Fraction(qty_mw) == Fraction(lots * lot_kw, 1_000)
    assert mw_to_lots(qty_mw, lot_kw) == lots


@given(st.fractions(-10_000, 10_000), STEPS)
def test_a_price_converts_exactly_when_on_the_grid_and_is_refused_when_off(price: Fraction, tick_micro: int) -> None:
    ticks = price * 1_000_000 / tick_micro
    if ticks.denominator == 1:
        assert price_to_ticks(price, tick_micro) == ticks
    else:
        with pytest.raises(EnergyError, match="is not on the grid of"):
            price_to_ticks(price, tick_micro)


def test_decimals_are_those_of_the_step() -> None:
    shown = [str(ticks_to_price(-8670, CENT)), str(ticks_to_price(3, 2_000_000)), str(ticks_to_price(1, 500))]
    assert shown == ["-86.70", "6", "0.0005"]
    assert str(lots_to_mw(47, LOT)) == "4.7"


def test_off_the_grid_the_message_names_the_grid_and_both_neighbours() -> None:
    with pytest.raises(
        EnergyError, match=r"^price_eur_mwh -86\.705 is not on the grid of 0\.01; nearest are -86\.71 and -86\.7$"
    ):
        price_to_ticks("-86.705", CENT)
    with pytest.raises(EnergyError, match=r"^qty_mw 0\.15 is not on the grid of 0\.1; nearest are 0\.1 and 0\.2$"):
        mw_to_lots("0.15", LOT)


@pytest.mark.parametrize(
    "price", [86.7, True, None, "NaN", "inf", Decimal("NaN"), Decimal("-Infinity"), "", "1/0", "8,5"]
)
def test_what_is_no_exact_number_is_refused(price: object) -> None:
    with pytest.raises(EnergyError, match="^price_eur_mwh is .*; (pass|wanted)"):
        price_to_ticks(price, CENT)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0, -1, 1.0, True])
def test_a_grid_step_is_a_positive_int(step: int) -> None:
    for convert in (price_to_ticks, ticks_to_price, mw_to_lots, lots_to_mw):
        with pytest.raises(EnergyError, match="^(tick_micro|lot_kw) is .*; wanted a positive int"):
            convert(1, step)


def test_a_trade_by_hand() -> None:
    # 4.7 MW at 86.70 EUR/MWh over a quarter-hour: 1.175 MWh, 101.8725 EUR.
    assert cash_micro(8670, 47, CENT, LOT, QUARTER) == 101_872_500
    assert cash_micro(-8670, 47, CENT, LOT, QUARTER) == cash_micro(8670, -47, CENT, LOT, QUARTER) == -101_872_500
    assert cash_micro(1, 1, CENT, LOT, QUARTER) == 250


@given(st.integers(-(10**7), 10**7), st.integers(-(10**5), 10**5))
def test_an_hour_costs_its_quarter_hours(ticks: int, lots: int) -> None:
    parts = sum(cash_micro(ticks, lots, CENT, LOT, quarter) for quarter in split(HOUR, 15))
    assert parts == cash_micro(ticks, lots, CENT, LOT, HOUR) == ticks * lots * 1_000


@given(
    st.integers(-(10**7), 10**7),
    st.integers(-(10**5), 10**5),
    st.integers(1, 10**5),
    st.integers(1, 10**4),
    st.sampled_from([FIVE, QUARTER, HOUR]),
)
def test_cash_is_the_exact_amount_rounded_half_to_even(
    ticks: int, lots: int, tick_micro: int, lot_kw: int, period: DeliveryPeriod
) -> None:
    amount = Fraction(ticks * tick_micro) * Fraction(lots * lot_kw, 1_000) * period.hours_rational
    assert cash_micro(ticks, lots, tick_micro, lot_kw, period) == round(amount)


def test_halves_go_to_the_even_side() -> None:
    # A kilowatt for an hour is 1/1000 MWh: 500 ticks of a millionth are half a millionth, 1500 one and a half.
    assert [cash_micro(ticks, 1, 1, 1, HOUR) for ticks in (500, 1_500, 2_500, -500, -1_500)] == [0, 2, 2, 0, -2]


def test_an_amount_beyond_int64_is_refused() -> None:
    # An hour at a cent a tick and 0.1 MW a lot: 1,000 micro per tick and lot.
    most = (2**63 - 1) // 1_000
    assert cash_micro(-most, 1, CENT, LOT, HOUR) == -most * 1_000
    with pytest.raises(EnergyError, match="wanted within"):
        cash_micro(-most - 1, 1, CENT, LOT, HOUR)
