"""Proves the rules of includes and references: who wins, which line is told, cycles named, secrets kept out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.deployment_files import read_files, resolve_references


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(**texts: str) -> None:
    """Write one file per keyword; `sub__x` means sub/x.toml."""
    for name, text in texts.items():
        path = Path(name.replace("__", "/") + ".toml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def read(env: dict[str, str] | None = None):
    files, problems = read_files("main.toml", env or {})
    return files, [str(problem) for problem in problems]


def test_the_including_file_wins_and_of_two_included_the_later():
    write(
        main='include = ["a.toml", "b.toml"]\n[run]\nseed = 3\n',
        a='[run]\nseed = 1\nzone = "A"\nclock = "sim"\n[limits]\nx = [1, 2]\n',
        b='[run]\nseed = 2\nzone = "B"\n[limits]\nx = [3]\n',
    )
    files, problems = read()
    assert problems == []
    assert files.tree == {"run": {"seed": 3, "zone": "B", "clock": "sim"}, "limits": {"x": [3]}}
    assert files.place(("run", "seed")) == ("main.toml", 3)
    assert files.place(("run", "zone")) == ("b.toml", 3)
    assert files.place(("run", "clock")) == ("a.toml", 4)
    assert files.place(("limits", "x", 0)) == ("b.toml", 5)
    assert ("limits", "x", 1) not in files.places
    assert [source.file for source in files.sources] == ["main.toml", "a.toml", "b.toml"]


def test_an_included_file_may_include_relative_to_its_own_folder_and_is_read_once():
    write(
        main='include = ["sub/a.toml", "sub/b.toml"]\n',
        sub__a='include = ["b.toml"]\n[run]\nseed = 1\n[plugins.x]\npath = "mine"\n',
        sub__b='[run]\nseed = 2\nzone = "B"\n[plugins.y]\npath = "/abs"\n[plugins.z]\npath = "${HOME}/p"\n',
    )
    files, problems = read()
    assert problems == []
    assert files.tree["run"] == {"seed": 1, "zone": "B"}
    assert [table["path"] for table in files.tree["plugins"].values()] == ["/abs", "${HOME}/p", "sub/mine"]
    assert files.place(("run", "zone")) == ("sub/b.toml", 3)


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (
            {"main": 'include = ["main.toml"]\n'},
            [
                "main.toml:1: include: main.toml: include cycle: main.toml includes main.toml; "
                "remove one of these includes"
            ],
        ),
        (
            {
                "main": 'x = 1\ninclude = [\n"a.toml",\n]\n',
                "a": 'include = ["b.toml"]\n',
                "b": '\ninclude = ["a.toml"]\n',
            },
            [
                "b.toml:2: include: a.toml: include cycle: a.toml includes b.toml includes a.toml; "
                "remove one of these includes"
            ],
        ),
        (
            {"main": 'include = [\n"a.toml",\n"b.toml"]\n', "a": ""},
            ["main.toml:3: include: b.toml: no such file or directory; name a readable file"],
        ),
        (
            {"main": 'include = "a.toml"\n'},
            ['main.toml:1: include: expected array, met "a.toml"; put it in square brackets'],
        ),
        (
            {"main": 'include = ["a.toml"]\n', "a": "[run]\nseed = = 1\n"},
            ["a.toml:2: not TOML: invalid value at column 8; put text in quotes"],
        ),
        (
            {"main": 'include = ["a.toml"]\nrun = 3\n', "a": "[run]\nseed = 1\n"},
            ["main.toml:2: run: is a plain value here and a table at a.toml:1; rename one of them"],
        ),
        (
            {"main": 'include = ["${DIR}/a.toml"]\n'},
            [
                "main.toml:1: include[0]: environment variable DIR is not set; "
                "set DIR in the environment or write ${DIR:-default}"
            ],
        ),
    ],
)
def test_a_bad_include_is_told_at_the_line_that_names_it(texts, wanted):
    write(**texts)
    assert read()[1] == wanted


def test_a_cycle_through_another_spelling_of_the_name_is_still_one():
    write(main='include = ["sub/a.toml"]\n', sub__a='include = ["../main.toml"]\n')
    assert "include cycle: main.toml includes sub/a.toml includes sub/../main.toml" in read()[1][0]


def test_more_files_than_the_limit_are_refused():
    names = [f"f{at}" for at in range(64)]
    write(main=f"include = [{', '.join(f'{name + chr(46)}toml'.join(chr(34) * 2) for name in names)}]\n")
    write(**dict.fromkeys(names, ""))
    assert read()[1] == ["main.toml:1: include: f63.toml: more than 64 files; include fewer files"]


def test_references_take_the_variable_the_default_or_stay_plain():
    tree = {"a": ["${X}", "u:${X}@${Y:-host}", "${Z:-}", "${X:-no}", "$${X} $X"], "b": 3}
    resolved = resolve_references(tree, {"X": "one", "Z": ""})
    assert resolved.tree == {"a": ["one", "u:one@host", "", "one", "${X} $X"], "b": 3}
    assert resolved.faults == ()
    assert resolved.secrets == {"one": "${X}"}
    assert tree["a"][0] == "${X}"


def test_an_empty_variable_is_a_value_where_no_default_is_given():
    assert resolve_references("${X}", {"X": ""}).tree == ""
    assert resolve_references("${X:-d}", {"X": ""}).tree == "d"


def test_a_faulty_reference_is_told_by_path_and_stays_as_written():
    resolved = resolve_references({"a": [{"b": "x ${GONE} ${"}]}, {})
    assert resolved.tree == {"a": [{"b": "x ${GONE} ${"}]}
    assert [(path, message) for path, message, _ in resolved.faults] == [
        (("a", 0, "b"), "environment variable GONE is not set"),
        (("a", 0, "b"), "malformed reference ${"),
    ]


def test_a_value_from_the_environment_is_not_expanded_again():
    assert resolve_references("${A}", {"A": "${B}", "B": "no"}).tree == "${B}"


@given(st.lists(st.text(alphabet="QZXJ\\\"'\n\x01é", min_size=4, max_size=9), min_size=1, max_size=3), st.text("abc :"))
def test_redacted_text_holds_no_secret_in_any_form(values, words):
    env = {f"V{at}": value for at, value in enumerate(values)}
    resolved = resolve_references([f"${{{name}}}" for name in env], env)
    text = words.join([*resolved.tree, *map(repr, resolved.tree), str(resolved.tree)])
    redacted = resolved.redact(text)
    assert not any(value in redacted or repr(value)[1:-1] in redacted for value in values)
