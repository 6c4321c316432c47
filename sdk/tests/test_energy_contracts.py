"""Proves that zones carry valid codes and that a day's contracts have the right names, sessions, gates and terms."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import (
    Contract,
    EnergyError,
    ListingTerms,
    MarketZone,
    day_contracts,
    known_zones,
    listing_terms,
    market_zone,
    parse_contract,
)
from penstock_sdk.energy.contract_types import NO_LIMIT_TICKS, UnknownLimitsError
from penstock_sdk.energy.products import products_of
from penstock_sdk.energy.rules import Reference, Table, builtin_reference, builtin_rules

CHANGES = [date(2025, 3, 30), date(2025, 10, 26)]
DAYS = st.dates(date(2018, 1, 1), date(2030, 12, 31)) | st.sampled_from(CHANGES)
ZONES = [zone for zone in known_zones() if zone.valid_to == date.max and {"QH", "H"} <= products_of(zone).keys()]
CODES = [zone.code for zone in ZONES]
FIRST = {code: builtin_rules().rows("zones", code=code)[0].valid_from for code in CODES}


def eic_check(eic: str) -> str:
    """Return the check character of an EIC: weights 16 to 2 over the first 15, modulo 37."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
    total = sum((16 - place) * alphabet.index(char) for place, char in enumerate(eic[:15]))
    return alphabet[36 - (total - 1) % 37]


@pytest.mark.parametrize("zone", ZONES, ids=CODES)
def test_every_zone_of_intervals_has_a_valid_eic_or_is_australian(zone: MarketZone) -> None:
    assert (zone.eic == "") == (zone.currency == "AUD")
    if zone.eic:
        assert len(zone.eic) == 16
        assert eic_check(zone.eic) == zone.eic[15]
    ZoneInfo(zone.timezone)
    assert market_zone(zone.code) is market_zone(zone) is zone


def test_an_unknown_zone_names_the_closest_and_all_known() -> None:
    with pytest.raises(EnergyError, match="^zone 'de_lu' is not known; did you mean 'DE-LU'\\? known are AT, BE"):
        market_zone("de_lu")
    with pytest.raises(EnergyError, match="^zone 'XQZ' is not known; known are AT, BE"):
        market_zone("XQZ")


@pytest.mark.parametrize(
    ("day", "quarters", "whole"), [(date(2025, 7, 1), 96, 24), (CHANGES[0], 92, 23), (CHANGES[1], 100, 25)]
)
def test_a_day_lists_its_quarter_hours_then_its_hours(day: date, quarters: int, whole: int) -> None:
    listed = day_contracts("DE-LU", day)
    assert [contract.product for contract in listed] == ["QH"] * quarters + ["H"] * whole
    assert day_contracts("DE-LU", day, ("H", "QH")) == listed[quarters:] + listed[:quarters]


@given(st.sampled_from(CODES), DAYS)
def test_names_parse_to_their_contract_and_differ(code: str, day: date) -> None:
    listed = day_contracts(code, max(day, FIRST[code]))
    assert [parse_contract(contract.name) for contract in listed] == list(listed)
    assert len({contract.name for contract in listed}) == len(listed)


@given(st.sampled_from(CODES), DAYS)
def test_trading_opens_the_day_before_and_ends_ahead_of_delivery(code: str, day: date) -> None:
    day = max(day, FIRST[code])
    zone = market_zone(code)
    for contract in day_contracts(code, day):
        opens = datetime.fromtimestamp(contract.opens_ns // 10**9, ZoneInfo(zone.timezone))
        assert (day - opens.date()).days == 1
        assert (opens.hour, opens.minute) == ((15, 0) if contract.product == "H" else (16, 0))
        assert contract.delivery.start_ns - contract.gate_closure_ns == zone.gate_lead_minutes * 60 * 10**9
        assert contract.opens_ns < contract.gate_closure_ns
        assert contract.currency == zone.currency


def test_the_second_two_fifteen_of_a_long_day_by_hand() -> None:
    contract = parse_contract("DE-LU QH 2025-10-26 02:15B")
    assert contract.opens_ns == 1_761_400_800_000_000_000  # 2025-10-25 16:00+02:00
    assert contract.gate_closure_ns == 1_761_441_000_000_000_000  # 2025-10-26 02:10+01:00
    assert (contract.zone, contract.product, contract.currency) == ("DE-LU", "QH", "EUR")
    assert msgspec.json.decode(msgspec.json.encode(contract), type=Contract) == contract


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("DE-LU QH 2025-10-26 02:15", "happens twice"),
        ("DE QH 2025-10-26 03:15", "zone 'DE' is not known"),
        ("DE-LU", "names no delivery period"),
        ("DE-LU  QH 2025-10-26 03:15", "names no delivery period"),
        ("NL HH 2025-10-26 03:30", "product 'HH' has no trading session in NL; did you mean 'H'. known there are B, D"),
        ("GB D 2025-10-26", "product 'D' has no trading session in GB"),
    ],
)
def test_a_contract_name_that_is_none_says_why(name: str, fault: str) -> None:
    with pytest.raises(EnergyError, match=fault):
        parse_contract(name)


def test_an_unknown_product_is_refused() -> None:
    with pytest.raises(EnergyError, match="^product '5M' has no trading session in DE-LU"):
        day_contracts("DE-LU", date(2025, 7, 1), ("H", "5M"))
    with pytest.raises(EnergyError, match="^product 'M' has no intervals of a day; strip_contracts has what is listed"):
        day_contracts("DE-LU", date(2025, 7, 1), ("M",))


def test_terms_are_a_cent_a_tenth_of_a_megawatt_and_dated_limits() -> None:
    assert listing_terms("DE-LU", date(2025, 7, 1)) == ListingTerms(10_000, 100, -999_900, 999_900, lots_max=9_990)
    # The Australian cap rose from 17,500 to 20,300 between these two days.
    assert listing_terms("NSW1", date(2025, 6, 30)) == ListingTerms(10_000, 100, -100_000, 1_750_000)
    assert listing_terms("VIC1", date(2025, 7, 1)).price_max_ticks == 2_030_000


def test_a_cap_that_is_not_known_is_not_guessed() -> None:
    for day in (date(2017, 6, 30), date(2026, 7, 1)):
        said = f"^market price limits of NEM on {day} are not known, they are from 2017-07-01 to 2026-06-30; bring"
        with pytest.raises(UnknownLimitsError, match=said) as refused:
            listing_terms("NSW1", day)
        assert refused.value.days == "from 2017-07-01 to 2026-06-30"
        free = listing_terms("NSW1", day, limits=False)
        assert (free.tick_micro, free.lot_kw, free.price_max_ticks) == (10_000, 100, NO_LIMIT_TICKS)


def test_limits_are_in_the_unit_of_the_prices() -> None:
    row = {"market": "ICE", "price_min": "-5", "price_max": "1000", "price_unit": "GBp/therm"}
    known = Reference(builtin_rules().with_tables([Table("limits", "own.toml", [row])]), builtin_reference().calendars)
    terms = listing_terms(parse_contract("NBP M 2026-03", known), None, known)
    assert (terms.price_min_ticks, terms.price_max_ticks) == (-500, 100_000)  # ticks of 0.01 p


@pytest.mark.parametrize("terms", [(0, 100, -1, 1), (10_000, -1, -1, 1), (10_000, 100, 1, 1)])
def test_terms_that_nothing_can_trade_on_are_refused(terms: tuple[int, int, int, int]) -> None:
    with pytest.raises(EnergyError, match="must both be positive|is not below"):
        ListingTerms(*terms)
