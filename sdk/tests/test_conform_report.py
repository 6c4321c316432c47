"""Reports of the conformance kit: tiers follow from results, skips are no passes, and drivers fail with a word."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from penstock_sdk.conform.driver import DriverError, ProcessDriver
from penstock_sdk.conform.embedded_driver import answer
from penstock_sdk.conform.report import FAILED, PASSED, SKIPPED, Report, Result, tier_of
from penstock_sdk.conform.target import (
    AddressOpener,
    ClassOpener,
    CommandOpener,
    TargetError,
    manifest_at,
    opener_of,
)


def result(case_id: str, outcome: str = PASSED, *, missing: bool = False) -> Result:
    return Result(
        id=case_id, group=case_id.partition(".")[0], outcome=outcome, claim="It does.", met="1 < 2 & \x00",
        missing=missing,
    )  # fmt: skip


BRONZE, SILVER, GOLD = "config.sound", "snapshot.early", "flood.answered"


@pytest.mark.parametrize(
    ("failed", "missing", "tier"),
    [
        ((), (), "gold"),
        ((), (SILVER,), "silver"),
        ((GOLD,), (), "silver"),
        ((SILVER,), (), "bronze"),
        ((SILVER, GOLD), (), "bronze"),
        ((BRONZE,), (), ""),
        ((BRONZE, GOLD), (), ""),
    ],
)
def test_a_tier_is_reached_when_nothing_of_it_or_below_fails(
    failed: tuple[str, ...], missing: tuple[str, ...], tier: str
):
    results = [result(each, FAILED if each in failed else PASSED) for each in (BRONZE, SILVER, GOLD)]
    results += [result(each + "_more", SKIPPED, missing=True) for each in missing]
    assert tier_of(results) == tier


def test_skips_alone_are_no_tier():
    assert tier_of([result(BRONZE, SKIPPED)]) == ""


def test_a_run_of_some_cases_has_no_tier():
    assert Report(target="x", kind="venue", results=[result(BRONZE)], selected=True).tier == ""


def test_both_forms_tell_every_case_and_take_any_text():
    report = Report(target="x", kind="venue", results=[result(BRONZE), result(SILVER, FAILED), result(GOLD, SKIPPED)])
    assert json.loads(report.as_json())["counts"] == {"passed": 1, "failed": 1, "skipped": 1}
    root = ElementTree.fromstring(report.as_junit())
    assert [each.get("name") for each in root.iter("testcase")] == [BRONZE, SILVER, GOLD]
    assert len(list(root.iter("failure"))) == len(list(root.iter("skipped"))) == 1


def driver(code: str) -> ProcessDriver:
    return ProcessDriver([sys.executable, "-ISc", code], answer_s=5.0)


_ECHO = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["verb"] == "hello":
        print(json.dumps({"ok": True, "verbs": ["fill", "orders"]}), flush=True)
    elif request["verb"] == "fill":
        print(json.dumps({"ok": True, "met": request["lots"]}), flush=True)
    elif request["verb"] == "orders":
        print("what?", flush=True)
    else:
        print(json.dumps({"ok": False, "error": "no"}), flush=True)
"""


def test_a_driver_says_its_verbs_and_does_them():
    held = driver(_ECHO)
    try:
        assert held.verbs == {"fill", "orders"}
        assert held.do("fill", lots=3)["met"] == 3
        with pytest.raises(DriverError, match="^driver answered orders with b'what"):
            held.do("orders")
        with pytest.raises(DriverError, match="^driver refused drop: .*'error': 'no'"):
            held.do("drop")
    finally:
        held.close()


@pytest.mark.parametrize(("code", "said"), [("", "ended before"), ("print('{}')", "refused hello")])
def test_a_driver_that_does_not_say_hello_is_told(code: str, said: str):
    with pytest.raises(DriverError, match=said):
        driver(code)


def test_a_driver_that_does_not_exist_is_told():
    with pytest.raises(DriverError, match="^driver /no/such/driver does not start: no such file"):
        ProcessDriver(["/no/such/driver"])


def test_the_embedded_driver_has_the_other_side_sent_through_the_venue():
    assert answer({"verb": "part_fill", "side": "buy", "price_ticks": -5, "qty_lots": 10, "lots": 3}) == {
        "ok": True, "send": [{"side": "sell", "price_ticks": -5, "qty_lots": 3}],
    }  # fmt: skip
    assert answer({"verb": "fill", "side": "sell", "price_ticks": 7, "qty_lots": 10})["send"][0]["side"] == "buy"
    assert not answer({"verb": "fly"})["ok"]


def test_a_class_has_id_and_version_of_the_manifest_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plugin.toml").write_text(
        '[[plugin]]\nid = "northerly"\nversion = "3.1"\nkind = "feed"\ncontract = "feed/1..1"\n'
        'class = "north_of:North"\n'
    )
    (tmp_path / "north_of.py").write_text("from penstock_sdk.plugin import Feed\n\n\nclass North(Feed): ...\n")
    found = opener_of(["north_of:North"])
    assert isinstance(found, ClassOpener)
    assert (found.id, found.version) == ("northerly", "3.1")
    assert ClassOpener(found.cls).id == "north"


def test_a_target_is_a_command_an_address_or_a_class():
    assert isinstance(opener_of(["127.0.0.1:7443"]), AddressOpener)
    assert isinstance(opener_of(["unix:/tmp/plugin.sock"]), AddressOpener)
    command = opener_of(["./venue", "--demo"])
    assert isinstance(command, CommandOpener)
    assert command.command == ("./venue", "--demo")
    found = opener_of(["sdk.tests.faulty.good:GoodTrader"])
    assert isinstance(found, ClassOpener)
    assert (found.kind, len(found.digest())) == ("strategy", 64)
    for words in ([], ["no such thing"], ["no.such.module:Class"]):
        with pytest.raises(TargetError):
            opener_of(words)


_MANIFEST = """
[[plugin]]
id = "good"
version = "1"
kind = "venue"
contract = "venue/1..1"
class = "sdk.tests.faulty.good:GoodVenue"
topics_in = ["order.order"]
topics_out = ["order.report"]
EMBEDDED

[plugin.venue]
order_kinds = ["limit"]
real_money = false
"""


@pytest.mark.parametrize(("stated", "status"), [("", 0), ("embedded = true", 1)])
def test_a_manifest_that_is_given_is_held_against_the_plugin(
    stated: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from penstock_sdk.cli.main import main

    file = tmp_path / "plugin.toml"
    file.write_text(_MANIFEST.replace("EMBEDDED", stated))
    target = "sdk.tests.faulty.good:GoodVenue"
    assert main(["conform", target, "--manifest", str(file), "--only", "offer.embedded"], providers=[]) == status
    assert ("FAIL" in capsys.readouterr().out) == bool(status)
    with pytest.raises(TargetError):
        manifest_at(f"{file}:another")


def test_a_folder_and_a_class_bring_their_manifest():
    folder = Path(__file__).parents[1] / "examples"
    by_folder, by_class = opener_of([f"{folder}:fill_all"]), opener_of(["sdk.examples.fill_all_venue:FillAllVenue"])
    assert by_folder.manifest is not None
    assert by_class.manifest == by_folder.manifest
    assert opener_of(["sdk.tests.faulty.good:GoodTrader"]).manifest is None
