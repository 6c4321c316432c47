"""Proves that a deployment with any one key changed is either valid or told at the line of that key."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.deployment import check, load_deployment
from penstock_kernel.market_check import check_deployment
from penstock_kernel.problems import DeploymentError
from penstock_kernel.toml_lines import toml_lines
from penstock_kernel.toml_text import toml_text

MANIFEST = """
[[plugin]]
id = "exchange"
version = "1.0"
kind = "venue"
contract = "venue/1..1"
class = "demo_mutations:Exchange"
"""
CODE = """
from msgspec import Struct

class Exchange:
    kind = "venue"
    class Config(Struct):
        depth: int = 3
        zones: list[str] = []
        name: str = ""
"""
VALID = {
    "run": {
        "seed": 1,
        "clock": "sim",
        "delivery_day": "2026-03-10",
        "zone": "DE-LU",
        "start": "2026-03-10T01:00",
        "end": "2026-03-10T22:00",
        "runs_dir": "runs",
        "max_events_per_input": 10,
    },
    "topics": {"market.*": {"durability": "written", "limit": 65536}},
    "limits": {"position_mw_max": 20, "kill": False},
    "plugins": {
        "exchange": {
            "use": "exchange",
            "run": "inprocess",
            "enabled": True,
            "seed": 7,
            "limits": {"rate_max": 5},
            "config": {"depth": 4, "zones": ["DE", "AT"], "name": "${NAME}"},
        }
    },
}
SECRET = "QZXJ-QZXJ"
OTHER_VALUES = [0, -1, 3, 2**70, 1.5, float("nan"), True, False, "", "sim", "3", "${GONE}", "${", [], [1], {}, {"x": 1}]


def paths_in(tree, path=()):
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from paths_in(value, (*path, key))


def parent(tree, path):
    for key in path[:-1]:
        tree = tree[key]
    return tree


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutations")
    info = folder / "demo_mutations-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-mutations\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.plugins]\ndemo = demo_mutations:plugin.toml\n")
    (folder / "demo_mutations").mkdir()
    (folder / "demo_mutations" / "__init__.py").write_text(CODE)
    (folder / "demo_mutations" / "plugin.toml").write_text(MANIFEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


def problems_of(tree, site):
    text = toml_text(tree)
    assert tomllib.loads(text).keys() == tree.keys()
    file = site / "plugins.toml"
    file.write_text(text)
    found = check(file, {"NAME": SECRET}, search_path=[str(site)])
    _, everything = check_deployment(file, {"NAME": SECRET}, search_path=[str(site)])
    assert set(found) <= set(everything)
    assert len(set(everything)) == len(everything)
    assert not any(SECRET in str(problem) for problem in everything)
    try:
        load_deployment(file, {"NAME": SECRET}, search_path=[str(site)])
        loaded = True
    except DeploymentError:
        loaded = False
    return text, found, loaded


def copy(value):
    return {key: copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_the_file_that_is_changed_is_valid_to_begin_with(site):
    assert problems_of(VALID, site)[1:] == ([], True)


@given(st.sampled_from(list(paths_in(VALID))), st.sampled_from(OTHER_VALUES))
def test_a_changed_value_is_valid_or_told_at_its_line(site, path, value):
    tree = copy(VALID)
    parent(tree, path)[path[-1]] = value
    text, found, loaded = problems_of(tree, site)
    lines = toml_lines(text)
    # What is told lies at the changed key or in what it holds; an empty table cuts to the table around it.
    allowed = {line for other, line in lines.items() if other[: len(path)] == path}
    if path[:2] == ("run", "start"):
        allowed.add(lines["run", "end"])  # an end before the new start is told at the end
    errors = [problem for problem in found if problem.severity == "error"]
    assert all(problem.line in allowed for problem in errors), (text, found)
    assert loaded or errors
    assert not any(SECRET in str(problem) for problem in found)


@given(st.sampled_from(list(paths_in(VALID))), st.text("abcxyz_", min_size=1, max_size=9))
def test_a_renamed_key_is_valid_or_told_at_its_line(site, path, name):
    tree = copy(VALID)
    table = parent(tree, path)
    items = [(name if key == path[-1] else key, value) for key, value in table.items() if key != name]
    table.clear()
    table.update(items)
    if name not in table:
        return
    text, found, _ = problems_of(tree, site)
    lines = toml_lines(text)
    renamed, around = (*path[:-1], name), path[:-1]
    # A required key that went missing is told at the table around it.
    allowed = {line for other, line in lines.items() if other[: len(renamed)] == renamed} | {lines.get(around, 1)}
    errors = [problem for problem in found if problem.severity == "error"]
    assert all(problem.line in allowed for problem in errors), (text, found)
    free_names = (("limits",), ("topics",), ("plugins",), ("plugins", "exchange", "limits"))
    if around not in free_names:
        assert any(problem.message == "unknown key" and problem.line == lines[renamed] for problem in errors)
