"""The conformance kit: what any host may rely on, tried on a plugin of any language from the outside."""

from __future__ import annotations

from penstock_sdk.conform.cases import Case, all_cases, cases_for
from penstock_sdk.conform.driver import VERBS, DriverError, ProcessDriver, VenueDriver
from penstock_sdk.conform.host import Patience
from penstock_sdk.conform.report import TIERS, Report, Result
from penstock_sdk.conform.runner import run_kit
from penstock_sdk.conform.target import TargetError, opener_of

__all__ = [
    "TIERS", "VERBS", "Case", "DriverError", "Patience", "ProcessDriver", "Report", "Result", "TargetError",
    "VenueDriver", "all_cases", "cases_for", "opener_of", "run_kit",
]  # fmt: skip
