"""Proves that money rounds by the name of the rounding, once, and that shares and lines add up to their total."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.money import (
    Rounding,
    allocate,
    currency,
    known_currencies,
    minor_to_micro,
    price_currency,
    round_lines,
    rounded,
    to_minor,
)

DECIMAL_ROUNDING = {
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.UP: ROUND_UP,
    Rounding.FLOOR: ROUND_FLOOR,
    Rounding.CEILING: ROUND_CEILING,
}
LOSSY = sorted(DECIMAL_ROUNDING)
CODES = [each.code for each in known_currencies()]
AMOUNTS = st.integers(-(10**15), 10**15)
LINES = st.lists(st.one_of(AMOUNTS, st.fractions(-(10**6), 10**6, max_denominator=10**6)), max_size=30)


@given(st.integers(-(10**9), 10**9), st.sampled_from(LOSSY))
def test_each_rounding_is_that_of_the_decimal_module(thousandths: int, rounding: Rounding) -> None:
    wanted = (Decimal(thousandths) / 1000).quantize(Decimal(1), rounding=DECIMAL_ROUNDING[rounding])
    assert rounded(Fraction(thousandths, 1000), rounding) == int(wanted)


def test_halves_by_hand() -> None:
    halves = [Fraction(-3, 2), Fraction(-1, 2), Fraction(1, 2), Fraction(3, 2), Fraction(5, 2)]
    assert [rounded(half, Rounding.HALF_EVEN) for half in halves] == [-2, 0, 0, 2, 2]
    assert [rounded(half, Rounding.HALF_UP) for half in halves] == [-2, -1, 1, 2, 3]


def test_exact_refuses_what_does_not_fit_and_names_both_neighbours() -> None:
    assert to_minor(-10_000, "EUR", Rounding.EXACT) == -1
    with pytest.raises(EnergyError, match=r"^amount in minor EUR -3/2 is not whole; it lies between -2 and -1: name"):
        to_minor(-15_000, "EUR", Rounding.EXACT)


@pytest.mark.parametrize(("code", "minor"), [("EUR", 101), ("JPY", 1), ("KWD", 1007)])
def test_minor_units_are_the_currency_s_own(code: str, minor: int) -> None:
    assert to_minor(1_006_900, code, Rounding.HALF_EVEN) == minor


@given(st.integers(-(10**12), 10**12), st.sampled_from(CODES), st.sampled_from(list(Rounding)))
def test_minor_units_come_back_whatever_the_rounding(minor: int, code: str, rounding: Rounding) -> None:
    assert to_minor(minor_to_micro(minor, code), code, rounding) == minor


@given(st.integers(-(10**12), 10**12), st.lists(st.fractions(0, 1000), min_size=1, max_size=20))
def test_shares_add_up_and_are_within_one_of_the_exact(total: int, weights: list[Fraction]) -> None:
    whole = sum(weights)
    if not whole:
        weights, whole = [*weights, Fraction(1)], Fraction(1)
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / whole) < 1 for part, weight in zip(parts, weights, strict=True))
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)
    assert allocate(-total, weights) == [-part for part in parts]


def test_what_is_left_goes_to_the_largest_remainders_and_the_first_of_equals() -> None:
    assert allocate(10, [1, 1, 1]) == [4, 3, 3]
    assert allocate(-10, [1, 1, 1]) == [-4, -3, -3]
    assert allocate(10, ["0.25", 0, "0.35", "0.4"]) == [3, 0, 3, 4]  # 2.5, 3.5, 4: the first half is raised
    assert allocate(7, [Fraction(1, 7), Fraction(6, 7)]) == [1, 6]
    assert allocate(10_000_000, [1] * 31) == [322_581] * 20 + [322_580] * 11  # a Henry Hub lot over 31 days


def test_what_cannot_be_shared_is_refused() -> None:
    assert allocate(0, []) == []
    assert allocate(0, [0, 0]) == [0, 0]
    with pytest.raises(EnergyError, match="^5 cannot be shared: 2 weights, all 0; wanted one above 0"):
        allocate(5, [0, 0])
    with pytest.raises(EnergyError, match="^weight 1 is -1; wanted none below 0"):
        allocate(5, [1, -1])
    with pytest.raises(EnergyError, match="^weight is 0.5"):
        allocate(5, [0.5])  # type: ignore[list-item]


@given(LINES, st.sampled_from(CODES), st.sampled_from(LOSSY))
def test_a_bill_s_lines_add_up_to_its_sum_rounded_once(
    lines: list[int | Fraction], code: str, rounding: Rounding
) -> None:
    minor = round_lines(lines, code, rounding)
    scale = Fraction(currency(code).minor_per_major, 1_000_000)
    assert sum(minor) == rounded(sum(lines, Fraction(0)) * scale, rounding)
    for line, amount in zip(lines, minor, strict=True):
        assert abs(amount - line * scale) < 1


@given(LINES, st.sampled_from([Rounding.HALF_EVEN, Rounding.HALF_UP, Rounding.DOWN, Rounding.UP]))
def test_a_credit_note_is_the_bill_with_its_signs_turned(lines: list[int | Fraction], rounding: Rounding) -> None:
    assert round_lines([-line for line in lines], "EUR", rounding) == [-x for x in round_lines(lines, "EUR", rounding)]


def test_a_bill_of_nothing_is_mirrored_too() -> None:
    assert round_lines([5_000, -5_000], "EUR") == [1, -1]
    assert round_lines([-5_000, 5_000], "EUR") == [-1, 1]


def test_a_bill_by_hand() -> None:
    # 0.333 + 0.333 + 0.334 EUR is one euro: the third line has the largest remainder, one cent is given to it.
    assert round_lines([333_000, 333_000, 334_000], "EUR") == [33, 33, 34]
    # Rounded line by line this would be 0; the sum of 0.015 EUR is two cents.
    assert round_lines([5_000, 5_000, 5_000], "EUR") == [1, 1, 0]
    assert round_lines([-5_000, 20_000, -5_000], "EUR") == [0, 2, -1]
    assert round_lines([4_000, 6_000], "EUR", Rounding.EXACT) == [0, 1]
    with pytest.raises(EnergyError, match="^sum of 1 lines in minor EUR 1/2 is not whole"):
        round_lines([5_000], "EUR", Rounding.EXACT)


def test_an_unknown_currency_is_refused_with_close_names() -> None:
    with pytest.raises(EnergyError, match=r"^currency 'eur' is not known; close are EUR.*wanted an ISO 4217 code of"):
        currency("eur")
    with pytest.raises(EnergyError, match="^currency 'GBX' is a hundredth of GBP, for prices; amounts are in 'GBP'"):
        to_minor(1, "GBX", Rounding.EXACT)


def test_prices_may_be_in_hundredths() -> None:
    assert [
        (price_currency(code)[0].code, price_currency(code)[1]) for code in ("GBp", "GBX", "EUX", "USX", "AUD")
    ] == [
        ("GBP", 100),
        ("GBP", 100),
        ("EUR", 100),
        ("USD", 100),
        ("AUD", 1),
    ]
    with pytest.raises(EnergyError, match="^currency 'XYZ' is not known"):
        price_currency("XYZ")


def test_the_table_agrees_with_iso_4217() -> None:
    listed = pytest.importorskip("iso4217").Currency
    known = {each.code: (each.name, each.digits) for each in known_currencies()}
    assert {code: known.pop(code) for code in ("BGN", "HRK")} == {
        "BGN": ("Bulgarian Lev", 2),
        "HRK": ("Croatian Kuna", 2),
    }
    assert known == {code: (listed(code).currency_name, listed(code).exponent) for code in known}
