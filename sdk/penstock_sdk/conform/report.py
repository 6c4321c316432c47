"""What a run of the kit found: for people, as JSON, and as JUnit; and the tier that follows from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import msgspec

from penstock_sdk.conform.cases import Case

__all__ = ["FAILED", "KIT_VERSION", "PASSED", "SKIPPED", "TIERS", "Report", "Result", "tier_of", "tier_of_group"]

KIT_VERSION = "1.0"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

TIERS: dict[str, tuple[str, ...]] = {
    "bronze": ("handshake", "config", "stream", "schema", "life", "time"),
    "silver": ("snapshot", "process", "venue", "trader", "check", "feed", "data", "reconcile", "offer"),
    "gold": ("flood", "latency", "market"),
}
"""Groups that a tier asks for, with those of the tiers below it.

bronze: no case of these groups fails. silver: nor of these, and none of bronze is skipped for want of a driver or a
process. gold: nothing fails, and nothing is skipped but what the plugin's kind and nature make impossible.
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case."""

    id: str
    group: str
    outcome: str
    """passed, failed or skipped."""
    claim: str
    met: str = ""
    """Of a failure: the value met; of a skip: the reason."""
    wanted: str = ""
    way_out: str = ""
    missing: bool = False
    """Skipped for something that the plugin, or who tests it, does not offer: a capability, a driver's verb, a
    command. Such a skip keeps from gold."""
    took_ms: int = 0


class Report(msgspec.Struct, kw_only=True):
    """A run of the kit."""

    target: str
    kind: str
    results: list[Result]
    plugin: dict[str, Any] = {}
    """What it says it is: id, version, kind, made_with, capabilities, deterministic, embedded."""
    digest: str = ""
    """SHA-256 of the plugin's files where the kit knows them."""
    files: dict[str, str] = {}
    """SHA-256 of each by path, where what was tried is a folder or a .py file with a manifest."""
    kit: str = KIT_VERSION
    selected: bool = False
    """Not all cases were run: no tier follows."""

    def count(self, outcome: str) -> int:
        """Return how many cases ended so."""
        return sum(1 for each in self.results if each.outcome == outcome)

    @property
    def tier(self) -> str:
        """Return gold, silver, bronze, or nothing."""
        return "" if self.selected else tier_of(self.results)

    def as_json(self) -> str:
        """Return the report as JSON, keys in order."""
        tree = {
            "kit": self.kit, "target": self.target, "kind": self.kind, "plugin": self.plugin, "digest": self.digest,
            "files": self.files,
            "tier": self.tier, "counts": {each: self.count(each) for each in (PASSED, FAILED, SKIPPED)},
            "cases": [msgspec.structs.asdict(each) for each in self.results],
        }  # fmt: skip
        return json.dumps(tree, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    def as_junit(self) -> str:
        """Return the report as JUnit XML, a suite per group."""
        root = ElementTree.Element("testsuites", name=f"penstock conform {self.kind}")
        for group in dict.fromkeys(each.group for each in self.results):
            results = [each for each in self.results if each.group == group]
            counts = {"tests": len(results), "failures": 0, "skipped": 0}
            suite = ElementTree.SubElement(root, "testsuite", name=group)
            for each in results:
                item = ElementTree.SubElement(
                    suite, "testcase", classname=f"{self.kind}.{group}", name=each.id, time=f"{each.took_ms / 1e3:.3f}"
                )
                if each.outcome == FAILED:
                    counts["failures"] += 1
                    ElementTree.SubElement(item, "failure", message=_xml(each.met)).text = _xml(failure_text(each))
                elif each.outcome == SKIPPED:
                    counts["skipped"] += 1
                    ElementTree.SubElement(item, "skipped", message=_xml(each.met))
            for key, value in counts.items():
                suite.set(key, str(value))
        ElementTree.indent(root)
        return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def failure_text(result: Result) -> str:
    """Return a failure for people: what was met, what was wanted, the way out."""
    return f"met {result.met}; wanted {result.wanted}; {result.way_out}"


def tier_of_group(group: str) -> str:
    """Return the lowest tier that asks for a group."""
    return next(tier for tier, groups in TIERS.items() if group in groups)


def tier_of(results: Sequence[Result]) -> str:
    """Return the highest tier that these results reach; empty: none."""
    failed = {tier_of_group(each.group) for each in results if each.outcome == FAILED}
    reached = ""
    for tier in TIERS:
        if tier in failed or not any(each.outcome == PASSED for each in results):
            return reached
        if tier == "gold" and any(each.missing for each in results if each.outcome == SKIPPED):
            return reached
        reached = tier
    return reached


def _xml(text: str) -> str:
    """Return *text* without what XML cannot hold."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text)


def result_of(case: Case, outcome: str, met: str = "", *, missing: bool = False, took_ms: int = 0) -> Result:
    """Return the result of a case."""
    failed = outcome == FAILED
    return Result(
        id=case.id, group=case.group, outcome=outcome, claim=case.claim, met=met, missing=missing, took_ms=took_ms,
        wanted=case.wanted if failed else "", way_out=case.way_out if failed else "",
    )  # fmt: skip
