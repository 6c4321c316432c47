"""Counterparties as rows: codes are checked, limits are exact, and every fault is named."""

from __future__ import annotations

import pytest

from penstock_sdk.energy.counterparties import CounterpartyTerms, counterparties_of, counterparty_of
from penstock_sdk.energy.row_files import read_csv, read_json


def test_a_row_gives_codes_limits_and_state():
    text = "name,lei,eic,limits,active\nNordwind AG,529900T8BM49AURSDO55,10YFR-RTE------C,EUR=2.5 GBP=0,no\nB,,,,\n"
    rows, faults = counterparties_of(read_csv("p.csv", text))
    assert faults == []
    assert rows == [
        (2, CounterpartyTerms(name="Nordwind AG", lei="529900T8BM49AURSDO55", eic="10YFR-RTE------C",
                              limits={"EUR": 2_500_000, "GBP": 0}, active=False)),
        (3, CounterpartyTerms(name="B")),
    ]  # fmt: skip


def test_json_may_have_limits_as_a_table():
    text = '[{"name": "B", "limits": {"EUR": 1000000, "GBP": 0.25}, "active": true}]'
    ((_, terms),), faults = counterparties_of(read_json("p.json", text))
    assert (terms.limits, terms.active, faults) == ({"EUR": 10**12, "GBP": 250_000}, True, [])


@pytest.mark.parametrize(
    ("cells", "column", "rule"),
    [
        ({}, "name", "it is no name"),
        ({"name": "B", "lei": "529900T8BM49AURSDO56"}, "lei", "belong '55'"),
        ({"name": "B", "eic": "10YFR-RTE------D"}, "eic", "belongs 'C'"),
        ({"name": "B", "limits": "EUR"}, "limits", "no plain decimal"),
        ({"name": "B", "limits": "EUR=1,5"}, "limits", "a comma is no decimal point"),
        ({"name": "B", "limits": "EUO=1"}, "limits", "currency 'EUO' is not known"),
        ({"name": "B", "limits": "EUR=1 EUR=2"}, "limits", "EUR is named twice"),
        ({"name": "B", "limits": "EUR=-1"}, "limits", "it is no limit"),
        ({"name": "B", "limits": "EUR=0.0000001"}, "limits", "it is no limit"),
        ({"name": "B", "limits": "EUR=1000000000001"}, "limits", "it is no limit"),
        ({"name": "B", "active": "perhaps"}, "active", "it is not known"),
    ],
)
def test_what_does_not_fit_is_named(cells: dict[str, str], column: str, rule: str):
    terms, (fault,) = counterparty_of(cells)
    assert terms is None
    assert fault.column == column
    assert rule in fault.rule


def test_a_name_that_stands_twice_refuses_the_file():
    rows, faults = counterparties_of(read_csv("p.csv", "name\nA\nB\nA\n"))
    assert rows == []
    assert [str(fault) for fault in faults] == ["p.csv:4: name met 'A': row 2 has it already; wanted each once"]
