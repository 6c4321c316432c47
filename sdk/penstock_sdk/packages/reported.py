"""What a conformance report says of a plugin's files, and whether it is of these files and agrees with itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock_sdk.manifest import PluginManifest
from penstock_sdk.packages.archive import file_sha256

__all__ = ["REPORT_NAME", "TIERS", "digest_of_files", "is_report", "report_tier", "tried_files"]

REPORT_NAME = "conformance.json"
TIERS = ("bronze", "silver", "gold")
_REPORT_BYTES_MAX = 16 << 20
_AGAIN = "run `penstock conform` again"


def tried_files(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the sha256 of what makes the plugin what it is, by path: *files* less licences and reports of the kit."""
    from penstock_sdk.packages.pack import is_licence  # it needs this module

    return {
        name: file_sha256(path) for name, path in sorted(files.items()) if not is_licence(name) and not is_report(path)
    }


def digest_of_files(files: Mapping[str, str]) -> str:
    """Return one SHA-256 over the sha256 of files by path; empty for none."""
    text = "".join(f"{sha256} {name}\n" for name, sha256 in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest() if files else ""


def is_report(file: Path) -> bool:
    """Return whether *file* is a report that `penstock conform` wrote, as JSON or as JUnit XML."""
    if file.suffix not in (".json", ".xml") or file.stat().st_size > _REPORT_BYTES_MAX:
        return False
    data = file.read_bytes()
    if file.suffix == ".xml":
        return b'<testsuites name="penstock conform ' in data[:200]
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and {"kit", "cases", "tier", "digest"} <= tree.keys()


def report_tier(
    report: Path | None, plugins: Sequence[PluginManifest], files: Mapping[str, str], missing: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Return the tier that a conformance report of one of *plugins* says, and what is wrong with it.

    Args:
        report: its file; None: there is none.
        plugins: what is packed.
        files: the sha256 of what is packed by path, as `tried_files` has it; each must be among those tried.
        missing: files that were tried and had to be packed too; told as gone.
    """
    if report is None:
        return "", []
    try:
        tree = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return "", [f"the report {report.name} cannot be read: {error}; make it by `penstock conform --json`"]
    tree = tree if isinstance(tree, dict) else {}
    said = tree.get("plugin")
    ours = {(each.id, each.version) for each in plugins}
    if not isinstance(said, dict) or (said.get("id"), said.get("version")) not in ours:
        met = f"{said.get('id')} {said.get('version')}" if isinstance(said, dict) else "another"
        wanted = ", ".join(" ".join(each) for each in sorted(ours))
        return "", [f"the report {report.name} is of {met}, wanted {wanted}; {_AGAIN}"]
    tier = tree.get("tier", "")
    if tier not in ("", *TIERS):
        return "", [f"the report {report.name} says tier {tier!r}, wanted {', '.join(TIERS)} or none"]
    kinds = {(each.id, each.kind) for each in plugins}
    fault = (
        _other_files(tree, files, missing)
        or ("" if (said.get("id"), tree.get("kind")) in kinds else f"is of the kind {tree.get('kind')!r}; {_AGAIN}")
        or _contradiction(tree, tier)
    )
    return ("", [f"the report {report.name} {fault}"]) if fault else (tier, [])


def reported_files(report: Path | None) -> set[str]:
    """Return the paths that a report says were tried; none where it cannot be read."""
    try:
        tree = json.loads(report.read_text("utf-8")) if report is not None else {}
    except (OSError, ValueError, RecursionError):
        return set()
    tried = tree.get("files") if isinstance(tree, dict) else None
    return set(tried) if isinstance(tried, dict) else set()


def _other_files(tree: dict[str, Any], files: Mapping[str, str], missing: Sequence[str]) -> str:
    """Return why a report is not of *files*; empty: it is."""
    tried = tree.get("files")
    if not isinstance(tried, dict) or not tried:
        return "names no files; run `penstock conform` on the plugin's folder, or on its .py file"
    if not all(isinstance(sha256, str) for sha256 in tried.values()) or digest_of_files(tried) != tree.get("digest"):
        return f"has a digest that is not that of the files it names; {_AGAIN}"
    changed = sorted([name for name, sha256 in files.items() if tried.get(name) != sha256] + [*missing])
    if changed:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        return f"is of other files: {shown} changed since; run conform again"
    return ""


def _contradiction(tree: dict[str, Any], tier: str) -> str:
    """Return where tier or counts of a report are not what its cases say; empty: nowhere."""
    import msgspec

    from penstock_sdk.conform.report import KIT_VERSION, Report, Result
    from penstock_sdk.conform.runner import select

    if tree.get("kit") != KIT_VERSION:
        return f"is of the kit {tree.get('kit')!r}, this is {KIT_VERSION}; {_AGAIN}"
    kind = str(tree.get("kind"))
    try:
        results = msgspec.convert(tree.get("cases"), list[Result])
    except msgspec.ValidationError as error:
        return f"has cases that cannot be read: {error}; {_AGAIN}"
    known = {case.id: case.group for case in select(kind)}
    met = [each.id for each in results]
    if len(set(met)) < len(met) or any(known.get(each.id) != each.group for each in results):
        return f"has cases that the kit has not; {_AGAIN}"
    found = Report(target="", kind=kind, results=results, selected=set(met) != set(known))
    if tree.get("counts") != (counts := {name: found.count(name) for name in ("passed", "failed", "skipped")}):
        return f"says counts {tree.get('counts')}, its cases say {counts}; {_AGAIN}"
    if tier != found.tier:
        short = f", with {len(known) - len(met)} cases not run" if found.selected else ""
        return f"says tier {tier or 'none'}, its cases say {found.tier or 'none'}{short}; {_AGAIN}"
    return ""
