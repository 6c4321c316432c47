"""Proves that plugins are found and read without importing them, and that a bad manifest is refused with its place."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from penstock_sdk.discovery import PluginImportError, discover, load_class, read_path
from penstock_sdk.manifest import (
    KINDS,
    ContractRange,
    ManifestError,
    ManifestSource,
    PluginManifest,
    RestartPolicy,
    config_schema_text,
    contract_major,
    parse_manifest,
)
from penstock_sdk.plugin import KINDS as BASES

CONTRACTS = dict.fromkeys(KINDS, (1,))
GOOD = """
[[plugin]]
id = "demo_maker"
version = "1.2.0"
kind = "strategy"
contract = "strategy/1..1"
class = "PACKAGE.maker:MarketMaker"
topics_in = ["market.*"]
topics_out = ["order.intent"]
capabilities = ["orders.write"]
permissions = ["tcp:443", "secret:TOKEN"]
restart = { max_crashes = 3, window_s = 30 }
"""


def install(folder: Path, name: str, package: str, manifest: str = GOOD, value: str = "") -> Path:
    """Write a distribution as an installer would: a dist-info and a package that says so when it is imported."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    entry_point = f"{name} = {value or f'{package}:plugin.toml'}"
    (info / "entry_points.txt").write_text(f"[penstock.plugins]\n{entry_point}\n")
    root = folder / package
    root.mkdir()
    (root / "__init__.py").write_text("raise RuntimeError('this package must not be imported')\n")
    (root / "plugin.toml").write_text(manifest.replace("PACKAGE", package))
    return root


def faults(text: str, folder: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, ManifestSource("plugin.toml", str(folder), "demo", "1.0"))
    return str(caught.value).splitlines()


def test_an_installed_plugin_is_read_whole_and_never_imported(tmp_path, monkeypatch):
    root = install(tmp_path, "demo-one", "demo_one")
    monkeypatch.syspath_prepend(tmp_path)
    found = discover(CONTRACTS).manifests["demo_maker"]
    assert "demo_one" not in sys.modules
    assert found.source == ManifestSource(str(root / "plugin.toml"), str(root), "demo-one", "1.0", 0)
    assert found.restart == RestartPolicy(max_crashes=3, window_s=30.0)
    assert found.contract_range == ContractRange("strategy", 1, 1)
    assert (found.class_path, found.topics_in, found.topics_out, found.deterministic) == (
        "demo_one.maker:MarketMaker",
        ("market.*",),
        ("order.intent",),
        True,
    )


def test_a_fresh_interpreter_discovers_without_running_the_package(tmp_path):
    install(tmp_path, "demo-two", "demo_two")
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from penstock_sdk.discovery import discover
        from penstock_sdk.manifest import KINDS
        assert "demo_maker" in discover(dict.fromkeys(KINDS, (1,))).manifests
        assert "demo_two" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_editable_install_is_found_through_its_pth_folder(tmp_path):
    """An editable install has its dist-info in site-packages and its package elsewhere on the path."""
    source, site = tmp_path / "source", tmp_path / "site"
    install(source, "demo-editable", "demo_editable")
    site.mkdir()
    (source / "demo_editable-1.0.dist-info").rename(site / "demo_editable-1.0.dist-info")
    found = discover(CONTRACTS, [str(site), str(source)])
    assert found.manifests["demo_maker"].source.file == str(source / "demo_editable" / "plugin.toml")


def test_a_manifest_in_an_inner_package_is_found_without_importing_the_outer_one(tmp_path):
    root = install(tmp_path, "demo-inner", "demo_inner", value="demo_inner.deep:conf/plugin.toml")
    (root / "deep" / "conf").mkdir(parents=True)
    (root / "plugin.toml").rename(root / "deep" / "conf" / "plugin.toml")
    assert list(discover(CONTRACTS, [str(tmp_path)]).manifests) == ["demo_maker"]
    assert "demo_inner" not in sys.modules


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("absent_package:plugin.toml", "package absent_package is not found"),
        ("demo_lost:other.toml", "no other.toml in"),
        ("demo_lost:../plugin.toml", "expected package:file"),
        ("demo_lost", "expected package:file"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_a_problem_and_hides_no_other_plugin(tmp_path, value, said):
    install(tmp_path, "demo-lost", "demo_lost", value=value)
    install(tmp_path, "demo-well", "demo_well")
    found = discover(CONTRACTS, [str(tmp_path)])
    assert [str(problem).startswith("demo-lost: ") and said in str(problem) for problem in found.problems] == [True]
    assert found.manifests["demo_maker"].source.distribution == "demo-well"


def test_an_id_in_two_distributions_is_refused_for_both_and_names_both(tmp_path):
    first, second = (install(tmp_path, f"demo-{n}", f"demo_{n}") for n in ("a", "b"))
    found = discover(CONTRACTS, [str(tmp_path)])
    assert found.manifests == {}
    assert [str(problem) for problem in found.problems] == [
        f'demo-b: {second}/plugin.toml: plugin[0].id: "demo_maker" is claimed by 1.2.0 of demo-a 1.0 '
        f"({first}/plugin.toml) and 1.2.0 of demo-b 1.0 ({second}/plugin.toml); uninstall one of them"
    ]


def test_a_distribution_that_stands_twice_on_the_path_counts_once(tmp_path):
    install(tmp_path / "first", "demo-twice", "demo_twice")
    install(tmp_path / "second", "demo-twice", "demo_twice")
    found = discover(CONTRACTS, [str(tmp_path / "first"), str(tmp_path / "second")])
    assert found.problems == ()
    assert found.manifests["demo_maker"].source.file.startswith(str(tmp_path / "first"))


@pytest.mark.parametrize(
    ("contract", "served", "said"),
    [
        (
            "strategy/2..3",
            (1,),
            "speaks strategy/2..3, this version serves strategy/1..1; install a newer Penstock, or",
        ),
        (
            "strategy/1",
            (2, 3),
            "speaks strategy/1..1, this version serves strategy/2..3; install a newer version of the",
        ),
        ("strategy/1..1", (), "speaks strategy/1..1, this version serves no strategy plugins"),
    ],
)
def test_a_contract_out_of_range_is_refused_naming_both_and_the_way_out(tmp_path, contract, served, said):
    install(tmp_path, "demo-c", "demo_c", GOOD.replace("strategy/1..1", contract))
    found = discover({"strategy": served}, [str(tmp_path)])
    assert found.manifests == {}
    assert [said in str(problem) and problem.id == "demo_maker" for problem in found.problems] == [True]


def test_the_highest_common_contract_major_is_chosen():
    manifest = parse_manifest(GOOD.replace("1..1", "1..3"), ManifestSource("f", "."))[0]
    assert contract_major(manifest, {"strategy": (1, 2)}) == 2
    assert contract_major(manifest, {"strategy": (4,)}) is None
    assert contract_major(manifest, {}) is None


BAD_ENTRIES = {
    "unknown key": ('topics_in = ["market.*"]', "topicsin = []", "topicsin: unknown key; did you mean topics_in?"),
    "missing key": ('version = "1.2.0"', "", "version: missing; write version = …"),
    "kind": ('kind = "strategy"', 'kind = "stratgy"', 'met "stratgy"; did you mean strategy?'),
    "type": ('version = "1.2.0"', "version = 1", "version: expected string, met 1; put it in quotes"),
    "id": ('"demo_maker"', '"Market Maker"', 'id: expected string like "market_maker", met "Market Maker"'),
    "class": (":MarketMaker", ".MarketMaker", 'class: expected string like "your_package.module:YourClass", met'),
    "contract": ("strategy/1..1", "strategy/2..1", 'contract: expected kind/min..max, met "strategy/2..1"'),
    "contract kind": ("strategy/1..1", "risk/1..1", "contract: is of kind risk, but the plugin is of kind strategy"),
    "permission": ("tcp:443", "http:*", "permissions[0]: expected string like"),
    "restart": ("max_crashes = 3", "max_crashes = -3", "restart.max_crashes: expected int >= 0, met -3"),
    "schema": ('version = "1.2.0"', 'version = "1"\nconfig_schema = "x.json"', "x.json: no such file or directory"),
    "schema outside": ('version = "1.2.0"', 'version = "1"\nconfig_schema = "../x"', "expected a path beside the"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_refused_with_distribution_file_entry_and_key(case, tmp_path):
    old, new, said = BAD_ENTRIES[case]
    assert old in GOOD
    lines = faults(GOOD.replace(old, new), tmp_path)
    assert len(lines) == 1
    assert lines[0].startswith("demo: plugin.toml: plugin[0].")
    assert said in lines[0]


def test_all_faults_of_all_entries_are_told_at_once(tmp_path):
    second = GOOD.replace("version", "versoin").replace("strategy/1..1", "x")
    assert [line.split(": ")[2] for line in faults(GOOD + second, tmp_path)] == [
        "plugin[1].versoin",
        "plugin[1].version",
        "plugin[1].id",
        "plugin[1].contract",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugin = 3", "plugin: expected array, met 3"),
        ("plugin = []", "plugin: no plugin is declared; add a [[plugin]] table"),
        ("", "plugin: missing"),
        ("[[plugin", "not TOML: "),
        ("plugin = [3]", "plugin[0]: expected table, met 3"),
    ],
)
def test_a_file_that_holds_no_entries_is_refused(text, said, tmp_path):
    assert said in faults(text, tmp_path)[0]


def test_a_plugin_is_had_by_folder_by_manifest_and_by_py_file(tmp_path):
    root = install(tmp_path, "demo-path", "demo_path")
    other = GOOD.replace("demo_maker", "taker").replace("maker:", "taker:")
    (root / "plugin.toml").write_text((GOOD + other).replace("PACKAGE.", ""))
    (root / "maker.py").write_text("")
    assert [m.id for m in read_path(root, CONTRACTS)] == ["demo_maker", "taker"]
    assert [m.id for m in read_path(root / "plugin.toml", CONTRACTS)] == ["demo_maker", "taker"]
    assert [m.id for m in read_path(root / "maker.py", CONTRACTS)] == ["demo_maker"]


def test_a_path_without_a_fitting_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"plugin\.toml: no such file or directory; give a folder with a plugin"):
        read_path(tmp_path, CONTRACTS)
    with pytest.raises(ManifestError, match=r"absent\.py: no such file; give the plugin's \.py file"):
        read_path(tmp_path / "absent.py", CONTRACTS)
    (tmp_path / "plugin.toml").write_text(GOOD.replace("PACKAGE.", ""))
    (tmp_path / "other.py").write_text("")
    with pytest.raises(ManifestError, match=r"no entry has its class in other\.py, met demo_maker in maker; write"):
        read_path(tmp_path / "other.py", CONTRACTS)
    with pytest.raises(ManifestError, match=r"serves strategy/2\.\.2"):
        read_path(tmp_path, {"strategy": (2,)})


def local_plugin(folder: Path, module: str, code: str) -> PluginManifest:
    folder.mkdir(exist_ok=True)
    (folder / "plugin.toml").write_text(GOOD.replace("PACKAGE.maker", module))
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    return read_path(folder, CONTRACTS)[0]


@pytest.fixture
def _import_state(monkeypatch):
    """Undo what `load_class` does to the interpreter."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("_import_state")
def test_a_class_is_loaded_from_the_folder_of_its_manifest(tmp_path):
    loaded = load_class(local_plugin(tmp_path, "demo_local", "class MarketMaker: lots = 7"))
    assert (loaded.__name__, loaded.lots) == ("MarketMaker", 7)


@pytest.mark.usefixtures("_import_state")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import absent_module_x", r"fails to import: ModuleNotFoundError: No module named .* \(.*demo_bad\.py:1\)$"),
        ("x = 1\nraise SystemExit(3)", r"fails to import: SystemExit: 3 \(.*demo_bad\.py:2\)$"),
        ("def f(:", r"fails to import: SyntaxError: .* \(.*demo_bad\.py:1\)$"),
        ("class MarketMakers: pass", r"has no class MarketMaker; did you mean MarketMakers\?$"),
        ("MarketMaker = 3", r"MarketMaker is a int, wanted a class$"),
    ],
)
def test_a_class_that_cannot_be_had_names_cause_and_line(tmp_path, code, said):
    manifest = local_plugin(tmp_path, "demo_bad", code)
    with pytest.raises(PluginImportError, match=said):
        load_class(manifest)


@pytest.mark.usefixtures("_import_state")
def test_a_module_name_that_is_already_taken_is_refused_naming_both(tmp_path):
    first = local_plugin(tmp_path / "a", "demo_clash", "class MarketMaker: pass")
    second = local_plugin(tmp_path / "b", "demo_clash", "class MarketMaker: pass")
    load_class(first)
    with pytest.raises(PluginImportError, match=r"comes from .*/a/demo_clash\.py, wanted one in .*/b; rename"):
        load_class(second)


def test_a_packaged_config_schema_is_read_and_its_text_is_stable(tmp_path):
    class Config(msgspec.Struct):
        spread_ticks: int = 2

    root = install(tmp_path, "demo-s", "demo_s", GOOD + 'config_schema = "schema.json"\n')
    (root / "schema.json").write_text(config_schema_text(Config))
    schema = discover(CONTRACTS, [str(tmp_path)]).manifests["demo_maker"].config_schema_json()
    assert schema == msgspec.json.schema(Config)
    assert config_schema_text(Config) == json.dumps(schema, indent=2, sort_keys=True) + "\n"


def test_a_manifest_survives_encoding(tmp_path):
    manifest = parse_manifest(GOOD, ManifestSource("plugin.toml", str(tmp_path)))[0]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(manifest), type=PluginManifest) == manifest


def test_every_kind_of_manifest_has_a_base_class_of_that_kind():
    assert set(KINDS) == set(BASES)
