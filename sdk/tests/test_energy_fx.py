"""Proves that exchange rates are those known at the time, exact both ways; missing or stale ones are errors."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.fx import FxError, FxTable
from penstock_sdk.energy.money import Rounding

DAY_NS = 86_400_000_000_000
ALWAYS = 10**30
CODES = st.sampled_from(["AUD", "EUR", "GBP", "USD"])
FIXINGS = st.lists(
    st.tuples(CODES, CODES, st.integers(1, 10**12), st.integers(0, 50), st.integers(0, 3)).filter(
        lambda f: f[0] != f[1]
    ),
    unique_by=lambda f: (f[0], f[1], f[3], f[4]),
    max_size=25,
)


def table_of(*fixings: tuple[str, str, int, int, int]) -> FxTable:
    table = FxTable()
    for fixing in fixings:
        table.add(*fixing)
    return table


ECB = table_of(
    ("EUR", "GBP", 850_000_000, DAY_NS, 0), ("EUR", "USD", 1_100_000_000, DAY_NS, 0),
    ("EUR", "GBP", 860_000_000, 2 * DAY_NS, 0),
)  # fmt: skip


def test_a_rate_holds_from_its_fixing_until_the_next() -> None:
    at = [DAY_NS, 2 * DAY_NS - 1, 2 * DAY_NS, 9 * DAY_NS]
    rates = [ECB.rate("EUR", "GBP", at_ns, ALWAYS) for at_ns in at]
    assert rates == [Fraction(85, 100), Fraction(85, 100), Fraction(86, 100), Fraction(86, 100)]


def test_a_rate_is_never_taken_from_the_future() -> None:
    with pytest.raises(
        FxError, match=r"^no rate EUR/GBP at 1970-01-01 23:59:59.999999999 UTC: pairs with fixings are EUR/GBP, EUR/U"
    ):
        ECB.rate("EUR", "GBP", DAY_NS - 1, ALWAYS)


def test_a_stale_rate_is_refused_with_its_age() -> None:
    assert ECB.rate("EUR", "USD", 2 * DAY_NS, DAY_NS) == Fraction(11, 10)
    with pytest.raises(
        FxError, match=r"at 1970-01-03 00:00:00 UTC is stale: .* \(EUR/USD\) is as of 1970-01-02 00:00:00 UTC, 1 d old,"
    ) as error:
        ECB.rate("EUR", "USD", 2 * DAY_NS, DAY_NS - 1)
    assert (error.value.base, error.value.quote, error.value.age_ns) == ("EUR", "USD", DAY_NS)


def test_a_cross_is_as_old_as_its_older_leg() -> None:
    quote = ECB.quote("GBP", "USD", 2 * DAY_NS, ALWAYS)
    assert (quote.rate, quote.as_of_ns) == (Fraction(110, 86), DAY_NS)
    assert quote.legs == (("EUR", "GBP", 0), ("EUR", "USD", 0))
    with pytest.raises(FxError, match=r"^rate GBP/USD .* is stale: its newest fixing \(EUR/GBP and EUR/USD\)"):
        ECB.rate("GBP", "USD", 2 * DAY_NS, DAY_NS - 1)


def test_the_pair_s_own_fresh_rate_comes_before_a_newer_cross() -> None:
    table = table_of(
        ("GBP", "USD", 1_300_000_000, 10, 0), ("EUR", "GBP", 850_000_000, 20, 0), ("EUR", "USD", 1_100_000_000, 20, 0)
    )
    assert table.rate("USD", "GBP", 25, 15) == Fraction(10, 13)
    assert table.rate("USD", "GBP", 25, 14) == Fraction(85, 110)


def test_of_a_pair_fixed_both_ways_the_newer_counts_and_at_one_time_that_as_asked() -> None:
    table = table_of(("EUR", "GBP", 800_000_000, 5, 0), ("GBP", "EUR", 1_200_000_000, 7, 0))
    assert table.rate("EUR", "GBP", 6, 9) == Fraction(8, 10)
    assert table.rate("EUR", "GBP", 7, 9) == Fraction(10, 12)
    table.add("EUR", "GBP", 850_000_000, 7)
    assert [table.rate("EUR", "GBP", 7, 9), table.rate("GBP", "EUR", 7, 9)] == [Fraction(85, 100), Fraction(12, 10)]


def test_a_correction_replaces_its_fixing_and_a_late_original_does_not() -> None:
    table = table_of(
        ("EUR", "GBP", 850_000_000, 5, 1), ("EUR", "GBP", 990_000_000, 5, 0), ("EUR", "GBP", 850_000_000, 5, 1)
    )
    assert table.rate("EUR", "GBP", 5, 0) == Fraction(85, 100)
    table.add("EUR", "GBP", 851_000_000, 5, 2)
    assert table.quote("EUR", "GBP", 5, 0).legs == (("EUR", "GBP", 2),)
    with pytest.raises(FxError, match=r"version 2, is 851000000 nano and now 1; a correction has a higher version"):
        table.add("EUR", "GBP", 1, 5, 2)


@pytest.mark.parametrize("rate_nano", [0, -1])
def test_a_rate_of_nothing_is_refused(rate_nano: int) -> None:
    with pytest.raises(FxError, match=rf"^rate EUR/GBP as of 1970-01-01 00:00:00.0{{8}}7 UTC is {rate_nano} nano; "):
        FxTable().add("EUR", "GBP", rate_nano, 7)


def test_currencies_are_known_and_two() -> None:
    with pytest.raises(FxError, match="is of one currency; wanted two"):
        FxTable().add("EUR", "EUR", 1, 7)
    with pytest.raises(EnergyError, match="^currency 'GBX' is a hundredth of GBP"):
        FxTable().add("EUR", "GBX", 1, 7)
    with pytest.raises(EnergyError, match="^currency 'XYZ' is not known"):
        FxTable().rate("XYZ", "EUR", 0, 0)
    with pytest.raises(FxError, match="pairs with fixings are none at all; feed the pair"):
        FxTable().rate("USD", "EUR", 0, 0)
    assert FxTable().rate("EUR", "EUR", 0, 0) == 1


def test_an_amount_is_rounded_once_by_name() -> None:
    assert ECB.convert_micro(-1_000_000, "GBP", "EUR", DAY_NS, ALWAYS) == -1_176_471
    assert ECB.convert_micro(-1_000_000, "GBP", "EUR", DAY_NS, ALWAYS, Rounding.DOWN) == -1_176_470
    assert ECB.convert_micro(-20, "EUR", "GBP", DAY_NS, ALWAYS, Rounding.EXACT) == -17
    with pytest.raises(EnergyError, match=r"^GBP in micro EUR 20/17 is not whole"):
        ECB.convert_micro(1, "GBP", "EUR", DAY_NS, ALWAYS, Rounding.EXACT)


@given(FIXINGS, CODES, CODES, st.integers(0, 60), st.integers(0, 60), st.integers(-(10**12), 10**12))
def test_rates_come_back_and_amounts_are_within_one_of_the_exact(
    fixings: list[tuple[str, str, int, int, int]], base: str, quote: str, at_ns: int, max_age_ns: int, amount: int
) -> None:
    table = table_of(*fixings)
    try:
        found = table.quote(base, quote, at_ns, max_age_ns)
    except FxError:
        with pytest.raises(FxError):
            table.rate(quote, base, at_ns, max_age_ns)
        return
    assert at_ns - max_age_ns <= found.as_of_ns <= at_ns
    # Turned round, a pair is fixed by the same entries; where both ways are fixed at one time each way has its own.
    if len({(base, quote), (quote, base)} & {pair[:2] for pair in fixings}) < 2 and len(found.legs) < 2:
        assert found.rate * table.rate(quote, base, at_ns, max_age_ns) == 1
    assert abs(table.convert_micro(amount, base, quote, at_ns, max_age_ns) - amount * found.rate) <= Fraction(1, 2)


@given(FIXINGS, st.integers(0, 60))
def test_a_table_comes_back_from_its_snapshot_and_forgets_nothing_of_use(
    fixings: list[tuple[str, str, int, int, int]], at_ns: int
) -> None:
    table = table_of(*fixings)
    state = table.snapshot()
    again = FxTable.restore(json.loads(json.dumps(state)))
    assert again.snapshot() == state
    again.let_go(at_ns)
    assert all(len([each for each in kept if each[0] <= at_ns]) <= 1 for kept in again.snapshot().values())
    for base, quote in (("EUR", "GBP"), ("AUD", "USD")):
        assert outcome(again, base, quote, at_ns) == outcome(table, base, quote, at_ns)
        assert outcome(again, base, quote, at_ns + 5) == outcome(table, base, quote, at_ns + 5)


def outcome(table: FxTable, base: str, quote: str, at_ns: int) -> object:
    try:
        return table.quote(base, quote, at_ns, 20)
    except FxError as error:
        return str(error)


@given(
    st.permutations(
        [("EUR", "GBP", 1, 5, 0), ("EUR", "GBP", 2, 5, 1), ("EUR", "GBP", 3, 2, 0), ("EUR", "USD", 4, 5, 0)]
    )
)
def test_the_order_of_arrival_does_not_matter(fixings: list[tuple[str, str, int, int, int]]) -> None:
    assert table_of(*fixings).snapshot() == {"EUR/GBP": [(2, 3, 0), (5, 2, 1)], "EUR/USD": [(5, 4, 0)]}


def test_a_correction_answers_for_its_time_however_late_it_came() -> None:
    table = FxTable()
    table.add("EUR", "GBP", 850_000_000, DAY_NS, 1)
    before = table.quote("EUR", "GBP", DAY_NS, ALWAYS)
    table.add("EUR", "GBP", 860_000_000, DAY_NS, 2)
    after = table.quote("EUR", "GBP", DAY_NS, ALWAYS)
    assert (before.rate, after.rate) == (Fraction(17, 20), Fraction(43, 50))
    assert (before.legs, after.legs) == ((("EUR", "GBP", 1),), (("EUR", "GBP", 2),))
