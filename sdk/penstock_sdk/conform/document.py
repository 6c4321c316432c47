"""The tables of docs/conformance.md, made of the cases themselves."""

from __future__ import annotations

from penstock_sdk.conform.cases import ALL_KINDS, CHECKS, GROUPS, TRADERS, Case, all_cases
from penstock_sdk.conform.driver import VERBS
from penstock_sdk.conform.report import TIERS, tier_of_group

__all__ = ["HEADING", "tables", "with_tables"]

HEADING = "## Tables: tiers, verbs, cases\n"
"""What follows it on the page is made here."""
_GROUPS = {
    "handshake": "what it says it is, and to whom", "config": "what is wrong is said, by name",
    "life": "start, hearing, drain and stop", "stream": "numbers, acknowledgement and credit",
    "schema": "records, odd and many", "time": "it jumps, stands still, comes back",
    "snapshot": "a state that is given back", "process": "as the operating system sees it",
    "venue": "listings, orders, reports", "trader": "strategies and execution algorithms",
    "check": "risk and compliance", "feed": "recorded events",
    "data": "models, portfolios, reference data", "reconcile": "a venue after a crash",
    "offer": "what a venue's manifest states",
    "market": "a venue, with a driver of its market", "flood": "much at once", "latency": "in time",
}  # fmt: skip


def tables() -> str:
    """Return the tables of tiers, verbs and cases as Markdown."""
    lines = ["| Tier | Groups that it asks for, with those above |", "|---|---|"]
    lines += [f"| {tier} | {', '.join(groups)} |" for tier, groups in TIERS.items()]
    lines += ["", "| Verb | What the driver does |", "|---|---|"]
    lines += [f"| `{verb}` | {text} |" for verb, text in VERBS.items()]
    for group in GROUPS:
        cases = [case for case in all_cases() if case.group == group]
        lines += ["", f"### {group}: {_GROUPS[group]} ({tier_of_group(group)})", ""]
        lines += ["| Case | A conforming plugin | Kinds | Needs |", "|---|---|---|---|"]
        lines += [f"| `{case.id}` | {case.claim} | {_kinds(case)} | {_needs(case)} |" for case in cases]
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """Return *page* with the tables after their heading."""
    return f"{page.partition(HEADING)[0]}{HEADING}\n{tables()}"


def _kinds(case: Case) -> str:
    if case.kinds == ALL_KINDS:
        return "all"
    known: dict[tuple[str, ...], str] = {TRADERS: "strategy, execution", CHECKS: "risk, compliance"}
    return known.get(case.kinds, ", ".join(case.kinds))


def _needs(case: Case) -> str:
    needs = [f"capability {case.capability}"] if case.capability else []
    needs += [f"verbs {', '.join(case.verbs)}"] if case.verbs else []
    needs += ["a command"] if case.process else []
    needs += ["deterministic"] if case.deterministic else []
    needs += ["a manifest"] if case.manifest else []
    return "; ".join(needs)
