"""Codes with check characters are accepted when right, and refused with the character that would be right."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock_plugins.refdata.identifiers import EIC_TYPES, check_eic, check_lei
from penstock_sdk.energy import identifiers
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Table, builtin_rules

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
EIC_BODY = st.builds(
    "{:02d}{}{}".format,
    st.integers(0, 99),
    st.sampled_from(sorted(EIC_TYPES)),
    st.text(DIGITS + CAPITALS + "-", min_size=12, max_size=12),
)
LEI_BODY = st.text(DIGITS + CAPITALS, min_size=18, max_size=18)


def said(check, code: str, **more: str) -> str:
    """Return why a code is refused."""
    with pytest.raises(EnergyError) as refused:
        check(code, **more)
    return str(refused.value)


def eic_check(body: str) -> str:
    """Work the check character out by the manual's own table: weights 16 to 2, values 0-9, A-Z, - = 36."""
    values = {char: number for number, char in enumerate(DIGITS + CAPITALS + "-")}
    total = sum(weight * values[char] for weight, char in zip(range(16, 1, -1), body, strict=True))
    return (DIGITS + CAPITALS + "-")[36 - (total - 1) % 37]


@given(EIC_BODY, st.sampled_from(DIGITS + CAPITALS))
def test_an_eic_is_right_with_one_check_character_alone(body: str, other: str):
    right = eic_check(body)
    if right == "-":
        assert "which is never given" in said(check_eic, body + other)
        return
    assert check_eic(body + right) == body + right
    assume(other != right)
    assert said(check_eic, body + other).endswith(f"ends in {other!r}; to its first 15 characters belongs {right!r}")


@given(EIC_BODY, st.integers(0, 14), st.sampled_from(DIGITS + CAPITALS + "-"))
def test_one_wrong_character_of_an_eic_is_found(body: str, place: int, char: str):
    right = eic_check(body)
    assume(right != "-" and body[place] != char)
    said(check_eic, body[:place] + char + body[place + 1 :] + right)


@given(LEI_BODY)
def test_an_lei_is_right_with_one_pair_of_check_digits_alone(body: str):
    rest = int("".join(str(int(char, 36)) for char in body + "00")) % 97
    right = f"{98 - rest:02d}"
    assert check_lei(body + right) == body + right
    assert int("".join(str(int(char, 36)) for char in body + right)) % 97 == 1
    wrong = f"{(int(right) + 1) % 100:02d}"
    assert said(check_lei, body + wrong).endswith(f"belong {right!r}")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "malformed"),
        ("10YFR-RTE------", "malformed"),
        ("10YFR-RTE------CC", "malformed"),
        ("10yfr-rte------c", "malformed"),
        ("10YFR_RTE------C", "malformed"),
        ("1OYFR-RTE------C", "malformed"),
        ("23X--130302DLGW-", "never given"),
        ("10QFR-RTE------C", "is of type Q .no type there is.; wanted A .substation. or T"),
        ("10YFR-RTE------D", "belongs 'C'$"),
    ],
)
def test_what_is_no_eic_is_refused_with_what_would_be(code: str, why: str):
    with pytest.raises(EnergyError, match=why):
        check_eic(code)


def test_an_eic_of_another_type_than_wanted_names_both():
    assert said(check_eic, "11XRWETRADING--0", types="Y").startswith("EIC '11XRWETRADING--0' is of type X (party); ")
    assert check_eic("11XRWETRADING--0", types="XY") == "11XRWETRADING--0"


@pytest.mark.parametrize("code", ["", "529900t8bm49aursdo55", "529900T8BM49AURSDO5", "529900T8BM49AURSDO5X", "5" * 21])
def test_what_is_no_lei_is_refused_with_the_form_wanted(code: str):
    assert f"LEI {code!r} is malformed; wanted 18 capitals" in said(check_lei, code)


def test_every_area_code_that_comes_along_is_one():
    codes = [zone.eic for zone in builtin_rules().rows("zones") if zone.eic]
    assert len(codes) > 30
    for code in codes:
        check_eic(code, types="Y")


@given(EIC_BODY.map(lambda body: "10Y" + body[3:]), st.sampled_from(DIGITS + CAPITALS))
def test_a_zone_row_and_the_identifiers_agree_on_what_an_eic_is(body: str, last: str):
    row = {"code": "XX", "eic": body + last, "timezone": "Etc/UTC", "currency": "EUR"}
    answers = []
    for check in (lambda: Table("zones", "a test", [row]), lambda: check_eic(body + last, types="Y")):
        try:
            check()
            answers.append(True)
        except EnergyError:
            answers.append(False)
    assert answers[0] == answers[1]


@given(LEI_BODY, st.text(DIGITS, min_size=2, max_size=2))
def test_the_sdk_and_the_library_agree_on_what_an_lei_is(body: str, last: str):
    answers = []
    for check in (identifiers.check_lei, check_lei):
        try:
            check(body + last)
            answers.append(True)
        except EnergyError:
            answers.append(False)
    assert answers[0] == answers[1]
    assert identifiers.check_lei(whole := body + identifiers.lei_check_digits(body)) == check_lei(whole)


def test_real_codes_are_accepted(shared_dir: Path):
    folder = shared_dir / "data" / "identifiers"
    with (folder / "valid_eic_codes.csv").open() as file:
        eics = [row["code"] for row in csv.DictReader(file)]
    with (folder / "entsoe_area_eic_codes.csv").open() as file:
        eics += [row["EIC"] for row in csv.DictReader(file) if len(row["EIC"]) > 2]  # some rows have a country's code
    with (folder / "valid_lei_codes.csv").open() as file:
        leis = [row["code"] for row in csv.DictReader(file)]
    assert len(eics) > 100
    assert len(leis) == 50
    assert [check_eic(code) for code in eics] == eics
    assert [check_lei(code) for code in leis] == leis
