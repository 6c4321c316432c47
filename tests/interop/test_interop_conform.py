"""The example plugins in Go and JavaScript pass the conformance kit, case for case."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_sdk.conform.report import FAILED
from penstock_sdk.conform.runner import run_kit
from penstock_sdk.conform.target import manifest_at, opener_of
from tests.interop.conftest import command_of

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]
TIERS = {"venue": "silver", "strategy": "gold"}
"""The example venues bring no driver of their market, which gold wants."""


@pytest.mark.parametrize("language", ["go", "node"])
@pytest.mark.parametrize("kind", sorted(TIERS))
def test_an_example_passes_the_kit(packages: dict[str, Path], language: str, kind: str) -> None:
    folder = packages[f"{language}_{kind}"]
    report = run_kit(opener_of(command_of(folder)), kind, manifest=manifest_at(str(folder)))
    failed = [f"{each.id}: met {each.met}, wanted {each.wanted}" for each in report.results if each.outcome == FAILED]
    assert not failed, "\n".join(failed)
    assert report.tier == TIERS[kind]
    assert report.plugin["id"] == f"{language}_{kind}"
