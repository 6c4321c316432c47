"""Identification codes: real ones pass, a code with one character changed does not, and the right check is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.identifiers import check_eic, check_lei, eic_check_character, lei_check_digits

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize("lei", ["529900T8BM49AURSDO55", "213800WWNILTD76WIX72", "391200J69OE1D0B3ZQ28"])
def test_a_real_lei_passes(lei: str):
    assert check_lei(lei) == lei


@pytest.mark.parametrize("eic", ["10YFR-RTE------C", "10Y1001A1001A82H", "10YNL----------L"])
def test_a_real_eic_passes(eic: str):
    assert check_eic(eic) == eic


@pytest.mark.parametrize("code", ["", "529900t8bm49aursdo55", "529900T8BM49AURSDO5", "529900T8BM49AURSDO5A"])
def test_a_malformed_lei_is_refused_with_one_that_fits(code: str):
    with pytest.raises(EnergyError, match=r"^LEI '.*' is malformed; wanted 18 capitals .*529900T8BM49AURSDO55"):
        check_lei(code)


@pytest.mark.parametrize("code", ["", "10YFR-RTE------", "1OYFR-RTE------C", "10yFR-RTE------C"])
def test_a_malformed_eic_is_refused_with_one_that_fits(code: str):
    with pytest.raises(EnergyError, match=r"^EIC '.*' is malformed; wanted 16 characters such as 10YFR-RTE------C"):
        check_eic(code)


def test_a_wrong_check_is_refused_with_the_one_that_belongs_there():
    with pytest.raises(EnergyError, match=r"ends in '56'; .* belong '55'"):
        check_lei("529900T8BM49AURSDO56")
    with pytest.raises(EnergyError, match=r"ends in 'D'; .* belongs 'C'"):
        check_eic("10YFR-RTE------D")


@given(first=st.text(ALPHANUMERIC, min_size=18, max_size=18), at=st.integers(0, 17), char=st.sampled_from(ALPHANUMERIC))
def test_a_changed_digit_or_letter_of_an_lei_is_found(first: str, at: int, char: str):
    lei = check_lei(first + lei_check_digits(first))
    changed = lei[:at] + char + lei[at + 1 :]
    if changed != lei and char.isdigit() == lei[at].isdigit():  # one for the other moves all that stands before it
        with pytest.raises(EnergyError, match=r"ends in"):
            check_lei(changed)


@given(
    middle=st.text(ALPHANUMERIC + "-", min_size=12, max_size=12),
    at=st.integers(3, 14),
    char=st.sampled_from(ALPHANUMERIC),
)
def test_one_changed_character_of_an_eic_is_found(middle: str, at: int, char: str):
    first = "10Y" + middle
    check = eic_check_character(first)
    if check == "-":
        with pytest.raises(EnergyError, match=r"never given"):
            check_eic(first + "A")
        return
    eic = check_eic(first + check)
    changed = eic[:at] + char + eic[at + 1 :]
    if changed != eic:
        with pytest.raises(EnergyError, match=r"^EIC"):
            check_eic(changed)


def test_codes_in_use_pass(shared_dir: Path):
    for name, check in (("valid_lei_codes.csv", check_lei), ("valid_eic_codes.csv", check_eic)):
        codes = (shared_dir / "data" / "identifiers" / name).read_text().split()[1:]
        assert len(codes) > 40
        assert [check(code) for code in codes] == codes
