"""What strategies need and no venue offers is refused with its line; real money is warned of, loudly in real time."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from penstock_kernel.cli.main import main
from penstock_kernel.deployment import load_deployment
from penstock_kernel.deployment_tables import DeploymentFile, PluginTable
from penstock_kernel.market_check import check_deployment, market_problems
from penstock_kernel.venue_check import offers, real_money_problems
from penstock_sdk.manifest import VenueOffer

VENUE = """[[plugin]]
id = "{id}"
version = "1.0"
kind = "venue"
contract = "venue/1..1"
class = "{id}:Market"
"""
STRATEGY = """[[plugin]]
id = "careful"
version = "1.0"
kind = "strategy"
contract = "strategy/1..1"
class = "careful:Careful"
capabilities = ["orders.write"]
"""
BARE = 'venue = { order_kinds = ["limit"], real_money = false }\n'
FULL = """venue = { order_kinds = ["limit", "ioc", "fok", "market"], conditions = ["iceberg"], amend = "native", \
cancel_on_disconnect = "native", throttle_per_s = 50, real_money = false }
"""
DEPLOYMENT = """[run]
clock = "{clock}"
[plugins.first]
use = "first"
path = "first"
[plugins.second]
use = "second"
path = "second"
[plugins.careful]
use = "careful"
path = "careful"
"""


def told(folder: Path, needs: str, first: str, second: str, clock: str = "sim") -> list[tuple[int, str, str, str]]:
    """Return line, severity, message and way out of what is said of a deployment with two venues and a strategy."""
    for name, text in (
        ("first", VENUE.format(id="first") + first),
        ("second", VENUE.format(id="second") + second),
        ("careful", STRATEGY + (f"needs = {{ {needs} }}\n" if needs else "")),
    ):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "plugin.toml").write_text(text)
    (folder / "plugins.toml").write_text(DEPLOYMENT.format(clock=clock))
    problems = market_problems(load_deployment(folder / "plugins.toml"))
    return [(p.line, p.severity, p.message, p.way_out) for p in problems if p.path != "plugins"]


@pytest.mark.parametrize(
    "needs",
    [
        'order_kinds = ["limit", "fok"]',
        'conditions = ["iceberg"]',
        'amend = "cancel_replace"',
        'amend = "native"',
        'cancel_on_disconnect = "emulated"',
        "orders_per_s = 50",
        "",
    ],
)
def test_what_one_of_the_venues_offers_is_no_fault(tmp_path: Path, needs: str) -> None:
    assert told(tmp_path, needs, BARE, FULL) == []


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (
            'order_kinds = ["limit", "fok"]',
            "careful needs orders of kind fok, and no enabled venue offers it, "
            "met plugins.first takes limit, plugins.second takes limit",
        ),
        (
            'conditions = ["iceberg"]',
            "careful needs the condition iceberg, and no enabled venue offers it, "
            "met plugins.first takes none, plugins.second takes none",
        ),
        (
            'amend = "cancel_replace"',
            'careful needs amend = "cancel_replace", and no enabled venue offers it, '
            'met plugins.first has "none", plugins.second has "none"',
        ),
        (
            'cancel_on_disconnect = "emulated"',
            'careful needs cancel_on_disconnect = "emulated", and no enabled venue offers it, '
            'met plugins.first has "none", plugins.second has "none"',
        ),
    ],
)
def test_what_no_venue_offers_is_refused_with_the_line_of_who_needs_it(tmp_path: Path, needs: str, said: str) -> None:
    way_out = "enable a venue that does, or leave this plugin out"
    assert told(tmp_path, needs, BARE, BARE) == [(10, "error", said, way_out)]


def test_a_rule_that_is_less_than_what_is_needed_will_not_do(tmp_path: Path) -> None:
    less = BARE.replace(" }", ', amend = "cancel_replace", throttle_per_s = 5 }')
    (line, severity, message, _), (*_, throttled, _) = told(
        tmp_path, 'amend = "native", orders_per_s = 5.5', less, less
    )
    assert (line, severity) == (10, "error")
    assert message.endswith('met plugins.first has "cancel_replace", plugins.second has "cancel_replace"')
    assert throttled.startswith("careful needs 5.5 orders a second, and no enabled venue offers it, met plugins.first ")
    assert told(tmp_path, "orders_per_s = 5", less, BARE.replace(" }", ", throttle_per_s = 4 }")) == []


def test_each_need_may_be_met_by_another_venue(tmp_path: Path) -> None:
    other = BARE.replace('["limit"]', '["market"]')
    assert told(tmp_path, 'order_kinds = ["limit", "market"]', BARE, other) == []


def test_a_venue_that_does_not_say_makes_it_a_warning(tmp_path: Path) -> None:
    ((line, severity, message, way_out),) = told(tmp_path, 'amend = "native"', BARE, "")
    assert (line, severity) == (10, "warning")
    assert message.endswith('no enabled venue offers it, met plugins.first has "none"')
    assert way_out == "plugins.second may: its manifest does not say"


def test_a_venue_that_is_switched_off_offers_nothing(tmp_path: Path) -> None:
    told(tmp_path, 'amend = "native"', BARE, FULL)
    file = tmp_path / "plugins.toml"
    file.write_text(file.read_text().replace('use = "second"', 'use = "second"\nenabled = false'))
    deployment = load_deployment(file)
    assert offers(deployment) == {"first": VenueOffer(("limit",), False)}
    assert any("needs amend" in problem.message for problem in market_problems(deployment))


@pytest.mark.parametrize(("clock", "said"), [("wall", "REAL MONEY: orders"), ("sim", "is a market of real money, but")])
def test_real_money_is_a_warning_at_the_venue(tmp_path: Path, clock: str, said: str) -> None:
    assert told(tmp_path, "", BARE.replace("false", "true"), FULL, clock) == []
    deployment = load_deployment(tmp_path / "plugins.toml")
    (problem,) = real_money_problems(deployment)
    assert (problem.line, problem.severity) == (4, "warning")
    assert problem.message.startswith(said)
    (other,) = real_money_problems(deployment.with_run(clock="sim" if clock == "wall" else "wall"))
    assert not other.message.startswith(said)


def test_the_command_says_it_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, "", BARE.replace("false", "true"), FULL, "wall")
    for name in ("first", "second", "careful"):
        kind = "Strategy" if name == "careful" else "Venue"
        text = f"from penstock_sdk.plugin import {kind}\n\n\nclass Market({kind}):\n    pass\n"
        (tmp_path / name / f"{name}.py").write_text(
            text.replace("Market", "Careful" if name == "careful" else "Market")
        )
    assert main(["check", str(tmp_path / "plugins.toml")]) == 0
    out = capsys.readouterr().out
    assert (
        "plugins.toml:4: warning: plugins.first.use: REAL MONEY: orders of this run go to a market where a fill" in out
    )


def test_the_schema_of_a_deployment_has_its_tables_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    keys = {field.encode_name for field in msgspec.structs.fields(PluginTable)}
    assert set(schema["$defs"]["PluginTable"]["properties"]) == keys
    tables = {field.encode_name for field in msgspec.structs.fields(DeploymentFile)}
    assert set(schema["$defs"]["DeploymentFile"]["properties"]) == tables | {"include"}


def test_the_check_of_a_whole_deployment_tells_it(tmp_path: Path) -> None:
    told(tmp_path, 'amend = "native"', BARE, BARE)
    _, problems = check_deployment(tmp_path / "plugins.toml")
    assert [p.line for p in problems if "needs amend" in p.message and p.severity == "error"] == [10]
