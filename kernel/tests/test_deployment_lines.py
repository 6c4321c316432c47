"""Proves that every key of a TOML text is found on its own line, and that written TOML reads back equal."""

import tomllib
from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_kernel.toml_text import toml_text

TEXT = '''# a comment with [brackets] = and "quotes"
title = "one # no comment"        # 2
[run]                             # 3
seed = 1
"quoted key" = 5
dotted.inner.leaf = 6
long = """
[not.a.table]
fake = 1 \\""" still inside
"""                               # 10
literal = \'\'\'
x = '' ]\'\'\'\'\'                       # 12
levels = [                        # 13
    1, # a ] in a comment
    [2, "]"],
    { price = 3, qty = { mw = 4 } },  # 16
]
at = 2026-03-10 07:32:00          # 18
[[plugin]]                        # 19
id = "a"
[plugin.restart]                  # 21
window_s = 3
[[plugin]]                        # 23
id = "b"
[plugin.restart]                  # 25
[topics."market.*"]               # 26
limit = 1
[deep.below]                      # 28
[deep]                            # 29
empty = ""
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("run",), 3),
        (("run", "seed"), 4),
        (("run", "quoted key"), 5),
        (("run", "dotted", "inner"), 6),
        (("run", "dotted", "inner", "leaf"), 6),
        (("run", "long"), 7),
        (("run", "literal"), 11),
        (("run", "levels"), 13),
        (("run", "levels", 0), 14),
        (("run", "levels", 1, 1), 15),
        (("run", "levels", 2, "price"), 16),
        (("run", "levels", 2, "qty", "mw"), 16),
        (("run", "at"), 18),
        (("plugin",), 19),
        (("plugin", 0, "id"), 20),
        (("plugin", 0, "restart"), 21),
        (("plugin", 0, "restart", "window_s"), 22),
        (("plugin", 1), 23),
        (("plugin", 1, "id"), 24),
        (("plugin", 1, "restart"), 25),
        (("topics", "market.*"), 26),
        (("deep", "below"), 28),
        (("deep",), 29),
        (("deep", "empty"), 30),
    ],
)
def test_each_form_of_key_is_found_on_its_line(path, line):
    assert toml_lines(TEXT)[path] == line


def test_exactly_the_keys_that_tomllib_reads_are_found():
    assert set(toml_lines(TEXT)) == set(paths_in(tomllib.loads(TEXT), ()))


def test_a_key_that_is_absent_has_the_line_of_the_table_around_it():
    lines = toml_lines(TEXT)
    assert line_of(lines, ("plugin", 1, "restart", "absent")) == 25
    assert line_of(lines, ("absent",)) == 1


@pytest.mark.parametrize("string", ['""', "''", '""""""', "''''''", '""""a"""', '"""a"""""', "''''a'''", "'''a'''''"])
def test_quotes_at_the_edge_of_a_string_do_not_hide_the_next_key(string):
    text = f"a = {string}\nb = 2\n"
    assert set(tomllib.loads(text)) == {"a", "b"}
    assert toml_lines(text) == {("a",): 1, ("b",): 2}


def paths_in(value, path):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*path, key))


strings = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.one_of(
    strings,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.times(),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3), max_leaves=12
)
trees = st.dictionaries(strings, values, max_size=5)


@given(trees)
def test_written_toml_reads_back_equal_in_the_same_order(tree):
    again = tomllib.loads(toml_text(tree))
    assert again == tree
    assert all(type(again[key]) is type(tree[key]) for key in tree)


@given(trees)
def test_the_keys_found_in_any_written_tree_are_the_keys_in_it(tree):
    text = toml_text(tree)
    lines = toml_lines(text)
    assert set(lines) == set(paths_in(tomllib.loads(text), ()))
    for key, value in tree.items():
        if not isinstance(value, dict):
            alone = tomllib.loads(text.split("\n")[lines[key,] - 1])
            assert list(alone) == [key]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["1", '"a"', '"""\na\n"""', "[\n1,\n]", "'''\n'''"]))))
def test_blank_lines_comments_and_long_values_move_the_lines_after_them(parts):
    text, wanted, line = "", {}, 1
    for at, (blanks, value) in enumerate(parts):
        text += "# no = 1 [x]\n" * blanks
        line += blanks
        wanted[f"key_{at}"] = line
        text += f"key_{at} = {value}\n"
        line += value.count("\n") + 1
    found = {path[0]: line for path, line in toml_lines(text).items() if len(path) == 1}
    assert found == wanted


def test_what_toml_has_no_form_for_is_refused():
    with pytest.raises(TypeError, match="^TOML has no form for NoneType, met None"):
        toml_text({"a": [None]})
    assert toml_text({"a": float("inf"), "b": time(1, 2)}) == "a = inf\nb = 01:02:00\n"
