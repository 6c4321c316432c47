"""Proves that plain data is checked against msgspec types with each fault under its own key, in plain words."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypedDict, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from penstock_sdk.typed import check_typed, closest, format_path, quoted, shown_value

T = TypeVar("T")


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Leaf(Struct):
    mw: Annotated[int, Meta(ge=0)]


class Box(Struct, Generic[T]):
    item: T


class Circle(Struct, tag="circle"):
    radius: int


class Square(Struct, tag="square"):
    side: int


class Options(TypedDict, total=False):
    depth: int


@dataclass
class Pair:
    low: int
    high: int


class Everything(Struct):
    leaf: Leaf | None = None
    leaves: dict[str, list[Leaf]] = {}
    sequence: Sequence[int] = ()
    mapping: Mapping[str, int] = {}
    fixed: tuple[int, str] | None = None
    box: Box[int] | None = None
    shape: Circle | Square | None = None
    options: Options | None = None
    pair: Pair | None = None
    side: Side = Side.BUY
    size: Literal[1, 2] = 1
    zones: Annotated[list[str], Meta(max_length=2)] = []
    code: Annotated[str, Meta(pattern="^[A-Z]+$", examples=["DE"])] = "DE"
    plain_code: Annotated[str, Meta(pattern="^[A-Z]+$")] = "DE"
    renamed: int = msgspec.field(name="re-named", default=0)
    ratio: float = 0.0
    on: bool = False


FAULTS = [
    ({"leaf": {"mw": -1}}, ["leaf.mw: expected int >= 0, met -1"]),
    (
        {"leaves": {"a": [{"mw": 1}, {"mw": "2"}], "b c": [{}]}},
        [
            'leaves.a[1].mw: expected int, met "2"; write it without quotes',
            'leaves."b c"[0].mw: missing; write mw = …',
        ],
    ),
    ({"sequence": [1, 2.0]}, ["sequence[1]: expected int, met 2.0; write 2"]),
    ({"sequence": 3}, ["sequence: expected array, met 3; put it in square brackets"]),
    ({"mapping": {"x": True}}, ["mapping.x: expected int, met true"]),
    ({"fixed": [1, 2]}, ["fixed[1]: expected string, met 2; put it in quotes"]),
    ({"fixed": [1]}, ["fixed: expected array of length 2, met an array of 1"]),
    ({"box": {"item": "x"}}, ['box.item: expected int, met "x"']),
    ({"shape": {"type": "cirle"}}, ['shape.type: not one of the allowed values, met "cirle"']),
    ({"shape": {"type": "circle", "radius": "x"}}, ['shape.radius: expected int, met "x"']),
    ({"options": {"depth": "x"}}, ['options.depth: expected int, met "x"']),
    ({"pair": {"low": 1}}, ["pair: object missing required field high"]),
    ({"side": "sel"}, ['side: expected one of "buy", "sell", met "sel"; did you mean sell?']),
    ({"size": 3}, ["size: expected one of 1, 2, met 3"]),
    ({"zones": ["a", "b", "c"]}, ["zones: expected array of length <= 2, met an array of 3"]),
    ({"code": "de"}, ['code: expected string like "DE", met "de"']),
    ({"plain_code": "de"}, ["plain_code: expected string matching regex '^[A-Z]+$', met \"de\""]),
    ({"renamed": 1}, ["renamed: unknown key; did you mean re-named?"]),
    ({"ratio": "0.5", "on": "true"}, [
        'ratio: expected float, met "0.5"; write it without quotes',
        'on: expected bool, met "true"; write it without quotes',
    ]),
    ({"leaf": 3}, ["leaf: expected table, met 3"]),
    ({"zzz": 1}, None),
]  # fmt: skip


def told(value, type_, **options):
    findings = check_typed(value, type_, **options)
    return [f"{format_path(f.path)}: {f.message}" + (f"; {f.way_out}" if f.way_out else "") for f in findings]


@pytest.mark.parametrize(("value", "wanted"), FAULTS)
def test_a_fault_is_told_under_its_key(value, wanted):
    lines = told(value, Everything)
    if wanted is None:
        assert lines[0].startswith("zzz: unknown key; known here: box, code, ")
    else:
        assert lines == wanted


def test_sound_data_has_no_fault():
    value = {
        "leaf": {"mw": 1},
        "leaves": {"a": [{"mw": 1}]},
        "fixed": [1, "a"],
        "box": {"item": 3},
        "shape": {"type": "square", "side": 2},
        "pair": {"low": 1, "high": 2},
        "re-named": 4,
        "ratio": 3,
    }
    assert told(value, Everything) == []
    msgspec.convert(value, Everything)


class Checked(Struct):
    low: int = 0
    token: str = ""

    def __post_init__(self) -> None:
        if self.low == 1:
            raise ValueError(f"Low must not be 1, token {self.token}")
        if self.low == 3:
            raise ValueError(f"low met 3 with {self.token}, wanted 0")
        if self.low == 4:
            raise ValueError("low and token do not go together")
        if self.low == 2:
            raise KeyError(self.token)


def test_a_types_own_check_is_told_and_redacted():
    def hide(text):
        return text.replace("hush", "${T}")

    assert told({"low": 1, "token": "hush"}, Checked, redact=hide) == [": low must not be 1, token ${T}"]
    hidden = {"low": 3, "token": "hush"}
    assert told(hidden, Checked, redact=hide) == ["low: met 3 with ${T}, wanted 0"]
    assert told({"low": 4}, Checked) == ["low: low and token do not go together"]
    assert told({"low": 2, "token": "hush"}, Checked, redact=hide) == [
        ": its own check raised KeyError: '${T}'; mend the plugin's config type"
    ]


def test_what_is_shown_is_the_text_of_the_file():
    assert told({"low": "hush"}, Checked, shown={"low": "${T}"}) == [
        'low: expected int, met "${T}"; a ${…} reference always gives a string; write the value itself'
    ]


simple = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "buy", "2", "DE"]) | st.floats()
keys = st.sampled_from(["leaf", "leaves", "mw", "fixed", "shape", "type", "side", "box", "item", "options", "x"])
data = st.recursive(simple, lambda d: st.lists(d, max_size=2) | st.dictionaries(keys, d, max_size=3), max_leaves=8)


@given(st.dictionaries(keys | st.sampled_from(list(Everything.__struct_encode_fields__)), data, max_size=3))
def test_no_fault_is_found_exactly_where_msgspec_takes_the_data_and_knows_each_key(value):
    try:
        again = msgspec.to_builtins(msgspec.convert(value, Everything))
    except msgspec.ValidationError:
        again = None
    findings = check_typed(value, Everything)
    if again is None:
        assert findings
    elif findings:
        assert {finding.message for finding in findings} == {"unknown key"}


@given(st.text(st.characters(codec="utf-8")))
def test_a_quoted_string_is_one_printable_line(text):
    assert quoted(text).isprintable()


def test_long_values_are_cut_and_containers_named():
    assert shown_value("x" * 100) == '"' + "x" * 58 + "…"
    assert [shown_value(value) for value in ({}, {"a": 1}, [1, 2], None, 1.5)] == [
        "an empty table",
        "a table",
        "an array of 2",
        "None",
        "1.5",
    ]


def test_the_closest_name_ignores_case_and_dashes():
    assert closest("Half-Spread", ["half_spread", "other"]) == "half_spread"
    assert closest("zzz", ["half_spread"]) is None
