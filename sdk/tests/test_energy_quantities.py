"""Proves that units convert exactly and back, that what stands between two kinds is asked for, and known answers."""

from __future__ import annotations

import sys
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import unit_reader
from penstock_sdk.energy.delivery import DeliveryPeriod, delivery_day, hours, quarter_hours
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.money import Rounding
from penstock_sdk.energy.quantities import Calorific, convert, factor, known_units

pytest.importorskip("pint")

LONG_DAY = delivery_day("DE-LU", date(2025, 10, 26))
GAS = Calorific("39.6", "MJ/m3", "gross", net_per_gross="0.9")  # 11 kWh/m³ gross, 9.9 net
ENERGY = [
    "Wh",
    "kWh",
    "MWh",
    "TWh",
    "J",
    "GJ",
    "therm",
    "MMBtu",
    "Btu_ISO",
    "therm_IT",
    "therm_US",
    "toe",
    "tce",
    "dth",
]
POWER = ["MW", "kW", "MWh/h", "KWh/d", "GWh/d", "Therm/d", "KTherm/d", "MMBtu/d", "GJ/d", "100MJ/d"]
VOLUME = ["m3", "mcm", "tcm", "ft3", "MMcf", "bcm"]
PRICE = ["EUR/MWh", "EUX/kWh", "EUR/GJ", "EUR/therm", "kEUR/GWh", "EUR/(MW*h)"]
EMISSIONS = ["tCO2", "EUA", "kgCO2", "MtCO2"]
KINDS = [ENERGY, POWER, VOLUME, PRICE, EMISSIONS]
VALUES = st.one_of(
    st.integers(-(10**15), 10**15), st.fractions(-(10**6), 10**6), st.decimals(-(10**6), 10**6, places=6)
)
PAIRS = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.sampled_from(kind), st.sampled_from(kind)))


@pytest.mark.parametrize(
    ("value", "unit", "into", "digits", "wanted"),
    [
        # Digits as printed by their sources: ICE's product pages, ISO 80000, the IEA's converter.
        (1, "therm", "kWh", "0.0001", "29.3071"),
        (1, "therm_ISO", "kWh", "0.0001", "29.3071"),
        (1, "therm_IT", "kWh", "0.0001", "29.3071"),
        (1, "therm_US", "kWh", "0.0001", "29.3001"),
        (1, "MMBtu", "MWh", "0.000001", "0.293071"),
        (1, "MMBtu_ISO", "MWh", "0.000001", "0.293071"),
        (1, "MMBtu", "GJ", "0.000001", "1.055056"),
        (1, "GJ", "MWh", "0.000001", "0.277778"),
        (1, "toe", "MWh", "0.01", "11.63"),
        (1, "tce", "GJ", "0.0001", "29.3076"),
        (1, "GWh/d", "MW", "0.000001", "41.666667"),
        (1, "Therm/d", "KWh/h", "0.0001", "1.2211"),
        (1, "mcm/d", "m3/h", "0.001", "41666.667"),
        (1, "ft3", "m3", "0.000000001", "0.028316847"),
        (1, "bbl", "litre", "0.001", "158.987"),
        (-1, "MWh", "GJ", "0.1", "-3.6"),
        ("-86.40", "GBp/therm", "GBP/MWh", "0.0001", "-29.4809"),
        ("2.50", "USD/MMBtu", "USX/therm", "0.01", "25"),
        ("-86.70", "EUR/MWh", "EUX/kWh", "0.01", "-8.67"),
        ("0.202", "tCO2/MWh", "kgCO2/GJ", "0.001", "56.111"),
        (0, "EUA", "tCO2", "1", "0"),
    ],
)
def test_known_answers(value: int | str, unit: str, into: str, digits: str, wanted: str) -> None:
    assert convert(value, unit, into, rounding=Rounding.HALF_EVEN, step=digits) == Fraction(wanted)


def test_a_therm_is_what_the_exchange_delivers_for_it() -> None:
    assert convert(1_000, "therm", "Wh") == 29_307_100
    assert convert(10_000, "MMBtu", "Wh") == 2_930_710_000


@given(VALUES, PAIRS)
def test_there_and_back_is_where_it_was(value: int | Fraction, pair: tuple[str, str]) -> None:
    unit, into = pair
    there = convert(value, unit, into)
    assert convert(there, into, unit) == Fraction(value)
    assert convert(-there, into, unit) == -Fraction(value)


@given(PAIRS.flatmap(lambda pair: st.tuples(st.just(pair), st.sampled_from(next(k for k in KINDS if pair[0] in k)))))
def test_two_steps_are_one(units: tuple[tuple[str, str], str]) -> None:
    (first, last), middle = units
    assert factor(first, middle) * factor(middle, last) == factor(first, last) > 0


@given(VALUES, st.sampled_from(VOLUME), st.sampled_from(ENERGY), st.sampled_from(["", " gross", " net", " (HHV)"]))
def test_heat_comes_back_exactly(value: int | Fraction, volume: str, energy: str, basis: str) -> None:
    there = convert(value, volume, energy + basis, calorific=GAS)
    assert convert(there, energy + basis, volume, calorific=GAS) == Fraction(value)


@given(VALUES, st.sampled_from(POWER), st.sampled_from(ENERGY))
def test_a_rate_held_over_a_day_comes_back_exactly(value: int | Fraction, power: str, energy: str) -> None:
    there = convert(value, power, energy, period=LONG_DAY)
    assert convert(there, energy, power, period=LONG_DAY) == Fraction(value)


def test_heat_by_hand() -> None:
    assert convert(1, "mcm", "GWh", calorific=GAS) == convert(1, "mcm", "GWh gross", calorific=GAS) == 11
    assert (
        convert(1, "mcm", "GWh net", calorific=GAS)
        == convert(11, "GWh gross", "GWh net", calorific=GAS)
        == Fraction("9.9")
    )
    assert convert(-2, "mcm/d", "GWh/d", calorific=GAS) == -22
    assert convert(22, "EUX/m3", "EUR/MWh", calorific=GAS) == 20
    # Less heat is left net, so one unit of it costs more.
    assert convert(90, "EUR/MWh gross", "EUR/MWh net", calorific=GAS) == 100
    assert convert("0.18", "tCO2/MWh gross", "tCO2/MWh LHV", calorific=Calorific(net_per_gross="0.9")) == Fraction(
        "0.2"
    )
    assert convert(10, "t", "MWh", calorific=Calorific(36, "GJ/t", "net")) == 100
    assert convert(1, "m3", "kWh gross", calorific=Calorific("9.9", "kWh/m3", "net", net_per_gross="0.9")) == 11


def test_a_rate_is_held_over_its_period() -> None:
    quarter = quarter_hours("DE-LU", date(2025, 7, 1))[0]
    assert convert("4.7", "MW", "MWh", period=quarter) == Fraction("1.175")
    assert convert("-1.175", "MWh", "MW", period=quarter) == Fraction("-4.7")
    assert convert(1, "MW", "MWh", period=LONG_DAY) == 25
    assert convert(1, "mcm/d", "GWh", period=LONG_DAY, calorific=GAS) == 11


def test_a_rate_per_day_counts_local_days_however_long() -> None:
    assert convert(1_000, "therm/d", "therm", period=LONG_DAY) == 1_000
    assert convert(1, "GWh/d", "MW", period=LONG_DAY) == 40
    assert convert(1, "GWh/d", "MW") == Fraction(1_000, 24)
    assert convert(24, "MWh/h", "MWh/day", period=LONG_DAY) == 600
    assert convert(3, "MWh", "MWh", period=LONG_DAY) == 3
    with pytest.raises(
        EnergyError, match=r"^KWh/d is per day and 'H 2025-10-26 00' is no number of whole days; use a unit"
    ):
        convert(1, "KWh/d", "MWh", period=hours("DE-LU", date(2025, 10, 26))[0])


def test_a_rate_in_parts_is_held_over_the_parts() -> None:
    week = [delivery_day("DE-LU", date(2025, 10, day)) for day in (24, 26)]
    parts = tuple((day.start_ns, day.end_ns) for day in week)
    period = DeliveryPeriod(parts[0][0], parts[1][1], "two days", "Europe/Berlin", parts)
    assert convert(1, "MW", "MWh", period=period) == 49
    assert convert(1, "therm/d", "therm", period=period) == 2


@pytest.mark.parametrize("unit", ["KW", "KWh/h", "KWh/d", "MW", "MWh/h", "MWh/d", "GW", "GWh/h", "GWh/d", "Therm/d",
    "KTherm/d", "MTherm/d", "Btu/d", "MMBtu/d", "MJ/d", "100MJ/d", "GJ/d"])  # fmt: skip
def test_acer_s_capacity_units_are_powers(unit: str) -> None:
    assert convert(convert(7, unit, "MW"), "MW", unit) == 7


@pytest.mark.parametrize("unit", ["cm/d", "mcm/d", "tcm/d"])
def test_acer_s_volume_rates_are_powers_by_their_heat(unit: str) -> None:
    assert convert(24, unit, "MW", calorific=GAS) == {"c": Fraction(11, 1_000), "m": 11_000, "t": 11}[unit[0]]


@pytest.mark.parametrize(
    ("unit", "into", "message"),
    [
        ("MW", "MWh", r"^'MW' is a power and 'MWh' an energy: between them stands the delivery period over which"),
        ("MWh", "therm/d", r"between them stands the delivery period over which the rate is held \(period=\)$"),
        ("mcm", "GWh", r"^'mcm' is a volume and 'GWh' an energy: .* a calorific value with its unit, gross or net"),
        ("GWh", "mcm/d", r"the delivery period .*\(period=\) and a calorific value"),
        ("EUR/MWh", "GBP/MWh", r"'GBP/MWh' a price of energy of another currency: .* an exchange rate as of a time"),
        ("t", "tCO2", r"^'t' is a mass and 'tCO2' an emission: between them stands the fuel's emission factor"),
        ("MW", "EUR", r"^'MW' is a power and 'EUR' money: no conversion there is$"),
        ("MWh gross", "MWh", r"tells gross or net on one side only; tell it on both, or on neither$"),
        ("MWh gross", "MWh net", r"is gross to net: pass calorific=Calorific\(\.\.\., net_per_gross="),
        ("m3 gross", "MWh", r"^unit 'm3 gross' is a volume; only heat is gross"),
        ("Mwhh", "MWh", r"^unit 'Mwhh' is not known; close are MWh"),
        ("EUR/Terms", "MWh", r"^unit 'EUR/Terms' is not known for its 'Terms'; close are therm"),
        ("gbp", "EUR", r"^unit 'gbp' is not known; close are"),
        ("MMJ/d", "MJ/d", r"^unit 'MMJ' is a million joules to some .* write 'MJ' or 'TJ'$"),
        ("MT", "t", r"^unit 'MT' is a tonne to some"),
        ("mW", "MW", r"^unit 'mW' is a thousandth of 'W' by its small m, a million of them .* write 'MW'"),
        ("mWh", "MWh", r"^unit 'mWh' is a thousandth of 'Wh'"),
        ("EUR/mwh", "EUR/MWh", r"^unit 'mwh' is a thousandth of 'Wh'"),
        ("Mcm", "m3", r"^unit 'Mcm' is a thousand cubic metres to some and a million to others; write 'tcm' or 'mcm'$"),
        ("MCM/d", "m3/d", r"^unit 'MCM' is a thousand cubic metres to some"),
        ("Nm3", "MWh", r"^unit 'Nm3' is a cubic metre in a state of its own"),
        ("EUR/", "EUR", r"^unit 'EUR/' cannot be read"),
        ("2MWh", "MWh", r"^unit '2MWh' cannot be read at '2MWh'"),
        ("MWh**0.5", "MWh", r"cannot be read at '0\.5'"),
        ("__import__('os')", "MWh", r"^unit .* is not known"),
        ("", "MWh", r"^unit is ''; wanted a text"),
        ("MW" * 40, "MWh", r"wanted a text of up to 60 characters"),
    ],
)  # fmt: skip
def test_what_does_not_convert_is_refused_with_what_is_missing(unit: str, into: str, message: str) -> None:
    with pytest.raises(EnergyError, match=message):
        convert(1, unit, into)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Calorific(0), "^calorific value is 0 MJ/m3; wanted above 0"),
        (lambda: Calorific("-39"), "^calorific value is -39 MJ/m3; wanted above 0"),
        (lambda: Calorific(39.6), "^calorific value is 39.6 .float.; pass an int"),  # type: ignore[arg-type]
        (lambda: Calorific(39, basis="lower"), "^calorific basis is 'lower'; wanted 'gross' or 'net'"),  # type: ignore[arg-type]
        (lambda: Calorific(39, net_per_gross="1.1"), "^net_per_gross is 1.1; wanted above 0 and at most 1"),
        (lambda: convert(1, "m3", "MWh", calorific=Calorific(39, "MWh")), "^calorific unit is 'MWh'; wanted an energy"),
        (lambda: convert(1, "m3", "MWh", calorific=Calorific(36, "GJ/t")), "^'m3' is a volume and 'MWh' an energy"),
        (lambda: convert(1, "m3", "MWh net", calorific=Calorific(39)), "gross to net: pass calorific=Calorific"),
        (lambda: convert(1.5, "MWh", "GJ"), "^value in MWh is 1.5 .float."),  # type: ignore[arg-type]
        (lambda: convert("86.40", "GBp/therm", "GBP/MWh", step="0.01"),
            r"^86.40 GBp/therm is 8640000/293071 GBP/MWh, no multiple of the step 0.01; it lies between 737/25 and"),
        (lambda: convert(1, "MWh", "GJ", rounding=Rounding.UP, step=0), "^step is 0; wanted above 0"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_by_name(make: object, message: str) -> None:
    with pytest.raises(EnergyError, match=message):
        make()  # type: ignore[operator]


@given(VALUES, st.sampled_from([each for each in Rounding if each is not Rounding.EXACT]))
def test_a_rounded_result_is_on_the_step_and_nearer_than_one(value: int | Fraction, rounding: Rounding) -> None:
    exactly, step = convert(value, "therm", "MWh"), Fraction(1, 1000)
    result = convert(value, "therm", "MWh", rounding=rounding, step=step)
    assert (result / step).denominator == 1
    assert abs(result - exactly) < step


@pytest.mark.parametrize("name", known_units())
def test_every_name_is_a_unit_of_some_kind(name: str) -> None:
    assert convert(3, name, name) == 3


def test_without_pint_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pint", None)
    for cached in (unit_reader._registry, unit_reader.read_unit):
        cached.cache_clear()
    with pytest.raises(EnergyError, match=r"^conversion between units needs pint: install penstock-sdk\[units\]$"):
        convert(1, "MWh", "GJ")


def test_an_exact_result_on_the_step_is_taken_and_one_without_a_step_is_the_fraction() -> None:
    assert convert("28.35", "ct/kWh", "EUR/MWh", step="0.01") == Fraction("283.5")
    assert convert(1, "therm", "MWh") == Fraction("0.0293071")
    assert convert(1, "therm", "MWh", step="0.0000001") == Fraction("0.0293071")


@pytest.mark.parametrize(("unit", "into", "value"), [("KWH", "kWh", 1), ("mmbtu", "MMBtu", 1), ("mmcf", "MMcf", 1)])
def test_case_that_changes_no_prefix_is_no_question(unit: str, into: str, value: int) -> None:
    assert convert(1, unit, into) == value
