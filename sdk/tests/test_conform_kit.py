"""Every case of the conformance kit passes a good plugin, and fails one in which exactly one thing is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from penstock_sdk.conform.cases import GROUPS, all_cases
from penstock_sdk.conform.driver import DriverError, ProcessDriver
from penstock_sdk.conform.host import Patience
from penstock_sdk.conform.report import FAILED, PASSED, SKIPPED, TIERS, Report, tier_of_group
from penstock_sdk.conform.runner import run_kit
from penstock_sdk.conform.target import ClassOpener
from penstock_sdk.events import IdKind, ListingDefinition
from sdk.tests.faulty.faults import FAULTS, GOOD_COMMAND, MORE_FAULTS, Faulty, ProcessTap
from sdk.tests.faulty.good import (
    GOOD_MANIFEST,
    GoodCheck,
    GoodFeed,
    GoodModel,
    GoodPoller,
    GoodPortfolio,
    GoodRefData,
    GoodTrader,
    GoodVenue,
    MarketDriver,
)

PATIENCE = Patience(answer_s=0.3, quiet_s=0.01)
"""For faulty ones, of which some never answer."""
PATIENT = Patience(answer_s=5.0, quiet_s=0.01)
"""For good ones, on a machine that may be busy."""
PROCESS_CASES = ("process", "handshake.incarnation")
GOOD = (GoodTrader, GoodCheck, GoodFeed, GoodModel, GoodPortfolio, GoodRefData, GoodVenue)


class Opener(ClassOpener):
    """Objects, with a command for what the operating system sees."""

    def __init__(self, cls: type[Any], wrap: Callable[[Any], Any] | None, command: tuple[str, ...]) -> None:
        super().__init__(cls, id="good", version="1", wrap=wrap)
        self.command = command


def run(faulty: Faulty, only: tuple[str, ...] = (), patience: Patience = PATIENCE) -> Report:
    manifest = faulty.manifest or (GOOD_MANIFEST if issubclass(faulty.cls, GoodVenue) else None)
    driver = MarketDriver() if issubclass(faulty.cls, GoodVenue) else None
    opener = Opener(faulty.cls, faulty.wrap, faulty.command)
    return run_kit(opener, faulty.cls.kind, driver=driver, patience=patience, only=only, manifest=manifest)


def outcomes(report: Report) -> dict[str, str]:
    return {each.id: each.outcome for each in report.results}


@pytest.fixture(scope="module")
def good_reports() -> dict[str, Report]:
    reports = {cls.__name__: run(Faulty(cls), patience=PATIENT) for cls in GOOD}
    processes = Faulty(GoodTrader, lambda peer: ProcessTap(peer), GOOD_COMMAND)
    reports["process"] = run(processes, PROCESS_CASES, PATIENT)
    return reports


def test_good_plugins_fail_nothing(good_reports: dict[str, Report]):
    failed = [
        (name, each.id, each.met) for name, r in good_reports.items() for each in r.results if each.outcome == FAILED
    ]
    assert failed == []


def test_every_case_is_passed_by_some_good_plugin(good_reports: dict[str, Report]):
    passed = {each.id for report in good_reports.values() for each in report.results if each.outcome == PASSED}
    assert passed == {case.id for case in all_cases()}


def test_there_are_enough_cases_and_each_has_its_faulty_plugin():
    ids = [case.id for case in all_cases()]
    assert len(ids) >= 60
    assert sorted(FAULTS) == sorted(ids)


def test_a_venue_that_is_polled_in_real_time_fails_nothing_either():
    report = run(Faulty(GoodPoller), ("venue", "reconcile", "offer", "market"), PATIENT)
    assert [(each.id, each.met) for each in report.results if each.outcome == FAILED] == []
    skipped = {each.id for each in report.results if each.outcome != PASSED}
    assert skipped == {"venue.rejects_closed", "venue.heard_order", "market.hearing"}


def test_every_group_is_in_one_tier():
    assert sorted(GROUPS) == sorted(group for groups in TIERS.values() for group in groups)
    assert all(tier_of_group(case.group) for case in all_cases())


@pytest.mark.parametrize("case_id", FAULTS)
def test_a_faulty_plugin_fails_its_case(case_id: str):
    (own,) = run(FAULTS[case_id], (case_id,)).results
    assert own.outcome == FAILED, own
    assert own.met
    assert own.wanted
    assert own.way_out


@pytest.mark.parametrize("what", MORE_FAULTS)
def test_other_ways_to_fail_a_case_are_found_too(what: str):
    case_id, faulty = MORE_FAULTS[what]
    (own,) = run(faulty, (case_id,)).results
    assert own.outcome == FAILED, own


class Contracts(GoodVenue):
    """Announces a contract without a delivery beside the others, later than all of them."""

    def on_contract_definition(self, contract: Any) -> Any:
        listing = super().on_contract_definition(contract)
        assert isinstance(listing, ListingDefinition)
        listing_id = self.ctx.intern(IdKind.LISTING, listing.name + " INDEX")
        return [
            listing,
            msgspec.structs.replace(
                listing, listing_id=listing_id, name=listing.name + " INDEX", interval_count=0, reference_only=True,
                gate_closure_ns=listing.gate_closure_ns + 10**15, cash_micro_per_lot_tick=0,
            ),
        ]  # fmt: skip


def test_a_listing_without_a_delivery_is_sound_and_is_not_traded():
    report = run(Faulty(Contracts), ("venue.sound", "venue.takes", "market.as_sent"), PATIENT)
    assert {each.id: (each.outcome, each.met) for each in report.results} == dict.fromkeys(
        ("venue.sound", "venue.takes", "market.as_sent"), (PASSED, "")
    )


def test_a_venue_that_lists_nothing_is_not_waited_for_in_each_case():
    silent = type("Silent", (GoodVenue,), {"on_contract_definition": lambda self, contract: None})
    report = run(Faulty(silent), ("venue", "market"))
    met = {each.id: (each.outcome, each.met) for each in report.results}
    assert met.pop("venue.lists") == (FAILED, "no ListingDefinition of its own after the start")
    assert set(met.values()) == {(SKIPPED, "venue.lists has found no listing")}


def test_a_driver_that_ends_at_once_is_told_with_its_status():
    with pytest.raises(DriverError, match="status 7"):
        ProcessDriver([sys.executable, "-c", "raise SystemExit(7)"])


class OldDriver(MarketDriver):
    """Tells of orders only what drivers used to."""

    def _orders(self, **more: Any) -> dict[str, Any]:
        told = super()._orders(**more)["orders"]
        return {"orders": [{name: each[name] for name in ("order_id", "leaves_lots", "sent")} for each in told]}


def test_a_driver_that_does_not_tell_the_terms_of_orders_is_listed_as_missing_them():
    opener = Opener(GoodVenue, None, ())
    only = ("market.as_sent", "market.once", "market.drop")
    report = run_kit(opener, "venue", driver=OldDriver(), patience=PATIENT, only=only)
    (skipped,) = (each for each in report.results if each.outcome != PASSED)
    assert (skipped.id, skipped.outcome, skipped.missing) == ("market.as_sent", SKIPPED, True)
    assert skipped.met == "the driver's answer to orders has no side, price_ticks, qty_lots, listing"


@pytest.mark.long
@pytest.mark.parametrize("case_id", FAULTS)
def test_the_whole_kit_finds_nothing_outside_its_group_in_a_faulty_plugin(case_id: str):
    group = case_id.partition(".")[0]
    report = run(FAULTS[case_id])
    failed = [(each.id, each.met) for each in report.results if each.outcome == FAILED]
    assert case_id in dict(failed)
    assert [each for each in failed if each[0].partition(".")[0] != group] == []
