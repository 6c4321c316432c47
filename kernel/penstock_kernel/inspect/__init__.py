"""Questions about a run that has been: why an order was sent, what a plugin saw, where two runs part."""

from __future__ import annotations

from penstock_kernel.inspect.asked import InspectError
from penstock_kernel.inspect.debug import DebugResult, debug
from penstock_kernel.inspect.diff import RunDifference, diff_runs
from penstock_kernel.inspect.explain import Explanation, explain_order

__all__ = [
    "DebugResult",
    "Explanation",
    "InspectError",
    "RunDifference",
    "debug",
    "diff_runs",
    "explain_order",
]
