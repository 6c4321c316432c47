"""Proves that each fault of a plugins.toml is told with file, line, path and way out, and all faults at once."""

import sys
from pathlib import Path

import msgspec
import pytest

from penstock_kernel.deployment import (
    Deployment,
    DeploymentError,
    Problem,
    RunSettings,
    build_config,
    check,
    format_problems,
    load_deployment,
)

MANIFEST = """
[[plugin]]
id = "exchange"
version = "1.0"
kind = "venue"
contract = "venue/1..1"
class = "PACKAGE.venue:Exchange"
[[plugin]]
id = "market_maker"
version = "2.0"
kind = "strategy"
contract = "strategy/1..1"
class = "PACKAGE.maker:MarketMaker"
[[plugin]]
id = "broken"
version = "1.0"
kind = "model"
contract = "model/1..1"
class = "PACKAGE.broken:Broken"
"""
VENUE = """
class Exchange:
    kind = "venue"
"""
MAKER = """
from typing import Annotated, Literal
from msgspec import Meta, Struct

class Level(Struct):
    price_ticks: int
    qty_mw: Annotated[float, Meta(gt=0)] = 1.0

class MarketMakerConfig(Struct):
    half_spread_ticks: int = 2
    side: Literal["buy", "sell", "both"] = "both"
    levels: list[Level] = []
    token: str = ""
    by_zone: dict[str, Level] = {}
    def __post_init__(self):
        if self.token.startswith("bad"):
            raise ValueError(f"token {self.token} is refused")

class MarketMaker:
    kind = "strategy"
    deterministic = True
    Config = MarketMakerConfig
    class Limits(Struct):
        position_mw_max: int = 5
"""
HEAD = '[plugins.exchange]\nuse = "exchange"\n'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder with one installed distribution, first on the path; the working folder is an empty one beside it."""
    folder, package = tmp_path / "site", "demo_deployment"
    (folder / package).mkdir(parents=True)
    info = folder / "demo_deployment-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-deployment\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[penstock.plugins]\ndemo = {package}:plugin.toml\n")
    files = {"__init__": "", "venue": VENUE, "maker": MAKER, "broken": "import absent_module_y\n"}
    for name, text in files.items():
        (folder / package / f"{name}.py").write_text(text)
    (folder / package / "plugin.toml").write_text(MANIFEST.replace("PACKAGE", package))
    monkeypatch.syspath_prepend(folder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def told(text: str, site: Path, env: dict[str, str] | None = None) -> list[str]:
    """Return the problems of a plugins.toml that holds *text*, one line each."""
    Path("plugins.toml").write_text(text)
    return [str(problem) for problem in check("plugins.toml", env or {}, search_path=[str(site)])]


BAD_FILES = {
    "a number in quotes": (
        HEAD + '[plugins.mm_de]\nuse = "market_maker"\n[plugins.mm_de.config]\nhalf_spread_ticks = "3"\n',
        ['plugins.toml:6: plugins.mm_de.config.half_spread_ticks: expected int, met "3"; write it without quotes'],
    ),
    "a typo in a table": (
        HEAD + "[rum]\nseed = 1\n",
        ["plugins.toml:3: rum: unknown key; did you mean run?"],
    ),
    "a typo in a key of run": (
        "[run]\nsede = 1\n" + HEAD,
        ["plugins.toml:2: run.sede: unknown key; did you mean seed?"],
    ),
    "a typo in a config key": (
        HEAD + '[plugins.mm]\nuse = "market_maker"\nconfig.half_spred_ticks = 3\n',
        ["plugins.toml:5: plugins.mm.config.half_spred_ticks: unknown key; did you mean half_spread_ticks?"],
    ),
    "a config for a plugin that takes none": (
        HEAD + "[plugins.exchange.config]\nx = 1\n",
        ["plugins.toml:4: plugins.exchange.config.x: plugin exchange takes no config; remove it"],
    ),
    "a choice": (
        '[run]\nclock = "simm"\n' + HEAD,
        ['plugins.toml:2: run.clock: expected one of "sim", "wall", met "simm"; did you mean sim?'],
    ),
    "values out of range": (
        '[run]\nseed = -1\nmax_events_per_input = 0\n[topics."market.*"]\nlimit = 0\n' + HEAD + "seed = -7\n",
        [
            "plugins.toml:2: run.seed: expected int >= 0, met -1",
            "plugins.toml:3: run.max_events_per_input: expected int >= 1, met 0",
            'plugins.toml:5: topics."market.*".limit: expected int >= 1, met 0',
            "plugins.toml:8: plugins.exchange.seed: expected int >= 0, met -7",
        ],
    ),
    "a day and times": (
        '[run]\ndelivery_day = "2026-02-30"\nstart = "06:00"\nend = 2026-03-10\n' + HEAD,
        [
            'plugins.toml:2: run.delivery_day: expected a date like "2026-03-10" or "today", met "2026-02-30"',
            'plugins.toml:3: run.start: expected a time like "2026-03-10T06:00:00", met "06:00"; '
            'write date and time, local to the zone, or with an offset, as "2026-03-10T06:00:00+01:00"',
            'plugins.toml:4: run.end: expected a time like "2026-03-10T06:00:00", met 2026-03-10; '
            'write date and time, local to the zone, or with an offset, as "2026-03-10T06:00:00+01:00"',
        ],
    ),
    "an end before the start": (
        '[run]\nstart = "2026-03-10T06:00"\nend = 2026-03-10T05:00:00\n' + HEAD,
        ["plugins.toml:3: run.end: 2026-03-10 05:00:00 is not after start 2026-03-10 06:00:00; swap them"],
    ),
    "an end with an offset before a start with one": (
        '[run]\nstart = 2026-03-10T06:00:00+01:00\nend = "2026-03-10T06:30:00+02:00"\n' + HEAD,
        ["plugins.toml:3: run.end: 2026-03-10 06:30:00+02:00 is not after start 2026-03-10 06:00:00+01:00; swap them"],
    ),
    "an unknown plugin id": (
        HEAD + '[plugins.mm]\nuse = "market_makr"\n',
        [
            'plugins.toml:4: plugins.mm.use: unknown plugin id "market_makr"; '
            "did you mean market_maker? known: broken, exchange, market_maker"
        ],
    ),
    "a missing use": (
        HEAD + "[plugins.mm]\nseed = 4\n",
        ["plugins.toml:3: plugins.mm.use: missing; write use = …"],
    ),
    "a mode that there is not": (
        HEAD + 'run = "thread"\n',
        ['plugins.toml:3: plugins.exchange.run: expected one of "inprocess", "process", "remote", met "thread"'],
    ),
    "a process's key inside": (
        HEAD + "answer_s = 3.0\n",
        [
            'plugins.toml:3: plugins.exchange.answer_s: answer_s is for plugins out of process, and run is "inprocess"'
            '; write run = "process", or remove it'
        ],
    ),
    "a plugin elsewhere without an address": (
        HEAD + 'run = "remote"\n',
        ['plugins.toml:3: plugins.exchange.run: run is "remote", and no address is given; address = "HOST:PORT"'],
    ),
    "an address of a plugin that is started here": (
        HEAD + 'run = "process"\naddress = "a:1"\n',
        [
            'plugins.toml:4: plugins.exchange.address: address is for plugins that run elsewhere, and run is "process"'
            '; write run = "remote", or remove it'
        ],
    ),
    "an interpreter of a plugin elsewhere": (
        HEAD + 'run = "remote"\naddress = "a:1"\npython = "/p"\n',
        ['plugins.toml:5: plugins.exchange.python: python is for plugins started here, and run is "remote"; remove it'],
    ),
    "an instance name": (
        HEAD + '["plugins"."a b"]\nuse = "exchange"\n',
        ['plugins.toml:3: plugins."a b": expected a name of letters, digits, _ and -; rename it'],
    ),
    "a plugin that is no table": (
        HEAD + "[plugins]\nmm = 3\n",
        ["plugins.toml:4: plugins.mm: expected table, met 3"],
    ),
    "a variable that is not set": (
        HEAD + '[plugins.mm]\nuse = "market_maker"\nconfig = { token = "${TOKEN}" }\n',
        [
            "plugins.toml:5: plugins.mm.config.token: environment variable TOKEN is not set; "
            "set TOKEN in the environment or write ${TOKEN:-default}"
        ],
    ),
    "a malformed reference": (
        HEAD + '[plugins.mm]\nuse = "market_maker"\nconfig = { token = "${1X}" }\n',
        [
            "plugins.toml:5: plugins.mm.config.token: malformed reference ${1X}; "
            "write ${NAME}, ${NAME:-default}, or $${ for a plain ${"
        ],
    ),
    "nested config": (
        HEAD + '[plugins.mm]\nuse = "market_maker"\n[plugins.mm.config]\nside = "by"\nlevels = [\n'
        '  { price_ticks = 1 },\n  { price_ticks = "x", qty = 3 },\n  { qty_mw = 0 },\n]\n'
        "[plugins.mm.config.by_zone.DE]\nprice_ticks = 1.5\n",
        [
            'plugins.toml:6: plugins.mm.config.side: expected one of "buy", "sell", "both", met "by"; '
            "did you mean buy?",
            'plugins.toml:9: plugins.mm.config.levels[1].price_ticks: expected int, met "x"',
            "plugins.toml:9: plugins.mm.config.levels[1].qty: unknown key; did you mean qty_mw?",
            "plugins.toml:10: plugins.mm.config.levels[2].qty_mw: expected float > 0.0, met 0",
            "plugins.toml:10: plugins.mm.config.levels[2].price_ticks: missing; write price_ticks = …",
            "plugins.toml:13: plugins.mm.config.by_zone.DE.price_ticks: expected int, met 1.5",
        ],
    ),
    "limits": (
        "[limits]\nposition_mw_max = nan\nrate_max = -1\nprice_ticks_min = -9\nprice_ticks_max = -1\nkill = false\n"
        'day = "x"\n' + HEAD,
        [
            "plugins.toml:2: limits.position_mw_max: expected a finite number, met nan; leave it out for none",
            "plugins.toml:3: limits.rate_max: expected a number >= 0, met -1",
            'plugins.toml:7: limits.day: expected bool | int | float, met "x"',
        ],
    ),
    "limits of a plugin with its own type": (
        HEAD + '[plugins.mm]\nuse = "market_maker"\n[plugins.mm.limits]\nposition_max = 3\n',
        ["plugins.toml:6: plugins.mm.limits.position_max: unknown key; did you mean position_mw_max?"],
    ),
    "a value that is no TOML": (
        HEAD + "enabled = yes\n",
        ["plugins.toml:3: not TOML: invalid value at column 11; put text in quotes"],
    ),
    "a key twice": (
        HEAD + 'use = "exchange"\n',
        ["plugins.toml:3: not TOML: cannot overwrite a value at column 17; write each key once"],
    ),
    "an array left open": (
        HEAD + "x = [1,\n\n",
        ["plugins.toml:3: not TOML: invalid value at the end of the file; put text in quotes"],
    ),
    "no venue": (
        '[plugins.mm]\nuse = "market_maker"\n',
        ['plugins.toml:1: warning: plugins: no venue is enabled, so no order can trade; use = "exchange"'],
    ),
    "nothing at all": (
        "",
        ['plugins.toml:1: warning: plugins: no venue is enabled, so no order can trade; use = "exchange"'],
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_told_with_line_path_and_way_out(case, site):
    text, wanted = BAD_FILES[case]
    assert told(text, site) == wanted


def test_a_sound_file_has_no_problem(site):
    text = HEAD + '[plugins.mm]\nuse = "market_maker"\n[plugins.mm.config]\nlevels = [{ price_ticks = 1 }]\n'
    assert told(text, site) == []


def test_a_class_that_fails_to_import_is_told_with_its_own_file_and_line(site):
    lines = told(HEAD + '[plugins.b]\nuse = "broken"\n', site)
    assert lines == [
        "plugins.toml:4: plugins.b.use: demo_deployment.broken:Broken fails to import: ModuleNotFoundError: "
        f"No module named 'absent_module_y' ({site}/demo_deployment/broken.py:1)"
    ]


def test_a_broken_class_does_not_stop_the_load_that_does_not_import(site):
    Path("plugins.toml").write_text(HEAD + '[plugins.b]\nuse = "broken"\n')
    assert [spec.name for spec in load_deployment("plugins.toml", {}, search_path=[str(site)]).plugins] == [
        "exchange",
        "b",
    ]
    assert not any(name.startswith("demo_deployment") for name in sys.modules)


def test_a_class_that_contradicts_its_manifest_is_told(site):
    (site / "demo_deployment" / "venue.py").write_text(VENUE.replace('"venue"', '"feed"'))
    assert told(HEAD, site) == [
        'plugins.toml:2: plugins.exchange.use: demo_deployment.venue:Exchange has kind "feed", its manifest "venue"; '
        f"mend {site}/demo_deployment/plugin.toml"
    ]


def test_a_config_that_is_no_struct_is_the_plugin_authors_fault_and_told(site):
    (site / "demo_deployment" / "venue.py").write_text(VENUE + "    Config = dict\n")
    assert told(HEAD, site) == [
        "plugins.toml:2: plugins.exchange.use: Config of demo_deployment.venue:Exchange is \"<class 'dict'>\", "
        "wanted a msgspec Struct class"
    ]


def test_a_disabled_plugin_is_skipped_with_its_faults(site):
    text = HEAD + '[plugins.x]\nenabled = false\nuse = "absent"\nrun = "remote"\nconfig.token = "${ABSENT}"\n'
    assert told(text, site) == []
    assert [spec.name for spec in load_deployment("plugins.toml", {}, search_path=[str(site)]).plugins] == ["exchange"]


def test_the_fault_of_an_installed_manifest_is_an_error_only_for_who_uses_it(site):
    manifest = site / "demo_deployment" / "plugin.toml"
    manifest.write_text(manifest.read_text().replace("model/1..1", "model/2..2"))
    fault = (
        "demo-deployment: broken speaks model/2..2, this version serves model/1..1; "
        "install a newer Penstock, or an older version of the plugin"
    )
    at = f"{manifest}:18: "
    assert told(HEAD, site) == [f"{at}warning: plugin[2].contract: {fault}"]
    assert load_deployment("plugins.toml", {}, search_path=[str(site)]).warnings[0].severity == "warning"
    assert told(HEAD + '[plugins.b]\nuse = "broken"\n', site) == [f"{at}plugin[2].contract: {fault}"]


def test_a_manifest_that_cannot_be_read_is_told_beside_the_id_it_hides(site):
    (site / "demo_deployment" / "plugin.toml").write_text("[[plugin")
    lines = told(HEAD, site)
    assert lines[0].startswith("plugins.toml:1: plugins: demo-deployment: ")
    assert "not TOML" in lines[0]
    assert (
        lines[-1] == 'plugins.toml:2: plugins.exchange.use: unknown plugin id "exchange"; known: no plugin is installed'
    )


def test_a_plugin_by_path_is_read_beside_the_deployment_and_wins_over_an_installed_id(site):
    Path("mine").mkdir()
    Path("mine/plugin.toml").write_text(
        MANIFEST.replace("PACKAGE.venue", "my_venue").replace("1.0", "9.0").split('[[plugin]]\nid = "market')[0]
    )
    Path("mine/my_venue.py").write_text(VENUE)
    assert told(HEAD + 'path = "mine"\n', site) == []
    deployment = load_deployment("plugins.toml", {}, search_path=[str(site)])
    assert deployment.plugin("exchange").manifest.version == "9.0"
    assert f'path = "{Path("mine").resolve()}"' in deployment.as_run_toml()


def test_the_faults_of_a_path_are_told_where_they_are(site):
    Path("mine").mkdir()
    assert told(HEAD + 'path = "mine"\n', site)[0] == (
        "plugins.toml:3: plugins.exchange.path: mine/plugin.toml: no such file or directory; "
        "give a folder with a plugin.toml"
    )
    Path("mine/plugin.toml").write_text(MANIFEST.replace('kind = "model"', 'kind = "modell"'))
    assert told(HEAD + 'path = "mine"\n', site)[0].startswith(
        'mine/plugin.toml:17: plugin[2].kind: expected one of "venue"'
    )
    Path("mine/plugin.toml").write_text(MANIFEST)
    assert told('[plugins.e]\nuse = "exchang"\npath = "mine"\n', site)[0].endswith(
        "did you mean exchange? known: broken, exchange, market_maker"
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "plugins.toml: no such file or directory; name a readable file"),
        (lambda path: path.mkdir(), "plugins.toml: is a directory; name a readable file"),
        (lambda path: path.write_bytes(b"# x\n\xff"), "plugins.toml:2: byte 0xff is not UTF-8; save it as UTF-8"),
        (lambda path: path.write_bytes(b"#" * (1 << 20) + b"#"), "plugins.toml: more than 1048576 bytes; split it;"),
        (lambda path: path.write_text("x = " + "[" * 5000), "plugins.toml:1: arrays or tables nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(make, said, site):
    make(Path("plugins.toml"))
    problems = check("plugins.toml", {}, search_path=[str(site)])
    assert [str(problem).startswith(said) for problem in problems] == [True], problems


def test_windows_line_ends_and_a_byte_order_mark_are_taken(site):
    Path("plugins.toml").write_bytes(b"\xef\xbb\xbf[run]\r\nsede = 1\r\n" + HEAD.encode())
    assert [(p.line, p.path) for p in check("plugins.toml", {}, search_path=[str(site)])] == [(2, "run.sede")]


def test_load_raises_every_problem_one_per_line(site):
    Path("plugins.toml").write_text('[run]\nseed = "1"\nclok = "sim"\n')
    with pytest.raises(DeploymentError) as caught:
        load_deployment("plugins.toml", {}, search_path=[str(site)])
    assert str(caught.value).splitlines() == [
        'plugins.toml:1: warning: plugins: no venue is enabled, so no order can trade; use = "exchange"',
        'plugins.toml:2: run.seed: expected int, met "1"; write it without quotes',
        "plugins.toml:3: run.clok: unknown key; did you mean clock?",
    ]


FULL = """[run]
seed = 3
clock = "wall"
delivery_day = 2026-03-10
zone = "AT"
start = "2026-03-10T00:00"
end = 2026-03-11T00:00:00
runs_dir = "out"
max_events_per_input = 50
[limits]
kill = false
position_mw_max = 20
[topics."market.*"]
durability = "reference"
limit = 100
[topics."*"]
limit = 7
[topics."market.quote"]
durability = "none"
[topics."market.q*"]
limit = 9
[plugins.exchange]
use = "exchange"
[plugins.mm_de]
use = "market_maker"
seed = 5
book = "power_de"
[plugins.mm_de.limits]
position_mw_max = 4
[plugins.mm_de.config]
token = "${TOKEN}"
levels = [{ price_ticks = -3 }]
"""


@pytest.fixture
def full(site) -> Deployment:
    Path("plugins.toml").write_text(FULL)
    return load_deployment("plugins.toml", {"TOKEN": "s3cret-value"}, search_path=[str(site)])


def test_a_full_file_is_read_into_its_settings(full):
    assert msgspec.to_builtins(full.run) == {
        "seed": 3,
        "clock": "wall",
        "delivery_day": "2026-03-10",
        "days": 1,
        "zone": "AT",
        "start": "2026-03-10T00:00:00",
        "end": "2026-03-11T00:00:00",
        "runs_dir": "out",
        "files_from": "",
        "max_events_per_input": 50,
        "snapshot_every_events": None,
        "max_faults": 10,
    }
    assert full.limits == {"kill": False, "position_mw_max": 20}
    mm = full.plugin("mm_de")
    assert (mm.manifest.id, mm.run, mm.seed, mm.limits) == ("market_maker", "inprocess", 5, {"position_mw_max": 4})
    assert (mm.book, mm.trader, mm.account) == ("power_de", "mm_de", "mm_de")
    assert mm.lines[""] == ("plugins.toml", 24)
    assert mm.lines["config.levels[0].price_ticks"] == ("plugins.toml", 32)
    with pytest.raises(KeyError, match="no enabled plugin mm; the deployment has exchange, mm_de"):
        full.plugin("mm")


def test_the_most_specific_topic_pattern_wins_for_each_setting(full):
    assert [full.limit_for(t) for t in ("market.quote", "market.trade", "order.new")] == [9, 100, 7]
    assert [full.durability_for(t) for t in ("market.quote", "market.trade", "order.new")] == [
        "none",
        "reference",
        "written",
    ]


def test_seeds_are_own_or_derived_from_run_and_name(full):
    assert full.seed_for("mm_de") == 5
    assert full.seed_for("exchange") != full.with_run(seed=4).seed_for("exchange")
    assert 0 <= full.seed_for("exchange") < 2**63


def test_a_run_setting_can_be_changed_and_is_saved(full):
    changed = full.with_run(seed=9, delivery_day="2026-03-29")
    assert (changed.run.seed, changed.run.delivery_day, changed.run.zone) == (9, "2026-03-29", "AT")
    assert "seed = 9" in changed.as_run_toml()
    assert changed.digest != full.digest
    with pytest.raises(DeploymentError, match=r"^run\.seed: expected int >= 0, met -1$"):
        full.with_run(seed=-1)
    with pytest.raises(DeploymentError, match=r"^run\.delivery_day: expected a date"):
        full.with_run(delivery_day="tomorrow")
    with pytest.raises(DeploymentError, match=r"^run\.sede: unknown key"):
        full.with_run(sede=1)


def test_the_saved_text_starts_the_same_deployment_again(full, site):
    saved = full.as_run_toml()
    Path("elsewhere").mkdir()
    Path("elsewhere/plugins.toml").write_text(saved)
    again = load_deployment("elsewhere/plugins.toml", {"TOKEN": "other"}, search_path=[str(site)])
    assert again.files_folder == full.files_folder == Path.cwd()
    assert msgspec.structs.replace(again.run, files_from="") == full.run
    assert (again.limits, again.topics, again.digest) == (full.limits, full.topics, full.digest)
    assert [(s.name, s.config, s.seed) for s in again.plugins] == [(s.name, s.config, s.seed) for s in full.plugins]


def test_the_digest_says_what_a_run_does_and_not_where(full, site):
    def digest(text: str) -> str:
        Path("plugins.toml").write_text(text)
        return load_deployment("plugins.toml", {"TOKEN": "x"}, search_path=[str(site)]).digest

    assert digest(FULL) == digest("# a comment\n" + FULL) == digest(FULL.replace('"out"', '"other"')) == full.digest
    assert digest(FULL.replace("price_ticks = -3", "price_ticks = -4")) != full.digest
    manifest = site / "demo_deployment" / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('"2.0"', '"2.1"'))
    assert digest(FULL) != full.digest


def test_a_secret_reaches_the_config_and_nothing_that_is_saved(full, site):
    import demo_deployment.maker as maker

    env = {"TOKEN": "s3cret-value"}
    assert build_config(full.plugin("mm_de"), maker.MarketMakerConfig, env).token == "s3cret-value"
    assert "${TOKEN}" in full.as_run_toml()
    assert b"s3cret-value" not in msgspec.msgpack.encode(full)
    assert "s3cret-value" not in repr(full)


@pytest.mark.parametrize("secret", ["bad-secret", 'bad "quoted" \\ secret\n', "12345678"])
@pytest.mark.parametrize("key", ["token", "half_spread_ticks", "side", "levels", "tokn"])
def test_no_message_shows_a_secret(secret, key, site):
    text = HEAD + f'[plugins.mm]\nuse = "market_maker"\nconfig.{key} = "${{TOKEN}}"\n'
    lines = told(text, site, {"TOKEN": secret})
    if not (key == "token" and secret == "12345678"):
        assert len(lines) == 1
        assert lines[0].startswith(f"plugins.toml:5: plugins.mm.config.{key}: " if key != "token" else "plugins.toml:")
    assert not any(part in line for line in lines for part in (secret, secret.strip(), repr(secret)[1:-1]))


def test_the_plugins_own_refusal_is_told_with_the_reference_in_place_of_the_secret(site):
    text = HEAD + '[plugins.mm]\nuse = "market_maker"\nconfig.token = "bad-${TOKEN}"\n'
    assert told(text, site, {"TOKEN": "s3cret"}) == [
        "plugins.toml:5: plugins.mm.config.token: token bad-${TOKEN} is refused"
    ]


def test_problems_are_formatted_with_a_count_and_colour_on_demand():
    problems = [
        Problem("a.toml", 3, "run.seed", "expected int", "write it"),
        Problem("a.toml", 1, "plugins", "no venue\x1b[2J\nhere", severity="warning"),
    ]
    assert format_problems(problems, color=False).splitlines() == [
        "a.toml:3: run.seed: expected int; write it",
        "a.toml:1: warning: plugins: no venue [2J here",
        "1 error, 1 warning",
    ]
    colored = format_problems(problems * 2, color=True)
    assert "\x1b[31m" in colored
    assert "\x1b[2J" not in colored
    assert colored.endswith("2 errors, 2 warnings")
    assert format_problems([], color=True) == ""


def test_run_settings_have_the_documented_defaults():
    assert RunSettings() == RunSettings(1, "sim", "today", 1, "DE-LU", None, None, "runs", 100_000, None, 10)
