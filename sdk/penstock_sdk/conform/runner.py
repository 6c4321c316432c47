"""Runs cases against a plugin, each with a plugin of its own, and says what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from penstock_sdk.conform.cases import Case, Failure, Skip, cases_for
from penstock_sdk.conform.driver import DriverError, VenueDriver
from penstock_sdk.conform.floor import NOTHING_LISTED
from penstock_sdk.conform.host import Patience
from penstock_sdk.conform.kit import Kit, Opener
from penstock_sdk.conform.report import FAILED, PASSED, SKIPPED, Report, Result, result_of
from penstock_sdk.process.peer import PeerError
from penstock_sdk.wire.messages import PROTOCOL_MAJORS, DescribeRequest, Message

if TYPE_CHECKING:
    from penstock_sdk.manifest import PluginManifest

__all__ = ["run_kit", "select"]

_OF_LISTINGS = ("venue", "reconcile", "offer", "market")
"""Groups whose cases would each wait for a listing that does not come."""


def select(kind: str, only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Case]:
    """Return the cases of a kind that the patterns leave: ``venue.*``, ``config.sound``."""
    return [case for case in cases_for(kind) if (not only or _fits(case.id, only)) and not _fits(case.id, skip)]


def _fits(case_id: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(case_id, each) or case_id.partition(".")[0] == each for each in patterns)


def run_kit(
    opener: Opener,
    kind: str,
    *,
    target: str = "",
    config: dict[str, Any] | None = None,
    driver: VenueDriver | None = None,
    patience: Patience | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    on_result: Callable[[Result], None] = lambda result: None,
    digest: str = "",
    manifest: PluginManifest | None = None,
) -> Report:
    """Return what the kit's cases find about a plugin.

    Args:
        opener: gives fresh plugins.
        kind: that they are tested as.
        target: what to call them in the report.
        config: of the plugin.
        driver: of a venue's market.
        only, skip: patterns of case ids, or groups.
        on_result: is told each result as it comes.
        digest: SHA-256 of the plugin's files.
        manifest: the plugin's; None: the one that *opener* has found beside it, if any.

    Raises:
        PeerError: the plugin cannot be started at all.
    """
    patience = patience or Patience()
    described = _describe(opener, patience)
    manifest = manifest or getattr(opener, "manifest", None)
    config = {**getattr(driver, "config", {}), **(config or {})}
    results = []
    lists = True
    for case in select(kind, only, skip):
        if not lists and case.group in _OF_LISTINGS:
            result = result_of(case, SKIPPED, "venue.lists has found no listing", missing=True)
        else:
            result = _run(case, opener, kind, config, driver, patience, described, manifest)
        lists = lists and (case.id, result.met) != ("venue.lists", NOTHING_LISTED)
        results.append(result)
        on_result(result)
    return Report(
        target=target, kind=kind, results=results, plugin=_words(described), digest=digest, selected=bool(only or skip)
    )


def _describe(opener: Opener, patience: Patience) -> Message:
    peer = opener.open()
    try:
        return peer.call("Describe", DescribeRequest(majors=PROTOCOL_MAJORS, host_version="kit"), patience.answer_s)
    finally:
        with suppress(PeerError):
            peer.close()


def _words(described: Message) -> dict[str, Any]:
    return {
        "id": described.id, "version": described.version, "kind": described.kind, "made_with": described.made_with,
        "capabilities": sorted(described.capabilities), "deterministic": described.deterministic,
        "embedded": described.embedded,
    }  # fmt: skip


def _missing(
    case: Case, opener: Opener, driver: VenueDriver | None, described: Message, manifest: PluginManifest | None
) -> tuple[str, bool]:
    """Return why a case does not apply, and whether that is for want of something; empty: it does."""
    if case.capability and case.capability not in described.capabilities:
        return f"the plugin does not offer {case.capability}", True
    if case.process and not opener.command:
        return "the kit does not start the plugin's process; give a command", True
    if case.deterministic and not described.deterministic:
        return "the plugin says that it is not deterministic", False
    if case.manifest and (manifest is None or manifest.venue is None):
        why = "the manifest has no [plugin.venue]" if manifest is not None else "no manifest; give --manifest FILE"
        return why, True
    if case.verbs and driver is None:
        return "no driver of the venue's market; give --driver COMMAND", True
    lacking = [verb for verb in case.verbs if driver is not None and verb not in driver.verbs]
    if lacking:
        return f"the driver has no {', '.join(lacking)}", True
    return "", False


def _run(
    case: Case,
    opener: Opener,
    kind: str,
    config: dict[str, Any] | None,
    driver: VenueDriver | None,
    patience: Patience,
    described: Message,
    manifest: PluginManifest | None,
) -> Result:
    reason, missing = _missing(case, opener, driver, described, manifest)
    if reason:
        return result_of(case, SKIPPED, reason, missing=missing)
    kit = Kit(opener, kind, config=config, patience=patience, driver=driver, manifest=manifest)
    began = time.perf_counter()
    outcome, met = PASSED, ""
    try:
        if driver is not None and "reset" in driver.verbs:
            driver.do("reset")
        case.run(kit)
    except Skip as skipped:
        outcome, met, missing = SKIPPED, str(skipped), skipped.missing
    except Failure as failure:
        outcome, met = FAILED, str(failure)
    except (PeerError, DriverError) as error:
        outcome, met = FAILED, str(error) or type(error).__name__
    finally:
        kit.end()
    return result_of(case, outcome, met, missing=missing, took_ms=round((time.perf_counter() - began) * 1e3))
