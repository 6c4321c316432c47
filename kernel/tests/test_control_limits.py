"""Limits that are set together are all good or none is taken, and every bad row is named with its place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.control.limits_file import LimitsError, as_argument, rows_of_file, rows_of_words
from penstock_sdk.core.limit_rows import SETTABLE, VALUE_MAX, limit_rows

OWNERS = ["mm_de", "reversion_de"]

good_rows = st.tuples(st.sampled_from(["", *OWNERS]), st.sampled_from(sorted(SETTABLE)), st.integers(0, VALUE_MAX))
odd_values = st.one_of(st.integers(max_value=-1), st.floats(), st.booleans(), st.text(), st.none())
bad_rows = st.one_of(
    st.tuples(st.just("nobody"), st.sampled_from(sorted(SETTABLE)), st.just(1)),
    st.tuples(st.just(""), st.sampled_from(["kill", "pause", "unknown", "qty"]), st.just(1)),
    st.tuples(st.just(""), st.just("qty_max_lots"), odd_values),
    st.lists(st.integers(), max_size=4),
    st.integers(),
    st.text(),
)


@given(st.lists(good_rows, min_size=1, unique_by=lambda row: row[:2]))
def test_good_rows_are_taken_as_they_are(rows: list[tuple[str, str, int]]):
    taken, faults = limit_rows(as_argument(rows), OWNERS)
    assert faults == []
    assert [(owner, kind.name.lower(), value) for owner, kind, value in taken] == rows


@given(st.lists(good_rows, unique_by=lambda row: row[:2]), st.lists(bad_rows, min_size=1, max_size=4), st.randoms())
def test_one_bad_row_refuses_all_and_every_bad_one_is_named(good, bad, random):
    rows = [*good, *bad]
    random.shuffle(rows)
    taken, faults = limit_rows(msgspec.json.encode(rows).decode(), OWNERS)
    assert taken == []
    named = [fault.split(":")[0] for fault in faults]
    assert named == [f"row {at}" for at, row in enumerate(rows, 1) if row in bad]


def test_a_limit_named_twice_is_refused_where_nothing_says_which_comes_last():
    taken, faults = limit_rows('[["", "qty_max_lots", 1], ["", "qty_max_lots", 2]]', OWNERS)
    assert (taken, faults) == ([], ["row 2: qty_max_lots: named twice"])


@pytest.mark.parametrize("argument", ["", "{}", "[]", "nonsense", '"x"'])
def test_an_argument_that_holds_no_rows_is_refused(argument: str):
    taken, faults = limit_rows(argument, OWNERS)
    assert taken == []
    assert len(faults) == 1


def test_words_name_a_strategy_or_everyone():
    rows = rows_of_words(["mm_de.position_max_lots=1_000", "qty_max_lots = 5"], OWNERS)
    assert rows == [("mm_de", "position_max_lots", 1000), ("", "qty_max_lots", 5)]


def test_every_bad_word_is_named():
    words = ["mm_de.position=1", "qty_max_lots", "nobody.qty_max_lots=1", "qty_max_lots=-1", "kill=1", "qty_max_lots=7"]
    with pytest.raises(LimitsError) as raised:
        rows_of_words(words, OWNERS)
    named = [fault.split(":")[0] for fault in raised.value.faults]
    assert named == [f"--set {word}" for word in words[:-1]]
    assert str(raised.value).endswith("no limit was set: one bad row refuses them all")


FILE = """\
[limits]
qty_max_lots = 50
[plugins.mm_de.limits]
position_max_lots = 100
"""


def test_a_file_has_the_form_of_a_deployment(tmp_path: Path):
    path = tmp_path / "limits.toml"
    path.write_text(FILE)
    assert rows_of_file(path, OWNERS) == [("", "qty_max_lots", 50), ("mm_de", "position_max_lots", 100)]


def test_every_bad_row_of_a_file_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "limits.toml"
    path.write_text(
        FILE + 'orders_per_second_max = "many"\nkill = 1\n\n[plugins.gone.limits]\nqty_max_lots = 1\n'
        "[plugins.mm_de]\nuse = 'x'\n[run]\nseed = 1\n"
    )
    with pytest.raises(LimitsError) as raised:
        rows_of_file(path, OWNERS)
    assert [fault.removeprefix(f"{path}:").split(":")[0] for fault in raised.value.faults] == [
        "5",
        "6",
        "9",
        "11",
        "12",
    ]
    assert "met 'many', wanted a whole number from 0" in raised.value.faults[0]


@pytest.mark.parametrize("text", ["", "limits = 3", "not toml at all", "[plugins]\nmm_de = 3\n"])
def test_a_file_without_limits_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(LimitsError, match="limits.toml"):
        rows_of_file(path, OWNERS)
